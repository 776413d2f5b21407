/* Mounts are read-only, are replaced without a gap, and only the one that was named goes away. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <unistd.h>

#include "sys/scratch.h"

/* All mounts from here on are this process's own, and end with it. */
static bool enter_namespace(void)
{
	return geteuid() == 0 && unshare(CLONE_NEWNS) == 0 &&
	       mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

/* Three directories: `at`, empty, and `a` and `b` with a file `f` that says which. */
static void make_places(struct scratch *s)
{
	assert_int_equal(pl_mkdir(s->fd, "at", 0755), 0);
	assert_int_equal(pl_mkdir(s->fd, "a", 0755), 0);
	assert_int_equal(pl_mkdir(s->fd, "b", 0755), 0);
	assert_int_equal(make_file(s->fd, "a/f", "a"), 0);
	assert_int_equal(make_file(s->fd, "b/f", "b"), 0);
}

static void must_show(struct scratch *s, const char *text, size_t n_mounts)
{
	struct pl_strings roots = {0};
	PL_BUFFER path = {0};
	PL_BUFFER b = {0};
	int fd = pl_open(s->fd, "at", O_PATH);

	assert_int_equal(pl_mount_is_root(fd), n_mounts > 0);
	assert_int_equal(pl_real_path(fd, &path), 0);
	pl_close(fd);
	assert_int_equal(pl_mount_roots_at(pl_buffer_string(&path), &roots), 0);
	assert_int_equal(roots.n, n_mounts);
	pl_strings_done(&roots);
	if (text) {
		assert_int_equal(pl_read_file(s->fd, "at/f", 10, &b), 0);
		assert_string_equal(pl_buffer_string(&b), text);
	} else {
		assert_int_equal(pl_exists(s->fd, "at/f"), 0);
	}
}

static int put(struct scratch *s, const char *name)
{
	int fd = pl_mount_clone(s->fd, name), r;

	assert_true(fd >= 0);
	r = pl_mount_put(fd, s->fd, "at");
	pl_close(fd);
	return r;
}

static void a_mount_is_read_only_and_replaced_beneath(void **state)
{
	struct scratch *s = *state;
	int fd, top, inside;
	PL_BUFFER b = {0};

	make_places(s);
	must_show(s, NULL, 0);
	assert_int_equal(put(s, "a"), 0);
	must_show(s, "a", 1);
	assert_int_equal(make_file(s->fd, "at/new", "x"), -EROFS);
	inside = pl_open_dir(s->fd, "at");
	top = pl_open(s->fd, "at", O_PATH);
	fd = pl_mount_clone(s->fd, "b");
	assert_int_equal(pl_mount_put_beneath(fd, top), 0);
	must_show(s, "a", 2);
	assert_int_equal(pl_mount_detach(top), 0);
	must_show(s, "b", 1);
	assert_int_equal(pl_read_file(inside, "f", 10, &b), 0);
	assert_string_equal(pl_buffer_string(&b), "a");
	pl_close(inside);
	pl_close(top);
	pl_close(fd);
	top = pl_open(s->fd, "at", O_PATH);
	assert_int_equal(pl_mount_detach(top), 0);
	pl_close(top);
	must_show(s, NULL, 0);
}

static void one_that_was_never_put_anywhere_is_gone_with_its_descriptor(void **state)
{
	struct scratch *s = *state;

	make_places(s);
	for (int i = 0; i < 3; i++) {
		int fd = pl_mount_clone(s->fd, "a");

		assert_true(fd >= 0);
		pl_close(fd);
	}
	must_show(s, NULL, 0);
	assert_int_equal(pl_mount_clone(s->fd, "nothing"), -ENOENT);
}

/* What is no mount is neither replaced nor detached. */
static void a_plain_directory_is_no_mount(void **state)
{
	struct scratch *s = *state;
	int fd, at;

	make_places(s);
	at = pl_open(s->fd, "at", O_PATH);
	assert_int_equal(pl_mount_is_root(at), 0);
	fd = pl_mount_clone(s->fd, "a");
	assert_true(pl_mount_put_beneath(fd, at) < 0);
	assert_true(pl_mount_detach(at) < 0);
	pl_close(fd);
	pl_close(at);
	must_show(s, NULL, 0);
}

static void what_is_switched_off_is_refused(void **state)
{
	struct scratch *s = *state;
	int fd, top;

	make_places(s);
	assert_int_equal(put(s, "a"), 0);
	top = pl_open(s->fd, "at", O_PATH);
	fd = pl_mount_clone(s->fd, "b");
	pl_seam_disable(PL_CAP_BENEATH);
	assert_int_equal(pl_mount_put_beneath(fd, top), -EOPNOTSUPP);
	pl_seam_disable(0);
	must_show(s, "a", 1);
	assert_int_equal(pl_mount_detach(top), 0);
	pl_close(fd);
	pl_close(top);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_mount_is_read_only_and_replaced_beneath),
		TEST(one_that_was_never_put_anywhere_is_gone_with_its_descriptor),
		TEST(a_plain_directory_is_no_mount),
		TEST(what_is_switched_off_is_refused),
	};

	if (!enter_namespace()) {
		(void)printf("1..0 # SKIP mounts need root\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
