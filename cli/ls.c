/*
 * ls.c - `pleach ls`: what is in a tree.
 */
#include "cli.h"

struct values {
	bool is_long, is_recursive, is_raw;
};

static const struct option options[] = {
	{.letter = 'l',
	 .name = "long",
	 .type = OPTION_FLAG,
	 .help = "mode, links, owner, group, size, time, target",
	 .offset = offsetof(struct values, is_long)},
	{.letter = 'R',
	 .name = "recursive",
	 .type = OPTION_FLAG,
	 .help = "what is below directories too",
	 .offset = offsetof(struct values, is_recursive)},
	{.letter = 'z',
	 .name = "null",
	 .type = OPTION_FLAG,
	 .help = "end lines with NUL, quote nothing",
	 .offset = offsetof(struct values, is_raw)},
	{0},
};

static int print(struct cli *cli, const struct values *v, struct json *json,
		 const struct pleach_entry *entry)
{
	if (cli->json) {
		entry_json(json, NULL, entry);
		return json_print(cli, json);
	}
	if (v->is_long)
		entry_columns(entry);
	output_name(entry->path, v->is_raw);
	if (v->is_long)
		entry_tail(entry, v->is_raw);
	return output_end(cli, v->is_raw);
}

static int run(struct cli *cli, const void *values)
{
	const struct values *v = values;
	struct pleach_entry entry = PLEACH_ENTRY_INIT;
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct json json = {0};
	struct pleach_ls *ls;
	int status = cli_open(cli), result = 0;

	if (status != 0)
		return status;
	if (pleach_ls_open(cli->store, cli->args[0], v->is_recursive, &ls, &error) < 0)
		return cli_fail(cli, &error);
	while (status == 0 && (result = pleach_ls_next(ls, &entry, &error)) > 0)
		status = print(cli, v, &json, &entry);
	if (status == 0 && result < 0)
		status = cli_fail(cli, &error);
	json_free(&json);
	pleach_ls_close(ls);
	return status;
}

const struct command command_ls = {
	.name = "ls",
	.group = GROUP_LOOK,
	.summary = "what is in a tree",
	.operands = "REV[:path]",
	.details = "Paths are relative to the root of the tree, in byte order, so that REV:PATH\n"
		   "leads to each of them.\n",
	.options = options,
	.values_size = sizeof(struct values),
	.least = 1,
	.most = 1,
	.run = run,
};
