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

/* "REV MODE STATE PATH" */
static void attached_json(struct json *json, const char *const *attached)
{
	json_array(json, "attached");
	for (; attached && *attached; attached++) {
		char *words = strdup(*attached), *rest = words;
		const char *rev = words ? strsep(&rest, " ") : "";
		const char *mode = rest ? strsep(&rest, " ") : "";
		const char *state = rest ? strsep(&rest, " ") : "";

		json_object(json, NULL);
		json_name(json, "rev", rev);
		json_name(json, "mode", mode);
		json_prose(json, "state", state);
		json_name(json, "path", rest ? rest : "");
		json_object_end(json);
		free(words);
	}
	json_array_end(json);
}

static void generation_json(struct json *json, const char *key, uint64_t generation)
{
	if (generation)
		json_number(json, key, generation);
	else
		json_null(json, key);
}

static void ref_json(struct json *json, const struct pleach_ref_status *ref)
{
	json_object(json, NULL);
	json_name(json, "ref", ref->name);
	generation_json(json, "head", ref->head);
	json_name_or_null(json, "tree", *ref->tree ? ref->tree : NULL);
	if (*ref->tree)
		json_time(json, "time", ref->time_s, ref->time_ns);
	else
		json_null(json, "time");
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
	json_array(json, "damaged");
	for (const char *const *what = ref->damaged; what && *what; what++)
		json_prose(json, NULL, *what);
	json_array_end(json);
	json_object_end(json);
}

/* Its name, and the head, as far as they are known. */
static void head_text(const struct pleach_ref_status *ref)
{
	if (ref->head > 0)
		printf("%s@%llu  ", ref->name, (unsigned long long)ref->head);
	else
		printf("%s  ", ref->name);
	if (*ref->tree) {
		output_id(ref->tree);
		fputs("  ", stdout);
		output_time(ref->time_s);
	}
	putchar('\n');
}

static void damaged_text(const struct pleach_ref_status *ref)
{
	const char *color = output_color(stdout, COLOR_RED);

	for (const char *const *what = ref->damaged; what && *what; what++) {
		printf("  %sdamaged%s   ", color, *color ? output_color(stdout, COLOR_NONE) : "");
		output_text(*what);
		putchar('\n');
	}
}

static int ref_text(struct cli *cli, const struct pleach_ref_status *ref)
{
	bool is_well = strcmp(ref->public_state, "ok") == 0;
	const char *color = is_well ? "" : output_color(stdout, COLOR_RED);

	head_text(ref);
	damaged_text(ref);
	fputs("  public    ", stdout);
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

static unsigned count(const char *const *list)
{
	unsigned n = 0;

	while (list && list[n])
		n++;
	return n;
}

/* *n_damaged grows by what could not be read. */
static int print_refs(struct cli *cli, struct json *json, bool *is_found, unsigned *n_damaged)
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
		*n_damaged += count(ref.damaged);
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

/* ---- what is unfinished ----------------------------------------------------------------------- */

/* What a transaction or a leftover takes of the disk; nothing is told where it has just ended. */
static void size_json(struct cli *cli, struct json *json, const char *id)
{
	uint64_t bytes;
	int result = *id ? pleach_leftover_size(cli->store, id, &bytes, NULL) : -1;

	if (result < 0) {
		json_null(json, "bytes");
		json_null(json, "bytes_are_least");
		return;
	}
	json_number(json, "bytes", bytes);
	json_bool(json, "bytes_are_least", result == 1);
}

static void size_print(struct cli *cli, const char *id)
{
	char size[SIZE_TEXT_MAX];
	uint64_t bytes;
	int result = *id ? pleach_leftover_size(cli->store, id, &bytes, NULL) : -1;

	if (result >= 0)
		printf(", %s%s", result == 1 ? "more than " : "", size_human(bytes, size));
}

/* ---- transactions --------------------------------------------------------------------------- */

/* Ids that have been told of. */
struct ids {
	char (*items)[32];
	size_t n;
};

static bool ids_add(struct ids *ids, const char *id)
{
	char(*items)[32] = realloc(ids->items, (ids->n + 1) * sizeof(*items));

	if (!items)
		return false;
	snprintf(items[ids->n++], sizeof(*items), "%s", id);
	ids->items = items;
	return true;
}

static bool ids_have(const struct ids *ids, const char *id)
{
	for (size_t i = 0; i < ids->n; i++)
		if (strcmp(ids->items[i], id) == 0)
			return true;
	return false;
}

/* Is it asked for: all are, or those of a ref, or one by its id or the beginning of it? */
static bool is_tx_wanted(const struct cli *cli, const char *id, const char *ref)
{
	const char *word = cli->args[0];

	return !word || (ref && strcmp(word, ref) == 0) || strcmp(word, id) == 0 ||
	       (operand_is_tx(word) && strncmp(word, id, strlen(word)) == 0);
}

static void tx_json(struct cli *cli, struct json *json, const struct pleach_tx_status *status)
{
	const struct pleach_tx_info *info = &status->info;

	json_object(json, NULL);
	json_prose(json, "kind", status->state);
	json_name(json, "tx", info->id);
	json_name(json, "ref", info->ref);
	generation_json(json, "base", info->base);
	json_name_or_null(json, "base_tree", info->base_tree);
	json_name(json, "workspace", info->workspace);
	json_name(json, "path", info->path);
	json_name(json, "public_path", info->public_path);
	json_bool(json, "optimistic", info->is_optimistic);
	json_bool(json, "serializable", info->is_serializable);
	if (info->is_parked)
		json_time(json, "expires", info->expires_s, 0);
	else
		json_null(json, "expires");
	size_json(cli, json, info->id);
	json_object_end(json);
}

static int tx_text(struct cli *cli, const struct pleach_tx_status *status, bool is_first)
{
	const struct pleach_tx_info *info = &status->info;

	if (is_first)
		puts("transactions");
	printf("  %-9s %s  on %s@%llu, %s", status->state, info->id, info->ref,
	       (unsigned long long)info->base, info->workspace ? info->workspace : "?");
	if (info->is_optimistic && !info->is_parked)
		fputs(", optimistic", stdout);
	if (info->is_serializable)
		fputs(", serializable", stdout);
	if (info->is_parked) {
		fputs(", expires ", stdout);
		output_time(info->expires_s);
	}
	size_print(cli, info->id);
	if (info->path) {
		fputs("\n            ", stdout);
		output_name(info->path, false);
	}
	putchar('\n');
	return output_check(cli);
}

static int print_txs(struct cli *cli, struct json *json, struct ids *ids, bool *is_found)
{
	struct pleach_tx_status tx = PLEACH_TX_STATUS_INIT;
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pleach_txs *txs;
	int status = 0, result = 0;

	if (pleach_txs_open(cli->store, &txs, &error) < 0)
		return cli_fail(cli, &error);
	while (status == 0 && (result = pleach_txs_next(txs, &tx, &error)) > 0) {
		if (!is_tx_wanted(cli, tx.info.id, tx.info.ref))
			continue;
		*is_found = true;
		if (cli->json)
			tx_json(cli, json, &tx);
		else
			status = tx_text(cli, &tx, ids->n == 0);
		if (!ids_add(ids, tx.info.id))
			status = cli_no_memory(cli);
	}
	if (status == 0 && result < 0)
		status = cli_fail(cli, &error);
	pleach_txs_close(txs);
	return status;
}

/* ---- other work, leftovers, events ---------------------------------------------------------- */

enum section { TRANSACTIONS, LEFTOVERS, EVENTS, N_SECTIONS };
static const char *const section_names[] = {"transactions", "leftovers", "events"};

static enum section section_of(const char *kind)
{
	if (strcmp(kind, "open") == 0 || strcmp(kind, "parked") == 0)
		return TRANSACTIONS;
	return strcmp(kind, "recovered") == 0 ? EVENTS : LEFTOVERS;
}

/* Whose doing its end is: nobody needs to clean up. */
static const char *fate_of(const char *kind)
{
	if (strcmp(kind, "trash") == 0)
		return ": 'pleach gc' erases it";
	if (section_of(kind) == LEFTOVERS && strcmp(kind, "damaged") != 0)
		return ": the next command that changes something removes it";
	return "";
}

static void leftover_print(struct cli *cli, struct json *json,
			   const struct pleach_leftover *leftover, bool is_first)
{
	if (cli->json) {
		json_object(json, NULL);
		json_prose(json, "kind", leftover->kind);
		if (strcmp(leftover->kind, "trash") == 0 || strcmp(leftover->kind, "damaged") == 0)
			json_name(json, "id", leftover->id);
		else
			json_name_or_null(json, "tx", leftover->id);
		json_prose(json, "what", leftover->what);
		if (section_of(leftover->kind) != EVENTS)
			size_json(cli, json, leftover->id);
		json_object_end(json);
		return;
	}
	if (is_first)
		printf("%s\n", section_names[section_of(leftover->kind)]);
	printf("  %-9s %s%s", leftover->kind, leftover->id, *leftover->id ? "  " : "");
	output_text(leftover->what);
	fputs(fate_of(leftover->kind), stdout);
	size_print(cli, leftover->id);
	putchar('\n');
}

/* What `ids` has was told of as a transaction; a publish that is at work is not among these. */
static int print_leftovers(struct cli *cli, struct json *json, enum section section,
			   const struct ids *ids, bool *is_found)
{
	struct pleach_leftover leftover = PLEACH_LEFTOVER_INIT;
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pleach_leftovers *list;
	bool is_first = section != TRANSACTIONS || ids->n == 0;
	int result;

	if (pleach_leftovers_open(cli->store, &list, &error) < 0)
		return cli_fail(cli, &error);
	while ((result = pleach_leftovers_next(list, &leftover, &error)) > 0) {
		if (section_of(leftover.kind) != section || ids_have(ids, leftover.id) ||
		    !is_tx_wanted(cli, leftover.id, NULL))
			continue;
		leftover_print(cli, json, &leftover, is_first);
		*is_found = true;
		is_first = false;
	}
	pleach_leftovers_close(list);
	return result < 0 ? cli_fail(cli, &error) : output_check(cli);
}

static int print_sections(struct cli *cli, struct json *json, bool *is_found)
{
	struct ids ids = {NULL, 0};
	int status = 0;

	for (int section = 0; status == 0 && section < N_SECTIONS; section++) {
		json_array(json, section_names[section]);
		if (section == TRANSACTIONS)
			status = print_txs(cli, json, &ids, is_found);
		if (status == 0)
			status = print_leftovers(cli, json, (enum section)section, &ids, is_found);
		json_array_end(json);
	}
	free(ids.items);
	return status;
}

static int not_found(struct cli *cli)
{
	return cli_failf(cli, PLEACH_NOT_FOUND, NULL, "'pleach status' lists both",
			 "no ref and no transaction '%s' in %s", cli->args[0],
			 pleach_store_path(cli->store));
}

/* Everything was printed, but for the end of the document. */
static int tell_damaged(struct cli *cli, struct json *json, unsigned n)
{
	struct pleach_error error = PLEACH_ERROR_INIT;

	if (n == 0)
		return 0;
	cli_error_set(
		&error, PLEACH_CORRUPT, NULL,
		"'pleach check' tells what they hurt, 'pleach check --repair' mends what it can",
		"%u %s of refs in %s cannot be read", n, n == 1 ? "file" : "files",
		pleach_store_path(cli->store));
	if (cli->json)
		json_error(json, "error", &error);
	cli_complain(cli, &error);
	return cli_status(&error);
}

static int run(struct cli *cli, const void *values)
{
	struct json json = {0};
	bool is_found = false;
	unsigned n_damaged = 0;
	int status = cli_open(cli), damaged;

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
	status = print_refs(cli, &json, &is_found, &n_damaged);
	if (status == 0)
		status = print_sections(cli, &json, &is_found);
	damaged = status == 0 ? tell_damaged(cli, &json, n_damaged) : 0;
	json_object_end(&json);
	if (status == 0 && cli->args[0] && !is_found)
		status = not_found(cli);
	else if (status == 0 && cli->json)
		status = json_print(cli, &json);
	json_free(&json);
	return status == 0 ? damaged : status;
}

const struct command command_status = {
	.name = "status",
	.group = GROUP_LOOK,
	.summary = "refs, open transactions, pins, what was mended",
	.operands = "[REF|TX]",
	.details =
		"The state of a public path: ok, missing (the next publish makes it), behind (it\n"
		"is being moved), foreign (somebody else's; it is never replaced). The same of\n"
		"what is attached; what can be mended was mended.\n"
		"\n"
		"Of a REF its transactions are shown too; TX is the id of one, or 8 and more\n"
		"digits of it. Parked ones are held by no process until they expire. What they\n"
		"and leftovers take of the disk is what would be free without them.\n"
		"\n"
		"What a killed command has left is listed as dead until the next one that changes\n"
		"something removes it, which is an event then.\n"
		"\n"
		"A ref of which something is damaged says what; everything else is told all the\n"
		"same, and the exit status is 13.\n"
		"\n"
		"In JSON the id of a transaction is its \"tx\", wherever it is listed.\n",
	.least = 0,
	.most = 1,
	.run = run,
};
