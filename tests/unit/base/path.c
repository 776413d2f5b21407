/* The laws of names and paths. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "aborts.h"
#include "base/base.h"

static void a_name_is_one_to_255_bytes_without_slash_and_nul(void **state)
{
	char name[PL_NAME_MAX + 1];

	memset(name, 'x', sizeof(name));
	assert_true(pl_name_is_valid(name, 1));
	assert_true(pl_name_is_valid(name, PL_NAME_MAX));
	assert_false(pl_name_is_valid(name, PL_NAME_MAX + 1));
	assert_false(pl_name_is_valid(name, 0));
	for (int c = 0; c < 256; c++) {
		name[100] = (char)c;
		assert_int_equal(pl_name_is_valid(name, 200), c != '/' && c != 0);
	}
}

static void dot_and_dotdot_are_no_names_but_what_begins_so_is(void **state)
{
	assert_false(pl_name_is_valid(".", 1));
	assert_false(pl_name_is_valid("..", 2));
	assert_true(pl_name_is_valid("...", 3));
	assert_true(pl_name_is_valid(".a", 2));
	assert_true(pl_name_is_valid("..a", 3));
	assert_true(pl_name_is_valid("a.", 2));
	assert_true(pl_name_is_valid(".x", 2));
}

static void ref_names(void **state)
{
	static const char *const good[] = {
		"a",
		"Z",
		"0",
		"a.b",
		"a-b_c.9",
		"lock",
		"a.lock.b",
		"a.lockx",
		"tree2",
		"xtree",
		"Tree",
		"1234567890123456789012345678901234567890123456789012345678901234567890"
		"123456789012345678901234567890",
	};
	static const char *const bad[] = {
		"",
		".a",
		"-a",
		"_a",
		"a/b",
		"a b",
		"a@b",
		"a:b",
		"a.lock",
		"x.lock.lock",
		"tree",
		"\303\251",
		"a\n",
		"a+",
		"1234567890123456789012345678901234567890123456789012345678901234567890"
		"1234567890123456789012345678901",
	};

	for (size_t i = 0; i < PL_ARRAY_LEN(good); i++) {
		if (!pl_ref_name_is_valid(good[i]))
			fail_msg("%s is refused", good[i]);
	}
	for (size_t i = 0; i < PL_ARRAY_LEN(bad); i++) {
		if (pl_ref_name_is_valid(bad[i]))
			fail_msg("%s is taken", bad[i]);
	}
}

static void every_byte_of_a_ref_name_is_looked_at(void **state)
{
	for (int c = 1; c < 256; c++) {
		bool is_letter =
			(c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
		char first[] = {(char)c, 'x', '\0'}, last[] = {'x', (char)c, '\0'};

		assert_int_equal(pl_ref_name_is_valid(first), is_letter);
		assert_int_equal(pl_ref_name_is_valid(last),
				 is_letter || c == '.' || c == '_' || c == '-');
	}
}

static void a_path_is_valid_names_with_single_slashes_between(void **state)
{
	static const char *const good[] = {"a", "a/b", "a/b/c", ".a/..b/...", " ", "a/\n", "\377"};
	static const char *const bad[] = {
		"",    "/",    "/a",   "a/",	"a//b",	  ".",	 "..",
		"a/.", "a/..", "../a", "a/./b", "a/../b", "./a", "//",
	};
	char path[PL_NAME_MAX + 10];

	for (size_t i = 0; i < PL_ARRAY_LEN(good); i++)
		assert_true(pl_path_is_valid(good[i]));
	for (size_t i = 0; i < PL_ARRAY_LEN(bad); i++) {
		if (pl_path_is_valid(bad[i]))
			fail_msg("'%s' is taken", bad[i]);
	}
	memset(path, 'x', sizeof(path));
	path[1] = '/';
	path[PL_NAME_MAX + 2] = '\0';
	assert_true(pl_path_is_valid(path));
	path[PL_NAME_MAX + 2] = 'x';
	path[PL_NAME_MAX + 3] = '\0';
	assert_false(pl_path_is_valid(path));
}

static int sign(int n)
{
	return (n > 0) - (n < 0);
}

static void paths_in_listing_order(void **state)
{
	static const char *const sorted[] = {
		"",    "\001", "a",  "a/\001", "a/b", "a/b/c", "a/b!", "a/z",  "a\001",	 "a!",
		"a-b", "a.b",  "a0", "ab",     "b",   "\177",  "\200", "\377", "\377/a", "\377\001",
	};

	for (size_t i = 0; i < PL_ARRAY_LEN(sorted); i++) {
		for (size_t k = 0; k < PL_ARRAY_LEN(sorted); k++)
			assert_int_equal(sign(pl_path_compare(sorted[i], sorted[k])),
					 sign((int)i - (int)k));
	}
}

/* What a depth-first walk does: names are compared one by one, a directory before what is in it. */
static int compare_by_names(const char *a, const char *b)
{
	for (;;) {
		size_t na = strcspn(a, "/"), nb = strcspn(b, "/");
		int order = memcmp(a, b, na < nb ? na : nb);

		if (order)
			return order;
		if (na != nb)
			return na < nb ? -1 : 1;
		if (!a[na] || !b[nb])
			return (a[na] != 0) - (b[nb] != 0);
		a += na + 1;
		b += nb + 1;
	}
}

static void listing_order_is_that_of_a_depth_first_walk(void **state)
{
	static const char bytes[] = {'/', '/', 'a', 'b', '\001', '.', '0', '\377'};
	uint64_t random = 42;
	char paths[2][8];

	for (int round = 0; round < 200000; round++) {
		for (int which = 0; which < 2; which++) {
			size_t length = 0;

			while (length < 7) {
				random = random * UINT64_C(6364136223846793005) +
					 1442695040888963407;
				char c = bytes[random >> 61];

				if (c == '/' && (length == 0 || paths[which][length - 1] == '/'))
					break;
				paths[which][length++] = c;
			}
			while (length > 0 && paths[which][length - 1] == '/')
				length--;
			paths[which][length] = '\0';
		}
		if (!*paths[0] || !*paths[1])
			continue;
		if (sign(pl_path_compare(paths[0], paths[1])) !=
		    sign(compare_by_names(paths[0], paths[1])))
			fail_msg("seed 42, round %d: '%s' and '%s'", round, paths[0], paths[1]);
	}
}

static void below_is_the_path_itself_and_what_its_slash_begins(void **state)
{
	assert_true(pl_path_is_below("a", ""));
	assert_true(pl_path_is_below("", ""));
	assert_true(pl_path_is_below("a/b", "a/b"));
	assert_true(pl_path_is_below("a/b", "a"));
	assert_true(pl_path_is_below("a/b/c", "a/b"));
	assert_false(pl_path_is_below("a", "a/b"));
	assert_false(pl_path_is_below("ab", "a"));
	assert_false(pl_path_is_below("a/bc", "a/b"));
	assert_false(pl_path_is_below("b/a", "a"));
	assert_false(pl_path_is_below("", "a"));
}

static void what_is_pushed_is_popped(void **state)
{
	PL_BUFFER path = {0};

	pl_path_push(&path, "abc", 2);
	assert_string_equal(pl_buffer_string(&path), "ab");
	pl_path_push(&path, "c", 1);
	pl_path_push(&path, "def", 3);
	assert_string_equal(pl_buffer_string(&path), "ab/c/def");
	pl_path_pop(&path);
	assert_string_equal(pl_buffer_string(&path), "ab/c");
	pl_path_pop(&path);
	pl_path_push(&path, "x", 1);
	assert_string_equal(pl_buffer_string(&path), "ab/x");
	pl_path_pop(&path);
	pl_path_pop(&path);
	assert_string_equal(pl_buffer_string(&path), "");
}

static void a_path_that_failed_can_be_popped(void **state)
{
	PL_BUFFER path = {0};

	assert_null(pl_buffer_reserve(&path, SIZE_MAX));
	pl_path_push(&path, "a", 1);
	pl_path_pop(&path);
	pl_path_pop(&path);
	assert_false(pl_buffer_ok(&path));
}

static void pop_empty(void)
{
	struct pl_buffer path = {0};

	pl_path_pop(&path);
}

static void push_two(void)
{
	struct pl_buffer path = {0};

	pl_path_push(&path, "a/b", 3);
}

static void push_none(void)
{
	struct pl_buffer path = {0};

	pl_path_push(&path, "", 0);
}

static void what_is_no_single_name_cannot_be_pushed_or_popped(void **state)
{
	assert_true(aborts(pop_empty));
	assert_true(aborts(push_two));
	assert_true(aborts(push_none));
}

static void a_symlink_escapes_by_more_dotdots_than_directories_above(void **state)
{
	static const struct {
		const char *path, *target;
		bool escapes;
	} table[] = {
		{"a", "b", false},	     {"a", "..", true},		{"a", "../b", true},
		{"a", ".", false},	     {"a", "./..", true},	{"a", "b/..", false},
		{"a", "b/../..", true},	     {"d/a", "..", false},	{"d/a", "../b", false},
		{"d/a", "../..", true},	     {"d/a", "../../d", true},	{"d/a", "x/../..", false},
		{"d/a", "x/../../..", true}, {"d/e/a", "../..", false}, {"d/e/a", "../../..", true},
		{"a", "/etc", false},	     {"a", "/..", false},	{"a", "...", false},
		{"a", "..b", false},	     {"a", "b/..c/d", false},	{"a", "..//", true},
		{"a", "b//..", false},	     {"a", "b//../..", true},	{"a", "", false},
		{"a", ".//./..", true},	     {"d/a", "..//..", true},	{"d/a", ".././", false},
	};

	for (size_t i = 0; i < PL_ARRAY_LEN(table); i++) {
		if (pl_path_escapes(table[i].path, table[i].target) != table[i].escapes)
			fail_msg("%s -> %s", table[i].path, table[i].target);
	}
}

static void the_longest_common_directory_is_found(void **state)
{
	static const struct {
		const char *path, *other;
		size_t common;
	} expected[] = {{"a/b/c", "a/b/d", 3},	{"a/b/c", "a/b", 1},   {"a/b/c", "a/b/c/d", 3},
			{"a/b/c", "a/bb/c", 1}, {"a/b/c", "x/b/c", 0}, {"a", "a/b", 0},
			{"ab/c", "a/c", 0},	{"a/b", "a/b!", 1}};

	for (size_t i = 0; i < PL_ARRAY_LEN(expected); i++) {
		const char *path = expected[i].path, *slash = strrchr(path, '/');

		assert_int_equal(pl_path_common(path, slash ? (size_t)(slash - path) : 0,
						expected[i].other),
				 expected[i].common);
	}
	assert_int_equal(pl_path_common("a/b/c/d", 1, "a/b/c/e"), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_is_one_to_255_bytes_without_slash_and_nul),
		cmocka_unit_test(dot_and_dotdot_are_no_names_but_what_begins_so_is),
		cmocka_unit_test(ref_names),
		cmocka_unit_test(every_byte_of_a_ref_name_is_looked_at),
		cmocka_unit_test(a_path_is_valid_names_with_single_slashes_between),
		cmocka_unit_test(paths_in_listing_order),
		cmocka_unit_test(listing_order_is_that_of_a_depth_first_walk),
		cmocka_unit_test(below_is_the_path_itself_and_what_its_slash_begins),
		cmocka_unit_test(what_is_pushed_is_popped),
		cmocka_unit_test(a_path_that_failed_can_be_popped),
		cmocka_unit_test(what_is_no_single_name_cannot_be_pushed_or_popped),
		cmocka_unit_test(a_symlink_escapes_by_more_dotdots_than_directories_above),
		cmocka_unit_test(the_longest_common_directory_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
