/*
 * config.c - `pleach config`: show and change settings.
 */
#include <stdlib.h>
#include <string.h>

#include "cli.h"

struct values {
	const char *ref;
	struct text_list unset;
};

static const struct option options[] = {
	{.name = "ref",
	 .type = OPTION_TEXT,
	 .argument = "REF",
	 .help = "settings of one ref (default: of the store)",
	 .offset = offsetof(struct values, ref)},
	{.name = "unset",
	 .type = OPTION_LIST,
	 .argument = "KEY",
	 .help = "back to the default (may be repeated)",
	 .offset = offsetof(struct values, unset)},
	{0},
};

#define KEYS_MAX 64

/* Does the word `arg` (KEY or KEY=VALUE) name `key`? */
static bool names_key(const char *arg, const char *key)
{
	size_t length = strcspn(arg, "=");

	return strlen(key) == length && memcmp(arg, key, length) == 0;
}

/* Is the setting one of those asked for? All are, if none is. */
static bool is_asked(struct cli *cli, const struct values *v, const char *key)
{
	for (const char *const *arg = cli->args; *arg; arg++)
		if (names_key(*arg, key))
			return true;
	for (size_t i = 0; i < v->unset.n; i++)
		if (strcmp(v->unset.items[i], key) == 0)
			return true;
	return cli->n_args == 0 && v->unset.n == 0;
}

static int print_one(struct cli *cli, struct json *json, const struct pleach_setting *s)
{
	if (cli->json) {
		json_object(json, NULL);
		json_prose(json, "key", s->key);
		json_name_or_null(json, "value", s->value);
		json_prose(json, "where", s->where);
		json_prose(json, "meaning", s->meaning);
		json_object_end(json);
		return 0;
	}
	if (cli->n_args == 0)
		printf("%-12s  %-8s  %-7s  %s", s->key, *s->value ? s->value : "-", s->where,
		       s->meaning);
	else
		fputs(s->value, stdout);
	return output_end(cli, false);
}

/*
 * Prints the settings that pass `is_asked`; with `key` not NULL only that one. Returns the exit
 * status, or -1: there is no such key.
 */
static int print(struct cli *cli, const struct values *v, const char *key, struct json *json)
{
	struct pleach_setting setting = PLEACH_SETTING_INIT;
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pleach_config *config;
	int status = 0, result = 0;
	bool is_found = !key;

	if (pleach_config_open(cli->store, v->ref, &config, &error) < 0)
		return cli_fail(cli, &error);
	while (status == 0 && (result = pleach_config_next(config, &setting, &error)) > 0) {
		if (key ? !names_key(key, setting.key) : !is_asked(cli, v, setting.key))
			continue;
		is_found = true;
		status = print_one(cli, json, &setting);
	}
	if (status == 0 && result < 0)
		status = cli_fail(cli, &error);
	pleach_config_close(config);
	return status == 0 && !is_found ? -1 : status;
}

static int unknown_key(struct cli *cli, const struct values *v, const char *key)
{
	struct pleach_setting setting = PLEACH_SETTING_INIT;
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pleach_config *config;
	char *names[KEYS_MAX + 1] = {NULL}, hint[160] = "'pleach config' lists the keys";
	const char *nearest;
	size_t n = 0;

	if (pleach_config_open(cli->store, v->ref, &config, &error) < 0)
		return cli_fail(cli, &error);
	while (n < KEYS_MAX && pleach_config_next(config, &setting, &error) > 0)
		if ((names[n] = strdup(setting.key)) != NULL)
			n++;
	pleach_config_close(config);
	nearest = nearest_word(key, (const char *const *)names);
	if (nearest)
		snprintf(hint, sizeof(hint), "did you mean '%s'?", nearest);
	while (n > 0)
		free(names[--n]);
	return cli_usage(cli, hint, "config: unknown key '%s'", key);
}

static int change(struct cli *cli, const struct values *v, const char *word)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	char *key = strdup(word), *value;
	int status = 0;

	if (!key)
		return cli_no_memory(cli);
	value = strchr(key, '=');
	if (value)
		*value++ = 0;
	if (pleach_config_set(cli->store, v->ref, key, value, &error) < 0)
		status = cli_fail(cli, &error);
	free(key);
	return status;
}

/* KEY prints, KEY=VALUE sets, in their order. */
static int apply(struct cli *cli, const struct values *v)
{
	int status = 0;

	for (size_t i = 0; status == 0 && i < v->unset.n; i++)
		status = change(cli, v, v->unset.items[i]);
	for (size_t i = 0; status == 0 && i < cli->n_args; i++) {
		if (strchr(cli->args[i], '='))
			status = change(cli, v, cli->args[i]);
		else if (!cli->json)
			status = print(cli, v, cli->args[i], NULL);
		if (status < 0)
			status = unknown_key(cli, v, cli->args[i]);
	}
	return status;
}

/* With --json the outcome: the settings that were named, as they are now. */
static int print_json(struct cli *cli, const struct values *v)
{
	struct json json = {0};
	int status = 0;

	json_object(&json, NULL);
	json_array(&json, "settings");
	if (cli->n_args == 0)
		status = print(cli, v, NULL, &json);
	for (size_t i = 0; status == 0 && i < cli->n_args; i++) {
		status = print(cli, v, cli->args[i], &json);
		if (status < 0)
			status = unknown_key(cli, v, cli->args[i]);
	}
	json_array_end(&json);
	json_object_end(&json);
	if (status == 0)
		status = json_print(cli, &json);
	json_free(&json);
	return status;
}

static int run(struct cli *cli, const void *values)
{
	const struct values *v = values;
	int status = cli_open(cli);

	if (status == 0)
		status = apply(cli, v);
	if (status != 0)
		return status;
	if (cli->json)
		return print_json(cli, v);
	return cli->n_args == 0 && v->unset.n == 0 ? print(cli, v, NULL, NULL) : 0;
}

const struct command command_config = {
	.name = "config",
	.group = GROUP_CARE,
	.summary = "show and change settings",
	.operands = "[KEY[=VALUE]...]",
	.details = "KEY prints its value, KEY=VALUE sets it. Without either all keys are listed:\n"
		   "value, where it is set, meaning. A ref that sets nothing follows the store.\n",
	.options = options,
	.values_size = sizeof(struct values),
	.least = 0,
	.most = -1,
	.run = run,
};
