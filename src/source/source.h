/*
 * source - what yields a tree: reading a directory (scan.c), its files (ingest.c), its hard links
 * (links.c), and what is remembered of it between publishes (cache.c); the upper layer of an overlay
 * (upper.c and its parts, upper.h).
 */
#ifndef PL_SOURCE_H
#define PL_SOURCE_H

#include "place/place.h"
#include "ref/ref.h"

/* ---- stage.c: nodes and objects that a transaction has written and not yet named ---- */

/** A directory in which new files are made, and what they are like there. Of one scan, of all its threads. */
struct pl_stage_dir {
	int fd; /* -EBADF: not asked for yet */
	struct pl_fresh fresh;
};
#define PL_STAGE_DIR_NONE    \
	{                    \
		.fd = -EBADF \
	}
/** What becomes of what a scan reads. */
enum pl_stage_mode {
	PL_STAGE_IN_PLACE, /* new files are written straight where they will be placed: one source */
	PL_STAGE_POOL,	   /* new files are written to tx/<id>/o/<object>, for composed trees */
	PL_STAGE_NOWHERE, /* only hashed; nodes are kept in memory: dry runs, diff with a directory */
};
/**
 * Nodes and objects of a transaction, by id. What is new is claimed before its name in the store is
 * looked at; what the store has is not written. pl_stage_name() later gives all of it its names.
 */
struct pl_stage {
	struct pl_txdir *tx; /* NULL with NOWHERE */
	struct pl_store *store;
	enum pl_stage_mode mode;
	int nodes_fd;	/* tx/<id>/n, flat */
	int objects_fd; /* tx/<id>/o, flat; POOL only */
	int tree_fd;	/* tx/<id>/t/1/tree; IN_PLACE only */
	int wrapper_fd; /* tx/<id>/t/1 */
	int spool_fd;	/* IN_PLACE: (object, path) of the files written, tx/<id>/new */
	struct pl_buffer spool;
	struct pl_walk walk; /* IN_PLACE: where in tree_fd */
	bool has_walk;
	unsigned jobs;		  /* threads that work for it, as for pl_crew_new() */
	struct pl_crew *crew;	  /* that works with it at the moment; NULL: none */
	struct pl_stage_dir pool; /* POOL: objects_fd, looked at */
	bool has_umask, has_fanout;
	mode_t umask;
	bool fanout
		[256]; /* two-digit directories that objects/ had when it was looked at, first of all */
	struct pl_map memory; /* NOWHERE: id -> index of nodes */
	struct pl_buffer *memory_nodes;
	size_t memory_n, memory_capacity;
	uint64_t bytes_new; /* content bytes written */
	uint64_t files_new;
};
int pl_stage_begin(struct pl_store *store, struct pl_txdir *tx, enum pl_stage_mode mode,
		   struct pl_stage *ret_stage, struct pleach_error *error);
void pl_stage_end(struct pl_stage *stage);
/** Reads staged nodes first, then the store's. `self` is the stage. */
struct pl_node_source pl_stage_nodes(struct pl_stage *stage);
struct pl_node_sink pl_stage_sink(struct pl_stage *stage);
/** Claims the object, then looks: 1 it is in the store (synced here if it must be), 0 it is not. */
int pl_stage_has_object(struct pl_stage *stage, const struct pl_id *object,
			struct pleach_error *error);
/** The two apart, for many: claims at most PL_CLAIMS_AT_ONCE objects; looks for one that was claimed and is to be
 * written otherwise (0 may be said of one that has just come). */
int pl_stage_claim_objects(struct pl_stage *stage, const struct pl_id *objects, size_t n,
			   struct pleach_error *error);
int pl_stage_look(struct pl_stage *stage, const struct pl_id *object, struct pleach_error *error);
/**
 * A new file, from when it is made until it is kept or discarded. Several threads may each have one; the
 * directory is that of `path`, opened and made on the first call (IN_PLACE). The text of an error, in all three,
 * is the caller's: it knows how its user names the file.
 */
struct pl_stage_file {
	int fd, dirfd; /* the file, the caller's; where it is, the stage's */
	char name[PL_NAME_MAX + 1];
	struct pl_fresh fresh;
};
/** Made empty, for content that gets this mode later; `worker` is the number of the thread, 0 of the only one. */
int pl_stage_file_make(struct pl_stage *stage, struct pl_stage_dir *dir, unsigned worker,
		       const char *path, mode_t mode, struct pl_stage_file *ret_file);
/** It is complete (content and metadata): it is `object`. fsyncs it where that is the way. 1: it is new; 0:
 * another thread was quicker (POOL). */
int pl_stage_file_keep(struct pl_stage *stage, const struct pl_stage_file *file,
		       const struct pl_id *object);
int pl_stage_file_discard(struct pl_stage *stage, const struct pl_stage_file *file);
/** Counts a file that was kept and was new, and remembers it by its path (IN_PLACE). By one thread. */
int pl_stage_note(struct pl_stage *stage, const char *path, const struct pl_id *object,
		  uint64_t size);
void pl_stage_dir_close(struct pl_stage_dir *dir);
/** The same for who makes one file at a time (POOL): the one made last is kept, or removed. */
int pl_stage_create(struct pl_stage *stage, const char *path, int *ret_fd);
int pl_stage_keep(struct pl_stage *stage, const char *path, int fd, const struct pl_id *object,
		  uint64_t size);
int pl_stage_discard(struct pl_stage *stage, const char *path);
/** Takes a file that is complete, content and metadata, as the object: by a second name (POOL). It must never be
 * written to again. -EEXIST: another thread has one. Noted by the caller, as what was kept; his is the text of an
 * error. */
int pl_stage_adopt(struct pl_stage *stage, int dirfd, const char *name, const struct pl_id *object);
/**
 * Step 3, after the first round of sync: every staged object and node gets its name in the store. An
 * object that has come to be there meanwhile stays as it is (ours is then a private copy).
 */
int pl_stage_name(struct pl_stage *stage, struct pleach_error *error);

/* ---- scan.c ---- */

struct pl_scan {
	struct pl_store *store;
	struct pl_stage *stage;
	int fd;		    /* of the directory to read; the caller's */
	const char *label;  /* the source as the user named it, in front of paths in messages */
	const char *prefix; /* where it lies in the tree: "" or a path (IN_PLACE: "") */
	enum pl_rule rule;
	const struct pl_globs *exclude; /* NULL: none; matched against paths in the source */
	const struct pl_id
		*base;	/* the tree that is there now, NULL: none; its nodes need no claim */
	bool is_one_fs; /* a directory where another file system is mounted is an error: -EXDEV */
	bool use_cache;
	/* Somebody may have mapped files for longer than this scan: once a page of such a mapping is dirty,
	 * more writes to it give no new times, until it is written back. So all is written back first, and
	 * what is written after that shows (cache.c, I1). */
	bool has_mappings;
	bool is_quiet; /* as in struct pl_ingest */
	unsigned
		jobs; /* threads that read, as for pl_crew_new(); what comes out does not depend on it */
	bool ignores_links; /* names of one inode are no group */
	const struct pl_cache_place
		*cache; /* NULL: the store's, by device and inode of the source */
};
struct pl_scan_result {
	struct pl_id tree;
	struct pl_totals totals;
	uint64_t escaping;
	char first_escaping[1024];
	uint64_t files_read, files_cached;
};
/** Counts the symlink `entry` at `path` of the tree if it leads out of it. */
void pl_scan_note_escape(struct pl_scan_result *result, const char *path,
			 const struct pl_entry *entry);
/**
 * Reads a directory tree into nodes (staged) and objects (staged where they are new).
 * -EAGAIN: a file kept changing; -EPERM: cannot be restored by this user; -ELOOP with its text: the
 * store lies in it; all by path.
 */
int pl_scan_run(const struct pl_scan *scan, struct pl_scan_result *ret_result,
		struct pleach_error *error);

/* ---- ingest.c: one file ---- */

/**
 * Reads names that are no directories into entries: metadata, target or content hash; a file's content is
 * staged if it is new. One consistent reading, or -EAGAIN. Each thread has one of its own.
 * `xattrs` and `target` hold what the entry points to.
 */
struct pl_ingest {
	struct pl_stage *stage;
	enum pl_rule rule;
	const char *label; /* of the source, in errors; the caller's */
	struct pl_buffer xattrs, target, content, shown;
	struct pl_hash *hash;
	struct timespec started; /* when the reading of the current file began */
	bool is_quiet; /* nobody else writes: not again and again for a file of this tick */
	uid_t uid;     /* this user, who may restore what is his */
	gid_t gid;
	unsigned worker; /* number of the thread */
	/* Says for the name of an attribute which one it stands for, as pl_meta_rename_xattrs() asks.
	 * NULL: itself. */
	const char *(*rename_xattr)(void *self, const char *name);
	void *rename_self;
};
int pl_ingest_init(struct pl_ingest *ingest, struct pl_stage *stage, enum pl_rule rule,
		   const char *label);
void pl_ingest_done(struct pl_ingest *ingest);
/** What became of a name. */
enum pl_ingested {
	PL_INGESTED,	  /* its entry is complete, and nothing new was written */
	PL_INGESTED_GONE, /* there is no such name any more */
	PL_INGESTED_NEW,  /* the same, and its content was new and is written (pl_stage_note()) */
	PL_INGESTED_CONTENT, /* its content is not stored yet: it is what `content` has grown by */
};
/**
 * Reads one name. `st`: what lstat() said of it, renewed if it has changed since. `dir`: where a new file
 * goes. Small files are left in `content`, for pl_ingest_store(), once their object is claimed.
 */
int pl_ingest_read(struct pl_ingest *ingest, struct pl_stage_dir *dir, int dirfd, const char *name,
		   const char *path, struct stat *st, struct pl_entry *ret_entry,
		   struct pleach_error *error);
/** Writes the content that was read and whose object was claimed, unless the store has it: PL_INGESTED_NEW or
 * PL_INGESTED. */
int pl_ingest_store(struct pl_ingest *ingest, struct pl_stage_dir *dir, const char *path,
		    const struct pl_entry *entry, const void *content, struct pleach_error *error);
/** All of it for one file, noted. 0, 1: it is gone (ENOENT). */
int pl_ingest_entry(struct pl_ingest *ingest, struct pl_stage_dir *dir, int dirfd, const char *name,
		    const char *path, struct stat *st, struct pl_entry *ret_entry,
		    struct pleach_error *error);
/** The metadata of the open directory `fd`, reduced; -EPERM, by path, as above. `xattrs` holds what it
 * points to. */
int pl_ingest_directory(struct pl_ingest *ingest, int fd, const char *path, const struct stat *st,
			struct pl_meta *ret_meta, struct pleach_error *error);

/* ---- links.c: hard-link groups of a source ---- */

/** Inodes with more than one name, as a scan meets them. */
struct pl_links;
int pl_links_new(uint64_t seed, struct pl_links **ret_links);
void pl_links_free(struct pl_links *links);
/**
 * Notes that `path` is a name of (dev, ino), whose number goes to *ret_link. 1: another name was met before;
 * else 0.
 */
int pl_links_meet(struct pl_links *links, const struct stat *st, const char *path,
		  size_t *ret_link);
/** The entry of that inode, valid until the next call; NULL: not known (yet). */
const struct pl_entry *pl_links_entry(struct pl_links *links, size_t link);
/** The first entry of that inode stays its entry; copied. */
int pl_links_set_entry(struct pl_links *links, size_t link, const struct pl_entry *entry);
/** Names of this inode that the tree holds, found by a walk ahead. */
int pl_links_expect(struct pl_links *links, const struct stat *st);
/** The walk ahead is done: what was expected is all there is. */
void pl_links_expected_all(struct pl_links *links);
/**
 * The directory `path` is complete. The groups whose lowest common directory it is go to
 * ret_groups, with paths relative to it. Returns 1 if that cannot be known yet, since an inode has more
 * names than were met, and two of them lie here with no deeper directory in common: then a walk ahead
 * must say how many names the source has, and this is called again.
 */
int pl_links_leave(struct pl_links *links, const char *path, struct pl_groups *ret_groups);
/** After the root: 1 if a group was left over (the source changed meanwhile); *ret_path: a member. */
int pl_links_left_over(struct pl_links *links, const char **ret_path);

/* ---- ahead.c ---- */

/** Counts the names of every inode with more than one, below `fd` (the caller's), into `links`. */
int pl_links_walk_ahead(struct pl_links *links, struct pl_store *store, int fd,
			const struct pl_globs *exclude);

/* ---- cache.c: what was read the last time ---- */

/**
 * For each file of a source directory what lstat(2) said and the entry that was made of it. Written and
 * read in the order of a scan, so that neither needs memory. A file is believed unchanged if mode, owner,
 * size, mtime, ctime, device and inode are as they were, and ctime and mtime are older than the
 * scan that wrote it by more than the clock's grain (as with git's index: "racily clean" entries).
 * May be deleted at any time; one that does not verify is passed over.
 */
struct pl_cache;
/** Where a cache is kept that is of no use to anybody else, and goes with what it is of. */
struct pl_cache_place {
	int dirfd;
	const char *name;
};
/** Opens the cache of the source for reading, if there is one, and begins a new one in tx (NULL: none). A
 * `place` of NULL: in the store's cache/. */
int pl_cache_open(struct pl_store *store, struct pl_txdir *tx, int source_fd, enum pl_rule rule,
		  const struct pl_cache_place *place, struct pl_cache **ret_cache);
/** 1 and the entry as it was (valid until the next call); 0: not known, or not to be believed. Paths
 * must be asked for in the order of pl_path_compare(). */
int pl_cache_find(struct pl_cache *cache, const char *path, const struct stat *st,
		  struct pl_entry *ret_entry);
int pl_cache_add(struct pl_cache *cache, const char *path, const struct stat *st,
		 const struct pl_entry *entry);
/** The new one takes the place of the old one. Best effort. */
void pl_cache_keep(struct pl_cache *cache);
void pl_cache_close(struct pl_cache *cache);
/**
 * Makes the cache of a directory that was just made from the tree `base` and that nobody else has seen: as a
 * scan with `rule` would have left it, without a file being read. After it nothing need be read but what
 * changes, and what was made just before. (cache_fill.c)
 */
int pl_cache_fill(struct pl_store *store, struct pl_txdir *tx, int root_fd,
		  const struct pl_id *base, enum pl_rule rule, const struct pl_cache_place *place,
		  struct pleach_error *error);
/** Is a cache of what lies there of any use? Not where a write may leave times as they were: tmpfs gives
 * no new ones to a file that is written through a mapping; and not where the clock is another machine's. */
bool pl_cache_is_sound(int source_fd);

/* ---- upper.c: the upper layer of an overlay ---- */

struct pl_upper {
	struct pl_store *store;
	struct pl_stage *stage; /* POOL */
	int upper_fd;		/* the upper directory, unmounted; the caller's, as all below */
	int index_fd; /* work/index, where the overlay was mounted with index=on; else -EBADF */
	int lower_fd; /* the placed tree that it lay over; handles in the upper are of its files */
	struct pl_id base; /* that tree */
	enum pl_rule rule;
	bool is_user;	   /* marks are user.overlay.*, not trusted.overlay.* */
	const char *label; /* in front of paths in messages */
};
/**
 * The tree that the upper layer makes of the base: cost follows the upper layer (and, only where an inode
 * was changed whose copied-up names are all gone, the base's hard-link groups). New files are staged.
 * Errors as pl_scan_run(); -EXDEV, by path: another file system is mounted there.
 */
int pl_upper_run(const struct pl_upper *upper, struct pl_scan_result *ret_result,
		 struct pleach_error *error);
/** Is it as it was made for the base, and was nobody at it since? False also where that cannot be told. One look at
 * its root, without `stage`. (upper_untouched.c) */
bool pl_upper_is_untouched(const struct pl_upper *upper);

#endif
