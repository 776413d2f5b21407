/*
 * filesystem.h - the kinds of file systems that are made, mounted and shut down on a disk of ours. With mkfs's
 * defaults, but for sectors and blocks of 4 KiB and a small journal. As root.
 */
#ifndef PL_TEST_FILESYSTEM_H
#define PL_TEST_FILESYSTEM_H

#include <stdbool.h>
#include <stddef.h>

#define FILESYSTEM_SIZE ((size_t)300 << 20)

struct filesystem {
	const char *name;
	const char *mkfs[12];	/* the device goes behind; NULL ends */
	const char *options;	/* of mount(2) */
	unsigned long shutdown; /* ioctl that ends it at once, 0: none */
};

extern const struct filesystem filesystems[]; /* a NULL name ends */

const struct filesystem *filesystem_named(const char *name);
int filesystem_make(const struct filesystem *fs, const char *device);
/* `point` must be a directory that lies elsewhere: it is seen to be another device after the mount. -errno. */
int filesystem_mount(const struct filesystem *fs, const char *device, const char *point,
		     bool read_only);
int filesystem_remount_writable(const char *point);
int filesystem_unmount(const char *point);

#endif
