/*
 * Attaching and detaching by a directory of its own or by a mount (tx/attached.h): the record, and what it
 * stands for, brought to the path and away again.
 *
 *      nothing --user, durable--> --record--> --show--> attached
 *      attached --record away (from here on it goes)--> --take, clean--> nothing
 *
 * B1  Killed behind the record, whoever settles the ref brings it to the path; killed behind its removal,
 *     takes it away.
 * B2  A path that is attached by another mode or to another ref is detached first: no step between two
 *     kinds of thing could be undone.
 */
#include <stdlib.h>

#include "api/attach_at.h"
#include "tx/attached.h"

#define TRIES 16

struct attaching_at {
	struct pl_txdir *tx;
	const struct pl_spot *spot;
	struct pl_rev *rev;
	bool is_fixed;
	struct pl_at at;
	struct pl_pin pin;
	struct pl_attachment record, old; /* old.path NULL: there was none */
	bool is_equal;
};

static int fail_dropped(const struct pl_rev *rev, struct pleach_error *error)
{
	return pl_fail_not_found(error, "generation %llu of '%s' was dropped",
				 (unsigned long long)rev->generation, rev->ref.name);
}

static int fill_in(struct attaching_at *a, const char *mode, struct pleach_error *error)
{
	struct pl_attachment *record = &a->record;

	memcpy(record->ref_id, a->rev->ref.id, sizeof(record->ref_id));
	memcpy(record->mode, mode, strlen(mode) + 1);
	record->generation = a->is_fixed ? a->rev->generation : 0;
	record->tree = a->rev->tree;
	record->path = strdup(a->spot->path);
	record->target = strdup("");
	return record->path && record->target ? 0 : pl_fail_memory(error);
}

/* ---- under the ref lock ---- */

/* The head may have moved since the tree was made ready: 1, and the tree is that of the new one. */
static int follow_head(struct attaching_at *a, struct pleach_error *error)
{
	struct pl_rev *rev = a->rev;
	struct pl_record record;
	uint64_t head;
	int r = a->is_fixed ? pl_generation_is_dropped(&rev->ref, rev->generation) : 0;

	if (r > 0)
		return fail_dropped(rev, error);
	if (r < 0)
		return pl_fail_sys(error, r, "cannot look at ref '%s'", rev->ref.name);
	r = pl_ref_settle(&rev->ref, a->tx, &head, error);
	if (r < 0 || a->is_fixed || head == rev->generation)
		return r;
	r = pl_generation_read(&rev->ref, head, &record, error);
	if (r < 0)
		return r;
	rev->generation = head;
	rev->tree = a->record.tree = record.tree;
	pl_record_done(&record);
	return 1;
}

static int write_record(struct attaching_at *a, struct pleach_error *error)
{
	int r = pl_attachment_read(&a->rev->ref, a->spot->path, &a->old, error);

	if (r < 0 && r != -ENOENT)
		return r;
	if (r == -ENOENT)
		a->old.path = NULL;
	a->is_equal = a->old.path && a->old.generation == a->record.generation &&
		      strcmp(a->old.mode, a->record.mode) == 0;
	if (a->is_equal)
		return 0;
	if (a->at.mode->look(&a->at, &a->pin.tree) == PL_AT_STRANGE)
		return pl_spot_fail_foreign(a->spot, error);
	return pl_attachment_write(&a->rev->ref, a->tx, &a->record, error);
}

/* Nothing was brought to the path: the record says again what it said. */
static void take_back(struct attaching_at *a)
{
	if (a->is_equal)
		return;
	if (a->old.path)
		(void)pl_attachment_write(&a->rev->ref, a->tx, &a->old, NULL);
	else if (pl_attachment_remove(&a->rev->ref, a->spot->path, NULL) == 0)
		(void)pl_at_forget(&a->at, NULL);
}

/* 0; 1: it was so already; 2: again, the head has moved or it is not ready. */
static int attach_locked(struct attaching_at *a, struct pleach_error *error)
{
	bool was_shown;
	int r = follow_head(a, error);

	if (r != 0)
		return r < 0 ? r : 2;
	was_shown = a->at.mode->look(&a->at, &a->pin.tree) == PL_AT_OK;
	r = write_record(a, error);
	if (r < 0)
		return r;
	r = a->at.mode->show(&a->at, a->tx, a->rev->generation, &a->pin, error);
	if (r == PL_AT_SHOWN)
		return a->is_equal && was_shown;
	take_back(a);
	if (r == PL_AT_FOREIGN)
		return pl_spot_fail_foreign(a->spot, error);
	if (r == PL_AT_HELD) {
		pl_fail(error, PLEACH_BUSY, -EBUSY,
			"cannot replace '%s': a transaction on '%s' is open", a->spot->path,
			a->rev->ref.name);
		pl_hint(error, "pleach status lists those that are open");
		return -EBUSY;
	}
	return r < 0 ? r : 2;
}

/* ---- the whole ---- */

/* One turn: the tree placed and pinned, laid out, and then all of it under the lock. */
static int attach_once(struct attaching_at *a, struct pleach_error *error)
{
	int r = pl_ensure_placed(a->tx->store, &a->rev->tree, &a->rev->ref, false, &a->pin, error);

	if (r >= 0)
		r = pl_at_open(&a->at, &a->rev->ref, a->record.mode, a->spot->path, error);
	if (r >= 0 && !pl_showing_find(&a->at.showing, PL_SHOWN_NOW)) {
		if (a->at.mode->look(&a->at, &a->pin.tree) == PL_AT_STRANGE)
			r = pl_spot_fail_foreign(a->spot, error);
		else
			r = a->at.mode->can(&a->at, a->tx, error);
	}
	if (r >= 0)
		r = pl_at_add_user(&a->at, a->tx, &a->pin, error); /* N3 */
	if (r >= 0)
		r = a->at.mode->prepare(&a->at, a->tx, &a->pin, error);
	if (r >= 0)
		r = pl_ref_lock(&a->rev->ref, -1, error);
	if (r >= 0) {
		r = attach_locked(a, error);
		pl_ref_unlock(&a->rev->ref);
	}
	pl_attachment_done(&a->old);
	if (a->at.mode)
		pl_at_close(&a->at);
	a->at = (struct pl_at)PL_AT_NONE;
	pl_pin_done(&a->pin);
	return r;
}

int pl_attach_at(struct pl_txdir *tx, const struct pl_spot *spot, struct pl_rev *rev, bool is_fixed,
		 const char *mode, struct pleach_error *error)
{
	struct attaching_at a = {.tx = tx,
				 .spot = spot,
				 .rev = rev,
				 .is_fixed = is_fixed,
				 .at = PL_AT_NONE,
				 .pin = PL_PIN_NONE};
	int r = pl_attached_settle(&rev->ref, tx, NULL); /* what a killed command has left */

	(void)r;
	r = fill_in(&a, mode, error);
	if (r >= 0)
		r = 2;
	for (unsigned i = 0; i < TRIES && r == 2; i++)
		r = attach_once(&a, error);
	if (r == 2)
		r = pl_fail(error, PLEACH_BUSY, -EBUSY, "'%s' is published again and again",
			    rev->ref.name);
	if (r >= 0)
		(void)pl_attached_settle(&rev->ref, tx, NULL); /* what was shown before */
	pl_attachment_done(&a.record);
	return r;
}

/* ---- detaching ---- */

/* The directory that it lay in is gone, and all that was there. */
static int forget(struct pl_ref *ref, const char *path, struct pleach_error *error)
{
	int r = pl_attachment_remove(ref, path, error);

	return r < 0 ? r : pl_showing_forget(ref, path, error);
}

static int detach_in(struct pl_txdir *tx, struct pl_ref *ref, const struct pl_attachment *record,
		     struct pleach_error *error)
{
	struct pl_at at = PL_AT_NONE;
	int is_left = 0, r = pl_ref_lock(ref, -1, error);

	if (r < 0)
		return r;
	r = pl_at_open(&at, ref, record->mode, record->path, error);
	if (r == -ENOENT || r == -ENOTDIR) {
		pl_error_clear(error);
		r = forget(ref, record->path, error);
	} else if (r >= 0) {
		r = pl_attachment_remove(ref, record->path, error); /* B1 */
		if (r >= 0)
			r = is_left = at.mode->take(&at, tx, error);
	}
	pl_ref_unlock(ref);
	if (r >= 0 && at.mode)
		r = at.mode->clean(&at, tx, error);
	if (at.mode)
		pl_at_close(&at);
	if (r == -ENOENT) { /* another was faster */
		pl_error_clear(error);
		r = 0;
	}
	return r < 0 ? r : is_left;
}

int pl_detach_at(struct pl_ref *ref, const struct pl_attachment *record, struct pleach_error *error)
{
	struct pl_txdir tx;
	int r = pl_txdir_begin(ref->store, "detach", &tx, error);

	if (r < 0)
		return r;
	r = detach_in(&tx, ref, record, error);
	pl_txdir_end(&tx);
	return r;
}
