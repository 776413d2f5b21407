/*
 * xattr.c - the encoding of extended attributes, and the choice of them: pure. Reading them from
 * files and setting them is inode.c's and restore.c's.
 *
 * X1  In an encoding names are sorted by bytes, a prefix first; none stands twice; each is of a
 *     namespace that is kept.
 * X2  A name is a C string where it stands: behind it comes the first byte of the length of its value,
 *     which is 0, since no value has more than 65,536 bytes.
 */
#include "object/xattr.h"

#include <stdlib.h>

static bool has_prefix(const char *name, size_t length, const char *prefix)
{
	size_t n = strlen(prefix);

	return length >= n && memcmp(name, prefix, n) == 0;
}

static bool is_any_of(const char *name, size_t length, const char *const *list)
{
	for (; *list; list++)
		if (length == strlen(*list) && memcmp(name, *list, length) == 0)
			return true;
	return false;
}

bool pl_xattr_is_acl(const char *name, size_t length)
{
	static const char *const acls[] = {"system.posix_acl_access", "system.posix_acl_default",
					   NULL};

	return is_any_of(name, length, acls);
}

bool pl_xattr_is_user(const char *name, size_t length)
{
	return has_prefix(name, length, "user.");
}

bool pl_xattr_is_kept(const char *name, size_t length)
{
	/* They belong to the machine and its policy, not to the file. */
	static const char *const local[] = {"security.selinux", "security.ima", "security.evm",
					    NULL};
	/* xfs shows its ACLs to root a second time, and takes them off together. */
	static const char *const twice[] = {"trusted.SGI_ACL_FILE", "trusted.SGI_ACL_DEFAULT",
					    NULL};

	if (length > PL_XATTR_NAME_MAX || memchr(name, '\0', length))
		return false;
	if (has_prefix(name, length, "security."))
		return !is_any_of(name, length, local);
	if (has_prefix(name, length, "trusted."))
		return !is_any_of(name, length, twice);
	return pl_xattr_is_user(name, length) || pl_xattr_is_acl(name, length);
}

static int compare_names(const char *a, size_t a_length, const char *b, size_t b_length)
{
	int order = memcmp(a, b, a_length < b_length ? a_length : b_length);

	if (order != 0)
		return order;
	return (a_length > b_length) - (a_length < b_length);
}

/* One attribute from bytes that may be anything. 0 if they are none. */
static bool read_one(struct pl_reader *r, const char **ret_name, size_t *ret_name_length,
		     const unsigned char **ret_value, size_t *ret_length)
{
	size_t name_length = pl_read_u8(r), length;
	const unsigned char *name = pl_read_bytes(r, name_length), *value;

	length = pl_read_u32(r);
	if (r->short_read || length > PL_XATTR_VALUE_MAX)
		return false;
	value = pl_read_bytes(r, length);
	if (!name || !value || r->short_read)
		return false;
	*ret_name = (const char *)name;
	*ret_name_length = name_length;
	*ret_value = value;
	*ret_length = length;
	return true;
}

bool pl_xattrs_are_valid(const unsigned char *xattrs, size_t length)
{
	struct pl_reader r = pl_reader_of(xattrs, length);
	const char *before = NULL, *name;
	const unsigned char *value;
	size_t before_length = 0, name_length, value_length;

	if (length > PL_XATTRS_MAX)
		return false;
	while (r.offset < r.length) {
		if (!read_one(&r, &name, &name_length, &value, &value_length) ||
		    !pl_xattr_is_kept(name, name_length))
			return false;
		if (before && compare_names(before, before_length, name, name_length) >= 0)
			return false;
		before = name;
		before_length = name_length;
	}
	return true;
}

int pl_meta_xattr_next(const struct pl_meta *meta, uint32_t *offset, const char **ret_name,
		       size_t *ret_name_length, const unsigned char **ret_value, size_t *ret_length)
{
	struct pl_reader r;
	bool is_whole;

	pl_assert(*offset <= meta->xattrs_length);
	if (*offset == meta->xattrs_length)
		return 0;
	pl_assert(meta->xattrs);
	r = pl_reader_of(meta->xattrs + *offset, meta->xattrs_length - *offset);
	is_whole = read_one(&r, ret_name, ret_name_length, ret_value, ret_length);
	pl_assert(is_whole);
	pl_assert((*ret_name)[*ret_name_length] == '\0'); /* X2 */
	*offset += (uint32_t)r.offset;
	return 1;
}

void pl_xattrs_add_head(struct pl_buffer *b, const char *name, size_t length)
{
	size_t name_length = strlen(name);

	pl_assert(pl_xattr_is_kept(name, name_length));
	pl_assert(length <= PL_XATTR_VALUE_MAX);
	pl_buffer_add_u8(b, (uint8_t)name_length);
	pl_buffer_add(b, name, name_length);
	pl_buffer_add_u32(b, (uint32_t)length);
}

/* ---- other names ---- */

struct renamed {
	char name[PL_XATTR_NAME_MAX + 1];
	const unsigned char *value; /* in the old encoding */
	size_t length;
};
struct renaming {
	struct renamed *list;
	size_t n, capacity;
};

static int by_name(const void *a, const void *b)
{
	const struct renamed *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static int collect_renamed(const struct pl_meta *meta,
			   const char *(*new_name)(void *self, const char *name), void *self,
			   struct renaming *x, bool *ret_is_same)
{
	const unsigned char *value;
	const char *name;
	size_t name_length, length;
	uint32_t offset = 0;

	*ret_is_same = true;
	while (pl_meta_xattr_next(meta, &offset, &name, &name_length, &value, &length)) {
		const char *other = new_name(self, name);

		*ret_is_same = *ret_is_same && other && strcmp(other, name) == 0;
		if (!other)
			continue;
		if (PL_ARRAY_GROW(x->list, x->capacity, x->n) < 0)
			return -ENOMEM;
		name_length = strlen(other);
		pl_assert(name_length <= PL_XATTR_NAME_MAX);
		memcpy(x->list[x->n].name, other, name_length + 1);
		x->list[x->n].value = value;
		x->list[x->n++].length = length;
	}
	return 0;
}

int pl_meta_rename_xattrs(struct pl_meta *meta, struct pl_buffer *xattrs,
			  const char *(*new_name)(void *self, const char *name), void *self)
{
	struct renaming x = {0};
	PL_BUFFER encoded = {0};
	bool is_same;
	int r = collect_renamed(meta, new_name, self, &x, &is_same);

	if (r == 0 && !is_same) {
		if (x.n > 1)
			qsort(x.list, x.n, sizeof(*x.list), by_name); /* X1 */
		for (size_t i = 0; i < x.n; i++) {
			pl_xattrs_add_head(&encoded, x.list[i].name, x.list[i].length);
			pl_buffer_add(&encoded, x.list[i].value, x.list[i].length);
		}
		pl_buffer_truncate(xattrs, 0);
		pl_buffer_add(xattrs, encoded.data, encoded.length); /* no more than there was */
		r = pl_buffer_ok(&encoded) && pl_buffer_ok(xattrs) ? 0 : -ENOMEM;
		meta->xattrs_length = (uint32_t)xattrs->length;
		meta->xattrs = xattrs->length > 0 ? xattrs->data : NULL;
		pl_assert(r < 0 || pl_xattrs_are_valid(meta->xattrs, meta->xattrs_length));
	}
	free(x.list);
	return r;
}
