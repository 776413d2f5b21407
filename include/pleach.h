/*
 * pleach.h - the one public header of libpleach.
 *
 * A store keeps every version of a directory tree, sharing every unchanged file. A ref is a name in
 * a store; each of its values, a generation, is a whole tree. A public path moves from one
 * generation to the next in one step.
 *
 * Conventions, true for every function below unless its comment says otherwise:
 *
 *  - The result is 0 or a positive answer (named in the comment), or a negative errno. With a
 *    negative errno the last parameter, if it is not NULL, is filled in: its `code` tells what kind
 *    of failure it is (and is the exit status of the command), `message` what and where, `hint` what
 *    to do. Every function may fail with -ENOMEM, and with any errno of the system calls it makes.
 *  - Strings are NUL-terminated bytes. Names and paths are what the kernel takes: any bytes but '/'
 *    and NUL in a name. They need not be UTF-8.
 *  - Parameters stay the caller's and are copied where they are kept. What a function returns by a
 *    `ret_...` parameter is written only on success; handles are the caller's to close. Strings in a
 *    struct filled by `..._next` belong to the iterator and last until the next call on it.
 *  - Option and result structs begin with `size`: set it to sizeof(struct ...) (the INIT macros do).
 *    A NULL for options means all defaults; a NULL for a result means that nobody wants it.
 *  - A handle must be used by one thread at a time; different handles are independent. The library
 *    prints nothing, never exits (a broken assertion of its own aborts), and touches neither
 *    signals, umask nor the working directory. A handle does not survive fork(2): a child may only
 *    close what it inherited.
 *  - "Durable" means: still there after a power cut, once the function has returned, on a store with
 *    durability=full (the default).
 */
#ifndef PLEACH_H
#define PLEACH_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PLEACH_VERSION_MAJOR 0
#define PLEACH_VERSION_MINOR 1
#define PLEACH_VERSION_PATCH 0

#if defined(__GNUC__)
#define PLEACH_API __attribute__((visibility("default")))
#else
#define PLEACH_API
#endif

/* ---- errors --------------------------------------------------------------------------------- */

/** Kinds of failure. The values are the exit statuses of the command. */
enum pleach_code {
	PLEACH_OK = 0,
	PLEACH_FAILED = 1,  /**< a system call failed, or the request cannot be carried out */
	PLEACH_USAGE = 2,   /**< an argument is not of the form asked for (-EINVAL) */
	PLEACH_PARTIAL = 3, /**< done, but for what the message names */
	PLEACH_NOT_FOUND =
		10,	  /**< no such store, ref, generation, tag or path in a tree (-ENOENT) */
	PLEACH_BUSY = 11, /**< held by somebody else; try again later (-EBUSY) */
	PLEACH_CONFLICT = 12,	 /**< the head is another than asked for (-ECANCELED) */
	PLEACH_CORRUPT = 13,	 /**< something in the store does not verify (-EBADMSG) */
	PLEACH_NO_SPACE = 14,	 /**< disk, quota or file-size limit (-ENOSPC, -EDQUOT, -EFBIG) */
	PLEACH_INTERRUPTED = 130 /**< cancelled by pleach_store_cancel() (-EINTR) */
};

/**
 * What went wrong. Caller-owned, no cleanup needed. Texts that do not fit are cut at the front of a
 * path and the end of a sentence.
 */
struct pleach_error {
	size_t size;
	enum pleach_code code;
	int err;	    /**< the positive errno behind it, 0 if there is none */
	char message[3072]; /**< one line, without "pleach:" and without a full stop */
	char hint[1024];    /**< what to do about it, or "" */
	char path[4096];    /**< the path it is about, as given or relative to the source, or "" */
};
#define PLEACH_ERROR_INIT                                            \
	{                                                            \
		sizeof(struct pleach_error), PLEACH_OK, 0, {0}, {0}, \
		{                                                    \
			0                                            \
		}                                                    \
	}

/** The version of the library in use, as "0.1.0". Static storage. Never fails. */
PLEACH_API const char *pleach_version(void);

/** Frees a string that a function of this library returned. NULL is fine. */
PLEACH_API void pleach_free(char *string);

/* ---- stores --------------------------------------------------------------------------------- */

/** An open store. Holds a few descriptors, no lock. */
struct pleach_store;

struct pleach_init_options {
	size_t size;
	const char *metadata; /**< default rule: "exact" (NULL), "portable" or "canonical" */
	const char *share;    /**< "names" or "content"; NULL: as the metadata rule has it */
	const char *hash;     /**< "sha256" or NULL */
	int force;	      /**< also in a directory that holds other things; none is touched */
};
#define PLEACH_INIT_OPTIONS_INIT                                        \
	{                                                               \
		sizeof(struct pleach_init_options), NULL, NULL, NULL, 0 \
	}

/**
 * Makes a store in the directory `dir` (made if missing; its parent must exist).
 * Atomic: the store is made beside and renamed; killed, it leaves at most a name `.pleach-...` that
 * the next call removes. Durable.
 * Returns 0: made; 1: there was a store already, untouched.
 * -ENOTEMPTY: not empty and `force` not set; -EOPNOTSUPP: the file system has no hard links;
 * -EINVAL (USAGE): an option has an unknown value.
 */
PLEACH_API int pleach_store_init(const char *dir, const struct pleach_init_options *options,
				 struct pleach_error *error);

/**
 * Opens the store in `dir`, or with NULL the nearest one in the working directory or above it
 * (stores below another store's trees/ and tx/ are passed over).
 * -ENOENT (NOT_FOUND): no store there; -EPROTONOSUPPORT: its format is newer than this library;
 * -EBADMSG (CORRUPT): its config does not verify.
 */
PLEACH_API int pleach_store_open(const char *dir, struct pleach_store **ret_store,
				 struct pleach_error *error);

/** Closes it. NULL is fine. Everything opened from it must be closed before. */
PLEACH_API void pleach_store_close(struct pleach_store *store);

/** Absolute path of the store's directory. Belongs to the handle. */
PLEACH_API const char *pleach_store_path(const struct pleach_store *store);

/**
 * Makes the call that is under way on this handle, and every later one, end soon with -EINTR
 * (INTERRUPTED), its work undone unless it was past its commit point. May be called from a signal
 * handler and from other threads.
 */
PLEACH_API void pleach_store_cancel(struct pleach_store *store);

/** How far a long call has come. */
struct pleach_progress {
	size_t size;
	const char *phase;   /**< "scan", "place", "sync", "check", "checkout", "remove",
				"compare", "mark", "sweep", "measure"; static */
	uint64_t done;	     /**< entries so far in this phase */
	uint64_t total;	     /**< entries in all, 0 if unknown */
	uint64_t done_bytes; /**< content bytes so far in this phase */
};
typedef void (*pleach_progress_fn)(const struct pleach_progress *progress, void *userdata);

/**
 * Has `fn` called, by the thread that makes a long call, every thousand entries or so. NULL: never.
 * It must not call the library on the same handle, but for pleach_store_cancel().
 */
PLEACH_API void pleach_store_set_progress(struct pleach_store *store, pleach_progress_fn fn,
					  void *userdata);

/* ---- revisions ------------------------------------------------------------------------------ */

#define PLEACH_REF_MAX	100	   /**< longest name of a ref or tag, bytes */
#define PLEACH_HEX_MAX	64	   /**< digits of an id */
#define PLEACH_NO_OWNER UINT32_MAX /**< uid and gid of an entry whose owner is not recorded */

/** A revision, resolved. */
struct pleach_revision {
	size_t size;
	char ref[PLEACH_REF_MAX + 1];  /**< "" for tree:HEX */
	uint64_t generation;	       /**< 0 for tree:HEX */
	char tree[PLEACH_HEX_MAX + 1]; /**< id of the whole tree */
	const char *path; /**< behind the colon, in the string that was given; NULL: none */
	int is_head;	  /**< the generation is the head of its ref */
};
#define PLEACH_REVISION_INIT                                         \
	{                                                            \
		sizeof(struct pleach_revision), {0}, 0, {0}, NULL, 0 \
	}

/**
 * Resolves `ref`, `ref@N`, `ref@-K`, `ref@TAG` or `tree:HEX`, each also with `:path`. The path is not
 * looked up. A public path that a killed commit left behind is moved on, where the caller may write.
 * -EINVAL (USAGE): not a revision; -ENOENT (NOT_FOUND): no such ref, generation, tag or tree, a
 * generation that was dropped, or a prefix that is not unique; -EBADMSG (CORRUPT).
 */
PLEACH_API int pleach_resolve(struct pleach_store *store, const char *rev,
			      struct pleach_revision *ret_revision, struct pleach_error *error);

/* ---- publishing ----------------------------------------------------------------------------- */

enum pleach_source_kind {
	PLEACH_SOURCE_DIR = 0, /**< `spec` is the path of a directory */
	PLEACH_SOURCE_REV = 1  /**< `spec` is a revision, with or without `:path` */
};

/** One of the sources that a tree is composed from. */
struct pleach_source {
	enum pleach_source_kind kind;
	const char *spec;
	const char
		*prefix; /**< where its root lies in the tree: relative path, or NULL: the root */
};

enum pleach_clash {
	PLEACH_CLASH_ERROR = 0, /**< two sources that bring one path: -EEXIST, naming both */
	PLEACH_CLASH_FIRST = 1,
	PLEACH_CLASH_LAST = 2
};

struct pleach_publish_options {
	size_t size;
	const char *message;	 /**< NULL: none; at most 64 KiB */
	const char *const *meta; /**< "KEY=VALUE" strings, NULL ends the list; NULL: none */
	const char *const
		*exclude; /**< patterns as in .gitignore, NULL ends the list; NULL: none */
	enum pleach_clash on_clash;
	int64_t if_head;      /**< the head must be this generation (0: there is none); -1: any */
	int dry_run;	      /**< say what would change, write nothing into the ref */
	unsigned jobs;	      /**< threads, 0: as many as there are cores */
	const char *metadata; /**< rule for this publish; NULL: the ref's setting */
};
#define PLEACH_PUBLISH_OPTIONS_INIT                                                              \
	{                                                                                        \
		sizeof(struct pleach_publish_options), NULL, NULL, NULL, PLEACH_CLASH_ERROR, -1, \
			0, 0, NULL                                                               \
	}

struct pleach_publish_result {
	size_t size;
	uint64_t generation; /**< the new one, or the head if unchanged */
	uint64_t parent;     /**< the one before it, 0: none */
	char tree[PLEACH_HEX_MAX + 1];
	uint64_t added, modified, removed; /**< paths, against the parent */
	uint64_t bytes_new;		   /**< content bytes that the store did not have */
	int unchanged;			   /**< no generation was made */
	uint64_t escaping;		   /**< symlinks that lead out of the tree by `..` */
	char first_escaping[1024];	   /**< path of the first of them, cut */
};
#define PLEACH_PUBLISH_RESULT_INIT                                                 \
	{                                                                          \
		sizeof(struct pleach_publish_result), 0, 0, {0}, 0, 0, 0, 0, 0, 0, \
		{                                                                  \
			0                                                          \
		}                                                                  \
	}

/**
 * Makes the tree composed of `sources` the next generation of `ref` (made if it is not there) and
 * moves the public path to it. Whatever the head was is replaced: nothing is merged. A tree equal to
 * the head's, but for the mtimes of directories, makes no generation (`unchanged`).
 * Atomic, and durable when it returns 0. Any number may run at once, in one process (each with its
 * own store handle) or many: each becomes a generation.
 * Returns 0, or PLEACH_PARTIAL: recorded, but not shown, since somebody put something of their own at
 * the public path meanwhile (`error` says so).
 * -ECANCELED (CONFLICT): `if_head` does not hold; -EEXIST: the public path is not ours (nothing is
 * recorded), or two sources clash (`path`); -EPERM: something that this user or file system cannot
 * restore, by path; -EAGAIN: a file kept changing while it was read, by path; -EACCES: only the
 * store's owner may; -ENOTDIR, -ENOENT (FAILED): a source that is no directory, or not there; -EINVAL
 * (USAGE); -EBADMSG (CORRUPT); -ENOSPC, -EDQUOT, -EFBIG (NO_SPACE), when what room could be made was made: by
 * pleach_gc(), in a store with a max-size by dropping generations, too. -EIO after the commit point: "published,
 * durability unknown".
 * Nothing is collected behind it: call pleach_gc() with `automatic` for that, as the command does.
 */
PLEACH_API int pleach_publish(struct pleach_store *store, const char *ref,
			      const struct pleach_source *sources, size_t n_sources,
			      const struct pleach_publish_options *options,
			      struct pleach_publish_result *ret_result, struct pleach_error *error);

/**
 * Publishes the tree of an earlier generation again, as a new one. `rev` NULL: the one before the
 * head; else a revision of any ref of the store, or `@N`, `@-K`, `@TAG` of this one. From `options`
 * message, meta, if_head and dry_run are used. Atomic, durable; errors as pleach_publish(), and
 * -ENOENT (NOT_FOUND) where there is no such generation.
 */
PLEACH_API int pleach_rollback(struct pleach_store *store, const char *ref, const char *rev,
			       const struct pleach_publish_options *options,
			       struct pleach_publish_result *ret_result,
			       struct pleach_error *error);

/* ---- looking -------------------------------------------------------------------------------- */

struct pleach_generation {
	size_t size;
	uint64_t number, parent;
	char tree[PLEACH_HEX_MAX + 1];
	int64_t time_s; /**< seconds since 1970, UTC, by the publisher's clock */
	uint32_t time_ns;
	const char *kind; /**< "publish", "rollback", "run", "merge" */
	uint32_t uid;
	const char *user, *host, *message; /**< "" where unknown */
	const char *const *meta;	   /**< "KEY=VALUE", NULL ends the list */
	uint64_t added, modified, removed, bytes_new;
	const char *const *tags; /**< names, NULL ends the list */
	int is_dropped;
};
#define PLEACH_GENERATION_INIT                                                                \
	{                                                                                     \
		sizeof(struct pleach_generation), 0, 0, {0}, 0, 0, NULL, 0, NULL, NULL, NULL, \
			NULL, 0, 0, 0, 0, NULL, 0                                             \
	}

struct pleach_log;
struct pleach_log_options {
	size_t size;
	int reverse;		  /**< oldest first */
	const char *const *paths; /**< only generations that changed one of these; NULL: all */
};
#define PLEACH_LOG_OPTIONS_INIT                            \
	{                                                  \
		sizeof(struct pleach_log_options), 0, NULL \
	}

/** Lists the generations of `ref`, newest first. -ENOENT (NOT_FOUND): no such ref. */
PLEACH_API int pleach_log_open(struct pleach_store *store, const char *ref,
			       const struct pleach_log_options *options,
			       struct pleach_log **ret_log, struct pleach_error *error);
/** Returns 1 and fills `*generation`; 0 at the end. -EBADMSG (CORRUPT): the record of this one cannot be read, or, behind
 * the last one, a tag; the next call goes on. */
PLEACH_API int pleach_log_next(struct pleach_log *log, struct pleach_generation *generation,
			       struct pleach_error *error);
PLEACH_API void pleach_log_close(struct pleach_log *log);

enum pleach_type {
	PLEACH_FILE = 'f',
	PLEACH_DIR = 'd',
	PLEACH_SYMLINK = 'l',
	PLEACH_FIFO = 'p',
	PLEACH_SOCKET = 's',
	PLEACH_CHAR = 'c',
	PLEACH_BLOCK = 'b'
};

struct pleach_xattr {
	const char *name;
	const unsigned char *value;
	size_t length;
};

/** What a tree holds under one path. */
struct pleach_entry {
	size_t size;
	const char *path; /**< relative to the root of the tree */
	enum pleach_type type;
	uint32_t mode;	   /**< permission bits, 07777 */
	uint32_t uid, gid; /**< or PLEACH_NO_OWNER */
	int64_t mtime_s;
	uint32_t mtime_ns;
	uint64_t file_size;		 /**< bytes; of a symlink the length of its target */
	const char *target;		 /**< of a symlink, else NULL */
	uint32_t rdev_major, rdev_minor; /**< of devices */
	uint64_t links;			 /**< names of this tree that share its inode: 1 and more */
	const struct pleach_xattr *xattrs;
	size_t n_xattrs;
	char id[PLEACH_HEX_MAX + 1]; /**< of a file its object, of a directory its node, else "" */
	char content[PLEACH_HEX_MAX + 1]; /**< of a file the hash of its content, else "" */
};
#define PLEACH_ENTRY_INIT                                                                        \
	{                                                                                        \
		sizeof(struct pleach_entry), NULL, PLEACH_FILE, 0, 0, 0, 0, 0, 0, NULL, 0, 0, 0, \
			NULL, 0, {0},                                                            \
		{                                                                                \
			0                                                                        \
		}                                                                                \
	}

struct pleach_ls;
/**
 * Lists what is in `REV[:path]` in byte order of paths: a directory's entries, with `recursive` those
 * of all directories below it too; anything else is listed itself.
 * -ENOENT (NOT_FOUND): no such revision or path; -EBADMSG (CORRUPT).
 */
PLEACH_API int pleach_ls_open(struct pleach_store *store, const char *rev, int recursive,
			      struct pleach_ls **ret_ls, struct pleach_error *error);
/** Returns 1 and fills `*entry`; 0 at the end. */
PLEACH_API int pleach_ls_next(struct pleach_ls *ls, struct pleach_entry *entry,
			      struct pleach_error *error);
PLEACH_API void pleach_ls_close(struct pleach_ls *ls);

struct pleach_file;
/**
 * Opens the file `REV:path` for reading from its object. -ENOENT (NOT_FOUND); -EISDIR: a directory;
 * -EINVAL (USAGE): not a regular file, or no path given; -EBADMSG (CORRUPT): its object is missing.
 */
PLEACH_API int pleach_file_open(struct pleach_store *store, const char *rev,
				struct pleach_file **ret_file, struct pleach_error *error);
/**
 * Reads on. Returns the number of bytes, 0 at the end; the whole content has been verified against
 * its hash before 0 is returned. -EBADMSG (CORRUPT): what was read is not what was published.
 */
PLEACH_API ssize_t pleach_file_read(struct pleach_file *file, void *buffer, size_t length,
				    struct pleach_error *error);
PLEACH_API void pleach_file_close(struct pleach_file *file);

/** One difference. */
struct pleach_change {
	size_t size;
	const char *path;
	char change; /**< A added, D removed, M content, T type, P metadata alone, L link group alone */
	const struct pleach_entry *before, *after; /**< NULL where it is not there */
};
#define PLEACH_CHANGE_INIT                                        \
	{                                                         \
		sizeof(struct pleach_change), NULL, 0, NULL, NULL \
	}

struct pleach_diff;
struct pleach_diff_options {
	size_t size;
	const char *directory;	    /**< compare with this directory; `rev_after` must be NULL */
	const char *const *paths;   /**< only these and what is below them; NULL ends; NULL: all */
	const char *const *exclude; /**< of `directory`, as for pleach_publish() */
};
#define PLEACH_DIFF_OPTIONS_INIT                                     \
	{                                                            \
		sizeof(struct pleach_diff_options), NULL, NULL, NULL \
	}

/**
 * Lists what turns `rev_before` into `rev_after`, in the order of a walk: a directory, what is below
 * it, and then the names behind it ('/' sorts below every other byte). `rev_after` NULL and no
 * directory: what turned the parent of `rev_before` into it. Mtimes of directories are no difference.
 * Each may be `REV:path` of a directory. Nothing is written. Errors as pleach_ls_open().
 */
PLEACH_API int pleach_diff_open(struct pleach_store *store, const char *rev_before,
				const char *rev_after, const struct pleach_diff_options *options,
				struct pleach_diff **ret_diff, struct pleach_error *error);
/** Returns 1 and fills `*change`; 0 at the end. */
PLEACH_API int pleach_diff_next(struct pleach_diff *diff, struct pleach_change *change,
				struct pleach_error *error);
PLEACH_API void pleach_diff_close(struct pleach_diff *diff);

/**
 * Absolute path of `REV[:path]` in its placed tree; the tree is placed first where it is not (its
 * owner alone can), and it then stays for the ref's grace at least. The string is the caller's, to
 * be freed with pleach_free(). -ENOENT (NOT_FOUND); -EACCES: not placed, and not the owner.
 */
PLEACH_API int pleach_path(struct pleach_store *store, const char *rev, char **ret_path,
			   struct pleach_error *error);

/**
 * Returns 0 when the head of `ref` is newer than generation `after`, with its number. `after` -1: the
 * head as it is now. `timeout_ms` -1: for ever. -ETIMEDOUT (BUSY): nothing came in time; -EINTR.
 * A ref that is not there yet is waited for.
 */
PLEACH_API int pleach_wait(struct pleach_store *store, const char *ref, int64_t after,
			   int64_t timeout_ms, uint64_t *ret_generation,
			   struct pleach_error *error);

struct pleach_ref_status {
	size_t size;
	const char *name;
	uint64_t head;
	char tree[PLEACH_HEX_MAX + 1];
	int64_t time_s;
	uint32_t time_ns;
	const char *public_path; /**< absolute */
	/** "ok", "missing", "foreign", "behind"; "unknown": what the head is cannot be read; static */
	const char *public_state;
	uint64_t generations_kept, generations_placed, pinned; /**< pinned: trees with a held pin */
	uint64_t queued; /**< transactions in its queue: the one at work, and those that wait */
	const char *const *tags; /**< "NAME=N", NULL ends the list */
	/** "REV MODE STATE PATH", NULL ends the list. STATE "ok"; "behind", "missing": the next command that
	 * may write mends it; "foreign": what is there is not ours, and stays */
	const char *const *attached;
	/** What cannot be read, a sentence each, NULL ends the list: everything else is filled in, as far as it does
	 * not follow from that (`head` 0, `tree` "" where they are not known). pleach_check() tells more. */
	const char *const *damaged;
};
#define PLEACH_REF_STATUS_INIT                                                                \
	{                                                                                     \
		sizeof(struct pleach_ref_status), NULL, 0, {0}, 0, 0, NULL, NULL, 0, 0, 0, 0, \
			NULL, NULL, NULL                                                      \
	}
struct pleach_refs;
/** Lists the refs of the store that have a generation, by name. One that is damaged is listed, and says so. */
PLEACH_API int pleach_refs_open(struct pleach_store *store, struct pleach_refs **ret_refs,
				struct pleach_error *error);
PLEACH_API int pleach_refs_next(struct pleach_refs *refs, struct pleach_ref_status *status,
				struct pleach_error *error);
PLEACH_API void pleach_refs_close(struct pleach_refs *refs);

/** What a generation takes of the disk. Bytes are blocks, as du(1) counts them, but for `bytes`. */
struct pleach_du_generation {
	size_t size;
	const char *ref;
	uint64_t generation;
	char tree[PLEACH_HEX_MAX + 1];
	uint64_t objects, nodes; /**< files' contents and directories' descriptions that it names */
	uint64_t bytes;		 /**< in them: what the files say that they have, equal ones once */
	uint64_t disk;		 /**< what these take, and its placed tree besides links of them */
	uint64_t shared;	 /**< of `disk`: what something else has too */
	uint64_t alone;		 /**< the rest: free after `drop --now` and `gc`, if is_held is 0 */
	int is_head, is_placed;
	/** Its tree has more than its generations and their tags: an attachment, a pin, a transaction, a path that
	 * was asked for, one within its grace. Nothing is free before that ends. */
	int is_held;
};
#define PLEACH_DU_GENERATION_INIT                                                            \
	{                                                                                    \
		sizeof(struct pleach_du_generation), NULL, 0, {0}, 0, 0, 0, 0, 0, 0, 0, 0, 0 \
	}
/** What a whole store takes, in bytes of the disk. Each inode is counted once, for the first of these. */
struct pleach_du_totals {
	size_t size;
	uint64_t total; /**< all of it, as `du -s` of its directory says */
	uint64_t objects, nodes;
	uint64_t directories;  /**< of placed trees */
	uint64_t copies;       /**< files of placed trees that are no links of objects */
	uint64_t trash;	       /**< taken out by a collection, not yet erased */
	uint64_t transactions; /**< whatever is unfinished: open, parked, dead */
	uint64_t cache;	       /**< may be deleted at any time */
	uint64_t other;	       /**< records, tags, settings, the reserve */
	uint64_t beside;       /**< the store's directory, public paths, what else lies there */
	uint64_t unneeded; /**< of objects to copies: what nobody needs, and the next gc frees */
	uint64_t n_objects, n_nodes, n_trees, n_placed;
	uint64_t
		unread; /**< directories, nodes and trees that could not be read: all is more then */
	uint64_t damaged; /**< set aside by repairs; yours to remove */
};
#define PLEACH_DU_TOTALS_INIT                                                                      \
	{                                                                                          \
		sizeof(struct pleach_du_totals), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 \
	}
struct pleach_du;
/**
 * Looks at all of the store, and then lists its generations that were not dropped, by ref and number. `ref`: those of
 * this one alone; NULL: all. Nothing is changed. Of a store that is at work beside it is the truth of no one moment.
 * Hard links outside of the store are not known: what they keep is told as free. Memory: about 70 bytes for each
 * object and node, 4 for each name of a directory.
 * A generation whose record is damaged is not listed, and what it may have counts as needed.
 * -ENOENT (NOT_FOUND): no such ref; -EACCES: only the store's owner may; -EBADMSG (CORRUPT): a node.
 */
PLEACH_API int pleach_du_open(struct pleach_store *store, const char *ref,
			      struct pleach_du **ret_du, struct pleach_error *error);
/** Returns 1 and fills `*generation`; 0 at the end. -EBADMSG (CORRUPT), once, behind the last one: something of a ref
 * of the store could not be read, and is not listed; `error` names the first such. */
PLEACH_API int pleach_du_next(struct pleach_du *du, struct pleach_du_generation *generation,
			      struct pleach_error *error);
/** Of the whole store, also where one ref is listed. */
PLEACH_API void pleach_du_sum(const struct pleach_du *du, struct pleach_du_totals *ret_totals);
PLEACH_API void pleach_du_close(struct pleach_du *du);

/** Something unfinished in tx/ or trash/, or an event of recovery. */
struct pleach_leftover {
	size_t size;
	/** "open": at work now; "parked"; "dead": its process is gone, "expired": its time is over: the next command
	 * that makes or ends anything removes these; "trash": a collection erases it; "damaged": set aside by a
	 * repair, in .pleach/damaged/<id>; "recovered": was found and mended, `what` says how and when. */
	const char *kind;
	const char *
		id; /**< of the transaction, or of the directory; "" of what was mended and has none */
	const char *what; /**< one line */
};
#define PLEACH_LEFTOVER_INIT                                     \
	{                                                        \
		sizeof(struct pleach_leftover), NULL, NULL, NULL \
	}
struct pleach_leftovers;
/** Lists what is under way, what was left behind, and what recovery did of late. */
PLEACH_API int pleach_leftovers_open(struct pleach_store *store, struct pleach_leftovers **ret_list,
				     struct pleach_error *error);
PLEACH_API int pleach_leftovers_next(struct pleach_leftovers *list,
				     struct pleach_leftover *leftover, struct pleach_error *error);
PLEACH_API void pleach_leftovers_close(struct pleach_leftovers *list);
/**
 * What a transaction, or a leftover, takes of the disk that would be free without it, in bytes: files that have names
 * elsewhere, as links of objects do, do not count. `id`: all of it. Looks at so many names at most (65,536) that it can
 * be asked for each. Returns 0, or 1: it is more than that. -ENOENT (NOT_FOUND): it has ended; -EACCES: only the
 * store's owner may.
 */
PLEACH_API int pleach_leftover_size(struct pleach_store *store, const char *id, uint64_t *ret_bytes,
				    struct pleach_error *error);

/* ---- tags, pins, other paths ---------------------------------------------------------------- */

struct pleach_tag {
	size_t size;
	const char *name;
	uint64_t generation;
};
#define PLEACH_TAG_INIT                            \
	{                                          \
		sizeof(struct pleach_tag), NULL, 0 \
	}
struct pleach_tags;
/** Lists the tags of a ref, by name. -ENOENT (NOT_FOUND): no such ref. */
PLEACH_API int pleach_tags_open(struct pleach_store *store, const char *ref,
				struct pleach_tags **ret_tags, struct pleach_error *error);
PLEACH_API int pleach_tags_next(struct pleach_tags *tags, struct pleach_tag *tag,
				struct pleach_error *error);
PLEACH_API void pleach_tags_close(struct pleach_tags *tags);
/**
 * Names a generation for good. `rev` NULL: the head; else a revision of this ref (`@N` will do).
 * Atomic, durable. Returns 0, or 1: it said so already. -EEXIST: the tag names another generation and
 * `force` is 0; -EINVAL (USAGE): not a name, or it looks like a number; -ENOENT (NOT_FOUND).
 */
PLEACH_API int pleach_tag_set(struct pleach_store *store, const char *ref, const char *name,
			      const char *rev, int force, struct pleach_error *error);
/** Removes a tag. -ENOENT (NOT_FOUND): no such tag. */
PLEACH_API int pleach_tag_delete(struct pleach_store *store, const char *ref, const char *name,
				 struct pleach_error *error);

/** A claim on a placed tree by a held lock: it is not deleted, moved or reused meanwhile. */
struct pleach_pin;
/**
 * Pins `REV[:path]`; places it first where it is not (its owner alone can). The pin ends with
 * pleach_pin_close() or with the process. -EBUSY: the tree is being taken away just now;
 * -ENOENT (NOT_FOUND); -EACCES: not placed, and not the owner.
 */
PLEACH_API int pleach_pin_open(struct pleach_store *store, const char *rev,
			       struct pleach_pin **ret_pin, struct pleach_error *error);
/** Absolute path of what is pinned. Belongs to the pin. */
PLEACH_API const char *pleach_pin_path(const struct pleach_pin *pin);
/** Which revision is pinned. Its `path` is NULL. */
PLEACH_API void pleach_pin_revision(const struct pleach_pin *pin,
				    struct pleach_revision *ret_revision);
/** Lets programs started from here on hold the pin as well, until they end. */
PLEACH_API int pleach_pin_inherit(struct pleach_pin *pin, struct pleach_error *error);
PLEACH_API void pleach_pin_close(struct pleach_pin *pin);

/**
 * Publishes `rev` at `path` too: a ref follows its head, a fixed revision (`ref@N`, `ref@TAG`) stays, and
 * is kept placed until it is detached. `mode`: "symlink" (or NULL); "exchange", a real directory of its
 * own, on the store's file system, which trades places with the next one; "mount", a read-only bind mount
 * on a new or empty directory, for who may mount.
 * Atomic, durable. Returns 0, or 1: it was so already. -EEXIST: something there is not ours, or it is
 * attached in another mode; -EOPNOTSUPP, -EXDEV, -EPERM: kernel, file system or user cannot; the message
 * says why.
 */
PLEACH_API int pleach_attach(struct pleach_store *store, const char *rev, const char *path,
			     const char *mode, struct pleach_error *error);
/** Takes it away again. Returns 0, or 1: what is at `path` now is not ours and stays, the attachment is
 * forgotten. -ENOENT (NOT_FOUND): no attachment at `path`. */
PLEACH_API int pleach_detach(struct pleach_store *store, const char *path,
			     struct pleach_error *error);

/* ---- settings ------------------------------------------------------------------------------- */

struct pleach_setting {
	size_t size;
	const char *key, *value; /**< value "" where there is none */
	const char *where;	 /**< "default", "store" or "ref"; static */
	const char *meaning;	 /**< one line; static */
};
#define PLEACH_SETTING_INIT                                           \
	{                                                             \
		sizeof(struct pleach_setting), NULL, NULL, NULL, NULL \
	}
struct pleach_config;
/** Lists every setting, as it holds for `ref`, or with NULL for the store. */
PLEACH_API int pleach_config_open(struct pleach_store *store, const char *ref,
				  struct pleach_config **ret_config, struct pleach_error *error);
PLEACH_API int pleach_config_next(struct pleach_config *config, struct pleach_setting *setting,
				  struct pleach_error *error);
PLEACH_API void pleach_config_close(struct pleach_config *config);
/**
 * Sets `key` for `ref`, or with NULL as the store's default; `value` NULL: unsets it. Atomic, durable.
 * -EINVAL (USAGE): no such key, or not a value for it.
 */
PLEACH_API int pleach_config_set(struct pleach_store *store, const char *ref, const char *key,
				 const char *value, struct pleach_error *error);

/* ---- reports: lists of findings ------------------------------------------------------------- */

/** A path of a generation that is not what it was: "" is all of the generation. */
struct pleach_hurt {
	const char *ref, *path;
	uint64_t generation;
};
struct pleach_finding {
	size_t size;
	const char *kind; /**< "object", "node", "record", "tree", "placed", "public", "attached",
				"config", "tag", "metadata", ...; static */
	const char *path; /**< what it is about, relative to the store or to the checkout; absolute
				of what is attached elsewhere */
	const char *message; /**< one line */
	const char *ref;     /**< "" where none */
	uint64_t generation; /**< 0 where none */
	int is_fault;	     /**< 0: only not verified, or not restored */
	const char *id; /**< of the object, node or tree that it is about, hex; "" where none */
	const struct pleach_hurt *hurts; /**< of a fault: which generations have it, and where */
	size_t n_hurts;
	uint64_t hurts_left_out; /**< more than were listed; there are 100,000 in one report */
	int is_mended;		 /**< it was a fault, and is none any more; the message says how */
};
#define PLEACH_FINDING_INIT                                                                      \
	{                                                                                        \
		sizeof(struct pleach_finding), NULL, NULL, NULL, NULL, 0, 0, NULL, NULL, 0, 0, 0 \
	}
struct pleach_report;
PLEACH_API int pleach_report_next(struct pleach_report *report, struct pleach_finding *finding,
				  struct pleach_error *error);
PLEACH_API void pleach_report_close(struct pleach_report *report);

struct pleach_check_options {
	size_t size;
	int quick;		 /**< placed trees by metadata only */
	const char *const *refs; /**< only what these need; NULL ends; NULL: everything */
	unsigned jobs;
	int repair; /**< mend what can be; see pleach_check() */
	const char *
		from; /**< with repair: a directory, or another store, that lost content may be taken
				from; NULL: none */
};
#define PLEACH_CHECK_OPTIONS_INIT                                        \
	{                                                                \
		sizeof(struct pleach_check_options), 0, NULL, 0, 0, NULL \
	}
struct pleach_check_counts {
	size_t size;
	uint64_t objects, nodes, records, trees, placed, bytes; /**< what was verified */
	uint64_t faults, unverified;
	uint64_t mended; /**< with repair */
};
#define PLEACH_CHECK_COUNTS_INIT                                              \
	{                                                                     \
		sizeof(struct pleach_check_counts), 0, 0, 0, 0, 0, 0, 0, 0, 0 \
	}
/**
 * Verifies objects, nodes, records, placed trees, symlinks and attachments. Changes nothing.
 * Returns 0: all is well; PLEACH_PARTIAL: something could not be verified; with -EBADMSG (CORRUPT)
 * there are faults. In all three cases *ret_report lists the findings.
 *
 * With `repair` what can be mended is, and the answer is that of a check afterwards; the report begins with
 * what was mended. Lost or damaged objects and nodes are made anew from what verifies: equal content in the
 * store, placed files and directories, what `from` names; nothing else is believed. Placed trees that are not what
 * their nodes say are laid out again and the public path moved to them; lost users, directories of trees and public
 * paths are made again. What is damaged is set aside in .pleach/damaged/, and never removed. Each thing is
 * mended in one step and durable; after an error or a kill the next repair goes on. Readers and publishes
 * are not held up; -EBUSY (BUSY): a collection, or another repair, is at work. -EACCES, -EROFS: only the owner of a
 * store that can be written repairs it.
 */
PLEACH_API int pleach_check(struct pleach_store *store, const struct pleach_check_options *options,
			    struct pleach_check_counts *ret_counts,
			    struct pleach_report **ret_report, struct pleach_error *error);

struct pleach_checkout_options {
	size_t size;
	int update;	   /**< make an existing directory equal to the revision */
	int delete_others; /**< with update: remove what the revision has not */
};
#define PLEACH_CHECKOUT_OPTIONS_INIT                         \
	{                                                    \
		sizeof(struct pleach_checkout_options), 0, 0 \
	}
/**
 * Makes an ordinary copy of the directory `REV[:path]` at `directory`, which must be missing or empty.
 * Content is verified while it is copied. Made beside and renamed, so that a killed one leaves no
 * half (`update` works in place, each file replaced atomically). Durable.
 * Returns 0, or PLEACH_PARTIAL: *ret_report lists what this user could not restore; the rest is done.
 * -ENOTEMPTY: not empty, and not `update`; -EBADMSG (CORRUPT): damage, nothing was made.
 */
PLEACH_API int pleach_checkout(struct pleach_store *store, const char *rev, const char *directory,
			       const struct pleach_checkout_options *options,
			       struct pleach_report **ret_report, struct pleach_error *error);

/* ---- sharing equal files -------------------------------------------------------------------- */

struct pleach_dedup_options {
	size_t size;
	const char *
		how; /**< "link": equal files become hard links; "reflink": they share blocks. NULL:
			    reflink where the file system can, else link */
	const char
		*match; /**< what must be equal: of "content,mode,owner,mtime,xattrs", with commas;
			      content always is. NULL: all of it for links, the content for reflinks */
	int dry_run;	/**< change nothing; what is told is what would be done */
	const volatile int
		*cancel; /**< ends the call soon, with -EINTR, once it is not 0; NULL: never */
	pleach_progress_fn progress; /**< as pleach_store_set_progress(); NULL: never */
	void *progress_userdata;
	const char *
		index; /**< a directory on the same file system that gets one more name of each file, by
			      what it holds, and is asked before others are read; NULL: none. For links */
	const char *
		layout; /**< its names: "hex" (NULL): ab/cdef... of the SHA-256 of the content; "nix": of
			       that of the archive serialisation, in base32, as Nix and Guix have them */
};
#define PLEACH_DEDUP_OPTIONS_INIT                                                                \
	{                                                                                        \
		sizeof(struct pleach_dedup_options), NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL \
	}
struct pleach_dedup_result {
	size_t size;
	uint64_t files;	     /**< names of files that are not empty */
	uint64_t bytes;	     /**< their content */
	uint64_t bytes_read; /**< of the files that another one could be equal to */
	uint64_t linked;     /**< names that became hard links of an equal file */
	uint64_t reflinked;  /**< files that share their blocks with an equal one now */
	uint64_t
		bytes_saved; /**< content that is on disk no more, as far as no name elsewhere keeps it */
	uint64_t left_alone; /**< names of files that changed meanwhile or are open for writing */
	uint64_t failed;     /**< names that could not be read or replaced: those of the report */
	uint64_t indexed;    /**< new names in the index */
};
#define PLEACH_DEDUP_RESULT_INIT                                              \
	{                                                                     \
		sizeof(struct pleach_dedup_result), 0, 0, 0, 0, 0, 0, 0, 0, 0 \
	}
/**
 * Has equal files in the directories `paths` (NULL ends; everything below them, but for other file systems
 * mounted there; symlinks are not followed) share their storage. Needs no store; of a store that is met, files
 * below its `.pleach` share blocks, and are never linked.
 * Each name is replaced in one step by one with the same content, and no file is ever written to; a file that
 * changes meanwhile, or is seen to be open for writing, is left alone. Safe beside writers and other calls. What
 * a name relies on is durable before. The times of directories stay. Killed, it leaves at most a name
 * `.pleach-...` in one of `paths`, which the next call there, or above, removes. As long as it runs there may be
 * a thread of its own, which gets no signals; without, it takes longer.
 * Returns 0, or PLEACH_PARTIAL: *ret_report lists what could not be read or replaced; the rest is done.
 * -EINVAL (USAGE): an option has an unknown value; or links were asked for within a store; -EOPNOTSUPP:
 * reflinks were asked for, and the file system cannot; -ENOTDIR, -ENOENT (FAILED): one of `paths`.
 */
PLEACH_API int pleach_dedup(const char *const *paths, const struct pleach_dedup_options *options,
			    struct pleach_dedup_result *ret_result,
			    struct pleach_report **ret_report, struct pleach_error *error);

/* ---- deleting on purpose -------------------------------------------------------------------- */

struct pleach_drop_options {
	size_t size;
	int dry_run;
	int force; /**< tagged all the same: the tags go too */
	int now;   /**< do not wait for the grace */
};
#define PLEACH_DROP_OPTIONS_INIT                            \
	{                                                   \
		sizeof(struct pleach_drop_options), 0, 0, 0 \
	}
struct pleach_drop_result {
	size_t size;
	uint64_t generations; /**< dropped now, or with dry_run to be dropped */
	uint64_t trees;	      /**< trees that nothing else holds */
	uint64_t bytes;	      /**< content that only these trees name, as far as it is known */
};
#define PLEACH_DROP_RESULT_INIT                            \
	{                                                  \
		sizeof(struct pleach_drop_result), 0, 0, 0 \
	}
/**
 * Drops one generation (`ref@N`, `ref@TAG`), whose number stays taken, or a whole ref with its public
 * path and history (`ref`). Atomic, durable. Also what is damaged or lost goes, as far as its records can be read.
 * -EBUSY (BUSY): head, tagged, pinned or attached; the message says by what. -ENOENT (NOT_FOUND).
 */
PLEACH_API int pleach_drop(struct pleach_store *store, const char *rev,
			   const struct pleach_drop_options *options,
			   struct pleach_drop_result *ret_result, struct pleach_error *error);

/* ---- collecting ----------------------------------------------------------------------------- */

struct pleach_gc_options {
	size_t size;
	int dry_run;	     /**< say what would go, take nothing */
	int64_t max_time_ms; /**< end after the batch in which this is over; -1: when all is done */
	uint64_t
		room; /**< with a max-size: make room for so many bytes more, in it and on the disk */
	/** Only if it is worth it, by what was noted since the last one, which costs ten calls to know, and if nobody
	 * is at it. max_time_ms then holds for all of it, but for what is in hand. */
	int automatic;
};
#define PLEACH_GC_OPTIONS_INIT                                \
	{                                                     \
		sizeof(struct pleach_gc_options), 0, -1, 0, 0 \
	}
struct pleach_gc_result {
	size_t size;
	uint64_t
		generations; /**< that no setting keeps, or that had to make room: dropped, or with dry_run to
				be dropped; like all of these */
	uint64_t trees;	  /**< that nobody has any more, with their placings */
	uint64_t objects; /**< files' contents */
	uint64_t nodes;	  /**< directories' descriptions */
	uint64_t bytes;	  /**< of the disk, that were free by all of this, or would be, as du(1)
				counts them */
	uint64_t kept_objects; /**< that trees or open transactions need */
	uint64_t kept_nodes;
	uint64_t
		put_back; /**< taken out by a collection that was killed, or needed again meanwhile */
	uint64_t
		busy_refs; /**< whose generations were left alone, since somebody was at work on them */
	int is_complete; /**< the time sufficed */
	uint64_t
		store_size; /**< what a store with a max-size takes now, in bytes of the disk; else 0 */
	uint64_t over;	    /**< of these, what is more than max-size: nothing more can go */
};
#define PLEACH_GC_RESULT_INIT                                                       \
	{                                                                           \
		sizeof(struct pleach_gc_result), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 \
	}
/**
 * Drops the generations that the refs' settings (keep, keep-for, keep-daily, ...) keep no longer, and erases what no
 * generation, tag, attachment, pin or open transaction needs: trees that are nobody's, and the objects and nodes that
 * no tree that is left names. Safe beside everything else at any time; it waits for nobody, and who looks for
 * something while a batch is out waits for that batch alone. Killed, what it had taken out is put back by the next
 * one. Memory: 16 bytes for each object and node.
 * In a store that takes more than its max-size after that, generations are dropped whatever the rules say, those that
 * were replaced or used longest ago first, until it fits: no heads, none that is tagged, pinned, attached, the base of a
 * parked transaction or within its grace. Where these do not suffice, `over` says so, and a finding of the kind "over"
 * what stays. Memory, only then: as pleach_du_open().
 * *ret_report (may be NULL) lists generations, by `ref` and `generation`: `kind` "goes", and with dry_run all the others
 * too: "stays", by the rule that is in `message`, or "held", by whom no rule keeps. What goes to make room has the
 * message "max-size". Close it.
 * With dry_run nothing goes, nor is what killed ones left removed, and the store need not be writable.
 * Root may call it for a store of another user: the calling thread then acts on files as that user until the end,
 * and the process leaves no core meanwhile.
 * -EBUSY (BUSY): another one is at work. -EBADMSG (CORRUPT): a node is missing or damaged, and nothing was taken;
 * check the store first. -EINTR: cancelled, between batches.
 */
PLEACH_API int pleach_gc(struct pleach_store *store, const struct pleach_gc_options *options,
			 struct pleach_gc_result *ret_result, struct pleach_report **ret_report,
			 struct pleach_error *error);
/**
 * Why something is not collected. `what`: a revision (`ref@N`, `tree:HEX`), or a path with a '/' that leads into
 * `.pleach/trees`, `objects` or `nodes`. *ret_report lists who has it: a generation, a tag, an attachment, a
 * transaction, a pin, a holder (`kind`, with `ref`, `generation`, `message`); for an object or a node the trees that
 * name it, each followed by who has it. Empty: nobody, the next gc takes it, or it is not there. Close the report
 * with pleach_report_close(). -ENOENT (NOT_FOUND): no such revision; -EINVAL (USAGE): no such path.
 */
PLEACH_API int pleach_why(struct pleach_store *store, const char *what,
			  struct pleach_report **ret_report, struct pleach_error *error);

/* ---- transactions --------------------------------------------------------------------------- */

/**
 * Work on a private copy of a ref's tree, ending in a new generation or in nothing.
 *
 *	begin --spawn, edits--> begin --commit--> landed (the handle stays, for its result)
 *	                        begin --abort, close, death--> nothing remains
 *	parked: close leaves it, durable; pleach_tx_open() goes on; it ends by commit, abort or expiry
 */
struct pleach_tx;

struct pleach_tx_options {
	size_t size;
	int create;	/**< a ref that is not there begins as an empty directory */
	int optimistic; /**< hold no queue: run beside others, merge at commit */
	int serializable; /**< what spawned programs open counts as read: changed meanwhile, it conflicts */
	int64_t wait_ms; /**< for the queue: -1 as long as it takes, 0 not at all */
	/** "overlay", "snapshot", "reflink", "user-overlay", "copy", or "none" (edits by this library alone);
	 * NULL: the first of them, but "none", that does here */
	const char *workspace;
	const char *
		checkout; /**< work in this directory, made as pleach_checkout() does; NULL: in the store */
	int parked;	    /**< it survives this handle and process; implies `optimistic` */
	int64_t timeout_ms; /**< life of a parked one, from its last use on; -1: 7 days */
};
#define PLEACH_TX_OPTIONS_INIT                                                   \
	{                                                                        \
		sizeof(struct pleach_tx_options), 0, 0, 0, -1, NULL, NULL, 0, -1 \
	}

/**
 * Begins a transaction on the head of `ref`: queue, base, pin, workspace, in this order.
 * -ENOENT (NOT_FOUND): no such ref, and not `create`; -EBUSY (BUSY): the queue is not free in time, or the
 * caller is itself inside of a transaction on this ref; -EOPNOTSUPP: the workspace asked for cannot be had,
 * the message says why; -EINVAL (USAGE).
 */
PLEACH_API int pleach_tx_begin(struct pleach_store *store, const char *ref,
			       const struct pleach_tx_options *options, struct pleach_tx **ret_tx,
			       struct pleach_error *error);
/**
 * Goes on with a parked transaction. A unique beginning of its id will do. -ENOENT (NOT_FOUND): unknown or
 * expired; -EBUSY (BUSY): in use: a workspace has one writer. One that cannot be worked in any more (its checkout
 * is gone, say) opens too, to be aborted: everything else answers with what is wrong.
 */
PLEACH_API int pleach_tx_open(struct pleach_store *store, const char *id, struct pleach_tx **ret_tx,
			      struct pleach_error *error);
/**
 * Ends the handle. A parked transaction is parked again, durable, its life renewed (0, or the error that
 * kept it from being durable); any other that has not been committed is aborted. NULL is fine.
 */
PLEACH_API int pleach_tx_close(struct pleach_tx *tx, struct pleach_error *error);

struct pleach_tx_info {
	size_t size;
	const char *id, *ref;
	uint64_t base; /**< generation, 0: none */
	char base_tree[PLEACH_HEX_MAX + 1];
	const char *workspace; /**< the driver's name */
	const char *
		path; /**< absolute path of the plain directory, NULL: seen by spawned programs alone */
	const char *public_path; /**< absolute path at which spawned programs see it */
	int is_parked, is_optimistic, is_serializable;
	int64_t expires_s; /**< seconds since 1970 by the file system's clock; 0: it is not parked */
	const char *const
		*passed_over; /**< "NAME: reason" of workspaces that were not taken; NULL ends */
};
#define PLEACH_TX_INFO_INIT                                                                      \
	{                                                                                        \
		sizeof(struct pleach_tx_info), NULL, NULL, 0, {0}, NULL, NULL, NULL, 0, 0, 0, 0, \
			NULL                                                                     \
	}
/** What the transaction is. Strings belong to the handle. */
PLEACH_API void pleach_tx_describe(struct pleach_tx *tx, struct pleach_tx_info *ret_info);
/** The plain directory that it works in; NULL where only spawned programs see one. Belongs to the handle. */
PLEACH_API const char *pleach_tx_path(struct pleach_tx *tx);

struct pleach_commit_options {
	size_t size;
	const char *message;
	const char *const *meta; /**< as for pleach_publish() */
	int is_resolved; /**< what conflicts is as the transaction has it: it was mended there */
};
#define PLEACH_COMMIT_OPTIONS_INIT                                  \
	{                                                           \
		sizeof(struct pleach_commit_options), NULL, NULL, 0 \
	}
/**
 * Makes what the workspace holds the next generation: as it is if the head is still the base, else merged
 * with the head, three ways, by path. Nothing may run in the workspace. Atomic, durable. Returns as
 * pleach_publish(); nothing changed: `unchanged`.
 * -ECANCELED (CONFLICT): pleach_tx_conflict_next() tells the paths; the transaction is as it was, and may be
 * committed again, or closed. -EPERM, -EXDEV: something in it cannot be stored, by path. After another
 * failure than a conflict nothing was committed, and the workspace is as it was.
 */
PLEACH_API int pleach_tx_commit(struct pleach_tx *tx, const struct pleach_commit_options *options,
				struct pleach_publish_result *ret_result,
				struct pleach_error *error);
/** The same, and the transaction goes on from there: a checkpoint. */
PLEACH_API int pleach_tx_snapshot(struct pleach_tx *tx, const struct pleach_commit_options *options,
				  struct pleach_publish_result *ret_result,
				  struct pleach_error *error);
/** Gives it up: nothing of it remains. A checkout's directory is removed too. The handle must still be
 * closed. */
PLEACH_API int pleach_tx_abort(struct pleach_tx *tx, struct pleach_error *error);
/** Parks a transaction that was not begun so, with its workspace, as after a conflict that somebody wants to look
 * at. The handle must still be closed. */
PLEACH_API int pleach_tx_park(struct pleach_tx *tx, struct pleach_error *error);

struct pleach_conflict {
	size_t size;
	const char *path;
	/** What each side did: "added", "modified", "metadata", "removed", "type", "links", "unchanged"; of
	 * `tx` also "read". Static. */
	const char *head, *tx;
};
#define PLEACH_CONFLICT_INIT                                     \
	{                                                        \
		sizeof(struct pleach_conflict), NULL, NULL, NULL \
	}
/** The conflicts of the last commit, by path: 1 and the next one, 0 at the end (then from the start again). */
PLEACH_API int pleach_tx_conflict_next(struct pleach_tx *tx, struct pleach_conflict *conflict);
/** What the transaction changed so far, against its base: pleach_diff_next(), pleach_diff_close(), before the
 * transaction is closed. */
PLEACH_API int pleach_tx_diff(struct pleach_tx *tx, struct pleach_diff **ret_diff,
			      struct pleach_error *error);

struct pleach_txs;
struct pleach_tx_status {
	size_t size;
	struct pleach_tx_info info;
	const char *state; /**< "open", "parked", "expired"; static */
};
#define PLEACH_TX_STATUS_INIT                                              \
	{                                                                  \
		sizeof(struct pleach_tx_status), PLEACH_TX_INFO_INIT, NULL \
	}
/** Lists the transactions that are open or parked. */
PLEACH_API int pleach_txs_open(struct pleach_store *store, struct pleach_txs **ret_txs,
			       struct pleach_error *error);
PLEACH_API int pleach_txs_next(struct pleach_txs *txs, struct pleach_tx_status *status,
			       struct pleach_error *error);
PLEACH_API void pleach_txs_close(struct pleach_txs *txs);

/* Programs in a transaction */

struct pleach_process;
struct pleach_spawn_options {
	size_t size;
	const char *
		directory; /**< where it starts; NULL: the caller's, in the workspace if it lies there */
	/** "NAME=VALUE", NULL ends; NULL: the caller's. PLEACH_STORE (absolute), PLEACH_REF, PLEACH_TX,
	 * PLEACH_PATH and PLEACH_BASE are set in it. */
	const char *const *env;
	int stdio[3]; /**< descriptors for its 0, 1 and 2; negative: the caller's */
};
#define PLEACH_SPAWN_OPTIONS_INIT                                \
	{                                                        \
		sizeof(struct pleach_spawn_options), NULL, NULL, \
		{                                                \
			-1, -1, -1                               \
		}                                                \
	}
/**
 * Starts a program that finds the workspace at the ref's public path and at every path where the ref is attached.
 * It runs in a mount and PID namespace of its own (and, of an ordinary user, a user namespace), in the
 * caller's process group. One at a time, until it is closed: -EBUSY. -EPERM, -EOPNOTSUPP: such namespaces cannot be
 * had here; the message says what forbids it.
 */
PLEACH_API int pleach_tx_spawn(struct pleach_tx *tx, char *const argv[],
			       const struct pleach_spawn_options *options,
			       struct pleach_process **ret_process, struct pleach_error *error);
enum pleach_process_what {
	PLEACH_PROCESS_EXITED = 1,   /**< value: its status; all that it left behind is gone too */
	PLEACH_PROCESS_SIGNALED = 2, /**< value: the signal that ended it; the same */
	PLEACH_PROCESS_STOPPED =
		3, /**< value: the signal. Stop as well, then pleach_process_resume() */
	PLEACH_PROCESS_NO_EXEC = 4 /**< value: the errno that kept it from being executed */
};
struct pleach_process_event {
	size_t size;
	enum pleach_process_what what;
	int value;
};
#define PLEACH_PROCESS_EVENT_INIT                                             \
	{                                                                     \
		sizeof(struct pleach_process_event), PLEACH_PROCESS_EXITED, 0 \
	}
/** A descriptor that is readable when pleach_process_wait() would not wait. */
PLEACH_API int pleach_process_fd(const struct pleach_process *process);
/**
 * Waits for the next event. -EINTR: a signal handler ran. After an end it says the same again. -EXDEV: the program has
 * ended with status 0, and has left something mounted in the workspace, which has not become a part of it.
 */
PLEACH_API int pleach_process_wait(struct pleach_process *process,
				   struct pleach_process_event *ret_event,
				   struct pleach_error *error);
/** Sends a signal to the program. */
PLEACH_API int pleach_process_signal(struct pleach_process *process, int signal,
				     struct pleach_error *error);
/** Has a stopped program go on; `foreground`: its process group gets the terminal. */
PLEACH_API int pleach_process_resume(struct pleach_process *process, int foreground,
				     struct pleach_error *error);
/** Ends what still runs, all of it, and waits for that; what was mounted for it is gone when the transaction ends or
 * is parked, or the next program starts. NULL is fine. */
PLEACH_API void pleach_process_close(struct pleach_process *process);
/**
 * Is the caller inside of a spawned program of a transaction on `ref`? 1 and its id (32 bytes are enough), or 0.
 * The lock of the transaction and the mounts are looked at; nothing else is believed.
 */
PLEACH_API int pleach_tx_inside(struct pleach_store *store, const char *ref, char ret_id[32],
				struct pleach_error *error);

/*
 * Edits without any program. Paths are relative to the root of the tree; what is above them must be there
 * and a directory (-ENOENT, -ENOTDIR), symlinks are not followed. With a workspace of "none", or one that is
 * a plain directory; else -EOPNOTSUPP. Each is done or not; nothing is durable before the commit.
 * A directory that gains or loses a name gets the time of now, as a plain one does.
 */

/** Metadata to be set; what `set` does not name stays, or for new things is: mode 0644 (0755), the caller's
 * owner, the time of now. */
struct pleach_metadata {
	size_t size;
	unsigned set;  /**< PLEACH_SET_... */
	uint32_t mode; /**< 07777 */
	uint32_t uid, gid;
	int64_t mtime_s;
	uint32_t mtime_ns;
	const struct pleach_xattr *xattrs; /**< with PLEACH_SET_XATTRS: all there shall be */
	size_t n_xattrs;
};
#define PLEACH_SET_MODE	  1u
#define PLEACH_SET_OWNER  2u
#define PLEACH_SET_MTIME  4u
#define PLEACH_SET_XATTRS 8u
#define PLEACH_METADATA_INIT                                              \
	{                                                                 \
		sizeof(struct pleach_metadata), 0, 0, 0, 0, 0, 0, NULL, 0 \
	}
/** The file `path` has this content; made, or replaced (also another file, not a directory: -EISDIR). */
PLEACH_API int pleach_tx_put(struct pleach_tx *tx, const char *path, const void *data,
			     size_t length, const struct pleach_metadata *metadata,
			     struct pleach_error *error);
/** The same with what is read from `fd`, from where it stands to its end. The descriptor stays the caller's. */
PLEACH_API int pleach_tx_put_fd(struct pleach_tx *tx, const char *path, int fd,
				const struct pleach_metadata *metadata, struct pleach_error *error);
/** -EEXIST: there is something. */
PLEACH_API int pleach_tx_mkdir(struct pleach_tx *tx, const char *path,
			       const struct pleach_metadata *metadata, struct pleach_error *error);
/** Made, or replaced as a file is. */
PLEACH_API int pleach_tx_symlink(struct pleach_tx *tx, const char *path, const char *target,
				 const struct pleach_metadata *metadata,
				 struct pleach_error *error);
/** Gives the file `path` the second name `link`. -EEXIST. */
PLEACH_API int pleach_tx_link(struct pleach_tx *tx, const char *path, const char *link,
			      struct pleach_error *error);
/** Removes the path and all below it. -ENOENT (NOT_FOUND): nothing is there. */
PLEACH_API int pleach_tx_remove(struct pleach_tx *tx, const char *path, struct pleach_error *error);
/** As rename(2): replaces a file, or an empty directory by a directory. */
PLEACH_API int pleach_tx_rename(struct pleach_tx *tx, const char *from, const char *to,
				struct pleach_error *error);
/** Sets metadata of what is there ("" is the root). */
PLEACH_API int pleach_tx_set_metadata(struct pleach_tx *tx, const char *path,
				      const struct pleach_metadata *metadata,
				      struct pleach_error *error);

/** A generation that is held for reading: a pin, and a descriptor of its directory. */
struct pleach_reader;
/** Opens `REV`; places it first where it is not. Any number may be open. Errors as pleach_pin_open(). */
PLEACH_API int pleach_reader_open(struct pleach_store *store, const char *rev,
				  struct pleach_reader **ret_reader, struct pleach_error *error);
/** The directory, for openat(2) and its like. Belongs to the reader. */
PLEACH_API int pleach_reader_fd(const struct pleach_reader *reader);
PLEACH_API const char *pleach_reader_path(const struct pleach_reader *reader);
PLEACH_API void pleach_reader_revision(const struct pleach_reader *reader,
				       struct pleach_revision *ret_revision);
PLEACH_API void pleach_reader_close(struct pleach_reader *reader);

#ifdef __cplusplus
}
#endif

#endif
