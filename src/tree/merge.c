/*
 * merge - three trees into one, as docs/format.md knows trees and CLI.md merging: what each side did is
 * found by a walk (merge_walk.c), decided path by path (merge_value.c, merge_plan.c) and group by group
 * (merge_groups.c), and, if nothing is left in conflict, made into a changeset against head and applied.
 *
 * M1  Where only one side changed a directory, it is taken whole, unread: but where a policy may ignore
 *     something in it, or a hard-link group reaches across its border.
 * M2  Nothing is written before it is certain that there is no conflict.
 */
#include "tree/merge_plan.h"

/* ---- edits ---- */

/* What is at the item's path and is no directory; `was_there`: head has something. */
static int edit_leaf(struct pl_changeset *changes, const struct pl_merge_item *item, bool was_there)
{
	const struct pl_entry *chosen = pl_merge_chosen(item);

	if (chosen && (item->choice != PL_CHOOSE_HEAD || item->is_put))
		return pl_changeset_put(changes, item->path, chosen, item->link);
	if (!chosen && was_there && item->choice != PL_CHOOSE_HEAD)
		return pl_changeset_remove(changes, item->path);
	return 0;
}

/* The directory that tx has there: whole, or to be filled by the items below. */
static int edit_tx_directory(struct pl_changeset *changes, const struct pl_merge_item *item)
{
	const struct pl_entry *tx = pl_merge_entry(item, PL_TX);

	if (!item->is_entered)
		return pl_changeset_tree(changes, item->path, &tx->hash, &tx->totals);
	return pl_changeset_dir(changes, item->path, NULL, &item->meta->meta);
}

/* Adds the edits of an item. 1: those below count too; 0: they do not, or there are none. */
static int edit_item(struct pl_changeset *changes, const struct pl_merge_item *item)
{
	bool is_tx = item->choice == PL_CHOOSE_TX;
	int r = 0;

	switch (item->place) {
	case PL_PLACE_LEAF:
		return edit_leaf(changes, item, item->sides[PL_HEAD]);
	case PL_PLACE_BOTH:
		if (!item->is_entered)
			return is_tx ? edit_tx_directory(changes, item) : 0;
		if (item->meta)
			r = pl_changeset_dir(changes, item->path, item->path, &item->meta->meta);
		return r < 0 ? r : 1;
	case PL_PLACE_HEAD:
	case PL_PLACE_REMOVED_BY_TX:
		if (!is_tx || item->has_below)
			return 1; /* it stays */
		return edit_leaf(changes, item, true);
	case PL_PLACE_TX:
	case PL_PLACE_REMOVED_BY_HEAD:
		if (!is_tx && !item->has_below)
			return edit_leaf(changes, item, item->sides[PL_HEAD]);
		r = edit_tx_directory(changes, item);
		return r < 0 ? r : item->is_entered;
	}
	pl_assert(false);
	return 0;
}

static int edit_all(const struct pl_merge_plan *plan, struct pl_changeset *changes,
		    struct pleach_error *error)
{
	size_t i = 0;

	while (i < plan->n) {
		int r = edit_item(changes, &plan->items[i]);

		if (r < 0)
			return pl_fail_memory(error);
		i = r > 0 ? i + 1 : plan->items[i].end;
	}
	return 0;
}

static int apply(const struct pl_merge_plan *plan, struct pl_id *ret_tree,
		 struct pleach_error *error)
{
	const struct pl_merge *merge = plan->merge;
	struct pl_changeset *changes;
	struct pl_totals totals;
	int r;

	if (pl_changeset_new(merge->seed, &changes) < 0)
		return pl_fail_memory(error);
	r = edit_all(plan, changes, error);
	if (r >= 0)
		r = pl_apply(&merge->source, &merge->sink, &merge->head, changes, merge->seed,
			     ret_tree, &totals, error);
	pl_changeset_free(changes);
	return r;
}

/* ---- the whole ---- */

static int make_plan(struct pl_merge_plan *plan, struct pleach_error *error)
{
	int r = pl_merge_walk(plan, error);

	if (r >= 0)
		r = pl_merge_groups_find(plan, error);
	if (r < 0)
		return r;
	pl_merge_plan_force(plan);
	r = pl_merge_groups_settle(plan, error);
	return r < 0 ? r : pl_merge_plan_settle(plan, error);
}

/* Is it known without a look which tree it is? */
static bool is_plain(const struct pl_merge *merge, struct pl_id *ret_tree)
{
	bool is_tx = pl_id_equal(&merge->base, &merge->head) && !merge->policy;

	if (!is_tx && !pl_id_equal(&merge->base, &merge->tx) &&
	    !pl_id_equal(&merge->head, &merge->tx))
		return false;
	*ret_tree = is_tx ? merge->tx : merge->head;
	return true;
}

int pl_merge_run(const struct pl_merge *merge, struct pl_id *ret_tree,
		 struct pl_conflicts *ret_conflicts, struct pleach_error *error)
{
	struct pl_conflicts conflicts = {0};
	struct pl_merge_plan plan;
	int r;

	if (is_plain(merge, ret_tree))
		return 0;
	pl_merge_plan_init(&plan, merge);
	r = make_plan(&plan, error);
	if (r >= 0 && pl_merge_plan_conflicts(&plan, &conflicts) < 0)
		r = pl_fail_memory(error);
	if (r >= 0)
		r = conflicts.n > 0 ? 1 : apply(&plan, ret_tree, error); /* M2 */
	pl_merge_plan_done(&plan);
	if (r == 1)
		*ret_conflicts = conflicts;
	else
		pl_conflicts_done(&conflicts);
	return r;
}
