/*
 * attached.h - inner header: attachments that are more than a symlink, and have to be moved on with each
 * publish: directories of their own (exchange), mounts. A table of modes; each is one file.
 *
 *	behind --prepare, under no lock--> ready --show, under the ref lock--> shown
 *	killed between any two steps: showing/<hash> and what is found at the path tell where it was;
 *	pl_attached_settle(), by whoever comes next, goes on from there
 *
 * N1  Replaced and removed at a path is only what showing/<hash> knows by its identity, and that is
 *     written, durable, before it comes to the path (G7).
 * N2  A publish is recorded and its public path moved before an attachment is; what cannot be moved is
 *     told, and undoes nothing.
 * N3  Every tree that a path shows, or has beside it, has the attachment's `a.` as a user before that.
 */
#ifndef PL_TX_ATTACHED_H
#define PL_TX_ATTACHED_H

#include "tx/tx.h"

struct pl_attached_mode;
/** One attachment that is being looked after. */
struct pl_at {
	struct pl_ref *ref;
	const struct pl_attached_mode *mode;
	const char *path; /* absolute; the caller's */
	int parent_fd;	  /* of the directory that it lies in */
	char name[PL_NAME_MAX + 1];
	dev_t dev; /* of the store */
	struct pl_showing showing;
	/* The transaction that is being committed, whose programs have ended; NULL: none. */
	const char *own_tx;
	/* Prepared: laid out, not yet at the path. */
	bool is_ready;
	bool is_held; /* not prepared: a transaction was open */
	/* What is shown is damaged: it is replaced, though it is of the right tree, and set aside. */
	bool is_renewed;
	struct pl_id ready_tree;
	struct pl_beside beside;
	struct pl_identity identity;
};
#define PL_AT_NONE                                            \
	{                                                     \
		.parent_fd = -EBADF, .beside = PL_BESIDE_NONE \
	}
enum pl_at_result {
	PL_AT_SHOWN = 0,
	PL_AT_FOREIGN = 1, /* what is at the path is not ours: nothing was changed there */
	PL_AT_LATER = 2,   /* it is not prepared for this tree */
	PL_AT_HELD = 3, /* programs of a transaction have their workspace over it: when that ends */
};
enum pl_at_state { PL_AT_OK, PL_AT_BEHIND, PL_AT_MISSING, PL_AT_STRANGE };
struct pl_attached_mode {
	const char *name;
	/** Refuses, with the reason, what kernel, file system or user cannot do. Before anything is written. */
	int (*can)(struct pl_at *at, struct pl_txdir *tx, struct pleach_error *error);
	/** Everything whose cost follows the tree, under no lock; the tree is pinned and placed. */
	int (*prepare)(struct pl_at *at, struct pl_txdir *tx, const struct pl_pin *pin,
		       struct pleach_error *error);
	/** Under the ref lock: the path shows the pinned tree, as generation n. An enum pl_at_result. */
	int (*show)(struct pl_at *at, struct pl_txdir *tx, uint64_t n, const struct pl_pin *pin,
		    struct pleach_error *error);
	/** What is at the path, measured by the tree that it shall show. Changes nothing. */
	enum pl_at_state (*look)(struct pl_at *at, const struct pl_id *tree);
	/** Under no lock: takes away what was kept beside the path and is over. */
	int (*clean)(struct pl_at *at, struct pl_txdir *tx, struct pleach_error *error);
	/** Under the ref lock, the record being gone: takes away what is at the path. 0; 1: foreign, stays. */
	int (*take)(struct pl_at *at, struct pl_txdir *tx, struct pleach_error *error);
};
extern const struct pl_attached_mode pl_attached_exchange, pl_attached_mount;
/** NULL: there is no such mode, or it is "symlink". */
const struct pl_attached_mode *pl_attached_mode_find(const char *name);

/** Opens where the path lies; reads what is shown there. `path` outlives it. -ENOENT: no such directory. */
int pl_at_open(struct pl_at *at, struct pl_ref *ref, const char *mode, const char *path,
	       struct pleach_error *error);
void pl_at_close(struct pl_at *at);
/** Reads again what is shown; an empty one where there is nothing yet. */
int pl_at_read(struct pl_at *at, struct pleach_error *error);
/** N3: the pinned tree gets the attachment as a user. */
int pl_at_add_user(struct pl_at *at, struct pl_txdir *tx, const struct pl_pin *pin,
		   struct pleach_error *error);
/** Under the ref lock: what is shown nowhere is forgotten, if there is no record for it either. */
int pl_at_forget(struct pl_at *at, struct pleach_error *error);

/* ---- all of a ref ---- */

/** Those of a ref that follow its head, being moved on. */
struct pl_attached {
	struct pl_ref *ref;
	const char *own_tx; /* as in pl_at */
	struct pl_attachment *records;
	size_t n_records;
	struct pl_at *ats; /* as many; mode NULL: not one of these */
};
#define PL_ATTACHED_NONE \
	{                \
		0        \
	}
/** Prepares all of them for the pinned tree, under no lock. What fails here is told by show. `own_tx`: the
 * id of the transaction that is being committed, NULL: none; it outlives *ret. */
int pl_attached_prepare(struct pl_txdir *tx, struct pl_ref *ref, const struct pl_pin *pin,
			const char *own_tx, struct pl_attached *ret, struct pleach_error *error);
/** Under the ref lock, after pl_public_show(). 0, or PLEACH_PARTIAL with a text that names the first path
 * that does not show it, and why. What is held by a transaction is an event, and 0. */
int pl_attached_show(struct pl_attached *attached, struct pl_txdir *tx, uint64_t n,
		     const struct pl_pin *pin, struct pleach_error *error);
void pl_attached_done(struct pl_attached *attached);

/**
 * Finishes or undoes what a killed command has left, makes what is missing, moves on what is behind, takes
 * away what is over. By commands that may write, under no lock; what is busy is left to its holder. `tx`
 * may be NULL: one is made if it is needed. Returns how many do not show what they should.
 */
int pl_attached_settle(struct pl_ref *ref, struct pl_txdir *tx, struct pleach_error *error);
/**
 * An attachment that is no symlink comes to show the pinned tree, in its placing pin->k, as generation n: made if it is
 * missing, moved on if it is behind, and, `is_damaged`, replaced by a new one. The ref lock may be held.
 * An enum pl_at_result, or an error. (attached_renew.c)
 */
int pl_attached_renew(struct pl_ref *ref, struct pl_txdir *tx, const struct pl_attachment *record,
		      uint64_t n, const struct pl_pin *pin, bool is_damaged,
		      struct pleach_error *error);
/** How an attachment that is no symlink is: looked at, not changed. */
int pl_attached_look(struct pl_ref *ref, const struct pl_attachment *record,
		     enum pl_at_state *ret_state, struct pleach_error *error);

#endif
