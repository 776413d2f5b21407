/*
 * A walk through a tree of nodes, depth first, with a stack of its own. What is done with what is met
 * is the caller's.
 *
 *                      +-------- next: more below ---------+
 *                      v                                   |
 *	new --next--> ENTER --next--> ENTRY <--next--> ENTER of a subdirectory
 *	                |               |                       |
 *	          skip, or empty     next: no more         next, at last
 *	                |               v                       v
 *	                +-----------> LEAVE --next--> what stands behind it above, or END
 *
 * Entries of a node are sorted by bytes, and a directory is gone down where it stands: "a", "a/x",
 * "a.b". That is the order of pl_path_compare(), in which '/' is below every other byte.
 *
 * C1  levels[] are the nodes from the root to where the walk is. What the last step was about is
 *     dropped by the next one only, so that path, entry and node last until then.
 * C2  `path` names what the last step was about.
 * C3  A directory is entered only if its node yields the totals that its parent says. Depths shrink
 *     with each level, so no tree is deeper than PL_DEPTH_MAX, whatever the nodes are.
 */
#include "tree/inner.h"

#include <stdlib.h>

struct level {
	struct pl_node node;
	size_t at;	       /* behind `entry` */
	struct pl_entry entry; /* the last one met */
};

struct pl_cursor {
	struct pl_node_source source;
	struct pl_id root;
	struct pl_membership *membership; /* NULL: not kept */
	pl_cursor_passes_fn passes;	  /* NULL: none */
	void *passes_self;
	struct pl_buffer path;
	struct level *levels;
	size_t n, capacity;
	enum pl_step step; /* the last one */
	bool has_begun, has_failed, is_skipping;
};

int pl_cursor_new(const struct pl_node_source *source, const struct pl_id *root, bool with_groups,
		  uint64_t seed, struct pl_cursor **ret_cursor, struct pleach_error *error)
{
	struct pl_cursor *cursor = calloc(1, sizeof(*cursor));
	int r;

	if (!cursor)
		return pl_fail_memory(error);
	cursor->source = *source;
	cursor->root = *root;
	cursor->step = PL_STEP_END;
	if (with_groups) {
		r = pl_membership_new(source, seed, &cursor->membership, error);
		if (r < 0) {
			free(cursor);
			return r;
		}
	}
	*ret_cursor = cursor;
	return 0;
}

void pl_cursor_free(struct pl_cursor *cursor)
{
	if (!cursor)
		return;
	for (size_t i = 0; i < cursor->n; i++)
		pl_node_done(&cursor->levels[i].node);
	free(cursor->levels);
	pl_membership_free(cursor->membership);
	pl_buffer_done(&cursor->path);
	free(cursor);
}

/* Pushes the node's groups, and proves its totals; `claimed` is NULL for the root, of which nobody
 * says anything: its sums must just be possible. */
static int admit(struct pl_cursor *cursor, const struct pl_node *node,
		 const struct pl_totals *claimed, struct pleach_error *error)
{
	struct pl_totals totals;
	int r;

	if (cursor->membership) {
		const char *path = pl_buffer_string(&cursor->path);

		pl_assert(path);
		r = pl_membership_push(cursor->membership, path, node, error);
		if (r >= 0)
			r = pl_node_totals_with(node, pl_membership_own_groups(cursor->membership),
						&totals, error);
	} else {
		r = pl_node_totals(&cursor->source, node, &totals, error);
	}
	if (r >= 0 && claimed)
		r = pl_node_compare_totals(node, &totals, claimed, error); /* C3 */
	return r;
}

static int enter(struct pl_cursor *cursor, const struct pl_id *id, const struct pl_totals *claimed,
		 struct pleach_error *error)
{
	struct level *level;
	int r;

	pl_assert(cursor->n <= PL_DEPTH_MAX); /* C3 */
	pl_assert((cursor->n == 0) == !claimed);
	if (!pl_buffer_ok(&cursor->path) ||
	    PL_ARRAY_GROW(cursor->levels, cursor->capacity, cursor->n) < 0)
		return pl_fail_memory(error);
	level = &cursor->levels[cursor->n];
	*level = (struct level){0};
	r = pl_node_read(&cursor->source, id, &level->node, error);
	if (r >= 0) {
		r = admit(cursor, &level->node, claimed, error);
		if (r < 0)
			pl_node_done(&level->node);
	}
	if (r < 0) {
		pl_error_path(error, pl_buffer_string(&cursor->path));
		return r;
	}
	cursor->n++;
	return PL_STEP_ENTER;
}

/* Drops the directory of which LEAVE was the last step. */
static void drop(struct pl_cursor *cursor)
{
	pl_assert(cursor->n > 0);
	pl_node_done(&cursor->levels[--cursor->n].node);
	if (cursor->membership)
		pl_membership_pop(cursor->membership);
	if (cursor->n > 0)
		pl_path_pop(&cursor->path);
	pl_assert(cursor->n > 0 || cursor->path.length == 0);
}

/* Is the directory that stands next passed by, unread? */
static int passes(struct pl_cursor *cursor, const struct pl_entry *entry,
		  struct pleach_error *error)
{
	return cursor->passes ? cursor->passes(cursor->passes_self, entry, error) : 0;
}

/* To what stands next in the directory that the walk is in. */
static int advance(struct pl_cursor *cursor, struct pleach_error *error)
{
	struct level *level = &cursor->levels[cursor->n - 1];
	struct pl_totals claimed;
	struct pl_id child;
	int r;

	pl_assert(cursor->n > 0);
	do {
		if (pl_node_next(&level->node, &level->at, &level->entry) == 0)
			return PL_STEP_LEAVE;
		r = level->entry.kind == PLEACH_DIR ? passes(cursor, &level->entry, error) : 0;
	} while (r > 0);
	if (r < 0)
		return r;
	pl_path_push(&cursor->path, level->entry.name, level->entry.name_length); /* C2 */
	if (!pl_buffer_ok(&cursor->path))
		return pl_fail_memory(error);
	if (level->entry.kind != PLEACH_DIR)
		return PL_STEP_ENTRY;
	/* Copied, since the levels may move. */
	child = level->entry.hash;
	claimed = level->entry.totals;
	return enter(cursor, &child, &claimed, error);
}

static int step(struct pl_cursor *cursor, struct pleach_error *error)
{
	bool skips = cursor->is_skipping;

	cursor->is_skipping = false;
	switch (cursor->step) {
	case PL_STEP_END:
		if (cursor->has_begun)
			return PL_STEP_END;
		cursor->has_begun = true;
		return enter(cursor, &cursor->root, NULL, error);
	case PL_STEP_ENTER:
		return skips ? PL_STEP_LEAVE : advance(cursor, error);
	case PL_STEP_ENTRY:
		pl_path_pop(&cursor->path);
		return advance(cursor, error);
	case PL_STEP_LEAVE:
		drop(cursor);
		return cursor->n > 0 ? advance(cursor, error) : PL_STEP_END;
	}
	pl_assert(false);
	return -EINVAL;
}

int pl_cursor_next(struct pl_cursor *cursor, struct pleach_error *error)
{
	int r;

	pl_assert(!cursor->has_failed); /* a walk that failed can only be freed */
	r = step(cursor, error);
	cursor->has_failed = r < 0;
	if (r < 0)
		return r;
	pl_assert((r == PL_STEP_END) == (cursor->n == 0));
	cursor->step = (enum pl_step)r;
	return r;
}

void pl_cursor_pass(struct pl_cursor *cursor, pl_cursor_passes_fn fn, void *self)
{
	cursor->passes = fn;
	cursor->passes_self = self;
}

void pl_cursor_skip(struct pl_cursor *cursor)
{
	pl_assert(cursor->step == PL_STEP_ENTER && !cursor->has_failed);
	cursor->is_skipping = true;
}

const char *pl_cursor_path(struct pl_cursor *cursor)
{
	const char *path = pl_buffer_string(&cursor->path);

	pl_assert(path && cursor->step != PL_STEP_END && !cursor->has_failed);
	return path;
}

const struct pl_entry *pl_cursor_entry(const struct pl_cursor *cursor)
{
	size_t above = cursor->step == PL_STEP_ENTRY ? 1 : 2;

	pl_assert(cursor->step != PL_STEP_END && !cursor->has_failed);
	pl_assert(cursor->n >= above); /* the root has none */
	return &cursor->levels[cursor->n - above].entry;
}

const struct pl_node *pl_cursor_node(const struct pl_cursor *cursor)
{
	pl_assert(cursor->n > 0 && !cursor->has_failed);
	return &cursor->levels[cursor->n - 1].node;
}

const struct pl_membership *pl_cursor_membership(const struct pl_cursor *cursor)
{
	pl_assert(cursor->membership);
	return cursor->membership;
}
