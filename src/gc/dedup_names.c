/*
 * Names of files by the million: what is compared in an array, paths in a spool, which is memory first and
 * then a file without a name.
 */
#include <stdlib.h>

#include "gc/dedup.h"

#define TAIL_MAX ((size_t)8 << 20)

/* ---- the spool ---- */

void dedup_names_done(struct dedup_names *names)
{
	free(names->items);
	pl_buffer_done(&names->tail);
	pl_closep(&names->fd);
	*names = (struct dedup_names)DEDUP_NAMES_NONE;
}

static int flush(struct dedup_names *names)
{
	int r;

	if (names->fd < 0)
		names->fd = pl_create_nameless();
	if (names->fd < 0)
		return names->fd;
	r = pl_pwrite_full(names->fd, names->tail.data, names->tail.length, names->flushed);
	if (r < 0)
		return r;
	names->flushed += names->tail.length;
	pl_buffer_truncate(&names->tail, 0);
	return 0;
}

int dedup_spool_add(struct dedup_names *names, const void *data, size_t length, uint64_t *ret_where)
{
	int r = 0;

	if (names->flushed + names->tail.length == 0)
		pl_buffer_add_u8(&names->tail, 0); /* so that nothing is at 0 */
	if (names->tail.length + length > TAIL_MAX)
		r = flush(names);
	if (r < 0)
		return r;
	*ret_where = names->flushed + names->tail.length;
	pl_buffer_add(&names->tail, data, length);
	return pl_buffer_ok(&names->tail) ? 0 : -ENOMEM;
}

int dedup_spool_read(const struct dedup_names *names, uint64_t where, void *data, size_t length,
		     size_t *ret_n)
{
	size_t n = 0, rest;
	ssize_t got;

	if (where < names->flushed) {
		n = names->flushed - where < length ? (size_t)(names->flushed - where) : length;
		got = pl_pread_full(names->fd, data, n, where);
		if (got < 0)
			return (int)got;
		if ((size_t)got != n)
			return -EIO;
		where = names->flushed;
	}
	rest = (size_t)(names->flushed + names->tail.length - where);
	rest = rest < length - n ? rest : length - n;
	if (rest > 0)
		memcpy((char *)data + n, names->tail.data + (where - names->flushed), rest);
	*ret_n = n + rest;
	return 0;
}

/* ---- keys ---- */

/* The finish of splitmix64: each bit of both has a say in each bit of the result. */
uint64_t dedup_mix(uint64_t seed, uint64_t value)
{
	uint64_t x = seed + value * UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

/* ---- order ---- */

static bool is_before(const struct dedup_name *a, const struct dedup_name *b)
{
	if (a->key != b->key)
		return a->key < b->key;
	if (a->ino != b->ino)
		return a->ino < b->ino;
	return a->where < b->where;
}

/* Lets the item at `top` sink to where both below it come before it. */
static void sink(struct dedup_name *items, size_t top, size_t n)
{
	const struct dedup_name item = items[top];

	for (size_t below; (below = 2 * top + 1) < n; top = below) {
		if (below + 1 < n && is_before(&items[below], &items[below + 1]))
			below++;
		if (!is_before(&item, &items[below]))
			break;
		items[top] = items[below];
	}
	items[top] = item;
}

/* qsort(3) may take as much memory again. */
void dedup_names_sort(struct dedup_name *items, size_t n)
{
	for (size_t i = n / 2; i-- > 0;)
		sink(items, i, n);
	for (size_t end = n; end > 1;) {
		struct dedup_name largest = items[0];

		items[0] = items[--end];
		items[end] = largest;
		sink(items, 0, end);
	}
}

size_t dedup_names_run(const struct dedup_name *items, size_t n, size_t at)
{
	size_t end = at + 1;

	pl_assert(at < n);
	while (end < n && items[end].key == items[at].key)
		end++;
	return end - at;
}

size_t dedup_names_inode(const struct dedup_name *items, size_t n, size_t at)
{
	size_t end = at + 1;

	pl_assert(at < n);
	while (end < n && items[end].key == items[at].key && items[end].ino == items[at].ino)
		end++;
	return end - at;
}

void dedup_names_settle(struct dedup_names *names, bool keeps_single)
{
	struct dedup_name *items = names->items;
	size_t kept = 0, length;

	dedup_names_sort(items, names->n);
	for (size_t at = 0; at < names->n; at += length) {
		uint64_t first = UINT64_MAX;

		length = dedup_names_run(items, names->n, at);
		if (!keeps_single && dedup_names_inode(items, names->n, at) == length)
			continue;
		for (size_t i = at; i < at + length; i++)
			first = items[i].where < first ? items[i].where : first;
		for (size_t i = at; i < at + length; i++) {
			items[kept] = items[i];
			items[kept++].key = first;
		}
	}
	names->n = kept;
	dedup_names_sort(items, kept);
}
