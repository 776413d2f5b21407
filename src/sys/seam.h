/*
 * seam.h - inner header of sys: how a call that changes something passes the seam, and how calls
 * are repeated when a signal interrupts them.
 *
 * The pattern of every mutating function of this folder:
 *
 *	int r = pl_seam_pass(PL_CALL_MKDIR);
 *
 *	return r < 0 ? r : PL_RETRY(mkdirat(dirfd, name, mode));
 */
#ifndef PL_SYS_SEAM_H
#define PL_SYS_SEAM_H

#include "sys/sys.h"

/** So many injected interruptions in a row end a call with -EINTR, or `fail_on` would never end. */
#define PL_SEAM_INTERRUPTIONS 100

/**
 * Once for each system call that changes something, just before it. 0: go on, else the negative
 * errno to return in its place; -EINTR is to be handled as if the kernel had said it. While nothing
 * is armed it costs one relaxed load.
 */
int pl_seam(enum pl_call call);

/**
 * The same, for calls that an interruption leaves undone: passes again, as a new call, after each
 * injected EINTR. Interruptions by real signals are not counted at the seam (they change nothing,
 * and the numbers of the calls must not depend on signals): PL_RETRY() repeats those.
 */
int pl_seam_pass(enum pl_call call);

/** The int of a system call, made again while it says EINTR: its result, or the negative errno. */
#define PL_RETRY(call)                                 \
	__extension__({                                \
		int result_;                           \
		do                                     \
			result_ = (int)(call);         \
		while (result_ < 0 && errno == EINTR); \
		result_ < 0 ? -errno : result_;        \
	})

#endif
