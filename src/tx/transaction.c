/*
 * The life of a transaction: queue, base, pin, workspace, in this order; then programs and edits work in it
 * (view.c, edits.c), and it is committed (landing.c), parked (parked.c), or given up.
 *
 * T1  Everything of it is in tx/<id>/, held by a lock: killed, it is dead, and removed by the next command
 *     (ref/txdir_recover.c). The directory of a checkout is the user's to look at, and stays then.
 * T2  The base is resolved and pinned after the queue was granted. While the handle lives its placing is held
 *     by the pin; while it is parked, see parked.c.
 * T3  The note is made under the ref lock, so that a drop of the ref sees it, or it sees the drop: when there is
 *     somebody to wait for, when it has the public path made, and in any case before there is a workspace.
 * T4  What is taken away is dead before: killed half-way, it is not taken for a parked one.
 * T5  A fork of the process that has it ends nothing: it shares the locks, and so looks like the owner.
 * T6  When no process of a program is left the workspace is read: its namespaces are taken down meanwhile. They
 *     are gone before the workspace is removed, parked, or mounted again.
 */
#include <stdio.h>
#include <stdlib.h>

#include "tx/attached.h"
#include "tx/transaction.h"

#define BUSY_PAUSE_MS 10
#define BUSY_MS	      1000 /* a namespace of many mounts is gone after some 50 */

/* ---- the workspace ---- */

/* T3 */
static int make_note(struct pl_tx *tx, struct pleach_error *error)
{
	int r = pl_ref_lock(&tx->ref, -1, error);

	if (r < 0)
		return r;
	r = pl_tx_note_write(&tx->dir, &tx->note, false, error);
	pl_ref_unlock(&tx->ref);
	return r;
}

/* What is known of it only now is noted too; of one that is to be parked by that. */
static int fill_workspace(struct pl_tx *tx, struct pleach_error *error)
{
	int r = pl_workspace_make(&tx->workspace, error);

	if (r < 0 || !tx->workspace.path)
		return r;
	tx->note.path = strdup(tx->workspace.path);
	if (!tx->note.path)
		return pl_fail_memory(error);
	if (tx->note.checkout)
		r = pl_tx_note_checkout(tx, error);
	return r < 0 || tx->is_parked ? r : pl_tx_note_write(&tx->dir, &tx->note, false, error);
}

static int make_workspace(struct pl_tx *tx, const char *name, struct pleach_error *error)
{
	const bool is_none = name && strcmp(name, "none") == 0;
	int r = pl_tx_fill_in_workspace(tx, error);

	if (tx->note.checkout && !name)
		name = "copy";
	if (r >= 0 && !is_none)
		r = pl_workspace_choose(&tx->workspace, name, &tx->passed_over, error);
	if (r < 0)
		return r;
	snprintf(tx->note.workspace, sizeof(tx->note.workspace), "%s",
		 is_none ? "none" : tx->workspace.driver->name);
	r = make_note(tx, error);
	if (r < 0)
		return r;
	return is_none ? pl_tx_edits_new(tx, &tx->edits, error) : fill_workspace(tx, error);
}

/* ---- beginning ---- */

static int check_options(struct pl_store *store, const struct pleach_tx_options *o,
			 struct pleach_error *error)
{
	bool is_none = o->workspace && strcmp(o->workspace, "none") == 0;

	if (o->checkout && o->workspace && strcmp(o->workspace, "copy") != 0 &&
	    strcmp(o->workspace, "reflink") != 0)
		return pl_fail_usage(error, "a checkout is a copy, not '%s'", o->workspace);
	if (o->timeout_ms == 0)
		return pl_fail_usage(error,
				     "--timeout=0: a parked transaction must live for some time");
	if (is_none && o->parked)
		return pl_fail_usage(error, "a transaction without a workspace cannot be parked");
	if (o->serializable && !pl_may_mount()) {
		pl_fail(error, PLEACH_FAILED, -EPERM,
			"what is read can only be watched by root (fanotify)");
		pl_hint(error, "without --serializable what is written is guarded all the same");
		return -EPERM;
	}
	return pl_store_must_write(store, error);
}

/* Who waits can be seen meanwhile. (T3) */
static int take_turn(struct pl_tx *tx, int64_t wait_ms, struct pleach_error *error)
{
	int r = pl_queue_enter(&tx->ref, &tx->dir, &tx->ticket, error);

	if (r != 0)
		return r < 0 ? r : 0;
	r = make_note(tx, error);
	return r < 0 ? r : pl_queue_wait(&tx->ref, &tx->ticket, wait_ms, error);
}

/* Where there is no generation, inside it must be there from the start; and that must be known. (T3) */
static int show_nothing(struct pl_tx *tx, struct pleach_error *error)
{
	int r = make_note(tx, error);

	return r < 0 ? r : pl_public_restore(&tx->ref, error);
}

static int fail_no_ref(const char *name, struct pleach_error *error)
{
	pl_fail_not_found(error, "no ref '%s' in this store", name);
	pl_hint(error, "'pleach status' lists those that are there; --create makes one");
	return -ENOENT;
}

static int begin(struct pl_tx *tx, const struct pleach_tx_options *o, struct pleach_error *error)
{
	int r = pl_ref_must_be_unmasked(&tx->ref, error);

	if (r >= 0 && !tx->note.is_optimistic)
		r = take_turn(tx, o->wait_ms, error);
	if (r >= 0)
		r = pl_tx_find_base(tx, error); /* T2 */
	if (r >= 0 && tx->note.base == 0 && !o->create)
		return fail_no_ref(tx->ref.name, error);
	if (r >= 0)
		r = pl_public_must_be_ours(&tx->ref, error);
	if (r >= 0 && tx->note.base == 0)
		r = show_nothing(tx, error);
	if (r >= 0)
		r = make_workspace(tx, o->workspace, error);
	if (r >= 0 && tx->is_parked)
		r = pl_tx_park(tx, error);
	return r < 0 ? r : 0;
}

static struct pl_tx *new_tx(struct pl_store *store)
{
	struct pl_tx *tx = calloc(1, sizeof(*tx));

	if (!tx)
		return NULL;
	tx->store = store;
	tx->owner = pl_pid();
	tx->ref = (struct pl_ref){.fd = -EBADF, .gen_fd = -EBADF, .lock_fd = -EBADF};
	tx->ticket = (struct pl_ticket)PL_TICKET_NONE;
	tx->pin = (struct pl_pin)PL_PIN_NONE;
	tx->workspace.fd = tx->workspace.lower_fd = -EBADF;
	tx->workspace.tx = &tx->dir;
	return tx;
}

static int take_options(struct pl_tx *tx, const struct pleach_tx_options *o,
			struct pleach_error *error)
{
	tx->is_parked = o->parked;
	tx->note.is_optimistic = o->optimistic || o->parked;
	tx->note.is_serializable = o->serializable;
	tx->note.timeout_ms = (uint64_t)(o->timeout_ms < 0 ? PL_TX_LIFE_MS : o->timeout_ms);
	memcpy(tx->note.ref, tx->ref.name, sizeof(tx->note.ref));
	memcpy(tx->note.ref_id, tx->ref.id, sizeof(tx->note.ref_id));
	if (o->checkout && !(tx->note.checkout = strdup(o->checkout)))
		return pl_fail_memory(error);
	return 0;
}

int pl_tx_begin(struct pl_store *store, const char *ref, const struct pleach_tx_options *options,
		struct pl_tx **ret_tx, struct pleach_error *error)
{
	char what[PLEACH_REF_MAX + 24];
	struct pl_tx *tx;
	unsigned n;
	int r = check_options(store, options, error);

	if (r < 0)
		return r;
	tx = new_tx(store);
	if (!tx)
		return pl_fail_memory(error);
	snprintf(what, sizeof(what), "transaction %.100s", ref);
	r = pl_txdir_begin(store, what, &tx->dir, error);
	if (r < 0) {
		free(tx);
		return r;
	}
	pl_txdir_recover(store, &tx->dir, &n, NULL);
	r = options->create ? pl_ref_open_or_create(&tx->dir, ref, &tx->ref, error)
			    : pl_ref_open(store, ref, &tx->ref, error);
	if (r >= 0)
		r = take_options(tx, options, error);
	if (r >= 0)
		r = begin(tx, options, error);
	if (r < 0) {
		tx->is_parked = false;
		(void)pl_tx_end(tx, NULL);
		return r;
	}
	*ret_tx = tx;
	return 0;
}

/* ---- going on ---- */

/* Is it held because this process is inside of it? Then that is what is to be said. `id`: a beginning will do. */
static void explain_busy(struct pl_store *store, const char *id, struct pleach_error *error)
{
	struct pl_txdir_info *infos = NULL;
	struct timespec deadline;
	size_t n = 0;

	if (pl_txdir_list(store, &infos, &n, NULL) < 0)
		return;
	for (size_t i = 0; i < n; i++) {
		PL_CLOSE int fd = -EBADF;
		struct pl_tx_note note;
		char around[25] = "";
		struct pl_ref ref;

		if (strncmp(infos[i].id, id, strlen(id)) != 0)
			continue;
		fd = pl_open_dir(store->tx_fd, infos[i].id);
		if (fd < 0 || pl_tx_note_read(fd, infos[i].id, &note, NULL) < 0)
			continue;
		if (pl_ref_open(store, note.ref, &ref, NULL) >= 0) {
			(void)pl_ref_is_masked(&ref, around);
			pl_ref_close(&ref);
		}
		pl_tx_note_done(&note);
		if (strcmp(around, infos[i].id) != 0)
			continue;
		pl_fail(error, PLEACH_BUSY, -EBUSY, "this is inside of transaction %s", around);
		pl_hint(error, "%s",
			pl_txdir_deadline(fd, &deadline) == 1
				? "end the command that runs in it first"
				: "it ends with its command: 0 commits, any other exit status "
				  "aborts");
	}
	free(infos);
}

/* Of a command that was killed the end holds it a moment longer, until its namespaces are gone. */
static int take_parked(struct pl_store *store, const char *id, struct pl_txdir *ret_dir,
		       struct pleach_error *error)
{
	int r;

	for (unsigned ms = 0;; ms += BUSY_PAUSE_MS) {
		r = pl_txdir_open_parked(store, id, ret_dir, error);
		if (r != -EBUSY || ms >= BUSY_MS)
			break;
		pl_error_clear(error);
		pl_sleep_ms(BUSY_PAUSE_MS);
	}
	if (r == -EBUSY)
		explain_busy(store, id, error);
	return r;
}

int pl_tx_resume(struct pl_store *store, const char *id, struct pl_tx **ret_tx,
		 struct pleach_error *error)
{
	struct pl_tx *tx;
	unsigned n;
	int r = pl_store_must_write(store, error);

	if (r < 0)
		return r;
	tx = new_tx(store);
	if (!tx)
		return pl_fail_memory(error);
	pl_txdir_recover(store, NULL, &n, NULL); /* expired ones are gone */
	r = take_parked(store, id, &tx->dir, error);
	if (r < 0) {
		free(tx);
		return r;
	}
	tx->is_parked = true;
	tx->why_broken.size = sizeof(tx->why_broken);
	tx->is_broken = pl_tx_go_on(tx, &tx->why_broken) < 0;
	*ret_tx = tx;
	return 0;
}

/* ---- ending ---- */

/* A ref that was begun for this one, and has no generation, shows nothing again, unless others need it. */
static void withdraw_public(struct pl_tx *tx)
{
	if (tx->note.base > 0 || tx->ref.fd < 0 || pl_ref_lock(&tx->ref, -1, NULL) < 0)
		return;
	pl_public_withdraw(&tx->ref, tx->dir.id);
	pl_ref_unlock(&tx->ref);
}

void pl_tx_reap(struct pl_tx *tx, struct pl_child *child)
{
	if (tx->is_parked || tx->ended || !pl_child_has_ended(child))
		pl_child_close(child);
	else
		tx->ended = child; /* T6 */
}

void pl_tx_await_gone(struct pl_tx *tx)
{
	pl_child_close(tx->ended);
	tx->ended = NULL;
}

int pl_tx_abort(struct pl_tx *tx, struct pleach_error *error)
{
	int r = 0;

	pl_assert(!tx->is_running);
	if (tx->is_done)
		return 0;
	r = pl_tx_remove_checkout(tx, error);
	withdraw_public(tx);
	tx->is_done = true;
	tx->is_parked = false;
	return r;
}

static void free_tx(struct pl_tx *tx)
{
	pl_tx_await_gone(tx); /* a fork waits for nothing */
	pl_workspace_close(&tx->workspace);
	pl_closep(&tx->workspace.lower_fd);
	free(tx->workspace.lower_path);
	free(tx->workspace.checkout);
	pl_tx_edits_free(tx->edits);
	pl_strings_done(&tx->passed_over);
	pl_conflicts_done(&tx->conflicts);
	pl_pin_done(&tx->pin);
	pl_queue_leave(&tx->ticket);
	pl_ref_close(&tx->ref);
	pl_tx_note_done(&tx->note);
	free(tx);
}

/* T5. Descriptors are closed, and nothing that has a name is touched. */
static void let_go(struct pl_tx *tx)
{
	tx->ticket.number = 0;
	pl_txdir_leave(&tx->dir);
	free_tx(tx);
}

int pl_tx_end(struct pl_tx *tx, struct pleach_error *error)
{
	int r = 0;

	if (tx->owner != pl_pid()) {
		let_go(tx);
		return 0;
	}
	pl_tx_await_gone(tx);
	if (tx->is_parked && !tx->is_done) {
		if (!tx->is_broken)
			r = pl_tx_park(tx, error);
		pl_txdir_leave(&tx->dir);
	} else {
		if (!tx->is_done)
			r = pl_tx_abort(tx, error);
		pl_tx_unpark(tx);			   /* T4 */
		(void)pl_workspace_remove(&tx->workspace); /* what stays, recovery removes */
		pl_pin_done(&tx->pin);
		pl_queue_leave(&tx->ticket); /* the next one need not wait for the erasing */
		pl_txdir_end(&tx->dir);
	}
	if (tx->ref.fd >= 0) /* what was held for it (attached_exchange.c, E5) */
		(void)pl_attached_settle(&tx->ref, NULL, NULL);
	free_tx(tx);
	return r;
}
