/*
 * A file system of a kind of its own, in an image of at most 300 MB in the scratch directory, mounted in
 * a mount namespace of a child: it goes when the child ends, however that is. Include after scratch.h.
 */
#ifndef PL_TEST_IMAGES_H
#define PL_TEST_IMAGES_H

#include "sys/quietly.h"
#include "sys/scratch.h"

/* What a child of a test says that cannot have what it needs. */
#define NOT_TO_BE_HAD 77

/*
 * In a child as root: mounts a new file system ("ext4", "xfs", "btrfs", "tmpfs") on NAME of the scratch
 * directory, which is made. `options` may be NULL, and so may `features` (for ext4, as mkfs has them). 0, or
 * NOT_TO_BE_HAD.
 */
static inline int mount_image_with(struct scratch *s, const char *kind, const char *name,
				   const char *options, const char *features)
{
	char image[4400], point[4400], mkfs[32], all[200];
	const char *const make_ext4[] = {
		mkfs, "-q", "-F", "-O", features ? features : "has_journal", image, NULL};
	const char *const make_other[] = {mkfs, "-q", "-f", image, NULL};
	const char *const mount_it[] = {"mount", "-t", kind, "-o", all, image, point, NULL};
	struct stat above, here;
	int fd;

	(void)snprintf(image, sizeof(image), "%s/%s.img", s->path, name);
	(void)snprintf(point, sizeof(point), "%s/%s", s->path, name);
	(void)snprintf(mkfs, sizeof(mkfs), "mkfs.%s", kind);
	(void)snprintf(all, sizeof(all), "%s%s%s",
		       strcmp(kind, "tmpfs") == 0 ? "size=200m" : "loop", options ? "," : "",
		       options ? options : "");
	if (mkdir(point, 0755) < 0)
		return NOT_TO_BE_HAD;
	if (strcmp(kind, "tmpfs") != 0) {
		fd = open(image, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (fd < 0 || ftruncate(fd, 300 << 20) < 0)
			return NOT_TO_BE_HAD;
		close(fd);
		if (run_quietly(strcmp(kind, "ext4") == 0 ? make_ext4 : make_other) != 0)
			return NOT_TO_BE_HAD;
	}
	if (run_quietly(mount_it) != 0)
		return NOT_TO_BE_HAD;
	/* Never write to what was not meant. */
	if (lstat(s->path, &above) < 0 || lstat(point, &here) < 0 || above.st_dev == here.st_dev)
		return NOT_TO_BE_HAD;
	return chmod(point, 0777) < 0 ? NOT_TO_BE_HAD : 0;
}

static inline int mount_image(struct scratch *s, const char *kind, const char *name,
			      const char *options)
{
	return mount_image_with(s, kind, name, options, NULL);
}

/* In a child as root: the root of a new file system, as a scratch directory of its own. 0, NOT_TO_BE_HAD, or 1. */
static inline int scratch_on_image(struct scratch *s, const char *kind, struct scratch *ret_fs)
{
	if (private_mounts(s) < 0 || mount_image(s, kind, "fs", NULL) != 0)
		return NOT_TO_BE_HAD;
	(void)snprintf(ret_fs->path, sizeof(ret_fs->path), "%.4000s/fs", s->path);
	ret_fs->fd = open(ret_fs->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(ret_fs->fd >= 0);
	return 0;
}

#endif
