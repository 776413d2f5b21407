/*
 * A placed tree, laid out in full from nodes: the walk, directories, and which way each name is made.
 * How a single name is made is in name.c of this folder.
 *
 * The walk goes through three things side by side: the new tree (a cursor over nodes), the destination
 * (private to this transaction), and, as far as they agree, the placed base with its nodes.
 *
 * I1  When a directory is left, everything below it has its exact metadata, and then it gets its own:
 *     nothing is made in it afterwards, so its mtime stays.
 * I2  Nothing but the destination changes. Of the base, names are linked, never moved or written.
 * I3  Memory: the nodes from the root to where the walk is, the filter, and the tree's link groups.
 */
#include <fcntl.h>
#include <stdlib.h>

#include "place/inner.h"

/* ---- the base ---- */

static void base_level_done(struct pl_level *level)
{
	pl_assert(level);
	if (level->has_base)
		pl_node_done(&level->base);
	level->has_base = false;
}

/* Reads the base's node of the directory just entered, and opens its placing. */
static int enter_base(struct pl_laying *l, struct pl_level *level, const char *path,
		      const char *name, const struct pl_id *id, struct pleach_error *error)
{
	int r;

	if (name) {
		r = pl_walk_enter(&l->base_walk, name);
		/* Somebody wrote into the placed base, or its owner may not pass: no help here. */
		if (r == -ENOENT || r == -ENOTDIR || r == -EACCES)
			return 0;
		if (r < 0)
			return pl_fail_sys(error, r, "cannot open '%s' in the placed base", path);
	}
	r = pl_node_read(l->layout->nodes, id, &level->base, error);
	if (r < 0)
		return r;
	level->has_base = true;
	return pl_membership_push(l->base_groups, path, &level->base, error);
}

static int leave_base(struct pl_laying *l, struct pl_level *level, struct pleach_error *error)
{
	int r = 0;

	pl_assert(level);
	if (!level->has_base)
		return 0;
	pl_membership_pop(l->base_groups);
	if (l->n_levels > 1)
		r = pl_walk_leave(&l->base_walk);
	return r < 0 ? pl_fail_sys(error, r, "lost a directory of the placed base") : 0;
}

const struct pl_entry *pl_level_base(struct pl_level *level, const struct pl_entry *wanted)
{
	while (level->has_base) {
		int c;

		if (!level->has_base_entry) {
			if (!pl_node_next(&level->base, &level->base_cursor, &level->base_entry))
				return NULL;
			level->has_base_entry = true;
		}
		c = pl_entry_compare(&level->base_entry, wanted);
		if (c >= 0)
			return c == 0 ? &level->base_entry : NULL;
		level->has_base_entry = false;
	}
	return NULL;
}

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
	base_level_done(level);
	pl_listing_done(&level->present);
}

/* Makes the directory, or finds it: then what is in it was written there by the scan. */
static int make_directory(struct pl_laying *l, struct pl_level *level, const char *path,
			  const char *name, struct pleach_error *error)
{
	bool found = name == NULL;
	int r = 0;

	if (name) {
		r = pl_mkdir(pl_walk_fd(&l->walk), name, 0700);
		found = r == -EEXIST;
		if (r >= 0 || found)
			r = pl_walk_enter(&l->walk, name);
	}
	if (r >= 0 && found)
		r = pl_list(pl_walk_fd(&l->walk), &level->present);
	return r < 0 ? pl_fail_sys(error, r, "cannot make the directory '%s'", path) : 0;
}

static int enter_directory(struct pl_laying *l, struct pleach_error *error)
{
	const char *path = pl_cursor_path(l->cursor);
	bool is_root = l->n_levels == 0;
	const struct pl_entry *entry = is_root ? NULL : pl_cursor_entry(l->cursor);
	struct pl_id base = l->layout->base;
	bool has_base = is_root && l->has_base;
	char name[PL_NAME_MAX + 1];
	struct pl_level *level = NULL;
	int r;

	if (!is_root) {
		const struct pl_entry *b = pl_level_base(&l->levels[l->n_levels - 1], entry);

		pl_entry_name(entry, name);
		has_base = b && b->kind == PLEACH_DIR;
		if (has_base)
			base = b->hash;
	}
	r = push_level(l, &level, error);
	pl_assert(r < 0 || level);
	if (r >= 0)
		r = make_directory(l, level, path, is_root ? NULL : name, error);
	if (r >= 0 && has_base)
		r = enter_base(l, level, path, is_root ? NULL : name, &base, error);
	l->counts.directories++;
	return r;
}

/* The directory's own metadata, through a descriptor that was opened before: its mode may shut its
 * owner out. (I1) */
static int finish_directory(struct pl_laying *l, int fd, const char *path,
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
	int r = fd < 0 ? pl_fail_sys(error, fd, "cannot hold the directory '%s'", path)
		       : leave_base(l, level, error);

	if (r < 0)
		return r;
	level_done(level);
	/* Left before it gets its mode: going up may need to pass through it. */
	if (--l->n_levels > 0)
		r = pl_walk_leave(&l->walk);
	if (r < 0)
		return pl_fail_sys(error, r, "lost the directory above '%s'", path);
	return finish_directory(l, fd, path, &pl_cursor_node(l->cursor)->meta, error);
}

/* ---- the filter ---- */

/* Entries that a filter has room for at most: what a node says is not believed without end. */
#define ROOM_MAX (UINT64_C(1) << 28)

/* Every object of the base: the filter is made anew, since the old one has become too full. */
static int add_base_objects(struct pl_laying *l, struct pleach_error *error)
{
	struct pl_cursor *cursor;
	int r = pl_cursor_new(l->layout->nodes, &l->layout->base, false, l->layout->tx->store->seed,
			      &cursor, error);

	if (r < 0)
		return r;
	while ((r = pl_cursor_next(cursor, error)) > 0) {
		const struct pl_entry *entry = r == PL_STEP_ENTRY ? pl_cursor_entry(cursor) : NULL;
		struct pl_id object;

		if (!entry || entry->kind != PLEACH_FILE || entry->size == 0)
			continue;
		pl_entry_object(entry, &object);
		pl_filter_add(&l->filter, &object);
	}
	pl_cursor_free(cursor);
	return r;
}

/* How many entries a tree has, by its root. */
static int count_entries(struct pl_laying *l, const struct pl_id *tree, uint64_t *ret_n,
			 struct pleach_error *error)
{
	struct pl_totals totals;
	struct pl_node root;
	int r = pl_node_read(l->layout->nodes, tree, &root, error);

	if (r < 0)
		return r;
	r = pl_node_totals(l->layout->nodes, &root, &totals, error);
	pl_node_done(&root);
	if (r >= 0)
		*ret_n = totals.entries;
	return r;
}

/* That of the base, if it has room for all of this tree: one that is full says yes to everything, and
 * then each file is a copy. */
static int begin_filter(struct pl_laying *l, struct pleach_error *error)
{
	const struct pl_layout *layout = l->layout;
	uint64_t n, n_base = 0;
	int r;

	if (layout->share == PL_SHARE_CONTENT)
		return 0; /* nobody asks */
	r = count_entries(l, &layout->tree, &n, error);
	if (r < 0)
		return r;
	if (l->has_base) {
		r = pl_filter_read(layout->base_wrapper_fd, &l->filter);
		if (r < 0)
			return pl_fail_sys(error, r, "cannot read the filter of the base");
		/* Without one that verifies the base may be of share=content: its names may share. */
		l->has_base = !l->filter.holds_all;
		if (l->has_base && !layout->wants_exact_filter &&
		    !pl_bloom_is_full(&l->filter.bloom) && pl_bloom_has_room(&l->filter.bloom, n))
			return 0;
		pl_filter_done(&l->filter);
	}
	/* Made anew: what the base holds itself is enough, and less than what its filter has gathered. */
	if (l->has_base)
		r = count_entries(l, &layout->base, &n_base, error);
	if (r < 0)
		return r;
	n = n > n_base ? n : n_base;
	n = n < ROOM_MAX ? n : ROOM_MAX;
	r = pl_filter_init(&l->filter, n + n / 4 + 1000);
	if (r < 0)
		return pl_fail_memory(error);
	return l->has_base ? add_base_objects(l, error) : 0;
}

/* ---- the whole ---- */

static int open_walks(struct pl_laying *l)
{
	const struct pl_layout *layout = l->layout;
	int fd, r = pl_mkdir(layout->wrapper_fd, "tree", 0700);

	if (r < 0 && r != -EEXIST)
		return r;
	fd = pl_open_dir(layout->wrapper_fd, "tree");
	r = fd < 0 ? fd : pl_walk_init_take(&l->walk, fd);
	if (r < 0)
		return r;
	/* Without a base this one is never entered. */
	fd = layout->base_fd >= 0 ? pl_open_dir(layout->base_fd, ".")
				  : pl_open_dir(layout->wrapper_fd, "tree");
	return fd < 0 ? fd : pl_walk_init_take(&l->base_walk, fd);
}

static int begin(struct pl_laying *l, struct pleach_error *error)
{
	const struct pl_layout *layout = l->layout;
	uint64_t seed = layout->tx->store->seed;
	int r = open_walks(l);

	if (r < 0)
		return pl_fail_sys(error, r, "cannot begin to place tree");
	r = begin_filter(l, error);
	if (r >= 0)
		r = pl_membership_new(layout->nodes, seed, &l->base_groups, error);
	if (r >= 0)
		r = pl_cursor_new(layout->nodes, &layout->tree, true, seed, &l->cursor, error);
	return r;
}

static void end(struct pl_laying *l)
{
	while (l->n_levels > 0)
		level_done(&l->levels[--l->n_levels]);
	free(l->levels);
	pl_cursor_free(l->cursor);
	pl_membership_free(l->base_groups);
	pl_closep(&l->groups_fd);
	pl_filter_done(&l->filter);
	pl_walk_done(&l->walk);
	pl_walk_done(&l->base_walk);
}

static int step(struct pl_laying *l, int what, struct pleach_error *error)
{
	int r = pl_store_check_cancel(l->layout->tx->store, error);

	if (r < 0)
		return r;
	pl_store_progress(l->layout->tx->store, "place", ++l->done, l->layout->total_entries, 0);
	if (what == PL_STEP_ENTER)
		return enter_directory(l, error);
	if (what == PL_STEP_LEAVE)
		return leave_directory(l, error);
	return pl_laying_entry(l, &l->levels[l->n_levels - 1], pl_cursor_entry(l->cursor), error);
}

int pl_layout_run(const struct pl_layout *layout, struct pl_layout_counts *ret_counts,
		  struct pleach_error *error)
{
	struct pl_laying l = {.layout = layout,
			      .has_base = layout->base_fd >= 0,
			      .groups_fd = -EBADF,
			      .filter = {.holds_all = true}};
	bool sync = pl_txdir_must_fsync(layout->tx);
	int r = begin(&l, error);

	while (r >= 0 && (r = pl_cursor_next(l.cursor, error)) > 0)
		r = step(&l, r, error);
	pl_assert(r < 0 || l.n_levels == 0);
	if (r >= 0) {
		r = pl_filter_write(&l.filter, layout->wrapper_fd, sync);
		if (r >= 0 && sync)
			r = pl_fsync(layout->wrapper_fd);
		if (r < 0)
			pl_fail_sys(error, r, "cannot write the filter of a placed tree");
	}
	if (r >= 0 && ret_counts)
		*ret_counts = l.counts;
	end(&l);
	return r;
}
