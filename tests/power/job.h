/*
 * job.h - one recording and its replay, in a process with mounts of its own; and how many of them run beside each
 * other. What a job leaves, however it ends, is taken away by who started it.
 */
#ifndef PL_TEST_JOB_H
#define PL_TEST_JOB_H

#include "power/replay.h"

enum job_status { JOB_WAITS, JOB_RUNS, JOB_DONE, JOB_SKIPPED, JOB_FAILED };

struct job {
	/* what is asked for */
	const struct filesystem *fs;
	const struct scenario *scenario;
	struct record_plan plan;
	struct replay_options options;
	bool is_shutdown; /* instead of cutting the power */

	/* in shared memory: what the process tells */
	enum job_status status;
	char why[600];
	struct replay_result result;
	unsigned n_syncs[COMMANDS_MAX];
	char skipped[SYNC_LABEL];
	volatile uint64_t heartbeat;
	pid_t server;
	int loop; /* -1: none */
	double seconds;

	/* of who started it */
	pid_t pid;
	char folder[200];
	uint64_t seen_heartbeat;
	double seen_at;
};

/* Room for jobs, shared with their processes. */
struct job *jobs_new(size_t n);
void jobs_free(struct job *jobs, size_t n);
/* Runs them all, so many at a time; `done` (may be NULL) is called as each ends. */
void jobs_run(struct job *jobs, size_t n, unsigned at_once, void (*done)(struct job *job));
/* NULL, or why no job can run here. */
const char *jobs_hindrance(void);

#endif
