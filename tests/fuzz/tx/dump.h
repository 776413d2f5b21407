/*
 * dump.h - trees as texts, and what two of them differ in.
 */
#ifndef PL_FUZZ_DUMP_H
#define PL_FUZZ_DUMP_H

#include "tree/tree.h"

/* Prints the lines of the one tree that the other has not ("-"), and the other way round ("+"): kind, path,
 * every attribute, and which names are one inode. Nodes of either come from `nodes`. */
void dump_difference(FILE *out, const struct pl_node_source *nodes, const struct pl_id *expected,
		     const struct pl_id *found);

#endif
