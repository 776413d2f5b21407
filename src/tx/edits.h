/*
 * edits.h - inner header: edits of a tree by the library itself. Two ways with one face: in memory, for a
 * transaction without a workspace (edits.c, on edits_tree.c), and in a plain directory (edits_dir.c).
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
/** Each is done or not: after an error nothing has changed. As in any directory the mtime of a directory that
 * gets, loses or changes a name is the time of now. */
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

/* ---- edits_way.c: what both have in common ---- */

/** The metadata of something new of this kind, of which nothing is said. */
void pl_edit_default(struct pl_meta *meta, char kind);
/** Changes `meta` of something of this kind as is asked for; xattrs go to `room`. -EINVAL: no value for it;
 * -E2BIG: too many xattrs. `meta` is as it was then. */
int pl_edit_change_meta(struct pl_meta *meta, char kind, const struct pleach_metadata *metadata,
			struct pl_buffer *room);
/** "cannot <what> '<path>': <strerror>", by path. Gives r. */
int pl_edit_fail(int r, const char *what, const char *path, struct pleach_error *error);
/** The same for metadata that did not take; `why` as pl_meta_restore() says it, or NULL. */
int pl_edit_fail_meta(int r, const char *why, const char *path, struct pleach_error *error);

/* ---- edits_base.c: a directory of the base ---- */

struct pl_edit_base {
	struct pl_node node;
	size_t *at; /* where each entry of the node begins, for pl_node_next() */
};
int pl_edit_base_new(const struct pl_node_source *nodes, const struct pl_id *id,
		     struct pl_edit_base **ret_base, struct pleach_error *error);
void pl_edit_base_free(struct pl_edit_base *base);
/** 1 and the entry, or 0. Logarithmic in the entries. */
int pl_edit_base_find(const struct pl_edit_base *base, const char *name, size_t length,
		      struct pl_entry *ret_entry);

/* ---- edits_tree.c: the tree as it is becoming ---- */

/** A name that was looked at. What else is in a directory is what the base has in its `origin`. */
struct pl_edit_node {
	struct pl_edit_node *parent;
	struct pl_edit_node *children, *next; /* siblings, in no order */
	char *name;
	bool is_in_base;	/* its parent's origin has this name */
	char kind;		/* an enum pleach_type; 0: there is nothing (any more) */
	char *origin;		/* path in the base of what this is; NULL: it was made here */
	bool is_changed;	/* it has an origin, and other metadata than there */
	struct pl_buffer entry; /* encoded, under some name; of a directory its metadata */
	uint64_t link; /* names with the same one share an inode; 0: alone, or as in the base */
	struct pl_edit_base *base; /* of a directory: its origin's */
	uint64_t serial;	   /* of a directory: what its names are found by */
};
struct pl_edit_tree {
	struct pl_node_source nodes;
	struct pl_id base;
	struct pl_edit_node root;
	struct pl_map
		by_origin;     /* hash of a base path -> address of its node, 0: of none any more */
	struct pl_map by_name; /* hash of serial and name -> address of the node */
	uint64_t last_link, last_serial;
};
int pl_edit_tree_init(struct pl_edit_tree *tree, const struct pl_node_source *nodes,
		      const struct pl_id *base, uint64_t seed, struct pleach_error *error);
void pl_edit_tree_done(struct pl_edit_tree *tree);
/** The node at `path`; one of kind 0 where there is nothing. -ENOENT, -ENOTDIR, without a text: what should be
 * above is not there, or no directory. */
int pl_edit_tree_find(struct pl_edit_tree *tree, const char *path, struct pl_edit_node **ret_node,
		      struct pleach_error *error);
bool pl_edit_tree_is_empty(const struct pl_edit_tree *tree, const struct pl_edit_node *node);
/** Sees to it that all names of its inode have one `link`, whatever the base says. */
int pl_edit_tree_join(struct pl_edit_tree *tree, struct pl_edit_node *node,
		      struct pleach_error *error);
/** The next node of a walk through all of them, each before what is below it; NULL at the end. */
struct pl_edit_node *pl_edit_tree_step(struct pl_edit_node *node);
/** Takes away what is at the node and below it. Cannot fail. */
void pl_edit_tree_clear(struct pl_edit_tree *tree, struct pl_edit_node *node);
/** What is at the node is this; the buffer is emptied. Cannot fail. */
void pl_edit_tree_set_take(struct pl_edit_tree *tree, struct pl_edit_node *node, char kind,
			   uint64_t link, struct pl_buffer *entry_take);
/** It has other metadata; the buffer is emptied. Cannot fail. */
void pl_edit_tree_change_take(struct pl_edit_node *node, struct pl_buffer *entry_take);
/** Moves what is at `from` to `to`, which is cleared. Cannot fail. */
void pl_edit_tree_move(struct pl_edit_tree *tree, struct pl_edit_node *from,
		       struct pl_edit_node *to);

/* ---- edits_changes.c ---- */

/** What has become of the base. */
int pl_edit_tree_changes(struct pl_edit_tree *tree, uint64_t seed,
			 struct pl_changeset **ret_changes, struct pleach_error *error);

/* ---- edits_content.c ---- */

struct pl_tx_edits {
	struct pl_tx *tx;
	int fd; /* tx/<id>/e */
	struct pl_edit_tree tree;
	uint64_t serial; /* for names of unfinished files */
};
/** Takes in the content of a call, for a file whose metadata are set in `entry`; fills in the rest. */
int pl_edit_take_content(struct pl_tx_edits *edits, const struct pl_edit_call *call,
			 struct pl_entry *entry, struct pleach_error *error);
/** The content of the file `old` again, with the metadata of `entry`, which has the same otherwise. */
int pl_edit_copy_content(struct pl_tx_edits *edits, const struct pl_entry *old,
			 const struct pl_entry *entry, const char *path,
			 struct pleach_error *error);
/** Can something of the entry's kind, which is no file, have its metadata here? 0 or an error. */
int pl_edit_try_metadata(struct pl_tx_edits *edits, const struct pl_entry *entry, const char *path,
			 struct pleach_error *error);
/** Puts what names have now into the stage; what was replaced again since stays out. */
int pl_edit_stage_contents(struct pl_tx_edits *edits, struct pl_stage *stage,
			   struct pleach_error *error);

#endif
