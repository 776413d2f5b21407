/*
 * room.h - inner header of gc: making room in a store that takes more than it shall (room.c), for a collection.
 */
#ifndef PL_GC_ROOM_H
#define PL_GC_ROOM_H

#include "gc/usage.h"

/** A store against what it shall take. All zero before but for limit and room; pl_room_done() after, whatever came of
 * it. */
struct pl_room {
	uint64_t limit; /* bytes of the disk, of .pleach */
	uint64_t room;	/* that shall be free on the disk, too */
	unsigned part;	/* > 0: one in so many of those that may go is to go, fits it or not */
	uint64_t size_before, size; /* that it takes; that it will take without what was chosen */
	struct pl_usage usage;	    /* read only if it is over */
	bool is_read;
	struct pl_evictable *items; /* in order; .ref is an index of usage.refs */
	size_t n, capacity;
	size_t n_chosen; /* the first of `items`, after pl_room_choose() */
};
void pl_room_done(struct pl_room *room);
/** What a dry run knows of generations already. */
struct pl_room_foresight {
	enum pl_room_answer {
		PL_ROOM_MAY_GO,
		PL_ROOM_STAYS,
		PL_ROOM_GONE
	} (*ask)(void *self, const char *ref, uint64_t n);
	void *self;
};
/**
 * Measures, once. If it takes too much: reads what it holds, and chooses what goes until it fits, or there is no more.
 * What would make no room, since its tree is another's too, is not chosen. `foresight` (NULL: what is there, is there)
 * says what is gone already; then all that a collection would free is, too. Takes no lock.
 */
int pl_room_choose(struct pl_store *store, struct pl_room *room,
		   const struct pl_room_foresight *foresight, struct pleach_error *error);
/** Appends for people what keeps it over: "2 heads, 1 tagged, ...". What is chosen does not count. */
int pl_room_explain(struct pl_room *room, struct pl_buffer *b, struct pleach_error *error);

#endif
