/*
 * checkout.c - `pleach checkout`: an ordinary copy of a tree.
 */
#include <stdlib.h>
#include <unistd.h>

#include "cli.h"

struct values {
	bool update, delete_others;
};

static const struct option options[] = {
	{.name = "update",
	 .type = OPTION_FLAG,
	 .help = "make an existing DIR equal to REV",
	 .offset = offsetof(struct values, update)},
	{.name = "delete",
	 .type = OPTION_FLAG,
	 .help = "with --update: remove what REV has not",
	 .offset = offsetof(struct values, delete_others)},
	{0},
};

/* What could not be restored: to stderr, and with --json into the document. */
static int print(struct cli *cli, struct pleach_report *report, int outcome,
		 const struct pleach_error *error)
{
	struct pleach_error next_error = PLEACH_ERROR_INIT;
	struct json json = {0};
	int status = 0, result;

	json_object(&json, NULL);
	json_name(&json, "rev", cli->args[0]);
	json_name(&json, "path", cli->args[1]);
	json_array(&json, "not_restored");
	result = cli_complain_all(cli, &json, report, &next_error);
	json_array_end(&json);
	if (outcome > 0) {
		json_error(&json, "error", error);
		cli_complain(cli, error);
	}
	json_object_end(&json);
	if (result < 0)
		status = cli_fail(cli, &next_error);
	else if (cli->json)
		status = json_print(cli, &json);
	json_free(&json);
	return status ? status : outcome;
}

/* Without --delete something may be in the way, which the list says; root may restore everything. */
static const char *hint_of(const struct values *v)
{
	if (geteuid() == 0 || (v->update && !v->delete_others))
		return NULL;
	return "as root, or with another metadata rule, all of it can be restored";
}

static int run(struct cli *cli, const void *values)
{
	const struct values *v = values;
	struct pleach_checkout_options checkout = PLEACH_CHECKOUT_OPTIONS_INIT;
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pleach_report *report = NULL;
	int status, outcome;

	if (v->delete_others && !v->update)
		return cli_usage(cli, NULL, "checkout: --delete goes with --update only");
	status = cli_open(cli);
	if (status != 0)
		return status;
	checkout.update = v->update;
	checkout.delete_others = v->delete_others;
	outcome =
		pleach_checkout(cli->store, cli->args[0], cli->args[1], &checkout, &report, &error);
	if (outcome < 0)
		return cli_fail(cli, &error);
	if (outcome > 0 && !error.message[0])
		cli_error_set(&error, PLEACH_PARTIAL, cli->args[1], hint_of(v),
			      "%s: copied, but for what is listed above", cli->args[1]);
	status = print(cli, report, outcome ? PLEACH_PARTIAL : 0, &error);
	if (report)
		pleach_report_close(report);
	return status;
}

const struct command command_checkout = {
	.name = "checkout",
	.group = GROUP_LOOK,
	.summary = "an ordinary copy of a tree",
	.operands = "REV[:path] DIR",
	.details =
		"DIR is new or empty. It appears whole or not at all; content is verified while\n"
		"it is copied. What this user may not restore is listed, exit status 3.\n",
	.options = options,
	.values_size = sizeof(struct values),
	.least = 2,
	.most = 2,
	.run = run,
};
