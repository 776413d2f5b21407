/*
 * dedup.c - `pleach dedup`: equal files of any directory tree share their storage.
 */
#include <unistd.h>

#include "cli.h"

enum { HOW_AUTO, HOW_LINK, HOW_REFLINK };

struct values {
	int how;
	const char *match, *index;
	int layout;
	bool dry_run;
};

static const struct option options[] = {
	{.name = "how",
	 .argument = "auto|link|reflink",
	 .type = OPTION_CHOICE,
	 .help = "auto: reflink where the file system can",
	 .offset = offsetof(struct values, how),
	 .initial = HOW_AUTO},
	{.name = "match",
	 .argument = "LIST",
	 .type = OPTION_TEXT,
	 .help = "of content,mode,owner,mtime,xattrs",
	 .offset = offsetof(struct values, match)},
	{.name = "index",
	 .argument = "DIR",
	 .type = OPTION_TEXT,
	 .help = "find and keep files by content in DIR (links)",
	 .offset = offsetof(struct values, index)},
	{.name = "layout",
	 .argument = "hex|nix",
	 .type = OPTION_CHOICE,
	 .help = "how names in DIR are made",
	 .offset = offsetof(struct values, layout)},
	{.letter = 'n',
	 .name = "dry-run",
	 .type = OPTION_FLAG,
	 .help = "change nothing, say what would be saved",
	 .offset = offsetof(struct values, dry_run)},
	{0},
};

static void summary(const struct pleach_dedup_result *result, bool is_dry)
{
	char size[SIZE_TEXT_MAX];

	printf("%s%s saved, %llu linked, %llu reflinked, of %llu files", is_dry ? "would be: " : "",
	       size_text(result->bytes_saved, size), (unsigned long long)result->linked,
	       (unsigned long long)result->reflinked, (unsigned long long)result->files);
	if (result->indexed)
		printf(", %llu indexed", (unsigned long long)result->indexed);
	if (result->left_alone)
		printf(", %llu left alone", (unsigned long long)result->left_alone);
	if (result->failed)
		printf(", %llu failed", (unsigned long long)result->failed);
	putchar('\n');
}

static void result_members(struct json *json, const struct pleach_dedup_result *result, bool is_dry)
{
	json_bool(json, "dry_run", is_dry);
	json_number(json, "files", result->files);
	json_number(json, "bytes", result->bytes);
	json_number(json, "bytes_read", result->bytes_read);
	json_number(json, "linked", result->linked);
	json_number(json, "reflinked", result->reflinked);
	json_number(json, "bytes_saved", result->bytes_saved);
	json_number(json, "left_alone", result->left_alone);
	json_number(json, "failed", result->failed);
	json_number(json, "indexed", result->indexed);
}

/* What could not be done: to stderr, and with --json into the document. */
static int print(struct cli *cli, const struct pleach_dedup_result *result, bool is_dry,
		 struct pleach_report *report, const struct pleach_error *error)
{
	struct pleach_error ignored = PLEACH_ERROR_INIT;
	struct json json = {0};
	int status = 0;

	json_object(&json, NULL);
	result_members(&json, result, is_dry);
	json_array(&json, "findings");
	(void)cli_complain_all(cli, &json, report, &ignored);
	json_array_end(&json);
	if (error)
		json_error(&json, "error", error);
	json_object_end(&json);
	if (cli->json)
		status = json_print(cli, &json);
	else if (!cli->quiet)
		summary(result, is_dry);
	json_free(&json);
	if (status == 0 && error)
		cli_complain(cli, error);
	return status ? status : error ? PLEACH_PARTIAL : output_check(cli);
}

static int run(struct cli *cli, const void *values)
{
	static const char *const ways[] = {NULL, "link", "reflink"}, *const layouts[] = {"hex",
											 "nix"};
	const struct values *v = values;
	struct pleach_dedup_options dedup = PLEACH_DEDUP_OPTIONS_INIT;
	struct pleach_dedup_result result = PLEACH_DEDUP_RESULT_INIT;
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pleach_report *report = NULL;
	int status, outcome;

	dedup.how = ways[v->how];
	dedup.match = v->match;
	dedup.index = v->index;
	dedup.layout = v->index || v->layout ? layouts[v->layout] : NULL;
	dedup.dry_run = v->dry_run;
	dedup.cancel = signals_flag();
	dedup.progress = progress_begin(cli);
	outcome = pleach_dedup(cli->args, &dedup, &result, &report, &error);
	progress_clear();
	if (outcome < 0)
		return cli_fail(cli, &error);
	if (outcome > 0)
		cli_error_set(&error, PLEACH_PARTIAL, NULL,
			      geteuid() == 0 ? NULL : "root may read and replace all of them",
			      "not shared, for the reasons above: %llu of %llu files",
			      (unsigned long long)result.failed, (unsigned long long)result.files);
	status = print(cli, &result, v->dry_run, report, outcome > 0 ? &error : NULL);
	pleach_report_close(report);
	return status;
}

const struct command command_dedup = {
	.name = "dedup",
	.group = GROUP_CARE,
	.summary = "share equal files of any directory tree",
	.operands = "PATH...",
	.details =
		"Equal files below each PATH become hard links of one file, or share its blocks\n"
		"(reflinks). For a link all must be equal that a link has once: content, mode,\n"
		"owner, mtime and attributes; with reflinks each file keeps its own, and the\n"
		"content alone counts. --match says it otherwise: of what it does not name, the\n"
		"file with most links has its way. Needs no store. Each name is replaced in one\n"
		"step; a file that changes meanwhile, or is open for writing, is left alone.\n"
		"Other file systems mounted below a PATH are not entered.\n\n"
		"--index gives each file one more name in DIR, by its content, and later calls\n"
		"find it there without a look at the rest; what has its name there is not read\n"
		"again. --layout=nix: as in the .links of a Nix or Guix store.\n",
	.options = options,
	.values_size = sizeof(struct values),
	.least = 1,
	.most = -1,
	.run = run,
};
