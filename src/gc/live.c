/*
 * The generations of a ref that are there (not dropped), with the times of their records. Records never
 * change, so what was read of them once is remembered:
 *
 *     cache/live-<ref id> = "pleach live 1\n" seen:u64 seen_s:i64 seen_ns:u32 n:u64
 *                           { generation:u64 s:i64 ns:u32 }... H(all before)
 *
 * L1  It is believed only if it verifies, and if the record `seen` says what it says: after a power cut in
 *     a store without durability another generation may have that number.
 * L2  The marks of dropped generations are always looked at, never remembered alone.
 */
#include <stdio.h>
#include <stdlib.h>

#include "gc/live.h"

#define MAGIC	     "pleach live 1\n"
#define MAGIC_LENGTH (sizeof(MAGIC) - 1)
#define HEAD_LENGTH  (MAGIC_LENGTH + 8 + 8 + 4 + 8)
#define ENTRY_LENGTH 20u
#define FILE_MAX     ((size_t)256 << 20)
#define FEW	     1000 /* looks that cost less than a listing might */
#define WORTH_IT     16

void pl_live_done(struct pl_live *live)
{
	for (size_t i = 0; i < live->n; i++) {
		free((char *)live->items[i].r.tags);
		free(live->items[i].held_by);
	}
	free(live->items);
	live->items = NULL;
	live->n = live->capacity = 0;
}

static int add(struct pl_live *live, uint64_t generation, int64_t s, uint32_t ns)
{
	struct pl_retain_item *item;

	pl_assert(live->n == 0 || live->items[live->n - 1].r.generation < generation);
	if (PL_ARRAY_GROW(live->items, live->capacity, live->n) < 0)
		return -ENOMEM;
	item = &live->items[live->n++];
	*item = (struct pl_retain_item){
		.r = {.generation = generation, .time_s = s, .time_ns = ns}};
	return 0;
}

static int by_generation(const void *key, const void *item)
{
	uint64_t a = *(const uint64_t *)key,
		 b = ((const struct pl_retain_item *)item)->r.generation;

	return a < b ? -1 : a > b;
}

struct pl_retain_item *pl_live_find(const struct pl_live *live, uint64_t generation)
{
	if (live->n == 0)
		return NULL;
	return bsearch(&generation, live->items, live->n, sizeof(*live->items), by_generation);
}

/* ---- what is remembered ---- */

static void file_name(const struct pl_live *live, char ret_name[40])
{
	snprintf(ret_name, 40, "live-%s", live->ref->id);
}

static bool is_verified(const struct pl_buffer *b)
{
	struct pl_id sum;

	if (b->length < HEAD_LENGTH + sizeof(sum) ||
	    (b->length - HEAD_LENGTH - sizeof(sum)) % ENTRY_LENGTH != 0 ||
	    memcmp(b->data, MAGIC, MAGIC_LENGTH) != 0)
		return false;
	pl_hash_of(b->data, b->length - sizeof(sum), &sum);
	return memcmp(sum.bytes, b->data + b->length - sizeof(sum), sizeof(sum)) == 0;
}

/* 0: all of it was taken; -EBADMSG, -ENOMEM. */
static int parse(struct pl_live *live, const struct pl_buffer *b)
{
	struct pl_reader r = pl_reader_of(b->data, b->length - sizeof(struct pl_id));
	uint64_t n, previous = 0;

	(void)pl_read_bytes(&r, MAGIC_LENGTH);
	live->seen = pl_read_u64(&r);
	live->seen_s = (int64_t)pl_read_u64(&r);
	live->seen_ns = pl_read_u32(&r);
	n = pl_read_u64(&r);
	if (n != (b->length - HEAD_LENGTH - sizeof(struct pl_id)) / ENTRY_LENGTH)
		return -EBADMSG;
	for (uint64_t i = 0; i < n; i++) {
		uint64_t generation = pl_read_u64(&r);
		int64_t s = (int64_t)pl_read_u64(&r);
		uint32_t ns = pl_read_u32(&r);

		if (generation <= previous || generation > live->seen || ns >= 1000000000)
			return -EBADMSG;
		previous = generation;
		if (add(live, generation, s, ns) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* L1. */
static bool is_of_this_history(const struct pl_live *live, uint64_t head)
{
	struct pl_record record;
	bool is_same;

	if (live->seen == 0 || live->seen > head ||
	    pl_generation_read(live->ref, live->seen, &record, NULL) < 0)
		return false;
	is_same = record.time_s == live->seen_s && record.time_ns == live->seen_ns;
	pl_record_done(&record);
	return is_same;
}

/* Whatever is wrong with it: then nothing is remembered. */
static int load(struct pl_live *live, uint64_t head)
{
	PL_BUFFER b = {0};
	char name[40];
	int r;

	live->is_loaded = true;
	file_name(live, name);
	if (!live->with_times || live->ref->store->cache_fd < 0)
		return 0;
	r = pl_read_file(live->ref->store->cache_fd, name, FILE_MAX, &b);
	if (r >= 0)
		r = is_verified(&b) ? parse(live, &b) : -EBADMSG;
	if (r >= 0 && is_of_this_history(live, head))
		return 0;
	pl_live_done(live);
	live->seen = 0;
	return r == -ENOMEM ? r : 0;
}

void pl_live_save(struct pl_live *live)
{
	struct pl_store *store = live->ref->store;
	PL_BUFFER b = {0};
	char name[40], temporary[25];
	uint64_t n = 0;
	struct pl_id sum;

	if (!live->with_times || live->n_changed <= WORTH_IT + live->n / 64 || store->cache_fd < 0)
		return;
	for (size_t i = 0; i < live->n; i++)
		n += !live->items[i].r.is_dropped;
	pl_buffer_add_string(&b, MAGIC);
	pl_buffer_add_u64(&b, live->seen);
	pl_buffer_add_u64(&b, (uint64_t)live->seen_s);
	pl_buffer_add_u32(&b, live->seen_ns);
	pl_buffer_add_u64(&b, n);
	for (size_t i = 0; i < live->n; i++) {
		const struct pl_retained *r = &live->items[i].r;

		if (r->is_dropped)
			continue;
		pl_buffer_add_u64(&b, r->generation);
		pl_buffer_add_u64(&b, (uint64_t)r->time_s);
		pl_buffer_add_u32(&b, r->time_ns);
	}
	if (!pl_buffer_ok(&b) || b.length > FILE_MAX - sizeof(sum))
		return;
	pl_hash_of(b.data, b.length, &sum);
	pl_buffer_add(&b, sum.bytes, sizeof(sum.bytes));
	if (!pl_buffer_ok(&b) || pl_random_name(temporary) < 0)
		return;
	file_name(live, name);
	if (pl_write_file(store->cache_fd, temporary, 0600, b.data, b.length, false) < 0 ||
	    pl_rename(store->cache_fd, temporary, store->cache_fd, name) < 0)
		(void)pl_unlink(store->cache_fd, temporary);
}

/* ---- what is there ---- */

/* The marks: one by one where few are asked for, else as a set of bits. */
struct marks {
	int fd; /* of dropped/; -ENOENT: none was ever dropped */
	unsigned char *bits;
	uint64_t max;
};

static int list_marks(struct marks *marks)
{
	struct pl_listing listing = {0};
	int r = pl_list(marks->fd, &listing);

	marks->bits = r < 0 ? NULL : calloc((size_t)(marks->max / 8 + 1), 1);
	if (r >= 0 && !marks->bits)
		r = -ENOMEM;
	for (size_t i = 0; r >= 0 && i < listing.n; i++) {
		uint64_t n;

		if (pl_parse_u64(listing.entries[i].name, marks->max, &n) == 0)
			marks->bits[n / 8] |= (unsigned char)(1u << (n % 8));
	}
	pl_listing_done(&listing);
	return r < 0 ? r : 0;
}

static int has_mark(const struct marks *marks, uint64_t n)
{
	char name[24];

	if (marks->fd < 0)
		return 0;
	if (marks->bits)
		return marks->bits[n / 8] >> (n % 8) & 1;
	snprintf(name, sizeof(name), "%llu", (unsigned long long)n);
	return pl_exists(marks->fd, name);
}

/* L2. */
static int look_at_known(struct pl_live *live, const struct marks *marks)
{
	for (size_t i = 0; i < live->n; i++) {
		struct pl_retained *r = &live->items[i].r;
		int marked = r->is_dropped ? 0 : has_mark(marks, r->generation);

		if (marked < 0)
			return marked;
		if (marked == 0)
			continue;
		r->is_dropped = true;
		live->n_changed++;
	}
	return 0;
}

static int add_new(struct pl_live *live, const struct marks *marks, uint64_t n,
		   struct pleach_error *error)
{
	struct pl_record record = {0};
	int marked = has_mark(marks, n), r = 0;

	if (marked < 0)
		return pl_fail_sys(error, marked, "cannot look at ref '%s'", live->ref->name);
	if (live->with_times && (!marked || n == marks->max))
		r = pl_generation_read_known(live->ref, n, &record, error);
	if (r < 0)
		return r;
	pl_record_done(&record);
	live->seen = n;
	live->seen_s = record.time_s;
	live->seen_ns = record.time_ns;
	live->n_changed++;
	if (marked)
		return 0;
	return add(live, n, record.time_s, record.time_ns) < 0 ? pl_fail_memory(error) : 0;
}

int pl_live_update(struct pl_live *live, uint64_t head, struct pleach_error *error)
{
	struct marks marks = {.max = head};
	int r = live->is_loaded ? 0 : load(live, head);

	if (r < 0)
		return pl_fail_memory(error);
	marks.fd = pl_open_dir(live->ref->fd, "dropped");
	r = marks.fd == -ENOENT ? 0 : marks.fd;
	if (r >= 0 && marks.fd >= 0 && live->n + (head - live->seen) > FEW)
		r = list_marks(&marks);
	if (r >= 0)
		r = look_at_known(live, &marks);
	if (r < 0)
		pl_fail_sys(error, r, "cannot look at the generations of '%s'", live->ref->name);
	for (uint64_t n = live->seen + 1; r >= 0 && n <= head; n++) {
		r = pl_store_check_cancel(live->ref->store, error);
		if (r >= 0)
			r = add_new(live, &marks, n, error);
	}
	free(marks.bits);
	pl_closep(&marks.fd);
	return r < 0 ? r : 0;
}
