/*
 * inner - what the files of this folder share: the public handle, option structs of any size, what a
 * revision leads to, entries as the public header has them, reports.
 */
#ifndef PL_API_INNER_H
#define PL_API_INNER_H

#include "base/base.h"
#include "place/place.h"
#include "ref/ref.h"
#include "tree/tree.h"

/** The public handle is the inner one. */
struct pleach_store {
	struct pl_store *inner;
};

/**
 * Options and results begin with their size; callers may have been built with an older header. Copies
 * as much as both know of `from` (may be NULL) over `defaults`, whose size is `size`.
 */
void pl_struct_copy(void *to, const void *from, size_t size);
#define PL_OPTIONS(to, from) pl_struct_copy(&(to), (from), sizeof(to))
/** The other way: a result to a caller who knows (maybe) less of it. `to` may be NULL. */
void pl_struct_give(void *to, const void *from, size_t size);
#define PL_GIVE(to, from) pl_struct_give((to), &(from), sizeof(from))

/* ---- target.c: what REV[:path] leads to in the nodes ---- */

struct pl_target {
	struct pl_rev rev;
	struct pl_pin pin;	     /* keeps collectors away while it is looked at */
	struct pl_node_source nodes; /* the store's */
	struct pl_found found;
};
/** -EACCES: only the owner may; and as pl_rev_resolve() and pl_lookup(). */
int pl_target_open(struct pl_store *store, const char *spec, struct pl_target *ret_target,
		   struct pleach_error *error);
void pl_target_close(struct pl_target *target);
/** -ENOTDIR (FAILED) unless it is a directory. `spec`: as it was given, for the message. */
int pl_target_must_be_directory(const struct pl_target *target, const char *spec,
				struct pleach_error *error);

/** Copies a NULL-ended list of paths (may be NULL), each without "./" before and '/' behind; "." is
 * "", the root. -EINVAL (USAGE): one that leads to no place in a tree. */
int pl_limits_copy(const char *const *paths, struct pl_strings *ret_limits,
		   struct pleach_error *error);

/* ---- placed.c: where REV[:path] is placed ---- */

struct pl_placed {
	struct pl_rev rev;
	struct pl_pin pin; /* of the whole tree; placed */
	char *path;	   /* absolute, of what was asked for */
};
/** Pins `spec`, placing it first where that is needed. `hold`: it stays for the grace, too, unless it
 * is a head. As pleach_pin_open(). */
int pl_placed_open(struct pl_store *store, const char *spec, bool hold,
		   struct pl_placed *ret_placed, struct pleach_error *error);
void pl_placed_close(struct pl_placed *placed);

/* ---- entry.c: an entry as the public header has it ---- */

struct pl_entry_view {
	struct pleach_entry
		entry; /* strings lead into what follows, values of xattrs into `meta` */
	struct pl_buffer path, target, names;
	struct pleach_xattr *xattrs;
	size_t xattrs_capacity;
};
void pl_entry_view_done(struct pl_entry_view *view);
/** `meta` is that of the entry, also of a directory; its bytes must outlive the view's use. */
int pl_entry_view_set(struct pl_entry_view *view, const char *path, const struct pl_entry *entry,
		      const struct pl_meta *meta, uint64_t links, struct pleach_error *error);

/* ---- check_attached.c ---- */

struct pl_repair;
/** Has the repair move and make anew what is attached (gc.h). */
void pl_repair_attached(struct pl_repair *repair);

/* ---- making_room.c ---- */

/**
 * Does `work`, which commits; where it finds the disk full, or the store's max-size in its way, a collection makes what
 * room may be made, and it is done again, a few times at most. What `work` answers.
 */
int pl_with_room(struct pl_store *store, int (*work)(void *self, struct pleach_error *error),
		 void *self, struct pleach_error *error);

/* ---- report.c ---- */

/** Takes the findings, also on failure. */
int pl_report_new(struct pl_findings *findings_take, struct pleach_report **ret_report,
		  struct pleach_error *error);

#endif
