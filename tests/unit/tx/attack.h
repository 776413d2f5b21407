/*
 * Every system call that changes a file or a directory, through every way to name one, against the
 * directory that it is pointed at. It runs as a program of its own in a workspace, and knows nothing of
 * pleach. Each call meets a file that nothing has touched before.
 */
#ifndef PL_TEST_ATTACK_H
#define PL_TEST_ATTACK_H

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

/* Whole blocks of any file system here, so that ranges can be cut out. */
#define ATTACK_SIZE 24576
#define ATTACK_UNIT 8192

enum attack_way { BY_PATH, BY_DIRFD, BY_PROC, BY_LINK, BY_SYMLINK, WAYS };
struct attack_target {
	int dirfd;	   /* for calls that take one: of the directory, or AT_FDCWD */
	const char *name;  /* in it */
	const char *path;  /* for calls that take none */
	const char *other; /* a second file that nothing has touched, by path */
	const char *fresh; /* a name that is not there, by path */
};

static inline int attack_open(const struct attack_target *t, int flags)
{
	return openat(t->dirfd, t->name, flags | O_CLOEXEC);
}

/* Calls made on a descriptor: opens with `flags`, gives what `call` gives. */
#define WITH_FD(name, flags, call)                        \
	static int name(const struct attack_target *t)    \
	{                                                 \
		int fd = attack_open(t, flags), r, saved; \
		if (fd < 0)                               \
			return -1;                        \
		r = (int)(call);                          \
		saved = errno;                            \
		close(fd);                                \
		errno = saved;                            \
		return r;                                 \
	}

static const struct iovec attack_iov[2] = {{(void *)"wri", 3}, {(void *)"tev", 3}};

WITH_FD(a_write, O_WRONLY, write(fd, "written", 7))
WITH_FD(a_pwrite, O_RDWR, pwrite(fd, "pwritten", 8, 100))
WITH_FD(a_writev, O_WRONLY, writev(fd, attack_iov, 2))
WITH_FD(a_pwritev2, O_WRONLY, pwritev2(fd, attack_iov, 2, 5, RWF_SYNC))
WITH_FD(a_append_v2, O_WRONLY, pwritev2(fd, attack_iov, 2, 0, RWF_APPEND))
WITH_FD(a_append, O_WRONLY | O_APPEND, write(fd, "appended", 8))
WITH_FD(a_open_truncating, O_WRONLY | O_TRUNC, 0)
WITH_FD(a_open_truncating_read_only, O_RDONLY | O_TRUNC, 0)
WITH_FD(a_ftruncate_short, O_WRONLY, ftruncate(fd, 10))
WITH_FD(a_ftruncate_long, O_WRONLY, ftruncate(fd, ATTACK_SIZE + 5000))
WITH_FD(a_fallocate, O_RDWR, fallocate(fd, 0, 0, ATTACK_SIZE + 4096))
WITH_FD(a_fallocate_keep, O_RDWR, fallocate(fd, FALLOC_FL_KEEP_SIZE, ATTACK_SIZE, 4096))
WITH_FD(a_punch, O_RDWR,
	fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, ATTACK_UNIT, ATTACK_UNIT))
WITH_FD(a_zero, O_RDWR, fallocate(fd, FALLOC_FL_ZERO_RANGE, 100, 5000))
WITH_FD(a_zero_keep, O_RDWR, fallocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 100, 5000))
WITH_FD(a_collapse, O_RDWR, fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, ATTACK_UNIT))
WITH_FD(a_insert, O_RDWR, fallocate(fd, FALLOC_FL_INSERT_RANGE, ATTACK_UNIT, ATTACK_UNIT))
WITH_FD(a_unshare, O_RDWR, fallocate(fd, FALLOC_FL_UNSHARE_RANGE, 0, ATTACK_SIZE))
WITH_FD(a_fchmod, O_RDONLY, fchmod(fd, 0604))
WITH_FD(a_fchown, O_RDONLY, fchown(fd, getuid(), getgid()))
WITH_FD(a_fchown_other, O_RDONLY, fchown(fd, 4321, 4322))
WITH_FD(a_futimens, O_RDONLY,
	futimens(fd, (const struct timespec[2]){{.tv_sec = 5}, {.tv_sec = 6, .tv_nsec = 7}}))
WITH_FD(a_fsetxattr, O_RDONLY, fsetxattr(fd, "user.attack", "x", 1, 0))
WITH_FD(a_fremovexattr, O_RDONLY, fremovexattr(fd, "user.base"))

static inline int attack_map(int fd, bool sync)
{
	char *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (map == MAP_FAILED)
		return -1;
	memcpy(map, "mapped", 6);
	if (sync && msync(map, 4096, MS_SYNC) < 0)
		return -1;
	return munmap(map, 4096);
}
WITH_FD(a_mmap, O_RDWR, attack_map(fd, false))
WITH_FD(a_msync, O_RDWR, attack_map(fd, true))

static inline int attack_from(int fd, const char *other, const char *how)
{
	int from = open(other, O_RDWR | O_CLOEXEC), r = -1, saved, ends[2];
	struct file_clone_range range = {.src_fd = from, .src_length = ATTACK_UNIT};
	off_t offset = 0;
	union {
		struct file_dedupe_range range;
		char room[sizeof(struct file_dedupe_range) + sizeof(struct file_dedupe_range_info)];
	} same = {.range = {.src_length = ATTACK_UNIT, .dest_count = 1}};

	if (from < 0)
		return -1;
	if (strcmp(how, "copy_file_range") == 0)
		r = (int)copy_file_range(from, NULL, fd, NULL, 5000, 0);
	else if (strcmp(how, "sendfile") == 0)
		r = (int)sendfile(fd, from, &offset, 5000);
	else if (strcmp(how, "clone") == 0)
		r = ioctl(fd, FICLONE, from);
	else if (strcmp(how, "clone_range") == 0)
		r = ioctl(fd, FICLONERANGE, &range);
	else if (strcmp(how, "dedupe") == 0) {
		same.range.info[0].dest_fd = fd;
		r = ioctl(from, FIDEDUPERANGE, &same);
		if (r == 0 && same.range.info[0].status < 0) {
			errno = -same.range.info[0].status;
			r = -1;
		}
	} else if (pipe(ends) == 0) {
		r = write(ends[1], "spliced", 7) == 7
			    ? (int)splice(ends[0], NULL, fd, &offset, 7, 0)
			    : -1;
		close(ends[0]);
		close(ends[1]);
	}
	saved = errno;
	close(from);
	errno = saved;
	return r;
}
WITH_FD(a_copy_file_range, O_WRONLY, attack_from(fd, t->other, "copy_file_range"))
WITH_FD(a_sendfile, O_WRONLY, attack_from(fd, t->other, "sendfile"))
WITH_FD(a_splice, O_WRONLY, attack_from(fd, t->other, "splice"))
WITH_FD(a_clone, O_WRONLY, attack_from(fd, t->other, "clone"))
WITH_FD(a_clone_range, O_WRONLY, attack_from(fd, t->other, "clone_range"))
WITH_FD(a_dedupe, O_RDWR, attack_from(fd, t->other, "dedupe"))

static inline int attack_flags(int fd, int more)
{
	int flags = 0;

	if (ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0)
		return -1;
	flags |= more;
	return ioctl(fd, FS_IOC_SETFLAGS, &flags);
}
static inline int attack_xflags(int fd)
{
	struct fsxattr x;

	if (ioctl(fd, FS_IOC_FSGETXATTR, &x) < 0)
		return -1;
	x.fsx_xflags |= FS_XFLAG_NODUMP;
	return ioctl(fd, FS_IOC_FSSETXATTR, &x);
}
WITH_FD(a_flag_nodump, O_RDONLY, attack_flags(fd, FS_NODUMP_FL))
WITH_FD(a_flag_append, O_RDONLY, attack_flags(fd, FS_APPEND_FL))
WITH_FD(a_flag_immutable, O_RDONLY, attack_flags(fd, FS_IMMUTABLE_FL))
WITH_FD(a_xflags, O_RDONLY, attack_xflags(fd))

static int a_truncate(const struct attack_target *t)
{
	return truncate(t->path, 33);
}
static int a_chmod(const struct attack_target *t)
{
	return fchmodat(t->dirfd, t->name, 04711, 0);
}
static int a_chown(const struct attack_target *t)
{
	return fchownat(t->dirfd, t->name, 4321, 4322, 0);
}
static int a_utimensat(const struct attack_target *t)
{
	return utimensat(t->dirfd, t->name,
			 (const struct timespec[2]){{.tv_sec = 1}, {.tv_sec = 2}}, 0);
}
static int a_utimensat_now(const struct attack_target *t)
{
	return utimensat(t->dirfd, t->name, NULL, 0);
}
static int a_setxattr(const struct attack_target *t)
{
	return setxattr(t->path, "user.base", "other", 5, 0);
}
static int a_removexattr(const struct attack_target *t)
{
	return removexattr(t->path, "user.base");
}
static int a_setxattr_trusted(const struct attack_target *t)
{
	return setxattr(t->path, "trusted.attack", "x", 1, 0);
}
static int a_setxattr_acl(const struct attack_target *t)
{
	/* user::rw- user:<own>:r-- group::r-- mask::r-- other::r-- */
	unsigned char acl[] = {2, 0, 0,	  0,   1,   0,	 6,  0, 255, 255, 255, 255, 2,	 0,  4,
			       0, 0, 0,	  0,   0,   4,	 0,  4, 0,   255, 255, 255, 255, 16, 0,
			       4, 0, 255, 255, 255, 255, 32, 0, 4,   0,	  255, 255, 255, 255};
	unsigned id = getuid();

	for (int i = 0; i < 4; i++)
		acl[16 + i] = (unsigned char)(id >> (8 * i));
	return setxattr(t->path, "system.posix_acl_access", acl, sizeof(acl), 0);
}
static int a_setxattr_capability(const struct attack_target *t)
{
	static const unsigned char cap[20] = {1, 0, 0, 2, 0, 4};

	return setxattr(t->path, "security.capability", cap, sizeof(cap), 0);
}
static int a_link(const struct attack_target *t)
{
	if (linkat(t->dirfd, t->name, AT_FDCWD, t->fresh, AT_SYMLINK_FOLLOW) < 0)
		return -1;
	return truncate(t->fresh, 3); /* by its new name */
}
static int a_unlink(const struct attack_target *t)
{
	return unlinkat(t->dirfd, t->name, 0);
}
static int a_rename(const struct attack_target *t)
{
	if (renameat(t->dirfd, t->name, AT_FDCWD, t->fresh) < 0)
		return -1;
	return truncate(t->fresh, 4);
}
static int a_rename_over(const struct attack_target *t)
{
	if (renameat(AT_FDCWD, t->other, t->dirfd, t->name) < 0)
		return -1;
	return truncate(t->path, 6);
}
static int a_rename_noreplace(const struct attack_target *t)
{
	return renameat2(t->dirfd, t->name, AT_FDCWD, t->fresh, RENAME_NOREPLACE);
}
static int a_rename_exchange(const struct attack_target *t)
{
	return renameat2(t->dirfd, t->name, AT_FDCWD, t->other, RENAME_EXCHANGE);
}
static int a_rename_whiteout(const struct attack_target *t)
{
	if (renameat2(t->dirfd, t->name, AT_FDCWD, t->fresh, RENAME_WHITEOUT) < 0)
		return -1;
	/* Any user may make such a device in this way, but only root may have one in a store. */
	return getuid() == 0 ? 0 : unlinkat(t->dirfd, t->name, 0);
}
static int a_make_again(const struct attack_target *t)
{
	int fd;

	if (unlinkat(t->dirfd, t->name, 0) < 0)
		return -1;
	fd = openat(t->dirfd, t->name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
	if (fd < 0)
		return -1;
	close(fd);
	return 0;
}
static int a_tmpfile(const struct attack_target *t)
{
	char proc[40];
	int r, fd = open(".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd < 0)
		return -1;
	(void)snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	r = linkat(AT_FDCWD, proc, AT_FDCWD, t->fresh, AT_SYMLINK_FOLLOW);
	close(fd);
	return r;
}
static int a_symlink(const struct attack_target *t)
{
	return symlinkat(t->name, AT_FDCWD, t->fresh);
}
static int a_fifo(const struct attack_target *t)
{
	return mknodat(AT_FDCWD, t->fresh, S_IFIFO | 0600, 0);
}
static int a_device(const struct attack_target *t)
{
	return mknodat(AT_FDCWD, t->fresh, S_IFCHR | 0600, 0x103); /* null */
}
static int a_socket(const struct attack_target *t)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int r, fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%.90s", t->fresh);
	r = bind(fd, (const struct sockaddr *)&address, sizeof(address));
	close(fd);
	return r;
}
static int a_file_to_directory(const struct attack_target *t)
{
	return unlinkat(t->dirfd, t->name, 0) < 0 ? -1 : mkdirat(t->dirfd, t->name, 0750);
}

#define ANY_WAY ((1u << WAYS) - 1)
#define BY_NAME (1u << BY_PATH | 1u << BY_DIRFD | 1u << BY_LINK)
#define BY_ONE	(1u << BY_PATH)
static const struct attack {
	const char *name;
	int (*run)(const struct attack_target *t);
	unsigned ways;
} attacks[] = {
#define A(name, ways)             \
	{                         \
#name, name, ways \
	}
	A(a_write, ANY_WAY),
	A(a_pwrite, ANY_WAY),
	A(a_writev, ANY_WAY),
	A(a_pwritev2, ANY_WAY),
	A(a_append_v2, ANY_WAY),
	A(a_append, ANY_WAY),
	A(a_open_truncating, ANY_WAY),
	A(a_open_truncating_read_only, ANY_WAY),
	A(a_ftruncate_short, ANY_WAY),
	A(a_ftruncate_long, ANY_WAY),
	A(a_truncate, ANY_WAY),
	A(a_mmap, ANY_WAY),
	A(a_msync, ANY_WAY),
	A(a_fallocate, ANY_WAY),
	A(a_fallocate_keep, ANY_WAY),
	A(a_punch, ANY_WAY),
	A(a_zero, ANY_WAY),
	A(a_zero_keep, ANY_WAY),
	A(a_collapse, ANY_WAY),
	A(a_insert, ANY_WAY),
	A(a_unshare, ANY_WAY),
	A(a_copy_file_range, ANY_WAY),
	A(a_sendfile, ANY_WAY),
	A(a_splice, ANY_WAY),
	A(a_clone, ANY_WAY),
	A(a_clone_range, ANY_WAY),
	A(a_dedupe, ANY_WAY),
	A(a_flag_nodump, ANY_WAY),
	A(a_flag_append, ANY_WAY),
	A(a_flag_immutable, ANY_WAY),
	A(a_xflags, ANY_WAY),
	A(a_chmod, ANY_WAY),
	A(a_fchmod, ANY_WAY),
	A(a_chown, ANY_WAY),
	A(a_fchown, ANY_WAY),
	A(a_fchown_other, ANY_WAY),
	A(a_utimensat, ANY_WAY),
	A(a_utimensat_now, ANY_WAY),
	A(a_futimens, ANY_WAY),
	A(a_setxattr, ANY_WAY),
	A(a_fsetxattr, ANY_WAY),
	A(a_removexattr, ANY_WAY),
	A(a_fremovexattr, ANY_WAY),
	A(a_setxattr_trusted, ANY_WAY),
	A(a_setxattr_acl, ANY_WAY),
	A(a_setxattr_capability, ANY_WAY),
	A(a_link, ANY_WAY),
	A(a_unlink, BY_NAME),
	A(a_rename, BY_NAME),
	A(a_rename_over, BY_NAME),
	A(a_rename_noreplace, BY_NAME),
	A(a_rename_exchange, BY_NAME),
	A(a_rename_whiteout, BY_NAME),
	A(a_make_again, BY_NAME),
	A(a_file_to_directory, BY_NAME),
	A(a_tmpfile, BY_ONE),
	A(a_symlink, BY_ONE),
	A(a_fifo, BY_ONE),
	A(a_device, BY_ONE),
	A(a_socket, BY_ONE),
#undef A
};
#define N_ATTACKS (sizeof(attacks) / sizeof(attacks[0]))

/* Files of the tree: one for each call and way, and a second beside it. */
static inline void attack_name(size_t attack, unsigned way, bool second, char ret_name[32])
{
	(void)snprintf(ret_name, 32, "d%u/%zu-%u%s", way, attack, way, second ? "-other" : "");
}

static inline bool attack_is_refusal(int e)
{
	return e == EOPNOTSUPP || e == EINVAL || e == EPERM || e == ENOTTY || e == EXDEV ||
	       e == ENOSYS || e == EOVERFLOW || e == EACCES || e == EBUSY || e == ENODATA;
}

static inline int attack_one(size_t i, unsigned way)
{
	char path[32], other[32], link_name[40], proc[64], fresh[40];
	struct attack_target t = {.dirfd = AT_FDCWD, .other = other, .fresh = fresh};
	int fd = -1, r, saved;

	attack_name(i, way, false, path);
	attack_name(i, way, true, other);
	(void)snprintf(fresh, sizeof(fresh), "d%u/new-%zu", way, i);
	(void)snprintf(link_name, sizeof(link_name), "%s-link", path);
	t.name = t.path = path;
	if (way == BY_DIRFD) {
		fd = open("d1", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		(void)snprintf(proc, sizeof(proc), "/proc/self/fd/%d/%s", fd, path + 3);
		t.dirfd = fd;
		t.name = path + 3;
		t.path = proc;
	} else if (way == BY_PROC) {
		fd = open(path, O_RDONLY | O_CLOEXEC);
		(void)snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
		t.name = t.path = proc;
	} else if (way == BY_LINK) {
		if (link(path, link_name) < 0)
			return -1;
		t.name = t.path = link_name;
	} else if (way == BY_SYMLINK) {
		if (symlink(path + 3, link_name) < 0)
			return -1;
		t.name = t.path = link_name;
	}
	r = attacks[i].run(&t);
	saved = errno;
	if (fd >= 0)
		close(fd);
	errno = saved;
	return r;
}

/* Directories of the base, and the root of the tree. What may be refused may be refused. */
static inline int attack_directories(void)
{
	int done = 0, fd;

	done += mkdir("made", 0700) == 0 && mkdir("made/below", 0755) == 0;
	done += rename("to-move", "moved") == 0;
	done += chmod("to-chmod", 0711) == 0;
	done += utimensat(AT_FDCWD, "to-chmod", (const struct timespec[2]){{3, 4}, {5, 6}}, 0) == 0;
	done += setxattr("to-mark", "user.attack", "x", 1, 0) == 0;
	done += unlink("to-empty/x") == 0 && rmdir("to-empty") == 0;
	done += unlink("to-replace/x") == 0 && rmdir("to-replace") == 0 &&
		mkdir("to-replace", 0755) == 0;
	done += renameat2(AT_FDCWD, "to-swap-a", AT_FDCWD, "to-swap-b", RENAME_EXCHANGE) == 0;
	done += chmod(".", 0751) == 0;
	done += setxattr(".", "user.root", "x", 1, 0) == 0;
	fd = open("to-mark", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0) {
		done += attack_flags(fd, FS_NODUMP_FL) == 0;
		close(fd);
	}
	return done;
}

/* Names of a group of the base: one is written, one is removed, and one is added. */
static inline int attack_group(void)
{
	if (access("group-a", F_OK) < 0)
		return 0;
	if (truncate("group-a", 77) < 0 || unlink("d0/group-c") < 0 ||
	    link("group-b", "group-d") < 0)
		return 1;
	return 0;
}

/* In the directory `path`: 0, and how many kinds of call were made with success, or 1. */
static inline int attack_all(const char *path)
{
	unsigned kinds = 0;

	if (chdir(path) < 0)
		return 1;
	for (size_t i = 0; i < N_ATTACKS; i++) {
		unsigned done = 0;

		for (unsigned way = 0; way < WAYS; way++) {
			if (!(attacks[i].ways & 1u << way))
				continue;
			errno = 0;
			if (attack_one(i, way) >= 0) {
				done++;
			} else if (!attack_is_refusal(errno)) {
				(void)fprintf(stderr, "# %s, way %u: %s\n", attacks[i].name, way,
					      strerror(errno));
				return 1;
			}
		}
		kinds += done > 0;
		if (done == 0 && getenv("ATTACK_VERBOSE"))
			(void)fprintf(stderr, "# refused: %s\n", attacks[i].name);
	}
	if (attack_directories() < 8 || attack_group() != 0) {
		(void)fprintf(stderr, "# directories or groups: %s\n", strerror(errno));
		return 1;
	}
	if (kinds < 40) {
		(void)fprintf(stderr, "# only %u kinds of call are possible\n", kinds);
		return 1;
	}
	return 0;
}

#endif
