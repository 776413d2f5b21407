/*
 * conflict.c - a commit that did not land: why, and of a conflict each path with what both sides did.
 *
 * On stderr the reason comes first, then the paths, a line each; with --json the error document has them as
 * "paths", and as "tx" the transaction that is there to be looked at, or null.
 */
#include "cli.h"

static void tell_paths(struct cli *cli, struct json *paths, struct pleach_tx *tx)
{
	struct pleach_conflict conflict = PLEACH_CONFLICT_INIT;

	json_array(paths, NULL);
	while (pleach_tx_conflict_next(tx, &conflict) > 0) {
		cli_complain_of(cli, "conflict: %s: head: %s, transaction: %s", conflict.path,
				conflict.head, conflict.tx);
		json_object(paths, NULL);
		json_name(paths, "path", conflict.path);
		json_prose(paths, "head", conflict.head);
		json_prose(paths, "tx", conflict.tx);
		json_object_end(paths);
	}
	json_array_end(paths);
}

static int print(struct cli *cli, const struct pleach_error *error, const struct json *paths,
		 const char *stays_as)
{
	struct json json = {0};
	int status;

	json_object(&json, NULL);
	json_error_begin(&json, "error", error);
	json_value(&json, "paths", paths);
	json_name(&json, "tx", stays_as);
	json_object_end(&json);
	json_object_end(&json);
	status = json_print(cli, &json);
	json_free(&json);
	return status;
}

int conflict_fail(struct cli *cli, struct pleach_tx *tx, const struct pleach_error *error,
		  const char *stays_as, struct json *ret_paths)
{
	struct json paths = {0};
	int status = cli_status(error);

	if (error->code != PLEACH_CONFLICT)
		return cli_fail(cli, error);
	cli_complain(cli, error);
	tell_paths(cli, &paths, tx);
	if (cli->json && print(cli, error, &paths, stays_as) != 0)
		status = PLEACH_CONFLICT; /* told; the conflict is what a script has to know */
	if (ret_paths)
		*ret_paths = paths;
	else
		json_free(&paths);
	return status;
}
