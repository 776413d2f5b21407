/*
 * Ids as text: hexadecimal, lower case only, so that an id has one spelling and one file name. How
 * an id comes about (hashing) is not here.
 */
#include "base/base.h"

static int digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

void pl_hex(const void *data, size_t length, char *ret_hex)
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *bytes = data;

	for (size_t i = 0; i < length; i++) {
		*ret_hex++ = digits[bytes[i] >> 4];
		*ret_hex++ = digits[bytes[i] & 15];
	}
	*ret_hex = '\0';
}

/* No digits are no number: a `length` of 0 is answered with false. A NUL within `length` ends the
 * look, so a C string that is shorter is not read past its end. */
bool pl_is_hex(const char *s, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		if (digit_value(s[i]) < 0)
			return false;
	}
	return length > 0;
}

char *pl_id_hex(const struct pl_id *id, char ret_hex[PL_ID_HEX + 1])
{
	pl_hex(id->bytes, sizeof(id->bytes), ret_hex);
	return ret_hex;
}

int pl_id_parse(const char *hex, struct pl_id *ret_id)
{
	if (!pl_is_hex(hex, PL_ID_HEX) || hex[PL_ID_HEX])
		return -EINVAL;
	for (size_t i = 0; i < sizeof(ret_id->bytes); i++) {
		int high = digit_value(hex[2 * i]), low = digit_value(hex[2 * i + 1]);

		pl_assert(high >= 0 && low >= 0);
		ret_id->bytes[i] = (unsigned char)(high << 4 | low);
	}
	return 0;
}
