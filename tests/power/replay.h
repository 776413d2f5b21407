/*
 * replay.h - power cuts: puts together what a disk may hold after the power was cut at any moment of a recording,
 * mounts it, and holds it against what was true when.
 *
 * R1  What was written before the last flush is there. What was written since is there or not, each request by
 *     itself, a part of its blocks too; the newer of two that lie on one block wins if both are there.
 * R2  Whatever a command that has answered has done is there, of one that had begun all or nothing: each fact has
 *     a value that it had at some moment between the last answer and the last beginning.
 * R4  Nobody has seen a generation at the public path that is taken back.
 * R3  Equal images are mounted once, and what can be read on them being the same judged once.
 */
#ifndef PL_TEST_REPLAY_H
#define PL_TEST_REPLAY_H

#include <stdint.h>

#include "power/disk.h"
#include "power/filesystem.h"
#include "power/record.h"

#define REPLAY_TOLD 4

struct replay_result {
	uint64_t cuts;	 /* moments and choices tried */
	uint64_t states; /* images that differ: mounted and read */
	uint64_t judged; /* what could be read on them that differed */
	uint64_t broken; /* cuts */
	uint32_t flushes, writes;
	char told[REPLAY_TOLD][400]; /* what was broken, the first ones */
	char error[300];	     /* the harness itself failed */
};

struct replay_options {
	const struct scenario *scenario;
	uint64_t seed, states; /* about so many */
	double seconds;	       /* in about so many; 0: any. Each epoch has its share */
	uint64_t stop_at;      /* broken; 0: never */
	int from;	       /* only from the beginning of this command on; 0: all */
	const char *keep;      /* file that gets the first broken image; may be NULL */
	volatile uint64_t *heartbeat;
};

/* The recording has ended, and the file system is not mounted. */
void replay_run(struct disk *disk, const struct filesystem *fs, const struct place *place,
		const struct record *record, const struct replay_options *options,
		struct replay_result *result);

#endif
