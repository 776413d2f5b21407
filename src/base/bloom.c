/*
 * The Bloom filter of ids (Bloom, "Space/time trade-offs in hash coding with allowable errors",
 * 1970). Its three fields are a file's content too (written elsewhere), so that where a bit lies is
 * part of that format:
 *
 *   Probe i, of 0 to 6, is the big-endian 64-bit number in bytes 4i to 4i + 7 of the id, modulo
 *   n_bits. Bit k is 1 << (k % 8) of byte k / 8.
 *
 * An id is a SHA-256, so its words need no further hashing; up to 2^32 bits the probes use different
 * ones. Whoever grinds ids for hits gains nothing: a hit only makes somebody look.
 *
 * With 10 bits an id and 7 probes less than one id in a hundred that was never added is a hit.
 */
#include "base/base.h"

#include <stdlib.h>

#define N_PROBES    7
#define BITS_PER_ID 10
#define N_BITS_MIN  1024

int pl_bloom_init(struct pl_bloom *bloom, uint64_t n)
{
	uint64_t n_bits = N_BITS_MIN;
	unsigned char *bits;

	/* So that doubling does not overflow, and a size_t can count the bytes. */
	if (n > SIZE_MAX / 4 / BITS_PER_ID)
		return -ENOMEM;
	while (n_bits < n * BITS_PER_ID)
		n_bits *= 2;
	bits = calloc((size_t)(n_bits / 8), 1);
	if (!bits)
		return -ENOMEM;
	*bloom = (struct pl_bloom){.bits = bits, .n_bits = n_bits};
	return 0;
}

void pl_bloom_done(struct pl_bloom *bloom)
{
	free(bloom->bits);
	*bloom = (struct pl_bloom){0};
}

static uint64_t probe(const struct pl_bloom *bloom, const struct pl_id *id, size_t i)
{
	uint64_t word = 0;

	for (size_t k = 4 * i; k < 4 * i + 8; k++)
		word = word << 8 | id->bytes[k];
	return word & (bloom->n_bits - 1);
}

static void assert_sane(const struct pl_bloom *bloom)
{
	pl_assert(bloom->bits);
	pl_assert(bloom->n_bits >= N_BITS_MIN && (bloom->n_bits & (bloom->n_bits - 1)) == 0);
}

void pl_bloom_add(struct pl_bloom *bloom, const struct pl_id *id)
{
	assert_sane(bloom);
	for (size_t i = 0; i < N_PROBES; i++) {
		uint64_t k = probe(bloom, id, i);

		bloom->bits[k / 8] |= (unsigned char)(1U << (k % 8));
	}
	bloom->n_added++;
}

bool pl_bloom_has(const struct pl_bloom *bloom, const struct pl_id *id)
{
	assert_sane(bloom);
	for (size_t i = 0; i < N_PROBES; i++) {
		uint64_t k = probe(bloom, id, i);

		if (!(bloom->bits[k / 8] & (1U << (k % 8))))
			return false;
	}
	return true;
}

bool pl_bloom_has_room(const struct pl_bloom *bloom, uint64_t n)
{
	assert_sane(bloom);
	return n <= bloom->n_bits / BITS_PER_ID;
}

bool pl_bloom_is_full(const struct pl_bloom *bloom)
{
	return !pl_bloom_has_room(bloom, bloom->n_added);
}
