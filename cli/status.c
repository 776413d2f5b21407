/*
 * status.c - `pleach status`: refs, what is under way, what was left behind and mended.
 */
#include <stdlib.h>
#include <string.h>

#include "cli.h"

/* ---- refs ----------------------------------------------------------------------------------- */

/* "NAME=N" */
static void tags_json(struct json *json, const char *const *tags)
{
	json_array(json, "tags");
	for (; tags && *tags; tags++) {
		const char *equals = strchr(*tags, '=');
		char name[PLEACH_REF_MAX + 1];
		int64_t number = 0;

		snprintf(name, sizeof(name), "%.*s",
			 equals ? (int)(equals - *tags) : PLEACH_REF_MAX, *tags);
		if (equals)
			options_number(equals + 1, &number);
		json_object(json, NULL);
		json_name(json, "name", name);
		json_number(json, "generation", (uint64_t)number);
		json_object_end(json);
	}
	json_array_end(json);
}

/* "REV MODE PATH" */
static void attached_json(struct json *json, const char *const *attached)
{
	json_array(json, "attached");
	for (; attached && *attached; attached++) {
		char *words = strdup(*attached), *rest = words;
		const char *rev = words ? strsep(&rest, " ") : "";
		const char *mode = rest ? strsep(&rest, " ") : "";

		json_object(json, NULL);
		json_name(json, "rev", rev);
		json_name(json, "mode", mode);
		json_name(json, "path", rest ? rest : "");
		json_object_end(json);
		free(words);
	}
	json_array_end(json);
}

static void ref_json(struct json *json, const struct pleach_ref_status *ref)
{
	json_object(json, NULL);
	json_name(json, "ref", ref->name);
	json_number(json, "head", ref->head);
	json_name(json, "tree", ref->tree);
	json_time(json, "time", ref->time_s, ref->time_ns);
	json_object(json, "public");
	json_name(json, "path", ref->public_path);
	json_prose(json, "state", ref->public_state);
	json_object_end(json);
	json_number(json, "kept", ref->generations_kept);
	json_number(json, "placed", ref->generations_placed);
	json_number(json, "pinned", ref->pinned);
	json_number(json, "queued", ref->queued);
	tags_json(json, ref->tags);
	attached_json(json, ref->attached);
	json_object_end(json);
}

static int ref_text(struct cli *cli, const struct pleach_ref_status *ref)
{
	bool is_well = strcmp(ref->public_state, "ok") == 0;
	const char *color = is_well ? "" : output_color(stdout, COLOR_RED);

	printf("%s@%llu  ", ref->name, (unsigned long long)ref->head);
	output_id(ref->tree);
	fputs("  ", stdout);
	output_time(ref->time_s);
	fputs("\n  public    ", stdout);
	output_name(ref->public_path, false);
	printf(" (%s%s%s)\n", color, ref->public_state,
	       *color ? output_color(stdout, COLOR_NONE) : "");
	printf("  kept      %llu, placed %llu, pinned %llu, queued %llu\n",
	       (unsigned long long)ref->generations_kept,
	       (unsigned long long)ref->generations_placed, (unsigned long long)ref->pinned,
	       (unsigned long long)ref->queued);
	for (const char *const *tag = ref->tags; tag && *tag; tag++)
		printf("%s%s%s", tag == ref->tags ? "  tags      " : " ", *tag, tag[1] ? "" : "\n");
	for (const char *const *attached = ref->attached; attached && *attached; attached++) {
		fputs("  attached  ", stdout);
		output_text(*attached);
		putchar('\n');
	}
	return output_check(cli);
}

static int print_refs(struct cli *cli, struct json *json, bool *is_found)
{
	struct pleach_ref_status ref = PLEACH_REF_STATUS_INIT;
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pleach_refs *refs;
	int status = 0, result = 0;

	if (pleach_refs_open(cli->store, &refs, &error) < 0)
		return cli_fail(cli, &error);
	json_array(json, "refs");
	while (status == 0 && (result = pleach_refs_next(refs, &ref, &error)) > 0) {
		if (cli->args[0] && strcmp(cli->args[0], ref.name) != 0)
			continue;
		*is_found = true;
		if (cli->json)
			ref_json(json, &ref);
		else
			status = ref_text(cli, &ref);
	}
	json_array_end(json);
	if (status == 0 && result < 0)
		status = cli_fail(cli, &error);
	pleach_refs_close(refs);
	return status;
}

/* ---- transactions, leftovers, events -------------------------------------------------------- */

enum section { TRANSACTIONS, LEFTOVERS, EVENTS, N_SECTIONS };
static const char *const section_names[] = {"transactions", "leftovers", "events"};

static enum section section_of(const char *kind)
{
	if (strcmp(kind, "open") == 0 || strcmp(kind, "parked") == 0)
		return TRANSACTIONS;
	return strcmp(kind, "recovered") == 0 ? EVENTS : LEFTOVERS;
}

static void leftover_print(struct cli *cli, struct json *json,
			   const struct pleach_leftover *leftover, bool is_first)
{
	if (cli->json) {
		json_object(json, NULL);
		json_prose(json, "kind", leftover->kind);
		json_name(json, "id", leftover->id);
		json_prose(json, "what", leftover->what);
		json_object_end(json);
		return;
	}
	if (is_first)
		printf("%s\n", section_names[section_of(leftover->kind)]);
	printf("  %-9s %s  ", leftover->kind, leftover->id);
	output_text(leftover->what);
	putchar('\n');
}

static int print_section(struct cli *cli, struct json *json, enum section section, bool *is_found)
{
	struct pleach_leftover leftover = PLEACH_LEFTOVER_INIT;
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pleach_leftovers *list;
	bool is_first = true;
	int result;

	if (pleach_leftovers_open(cli->store, &list, &error) < 0)
		return cli_fail(cli, &error);
	json_array(json, section_names[section]);
	while ((result = pleach_leftovers_next(list, &leftover, &error)) > 0) {
		if (section_of(leftover.kind) != section)
			continue;
		if (cli->args[0] && strcmp(cli->args[0], leftover.id) != 0)
			continue;
		leftover_print(cli, json, &leftover, is_first);
		*is_found = true;
		is_first = false;
	}
	json_array_end(json);
	pleach_leftovers_close(list);
	return result < 0 ? cli_fail(cli, &error) : output_check(cli);
}

static int not_found(struct cli *cli)
{
	return cli_failf(cli, PLEACH_NOT_FOUND, NULL, "'pleach status' lists both",
			 "no ref and no transaction '%s' in %s", cli->args[0],
			 pleach_store_path(cli->store));
}

static int run(struct cli *cli, const void *values)
{
	struct json json = {0};
	bool is_found = false;
	int status = cli_open(cli);

	(void)values;
	if (status != 0)
		return status;
	json_object(&json, NULL);
	json_name(&json, "store", pleach_store_path(cli->store));
	if (!cli->json && !cli->args[0]) {
		fputs("store ", stdout);
		output_name(pleach_store_path(cli->store), false);
		putchar('\n');
	}
	status = print_refs(cli, &json, &is_found);
	for (int section = 0; status == 0 && section < N_SECTIONS; section++)
		status = print_section(cli, &json, (enum section)section, &is_found);
	json_object_end(&json);
	if (status == 0 && cli->args[0] && !is_found)
		status = not_found(cli);
	else if (status == 0 && cli->json)
		status = json_print(cli, &json);
	json_free(&json);
	return status;
}

const struct command command_status = {
	.name = "status",
	.group = GROUP_LOOK,
	.summary = "refs, open transactions, pins, what was mended",
	.operands = "[REF|TX]",
	.details =
		"The state of a public path: ok, missing (the next publish makes it), behind (it\n"
		"is being moved), foreign (somebody else's; it is never replaced).\n",
	.least = 0,
	.most = 1,
	.run = run,
};
