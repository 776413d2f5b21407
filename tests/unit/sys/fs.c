/* The laws of file systems: what they are believed to promise, and what is found by using them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sys/scratch.h"

static void the_careful_way_is_taken_where_nothing_is_known(void **state)
{
	PL_CLOSE int proc = pl_open_dir(AT_FDCWD, "/proc");
	struct pl_fs fs;

	assert_int_equal(pl_fs_probe(proc, &fs), 0);
	assert_string_equal(fs.name, "other");
	assert_true(fs.is_local);
	assert_false(fs.has_syncfs_barrier);
	assert_false(fs.is_volatile);
	assert_int_equal(pl_fs_probe(-1, &fs), -EBADF);
}

static void only_few_are_known_for_a_barrier_and_it_can_be_switched_off(void **state)
{
	static const char *const barriers[] = {"ext4", "xfs", "btrfs", "f2fs", "overlay"};
	struct scratch *s = *state;
	struct pl_fs fs;
	bool is_known = false;

	assert_int_equal(pl_fs_probe(s->fd, &fs), 0);
	for (size_t i = 0; i < PL_ARRAY_LEN(barriers); i++)
		is_known = is_known || strcmp(fs.name, barriers[i]) == 0;
	if (fs.has_syncfs_barrier) {
		assert_true(is_known);
		assert_true(fs.is_local);
		assert_false(fs.is_volatile);
	}
	pl_seam_disable(PL_CAP_SYNCFS);
	assert_int_equal(pl_fs_probe(s->fd, &fs), 0);
	assert_false(fs.has_syncfs_barrier);
}

/* ---- with mounts of our own ---- */

static int mount_tmpfs(struct scratch *s, const char *name)
{
	struct stat parent, st;

	CHECK(pl_mkdir(s->fd, name, 0755) == 0);
	CHECK(mount("tmpfs", name, "tmpfs", 0, "size=4m") == 0);
	CHECK(pl_fstat(s->fd, &parent) == 0 && pl_lstat(s->fd, name, &st) == 0);
	CHECK(parent.st_dev != st.st_dev);
	return 0;
}

/* Under "BASE/": lower, upper, work; mounted on "BASE/merged". */
static int mount_overlay(struct scratch *s, const char *base, const char *more_options)
{
	static const char *const names[] = {"lower", "upper", "work", "merged"};
	char path[300], options[10000], top[4200];
	struct stat parent, st;

	(void)snprintf(top, sizeof(top), "%s/%s", s->path, base);
	for (size_t i = 0; i < PL_ARRAY_LEN(names); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", base, names[i]);
		CHECK(pl_mkdir(s->fd, path, 0755) == 0);
	}
	(void)snprintf(options, sizeof(options),
		       "lowerdir=%s/lower,upperdir=%s/upper,workdir=%s/work%s", base, top, base,
		       more_options);
	(void)snprintf(path, sizeof(path), "%s/merged", base);
	if (mount("overlay", path, "overlay", 0, options) < 0)
		return errno == ENODEV || errno == EINVAL ? 77 : 1;
	CHECK(pl_fstat(s->fd, &parent) == 0 && pl_lstat(s->fd, path, &st) == 0);
	CHECK(parent.st_dev != st.st_dev);
	return 0;
}

static int probe(struct scratch *s, const char *name, struct pl_fs *ret_fs)
{
	PL_CLOSE int fd = pl_open_dir(s->fd, name);

	return fd < 0 ? fd : pl_fs_probe(fd, ret_fs);
}

static int probe_tmpfs(struct scratch *s)
{
	struct pl_fs fs;

	CHECK(private_mounts(s) == 0);
	CHECK(mount_tmpfs(s, "tmpfs") == 0);
	CHECK(probe(s, "tmpfs", &fs) == 0);
	CHECK(strcmp(fs.name, "tmpfs") == 0);
	CHECK(fs.is_volatile && fs.is_local && !fs.has_syncfs_barrier);
	CHECK(pl_fs_is_mount_root(s->fd, "tmpfs"));
	CHECK(pl_mkdir(s->fd, "dir", 0755) == 0);
	CHECK(!pl_fs_is_mount_root(s->fd, "dir"));
	CHECK(!pl_fs_is_mount_root(s->fd, "missing"));
	return 0;
}

static void nothing_on_a_tmpfs_is_durable(void **state)
{
	if (geteuid() != 0)
		SKIP("needs root: mounts");
	assert_int_equal(in_child(probe_tmpfs, *state), 0);
}

static int probe_overlays(struct scratch *s)
{
	struct pl_fs below, fs;
	int r;

	CHECK(private_mounts(s) == 0);
	CHECK(pl_fs_probe(s->fd, &below) == 0);
	if (strcmp(below.name, "overlay") == 0)
		return 77; /* an overlay's upper layer cannot be on one */

	CHECK(pl_mkdir(s->fd, "disk here", 0755) == 0); /* the blank is escaped in mountinfo */
	r = mount_overlay(s, "disk here", "");
	if (r != 0)
		return r;
	CHECK(probe(s, "disk here/merged", &fs) == 0);
	CHECK(strcmp(fs.name, "overlay") == 0);
	CHECK(fs.has_syncfs_barrier == below.has_syncfs_barrier);
	CHECK(fs.is_volatile == below.is_volatile && fs.is_local == below.is_local);

	CHECK(mount_tmpfs(s, "memory") == 0);
	CHECK(mount_overlay(s, "memory", "") == 0);
	CHECK(probe(s, "memory/merged", &fs) == 0);
	CHECK(fs.is_volatile && fs.is_local && !fs.has_syncfs_barrier);

	CHECK(pl_mkdir(s->fd, "forgetful", 0755) == 0);
	CHECK(mount_overlay(s, "forgetful", ",volatile") == 0);
	CHECK(probe(s, "forgetful/merged", &fs) == 0);
	CHECK(fs.is_volatile && !fs.has_syncfs_barrier);
	return 0;
}

static void an_overlay_is_as_durable_as_its_upper_layer(void **state)
{
	int r;

	if (geteuid() != 0)
		SKIP("needs root: mounts");
	r = in_child(probe_overlays, *state);
	if (r == 77)
		SKIP("no overlay can be mounted on the file system of $TMPDIR");
	assert_int_equal(r, 0);
}

/* The upper layer's path leads to another file system by now: nothing is believed of it. */
static int probe_hidden_upper(struct scratch *s)
{
	struct pl_fs below, fs;
	int r;

	CHECK(private_mounts(s) == 0);
	CHECK(pl_fs_probe(s->fd, &below) == 0);
	CHECK(pl_mkdir(s->fd, "disk", 0755) == 0);
	r = strcmp(below.name, "overlay") == 0 ? 77 : mount_overlay(s, "disk", "");
	if (r != 0)
		return r;
	CHECK(mount("tmpfs", "disk/upper", "tmpfs", 0, "size=4m") == 0);
	CHECK(probe(s, "disk/merged", &fs) == 0);
	CHECK(!fs.is_volatile && fs.is_local && !fs.has_syncfs_barrier);
	return 0;
}

static void an_upper_layer_that_is_another_now_is_not_believed(void **state)
{
	int r;

	if (geteuid() != 0)
		SKIP("needs root: mounts");
	r = in_child(probe_hidden_upper, *state);
	if (r == 77)
		SKIP("no overlay can be mounted on the file system of $TMPDIR");
	assert_int_equal(r, 0);
}

/* ---- by using it ---- */

static void the_clock_is_the_one_that_files_are_stamped_with(void **state)
{
	struct scratch *s = *state;
	struct timespec first, second;
	struct stat st;

	assert_int_equal(pl_fs_clock(s->fd, &first), 0);
	assert_int_equal(make_file(s->fd, "file", ""), 0);
	assert_int_equal(pl_lstat(s->fd, "file", &st), 0);
	assert_int_equal(pl_unlink(s->fd, "file"), 0);
	assert_int_equal(pl_fs_clock(s->fd, &second), 0);
	assert_true(first.tv_sec * 1e9 + first.tv_nsec <=
		    st.st_ctim.tv_sec * 1e9 + st.st_ctim.tv_nsec);
	assert_true(st.st_ctim.tv_sec * 1e9 + st.st_ctim.tv_nsec <=
		    second.tv_sec * 1e9 + second.tv_nsec);
	assert_int_equal(pl_dir_is_empty(s->fd), 1);
}

static void probes_leave_nothing_unless_they_cannot_remove_it(void **state)
{
	struct scratch *s = *state;
	struct timespec now = {.tv_sec = 77};

	assert_int_equal(pl_fs_has_links(s->fd), 1);
	assert_int_equal(pl_dir_is_empty(s->fd), 1);
	fail_call(PL_CALL_UNLINK, 1, EIO);
	assert_int_equal(pl_fs_clock(s->fd, &now), -EIO);
	assert_int_equal(now.tv_sec, 77);
	assert_int_equal(pl_dir_is_empty(s->fd), 0);
}

static void a_file_system_without_links_is_found_by_trying(void **state)
{
	static const int refusals[] = {EPERM, EOPNOTSUPP, ENOSYS, EMLINK};
	struct scratch *s = *state;

	for (size_t i = 0; i < PL_ARRAY_LEN(refusals); i++) {
		fail_call(PL_CALL_LINK, 1, refusals[i]);
		assert_int_equal(pl_fs_has_links(s->fd), 0);
		assert_int_equal(pl_dir_is_empty(s->fd), 1);
	}
	fail_call(PL_CALL_LINK, 1, EIO);
	assert_int_equal(pl_fs_has_links(s->fd), -EIO);
	assert_int_equal(pl_dir_is_empty(s->fd), 1);
}

static void free_bytes_are_told(void **state)
{
	struct scratch *s = *state;
	uint64_t bytes = 0;

	assert_int_equal(pl_fs_free_bytes(s->fd, &bytes), 0);
	assert_true(bytes > 0);
	assert_int_equal(pl_fs_free_bytes(-1, &bytes), -EBADF);
}

static int ask_of_a_read_only_mount(struct scratch *s)
{
	if (private_mounts(s) < 0 || mount(s->path, s->path, NULL, MS_BIND, NULL) < 0 ||
	    mount(NULL, s->path, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL) < 0)
		return 77;
	CHECK(pl_fs_is_read_only(s->fd) == 0); /* opened before, by the other mount */
	close(s->fd);
	s->fd = open(s->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	CHECK(pl_fs_is_read_only(s->fd) == 1);
	return 0;
}

static void a_mount_is_read_only_or_not(void **state)
{
	struct scratch *s = *state;
	int r;

	assert_int_equal(pl_fs_is_read_only(s->fd), 0);
	assert_int_equal(pl_fs_is_read_only(-1), -EBADF);
	if (geteuid() != 0)
		SKIP("skip: mounting needs root");
	r = in_child(ask_of_a_read_only_mount, s);
	if (r == 77)
		SKIP("skip: no mounts here");
	assert_int_equal(r, 0);
}

static void the_path_of_a_directory_is_told_as_long_as_it_has_one(void **state)
{
	struct scratch *s = *state;
	PL_CLOSE int fd = -EBADF, path_fd = -EBADF;
	char real[4096], expected[4200];
	PL_BUFFER b = {0};

	assert_non_null(realpath(s->path, real));
	(void)snprintf(expected, sizeof(expected), "before %s/a (deleted)", real);
	assert_int_equal(mkdirat(s->fd, "a (deleted)", 0755), 0);
	fd = pl_open_dir(s->fd, "a (deleted)");
	path_fd = pl_open(s->fd, "a (deleted)", O_PATH | O_DIRECTORY);
	for (int i = 0; i < 2; i++) {
		pl_buffer_truncate(&b, 0);
		pl_buffer_add_string(&b, "before ");
		assert_int_equal(pl_real_path(i ? path_fd : fd, &b), 0);
		assert_string_equal(pl_buffer_string(&b), expected);
	}
	assert_int_equal(unlinkat(s->fd, "a (deleted)", AT_REMOVEDIR), 0);
	assert_int_equal(pl_real_path(fd, &b), -ENOENT);
	assert_string_equal(pl_buffer_string(&b), expected); /* nothing was added */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_careful_way_is_taken_where_nothing_is_known),
		TEST(only_few_are_known_for_a_barrier_and_it_can_be_switched_off),
		TEST(nothing_on_a_tmpfs_is_durable),
		TEST(an_overlay_is_as_durable_as_its_upper_layer),
		TEST(an_upper_layer_that_is_another_now_is_not_believed),
		TEST(the_clock_is_the_one_that_files_are_stamped_with),
		TEST(probes_leave_nothing_unless_they_cannot_remove_it),
		TEST(a_file_system_without_links_is_found_by_trying),
		TEST(free_bytes_are_told),
		TEST(a_mount_is_read_only_or_not),
		TEST(the_path_of_a_directory_is_told_as_long_as_it_has_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
