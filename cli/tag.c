/*
 * tag.c - `pleach tag`: name generations for good, list and delete the names.
 */
#include "cli.h"

struct values {
	bool is_delete, force;
};

static const struct option options[] = {
	{.letter = 'd',
	 .name = "delete",
	 .type = OPTION_FLAG,
	 .help = "delete the tag NAME",
	 .offset = offsetof(struct values, is_delete)},
	{.letter = 'f',
	 .name = "force",
	 .type = OPTION_FLAG,
	 .help = "move a tag that names another generation",
	 .offset = offsetof(struct values, force)},
	{0},
};

static int list(struct cli *cli)
{
	struct pleach_tag tag = PLEACH_TAG_INIT;
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct json json = {0};
	struct pleach_tags *tags;
	int status = 0, result;

	if (pleach_tags_open(cli->store, cli->args[0], &tags, &error) < 0)
		return cli_fail(cli, &error);
	json_object(&json, NULL);
	json_name(&json, "ref", cli->args[0]);
	json_array(&json, "tags");
	while ((result = pleach_tags_next(tags, &tag, &error)) > 0 && status == 0) {
		if (cli->json) {
			json_object(&json, NULL);
			json_name(&json, "name", tag.name);
			json_number(&json, "generation", tag.generation);
			json_object_end(&json);
		} else {
			printf("%s %llu", tag.name, (unsigned long long)tag.generation);
			status = output_end(cli, false);
		}
	}
	json_array_end(&json);
	json_object_end(&json);
	if (result < 0)
		status = cli_fail(cli, &error);
	else if (status == 0 && cli->json)
		status = json_print(cli, &json);
	json_free(&json);
	pleach_tags_close(tags);
	return status;
}

static int print_set(struct cli *cli, bool is_unchanged)
{
	struct pleach_revision revision = PLEACH_REVISION_INIT;
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct json json = {0};
	char rev[2 * PLEACH_REF_MAX + 8];
	int status;

	if (!cli->json)
		return 0;
	snprintf(rev, sizeof(rev), "%s@%s", cli->args[0], cli->args[1]);
	if (pleach_resolve(cli->store, rev, &revision, &error) < 0)
		return cli_fail(cli, &error);
	json_object(&json, NULL);
	json_name(&json, "ref", cli->args[0]);
	json_name(&json, "name", cli->args[1]);
	json_number(&json, "generation", revision.generation);
	json_bool(&json, "unchanged", is_unchanged);
	json_object_end(&json);
	status = json_print(cli, &json);
	json_free(&json);
	return status;
}

static int print_deleted(struct cli *cli)
{
	struct json json = {0};
	int status;

	if (!cli->json)
		return 0;
	json_object(&json, NULL);
	json_name(&json, "ref", cli->args[0]);
	json_name(&json, "name", cli->args[1]);
	json_bool(&json, "deleted", true);
	json_object_end(&json);
	status = json_print(cli, &json);
	json_free(&json);
	return status;
}

static int run(struct cli *cli, const void *values)
{
	const struct values *v = values;
	struct pleach_error error = PLEACH_ERROR_INIT;
	int status, result;

	if (v->is_delete && cli->n_args != 2)
		return cli_usage(cli, "usage: pleach tag --delete REF NAME",
				 "tag: --delete takes a ref and a name");
	status = cli_open(cli);
	if (status != 0)
		return status;
	if (cli->n_args == 1)
		return list(cli);
	if (v->is_delete) {
		if (pleach_tag_delete(cli->store, cli->args[0], cli->args[1], &error) < 0)
			return cli_fail(cli, &error);
		return print_deleted(cli);
	}
	result = pleach_tag_set(cli->store, cli->args[0], cli->args[1], cli->args[2], v->force,
				&error);
	return result < 0 ? cli_fail(cli, &error) : print_set(cli, result > 0);
}

const struct command command_tag = {
	.name = "tag",
	.group = GROUP_KEEP,
	.summary = "name a generation for good; list the names of a ref",
	.operands = "REF [NAME [REV]]",
	.details = "Without NAME the tags of REF are listed, each with its generation. REV is by\n"
		   "default the head. What is tagged is kept.\n",
	.options = options,
	.values_size = sizeof(struct values),
	.least = 1,
	.most = 3,
	.run = run,
};
