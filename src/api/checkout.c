/*
 * pleach_checkout(): an ordinary copy of a directory of a tree.
 */
#include "api/inner.h"

int pleach_checkout(struct pleach_store *store, const char *rev, const char *directory,
		    const struct pleach_checkout_options *options,
		    struct pleach_report **ret_report, struct pleach_error *error)
{
	struct pleach_checkout_options o = PLEACH_CHECKOUT_OPTIONS_INIT;
	struct pl_checkout checkout = {.directory = directory};
	struct pl_findings findings = {0};
	struct pl_target target;
	int r;

	pl_assert(store && rev && directory);
	PL_OPTIONS(o, options);
	checkout.store = store->inner;
	if (o.delete_others && !o.update)
		return pl_fail_usage(error, "only an update can delete what the revision has not");
	r = pl_target_open(store->inner, rev, &target, error);
	if (r < 0)
		return r;
	r = pl_target_must_be_directory(&target, rev, error);
	if (r < 0)
		pl_hint(error, "a file is written out by: pleach cat %s", rev);
	checkout.tree = target.found.directory;
	checkout.update = o.update != 0;
	checkout.delete_others = o.delete_others != 0;
	if (r >= 0)
		r = pl_checkout_run(&checkout, &findings, error);
	if (r >= 0 && target.rev.has_ref && target.rev.generation > 0)
		pl_use_note(&target.rev.ref, target.rev.generation);
	pl_target_close(&target);
	if (r >= 0 && ret_report) {
		int r_report = pl_report_new(&findings, ret_report, error);

		r = r_report < 0 ? r_report : r;
	}
	pl_findings_done(&findings);
	return r;
}
