/*
 * pleach_gc(): collecting what nobody needs.
 */
#include "gc/gc.h"
#include "api/inner.h"

struct collection {
	struct pl_store *store;
	const struct pleach_gc_options *options;
	struct pleach_gc_result result;
};

static int collect(void *self, struct pleach_error *error)
{
	struct collection *c = self;
	struct pl_txdir tx;
	unsigned n;
	int r;

	pl_txdir_recover(c->store, NULL, &n, NULL); /* it makes room */
	r = pl_txdir_begin(c->store, "gc", &tx, error);
	if (r < 0)
		return r;
	c->result = (struct pleach_gc_result)PLEACH_GC_RESULT_INIT;
	r = pl_gc_run(&tx, c->options, &c->result, error);
	pl_txdir_end(&tx);
	return r;
}

int pleach_gc(struct pleach_store *store, const struct pleach_gc_options *options,
	      struct pleach_gc_result *ret_result, struct pleach_error *error)
{
	struct pleach_gc_options o = PLEACH_GC_OPTIONS_INIT;
	struct collection c = {.store = store->inner, .options = &o};
	int r;

	pl_assert(store);
	PL_OPTIONS(o, options);
	r = pl_store_must_write(store->inner, error);
	if (r >= 0)
		r = pl_store_with_reserve(store->inner, collect, &c, error);
	if (r >= 0)
		PL_GIVE(ret_result, c.result);
	return r < 0 ? r : 0;
}
