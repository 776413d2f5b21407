/*
 * What names a generation for good: tags and attachments. Each verifies, names a record that is there
 * with its tree, and is a user of that tree. What stands at an attachment's path is its owner's affair.
 *
 * D1  One that is deleted or moved meanwhile loses its user after its text (K3): so where the user is
 *     missing the text is read again, and only if it says the same it is a fault.
 */
#include <stdio.h>

#include "gc/checking.h"

/* What either says. */
struct named {
	uint64_t generation; /* 0: follows the head */
	struct pl_id tree;
	char user[256];
};

/* Reads `name`: 1; 0: it has gone, or it was told what is wrong. */
static int read_tag(struct pl_checking *c, struct pl_ref_check *rc, const char *name,
		    struct named *ret, struct pleach_error *error)
{
	struct pleach_error cause = PLEACH_ERROR_INIT;
	struct pl_tag tag;
	char path[300];
	int r = pl_tag_read(&rc->ref, name, &tag, &cause);

	(void)snprintf(path, sizeof(path), "tags/%.255s", name);
	if (r == -ENOENT)
		return 0;
	if (r == -EBADMSG || r == -EPROTONOSUPPORT)
		return pl_checking_fault_at(c, rc, "tag", path, cause.message, error);
	if (r < 0)
		return pl_checking_cannot_at(c, rc, r, "tag", path, error);
	*ret = (struct named){.generation = tag.generation, .tree = tag.tree};
	pl_user_of_tag(&rc->ref, name, ret->user);
	return 1;
}

static int read_attachment(struct pl_checking *c, struct pl_ref_check *rc, const char *name,
			   struct named *ret, struct pleach_error *error)
{
	struct pleach_error cause = PLEACH_ERROR_INIT;
	struct pl_attachment attachment;
	char path[300];
	int r = pl_attachment_read_named(&rc->ref, name, &attachment, &cause);

	(void)snprintf(path, sizeof(path), "attached/%.255s", name);
	if (r == -ENOENT)
		return 0;
	if (r == -EBADMSG || r == -EPROTONOSUPPORT)
		return pl_checking_fault_at(c, rc, "attached", path, cause.message, error);
	if (r < 0)
		return pl_checking_cannot_at(c, rc, r, "attached", path, error);
	*ret = (struct named){.generation = attachment.generation, .tree = attachment.tree};
	pl_user_of_attachment(rc->ref.id, attachment.path, ret->user);
	pl_attachment_done(&attachment);
	return 1;
}

/* Tags and attachments as one table. */
struct kind {
	const char *name, *directory;
	bool (*is_name)(const char *name);
	int (*read)(struct pl_checking *c, struct pl_ref_check *rc, const char *name,
		    struct named *ret, struct pleach_error *error);
};

static bool is_hash(const char *name)
{
	return strlen(name) == PL_ID_HEX && pl_is_hex(name, PL_ID_HEX);
}

static const struct kind kinds[] = {
	{"tag", "tags", pl_ref_name_is_valid, read_tag},
	{"attached", "attached", is_hash, read_attachment},
};

/* That the generation is there and has that tree. */
static int check_generation(struct pl_checking *c, struct pl_ref_check *rc, const struct kind *kind,
			    const char *path, const struct named *named, struct pleach_error *error)
{
	struct pl_record record = {0};
	const char *why;
	bool is_its;
	int r = pl_checking_read_record(rc, named->generation, &record, &why, error);

	if (r < 0)
		return r;
	if (r == 0 && strcmp(why, "is missing") == 0)
		return pl_checking_fault_at(c, rc, kind->name, path,
					    "names a generation that is not there", error);
	if (r == 0)
		return 0; /* the record was told */
	is_its = pl_id_equal(&record.tree, &named->tree);
	pl_record_done(&record);
	return is_its ? 0
		      : pl_checking_fault_at(c, rc, kind->name, path,
					     "has another tree than the generation it names",
					     error);
}

static int check_user(struct pl_checking *c, struct pl_ref_check *rc, const struct kind *kind,
		      const char *name, const char *path, const struct named *named,
		      struct pleach_error *error)
{
	struct named again;
	int there = pl_checking_user(c, &named->tree, named->user, error), r;

	if (there == 1 || there < 0)
		return there < 0 ? there : 0;
	r = kind->read(c, rc, name, &again, error); /* D1 */
	if (r <= 0)
		return r;
	if (again.generation != named->generation || !pl_id_equal(&again.tree, &named->tree))
		return 0;
	(void)pl_checking_about(c, PL_SUBJECT_USER, &named->tree, 0);
	r = pl_checking_fault_at(
		c, rc, kind->name, path,
		there == 2 ? "its tree is missing" : "its tree does not have it as a user", error);
	(void)pl_checking_about(c, PL_SUBJECT_OTHER, NULL, 0);
	return r;
}

static int check_one(struct pl_checking *c, struct pl_ref_check *rc, const struct kind *kind,
		     const char *name, struct pleach_error *error)
{
	struct named named;
	char path[300];
	int r = kind->read(c, rc, name, &named, error);

	if (r <= 0 || named.generation == 0)
		return r < 0 ? r : 0;
	c->generation = named.generation;
	(void)snprintf(path, sizeof(path), "%s/%.255s", kind->directory, name);
	r = check_generation(c, rc, kind, path, &named, error);
	if (r >= 0 && !rc->is_dropped)
		r = check_user(c, rc, kind, name, path, &named, error);
	c->generation = 0;
	return r < 0 ? r : pl_checking_step(c, 0, error);
}

static int check_kind(struct pl_checking *c, struct pl_ref_check *rc, const struct kind *kind,
		      struct pleach_error *error)
{
	PL_CLOSE int fd = pl_open_dir(rc->ref.fd, kind->directory);
	struct pl_listing listing = {0};
	char path[PLEACH_REF_MAX + 64];
	int r = fd < 0 ? fd : pl_list(fd, &listing);

	if (r < 0)
		return r == -ENOENT ? 0
				    : pl_checking_cannot_at(c, rc, r, kind->name, kind->directory,
							    error);
	(void)snprintf(path, sizeof(path), "%s/%s", rc->path, kind->directory);
	for (size_t i = 0; r >= 0 && i < listing.n; i++) {
		const char *name = listing.entries[i].name;

		if (pl_checking_is_leftover(name))
			continue;
		r = kind->is_name(name) ? check_one(c, rc, kind, name, error)
					: pl_checking_stray(c, path, name, error);
	}
	pl_listing_done(&listing);
	return r;
}

int pl_checking_named(struct pl_checking *c, struct pl_ref_check *rc, struct pleach_error *error)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < PL_ARRAY_LEN(kinds); i++)
		r = check_kind(c, rc, &kinds[i], error);
	return r;
}
