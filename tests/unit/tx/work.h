/*
 * work - a transaction on `site` from its beginning to its end, by edits or by a program. Header only.
 */
#ifndef PL_TEST_WORK_H
#define PL_TEST_WORK_H

#include "tx/yard.h"

/* Closes it; `r` is what came of it until then. */
static inline int end_tx(struct pleach_tx *tx, int r, struct pleach_error *error)
{
	struct pleach_error ignored = PLEACH_ERROR_INIT;
	int closed = pleach_tx_close(tx, r < 0 ? &ignored : error);

	return r < 0 ? r : closed;
}

/* Begins one in this workspace (NULL: any), and commits what `work` does in it. */
static inline int work_in(struct pleach_store *store, const char *workspace,
			  int (*work)(struct pleach_tx *tx, struct pleach_error *error),
			  struct pleach_error *error)
{
	struct pleach_tx_options options = PLEACH_TX_OPTIONS_INIT;
	struct pleach_tx *tx;
	int r;

	options.workspace = workspace;
	r = pleach_tx_begin(store, "site", &options, &tx, error);
	if (r < 0)
		return r;
	r = work(tx, error);
	if (r >= 0)
		r = pleach_tx_commit(tx, NULL, NULL, error);
	return end_tx(tx, r, error);
}

/* A script of sh; another end than 0 is -EIO. */
static inline int run_script_in_tx(struct pleach_tx *tx, const char *script,
				   struct pleach_error *error)
{
	char *argv[] = {(char *)"sh", (char *)"-c", (char *)script, NULL};
	struct pleach_process_event event = PLEACH_PROCESS_EVENT_INIT;
	struct pleach_process *process;
	int r = pleach_tx_spawn(tx, argv, NULL, &process, error);

	if (r < 0)
		return r;
	do
		r = pleach_process_wait(process, &event, error);
	while (r == -EINTR);
	pleach_process_close(process);
	if (r >= 0 && (event.what != PLEACH_PROCESS_EXITED || event.value != 0)) {
		error->code = PLEACH_FAILED;
		error->err = EIO;
		(void)snprintf(error->message, sizeof(error->message),
			       "the program in 'site' ended with %d", event.value);
		return -EIO;
	}
	return r;
}

#endif
