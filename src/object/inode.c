/*
 * inode.c - reads the metadata of real files and compares it. Changing it is restore.c's.
 *
 * I1  Where a file has no attributes, one system call says so, and no other is made for them.
 * I2  A listing and the values behind it are of one moment, or the answer is -EAGAIN.
 */
#include "object/inode.h"

#include <stdlib.h>

#include "object/xattr.h"

#define NS_PER_S 1000000000

/* ---- open or named ---- */

int pl_inode_stat(const struct pl_inode *inode, struct stat *ret_st)
{
	return inode->name ? pl_lstat(inode->fd, inode->name, ret_st) : pl_fstat(inode->fd, ret_st);
}

int pl_inode_chown(const struct pl_inode *inode, uid_t uid, gid_t gid)
{
	return inode->name ? pl_chown_at(inode->fd, inode->name, uid, gid)
			   : pl_chown(inode->fd, uid, gid);
}

int pl_inode_chmod(const struct pl_inode *inode, mode_t mode)
{
	return inode->name ? pl_chmod_at(inode->fd, inode->name, mode) : pl_chmod(inode->fd, mode);
}

int pl_inode_utimens(const struct pl_inode *inode, int64_t mtime_s, uint32_t mtime_ns)
{
	return inode->name ? pl_utimens_at(inode->fd, inode->name, mtime_s, mtime_ns)
			   : pl_utimens(inode->fd, mtime_s, mtime_ns);
}

int pl_inode_get_xattr(const struct pl_inode *inode, const char *xattr, struct pl_buffer *ret_value)
{
	return inode->name ? pl_xattr_get_at(inode->fd, inode->name, xattr, ret_value)
			   : pl_xattr_get(inode->fd, xattr, ret_value);
}

int pl_inode_set_xattr(const struct pl_inode *inode, const char *xattr, const void *value,
		       size_t length)
{
	return inode->name ? pl_xattr_set_at(inode->fd, inode->name, xattr, value, length)
			   : pl_xattr_set(inode->fd, xattr, value, length);
}

int pl_inode_remove_xattr(const struct pl_inode *inode, const char *xattr)
{
	return inode->name ? pl_xattr_remove_at(inode->fd, inode->name, xattr)
			   : pl_xattr_remove(inode->fd, xattr);
}

/* ---- attributes ---- */

static int by_bytes(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* A file system that answers from a program may name one twice. */
static size_t drop_doubles(const char **names, size_t n)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++)
		if (kept == 0 || strcmp(names[kept - 1], names[i]) != 0)
			names[kept++] = names[i];
	return kept;
}

int pl_inode_list_xattrs(const struct pl_inode *inode, struct pl_buffer *bytes,
			 const char ***ret_names, size_t *ret_n)
{
	PL_FREE const char **names = NULL;
	size_t n = 0, capacity = 0, length;
	int r;

	pl_assert(bytes->length == 0);
	r = inode->name ? pl_xattr_list_at(inode->fd, inode->name, bytes)
			: pl_xattr_list(inode->fd, bytes);
	if (r < 0)
		return r;
	if (!pl_buffer_ok(bytes))
		return -ENOMEM;
	for (size_t at = 0; at < bytes->length; at += length + 1) {
		const char *name = (const char *)bytes->data + at;

		length = strlen(name);
		if (!pl_xattr_is_kept(name, length))
			continue;
		r = PL_ARRAY_GROW(names, capacity, n);
		if (r < 0)
			return r;
		names[n++] = name;
	}
	if (n > 1) {
		qsort(names, n, sizeof(*names), by_bytes);
		n = drop_doubles(names, n);
	}
	*ret_n = n;
	*ret_names = names;
	names = NULL;
	return 0;
}

static int append_xattr(const struct pl_inode *inode, const char *name, struct pl_buffer *xattrs)
{
	PL_BUFFER value = {0};
	int r = pl_inode_get_xattr(inode, name, &value);

	if (r < 0)
		return r == -ENODATA ? -EAGAIN : r; /* I2 */
	if (value.length > PL_XATTR_VALUE_MAX)
		return -E2BIG;
	pl_xattrs_add_head(xattrs, name, value.length);
	pl_buffer_add(xattrs, value.data, value.length);
	return pl_buffer_ok(&value) && pl_buffer_ok(xattrs) ? 0 : -ENOMEM;
}

int pl_inode_read_xattrs(const struct pl_inode *inode, struct pl_buffer *xattrs)
{
	PL_BUFFER bytes = {0};
	PL_FREE const char **names = NULL;
	size_t n = 0, start = xattrs->length;
	int r = pl_inode_list_xattrs(inode, &bytes, &names, &n);

	for (size_t i = 0; r == 0 && i < n; i++) {
		r = append_xattr(inode, names[i], xattrs);
		if (r == 0 && xattrs->length - start > PL_XATTRS_MAX)
			r = -E2BIG;
	}
	return r;
}

/* ---- reading all of it ---- */

char pl_kind_of(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return PLEACH_FILE;
	case S_IFDIR:
		return PLEACH_DIR;
	case S_IFLNK:
		return PLEACH_SYMLINK;
	case S_IFIFO:
		return PLEACH_FIFO;
	case S_IFSOCK:
		return PLEACH_SOCKET;
	case S_IFCHR:
		return PLEACH_CHAR;
	case S_IFBLK:
		return PLEACH_BLOCK;
	default:
		return 0;
	}
}

static int from_stat(const struct stat *st, struct pl_meta *ret_meta)
{
	/* No kernel says so of its own; a file system that answers from a program may. */
	if (pl_kind_of(st->st_mode) == 0 || st->st_uid == PLEACH_NO_OWNER ||
	    st->st_gid == PLEACH_NO_OWNER || st->st_mtim.tv_nsec < 0 ||
	    st->st_mtim.tv_nsec >= NS_PER_S)
		return -EIO;
	*ret_meta = (struct pl_meta){
		/* Some file systems show other modes of symlinks; they mean nothing. */
		.mode = S_ISLNK(st->st_mode) ? 0777 : (uint16_t)(st->st_mode & 07777),
		.uid = st->st_uid,
		.gid = st->st_gid,
		.mtime_s = st->st_mtim.tv_sec,
		.mtime_ns = (uint32_t)st->st_mtim.tv_nsec,
	};
	return 0;
}

static int read_meta(const struct pl_inode *inode, const struct stat *st, enum pl_rule rule,
		     struct pl_buffer *xattrs, struct pl_meta *ret_meta)
{
	struct pl_meta meta;
	int r = from_stat(st, &meta);

	if (r < 0)
		return r;
	pl_buffer_truncate(xattrs, 0);
	if (rule == PL_RULE_EXACT) {
		r = pl_inode_read_xattrs(inode, xattrs);
		if (r < 0)
			return r;
		meta.xattrs_length = (uint32_t)xattrs->length;
		meta.xattrs = xattrs->length > 0 ? xattrs->data : NULL;
		pl_assert(pl_xattrs_are_valid(meta.xattrs, meta.xattrs_length));
	}
	pl_meta_reduce(&meta, pl_kind_of(st->st_mode), rule);
	*ret_meta = meta;
	return 0;
}

int pl_meta_read(int fd, const struct stat *st, enum pl_rule rule, struct pl_buffer *xattrs,
		 struct pl_meta *ret_meta)
{
	const struct pl_inode inode = {.fd = fd};

	pl_assert(fd >= 0);
	return read_meta(&inode, st, rule, xattrs, ret_meta);
}

int pl_meta_read_at(int dirfd, const char *name, const struct stat *st, enum pl_rule rule,
		    struct pl_buffer *xattrs, struct pl_meta *ret_meta)
{
	const struct pl_inode inode = {.fd = dirfd, .name = name};

	pl_assert(name);
	return read_meta(&inode, st, rule, xattrs, ret_meta);
}

/* ---- comparing ---- */

const char *pl_meta_difference(const struct pl_meta *found, const struct pl_meta *wanted)
{
	struct pl_meta owned = *wanted;

	if (wanted->uid == PLEACH_NO_OWNER) {
		owned.uid = found->uid;
		owned.gid = found->gid;
	}
	if (found->mode != owned.mode)
		return "mode";
	if (found->uid != owned.uid)
		return "owner";
	if (found->gid != owned.gid)
		return "group";
	if (found->mtime_s != owned.mtime_s || found->mtime_ns != owned.mtime_ns)
		return "modification time";
	return pl_meta_equal(found, &owned) ? NULL : "extended attributes";
}

int pl_meta_matches_at(int dirfd, const char *name, const struct stat *st,
		       const struct pl_meta *meta, const char **ret_what)
{
	PL_BUFFER xattrs = {0};
	struct pl_meta found, wanted = *meta;
	const char *what;
	int r = pl_meta_read_at(dirfd, name, st, PL_RULE_EXACT, &xattrs, &found);

	if (r == -E2BIG) { /* more than any metadata can say */
		*ret_what = "extended attributes";
		return 0;
	}
	if (r < 0)
		return r;
	if (S_ISLNK(st->st_mode))
		wanted.mode = found.mode;
	what = pl_meta_difference(&found, &wanted);
	if (what)
		*ret_what = what;
	return what == NULL;
}
