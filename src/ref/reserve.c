/*
 * A MiB of the disk that is kept for taking things away: on a disk that is full to the last block not even that could
 * be done, since it needs a directory in tx/ or trash/.
 *
 *	there --no space--> given up --done--> made again, if there is room
 */
#include "ref/ref.h"

#define RESERVE	     "reserve"
#define RESERVE_SIZE (1u << 20)

int pl_store_make_reserve(int dirfd)
{
	unsigned char block[65536];
	PL_CLOSE int fd = pl_create(dirfd, RESERVE, 0600);
	int r = 0;

	if (fd < 0)
		return fd;
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

static bool is_full(int r)
{
	return r == -ENOSPC || r == -EDQUOT;
}

int pl_store_with_reserve(struct pl_store *store,
			  int (*work)(void *self, struct pleach_error *error), void *self,
			  struct pleach_error *error)
{
	int r = work(self, error);

	if (!is_full(r) || pl_unlink(store->fd, RESERVE) < 0)
		return r;
	pl_error_clear(error);
	r = work(self, error);
	(void)pl_store_make_reserve(store->fd); /* else the next one of these does */
	return r;
}
