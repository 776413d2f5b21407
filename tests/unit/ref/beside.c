/* A .pleach-<random> is there as long as its maker works, and goes with whoever comes by next. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ref/stores.h"

#define DEAD ".pleach-0123456789abcdef01234567"

static void names_are_the_prefix_and_24_digits(void **state)
{
	(void)state;
	assert_true(pl_beside_is_name(".pleach-0123456789abcdef01234567"));
	assert_false(pl_beside_is_name(".pleach"));
	assert_false(pl_beside_is_name(".pleach-"));
	assert_false(pl_beside_is_name(".pleach-0123456789abcdef0123456"));
	assert_false(pl_beside_is_name(".pleach-0123456789abcdef012345678"));
	assert_false(pl_beside_is_name(".pleach-0123456789ABCDEF01234567"));
}

static void it_is_private_and_gone_at_the_end(void **state)
{
	struct scratch *s = *state;
	struct pl_beside beside, none = PL_BESIDE_NONE;
	struct stat st;

	assert_int_equal(pl_beside_begin(s->fd, &beside), 0);
	assert_true(pl_beside_is_name(beside.name));
	assert_int_equal(mode_of(s->fd, beside.name), 0700);
	assert_int_equal(pl_fstat(beside.dir.fd, &st), 0);
	assert_int_equal(st.st_uid, geteuid());
	assert_int_equal(pl_mkdir(beside.dir.fd, "sub", 0), 0);
	assert_int_equal(make_file(beside.dir.fd, "file", "x"), 0);
	pl_beside_end(&beside);
	pl_beside_end(&beside); /* nothing */
	pl_beside_end(&none);
	assert_int_equal(pl_dir_is_empty(s->fd), 1);
}

static void it_inherits_nothing(void **state)
{
	/* u::r-- g::--- m::--- o::--- u:99:rw-, as getxattr(2) gives it */
	static const unsigned char acl[] = {2,	  0,	0,   0, 1,   0,	  4,   0,   255,
					    255,  255,	255, 2, 0,   6,	  0,   99,  0,
					    0,	  0,	4,   0, 0,   0,	  255, 255, 255,
					    255,  0x10, 0,   6, 0,   255, 255, 255, 255,
					    0x20, 0,	0,   0, 255, 255, 255, 255};
	struct scratch *s = *state;
	PL_BUFFER names = {0};
	struct pl_beside beside;
	int r = pl_xattr_set(s->fd, "system.posix_acl_default", acl, sizeof(acl));

	if (r == -EOPNOTSUPP)
		SKIP("no ACLs here");
	assert_int_equal(r, 0);
	assert_int_equal(fchmod(s->fd, 02700), 0);
	assert_int_equal(pl_beside_begin(s->fd, &beside), 0);
	assert_int_equal(mode_of(s->fd, beside.name), 0700);
	assert_int_equal(pl_mkdir(beside.dir.fd, "sub", 0750), 0);
	assert_int_equal(mode_of(beside.dir.fd, "sub"), 0750);
	assert_int_equal(pl_xattr_list_at(beside.dir.fd, "sub", &names), 0);
	assert_int_equal(names.length, 0);
	pl_beside_end(&beside);
}

/* Makes a dead one: a directory with something in it and a lock file that nobody holds. */
static void make_dead(struct scratch *s)
{
	assert_int_equal(mkdir(scratch_path(s, DEAD), 0700), 0);
	assert_int_equal(make_file(s->fd, DEAD "/lock", ""), 0);
	assert_int_equal(mkdir(scratch_path(s, DEAD "/tree"), 0500), 0);
}

static void dead_ones_go_and_held_ones_stay(void **state)
{
	struct scratch *s = *state;
	struct pl_beside first, second;

	make_dead(s);
	assert_int_equal(pl_beside_begin(s->fd, &first), 0);
	assert_int_equal(count_names(s->fd, "."), 1);
	assert_int_equal(make_file(first.dir.fd, "work", "x"), 0);
	assert_int_equal(pl_beside_begin(s->fd, &second), 0);
	assert_int_equal(count_names(s->fd, "."), 2);
	assert_int_equal(pl_exists(first.dir.fd, "work"), 1);
	pl_beside_end(&second);
	assert_int_equal(pl_beside_sweep(s->fd), 0);
	assert_int_equal(pl_exists(first.dir.fd, "work"), 1);
	pl_beside_end(&first);
	assert_int_equal(pl_dir_is_empty(s->fd), 1);
}

static void what_is_not_ours_stays_G7(void **state)
{
	struct scratch *s = *state;

	assert_int_equal(make_file(s->fd, ".pleach-000000000000000000000001", "a file"), 0);
	assert_int_equal(mkdir(scratch_path(s, ".pleach-000000000000000000000002"), 0700), 0);
	assert_int_equal(make_file(s->fd, ".pleach-000000000000000000000002/x", "no lock"), 0);
	assert_int_equal(mkdir(scratch_path(s, "mine"), 0700), 0);
	assert_int_equal(make_file(s->fd, "mine/lock", ""), 0);
	assert_int_equal(symlinkat("mine", s->fd, ".pleach-000000000000000000000003"), 0);
	assert_int_equal(mkdir(scratch_path(s, ".pleach"), 0700), 0);
	assert_int_equal(make_file(s->fd, ".pleach/lock", ""), 0);
	assert_int_equal(pl_beside_sweep(s->fd), 0);
	assert_int_equal(count_names(s->fd, "."), 5);
	assert_int_equal(pl_exists(s->fd, "mine/lock"), 1);
	assert_int_equal(pl_exists(s->fd, ".pleach-000000000000000000000002/x"), 1);
}

static void that_of_another_user_stays_G7(void **state)
{
	struct scratch *s = *state;

	if (geteuid() != 0)
		SKIP("needs root");
	make_dead(s);
	assert_int_equal(chown(scratch_path(s, DEAD), 1234, 1234), 0);
	assert_int_equal(pl_beside_sweep(s->fd), 0);
	assert_int_equal(count_names(s->fd, "."), 1);
}

static int begin_work_end(struct scratch *s)
{
	struct pl_beside beside;

	CHECK(pl_beside_begin(s->fd, &beside) == 0);
	CHECK(make_file(beside.dir.fd, "file", "x") == 0);
	CHECK(pl_mkdir(beside.dir.fd, "sub", 0700) == 0);
	pl_beside_end(&beside);
	return 0;
}

static void killed_at_every_call_the_next_one_removes_it_G6(void **state)
{
	struct scratch *s = *state;
	int status = 99;
	uint64_t n;

	for (n = 1; n < 100 && status == 99; n++) {
		status = killed_at(n, begin_work_end, s);
		assert_true(status == 99 || status == 0);
		assert_in_range(count_names(s->fd, "."), 0, 1);
		assert_int_equal(begin_work_end(s), 0);
		if (pl_dir_is_empty(s->fd) != 1)
			fail_msg("killed at %" PRIu64 ": something is left", n);
	}
	assert_in_range(n, 12, 99);
}

static void failed_at_every_call_the_next_one_removes_it(void **state)
{
	struct scratch *s = *state;
	uint64_t n, calls = UINT64_MAX;

	for (n = 1; n < 100 && calls >= n - 1; n++) {
		struct pl_beside beside;
		int r, fds = count_fds();

		pl_seam_arm(&(struct pl_seam_plan){.fail_at = n, .fail_errno = EIO});
		r = pl_beside_begin(s->fd, &beside);
		calls = pl_seam_count();
		pl_seam_arm(NULL);
		assert_int_equal(r, calls < n ? 0 : -EIO);
		if (r == 0)
			pl_beside_end(&beside);
		assert_int_equal(pl_beside_sweep(s->fd), 0);
		assert_int_equal(pl_dir_is_empty(s->fd), 1);
		assert_int_equal(count_fds(), fds);
	}
	assert_in_range(n, 7, 99);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_the_prefix_and_24_digits),
		TEST(it_is_private_and_gone_at_the_end),
		TEST(it_inherits_nothing),
		TEST(dead_ones_go_and_held_ones_stay),
		TEST(what_is_not_ours_stays_G7),
		TEST(that_of_another_user_stays_G7),
		TEST(killed_at_every_call_the_next_one_removes_it_G6),
		TEST(failed_at_every_call_the_next_one_removes_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
