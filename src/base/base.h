/*
 * base - pure helpers that every layer stands on: errors, assertions, buffers, numbers, hexadecimal
 * ids, a map, names. No file of this layer makes a system call or knows of a store.
 *
 * Errors. Every function that can fail returns 0 or a positive answer, or a negative errno that is
 * passed up unchanged. The text is made once, by pl_fail*(), where cause and path are known.
 */
#ifndef PL_BASE_H
#define PL_BASE_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "pleach.h"

#define PL_PRINTF(f, a) __attribute__((format(printf, f, a)))
#define PL_CLEANUP(fn)	__attribute__((cleanup(fn)))
#define PL_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* ---- assert.c ---- */

/** Always compiled in. For what only our own code can get wrong, never for input. */
#define pl_assert(x) ((x) ? (void)0 : pl_assert_failed(#x, __FILE__, __LINE__))
_Noreturn void pl_assert_failed(const char *what, const char *file, int line);

/* ---- error.c ---- */

/**
 * Fills in `error` (may be NULL): code, positive errno, message. Returns `neg_errno`, which must be
 * negative, so that one can write `return pl_fail(...)`.
 */
int pl_fail(struct pleach_error *error, enum pleach_code code, int neg_errno, const char *format,
	    ...) PL_PRINTF(4, 5);
/**
 * The same for a system call that failed: the code comes from the errno (no space: 14, interrupted:
 * 130, else 1) and ": <strerror>" is put behind the message.
 */
int pl_fail_sys(struct pleach_error *error, int neg_errno, const char *format, ...) PL_PRINTF(3, 4);
/** -ENOMEM, with its text. */
int pl_fail_memory(struct pleach_error *error);
/** -EBADMSG, code CORRUPT. */
#define pl_fail_corrupt(error, ...) pl_fail(error, PLEACH_CORRUPT, -EBADMSG, __VA_ARGS__)
/** -ENOENT, code NOT_FOUND. */
#define pl_fail_not_found(error, ...) pl_fail(error, PLEACH_NOT_FOUND, -ENOENT, __VA_ARGS__)
/** -EINVAL, code USAGE. */
#define pl_fail_usage(error, ...) pl_fail(error, PLEACH_USAGE, -EINVAL, __VA_ARGS__)
/** Sets the hint of an error that has just been filled in. */
void pl_hint(struct pleach_error *error, const char *format, ...) PL_PRINTF(2, 3);
/** Sets the path it is about; cut at the front if it does not fit. */
void pl_error_path(struct pleach_error *error, const char *path);
/** Puts "<text>: " before the message. */
void pl_error_prefix(struct pleach_error *error, const char *format, ...) PL_PRINTF(2, 3);
/** Forgets what was filled in, when a failure turns out to be none. */
void pl_error_clear(struct pleach_error *error);

/* ---- buffer.c ---- */

/**
 * Growing bytes. All zero is an empty one. `data` is always followed by a NUL that does not count,
 * once something was added. A failed allocation is remembered in `failed` and makes every later
 * call do nothing, so that a run of additions is checked once, by pl_buffer_ok().
 */
struct pl_buffer {
	unsigned char *data;
	size_t length, capacity;
	bool failed;
};
void pl_buffer_done(struct pl_buffer *b);
void pl_buffer_add(struct pl_buffer *b, const void *data, size_t length);
/** Makes room for `length` more bytes and returns where they go, NULL if memory is out. Add to
 * `length` what was used. */
void *pl_buffer_reserve(struct pl_buffer *b, size_t length);
void pl_buffer_add_string(struct pl_buffer *b, const char *s);
void pl_buffer_add_format(struct pl_buffer *b, const char *format, ...) PL_PRINTF(2, 3);
void pl_buffer_add_u8(struct pl_buffer *b, uint8_t v);
void pl_buffer_add_u16(struct pl_buffer *b, uint16_t v); /* big-endian, as in docs/format.md */
void pl_buffer_add_u32(struct pl_buffer *b, uint32_t v);
void pl_buffer_add_u64(struct pl_buffer *b, uint64_t v);
/** Cuts to `length`, which must not be more than there is. */
void pl_buffer_truncate(struct pl_buffer *b, size_t length);
static inline bool pl_buffer_ok(const struct pl_buffer *b)
{
	return !b->failed;
}
/** The bytes as a C string, "" if empty; valid until the next change. NULL if an addition failed. */
const char *pl_buffer_string(struct pl_buffer *b);
/** Gives the bytes away as a malloc'ed string; the buffer is empty then. NULL if memory was out. */
char *pl_buffer_take_string(struct pl_buffer *b);

/** Reads from bytes that come from outside: never past the end, remembers when it would have. */
struct pl_reader {
	const unsigned char *data;
	size_t length, offset;
	bool short_read;
};
static inline struct pl_reader pl_reader_of(const void *data, size_t length)
{
	return (struct pl_reader){.data = data, .length = length};
}
uint8_t pl_read_u8(struct pl_reader *r);
uint16_t pl_read_u16(struct pl_reader *r);
uint32_t pl_read_u32(struct pl_reader *r);
uint64_t pl_read_u64(struct pl_reader *r);
/** The next `length` bytes, in place; NULL (and short_read set) if there are fewer. */
const unsigned char *pl_read_bytes(struct pl_reader *r, size_t length);

/* ---- array.c ---- */

/**
 * Makes room for one more element in a growing array: `*array` of `*capacity` elements of
 * `element_size`, `n` in use. Returns 0 or -ENOMEM; the array is unchanged then.
 */
int pl_array_grow(void **array, size_t *capacity, size_t n, size_t element_size);
#define PL_ARRAY_GROW(array, capacity, n) \
	pl_array_grow((void **)&(array), &(capacity), (n), sizeof(*(array)))

/** A growing list of strings of its own. All zero is an empty one. */
struct pl_strings {
	char **items; /* NULL after the last, once something was added */
	size_t n, capacity;
};
void pl_strings_done(struct pl_strings *s);
int pl_strings_add(struct pl_strings *s, const char *string); /* copies; 0 or -ENOMEM */
void pl_strings_sort(struct pl_strings *s);		      /* by bytes */
/** The items with a NULL behind the last, also when there are none. */
const char *const *pl_strings_list(const struct pl_strings *s);

/* ---- id.c ---- */

/** A SHA-256: of content, of an object, of a node. */
struct pl_id {
	unsigned char bytes[32];
};
#define PL_ID_HEX 64
static inline bool pl_id_equal(const struct pl_id *a, const struct pl_id *b)
{
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}
static inline int pl_id_compare(const struct pl_id *a, const struct pl_id *b)
{
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes));
}
/** Writes 64 lower-case digits and a NUL. Returns `ret_hex`. */
char *pl_id_hex(const struct pl_id *id, char ret_hex[PL_ID_HEX + 1]);
/** 0, or -EINVAL unless `hex` is just 64 lower-case digits. */
int pl_id_parse(const char *hex, struct pl_id *ret_id);
/** Writes 2 * length digits and a NUL. */
void pl_hex(const void *data, size_t length, char *ret_hex);
bool pl_is_hex(const char *s, size_t length); /* lower-case digits only */

/* ---- number.c ---- */

/** Decimal digits and nothing else, no leading zero but in "0"; at most `max`. 0 or -EINVAL. */
int pl_parse_u64(const char *s, uint64_t max, uint64_t *ret_value);
/** `90s 10m 12h 30d 4w`, or 0; in milliseconds. 0 or -EINVAL. */
int pl_parse_duration(const char *s, uint64_t *ret_ms);
/** `512K 10M 2G 1T` or bytes. 0 or -EINVAL. */
int pl_parse_size(const char *s, uint64_t *ret_bytes);

/* ---- date.c ---- */

/** A date of the Gregorian calendar, of the years 1 to 9999. */
struct pl_date {
	int64_t year, month, day;
};
/** Days since 1970-01-01, and back. */
int64_t pl_date_days(const struct pl_date *date);
struct pl_date pl_date_of_days(int64_t days);
/** Which week a day is in, weeks being numbered from that of 1970-01-01, which is 0. */
int64_t pl_date_week(int64_t days);
/** The same week by ISO 8601: year and week, 1 to 53. */
void pl_date_iso_week(int64_t week, int64_t *ret_year, unsigned *ret_week);

/* ---- map.c ---- */

/**
 * From keys of a fixed size to u64 values. Open addressing, hashed with a seed (keys come from
 * strangers, who can grind prefixes), no deletion of single keys.
 */
struct pl_map {
	size_t key_size, n, capacity;
	unsigned char *slots;
	uint64_t seed;
};
/** `seed`: random per process (pl_random() of sys), or anything in tests. */
void pl_map_init(struct pl_map *map, size_t key_size, uint64_t seed);
void pl_map_done(struct pl_map *map);
/** Where the value of `key` is, NULL if it is not there. Valid until the next put. */
uint64_t *pl_map_get(const struct pl_map *map, const void *key);
/** Adds or replaces. Returns 0: added, 1: there was one, replaced; -ENOMEM. */
int pl_map_put(struct pl_map *map, const void *key, uint64_t value);

/* ---- path.c ---- */

#define PL_NAME_MAX 255
/** One name in a directory: 1 to 255 bytes, no '/', no NUL, neither "." nor "..". */
bool pl_name_is_valid(const char *name, size_t length);
/** A ref or tag: `[A-Za-z0-9][A-Za-z0-9._-]{0,99}`, not ending in ".lock", not "tree". */
bool pl_ref_name_is_valid(const char *name);
/** Relative path of valid names, '/' between, none at the ends; not empty. */
bool pl_path_is_valid(const char *path);
/** Order of paths in listings: bytes, with '/' below every other byte. */
int pl_path_compare(const char *a, const char *b);
/** `path` is `above` itself or lies below it; an `above` of "" is above everything. */
bool pl_path_is_below(const char *path, const char *above);
/**
 * The longest directory that `path` and `other` both lie in, as a length of `path`; `length` is that of
 * one that `path` lies in.
 */
size_t pl_path_common(const char *path, size_t length, const char *other);
/** Appends "/name" (or "name" to an empty one) to a path that is built in a buffer. */
void pl_path_push(struct pl_buffer *path, const char *name, size_t length);
/** Takes the last name off again. */
void pl_path_pop(struct pl_buffer *path);
/** Does a symlink at `path` (relative to its tree's root) with `target` lead out by `..`? */
bool pl_path_escapes(const char *path, const char *target);

/* ---- bloom.c ---- */

/** A Bloom filter of ids. A miss is proof that an id was never added. */
struct pl_bloom {
	unsigned char *bits;
	uint64_t n_bits;  /* a power of two, at least 1024 */
	uint64_t n_added; /* ids added, equal ones counted again */
};
/** Room for `n` ids at 10 bits and more each. 0 or -ENOMEM. */
int pl_bloom_init(struct pl_bloom *bloom, uint64_t n);
void pl_bloom_done(struct pl_bloom *bloom);
void pl_bloom_add(struct pl_bloom *bloom, const struct pl_id *id);
bool pl_bloom_has(const struct pl_bloom *bloom, const struct pl_id *id);
/** Is it made for `n` ids and more, whatever is in it? */
bool pl_bloom_has_room(const struct pl_bloom *bloom, uint64_t n);
/** More ids than it was made for: hits have become frequent. */
bool pl_bloom_is_full(const struct pl_bloom *bloom);

/* ---- glob.c ---- */

/** Patterns as in .gitignore, tried in order, the last match wins. All zero: none. */
struct pl_globs {
	struct pl_strings patterns;
};
int pl_globs_add(struct pl_globs *globs, const char *pattern); /* 0, -EINVAL, -ENOMEM */
void pl_globs_done(struct pl_globs *globs);
/** Is `path` (relative) left out? Its parents are not looked at: a walk has left them out before. */
bool pl_globs_match(const struct pl_globs *globs, const char *path, bool is_dir);

static inline void pl_buffer_donep(struct pl_buffer *b)
{
	pl_buffer_done(b);
}
#define PL_BUFFER PL_CLEANUP(pl_buffer_donep) struct pl_buffer
void pl_freep(void *p);
#define PL_FREE PL_CLEANUP(pl_freep)

#endif
