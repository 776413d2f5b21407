/*
 * mount_point.c - read-only bind mounts of directories: made, replaced under their readers, taken away.
 * What is mounted in namespaces of ours is namespace.c's.
 *
 * M1  A mount is named by a descriptor of its root where it is replaced or taken away: another one that
 *     somebody has mounted over it meanwhile is not hit.
 * M2  There is no replacing without MOVE_MOUNT_BENEATH: unmounting and mounting leaves a gap, and a mount
 *     over the other could never be got rid of from below.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sys/seam.h"

/* What headers of older kernels do not have; the numbers are the kernel's for good. */
#define CLONE_TREE  1u
#define FROM_EMPTY  0x00000004u
#define TO_EMPTY    0x00000040u
#define BENEATH	    0x00000200u
#define ATTR_RDONLY 1u
#define IS_ROOT	    0x00002000u
#define LISTING_MAX ((size_t)16 << 20)

#ifndef SYS_open_tree
#define SYS_open_tree 428
#endif
#ifndef SYS_move_mount
#define SYS_move_mount 429
#endif
#ifndef SYS_mount_setattr
#define SYS_mount_setattr 442
#endif

struct attributes {
	uint64_t set, clear, propagation, userns_fd;
};

int pl_mount_clone(int dirfd, const char *name)
{
	const struct attributes attributes = {.set = ATTR_RDONLY};
	PL_CLOSE int fd = -EBADF;
	int r;

	fd = PL_RETRY(
		syscall(SYS_open_tree, dirfd, name, CLONE_TREE | O_CLOEXEC | AT_SYMLINK_NOFOLLOW));
	if (fd < 0)
		return fd == -ENOSYS ? -EOPNOTSUPP : fd;
	r = PL_RETRY(
		syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH, &attributes, sizeof(attributes)));
	if (r < 0)
		return r == -ENOSYS ? -EOPNOTSUPP : r;
	return pl_take_fd(&fd);
}

int pl_mount_put(int mount_fd, int dirfd, const char *name)
{
	int r = pl_seam_pass(PL_CALL_MOUNT);

	return r < 0 ? r : PL_RETRY(syscall(SYS_move_mount, mount_fd, "", dirfd, name, FROM_EMPTY));
}

int pl_mount_put_beneath(int mount_fd, int top_fd)
{
	int r;

	if (!pl_seam_has(PL_CAP_BENEATH))
		return -EOPNOTSUPP; /* M2 */
	r = pl_seam_pass(PL_CALL_MOUNT);
	if (r == 0)
		r = PL_RETRY(syscall(SYS_move_mount, mount_fd, "", top_fd, "",
				     FROM_EMPTY | TO_EMPTY | BENEATH));
	return r == -EINVAL || r == -ENOSYS ? -EOPNOTSUPP : r;
}

int pl_mount_detach(int top_fd)
{
	char path[32];
	int r = pl_seam_pass(PL_CALL_MOUNT);

	pl_assert(top_fd >= 0);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", top_fd);
	return r < 0 ? r : PL_RETRY(umount2(path, MNT_DETACH));
}

int pl_mount_is_root(int fd)
{
	struct statx stx = {0};
	int r = PL_RETRY(statx(fd, "", AT_EMPTY_PATH | AT_NO_AUTOMOUNT, STATX_TYPE, &stx));

	if (r < 0)
		return r;
	return (stx.stx_attributes_mask & IS_ROOT) ? (stx.stx_attributes & IS_ROOT) != 0
						   : -EOPNOTSUPP;
}

/* ---- which are there ---- */

void pl_mount_unescape(char *s)
{
	char *to = s;

	while (*s != '\0') {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' &&
		    s[3] >= '0' && s[3] <= '7') {
			*to++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			s += 4;
		} else {
			*to++ = *s++;
		}
	}
	*to = '\0';
}

/* "36 35 98:0 /root /mount/point rw ...": the fourth and the fifth word. */
static bool split_line(char *line, char **ret_root, char **ret_point)
{
	char *save = NULL, *field = strtok_r(line, " ", &save);

	for (int i = 0; field && i < 3; i++)
		field = strtok_r(NULL, " ", &save);
	*ret_root = field;
	*ret_point = field ? strtok_r(NULL, " ", &save) : NULL;
	if (!*ret_point)
		return false;
	pl_mount_unescape(*ret_root);
	pl_mount_unescape(*ret_point);
	return true;
}

int pl_mount_roots_at(const char *path, struct pl_strings *ret_roots)
{
	PL_BUFFER text = {0};
	struct pl_strings roots = {0};
	char *line, *next = NULL, *root, *point;
	int r = pl_read_file(AT_FDCWD, "/proc/self/mountinfo", LISTING_MAX, &text);

	if (r < 0)
		return r;
	if (!pl_buffer_string(&text))
		return -ENOMEM;
	for (line = strtok_r((char *)text.data, "\n", &next); r == 0 && line;
	     line = strtok_r(NULL, "\n", &next))
		if (split_line(line, &root, &point) && strcmp(point, path) == 0)
			r = pl_strings_add(&roots, root);
	if (r < 0) {
		pl_strings_done(&roots);
		return r;
	}
	*ret_roots = roots;
	return 0;
}
