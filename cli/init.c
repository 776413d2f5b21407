/*
 * init.c - `pleach init`: make a store.
 */
#include <stdlib.h>

#include "cli.h"

struct values {
	const char *metadata, *share, *hash;
	bool force;
};

static const struct option options[] = {
	{.name = "metadata",
	 .type = OPTION_TEXT,
	 .argument = "RULE",
	 .help = "exact (default), portable or canonical",
	 .offset = offsetof(struct values, metadata)},
	{.name = "share",
	 .type = OPTION_TEXT,
	 .argument = "HOW",
	 .help = "inodes of placed trees: names or content",
	 .offset = offsetof(struct values, share)},
	{.name = "hash",
	 .type = OPTION_TEXT,
	 .argument = "NAME",
	 .help = "sha256",
	 .offset = offsetof(struct values, hash)},
	{.name = "force",
	 .type = OPTION_FLAG,
	 .help = "also in a directory that holds other things",
	 .offset = offsetof(struct values, force)},
	{0},
};

static int print(struct cli *cli, const char *dir, bool is_made)
{
	struct json json = {0};
	char *path = realpath(dir, NULL);
	int status = 0;

	if (cli->json) {
		json_object(&json, NULL);
		json_name(&json, "store", path ? path : dir);
		json_bool(&json, "made", is_made);
		json_object_end(&json);
		status = json_print(cli, &json);
		json_free(&json);
	} else if (!cli->quiet) {
		output_name(path ? path : dir, false);
		fputs(is_made ? ": made a store" : ": there is a store already", stdout);
		status = output_end(cli, false);
	}
	free(path);
	return status;
}

static int run(struct cli *cli, const void *values)
{
	const struct values *v = values;
	struct pleach_init_options init = PLEACH_INIT_OPTIONS_INIT;
	struct pleach_error error = PLEACH_ERROR_INIT;
	const char *dir = cli->args[0];
	int result;

	if (!dir)
		dir = cli->store_dir ? cli->store_dir : getenv("PLEACH_STORE");
	if (!dir || !*dir)
		dir = ".";
	init.metadata = v->metadata;
	init.share = v->share;
	init.hash = v->hash;
	init.force = v->force;
	result = pleach_store_init(dir, &init, &error);
	if (result < 0)
		return cli_fail(cli, &error);
	return print(cli, dir, result == 0);
}

const struct command command_init = {
	.name = "init",
	.group = GROUP_MAKE,
	.summary = "make a store",
	.operands = "[DIR]",
	.details = "DIR (default: --store, else $PLEACH_STORE, else here) is made if it is\n"
		   "missing. A store that is there already is left alone. A directory that\n"
		   "holds other things needs --force; nothing in it is touched.\n",
	.options = options,
	.values_size = sizeof(struct values),
	.least = 0,
	.most = 1,
	.run = run,
};
