/*
 * Workspaces that are copies of the tree, by reflink or in full: a directory as any other, w/tree, or with
 * `begin --checkout` the one that the user named. They lack nothing that the file system has.
 *
 * C1  A copy is exact or is not made: what this user or this file system cannot have is an error, by path.
 * C2  No inode of a copy is one of the store's (W1): each file is made from its object.
 */
#include <fcntl.h>

#include "tx/workspace_plain.h"

#define TREE_NAME "tree"

/* ---- can it be had? ---- */

static int can_copy(struct pl_workspace *ws, const char **ret_why)
{
	(void)ws;
	(void)ret_why;
	return 1;
}

/* Two files, the one cloned from the other: 1, 0 or an error. */
static int try_clone(int dirfd)
{
	static const char content[] = "shared";
	PL_CLOSE int from = pl_create(dirfd, "clone-from", 0600), to = -EBADF;
	int r = from < 0 ? from : pl_write_full(from, content, sizeof(content));

	if (r >= 0)
		r = to = pl_create(dirfd, "clone-to", 0600);
	if (r >= 0)
		r = pl_clone_content(from, to, sizeof(content));
	(void)pl_unlink(dirfd, "clone-from");
	(void)pl_unlink(dirfd, "clone-to");
	return r;
}

static int can_reflink(struct pl_workspace *ws, const char **ret_why)
{
	int r;

	if (ws->checkout) {
		*ret_why = "a checkout is made by 'copy', which clones where it can";
		return 0;
	}
	*ret_why = "the file system of the store cannot share extents between files";
	r = try_clone(ws->fd);
	pl_assert(r <= 1);
	return r;
}

/* ---- making ---- */

static int note_checkout(void *self, int root_fd, struct pleach_error *error)
{
	return pl_plain_note(self, root_fd, error);
}

/* What is advised for `pleach checkout`, to update what is there, cannot be done here. */
static int fail_checkout(int r, const struct pleach_error *why, struct pleach_error *error)
{
	bool is_in_the_way = r == -ENOTEMPTY || r == -EBUSY || (r == -EACCES && why->hint[0]);

	pl_fail(error, why->code, r, "%s", why->message);
	pl_error_path(error, why->path);
	pl_hint(error, "%s",
		is_in_the_way ? "name one that is new or empty, in a directory that you may write"
			      : why->hint);
	return r;
}

/* The note is made while nobody else can reach the files: a change after it shows by its time. */
static int make_checkout(struct pl_workspace *ws, struct pleach_error *error)
{
	const struct pl_checkout checkout = {
		.store = ws->store,
		.tree = ws->base,
		.directory = ws->checkout,
		.is_strict = true, /* C1 */
		.before_name = note_checkout,
		.self = ws,
	};
	struct pl_findings findings = {0};
	struct pleach_error why = PLEACH_ERROR_INIT;
	int r = pl_checkout_run(&checkout, &findings, &why);

	pl_assert(r <= 0 && findings.n == 0);
	pl_findings_done(&findings);
	return r < 0 ? fail_checkout(r, &why, error) : 0;
}

static int make_tree(struct pl_workspace *ws, bool trusts_clones, struct pleach_error *error)
{
	const struct pl_copy copy = {
		.store = ws->store,
		.tree = ws->base,
		.dirfd = ws->fd,
		.name = TREE_NAME,
		.label = "a workspace",
		.trusts_clones = trusts_clones,
	};
	PL_CLOSE int fd = -EBADF;
	int r = pl_copy_run(&copy, error); /* C1, C2 */

	if (r < 0)
		return r;
	fd = pl_open_dir(ws->fd, TREE_NAME);
	if (fd == -EACCES) /* such is the mode of the tree's root; a scan will say the same */
		return 0;
	if (fd < 0)
		return pl_fail_sys(error, fd, "cannot open the workspace of '%s'", ws->name);
	return pl_plain_note(ws, fd, error);
}

/* ---- opening ---- */

static int find_tree(struct pl_workspace *ws, struct pleach_error *error)
{
	PL_CLOSE int fd = ws->checkout ? pl_open(AT_FDCWD, ws->checkout, O_PATH | O_DIRECTORY)
				       : pl_open(ws->fd, TREE_NAME, O_PATH | O_DIRECTORY);

	if (fd >= 0)
		return pl_plain_set_path(ws, fd, error);
	pl_fail_sys(error, fd, "cannot open the workspace '%s'",
		    ws->checkout ? ws->checkout : TREE_NAME);
	if (ws->checkout)
		pl_error_path(error, ws->checkout);
	return fd;
}

static int make_copy(struct pl_workspace *ws, struct pleach_error *error)
{
	int r = ws->checkout ? make_checkout(ws, error) : make_tree(ws, false, error);

	return r < 0 ? r : find_tree(ws, error);
}

static int make_reflink(struct pl_workspace *ws, struct pleach_error *error)
{
	int r;

	pl_assert(!ws->checkout);
	r = make_tree(ws, true, error);
	return r < 0 ? r : find_tree(ws, error);
}

const struct pl_workspace_driver pl_workspace_reflink = {
	.name = "reflink",
	.is_plain = true,
	.can = can_reflink,
	.make = make_reflink,
	.open = find_tree,
	.view = pl_plain_view,
	.scan = pl_plain_scan,
};

const struct pl_workspace_driver pl_workspace_copy = {
	.name = "copy",
	.is_plain = true,
	.can = can_copy,
	.make = make_copy,
	.open = find_tree,
	.view = pl_plain_view,
	.scan = pl_plain_scan,
};
