/* The laws of asking what can be mounted: it is tried, the answer has its reason, and nothing of it is left. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/prctl.h>

#include "sys/scratch.h"

#define ROOT_OPTIONS "index=on\nredirect_dir=on\nmetacopy=off\nxino=off\n"
#define USER_OPTIONS "userxattr\nindex=off\nmetacopy=off\nxino=off\n"

/* A tmpfs of the test's own over the scratch directory, with lower/ and scratch/. Only in a child. */
static int make_place(struct scratch *s)
{
	struct stat above, root;

	if (private_mounts(s) < 0 || fstat(s->fd, &above) < 0 ||
	    mount("tmpfs", s->path, "tmpfs", 0, "size=4m") < 0 || chdir(s->path) < 0 ||
	    stat(".", &root) < 0 || root.st_dev == above.st_dev)
		return -1;
	return mkdir("lower", 0755) < 0 || mkdir("scratch", 0755) < 0 ? -1 : 0;
}

static int open_in_place(const char *name)
{
	return open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int overlay_as_root(struct scratch *s)
{
	const char *why = NULL;
	struct pl_buffer before = {0}, after = {0};
	int lower, scratch, fds;

	CHECK(make_place(s) == 0);
	lower = open_in_place("lower");
	scratch = open_in_place("scratch");
	fds = count_fds();
	CHECK(pl_read_file(AT_FDCWD, "/proc/self/mountinfo", 1 << 20, &before) == 0);
	CHECK(pl_overlay_probe(lower, scratch, false, ROOT_OPTIONS, &why) == 1);
	CHECK(pl_overlay_probe(lower, scratch, false, ROOT_OPTIONS "volatile", &why) == 1);
	CHECK(pl_dir_is_empty(scratch) == 1 && pl_dir_is_empty(lower) == 1);
	CHECK(pl_read_file(AT_FDCWD, "/proc/self/mountinfo", 1 << 20, &after) == 0);
	CHECK(before.length == after.length && memcmp(before.data, after.data, after.length) == 0);
	CHECK(count_fds() == fds);

	CHECK(pl_overlay_probe(lower, scratch, false, "no_such_option=1", &why) == 0);
	pl_seam_disable(PL_CAP_OVERLAY);
	CHECK(pl_overlay_probe(lower, scratch, false, ROOT_OPTIONS, &why) == 0);
	CHECK(strstr(why, "switched off"));
	CHECK(pl_dir_is_empty(scratch) == 1);
	pl_buffer_done(&before);
	pl_buffer_done(&after);
	return 0;
}

static void an_overlay_is_tried_and_nothing_of_it_is_left(void **state)
{
	if (!pl_may_mount())
		SKIP("only root may mount an overlay without a user namespace");
	assert_int_equal(in_child(overlay_as_root, *state), 0);
}

/* An overlay as the file system of the upper layer: that is refused. */
static int overlay_on_overlay(struct scratch *s)
{
	const char *why = NULL;
	struct stat above, root;
	int lower, scratch;

	CHECK(make_place(s) == 0);
	CHECK(mkdir("u", 0755) == 0 && mkdir("w", 0755) == 0 && stat("scratch", &above) == 0);
	CHECK(mount("overlay", "scratch", "overlay", 0, "lowerdir=lower,upperdir=u,workdir=w") ==
	      0);
	CHECK(stat("scratch", &root) == 0 && root.st_dev != above.st_dev);
	lower = open_in_place("lower");
	scratch = open_in_place("scratch");
	CHECK(pl_overlay_probe(lower, scratch, false, ROOT_OPTIONS, &why) == 0);
	CHECK(strstr(why, "cannot be the upper layer"));
	CHECK(pl_dir_is_empty(scratch) == 1);
	return 0;
}

static void where_no_upper_layer_can_be_the_reason_says_so(void **state)
{
	if (!pl_may_mount())
		SKIP("only root may mount an overlay without a user namespace");
	assert_int_equal(in_child(overlay_on_overlay, *state), 0);
}

static int as_user(struct scratch *s)
{
	const char *why = NULL;
	int lower, scratch, r;

	CHECK(prctl(PR_SET_DUMPABLE, 1) == 0); /* as an exec would make it */
	CHECK(pl_may_mount() == 0);
	CHECK(fchdir(s->fd) == 0 && mkdir("lower", 0755) == 0 && mkdir("scratch", 0755) == 0);
	lower = open_in_place("lower");
	scratch = open_in_place("scratch");
	CHECK(pl_overlay_probe(lower, scratch, false, USER_OPTIONS, &why) == 0);
	CHECK(strstr(why, "root"));
	r = pl_user_namespace_probe(&why);
	if (r != 1)
		return 77;
	r = pl_overlay_probe(lower, scratch, true, USER_OPTIONS, &why);
	CHECK(r == 0 || r == 1);
	CHECK(pl_dir_is_empty(scratch) == 1);
	/* What the kernel drops without a word is not taken for had. */
	CHECK(pl_overlay_probe(lower, scratch, true, "userxattr\nindex=on", &why) == 0);
	CHECK(r == 0 || strstr(why, "lacks"));
	CHECK(pl_dir_is_empty(scratch) == 1);
	pl_seam_disable(PL_CAP_USERNS);
	CHECK(pl_user_namespace_probe(&why) == 0 && strstr(why, "switched off"));
	CHECK(pl_overlay_probe(lower, scratch, true, USER_OPTIONS, &why) == 0);
	return 0;
}

static void a_user_has_overlays_in_user_namespaces_alone(void **state)
{
	int r = in_child_as_user(as_user, *state);

	if (r == 77)
		SKIP("user namespaces cannot be made");
	assert_int_equal(r, 0);
}

static int write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), r;

	r = fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text) ? -1 : 0;
	close(fd);
	return r;
}

/* The limit is that of a user namespace of the test's own, which has no others below it then. */
static int without_room(struct scratch *s)
{
	const char *why = NULL;
	char map[64];

	snprintf(map, sizeof(map), "0 %u 1", (unsigned)geteuid());
	if (unshare(CLONE_NEWUSER) < 0 || write_text("/proc/self/uid_map", map) < 0)
		return 77;
	if (write_text("/proc/sys/user/max_user_namespaces", "0") < 0)
		return 77;
	CHECK(pl_user_namespace_probe(&why) == 0);
	CHECK(strstr(why, "user.max_user_namespaces"));
	return 0;
}

static void a_sysctl_that_forbids_user_namespaces_is_named(void **state)
{
	int r = in_child(without_room, *state);

	if (r == 77)
		SKIP("user namespaces cannot be made");
	assert_int_equal(r, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_overlay_is_tried_and_nothing_of_it_is_left),
		TEST(where_no_upper_layer_can_be_the_reason_says_so),
		TEST(a_user_has_overlays_in_user_namespaces_alone),
		TEST(a_sysctl_that_forbids_user_namespaces_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
