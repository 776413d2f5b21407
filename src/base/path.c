/*
 * Names and relative paths, as bytes: which are valid, how they are ordered, built and compared. No
 * file system is asked: what a path leads to, and whether there are symlinks on it, is not known
 * here. A path here has no '/' at either end, no empty name, no "." and no "..".
 */
#include "base/base.h"

bool pl_name_is_valid(const char *name, size_t length)
{
	if (length == 0 || length > PL_NAME_MAX)
		return false;
	if (memchr(name, '/', length) || memchr(name, '\0', length))
		return false;
	return !(name[0] == '.' && (length == 1 || (length == 2 && name[1] == '.')));
}

/* Not isalnum(), which looks at the locale. */
static bool is_alphanumeric(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool pl_ref_name_is_valid(const char *name)
{
	static const char suffix[] = ".lock";
	size_t length = strnlen(name, PLEACH_REF_MAX + 1), suffix_length = sizeof(suffix) - 1;

	if (length > PLEACH_REF_MAX || !is_alphanumeric(name[0]))
		return false;
	for (size_t i = 1; i < length; i++) {
		if (!is_alphanumeric(name[i]) && !strchr("._-", name[i]))
			return false;
	}
	if (length >= suffix_length && strcmp(name + length - suffix_length, suffix) == 0)
		return false;
	return strcmp(name, "tree") != 0; /* "tree:HEX" is a revision */
}

bool pl_path_is_valid(const char *path)
{
	for (;;) {
		size_t length = strcspn(path, "/");

		if (!pl_name_is_valid(path, length))
			return false;
		path += length;
		if (!*path)
			return true;
		path++;
	}
}

/* The end below '/', '/' below every other byte. */
static int rank(char c)
{
	if (!c)
		return 0;
	return c == '/' ? 1 : 2 + (unsigned char)c;
}

int pl_path_compare(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return rank(*a) - rank(*b);
}

bool pl_path_is_below(const char *path, const char *above)
{
	size_t length = strlen(above);

	if (length == 0)
		return true;
	return strncmp(path, above, length) == 0 && (!path[length] || path[length] == '/');
}

size_t pl_path_common(const char *path, size_t length, const char *other)
{
	size_t common = 0;

	pl_assert(length == 0 || path[length] == '/');
	for (size_t i = 0; i <= length && path[i] == other[i]; i++) {
		if (path[i] == '/')
			common = i;
	}
	return common;
}

void pl_path_push(struct pl_buffer *path, const char *name, size_t length)
{
	pl_assert(length > 0 && !memchr(name, '/', length));
	if (path->length > 0)
		pl_buffer_add_u8(path, '/');
	pl_buffer_add(path, name, length);
}

void pl_path_pop(struct pl_buffer *path)
{
	const unsigned char *slash;

	/* The push may be what failed; then there is nothing to take off. */
	if (path->failed)
		return;
	pl_assert(path->length > 0);
	slash = memrchr(path->data, '/', path->length);
	pl_buffer_truncate(path, slash ? (size_t)(slash - path->data) : 0);
}

/* By its text alone: a symlink on the way, within the tree, is taken for a directory. An absolute
 * target leaves the tree as well, but not by "..", and means the same from every place. */
bool pl_path_escapes(const char *path, const char *target)
{
	size_t depth = 0;

	pl_assert(*path && *path != '/');
	if (*target == '/')
		return false;
	for (; *path; path++)
		depth += *path == '/';
	while (*target) {
		size_t length = strcspn(target, "/");

		if (length == 2 && target[0] == '.' && target[1] == '.') {
			if (depth == 0)
				return true;
			depth--;
		} else if (length > 0 && !(length == 1 && target[0] == '.')) {
			depth++;
		}
		target += length;
		target += *target == '/';
	}
	return false;
}
