/*
 * xattr.c - extended attributes, by descriptor and by name. The kernel has had no *at() calls for
 * them until 6.13, so names go through /proc/self/fd, with the calls that do not follow a symlink.
 */
#include <limits.h>
#include <stdio.h>
#include <sys/xattr.h>

#include "sys/seam.h"

/* Of what: a descriptor, or a path if that is set. */
struct subject {
	int fd;
	const char *path;
};

/* What a name list or a value takes at most; the kernel's own limits are 64 KiB each. */
#define LENGTH_MAX (1 << 20)

/* Appends the names, or with `xattr` the value of that one. */
static int get(struct subject of, const char *xattr, struct pl_buffer *b)
{
	/* Most fit at once; else it is asked again with more room until it does. */
	for (size_t size = 256; size <= LENGTH_MAX; size *= 4) {
		char *to = pl_buffer_reserve(b, size);
		int n;

		if (!to)
			return -ENOMEM;
		if (xattr)
			n = PL_RETRY(of.path ? lgetxattr(of.path, xattr, to, size)
					     : fgetxattr(of.fd, xattr, to, size));
		else
			n = PL_RETRY(of.path ? llistxattr(of.path, to, size)
					     : flistxattr(of.fd, to, size));
		if (n >= 0) {
			b->length += (size_t)n;
			pl_buffer_truncate(b, b->length); /* the NUL behind it */
			return 0;
		}
		if (n != -ERANGE)
			return n;
	}
	return -E2BIG;
}

static int list(struct subject of, struct pl_buffer *b)
{
	int r = pl_seam_has(PL_CAP_XATTR) ? get(of, NULL, b) : -EOPNOTSUPP;

	return r == -EOPNOTSUPP ? 0 : r;
}

static int set(struct subject of, const char *xattr, const void *value, size_t length)
{
	int r;

	if (!pl_seam_has(PL_CAP_XATTR))
		return -EOPNOTSUPP;
	r = pl_seam_pass(PL_CALL_META);
	if (r < 0)
		return r;
	return PL_RETRY(of.path ? lsetxattr(of.path, xattr, value, length, 0)
				: fsetxattr(of.fd, xattr, value, length, 0));
}

static int remove_one(struct subject of, const char *xattr)
{
	int r;

	if (!pl_seam_has(PL_CAP_XATTR))
		return -EOPNOTSUPP;
	r = pl_seam_pass(PL_CALL_META);
	if (r < 0)
		return r;
	return PL_RETRY(of.path ? lremovexattr(of.path, xattr) : fremovexattr(of.fd, xattr));
}

int pl_xattr_list(int fd, struct pl_buffer *ret_names)
{
	return list((struct subject){.fd = fd}, ret_names);
}

int pl_xattr_get(int fd, const char *name, struct pl_buffer *ret_value)
{
	if (!pl_seam_has(PL_CAP_XATTR))
		return -EOPNOTSUPP;
	return get((struct subject){.fd = fd}, name, ret_value);
}

int pl_xattr_set(int fd, const char *name, const void *value, size_t length)
{
	return set((struct subject){.fd = fd}, name, value, length);
}

int pl_xattr_remove(int fd, const char *name)
{
	return remove_one((struct subject){.fd = fd}, name);
}

/* ---- by name ---- */

static int path_of(int dirfd, const char *name, char ret_path[PATH_MAX])
{
	int n;

	pl_assert(dirfd >= 0);
	n = snprintf(ret_path, PATH_MAX, "/proc/self/fd/%d/%s", dirfd, name);
	return n < 0 || n >= PATH_MAX ? -ENAMETOOLONG : 0;
}

int pl_xattr_list_at(int dirfd, const char *name, struct pl_buffer *ret_names)
{
	char path[PATH_MAX];
	int r = path_of(dirfd, name, path);

	return r < 0 ? r : list((struct subject){.path = path}, ret_names);
}

int pl_xattr_get_at(int dirfd, const char *name, const char *xattr, struct pl_buffer *ret_value)
{
	char path[PATH_MAX];
	int r = path_of(dirfd, name, path);

	if (r < 0)
		return r;
	if (!pl_seam_has(PL_CAP_XATTR))
		return -EOPNOTSUPP;
	return get((struct subject){.path = path}, xattr, ret_value);
}

int pl_xattr_set_at(int dirfd, const char *name, const char *xattr, const void *value,
		    size_t length)
{
	char path[PATH_MAX];
	int r = path_of(dirfd, name, path);

	return r < 0 ? r : set((struct subject){.path = path}, xattr, value, length);
}

int pl_xattr_remove_at(int dirfd, const char *name, const char *xattr)
{
	char path[PATH_MAX];
	int r = path_of(dirfd, name, path);

	return r < 0 ? r : remove_one((struct subject){.path = path}, xattr);
}
