/*
 * drop.c - `pleach drop`: give up generations, or a whole ref.
 *
 * Several are dropped one after the other; one that is refused does not stop the rest. The status is
 * then that of the refusal if nothing was dropped, 3 if some were.
 */
#include "cli.h"

struct values {
	bool dry_run, force, now;
};

static const struct option options[] = {
	{.letter = 'n',
	 .name = "dry-run",
	 .type = OPTION_FLAG,
	 .help = "print what would be dropped, drop nothing",
	 .offset = offsetof(struct values, dry_run)},
	{.letter = 'f',
	 .name = "force",
	 .type = OPTION_FLAG,
	 .help = "although it is tagged: the tags go too",
	 .offset = offsetof(struct values, force)},
	{.name = "now",
	 .type = OPTION_FLAG,
	 .help = "do not wait for the grace",
	 .offset = offsetof(struct values, now)},
	{0},
};

static int print(struct cli *cli, const struct values *v, struct json *json, const char *rev,
		 const struct pleach_drop_result *result)
{
	char size[SIZE_TEXT_MAX];

	if (cli->json) {
		json_object(json, NULL);
		json_name(json, "rev", rev);
		json_number(json, "generations", result->generations);
		json_number(json, "trees", result->trees);
		json_number(json, "bytes", result->bytes);
		json_object_end(json);
		return 0;
	}
	if (cli->quiet && !v->dry_run)
		return 0;
	progress_clear();
	printf("%s %s: %llu %s, %llu %s, %s that nothing else holds", rev,
	       v->dry_run ? "would be dropped" : "dropped", (unsigned long long)result->generations,
	       result->generations == 1 ? "generation" : "generations",
	       (unsigned long long)result->trees, result->trees == 1 ? "tree" : "trees",
	       size_human(result->bytes, size));
	return output_end(cli, false);
}

static int drop_all(struct cli *cli, const struct values *v, struct json *json,
		    struct pleach_error *first_error, size_t *ret_dropped)
{
	struct pleach_drop_options drop = PLEACH_DROP_OPTIONS_INIT;
	int status = 0;

	*ret_dropped = 0;
	drop.dry_run = v->dry_run;
	drop.force = v->force;
	drop.now = v->now;
	for (size_t i = 0; status == 0 && i < cli->n_args; i++) {
		struct pleach_drop_result result = PLEACH_DROP_RESULT_INIT;
		struct pleach_error error = PLEACH_ERROR_INIT;

		if (pleach_drop(cli->store, cli->args[i], &drop, &result, &error) < 0) {
			cli_complain(cli, &error);
			if (first_error->code == PLEACH_OK)
				*first_error = error;
			if (error.code == PLEACH_INTERRUPTED)
				break;
			continue;
		}
		++*ret_dropped;
		status = print(cli, v, json, cli->args[i], &result);
	}
	return status;
}

static int run(struct cli *cli, const void *values)
{
	const struct values *v = values;
	struct pleach_error first_error = PLEACH_ERROR_INIT;
	struct json json = {0};
	size_t dropped;
	int status = cli_open(cli);

	if (status != 0)
		return status;
	json_object(&json, NULL);
	json_bool(&json, "dry_run", v->dry_run);
	json_array(&json, "dropped");
	status = drop_all(cli, v, &json, &first_error, &dropped);
	json_array_end(&json);
	if (dropped == 0) { /* the error document alone */
		json_free(&json);
		json_object(&json, NULL);
	}
	if (first_error.code != PLEACH_OK)
		json_error(&json, "error", &first_error);
	json_object_end(&json);
	if (status == 0 && cli->json)
		status = json_print(cli, &json);
	json_free(&json);
	if (status != 0 || first_error.code == PLEACH_OK)
		return status;
	if (dropped > 0 && first_error.code != PLEACH_INTERRUPTED)
		return PLEACH_PARTIAL;
	return cli_status(&first_error);
}

const struct command command_drop = {
	.name = "drop",
	.group = GROUP_CARE,
	.summary = "give up generations, or a whole ref",
	.operands = "REF@N... | REF...",
	.details =
		"A generation is refused while it is tagged, pinned, attached or the head (exit\n"
		"status 11, naming by what); its number is never used again. A whole REF goes\n"
		"with its history, and with its public path if that is still ours.\n",
	.options = options,
	.values_size = sizeof(struct values),
	.least = 1,
	.most = -1,
	.run = run,
};
