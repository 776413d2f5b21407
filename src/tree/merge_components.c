/*
 * merge_components - see merge_components.h.
 *
 * C1  What neither head nor tx has as something that is no directory takes no part.
 * C2  Two members are names of one file of a side if and only if they have the same number for it there,
 *     and that is the index of the first of them. So sides are compared by comparing numbers.
 */
#include "tree/merge_components.h"

#include <stdlib.h>

/* ---- components ---- */

static size_t find_top(struct pl_merge_member *members, size_t i)
{
	while (members[i].above != i) {
		members[i].above = members[members[i].above].above;
		i = members[i].above;
	}
	return i;
}

/* C1 */
static bool takes_part(const struct pl_merge_item *item)
{
	return (item->groups[PL_BASE] || item->groups[PL_HEAD] || item->groups[PL_TX]) &&
	       (pl_merge_leaf(item, PL_HEAD) || pl_merge_leaf(item, PL_TX));
}

/* Joins all that share a group. `first`: of each group, its first member or PL_NO_MEMBER. */
static void join(struct pl_merge_plan *plan, size_t *first)
{
	for (size_t i = 0; i < plan->n_members; i++) {
		const struct pl_merge_item *item = pl_merge_member_item(plan, i);

		for (int s = 0; s < PL_N_SIDES; s++) {
			size_t group = item->groups[s], a, b;

			if (group == 0)
				continue;
			if (first[group - 1] == PL_NO_MEMBER)
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

/* Who is one file with whom, by side. */
static void find_files(struct pl_merge_plan *plan, size_t *first)
{
	for (size_t g = 0; g < plan->n_groups; g++)
		first[g] = PL_NO_MEMBER;
	for (size_t i = 0; i < plan->n_members; i++) {
		struct pl_merge_member *member = &plan->members[i];
		const struct pl_merge_item *item = pl_merge_member_item(plan, i);

		for (int s = 0; s < PL_N_SIDES; s++) {
			const struct pl_entry *entry = pl_merge_entry(item, (enum pl_side)s);
			size_t group = item->groups[s];

			member->file[s] = PL_NO_MEMBER;
			if (!entry || entry->kind == PLEACH_DIR)
				continue;
			member->file[s] = i;
			if (group == 0)
				continue;
			if (first[group - 1] == PL_NO_MEMBER)
				first[group - 1] = i;
			member->file[s] = first[group - 1];
		}
	}
}

/* ---- names that are ignored ---- */

struct file_pair {
	uint64_t base, tx;
};

/* Which of tx's files the ignored names of each of base's files are; PL_NO_MEMBER: a file of their own. It is one
 * that tx has left them together with others in, or, if tx has removed all of them, that of the first
 * other that is left. `left`: the pairs of files that others are in. */
static int find_ignored(const struct pl_merge_plan *plan, const struct pl_merge_component *c,
			struct pl_map *left, size_t *ret_files)
{
	const struct pl_merge_member *members = plan->members;
	size_t end = c->first + c->n;

	for (size_t i = c->first; i < end; i++)
		ret_files[i] = PL_NO_MEMBER;
	for (size_t i = c->first; i < end; i++) {
		struct file_pair pair = {members[i].file[PL_BASE], members[i].file[PL_TX]};

		if (pl_merge_member_item(plan, i)->is_ignored || pair.base == PL_NO_MEMBER ||
		    pair.tx == PL_NO_MEMBER)
			continue;
		if (pl_map_put(left, &pair, 1) < 0)
			return -ENOMEM;
		if (ret_files[pair.base] == PL_NO_MEMBER)
			ret_files[pair.base] = pair.tx;
	}
	for (size_t i = c->first; i < end; i++) { /* not all removed */
		size_t base = members[i].file[PL_BASE];

		if (pl_merge_member_item(plan, i)->is_ignored &&
		    pl_merge_member_item(plan, i)->sides[PL_TX] && base != PL_NO_MEMBER)
			ret_files[base] = PL_NO_MEMBER;
	}
	for (size_t i = c->first; i < end; i++) {
		struct file_pair pair = {members[i].file[PL_BASE], members[i].file[PL_TX]};

		if (pl_merge_member_item(plan, i)->is_ignored && pair.base != PL_NO_MEMBER &&
		    pair.tx != PL_NO_MEMBER && pl_map_get(left, &pair))
			ret_files[pair.base] = pair.tx;
	}
	return 0;
}

/* Files of tx have the numbers of their first members again. */
static void renumber_tx(struct pl_merge_plan *plan, const struct pl_merge_component *c,
			size_t *scratch)
{
	for (size_t i = c->first; i < c->first + c->n; i++)
		scratch[i] = scratch[plan->n_members + i] = PL_NO_MEMBER;
	for (size_t i = c->first; i < c->first + c->n; i++) {
		size_t *file = &plan->members[i].file[PL_TX];

		if (*file == PL_NO_MEMBER)
			continue;
		if (scratch[*file] == PL_NO_MEMBER)
			scratch[*file] = i;
		*file = scratch[*file];
	}
}

int pl_merge_restore_ignored(struct pl_merge_plan *plan, const struct pl_merge_component *c)
{
	size_t *scratch = plan->member_scratch;
	size_t n_ignored = 0;
	struct pl_map left;
	int r;

	for (size_t i = c->first; i < c->first + c->n; i++)
		n_ignored += pl_merge_member_item(plan, i)->is_ignored;
	if (n_ignored == 0)
		return 0;
	pl_map_init(&left, sizeof(struct file_pair), plan->merge->seed);
	r = find_ignored(plan, c, &left, scratch);
	pl_map_done(&left);
	if (r < 0)
		return r;
	for (size_t i = c->first; i < c->first + c->n; i++) {
		struct pl_merge_member *member = &plan->members[i];
		size_t base = member->file[PL_BASE];

		if (!pl_merge_member_item(plan, i)->is_ignored)
			continue;
		if (base == PL_NO_MEMBER)
			member->file[PL_TX] = PL_NO_MEMBER;
		else
			member->file[PL_TX] = scratch[base] != PL_NO_MEMBER
						      ? scratch[base]
						      : plan->n_members + base;
	}
	renumber_tx(plan, c, scratch);
	return 0;
}

/* ---- the whole ---- */

static void add_members(struct pl_merge_plan *plan)
{
	for (size_t i = 0; i < plan->n; i++) {
		if (!takes_part(&plan->items[i]))
			continue;
		plan->members[plan->n_members] = (struct pl_merge_member){
			.item = i, .above = plan->n_members, .united = PL_NO_MEMBER};
		plan->n_members++;
	}
}

int pl_merge_components_find(struct pl_merge_plan *plan, struct pleach_error *error)
{
	size_t *first; /* of each group, its first member */
	int r;

	if (plan->n_groups == 0)
		return 0;
	plan->member_scratch = calloc(2 * plan->n, sizeof(*plan->member_scratch));
	plan->members = calloc(plan->n, sizeof(*plan->members));
	first = calloc(plan->n_groups, sizeof(*first));
	if (!first || !plan->member_scratch || !plan->members) {
		free(first);
		return pl_fail_memory(error);
	}
	add_members(plan);
	for (size_t g = 0; g < plan->n_groups; g++)
		first[g] = PL_NO_MEMBER;
	join(plan, first);
	r = add_components(plan);
	if (r >= 0)
		find_files(plan, first);
	free(first);
	return r < 0 ? pl_fail_memory(error) : 0;
}
