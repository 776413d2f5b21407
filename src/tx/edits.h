/*
 * edits.h - inner header: edits of a tree by the library itself. Two ways with one face: in memory, for a
 * transaction without a workspace (edits.c, edits_tree.c), and in a plain directory (edits_dir.c).
 */
#ifndef PL_TX_EDITS_H
#define PL_TX_EDITS_H

#include "tx/transaction.h"

/** What is to become of one path. */
struct pl_edit_call {
	const char *path;  /* valid; "" only for set_metadata */
	const char *other; /* target of a symlink, second name of a link, new path of a rename */
	int content_fd;	   /* read from where it stands to its end; -EBADF: `data` */
	const void *data;
	size_t length;
	const struct pleach_metadata *metadata; /* NULL: none is said */
};
struct pl_edit_ops {
	int (*put)(struct pl_tx *tx, const struct pl_edit_call *call, struct pleach_error *error);
	int (*mkdir)(struct pl_tx *tx, const struct pl_edit_call *call, struct pleach_error *error);
	int (*symlink)(struct pl_tx *tx, const struct pl_edit_call *call,
		       struct pleach_error *error);
	int (*link)(struct pl_tx *tx, const struct pl_edit_call *call, struct pleach_error *error);
	int (*remove)(struct pl_tx *tx, const struct pl_edit_call *call,
		      struct pleach_error *error);
	int (*rename)(struct pl_tx *tx, const struct pl_edit_call *call,
		      struct pleach_error *error);
	int (*set_metadata)(struct pl_tx *tx, const struct pl_edit_call *call,
			    struct pleach_error *error);
};
extern const struct pl_edit_ops pl_edit_in_memory, pl_edit_in_directory;
/** The way for this transaction; -EOPNOTSUPP where there is none. */
int pl_edit_ops_of(struct pl_tx *tx, const struct pl_edit_ops **ret_ops,
		   struct pleach_error *error);

/** Changes `meta` as is asked for; a `kind` that is new begins with pl_edit_default(). xattrs go to `room`. */
int pl_edit_change_meta(struct pl_meta *meta, const struct pleach_metadata *metadata,
			struct pl_buffer *room);
void pl_edit_default(struct pl_meta *meta, char kind);
/** "cannot <what> '<path>': <strerror>", by path. Gives r. */
int pl_edit_fail(int r, const char *what, const char *path, struct pleach_error *error);

/* ---- edits_tree.c: the tree as it is becoming ---- */

/** A name that was looked at. Directories know those of their names that were looked at; what else is in
 * one is what the base has in `origin`. */
struct pl_edit_node {
	struct pl_edit_node *parent;
	struct pl_edit_node *children, *next; /* siblings, in no order */
	char *name;
	char kind;	 /* an enum pleach_type; 0: there is nothing (any more) */
	bool is_new;	 /* put here; else it is the base's, at `origin` */
	bool is_changed; /* its metadata, of a directory of the base */
	char *origin; /* path in the base: of what it is, or of a directory what it began with; NULL: none */
	struct pl_buffer entry; /* encoded; of a directory its metadata */
	uint64_t link; /* names with the same one share an inode; 0: alone, or as in the base */
};
struct pl_edit_tree {
	struct pl_node_source nodes;
	struct pl_id base;
	struct pl_edit_node root;
	struct pl_map by_origin; /* hash of a base path -> address of its node */
	uint64_t next_link;
};
int pl_edit_tree_init(struct pl_edit_tree *tree, const struct pl_node_source *nodes,
		      const struct pl_id *base, uint64_t seed, struct pleach_error *error);
void pl_edit_tree_done(struct pl_edit_tree *tree);
/** The node at `path`; one of kind 0 where there is nothing. -ENOENT, -ENOTDIR: what should be above is not
 * there, or no directory. */
int pl_edit_tree_find(struct pl_edit_tree *tree, const char *path, struct pl_edit_node **ret_node,
		      struct pleach_error *error);
/** Is a directory empty? 1, 0 or an error. */
int pl_edit_tree_is_empty(struct pl_edit_tree *tree, struct pl_edit_node *node,
			  struct pleach_error *error);
/** The names that share the inode of `node`, itself among them, as long as they are what they were. The array
 * is the caller's to free. */
int pl_edit_tree_group(struct pl_edit_tree *tree, struct pl_edit_node *node,
		       struct pl_edit_node ***ret_nodes, size_t *ret_n, struct pleach_error *error);
/** The next node of a walk through all of them, each before what is below it; NULL at the end. */
struct pl_edit_node *pl_edit_tree_step(struct pl_edit_node *node);
/** Takes away what is at the node and below it. */
void pl_edit_tree_clear(struct pl_edit_tree *tree, struct pl_edit_node *node);
/** Moves what is at `from` to `to`, which is cleared. */
int pl_edit_tree_move(struct pl_edit_tree *tree, struct pl_edit_node *from,
		      struct pl_edit_node *to);
/** What has become of the base. */
int pl_edit_tree_changes(struct pl_edit_tree *tree, uint64_t seed,
			 struct pl_changeset **ret_changes, struct pleach_error *error);

#endif
