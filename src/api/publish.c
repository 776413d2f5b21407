/*
 * What makes generations: pleach_publish() and pleach_rollback().
 */
#include "api/inner.h"
#include "tx/tx.h"

int pleach_publish(struct pleach_store *store, const char *ref, const struct pleach_source *sources,
		   size_t n_sources, const struct pleach_publish_options *options,
		   struct pleach_publish_result *ret_result, struct pleach_error *error)
{
	struct pleach_publish_options o = PLEACH_PUBLISH_OPTIONS_INIT;
	struct pleach_publish_result result = PLEACH_PUBLISH_RESULT_INIT;
	int r;

	pl_assert(store && ref && (sources || n_sources == 0));
	PL_OPTIONS(o, options);
	r = pl_publish_run(store->inner, ref, sources, n_sources, &o, &result, error);
	if (r >= 0)
		PL_GIVE(ret_result, result);
	return r;
}

int pleach_rollback(struct pleach_store *store, const char *ref, const char *rev,
		    const struct pleach_publish_options *options,
		    struct pleach_publish_result *ret_result, struct pleach_error *error)
{
	struct pleach_publish_options o = PLEACH_PUBLISH_OPTIONS_INIT;
	struct pleach_publish_result result = PLEACH_PUBLISH_RESULT_INIT;
	int r;

	pl_assert(store && ref);
	PL_OPTIONS(o, options);
	r = pl_rollback_run(store->inner, ref, rev, &o, &result, error);
	if (r >= 0)
		PL_GIVE(ret_result, result);
	return r;
}
