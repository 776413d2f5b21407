/*
 * tx.h - inner header: the handles of transactions, for transaction.c, process.c, edits.c, txs.c and diff.c.
 */
#ifndef PL_API_TX_H
#define PL_API_TX_H

#include "api/inner.h"
#include "tx/transaction.h"

struct pleach_tx {
	struct pl_tx *inner;
	struct pleach_process *process; /* that runs in it; NULL: none */
	struct pl_buffer public_path;
	size_t next_conflict;
};

/** Fills in what the note of a transaction tells. `deadline` NULL: it is not parked. Strings lead into `note`,
 * `id` and `public_path`. 0 or -ENOMEM. (transaction.c) */
int pl_tx_info_fill(struct pl_store *store, const char *id, const struct pl_tx_note *note,
		    const struct timespec *deadline, struct pl_buffer *public_path,
		    struct pleach_tx_info *info);

#endif
