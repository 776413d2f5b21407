/*
 * tx - what makes generations: the commit protocol of DESIGN.md in ten steps (commit.c), and what
 * leads to it: publish.c, rollback.c; and what makes sure that a tree is placed (ensure.c).
 */
#ifndef PL_TX_H
#define PL_TX_H

#include "gc/gc.h"
#include "place/place.h"
#include "ref/ref.h"
#include "source/source.h"

/** One commit: what steps 1 to 3 have come to. */
struct pl_commit {
	struct pl_txdir *tx;
	struct pl_ref *ref;
	struct pl_stage *stage; /* NULL: nothing is staged, the tree is in the store */
	struct pl_id tree;
	struct pl_pin *base_pin; /* the head that was seen, pinned; fd -EBADF: none */
	uint64_t base;		 /* its number, 0: none */
	struct pl_id base_tree;
	const char *kind, *message;
	const char *const *meta;
	int64_t if_head; /* -1: any */
	const char *
		own_tx; /* id of the transaction that this commits, whose programs have ended; or NULL */
	bool is_locked; /* the caller holds the ref lock, all the way, and tidies up behind it */
	uint64_t bytes_new, total_entries;
};
/**
 * Steps 4 to 10. 0, or PLEACH_PARTIAL: recorded, but not shown. The head that was moved to an equal tree
 * meanwhile: `unchanged`. -ECANCELED (CONFLICT) under if_head.
 */
int pl_commit_run(struct pl_commit *commit, struct pleach_publish_result *ret_result,
		  struct pleach_error *error);

/**
 * The commit of what is known to be the tree of generation `head`: 1, `unchanged`. 0: that is not the head any more,
 * and what is to be done must be found out by pl_commit_run(). The ref is not locked. What is attached is left to
 * whoever settles it next: the end of the transaction, for one.
 */
int pl_commit_nothing(struct pl_ref *ref, struct pl_txdir *tx, uint64_t head,
		      const struct pl_id *tree, struct pleach_publish_result *ret_result,
		      struct pleach_error *error);

/**
 * What comes behind a commit, under no lock; pl_commit_run() does it unless its caller holds the ref lock.
 * `is_done`: it has not failed. Nothing that fails here matters.
 */
void pl_commit_tidy(struct pl_ref *ref, struct pl_txdir *tx, bool is_done, bool committed);

/**
 * One look at the head: its number, its tree, and that pinned. PL_PIN_ABSENT if the tree is not there: the head has
 * moved on and its generation was dropped, look again. Head 0 and PL_PIN_TAKEN if there is none; tree and pin are
 * left alone then. (head.c)
 */
int pl_head_pin(struct pl_ref *ref, struct pl_txdir *tx, uint64_t *ret_head, struct pl_id *ret_tree,
		struct pl_pin *ret_pin, struct pleach_error *error);

/** -ECANCELED (CONFLICT) if if_head asks for another head. */
int pl_commit_check_head(const char *ref, int64_t if_head, uint64_t head,
			 struct pleach_error *error);

/** As pleach_publish() and pleach_rollback(). */
int pl_publish_run(struct pl_store *store, const char *ref, const struct pleach_source *sources,
		   size_t n_sources, const struct pleach_publish_options *options,
		   struct pleach_publish_result *ret_result, struct pleach_error *error);
int pl_rollback_run(struct pl_store *store, const char *ref, const char *rev,
		    const struct pleach_publish_options *options,
		    struct pleach_publish_result *ret_result, struct pleach_error *error);

/**
 * Pins a tree that must be placed; places it if it is not (the owner alone: -EACCES). `own` (may be
 * NULL): whose generation it is, for hints and settings. With `hold` it gets a holder for the grace.
 */
int pl_ensure_placed(struct pl_store *store, const struct pl_id *tree, const struct pl_ref *own,
		     bool hold, struct pl_pin *ret_pin, struct pleach_error *error);

#endif
