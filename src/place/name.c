/*
 * One name of a layout: which inode it gets.
 *
 * In this order: what the scan has written there; the inode of the first member of its group; the
 * inode that the spare has under this name, or the base; the object's; a copy of its own.
 *
 * I1  share=names: two names of the tree are one inode exactly when they are a group. So
 *     - an origin's inode is taken only if its group of that name lies wholly in the new group, and the
 *       base's only if the spare's filter proves that it does not hold the object (origin.c I4);
 *     - an object's inode is taken only if the filters prove that no name of this tree, and of none
 *       that it is made from, ever was that inode.
 * I2  EMLINK, EPERM (protected hard links) and ENOSPC from a link (a directory's index may be full) are
 *     no failures: then it is a private copy.
 * I3  A group cannot be split between inodes, so it begins with one that has room for all its names. Every
 *     other placed tree has its names of the base's and of the object's, too.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/sysmacros.h>

#include "place/inner.h"

/* Links of an inode that every file system of today takes; ext4 takes 65,000, f2fs 32,000. */
#define LINKS_SAFE 32000

int pl_laying_fail(int r, const char *path, const char *why, struct pleach_error *error)
{
	if (r != -EPERM && r != -E2BIG)
		pl_fail_sys(error, r, "cannot set the metadata of '%s'", path);
	else
		pl_fail(error, PLEACH_FAILED, r, "'%s' cannot be placed exactly: %s", path,
			why ? why : "not permitted");
	if (r == -EPERM || r == -E2BIG)
		pl_hint(error, "publish with --metadata=portable, which keeps no owners, times and "
			       "attributes, or use a store on another file system");
	pl_error_path(error, path);
	return r;
}

static bool is_no_link(int r)
{
	return r == -EMLINK || r == -EPERM || r == -ENOSPC || r == -EXDEV; /* I2 */
}

/* ---- groups ---- */

static void group_name(const struct pl_membership_group *group, char ret_name[24])
{
	(void)snprintf(ret_name, 24, "%llu", (unsigned long long)group->number);
}

int pl_laying_begin_group(struct pl_laying *l, const struct pl_membership_group *group, int dirfd,
			  const char *name)
{
	char private[32], number[24];
	int r;

	if (l->groups_fd < 0) {
		pl_txdir_name(l->layout->tx, "groups", private);
		r = pl_mkdir(l->layout->tx->fd, private, 0700);
		if (r < 0)
			return r;
		l->groups_fd = pl_open_dir(l->layout->tx->fd, private);
		if (l->groups_fd < 0)
			return l->groups_fd;
	}
	group_name(group, number);
	return pl_link(dirfd, name, l->groups_fd, number);
}

int pl_laying_group_inode(struct pl_laying *l, const struct pl_membership_group *group,
			  struct stat *ret_st)
{
	char number[24];
	int r;

	if (l->groups_fd < 0)
		return 0;
	group_name(group, number);
	r = pl_lstat(l->groups_fd, number, ret_st);
	return r == -ENOENT ? 0 : r < 0 ? r : 1;
}

/* 1: linked to the inode of its group. 0: this is the first name of it. */
static int link_to_group(struct pl_laying *l, const struct pl_membership_group *group,
			 const char *name)
{
	char number[24];
	int r;

	if (l->groups_fd < 0)
		return 0;
	group_name(group, number);
	r = pl_link(l->groups_fd, number, l->to_fd, name);
	if (r == -ENOENT)
		return 0;
	return r < 0 ? r : 1;
}

/* I3 */
bool pl_group_fits(const struct pl_membership_group *group, const struct stat *st)
{
	return st->st_nlink + group->n_members <= LINKS_SAFE;
}

/* What cannot be looked at is left to the link. */
static bool has_room(int dirfd, const char *name, const struct pl_membership_group *group)
{
	struct stat st;

	return !group || pl_lstat(dirfd, name, &st) < 0 || pl_group_fits(group, &st);
}

bool pl_group_is_subset(const struct pl_membership_group *of,
			const struct pl_membership_group *group)
{
	PL_BUFFER a = {0}, b = {0};
	size_t j = 0;

	for (size_t i = 0; i < of->n_members; i++) {
		int c = -1;

		pl_buffer_truncate(&a, 0);
		pl_membership_member(of, i, &a);
		while (j < group->n_members) {
			pl_buffer_truncate(&b, 0);
			pl_membership_member(group, j, &b);
			if (!pl_buffer_ok(&a) || !pl_buffer_ok(&b))
				return false;
			c = strcmp(pl_buffer_string(&b), pl_buffer_string(&a));
			if (c >= 0)
				break;
			j++;
		}
		if (j == group->n_members || c != 0)
			return false;
	}
	return true;
}

/* May the inode that an origin has at `path` be taken for a name of `group` (NULL: of none)? (I1) */
static bool is_free(struct pl_laying *l, enum pl_origin_which which, const struct pl_entry *entry,
		    const struct pl_membership_group *group, const char *path)
{
	const struct pl_membership *groups = l->origins[which].groups;
	struct pl_membership_group old;
	struct pl_id object;

	if (l->layout->share == PL_SHARE_CONTENT)
		return true;
	if (which == PL_ORIGIN_BASE && entry->kind == PLEACH_FILE && entry->size > 0) {
		pl_entry_object(entry, &object);
		if (pl_origin_may_hold(l, PL_ORIGIN_SPARE, &object))
			return false;
	}
	if (pl_membership_is_empty(groups) || !pl_membership_find(groups, path, &old))
		return true;
	return group && pl_group_is_subset(&old, group);
}

/* ---- making ---- */

static int sync_file(struct pl_laying *l, int fd)
{
	return pl_txdir_must_fsync(l->layout->tx) ? pl_fsync(fd) : 0;
}

static int make_copy(struct pl_laying *l, const struct pl_entry *entry, const char *name,
		     const char *path, struct pleach_error *error)
{
	PL_CLOSE int fd = -EBADF;
	const char *why = NULL;
	int r = pl_object_copy(l->layout->tx->store, l->layout->staged_objects_fd, entry, false,
			       l->to_fd, name, &fd, error);

	if (r < 0) {
		pl_error_prefix(error, "cannot place '%s'", path);
		return r;
	}
	r = pl_meta_restore(fd, &entry->meta, PLEACH_FILE, &why);
	if (r < 0)
		return pl_laying_fail(r, path, why, error);
	r = sync_file(l, fd);
	if (r < 0)
		return pl_fail_sys(error, r, "cannot sync '%s'", path);
	l->counts.private_copies++;
	return 0;
}

/* 1: linked. 0: not there, or not to be linked any more. */
static int link_object(struct pl_laying *l, const struct pl_id *object,
		       const struct pl_membership_group *group, const char *name)
{
	int staged = l->layout->staged_objects_fd, pool = l->layout->tx->store->objects_fd;
	char hex[PL_ID_HEX + 1], fanout[PL_FANOUT_NAME];
	int to = l->to_fd, r = -ENOENT;

	pl_id_hex(object, hex);
	pl_fanout_name(object, fanout);
	if (staged >= 0)
		r = has_room(staged, hex, group) ? pl_link(staged, hex, to, name) : -EMLINK;
	if (r == -ENOENT)
		r = has_room(pool, fanout, group) ? pl_link(pool, fanout, to, name) : -EMLINK;
	if (r == -ENOENT || is_no_link(r))
		return 0;
	return r < 0 ? r : 1;
}

/* I1 */
static bool may_link_object(const struct pl_laying *l, const struct pl_id *object)
{
	return l->layout->share == PL_SHARE_CONTENT ||
	       (!pl_filter_has(&l->filter, object) &&
		!pl_origin_may_hold(l, PL_ORIGIN_BASE, object));
}

static int make_file(struct pl_laying *l, const struct pl_entry *entry,
		     const struct pl_membership_group *group, const char *name, const char *path,
		     struct pleach_error *error)
{
	struct pl_id object;
	int r = 0;

	if (entry->size == 0) { /* has no object */
		r = make_copy(l, entry, name, path, error);
		if (r >= 0) {
			l->counts.private_copies--;
			l->counts.made++;
		}
		return r;
	}
	pl_entry_object(entry, &object);
	if (may_link_object(l, &object))
		r = link_object(l, &object, group, name);
	if (r < 0)
		return pl_fail_sys(error, r, "cannot link '%s'", path);
	pl_filter_add(&l->filter, &object);
	if (r == 0)
		return make_copy(l, entry, name, path, error);
	l->counts.linked_from_objects++;
	return 0;
}

static int make_other(struct pl_laying *l, const struct pl_entry *entry, const char *name,
		      const char *path, struct pleach_error *error)
{
	static const struct {
		char kind;
		mode_t type;
	} types[] = {{PLEACH_FIFO, S_IFIFO},
		     {PLEACH_SOCKET, S_IFSOCK},
		     {PLEACH_CHAR, S_IFCHR},
		     {PLEACH_BLOCK, S_IFBLK}};
	int dirfd = l->to_fd, r = -EINVAL;
	char target[PL_TARGET_MAX + 1];
	const char *why = NULL;

	if (entry->kind == PLEACH_SYMLINK) {
		memcpy(target, entry->target, entry->target_length);
		target[entry->target_length] = '\0';
		r = pl_symlink(target, dirfd, name);
	}
	for (size_t i = 0; i < PL_ARRAY_LEN(types); i++)
		if (types[i].kind == entry->kind)
			r = pl_mknod(dirfd, name, types[i].type | 0600,
				     makedev(entry->major, entry->minor));
	if (r == -EPERM)
		return pl_laying_fail(r, path, "only root may make a device", error);
	if (r < 0)
		return pl_fail_sys(error, r, "cannot make '%s'", path);
	r = pl_meta_restore_at(dirfd, name, &entry->meta, entry->kind, &why);
	if (r < 0)
		return pl_laying_fail(r, path, why, error);
	l->counts.made++;
	return 0;
}

/* 1: the origin's inode was linked. */
static int link_origin(struct pl_laying *l, enum pl_origin_which which, struct pl_level *level,
		       const struct pl_entry *entry, const struct pl_membership_group *group,
		       const char *name, const char *path)
{
	const struct pl_entry *old = pl_origin_entry(&level->origins[which], entry);
	int from = pl_origin_fd(l, which, &level->origins[which]);
	int r;

	if (!old || from < 0 || !pl_entry_equal(old, entry) ||
	    !is_free(l, which, entry, group, path) || !has_room(from, name, group))
		return 0;
	r = pl_link(from, name, l->to_fd, name);
	if (r == -ENOENT || r == -EACCES || is_no_link(r) ||
	    (r < 0 && which == PL_ORIGIN_SPARE)) /* origin.c I1 */
		return 0;
	return r < 0 ? r : 1;
}

/* 1: linked from the spare or the base. */
static int link_origins(struct pl_laying *l, struct pl_level *level, const struct pl_entry *entry,
			const struct pl_membership_group *group, const char *name, const char *path)
{
	struct pl_id object;
	int r = link_origin(l, PL_ORIGIN_SPARE, level, entry, group, name, path);

	if (r > 0)
		l->counts.linked_from_spare++;
	if (r != 0)
		return r;
	r = link_origin(l, PL_ORIGIN_BASE, level, entry, group, name, path);
	if (r <= 0)
		return r;
	l->counts.linked_from_base++;
	/* Of the base's objects the filter that began as the spare's need not know. */
	if (l->origins[PL_ORIGIN_SPARE].is_there && entry->kind == PLEACH_FILE && entry->size > 0) {
		pl_entry_object(entry, &object);
		pl_filter_add(&l->filter, &object);
	}
	return 1;
}

/* What the scan wrote at this name: the object's inode, once objects get their names. */
static void note_present(struct pl_laying *l, const struct pl_entry *entry)
{
	struct pl_id object;

	pl_assert(entry->kind == PLEACH_FILE && entry->size > 0);
	pl_entry_object(entry, &object);
	pl_filter_add(&l->filter, &object);
	l->counts.present++;
}

/* ---- by threads ---- */

int pl_laying_link_object(const struct pl_laying *l, const struct pl_id *object, int to_fd,
			  const char *name)
{
	char hex[PL_ID_HEX + 1], fanout[PL_FANOUT_NAME];
	int r = -ENOENT;

	if (l->layout->staged_objects_fd >= 0)
		r = pl_link(l->layout->staged_objects_fd, pl_id_hex(object, hex), to_fd, name);
	if (r != -ENOENT)
		return r;
	pl_fanout_name(object, fanout);
	return pl_link(l->layout->tx->store->objects_fd, fanout, to_fd, name);
}

/* A name that no group has, where there is no spare: 1, it is on its way; 0: it has to be made here. */
static int hand_over(struct pl_laying *l, struct pl_level *level, const struct pl_entry *entry,
		     const char *path, struct pleach_error *error)
{
	struct pl_origin_level *base = &level->origins[PL_ORIGIN_BASE];
	const struct pl_entry *old = pl_origin_entry(base, entry);
	struct pl_id object;
	int r;

	if (old && pl_origin_fd(l, PL_ORIGIN_BASE, base) >= 0 && pl_entry_equal(old, entry) &&
	    is_free(l, PL_ORIGIN_BASE, entry, NULL, path)) {
		r = pl_linking_from_base(l, level, entry, path, error);
		return r < 0 ? r : 1;
	}
	if (entry->kind != PLEACH_FILE || entry->size == 0)
		return 0;
	pl_entry_object(entry, &object);
	if (!may_link_object(l, &object))
		return 0;
	pl_filter_add(&l->filter, &object);
	r = pl_linking_from_object(l, level, entry, &object, path, error);
	return r < 0 ? r : 1;
}

static int make_after_all(struct pl_laying *l, const struct pl_entry *entry, const char *path,
			  bool is_from_base, struct pleach_error *error)
{
	char name[PL_NAME_MAX + 1];

	pl_entry_name(entry, name);
	if (entry->kind != PLEACH_FILE)
		return make_other(l, entry, name, path, error);
	return is_from_base ? make_file(l, entry, NULL, name, path, error)
			    : make_copy(l, entry, name, path, error);
}

int pl_laying_linked(struct pl_laying *l, int to_fd, const struct pl_entry *entry, const char *path,
		     bool is_from_base, int r, struct pleach_error *error)
{
	int of_walk = l->to_fd;

	if (r >= 0) {
		l->counts.linked_from_base += is_from_base;
		l->counts.linked_from_objects += !is_from_base;
		return 0;
	}
	if (r != -ENOENT && !is_no_link(r) && !(is_from_base && r == -EACCES))
		return pl_fail_sys(error, r, "cannot link '%s'", path);
	l->to_fd = to_fd;
	r = make_after_all(l, entry, path, is_from_base, error);
	l->to_fd = of_walk;
	return r;
}

static int make_first(struct pl_laying *l, struct pl_level *level, const struct pl_entry *entry,
		      const struct pl_membership_group *group, const char *name, const char *path,
		      struct pleach_error *error)
{
	int r;

	if (level->present.n > 0 && pl_listing_find(&level->present, name)) {
		note_present(l, entry);
		return 0;
	}
	if (l->linking && !group) {
		r = hand_over(l, level, entry, path, error);
		if (r != 0)
			return r < 0 ? r : 0;
	}
	r = link_origins(l, level, entry, group, name, path);
	if (r < 0)
		return pl_fail_sys(error, r, "cannot link '%s'", path);
	if (r > 0)
		return 0;
	if (entry->kind == PLEACH_FILE)
		return make_file(l, entry, group, name, path, error);
	return make_other(l, entry, name, path, error);
}

int pl_laying_entry(struct pl_laying *l, struct pl_level *level, const struct pl_entry *entry,
		    struct pleach_error *error)
{
	const struct pl_membership *groups = pl_cursor_membership(l->cursor);
	const char *path = pl_cursor_path(l->cursor);
	struct pl_membership_group group;
	char name[PL_NAME_MAX + 1];
	bool in_group;
	int r = pl_edit_pass(l, entry, error);

	l->to_fd = pl_walk_fd(&l->walk);
	if (r != 0) {
		l->counts.kept += r > 0;
		return r < 0 ? r : 0;
	}
	pl_entry_name(entry, name);
	in_group = !pl_membership_is_empty(groups) && pl_membership_find(groups, path, &group);
	if (in_group)
		r = link_to_group(l, &group, name);
	if (r == -EMLINK)
		return pl_fail_sys(error, r, "'%s' has more hard links than this file system takes",
				   path);
	if (r < 0)
		return pl_fail_sys(error, r, "cannot link '%s'", path);
	if (r > 0)
		return 0;
	r = make_first(l, level, entry, in_group ? &group : NULL, name, path, error);
	if (r < 0 || !in_group)
		return r;
	r = pl_laying_begin_group(l, &group, l->to_fd, name);
	return r < 0 ? pl_fail_sys(error, r, "cannot link '%s'", path) : 0;
}
