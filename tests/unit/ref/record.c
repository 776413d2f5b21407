/* A record comes back as it was written, and one that breaks a rule is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ref/stores.h"

static struct pl_record sample(void)
{
	struct pl_record r = {
		.ref = "site",
		.ref_id = "0123456789abcdef01234567",
		.generation = 7,
		.parent = 6,
		.kind = "publish",
		.time_s = 1234567890,
		.time_ns = 42,
		.uid = 1000,
		.user = "anna",
		.host = "host.example",
		.added = 1,
		.modified = 2,
		.removed = 3,
		.bytes_new = UINT64_MAX,
	};

	pl_hash_of("tree", 4, &r.tree);
	return r;
}

static void assert_same(const struct pl_record *a, const struct pl_record *b)
{
	assert_string_equal(a->ref, b->ref);
	assert_string_equal(a->ref_id, b->ref_id);
	assert_true(a->generation == b->generation && a->parent == b->parent);
	assert_true(pl_id_equal(&a->tree, &b->tree));
	assert_string_equal(a->kind, b->kind);
	assert_true(a->time_s == b->time_s && a->time_ns == b->time_ns && a->uid == b->uid);
	assert_string_equal(a->user, b->user);
	assert_string_equal(a->host, b->host);
	assert_true(a->added == b->added && a->modified == b->modified);
	assert_true(a->removed == b->removed && a->bytes_new == b->bytes_new);
	assert_int_equal(!a->message, !b->message);
	if (a->message)
		assert_string_equal(a->message, b->message);
	assert_int_equal(a->meta.n, b->meta.n);
	for (size_t i = 0; i < a->meta.n; i++)
		assert_string_equal(a->meta.items[i], b->meta.items[i]);
}

static void round_trip(const struct pl_record *record)
{
	struct pl_record back;
	PL_BUFFER b = {0};

	assert_int_equal(pl_record_encode(record, &b), 0);
	assert_int_equal(pl_record_decode(b.data, b.length, &back), 0);
	assert_same(record, &back);
	pl_record_done(&back);
}

static void a_record_comes_back_with_every_byte(void **state)
{
	struct pl_record record = sample();
	char odd[256 + 8];

	round_trip(&record);
	for (int i = 1; i < 256; i++)
		odd[i - 1] = (char)i;
	(void)strcpy(odd + 255, "=% \n");
	record.message = strdup(odd);
	assert_non_null(record.message);
	memcpy(record.user, odd, 255);
	memcpy(record.host, odd, 255);
	record.user[255] = record.host[255] = '\0';
	assert_int_equal(pl_strings_add(&record.meta, "k=v"), 0);
	assert_int_equal(pl_strings_add(&record.meta, odd), 0);
	assert_int_equal(pl_strings_add(&record.meta, "a=="), 0);
	assert_int_equal(pl_strings_add(&record.meta, "a="), 0);
	round_trip(&record);
	pl_record_done(&record);
}

static void a_record_has_the_lines_of_the_format(void **state)
{
	struct pl_record record = sample();
	PL_BUFFER b = {0};
	char hex[PL_ID_HEX + 1], expected[1024];
	int n;

	record.message = strdup("two\nlines");
	assert_int_equal(pl_strings_add(&record.meta, "k=v w"), 0);
	assert_int_equal(pl_record_encode(&record, &b), 0);
	n = snprintf(expected, sizeof(expected),
		     "pleach-generation 1\nref site\nref-id 0123456789abcdef01234567\n"
		     "generation 7\nparent 6\ntree sha256:%s\nkind publish\n"
		     "time 2009-02-13T23:31:30.000000042Z\nuid 1000\nuser anna\nhost host.example\n"
		     "added 1\nmodified 2\nremoved 3\nbytes-new 18446744073709551615\n"
		     "message two%%0alines\nmeta k=v w\nsum sha256:",
		     pl_id_hex(&record.tree, hex));
	assert_true(b.length == (size_t)n + 65);
	assert_memory_equal(b.data, expected, (size_t)n);
	pl_record_done(&record);
}

static void an_empty_message_is_none(void **state)
{
	struct pl_record record = sample(), back;
	PL_BUFFER b = {0};

	record.message = strdup("");
	assert_int_equal(pl_record_encode(&record, &b), 0);
	assert_null(strstr(pl_buffer_string(&b), "message"));
	assert_int_equal(pl_record_decode(b.data, b.length, &back), 0);
	assert_null(back.message);
	pl_record_done(&back);
	pl_record_done(&record);
}

static char *repeated(char c, size_t n)
{
	char *s = malloc(n + 1);

	assert_non_null(s);
	memset(s, c, n);
	s[n] = '\0';
	return s;
}

static void what_is_too_large_is_refused_and_adds_nothing(void **state)
{
	struct pl_record record = sample();
	PL_BUFFER b = {0};

	record.message = repeated('%', PL_MESSAGE_MAX); /* three times as long when escaped */
	round_trip(&record);
	pl_record_done(&record);

	record = sample();
	record.message = repeated('m', PL_MESSAGE_MAX + 1);
	assert_int_equal(pl_record_encode(&record, &b), -E2BIG);
	pl_record_done(&record);

	record = sample();
	for (int i = 0; i < 3; i++) {
		PL_FREE char *meta = repeated('k', 90000);

		meta[1] = '=';
		assert_int_equal(pl_strings_add(&record.meta, meta), 0);
		assert_int_equal(pl_record_encode(&record, &b), i < 2 ? 0 : -E2BIG);
		pl_buffer_truncate(&b, 0);
	}
	pl_record_done(&record);

	record = sample();
	{
		PL_FREE char *meta = repeated('\n', 100000);

		meta[0] = 'k';
		meta[1] = '=';
		assert_int_equal(pl_strings_add(&record.meta, meta), 0);
		assert_int_equal(pl_record_encode(&record, &b), -E2BIG); /* escaped */
	}
	assert_int_equal(b.length, 0);
	pl_record_done(&record);
}

static void a_meta_without_key_is_refused(void **state)
{
	static const char *const bad[] = {"", "=", "=v", "k"};

	for (size_t i = 0; i < PL_ARRAY_LEN(bad); i++) {
		struct pl_record record = sample();
		PL_BUFFER b = {0};

		assert_int_equal(pl_strings_add(&record.meta, bad[i]), 0);
		assert_int_equal(pl_record_encode(&record, &b), -EINVAL);
		pl_record_done(&record);
	}
}

static void every_single_byte_change_of_a_record_is_refused(void **state)
{
	struct pl_record record = sample(), back;
	PL_BUFFER b = {0};

	record.message = strdup("m");
	assert_int_equal(pl_strings_add(&record.meta, "k=v"), 0);
	assert_int_equal(pl_record_encode(&record, &b), 0);
	for (size_t i = 0; i < b.length; i++) {
		for (int flip = 1; flip < 256; flip++) {
			int r;

			b.data[i] ^= (unsigned char)flip;
			r = pl_record_decode(b.data, b.length, &back);
			if (r != -EBADMSG && r != -EPROTONOSUPPORT)
				fail_msg("byte %zu ^ %02x gave %d", i, flip, r);
			b.data[i] ^= (unsigned char)flip;
		}
	}
	pl_record_done(&record);
}

/* Replaces `from` by `to` in a good record, and makes the sum right again. */
static int decode_with(const char *from, const char *to)
{
	struct pl_record record = sample(), back;
	PL_BUFFER good = {0}, bad = {0};
	const char *text, *at;
	int r;

	record.message = strdup("m");
	assert_int_equal(pl_strings_add(&record.meta, "k=v"), 0);
	assert_int_equal(pl_record_encode(&record, &good), 0);
	pl_record_done(&record);
	pl_buffer_truncate(&good, good.length - strlen("sum sha256:\n") - PL_ID_HEX);
	text = pl_buffer_string(&good);
	at = strstr(text, from);
	assert_non_null(at);
	pl_buffer_add(&bad, text, (size_t)(at - text));
	pl_buffer_add_string(&bad, to);
	pl_buffer_add_string(&bad, at + strlen(from));
	pl_text_end(&bad);
	r = pl_record_decode(bad.data, bad.length, &back);
	if (r == 0)
		pl_record_done(&back);
	return r;
}

static void a_record_that_verifies_but_breaks_a_rule_is_refused(void **state)
{
	static const char *const bad[][2] = {
		{"ref site", "ref tree"},
		{"ref site", "ref a/b"},
		{"ref site\n", ""},
		{"01234567\n", "0123456\n"},
		{"0123456789", "0123456789a"},
		{"0123456789abcdef", "0123456789ABCDEF"},
		{"generation 7", "generation 8"},
		{"generation 7\nparent 6", "generation 0\nparent 18446744073709551615"},
		{"parent 6", "parent 7"},
		{"kind publish", "kind edit"},
		{"kind publish", "kind "},
		{"kind publish", "kind publishpublishpublish"},
		{"uid 1000", "uid 4294967296"},
		{"uid 1000", "uid -1"},
		{"message m", "message "},
		{"meta k=v", "meta k"},
		{"meta k=v", "meta =v"},
		{"added 1\nmodified 2", "modified 2\nadded 1"},
		{"message m\nmeta k=v", "meta k=v\nmessage m"},
		{"message m\n", "message m\nmessage m\n"},
		{"meta k=v\n", "meta k=v\nmore x\n"},
		{"tree sha256:", "tree "},
		{"bytes-new", "bytes"},
	};

	assert_int_equal(decode_with("kind publish", "kind dropped"), 0);
	assert_int_equal(decode_with("generation 7\nparent 6", "generation 1\nparent 0"), 0);
	assert_int_equal(decode_with("message m\nmeta k=v\n", ""), 0);
	for (size_t i = 0; i < PL_ARRAY_LEN(bad); i++) {
		if (decode_with(bad[i][0], bad[i][1]) != -EBADMSG)
			fail_msg("'%s' for '%s' was not refused", bad[i][1], bad[i][0]);
	}
	assert_int_equal(decode_with("pleach-generation 1", "pleach-generation 2"),
			 -EPROTONOSUPPORT);
}

static void a_stamp_says_who_and_when(void **state)
{
	struct pl_record record = sample();

	record.user[0] = record.host[0] = '\0';
	record.time_s = 0;
	pl_record_stamp(&record);
	assert_true(record.time_s > 1500000000 && record.time_ns < 1000000000);
	assert_true(record.uid == geteuid());
	assert_true(record.user[0] && record.host[0]);
	round_trip(&record);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_record_comes_back_with_every_byte),
		cmocka_unit_test(a_record_has_the_lines_of_the_format),
		cmocka_unit_test(an_empty_message_is_none),
		cmocka_unit_test(what_is_too_large_is_refused_and_adds_nothing),
		cmocka_unit_test(a_meta_without_key_is_refused),
		cmocka_unit_test(every_single_byte_change_of_a_record_is_refused),
		cmocka_unit_test(a_record_that_verifies_but_breaks_a_rule_is_refused),
		cmocka_unit_test(a_stamp_says_who_and_when),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
