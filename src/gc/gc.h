/*
 * gc - taking away what nobody needs (retire.c, drop.c), and verifying what is there (check.c);
 * and sharing equal files, in any directory tree (dedup.c).
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
	/* A user that is another ref's, "": none. What is made of the spare gets it too. (retire.c, I4) */
	char other[128];
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
 * 0: needed or busy, or a collector has a batch out just now: the next collection does it. `now`: the file
 * system's clock, of not long ago; NULL: it is asked.
 */
int pl_tree_take(struct pl_txdir *tx, const struct pl_id *tree, const struct timespec *now,
		 struct pleach_error *error);

/* ---- drop.c ---- */

int pl_drop_generation(struct pl_txdir *tx, struct pl_ref *ref, uint64_t n,
		       const struct pleach_drop_options *options,
		       struct pleach_drop_result *ret_result, struct pleach_error *error);
int pl_drop_ref(struct pl_txdir *tx, struct pl_ref *ref, const struct pleach_drop_options *options,
		struct pleach_drop_result *ret_result, struct pleach_error *error);
/* The same of a generation in steps, so that many can be dropped at once. */
/** 1: somebody has it, appended to `by` as what follows "it is": "pinned by process 12 (sh)"; 0: nobody. The
 * answer holds as long as the ref lock does, but for pins. */
int pl_drop_find_holder(struct pl_ref *ref, uint64_t n, uint64_t head, const struct pl_id *tree,
			struct pl_buffer *by, struct pleach_error *error);
/** 1: it is tagged or attached, and so would stay were it no head. */
int pl_drop_is_kept(struct pl_ref *ref, uint64_t n, struct pleach_error *error);
/** The commit point, under the ref lock: from then on they are dropped; durable. After an error some may be. */
int pl_drop_mark(struct pl_ref *ref, const uint64_t *numbers, size_t n, struct pleach_error *error);
/** Takes its tree away if nobody else has it; not `now`, only if its grace is over. No lock needed. */
int pl_drop_release(struct pl_txdir *tx, struct pl_ref *ref, uint64_t n, const struct pl_id *tree,
		    bool now, struct pleach_error *error);

/* ---- retain.c: drops the generations that no setting keeps ---- */

/** A generation that is there, or was when this began. */
struct pl_retain_item {
	struct pl_retained r; /* r.rules: what keeps it; r.tags is the item's own */
	enum pl_retain_fate {
		PL_FATE_STAYS, /* a rule keeps it */
		PL_FATE_HELD, /* no rule does, but `held_by` has it: so it stays, which is no error */
		PL_FATE_GOES, /* dropped; with dry_run: would be */
	} fate;
	char *held_by;	   /* "pinned by process 12 (sh)", "attached at /srv/www"; else NULL */
	struct pl_id tree; /* only of one that goes */
};
/** What was found and done. All zero before; pl_retain_done() after, whatever came of it. */
struct pl_retain {
	struct pl_settings settings; /* of the ref, that decided */
	struct pl_retain_item
		*items; /* by number; none if nothing can go and not everything was asked for */
	size_t n, capacity;
	uint64_t n_dropped; /* of fate GOES */
	bool is_busy; /* somebody has the ref lock: what is not done yet is left for the next time */
};
void pl_retain_done(struct pl_retain *retain);
struct pl_retain_options {
	bool dry_run; /* nothing is dropped, nor a hint written, nor a lock taken; tx may be NULL */
	bool list;    /* every generation that is there is told of, also where all are kept */
};
/**
 * Drops what the ref's settings keep no longer, as pl_drop_generation() does, but that what is held is
 * told in the items and passed over. The ref lock is tried, and let go every PL_RETAIN_BATCH generations; it must
 * not be held. Each generation is dropped or not, whatever ends this. 0; a ref that was dropped has no
 * items, and is none to wonder about. A tag, record or attachment that cannot be read is an error: then
 * nothing more of this ref goes. Trees within their grace, or that others have, stay in trees/.
 *
 * Costs a look at the settings where keep=all; else a few looks, the records that are new since the last time (the
 * times of the others are remembered in cache/), and what is dropped.
 */
int pl_retain_run(struct pl_txdir *tx, struct pl_ref *ref, const struct pl_retain_options *options,
		  struct pl_retain *ret, struct pleach_error *error);
#define PL_RETAIN_BATCH 256
/** Appends for people why it stays, or that no rule keeps it: "head, keep=10"; "no rule keeps it, but it is
 * pinned". */
void pl_retain_explain(const struct pl_retain *retain, const struct pl_retain_item *item,
		       struct pl_buffer *b);
#define PL_RETAIN_MAX_SIZE "max-size" /* why one goes that rules keep */
/** The item of a generation, NULL: none. */
struct pl_retain_item *pl_retain_find(const struct pl_retain *retain, uint64_t generation);
/** Is users/<user> a generation of `ref` that goes by `retain`? For what a dry run would free. */
bool pl_retain_takes_user(const struct pl_retain *retain, const struct pl_ref *ref,
			  const char *user);

/* ---- growth.c: whether a collection is worth it ---- */

/** Something was committed or dropped. `settings`: the ref's. `is_loose`: it may have made garbage. Best effort. */
void pl_growth_note(struct pl_store *store, const struct pl_settings *settings, bool is_loose,
		    uint64_t bytes);
/** Is it worth it now, by what was noted since the last collection? */
bool pl_growth_is_due(const struct pl_store *store);
/** -ENOSPC (NO_SPACE) if so many bytes more were too many for the store's max-size, as far as its size is known; then
 * store->wanted is so many. */
int pl_growth_check_room(struct pl_store *store, uint64_t bytes, struct pleach_error *error);
/** The same of a tree of `bytes` that is to take the place of one of `replaced`, which goes in time. */
int pl_growth_check_replacing(struct pl_store *store, uint64_t bytes, uint64_t replaced,
			      struct pleach_error *error);
/** A collection begins, and has ended. `size`: of the store, 0: it was not measured. */
void pl_growth_begin(struct pl_store *store);
void pl_growth_end(struct pl_store *store, uint64_t size, bool is_complete);

/* ---- collect.c ---- */

/** As pleach_gc(), in a transaction directory of its own, with recovery, and with the reserve where the disk is full.
 * `part` > 0, in a store with a max-size: one in so many of the generations that may go to make room, goes, those first
 * that go first; whatever the store takes. */
int pl_gc_collect(struct pl_store *store, const struct pleach_gc_options *options, unsigned part,
		  struct pleach_gc_result *ret_result, struct pl_findings *ret_findings,
		  struct pleach_error *error);
/** As pleach_gc(). `tx` is the caller's, with recovery done; NULL with a dry run, which makes nothing. Findings
 * (NULL: none): of generations. `part`: as above. */
int pl_gc_run(struct pl_store *store, struct pl_txdir *tx, const struct pleach_gc_options *options,
	      unsigned part, struct pleach_gc_result *ret_result, struct pl_findings *ret_findings,
	      struct pleach_error *error);

/* ---- why.c ---- */

/** Who has the tree: a finding each, none a fault; none at all: nobody. */
int pl_why_tree(struct pl_store *store, const struct pl_id *tree, struct pl_findings *findings,
		struct pleach_error *error);
/** Which trees name an object, or a node (group blocks too), and who has these. */
int pl_why_file(struct pl_store *store, bool is_node, const struct pl_id *id,
		struct pl_findings *findings, struct pleach_error *error);

/* ---- evict.c: generations that make room where a store is over its max-size ---- */

/**
 * Appends those of `ref` that could go, with `ref_number` as their .ref: not the head, none that is tagged, and
 * none within its grace at `now` (the file system's clock), whose tree would stay. pl_retention_order()
 * over those of all refs says in which order they go. Whether somebody holds one is seen when it is
 * dropped. The rules of retention do not count here. Takes no lock. 0; -ENOENT (NOT_FOUND): the ref was dropped.
 */
int pl_evict_list(struct pl_ref *ref, uint64_t ref_number, const struct timespec *now,
		  struct pl_evictable **items, size_t *n, size_t *capacity,
		  struct pleach_error *error);
/**
 * Drops one, durably, and takes its tree into tx if nobody else has it. 1; 0: it stays, since it is head,
 * tagged or held by now, was dropped by another, or the ref is busy. The ref lock is tried and let go.
 */
int pl_evict_run(struct pl_txdir *tx, struct pl_ref *ref, uint64_t n, struct pleach_error *error);

/* ---- check.c ---- */

struct pl_check {
	struct pl_store *store;
	bool quick;
	const char *const *refs; /* NULL: everything */
	unsigned jobs;		 /* threads that read objects, as for pl_crew_new() */
};
/** As pleach_check(). */
int pl_check_run(const struct pl_check *check, struct pleach_check_counts *ret_counts,
		 struct pl_findings *ret_findings, struct pleach_error *error);
/** What pleach_check() answers to these findings. */
int pl_check_answer(const struct pl_findings *findings, struct pleach_error *error);

/* ---- repair.c ---- */

struct pl_repair {
	struct pl_check check; /* what is checked, and mended */
	const char *from; /* directory or store that lost content may be taken from; NULL: none */
	/**
	 * For the layers above, which attach: of placing `k` of `tree` nobody outside the store is to be shown
	 * anything any more, but of the pinned one (of the same tree). 0; 1: that cannot be had now, told in
	 * `error`. NULL: nothing is attached by more than what is in the store.
	 */
	int (*move_attached)(void *self, struct pl_txdir *tx, struct pl_ref *ref, unsigned k,
			     const struct pl_pin *pin, struct pleach_error *error);
	/** What this attachment, no symlink, shows is missing, behind, or (`is_damaged`) not what its tree says: it
	 * comes to show the pinned tree, which is that. 0; 1: as above. The ref is not locked. */
	int (*renew_attached)(void *self, struct pl_txdir *tx, struct pl_ref *ref,
			      const struct pl_attachment *record, bool is_damaged,
			      const struct pl_pin *pin, struct pleach_error *error);
	void *self;
};
/** As pleach_check() with `repair`. The findings: what was mended, and what was not. */
int pl_repair_run(const struct pl_repair *repair, struct pleach_check_counts *ret_counts,
		  struct pl_findings *ret_findings, struct pleach_error *error);

/* ---- dedup.c ---- */

enum pl_dedup_how {
	PL_DEDUP_AUTO, /* by blocks where the file system can, else by links */
	PL_DEDUP_LINK,
	PL_DEDUP_REFLINK
};
/** What must be equal besides the content. */
enum pl_dedup_match {
	PL_DEDUP_MATCH_MODE = 1 << 0,
	PL_DEDUP_MATCH_OWNER = 1 << 1,
	PL_DEDUP_MATCH_MTIME = 1 << 2,
	PL_DEDUP_MATCH_XATTRS = 1 << 3,
};
#define PL_DEDUP_MATCH_ALL 15u
enum pl_dedup_layout { PL_DEDUP_HEX, PL_DEDUP_NIX };
struct pl_dedup {
	const char *const *paths;
	size_t n_paths;
	enum pl_dedup_how how;
	bool has_match; /* else all for links, and the content alone for blocks */
	uint32_t match;
	const char *index; /* directory with a name for each file; NULL: none */
	enum pl_dedup_layout layout;
	bool dry_run;
	const volatile int *cancel; /* NULL: never */
	pleach_progress_fn progress;
	void *progress_userdata;
};
/** As pleach_dedup(). 0 or PLEACH_PARTIAL: the findings tell of what. */
int pl_dedup_run(const struct pl_dedup *dedup, struct pleach_dedup_result *ret_result,
		 struct pl_findings *ret_findings, struct pleach_error *error);

#endif
