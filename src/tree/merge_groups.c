/*
 * merge_groups - hard-link groups as a level of their own in a merge. Paths that are joined by groups of
 * base, head or tx are a component, and are decided on together. For a component there are four ways:
 *
 *	HEAD	tx changed nothing of which names are one file; head did, and tx no file of it
 *	TX	the other way round
 *	EACH	both have the same names together: each path for itself, and names of a group must agree
 *	UNION	both took names away or gave files new names, differently, and no file changed
 *
 * Else it is a conflict of all its paths. UNION is what makes two sides land that touch different paths.
 *
 * M1  After the merge names of one group have equal entries.
 * M2  If anything is to be put, all names of head's groups and of tx's in the component were met; only
 *     a tree that breaks the format has others.
 * M3  What neither head nor tx has as something that is no directory takes no part.
 */
#include <stdlib.h>

#include "tree/merge_plan.h"

enum way { HEAD, TX, EACH, UNION, CONFLICT };

#define NONE SIZE_MAX

struct pl_merge_member {
	size_t item;
	size_t above; /* union-find: a member of its component, itself at the top */
	/* By side: the first member that is one file with it there; NONE: it is not there. */
	size_t file[PL_N_SIDES];
	size_t united; /* by UNION */
	/* Scratch, of one side at a time: of a file of it the base's, and back; NONE. */
	size_t to_base, from_base;
	bool has_split;
};
struct pl_merge_component {
	size_t first, n; /* members */
	enum way way;
};

static struct pl_merge_item *item_of(const struct pl_merge_plan *plan, size_t member)
{
	pl_assert(member < plan->n_members);
	return &plan->items[plan->members[member].item];
}

/* ---- components ---- */

static size_t find_top(struct pl_merge_member *members, size_t i)
{
	while (members[i].above != i) {
		members[i].above = members[members[i].above].above;
		i = members[i].above;
	}
	return i;
}

/* M3 */
static bool takes_part(const struct pl_merge_item *item)
{
	return (item->groups[PL_BASE] || item->groups[PL_HEAD] || item->groups[PL_TX]) &&
	       (pl_merge_leaf(item, PL_HEAD) || pl_merge_leaf(item, PL_TX));
}

/* Joins all that share a group. `first`: of each group, its first member or NONE. */
static void join(struct pl_merge_plan *plan, size_t *first)
{
	for (size_t i = 0; i < plan->n_members; i++) {
		const struct pl_merge_item *item = item_of(plan, i);

		for (int s = 0; s < PL_N_SIDES; s++) {
			size_t group = item->groups[s], a, b;

			if (group == 0)
				continue;
			if (first[group - 1] == NONE)
				first[group - 1] = i;
			a = find_top(plan->members, first[group - 1]);
			b = find_top(plan->members, i);
			/* The lower one stays at the top: members come in the order of paths. */
			if (a < b)
				plan->members[b].above = a;
			else
				plan->members[a].above = b;
		}
	}
}

static int compare_members(const void *a, const void *b)
{
	const struct pl_merge_member *x = a, *y = b;

	if (x->above != y->above)
		return x->above < y->above ? -1 : 1;
	return (x->item > y->item) - (x->item < y->item);
}

static int add_components(struct pl_merge_plan *plan)
{
	for (size_t i = 0; i < plan->n_members; i++)
		plan->members[i].above = find_top(plan->members, i);
	if (plan->n_members > 1)
		qsort(plan->members, plan->n_members, sizeof(*plan->members), compare_members);
	for (size_t i = 0; i < plan->n_members; i++) {
		if (i == 0 || plan->members[i].above != plan->members[i - 1].above) {
			if (PL_ARRAY_GROW(plan->components, plan->components_capacity,
					  plan->n_components) < 0)
				return -ENOMEM;
			plan->components[plan->n_components++] =
				(struct pl_merge_component){.first = i};
		}
		plan->components[plan->n_components - 1].n++;
	}
	return 0;
}

/* Makes numbers of tx's files those of their first members again. */
static void renumber_tx(struct pl_merge_plan *plan)
{
	struct pl_merge_member *members = plan->members;

	for (size_t i = 0; i < plan->n_members; i++)
		members[i].to_base = NONE;
	for (size_t i = 0; i < plan->n_members; i++) {
		size_t file = members[i].file[PL_TX];

		if (file == NONE)
			continue;
		if (members[file].to_base == NONE)
			members[file].to_base = i;
		members[i].file[PL_TX] = members[file].to_base;
	}
}

/* A name that is ignored, and gone in tx, is there all the same: one file in tx with those that head has
 * it with. */
static void restore_ignored(struct pl_merge_plan *plan)
{
	struct pl_merge_member *members = plan->members;
	size_t n = 0;

	for (size_t i = 0; i < plan->n_members; i++)
		members[i].to_base = NONE; /* here: from a file of head's to tx's */
	for (size_t i = 0; i < plan->n_members; i++) {
		const struct pl_merge_item *item = item_of(plan, i);
		size_t file = members[i].file[PL_HEAD];

		if (file == NONE || !item->sides[PL_TX] || members[i].file[PL_TX] == NONE)
			continue;
		if (members[file].to_base == NONE)
			members[file].to_base = members[i].file[PL_TX];
	}
	for (size_t i = 0; i < plan->n_members; i++) {
		const struct pl_merge_item *item = item_of(plan, i);
		size_t file = members[i].file[PL_HEAD];

		if (!item->is_ignored || item->sides[PL_TX] || file == NONE)
			continue;
		members[i].file[PL_TX] =
			members[file].to_base != NONE ? members[file].to_base : file;
		n++;
	}
	if (n > 0)
		renumber_tx(plan);
}

/* Who is one file with whom, by side. */
static void find_files(struct pl_merge_plan *plan, size_t *first)
{
	for (size_t g = 0; g < plan->n_groups; g++)
		first[g] = NONE;
	for (size_t i = 0; i < plan->n_members; i++) {
		struct pl_merge_member *member = &plan->members[i];
		const struct pl_merge_item *item = item_of(plan, i);

		for (int s = 0; s < PL_N_SIDES; s++) {
			size_t group = item->groups[s];

			member->file[s] = NONE;
			if (!pl_merge_leaf(item, (enum pl_side)s))
				continue;
			member->file[s] = i;
			if (group == 0)
				continue;
			if (first[group - 1] == NONE)
				first[group - 1] = i;
			member->file[s] = first[group - 1];
		}
	}
	restore_ignored(plan);
}

/* ---- which way ---- */

static bool have_same_files(const struct pl_merge_plan *plan, const struct pl_merge_component *c,
			    enum pl_side a, enum pl_side b)
{
	for (size_t i = c->first; i < c->first + c->n; i++) {
		if (plan->members[i].file[a] != plan->members[i].file[b])
			return false;
	}
	return true;
}

/* Did a side change a file's content or metadata? What it has not any more, or new, is no such change. */
static bool has_changed_files(const struct pl_merge_plan *plan, const struct pl_merge_component *c,
			      enum pl_side side)
{
	for (size_t i = c->first; i < c->first + c->n; i++) {
		const struct pl_merge_item *item = item_of(plan, i);
		const struct pl_entry *base = pl_merge_leaf(item, PL_BASE);
		const struct pl_entry *entry = pl_merge_leaf(item, side);

		if (base && entry && !pl_entry_equal(base, entry))
			return true;
	}
	return false;
}

/* Those of the base that a side still has must be together just as they were. */
static bool keeps_files(const struct pl_merge_plan *plan, const struct pl_merge_component *c,
			enum pl_side side)
{
	struct pl_merge_member *members = plan->members;

	for (size_t i = c->first; i < c->first + c->n; i++)
		members[i].to_base = members[i].from_base = NONE;
	for (size_t i = c->first; i < c->first + c->n; i++) {
		size_t base = members[i].file[PL_BASE], file = members[i].file[side];

		if (base == NONE || file == NONE)
			continue;
		if (members[file].to_base == NONE)
			members[file].to_base = base;
		if (members[base].from_base == NONE)
			members[base].from_base = file;
		if (members[file].to_base != base || members[base].from_base != file)
			return false;
	}
	return true;
}

/* Where a new name of one side belongs: to a file of the base, or to the others that are new with it. A
 * file of the base that the other side has taken all names of goes on under its new one. */
static bool unite_new(const struct pl_merge_plan *plan, const struct pl_merge_component *c,
		      enum pl_side side)
{
	for (size_t i = c->first; i < c->first + c->n; i++) {
		struct pl_merge_member *member = &plan->members[i];
		size_t file = member->file[side];

		if (file == NONE || member->file[PL_BASE] != NONE)
			continue;
		if (member->united != NONE)
			return false; /* both made it */
		member->united =
			plan->members[file].to_base != NONE ? plan->members[file].to_base : file;
	}
	return true;
}

/* Of names of the base, those that tx removed are as tx has them; of new ones, tx's. */
static void choose_united(const struct pl_merge_plan *plan, const struct pl_merge_component *c)
{
	for (size_t i = c->first; i < c->first + c->n; i++) {
		const struct pl_merge_member *member = &plan->members[i];
		struct pl_merge_item *item = item_of(plan, i);
		bool is_in_head = member->file[PL_HEAD] != NONE;
		bool is_in_tx = member->file[PL_TX] != NONE;
		bool is_new = member->file[PL_BASE] == NONE;

		if (!item->is_ignored && (is_new ? !is_in_head : !is_in_tx))
			item->choice = PL_CHOOSE_TX;
	}
}

/* Can both sides' changes of names stand beside each other? Fills in `united`. */
static bool unite(const struct pl_merge_plan *plan, const struct pl_merge_component *c)
{
	for (size_t i = c->first; i < c->first + c->n; i++) {
		plan->members[i].united = plan->members[i].file[PL_BASE];
		if (item_of(plan, i)->place != PL_PLACE_LEAF)
			return false;
	}
	for (int s = PL_HEAD; s < PL_N_SIDES; s++) {
		if (!keeps_files(plan, c, (enum pl_side)s) || !unite_new(plan, c, (enum pl_side)s))
			return false;
	}
	return true;
}

/* A new name in a directory that the other side removed is no matter of its group alone. */
static bool has_lost_directory(const struct pl_merge_plan *plan, const struct pl_merge_component *c)
{
	for (size_t i = c->first; i < c->first + c->n; i++) {
		const struct pl_merge_item *item = item_of(plan, i);

		if (item->is_below_removal && !item->sides[PL_BASE] && !item->is_ignored)
			return true;
	}
	return false;
}

static enum way way_of(const struct pl_merge_plan *plan, const struct pl_merge_component *c)
{
	bool has_head_changed = has_changed_files(plan, c, PL_HEAD);
	bool has_tx_changed = has_changed_files(plan, c, PL_TX);

	if (have_same_files(plan, c, PL_HEAD, PL_TX))
		return EACH;
	if (has_lost_directory(plan, c))
		return CONFLICT;
	if (have_same_files(plan, c, PL_HEAD, PL_BASE))
		return has_head_changed ? CONFLICT : TX;
	if (have_same_files(plan, c, PL_TX, PL_BASE))
		return has_tx_changed ? CONFLICT : HEAD;
	if (has_head_changed || has_tx_changed || !unite(plan, c))
		return CONFLICT;
	return UNION;
}

/* ---- what follows for the paths ---- */

static void mark_conflict(struct pl_merge_plan *plan, const struct pl_merge_component *c)
{
	for (size_t i = c->first; i < c->first + c->n; i++) {
		struct pl_merge_item *item = item_of(plan, i);

		item->is_conflict = !item->is_ignored;
		item->is_put = false;
	}
}

static void choose_all(struct pl_merge_plan *plan, const struct pl_merge_component *c,
		       enum pl_choice choice)
{
	for (size_t i = c->first; i < c->first + c->n; i++) {
		struct pl_merge_item *item = item_of(plan, i);

		item->choice = item->is_ignored ? PL_CHOOSE_HEAD : choice;
	}
}

/* Which side regrouped which paths, for the words of a conflict: a path's names are the same as in the
 * base if its file there has the same members, neither split nor joined by others. */
static void note_regrouped(struct pl_merge_plan *plan, const struct pl_merge_component *c,
			   enum pl_side side)
{
	struct pl_merge_member *members = plan->members;

	for (size_t i = c->first; i < c->first + c->n; i++)
		members[i].has_split = false;
	for (size_t i = c->first; i < c->first + c->n; i++) {
		size_t base = members[i].file[PL_BASE], file = members[i].file[side];

		/* Equal sets have equal first members; so any member that disagrees marks both. */
		if (base == file)
			continue;
		if (base != NONE)
			members[base].has_split = true;
		if (file != NONE)
			members[file].has_split = true;
	}
	for (size_t i = c->first; i < c->first + c->n; i++) {
		size_t base = members[i].file[PL_BASE], file = members[i].file[side];

		if (base == NONE || file == NONE)
			continue;
		item_of(plan, i)->has_regrouped[side] =
			members[base].has_split || members[file].has_split;
	}
}

static int decide(struct pl_merge_plan *plan, struct pl_merge_component *c,
		  struct pleach_error *error)
{
	int r = 0;

	note_regrouped(plan, c, PL_HEAD);
	note_regrouped(plan, c, PL_TX);
	c->way = way_of(plan, c);
	switch (c->way) {
	case HEAD:
		choose_all(plan, c, PL_CHOOSE_HEAD);
		break;
	case TX:
		choose_all(plan, c, PL_CHOOSE_TX);
		break;
	case EACH:
		for (size_t i = c->first; i < c->first + c->n && r >= 0; i++)
			r = pl_merge_plan_decide(item_of(plan, i), error);
		break;
	case UNION:
		choose_united(plan, c);
		break;
	case CONFLICT:
		mark_conflict(plan, c);
		break;
	}
	return r;
}

int pl_merge_groups_find(struct pl_merge_plan *plan, struct pleach_error *error)
{
	size_t *first;
	int r = 0;

	if (plan->n_groups == 0)
		return 0;
	first = calloc(plan->n_groups, sizeof(*first));
	plan->members = calloc(plan->n, sizeof(*plan->members));
	if (!first || !plan->members) {
		free(first);
		return pl_fail_memory(error);
	}
	for (size_t i = 0; i < plan->n; i++) {
		if (!takes_part(&plan->items[i]))
			continue;
		plan->members[plan->n_members] = (struct pl_merge_member){
			.item = i, .above = plan->n_members, .united = NONE};
		plan->n_members++;
	}
	for (size_t g = 0; g < plan->n_groups; g++)
		first[g] = NONE;
	join(plan, first);
	if (add_components(plan) < 0)
		r = pl_fail_memory(error);
	if (r >= 0)
		find_files(plan, first);
	free(first);
	for (size_t i = 0; i < plan->n_components && r >= 0; i++)
		r = decide(plan, &plan->components[i], error);
	return r;
}

/* ---- settling ---- */

static size_t result_file(const struct pl_merge_component *c, const struct pl_merge_member *member)
{
	switch (c->way) {
	case HEAD:
	case EACH: /* as tx has it */
		return member->file[PL_HEAD];
	case TX:
		return member->file[PL_TX];
	case UNION:
		return member->united;
	case CONFLICT:
		break;
	}
	pl_assert(false);
	return NONE;
}

/* In EACH every path with a conflict is decided on by its own policy. */
static int resolve_each(struct pl_merge_plan *plan, const struct pl_merge_component *c,
			struct pleach_error *error)
{
	for (size_t i = c->first; i < c->first + c->n; i++) {
		struct pl_merge_item *item = item_of(plan, i);

		if (item->is_conflict && item->place == PL_PLACE_LEAF) {
			int r = pl_merge_plan_resolve(plan, item, error);

			if (r < 0)
				return r;
		}
	}
	return 0;
}

/* Where something above forced another choice, or there was a conflict: all paths must want the same
 * side. True if they do, and then the way is that side's. */
static bool agree(struct pl_merge_plan *plan, struct pl_merge_component *c)
{
	bool is_ours = true, is_theirs = true;

	for (size_t i = c->first; i < c->first + c->n; i++) {
		const struct pl_merge_item *item = item_of(plan, i);
		bool is_tx = item->is_forced ? item->choice == PL_CHOOSE_TX
					     : item->policy == PL_MERGE_THEIRS;
		bool is_head = item->is_forced ? item->choice == PL_CHOOSE_HEAD
					       : item->policy == PL_MERGE_OURS;

		if (item->is_ignored)
			continue;
		is_ours = is_ours && is_head;
		is_theirs = is_theirs && is_tx;
	}
	if (!is_ours && !is_theirs)
		return false;
	c->way = is_ours ? HEAD : TX;
	choose_all(plan, c, is_ours ? PL_CHOOSE_HEAD : PL_CHOOSE_TX);
	for (size_t i = c->first; i < c->first + c->n; i++)
		item_of(plan, i)->is_conflict = false;
	return true;
}

static bool is_disputed(const struct pl_merge_plan *plan, const struct pl_merge_component *c)
{
	if (c->way == CONFLICT)
		return true;
	if (c->way == EACH)
		return false;
	for (size_t i = c->first; i < c->first + c->n; i++) {
		if (item_of(plan, i)->is_forced)
			return true;
	}
	return false;
}

/* M1, and what is to be put: in EACH the groups of which a name changes, else all. */
static bool link_files(struct pl_merge_plan *plan, const struct pl_merge_component *c)
{
	for (size_t i = c->first; i < c->first + c->n; i++) {
		struct pl_merge_item *item = item_of(plan, i), *mate;
		const struct pl_entry *entry = pl_merge_chosen(item);
		size_t file = result_file(c, &plan->members[i]);

		if (!entry || file == NONE)
			continue;
		/* The first name may be gone, as may be any other: `link` of it is what tells. */
		mate = item_of(plan, file);
		if (mate->link == 0)
			mate->link = plan->members[i].item + 1;
		item->link = mate->link;
		if (!pl_entry_equal(entry, pl_merge_chosen(&plan->items[item->link - 1])))
			return false;
		item->is_put = c->way != EACH;
		if (item->choice != PL_CHOOSE_HEAD)
			plan->items[item->link - 1].is_put = true;
	}
	for (size_t i = c->first; i < c->first + c->n; i++) {
		struct pl_merge_item *item = item_of(plan, i);

		if (item->link > 0 && pl_merge_chosen(item))
			item->is_put = item->is_put || plan->items[item->link - 1].is_put;
	}
	return true;
}

/* M2 */
static int check_complete(const struct pl_merge_plan *plan, const struct pl_merge_component *c,
			  struct pleach_error *error)
{
	for (size_t i = c->first; i < c->first + c->n; i++) {
		const struct pl_merge_item *item = item_of(plan, i);

		for (int s = PL_HEAD; s < PL_N_SIDES; s++) {
			const struct pl_merge_group *group;

			if (item->groups[s] == 0)
				continue;
			group = &plan->groups[item->groups[s] - 1];
			if (group->n_met < group->n_members)
				return pl_fail_corrupt(
					error,
					"%s is in a hard-link group with names that are not there",
					item->path);
		}
	}
	return 0;
}

static bool has_edits(const struct pl_merge_plan *plan, const struct pl_merge_component *c)
{
	for (size_t i = c->first; i < c->first + c->n; i++) {
		const struct pl_merge_item *item = item_of(plan, i);

		if (item->is_put || item->choice != PL_CHOOSE_HEAD)
			return true;
	}
	return false;
}

static bool has_conflict(const struct pl_merge_plan *plan, const struct pl_merge_component *c)
{
	for (size_t i = c->first; i < c->first + c->n; i++) {
		if (item_of(plan, i)->is_conflict)
			return true;
	}
	return false;
}

static int settle(struct pl_merge_plan *plan, struct pl_merge_component *c,
		  struct pleach_error *error)
{
	int r;

	if (is_disputed(plan, c) && !agree(plan, c)) {
		mark_conflict(plan, c);
		return 0;
	}
	if (c->way == HEAD)
		return 0;
	if (c->way == EACH) {
		r = resolve_each(plan, c, error);
		if (r < 0)
			return r;
	}
	if (has_conflict(plan, c) || !link_files(plan, c)) {
		mark_conflict(plan, c);
		return 0;
	}
	return has_edits(plan, c) ? check_complete(plan, c, error) : 0;
}

int pl_merge_groups_settle(struct pl_merge_plan *plan, struct pleach_error *error)
{
	int r = 0;

	for (size_t i = 0; i < plan->n_components && r >= 0; i++)
		r = settle(plan, &plan->components[i], error);
	return r;
}
