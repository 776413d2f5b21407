/*
 * progress.c - tells on stderr how far a long call has come.
 *
 * auto: one line that is written over, only on a terminal, and only once half a second has passed, so
 * that quick work shows nothing. plain: a line a second and one for each phase. json: the same as
 * {"progress":{"phase","done","total","bytes"}}.
 *
 * Waiting for others ("wait", `done` in seconds) is told after a second; without a terminal by a note with -v.
 * Where the library tells how far it is, the client of `run --watch-fd` is looked after, too.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli.h"

#define START_MS  500  /* auto: quiet until then */
#define REDRAW_MS 100  /* auto: at most that often */
#define REPORT_MS 1000 /* plain, json */

static struct {
	enum progress_mode mode;
	int64_t started_ms, last_ms;
	const char *phase; /* static strings of the library */
	bool is_shown;	   /* there is a line on the terminal to take off */
	struct cli *cli;
	bool notes_waiting; /* once, with -v where there is no line */
	int watch_fd;
} state = {.mode = PROGRESS_NONE, .watch_fd = -1};

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void print_json(const struct pleach_progress *progress)
{
	fprintf(stderr, "{\"progress\":{\"phase\":\"%s\",\"done\":%llu,\"total\":", progress->phase,
		(unsigned long long)progress->done);
	if (progress->total)
		fprintf(stderr, "%llu", (unsigned long long)progress->total);
	else
		fputs("null", stderr);
	fprintf(stderr, ",\"bytes\":%llu}}\n", (unsigned long long)progress->done_bytes);
}

static bool is_waiting(const struct pleach_progress *progress)
{
	return strcmp(progress->phase, "wait") == 0;
}

static void print_text(const struct pleach_progress *progress)
{
	char size[SIZE_TEXT_MAX], total[32] = "";
	bool is_line = state.mode == PROGRESS_AUTO;

	if (progress->total)
		snprintf(total, sizeof(total), " of %llu", (unsigned long long)progress->total);
	fputs(is_line ? "\r" : "", stderr);
	if (is_waiting(progress))
		fprintf(stderr, "waiting for another transaction: %llu s",
			(unsigned long long)progress->done);
	else
		fprintf(stderr, "%s: %llu%s, %s", progress->phase,
			(unsigned long long)progress->done, total,
			size_human(progress->done_bytes, size));
	fputs(is_line ? "\033[K" : "\n", stderr);
	state.is_shown = is_line;
}

static void report(const struct pleach_progress *progress, void *userdata)
{
	int64_t now = now_ms();
	bool is_new_phase = !state.phase || strcmp(state.phase, progress->phase) != 0;

	(void)userdata;
	if (state.watch_fd >= 0 && job_client_is_gone(state.watch_fd))
		pleach_store_cancel(state.cli->store);
	if (is_waiting(progress) && progress->done == 0)
		return;
	if (is_waiting(progress) && state.notes_waiting)
		cli_warn(state.cli, "waiting for another transaction");
	if (is_waiting(progress))
		state.notes_waiting = false;
	if (state.mode == PROGRESS_NONE)
		return;
	if (state.mode == PROGRESS_AUTO) {
		if (now - state.started_ms < START_MS || now - state.last_ms < REDRAW_MS)
			return;
	} else if (!is_new_phase && now - state.last_ms < REPORT_MS) {
		return;
	}
	state.phase = progress->phase;
	state.last_ms = now;
	if (state.mode == PROGRESS_JSON)
		print_json(progress);
	else
		print_text(progress);
}

pleach_progress_fn progress_begin(struct cli *cli)
{
	enum progress_mode mode = (enum progress_mode)cli->progress;
	const char *term = getenv("TERM");

	state.cli = cli;
	if (mode == PROGRESS_AUTO &&
	    (cli->quiet || !output_is_terminal(stderr) || !term || strcmp(term, "dumb") == 0))
		mode = PROGRESS_NONE;
	state.mode = mode;
	state.notes_waiting = mode == PROGRESS_NONE && cli->verbose;
	progress_restart();
	return mode != PROGRESS_NONE || state.notes_waiting ? report : NULL;
}

void progress_start(struct cli *cli)
{
	pleach_progress_fn fn = progress_begin(cli);

	if (fn)
		pleach_store_set_progress(cli->store, fn, NULL);
}

void progress_restart(void)
{
	state.started_ms = now_ms();
}

void progress_watch(struct cli *cli, int fd)
{
	state.watch_fd = fd;
	pleach_store_set_progress(cli->store, report, NULL);
}

void progress_clear(void)
{
	if (!state.is_shown)
		return;
	fputs("\r\033[K", stderr);
	state.is_shown = false;
}
