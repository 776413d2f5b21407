/*
 * checkout.h - inner header: what checkout.c (a new directory) and update.c (one that is there) share:
 * where they go (destination.c), single names (maker.c), metadata as near as it can be had
 * (nearest.c), and the walk of a new one (copy.c).
 */
#ifndef PL_PLACE_CHECKOUT_H
#define PL_PLACE_CHECKOUT_H

#include "place/place.h"

/* ---- destination.c ---- */

/** A directory that the user named: a name in a real directory. */
struct pl_destination {
	int parent_fd;
	char name[PL_NAME_MAX + 1];
	enum {
		PL_TO_NOTHING,
		PL_TO_EMPTY,
		PL_TO_FULL,
		PL_TO_OTHER
	} state; /* OTHER: no directory */
};
#define PL_DESTINATION_NONE         \
	{                           \
		.parent_fd = -EBADF \
	}
/**
 * Finds it. Symlinks on the way are followed, and one at the end that leads to a directory; "." and
 * the like are found by their real parent. What dead processes left in it is removed before it is
 * called full. -EBUSY: the root directory; -EINVAL (USAGE): ""; -ENOENT: no such parent.
 */
int pl_destination_find(const char *directory, struct pl_destination *ret_to,
			struct pleach_error *error);
void pl_destination_done(struct pl_destination *to);

/* ---- nearest.c ---- */

/**
 * Gives `fd`, or with a `name` that in the directory `fd`, this metadata, as pl_meta_restore() does; what
 * this user or this file system cannot give it is left out, alone, and said in one finding for `path`.
 * Where the owner is another than it was, it has no set-user-ID and set-group-ID bit.
 * 0, whether something was left out or not; or an error.
 */
int pl_nearest_meta(struct pl_findings *findings, const char *path, int fd, const char *name,
		    char kind, const struct pl_meta *meta, struct pleach_error *error);

/* ---- maker.c ---- */

/** What is known while names are made. */
struct pl_maker {
	struct pl_store *store;
	struct pl_findings *findings;
	int groups_fd;	      /* a second name for each hard-link group that is under way */
	struct pl_map groups; /* number of a group -> members that are still to come */
	struct pl_cursor *cursor;
	uint64_t done, total, bytes; /* entries, and bytes of content */
	/* All false where nothing need be, or can be, durable. */
	bool is_durable;
	bool sync_whole;    /* one syncfs() at the end */
	bool sync_each;	    /* an fsync for each file and directory */
	bool sync_files;    /* an fsync for each file at least */
	bool trusts_clones; /* what shares its extents with the object is not read to verify it */
};
#define PL_MAKER_NONE               \
	{                           \
		.groups_fd = -EBADF \
	}
/** `beside_fd`: a private directory of ours in the same file system. */
int pl_maker_begin(struct pl_maker *maker, const struct pl_checkout *checkout,
		   struct pl_findings *findings, int beside_fd, struct pleach_error *error);
void pl_maker_end(struct pl_maker *maker);
/** The next step of the cursor; tells progress, and -EINTR once the store's handle was cancelled. */
int pl_maker_next(struct pl_maker *maker, struct pleach_error *error);
/** The group of what the cursor is at: 1, or 0 if it is in none. */
int pl_maker_group(struct pl_maker *maker, struct pl_membership_group *ret_group);
/**
 * Makes what the cursor is at, no directory, as dirfd/name, which is not there yet. 1: made. 0: left
 * out, with a finding; nothing is there. Errors: -EBADMSG for damage.
 */
int pl_maker_make(struct pl_maker *maker, int dirfd, const char *name, struct pleach_error *error);
/**
 * The metadata of the directory `fd`, at the cursor, which has just left it; also makes it durable, if
 * that is done one by one.
 */
int pl_maker_finish_dir(struct pl_maker *maker, int fd, struct pleach_error *error);
/** Goes into a directory so that it can be worked in: with u+rwx if it is ours, whatever it had. */
int pl_maker_enter(struct pl_walk *walk, const char *name);
/** Removes what pl_maker_begin() made in `beside_fd`, where that stays. */
int pl_maker_end_groups(int beside_fd, struct pleach_error *error);
/** "cannot check out '<path>': <strerror>", and the path. */
int pl_maker_fail(int r, const char *path, struct pleach_error *error);

/* ---- copy.c ---- */

/**
 * Makes the whole tree of the maker, which has just begun, as dirfd/name, which is not there yet, with all
 * metadata. *ret_root_fd: of the copy; the caller's.
 */
int pl_maker_lay_out(struct pl_maker *maker, int dirfd, const char *name, int *ret_root_fd,
		     struct pleach_error *error);

/* ---- update.c ---- */

/** As pl_checkout_run() with `update`, for a directory that is there. */
int pl_update_run(const struct pl_checkout *checkout, struct pl_findings *findings,
		  struct pleach_error *error);

#endif
