/*
 * Parking: a transaction that no process holds between its steps, and going on with it.
 *
 *	open --pl_tx_park--> parked, held --the end of its handle--> parked --pl_tx_go_on--> open, or broken
 *	parked --pl_tx_note_running--> suspect --pl_tx_park--> parked
 *	                               suspect --the machine goes down--> broken
 *
 * P1  Its base's placing is held by the user x.<id>, made before the pin is let go.
 * P2  What is parked was made durable before its mark says that it is parked.
 * P3  A program that runs in a parked one makes it suspect until it is parked again: if the machine goes down
 *     meanwhile, what the workspace holds is not believed.
 * P4  Whatever is wrong with a parked one, it can be given up.
 */
#include <stdio.h>
#include <stdlib.h>

#include "tx/transaction.h"

#define RUNNING \
	"running" /* in tx/<id>, of a parked one: the boot in which a program was started in it */

/* ---- parking ---- */

/* P1 */
static int add_user(struct pl_tx *tx, struct pleach_error *error)
{
	char user[32];

	if (tx->note.base == 0)
		return 0;
	pl_user_of_tx(tx->dir.id, user);
	return pl_user_add(tx->store, tx->pin.treedir_fd, user, error);
}

/* P3 */
int pl_tx_note_running(struct pl_tx *tx, struct pleach_error *error)
{
	PL_BUFFER boot = {0};
	int r = pl_boot_id(&boot);

	if (r >= 0)
		r = pl_write_file(tx->dir.fd, RUNNING, 0600, boot.data, boot.length,
				  tx->store->settings.durable);
	if (r >= 0)
		r = pl_store_sync(tx->store, tx->dir.fd);
	if (r == -EEXIST)
		r = 0; /* of one that was killed in this boot */
	return r < 0 ? pl_fail_sys(error, r, "cannot note that a program runs in transaction %s",
				   tx->dir.id)
		     : 0;
}

static int must_not_have_gone_down(struct pl_tx *tx, struct pleach_error *error)
{
	PL_BUFFER then = {0}, now = {0};
	int r = pl_read_file(tx->dir.fd, RUNNING, 64, &then);

	if (r == -ENOENT)
		return 0;
	if (r >= 0)
		r = pl_boot_id(&now);
	if (r < 0)
		return pl_fail_sys(error, r, "cannot look at transaction %s", tx->dir.id);
	if (then.length == now.length && memcmp(then.data, now.data, then.length) == 0)
		return 0;
	pl_fail(error, PLEACH_FAILED, -ESTALE,
		"the machine went down while a program ran in transaction %s", tx->dir.id);
	pl_hint(error, "what it holds may be anything: pleach abort %s, and begin again",
		tx->dir.id);
	return -ESTALE;
}

int pl_tx_park(struct pl_tx *tx, struct pleach_error *error)
{
	struct timespec deadline;
	int r = 0;

	pl_assert(!tx->is_running && !tx->is_done);
	if (tx->edits)
		return pl_fail(error, PLEACH_FAILED, -EOPNOTSUPP,
			       "a transaction without a workspace cannot be parked");
	pl_tx_await_gone(tx);	       /* T6 */
	tx->note.is_optimistic = true; /* the queue is not held from here on */
	r = add_user(tx, error);
	if (r >= 0)
		r = pl_workspace_sync(&tx->workspace, error); /* P2 */
	if (r >= 0)
		(void)pl_unlink(tx->dir.fd, RUNNING); /* P3; made durable with the mark */
	if (r >= 0)
		r = pl_tx_note_write(&tx->dir, &tx->note, true, error);
	if (r >= 0) {
		r = pl_fs_clock(tx->dir.fd, &deadline);
		if (r < 0)
			pl_fail_sys(error, r, "cannot read the store's clock");
	}
	if (r < 0)
		return r;
	deadline.tv_sec += (time_t)(tx->note.timeout_ms / 1000);
	deadline.tv_nsec += (long)(tx->note.timeout_ms % 1000) * 1000000;
	if (deadline.tv_nsec >= 1000000000) {
		deadline.tv_nsec -= 1000000000;
		deadline.tv_sec++;
	}
	r = pl_txdir_park(&tx->dir, &deadline, error);
	if (r >= 0)
		tx->is_parked = true;
	return r;
}

void pl_tx_unpark(struct pl_tx *tx)
{
	char user[32];

	pl_txdir_unpark(&tx->dir);
	pl_user_of_tx(tx->dir.id, user);
	if (tx->pin.treedir_fd >= 0)
		(void)pl_user_remove(tx->store, tx->pin.treedir_fd, user);
}

/* ---- going on ---- */

/* The base was held placed by its user, which counts until the transaction is gone. */
static int pin_base(struct pl_tx *tx, struct pleach_error *error)
{
	char hex[PL_ID_HEX + 1];
	int r;

	if (tx->note.base == 0)
		return 0;
	r = pl_pin_wait(tx->store, &tx->note.base_tree, &tx->pin, error);
	if (r == PL_PIN_ABSENT)
		return pl_fail_corrupt(error, "tree %s, which transaction %s began with, is gone",
				       pl_id_hex(&tx->note.base_tree, hex), tx->dir.id);
	return r < 0 ? r : 0;
}

int pl_tx_go_on(struct pl_tx *tx, struct pleach_error *error)
{
	int r = pl_tx_note_read(tx->dir.fd, tx->dir.id, &tx->note, error);

	if (r == -ENOENT)
		return pl_fail_corrupt(error, "what transaction %s is, is not written down",
				       tx->dir.id);
	if (r < 0)
		return r;
	r = pl_ref_open(tx->store, tx->note.ref, &tx->ref, error);
	if (r >= 0 && strcmp(tx->ref.id, tx->note.ref_id) != 0)
		r = pl_fail_not_found(error,
				      "the ref '%s' that transaction %s was begun on was dropped",
				      tx->note.ref, tx->dir.id);
	if (r >= 0)
		r = must_not_have_gone_down(tx, error);
	if (r >= 0)
		r = pin_base(tx, error);
	if (r >= 0)
		r = pl_tx_fill_in_workspace(tx, error);
	if (r >= 0 && tx->note.checkout)
		r = pl_tx_must_be_the_checkout(tx, error);
	if (r >= 0)
		r = pl_workspace_open(&tx->workspace, tx->note.workspace, error);
	return r < 0 ? r : 0;
}

int pl_tx_must_be_whole(struct pl_tx *tx, struct pleach_error *error)
{
	int r = tx->why_broken.err > 0 ? -tx->why_broken.err : -EIO;

	if (!tx->is_broken)
		return 0;
	/* Made anew: a caller's struct may be of an older, shorter header. */
	pl_fail(error, tx->why_broken.code, r, "%s", tx->why_broken.message);
	pl_error_path(error, tx->why_broken.path);
	pl_hint(error, "%s", tx->why_broken.hint);
	return r;
}
