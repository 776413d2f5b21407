/*
 * merge_plan - what becomes of each path that a merge has to decide on: a list of items in the order of
 * the walk, so that those below a directory stand behind it, up to its `end`. What is in no item is as
 * head has it, or goes with the directory above. Inner to the folder.
 *
 *	pl_merge_walk()			what the three trees have, and what follows for each path alone
 *	pl_merge_groups_find()		what follows from hard-link groups
 *	pl_merge_plan_force()		policies of directories that one side removed
 *	pl_merge_groups_settle()	policies of paths in groups
 *	pl_merge_plan_settle()		policies of the others; what survives in removed directories
 */
#ifndef PL_TREE_MERGE_PLAN_H
#define PL_TREE_MERGE_PLAN_H

#include "tree/merge_value.h"

enum pl_side { PL_BASE, PL_HEAD, PL_TX, PL_N_SIDES };

enum pl_place {
	PL_PLACE_LEAF,		/* a directory neither in head nor in tx */
	PL_PLACE_BOTH,		/* one in both */
	PL_PLACE_HEAD,		/* one in head alone */
	PL_PLACE_TX,		/* one in tx alone */
	PL_PLACE_REMOVED_BY_TX, /* one in base and head; tx has none, or something else */
	PL_PLACE_REMOVED_BY_HEAD,
};
enum pl_choice { PL_CHOOSE_HEAD, PL_CHOOSE_TX, PL_CHOOSE_MADE };

struct pl_merge_item {
	char *path;
	size_t parent, end; /* indices of items; the root is its own parent */
	enum pl_place place;
	struct pl_kept_entry *sides[PL_N_SIDES]; /* NULL: it has nothing there; none of the root */
	enum pl_choice choice;
	struct pl_kept_entry *made; /* with MADE */
	/** Of a directory that is made or kept: its metadata, NULL: those of head's. */
	struct pl_kept_meta *meta;
	bool has_changed[PL_N_SIDES]; /* a directory's own metadata, by head, by tx */
	bool is_entered;	      /* what is below has items as well, where it needs them */
	bool is_below_removal;	      /* one side removed the directory that it is in */
	bool is_ignored;	      /* what tx did here does not count */
	bool is_conflict;
	enum pl_merge_policy policy;

	/* merge_groups.c's */
	uint64_t groups[PL_N_SIDES]; /* numbers of its groups, 0: none */
	bool has_regrouped[PL_N_SIDES];
	bool is_put;   /* to be put even if it is head's, with this link */
	uint64_t link; /* 0: alone */

	/* pl_merge_plan_force()'s and pl_merge_plan_settle()'s */
	size_t n_conflicts; /* here and below */
	bool is_forced;
	bool has_below; /* something below is there after the merge */
};
struct pl_merge_plan {
	const struct pl_merge *merge;
	struct pl_merge_item *items;
	size_t n, capacity;
	/** Groups that items are in. */
	struct pl_merge_group {
		size_t n_members, n_met; /* names that it has, and that items are of */
		size_t first;		 /* item */
	} * groups;
	size_t n_groups, groups_capacity;
	struct pl_map group_index; /* side and number in its tree: position in groups */
	struct pl_merge_component *components;
	size_t n_components, components_capacity;
	struct pl_merge_member *members;
	size_t n_members;
	size_t *member_scratch; /* two for each */
};

/* ---- merge_plan.c ---- */

void pl_merge_plan_init(struct pl_merge_plan *plan, const struct pl_merge *merge);
void pl_merge_plan_done(struct pl_merge_plan *plan);
static inline const struct pl_entry *pl_merge_entry(const struct pl_merge_item *item,
						    enum pl_side side)
{
	return item->sides[side] ? &item->sides[side]->entry : NULL;
}
/** The same, but NULL for a directory; where tx is ignored it has what base has. */
const struct pl_entry *pl_merge_leaf(const struct pl_merge_item *item, enum pl_side side);
/** What is there by the choice: an entry, or NULL; of directories NULL too. */
const struct pl_entry *pl_merge_chosen(const struct pl_merge_item *item);
/** Decides on a leaf that is in no group by itself. */
int pl_merge_plan_decide(struct pl_merge_item *item, struct pleach_error *error);
/** Has the path's policy decide its conflict, if it can. 1: it did. */
int pl_merge_plan_resolve(const struct pl_merge_plan *plan, struct pl_merge_item *item,
			  struct pleach_error *error);
void pl_merge_plan_force(struct pl_merge_plan *plan);
int pl_merge_plan_settle(struct pl_merge_plan *plan, struct pleach_error *error);
/** Appends all conflicts that are left. 0 or -ENOMEM. */
int pl_merge_plan_conflicts(const struct pl_merge_plan *plan, struct pl_conflicts *conflicts);

/* ---- merge_walk.c ---- */

int pl_merge_walk(struct pl_merge_plan *plan, struct pleach_error *error);

/* ---- merge_groups.c ---- */

int pl_merge_groups_find(struct pl_merge_plan *plan, struct pleach_error *error);
int pl_merge_groups_settle(struct pl_merge_plan *plan, struct pleach_error *error);

#endif
