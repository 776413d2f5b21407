/*
 * Recycling by editing: a directory of the spare that differs from the new tree's is taken as it is, and only the
 * names that differ are made anew in it. So what a layout costs follows the entries that changed, however large
 * their directories are. It is for spares that nobody can be in (DESIGN.md, "Placing"): whoever still had such a
 * directory open would see another generation's files in it.
 *
 *	spare: d/ {a, b, e/}	new: d/ {a, c, e/}	d/ is renamed to its place; b goes, c is made; a and e/ stay
 *
 * E1  Such a directory "is here": it lies in the destination already. The walk of the spare does not go into it, or
 *     only into a skeleton of it, made for a directory below that cannot be edited and is laid out from there.
 * E2  Of what it holds is known what the spare's node says, if its own metadata is as the node says: a name that a
 *     stranger put into it, or took out, shows in its mtime. Each name of the node is met, in order, and stays, or
 *     goes before another gets its place.
 * E3  No hard-link group of the spare or of the new tree may reach into it from itself or from above: then every
 *     name in it is an inode by itself, and so it may stay.
 * E4  Nothing here is in the way of the plain way: what cannot be edited is made new, from what it was.
 */
#include <fcntl.h>

#include "place/inner.h"

/* ---- may it be edited? ---- */

/* Do groups of directories above have names below this one? What cannot be told is a yes. */
static bool reach_below(const struct pl_membership *groups, const char *path)
{
	struct pl_membership_below below = {0};
	struct pl_membership_group group;
	PL_BUFFER member = {0};

	return !pl_membership_is_empty(groups) && *path &&
	       pl_membership_next_below(groups, path, &below, &group, &member) != 0;
}

/* E2, E3. `st`: of the directory in the spare. */
static bool may_edit(struct pl_laying *l, const char *path, const struct stat *st)
{
	const struct pl_origin *spare = &l->origins[PL_ORIGIN_SPARE];
	const struct pl_node *old = &pl_origin_top(l, PL_ORIGIN_SPARE)->node;

	return l->layout->may_edit && spare->is_there && S_ISDIR(st->st_mode) &&
	       pl_recycle_has_metadata(st, &old->meta) && old->n_blocks == 0 &&
	       pl_cursor_node(l->cursor)->n_blocks == 0 && !reach_below(spare->groups, path) &&
	       !reach_below(pl_cursor_membership(l->cursor), path);
}

/* ---- taking directories ---- */

/*
 * It is in its place: its owner may work in it (its own mode comes when it is left), or it goes again, for what is
 * found there is taken for what the scan wrote. 1: it is to be edited.
 */
static int begin_in(int dirfd, const char *name, const struct stat *st, struct pleach_error *error)
{
	int r = 0;

	if ((st->st_mode & S_IRWXU) != S_IRWXU)
		r = pl_chmod_at(dirfd, name, (st->st_mode & 07777) | S_IRWXU);
	if (r >= 0)
		return 1;
	r = pl_erase(dirfd, name, NULL);
	return r < 0 ? pl_fail_sys(error, r, "cannot remove '%s' again", name) : 0;
}

/* The root is renamed from the one wrapper to the other; an empty one stays for the skeleton. (E1) */
int pl_edit_take_root(struct pl_laying *l, struct pleach_error *error)
{
	int from = l->layout->spare_wrapper_fd, to = l->layout->wrapper_fd, fd, r = 0;
	struct pl_origin *spare = &l->origins[PL_ORIGIN_SPARE];
	char hex[PL_ID_HEX + 1];
	struct stat st;

	if (!l->layout->may_edit || pl_fstat(pl_walk_fd(&spare->walk), &st) < 0 ||
	    !may_edit(l, "", &st) || pl_recycle_rename_out(from, to, "tree", &st) < 0)
		return 0;
	pl_walk_done(&spare->walk);
	fd = pl_mkdir(from, "tree", 0700);
	if (fd >= 0)
		fd = pl_open_dir(from, "tree");
	if (fd >= 0)
		fd = pl_walk_init_take(&spare->walk, fd);
	pl_origin_top(l, PL_ORIGIN_SPARE)->is_walked = fd >= 0;
	/* Or a power cut could bring it back where the spare is erased. */
	if (pl_txdir_must_fsync(l->layout->tx))
		r = pl_fsync(from);
	return r < 0 ? pl_fail_sys(error, r, "cannot sync spare tree %s",
				   pl_id_hex(&l->layout->spare, hex))
		     : begin_in(to, "tree", &st, error);
}

/* The walk of the spare goes to where the destination's is, in the skeleton. */
static bool go_along(struct pl_laying *l)
{
	struct pl_walk *walk = &l->origins[PL_ORIGIN_SPARE].walk;

	if (!l->levels[0].origins[PL_ORIGIN_SPARE].is_walked ||
	    pl_walk_goto(walk, pl_walk_path(&l->walk), true, 0700) < 0)
		return false;
	for (size_t i = 0; i + 1 < l->n_levels; i++)
		l->levels[i].origins[PL_ORIGIN_SPARE].is_walked = true;
	return true;
}

int pl_edit_take(struct pl_laying *l, const char *path, const char *name,
		 struct pleach_error *error)
{
	struct pl_origin_level *parent = &l->levels[l->n_levels - 2].origins[PL_ORIGIN_SPARE];
	int from = pl_origin_fd(l, PL_ORIGIN_SPARE, parent), to = pl_walk_fd(&l->walk);
	struct stat st;

	if (!l->layout->may_edit || pl_lstat(from, name, &st) < 0)
		return 0;
	if (may_edit(l, path, &st)) {
		if (!parent->is_here && pl_recycle_rename_out(from, to, name, &st) < 0)
			return 0;
		parent->has_lost |= !parent->is_here;
		return begin_in(to, name, &st, error);
	}
	if (parent->is_here && go_along(l))
		(void)pl_recycle_rename_out(to, pl_walk_fd(&l->origins[PL_ORIGIN_SPARE].walk), name,
					    &st);
	return 0;
}

/* ---- names ---- */

static int take_off(struct pl_laying *l, const struct pl_entry *old, struct pleach_error *error)
{
	char name[PL_NAME_MAX + 1];
	int r;

	pl_entry_name(old, name);
	r = pl_unlink(pl_walk_fd(&l->walk), name);
	if (r == -EISDIR || r == -EPERM)
		r = pl_erase(pl_walk_fd(&l->walk), name, NULL);
	return r < 0 && r != -ENOENT
		       ? pl_fail_sys(error, r, "cannot remove '%s' from a spare tree", name)
		       : 0;
}

/* Does what the spare has under a name stay, or is gone into, for what the new tree has there? */
static bool is_kept(const struct pl_entry *old, const struct pl_entry *entry)
{
	if (entry->kind == PLEACH_DIR)
		return old->kind == PLEACH_DIR;
	return pl_entry_equal(old, entry);
}

int pl_edit_pass(struct pl_laying *l, const struct pl_entry *entry, struct pleach_error *error)
{
	struct pl_origin_level *level = pl_origin_top(l, PL_ORIGIN_SPARE);
	int r = 0;

	while (r >= 0 && level->is_here) {
		int c;

		if (!level->has_entry) {
			if (!pl_node_next(&level->node, &level->cursor, &level->entry))
				return 0;
			level->has_entry = true;
			level->keeps_entry = false;
		}
		c = entry ? pl_entry_compare(&level->entry, entry) : -1;
		if (c > 0)
			return 0;
		if (c == 0 && is_kept(&level->entry, entry)) {
			level->keeps_entry = true;
			return 1;
		}
		if (!level->keeps_entry)
			r = take_off(l, &level->entry, error);
		level->has_entry = false;
	}
	return r;
}
