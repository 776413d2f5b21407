/*
 * collecting.h - inner header of the collector: what is there (pool_index.c), what is needed (needed.c), what was
 * taken out (trash.c), and the whole (collect.c).
 */
#ifndef PL_GC_COLLECTING_H
#define PL_GC_COLLECTING_H

#include "gc/gc.h"

/* ---- pool_index.c ---- */

struct pl_prefix {
	unsigned char bytes[16];
};
struct pl_pool_index {
	struct pl_prefix *names;	 /* sorted */
	unsigned char *needed, *entered; /* bits */
	size_t n, n_marked;
	bool is_ambiguous;
};
/** The id of the name `directory`/`name` of a pool. False: it is none. */
bool pl_pool_name_parse(const char *directory, const char *name, struct pl_id *ret_id);
/** The same of what is listed in `directory`, open as `fd`, if it can be an object or a node: P5 of pool_index.c. */
bool pl_pool_is_entry(int fd, const char *directory, const struct pl_dirent *entry,
		      struct pl_id *ret_id);
/** What the pool holds now; no bit is set. 0, -EINTR or an error of reading. */
int pl_pool_index_read(struct pl_store *store, int pool_fd, struct pl_pool_index *ret_index);
void pl_pool_index_done(struct pl_pool_index *index);
/** It is needed. What was not there at the reading is passed by. */
void pl_pool_index_mark(struct pl_pool_index *index, const struct pl_id *id);
enum pl_entering { PL_ENTER_UNKNOWN, PL_ENTER_FIRST, PL_ENTER_AGAIN };
/** It is needed, and the caller is about to mark what it names too: an enum pl_entering, whether that was so
 * before, or that the name was not there at the reading. */
int pl_pool_index_enter(struct pl_pool_index *index, const struct pl_id *id);
/** It was there at the reading, and nothing was found that needs it. */
bool pl_pool_index_may_go(const struct pl_pool_index *index, const struct pl_id *id);

/* ---- needed.c ---- */

struct pl_needed {
	struct pl_store *store;
	struct pl_pool_index nodes, objects;
	struct pl_map trees;   /* ids of trees that were walked -> 1 */
	struct pl_map unknown; /* nodes that came later, walked -> 1 */
	uint64_t n_walked;
	bool only_counts; /* nothing is taken by it: another may take what it walks */
};
/** Reads what the pools hold. */
int pl_needed_begin(struct pl_store *store, struct pl_needed *needed, struct pleach_error *error);
void pl_needed_done(struct pl_needed *needed);
/** Marks all that the tree reaches, once. -EBADMSG, -ENOENT: a node is missing or damaged: nothing may be taken. */
int pl_needed_add_tree(struct pl_needed *needed, const struct pl_id *tree,
		       struct pleach_error *error);
/** Marks what all trees reach that are there now; those that were walked before cost a look at their name. */
int pl_needed_add_trees(struct pl_needed *needed, struct pleach_error *error);
/** Marks what transactions that are open now, or parked, have claimed. */
int pl_needed_add_claims(struct pl_needed *needed, struct pleach_error *error);

/* ---- trash.c ---- */

struct pl_trash {
	struct pl_store *store;
	char id[25];
	struct pl_lockdir dir; /* trash/<id>, held */
	int objects_fd, nodes_fd;
	int collector_fd; /* held: the one collector */
	int batch_fd;	  /* held while a batch is out (ref/lookup.c) */
	bool is_hurried;  /* nobody is waited for */
};
#define PL_TRASH_NONE                                                             \
	{                                                                         \
		.dir = PL_LOCKDIR_NONE, .objects_fd = -EBADF, .nodes_fd = -EBADF, \
		.collector_fd = -EBADF, .batch_fd = -EBADF,                       \
	}
/** Becomes the one collector, puts back what dead ones have taken out, and makes a trash of its own. -EBUSY
 * (BUSY): another one is at work. *ret_back: how many names were put back. */
int pl_trash_begin(struct pl_store *store, struct pl_trash *ret_trash, uint64_t *ret_back,
		   struct pleach_error *error);
/** Ends it; what is still in it is put back. Nothing for PL_TRASH_NONE. */
void pl_trash_end(struct pl_trash *trash);
/** Holds off lookups that miss, and lets them in again. -EBUSY: one of them does not end. */
int pl_trash_lock(struct pl_trash *trash);
void pl_trash_unlock(struct pl_trash *trash);
/** For who takes trees away: 1, and no batch goes out until *ret_fd is closed; 0: one is out. */
int pl_trash_hold_off(struct pl_store *store, int *ret_fd);
/** Takes a name out of its pool. 1, or 0: it is gone. */
int pl_trash_take(struct pl_trash *trash, char kind, const struct pl_id *id);
struct pl_trash_counts {
	uint64_t objects, nodes, bytes, back;
};
/**
 * The end of a batch: what is needed (marks) is put back, durably, and the rest erased. Adds to *counts; bytes
 * are those of inodes that had no other name: trees that nobody has were erased before.
 */
int pl_trash_settle(struct pl_trash *trash, const struct pl_needed *needed,
		    struct pl_trash_counts *counts);

/* ---- roots.c ---- */

/** Are the trees of all generations that are kept, and of tags, there, and have them as users? -EBADMSG, which one is not:
 * nothing may be taken then. */
int pl_roots_check(struct pl_store *store, struct pleach_error *error);

#endif
