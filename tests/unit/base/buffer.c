/* The laws of buffers and readers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "aborts.h"
#include "base/base.h"

static void an_empty_buffer_is_the_empty_string(void **state)
{
	PL_BUFFER b = {0};
	char *taken;

	assert_true(pl_buffer_ok(&b));
	assert_string_equal(pl_buffer_string(&b), "");
	pl_buffer_truncate(&b, 0);
	pl_buffer_add(&b, NULL, 0);
	assert_string_equal(pl_buffer_string(&b), "");
	pl_buffer_done(&b);
	taken = pl_buffer_take_string(&b);
	assert_non_null(taken);
	assert_string_equal(taken, "");
	free(taken);
}

static void what_was_added_is_there_with_a_nul_behind(void **state)
{
	PL_BUFFER b = {0};

	for (size_t i = 0; i < 10000; i++) {
		pl_buffer_add_u8(&b, (uint8_t)i);
		assert_int_equal(b.length, i + 1);
		assert_int_equal(b.data[b.length], 0);
		assert_true(b.length < b.capacity); /* B1 */
	}
	assert_true(pl_buffer_ok(&b));
	for (size_t i = 0; i < 10000; i++)
		assert_int_equal(b.data[i], (uint8_t)i);
}

static void pieces_of_any_length_join(void **state)
{
	PL_BUFFER b = {0};
	char piece[300], *taken;
	size_t total = 0;

	memset(piece, 'x', sizeof(piece));
	for (size_t length = 0; length < sizeof(piece); length++) {
		pl_buffer_add(&b, piece, length);
		total += length;
		assert_int_equal(strlen(pl_buffer_string(&b)), total);
	}
	taken = pl_buffer_take_string(&b);
	assert_int_equal(strspn(taken, "x"), total);
	free(taken);
	assert_null(b.data);
	assert_int_equal(b.length + b.capacity, 0);
}

static void a_format_fits_whatever_its_length(void **state)
{
	for (int width = 0; width < 300; width++) {
		PL_BUFFER b = {0};

		pl_buffer_add_string(&b, "<");
		pl_buffer_add_format(&b, "%*s%d", width, "", 7);
		pl_buffer_add_string(&b, ">");
		assert_int_equal(b.length, (size_t)width + 3);
		assert_string_equal(pl_buffer_string(&b) + width + 1, "7>");
	}
}

static void numbers_are_big_endian(void **state)
{
	static const unsigned char expected[] = {1, 2,	3,  4,	5,  6,	7,  8,
						 9, 10, 11, 12, 13, 14, 255};
	PL_BUFFER b = {0};

	pl_buffer_add_u16(&b, 0x0102);
	pl_buffer_add_u32(&b, 0x03040506);
	pl_buffer_add_u64(&b, UINT64_C(0x0708090a0b0c0d0e));
	pl_buffer_add_u8(&b, 255);
	assert_int_equal(b.length, sizeof(expected));
	assert_memory_equal(b.data, expected, sizeof(expected));
}

static void reserved_room_is_used_in_part_or_whole(void **state)
{
	PL_BUFFER b = {0};
	char *room;

	pl_buffer_add_string(&b, "ab");
	room = pl_buffer_reserve(&b, 100);
	assert_non_null(room);
	assert_string_equal(pl_buffer_string(&b), "ab");
	memset(room, 'y', 100);
	b.length += 3;
	assert_string_equal(pl_buffer_string(&b), "abyyy");
	room = pl_buffer_reserve(&b, 1000);
	memset(room, 'z', 1000);
	b.length += 1000;
	assert_int_equal(b.data[b.length], 0);
}

static void truncating_keeps_the_front(void **state)
{
	PL_BUFFER b = {0};

	pl_buffer_add_string(&b, "abcdef");
	pl_buffer_truncate(&b, 6);
	assert_string_equal(pl_buffer_string(&b), "abcdef");
	pl_buffer_truncate(&b, 2);
	assert_string_equal((char *)b.data, "ab");
	pl_buffer_add_string(&b, "x");
	assert_string_equal(pl_buffer_string(&b), "abx");
}

/* B2 */
static void after_a_failed_addition_nothing_changes_until_done(void **state)
{
	PL_BUFFER b = {0};

	pl_buffer_add_string(&b, "ab");
	assert_null(pl_buffer_reserve(&b, SIZE_MAX));
	assert_false(pl_buffer_ok(&b));
	pl_buffer_add_string(&b, "c");
	pl_buffer_add_format(&b, "%d", 1);
	pl_buffer_add_u64(&b, 1);
	pl_buffer_truncate(&b, 0);
	assert_null(pl_buffer_reserve(&b, 0));
	assert_int_equal(b.length, 2);
	assert_null(pl_buffer_string(&b));
	assert_null(pl_buffer_take_string(&b));
	assert_true(pl_buffer_ok(&b));
	pl_buffer_add_string(&b, "d");
	assert_string_equal(pl_buffer_string(&b), "d");
}

static void lengths_that_overflow_fail(void **state)
{
	static const size_t lengths[] = {SIZE_MAX, SIZE_MAX - 1, SIZE_MAX - 2, SIZE_MAX / 2};

	for (size_t i = 0; i < PL_ARRAY_LEN(lengths); i++) {
		PL_BUFFER b = {0};

		pl_buffer_add_string(&b, "ab");
		assert_null(pl_buffer_reserve(&b, lengths[i]));
		assert_false(pl_buffer_ok(&b));
	}
}

static void truncate_too_far(void)
{
	struct pl_buffer b = {0};

	pl_buffer_add_string(&b, "a");
	pl_buffer_truncate(&b, 2);
}

static void add_own_bytes(void)
{
	struct pl_buffer b = {0};

	pl_buffer_add_string(&b, "abc");
	pl_buffer_add(&b, b.data + 1, 2);
}

static void misuse_of_a_buffer_is_a_bug(void **state)
{
	assert_true(aborts(truncate_too_far));
	assert_true(aborts(add_own_bytes));
}

static void what_is_written_is_read_again(void **state)
{
	static const uint64_t values[] = {0,   1,     127,   128,	 255,
					  256, 65535, 65536, UINT32_MAX, UINT64_MAX};
	PL_BUFFER b = {0};
	struct pl_reader r;

	for (size_t i = 0; i < PL_ARRAY_LEN(values); i++) {
		pl_buffer_add_u8(&b, (uint8_t)values[i]);
		pl_buffer_add_u16(&b, (uint16_t)values[i]);
		pl_buffer_add_u32(&b, (uint32_t)values[i]);
		pl_buffer_add_u64(&b, values[i]);
	}
	r = pl_reader_of(b.data, b.length);
	for (size_t i = 0; i < PL_ARRAY_LEN(values); i++) {
		assert_int_equal(pl_read_u8(&r), (uint8_t)values[i]);
		assert_int_equal(pl_read_u16(&r), (uint16_t)values[i]);
		assert_int_equal(pl_read_u32(&r), (uint32_t)values[i]);
		assert_true(pl_read_u64(&r) == values[i]);
	}
	assert_false(r.short_read);
	assert_int_equal(r.offset, r.length);
}

static void a_reader_never_leaves_its_bytes(void **state)
{
	for (size_t length = 0; length < 8; length++) {
		unsigned char *bytes = malloc(length ? length : 1);
		struct pl_reader r = pl_reader_of(bytes, length);

		assert_non_null(bytes);
		memset(bytes, 0xff, length ? length : 1);
		assert_int_equal(pl_read_u64(&r), 0);
		assert_true(r.short_read);
		r = pl_reader_of(bytes, length);
		assert_non_null(pl_read_bytes(&r, length));
		assert_false(r.short_read);
		assert_null(pl_read_bytes(&r, 1));
		assert_true(r.short_read);
		r = pl_reader_of(bytes, length);
		assert_null(pl_read_bytes(&r, SIZE_MAX));
		assert_true(r.short_read);
		free(bytes);
	}
}

/* B3 */
static void a_reader_that_ran_short_stays_short(void **state)
{
	struct pl_reader r = pl_reader_of("\1\2\3", 3);

	assert_int_equal(pl_read_u8(&r), 1);
	assert_int_equal(pl_read_u32(&r), 0);
	assert_int_equal(pl_read_u8(&r), 0);
	assert_null(pl_read_bytes(&r, 0));
	assert_true(r.short_read);
}

static void no_bytes_can_be_read_from_nothing(void **state)
{
	struct pl_reader r = pl_reader_of(NULL, 0);

	assert_non_null(pl_read_bytes(&r, 0));
	assert_false(r.short_read);
	assert_null(pl_read_bytes(&r, 1));
}

static void bytes_are_read_in_place(void **state)
{
	static const char bytes[] = "abcdef";
	struct pl_reader r = pl_reader_of(bytes, 6);

	assert_ptr_equal(pl_read_bytes(&r, 2), bytes);
	assert_ptr_equal(pl_read_bytes(&r, 4), bytes + 2);
}

static void a_cleanup_frees_what_the_variable_holds_last(void **state)
{
	PL_FREE char *s = NULL; /* the sanitizer counts */
	PL_FREE int *none = NULL;

	assert_null(none);
	s = malloc(10);
	assert_non_null(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_buffer_is_the_empty_string),
		cmocka_unit_test(what_was_added_is_there_with_a_nul_behind),
		cmocka_unit_test(pieces_of_any_length_join),
		cmocka_unit_test(a_format_fits_whatever_its_length),
		cmocka_unit_test(numbers_are_big_endian),
		cmocka_unit_test(reserved_room_is_used_in_part_or_whole),
		cmocka_unit_test(truncating_keeps_the_front),
		cmocka_unit_test(after_a_failed_addition_nothing_changes_until_done),
		cmocka_unit_test(lengths_that_overflow_fail),
		cmocka_unit_test(misuse_of_a_buffer_is_a_bug),
		cmocka_unit_test(what_is_written_is_read_again),
		cmocka_unit_test(a_reader_never_leaves_its_bytes),
		cmocka_unit_test(a_reader_that_ran_short_stays_short),
		cmocka_unit_test(no_bytes_can_be_read_from_nothing),
		cmocka_unit_test(bytes_are_read_in_place),
		cmocka_unit_test(a_cleanup_frees_what_the_variable_holds_last),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
