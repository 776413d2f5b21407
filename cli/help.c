/*
 * help.c - `pleach help` and `pleach version`: what the tables say, as text or as JSON.
 *
 * Nothing is written by hand here that a table knows. Lines are at most 80 characters.
 */
#include <string.h>

#include "cli.h"

static const char *const group_titles[GROUP_MAX_] = {
	[GROUP_MAKE] = "Publish", [GROUP_TX] = "Transactions",	       [GROUP_LOOK] = "Look",
	[GROUP_KEEP] = "Keep",	  [GROUP_CARE] = "Care for the store", [GROUP_HELP] = "Help",
};

/* ---- text ----------------------------------------------------------------------------------- */

static void print_options(const struct option *options)
{
	for (; options->name; options++) {
		char text[64];
		int n;

		if (options->letter)
			n = snprintf(text, sizeof(text), "-%c, --%s", options->letter,
				     options->name);
		else
			n = snprintf(text, sizeof(text), "    --%s", options->name);
		if (options->argument)
			snprintf(text + n, sizeof(text) - (size_t)n, " %s", options->argument);
		if (strlen(text) > 26)
			printf("  %s\n%30s%s\n", text, "", options->help);
		else
			printf("  %-26s  %s\n", text, options->help);
	}
}

static void print_command(const struct command *command)
{
	printf("usage: pleach %s%s%s%s\n\n", command->name, command->options ? " [OPTIONS]" : "",
	       *command->operands ? " " : "", command->operands);
	printf("%s\n", command->summary);
	if (command->details)
		printf("\n%s", command->details);
	if (command->options) {
		printf("\noptions:\n");
		print_options(command->options);
	}
	printf("\nglobal options:\n");
	print_options(global_options);
}

static void print_all(void)
{
	printf("usage: pleach [--store DIR] [--json] [--progress=MODE] [-q] [-v] COMMAND ...\n\n"
	       "Changes whole directory trees atomically, and keeps every version.\n");
	for (int group = 0; group < GROUP_MAX_; group++) {
		printf("\n%s\n", group_titles[group]);
		for (size_t i = 0; commands[i]; i++)
			if ((int)commands[i]->group == group)
				printf("  %-10s %s\n", commands[i]->name, commands[i]->summary);
	}
	printf("\nglobal options, before or after the command:\n");
	print_options(global_options);
	printf("\nA revision (REV) is REF (its head), REF@N, REF@-K (K before the head),\n"
	       "REF@TAG or tree:HEX; REV:path is something inside it.\n"
	       "'pleach help COMMAND' tells more.\n");
}

/* ---- JSON ----------------------------------------------------------------------------------- */

static void options_json(struct json *json, const struct option *options)
{
	json_array(json, "options");
	for (; options && options->name; options++) {
		char letter[2] = {options->letter, 0};

		json_object(json, NULL);
		json_prose(json, "name", options->name);
		json_name_or_null(json, "letter", letter);
		json_name(json, "argument", options->argument);
		json_prose(json, "help", options->help);
		json_object_end(json);
	}
	json_array_end(json);
}

static void command_json(struct json *json, const struct command *command)
{
	json_object(json, NULL);
	json_prose(json, "name", command->name);
	json_prose(json, "group", group_titles[command->group]);
	json_prose(json, "summary", command->summary);
	json_prose(json, "operands", command->operands);
	options_json(json, command->options);
	json_object_end(json);
}

static int print_json(struct cli *cli, const struct command *command)
{
	struct json json = {0};
	int status;

	if (command) {
		command_json(&json, command);
	} else {
		json_object(&json, NULL);
		json_array(&json, "commands");
		for (size_t i = 0; commands[i]; i++)
			command_json(&json, commands[i]);
		json_array_end(&json);
		options_json(&json, global_options);
		json_object_end(&json);
	}
	status = json_print(cli, &json);
	json_free(&json);
	return status;
}

int help_print(struct cli *cli, const struct command *command)
{
	if (cli->json)
		return print_json(cli, command);
	if (command)
		print_command(command);
	else
		print_all();
	return output_check(cli);
}

/* ---- the commands --------------------------------------------------------------------------- */

static int help(struct cli *cli, const void *values)
{
	const struct command *command = NULL;

	(void)values;
	if (cli->args[0]) {
		command = command_find(cli->args[0]);
		if (!command)
			return command_unknown(cli, cli->args[0]);
	}
	return help_print(cli, command);
}

const struct command command_help = {
	.name = "help",
	.group = GROUP_HELP,
	.summary = "this list; more about one command",
	.operands = "[COMMAND]",
	.least = 0,
	.most = 1,
	.run = help,
};

static int version(struct cli *cli, const void *values)
{
	struct json json = {0};
	int status;

	(void)values;
	if (!cli->json) {
		printf("pleach %s\n", pleach_version());
		return output_check(cli);
	}
	json_object(&json, NULL);
	json_prose(&json, "version", pleach_version());
	json_object_end(&json);
	status = json_print(cli, &json);
	json_free(&json);
	return status;
}

const struct command command_version = {
	.name = "version",
	.group = GROUP_HELP,
	.summary = "the version of this command",
	.operands = "",
	.least = 0,
	.most = 0,
	.run = version,
};
