/*
 * pin.c - `pleach pin`: hold a generation while a program runs, or until told to let go.
 *
 * With a command its exit status is ours, so that failures of our own are 125 whatever their kind (a
 * wrong command line stays 2). The command inherits the pin: what it leaves running holds it too.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli.h"

static int set_environment(struct cli *cli, const struct pleach_pin *pin)
{
	struct pleach_revision revision = PLEACH_REVISION_INIT;
	char generation[32];

	pleach_pin_revision(pin, &revision);
	snprintf(generation, sizeof(generation), "%llu", (unsigned long long)revision.generation);
	if (setenv("PLEACH_PATH", pleach_pin_path(pin), 1) != 0 ||
	    setenv("PLEACH_GENERATION", revision.generation ? generation : "", 1) != 0 ||
	    setenv("PLEACH_TREE", revision.tree, 1) != 0)
		return cli_no_memory(cli);
	return 0;
}

static int run_command(struct cli *cli, struct pleach_pin *pin)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	int status;

	if (pleach_pin_inherit(pin, &error) < 0) {
		cli_fail(cli, &error);
		return PROGRAM_OWN_FAILURE;
	}
	if (set_environment(cli, pin) != 0)
		return PROGRAM_OWN_FAILURE;
	progress_clear();
	status = signals_run(cli->rest);
	if (status >= 0)
		return status;
	return program_not_started(cli, cli->rest[0], -status, &error);
}

static int print(struct cli *cli, const struct pleach_pin *pin)
{
	struct pleach_revision revision = PLEACH_REVISION_INIT;
	struct json json = {0};
	int status;

	if (!cli->json) {
		progress_clear();
		output_name(pleach_pin_path(pin), false);
		return output_end(cli, false);
	}
	pleach_pin_revision(pin, &revision);
	json_object(&json, NULL);
	json_name(&json, "path", pleach_pin_path(pin));
	json_name_or_null(&json, "ref", revision.ref);
	if (revision.generation)
		json_number(&json, "generation", revision.generation);
	else
		json_null(&json, "generation");
	json_prose(&json, "tree", revision.tree);
	json_object_end(&json);
	status = json_print(cli, &json);
	json_free(&json);
	return status;
}

/* Until standard input ends or a signal comes. */
static int hold(struct cli *cli, const struct pleach_pin *pin)
{
	char buffer[4096];
	ssize_t n = 1;
	int status = print(cli, pin);

	if (status == 0)
		status = output_finish(cli, 0); /* whoever waits for the path gets it now */
	while (status == 0 && n > 0) {
		if (!signals_wait_readable(STDIN_FILENO))
			return 128 + signals_caught();
		n = read(STDIN_FILENO, buffer, sizeof(buffer));
		if (n < 0 && errno == EINTR)
			n = 1;
	}
	return status;
}

static int run(struct cli *cli, const void *values)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pleach_pin *pin;
	int status;

	(void)values;
	if (cli->has_rest && cli->n_rest == 0)
		return cli_usage(cli, "usage: pleach pin REV [-- COMMAND...]",
				 "pin: no command stands behind '--'");
	status = cli_open(cli);
	if (status != 0)
		return cli->has_rest ? PROGRAM_OWN_FAILURE : status;
	if (pleach_pin_open(cli->store, cli->args[0], &pin, &error) < 0) {
		status = cli_fail(cli, &error);
		return cli->has_rest ? PROGRAM_OWN_FAILURE : status;
	}
	status = cli->has_rest ? run_command(cli, pin) : hold(cli, pin);
	pleach_pin_close(pin);
	return status;
}

const struct command command_pin = {
	.name = "pin",
	.group = GROUP_KEEP,
	.summary = "hold a generation while a command runs",
	.operands = "REV [-- COMMAND...]",
	.details =
		"COMMAND runs with PLEACH_PATH (where the tree is placed), PLEACH_GENERATION and\n"
		"PLEACH_TREE set; its exit status is passed on, 128+n if signal n ended it.\n"
		"pleach's own failures are 125; a command that is not executable 126, not\n"
		"found 127.\n"
		"\n"
		"Without COMMAND the path is printed, and held until standard input ends.\n",
	.least = 1,
	.most = 1,
	.takes_rest = true,
	.run = run,
};
