/*
 * yield.h - inner header of gc: what of the disk would be free without certain trees (yield.c), for a dry run.
 */
#ifndef PL_GC_YIELD_H
#define PL_GC_YIELD_H

#include "gc/collecting.h"

/** All zero before; pl_yield_done() after, whatever came of it. */
struct pl_yield {
	uint64_t bytes; /* of the disk: directories, and files that lie in these trees alone */
	struct pl_bloom objects; /* their inodes; no bits: not read yet */
	struct pl_map copies;	 /* inode of a private copy -> how many of its names are left */
	uint64_t n_copies;
};
/**
 * All of trees/<tree>/ would go too, but for objects, which are counted by who knows which of them go. No tree twice.
 * -EINTR, -ENOMEM or an error of reading; what goes meanwhile is none.
 */
int pl_yield_add_tree(struct pl_yield *yield, struct pl_store *store, uint64_t n_objects,
		      const struct pl_id *tree);
void pl_yield_done(struct pl_yield *yield);

#endif
