/*
 * fs.c - what file systems are like, as far as correctness or durability depend on it. What can be
 * probed by using it is probed by using it; what syncfs() promises cannot, and goes by name.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "sys/seam.h"

enum fs_kind {
	BARRIER, /* local, syncfs() was proven to be a barrier by power cuts */
	LOCAL,
	REMOTE, /* syncfs() may answer without asking whoever keeps the data */
	MEMORY,
	OVERLAY /* as its upper layer */
};

static const struct known {
	uint32_t magic;
	enum fs_kind kind;
	const char *name;
} known[] = {
	{0xef53, BARRIER, "ext4"}, /* ext2 and ext3 too */
	{0x58465342, BARRIER, "xfs"},	{0x9123683e, BARRIER, "btrfs"},
	{0xf2f52010, BARRIER, "f2fs"},	{0x01021994, MEMORY, "tmpfs"},
	{0x858458f6, MEMORY, "ramfs"},	{0x794c7630, OVERLAY, "overlay"},
	{0x6969, REMOTE, "nfs"},	{0xff534d42, REMOTE, "cifs"},
	{0xfe534d42, REMOTE, "smb"},	{0x517b, REMOTE, "smb"},
	{0x65735546, REMOTE, "fuse"},	{0x00c36400, REMOTE, "ceph"},
	{0x0bd00bd0, REMOTE, "lustre"}, {0x01021997, REMOTE, "9p"},
	{0x5346414f, REMOTE, "afs"},	{0x47504653, REMOTE, "gpfs"},
	{0x7461636f, REMOTE, "ocfs2"},	{0x01161970, REMOTE, "gfs2"},
};

/* As if it were local, and with an fsync for every file: the careful way, whatever it is. */
static const struct known other = {0, LOCAL, "other"};

static const struct known *lookup(uint32_t magic)
{
	for (size_t i = 0; i < PL_ARRAY_LEN(known); i++) {
		if (known[i].magic == magic)
			return &known[i];
	}
	return &other;
}

/* ---- overlay: whose upper layer is it? ---- */

#define MOUNTINFO_MAX ((size_t)16 << 20)

/* Takes apart one line of mountinfo, "36 35 98:0 / /mnt rw shared:1 - overlay src rw,upperdir=..".
 * NULL, or the options of the file system if it is an overlay with this device. */
static char *overlay_options(char *line, dev_t dev)
{
	char *dash = strstr(line, " - "), *save = NULL, *field = NULL;
	char wanted[32];

	if (!dash)
		return NULL;
	*dash = '\0';
	(void)snprintf(wanted, sizeof(wanted), "%u:%u", major(dev), minor(dev));
	for (int i = 0; i < 3; i++)
		field = strtok_r(i == 0 ? line : NULL, " ", &save);
	if (!field || strcmp(field, wanted) != 0)
		return NULL;
	field = strtok_r(dash + 3, " ", &save);
	if (!field || strcmp(field, "overlay") != 0 || !strtok_r(NULL, " ", &save))
		return NULL;
	return strtok_r(NULL, " ", &save);
}

/* Appends the upper directory of an overlay, as it was named when it was mounted: nothing if it has
 * none or was not found. */
static int find_upper(dev_t dev, struct pl_buffer *upper, bool *ret_volatile)
{
	PL_BUFFER text = {0};
	char *line, *next_line = NULL, *option, *next_option = NULL, *options = NULL;
	int r = pl_read_file(AT_FDCWD, "/proc/self/mountinfo", MOUNTINFO_MAX, &text);

	if (r < 0 || text.length == 0)
		return r;
	for (line = strtok_r((char *)text.data, "\n", &next_line); line && !options;
	     line = strtok_r(NULL, "\n", &next_line))
		options = overlay_options(line, dev);
	if (!options)
		return 0;
	for (option = strtok_r(options, ",", &next_option); option;
	     option = strtok_r(NULL, ",", &next_option)) {
		/* Kernels say it in the one way or the other. */
		if (strcmp(option, "volatile") == 0 || strcmp(option, "fsync=volatile") == 0)
			*ret_volatile = true;
		if (strncmp(option, "upperdir=", 9) == 0) {
			pl_mount_unescape(option + 9);
			pl_buffer_truncate(upper, 0);
			pl_buffer_add_string(upper, option + 9);
		}
	}
	return pl_buffer_ok(upper) ? 0 : -ENOMEM;
}

/*
 * Opens the upper layer of overlay `fd`. The path is that of the mounter, who may have seen other
 * directories than we do (outside of a container): it is believed only if statfs, which an overlay
 * passes on to its upper layer, says the same of both. -ENOENT if it cannot be told.
 */
static int open_upper(int fd, const struct statfs *overlay, bool *ret_volatile)
{
	PL_BUFFER path = {0};
	PL_CLOSE int upper = -EBADF;
	struct statfs sfs;
	struct stat st;
	int r = pl_fstat(fd, &st);

	if (r == 0)
		r = find_upper(st.st_dev, &path, ret_volatile);
	if (r < 0 || path.length == 0)
		return r == -ENOMEM ? r : -ENOENT;
	upper = pl_open_follow(AT_FDCWD, pl_buffer_string(&path), O_PATH | O_DIRECTORY);
	if (upper < 0)
		return -ENOENT;
	r = PL_RETRY(fstatfs(upper, &sfs));
	if (r < 0 || sfs.f_blocks != overlay->f_blocks || sfs.f_bsize != overlay->f_bsize)
		return -ENOENT;
	return pl_take_fd(&upper);
}

/* ---- probes ---- */

static void describe(enum fs_kind kind, bool is_volatile, struct pl_fs *fs)
{
	fs->is_volatile = is_volatile || kind == MEMORY;
	fs->is_local = kind != REMOTE;
	fs->has_syncfs_barrier = kind == BARRIER && !is_volatile && pl_seam_has(PL_CAP_SYNCFS);
}

int pl_fs_probe(int fd, struct pl_fs *ret_fs)
{
	PL_CLOSE int upper = -EBADF;
	const struct known *top = NULL, *fs;
	bool is_volatile = false, volatile_here = false;
	struct statfs sfs;

	/* An overlay's upper layer may be on an overlay; the kernel stacks no more than two. */
	for (int depth = 0;; depth++) {
		int below, r = PL_RETRY(fstatfs(depth == 0 ? fd : upper, &sfs));

		if (r < 0)
			return r;
		fs = lookup((uint32_t)sfs.f_type);
		top = top ? top : fs;
		if (fs->kind != OVERLAY || depth == 2)
			break;
		volatile_here = false;
		below = open_upper(depth == 0 ? fd : upper, &sfs, &volatile_here);
		is_volatile = is_volatile || volatile_here;
		if (below == -ENOENT)
			break;
		if (below < 0)
			return below;
		pl_closep(&upper);
		upper = below;
	}
	*ret_fs = (struct pl_fs){.name = top->name};
	describe(fs->kind, is_volatile, ret_fs);
	return 0;
}

/* A new file for a probe, under a random name. */
static int create_probe(int dirfd, char ret_name[40])
{
	char digits[25];
	int r = pl_random_name(digits);

	if (r < 0)
		return r;
	(void)snprintf(ret_name, 40, ".pleach-%s", digits);
	return pl_create(dirfd, ret_name, 0600);
}

int pl_fs_clock(int dirfd, struct timespec *ret_now)
{
	char name[40];
	PL_CLOSE int fd = create_probe(dirfd, name);
	struct stat st;
	int r, r_unlink;

	if (fd < 0)
		return fd;
	r = pl_fstat(fd, &st);
	r_unlink = pl_unlink(dirfd, name);
	if (r_unlink == -ENOENT) /* who tidies up has taken it away (ref/leavings.c) */
		r_unlink = 0;
	if (r < 0 || r_unlink < 0)
		return r < 0 ? r : r_unlink;
	*ret_now = st.st_ctim;
	return 0;
}

int pl_fs_has_links(int dirfd)
{
	char name[40], second[48];
	PL_CLOSE int fd = create_probe(dirfd, name);
	int r, r_unlink;

	if (fd < 0)
		return fd;
	(void)snprintf(second, sizeof(second), "%s-link", name);
	r = pl_link(dirfd, name, dirfd, second);
	if (r == 0)
		r = pl_unlink(dirfd, second);
	else if (r == -EPERM || r == -EOPNOTSUPP || r == -ENOSYS || r == -EMLINK)
		r = 1;
	r_unlink = pl_unlink(dirfd, name);
	if (r < 0 || r_unlink < 0)
		return r < 0 ? r : r_unlink;
	return r == 0;
}

bool pl_fs_is_mount_root(int dirfd, const char *name)
{
	struct stat parent, st;

	return pl_stat(dirfd, ".", &parent) == 0 && pl_lstat(dirfd, name, &st) == 0 &&
	       parent.st_dev != st.st_dev;
}

int pl_fs_free_bytes(int dirfd, uint64_t *ret_bytes)
{
	struct statvfs sfs;
	int r = PL_RETRY(fstatvfs(dirfd, &sfs));

	if (r < 0)
		return r;
	*ret_bytes = (uint64_t)sfs.f_bavail * sfs.f_frsize;
	return 0;
}

int pl_fs_lacks_inodes(int dirfd)
{
	struct statvfs sfs;
	int r = PL_RETRY(fstatvfs(dirfd, &sfs));

	if (r < 0)
		return r;
	/* 0: there is no such number, or as many as there is room for. */
	if (sfs.f_files == 0 || sfs.f_blocks == 0)
		return 0;
	return (double)sfs.f_favail / (double)sfs.f_files <
	       (double)sfs.f_bavail / (double)sfs.f_blocks;
}

int pl_fs_is_read_only(int fd)
{
	struct statvfs sfs;
	int r = PL_RETRY(fstatvfs(fd, &sfs));

	return r < 0 ? r : (sfs.f_flag & ST_RDONLY) != 0;
}

/* ---- where a directory is ---- */

/* Does `path` lead to the directory `dirfd`? Who may not follow it has to believe the kernel. */
static bool path_leads_to(const char *path, int dirfd)
{
	struct stat here, there;
	int r;

	if (path[0] != '/' || pl_fstat(dirfd, &here) < 0)
		return false;
	r = pl_stat(AT_FDCWD, path, &there);
	return r == -EACCES || (r == 0 && pl_same_inode(&here, &there));
}

int pl_real_path(int dirfd, struct pl_buffer *b)
{
	const size_t length_before = b->length;
	PL_FREE char *cwd = NULL;
	char link[40];
	int r;

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", dirfd);
	r = pl_readlink(AT_FDCWD, link, b);
	if (r == -ENOMEM)
		return r;
	if (r == 0 && path_leads_to((const char *)b->data + length_before, dirfd))
		return 0;
	pl_buffer_truncate(b, length_before);
	/* Without /proc the working directory is the one whose path is to be had. */
	cwd = getcwd(NULL, 0);
	if (!cwd || !path_leads_to(cwd, dirfd))
		return -ENOENT;
	pl_buffer_add_string(b, cwd);
	return pl_buffer_ok(b) ? 0 : -ENOMEM;
}
