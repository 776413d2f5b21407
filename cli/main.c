/*
 * main.c - from words to a command: global options, the table, dispatch.
 *
 * Nothing is opened or asked here before the command is known, so that `pleach version` and every
 * usage error answer at once.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

#define COMMAND_ENTRY_(name) &command_##name,
const struct command *const commands[] = {COMMANDS(COMMAND_ENTRY_) NULL};

const struct command *command_find(const char *name)
{
	for (size_t i = 0; commands[i]; i++)
		if (strcmp(commands[i]->name, name) == 0)
			return commands[i];
	return NULL;
}

/*
 * A program started with one of its standard files closed would give that number to the next file it
 * opens, and print into the store. The stand-in is opened the wrong way round, so that using it is
 * still an error.
 */
static void standard_files_open(void)
{
	static const int flags[] = {O_WRONLY, O_RDONLY, O_WRONLY};

	for (int fd = 0; fd <= 2; fd++) {
		if (fcntl(fd, F_GETFD) >= 0)
			continue;
		/* the lowest number that is free is this one */
		if (open("/dev/null", flags[fd]) != fd) // cppcheck-suppress leakReturnValNotUsed
			_exit(PLEACH_FAILED);
	}
}

int command_unknown(struct cli *cli, const char *name)
{
	const char *names[sizeof(commands) / sizeof(commands[0])] = {NULL};
	const char *nearest;
	char hint[128];

	for (size_t i = 0; commands[i]; i++)
		names[i] = commands[i]->name;
	nearest = nearest_word(name, names);
	if (nearest)
		snprintf(hint, sizeof(hint), "did you mean '%s'?", nearest);
	else
		snprintf(hint, sizeof(hint), "'pleach help' lists the commands");
	return cli_usage(cli, hint, "unknown command '%s'", name);
}

/* Operands as the command's row of the table allows them? */
static int operands_check(struct cli *cli, const struct command *command)
{
	char usage[256];

	snprintf(usage, sizeof(usage), "usage: pleach %s%s%s", command->name,
		 command->operands[0] ? " " : "", command->operands);
	if (cli->n_args < (size_t)command->least)
		return cli_usage(cli, usage, "%s: %s", command->name,
				 cli->n_args == 0 ? "an argument is missing" : "too few arguments");
	if (command->most >= 0 && cli->n_args > (size_t)command->most)
		return cli_usage(cli, usage, "%s: one argument too many: '%s'", command->name,
				 cli->args[command->most]);
	return 0;
}

/* Programs end with 2 as well as we do. As env(1) and timeout(1) have it, a wrong command line of what runs one
 * is 125. */
static bool is_for_program(const struct command *command, char *const *argv)
{
	if (command == &command_run)
		return true;
	while (command == &command_pin && *argv)
		if (strcmp(*argv++, "--") == 0)
			return true;
	return false;
}

static int command_execute(struct cli *cli, const struct command *command, char **argv)
{
	void *values = calloc(1, command->values_size ? command->values_size : 1);
	int status;

	if (!values)
		return cli_no_memory(cli);
	cli->command = command;
	cli->passes_status = is_for_program(command, argv);
	status = options_parse(cli, command, argv, values, NULL);
	if (status == 0 && cli->help)
		status = help_print(cli, command);
	else if (status == 0 && cli->version)
		status = command_version.run(cli, NULL);
	else if (status == 0 && (status = operands_check(cli, command)) == 0)
		status = command->run(cli, values);
	options_free(command, values);
	return status;
}

static int dispatch(struct cli *cli, char **argv)
{
	const struct command *command;
	size_t used = 0;
	int status;

	status = options_parse(cli, NULL, argv, NULL, &used);
	if (status != 0)
		return status;
	argv += used;
	if (cli->help)
		return help_print(cli, argv[0] ? command_find(argv[0]) : NULL);
	if (cli->version)
		return command_version.run(cli, NULL);
	if (!argv[0])
		return cli_usage(cli, "'pleach help' lists the commands", "no command given");
	command = command_find(argv[0]);
	if (!command)
		return command_unknown(cli, argv[0]);
	return command_execute(cli, command, argv + 1);
}

int cli_open(struct cli *cli)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	const char *dir = cli->store_dir ? cli->store_dir : getenv("PLEACH_STORE");

	if (dir && !*dir && !cli->store_dir)
		dir = NULL;
	if (pleach_store_open(dir, &cli->store, &error) < 0)
		return cli_fail(cli, &error);
	signals_watch(cli->store);
	progress_start(cli);
	return 0;
}

int main(int argc, char **argv)
{
	struct cli cli = {0};
	int status;

	standard_files_open();
	signals_init();
	status = dispatch(&cli, argv + (argc > 0));
	progress_clear();
	status = output_finish(&cli, status);
	if (cli.has_committed && !signals_caught())
		collect_behind(&cli);
	signals_watch(NULL);
	pleach_store_close(cli.store);
	free(cli.args);
	return status;
}
