/*
 * attempt.c - the transactions of one `pleach run`: one, or as many as --retry allows.
 *
 *	open_tx() --job_run()--> commit() --> landed(), exit 0
 *	   ^                     |  '--a conflict, --retry--.
 *	   '---------------------|--------------------------'
 *	                         '--> over(), conflict(): aborted; or kept, by --keep, --keep-conflict, --tx
 *
 * R1  A transaction that has not landed is said to be kept only once it is parked.
 * R2  With --retry nothing that a run has printed is shown before it is known to be the last.
 * R3  Nor before its transaction is parked or ended: whoever reads it may be gone, and SIGPIPE then ends us.
 */
#include <string.h>
#include <unistd.h>

#include "cli.h"

/* The attempts of one call of the command. */
struct run {
	struct cli *cli;
	const struct run_values *v;
	struct pleach_tx *tx; /* of the attempt under way, or NULL */
	struct spool *spool;  /* R2; NULL without --retry */
	int64_t attempt;      /* from 0 */
	struct verdict *verdict;
};

/* ---- a transaction -------------------------------------------------------------------------- */

static bool is_client_gone(const struct run *run)
{
	return run->v->watch_fd >= 0 && job_client_is_gone((int)run->v->watch_fd);
}

/* A call of the library has failed; it may have been ended because the client is gone (progress.c). */
static int fail(struct run *run, const struct pleach_error *error)
{
	if (error->code == PLEACH_INTERRUPTED && !signals_caught() && is_client_gone(run))
		return verdict_fail_client_gone(run->verdict, run->v->watch_fd);
	return verdict_fail(run->verdict, error);
}

static int begin(struct run *run, struct pleach_error *error)
{
	struct pleach_tx_options tx_options = PLEACH_TX_OPTIONS_INIT;
	const struct run_values *v = run->v;

	if (v->tx)
		return pleach_tx_open(run->cli->store, v->tx, &run->tx, error);
	tx_options.create = v->create;
	tx_options.optimistic = v->optimistic;
	tx_options.serializable = v->serializable;
	tx_options.wait_ms = v->no_wait ? 0 : v->wait_ms;
	tx_options.workspace = v->workspace;
	return pleach_tx_begin(run->cli->store, run->cli->args[0], &tx_options, &run->tx, error);
}

/* Ends the handle: a transaction that has neither landed nor is parked is aborted. */
static int close_tx(struct run *run, int status)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	int r = pleach_tx_close(run->tx, &error);

	run->tx = NULL;
	if (r >= 0)
		return status;
	if (run->verdict->error.code == PLEACH_OK)
		return verdict_fail(run->verdict, &error);
	cli_complain(run->cli, &error); /* besides what has failed before */
	return status;
}

static int open_tx(struct run *run)
{
	struct pleach_tx_info info = PLEACH_TX_INFO_INIT;
	struct pleach_error error = PLEACH_ERROR_INIT;
	const char *ref = run->cli->args[0];

	if (begin(run, &error) < 0)
		return fail(run, &error);
	pleach_tx_describe(run->tx, &info);
	snprintf(run->verdict->id, sizeof(run->verdict->id), "%s", info.id);
	run->verdict->base = info.base;
	if (ref && strcmp(ref, info.ref) != 0) {
		cli_error_set(&error, PLEACH_USAGE, NULL, NULL,
			      "run: transaction %s is one on '%s', not on '%s'", info.id, info.ref,
			      ref);
		return close_tx(run, verdict_fail(run->verdict, &error));
	}
	snprintf(run->verdict->ref, sizeof(run->verdict->ref), "%s", info.ref);
	if (!run->v->tx && run->attempt == 0)
		begin_note(run->cli, &info);
	return 0;
}

/* ---- its end -------------------------------------------------------------------------------- */

static void park(struct run *run)
{
	struct pleach_error error = PLEACH_ERROR_INIT;

	if (pleach_tx_park(run->tx, &error) < 0)
		cli_complain(run->cli, &error);
	else
		run->verdict->is_kept = true; /* R1 */
}

/* Tells what is kept, once the transaction is closed. */
static void tell_kept(struct run *run)
{
	if (run->verdict->is_kept && !run->v->tx)
		cli_warn(run->cli,
			 "kept as transaction %s: 'pleach diff %.12s' shows it, 'pleach commit' or "
			 "'pleach abort' ends it",
			 run->verdict->id, run->verdict->id);
}

/* Nothing was committed: the transaction is closed, and aborted if it is not parked. Returns 0 or the exit status. */
static int let_go(struct run *run)
{
	if (run->v->tx)
		run->verdict->is_kept = true; /* as it was before */
	else if (run->v->keep)
		park(run);
	return close_tx(run, 0);
}

/* Shows what --retry has held back. Returns 0 or the exit status. */
static int print_held(struct run *run)
{
	int status = run->spool ? spool_print(run->cli, run->spool) : 0;

	if (status != 0)
		run->verdict->is_of_command = false;
	return verdict_status(status);
}

/* A call of the library has failed. */
static int give_up(struct run *run, const struct pleach_error *error)
{
	int status;

	(void)let_go(run);
	(void)print_held(run); /* R3 */
	status = fail(run, error);
	tell_kept(run);
	return status;
}

/* As publish prints on stdout. */
static void print_result(struct run *run)
{
	const struct verdict *verdict = run->verdict;
	struct json json = {0};

	result_warn(run->cli, &verdict->result);
	if (run->cli->quiet)
		return;
	progress_clear();
	if (!run->cli->json) {
		result_text(stderr, verdict->ref, &verdict->result, false);
		fputc('\n', stderr);
		return;
	}
	json_object(&json, NULL);
	result_json(&json, verdict->ref, &verdict->result, false);
	json_object_end(&json);
	(void)json_write(&json, STDERR_FILENO); /* as all that goes to stderr */
	json_free(&json);
}

/* `error`: NULL, or why it is recorded, but not shown. */
static int landed(struct run *run, const struct pleach_error *error)
{
	int status;

	run->verdict->has_landed = true;
	run->cli->has_committed = !run->verdict->result.unchanged;
	run->verdict->is_of_command = true;
	status = print_held(run);
	print_result(run);
	if (error) {
		run->verdict->error = *error;
		run->verdict->is_of_command = false;
		cli_complain(run->cli, error);
		status = PROGRAM_OWN_FAILURE;
	}
	return close_tx(run, status);
}

static int conflict(struct run *run, const struct pleach_error *error)
{
	int status;

	run->verdict->error = *error;
	run->verdict->is_of_command = false;
	if (run->v->keep || run->v->keep_conflict)
		park(run);
	/* R3. What is not parked is aborted by whoever comes next, if this ends us. */
	(void)print_held(run);
	status = conflict_fail(run->cli, run->tx, error,
			       run->verdict->is_kept ? run->verdict->id : NULL,
			       &run->verdict->paths);
	status = close_tx(run, verdict_status(status));
	tell_kept(run);
	return status;
}

static int commit(struct run *run, bool *ret_again)
{
	struct pleach_commit_options commit_options = PLEACH_COMMIT_OPTIONS_INIT;
	struct pleach_error error = PLEACH_ERROR_INIT;
	int r, status;

	commit_options.message = run->v->message;
	progress_restart();
	r = pleach_tx_commit(run->tx, &commit_options, &run->verdict->result, &error);
	if (r >= 0)
		return landed(run, r > 0 ? &error : NULL);
	if (error.code == PLEACH_CONFLICT && run->attempt < run->v->retries) {
		status = close_tx(run, 0);
		*ret_again = status == 0;
		return status;
	}
	if (error.code == PLEACH_CONFLICT)
		return conflict(run, &error);
	return give_up(run, &error);
}

/* ---- the program ---------------------------------------------------------------------------- */

/* The exit status of a program that has ended. */
static int end_status(struct run *run, const struct job_end *how)
{
	run->verdict->is_of_command = how->what == JOB_EXITED || how->what == JOB_SIGNALED;
	switch (how->what) {
	case JOB_EXITED:
		if (how->value == 0 && how->is_terminal_gone && !run->v->tx)
			return verdict_fail_terminal_gone(run->verdict);
		return how->value;
	case JOB_SIGNALED:
		return 128 + how->value;
	case JOB_NO_EXEC:
		return program_not_started(run->cli, run->cli->rest[0], how->value,
					   &run->verdict->error);
	case JOB_TIMED_OUT: /* not asked for here */
	case JOB_CLIENT_GONE:
		break;
	}
	return verdict_fail_client_gone(run->verdict, run->v->watch_fd);
}

/* The program has ended, and nothing is to be committed. */
static int over(struct run *run, const struct job_end *how)
{
	int closed = let_go(run), held = print_held(run); /* R3 */
	int status = end_status(run, how);

	tell_kept(run);
	if (closed == 0 && (status != 0 || held == 0))
		return status;
	run->verdict->is_of_command = false;
	return closed ? closed : held;
}

/* One transaction, from its beginning to its end. `*ret_again`: it met a conflict, and is to be run again. */
static int attempt(struct run *run, bool *ret_again)
{
	struct job job = {.argv = run->cli->rest, .watch_fd = (int)run->v->watch_fd};
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct job_end how;
	int status = open_tx(run);

	if (status != 0)
		return status;
	job.tx = run->tx;
	job.spool = run->spool;
	progress_clear();
	if (job_run(&job, &how, &error) < 0)
		return give_up(run, &error);
	if (is_client_gone(run))
		how.what = JOB_CLIENT_GONE; /* also of a program that was quicker */
	if (how.what == JOB_EXITED && how.value == 0 && !run->v->tx && !how.is_terminal_gone)
		return commit(run, ret_again);
	return over(run, &how);
}

int attempts_run(struct cli *cli, const struct run_values *v, struct verdict *verdict)
{
	struct run run = {.cli = cli, .v = v, .verdict = verdict};
	struct pleach_error error = PLEACH_ERROR_INIT;
	bool is_again = true;
	int status = 0;

	if (is_client_gone(&run))
		return verdict_fail_client_gone(verdict, v->watch_fd);
	if (v->retries > 0 && spool_open(&run.spool, &error) < 0)
		return verdict_fail(verdict, &error);
	for (; is_again; run.attempt++) {
		is_again = false;
		status = attempt(&run, &is_again);
		if (is_again && cli->verbose)
			cli_warn(cli, "a conflict: running again, %lld of %lld",
				 (long long)run.attempt + 1, (long long)v->retries);
	}
	spool_close(run.spool);
	return status;
}
