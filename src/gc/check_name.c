/*
 * One name of a placed tree that is no directory, held against its entry: kind, metadata, content,
 * target, device, and which other names are the same inode.
 *
 * P2  share=names: two names are one inode exactly when they are in one group. With share=content the
 *     members of a group are one inode; that others are alike if they are one, their entries show.
 * P3  An object's inode that is linked here is in the filter, or a later placing could link it twice.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/sysmacros.h>

#include "gc/placed_check.h"

/* ---- inodes ---- */

/* P2, for two names of one inode. */
static int check_sharing(struct pl_placed *p, const struct stat *st, uint64_t group,
			 struct pleach_error *error)
{
	struct pl_placed_inode key = {.dev = st->st_dev, .ino = st->st_ino};
	const uint64_t *before = pl_map_get(&p->inodes, &key);

	if (!p->by_names || st->st_nlink < 2)
		return 0;
	if (before && (*before != group || group == 0))
		return pl_placed_fault(p, "is one inode with another name, and they are no group",
				       error);
	return pl_map_put(&p->inodes, &key, group) < 0 ? pl_fail_memory(error) : 0;
}

static int check_inode(struct pl_placed *p, const struct stat *st, struct pleach_error *error)
{
	struct pl_membership_group group = {0};
	const uint64_t *first;
	int r;

	if (!p->has_all_groups)
		return 0;
	if (pl_membership_is_empty(p->groups) ||
	    !pl_membership_find(p->groups, pl_placed_path_in_tree(p), &group))
		return check_sharing(p, st, 0, error);
	r = check_sharing(p, st, group.number + 1, error);
	first = pl_map_get(&p->members, &group.number);
	if (r >= 0 && first && *first != st->st_ino)
		return pl_placed_fault(p, "is not one inode with the others of its group", error);
	if (r >= 0 && !first && pl_map_put(&p->members, &group.number, st->st_ino) < 0)
		return pl_fail_memory(error);
	return r;
}

/* ---- single names ---- */

static const struct {
	char kind;
	mode_t type;
	const char *name;
} kinds[] = {
	{PLEACH_FILE, S_IFREG, "regular file"},	 {PLEACH_DIR, S_IFDIR, "directory"},
	{PLEACH_SYMLINK, S_IFLNK, "symlink"},	 {PLEACH_FIFO, S_IFIFO, "FIFO"},
	{PLEACH_SOCKET, S_IFSOCK, "socket"},	 {PLEACH_CHAR, S_IFCHR, "character device"},
	{PLEACH_BLOCK, S_IFBLK, "block device"},
};

int pl_placed_look(struct pl_placed *p, int dirfd, const char *name, char kind, struct stat *ret_st,
		   struct pleach_error *error)
{
	char message[48];
	int r = pl_lstat(dirfd, name, ret_st);

	if (r == -ENOENT)
		return pl_placed_fault(p, "is missing", error);
	if (r < 0)
		return pl_placed_cannot(p, r, error);
	for (size_t i = 0; i < PL_ARRAY_LEN(kinds); i++) {
		if (kinds[i].kind != kind)
			continue;
		if ((ret_st->st_mode & S_IFMT) == kinds[i].type)
			return 1;
		(void)snprintf(message, sizeof(message), "is no %s", kinds[i].name);
		return pl_placed_fault(p, message, error);
	}
	pl_assert(false);
	return -EINVAL;
}

static int has_another(struct pl_placed *p, const char *what, struct pleach_error *error)
{
	char message[128];

	(void)snprintf(message, sizeof(message), "has another %s", what);
	return pl_placed_fault(p, message, error);
}

int pl_placed_meta(struct pl_placed *p, int dirfd, const char *name, const struct stat *st,
		   const struct pl_meta *meta, struct pleach_error *error)
{
	const char *what = NULL;
	int r = pl_meta_matches_at(dirfd, name, st, meta, &what);

	if (r < 0)
		return pl_placed_cannot(p, r, error);
	return r == 1 ? 0 : has_another(p, what, error);
}

/* A file that is not known to be right: read, or, in a quick check, looked at. */
static int check_file(struct pl_placed *p, const char *name, const struct stat *st,
		      const struct pl_entry *entry, const struct pl_id *object,
		      struct pleach_error *error)
{
	PL_CLOSE int fd = -EBADF;
	const char *why = NULL;
	int r;

	if ((uint64_t)st->st_size != entry->size)
		return pl_placed_fault(p, "has another size", error);
	if (p->c->check->quick || entry->size == 0)
		return pl_placed_meta(p, pl_walk_fd(&p->walk), name, st, &entry->meta, error);
	fd = pl_open(pl_walk_fd(&p->walk), name, O_RDONLY | O_NONBLOCK);
	if (fd == -EACCES) { /* what can be seen without reading is not passed over */
		r = pl_placed_meta(p, pl_walk_fd(&p->walk), name, st, &entry->meta, error);
		return r < 0 || pl_checking_is_object(p->c, object, st)
			       ? r
			       : pl_placed_cannot(p, fd, error);
	}
	r = fd;
	if (r >= 0)
		r = pl_object_verify(fd, object, &entry->meta, entry->size, &entry->hash, &why);
	if (r == -EBADMSG)
		return has_another(p, why, error);
	if (r < 0)
		return pl_placed_cannot(p, r, error);
	r = pl_checking_note_copy(p->c, object, st, error);
	return r < 0 ? r : pl_checking_step(p->c, entry->size, error);
}

static int check_regular(struct pl_placed *p, const char *name, const struct stat *st,
			 const struct pl_entry *entry, struct pleach_error *error)
{
	struct pl_subject before = p->c->subject;
	struct pl_id object;
	int r = 0;

	pl_entry_object(entry, &object);
	if (!pl_checking_is_verified(p->c, &object, st))
		r = check_file(p, name, st, entry, &object, error);
	if (r >= 0 && entry->size > 0 && pl_checking_is_object(p->c, &object, st) &&
	    !pl_filter_has(&p->filter, &object)) { /* P3 */
		p->c->subject.what = PL_SUBJECT_FILTER;
		r = pl_checking_fault(p->c, error, "filter", pl_placed_path(p),
				      "is linked from its object, and the filter does not know");
	}
	p->c->subject = before;
	return r;
}

static int check_other(struct pl_placed *p, const char *name, const struct stat *st,
		       const struct pl_entry *entry, struct pleach_error *error)
{
	PL_BUFFER target = {0};
	int r = pl_placed_meta(p, pl_walk_fd(&p->walk), name, st, &entry->meta, error);

	if (r < 0)
		return r;
	if (entry->kind == PLEACH_SYMLINK) {
		r = pl_readlink(pl_walk_fd(&p->walk), name, &target);
		if (r < 0)
			return pl_placed_cannot(p, r, error);
		if (target.length != entry->target_length ||
		    memcmp(target.data, entry->target, target.length) != 0)
			return pl_placed_fault(p, "leads to another target", error);
	}
	if ((entry->kind == PLEACH_CHAR || entry->kind == PLEACH_BLOCK) &&
	    (major(st->st_rdev) != entry->major || minor(st->st_rdev) != entry->minor))
		return pl_placed_fault(p, "is another device", error);
	return 0;
}

int pl_placed_name(struct pl_placed *p, const char *name, const struct stat *st,
		   const struct pl_entry *entry, struct pleach_error *error)
{
	int r = check_inode(p, st, error);

	pl_assert(entry->kind != PLEACH_DIR);
	if (r < 0)
		return r;
	return entry->kind == PLEACH_FILE ? check_regular(p, name, st, entry, error)
					  : check_other(p, name, st, entry, error);
}
