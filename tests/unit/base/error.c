/* The laws of errors: what is filled in, what is cut, and that a message is one printable line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "aborts.h"
#include "base/base.h"

static void a_failure_fills_in_code_errno_and_message(void **state)
{
	struct pleach_error error = PLEACH_ERROR_INIT;

	assert_int_equal(pl_fail(&error, PLEACH_BUSY, -EBUSY, "ref %s: held by %d", "a", 7),
			 -EBUSY);
	assert_int_equal(error.code, PLEACH_BUSY);
	assert_int_equal(error.err, EBUSY);
	assert_string_equal(error.message, "ref a: held by 7");
	assert_string_equal(error.hint, "");
	assert_string_equal(error.path, "");
}

static void nobody_needs_to_want_an_error(void **state)
{
	assert_int_equal(pl_fail(NULL, PLEACH_BUSY, -EBUSY, "x"), -EBUSY);
	assert_int_equal(pl_fail_sys(NULL, -EIO, "x"), -EIO);
	assert_int_equal(pl_fail_memory(NULL), -ENOMEM);
	pl_hint(NULL, "x");
	pl_error_path(NULL, "x");
	pl_error_prefix(NULL, "x");
	pl_error_clear(NULL);
}

static void the_short_ways_have_their_code_and_errno(void **state)
{
	struct pleach_error error = PLEACH_ERROR_INIT;

	assert_int_equal(pl_fail_corrupt(&error, "node %d", 1), -EBADMSG);
	assert_int_equal(error.code, PLEACH_CORRUPT);
	assert_int_equal(pl_fail_not_found(&error, "ref %d", 2), -ENOENT);
	assert_int_equal(error.code, PLEACH_NOT_FOUND);
	assert_int_equal(pl_fail_usage(&error, "arg %d", 3), -EINVAL);
	assert_int_equal(error.code, PLEACH_USAGE);
	assert_string_equal(error.message, "arg 3");
	assert_int_equal(pl_fail_memory(&error), -ENOMEM);
	assert_int_equal(error.code, PLEACH_FAILED);
	assert_int_equal(error.err, ENOMEM);
	assert_string_equal(error.message, "out of memory");
}

static void a_failed_system_call_has_its_code_and_cause(void **state)
{
	static const struct {
		int err;
		enum pleach_code code;
	} table[] = {
		{ENOSPC, PLEACH_NO_SPACE},   {EDQUOT, PLEACH_NO_SPACE}, {EFBIG, PLEACH_NO_SPACE},
		{EINTR, PLEACH_INTERRUPTED}, {EIO, PLEACH_FAILED},	{ENOENT, PLEACH_FAILED},
		{EBUSY, PLEACH_FAILED},	     {4000, PLEACH_FAILED},
	};

	for (size_t i = 0; i < PL_ARRAY_LEN(table); i++) {
		struct pleach_error error = PLEACH_ERROR_INIT;
		char expected[200];

		snprintf(expected, sizeof(expected), "open a/b: %s", strerror(table[i].err));
		assert_int_equal(pl_fail_sys(&error, -table[i].err, "open %s/%s", "a", "b"),
				 -table[i].err);
		assert_int_equal(error.code, table[i].code);
		assert_int_equal(error.err, table[i].err);
		assert_string_equal(error.message, expected);
	}
}

static void every_control_byte_of_a_name_is_escaped_and_no_other(void **state)
{
	for (int c = 1; c < 256; c++) {
		struct pleach_error error = PLEACH_ERROR_INIT;
		char expected[16];

		if (c == '\n' || c == '\t' || c == '\r')
			snprintf(expected, sizeof(expected), "<\\%c>",
				 c == '\n'   ? 'n'
				 : c == '\t' ? 't'
					     : 'r');
		else if (c < 0x20 || c == 0x7f)
			snprintf(expected, sizeof(expected), "<\\%03o>", (unsigned)c);
		else
			snprintf(expected, sizeof(expected), "<%c>", c);
		pl_fail(&error, PLEACH_FAILED, -EIO, "<%c>", c);
		assert_string_equal(error.message, expected);
		pl_hint(&error, "<%c>", c);
		assert_string_equal(error.hint, expected);
	}
}

static void a_path_stays_as_it_was_given(void **state)
{
	struct pleach_error error = PLEACH_ERROR_INIT;

	pl_error_path(&error, "a\n\033/b");
	assert_string_equal(error.path, "a\n\033/b");
}

static void an_argument_may_be_the_message_itself(void **state)
{
	struct pleach_error error = PLEACH_ERROR_INIT;

	pl_fail(&error, PLEACH_FAILED, -EIO, "inner");
	pl_error_path(&error, "p");
	pl_fail(&error, PLEACH_FAILED, -EIO, "outer %s %s", error.message, error.path);
	assert_string_equal(error.message, "outer inner p");
	pl_error_prefix(&error, "%s", error.message);
	assert_string_equal(error.message, "outer inner p: outer inner p");
	pl_hint(&error, "see %s", error.message);
	pl_hint(&error, "%s", error.hint);
	assert_string_equal(error.hint, "see outer inner p: outer inner p");
	pl_error_path(&error, error.path);
	pl_error_path(&error, error.hint);
	assert_string_equal(error.path, error.hint);
}

static void a_new_failure_forgets_the_one_before(void **state)
{
	struct pleach_error error = PLEACH_ERROR_INIT;

	pl_fail(&error, PLEACH_CORRUPT, -EBADMSG, "a long message");
	pl_hint(&error, "run it again");
	pl_error_path(&error, "a");
	pl_fail_sys(&error, -EIO, "b");
	assert_string_equal(error.hint, "");
	assert_string_equal(error.path, "");
	assert_int_equal(error.code, PLEACH_FAILED);
}

static void a_message_that_just_fits_is_whole(void **state)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	char text[sizeof(error.message)];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	pl_fail(&error, PLEACH_FAILED, -EIO, "%s", text);
	assert_string_equal(error.message, text);
}

static void a_message_too_long_is_cut_at_its_end_and_says_so(void **state)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	char text[2 * sizeof(error.message)];

	for (size_t length = sizeof(error.message); length < sizeof(text); length += 500) {
		memset(text, 'x', length);
		text[length] = '\0';
		pl_fail(&error, PLEACH_FAILED, -EIO, "%s", text);
		assert_int_equal(strlen(error.message), sizeof(error.message) - 1);
		assert_int_equal(strspn(error.message, "x"), sizeof(error.message) - 4);
		assert_string_equal(error.message + sizeof(error.message) - 4, "...");
		pl_hint(&error, "%s", text);
		assert_int_equal(strlen(error.hint), sizeof(error.hint) - 1);
	}
}

static void no_cut_falls_within_an_escape(void **state)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	char text[sizeof(error.message)];

	for (size_t before = 0; before < 8; before++) {
		size_t n;

		memset(text, 'x', before);
		memset(text + before, '\001', sizeof(text) - before - 1);
		text[sizeof(text) - 1] = '\0';
		pl_fail(&error, PLEACH_FAILED, -EIO, "%s", text);
		n = strlen(error.message);
		assert_true(n >= sizeof(error.message) - 4 && n < sizeof(error.message));
		assert_string_equal(error.message + n - 7, "\\001...");
		assert_int_equal((n - 3 - before) % 4, 0);
	}
}

static void a_cause_outlives_the_longest_path(void **state)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	char path[5000];

	memset(path, 'p', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	pl_fail_sys(&error, -ENOSPC, "write %s", path);
	assert_int_equal(strlen(error.message), sizeof(error.message) - 1);
	assert_non_null(strstr(error.message, "p...: No space left on device"));
}

static void a_path_is_cut_at_its_front_before_a_name(void **state)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	char path[9000] = "";

	for (size_t i = 0; i + 10 < sizeof(path); i += 10)
		memcpy(path + i, "/123456789", 11);
	pl_error_path(&error, path);
	assert_true(strlen(error.path) > sizeof(error.path) - 12);
	assert_memory_equal(error.path, ".../123456789/", 14);
	assert_string_equal(error.path + 3, path + strlen(path) - strlen(error.path) + 3);

	memset(path, 'x', sizeof(path) - 1);
	pl_error_path(&error, path);
	assert_int_equal(strlen(error.path), sizeof(error.path) - 1);
	assert_memory_equal(error.path, "...x", 4);

	path[sizeof(error.path) - 1] = '\0';
	pl_error_path(&error, path);
	assert_string_equal(error.path, path);
}

static void a_prefix_stands_before_the_message_which_is_not_escaped_again(void **state)
{
	struct pleach_error error = PLEACH_ERROR_INIT;

	pl_fail(&error, PLEACH_FAILED, -EIO, "a\nb");
	pl_error_prefix(&error, "in\t%s", "x");
	pl_error_prefix(&error, "%d", 1);
	assert_string_equal(error.message, "1: in\\tx: a\\nb");
	assert_int_equal(error.code, PLEACH_FAILED);
}

static void a_prefix_to_a_full_message_cuts_the_end(void **state)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	char text[sizeof(error.message) + 1];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	pl_fail(&error, PLEACH_FAILED, -EIO, "%s", text);
	pl_error_prefix(&error, "pre");
	assert_memory_equal(error.message, "pre: xxx", 8);
	assert_int_equal(strlen(error.message), sizeof(error.message) - 1);
	pl_error_prefix(&error, "%s", text);
	assert_int_equal(strlen(error.message), sizeof(error.message) - 1);
	assert_string_equal(error.message + sizeof(error.message) - 5, "x...");
}

/* E1 */
static void fields_beyond_the_size_are_not_touched(void **state)
{
	static const size_t sizes[] = {
		sizeof(size_t),
		offsetof(struct pleach_error, err),
		offsetof(struct pleach_error, message),
		offsetof(struct pleach_error, message) + 3071,
		offsetof(struct pleach_error, hint),
		offsetof(struct pleach_error, path),
		sizeof(struct pleach_error),
	};

	for (size_t i = 0; i < PL_ARRAY_LEN(sizes); i++) {
		/* Just as large as it says, so that the sanitizer sees a byte too far. */
		struct pleach_error *error = malloc(sizes[i]);

		assert_non_null(error);
		memset(error, 0xaa, sizes[i]);
		error->size = sizes[i];
		pl_fail_sys(error, -EIO, "message");
		pl_fail(error, PLEACH_BUSY, -EBUSY, "message");
		pl_hint(error, "hint");
		pl_error_path(error, "path");
		pl_error_prefix(error, "prefix");
		if (sizes[i] > offsetof(struct pleach_error, err))
			assert_int_equal(error->err, EBUSY);
		if (sizes[i] >= offsetof(struct pleach_error, hint))
			assert_string_equal(error->message, "prefix: message");
		if (sizes[i] >= offsetof(struct pleach_error, path))
			assert_string_equal(error->hint, "hint");
		pl_error_clear(error);
		assert_int_equal(error->size, sizes[i]);
		free(error);
	}
}

static void a_size_of_zero_means_all(void **state)
{
	struct pleach_error error = {0};

	pl_fail(&error, PLEACH_BUSY, -EBUSY, "message");
	pl_error_path(&error, "path");
	assert_int_equal(error.code, PLEACH_BUSY);
	assert_string_equal(error.message, "message");
	assert_string_equal(error.path, "path");
	assert_int_equal(error.size, 0);
}

static void a_cleared_error_is_none(void **state)
{
	struct pleach_error error = PLEACH_ERROR_INIT;

	pl_fail(&error, PLEACH_BUSY, -EBUSY, "message");
	pl_hint(&error, "hint");
	pl_error_path(&error, "path");
	pl_error_clear(&error);
	assert_int_equal(error.code, PLEACH_OK);
	assert_int_equal(error.err, 0);
	assert_string_equal(error.message, "");
	assert_string_equal(error.hint, "");
	assert_string_equal(error.path, "");
	assert_int_equal(error.size, sizeof(error));
}

static void fail_with_positive(void)
{
	pl_fail(NULL, PLEACH_FAILED, EIO, "x");
}

static void fail_with_ok(void)
{
	pl_fail(NULL, PLEACH_OK, -EIO, "x");
}

static void fail_with_zero(void)
{
	pl_fail_sys(NULL, 0, "x");
}

static void a_failure_that_is_none_is_a_bug(void **state)
{
	assert_true(aborts(fail_with_positive));
	assert_true(aborts(fail_with_ok));
	assert_true(aborts(fail_with_zero));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_failure_fills_in_code_errno_and_message),
		cmocka_unit_test(nobody_needs_to_want_an_error),
		cmocka_unit_test(the_short_ways_have_their_code_and_errno),
		cmocka_unit_test(a_failed_system_call_has_its_code_and_cause),
		cmocka_unit_test(every_control_byte_of_a_name_is_escaped_and_no_other),
		cmocka_unit_test(a_path_stays_as_it_was_given),
		cmocka_unit_test(an_argument_may_be_the_message_itself),
		cmocka_unit_test(a_new_failure_forgets_the_one_before),
		cmocka_unit_test(a_message_that_just_fits_is_whole),
		cmocka_unit_test(a_message_too_long_is_cut_at_its_end_and_says_so),
		cmocka_unit_test(no_cut_falls_within_an_escape),
		cmocka_unit_test(a_cause_outlives_the_longest_path),
		cmocka_unit_test(a_path_is_cut_at_its_front_before_a_name),
		cmocka_unit_test(a_prefix_stands_before_the_message_which_is_not_escaped_again),
		cmocka_unit_test(a_prefix_to_a_full_message_cuts_the_end),
		cmocka_unit_test(fields_beyond_the_size_are_not_touched),
		cmocka_unit_test(a_size_of_zero_means_all),
		cmocka_unit_test(a_cleared_error_is_none),
		cmocka_unit_test(a_failure_that_is_none_is_a_bug),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
