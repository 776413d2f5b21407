/*
 * meta.c - mode, owner and mtime. Extended attributes are xattr.c's.
 */
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sys/seam.h"

int pl_chmod(int fd, mode_t mode)
{
	int r = pl_seam_pass(PL_CALL_META);

	return r < 0 ? r : PL_RETRY(fchmod(fd, mode));
}

int pl_chmod_at(int dirfd, const char *name, mode_t mode)
{
	struct stat st;
	int r = pl_seam_pass(PL_CALL_META);

	if (r < 0)
		return r;
	/* Mostly it is so already, and changing it takes four calls, one of them with a place in the journal. */
	if (pl_lstat(dirfd, name, &st) == 0 && !S_ISLNK(st.st_mode) &&
	    (st.st_mode & ~(mode_t)S_IFMT) == mode)
		return 0;
	/* A symlink, or one put there meanwhile, is -EOPNOTSUPP. */
	return PL_RETRY(fchmodat(dirfd, name, mode, AT_SYMLINK_NOFOLLOW));
}

int pl_chown(int fd, uid_t uid, gid_t gid)
{
	int r = pl_seam_pass(PL_CALL_META);

	return r < 0 ? r : PL_RETRY(fchown(fd, uid, gid));
}

int pl_chown_at(int dirfd, const char *name, uid_t uid, gid_t gid)
{
	int r = pl_seam_pass(PL_CALL_META);

	return r < 0 ? r : PL_RETRY(fchownat(dirfd, name, uid, gid, AT_SYMLINK_NOFOLLOW));
}

/* The atime is left as it is: it is no part of what is kept (G8). */
int pl_utimens(int fd, int64_t mtime_s, uint32_t mtime_ns)
{
	const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT},
					  {.tv_sec = mtime_s, .tv_nsec = mtime_ns}};
	int r = pl_seam_pass(PL_CALL_META);

	pl_assert(mtime_ns < 1000000000); /* above are values with a meaning of their own */
	return r < 0 ? r : PL_RETRY(futimens(fd, times));
}

int pl_utimens_at(int dirfd, const char *name, int64_t mtime_s, uint32_t mtime_ns)
{
	const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT},
					  {.tv_sec = mtime_s, .tv_nsec = mtime_ns}};
	int r = pl_seam_pass(PL_CALL_META);

	pl_assert(mtime_ns < 1000000000);
	return r < 0 ? r : PL_RETRY(utimensat(dirfd, name, times, AT_SYMLINK_NOFOLLOW));
}

int pl_clear_flags(int fd)
{
	const int keeping = FS_IMMUTABLE_FL | FS_APPEND_FL;
	/* By its number the call is about a long; what the kernel reads and writes is an int. */
	union {
		int value;
		long room;
	} flags = {.room = 0};
	int r = PL_RETRY(ioctl(fd, FS_IOC_GETFLAGS, &flags));

	if (r < 0)
		return r == -ENOTTY || r == -EOPNOTSUPP || r == -ENOSYS ? 0 : r;
	if (!(flags.value & keeping))
		return 0;
	flags.value &= ~keeping;
	r = pl_seam_pass(PL_CALL_META);
	if (r == 0)
		r = PL_RETRY(ioctl(fd, FS_IOC_SETFLAGS, &flags));
	return r < 0 ? r : 1;
}
