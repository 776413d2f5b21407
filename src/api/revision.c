/*
 * pleach_resolve(): what a revision names.
 */
#include "api/inner.h"

int pleach_resolve(struct pleach_store *store, const char *spec,
		   struct pleach_revision *ret_revision, struct pleach_error *error)
{
	struct pleach_revision revision = PLEACH_REVISION_INIT;
	struct pl_rev rev;
	int r;

	pl_assert(store && spec);
	r = pl_rev_resolve(store->inner, spec, NULL, &rev, error);
	if (r < 0)
		return r;
	if (rev.has_ref)
		memcpy(revision.ref, rev.ref.name, sizeof(revision.ref));
	revision.generation = rev.generation;
	pl_id_hex(&rev.tree, revision.tree);
	revision.path = rev.path;
	revision.is_head = rev.has_ref && rev.generation == rev.head;
	pl_rev_done(&rev);
	PL_GIVE(ret_revision, revision);
	return 0;
}
