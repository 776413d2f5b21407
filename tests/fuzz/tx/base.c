/*
 * The trees that programs begin with: small ones, in which each kind of file and each way of being linked
 * is found. They are made by plain system calls, nothing of what is tested.
 */
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "program.h"

#define R  WITH_ROOT
#define G  WITH_GROUPS
#define RG (WITH_ROOT | WITH_GROUPS)
#define RO (WITH_ROOT | WITH_ODD)

/* version 2; USER_OBJ rwx, USER 1000 r--, GROUP_OBJ r-x, MASK r-x, OTHER r-- */
const unsigned char base_acl[44] = {
	2,    0, 0, 0,			   /**/
	1,    0, 7, 0, 255, 255, 255, 255, /**/
	2,    0, 4, 0, 232, 3,	 0,   0,   /**/
	4,    0, 5, 0, 255, 255, 255, 255, /**/
	0x10, 0, 5, 0, 255, 255, 255, 255, /**/
	0x20, 0, 4, 0, 255, 255, 255, 255,
};

/* A bit of everything. */
static const struct item mixed[] = {
	{'f', 0644, "f1", "one\n"},
	{'f', 0600, "f2", "the second file, which is a little longer"},
	{'f', 0644, "empty", ""},
	{'S', 0644, "sparse", ""},
	{'d', 0755, "d1", NULL},
	{'f', 0644, "d1/f1", "one\n"},
	{'f', 04755, "d1/f2", "set-uid"},
	{'d', 0711, "d1/d2", NULL},
	{'f', 0444, "d1/d2/f3", "three"},
	{'d', 0755, "d1/d2/e2", NULL},
	{'d', 02775, "d3", NULL},
	{'f', 0664, "d3/f", "of a group"},
	{'d', 0700, "e1", NULL},
	{'l', 0, "l1", "f1"},
	{'l', 0, "l2", "d1"},
	{'l', 0, "d1/l3", "missing"},
	{'p', 0640, "p1", NULL},
	{'s', 0755, "d3/s1", NULL},
	{'f', 0644, "a\nb", "odd"},
	{'d', 0755, "\377 -", NULL},
	{'f', 0644, "\377 -/\001", "odder"},
	{'h', 0, "d1/g1", "f2", G},
	{'h', 0, "d3/g2", "f2", G},
	{'h', 0, "d1/d2/h1", "d1/f1", G},
	{'c', 0666, "c1", "1:3", R},
	{'o', 02775, "d3", "0:1000", R},
	{'o', 0664, "d3/f", "1000:1000", R},
	{'x', 0, "f1", "user.a=1"},
	{'x', 0, "d1", "user.b="},
	{'x', 0, "f2", "trusted.t=22", R},
	{'x', 0, "l1", "trusted.link=3", R},
	{'a', 0, "d1/d2/f3", NULL, R},
	{'A', 0, "d3", NULL, R},
	{0},
};

/* Links: many names, deep ones, of things that are no files; directories without anything else. */
static const struct item linked[] = {
	{'d', 0755, "d1", NULL},
	{'d', 0755, "d1/d2", NULL},
	{'d', 0755, "d1/d2/d4", NULL},
	{'d', 0755, "d3", NULL},
	{'d', 0755, "d3/d4", NULL},
	{'f', 0644, "d1/m1", "five names"},
	{'h', 0, "d1/d2/m2", "d1/m1", G},
	{'h', 0, "d1/d2/d4/m3", "d1/m1", G},
	{'h', 0, "d3/m4", "d1/m1", G},
	{'h', 0, "m5", "d1/m1", G},
	{'f', 0600, "d1/d2/d4/k1", "two in one directory"},
	{'h', 0, "d1/d2/d4/k2", "d1/d2/d4/k1", G},
	{'f', 0644, "d3/q1", "near"},
	{'h', 0, "d3/d4/q2", "d3/q1", G},
	{'f', 0644, "d3/d4/empty1", ""},
	{'h', 0, "d3/empty2", "d3/d4/empty1", G},
	{'l', 0, "d1/l1", "m1"},
	{'h', 0, "d3/l2", "d1/l1", G},
	{'p', 0600, "d1/p1", NULL},
	{'h', 0, "d1/d2/p2", "d1/p1", G},
	{'c', 0600, "c1", "1:5", R},
	{'h', 0, "d3/c2", "c1", RG},
	{'x', 0, "d1/m1", "user.many=12345678901234567890"},
	{'o', 0644, "d3/q1", "1000:65534", R},
	{0},
};

/* Directories in directories, with names that are alike. */
static const struct item nested[] = {
	{'d', 0755, "a", NULL},
	{'d', 0755, "a/a", NULL},
	{'d', 0755, "a/a/a", NULL},
	{'d', 0755, "a/a/a/a", NULL},
	{'f', 0644, "a/a/a/a/f", "at the end"},
	{'f', 0644, "a/a/a/f", "f"},
	{'f', 0644, "a/a/f", "f"},
	{'f', 0644, "a/f", "f"},
	{'f', 0644, "f", "f"},
	{'d', 0755, "a-", NULL},
	{'f', 0644, "a-/f", "sorted in between"},
	{'d', 0755, "a0", NULL},
	{'d', 01777, "a0/t", NULL},
	{'f', 0644, "a0/t/f", "sticky"},
	{'d', 0755, "b", NULL},
	{'d', 0755, "b/e", NULL},
	{'d', 0755, "b/e/e", NULL},
	{'l', 0, "b/l", "e"},
	{'h', 0, "b/e/e/f", "a/a/a/a/f", G},
	{'h', 0, "a0/t/g", "a/f", G},
	{'x', 0, "a/a", "user.on.a=directory"},
	{'x', 0, "a/a/a", "trusted.d=", R},
	{'A', 0, "a/a/a", NULL, R},
	{'o', 0755, "b", "65534:1000", R},
	{0},
};

/* What has a meaning to overlays; of those it is `mixed` with less. */
static const struct item strange[] = {
	{'d', 0755, "d1", NULL},
	{'f', 0644, "d1/f1", "one"},
	{'d', 0755, "d1/d2", NULL},
	{'f', 0644, "d1/d2/f2", "two"},
	{'f', 0644, "f3", "three"},
	{'d', 0755, "d3", NULL},
	{'f', 0644, "d3/.wh.f1", "a whiteout to others"},
	{'f', 0644, "d3/.wh..wh..opq", ""},
	{'l', 0, "l1", "d1/d2"},
	{'h', 0, "d3/g1", "f3", G},
	{'c', 0600, "w1", "0:0", RO},
	{'c', 0600, "d1/w2", "0:0", RO},
	{'h', 0, "d3/w3", "d1/w2", RO | G},
	{'x', 0, "d1", "trusted.overlay.opaque=y", RO},
	{'x', 0, "d3", "trusted.overlay.redirect=/d1", RO},
	{'x', 0, "f3", "trusted.overlay.metacopy=", RO},
	{'x', 0, "d1/f1", "user.overlay.origin=", RO},
	{'x', 0, "d1/d2", "user.overlay.opaque=y", RO},
	{0},
};

const struct item *base_items(unsigned shape)
{
	static const struct item *const shapes[N_SHAPES] = {mixed, linked, nested, strange};

	return shapes[shape];
}

static int make_file(int fd, const struct item *i)
{
	int file = openat(fd, i->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600), r = 0;

	if (file < 0)
		return -1;
	if (i->kind == 'S')
		r = ftruncate(file, 1 << 18) < 0 || pwrite(file, "island", 6, 100000) != 6;
	else
		r = write(file, i->arg, strlen(i->arg)) != (ssize_t)strlen(i->arg);
	close(file);
	return r ? -1 : 0;
}

static int make_node(int fd, const struct item *i)
{
	unsigned major = 0, minor = 0;
	mode_t type = i->kind == 'p' ? S_IFIFO : i->kind == 's' ? S_IFSOCK : S_IFCHR;

	if (i->kind == 'c' && sscanf(i->arg, "%u:%u", &major, &minor) != 2)
		return -1;
	return mknodat(fd, i->path, type | 0600, makedev(major, minor));
}

/* The working directory is the tree's. */
static int set_xattr(const struct item *i)
{
	char name[64];
	size_t length;

	if (i->kind != 'x')
		return lsetxattr(i->path,
				 i->kind == 'a' ? "system.posix_acl_access"
						: "system.posix_acl_default",
				 base_acl, sizeof(base_acl), 0);
	length = strcspn(i->arg, "=");
	(void)snprintf(name, sizeof(name), "%.*s", (int)length, i->arg);
	return lsetxattr(i->path, name, i->arg + length + 1, strlen(i->arg + length + 1), 0);
}

static int set_owner(int fd, const struct item *i)
{
	unsigned uid, gid;

	if (sscanf(i->arg, "%u:%u", &uid, &gid) != 2)
		return -1;
	return fchownat(fd, i->path, uid, gid, AT_SYMLINK_NOFOLLOW);
}

static int make_item(int fd, const struct item *i)
{
	int r;

	switch (i->kind) {
	case 'd':
		r = mkdirat(fd, i->path, 0700);
		break;
	case 'f':
	case 'S':
		r = make_file(fd, i);
		break;
	case 'h':
		return linkat(fd, i->arg, fd, i->path, 0);
	case 'l':
		return symlinkat(i->arg, fd, i->path);
	case 'o':
		r = set_owner(fd, i);
		break;
	case 'x':
	case 'a':
	case 'A':
		return set_xattr(i);
	default:
		r = make_node(fd, i);
	}
	return r < 0 ? r : fchmodat(fd, i->path, i->mode, 0);
}

/* Times of long ago, each another one. */
static int set_times(const struct item *items, unsigned with)
{
	size_t n = 0;

	while (items[n].kind)
		n++;
	for (size_t i = n; i > 0; i--) {
		struct timespec times[2] = {{.tv_sec = 1200000000 + (time_t)i * 1000,
					     .tv_nsec = (long)(i * 37000001 % 1000000000)}};

		times[1] = times[0];
		if ((items[i - 1].needs & with) == items[i - 1].needs &&
		    utimensat(AT_FDCWD, items[i - 1].path, times, AT_SYMLINK_NOFOLLOW) < 0)
			return -1;
	}
	return utimensat(AT_FDCWD, ".", (struct timespec[2]){{1100000000, 5}, {1100000000, 5}}, 0);
}

int base_build(const char *dir, unsigned shape, unsigned with)
{
	const struct item *items = base_items(shape), *i = items;
	int here = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC), r = 0;

	if (here < 0 || mkdir(dir, 0755) < 0 || chmod(dir, 0755) < 0 || chdir(dir) < 0) {
		(void)fprintf(stderr, "# cannot make %s: %s\n", dir, strerror(errno));
		return -1;
	}
	for (; i->kind && r >= 0; i++)
		if ((i->needs & with) == i->needs)
			r = make_item(AT_FDCWD, i);
	if (r < 0)
		(void)fprintf(stderr, "# cannot make '%s' of the base: %s\n", i[-1].path,
			      strerror(errno));
	else if ((r = set_times(items, with)) < 0)
		(void)fprintf(stderr, "# cannot set the times of the base: %s\n", strerror(errno));
	if (fchdir(here) < 0)
		abort();
	close(here);
	return r;
}
