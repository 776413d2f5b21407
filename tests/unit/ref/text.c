/* A text has one spelling, checks itself, and hands out nothing that does not verify. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ref/stores.h"

/* Made with sha256sum. */
#define EXAMPLE                             \
	"pleach-tag 1\n"                    \
	"name a%0ab%25c%7f\xc3\xa4 \n"      \
	"generation 18446744073709551615\n" \
	"sum sha256:69318ca19da775a1235903ef814cacac4274758227e64dc00b9fedc802c2280e\n"

static void add_example(struct pl_buffer *b)
{
	pl_text_add(b, "pleach-tag", "1");
	pl_text_add(b, "name", "a\nb%c\x7f\xc3\xa4 ");
	pl_text_add_number(b, "generation", UINT64_MAX);
	pl_text_end(b);
}

/* Reads all of an example. */
static int read_example(const void *data, size_t length)
{
	struct pl_text text;
	const char *name;
	bool is_right;
	int r = pl_text_open(&text, data, length, "pleach-tag", 1);

	if (r < 0)
		return r;
	name = pl_text_get(&text, "name");
	is_right = strcmp(name, "a\nb%c\x7f\xc3\xa4 ") == 0;
	is_right = pl_text_get_number(&text, "generation") == UINT64_MAX && is_right;
	r = pl_text_close(&text);
	pl_text_done(&text);
	return r == 0 && !is_right ? -EILSEQ : r;
}

static void a_text_has_the_bytes_that_the_format_says(void **state)
{
	PL_BUFFER b = {0};

	add_example(&b);
	assert_true(pl_buffer_ok(&b));
	assert_string_equal(pl_buffer_string(&b), EXAMPLE);
	assert_int_equal(read_example(EXAMPLE, strlen(EXAMPLE)), 0);
}

static void every_single_byte_change_is_refused(void **state)
{
	char bytes[] = EXAMPLE;
	size_t length = sizeof(bytes) - 1;

	for (size_t i = 0; i < length; i++) {
		char right = bytes[i];

		for (int c = 0; c < 256; c++) {
			int r;

			bytes[i] = (char)c;
			r = read_example(bytes, length);
			if (bytes[i] != right && r != -EBADMSG && r != -EPROTONOSUPPORT)
				fail_msg("byte %zu as %02x gave %d", i, c, r);
			/* A newer version is no damage, but only if it is the number that differs. */
			if (r == -EPROTONOSUPPORT && i != strlen("pleach-tag "))
				fail_msg("byte %zu as %02x was taken for a version", i, c);
		}
		bytes[i] = right;
	}
	assert_int_equal(read_example(bytes, length), 0);
}

static void every_cut_and_every_addition_is_refused(void **state)
{
	char bytes[sizeof(EXAMPLE) + 1] = EXAMPLE;
	size_t length = sizeof(EXAMPLE) - 1;

	for (size_t i = 0; i < length; i++) {
		assert_int_equal(read_example(bytes, i), -EBADMSG);
		if (i > 0)
			assert_true(read_example(bytes + i, length - i) < 0);
	}
	for (int c = 0; c < 256; c++) {
		bytes[length] = (char)c;
		assert_int_equal(read_example(bytes, length + 1), -EBADMSG);
	}
}

/* Opens a text of this body with a right sum, and takes one value of `key`. */
static int take(const char *body, size_t length, const char *key)
{
	PL_BUFFER b = {0};
	struct pl_text text;
	int r;

	pl_buffer_add_string(&b, "pleach-tag 1\n");
	pl_buffer_add(&b, body, length);
	pl_text_end(&b);
	r = pl_text_open(&text, b.data, b.length, "pleach-tag", 1);
	if (r < 0)
		return r;
	pl_text_get(&text, key);
	r = pl_text_close(&text);
	pl_text_done(&text);
	return r;
}
#define TAKE(body) take(body, sizeof(body) - 1, "name")

static void another_spelling_is_refused_even_with_the_right_sum(void **state)
{
	assert_int_equal(TAKE("name abc\n"), 0);
	assert_int_equal(TAKE("name \n"), 0);
	assert_int_equal(TAKE("name %0a%1f%25%7f\n"), 0);
	assert_int_equal(TAKE("name a\tb\n"), -EBADMSG);  /* not escaped */
	assert_int_equal(TAKE("name a\x7f\n"), -EBADMSG); /* not escaped */
	assert_int_equal(TAKE("name a%41\n"), -EBADMSG);  /* needs none */
	assert_int_equal(TAKE("name a%0A\n"), -EBADMSG);  /* upper case */
	assert_int_equal(TAKE("name a%00\n"), -EBADMSG);  /* would end the string */
	assert_int_equal(TAKE("name a\0b\n"), -EBADMSG);
	assert_int_equal(TAKE("name a%\n"), -EBADMSG);
	assert_int_equal(TAKE("name a%0\n"), -EBADMSG);
	assert_int_equal(TAKE("name a%0g\n"), -EBADMSG);
	assert_int_equal(TAKE("name a%2\n5\n"), -EBADMSG);
	assert_int_equal(TAKE("name\n"), -EBADMSG);
	assert_int_equal(TAKE("name a\nname b\n"), -EBADMSG); /* not all was taken */
	assert_int_equal(TAKE("\nname a\n"), -EBADMSG);
	assert_int_equal(TAKE("namen a\n"), -EBADMSG);
	assert_int_equal(TAKE(""), -EBADMSG);
}

static void a_sum_that_is_no_line_of_its_own_is_refused(void **state)
{
	static const char body[] = "pleach-tag 1\nname x";
	char hex[PL_ID_HEX + 1];
	PL_BUFFER b = {0};
	struct pl_id sum;

	pl_hash_of(body, strlen(body), &sum);
	pl_buffer_add_format(&b, "%ssum sha256:%s\n", body, pl_id_hex(&sum, hex));
	assert_int_equal(read_example(b.data, b.length), -EBADMSG);
}

static int take_number(const char *value)
{
	PL_BUFFER b = {0};
	struct pl_text text;
	int r;

	pl_text_add(&b, "pleach-tag", "1");
	pl_text_add(&b, "n", value);
	pl_text_end(&b);
	assert_int_equal(pl_text_open(&text, b.data, b.length, "pleach-tag", 1), 0);
	(void)pl_text_get_number(&text, "n");
	r = pl_text_close(&text);
	pl_text_done(&text);
	return r;
}

static void numbers_and_ids_have_one_spelling(void **state)
{
	PL_BUFFER b = {0};
	struct pl_text text;
	struct pl_id id, back;

	assert_int_equal(take_number("0"), 0);
	assert_int_equal(take_number("18446744073709551615"), 0);
	assert_int_equal(take_number("18446744073709551616"), -EBADMSG);
	assert_int_equal(take_number("01"), -EBADMSG);
	assert_int_equal(take_number(""), -EBADMSG);
	assert_int_equal(take_number(" 1"), -EBADMSG);

	pl_hash_of("x", 1, &id);
	pl_text_add(&b, "pleach-tag", "1");
	pl_text_add_id(&b, "a", &id);
	pl_text_add(&b, "b",
		    "sha512:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881");
	pl_text_end(&b);
	assert_int_equal(pl_text_open(&text, b.data, b.length, "pleach-tag", 1), 0);
	pl_text_get_id(&text, "a", &back);
	assert_true(pl_id_equal(&id, &back) && !text.failed);
	pl_text_get_id(&text, "b", &back);
	assert_true(text.failed);
	assert_int_equal(pl_text_close(&text), -EBADMSG);
	pl_text_done(&text);
}

static void keys_are_taken_in_order_and_what_is_not_there_is_not_consumed(void **state)
{
	PL_BUFFER b = {0};
	struct pl_text text;

	pl_text_add(&b, "pleach-tag", "1");
	pl_text_add(&b, "a", "1");
	pl_text_add(&b, "b", "2");
	pl_text_end(&b);
	assert_int_equal(pl_text_open(&text, b.data, b.length, "pleach-tag", 1), 0);
	assert_null(pl_text_next(&text, "b"));
	assert_null(pl_text_next(&text, "aa"));
	assert_null(pl_text_next(&text, ""));
	assert_string_equal(pl_text_next(&text, "a"), "1");
	assert_false(text.failed);
	assert_string_equal(pl_text_next(&text, "b"), "2");
	assert_null(pl_text_next(&text, "b"));
	assert_int_equal(pl_text_close(&text), 0);
	assert_string_equal(pl_text_get(&text, "c"), "");
	assert_int_equal(pl_text_close(&text), -EBADMSG);
	pl_text_done(&text);
}

static void a_newer_version_is_told_before_anything_else_is_read(void **state)
{
	static const char newer[] = "pleach-tag 12\nwhatever \x01 follows";
	struct pl_text text;

	assert_int_equal(pl_text_open(&text, newer, sizeof(newer) - 1, "pleach-tag", 1),
			 -EPROTONOSUPPORT);
	assert_true(text.version == 12);
	assert_int_equal(pl_text_open(&text, "pleach-tag 0\n", 13, "pleach-tag", 1), -EBADMSG);
	assert_int_equal(pl_text_open(&text, "pleach-tag 02\n", 14, "pleach-tag", 1), -EBADMSG);
	assert_int_equal(pl_text_open(&text, "pleach-tag 2", 12, "pleach-tag", 1), -EBADMSG);
	assert_int_equal(pl_text_open(&text, "pleach-tagg 2\n", 14, "pleach-tag", 1), -EBADMSG);
	assert_int_equal(pl_text_open(&text, EXAMPLE, strlen(EXAMPLE), "pleach-generation", 1),
			 -EBADMSG);
}

static void a_text_of_more_than_a_mebibyte_is_refused(void **state)
{
	PL_BUFFER b = {0};
	struct pl_text text;
	char *value = malloc(PL_TEXT_MAX);

	assert_non_null(value);
	memset(value, 'a', PL_TEXT_MAX);
	for (unsigned more = 0; more < 2; more++) {
		size_t rest = strlen("pleach-tag 1\nname \n") + strlen("sum sha256:") + 65;

		value[PL_TEXT_MAX - rest + more] = '\0';
		pl_buffer_truncate(&b, 0);
		pl_text_add(&b, "pleach-tag", "1");
		pl_text_add(&b, "name", value);
		pl_text_end(&b);
		assert_int_equal(b.length, PL_TEXT_MAX + more);
		assert_int_equal(pl_text_open(&text, b.data, b.length, "pleach-tag", 1),
				 more ? -EBADMSG : 0);
		value[PL_TEXT_MAX - rest + more] = 'a';
	}
	free(value);
}

/* ---- times ---- */

static int parse(const char *value, int64_t *s, uint32_t *ns)
{
	PL_BUFFER b = {0};
	struct pl_text text;
	int r;

	pl_text_add(&b, "pleach-tag", "1");
	pl_text_add(&b, "time", value);
	pl_text_end(&b);
	assert_int_equal(pl_text_open(&text, b.data, b.length, "pleach-tag", 1), 0);
	pl_text_get_time(&text, "time", s, ns);
	r = pl_text_close(&text);
	pl_text_done(&text);
	return r;
}

static void times_are_those_of_the_calendar(void **state)
{
	static const struct {
		int64_t s;
		uint32_t ns;
		const char *text;
	} known[] = {
		{0, 0, "1970-01-01T00:00:00.000000000Z"},
		{-1, 999999999, "1969-12-31T23:59:59.999999999Z"},
		{951782400, 1, "2000-02-29T00:00:00.000000001Z"},
		{4107542399, 0, "2100-02-28T23:59:59.000000000Z"},
		{4107542400, 0, "2100-03-01T00:00:00.000000000Z"},
		{1234567890, 123456789, "2009-02-13T23:31:30.123456789Z"},
		{253402300799, 0, "9999-12-31T23:59:59.000000000Z"},
		{-62135596800, 0, "0001-01-01T00:00:00.000000000Z"},
	};
	char text[PL_TIME_TEXT];
	uint32_t ns;
	int64_t s;

	for (size_t i = 0; i < PL_ARRAY_LEN(known); i++) {
		pl_time_text(known[i].s, known[i].ns, text);
		assert_string_equal(text, known[i].text);
		assert_int_equal(parse(text, &s, &ns), 0);
		assert_true(s == known[i].s && ns == known[i].ns);
	}
	pl_time_text(INT64_MAX, 0, text);
	assert_string_equal(text, "9999-12-31T23:59:59.000000000Z");
	pl_time_text(INT64_MIN, 0, text);
	assert_string_equal(text, "0001-01-01T00:00:00.000000000Z");
	for (int64_t at = -62135596800; at < 253402300800; at += 86400 * 31 + 12345) {
		struct tm tm;
		time_t t = (time_t)at;
		char other[64];

		pl_time_text(at, 7, text);
		assert_int_equal(parse(text, &s, &ns), 0);
		assert_true(s == at && ns == 7);
		assert_non_null(gmtime_r(&t, &tm));
		(void)snprintf(other, sizeof(other), "%04d-%02d-%02dT%02d:%02d:%02d.000000007Z",
			       tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min,
			       tm.tm_sec);
		assert_string_equal(text, other);
	}
}

static void other_times_are_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"1970-01-01T00:00:00Z",
		"1970-01-01T00:00:00.0000000000Z",
		"1970-01-01 00:00:00.000000000Z",
		"1970-01-01T00:00:00.000000000z",
		"1970-01-01T00:00:00.000000000+",
		"1970-00-01T00:00:00.000000000Z",
		"1970-13-01T00:00:00.000000000Z",
		"1970-01-00T00:00:00.000000000Z",
		"1970-01-32T00:00:00.000000000Z",
		"1970-04-31T00:00:00.000000000Z",
		"1900-02-29T00:00:00.000000000Z",
		"2001-02-29T00:00:00.000000000Z",
		"1970-01-01T24:00:00.000000000Z",
		"1970-01-01T00:60:00.000000000Z",
		"1970-01-01T00:00:60.000000000Z",
		"0000-01-01T00:00:00.000000000Z",
		"-001-01-01T00:00:00.000000000Z",
		"1970-01-01T00:00:00.00000000 Z",
	};
	uint32_t ns;
	int64_t s;

	for (size_t i = 0; i < PL_ARRAY_LEN(bad); i++) {
		if (parse(bad[i], &s, &ns) != -EBADMSG)
			fail_msg("'%s' was not refused", bad[i]);
	}
}

/* ---- files ---- */

static void a_text_is_written_whole_and_with_its_mode_whatever_the_umask(void **state)
{
	struct scratch *s = *state;
	PL_BUFFER b = {0}, back = {0};

	add_example(&b);
	umask(0777);
	assert_int_equal(pl_text_write(s->fd, "tag", 0644, &b, true), 0);
	umask(022);
	assert_int_equal(mode_of(s->fd, "tag"), 0644);
	assert_int_equal(pl_read_file(s->fd, "tag", PL_TEXT_MAX, &back), 0);
	assert_int_equal(back.length, b.length);
	assert_memory_equal(back.data, b.data, b.length);
	assert_int_equal(pl_text_write(s->fd, "tag", 0644, &b, true), -EEXIST);
	assert_int_equal(pl_exists(s->fd, "tag"), 1);
}

static void a_text_that_cannot_be_written_leaves_no_name(void **state)
{
	struct scratch *s = *state;
	PL_BUFFER b = {0};

	add_example(&b);
	for (uint64_t n = 1; n <= 4; n++) {
		pl_seam_arm(&(struct pl_seam_plan){.fail_at = n, .fail_errno = EIO});
		assert_int_equal(pl_text_write(s->fd, "tag", 0644, &b, true), -EIO);
		pl_seam_arm(NULL);
		assert_int_equal(pl_exists(s->fd, "tag"), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_text_has_the_bytes_that_the_format_says),
		cmocka_unit_test(every_single_byte_change_is_refused),
		cmocka_unit_test(every_cut_and_every_addition_is_refused),
		cmocka_unit_test(another_spelling_is_refused_even_with_the_right_sum),
		cmocka_unit_test(a_sum_that_is_no_line_of_its_own_is_refused),
		cmocka_unit_test(numbers_and_ids_have_one_spelling),
		cmocka_unit_test(keys_are_taken_in_order_and_what_is_not_there_is_not_consumed),
		cmocka_unit_test(a_newer_version_is_told_before_anything_else_is_read),
		cmocka_unit_test(a_text_of_more_than_a_mebibyte_is_refused),
		cmocka_unit_test(times_are_those_of_the_calendar),
		cmocka_unit_test(other_times_are_refused),
		TEST(a_text_is_written_whole_and_with_its_mode_whatever_the_umask),
		TEST(a_text_that_cannot_be_written_leaves_no_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
