/*
 * object - one file's content and metadata: ids, metadata (reading it from and restoring it to real
 * files, the rules that reduce it, its encoding), hashing, and object files. The format is that of
 * docs/format.md, "Metadata" and "Objects".
 */
#ifndef PL_OBJECT_H
#define PL_OBJECT_H

#include "base/base.h"
#include "sys/sys.h"

/* ---- hash.c: SHA-256, by nettle ---- */

struct pl_hash;
int pl_hash_new(struct pl_hash **ret_hash); /* 0 or -ENOMEM; use pl_hash_free() */
void pl_hash_free(struct pl_hash *hash);
void pl_hash_add(struct pl_hash *hash, const void *data, size_t length);
void pl_hash_end(struct pl_hash *hash, struct pl_id *ret_id); /* and begins anew */
/** pl_copy_rest() of what is hashed as well; *size grows by what was copied. */
int pl_hash_copy(struct pl_hash *hash, int from_fd, uint64_t at, int to_fd, uint64_t *size);
/** In one call. */
void pl_hash_of(const void *data, size_t length, struct pl_id *ret_id);
/** H(""), the content of every empty file. */
extern const struct pl_id pl_hash_empty;

/* ---- metadata.c: the value and its encoding ---- */

#define PL_XATTRS_MAX	   (1u << 20)
#define PL_XATTR_VALUE_MAX 65536u

/**
 * Metadata of anything. `xattrs` is their encoding (format.md, without the length in front), NULL if
 * there are none; who owns the bytes is said where a pl_meta is handed out.
 */
struct pl_meta {
	uint16_t mode;
	uint32_t uid, gid; /* PLEACH_NO_OWNER: not recorded */
	int64_t mtime_s;
	uint32_t mtime_ns;
	uint32_t xattrs_length;
	const unsigned char *xattrs;
};
bool pl_meta_equal(const struct pl_meta *a, const struct pl_meta *b);
/** The same, but for the mtime. */
bool pl_meta_equal_but_mtime(const struct pl_meta *a, const struct pl_meta *b);
void pl_meta_encode(const struct pl_meta *meta, struct pl_buffer *b);
/** 0 or -EBADMSG if a rule is broken or bytes are missing. xattrs points into the reader's bytes. */
int pl_meta_decode(struct pl_reader *r, struct pl_meta *ret_meta);
/** One xattr after the other: 1 and the next, 0 at the end. `*offset` begins at 0. */
int pl_meta_xattr_next(const struct pl_meta *meta, uint32_t *offset, const char **ret_name,
		       size_t *ret_name_length, const unsigned char **ret_value,
		       size_t *ret_length);
/**
 * Gives the attributes of *meta other names; their encoding is all of `xattrs`, and *meta leads there.
 * `new_name` returns the new name (its own until the next call, or the old one), or NULL to leave the
 * attribute out. No two may come to have one name, and each must be one that is kept. 0 or -ENOMEM.
 */
int pl_meta_rename_xattrs(struct pl_meta *meta, struct pl_buffer *xattrs,
			  const char *(*new_name)(void *self, const char *name), void *self);

enum pl_rule { PL_RULE_EXACT, PL_RULE_PORTABLE, PL_RULE_CANONICAL };
int pl_rule_parse(const char *name, enum pl_rule *ret_rule); /* 0 or -EINVAL */
const char *pl_rule_name(enum pl_rule rule);
/** Reduces `meta` of something of `kind` (an enum pleach_type) as the rule says. */
void pl_meta_reduce(struct pl_meta *meta, char kind, enum pl_rule rule);

/** Object id of a file. */
void pl_object_id(const struct pl_meta *meta, uint64_t size, const struct pl_id *content,
		  struct pl_id *ret_id);

/* ---- restore.c: metadata of real files ---- */

/** The enum pleach_type of a mode, or 0 if it is of none. */
char pl_kind_of(mode_t mode);
/**
 * Reads the metadata of an open file or directory, whose fstat is given. The xattr encoding goes to
 * `xattrs` (emptied first), and ret_meta->xattrs points into it. -E2BIG: more than PL_XATTRS_MAX.
 * With a rule other than exact no xattr is read.
 */
int pl_meta_read(int fd, const struct stat *st, enum pl_rule rule, struct pl_buffer *xattrs,
		 struct pl_meta *ret_meta);
/** The same for dirfd/name, of any kind, not followed. */
int pl_meta_read_at(int dirfd, const char *name, const struct stat *st, enum pl_rule rule,
		    struct pl_buffer *xattrs, struct pl_meta *ret_meta);
/**
 * May this user restore it? 0, or -EPERM with the reason in *ret_why (static): owned by another user,
 * a group he is not in, a device, an xattr of trusted.* or security.*. Root may everything.
 */
int pl_meta_may_restore(const struct pl_meta *meta, char kind, const char **ret_why);
/**
 * Gives an open file or directory that was just made by us this metadata: what it inherited (ACLs,
 * setgid group) off, then owner, xattrs, mode, capabilities, mtime; then reads back and compares.
 * -EPERM: did not take, *ret_why says what (static); -E2BIG: an xattr is too large for this file
 * system (never -ENOSPC for that). With any other errno *ret_why says at what it was. Costs no call
 * for what is right already.
 */
int pl_meta_restore(int fd, const struct pl_meta *meta, char kind, const char **ret_why);
/**
 * What a new file is like before anything of it was set, as far as who made it can know: then it need not
 * be looked at first.
 */
struct pl_fresh {
	bool is_known;		/* else the rest means nothing */
	bool is_without_xattrs; /* none are inherited where it was made */
	uid_t uid;
	gid_t gid;
	mode_t mode;
};
/**
 * pl_meta_restore() of a file that was just made, and is believed to be `fresh`. What comes out is read back
 * as ever, and if it is not right, all is done as if nothing had been known.
 */
int pl_meta_restore_fresh(int fd, const struct pl_meta *meta, const struct pl_fresh *fresh,
			  const char **ret_why);
/** The same for dirfd/name of a kind that cannot be opened: symlink, FIFO, socket, device. */
int pl_meta_restore_at(int dirfd, const char *name, const struct pl_meta *meta, char kind,
		       const char **ret_why);
/**
 * Does dirfd/name have this metadata? 1 or 0, or an error. `*ret_what` (static): the first field that
 * differs. An owner that is not recorded matches any.
 */
int pl_meta_matches_at(int dirfd, const char *name, const struct stat *st,
		       const struct pl_meta *meta, const char **ret_what);

/* ---- store.c: where objects and nodes are ---- */

/** "ab/cdef..." below objects/ or nodes/. */
#define PL_FANOUT_NAME 66
void pl_fanout_name(const struct pl_id *id, char ret_name[PL_FANOUT_NAME]);
/**
 * Links from_dirfd/from_name to its name below `pool_fd` (objects/ or nodes/); makes the two-digit
 * directory where it is missing, mode 0700. 0: linked now; 1: the name was there already (maybe with
 * another inode). EMLINK and ENOSPC come through.
 */
int pl_pool_link(int pool_fd, const struct pl_id *id, int from_dirfd, const char *from_name);
/** 1, 0 or an error. */
int pl_pool_has(int pool_fd, const struct pl_id *id);
/** Open for reading, -ENOENT if missing. */
int pl_pool_open(int pool_fd, const struct pl_id *id);
/** fsyncs the two-digit directory (and the pool, for its name). For file systems without syncfs. */
int pl_pool_sync(int pool_fd, const struct pl_id *id);

/** Has the file open at `fd` this content? 0; -EBADMSG, and *ret_why (static) is "size" or "content"; errors. */
int pl_content_verify(int fd, uint64_t size, const struct pl_id *content, const char **ret_why);
/**
 * Verifies the object file open at `fd`: content against its hash, metadata and kind against the id.
 * 0; -EBADMSG if it does not verify, and *ret_why (static) is the first that differs: "id", "kind",
 * "size", "content" or a field as pl_meta_matches_at() names it; other errors.
 */
int pl_object_verify(int fd, const struct pl_id *id, const struct pl_meta *meta, uint64_t size,
		     const struct pl_id *content, const char **ret_why);
/**
 * The same for an object file of which nothing is known but its name: that the id is the one of its
 * own content and metadata, its owner recorded or not. *ret_st: its fstat, also with -EBADMSG. *ret_why
 * is "kind", "size", "extended attributes", or "id", which may be content or metadata.
 */
int pl_object_verify_alone(int fd, const struct pl_id *id, struct stat *ret_st,
			   const char **ret_why);

#endif
