/*
 * conflicts - the list of paths that two sides changed in ways that do not go together. Who finds them
 * is not known here.
 *
 * C1  Sorted by pl_path_compare(), no path twice: what was said of a path first stays.
 */
#include <stdlib.h>

#include "tree/tree.h"

void pl_conflicts_done(struct pl_conflicts *conflicts)
{
	for (size_t i = 0; i < conflicts->n; i++)
		free(conflicts->items[i].path);
	free(conflicts->items);
	*conflicts = (struct pl_conflicts){0};
}

/* The first that is not below `path`. Most are added in order: the end is looked at first. */
static size_t find(const struct pl_conflicts *conflicts, const char *path)
{
	size_t low = 0, high = conflicts->n;

	if (high > 0 && pl_path_compare(conflicts->items[high - 1].path, path) < 0)
		return high;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (pl_path_compare(conflicts->items[middle].path, path) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

int pl_conflicts_add(struct pl_conflicts *conflicts, const char *path, const char *head,
		     const char *tx)
{
	size_t at = find(conflicts, path);
	char *copy;
	int r;

	pl_assert(head && tx);
	if (at < conflicts->n && strcmp(conflicts->items[at].path, path) == 0)
		return 0; /* C1 */
	r = PL_ARRAY_GROW(conflicts->items, conflicts->capacity, conflicts->n);
	if (r < 0)
		return r;
	copy = strdup(path);
	if (!copy)
		return -ENOMEM;
	memmove(&conflicts->items[at + 1], &conflicts->items[at],
		(conflicts->n - at) * sizeof(conflicts->items[0]));
	conflicts->items[at] = (struct pl_conflict){.path = copy, .head = head, .tx = tx};
	conflicts->n++;
	return 0;
}
