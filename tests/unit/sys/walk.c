/* The laws of walks: any depth, few descriptors, and never in another directory than they say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <limits.h>

#include "sys/scratch.h"

#define DEPTH 2000

static void start(struct pl_walk *walk, struct scratch *s)
{
	assert_int_equal(pl_walk_init_take(walk, pl_dup(s->fd)), 0);
}

static struct stat stat_of(struct pl_walk *walk)
{
	struct stat st;

	assert_int_equal(pl_fstat(pl_walk_fd(walk), &st), 0);
	return st;
}

/* Names of 200 bytes, each telling its depth. */
static const char *name_at(int depth)
{
	static char name[201];

	(void)snprintf(name, sizeof(name), "%0200d", depth);
	return name;
}

/* W2 */
static void depth_costs_no_descriptors_and_paths_may_be_longer_than_path_max(void **state)
{
	static ino_t inodes[DEPTH + 1];
	struct scratch *s = *state;
	struct pl_walk walk;
	int fds = count_fds();

	start(&walk, s);
	for (int i = 0; i < DEPTH; i++) {
		inodes[i] = stat_of(&walk).st_ino;
		assert_int_equal(pl_mkdir(pl_walk_fd(&walk), name_at(i), 0755), 0);
		assert_int_equal(pl_walk_enter(&walk, name_at(i)), 0);
		if (i % 100 == 99)
			assert_true(count_fds() - fds <= PL_WALK_OPEN);
	}
	assert_int_equal(count_fds() - fds, PL_WALK_OPEN);
	assert_int_equal(walk.depth, DEPTH + 1);
	assert_true(strlen(pl_walk_path(&walk)) == DEPTH * 201 - 1);
	assert_true(strlen(pl_walk_path(&walk)) > PATH_MAX);
	assert_string_equal(strrchr(pl_walk_path(&walk), '/') + 1, name_at(DEPTH - 1));
	for (int i = DEPTH - 1; i >= 0; i--) {
		assert_int_equal(pl_walk_leave(&walk), 0);
		assert_true(stat_of(&walk).st_ino == inodes[i]); /* W3 */
		assert_int_equal(pl_rmdir(pl_walk_fd(&walk), name_at(i)), 0);
	}
	assert_string_equal(pl_walk_path(&walk), "");
	pl_walk_done(&walk);
	assert_int_equal(count_fds(), fds);
}

/* W3: 1. the walk is deep, level 10 is closed; 2. somebody moves its child elsewhere; 3. ".." of
 * the child leads elsewhere. */
static void a_directory_that_was_moved_meanwhile_is_found_out(void **state)
{
	struct scratch *s = *state;
	struct pl_walk walk;
	struct stat st;
	int r = 0;

	start(&walk, s);
	for (int i = 0; i < 80; i++) {
		assert_int_equal(pl_mkdir(pl_walk_fd(&walk), "d", 0755), 0);
		assert_int_equal(pl_walk_enter(&walk, "d"), 0);
	}
	assert_int_equal(pl_rename(s->fd, "d/d/d/d/d/d/d/d/d/d", s->fd, "moved"), 0);
	while (walk.depth > 1 && r == 0)
		r = pl_walk_leave(&walk);
	assert_int_equal(r, -ESTALE);
	/* It stays where it was: in what is called "moved" now. */
	assert_int_equal(walk.depth, 11);
	assert_int_equal(pl_lstat(s->fd, "moved", &st), 0);
	assert_true(stat_of(&walk).st_ino == st.st_ino);
	assert_string_equal(pl_walk_path(&walk), "d/d/d/d/d/d/d/d/d/d");
	pl_walk_done(&walk);
}

static void only_single_names_of_real_directories_are_entered(void **state)
{
	struct scratch *s = *state;
	struct pl_walk walk;

	assert_int_equal(pl_mkdir(s->fd, "dir", 0755), 0);
	assert_int_equal(pl_mkdir(s->fd, "dir/dir", 0755), 0);
	assert_int_equal(pl_symlink("dir", s->fd, "symlink"), 0);
	assert_int_equal(make_file(s->fd, "file", ""), 0);
	start(&walk, s);
	assert_int_equal(pl_walk_enter(&walk, ".."), -EINVAL);
	assert_int_equal(pl_walk_enter(&walk, "."), -EINVAL);
	assert_int_equal(pl_walk_enter(&walk, ""), -EINVAL);
	assert_int_equal(pl_walk_enter(&walk, "dir/dir"), -EINVAL);
	assert_int_equal(pl_walk_enter(&walk, "symlink"), -ENOTDIR);
	assert_int_equal(pl_walk_enter(&walk, "file"), -ENOTDIR);
	assert_int_equal(pl_walk_enter(&walk, "missing"), -ENOENT);
	assert_int_equal(walk.depth, 1);
	assert_string_equal(pl_walk_path(&walk), "");
	assert_int_equal(pl_walk_enter(&walk, "dir"), 0);
	assert_string_equal(pl_walk_path(&walk), "dir");
	pl_walk_done(&walk);
}

static void a_descriptor_that_is_taken_is_closed_by_the_walk(void **state)
{
	struct scratch *s = *state;
	struct pl_walk walk;
	int fds = count_fds();

	assert_int_equal(pl_mkdir(s->fd, "dir", 0755), 0);
	start(&walk, s);
	assert_int_equal(pl_walk_enter_take(&walk, "dir", pl_open_dir(s->fd, "dir")), 0);
	assert_int_equal(count_fds(), fds + 2);
	assert_int_equal(pl_walk_leave(&walk), 0);
	assert_int_equal(count_fds(), fds + 1);
	pl_walk_done(&walk);
	pl_walk_done(&walk); /* nothing more */
	assert_int_equal(count_fds(), fds);
}

static void goto_leaves_and_enters_only_what_differs(void **state)
{
	struct scratch *s = *state;
	struct pl_walk walk;
	int fd_of_a;

	start(&walk, s);
	assert_int_equal(pl_walk_goto(&walk, "a/b/c", false, 0), -ENOENT);
	assert_int_equal(pl_walk_goto(&walk, "a/b/c", true, 0750), 0);
	assert_string_equal(pl_walk_path(&walk), "a/b/c");
	assert_int_equal(stat_of(&walk).st_mode, S_IFDIR | 0750);
	fd_of_a = walk.levels[1].fd;
	assert_int_equal(pl_walk_goto(&walk, "a/bc", true, 0755), 0); /* shares only "a" */
	assert_string_equal(pl_walk_path(&walk), "a/bc");
	assert_int_equal(walk.levels[1].fd, fd_of_a);
	assert_int_equal(walk.depth, 3);
	assert_int_equal(pl_walk_goto(&walk, "a/b", false, 0), 0);
	assert_string_equal(pl_walk_path(&walk), "a/b");
	assert_int_equal(pl_walk_goto(&walk, "a/b/c", false, 0), 0);
	assert_int_equal(pl_walk_goto(&walk, "a/b/c", false, 0), 0);
	assert_string_equal(pl_walk_path(&walk), "a/b/c");
	assert_int_equal(pl_walk_goto(&walk, "a", false, 0), 0);
	assert_string_equal(pl_walk_path(&walk), "a");
	assert_int_equal(pl_walk_goto(&walk, "ab", true, 0755), 0);
	assert_string_equal(pl_walk_path(&walk), "ab");
	assert_int_equal(pl_walk_goto(&walk, "", false, 0), 0);
	assert_string_equal(pl_walk_path(&walk), "");
	assert_int_equal(walk.depth, 1);
	pl_walk_done(&walk);
	assert_int_equal(pl_exists(s->fd, "a/bc"), 1);
}

static void goto_does_not_leave_the_root_or_follow_a_symlink(void **state)
{
	static const char *const bad[] = {"..",	  "../x",  "a/..", "a/../x", "./a",
					  "a//b", "a/./b", "/",	   "/a"};
	struct scratch *s = *state;
	struct pl_walk walk;
	char longest[300];

	assert_int_equal(pl_mkdir(s->fd, "a", 0755), 0);
	assert_int_equal(pl_symlink("/", s->fd, "out"), 0);
	start(&walk, s);
	for (size_t i = 0; i < PL_ARRAY_LEN(bad); i++) {
		assert_int_equal(pl_walk_goto(&walk, bad[i], true, 0755), -EINVAL);
		assert_int_equal(pl_walk_goto(&walk, "", false, 0), 0);
	}
	assert_int_equal(pl_walk_goto(&walk, "out/tmp", true, 0755), -ENOTDIR);
	memset(longest, 'n', 299);
	longest[299] = '\0';
	assert_int_equal(pl_walk_goto(&walk, longest, true, 0755), -ENAMETOOLONG);
	pl_walk_done(&walk);
}

static void make_it_first(uint64_t number, enum pl_call call, void *userdata)
{
	struct scratch *s = userdata;

	if (call == PL_CALL_MKDIR)
		assert_int_equal(mkdirat(s->fd, "a", 0755), 0);
}

static void goto_copes_with_a_directory_that_another_has_made(void **state)
{
	struct scratch *s = *state;
	struct pl_walk walk;

	start(&walk, s);
	pl_seam_arm(&(struct pl_seam_plan){.stop = make_it_first, .userdata = s});
	assert_int_equal(pl_walk_goto(&walk, "a", true, 0755), 0);
	pl_walk_done(&walk);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(depth_costs_no_descriptors_and_paths_may_be_longer_than_path_max),
		TEST(a_directory_that_was_moved_meanwhile_is_found_out),
		TEST(only_single_names_of_real_directories_are_entered),
		TEST(a_descriptor_that_is_taken_is_closed_by_the_walk),
		TEST(goto_leaves_and_enters_only_what_differs),
		TEST(goto_does_not_leave_the_root_or_follow_a_symlink),
		TEST(goto_copes_with_a_directory_that_another_has_made),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
