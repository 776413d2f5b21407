/*
 * Workspaces that are btrfs snapshots: one of the whole store, in w/snapshot, and of that the placed tree of
 * the base. It takes no time, whatever the size of the tree, and shares no inode with the store (W1).
 *
 * S1  Nothing is ever linked out of a snapshot (the kernel would not): what has changed is read and written
 *     into the store, as from any other directory.
 * S2  What lies beside the tree in the snapshot (objects, other trees) is a copy too, and nobody's.
 */
#include <fcntl.h>

#include "tx/workspace_plain.h"

#define SNAPSHOT_NAME "snapshot"

static int can(struct pl_workspace *ws, const char **ret_why)
{
	int r;

	if (ws->checkout) {
		*ret_why = "a checkout is made by 'copy'";
		return 0;
	}
	if (!pl_seam_has(PL_CAP_SUBVOLUME)) {
		*ret_why = "subvolumes are switched off";
		return 0;
	}
	if (strcmp(ws->store->fs.name, "btrfs") != 0) {
		*ret_why = "the store does not lie on btrfs";
		return 0;
	}
	*ret_why = "the store is no btrfs subvolume, as init makes it";
	r = pl_subvolume_is(ws->store->fd);
	return r;
}

/* Where the placed tree of the base is, below the store's .pleach. */
static int path_in_store(struct pl_workspace *ws, struct pl_buffer *b)
{
	PL_BUFFER store = {0}, lower = {0};
	int r = pl_real_path(ws->store->fd, &store);

	if (r >= 0)
		r = pl_real_path(ws->lower_fd, &lower);
	if (r < 0)
		return r;
	if (lower.length <= store.length + 1 || lower.data[store.length] != '/' ||
	    memcmp(lower.data, store.data, store.length) != 0)
		return -ESTALE; /* moved just now */
	pl_buffer_add_string(b, (const char *)lower.data + store.length + 1);
	return pl_buffer_ok(b) ? 0 : -ENOMEM;
}

static int find_tree(struct pl_workspace *ws, struct pleach_error *error)
{
	PL_CLOSE int snapshot = pl_open_dir(ws->fd, SNAPSHOT_NAME), fd = -EBADF;
	PL_BUFFER path = {0};
	int r = snapshot < 0 ? snapshot : path_in_store(ws, &path);

	if (r >= 0)
		r = fd = pl_open(snapshot, pl_buffer_string(&path), O_PATH | O_DIRECTORY);
	if (r < 0)
		return pl_fail_sys(error, r,
				   "cannot open the tree of '%s' in the snapshot of the store",
				   ws->name);
	return pl_plain_set_path(ws, fd, error);
}

static int make(struct pl_workspace *ws, struct pleach_error *error)
{
	PL_CLOSE int fd = -EBADF;
	int r = pl_subvolume_snapshot(ws->store->fd, ws->fd, SNAPSHOT_NAME);

	if (r < 0)
		return pl_fail_sys(error, r, "cannot make a snapshot of the store for '%s'",
				   ws->name);
	r = find_tree(ws, error);
	if (r < 0)
		return r;
	fd = pl_open_dir(AT_FDCWD, ws->path);
	if (fd == -EACCES) /* such is the mode of the tree's root; a scan will say the same */
		return 0;
	if (fd < 0)
		return pl_fail_sys(error, fd, "cannot open the workspace of '%s'", ws->name);
	return pl_plain_note(ws, fd, error);
}

const struct pl_workspace_driver pl_workspace_snapshot = {
	.name = "snapshot",
	.lacks = PL_LACK_SHARED,
	.is_plain = true,
	.can = can,
	.make = make,
	.open = find_tree,
	.view = pl_plain_view,
	.scan = pl_plain_scan,
};
