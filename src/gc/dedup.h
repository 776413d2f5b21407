/*
 * dedup.h - inner header of gc: the parts of sharing equal files, from names to links.
 *
 *	dedup.c -> dedup_walk.c     each name of a file: 24 bytes in memory, the rest in a spool
 *	        -> dedup_names.c    sorted into runs that could be equal by what lstat said; others dropped
 *	        -> dedup_group.c    a run: opened, looked at, read; what is equal
 *	        -> dedup_link.c     one name made a link of an equal file, in one step
 *	           dedup_share.c    or one file made to share its blocks
 *	           dedup_index.c    names by content, in which equal files are found that are in no run
 *	           dedup_place.c    directories of names, their times, `.pleach-<random>` in a PATH
 *
 * D1  No inode that is there is written to, and no name is ever without its content.
 * D2  What is not certain to be unchanged, and to be written by nobody, is left alone.
 * D3  Memory: 24 bytes a name, and for one run at a time some 200 bytes a file, of DEDUP_SLICE at most.
 */
#ifndef PL_GC_DEDUP_H
#define PL_GC_DEDUP_H

#include "gc/gc.h"

/* ---- dedup_names.c: pure, but for the spool's file ---- */

/** A name of a file. `key`: of all that must be equal and lstat tells; the where of its directory and name
 * is in the spool. */
struct dedup_name {
	uint64_t key, ino, where;
};
struct dedup_names {
	struct dedup_name *items;
	size_t n, capacity;
	struct pl_buffer tail; /* of the spool, not yet in the file */
	uint64_t flushed;
	int fd; /* -EBADF while there is no file */
};
#define DEDUP_NAMES_NONE     \
	{                    \
		.fd = -EBADF \
	}
void dedup_names_done(struct dedup_names *names);
/** Adds to the spool; *ret_where: where it can be read again, never 0. */
int dedup_spool_add(struct dedup_names *names, const void *data, size_t length,
		    uint64_t *ret_where);
/** The bytes at `where`, as many as there are up to `length`: *ret_n. */
int dedup_spool_read(const struct dedup_names *names, uint64_t where, void *data, size_t length,
		     size_t *ret_n);
/** Of many fields one number; equal fields make equal numbers, for one seed. */
uint64_t dedup_mix(uint64_t seed, uint64_t value);
/** By key, then inode, then where. In place, without recursion, never worse than n log n. */
void dedup_names_sort(struct dedup_name *items, size_t n);
/** How many names from `at` on have its key. */
size_t dedup_names_run(const struct dedup_name *items, size_t n, size_t at);
/** How many from `at` on are of its inode. */
size_t dedup_names_inode(const struct dedup_name *items, size_t n, size_t at);
/**
 * Drops runs of a single inode unless `keeps_single`, and has the others in the order in which the first
 * name of each was found, so that directories are met one after the other.
 */
void dedup_names_settle(struct dedup_names *names, bool keeps_single);

/* ---- what is known of a file ---- */

/** A look at a file. */
struct dedup_look {
	dev_t dev;
	ino_t ino;
	mode_t mode;
	uid_t uid;
	gid_t gid;
	nlink_t nlink;
	uint64_t size, allocated;
	struct timespec mtime, ctime;
};

/* ---- dedup_place.c ---- */

#define DEDUP_OPEN_DIRS 64

struct dedup_root {
	const char *path; /* as it was given */
	int fd;
	dev_t dev;
	struct timespec mtime, mtime_after; /* before and after `beside` was made */
	struct pl_fs fs;
	struct timespec synced; /* what changed before is on disk; 0: nothing is known to be */
	struct pl_beside beside;
	enum pl_dedup_how how; /* never AUTO once the walk is through */
	bool has_how;
	nlink_t links_max; /* where EMLINK came; 0: it has not */
};
struct dedup_dir {
	uint64_t where; /* of its record in the spool; 0: none */
	uint64_t used;
	int fd;
	struct dedup_root *root;
	bool is_touched;
	struct timespec mtime, ours; /* as it was; as our last change left it */
};
struct dedup {
	const struct pl_dedup *what;
	struct dedup_root *roots;
	size_t n_roots;
	uint32_t match_link, match_share; /* PL_DEDUP_MATCH_... for each way */
	struct dedup_names names;
	struct dedup_dir dirs[DEDUP_OPEN_DIRS];
	uint64_t seed, clock; /* of maps; of the directories' use */
	int index_fd;	      /* -EBADF: none */
	dev_t index_dev;
	ino_t index_ino;
	struct pl_buffer index_inodes; /* of its entries: uint64_t, sorted */
	unsigned char *buffer;	       /* DEDUP_BUFFER bytes, twice */
	struct pl_hash *hash;
	struct pl_buffer xattrs;
	struct pleach_dedup_result *result;
	struct pl_findings *findings;
	struct pleach_error *error;
	struct pl_closer *closer; /* NULL: none yet, or there can be none */
	bool has_no_closer;
	const char *phase;
	uint64_t done, total, done_bytes;
	int64_t told_ms;
};
#define DEDUP_BUFFER ((size_t)128 << 10)
#define DEDUP_SLICE  ((size_t)64 << 10)

/** Where a name is. */
struct dedup_spot {
	struct dedup_dir *dir; /* valid until the next spot */
	char name[PL_NAME_MAX + 1];
};
/** Record of a directory of `root`, to be handed to dedup_file_add(). */
int dedup_dir_add(struct dedup *d, const struct dedup_root *root, const char *path,
		  uint64_t *ret_where);
int dedup_file_add(struct dedup *d, uint64_t dir_where, const char *name, uint64_t *ret_where);
/** Opens the directory of a name: no symlink is followed and no other file system entered. -ENOENT, -ENOTDIR,
 * -ELOOP, -EXDEV: it is not there any more. */
int dedup_spot_open(struct dedup *d, const struct dedup_name *name, struct dedup_spot *ret_spot);
/** Appends what lies below a path; nothing for "". */
void dedup_path_add(struct pl_buffer *path, const char *more);
/** The path of a name, for messages: malloc()ed, NULL without memory. */
char *dedup_path_of(struct dedup *d, const struct dedup_name *name);
/** Around each change of a directory: its mtime is to be as it was. */
void dedup_dir_before(struct dedup_dir *dir);
void dedup_dir_after(struct dedup_dir *dir);
/** Sets times back, closes all. */
void dedup_dirs_close(struct dedup *d);

/** The private directory in a PATH, made at its first use. */
int dedup_beside(struct dedup *d, struct dedup_root *root, int *ret_fd);
/** What `look` has seen of the open file is durable before a name relies on it. 1: that took its time; 0: it was
 * so already. */
int dedup_sync(struct dedup *d, struct dedup_root *root, int fd, const struct dedup_look *look);
void dedup_root_close(struct dedup_root *root);

/** Appends a finding about a name: something that could not be done, by this user or now. */
int dedup_finding(struct dedup *d, const struct dedup_name *name, int r, const char *what);
/** Now and then: tells how far it is. -EINTR: it is to end. */
int dedup_tick(struct dedup *d);

/* ---- dedup_walk.c ---- */

/** All names of files below a root. */
int dedup_walk(struct dedup *d, struct dedup_root *root);

/* ---- dedup_group.c ---- */

/** A file of a run: one inode, with its names. */
struct dedup_item {
	const struct dedup_name *names;
	size_t n_names;
	struct dedup_look look;
	struct pl_id id;   /* of all that must be equal; with an index, what its name is made of */
	struct pl_id meta; /* with an index: of what must be equal besides the content */
	int fd;		   /* -EBADF while closed */
	bool has_asked;	   /* of fd: who writes (pl_file_has_writers()) */
	bool is_last;	   /* the last of its names is gone: with fd it is */
};
/** One run of names of one key. */
int dedup_run(struct dedup *d, struct dedup_name *names, size_t n);
/** Opens an item, and looks whether it is what it was. 1; 0: changed, and it was counted. */
int dedup_item_open(struct dedup *d, struct dedup_item *item);
/** Nothing of it has changed since. The times of the inode alone may have, where its links have. */
bool dedup_look_holds(const struct dedup_look *then, const struct dedup_look *now);
/** Have two open items of one size the same bytes? 1, 0, or -EAGAIN: one of them changes. */
int dedup_equal(struct dedup *d, struct dedup_item *a, struct dedup_item *b);
/** Has `entry`, which is open, what the item's `meta` says? 1 or 0. */
int dedup_metadata_equal(struct dedup *d, struct dedup_item *entry, const struct dedup_item *item);
int dedup_look(int fd, struct dedup_look *ret_look);
struct dedup_look dedup_look_of(const struct stat *st);

/* ---- dedup_link.c, dedup_share.c ---- */

/** Makes every name of the items, which are equal, a link of `leader`, an open one that is none of their names
 * (NULL: of one of the items), or of one of the items where that has links enough. */
int dedup_link_items(struct dedup *d, struct dedup_item *leader, struct dedup_item *items,
		     size_t n);
/** Before the first: that with most links, since its names need not change; of these that with the lowest number,
 * so that two calls choose the same. */
void dedup_choose_leader(struct dedup_item *items, size_t n);
/** 1: it is what it was, as far as this user can see nobody writes to it, and it has a name; 0. */
int dedup_may_lead(struct dedup_item *item);
/** Has the items share the blocks of the first. */
int dedup_share_items(struct dedup *d, struct dedup_item *items, size_t n);

/* ---- dedup_index.c ---- */

#define DEDUP_INDEX_NAME 80
void dedup_index_name(enum pl_dedup_layout layout, const struct pl_id *id,
		      char ret_name[DEDUP_INDEX_NAME]);
/** What is hashed before and behind the content. */
void dedup_index_hash_begin(struct dedup *d, const struct dedup_look *look);
void dedup_index_hash_end(struct dedup *d, const struct dedup_look *look);
/** Opens it, if one is wanted. */
int dedup_index_open(struct dedup *d);
/** Has the file its name there already? */
bool dedup_index_has(const struct dedup *d, const struct stat *st);
/** Makes the items, which are equal, links of their entry in the index, which is made where there is none. */
int dedup_index_items(struct dedup *d, struct dedup_item *items, size_t n);

#endif
