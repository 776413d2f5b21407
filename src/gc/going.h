/*
 * going.h - inner header of gc: the generations that a collection drops (going.c), by the settings of their refs, and
 * to make room.
 */
#ifndef PL_GC_GOING_H
#define PL_GC_GOING_H

#include "gc/gc.h"

struct pl_going {
	struct pl_store *store;
	struct pl_txdir *tx; /* NULL with a dry run */
	const struct pleach_gc_options *options;
	struct pleach_gc_result *result;
	struct pl_findings *findings; /* of generations; NULL: nobody asks */
	struct pl_going_ref *refs;    /* with a dry run: what would go */
	size_t n, capacity;
	struct timespec now; /* the file system's clock, when trees were come to */
	unsigned
		part; /* > 0: when room is made next, one in so many of those that may go, goes in any case */
};
void pl_going_done(struct pl_going *going);
/**
 * Drops what the settings of the refs keep no longer; with a dry run it is found out, and what would go to make room,
 * too. Counts in the result, and adds to the findings.
 */
int pl_going_retain(struct pl_going *going, struct pleach_error *error);
/** With a dry run: would users/<user> of a tree be gone, and its grace over? */
bool pl_going_takes_user(const struct pl_going *going, const char *user);
/**
 * Measures a store that has a max-size, and drops generations where it is over. 1: some were dropped, and what they
 * alone had is to be collected now; 0: it fits, or nothing can go, which is a finding ("over") and in the result. Not
 * with a dry run.
 */
int pl_going_make_room(struct pl_going *going, struct pleach_error *error);

#endif
