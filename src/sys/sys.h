/*
 * sys - the library's only system calls. Everything is relative to a directory descriptor,
 * close-on-exec, and follows no symlink unless the name says so. EINTR, short reads and short
 * writes are handled here and nowhere else. No function here makes an error text: they return 0, a
 * positive answer or a negative errno, and the caller, who knows what it was for, makes the text.
 *
 * The seam. Every call that changes something outside the process passes pl_seam() once, just
 * before it is made. There a test can count it, fail it with an errno, or end the process; a test
 * can also switch off a capability. Nothing else in the library is a global.
 */
#ifndef PL_SYS_H
#define PL_SYS_H

#include <dirent.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>

#include "base/base.h"

/* ---- seam.c ---- */

/** The kinds of call that pass the seam, so that a test can choose among them. */
enum pl_call {
	PL_CALL_OPEN, /* that creates or truncates */
	PL_CALL_WRITE,
	PL_CALL_LINK,
	PL_CALL_SYMLINK,
	PL_CALL_RENAME,
	PL_CALL_UNLINK, /* files and directories */
	PL_CALL_MKDIR,
	PL_CALL_MKNOD,
	PL_CALL_META, /* chmod, chown, utimens, xattrs */
	PL_CALL_SYNC, /* fsync, fdatasync, syncfs */
	PL_CALL_TRUNCATE,
	PL_CALL_CLONE, /* FICLONE, copy_file_range */
	PL_CALL_LOCK,  /* taking one */
	PL_CALL_MOUNT, /* mounts, namespaces, subvolumes */
	PL_CALL_N
};
/** What a test wants to happen. All zero: nothing. Counting starts at 1 with pl_seam_arm(). */
struct pl_seam_plan {
	uint64_t exit_at; /* _exit(99) instead of the call with this number; 0: never */
	uint64_t fail_at; /* fail the call with this number; 0: never */
	bool fail_on;	  /* and every later one */
	int fail_errno; /* positive; EINTR: the call is really interrupted half-way (see file.c) */
	uint32_t calls; /* bit mask of 1 << enum pl_call that count; 0: all */
	void (*stop)(uint64_t number, enum pl_call call, void *userdata); /* called at every one */
	void *userdata;
};
void pl_seam_arm(const struct pl_seam_plan *plan); /* NULL: disarm */
uint64_t pl_seam_count(void);			   /* calls since it was armed */
uint64_t pl_seam_count_of(enum pl_call call);

/** Fast ways that have a plain fallback, each with a switch that turns it off. */
enum pl_capability {
	PL_CAP_SYNCFS = 1 << 0,	 /* one syncfs() as a barrier instead of an fsync for each file */
	PL_CAP_REFLINK = 1 << 1, /* FICLONE */
	PL_CAP_COPY_RANGE = 1 << 2,
	PL_CAP_OPENAT2 = 1 << 3,
	PL_CAP_XATTR = 1 << 4,
	PL_CAP_USERNS = 1 << 5,
	PL_CAP_NOREPLACE = 1 << 6, /* renameat2() that replaces nothing */
	PL_CAP_OVERLAY = 1 << 7,
	PL_CAP_SUBVOLUME = 1 << 8,
	PL_CAP_EXCHANGE = 1 << 9, /* renameat2() that swaps two names */
	PL_CAP_BENEATH = 1 << 10, /* MOVE_MOUNT_BENEATH */
	PL_CAP_JOURNAL = 1 << 11, /* names are durable in their order */
	PL_CAP_THREADS = 1 << 12, /* of a crew; without them the caller does it all */
};
void pl_seam_disable(uint32_t capabilities); /* replaces what was disabled before */
bool pl_seam_has(enum pl_capability capability);

/** Steps that guard against what others do meanwhile, each with a switch that leaves it out: negative controls, by
 * which a test shows that it would see what the step guards against (tests/controls). Nothing else leaves one out. */
enum pl_guard {
	PL_GUARD_CLAIM = 1 << 0,	 /* what is relied on is claimed */
	PL_GUARD_CLAIM_FIRST = 1 << 1,	 /* before its name is looked at */
	PL_GUARD_CLAIMS_READ = 1 << 2,	 /* a collection reads claims */
	PL_GUARD_CLAIMS_BEFORE = 1 << 3, /* before it looks for trees */
	PL_GUARD_LOOK_AGAIN = 1 << 4,	 /* and again, once a batch is out */
	PL_GUARD_DEAD_TRASH = 1 << 5,	 /* what a dead one has taken out is put back */
	PL_GUARD_LOOK_IN_TRASH = 1 << 6, /* who misses something looks there */
	PL_GUARD_PIN_VERIFY = 1 << 7,	 /* a pin is looked at again once it is locked */
	PL_GUARD_PIN_EXCLUSIVE = 1 << 8, /* who takes a tree away has its pin alone */
	PL_GUARD_PIN_NEW = 1 << 9,	 /* a commit has a pin on its tree until it is shown */
	PL_GUARD_DIR_VERIFY = 1 << 10,	 /* a locked directory is looked at again */
	PL_GUARD_SETTLE = 1 << 11,	 /* who finds the public path behind moves it on */
	PL_GUARD_CLAIMS_AFTER = 1 << 12, /* claims are read once more behind the trees */
	PL_GUARD_PIN_FIRST = 1 << 13,	 /* a new tree is pinned before it has its name */
	PL_GUARD_CLOSURE = 1 << 14,	 /* what nodes hold is claimed, not they alone */
	PL_GUARD_N = 15,
};
void pl_seam_unguard(uint32_t guards); /* replaces what was left out before */
bool pl_seam_guards(enum pl_guard guard);

/** Places where nothing is changed, and a test can stop all the same: plan->stop is called with the number 0 and, for
 * the call, PL_CALL_N + the point. They are not counted, and nothing fails or ends there. */
enum pl_point {
	PL_POINT_TREES_READ, /* a collection has read which trees there are, with a batch out */
	PL_POINT_CLAIMS_READ, /* the claims of one transaction were read, those of the next were not */
	PL_POINT_TREE_MADE,  /* a commit has named all but its new tree */
	PL_POINT_TREE_NAMED, /* ... and that, just now */
	PL_POINT_N
};
void pl_seam_point(enum pl_point point);

/* ---- file.c ---- */

void pl_closep(int *fd); /* for PL_CLOSE: closes if not negative, keeps errno */
#define PL_CLOSE PL_CLEANUP(pl_closep)
int pl_close(int fd);	 /* asserts that the descriptor was valid; always returns -EBADF */
int pl_take_fd(int *fd); /* returns it and sets -EBADF, the only way out of a PL_CLOSE scope */

int pl_open(int dirfd, const char *name, int flags); /* no O_CREAT; adds O_CLOEXEC|O_NOFOLLOW */
int pl_open_follow(int dirfd, const char *name, int flags); /* the same, but follows symlinks */
int pl_open_dir(int dirfd, const char *name);		    /* O_RDONLY|O_DIRECTORY, no symlink */
int pl_create(int dirfd, const char *name, mode_t mode);    /* O_RDWR|O_CREAT|O_EXCL|O_NOFOLLOW */
int pl_open_or_create(int dirfd, const char *name, int flags, mode_t mode); /* not exclusive */
int pl_dup(int fd);		/* close-on-exec, 3 and above */
int pl_set_inheritable(int fd); /* clears close-on-exec */

/** Reads until `length` or the end. Returns the number of bytes. */
ssize_t pl_read_full(int fd, void *buffer, size_t length);
ssize_t pl_pread_full(int fd, void *buffer, size_t length, uint64_t offset);
/** The same, but the zeros of a hole are not read, and do not fill the page cache. */
ssize_t pl_pread_sparse(int fd, void *buffer, size_t length, uint64_t offset);
/** Writes all. 0 or an error; after an error a part may be written. */
int pl_write_full(int fd, const void *data, size_t length);
int pl_pwrite_full(int fd, const void *data, size_t length, uint64_t offset);
/** A new file without a name in $TMPDIR (else /tmp), or in memory where there can be none. */
int pl_create_nameless(void);
/** The whole file, if it is regular (else -EISDIR or -EINVAL) and has at most `max` bytes (else
 * -EFBIG). Appends to `b`; nothing on failure. */
int pl_read_file(int dirfd, const char *name, size_t max, struct pl_buffer *b);
/** A new file with this content, synced if `sync`. -EEXIST if the name is taken. After another
 * failure the name is taken away again. The umask applies, as to all that is created here. */
int pl_write_file(int dirfd, const char *name, mode_t mode, const void *data, size_t length,
		  bool sync);

int pl_fstat(int fd, struct stat *ret_st);
int pl_lstat(int dirfd, const char *name, struct stat *ret_st);	   /* no symlink followed */
int pl_stat(int dirfd, const char *name, struct stat *ret_st);	   /* symlinks followed */
int pl_readlink(int dirfd, const char *name, struct pl_buffer *b); /* appends the target */
int pl_exists(int dirfd, const char *name);			   /* 1, 0 or an error */
bool pl_same_inode(const struct stat *a, const struct stat *b);

/**
 * link(2), and after a failure the outcome is asked, not believed: over NFS a success can be
 * reported as EEXIST. Source and target being one inode is success.
 */
int pl_link(int old_dirfd, const char *old_name, int new_dirfd, const char *new_name);
/** The inode behind a descriptor gets a name (through /proc/self/fd; needs nlink > 0). */
int pl_link_fd(int fd, int new_dirfd, const char *new_name);
/** A symlink with this very target that is there already is success: it elects nobody. */
int pl_symlink(const char *target, int dirfd, const char *name);
/** The outcome cannot be asked: a directory that is there may be anybody's. */
int pl_mkdir(int dirfd, const char *name, mode_t mode);
int pl_mknod(int dirfd, const char *name, mode_t mode, dev_t dev); /* FIFOs, sockets, devices */
int pl_unlink(int dirfd, const char *name);
int pl_rmdir(int dirfd, const char *name);
/**
 * rename(2), replacing. After a failure other than -ENOENT the outcome is asked: a source that is
 * gone, with something under the target, was renamed, as long as nobody else moves that source.
 * -ENOENT stays: the source may never have been there. The two must not be names of one inode, for
 * then the kernel says 0 and does nothing.
 */
int pl_rename(int old_dirfd, const char *old_name, int new_dirfd, const char *new_name);
/** Never replaces: a directory onto a name that is there is -EEXIST (empty directories too). */
int pl_rename_new(int old_dirfd, const char *old_name, int new_dirfd, const char *new_name);
/** Two names, which are both there, trade places in one step. -EOPNOTSUPP: kernel or file system cannot
 * (PL_CAP_EXCHANGE); there is no other way to do it. */
int pl_rename_exchange(int dirfd, const char *name, int other_dirfd, const char *other_name);

/** Which inode: its number and when it was born, so that a number that was given again is not taken for
 * the old one. Birth 0: the file system does not say. */
struct pl_identity {
	uint64_t ino, birth_s;
	uint32_t birth_ns;
};
bool pl_identity_equal(const struct pl_identity *a, const struct pl_identity *b);
/** That of dirfd/name, no symlink followed, nor a mount that lies there passed. 1, or 0: it is no directory
 * of the file system `dev`. -ENOENT. */
int pl_identity_of_dir(int dirfd, const char *name, dev_t dev, struct pl_identity *ret_identity);

int pl_chmod(int fd, mode_t mode);
int pl_chmod_at(int dirfd, const char *name, mode_t mode); /* not for symlinks */
int pl_chown(int fd, uid_t uid, gid_t gid);
int pl_chown_at(int dirfd, const char *name, uid_t uid, gid_t gid); /* no symlink followed */
int pl_utimens(int fd, int64_t mtime_s, uint32_t mtime_ns);	    /* atime stays */
int pl_utimens_at(int dirfd, const char *name, int64_t mtime_s, uint32_t mtime_ns); /* no follow */
/** Takes the flags immutable and append-only off (chattr -i -a). 1: one was set; 0: none was. */
int pl_clear_flags(int fd);
int pl_truncate(int fd, uint64_t length);
int pl_fsync(int fd);
int pl_syncfs(int fd);
/** Opens dirfd/name read-only and fsyncs it (a directory or a file). */
int pl_fsync_at(int dirfd, const char *name);

/* Extended attributes of what `fd` (not O_PATH) or dirfd/name (no symlink followed) is.
 * -EOPNOTSUPP from list: reported as no names. */
int pl_xattr_list(int fd, struct pl_buffer *ret_names);			 /* NUL-terminated names */
int pl_xattr_get(int fd, const char *name, struct pl_buffer *ret_value); /* appends */
int pl_xattr_set(int fd, const char *name, const void *value, size_t length);
int pl_xattr_remove(int fd, const char *name);
int pl_xattr_list_at(int dirfd, const char *name, struct pl_buffer *ret_names);
int pl_xattr_get_at(int dirfd, const char *name, const char *xattr, struct pl_buffer *ret_value);
int pl_xattr_set_at(int dirfd, const char *name, const char *xattr, const void *value,
		    size_t length);
int pl_xattr_remove_at(int dirfd, const char *name, const char *xattr);

/* ---- dir.c ---- */

/** The names of a directory, without "." and "..", sorted by bytes. */
struct pl_dirent {
	const char *name;
	unsigned char type; /* DT_..., DT_UNKNOWN possible */
	ino_t ino;
};
struct pl_listing {
	struct pl_dirent *entries;
	size_t n, capacity;
	struct pl_buffer names;
};
/** Reads all of it. `fd` is rewound first and stays the caller's. */
int pl_list(int fd, struct pl_listing *ret_listing);
void pl_listing_done(struct pl_listing *listing);
/** Is it of this kind (S_IFDIR ...)? Also yes where that cannot be told: then whoever opens it is told why. */
bool pl_dirent_is(int dirfd, const struct pl_dirent *entry, mode_t kind);
/** Appends the inode numbers alone, a uint64_t each, of millions of names. */
int pl_list_inodes(int fd, struct pl_buffer *inodes);
/** Binary search; NULL if it is not there. */
const struct pl_dirent *pl_listing_find(const struct pl_listing *listing, const char *name);
/** 1: no entries, 0: some. */
int pl_dir_is_empty(int fd);

/* ---- above.c ---- */

/** 1 if directory `above_fd` is `fd` or an ancestor of it, 0 if not (as far as one may climb). */
int pl_is_above(int above_fd, int fd);

/* ---- holders.c ---- */

/** Appends " by process 12 (name), ..." for the processes that have this file open, as far as this
 * user can see them; nothing if there are none. */
void pl_file_holders(const struct stat *st, struct pl_buffer *b);

/* ---- walk.c ---- */

/**
 * Where a walk of a directory tree is: an explicit stack of open directories. Only the deepest
 * PL_WALK_OPEN of them keep their descriptor; going back up, a closed one is opened again through
 * ".." of its child and compared by device and inode (-ESTALE if it is another now). So depth and
 * path length have no limit but memory.
 */
#define PL_WALK_OPEN 48
struct pl_walk_level {
	int fd;	   /* -EBADF while closed */
	dev_t dev; /* this and ino: known while it is closed */
	ino_t ino;
};
struct pl_walk {
	struct pl_walk_level *levels;
	size_t depth, capacity; /* depth: number of levels, the root is level 1 */
	struct pl_buffer path;	/* of the current directory, relative to the root: "" there */
};
/** Starts at an open directory; the descriptor is taken, also on failure. */
int pl_walk_init_take(struct pl_walk *walk, int fd);
void pl_walk_done(struct pl_walk *walk);
/** Descriptor of the current directory; the walk's. */
int pl_walk_fd(const struct pl_walk *walk);
/** Path of the current directory, "" at the root; valid until the next move. */
const char *pl_walk_path(struct pl_walk *walk);
/** Enters directory `name` (no symlink followed). */
int pl_walk_enter(struct pl_walk *walk, const char *name);
/** Enters with a descriptor that is open already, which is taken, also on failure. */
int pl_walk_enter_take(struct pl_walk *walk, const char *name, int fd);
/** Back to the parent. Must not be called at the root. */
int pl_walk_leave(struct pl_walk *walk);
/**
 * Goes to the directory `path` (relative to the root, "" is the root) by leaving and entering only
 * what differs; directories that are missing are made with `mkdir_mode` if `make` is set.
 */
int pl_walk_goto(struct pl_walk *walk, const char *path, bool make, mode_t mkdir_mode);

/* ---- erase.c ---- */

/**
 * Removes dirfd/name and all below it. Never crosses into another file system (-EXDEV; a btrfs subvolume is
 * none) or follows a symlink; makes directories writable by their owner, and takes off the flags immutable
 * and append-only, where that is needed. Goes on after an error
 * and returns the first one. A name that is missing is success.
 * `spare`: a name directly below it that is kept, and with it the directory, whether the name is
 * there or not (NULL: none).
 */
int pl_erase(int dirfd, const char *name, const char *spare);
/** The same, and adds to *freed the bytes of the disk that are free by it: of directories, and of what has no name
 * elsewhere; of a subvolume that goes as one nothing. A look at each name more. */
int pl_erase_counted(int dirfd, const char *name, uint64_t *freed);

/* ---- copy.c ---- */

/**
 * Copies content from one open file to another, empty one; holes stay holes. By reflink where it
 * works, else copy_file_range, else read and write. Returns 0; -EAGAIN if the source ended early.
 */
int pl_copy_content(int from_fd, int to_fd, uint64_t length);
/** By reflink alone: 1, or 0 if it cannot be had here. `length` is not 0; -EAGAIN as above. */
int pl_clone_content(int from_fd, int to_fd, uint64_t length);
/** Sees what is copied, in order and without a gap, once it is written. */
struct pl_copy_watcher {
	void (*saw)(void *self, const void *data, size_t length);
	void *self;
};
#define PL_COPY_HERE UINT64_MAX /* where the descriptor stands; for pipes the only place */
/** Copies what `from_fd` has from offset `at` to its end to where `to_fd` stands, by reading and writing; holes
 * become zeros. `watcher`: NULL, nobody. */
int pl_copy_rest(int from_fd, uint64_t at, int to_fd, const struct pl_copy_watcher *watcher);

/* ---- share.c ---- */

/** Can files of this file system have the same blocks on demand (FIDEDUPERANGE)? 1 or 0. Changes nothing.
 * `fd`: a regular file of it that is not empty. */
int pl_share_probe(int fd);
/**
 * Has two files share their first `length` bytes (not 0), which the kernel compares under its locks. No
 * metadata changes. 1; 0: the bytes differ; -EOPNOTSUPP: not on this file system; -EXDEV, -EPERM, -EINVAL:
 * not these two. After an error or 0 some blocks may be shared.
 */
int pl_share_content(int from_fd, int to_fd, uint64_t length);
/** 1 if they are known to share all of it already, else 0. */
int pl_share_is_shared(int a_fd, int b_fd, uint64_t length);

/* ---- closer.c ---- */

/** A thread that closes descriptors, for files whose last one it is. Not to be used by two threads. */
struct pl_closer;
int pl_closer_begin(struct pl_closer **ret_closer); /* -EAGAIN, -ENOMEM: there is none */
/** Closes *fd, now or soon, and sets it to -EBADF. NULL: now. A few dozen are open at most. */
void pl_closer_take(struct pl_closer *closer, int *fd);
void pl_closer_end(struct pl_closer *closer); /* all are closed then; nothing for NULL */

/* ---- writers.c ---- */

/** 1 if somebody has the file open for writing, 0 if nobody; -EOPNOTSUPP: it cannot be told (a file of
 * another user, a file system without leases). `fd` is open for reading only, and not shared. *has_asked: of this
 * descriptor before, which saves a call. */
int pl_file_has_writers(int fd, bool *has_asked);

/* ---- lock.c ---- */

/* Open-file-description locks: a handle, not a process, owns them. Record locks of fcntl() without
 * OFD belong to the process and vanish when any descriptor of the file is closed, so they are of no
 * use in a library. */
enum pl_lock_kind { PL_LOCK_SHARED, PL_LOCK_EXCLUSIVE };
/** Tries. 1: taken, 0: held by somebody else. */
int pl_lock_try(int fd, enum pl_lock_kind kind);
/** Waits at most `timeout_ms` (-1: for ever). 1: taken, 0: not in time; -EINTR once *cancel is
 * true. */
int pl_lock_wait(int fd, enum pl_lock_kind kind, int64_t timeout_ms, const volatile int *cancel);
int pl_unlock(int fd);
/** Does dirfd/name still lead to the inode of `fd`? 1, 0 or an error. */
int pl_lock_is_current(int fd, int dirfd, const char *name);
/** Is `fd` locked by somebody in a way that conflicts with `kind`? 1, 0; takes nothing. */
int pl_lock_is_held(int fd, enum pl_lock_kind kind);

/* ---- crew.c: work on several processors ---- */

/** No crew is larger. */
#define PL_CREW_MAX 32

/**
 * What a crew does. A task is a slot of `task_size` bytes, zeroed at first and then as it was left, so that
 * what it has allocated can be used again.
 *
 * Only run() is called by several threads at once, each with its own `worker` (zeroed at first), no two with
 * one task. All else is called by the thread that has the crew, which does tasks as well.
 */
struct pl_crew_work {
	/** Does a task. Its answer goes to deliver(). */
	int (*run)(void *self, void *worker, void *task);
	/**
	 * Takes a task that is over, each just once and in the order in which they were submitted. `r`: what
	 * run() answered; or -ECANCELED, which is not to be reported: another one failed before it, and all
	 * that is left is to let go of what it holds. An answer below 0 is the failure of the whole, the
	 * first one stays; whether there was one does not depend on how many threads there are.
	 */
	int (*deliver)(void *self, void *task, int r);
	void (*task_done)(void *self, void *task);     /* of each slot, at the end; NULL: nothing */
	void (*worker_done)(void *self, void *worker); /* the same of each worker */
	void *self;
	size_t task_size, worker_size;
	unsigned slots_each; /* how many tasks there can be at once for each thread, 0: some */
	/* So many tasks are done before it is worth starting a thread, unless `jobs` asks for some. */
	unsigned alone_until;
};
struct pl_crew;
/**
 * `jobs`: the threads that work, the caller's one of them; 0: one for each processor, up to 16; 1: the caller's alone,
 * which does each task when it is submitted. As many as can be had: without any it is as with 1. 0 or -ENOMEM.
 */
int pl_crew_new(const struct pl_crew_work *work, unsigned jobs, struct pl_crew **ret_crew);
/** The slot for the next task, for the caller to fill in; where all are in use, it waits for the first one
 * and delivers it. Negative: the failure. */
int pl_crew_task(struct pl_crew *crew, void **ret_task);
/** That slot is a task now. Negative: the failure; the task will be delivered all the same. */
int pl_crew_submit(struct pl_crew *crew);
/** Waits for all tasks and delivers them. 0, or the failure; after that no more can be submitted. */
int pl_crew_finish(struct pl_crew *crew);
/** Is there no task that was submitted and not delivered? */
bool pl_crew_is_idle(const struct pl_crew *crew);
/** Ends the threads, and delivers what is left, as cancelled: what was not begun never is. NULL is fine. */
void pl_crew_free(struct pl_crew *crew);
/** Between these two is only one thread of the crew at a time, for what the tasks share. NULL: nothing. */
void pl_crew_enter(struct pl_crew *crew);
void pl_crew_leave(struct pl_crew *crew);

/* ---- host.c: identity, time, randomness ---- */

uid_t pl_uid(void); /* effective */
gid_t pl_gid(void);
/** As whom the calling thread acts on files; what it makes is theirs. */
struct pl_guise {
	uid_t uid;
	gid_t gid;
	bool is_on, was_dumpable;
};
/** Acts as another user from now on, without root's powers over files. For root; -EPERM. */
int pl_guise_begin(uid_t uid, gid_t gid, struct pl_guise *ret_guise);
void pl_guise_end(struct pl_guise *guise); /* back; nothing for one that is all zero */
bool pl_in_group(gid_t gid);		   /* the effective group or a supplementary one */
void pl_user_name(uid_t uid, char *ret_name, size_t size); /* decimal where there is none */
void pl_host_name(char *ret_name, size_t size);
void pl_clock_wall(struct timespec *ret_now);	/* CLOCK_REALTIME */
void pl_clock_coarse(struct timespec *ret_now); /* the clock that local file systems stamp with */
int64_t pl_clock_monotonic_ms(void);
int pl_random(void *buffer, size_t length);
/** 24 random hexadecimal digits and a NUL. */
int pl_random_name(char ret_name[25]);
bool pl_is_random_name(const char *name); /* could be one */
void pl_sleep_ms(unsigned ms);
unsigned pl_cpu_count(void); /* at least 1 */
/** The umask of this process, which is not touched. 0777 where that cannot be told (no /proc). */
mode_t pl_umask(void);
pid_t pl_pid(void);
int pl_boot_id(struct pl_buffer *b); /* appends the id of this boot of the machine, a line */
const char *pl_environment_get(const char *name); /* NULL: not set */
char *const *pl_environment(void);		  /* NULL ends */

/* ---- fs.c: what a file system is like, probed by using it ---- */

struct pl_fs {
	bool has_syncfs_barrier; /* local, and known to make syncfs() a barrier */
	bool is_local;		 /* not a network file system or FUSE */
	bool is_volatile;	 /* tmpfs: nothing there can be durable */
	const char *name;	 /* "ext4", ..., "other"; static */
};
int pl_fs_probe(int fd, struct pl_fs *ret_fs);
static inline bool pl_time_is_before(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec < b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec < b->tv_nsec);
}
/** The time by the clock of the file system: that of a file made now in `dirfd` and removed. */
int pl_fs_clock(int dirfd, struct timespec *ret_now);
/** 1 if link(2) works between two names of `dirfd`, 0 if not. */
int pl_fs_has_links(int dirfd);
bool pl_fs_is_mount_root(int dirfd, const char *name); /* another device than its parent */
/** statvfs: bytes free for this user. */
int pl_fs_free_bytes(int dirfd, uint64_t *ret_bytes);
/** statvfs: 1 if a smaller part of its inodes is free than of its bytes, 0 if not, or if it has no number of them. */
int pl_fs_lacks_inodes(int dirfd);
/** 1 if the mount that `fd` was opened through, or its file system, is read-only, else 0. */
int pl_fs_is_read_only(int fd);
/** Appends the absolute path of an open directory (O_PATH will do); -ENOENT if it has none now. */
int pl_real_path(int dirfd, struct pl_buffer *b);

/* ---- journal.c: file systems on which names become durable in the order in which they were made ---- */

#define PL_JOURNAL_PATH_MAX 96
struct pl_journal {
	bool is_ordered;			/* false: there is none, or it is not known */
	char fast_commits[PL_JOURNAL_PATH_MAX]; /* where they are counted; "": there are none */
};
/** Looks what the file system of `fd` does. Reads, and fails to is_ordered false. */
void pl_journal_probe(int fd, struct pl_journal *ret_journal);
/**
 * fsync of a directory. On an ordered journal everything is durable then that was named, in any directory
 * of the file system, before the last change of this one. Data are not: they are synced before.
 */
int pl_journal_sync(int dirfd, const struct pl_journal *journal);

/* ---- namespace.c, init.c: a program with a view of its own ---- */

/** One thing that is done to the mounts of a new namespace, in order. Paths are absolute, the caller's. */
struct pl_view_step {
	enum pl_view_what {
		PL_VIEW_TMPFS, /* a tmpfs of 64 KiB over the directory `target` */
		PL_VIEW_MKDIR, /* the directory `target`, 0755 (in a tmpfs of ours) */
		PL_VIEW_FILE, /* the file `target`, 0444, with the bytes `data` (in a tmpfs of ours) */
		PL_VIEW_READONLY, /* the mount at `target` becomes read-only */
		/* An overlay over `target`; `data` are its options, one a line. The lines lowerdir=, upperdir=
		 * and workdir= name one directory each, in any bytes but a newline, nothing escaped.
		 * -EOPNOTSUPP: an option that the kernel took is not in force. */
		PL_VIEW_OVERLAY,
		PL_VIEW_BIND, /* directory `source`, with what is mounted below it, over `target` */
		PL_VIEW_SELF, /* the symlink `target` mounted on itself, so that it stays where it is */
	} what;
	const char *target, *source, *data;
};
struct pl_view {
	const struct pl_view_step *steps;
	size_t n_steps;
	bool with_user_namespace; /* the ids of the caller, mapped to themselves */
	/* Not NULL: what is opened in the directories that PL_VIEW_BIND and _OVERLAY show is noted, as NUL-ended
	 * paths below them that are appended to reads_fd; "\1" stands for some that were lost. What cannot even
	 * note that ends the program (SIGKILL). Needs CAP_SYS_ADMIN in the first user namespace. */
	const char *watched;
	int reads_fd;
	const int *
		kept; /* descriptors (locks) that are held until everything in the namespace has ended */
	size_t n_kept;
};
#define PL_READS_MAX \
	(256u << 20) /* once it has more, no more is noted: its reader takes it for lost */
struct pl_child;     /* a program in namespaces of its own, and its init */

/**
 * Starts `argv` in new mount and PID namespaces (and a user namespace, if asked). It stays in the caller's
 * process group and is not PID 1; init is ours, ends everything when the program has ended, and ends with
 * everything if this process dies. `cwd` NULL: stays. `stdio`: descriptors for 0, 1, 2; -EBADF: the caller's.
 * Between fork and exec nothing but async-signal-safe calls is made.
 * Signals that are ignored stay so in the program, but for SIGCHLD; the signal mask is the caller's.
 * Errors of the view: *ret_step is the step that failed (-1: the namespaces themselves, n_steps: the watch,
 * n_steps + 1: `cwd`). That the program cannot be executed is told as an event, not here.
 */
int pl_child_start(const struct pl_view *view, char *const argv[], char *const envp[],
		   const char *cwd, const int stdio[3], struct pl_child **ret_child, int *ret_step);
/*
 * Job control. What the terminal sends (^C, ^Z) goes to the whole process group, caller and program: the caller
 * should ignore what the program is to decide (INT, QUIT). A stop is told only where the caller does not stop by
 * itself: of a program with a process group of its own, or by SIGSTOP. Then the caller 1. takes the terminal back
 * (tcsetpgrp() with SIGTTOU blocked), if it was in the foreground; 2. stops itself by SIGSTOP, so that its shell
 * sees it; 3. when it goes on, calls pl_child_resume(), `foreground` if the terminal's group is its own then.
 */
struct pl_child_event {
	enum pl_child_what {
		PL_CHILD_EXITED,   /* value: its status; no process is left in the namespace */
		PL_CHILD_SIGNALED, /* value: the signal that ended it; the same */
		PL_CHILD_STOPPED, /* value: the signal; the caller should stop too, then pl_child_resume() */
		PL_CHILD_NO_EXEC, /* value: errno of exec; the same */
	} what;
	int value;
	/* Of an end: where in what the view shows the program has left something mounted, relative to that,
	 * the child's; NULL: nowhere. What was written there is gone. */
	const char *mounted;
};
/** Readable when there is an event (or the end). */
int pl_child_fd(const struct pl_child *child);
/** Waits for the next one; -EINTR when a signal handler ran; after an end: that again. */
int pl_child_next(struct pl_child *child, struct pl_child_event *ret_event);
/** Sends a signal to the program alone. */
int pl_child_signal(struct pl_child *child, int signal);
/** Lets a stopped one go on; `foreground`: its process group gets the terminal first. */
int pl_child_resume(struct pl_child *child, bool foreground);
/** Whether an end was told of. */
bool pl_child_has_ended(const struct pl_child *child);
/** Ends everything in the namespace that still runs, waits until it is gone, its mounts too, and frees. NULL is
 * fine. */
void pl_child_close(struct pl_child *child);

/* ---- mount_point.c: read-only bind mounts ---- */

/** A descriptor of a new mount of the directory dirfd/name, read-only, nowhere yet; closed before it is put
 * somewhere, it is gone. -EPERM: this process may not mount; -EOPNOTSUPP: the kernel cannot. */
int pl_mount_clone(int dirfd, const char *name);
/** Mounts it at dirfd/name (no symlink followed), over what is there. */
int pl_mount_put(int mount_fd, int dirfd, const char *name);
/** Mounts it between the mount whose root `top_fd` is (O_PATH will do) and what that one covers: nobody
 * sees it before that one is detached. -EOPNOTSUPP: the kernel cannot (MOVE_MOUNT_BENEATH, Linux 6.5), or not
 * here. */
int pl_mount_put_beneath(int mount_fd, int top_fd);
/** Takes the mount whose root `top_fd` is out of sight; who is in it stays in it. */
int pl_mount_detach(int top_fd);
/** 1 if `fd` is the root of a mount, else 0. */
int pl_mount_is_root(int fd);
/** What is mounted at this very path, as this process sees it: for each mount the path of its root within
 * its file system, those on top and those covered. */
int pl_mount_roots_at(const char *path, struct pl_strings *ret_roots);
/** A word of a line of mountinfo, where the kernel writes blanks, newlines, commas and backslashes as \040. In
 * place. */
void pl_mount_unescape(char *s);

/* ---- mount.c ---- */

/** 1 if an overlay can be mounted over `lower` with upper and work in `scratch_fd` (a private, empty
 * directory; emptied again), with the options given; 0 if not, with *ret_why (static). Tried in a namespace
 * of its own. */
int pl_overlay_probe(int lower_fd, int scratch_fd, bool with_user_namespace, const char *options,
		     const char **ret_why);
/** 1 if new user namespaces can be made and a mount made in them; 0, and *ret_why: which sysctl, or what
 * forbids it (static). */
int pl_user_namespace_probe(const char **ret_why);
/** May this process make mounts? 1 or 0. */
int pl_may_mount(void);

/* ---- subvolume.c: btrfs ---- */

/** 1 if `fd` is the root of a btrfs subvolume, else 0. */
int pl_subvolume_is(int fd);
int pl_subvolume_create(int dirfd, const char *name);
/** Writable snapshot of the subvolume `fd` as dirfd/name. */
int pl_subvolume_snapshot(int fd, int dirfd, const char *name);
/** By ioctl; where this user may not, what is in it must have been erased before, and rmdir is tried. */
int pl_subvolume_delete(int dirfd, const char *name);

/* ---- handle.c ---- */

/**
 * Appends what names the file dirfd/name (no symlink followed) within its file system: the type of its
 * file handle, one byte, and the handle. It is what overlayfs writes in its marks, but for their frame
 * (`00 fb`, length, flags, and the uuid between the two, which no call tells on every file system).
 * -EOPNOTSUPP: the file system has none.
 */
int pl_handle_encode(int dirfd, const char *name, struct pl_buffer *b);

#endif
