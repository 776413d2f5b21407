/*
 * search.h - inner header of gc: where in trees certain objects, nodes and contents are.
 */
#ifndef PL_GC_SEARCH_H
#define PL_GC_SEARCH_H

#include "gc/gc.h"

enum pl_sighting_what { PL_SAW_OBJECT, PL_SAW_NODE, PL_SAW_CONTENT };
struct pl_sighting {
	enum pl_sighting_what what;
	const struct pl_id *id;	      /* that was looked for */
	const char *path;	      /* in the tree; of a group block, that of its directory */
	const struct pl_entry *entry; /* of an object or a content */
};
/**
 * What is looked for: maps of ids, the caller's, to whatever; all zero: none of that kind. What was found to hold
 * none of it is not gone into again, in whatever tree: so all trees together cost little more than their nodes
 * that differ, and what is found.
 */
struct pl_search {
	struct pl_node_source nodes;
	uint64_t seed;
	const struct pl_map *objects, *wanted_nodes, *contents;
	int (*saw)(void *self, const struct pl_sighting *sighting, struct pleach_error *error);
	void *self;
	struct pl_map clean; /* pl_search_begin() */
	uint64_t n_seen;
};
void pl_search_begin(struct pl_search *search);
void pl_search_done(struct pl_search *search);
/** In byte order of paths. A node that cannot be read is not gone into. What `saw` answers below 0 ends it. */
int pl_search_tree(struct pl_search *search, const struct pl_id *tree, struct pleach_error *error);

#endif
