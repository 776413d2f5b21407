/*
 * The head of a ref with its tree pinned: what a publish takes unchanged things from, what a transaction begins with,
 * and what it is merged with.
 */
#include "tx/tx.h"

int pl_head_pin(struct pl_ref *ref, struct pl_txdir *tx, uint64_t *ret_head, struct pl_id *ret_tree,
		struct pl_pin *ret_pin, struct pleach_error *error)
{
	struct pl_record record;
	int r = pl_ref_settle(ref, tx, ret_head, error);

	if (r < 0 || *ret_head == 0)
		return r < 0 ? r : PL_PIN_TAKEN;
	r = pl_generation_read(ref, *ret_head, &record, error);
	if (r < 0)
		return r;
	*ret_tree = record.tree;
	pl_record_done(&record);
	return pl_pin_wait(ref->store, ret_tree, ret_pin, error);
}
