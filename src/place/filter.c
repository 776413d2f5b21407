/*
 * The filter of a placed tree: which objects' inodes it may hold (format.md, "filter").
 */
#include <fcntl.h>
#include <stdlib.h>

#include "place/place.h"

#define MAGIC	     "pleach filter 1\n"
#define MAGIC_LENGTH (sizeof(MAGIC) - 1)
#define FILTER_MAX   (UINT64_C(1) << 32)

int pl_filter_init(struct pl_filter *filter, uint64_t n)
{
	filter->holds_all = false;
	return pl_bloom_init(&filter->bloom, n);
}

void pl_filter_done(struct pl_filter *filter)
{
	if (!filter->holds_all)
		pl_bloom_done(&filter->bloom);
	*filter = (struct pl_filter){.holds_all = true};
}

void pl_filter_add(struct pl_filter *filter, const struct pl_id *object)
{
	if (!filter->holds_all)
		pl_bloom_add(&filter->bloom, object);
}

int pl_filter_add_tree(struct pl_filter *filter, const struct pl_node_source *nodes,
		       const struct pl_id *tree, uint64_t seed, struct pleach_error *error)
{
	struct pl_cursor *cursor;
	int r = pl_cursor_new(nodes, tree, false, seed, &cursor, error);

	if (r < 0)
		return r;
	while ((r = pl_cursor_next(cursor, error)) > 0) {
		const struct pl_entry *entry = r == PL_STEP_ENTRY ? pl_cursor_entry(cursor) : NULL;
		struct pl_id object;

		if (!entry || entry->kind != PLEACH_FILE || entry->size == 0)
			continue;
		pl_entry_object(entry, &object);
		pl_filter_add(filter, &object);
	}
	pl_cursor_free(cursor);
	return r;
}

bool pl_filter_has(const struct pl_filter *filter, const struct pl_id *object)
{
	return filter->holds_all || pl_bloom_has(&filter->bloom, object);
}

int pl_filter_copy(const struct pl_filter *filter, struct pl_filter *ret_filter)
{
	struct pl_filter copy = *filter;
	size_t size = (size_t)(filter->bloom.n_bits / 8);

	if (!filter->holds_all) {
		copy.bloom.bits = malloc(size);
		if (!copy.bloom.bits)
			return -ENOMEM;
		memcpy(copy.bloom.bits, filter->bloom.bits, size);
	}
	*ret_filter = copy;
	return 0;
}

/* The bits of a file that verifies; anything else is -EBADMSG. */
static int decode(const struct pl_buffer *b, struct pl_filter *filter)
{
	struct pl_reader r = pl_reader_of(b->data, b->length);
	const unsigned char *magic = pl_read_bytes(&r, MAGIC_LENGTH), *bits;
	uint64_t n_bits = pl_read_u64(&r), n_added = pl_read_u64(&r);
	struct pl_id sum;

	if (r.short_read || memcmp(magic, MAGIC, MAGIC_LENGTH) != 0 || n_bits < 1024 ||
	    (n_bits & (n_bits - 1)) != 0 || n_bits / 8 > FILTER_MAX ||
	    b->length - r.offset != n_bits / 8 + sizeof(sum.bytes))
		return -EBADMSG;
	bits = pl_read_bytes(&r, (size_t)(n_bits / 8));
	pl_hash_of(b->data, r.offset, &sum);
	if (memcmp(sum.bytes, b->data + r.offset, sizeof(sum.bytes)) != 0)
		return -EBADMSG;
	filter->bloom = (struct pl_bloom){.n_bits = n_bits, .n_added = n_added};
	filter->bloom.bits = malloc((size_t)(n_bits / 8));
	if (!filter->bloom.bits)
		return -ENOMEM;
	memcpy(filter->bloom.bits, bits, (size_t)(n_bits / 8));
	filter->holds_all = false;
	return 0;
}

int pl_filter_read(int dirfd, struct pl_filter *ret_filter)
{
	struct pl_filter filter = {.holds_all = true};
	PL_BUFFER b = {0};
	int r = pl_read_file(dirfd, "filter", (size_t)FILTER_MAX, &b);

	if (r >= 0)
		r = decode(&b, &filter);
	if (r < 0 && r != -ENOENT && r != -EBADMSG && r != -EFBIG)
		return r;
	*ret_filter = filter;
	return 0;
}

int pl_filter_write(const struct pl_filter *filter, int dirfd, bool sync)
{
	PL_BUFFER b = {0};
	struct pl_id sum;

	if (filter->holds_all)
		return 0; /* a missing one says the same; of share=content, it is never there */
	pl_buffer_add_string(&b, MAGIC);
	pl_buffer_add_u64(&b, filter->bloom.n_bits);
	pl_buffer_add_u64(&b, filter->bloom.n_added);
	pl_buffer_add(&b, filter->bloom.bits, (size_t)(filter->bloom.n_bits / 8));
	if (!pl_buffer_ok(&b))
		return -ENOMEM;
	pl_hash_of(b.data, b.length, &sum);
	pl_buffer_add(&b, sum.bytes, sizeof(sum.bytes));
	return pl_buffer_ok(&b) ? pl_write_file(dirfd, "filter", 0600, b.data, b.length, sync)
				: -ENOMEM;
}
