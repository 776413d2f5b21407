/*
 * Building nodes: entries come in any order, and one encoded node goes out. What is encoded here,
 * node.c reads; no node is stored here, only the blocks of its groups.
 *
 * Entries are encoded as they come, one behind the other, with kind and name, just as they will stand
 * in the node. Beside these bytes only 8 an entry are kept, and what is sorted is these.
 *
 * B1  An entry that was refused has left nothing behind, but that memory was out: that is remembered.
 * B2  While is_sorted, the bytes are the node's as they are, and no name stands twice.
 */
#include "tree/inner.h"

#include <stdlib.h>

struct pl_built_entry {
	uint32_t offset, length; /* of kind, name_length, name, body; below PL_NODE_SIZE_MAX */
};

void pl_node_builder_init(struct pl_node_builder *builder)
{
	*builder = (struct pl_node_builder){.is_sorted = true};
}

void pl_node_builder_done(struct pl_node_builder *builder)
{
	pl_buffer_done(&builder->bodies);
	free(builder->entries);
	*builder = (struct pl_node_builder){.is_sorted = true};
}

/* Empty, with the memory kept for the next directory. */
static void reset(struct pl_node_builder *builder)
{
	if (!pl_buffer_ok(&builder->bodies))
		pl_buffer_done(&builder->bodies);
	pl_buffer_truncate(&builder->bodies, 0);
	builder->n = 0;
	builder->totals = (struct pl_totals){0};
	builder->is_sorted = true;
}

static int compare_encoded(const unsigned char *a, const unsigned char *b)
{
	size_t shorter = a[1] < b[1] ? a[1] : b[1];
	int r = memcmp(a + 2, b + 2, shorter);

	return r != 0 ? r : a[1] - b[1];
}

static const unsigned char *encoded_at(const struct pl_node_builder *builder, size_t i)
{
	const struct pl_built_entry *built = &builder->entries[i];

	pl_assert(i < builder->n);
	pl_assert((size_t)built->offset + built->length <= builder->bodies.length);
	return builder->bodies.data + built->offset;
}

/* ---- adding ---- */

/* Who adds has looked: what a file system says is within these bounds, and so is a node that was read. */
static void assert_entry(const struct pl_entry *e)
{
	pl_assert(pl_name_is_valid(e->name, e->name_length));
	if (e->kind == PLEACH_DIR) {
		pl_assert(!pl_totals_flaw(&e->totals));
		return;
	}
	pl_assert(e->meta.mode <= 07777 && e->meta.mtime_ns < 1000000000);
	pl_assert((e->meta.uid == PLEACH_NO_OWNER) == (e->meta.gid == PLEACH_NO_OWNER));
	if (e->kind == PLEACH_SYMLINK) {
		pl_assert(e->meta.mode == 0777);
		pl_assert(e->target_length > 0 && e->target_length <= PL_TARGET_MAX);
		pl_assert(!memchr(e->target, '\0', e->target_length));
	} else {
		pl_assert(e->kind == PLEACH_FILE || e->kind == PLEACH_FIFO ||
			  e->kind == PLEACH_SOCKET || e->kind == PLEACH_CHAR ||
			  e->kind == PLEACH_BLOCK);
	}
}

static void encode_totals(const struct pl_totals *totals, struct pl_buffer *b)
{
	pl_buffer_add_u64(b, totals->entries);
	pl_buffer_add_u64(b, totals->files);
	pl_buffer_add_u64(b, totals->bytes);
	pl_buffer_add_u64(b, totals->groups);
	pl_buffer_add_u32(b, totals->depth);
	pl_buffer_add_u32(b, totals->xattrs);
	pl_buffer_add_u32(b, totals->oddities);
}

void pl_entry_encode(const struct pl_entry *e, struct pl_buffer *b)
{
	pl_buffer_add_u8(b, (uint8_t)e->kind);
	pl_buffer_add_u8(b, e->name_length);
	pl_buffer_add(b, e->name, e->name_length);
	if (e->kind == PLEACH_DIR) {
		pl_buffer_add(b, e->hash.bytes, sizeof(e->hash.bytes));
		encode_totals(&e->totals, b);
		return;
	}
	pl_meta_encode(&e->meta, b);
	switch (e->kind) {
	case PLEACH_FILE:
		pl_buffer_add_u64(b, e->size);
		pl_buffer_add(b, e->hash.bytes, sizeof(e->hash.bytes));
		break;
	case PLEACH_SYMLINK:
		pl_buffer_add_u16(b, e->target_length);
		pl_buffer_add(b, e->target, e->target_length);
		break;
	case PLEACH_CHAR:
	case PLEACH_BLOCK:
		pl_buffer_add_u32(b, e->major);
		pl_buffer_add_u32(b, e->minor);
		break;
	default:
		pl_assert(e->kind == PLEACH_FIFO || e->kind == PLEACH_SOCKET);
	}
}

int pl_node_builder_add(struct pl_node_builder *builder, const struct pl_entry *entry)
{
	struct pl_totals totals = builder->totals;
	size_t offset = builder->bodies.length;
	int r;

	assert_entry(entry);
	if (builder->n >= PL_NODE_ENTRIES_MAX)
		return -EOVERFLOW;
	r = pl_totals_add(&totals, entry);
	if (r < 0)
		return r;
	r = PL_ARRAY_GROW(builder->entries, builder->capacity, builder->n);
	if (r < 0)
		return r;
	pl_entry_encode(entry, &builder->bodies);
	if (!pl_buffer_ok(&builder->bodies))
		return -ENOMEM;
	if (builder->bodies.length > PL_NODE_SIZE_MAX) {
		pl_buffer_truncate(&builder->bodies, offset); /* B1 */
		return -EOVERFLOW;
	}
	builder->entries[builder->n++] = (struct pl_built_entry){
		.offset = (uint32_t)offset,
		.length = (uint32_t)(builder->bodies.length - offset),
	};
	if (builder->is_sorted && builder->n > 1)
		builder->is_sorted = compare_encoded(encoded_at(builder, builder->n - 2),
						     encoded_at(builder, builder->n - 1)) < 0;
	builder->totals = totals;
	pl_assert(builder->totals.entries >= builder->n);
	return 0;
}

/* ---- the end ---- */

static int compare_built(const void *a, const void *b, void *bodies)
{
	const unsigned char *bytes = bodies;

	return compare_encoded(bytes + ((const struct pl_built_entry *)a)->offset,
			       bytes + ((const struct pl_built_entry *)b)->offset);
}

static int sort(struct pl_node_builder *builder, struct pleach_error *error)
{
	if (builder->is_sorted)
		return 0;
	qsort_r(builder->entries, builder->n, sizeof(builder->entries[0]), compare_built,
		builder->bodies.data);
	for (size_t i = 1; i < builder->n; i++) {
		const unsigned char *encoded = encoded_at(builder, i);
		int order = compare_encoded(encoded_at(builder, i - 1), encoded);

		pl_assert(order <= 0);
		if (order == 0)
			return pl_fail(error, PLEACH_FAILED, -EEXIST,
				       "the name %.*s stands twice in one directory", encoded[1],
				       (const char *)encoded + 2);
	}
	return 0;
}

/* `own`: the directory's own metadata and groups, which no entry of it has. */
static int sum_up(const struct pl_node_builder *builder, const struct pl_meta *own, size_t n_groups,
		  struct pl_totals *ret_totals, struct pleach_error *error)
{
	struct pl_totals totals = builder->totals;

	if (pl_totals_add_groups(&totals, n_groups) < 0)
		return pl_fail(error, PLEACH_FAILED, -EOVERFLOW, "too many hard-link groups");
	pl_totals_add_meta(&totals, own);
	pl_assert(!pl_totals_flaw(&totals));
	*ret_totals = totals;
	return 0;
}

static int encode_node(const struct pl_node_builder *builder, const struct pl_meta *meta,
		       const struct pl_buffer *block_ids, uint32_t n_blocks, struct pl_buffer *b,
		       struct pleach_error *error)
{
	size_t head = PL_MAGIC_LENGTH(PL_NODE_MAGIC) + 64 + meta->xattrs_length;

	pl_assert(block_ids->length == n_blocks * sizeof(struct pl_id));
	if (!pl_buffer_ok(b))
		pl_buffer_done(b);
	pl_buffer_truncate(b, 0);
	/* Once, and not by doubling: it may be a gibibyte. */
	pl_buffer_reserve(b, head + block_ids->length + builder->bodies.length);
	pl_buffer_add(b, PL_NODE_MAGIC, PL_MAGIC_LENGTH(PL_NODE_MAGIC));
	pl_meta_encode(meta, b);
	pl_buffer_add_u32(b, n_blocks);
	if (n_blocks > 0)
		pl_buffer_add(b, block_ids->data, block_ids->length);
	pl_buffer_add_u32(b, (uint32_t)builder->n);
	if (builder->is_sorted && builder->n > 0) /* B2 */
		pl_buffer_add(b, builder->bodies.data, builder->bodies.length);
	for (size_t i = 0; i < builder->n && !builder->is_sorted; i++)
		pl_buffer_add(b, encoded_at(builder, i), builder->entries[i].length);
	if (!pl_buffer_ok(b))
		return pl_fail_memory(error);
	if (b->length > PL_NODE_SIZE_MAX)
		return pl_fail(error, PLEACH_FAILED, -EOVERFLOW,
			       "a directory of %zu names is too large", builder->n);
	return 0;
}

static int end(struct pl_node_builder *builder, const struct pl_meta *meta,
	       struct pl_groups *groups, const struct pl_node_sink *sink,
	       struct pl_buffer *ret_bytes, struct pl_totals *ret_totals,
	       struct pleach_error *error)
{
	PL_BUFFER block_ids = {0};
	size_t n_groups = groups ? groups->n : 0;
	uint32_t n_blocks = 0;
	int r;

	if (!pl_buffer_ok(&builder->bodies))
		return pl_fail_memory(error); /* B1 */
	r = sort(builder, error);
	if (r < 0)
		return r;
	if (n_groups > 0) {
		pl_groups_sort(groups);
		r = pl_groups_write(groups, sink, &block_ids, &n_blocks, error);
		if (r < 0)
			return r;
	}
	r = encode_node(builder, meta, &block_ids, n_blocks, ret_bytes, error);
	return r < 0 ? r : sum_up(builder, meta, n_groups, ret_totals, error);
}

int pl_node_builder_end(struct pl_node_builder *builder, const struct pl_meta *meta,
			struct pl_groups *groups, const struct pl_node_sink *sink,
			struct pl_buffer *ret_bytes, struct pl_id *ret_id,
			struct pl_totals *ret_totals, struct pleach_error *error)
{
	int r;

	pl_assert(meta->mode <= 07777 && meta->xattrs_length <= PL_XATTRS_MAX);
	r = end(builder, meta, groups, sink, ret_bytes, ret_totals, error);
	reset(builder);
	pl_assert(builder->n == 0 && builder->is_sorted);
	if (r < 0)
		return r;
	pl_hash_of(ret_bytes->data, ret_bytes->length, ret_id);
	return 0;
}
