/*
 * store.c - the two pools, objects/ and nodes/: where an id has its name, and how it gets it. What is
 * behind the names, and whether it verifies, is not looked at here; claims are the caller's.
 *
 * S1  A name in a pool, once there, is never replaced: link(2) alone makes one.
 */
#include <fcntl.h>

#include "object/object.h"

#define FANOUT 2 /* digits */

void pl_fanout_name(const struct pl_id *id, char ret_name[PL_FANOUT_NAME])
{
	char hex[PL_ID_HEX + 1];

	_Static_assert(PL_FANOUT_NAME == PL_ID_HEX + 2, "the digits, a slash and a NUL");
	pl_id_hex(id, hex);
	memcpy(ret_name, hex, FANOUT);
	ret_name[FANOUT] = '/';
	memcpy(ret_name + FANOUT + 1, hex + FANOUT, PL_ID_HEX - FANOUT + 1);
	pl_assert(strlen(ret_name) == PL_FANOUT_NAME - 1);
}

static void fanout_dir(const struct pl_id *id, char ret_name[FANOUT + 1])
{
	pl_hex(id->bytes, 1, ret_name);
	pl_assert(strlen(ret_name) == FANOUT);
}

/* The same outcome if another process makes it at this moment. */
static int make_fanout_dir(int pool_fd, const struct pl_id *id)
{
	char dir[FANOUT + 1];
	int r;

	fanout_dir(id, dir);
	r = pl_mkdir(pool_fd, dir, 0700);
	return r == -EEXIST ? 0 : r;
}

int pl_pool_link(int pool_fd, const struct pl_id *id, int from_dirfd, const char *from_name)
{
	char name[PL_FANOUT_NAME];
	int r;

	pl_fanout_name(id, name);
	r = pl_link(from_dirfd, from_name, pool_fd, name); /* S1 */
	if (r == -ENOENT) {
		/* Mostly not: most of the 256 directories are made once. If it was the source that
		 * is missing, the second attempt says so again. */
		r = make_fanout_dir(pool_fd, id);
		if (r == 0)
			r = pl_link(from_dirfd, from_name, pool_fd, name);
	}
	return r == -EEXIST ? 1 : r;
}

int pl_pool_has(int pool_fd, const struct pl_id *id)
{
	char name[PL_FANOUT_NAME];

	pl_fanout_name(id, name);
	return pl_exists(pool_fd, name);
}

int pl_pool_open(int pool_fd, const struct pl_id *id)
{
	char name[PL_FANOUT_NAME];

	pl_fanout_name(id, name);
	/* Not to wait for a writer if somebody put a FIFO there. */
	return pl_open(pool_fd, name, O_RDONLY | O_NONBLOCK);
}

int pl_pool_sync(int pool_fd, const struct pl_id *id)
{
	char dir[FANOUT + 1];
	int r;

	fanout_dir(id, dir);
	r = pl_fsync_at(pool_fd, dir);
	return r < 0 ? r : pl_fsync(pool_fd);
}
