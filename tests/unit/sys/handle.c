/*
 * File handles as overlayfs writes them in its marks: one for each inode, whatever its name, and the same
 * bytes that the kernel puts into an index.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "sys/scratch.h"

static void handle_is_that_of_the_inode_and_not_of_the_name(void **state)
{
	struct scratch *s = *state;
	PL_BUFFER a = {0};
	PL_BUFFER b = {0};
	PL_BUFFER c = {0};
	int r;

	assert_int_equal(make_file(s->fd, "a", "one"), 0);
	assert_int_equal(make_file(s->fd, "c", "one"), 0);
	assert_int_equal(linkat(s->fd, "a", s->fd, "b", 0), 0);
	r = pl_handle_encode(s->fd, "a", &a);
	if (r == -EOPNOTSUPP)
		SKIP("this file system has no file handles");
	assert_int_equal(r, 0);
	assert_int_equal(pl_handle_encode(s->fd, "b", &b), 0);
	assert_int_equal(pl_handle_encode(s->fd, "c", &c), 0);
	assert_true(a.length > 1);
	assert_int_equal(a.length, b.length);
	assert_memory_equal(a.data, b.data, a.length);
	assert_false(a.length == c.length && memcmp(a.data, c.data, a.length) == 0);
}

static void symlink_has_a_handle_of_its_own(void **state)
{
	struct scratch *s = *state;
	PL_BUFFER link = {0};
	PL_BUFFER file = {0};
	int r;

	assert_int_equal(make_file(s->fd, "a", "one"), 0);
	assert_int_equal(symlinkat("a", s->fd, "l"), 0);
	assert_int_equal(symlinkat("nowhere", s->fd, "dangling"), 0);
	r = pl_handle_encode(s->fd, "dangling", &link);
	if (r == -EOPNOTSUPP)
		SKIP("this file system has no file handles");
	assert_int_equal(r, 0);
	pl_buffer_truncate(&link, 0);
	assert_int_equal(pl_handle_encode(s->fd, "l", &link), 0);
	assert_int_equal(pl_handle_encode(s->fd, "a", &file), 0);
	assert_false(link.length == file.length && memcmp(link.data, file.data, link.length) == 0);
}

static void missing_name_is_an_error_and_adds_nothing(void **state)
{
	struct scratch *s = *state;
	PL_BUFFER b = {0};

	assert_int_equal(pl_handle_encode(s->fd, "nothing", &b), -ENOENT);
	assert_int_equal(b.length, 0);
}

static int no_handles_on_ramfs(struct scratch *s)
{
	PL_BUFFER b = {0};
	int fd;

	CHECK(private_mounts(s) == 0);
	CHECK(mkdirat(s->fd, "r", 0755) == 0);
	CHECK(mount("none", "r", "ramfs", 0, NULL) == 0);
	fd = openat(s->fd, "r", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(fd >= 0);
	CHECK(make_file(fd, "a", "x") == 0);
	CHECK(pl_handle_encode(fd, "a", &b) == -EOPNOTSUPP);
	CHECK(b.length == 0);
	close(fd);
	CHECK(umount("r") == 0);
	return 0;
}

static void file_system_without_handles_says_so(void **state)
{
	if (geteuid() != 0)
		SKIP("mounting needs root");
	assert_int_equal(in_child(no_handles_on_ramfs, *state), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(handle_is_that_of_the_inode_and_not_of_the_name),
		TEST(symlink_has_a_handle_of_its_own),
		TEST(missing_name_is_an_error_and_adds_nothing),
		TEST(file_system_without_handles_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
