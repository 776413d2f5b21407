/*
 * Arrays that grow, and the list of strings that is built on them. What is in an element is the
 * caller's; only strings are owned here.
 *
 * A1  Once a string was added, items[n] is NULL: the list can be handed out as it is.
 */
#include "base/base.h"

#include <stdlib.h>

#define CAPACITY_MIN 8

int pl_array_grow(void **array, size_t *capacity, size_t n, size_t element_size)
{
	size_t wanted = *capacity < CAPACITY_MIN ? CAPACITY_MIN : *capacity * 2;
	void *old, *grown;

	pl_assert(element_size > 0);
	pl_assert(n <= *capacity);
	if (n < *capacity)
		return 0;
	if (*capacity > SIZE_MAX / 2)
		return -ENOMEM;
	/* Copied, since the caller's variable is of another pointer type than void *. */
	memcpy(&old, array, sizeof(old));
	grown = reallocarray(old, wanted, element_size);
	if (!grown)
		return -ENOMEM;
	memcpy(array, &grown, sizeof(grown));
	*capacity = wanted;
	/* cppcheck-suppress memleak ; it is in *array */
	return 0;
}

void pl_strings_done(struct pl_strings *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->items[i]);
	free(s->items);
	*s = (struct pl_strings){0};
}

int pl_strings_add(struct pl_strings *s, const char *string)
{
	/* The NULL behind the last counts as one in use. */
	int r = PL_ARRAY_GROW(s->items, s->capacity, s->capacity ? s->n + 1 : 0);
	char *copy;

	if (r < 0)
		return r;
	s->items[s->n] = NULL;
	copy = strdup(string);
	if (!copy)
		return -ENOMEM;
	s->items[s->n++] = copy;
	s->items[s->n] = NULL; /* A1 */
	pl_assert(s->n < s->capacity);
	return 0;
}

static int compare_strings(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void pl_strings_sort(struct pl_strings *s)
{
	if (s->n > 1)
		qsort(s->items, s->n, sizeof(s->items[0]), compare_strings);
}

const char *const *pl_strings_list(const struct pl_strings *s)
{
	static const char *const none[1];

	if (!s->items)
		return none;
	pl_assert(!s->items[s->n]); /* A1 */
	return (const char *const *)s->items;
}
