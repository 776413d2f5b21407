/*
 * workspace.h - inner header: the private, writable copy that a transaction works in. A table of drivers;
 * each is one file, and passes the one contract test.
 *
 * W1  No system call that a program makes in a workspace reaches a committed byte (G4): nothing in a
 *     workspace is a hard link of a file of the store, or a name in a placed tree.
 * W2  A driver that lacks what the tree needs is passed over, never weakened.
 * W4  One that lacks what a program may need of any tree is passed over as well where the tree is so small
 *     that a copy, which lacks nothing, costs about the same.
 */
#ifndef PL_TX_WORKSPACE_H
#define PL_TX_WORKSPACE_H

#include "source/source.h"
#include "tx/tx.h"

/** What a driver cannot do as a plain directory does. */
enum pl_lack {
	PL_LACK_GROUPS = 1 << 0, /* writing one name of a hard-link group splits it */
	PL_LACK_DIR_RENAME =
		1 << 1, /* renaming a directory of the base is EXDEV; no tree needs it */
	PL_LACK_WHITEOUTS = 1 << 2,	/* 0/0 devices are invisible */
	PL_LACK_OVERLAY_ATTRS = 1 << 3, /* xattrs of overlayfs mean something */
	PL_LACK_FULL_XATTRS = 1 << 4,	/* no room for marks beside nearly full sets of xattrs */
	PL_LACK_SHARED = 1 << 5,	/* equal files that share an inode are taken for a group */
};

struct pl_workspace_driver;
struct pl_workspace {
	const struct pl_workspace_driver *driver;
	struct pl_store *store;
	struct pl_txdir *tx;
	const char *name; /* of the ref: what stands in front of paths in messages */
	int fd;		  /* tx/<id>/w, all of the driver's; -EBADF before it is made */
	struct pl_id base;
	struct pl_totals totals; /* of the base */
	enum pl_share share;	 /* of the base's placing */
	enum pl_rule rule;	 /* that scans will be made with */
	int lower_fd;	  /* of the base's placed tree, trees/<id>/<k>/tree; pinned by the caller */
	char *lower_path; /* absolute path of it */
	char *path; /* absolute path of the plain directory, where it is one; else NULL; freed by close */
	char *checkout; /* `begin --checkout`: the directory that the user named, absolute; else NULL */
	bool is_parked; /* it must survive this process: no `volatile`, synced by pl_workspace_sync() */
};

struct pl_workspace_driver {
	const char *name; /* of --workspace= */
	unsigned lacks;	  /* enum pl_lack */
	bool is_plain;	  /* ws->path is the directory itself; else it is seen by a view alone */
	/** A tree of no more than this is better copied: passed over, unless it is asked for. 0: none is. */
	struct {
		uint64_t entries, bytes;
	} small;
	/** 1: can be had here. 0: not, *ret_why says why. Errors: of asking. */
	int (*can)(struct pl_workspace *ws, const char **ret_why);
	/** Makes it in ws->fd; sets ws->path if it is plain. */
	int (*make)(struct pl_workspace *ws, struct pleach_error *error);
	/** Finds again what `make` has made, maybe of another process; sets ws->path if it is plain. */
	int (*open)(struct pl_workspace *ws, struct pleach_error *error);
	/** The step that shows it at step->target; strings are put into `room`, which outlives the step. */
	int (*view)(struct pl_workspace *ws, struct pl_strings *room, struct pl_view_step *step,
		    bool *ret_with_user_namespace);
	/** Reads what it holds now into a tree, staged (POOL); nothing runs in it. */
	int (*scan)(struct pl_workspace *ws, struct pl_stage *stage, enum pl_rule rule,
		    struct pl_scan_result *ret_result, struct pleach_error *error);
	/** Is it as `make` has left it, and would a scan find the base? False also where that cannot be told by
	 * much less than a scan. Nothing runs in it. NULL: it never can be. */
	bool (*is_untouched)(struct pl_workspace *ws, enum pl_rule rule);
	/** After what it holds was synced: makes sure that it can be shown again. NULL: it can. */
	int (*settle)(struct pl_workspace *ws);
	/** Forgets what is remembered of `can`. NULL: nothing is. */
	int (*forget)(struct pl_workspace *ws);
	/** What tx/<id> cannot just be erased with. NULL: nothing. */
	int (*remove)(struct pl_workspace *ws);
};
/* In the order in which they are tried; ends with NULL. */
extern const struct pl_workspace_driver *const pl_workspace_drivers[];
extern const struct pl_workspace_driver pl_workspace_overlay;	   /* "overlay": as root */
extern const struct pl_workspace_driver pl_workspace_snapshot;	   /* "snapshot": btrfs */
extern const struct pl_workspace_driver pl_workspace_reflink;	   /* "reflink" */
extern const struct pl_workspace_driver pl_workspace_user_overlay; /* "user-overlay" */
extern const struct pl_workspace_driver pl_workspace_copy;	   /* "copy" */

/**
 * Chooses the driver of this name, or with NULL the first that can be had and lacks nothing that the tree needs. All
 * of `ws` but driver, fd and path is filled in by the caller.
 * `passed_over` (may be NULL) gets a line for each driver that was not taken: "overlay: the store lies on
 * an overlay". -EOPNOTSUPP: the one that was asked for cannot be had, with the reason; -EINVAL (USAGE): no such driver.
 */
int pl_workspace_choose(struct pl_workspace *ws, const char *name, struct pl_strings *passed_over,
			struct pleach_error *error);
/** Makes one with the driver that was chosen. */
int pl_workspace_make(struct pl_workspace *ws, struct pleach_error *error);
/** Opens what pl_workspace_make() of an earlier process has made (driver by name). */
int pl_workspace_open(struct pl_workspace *ws, const char *name, struct pleach_error *error);
/** Makes it durable, and such that it can be shown again (parked transactions). */
int pl_workspace_sync(struct pl_workspace *ws, struct pleach_error *error);
/** The view of it could not be made after all: the next pl_workspace_choose() tries again what can be had. */
void pl_workspace_forget(struct pl_workspace *ws);
/** Before tx/<id> is erased. 0 or the first error. */
int pl_workspace_remove(struct pl_workspace *ws);
void pl_workspace_close(struct pl_workspace *ws);
/** For recovery, which knows the tx directory alone: removes what could not just be erased below it. */
int pl_workspace_recover(int txdir_fd);

#endif
