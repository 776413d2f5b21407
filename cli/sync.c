/*
 * sync.c - `pleach sync`: what it is asked for, and how old the last one is.
 *
 * Its transactions and the program in them: transfer.c.
 *
 * Y1  The age of a sync is that of its beginning, so that what changed at the source meanwhile counts as not seen.
 */
#include <string.h>
#include <time.h>

#include "cli.h"

static const struct option options[] = {
	{.letter = 'm',
	 .name = "message",
	 .type = OPTION_TEXT,
	 .argument = "MSG",
	 .help = "what the new generation is for",
	 .offset = offsetof(struct sync_values, message)},
	{.name = "max-age",
	 .type = OPTION_DURATION,
	 .argument = "D",
	 .initial = -1,
	 .help = "nothing to do if the last sync is younger",
	 .offset = offsetof(struct sync_values, max_age_ms)},
	{.name = "retry",
	 .type = OPTION_NUMBER,
	 .argument = "N",
	 .help = "if COMMAND fails run it again, N times at most",
	 .offset = offsetof(struct sync_values, retries)},
	{.name = "delay",
	 .type = OPTION_DURATION,
	 .argument = "D",
	 .initial = 5000,
	 .help = "before the first retry (5s), then twice that ...",
	 .offset = offsetof(struct sync_values, delay_ms)},
	{.name = "anew",
	 .type = OPTION_FLAG,
	 .help = "a retry begins with what is public",
	 .offset = offsetof(struct sync_values, anew)},
	{.name = "timeout",
	 .type = OPTION_DURATION,
	 .argument = "D",
	 .initial = -1,
	 .help = "COMMAND has failed if it takes longer",
	 .offset = offsetof(struct sync_values, timeout_ms)},
	{.name = "wait",
	 .type = OPTION_DURATION,
	 .argument = "D",
	 .initial = -1,
	 .help = "for another sync, 90s, 10m ... at most (exit 11)",
	 .offset = offsetof(struct sync_values, wait_ms)},
	{.name = "no-wait",
	 .type = OPTION_FLAG,
	 .help = "exit 11 if another sync is at work",
	 .offset = offsetof(struct sync_values, no_wait)},
	{0},
};

/* ---- how old it is -------------------------------------------------------------------------- */

/* When the last sync began, -1: never. Returns 0 or the exit status. */
static int last_sync(struct sync *sync, int64_t *ret_s)
{
	struct pleach_setting setting = PLEACH_SETTING_INIT;
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pleach_config *config;
	int r = pleach_config_open(sync->cli->store, sync->ref, &config, &error);

	*ret_s = -1;
	if (r < 0)
		return error.code == PLEACH_NOT_FOUND ? 0 : cli_fail(sync->cli, &error);
	while ((r = pleach_config_next(config, &setting, &error)) > 0)
		if (strcmp(setting.key, "synced") == 0 && strcmp(setting.where, "ref") == 0)
			(void)options_number(setting.value, ret_s); /* what is none leaves it */
	pleach_config_close(config);
	return r < 0 ? cli_fail(sync->cli, &error) : 0;
}

static int print_fresh(struct sync *sync, const struct pleach_revision *head, int64_t age_s)
{
	struct json json = {0};
	int status;

	if (!sync->cli->json) {
		if (sync->cli->quiet)
			return 0;
		progress_clear();
		printf("%s@%llu %.12s synced %llds ago", sync->ref,
		       (unsigned long long)head->generation, head->tree, (long long)age_s);
		return output_end(sync->cli, false);
	}
	json_object(&json, NULL);
	json_name(&json, "ref", sync->ref);
	json_number(&json, "generation", head->generation);
	json_prose(&json, "tree", head->tree);
	json_bool(&json, "unchanged", true);
	json_bool(&json, "fresh", true);
	json_object_end(&json);
	status = json_print(sync->cli, &json);
	json_free(&json);
	return status;
}

/* A clock that went back says "no". */
int sync_tell_if_fresh(struct sync *sync, bool *ret_fresh)
{
	struct pleach_revision head = PLEACH_REVISION_INIT;
	struct pleach_error error = PLEACH_ERROR_INIT;
	int64_t last_s = -1, age_s;
	int status = 0;

	*ret_fresh = false;
	if (sync->v->max_age_ms >= 0)
		status = last_sync(sync, &last_s);
	age_s = (int64_t)time(NULL) - last_s;
	if (status != 0 || last_s < 0 || age_s < 0 || age_s >= sync->v->max_age_ms / 1000)
		return status;
	if (pleach_resolve(sync->cli->store, sync->ref, &head, &error) < 0)
		return error.code == PLEACH_NOT_FOUND ? 0 : cli_fail(sync->cli, &error);
	*ret_fresh = true;
	return print_fresh(sync, &head, age_s);
}

int sync_note(struct sync *sync)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	char time_text[32];

	snprintf(time_text, sizeof(time_text), "%lld", (long long)sync->began_s); /* Y1 */
	if (pleach_config_set(sync->cli->store, sync->ref, "synced", time_text, &error) >= 0)
		return 0;
	cli_complain(sync->cli, &error);
	cli_warn(sync->cli, "'%s' is synced, but --max-age will not know it", sync->ref);
	return PLEACH_PARTIAL;
}

/* ---- the command ----------------------------------------------------------------------------- */

static int run(struct cli *cli, const void *values)
{
	struct sync sync = {.cli = cli, .v = values, .ref = cli->args[0]};
	bool is_fresh;
	int status;

	if (cli->n_rest == 0)
		return cli_usage(cli, "usage: pleach sync REF -- COMMAND... {}",
				 "sync: no command stands behind '--'");
	if (sync.v->no_wait && sync.v->wait_ms >= 0)
		return cli_usage(cli, NULL, "sync: only one of --wait and --no-wait");
	status = cli_open(cli);
	if (status == 0)
		status = sync_tell_if_fresh(&sync, &is_fresh);
	if (status != 0 || is_fresh)
		return status;
	return transfer_run(&sync);
}

const struct command command_sync = {
	.name = "sync",
	.group = GROUP_TX,
	.summary = "bring a ref up to date by rsync, git or the like",
	.operands = "REF -- COMMAND... {}",
	.details =
		"COMMAND works in a transaction: {}, in any of its words, is the path of a plain,\n"
		"writable directory that holds what is public now. If it ends with 0, what it\n"
		"has made of that is the next generation. If the network dies midway, or anything\n"
		"else ends it, what was public stays public, and no half of it is ever seen. So\n"
		"rsync may work --inplace, and git where it is. The ref is made if it is not\n"
		"there.\n"
		"\n"
		"  pleach sync tree --retry 3 -- rsync -a --delete --timeout=60 HOST::tree/ {}\n"
		"  pleach sync src -- git -C {} pull --ff-only\n"
		"\n"
		"--retry runs it again in the same workspace, where it goes on with what has come\n"
		"so far; in a new one with --anew, and if a signal or --timeout ended it, since\n"
		"it had no time to clean up then. After a conflict (somebody has published, and\n"
		"not by sync, what COMMAND changed too) it is run again on what is public then.\n"
		"\n"
		"One sync, or run, at a time works on a ref; others wait for it, and with\n"
		"--max-age then find that it is done. --max-age counts from the beginning of the\n"
		"last sync that succeeded, also one that changed nothing: the setting 'synced'.\n"
		"\n"
		"The exit status is 0 when the ref is up to date, 1 if COMMAND has failed, with\n"
		"its own status in the message (rsync has meanings of its own for 10 to 14), 11\n"
		"busy, 12 conflict, 13 corrupt, 14 no space. What COMMAND prints goes to standard\n"
		"error; standard output has the new generation, as of publish. With --json it has\n"
		"\"fresh\" and \"attempts\" too, and the error document of a COMMAND that failed\n"
		"\"attempts\", \"status\", \"signal\" and \"timed_out\".\n"
		"\n"
		"Ctrl-C, TERM and HUP end it as they end COMMAND; it is not run again.\n",
	.options = options,
	.values_size = sizeof(struct sync_values),
	.least = 1,
	.most = 1,
	.takes_rest = true,
	.run = run,
};
