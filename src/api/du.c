/*
 * pleach_du_*(): what a store takes of the disk, and for which generations.
 */
#include <stdlib.h>

#include "api/inner.h"
#include "gc/usage.h"

struct pleach_du {
	struct pl_usage usage;
	uint32_t ref; /* the one that is listed; PL_USAGE_NONE: all */
	size_t at;
	/* Of the tree that was summed up last: generations in a row often have the same. */
	uint32_t tree;
	struct pl_usage_sum sum;
};

/* 1 and its index; 0: it has no generation. */
static int find_ref(struct pleach_du *du, const char *name)
{
	for (size_t i = 0; i < du->usage.refs.n; i++) {
		if (strcmp(du->usage.refs.items[i], name) != 0)
			continue;
		du->ref = (uint32_t)i;
		return 1;
	}
	return 0;
}

static int open_du(struct pleach_du *du, struct pl_store *store, const char *ref,
		   struct pleach_error *error)
{
	struct pl_ref opened;
	int r = pl_store_must_read(store, error);

	if (r >= 0 && ref) { /* before all is read */
		r = pl_ref_open(store, ref, &opened, error);
		if (r >= 0)
			pl_ref_close(&opened);
	}
	if (r >= 0)
		r = pl_usage_read(store, &du->usage, error);
	du->ref = du->tree = PL_USAGE_NONE;
	if (r >= 0 && ref && !find_ref(du, ref)) {
		pl_usage_done(&du->usage);
		r = pl_fail_not_found(error, "no ref '%s' in this store", ref);
	}
	return r < 0 ? r : 0;
}

int pleach_du_open(struct pleach_store *store, const char *ref, struct pleach_du **ret_du,
		   struct pleach_error *error)
{
	struct pleach_du *du;
	int r;

	pl_assert(store && ret_du);
	du = calloc(1, sizeof(*du));
	if (!du)
		return pl_fail_memory(error);
	r = open_du(du, store->inner, ref, error);
	if (r < 0) {
		free(du);
		return r;
	}
	*ret_du = du;
	return 0;
}

static int fill_in(struct pleach_du *du, const struct pl_usage_generation *from,
		   struct pleach_du_generation *to)
{
	const struct pl_usage_tree *tree = &du->usage.trees[from->tree];
	int r = du->tree == from->tree ? 0 : pl_usage_sum(&du->usage, from->tree, &du->sum);

	if (r < 0)
		return r;
	du->tree = from->tree;
	to->ref = du->usage.refs.items[from->ref];
	to->generation = from->number;
	pl_id_hex(&tree->id, to->tree);
	to->objects = du->sum.objects;
	to->nodes = du->sum.nodes;
	to->bytes = du->sum.bytes;
	to->disk = du->sum.disk;
	to->alone = tree->n_generations == 1 ? du->sum.alone : 0;
	to->shared = to->disk - to->alone;
	to->is_head = from->is_head;
	to->is_placed = tree->is_placed;
	to->is_held = tree->is_held;
	return 0;
}

int pleach_du_next(struct pleach_du *du, struct pleach_du_generation *generation,
		   struct pleach_error *error)
{
	pl_assert(du && generation);
	while (du->at < du->usage.n_generations) {
		const struct pl_usage_generation *from = &du->usage.generations[du->at++];
		struct pleach_du_generation to = PLEACH_DU_GENERATION_INIT;

		if (from->tree == PL_USAGE_NONE ||
		    (du->ref != PL_USAGE_NONE && from->ref != du->ref))
			continue;
		if (fill_in(du, from, &to) < 0)
			return pl_fail_memory(error);
		PL_GIVE(generation, to);
		return 1;
	}
	if (du->usage.damaged.code != PLEACH_OK) {
		if (error)
			*error = du->usage.damaged;
		du->usage.damaged = (struct pleach_error)PLEACH_ERROR_INIT;
		return -EBADMSG;
	}
	return 0;
}

void pleach_du_sum(const struct pleach_du *du, struct pleach_du_totals *ret_totals)
{
	const struct pl_usage_totals *from = &du->usage.totals;
	struct pleach_du_totals to = PLEACH_DU_TOTALS_INIT;

	to.total = from->total;
	to.objects = du->usage.objects.disk;
	to.nodes = du->usage.nodes.disk;
	to.directories = from->directories;
	to.copies = from->copies;
	to.trash = from->trash;
	to.transactions = from->transactions;
	to.cache = from->cache;
	to.other = from->other;
	to.beside = from->beside;
	to.unneeded = pl_usage_unneeded(&du->usage);
	to.n_objects = du->usage.objects.n;
	to.n_nodes = du->usage.nodes.n;
	to.n_trees = du->usage.n_trees;
	for (size_t i = 0; i < du->usage.n_trees; i++)
		to.n_placed += du->usage.trees[i].is_placed;
	to.unread = from->unread;
	to.damaged = from->damaged;
	PL_GIVE(ret_totals, to);
}

void pleach_du_close(struct pleach_du *du)
{
	if (!du)
		return;
	pl_usage_done(&du->usage);
	free(du);
}
