/*
 * log.c - `pleach log`: the generations of a ref.
 */
#include <string.h>

#include "cli.h"

struct values {
	int64_t count;
	bool reverse, is_raw;
};

static const struct option options[] = {
	{.letter = 'n',
	 .name = "max-count",
	 .type = OPTION_NUMBER,
	 .argument = "N",
	 .initial = -1,
	 .help = "only the newest N",
	 .offset = offsetof(struct values, count)},
	{.name = "reverse",
	 .type = OPTION_FLAG,
	 .help = "oldest first",
	 .offset = offsetof(struct values, reverse)},
	{.letter = 'z',
	 .name = "null",
	 .type = OPTION_FLAG,
	 .help = "end lines with NUL",
	 .offset = offsetof(struct values, is_raw)},
	{0},
};

static void print_meta(struct json *json, const char *const *meta)
{
	json_object(json, "meta");
	for (; meta && *meta; meta++) {
		const char *equals = strchr(*meta, '=');
		char key[4096];

		snprintf(key, sizeof(key), "%.*s", equals ? (int)(equals - *meta) : 4095, *meta);
		json_name(json, key, equals ? equals + 1 : "");
	}
	json_object_end(json);
}

static int print_json(struct cli *cli, struct json *json, const struct pleach_generation *g)
{
	json_object(json, NULL);
	json_number(json, "generation", g->number);
	json_name_or_null(json, "tree", g->tree);
	if (g->parent)
		json_number(json, "parent", g->parent);
	else
		json_null(json, "parent");
	json_time(json, "time", g->time_s, g->time_ns);
	json_prose(json, "kind", g->kind);
	json_name(json, "user", g->user);
	json_name(json, "host", g->host);
	json_name(json, "message", g->message);
	print_meta(json, g->meta);
	json_object(json, "changed");
	json_number(json, "added", g->added);
	json_number(json, "modified", g->modified);
	json_number(json, "removed", g->removed);
	json_object_end(json);
	json_array(json, "tags");
	for (const char *const *tag = g->tags; tag && *tag; tag++)
		json_name(json, NULL, *tag);
	json_array_end(json);
	json_prose(json, "state", g->is_dropped ? "dropped" : "kept");
	json_object_end(json);
	return json_print(cli, json);
}

static int print_text(struct cli *cli, const struct pleach_generation *g, bool is_raw)
{
	char text[80];

	printf("%4llu  ", (unsigned long long)g->number);
	output_time(g->time_s);
	fputs("  ", stdout);
	output_id(g->tree);
	printf("  %-8s  ", g->kind);
	if (g->user && *g->user)
		snprintf(text, sizeof(text), "%s", g->user);
	else
		snprintf(text, sizeof(text), "%u", (unsigned)g->uid);
	output_text(text);
	if (g->is_dropped)
		snprintf(text, sizeof(text), "dropped");
	else
		snprintf(text, sizeof(text), "+%llu ~%llu -%llu", (unsigned long long)g->added,
			 (unsigned long long)g->modified, (unsigned long long)g->removed);
	printf("  %s", text);
	if ((g->tags && *g->tags) || (g->message && *g->message))
		printf("%*s", (int)(strlen(text) < 12 ? 12 - strlen(text) : 0), "");
	for (const char *const *tag = g->tags; tag && *tag; tag++)
		printf("%s%s%s", tag == g->tags ? "  (" : ", ", *tag, tag[1] ? "" : ")");
	if (g->message && *g->message) {
		fputs("  ", stdout);
		output_text(g->message);
	}
	return output_end(cli, is_raw);
}

static int log_open(struct cli *cli, bool reverse, struct pleach_log **ret_log)
{
	struct pleach_log_options log_options = PLEACH_LOG_OPTIONS_INIT;
	struct pleach_error error = PLEACH_ERROR_INIT;

	log_options.reverse = reverse;
	log_options.paths = cli->n_rest ? (const char *const *)cli->rest : NULL;
	if (pleach_log_open(cli->store, cli->args[0], &log_options, ret_log, &error) < 0)
		return cli_fail(cli, &error);
	return 0;
}

/* The oldest of the newest `count`: as with git, -n is counted from the newest also with --reverse. */
static int find_first(struct cli *cli, int64_t count, uint64_t *ret_first)
{
	struct pleach_generation g = PLEACH_GENERATION_INIT;
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pleach_log *log;
	int status = log_open(cli, false, &log), result = 0;

	if (status != 0)
		return status;
	*ret_first = UINT64_MAX;
	while (count > 0 && (result = pleach_log_next(log, &g, &error)) != 0) {
		if (result < 0 && error.code != PLEACH_CORRUPT)
			break;
		if (result > 0) /* else it is told when it is printed */
			*ret_first = g.number;
		count--;
	}
	if (result < 0 && error.code != PLEACH_CORRUPT)
		status = cli_fail(cli, &error);
	pleach_log_close(log);
	return status;
}

static int print_all(struct cli *cli, const struct values *v, uint64_t first, int64_t count)
{
	struct pleach_generation g = PLEACH_GENERATION_INIT;
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct json json = {0};
	struct pleach_log *log;
	int status = log_open(cli, v->reverse, &log), damaged = 0, result = 0;

	if (status != 0)
		return status;
	while (status == 0 && count != 0 && (result = pleach_log_next(log, &g, &error)) != 0) {
		if (result < 0 && error.code != PLEACH_CORRUPT)
			break;
		if (result < 0) { /* the others are there all the same */
			damaged = cli_fail(cli, &error);
			count -= count > 0 && !v->reverse;
			continue;
		}
		if (g.number < first)
			continue;
		status = cli->json ? print_json(cli, &json, &g) : print_text(cli, &g, v->is_raw);
		if (count > 0)
			count--;
	}
	if (status == 0 && result < 0)
		status = cli_fail(cli, &error);
	json_free(&json);
	pleach_log_close(log);
	return status == 0 ? damaged : status;
}

static int run(struct cli *cli, const void *values)
{
	const struct values *v = values;
	uint64_t first = 0;
	int status = cli_open(cli);

	if (status == 0 && v->reverse && v->count >= 0)
		status = find_first(cli, v->count, &first);
	if (status == 0)
		status = print_all(cli, v, first, v->count);
	return status;
}

const struct command command_log = {
	.name = "log",
	.group = GROUP_LOOK,
	.summary = "the generations of a ref, newest first",
	.operands = "REF [-- PATH...]",
	.details =
		"Columns: number, time, tree, what made it, by whom, paths added ~ modified -\n"
		"removed, tags, first line of the message. Dropped generations stay listed.\n"
		"With PATHs only the generations that changed one of them or what is below it.\n",
	.options = options,
	.values_size = sizeof(struct values),
	.least = 1,
	.most = 1,
	.takes_rest = true,
	.run = run,
};
