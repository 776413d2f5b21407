/*
 * scenario.h - what is done while the disk records: lists of commands, each begun when the one before has
 * answered. The first ones only prepare, before the recording.
 */
#ifndef PL_TEST_SCENARIO_H
#define PL_TEST_SCENARIO_H

#include <stdbool.h>

#include "pleach.h"
#include "power/facts.h"

#define COMMANDS_MAX 16

struct place {
	char root[200];	   /* of the mounted file system */
	char store[220];   /* in it */
	char sources[200]; /* elsewhere: a, b, c, d */
};

struct command {
	const char *name;
	/* `store` is open, but for `is_first`, which makes it. */
	int (*run)(const struct place *place, struct pleach_store *store,
		   struct pleach_error *error);
	bool is_first;
};

struct scenario {
	const char *name;
	unsigned n_prepared;
	bool syncs_each;			   /* as if syncfs() were no barrier */
	struct command commands[COMMANDS_MAX + 1]; /* a NULL name ends */
};

extern const struct scenario scenarios[];

/* Makes the sources. */
void scenario_sources(const struct place *place);
unsigned scenario_length(const struct scenario *scenario);
/* Runs one command, on a store that is opened for it. What it answered: -errno with `error` filled in,
 * or PLEACH_PARTIAL, or done. */
int scenario_run(const struct place *place, const struct command *command, bool syncs_each,
		 struct pleach_error *error);

/*
 * What holds of every store after a power cut: what was begun is finished or undone by the next command, `check`
 * finds nothing, parked transactions go on, a publish and a collection succeed. Changes the store. NULL, or
 * what is wrong, which the caller frees.
 */
char *scenario_judge(const struct place *place);

#endif
