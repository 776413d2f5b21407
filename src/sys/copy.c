/*
 * copy.c - the content of one file into another, by the fastest way that works: shared extents, a
 * copy within the kernel, reading and writing. Metadata is not looked at.
 *
 * Invariants:
 *  C1  The length is set first, and only data segments are written: what is a hole in the source,
 *      at the end too, is one in the copy. Zeros that the source stores are stored.
 *  C2  A fast way that is refused is followed by the next one, for what is left. What the next one
 *      would meet as well (a full disk, a bad one) is an error at once.
 *
 * Where each byte has to be looked at on the way, or the source may be a pipe, there is reading and writing
 * alone: pl_copy_rest().
 */
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "sys/seam.h"

#define BUFFER_SIZE ((size_t)128 * 1024)
#define RANGE_MAX   ((uint64_t)1 << 30) /* for one copy_file_range(); its result fits an int */

struct copy {
	int from, to;
	bool by_range; /* copy_file_range() has not been refused yet */
	unsigned char *buffer;
};

/* C2. */
static bool is_final(int r)
{
	return r == -ENOSPC || r == -EDQUOT || r == -EIO || r == -EFBIG || r == -EROFS ||
	       r == -EINTR;
}

/* 1: done, 0: not this way. */
static int clone_whole(int from, int to, uint64_t length)
{
	struct stat st;
	int r;

	if (!pl_seam_has(PL_CAP_REFLINK))
		return 0;
	r = pl_seam_pass(PL_CALL_CLONE);
	if (r == 0)
		r = PL_RETRY(ioctl(to, FICLONE, from));
	if (r < 0)
		return is_final(r) ? r : 0;
	/* It was the whole file, however long that was at the time. */
	r = pl_fstat(to, &st);
	if (r < 0)
		return r;
	if ((uint64_t)st.st_size < length)
		return -EAGAIN;
	if ((uint64_t)st.st_size > length)
		r = pl_truncate(to, length);
	return r < 0 ? r : 1;
}

/* Bytes copied, 0: not this way. */
static int copy_by_range(const struct copy *c, uint64_t offset, uint64_t length)
{
	off_t from_offset = (off_t)offset, to_offset = (off_t)offset;
	size_t n = (size_t)(length < RANGE_MAX ? length : RANGE_MAX);
	int r = pl_seam_pass(PL_CALL_CLONE);

	if (r == 0)
		r = PL_RETRY(copy_file_range(c->from, &from_offset, c->to, &to_offset, n, 0));
	return r < 0 && !is_final(r) ? 0 : r;
}

static int copy_by_buffer(struct copy *c, uint64_t offset, uint64_t length)
{
	size_t n = (size_t)(length < BUFFER_SIZE ? length : BUFFER_SIZE);
	ssize_t got;
	int r;

	if (!c->buffer)
		c->buffer = malloc(BUFFER_SIZE);
	if (!c->buffer)
		return -ENOMEM;
	got = pl_pread_full(c->from, c->buffer, n, offset);
	if (got < 0)
		return (int)got;
	if ((size_t)got < n)
		return -EAGAIN;
	r = pl_pwrite_full(c->to, c->buffer, n, offset);
	return r < 0 ? r : (int)n;
}

static int copy_segment(struct copy *c, uint64_t offset, uint64_t end)
{
	while (offset < end) {
		int n = 0;

		if (c->by_range) {
			n = copy_by_range(c, offset, end - offset);
			/* A 0 is also what some files say that are read well; and where the
			 * source has ended, reading tells. */
			c->by_range = n != 0;
		}
		if (n == 0)
			n = copy_by_buffer(c, offset, end - offset);
		if (n < 0)
			return n;
		offset += (uint64_t)n;
	}
	return 0;
}

/* The first data segment at or after `offset`, within `length`. 1; 0: there is none. */
static int next_segment(int fd, uint64_t offset, uint64_t length, uint64_t *ret_start,
			uint64_t *ret_end)
{
	off_t start, end;

	start = lseek(fd, (off_t)offset, SEEK_DATA);
	if (start < 0 && errno == ENXIO)
		return 0;
	if (start < 0 && errno != EINVAL && errno != EOPNOTSUPP)
		return -errno;
	if (start < 0) { /* no such thing there: all is data */
		*ret_start = offset;
		*ret_end = length;
		return 1;
	}
	end = lseek(fd, start, SEEK_HOLE);
	if (end < 0) /* ENXIO: cut off meanwhile */
		return errno == ENXIO ? 0 : -errno;
	if ((uint64_t)start >= length)
		return 0;
	*ret_start = (uint64_t)start;
	*ret_end = (uint64_t)end < length ? (uint64_t)end : length;
	return 1;
}

static int copy_segments(struct copy *c, uint64_t length)
{
	uint64_t start = 0, end = 0;
	struct stat st;
	int r;

	while (end < length) {
		r = next_segment(c->from, end, length, &start, &end);
		if (r == 0)
			break;
		if (r > 0)
			r = copy_segment(c, start, end);
		if (r < 0)
			return r;
	}
	if (end == length)
		return 0;
	/* A hole up to the end, or the end came early? */
	r = pl_fstat(c->from, &st);
	if (r < 0)
		return r;
	return (uint64_t)st.st_size < length ? -EAGAIN : 0;
}

int pl_clone_content(int from_fd, int to_fd, uint64_t length)
{
	pl_assert(length > 0 && length <= INT64_MAX);
	return clone_whole(from_fd, to_fd, length);
}

int pl_copy_content(int from_fd, int to_fd, uint64_t length)
{
	struct copy c = {.from = from_fd, .to = to_fd, .by_range = pl_seam_has(PL_CAP_COPY_RANGE)};
	int r;

	pl_assert(length <= INT64_MAX);
	if (length == 0)
		return 0;
	r = clone_whole(from_fd, to_fd, length);
	if (r != 0)
		return r < 0 ? r : 0;
	r = pl_truncate(to_fd, length); /* C1 */
	if (r == 0)
		r = copy_segments(&c, length);
	free(c.buffer);
	return r;
}

int pl_copy_rest(int from_fd, uint64_t at, int to_fd, const struct pl_copy_watcher *watcher)
{
	unsigned char *buffer = malloc(BUFFER_SIZE);
	int r;

	if (!buffer)
		return -ENOMEM;
	for (;;) {
		ssize_t n = at == PL_COPY_HERE ? pl_read_full(from_fd, buffer, BUFFER_SIZE)
					       : pl_pread_full(from_fd, buffer, BUFFER_SIZE, at);

		r = n > 0 ? pl_write_full(to_fd, buffer, (size_t)n) : (int)n;
		if (n <= 0 || r < 0)
			break;
		if (watcher)
			watcher->saw(watcher->self, buffer, (size_t)n);
		if (at != PL_COPY_HERE)
			at += (uint64_t)n;
	}
	free(buffer);
	return r;
}
