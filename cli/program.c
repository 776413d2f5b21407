/*
 * program.c - a program of the user's that cannot be started: the exit status that shells would give.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

/*
 * Is there a file of this name in any directory of PATH? execvp(3) says "permission denied" for a name
 * that is nowhere as soon as one directory of PATH is closed to us; shells say "not found".
 */
static bool is_in_path(const char *name)
{
	const char *path = getenv("PATH");

	if (strchr(name, '/'))
		return true;
	for (; path && *path; path += strcspn(path, ":"), path += *path == ':') {
		char *file = NULL;
		bool found = asprintf(&file, "%.*s/%s", (int)strcspn(path, ":"), path, name) >= 0 &&
			     access(file, F_OK) == 0;

		free(file);
		if (found)
			return true;
	}
	return false;
}

int program_not_started(struct cli *cli, const char *name, int err, struct pleach_error *ret_error)
{
	if (err == EACCES && !is_in_path(name))
		err = ENOENT;
	cli_error_set(ret_error, PLEACH_FAILED, name, NULL, "cannot run '%s': %s", name,
		      strerror(err));
	cli_fail(cli, ret_error);
	if (err == ENOENT)
		return PROGRAM_NOT_FOUND;
	return err == EAGAIN || err == ENOMEM ? PROGRAM_OWN_FAILURE : PROGRAM_NOT_EXECUTABLE;
}
