/*
 * The placed trees that a layout takes inodes from: the base, which stays as it is, and a spare, which
 * is retired, private to this transaction, and emptied. Each is walked through beside the new tree, as
 * far as the two agree, with its nodes, its hard-link groups and its filter.
 *
 * I1  An origin is a help, no need. Whatever is wrong with the spare (somebody wrote into it, a node is
 *     missing, a directory cannot be opened) it gives no help there, and is no error.
 * I2  Its filter holds every object that it holds. With share=names one whose filter does not verify
 *     is no origin: its names may share inodes.
 * I3  Of the base nothing is changed, not even a mode.
 * I4  share=names: two names of the new tree are one inode exactly when they are a group. Each origin is
 *     right in itself, so it is enough that none of its groups is torn (name.c I1), and that no inode
 *     comes from both under names that are no group. An inode that never was an object has, wherever it
 *     is placed, the names that it began with: so the groups meet, and are one. One that was is known by
 *     its object: the base's is taken only if the spare's filter proves that it does not hold it under
 *     any name, the pool's only if both filters do. (docs/adr/0002)
 */
#include <fcntl.h>
#include <stdlib.h>

#include "place/inner.h"

/* ---- entries ---- */

const struct pl_entry *pl_origin_entry(struct pl_origin_level *level, const struct pl_entry *wanted)
{
	while (level->is_in) {
		int c;

		if (!level->has_entry) {
			if (!pl_node_next(&level->node, &level->cursor, &level->entry))
				return NULL;
			level->has_entry = true;
		}
		c = pl_entry_compare(&level->entry, wanted);
		if (c >= 0)
			return c == 0 ? &level->entry : NULL;
		level->has_entry = false;
	}
	return NULL;
}

bool pl_origin_may_hold(const struct pl_laying *l, enum pl_origin_which which,
			const struct pl_id *object)
{
	if (l->layout->share == PL_SHARE_CONTENT)
		return false; /* equal files share */
	if (!l->origins[PL_ORIGIN_SPARE].is_there || !l->origins[PL_ORIGIN_BASE].is_there)
		return false; /* of one alone, the new tree's own filter begins with all */
	return pl_filter_has(&l->origins[which].filter, object);
}

/* ---- going along ---- */

struct pl_origin_level *pl_origin_top(struct pl_laying *l, enum pl_origin_which which)
{
	return &l->levels[l->n_levels - 1].origins[which];
}

int pl_origin_fd(const struct pl_laying *l, enum pl_origin_which which,
		 const struct pl_origin_level *level)
{
	if (!level->is_in)
		return -EBADF;
	if (level->is_here)
		return pl_walk_fd(&l->walk);
	return level->is_walked ? pl_walk_fd(&l->origins[which].walk) : -EBADF;
}

void pl_origin_level_done(struct pl_origin_level *level)
{
	if (level->is_in)
		pl_node_done(&level->node);
	level->is_in = level->is_walked = level->is_here = false;
}

/* 1: in. 0: there is no way in. */
static int enter_placed(struct pl_laying *l, enum pl_origin_which which, const char *path,
			const char *name, struct pleach_error *error)
{
	struct pl_walk *walk = &l->origins[which].walk;
	int r;

	if (!l->levels[l->n_levels - 2].origins[which].is_walked)
		return 0;
	r = pl_walk_enter(walk, name);
	if (which == PL_ORIGIN_SPARE) {
		if (r == -EACCES && pl_recycle_widen(pl_walk_fd(walk), name) == 1)
			r = pl_walk_enter(walk, name);
		return r == -ENOMEM ? pl_fail_memory(error) : r >= 0; /* I1 */
	}
	/* Somebody wrote into the placed base, or its owner may not pass: no help here. */
	if (r == -ENOENT || r == -ENOTDIR || r == -EACCES)
		return 0;
	return r < 0 ? pl_fail_sys(error, r, "cannot open '%s' in the placed base", path) : 1;
}

/* 1: its directory is at hand. 0: it is not. */
static int go_into(struct pl_laying *l, enum pl_origin_which which, const char *path,
		   const char *name, struct pleach_error *error)
{
	struct pl_origin_level *level = pl_origin_top(l, which);
	int r = 0;

	level->is_walked = !name;
	if (which == PL_ORIGIN_SPARE)
		r = name ? pl_edit_take(l, path, name, error) : pl_edit_take_root(l, error);
	if (r < 0)
		return r;
	level->is_here = r == 1;
	if (level->is_here || !name)
		return 1;
	r = enter_placed(l, which, path, name, error);
	level->is_walked = r == 1;
	return r;
}

int pl_origin_enter(struct pl_laying *l, enum pl_origin_which which, const char *path,
		    const char *name, const struct pl_id *id, struct pleach_error *error)
{
	struct pl_origin_level *level = pl_origin_top(l, which);
	struct pl_origin *origin = &l->origins[which];
	struct pleach_error ignored = PLEACH_ERROR_INIT;
	bool may_fail = which == PL_ORIGIN_SPARE; /* I1 */
	int r = pl_node_read(l->layout->nodes, id, &level->node, may_fail ? &ignored : error);

	pl_assert(!level->is_in);
	if (r < 0)
		return may_fail ? 0 : r;
	r = pl_membership_push(origin->groups, path, &level->node, may_fail ? &ignored : error);
	if (r < 0) {
		pl_node_done(&level->node);
		return may_fail ? 0 : r;
	}
	r = go_into(l, which, path, name, error);
	level->is_in = r == 1;
	if (!level->is_in) {
		pl_membership_pop(origin->groups);
		pl_node_done(&level->node);
	}
	return r < 0 ? r : 0;
}

/* Its walk has lost its way up, and is of no use any more. */
static void give_up(struct pl_laying *l, enum pl_origin_which which)
{
	for (size_t i = 0; i < l->n_levels; i++)
		l->levels[i].origins[which].is_walked = false;
}

int pl_origin_leave(struct pl_laying *l, enum pl_origin_which which, struct pleach_error *error)
{
	struct pl_origin_level *level = pl_origin_top(l, which);
	struct pl_origin *origin = &l->origins[which];
	bool was_walked = level->is_walked;
	char hex[PL_ID_HEX + 1];
	int r = 0;

	if (!level->is_in)
		return 0;
	/* Or a power cut could bring back, in what is erased, a name that was moved to the new tree. */
	if (level->has_lost && pl_txdir_must_fsync(l->layout->tx))
		r = was_walked ? pl_fsync(pl_walk_fd(&origin->walk)) : -ESTALE;
	if (r < 0)
		return pl_fail_sys(error, r, "cannot sync a directory of spare tree %s",
				   pl_id_hex(&l->layout->spare, hex));
	pl_membership_pop(origin->groups);
	pl_origin_level_done(level);
	if (was_walked && l->n_levels > 1 && pl_walk_leave(&origin->walk) < 0)
		give_up(l, which);
	return 0;
}

/* ---- filters ---- */

/* Entries that a filter has room for at most: what a node says is not believed without end. */
#define ROOM_MAX (UINT64_C(1) << 28)

/* How many entries a tree has, by its root. */
static int count_entries(struct pl_laying *l, const struct pl_id *tree, uint64_t *ret_n,
			 struct pleach_error *error)
{
	struct pl_totals totals;
	int r = pl_tree_totals(l->layout->nodes, tree, &totals, error);

	if (r >= 0)
		*ret_n = totals.entries;
	return r;
}

static int make_filter(uint64_t n, struct pl_filter *ret_filter, struct pleach_error *error)
{
	n = n < ROOM_MAX ? n : ROOM_MAX;
	return pl_filter_init(ret_filter, n + n / 4 + 1000) < 0 ? pl_fail_memory(error) : 0;
}

/* Made anew: what the origin holds itself is enough, and less than what its filter has gathered. */
static int remake_filter(struct pl_laying *l, struct pl_origin *origin, uint64_t n,
			 struct pleach_error *error)
{
	uint64_t n_origin = 0;
	int r = count_entries(l, &origin->tree, &n_origin, error);

	pl_filter_done(&origin->filter);
	if (r >= 0)
		r = make_filter(n > n_origin ? n : n_origin, &origin->filter, error);
	return r < 0 ? r
		     : pl_filter_add_tree(&origin->filter, l->layout->nodes, &origin->tree,
					  l->layout->tx->store->seed, error);
}

/* That of the origin, if it has room for all `n` of the new tree: one that is full says yes to
 * everything, and then each file is a copy. (I2) */
static int load_filter(struct pl_laying *l, struct pl_origin *origin, int wrapper_fd, uint64_t n,
		       struct pleach_error *error)
{
	int r = pl_filter_read(wrapper_fd, &origin->filter);
	char hex[PL_ID_HEX + 1];

	if (r < 0)
		return pl_fail_sys(error, r, "cannot read the filter of placed tree %s",
				   pl_id_hex(&origin->tree, hex));
	origin->is_there = !origin->filter.holds_all;
	if (!origin->is_there ||
	    (!l->layout->wants_exact_filter && !pl_bloom_is_full(&origin->filter.bloom) &&
	     pl_bloom_has_room(&origin->filter.bloom, n)))
		return 0;
	return remake_filter(l, origin, n, error);
}

/* The new tree's filter begins with all that the origin holds most names come from. */
static int begin_filter(struct pl_laying *l, struct pleach_error *error)
{
	struct pl_origin *spare = &l->origins[PL_ORIGIN_SPARE], *base = &l->origins[PL_ORIGIN_BASE];
	struct pleach_error ignored = PLEACH_ERROR_INIT;
	uint64_t n;
	int r;

	if (l->layout->share == PL_SHARE_CONTENT)
		return 0; /* nobody asks */
	r = count_entries(l, &l->layout->tree, &n, error);
	if (r >= 0 && base->is_there)
		r = load_filter(l, base, l->layout->base_wrapper_fd, n, error);
	if (r < 0)
		return r;
	if (spare->is_there && load_filter(l, spare, l->layout->spare_wrapper_fd, n, &ignored) < 0)
		spare->is_there = false; /* I1 */
	if (spare->is_there) {
		r = pl_filter_copy(&spare->filter, &l->filter);
		return r < 0 ? pl_fail_memory(error) : 0;
	}
	if (!base->is_there)
		return make_filter(n, &l->filter, error);
	l->filter = base->filter;
	base->filter = (struct pl_filter){.holds_all = true};
	return 0;
}

/* ---- the whole ---- */

static int open_spare(struct pl_laying *l)
{
	int wrapper = l->layout->spare_wrapper_fd, fd;

	if (wrapper < 0)
		return wrapper;
	fd = pl_open_dir(wrapper, "tree");
	if (fd == -EACCES && pl_recycle_widen(wrapper, "tree") == 1)
		fd = pl_open_dir(wrapper, "tree");
	return fd;
}

static int begin_origin(struct pl_laying *l, enum pl_origin_which which, int fd_take,
			const struct pl_id *tree, struct pleach_error *error)
{
	struct pl_origin *origin = &l->origins[which];
	int r;

	origin->filter.holds_all = true;
	if (fd_take < 0)
		return 0;
	r = pl_walk_init_take(&origin->walk, fd_take);
	if (r < 0)
		return pl_fail_memory(error);
	origin->is_there = true;
	origin->tree = *tree;
	return pl_membership_new(l->layout->nodes, l->layout->tx->store->seed, &origin->groups,
				 error);
}

int pl_origins_begin(struct pl_laying *l, struct pleach_error *error)
{
	const struct pl_layout *layout = l->layout;
	int base = layout->base_fd < 0 ? -EBADF : pl_open_dir(layout->base_fd, ".");
	char hex[PL_ID_HEX + 1];
	int r;

	if (layout->base_fd >= 0 && base < 0)
		return pl_fail_sys(error, base, "cannot open placed tree %s",
				   pl_id_hex(&layout->base, hex));
	r = begin_origin(l, PL_ORIGIN_BASE, base, &layout->base, error);
	if (r >= 0)
		r = begin_origin(l, PL_ORIGIN_SPARE, open_spare(l), &layout->spare, error);
	return r < 0 ? r : begin_filter(l, error);
}

void pl_origins_end(struct pl_laying *l)
{
	for (size_t i = 0; i < PL_ORIGINS; i++) {
		pl_walk_done(&l->origins[i].walk);
		pl_membership_free(l->origins[i].groups);
		pl_filter_done(&l->origins[i].filter);
	}
}
