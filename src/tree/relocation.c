/*
 * relocation - see relocation.h.
 *
 * Each edit is at a path of the result. If it lies in a directory that has an origin, then that path
 * stood for one of the base, which the edit cuts off: what is there and below it is not carried along.
 * An edit with an origin carries along, too: it makes a path of the base an origin. Where a path of
 * the base is, then, its nearest item says, itself or above: an origin carries it along, and a mere
 * cut has taken it away.
 *
 * R1  No path of the base is at two places. It would be if a directory above were an origin, and no
 *     cut between; then the nearest item above it is an origin too, and that is looked for.
 */
#include "tree/relocation.h"

#include <stdlib.h>

#define NOWHERE SIZE_MAX

void pl_relocation_done(struct pl_relocation *relocation)
{
	for (size_t i = 0; i < relocation->n; i++)
		free(relocation->items[i].own);
	free(relocation->items);
	*relocation = (struct pl_relocation){0};
}

/* ---- what the edits say ---- */

/*
 * The path of the base that the edit's path stands for: *ret_path, and *ret_own too if it had to be
 * made. NULL if it stands for none: the directory it is in began empty.
 */
static int stands_for(const struct pl_edits *edits, const struct pl_edit *edit,
		      const char **ret_path, char **ret_own)
{
	const struct pl_edit *above;
	struct pl_buffer b = {0};
	const char *rest;

	*ret_path = edit->path;
	*ret_own = NULL;
	if (edit->above == NOWHERE)
		return 0;
	above = &edits->items[edit->above];
	pl_assert(above->kind == PL_EDIT_DIR && pl_path_is_below(edit->path, above->path));
	if (!above->origin)
		*ret_path = NULL;
	if (!above->origin || strcmp(above->origin, above->path) == 0)
		return 0;
	rest = edit->path + strlen(above->path);
	rest += *rest == '/';
	pl_buffer_add_string(&b, above->origin);
	if (b.length > 0)
		pl_buffer_add_u8(&b, '/');
	pl_buffer_add_string(&b, rest);
	*ret_own = pl_buffer_take_string(&b);
	*ret_path = *ret_own;
	return *ret_own ? 0 : -ENOMEM;
}

/* Adds what one edit says; there is room for two items. */
static int add_edit(struct pl_relocation *relocation, const struct pl_edits *edits,
		    const struct pl_edit *edit)
{
	struct pl_relocated cut = {.is_cut = true};
	struct pl_relocated origin = {
		.path = edit->origin, .is_origin = true, .to = edit->path, .is_moved = true};

	if (stands_for(edits, edit, &cut.path, &cut.own) < 0)
		return -ENOMEM;
	if (cut.path && edit->origin && strcmp(cut.path, edit->origin) == 0)
		origin.is_moved = false;
	if (cut.path)
		relocation->items[relocation->n++] = cut;
	if (edit->origin)
		relocation->items[relocation->n++] = origin;
	return 0;
}

/* ---- in order ---- */

/* Of one path the origin behind the cut, and the edit that comes later before the other one. */
static int compare_items(const void *a, const void *b)
{
	const struct pl_relocated *x = a, *y = b;
	int c = pl_path_compare(x->path, y->path);

	if (c == 0)
		c = x->is_origin - y->is_origin;
	return c != 0 || !x->is_origin ? c : pl_path_compare(y->to, x->to);
}

static int fail_twice(const struct pl_relocated *origin, const char *second,
		      struct pleach_error *error)
{
	int r = pl_fail(error, PLEACH_FAILED, -EINVAL,
			"the directory '%s' of the base would be at '%s' and at '%s'", origin->path,
			origin->to, second);

	pl_error_path(error, origin->to);
	return r;
}

/* Joins items of one path. */
static int unite(struct pl_relocation *relocation, struct pleach_error *error)
{
	struct pl_relocated *items = relocation->items;
	size_t n = 0, all = relocation->n;
	int r = 0;

	for (size_t i = 0; i < all; i++) {
		struct pl_relocated *last = n > 0 ? &items[n - 1] : NULL;

		if (!last || strcmp(last->path, items[i].path) != 0) {
			items[n++] = items[i];
			continue;
		}
		if (last->is_origin && items[i].is_origin && r >= 0)
			r = fail_twice(last, items[i].to, error); /* R1 */
		last->is_cut = last->is_cut || items[i].is_cut;
		if (items[i].is_origin) {
			last->is_origin = true;
			last->to = items[i].to;
			last->is_moved = items[i].is_moved;
		}
		if (!last->own)
			last->own = items[i].own;
		else
			free(items[i].own);
	}
	relocation->n = n;
	return r;
}

/* Sets `above`, and sees to R1. */
static int nest(struct pl_relocation *relocation, struct pleach_error *error)
{
	size_t above = NOWHERE;

	for (size_t i = 0; i < relocation->n; i++) {
		struct pl_relocated *item = &relocation->items[i];

		while (above != NOWHERE &&
		       !pl_path_is_below(item->path, relocation->items[above].path))
			above = relocation->items[above].above;
		item->above = above;
		if (item->is_origin && !item->is_cut && above != NOWHERE &&
		    relocation->items[above].is_origin)
			return fail_twice(item, "its old place", error);
		above = i;
	}
	return 0;
}

int pl_relocation_find(const struct pl_edits *edits, struct pl_relocation *ret_relocation,
		       struct pleach_error *error)
{
	struct pl_relocation found = {0};
	int r = 0;

	/* Two for each edit, and the root. */
	found.items = calloc(2 * edits->n + 1, sizeof(*found.items));
	if (!found.items)
		return pl_fail_memory(error);
	if (edits->n == 0 || *edits->items[0].path != '\0')
		found.items[found.n++] =
			(struct pl_relocated){.path = "", .is_origin = true, .to = ""};
	for (size_t i = 0; i < edits->n && r >= 0; i++)
		r = add_edit(&found, edits, &edits->items[i]);
	if (r < 0) {
		r = pl_fail_memory(error);
	} else {
		qsort(found.items, found.n, sizeof(*found.items), compare_items);
		r = unite(&found, error);
	}
	if (r >= 0)
		r = nest(&found, error);
	if (r < 0) {
		pl_relocation_done(&found);
		return r;
	}
	*ret_relocation = found;
	return 0;
}

/* ---- asking ---- */

/* How many items do not come after `path`. */
static size_t up_to(const struct pl_relocation *relocation, const char *path)
{
	size_t low = 0, high = relocation->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (pl_path_compare(relocation->items[middle].path, path) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct pl_relocated *pl_relocation_at(const struct pl_relocation *relocation, const char *path)
{
	size_t n = up_to(relocation, path);

	if (n == 0 || strcmp(relocation->items[n - 1].path, path) != 0)
		return NULL;
	return &relocation->items[n - 1];
}

/* The nearest item at `path` or above it, NULL if there is none. It is the last one that does not come
 * after it, or above that: between a directory and what is in it there is only what is in it, too. */
static const struct pl_relocated *nearest(const struct pl_relocation *relocation, const char *path)
{
	size_t n = up_to(relocation, path), common = 0, at = n - 1;
	const char *last;

	if (n == 0)
		return NULL;
	last = relocation->items[at].path;
	while (last[common] && last[common] == path[common])
		common++;
	/* Those above are parts of this path: their lengths say whether they are parts of the other. */
	while (at != NOWHERE) {
		size_t length = strlen(relocation->items[at].path);

		if (length == 0 || (length <= common && (!path[length] || path[length] == '/')))
			return &relocation->items[at];
		at = relocation->items[at].above;
	}
	return NULL;
}

bool pl_relocation_follow(const struct pl_relocation *relocation, const char *path,
			  struct pl_buffer *ret_path)
{
	const struct pl_relocated *item = nearest(relocation, path);
	const char *rest;

	if (!item || !item->is_origin)
		return false;
	rest = path + strlen(item->path);
	if (!*rest)
		return false;
	rest += *rest == '/';
	pl_buffer_add_string(ret_path, item->to);
	if (*item->to)
		pl_buffer_add_u8(ret_path, '/');
	pl_buffer_add_string(ret_path, rest);
	return true;
}
