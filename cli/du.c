/*
 * du.c - `pleach du`: what a store takes of the disk, and for which generations.
 */
#include "cli.h"

/* ---- generations ---- */

static void generation_json(struct json *json, const struct pleach_du_generation *g)
{
	json_object(json, NULL);
	json_name(json, "ref", g->ref);
	json_number(json, "generation", g->generation);
	json_prose(json, "tree", g->tree);
	json_number(json, "objects", g->objects);
	json_number(json, "nodes", g->nodes);
	json_number(json, "bytes", g->bytes);
	json_number(json, "disk", g->disk);
	json_number(json, "shared", g->shared);
	json_number(json, "alone", g->alone);
	json_bool(json, "head", g->is_head);
	json_bool(json, "placed", g->is_placed);
	json_bool(json, "held", g->is_held);
	json_object_end(json);
}

static int generation_text(struct cli *cli, const struct pleach_du_generation *g, bool is_first)
{
	char disk[SIZE_TEXT_MAX], shared[SIZE_TEXT_MAX], alone[SIZE_TEXT_MAX];

	if (is_first)
		printf("%15s %15s %15s\n", "disk", "shared", "alone");
	printf("%15s %15s %15s  %s@%llu%s%s", size_text(g->disk, disk),
	       size_text(g->shared, shared), size_text(g->alone, alone), g->ref,
	       (unsigned long long)g->generation, g->is_head ? " (head)" : "",
	       g->is_held ? " (held)" : "");
	return output_end(cli, false);
}

/* `error` tells of what is damaged, and not listed. */
static int print_generations(struct cli *cli, struct json *json, struct pleach_du *du,
			     struct pleach_error *error)
{
	struct pleach_du_generation g = PLEACH_DU_GENERATION_INIT;
	bool is_first = true;
	int status = 0, result = 0;

	json_array(json, "generations");
	while (status == 0 && (result = pleach_du_next(du, &g, error)) > 0) {
		if (cli->json)
			generation_json(json, &g);
		else
			status = generation_text(cli, &g, is_first);
		is_first = false;
	}
	json_array_end(json);
	if (status == 0 && result < 0 && error->code != PLEACH_CORRUPT)
		status = cli_fail(cli, error);
	if (status == 0 && !cli->json && !is_first)
		status = output_end(cli, false);
	return status;
}

/* ---- the store ---- */

static void totals_json(struct json *json, const struct pleach_du_totals *t)
{
	json_object(json, "totals");
	json_number(json, "total", t->total);
	json_number(json, "objects", t->objects);
	json_number(json, "nodes", t->nodes);
	json_number(json, "directories", t->directories);
	json_number(json, "copies", t->copies);
	json_number(json, "trash", t->trash);
	json_number(json, "transactions", t->transactions);
	json_number(json, "cache", t->cache);
	json_number(json, "other", t->other);
	json_number(json, "beside", t->beside);
	json_number(json, "unneeded", t->unneeded);
	json_number(json, "n_objects", t->n_objects);
	json_number(json, "n_nodes", t->n_nodes);
	json_number(json, "n_trees", t->n_trees);
	json_number(json, "n_placed", t->n_placed);
	json_number(json, "unread", t->unread);
	json_number(json, "damaged", t->damaged);
	json_object_end(json);
}

static int totals_text(struct cli *cli, const struct pleach_du_totals *t)
{
	const struct {
		uint64_t bytes;
		const char *what;
		bool is_rare;
	} lines[] = {
		{t->objects, "objects (contents of files)"},
		{t->nodes, "nodes (directories as they are kept)"},
		{t->directories, "directories of placed trees"},
		{t->copies, "files of placed trees that are no links of objects"},
		{t->trash, "trash"},
		{t->transactions, "transactions"},
		{t->cache, "cache"},
		{t->other, "records, settings, reserve"},
		{t->damaged, "set aside by repairs: rm -r .pleach/damaged, once you have looked",
		 .is_rare = true},
		{t->beside, "beside: public paths, the directory itself"},
		{t->total, "total"},
		{t->unneeded, "of these not needed: gc frees them"},
	};
	int status = 0;

	for (size_t i = 0; status == 0 && i < sizeof(lines) / sizeof(lines[0]); i++) {
		char size[SIZE_TEXT_MAX];

		if (lines[i].is_rare && lines[i].bytes == 0)
			continue;
		printf("%15s  %s", size_text(lines[i].bytes, size), lines[i].what);
		status = output_end(cli, false);
	}
	return status;
}

/* ---- the whole ---- */

static int print(struct cli *cli, struct pleach_du *du, const struct pleach_du_totals *totals)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct json json = {0};
	int status;

	json_object(&json, NULL);
	status = print_generations(cli, &json, du, &error);
	totals_json(&json, totals);
	if (error.code == PLEACH_CORRUPT)
		json_error(&json, "error", &error);
	json_object_end(&json);
	if (status == 0)
		status = cli->json ? json_print(cli, &json) : totals_text(cli, totals);
	json_free(&json);
	if (status != 0 || error.code != PLEACH_CORRUPT)
		return status;
	cli_complain(cli, &error);
	return cli_status(&error);
}

static int run(struct cli *cli, const void *values)
{
	struct pleach_du_totals totals = PLEACH_DU_TOTALS_INIT;
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pleach_du *du;
	int status = cli_open(cli);

	(void)values;
	if (status != 0)
		return status;
	if (pleach_du_open(cli->store, cli->args[0], &du, &error) < 0)
		return cli_fail(cli, &error);
	progress_clear();
	pleach_du_sum(du, &totals);
	status = print(cli, du, &totals);
	pleach_du_close(du);
	if (status == 0 && totals.unread > 0) {
		cli_complain_of(cli,
				"%llu directories, nodes or trees could not be read: all is more",
				(unsigned long long)totals.unread);
		status = PLEACH_PARTIAL;
	}
	return status;
}

const struct command command_du = {
	.name = "du",
	.group = GROUP_LOOK,
	.summary = "what generations take of the disk, alone and together",
	.operands = "[REF]",
	.details =
		"Of each generation, in bytes of the disk as du(1) counts them:\n"
		"\n"
		"  disk    what it holds: contents of files, nodes, and its placed tree's\n"
		"          directories and private copies\n"
		"  shared  what of it something else has too\n"
		"  alone   the rest: what dropping it would free, with the next gc; 0 where\n"
		"          another generation is the same tree. (held): not before a pin, an\n"
		"          attachment, a transaction or a grace has ended.\n"
		"\n"
		"Then what the whole store takes; the total is that of du -s STORE. REF lists its\n"
		"generations alone. Dropped ones are not listed.\n",
	.least = 0,
	.most = 1,
	.run = run,
};
