/*
 * What makes generations: pleach_publish() and pleach_rollback().
 */
#include "api/inner.h"
#include "tx/tx.h"

struct publishing {
	struct pl_store *store;
	const char *ref, *rev;
	const struct pleach_source *sources;
	size_t n_sources;
	struct pleach_publish_options options;
	struct pleach_publish_result result;
};

static int publish(void *self, struct pleach_error *error)
{
	struct publishing *p = self;

	p->result = (struct pleach_publish_result)PLEACH_PUBLISH_RESULT_INIT;
	return pl_publish_run(p->store, p->ref, p->sources, p->n_sources, &p->options, &p->result,
			      error);
}

static int rollback(void *self, struct pleach_error *error)
{
	struct publishing *p = self;

	p->result = (struct pleach_publish_result)PLEACH_PUBLISH_RESULT_INIT;
	return pl_rollback_run(p->store, p->ref, p->rev, &p->options, &p->result, error);
}

/* What is only asked about makes no room. */
static int run(struct publishing *p, int (*work)(void *self, struct pleach_error *error),
	       const struct pleach_publish_options *options,
	       struct pleach_publish_result *ret_result, struct pleach_error *error)
{
	int r;

	p->options = (struct pleach_publish_options)PLEACH_PUBLISH_OPTIONS_INIT;
	PL_OPTIONS(p->options, options);
	r = p->options.dry_run ? work(p, error) : pl_with_room(p->store, work, p, error);
	if (r >= 0)
		PL_GIVE(ret_result, p->result);
	return r;
}

int pleach_publish(struct pleach_store *store, const char *ref, const struct pleach_source *sources,
		   size_t n_sources, const struct pleach_publish_options *options,
		   struct pleach_publish_result *ret_result, struct pleach_error *error)
{
	struct publishing p = {.ref = ref, .sources = sources, .n_sources = n_sources};

	pl_assert(store && ref && (sources || n_sources == 0));
	p.store = store->inner;
	return run(&p, publish, options, ret_result, error);
}

int pleach_rollback(struct pleach_store *store, const char *ref, const char *rev,
		    const struct pleach_publish_options *options,
		    struct pleach_publish_result *ret_result, struct pleach_error *error)
{
	struct publishing p = {.ref = ref, .rev = rev};

	pl_assert(store && ref);
	p.store = store->inner;
	return run(&p, rollback, options, ret_result, error);
}
