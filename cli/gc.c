/*
 * gc.c - `pleach gc`: collect what nobody needs.
 */
#include <stdlib.h>
#include <string.h>

#include "cli.h"

#define BEHIND_MS 1000

struct values {
	bool dry_run, automatic;
	const char *why;
	int64_t max_time_ms;
};

static const struct option options[] = {
	{.letter = 'n',
	 .name = "dry-run",
	 .type = OPTION_FLAG,
	 .help = "print what would go, take nothing",
	 .offset = offsetof(struct values, dry_run)},
	{.name = "why",
	 .argument = "WHAT",
	 .type = OPTION_TEXT,
	 .help = "who has WHAT: REV, or a path in .pleach",
	 .offset = offsetof(struct values, why)},
	{.name = "auto",
	 .type = OPTION_FLAG,
	 .help = "only if it is worth it; else nothing is said",
	 .offset = offsetof(struct values, automatic)},
	{.name = "max-time",
	 .argument = "D",
	 .type = OPTION_DURATION,
	 .initial = -1,
	 .help = "end after about that long; the next does the rest",
	 .offset = offsetof(struct values, max_time_ms)},
	{0},
};

/* ---- generations ---- */

/* What keeps the store over its max-size is told apart: `ret_over`, malloc()ed, or NULL. */
static void generations_json(struct json *json, struct pleach_report *report, char **ret_over)
{
	struct pleach_finding item = PLEACH_FINDING_INIT;

	json_array(json, "generations");
	while (pleach_report_next(report, &item, NULL) > 0) {
		if (strcmp(item.kind, "over") == 0) {
			*ret_over = strdup(item.message);
			continue;
		}
		json_object(json, NULL);
		json_name(json, "ref", item.ref);
		json_number(json, "generation", item.generation);
		json_prose(json, "fate", item.kind);
		json_prose(json, "why", item.message);
		json_object_end(json);
	}
	json_array_end(json);
}

/* With a dry run all of them; else those that went, for who wants to know more. */
static int print_generations(struct cli *cli, const struct values *v, struct pleach_report *report,
			     char **ret_over)
{
	struct pleach_finding item = PLEACH_FINDING_INIT;
	int status = 0;

	progress_clear();
	while (status == 0 && pleach_report_next(report, &item, NULL) > 0) {
		bool goes = strcmp(item.kind, "goes") == 0;

		if (strcmp(item.kind, "over") == 0) {
			*ret_over = strdup(item.message);
			continue;
		}
		if (!v->dry_run && !cli->verbose)
			continue;
		printf("%s@%llu %s: ", item.ref, (unsigned long long)item.generation,
		       !goes	    ? "stays"
		       : v->dry_run ? "would go"
				    : "dropped");
		output_text(item.message);
		status = output_end(cli, false);
	}
	return status;
}

/* ---- what was done ---- */

static int print_json(struct cli *cli, const struct values *v,
		      const struct pleach_gc_result *result, struct pleach_report *report,
		      char **ret_over)
{
	struct json json = {0};
	int status;

	json_object(&json, NULL);
	json_bool(&json, "dry_run", v->dry_run);
	json_bool(&json, "complete", result->is_complete);
	json_number(&json, "dropped", result->generations);
	generations_json(&json, report, ret_over);
	json_number(&json, "trees", result->trees);
	json_number(&json, "objects", result->objects);
	json_number(&json, "nodes", result->nodes);
	json_number(&json, "bytes", result->bytes);
	json_number(&json, "kept_objects", result->kept_objects);
	json_number(&json, "kept_nodes", result->kept_nodes);
	json_number(&json, "put_back", result->put_back);
	if (result->store_size > 0) {
		json_number(&json, "size", result->store_size);
		json_number(&json, "over", result->over);
		json_prose(&json, "held_by", *ret_over ? *ret_over : "");
	}
	json_object_end(&json);
	status = json_print(cli, &json);
	json_free(&json);
	return status;
}

static int print_collected(struct cli *cli, const struct values *v,
			   const struct pleach_gc_result *result)
{
	char size[SIZE_TEXT_MAX];

	if (result->generations + result->trees + result->objects + result->nodes == 0) {
		if (v->automatic)
			return 0;
		fputs(result->over > 0 ? "nothing can go" : "nothing to collect", stdout);
		return output_end(cli, false);
	}
	fputs(v->dry_run ? "would go: " : "", stdout);
	if (result->generations > 0)
		printf("%llu %s, ", (unsigned long long)result->generations,
		       result->generations == 1 ? "generation" : "generations");
	printf("%llu %s, %llu %s, %llu %s: %s%s", (unsigned long long)result->trees,
	       result->trees == 1 ? "tree" : "trees", (unsigned long long)result->objects,
	       result->objects == 1 ? "object" : "objects", (unsigned long long)result->nodes,
	       result->nodes == 1 ? "node" : "nodes", size_human(result->bytes, size),
	       v->dry_run ? "" : " freed");
	return output_end(cli, false);
}

/* `over`: what keeps the store over its max-size, or NULL. */
static int print_text(struct cli *cli, const struct values *v,
		      const struct pleach_gc_result *result, const char *over)
{
	char size[SIZE_TEXT_MAX], more[SIZE_TEXT_MAX];
	int status;

	if (cli->quiet && !v->dry_run)
		return 0;
	progress_clear();
	status = print_collected(cli, v, result);
	if (status != 0 || result->over == 0)
		return status;
	printf("the store %s %s, %s over its max-size, and no more can go; what stays: ",
	       v->dry_run ? "would take" : "takes", size_human(result->store_size, size),
	       size_human(result->over, more));
	output_text(over ? over : "?");
	return output_end(cli, false);
}

/* ---- why ---- */

static void reason_json(struct json *json, const struct pleach_finding *reason)
{
	json_object(json, NULL);
	json_prose(json, "kind", reason->kind);
	json_name_or_null(json, "ref", reason->ref);
	if (reason->generation)
		json_number(json, "generation", reason->generation);
	else
		json_null(json, "generation");
	json_prose(json, "message", reason->message);
	json_object_end(json);
}

static int print_reasons(struct cli *cli, const char *what, struct pleach_report *report)
{
	struct pleach_finding reason = PLEACH_FINDING_INIT;
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct json json = {0};
	int result = 0, status = 0;
	size_t n = 0;

	json_object(&json, NULL);
	json_name(&json, "what", what);
	json_array(&json, "reasons");
	while (status == 0 && (result = pleach_report_next(report, &reason, &error)) > 0) {
		n++;
		if (cli->json) {
			reason_json(&json, &reason);
			continue;
		}
		output_text(reason.message);
		status = output_end(cli, false);
	}
	if (result < 0)
		status = cli_fail(cli, &error);
	json_array_end(&json);
	json_bool(&json, "stays", n > 0);
	json_object_end(&json);
	if (status == 0 && cli->json)
		status = json_print(cli, &json);
	else if (status == 0 && n == 0)
		cli_warn(cli, "nobody has '%s': the next gc takes it, if it is there", what);
	json_free(&json);
	return status;
}

static int explain(struct cli *cli, const char *what)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pleach_report *report;
	int status;

	if (pleach_why(cli->store, what, &report, &error) < 0)
		return cli_fail(cli, &error);
	status = print_reasons(cli, what, report);
	pleach_report_close(report);
	return status;
}

/* What was not done, and why. */
static void warn(struct cli *cli, const struct pleach_gc_result *result)
{
	if (!result->is_complete)
		cli_warn(cli, "not all was looked at: the next gc does the rest");
	if (result->busy_refs > 0)
		cli_warn(cli, "%llu %s busy: the next gc looks at the generations",
			 (unsigned long long)result->busy_refs,
			 result->busy_refs == 1 ? "ref was" : "refs were");
}

static int run(struct cli *cli, const void *values)
{
	const struct values *v = values;
	struct pleach_gc_options gc = PLEACH_GC_OPTIONS_INIT;
	struct pleach_gc_result result = PLEACH_GC_RESULT_INIT;
	struct pleach_report *report = NULL;
	struct pleach_error error = PLEACH_ERROR_INIT;
	char *over = NULL;
	int status = cli_open(cli);

	if (status != 0)
		return status;
	if (v->why)
		return explain(cli, v->why);
	if (v->dry_run && v->automatic)
		return cli_usage(cli, "gc -n says what would go, whenever that is",
				 "gc: --dry-run and --auto exclude each other");
	gc.dry_run = v->dry_run;
	gc.max_time_ms = v->max_time_ms;
	gc.automatic = v->automatic;
	if (pleach_gc(cli->store, &gc, &result, &report, &error) < 0)
		return cli_fail(cli, &error);
	if (cli->json)
		status = print_json(cli, v, &result, report, &over);
	else
		status = print_generations(cli, v, report, &over);
	if (status == 0 && !cli->json)
		status = print_text(cli, v, &result, over);
	pleach_report_close(report);
	if (status == 0)
		warn(cli, &result);
	free(over);
	return status;
}

void collect_behind(struct cli *cli)
{
	struct pleach_gc_options gc = PLEACH_GC_OPTIONS_INIT;
	struct pleach_gc_result result = PLEACH_GC_RESULT_INIT;
	struct pleach_error error = PLEACH_ERROR_INIT;

	gc.automatic = 1;
	gc.max_time_ms = BEHIND_MS;
	pleach_store_set_progress(cli->store, NULL, NULL);
	if (pleach_gc(cli->store, &gc, &result, NULL, &error) < 0) {
		if (cli->verbose)
			cli_warn(cli, "collecting behind it failed: %s", error.message);
		return;
	}
	if (cli->verbose && result.generations + result.trees + result.objects > 0)
		cli_warn(cli, "collected behind it: %llu generations, %llu trees, %llu objects",
			 (unsigned long long)result.generations, (unsigned long long)result.trees,
			 (unsigned long long)result.objects);
}

const struct command command_gc = {
	.name = "gc",
	.group = GROUP_CARE,
	.summary = "collect what nobody needs",
	.operands = "",
	.details =
		"Generations that the settings (keep, keep-for, keep-daily...) keep no longer are\n"
		"dropped; trees that no generation, tag, attachment, pin or open transaction has\n"
		"go, and then the objects and nodes that no tree names. In a store that takes\n"
		"more than its max-size, generations go that were replaced or used longest ago,\n"
		"whatever the rules say, until it fits: no heads, none that is tagged, pinned,\n"
		"attached, the base of a transaction or within its grace. Where it stays over all\n"
		"the same, it says by how much and what stays, and ends with 0. It may run at\n"
		"any time, beside everything else; killed, nothing is lost. A second one at once\n"
		"is refused (11). -n and --why change nothing, and work where nothing can be\n"
		"written.\n"
		"\n"
		"Root may collect a store of another user: on files he acts as that user then, so\n"
		"that what is made there is the owner's.\n"
		"\n"
		"With auto-gc=on, the default, publish, rollback, run and commit do --auto when\n"
		"their answer has been given, for a second at most. It is worth it when 16\n"
		"commits on refs whose settings drop anything, or drops, have come since the last\n"
		"one, or have brought 64 MB (where the size of the store is known, an eighth of\n"
		"it, and 16 MB at least), or when the store is over its max-size.\n",
	.options = options,
	.values_size = sizeof(struct values),
	.least = 0,
	.most = 0,
	.run = run,
};
