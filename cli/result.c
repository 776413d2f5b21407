/*
 * result.c - how a new generation is told of: one line, or the members of a JSON object.
 */
#include <stdlib.h>

#include "cli.h"

void result_text(FILE *stream, const char *ref, const struct pleach_publish_result *result,
		 bool is_dry)
{
	char size[SIZE_TEXT_MAX];

	fprintf(stream, "%s@%llu %.12s", ref, (unsigned long long)result->generation, result->tree);
	if (result->unchanged)
		fputs(" unchanged", stream);
	else /* how much of it the store has already, only writing would tell */
		fprintf(stream, " +%llu ~%llu -%llu, %s%s", (unsigned long long)result->added,
			(unsigned long long)result->modified, (unsigned long long)result->removed,
			is_dry ? "nothing written" : size_human(result->bytes_new, size),
			is_dry ? "" : " new");
}

void result_json(struct json *json, const char *ref, const struct pleach_publish_result *result,
		 bool is_dry)
{
	json_name(json, "ref", ref);
	json_number(json, "generation", result->generation);
	json_prose(json, "tree", result->tree);
	if (result->parent)
		json_number(json, "parent", result->parent);
	else
		json_null(json, "parent");
	json_object(json, "changed");
	json_number(json, "added", result->added);
	json_number(json, "modified", result->modified);
	json_number(json, "removed", result->removed);
	json_object_end(json);
	if (is_dry)
		json_null(json, "bytes_new");
	else
		json_number(json, "bytes_new", result->bytes_new);
	json_bool(json, "unchanged", result->unchanged);
	if (is_dry)
		json_bool(json, "dry_run", true);
}

void result_warn(struct cli *cli, const struct pleach_publish_result *result)
{
	char *name;

	if (result->escaping == 0)
		return;
	name = output_quote(result->first_escaping);
	cli_warn(cli,
		 "warning: %llu %s out of the tree by '..', and through the public path into "
		 ".pleach, the first: %s",
		 (unsigned long long)result->escaping,
		 result->escaping == 1 ? "symlink leads" : "symlinks lead", name ? name : "?");
	free(name);
}
