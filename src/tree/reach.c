/*
 * reach - see reach.h. A part that is taken shares the array of items: going down costs nothing for a
 * directory that has no such groups of its own, however many come from above.
 */
#include "tree/reach.h"

#include <stdlib.h>

void pl_reach_done(struct pl_reach *reach)
{
	free(reach->own);
	*reach = (struct pl_reach){0};
}

int pl_reach_add(struct pl_reach *reach, const char *path, bool *mark)
{
	int r;

	pl_assert(reach->items == reach->own);
	pl_assert(reach->next == 0 && reach->skip == 0);
	r = PL_ARRAY_GROW(reach->own, reach->capacity, reach->n);
	if (r < 0)
		return r;
	reach->items = reach->own;
	reach->own[reach->n++] = (struct pl_reach_item){.path = path, .mark = mark};
	return 0;
}

static int compare_items(const void *a, const void *b)
{
	const struct pl_reach_item *x = a, *y = b;

	return pl_path_compare(x->path, y->path);
}

void pl_reach_sort(struct pl_reach *reach)
{
	pl_assert(reach->items == reach->own);
	if (reach->n > 1)
		qsort(reach->own, reach->n, sizeof(*reach->own), compare_items);
}

static int compare_members(const struct pl_groups *a, size_t i, const struct pl_groups *b, size_t k)
{
	size_t n = a->groups[i].n_members < b->groups[k].n_members ? a->groups[i].n_members
								   : b->groups[k].n_members;

	for (size_t m = 0; m < n; m++) {
		int c = strcmp(pl_groups_path(a, i, m), pl_groups_path(b, k, m));

		if (c != 0)
			return c;
	}
	return (a->groups[i].n_members > n) - (b->groups[k].n_members > n);
}

static int add_group(struct pl_reach *reach, const struct pl_groups *groups, size_t group)
{
	for (size_t m = 0; m < groups->groups[group].n_members; m++) {
		int r = pl_reach_add(reach, pl_groups_path(groups, group, m), NULL);

		if (r < 0)
			return r;
	}
	return 0;
}

int pl_reach_add_changes(struct pl_reach *reach, const struct pl_groups *before,
			 const struct pl_groups *after)
{
	size_t i = 0, k = 0;

	while (i < before->n || k < after->n) {
		int c = i == before->n ? 1 : k == after->n ? -1 : 0, r = 0;

		if (c == 0)
			c = compare_members(before, i, after, k);
		if (c < 0)
			r = add_group(reach, before, i);
		else if (c > 0)
			r = add_group(reach, after, k);
		if (r < 0)
			return r;
		i += c <= 0;
		k += c >= 0;
	}
	pl_reach_sort(reach);
	return 0;
}

int pl_reach_join(struct pl_reach *reach, const struct pl_reach *above)
{
	struct pl_reach all = {0};
	size_t i = above->next, k = 0;

	pl_assert(reach->items == reach->own);
	pl_assert(reach->next == 0 && reach->skip == 0);
	if (pl_reach_is_empty(above))
		return 0;
	if (reach->n == 0) {
		free(reach->own);
		*reach = *above;
		reach->own = NULL; /* R2 */
		reach->capacity = 0;
		return 0;
	}
	while (i < above->n || k < reach->n) {
		const char *path = i < above->n ? above->items[i].path + above->skip : NULL;
		bool *mark = i < above->n ? above->items[i].mark : NULL;
		int r;

		if (!path || (k < reach->n && pl_path_compare(reach->own[k].path, path) <= 0)) {
			path = reach->own[k].path;
			mark = reach->own[k++].mark;
		} else {
			i++;
		}
		r = pl_reach_add(&all, path, mark);
		if (r < 0) {
			pl_reach_done(&all);
			return r;
		}
	}
	pl_assert(all.n == reach->n + above->n - above->next);
	pl_reach_done(reach);
	*reach = all;
	return 0;
}

/* Order of the first name of `path` and `name`, as two entries of a directory are ordered. */
static int compare_first_name(const char *path, const char *name, size_t name_length)
{
	size_t length = strcspn(path, "/");
	int c = memcmp(path, name, length < name_length ? length : name_length);

	if (c != 0)
		return c;
	return length < name_length ? -1 : length > name_length;
}

void pl_reach_take(struct pl_reach *reach, const char *name, size_t name_length,
		   struct pl_reach *ret_here, struct pl_reach *ret_below)
{
	struct pl_reach here = {.items = reach->items, .skip = reach->skip};
	struct pl_reach below = {.items = reach->items, .skip = reach->skip + name_length + 1};
	size_t i = reach->next;

	pl_assert(name_length > 0);
	while (i < reach->n &&
	       compare_first_name(reach->items[i].path + reach->skip, name, name_length) < 0)
		i++; /* R3 */
	here.next = i;
	while (i < reach->n && strlen(reach->items[i].path + reach->skip) == name_length &&
	       memcmp(reach->items[i].path + reach->skip, name, name_length) == 0)
		i++;
	here.n = below.next = i;
	while (i < reach->n &&
	       compare_first_name(reach->items[i].path + reach->skip, name, name_length) == 0)
		i++;
	below.n = reach->next = i;
	*ret_here = here;
	*ret_below = below;
}

void pl_reach_mark(const struct pl_reach *reach)
{
	for (size_t i = reach->next; i < reach->n; i++)
		*reach->items[i].mark = true;
}
