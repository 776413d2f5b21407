/*
 * pleach_tx_spawn(), pleach_process_*(): a program in a transaction.
 */
#include <stdlib.h>

#include "api/tx.h"

struct pleach_process {
	struct pleach_tx *tx;
	struct pl_child *child;
};

int pleach_tx_spawn(struct pleach_tx *tx, char *const argv[],
		    const struct pleach_spawn_options *options, struct pleach_process **ret_process,
		    struct pleach_error *error)
{
	struct pleach_spawn_options o = PLEACH_SPAWN_OPTIONS_INIT;
	struct pleach_process *process;
	int r;

	pl_assert(tx && argv && argv[0] && ret_process);
	PL_OPTIONS(o, options);
	if (tx->inner->is_done)
		return pl_fail(error, PLEACH_FAILED, -EINVAL, "transaction %s has ended",
			       tx->inner->dir.id);
	if (tx->process) /* its end may be known: it is there until it is closed */
		return pl_fail(error, PLEACH_BUSY, -EBUSY,
			       "a program of transaction %s is not closed yet", tx->inner->dir.id);
	process = calloc(1, sizeof(*process));
	if (!process)
		return pl_fail_memory(error);
	r = pl_tx_spawn(tx->inner, argv, &o, &process->child, error);
	if (r < 0) {
		free(process);
		return r;
	}
	process->tx = tx;
	tx->process = process;
	*ret_process = process;
	return 0;
}

int pleach_process_fd(const struct pleach_process *process)
{
	pl_assert(process);
	return pl_child_fd(process->child);
}

static int fail_mounted(const char *path, struct pleach_error *error)
{
	pl_fail(error, PLEACH_FAILED, -EXDEV,
		"the program has left something mounted in its workspace, at '%s'", path);
	pl_error_path(error, path);
	pl_hint(error,
		"what was written there is no part of the workspace, and gone: unmount it before "
		"the program ends");
	return -EXDEV;
}

int pleach_process_wait(struct pleach_process *process, struct pleach_process_event *ret_event,
			struct pleach_error *error)
{
	static const enum pleach_process_what whats[] = {
		[PL_CHILD_EXITED] = PLEACH_PROCESS_EXITED,
		[PL_CHILD_SIGNALED] = PLEACH_PROCESS_SIGNALED,
		[PL_CHILD_STOPPED] = PLEACH_PROCESS_STOPPED,
		[PL_CHILD_NO_EXEC] = PLEACH_PROCESS_NO_EXEC};
	struct pleach_process_event event = PLEACH_PROCESS_EVENT_INIT;
	struct pl_child_event inner;
	int r;

	pl_assert(process && ret_event);
	r = pl_child_next(process->child, &inner);
	if (r < 0)
		return pl_fail_sys(error, r, "cannot wait for the program");
	event.what = whats[inner.what];
	event.value = inner.value;
	if (inner.what != PL_CHILD_STOPPED)
		process->tx->inner->is_running = false; /* all of it is gone */
	if (inner.what == PL_CHILD_EXITED && inner.value == 0 && inner.mounted)
		return fail_mounted(inner.mounted, error);
	PL_GIVE(ret_event, event);
	return 0;
}

int pleach_process_signal(struct pleach_process *process, int signal, struct pleach_error *error)
{
	int r;

	pl_assert(process);
	r = pl_child_signal(process->child, signal);
	return r < 0 ? pl_fail_sys(error, r, "cannot signal the program") : 0;
}

int pleach_process_resume(struct pleach_process *process, int foreground,
			  struct pleach_error *error)
{
	int r;

	pl_assert(process);
	r = pl_child_resume(process->child, foreground != 0);
	return r < 0 ? pl_fail_sys(error, r, "cannot have the program go on") : 0;
}

void pleach_process_close(struct pleach_process *process)
{
	if (!process)
		return;
	pl_tx_reap(process->tx->inner, process->child);
	process->tx->inner->is_running = false;
	process->tx->process = NULL;
	free(process);
}
