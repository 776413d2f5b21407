/*
 * Choosing, making and ending the workspace of a transaction. What a single driver does is in its own file.
 *
 *	none --choose: the first that can be had--> tx/<id>/w --make--> what the driver has put there
 *		--close, open by another process--> the same --remove--> none
 *	killed anywhere: tx/<id>/w is erased with tx/<id> by whoever finds it dead
 *
 * W2  A driver that lacks what the tree needs, or cannot be had here, is passed over with its reason; one
 *     that was asked for by name is then an error, and nothing else takes its place.
 * W3  A driver that was chosen and then fails is an error too: what is wrong (no space, something that this
 *     user may not restore) would be found by the next one as well, after more work.
 * W4  A small tree is copied rather than given to a driver that lacks something and is no cheaper then; one
 *     that was asked for by name is taken all the same.
 */
#include <stdlib.h>

#include "tx/workspace.h"

#define DIR_NAME "w"

const struct pl_workspace_driver *const pl_workspace_drivers[] = {
	&pl_workspace_overlay,	    &pl_workspace_snapshot, &pl_workspace_reflink,
	&pl_workspace_user_overlay, &pl_workspace_copy,	    NULL,
};

/* ---- what a tree needs ---- */

/*
 * Room for overlayfs' marks beside the attributes of a file. ext4 and f2fs keep all attributes of a file in
 * one block (and a little in the inode). The marks are origin (60 bytes), nlink, impure or opaque (30
 * each) and redirect (up to 300), with ext4's overhead. In our encoding an attribute takes up to half less
 * than there, so a quarter of the block is surely not too much.
 */
static uint32_t xattrs_max(const struct pl_workspace *ws)
{
	const char *fs = ws->store->fs.name;
	uint32_t block = 4096;
	struct stat st;

	if (strcmp(fs, "xfs") == 0 || strcmp(fs, "btrfs") == 0 || strcmp(fs, "tmpfs") == 0)
		return UINT32_MAX; /* one attribute at a time has a limit there, not their sum */
	if (pl_fstat(ws->store->fd, &st) >= 0 && st.st_blksize > 0 && st.st_blksize < 4096)
		block = (uint32_t)st.st_blksize;
	return block / 4;
}

static unsigned needs_of(const struct pl_workspace *ws)
{
	const struct pl_totals *totals = &ws->totals;
	unsigned needs = 0;

	if (totals->groups > 0)
		needs |= PL_LACK_GROUPS;
	if (totals->oddities & PL_ODD_WHITEOUT)
		needs |= PL_LACK_WHITEOUTS;
	if (totals->oddities & PL_ODD_OVERLAY)
		needs |= PL_LACK_OVERLAY_ATTRS;
	if (totals->xattrs > xattrs_max(ws))
		needs |= PL_LACK_FULL_XATTRS;
	if (ws->share == PL_SHARE_CONTENT)
		needs |= PL_LACK_SHARED;
	return needs;
}

static const char *text_of_lack(unsigned lacking)
{
	static const struct {
		unsigned lack;
		const char *text;
	} texts[] = {
		{PL_LACK_GROUPS, "it would split the tree's hard links"},
		{PL_LACK_WHITEOUTS, "the tree has a device 0/0, which it would not show"},
		{PL_LACK_OVERLAY_ATTRS, "the tree has attributes that mean something to it"},
		{PL_LACK_FULL_XATTRS, "a file has attributes that leave no room for its marks"},
		{PL_LACK_SHARED, "equal files may share an inode in it (share=content)"},
	};

	for (size_t i = 0; i < PL_ARRAY_LEN(texts); i++)
		if (lacking & texts[i].lack)
			return texts[i].text;
	pl_assert(!"a lack that no tree needs");
	return NULL;
}

/* ---- choosing ---- */

static const struct pl_workspace_driver *find_driver(const char *name)
{
	for (size_t i = 0; pl_workspace_drivers[i]; i++)
		if (strcmp(pl_workspace_drivers[i]->name, name) == 0)
			return pl_workspace_drivers[i];
	return NULL;
}

static int fail_unknown(const char *name, struct pleach_error *error)
{
	PL_BUFFER names = {0};
	int r;

	for (size_t i = 0; pl_workspace_drivers[i]; i++) {
		if (i > 0)
			pl_buffer_add_string(&names, ", ");
		pl_buffer_add_string(&names, pl_workspace_drivers[i]->name);
	}
	r = pl_fail_usage(error, "there is no workspace '%s'", name);
	if (pl_buffer_ok(&names))
		pl_hint(error, "it is one of %s", pl_buffer_string(&names));
	return r;
}

/* W2. 1: it is to be made. 0: not, *ret_why says why. */
static int consider(struct pl_workspace *ws, const struct pl_workspace_driver *driver,
		    const char **ret_why, struct pleach_error *error)
{
	unsigned lacking = driver->lacks & needs_of(ws);
	int r;

	*ret_why = "it cannot be had here";
	if (lacking) {
		*ret_why = text_of_lack(lacking);
		return 0;
	}
	r = driver->can(ws, ret_why);
	if (r < 0)
		return pl_fail_sys(error, r, "cannot find out whether a workspace '%s' can be had",
				   driver->name);
	return r;
}

static int pass_over(struct pl_strings *passed_over, const char *name, const char *why,
		     struct pleach_error *error)
{
	PL_BUFFER line = {0};

	if (!passed_over)
		return 0;
	pl_buffer_add_format(&line, "%s: %s", name, why);
	if (!pl_buffer_ok(&line) || pl_strings_add(passed_over, pl_buffer_string(&line)) < 0)
		return pl_fail_memory(error);
	return 0;
}

/* 1: this user may read every file of the tree, as a copy must. 0: not. */
static int is_readable(struct pl_workspace *ws)
{
	struct pl_node_source nodes = pl_store_nodes(ws->store);
	struct pl_cursor *cursor;
	int r = pl_cursor_new(&nodes, &ws->base, false, ws->store->seed, &cursor, NULL);
	bool is_barred = false;

	if (r < 0)
		return r;
	while (!is_barred && (r = pl_cursor_next(cursor, NULL)) > 0) {
		const struct pl_entry *entry = r == PL_STEP_ENTRY ? pl_cursor_entry(cursor) : NULL;

		is_barred = entry && entry->kind == PLEACH_FILE && !(entry->meta.mode & 0400);
	}
	pl_cursor_free(cursor);
	if (r < 0)
		return r;
	return is_barred ? 0 : 1;
}

/* W4. 1 or 0, or an error. */
static int is_better_copied(struct pl_workspace *ws, const struct pl_workspace_driver *driver,
			    struct pleach_error *error)
{
	int r;

	if (driver->small.entries == 0 || ws->totals.entries > driver->small.entries ||
	    ws->totals.bytes > driver->small.bytes)
		return 0;
	r = is_readable(ws);
	return r < 0 ? pl_fail_sys(error, r, "cannot read the tree that a workspace is for") : r;
}

static int choose(struct pl_workspace *ws, struct pl_strings *passed_over,
		  struct pleach_error *error)
{
	const char *why;
	int r = 0;

	for (size_t i = 0; pl_workspace_drivers[i] && r == 0; i++) {
		const struct pl_workspace_driver *driver = pl_workspace_drivers[i];

		why = "a small tree is copied";
		r = is_better_copied(ws, driver, error);
		if (r >= 0)
			r = r == 1 ? 0 : consider(ws, driver, &why, error);
		if (r == 1)
			ws->driver = driver;
		else if (r == 0)
			r = pass_over(passed_over, driver->name, why, error);
	}
	pl_assert(r != 0); /* a copy can always be had */
	return r < 0 ? r : 0;
}

static int take_named(struct pl_workspace *ws, const char *name, struct pleach_error *error)
{
	const struct pl_workspace_driver *driver = find_driver(name);
	const char *why;
	int r;

	if (!driver)
		return fail_unknown(name, error);
	r = consider(ws, driver, &why, error);
	if (r == 0) {
		r = pl_fail(error, PLEACH_FAILED, -EOPNOTSUPP, "a workspace '%s' cannot be had: %s",
			    name, why);
		pl_hint(error, "without --workspace the first that can be had is taken");
	}
	if (r == 1)
		ws->driver = driver;
	return r < 0 ? r : 0;
}

/* ---- making and ending ---- */

static int open_dir(struct pl_workspace *ws)
{
	int fd = pl_open_dir(ws->tx->fd, DIR_NAME);

	if (fd < 0)
		return fd;
	ws->fd = fd;
	return 0;
}

static int make_dir(struct pl_workspace *ws, struct pleach_error *error)
{
	int r = pl_mkdir(ws->tx->fd, DIR_NAME, 0700);

	if (r >= 0)
		r = pl_chmod_at(ws->tx->fd, DIR_NAME, 0700); /* whatever the umask is */
	if (r >= 0)
		r = open_dir(ws);
	return r < 0 ? pl_fail_sys(error, r, "cannot make a workspace in '%s/.pleach/tx'",
				   ws->store->path)
		     : 0;
}

int pl_workspace_choose(struct pl_workspace *ws, const char *name, struct pl_strings *passed_over,
			struct pleach_error *error)
{
	int r;

	pl_assert(ws->store && ws->tx && ws->lower_fd >= 0 && ws->lower_path);
	ws->driver = NULL;
	ws->path = NULL;
	ws->fd = -EBADF;
	r = make_dir(ws, error);
	if (r >= 0)
		r = name ? take_named(ws, name, error) : choose(ws, passed_over, error);
	pl_assert(r < 0 || ws->driver);
	if (r < 0)
		(void)pl_workspace_remove(ws); /* what stays goes with tx/<id> */
	return r;
}

int pl_workspace_make(struct pl_workspace *ws, struct pleach_error *error)
{
	int r;

	pl_assert(ws->driver && ws->fd >= 0 && !ws->path);
	r = ws->driver->make(ws, error); /* W3 */
	pl_assert(r < 0 || ws->driver->is_plain == (ws->path != NULL));
	if (r < 0)
		(void)pl_workspace_remove(ws);
	return r;
}

int pl_workspace_open(struct pl_workspace *ws, const char *name, struct pleach_error *error)
{
	int r;

	pl_assert(ws->store && ws->tx && ws->lower_fd >= 0 && ws->lower_path);
	ws->path = NULL;
	ws->fd = -EBADF;
	ws->driver = find_driver(name);
	if (!ws->driver)
		return fail_unknown(name, error);
	r = open_dir(ws);
	if (r < 0)
		pl_fail_sys(error, r, "cannot open the workspace of transaction %s", ws->tx->id);
	else
		r = ws->driver->open(ws, error);
	if (r < 0)
		pl_workspace_close(ws);
	return r;
}

void pl_workspace_forget(struct pl_workspace *ws)
{
	pl_assert(ws->driver);
	if (ws->driver->forget)
		(void)ws->driver->forget(ws);
}

int pl_workspace_remove(struct pl_workspace *ws)
{
	int first = 0, r;

	if (ws->fd >= 0 && ws->driver && ws->driver->remove)
		first = ws->driver->remove(ws);
	pl_workspace_close(ws);
	r = pl_workspace_recover(ws->tx->fd);
	return first < 0 ? first : r;
}

/* Subvolumes go with what they lie in: pl_erase() knows of them. */
int pl_workspace_recover(int txdir_fd)
{
	return pl_erase(txdir_fd, DIR_NAME, NULL);
}

void pl_workspace_close(struct pl_workspace *ws)
{
	pl_closep(&ws->fd);
	ws->fd = -EBADF;
	free(ws->path);
	ws->path = NULL;
	ws->driver = NULL;
}
