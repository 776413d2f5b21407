/*
 * Bytes: a buffer that grows and a reader that never leaves its bytes. Nothing here knows what the
 * bytes mean, but that numbers are big-endian.
 *
 * B1  capacity is 0, or at least length + 1: there is always room for the NUL behind the bytes.
 * B2  Once `failed`, nothing of the buffer changes until pl_buffer_done() or _take_string().
 * B3  A reader that ran short stays short: every later read fails too, so that bytes after a gap are
 *     never taken for what should have stood there.
 */
#include "base/base.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define CAPACITY_MIN 64

void pl_freep(void *p)
{
	void *allocated;

	/* Copied, since the variable is of another pointer type than void *. */
	memcpy(&allocated, p, sizeof(allocated));
	free(allocated);
}

void pl_buffer_done(struct pl_buffer *b)
{
	free(b->data);
	*b = (struct pl_buffer){0};
}

void *pl_buffer_reserve(struct pl_buffer *b, size_t length)
{
	size_t needed, capacity;
	unsigned char *data;

	if (b->failed)
		return NULL;
	pl_assert(b->capacity == 0 || b->length < b->capacity); /* B1 */
	if (length >= SIZE_MAX / 2 - b->length) {
		b->failed = true;
		return NULL;
	}
	needed = b->length + length + 1;
	if (needed > b->capacity) {
		capacity = b->capacity < CAPACITY_MIN ? CAPACITY_MIN : b->capacity;
		while (capacity < needed)
			capacity *= 2;
		data = realloc(b->data, capacity);
		if (!data) {
			b->failed = true;
			return NULL;
		}
		b->data = data;
		b->capacity = capacity;
	}
	/* Whether the caller uses nothing or all of it, a NUL stands behind. */
	b->data[b->length] = '\0';
	b->data[b->length + length] = '\0';
	return b->data + b->length;
}

void pl_buffer_add(struct pl_buffer *b, const void *data, size_t length)
{
	uintptr_t from = (uintptr_t)data, own = (uintptr_t)b->data;
	void *to;

	pl_assert(data || length == 0);
	/* Bytes of its own would move under the copy. */
	pl_assert(length == 0 || !own || from + length <= own || from >= own + b->capacity);
	to = pl_buffer_reserve(b, length);
	if (!to || length == 0)
		return;
	memcpy(to, data, length);
	b->length += length;
}

void pl_buffer_add_string(struct pl_buffer *b, const char *s)
{
	pl_buffer_add(b, s, strlen(s));
}

void pl_buffer_add_format(struct pl_buffer *b, const char *format, ...)
{
	va_list args, again;
	char *to;
	int n, written;

	va_start(args, format);
	va_copy(again, args);
	n = vsnprintf(NULL, 0, format, args);
	to = n < 0 ? NULL : pl_buffer_reserve(b, (size_t)n);
	if (to) {
		written = vsnprintf(to, (size_t)n + 1, format, again);
		pl_assert(written == n);
		b->length += (size_t)n;
	} else {
		b->failed = true;
	}
	va_end(again);
	va_end(args);
}

static void add_big_endian(struct pl_buffer *b, uint64_t v, size_t n_bytes)
{
	unsigned char bytes[8];

	pl_assert(n_bytes <= sizeof(bytes));
	for (size_t i = n_bytes; i > 0; i--) {
		bytes[i - 1] = (unsigned char)v;
		v >>= 8;
	}
	pl_buffer_add(b, bytes, n_bytes);
}

void pl_buffer_add_u8(struct pl_buffer *b, uint8_t v)
{
	add_big_endian(b, v, 1);
}

void pl_buffer_add_u16(struct pl_buffer *b, uint16_t v)
{
	add_big_endian(b, v, 2);
}

void pl_buffer_add_u32(struct pl_buffer *b, uint32_t v)
{
	add_big_endian(b, v, 4);
}

void pl_buffer_add_u64(struct pl_buffer *b, uint64_t v)
{
	add_big_endian(b, v, 8);
}

void pl_buffer_truncate(struct pl_buffer *b, size_t length)
{
	if (b->failed)
		return; /* B2 */
	pl_assert(length <= b->length);
	b->length = length;
	if (b->data)
		b->data[length] = '\0';
}

const char *pl_buffer_string(struct pl_buffer *b)
{
	if (b->failed)
		return NULL;
	if (!b->data)
		return "";
	pl_assert(b->length < b->capacity);
	b->data[b->length] = '\0';
	return (const char *)b->data;
}

char *pl_buffer_take_string(struct pl_buffer *b)
{
	char *string = NULL;

	if (!b->failed && pl_buffer_reserve(b, 0)) {
		string = (char *)b->data;
		b->data = NULL;
	}
	pl_buffer_done(b);
	return string;
}

const unsigned char *pl_read_bytes(struct pl_reader *r, size_t length)
{
	static const unsigned char nothing[1];
	const unsigned char *bytes;

	pl_assert(r->offset <= r->length);
	if (r->short_read || length > r->length - r->offset) {
		r->short_read = true; /* B3 */
		return NULL;
	}
	if (!r->data)
		return nothing;
	bytes = r->data + r->offset;
	r->offset += length;
	return bytes;
}

static uint64_t read_big_endian(struct pl_reader *r, size_t n_bytes)
{
	const unsigned char *bytes = pl_read_bytes(r, n_bytes);
	uint64_t v = 0;

	if (!bytes)
		return 0;
	for (size_t i = 0; i < n_bytes; i++)
		v = v << 8 | bytes[i];
	return v;
}

uint8_t pl_read_u8(struct pl_reader *r)
{
	return (uint8_t)read_big_endian(r, 1);
}

uint16_t pl_read_u16(struct pl_reader *r)
{
	return (uint16_t)read_big_endian(r, 2);
}

uint32_t pl_read_u32(struct pl_reader *r)
{
	return (uint32_t)read_big_endian(r, 4);
}

uint64_t pl_read_u64(struct pl_reader *r)
{
	return read_big_endian(r, 8);
}
