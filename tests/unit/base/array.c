/* The laws of growing arrays and lists of strings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "aborts.h"
#include "base/base.h"

static void an_array_grows_and_keeps_its_elements(void **state)
{
	uint64_t *numbers = NULL;
	size_t capacity = 0, n = 0, moves = 0;

	for (; n < 100000; n++) {
		size_t before = capacity;

		assert_int_equal(PL_ARRAY_GROW(numbers, capacity, n), 0);
		assert_true(capacity > n);
		moves += capacity != before;
		numbers[n] = n * n;
	}
	for (size_t i = 0; i < n; i++)
		assert_true(numbers[i] == i * i);
	assert_in_range(moves, 1, 20);
	free(numbers);
}

static void room_that_is_there_is_kept(void **state)
{
	int storage[3], *array = storage;
	size_t capacity = 3;

	assert_int_equal(PL_ARRAY_GROW(array, capacity, 2), 0);
	assert_ptr_equal(array, storage);
	assert_int_equal(capacity, 3);
}

static void a_capacity_that_cannot_double_is_no_memory(void **state)
{
	char *array = NULL;
	size_t capacity = SIZE_MAX / 2 + 1;

	assert_int_equal(PL_ARRAY_GROW(array, capacity, capacity), -ENOMEM);
	assert_null(array);
	assert_int_equal(capacity, SIZE_MAX / 2 + 1);
}

static void grow_beyond(void)
{
	char *array = NULL;
	size_t capacity = 0;

	(void)PL_ARRAY_GROW(array, capacity, 1);
}

static void more_in_use_than_there_is_is_a_bug(void **state)
{
	assert_true(aborts(grow_beyond));
}

static void an_empty_list_ends_at_once(void **state)
{
	struct pl_strings s = {0};

	assert_non_null(pl_strings_list(&s));
	assert_null(pl_strings_list(&s)[0]);
	pl_strings_sort(&s);
	pl_strings_done(&s);
	pl_strings_done(&s);
}

static void a_list_keeps_copies_in_order_with_null_behind(void **state)
{
	struct pl_strings s = {0};
	char text[20];

	for (size_t i = 0; i < 1000; i++) {
		snprintf(text, sizeof(text), "%zu", i);
		assert_int_equal(pl_strings_add(&s, text), 0);
		assert_int_equal(s.n, i + 1);
		assert_null(pl_strings_list(&s)[i + 1]); /* A1 */
	}
	for (size_t i = 0; i < 1000; i++) {
		snprintf(text, sizeof(text), "%zu", i);
		assert_string_equal(pl_strings_list(&s)[i], text);
	}
	pl_strings_done(&s);
	assert_int_equal(s.n, 0);
	assert_null(pl_strings_list(&s)[0]);
}

static void sorting_is_by_unsigned_bytes(void **state)
{
	static const char *const unsorted[] = {"b", "\377", "a", "", "a/b", "a!", "ab", "a", "Z"};
	static const char *const sorted[] = {"", "Z", "a", "a", "a!", "a/b", "ab", "b", "\377"};
	struct pl_strings s = {0};

	for (size_t i = 0; i < PL_ARRAY_LEN(unsorted); i++)
		assert_int_equal(pl_strings_add(&s, unsorted[i]), 0);
	pl_strings_sort(&s);
	for (size_t i = 0; i < PL_ARRAY_LEN(sorted); i++)
		assert_string_equal(pl_strings_list(&s)[i], sorted[i]);
	assert_null(pl_strings_list(&s)[s.n]);
	pl_strings_done(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_array_grows_and_keeps_its_elements),
		cmocka_unit_test(room_that_is_there_is_kept),
		cmocka_unit_test(a_capacity_that_cannot_double_is_no_memory),
		cmocka_unit_test(more_in_use_than_there_is_is_a_bug),
		cmocka_unit_test(an_empty_list_ends_at_once),
		cmocka_unit_test(a_list_keeps_copies_in_order_with_null_behind),
		cmocka_unit_test(sorting_is_by_unsigned_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
