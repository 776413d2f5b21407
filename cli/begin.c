/*
 * begin.c - `pleach begin`: a transaction that nobody holds, for programs that cannot be wrapped by `run`.
 *
 * B1  Its id is printed only once the transaction is durable; one whose id cannot be printed is aborted.
 */
#include <stdlib.h>
#include <string.h>

#include "cli.h"

struct values {
	const char *checkout, *workspace;
	int64_t timeout_ms;
	bool create;
};

static const struct option options[] = {
	{.name = "checkout",
	 .type = OPTION_TEXT,
	 .argument = "DIR",
	 .help = "work in DIR, which is new or empty",
	 .offset = offsetof(struct values, checkout)},
	{.name = "timeout",
	 .type = OPTION_DURATION,
	 .argument = "D",
	 .initial = -1,
	 .help = "it expires after D without use (default: 7d)",
	 .offset = offsetof(struct values, timeout_ms)},
	{.name = "workspace",
	 .type = OPTION_TEXT,
	 .argument = "W",
	 .help = "overlay, snapshot, reflink, user-overlay, copy",
	 .offset = offsetof(struct values, workspace)},
	{.name = "create",
	 .type = OPTION_FLAG,
	 .help = "begin with nothing if there is no such ref",
	 .offset = offsetof(struct values, create)},
	{0},
};

/* What is printed; the handle, which it is from, is closed by then. */
struct begun {
	char id[32];
	char *path;
	struct json json;
};

static bool describe(const struct pleach_tx_info *info, struct begun *begun)
{
	struct json *json = &begun->json;

	snprintf(begun->id, sizeof(begun->id), "%s", info->id);
	begun->path = info->path ? strdup(info->path) : NULL;
	json_object(json, NULL);
	json_name(json, "tx", info->id);
	json_name(json, "ref", info->ref);
	if (info->base)
		json_number(json, "base", info->base);
	else
		json_null(json, "base");
	json_prose(json, "workspace", info->workspace);
	json_name(json, "path", info->path);
	json_time(json, "expires", info->expires_s, 0);
	json_object_end(json);
	return !json->has_failed && (begun->path || !info->path);
}

static int print(struct cli *cli, struct begun *begun)
{
	int status;

	progress_clear();
	if (cli->json)
		return output_finish(cli, json_print(cli, &begun->json));
	fputs(begun->id, stdout);
	status = output_end(cli, false);
	if (status == 0 && begun->path) {
		output_name(begun->path, false);
		status = output_end(cli, false);
	}
	return output_finish(cli, status);
}

/* Nobody knows its id (B1). */
static void undo(struct cli *cli, const char *id)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pleach_tx *tx = NULL;

	if (pleach_tx_open(cli->store, id, &tx, &error) < 0 || pleach_tx_abort(tx, &error) < 0)
		cli_complain(cli, &error);
	(void)pleach_tx_close(tx, NULL); /* aborted, or it has been told why not */
}

void begin_note(struct cli *cli, const struct pleach_tx_info *info)
{
	if (!cli->verbose)
		return;
	for (const char *const *line = info->passed_over; line && *line; line++)
		cli_warn(cli, "workspace passed over: %s", *line);
	cli_warn(cli, "transaction %s, workspace: %s", info->id, info->workspace);
}

static int begin(struct cli *cli, const struct values *v, struct begun *begun)
{
	struct pleach_tx_options tx_options = PLEACH_TX_OPTIONS_INIT;
	struct pleach_tx_info info = PLEACH_TX_INFO_INIT;
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pleach_tx *tx;

	tx_options.create = v->create;
	tx_options.parked = true;
	tx_options.workspace = v->workspace;
	tx_options.checkout = v->checkout;
	tx_options.timeout_ms = v->timeout_ms;
	if (pleach_tx_begin(cli->store, cli->args[0], &tx_options, &tx, &error) < 0)
		return cli_fail(cli, &error);
	pleach_tx_describe(tx, &info);
	begin_note(cli, &info);
	if (!describe(&info, begun)) {
		(void)pleach_tx_abort(tx, NULL); /* what it leaves, the next command removes */
		(void)pleach_tx_close(tx, NULL);
		return cli_no_memory(cli);
	}
	if (pleach_tx_close(tx, &error) < 0)
		return cli_fail(cli, &error);
	return 0;
}

static int run(struct cli *cli, const void *values)
{
	struct begun begun = {.path = NULL};
	int status = cli_open(cli);

	if (status != 0)
		return status;
	status = begin(cli, values, &begun);
	if (status == 0) {
		status = print(cli, &begun);
		if (status != 0)
			undo(cli, begun.id);
	}
	free(begun.path);
	json_free(&begun.json);
	return status;
}

const struct command command_begin = {
	.name = "begin",
	.group = GROUP_TX,
	.summary = "begin a transaction, to be worked on in steps",
	.operands = "REF",
	.details = "Prints the id of the transaction and, where it is a directory that everybody\n"
		   "sees, on a second line its path. Go on with\n"
		   "\n"
		   "  pleach run --tx ID -- COMMAND...   as often as needed\n"
		   "  pleach status ID, pleach diff ID   what it is, what it has changed so far\n"
		   "  pleach commit ID, pleach abort ID  its end\n"
		   "\n"
		   "Between the steps no process holds it. It waits for nobody: what others have\n"
		   "published meanwhile is merged when it is committed. With --checkout it is an\n"
		   "ordinary directory, on any file system, to be worked on by any means.\n",
	.options = options,
	.values_size = sizeof(struct values),
	.least = 1,
	.most = 1,
	.run = run,
};
