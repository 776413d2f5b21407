/*
 * abort.c - `pleach abort`: gives up a transaction of `pleach begin`, or one that `pleach run` has kept.
 */
#include <string.h>

#include "cli.h"

static int give_up(struct cli *cli, struct pleach_tx *tx, struct json *json)
{
	struct pleach_tx_info info = PLEACH_TX_INFO_INIT;
	struct pleach_error error = PLEACH_ERROR_INIT;

	pleach_tx_describe(tx, &info);
	json_object(json, NULL);
	json_name(json, "tx", info.id);
	json_name(json, "ref", info.ref);
	json_bool(json, "aborted", true);
	json_object_end(json);
	return pleach_tx_abort(tx, &error) < 0 ? cli_fail(cli, &error) : 0;
}

static int run(struct cli *cli, const void *values)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct json json = {0};
	struct pleach_tx *tx;
	int status = cli_open(cli);

	(void)values;
	if (status != 0)
		return status;
	if (pleach_tx_open(cli->store, cli->args[0], &tx, &error) < 0)
		return cli_fail(cli, &error);
	status = give_up(cli, tx, &json);
	if (pleach_tx_close(tx, &error) < 0 && status == 0)
		status = cli_fail(cli, &error);
	if (status == 0 && cli->json)
		status = json_print(cli, &json);
	json_free(&json);
	return status;
}

const struct command command_abort = {
	.name = "abort",
	.group = GROUP_TX,
	.summary = "give up a transaction",
	.operands = "ID",
	.details = "Nothing of it remains; a directory of 'begin --checkout' is removed too.\n",
	.least = 1,
	.most = 1,
	.run = run,
};
