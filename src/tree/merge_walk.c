/*
 * merge_walk - goes through base, head and tx at once and writes down an item for each path that has to
 * be decided on. A stack of frames, one for each directory from the root to where the walk is.
 *
 *	visit() -> (leaf() | directory() -> enter() -> visit() ... leave())
 *
 * W1  A directory is entered only if both sides changed it, differently; or a policy may ignore
 *     something of what tx changed in it; or a group has members in it and further up, and either the
 *     group's names changed or what tx has is to be taken.
 * W2  So what is not entered is taken whole, and no group of the result reaches into it that did not
 *     reach into it before, with the same names.
 */
#include <stdlib.h>

#include "tree/merge_frame.h"

/* What the walk is at. */
struct name {
	const struct pl_entry *sides[PL_N_SIDES]; /* NULL: it has none */
	struct pl_entry entries[PL_N_SIDES];
	struct pl_merge_reached reached;
	bool tx_is_base, head_is_base;
	enum pl_place place;
	bool is_ignored;
	enum pl_merge_policy policy;
};
struct walk {
	struct pl_merge_plan *plan;
	struct pl_merge_frames frames;
};

static struct pl_merge_frame *top(struct walk *walk)
{
	return pl_merge_frames_top(&walk->frames);
}

static bool is_grouped_below(const struct name *name)
{
	return !pl_reach_is_empty(&name->reached.all_below) ||
	       !pl_reach_is_empty(&name->reached.changed_below);
}

static bool is_regrouped(const struct name *name)
{
	return !pl_reach_is_empty(&name->reached.changed_here) ||
	       !pl_reach_is_empty(&name->reached.changed_below);
}

/* ---- items ---- */

/* The group `number` of a side's tree: its place in the plan, from 1; or -ENOMEM. */
static ssize_t find_group(struct pl_merge_plan *plan, int s,
			  const struct pl_membership_group *group)
{
	const struct {
		uint64_t side, number;
	} key = {(uint64_t)s, group->number};
	const uint64_t *at = pl_map_get(&plan->group_index, &key);

	if (at)
		return (ssize_t)*at + 1;
	if (PL_ARRAY_GROW(plan->groups, plan->groups_capacity, plan->n_groups) < 0 ||
	    pl_map_put(&plan->group_index, &key, plan->n_groups) < 0)
		return -ENOMEM;
	plan->groups[plan->n_groups++] = (struct pl_merge_group){
		.n_members = group->n_members, .first = plan->n, /* the item that is being made */
	};
	return (ssize_t)plan->n_groups;
}

static int find_groups(struct walk *walk, const char *path, struct pl_merge_item *item,
		       struct pleach_error *error)
{
	for (int s = 0; s < PL_N_SIDES; s++) {
		struct pl_membership_group group;
		ssize_t at;

		if (!item->sides[s] || item->sides[s]->entry.kind == PLEACH_DIR ||
		    !pl_membership_find(walk->frames.memberships[s], path, &group))
			continue;
		at = find_group(walk->plan, s, &group);
		if (at < 0)
			return pl_fail_memory(error);
		item->groups[s] = (uint64_t)at;
		walk->plan->groups[at - 1].n_met++;
	}
	return 0;
}

/* All names of a group are one file: what the tree says of each must be the same. */
static int check_groups(const struct pl_merge_plan *plan, const struct pl_merge_item *item,
			struct pleach_error *error)
{
	for (int s = 0; s < PL_N_SIDES; s++) {
		const struct pl_merge_item *first;

		if (item->groups[s] == 0)
			continue;
		first = &plan->items[plan->groups[item->groups[s] - 1].first];
		if (!pl_entry_equal(&item->sides[s]->entry, &first->sides[s]->entry))
			return pl_fail_corrupt(error,
					       "%s and %s are one hard-link group, and not equal",
					       first->path, item->path);
	}
	return 0;
}

/* The item for where the walk is; it is the last of the plan then. */
static int add_item(struct walk *walk, const struct name *name, enum pl_choice choice,
		    struct pleach_error *error)
{
	struct pl_merge_plan *plan = walk->plan;
	const struct pl_merge_frame *frame = walk->frames.n > 0 ? top(walk) : NULL;
	struct pl_merge_item *item;
	const char *path = pl_buffer_string(&walk->frames.path);
	int r;

	if (!path || PL_ARRAY_GROW(plan->items, plan->capacity, plan->n) < 0)
		return pl_fail_memory(error);
	item = &plan->items[plan->n];
	*item = (struct pl_merge_item){
		.path = strdup(path),
		.parent = frame ? frame->item : 0,
		.end = plan->n + 1,
		.place = name->place,
		.choice = choice,
		.is_ignored = name->is_ignored,
		.policy = name->policy,
		.is_below_removal = frame && (frame->place == PL_PLACE_REMOVED_BY_TX ||
					      frame->place == PL_PLACE_REMOVED_BY_HEAD),
	};
	if (!item->path)
		return pl_fail_memory(error);
	for (int s = 0; s < PL_N_SIDES; s++) {
		if (!name->sides[s])
			continue;
		item->sides[s] = pl_keep_entry(name->sides[s]);
		if (!item->sides[s]) {
			plan->n++; /* to be freed */
			return pl_fail_memory(error);
		}
	}
	r = find_groups(walk, path, item, error);
	plan->n++;
	return r < 0 ? r : check_groups(plan, item, error);
}

static struct pl_merge_item *last_item(struct walk *walk)
{
	pl_assert(walk->plan->n > 0);
	return &walk->plan->items[walk->plan->n - 1];
}

/* Goes into the directory that the walk is at, whose item is the last one. */
static int enter(struct walk *walk, const struct name *name, bool may_ignore,
		 struct pleach_error *error)
{
	struct pl_merge_frame frame = {
		.item = walk->plan->n - 1,
		.place = name->place,
		.is_ignored = name->is_ignored,
		.may_ignore = may_ignore,
	};

	last_item(walk)->is_entered = true;
	return pl_merge_frames_push(&walk->frames, &frame, walk->frames.n > 0 ? name->sides : NULL,
				    &name->reached, error);
}

static void leave(struct walk *walk)
{
	walk->plan->items[top(walk)->item].end = walk->plan->n;
	pl_merge_frames_pop(&walk->frames);
}

/* ---- directories ---- */

static bool meta_has_changed(const struct pl_merge_side *base, const struct pl_merge_side *side)
{
	return !base->is_there || !pl_meta_equal_but_mtime(&base->node.meta, &side->node.meta);
}

/* Both sides have a directory: which metadata it gets. A policy decides here, since nothing above can
 * overrule it: all directories above are on both sides too. */
static int decide_both(struct walk *walk, struct pl_merge_item *item)
{
	const struct pl_merge_side *sides = top(walk)->sides;
	const struct pl_meta *head = &sides[PL_HEAD].node.meta, *tx = &sides[PL_TX].node.meta;
	struct pl_meta chosen;
	int r;

	if (item->is_ignored)
		return 0;
	r = pl_merge_decide_meta(sides[PL_BASE].is_there ? &sides[PL_BASE].node.meta : NULL, head,
				 tx, &item->meta);
	if (r < 0 || r == PL_VERDICT_HEAD || r == PL_VERDICT_MADE)
		return r < 0 ? r : 0;
	chosen = r == PL_VERDICT_CONFLICT && item->policy == PL_MERGE_OURS ? *head : *tx;
	if (r == PL_VERDICT_CONFLICT && item->policy != PL_MERGE_OURS &&
	    item->policy != PL_MERGE_THEIRS) {
		item->is_conflict = true;
		return 0;
	}
	if (r == PL_VERDICT_CONFLICT)
		pl_merge_later_mtime(&chosen, item->policy == PL_MERGE_OURS ? tx : head);
	item->meta = pl_keep_meta(&chosen);
	return item->meta ? 0 : -ENOMEM;
}

/* What an entered directory is decided by that is not in its entry: its metadata. */
static int decide_directory(struct walk *walk, struct pleach_error *error)
{
	struct pl_merge_item *item = last_item(walk);
	const struct pl_merge_side *sides = top(walk)->sides;
	int r = 0;

	for (int s = PL_HEAD; s < PL_N_SIDES; s++)
		item->has_changed[s] =
			sides[s].is_there && meta_has_changed(&sides[PL_BASE], &sides[s]);
	if (item->place == PL_PLACE_BOTH) {
		r = decide_both(walk, item);
	} else if (sides[PL_TX].is_there) {
		item->meta = pl_keep_meta(&sides[PL_TX].node.meta);
		r = item->meta ? 0 : -ENOMEM;
	}
	if (item->place == PL_PLACE_REMOVED_BY_TX && !item->is_ignored)
		item->is_conflict = item->has_changed[PL_HEAD];
	if (item->place == PL_PLACE_REMOVED_BY_HEAD && !item->is_ignored)
		item->is_conflict = item->has_changed[PL_TX];
	return r < 0 ? pl_fail_memory(error) : 0;
}

static bool is_directory(const struct pl_entry *entry)
{
	return entry && entry->kind == PLEACH_DIR;
}

static enum pl_place place_of(const struct name *name)
{
	bool is_in_base = is_directory(name->sides[PL_BASE]);

	if (is_directory(name->sides[PL_HEAD]) && is_directory(name->sides[PL_TX]))
		return PL_PLACE_BOTH;
	if (is_directory(name->sides[PL_HEAD]))
		return is_in_base ? PL_PLACE_REMOVED_BY_TX : PL_PLACE_HEAD;
	if (is_directory(name->sides[PL_TX]))
		return is_in_base ? PL_PLACE_REMOVED_BY_HEAD : PL_PLACE_TX;
	return PL_PLACE_LEAF;
}

/* W1 */
static bool must_enter(const struct walk *walk, const struct name *name)
{
	bool has_policy = walk->plan->merge->policy != NULL;

	if (name->is_ignored)
		return is_grouped_below(name);
	switch (name->place) {
	case PL_PLACE_BOTH:
		return is_grouped_below(name) || has_policy || !name->head_is_base;
	case PL_PLACE_HEAD:
		return is_grouped_below(name);
	case PL_PLACE_TX:
		return is_grouped_below(name) || has_policy;
	case PL_PLACE_REMOVED_BY_TX:
		return is_grouped_below(name) || has_policy || !name->head_is_base;
	case PL_PLACE_REMOVED_BY_HEAD:
		return is_grouped_below(name) || has_policy || !name->tx_is_base;
	case PL_PLACE_LEAF:
		break;
	}
	pl_assert(false);
	return false;
}

/* What stands at the directory's own path, before it is known what changed inside. */
static enum pl_choice choice_of(const struct name *name)
{
	if (name->is_ignored)
		return PL_CHOOSE_HEAD;
	switch (name->place) {
	case PL_PLACE_BOTH: /* if it is not entered */
	case PL_PLACE_REMOVED_BY_TX:
		return PL_CHOOSE_TX;
	case PL_PLACE_HEAD:
	case PL_PLACE_TX:
		return name->tx_is_base ? PL_CHOOSE_HEAD : PL_CHOOSE_TX;
	default:
		return PL_CHOOSE_HEAD;
	}
}

/* Of a directory that is in one side alone. */
static bool is_clash(const struct walk *walk, const struct name *name)
{
	enum pl_place around = pl_merge_frames_top(&walk->frames)->place;

	if (name->is_ignored)
		return false;
	if (name->place == PL_PLACE_HEAD)
		return !name->tx_is_base || around == PL_PLACE_REMOVED_BY_TX;
	if (name->place == PL_PLACE_TX)
		return !name->head_is_base || around == PL_PLACE_REMOVED_BY_HEAD;
	return false;
}

static int directory(struct walk *walk, const struct name *name, struct pleach_error *error)
{
	const struct pl_merge_frame *frame = top(walk);
	/* Where tx has something else, nothing below can be as head has it. */
	bool may_ignore = frame->may_ignore &&
			  !(name->sides[PL_TX] && name->sides[PL_TX]->kind != PLEACH_DIR);
	int r;

	if (frame->place == PL_PLACE_HEAD && !is_grouped_below(name))
		return 0; /* it goes with the directory above */
	r = add_item(walk, name, choice_of(name), error);
	if (r < 0)
		return r;
	last_item(walk)->is_conflict = is_clash(walk, name);
	if (!must_enter(walk, name))
		return 0;
	r = enter(walk, name, may_ignore, error);
	return r < 0 ? r : decide_directory(walk, error);
}

/* ---- names ---- */

static int leaf(struct walk *walk, const struct name *name, struct pleach_error *error)
{
	enum pl_place around = top(walk)->place;
	struct pl_merge_item *item;
	int r;

	if (!name->sides[PL_HEAD] && !name->sides[PL_TX])
		return 0;
	if (around == PL_PLACE_HEAD && pl_reach_is_empty(&name->reached.changed_here))
		return 0;
	r = add_item(walk, name, PL_CHOOSE_HEAD, error);
	if (r < 0)
		return r;
	item = last_item(walk);
	if (item->groups[PL_BASE] || item->groups[PL_HEAD] || item->groups[PL_TX])
		return 0; /* merge_groups.c decides */
	return pl_merge_plan_decide(item, error);
}

static void ask_policy(struct walk *walk, struct name *name)
{
	const struct pl_merge *merge = walk->plan->merge;
	const struct pl_merge_frame *frame = top(walk);
	const struct pl_entry *shown = NULL;

	name->is_ignored = frame->is_ignored;
	if (name->is_ignored || !merge->policy)
		return;
	for (int s = PL_BASE; s < PL_N_SIDES;
	     s++) /* tx's if it has one, else head's, else base's */
		shown = name->sides[s] ? name->sides[s] : shown;
	pl_assert(shown);
	name->policy = merge->policy(merge->self, pl_buffer_string(&walk->frames.path),
				     shown->kind == PLEACH_DIR);
	if (name->policy != PL_MERGE_IGNORE)
		return;
	name->is_ignored = frame->may_ignore;
	name->policy = PL_MERGE_FAIL;
}

static int visit(struct walk *walk, struct name *name, struct pleach_error *error)
{
	bool is_one_sided = top(walk)->place != PL_PLACE_BOTH;

	name->tx_is_base = pl_merge_same(name->sides[PL_BASE], name->sides[PL_TX]);
	name->head_is_base = pl_merge_same(name->sides[PL_BASE], name->sides[PL_HEAD]);
	if (!is_one_sided && !is_regrouped(name) &&
	    (name->tx_is_base || pl_merge_same(name->sides[PL_HEAD], name->sides[PL_TX])))
		return 0;
	ask_policy(walk, name);
	name->place = place_of(name);
	if (name->place == PL_PLACE_LEAF)
		return leaf(walk, name, error);
	return directory(walk, name, error);
}

/* One name, or the end of a directory. */
static int step(struct walk *walk, struct pleach_error *error)
{
	struct name name = {0};
	bool has[PL_N_SIDES];
	int r = pl_merge_frames_next(&walk->frames, name.entries, has, &name.reached, error);

	if (r < 0)
		return r;
	if (r == 0) {
		leave(walk);
		return 0;
	}
	for (int s = 0; s < PL_N_SIDES; s++)
		name.sides[s] = has[s] ? &name.entries[s] : NULL;
	return visit(walk, &name, error);
}

static int enter_root(struct walk *walk, struct pleach_error *error)
{
	const struct pl_merge *merge = walk->plan->merge;
	struct name root = {.place = PL_PLACE_BOTH};
	int r;

	if (merge->policy)
		root.policy = merge->policy(merge->self, "", true);
	root.is_ignored = root.policy == PL_MERGE_IGNORE;
	r = add_item(walk, &root, PL_CHOOSE_HEAD, error);
	if (r >= 0)
		r = enter(walk, &root, true, error);
	return r < 0 ? r : decide_directory(walk, error);
}

int pl_merge_walk(struct pl_merge_plan *plan, struct pleach_error *error)
{
	struct walk walk = {.plan = plan};
	int r = pl_merge_frames_init(&walk.frames, plan->merge, error);

	pl_assert(plan->n == 0);
	if (r >= 0)
		r = enter_root(&walk, error);
	while (r >= 0 && walk.frames.n > 0)
		r = step(&walk, error);
	pl_merge_frames_done(&walk.frames);
	return r < 0 ? r : 0;
}
