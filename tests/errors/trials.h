/*
 * trials - what is tried while calls fail: commands, and what is seen of each. Those of tests/unit/tx/scenarios.h, and
 * more, which take stores apart, mend them, or write elsewhere.
 *
 * A store lies at DIR/S. What a command writes beside it is DIR/there.
 */
#ifndef PL_ERRORS_TRIALS_H
#define PL_ERRORS_TRIALS_H

#include <stdio.h>

#include "errors/memory.h"

#define vasprintf __real_vasprintf /* of text_of(): it does not fail */
#include "tx/aftermath.h"
#include "tx/scenarios.h"

struct trial {
	const char *name;
	void (*prepare)(const struct yard *y, const char *store);
	int (*run)(const struct yard *y, struct pleach_store *store, struct pleach_error *error);
	char *(*observe)(const char *store); /* NULL: that of scenarios */
	char *(*always)(const char *store);  /* what is the same at any time; NULL: nothing */
	bool is_gradual;		     /* done in parts, each whole */
	bool is_damaged;		     /* the store, before */
	bool may_leave; /* ESTALE and EMLINK: what has gone meanwhile, or is full, is left alone */
	bool is_apart;	/* beside the public path: nothing of the next publish is asked */
	unsigned step;	/* by threads: every step-th call alone */
};

#define TRIALS 40
/** All of them. Returns how many. */
size_t trials_list(struct trial ret_trials[TRIALS]);

/** Names of objects, nodes and trees, sorted. */
char *pool_of(const char *store);

#endif
