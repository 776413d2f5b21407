/*
 * diff.c - `pleach diff`: what differs between two trees, or a tree and a directory.
 */
#include <stdlib.h>
#include <string.h>

#include "cli.h"

struct values {
	bool is_stat, is_patch, is_name_only, is_raw, exit_code;
};

static const struct option options[] = {
	{.name = "stat",
	 .type = OPTION_FLAG,
	 .help = "sizes before and after, and totals",
	 .offset = offsetof(struct values, is_stat)},
	{.letter = 'p',
	 .name = "patch",
	 .type = OPTION_FLAG,
	 .help = "content, as diff -u shows it",
	 .offset = offsetof(struct values, is_patch)},
	{.name = "name-only",
	 .type = OPTION_FLAG,
	 .help = "paths only",
	 .offset = offsetof(struct values, is_name_only)},
	{.letter = 'z',
	 .name = "null",
	 .type = OPTION_FLAG,
	 .help = "end lines with NUL, quote nothing",
	 .offset = offsetof(struct values, is_raw)},
	{.name = "exit-code",
	 .type = OPTION_FLAG,
	 .help = "exit 1 if there are differences",
	 .offset = offsetof(struct values, exit_code)},
	{0},
};

/* One diff under way. */
struct view {
	struct cli *cli;
	const struct values *v;
	struct operand_rev fixed[2];
	char *revs[2]; /* given to the library; the second NULL: the parent, or a directory */
	const char *directory;
	struct patch_side before, after;
	struct json json;
	uint64_t n[3];		/* added, modified, removed */
	uint64_t grown, shrunk; /* bytes */
};

/* ---- one change ----------------------------------------------------------------------------- */

static enum color letter_color(char letter)
{
	return letter == 'A' ? COLOR_GREEN : letter == 'D' ? COLOR_RED : COLOR_YELLOW;
}

static void print_letter(const struct pleach_change *change)
{
	const char *color = output_color(stdout, letter_color(change->change));

	printf("%s%c%s ", color, change->change, *color ? output_color(stdout, COLOR_NONE) : "");
}

static uint64_t size_of(const struct pleach_entry *entry)
{
	return entry && entry->type == PLEACH_FILE ? entry->file_size : 0;
}

static void print_stat(struct view *view, const struct pleach_change *change)
{
	uint64_t old = size_of(change->before), new = size_of(change->after);
	char text[2][SIZE_TEXT_MAX];

	view->n[change->change == 'A' ? 0 : change->change == 'D' ? 2 : 1]++;
	if (new > old)
		view->grown += new - old;
	else
		view->shrunk += old - new;
	print_letter(change);
	output_name(change->path, view->v->is_raw);
	printf("  %s -> %s", change->before ? size_text(old, text[0]) : "-",
	       change->after ? size_text(new, text[1]) : "-");
}

static int print_json(struct view *view, const struct pleach_change *change)
{
	char letter[2] = {change->change, 0};

	json_object(&view->json, NULL);
	json_name(&view->json, "path", change->path);
	json_prose(&view->json, "change", letter);
	entry_json(&view->json, "old", change->before);
	entry_json(&view->json, "new", change->after);
	json_object_end(&view->json);
	return json_print(view->cli, &view->json);
}

static int print(struct view *view, const struct pleach_change *change)
{
	const struct values *v = view->v;

	if (view->cli->json)
		return print_json(view, change);
	if (v->is_patch)
		return patch_print(view->cli, &view->before, &view->after, change);
	if (v->is_stat) {
		print_stat(view, change);
		return output_end(view->cli, v->is_raw);
	}
	if (!v->is_name_only)
		print_letter(change);
	output_name(change->path, v->is_raw);
	return output_end(view->cli, v->is_raw);
}

static int print_totals(struct view *view)
{
	char text[2][SIZE_TEXT_MAX];
	uint64_t n = view->n[0] + view->n[1] + view->n[2];

	printf("%llu %s: %llu added, %llu modified, %llu removed; +%s -%s%s", (unsigned long long)n,
	       n == 1 ? "path" : "paths", (unsigned long long)view->n[0],
	       (unsigned long long)view->n[1], (unsigned long long)view->n[2],
	       size_text(view->grown, text[0]), size_text(view->shrunk, text[1]),
	       output_is_terminal(stdout) ? "" : " bytes");
	return output_end(view->cli, view->v->is_raw);
}

/* ---- the two sides -------------------------------------------------------------------------- */

/* Resolved once: a head that moves meanwhile must not mix two generations in one diff. */
static int fix(struct view *view, int side, const char *word)
{
	int status = operand_fix(view->cli, word, &view->fixed[side]);

	if (status != 0)
		return status;
	view->revs[side] = operand_join(view->fixed[side].rev, view->fixed[side].path, NULL);
	return view->revs[side] ? 0 : cli_no_memory(view->cli);
}

static int prepare(struct view *view)
{
	const char *second = view->cli->args[1];
	enum operand_kind kind = OPERAND_REV;
	int status = fix(view, 0, view->cli->args[0]);

	if (status == 0 && second)
		status = operand_kind(view->cli, second, &kind);
	if (status != 0)
		return status;
	view->before = (struct patch_side){view->fixed[0].rev, view->fixed[0].path, NULL};
	if (!second) {
		view->after = view->before;
		view->before.rev = view->fixed[0].parent;
	} else if (kind == OPERAND_DIR) {
		view->directory = second;
		view->after = (struct patch_side){NULL, NULL, second};
	} else {
		status = fix(view, 1, second);
		view->after = (struct patch_side){view->fixed[1].rev, view->fixed[1].path, NULL};
	}
	return status;
}

static int print_all(struct view *view)
{
	struct pleach_diff_options diff_options = PLEACH_DIFF_OPTIONS_INIT;
	struct pleach_change change = PLEACH_CHANGE_INIT;
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct cli *cli = view->cli;
	struct pleach_diff *diff;
	int status = 0, result = 0;
	bool is_different = false;

	diff_options.directory = view->directory;
	diff_options.paths = cli->n_rest ? (const char *const *)cli->rest : NULL;
	if (pleach_diff_open(cli->store, view->revs[0], view->revs[1], &diff_options, &diff,
			     &error) < 0)
		return cli_fail(cli, &error);
	while (status == 0 && (result = pleach_diff_next(diff, &change, &error)) > 0) {
		is_different = true;
		status = print(view, &change);
	}
	if (status == 0 && result < 0)
		status = cli_fail(cli, &error);
	pleach_diff_close(diff);
	if (status == 0 && view->v->is_stat && !cli->json && is_different)
		status = print_totals(view);
	if (status == 0 && view->v->exit_code && is_different)
		status = 1;
	return status;
}

static int run(struct cli *cli, const void *values)
{
	const struct values *v = values;
	struct view view = {.cli = cli, .v = v};
	int status;

	if (v->is_stat + v->is_patch + v->is_name_only > 1)
		return cli_usage(cli, NULL, "diff: only one of --stat, -p and --name-only");
	status = cli_open(cli);
	if (status == 0)
		status = prepare(&view);
	if (status == 0)
		status = print_all(&view);
	json_free(&view.json);
	free(view.revs[0]);
	free(view.revs[1]);
	return status;
}

const struct command command_diff = {
	.name = "diff",
	.group = GROUP_LOOK,
	.summary = "what changed between two revisions, or in a directory",
	.operands = "REV [REV|DIR] [-- PATH...]",
	.details = "One REV is compared with its parent; a REV and a DIR with what is there now.\n"
		   "\n"
		   "A added, D removed, M content, T type, P metadata only, L hard links only.\n",
	.options = options,
	.values_size = sizeof(struct values),
	.least = 1,
	.most = 2,
	.takes_rest = true,
	.run = run,
};
