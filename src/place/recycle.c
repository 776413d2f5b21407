/*
 * Recycling: a directory that is the same in a spare and in the new tree is moved from the one into the
 * other, whole, with one rename. Which tree is a spare, and that nobody has it any more, is gc's and tx's
 * business (gc/retire.c); what is walked beside is origin.c's.
 *
 * R1  Unchanged is what has the same node, and whose names that are in groups of directories above it
 *     are in just the same groups in the spare. Such a group has one inode: that of the names moved must
 *     be the one that it was begun with, or it is begun with it.
 * R2  The directory itself must be as its node says, by its own metadata: a name that a stranger put into
 *     it, or took out, shows in its mtime. Below it nothing is looked at, or the cost would follow the
 *     tree: `check` finds strays there (docs/limits.md).
 * R3  Moved is moved: what could not be, or is not right afterwards, is made new, never mended in place.
 * R4  A mode is widened only after a call was refused, and only of the spare, in tx; what is moved has its
 *     own again before it is anybody's.
 */
#include <fcntl.h>
#include <stdlib.h>

#include "place/inner.h"

int pl_recycle_widen(int dirfd, const char *name)
{
	struct stat st;

	if (pl_lstat(dirfd, name, &st) < 0 || !S_ISDIR(st.st_mode) ||
	    (st.st_mode & S_IRWXU) == S_IRWXU)
		return 0;
	return pl_chmod_at(dirfd, name, (st.st_mode & 07777) | S_IRWXU) == 0;
}

/* ---- groups (R1) ---- */

/* What is compared: names below one directory, in the spare. */
struct reaching {
	struct pl_laying *l;
	const char *path; /* of the directory, from the root */
	struct pl_walk walk;
	bool has_walk;
};

/* Has the spare this group, with all its names and no others? -ENOMEM. */
static int is_same_group(struct pl_laying *l, const struct pl_membership_group *group,
			 const char *member)
{
	const uint64_t *known = pl_map_get(&l->same_groups, &group->number);
	struct pl_membership_group old;
	bool is_same;

	if (known)
		return *known != 0;
	is_same = pl_membership_find(l->origins[PL_ORIGIN_SPARE].groups, member, &old) &&
		  old.n_members == group->n_members && pl_group_is_subset(&old, group);
	return pl_map_put(&l->same_groups, &group->number, is_same) < 0 ? -ENOMEM : is_same;
}

/* Goes to where a member is in the spare. 1 and its last name; 0: there is no way. */
static int go_to_member(struct reaching *x, const char *member, const char **ret_name)
{
	const char *relative = member + strlen(x->path) + 1;
	const char *slash = strrchr(relative, '/');
	PL_BUFFER dir = {0};

	*ret_name = slash ? slash + 1 : relative;
	pl_buffer_add(&dir, relative, slash ? (size_t)(slash - relative) : 0);
	if (!pl_buffer_ok(&dir))
		return -ENOMEM;
	return pl_walk_goto(&x->walk, pl_buffer_string(&dir), false, 0) >= 0;
}

/* One name in a group of a directory above: 1 if it can be moved. */
static int check_member(struct reaching *x, const struct pl_membership_group *group,
			const char *member)
{
	struct stat st, begun;
	const char *name;
	int r = is_same_group(x->l, group, member);

	if (r > 0)
		r = go_to_member(x, member, &name);
	if (r <= 0)
		return r;
	if (pl_lstat(pl_walk_fd(&x->walk), name, &st) < 0 || S_ISDIR(st.st_mode))
		return 0;
	r = pl_laying_group_inode(x->l, group, &begun);
	if (r != 0)
		return r > 0 && pl_same_inode(&begun, &st);
	if (!pl_group_fits(group, &st))
		return 0;
	return pl_laying_begin_group(x->l, group, pl_walk_fd(&x->walk), name) >= 0;
}

/* How many names below it groups of directories above it have. */
static int count_below(const struct pl_membership *groups, const char *path, size_t *ret_n)
{
	struct pl_membership_below below = {0};
	struct pl_membership_group group;
	PL_BUFFER member = {0};
	size_t n = 0;
	int r;

	while ((r = pl_membership_next_below(groups, path, &below, &group, &member)) > 0)
		n++;
	*ret_n = n;
	return r;
}

static int check_members(struct reaching *x, const struct pl_membership *groups)
{
	struct pl_membership_below below = {0};
	struct pl_membership_group group;
	PL_BUFFER member = {0};
	int r;

	while ((r = pl_membership_next_below(groups, x->path, &below, &group, &member)) > 0) {
		r = check_member(x, &group, pl_buffer_string(&member));
		if (r <= 0)
			return r;
	}
	return r < 0 ? r : 1;
}

/* 1: what reaches into the directory from above is the same. 0: not, or it cannot be told. */
static int groups_agree(struct pl_laying *l, const char *path, const char *name)
{
	struct pl_origin *spare = &l->origins[PL_ORIGIN_SPARE];
	const struct pl_membership *groups = pl_cursor_membership(l->cursor);
	struct reaching x = {.l = l, .path = path};
	size_t n_new, n_old = 0;
	int fd, r = count_below(groups, path, &n_new);

	if (r >= 0)
		r = count_below(spare->groups, path, &n_old);
	if (r < 0 || n_new != n_old)
		return r;
	if (n_new == 0)
		return 1;
	fd = pl_open_dir(pl_origin_fd(l, PL_ORIGIN_SPARE, pl_origin_top(l, PL_ORIGIN_SPARE)), name);
	if (fd < 0)
		return 0;
	r = pl_walk_init_take(&x.walk, fd);
	if (r >= 0)
		r = check_members(&x, groups);
	pl_walk_done(&x.walk);
	return r;
}

/* ---- moving ---- */

bool pl_recycle_has_metadata(const struct stat *st, const struct pl_meta *meta)
{
	return S_ISDIR(st->st_mode) && (st->st_mode & 07777) == meta->mode &&
	       st->st_mtim.tv_sec == meta->mtime_s &&
	       (uint32_t)st->st_mtim.tv_nsec == meta->mtime_ns;
}

/* A directory that its owner may not write cannot go to another parent, and from one he may not write
 * nothing can go. (R4) */
int pl_recycle_rename_out(int from, int to, const char *name, const struct stat *st)
{
	struct stat after;
	int r = pl_rename_new(from, name, to, name);

	if ((r == -EACCES || r == -EPERM) &&
	    pl_recycle_widen(from, ".") + pl_recycle_widen(from, name) > 0)
		r = pl_rename_new(from, name, to, name);
	/* A success that was reported as a failure is one: else it would be made where it is. */
	if (r < 0 && pl_lstat(to, name, &after) >= 0 && pl_same_inode(st, &after))
		r = 0;
	return r;
}

/* It has the mode that it had, or gets it back. Is it what was looked at, and as it must be? */
static bool is_settled(int dirfd, const char *name, const struct stat *before,
		       const struct pl_meta *meta)
{
	struct stat st;

	if (pl_lstat(dirfd, name, &st) < 0 || !pl_same_inode(before, &st))
		return false;
	if ((st.st_mode & 07777) != meta->mode &&
	    (pl_chmod_at(dirfd, name, meta->mode) < 0 || pl_lstat(dirfd, name, &st) < 0))
		return false;
	return pl_recycle_has_metadata(&st, meta);
}

/* The directory is in its new place. 1: it stays there. 0: it was taken away again. (R3) */
static int keep(struct pl_laying *l, const char *name, const char *path, const struct stat *before,
		int fd, struct pleach_error *error)
{
	int to = pl_walk_fd(&l->walk), r;

	if (!is_settled(to, name, before, &pl_cursor_node(l->cursor)->meta)) {
		r = pl_erase(to, name, NULL);
		return r < 0 ? pl_fail_sys(error, r, "cannot remove '%s' again", path) : 0;
	}
	r = fd >= 0 ? pl_fsync(fd) : 0;
	return r < 0 ? pl_fail_sys(error, r, "cannot sync the directory '%s'", path) : 1;
}

static int move(struct pl_laying *l, const char *name, const char *path, struct pleach_error *error)
{
	const struct pl_meta *meta = &pl_cursor_node(l->cursor)->meta;
	struct pl_origin_level *level = pl_origin_top(l, PL_ORIGIN_SPARE);
	int from = pl_origin_fd(l, PL_ORIGIN_SPARE, level), to = pl_walk_fd(&l->walk);
	bool sync = pl_txdir_must_fsync(l->layout->tx);
	PL_CLOSE int fd = -EBADF; /* its mode may shut its owner out, once it is settled */
	struct stat before;
	const char *what;

	if (pl_lstat(from, name, &before) < 0 || !S_ISDIR(before.st_mode) ||
	    pl_meta_matches_at(from, name, &before, meta, &what) != 1) /* R2 */
		return 0;
	if (sync) {
		fd = pl_open_dir(from, name);
		if (fd < 0)
			return 0;
	}
	if (pl_recycle_rename_out(from, to, name, &before) < 0)
		return 0;
	level->has_lost = true;
	return keep(l, name, path, &before, fd, error);
}

int pl_recycle_directory(struct pl_laying *l, const struct pl_entry *entry,
			 struct pleach_error *error)
{
	struct pl_level *level = &l->levels[l->n_levels - 1];
	const struct pl_entry *old = pl_origin_entry(&level->origins[PL_ORIGIN_SPARE], entry);
	const char *path = pl_cursor_path(l->cursor);
	char name[PL_NAME_MAX + 1];
	int r;

	if (!old || !pl_entry_equal(old, entry))
		return 0;
	pl_assert(entry->kind == PLEACH_DIR);
	pl_entry_name(entry, name);
	/* The scan has been there. Unless what it wrote has gone again, it is new. */
	if (level->present.n > 0 && pl_listing_find(&level->present, name) &&
	    pl_rmdir(pl_walk_fd(&l->walk), name) < 0)
		return 0;
	r = groups_agree(l, path, name);
	if (r == -ENOMEM)
		return pl_fail_memory(error);
	if (r <= 0)
		return 0;
	r = move(l, name, path, error);
	if (r > 0) {
		l->counts.moved++;
		l->done += entry->totals.entries;
	}
	return r;
}
