/*
 * Before anything is taken: are the trees there that a collection must find? What trees/ does not list is garbage to
 * it, so a tree that was lost, by whatever has damaged the store, would take its objects with it, which can mend it
 * (repair.c) as long as they are there. And a tree whose users/ has lost a name would go as one of nobody.
 *
 * O1  Looked at is every generation that is kept, and every tag. That is six system calls for each, of about ninety that a
 *     collection makes for it anyway (2,000 generations: 12,000 of 189,000), since it looks up the users of its tree, by
 *     the same record. What was dropped costs a look in a listing (live.c). Memory: a few words for each generation that is kept, as retention has them.
 * O2  What is missing is looked at again: it may have been dropped, or its tag deleted or moved, since.
 * O3  The newest records may be lost, and the marks of what was shown: the public path tells, and else none does.
 */
#include <stdio.h>

#include "gc/collecting.h"
#include "gc/live.h"

/* trees/<tree> is not there, or does not have the user. */
static int fail_missing(const struct pl_ref *ref, uint64_t n, const struct pl_id *tree,
			const char *user, struct pleach_error *error)
{
	char hex[PL_ID_HEX + 1];

	if (pl_exists(ref->store->trees_fd, pl_id_hex(tree, hex)) == 0)
		pl_fail_corrupt(error, "the tree %.12s of '%s@%llu' is missing", hex, ref->name,
				(unsigned long long)n);
	else
		pl_fail_corrupt(error, "the tree %.12s of '%s@%llu' has lost its user %s", hex,
				ref->name, (unsigned long long)n, user);
	pl_hint(error,
		"mend the store first: pleach check --repair; if that cannot, give it up: "
		"pleach drop --now %s@%llu",
		ref->name, (unsigned long long)n);
	return -EBADMSG;
}

/* 1: trees/<tree>/ is there, and has the user. */
static int has_user(const struct pl_store *store, const struct pl_id *tree, const char *user,
		    struct pleach_error *error)
{
	char hex[PL_ID_HEX + 1], path[PL_ID_HEX + 272];
	int r;

	(void)snprintf(path, sizeof(path), "%s/users/%s", pl_id_hex(tree, hex), user);
	r = pl_exists(store->trees_fd, path);
	return r < 0 ? pl_fail_sys(error, r, "cannot look for the users of tree %s", hex) : r;
}

static int check_generation(struct pl_ref *ref, uint64_t n, struct pleach_error *error)
{
	struct pl_record record;
	struct pl_id tree;
	char user[128];
	int r = pl_generation_read_known(ref, n, &record, error);

	if (r < 0)
		return r;
	tree = record.tree;
	pl_record_done(&record);
	pl_user_of_generation(ref, n, user);
	r = has_user(ref->store, &tree, user, error);
	if (r != 0)
		return r < 0 ? r : 0;
	if (pl_generation_is_dropped(ref, n) > 0 || pl_ref_is_current(ref) == 0) /* O2 */
		return 0;
	return fail_missing(ref, n, &tree, user, error);
}

/* 1: the tree of the tag is there and has it, or there is no such tag (any more). */
static int look_at_tag(struct pl_ref *ref, const char *name, struct pl_tag *tag, char ret_user[256],
		       struct pleach_error *error)
{
	int r = pl_tag_read(ref, name, tag, error);

	if (r == -ENOENT) {
		pl_error_clear(error);
		return 1;
	}
	if (r < 0)
		return r;
	pl_user_of_tag(ref, name, ret_user);
	return has_user(ref->store, &tag->tree, ret_user, error);
}

static int check_tag(struct pl_ref *ref, const char *name, struct pleach_error *error)
{
	struct pl_tag before, tag;
	char user[256];
	int r = look_at_tag(ref, name, &before, user, error);

	if (r == 0)
		r = look_at_tag(ref, name, &tag, user, error); /* O2 */
	if (r != 0 || !pl_id_equal(&before.tree, &tag.tree))
		return r < 0 ? r : 0;
	return fail_missing(ref, tag.generation, &tag.tree, user, error);
}

static int check_generations(struct pl_ref *ref, struct pleach_error *error)
{
	struct pl_live live = {.ref = ref};
	uint64_t head = 0;
	int r = pl_head_number(ref, &head, error);

	if (r >= 0)
		r = pl_public_check_head(ref, head, error); /* O3 */
	if (r >= 0)
		r = pl_live_update(&live, head, error);
	for (size_t i = 0; r >= 0 && i < live.n; i++) {
		r = check_generation(ref, live.items[i].r.generation, error);
		if (r >= 0)
			r = pl_store_check_cancel(ref->store, error);
	}
	pl_live_done(&live);
	return r;
}

static int check_ref(void *self, struct pl_ref *ref, struct pleach_error *error)
{
	struct pl_strings tags = {0};
	int r = check_generations(ref, error);

	(void)self;
	if (r >= 0)
		r = pl_tag_list(ref, &tags, error);
	for (size_t i = 0; r >= 0 && i < tags.n; i++)
		r = check_tag(ref, tags.items[i], error);
	pl_strings_done(&tags);
	if (r < 0 && pl_ref_is_current(ref) == 0) {
		pl_error_clear(error); /* dropped while it was looked at */
		return 0;
	}
	return r < 0 ? r : 0;
}

int pl_roots_check(struct pl_store *store, struct pleach_error *error)
{
	return pl_ref_each(store, check_ref, NULL, error);
}
