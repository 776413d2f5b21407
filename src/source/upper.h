/*
 * upper.h - inner header of source: the parts of reading an upper layer, each needing only those above it.
 * The walk itself is upper.c's.
 */
#ifndef PL_SOURCE_UPPER_H
#define PL_SOURCE_UPPER_H

#include "source/source.h"

/* ---- upper_marks.c: overlayfs's own extended attributes ---- */

struct pl_marks {
	bool is_opaque;		   /* directory: nothing of the base shows through */
	bool has_xwhiteouts;	   /* directory: files in it that are marked so are whiteouts */
	bool is_xwhiteout;	   /* file */
	bool is_metacopy;	   /* file: its content is that of a file of the base */
	bool is_redirected;	   /* directory: it lies over another directory of the base */
	bool is_absolute;	   /* `redirect` is a path in the base, else a name beside */
	struct pl_buffer redirect; /* valid, as a path or as a name */
};
void pl_marks_done(struct pl_marks *marks);
/** Reads the marks of an open directory into `marks`, which may have been used before. -EBADMSG: one
 * that overlayfs does not write; *ret_flaw (static) says what it is. */
int pl_marks_read(int fd, bool is_user, struct pl_marks *marks, const char **ret_flaw);
/** Those of the file dirfd/name that matter. */
int pl_marks_read_file(int dirfd, const char *name, bool is_user, struct pl_marks *marks);
/** For pl_ingest: `self` is a struct pl_mark_names. Marks are no attributes of the file, and an attribute
 * that was set in the overlay under the name of a mark stands there with one word more. */
struct pl_mark_names {
	bool is_user;
	char name[256];
};
const char *pl_marks_rename(void *self, const char *name);
/**
 * Takes the frame off a file handle as overlayfs writes it in marks: appends to `b` what
 * pl_handle_encode() says of the same file. -EBADMSG.
 */
int pl_marks_handle(const unsigned char *mark, size_t length, struct pl_buffer *b);

/* ---- upper_moves.c: where what was in the base is now ---- */

/** All zero but the maps: use pl_moves_init(). Paths are those of the base, or of the merged tree. */
struct pl_moves {
	struct pl_map directories; /* hash of a base path -> offset in `paths` of where it is now */
	struct pl_map names;	   /* hashes of all paths that the upper layer holds or hides */
	struct pl_buffer paths;
};
void pl_moves_init(struct pl_moves *moves, uint64_t seed);
void pl_moves_done(struct pl_moves *moves);
/** The upper layer says what is at `path`: nothing of the base shows there of itself. */
int pl_moves_cover(struct pl_moves *moves, const char *path);
/** The base's directory `origin` is at `path` now. 1: it is elsewhere already. */
int pl_moves_directory(struct pl_moves *moves, const char *origin, const char *path);
/**
 * 1: what is at `path` in the base, untouched by the upper layer, shows, and `ret_path` (empty) is where.
 * 0: it does not. Whether a directory of that path was moved itself is not asked, only those above.
 */
int pl_moves_find(const struct pl_moves *moves, const char *path, struct pl_buffer *ret_path);

/* ---- upper_inodes.c: inodes with several names, and the index ---- */

struct pl_upper_inode {
	uint64_t dev, ino;
	bool is_indexed;	  /* stands for a file of the base, whatever its names are */
	bool is_known;		  /* which file: its group, if it has one, is in `members` */
	size_t name;		  /* in names: under which the index has it */
	size_t body, body_length; /* in bodies: its encoded entry; length 0: was not read yet */
	size_t member, n_members; /* in members: paths in the base */
};
struct pl_upper_inodes {
	struct pl_map by_number; /* (dev, ino) -> index */
	struct pl_map by_handle; /* hash of the handle of a file of the base -> index */
	struct pl_upper_inode *list;
	size_t n, capacity;
	struct pl_buffer names, bodies;
	struct pl_strings members;
	size_t n_unknown; /* indexed, and it is not known what they stand for */
	struct pl_entry entry;
};
void pl_upper_inodes_init(struct pl_upper_inodes *inodes, uint64_t seed);
void pl_upper_inodes_done(struct pl_upper_inodes *inodes);
/** Reads the index of the overlay. Only with handles by which the base's files can be told. */
int pl_upper_inodes_read_index(struct pl_upper_inodes *inodes, const struct pl_upper *upper,
			       struct pleach_error *error);
/** The inode of this number, made known if it was not: index, or -ENOMEM. */
ssize_t pl_upper_inodes_meet(struct pl_upper_inodes *inodes, const struct stat *st);
/** That which stands for the file of the base with this handle; -1: none does. */
ssize_t pl_upper_inodes_find(const struct pl_upper_inodes *inodes, const struct pl_buffer *handle);
/** Its entry, with this name; NULL: it was not read yet. Valid until the next call. */
const struct pl_entry *pl_upper_inodes_entry(struct pl_upper_inodes *inodes, size_t inode,
					     const char *name);
int pl_upper_inodes_set_entry(struct pl_upper_inodes *inodes, size_t inode,
			      const struct pl_entry *entry);
/** What the inode stands for is known now: one name of the base, or the group whose members are added
 * right after this. */
void pl_upper_inodes_identify(struct pl_upper_inodes *inodes, size_t inode);
int pl_upper_inodes_add_member(struct pl_upper_inodes *inodes, size_t inode, const char *path);

/* ---- upper_base.c: the directories of the base that those of the upper layer lie over ---- */

/** A way from the root of the base down: its path, and the groups of the directories on it. */
struct pl_upper_way {
	struct pl_buffer path;
	struct pl_membership *groups; /* NULL: of no interest */
};
/** The directory of the base below one of the upper layer. */
struct pl_upper_base {
	bool is_there; /* else nothing of the base shows through */
	struct pl_node node;
	size_t cursor;
	struct pl_entry entry;
	bool has_entry;
	bool is_elsewhere;	   /* the way begins anew here */
	struct pl_upper_way outer; /* the one that it left */
};
/** The base as a walk of the upper layer needs it. */
struct pl_upper_ground {
	struct pl_node_source nodes;
	struct pl_id root;
	uint64_t seed;
	bool has_groups; /* memberships are wanted */
	struct pl_upper_way way;
};
/** The base's entry of this name, NULL if it has none. Names are asked for in order. */
const struct pl_entry *pl_upper_base_find(struct pl_upper_base *base, const char *name);
/** Each fills in *ret_base, which is then to be left. */
int pl_upper_base_enter_root(struct pl_upper_ground *ground, struct pl_upper_base *ret_base,
			     struct pleach_error *error);
/** The directory `name` with this node, below the one that was entered last and is there. */
int pl_upper_base_enter(struct pl_upper_ground *ground, const char *name, const struct pl_id *node,
			struct pl_upper_base *ret_base, struct pleach_error *error);
/** The directory `path` of the base. 1; 0: the base has none there, and nothing was entered. */
int pl_upper_base_enter_at(struct pl_upper_ground *ground, const char *path,
			   struct pl_upper_base *ret_base, struct pleach_error *error);
/** In the reverse order. One that is not there is fine. */
void pl_upper_base_leave(struct pl_upper_ground *ground, struct pl_upper_base *base);

/* ---- the walk, as its parts see it ---- */

/** One directory between the root of the upper layer and where the walk is. */
struct pl_upper_frame {
	struct pl_listing listing;
	size_t next;
	bool has_xwhiteouts;
	struct pl_upper_base base;
};
struct pl_upper_walk {
	const struct pl_upper *upper;
	struct pl_scan_result *result;
	struct pl_node_sink sink;
	struct pl_changeset *changes;
	struct pl_walk walk; /* of the upper layer */
	struct pl_buffer path, shown;
	dev_t dev;
	struct pl_upper_frame *frames;
	size_t n, capacity;
	struct pl_ingest ingest;
	struct pl_mark_names mark_names;
	struct pl_marks marks;
	struct pl_moves moves;
	struct pl_strings moved; /* directories of the base that redirects led to */
	struct pl_upper_inodes inodes;
	struct pl_upper_ground ground;
	struct pl_walk lower;
	struct pl_buffer handle;
	uint64_t done;
};
/* ---- upper_note.c: what is said of one path ---- */

/** "<label>/<path>" for messages; valid until the next call. */
const char *pl_upper_shown(struct pl_upper_walk *u, const char *path);
/** The path that the walk is at, "" at the root; valid until it moves. */
const char *pl_upper_here(struct pl_upper_walk *u);
/** -EBADMSG, by path: what overlayfs cannot have written. */
int pl_upper_refuse(struct pl_upper_walk *u, const char *path, const char *what,
		    struct pleach_error *error);
/** "cannot <what> '...'"; returns `r`. */
int pl_upper_fail_here(struct pl_upper_walk *u, int r, const char *what,
		       struct pleach_error *error);
/** -EXDEV if what is here is not of the upper layer's file system. */
int pl_upper_check_device(struct pl_upper_walk *u, const struct stat *st,
			  struct pleach_error *error);
/** Puts what stands at `path`; names with one `link` other than 0 are one inode. */
int pl_upper_put(struct pl_upper_walk *u, const char *path, const struct pl_entry *entry,
		 uint64_t link, struct pleach_error *error);

/* ---- upper_frame.c: directories ---- */

struct pl_upper_frame *pl_upper_top(struct pl_upper_walk *u);
/** The frame of the directory that the walk has just entered, and its edit; `name` NULL: the root.
 * `below`: what the base has in its place, or NULL. */
int pl_upper_push(struct pl_upper_walk *u, const struct pl_entry *below, const char *name,
		  struct pleach_error *error);
void pl_upper_drop(struct pl_upper_walk *u);
/** After the walk: -EBADMSG if a directory that was moved still shows where it was. */
int pl_upper_check_moved(struct pl_upper_walk *u, struct pleach_error *error);

/* ---- upper_links.c: names that show an inode of the upper layer through the index alone ---- */

/** A name of the base that is no directory is covered; `groups`: of the directories above it. */
int pl_upper_links_cover(struct pl_upper_walk *u, const char *base_path,
			 const struct pl_membership *groups, struct pleach_error *error);
/** The walk is done: puts all names that are left. */
int pl_upper_links_put(struct pl_upper_walk *u, struct pleach_error *error);

#endif
