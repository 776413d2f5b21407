/*
 * A directory of the upper layer on the way of the walk: what its marks say, which directory of the base
 * it lies over, and the edit that it is. U1 to U4 are upper.c's.
 */
#include <stdlib.h>

#include "source/upper.h"

struct pl_upper_frame *pl_upper_top(struct pl_upper_walk *u)
{
	pl_assert(u->n > 0);
	return &u->frames[u->n - 1];
}

/* What a redirect leads to becomes frame->base. */
static int follow_redirect(struct pl_upper_walk *u, struct pl_upper_frame *frame,
			   struct pleach_error *error)
{
	PL_BUFFER path = {0};
	int r;

	if (u->upper->is_user)
		return pl_upper_refuse(u, pl_upper_here(u),
				       "a redirect, where overlayfs makes none", error);
	if (!u->marks.is_absolute) {
		if (!pl_upper_top(u)->base.is_there)
			return pl_upper_refuse(u, pl_upper_here(u), "its redirect leads nowhere",
					       error);
		pl_buffer_add(&path, u->ground.way.path.data, u->ground.way.path.length);
		pl_path_push(&path, (const char *)u->marks.redirect.data, u->marks.redirect.length);
	} else {
		pl_buffer_add(&path, u->marks.redirect.data, u->marks.redirect.length);
	}
	if (!pl_buffer_ok(&path))
		return pl_fail_memory(error);
	r = pl_upper_base_enter_at(&u->ground, pl_buffer_string(&path), &frame->base, error);
	if (r == 0) /* U2 */
		return pl_upper_refuse(u, pl_upper_here(u), "its redirect leads nowhere", error);
	if (r > 0 && pl_strings_add(&u->moved, pl_buffer_string(&path)) < 0) {
		pl_upper_base_leave(&u->ground, &frame->base);
		return pl_fail_memory(error);
	}
	return r < 0 ? r : 0;
}

/* Finds the directory of the base that shows through the one just entered. `below`: what the base has in
 * its place. */
static int find_base(struct pl_upper_walk *u, const struct pl_entry *below, const char *name,
		     struct pl_upper_frame *frame, struct pleach_error *error)
{
	struct pl_id node;

	if (u->marks.is_redirected)
		return follow_redirect(u, frame, error);
	if (u->marks.is_opaque || !below || below->kind != PLEACH_DIR)
		return 0;
	node = below->hash;
	return pl_upper_base_enter(&u->ground, name, &node, &frame->base, error);
}

/* The edit of the directory that was just entered, on frame->base. */
static int put_directory(struct pl_upper_walk *u, const struct pl_upper_frame *frame,
			 const struct stat *st, struct pleach_error *error)
{
	const char *origin = frame->base.is_there ? pl_buffer_string(&u->ground.way.path) : NULL;
	struct pl_meta meta;
	int r = origin ? pl_moves_directory(&u->moves, origin, pl_upper_here(u)) : 0;

	if (r == 1) /* U3 */
		return pl_upper_refuse(u, pl_upper_here(u),
				       "another directory lies over the same one", error);
	if (r < 0)
		return pl_fail_memory(error);
	r = pl_ingest_directory(&u->ingest, pl_walk_fd(&u->walk), pl_upper_here(u), st, &meta,
				error);
	if (r < 0)
		return r;
	r = pl_changeset_dir(u->changes, pl_upper_here(u), origin, &meta);
	return r < 0 ? pl_fail_sys(error, r, "cannot note '%s'",
				   pl_upper_shown(u, pl_upper_here(u)))
		     : 0;
}

/* Looks at the directory that was just entered: it is on another file system, or has odd marks? */
static int inspect(struct pl_upper_walk *u, struct stat *ret_st, struct pleach_error *error)
{
	int fd = pl_walk_fd(&u->walk), r = pl_fstat(fd, ret_st);
	const char *flaw = NULL;

	if (r < 0)
		return pl_upper_fail_here(u, r, "look at", error);
	r = pl_upper_check_device(u, ret_st, error);
	if (r < 0)
		return r;
	r = pl_marks_read(fd, u->upper->is_user, &u->marks, &flaw);
	if (r == -EBADMSG && flaw)
		return pl_upper_refuse(u, pl_upper_here(u), flaw, error);
	return r < 0 ? pl_upper_fail_here(u, r, "read the marks of", error) : 0;
}

int pl_upper_push(struct pl_upper_walk *u, const struct pl_entry *below, const char *name,
		  struct pleach_error *error)
{
	struct pl_upper_frame frame = {0};
	struct stat st;
	int r;

	if (PL_ARRAY_GROW(u->frames, u->capacity, u->n) < 0)
		return pl_fail_memory(error);
	if (u->n > PL_DEPTH_MAX)
		return pl_fail(error, PLEACH_FAILED, -ELOOP, "'%s' is more than %d levels deep",
			       u->upper->label, PL_DEPTH_MAX);
	r = inspect(u, &st, error);
	if (r < 0)
		return r;
	if (!name && (u->marks.is_opaque || u->marks.is_redirected))
		return pl_upper_refuse(u, "", "its root is marked as what a root cannot be", error);
	frame.has_xwhiteouts = u->marks.has_xwhiteouts;
	r = name ? find_base(u, below, name, &frame, error)
		 : pl_upper_base_enter_root(&u->ground, &frame.base, error);
	if (r < 0)
		return r;
	u->frames[u->n++] = frame;
	r = put_directory(u, &frame, &st, error);
	if (r < 0)
		return r;
	r = pl_list(pl_walk_fd(&u->walk), &pl_upper_top(u)->listing);
	return r < 0 ? pl_upper_fail_here(u, r, "list", error) : 0;
}

void pl_upper_drop(struct pl_upper_walk *u)
{
	struct pl_upper_frame *frame = pl_upper_top(u);

	pl_listing_done(&frame->listing);
	pl_upper_base_leave(&u->ground, &frame->base);
	u->n--;
}

/* U3. Known only when all of the upper layer was seen: what hides the old place may come last. */
int pl_upper_check_moved(struct pl_upper_walk *u, struct pleach_error *error)
{
	for (size_t i = 0; i < u->moved.n; i++) {
		PL_BUFFER path = {0};
		int r = pl_moves_find(&u->moves, u->moved.items[i], &path);

		if (r < 0)
			return pl_fail_memory(error);
		if (r == 1)
			return pl_upper_refuse(u, pl_buffer_string(&path),
					       "it was moved, and is not hidden here", error);
	}
	return 0;
}
