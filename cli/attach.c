/*
 * attach.c - `pleach attach` and `pleach detach`: publish at another path too.
 */
#include "cli.h"

struct values {
	int mode; /* of modes[] */
};

static const char *const modes[] = {"symlink", "exchange", "mount"};

static const struct option options[] = {
	{.name = "mode",
	 .type = OPTION_CHOICE,
	 .argument = "symlink|exchange|mount",
	 .help = "how (default: symlink)",
	 .offset = offsetof(struct values, mode)},
	{0},
};

/* `rev` NULL: it was detached. */
static int print(struct cli *cli, const char *rev, const char *path, const char *mode,
		 bool is_unchanged)
{
	struct json json = {0};
	int status;

	if (!cli->json)
		return 0;
	json_object(&json, NULL);
	json_name(&json, "path", path);
	if (rev) {
		json_name(&json, "rev", rev);
		json_prose(&json, "mode", mode);
		json_bool(&json, "unchanged", is_unchanged);
	} else {
		json_bool(&json, "detached", true);
	}
	json_object_end(&json);
	status = json_print(cli, &json);
	json_free(&json);
	return status;
}

static int attach(struct cli *cli, const void *values)
{
	const struct values *v = values;
	struct pleach_error error = PLEACH_ERROR_INIT;
	int status = cli_open(cli), result;

	if (status != 0)
		return status;
	result = pleach_attach(cli->store, cli->args[0], cli->args[1], modes[v->mode], &error);
	if (result < 0)
		return cli_fail(cli, &error);
	return print(cli, cli->args[0], cli->args[1], modes[v->mode], result > 0);
}

const struct command command_attach = {
	.name = "attach",
	.group = GROUP_KEEP,
	.summary = "publish at another path too",
	.operands = "REF[@...] PATH",
	.details =
		"A REF at PATH follows its head; a fixed revision (REF@N, REF@TAG) stays, and is\n"
		"kept placed until it is detached. PATH is new, or was attached before.\n"
		"symlink works everywhere; exchange is a real directory, swapped in one step, on\n"
		"the file system of the store; mount is a read-only mount on a new or empty\n"
		"directory, by root.\n",
	.options = options,
	.values_size = sizeof(struct values),
	.least = 2,
	.most = 2,
	.run = attach,
};

static int detach(struct cli *cli, const void *values)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	int status = cli_open(cli), result;

	(void)values;
	if (status != 0)
		return status;
	result = pleach_detach(cli->store, cli->args[0], &error);
	if (result < 0)
		return cli_fail(cli, &error);
	if (result > 0)
		cli_warn(cli, "what is at '%s' is not what attach made: it stays", cli->args[0]);
	return print(cli, NULL, cli->args[0], NULL, false);
}

const struct command command_detach = {
	.name = "detach",
	.group = GROUP_KEEP,
	.summary = "take away what attach has made",
	.operands = "PATH",
	.details = "Only if it is still what attach has made; anything else stays, and the\n"
		   "attachment is forgotten.\n",
	.least = 1,
	.most = 1,
	.run = detach,
};
