/*
 * record.h - runs a scenario on a mounted file system and notes what was true before it and after each command.
 * On a disk that records, marks tell when each command began and had answered.
 */
#ifndef PL_TEST_RECORD_H
#define PL_TEST_RECORD_H

#include <stdint.h>

#include "power/disk.h"
#include "power/scenario.h"
#include "power/syncs.h"

/* Marks: command k began, has answered; a public path has changed, for everybody to see. */
#define MARK_BEGAN(k)	 (2 * (k))
#define MARK_ANSWERED(k) (2 * (k) + 1)
#define MARK_SHOWN	 ((uint32_t)1 << 30)

struct record_plan {
	uint64_t noise; /* seed of foreign syncs in the middle of commands; 0: none */
	int skip_command; /* in which `skip_sync` is not done; negative: none. The next one is the last */
	unsigned skip_sync;
};

/* In shared memory. */
struct record {
	size_t n_facts; /* of these: before the first command, after each */
	struct facts facts[COMMANDS_MAX + 1];
	unsigned n_syncs[COMMANDS_MAX];
	uint64_t took_us[COMMANDS_MAX];
	char skipped[SYNC_LABEL];
	char trouble[512];
};

struct record *record_new(void);
void record_free(struct record *record);

/* Runs the commands in a child. `disk` may be NULL. 0, or -1 with `trouble` filled in. */
int record_run(struct disk *disk, const struct place *place, const struct scenario *scenario,
	       const struct record_plan *plan, struct record *record);

#endif
