/* The laws of the list of conflicts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tree/tree.h"

static void paths_are_sorted_with_the_slash_first_whatever_the_order_they_came_in(void **state)
{
	static const char *const paths[] = {"b", "a/x", "a!", "", "c", "a", "a-b/c"};
	static const char *const sorted[] = {"", "a", "a/x", "a!", "a-b/c", "b", "c"};
	struct pl_conflicts conflicts = {0};

	for (size_t i = 0; i < PL_ARRAY_LEN(paths); i++)
		assert_int_equal(pl_conflicts_add(&conflicts, paths[i], "modified", "removed"), 0);
	assert_int_equal(conflicts.n, PL_ARRAY_LEN(sorted));
	for (size_t i = 0; i < conflicts.n; i++)
		assert_string_equal(conflicts.items[i].path, sorted[i]);
	pl_conflicts_done(&conflicts);
	assert_int_equal(conflicts.n, 0);
}

static void a_path_stands_once_with_what_was_said_first(void **state)
{
	struct pl_conflicts conflicts = {0};

	assert_int_equal(pl_conflicts_add(&conflicts, "b", "modified", "removed"), 0);
	assert_int_equal(pl_conflicts_add(&conflicts, "a", "added", "added"), 0);
	assert_int_equal(pl_conflicts_add(&conflicts, "b", "unchanged", "read"), 0);
	assert_int_equal(pl_conflicts_add(&conflicts, "a", "unchanged", "read"), 0);
	assert_int_equal(conflicts.n, 2);
	assert_string_equal(conflicts.items[0].head, "added");
	assert_string_equal(conflicts.items[1].head, "modified");
	assert_string_equal(conflicts.items[1].tx, "removed");
	pl_conflicts_done(&conflicts);
}

static void the_path_is_a_copy(void **state)
{
	struct pl_conflicts conflicts = {0};
	char path[] = "abc";

	assert_int_equal(pl_conflicts_add(&conflicts, path, "added", "added"), 0);
	path[0] = 'x';
	assert_string_equal(conflicts.items[0].path, "abc");
	pl_conflicts_done(&conflicts);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			paths_are_sorted_with_the_slash_first_whatever_the_order_they_came_in),
		cmocka_unit_test(a_path_stands_once_with_what_was_said_first),
		cmocka_unit_test(the_path_is_a_copy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
