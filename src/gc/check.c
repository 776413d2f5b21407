/*
 * Checking a store: the whole, in order, and its answer. Refs come first, since trees need to know
 * their settings; then objects, so that placed trees need not read their inodes again; then nodes,
 * then trees, and what shows them elsewhere last. Everything else is said in checking.h.
 *
 * The store's config was verified when it was opened.
 */
#include <stdlib.h>

#include "gc/checking.h"

int pl_checking_run(struct pl_checking *c, struct pleach_error *error)
{
	int r = pl_store_must_read(c->store, error);

	if (r >= 0)
		r = pl_check_refs(c, error);
	if (r >= 0 && !c->check->refs)
		r = pl_check_objects(c, error);
	if (r >= 0 && !c->check->refs)
		r = pl_check_nodes(c, error);
	if (r >= 0)
		r = pl_check_trees(c, error);
	if (r >= 0 && !c->check->refs)
		r = pl_check_unfinished(c, error);
	if (r >= 0)
		r = pl_check_shown(c, error);
	if (r >= 0)
		r = pl_checking_hurts(c, error);
	pl_assert(r != -EBADMSG); /* that is a finding */
	return r;
}

void pl_checking_begin(struct pl_checking *c, const struct pl_check *check,
		       struct pl_findings *findings)
{
	uint64_t seed = check->store->seed;

	*c = (struct pl_checking){.check = check, .store = check->store, .findings = findings};
	pl_node_memory_forget(&c->store->memory);
	c->nodes = pl_store_nodes(c->store);
	pl_map_init(&c->objects, sizeof(struct pl_id), seed);
	pl_map_init(&c->copies, sizeof(struct pl_copy_key), seed);
	pl_map_init(&c->known, sizeof(struct pl_id), seed);
	pl_map_init(&c->is_wanted, sizeof(struct pl_id), seed);
}

void pl_checking_end(struct pl_checking *c)
{
	pl_map_done(&c->objects);
	pl_map_done(&c->copies);
	pl_map_done(&c->known);
	pl_map_done(&c->is_wanted);
	free(c->refs);
	free(c->wanted);
	free(c->generations);
}

int pl_check_answer(const struct pl_findings *findings, struct pleach_error *error)
{
	if (findings->faults > 0)
		return pl_fail_corrupt(error, "%llu fault%s found",
				       (unsigned long long)findings->faults,
				       findings->faults == 1 ? "" : "s");
	return findings->unverified > 0 ? PLEACH_PARTIAL : 0;
}

int pl_check_run(const struct pl_check *check, struct pleach_check_counts *ret_counts,
		 struct pl_findings *ret_findings, struct pleach_error *error)
{
	struct pl_findings findings = {0};
	struct pl_checking c;
	int r;

	pl_checking_begin(&c, check, &findings);
	r = pl_checking_run(&c, error);
	pl_checking_end(&c);
	if (r < 0) {
		pl_findings_done(&findings);
		return r;
	}
	c.counts.size = ret_counts->size;
	c.counts.faults = findings.faults;
	c.counts.unverified = findings.unverified;
	*ret_counts = c.counts;
	*ret_findings = findings;
	return pl_check_answer(&findings, error);
}
