/* Whoever holds the lock has the directory; nobody is ever taken for dead who is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "controls.h"
#include "ref/stores.h"

static void one_that_is_held_is_not_taken(void **state)
{
	struct scratch *s = *state;
	struct pl_lockdir mine, other;

	assert_int_equal(pl_lockdir_make(s->fd, "d", &mine), 0);
	assert_int_equal(pl_lockdir_make(s->fd, "d", &other), -EEXIST);
	assert_int_equal(pl_lockdir_take(s->fd, "d", &other), 0);
	assert_int_equal(count_names(s->fd, "d"), 1);
	pl_lockdir_close(&mine);
	assert_int_equal(pl_lockdir_take(s->fd, "d", &other), 1);
	assert_int_equal(pl_lockdir_take(s->fd, "d", &mine), 0);
	assert_int_equal(pl_lockdir_erase(s->fd, "d", &other), 0);
	assert_int_equal(pl_exists(s->fd, "d"), 0);
}

static int make_and_erase(struct scratch *s)
{
	struct pl_lockdir dir;

	umask(0777);
	CHECK(pl_lockdir_make(s->fd, "d", &dir) == 0);
	CHECK(mode_of(s->fd, "d") == 0700 && mode_of(dir.fd, "lock") == 0600);
	CHECK(pl_mkdir(dir.fd, "sub", 0700) == 0);
	CHECK(make_file(dir.fd, "file", "x") == 0);
	CHECK(pl_lockdir_erase(s->fd, "d", &dir) == 0);
	return 0;
}

static void modes_do_not_depend_on_the_umask(void **state)
{
	assert_int_equal(in_child_as_user(make_and_erase, *state), 0);
}

static void killed_at_every_call_it_is_gone_or_dead(void **state)
{
	struct scratch *s = *state;
	int status = 99;
	uint64_t n;

	for (n = 1; n < 100 && status == 99; n++) {
		struct pl_lockdir dir;
		int r;

		status = killed_at(n, make_and_erase, s);
		assert_true(status == 99 || status == 0);
		r = pl_lockdir_take(s->fd, "d", &dir);
		if (r == 1)
			r = pl_lockdir_erase(s->fd, "d", &dir);
		assert_int_equal(r, 0);
		if (pl_exists(s->fd, "d") != 0)
			fail_msg("killed at %" PRIu64 ": it is still there", n);
	}
	assert_true(n > 8 && n < 100);
}

static void failed_at_every_call_nothing_is_left_but_what_is_dead(void **state)
{
	struct scratch *s = *state;
	uint64_t n;
	int r = -1;

	for (n = 1; n < 100; n++) {
		struct pl_lockdir dir;
		uint64_t calls;

		pl_seam_arm(&(struct pl_seam_plan){.fail_at = n, .fail_errno = EIO});
		r = pl_lockdir_make(s->fd, "d", &dir);
		calls = pl_seam_count();
		pl_seam_arm(NULL);
		if (calls < n)
			break;
		assert_int_equal(r, -EIO);
		assert_int_equal(pl_exists(s->fd, "d"), 0);
	}
	assert_int_equal(r, 0);
	assert_int_equal(n, 6);
}

static void without_a_lock_file_it_goes_only_if_it_is_empty(void **state)
{
	struct scratch *s = *state;
	struct pl_lockdir dir;

	assert_int_equal(pl_mkdir(s->fd, "empty", 0700), 0);
	assert_int_equal(pl_mkdir(s->fd, "full", 0700), 0);
	assert_int_equal(make_file(s->fd, "full/x", "x"), 0);
	assert_int_equal(pl_lockdir_take(s->fd, "empty", &dir), 0);
	assert_int_equal(pl_lockdir_take(s->fd, "full", &dir), 0);
	assert_int_equal(pl_lockdir_take(s->fd, "missing", &dir), 0);
	assert_int_equal(pl_exists(s->fd, "empty"), 0);
	assert_int_equal(pl_exists(s->fd, "full/x"), 1);
}

/* As btrfs may leave it: what is in it durable, the lock file not. */
static void in_a_store_one_that_has_lost_its_lock_file_is_dead(void **state)
{
	struct scratch *s = *state;
	struct pl_lockdir dir, other;

	assert_int_equal(pl_mkdir(s->fd, "d", 0700), 0);
	assert_int_equal(make_file(s->fd, "d/x", "x"), 0);
	assert_int_equal(pl_lockdir_take_in_store(s->fd, "d", &dir), 1);
	assert_int_equal(mode_of(dir.fd, "lock"), 0600);
	assert_int_equal(pl_lockdir_take_in_store(s->fd, "d", &other), 0);
	assert_int_equal(pl_exists(s->fd, "d/x"), 1);
	assert_int_equal(pl_lockdir_erase(s->fd, "d", &dir), 0);
	assert_int_equal(pl_exists(s->fd, "d"), 0);
}

static void symlinks_and_files_are_not_followed_or_taken(void **state)
{
	struct scratch *s = *state;
	struct pl_lockdir dir;

	assert_int_equal(pl_mkdir(s->fd, "d", 0700), 0);
	assert_int_equal(make_file(s->fd, "d/lock", ""), 0);
	assert_int_equal(symlinkat("d", s->fd, "l"), 0);
	assert_int_equal(pl_lockdir_take(s->fd, "l", &dir), 0);
	assert_int_equal(pl_lockdir_take(s->fd, "d/lock", &dir), 0);
	assert_int_equal(pl_mkdir(s->fd, "e", 0700), 0);
	assert_int_equal(symlinkat("../d/lock", s->fd, "e/lock"), 0);
	assert_int_equal(pl_lockdir_take(s->fd, "e", &dir), 0);
	assert_int_equal(pl_exists(s->fd, "d/lock"), 1);
	assert_int_equal(pl_exists(s->fd, "e/lock"), 1);
}

/* ---- the race of make with take ---- */

struct racer {
	struct scratch *s;
	uint64_t at;
	int r;
};

/* What another process does just before a call of make: takes the directory for dead. */
static void take_it(uint64_t number, enum pl_call call, void *userdata)
{
	struct racer *racer = userdata;
	struct pl_lockdir dir;

	if (number != racer->at)
		return;
	racer->r = pl_lockdir_take(racer->s->fd, "d", &dir);
	if (racer->r == 1)
		(void)pl_lockdir_erase(racer->s->fd, "d", &dir);
}

static void whoever_is_taken_for_dead_while_making_begins_again(void **state)
{
	struct scratch *s = *state;
	int n_stale = 0;
	uint64_t at;

	for (at = 2; at <= 5; at++) {
		struct racer racer = {.s = s, .at = at};
		struct pl_lockdir dir;
		int r;

		pl_seam_arm(&(struct pl_seam_plan){.stop = take_it, .userdata = &racer});
		r = pl_lockdir_make(s->fd, "d", &dir);
		pl_seam_arm(NULL);
		if (r != -ESTALE)
			fail_msg("taken before call %" PRIu64 ": %d", at, r);
		assert_int_equal(pl_exists(s->fd, "d"), 0);
		n_stale++;
	}
	assert_int_equal(n_stale, 4);
}

/* Before call 5, the lock, another one takes the lock and keeps it for now. */
static void hold_it(uint64_t number, enum pl_call call, void *userdata)
{
	struct pl_lockdir *other = userdata;

	if (number == 5 && call == PL_CALL_LOCK)
		assert_int_equal(pl_lockdir_take(AT_FDCWD, "d", other), 1);
}

static void whoever_finds_the_lock_busy_begins_again_and_touches_nothing(void **state)
{
	struct scratch *s = *state;
	struct pl_lockdir other = PL_LOCKDIR_NONE, mine;
	PL_CLOSE int cwd = open(".", O_RDONLY | O_DIRECTORY);

	assert_int_equal(fchdir(s->fd), 0);
	pl_seam_arm(&(struct pl_seam_plan){.stop = hold_it, .userdata = &other});
	assert_int_equal(pl_lockdir_make(s->fd, "d", &mine), -ESTALE);
	pl_seam_arm(NULL);
	assert_int_equal(fchdir(cwd), 0);
	assert_int_equal(pl_exists(s->fd, "d/lock"), 1);
	assert_int_equal(pl_lockdir_erase(s->fd, "d", &other), 0);
}

static void a_directory_that_was_moved_is_not_taken_under_its_old_name(void **state)
{
	struct scratch *s = *state;
	struct pl_lockdir dir;

	assert_int_equal(pl_lockdir_make(s->fd, "d", &dir), 0);
	assert_int_equal(pl_rename(s->fd, "d", s->fd, "e"), 0);
	pl_lockdir_close(&dir);
	assert_int_equal(pl_lockdir_take(s->fd, "d", &dir), 0);
	assert_int_equal(pl_exists(s->fd, "e/lock"), 1);
}

/* What happens just before take gets its lock. */
struct meanwhile {
	struct scratch *s;
	void (*happens)(struct scratch *s);
	bool is_over;
};

static void happen(uint64_t number, enum pl_call call, void *userdata)
{
	const struct meanwhile *meanwhile = userdata;

	if (number == 1 && call == PL_CALL_LOCK)
		meanwhile->happens(meanwhile->s);
}

static int take_while(struct scratch *s, void (*happens)(struct scratch *s))
{
	struct meanwhile meanwhile = {.s = s, .happens = happens};
	struct pl_lockdir dir;
	int r;

	assert_int_equal(pl_lockdir_make(s->fd, "d", &dir), 0);
	pl_lockdir_close(&dir);
	pl_seam_arm(&(struct pl_seam_plan){.stop = happen, .userdata = &meanwhile});
	r = pl_lockdir_take(s->fd, "d", &dir);
	pl_seam_arm(NULL);
	return r;
}

static void another_takes_and_erases_it(struct scratch *s)
{
	struct pl_lockdir dir;

	assert_int_equal(pl_lockdir_take(s->fd, "d", &dir), 1);
	assert_int_equal(pl_lockdir_erase(s->fd, "d", &dir), 0);
}

static void another_is_killed_over_erasing_it(struct scratch *s)
{
	assert_int_equal(unlinkat(s->fd, "d/lock", 0), 0);
}

static void it_is_moved_and_the_name_given_again(struct scratch *s)
{
	struct pl_lockdir dir;

	assert_int_equal(renameat(s->fd, "d", s->fd, "e"), 0);
	assert_int_equal(pl_lockdir_make(s->fd, "d", &dir), 0);
	pl_lockdir_close(&dir);
}

static void what_changed_before_the_lock_was_had_is_not_taken(void **state)
{
	struct scratch *s = *state;

	assert_int_equal(take_while(s, another_takes_and_erases_it), 0);
	assert_int_equal(pl_exists(s->fd, "d"), 0);
	assert_int_equal(take_while(s, another_is_killed_over_erasing_it), 0);
	assert_int_equal(count_names(s->fd, "d"), 0);
	assert_int_equal(pl_rmdir(s->fd, "d"), 0);
	assert_int_equal(take_while(s, it_is_moved_and_the_name_given_again), 0);
	assert_int_equal(count_names(s->fd, "d"), 1);
	assert_int_equal(count_names(s->fd, "e"), 1);
}

/* At each call of an erasing, as long as there is a lock file. */
static void take_it_meanwhile(uint64_t number, enum pl_call call, void *userdata)
{
	struct meanwhile *meanwhile = userdata;
	struct pl_lockdir dir;

	(void)number;
	if (call == PL_CALL_LOCK || pl_exists(meanwhile->s->fd, "d/lock") != 1)
		return;
	assert_int_equal(pl_lockdir_take(meanwhile->s->fd, "d", &dir), 0);
	meanwhile->is_over = true;
}

/* Its name and that of its lock go while it is held. (model/lockdir.pml) */
static void nobody_gets_one_that_is_being_erased(void **state)
{
	struct scratch *s = *state;
	struct meanwhile meanwhile = {.s = s};
	struct pl_lockdir dir;

	assert_int_equal(pl_lockdir_make(s->fd, "d", &dir), 0);
	assert_int_equal(make_file(dir.fd, "x", "x"), 0);
	pl_seam_arm(&(struct pl_seam_plan){.stop = take_it_meanwhile, .userdata = &meanwhile});
	assert_int_equal(pl_lockdir_erase(s->fd, "d", &dir), 0);
	pl_seam_arm(NULL);
	assert_true(meanwhile.is_over);
	assert_int_equal(pl_exists(s->fd, "d"), 0);
}

static void errors_of_locking_are_told(void **state)
{
	struct scratch *s = *state;
	struct pl_lockdir dir;

	assert_int_equal(pl_lockdir_make(s->fd, "d", &dir), 0);
	pl_lockdir_close(&dir);
	fail_call(PL_CALL_LOCK, 1, ENOLCK);
	assert_int_equal(pl_lockdir_take(s->fd, "d", &dir), -ENOLCK);
	pl_seam_arm(NULL);
	assert_int_equal(pl_exists(s->fd, "d/lock"), 1);
}

static void no_descriptor_is_left_open(void **state)
{
	struct scratch *s = *state;
	struct pl_lockdir dir, other;
	int before = count_fds();

	assert_int_equal(pl_lockdir_make(s->fd, "d", &dir), 0);
	assert_int_equal(pl_lockdir_make(s->fd, "d", &other), -EEXIST);
	assert_int_equal(pl_lockdir_take(s->fd, "d", &other), 0);
	assert_int_equal(pl_lockdir_erase(s->fd, "d", &dir), 0);
	assert_true(dir.fd == -EBADF && dir.lock_fd == -EBADF);
	assert_int_equal(count_fds(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(one_that_is_held_is_not_taken),
		TEST(modes_do_not_depend_on_the_umask),
		TEST(killed_at_every_call_it_is_gone_or_dead),
		TEST(failed_at_every_call_nothing_is_left_but_what_is_dead),
		TEST(without_a_lock_file_it_goes_only_if_it_is_empty),
		TEST(in_a_store_one_that_has_lost_its_lock_file_is_dead),
		TEST(symlinks_and_files_are_not_followed_or_taken),
		TEST(whoever_is_taken_for_dead_while_making_begins_again),
		TEST(whoever_finds_the_lock_busy_begins_again_and_touches_nothing),
		TEST(a_directory_that_was_moved_is_not_taken_under_its_old_name),
		TEST(what_changed_before_the_lock_was_had_is_not_taken),
		TEST(nobody_gets_one_that_is_being_erased),
		TEST(errors_of_locking_are_told),
		TEST(no_descriptor_is_left_open),
	};

	controls_by_environment();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
