/*
 * transaction.h - inner header: one transaction, as the files of this folder and api/ see it.
 *
 *	pl_tx_begin --> open --pl_tx_commit--> done
 *	                open --pl_tx_park, pl_tx_end--> parked --pl_tx_resume--> open
 *	                open --pl_tx_end--> nothing remains
 */
#ifndef PL_TX_TRANSACTION_H
#define PL_TX_TRANSACTION_H

#include "tx/tx.h"
#include "tx/workspace.h"

#define PL_TX_LIFE_MS (7 * 24 * 3600 * INT64_C(1000)) /* of a parked one, unless it was said */

struct pl_tx_edits; /* edits.c */

struct pl_tx {
	struct pl_store *store;
	pid_t owner; /* the process that has it: a fork of that one lets go of its copies, no more */
	struct pl_txdir dir; /* tx/<id>, held */
	struct pl_ref ref;
	struct pl_tx_note note;
	struct pl_ticket ticket; /* fd -EBADF: optimistic, or parked */
	struct pl_pin pin;	 /* on the base; fd -EBADF: there is no base */
	struct pl_workspace workspace;
	struct pl_tx_edits *edits; /* workspace "none" */
	struct pl_strings passed_over;
	struct pl_conflicts conflicts; /* of the last commit */
	bool is_parked;		       /* the end of the handle is not its end */
	bool is_done;		       /* committed or aborted */
	bool is_running;	       /* a program runs in it */
	struct pl_child
		*ended; /* one that ran, whose mounts are maybe not gone yet; NULL: none (T6) */
	bool has_run;	/* one was started in it, by this handle */
	/* A parked one that cannot be worked in any more, but for giving it up. */
	bool is_broken;
	struct pleach_error why_broken;
};

/* ---- base.c: what it begins with ---- */

/** Finds the head, or makes an empty directory where there is none, and pins it: the base in tx->note. */
int pl_tx_find_base(struct pl_tx *tx, struct pleach_error *error);
/** Fills in all of tx->workspace that pl_workspace_choose() and pl_workspace_open() want. The base is pinned. */
int pl_tx_fill_in_workspace(struct pl_tx *tx, struct pleach_error *error);

/* ---- checkout.c: a workspace that the user has named ---- */

/** Notes which directory was made (not written yet). */
int pl_tx_note_checkout(struct pl_tx *tx, struct pleach_error *error);
/** -ESTALE if another one, or none, is at its path. */
int pl_tx_must_be_the_checkout(struct pl_tx *tx, struct pleach_error *error);
/** Removes it, if it is still the one that was made; nothing where there is none. */
int pl_tx_remove_checkout(struct pl_tx *tx, struct pleach_error *error);

/* ---- parked.c ---- */

/** Makes it durable, and parks it; it stays held. */
int pl_tx_park(struct pl_tx *tx, struct pleach_error *error);
/** It is dead as soon as it is not held, and its base may go. Best effort, and nothing for one that was not parked. */
void pl_tx_unpark(struct pl_tx *tx);
/** Before a program is started in a parked one; durable. */
int pl_tx_note_running(struct pl_tx *tx, struct pleach_error *error);
/** Opens all of one whose tx->dir was just taken. An error makes it unusable, but for being given up. */
int pl_tx_go_on(struct pl_tx *tx, struct pleach_error *error);
/** What makes it unusable, if anything does. */
int pl_tx_must_be_whole(struct pl_tx *tx, struct pleach_error *error);

/* ---- transaction.c ---- */

int pl_tx_begin(struct pl_store *store, const char *ref, const struct pleach_tx_options *options,
		struct pl_tx **ret_tx, struct pleach_error *error);
int pl_tx_resume(struct pl_store *store, const char *id, struct pl_tx **ret_tx,
		 struct pleach_error *error);
int pl_tx_abort(struct pl_tx *tx, struct pleach_error *error);
/** Takes over a child that was started in it, and is to be closed. */
void pl_tx_reap(struct pl_tx *tx, struct pl_child *child);
/** Waits until nothing of a program that has ended is left, its mounts neither. */
void pl_tx_await_gone(struct pl_tx *tx);
/** Parks, or aborts, or, where it is done, just frees. */
int pl_tx_end(struct pl_tx *tx, struct pleach_error *error);

/* ---- landing.c ---- */

/** As pleach_tx_commit(); `go_on`: as pleach_tx_snapshot(). */
int pl_tx_commit(struct pl_tx *tx, const struct pleach_commit_options *options, bool go_on,
		 struct pleach_publish_result *ret_result, struct pleach_error *error);
/** The tree that the workspace holds now, staged (POOL). */
int pl_tx_read(struct pl_tx *tx, struct pl_stage *stage, struct pl_id *ret_tree,
	       struct pleach_error *error);

/* ---- merging.c: what merging needs to know of a ref and of files ---- */

/** The rules of the setting `merge`. */
struct pl_merge_rules {
	struct pl_merge_rule {
		struct pl_globs glob;
		enum pl_merge_policy policy;
	} * rules;
	size_t n, capacity;
	bool has_ignore;
};
int pl_merge_rules_parse(const char *value, struct pl_merge_rules *ret_rules);
void pl_merge_rules_done(struct pl_merge_rules *rules);
/** The first rule that matches counts, as in the setting they stand. */
enum pl_merge_policy pl_merge_rules_find(const struct pl_merge_rules *rules, const char *path,
					 bool is_dir);
/** Three-way merge of trees of the store and of the stage, by the rules of the ref. As pl_merge_run().
 * `is_resolved`: what would conflict is as the transaction has it. */
int pl_merging_run(struct pl_ref *ref, struct pl_stage *stage, const struct pl_id *base,
		   const struct pl_id *head, const struct pl_id *tx, bool is_resolved,
		   struct pl_id *ret_tree, struct pl_conflicts *ret_conflicts,
		   struct pleach_error *error);

/* ---- reads.c: what a serializable transaction has read ---- */

/** The file that opens are noted in, in tx/<id>; appended to, made if missing. */
int pl_reads_open(struct pl_tx *tx);
/** Adds a conflict for each path that was read and that differs between two trees. 0 or an error. */
int pl_reads_check(struct pl_tx *tx, struct pl_stage *stage, const struct pl_id *base,
		   const struct pl_id *head, struct pl_conflicts *conflicts,
		   struct pleach_error *error);

/* ---- view.c: the workspace seen by a program ---- */

int pl_tx_spawn(struct pl_tx *tx, char *const argv[], const struct pleach_spawn_options *options,
		struct pl_child **ret_child, struct pleach_error *error);

/* ---- edits.c: edits of a tree without a directory ---- */

int pl_tx_edits_new(struct pl_tx *tx, struct pl_tx_edits **ret_edits, struct pleach_error *error);
void pl_tx_edits_free(struct pl_tx_edits *edits);
/** What pl_tx_read() asks. */
int pl_tx_edits_read(struct pl_tx_edits *edits, struct pl_stage *stage, struct pl_id *ret_tree,
		     struct pleach_error *error);

#endif
