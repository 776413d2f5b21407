/*
 * Workspaces that are overlays over the placed tree: w/upper and w/work, mounted where the program runs and
 * nowhere else. Two drivers: as root, and in a user namespace, where the marks are user.overlay.* and
 * hard links split.
 *
 * O1  With index=on names that share an inode are one file: it is never mounted so over a placing in which
 *     equal files share inodes (PL_LACK_SHARED).
 * O2  The metadata of an overlay's root is that of the upper's: it is made to be the base's.
 * O3  `volatile` (no sync at all) is for what does not outlive this process. The kernel refuses to mount
 *     over what it left; once that is synced otherwise, the mark that it refuses by may go.
 * O4  A parked overlay is mounted over the very directory that it was made for: handles in it lead there. Which that
 *     is, is written down for that alone: when it is made, or when it is kept after all.
 * O5  In a user namespace, where only this user and group have numbers, nothing else can be copied up
 *     (EOVERFLOW): a tree with anything of others' is passed over.
 */
#include <fcntl.h>

#include "tx/workspace_mountable.h"

#define UPPER	   "upper"
#define WORK	   "work"
#define LOWER_NOTE "lower"

#define ROOT_OPTIONS "index=on\nredirect_dir=on\nmetacopy=off\nxino=off\n"
#define USER_OPTIONS "userxattr\nindex=off\nmetacopy=off\nxino=off\n"
#define VOLATILE     "volatile\n"

/* ---- options ---- */

static const char *fixed_options(const struct pl_workspace *ws, bool as_user)
{
	if (as_user)
		return ws->is_parked ? USER_OPTIONS : USER_OPTIONS VOLATILE; /* O3 */
	return ws->is_parked ? ROOT_OPTIONS : ROOT_OPTIONS VOLATILE;
}

/* One a line, as PL_VIEW_OVERLAY wants them. -EINVAL: a path has lines itself. */
static int add_options(const struct pl_workspace *ws, bool as_user, struct pl_buffer *b)
{
	PL_BUFFER path = {0};
	const char *here;
	int r = pl_real_path(ws->fd, &path);

	if (r < 0)
		return r;
	here = pl_buffer_string(&path);
	if (!here)
		return -ENOMEM;
	if (strchr(here, '\n') || strchr(ws->lower_path, '\n'))
		return -EINVAL;
	pl_buffer_add_format(b, "lowerdir=%s\n", ws->lower_path);
	pl_buffer_add_format(b, "upperdir=%s/" UPPER "\nworkdir=%s/" WORK "\n", here, here);
	pl_buffer_add_string(b, fixed_options(ws, as_user));
	return pl_buffer_ok(b) ? 0 : -ENOMEM;
}

/* ---- can it be had? ---- */

static int forget_root(struct pl_workspace *ws)
{
	return pl_mountable_forget(ws, false);
}

static int forget_user(struct pl_workspace *ws)
{
	return pl_mountable_forget(ws, true);
}

static int can(struct pl_workspace *ws, bool as_user, const char **ret_why)
{
	PL_BUFFER options = {0};
	int r;

	if (ws->checkout) {
		*ret_why = "a checkout is made by 'copy'";
		return 0;
	}
	if (!pl_seam_has(PL_CAP_OVERLAY)) {
		*ret_why = "overlays are switched off";
		return 0;
	}
	r = add_options(ws, as_user, &options);
	if (r == -EINVAL) {
		*ret_why = "the path of the store has more than one line";
		return 0;
	}
	return r < 0 ? r : pl_mountable(ws, as_user, fixed_options(ws, as_user), ret_why);
}

static int can_as_root(struct pl_workspace *ws, const char **ret_why)
{
	if (pl_may_mount() != 1) {
		*ret_why = "only root may mount it";
		return 0;
	}
	return can(ws, false, ret_why);
}

/* O5. What this entry has that has no number in a user namespace of this user, or cannot be had there. */
static const char *flaw_of_meta(const struct pl_meta *meta)
{
	const unsigned char *value;
	const char *name;
	size_t name_length, length;
	uint32_t offset = 0;

	if (meta->uid != PLEACH_NO_OWNER && meta->uid != pl_uid())
		return "the tree has files of another user";
	if (meta->gid != PLEACH_NO_OWNER && meta->gid != pl_gid())
		return "the tree has files of a group that is not this user's own";
	while (pl_meta_xattr_next(meta, &offset, &name, &name_length, &value, &length)) {
		if (strncmp(name, "system.posix_acl_", strlen("system.posix_acl_")) == 0)
			return "the tree has ACLs, which may name others";
		if (strncmp(name, "user.", strlen("user.")) != 0)
			return "the tree has attributes that only root can set";
	}
	return NULL;
}

/* 1: none. 0: one, *ret_why. Costs a reading of all nodes, which is much less than any copy does. */
static int look_for_flaws(struct pl_workspace *ws, const char **ret_why)
{
	struct pl_node_source nodes = pl_store_nodes(ws->store);
	struct pl_cursor *cursor;
	const char *why = NULL;
	int r = pl_cursor_new(&nodes, &ws->base, false, ws->store->seed, &cursor, NULL);

	if (r < 0)
		return r;
	while (!why && (r = pl_cursor_next(cursor, NULL)) > 0) {
		if (pl_store_is_cancelled(ws->store))
			r = -EINTR;
		else if (r == PL_STEP_ENTER)
			why = flaw_of_meta(&pl_cursor_node(cursor)->meta);
		else if (r == PL_STEP_ENTRY)
			why = flaw_of_meta(&pl_cursor_entry(cursor)->meta);
		if (r < 0)
			break;
	}
	pl_cursor_free(cursor);
	if (r < 0)
		return r;
	if (why)
		*ret_why = why;
	return why ? 0 : 1;
}

/* Files of a tree without owners have those that they were placed with: that of the root tells. */
static int look_at_root(struct pl_workspace *ws, const char **ret_why)
{
	struct stat st;
	int r = pl_fstat(ws->lower_fd, &st);

	if (r < 0)
		return r;
	if (st.st_uid == pl_uid() && st.st_gid == pl_gid())
		return 1;
	*ret_why = "the placed tree belongs to another user or group";
	return 0;
}

static int can_as_user(struct pl_workspace *ws, const char **ret_why)
{
	int r;

	if (ws->totals.oddities & PL_ODD_DEVICE) {
		*ret_why = "the tree has devices, which cannot be opened there";
		return 0;
	}
	r = look_at_root(ws, ret_why);
	if (r == 1)
		r = can(ws, true, ret_why);
	if (r == 1)
		r = look_for_flaws(ws, ret_why);
	return r;
}

/* ---- making ---- */

/* O4. The kernel looks too, but says no more than ESTALE, and only with index=on. */
static int lower_note(const struct pl_workspace *ws, struct pl_buffer *b)
{
	char hex[PL_ID_HEX + 1];
	struct stat st;
	int r = pl_fstat(ws->lower_fd, &st);

	if (r < 0)
		return r;
	pl_buffer_add_format(b, "%s %llu\n", pl_id_hex(&ws->base, hex),
			     (unsigned long long)st.st_ino);
	return pl_buffer_ok(b) ? 0 : -ENOMEM;
}

static int write_lower_note(struct pl_workspace *ws, bool sync)
{
	PL_BUFFER note = {0};
	int r = lower_note(ws, &note);

	return r < 0 ? r : pl_write_file(ws->fd, LOWER_NOTE, 0600, note.data, note.length, sync);
}

/* O2. */
static int make_upper(struct pl_workspace *ws, struct pleach_error *error)
{
	struct pl_node_source nodes = pl_store_nodes(ws->store);
	PL_CLOSE int fd = -EBADF;
	const char *why = NULL;
	struct pl_node root;
	int r = pl_mkdir(ws->fd, UPPER, 0700);

	if (r >= 0)
		r = fd = pl_open_dir(ws->fd, UPPER);
	if (r < 0)
		return pl_fail_sys(error, r, "cannot make the upper layer of a workspace of '%s'",
				   ws->name);
	r = pl_node_read(&nodes, &ws->base, &root, error);
	if (r < 0)
		return r;
	r = pl_meta_restore(fd, &root.meta, PLEACH_DIR, &why);
	pl_node_done(&root);
	if (r == -EPERM || r == -E2BIG)
		return pl_fail(error, PLEACH_FAILED, r,
			       "the root of a workspace cannot be as the tree's: %s", why);
	return r < 0 ? pl_fail_sys(error, r, "cannot set the metadata of a workspace's root") : 0;
}

static int make(struct pl_workspace *ws, struct pleach_error *error)
{
	int r = make_upper(ws, error);

	if (r < 0)
		return r;
	r = pl_mkdir(ws->fd, WORK, 0700);
	if (r >= 0 && ws->is_parked)
		r = write_lower_note(ws, false); /* synced with all of it */
	return r < 0 ? pl_fail_sys(error, r, "cannot make a workspace of '%s'", ws->name) : 0;
}

static int open_layers(struct pl_workspace *ws, struct pleach_error *error)
{
	PL_BUFFER expected = {0}, found = {0};
	int r = lower_note(ws, &expected);

	if (r >= 0)
		r = pl_read_file(ws->fd, LOWER_NOTE, 4096, &found);
	if (r < 0)
		return pl_fail_sys(error, r, "cannot open the workspace of transaction %s",
				   ws->tx->id);
	if (found.length == expected.length && memcmp(found.data, expected.data, found.length) == 0)
		return 0;
	r = pl_fail(error, PLEACH_FAILED, -ESTALE,
		    "the tree that transaction %s began with was placed anew since", ws->tx->id);
	pl_hint(error, "what it has changed cannot be seen any more: abort it, and begin again");
	return r;
}

/* ---- showing ---- */

static int view(struct pl_workspace *ws, bool as_user, struct pl_strings *room,
		struct pl_view_step *step)
{
	PL_BUFFER options = {0};
	int r = add_options(ws, as_user, &options);

	if (r >= 0)
		r = pl_strings_add(room, pl_buffer_string(&options));
	if (r < 0)
		return r;
	step->what = PL_VIEW_OVERLAY;
	step->source = NULL;
	step->data = room->items[room->n - 1];
	return 0;
}

static int view_as_root(struct pl_workspace *ws, struct pl_strings *room, struct pl_view_step *step,
			bool *ret_with_user_namespace)
{
	*ret_with_user_namespace = false;
	return view(ws, false, room, step);
}

static int view_as_user(struct pl_workspace *ws, struct pl_strings *room, struct pl_view_step *step,
			bool *ret_with_user_namespace)
{
	*ret_with_user_namespace = true;
	return view(ws, true, room, step);
}

/* ---- reading ---- */

/* Opens what is to be read of it; `stage` is left to the caller. 0 or an error; close_upper() in any case. */
static int open_upper(struct pl_workspace *ws, bool as_user, enum pl_rule rule,
		      struct pl_upper *ret_upper)
{
	struct pl_upper upper = {
		.store = ws->store,
		.upper_fd = pl_open_dir(ws->fd, UPPER),
		.index_fd = as_user ? -EBADF : pl_open_dir(ws->fd, WORK "/index"),
		.lower_fd = ws->lower_fd,
		.base = ws->base,
		.rule = rule,
		.is_user = as_user,
		.label = ws->name,
	};

	*ret_upper = upper;
	if (upper.upper_fd < 0)
		return upper.upper_fd;
	if (upper.index_fd < 0 && upper.index_fd != -ENOENT && upper.index_fd != -EBADF)
		return upper.index_fd;
	ret_upper->index_fd = upper.index_fd < 0 ? -EBADF : upper.index_fd; /* never mounted */
	return 0;
}

static void close_upper(struct pl_upper *upper)
{
	pl_closep(&upper->upper_fd);
	pl_closep(&upper->index_fd);
}

static int scan(struct pl_workspace *ws, bool as_user, struct pl_stage *stage, enum pl_rule rule,
		struct pl_scan_result *ret_result, struct pleach_error *error)
{
	struct pl_upper upper;
	int r = open_upper(ws, as_user, rule, &upper);

	upper.stage = stage;
	r = r < 0 ? pl_fail_sys(error, r, "cannot read the workspace of '%s'", ws->name)
		  : pl_upper_run(&upper, ret_result, error);
	close_upper(&upper);
	return r;
}

static int scan_as_root(struct pl_workspace *ws, struct pl_stage *stage, enum pl_rule rule,
			struct pl_scan_result *ret_result, struct pleach_error *error)
{
	return scan(ws, false, stage, rule, ret_result, error);
}

static int scan_as_user(struct pl_workspace *ws, struct pl_stage *stage, enum pl_rule rule,
			struct pl_scan_result *ret_result, struct pleach_error *error)
{
	return scan(ws, true, stage, rule, ret_result, error);
}

static bool is_untouched(struct pl_workspace *ws, bool as_user, enum pl_rule rule)
{
	struct pl_upper upper;
	bool is = open_upper(ws, as_user, rule, &upper) >= 0 && pl_upper_is_untouched(&upper);

	close_upper(&upper);
	return is;
}

static bool is_untouched_as_root(struct pl_workspace *ws, enum pl_rule rule)
{
	return is_untouched(ws, false, rule);
}

static bool is_untouched_as_user(struct pl_workspace *ws, enum pl_rule rule)
{
	return is_untouched(ws, true, rule);
}

/* ---- parking ---- */

/* What was mounted volatile was synced since. (O3) */
static int take_mark_off(struct pl_workspace *ws)
{
	PL_CLOSE int work = pl_open_dir(ws->fd, WORK "/work");
	int r;

	if (work == -EACCES) { /* the kernel makes it with no mode at all */
		r = pl_chmod_at(ws->fd, WORK "/work", 0700);
		if (r < 0)
			return r;
		work = pl_open_dir(ws->fd, WORK "/work");
	}
	if (work < 0)
		return work == -ENOENT ? 0 : work;
	r = pl_erase(work, "incompat", NULL);
	return r < 0 ? r : pl_store_sync(ws->store, work);
}

static int settle(struct pl_workspace *ws)
{
	int r = write_lower_note(ws, ws->store->settings.durable); /* O4 */

	if (r >= 0)
		r = pl_store_sync(ws->store, ws->fd);
	return r < 0 && r != -EEXIST ? r : take_mark_off(ws);
}

const struct pl_workspace_driver pl_workspace_overlay = {
	.name = "overlay",
	.lacks = PL_LACK_WHITEOUTS | PL_LACK_OVERLAY_ATTRS | PL_LACK_FULL_XATTRS |
		 PL_LACK_SHARED, /* O1 */
	.can = can_as_root,
	.make = make,
	.open = open_layers,
	.view = view_as_root,
	.scan = scan_as_root,
	.is_untouched = is_untouched_as_root,
	.settle = settle,
	.forget = forget_root,
};

/*
 * W4. Here the first write to a file gives it another inode number, and the rename of a directory of the
 * base is EXDEV: editors and others stumble over that. On ext4 a copy of up to so much took a few milliseconds
 * longer, making, reading and erasing included: about 40 us a file and 4 ms a MiB, twice that when it is committed.
 */
#define SMALL_ENTRIES 64
#define SMALL_BYTES   (256 * 1024)

const struct pl_workspace_driver pl_workspace_user_overlay = {
	.name = "user-overlay",
	.lacks = PL_LACK_GROUPS | PL_LACK_DIR_RENAME | PL_LACK_WHITEOUTS | PL_LACK_OVERLAY_ATTRS |
		 PL_LACK_FULL_XATTRS,
	.small = {SMALL_ENTRIES, SMALL_BYTES},
	.can = can_as_user,
	.make = make,
	.open = open_layers,
	.view = view_as_user,
	.scan = scan_as_user,
	.is_untouched = is_untouched_as_user,
	.settle = settle,
	.forget = forget_user,
};
