/*
 * Attachments that do not show what they should, by whoever comes next: what a killed command left, what
 * somebody has removed, what a reboot has unmounted, what was kept for a grace that is over.
 *
 * T1  It costs two looks where a ref has no such attachments, and a few for each that is well.
 * T2  Only where the lock is free: its holder does it, or the next one.
 * T3  A showing without a record is what a detach has left: it is taken away (attach.c, the record goes
 *     first).
 */
#include <stdlib.h>

#include "tx/attached.h"

struct settling {
	struct pl_ref *ref;
	struct pl_txdir *tx; /* NULL: none needed yet */
	struct pl_txdir own;
	uint64_t head;
	struct pl_id head_tree;
	int n_bad;
};

static int need_tx(struct settling *s, struct pleach_error *error)
{
	int r;

	if (s->tx)
		return 0;
	r = pl_txdir_begin(s->ref->store, "recovery", &s->own, error);
	if (r >= 0)
		s->tx = &s->own;
	return r;
}

/* ---- one that is attached ---- */

/* Under the lock: what was prepared is still what it should show. */
static int is_current(const struct settling *s, const struct pl_attachment *record,
		      struct pleach_error *error)
{
	struct pl_attachment now;
	uint64_t head;
	bool is_same;
	int r = pl_attachment_read(s->ref, record->path, &now, error);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	is_same = now.generation == record->generation && strcmp(now.mode, record->mode) == 0;
	pl_attachment_done(&now);
	if (!is_same)
		return 0;
	if (record->generation > 0)
		return 1;
	r = pl_head_number(s->ref, &head, error);
	return r < 0 ? r : head == s->head;
}

static int show(struct settling *s, struct pl_at *at, const struct pl_attachment *record,
		const struct pl_pin *pin, struct pleach_error *error)
{
	uint64_t n = record->generation > 0 ? record->generation : s->head;
	int r = pl_ref_try_lock(s->ref, error);

	if (r <= 0)
		return r < 0 ? r : PL_AT_LATER; /* T2 */
	r = is_current(s, record, error);
	if (r > 0)
		r = at->mode->show(at, s->tx, n, pin, error);
	else if (r == 0)
		r = PL_AT_SHOWN; /* others are at it */
	pl_ref_unlock(s->ref);
	return r;
}

static int move_on(struct settling *s, struct pl_at *at, const struct pl_attachment *record,
		   const struct pl_id *tree, struct pleach_error *error)
{
	struct pl_pin pin = PL_PIN_NONE;
	int r = need_tx(s, error);

	if (r >= 0)
		r = pl_ensure_placed(s->ref->store, tree, s->ref, false, &pin, error);
	if (r >= 0)
		r = at->mode->prepare(at, s->tx, &pin, error);
	if (r >= 0)
		r = show(s, at, record, &pin, error);
	pl_pin_done(&pin);
	return r;
}

static int settle_record(struct settling *s, const struct pl_attachment *record,
			 struct pleach_error *error)
{
	const struct pl_id *tree = record->generation > 0 ? &record->tree : &s->head_tree;
	struct pl_at at = PL_AT_NONE;
	int r;

	if (!pl_attached_mode_find(record->mode))
		return PL_AT_SHOWN;
	r = pl_at_open(&at, s->ref, record->mode, record->path, error);
	if (r >= 0)
		r = at.mode->look(&at, tree) == PL_AT_OK ? PL_AT_SHOWN
							 : move_on(s, &at, record, tree, error);
	if (at.mode)
		pl_at_close(&at);
	return r;
}

/* ---- what is left of one ---- */

static bool has_work(const struct pl_at *at)
{
	if (at->showing.n == 0)
		return true;
	for (size_t i = 0; i < at->showing.n; i++)
		if (at->showing.items[i].role == PL_SHOWN_OLD)
			return true;
	return false;
}

/* T3. */
static int take_orphan(struct settling *s, struct pl_at *at, struct pleach_error *error)
{
	struct pl_attachment record;
	int r = pl_attachment_read(s->ref, at->path, &record, error);

	if (r >= 0) {
		pl_attachment_done(&record);
		return 0;
	}
	r = r == -ENOENT ? need_tx(s, error) : r;
	if (r >= 0)
		r = pl_ref_try_lock(s->ref, error);
	if (r <= 0)
		return r;
	r = pl_attachment_read(s->ref, at->path, &record, error);
	if (r >= 0)
		pl_attachment_done(&record);
	else if (r == -ENOENT)
		r = at->mode->take(at, s->tx, error);
	pl_ref_unlock(s->ref);
	return r < 0 ? r : 0;
}

static int settle_showing(struct settling *s, const char *hash, struct pleach_error *error)
{
	struct pl_showing showing;
	struct pl_at at = PL_AT_NONE;
	int r = pl_showing_read_named(s->ref, hash, &showing, error);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	r = pl_at_open(&at, s->ref, showing.mode, showing.path, error);
	if (r >= 0)
		r = take_orphan(s, &at, error);
	if (r >= 0)
		r = pl_at_read(&at, error);
	if (r >= 0 && has_work(&at)) {
		r = need_tx(s, error);
		if (r >= 0)
			r = at.mode->clean(&at, s->tx, error);
	}
	if (at.mode)
		pl_at_close(&at);
	pl_showing_done(&showing);
	return r;
}

/* ---- all ---- */

static int find_head(struct settling *s, struct pleach_error *error)
{
	struct pl_record record;
	int r = pl_head_number(s->ref, &s->head, error);

	if (r < 0 || s->head == 0)
		return r;
	r = pl_generation_read(s->ref, s->head, &record, error);
	if (r < 0)
		return r;
	s->head_tree = record.tree;
	r = strcmp(record.kind, "dropped") != 0;
	pl_record_done(&record);
	return r;
}

/* Each is tried, whatever became of the others; the first error is the answer. */
static int settle_all(struct settling *s, const struct pl_attachment *records, size_t n,
		      const struct pl_strings *hashes, struct pleach_error *error)
{
	int first = find_head(s, error);

	if (first <= 0)
		return first; /* dropped: nothing may be attached */
	first = 0;
	for (size_t i = 0; i < n; i++) {
		struct pleach_error cause = PLEACH_ERROR_INIT;
		int r = settle_record(s, &records[i], &cause);

		s->n_bad += r != PL_AT_SHOWN;
		if (r < 0 && first == 0) {
			first = r;
			pl_fail(error, cause.code, r, "%s", cause.message);
		}
	}
	for (size_t i = 0; i < hashes->n; i++) {
		struct pleach_error cause = PLEACH_ERROR_INIT;
		int r = settle_showing(s, hashes->items[i], &cause);

		if (r < 0 && first == 0) {
			first = r;
			pl_fail(error, cause.code, r, "%s", cause.message);
		}
	}
	return first;
}

int pl_attached_settle(struct pl_ref *ref, struct pl_txdir *tx, struct pleach_error *error)
{
	struct settling s = {.ref = ref, .tx = tx};
	struct pl_attachment *records = NULL;
	struct pl_strings hashes = {0};
	size_t n = 0;
	int r = 0;

	pl_assert(!pl_ref_is_locked(ref));
	if (!ref->store->is_owner || !ref->store->is_writable)
		return 0;
	r = pl_attachment_list(ref, &records, &n, error);
	if (r >= 0)
		r = pl_showing_list(ref, &hashes, error);
	if (r >= 0 && (n > 0 || hashes.n > 0)) /* T1 */
		r = settle_all(&s, records, n, &hashes, error);
	if (s.tx && s.tx != tx)
		pl_txdir_end(&s.own);
	pl_attachments_free(records, n);
	pl_strings_done(&hashes);
	return r < 0 ? r : s.n_bad;
}

int pl_attached_look(struct pl_ref *ref, const struct pl_attachment *record,
		     enum pl_at_state *ret_state, struct pleach_error *error)
{
	struct settling s = {.ref = ref};
	struct pl_at at = PL_AT_NONE;
	int r = find_head(&s, error);

	if (r < 0)
		return r;
	r = pl_at_open(&at, ref, record->mode, record->path, error);
	if (r == -ENOENT || r == -ENOTDIR) {
		pl_error_clear(error);
		*ret_state = PL_AT_MISSING;
		return 0;
	}
	if (r < 0)
		return r;
	*ret_state = at.mode->look(&at, record->generation > 0 ? &record->tree : &s.head_tree);
	pl_at_close(&at);
	return 0;
}
