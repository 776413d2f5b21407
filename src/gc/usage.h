/*
 * usage.h - what a store takes of the disk, and for whom: every name below a directory (usage_walk.c), the pools
 * with their sizes (usage_pool.c), what trees reach (usage_reach.c), what lies where (usage_disk.c), and all of it
 * for the generations of a store (usage.c). Nothing here changes anything; no lock is held but pins, for moments.
 *
 * Bytes of the disk are blocks as `du` counts them: each inode once.
 */
#ifndef PL_GC_USAGE_H
#define PL_GC_USAGE_H

#include "gc/collecting.h"

static inline uint64_t pl_usage_blocks(const struct stat *st)
{
	return (uint64_t)st->st_blocks * 512;
}

/* ---- usage_walk.c ---- */

/** One name of a directory, which is open as `dirfd`. 1: it is a directory, go into it; 0; or an error, which ends
 * the walk. */
typedef int (*pl_usage_fn)(void *self, int dirfd, const struct pl_dirent *entry);
/**
 * Has `fn` asked about every name below dirfd/name, which it is not asked about itself. No symlink is followed.
 * What goes meanwhile is passed by. *unread grows by the directories that this user may not read. 0, or an error
 * of `fn` or of reading.
 */
int pl_usage_walk(int dirfd, const char *name, pl_usage_fn fn, void *self, uint64_t *unread);

struct pl_usage_held {
	uint64_t bytes; /* of the disk, that would be free without it */
	bool is_more;	/* it has more than PL_USAGE_HELD_MAX names, and this is of so many */
};
#define PL_USAGE_HELD_MAX 65536
/** What dirfd/name holds alone: files with names elsewhere do not count. Nothing if it is gone. For status: its cost
 * is bounded. */
int pl_usage_held(int dirfd, const char *name, uint64_t seed, struct pl_usage_held *ret_held);

/* ---- usage_pool.c ---- */

#define PL_USAGE_NONE UINT32_MAX

/** An object or a node. */
struct pl_usage_item {
	struct pl_prefix name;
	uint64_t ino, bytes, disk;
	uint32_t n_trees; /* that reach it, and 1 if a transaction has claimed it */
	uint32_t stamp;	  /* of the last walk that met it */
};
struct pl_usage_pool {
	struct pl_usage_item *items; /* sorted by name */
	size_t n, capacity;
	struct pl_usage_inode {
		uint64_t ino;
		uint32_t item;
	} * inodes; /* sorted; each inode once */
	size_t n_inodes;
	uint64_t disk;	    /* of all of it, directories too */
	uint64_t item_disk; /* without these */
};
/** What the pool holds now. 0, -EOVERFLOW (more than 2^31 names), -EINTR or an error of reading. */
int pl_usage_pool_read(struct pl_store *store, int pool_fd, struct pl_usage_pool *ret_pool);
void pl_usage_pool_done(struct pl_usage_pool *pool);
/** Its index, or PL_USAGE_NONE. */
uint32_t pl_usage_pool_find(const struct pl_usage_pool *pool, const struct pl_id *id);
bool pl_usage_pool_has_inode(const struct pl_usage_pool *pool, uint64_t ino);

/* ---- the whole ---- */

/** A file in placed trees that is no object and has several names: a private copy. */
struct pl_usage_copy {
	uint64_t disk;
	uint32_t n_trees, stamp;
};
/** What is in trees/. */
struct pl_usage_tree {
	struct pl_id id;
	uint64_t own; /* bytes of its directories, and of files with one name */
	size_t first_copy, n_copies;
	uint32_t n_generations; /* that are there, and have it */
	bool is_needed;		/* by anybody: else the next collection takes it */
	bool is_held;		/* by more than these generations, and their tags */
	bool is_placed;
};
struct pl_usage_generation {
	struct pl_id id;    /* of its tree */
	uint32_t ref, tree; /* tree PL_USAGE_NONE: it went meanwhile */
	uint64_t number;
	bool is_head;
};
struct pl_usage_totals {
	uint64_t total;
	uint64_t directories, copies; /* of placed trees, with what else is in trees/ */
	uint64_t trash, transactions, cache, other, damaged;
	uint64_t beside; /* STORE itself and what lies there beside .pleach */
	uint64_t
		unread; /* directories, nodes and trees that could not be read: then all is at least so much */
};
struct pl_usage {
	struct pl_store *store;
	struct pl_strings refs;
	struct pl_usage_generation *generations; /* by ref and number */
	struct pl_usage_tree *trees;		 /* sorted by id */
	struct pl_usage_copy *copies;
	size_t n_generations, generations_capacity, n_trees, trees_capacity, n_copies,
		copies_capacity;
	uint32_t *tree_copies; /* of each tree, one behind the other */
	size_t n_tree_copies, tree_copies_capacity;
	struct pl_map copy_inodes;  /* ino -> copy */
	struct pl_map other_inodes; /* dev and ino -> 1 */
	dev_t dev;
	struct pl_usage_pool objects, nodes;
	struct pl_usage_reach *reach;
	struct pl_usage_totals totals;
	uint32_t stamp;
	struct pleach_error damaged; /* code PLEACH_OK: nothing; else the first that was found */
};
/** Reads all of it. What of a ref is damaged is left out, and `damaged` says so: its trees, and all that an unreadable
 * user may have, count as held. -EBADMSG (CORRUPT): a node; -EINTR, errors of reading. pl_usage_done() after success. */
int pl_usage_read(struct pl_store *store, struct pl_usage *ret_usage, struct pleach_error *error);
void pl_usage_done(struct pl_usage *usage);
/** The totals alone, for less: no record and no node is read. */
int pl_usage_measure(struct pl_store *store, struct pl_usage_totals *ret_totals,
		     struct pleach_error *error);
/** A generation, by the index of its ref; NULL: there is none. */
const struct pl_usage_generation *pl_usage_find(const struct pl_usage *usage, uint32_t ref,
						uint64_t number);

/** What a tree holds. */
struct pl_usage_sum {
	uint64_t objects, nodes, bytes; /* bytes of their contents, each once */
	uint64_t disk;			/* with its directories and private copies */
	uint64_t alone;			/* of `disk`: what no other tree has, nor any transaction */
};
int pl_usage_sum(struct pl_usage *usage, uint32_t tree, struct pl_usage_sum *ret_sum);
/**
 * One of its generations is no more. *ret_freed: what a collection then has to free, on top of what it had before;
 * 0 where somebody else has the tree.
 */
int pl_usage_release(struct pl_usage *usage, uint32_t tree, uint64_t *ret_freed);
/** What a collection would free now: trees that nobody needs, and what no tree and no transaction reaches. */
uint64_t pl_usage_unneeded(const struct pl_usage *usage);
/** The tree with this id; PL_USAGE_NONE. */
uint32_t pl_usage_find_tree(const struct pl_usage *usage, const struct pl_id *id);

/* ---- usage_disk.c ---- */

/** Fills in totals, own bytes and copies. The pools, the trees and `dev` are known. */
int pl_usage_read_disk(struct pl_usage *usage, struct pleach_error *error);

/* ---- usage_reach.c ---- */

struct pl_usage_reach;
/** Reads the nodes of one tree, as far as they are not known. Those that are missing or damaged count as unread. */
int pl_usage_reach_add(struct pl_usage *usage, const struct pl_id *tree,
		       struct pleach_error *error);
/** Calls `fn` for each object and each node that the tree reaches, once. */
typedef void (*pl_usage_reach_fn)(void *self, struct pl_usage_item *item, bool is_node);
int pl_usage_reach_each(struct pl_usage *usage, const struct pl_id *tree, pl_usage_reach_fn fn,
			void *self);
void pl_usage_reach_done(struct pl_usage_reach *reach);

#endif
