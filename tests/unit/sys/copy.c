/* The laws of copies: every byte, and no block that the source does not have. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sys/scratch.h"

#define MIB ((uint64_t)1 << 20)

/* Every choice among the ways of copying. */
static const uint32_t disabled[] = {0, PL_CAP_REFLINK, PL_CAP_COPY_RANGE,
				    PL_CAP_REFLINK | PL_CAP_COPY_RANGE};

static int create(struct scratch *s, const char *name)
{
	int fd;

	(void)unlinkat(s->fd, name, 0);
	fd = pl_create(s->fd, name, 0600);
	assert_true(fd >= 0);
	return fd;
}

static void assert_same_content(int a, int b, uint64_t length)
{
	char *x = malloc(MIB), *y = malloc(MIB);
	struct stat st;

	assert_non_null(x);
	assert_non_null(y);
	assert_int_equal(pl_fstat(b, &st), 0);
	assert_true((uint64_t)st.st_size == length);
	for (uint64_t at = 0; at < length; at += MIB) {
		ssize_t n = pl_pread_full(a, x, MIB, at);
		ssize_t expected = length - at < MIB ? (ssize_t)(length - at) : (ssize_t)MIB;

		assert_true(n >= expected);
		assert_int_equal(pl_pread_full(b, y, MIB, at), expected);
		assert_memory_equal(x, y, (size_t)expected);
	}
	free(x);
	free(y);
}

static blkcnt_t blocks_of(int fd)
{
	struct stat st;

	assert_int_equal(pl_fsync(fd), 0); /* delayed allocation does not count before */
	assert_int_equal(pl_fstat(fd, &st), 0);
	return st.st_blocks;
}

static void write_pattern(int fd, uint64_t offset, size_t length)
{
	unsigned char *data = malloc(length);

	assert_non_null(data);
	for (size_t i = 0; i < length; i++)
		data[i] = (unsigned char)((offset + i) * 2654435761u >> 13);
	assert_int_equal(pl_pwrite_full(fd, data, length, offset), 0);
	free(data);
}

/* C1 */
static void holes_stay_holes_at_the_beginning_and_the_end_too(void **state)
{
	struct scratch *s = *state;
	PL_CLOSE int from = create(s, "from");

	write_pattern(from, 10 * MIB, 100000);
	write_pattern(from, 30 * MIB + 17, 300000);
	assert_int_equal(pl_truncate(from, 64 * MIB + 5), 0);
	for (size_t i = 0; i < PL_ARRAY_LEN(disabled); i++) {
		PL_CLOSE int to = create(s, "to");

		pl_seam_disable(disabled[i]);
		assert_int_equal(pl_copy_content(from, to, 64 * MIB + 5), 0);
		assert_same_content(from, to, 64 * MIB + 5);
		assert_true(blocks_of(to) * 512 < (blkcnt_t)MIB);
	}
}

/* C1 */
static void stored_zeros_stay_stored_when_written(void **state)
{
	struct scratch *s = *state;
	PL_CLOSE int from = create(s, "from");
	PL_CLOSE int to = create(s, "to");
	char *zeros = calloc(1, MIB);

	assert_non_null(zeros);
	assert_int_equal(pl_pwrite_full(from, zeros, MIB, 0), 0);
	free(zeros);
	pl_seam_disable(PL_CAP_REFLINK | PL_CAP_COPY_RANGE);
	assert_int_equal(pl_copy_content(from, to, MIB), 0);
	if (blocks_of(from) * 512 < (blkcnt_t)MIB)
		SKIP("the file system of $TMPDIR does not store zeros");
	assert_true(blocks_of(to) * 512 >= (blkcnt_t)MIB);
}

static void every_length_is_copied(void **state)
{
	static const size_t lengths[] = {0,	 1,	 4095,	 4096,	 4097,
					 131071, 131072, 131073, 262144, 1000003};
	struct scratch *s = *state;

	for (size_t i = 0; i < PL_ARRAY_LEN(lengths); i++) {
		PL_CLOSE int from = create(s, "from");

		write_pattern(from, 0, lengths[i] + 1);
		assert_int_equal(pl_truncate(from, lengths[i]), 0);
		for (size_t k = 0; k < PL_ARRAY_LEN(disabled); k++) {
			PL_CLOSE int to = create(s, "to");

			pl_seam_disable(disabled[k]);
			assert_int_equal(pl_copy_content(from, to, lengths[i]), 0);
			assert_same_content(from, to, lengths[i]);
		}
	}
}

static void a_file_of_nothing_but_a_hole_is_one(void **state)
{
	struct scratch *s = *state;
	PL_CLOSE int from = create(s, "from");

	assert_int_equal(pl_truncate(from, 10 * MIB), 0);
	for (size_t i = 0; i < PL_ARRAY_LEN(disabled); i++) {
		PL_CLOSE int to = create(s, "to");

		pl_seam_disable(disabled[i]);
		assert_int_equal(pl_copy_content(from, to, 10 * MIB), 0);
		assert_same_content(from, to, 10 * MIB);
		assert_int_equal(blocks_of(to), 0);
	}
}

static void a_source_that_ends_early_is_eagain_and_a_longer_one_is_cut(void **state)
{
	struct scratch *s = *state;
	PL_CLOSE int from = create(s, "from");

	write_pattern(from, 0, 200000);
	for (size_t i = 0; i < PL_ARRAY_LEN(disabled); i++) {
		PL_CLOSE int to = create(s, "to");

		pl_seam_disable(disabled[i]);
		assert_int_equal(pl_copy_content(from, to, 200001), -EAGAIN);
		assert_int_equal(pl_truncate(to, 0), 0);
		assert_int_equal(pl_copy_content(from, to, 10 * MIB), -EAGAIN);
		assert_int_equal(pl_truncate(to, 0), 0);
		assert_int_equal(pl_copy_content(from, to, 123456), 0);
		assert_same_content(from, to, 123456);
	}
}

static void a_source_that_knows_no_holes_is_all_data(void **state)
{
	struct scratch *s = *state;
	PL_CLOSE int from = pl_open(AT_FDCWD, "/proc/version", O_RDONLY);
	PL_CLOSE int to = create(s, "to");
	PL_BUFFER text = {0};

	assert_int_equal(pl_read_file(AT_FDCWD, "/proc/version", 4096, &text), 0);
	if (lseek(from, 0, SEEK_DATA) >= 0)
		SKIP("/proc knows of holes here");
	assert_int_equal(pl_copy_content(from, to, text.length), 0);
	assert_same_content(from, to, text.length);
}

/* C2 */
static void a_way_that_is_refused_is_followed_by_the_next(void **state)
{
	static const int refusals[] = {EOPNOTSUPP, EXDEV, EINVAL, ENOSYS, ENOTTY, EPERM};
	struct scratch *s = *state;
	PL_CLOSE int from = create(s, "from");

	write_pattern(from, 0, 300000);
	for (size_t i = 0; i < PL_ARRAY_LEN(refusals); i++) {
		PL_CLOSE int to = create(s, "to");

		pl_seam_arm(&(struct pl_seam_plan){.fail_at = 1,
						   .fail_on = true,
						   .fail_errno = refusals[i],
						   .calls = 1 << PL_CALL_CLONE});
		assert_int_equal(pl_copy_content(from, to, 300000), 0);
		assert_int_equal(pl_seam_count(), 2); /* each way was tried once */
		assert_same_content(from, to, 300000);
	}
}

/* C2 */
static void what_no_way_can_help_is_an_error(void **state)
{
	static const int errors[] = {ENOSPC, EDQUOT, EIO, EFBIG};
	/* The first that each choice makes: the clone, a range, a clone, a write. */
	static const enum pl_call calls[] = {PL_CALL_CLONE, PL_CALL_CLONE, PL_CALL_CLONE,
					     PL_CALL_WRITE};
	struct scratch *s = *state;
	PL_CLOSE int from = create(s, "from");

	write_pattern(from, 0, 300000);
	for (size_t way = 0; way < PL_ARRAY_LEN(disabled); way++) {
		pl_seam_disable(disabled[way]);
		for (size_t i = 0; i < PL_ARRAY_LEN(errors); i++) {
			PL_CLOSE int to = create(s, "to");

			fail_call(calls[way], 1, errors[i]);
			assert_int_equal(pl_copy_content(from, to, 300000), -errors[i]);
			assert_int_equal(pl_seam_count(), 1);
		}
	}
}

static void interruptions_at_any_call_leave_no_gap(void **state)
{
	struct scratch *s = *state;
	PL_CLOSE int from = create(s, "from");

	write_pattern(from, 0, 300000);
	write_pattern(from, 2 * MIB, 300000);
	for (size_t way = 0; way < PL_ARRAY_LEN(disabled); way++) {
		pl_seam_disable(disabled[way]);
		for (uint64_t at = 1; at < 12; at++) {
			PL_CLOSE int to = create(s, "to");

			pl_seam_arm(&(struct pl_seam_plan){.fail_at = at, .fail_errno = EINTR});
			assert_int_equal(pl_copy_content(from, to, 2 * MIB + 300000), 0);
			assert_same_content(from, to, 2 * MIB + 300000);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(holes_stay_holes_at_the_beginning_and_the_end_too),
		TEST(stored_zeros_stay_stored_when_written),
		TEST(every_length_is_copied),
		TEST(a_file_of_nothing_but_a_hole_is_one),
		TEST(a_source_that_ends_early_is_eagain_and_a_longer_one_is_cut),
		TEST(a_source_that_knows_no_holes_is_all_data),
		TEST(a_way_that_is_refused_is_followed_by_the_next),
		TEST(what_no_way_can_help_is_an_error),
		TEST(interruptions_at_any_call_leave_no_gap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
