/*
 * Comparing names of a directory with entries of a tree. Nothing is changed here.
 *
 * S1  Size and times are not believed: a file is the same only if its content has the hash.
 * S2  Which names are one inode is part of it. An inode without a group has one name on the whole file
 *     system: another one, where we do not see it, could be used to change it. The members of a group are
 *     one inode that has no other name; the group is looked at as a whole, when its first member is met,
 *     and is the same as a whole or not at all.
 */
#include <fcntl.h>
#include <sys/sysmacros.h>

#include "place/same.h"

int pl_same_init(struct pl_same *same, int root_fd, uint64_t seed)
{
	int fd = pl_open_dir(root_fd, ".");

	*same = (struct pl_same){0};
	pl_map_init(&same->are_intact, sizeof(uint64_t), seed);
	return fd < 0 ? fd : pl_walk_init_take(&same->links, fd);
}

void pl_same_done(struct pl_same *same)
{
	pl_walk_done(&same->links);
	pl_map_done(&same->are_intact);
}

/* An error that tells of the file, and not of us. */
static bool is_unreadable(int r)
{
	return r < 0 && r != -ENOMEM && r != -EMFILE && r != -ENFILE && r != -EINTR;
}

static int has_content(int dirfd, const char *name, const struct pl_entry *entry)
{
	PL_CLOSE int fd = pl_open(dirfd, name, O_RDONLY | O_NONBLOCK);
	const char *why;
	struct pl_id object;
	int r;

	if (fd < 0)
		return fd;
	pl_entry_object(entry, &object);
	r = pl_object_verify(fd, &object, &entry->meta, entry->size, &entry->hash, &why); /* S1 */
	return r < 0 ? r : 1;
}

static int has_target(int dirfd, const char *name, const struct pl_entry *entry)
{
	PL_BUFFER target = {0};
	int r = pl_readlink(dirfd, name, &target);

	if (r < 0)
		return r;
	return target.length == entry->target_length &&
	       memcmp(target.data, entry->target, target.length) == 0;
}

/* All but for its links. */
static int is_equal(int dirfd, const char *name, const struct stat *st,
		    const struct pl_entry *entry)
{
	const char *what;
	int r;

	if (pl_kind_of(st->st_mode) != entry->kind)
		return 0;
	if (entry->kind == PLEACH_FILE && (uint64_t)st->st_size != entry->size)
		return 0;
	r = pl_meta_matches_at(dirfd, name, st, &entry->meta, &what);
	if (r <= 0)
		return r;
	switch (entry->kind) {
	case PLEACH_FILE:
		return has_content(dirfd, name, entry);
	case PLEACH_SYMLINK:
		return has_target(dirfd, name, entry);
	case PLEACH_CHAR:
	case PLEACH_BLOCK:
		return st->st_rdev == makedev(entry->major, entry->minor);
	default:
		return 1;
	}
}

/* ---- groups ---- */

static int is_name_of(struct pl_same *same, const char *path, const struct stat *st)
{
	const char *slash = strrchr(path, '/');
	PL_BUFFER directory = {0};
	struct stat found;
	int r;

	pl_buffer_add(&directory, path, slash ? (size_t)(slash - path) : 0);
	if (!pl_buffer_ok(&directory))
		return -ENOMEM;
	r = pl_walk_goto(&same->links, pl_buffer_string(&directory), false, 0);
	if (r >= 0)
		r = pl_lstat(pl_walk_fd(&same->links), slash ? slash + 1 : path, &found);
	return r < 0 ? r : pl_same_inode(&found, st);
}

/* S2. */
static int is_whole_group(struct pl_same *same, const struct pl_membership_group *group,
			  const struct stat *st)
{
	PL_BUFFER path = {0};
	int r = st->st_nlink == group->n_members;

	pl_assert(group->n_members >= 2);
	for (size_t i = 0; r == 1 && i < group->n_members; i++) {
		pl_buffer_truncate(&path, 0);
		pl_membership_member(group, i, &path);
		r = pl_buffer_ok(&path) ? is_name_of(same, pl_buffer_string(&path), st) : -ENOMEM;
	}
	return r;
}

static int is_intact(struct pl_same *same, int dirfd, const char *name, const struct stat *st,
		     const struct pl_entry *entry, const struct pl_membership_group *group)
{
	const uint64_t *known = pl_map_get(&same->are_intact, &group->number);
	int put, r = 0;

	if (known)
		return *known != 0;
	if (st)
		r = is_whole_group(same, group, st);
	if (r == 1)
		r = is_equal(dirfd, name, st, entry);
	if (is_unreadable(r))
		r = 0;
	if (r < 0)
		return r;
	pl_assert(r == 0 || st);
	put = pl_map_put(&same->are_intact, &group->number, r == 1);
	return put < 0 ? put : r;
}

int pl_same_entry(struct pl_same *same, int dirfd, const char *name, const struct stat *st,
		  const struct pl_entry *entry, const struct pl_membership_group *group)
{
	int r;

	pl_assert(entry->kind != PLEACH_DIR);
	if (group)
		return is_intact(same, dirfd, name, st, entry, group);
	if (!st || st->st_nlink != 1) /* S2 */
		return 0;
	r = is_equal(dirfd, name, st, entry);
	return is_unreadable(r) ? 0 : r;
}
