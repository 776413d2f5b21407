/*
 * What is needed: all that the trees of the store reach, and what open transactions have claimed. What it is about
 * is in DESIGN.md, "Collecting", and model/gc.pml.
 *
 * M1  A tree is needed while trees/<id>/ is there. Nodes are walked, each once; objects and blocks are named by
 *     them.
 * M2  A node that cannot be read ends it all: what it names would be taken for garbage.
 * M3  Claims are read before trees (control TREES_FIRST): a commit names its tree before its claims go. Who has not
 *     written a claim yet has not looked yet, and will find the name gone. And once more after the trees: a commit that
 *     ends may hand its claims on to a parked transaction (pl_txdir_keep_claims), whose were read before (control
 *     CLAIMS_ONCE). While this is read for a batch no tree goes (trash.c, R4).
 * M4  A claim needs the one name: 1. a transaction claims a node whose children its base has, 2. that is read, 3. it
 *     commits, and its base goes, 4. its tree is found: the node must be gone into, though it is marked.
 *     (control ENTER_BY_MARK)
 * M5  Who only counts (a dry run) is not the collector: 1. he lists the trees, 2. a collector takes one and its
 *     nodes, 3. he misses them. A tree that is gone needs nothing. The collector itself misses nothing of that kind.
 */
#include <stdlib.h>

#include "gc/collecting.h"

int pl_needed_begin(struct pl_store *store, struct pl_needed *needed, struct pleach_error *error)
{
	int r;

	*needed = (struct pl_needed){.store = store};
	pl_map_init(&needed->trees, sizeof(struct pl_id), store->seed);
	pl_map_init(&needed->unknown, sizeof(struct pl_id), store->seed);
	r = pl_pool_index_read(store, store->nodes_fd, &needed->nodes);
	if (r >= 0)
		r = pl_pool_index_read(store, store->objects_fd, &needed->objects);
	if (r == -EINTR)
		return pl_store_check_cancel(store, error);
	return r < 0 ? pl_fail_sys(error, r, "cannot read what '%s' holds", store->path) : 0;
}

void pl_needed_done(struct pl_needed *needed)
{
	pl_pool_index_done(&needed->nodes);
	pl_pool_index_done(&needed->objects);
	pl_map_done(&needed->trees);
	pl_map_done(&needed->unknown);
}

/* ---- walking ---- */

struct ids {
	struct pl_id *items;
	size_t n, capacity;
};

static int push(struct ids *ids, const struct pl_id *id)
{
	if (PL_ARRAY_GROW(ids->items, ids->capacity, ids->n) < 0)
		return -ENOMEM;
	ids->items[ids->n++] = *id;
	return 0;
}

/* 1: it was not walked yet. */
static int is_new(struct pl_needed *needed, const struct pl_id *node)
{
	int entering = pl_pool_index_enter(&needed->nodes, node); /* M4 */

	if (entering == PL_ENTER_FIRST)
		return 1;
	/* By sixteen bytes it was: then all of them tell. */
	if (entering == PL_ENTER_AGAIN && !needed->nodes.is_ambiguous)
		return 0;
	if (pl_map_get(&needed->unknown, node))
		return 0;
	return pl_map_put(&needed->unknown, node, 1) < 0 ? -ENOMEM : 1;
}

static int walk_node(struct pl_needed *needed, const struct pl_id *id, struct ids *todo,
		     struct pleach_error *error)
{
	struct pl_node_source nodes = pl_store_nodes(needed->store);
	struct pl_node node;
	struct pl_entry entry;
	size_t at = 0;
	int r = pl_node_read(&nodes, id, &node, error); /* M2 */

	if (r < 0)
		return r;
	for (uint32_t i = 0; i < node.n_blocks; i++) {
		struct pl_id block;

		memcpy(block.bytes, node.blocks + i * sizeof(block.bytes), sizeof(block.bytes));
		pl_pool_index_mark(&needed->nodes, &block);
	}
	while (r >= 0 && pl_node_next(&node, &at, &entry) > 0) {
		struct pl_id object;

		if (entry.kind == PLEACH_DIR) {
			r = push(todo, &entry.hash);
		} else if (entry.kind == PLEACH_FILE && entry.size > 0) {
			pl_entry_object(&entry, &object);
			pl_pool_index_mark(&needed->objects, &object);
		}
	}
	pl_node_done(&node);
	needed->n_walked++;
	return r < 0 ? pl_fail_memory(error) : 0;
}

/* M5 */
static bool may_miss(const struct pl_needed *needed, const struct pl_id *tree)
{
	char hex[PL_ID_HEX + 1];

	return needed->only_counts && pl_exists(needed->store->trees_fd, pl_id_hex(tree, hex)) == 0;
}

static int walk_one(struct pl_needed *needed, const struct pl_id *tree, const struct pl_id *node,
		    struct ids *todo, struct pleach_error *error)
{
	int r = is_new(needed, node);

	if (r <= 0)
		return r < 0 ? pl_fail_memory(error) : 0;
	r = walk_node(needed, node, todo, error);
	if (r == -EBADMSG && may_miss(needed, tree)) {
		pl_error_clear(error);
		r = 0;
	}
	return r;
}

int pl_needed_add_tree(struct pl_needed *needed, const struct pl_id *tree,
		       struct pleach_error *error)
{
	struct ids todo = {0};
	int r;

	if (pl_map_get(&needed->trees, tree))
		return 0;
	r = push(&todo, tree) < 0 ? pl_fail_memory(error) : 0;
	while (r >= 0 && todo.n > 0) {
		struct pl_id id = todo.items[--todo.n];

		r = walk_one(needed, tree, &id, &todo, error);
		if (r >= 0)
			r = pl_store_check_cancel(needed->store, error);
		pl_store_progress(needed->store, "mark", needed->n_walked, needed->nodes.n, 0);
	}
	free(todo.items);
	if (r == -EBADMSG)
		pl_hint(error,
			"mend the store first: pleach check --repair; it names the "
			"generations that it cannot mend: give them up by pleach drop --now");
	if (r >= 0 && pl_map_put(&needed->trees, tree, 1) < 0)
		r = pl_fail_memory(error);
	return r < 0 ? r : 0;
}

/* ---- what is needed now ---- */

int pl_needed_add_trees(struct pl_needed *needed, struct pleach_error *error)
{
	struct pl_listing listing = {0};
	int r = pl_list(needed->store->trees_fd, &listing);

	if (r < 0)
		pl_fail_sys(error, r, "cannot list '%s/.pleach/trees'", needed->store->path);
	for (size_t i = 0; r >= 0 && i < listing.n; i++) {
		struct pl_id tree;

		if (pl_tree_is_entry(needed->store, &listing.entries[i], &tree))
			r = pl_needed_add_tree(needed, &tree, error);
	}
	pl_listing_done(&listing);
	return r < 0 ? r : 0;
}

static int add_claim(void *self, char kind, const struct pl_id *id, struct pleach_error *error)
{
	struct pl_needed *needed = self;

	(void)error;
	if (kind == 'o')
		pl_pool_index_mark(&needed->objects, id);
	else if (kind == 'n')
		pl_pool_index_mark(&needed->nodes, id);
	return 0;
}

int pl_needed_add_claims(struct pl_needed *needed, struct pleach_error *error)
{
	if (!pl_seam_guards(PL_GUARD_CLAIMS_READ))
		return 0;
	return pl_txdir_each_claim(needed->store, add_claim, needed, error);
}
