/*
 * inner - what a layout knows on its way, shared by layout.c (the walk), origin.c (placed trees that
 * inodes are taken from), recycle.c (directories moved whole), edit.c (directories that are taken to be
 * edited), name.c (single names) and linking.c (those that threads make).
 */
#ifndef PL_PLACE_INNER_H
#define PL_PLACE_INNER_H

#include "place/place.h"

/** Placed trees that a layout walks through beside the new one, in the order in which they are asked. */
enum pl_origin_which {
	PL_ORIGIN_SPARE, /* retired and ours alone: directories are moved out of it */
	PL_ORIGIN_BASE,
	PL_ORIGINS
};
struct pl_origin {
	bool is_there; /* and may be linked from */
	struct pl_id tree;
	struct pl_walk walk;
	struct pl_membership *groups;
	struct pl_filter filter; /* what it may hold; of the base only while there is a spare too */
};
/** One directory of an origin. */
struct pl_origin_level {
	bool is_in;	/* the origin has this directory, and this is its node */
	bool is_walked; /* its walk is in it */
	bool is_here;	/* it is the directory that is laid out, to be edited (edit.c, E1) */
	bool has_lost;	/* something was moved out of it */
	struct pl_node node;
	size_t cursor;
	struct pl_entry entry;
	bool has_entry;
	bool keeps_entry; /* of one that is here: the entry stays in it, or is gone into */
};
/** One directory between the root and where the layout is. */
struct pl_level {
	struct pl_listing present; /* names that were there when it was entered */
	struct pl_origin_level origins[PL_ORIGINS];
	struct pl_linked_dir *linked; /* NULL: no thread makes names in it (linking.c) */
};
struct pl_linking;
struct pl_laying {
	const struct pl_layout *layout;
	struct pl_layout_counts counts;
	struct pl_origin origins[PL_ORIGINS];
	struct pl_filter filter; /* of the new tree, so far */
	struct pl_cursor *cursor;
	struct pl_walk walk;
	int to_fd; /* the directory that names are made in: mostly that of the walk */
	struct pl_linking *linking; /* NULL: without threads */
	struct pl_level *levels;
	size_t n_levels, capacity;
	bool is_moved; /* the directory that the cursor is at was moved, and is not gone into */
	struct pl_map same_groups; /* number of a group -> 1: the spare has just this one; 0: not */
	int groups_fd; /* in tx: one private name for each group that was begun, its number */
	uint64_t done;
};

/* ---- origin.c ---- */

/** Opens what the layout has, and loads the filters. */
int pl_origins_begin(struct pl_laying *l, struct pleach_error *error);
void pl_origins_end(struct pl_laying *l);
/** The origin's entry of this name, NULL if it has none. Asked for in order, again and again is fine. */
const struct pl_entry *pl_origin_entry(struct pl_origin_level *level,
				       const struct pl_entry *wanted);
/** Goes along into the directory just entered, which is the node `id` there. `name` NULL: the root. */
int pl_origin_enter(struct pl_laying *l, enum pl_origin_which which, const char *path,
		    const char *name, const struct pl_id *id, struct pleach_error *error);
/** Leaves the directory on top of the levels, if it is in it. */
int pl_origin_leave(struct pl_laying *l, enum pl_origin_which which, struct pleach_error *error);
void pl_origin_level_done(struct pl_origin_level *level);
/** Of the directory that the layout is in. */
struct pl_origin_level *pl_origin_top(struct pl_laying *l, enum pl_origin_which which);
/** Where its files are: the walks' descriptor; -EBADF if they cannot be reached. */
int pl_origin_fd(const struct pl_laying *l, enum pl_origin_which which,
		 const struct pl_origin_level *level);
/** May an origin of these two, which is not asked first, have this object under another name? */
bool pl_origin_may_hold(const struct pl_laying *l, enum pl_origin_which which,
			const struct pl_id *object);

/* ---- recycle.c ---- */

/**
 * The directory that the cursor has entered, `entry` of the directory on top of the levels: moved out
 * of the spare, if it is unchanged there. 1: it is in its place, whole. 0: it is to be made.
 */
int pl_recycle_directory(struct pl_laying *l, const struct pl_entry *entry,
			 struct pleach_error *error);
/** Gives dirfd/name, a directory of the spare, u+rwx: 1, or 0 if that was not possible or not missing. */
int pl_recycle_widen(int dirfd, const char *name);
/** Has a directory the mode and the mtime of its node? Then it has the names that it says. */
bool pl_recycle_has_metadata(const struct stat *st, const struct pl_meta *meta);
/** Renames a directory of the spare (`st`), however it is shut, to a name that is free. */
int pl_recycle_rename_out(int from, int to, const char *name, const struct stat *st);

/* ---- edit.c ---- */

/**
 * The directory just entered (its level is pushed, and the spare's node of it read) is taken into its place
 * to be edited, if it may be: then it "is here", and the answer is 1. 0: it is to be made; if it lay in one that is
 * here, it is in the skeleton now, or still in its place, to be removed.
 */
int pl_edit_take(struct pl_laying *l, const char *path, const char *name,
		 struct pleach_error *error);
int pl_edit_take_root(struct pl_laying *l, struct pleach_error *error);
/**
 * In a directory that is here (else it does nothing): what the spare has before `entry`, the next of the new
 * tree, goes (NULL: all that is left), and what it has under that very name, unless it is the same, or both are
 * directories: then 1. 0: the name is free.
 */
int pl_edit_pass(struct pl_laying *l, const struct pl_entry *entry, struct pleach_error *error);

/* ---- layout.c ---- */

/** The directory's own metadata: all below it is made. */
int pl_laying_finish_directory(struct pl_laying *l, int fd, const char *path,
			       const struct pl_meta *meta, struct pleach_error *error);

/* ---- linking.c: names that threads make ---- */

/** With threads, if they are asked for or of use. */
int pl_linking_begin(struct pl_laying *l, struct pleach_error *error);
void pl_linking_end(struct pl_laying *l);
/** The name of the entry in the directory that the walk is in is to be linked: to where the base has it, or to
 * its object. What comes of it goes to pl_laying_linked(). */
int pl_linking_from_base(struct pl_laying *l, struct pl_level *level, const struct pl_entry *entry,
			 const char *path, struct pleach_error *error);
int pl_linking_from_object(struct pl_laying *l, struct pl_level *level,
			   const struct pl_entry *entry, const struct pl_id *object,
			   const char *path, struct pleach_error *error);
/** The directory that the walk is in is complete. 1: it is finished when its turn comes; 0: it can be at once. */
int pl_linking_complete(struct pl_laying *l, struct pl_level *level, const char *path,
			const struct pl_meta *meta, struct pleach_error *error);
/** Waits until all of it is done. */
int pl_linking_finish(struct pl_laying *l, struct pleach_error *error);
void pl_linked_dir_release(struct pl_linked_dir *dir);

/* ---- name.c ---- */

/** Links to an object, staged or in the pool. By any thread. */
int pl_laying_link_object(const struct pl_laying *l, const struct pl_id *object, int to_fd,
			  const char *name);
/** What came of a link in the directory `to_fd`: counted; or, where it cannot be one, made otherwise. */
int pl_laying_linked(struct pl_laying *l, int to_fd, const struct pl_entry *entry, const char *path,
		     bool is_from_base, int r, struct pleach_error *error);

/** Makes one name that is no directory, in the current directory of the walk. */
int pl_laying_entry(struct pl_laying *l, struct pl_level *level, const struct pl_entry *entry,
		    struct pleach_error *error);
/** What pl_meta_restore() answered, as an error with the path. */
int pl_laying_fail(int r, const char *path, const char *why, struct pleach_error *error);
/** Is every member of the one a member of the other? */
bool pl_group_is_subset(const struct pl_membership_group *of,
			const struct pl_membership_group *group);
/**
 * The inode that a group was begun with: 1 and what it is; 0: it was not begun.
 */
int pl_laying_group_inode(struct pl_laying *l, const struct pl_membership_group *group,
			  struct stat *ret_st);
/**
 * Begins a group with the inode of dirfd/name. Its other members are linked from a private name in tx,
 * since this one may lie in a directory that is finished and shut by then.
 */
int pl_laying_begin_group(struct pl_laying *l, const struct pl_membership_group *group, int dirfd,
			  const char *name);
/** Has the inode of dirfd/name, of so many links, room for all names of the group? */
bool pl_group_fits(const struct pl_membership_group *group, const struct stat *st);

#endif
