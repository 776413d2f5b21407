/*
 * gc - taking away what nobody needs (retire.c, drop.c), and verifying what is there (check.c).
 */
#ifndef PL_GC_H
#define PL_GC_H

#include "place/place.h"
#include "ref/ref.h"

/* ---- retire.c ---- */

/**
 * Takes away the placed trees of `ref` that keep-placed, grace, spares, attachments and pins release:
 * under the exclusive pin lock, tried, every user is looked up; the rename of the wrapper into tx
 * happens before the unlock. Also removes holders (`h.`) whose time is over. Best effort: what is
 * busy is left for the next time. `ref` NULL: what is placed for no ref.
 */
int pl_retire_run(struct pl_txdir *tx, struct pl_ref *ref, unsigned *ret_n,
		  struct pleach_error *error);
/**
 * A placed tree that was taken to be recycled: tx/<name> is its wrapper, and nobody else's any more. The
 * tree itself stays, pinned, so that its nodes do.
 */
struct pl_spare {
	struct pl_pin pin;
	char name[32];
	bool is_alone; /* nobody can be in it: all who had it pin (recycle=edit) */
};
#define PL_SPARE_NONE               \
	{                           \
		.pin = PL_PIN_NONE, \
	}
/**
 * Takes the newest placed tree of `ref` that pl_retire_run() might take, in the same way. 1, or 0: there is
 * none; errors as there. What is moved out of it from then on is not missed after a power cut.
 */
int pl_spare_take(struct pl_txdir *tx, struct pl_ref *ref, struct pl_spare *ret_spare,
		  struct pleach_error *error);
/** Ends the pin, and takes the tree away whole if nobody has it. Nothing for PL_SPARE_NONE. */
void pl_spare_done(struct pl_txdir *tx, struct pl_spare *spare);
/**
 * Takes trees/<tree>/ away whole if it has no user left that needs it (exclusive pin tried). 1: taken,
 * 0: needed or busy. `own`: the ref that it is for, or NULL.
 */
int pl_tree_take(struct pl_txdir *tx, const struct pl_id *tree, const struct pl_ref *own,
		 struct pleach_error *error);

/* ---- drop.c ---- */

int pl_drop_generation(struct pl_txdir *tx, struct pl_ref *ref, uint64_t n,
		       const struct pleach_drop_options *options,
		       struct pleach_drop_result *ret_result, struct pleach_error *error);
int pl_drop_ref(struct pl_txdir *tx, struct pl_ref *ref, const struct pleach_drop_options *options,
		struct pleach_drop_result *ret_result, struct pleach_error *error);

/* ---- collect.c ---- */

/** As pleach_gc(). `tx` is the caller's, with recovery done. */
int pl_gc_run(struct pl_txdir *tx, const struct pleach_gc_options *options,
	      struct pleach_gc_result *ret_result, struct pleach_error *error);

/* ---- why.c ---- */

/** Who has the tree: a finding each, none a fault; none at all: nobody. */
int pl_why_tree(struct pl_store *store, const struct pl_id *tree, struct pl_findings *findings,
		struct pleach_error *error);
/** Which trees name an object, or a node (group blocks too), and who has these. */
int pl_why_file(struct pl_store *store, bool is_node, const struct pl_id *id,
		struct pl_findings *findings, struct pleach_error *error);

/* ---- check.c ---- */

struct pl_check {
	struct pl_store *store;
	bool quick;
	const char *const *refs; /* NULL: everything */
};
/** As pleach_check(). */
int pl_check_run(const struct pl_check *check, struct pleach_check_counts *ret_counts,
		 struct pl_findings *ret_findings, struct pleach_error *error);

#endif
