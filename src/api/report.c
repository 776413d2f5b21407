/*
 * pleach_report_*(): the findings of a check, or of a checkout, one after the other.
 */
#include <stdio.h>
#include <stdlib.h>

#include "api/inner.h"

struct pleach_report {
	struct pl_findings findings;
	size_t at;
	char more[80], id[PL_ID_HEX + 1];
	struct pleach_hurt *hurts; /* of the one that was given last */
	size_t hurts_capacity;
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
	f.ref = f.id = "";
	f.is_fault = report->findings.faults > 0;
	PL_GIVE(finding, f);
	return 1;
}

static bool has_id(const struct pl_finding *item)
{
	switch (item->subject.what) {
	case PL_SUBJECT_OBJECT:
	case PL_SUBJECT_NODE:
	case PL_SUBJECT_PLACED:
	case PL_SUBJECT_FILTER:
	case PL_SUBJECT_TREE:
	case PL_SUBJECT_USER:
	case PL_SUBJECT_PUBLIC:
		return true;
	default:
		return false;
	}
}

static int give_hurts(struct pleach_report *report, const struct pl_finding *item,
		      struct pleach_finding *finding)
{
	for (size_t i = 0; i < item->n_hurts; i++) {
		const struct pl_hurt *hurt = &report->findings.hurts[item->first_hurt + i];

		if (PL_ARRAY_GROW(report->hurts, report->hurts_capacity, i) < 0)
			return -ENOMEM;
		report->hurts[i] = (struct pleach_hurt){
			.ref = hurt->ref, .path = hurt->path, .generation = hurt->generation};
	}
	finding->hurts = report->hurts;
	finding->n_hurts = item->n_hurts;
	finding->hurts_left_out = item->hurts_left_out;
	return 0;
}

int pleach_report_next(struct pleach_report *report, struct pleach_finding *finding,
		       struct pleach_error *error)
{
	struct pleach_finding f = PLEACH_FINDING_INIT;
	const struct pl_finding *item;

	pl_assert(report && finding);
	if (report->at >= report->findings.n)
		return give_rest(report, finding);
	item = &report->findings.items[report->at++];
	f.kind = item->kind;
	f.path = item->path;
	f.message = item->message;
	f.ref = item->ref;
	f.generation = item->generation;
	f.is_fault = item->is_fault;
	f.is_mended = item->is_mended;
	f.id = has_id(item) ? pl_id_hex(&item->subject.id, report->id) : "";
	if (give_hurts(report, item, &f) < 0)
		return pl_fail_memory(error);
	PL_GIVE(finding, f);
	return 1;
}

void pleach_report_close(struct pleach_report *report)
{
	if (!report)
		return;
	pl_findings_done(&report->findings);
	free(report->hurts);
	free(report);
}
