/*
 * The map from keys of a fixed size to numbers. No file format depends on it: the order of slots and
 * the hash are this process's own.
 *
 * Keys come from strangers, who could choose them so that they all meet in one slot. The hash is
 * therefore SipHash-1-3 (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012; with the
 * round counts that Rust and CPython use for their tables), keyed with the map's seed. The faster
 * multiplying mixers (wyhash and its kin) have keys that meet whatever the seed is.
 *
 * M1  capacity is 0 or a power of two, and a third of the slots at least is free: probing ends.
 * M2  A key lies in the first slot of its probe run, or behind used ones only: nothing is removed.
 */
#include "base/base.h"

#include <stdlib.h>

#define CAPACITY_MIN 16

/* A slot: value, key, used flag, padding to the value's alignment. */
#define KEY_OFFSET sizeof(uint64_t)

static size_t slot_size(const struct pl_map *map)
{
	return (KEY_OFFSET + map->key_size + 1 + 7) & ~(size_t)7;
}

static unsigned char *slot_at(const struct pl_map *map, size_t i)
{
	return map->slots + i * slot_size(map);
}

static bool slot_is_used(const struct pl_map *map, const unsigned char *slot)
{
	return slot[KEY_OFFSET + map->key_size] != 0;
}

static uint64_t rotate(uint64_t x, unsigned n)
{
	return x << n | x >> (64 - n);
}

static void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = rotate(v[1], 13) ^ v[0];
	v[0] = rotate(v[0], 32);
	v[2] += v[3];
	v[3] = rotate(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotate(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotate(v[1], 17) ^ v[2];
	v[2] = rotate(v[2], 32);
}

static void sip_word(uint64_t v[4], uint64_t word)
{
	v[3] ^= word;
	sip_round(v);
	v[0] ^= word;
}

/* In the machine's byte order: no hash leaves the process. */
static uint64_t hash_key(const struct pl_map *map, const unsigned char *key)
{
	/* SipHash has a key of two words; the second is made from the one seed there is. */
	uint64_t k0 = map->seed, k1 = rotate(map->seed, 29) ^ UINT64_C(0x9e3779b97f4a7c15);
	uint64_t v[4] = {
		k0 ^ UINT64_C(0x736f6d6570736575),
		k1 ^ UINT64_C(0x646f72616e646f6d),
		k0 ^ UINT64_C(0x6c7967656e657261),
		k1 ^ UINT64_C(0x7465646279746573),
	};
	size_t left = map->key_size;
	uint64_t word;

	for (; left >= sizeof(word); left -= sizeof(word), key += sizeof(word)) {
		memcpy(&word, key, sizeof(word));
		sip_word(v, word);
	}
	word = 0;
	memcpy(&word, key, left);
	sip_word(v, word ^ (uint64_t)map->key_size << 56);
	v[2] ^= 0xff;
	for (int i = 0; i < 3; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* The slot that holds `key`, or the free one where it belongs. */
static unsigned char *find_slot(const struct pl_map *map, const void *key)
{
	size_t mask = map->capacity - 1;
	size_t i = (size_t)hash_key(map, key) & mask;

	pl_assert(map->capacity > map->n); /* M1 */
	for (;; i = (i + 1) & mask) {
		unsigned char *slot = slot_at(map, i);

		if (!slot_is_used(map, slot) || memcmp(slot + KEY_OFFSET, key, map->key_size) == 0)
			return slot;
	}
}

void pl_map_init(struct pl_map *map, size_t key_size, uint64_t seed)
{
	pl_assert(key_size > 0 && key_size <= 4096);
	*map = (struct pl_map){.key_size = key_size, .seed = seed};
}

void pl_map_done(struct pl_map *map)
{
	free(map->slots);
	*map = (struct pl_map){0};
}

/* Moves every slot into a table of the double size. */
static int grow(struct pl_map *map)
{
	struct pl_map grown = *map;

	if (map->capacity > SIZE_MAX / 4)
		return -ENOMEM;
	grown.capacity = map->capacity ? map->capacity * 2 : CAPACITY_MIN;
	grown.slots = calloc(grown.capacity, slot_size(map));
	if (!grown.slots)
		return -ENOMEM;
	for (size_t i = 0; i < map->capacity; i++) {
		const unsigned char *slot = slot_at(map, i);

		if (slot_is_used(map, slot))
			memcpy(find_slot(&grown, slot + KEY_OFFSET), slot, slot_size(map));
	}
	free(map->slots);
	map->slots = grown.slots;
	map->capacity = grown.capacity;
	return 0;
}

uint64_t *pl_map_get(const struct pl_map *map, const void *key)
{
	unsigned char *slot;

	pl_assert(map->key_size > 0);
	if (map->n == 0)
		return NULL;
	slot = find_slot(map, key);
	/* calloc's alignment and a slot size that is a multiple of eight make the cast right. */
	return slot_is_used(map, slot) ? (uint64_t *)(void *)slot : NULL;
}

int pl_map_put(struct pl_map *map, const void *key, uint64_t value)
{
	unsigned char *slot;
	bool is_new;

	pl_assert(map->key_size > 0);
	if (map->n >= map->capacity / 3 * 2) { /* M1 */
		int r = grow(map);

		if (r < 0)
			return r;
	}
	slot = find_slot(map, key);
	is_new = !slot_is_used(map, slot);
	memcpy(slot, &value, sizeof(value));
	if (!is_new)
		return 1;
	memcpy(slot + KEY_OFFSET, key, map->key_size);
	slot[KEY_OFFSET + map->key_size] = 1;
	map->n++;
	return 0;
}
