/*
 * Running a program, and writing down what came of each operation. What is written must be the same wherever
 * it runs: no inode numbers, no counts of links, no times of now, nothing in the order of a directory.
 *
 * P1  No symlink of a program leads upwards (program.c), and none is followed in the last part of a path but
 *     by calls that read or change what it leads to in the tree: so nothing outside of it is reached.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "program.h"

#define RECENT_FROM 1700000000
#define RECENT_TO   4000000000
#define SETTLED	    1650000000

/* ---- how a path is said ---- */

struct place {
	int dirfd; /* AT_FDCWD, or to be closed */
	const char *name;
	char room[4096 + PATH_ROOM]; /* for calls that take a path alone */
	const char *path;
};

/* The directory of a path, and its last part. */
static const char *split(const char *path, char dir[PATH_ROOM])
{
	const char *slash = strrchr(path, '/');

	(void)snprintf(dir, PATH_ROOM, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
	return slash ? slash + 1 : path;
}

/* 0, or what failed on the way. */
static int place_init(struct place *at, enum via via, const char *root, const char *path)
{
	char dir[PATH_ROOM];

	at->dirfd = AT_FDCWD;
	at->name = at->path = path;
	switch (via) {
	case VIA_ROOT:
		break;
	case VIA_CHDIR:
		at->name = at->path = split(path, dir);
		return chdir(dir) < 0 ? errno : 0;
	case VIA_DIRFD:
		at->name = split(path, dir);
		at->dirfd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (at->dirfd < 0)
			return errno;
		(void)snprintf(at->room, sizeof(at->room), "/proc/self/fd/%d/%s", at->dirfd,
			       at->name);
		at->path = at->room;
		break;
	case VIA_ABSOLUTE:
		(void)snprintf(at->room, sizeof(at->room), "%s/%s", root, path);
		at->name = at->path = at->room;
		break;
	}
	return 0;
}

static void place_done(struct place *at)
{
	if (at->dirfd >= 0)
		close(at->dirfd);
}

/* ---- content ---- */

static unsigned char content[262144 + 65536]; /* of what is written, or was read */

static void fill_content(uint64_t seed, size_t length)
{
	for (size_t i = 0; i < length; i++)
		content[i] = (unsigned char)('a' + (seed + i * 7 + i / 251) % 26);
}

/* Opens a file, and nothing that is no file, not even for a moment: a device is one of the machine's. */
static int open_mode(const struct place *at, int flags, mode_t mode)
{
	struct stat st;

	if (fstatat(at->dirfd, at->name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		if (errno != ENOENT || !(flags & O_CREAT))
			return -1;
	} else if (!S_ISREG(st.st_mode)) {
		errno = ENOTSUP;
		return -1;
	}
	return openat(at->dirfd, at->name, flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY,
		      mode);
}

static int open_file(const struct place *at, int flags)
{
	return open_mode(at, flags, 0);
}

static int write_at(int fd, const struct op *op, uint64_t offset)
{
	fill_content(op->z, op->y);
	return pwrite(fd, content, op->y, (off_t)offset) == (ssize_t)op->y ? 0 : -1;
}

static int write_end(int fd, const struct op *op)
{
	fill_content(op->z, op->y);
	return write(fd, content, op->y) == (ssize_t)op->y ? 0 : -1;
}

static void log_content(int fd, FILE *log)
{
	uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a */
	ssize_t n = pread(fd, content, sizeof(content), 0);

	for (ssize_t i = 0; i < n; i++)
		hash = (hash ^ content[i]) * UINT64_C(1099511628211);
	(void)fprintf(log, " %zd bytes %016llx", n, (unsigned long long)hash);
}

static int write_mapped(int fd, const struct op *op)
{
	uint64_t end = op->x + op->y;
	struct stat st;
	unsigned char *map;

	if (fstat(fd, &st) < 0 || ((uint64_t)st.st_size < end && ftruncate(fd, (off_t)end) < 0))
		return -1;
	map = mmap(NULL, end, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return -1;
	fill_content(op->z, op->y);
	memcpy(map + op->x, content, op->y);
	if (op->z & 1)
		(void)msync(map, end, MS_SYNC);
	return munmap(map, end);
}

/* A file that was open before it is written to by another descriptor shows what is written. */
static int hold(const struct place *at, int fd, const struct op *op, FILE *log)
{
	int other = open_file(at, O_WRONLY), r;

	if (other < 0)
		return -1;
	r = write_at(other, op, op->x);
	close(other);
	log_content(fd, log);
	return r;
}

static int unlink_and_write(const struct place *at, int fd, const struct op *op, FILE *log)
{
	int r = unlinkat(at->dirfd, at->name, 0);

	if (r == 0)
		r = write_at(fd, op, op->x);
	log_content(fd, log);
	return r;
}

static int copy_from(int from, const struct op *op)
{
	const struct place at = {.dirfd = AT_FDCWD, .name = op->b};
	off_t in = (off_t)(op->z % 3), out = (off_t)op->x;
	int fd = open_file(&at, O_WRONLY), r, err;
	struct stat st;

	if (fd < 0)
		return -1;
	r = op->kind == OP_CLONE ? ioctl(fd, FICLONE, from)
				 : (int)copy_file_range(from, &in, fd, &out, op->y, 0);
	err = errno;
	/* In an overlay a file is no set-user-id one any more also if nothing was copied: so it is in both. */
	if (r < 0 && fstat(fd, &st) == 0)
		(void)fchmod(fd, st.st_mode & 01777);
	close(fd);
	errno = err;
	return r;
}

static int flags_of(const struct op *op)
{
	switch (op->kind) {
	case OP_CREATE:
		return O_WRONLY | O_CREAT | (op->z ? O_EXCL : 0);
	case OP_APPEND:
		return O_WRONLY | O_APPEND;
	case OP_OTRUNC:
		return O_WRONLY | O_TRUNC;
	case OP_MMAP:
	case OP_UNLINK_WRITE:
		return O_RDWR;
	case OP_READ:
	case OP_HELD:
	case OP_COPY_RANGE:
	case OP_CLONE:
	case OP_FSYNC:
		return O_RDONLY;
	default:
		return O_WRONLY;
	}
}

/* Everything that works on an open file. */
static int do_file(const struct place *at, const struct op *op, FILE *log)
{
	int fd = open_mode(at, flags_of(op), (mode_t)op->x), r = 0, err;

	if (fd < 0)
		return -1;
	switch (op->kind) {
	case OP_CREATE:
	case OP_OTRUNC:
	case OP_APPEND:
		r = write_end(fd, op);
		break;
	case OP_WRITE:
		r = write_at(fd, op, op->x);
		break;
	case OP_MMAP:
		r = write_mapped(fd, op);
		break;
	case OP_FALLOCATE:
		r = fallocate(fd, (int)op->z, (off_t)(op->x & ~UINT64_C(4095)),
			      (off_t)(op->y > 4096 ? op->y & ~UINT64_C(4095) : op->y));
		break;
	case OP_FSYNC:
		r = fsync(fd);
		break;
	case OP_HELD:
		r = hold(at, fd, op, log);
		break;
	case OP_UNLINK_WRITE:
		r = unlink_and_write(at, fd, op, log);
		break;
	case OP_READ:
		log_content(fd, log);
		break;
	default:
		r = copy_from(fd, op);
	}
	err = errno;
	close(fd);
	errno = err;
	return r;
}

/* ---- names ---- */

static int make_tmpfile(const struct op *op)
{
	char dir[PATH_ROOM], self[64];
	int fd, r, err;

	(void)split(op->a, dir);
	fd = open(dir, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0640);
	if (fd < 0)
		return -1;
	(void)snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	r = write_end(fd, op);
	if (r == 0)
		r = linkat(AT_FDCWD, self, AT_FDCWD, op->a, AT_SYMLINK_FOLLOW);
	err = errno;
	close(fd);
	errno = err;
	return r;
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
	return strcmp((*a)->fts_name, (*b)->fts_name);
}

/* What cannot be removed is left, and the first of it counts, as rm -rf does it. */
static int remove_tree(const char *path, bool by_force)
{
	char *const roots[] = {(char *)path, NULL};
	FTS *fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, by_name);
	int first = 0;
	FTSENT *e;

	if (!fts)
		return -1;
	while ((e = fts_read(fts))) {
		bool is_dir = e->fts_info == FTS_DP || e->fts_info == FTS_DNR;

		if (e->fts_info == FTS_D) {
			if (by_force)
				(void)chmod(e->fts_accpath, 0700);
			continue;
		}
		if (unlinkat(AT_FDCWD, e->fts_accpath, is_dir ? AT_REMOVEDIR : 0) < 0 && !first)
			first = errno;
	}
	(void)fts_close(fts);
	errno = first;
	return first ? -1 : 0;
}

int remove_all(const char *path)
{
	return remove_tree(path, true);
}

/* Of a directory that is not empty POSIX allows two answers; xfs gives the one, overlays on it the other. */
static int do_rename(const struct place *at, const struct op *op)
{
	int r = renameat2(at->dirfd, at->name, AT_FDCWD, op->b, (unsigned)op->x);

	if (r < 0 && errno == EEXIST && op->x == 0)
		errno = ENOTEMPTY;
	return r;
}

static int do_name(const struct place *at, const struct op *op)
{
	mode_t mode = (mode_t)op->x;

	switch (op->kind) {
	case OP_UNLINK:
		return unlinkat(at->dirfd, at->name, 0);
	case OP_RMDIR:
		return unlinkat(at->dirfd, at->name, AT_REMOVEDIR);
	case OP_MKDIR:
		return mkdirat(at->dirfd, at->name, mode);
	case OP_SYMLINK:
		return symlinkat(op->text, at->dirfd, at->name);
	case OP_MKNOD:
		return mknodat(at->dirfd, at->name, mode,
			       op->y ? makedev(1, (unsigned)op->y) : makedev(0, 0));
	case OP_LINK:
		return linkat(at->dirfd, at->name, AT_FDCWD, op->b, 0);
	case OP_RENAME:
		return do_rename(at, op);
	case OP_RMTREE:
		return remove_tree(at->path, false);
	default:
		return make_tmpfile(op);
	}
}

/* ---- metadata ---- */

static int set_acl(const struct place *at, const struct op *op)
{
	const char *name = op->x & 1 ? "system.posix_acl_default" : "system.posix_acl_access";

	int r;

	if (!(op->x & 2))
		return lsetxattr(at->path, name, base_acl, sizeof(base_acl), 0);
	r = lremovexattr(at->path, name);
	return r < 0 && errno == ENODATA ? 0 : r; /* as overlays say it where there is none */
}

static int do_metadata(const struct place *at, const struct op *op)
{
	struct timespec times[2] = {{.tv_sec = (time_t)(int64_t)op->x, .tv_nsec = (long)op->y}};
	bool is_root = strcmp(op->a, ".") == 0;

	times[1] = times[0];
	if (op->z)
		times[1].tv_nsec = UTIME_NOW;
	switch (op->kind) {
	case OP_CHMOD:
		return fchmodat(at->dirfd, at->name, (mode_t)(is_root ? op->x | 0755 : op->x), 0);
	case OP_CHOWN:
		return fchownat(at->dirfd, at->name, (uid_t)op->x, (gid_t)op->y,
				AT_SYMLINK_NOFOLLOW);
	case OP_UTIMES:
		return utimensat(at->dirfd, at->name, times, AT_SYMLINK_NOFOLLOW);
	case OP_SETXATTR:
		fill_content(op->x + 3, op->y);
		return lsetxattr(at->path, op->text, content, op->y, (int)op->x);
	case OP_REMOVEXATTR:
		return lremovexattr(at->path, op->text);
	case OP_TRUNCATE:
		return truncate(at->path, (off_t)op->x);
	default:
		return set_acl(at, op);
	}
}

/* ---- looking ---- */

static int list(const struct place *at, FILE *log)
{
	struct dirent **entries;
	int n = scandirat(at->dirfd, at->name, &entries, NULL, alphasort);

	if (n < 0)
		return -1;
	for (int i = 0; i < n; i++) {
		print_name(log, entries[i]->d_name);
		(void)fprintf(log, "%d ", entries[i]->d_type);
		free(entries[i]);
	}
	free(entries);
	return 0;
}

static bool is_recent(const struct stat *st)
{
	return st->st_mtim.tv_sec > RECENT_FROM && st->st_mtim.tv_sec < RECENT_TO;
}

static int look(const struct place *at, FILE *log)
{
	struct stat st;

	if (fstatat(at->dirfd, at->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -1;
	(void)fprintf(log, " %o %u:%u", st.st_mode, st.st_uid, st.st_gid);
	if (!S_ISDIR(st.st_mode))
		(void)fprintf(log, " %lld bytes", (long long)st.st_size);
	if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode))
		(void)fprintf(log, " %u:%u", major(st.st_rdev), minor(st.st_rdev));
	if (!is_recent(&st))
		(void)fprintf(log, " %lld.%09ld", (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
	return 0;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int list_xattrs(const struct place *at, FILE *log)
{
	char names[4096], *sorted[128];
	ssize_t length = llistxattr(at->path, names, sizeof(names));
	size_t n = 0;

	if (length < 0)
		return -1;
	for (char *name = names; name < names + length && n < 128; name += strlen(name) + 1)
		sorted[n++] = name;
	qsort(sorted, n, sizeof(*sorted), by_text);
	for (size_t i = 0; i < n; i++) {
		ssize_t size = lgetxattr(at->path, sorted[i], content, 65536);

		(void)fprintf(log, " %s=%.*s", sorted[i],
			      strncmp(sorted[i], "system.", 7) == 0 || size < 0 ? 0 : (int)size,
			      (char *)content);
	}
	return 0;
}

/* ---- the whole ---- */

static int do_op(const struct place *at, const struct op *op, FILE *log)
{
	switch (op->kind) {
	case OP_UNLINK:
	case OP_RMDIR:
	case OP_MKDIR:
	case OP_SYMLINK:
	case OP_MKNOD:
	case OP_LINK:
	case OP_RENAME:
	case OP_RMTREE:
	case OP_TMPFILE:
		return do_name(at, op);
	case OP_CHMOD:
	case OP_CHOWN:
	case OP_UTIMES:
	case OP_SETXATTR:
	case OP_REMOVEXATTR:
	case OP_SETACL:
	case OP_TRUNCATE:
		return do_metadata(at, op);
	case OP_LIST:
		return list(at, log);
	case OP_STAT:
		return look(at, log);
	case OP_LISTXATTR:
		return list_xattrs(at, log);
	default:
		return do_file(at, op, log);
	}
}

/* Says what came of one operation, done from the root. */
static void do_and_log(const struct op *op, unsigned number, int root_fd, const char *root,
		       FILE *log)
{
	/* A second path, and those of some, are always said from the root. */
	bool is_plain = op->kind == OP_LINK || op->kind == OP_RENAME || op->kind == OP_TMPFILE ||
			op->kind == OP_COPY_RANGE || op->kind == OP_CLONE;
	enum via via = is_plain && op->via == VIA_CHDIR ? VIA_DIRFD : op->via;
	struct place at;
	int r;

	(void)fprintf(log, "%2u ", number);
	op_print(log, op);
	(void)fprintf(log, ":");
	r = place_init(&at, via, root, op->a);
	if (r) {
		(void)fprintf(log, " no way: %d\n", r);
	} else {
		errno = 0;
		r = do_op(&at, op, log);
		(void)fprintf(log, " = %s%d\n", r < 0 ? "error " : "", r < 0 ? errno : r);
		place_done(&at);
	}
	if (fchdir(root_fd) < 0)
		abort();
}

/* Of one name, met for the last time. */
static int settle_time(const FTSENT *e, bool all_directories, FILE *log)
{
	const struct timespec times[2] = {{.tv_sec = SETTLED}, {.tv_sec = SETTLED}};
	bool is_dir = e->fts_info == FTS_DP || e->fts_info == FTS_DNR;

	if (is_dir && !all_directories && is_recent(e->fts_statp)) {
		(void)fprintf(log, "%d touched ", SETTLED_LINE);
		print_name(log, e->fts_path);
		(void)fprintf(log, ":\n");
	}
	if (!is_recent(e->fts_statp) && !(is_dir && all_directories))
		return 0;
	return utimensat(AT_FDCWD, e->fts_accpath, times, AT_SYMLINK_NOFOLLOW);
}

/* Times of now become one and the same; what is closed to an ordinary user is opened. */
static int settle(bool all_directories, FILE *log)
{
	char *const roots[] = {(char *)".", NULL};
	FTS *fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, by_name);
	bool is_root = geteuid() == 0;
	int r = fts ? 0 : -1;
	FTSENT *e;

	while (r == 0 && (e = fts_read(fts))) {
		mode_t mode = e->fts_statp->st_mode, wanted = S_ISDIR(mode) ? 0700 : 0400;

		if (!is_root && !S_ISLNK(mode) && (mode & wanted) != wanted &&
		    e->fts_info != FTS_DP)
			r = chmod(e->fts_accpath, (mode | wanted) & 07777);
		if (r == 0 && e->fts_info != FTS_D)
			r = settle_time(e, all_directories, log);
		if (r < 0)
			(void)fprintf(stderr, "# cannot settle %s: %s\n", e->fts_path,
				      strerror(errno));
	}
	if (fts)
		(void)fts_close(fts);
	return r;
}

int program_apply(const struct program *p, unsigned mask, const char *dir, FILE *log)
{
	int here = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int root = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), r;

	if (here < 0 || root < 0 || fchdir(root) < 0) {
		(void)fprintf(stderr, "# cannot work in %s: %s\n", dir, strerror(errno));
		return -1;
	}
	for (unsigned i = 0; i < p->n; i++)
		if (mask >> i & 1)
			do_and_log(&p->ops[i], i, root, dir, log);
	r = settle(mask & WITHOUT_DIRECTORY_TIMES, log);
	(void)fflush(log);
	if (fchdir(here) < 0)
		abort();
	close(here);
	close(root);
	return r;
}
