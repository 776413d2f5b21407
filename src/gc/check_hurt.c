/*
 * Whom a fault hurts: the generations that have it, and the paths in them. Nodes say which trees name a
 * damaged object or node; of a placed tree the finding's own path does. What is found in a ref hurts that.
 *
 * H1  One walk through all trees that are kept, whatever the number of faults; none without.
 */
#include <stdlib.h>

#include "gc/checking.h"
#include "gc/search.h"

struct hurting {
	struct pl_checking *c;
	struct pl_map objects, nodes; /* id -> number of the first finding that is about it */
	struct pl_map placed;	      /* tree -> 1: findings are about placings of it */
	/* The generations of the tree that is gone through. */
	const struct pl_checked_generation *generations;
	size_t n_generations;
};

/* `ref`: only of that one; "": of all. */
static int hurt(struct hurting *h, size_t finding, const char *ref, const char *path,
		struct pleach_error *error)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < h->n_generations; i++) {
		const char *name = h->c->refs[h->generations[i].ref].name;

		if (*ref == '\0' || strcmp(name, ref) == 0)
			r = pl_findings_add_hurt(h->c->findings, finding, name,
						 h->generations[i].generation, path);
	}
	return r < 0 ? pl_fail_memory(error) : 0;
}

static int saw(void *self, const struct pl_sighting *sighting, struct pleach_error *error)
{
	struct hurting *h = self;
	const struct pl_map *map = sighting->what == PL_SAW_OBJECT ? &h->objects : &h->nodes;
	const uint64_t *finding = pl_map_get(map, sighting->id);

	pl_assert(finding);
	return hurt(h, (size_t)*finding, "", sighting->path, error);
}

/* What is about an id is looked for; what is about a ref is told now. */
static int sort_finding(struct hurting *h, size_t i, struct pleach_error *error)
{
	const struct pl_finding *f = &h->c->findings->items[i];
	struct pl_map *map = NULL;
	uint64_t value = i;

	switch (f->subject.what) {
	case PL_SUBJECT_OBJECT:
		map = &h->objects;
		break;
	case PL_SUBJECT_NODE:
		map = &h->nodes;
		break;
	case PL_SUBJECT_ATTACHED:
		if (f->subject.in_tree == 0)
			break;
		/* fallthrough */
	case PL_SUBJECT_PLACED:
		map = &h->placed;
		value = 1;
		break;
	default:
		break;
	}
	if (map && map != &h->placed && pl_map_get(map, &f->subject.id))
		return 0; /* the first one tells */
	if (map)
		return pl_map_put(map, &f->subject.id, value) < 0 ? pl_fail_memory(error) : 0;
	if (f->ref[0] == '\0' || f->generation == 0)
		return 0;
	return pl_findings_add_hurt(h->c->findings, i, f->ref, f->generation, "") < 0
		       ? pl_fail_memory(error)
		       : 0;
}

static int hurt_placed(struct hurting *h, const struct pl_id *tree, struct pleach_error *error)
{
	const struct pl_findings *findings = h->c->findings;
	int r = 0;

	if (!pl_map_get(&h->placed, tree))
		return 0;
	for (size_t i = 0; r >= 0 && i < findings->n; i++) {
		const struct pl_finding *f = &findings->items[i];

		if (f->is_fault &&
		    (f->subject.what == PL_SUBJECT_PLACED ||
		     f->subject.what == PL_SUBJECT_ATTACHED) &&
		    pl_id_equal(&f->subject.id, tree))
			r = hurt(h, i, f->ref,
				 f->subject.in_tree ? f->path + f->subject.in_tree : "", error);
	}
	return r;
}

static int by_tree(const void *a, const void *b)
{
	const struct pl_checked_generation *x = a, *y = b;

	return pl_id_compare(&x->tree, &y->tree);
}

static int search_all(struct hurting *h, struct pl_search *search, struct pleach_error *error)
{
	struct pl_checking *c = h->c;
	int r = 0;

	if (c->n_generations > 1)
		qsort(c->generations, c->n_generations, sizeof(*c->generations), by_tree);
	for (size_t i = 0, n; r >= 0 && i < c->n_generations; i += n) {
		for (n = 1; i + n < c->n_generations &&
			    by_tree(&c->generations[i], &c->generations[i + n]) == 0;)
			n++;
		h->generations = &c->generations[i];
		h->n_generations = n;
		r = pl_search_tree(search, &c->generations[i].tree, error);
		if (r >= 0)
			r = hurt_placed(h, &c->generations[i].tree, error);
		if (r >= 0)
			r = pl_store_check_cancel(c->store, error);
	}
	return r;
}

int pl_checking_hurts(struct pl_checking *c, struct pleach_error *error)
{
	struct hurting h = {.c = c};
	struct pl_search search = {.nodes = c->nodes,
				   .seed = c->store->seed,
				   .objects = &h.objects,
				   .wanted_nodes = &h.nodes,
				   .saw = saw,
				   .self = &h};
	int r = 0;

	if (c->findings->faults == 0) /* H1 */
		return 0;
	pl_map_init(&h.objects, sizeof(struct pl_id), c->store->seed);
	pl_map_init(&h.nodes, sizeof(struct pl_id), c->store->seed);
	pl_map_init(&h.placed, sizeof(struct pl_id), c->store->seed);
	pl_search_begin(&search);
	for (size_t i = 0; r >= 0 && i < c->findings->n; i++)
		if (c->findings->items[i].is_fault)
			r = sort_finding(&h, i, error);
	if (r >= 0 && h.objects.n + h.nodes.n + h.placed.n > 0)
		r = search_all(&h, &search, error);
	if (r >= 0)
		pl_findings_sort_hurts(c->findings);
	pl_search_done(&search);
	pl_map_done(&h.objects);
	pl_map_done(&h.nodes);
	pl_map_done(&h.placed);
	return r;
}
