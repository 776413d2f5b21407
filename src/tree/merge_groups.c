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
 */
#include "tree/merge_components.h"

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
		const struct pl_merge_item *item = pl_merge_member_item(plan, i);
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
		members[i].to_base = members[i].from_base = PL_NO_MEMBER;
	for (size_t i = c->first; i < c->first + c->n; i++) {
		size_t base = members[i].file[PL_BASE], file = members[i].file[side];

		if (base == PL_NO_MEMBER || file == PL_NO_MEMBER)
			continue;
		if (members[file].to_base == PL_NO_MEMBER)
			members[file].to_base = base;
		if (members[base].from_base == PL_NO_MEMBER)
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

		if (file == PL_NO_MEMBER || member->file[PL_BASE] != PL_NO_MEMBER)
			continue;
		if (member->united != PL_NO_MEMBER)
			return false; /* both made it */
		member->united = plan->members[file].to_base != PL_NO_MEMBER
					 ? plan->members[file].to_base
					 : file;
	}
	return true;
}

/* Of names of the base, those that tx removed are as tx has them; of new ones, tx's. */
static void choose_united(const struct pl_merge_plan *plan, const struct pl_merge_component *c)
{
	for (size_t i = c->first; i < c->first + c->n; i++) {
		const struct pl_merge_member *member = &plan->members[i];
		struct pl_merge_item *item = pl_merge_member_item(plan, i);
		bool is_in_head = member->file[PL_HEAD] != PL_NO_MEMBER;
		bool is_in_tx = member->file[PL_TX] != PL_NO_MEMBER;
		bool is_new = member->file[PL_BASE] == PL_NO_MEMBER;

		if (!item->is_ignored && (is_new ? !is_in_head : !is_in_tx))
			item->choice = PL_CHOOSE_TX;
	}
}

/* Can both sides' changes of names stand beside each other? Fills in `united`. */
static bool unite(const struct pl_merge_plan *plan, const struct pl_merge_component *c)
{
	for (size_t i = c->first; i < c->first + c->n; i++) {
		plan->members[i].united = plan->members[i].file[PL_BASE];
		if (pl_merge_member_item(plan, i)->place != PL_PLACE_LEAF)
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
		const struct pl_merge_item *item = pl_merge_member_item(plan, i);

		if (item->is_below_removal && !item->sides[PL_BASE] && !item->is_ignored)
			return true;
	}
	return false;
}

static enum pl_merge_way way_of(const struct pl_merge_plan *plan,
				const struct pl_merge_component *c)
{
	bool has_head_changed = has_changed_files(plan, c, PL_HEAD);
	bool has_tx_changed = has_changed_files(plan, c, PL_TX);

	if (have_same_files(plan, c, PL_HEAD, PL_TX))
		return PL_WAY_EACH;
	if (has_lost_directory(plan, c))
		return PL_WAY_CONFLICT;
	if (have_same_files(plan, c, PL_HEAD, PL_BASE))
		return has_head_changed ? PL_WAY_CONFLICT : PL_WAY_TX;
	if (have_same_files(plan, c, PL_TX, PL_BASE))
		return has_tx_changed ? PL_WAY_CONFLICT : PL_WAY_HEAD;
	if (has_head_changed || has_tx_changed || !unite(plan, c))
		return PL_WAY_CONFLICT;
	return PL_WAY_UNION;
}

/* ---- what follows for the paths ---- */

static void mark_conflict(struct pl_merge_plan *plan, const struct pl_merge_component *c)
{
	for (size_t i = c->first; i < c->first + c->n; i++) {
		struct pl_merge_item *item = pl_merge_member_item(plan, i);

		item->is_conflict = !item->is_ignored;
		item->is_put = false;
	}
}

static void choose_all(struct pl_merge_plan *plan, const struct pl_merge_component *c,
		       enum pl_choice choice)
{
	for (size_t i = c->first; i < c->first + c->n; i++) {
		struct pl_merge_item *item = pl_merge_member_item(plan, i);

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
		if (base != PL_NO_MEMBER)
			members[base].has_split = true;
		if (file != PL_NO_MEMBER)
			members[file].has_split = true;
	}
	for (size_t i = c->first; i < c->first + c->n; i++) {
		size_t base = members[i].file[PL_BASE], file = members[i].file[side];

		if (base == PL_NO_MEMBER || file == PL_NO_MEMBER)
			continue;
		pl_merge_member_item(plan, i)->has_regrouped[side] =
			members[base].has_split || members[file].has_split;
	}
}

static int decide(struct pl_merge_plan *plan, struct pl_merge_component *c,
		  struct pleach_error *error)
{
	int r = 0;

	/* Changed alike is no conflict, ignored or not. */
	if (!have_same_files(plan, c, PL_HEAD, PL_TX) && pl_merge_restore_ignored(plan, c) < 0)
		return pl_fail_memory(error);
	note_regrouped(plan, c, PL_HEAD);
	note_regrouped(plan, c, PL_TX);
	c->way = way_of(plan, c);
	switch (c->way) {
	case PL_WAY_HEAD:
		choose_all(plan, c, PL_CHOOSE_HEAD);
		break;
	case PL_WAY_TX:
		choose_all(plan, c, PL_CHOOSE_TX);
		break;
	case PL_WAY_EACH:
		for (size_t i = c->first; i < c->first + c->n && r >= 0; i++)
			r = pl_merge_plan_decide(pl_merge_member_item(plan, i), error);
		break;
	case PL_WAY_UNION:
		choose_united(plan, c);
		break;
	case PL_WAY_CONFLICT:
		mark_conflict(plan, c);
		break;
	}
	return r;
}

int pl_merge_groups_find(struct pl_merge_plan *plan, struct pleach_error *error)
{
	int r = pl_merge_components_find(plan, error);

	for (size_t i = 0; i < plan->n_components && r >= 0; i++)
		r = decide(plan, &plan->components[i], error);
	return r;
}

/* ---- settling ---- */

static size_t result_file(const struct pl_merge_component *c, const struct pl_merge_member *member)
{
	switch (c->way) {
	case PL_WAY_HEAD:
	case PL_WAY_EACH: /* tx has the same */
		return member->file[PL_HEAD];
	case PL_WAY_TX:
		return member->file[PL_TX];
	case PL_WAY_UNION:
		return member->united;
	case PL_WAY_CONFLICT:
		break;
	}
	pl_assert(false);
	return PL_NO_MEMBER;
}

/* In EACH every path with a conflict is decided on by its own policy. */
static int resolve_each(struct pl_merge_plan *plan, const struct pl_merge_component *c,
			struct pleach_error *error)
{
	for (size_t i = c->first; i < c->first + c->n; i++) {
		struct pl_merge_item *item = pl_merge_member_item(plan, i);

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
		const struct pl_merge_item *item = pl_merge_member_item(plan, i);
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
	c->way = is_ours ? PL_WAY_HEAD : PL_WAY_TX;
	choose_all(plan, c, is_ours ? PL_CHOOSE_HEAD : PL_CHOOSE_TX);
	for (size_t i = c->first; i < c->first + c->n; i++)
		pl_merge_member_item(plan, i)->is_conflict = false;
	return true;
}

static bool is_disputed(const struct pl_merge_plan *plan, const struct pl_merge_component *c)
{
	if (c->way == PL_WAY_CONFLICT)
		return true;
	if (c->way == PL_WAY_EACH)
		return false;
	for (size_t i = c->first; i < c->first + c->n; i++) {
		if (pl_merge_member_item(plan, i)->is_forced)
			return true;
	}
	return false;
}

/* M1, and what is to be put: in EACH the groups of which a name changes, else all. */
static bool link_files(struct pl_merge_plan *plan, const struct pl_merge_component *c)
{
	for (size_t i = c->first; i < c->first + c->n; i++) {
		struct pl_merge_item *item = pl_merge_member_item(plan, i), *mate;
		const struct pl_entry *entry = pl_merge_chosen(item);
		size_t file = result_file(c, &plan->members[i]);

		if (!entry || file == PL_NO_MEMBER)
			continue;
		/* The first name may be gone, as may be any other: `link` of it is what tells. */
		mate = pl_merge_member_item(plan, file);
		if (mate->link == 0)
			mate->link = plan->members[i].item + 1;
		item->link = mate->link;
		if (!pl_entry_equal(entry, pl_merge_chosen(&plan->items[item->link - 1])))
			return false;
		item->is_put = c->way != PL_WAY_EACH;
		if (item->choice != PL_CHOOSE_HEAD)
			plan->items[item->link - 1].is_put = true;
	}
	for (size_t i = c->first; i < c->first + c->n; i++) {
		struct pl_merge_item *item = pl_merge_member_item(plan, i);

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
		const struct pl_merge_item *item = pl_merge_member_item(plan, i);

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
		const struct pl_merge_item *item = pl_merge_member_item(plan, i);

		if (item->is_put || item->choice != PL_CHOOSE_HEAD)
			return true;
	}
	return false;
}

static bool has_conflict(const struct pl_merge_plan *plan, const struct pl_merge_component *c)
{
	for (size_t i = c->first; i < c->first + c->n; i++) {
		if (pl_merge_member_item(plan, i)->is_conflict)
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
	if (c->way == PL_WAY_HEAD)
		return 0;
	if (c->way == PL_WAY_EACH) {
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
