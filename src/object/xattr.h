/*
 * xattr.h - inner header of object: which extended attributes are kept, and their encoding.
 */
#ifndef PL_OBJECT_XATTR_H
#define PL_OBJECT_XATTR_H

#include "object/object.h"

#define PL_XATTR_NAME_MAX 255

/** Is an attribute of this name part of the metadata (format.md, "Metadata")? */
bool pl_xattr_is_kept(const char *name, size_t length);
/** Is it one of the two POSIX ACLs? They are set through modes too, so they have an order. */
bool pl_xattr_is_acl(const char *name, size_t length);
/** Is it of user.*? Only these need permission to read or write the file itself. */
bool pl_xattr_is_user(const char *name, size_t length);
/** Do these bytes, from anywhere, keep the rules of an encoding? */
bool pl_xattrs_are_valid(const unsigned char *xattrs, size_t length);
/** Appends name and length of an attribute whose value of `length` bytes the caller adds next. */
void pl_xattrs_add_head(struct pl_buffer *b, const char *name, size_t length);

#endif
