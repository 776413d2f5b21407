/*
 * check.c - `pleach check`: verify the store, and name each fault.
 *
 * A store that is well is answered with silence, exit 0 (with -v: what was verified, on stderr).
 */
#include <unistd.h>

#include "cli.h"

#define HURTS_SHOWN 10

struct values {
	bool quick, is_raw, repair;
	const char *from;
	int64_t jobs;
};

static const struct option options[] = {
	{.name = "quick",
	 .type = OPTION_FLAG,
	 .help = "placed trees by metadata only",
	 .offset = offsetof(struct values, quick)},
	{.name = "repair",
	 .type = OPTION_FLAG,
	 .help = "mend what can be",
	 .offset = offsetof(struct values, repair)},
	{.name = "from",
	 .type = OPTION_TEXT,
	 .argument = "DIR|STORE",
	 .help = "lost content may be taken from there",
	 .offset = offsetof(struct values, from)},
	{.name = "jobs",
	 .type = OPTION_NUMBER,
	 .argument = "N",
	 .help = "threads (default: as many as cores)",
	 .offset = offsetof(struct values, jobs)},
	{.letter = 'z',
	 .name = "null",
	 .type = OPTION_FLAG,
	 .help = "end lines with NUL, quote nothing",
	 .offset = offsetof(struct values, is_raw)},
	{0},
};

static void finding_json(struct json *json, const struct pleach_finding *finding)
{
	json_object(json, NULL);
	json_prose(json, "kind", finding->kind);
	json_name(json, "path", finding->path);
	json_prose(json, "message", finding->message);
	json_name_or_null(json, "ref", finding->ref);
	if (finding->generation)
		json_number(json, "generation", finding->generation);
	else
		json_null(json, "generation");
	json_bool(json, "fault", finding->is_fault);
	json_bool(json, "mended", finding->is_mended);
	json_name_or_null(json, "id", finding->id);
	json_array(json, "hurts");
	for (size_t i = 0; i < finding->n_hurts; i++) {
		json_object(json, NULL);
		json_prose(json, "ref", finding->hurts[i].ref);
		json_number(json, "generation", finding->hurts[i].generation);
		json_name(json, "path", finding->hurts[i].path);
		json_object_end(json);
	}
	json_array_end(json);
	if (finding->hurts_left_out > 0)
		json_number(json, "hurts_left_out", finding->hurts_left_out);
	json_object_end(json);
}

/* "  hurts site@4: css/a.css", a line each; not all of them, where there are many. */
static int hurts_text(struct cli *cli, const struct pleach_finding *finding, bool is_raw)
{
	uint64_t left_out = finding->hurts_left_out;
	int status = 0;

	for (size_t i = 0; status == 0 && i < finding->n_hurts; i++) {
		const struct pleach_hurt *hurt = &finding->hurts[i];

		if (i == HURTS_SHOWN && !cli->verbose) {
			left_out += finding->n_hurts - i;
			break;
		}
		printf("  hurts %s@%llu", hurt->ref, (unsigned long long)hurt->generation);
		if (*hurt->path)
			fputs(": ", stdout);
		output_name(hurt->path, is_raw);
		status = output_end(cli, is_raw);
	}
	if (status != 0 || left_out == 0)
		return status;
	printf("  and %llu more", (unsigned long long)left_out);
	if (finding->hurts_left_out == 0)
		fputs(" (-v lists them all)", stdout);
	return output_end(cli, is_raw);
}

/* "fault: object .pleach/objects/ab/cd…: message (site@4)" */
static int finding_text(struct cli *cli, const struct pleach_finding *finding, bool is_raw)
{
	int status;

	printf("%s: %s ",
	       finding->is_fault    ? "fault"
	       : finding->is_mended ? "mended"
				    : "not verified",
	       finding->kind);
	output_name(finding->path, is_raw);
	fputs(": ", stdout);
	output_text(finding->message);
	if (finding->ref && *finding->ref && finding->generation)
		printf(" (%s@%llu)", finding->ref, (unsigned long long)finding->generation);
	else if (finding->ref && *finding->ref)
		printf(" (%s)", finding->ref);
	status = output_end(cli, is_raw);
	return status != 0 ? status : hurts_text(cli, finding, is_raw);
}

static void counts_json(struct json *json, const struct pleach_check_counts *counts)
{
	json_number(json, "objects", counts->objects);
	json_number(json, "nodes", counts->nodes);
	json_number(json, "records", counts->records);
	json_number(json, "trees", counts->trees);
	json_number(json, "placed", counts->placed);
	json_number(json, "bytes", counts->bytes);
	json_number(json, "faults", counts->faults);
	json_number(json, "unverified", counts->unverified);
	json_number(json, "mended", counts->mended);
}

static void summary(struct cli *cli, const struct pleach_check_counts *counts)
{
	char size[SIZE_TEXT_MAX];

	if (cli->verbose)
		cli_warn(cli,
			 "verified %llu objects, %llu nodes, %llu records, %llu trees, %llu "
			 "placed, %s",
			 (unsigned long long)counts->objects, (unsigned long long)counts->nodes,
			 (unsigned long long)counts->records, (unsigned long long)counts->trees,
			 (unsigned long long)counts->placed, size_human(counts->bytes, size));
}

/* The findings, and what else there is to say of `error`, NULL: all is well. */
static int print(struct cli *cli, const struct values *v, struct pleach_report *report,
		 const struct pleach_check_counts *counts, const struct pleach_error *error)
{
	struct pleach_finding finding = PLEACH_FINDING_INIT;
	struct pleach_error next_error = PLEACH_ERROR_INIT;
	struct json json = {0};
	int status = 0, result = 0;

	json_object(&json, NULL);
	counts_json(&json, counts);
	json_array(&json, "findings");
	while (status == 0 && report &&
	       (result = pleach_report_next(report, &finding, &next_error)) > 0) {
		if (cli->json)
			finding_json(&json, &finding);
		else
			status = finding_text(cli, &finding, v->is_raw);
	}
	json_array_end(&json);
	if (error)
		json_error(&json, "error", error);
	json_object_end(&json);
	if (status == 0 && result < 0)
		status = cli_fail(cli, &next_error);
	else if (status == 0 && cli->json)
		status = json_print(cli, &json);
	json_free(&json);
	if (status != 0)
		return status;
	summary(cli, counts);
	if (!error)
		return 0;
	cli_complain(cli, error);
	return cli_status(error);
}

static int run(struct cli *cli, const void *values)
{
	const struct values *v = values;
	struct pleach_check_options check = PLEACH_CHECK_OPTIONS_INIT;
	struct pleach_check_counts counts = PLEACH_CHECK_COUNTS_INIT;
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pleach_report *report = NULL;
	int status = cli_open(cli), outcome;

	if (status != 0)
		return status;
	check.quick = v->quick;
	check.repair = v->repair;
	check.from = v->from;
	check.refs = cli->n_args ? cli->args : NULL;
	check.jobs = (unsigned)(v->jobs > 1024 ? 1024 : v->jobs);
	outcome = pleach_check(cli->store, &check, &counts, &report, &error);
	if (outcome < 0 && !report)
		return cli_fail(cli, &error);
	if (outcome > 0 && !error.message[0])
		cli_error_set(&error, PLEACH_PARTIAL, NULL,
			      geteuid() == 0 ? NULL : "root can verify what you may not read",
			      "%s: not verified: %llu", pleach_store_path(cli->store),
			      (unsigned long long)counts.unverified);
	if (outcome > 0)
		error.code = PLEACH_PARTIAL;
	status = print(cli, v, report, &counts, outcome != 0 ? &error : NULL);
	if (report)
		pleach_report_close(report);
	return status;
}

const struct command command_check = {
	.name = "check",
	.group = GROUP_CARE,
	.summary = "verify the store, name each fault",
	.operands = "[REF...]",
	.details =
		"Objects, nodes, records, placed trees, public paths and attachments; with REFs\n"
		"only what these need. Faults go to standard output, one a line, and below each\n"
		"the generations and paths that it hurts; exit status 13, or 3 if something\n"
		"could only not be verified. Changes nothing.\n"
		"\n"
		"With --repair, what is lost or damaged is made anew from what verifies: equal\n"
		"content in the store, placed files, and what --from names. Placed trees that are\n"
		"not what was published are laid out again, and the public path moves to them.\n"
		"What was mended is listed; exit status 0 if all is well then. What is damaged\n"
		"goes to .pleach/damaged, and stays there until you remove it.\n",
	.options = options,
	.values_size = sizeof(struct values),
	.least = 0,
	.most = -1,
	.run = run,
};
