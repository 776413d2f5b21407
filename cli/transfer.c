/*
 * transfer.c - the transactions of one `pleach sync`, and the program that works in them.
 *
 *	begin_tx() --run_command()--> commit() --> landed(): what is public is what was synced
 *	   ^    ^                     |  '--a conflict, --retry: in a new transaction--.
 *	   |    '---------------------|-------------------------------------------------'
 *	   '--failed(), --retry-------'--> give_up(): the transaction is aborted, what was public is public
 *
 * T1  Another sync of the ref waits in its queue, and looks then whether there is still something to do.
 * T2  A program that was ended from outside has had no time to clean up: it is run again in a new workspace. One
 *     that has ended by itself goes on where it was.
 * T3  Whoever ends the command while the program runs ends the sync: it is not run again.
 * T4  Statuses are ours, not the program's: rsync has meanings of its own for 10 to 14.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli.h"

#define LONGEST_DELAY_MS INT64_C(3600000)

/* ---- a transaction -------------------------------------------------------------------------- */

static int begin_tx(struct sync *sync)
{
	struct pleach_tx_options tx_options = PLEACH_TX_OPTIONS_INIT;
	struct pleach_tx_info info = PLEACH_TX_INFO_INIT;
	struct pleach_error error = PLEACH_ERROR_INIT;

	tx_options.create = true;
	tx_options.wait_ms = sync->v->no_wait ? 0 : sync->v->wait_ms;
	if (pleach_tx_begin(sync->cli->store, sync->ref, &tx_options, &sync->tx, &error) < 0)
		return cli_fail(sync->cli, &error);
	pleach_tx_describe(sync->tx, &info);
	begin_note(sync->cli, &info);
	return 0;
}

/* Aborts what has not landed. A failure is told of, and changes no status: nothing is public by it. */
static void end_tx(struct sync *sync)
{
	struct pleach_error error = PLEACH_ERROR_INIT;

	if (sync->tx && pleach_tx_close(sync->tx, &error) < 0)
		cli_complain(sync->cli, &error);
	sync->tx = NULL;
}

/* ---- COMMAND -------------------------------------------------------------------------------- */

/* `word` with `path` for each {}; malloc()ed, or NULL. */
static char *word_with(const char *word, const char *path)
{
	size_t n = 0, length = strlen(path);
	char *text, *at;

	for (const char *found = word; (found = strstr(found, "{}")); found += 2)
		n++;
	text = at = malloc(strlen(word) + n * length + 1);
	while (text && *word) {
		if (strncmp(word, "{}", 2) == 0) {
			memcpy(at, path, length);
			at += length;
			word += 2;
		} else {
			*at++ = *word++;
		}
	}
	if (text)
		*at = 0;
	return text;
}

static void words_free(char **words)
{
	for (size_t i = 0; words && words[i]; i++)
		free(words[i]);
	free(words);
}

/* COMMAND as it is executed; words_free(). NULL: no memory. */
static char **words_new(const struct sync *sync)
{
	struct pleach_tx_info info = PLEACH_TX_INFO_INIT;
	char **words = calloc(sync->cli->n_rest + 1, sizeof(*words));

	pleach_tx_describe(sync->tx, &info);
	for (size_t i = 0; words && i < sync->cli->n_rest; i++) {
		words[i] = word_with(sync->cli->rest[i], info.public_path);
		if (!words[i]) {
			words_free(words);
			return NULL;
		}
	}
	return words;
}

/* Returns 0 or the exit status. */
static int run_command(struct sync *sync, struct job_end *ret_end)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct job job = {.tx = sync->tx, .watch_fd = -1, .is_told_on_stderr = true};
	char **words = words_new(sync);
	int r;

	if (!words)
		return cli_no_memory(sync->cli);
	job.argv = words;
	job.timeout_ms = sync->v->timeout_ms;
	sync->began_s = (int64_t)time(NULL);
	progress_clear();
	r = job_run(&job, ret_end, &error);
	words_free(words);
	return r < 0 ? cli_fail(sync->cli, &error) : 0;
}

/* ---- it failed ------------------------------------------------------------------------------ */

static void end_text(const struct sync *sync, const struct job_end *end, char *ret_text,
		     size_t room)
{
	const char *name = sync->cli->rest[0];

	if (end->what == JOB_TIMED_OUT)
		snprintf(ret_text, room, "'%s' was ended, it took longer than %llds", name,
			 (long long)(sync->v->timeout_ms / 1000));
	else if (end->what == JOB_SIGNALED)
		snprintf(ret_text, room, "'%s' was ended by signal %d", name, end->value);
	else
		snprintf(ret_text, room, "'%s' ended with %d", name, end->value);
}

/* The document of the failure: with how COMMAND ended. */
static int print_failure(struct sync *sync, const struct pleach_error *error,
			 const struct job_end *end)
{
	struct json json = {0};

	json_object(&json, NULL);
	json_error_begin(&json, "error", error);
	json_number(&json, "attempts", (uint64_t)sync->attempt);
	if (end->what == JOB_EXITED)
		json_number(&json, "status", (uint64_t)end->value);
	else
		json_null(&json, "status");
	if (end->what == JOB_SIGNALED)
		json_number(&json, "signal", (uint64_t)end->value);
	else
		json_null(&json, "signal");
	json_bool(&json, "timed_out", end->what == JOB_TIMED_OUT);
	json_object_end(&json);
	json_object_end(&json);
	(void)json_print(sync->cli, &json); /* told on stderr as well */
	json_free(&json);
	return PLEACH_FAILED; /* T4 */
}

/* COMMAND is not run again. What it has made is gone; what stays is told. */
static int give_up(struct sync *sync, const struct job_end *end)
{
	struct pleach_revision head = PLEACH_REVISION_INIT;
	struct pleach_error error = PLEACH_ERROR_INIT;
	char how[512], stays[PLEACH_REF_MAX + 64] = "nothing was published";
	int r;

	end_tx(sync);
	r = pleach_resolve(sync->cli->store, sync->ref, &head, NULL);
	if (r >= 0)
		snprintf(stays, sizeof(stays), "%s@%llu stays public", sync->ref,
			 (unsigned long long)head.generation);
	end_text(sync, end, how, sizeof(how));
	cli_error_set(&error, PLEACH_FAILED, NULL,
		      sync->v->retries ? NULL : "--retry=N has it run again",
		      "cannot sync '%s': %s (attempt %lld of %lld); %s", sync->ref, how,
		      (long long)sync->attempt, (long long)sync->v->retries + 1, stays);
	cli_complain(sync->cli, &error);
	if (sync->cli->json)
		return print_failure(sync, &error, end);
	return PLEACH_FAILED; /* T4 */
}

/* A signal has ended it (T3). */
static int interrupted(struct sync *sync, int signal)
{
	end_tx(sync);
	cli_failf(sync->cli, PLEACH_INTERRUPTED, NULL, NULL,
		  "the sync of '%s' was interrupted by signal %d: nothing was published", sync->ref,
		  signal);
	return 128 + signal;
}

static int64_t delay_of(const struct sync *sync)
{
	int64_t delay_ms = sync->v->delay_ms;

	for (int64_t i = 1; i < sync->attempt && delay_ms > 0 && delay_ms < LONGEST_DELAY_MS; i++)
		delay_ms *= 2;
	return delay_ms < LONGEST_DELAY_MS ? delay_ms : LONGEST_DELAY_MS;
}

/* Waits for the next attempt. Returns 0 or the exit status. */
static int pause_before_retry(struct sync *sync, const char *why)
{
	int64_t delay_ms = delay_of(sync);

	cli_warn(sync->cli, "%s: attempt %lld of %lld in %llds", why, (long long)sync->attempt + 1,
		 (long long)sync->v->retries + 1, (long long)(delay_ms / 1000));
	if (signals_pause(delay_ms))
		return 0;
	return interrupted(sync, signals_caught());
}

static int failed(struct sync *sync, const struct job_end *end, bool *ret_again)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	int signal = signals_lent();
	char how[512];

	if (end->what == JOB_NO_EXEC) {
		end_tx(sync);
		(void)program_not_started(sync->cli, sync->cli->rest[0], end->value, &error);
		return PLEACH_FAILED; /* T4 */
	}
	if (signal)
		return interrupted(sync, signal);
	if (sync->attempt > sync->v->retries)
		return give_up(sync, end);
	if (end->what != JOB_EXITED || sync->v->anew)
		end_tx(sync); /* T2 */
	*ret_again = true;
	end_text(sync, end, how, sizeof(how));
	return pause_before_retry(sync, how);
}

/* ---- it is done ----------------------------------------------------------------------------- */

/* `error`: NULL, or why it is recorded, but not shown. */
static int print_landed(struct sync *sync, const struct pleach_publish_result *result,
			const struct pleach_error *error)
{
	struct json json = {0};
	int status;

	progress_clear();
	if (!sync->cli->json) {
		if (sync->cli->quiet)
			return 0;
		result_text(stdout, sync->ref, result, false);
		return output_end(sync->cli, false);
	}
	json_object(&json, NULL);
	result_json(&json, sync->ref, result, false);
	json_bool(&json, "fresh", false);
	json_number(&json, "attempts", (uint64_t)sync->attempt);
	if (error)
		json_error(&json, "error", error);
	json_object_end(&json);
	status = json_print(sync->cli, &json);
	json_free(&json);
	return status;
}

static int landed(struct sync *sync, const struct pleach_publish_result *result,
		  const struct pleach_error *error)
{
	int noted, status;

	sync->cli->has_committed = !result->unchanged;
	noted = sync_note(sync); /* T1: while the next one still waits */
	end_tx(sync);
	status = print_landed(sync, result, error);
	result_warn(sync->cli, result);
	if (error) {
		cli_complain(sync->cli, error);
		noted = PLEACH_PARTIAL;
	}
	return status ? status : noted;
}

static int commit(struct sync *sync, bool *ret_again)
{
	struct pleach_commit_options commit_options = PLEACH_COMMIT_OPTIONS_INIT;
	struct pleach_publish_result result = PLEACH_PUBLISH_RESULT_INIT;
	struct pleach_error error = PLEACH_ERROR_INIT;
	int r, status;

	commit_options.message = sync->v->message;
	progress_restart();
	r = pleach_tx_commit(sync->tx, &commit_options, &result, &error);
	if (r >= 0)
		return landed(sync, &result, r > 0 ? &error : NULL);
	if (error.code == PLEACH_CONFLICT && sync->attempt <= sync->v->retries) {
		end_tx(sync);
		*ret_again = true;
		return pause_before_retry(sync, "somebody has published meanwhile");
	}
	status = conflict_fail(sync->cli, sync->tx, &error, NULL, NULL);
	end_tx(sync);
	return status;
}

/* ---- from start to end ---------------------------------------------------------------------- */

/* Runs COMMAND once. `*ret_again`: it is to be run once more. Returns 0 or the exit status. */
static int attempt(struct sync *sync, bool *ret_again)
{
	struct job_end end;
	bool is_fresh = false;
	int status = 0;

	sync->attempt++;
	if (!sync->tx) {
		status = begin_tx(sync);
		if (status == 0)
			status = sync_tell_if_fresh(sync, &is_fresh); /* T1 */
	}
	if (status == 0 && !is_fresh)
		status = run_command(sync, &end);
	if (status != 0 || is_fresh) {
		end_tx(sync);
		return status;
	}
	if (end.what == JOB_EXITED && end.value == 0)
		return commit(sync, ret_again);
	return failed(sync, &end, ret_again);
}

int transfer_run(struct sync *sync)
{
	bool is_again = true;
	int status = 0;

	while (status == 0 && is_again) {
		is_again = false;
		status = attempt(sync, &is_again);
	}
	return status;
}
