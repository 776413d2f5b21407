/*
 * Where in trees certain objects, nodes and contents are: a walk through nodes that goes round what
 * cannot be read, and round what it has found nothing in before.
 *
 * F1  A directory is clean if nothing was seen in it or below it; of one that could not be read nothing is
 *     known, but what is looked for there is, as a rule, that very node.
 */
#include <stdlib.h>

#include "gc/search.h"

void pl_search_begin(struct pl_search *s)
{
	pl_map_init(&s->clean, sizeof(struct pl_id), s->seed);
}

void pl_search_done(struct pl_search *s)
{
	pl_map_done(&s->clean);
}

static bool is_in(const struct pl_map *map, const struct pl_id *id)
{
	return map && map->n > 0 && pl_map_get(map, id) != NULL;
}

static int see(struct pl_search *s, enum pl_sighting_what what, const struct pl_id *id,
	       const char *path, const struct pl_entry *entry, struct pleach_error *error)
{
	const struct pl_sighting sighting = {.what = what, .id = id, .path = path, .entry = entry};

	s->n_seen++;
	return s->saw(s->self, &sighting, error);
}

/* 1: it can be read, and is what its parent says (`claimed`; NULL: it has none), as the cursor wants it. */
static int can_read(struct pl_search *s, const struct pl_id *id, const struct pl_totals *claimed,
		    struct pleach_error *error)
{
	struct pleach_error ignored = PLEACH_ERROR_INIT;
	struct pl_node node;
	int r = pl_node_read(&s->nodes, id, &node, &ignored);

	if (r >= 0) {
		r = claimed ? pl_node_check_totals(&s->nodes, &node, claimed, &ignored) : 0;
		pl_node_done(&node);
	}
	if (r == -ENOMEM)
		return pl_fail_memory(error);
	return r >= 0;
}

struct walk {
	struct pl_search *s;
	struct pl_cursor *cursor;
	uint64_t *before; /* of each directory down to here: what was seen when it was entered */
	size_t n, capacity;
};

/* 1: the directory is not gone into. */
static int pass(void *self, const struct pl_entry *entry, struct pleach_error *error)
{
	struct walk *w = self;
	struct pl_search *s = w->s;
	PL_BUFFER path = {0};
	int r = 0;

	if (is_in(s->wanted_nodes, &entry->hash)) {
		pl_buffer_add_string(&path, pl_cursor_path(w->cursor)); /* of the one it is in */
		pl_path_push(&path, entry->name, entry->name_length);
		r = pl_buffer_ok(&path) ? see(s, PL_SAW_NODE, &entry->hash, pl_buffer_string(&path),
					      NULL, error)
					: pl_fail_memory(error);
	}
	if (r < 0)
		return r;
	if (is_in(&s->clean, &entry->hash))
		return 1;
	r = can_read(s, &entry->hash, &entry->totals, error);
	return r < 0 ? r : r == 0;
}

static int enter(struct walk *w, struct pleach_error *error)
{
	const struct pl_node *node = pl_cursor_node(w->cursor);
	int r = 0;

	if (PL_ARRAY_GROW(w->before, w->capacity, w->n) < 0)
		return pl_fail_memory(error);
	w->before[w->n++] = w->s->n_seen;
	for (uint32_t i = 0; r >= 0 && i < node->n_blocks; i++) {
		struct pl_id id;

		memcpy(id.bytes, node->blocks + i * sizeof(id.bytes), sizeof(id.bytes));
		if (is_in(w->s->wanted_nodes, &id))
			r = see(w->s, PL_SAW_NODE, &id, pl_cursor_path(w->cursor), NULL, error);
	}
	return r;
}

static int leave(struct walk *w, struct pleach_error *error)
{
	pl_assert(w->n > 0);
	if (w->before[--w->n] == w->s->n_seen && /* F1 */
	    pl_map_put(&w->s->clean, &pl_cursor_node(w->cursor)->id, 1) < 0)
		return pl_fail_memory(error);
	return 0;
}

static int meet(struct walk *w, struct pleach_error *error)
{
	const struct pl_entry *entry = pl_cursor_entry(w->cursor);
	const char *path = pl_cursor_path(w->cursor);
	struct pl_id object;
	int r = 0;

	if (entry->kind != PLEACH_FILE || entry->size == 0)
		return 0;
	if (is_in(w->s->contents, &entry->hash))
		r = see(w->s, PL_SAW_CONTENT, &entry->hash, path, entry, error);
	if (r < 0 || !w->s->objects || w->s->objects->n == 0)
		return r;
	pl_entry_object(entry, &object);
	if (is_in(w->s->objects, &object))
		r = see(w->s, PL_SAW_OBJECT, &object, path, entry, error);
	return r;
}

/* What the cursor stops at although it can be read, nobody can go on behind. */
static int walk(struct walk *w, struct pleach_error *error)
{
	struct pleach_error cause = PLEACH_ERROR_INIT;
	int r = 0, step;

	while (r >= 0 && (step = pl_cursor_next(w->cursor, &cause)) != 0) {
		if (step == -ENOMEM)
			return pl_fail_memory(error);
		if (step < 0)
			return 0;
		if (step == PL_STEP_ENTER)
			r = enter(w, error);
		else if (step == PL_STEP_LEAVE)
			r = leave(w, error);
		else
			r = meet(w, error);
	}
	return r < 0 ? r : 0;
}

int pl_search_tree(struct pl_search *s, const struct pl_id *tree, struct pleach_error *error)
{
	struct walk w = {.s = s};
	int r = 0;

	if (is_in(s->wanted_nodes, tree))
		r = see(s, PL_SAW_NODE, tree, "", NULL, error);
	if (r < 0 || is_in(&s->clean, tree))
		return r < 0 ? r : 0;
	r = can_read(s, tree, NULL, error);
	if (r <= 0)
		return r;
	r = pl_cursor_new(&s->nodes, tree, false, s->seed, &w.cursor, error);
	if (r < 0)
		return r;
	pl_cursor_pass(w.cursor, pass, &w);
	r = walk(&w, error);
	pl_cursor_free(w.cursor);
	free(w.before);
	return r;
}
