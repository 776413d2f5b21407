/*
 * reach - the paths of hard-link groups that reach from a directory down into its subtrees, in the
 * order in which a walk meets them, so that a walk knows at each name whether one of them is here or
 * below. Groups are kept with their lowest common directory, and so an unchanged subtree can hold
 * members of a group of any directory above it. Inner to the folder: diff and graft use it.
 *
 * R1  Items are in the order of pl_path_compare(), by what is left of their path.
 * R2  Nothing is copied but pointers: whoever adds a path or a mark keeps it as long as the reach, or
 *     any part that was taken from it, is in use. A walk's frames do so by their order.
 * R3  Names are asked for in rising order; what was passed over is not met again.
 */
#ifndef PL_TREE_REACH_H
#define PL_TREE_REACH_H

#include "tree/tree.h"

struct pl_reach_item {
	const char *path;
	bool *mark; /* what graft sets for a member that is lost; NULL in a diff */
};
/** All zero is an empty one. */
struct pl_reach {
	const struct pl_reach_item *items; /* its own, or those of the reach it was taken from */
	size_t next, n;			   /* those still to come are items[next] to items[n - 1] */
	size_t skip;			   /* bytes at the front of each path that lead to here */
	struct pl_reach_item *own;
	size_t capacity;
};

void pl_reach_done(struct pl_reach *reach);
/** Adds to one that owns its items, or has none yet; 0 or -ENOMEM. Sort before use. */
int pl_reach_add(struct pl_reach *reach, const char *path, bool *mark);
void pl_reach_sort(struct pl_reach *reach);
/**
 * Adds the members whose group is not the same in both of these, which are the groups of one
 * directory in two trees, each sorted. Sorts, too; 0 or -ENOMEM. A path is in one group at most, so
 * a group without its equal on the other side has changed for all its members.
 */
int pl_reach_add_changes(struct pl_reach *reach, const struct pl_groups *before,
			 const struct pl_groups *after);
/** Puts what is left of `above` into `reach` too; 0 or -ENOMEM. Both are sorted. */
int pl_reach_join(struct pl_reach *reach, const struct pl_reach *above);

static inline bool pl_reach_is_empty(const struct pl_reach *reach)
{
	return reach->next == reach->n;
}
/**
 * Goes past everything up to and with `name`: what is just it (at most one, but in a broken tree) and
 * what lies below it. Both borrow from `reach` and own nothing.
 */
void pl_reach_take(struct pl_reach *reach, const char *name, size_t name_length,
		   struct pl_reach *ret_here, struct pl_reach *ret_below);
/** Sets the marks of all that is left. */
void pl_reach_mark(const struct pl_reach *reach);

#endif
