/*
 * ref - a store and what is recorded in it: opening and making stores, settings, self-checking texts,
 * generation records, heads, the public path, tags, attachments, users of trees, pins, revisions,
 * and tx directories with their locks and claims. The format is that of docs/format.md.
 *
 * Locks (DESIGN: "Locks"): order tx, queue, ref, collector; pins are only tried.
 */
#ifndef PL_REF_H
#define PL_REF_H

#include "base/base.h"
#include "object/object.h"
#include "sys/sys.h"
#include "tree/tree.h"

/* ---- settings.c ---- */

enum pl_share { PL_SHARE_NAMES, PL_SHARE_CONTENT };
enum pl_recycle { PL_RECYCLE_MOVE, PL_RECYCLE_EDIT, PL_RECYCLE_OFF };

/** What the settings of a ref (or the store's defaults) come to. */
struct pl_settings {
	uint64_t keep; /* UINT64_MAX: all */
	uint64_t keep_for_ms, keep_hourly, keep_daily, keep_weekly,
		keep_monthly; /* 0: keep nothing */
	uint64_t keep_placed, spares, grace_ms;
	uint64_t max_size; /* bytes; UINT64_MAX: no limit. Of the store's own settings alone */
	enum pl_recycle recycle;
	enum pl_rule metadata;
	enum pl_share share; /* already as `metadata` has it where it is not set */
	bool durable, auto_gc;
};
/** One key: its name, default and meaning; the table of CLI.md "Settings", all keys. */
struct pl_setting_key {
	const char *name, *fallback, *meaning; /* fallback "" where there is none */
	int (*validate)(const char *value);    /* 0 or -EINVAL */
};
extern const struct pl_setting_key pl_setting_keys[];
extern const size_t pl_setting_keys_n;

/** KEY=VALUE pairs that were set somewhere, sorted by key. */
struct pl_values {
	struct pl_strings keys, values;
};
void pl_values_done(struct pl_values *values);
const char *pl_values_get(const struct pl_values *values, const char *key); /* NULL: not set */
/** Sets, or with NULL removes. -EINVAL with a USAGE error: no such key, or a value that is none. */
int pl_values_set(struct pl_values *values, const char *key, const char *value,
		  struct pleach_error *error);
/** A `pleach-settings 1` text: 0, or -EBADMSG, -EPROTONOSUPPORT, -ENOMEM. (ref_config.c) */
int pl_values_decode(const void *data, size_t length, struct pl_values *ret_values);
/** The effective settings: ref's values (may be NULL) over the store's over the defaults. */
int pl_settings_resolve(const struct pl_values *store, const struct pl_values *ref,
			struct pl_settings *ret_settings, struct pleach_error *error);

/** Appends a "set KEY VALUE" line for each. */
struct pl_text;
void pl_values_add_to_text(const struct pl_values *values, struct pl_buffer *b);
/** Takes all "set" lines that come next. 0; -EBADMSG (CORRUPT): unsorted, an unknown key, no value. */
int pl_values_read_text(struct pl_text *text, struct pl_values *ret_values,
			struct pleach_error *error);

/* ---- text.c: self-checking texts (format.md "Texts") ---- */

#define PL_TEXT_MAX (1u << 20)
/** Appends "key value\n", the value escaped. */
void pl_text_add(struct pl_buffer *b, const char *key, const char *value);
void pl_text_add_number(struct pl_buffer *b, const char *key, uint64_t value);
void pl_text_add_id(struct pl_buffer *b, const char *key, const struct pl_id *id);
void pl_text_add_time(struct pl_buffer *b, const char *key, int64_t s, uint32_t ns);
/** The first and the last second that a text can say: of the years 1 and 9999. */
#define PL_TIME_MIN INT64_C(-62135596800)
#define PL_TIME_MAX INT64_C(253402300799)
/** "YYYY-MM-DDThh:mm:ss.nnnnnnnnnZ"; times before the year 1 or after 9999 become these ends. */
#define PL_TIME_TEXT 31
void pl_time_text(int64_t s, uint32_t ns, char ret_text[PL_TIME_TEXT]);
/** Appends the sum line over all that is there. */
void pl_text_end(struct pl_buffer *b);
/** A new file with the bytes of `b` and just this mode, whatever the umask is; fsynced if `sync`. */
int pl_text_write(int dirfd, const char *name, mode_t mode, const struct pl_buffer *b, bool sync);

/** A text being read: verified first, then taken key by key, in order. */
struct pl_text {
	const char *data;
	size_t length, offset;
	struct pl_buffer value; /* of the last key, unescaped, NUL-terminated */
	bool failed;		/* something expected was not there, or a line breaks a rule */
	uint64_t version;	/* that of the first line; also after -EPROTONOSUPPORT */
};
/**
 * Verifies the sum and the first line "kind version" (`kind` as it stands there: "pleach-tag"). 0; -EBADMSG: not a text, damaged, or other kind;
 * -EPROTONOSUPPORT: a higher version. `data` must outlive the text.
 */
int pl_text_open(struct pl_text *text, const void *data, size_t length, const char *kind,
		 unsigned version);
void pl_text_done(struct pl_text *text);
/** The value of the next line if its key is `key`, else NULL and nothing is consumed. */
const char *pl_text_next(struct pl_text *text, const char *key);
/** The same, which must be there: otherwise "" and text->failed. */
const char *pl_text_get(struct pl_text *text, const char *key);
uint64_t pl_text_get_number(struct pl_text *text, const char *key);
void pl_text_get_id(struct pl_text *text, const char *key, struct pl_id *ret_id);
void pl_text_get_time(struct pl_text *text, const char *key, int64_t *ret_s, uint32_t *ret_ns);
/** 0 if all was consumed and nothing failed, else -EBADMSG. */
int pl_text_close(struct pl_text *text);

/* ---- init.c, store.c, nodes.c ---- */

struct pl_store {
	int root_fd; /* the directory that the user named */
	int fd;	     /* .pleach in it */
	int objects_fd, nodes_fd, trees_fd, refs_fd, tx_fd, trash_fd,
		cache_fd;	    /* -EBADF: may not */
	char *path;		    /* absolute, of the root */
	uid_t uid;		    /* the one writer */
	bool is_owner, is_writable; /* we are that user; and the file system is not read-only */
	struct pl_fs fs;
	struct pl_values values;     /* the store's settings as set */
	struct pl_settings settings; /* as they come to */
	uint64_t seed;		     /* of maps */
	struct pl_node_memory memory;
	bool has_batch_out;  /* by this handle (gc/trash.c) */
	int64_t deadline_ms; /* of an automatic collection, by the monotonic clock; 0: none */
	uint64_t
		wanted; /* bytes that there was no room for below max-size (gc/growth.c); 0: none */
	bool is_measured; /* nothing more can go, by a collection just now (api/making_room.c) */
	volatile int cancelled;
	pleach_progress_fn progress;
	void *progress_userdata;
	uint64_t progress_last;
};
int pl_store_init(const char *dir, const struct pleach_init_options *options,
		  struct pleach_error *error); /* as pleach_store_init() */
int pl_store_open(const char *dir, struct pl_store **ret_store, struct pleach_error *error);
void pl_store_close(struct pl_store *store);
/** The file system's clock. `may_guess`: where it cannot be written to, by which that is read, the machine's, which is
 * good enough to look and not to remove by. An error has no text. */
int pl_store_clock(const struct pl_store *store, bool may_guess, struct timespec *ret_now);
/** Files and directories are synced one by one, not all at once. */
bool pl_store_must_fsync(const struct pl_store *store);
/** All at once, where that is so; else nothing. `fd`: any of the store, opened before what is to be synced was
 * written. */
int pl_store_sync_all(const struct pl_store *store, int fd);
/** -EACCES with its text, unless we are the writer; -EROFS on a read-only file system. */
int pl_store_must_write(const struct pl_store *store, struct pleach_error *error);
/** -EACCES "only its owner may", unless nodes and objects can be read. */
int pl_store_must_read(const struct pl_store *store, struct pleach_error *error);
/** Was the handle cancelled? By any thread. */
static inline bool pl_store_is_cancelled(const struct pl_store *store)
{
	return __atomic_load_n(&store->cancelled, __ATOMIC_RELAXED) != 0;
}
/** -EINTR once the handle was cancelled; -ETIMEDOUT (BUSY) once the deadline is over. Call it in every long loop. */
int pl_store_check_cancel(const struct pl_store *store, struct pleach_error *error);
/** Is it to stop, for either reason? Then pl_store_check_cancel() says which. */
bool pl_store_must_stop(const struct pl_store *store);
/** Tells progress now and then. */
void pl_store_progress(struct pl_store *store, const char *phase, uint64_t done, uint64_t total,
		       uint64_t bytes);
/** The directory of objects ('o') or of nodes ('n'). */
static inline int pl_store_pool(const struct pl_store *store, char kind)
{
	return kind == 'o' ? store->objects_fd : store->nodes_fd;
}
/**
 * Opens an object ('o') or a node ('n') that must be there. What is missing is looked for in what collectors have
 * taken out, linked back, and looked for once more when no batch is out. -ENOENT: it is missing. (lookup.c)
 */
int pl_store_find(struct pl_store *store, char kind, const struct pl_id *id);
/**
 * Does `work`, which takes things away, or ends what cannot be taken back; where the disk is full the reserve is given up for it, and it is done once
 * more. What `work` answers. (reserve.c)
 */
int pl_store_with_reserve(struct pl_store *store,
			  int (*work)(void *self, struct pleach_error *error), void *self,
			  struct pleach_error *error);
/** The store's nodes. `self` is the store. Reads nodes/, verified, or from the store's memory. */
struct pl_node_source pl_store_nodes(struct pl_store *store);
/** Writes the store's values back to config, atomically and durably. Must hold nothing. */
int pl_store_write_config(struct pl_store *store, struct pleach_error *error);
/** The text of a store's config. 0, -E2BIG, -ENOMEM. */
int pl_store_encode_config(uid_t uid, const struct pl_values *values, struct pl_buffer *b);
/** fsync of a directory or file if the store is durable; -> 0. */
int pl_store_sync(const struct pl_store *store, int fd);
/** Makes what is missing of the reserve in `dirfd`, .pleach: 1 MiB that no file system can keep in less, synced, and
 * inodes. */
int pl_store_make_reserve(int dirfd);

/* ---- lockdir.c: a directory with a file `lock` in it that is held while the directory is in use ---- */

struct pl_lockdir {
	int fd, lock_fd;
};
#define PL_LOCKDIR_NONE                         \
	{                                       \
		.fd = -EBADF, .lock_fd = -EBADF \
	}
/** Makes and locks one, mode 0700. -EEXIST: name taken; -ESTALE: taken for dead meanwhile, use another. */
int pl_lockdir_make(int parent_fd, const char *name, struct pl_lockdir *ret_dir);
/**
 * 1: whoever made it is dead, and it is locked by us now. 0: it is held, or gone, or one that has no
 * lock file, which was removed if it was empty. Errors: of locking only.
 */
int pl_lockdir_take(int parent_fd, const char *name, struct pl_lockdir *ret_dir);
/** The same below .pleach/, where one that has something in it and no lock file is dead, too: a power cut has taken
 * that. */
int pl_lockdir_take_in_store(int parent_fd, const char *name, struct pl_lockdir *ret_dir);
/** Removes it and all in it, the lock last, and unlocks it. 0 or the first error; it is closed anyway. */
int pl_lockdir_erase(int parent_fd, const char *name, struct pl_lockdir *dir);
void pl_lockdir_close(struct pl_lockdir *dir); /* unlocks */

/* ---- beside.c: unfinished things outside the store ---- */

/**
 * A directory `.pleach-<random>` beside a destination, in which something is made whole before it is
 * renamed to where it belongs. It is locked while in use, so that the next one to come by knows which
 * are dead. What is made in it inherits no ACL and no group from where it lies.
 */
struct pl_beside {
	int parent_fd; /* the caller's */
	struct pl_lockdir dir;
	char name[40];
};
#define PL_BESIDE_NONE                                      \
	{                                                   \
		.parent_fd = -EBADF, .dir = PL_LOCKDIR_NONE \
	}
/** Is it the name of one? */
bool pl_beside_is_name(const char *name);
/** Removes the dead ones of this user in a directory; best effort. 0, or an error of listing it. */
int pl_beside_sweep(int parent_fd);
/** Removes the dead ones first. `parent_fd` stays the caller's, and open until the end. */
int pl_beside_begin(int parent_fd, struct pl_beside *ret_beside);
/** Removes it and all that is still in it. Nothing for PL_BESIDE_NONE, and a second time. */
void pl_beside_end(struct pl_beside *beside);

/* ---- txdir.c: a directory below tx/ for everything unfinished ---- */

/*
 * States: none --mkdir--> unlocked --lock made and taken--> held --erased, lock last--> none.
 * A held one whose process died is `dead` to whoever gets its lock; without a lock file it may be
 * rmdir'ed by anybody, and then its creator begins again.
 */
struct pl_txdir {
	struct pl_store *store;
	char id[25];
	int fd, lock_fd, claims_fd; /* claims_fd: -EBADF until the first claim */
	int sync_fd;		    /* opened before anything is written, for syncfs */
	unsigned serial;	    /* for names inside */
};
/** Makes and locks one. `what`: one line for status, kept in the file `what` ("publish site"). */
int pl_txdir_begin(struct pl_store *store, const char *what, struct pl_txdir *ret_tx,
		   struct pleach_error *error);
/** Erases it, the lock last, and unlocks. Never fails loudly: what it leaves, recovery removes. */
void pl_txdir_end(struct pl_txdir *tx);
/** Unique name inside: PREFIX and a number. */
void pl_txdir_name(struct pl_txdir *tx, const char *prefix, char ret_name[32]);
/**
 * Appends (kind, id) to claims, before the name is looked at. kind 'o', 'n' or 't'. By one thread at a
 * time. Once one failed, every later one fails too. On a file system that is not local each costs an
 * fsync, so that a collector elsewhere sees it.
 */
int pl_txdir_claim(struct pl_txdir *tx, char kind, const struct pl_id *id,
		   struct pleach_error *error);
/** The same of several at once, at most so many: one write, and one fsync. */
#define PL_CLAIMS_AT_ONCE 64
int pl_txdir_claim_all(struct pl_txdir *tx, char kind, const struct pl_id *ids, size_t n,
		       struct pleach_error *error);
/** All that `from` has claimed is claimed by `to` as well, which may outlive it. */
int pl_txdir_keep_claims(struct pl_txdir *from, struct pl_txdir *to, struct pleach_error *error);
/**
 * Calls `fn` for each whole claim of each directory below tx/, held, parked or dead, as they are read: opened
 * afresh. What `fn` answers below 0 ends it. The collector's look (gc/needed.c).
 */
typedef int (*pl_claim_fn)(void *self, char kind, const struct pl_id *id,
			   struct pleach_error *error);
int pl_txdir_each_claim(struct pl_store *store, pl_claim_fn fn, void *self,
			struct pleach_error *error);
/**
 * One round of sync for all that was written since it began: syncfs where that is a barrier, else
 * nothing (the writers have fsynced each file and directory). 0 or the error, which is final.
 */
int pl_txdir_sync(struct pl_txdir *tx, struct pleach_error *error);
/** Must each written file and directory be fsynced by who wrote it? */
bool pl_txdir_must_fsync(const struct pl_txdir *tx);
/** Finishes or removes what dead processes left in tx/. Counts them; appends to the log of events. */
int pl_txdir_recover(struct pl_store *store, const struct pl_txdir *own, unsigned *ret_n,
		     struct pleach_error *error);
/**
 * A parked one is held by nobody and all the same not dead, until `deadline` by the file system's clock,
 * which is the mtime of the file `parked` in it. What it holds must be durable before. It stays held.
 */
int pl_txdir_park(struct pl_txdir *tx, const struct timespec *deadline, struct pleach_error *error);
/** It is a dead one now as soon as it is not held: before anything that it holds is taken away. Best effort. */
void pl_txdir_unpark(struct pl_txdir *tx);
/** Closes one without erasing it: a parked one stays, any other is dead. (txdir.c) */
void pl_txdir_leave(struct pl_txdir *tx);
/**
 * Takes the parked one whose id begins with `id`, of which its length is at least 1 (txdir_recover.c).
 * -ENOENT (NOT_FOUND): none, or its time is over; -EINVAL (USAGE): more than one; -EBUSY: it is held.
 */
int pl_txdir_open_parked(struct pl_store *store, const char *id, struct pl_txdir *ret_tx,
			 struct pleach_error *error);
/** 1 if it is parked, and its deadline; 0 if not. `fd`: of the directory. */
int pl_txdir_deadline(int fd, struct timespec *ret_deadline);
/** Lists tx directories: 1 and the next, 0 at the end. */
struct pl_txdir_info {
	char id[25];
	char what[256];
	enum { PL_TX_OPEN, PL_TX_DEAD, PL_TX_PARKED, PL_TX_EXPIRED } state;
};
int pl_txdir_list(struct pl_store *store, struct pl_txdir_info **ret_infos, size_t *ret_n,
		  struct pleach_error *error); /* *ret_infos is the caller's to free() */
/** Appends one line, with the time in front, to cache/events (kept under 64 KiB). Best effort. `tx_id`: the
 * transaction that it is about; NULL: none. */
void pl_event_add(struct pl_store *store, const char *tx_id, const char *format, ...)
	PL_PRINTF(3, 4);
/** The lines of cache/events, oldest first: "<time> [<id> ]<text>". */
int pl_event_list(struct pl_store *store, struct pl_strings *ret_lines);
/** Takes the id out of a line: *ret_id, "" if it is about no transaction. */
void pl_event_take_id(char *line, char ret_id[25]);

/* ---- tx_note.c: what a transaction is, tx/<id>/transaction ---- */

struct pl_tx_note {
	char ref[PLEACH_REF_MAX + 1], ref_id[25];
	uint64_t base;		/* generation, 0: none */
	struct pl_id base_tree; /* what the workspace was made from */
	unsigned k;		/* its placing: a workspace may need just that one; 0: none */
	struct pl_id
		merged_tree; /* what the next merge begins from: base_tree, or what was committed last */
	char workspace[32]; /* driver, or "none" */
	char *path;	    /* absolute, of a workspace that is a plain directory; else NULL */
	char *checkout;	    /* the same, where the user named it; else NULL */
	struct pl_identity checkout_identity; /* of that directory */
	bool is_optimistic, is_serializable;
	uint64_t timeout_ms; /* life of a parked one */
	/* A commit of it that may have been killed: behind this head, with this tree, made of the workspace's. */
	bool has_landing;
	uint64_t landing_head;
	struct pl_id landing_tree, landing_of;
};
void pl_tx_note_done(struct pl_tx_note *note);
/** Replaces the one that is there; made durable if `sync`. */
int pl_tx_note_write(struct pl_txdir *tx, const struct pl_tx_note *note, bool sync,
		     struct pleach_error *error);
/** `fd`: of tx/<id>. -ENOENT without a text: it is no transaction of a user; -EBADMSG, -EPROTONOSUPPORT. */
int pl_tx_note_read(int fd, const char *id, struct pl_tx_note *ret_note,
		    struct pleach_error *error);
struct pl_ref;
/** 1 and an id: a transaction on this ref is open or parked; 0: none. The one with the id `but` (NULL: none)
 * and parked ones whose time is over do not count; with `may_run`, only open ones that have got a workspace
 * for programs (one that waits in the queue has none yet). */
int pl_tx_note_find(struct pl_ref *ref, const char *but, bool may_run, char ret_tx_id[25],
		    struct pleach_error *error);

/* ---- record.c: generations ---- */

struct pl_record {
	char ref[PLEACH_REF_MAX + 1], ref_id[25];
	uint64_t generation, parent;
	struct pl_id tree;
	char kind[16]; /* publish, rollback, run, merge, dropped */
	int64_t time_s;
	uint32_t time_ns;
	uint64_t uid;
	char user[256], host[256];
	uint64_t added, modified, removed, bytes_new;
	char *message;		/* NULL: none */
	struct pl_strings meta; /* KEY=VALUE */
};
void pl_record_done(struct pl_record *record);
/** 0, -ENOMEM; -E2BIG: the message is above PL_MESSAGE_MAX, or all of it above PL_RECORD_MAX; -EINVAL: a
 * `meta` that is not KEY=VALUE. */
#define PL_MESSAGE_MAX 65536u
#define PL_RECORD_MAX  (256u << 10)
int pl_record_encode(const struct pl_record *record, struct pl_buffer *b);
/** 0, -EBADMSG, -EPROTONOSUPPORT. */
int pl_record_decode(const void *data, size_t length, struct pl_record *ret_record);
/** Time now, uid, user name and host of this process. */
void pl_record_stamp(struct pl_record *record);

/* ---- retention.c: which generations the settings keep; pure ---- */

/** Why a generation is kept; the numbers are bits of pl_retained.rules. */
enum pl_retention_rule {
	PL_RETAIN_HEAD,
	PL_RETAIN_TAG,
	PL_RETAIN_KEEP, /* of the newest N, or `all` */
	PL_RETAIN_FOR,
	PL_RETAIN_HOURLY, /* this and the rest: the newest of one of the last N */
	PL_RETAIN_DAILY,
	PL_RETAIN_WEEKLY,
	PL_RETAIN_MONTHLY,
	PL_RETAIN_N
};
/** A generation that is there, as far as retention needs to know it. */
struct pl_retained {
	uint64_t generation;
	int64_t time_s; /* of its record */
	uint32_t time_ns;
	bool is_dropped;     /* counts for nothing, and no rule keeps it */
	const char *tags;    /* "v1, v2"; NULL: none. The caller's */
	unsigned char rules; /* what pl_retention_decide() says: those that keep it; 0: it may go */
};
/**
 * Says of each of `items`, which are sorted by number, by which rules of `settings` it is kept. `head` is the
 * number of the head, `now` what the clock says. 0, or -ENOMEM.
 */
int pl_retention_decide(struct pl_retained *items, size_t n, uint64_t head,
			const struct pl_settings *settings, const struct timespec *now);
/** Appends the rules for people: "head, tag v1, keep=10, keep-daily=7: newest of 2026-11-20"; or "no rule
 * keeps it", "dropped". */
void pl_retention_explain(const struct pl_retained *item, const struct pl_settings *settings,
			  struct pl_buffer *b);
/** May any generation be dropped at all by these settings? */
static inline bool pl_retention_may_drop(const struct pl_settings *settings)
{
	return settings->keep != UINT64_MAX;
}
/** A generation that could go to make room. */
struct pl_evictable {
	uint64_t generation, ref; /* `ref`: whatever the caller counts refs by */
	struct timespec used;	  /* when it was replaced or used last, whichever was later */
};
/** Sorts them in the order in which they go: what was replaced or used longest ago first; of equal times
 * lower numbers first, then lower refs. */
void pl_retention_order(struct pl_evictable *items, size_t n);

/* ---- refs.c ---- */

/** An open ref. */
struct pl_ref {
	struct pl_store *store;
	char name[PLEACH_REF_MAX + 1];
	char id[25];
	int fd; /* refs/<name> */
	int gen_fd;
	int lock_fd; /* -EBADF unless the ref lock is held */
	struct pl_values values;
	struct pl_settings settings;
};
/** What has this name in refs/ is no ref, nor what is left of one. False: it is, or there is nothing, or that cannot be
 * told. (stranger.c) */
bool pl_ref_is_stranger(const struct pl_store *store, const char *name);
/** 0; -ENOENT (NOT_FOUND) if there is none, or it is dropped; -EINVAL (USAGE): not a name; -EBADMSG (CORRUPT): its id
 * or its settings cannot be read. */
int pl_ref_open(struct pl_store *store, const char *name, struct pl_ref *ret_ref,
		struct pleach_error *error);
/** The same, made where it is missing: whole in tx, then renamed; durable. */
int pl_ref_open_or_create(struct pl_txdir *tx, const char *name, struct pl_ref *ret_ref,
			  struct pleach_error *error);
/** ref->id, of one of which only `fd` is open. 0; -EBADMSG: it is none; errors of reading. */
int pl_ref_read_id(struct pl_ref *ref);
void pl_ref_close(struct pl_ref *ref); /* also unlocks */
/** What is damaged of a ref: says at which path, and what to do. */
void pl_ref_hint_damaged(struct pleach_error *error, const char *ref, const char *name);
/** 1: its name leads to what is open. 0: it was dropped, and what is open is being erased. */
int pl_ref_is_current(const struct pl_ref *ref);
/** Names of all refs, sorted; those without a generation too. Files of strangers are passed over; of a directory it is
 * seen when it is opened, which answers -ENOENT. */
int pl_ref_list(struct pl_store *store, struct pl_strings *ret_names, struct pleach_error *error);
/** Calls `fn` with each ref in turn, opened, until it says less than 0; one that is dropped meanwhile is passed over.
 * Can be cancelled. 0 or the error. */
typedef int (*pl_ref_fn)(void *self, struct pl_ref *ref, struct pleach_error *error);
int pl_ref_each(struct pl_store *store, pl_ref_fn fn, void *self, struct pleach_error *error);
/** The ref with this id: 1 and opened, or 0; -EBADMSG (CORRUPT): none of those that can be read. `likely` (may be NULL) is looked at first, and opened anew. */
int pl_ref_find_id(struct pl_store *store, const char *ref_id, const struct pl_ref *likely,
		   struct pl_ref *ret_ref, struct pleach_error *error);
/** Takes the ref lock; after it the name still leads to what was locked (else -ESTALE). Waits at most
 * `timeout_ms` (-1: for ever): -EBUSY. */
int pl_ref_lock(struct pl_ref *ref, int64_t timeout_ms, struct pleach_error *error);
/** 1: taken, 0: busy. */
int pl_ref_try_lock(struct pl_ref *ref, struct pleach_error *error);
void pl_ref_unlock(struct pl_ref *ref);
int pl_ref_write_config(struct pl_ref *ref, struct pleach_error *error);
bool pl_ref_is_locked(const struct pl_ref *ref);

/* ---- queue.c: transactions on one ref, first come, first served ---- */

/** A place in refs/<ref>/queue/, held by a lock. */
struct pl_ticket {
	int fd; /* of the ticket, locked; -EBADF: none */
	int queue_fd;
	uint64_t number;
};
#define PL_TICKET_NONE                           \
	{                                        \
		.fd = -EBADF, .queue_fd = -EBADF \
	}
/** Queues up. 1: nobody is before. 0: they are to be waited for; also then the ticket is the caller's to leave.
 * Order of locks: after tx, before the ref, whose lock must not be held: it is taken for a moment. */
int pl_queue_enter(struct pl_ref *ref, struct pl_txdir *tx, struct pl_ticket *ret_ticket,
		   struct pleach_error *error);
/** Waits until everybody before is done, `wait_ms` at most (-1: as long as it takes), telling progress of the phase
 * "wait". -EBUSY: not in time; -EINTR. */
int pl_queue_wait(struct pl_ref *ref, const struct pl_ticket *ticket, int64_t wait_ms,
		  struct pleach_error *error);
/** Makes room for the next. Fine for none. */
void pl_queue_leave(struct pl_ticket *ticket);
/** How many hold a ticket or wait, as far as this user may see. */
int pl_queue_count(struct pl_ref *ref, uint64_t *ret_n);

/* ---- head.c ---- */

/** Number of the newest record, 0: none. By galloping from a hint in cache/, which is renewed. */
int pl_head_number(struct pl_ref *ref, uint64_t *ret_n, struct pleach_error *error);
/** The highest number that a record has, by listing, 0: none. Not the head, but as good to look at what is left of a
 * ref with a hole in it. */
uint64_t pl_head_listed(const struct pl_ref *ref);
/** 1: there is a record n; 0: there is none. An error has no text. */
int pl_generation_exists(const struct pl_ref *ref, uint64_t n);
/** That the record behind what looks like the head is missing: -EBADMSG, and its text. */
int pl_head_fail_hole(const struct pl_ref *ref, uint64_t head, struct pleach_error *error);
/** Reads and verifies record n, that it is of this ref and number. -ENOENT (NOT_FOUND); -EBADMSG. */
int pl_generation_read(struct pl_ref *ref, uint64_t n, struct pl_record *ret_record,
		       struct pleach_error *error);
/** The same of one up to the head, whose record must be there: a missing one is -EBADMSG, too; -ENOENT: the ref was
 * dropped since. */
int pl_generation_read_known(struct pl_ref *ref, uint64_t n, struct pl_record *ret_record,
			     struct pleach_error *error);
/** 1 if generation n was dropped. */
int pl_generation_is_dropped(struct pl_ref *ref, uint64_t n);

/* ---- placing.c: trees/<id>/ ---- */

/** Is this name in trees/ a tree's? What a stranger has put there is not: a file with such a name, say. */
bool pl_tree_is_entry(const struct pl_store *store, const struct pl_dirent *entry,
		      struct pl_id *ret_tree);
/** Opens trees/<id>/. -ENOENT without an error text if it is not there. */
int pl_treedir_open(struct pl_store *store, const struct pl_id *tree);
/** The placing to use: the highest k that is there. 1, or 0: not placed. */
int pl_placing_find(int treedir_fd, unsigned *ret_k);
/** Moves the wrapper from_dirfd/from_name in, under a k above all that are there. Syncs nothing. */
int pl_placing_put(int from_dirfd, const char *from_name, int treedir_fd, unsigned *ret_k);
/** Opens trees/<id>/<k>/tree. */
int pl_placing_open(int treedir_fd, unsigned k);

/* ---- pin.c ---- */

/** A shared lock on trees/<id>/pin. */
struct pl_pin {
	int fd; /* of the pin file, locked */
	int treedir_fd;
	struct pl_id tree;
	unsigned k; /* 0: not placed */
};
enum pl_pin_result { PL_PIN_ABSENT = 0, PL_PIN_TAKEN = 1, PL_PIN_BUSY = 2 };
/** Tries. Looks again after the lock: the name still leads to the locked inode. */
int pl_pin_try(struct pl_store *store, const struct pl_id *tree, struct pl_pin *ret_pin,
	       struct pleach_error *error);
/** Tries as long as it is busy, 10 s at most; then -EBUSY. ABSENT or TAKEN. */
int pl_pin_wait(struct pl_store *store, const struct pl_id *tree, struct pl_pin *ret_pin,
		struct pleach_error *error);
void pl_pin_done(struct pl_pin *pin); /* fine for one that was zeroed with fd -EBADF */
#define PL_PIN_NONE                                \
	{                                          \
		.fd = -EBADF, .treedir_fd = -EBADF \
	}
/** The exclusive lock, tried, by a collector or taker; looked at again. Same results. */
int pl_pin_try_exclusive(struct pl_store *store, const struct pl_id *tree, struct pl_pin *ret_pin,
			 struct pleach_error *error);
/** 1 if somebody else holds a pin on it. */
int pl_pin_is_held(struct pl_store *store, const struct pl_id *tree);

/* ---- user.c: why a tree is kept ---- */

/** Makes users/<name> (EEXIST is fine) and syncs the directory where files are fsynced one by one. */
int pl_user_add(struct pl_store *store, int treedir_fd, const char *name,
		struct pleach_error *error);
int pl_user_remove(struct pl_store *store, int treedir_fd, const char *name);
void pl_user_of_generation(const struct pl_ref *ref, uint64_t n, char ret_name[128]);
void pl_user_of_tag(const struct pl_ref *ref, const char *tag, char ret_name[256]);
void pl_user_of_attachment(const char *ref_id, const char *path, char ret_name[128]);
void pl_user_of_tx(const char *tx_id, char ret_name[32]);
/** Holds a tree until `deadline` (fs clock), which becomes the mtime of a new h.<random>. */
int pl_user_add_holder(struct pl_store *store, int treedir_fd, const struct timespec *deadline,
		       struct pleach_error *error);
/** The name of a user, taken apart: "<kind>.<ref id>.<rest>" of a generation (g), a tag (t) or an attachment (a),
 * "<kind>.<rest>" of a holder (h) or a parked transaction (x), whose ref_id is "". */
struct pl_user {
	char kind, ref_id[25];
	const char *rest; /* of the name that was given; never empty, and not looked at */
};
/** false: it is of none of these forms. */
bool pl_user_split(const char *name, struct pl_user *ret_user);
/** The names in users/ of a tree. An error has no text. */
int pl_users_list(int treedir_fd, struct pl_listing *ret_listing);
enum pl_need { PL_NEED_NOTHING = 0, PL_NEED_TREE = 1, PL_NEED_PLACED = 2 };
/** One operation that looks up users, many of them of one ref: that is opened once. */
struct pl_user_lookup {
	struct pl_store *store;
	struct timespec now;	  /* the file system's clock */
	const struct pl_ref *own; /* whose generations are numbered; may be NULL */
	struct pl_ref ref;	  /* of the last user; fd < 0: none */
	uint64_t head;		  /* of `ref`, at least; 0: not known */
};
#define PL_USER_LOOKUP(store_, own_)                                     \
	{                                                                \
		.store = (store_), .own = (own_), .ref = {.fd = -EBADF } \
	}
/** Of any one, before the lookup goes or is kept beyond an operation. */
void pl_user_lookup_done(struct pl_user_lookup *lookup);
/**
 * What user `name` needs of `tree` at lookup->now. An answer of NOTHING: it was found gone. Unreadable or
 * unknown: PL_NEED_PLACED. *ret_generation: for a generation of lookup->own its number, else 0.
 */
int pl_user_need(struct pl_user_lookup *lookup, const struct pl_id *tree, const char *name,
		 uint64_t *ret_generation, struct pleach_error *error);
/** Is it a generation of this ref? */
bool pl_user_is_generation_of(const struct pl_ref *ref, const char *name);
/** The highest need of all users of a tree, and the newest generation of `own` among them. */
int pl_users_need(struct pl_user_lookup *lookup, const struct pl_id *tree, int treedir_fd,
		  uint64_t *ret_generation, struct pleach_error *error);

/**
 * 1: the grace of generation n is not over at `now` (the file system's clock), or the public path has not moved on from
 * it yet. 0: it is over, and *ret_replaced (may be NULL) is when the path moved on. -ENOENT where nothing was ever
 * shown.
 */
int pl_generation_in_grace(struct pl_ref *ref, uint64_t n, uint64_t head,
			   const struct timespec *now, struct timespec *ret_replaced);

/* ---- use.c: when a generation was used last, cache/used/<ref id>.<n>; hints ---- */

/**
 * It is used now, by the owner, in a store that has a max-size: others have no use for the note. At most once
 * an hour for each; best effort.
 */
void pl_use_note(struct pl_ref *ref, uint64_t n);
/** 1 and when, by the file system's clock, an hour too early at most; 0: nobody knows. */
int pl_use_time(struct pl_ref *ref, uint64_t n, struct timespec *ret_when);
void pl_use_forget(struct pl_ref *ref, uint64_t n);

/** Hints: which trees are placed for a ref, in cache/placed/<ref id or "none">/<tree id>. */
void pl_placed_hint_add(struct pl_store *store, const char *ref_id, const struct pl_id *tree);
void pl_placed_hint_remove(struct pl_store *store, const char *ref_id, const struct pl_id *tree);
/** All of a ref that goes. Best effort. */
void pl_placed_hint_forget(struct pl_store *store, const char *ref_id);
/** The ids (hex); where the hints were deleted they are made anew from trees/. */
int pl_placed_hint_list(struct pl_store *store, const char *ref_id, struct pl_strings *ret_ids);

/* ---- leavings.c ---- */

/** Takes away what killed processes have left in cache/. Best effort; may run beside anything. */
void pl_leavings_remove(struct pl_store *store);

/* ---- public.c: the public path ---- */

enum pl_public_state {
	PL_PUBLIC_MISSING, /* STORE/<ref> is not there */
	PL_PUBLIC_OK,	   /* our fixed hop */
	PL_PUBLIC_FOREIGN, /* anything else: never touched (G7) */
};
int pl_public_state(struct pl_ref *ref, enum pl_public_state *ret_state,
		    struct pleach_error *error);
/** Takes STORE/<ref> away again if it leads to a ref that has no generation, under the ref lock: transaction
 * `tx_id`, which began the ref, has come to nothing. Not while another one is open or parked on it. */
void pl_public_withdraw(struct pl_ref *ref, const char *tx_id);
/** The same of any name: of what was moved away from the public path, say. */
int pl_public_state_at(struct pl_ref *ref, int dirfd, const char *name,
		       enum pl_public_state *ret_state, struct pleach_error *error);
/** -EEXIST naming the path and saying what to do, if it is foreign. */
int pl_public_must_be_ours(struct pl_ref *ref, struct pleach_error *error);
/**
 * Is the caller inside of a transaction on the ref, whose view masks public/? 1 and the id of the transaction
 * (may be NULL), which is held by a lock; or 0. What the mask says is believed only if both public/ is a
 * mount and the transaction is of this ref. (mask.c)
 */
int pl_ref_is_masked(struct pl_ref *ref, char ret_tx_id[25]);
/** -EBUSY if it is: what changes the ref must wait for the end of the transaction around it. */
int pl_ref_must_be_unmasked(struct pl_ref *ref, struct pleach_error *error);
#define PL_MASK_FILE ".pleach-tx" /* in the masked public/: the id of the transaction */
/** Makes STORE/<ref> again where it is missing, under the ref lock, which it takes; -EEXIST if it is
 * foreign. */
int pl_public_restore(struct pl_ref *ref, struct pleach_error *error);
/** What public/tree names: 1 and tree and k; 0: nothing yet; -EBADMSG: not of our form. */
int pl_public_read(struct pl_ref *ref, struct pl_id *ret_tree, unsigned *ret_k,
		   struct pleach_error *error);
/** May the public path, which is not the head's, be moved to what looks like the head? -EBADMSG: it shows a generation
 * behind that, whose record was lost. */
int pl_public_check_head(struct pl_ref *ref, uint64_t head, struct pleach_error *error);
/**
 * Step 9 of a commit, under the ref lock: public/tree names trees/<tree>/<k>/tree (replaced by
 * rename), public/ synced, shown/<n> created, STORE/<ref> made if it is missing. Then the head is read
 * again: if it moved, all of it again for the new head. Returns 0, or 1: recorded but not shown, since
 * the public path is foreign. `tx` gives room for the temporary name.
 */
int pl_public_show(struct pl_ref *ref, struct pl_txdir *tx, uint64_t n, const struct pl_id *tree,
		   unsigned k, struct pleach_error *error);
/**
 * What every command that resolves a ref does first: if the symlink (or shown/) is behind the head, tries
 * the ref lock, reads the head again, makes and unlinks a name in gen/ and syncs it, and finishes step 9;
 * finishes a drop whose record is there (then -ENOENT NOT_FOUND). Busy: the holder will; who may not
 * write: nothing. 0, also where nothing was to be done; then *ret_head is the head's number (0: none).
 * `tx` may be NULL: one is made only if it is needed.
 */
int pl_ref_settle(struct pl_ref *ref, struct pl_txdir *tx, uint64_t *ret_head,
		  struct pleach_error *error);
/** Takes the public path (if ours) away, and moves refs/<ref>/ into tx. Under the ref lock, after the
 * `dropped` record. Idempotent. */
/** `hold`: its placed trees are held for the grace. (remove.c) */
int pl_ref_remove(struct pl_ref *ref, struct pl_txdir *tx, bool hold, struct pleach_error *error);

/* ---- tag.c ---- */

struct pl_tag {
	char name[PLEACH_REF_MAX + 1];
	uint64_t generation;
	struct pl_id tree;
};
/** 0 or -ENOENT (NOT_FOUND) or -EBADMSG. */
int pl_tag_read(struct pl_ref *ref, const char *name, struct pl_tag *ret_tag,
		struct pleach_error *error);
int pl_tag_list(struct pl_ref *ref, struct pl_strings *ret_names, struct pleach_error *error);
/** As pleach_tag_set(), `n` being resolved. Takes the ref lock. */
int pl_tag_set(struct pl_ref *ref, struct pl_txdir *tx, const char *name, uint64_t n, bool force,
	       struct pleach_error *error);
int pl_tag_delete(struct pl_ref *ref, const char *name, struct pleach_error *error);

/* ---- attachment.c: the records of attachments ---- */

struct pl_attachment {
	char ref_id[25];
	char *path;	     /* absolute */
	char mode[16];	     /* "symlink", "exchange", "mount" */
	uint64_t generation; /* 0: follows the head */
	struct pl_id tree;
	char *target; /* of the symlink; "" in the other modes */
};
void pl_attachment_done(struct pl_attachment *attachment);
int pl_attachment_read(struct pl_ref *ref, const char *path, struct pl_attachment *ret_attachment,
		       struct pleach_error *error); /* -ENOENT without a text */
/** The same by the name of its record, the hash of the path. */
int pl_attachment_read_named(struct pl_ref *ref, const char *hash,
			     struct pl_attachment *ret_attachment, struct pleach_error *error);
int pl_attachment_write(struct pl_ref *ref, struct pl_txdir *tx,
			const struct pl_attachment *attachment, struct pleach_error *error);
int pl_attachment_remove(struct pl_ref *ref, const char *path, struct pleach_error *error);
/** All of a ref; `*ret` is an array of `*ret_n`, to be freed with pl_attachments_free(). */
int pl_attachment_list(struct pl_ref *ref, struct pl_attachment **ret, size_t *ret_n,
		       struct pleach_error *error);
void pl_attachments_free(struct pl_attachment *attachments, size_t n);

/* ---- showing.c: what attachments show that are directories or mounts ---- */

/** One directory of ours, or one mount. */
struct pl_shown {
	enum pl_shown_role {
		PL_SHOWN_NOW,  /* at the path */
		PL_SHOWN_NEXT, /* on its way there */
		PL_SHOWN_OLD,  /* beside it, until its grace is over */
	} role;
	uint64_t generation;
	struct pl_id tree;
	unsigned k;		     /* mount: where its tree is placed; exchange: 0 */
	char name[48];		     /* exchange: beside the path; "-": at the path */
	struct pl_identity identity; /* exchange */
	uint64_t since_s; /* PL_SHOWN_OLD: when it had gone from the path; 0: it was never there */
};
/** refs/<ref>/showing/<hex of H(path)>. Written under the ref lock alone. */
struct pl_showing {
	char ref_id[25];
	char *path;
	char mode[16];
	bool has_made; /* mount: the directory at the path is ours too */
	struct pl_shown *items;
	size_t n, capacity;
};
#define PL_SHOWN_MAX 4096
void pl_showing_done(struct pl_showing *showing);
/** The item with this role, NULL: none. For NOW and NEXT, of which there is one at most. */
struct pl_shown *pl_showing_find(struct pl_showing *showing, enum pl_shown_role role);
int pl_showing_add(struct pl_showing *showing,
		   const struct pl_shown *item); /* 0, -ENOMEM, -E2BIG */
void pl_showing_remove(struct pl_showing *showing, size_t i);
/** 0; -ENOENT without a text; -EBADMSG. */
int pl_showing_read(struct pl_ref *ref, const char *path, struct pl_showing *ret_showing,
		    struct pleach_error *error);
int pl_showing_read_named(struct pl_ref *ref, const char *hash, struct pl_showing *ret_showing,
			  struct pleach_error *error);
/** Atomic; `sync`: durable, else an older text may come back after a power cut. */
int pl_showing_write(struct pl_ref *ref, struct pl_txdir *tx, const struct pl_showing *showing,
		     bool sync, struct pleach_error *error);
/** That it is not there already is fine. */
int pl_showing_forget(struct pl_ref *ref, const char *path, struct pleach_error *error);
/** Names (hashes of paths) of all of a ref; none where nothing is shown so. */
int pl_showing_list(struct pl_ref *ref, struct pl_strings *ret_hashes, struct pleach_error *error);

/* ---- rev.c ---- */

struct pl_rev {
	struct pl_ref ref; /* open if has_ref */
	bool has_ref;
	uint64_t generation; /* 0 for tree:HEX */
	uint64_t head;
	struct pl_id tree;
	const char *path; /* into the string given; NULL: no colon */
};
/**
 * Resolves REV[:path] as pleach_resolve(); settles the ref. `in_ref` (may be NULL): a revision that
 * begins with '@' is of this ref.
 */
int pl_rev_resolve(struct pl_store *store, const char *rev, const char *in_ref,
		   struct pl_rev *ret_rev, struct pleach_error *error);
void pl_rev_done(struct pl_rev *rev);

#endif
