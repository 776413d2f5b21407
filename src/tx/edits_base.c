/*
 * A directory of the base, kept as long as edits look into it: its node, and where in it each entry begins, so
 * that many edits of a large directory cost no more than one reading of it.
 */
#include <stdlib.h>

#include "tx/edits.h"

int pl_edit_base_new(const struct pl_node_source *nodes, const struct pl_id *id,
		     struct pl_edit_base **ret_base, struct pleach_error *error)
{
	struct pl_edit_base *base = calloc(1, sizeof(*base));
	struct pl_entry entry;
	size_t cursor = 0;
	int r;

	if (!base)
		return pl_fail_memory(error);
	r = pl_node_read(nodes, id, &base->node, error);
	if (r < 0) {
		free(base);
		return r;
	}
	base->at = calloc((size_t)base->node.n_entries + 1, sizeof(*base->at));
	if (!base->at) {
		pl_edit_base_free(base);
		return pl_fail_memory(error);
	}
	for (uint32_t i = 0; i < base->node.n_entries; i++) {
		base->at[i] = cursor;
		r = pl_node_next(&base->node, &cursor, &entry);
		pl_assert(r == 1);
	}
	*ret_base = base;
	return 0;
}

void pl_edit_base_free(struct pl_edit_base *base)
{
	if (!base)
		return;
	pl_node_done(&base->node);
	free(base->at);
	free(base);
}

int pl_edit_base_find(const struct pl_edit_base *base, const char *name, size_t length,
		      struct pl_entry *ret_entry)
{
	const struct pl_entry wanted = {.name = name, .name_length = (uint8_t)length};
	uint32_t low = 0, high = base->node.n_entries;

	pl_assert(pl_name_is_valid(name, length));
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		size_t cursor = base->at[middle];
		struct pl_entry entry;
		int order;

		(void)pl_node_next(&base->node, &cursor, &entry);
		order = pl_entry_compare(&entry, &wanted);
		if (order == 0) {
			*ret_entry = entry;
			return 1;
		}
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return 0;
}
