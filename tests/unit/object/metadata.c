/* Metadata as a value: M1 and M2 of src/object/metadata.c, the rules, and object ids. */
#include "../aborts.h"
#include "scratch.h"

/* mode 04751, uid 1, gid 0x01020304, mtime -2 s and 999,999,999 ns, one attribute. */
static const unsigned char sample[] = {
	0x09, 0xe9, 0,	  0,	0,    1,    1,	  2,	3,    4, 0xff, 0xff, 0xff,
	0xff, 0xff, 0xff, 0xff, 0xfe, 0x3b, 0x9a, 0xc9, 0xff, 0, 0,    0,    13,
	6,    'u',  's',  'e',	'r',  '.',  'k',  0,	0,    0, 2,    'v',  0,
};
#define SAMPLE_XATTRS 26

static struct pl_meta sample_meta(void)
{
	return (struct pl_meta){
		.mode = 04751,
		.uid = 1,
		.gid = 0x01020304,
		.mtime_s = -2,
		.mtime_ns = 999999999,
		.xattrs = sample + SAMPLE_XATTRS,
		.xattrs_length = sizeof(sample) - SAMPLE_XATTRS,
	};
}

static int decode(const void *data, size_t length, struct pl_meta *ret_meta)
{
	struct pl_reader r = pl_reader_of(data, length);

	return pl_meta_decode(&r, ret_meta);
}

static void the_encoding_is_that_of_the_format(void **state)
{
	const struct pl_meta meta = sample_meta();
	struct pl_reader r = pl_reader_of(sample, sizeof(sample));
	struct pl_meta again;
	PL_BUFFER b = {0};

	pl_meta_encode(&meta, &b);
	assert_true(pl_buffer_ok(&b));
	assert_int_equal(b.length, sizeof(sample));
	assert_memory_equal(b.data, sample, sizeof(sample));
	assert_int_equal(pl_meta_decode(&r, &again), 0);
	assert_int_equal(r.offset, sizeof(sample));
	assert_true(pl_meta_equal(&meta, &again));
	assert_int_equal(again.mtime_s, -2);
	assert_ptr_equal(again.xattrs, sample + SAMPLE_XATTRS);
}

static void extremes_are_encoded_and_decoded_again(void **state)
{
	static const struct pl_meta metas[] = {
		{0},
		{.mode = 07777, .uid = 0xfffffffe, .gid = 0xfffffffe, .mtime_s = INT64_MAX},
		{.uid = PLEACH_NO_OWNER, .gid = PLEACH_NO_OWNER, .mtime_s = INT64_MIN},
		{.mode = 0644, .mtime_s = 1, .mtime_ns = 999999999},
	};

	for (size_t i = 0; i < PL_ARRAY_LEN(metas); i++) {
		PL_BUFFER b = {0};
		struct pl_meta again;

		pl_meta_encode(&metas[i], &b);
		assert_int_equal(b.length, SAMPLE_XATTRS);
		assert_int_equal(decode(b.data, b.length, &again), 0);
		assert_true(pl_meta_equal(&metas[i], &again));
		assert_null(again.xattrs);
	}
}

static void what_breaks_off_is_refused_at_every_byte(void **state)
{
	struct pl_meta meta = {.mode = 1}, before = meta;

	for (size_t n = 0; n < sizeof(sample); n++) {
		/* In memory of just that size, so that reading on is seen. */
		unsigned char *cut = malloc(n > 0 ? n : 1);

		assert_non_null(cut);
		memcpy(cut, sample, n);
		assert_int_equal(decode(cut, n, &meta), -EBADMSG);
		assert_memory_equal(&meta, &before, sizeof(meta));
		free(cut);
	}
}

/* Changes `n` bytes of the sample at `at`, and has it decoded. */
static int decode_changed(size_t at, const char *bytes, size_t n)
{
	unsigned char changed[sizeof(sample)];
	struct pl_meta meta;

	memcpy(changed, sample, sizeof(sample));
	memcpy(changed + at, bytes, n);
	return decode(changed, sizeof(changed), &meta);
}

static void every_rule_that_is_broken_is_refused(void **state)
{
	assert_int_equal(decode_changed(0, "\x0f\xff", 2), 0); /* mode 07777 */
	assert_int_equal(decode_changed(0, "\x10\x00", 2), -EBADMSG);
	assert_int_equal(decode_changed(0, "\x81\xa4", 2), -EBADMSG);	      /* with its kind */
	assert_int_equal(decode_changed(2, "\xff\xff\xff\xff", 4), -EBADMSG); /* one-sided */
	assert_int_equal(decode_changed(6, "\xff\xff\xff\xff", 4), -EBADMSG);
	assert_int_equal(decode_changed(2, "\xff\xff\xff\xff\xff\xff\xff\xff", 8), 0);
	assert_int_equal(decode_changed(18, "\x3b\x9a\xca\x00", 4), -EBADMSG); /* a whole second */
	assert_int_equal(decode_changed(18, "\xff\xff\xff\xff", 4), -EBADMSG);
	assert_int_equal(decode_changed(22, "\x00\x00\x00\x0c", 4), -EBADMSG); /* xattrs cut */
	assert_int_equal(decode_changed(22, "\x00\x10\x00\x01", 4), -EBADMSG);
	assert_int_equal(decode_changed(22, "\xff\xff\xff\xff", 4), -EBADMSG);
	assert_int_equal(decode_changed(26, "\x00", 1), -EBADMSG); /* a name of no bytes */
	assert_int_equal(decode_changed(26, "\x07", 1), -EBADMSG);
	assert_int_equal(decode_changed(27, "v", 1), -EBADMSG);	 /* no such namespace */
	assert_int_equal(decode_changed(32, "\0", 1), -EBADMSG); /* NUL in a name */
	assert_int_equal(decode_changed(33, "\x00\x00\x00\x01", 4), -EBADMSG); /* a byte too many */
	assert_int_equal(decode_changed(33, "\x00\x01\x00\x01", 4), -EBADMSG);
}

static void attributes_out_of_order_or_too_many_are_refused(void **state)
{
	unsigned char head[SAMPLE_XATTRS];
	struct pl_meta meta;
	PL_BUFFER b = {0};

	memcpy(head, sample, sizeof(head));
	head[SAMPLE_XATTRS - 1] = 2 * 13;
	pl_buffer_add(&b, head, sizeof(head));
	add_xattr(&b, "user.k", "v", 2);
	add_xattr(&b, "user.l", "v", 2);
	assert_int_equal(decode(b.data, b.length, &meta), 0);
	b.data[SAMPLE_XATTRS + 13 + 6] = 'k'; /* twice */
	assert_int_equal(decode(b.data, b.length, &meta), -EBADMSG);
	b.data[SAMPLE_XATTRS + 13 + 6] = 'j';
	assert_int_equal(decode(b.data, b.length, &meta), -EBADMSG);
}

static void random_bytes_are_decoded_or_refused(void **state)
{
	uint32_t seed = 1;

	for (int round = 0; round < 200000; round++) {
		unsigned char bytes[sizeof(sample)];
		struct pl_meta meta;
		PL_BUFFER b = {0};

		memcpy(bytes, sample, sizeof(sample));
		for (int i = 0; i < 1 + round % 3; i++) {
			seed = seed * 1664525 + 1013904223;
			bytes[(seed >> 8) % sizeof(sample)] = (unsigned char)(seed >> 24);
		}
		if (decode(bytes, sizeof(bytes), &meta) < 0)
			continue;
		/* What is accepted has one encoding only. */
		pl_meta_encode(&meta, &b);
		assert_memory_equal(b.data, bytes, b.length);
	}
}

static void encode_too_high_a_mode(void)
{
	const struct pl_meta meta = {.mode = 010000};
	PL_BUFFER b = {0};

	pl_meta_encode(&meta, &b);
}

static void encode_half_an_owner(void)
{
	const struct pl_meta meta = {.uid = PLEACH_NO_OWNER};
	PL_BUFFER b = {0};

	pl_meta_encode(&meta, &b);
}

static void encode_bad_xattrs(void)
{
	const struct pl_meta meta = {.xattrs = sample, .xattrs_length = 5};
	PL_BUFFER b = {0};

	pl_meta_encode(&meta, &b);
}

static void a_broken_rule_is_never_encoded(void **state)
{
	assert_true(aborts(encode_too_high_a_mode));
	assert_true(aborts(encode_half_an_owner));
	assert_true(aborts(encode_bad_xattrs));
}

static void equal_looks_at_every_field(void **state)
{
	const struct pl_meta meta = sample_meta();
	struct pl_meta others[6];

	for (size_t i = 0; i < PL_ARRAY_LEN(others); i++)
		others[i] = meta;
	others[0].mode ^= 1;
	others[1].uid++;
	others[2].gid++;
	others[3].xattrs_length--;
	others[4].mtime_s++;
	others[5].mtime_ns--;
	assert_true(pl_meta_equal(&meta, &meta));
	for (size_t i = 0; i < PL_ARRAY_LEN(others); i++) {
		assert_false(pl_meta_equal(&meta, &others[i]));
		assert_int_equal(pl_meta_equal_but_mtime(&meta, &others[i]), i >= 4);
	}
}

/* ---- rules ---- */

static void rules_have_names(void **state)
{
	static const char *const names[] = {"exact", "portable", "canonical"};
	enum pl_rule rule = PL_RULE_CANONICAL;

	for (size_t i = 0; i < PL_ARRAY_LEN(names); i++) {
		assert_int_equal(pl_rule_parse(names[i], &rule), 0);
		assert_int_equal(rule, i);
		assert_string_equal(pl_rule_name(rule), names[i]);
	}
	assert_int_equal(pl_rule_parse("", &rule), -EINVAL);
	assert_int_equal(pl_rule_parse("Exact", &rule), -EINVAL);
	assert_int_equal(pl_rule_parse("exact ", &rule), -EINVAL);
	assert_int_equal(rule, PL_RULE_CANONICAL);
}

static void rules_reduce_as_the_format_says(void **state)
{
	static const struct {
		char kind;
		uint16_t mode, portable, canonical;
	} cases[] = {
		{'f', 0644, 0644, 0444},  {'f', 0, 0644, 0444},	   {'f', 0666, 0644, 0444},
		{'f', 0700, 0755, 0555},  {'f', 0001, 0755, 0555}, {'f', 0610, 0755, 0555},
		{'f', 06644, 0644, 0444}, {'d', 0, 0755, 0555},	   {'d', 03700, 0755, 0555},
		{'l', 0777, 0777, 0777},  {'p', 0777, 0644, 0444}, {'s', 0755, 0644, 0444},
		{'c', 0666, 0644, 0444},  {'b', 0111, 0644, 0444},
	};

	for (size_t i = 0; i < PL_ARRAY_LEN(cases); i++) {
		for (int rule = PL_RULE_EXACT; rule <= PL_RULE_CANONICAL; rule++) {
			struct pl_meta meta = sample_meta(), full;

			meta.mode = cases[i].mode;
			full = meta;
			pl_meta_reduce(&meta, cases[i].kind, (enum pl_rule)rule);
			if (rule == PL_RULE_EXACT) {
				assert_true(pl_meta_equal(&meta, &full));
				continue;
			}
			assert_int_equal(meta.mode, rule == PL_RULE_PORTABLE ? cases[i].portable
									     : cases[i].canonical);
			assert_int_equal(meta.uid, PLEACH_NO_OWNER);
			assert_int_equal(meta.gid, PLEACH_NO_OWNER);
			assert_int_equal(meta.mtime_s, 0);
			assert_int_equal(meta.mtime_ns, 0);
			assert_null(meta.xattrs);
			assert_int_equal(meta.xattrs_length, 0);
		}
	}
}

/* ---- ids ---- */

static void an_object_id_is_the_hash_of_what_the_format_says(void **state)
{
	static const unsigned char size[] = {0, 0, 0, 1, 0, 0, 0, 3};
	const struct pl_meta meta = sample_meta();
	unsigned char bytes[16 + sizeof(sample) + 8 + 32], *to = bytes;
	struct pl_id content, id, expected;

	pl_hash_of("abc", 3, &content);
	memcpy(to, "pleach object 1\n", 16);
	memcpy(to += 16, sample, sizeof(sample));
	memcpy(to += sizeof(sample), size, sizeof(size));
	memcpy(to += sizeof(size), content.bytes, 32);
	assert_ptr_equal(to + 32, bytes + sizeof(bytes));
	pl_hash_of(bytes, sizeof(bytes), &expected);
	pl_object_id(&meta, 0x100000003, &content, &id);
	assert_true(pl_id_equal(&id, &expected));
}

/* Made with sha256sum(1) from the bytes that the format states. */
static void an_object_id_is_known(void **state)
{
	const struct pl_meta meta = {.mode = 0644, .uid = PLEACH_NO_OWNER, .gid = PLEACH_NO_OWNER};
	char hex[PL_ID_HEX + 1];
	struct pl_id content, id;

	pl_hash_of("hello\n", 6, &content);
	pl_object_id(&meta, 6, &content, &id);
	assert_string_equal(pl_id_hex(&id, hex),
			    "6e0e237189ea35cc13bd59d0a84ed266c078ae869c18bccf8e29dfe1d0eae028");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_encoding_is_that_of_the_format),
		cmocka_unit_test(extremes_are_encoded_and_decoded_again),
		cmocka_unit_test(what_breaks_off_is_refused_at_every_byte),
		cmocka_unit_test(every_rule_that_is_broken_is_refused),
		cmocka_unit_test(attributes_out_of_order_or_too_many_are_refused),
		cmocka_unit_test(random_bytes_are_decoded_or_refused),
		cmocka_unit_test(a_broken_rule_is_never_encoded),
		cmocka_unit_test(equal_looks_at_every_field),
		cmocka_unit_test(rules_have_names),
		cmocka_unit_test(rules_reduce_as_the_format_says),
		cmocka_unit_test(an_object_id_is_the_hash_of_what_the_format_says),
		cmocka_unit_test(an_object_id_is_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
