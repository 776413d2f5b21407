/*
 * publish.c - `pleach publish` and `pleach rollback`: make the next generation of a ref.
 */
#include <stdlib.h>
#include <string.h>

#include "cli.h"

struct values {
	const char *message, *metadata;
	struct text_list meta, exclude;
	int on_clash;
	int64_t if_head, jobs;
	bool dry_run;
};

#define MESSAGE_OPTION                                                                            \
	{                                                                                         \
		.letter = 'm', .name = "message", .type = OPTION_TEXT, .argument = "MSG",         \
		.help = "what this generation is for", .offset = offsetof(struct values, message) \
	}
#define META_OPTION                                                           \
	{                                                                     \
		.name = "meta", .type = OPTION_LIST, .argument = "KEY=VALUE", \
		.help = "note that goes with it (may be repeated)",           \
		.offset = offsetof(struct values, meta)                       \
	}
#define IF_HEAD_OPTION                                                                    \
	{                                                                                 \
		.name = "if-head", .type = OPTION_NUMBER, .argument = "N", .initial = -1, \
		.help = "only if the head is N (0: the ref is new)",                      \
		.offset = offsetof(struct values, if_head)                                \
	}
#define DRY_RUN_OPTION                                                 \
	{                                                              \
		.letter = 'n', .name = "dry-run", .type = OPTION_FLAG, \
		.help = "print what would change, write nothing",      \
		.offset = offsetof(struct values, dry_run)             \
	}

static const struct option publish_options[] = {
	MESSAGE_OPTION,
	META_OPTION,
	{.name = "exclude",
	 .type = OPTION_LIST,
	 .argument = "GLOB",
	 .help = "leave out, as .gitignore does (may be repeated)",
	 .offset = offsetof(struct values, exclude)},
	{.name = "on-clash",
	 .type = OPTION_CHOICE,
	 .argument = "error|first|last",
	 .help = "when two sources bring one path",
	 .offset = offsetof(struct values, on_clash)},
	IF_HEAD_OPTION,
	DRY_RUN_OPTION,
	{.name = "jobs",
	 .type = OPTION_NUMBER,
	 .argument = "N",
	 .help = "threads (default: as many as cores)",
	 .offset = offsetof(struct values, jobs)},
	{.name = "metadata",
	 .type = OPTION_TEXT,
	 .argument = "RULE",
	 .help = "exact, portable or canonical, this once",
	 .offset = offsetof(struct values, metadata)},
	{0},
};

static const struct option rollback_options[] = {
	MESSAGE_OPTION, META_OPTION, IF_HEAD_OPTION, DRY_RUN_OPTION, {0},
};

/* What a dry run can list: the head against a directory. All-NULL: nothing but counts. */
struct preview {
	const char *directory;
	const char *rev;
	const char *const *exclude;
};

/* ---- what is printed ------------------------------------------------------------------------ */

static int preview_open(struct cli *cli, const struct preview *preview, const char *ref,
			uint64_t head, struct pleach_diff **ret_diff)
{
	struct pleach_diff_options options = PLEACH_DIFF_OPTIONS_INIT;
	struct pleach_error error = PLEACH_ERROR_INIT;
	char before[PLEACH_REF_MAX + 32];

	snprintf(before, sizeof(before), "%s@%llu", ref, (unsigned long long)head);
	options.directory = preview->directory;
	options.exclude = preview->exclude;
	if (pleach_diff_open(cli->store, before, preview->rev, &options, ret_diff, &error) < 0)
		return cli_fail(cli, &error);
	return 0;
}

/* The changes a dry run would make: lines, or with --json an array. */
static int preview_print(struct cli *cli, const struct preview *preview, const char *ref,
			 uint64_t head, struct json *json)
{
	struct pleach_change change = PLEACH_CHANGE_INIT;
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pleach_diff *diff;
	int status = preview_open(cli, preview, ref, head, &diff), result = 0;

	if (status != 0)
		return status;
	while (status == 0 && (result = pleach_diff_next(diff, &change, &error)) > 0) {
		char letter[2] = {change.change, 0};

		if (cli->json) {
			json_object(json, NULL);
			json_name(json, "path", change.path);
			json_prose(json, "change", letter);
			json_object_end(json);
			continue;
		}
		printf("%s ", letter);
		output_name(change.path, false);
		status = output_end(cli, false);
	}
	if (status == 0 && result < 0)
		status = cli_fail(cli, &error);
	pleach_diff_close(diff);
	return status;
}

static int print_text(struct cli *cli, const char *ref, const struct pleach_publish_result *result,
		      bool is_dry)
{
	if (cli->quiet && !is_dry)
		return 0;
	progress_clear();
	result_text(stdout, ref, result, is_dry);
	return output_end(cli, false);
}

/* `error`: of a publish that was done in part, or NULL. `preview`: of a dry run, or NULL. */
static int print_json(struct cli *cli, const char *ref, const struct pleach_publish_result *result,
		      const struct preview *preview, bool is_dry, const struct pleach_error *error)
{
	struct json json = {0};
	int status = 0;

	json_object(&json, NULL);
	result_json(&json, ref, result, is_dry);
	if (preview) {
		json_array(&json, "changes");
		status = preview_print(cli, preview, ref, result->parent, &json);
		json_array_end(&json);
	}
	if (error)
		json_error(&json, "error", error);
	json_object_end(&json);
	if (status == 0)
		status = json_print(cli, &json);
	json_free(&json);
	return status;
}

static int print(struct cli *cli, const char *ref, const struct pleach_publish_result *result,
		 const struct preview *preview, bool is_dry, const struct pleach_error *error)
{
	int status = 0;

	if (!is_dry || result->unchanged || !result->parent ||
	    (!preview->directory && !preview->rev))
		preview = NULL;
	if (cli->json)
		return print_json(cli, ref, result, preview, is_dry, error);
	if (preview)
		status = preview_print(cli, preview, ref, result->parent, NULL);
	if (status == 0)
		status = print_text(cli, ref, result, is_dry);
	return status;
}

static int finish(struct cli *cli, const char *ref, int outcome,
		  const struct pleach_publish_result *result, const struct preview *preview,
		  bool is_dry, const struct pleach_error *error)
{
	int status;

	if (outcome < 0)
		return cli_fail(cli, error);
	cli->has_committed = !is_dry && !result->unchanged;
	status = print(cli, ref, result, preview, is_dry, outcome > 0 ? error : NULL);
	result_warn(cli, result);
	if (status == 0 && outcome > 0) {
		cli_complain(cli, error);
		status = PLEACH_PARTIAL;
	}
	return status;
}

/* ---- publish -------------------------------------------------------------------------------- */

static int meta_check(struct cli *cli, const struct text_list *meta)
{
	for (size_t i = 0; i < meta->n; i++) {
		const char *equals = strchr(meta->items[i], '=');
		size_t length = equals ? (size_t)(equals - meta->items[i]) + 1 : 0;

		if (length < 2)
			return cli_usage(cli, "write --meta KEY=VALUE",
					 "%s: --meta: no key and value: '%s'", cli->command->name,
					 meta->items[i]);
		for (size_t j = 0; j < i; j++)
			if (strncmp(meta->items[i], meta->items[j], length) == 0)
				return cli_usage(cli, "a key has one value",
						 "%s: --meta: '%.*s' is given twice",
						 cli->command->name, (int)length - 1,
						 meta->items[i]);
	}
	return 0;
}

/* One SOURCE. Cuts `word` behind its prefix. */
static int source_parse(struct cli *cli, char *word, struct pleach_source *ret_source)
{
	enum operand_kind kind;
	char *spec = strchr(word, '=');
	int status;

	ret_source->prefix = NULL;
	if (spec) {
		*spec++ = 0;
		ret_source->prefix = *word ? word : NULL;
	} else {
		spec = word;
	}
	if (strcmp(spec, "-") == 0)
		return cli_failf(
			cli, PLEACH_FAILED, NULL, "unpack it first, and publish the directory",
			"cannot publish an archive from standard input: archives are not in "
			"this version");
	if (!*spec)
		return cli_usage(cli, "write PREFIX=SOURCE", "publish: nothing stands behind '%s='",
				 word);
	status = operand_kind(cli, spec, &kind);
	ret_source->spec = spec;
	ret_source->kind = kind == OPERAND_DIR ? PLEACH_SOURCE_DIR : PLEACH_SOURCE_REV;
	return status;
}

/* The library's options out of the command's. */
static struct pleach_publish_options publish_options_of(const struct values *v)
{
	struct pleach_publish_options options = PLEACH_PUBLISH_OPTIONS_INIT;

	options.message = v->message;
	options.meta = v->meta.items;
	options.exclude = v->exclude.items;
	options.on_clash = (enum pleach_clash)v->on_clash;
	options.if_head = v->if_head;
	options.dry_run = v->dry_run;
	options.jobs = (unsigned)(v->jobs > 1024 ? 1024 : v->jobs);
	options.metadata = v->metadata;
	return options;
}

static int publish_sources(struct cli *cli, const struct values *v,
			   const struct pleach_source *sources, size_t n)
{
	struct pleach_publish_options options = publish_options_of(v);
	struct pleach_publish_result result = PLEACH_PUBLISH_RESULT_INIT;
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct preview preview = {NULL, NULL, v->exclude.items};
	int outcome;

	if (n == 1 && !sources[0].prefix && sources[0].kind == PLEACH_SOURCE_DIR)
		preview.directory = sources[0].spec;
	else if (n == 1 && !sources[0].prefix && !v->exclude.n)
		preview.rev = sources[0].spec;
	outcome = pleach_publish(cli->store, cli->args[0], sources, n, &options, &result, &error);
	return finish(cli, cli->args[0], outcome, &result, &preview, v->dry_run, &error);
}

static int publish(struct cli *cli, const void *values)
{
	const struct values *v = values;
	size_t n = cli->n_args - 1;
	struct pleach_source *sources;
	char **words;
	int status = meta_check(cli, &v->meta);

	if (status == 0)
		status = cli_open(cli);
	if (status != 0)
		return status;
	sources = calloc(n, sizeof(*sources));
	words = calloc(n, sizeof(*words));
	if (!sources || !words) {
		free(words);
		free(sources);
		return cli_no_memory(cli);
	}
	for (size_t i = 0; status == 0 && i < n; i++) {
		words[i] = strdup(cli->args[1 + i]);
		status = words[i] ? source_parse(cli, words[i], &sources[i]) : cli_no_memory(cli);
	}
	if (status == 0)
		status = publish_sources(cli, v, sources, n);
	for (size_t i = 0; i < n; i++)
		free(words[i]);
	free(words);
	free(sources);
	return status;
}

const struct command command_publish = {
	.name = "publish",
	.group = GROUP_MAKE,
	.summary = "make a tree the next generation of a ref",
	.operands = "REF SOURCE...",
	.details =
		"A SOURCE is a directory, or a revision with or without a path (REV, REV:path).\n"
		"PREFIX=SOURCE puts it at PREFIX, so that several make one tree. A word with a\n"
		"'/' in it is a path; a word that is both a ref and a path has to be written\n"
		"./NAME or NAME@N; a path with a '=' in it as =./a=b.\n"
		"\n"
		"The ref is made if it is not there. Whatever its head was is replaced. Where\n"
		"nothing changed, no generation is made.\n",
	.options = publish_options,
	.values_size = sizeof(struct values),
	.least = 2,
	.most = -1,
	.run = publish,
};

/* ---- rollback ------------------------------------------------------------------------------- */

static int rollback(struct cli *cli, const void *values)
{
	const struct values *v = values;
	struct pleach_publish_options options = publish_options_of(v);
	struct pleach_publish_result result = PLEACH_PUBLISH_RESULT_INIT;
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct preview preview = {NULL, NULL, NULL};
	char tree[PLEACH_HEX_MAX + 8];
	int outcome, status = meta_check(cli, &v->meta);

	if (status == 0)
		status = cli_open(cli);
	if (status != 0)
		return status;
	outcome =
		pleach_rollback(cli->store, cli->args[0], cli->args[1], &options, &result, &error);
	if (outcome >= 0 && result.tree[0]) {
		snprintf(tree, sizeof(tree), "tree:%s", result.tree);
		preview.rev = tree;
	}
	return finish(cli, cli->args[0], outcome, &result, &preview, v->dry_run, &error);
}

const struct command command_rollback = {
	.name = "rollback",
	.group = GROUP_MAKE,
	.summary = "publish an earlier generation again",
	.operands = "REF [REV]",
	.details =
		"REV is the generation to go back to (REF@N, REF@-K, REF@TAG, or @N, @-K, @TAG\n"
		"of this ref), by default the one before the head. It becomes a new generation:\n"
		"history is only added to.\n",
	.options = rollback_options,
	.values_size = sizeof(struct values),
	.least = 1,
	.most = 2,
	.run = rollback,
};
