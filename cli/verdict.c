/*
 * verdict.c - how `pleach run` ended, and whose its exit status is.
 *
 * The status is the program's, so that our own failures are 125, a wrong command line among them, but for those
 * that a script can act on: 11 busy, 12 conflict, 13 corrupt, 14 no space; 126 and 127 are ours as well, and
 * 129 where the terminal has hung up on a program that ends with 0. Since a program can end with any of these,
 * --status-fd gets one line that says whose it is.
 */
#include <signal.h>
#include <string.h>

#include "cli.h"

int verdict_status(int status)
{
	switch (status) {
	case PLEACH_OK:
	case PLEACH_BUSY:
	case PLEACH_CONFLICT:
	case PLEACH_CORRUPT:
	case PLEACH_NO_SPACE:
		return status;
	default:
		if (signals_caught() && status == 128 + signals_caught())
			return status;
		return PROGRAM_OWN_FAILURE;
	}
}

int verdict_fail(struct verdict *verdict, const struct pleach_error *error)
{
	verdict->error = *error;
	verdict->is_of_command = false;
	return verdict_status(cli_fail(verdict->cli, error));
}

int verdict_fail_client_gone(struct verdict *verdict, int64_t fd)
{
	struct pleach_error error = PLEACH_ERROR_INIT;

	cli_error_set(&error, PLEACH_FAILED, NULL, NULL,
		      "the client at descriptor %d is gone: nothing was committed", (int)fd);
	return verdict_fail(verdict, &error);
}

int verdict_fail_terminal_gone(struct verdict *verdict)
{
	struct pleach_error error = PLEACH_ERROR_INIT;

	cli_error_set(&error, PLEACH_INTERRUPTED, NULL,
		      "run it under nohup, or with a transaction of 'pleach begin'",
		      "the terminal is gone: nothing was committed");
	verdict_fail(verdict, &error);
	return 128 + SIGHUP;
}

static void generation_json(struct json *json, const struct verdict *verdict)
{
	bool is_new = verdict->has_landed && !verdict->result.unchanged;

	if (verdict->base)
		json_number(json, "base", verdict->base);
	else
		json_null(json, "base");
	if (is_new)
		json_number(json, "generation", verdict->result.generation);
	else
		json_null(json, "generation");
	json_name(json, "tree", is_new ? verdict->result.tree : NULL);
}

static void error_json(struct json *json, const struct verdict *verdict)
{
	if (verdict->error.code == PLEACH_OK) {
		json_null(json, "error");
		return;
	}
	json_error_begin(json, "error", &verdict->error);
	if (verdict->paths.length > 0) {
		json_value(json, "paths", &verdict->paths);
		json_name(json, "tx", verdict->is_kept ? verdict->id : NULL);
	}
	json_object_end(json);
}

void verdict_report(const struct verdict *verdict, int fd, int status)
{
	struct json json = {0};
	int r;

	json_object(&json, NULL);
	json_prose(&json, "by", verdict->is_of_command ? "command" : "pleach");
	json_number(&json, "status", (uint64_t)status);
	json_name_or_null(&json, "ref", verdict->ref);
	json_name_or_null(&json, "tx", verdict->id);
	generation_json(&json, verdict);
	json_bool(&json, "unchanged", verdict->has_landed && verdict->result.unchanged);
	json_bool(&json, "joined", verdict->has_joined);
	json_bool(&json, "kept", verdict->is_kept);
	error_json(&json, verdict);
	json_object_end(&json);
	r = json_write(&json, fd);
	if (r < 0) /* it has ended all the same, and as it has */
		cli_warn(verdict->cli, "cannot tell the status to descriptor %d: %s", fd,
			 strerror(-r));
	json_free(&json);
}

void verdict_done(struct verdict *verdict)
{
	json_free(&verdict->paths);
}
