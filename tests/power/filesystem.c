#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/ioctl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "power/filesystem.h"
#include "sys/quietly.h"

/* EXT4_IOC_SHUTDOWN and XFS_IOC_GOINGDOWN. */
#define SHUTDOWN _IOR('X', 125, uint32_t)

#define UNMOUNT_TRIES 200

const struct filesystem filesystems[] = {
	{"ext4", {"mkfs.ext4", "-q", "-F", "-b", "4096", "-J", "size=4"}, "", SHUTDOWN},
	/* Several with one log at a time are none of its business: nouuid. */
	{"xfs", {"mkfs.xfs", "-q", "-f", "-s", "size=4096"}, "nouuid", SHUTDOWN},
	{"btrfs", {"mkfs.btrfs", "-q", "-f"}, "", 0},
	{0},
};

const struct filesystem *filesystem_named(const char *name)
{
	for (size_t i = 0; filesystems[i].name; i++)
		if (strcmp(filesystems[i].name, name) == 0)
			return &filesystems[i];
	return NULL;
}

int filesystem_make(const struct filesystem *fs, const char *device)
{
	const char *argv[16];
	size_t n = 0;

	for (; fs->mkfs[n]; n++)
		argv[n] = fs->mkfs[n];
	argv[n++] = device;
	argv[n] = NULL;
	return run_quietly(argv) == 0 ? 0 : -EIO;
}

int filesystem_mount(const struct filesystem *fs, const char *device, const char *point,
		     bool read_only)
{
	char parent[PATH_MAX];
	struct stat above, here;

	(void)snprintf(parent, sizeof(parent), "%s/..", point);
	if (stat(parent, &above) < 0)
		return -errno;
	if (mount(device, point, fs->name, read_only ? MS_RDONLY : 0, fs->options) < 0)
		return -errno;
	/* Never write to what was not meant. */
	if (stat(point, &here) < 0 || here.st_dev == above.st_dev)
		abort();
	return 0;
}

int filesystem_remount_writable(const char *point)
{
	return mount(NULL, point, NULL, MS_REMOUNT, "") < 0 ? -errno : 0;
}

/* Something may still be on its way out: the last descriptor of a process that was killed. */
int filesystem_unmount(const char *point)
{
	static const struct timespec pause = {.tv_nsec = 10000000};

	for (int i = 0; umount2(point, UMOUNT_NOFOLLOW) < 0; i++) {
		if (errno != EBUSY || i == UNMOUNT_TRIES)
			return -errno;
		(void)nanosleep(&pause, NULL);
	}
	return 0;
}
