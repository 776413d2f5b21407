/*
 * erase.c - removing a tree that may hold anything: any depth, directories without permissions,
 * symlinks and mounts to places that must stay as they are.
 *
 * Invariants:
 *  E1  What is entered is a real directory on the device of the directory that it is in, or a btrfs
 *      subvolume, which has a device number of its own; and no mount: openat2() does not cross one, and
 *      without it the ids of the mounts are compared. The device alone is not enough: a bind mount has
 *      the same.
 *  E2  A mode is changed only after a call was refused, and only by adding u+rwx; flags that keep things
 *      as they are (chattr +i, +a) are taken off only then, too.
 *  E3  frames[i] belongs to level i + 1 of the walk.
 */
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sys/seam.h"

struct frame {
	struct pl_listing listing;
	size_t next;	 /* the entry to be looked at next */
	bool is_widened; /* u+rwx was tried, once */
};

struct eraser {
	struct pl_walk walk;
	struct frame *frames;
	size_t n, capacity;
	const char *spare; /* at the top */
	int first_error;
	uint64_t *freed; /* NULL: nobody asks */
};

static void note(struct eraser *e, int r)
{
	if (r < 0 && e->first_error == 0)
		e->first_error = r;
}

static bool is_refusal(int r)
{
	return r == -EACCES || r == -EPERM;
}

static bool is_missing_permission(const struct stat *st)
{
	return S_ISDIR(st->st_mode) && (st->st_mode & S_IRWXU) != S_IRWXU;
}

/* ---- going in ---- */

/* openat2() that crosses no mount. -ENOSYS where there is none, or where a sandbox refuses it. */
static int open_on_same_mount(int dirfd, const char *name)
{
	struct open_how how = {.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
			       .resolve = RESOLVE_NO_XDEV};
	int fd, higher;

	if (!pl_seam_has(PL_CAP_OPENAT2))
		return -ENOSYS;
	fd = PL_RETRY(syscall(SYS_openat2, dirfd, name, &how, sizeof(how)));
	if (fd == -EPERM || fd == -EINVAL || fd == -EAGAIN)
		return -ENOSYS;
	if (fd < 0 || fd > 2)
		return fd;
	higher = pl_dup(fd); /* F1 of file.c */
	pl_close(fd);
	return higher;
}

/* The id of the mount that `fd` was opened through; -ENOSYS if it is not to be had. */
static int mount_of(int fd)
{
	PL_BUFFER text = {0};
	char path[40];
	char *id;
	uint64_t value;

	(void)snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	if (pl_read_file(AT_FDCWD, path, 4096, &text) < 0 || text.length == 0)
		return -ENOSYS;
	id = strstr((char *)text.data, "mnt_id:\t");
	if (!id)
		return -ENOSYS;
	id += strlen("mnt_id:\t");
	id[strcspn(id, "\n")] = '\0';
	return pl_parse_u64(id, INT_MAX, &value) < 0 ? -ENOSYS : (int)value;
}

/* Opens directory dirfd/name, keeping E1. */
static int open_inside(int dirfd, const char *name, bool *ret_is_subvolume)
{
	PL_CLOSE int fd = open_on_same_mount(dirfd, name);
	struct stat parent, st;
	int r;

	*ret_is_subvolume = false;
	if (fd == -ENOSYS) {
		int above = mount_of(dirfd), here;

		fd = above < 0 ? above : pl_open_dir(dirfd, name);
		here = fd < 0 ? fd : mount_of(fd);
		if (here < 0 || here != above)
			return here < 0 ? here : -EXDEV;
	}
	if (fd < 0)
		return fd;
	r = pl_fstat(fd, &st);
	if (r >= 0)
		r = pl_fstat(dirfd, &parent);
	if (r < 0)
		return r;
	if (st.st_dev != parent.st_dev) {
		if (pl_subvolume_is(fd) != 1)
			return -EXDEV;
		*ret_is_subvolume = true;
	}
	return pl_take_fd(&fd);
}

/* E2, for a directory that may not even be opened. */
static bool widen_at(int dirfd, const char *name)
{
	struct stat st;

	return pl_lstat(dirfd, name, &st) == 0 && is_missing_permission(&st) &&
	       pl_chmod_at(dirfd, name, (st.st_mode & 07777) | S_IRWXU) == 0;
}

/* E2, for the current directory. True if it makes sense to try again. */
static bool widen_current(struct eraser *e)
{
	struct frame *frame = &e->frames[e->n - 1];
	int fd = pl_walk_fd(&e->walk);
	struct stat st;
	bool is_free;

	if (frame->is_widened)
		return false;
	frame->is_widened = true;
	is_free = pl_clear_flags(fd) == 1; /* first: they keep the mode too */
	return (pl_fstat(fd, &st) == 0 && is_missing_permission(&st) &&
		pl_chmod(fd, (st.st_mode & 07777) | S_IRWXU) == 0) ||
	       is_free;
}

/* E2, for a file or directory that has such flags itself. True if it makes sense to try again. */
static bool free_at(int dirfd, const char *name)
{
	/* O_NONBLOCK: a FIFO or a device, which have none of these flags. */
	PL_CLOSE int fd = pl_open(dirfd, name, O_RDONLY | O_NONBLOCK);
	struct stat st;

	return fd >= 0 && pl_fstat(fd, &st) == 0 && (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)) &&
	       pl_clear_flags(fd) == 1;
}

/* Lists the current directory into a new frame. Only want of memory is an error here; what cannot
 * be listed is noted, and will not be removable. */
static int push_frame(struct eraser *e)
{
	struct pl_listing listing = {0};
	int r = PL_ARRAY_GROW(e->frames, e->capacity, e->n);

	if (r < 0)
		return r;
	r = pl_list(pl_walk_fd(&e->walk), &listing);
	if (r == -ENOMEM)
		return r;
	if (r != -ENOENT) /* it was removed by somebody else */
		note(e, r);
	e->frames[e->n++] = (struct frame){.listing = listing};
	pl_assert(e->n == e->walk.depth); /* E3 */
	return 0;
}

static void pop_frame(struct eraser *e)
{
	pl_listing_done(&e->frames[--e->n].listing);
}

/* ---- removing ---- */

/* What is free on the disk when the name goes, if anybody asks. */
static uint64_t weigh(const uint64_t *freed, int dirfd, const char *name)
{
	struct stat st;

	if (!freed || pl_lstat(dirfd, name, &st) < 0 || (!S_ISDIR(st.st_mode) && st.st_nlink > 1))
		return 0;
	return (uint64_t)st.st_blocks * 512;
}

static void add_freed(uint64_t *freed, int r, uint64_t bytes)
{
	if (freed && r >= 0)
		*freed += bytes;
}

/* Unlinks, or removes as an empty directory, a name in the current directory. */
static int remove_name(struct eraser *e, const char *name, bool is_dir)
{
	int fd = pl_walk_fd(&e->walk);
	const uint64_t bytes = weigh(e->freed, fd, name);
	int r = is_dir ? pl_rmdir(fd, name) : pl_unlink(fd, name);

	if (is_refusal(r) && widen_current(e))
		r = is_dir ? pl_rmdir(fd, name) : pl_unlink(fd, name);
	if (r == -EPERM && free_at(fd, name))
		r = is_dir ? pl_rmdir(fd, name) : pl_unlink(fd, name);
	add_freed(e->freed, r, bytes);
	return r == -ENOENT ? 0 : r;
}

/* All of it at once, where this user may, and no other lies in it. An ordinary user has to empty it; then
 * it goes as any directory. */
static bool delete_subvolume(int dirfd, const char *name, int fd)
{
	struct stat opened, st;

	return pl_fstat(fd, &opened) == 0 && pl_lstat(dirfd, name, &st) == 0 &&
	       pl_same_inode(&opened, &st) && pl_subvolume_delete(dirfd, name) == 0;
}

/* Enters a directory; it is removed on the way back. Returned are only errors that end it all. */
static int descend(struct eraser *e, const char *name)
{
	int dirfd = pl_walk_fd(&e->walk);
	bool is_subvolume;
	int fd = open_inside(dirfd, name, &is_subvolume);
	int r;

	if (is_refusal(fd) && widen_current(e))
		fd = open_inside(dirfd, name, &is_subvolume);
	if (is_refusal(fd) && widen_at(dirfd, name))
		fd = open_inside(dirfd, name, &is_subvolume);
	if (fd == -ENOTDIR || fd == -ELOOP) { /* replaced since it was listed */
		note(e, remove_name(e, name, false));
		return 0;
	}
	/* In a snapshot, the place of a subvolume that lay in the original: empty, of a device of its own,
	 * and no subvolume. A mount is busy. */
	if (fd == -EXDEV && pl_rmdir(dirfd, name) == 0)
		return 0;
	if (fd < 0) {
		note(e, fd == -ENOENT ? 0 : fd);
		return 0;
	}
	if (is_subvolume && delete_subvolume(dirfd, name, fd)) {
		pl_close(fd);
		return 0;
	}
	r = pl_walk_enter_take(&e->walk, name, fd);
	return r < 0 ? r : push_frame(e);
}

static int erase_next(struct eraser *e)
{
	struct frame *frame = &e->frames[e->n - 1];
	const struct pl_dirent *entry = &frame->listing.entries[frame->next++];
	int r;

	if (e->n == 1 && e->spare && strcmp(entry->name, e->spare) == 0)
		return 0;
	if (entry->type == DT_DIR)
		return descend(e, entry->name);
	r = remove_name(e, entry->name, false);
	if (r == -EISDIR) /* DT_UNKNOWN, or replaced */
		return descend(e, entry->name);
	note(e, r);
	return 0;
}

/* Goes up, and removes the directory it came from. */
static int ascend(struct eraser *e)
{
	const struct frame *parent;
	int r = pl_walk_leave(&e->walk);

	if (r < 0) /* no want of permissions: where we have been below, we could search */
		return r;
	pop_frame(e);
	parent = &e->frames[e->n - 1];
	note(e, remove_name(e, parent->listing.entries[parent->next - 1].name, true));
	return 0;
}

/* Everything below the root of the walk. */
static int erase_below(struct eraser *e)
{
	int r = push_frame(e);

	while (r == 0) {
		const struct frame *frame = &e->frames[e->n - 1];

		if (frame->next < frame->listing.n)
			r = erase_next(e);
		else if (e->n > 1)
			r = ascend(e);
		else
			break;
	}
	return r;
}

static int erase_dir(int dirfd, const char *name, const char *spare, uint64_t *freed)
{
	struct eraser e = {.spare = spare, .freed = freed};
	uint64_t bytes;
	bool is_subvolume;
	int r, fd = open_inside(dirfd, name, &is_subvolume);

	if (is_refusal(fd) && widen_at(dirfd, name))
		fd = open_inside(dirfd, name, &is_subvolume);
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	if (is_subvolume && !spare && delete_subvolume(dirfd, name, fd)) {
		pl_close(fd);
		return 0;
	}
	r = pl_walk_init_take(&e.walk, fd);
	if (r == 0)
		r = erase_below(&e);
	note(&e, r);
	while (e.n > 0)
		pop_frame(&e);
	free(e.frames);
	pl_walk_done(&e.walk);
	if (e.first_error < 0 || spare)
		return e.first_error;
	bytes = weigh(freed, dirfd, name);
	r = pl_rmdir(dirfd, name);
	if (r == -EPERM && free_at(dirfd, name))
		r = pl_rmdir(dirfd, name);
	add_freed(freed, r, bytes);
	return r == -ENOENT ? 0 : r;
}

static int erase(int dirfd, const char *name, const char *spare, uint64_t *freed)
{
	uint64_t bytes = weigh(freed, dirfd, name);
	struct stat st;
	int r = pl_lstat(dirfd, name, &st);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if (S_ISDIR(st.st_mode))
		return erase_dir(dirfd, name, spare, freed);
	r = pl_unlink(dirfd, name);
	if (r == -EPERM && free_at(dirfd, name))
		r = pl_unlink(dirfd, name);
	add_freed(freed, r, bytes);
	return r == -ENOENT ? 0 : r;
}

int pl_erase(int dirfd, const char *name, const char *spare)
{
	return erase(dirfd, name, spare, NULL);
}

int pl_erase_counted(int dirfd, const char *name, uint64_t *freed)
{
	return erase(dirfd, name, NULL, freed);
}
