/*
 * diff.c - `pleach diff`: what differs between two trees, or a tree and a directory; or what a transaction
 * has changed so far.
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
	char *workspace;      /* which that is, of a transaction that we are inside of; ours */
	struct pleach_tx *tx; /* or NULL; then all of the above is NULL */
	char base[PLEACH_REF_MAX + 32];
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
	view->before = (struct patch_side){view->fixed[0].rev, view->fixed[0].path, NULL, NULL};
	if (!second) {
		view->after = view->before;
		view->before.rev = view->fixed[0].parent;
	} else if (kind == OPERAND_DIR) {
		view->directory = second;
		view->after = (struct patch_side){NULL, NULL, second, NULL};
	} else {
		status = fix(view, 1, second);
		view->after =
			(struct patch_side){view->fixed[1].rev, view->fixed[1].path, NULL, NULL};
	}
	return status;
}

/* ---- a transaction -------------------------------------------------------------------------- */

/* One that is no ref is what a word can mean that is all hex digits. */
static bool is_tx(struct cli *cli)
{
	struct pleach_revision revision = PLEACH_REVISION_INIT;
	struct pleach_error error = PLEACH_ERROR_INIT;

	return operand_is_tx(cli->args[0]) &&
	       pleach_resolve(cli->store, cli->args[0], &revision, &error) < 0 &&
	       error.code == PLEACH_NOT_FOUND;
}

/* 1: the word means the transaction that we are inside of, and `ret_info` is that, as long as `txs` is open; 0, or
 * the exit status, negated. */
static int find_inside(struct cli *cli, struct pleach_txs *txs, struct pleach_tx_info *ret_info)
{
	struct pleach_tx_status tx = PLEACH_TX_STATUS_INIT;
	struct pleach_error error = PLEACH_ERROR_INIT;
	const char *word = cli->args[0];
	char id[32];
	int result;

	while ((result = pleach_txs_next(txs, &tx, &error)) > 0) {
		if (strncmp(tx.info.id, word, strlen(word)) != 0)
			continue;
		result = pleach_tx_inside(cli->store, tx.info.ref, id, &error);
		if (result < 0)
			break;
		if (result > 0 && strcmp(id, tx.info.id) == 0) {
			*ret_info = tx.info;
			return 1;
		}
	}
	return result < 0 ? -cli_fail(cli, &error) : 0;
}

/* Who runs it holds it; but from in here its workspace is a directory like any other. 1: `view` is set to it. */
static int prepare_inside(struct view *view)
{
	struct pleach_tx_info info = PLEACH_TX_INFO_INIT;
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct cli *cli = view->cli;
	struct pleach_txs *txs;
	int result;

	if (pleach_txs_open(cli->store, &txs, &error) < 0)
		return -cli_fail(cli, &error);
	result = find_inside(cli, txs, &info);
	if (result > 0) {
		snprintf(view->fixed[0].rev, sizeof(view->fixed[0].rev), "tree:%s", info.base_tree);
		view->revs[0] = strdup(view->fixed[0].rev);
		view->workspace = strdup(info.public_path);
		if (!view->revs[0] || !view->workspace)
			result = -cli_no_memory(cli);
	}
	pleach_txs_close(txs);
	view->directory = view->workspace;
	view->before = (struct patch_side){view->fixed[0].rev, NULL, NULL, NULL};
	view->after = (struct patch_side){NULL, NULL, view->directory, NULL};
	return result;
}

static int prepare_tx(struct view *view)
{
	struct pleach_tx_info info = PLEACH_TX_INFO_INIT;
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct cli *cli = view->cli;
	int inside;

	if (cli->args[1])
		return cli_usage(cli, NULL, "diff: a transaction is compared with its base alone");
	inside = prepare_inside(view);
	if (inside != 0)
		return inside < 0 ? -inside : 0;
	if (pleach_tx_open(cli->store, cli->args[0], &view->tx, &error) < 0)
		return cli_fail(cli, &error);
	pleach_tx_describe(view->tx, &info);
	snprintf(view->base, sizeof(view->base), "%s@%llu", info.ref,
		 (unsigned long long)info.base); /* nothing is asked of site@0 */
	view->before = (struct patch_side){view->base, NULL, NULL, NULL};
	view->after = (struct patch_side){NULL, NULL, info.path, view->tx};
	return 0;
}

/* Is `path` one of those behind `--`, or below one? The library looks itself, but not in a transaction. */
static bool is_wanted(const struct view *view, const char *path)
{
	const struct cli *cli = view->cli;

	if (!view->tx || cli->n_rest == 0)
		return true;
	for (size_t i = 0; i < cli->n_rest; i++) {
		const char *wanted = cli->rest[i];
		size_t length;

		while (wanted[0] == '.' && wanted[1] == '/')
			wanted += 2 + strspn(wanted + 2, "/");
		length = strlen(wanted);
		while (length > 0 && wanted[length - 1] == '/')
			length--;
		if (length == 0 || (length == 1 && *wanted == '.'))
			return true;
		if (strncmp(path, wanted, length) == 0 && (!path[length] || path[length] == '/'))
			return true;
	}
	return false;
}

/* ---- all of it ------------------------------------------------------------------------------ */

static int open_diff(struct view *view, struct pleach_diff **ret_diff)
{
	struct pleach_diff_options diff_options = PLEACH_DIFF_OPTIONS_INIT;
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct cli *cli = view->cli;
	int r;

	diff_options.directory = view->directory;
	diff_options.paths = cli->n_rest ? (const char *const *)cli->rest : NULL;
	if (view->tx)
		r = pleach_tx_diff(view->tx, ret_diff, &error);
	else
		r = pleach_diff_open(cli->store, view->revs[0], view->revs[1], &diff_options,
				     ret_diff, &error);
	return r < 0 ? cli_fail(cli, &error) : 0;
}

static int print_all(struct view *view)
{
	struct pleach_change change = PLEACH_CHANGE_INIT;
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct cli *cli = view->cli;
	struct pleach_diff *diff;
	int status = open_diff(view, &diff), result = 0;
	bool is_different = false;

	if (status != 0)
		return status;
	while (status == 0 && (result = pleach_diff_next(diff, &change, &error)) > 0) {
		if (!is_wanted(view, change.path))
			continue;
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

/* Parks it again, with its life renewed. */
static int close_tx(struct view *view, int status)
{
	struct pleach_error error = PLEACH_ERROR_INIT;

	if (pleach_tx_close(view->tx, &error) >= 0)
		return status;
	if (status == 0)
		return cli_fail(view->cli, &error);
	cli_complain(view->cli, &error); /* besides what has failed before */
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
		status = is_tx(cli) ? prepare_tx(&view) : prepare(&view);
	if (status == 0)
		status = print_all(&view);
	status = close_tx(&view, status);
	json_free(&view.json);
	free(view.revs[0]);
	free(view.revs[1]);
	free(view.workspace);
	return status;
}

const struct command command_diff = {
	.name = "diff",
	.group = GROUP_LOOK,
	.summary = "what changed between two revisions, or in a directory",
	.operands = "REV [REV|DIR] [-- PATH...] | TX",
	.details =
		"One REV is compared with its parent; a REV and a DIR with what is there now; a\n"
		"transaction (TX: its id, or 8 and more digits of it) with its base: one of\n"
		"'pleach begin', or inside of 'pleach run' that which it runs, $PLEACH_TX.\n"
		"\n"
		"A added, D removed, M content, T type, P metadata only, L hard links only.\n",
	.options = options,
	.values_size = sizeof(struct values),
	.least = 1,
	.most = 2,
	.takes_rest = true,
	.run = run,
};
