/*
 * merge_value - the three-way merge of one value: of metadata, and of an entry that is no directory.
 * Nothing is known here of paths, nodes, groups or policies. Inner to the folder.
 */
#ifndef PL_TREE_MERGE_VALUE_H
#define PL_TREE_MERGE_VALUE_H

#include "tree/tree.h"

/** An entry, or metadata, with all bytes that it points to; one piece of the heap. */
struct pl_kept_entry {
	struct pl_entry entry;
	unsigned char bytes[];
};
struct pl_kept_meta {
	struct pl_meta meta;
	unsigned char xattrs[];
};
/** NULL if memory is out. */
struct pl_kept_entry *pl_keep_entry(const struct pl_entry *entry);
struct pl_kept_meta *pl_keep_meta(const struct pl_meta *meta);

/** Are both not there, or both, and equal? */
bool pl_merge_same(const struct pl_entry *a, const struct pl_entry *b);

enum pl_verdict {
	PL_VERDICT_HEAD, /* as head has it, also if it has nothing */
	PL_VERDICT_TX,
	PL_VERDICT_MADE, /* a value of its own */
	PL_VERDICT_CONFLICT,
};
/**
 * What a path becomes that is no directory in head nor in tx. NULL: it is not there. The base may have a
 * directory there. An enum pl_verdict, *ret_made set with MADE alone; or -ENOMEM.
 */
int pl_merge_decide(const struct pl_entry *base, const struct pl_entry *head,
		    const struct pl_entry *tx, struct pl_kept_entry **ret_made);
/**
 * What the metadata of a directory becomes. The mtime never conflicts; what is made of the rest in a
 * conflict has no meaning. `base` NULL: it is no directory there.
 */
int pl_merge_decide_meta(const struct pl_meta *base, const struct pl_meta *head,
			 const struct pl_meta *tx, struct pl_kept_meta **ret_made);
/** Sets the mtime to the later of two. */
void pl_merge_later_mtime(struct pl_meta *meta, const struct pl_meta *other);
/** May it be that both sides appended to a file, and did nothing else that would be lost? */
bool pl_merge_may_append(const struct pl_entry *base, const struct pl_entry *head,
			 const struct pl_entry *tx);

#endif
