/*
 * pleach_report_*(): the findings of a check, or of a checkout, one after the other.
 */
#include <stdio.h>
#include <stdlib.h>

#include "api/inner.h"

struct pleach_report {
	struct pl_findings findings;
	size_t at;
	char more[80];
};

int pl_report_new(struct pl_findings *findings_take, struct pleach_report **ret_report,
		  struct pleach_error *error)
{
	struct pleach_report *report = calloc(1, sizeof(*report));

	if (!report) {
		pl_findings_done(findings_take);
		return pl_fail_memory(error);
	}
	report->findings = *findings_take;
	*findings_take = (struct pl_findings){0};
	*ret_report = report;
	return 0;
}

/* What did not fit on the list is told in one line behind it. */
static int give_rest(struct pleach_report *report, struct pleach_finding *finding)
{
	struct pleach_finding f = PLEACH_FINDING_INIT;

	if (report->findings.left_out == 0 || report->at > report->findings.n)
		return 0;
	report->at++;
	snprintf(report->more, sizeof(report->more), "%llu more findings are not listed",
		 (unsigned long long)report->findings.left_out);
	f.kind = "more";
	f.path = ".";
	f.message = report->more;
	f.ref = "";
	f.is_fault = report->findings.faults > 0;
	PL_GIVE(finding, f);
	return 1;
}

int pleach_report_next(struct pleach_report *report, struct pleach_finding *finding,
		       struct pleach_error *error)
{
	struct pleach_finding f = PLEACH_FINDING_INIT;
	const struct pl_finding *item;

	pl_assert(report && finding);
	(void)error; /* all of it is here already */
	if (report->at >= report->findings.n)
		return give_rest(report, finding);
	item = &report->findings.items[report->at++];
	f.kind = item->kind;
	f.path = item->path;
	f.message = item->message;
	f.ref = item->ref;
	f.generation = item->generation;
	f.is_fault = item->is_fault;
	PL_GIVE(finding, f);
	return 1;
}

void pleach_report_close(struct pleach_report *report)
{
	if (!report)
		return;
	pl_findings_done(&report->findings);
	free(report);
}
