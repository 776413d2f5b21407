/*
 * commit.c - `pleach commit`: what a transaction of `pleach begin` holds becomes the next generation.
 */
#include <string.h>

#include "cli.h"

struct values {
	const char *message;
	bool is_resolved;
};

static const struct option options[] = {
	{.letter = 'm',
	 .name = "message",
	 .type = OPTION_TEXT,
	 .argument = "MSG",
	 .help = "what the new generation is for",
	 .offset = offsetof(struct values, message)},
	{.name = "resolved",
	 .type = OPTION_FLAG,
	 .help = "what conflicts is as the transaction has it",
	 .offset = offsetof(struct values, is_resolved)},
	{0},
};

/* `error`: NULL, or why it is recorded, but not shown. */
static int print(struct cli *cli, const char *ref, const struct pleach_publish_result *result,
		 const struct pleach_error *error)
{
	struct json json = {0};
	int status = 0;

	if (cli->json) {
		json_object(&json, NULL);
		result_json(&json, ref, result, false);
		if (error)
			json_error(&json, "error", error);
		json_object_end(&json);
		status = json_print(cli, &json);
		json_free(&json);
	} else if (!cli->quiet) {
		progress_clear();
		result_text(stdout, ref, result, false);
		status = output_end(cli, false);
	}
	result_warn(cli, result);
	if (error) {
		cli_complain(cli, error);
		status = status ? status : PLEACH_PARTIAL;
	}
	return status;
}

static int commit(struct cli *cli, const struct values *v, struct pleach_tx *tx)
{
	struct pleach_commit_options commit_options = PLEACH_COMMIT_OPTIONS_INIT;
	struct pleach_publish_result result = PLEACH_PUBLISH_RESULT_INIT;
	struct pleach_tx_info info = PLEACH_TX_INFO_INIT;
	struct pleach_error error = PLEACH_ERROR_INIT;
	char ref[PLEACH_REF_MAX + 1], id[32];
	int r;

	pleach_tx_describe(tx, &info);
	snprintf(ref, sizeof(ref), "%s", info.ref);
	snprintf(id, sizeof(id), "%s", info.id);
	commit_options.message = v->message;
	commit_options.is_resolved = v->is_resolved;
	r = pleach_tx_commit(tx, &commit_options, &result, &error);
	if (r < 0)
		return conflict_fail(cli, tx, &error, id, NULL);
	cli->has_committed = !result.unchanged;
	return print(cli, ref, &result, r > 0 ? &error : NULL);
}

static int run(struct cli *cli, const void *values)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pleach_tx *tx;
	int status = cli_open(cli);

	if (status != 0)
		return status;
	if (pleach_tx_open(cli->store, cli->args[0], &tx, &error) < 0)
		return cli_fail(cli, &error);
	status = commit(cli, values, tx);
	if (pleach_tx_close(tx, &error) < 0) {
		cli_complain(cli, &error);
		status = status ? status : cli_status(&error);
	}
	return status;
}

const struct command command_commit = {
	.name = "commit",
	.group = GROUP_TX,
	.summary = "make what a transaction holds the next generation",
	.operands = "ID",
	.details =
		"ID is what 'pleach begin' has printed, or a unique beginning of it. What others\n"
		"have published since is merged, path by path. In a conflict (exit status 12) the\n"
		"paths are named, and the transaction stays as it is: mend them in it, and commit\n"
		"with --resolved; or abort it.\n",
	.options = options,
	.values_size = sizeof(struct values),
	.least = 1,
	.most = 1,
	.run = run,
};
