/*
 * scratch - for tests of object: a directory of its own for each case, attributes and ACLs as bytes
 * made by hand, small file systems for root. Header only.
 *
 * Raw system calls are made here on purpose: what the code under test says of a file is not believed.
 */
#ifndef SCRATCH_H
#define SCRATCH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sched.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "object/object.h"

/* tap.py takes the reason from the line printed before. */
#define skip_because(reason)                    \
	do {                                    \
		printf("# skip: %s\n", reason); \
		(void)fflush(stdout);           \
		skip();                         \
	} while (0)

#define need_root()                                 \
	do {                                        \
		if (geteuid() != 0)                 \
			skip_because("needs root"); \
	} while (0)

struct scratch {
	char path[4096];
	int fd;
};

static inline int scratch_setup(void **state)
{
	struct scratch *s = malloc(sizeof(*s));
	const char *tmp = getenv("TMPDIR");

	if (!s)
		return -1;
	(void)snprintf(s->path, sizeof(s->path), "%s/pleach-test-XXXXXX",
		       tmp && *tmp ? tmp : "/tmp");
	if (!mkdtemp(s->path))
		return -1;
	s->fd = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*state = s;
	return s->fd < 0 ? -1 : 0;
}

static inline int scratch_teardown(void **state)
{
	struct scratch *s = *state;
	char *name = strrchr(s->path, '/') + 1;
	int parent, r;

	pl_seam_arm(NULL);
	pl_seam_disable(0);
	close(s->fd);
	name[-1] = '\0';
	parent = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = pl_erase(parent, name, NULL); /* of the same file system as what it removes */
	close(parent);
	free(s);
	return r;
}

#define scratch_test(f) cmocka_unit_test_setup_teardown(f, scratch_setup, scratch_teardown)

/* A new file with this content, open for reading and writing. */
static inline int scratch_file(const struct scratch *s, const char *name, const char *content)
{
	int fd = openat(s->fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, content, strlen(content)), strlen(content));
	return fd;
}

static inline int scratch_dir(const struct scratch *s, const char *name)
{
	int fd;

	assert_int_equal(mkdirat(s->fd, name, 0700), 0);
	fd = openat(s->fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

/* ---- attributes ---- */

/* Appends one to an encoding, as format.md has it, without a look at any rule. */
static inline void add_raw_xattr(struct pl_buffer *b, const char *name, size_t name_length,
				 const void *value, size_t length)
{
	const unsigned char head = (unsigned char)name_length;
	const unsigned char size[4] = {(unsigned char)(length >> 24), (unsigned char)(length >> 16),
				       (unsigned char)(length >> 8), (unsigned char)length};

	pl_buffer_add(b, &head, 1);
	pl_buffer_add(b, name, name_length);
	pl_buffer_add(b, size, sizeof(size));
	pl_buffer_add(b, value, length);
	assert_true(pl_buffer_ok(b));
}

static inline void add_xattr(struct pl_buffer *b, const char *name, const void *value,
			     size_t length)
{
	add_raw_xattr(b, name, strlen(name), value, length);
}

static inline void use_xattrs(struct pl_meta *meta, const struct pl_buffer *b)
{
	meta->xattrs = b->length > 0 ? b->data : NULL;
	meta->xattrs_length = (uint32_t)b->length;
}

/* Can a file here have an attribute of this name? */
static inline bool takes_xattr(const struct scratch *s, const char *name, const void *value,
			       size_t length)
{
	int fd = scratch_file(s, ".probe", "");
	int r = fsetxattr(fd, name, value, length, 0);

	close(fd);
	assert_int_equal(unlinkat(s->fd, ".probe", 0), 0);
	return r == 0;
}

#define ACL_ACCESS  "system.posix_acl_access"
#define ACL_DEFAULT "system.posix_acl_default"
#define ACL_MAX	    (4 + 8 * 8)

enum { ACL_USER_OBJ = 1, ACL_USER = 2, ACL_GROUP_OBJ = 4, ACL_MASK = 16, ACL_OTHER = 32 };

struct acl_entry {
	unsigned tag, permissions;
	uint32_t id; /* of ACL_USER; else anything */
};

/* The bytes of an ACL as the kernel has them, all numbers little-endian. Returns how many. */
static inline size_t make_acl(const struct acl_entry *entries, size_t n,
			      unsigned char bytes[ACL_MAX])
{
	unsigned char *to = bytes;

	assert_true(n <= 8);
	memcpy(to, "\2\0\0\0", 4);
	to += 4;
	for (size_t i = 0; i < n; i++, to += 8) {
		uint32_t id = entries[i].tag == ACL_USER ? entries[i].id : UINT32_MAX;

		memset(to, 0, 8);
		to[0] = (unsigned char)entries[i].tag;
		to[2] = (unsigned char)entries[i].permissions;
		for (int k = 0; k < 4; k++)
			to[4 + k] = (unsigned char)(id >> (8 * k));
	}
	return (size_t)(to - bytes);
}

/* u::U,u:1234:NAMED,g::r--,m::MASK,o::OTHER */
static inline size_t named_acl(unsigned u, unsigned named, unsigned mask, unsigned other,
			       unsigned char bytes[ACL_MAX])
{
	const struct acl_entry entries[] = {
		{ACL_USER_OBJ, u, 0}, {ACL_USER, named, 1234}, {ACL_GROUP_OBJ, 4, 0},
		{ACL_MASK, mask, 0},  {ACL_OTHER, other, 0},
	};

	return make_acl(entries, sizeof(entries) / sizeof(entries[0]), bytes);
}

static inline void need_acls(const struct scratch *s)
{
	unsigned char acl[ACL_MAX];
	size_t length = named_acl(6, 6, 6, 0, acl);

	if (!takes_xattr(s, ACL_ACCESS, acl, length))
		skip_because("the file system has no ACLs");
}

static inline void need_user_xattrs(const struct scratch *s)
{
	if (!takes_xattr(s, "user.probe", "1", 1))
		skip_because("the file system has no user.* attributes");
}

/* Has the file just this value of the attribute? */
static inline bool has_xattr(int fd, const char *name, const void *value, size_t length)
{
	unsigned char found[70000];
	ssize_t n = fgetxattr(fd, name, found, sizeof(found));

	return n == (ssize_t)length && memcmp(found, value, length) == 0;
}

/* ---- file systems of one's own, for root ---- */

static inline bool runs(char *const *argv)
{
	extern char **environ;
	posix_spawn_file_actions_t actions;
	int status = -1;
	pid_t pid;
	bool started;

	assert_int_equal(posix_spawn_file_actions_init(&actions), 0);
	assert_int_equal(posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0),
			 0);
	assert_int_equal(posix_spawn_file_actions_adddup2(&actions, 1, 2), 0);
	started = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ) == 0;
	posix_spawn_file_actions_destroy(&actions);
	return started && waitpid(pid, &status, 0) == pid && status == 0;
}

/* From now on mounts are seen by this process only, and gone with it. False: not allowed here. */
static inline bool has_private_mounts(void)
{
	return unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

/* Moves the scratch to a file system that is mounted over its directory; `unmount_scratch()` must
 * follow. */
static inline void enter_mount(struct scratch *s)
{
	close(s->fd);
	s->fd = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(s->fd >= 0);
}

static inline void unmount_scratch(struct scratch *s)
{
	close(s->fd);
	assert_int_equal(umount2(s->path, MNT_DETACH), 0);
	s->fd = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(s->fd >= 0);
}

#endif
