/*
 * Subvolumes of btrfs. By ioctl; asked for by magic, device and inode first, so that no other file system ever gets
 * such a number.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/btrfs.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "sys/seam.h"

#define ROOT_INO 256 /* BTRFS_FIRST_FREE_OBJECTID: of the root of every subvolume */

static bool is_btrfs(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 && fs.f_type == BTRFS_SUPER_MAGIC;
}

int pl_subvolume_is(int fd)
{
	struct stat st;
	int r;

	if (!pl_seam_has(PL_CAP_SUBVOLUME) || !is_btrfs(fd))
		return 0;
	r = pl_fstat(fd, &st);
	return r < 0 ? r : S_ISDIR(st.st_mode) && st.st_ino == ROOT_INO;
}

/* In a directory of btrfs, and with a name that the ioctl can take. */
static int prepare(int dirfd, const char *name, char *ret_name, size_t size)
{
	if (!pl_seam_has(PL_CAP_SUBVOLUME) || !is_btrfs(dirfd))
		return -EOPNOTSUPP;
	if (strlen(name) >= size || strchr(name, '/'))
		return -EINVAL;
	memcpy(ret_name, name, strlen(name) + 1);
	return pl_seam_pass(PL_CALL_MOUNT);
}

int pl_subvolume_create(int dirfd, const char *name)
{
	struct btrfs_ioctl_vol_args args = {0};
	int r = prepare(dirfd, name, args.name, sizeof(args.name));

	return r < 0 ? r : PL_RETRY(ioctl(dirfd, BTRFS_IOC_SUBVOL_CREATE, &args));
}

int pl_subvolume_snapshot(int fd, int dirfd, const char *name)
{
	struct btrfs_ioctl_vol_args_v2 args = {.fd = fd};
	int r = prepare(dirfd, name, args.name, sizeof(args.name));

	return r < 0 ? r : PL_RETRY(ioctl(dirfd, BTRFS_IOC_SNAP_CREATE_V2, &args));
}

int pl_subvolume_delete(int dirfd, const char *name)
{
	struct btrfs_ioctl_vol_args args = {0};
	int r = prepare(dirfd, name, args.name, sizeof(args.name));

	if (r >= 0)
		r = PL_RETRY(ioctl(dirfd, BTRFS_IOC_SNAP_DESTROY, &args));
	/* Not ours to delete by ioctl, as an ordinary user (mount option user_subvol_rm_allowed); an empty
	 * one goes as a directory does. */
	if (r == -EPERM || r == -EACCES)
		r = pl_rmdir(dirfd, name);
	return r < 0 ? r : 0;
}
