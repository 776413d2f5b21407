/*
 * shutdown.h - real ends: a command of a recorded scenario runs again where it ran, the file system is shut down by its
 * own ioctl at a random moment meanwhile, with its log flushed and without, mounted again and judged.
 */
#ifndef PL_TEST_SHUTDOWN_H
#define PL_TEST_SHUTDOWN_H

#include "power/replay.h"

/* As replay_run(); `options->states` shutdowns, which are `cuts` and `states` of the result. */
void shutdown_run(struct disk *disk, const struct filesystem *fs, const struct place *place,
		  const struct record *record, const struct replay_options *options,
		  struct replay_result *result);

#endif
