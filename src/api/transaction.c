/*
 * pleach_tx_*(): transactions, as a whole. Programs in them are in process.c, edits in edits.c.
 */
#include <stdio.h>
#include <stdlib.h>

#include "api/tx.h"

static int new_handle(struct pl_tx *inner, struct pleach_tx **ret_tx)
{
	struct pleach_tx *tx = calloc(1, sizeof(*tx));

	if (!tx)
		return -ENOMEM;
	tx->inner = inner;
	*ret_tx = tx;
	return 0;
}

int pleach_tx_begin(struct pleach_store *store, const char *ref,
		    const struct pleach_tx_options *options, struct pleach_tx **ret_tx,
		    struct pleach_error *error)
{
	struct pleach_tx_options o = PLEACH_TX_OPTIONS_INIT;
	struct pl_tx *inner;
	int r;

	pl_assert(store && ref && ret_tx);
	PL_OPTIONS(o, options);
	r = pl_tx_begin(store->inner, ref, &o, &inner, error);
	if (r < 0)
		return r;
	if (new_handle(inner, ret_tx) < 0) {
		inner->is_parked = false;
		(void)pl_tx_end(inner, NULL);
		return pl_fail_memory(error);
	}
	return 0;
}

int pleach_tx_open(struct pleach_store *store, const char *id, struct pleach_tx **ret_tx,
		   struct pleach_error *error)
{
	struct pl_tx *inner;
	int r;

	pl_assert(store && id && ret_tx);
	r = pl_tx_resume(store->inner, id, &inner, error);
	if (r < 0)
		return r;
	if (new_handle(inner, ret_tx) < 0) {
		(void)pl_tx_end(inner, NULL);
		return pl_fail_memory(error);
	}
	return 0;
}

int pleach_tx_close(struct pleach_tx *tx, struct pleach_error *error)
{
	int r;

	if (!tx)
		return 0;
	pl_assert(!tx->process); /* pleach_process_close() comes first */
	r = pl_tx_end(tx->inner, error);
	pl_buffer_done(&tx->public_path);
	free(tx);
	return r < 0 ? r : 0;
}

/* ---- what it is ---- */

int pl_tx_info_fill(struct pl_store *store, const char *id, const struct pl_tx_note *note,
		    const struct timespec *deadline, struct pl_buffer *public_path,
		    struct pleach_tx_info *info)
{
	info->id = id;
	info->ref = note->ref;
	info->base = note->base;
	pl_id_hex(&note->base_tree, info->base_tree);
	info->workspace = note->workspace;
	info->path = note->path;
	info->is_parked = deadline != NULL;
	info->is_optimistic = note->is_optimistic;
	info->is_serializable = note->is_serializable;
	info->expires_s = deadline ? deadline->tv_sec : 0;
	pl_buffer_truncate(public_path, 0);
	pl_buffer_add_format(public_path, "%s/%s", store->path, note->ref);
	if (!pl_buffer_ok(public_path))
		return -ENOMEM;
	info->public_path = pl_buffer_string(public_path);
	return 0;
}

void pleach_tx_describe(struct pleach_tx *tx, struct pleach_tx_info *ret_info)
{
	struct pleach_tx_info info = PLEACH_TX_INFO_INIT;
	struct pl_tx *inner;
	struct timespec deadline;
	bool is_parked;

	pl_assert(tx && ret_info);
	inner = tx->inner;
	is_parked = inner->is_parked && pl_txdir_deadline(inner->dir.fd, &deadline) == 1;
	/* Without memory the public path is missing, no more. */
	(void)pl_tx_info_fill(inner->store, inner->dir.id, &inner->note,
			      is_parked ? &deadline : NULL, &tx->public_path, &info);
	if (inner->workspace.path)
		info.path = inner->workspace.path;
	info.passed_over = pl_strings_list(&inner->passed_over);
	PL_GIVE(ret_info, info);
}

const char *pleach_tx_path(struct pleach_tx *tx)
{
	pl_assert(tx);
	return tx->inner->workspace.path;
}

/* ---- its end ---- */

struct committing {
	struct pl_tx *tx;
	struct pleach_commit_options options;
	bool go_on;
	struct pleach_publish_result result;
};

static int commit_once(void *self, struct pleach_error *error)
{
	struct committing *c = self;

	c->result = (struct pleach_publish_result)PLEACH_PUBLISH_RESULT_INIT;
	return pl_tx_commit(c->tx, &c->options, c->go_on, &c->result, error);
}

static int commit(struct pleach_tx *tx, const struct pleach_commit_options *options, bool go_on,
		  struct pleach_publish_result *ret_result, struct pleach_error *error)
{
	struct committing c = {.options = PLEACH_COMMIT_OPTIONS_INIT, .go_on = go_on};
	int r;

	pl_assert(tx);
	PL_OPTIONS(c.options, options);
	c.tx = tx->inner;
	tx->next_conflict = 0;
	if (tx->inner->is_done)
		return pl_fail(error, PLEACH_FAILED, -EINVAL, "transaction %s has ended",
			       tx->inner->dir.id);
	r = pl_with_room(tx->inner->store, commit_once, &c, error);
	if (r >= 0)
		PL_GIVE(ret_result, c.result);
	return r;
}

int pleach_tx_commit(struct pleach_tx *tx, const struct pleach_commit_options *options,
		     struct pleach_publish_result *ret_result, struct pleach_error *error)
{
	return commit(tx, options, false, ret_result, error);
}

int pleach_tx_snapshot(struct pleach_tx *tx, const struct pleach_commit_options *options,
		       struct pleach_publish_result *ret_result, struct pleach_error *error)
{
	return commit(tx, options, true, ret_result, error);
}

static int must_be_idle(struct pleach_tx *tx, struct pleach_error *error)
{
	if (!tx->inner->is_running)
		return 0;
	pl_fail(error, PLEACH_BUSY, -EBUSY, "a program runs in transaction %s", tx->inner->dir.id);
	pl_hint(error, "wait for its end");
	return -EBUSY;
}

int pleach_tx_abort(struct pleach_tx *tx, struct pleach_error *error)
{
	int r;

	pl_assert(tx);
	r = must_be_idle(tx, error);
	return r < 0 ? r : pl_tx_abort(tx->inner, error);
}

int pleach_tx_park(struct pleach_tx *tx, struct pleach_error *error)
{
	int r;

	pl_assert(tx);
	r = must_be_idle(tx, error);
	if (r >= 0 && tx->inner->is_done)
		return pl_fail(error, PLEACH_FAILED, -EINVAL, "transaction %s has ended",
			       tx->inner->dir.id);
	if (r >= 0)
		r = pl_tx_must_be_whole(tx->inner, error);
	if (r >= 0)
		r = pl_tx_park(tx->inner, error);
	if (r >= 0)
		pl_queue_leave(&tx->inner->ticket); /* parked ones hold no queue */
	return r;
}

int pleach_tx_conflict_next(struct pleach_tx *tx, struct pleach_conflict *conflict)
{
	struct pleach_conflict c = PLEACH_CONFLICT_INIT;
	const struct pl_conflicts *all;

	pl_assert(tx && conflict);
	all = &tx->inner->conflicts;
	if (tx->next_conflict >= all->n) {
		tx->next_conflict = 0;
		return 0;
	}
	c.path = all->items[tx->next_conflict].path;
	c.head = all->items[tx->next_conflict].head;
	c.tx = all->items[tx->next_conflict].tx;
	tx->next_conflict++;
	PL_GIVE(conflict, c);
	return 1;
}

int pleach_tx_inside(struct pleach_store *store, const char *ref, char ret_id[32],
		     struct pleach_error *error)
{
	struct pl_ref opened;
	char id[25];
	int r;

	pl_assert(store && ref && ret_id);
	r = pl_ref_open(store->inner, ref, &opened, error);
	if (r == -ENOENT) {
		pl_error_clear(error);
		return 0;
	}
	if (r < 0)
		return r;
	r = pl_ref_is_masked(&opened, id);
	pl_ref_close(&opened);
	if (r < 0)
		return pl_fail_sys(error, r, "cannot look at ref '%s'", ref);
	if (r == 1)
		memcpy(ret_id, id, sizeof(id));
	return r;
}
