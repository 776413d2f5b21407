/*
 * tree - directories as values. Nodes and hard-link groups (encoding, decoding, building), and what
 * is computed from trees: walking, looking up, diff, graft. Pure: no file is touched here; nodes come
 * from a pl_node_source that is handed in and go to a pl_node_sink. The format is that of
 * docs/format.md, "Nodes" and "Hard-link groups".
 *
 * No function recurses; depth and width of a tree are bounded by memory and format.md alone. Nothing
 * that comes from a node_source is believed: sizes, order, names and totals are checked.
 */
#ifndef PL_TREE_H
#define PL_TREE_H

#include "base/base.h"
#include "object/object.h"

#define PL_NODE_SIZE_MAX    (1u << 30)
#define PL_NODE_ENTRIES_MAX (1u << 24)
#define PL_TARGET_MAX	    4095
#define PL_DEPTH_MAX	    65535
#define PL_GROUP_PATH_MAX   (1u << 20)
#define PL_GROUP_BLOCK_MAX  65536

/** Where nodes and blocks come from. */
struct pl_node_source {
	/** Appends the bytes named `id` to `b`, verified against the id. 0; -ENOENT and -EBADMSG with
	 * `error` filled in. At most PL_NODE_SIZE_MAX bytes. */
	int (*read)(void *self, const struct pl_id *id, struct pl_buffer *b,
		    struct pleach_error *error);
	void *self;
};
/** Nodes and blocks that were met before (node_memory.c). */
struct pl_node_memory {
	struct pl_map offsets;	/* id -> where it begins in `bytes` */
	struct pl_buffer bytes; /* of each: its length, and itself */
	uint64_t seed;
};
void pl_node_memory_init(struct pl_node_memory *memory, uint64_t seed);
void pl_node_memory_done(struct pl_node_memory *memory);
/** For who wants to know what is on the disk. */
void pl_node_memory_forget(struct pl_node_memory *memory);
/** 1: its bytes were appended to `b`, which may have failed. 0: it is not known. */
int pl_node_memory_get(const struct pl_node_memory *memory, const struct pl_id *id,
		       struct pl_buffer *b);
/** Remembers bytes that are known to be those of the id, if there is room. */
void pl_node_memory_put(struct pl_node_memory *memory, const struct pl_id *id, const void *data,
			size_t length);
/** Where nodes and blocks go. */
struct pl_node_sink {
	/** Stores the bytes under `id`, their hash; again and again is fine. 0 or an error. */
	int (*write)(void *self, const struct pl_id *id, const void *data, size_t length,
		     struct pleach_error *error);
	void *self;
};

/* ---- node.c ---- */

#define PL_ODD_WHITEOUT 1u /* a device 0/0 */
#define PL_ODD_DEVICE	2u
#define PL_ODD_OVERLAY	4u /* an xattr of overlayfs */

struct pl_totals {
	uint64_t entries, files, bytes, groups;
	uint32_t depth, xattrs, oddities;
};

/** One entry of a node. Pointers lead into the node's bytes (or the builder's caller's). */
struct pl_entry {
	char kind; /* enum pleach_type */
	uint8_t name_length;
	const char *name;	   /* not NUL-terminated */
	struct pl_meta meta;	   /* not of directories */
	uint64_t size;		   /* 'f' */
	struct pl_id hash;	   /* 'f': of the content; 'd': the child's node */
	const char *target;	   /* 'l', not NUL-terminated */
	uint16_t target_length;	   /* 'l' */
	uint32_t major, minor;	   /* 'c', 'b' */
	struct pl_totals totals;   /* 'd' */
	const unsigned char *body; /* the encoded body, for comparing; set by the decoder only */
	uint32_t body_length;
};
/** Equal kind and body; names are not compared. For entries that came from a node. */
bool pl_entry_equal(const struct pl_entry *a, const struct pl_entry *b);
/** Equal content, whatever the metadata; of one kind both, and no directories. */
bool pl_entry_content_equal(const struct pl_entry *a, const struct pl_entry *b);
/** NUL-terminated copy of the name. */
void pl_entry_name(const struct pl_entry *e, char ret_name[PL_NAME_MAX + 1]);
/** Object id of a file's entry. */
void pl_entry_object(const struct pl_entry *e, struct pl_id *ret_id);
/** One entry as it stands in a node, for who keeps entries elsewhere (groups of a scan, its cache). */
void pl_entry_encode(const struct pl_entry *e, struct pl_buffer *b);
/** 0 or -EBADMSG. Pointers lead into the reader's bytes. */
int pl_entry_decode(struct pl_reader *r, struct pl_entry *ret_entry);
/** Order of two entries of a directory. */
int pl_entry_compare(const struct pl_entry *a, const struct pl_entry *b);

/** A node, decoded: its entries are found one after the other. */
struct pl_node {
	struct pl_id id;
	struct pl_meta meta;
	uint32_t n_blocks, n_entries;
	const unsigned char *blocks; /* n_blocks ids */
	struct pl_buffer bytes;	     /* all of it */
	size_t first_entry;	     /* offset */
};
/** Reads and decodes the node `id`. All of it is validated, each entry too. */
int pl_node_read(const struct pl_node_source *source, const struct pl_id *id,
		 struct pl_node *ret_node, struct pleach_error *error);
void pl_node_done(struct pl_node *node);
/** 1 and the next entry, 0 at the end. `*cursor` begins at 0. Cannot fail on a node that was read. */
int pl_node_next(const struct pl_node *node, size_t *cursor, struct pl_entry *ret_entry);
/** 1 and the entry, or 0. Linear in the entries. */
int pl_node_find(const struct pl_node *node, const char *name, size_t name_length,
		 struct pl_entry *ret_entry);
/** Sums up what the node says of its subtree (its own groups: their number from the blocks). */
int pl_node_totals(const struct pl_node_source *source, const struct pl_node *node,
		   struct pl_totals *ret_totals, struct pleach_error *error);
/** The same of a tree, by its root. */
int pl_tree_totals(const struct pl_node_source *source, const struct pl_id *tree,
		   struct pl_totals *ret_totals, struct pleach_error *error);
/** -EBADMSG unless `child` yields the totals that its parent's entry `claimed` of it. */
int pl_node_check_totals(const struct pl_node_source *source, const struct pl_node *child,
			 const struct pl_totals *claimed, struct pleach_error *error);

/** Builds a node. Entries may be added in any order; they are sorted at the end. */
struct pl_node_builder {
	struct pl_buffer bodies;
	struct pl_built_entry *entries; /* offsets into bodies */
	size_t n, capacity;
	struct pl_totals totals;
	bool is_sorted;
};
void pl_node_builder_init(struct pl_node_builder *builder);
void pl_node_builder_done(struct pl_node_builder *builder);
/** Copies the entry. -EOVERFLOW: too many, too deep. Names twice: found at the end. */
int pl_node_builder_add(struct pl_node_builder *builder, const struct pl_entry *entry);
/**
 * Encodes the node (into `ret_bytes`, emptied first) with the groups that belong to this directory:
 * blocks are written to `sink`. Gives its id and the totals that its parent's entry needs. The node
 * itself is NOT written: the caller may know that it is there. -EEXIST: one name twice.
 * The builder is empty afterwards and may be used again.
 */
struct pl_groups;
int pl_node_builder_end(struct pl_node_builder *builder, const struct pl_meta *meta,
			struct pl_groups *groups, const struct pl_node_sink *sink,
			struct pl_buffer *ret_bytes, struct pl_id *ret_id,
			struct pl_totals *ret_totals, struct pleach_error *error);

/* ---- groups.c ---- */

/** Hard-link groups of one directory, paths relative to it. */
struct pl_group {
	size_t first_member, n_members; /* in members[] */
};
struct pl_groups {
	struct pl_group *groups;
	size_t n, capacity;
	struct pl_group_member {
		size_t offset; /* of the NUL-terminated path in `paths` */
	} * members;
	size_t n_members, members_capacity;
	struct pl_buffer paths;
};
void pl_groups_done(struct pl_groups *groups);
/** Begins a group; members are then added to it. */
int pl_groups_begin(struct pl_groups *groups);
int pl_groups_add(struct pl_groups *groups, const char *path);
const char *pl_groups_path(const struct pl_groups *groups, size_t group, size_t member);
/** Sorts members and groups, as the format wants them. */
void pl_groups_sort(struct pl_groups *groups);
/** Reads and validates all blocks of a node. Appends to nothing: *ret_groups is new. */
int pl_groups_read(const struct pl_node_source *source, const struct pl_node *node,
		   struct pl_groups *ret_groups, struct pleach_error *error);
/** Writes blocks to `sink` and their ids to `ret_ids` (32 bytes each, appended). Must be sorted. */
int pl_groups_write(const struct pl_groups *groups, const struct pl_node_sink *sink,
		    struct pl_buffer *ret_ids, uint32_t *ret_n_blocks, struct pleach_error *error);
/** Index of the group that holds `path`, or -1. Linear; for lookups of single paths. */
ssize_t pl_groups_find(const struct pl_groups *groups, const char *path);

/* ---- membership.c: which group is a path of the tree in ---- */

/**
 * The groups of all directories from the root of a walk down to where it is, by path from the root.
 * A walk pushes a node when it enters a directory and pops it when it leaves.
 */
struct pl_membership;
int pl_membership_new(const struct pl_node_source *source, uint64_t seed,
		      struct pl_membership **ret_membership, struct pleach_error *error);
void pl_membership_free(struct pl_membership *m);
/** `path`: of the directory from the root, "" there. Costs nothing for a node without blocks. */
int pl_membership_push(struct pl_membership *m, const char *path, const struct pl_node *node,
		       struct pleach_error *error);
void pl_membership_pop(struct pl_membership *m);
/** No groups at all above: lookups need not be made. */
bool pl_membership_is_empty(const struct pl_membership *m);
/**
 * The group of `path` (from the root), NULL if it is in none: a number that is the same for all its
 * members and different from that of others for the life of `m`, how many members it has, and their
 * paths from the root (ret_member gives the i-th; valid until the next push or pop).
 */
struct pl_membership_group {
	uint64_t number;
	size_t n_members;
	const struct pl_membership *owner;
	size_t level, index;
};
bool pl_membership_find(const struct pl_membership *m, const char *path,
			struct pl_membership_group *ret_group);
/** Appends the path (from the root) of a member to `b`. */
void pl_membership_member(const struct pl_membership_group *group, size_t i, struct pl_buffer *b);
/** Where a listing of members is; all zero: at its beginning. Valid until the next push or pop. */
struct pl_membership_below {
	size_t level, at;
	bool has_begun; /* in that level */
};
/**
 * Lists the names below the directory `path` that are in groups of directories above it: 1, the next
 * one's group and in `ret_member` its path from the root; 0 at the end; -ENOMEM. `path` (not the root)
 * is where the walk is, pushed or about to be. Names of one directory's groups come sorted by bytes.
 */
int pl_membership_next_below(const struct pl_membership *m, const char *path,
			     struct pl_membership_below *below,
			     struct pl_membership_group *ret_group, struct pl_buffer *ret_member);

/* ---- cursor.c: a walk through a tree of nodes ---- */

/**
 * A depth-first walk in byte order of paths. Each directory is met twice, before and after what is
 * below it. Within a directory entries come in the order of the node.
 */
enum pl_step { PL_STEP_END = 0, PL_STEP_ENTRY, PL_STEP_ENTER, PL_STEP_LEAVE };
struct pl_cursor;
/** `with_groups`: keeps a pl_membership on the way. */
int pl_cursor_new(const struct pl_node_source *source, const struct pl_id *root, bool with_groups,
		  uint64_t seed, struct pl_cursor **ret_cursor, struct pleach_error *error);
void pl_cursor_free(struct pl_cursor *cursor);
/**
 * The next step (an enum pl_step) or an error. ENTRY: something that is no directory. ENTER: a
 * directory, its node read (the root first, with path ""). LEAVE: all below it was met. END: no more.
 */
int pl_cursor_next(struct pl_cursor *cursor, struct pleach_error *error);
/** After ENTER: do not go down, the next step is its LEAVE. */
void pl_cursor_skip(struct pl_cursor *cursor);
/**
 * Has `fn` asked about each directory but the root before its node is read: 1, and the walk passes it by, without
 * a step; 0; or an error, which ends the walk. The last step stands as it did, but for path and entry.
 */
typedef int (*pl_cursor_passes_fn)(void *self, const struct pl_entry *entry,
				   struct pleach_error *error);
void pl_cursor_pass(struct pl_cursor *cursor, pl_cursor_passes_fn fn, void *self);
/** Path from the root of what the last step was about. */
const char *pl_cursor_path(struct pl_cursor *cursor);
/** After ENTRY, and after ENTER and LEAVE but of the root: the entry. */
const struct pl_entry *pl_cursor_entry(const struct pl_cursor *cursor);
/** After ENTER or LEAVE: the directory's node; after ENTRY: that of the directory it is in. */
const struct pl_node *pl_cursor_node(const struct pl_cursor *cursor);
const struct pl_membership *pl_cursor_membership(const struct pl_cursor *cursor);

/* ---- lookup.c ---- */

/** What is at a path. `node` (of the directory itself, or of the parent) is the caller's to free. */
struct pl_found {
	bool is_root;		/* path "" or NULL: entry is not set */
	struct pl_entry entry;	/* leads into parent */
	struct pl_node parent;	/* set unless is_root */
	struct pl_id directory; /* node id, if it is a directory */
	bool is_dir;
};
/** 0; -ENOENT with code NOT_FOUND; -EBADMSG. `path` is validated (USAGE). */
int pl_lookup(const struct pl_node_source *source, const struct pl_id *root, const char *path,
	      struct pl_found *ret_found, struct pleach_error *error);
void pl_found_done(struct pl_found *found);
/** Number of members of the group that `path` is in: 1 if in none. */
int pl_lookup_links(const struct pl_node_source *source, const struct pl_id *root, const char *path,
		    uint64_t *ret_links, struct pleach_error *error);

/* ---- diff.c ---- */

/** One difference; `change` as in struct pleach_change. */
struct pl_difference {
	char change;
	const char *path;
	const struct pl_entry *before, *after;		/* NULL where it is not there */
	const struct pl_meta *before_meta, *after_meta; /* also of directories; NULL likewise */
	uint64_t before_links, after_links;
};
struct pl_diff;
/**
 * Lists the differences in byte order of paths, descending only where node ids differ. A root of NULL
 * is an empty tree (its root directory's metadata is no difference then). A path that is added or
 * removed with a directory is listed too, each. Mtimes of directories are none. A change of type is
 * one `T` for the path, with `A` or `D` for what is below.
 */
int pl_diff_new(const struct pl_node_source *source, const struct pl_id *before,
		const struct pl_id *after, uint64_t seed, struct pl_diff **ret_diff,
		struct pleach_error *error);
/** 1 and the next, 0 at the end. */
int pl_diff_next(struct pl_diff *diff, struct pl_difference *ret_difference,
		 struct pleach_error *error);
void pl_diff_free(struct pl_diff *diff);

struct pl_diff_counts {
	uint64_t added, modified, removed; /* T, M, P and L count as modified */
};
int pl_diff_count(const struct pl_node_source *source, const struct pl_id *before,
		  const struct pl_id *after, uint64_t seed, struct pl_diff_counts *ret_counts,
		  struct pleach_error *error);

/* ---- graft.c ---- */

struct pl_graft_source {
	const char *prefix; /* "" or a valid path */
	struct pl_id tree;  /* node id of what lies there */
	const char *label;  /* for messages: the source as the user named it */
};
/**
 * Composes one tree: each source's directory lies at its prefix. Directories that two sources bring are
 * merged, metadata from the first (last with `clash` LAST). Anything else that two bring is a clash:
 * -EEXIST naming path and both labels, or the first's or the last's. Directories above a prefix that no
 * source brings get mode 0755, and owner and mtime of the root of the first source below.
 * Groups keep the members that are left; a group with one member is none. New nodes go to `sink`.
 */
int pl_graft(const struct pl_node_source *source, const struct pl_node_sink *sink,
	     const struct pl_graft_source *sources, size_t n_sources, enum pleach_clash clash,
	     struct pl_id *ret_tree, struct pleach_error *error);

/* ---- changeset.c: what turns one tree into another ---- */

/**
 * Edits of paths, in memory; a later edit of a path takes the place of an earlier one, and one that
 * removes, puts or brings a whole tree that of all earlier ones below its path, too. Otherwise order
 * does not matter. Directories that no edit names, and that have an edit somewhere below, stay as they are
 * otherwise. All of these return 0, -ENOMEM, or -EINVAL for what is no path.
 */
struct pl_changeset;
int pl_changeset_new(uint64_t seed, struct pl_changeset **ret_changes);
void pl_changeset_free(struct pl_changeset *changes);
bool pl_changeset_is_empty(const struct pl_changeset *changes);
/** The path, and all below it, is not there any more. What is not there may be removed too. */
int pl_changeset_remove(struct pl_changeset *changes, const char *path);
/**
 * The path is this, no directory; copied. Names with one `link` other than 0 share an inode. The path
 * leaves the hard-link group that it is in in the base: who changes the inode of a group puts all its
 * names (pl_lookup_group() tells them).
 */
int pl_changeset_put(struct pl_changeset *changes, const char *path, const struct pl_entry *entry,
		     uint64_t link);
/**
 * The path is a directory. `origin`: the path in the base of the directory whose entries it begins
 * with, to which the edits below `path` are applied ("" is the root; a directory that was moved names where
 * it was; where it was needs a removal of its own). NULL: it begins empty. `meta` (copied) NULL: that of the
 * origin, which must not be NULL then. An origin is named by one edit at most, and pl_apply() refuses
 * what would be at two places.
 */
int pl_changeset_dir(struct pl_changeset *changes, const char *path, const char *origin,
		     const struct pl_meta *meta);
/** The path is a directory that stands in a tree already, all of it: this node. No edits below it. */
int pl_changeset_tree(struct pl_changeset *changes, const char *path, const struct pl_id *node,
		      const struct pl_totals *totals);
/** The names of `paths` (two and more, NUL-terminated, all with edits of put, or none with an edit) are one
 * inode; for merges, which know groups and not inodes. */
int pl_changeset_group(struct pl_changeset *changes, const char *const *paths, size_t n);

/* ---- apply.c ---- */

/**
 * The tree that `changes` make of the tree `base`. Cost follows the edits, the entries of the
 * directories that hold them, and the hard-link groups of directories above them. Hard-link groups: names
 * of a base group that no edit reaches stay one, wherever their directories were moved; what a group
 * keeps fewer than two names of is none; each group goes to its lowest common directory. New nodes go to
 * `sink`. The base's id where nothing changes.
 * FAILED, by path: -ENOTDIR, an edit below something that is no directory or not there, an origin that is
 * none; -EINVAL, a directory that would be at two places, names of a group that are not equal, an edit
 * below a whole tree. -EBADMSG: the base.
 */
int pl_apply(const struct pl_node_source *source, const struct pl_node_sink *sink,
	     const struct pl_id *base, const struct pl_changeset *changes, uint64_t seed,
	     struct pl_id *ret_tree, struct pl_totals *ret_totals, struct pleach_error *error);
/** A tree of one empty directory. */
int pl_tree_make_empty(const struct pl_node_sink *sink, const struct pl_meta *meta,
		       struct pl_id *ret_tree, struct pleach_error *error);
/** Appends the paths of all names of the hard-link group that `path` is in, itself too; just `path` if it
 * is in none. (lookup.c) */
int pl_lookup_group(const struct pl_node_source *source, const struct pl_id *root, const char *path,
		    struct pl_strings *ret_paths, struct pleach_error *error);

/* ---- merge.c ---- */

enum pl_merge_policy {
	PL_MERGE_FAIL,	 /* a conflict is one */
	PL_MERGE_APPEND, /* both sides only appended: both additions, head's first; else a conflict */
	PL_MERGE_OURS,	 /* head's */
	PL_MERGE_THEIRS, /* the transaction's */
	PL_MERGE_IGNORE, /* what the transaction did there never counts */
};
/** What two sides did to one path: "added", "modified", "metadata", "removed", "type", "links",
 * "unchanged" or "read" (static). */
struct pl_conflict {
	char *path;
	const char *head, *tx;
};
struct pl_conflicts {
	struct pl_conflict *items;
	size_t n, capacity;
};
void pl_conflicts_done(struct pl_conflicts *conflicts);
int pl_conflicts_add(struct pl_conflicts *conflicts, const char *path, const char *head,
		     const char *tx);

struct pl_merge {
	struct pl_node_source source;
	struct pl_node_sink sink;
	struct pl_id base, head, tx;
	uint64_t seed;
	/** The policy for a path; NULL: PL_MERGE_FAIL for all. `is_dir`: of what the transaction has there. */
	enum pl_merge_policy (*policy)(void *self, const char *path, bool is_dir);
	/**
	 * Makes an entry of what both sides appended to a file: 1 and the entry (content written; metadata
	 * of *head, the later mtime); 0: not only appended. NULL: no policy is PL_MERGE_APPEND.
	 */
	int (*append)(void *self, const char *path, const struct pl_entry *base,
		      const struct pl_entry *head, const struct pl_entry *tx,
		      struct pl_entry *ret_entry, struct pleach_error *error);
	void *self;
};
/**
 * Three-way merge by path (CLI.md "Merging"), descending only where both sides differ from the base, and
 * each other. 0 and the tree; 1: conflicts, and no tree. With base and head equal it takes what the
 * transaction has, but for PL_MERGE_IGNORE.
 */
int pl_merge_run(const struct pl_merge *merge, struct pl_id *ret_tree,
		 struct pl_conflicts *ret_conflicts, struct pleach_error *error);

#endif
