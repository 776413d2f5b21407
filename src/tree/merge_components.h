/*
 * merge_components - paths of a merge that hard-link groups join: whoever shares a group in base, in head
 * or in tx is in one component, and these are decided on together (merge_groups.c). What is decided is not
 * known here. Inner to the folder.
 */
#ifndef PL_TREE_MERGE_COMPONENTS_H
#define PL_TREE_MERGE_COMPONENTS_H

#include "tree/merge_plan.h"

/** How a component is decided on, see merge_groups.c. */
enum pl_merge_way { PL_WAY_HEAD, PL_WAY_TX, PL_WAY_EACH, PL_WAY_UNION, PL_WAY_CONFLICT };

#define PL_NO_MEMBER SIZE_MAX

/** One path. A file is named by its first member. */
struct pl_merge_member {
	size_t item;
	size_t above;		 /* union-find: a member of its component, itself at the top */
	size_t file[PL_N_SIDES]; /* by side, what it is a name of; PL_NO_MEMBER: it is not there */

	/* merge_groups.c's */
	size_t united; /* by PL_WAY_UNION */
	/* Scratch, of one side at a time: of a file of it the base's, and back; or PL_NO_MEMBER. */
	size_t to_base, from_base;
	bool has_split;
};
struct pl_merge_component {
	size_t first, n; /* members, in the order of paths */
	enum pl_merge_way way;
};

static inline struct pl_merge_item *pl_merge_member_item(const struct pl_merge_plan *plan,
							 size_t member)
{
	pl_assert(member < plan->n_members);
	return &plan->items[plan->members[member].item];
}
/** Fills in members and components of the plan. */
int pl_merge_components_find(struct pl_merge_plan *plan, struct pleach_error *error);
/**
 * What tx did to names that are ignored never counts: makes of tx's files what they were without it. Names
 * that base has together stay so, and, if tx left them that way, with others. 0 or -ENOMEM.
 */
int pl_merge_restore_ignored(struct pl_merge_plan *plan, const struct pl_merge_component *c);

#endif
