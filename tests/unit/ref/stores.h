/*
 * A store in a scratch directory, and children that are killed at a call. Include after cmocka.h.
 */
#ifndef PL_TEST_STORES_H
#define PL_TEST_STORES_H

#include <inttypes.h>

#include "ref/ref.h"
#include "sys/scratch.h"

static inline const char *scratch_path(const struct scratch *s, const char *name)
{
	static char paths[4][4400];
	static unsigned next;
	char *path = paths[next++ % 4];

	(void)snprintf(path, sizeof(paths[0]), "%s/%s", s->path, name);
	return path;
}

/* Makes (or finds) a store under this name of the scratch directory, and opens it. NULL: failed. */
static inline struct pl_store *open_store(const struct scratch *s, const char *name)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pl_store *store = NULL;
	int r = pl_store_init(scratch_path(s, name), NULL, &error);

	if (r >= 0)
		r = pl_store_open(scratch_path(s, name), &store, &error);
	if (r < 0)
		(void)fprintf(stderr, "# no store: %s\n", error.message);
	return store;
}

static inline void store_closep(struct pl_store **store)
{
	pl_store_close(*store);
}
#define STORE PL_CLEANUP(store_closep) struct pl_store

/* Runs `function` in a child that ends at call `n`: 99 then, else what the function returned. */
static inline int killed_at(uint64_t n, int (*function)(struct scratch *s), struct scratch *s)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		pl_seam_arm(&(struct pl_seam_plan){.exit_at = n});
		_exit(function(s));
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

/* How many names a directory has; -1: cannot be read. */
static inline int count_names(int dirfd, const char *name)
{
	PL_CLOSE int fd = pl_open_dir(dirfd, name);
	struct pl_listing listing;
	int n;

	if (fd < 0 || pl_list(fd, &listing) < 0)
		return -1;
	n = (int)listing.n;
	pl_listing_done(&listing);
	return n;
}

static inline mode_t mode_of(int dirfd, const char *name)
{
	struct stat st;

	return pl_lstat(dirfd, name, &st) == 0 ? st.st_mode & 07777 : 0;
}

#endif
