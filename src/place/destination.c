/*
 * Where a checkout goes: from the path that the user gave to a name in a directory that is open.
 *
 * D1  `name` is a plain name, neither "." nor "..", and was not a symlink when it was looked at: a
 *     rename over it replaces what the user sees there.
 */
#include <fcntl.h>

#include "place/checkout.h"

void pl_destination_done(struct pl_destination *to)
{
	pl_closep(&to->parent_fd);
}

static int set_name(struct pl_destination *to, const char *name, size_t length)
{
	if (length > PL_NAME_MAX)
		return -ENAMETOOLONG;
	if (!pl_name_is_valid(name, length))
		return -EINVAL;
	memcpy(to->name, name, length);
	to->name[length] = '\0';
	return 0;
}

/* Of a directory that is there: its real parent, and its name in that. */
static int find_real(const char *directory, struct pl_destination *to)
{
	PL_CLOSE int fd = pl_open_follow(AT_FDCWD, directory, O_RDONLY | O_DIRECTORY);
	PL_BUFFER path = {0};
	struct stat here, there;
	const char *name;
	int r = fd < 0 ? fd : pl_real_path(fd, &path);

	if (r < 0)
		return r;
	name = strrchr(pl_buffer_string(&path), '/');
	if (!name || name[1] == '\0')
		return -EBUSY; /* the root */
	r = set_name(to, name + 1, strlen(name + 1));
	if (r < 0)
		return r;
	to->parent_fd = pl_open_dir(fd, "..");
	if (to->parent_fd < 0)
		return to->parent_fd;
	/* Moved just now, or a mount lies on it. */
	r = pl_fstat(fd, &here);
	if (r >= 0)
		r = pl_lstat(to->parent_fd, to->name, &there);
	if (r < 0)
		return r;
	return pl_same_inode(&here, &there) ? 0 : -ESTALE;
}

/* 1: found by its text alone. 0: it has to be found by what it leads to. */
static int find_plain(const char *path, size_t length, struct pl_destination *to)
{
	PL_BUFFER parent = {0};
	size_t slash = length;
	struct stat st;
	int r;

	while (slash > 0 && path[slash - 1] != '/')
		slash--;
	r = set_name(to, path + slash, length - slash);
	if (r < 0)
		return r == -EINVAL ? 0 : r;
	pl_buffer_add(&parent, slash > 0 ? path : ".", slash > 0 ? slash : 1);
	if (!pl_buffer_ok(&parent))
		return -ENOMEM;
	to->parent_fd = pl_open_follow(AT_FDCWD, pl_buffer_string(&parent), O_RDONLY | O_DIRECTORY);
	if (to->parent_fd < 0)
		return to->parent_fd;
	r = pl_lstat(to->parent_fd, to->name, &st);
	if (r < 0)
		return r == -ENOENT ? 1 : r;
	if (!S_ISLNK(st.st_mode))
		return 1;
	pl_closep(&to->parent_fd); /* D1 */
	pl_assert(to->parent_fd < 0);
	return 0;
}

/* The state, unless it is a directory that cannot be read. */
static int look(struct pl_destination *to)
{
	PL_CLOSE int fd = -EBADF;
	struct stat st;
	int r = pl_lstat(to->parent_fd, to->name, &st);

	if (r < 0 && r != -ENOENT)
		return r;
	to->state = r == -ENOENT ? PL_TO_NOTHING : S_ISDIR(st.st_mode) ? PL_TO_FULL : PL_TO_OTHER;
	if (to->state != PL_TO_FULL)
		return 0;
	fd = pl_open_dir(to->parent_fd, to->name);
	if (fd < 0)
		return fd;
	pl_assert(to->parent_fd >= 0);
	r = pl_dir_is_empty(fd);
	if (r == 0) {
		r = pl_beside_sweep(fd);
		if (r >= 0)
			r = pl_dir_is_empty(fd);
	}
	if (r == 1)
		to->state = PL_TO_EMPTY;
	return r < 0 ? r : 0;
}

static int fail(int r, const char *directory, struct pleach_error *error)
{
	if (r == -EBUSY)
		pl_fail(error, PLEACH_FAILED, r, "'%s' is the root directory", directory);
	else
		pl_fail_sys(error, r, "cannot check out to '%s'", directory);
	pl_error_path(error, directory);
	if (r == -ENOENT)
		pl_hint(error,
			"the directory above it must be there, and a symlink must lead to one");
	return r;
}

int pl_destination_find(const char *directory, struct pl_destination *ret_to,
			struct pleach_error *error)
{
	struct pl_destination to = PL_DESTINATION_NONE;
	size_t length = strlen(directory);
	int r;

	if (length == 0)
		return pl_fail_usage(error, "the directory's name is empty");
	while (length > 0 && directory[length - 1] == '/')
		length--;
	r = find_plain(directory, length, &to);
	if (r == 0)
		r = find_real(directory, &to);
	if (r >= 0)
		r = look(&to);
	if (r < 0) {
		pl_destination_done(&to);
		return fail(r, directory, error);
	}
	pl_assert(to.parent_fd >= 0 && pl_name_is_valid(to.name, strlen(to.name))); /* D1 */
	*ret_to = to;
	return 0;
}
