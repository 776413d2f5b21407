/*
 * forge - pieces of nodes and blocks, byte by byte, right ones and wrong ones, for tests of what must
 * be refused. Nothing here asserts a rule of the format. Header only.
 */
#ifndef FORGE_H
#define FORGE_H

#include "tree/memory_store.h"

/* Metadata without xattrs; an owner that is not recorded. */
static inline void forge_meta(struct pl_buffer *b, unsigned mode)
{
	pl_buffer_add_u16(b, (uint16_t)mode);
	pl_buffer_add_u32(b, PLEACH_NO_OWNER);
	pl_buffer_add_u32(b, PLEACH_NO_OWNER);
	pl_buffer_add_u64(b, 0);
	pl_buffer_add_u32(b, 0);
	pl_buffer_add_u32(b, 0);
}

/* Up to where the first entry begins. */
static inline void forge_head(struct pl_buffer *b, const struct pl_id *blocks, uint32_t n_blocks,
			      uint32_t n_entries)
{
	pl_buffer_add_string(b, "pleach node 1\n");
	forge_meta(b, 0755);
	pl_buffer_add_u32(b, n_blocks);
	for (uint32_t i = 0; i < n_blocks; i++)
		pl_buffer_add(b, blocks[i].bytes, sizeof(blocks[i].bytes));
	pl_buffer_add_u32(b, n_entries);
}

/* Up to where the body begins. */
static inline void forge_name_n(struct pl_buffer *b, char kind, const char *name, size_t length)
{
	pl_buffer_add_u8(b, (uint8_t)kind);
	pl_buffer_add_u8(b, (uint8_t)length);
	pl_buffer_add(b, name, length);
}

static inline void forge_name(struct pl_buffer *b, char kind, const char *name)
{
	forge_name_n(b, kind, name, strlen(name));
}

static inline void forge_file(struct pl_buffer *b, const char *name, uint64_t size)
{
	forge_name(b, 'f', name);
	forge_meta(b, 0644);
	pl_buffer_add_u64(b, size);
	pl_buffer_add(b, pl_hash_empty.bytes, sizeof(pl_hash_empty.bytes));
}

static inline void forge_fifo(struct pl_buffer *b, const char *name)
{
	forge_name(b, 'p', name);
	forge_meta(b, 0644);
}

static inline void forge_symlink_n(struct pl_buffer *b, const char *name, unsigned mode,
				   const char *target, size_t length)
{
	forge_name(b, 'l', name);
	forge_meta(b, mode);
	pl_buffer_add_u16(b, (uint16_t)length);
	pl_buffer_add(b, target, length);
}

static inline void forge_directory(struct pl_buffer *b, const char *name, const struct pl_id *node,
				   const struct pl_totals *totals)
{
	forge_name(b, 'd', name);
	pl_buffer_add(b, node->bytes, sizeof(node->bytes));
	pl_buffer_add_u64(b, totals->entries);
	pl_buffer_add_u64(b, totals->files);
	pl_buffer_add_u64(b, totals->bytes);
	pl_buffer_add_u64(b, totals->groups);
	pl_buffer_add_u32(b, totals->depth);
	pl_buffer_add_u32(b, totals->xattrs);
	pl_buffer_add_u32(b, totals->oddities);
}

/* Stores what was forged and empties it. */
static inline struct pl_id forge_store(struct memory_store *store, struct pl_buffer *b)
{
	struct pl_id id;

	assert_true(pl_buffer_ok(b));
	id = memory_store_put(store, b->data, b->length);
	pl_buffer_done(b);
	return id;
}

static inline void forge_path_n(struct pl_buffer *b, const char *path, size_t length)
{
	pl_buffer_add_u32(b, (uint32_t)length);
	pl_buffer_add(b, path, length);
}

/*
 * Groups from a text: members with a space between, groups with a '|': "a b|c d/e". With the head of
 * a block, unless `n_groups` is UINT32_MAX.
 */
static inline void forge_block(struct pl_buffer *b, const char *text, uint32_t n_groups)
{
	char *copy = strdup(text), *save_group = NULL, *save = NULL;

	assert_non_null(copy);
	if (n_groups != UINT32_MAX) {
		pl_buffer_add_string(b, "pleach group 1\n");
		pl_buffer_add_u32(b, n_groups);
	}
	for (char *group = strtok_r(copy, "|", &save_group); group;
	     group = strtok_r(NULL, "|", &save_group)) {
		uint32_t n = 1;

		for (const char *s = group; *s; s++)
			n += *s == ' ';
		pl_buffer_add_u32(b, n);
		for (char *path = strtok_r(group, " ", &save); path;
		     path = strtok_r(NULL, " ", &save))
			forge_path_n(b, path, strlen(path));
	}
	free(copy);
}

/* Reads a node that must be read. */
static inline struct pl_node forge_read(struct memory_store *store, const struct pl_id *id)
{
	struct pl_node_source source = memory_store_source(store);
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pl_node node;
	int r = pl_node_read(&source, id, &node, &error);

	if (r < 0)
		print_message("reading a node: %s\n", error.message);
	assert_int_equal(r, 0);
	return node;
}

#endif
