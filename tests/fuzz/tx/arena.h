/*
 * arena.h - a store with a base tree of each shape, and programs run against it: on a plain copy and in a
 * transaction, compared.
 */
#ifndef PL_FUZZ_ARENA_H
#define PL_FUZZ_ARENA_H

#include "program.h"

#include "tx/transaction.h"

#define COMMIT_EVERY 50	 /* programs; the others are given up after they were read */
#define CHECK_EVERY  500 /* programs, and at the end: the whole store is verified */

struct arena {
	const char *workspace;
	unsigned with;	     /* WITH_... */
	const char *ground;  /* an absolute path: everything is below it */
	const char *self;    /* this program, for `--apply` */
	const char *command; /* what runs one program of this arena again, but for its seed */
	char *store_path, *plain_path;
	struct pl_store *store;
	struct pl_id base[N_SHAPES];
	char why[200]; /* it cannot be had */
	struct counts {
		uint64_t programs, ops, shortened, touched, refused, committed;
	} counts;
};
/* 0, 1: the workspace cannot be had here, `why` says why, -1: it was said. */
int arena_init(struct arena *a);
void arena_done(struct arena *a);
/* Runs the operations of `mask` of the program of this seed; with `commits` really. 0: it is as it must be.
 * -1: everything was said. */
int arena_run(struct arena *a, uint64_t seed, unsigned mask, bool commits);
/* Is every byte that was committed as it was? 0, or -1 and it was said. */
int arena_check(struct arena *a);

#endif
