/* An id has one spelling. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/base.h"

#define SAMPLE             \
	"00010a0f10a0f0ff" \
	"0123456789abcdef" \
	"fedcba9876543210" \
	"ffffffff00000000"

static void an_id_is_written_and_parsed_again(void **state)
{
	struct pl_id id, again;
	char hex[PL_ID_HEX + 1];

	assert_int_equal(pl_id_parse(SAMPLE, &id), 0);
	assert_int_equal(id.bytes[0], 0x00);
	assert_int_equal(id.bytes[3], 0x0f);
	assert_int_equal(id.bytes[7], 0xff);
	assert_ptr_equal(pl_id_hex(&id, hex), hex);
	assert_string_equal(hex, SAMPLE);
	for (int i = 0; i < 256; i++) {
		memset(id.bytes, i, sizeof(id.bytes));
		assert_int_equal(pl_id_parse(pl_id_hex(&id, hex), &again), 0);
		assert_true(pl_id_equal(&id, &again));
	}
}

static void what_is_no_id_is_refused_and_nothing_written(void **state)
{
	struct pl_id id, before;
	char hex[PL_ID_HEX + 2];

	memset(&id, 0x5a, sizeof(id));
	before = id;
	for (size_t i = 0; i < PL_ID_HEX; i++) {
		for (int c = 0; c < 256; c++) {
			if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))
				continue;
			memcpy(hex, SAMPLE, PL_ID_HEX + 1);
			hex[i] = (char)c;
			assert_int_equal(pl_id_parse(hex, &id), -EINVAL);
		}
	}
	memcpy(hex, SAMPLE "0", PL_ID_HEX + 2);
	assert_int_equal(pl_id_parse(hex, &id), -EINVAL);
	assert_int_equal(pl_id_parse("", &id), -EINVAL);
	assert_true(pl_id_equal(&id, &before));
}

static void ids_are_ordered_as_their_digits_are(void **state)
{
	static const char *const ordered[] = {
		"00000000000000000000000000000000000000000000000000000000000000ff",
		"0000000000000000000000000000000000000000000000000000000000000100",
		"7f00000000000000000000000000000000000000000000000000000000000000",
		"8000000000000000000000000000000000000000000000000000000000000000",
		"ff00000000000000000000000000000000000000000000000000000000000000",
	};
	struct pl_id a, b;

	for (size_t i = 0; i < PL_ARRAY_LEN(ordered); i++) {
		for (size_t k = 0; k < PL_ARRAY_LEN(ordered); k++) {
			int order;

			assert_int_equal(pl_id_parse(ordered[i], &a), 0);
			assert_int_equal(pl_id_parse(ordered[k], &b), 0);
			order = pl_id_compare(&a, &b);
			assert_int_equal((order > 0) - (order < 0), (i > k) - (i < k));
			assert_int_equal(pl_id_equal(&a, &b), i == k);
		}
	}
}

static void hex_is_two_digits_a_byte(void **state)
{
	char hex[9];

	pl_hex("\x00\x7f\x80\xff", 4, hex);
	assert_string_equal(hex, "007f80ff");
	pl_hex(NULL, 0, hex);
	assert_string_equal(hex, "");
}

static void only_lower_case_digits_are_hex_and_none_is_not(void **state)
{
	assert_true(pl_is_hex("0123456789abcdef", 16));
	assert_true(pl_is_hex("0g", 1));
	assert_false(pl_is_hex("0g", 2));
	assert_false(pl_is_hex("A", 1));
	assert_false(pl_is_hex("-1", 2));
	assert_false(pl_is_hex("0", 5)); /* ends before: not read further */
	assert_false(pl_is_hex("", 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_id_is_written_and_parsed_again),
		cmocka_unit_test(what_is_no_id_is_refused_and_nothing_written),
		cmocka_unit_test(ids_are_ordered_as_their_digits_are),
		cmocka_unit_test(hex_is_two_digits_a_byte),
		cmocka_unit_test(only_lower_case_digits_are_hex_and_none_is_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
