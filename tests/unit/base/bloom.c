/* The laws of the filter: never a false miss, seldom a false hit, bits where the format has them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "aborts.h"
#include "base/base.h"

/* Id number `i`, as evenly spread as a SHA-256: words of splitmix64 (Steele, Lea, Flood, 2014). */
static struct pl_id make_id(uint64_t i)
{
	struct pl_id id;
	uint64_t state = i * UINT64_C(0xd1342543de82ef95) + 7;

	for (size_t k = 0; k < sizeof(id.bytes); k += 8) {
		uint64_t z = state += UINT64_C(0x9e3779b97f4a7c15);

		z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
		z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
		z ^= z >> 31;
		memcpy(id.bytes + k, &z, sizeof(z));
	}
	return id;
}

static void room_is_ten_bits_an_id_rounded_up_to_a_power_of_two(void **state)
{
	static const struct {
		uint64_t n, n_bits;
	} table[] = {
		{0, 1024},     {1, 1024},	  {102, 1024},	     {103, 2048},
		{204, 2048},   {205, 4096},	  {1000, 16384},     {1638, 16384},
		{1639, 32768}, {100000, 1048576}, {104858, 2097152},
	};

	for (size_t i = 0; i < PL_ARRAY_LEN(table); i++) {
		struct pl_bloom bloom;

		assert_int_equal(pl_bloom_init(&bloom, table[i].n), 0);
		assert_int_equal(bloom.n_bits, table[i].n_bits);
		assert_int_equal(bloom.n_added, 0);
		assert_true(bloom.n_bits >= 10 * table[i].n);
		pl_bloom_done(&bloom);
		assert_null(bloom.bits);
	}
}

static void more_ids_than_memory_can_hold_are_refused(void **state)
{
	struct pl_bloom bloom;

	assert_int_equal(pl_bloom_init(&bloom, UINT64_MAX), -ENOMEM);
	assert_int_equal(pl_bloom_init(&bloom, UINT64_MAX / 10), -ENOMEM);
	assert_int_equal(pl_bloom_init(&bloom, UINT64_MAX / 40 + 1), -ENOMEM);
}

static void what_was_added_is_always_there(void **state)
{
	struct pl_bloom bloom;

	/* Ten times as many as it is for: hits become frequent, misses never wrong. */
	assert_int_equal(pl_bloom_init(&bloom, 1000), 0);
	for (uint64_t i = 0; i < 10000; i++) {
		struct pl_id id = make_id(i);

		pl_bloom_add(&bloom, &id);
		assert_true(pl_bloom_has(&bloom, &id));
	}
	for (uint64_t i = 0; i < 10000; i++) {
		struct pl_id id = make_id(i);

		assert_true(pl_bloom_has(&bloom, &id));
	}
	assert_int_equal(bloom.n_added, 10000);
	pl_bloom_done(&bloom);
}

static void a_full_filter_has_less_than_one_false_hit_in_a_hundred(void **state)
{
	uint64_t n = (UINT64_C(1) << 20) / 10, hits = 0;
	struct pl_bloom bloom;

	assert_int_equal(pl_bloom_init(&bloom, n), 0);
	assert_int_equal(bloom.n_bits, UINT64_C(1) << 20); /* just ten bits an id: the worst case */
	for (uint64_t i = 0; i < n; i++) {
		struct pl_id id = make_id(i);

		pl_bloom_add(&bloom, &id);
	}
	for (uint64_t i = n; i < 3 * n; i++) {
		struct pl_id id = make_id(i);

		hits += pl_bloom_has(&bloom, &id);
	}
	/* 0.8 % is what theory says. */
	assert_in_range(hits, 2 * n / 200, 2 * n / 100);
	pl_bloom_done(&bloom);
}

static void an_empty_filter_has_nothing(void **state)
{
	struct pl_id id = {{0}};
	struct pl_bloom bloom;

	assert_int_equal(pl_bloom_init(&bloom, 0), 0);
	assert_false(pl_bloom_has(&bloom, &id));
	pl_bloom_add(&bloom, &id); /* all probes meet in bit 0 */
	assert_true(pl_bloom_has(&bloom, &id));
	assert_int_equal(bloom.bits[0], 1);
	pl_bloom_done(&bloom);
}

static void the_bits_lie_where_the_format_says(void **state)
{
	static const unsigned expected[] = {0x207, 0x20b, 0x20f, 0x213, 0x217, 0x21b, 0x21f};
	struct pl_bloom bloom;
	struct pl_id id;
	size_t n_set = 0;

	for (size_t i = 0; i < sizeof(id.bytes); i++)
		id.bytes[i] = (unsigned char)i;
	assert_int_equal(pl_bloom_init(&bloom, 1), 0);
	pl_bloom_add(&bloom, &id);
	for (size_t i = 0; i < PL_ARRAY_LEN(expected); i++)
		assert_true(bloom.bits[expected[i] / 8] & 1U << expected[i] % 8);
	for (uint64_t k = 0; k < bloom.n_bits; k++)
		n_set += bloom.bits[k / 8] >> k % 8 & 1;
	assert_int_equal(n_set, PL_ARRAY_LEN(expected));
	pl_bloom_done(&bloom);
}

static void each_probe_counts(void **state)
{
	struct pl_id id = make_id(1);

	for (size_t i = 0; i < 7; i++) {
		struct pl_bloom bloom;
		struct pl_id other = id;

		assert_int_equal(pl_bloom_init(&bloom, 0), 0);
		pl_bloom_add(&bloom, &id);
		other.bytes[4 * i + 7] ^= 0x55;
		assert_false(pl_bloom_has(&bloom, &other));
		pl_bloom_done(&bloom);
	}
}

static void a_filter_is_its_three_fields(void **state)
{
	struct pl_bloom bloom, again;
	struct pl_id id = make_id(9), other = make_id(10);

	assert_int_equal(pl_bloom_init(&bloom, 10), 0);
	pl_bloom_add(&bloom, &id);
	again = (struct pl_bloom){.n_bits = bloom.n_bits, .n_added = bloom.n_added};
	again.bits = malloc(bloom.n_bits / 8);
	assert_non_null(again.bits);
	memcpy(again.bits, bloom.bits, bloom.n_bits / 8);
	pl_bloom_done(&bloom);
	assert_true(pl_bloom_has(&again, &id));
	assert_false(pl_bloom_has(&again, &other));
	pl_bloom_done(&again);
}

static void it_is_full_beyond_ten_bits_an_id_and_equal_ids_count_again(void **state)
{
	struct pl_bloom bloom;
	struct pl_id id = make_id(1);

	assert_int_equal(pl_bloom_init(&bloom, 102), 0);
	for (int i = 0; i < 102; i++) {
		assert_false(pl_bloom_is_full(&bloom));
		pl_bloom_add(&bloom, &id);
	}
	assert_false(pl_bloom_is_full(&bloom));
	pl_bloom_add(&bloom, &id);
	assert_true(pl_bloom_is_full(&bloom));
	assert_true(pl_bloom_has_room(&bloom, 102));
	assert_false(pl_bloom_has_room(&bloom, 103));
	pl_bloom_done(&bloom);
}

static void odd_size(void)
{
	unsigned char bits[256] = {0};
	struct pl_bloom bloom = {.bits = bits, .n_bits = 1536};
	struct pl_id id = make_id(1);

	pl_bloom_add(&bloom, &id);
}

static void not_made(void)
{
	struct pl_bloom bloom = {0};
	struct pl_id id = make_id(1);

	pl_bloom_has(&bloom, &id);
}

static void a_filter_of_no_valid_size_is_a_bug(void **state)
{
	assert_true(aborts(odd_size));
	assert_true(aborts(not_made));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(room_is_ten_bits_an_id_rounded_up_to_a_power_of_two),
		cmocka_unit_test(more_ids_than_memory_can_hold_are_refused),
		cmocka_unit_test(what_was_added_is_always_there),
		cmocka_unit_test(a_full_filter_has_less_than_one_false_hit_in_a_hundred),
		cmocka_unit_test(an_empty_filter_has_nothing),
		cmocka_unit_test(the_bits_lie_where_the_format_says),
		cmocka_unit_test(each_probe_counts),
		cmocka_unit_test(a_filter_is_its_three_fields),
		cmocka_unit_test(it_is_full_beyond_ten_bits_an_id_and_equal_ids_count_again),
		cmocka_unit_test(a_filter_of_no_valid_size_is_a_bug),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
