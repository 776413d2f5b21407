/*
 * Public structs of any size: what an older or newer caller does not know is left alone.
 */
#include "api/inner.h"

void pl_struct_copy(void *to, const void *from, size_t size)
{
	size_t given;

	if (!from)
		return;
	memcpy(&given, from, sizeof(given));
	pl_assert(given >= sizeof(given)); /* the INIT macro was forgotten */
	memcpy((char *)to + sizeof(given), (const char *)from + sizeof(given),
	       (given < size ? given : size) - sizeof(given));
}

void pl_struct_give(void *to, const void *from, size_t size)
{
	size_t known;

	if (!to)
		return;
	memcpy(&known, to, sizeof(known));
	pl_assert(known >= sizeof(known)); /* the INIT macro was forgotten */
	memcpy((char *)to + sizeof(known), (const char *)from + sizeof(known),
	       (known < size ? known : size) - sizeof(known));
}
