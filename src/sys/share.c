/*
 * share.c - two files that have the same bytes on the same blocks, where the file system can: the kernel
 * compares them itself, and changes neither content nor metadata. Copies that share are copy.c's.
 */
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "sys/seam.h"

#define CHUNK	((uint64_t)16 << 20) /* btrfs takes no more at once */
#define EXTENTS 64

/* One call. Bytes shared; 0: they differ; -EOPNOTSUPP: not on this file system. */
static int64_t share_range(int from, int to, uint64_t offset, uint64_t length)
{
	union {
		struct file_dedupe_range range;
		char room[sizeof(struct file_dedupe_range) + sizeof(struct file_dedupe_range_info)];
	} u = {.range = {.src_offset = offset, .src_length = length, .dest_count = 1}};
	int r;

	u.range.info[0].dest_fd = to;
	u.range.info[0].dest_offset = offset;
	r = PL_RETRY(ioctl(from, FIDEDUPERANGE, &u.range));
	if (r == 0 && u.range.info[0].status < 0)
		r = u.range.info[0].status;
	if (r == -ENOTTY || r == -ENOSYS)
		r = -EOPNOTSUPP;
	if (r < 0)
		return r;
	return u.range.info[0].status == FILE_DEDUPE_RANGE_DIFFERS
		       ? 0
		       : (int64_t)u.range.info[0].bytes_deduped;
}

int pl_share_probe(int fd)
{
	int64_t r;

	/* A range cannot be shared with itself (-EINVAL); where nothing can be shared, that is said first. */
	if (!pl_seam_has(PL_CAP_REFLINK))
		return 0;
	r = share_range(fd, fd, 0, 1);
	return r != -EOPNOTSUPP;
}

int pl_share_content(int from_fd, int to_fd, uint64_t length)
{
	uint64_t offset = 0;

	pl_assert(length > 0 && length <= INT64_MAX);
	if (!pl_seam_has(PL_CAP_REFLINK))
		return -EOPNOTSUPP;
	while (offset < length) {
		uint64_t want = length - offset < CHUNK ? length - offset : CHUNK;
		int64_t got = pl_seam_pass(PL_CALL_CLONE);

		if (got == 0)
			got = share_range(from_fd, to_fd, offset, want);
		if (got <= 0)
			return (int)got;
		offset += (uint64_t)got;
	}
	return 1;
}

/* ---- what is shared already ---- */

union extents {
	struct fiemap map;
	char room[sizeof(struct fiemap) + EXTENTS * sizeof(struct fiemap_extent)];
};

static int read_extents(int fd, uint64_t offset, uint64_t length, union extents *extents)
{
	extents->map = (struct fiemap){.fm_start = offset,
				       .fm_length = length - offset,
				       .fm_flags = FIEMAP_FLAG_SYNC,
				       .fm_extent_count = EXTENTS};
	return PL_RETRY(ioctl(fd, FS_IOC_FIEMAP, &extents->map));
}

/* Where an extent is known to be, and nowhere else. */
#define UNSURE                                                                        \
	(FIEMAP_EXTENT_UNKNOWN | FIEMAP_EXTENT_DELALLOC | FIEMAP_EXTENT_DATA_INLINE | \
	 FIEMAP_EXTENT_DATA_TAIL | FIEMAP_EXTENT_NOT_ALIGNED)

static bool same_extent(const struct fiemap_extent *a, const struct fiemap_extent *b)
{
	return a->fe_logical == b->fe_logical && a->fe_physical == b->fe_physical &&
	       a->fe_length == b->fe_length && !((a->fe_flags | b->fe_flags) & UNSURE);
}

int pl_share_is_shared(int a_fd, int b_fd, uint64_t length)
{
	union extents *pair = calloc(2, sizeof(*pair));
	uint64_t offset = 0;
	int r = pair ? 1 : -ENOMEM;

	while (r == 1 && offset < length) {
		const struct fiemap_extent *last;
		uint32_t n;

		if (read_extents(a_fd, offset, length, &pair[0]) < 0 ||
		    read_extents(b_fd, offset, length, &pair[1]) < 0) {
			r = 0;
			break;
		}
		n = pair[0].map.fm_mapped_extents;
		r = n == pair[1].map.fm_mapped_extents;
		for (uint32_t i = 0; r == 1 && i < n; i++)
			r = same_extent(&pair[0].map.fm_extents[i], &pair[1].map.fm_extents[i]);
		if (r == 0 || n == 0)
			break;
		last = &pair[0].map.fm_extents[n - 1];
		offset = last->fe_logical + last->fe_length;
		if (last->fe_flags & FIEMAP_EXTENT_LAST)
			break;
	}
	free(pair);
	return r;
}
