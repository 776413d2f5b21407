/*
 * The mounts of a namespace: single steps of a view, made by the process that was just cloned into it. Nothing here
 * allocates, or calls what is not async-signal-safe: the library may have been called in a process with threads.
 *
 * W1  Paths of an overlay's layers are opened here and given to the kernel by descriptor: overlayfs splits and
 *     unescapes what it is given as text, and takes 255 bytes of it.
 * W2  An option that the kernel drops without a word (index=on in a user namespace) is not noticed here; drivers
 *     that need it do not ask for it there.
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

#define OPTION_MAX 256

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

/* "ID ID 1\n". Returns its length. */
static size_t map_text(unsigned long id, char ret_text[64])
{
	char digits[24];
	size_t n = 0, length = 0;

	do {
		digits[n++] = (char)('0' + id % 10);
		id /= 10;
	} while (id > 0);
	for (int twice = 0; twice < 2; twice++) {
		for (size_t i = n; i > 0; i--)
			ret_text[length++] = digits[i - 1];
		ret_text[length++] = ' ';
	}
	ret_text[length++] = '1';
	ret_text[length++] = '\n';
	return length;
}

int pl_view_map_ids(uid_t uid, gid_t gid)
{
	char text[64];
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

/* One "key=value" or "key" of an overlay. */
static int configure(int fs, const char *option, size_t length)
{
	static const char *const layers[] = {"lowerdir", "upperdir", "workdir"};
	char key[OPTION_MAX], *value;
	int dir = -1, r;

	if (length == 0)
		return 0;
	value = memchr(option, '=', length);
	if (!value) {
		if (length >= sizeof(key))
			return -ENAMETOOLONG;
		memcpy(key, option, length);
		key[length] = '\0';
		return fsconfig(fs, FSCONFIG_SET_FLAG, key, NULL, 0) < 0 ? -errno : 0;
	}
	for (size_t i = 0; i < PL_ARRAY_LEN(layers); i++) { /* W1 */
		size_t n = strlen(layers[i]);
		char path[4096];

		if ((size_t)(value - option) != n || memcmp(option, layers[i], n) != 0)
			continue;
		if (length - n - 1 >= sizeof(path))
			return -ENAMETOOLONG;
		memcpy(path, value + 1, length - n - 1);
		path[length - n - 1] = '\0';
		dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (dir < 0)
			return -errno;
		memcpy(key, "/proc/self/fd/", 14);
		r = (int)map_text((unsigned long)dir, key + 14);
		/* map_text() gives the number twice: the first is wanted. */
		*(char *)memchr(key + 14, ' ', (size_t)r) = '\0';
		r = fsconfig(fs, FSCONFIG_SET_STRING, layers[i], key, 0) < 0 ? -errno : 0;
		close(dir);
		return r;
	}
	if (length >= sizeof(key))
		return -ENAMETOOLONG;
	memcpy(key, option, length);
	key[length] = '\0';
	key[value - option] = '\0';
	return fsconfig(fs, FSCONFIG_SET_STRING, key, key + (value - option) + 1, 0) < 0 ? -errno
											 : 0;
}

/* The options stand in lines. */
static int mount_overlay(const struct pl_view_step *step)
{
	int fs = fsopen("overlay", FSOPEN_CLOEXEC), mounted = -1, r = fs < 0 ? -errno : 0;
	const char *line = step->data;

	while (r >= 0 && *line) {
		size_t length = strcspn(line, "\n");

		r = configure(fs, line, length);
		line += length + (line[length] == '\n');
	}
	if (r >= 0 && fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		r = -errno;
	if (r >= 0) {
		mounted = fsmount(fs, FSMOUNT_CLOEXEC, 0);
		r = mounted < 0 ? -errno : 0;
	}
	if (r >= 0 && move_mount(mounted, "", AT_FDCWD, step->target, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		r = -errno;
	if (mounted >= 0)
		close(mounted);
	if (fs >= 0)
		close(fs);
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
		return mount_overlay(step);
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
