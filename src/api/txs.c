/*
 * pleach_txs_*(): the transactions that are open or parked.
 */
#include <stdlib.h>

#include "api/tx.h"

struct pleach_txs {
	struct pl_store *store;
	struct pl_txdir_info *infos;
	size_t n, at;
	struct pl_tx_note note; /* of the one handed out last */
	struct pl_buffer public_path;
};

int pleach_txs_open(struct pleach_store *store, struct pleach_txs **ret_txs,
		    struct pleach_error *error)
{
	struct pleach_txs *txs;
	int r;

	pl_assert(store && ret_txs);
	txs = calloc(1, sizeof(*txs));
	if (!txs)
		return pl_fail_memory(error);
	txs->store = store->inner;
	/* Who may not see them sees none, as with the other leftovers. */
	r = txs->store->tx_fd < 0 ? 0 : pl_txdir_list(txs->store, &txs->infos, &txs->n, error);
	if (r < 0) {
		free(txs);
		return r;
	}
	*ret_txs = txs;
	return 0;
}

static const char *state_of(const struct pl_txdir_info *info)
{
	switch (info->state) {
	case PL_TX_OPEN:
		return "open";
	case PL_TX_PARKED:
		return "parked";
	case PL_TX_EXPIRED:
		return "expired";
	case PL_TX_DEAD:
		return NULL; /* a leftover */
	}
	pl_assert(false);
	return NULL;
}

/* 1 and the status; 0: it is no transaction, or is gone. */
static int look(struct pleach_txs *txs, const struct pl_txdir_info *info,
		struct pleach_tx_status *status, struct pleach_error *error)
{
	PL_CLOSE int fd = -EBADF;
	struct timespec deadline;
	int r;

	status->state = state_of(info);
	if (!status->state)
		return 0;
	fd = pl_open_dir(txs->store->tx_fd, info->id);
	if (fd < 0)
		return fd == -ENOENT
			       ? 0
			       : pl_fail_sys(error, fd, "cannot look at transaction %s", info->id);
	r = pl_tx_note_read(fd, info->id, &txs->note, error);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	r = pl_txdir_deadline(fd, &deadline);
	if (r < 0)
		return pl_fail_sys(error, r, "cannot look at transaction %s", info->id);
	if (pl_tx_info_fill(txs->store, info->id, &txs->note, r == 1 ? &deadline : NULL,
			    &txs->public_path, &status->info) < 0)
		return pl_fail_memory(error);
	return 1;
}

int pleach_txs_next(struct pleach_txs *txs, struct pleach_tx_status *status,
		    struct pleach_error *error)
{
	int r = 0;

	pl_assert(txs && status);
	while (r == 0 && txs->at < txs->n) {
		struct pleach_tx_status s = PLEACH_TX_STATUS_INIT;

		pl_tx_note_done(&txs->note);
		r = look(txs, &txs->infos[txs->at++], &s, error);
		if (r == 1)
			PL_GIVE(status, s);
	}
	return r;
}

void pleach_txs_close(struct pleach_txs *txs)
{
	if (!txs)
		return;
	pl_tx_note_done(&txs->note);
	pl_buffer_done(&txs->public_path);
	free(txs->infos);
	free(txs);
}
