/* A checkout is whole or not there, and is the tree (G2, G6, G7, G8). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/xattr.h>

#include <cmocka.h>

#include "place/checkouts.h"

static void a_checkout_is_the_tree_G8(void **state)
{
	struct fixture *f = *state;
	int fds = count_fds();

	assert_int_equal(checkout_to(f, "out"), 0);
	assert_true(is_the_tree(f, "out"));
	assert_int_equal(mkdirat(f->s->fd, "empty", 0), 0);
	assert_int_equal(chmod(scratch_path(f->s, "empty"), 0700), 0);
	assert_int_equal(checkout_to(f, "empty"), 0);
	assert_true(is_the_tree(f, "empty"));
	assert_int_equal(count_unfinished(f, "."), 0);
	assert_int_equal(count_fds(), fds);
}

static void no_inode_of_it_is_one_of_the_store_G4(void **state)
{
	struct fixture *f = *state;
	struct stat st;

	assert_int_equal(checkout_to(f, "out"), 0);
	assert_int_equal(pl_lstat(f->s->fd, "out/a", &st), 0);
	assert_int_equal(st.st_nlink, 1);
	assert_int_equal(pl_lstat(f->s->fd, "out/third", &st), 0);
	assert_int_equal(st.st_nlink, 3);
}

/* M1 of maker.c: a group of n needs n names, not one more, which the file system might not have. */
static void a_group_costs_as_many_links_as_it_has_members(void **state)
{
	struct fixture *f = *state;

	pl_seam_arm(&(struct pl_seam_plan){0});
	assert_int_equal(checkout_to(f, "out"), 0);
	assert_int_equal(pl_seam_count_of(PL_CALL_LINK), (3 - 1) + (2 - 1));
	assert_int_equal(pl_seam_count_of(PL_CALL_RENAME), 1 + 1 + 1);
	pl_seam_arm(NULL);
}

static int checkout_in_child(struct fixture *f)
{
	return checkout_to(f, "out");
}

static void killed_at_every_call_it_is_whole_or_not_there_G2_G6(void **state)
{
	struct fixture *f = *state;
	int status = 99;
	uint64_t n, whole = 0;

	for (n = 1; n < 1000 && status == 99; n++) {
		status = fixture_killed_at(n, checkout_in_child, f);
		assert_true(status == 99 || status == 0);
		if (pl_exists(f->s->fd, "out") == 1) {
			whole++;
			if (!is_the_tree(f, "out"))
				fail_msg("killed at %" PRIu64 ": half of it", n);
			remove_tree(f, "out");
		}
		assert_int_equal(checkout_to(f, "next"), 0);
		if (count_unfinished(f, ".") != 0)
			fail_msg("killed at %" PRIu64 ": something is left", n);
		remove_tree(f, "next");
	}
	assert_in_range(n, 40, 999);
	assert_in_range(whole, 2, 10);
}

/* Each call fails once with `failure`. What it comes to is whole, or an error and nothing. */
static void fail_each_call(struct fixture *f, int failure, bool may_be_partial)
{
	uint64_t n, calls = UINT64_MAX;

	for (n = 1; n < 1000 && calls >= n - 1; n++) {
		int r, fds = count_fds();

		pl_seam_arm(&(struct pl_seam_plan){.fail_at = n, .fail_errno = failure});
		r = checkout_to(f, "out");
		calls = pl_seam_count();
		pl_seam_arm(NULL);
		assert_int_equal(count_fds(), fds);
		if (r < 0)
			assert_int_equal(r, -failure);
		else if (r == PLEACH_PARTIAL && !may_be_partial)
			fail_msg("call %" PRIu64 ": partial: %s", n, f->findings.items[0].message);
		assert_true(r < 0 || pl_exists(f->s->fd, "out") == 1);
		if (pl_exists(f->s->fd, "out") == 1 && r != PLEACH_PARTIAL &&
		    !is_the_tree(f, "out"))
			fail_msg("call %" PRIu64 ": half of it", n);
		remove_tree(f, "out");
		assert_int_equal(pl_beside_sweep(f->s->fd), 0);
		assert_int_equal(count_unfinished(f, "."), 0);
	}
	assert_in_range(n, 40, 999);
}

static void failed_at_every_call_it_is_whole_or_an_error_G2(void **state)
{
	fail_each_call(*state, EIO, false);
}

static void what_may_not_be_done_is_listed_and_the_rest_is_done_G8(void **state)
{
	fail_each_call(*state, EPERM, true);
}

static void a_full_disk_is_an_error_and_leaves_nothing(void **state)
{
	struct fixture *f = *state;

	fail_call(PL_CALL_TRUNCATE, 1, ENOSPC);
	assert_int_equal(checkout_to(f, "out"), -ENOSPC);
	assert_int_equal(f->error.code, PLEACH_NO_SPACE);
	pl_seam_arm(NULL);
	assert_int_equal(pl_exists(f->s->fd, "out"), 0);
	assert_int_equal(count_unfinished(f, "."), 0);
}

static void cancelled_it_leaves_nothing(void **state)
{
	struct fixture *f = *state;

	f->store->cancelled = 1;
	assert_int_equal(checkout_to(f, "out"), -EINTR);
	f->store->cancelled = 0;
	assert_int_equal(pl_exists(f->s->fd, "out"), 0);
	assert_int_equal(count_unfinished(f, "."), 0);
}

static void without_hard_links_members_are_copies_and_listed(void **state)
{
	struct fixture *f = *state;
	struct stat st;

	pl_seam_arm(&(struct pl_seam_plan){
		.fail_at = 1, .fail_on = true, .fail_errno = EMLINK, .calls = 1u << PL_CALL_LINK});
	assert_int_equal(checkout_to(f, "out"), PLEACH_PARTIAL);
	pl_seam_arm(NULL);
	assert_int_equal(f->findings.n, 3); /* two of the files, one of the symlinks */
	assert_string_equal(f->findings.items[0].kind, "link");
	assert_int_equal(pl_lstat(f->s->fd, "out/third", &st), 0);
	assert_int_equal(st.st_nlink, 1);
	assert_int_equal(st.st_size, 7);
	assert_int_equal(pl_lstat(f->s->fd, "out/sub/second", &st), 0);
	assert_int_equal(st.st_size, 7);
}

static void by_fsync_of_each_it_is_the_same(void **state)
{
	struct fixture *f = *state;
	struct pl_fs fs;

	pl_seam_disable(PL_CAP_SYNCFS | PL_CAP_REFLINK | PL_CAP_COPY_RANGE | PL_CAP_OPENAT2);
	pl_seam_arm(&(struct pl_seam_plan){0});
	assert_int_equal(checkout_to(f, "out"), 0);
	assert_int_equal(pl_fs_probe(f->s->fd, &fs), 0);
	if (!fs.is_volatile) /* 4 files, 3 directories, the one beside, the parent */
		assert_int_equal(pl_seam_count_of(PL_CALL_SYNC), 9);
	pl_seam_arm(NULL);
	pl_seam_disable(0);
	assert_true(is_the_tree(f, "out"));
}

static void by_syncfs_it_costs_two_syncs(void **state)
{
	struct fixture *f = *state;
	struct pl_fs fs;

	assert_int_equal(pl_fs_probe(f->s->fd, &fs), 0);
	if (!fs.has_syncfs_barrier)
		SKIP("syncfs is no barrier here");
	pl_seam_arm(&(struct pl_seam_plan){0});
	assert_int_equal(checkout_to(f, "out"), 0);
	assert_int_equal(pl_seam_count_of(PL_CALL_SYNC), 2);
	pl_seam_arm(NULL);
}

/* Damages the object of this content. */
static void damage(struct fixture *f, const char *text)
{
	char command[9000];

	(void)snprintf(command, sizeof(command),
		       "o=$(grep -rlx '%s' '%s') && chmod u+w \"$o\" && printf '#' | "
		       "dd of=\"$o\" conv=notrunc status=none",
		       text, scratch_path(f->s, "S/.pleach/objects"));
	assert_int_equal(system(command), 0);
}

static void damage_is_found_and_nothing_is_made(void **state)
{
	struct fixture *f = *state;

	damage(f, "two");
	assert_int_equal(checkout_to(f, "out"), -EBADMSG);
	assert_int_equal(f->error.code, PLEACH_CORRUPT);
	assert_string_equal(f->error.path, "sub/b");
	assert_int_equal(pl_exists(f->s->fd, "out"), 0);
	assert_int_equal(count_unfinished(f, "."), 0);
}

static void destinations_that_are_refused_stay_as_they_are_G7(void **state)
{
	struct fixture *f = *state;

	put(f, "file", "mine", 0600);
	assert_int_equal(checkout_to(f, "file"), -EEXIST);
	assert_int_equal(update_to(f, "file", true), -EEXIST);
	assert_int_equal(checkout_to(f, "src"), -ENOTEMPTY);
	assert_non_null(strstr(f->error.hint, "--update"));
	assert_int_equal(checkout_to(f, "no/parent"), -ENOENT);
	assert_int_equal(checkout_to(f, "file/below"), -ENOTDIR);
	assert_int_equal(symlinkat("nowhere", f->s->fd, "dangling"), 0);
	assert_int_equal(checkout_to(f, "dangling"), -ENOENT);
	assert_int_equal(checkout_to(f, "S/.pleach/inside"), -EINVAL);
	assert_int_equal(update_to(f, "S/site", false), -EINVAL);
	assert_int_equal(update_to(f, "S", true), -EINVAL);
	assert_int_equal(update_to(f, ".", true), -EINVAL);
	assert_int_equal(count_unfinished(f, "."), 0);
	assert_int_equal(count_unfinished(f, "src"), 0);
	assert_true(is_the_tree(f, "src"));
}

static void a_destination_may_be_named_in_many_ways(void **state)
{
	static const char *const names[] = {"d///", "d/.", "d/./", "link", "link/", "e/../d"};
	struct fixture *f = *state;

	assert_int_equal(symlinkat("d", f->s->fd, "link"), 0);
	assert_int_equal(mkdirat(f->s->fd, "e", 0700), 0);
	for (size_t i = 0; i < PL_ARRAY_LEN(names); i++) {
		assert_int_equal(mkdirat(f->s->fd, "d", 0700), 0);
		assert_int_equal(checkout_to(f, names[i]), 0);
		assert_true(is_the_tree(f, "d"));
		remove_tree(f, "d");
	}
	assert_int_equal(checkout_to(f, "d/"), 0);
	remove_tree(f, "d");
	assert_int_equal(count_unfinished(f, "."), 0);
}

static void what_a_dead_update_left_does_not_make_it_full_G6(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(mkdirat(f->s->fd, "d", 0700), 0);
	assert_int_equal(mkdirat(f->s->fd, "d/.pleach-0123456789abcdef01234567", 0700), 0);
	put(f, "d/.pleach-0123456789abcdef01234567/lock", "", 0600);
	assert_int_equal(checkout_to(f, "d"), 0);
	assert_true(is_the_tree(f, "d"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FIXTURE_TEST(a_checkout_is_the_tree_G8),
		FIXTURE_TEST(no_inode_of_it_is_one_of_the_store_G4),
		FIXTURE_TEST(a_group_costs_as_many_links_as_it_has_members),
		FIXTURE_TEST(killed_at_every_call_it_is_whole_or_not_there_G2_G6),
		FIXTURE_TEST(failed_at_every_call_it_is_whole_or_an_error_G2),
		FIXTURE_TEST(what_may_not_be_done_is_listed_and_the_rest_is_done_G8),
		FIXTURE_TEST(a_full_disk_is_an_error_and_leaves_nothing),
		FIXTURE_TEST(cancelled_it_leaves_nothing),
		FIXTURE_TEST(without_hard_links_members_are_copies_and_listed),
		FIXTURE_TEST(by_fsync_of_each_it_is_the_same),
		FIXTURE_TEST(by_syncfs_it_costs_two_syncs),
		FIXTURE_TEST(damage_is_found_and_nothing_is_made),
		FIXTURE_TEST(destinations_that_are_refused_stay_as_they_are_G7),
		FIXTURE_TEST(a_destination_may_be_named_in_many_ways),
		FIXTURE_TEST(what_a_dead_update_left_does_not_make_it_full_G6),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
