/*
 * Committing a transaction: what its workspace holds becomes a tree, is merged with what the head has become
 * meanwhile, and goes through the commit (commit.c) for just that head; if the head has moved again by then,
 * it is merged again.
 *
 * L1  Everything staged lies in a tx directory of its own, so that a conflict leaves the transaction as it was.
 * L2  The head that is merged with is pinned from before its nodes are read until the commit is through.
 * L3  Who was overtaken ROUNDS times holds the ref lock from before he merges: then nobody overtakes him. It is
 *     the one case in which work that follows the change is done under that lock.
 * L4  What is parked says which generation it is about to be, before that is: killed in between, it is known
 *     by that to have landed, and does not land twice.
 * L5  After a checkpoint the next merge begins from the transaction's own tree, not from what the head made of
 *     it: what others changed is not undone. The nodes of that tree are kept by claims in tx/<id>.
 * L6  Nothing to do is an answer about the head as it is now (commit.c), also where the workspace need not be read
 *     for it.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "tx/transaction.h"

#define ROUNDS 4

struct landing {
	struct pl_tx *tx;
	const struct pleach_commit_options *options;
	struct pl_txdir dir; /* L1 */
	struct pl_stage stage;
	struct pl_id tree; /* of the workspace */
	struct pl_id merged;
	struct pl_pin head_pin; /* L2 */
	uint64_t head;
	struct pl_id head_tree;
	uint64_t total_entries;
	struct pleach_publish_result *result;
};

/* ---- what the workspace holds ---- */

int pl_tx_read(struct pl_tx *tx, struct pl_stage *stage, struct pl_id *ret_tree,
	       struct pleach_error *error)
{
	struct pl_scan_result result = {0};
	int r = pl_tx_must_be_whole(tx, error);

	if (r < 0)
		return r;
	if (tx->is_running) {
		pl_fail(error, PLEACH_BUSY, -EBUSY, "a program runs in transaction %s", tx->dir.id);
		pl_hint(error, "wait for its end");
		return -EBUSY;
	}
	if (tx->edits)
		return pl_tx_edits_read(tx->edits, stage, ret_tree, error);
	r = tx->workspace.driver->scan(&tx->workspace, stage, tx->ref.settings.metadata, &result,
				       error);
	if (r < 0)
		return r;
	*ret_tree = result.tree;
	return 0;
}

/* ---- the head ---- */

static int find_head(struct landing *l, struct pleach_error *error)
{
	int r = PL_PIN_ABSENT;

	pl_pin_done(&l->head_pin);
	l->head_tree = l->tx->note.base_tree; /* where there is no generation */
	for (unsigned i = 0; i < 16 && r == PL_PIN_ABSENT; i++)
		r = pl_head_pin(&l->tx->ref, &l->dir, &l->head, &l->head_tree, &l->head_pin, error);
	if (r == PL_PIN_ABSENT)
		return pl_fail_corrupt(error, "the tree of the head of '%s' is missing",
				       l->tx->ref.name);
	return r < 0 ? r : 0;
}

/* ---- merging ---- */

/* As what follows "was". */
static const char *told(const char *change)
{
	return strcmp(change, "metadata") == 0 ? "given other metadata" : change;
}

static int fail_conflict(struct landing *l, struct pleach_error *error)
{
	const struct pl_conflicts *c = &l->tx->conflicts;
	const struct pl_conflict *first = &c->items[0];
	const char *path = first->path[0] ? first->path : ".";

	pl_assert(c->n > 0);
	pl_fail(error, PLEACH_CONFLICT, -ECANCELED,
		"'%s' has changed meanwhile: '%s' was %s there and %s here%s", l->tx->ref.name,
		path, told(first->head), told(first->tx), c->n > 1 ? ", and more" : "");
	pl_error_path(error, path);
	if (l->tx->is_parked)
		pl_hint(error, "mend what it holds, then: pleach commit --resolved %s",
			l->tx->dir.id);
	else
		pl_hint(error,
			"run it again on the new head; with --keep-conflict it can be mended");
	return -ECANCELED;
}

/* What was read and has changed is a conflict; then the trees are merged. */
static int merge(struct landing *l, struct pleach_error *error)
{
	struct pl_tx *tx = l->tx;
	const struct pl_id *base = &tx->note.merged_tree;
	int r = 0;

	pl_conflicts_done(&tx->conflicts);
	if (tx->note.is_serializable && !pl_id_equal(base, &l->head_tree))
		r = pl_reads_check(tx, &l->stage, base, &l->head_tree, &tx->conflicts, error);
	if (r < 0)
		return r;
	if (tx->conflicts.n > 0)
		return fail_conflict(l, error);
	r = pl_merging_run(&tx->ref, &l->stage, base, &l->head_tree, &l->tree,
			   l->options->is_resolved, &l->merged, &tx->conflicts, error);
	return r == 1 ? fail_conflict(l, error) : r;
}

/* ---- one round ---- */

static bool was_overtaken(int r, const struct landing *l)
{
	return r == -ECANCELED && l->tx->conflicts.n == 0;
}

static int commit_for_head(struct landing *l, bool is_locked, struct pleach_error *error)
{
	bool is_moved = !pl_id_equal(&l->head_tree, &l->tx->note.merged_tree);
	struct pl_commit c = {.tx = &l->dir,
			      .ref = &l->tx->ref,
			      .stage = &l->stage,
			      .tree = l->merged,
			      .base_pin = &l->head_pin,
			      .base = l->head,
			      .base_tree = l->head_tree,
			      .kind = is_moved ? "merge" : "run",
			      .message = l->options->message,
			      .meta = l->options->meta,
			      .if_head = (int64_t)l->head,
			      .own_tx = l->tx->dir.id,
			      .is_locked = is_locked,
			      .bytes_new = l->stage.bytes_new,
			      .total_entries = l->total_entries};

	return pl_commit_run(&c, l->result, error);
}

/* L4 */
static int note_landing(struct landing *l, struct pleach_error *error)
{
	struct pl_tx_note *note = &l->tx->note;
	int r;

	if (!l->tx->is_parked)
		return 0;
	note->has_landing = true;
	note->landing_head = l->head;
	note->landing_tree = l->merged;
	note->landing_of = l->tree;
	/* Of that tree, which a later merge may begin from (L5). */
	r = pl_txdir_keep_claims(&l->dir, &l->tx->dir, error);
	return r < 0 ? r : pl_tx_note_write(&l->tx->dir, note, true, error);
}

static int try_round(struct landing *l, bool is_locked, struct pleach_error *error)
{
	int r = find_head(l, error);

	if (r >= 0)
		r = merge(l, error);
	if (r >= 0)
		r = note_landing(l, error);
	return r < 0 ? r : commit_for_head(l, is_locked, error);
}

static void fill_from_record(const struct pl_record *record, struct pleach_publish_result *result)
{
	result->generation = record->generation;
	result->parent = record->parent;
	pl_id_hex(&record->tree, result->tree);
	result->added = record->added;
	result->modified = record->modified;
	result->removed = record->removed;
	result->bytes_new = record->bytes_new;
}

/*
 * 1: an earlier commit of it was killed when it was done (L4), and nothing has changed in the workspace since; the
 * result is that. If something has, it goes on from what had landed, as after a checkpoint (L5).
 */
static int has_landed(struct landing *l, struct pleach_error *error)
{
	struct pl_tx_note *note = &l->tx->note;
	struct pl_record record;
	bool is_it;
	uint64_t head;
	int r;

	if (!note->has_landing)
		return 0;
	r = pl_ref_settle(&l->tx->ref, &l->dir, &head, error);
	if (r < 0 || head <= note->landing_head)
		return r < 0 ? r : 0;
	r = pl_generation_read(&l->tx->ref, note->landing_head + 1, &record, error);
	if (r < 0)
		return r;
	is_it = pl_id_equal(&record.tree, &note->landing_tree);
	if (is_it)
		fill_from_record(&record, l->result);
	pl_record_done(&record);
	note->has_landing = false;
	if (!is_it)
		return 0;
	note->merged_tree = note->landing_of;
	if (pl_id_equal(&l->tree, &note->landing_of))
		return 1;
	return pl_tx_note_write(&l->tx->dir, note, true, error);
}

/* What was laid out for a head that is none any more must not get into the next layout. */
static int clear_layout(struct landing *l, struct pleach_error *error)
{
	int r = pl_erase(l->dir.fd, "t", NULL);

	return r < 0 ? pl_fail_sys(error, r, "cannot remove an unfinished tree") : 0;
}

static int land(struct landing *l, struct pleach_error *error)
{
	struct pl_ref *ref = &l->tx->ref;
	int r = -ECANCELED;

	for (unsigned i = 0; i < ROUNDS; i++) {
		r = try_round(l, false, error);
		if (!was_overtaken(r, l))
			return r;
		pl_error_clear(error);
		r = clear_layout(l, error);
		if (r < 0)
			return r;
	}
	r = pl_ref_lock(ref, -1, error); /* L3 */
	if (r < 0)
		return r;
	r = try_round(l, true, error);
	pl_ref_unlock(ref);
	pl_commit_tidy(ref, &l->dir, r >= 0, r >= 0 && !l->result->unchanged);
	return r;
}

/* ---- going on after a checkpoint ---- */

/* L5. All that the tree names, and the base did not, is in the claims of the commit. */
static int go_on_from_here(struct landing *l, struct pleach_error *error)
{
	int r = pl_txdir_keep_claims(&l->dir, &l->tx->dir, error);

	if (r < 0)
		return r;
	l->tx->note.merged_tree = l->tree;
	l->tx->note.has_landing = false;
	return pl_tx_note_write(&l->tx->dir, &l->tx->note, l->tx->is_parked, error);
}

/* ---- nothing to do ---- */

/* Is the workspace the base, as it was made? That a checkpoint has come between, the head tells. What was parked,
 * or must say what it has read, takes the long way. */
static bool has_done_nothing(struct pl_tx *tx)
{
	const struct pl_workspace_driver *driver = tx->workspace.driver;

	return !tx->edits && !tx->is_parked && !tx->is_running && !tx->note.is_serializable &&
	       !tx->note.has_landing && tx->note.base > 0 && driver->is_untouched &&
	       driver->is_untouched(&tx->workspace, tx->ref.settings.metadata);
}

/* ---- the whole ---- */

static int run(struct landing *l, bool go_on, struct pleach_error *error)
{
	int r = pl_stage_begin(l->tx->store, &l->dir, PL_STAGE_POOL, &l->stage, error), r_after = 0;

	if (r < 0)
		return r;
	r = pl_tx_read(l->tx, &l->stage, &l->tree, error);
	l->total_entries = l->tx->workspace.totals.entries;
	if (r >= 0)
		r = has_landed(l, error);
	if (r == 0)
		r = land(l, error);
	else if (r == 1)
		r = 0;
	if (r >= 0 && go_on)
		r_after = go_on_from_here(l, error);
	pl_pin_done(&l->head_pin);
	pl_stage_end(&l->stage);
	return r_after < 0 ? r_after : r;
}

/* Reads the workspace, and commits what it holds. */
static int read_and_land(struct pl_tx *tx, const struct pleach_commit_options *options, bool go_on,
			 struct pleach_publish_result *ret_result, struct pleach_error *error)
{
	struct landing l = {
		.tx = tx, .options = options, .head_pin = PL_PIN_NONE, .result = ret_result};
	char what[PLEACH_REF_MAX + 24];
	int r;

	snprintf(what, sizeof(what), "commit on %.100s", tx->ref.name);
	r = pl_txdir_begin(tx->store, what, &l.dir, error);
	if (r < 0)
		return r;
	r = run(&l, go_on, error);
	pl_txdir_end(&l.dir);
	return r;
}

int pl_tx_commit(struct pl_tx *tx, const struct pleach_commit_options *options, bool go_on,
		 struct pleach_publish_result *ret_result, struct pleach_error *error)
{
	int r;

	pl_assert(!tx->is_done);
	r = pl_tx_must_be_whole(tx, error);
	if (r >= 0)
		r = pl_public_must_be_ours(&tx->ref, error);
	if (r >= 0 && !go_on && has_done_nothing(tx))
		r = pl_commit_nothing(&tx->ref, &tx->dir, tx->note.base, &tx->note.base_tree,
				      ret_result, error); /* L6 */
	if (r == 0)
		r = read_and_land(tx, options, go_on, ret_result, error);
	else if (r == 1)
		r = 0;
	if (r >= 0 && !go_on) {
		tx->is_done = true;
		tx->is_parked = false;
	}
	return r;
}
