/*
 * Is the upper layer of an overlay as it was made for its base? That is one look at its root: whatever is done
 * anywhere in the overlay, and stays, is a name there, or metadata of that root.
 *
 * N1  The metadata is read as the walk reads it (upper.c), so that one which is found unchanged here is so there.
 * N2  The mtime counts: of a name that came and went it is all that is left. What an overlay is that somebody has
 *     been at, the walk says alone.
 * N3  Who cannot tell says no, and the walk tells why.
 */
#include "source/upper.h"

/* 1, 0 or an error. */
static int is_empty(int fd)
{
	struct pl_listing listing = {0};
	int r = pl_list(fd, &listing);
	size_t n = listing.n;

	pl_listing_done(&listing);
	return r < 0 ? r : n == 0;
}

/* 1: it has no marks but those that every root has. 0 or an error. */
static int is_plain(const struct pl_upper *upper)
{
	struct pl_marks marks = {0};
	const char *flaw;
	int r = pl_marks_read(upper->upper_fd, upper->is_user, &marks, &flaw);
	bool has_marks = marks.is_opaque || marks.has_xwhiteouts || marks.is_redirected;

	pl_marks_done(&marks);
	return r < 0 ? r : !has_marks;
}

/* 1: the metadata is that of the base's root. 0 or an error. (N1) */
static int has_metadata(const struct pl_upper *upper)
{
	struct pl_mark_names names = {.is_user = upper->is_user};
	struct pl_node_source nodes = pl_store_nodes(upper->store);
	struct pl_stage nowhere = {.mode = PL_STAGE_NOWHERE};
	struct pl_ingest ingest;
	struct pl_node root;
	struct pl_meta meta;
	struct stat st;
	int r = pl_fstat(upper->upper_fd, &st);

	if (r >= 0)
		r = pl_ingest_init(&ingest, &nowhere, upper->rule, upper->label);
	if (r < 0)
		return r;
	ingest.rename_xattr = pl_marks_rename;
	ingest.rename_self = &names;
	r = pl_ingest_directory(&ingest, upper->upper_fd, "", &st, &meta, NULL);
	if (r >= 0)
		r = pl_node_read(&nodes, &upper->base, &root, NULL);
	if (r >= 0) {
		r = pl_meta_equal(&meta, &root.meta); /* N2 */
		pl_node_done(&root);
	}
	pl_ingest_done(&ingest);
	return r;
}

bool pl_upper_is_untouched(const struct pl_upper *upper)
{
	int r = is_empty(upper->upper_fd);

	/* Names that show an inode through the index alone. */
	if (r == 1 && upper->index_fd >= 0)
		r = is_empty(upper->index_fd);
	if (r == 1)
		r = is_plain(upper);
	if (r == 1)
		r = has_metadata(upper);
	return r == 1; /* N3 */
}
