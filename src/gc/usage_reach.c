/*
 * What trees reach, as numbers: the nodes of a store, each read once, and what each names, four bytes a name. So
 * that many trees, which share most of what they have, are each gone through without reading anything again.
 *
 * E1  A node's names are known, or it was not met yet; one that could not be read has none.
 * E2  A walk meets each item once: by its stamp.
 */
#include <stdlib.h>

#include "gc/usage.h"

#define OBJECT	    (UINT32_C(1) << 31) /* of an edge: it leads to an object, else to a node */
#define NOT_MET_YET UINT32_MAX

struct names {
	size_t first;
	uint32_t n;
};
struct pl_usage_reach {
	struct names *nodes; /* as the pool's items */
	uint32_t *edges;
	size_t n, capacity;
	struct pl_id *ids; /* nodes to be read */
	size_t n_ids, ids_capacity;
	uint32_t *todo; /* nodes to be gone through */
	size_t n_todo, todo_capacity;
};

void pl_usage_reach_done(struct pl_usage_reach *reach)
{
	if (!reach)
		return;
	free(reach->nodes);
	free(reach->edges);
	free(reach->ids);
	free(reach->todo);
	free(reach);
}

static int begin(struct pl_usage *usage)
{
	struct pl_usage_reach *reach;

	if (usage->reach)
		return 0;
	reach = calloc(1, sizeof(*reach));
	if (!reach)
		return -ENOMEM;
	usage->reach = reach;
	reach->nodes = reallocarray(NULL, usage->nodes.n + 1, sizeof(*reach->nodes));
	if (!reach->nodes)
		return -ENOMEM;
	for (size_t i = 0; i < usage->nodes.n; i++)
		reach->nodes[i] = (struct names){.n = NOT_MET_YET};
	return 0;
}

/* ---- reading ---- */

static int push_id(struct pl_usage_reach *reach, const struct pl_id *id)
{
	int r = PL_ARRAY_GROW(reach->ids, reach->ids_capacity, reach->n_ids);

	if (r >= 0)
		reach->ids[reach->n_ids++] = *id;
	return r;
}

static int add_edge(struct pl_usage_reach *reach, uint32_t edge)
{
	int r = PL_ARRAY_GROW(reach->edges, reach->capacity, reach->n);

	if (r >= 0)
		reach->edges[reach->n++] = edge;
	return r;
}

/* Of a group block, which names nothing itself. */
static int add_block(struct pl_usage *usage, const struct pl_node *node, uint32_t i)
{
	struct pl_id id;
	uint32_t at;

	memcpy(id.bytes, node->blocks + (size_t)i * sizeof(id.bytes), sizeof(id.bytes));
	at = pl_usage_pool_find(&usage->nodes, &id);
	if (at == PL_USAGE_NONE)
		return 0;
	usage->reach->nodes[at].n = 0;
	return add_edge(usage->reach, at);
}

static int add_entry(struct pl_usage *usage, const struct pl_entry *entry)
{
	struct pl_id object;
	uint32_t at = PL_USAGE_NONE;
	int r = 0;

	if (entry->kind == PLEACH_DIR) {
		at = pl_usage_pool_find(&usage->nodes, &entry->hash);
		if (at == PL_USAGE_NONE)
			usage->totals.unread++; /* collected meanwhile, or missing */
		else if (usage->reach->nodes[at].n == NOT_MET_YET)
			r = push_id(usage->reach, &entry->hash);
	} else if (entry->kind == PLEACH_FILE && entry->size > 0) {
		pl_entry_object(entry, &object);
		at = pl_usage_pool_find(&usage->objects, &object);
		if (at != PL_USAGE_NONE)
			at |= OBJECT;
	}
	return r < 0 || at == PL_USAGE_NONE ? r : add_edge(usage->reach, at);
}

static int read_names(struct pl_usage *usage, const struct pl_node *node)
{
	struct pl_entry entry;
	size_t at = 0;
	int r = 0;

	for (uint32_t i = 0; r >= 0 && i < node->n_blocks; i++)
		r = add_block(usage, node, i);
	while (r >= 0 && pl_node_next(node, &at, &entry) > 0)
		r = add_entry(usage, &entry);
	return r;
}

/* E1 */
static int read_node(struct pl_usage *usage, const struct pl_id *id, struct pleach_error *error)
{
	struct pl_node_source source = pl_store_nodes(usage->store);
	struct pl_usage_reach *reach = usage->reach;
	uint32_t at = pl_usage_pool_find(&usage->nodes, id);
	struct pl_node node;
	int r;

	if (at == PL_USAGE_NONE) {
		usage->totals.unread++;
		return 0;
	}
	if (reach->nodes[at].n != NOT_MET_YET)
		return 0;
	reach->nodes[at] = (struct names){.first = reach->n};
	r = pl_node_read(&source, id, &node, error);
	if (r == -ENOENT || r == -EBADMSG) { /* check tells more of it */
		pl_error_clear(error);
		usage->totals.unread++;
		return 0;
	}
	if (r < 0)
		return r;
	r = read_names(usage, &node);
	pl_node_done(&node);
	reach->nodes[at].n = (uint32_t)(reach->n - reach->nodes[at].first);
	return r < 0 ? pl_fail_memory(error) : 0;
}

int pl_usage_reach_add(struct pl_usage *usage, const struct pl_id *tree, struct pleach_error *error)
{
	int r = begin(usage);

	if (r >= 0)
		r = push_id(usage->reach, tree);
	if (r < 0)
		return pl_fail_memory(error);
	while (r >= 0 && usage->reach->n_ids > 0) {
		const struct pl_id id = usage->reach->ids[--usage->reach->n_ids];

		r = read_node(usage, &id, error);
		if (r >= 0)
			r = pl_store_check_cancel(usage->store, error);
	}
	return r < 0 ? r : 0;
}

/* ---- going through ---- */

static int visit(struct pl_usage *usage, uint32_t edge, pl_usage_reach_fn fn, void *self)
{
	struct pl_usage_reach *reach = usage->reach;
	bool is_node = !(edge & OBJECT);
	struct pl_usage_item *item =
		is_node ? &usage->nodes.items[edge] : &usage->objects.items[edge & ~OBJECT];

	if (item->stamp == usage->stamp) /* E2 */
		return 0;
	item->stamp = usage->stamp;
	fn(self, item, is_node);
	if (!is_node)
		return 0;
	if (PL_ARRAY_GROW(reach->todo, reach->todo_capacity, reach->n_todo) < 0)
		return -ENOMEM;
	reach->todo[reach->n_todo++] = edge;
	return 0;
}

int pl_usage_reach_each(struct pl_usage *usage, const struct pl_id *tree, pl_usage_reach_fn fn,
			void *self)
{
	struct pl_usage_reach *reach = usage->reach;
	uint32_t root = pl_usage_pool_find(&usage->nodes, tree);
	int r = 0;

	if (!reach || root == PL_USAGE_NONE)
		return 0;
	usage->stamp++;
	reach->n_todo = 0;
	r = visit(usage, root, fn, self);
	while (r >= 0 && reach->n_todo > 0) {
		const struct names names = reach->nodes[reach->todo[--reach->n_todo]];

		if (names.n == NOT_MET_YET) /* of a tree that was not read */
			continue;
		for (uint32_t i = 0; r >= 0 && i < names.n; i++)
			r = visit(usage, reach->edges[names.first + i], fn, self);
	}
	return r;
}
