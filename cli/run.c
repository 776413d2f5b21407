/*
 * run.c - `pleach run`: what it is asked for, and a run inside of another one.
 *
 * The transaction itself: attempt.c. What the exit status is: verdict.c. How the program shares the terminal
 * with us: job.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

static const struct option options[] = {
	{.letter = 'm',
	 .name = "message",
	 .type = OPTION_TEXT,
	 .argument = "MSG",
	 .help = "what the new generation is for",
	 .offset = offsetof(struct run_values, message)},
	{.name = "create",
	 .type = OPTION_FLAG,
	 .help = "begin with nothing if there is no such ref",
	 .offset = offsetof(struct run_values, create)},
	{.name = "wait",
	 .type = OPTION_DURATION,
	 .argument = "D",
	 .initial = -1,
	 .help = "queue up for 90s, 10m ... at most (exit 11)",
	 .offset = offsetof(struct run_values, wait_ms)},
	{.name = "no-wait",
	 .type = OPTION_FLAG,
	 .help = "exit 11 if another transaction is at work",
	 .offset = offsetof(struct run_values, no_wait)},
	{.name = "optimistic",
	 .type = OPTION_FLAG,
	 .help = "beside others, merge at the end",
	 .offset = offsetof(struct run_values, optimistic)},
	{.name = "serializable",
	 .type = OPTION_FLAG,
	 .help = "what it read must not have changed either",
	 .offset = offsetof(struct run_values, serializable)},
	{.name = "retry",
	 .type = OPTION_NUMBER,
	 .argument = "N",
	 .help = "after a conflict run again, N times at most",
	 .offset = offsetof(struct run_values, retries)},
	{.name = "workspace",
	 .type = OPTION_TEXT,
	 .argument = "W",
	 .help = "overlay, snapshot, reflink, user-overlay, copy",
	 .offset = offsetof(struct run_values, workspace)},
	{.name = "tx",
	 .type = OPTION_TEXT,
	 .argument = "ID",
	 .help = "in the transaction that 'begin' has begun",
	 .offset = offsetof(struct run_values, tx)},
	{.name = "keep",
	 .type = OPTION_FLAG,
	 .help = "after a failure, keep the transaction",
	 .offset = offsetof(struct run_values, keep)},
	{.name = "keep-conflict",
	 .type = OPTION_FLAG,
	 .help = "after a conflict, keep the transaction",
	 .offset = offsetof(struct run_values, keep_conflict)},
	{.name = "status-fd",
	 .type = OPTION_NUMBER,
	 .argument = "N",
	 .initial = -1,
	 .help = "tell how it ended, as JSON, to descriptor N",
	 .offset = offsetof(struct run_values, status_fd)},
	{.name = "watch-fd",
	 .type = OPTION_NUMBER,
	 .argument = "N",
	 .initial = -1,
	 .help = "abort when N's other end is closed",
	 .offset = offsetof(struct run_values, watch_fd)},
	{0},
};

/* ---- the command line ----------------------------------------------------------------------- */

static int check_descriptor(struct cli *cli, const char *option, int64_t fd)
{
	if (fd < 0 || (fd <= INT32_MAX && fcntl((int)fd, F_GETFD) >= 0))
		return 0;
	return cli_usage(cli, NULL, "run: --%s: descriptor %lld is not open", option,
			 (long long)fd);
}

/* What makes no sense together. */
static int check(struct cli *cli, const struct run_values *v)
{
	if (!cli->has_rest || cli->n_rest == 0)
		return cli_usage(cli, "usage: pleach run REF -- COMMAND...",
				 "run: no command stands behind '--'");
	if (!cli->args[0] && !v->tx)
		return cli_usage(cli, "usage: pleach run REF -- COMMAND...",
				 "run: an argument is missing");
	if (v->no_wait && v->wait_ms >= 0)
		return cli_usage(cli, NULL, "run: only one of --wait and --no-wait");
	if (v->tx && (v->retries || v->workspace || v->create || v->message || v->serializable ||
		      v->keep_conflict))
		return cli_usage(
			cli, "these belong to 'pleach begin' and 'pleach commit'",
			"run: --tx does not go with --create, --serializable, --workspace, "
			"--retry, --keep-conflict and -m");
	return 0;
}

/* ---- inside of another one ------------------------------------------------------------------ */

/* 1: joins the transaction around it, 0: one of its own, or the exit status, negated. */
static int is_inside(struct cli *cli, const struct run_values *v, struct verdict *verdict)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	const char *ref = cli->args[0];
	int inside = ref ? pleach_tx_inside(cli->store, ref, verdict->id, &error) : 0;

	if (inside < 0)
		return -verdict_fail(verdict, &error);
	if (inside && v->tx && strncmp(verdict->id, v->tx, strlen(v->tx)) != 0)
		inside = 0; /* into another one: pleach_tx_open() says what to think of that */
	if (!inside)
		verdict->id[0] = 0;
	return inside;
}

/* The program is one more of the transaction around it. */
static int join(struct cli *cli, const struct run_values *v, struct verdict *verdict)
{
	int status;

	if (cli->verbose)
		cli_warn(cli, "part of transaction %s", verdict->id);
	verdict->has_joined = true;
	progress_clear();
	status = signals_run_watched(cli->rest, (int)v->watch_fd);
	verdict->is_of_command = status >= 0;
	if (status >= 0)
		return status;
	if (status == -EPIPE)
		return verdict_fail_client_gone(verdict, v->watch_fd);
	return program_not_started(cli, cli->rest[0], -status, &verdict->error);
}

static int run_checked(struct cli *cli, const struct run_values *v, struct verdict *verdict)
{
	int status = cli_open(cli), inside;

	if (status != 0)
		return verdict_status(status);
	if (cli->args[0])
		snprintf(verdict->ref, sizeof(verdict->ref), "%s", cli->args[0]);
	if (v->watch_fd >= 0)
		progress_watch(cli, (int)v->watch_fd);
	inside = is_inside(cli, v, verdict);
	if (inside < 0)
		return -inside;
	return inside ? join(cli, v, verdict) : attempts_run(cli, v, verdict);
}

static int run(struct cli *cli, const void *values)
{
	const struct run_values *v = values;
	struct verdict verdict = {
		.cli = cli, .error = PLEACH_ERROR_INIT, .result = PLEACH_PUBLISH_RESULT_INIT};
	int status = check_descriptor(cli, "status-fd", v->status_fd);

	if (status == 0)
		status = check_descriptor(cli, "watch-fd", v->watch_fd);
	if (status != 0)
		return status;
	if (v->status_fd > STDERR_FILENO) /* its end is the end of us, not of the program */
		(void)fcntl((int)v->status_fd, F_SETFD, FD_CLOEXEC);
	status = check(cli, v);
	if (status == 0)
		status = run_checked(cli, v, &verdict);
	if (v->status_fd >= 0)
		verdict_report(&verdict, (int)v->status_fd, status);
	/* What is told where a generation came of it: attempt.c. */
	if (cli->json && !cli->quiet && verdict.is_of_command && !verdict.has_landed)
		verdict_report(&verdict, STDERR_FILENO, status);
	verdict_done(&verdict);
	return status;
}

const struct command command_run = {
	.name = "run",
	.group = GROUP_TX,
	.summary = "run a command that changes a ref, wholly or not at all",
	.operands = "REF -- COMMAND...",
	.details =
		"COMMAND finds a plain, writable directory where the ref's tree is otherwise: at\n"
		"its public path and wherever it is attached. If it ends with 0, what it has made\n"
		"of it is the next generation; if it ends in any other way, nothing has happened.\n"
		"What it leaves running is ended. PLEACH_PATH is the directory; PLEACH_STORE (an\n"
		"absolute path), PLEACH_REF, PLEACH_BASE (the generation that it began with) and\n"
		"PLEACH_TX are set too. A 'pleach run' on the same ref inside of COMMAND is a\n"
		"part of it.\n"
		"\n"
		"Transactions on a ref queue up, unless they are --optimistic: these are merged,\n"
		"path by path. A publish waits for nobody, so that each can meet a conflict: then\n"
		"the paths are named, and nothing has happened, either.\n"
		"\n"
		"The exit status is COMMAND's, 128+n if signal n ended it; 126 if it is not\n"
		"executable, 127 if it is not found. pleach's own: 11 busy, 12 conflict, 13\n"
		"corrupt, 14 no space, 125 anything else, also a wrong command line. --status-fd\n"
		"tells whose it is, by one line at the end: {\"by\":\"command\" or \"pleach\",\n"
		"\"status\",\"ref\",\"tx\",\"base\",\"generation\",\"tree\",\"unchanged\","
		"\"joined\",\n"
		"\"kept\",\"error\"}.\n"
		"The error of a conflict has its paths, as that of 'pleach --json commit'.\n"
		"\n"
		"Standard output is COMMAND's. What is told of the new generation goes to\n"
		"standard error, as an object with --json; if COMMAND fails, or nothing was to be\n"
		"committed yet (--tx), that object is the line of --status-fd. -q leaves it out.\n"
		"An error of pleach's own is a document on standard output, as everywhere.\n"
		"\n"
		"With --retry, output is held back until it is known which run is the last. Each\n"
		"run is given the same input, also that of a pipe; a terminal asks anew.\n"
		"\n"
		"With --watch-fd, the other end of a pipe or a socket is the client's. When that\n"
		"is closed, or sends no more, COMMAND is killed, nothing has happened, and the\n"
		"exit status is 125. Nothing is read from it.\n"
		"\n"
		"A terminal that hangs up ends it, too, with 129, also if COMMAND then ends with\n"
		"0, as shells do; not under nohup.\n"
		"\n"
		"With --tx, COMMAND works in a transaction of 'pleach begin', which stays as\n"
		"COMMAND leaves it, however it ends; REF can be left out.\n",
	.options = options,
	.values_size = sizeof(struct run_values),
	.least = 0,
	.most = 1,
	.takes_rest = true,
	.run = run,
};
