/*
 * An ordinary copy of a tree, from its nodes and objects, as a new directory under a name: the walk.
 * Single names are maker.c's; where a copy goes in the end is the business of who wants one (checkout.c,
 * workspaces).
 *
 * P1  When a directory is left, everything below it is as it shall be; then it gets its own metadata,
 *     through a descriptor, from its parent: its mode may keep us from going up from it.
 * P2  No inode of a copy is one of the store's: a write into it reaches nothing else (G4).
 */
#include "place/checkout.h"

struct laying {
	struct pl_maker *maker;
	int dirfd; /* the directory that the copy is made in; the caller's */
	const char *name;
	struct pl_walk walk;
	int root_fd; /* of the copy, once it is left */
};

static int enter_directory(struct laying *l, struct pleach_error *error)
{
	const char *path = pl_cursor_path(l->maker->cursor), *name = l->name;
	char entry_name[PL_NAME_MAX + 1];
	int r;

	if (*path == '\0') {
		pl_assert(l->walk.depth == 0);
		r = pl_dup(l->dirfd);
		if (r >= 0)
			r = pl_walk_init_take(&l->walk, r);
		if (r < 0)
			return pl_maker_fail(r, path, error);
	} else {
		pl_entry_name(pl_cursor_entry(l->maker->cursor), entry_name);
		name = entry_name;
	}
	r = pl_mkdir(pl_walk_fd(&l->walk), name, 0700);
	if (r >= 0)
		r = pl_maker_enter(&l->walk, name);
	return r < 0 ? pl_maker_fail(r, path, error) : 0;
}

static int leave_directory(struct laying *l, struct pleach_error *error)
{
	const char *path = pl_cursor_path(l->maker->cursor);
	PL_CLOSE int fd = pl_dup(pl_walk_fd(&l->walk));
	int r = fd < 0 ? fd : pl_walk_leave(&l->walk); /* P1 */

	if (r < 0)
		return pl_maker_fail(r, path, error);
	r = pl_maker_finish_dir(l->maker, fd, error);
	if (r >= 0 && l->walk.depth == 1) {
		pl_assert(*path == '\0' && l->root_fd < 0);
		l->root_fd = pl_take_fd(&fd);
	}
	return r;
}

static int make_entry(struct laying *l, struct pleach_error *error)
{
	char name[PL_NAME_MAX + 1];

	pl_assert(l->walk.depth >= 2);
	pl_entry_name(pl_cursor_entry(l->maker->cursor), name);
	return pl_maker_make(l->maker, pl_walk_fd(&l->walk), name, error);
}

int pl_maker_lay_out(struct pl_maker *maker, int dirfd, const char *name, int *ret_root_fd,
		     struct pleach_error *error)
{
	struct laying l = {.maker = maker, .dirfd = dirfd, .name = name, .root_fd = -EBADF};
	int r;

	while ((r = pl_maker_next(maker, error)) > 0) {
		if (r == PL_STEP_ENTER)
			r = enter_directory(&l, error);
		else if (r == PL_STEP_LEAVE)
			r = leave_directory(&l, error);
		else
			r = make_entry(&l, error);
		if (r < 0)
			break;
	}
	pl_assert(r < 0 || (l.walk.depth == 1 && l.root_fd >= 0));
	pl_walk_done(&l.walk);
	if (r >= 0)
		*ret_root_fd = pl_take_fd(&l.root_fd);
	pl_closep(&l.root_fd);
	return r;
}

int pl_copy_run(const struct pl_copy *copy, struct pleach_error *error)
{
	struct pl_checkout what = {
		.store = copy->store, .tree = copy->tree, .directory = copy->label};
	struct pl_findings findings = {0};
	struct pl_maker maker = PL_MAKER_NONE;
	PL_CLOSE int root_fd = -EBADF;
	int r = pl_maker_begin(&maker, &what, &findings, copy->dirfd, error);

	maker.trusts_clones = copy->trusts_clones;
	/* It need not be durable: nobody finds it after a power cut. */
	maker.is_durable = maker.sync_whole = maker.sync_each = maker.sync_files = false;
	if (r >= 0)
		r = pl_maker_lay_out(&maker, copy->dirfd, copy->name, &root_fd, error);
	if (r >= 0)
		r = pl_findings_must_be_none(&findings, copy->label, error);
	if (r >= 0)
		r = pl_maker_end_groups(copy->dirfd, error);
	pl_maker_end(&maker);
	pl_findings_done(&findings);
	return r;
}
