/*
 * What overlayfs notes in the extended attributes of its upper layer: `trusted.overlay.*`, or
 * `user.overlay.*` in a user namespace.
 *
 *   opaque    directory: `y` nothing below shows through; `x` it holds whiteouts that are files
 *   redirect  directory: the name it had, in the same directory of the base, or "/" and a path there
 *   whiteout  empty file in a directory with `x`
 *   metacopy  file: only its metadata was copied up
 *   origin, nlink, impure, uuid, upper, protattr, verity: nothing of the tree
 *   overlay.NAME  no mark, but the attribute `trusted.overlay.NAME` of the file itself
 *
 * M1  A program in the overlay cannot make a mark: what it sets is escaped. So a mark that overlayfs would
 *     not write was put there from outside, and is refused; the kernel would pass over some of them.
 */
#include "source/upper.h"

static const char *prefix_of(bool is_user)
{
	return is_user ? "user.overlay." : "trusted.overlay.";
}

/* What comes behind the prefix; NULL: an attribute like any other. */
static const char *mark_of(const char *name, bool is_user)
{
	const char *prefix = prefix_of(is_user);
	size_t n = strlen(prefix);

	return strncmp(name, prefix, n) == 0 ? name + n : NULL;
}

void pl_marks_done(struct pl_marks *marks)
{
	pl_buffer_done(&marks->redirect);
	*marks = (struct pl_marks){0};
}

static void reset(struct pl_marks *marks)
{
	struct pl_buffer redirect = marks->redirect;

	pl_buffer_truncate(&redirect, 0);
	*marks = (struct pl_marks){.redirect = redirect};
}

static int read_opaque(int fd, const char *name, struct pl_marks *marks, const char **ret_flaw)
{
	PL_BUFFER value = {0};
	int r = pl_xattr_get(fd, name, &value);

	if (r < 0)
		return r;
	if (value.length != 1 || (value.data[0] != 'x' && value.data[0] != 'y')) {
		*ret_flaw = "its mark 'opaque' has no value that overlayfs gives it";
		return -EBADMSG;
	}
	marks->is_opaque = value.data[0] == 'y';
	marks->has_xwhiteouts = value.data[0] == 'x';
	return 0;
}

static int read_redirect(int fd, const char *name, struct pl_marks *marks, const char **ret_flaw)
{
	PL_BUFFER value = {0};
	const char *text;
	bool is_valid;
	int r = pl_xattr_get(fd, name, &value);

	if (r < 0)
		return r;
	text = pl_buffer_string(&value);
	if (!text)
		return -ENOMEM;
	marks->is_redirected = true;
	marks->is_absolute = text[0] == '/';
	text += marks->is_absolute;
	is_valid =
		marks->is_absolute ? pl_path_is_valid(text) : pl_name_is_valid(text, strlen(text));
	if (!is_valid || strlen(text) + marks->is_absolute != value.length) {
		*ret_flaw = "its mark 'redirect' is no path in the tree below";
		return -EBADMSG;
	}
	pl_buffer_add_string(&marks->redirect, text);
	return pl_buffer_ok(&marks->redirect) ? 0 : -ENOMEM;
}

int pl_marks_read(int fd, bool is_user, struct pl_marks *marks, const char **ret_flaw)
{
	PL_BUFFER names = {0};
	int r = pl_xattr_list(fd, &names);

	reset(marks);
	for (size_t at = 0; r >= 0 && at < names.length;) {
		const char *name = (const char *)names.data + at;
		const char *mark = mark_of(name, is_user);

		if (mark && strcmp(mark, "opaque") == 0)
			r = read_opaque(fd, name, marks, ret_flaw);
		else if (mark && strcmp(mark, "redirect") == 0)
			r = read_redirect(fd, name, marks, ret_flaw);
		at += strlen(name) + 1;
	}
	if (r >= 0 && marks->is_opaque && marks->is_redirected) {
		*ret_flaw = "it is marked both as opaque and as redirected";
		return -EBADMSG;
	}
	return r < 0 ? r : 0;
}

int pl_marks_read_file(int dirfd, const char *name, bool is_user, struct pl_marks *marks)
{
	PL_BUFFER names = {0};
	int r = pl_xattr_list_at(dirfd, name, &names);

	reset(marks);
	for (size_t at = 0; r >= 0 && at < names.length;) {
		const char *mark = mark_of((const char *)names.data + at, is_user);

		if (mark && strcmp(mark, "metacopy") == 0)
			marks->is_metacopy = true;
		if (mark && strcmp(mark, "whiteout") == 0)
			marks->is_xwhiteout = true;
		at += strlen((const char *)names.data + at) + 1;
	}
	return r < 0 ? r : 0;
}

const char *pl_marks_rename(void *self, const char *name)
{
	static const char escape[] = "overlay.";
	struct pl_mark_names *names = self;
	const char *mark = mark_of(name, names->is_user);
	size_t prefix = strlen(prefix_of(names->is_user)), rest;

	if (!mark)
		return name;
	if (strncmp(mark, escape, strlen(escape)) != 0)
		return NULL;
	mark += strlen(escape);
	rest = strlen(mark);
	pl_assert(prefix + rest < sizeof(names->name)); /* shorter than a name that was read */
	memcpy(names->name, name, prefix);
	memcpy(names->name + prefix, mark, rest + 1);
	return names->name;
}

/*
 * struct ovl_fb: version 0, magic 0xfb, length of all, flags, type of the handle, uuid of its file
 * system, handle. The flags tell the byte order, which is this machine's, or that it is of no base.
 */
#define FRAME_LENGTH   21
#define FRAME_TYPE     4
#define FLAG_FOR_UPPER 4

int pl_marks_handle(const unsigned char *mark, size_t length, struct pl_buffer *b)
{
	if (length <= FRAME_LENGTH || mark[0] != 0 || mark[1] != 0xfb || mark[2] != length ||
	    (mark[3] & FLAG_FOR_UPPER))
		return -EBADMSG;
	pl_buffer_add_u8(b, mark[FRAME_TYPE]);
	pl_buffer_add(b, mark + FRAME_LENGTH, length - FRAME_LENGTH);
	return pl_buffer_ok(b) ? 0 : -ENOMEM;
}
