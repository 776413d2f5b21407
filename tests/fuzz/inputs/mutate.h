/*
 * mutate - changes of bytes by chance, the same ones for the same seed. Header only.
 */
#ifndef PL_FUZZ_MUTATE_H
#define PL_FUZZ_MUTATE_H

#include <stdint.h>
#include <string.h>

#define INPUT_MAX 8192

struct input {
	uint8_t data[INPUT_MAX];
	size_t size;
};

static inline uint64_t chance(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static inline size_t chance_below(uint64_t *state, size_t n)
{
	return n == 0 ? 0 : (size_t)(chance(state) % n);
}

static inline void cut_out(struct input *in, size_t at, size_t n)
{
	memmove(in->data + at, in->data + at + n, in->size - at - n);
	in->size -= n;
}

/* From within itself or from another input; what does not fit is left out. */
static inline void put_in(struct input *in, size_t at, const uint8_t *from, size_t n)
{
	uint8_t copy[INPUT_MAX];

	if (n > INPUT_MAX - in->size)
		n = INPUT_MAX - in->size;
	memcpy(copy, from, n);
	memmove(in->data + at + n, in->data + at, in->size - at);
	memcpy(in->data + at, copy, n);
	in->size += n;
}

static inline void change_number(struct input *in, size_t at, uint64_t *state)
{
	static const uint64_t numbers[] = {0, 1, 0x7f, 0xff, 0xffff, 0x7fffffff, 0xffffffff};
	uint64_t n = numbers[chance_below(state, sizeof(numbers) / sizeof(numbers[0]))];
	size_t bytes = (size_t)1 << chance_below(state, 4);

	n = chance(state) % 8 == 0 ? UINT64_MAX : n;
	for (size_t i = bytes; i > 0; i--, n >>= 8)
		if (at + i <= in->size)
			in->data[at + i - 1] = (uint8_t)n;
}

static inline void put_word(struct input *in, size_t at, uint64_t *state)
{
	static const char *const words[] = {"%00",
					    "%0a",
					    "\n",
					    "..",
					    "/",
					    "@",
					    ":",
					    "@-1",
					    "%",
					    "",
					    "\xff\xfe",
					    "-",
					    "0",
					    "tree:",
					    "99999999999999999999",
					    "set ",
					    " ",
					    "*",
					    "**",
					    "[a-",
					    "\\",
					    "!",
					    "9999-12-31T23:59:59.999999999Z",
					    "\t"};
	const char *word = words[chance_below(state, sizeof(words) / sizeof(words[0]))];

	put_in(in, at, (const uint8_t *)word, strlen(word));
}

/* One change. */
static inline void mutate_once(struct input *in, const struct input *other, uint64_t *state)
{
	size_t at = chance_below(state, in->size + 1);
	size_t n = chance_below(state, in->size - at + 1),
	       from = chance_below(state, other->size + 1);

	switch (chance(state) % 9) {
	case 0:
	case 1:
		if (at < in->size)
			in->data[at] ^= (uint8_t)(1u << chance(state) % 8);
		break;
	case 2:
		if (at < in->size)
			in->data[at] = (uint8_t)chance(state);
		break;
	case 3:
		cut_out(in, at, n % 16 > in->size - at ? 0 : n % 16);
		break;
	case 4:
		put_in(in, at, in->data + at, n % 64);
		break;
	case 5:
		put_in(in, at, other->data + from,
		       chance_below(state, other->size - from + 1) % 128);
		break;
	case 6:
		change_number(in, at, state);
		break;
	case 7:
		put_word(in, at, state);
		break;
	default:
		if (chance(state) % 8 == 0)
			in->size = at;
		break;
	}
}

static inline void mutate(struct input *in, const struct input *other, uint64_t *state)
{
	for (uint64_t n = 1 + chance(state) % 6; n > 0; n--)
		mutate_once(in, other, state);
}

#endif
