/*
 * A MiB of the disk, and some inodes, that are kept for taking things away: on a disk that is full to the last block, or
 * has no inode left, not even that could be done, since it needs a directory in tx/ or trash/, and a mark for each
 * generation that is dropped. Also for a generation that is recorded and is to be shown.
 *
 *	there --no space--> given up --done--> made again, if there is room
 *	                                       --else--> by the next collection
 */
#include <stdio.h>

#include "ref/ref.h"

#define RESERVE	     "reserve"
#define RESERVE_SIZE (1u << 20)
#define INODES	     "cache/reserve" /* empty files, named by numbers */
#define N_INODES     32
#define LAST_INODE   INODES "/31"

static int make_inodes(int dirfd)
{
	PL_CLOSE int fd = -EBADF;
	int r = pl_exists(dirfd, LAST_INODE);

	if (r != 0)
		return r < 0 ? r : 0;
	r = pl_mkdir(dirfd, INODES, 0700);
	if (r >= 0)
		r = pl_chmod_at(dirfd, INODES, 0700); /* whatever the umask is */
	if (r >= 0 || r == -EEXIST)
		r = fd = pl_open_dir(dirfd, INODES);
	for (int i = 0; r >= 0 && i < N_INODES; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "%d", i);
		r = pl_create(fd, name, 0600);
		if (r >= 0)
			pl_close(r);
		r = r == -EEXIST ? 0 : r;
	}
	return r < 0 ? r : 0;
}

static int make_bytes(int dirfd)
{
	unsigned char block[65536];
	PL_CLOSE int fd = -EBADF;
	int r = pl_exists(dirfd, RESERVE);

	if (r != 0)
		return r < 0 ? r : 0;
	r = fd = pl_create(dirfd, RESERVE, 0600);
	if (r < 0)
		return r;
	r = 0;
	/* Random, so that no file system compresses it, or keeps one block for all. */
	for (size_t done = 0; r == 0 && done < RESERVE_SIZE; done += sizeof(block)) {
		r = pl_random(block, sizeof(block));
		if (r == 0)
			r = pl_write_full(fd, block, sizeof(block));
	}
	if (r == 0)
		r = pl_chmod(fd, 0600);
	if (r == 0)
		r = pl_fsync(fd);
	if (r < 0)
		(void)pl_unlink(dirfd, RESERVE);
	return r;
}

int pl_store_make_reserve(int dirfd)
{
	int r = make_bytes(dirfd);

	return r < 0 ? r : make_inodes(dirfd);
}

/* False: there was nothing of it. */
static bool give_up(int dirfd)
{
	PL_CLOSE int fd = pl_open_dir(dirfd, INODES);
	bool has_given = pl_unlink(dirfd, RESERVE) >= 0;

	for (int i = 0; fd >= 0 && i < N_INODES; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "%d", i);
		has_given |= pl_unlink(fd, name) >= 0;
	}
	return has_given;
}

static bool is_full(int r)
{
	return r == -ENOSPC || r == -EDQUOT;
}

int pl_store_with_reserve(struct pl_store *store,
			  int (*work)(void *self, struct pleach_error *error), void *self,
			  struct pleach_error *error)
{
	int r = work(self, error);

	if (!is_full(r) || !give_up(store->fd))
		return r;
	pl_error_clear(error);
	r = work(self, error);
	(void)pl_store_make_reserve(store->fd); /* else the next collection does */
	return r;
}
