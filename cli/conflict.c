/*
 * conflict.c - a commit that did not land: why, and of a conflict each path with what both sides did.
 *
 * On stderr the reason comes first, then the paths, a line each; with --json the error document has them as
 * "paths", and as "tx" the transaction that is there to be looked at, or null.
 */
#include "cli.h"

static void tell_paths(struct cli *cli, struct json *json, struct pleach_tx *tx)
{
	struct pleach_conflict conflict = PLEACH_CONFLICT_INIT;

	json_array(json, "paths");
	while (pleach_tx_conflict_next(tx, &conflict) > 0) {
		cli_complain_of(cli, "conflict: %s: head: %s, transaction: %s", conflict.path,
				conflict.head, conflict.tx);
		json_object(json, NULL);
		json_name(json, "path", conflict.path);
		json_prose(json, "head", conflict.head);
		json_prose(json, "tx", conflict.tx);
		json_object_end(json);
	}
	json_array_end(json);
}

int conflict_fail(struct cli *cli, struct pleach_tx *tx, const struct pleach_error *error,
		  const char *stays_as)
{
	struct json json = {0};
	int status = cli_status(error);

	if (error->code != PLEACH_CONFLICT)
		return cli_fail(cli, error);
	cli_complain(cli, error);
	json_object(&json, NULL);
	json_error_begin(&json, "error", error);
	tell_paths(cli, &json, tx);
	json_name(&json, "tx", stays_as);
	json_object_end(&json);
	json_object_end(&json);
	if (cli->json && json_print(cli, &json) != 0)
		status = PLEACH_CONFLICT; /* told; the conflict is what a script has to know */
	json_free(&json);
	return status;
}
