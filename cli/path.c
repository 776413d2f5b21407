/*
 * path.c - `pleach path`: where a revision is placed; `pleach wait`: until there is a newer one.
 */
#include <errno.h>

#include "cli.h"

/* ---- path ----------------------------------------------------------------------------------- */

struct path_values {
	bool is_raw;
};

static const struct option path_options[] = {
	{.letter = 'z',
	 .name = "null",
	 .type = OPTION_FLAG,
	 .help = "end the line with NUL, quote nothing",
	 .offset = offsetof(struct path_values, is_raw)},
	{0},
};

static int path_run(struct cli *cli, const void *values)
{
	const struct path_values *v = values;
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct json json = {0};
	char *path;
	int status = cli_open(cli);

	if (status != 0)
		return status;
	if (pleach_path(cli->store, cli->args[0], &path, &error) < 0)
		return cli_fail(cli, &error);
	if (cli->json) {
		json_object(&json, NULL);
		json_name(&json, "path", path);
		json_object_end(&json);
		status = json_print(cli, &json);
	} else {
		progress_clear();
		output_name(path, v->is_raw);
		status = output_end(cli, v->is_raw);
	}
	json_free(&json);
	pleach_free(path);
	return status;
}

const struct command command_path = {
	.name = "path",
	.group = GROUP_LOOK,
	.summary = "where a revision is placed",
	.operands = "REV[:path]",
	.details =
		"Prints an absolute path. A tree that is not placed is placed first, which only\n"
		"the owner of the store can; it then stays for the grace at least. To hold it\n"
		"longer, use 'pleach pin'.\n",
	.options = path_options,
	.values_size = sizeof(struct path_values),
	.least = 1,
	.most = 1,
	.run = path_run,
};

/* ---- wait ----------------------------------------------------------------------------------- */

struct wait_values {
	int64_t after, timeout_ms;
};

static const struct option wait_options[] = {
	{.name = "after",
	 .type = OPTION_NUMBER,
	 .argument = "N",
	 .initial = -1,
	 .help = "newer than N (default: than the head now)",
	 .offset = offsetof(struct wait_values, after)},
	{.name = "timeout",
	 .type = OPTION_DURATION,
	 .argument = "D",
	 .initial = -1,
	 .help = "give up after 90s, 10m, 12h ... (exit 11)",
	 .offset = offsetof(struct wait_values, timeout_ms)},
	{0},
};

static int wait_run(struct cli *cli, const void *values)
{
	const struct wait_values *v = values;
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct json json = {0};
	uint64_t generation;
	int status = cli_open(cli);

	if (status != 0)
		return status;
	if (pleach_wait(cli->store, cli->args[0], v->after, v->timeout_ms, &generation, &error) < 0)
		return cli_fail(cli, &error);
	if (cli->json) {
		json_object(&json, NULL);
		json_name(&json, "ref", cli->args[0]);
		json_number(&json, "generation", generation);
		json_object_end(&json);
		status = json_print(cli, &json);
		json_free(&json);
		return status;
	}
	printf("%llu", (unsigned long long)generation);
	return output_end(cli, false);
}

const struct command command_wait = {
	.name = "wait",
	.group = GROUP_LOOK,
	.summary = "wait for a newer generation, print its number",
	.operands = "REF",
	.details = "A ref that is not there yet is waited for.\n",
	.options = wait_options,
	.values_size = sizeof(struct wait_values),
	.least = 1,
	.most = 1,
	.run = wait_run,
};
