/*
 * inode.h - inner header of object: something with metadata, be it open or only named, and what of
 * its metadata can be read and compared.
 */
#ifndef PL_OBJECT_INODE_H
#define PL_OBJECT_INODE_H

#include "object/object.h"

/** An open file or directory `fd`; or with a name what that is in the directory `fd`, not followed. */
struct pl_inode {
	int fd;
	const char *name; /* NULL: `fd` itself */
};
int pl_inode_stat(const struct pl_inode *inode, struct stat *ret_st);
int pl_inode_chown(const struct pl_inode *inode, uid_t uid, gid_t gid);
int pl_inode_chmod(const struct pl_inode *inode, mode_t mode);
int pl_inode_utimens(const struct pl_inode *inode, int64_t mtime_s, uint32_t mtime_ns);
int pl_inode_get_xattr(const struct pl_inode *inode, const char *xattr,
		       struct pl_buffer *ret_value);
int pl_inode_set_xattr(const struct pl_inode *inode, const char *xattr, const void *value,
		       size_t length);
int pl_inode_remove_xattr(const struct pl_inode *inode, const char *xattr);

/**
 * The names of its attributes that are kept, sorted, none twice. Their bytes are in `bytes`; the
 * array is NULL if there are none, else the caller's to free. One system call.
 */
int pl_inode_list_xattrs(const struct pl_inode *inode, struct pl_buffer *bytes,
			 const char ***ret_names, size_t *ret_n);
/** Appends the encoding of all that are kept. -EAGAIN: one went meanwhile; -E2BIG: too many. */
int pl_inode_read_xattrs(const struct pl_inode *inode, struct pl_buffer *xattrs);

/** The first field in which `found` is not `wanted` (static), NULL if there is none. An owner that is
 * not wanted is not compared. */
const char *pl_meta_difference(const struct pl_meta *found, const struct pl_meta *wanted);

#endif
