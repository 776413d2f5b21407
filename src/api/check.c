/*
 * pleach_check(): is everything in the store what it should be? And mending what is not.
 */
#include "api/inner.h"
#include "gc/gc.h"

int pleach_check(struct pleach_store *store, const struct pleach_check_options *options,
		 struct pleach_check_counts *ret_counts, struct pleach_report **ret_report,
		 struct pleach_error *error)
{
	struct pleach_check_options o = PLEACH_CHECK_OPTIONS_INIT;
	struct pleach_check_counts counts = PLEACH_CHECK_COUNTS_INIT;
	struct pl_findings findings = {0};
	struct pl_repair repair = {0};
	int r, r_report = 0;

	pl_assert(store);
	PL_OPTIONS(o, options);
	if (o.from && !o.repair)
		return pl_fail_usage(error, "there is nothing to take from '%s' without a repair",
				     o.from);
	repair.check.store = store->inner;
	r = pl_store_must_read(store->inner, error);
	if (r < 0)
		return r;
	repair.check.quick = o.quick != 0;
	repair.check.jobs = o.jobs;
	repair.check.refs = o.refs && o.refs[0] ? o.refs : NULL;
	repair.from = o.from;
	pl_repair_attached(&repair);
	r = o.repair ? pl_repair_run(&repair, &counts, &findings, error)
		     : pl_check_run(&repair.check, &counts, &findings, error);
	/* A failure without a finding is one of the check, not of the store. */
	if ((r >= 0 || findings.faults > 0) && ret_report)
		r_report = pl_report_new(&findings, ret_report, error);
	pl_findings_done(&findings);
	if (r_report < 0)
		return r_report;
	if (r >= 0 || r == -EBADMSG)
		PL_GIVE(ret_counts, counts);
	return r;
}
