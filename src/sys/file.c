/*
 * file.c - descriptors: opening and closing them, reading, writing and syncing what is behind them.
 * Names are name.c's.
 *
 * Invariants:
 *  F1  No descriptor made here is 0, 1 or 2, even where the caller had closed those: a stray print
 *      must not end in an object.
 *  F2  Every descriptor made here is close-on-exec from the start.
 *  F3  No caller sees EINTR, a short read before the end, or a short write.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sys/seam.h"

/* F1. */
static int above_stdio(int fd)
{
	int higher;

	if (fd < 0 || fd > 2)
		return fd;
	higher = PL_RETRY(fcntl(fd, F_DUPFD_CLOEXEC, 3));
	pl_close(fd);
	return higher;
}

static int open_any(int dirfd, const char *name, int flags, mode_t mode)
{
	flags |= O_CLOEXEC | O_NOCTTY; /* F2 */
	if (flags & (O_CREAT | O_TRUNC)) {
		int r = pl_seam_pass(PL_CALL_OPEN);

		if (r < 0)
			return r;
	}
	/* Where F1 cannot be kept for want of descriptors, a file that was created stays, empty,
	 * as it would had we been killed here. */
	return above_stdio(PL_RETRY(openat(dirfd, name, flags, mode)));
}

void pl_closep(int *fd)
{
	if (*fd >= 0)
		pl_close(*fd);
	*fd = -EBADF;
}

int pl_close(int fd)
{
	int saved = errno;

	/* After any error but EBADF the descriptor is gone all the same; what close() could say of
	 * the data, fsync() has said before where it matters. */
	if (close(fd) < 0)
		pl_assert(errno != EBADF);
	errno = saved;
	return -EBADF;
}

int pl_take_fd(int *fd)
{
	int taken = *fd;

	*fd = -EBADF;
	return taken;
}

int pl_open(int dirfd, const char *name, int flags)
{
	return pl_open_follow(dirfd, name, flags | O_NOFOLLOW);
}

int pl_open_follow(int dirfd, const char *name, int flags)
{
	pl_assert(!(flags & O_CREAT));
	pl_assert((flags & O_TMPFILE) != O_TMPFILE);
	return open_any(dirfd, name, flags, 0);
}

int pl_open_dir(int dirfd, const char *name)
{
	return open_any(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
}

int pl_create(int dirfd, const char *name, mode_t mode)
{
	return open_any(dirfd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, mode);
}

/* Nobody can see what has no name, so no end of this process leaves any of it. */
int pl_create_nameless(void)
{
	const char *where = pl_environment_get("TMPDIR");
	int fd = open_any(AT_FDCWD, where && *where ? where : "/tmp", O_RDWR | O_TMPFILE | O_EXCL,
			  0600);

	return fd < 0 ? PL_RETRY(memfd_create("pleach", MFD_CLOEXEC)) : fd;
}

int pl_open_or_create(int dirfd, const char *name, int flags, mode_t mode)
{
	return open_any(dirfd, name, flags | O_CREAT | O_NOFOLLOW, mode);
}

int pl_dup(int fd)
{
	return PL_RETRY(fcntl(fd, F_DUPFD_CLOEXEC, 3));
}

int pl_set_inheritable(int fd)
{
	return PL_RETRY(fcntl(fd, F_SETFD, 0));
}

/* ---- reading ---- */

/* `offset`: where, or -1 for the descriptor's own place. */
static ssize_t read_full(int fd, void *buffer, size_t length, int64_t offset)
{
	unsigned char *to = buffer;
	size_t done = 0;

	while (done < length) {
		ssize_t n = offset < 0 ? read(fd, to + done, length - done)
				       : pread(fd, to + done, length - done, offset + (off_t)done);

		if (n == 0)
			break;
		if (n > 0)
			done += (size_t)n;
		else if (errno != EINTR)
			return -errno;
	}
	return (ssize_t)done;
}

ssize_t pl_read_full(int fd, void *buffer, size_t length)
{
	return read_full(fd, buffer, length, -1);
}

ssize_t pl_pread_full(int fd, void *buffer, size_t length, uint64_t offset)
{
	pl_assert(offset <= INT64_MAX);
	return read_full(fd, buffer, length, (int64_t)offset);
}

/* How many of the bytes at `offset` lie in one hole: all of them, those up to the end of the file, or 0:
 * read them. Moves the descriptor. */
static ssize_t hole_at(int fd, size_t length, uint64_t offset)
{
	off_t at = lseek(fd, (off_t)offset, SEEK_DATA);

	if (at >= 0)
		return (uint64_t)at >= offset + length ? (ssize_t)length : 0;
	if (errno != ENXIO)
		return 0; /* no such thing as holes there */
	at = lseek(fd, 0, SEEK_END);
	if (at <= (off_t)offset)
		return 0;
	return (uint64_t)at - offset < length ? at - (off_t)offset : (ssize_t)length;
}

ssize_t pl_pread_sparse(int fd, void *buffer, size_t length, uint64_t offset)
{
	off_t before = lseek(fd, 0, SEEK_CUR);
	ssize_t n;

	pl_assert(offset <= INT64_MAX && length <= INT64_MAX - offset);
	if (before < 0)
		return -errno;
	n = hole_at(fd, length, offset);
	if (lseek(fd, before, SEEK_SET) < 0)
		return -errno;
	if (n == 0)
		return pl_pread_full(fd, buffer, length, offset);
	memset(buffer, 0, (size_t)n);
	return n;
}

/* Appends to `b` until the end of the file; more than `max` bytes: -EFBIG. `guess`: how many there
 * should be, which may be wrong, as for files of /proc. */
static int read_to_end(int fd, size_t guess, size_t max, struct pl_buffer *b)
{
	size_t done = 0;

	for (;;) {
		size_t want = guess > done ? guess - done : 4096;
		void *to;
		ssize_t n;

		if (want > max - done)
			want = max - done;
		want++; /* so that one byte too many is seen */
		to = pl_buffer_reserve(b, want);
		if (!to)
			return -ENOMEM;
		n = pl_read_full(fd, to, want);
		if (n < 0)
			return (int)n;
		done += (size_t)n;
		if (done > max)
			return -EFBIG;
		b->length += (size_t)n;
		pl_buffer_truncate(b, b->length); /* the NUL behind it */
		if ((size_t)n < want)
			return 0;
	}
}

int pl_read_file(int dirfd, const char *name, size_t max, struct pl_buffer *b)
{
	/* Non-blocking, because a FIFO may lie where a file is expected. */
	PL_CLOSE int fd = pl_open(dirfd, name, O_RDONLY | O_NONBLOCK);
	size_t length_before = b->length;
	struct stat st;
	int r;

	if (fd < 0)
		return fd;
	r = pl_fstat(fd, &st);
	if (r < 0)
		return r;
	if (!S_ISREG(st.st_mode))
		return S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
	if ((uint64_t)st.st_size > max)
		return -EFBIG;
	r = read_to_end(fd, (size_t)st.st_size, max, b);
	if (r < 0 && pl_buffer_ok(b))
		pl_buffer_truncate(b, length_before);
	return r;
}

/* ---- writing ---- */

/* One write. `offset` as in read_full(). */
static ssize_t write_some(int fd, const void *data, size_t length, int64_t offset)
{
	int r = pl_seam(PL_CALL_WRITE);
	ssize_t n;

	if (r == -EINTR)
		length /= 2; /* as a signal leaves it that comes half-way */
	else if (r < 0)
		return r;
	if (length == 0)
		return -EINTR;
	do
		n = offset < 0 ? write(fd, data, length) : pwrite(fd, data, length, offset);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

static int write_full(int fd, const void *data, size_t length, int64_t offset)
{
	const unsigned char *from = data;
	size_t done = 0;
	unsigned interruptions = 0;

	while (done < length) {
		ssize_t n = write_some(fd, from + done, length - done,
				       offset < 0 ? -1 : offset + (int64_t)done);

		if (n == -EINTR && ++interruptions < PL_SEAM_INTERRUPTIONS)
			continue;
		if (n < 0)
			return (int)n;
		if (n == 0) /* it would go on for ever */
			return -ENOSPC;
		done += (size_t)n;
	}
	return 0;
}

int pl_write_full(int fd, const void *data, size_t length)
{
	return write_full(fd, data, length, -1);
}

int pl_pwrite_full(int fd, const void *data, size_t length, uint64_t offset)
{
	pl_assert(offset <= INT64_MAX);
	return write_full(fd, data, length, (int64_t)offset);
}

int pl_write_file(int dirfd, const char *name, mode_t mode, const void *data, size_t length,
		  bool sync)
{
	PL_CLOSE int fd = pl_create(dirfd, name, mode);
	int r;

	if (fd < 0)
		return fd;
	r = pl_write_full(fd, data, length);
	if (r == 0 && sync)
		r = pl_fsync(fd);
	if (r < 0) /* a name that leads to half a file helps nobody */
		(void)pl_unlink(dirfd, name);
	return r;
}

int pl_truncate(int fd, uint64_t length)
{
	int r;

	pl_assert(length <= INT64_MAX);
	r = pl_seam_pass(PL_CALL_TRUNCATE);
	return r < 0 ? r : PL_RETRY(ftruncate(fd, (off_t)length));
}

/* ---- syncing ---- */

int pl_fsync(int fd)
{
	int r = pl_seam_pass(PL_CALL_SYNC);

	return r < 0 ? r : PL_RETRY(fsync(fd));
}

int pl_syncfs(int fd)
{
	int r = pl_seam_pass(PL_CALL_SYNC);

	return r < 0 ? r : PL_RETRY(syncfs(fd));
}

int pl_fsync_at(int dirfd, const char *name)
{
	PL_CLOSE int fd = pl_open(dirfd, name, O_RDONLY | O_NONBLOCK);

	return fd < 0 ? fd : pl_fsync(fd);
}
