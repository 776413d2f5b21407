/*
 * pleach_gc(): collecting what nobody needs.
 */
#include "gc/gc.h"
#include "api/inner.h"

int pleach_gc(struct pleach_store *store, const struct pleach_gc_options *options,
	      struct pleach_gc_result *ret_result, struct pleach_error *error)
{
	struct pleach_gc_options o = PLEACH_GC_OPTIONS_INIT;
	struct pleach_gc_result result = PLEACH_GC_RESULT_INIT;
	struct pl_txdir tx;
	unsigned n;
	int r;

	pl_assert(store);
	PL_OPTIONS(o, options);
	r = pl_store_must_write(store->inner, error);
	if (r < 0)
		return r;
	r = pl_txdir_begin(store->inner, "gc", &tx, error);
	if (r < 0)
		return r;
	pl_txdir_recover(store->inner, &tx, &n, NULL);
	r = pl_gc_run(&tx, &o, &result, error);
	pl_txdir_end(&tx);
	if (r >= 0)
		PL_GIVE(ret_result, result);
	return r < 0 ? r : 0;
}
