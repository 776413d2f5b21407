/*
 * pleach_drop(): deleting a generation, or a ref with its history.
 */
#include <stdio.h>

#include "api/inner.h"
#include "gc/gc.h"
#include "tx/attached.h"

static int fail_form(const char *rev, struct pleach_error *error)
{
	pl_fail_usage(error, "'%s' is nothing that can be dropped", rev);
	pl_hint(error, "drop REF@N or REF@TAG drops a generation, drop REF all of a ref");
	return -EINVAL;
}

static int drop_one(struct pl_txdir *tx, const char *spec,
		    const struct pleach_drop_options *options, struct pleach_drop_result *result,
		    struct pleach_error *error)
{
	struct pl_rev rev;
	int r = pl_rev_resolve(tx->store, spec, NULL, &rev, error);

	if (r < 0)
		return r;
	r = pl_drop_generation(tx, &rev.ref, rev.generation, options, result, error);
	pl_rev_done(&rev);
	return r;
}

static int drop_all(struct pl_txdir *tx, const char *name,
		    const struct pleach_drop_options *options, struct pleach_drop_result *result,
		    struct pleach_error *error)
{
	struct pl_ref ref;
	int r = pl_ref_open(tx->store, name, &ref, error);

	if (r < 0)
		return r;
	/* What a detach that was killed has left outside: with the ref goes what knows of it. */
	if (!options->dry_run)
		(void)pl_attached_settle(&ref, tx, NULL);
	r = pl_drop_ref(tx, &ref, options, result, error);
	pl_ref_close(&ref);
	return r;
}

struct dropping {
	struct pl_store *store;
	const char *rev;
	const struct pleach_drop_options *options;
	struct pleach_drop_result result;
};

static int drop(void *self, struct pleach_error *error)
{
	struct dropping *d = self;
	char what[PLEACH_REF_MAX + 40];
	struct pl_txdir tx;
	unsigned n;
	int r;

	pl_txdir_recover(d->store, NULL, &n, NULL); /* it makes room */
	snprintf(what, sizeof(what), "drop %.120s", d->rev);
	r = pl_txdir_begin(d->store, what, &tx, error);
	if (r < 0)
		return r;
	d->result = (struct pleach_drop_result)PLEACH_DROP_RESULT_INIT;
	r = strchr(d->rev, '@') ? drop_one(&tx, d->rev, d->options, &d->result, error)
				: drop_all(&tx, d->rev, d->options, &d->result, error);
	pl_txdir_end(&tx);
	return r;
}

int pleach_drop(struct pleach_store *store, const char *rev,
		const struct pleach_drop_options *options, struct pleach_drop_result *ret_result,
		struct pleach_error *error)
{
	struct pleach_drop_options o = PLEACH_DROP_OPTIONS_INIT;
	struct dropping d = {.store = store->inner, .rev = rev, .options = &o};
	int r;

	pl_assert(store && rev);
	PL_OPTIONS(o, options);
	r = pl_store_must_write(store->inner, error);
	if (r < 0)
		return r;
	if (strchr(rev, ':') || rev[0] == '@')
		return fail_form(rev, error);
	r = pl_store_with_reserve(store->inner, drop, &d, error);
	if (r >= 0 && !o.dry_run)
		pl_growth_note(store->inner, &store->inner->settings, true, 0);
	if (r >= 0)
		PL_GIVE(ret_result, d.result);
	return r < 0 ? r : 0;
}
