/*
 * The mounts of a namespace: single steps of a view, made by the process that was just cloned into it. Nothing here
 * allocates, or calls what is not async-signal-safe: the library may have been called in a process with threads.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sys/init.h"
#include "sys/seam.h"

pid_t pl_clone(unsigned flags)
{
	return (pid_t)syscall(SYS_clone, (unsigned long)flags, NULL, NULL, NULL, NULL);
}

/* ---- ids ---- */

static int write_text(const char *path, const char *text, size_t length)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = write(fd, text, length);
	if (n < 0)
		n = -errno;
	close(fd);
	return n < 0 ? (int)n : 0;
}

size_t pl_decimal(unsigned long value, char ret_text[PL_DECIMAL_MAX])
{
	char digits[PL_DECIMAL_MAX];
	size_t n = 0, length = 0;

	do {
		digits[n++] = (char)('0' + value % 10);
		value /= 10;
	} while (value > 0);
	while (n > 0)
		ret_text[length++] = digits[--n];
	ret_text[length] = '\0';
	return length;
}

/* "ID ID 1\n". Returns its length. */
static size_t map_text(unsigned long id, char ret_text[2 * PL_DECIMAL_MAX + 4])
{
	size_t n = 0;

	for (int twice = 0; twice < 2; twice++) {
		n += pl_decimal(id, ret_text + n);
		ret_text[n++] = ' ';
	}
	ret_text[n++] = '1';
	ret_text[n++] = '\n';
	return n;
}

int pl_view_map_ids(uid_t uid, gid_t gid)
{
	char text[2 * PL_DECIMAL_MAX + 4];
	int r = write_text("/proc/self/setgroups", "deny", 4);

	if (r >= 0)
		r = write_text("/proc/self/uid_map", text, map_text(uid, text));
	if (r >= 0)
		r = write_text("/proc/self/gid_map", text, map_text(gid, text));
	return r;
}

/* ---- steps ---- */

int pl_view_detach(void)
{
	return mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0 ? -errno : 0;
}

static int make_file(const struct pl_view_step *step)
{
	int fd = open(step->target, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0444);
	size_t length = strlen(step->data);
	ssize_t n;
	int r = 0;

	if (fd < 0)
		return -errno;
	n = write(fd, step->data, length);
	if (n < 0)
		r = -errno;
	else if ((size_t)n != length)
		r = -ENOSPC;
	close(fd);
	return r;
}

/* What the path itself is, no symlink followed, on either side. */
static int mount_on_itself(const char *target)
{
	int tree = open_tree(AT_FDCWD, target,
			     OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW);
	int r = 0;

	if (tree < 0)
		return -errno;
	if (move_mount(tree, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		r = -errno;
	close(tree);
	return r;
}

int pl_view_do(const struct pl_view_step *step)
{
	int r = -1;

	switch (step->what) {
	case PL_VIEW_TMPFS:
		r = mount("pleach", step->target, "tmpfs", MS_NOSUID | MS_NODEV,
			  "size=64k,nr_inodes=64,mode=0755");
		break;
	case PL_VIEW_MKDIR:
		r = mkdir(step->target, 0755);
		break;
	case PL_VIEW_FILE:
		return make_file(step);
	case PL_VIEW_READONLY:
		r = mount(NULL, step->target, NULL,
			  MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV, NULL);
		break;
	case PL_VIEW_OVERLAY:
		return pl_view_overlay(step->target, step->data);
	case PL_VIEW_BIND:
		r = mount(step->source, step->target, NULL, MS_BIND | MS_REC, NULL);
		break;
	case PL_VIEW_SELF:
		return mount_on_itself(step->target);
	}
	return r < 0 ? -errno : 0;
}

void pl_view_mount_proc(void)
{
	(void)!mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
}
