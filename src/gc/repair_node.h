/*
 * repair_node - inner header of gc: nodes that are being mended, as repair_node.c and the sources
 * outside of the store (repair_from.c) know them.
 */
#ifndef PL_GC_REPAIR_NODE_H
#define PL_GC_REPAIR_NODE_H

#include "gc/repairing.h"

struct pl_nodes_wanted {
	struct pl_repairing *m;
	struct pl_map ids; /* id -> number of its first finding + 1; 0: it is mended */
	size_t n_left;
	struct pl_id *pile; /* found missing below one that was mended */
	size_t n_pile, pile_capacity;
	/* The tree that is gone through. */
	struct pl_id tree;
	int treedir_fd;
};
/** Takes from a source of nodes all that are wanted. */
int pl_nodes_take(struct pl_nodes_wanted *w, const struct pl_node_source *source, const char *where,
		  struct pleach_error *error);
/** The same of a directory, in every way in which it can be read. */
int pl_nodes_scan(struct pl_nodes_wanted *w, int fd, const char *where, struct pleach_error *error);

/* ---- repair_from.c ---- */

/** Tries another store (which is quick), or, `thorough`, a directory. */
int pl_outside_nodes(struct pl_nodes_wanted *w, bool thorough, struct pleach_error *error);

#endif
