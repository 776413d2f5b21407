/*
 * Numbers that people and records write: plain, durations, sizes. One spelling a value, as far as
 * units allow: no sign, no blank, no leading zero, no fraction. No number is made into text here.
 *
 * Not strtoull(): it takes signs, blanks and, by its base, hexadecimal, and looks at the locale.
 */
#include "base/base.h"

struct unit {
	char letter;
	uint64_t factor;
};

/* The digits at the start of `*s`, which is moved behind them. */
static int parse_digits(const char **s, uint64_t max, uint64_t *ret_value)
{
	const char *p = *s;
	uint64_t value = 0;

	if (*p < '0' || *p > '9' || (*p == '0' && p[1] >= '0' && p[1] <= '9'))
		return -EINVAL;
	for (; *p >= '0' && *p <= '9'; p++) {
		uint64_t digit = (uint64_t)(*p - '0');

		if (value > max / 10 || digit > max - value * 10)
			return -EINVAL;
		value = value * 10 + digit;
	}
	*s = p;
	*ret_value = value;
	return 0;
}

int pl_parse_u64(const char *s, uint64_t max, uint64_t *ret_value)
{
	uint64_t value;

	if (parse_digits(&s, max, &value) < 0 || *s)
		return -EINVAL;
	*ret_value = value;
	return 0;
}

/* Digits and one letter of `units`. What is parsed is added to times and offsets, which are signed:
 * more than INT64_MAX is refused. Returns 1 if the letter was missing. */
static int parse_with_unit(const char *s, const struct unit *units, size_t n_units,
			   uint64_t *ret_value)
{
	uint64_t value;

	if (parse_digits(&s, INT64_MAX, &value) < 0)
		return -EINVAL;
	if (!*s) {
		*ret_value = value;
		return 1;
	}
	for (size_t i = 0; i < n_units; i++) {
		if (*s != units[i].letter)
			continue;
		if (s[1] || value > INT64_MAX / units[i].factor)
			return -EINVAL;
		*ret_value = value * units[i].factor;
		return 0;
	}
	return -EINVAL;
}

int pl_parse_duration(const char *s, uint64_t *ret_ms)
{
	static const struct unit units[] = {
		{'s', 1000},
		{'m', 60 * 1000},
		{'h', 60 * 60 * 1000},
		{'d', 24 * 60 * 60 * 1000},
		{'w', 7 * 24 * 60 * 60 * 1000},
	};
	uint64_t ms;
	int r = parse_with_unit(s, units, PL_ARRAY_LEN(units), &ms);

	/* A bare number could be meant in any unit; only nothing is the same in all of them. */
	if (r < 0 || (r == 1 && ms != 0))
		return -EINVAL;
	*ret_ms = ms;
	return 0;
}

int pl_parse_size(const char *s, uint64_t *ret_bytes)
{
	static const struct unit units[] = {
		{'K', UINT64_C(1) << 10},
		{'M', UINT64_C(1) << 20},
		{'G', UINT64_C(1) << 30},
		{'T', UINT64_C(1) << 40},
	};
	uint64_t bytes;

	if (parse_with_unit(s, units, PL_ARRAY_LEN(units), &bytes) < 0)
		return -EINVAL;
	*ret_bytes = bytes;
	return 0;
}
