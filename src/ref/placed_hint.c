/*
 * Hints: which trees are placed for a ref, so that taking them away need not look at all trees.
 * cache/placed/<ref id>/<tree id>, or <none> for trees that were placed for no ref. A hint too many
 * costs a look, a hint that is missing costs disk until a collection; the cache may be deleted.
 */
#include "ref/ref.h"

#define NONE "none"

static int open_hints(struct pl_store *store, const char *ref_id, bool make)
{
	PL_CLOSE int placed = -EBADF;
	int fd;

	if (make)
		pl_mkdir(store->cache_fd, "placed", 0700);
	placed = pl_open_dir(store->cache_fd, "placed");
	if (placed < 0)
		return placed;
	if (make)
		pl_mkdir(placed, ref_id ? ref_id : NONE, 0700);
	fd = pl_open_dir(placed, ref_id ? ref_id : NONE);
	return fd;
}

void pl_placed_hint_add(struct pl_store *store, const char *ref_id, const struct pl_id *tree)
{
	PL_CLOSE int fd = open_hints(store, ref_id, false);
	char hex[PL_ID_HEX + 1];

	if (fd == -ENOENT)
		fd = open_hints(store, ref_id, true);
	if (fd >= 0)
		pl_write_file(fd, pl_id_hex(tree, hex), 0600, "", 0, false);
}

void pl_placed_hint_remove(struct pl_store *store, const char *ref_id, const struct pl_id *tree)
{
	PL_CLOSE int fd = open_hints(store, ref_id, false);
	char hex[PL_ID_HEX + 1];

	if (fd >= 0)
		pl_unlink(fd, pl_id_hex(tree, hex));
}

void pl_placed_hint_forget(struct pl_store *store, const char *ref_id)
{
	PL_CLOSE int placed = pl_open_dir(store->cache_fd, "placed");
	PL_CLOSE int fd = placed < 0 ? placed : pl_open_dir(placed, ref_id);
	struct pl_listing listing = {0};

	if (fd < 0 || pl_list(fd, &listing) < 0)
		return;
	for (size_t i = 0; i < listing.n; i++)
		pl_unlink(fd, listing.entries[i].name);
	pl_listing_done(&listing);
	pl_rmdir(placed, ref_id);
}

int pl_placed_hint_list(struct pl_store *store, const char *ref_id, struct pl_strings *ret_ids)
{
	PL_CLOSE int fd = open_hints(store, ref_id, false);
	struct pl_strings ids = {0};
	struct pl_listing listing = {0};
	struct pl_id id;
	int r;

	/* The hints are gone: every tree may be placed for it. For no ref there often are none. */
	if (fd == -ENOENT)
		r = ref_id ? pl_list(store->trees_fd, &listing) : 0;
	else
		r = fd < 0 ? fd : pl_list(fd, &listing);
	for (size_t i = 0; r >= 0 && i < listing.n; i++)
		if (pl_id_parse(listing.entries[i].name, &id) == 0)
			r = pl_strings_add(&ids, listing.entries[i].name);
	pl_listing_done(&listing);
	if (r < 0) {
		pl_strings_done(&ids);
		return r;
	}
	*ret_ids = ids;
	return 0;
}
