/*
 * Single names of a checkout. What is made is ordinary: no inode of it is one of the store's.
 *
 * M1  Two names are one inode exactly when they are a group, as far as the file system has hard links.
 *     The first member that is made gets a second name, the group's number, in a private directory; the
 *     others are linked from there, and the last one is that name, moved. So no directory has to be
 *     gone into again, and no inode ever has more names than the group has members.
 * M2  What is made under its name has its content verified (but for trusted clones), and its metadata.
 * M3  What this user or this file system cannot have at all (devices) is left out, with a finding;
 *     what it can have in part is there (nearest.c).
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/sysmacros.h>

#include "place/checkout.h"

#define GROUPS_NAME "groups"

int pl_maker_fail(int r, const char *path, struct pleach_error *error)
{
	if (r == -ENOMEM)
		return pl_fail_memory(error);
	pl_fail_sys(error, r, "cannot check out '%s'", *path ? path : ".");
	pl_error_path(error, path);
	return r;
}

/* ---- the whole ---- */

static int look_at_tree(struct pl_maker *maker, const struct pl_node_source *nodes,
			const struct pl_id *tree, struct pleach_error *error)
{
	struct pl_totals totals;
	int r = pl_tree_totals(nodes, tree, &totals, error);

	if (r >= 0)
		maker->total = totals.entries;
	return r;
}

static int choose_sync(struct pl_maker *maker, int fd)
{
	struct pl_fs fs;
	int r = pl_fs_probe(fd, &fs);

	if (r < 0)
		return r;
	maker->is_durable = maker->store->settings.durable && !fs.is_volatile;
	maker->sync_whole = maker->is_durable && fs.has_syncfs_barrier;
	maker->sync_each = maker->is_durable && !maker->sync_whole;
	maker->sync_files = maker->sync_each;
	pl_assert(maker->is_durable == (maker->sync_whole || maker->sync_each));
	return 0;
}

static int make_groups(struct pl_maker *maker, int beside_fd)
{
	int r = pl_mkdir(beside_fd, GROUPS_NAME, 0700);

	if (r >= 0)
		r = pl_chmod_at(beside_fd, GROUPS_NAME, 0700); /* whatever the umask is */
	if (r >= 0)
		r = maker->groups_fd = pl_open_dir(beside_fd, GROUPS_NAME);
	return r < 0 ? r : 0;
}

int pl_maker_begin(struct pl_maker *maker, const struct pl_checkout *checkout,
		   struct pl_findings *findings, int beside_fd, struct pleach_error *error)
{
	struct pl_node_source nodes = pl_store_nodes(checkout->store);
	uint64_t seed = checkout->store->seed;
	int r;

	*maker = (struct pl_maker)PL_MAKER_NONE;
	maker->store = checkout->store;
	maker->findings = findings;
	pl_map_init(&maker->groups, sizeof(uint64_t), seed);
	r = choose_sync(maker, beside_fd);
	if (r >= 0)
		r = make_groups(maker, beside_fd);
	if (r < 0)
		return pl_fail_sys(error, r, "cannot check out to '%s'", checkout->directory);
	r = look_at_tree(maker, &nodes, &checkout->tree, error);
	if (r >= 0)
		r = pl_cursor_new(&nodes, &checkout->tree, true, seed, &maker->cursor, error);
	return r;
}

void pl_maker_end(struct pl_maker *maker)
{
	pl_cursor_free(maker->cursor);
	pl_map_done(&maker->groups);
	pl_closep(&maker->groups_fd);
	*maker = (struct pl_maker)PL_MAKER_NONE;
}

int pl_maker_end_groups(int beside_fd, struct pleach_error *error)
{
	int r = pl_erase(beside_fd, GROUPS_NAME, NULL);

	return r < 0 ? pl_fail_sys(error, r, "cannot remove '%s'", GROUPS_NAME) : 0;
}

int pl_maker_next(struct pl_maker *maker, struct pleach_error *error)
{
	int r = pl_store_check_cancel(maker->store, error);

	if (r < 0)
		return r;
	pl_assert(maker->cursor && maker->groups_fd >= 0);
	pl_store_progress(maker->store, "check out", maker->done, maker->total, maker->bytes);
	r = pl_cursor_next(maker->cursor, error);
	if (r == PL_STEP_ENTRY || r == PL_STEP_LEAVE)
		maker->done++;
	return r;
}

/* ---- groups ---- */

int pl_maker_group(struct pl_maker *maker, struct pl_membership_group *ret_group)
{
	const struct pl_membership *groups = pl_cursor_membership(maker->cursor);

	if (pl_membership_is_empty(groups))
		return 0;
	return pl_membership_find(groups, pl_cursor_path(maker->cursor), ret_group);
}

static void group_name(const struct pl_membership_group *group, char ret_name[24])
{
	(void)snprintf(ret_name, 24, "%" PRIu64, group->number);
}

/* No hard link is to be had: no more of them, none on this file system, or the first was left out. */
static bool is_no_link(int r)
{
	return r == -EMLINK || r == -EPERM || r == -EOPNOTSUPP || r == -ENOSYS || r == -ENOENT;
}

/* 1: it is a name of the group's inode. 0: it has to be made. */
static int link_member(struct pl_maker *maker, const struct pl_membership_group *group, int dirfd,
		       const char *name, struct pleach_error *error)
{
	uint64_t *left = pl_map_get(&maker->groups, &group->number);
	const char *path = pl_cursor_path(maker->cursor);
	char number[24];
	int r;

	if (!left)
		return 0;
	pl_assert(*left > 0 && *left < group->n_members);
	group_name(group, number);
	if (*left == 1)
		r = pl_rename(maker->groups_fd, number, dirfd, name); /* M1 */
	else
		r = pl_link(maker->groups_fd, number, dirfd, name);
	if (r >= 0) {
		(*left)--;
		return 1;
	}
	if (!is_no_link(r))
		return pl_maker_fail(r, path, error);
	r = pl_findings_add(maker->findings, false, "link", path,
			    "a copy of its own instead of a hard link: %s",
			    r == -EMLINK ? "too many links" : "none can be made there");
	if (r < 0)
		return pl_maker_fail(r, path, error);
	r = pl_unlink(maker->groups_fd, number); /* the copy takes its place */
	return r < 0 && r != -ENOENT ? pl_maker_fail(r, path, error) : 0;
}

/* What was just made is what the members to come are linked to. */
static int keep_member(struct pl_maker *maker, const struct pl_membership_group *group, int dirfd,
		       const char *name, struct pleach_error *error)
{
	uint64_t *left = pl_map_get(&maker->groups, &group->number);
	uint64_t rest = (left ? *left : group->n_members) - 1;
	char number[24];
	int r = pl_map_put(&maker->groups, &group->number, rest);

	pl_assert(rest < group->n_members); /* M1 */
	group_name(group, number);
	if (r >= 0 && rest > 0)
		r = pl_link(dirfd, name, maker->groups_fd, number);
	/* Where there is no link, each of the others says so for itself. */
	return r < 0 && !is_no_link(r) ? pl_maker_fail(r, pl_cursor_path(maker->cursor), error) : 0;
}

/* ---- one name ---- */

static int make_file(struct pl_maker *maker, const struct pl_entry *entry, int dirfd,
		     const char *name, const char *path, struct pleach_error *error)
{
	PL_CLOSE int fd = -EBADF;
	int r = pl_object_copy(maker->store, -EBADF, entry, maker->trusts_clones, dirfd, name, &fd,
			       error);

	if (r < 0) {
		pl_error_prefix(error, "cannot check out '%s'", path);
		pl_error_path(error, path);
		return r;
	}
	r = pl_nearest_meta(maker->findings, path, fd, NULL, entry->kind, &entry->meta, error);
	if (r < 0)
		return r;
	if (maker->sync_files)
		r = pl_fsync(fd);
	if (r < 0)
		return pl_maker_fail(r, path, error);
	maker->bytes += entry->size;
	return 1;
}

static int make_node(const struct pl_entry *entry, int dirfd, const char *name)
{
	char target[PL_TARGET_MAX + 1];
	dev_t device = 0;
	mode_t type;

	switch (entry->kind) {
	case PLEACH_SYMLINK:
		memcpy(target, entry->target, entry->target_length);
		target[entry->target_length] = '\0';
		pl_assert(entry->target_length > 0 && strlen(target) == entry->target_length);
		return pl_symlink(target, dirfd, name);
	case PLEACH_FIFO:
		type = S_IFIFO;
		break;
	case PLEACH_SOCKET:
		type = S_IFSOCK;
		break;
	default:
		pl_assert(entry->kind == PLEACH_CHAR || entry->kind == PLEACH_BLOCK);
		type = entry->kind == PLEACH_CHAR ? S_IFCHR : S_IFBLK;
		device = makedev(entry->major, entry->minor);
	}
	return pl_mknod(dirfd, name, type | 0600, device);
}

static int make_other(struct pl_maker *maker, const struct pl_entry *entry, int dirfd,
		      const char *name, const char *path, struct pleach_error *error)
{
	bool is_device = entry->kind == PLEACH_CHAR || entry->kind == PLEACH_BLOCK;
	int r = make_node(entry, dirfd, name);

	if (r == -EPERM || r == -EOPNOTSUPP || r == -EINVAL || r == -ENOSYS) { /* M3 */
		r = pl_findings_add(maker->findings, false, is_device ? "device" : "entry", path,
				    "left out: %s",
				    is_device && pl_uid() != 0
					    ? "only root can make a device"
					    : "this file system or user cannot have it");
		return r < 0 ? pl_maker_fail(r, path, error) : 0;
	}
	if (r < 0)
		return pl_maker_fail(r, path, error);
	r = pl_nearest_meta(maker->findings, path, dirfd, name, entry->kind, &entry->meta, error);
	return r < 0 ? r : 1;
}

int pl_maker_make(struct pl_maker *maker, int dirfd, const char *name, struct pleach_error *error)
{
	const struct pl_entry *entry = pl_cursor_entry(maker->cursor);
	const char *path = pl_cursor_path(maker->cursor);
	struct pl_membership_group group;
	bool in_group = pl_maker_group(maker, &group) == 1;
	int r = 0;

	pl_assert(entry->kind != PLEACH_DIR);
	if (in_group)
		r = link_member(maker, &group, dirfd, name, error);
	if (r != 0)
		return r;
	if (entry->kind == PLEACH_FILE)
		r = make_file(maker, entry, dirfd, name, path, error);
	else
		r = make_other(maker, entry, dirfd, name, path, error);
	if (r == 1 && in_group) {
		r = keep_member(maker, &group, dirfd, name, error);
		if (r == 0)
			r = 1;
	}
	return r;
}

/* ---- directories ---- */

int pl_maker_enter(struct pl_walk *walk, const char *name)
{
	int dirfd = pl_walk_fd(walk);
	PL_CLOSE int fd = pl_open_dir(dirfd, name);
	struct stat st;
	int r;

	if (fd == -EACCES) {
		/* Of another's directory, chmod refuses. A symlink is not followed. */
		r = pl_lstat(dirfd, name, &st);
		if (r >= 0)
			r = pl_chmod_at(dirfd, name, (st.st_mode & 07777) | 0700);
		if (r < 0)
			return r == -EPERM ? -EACCES : r;
		fd = pl_open_dir(dirfd, name);
	}
	if (fd < 0)
		return fd;
	r = pl_fstat(fd, &st);
	if (r >= 0 && st.st_uid == pl_uid() && (st.st_mode & 0700) != 0700)
		r = pl_chmod(fd, (st.st_mode & 07777) | 0700);
	return r < 0 ? r : pl_walk_enter_take(walk, name, pl_take_fd(&fd));
}

int pl_maker_finish_dir(struct pl_maker *maker, int fd, struct pleach_error *error)
{
	const struct pl_node *node = pl_cursor_node(maker->cursor);
	const char *path = pl_cursor_path(maker->cursor);
	int r = pl_nearest_meta(maker->findings, path, fd, NULL, PLEACH_DIR, &node->meta, error);

	if (r >= 0 && maker->sync_each) {
		r = pl_fsync(fd);
		if (r < 0)
			pl_maker_fail(r, path, error);
	}
	return r;
}
