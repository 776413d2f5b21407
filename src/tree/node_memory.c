/*
 * Nodes that were read or written a moment ago: one commit reads the same ones for the scan, the merge, the
 * counting and the layout. A node is named by its hash, so what is remembered is true for ever; that it is in the
 * store still is not, and is never asked here.
 *
 * M1  Only what was verified against its id is put in, or what the id was made from.
 * M2  Bounded: when it is full all is forgotten, and it begins anew. Large nodes are not kept at all.
 */
#include "tree/tree.h"

#define ROOM	  (4u << 20)
#define KEPT_SIZE (64u << 10)

void pl_node_memory_init(struct pl_node_memory *memory, uint64_t seed)
{
	*memory = (struct pl_node_memory){.seed = seed};
	pl_map_init(&memory->offsets, sizeof(struct pl_id), seed);
}

void pl_node_memory_done(struct pl_node_memory *memory)
{
	pl_map_done(&memory->offsets);
	pl_buffer_done(&memory->bytes);
}

int pl_node_memory_get(const struct pl_node_memory *memory, const struct pl_id *id,
		       struct pl_buffer *b)
{
	const uint64_t *at = pl_map_get(&memory->offsets, id);
	uint32_t length;

	if (!at)
		return 0;
	memcpy(&length, memory->bytes.data + *at, sizeof(length));
	pl_assert(*at + sizeof(length) + length <= memory->bytes.length);
	pl_buffer_add(b, memory->bytes.data + *at + sizeof(length), length);
	return 1;
}

void pl_node_memory_forget(struct pl_node_memory *memory)
{
	pl_node_memory_done(memory);
	pl_node_memory_init(memory, memory->seed);
}

void pl_node_memory_put(struct pl_node_memory *memory, const struct pl_id *id, const void *data,
			size_t length)
{
	uint32_t length32 = (uint32_t)length;
	uint64_t at;

	if (length > KEPT_SIZE || pl_map_get(&memory->offsets, id))
		return;
	if (memory->bytes.length + sizeof(length32) + length > ROOM)
		pl_node_memory_forget(memory);
	at = memory->bytes.length;
	pl_buffer_add(&memory->bytes, &length32, sizeof(length32));
	pl_buffer_add(&memory->bytes, data, length);
	if (!pl_buffer_ok(&memory->bytes) || pl_map_put(&memory->offsets, id, at) < 0)
		pl_node_memory_forget(memory); /* it is a help, no need */
}
