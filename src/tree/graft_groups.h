/*
 * graft_groups - what becomes of hard-link groups in a graft whose clashes take members away. Inner to
 * the folder.
 *
 * A group that loses members may have to move into a deeper directory, which may lie before the clash
 * in the order of the walk and would have been taken over whole by then. So this is found out by a
 * walk of its own before anything is built.
 */
#ifndef PL_TREE_GRAFT_GROUPS_H
#define PL_TREE_GRAFT_GROUPS_H

#include "tree/tree.h"

/** All zero: no group changes. */
struct pl_regrouping {
	/** Groups that lost members, by source and first member that they had; sorted. */
	struct pl_regrouping_lost {
		char *first; /* from the composed root */
		size_t source;
	} * lost;
	size_t n_lost, lost_capacity;
	/** What is left of those that still have two; sorted by directory. */
	struct pl_regrouping_left {
		char *directory; /* from the composed root, "" is the root itself */
		size_t group;	 /* in `groups`, members relative to `directory` */
	} * left;
	size_t n_left, left_capacity;
	struct pl_groups groups;
};

/** `clash` is FIRST or LAST. On an error there is nothing to be freed. */
int pl_regrouping_find(const struct pl_node_source *source, const struct pl_graft_source *sources,
		       size_t n_sources, enum pleach_clash clash,
		       struct pl_regrouping *ret_regrouping, struct pleach_error *error);
void pl_regrouping_done(struct pl_regrouping *regrouping);
/** Did the group of `source` with this first member lose members? What is left of it is in `left`. */
bool pl_regrouping_has_lost(const struct pl_regrouping *regrouping, size_t source,
			    const char *first);
/** Index of the first of `left` whose directory is `path` or below it, n_left if there is none. */
size_t pl_regrouping_left_below(const struct pl_regrouping *regrouping, const char *path);

#endif
