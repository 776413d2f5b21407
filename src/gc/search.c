/*
 * Where in trees certain objects, nodes and contents are: a walk through nodes that goes round what
 * cannot be read, and round what it has found nothing in before. It needs no more of a node than its
 * bytes: totals may be wrong, and group blocks missing, so that it is not the cursor of tree.
 *
 * F1  A directory is clean if nothing was seen in it or below it; of one that could not be read nothing is
 *     known, but what is looked for there is, as a rule, that very node.
 * F2  Nodes from strangers can name each other so that there are more paths than anybody can walk: where SEEN_MAX
 *     sightings were told, the search is at its end.
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

#define SEEN_MAX 10000000

struct level {
	struct pl_node node;
	size_t cursor;
	size_t path;	 /* its length, with that of the directory */
	uint64_t before; /* what was seen when it was entered */
};
struct walk {
	struct pl_search *s;
	struct level *levels;
	size_t n, capacity;
	struct pl_buffer path;
};

static const char *path_of(struct walk *w)
{
	return pl_buffer_string(&w->path);
}

static int see_blocks(struct walk *w, const struct pl_node *node, struct pleach_error *error)
{
	int r = 0;

	for (uint32_t i = 0; r >= 0 && i < node->n_blocks; i++) {
		struct pl_id id;

		memcpy(id.bytes, node->blocks + i * sizeof(id.bytes), sizeof(id.bytes));
		if (is_in(w->s->wanted_nodes, &id))
			r = see(w->s, PL_SAW_NODE, &id, path_of(w), NULL, error);
	}
	return r;
}

/* The directory whose path it is: seen, and gone into if that may be of use. */
static int enter(struct walk *w, const struct pl_id *id, struct pleach_error *error)
{
	struct pleach_error ignored = PLEACH_ERROR_INIT;
	struct pl_search *s = w->s;
	struct level *level;
	uint64_t before = s->n_seen;
	int r = 0;

	if (is_in(s->wanted_nodes, id))
		r = see(s, PL_SAW_NODE, id, path_of(w), NULL, error);
	if (r < 0 || is_in(&s->clean, id) || w->n > PL_DEPTH_MAX || s->n_seen > SEEN_MAX) /* F2 */
		return r < 0 ? r : 0;
	if (PL_ARRAY_GROW(w->levels, w->capacity, w->n) < 0)
		return pl_fail_memory(error);
	level = &w->levels[w->n];
	*level = (struct level){.path = w->path.length, .before = before};
	r = pl_node_read(&s->nodes, id, &level->node, &ignored);
	if (r < 0)
		return r == -ENOMEM ? pl_fail_memory(error) : 0;
	w->n++;
	return see_blocks(w, &level->node, error);
}

static int leave(struct walk *w, struct pleach_error *error)
{
	struct level *level = &w->levels[--w->n];
	int r = 0;

	if (level->before == w->s->n_seen && /* F1 */
	    pl_map_put(&w->s->clean, &level->node.id, 1) < 0)
		r = pl_fail_memory(error);
	pl_node_done(&level->node);
	return r;
}

static int meet(struct walk *w, const struct pl_entry *entry, struct pleach_error *error)
{
	struct pl_id object;
	int r = 0;

	if (entry->kind == PLEACH_DIR)
		return enter(w, &entry->hash, error);
	if (entry->kind != PLEACH_FILE || entry->size == 0)
		return 0;
	if (is_in(w->s->contents, &entry->hash))
		r = see(w->s, PL_SAW_CONTENT, &entry->hash, path_of(w), entry, error);
	if (r < 0 || !w->s->objects || w->s->objects->n == 0)
		return r;
	pl_entry_object(entry, &object);
	if (is_in(w->s->objects, &object))
		r = see(w->s, PL_SAW_OBJECT, &object, path_of(w), entry, error);
	return r;
}

static int step(struct walk *w, struct pleach_error *error)
{
	struct level *level = &w->levels[w->n - 1];
	struct pl_entry entry;

	pl_buffer_truncate(&w->path, level->path);
	if (!pl_node_next(&level->node, &level->cursor, &entry))
		return leave(w, error);
	pl_path_push(&w->path, entry.name, entry.name_length);
	return pl_buffer_ok(&w->path) ? meet(w, &entry, error) : pl_fail_memory(error);
}

int pl_search_tree(struct pl_search *s, const struct pl_id *tree, struct pleach_error *error)
{
	struct walk w = {.s = s};
	int r = enter(&w, tree, error);

	while (r >= 0 && w.n > 0)
		r = step(&w, error);
	while (w.n > 0)
		pl_node_done(&w.levels[--w.n].node);
	free(w.levels);
	pl_buffer_done(&w.path);
	return r < 0 ? r : 0;
}
