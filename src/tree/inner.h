/*
 * inner - what the files of this folder share and no other folder sees: totals as values, and counts
 * that spare a second reading of blocks.
 */
#ifndef PL_TREE_INNER_H
#define PL_TREE_INNER_H

#include "tree/tree.h"

#define PL_NODE_MAGIC	       "pleach node 1\n"
#define PL_GROUP_MAGIC	       "pleach group 1\n"
#define PL_MAGIC_LENGTH(magic) (sizeof(magic) - 1)

/* ---- totals.c ---- */

bool pl_totals_equal(const struct pl_totals *a, const struct pl_totals *b);
/** What cannot be true of any subtree (a static text), or NULL. */
const char *pl_totals_flaw(const struct pl_totals *totals);
/** Counts an entry in. -EOVERFLOW: a sum, or too deep; nothing has changed then. */
int pl_totals_add(struct pl_totals *totals, const struct pl_entry *entry);
/** Counts metadata in: of an entry, of a directory itself. */
void pl_totals_add_meta(struct pl_totals *totals, const struct pl_meta *meta);
/** Counts a directory's own groups in. -EOVERFLOW likewise. */
int pl_totals_add_groups(struct pl_totals *totals, uint64_t n_groups);

/* ---- node.c ---- */

/** As pl_node_totals(), for who has read the node's own groups and knows how many there are. */
int pl_node_totals_with(const struct pl_node *node, uint64_t n_groups, struct pl_totals *ret_totals,
			struct pleach_error *error);
/** -EBADMSG unless the two are equal: what `child` yields, and what its parent says of it. */
int pl_node_compare_totals(const struct pl_node *child, const struct pl_totals *yielded,
			   const struct pl_totals *claimed, struct pleach_error *error);

/* ---- groups.c ---- */

/** -EBADMSG if a path is in two of the groups, which a base says of its directory `node`. */
int pl_groups_check_unique(const struct pl_groups *groups, const struct pl_node *node,
			   struct pleach_error *error);

/* ---- membership.c ---- */

/** How many groups the directory that was pushed last has of its own. */
size_t pl_membership_own_groups(const struct pl_membership *m);

#endif
