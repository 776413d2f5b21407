/*
 * above.c - is one directory above another? Asked by climbing, with descriptors and inodes, since a
 * path may be a symlink or a mount away from what it seems.
 */
#include <fcntl.h>

#include "sys/sys.h"

int pl_is_above(int above_fd, int fd)
{
	struct stat wanted, st, last = {0};
	PL_CLOSE int at = pl_open(fd, ".", O_PATH | O_DIRECTORY);
	int r = at < 0 ? at : pl_fstat(above_fd, &wanted);

	while (r >= 0) {
		int up;

		r = pl_fstat(at, &st);
		if (r < 0)
			return r;
		if (pl_same_inode(&st, &wanted))
			return 1;
		if (pl_same_inode(&st, &last))
			return 0; /* the root is its own parent */
		last = st;
		up = pl_open(at, "..", O_PATH | O_DIRECTORY);
		if (up < 0)
			return up == -EACCES ? 0 : up;
		pl_close(at);
		at = up;
	}
	return r;
}
