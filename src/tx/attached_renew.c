/*
 * One attachment that a repair makes anew: what it shows is damaged, or of a placing that is.
 *
 * W1  What is replaced is set aside: a directory stays beside the path, and is forgotten, so that nobody erases
 *     it; of a mount it is the placing, which is the repair's (gc/repair_placed.c).
 */
#include "tx/attached.h"

static int show(struct pl_at *at, struct pl_txdir *tx, uint64_t n, const struct pl_pin *pin,
		struct pleach_error *error)
{
	bool was_locked = pl_ref_is_locked(at->ref);
	int r = at->mode->prepare(at, tx, pin, error);

	if (r >= 0 && !was_locked)
		r = pl_ref_lock(at->ref, -1, error);
	if (r < 0)
		return r;
	r = at->mode->show(at, tx, n, pin, error);
	if (!was_locked)
		pl_ref_unlock(at->ref);
	return r;
}

int pl_attached_renew(struct pl_ref *ref, struct pl_txdir *tx, const struct pl_attachment *record,
		      uint64_t n, const struct pl_pin *pin, bool is_damaged,
		      struct pleach_error *error)
{
	struct pl_at at = PL_AT_NONE;
	int r = pl_at_open(&at, ref, record->mode, record->path, error);

	pl_assert(pin->k > 0 && n > 0);
	if (r < 0)
		return r;
	at.is_renewed = is_damaged;
	if (!is_damaged && at.mode->look(&at, &pin->tree) == PL_AT_OK)
		r = PL_AT_SHOWN;
	else
		r = show(&at, tx, n, pin, error);
	pl_at_close(&at);
	return r;
}
