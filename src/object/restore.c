/*
 * restore.c - gives real files their metadata. Reading it is inode.c's.
 *
 * The order is the only one in which no step undoes an earlier one, and in which a user who owns the
 * file is not locked out of it by its own mode:
 *
 *   owner       before all: chown(2) takes setuid, setgid and capabilities off
 *   attributes  what was inherited off, the plain ones on, both read back: user.* can be read and
 *               written only while the mode lets the owner
 *   ACLs        they set the mode's permission bits
 *   mode        may change the mask of an access ACL, so that ACLs are read back behind it
 *   mtime       last of what is set
 *   stat        mode, owner and mtime read back
 *
 * R1  Success means that what was asked for was read back from the file: no attribute more or less.
 * R2  What is right already costs no call. A plain new file takes four to six: fstat, flistxattr,
 *     and as needed fchown, fchmod, utimens, fstat.
 * R3  What is known of a new file spares the look before, never the one behind: utimens and fstat, and as
 *     needed fchown and fchmod. Attributes are not read back where none are wanted and, by the directory, none
 *     can have been inherited.
 */
#include <stdlib.h>

#include "object/inode.h"
#include "object/xattr.h"

#define SET_ID 06000

static const char text_kind[] = "it is of another kind than what was made";
static const char text_look[] = "its metadata cannot be read";
static const char text_owner[] = "this user cannot give it its owner and group";
static const char text_owner_unknown[] = "its owner or group has no number in this user namespace";
static const char text_owner_lost[] = "its owner and group did not take";
static const char text_inherited[] = "an extended attribute that it inherited cannot be taken off";
static const char text_xattr[] = "this user cannot give it its extended attributes";
static const char text_xattr_kept[] = "the file system does not keep its extended attributes";
static const char text_xattr_invalid[] = "the kernel does not accept an extended attribute of it";
static const char text_xattr_large[] = "an attribute is too large for this file system";
static const char text_xattr_lost[] = "its extended attributes did not take";
static const char text_acl_lost[] = "its ACL did not take, or does not agree with its mode";
static const char text_mode[] = "this user cannot give it its mode";
static const char text_mode_lost[] = "its mode did not take";
static const char text_setgid_lost[] = "its setgid bit did not take: this user is not in its group";
static const char text_mtime[] = "its modification time cannot be set";
static const char text_mtime_lost[] = "the file system cannot keep its modification time";
static const char text_mtime_coarse[] = "the file system does not keep nanoseconds";

struct restore {
	struct pl_inode inode;
	const struct pl_meta *meta;
	struct stat st;	    /* as it was found */
	bool is_mode_known; /* st.st_mode is still what it has */
	bool is_changed;    /* something was set, so that it has to be looked at again */
	const char *why;
};

static int refuse(struct restore *x, const char *why)
{
	x->why = why;
	return -EPERM;
}

/* A call that failed: that it may not is a refusal, anything else comes through. */
static int failed(struct restore *x, int r, const char *why)
{
	pl_assert(r < 0);
	x->why = why;
	return r == -EACCES || r == -EROFS ? -EPERM : r;
}

/* ---- owner ---- */

static int restore_owner(struct restore *x)
{
	const struct pl_meta *meta = x->meta;
	int r;

	if (meta->uid == PLEACH_NO_OWNER ||
	    (x->st.st_uid == meta->uid && x->st.st_gid == meta->gid))
		return 0;
	r = pl_inode_chown(&x->inode, meta->uid, meta->gid);
	if (r == -EINVAL)
		return refuse(x, text_owner_unknown);
	if (r < 0)
		return failed(x, r, text_owner);
	x->is_changed = true;
	if (x->st.st_mode & SET_ID)
		x->is_mode_known = false;
	return 0;
}

/* ---- attributes ---- */

static bool has_acl(const struct pl_meta *meta)
{
	const unsigned char *value;
	const char *name;
	size_t name_length, length;
	uint32_t offset = 0;

	while (pl_meta_xattr_next(meta, &offset, &name, &name_length, &value, &length))
		if (pl_xattr_is_acl(name, name_length))
			return true;
	return false;
}

/* Appends the encoding of all that are no ACL. */
static int plain_xattrs(const struct pl_meta *meta, struct pl_buffer *b)
{
	const unsigned char *value;
	const char *name;
	size_t name_length, length;
	uint32_t offset = 0;

	while (pl_meta_xattr_next(meta, &offset, &name, &name_length, &value, &length)) {
		if (pl_xattr_is_acl(name, name_length))
			continue;
		pl_xattrs_add_head(b, name, length);
		pl_buffer_add(b, value, length);
	}
	return pl_buffer_ok(b) ? 0 : -ENOMEM;
}

/* On what was just made everything is inherited, even where it is of a wanted name. */
static int remove_inherited(struct restore *x, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int r = pl_inode_remove_xattr(&x->inode, names[i]);

		if (r < 0 && r != -ENODATA) {
			r = failed(x, r, text_inherited);
			return r == -EOPNOTSUPP || r == -EINVAL ? -EPERM : r;
		}
		x->is_changed = true;
		x->is_mode_known = false;
	}
	return 0;
}

static int set_xattr(struct restore *x, const char *name, const unsigned char *value, size_t length)
{
	int r = pl_inode_set_xattr(&x->inode, name, value, length);

	switch (r) {
	case 0:
		x->is_changed = true;
		return 0;
	case -ENOSPC:
	case -E2BIG:
	case -ERANGE:
		x->why = text_xattr_large;
		return -E2BIG;
	case -EOPNOTSUPP:
		return refuse(x, text_xattr_kept);
	case -EINVAL:
		return refuse(x, text_xattr_invalid);
	default:
		return failed(x, r, text_xattr);
	}
}

/* Sets the ACLs, or all others. */
static int set_xattrs(struct restore *x, bool acls)
{
	const unsigned char *value;
	const char *name;
	size_t name_length, length;
	uint32_t offset = 0;
	int r = 0;

	while (r == 0 && pl_meta_xattr_next(x->meta, &offset, &name, &name_length, &value, &length))
		if (pl_xattr_is_acl(name, name_length) == acls)
			r = set_xattr(x, name, value, length);
	return r;
}

/* The owner of a file that an inherited ACL or the umask left without r or w for him could not set
 * its user.* attributes. */
static int let_owner_in(struct restore *x)
{
	const unsigned char *value;
	const char *name;
	size_t name_length, length;
	uint32_t offset = 0;
	bool has_user = false;
	int r;

	while (pl_meta_xattr_next(x->meta, &offset, &name, &name_length, &value, &length))
		has_user = has_user || pl_xattr_is_user(name, name_length);
	if (!has_user || (x->st.st_mode & 0600) == 0600)
		return 0;
	r = pl_inode_chmod(&x->inode, (x->st.st_mode & 07777) | 0600);
	if (r < 0)
		return failed(x, r, text_mode);
	x->is_changed = true;
	x->is_mode_known = false;
	return 0;
}

/* Are these, in their encoding, all that it has? 1, 0 or an error. */
static int has_just(const struct pl_inode *inode, const unsigned char *xattrs, size_t length)
{
	PL_BUFFER found = {0};
	int r = pl_inode_read_xattrs(inode, &found);

	if (r < 0)
		return r == -E2BIG || r == -EAGAIN ? 0 : r;
	return found.length == length && (length == 0 || memcmp(found.data, xattrs, length) == 0);
}

/* The plain ones on, everything else off, read back. */
static int replace_plain(struct restore *x, const char *const *names, size_t n)
{
	PL_BUFFER plain = {0};
	int r = plain_xattrs(x->meta, &plain);

	if (r == 0)
		r = remove_inherited(x, names, n);
	if (r == 0 && plain.length > 0)
		r = let_owner_in(x);
	if (r == 0)
		r = set_xattrs(x, false);
	if (r < 0 || (n == 0 && plain.length == 0))
		return r; /* nothing was set or taken off: the listing has shown it */
	r = has_just(&x->inode, plain.data, plain.length); /* R1 */
	if (r < 0)
		return failed(x, r, text_xattr_lost);
	return r == 1 ? 0 : refuse(x, text_xattr_lost);
}

static int restore_xattrs(struct restore *x)
{
	const struct pl_meta *meta = x->meta;
	PL_BUFFER bytes = {0};
	PL_FREE const char **names = NULL;
	size_t n = 0;
	int r = pl_inode_list_xattrs(&x->inode, &bytes, &names, &n);

	if (r < 0)
		return failed(x, r, text_look);
	if (n == 0 && meta->xattrs_length == 0)
		return 0; /* nearly always, R2 */
	if (n > 0 && meta->xattrs_length > 0 &&
	    has_just(&x->inode, meta->xattrs, meta->xattrs_length) == 1)
		return 0; /* R2; that it cannot be read is no answer here */
	r = replace_plain(x, names, n);
	if (r < 0 || !has_acl(meta))
		return r;
	x->is_mode_known = false;
	return set_xattrs(x, true);
}

/* ---- mode ---- */

static int check_acls(struct restore *x)
{
	const unsigned char *value;
	const char *name;
	size_t name_length, length;
	uint32_t offset = 0;

	while (pl_meta_xattr_next(x->meta, &offset, &name, &name_length, &value, &length)) {
		PL_BUFFER found = {0};
		int r;

		if (!pl_xattr_is_acl(name, name_length))
			continue;
		r = pl_inode_get_xattr(&x->inode, name, &found);
		/* The kernel drops an ACL that says no more than the mode. */
		if (r == -ENODATA)
			return refuse(x, text_acl_lost);
		if (r < 0)
			return failed(x, r, text_acl_lost);
		/* It keeps the order of the entries, which is the only valid one. */
		if (found.length != length || memcmp(found.data, value, length) != 0)
			return refuse(x, text_acl_lost);
	}
	return 0;
}

static int restore_mode(struct restore *x)
{
	bool is_right = x->is_mode_known && (x->st.st_mode & 07777) == x->meta->mode;
	int r;

	if (S_ISLNK(x->st.st_mode) || is_right)
		return 0;
	r = pl_inode_chmod(&x->inode, x->meta->mode);
	if (r < 0)
		return failed(x, r, text_mode);
	x->is_changed = true;
	return 0;
}

/* ---- mtime ---- */

static bool has_mtime(const struct stat *st, const struct pl_meta *meta)
{
	return st->st_mtim.tv_sec == meta->mtime_s && st->st_mtim.tv_nsec == (long)meta->mtime_ns;
}

static int restore_mtime(struct restore *x)
{
	int r;

	if (has_mtime(&x->st, x->meta))
		return 0;
	r = pl_inode_utimens(&x->inode, x->meta->mtime_s, x->meta->mtime_ns);
	if (r < 0)
		return failed(x, r, text_mtime);
	x->is_changed = true;
	return 0;
}

/* ---- all of it ---- */

static int check_stat(struct restore *x)
{
	const struct pl_meta *meta = x->meta;
	struct stat st;
	mode_t lost;
	int r;

	if (!x->is_changed)
		return 0;
	r = pl_inode_stat(&x->inode, &st);
	if (r < 0)
		return failed(x, r, text_look);
	if (!pl_same_inode(&st, &x->st))
		return refuse(x, text_kind);
	if (meta->uid != PLEACH_NO_OWNER && (st.st_uid != meta->uid || st.st_gid != meta->gid))
		return refuse(x, text_owner_lost);
	lost = (st.st_mode & 07777) ^ meta->mode;
	if (lost != 0 && !S_ISLNK(st.st_mode))
		return refuse(x, lost == S_ISGID && (meta->mode & S_ISGID) ? text_setgid_lost
									   : text_mode_lost);
	if (has_mtime(&st, meta))
		return 0;
	return refuse(x, st.st_mtim.tv_sec == meta->mtime_s ? text_mtime_coarse : text_mtime_lost);
}

static int restore(struct restore *x, char kind)
{
	static int (*const steps[])(struct restore * x) = {
		restore_owner, restore_xattrs, restore_mode, check_acls, restore_mtime, check_stat,
	};
	int r = pl_inode_stat(&x->inode, &x->st);

	if (r < 0)
		return failed(x, r, text_look);
	if (pl_kind_of(x->st.st_mode) != kind)
		return refuse(x, text_kind);
	x->is_mode_known = true;
	for (size_t i = 0; r == 0 && i < PL_ARRAY_LEN(steps); i++)
		r = steps[i](x);
	pl_assert(r <= 0);
	pl_assert((r < 0) == (x->why != NULL) || r == -ENOMEM);
	return r;
}

int pl_meta_restore(int fd, const struct pl_meta *meta, char kind, const char **ret_why)
{
	struct restore x = {.inode = {.fd = fd}, .meta = meta};
	int r;

	pl_assert(fd >= 0);
	pl_assert(kind == PLEACH_FILE || kind == PLEACH_DIR);
	r = restore(&x, kind);
	if (r < 0)
		*ret_why = x.why ? x.why : text_look;
	return r;
}

/* 1: all of it took. 0: it did not, or cannot be done in this way. */
static int restore_known(int fd, const struct pl_meta *meta, const struct pl_fresh *fresh)
{
	struct restore x = {.inode = {.fd = fd}, .meta = meta, .is_mode_known = true};
	struct stat st;
	int r;

	x.st.st_mode = S_IFREG | fresh->mode;
	x.st.st_uid = fresh->uid;
	x.st.st_gid = fresh->gid;
	x.st.st_mtim.tv_nsec = -1; /* that of no metadata */
	r = restore_owner(&x);
	if (r == 0)
		r = restore_mode(&x);
	if (r == 0)
		r = restore_mtime(&x);
	if (r == 0)
		r = pl_fstat(fd, &st);
	return r == 0 && S_ISREG(st.st_mode) && (st.st_mode & 07777) == meta->mode &&
	       (meta->uid == PLEACH_NO_OWNER ||
		(st.st_uid == meta->uid && st.st_gid == meta->gid)) &&
	       has_mtime(&st, meta);
}

int pl_meta_restore_fresh(int fd, const struct pl_meta *meta, const struct pl_fresh *fresh,
			  const char **ret_why)
{
	if (fresh->is_known && fresh->is_without_xattrs && meta->xattrs_length == 0 &&
	    restore_known(fd, meta, fresh)) /* R3 */
		return 0;
	return pl_meta_restore(fd, meta, PLEACH_FILE, ret_why);
}

int pl_meta_restore_at(int dirfd, const char *name, const struct pl_meta *meta, char kind,
		       const char **ret_why)
{
	struct restore x = {.inode = {.fd = dirfd, .name = name}, .meta = meta};
	int r;

	pl_assert(name);
	pl_assert(kind != PLEACH_FILE && kind != PLEACH_DIR);
	r = restore(&x, kind);
	if (r < 0)
		*ret_why = x.why ? x.why : text_look;
	return r;
}

/* ---- who may ---- */

int pl_meta_may_restore(const struct pl_meta *meta, char kind, const char **ret_why)
{
	const char *why = NULL, *name;
	const unsigned char *value;
	size_t name_length, length;
	uint32_t offset = 0;

	if (pl_uid() == 0)
		return 0;
	if (kind == PLEACH_CHAR || kind == PLEACH_BLOCK)
		why = "only root can make a device";
	else if (meta->uid != PLEACH_NO_OWNER && meta->uid != pl_uid())
		why = "it belongs to another user";
	else if (meta->gid != PLEACH_NO_OWNER && !pl_in_group(meta->gid))
		why = "it belongs to a group that this user is not in";
	while (!why && pl_meta_xattr_next(meta, &offset, &name, &name_length, &value, &length))
		if (!pl_xattr_is_user(name, name_length) && !pl_xattr_is_acl(name, name_length))
			why = "it has attributes of trusted.* or security.*, which only root can "
			      "set";
	if (!why)
		return 0;
	*ret_why = why;
	return -EPERM;
}
