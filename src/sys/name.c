/*
 * name.c - what names lead to, and giving, moving and taking away names. What is behind a
 * descriptor is file.c's, metadata meta.c's.
 *
 * After a failure of link or rename the outcome is asked, not believed: over NFS the reply to a
 * call that succeeded can be lost, and the call, sent again, is then answered as if it had failed.
 * What can be decided without a system call more on the good path:
 *
 *  link     whether the two names are one inode: always.
 *  symlink  whether a symlink with this target is there: always; not who made it.
 *  rename   a source that is still there was not renamed. One that is gone, with something under
 *           the target, was, if the error was another than ENOENT and nobody else moves that
 *           source. After ENOENT it may never have been there: the error stays.
 *  mkdir    nothing: a directory that is there may be anybody's. The error stays.
 *  unlink   nothing: ENOENT can mean that it was us. Most callers take it for success.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "sys/seam.h"

int pl_fstat(int fd, struct stat *ret_st)
{
	return PL_RETRY(fstat(fd, ret_st));
}

static int stat_at(int dirfd, const char *name, struct stat *ret_st, int flags)
{
	return PL_RETRY(fstatat(dirfd, name, ret_st, flags));
}

int pl_lstat(int dirfd, const char *name, struct stat *ret_st)
{
	return stat_at(dirfd, name, ret_st, AT_SYMLINK_NOFOLLOW);
}

int pl_stat(int dirfd, const char *name, struct stat *ret_st)
{
	return stat_at(dirfd, name, ret_st, 0);
}

int pl_readlink(int dirfd, const char *name, struct pl_buffer *b)
{
	for (size_t size = 256;; size *= 2) {
		char *to = pl_buffer_reserve(b, size);
		int n;

		if (!to)
			return -ENOMEM;
		n = PL_RETRY(readlinkat(dirfd, name, to, size));
		if (n < 0)
			return n;
		if ((size_t)n < size) { /* else it may have been cut */
			b->length += (size_t)n;
			pl_buffer_truncate(b, b->length); /* the NUL behind it */
			return 0;
		}
	}
}

int pl_exists(int dirfd, const char *name)
{
	struct stat st;
	int r = pl_lstat(dirfd, name, &st);

	if (r == -ENOENT || r == -ENOTDIR)
		return 0;
	return r < 0 ? r : 1;
}

bool pl_same_inode(const struct stat *a, const struct stat *b)
{
	/* A number that was given to a new file of another kind does not pass for the old one. */
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino &&
	       (a->st_mode & S_IFMT) == (b->st_mode & S_IFMT);
}

/* ---- links ---- */

int pl_link(int old_dirfd, const char *old_name, int new_dirfd, const char *new_name)
{
	struct stat old_st, new_st;
	int r = pl_seam_pass(PL_CALL_LINK);

	if (r == 0)
		r = PL_RETRY(linkat(old_dirfd, old_name, new_dirfd, new_name, 0));
	if (r < 0 && pl_lstat(new_dirfd, new_name, &new_st) == 0 &&
	    pl_lstat(old_dirfd, old_name, &old_st) == 0 && pl_same_inode(&old_st, &new_st))
		return 0;
	return r;
}

/* The short way is for some only: by a capability or, with younger kernels, by credentials. */
static int link_descriptor(int fd, int new_dirfd, const char *new_name)
{
	int r = PL_RETRY(linkat(fd, "", new_dirfd, new_name, AT_EMPTY_PATH));
	char path[32];

	if (r != -ENOENT)
		return r;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return PL_RETRY(linkat(AT_FDCWD, path, new_dirfd, new_name, AT_SYMLINK_FOLLOW));
}

int pl_link_fd(int fd, int new_dirfd, const char *new_name)
{
	struct stat old_st, new_st;
	int r = pl_seam_pass(PL_CALL_LINK);

	pl_assert(fd >= 0);
	if (r == 0)
		r = link_descriptor(fd, new_dirfd, new_name);
	if (r < 0 && pl_lstat(new_dirfd, new_name, &new_st) == 0 && pl_fstat(fd, &old_st) == 0 &&
	    pl_same_inode(&old_st, &new_st))
		return 0;
	return r;
}

/* 1 if dirfd/name is a symlink with this very target. */
static int leads_to(int dirfd, const char *name, const char *target)
{
	PL_BUFFER found = {0};

	return pl_readlink(dirfd, name, &found) == 0 &&
	       strcmp(pl_buffer_string(&found), target) == 0;
}

int pl_symlink(const char *target, int dirfd, const char *name)
{
	int r = pl_seam_pass(PL_CALL_SYMLINK);

	if (r == 0)
		r = PL_RETRY(symlinkat(target, dirfd, name));
	return r < 0 && leads_to(dirfd, name, target) ? 0 : r;
}

/* ---- making and removing ---- */

int pl_mkdir(int dirfd, const char *name, mode_t mode)
{
	int r = pl_seam_pass(PL_CALL_MKDIR);

	return r < 0 ? r : PL_RETRY(mkdirat(dirfd, name, mode));
}

int pl_mknod(int dirfd, const char *name, mode_t mode, dev_t dev)
{
	int r = pl_seam_pass(PL_CALL_MKNOD);

	return r < 0 ? r : PL_RETRY(mknodat(dirfd, name, mode, dev));
}

int pl_unlink(int dirfd, const char *name)
{
	int r = pl_seam_pass(PL_CALL_UNLINK);

	return r < 0 ? r : PL_RETRY(unlinkat(dirfd, name, 0));
}

int pl_rmdir(int dirfd, const char *name)
{
	int r = pl_seam_pass(PL_CALL_UNLINK);

	if (r == 0)
		r = PL_RETRY(unlinkat(dirfd, name, AT_REMOVEDIR));
	return r == -EEXIST ? -ENOTEMPTY : r; /* what xfs and NFS say for it */
}

/* ---- renames ---- */

/* Did a rename that failed with `r` happen? 0 if so, else `r`. */
static int renamed(int r, int old_dirfd, const char *old_name, int new_dirfd, const char *new_name)
{
	struct stat st;

	if (r == -ENOENT || pl_lstat(old_dirfd, old_name, &st) != -ENOENT)
		return r;
	return pl_lstat(new_dirfd, new_name, &st) == 0 ? 0 : r;
}

int pl_rename(int old_dirfd, const char *old_name, int new_dirfd, const char *new_name)
{
	int r = pl_seam_pass(PL_CALL_RENAME);

	if (r == 0)
		r = PL_RETRY(renameat(old_dirfd, old_name, new_dirfd, new_name));
	return r < 0 ? renamed(r, old_dirfd, old_name, new_dirfd, new_name) : 0;
}

/*
 * Where the file system knows no RENAME_NOREPLACE. A file: a second name, exclusively, then the
 * first one taken away; killed between the two it has both names. A directory: looked, then
 * renamed. Should another process make a directory under the new name between the two, rename
 * refuses to replace it if it is not empty, and replaces it if it is empty. The names that the
 * library gives are its own, and its directories are filled before they get them, so that an empty
 * one is nobody's; but where a stranger may make a directory under the new name, that is the gap.
 */
static int rename_new_plainly(int old_dirfd, const char *old_name, int new_dirfd,
			      const char *new_name)
{
	struct stat st;
	int r = pl_lstat(old_dirfd, old_name, &st);

	if (r < 0)
		return r;
	if (!S_ISDIR(st.st_mode)) {
		r = pl_link(old_dirfd, old_name, new_dirfd, new_name);
		return r < 0 ? r : pl_unlink(old_dirfd, old_name);
	}
	r = pl_exists(new_dirfd, new_name);
	if (r != 0)
		return r < 0 ? r : -EEXIST;
	r = pl_rename(old_dirfd, old_name, new_dirfd, new_name);
	/* Something came in between: what is there is not replaced. */
	return r == -ENOTEMPTY || r == -ENOTDIR ? -EEXIST : r;
}

int pl_rename_new(int old_dirfd, const char *old_name, int new_dirfd, const char *new_name)
{
	int r = -EINVAL;

	if (pl_seam_has(PL_CAP_NOREPLACE)) {
		r = pl_seam_pass(PL_CALL_RENAME);
		if (r == 0)
			r = PL_RETRY(renameat2(old_dirfd, old_name, new_dirfd, new_name,
					       RENAME_NOREPLACE));
	}
	if (r == -EINVAL || r == -ENOSYS)
		return rename_new_plainly(old_dirfd, old_name, new_dirfd, new_name);
	return r < 0 ? renamed(r, old_dirfd, old_name, new_dirfd, new_name) : 0;
}

int pl_rename_exchange(int dirfd, const char *name, int other_dirfd, const char *other_name)
{
	int r;

	if (!pl_seam_has(PL_CAP_EXCHANGE))
		return -EOPNOTSUPP;
	r = pl_seam_pass(PL_CALL_RENAME);
	if (r == 0)
		r = PL_RETRY(renameat2(dirfd, name, other_dirfd, other_name, RENAME_EXCHANGE));
	return r == -EINVAL || r == -ENOSYS ? -EOPNOTSUPP : r;
}

/* ---- identity ---- */

bool pl_identity_equal(const struct pl_identity *a, const struct pl_identity *b)
{
	return a->ino == b->ino && a->birth_s == b->birth_s && a->birth_ns == b->birth_ns;
}

int pl_identity_of_dir(int dirfd, const char *name, dev_t dev, struct pl_identity *ret_identity)
{
	struct statx stx = {0};
	int r = PL_RETRY(statx(dirfd, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT,
			       STATX_TYPE | STATX_INO | STATX_BTIME, &stx));

	if (r < 0)
		return r;
	if (!S_ISDIR(stx.stx_mode) || makedev(stx.stx_dev_major, stx.stx_dev_minor) != dev)
		return 0;
	*ret_identity = (struct pl_identity){.ino = stx.stx_ino};
	if ((stx.stx_mask & STATX_BTIME) && stx.stx_btime.tv_sec > 0) {
		ret_identity->birth_s = (uint64_t)stx.stx_btime.tv_sec;
		ret_identity->birth_ns = stx.stx_btime.tv_nsec;
	}
	return 1;
}
