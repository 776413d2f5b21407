/*
 * operand.c - words of the command line that can be a directory or a revision.
 *
 * O1  A word with a '/' in it is a path, if there is anything at that path.
 * O2  A plain word that is both a ref and a directory is neither: the user has to say which.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli.h"

#define TX_LEAST 8  /* digits of the beginning of an id of a transaction */
#define TX_MOST	 24 /* of all of it */

/* Is there a directory? Else `*ret_error` tells the errno. */
static bool is_directory(const char *path, int *ret_error)
{
	struct stat st;

	*ret_error = 0;
	if (stat(path, &st) < 0)
		*ret_error = errno;
	else if (!S_ISDIR(st.st_mode))
		*ret_error = ENOTDIR;
	return *ret_error == 0;
}

/* There is no directory at `word`, and it is no revision either, for which `error` is the reason. */
static int neither(struct cli *cli, const char *word, int err, const struct pleach_error *error)
{
	if (err == ENOTDIR)
		return cli_failf(cli, PLEACH_FAILED, word,
				 "archives are not in this version: unpack it first, and name the "
				 "directory",
				 "%s: not a directory", word);
	if (strchr(word, '/'))
		return cli_failf(cli, PLEACH_FAILED, word, NULL, "%s: %s", word, strerror(err));
	if (strpbrk(word, "@:"))
		return cli_fail(cli, error); /* meant as a revision */
	if (err == ENOENT)
		return cli_failf(
			cli, PLEACH_FAILED, word,
			"'pleach status' lists the refs; a directory can be written ./NAME",
			"'%s' is neither a directory here nor a ref", word);
	return cli_failf(cli, PLEACH_FAILED, word, NULL, "%s: %s", word, strerror(err));
}

int operand_kind(struct cli *cli, const char *word, enum operand_kind *ret_kind)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pleach_revision revision = PLEACH_REVISION_INIT;
	bool is_path = strchr(word, '/') != NULL, is_plain = !strpbrk(word, "@:/");
	int err;
	bool has_directory = is_directory(word, &err);

	if (is_path && (has_directory || err != ENOENT || !strchr(word, ':'))) { /* O1 */
		*ret_kind = OPERAND_DIR;
		return has_directory ? 0 : neither(cli, word, err, &error);
	}
	if (pleach_resolve(cli->store, word, &revision, &error) >= 0) {
		struct stat st;

		if (is_plain && lstat(word, &st) == 0) /* O2 */
			return cli_usage(
				cli, NULL,
				"'%s' is both a ref and a path: write ./%s for the path, or "
				"%s@%llu for the ref",
				word, word, word, (unsigned long long)revision.generation);
		*ret_kind = OPERAND_REV;
		return 0;
	}
	if (error.code != PLEACH_NOT_FOUND && error.code != PLEACH_USAGE)
		return cli_fail(cli, &error);
	*ret_kind = OPERAND_DIR;
	return has_directory ? 0 : neither(cli, word, err, &error);
}

int operand_fix(struct cli *cli, const char *word, struct operand_rev *ret_rev)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pleach_revision revision = PLEACH_REVISION_INIT;

	if (pleach_resolve(cli->store, word, &revision, &error) < 0)
		return cli_fail(cli, &error);
	ret_rev->path = revision.path;
	ret_rev->parent[0] = 0;
	if (!revision.generation) {
		snprintf(ret_rev->rev, sizeof(ret_rev->rev), "tree:%s", revision.tree);
		return 0;
	}
	snprintf(ret_rev->rev, sizeof(ret_rev->rev), "%s@%llu", revision.ref,
		 (unsigned long long)revision.generation);
	if (revision.generation > 1)
		snprintf(ret_rev->parent, sizeof(ret_rev->parent), "%s@%llu", revision.ref,
			 (unsigned long long)revision.generation - 1);
	return 0;
}

bool operand_is_tx(const char *word)
{
	size_t length = strspn(word, "0123456789abcdef");

	return !word[length] && length >= TX_LEAST && length <= TX_MOST;
}

char *operand_join(const char *rev, const char *path, const char *below)
{
	char *joined;
	size_t length;

	if (path && !*path)
		path = NULL;
	if (!path && !below)
		return strdup(rev);
	length = path ? strlen(path) : 0;
	while (length > 0 && path[length - 1] == '/')
		length--;
	if (asprintf(&joined, "%s:%.*s%s%s", rev, (int)length, path ? path : "",
		     length && below ? "/" : "", below ? below : "") < 0)
		return NULL;
	return joined;
}
