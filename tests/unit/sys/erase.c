/* The laws of erasing: all that is below goes, and nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/resource.h>

#include <linux/fs.h>
#include <sys/ioctl.h>

#include "sys/images.h"

/* "tree" of directories within each other, each with a file. */
static int make_deep(struct scratch *s, int depth, mode_t mode)
{
	struct pl_walk walk;

	CHECK(pl_mkdir(s->fd, "tree", 0755) == 0);
	CHECK(pl_walk_init_take(&walk, pl_open_dir(s->fd, "tree")) == 0);
	for (int i = 0; i < depth; i++) {
		CHECK(make_file(pl_walk_fd(&walk), "file", "x") == 0);
		CHECK(pl_mkdir(pl_walk_fd(&walk), "down", 0755) == 0);
		CHECK(pl_walk_enter(&walk, "down") == 0);
	}
	while (walk.depth > 1) {
		CHECK(pl_chmod(pl_walk_fd(&walk), mode) == 0);
		/* Closed levels are led back to by "..", which needs the right to search. */
		CHECK(walk.depth <= PL_WALK_OPEN || (mode & 0500) == 0500);
		CHECK(pl_walk_leave(&walk) == 0);
	}
	pl_walk_done(&walk);
	return 0;
}

static void a_deep_tree_goes_with_few_descriptors(void **state)
{
	struct scratch *s = *state;
	struct rlimit limit, saved;
	int r;

	assert_int_equal(make_deep(s, 2000, 0755), 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &saved), 0);
	limit = saved;
	limit.rlim_cur = (rlim_t)s->fd + PL_WALK_OPEN + 4;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	r = pl_erase(s->fd, "tree", NULL);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &saved), 0);
	assert_int_equal(r, 0);
	assert_int_equal(pl_exists(s->fd, "tree"), 0);
}

static void a_name_that_is_missing_or_no_directory_is_easy(void **state)
{
	struct scratch *s = *state;

	assert_int_equal(pl_erase(s->fd, "missing", NULL), 0);
	assert_int_equal(make_file(s->fd, "file", "x"), 0);
	assert_int_equal(pl_mknod(s->fd, "fifo", S_IFIFO | 0600, 0), 0);
	assert_int_equal(pl_symlink("file", s->fd, "symlink"), 0);
	assert_int_equal(pl_erase(s->fd, "symlink", NULL), 0);
	assert_int_equal(pl_exists(s->fd, "file"), 1);
	assert_int_equal(pl_erase(s->fd, "fifo", NULL), 0);
	assert_int_equal(pl_erase(s->fd, "file", "spare"), 0);
	assert_int_equal(pl_dir_is_empty(s->fd), 1);
}

static uint64_t blocks_of(int dirfd, const char *name)
{
	struct stat st;

	assert_int_equal(pl_lstat(dirfd, name, &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

/* Directories, and a file with its last name: not one that has a name elsewhere. */
static void what_is_counted_is_what_is_free_then(void **state)
{
	struct scratch *s = *state;
	uint64_t freed = 5, wanted = 5;

	assert_int_equal(pl_mkdir(s->fd, "tree", 0755), 0);
	assert_int_equal(pl_mkdir(s->fd, "tree/sub", 0755), 0);
	assert_int_equal(make_file(s->fd, "tree/alone", "x"), 0);
	assert_int_equal(make_file(s->fd, "tree/twice", "x"), 0);
	assert_int_equal(pl_link(s->fd, "tree/twice", s->fd, "tree/sub/twice"), 0);
	assert_int_equal(make_file(s->fd, "outside", "x"), 0);
	assert_int_equal(pl_link(s->fd, "outside", s->fd, "tree/outside"), 0);
	wanted += blocks_of(s->fd, "tree") + blocks_of(s->fd, "tree/sub") +
		  blocks_of(s->fd, "tree/alone") + blocks_of(s->fd, "tree/twice");
	assert_int_equal(pl_erase_counted(s->fd, "tree", &freed), 0);
	assert_true(freed == wanted);
	assert_int_equal(pl_exists(s->fd, "tree"), 0);
	assert_int_equal(pl_erase_counted(s->fd, "tree", &freed), 0);
	assert_true(freed == wanted);
	wanted += blocks_of(s->fd, "outside");
	assert_int_equal(pl_erase_counted(s->fd, "outside", &freed), 0);
	assert_true(freed == wanted && freed > 5);
}

static void what_symlinks_lead_to_stays(void **state)
{
	struct scratch *s = *state;

	assert_int_equal(pl_mkdir(s->fd, "outside", 0755), 0);
	assert_int_equal(make_file(s->fd, "outside/file", "x"), 0);
	assert_int_equal(pl_mkdir(s->fd, "tree", 0755), 0);
	assert_int_equal(pl_mkdir(s->fd, "tree/sub", 0755), 0);
	assert_int_equal(pl_symlink("../../outside", s->fd, "tree/sub/relative"), 0);
	assert_int_equal(pl_symlink(s->path, s->fd, "tree/absolute"), 0);
	assert_int_equal(pl_symlink("sub", s->fd, "tree/inside"), 0);
	assert_int_equal(pl_symlink("tree", s->fd, "to-tree"), 0);
	assert_int_equal(pl_erase(s->fd, "to-tree", NULL), 0);
	assert_int_equal(pl_exists(s->fd, "tree/absolute"), 1);
	assert_int_equal(pl_erase(s->fd, "tree", NULL), 0);
	assert_int_equal(pl_exists(s->fd, "outside/file"), 1);
	assert_int_equal(pl_exists(s->fd, "tree"), 0);
}

static void the_spare_and_its_directory_are_kept(void **state)
{
	struct scratch *s = *state;
	PL_CLOSE int tree = -EBADF;
	struct pl_listing listing;

	assert_int_equal(make_deep(s, 3, 0755), 0);
	tree = pl_open_dir(s->fd, "tree");
	assert_int_equal(make_file(tree, "lock", "x"), 0);
	assert_int_equal(make_file(tree, "lock2", "x"), 0);
	assert_int_equal(make_file(tree, "down/lock", "x"), 0); /* not directly below */
	assert_int_equal(pl_erase(s->fd, "tree", "lock"), 0);
	assert_int_equal(pl_list(tree, &listing), 0);
	assert_int_equal(listing.n, 1);
	assert_string_equal(listing.entries[0].name, "lock");
	pl_listing_done(&listing);
	assert_int_equal(pl_unlink(tree, "lock"), 0);
	assert_int_equal(pl_erase(s->fd, "tree", "lock"), 0);
	pl_seam_disable(PL_CAP_OPENAT2);
	assert_int_equal(pl_erase(s->fd, "tree", "lock"), 0);
	assert_int_equal(pl_exists(s->fd, "tree"), 1);
}

static void many_names_in_one_directory_go(void **state)
{
	struct scratch *s = *state;
	char name[32];

	assert_int_equal(pl_mkdir(s->fd, "tree", 0755), 0);
	for (int i = 0; i < 5000; i++) {
		(void)snprintf(name, sizeof(name), "tree/%d", i);
		assert_int_equal(i % 10 == 0 ? mkdirat(s->fd, name, 0755)
					     : mknodat(s->fd, name, S_IFREG | 0600, 0),
				 0);
	}
	assert_int_equal(pl_erase(s->fd, "tree", NULL), 0);
	assert_int_equal(pl_dir_is_empty(s->fd), 1);
}

static void after_an_error_the_rest_goes_and_the_first_error_is_told(void **state)
{
	struct scratch *s = *state;

	assert_int_equal(make_deep(s, 5, 0755), 0);
	fail_call(PL_CALL_UNLINK, 3, EIO);
	assert_int_equal(pl_erase(s->fd, "tree", NULL), -EIO);
	pl_seam_arm(NULL);
	assert_int_equal(pl_exists(s->fd, "tree"), 1);
	assert_int_equal(pl_exists(s->fd, "tree/file"), 0);
	assert_int_equal(pl_erase(s->fd, "tree", NULL), 0);
	assert_int_equal(pl_exists(s->fd, "tree"), 0);
}

static void killed_at_any_call_it_can_be_done_again(void **state)
{
	struct scratch *s = *state;

	for (uint64_t k = 1; k < 1000; k++) {
		int status = 0;
		pid_t pid;

		assert_int_equal(make_deep(s, 4, 0555), 0);
		pid = fork();
		if (pid == 0) {
			pl_seam_arm(&(struct pl_seam_plan){.exit_at = k});
			_exit(pl_erase(s->fd, "tree", NULL) == 0 ? 0 : 1);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(pl_erase(s->fd, "tree", NULL), 0);
		assert_int_equal(pl_exists(s->fd, "tree"), 0);
		if (WEXITSTATUS(status) == 0)
			return;
		assert_int_equal(WEXITSTATUS(status), 99);
	}
	fail_msg("it never ended");
}

/* 1. "down" is listed as a directory; 2. somebody puts a symlink in its place; 3. it is entered. */
static void replace_dir(uint64_t number, enum pl_call call, void *userdata)
{
	struct scratch *s = userdata;

	if (number == 1) { /* tree/a is about to go, then tree/down is entered */
		assert_int_equal(renameat(s->fd, "tree/down", s->fd, "aside"), 0);
		assert_int_equal(symlinkat("../aside", s->fd, "tree/down"), 0);
	}
}

static void a_directory_replaced_by_a_symlink_is_not_followed(void **state)
{
	struct scratch *s = *state;

	assert_int_equal(pl_mkdir(s->fd, "tree", 0755), 0);
	assert_int_equal(pl_mkdir(s->fd, "tree/down", 0755), 0);
	assert_int_equal(make_file(s->fd, "tree/down/file", "x"), 0);
	assert_int_equal(make_file(s->fd, "tree/a", "x"), 0);
	pl_seam_arm(&(struct pl_seam_plan){.stop = replace_dir, .userdata = s});
	assert_int_equal(pl_erase(s->fd, "tree", NULL), 0);
	assert_int_equal(pl_exists(s->fd, "tree"), 0);
	assert_int_equal(pl_exists(s->fd, "aside/file"), 1);
}

/* ---- permissions (E2) ---- */

static int erase_read_only(struct scratch *s)
{
	CHECK(make_deep(s, 100, 0555) == 0);
	CHECK(pl_chmod_at(s->fd, "tree", 0555) == 0);
	CHECK(pl_erase(s->fd, "tree", NULL) == 0);
	CHECK(pl_exists(s->fd, "tree") == 0);
	return 0;
}

static void directories_of_mode_0555_go_for_an_ordinary_user(void **state)
{
	assert_int_equal(in_child_as_user(erase_read_only, *state), 0);
}

static int erase_unreadable(struct scratch *s)
{
	static const mode_t modes[] = {0000, 0100, 0200, 0300, 0400, 0500, 0600, 0077};

	for (size_t i = 0; i < PL_ARRAY_LEN(modes); i++) {
		CHECK(make_deep(s, 20, modes[i]) == 0);
		CHECK(pl_chmod_at(s->fd, "tree", modes[i]) == 0);
		CHECK(pl_erase(s->fd, "tree", NULL) == 0);
		CHECK(pl_exists(s->fd, "tree") == 0);
		pl_seam_disable(i % 2 == 0 ? PL_CAP_OPENAT2 : 0);
	}
	return 0;
}

static void directories_without_any_permission_go_for_an_ordinary_user(void **state)
{
	assert_int_equal(in_child_as_user(erase_unreadable, *state), 0);
}

/* Deeper than descriptors are kept: the way back is by "..", which needs the right to search. */
static int erase_unsearchable(struct scratch *s)
{
	struct pl_walk walk;

	CHECK(make_deep(s, 100, 0755) == 0);
	CHECK(pl_walk_init_take(&walk, pl_open_dir(s->fd, "tree")) == 0);
	while (pl_walk_enter(&walk, "down") == 0)
		;
	while (walk.depth > 1) {
		int fd = pl_dup(pl_walk_fd(&walk));

		CHECK(pl_walk_leave(&walk) == 0);
		CHECK(pl_chmod(fd, 0600) == 0);
		pl_close(fd);
	}
	pl_walk_done(&walk);
	CHECK(pl_erase(s->fd, "tree", NULL) == 0);
	return 0;
}

static void the_way_back_out_of_unsearchable_directories_is_found(void **state)
{
	assert_int_equal(in_child_as_user(erase_unsearchable, *state), 0);
}

static int erase_foreign(struct scratch *s)
{
	struct stat st;

	CHECK(pl_erase(s->fd, "tree", NULL) == -EACCES);
	CHECK(pl_lstat(s->fd, "tree/down", &st) == 0);
	CHECK((st.st_mode & 07777) == 0555);
	return 0;
}

static void what_belongs_to_another_is_told_and_left(void **state)
{
	struct scratch *s = *state;

	if (geteuid() != 0)
		SKIP("needs root: a directory of another owner");
	assert_int_equal(make_deep(s, 1, 0555), 0);
	assert_int_equal(make_file(s->fd, "tree/down/inside", "x"), 0);
	assert_int_equal(in_child_as_user(erase_foreign, s), 0);
	assert_int_equal(pl_exists(s->fd, "tree/down/inside"), 1);
}

static void modes_are_left_alone_where_that_is_not_needed(void **state)
{
	struct scratch *s = *state;

	assert_int_equal(make_deep(s, 5, 0755), 0);
	pl_seam_arm(&(struct pl_seam_plan){0});
	assert_int_equal(pl_erase(s->fd, "tree", NULL), 0);
	assert_int_equal(pl_seam_count_of(PL_CALL_META), 0);
	assert_int_equal(pl_seam_count(), 11); /* each name once */
}

/* ---- mounts (E1) ---- */

/* With another file system, and with the same one, of the same device, mounted in the tree. */
static int erase_around_mounts(struct scratch *s)
{
	struct stat parent, st;

	CHECK(private_mounts(s) == 0);
	CHECK(make_deep(s, 2, 0755) == 0);
	CHECK(pl_mkdir(s->fd, "precious", 0755) == 0);
	CHECK(make_file(s->fd, "precious/file", "x") == 0);
	CHECK(pl_mkdir(s->fd, "tree/bind", 0755) == 0);
	CHECK(pl_mkdir(s->fd, "tree/down/tmpfs", 0755) == 0);
	CHECK(pl_mkdir(s->fd, "top", 0755) == 0);
	CHECK(mount("precious", "tree/bind", NULL, MS_BIND, NULL) == 0);
	CHECK(mount("precious", "top", NULL, MS_BIND, NULL) == 0);
	CHECK(mount("tmpfs", "tree/down/tmpfs", "tmpfs", 0, "size=1m") == 0);
	CHECK(pl_lstat(s->fd, "tree/down", &parent) == 0);
	CHECK(pl_lstat(s->fd, "tree/down/tmpfs", &st) == 0);
	CHECK(parent.st_dev != st.st_dev);
	CHECK(make_file(s->fd, "tree/down/tmpfs/file", "x") == 0);

	CHECK(pl_erase(s->fd, "tree", NULL) == -EXDEV);
	CHECK(pl_erase(s->fd, "top", NULL) == -EXDEV);
	CHECK(pl_exists(s->fd, "precious/file") == 1);
	CHECK(pl_exists(s->fd, "tree/down/tmpfs/file") == 1);
	CHECK(pl_exists(s->fd, "tree/file") == 0);
	pl_seam_disable(PL_CAP_OPENAT2);
	CHECK(pl_erase(s->fd, "tree", NULL) == -EXDEV);
	CHECK(pl_erase(s->fd, "top", NULL) == -EXDEV);
	CHECK(pl_exists(s->fd, "precious/file") == 1);
	CHECK(pl_exists(s->fd, "tree/down/tmpfs/file") == 1);
	return 0;
}

static void what_is_mounted_in_a_tree_stays(void **state)
{
	if (geteuid() != 0)
		SKIP("needs root: mounts");
	assert_int_equal(in_child(erase_around_mounts, *state), 0);
}

static void without_openat2_it_is_the_same(void **state)
{
	struct scratch *s = *state;
	int fds = count_fds();

	pl_seam_disable(PL_CAP_OPENAT2);
	assert_int_equal(make_deep(s, 100, 0755), 0);
	assert_int_equal(pl_erase(s->fd, "tree", NULL), 0);
	assert_int_equal(pl_exists(s->fd, "tree"), 0);
	assert_int_equal(count_fds(), fds);
}

/* ---- subvolumes (E1) ---- */

/* On a btrfs: a tree with a subvolume in it, one in that, and a snapshot. */
static int make_subvolumes(int dirfd)
{
	CHECK(pl_mkdir(dirfd, "tree", 0755) == 0);
	PL_CLOSE int tree = pl_open_dir(dirfd, "tree");
	CHECK(pl_subvolume_create(tree, "sub") == 0);
	PL_CLOSE int sub = pl_open_dir(tree, "sub");
	CHECK(pl_mkdir(sub, "d", 0755) == 0);
	CHECK(make_file(sub, "d/file", "x") == 0);
	CHECK(pl_subvolume_create(sub, "nested") == 0);
	PL_CLOSE int nested = pl_open_dir(sub, "nested");
	CHECK(make_file(nested, "file", "x") == 0);
	/* In it the nested one is a place that only looks like a directory. */
	CHECK(pl_subvolume_snapshot(sub, tree, "snapshot") == 0);
	CHECK(pl_chmod(sub, 0500) == 0);
	return 0;
}

static int erase_subvolumes(struct scratch *s)
{
	PL_CLOSE int fs = -EBADF;
	int r;

	if (private_mounts(s) < 0)
		return NOT_TO_BE_HAD;
	r = mount_image(s, "btrfs", "fs", NULL);
	if (r != 0)
		return r;
	fs = pl_open_dir(s->fd, "fs");
	for (int pass = 0; pass < 2; pass++) {
		pid_t pid;
		int status;

		CHECK(make_subvolumes(fs) == 0);
		/* What is mounted in a subvolume is not of it. */
		CHECK(pl_mkdir(fs, "tree/sub/d/mount", 0755) == 0);
		CHECK(mount("tmpfs", "fs/tree/sub/d/mount", "tmpfs", 0, "size=1m") == 0);
		CHECK(make_file(fs, "tree/sub/d/mount/file", "x") == 0);
		CHECK(pl_erase(fs, "tree", NULL) < 0);
		CHECK(pl_exists(fs, "tree/sub/d/mount/file") == 1);
		CHECK(umount("fs/tree/sub/d/mount") == 0);
		CHECK(pl_erase(fs, "tree", NULL) == 0);
		CHECK(pl_exists(fs, "tree") == 0);
		/* As a user, who may not delete one, but can empty it. */
		pid = fork();
		if (pid == 0) {
			if (setgid(65534) < 0 || setuid(65534) < 0)
				_exit(2);
			if (make_subvolumes(fs) != 0)
				_exit(3);
			if (pl_erase(fs, "tree", NULL) != 0 || pl_exists(fs, "tree") != 0)
				_exit(4);
			_exit(0);
		}
		CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
		CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
		pl_seam_disable(PL_CAP_OPENAT2);
	}
	return 0;
}

static void subvolumes_go_and_what_is_mounted_in_them_stays(void **state)
{
	int r = geteuid() == 0 ? in_child(erase_subvolumes, *state) : NOT_TO_BE_HAD;

	if (r == NOT_TO_BE_HAD)
		SKIP("needs root, mkfs.btrfs and a loop device");
	assert_int_equal(r, 0);
}

/* ---- flags (E2) ---- */

static int set_flags(int dirfd, const char *name, int flags)
{
	int r, now = 0, fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -1;
	r = ioctl(fd, FS_IOC_GETFLAGS, &now);
	now |= flags;
	if (r == 0)
		r = ioctl(fd, FS_IOC_SETFLAGS, &now);
	close(fd);
	return r;
}

static int erase_flagged(struct scratch *s)
{
	const int all = FS_IMMUTABLE_FL | FS_APPEND_FL;
	PL_CLOSE int fs = -EBADF;

	if (private_mounts(s) < 0 || mount_image(s, "ext4", "fs", NULL) != 0)
		return NOT_TO_BE_HAD;
	fs = pl_open_dir(s->fd, "fs");
	CHECK(pl_mkdir(fs, "tree", 0755) == 0);
	CHECK(pl_mkdir(fs, "tree/d", 0755) == 0);
	CHECK(pl_mkdir(fs, "tree/d/e", 0755) == 0);
	CHECK(make_file(fs, "tree/d/immutable", "x") == 0);
	CHECK(make_file(fs, "tree/d/append", "x") == 0);
	CHECK(make_file(fs, "tree/d/e/plain", "x") == 0);
	CHECK(make_file(fs, "single", "x") == 0);
	CHECK(set_flags(fs, "tree/d/immutable", FS_IMMUTABLE_FL) == 0);
	CHECK(set_flags(fs, "tree/d/append", FS_APPEND_FL) == 0);
	CHECK(set_flags(fs, "tree/d/e", all) == 0);
	CHECK(set_flags(fs, "tree/d", FS_APPEND_FL) == 0);
	CHECK(set_flags(fs, "tree", all) == 0);
	CHECK(set_flags(fs, "single", all) == 0);
	CHECK(unlinkat(fs, "single", 0) < 0);
	CHECK(pl_erase(fs, "single", NULL) == 0);
	CHECK(pl_erase(fs, "tree", NULL) == 0);
	CHECK(pl_exists(fs, "tree") == 0 && pl_exists(fs, "single") == 0);
	return 0;
}

static void flags_that_keep_things_keep_nothing(void **state)
{
	int r = geteuid() == 0 ? in_child(erase_flagged, *state) : NOT_TO_BE_HAD;

	if (r == NOT_TO_BE_HAD)
		SKIP("needs root, mkfs.ext4 and a loop device");
	assert_int_equal(r, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_deep_tree_goes_with_few_descriptors),
		TEST(a_name_that_is_missing_or_no_directory_is_easy),
		TEST(what_is_counted_is_what_is_free_then),
		TEST(what_symlinks_lead_to_stays),
		TEST(the_spare_and_its_directory_are_kept),
		TEST(many_names_in_one_directory_go),
		TEST(after_an_error_the_rest_goes_and_the_first_error_is_told),
		TEST(killed_at_any_call_it_can_be_done_again),
		TEST(a_directory_replaced_by_a_symlink_is_not_followed),
		TEST(directories_of_mode_0555_go_for_an_ordinary_user),
		TEST(directories_without_any_permission_go_for_an_ordinary_user),
		TEST(the_way_back_out_of_unsearchable_directories_is_found),
		TEST(what_belongs_to_another_is_told_and_left),
		TEST(modes_are_left_alone_where_that_is_not_needed),
		TEST(what_is_mounted_in_a_tree_stays),
		TEST(without_openat2_it_is_the_same),
		TEST(subvolumes_go_and_what_is_mounted_in_them_stays),
		TEST(flags_that_keep_things_keep_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
