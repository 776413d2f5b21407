/* The laws of the map: what was put is found, nothing else, and no keys can be made to meet. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "aborts.h"
#include "base/base.h"

#define N_KEYS 100000

/* Key number `i`: equal in all bytes but the four at `at`. */
static void make_key(unsigned char *key, size_t key_size, size_t at, uint32_t i)
{
	memset(key, 0xab, key_size);
	for (size_t k = 0; k < 4 && at + k < key_size; k++)
		key[at + k] = (unsigned char)(i >> (8 * k));
}

static void check_keys(size_t key_size, size_t at, uint32_t n)
{
	unsigned char key[64];
	struct pl_map map;

	pl_map_init(&map, key_size, 1);
	for (uint32_t i = 0; i < n; i++) {
		make_key(key, key_size, at, i);
		assert_null(pl_map_get(&map, key));
		assert_int_equal(pl_map_put(&map, key, (uint64_t)i * i), 0);
	}
	assert_int_equal(map.n, n);
	for (uint32_t i = 0; i < n; i++) {
		uint64_t *value;

		make_key(key, key_size, at, i);
		value = pl_map_get(&map, key);
		assert_non_null(value);
		assert_true(*value == (uint64_t)i * i);
	}
	make_key(key, key_size, at, n);
	assert_int_equal(pl_map_get(&map, key) != NULL, n == 256 && key_size == 1);
	pl_map_done(&map);
	assert_null(map.slots);
}

static void keys_of_any_size_that_differ_in_one_place_are_told_apart(void **state)
{
	check_keys(1, 0, 256);
	check_keys(2, 0, 65535);
	for (size_t key_size = 4; key_size <= 41; key_size++) {
		check_keys(key_size, 0, 1000);
		check_keys(key_size, key_size - 4, 1000);
	}
}

static void a_hundred_thousand_keys_with_one_prefix_are_found(void **state)
{
	check_keys(32, 28, N_KEYS);
}

static void a_hundred_thousand_keys_with_one_suffix_are_found(void **state)
{
	check_keys(32, 0, N_KEYS);
}

/* The longest run of used slots: what the worst probe costs. Knows the layout of map.c. */
static size_t longest_run(const struct pl_map *map)
{
	size_t slot_size = (8 + map->key_size + 1 + 7) / 8 * 8, run = 0, longest = 0;

	for (size_t i = 0; i < map->capacity; i++) {
		run = map->slots[i * slot_size + 8 + map->key_size] ? run + 1 : 0;
		longest = run > longest ? run : longest;
	}
	return longest;
}

static void keys_that_differ_in_few_bits_do_not_pile_up(void **state)
{
	for (size_t at = 0; at <= 28; at += 4) {
		unsigned char key[32];
		struct pl_map map;

		pl_map_init(&map, sizeof(key), 0);
		for (uint32_t i = 0; i < N_KEYS; i++) {
			make_key(key, sizeof(key), at, i << 5);
			assert_int_equal(pl_map_put(&map, key, i), 0);
		}
		assert_true(map.capacity >= map.n / 2 * 3); /* M1 */
		assert_in_range(longest_run(&map), 2, 500);
		pl_map_done(&map);
	}
}

static void the_seed_decides_where_a_key_lies(void **state)
{
	struct pl_map maps[8];
	size_t different = 0;

	for (uint64_t seed = 0; seed < PL_ARRAY_LEN(maps); seed++) {
		pl_map_init(&maps[seed], 8, seed);
		for (uint64_t key = 0; key < 8; key++)
			assert_int_equal(pl_map_put(&maps[seed], &key, key), 0);
		assert_int_equal(maps[seed].capacity, maps[0].capacity);
		different += memcmp(maps[seed].slots, maps[0].slots, 24 * maps[0].capacity) != 0;
	}
	assert_int_equal(different, PL_ARRAY_LEN(maps) - 1);
	for (size_t i = 0; i < PL_ARRAY_LEN(maps); i++)
		pl_map_done(&maps[i]);
}

static void putting_again_replaces(void **state)
{
	struct pl_map map;
	uint64_t key = 5;

	pl_map_init(&map, sizeof(key), 3);
	assert_int_equal(pl_map_put(&map, &key, 1), 0);
	assert_int_equal(pl_map_put(&map, &key, UINT64_MAX), 1);
	assert_int_equal(map.n, 1);
	assert_true(*pl_map_get(&map, &key) == UINT64_MAX);
	*pl_map_get(&map, &key) = 8;
	assert_int_equal(*pl_map_get(&map, &key), 8);
	pl_map_done(&map);
}

static void the_key_of_zeros_is_a_key(void **state)
{
	unsigned char zero[16] = {0}, other[16] = {1};
	struct pl_map map;

	pl_map_init(&map, sizeof(zero), 0);
	assert_null(pl_map_get(&map, zero));
	assert_int_equal(pl_map_put(&map, other, 1), 0);
	assert_null(pl_map_get(&map, zero));
	assert_int_equal(pl_map_put(&map, zero, 0), 0);
	assert_int_equal(*pl_map_get(&map, zero), 0);
	assert_int_equal(pl_map_put(&map, zero, 2), 1);
	pl_map_done(&map);
}

static void a_map_never_used_needs_no_memory(void **state)
{
	struct pl_map map, zero = {0};

	pl_map_init(&map, 32, 0);
	assert_null(map.slots);
	assert_null(pl_map_get(&map, "01234567890123456789012345678901"));
	pl_map_done(&map);
	pl_map_done(&zero);
}

static void a_map_that_cannot_double_is_no_memory(void **state)
{
	struct pl_map map;

	pl_map_init(&map, 1, 0);
	map.capacity = SIZE_MAX / 4 + 1;
	map.n = map.capacity;
	assert_int_equal(pl_map_put(&map, "a", 1), -ENOMEM);
	assert_null(map.slots);
}

static void init_without_key(void)
{
	struct pl_map map;

	pl_map_init(&map, 0, 0);
}

static void get_without_init(void)
{
	struct pl_map map = {0};

	pl_map_get(&map, "x");
}

static void a_map_without_keys_is_a_bug(void **state)
{
	assert_true(aborts(init_without_key));
	assert_true(aborts(get_without_init));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_of_any_size_that_differ_in_one_place_are_told_apart),
		cmocka_unit_test(a_hundred_thousand_keys_with_one_prefix_are_found),
		cmocka_unit_test(a_hundred_thousand_keys_with_one_suffix_are_found),
		cmocka_unit_test(keys_that_differ_in_few_bits_do_not_pile_up),
		cmocka_unit_test(the_seed_decides_where_a_key_lies),
		cmocka_unit_test(putting_again_replaces),
		cmocka_unit_test(the_key_of_zeros_is_a_key),
		cmocka_unit_test(a_map_never_used_needs_no_memory),
		cmocka_unit_test(a_map_that_cannot_double_is_no_memory),
		cmocka_unit_test(a_map_without_keys_is_a_bug),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
