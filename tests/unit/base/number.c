/* Numbers have one spelling, and what is refused writes nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>

#include "base/base.h"

#define UNTOUCHED UINT64_C(0x5a5a5a5a5a5a5a5a)

static void refused(int (*parse)(const char *, uint64_t *), const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint64_t value = UNTOUCHED;

		if (parse(list[i], &value) != -EINVAL || value != UNTOUCHED)
			fail_msg("'%s' was not refused: %" PRIu64, list[i], value);
	}
}

static void accepted(int (*parse)(const char *, uint64_t *), const char *s, uint64_t expected)
{
	uint64_t value = UNTOUCHED;

	if (parse(s, &value) != 0 || value != expected)
		fail_msg("'%s' gave %" PRIu64, s, value);
}

static int parse_any(const char *s, uint64_t *ret_value)
{
	return pl_parse_u64(s, UINT64_MAX, ret_value);
}

static void a_number_is_digits_and_nothing_else(void **state)
{
	static const char *const bad[] = {
		"",
		" ",
		"-1",
		"+1",
		" 1",
		"1 ",
		"00",
		"01",
		"0x10",
		"1e3",
		"1.0",
		"a",
		"1a",
		"\n1",
		"1_",
		"-0",
		"18446744073709551616",
		"99999999999999999999",
		"184467440737095516150",
	};

	accepted(parse_any, "0", 0);
	accepted(parse_any, "7", 7);
	accepted(parse_any, "10", 10);
	accepted(parse_any, "18446744073709551615", UINT64_MAX);
	refused(parse_any, bad, PL_ARRAY_LEN(bad));
}

static void a_number_is_at_most_max(void **state)
{
	static const uint64_t limits[] = {
		0, 1, 5, 9, 10, 11, 99, 100, 255, 65535, INT64_MAX, UINT64_MAX - 1,
	};

	for (size_t i = 0; i < PL_ARRAY_LEN(limits); i++) {
		uint64_t value = UNTOUCHED;
		char text[32];

		snprintf(text, sizeof(text), "%" PRIu64, limits[i] + 1);
		assert_int_equal(pl_parse_u64(text, limits[i], &value), -EINVAL);
		assert_true(value == UNTOUCHED);
		snprintf(text, sizeof(text), "%" PRIu64, limits[i]);
		assert_int_equal(pl_parse_u64(text, limits[i], &value), 0);
		assert_true(value == limits[i]);
	}
}

static void durations_have_one_unit_but_zero_needs_none(void **state)
{
	static const char *const bad[] = {
		"",
		"s",
		"90",
		"1",
		"1ms",
		"1s ",
		" 1s",
		"1S",
		"1m30s",
		"-1s",
		"1.5h",
		"01s",
		"1y",
		"0x1s",
		"1 s",
		"1ss",
		"15250284452472w",
		"9223372036854775807s",
		"9223372036854776s",
		"18446744073709551616s",
	};

	accepted(pl_parse_duration, "0", 0);
	accepted(pl_parse_duration, "0w", 0);
	accepted(pl_parse_duration, "90s", 90000);
	accepted(pl_parse_duration, "10m", 600000);
	accepted(pl_parse_duration, "12h", 43200000);
	accepted(pl_parse_duration, "30d", UINT64_C(2592000000));
	accepted(pl_parse_duration, "4w", UINT64_C(2419200000));
	accepted(pl_parse_duration, "9223372036854775s", UINT64_C(9223372036854775000));
	refused(pl_parse_duration, bad, PL_ARRAY_LEN(bad));
}

static void sizes_are_binary_and_a_bare_number_is_bytes(void **state)
{
	static const char *const bad[] = {
		"",
		"K",
		"1k",
		"1KB",
		"1KiB",
		"1P",
		"1 K",
		"-1",
		"010K",
		"1.5M",
		"9223372036854775808",
		"8388608T",
		"9007199254740992K",
		"1KK",
	};

	accepted(pl_parse_size, "0", 0);
	accepted(pl_parse_size, "0T", 0);
	accepted(pl_parse_size, "1000", 1000);
	accepted(pl_parse_size, "512K", 512 * 1024);
	accepted(pl_parse_size, "10M", 10 * 1024 * 1024);
	accepted(pl_parse_size, "2G", UINT64_C(2) << 30);
	accepted(pl_parse_size, "1T", UINT64_C(1) << 40);
	accepted(pl_parse_size, "8388607T", UINT64_C(8388607) << 40);
	accepted(pl_parse_size, "9223372036854775807", INT64_MAX);
	refused(pl_parse_size, bad, PL_ARRAY_LEN(bad));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_number_is_digits_and_nothing_else),
		cmocka_unit_test(a_number_is_at_most_max),
		cmocka_unit_test(durations_have_one_unit_but_zero_needs_none),
		cmocka_unit_test(sizes_are_binary_and_a_bare_number_is_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
