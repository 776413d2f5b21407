/*
 * The command with one guard left out, by $PLEACH_UNGUARD, and slow at random moments: before a call that changes
 * something it sleeps now and then, so that others come in between. For the stress test, which must see what the guard
 * is for, and nothing where all are there. Built on demand from the command's own files and this one; nothing of it is
 * installed.
 */
#include <time.h>
#include <unistd.h>

#include "controls.h"

#define ONE_OF	 24
#define SLEEP_NS 40000000 /* at most */

static uint64_t state;

static void dawdle(uint64_t number, enum pl_call call, void *userdata)
{
	struct timespec pause = {0};

	(void)number;
	(void)call;
	(void)userdata;
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	if (state % ONE_OF != 0)
		return;
	pause.tv_nsec = (long)(state / ONE_OF % SLEEP_NS);
	(void)nanosleep(&pause, NULL);
}

__attribute__((constructor)) static void unguard(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	state = (uint64_t)now.tv_nsec * 2654435761u + (uint64_t)getpid() + 1;
	unguard_by_environment();
	pl_seam_arm(&(struct pl_seam_plan){.stop = dawdle});
}
