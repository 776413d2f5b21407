/*
 * merge_plan - see merge_plan.h. What follows for a path from its own three values, from the policy for
 * it, and from the directories that it is in. Of hard-link groups nothing is known here.
 *
 * P1  A policy of a directory that one side removed, or that one side alone made, holds for all of it:
 *     the outermost such directory with a conflict in it decides. But what is ignored stays head's.
 * P2  A directory that one side removed is there after all if something in it is.
 */
#include "tree/merge_plan.h"

#include <stdlib.h>

void pl_merge_plan_init(struct pl_merge_plan *plan, const struct pl_merge *merge)
{
	*plan = (struct pl_merge_plan){.merge = merge};
	pl_map_init(&plan->group_index, 2 * sizeof(uint64_t), merge->seed);
}

void pl_merge_plan_done(struct pl_merge_plan *plan)
{
	for (size_t i = 0; i < plan->n; i++) {
		struct pl_merge_item *item = &plan->items[i];

		free(item->path);
		for (int s = 0; s < PL_N_SIDES; s++)
			free(item->sides[s]);
		free(item->made);
		free(item->meta);
	}
	free(plan->items);
	free(plan->groups);
	pl_map_done(&plan->group_index);
	free(plan->components);
	free(plan->members);
	free(plan->member_scratch);
	*plan = (struct pl_merge_plan){0};
}

/* ---- values ---- */

static const struct pl_entry *unless_directory(const struct pl_entry *entry)
{
	return entry && entry->kind != PLEACH_DIR ? entry : NULL;
}

const struct pl_entry *pl_merge_leaf(const struct pl_merge_item *item, enum pl_side side)
{
	if (side == PL_TX && item->is_ignored)
		side = PL_BASE;
	return unless_directory(pl_merge_entry(item, side));
}

const struct pl_entry *pl_merge_chosen(const struct pl_merge_item *item)
{
	switch (item->choice) {
	case PL_CHOOSE_HEAD:
		return unless_directory(pl_merge_entry(item, PL_HEAD));
	case PL_CHOOSE_TX:
		return unless_directory(pl_merge_entry(item, PL_TX));
	case PL_CHOOSE_MADE:
		return &item->made->entry;
	}
	pl_assert(false);
	return NULL;
}

int pl_merge_plan_decide(struct pl_merge_item *item, struct pleach_error *error)
{
	const struct pl_entry *base = pl_merge_entry(item, PL_BASE);
	int r;

	if (item->is_ignored)
		return 0;
	pl_assert(item->place == PL_PLACE_LEAF);
	if (item->is_below_removal && !base) {
		item->is_conflict = true;
		return 0;
	}
	r = pl_merge_decide(base, pl_merge_entry(item, PL_HEAD), pl_merge_entry(item, PL_TX),
			    &item->made);
	switch (r) {
	case PL_VERDICT_HEAD:
		item->choice = PL_CHOOSE_HEAD;
		return 0;
	case PL_VERDICT_TX:
		item->choice = PL_CHOOSE_TX;
		return 0;
	case PL_VERDICT_MADE:
		item->choice = PL_CHOOSE_MADE;
		return 0;
	case PL_VERDICT_CONFLICT:
		item->is_conflict = true;
		return 0;
	default:
		return pl_fail_memory(error);
	}
}

/* ---- policies ---- */

static int append(const struct pl_merge_plan *plan, struct pl_merge_item *item,
		  struct pleach_error *error)
{
	const struct pl_merge *merge = plan->merge;
	const struct pl_entry *base = pl_merge_entry(item, PL_BASE);
	const struct pl_entry *head = pl_merge_entry(item, PL_HEAD);
	const struct pl_entry *tx = pl_merge_entry(item, PL_TX);
	struct pl_entry empty, made;
	int r;

	if (!merge->append || !pl_merge_may_append(base, head, tx))
		return 0;
	empty = *head;
	empty.size = 0;
	empty.hash = pl_hash_empty;
	r = merge->append(merge->self, item->path, base ? base : &empty, head, tx, &made, error);
	if (r <= 0)
		return r;
	pl_assert(made.kind == PLEACH_FILE);
	made.name = head->name;
	made.name_length = head->name_length;
	pl_assert(!item->made);
	item->made = pl_keep_entry(&made);
	if (!item->made)
		return pl_fail_memory(error);
	item->choice = PL_CHOOSE_MADE;
	return 1;
}

int pl_merge_plan_resolve(const struct pl_merge_plan *plan, struct pl_merge_item *item,
			  struct pleach_error *error)
{
	int r;

	pl_assert(item->is_conflict && item->place == PL_PLACE_LEAF);
	switch (item->policy) {
	case PL_MERGE_OURS:
		item->choice = PL_CHOOSE_HEAD;
		r = 1;
		break;
	case PL_MERGE_THEIRS:
		item->choice = PL_CHOOSE_TX;
		r = 1;
		break;
	case PL_MERGE_APPEND:
		r = append(plan, item, error);
		break;
	default:
		r = 0;
		break;
	}
	item->is_conflict = r <= 0;
	return r;
}

static void count_conflicts(struct pl_merge_plan *plan)
{
	for (size_t i = plan->n; i > 0; i--) {
		struct pl_merge_item *item = &plan->items[i - 1];

		item->n_conflicts += item->is_conflict;
		if (i > 1)
			plan->items[item->parent].n_conflicts += item->n_conflicts;
	}
}

void pl_merge_plan_force(struct pl_merge_plan *plan)
{
	size_t i = 0;

	count_conflicts(plan);
	while (i < plan->n) {
		const struct pl_merge_item *item = &plan->items[i];
		size_t end = item->end;
		bool is_ours = item->policy == PL_MERGE_OURS;

		if (item->n_conflicts == 0 || item->is_ignored || item->place == PL_PLACE_LEAF ||
		    item->place == PL_PLACE_BOTH || !(is_ours || item->policy == PL_MERGE_THEIRS)) {
			i++;
			continue;
		}
		for (; i < end; i++) { /* P1 */
			struct pl_merge_item *below = &plan->items[i];

			if (below->is_ignored)
				continue;
			below->choice = is_ours ? PL_CHOOSE_HEAD : PL_CHOOSE_TX;
			below->is_conflict = false;
			below->is_forced = true;
		}
	}
}

/* ---- directories ---- */

/* Something is there after the merge; of what is below it is known already. */
static bool is_there(const struct pl_merge_item *item)
{
	switch (item->place) {
	case PL_PLACE_BOTH:
		return true;
	case PL_PLACE_HEAD:
	case PL_PLACE_REMOVED_BY_TX:
		if (item->choice == PL_CHOOSE_HEAD)
			return true;
		break;
	case PL_PLACE_TX:
	case PL_PLACE_REMOVED_BY_HEAD:
		if (item->choice == PL_CHOOSE_TX)
			return true;
		break;
	case PL_PLACE_LEAF:
		break;
	}
	return pl_merge_chosen(item) != NULL || item->has_below;
}

/* P2. In a directory that one side removed, and has something else in its place, nothing can be. */
static void settle_below(struct pl_merge_plan *plan)
{
	for (size_t i = plan->n; i > 1; i--) {
		struct pl_merge_item *item = &plan->items[i - 1];
		struct pl_merge_item *above = &plan->items[item->parent];

		if (item->has_below && pl_merge_chosen(item))
			item->is_conflict = true;
		if (item->is_conflict || !is_there(item)) /* nobody knows, in a conflict */
			continue;
		above->has_below = above->place == PL_PLACE_REMOVED_BY_TX ||
				   above->place == PL_PLACE_REMOVED_BY_HEAD;
	}
}

int pl_merge_plan_settle(struct pl_merge_plan *plan, struct pleach_error *error)
{
	for (size_t i = 0; i < plan->n; i++) {
		struct pl_merge_item *item = &plan->items[i];
		int r;

		if (!item->is_conflict || item->place != PL_PLACE_LEAF || item->groups[PL_BASE] ||
		    item->groups[PL_HEAD] || item->groups[PL_TX])
			continue;
		r = pl_merge_plan_resolve(plan, item, error);
		if (r < 0)
			return r;
	}
	settle_below(plan);
	return 0;
}

/* ---- what is left ---- */

static const char *word_of(const struct pl_merge_item *item, enum pl_side side)
{
	const struct pl_entry *base = pl_merge_entry(item, PL_BASE);
	const struct pl_entry *entry = pl_merge_entry(item, side);

	if (item->parent == 0 && !*item->path)
		return item->has_changed[side] ? "metadata" : "unchanged";
	if (!base && !entry)
		return item->is_below_removal ? "removed" : "unchanged";
	if (!base)
		return "added";
	if (!entry)
		return "removed";
	if (base->kind != entry->kind)
		return "type";
	if (entry->kind == PLEACH_DIR) {
		if (item->has_changed[side])
			return "metadata";
		return pl_id_equal(&base->hash, &entry->hash) ? "unchanged" : "modified";
	}
	if (!pl_entry_content_equal(base, entry))
		return "modified";
	if (!pl_entry_equal(base, entry))
		return "metadata";
	return item->has_regrouped[side] ? "links" : "unchanged";
}

int pl_merge_plan_conflicts(const struct pl_merge_plan *plan, struct pl_conflicts *conflicts)
{
	for (size_t i = 0; i < plan->n; i++) {
		const struct pl_merge_item *item = &plan->items[i];
		int r;

		if (!item->is_conflict)
			continue;
		r = pl_conflicts_add(conflicts, item->path, word_of(item, PL_HEAD),
				     word_of(item, PL_TX));
		if (r < 0)
			return r;
	}
	return 0;
}
