/*
 * repair_object - inner header of gc: objects that are being mended, as repair_object.c and the sources
 * outside of the store (repair_from.c) know them.
 */
#ifndef PL_GC_REPAIR_OBJECT_H
#define PL_GC_REPAIR_OBJECT_H

#include "gc/repairing.h"
#include "gc/search.h"

struct pl_wanted {
	struct pl_id object;
	struct pl_finding *finding;
	struct pl_buffer bytes; /* what `entry` leads into */
	struct pl_entry entry;	/* what it must be, of some node that needs it */
	bool has_entry, is_mended, is_claimed;
	const char *why_not;	 /* it cannot be had here, whatever its source (static) */
	struct pl_strings paths; /* at which trees have it */
	size_t next;		 /* another one of equal content, SIZE_MAX: none */
};
struct pl_mending {
	struct pl_repairing *m;
	struct pl_wanted *wanted;
	size_t n, capacity, n_left; /* n_left: not mended */
	struct pl_map objects;	    /* id -> index of wanted */
	struct pl_map contents;	    /* hash of content -> index of the first */
	/* The tree that is gone through, and its placings. */
	struct pl_id tree;
	int treedir_fd;
	unsigned *placings;
	size_t n_placings, placings_capacity;
};
/** 1: `fd` (below 0: nothing) has its content, and it is mended. 0: not from that. */
int pl_mending_try(struct pl_mending *o, struct pl_wanted *w, int fd, const char *source,
		   struct pleach_error *error);
/** Opens dirfd/path for reading, following no symlink anywhere; or an error. */
int pl_mending_open(int dirfd, const char *path);
/** Looks through all trees. */
int pl_mending_search(struct pl_mending *o, const struct pl_map *objects,
		      const struct pl_map *contents,
		      int (*saw)(void *self, const struct pl_sighting *sighting,
				 struct pleach_error *error),
		      struct pleach_error *error);

/* ---- repair_from.c ---- */

/** Tries for what is left of them what is outside. */
int pl_outside_objects(struct pl_mending *o, struct pleach_error *error);

#endif
