/* An update makes a directory equal to the tree, name by name, and removes only what it may. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/xattr.h>

#include <cmocka.h>

#include "place/checkouts.h"

static ino_t inode_of(struct fixture *f, const char *path)
{
	struct stat st;

	assert_int_equal(pl_lstat(f->s->fd, path, &st), 0);
	return st.st_ino;
}

static void expect_text(struct fixture *f, const char *path, const char *one, const char *other)
{
	PL_BUFFER text = {0};

	assert_int_equal(pl_read_file(f->s->fd, path, 4096, &text), 0);
	if (strcmp(pl_buffer_string(&text), one) != 0)
		assert_string_equal(pl_buffer_string(&text), other);
}

/* A checkout in which nearly everything is different. */
static void make_mess(struct fixture *f)
{
	int fd = f->s->fd;

	assert_int_equal(checkout_to(f, "out"), 0);
	put(f, "out/a", "xyz\n", 0644); /* as long as it was */
	assert_int_equal(chmod(scratch_path(f->s, "out/sub"), 0), 0);
	assert_int_equal(chmod(scratch_path(f->s, "out/sub"), 0755), 0);
	assert_int_equal(unlinkat(fd, "out/sub/second", 0), 0);
	put(f, "out/sub/second", "shared\n", 0444); /* no member any more */
	assert_int_equal(unlinkat(fd, "out/sub/link2", 0), 0);
	assert_int_equal(symlinkat("elsewhere", fd, "out/sub/link2"), 0);
	assert_int_equal(linkat(fd, "out/empty", fd, "outside", 0), 0);
	(void)removexattr(scratch_path(f->s, "out/a"), "user.note");
	(void)setxattr(scratch_path(f->s, "out/ro"), "user.more", "x", 1, 0);
	assert_int_equal(chmod(scratch_path(f->s, "out"), 0555), 0);
}

static void an_update_makes_it_the_tree_again_G8(void **state)
{
	struct fixture *f = *state;
	int fds = count_fds();

	make_mess(f);
	assert_int_equal(update_to(f, "out", false), 0);
	assert_true(is_the_tree(f, "out"));
	assert_int_equal(count_unfinished(f, "out"), 0);
	assert_int_equal(count_fds(), fds);
}

static void what_is_equal_keeps_its_inode(void **state)
{
	static const char *const paths[] = {"out/a", "out/ro/first", "out/sub/link", "out/fifo",
					    "out/sub/b"};
	struct fixture *f = *state;
	ino_t before[PL_ARRAY_LEN(paths)];

	assert_int_equal(checkout_to(f, "out"), 0);
	for (size_t i = 0; i < PL_ARRAY_LEN(paths); i++)
		before[i] = inode_of(f, paths[i]);
	assert_int_equal(update_to(f, "out", true), 0);
	for (size_t i = 0; i < PL_ARRAY_LEN(paths); i++)
		assert_int_equal(inode_of(f, paths[i]), before[i]);
	assert_true(is_the_tree(f, "out"));
}

static void an_inode_with_a_name_elsewhere_is_not_touched(void **state)
{
	struct fixture *f = *state;
	struct stat st;

	make_mess(f);
	put(f, "outside", "changed there", 0600);
	assert_int_equal(update_to(f, "out", true), 0);
	assert_true(is_the_tree(f, "out"));
	expect_text(f, "outside", "changed there", "");
	assert_int_equal(pl_lstat(f->s->fd, "outside", &st), 0);
	assert_int_equal(st.st_nlink, 1);
	assert_int_equal(st.st_mode & 07777, 0600);
}

static nlink_t links_of(struct fixture *f, const char *path)
{
	struct stat st;

	assert_int_equal(pl_lstat(f->s->fd, path, &st), 0);
	return st.st_nlink;
}

/* S2 of same.c. */
static void equal_files_are_not_the_same_if_their_links_differ_G8(void **state)
{
	struct fixture *f = *state;
	char command[9000];

	assert_int_equal(checkout_to(f, "out"), 0);
	assert_int_equal(linkat(f->s->fd, "out/a", f->s->fd, "alone", 0), 0);
	assert_int_equal(linkat(f->s->fd, "out/third", f->s->fd, "grouped", 0), 0);
	assert_int_equal(update_to(f, "out", true), 0);
	assert_int_equal(links_of(f, "alone"), 1);
	assert_int_equal(links_of(f, "grouped"), 1);
	assert_true(is_the_tree(f, "out"));

	/* The right number of names, but not the right names. */
	(void)snprintf(command, sizeof(command),
		       "cd '%s' && cp -p out/third copy && ln out/third alien && "
		       "mv -f copy out/sub/second && touch -r src/sub out/sub",
		       f->s->path);
	assert_int_equal(system(command), 0);
	assert_int_equal(links_of(f, "out/third"), 3);
	assert_int_equal(update_to(f, "out", false), 0);
	assert_int_equal(links_of(f, "alien"), 1);
	assert_int_equal(inode_of(f, "out/sub/second"), inode_of(f, "out/third"));
	assert_true(is_the_tree(f, "out"));
}

static void content_is_believed_by_its_hash_alone(void **state)
{
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}};
	struct fixture *f = *state;
	struct stat st;
	int fd;

	assert_int_equal(checkout_to(f, "out"), 0);
	assert_int_equal(pl_lstat(f->s->fd, "out/sub/b", &st), 0);
	times[1] = st.st_mtim;
	assert_int_equal(chmod(scratch_path(f->s, "out/sub/b"), 0600), 0);
	fd = openat(f->s->fd, "out/sub/b", O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "TWO\n", 4), 4);
	close(fd);
	assert_int_equal(chmod(scratch_path(f->s, "out/sub/b"), 04711), 0);
	assert_int_equal(utimensat(f->s->fd, "out/sub/b", times, 0), 0);
	assert_int_equal(update_to(f, "out", false), 0);
	expect_text(f, "out/sub/b", "two\n", "");
	assert_true(is_the_tree(f, "out"));
}

static void others_stay_unless_they_are_to_be_removed_G7(void **state)
{
	struct fixture *f = *state;

	make_mess(f);
	assert_int_equal(chmod(scratch_path(f->s, "out"), 0755), 0);
	put(f, "out/mine", "m", 0600);
	put(f, "out/zzz", "m", 0600);
	assert_int_equal(mkdirat(f->s->fd, "out/sub/dir", 0700), 0);
	put(f, "out/sub/dir/deep", "m", 0600);
	assert_int_equal(update_to(f, "out", false), 0);
	expect_text(f, "out/mine", "m", "");
	expect_text(f, "out/sub/dir/deep", "m", "");
	assert_int_equal(update_to(f, "out", true), 0);
	assert_true(is_the_tree(f, "out"));
}

static void what_is_in_the_way_is_listed_and_left_alone_G7(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(checkout_to(f, "out"), 0);
	assert_int_equal(mkdirat(f->s->fd, "kept", 0755), 0);
	put(f, "kept/first", "mine", 0600);
	remove_tree(f, "out/ro");
	assert_int_equal(symlinkat("../kept", f->s->fd, "out/ro"), 0); /* not to be followed */
	assert_int_equal(unlinkat(f->s->fd, "out/a", 0), 0);
	assert_int_equal(mkdirat(f->s->fd, "out/a", 0700), 0);
	put(f, "out/a/x", "mine", 0600);
	assert_int_equal(update_to(f, "out", false), PLEACH_PARTIAL);
	assert_int_equal(f->findings.n, 2);
	assert_string_equal(f->findings.items[0].path, "a");
	assert_string_equal(f->findings.items[1].path, "ro");
	assert_false(f->findings.items[1].is_fault);
	expect_text(f, "out/a/x", "mine", "");
	assert_int_equal(update_to(f, "out", true), 0);
	assert_true(is_the_tree(f, "out"));
	expect_text(f, "kept/first", "mine", "");
}

static void damage_leaves_the_old_file(void **state)
{
	struct fixture *f = *state;
	char command[9000];

	make_mess(f);
	(void)snprintf(command, sizeof(command),
		       "o=$(grep -rlx one '%s') && chmod u+w \"$o\" && printf '#' | "
		       "dd of=\"$o\" conv=notrunc status=none",
		       scratch_path(f->s, "S/.pleach/objects"));
	assert_int_equal(system(command), 0);
	assert_int_equal(update_to(f, "out", true), -EBADMSG);
	expect_text(f, "out/a", "xyz\n", "");
	assert_int_equal(count_unfinished(f, "out"), 0);
}

static void a_missing_directory_is_made(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(update_to(f, "out", true), 0);
	assert_true(is_the_tree(f, "out"));
	assert_int_equal(mkdirat(f->s->fd, "new", 0700), 0);
	assert_int_equal(update_to(f, "new", false), 0);
	assert_true(is_the_tree(f, "new"));
}

static void unfinished_work_of_others_is_no_content(void **state)
{
	struct fixture *f = *state;
	PL_CLOSE int fd = -EBADF;
	struct pl_beside beside;

	assert_int_equal(checkout_to(f, "out"), 0);
	fd = pl_open_dir(f->s->fd, "out");
	assert_int_equal(pl_beside_begin(fd, &beside), 0);
	assert_int_equal(update_to(f, "out", true), 0);
	assert_int_equal(count_unfinished(f, "out"), 1);
	assert_int_equal(pl_exists(beside.dir.fd, "lock"), 1);
	pl_beside_end(&beside);
}

static int update_in_child(struct fixture *f)
{
	return update_to(f, "out", true);
}

static void killed_at_every_call_each_file_is_old_or_new_G2_G6(void **state)
{
	struct fixture *f = *state;
	int status = 99;
	uint64_t n;

	for (n = 1; n < 1000 && status == 99; n++) {
		make_mess(f);
		status = fixture_killed_at(n, update_in_child, f);
		assert_true(status == 99 || status == 0);
		expect_text(f, "out/a", "one\n", "xyz\n");
		expect_text(f, "out/sub/second", "shared\n", "");
		expect_text(f, "out/ro/first", "shared\n", "");
		assert_int_equal(update_to(f, "out", true), 0);
		if (!is_the_tree(f, "out"))
			fail_msg("killed at %" PRIu64 ": not mended by the next", n);
		remove_tree(f, "out");
		assert_int_equal(unlinkat(f->s->fd, "outside", 0), 0);
	}
	assert_in_range(n, 40, 999);
}

static void failed_at_every_call_each_file_is_old_or_new(void **state)
{
	struct fixture *f = *state;
	uint64_t n, calls = UINT64_MAX;

	for (n = 1; n < 1000 && calls >= n - 1; n++) {
		int r, fds = count_fds();

		make_mess(f);
		pl_seam_arm(&(struct pl_seam_plan){.fail_at = n, .fail_errno = EIO});
		r = update_to(f, "out", true);
		calls = pl_seam_count();
		pl_seam_arm(NULL);
		assert_true(r == -EIO || r == 0);
		assert_int_equal(count_fds(), fds);
		expect_text(f, "out/a", "one\n", "xyz\n");
		expect_text(f, "out/ro/first", "shared\n", "");
		assert_int_equal(update_to(f, "out", true), 0);
		if (!is_the_tree(f, "out"))
			fail_msg("failed at %" PRIu64 ": not mended by the next", n);
		remove_tree(f, "out");
		assert_int_equal(unlinkat(f->s->fd, "outside", 0), 0);
	}
	assert_in_range(n, 40, 999);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FIXTURE_TEST(an_update_makes_it_the_tree_again_G8),
		FIXTURE_TEST(what_is_equal_keeps_its_inode),
		FIXTURE_TEST(an_inode_with_a_name_elsewhere_is_not_touched),
		FIXTURE_TEST(equal_files_are_not_the_same_if_their_links_differ_G8),
		FIXTURE_TEST(content_is_believed_by_its_hash_alone),
		FIXTURE_TEST(others_stay_unless_they_are_to_be_removed_G7),
		FIXTURE_TEST(what_is_in_the_way_is_listed_and_left_alone_G7),
		FIXTURE_TEST(damage_leaves_the_old_file),
		FIXTURE_TEST(a_missing_directory_is_made),
		FIXTURE_TEST(unfinished_work_of_others_is_no_content),
		FIXTURE_TEST(killed_at_every_call_each_file_is_old_or_new_G2_G6),
		FIXTURE_TEST(failed_at_every_call_each_file_is_old_or_new),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
