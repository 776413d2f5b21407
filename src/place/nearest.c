/*
 * Metadata as near to the wanted as this user and this file system allow. pl_meta_restore() does all or
 * refuses; here, when it refuses, what cannot be had is found out by looking at what has taken, is taken
 * out of the wish, and it is asked again: owner, then attributes, ACLs, mode, mtime.
 *
 * N1  What was asked for and is not in the finding was read back from the file: the last word is always
 *     pl_meta_restore()'s, but for a refusal that no part explains.
 * N2  A set-user-ID or set-group-ID bit never stands for another owner than the tree's. (cp does the
 *     same.)
 * N3  Nothing refused is an error; everything else (a full disk, an I/O error) is.
 */
#include <stdlib.h>

#include "place/checkout.h"

#define SET_ID 06000

struct subject {
	int fd;
	const char *name; /* NULL: `fd` itself */
	char kind;
	struct pl_meta meta;	 /* what is still asked for */
	struct pl_buffer xattrs; /* those of `meta`, once they are not the tree's any more */
	struct pl_buffer lost;	 /* one text for all that was left out */
	const char *why;
};

/* ---- open or named ---- */

static int restore(struct subject *s)
{
	return s->name ? pl_meta_restore_at(s->fd, s->name, &s->meta, s->kind, &s->why)
		       : pl_meta_restore(s->fd, &s->meta, s->kind, &s->why);
}

static int look(const struct subject *s, struct stat *ret_st)
{
	return s->name ? pl_lstat(s->fd, s->name, ret_st) : pl_fstat(s->fd, ret_st);
}

static int chown_to(const struct subject *s, uid_t uid, gid_t gid)
{
	return s->name ? pl_chown_at(s->fd, s->name, uid, gid) : pl_chown(s->fd, uid, gid);
}

static int set_xattr(const struct subject *s, const char *xattr, const void *value, size_t length)
{
	return s->name ? pl_xattr_set_at(s->fd, s->name, xattr, value, length)
		       : pl_xattr_set(s->fd, xattr, value, length);
}

static int remove_xattr(const struct subject *s, const char *xattr)
{
	return s->name ? pl_xattr_remove_at(s->fd, s->name, xattr) : pl_xattr_remove(s->fd, xattr);
}

static int read_meta(const struct subject *s, const struct stat *st, struct pl_buffer *xattrs,
		     struct pl_meta *ret_meta)
{
	return s->name ? pl_meta_read_at(s->fd, s->name, st, PL_RULE_EXACT, xattrs, ret_meta)
		       : pl_meta_read(s->fd, st, PL_RULE_EXACT, xattrs, ret_meta);
}

/* ---- what was left out ---- */

static void lose(struct subject *s)
{
	if (s->lost.length > 0)
		pl_buffer_add_string(&s->lost, "; ");
}

/* N3. */
static bool is_refusal(int r)
{
	return r == -EPERM || r == -EACCES || r == -EOPNOTSUPP || r == -EINVAL || r == -ENOSPC ||
	       r == -E2BIG || r == -ERANGE || r == -EROFS || r == -ENODATA;
}

/* ---- owner ---- */

/* 1: something was taken out of the wish. */
static int settle_owner(struct subject *s)
{
	struct stat st;
	int r = look(s, &st);

	if (r < 0)
		return r;
	if (s->meta.uid == PLEACH_NO_OWNER ||
	    (st.st_uid == s->meta.uid && st.st_gid == s->meta.gid))
		return 0;
	if (st.st_uid != s->meta.uid && st.st_gid != s->meta.gid) {
		/* The group may be one of his. */
		r = chown_to(s, st.st_uid, s->meta.gid);
		if (r >= 0)
			r = look(s, &st);
		if (r < 0 && !is_refusal(r))
			return r;
	}
	lose(s);
	if (st.st_uid != s->meta.uid)
		pl_buffer_add_format(&s->lost, "owner %u", s->meta.uid);
	if (st.st_uid != s->meta.uid && st.st_gid != s->meta.gid)
		pl_buffer_add_string(&s->lost, " and ");
	if (st.st_gid != s->meta.gid)
		pl_buffer_add_format(&s->lost, "group %u", s->meta.gid);
	pl_buffer_add_string(&s->lost, " not restored");
	if ((s->meta.mode & SET_ID) && s->kind != PLEACH_SYMLINK) /* N2 */
		pl_buffer_add_format(&s->lost, ", so mode %04o without set-ID bits", s->meta.mode);
	s->meta.uid = st.st_uid;
	s->meta.gid = st.st_gid;
	s->meta.mode &= (uint16_t)~SET_ID;
	pl_assert(s->meta.uid != PLEACH_NO_OWNER && s->meta.gid != PLEACH_NO_OWNER);
	return 1;
}

/* ---- attributes ---- */

/* Is this attribute, with this value, among those of `meta`? With no `value`: of any value. */
static bool has_xattr(const struct pl_meta *meta, const char *wanted, const unsigned char *value,
		      size_t length)
{
	const unsigned char *found;
	const char *name;
	size_t name_length, found_length;
	uint32_t offset = 0;

	while (pl_meta_xattr_next(meta, &offset, &name, &name_length, &found, &found_length))
		if (strcmp(name, wanted) == 0)
			return !value ||
			       (found_length == length && memcmp(found, value, length) == 0);
	return false;
}

/* Each by itself: those that are not wanted off, those that are on. */
static int set_each(const struct subject *s, const struct pl_meta *found)
{
	const unsigned char *value;
	const char *name;
	size_t name_length, length;
	uint32_t offset = 0;
	int r = 0;

	while (pl_meta_xattr_next(found, &offset, &name, &name_length, &value, &length)) {
		if (!has_xattr(&s->meta, name, NULL, 0))
			r = remove_xattr(s, name);
		if (r < 0 && !is_refusal(r))
			return r;
	}
	offset = 0;
	while (pl_meta_xattr_next(&s->meta, &offset, &name, &name_length, &value, &length)) {
		if (!has_xattr(found, name, value, length))
			r = set_xattr(s, name, value, length);
		if (r < 0 && !is_refusal(r))
			return r;
	}
	return 0;
}

/* Says which of `a` are not in `b`, with their values. */
static bool tell_difference(struct subject *s, const struct pl_meta *a, const struct pl_meta *b,
			    const char *verb)
{
	const unsigned char *value;
	const char *name;
	size_t name_length, length;
	uint32_t offset = 0;
	bool any = false;

	while (pl_meta_xattr_next(a, &offset, &name, &name_length, &value, &length)) {
		if (has_xattr(b, name, value, length))
			continue;
		any = true;
		lose(s);
		pl_buffer_add_format(&s->lost, "attribute %s not %s", name, verb);
	}
	return any;
}

static int settle_xattrs(struct subject *s)
{
	PL_BUFFER xattrs = {0};
	struct pl_meta found;
	bool differs;
	struct stat st;
	int r = look(s, &st);

	if (r >= 0)
		r = read_meta(s, &st, &xattrs, &found);
	if (r >= 0)
		r = set_each(s, &found);
	if (r >= 0)
		r = read_meta(s, &st, &xattrs, &found);
	if (r < 0)
		return is_refusal(r) ? 0 : r;
	differs = tell_difference(s, &s->meta, &found, "restored");
	if (!differs) /* else it may be the same name again, with another value */
		differs = tell_difference(s, &found, &s->meta, "taken off");
	if (!differs)
		return 0;
	pl_assert(xattrs.length <= PL_XATTRS_MAX);
	pl_buffer_done(&s->xattrs);
	s->xattrs = xattrs;
	xattrs = (struct pl_buffer){0};
	s->meta.xattrs = s->xattrs.length > 0 ? s->xattrs.data : NULL;
	s->meta.xattrs_length = (uint32_t)s->xattrs.length;
	return 1;
}

/* Those that do not agree with the mode: both cannot be had, and the mode is what all can have. */
static int settle_acls(struct subject *s)
{
	PL_BUFFER rest = {0};
	const unsigned char *value;
	const char *name;
	size_t name_length, length;
	uint32_t offset = 0;

	while (pl_meta_xattr_next(&s->meta, &offset, &name, &name_length, &value, &length)) {
		if (strcmp(name, "system.posix_acl_access") == 0)
			continue;
		pl_buffer_add_u8(&rest, (uint8_t)name_length);
		pl_buffer_add(&rest, name, name_length);
		pl_buffer_add_u32(&rest, (uint32_t)length);
		pl_buffer_add(&rest, value, length);
	}
	if (!pl_buffer_ok(&rest))
		return -ENOMEM;
	pl_assert(rest.length <= s->meta.xattrs_length);
	if (rest.length == s->meta.xattrs_length)
		return 0;
	lose(s);
	pl_buffer_add_string(&s->lost, "its ACL not restored");
	pl_buffer_done(&s->xattrs);
	s->xattrs = rest;
	rest = (struct pl_buffer){0};
	s->meta.xattrs = s->xattrs.length > 0 ? s->xattrs.data : NULL;
	s->meta.xattrs_length = (uint32_t)s->xattrs.length;
	return 1;
}

/* ---- mode and time ---- */

static int settle_mode(struct subject *s)
{
	struct stat st;
	int r = look(s, &st);

	if (r < 0)
		return r;
	if (s->kind == PLEACH_SYMLINK || (st.st_mode & 07777) == s->meta.mode)
		return 0;
	lose(s);
	pl_buffer_add_format(&s->lost, "mode %04o instead of %04o", (unsigned)(st.st_mode & 07777),
			     s->meta.mode);
	s->meta.mode = (uint16_t)(st.st_mode & 07777);
	return 1;
}

static int settle_mtime(struct subject *s)
{
	struct stat st;
	int r = look(s, &st);

	if (r < 0)
		return r;
	if (st.st_mtim.tv_sec == s->meta.mtime_s && st.st_mtim.tv_nsec == (long)s->meta.mtime_ns)
		return 0;
	lose(s);
	pl_buffer_add_string(&s->lost, "modification time not restored exactly");
	s->meta.mtime_s = st.st_mtim.tv_sec;
	s->meta.mtime_ns = (uint32_t)st.st_mtim.tv_nsec;
	return 1;
}

/* ---- all of it ---- */

/* 0, or the error that is none of refusal. */
static int settle(struct subject *s)
{
	static int (*const steps[])(struct subject * s) = {
		settle_owner, settle_xattrs, settle_acls, settle_mode, settle_mtime,
	};
	int r = restore(s);

	for (size_t i = 0; i < PL_ARRAY_LEN(steps) && (r == -EPERM || r == -E2BIG); i++) {
		int changed = steps[i](s);

		if (changed < 0)
			return changed;
		if (changed)
			r = restore(s); /* N1 */
	}
	if (r != -EPERM && r != -E2BIG)
		return r;
	lose(s);
	pl_buffer_add_string(&s->lost, s->why ? s->why : "not permitted");
	return 0;
}

int pl_nearest_meta(struct pl_findings *findings, const char *path, int fd, const char *name,
		    char kind, const struct pl_meta *meta, struct pleach_error *error)
{
	struct subject s = {.fd = fd, .name = name, .kind = kind, .meta = *meta};
	int r;

	pl_assert(fd >= 0 && path && meta->mode <= 07777);
	pl_assert((meta->uid == PLEACH_NO_OWNER) == (meta->gid == PLEACH_NO_OWNER));
	r = settle(&s);
	pl_assert(r != -EPERM && r != -E2BIG); /* N3 */
	if (r >= 0 && !pl_buffer_ok(&s.lost))
		r = -ENOMEM;
	if (r >= 0 && s.lost.length > 0)
		r = pl_findings_add(findings, false, "metadata", *path ? path : ".", "%s",
				    pl_buffer_string(&s.lost));
	if (r < 0)
		pl_maker_fail(r, path, error);
	pl_buffer_done(&s.xattrs);
	pl_buffer_done(&s.lost);
	return r;
}
