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

	if (length > PL_XATTR_NAME_MAX || memchr(name, '\0', length))
		return false;
	if (has_prefix(name, length, "security."))
		return !is_any_of(name, length, local);
	return pl_xattr_is_user(name, length) || has_prefix(name, length, "trusted.") ||
	       pl_xattr_is_acl(name, length);
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
