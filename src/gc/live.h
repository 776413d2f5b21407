/*
 * live - inner header of gc: the generations of a ref that are there, as retention needs them.
 */
#ifndef PL_GC_LIVE_H
#define PL_GC_LIVE_H

#include "gc/gc.h"

struct pl_live {
	struct pl_ref *ref;
	bool with_times; /* else the records are not read, and nothing is remembered */
	struct pl_retain_item
		*items; /* by number; once here, always here, though marked as dropped */
	size_t n, capacity;
	/* All up to this number are known; and the time of its record, by which what was remembered is
	 * recognised. */
	uint64_t seen;
	int64_t seen_s;
	uint32_t seen_ns;
	bool is_loaded;
	size_t n_changed; /* differences from what is remembered */
};
/** Brings `items` up to `head` and to the marks that are there now. 0, or what could not be read. */
int pl_live_update(struct pl_live *live, uint64_t head, struct pleach_error *error);
/** Remembers it for the next time, where that is worth it. Best effort. */
void pl_live_save(struct pl_live *live);
/** The item of a generation, NULL: none. */
struct pl_retain_item *pl_live_find(const struct pl_live *live, uint64_t generation);
void pl_live_done(struct pl_live *live);

/** 1: a transaction is parked on this tree, appended to `by` as what follows "it is"; 0: none. (retain.c) */
int pl_retain_find_parked(struct pl_store *store, const struct pl_id *tree, struct pl_buffer *by);

#endif
