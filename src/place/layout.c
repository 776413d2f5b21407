/*
 * A placed tree, laid out from nodes: the walk, and the directories that are made. How a single name is
 * made is in name.c of this folder, how a directory is moved in whole in recycle.c.
 *
 * The walk goes through several things side by side: the new tree (a cursor over nodes), the destination
 * (private to this transaction), and, as far as they agree, the placed base and a spare with their nodes
 * (origin.c).
 *
 * I1  When a directory is left, everything below it has its exact metadata, and then it gets its own:
 *     nothing is made in it afterwards, so its mtime stays.
 * I2  Nothing but the destination and the spare changes. Of the base, names are linked, never moved or
 *     written. A directory of the spare is moved out of it whole, or left and erased with it: none that
 *     was ever public gets an entry, unless it is known that nobody is in it (edit.c).
 * I3  Memory: the nodes from the root to where the walk is, the filters, and the trees' link groups.
 */
#include <fcntl.h>
#include <stdlib.h>

#include "place/inner.h"

/* ---- directories ---- */

static int push_level(struct pl_laying *l, struct pl_level **ret_level, struct pleach_error *error)
{
	if (PL_ARRAY_GROW(l->levels, l->capacity, l->n_levels) < 0)
		return pl_fail_memory(error);
	*ret_level = &l->levels[l->n_levels++];
	**ret_level = (struct pl_level){0};
	return 0;
}

static void level_done(struct pl_level *level)
{
	for (size_t i = 0; i < PL_ORIGINS; i++)
		pl_origin_level_done(&level->origins[i]);
	pl_listing_done(&level->present);
	pl_linked_dir_release(level->linked);
}

/* The walk of the destination begins, or goes on, in a directory that is there. */
static int go_into(struct pl_laying *l, const char *name)
{
	int fd;

	if (name)
		return pl_walk_enter(&l->walk, name);
	fd = pl_open_dir(l->layout->wrapper_fd, "tree");
	return fd < 0 ? fd : pl_walk_init_take(&l->walk, fd);
}

/* Makes the directory, or finds it: then what is in it was written there by the scan. `name` NULL: the root. */
static int make_directory(struct pl_laying *l, struct pl_level *level, const char *path,
			  const char *name, struct pleach_error *error)
{
	int dirfd = name ? pl_walk_fd(&l->walk) : l->layout->wrapper_fd, r = 0;
	bool is_here = level->origins[PL_ORIGIN_SPARE].is_here, is_found = false;

	/* What was not taken to be edited out of a directory that is. */
	if (!is_here && name && level[-1].origins[PL_ORIGIN_SPARE].is_here)
		r = pl_erase(dirfd, name, NULL);
	if (!is_here && r >= 0) {
		r = pl_mkdir(dirfd, name ? name : "tree", 0700);
		is_found = r == -EEXIST;
	}
	if (r >= 0 || is_found)
		r = go_into(l, name);
	if (r >= 0 && is_found)
		r = pl_list(pl_walk_fd(&l->walk), &level->present);
	if (is_here)
		l->counts.edited++;
	else
		l->counts.directories++;
	return r < 0 ? pl_fail_sys(error, r, "cannot make the directory '%s'", path) : 0;
}

/* It is made, and what the origins have under this name is gone into, too; of the spare it may be the directory. */
static int enter_all(struct pl_laying *l, const char *path, const char *name,
		     const bool has_dir[PL_ORIGINS], const struct pl_id ids[PL_ORIGINS],
		     struct pleach_error *error)
{
	struct pl_level *level = NULL;
	int r = push_level(l, &level, error); /* pointers into levels end here */

	pl_assert(r < 0 || level);
	if (r >= 0 && has_dir[PL_ORIGIN_SPARE])
		r = pl_origin_enter(l, PL_ORIGIN_SPARE, path, name, &ids[PL_ORIGIN_SPARE], error);
	if (r >= 0)
		r = make_directory(l, level, path, name, error);
	if (r >= 0 && has_dir[PL_ORIGIN_BASE])
		r = pl_origin_enter(l, PL_ORIGIN_BASE, path, name, &ids[PL_ORIGIN_BASE], error);
	return r;
}

static int enter_root(struct pl_laying *l, struct pleach_error *error)
{
	bool has_dir[PL_ORIGINS];
	struct pl_id ids[PL_ORIGINS];

	for (size_t i = 0; i < PL_ORIGINS; i++) {
		has_dir[i] = l->origins[i].is_there;
		ids[i] = l->origins[i].tree;
	}
	return enter_all(l, "", NULL, has_dir, ids, error);
}

static int enter_directory(struct pl_laying *l, struct pleach_error *error)
{
	const char *path = pl_cursor_path(l->cursor);
	const struct pl_entry *entry = pl_cursor_entry(l->cursor);
	bool has_dir[PL_ORIGINS];
	struct pl_id ids[PL_ORIGINS];
	char name[PL_NAME_MAX + 1];
	int r = pl_recycle_directory(l, entry, error);

	if (r != 0) {
		l->is_moved = r > 0;
		if (r > 0)
			pl_cursor_skip(l->cursor);
		return r;
	}
	pl_entry_name(entry, name);
	for (size_t i = 0; i < PL_ORIGINS; i++) {
		const struct pl_entry *e =
			pl_origin_entry(&l->levels[l->n_levels - 1].origins[i], entry);

		has_dir[i] = e && e->kind == PLEACH_DIR;
		if (has_dir[i])
			ids[i] = e->hash;
	}
	return enter_all(l, path, name, has_dir, ids, error);
}

/* The directory's own metadata, through a descriptor that was opened before: its mode may shut its
 * owner out. (I1) */
int pl_laying_finish_directory(struct pl_laying *l, int fd, const char *path,
			       const struct pl_meta *meta, struct pleach_error *error)
{
	const char *why = NULL;
	int r = pl_meta_restore(fd, meta, PLEACH_DIR, &why);

	if (r < 0)
		return pl_laying_fail(r, path, why, error);
	if (pl_txdir_must_fsync(l->layout->tx))
		r = pl_fsync(fd);
	return r < 0 ? pl_fail_sys(error, r, "cannot sync the directory '%s'", path) : 0;
}

static int leave_directory(struct pl_laying *l, struct pleach_error *error)
{
	const char *path = pl_cursor_path(l->cursor);
	struct pl_level *level = &l->levels[l->n_levels - 1];
	PL_CLOSE int fd = pl_dup(pl_walk_fd(&l->walk));
	int r = fd < 0 ? pl_fail_sys(error, fd, "cannot hold the directory '%s'", path) : 0;
	int is_queued = 0;

	if (r >= 0)
		r = pl_edit_pass(l, NULL, error);
	for (size_t i = 0; r >= 0 && i < PL_ORIGINS; i++)
		r = pl_origin_leave(l, (enum pl_origin_which)i, error);
	if (r >= 0)
		r = is_queued = pl_linking_complete(l, level, path,
						    &pl_cursor_node(l->cursor)->meta, error);
	if (r < 0)
		return r;
	level_done(level);
	/* Left before it gets its mode: going up may need to pass through it. */
	if (--l->n_levels > 0)
		r = pl_walk_leave(&l->walk);
	if (r < 0)
		return pl_fail_sys(error, r, "lost the directory above '%s'", path);
	return is_queued ? 0
			 : pl_laying_finish_directory(l, fd, path, &pl_cursor_node(l->cursor)->meta,
						      error);
}

/* ---- the whole ---- */

/* A directory that is the same, in one that is edited, stays where it is: nothing of it is read. (edit.c, E2, E3) */
static int stays(void *self, const struct pl_entry *entry, struct pleach_error *error)
{
	struct pl_laying *l = self;
	const struct pl_entry *old;
	int r = pl_edit_pass(l, entry, error);

	if (r <= 0)
		return r;
	old = pl_origin_entry(pl_origin_top(l, PL_ORIGIN_SPARE), entry);
	if (!old || !pl_entry_equal(old, entry))
		return 0;
	l->counts.kept++;
	l->done += entry->totals.entries;
	return 1;
}

static int begin(struct pl_laying *l, struct pleach_error *error)
{
	uint64_t seed = l->layout->tx->store->seed;
	int r;

	pl_map_init(&l->same_groups, sizeof(uint64_t), seed);
	r = pl_origins_begin(l, error);
	if (r >= 0)
		r = pl_cursor_new(l->layout->nodes, &l->layout->tree, true, seed, &l->cursor,
				  error);
	if (r >= 0 && l->layout->may_edit)
		pl_cursor_pass(l->cursor, stays, l);
	return r < 0 ? r : pl_linking_begin(l, error);
}

static void end(struct pl_laying *l)
{
	pl_linking_end(l);
	while (l->n_levels > 0)
		level_done(&l->levels[--l->n_levels]);
	free(l->levels);
	pl_cursor_free(l->cursor);
	pl_closep(&l->groups_fd);
	pl_filter_done(&l->filter);
	pl_map_done(&l->same_groups);
	pl_walk_done(&l->walk);
	pl_origins_end(l);
}

/* The end of a directory; one that was moved has nothing left to be done. */
static int leave(struct pl_laying *l, struct pleach_error *error)
{
	if (!l->is_moved)
		return leave_directory(l, error);
	l->is_moved = false;
	return 0;
}

static int step(struct pl_laying *l, int what, struct pleach_error *error)
{
	int r = pl_store_check_cancel(l->layout->tx->store, error);

	if (r < 0)
		return r;
	pl_store_progress(l->layout->tx->store, "place", ++l->done, l->layout->total_entries, 0);
	if (what == PL_STEP_ENTER)
		return l->n_levels == 0 ? enter_root(l, error) : enter_directory(l, error);
	if (what == PL_STEP_LEAVE)
		return leave(l, error);
	return pl_laying_entry(l, &l->levels[l->n_levels - 1], pl_cursor_entry(l->cursor), error);
}

int pl_layout_run(const struct pl_layout *layout, struct pl_layout_counts *ret_counts,
		  struct pleach_error *error)
{
	struct pl_laying l = {.layout = layout, .groups_fd = -EBADF, .filter = {.holds_all = true}};
	bool sync = pl_txdir_must_fsync(layout->tx);
	int r = begin(&l, error);

	while (r >= 0 && (r = pl_cursor_next(l.cursor, error)) > 0)
		r = step(&l, r, error);
	if (r != -EINTR) { /* what fails is what fails first in the order of the walk */
		int before = pl_linking_finish(&l, error);

		r = before < 0 ? before : r;
	}
	pl_assert(r < 0 || l.n_levels == 0);
	if (r >= 0) {
		r = pl_filter_write(&l.filter, layout->wrapper_fd, sync);
		if (r >= 0 && sync)
			r = pl_fsync(layout->wrapper_fd);
		if (r < 0)
			pl_fail_sys(error, r,
				    "cannot write the filter of a placed tree in %s/.pleach/tx/%s",
				    layout->tx->store->path, layout->tx->id);
	}
	if (r >= 0 && ret_counts)
		*ret_counts = l.counts;
	end(&l);
	return r;
}
