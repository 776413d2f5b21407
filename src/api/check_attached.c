/*
 * What a repair does with attachments: their symlinks, directories and mounts lead to the placing that is laid out
 * anew, or are made anew themselves.
 *
 *	symlink, follows the head     leads to the public path, which the repair has moved
 *	symlink, of a generation      record and symlink say the new placing (attach.c, A1)
 *	exchange                      a directory of its own: replaced if it is damaged, or missing
 *	mount                         of a placing: replaced if that is
 */
#include <stdio.h>
#include <stdlib.h>

#include "api/spot.h"
#include "gc/gc.h"
#include "tx/attached.h"

/* The reason why one cannot be moved or made anew, if there is one in the way of an enum pl_at_result. */
static int answer(int r, const char *path, struct pleach_error *error)
{
	switch (r) {
	case PL_AT_SHOWN:
		return 0;
	case PL_AT_FOREIGN:
		pl_fail(error, PLEACH_FAILED, -EEXIST, "what is at '%s' is not ours; move it away",
			path);
		return 1;
	case PL_AT_HELD:
		pl_fail(error, PLEACH_BUSY, -EBUSY,
			"a transaction is open, whose workspace lies over '%s'", path);
		return 1;
	case PL_AT_LATER:
		pl_fail(error, PLEACH_BUSY, -EBUSY, "'%s' is being changed by others", path);
		return 1;
	default:
		/* Memory and interruptions end the repair; else it is this path's trouble alone. */
		return r == -ENOMEM || r == -EINTR ? r : 1;
	}
}

/* ---- symlinks ---- */

static bool leads_to(const struct pl_attachment *record, const struct pl_id *tree, unsigned k)
{
	char end[PL_ID_HEX + 48], hex[PL_ID_HEX + 1];
	size_t length = strlen(record->target);
	size_t n = (size_t)snprintf(end, sizeof(end), "/.pleach/trees/%s/%u/tree",
				    pl_id_hex(tree, hex), k);

	return length > n && strcmp(record->target + length - n, end) == 0;
}

/* Under the ref lock. The record is durable before its symlink says the same. */
static int move_symlink(struct pl_txdir *tx, struct pl_ref *ref, const struct pl_attachment *record,
			const struct pl_pin *pin, struct pleach_error *error)
{
	struct pl_spot spot = {.parent_fd = -EBADF};
	struct pl_attachment moved = *record;
	char hex[PL_ID_HEX + 1];
	PL_BUFFER target = {0};
	int r;

	pl_buffer_add_format(&target, "%s/.pleach/trees/%s/%u/tree", tx->store->path,
			     pl_id_hex(&pin->tree, hex), pin->k);
	moved.target = (char *)pl_buffer_string(&target);
	if (!moved.target)
		return pl_fail_memory(error);
	r = pl_spot_find(record->path, &spot, error);
	if (r == -ENOENT || r == -ENOTDIR) { /* its directory is gone: there is nothing to move */
		pl_error_clear(error);
		return pl_attachment_write(ref, tx, &moved, error);
	}
	if (r >= 0)
		r = pl_attachment_write(ref, tx, &moved, error);
	if (r >= 0)
		r = pl_spot_make_symlink(tx->store, &spot, moved.target, record->target, error);
	pl_spot_done(&spot);
	if (r == -EEXIST) { /* not ours any more, so it shows nothing of ours */
		pl_error_clear(error);
		r = 0;
	}
	return r == 1 ? 0 : r < 0 ? answer(r, record->path, error) : 0;
}

/* ---- mounts ---- */

static bool is_mounted_of(struct pl_ref *ref, const struct pl_attachment *record,
			  const struct pl_id *tree, unsigned k)
{
	struct pl_showing showing;
	bool is_its = false;

	if (strcmp(record->mode, "mount") != 0 ||
	    pl_showing_read(ref, record->path, &showing, NULL) < 0)
		return false;
	for (size_t i = 0; i < showing.n; i++)
		is_its |= showing.items[i].k == k && pl_id_equal(&showing.items[i].tree, tree);
	pl_showing_done(&showing);
	return is_its;
}

static int number_of(struct pl_ref *ref, const struct pl_attachment *record, uint64_t *ret_n,
		     struct pleach_error *error)
{
	*ret_n = record->generation;
	return record->generation > 0 ? 0 : pl_head_number(ref, ret_n, error);
}

static int move_one(struct pl_txdir *tx, struct pl_ref *ref, const struct pl_attachment *record,
		    unsigned k, const struct pl_pin *pin, struct pleach_error *error)
{
	uint64_t n;
	int r;

	if (strcmp(record->mode, "symlink") == 0)
		return leads_to(record, &pin->tree, k) ? move_symlink(tx, ref, record, pin, error)
						       : 0;
	if (!is_mounted_of(ref, record, &pin->tree, k))
		return 0;
	r = number_of(ref, record, &n, error);
	if (r >= 0)
		r = pl_attached_renew(ref, tx, record, n, pin, true, error);
	return answer(r, record->path, error);
}

static int move_attached(void *self, struct pl_txdir *tx, struct pl_ref *ref, unsigned k,
			 const struct pl_pin *pin, struct pleach_error *error)
{
	struct pl_attachment *records = NULL;
	size_t n = 0;
	int r = pl_attachment_list(ref, &records, &n, error);

	(void)self;
	if (r < 0) /* one that is damaged: it is told, and may lead there */
		return r == -ENOMEM ? r : 1;
	for (size_t i = 0; r == 0 && i < n; i++)
		r = move_one(tx, ref, &records[i], k, pin, error);
	pl_attachments_free(records, n);
	return r;
}

static int renew_attached(void *self, struct pl_txdir *tx, struct pl_ref *ref,
			  const struct pl_attachment *record, bool is_damaged,
			  const struct pl_pin *pin, struct pleach_error *error)
{
	uint64_t n;
	int r = number_of(ref, record, &n, error);

	(void)self;
	if (r >= 0)
		r = pl_attached_renew(ref, tx, record, n, pin, is_damaged, error);
	return answer(r, record->path, error);
}

void pl_repair_attached(struct pl_repair *repair)
{
	repair->move_attached = move_attached;
	repair->renew_attached = renew_attached;
}
