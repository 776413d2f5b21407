/* The laws of locks: a handle holds them, readers cannot block, the name has to be looked at. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sys/scratch.h"

static int open_lock(struct scratch *s, int flags)
{
	int fd = pl_open_or_create(s->fd, "lock", flags, 0600);

	assert_true(fd >= 0);
	return fd;
}

static void two_descriptors_of_one_process_exclude_each_other(void **state)
{
	PL_CLOSE int a = open_lock(*state, O_RDWR);
	PL_CLOSE int b = open_lock(*state, O_RDWR);

	assert_int_equal(pl_lock_try(a, PL_LOCK_EXCLUSIVE), 1);
	assert_int_equal(pl_lock_try(a, PL_LOCK_EXCLUSIVE), 1); /* it has it */
	assert_int_equal(pl_lock_try(b, PL_LOCK_EXCLUSIVE), 0);
	assert_int_equal(pl_lock_try(b, PL_LOCK_SHARED), 0);
	assert_int_equal(pl_unlock(a), 0);
	assert_int_equal(pl_lock_try(b, PL_LOCK_EXCLUSIVE), 1);
}

static void shared_locks_share_and_keep_the_exclusive_one_out(void **state)
{
	PL_CLOSE int a = open_lock(*state, O_RDWR);
	PL_CLOSE int b = open_lock(*state, O_RDONLY);
	PL_CLOSE int c = open_lock(*state, O_RDWR);

	assert_int_equal(pl_lock_try(a, PL_LOCK_SHARED), 1);
	assert_int_equal(pl_lock_try(b, PL_LOCK_SHARED), 1);
	assert_int_equal(pl_lock_try(c, PL_LOCK_EXCLUSIVE), 0);
	assert_int_equal(pl_lock_try(a, PL_LOCK_EXCLUSIVE), 0); /* b is there */
	assert_int_equal(pl_unlock(b), 0);
	assert_int_equal(pl_lock_try(c, PL_LOCK_EXCLUSIVE), 0); /* a is still there */
	assert_int_equal(pl_lock_try(a, PL_LOCK_EXCLUSIVE), 1);
}

static void who_may_only_read_cannot_block(void **state)
{
	PL_CLOSE int a = open_lock(*state, O_RDONLY);

	assert_int_equal(pl_lock_try(a, PL_LOCK_EXCLUSIVE), -EBADF);
	assert_int_equal(pl_lock_try(a, PL_LOCK_SHARED), 1);
}

static void closing_another_descriptor_of_the_file_loses_nothing(void **state)
{
	PL_CLOSE int a = open_lock(*state, O_RDWR);
	PL_CLOSE int b = open_lock(*state, O_RDWR);

	assert_int_equal(pl_lock_try(a, PL_LOCK_EXCLUSIVE), 1);
	pl_close(open_lock(*state, O_RDWR)); /* with record locks, a's were gone now */
	assert_int_equal(pl_lock_try(b, PL_LOCK_EXCLUSIVE), 0);
	pl_closep(&a);
	assert_int_equal(pl_lock_try(b, PL_LOCK_EXCLUSIVE), 1);
}

static void a_lock_covers_what_the_file_grows_to(void **state)
{
	PL_CLOSE int a = open_lock(*state, O_RDWR);
	PL_CLOSE int b = open_lock(*state, O_RDWR);
	struct flock far = {
		.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 1000000, .l_len = 1};

	assert_int_equal(pl_lock_try(a, PL_LOCK_EXCLUSIVE), 1);
	assert_int_equal(fcntl(b, F_OFD_SETLK, &far), -1);
	assert_int_equal(errno, EAGAIN);
}

static int lock_and_die(struct scratch *s)
{
	int fd = pl_open_or_create(s->fd, "lock", O_RDWR, 0600);

	CHECK(pl_lock_try(fd, PL_LOCK_EXCLUSIVE) == 1);
	return 0;
}

static void a_lock_dies_with_its_process(void **state)
{
	PL_CLOSE int fd = open_lock(*state, O_RDWR);

	assert_int_equal(in_child(lock_and_die, *state), 0);
	assert_int_equal(pl_lock_try(fd, PL_LOCK_EXCLUSIVE), 1);
}

/* ---- waiting ---- */

struct waiter {
	int holder;
	int cancel;
};

/* At the third try the holder lets go. */
static void let_go(uint64_t number, enum pl_call call, void *userdata)
{
	struct waiter *w = userdata;

	if (number == 3)
		assert_int_equal(pl_unlock(w->holder), 0);
}

static void cancel(uint64_t number, enum pl_call call, void *userdata)
{
	struct waiter *w = userdata;

	if (number == 3)
		w->cancel = 1;
}

static void waiting_ends_when_the_lock_is_free(void **state)
{
	PL_CLOSE int a = open_lock(*state, O_RDWR);
	PL_CLOSE int b = open_lock(*state, O_RDWR);
	struct waiter w = {.holder = a};

	assert_int_equal(pl_lock_try(a, PL_LOCK_EXCLUSIVE), 1);
	pl_seam_arm(&(struct pl_seam_plan){.stop = let_go, .userdata = &w});
	assert_int_equal(pl_lock_wait(b, PL_LOCK_SHARED, -1, &w.cancel), 1);
	assert_int_equal(pl_seam_count_of(PL_CALL_LOCK), 3);
	assert_int_equal(pl_lock_is_held(a, PL_LOCK_EXCLUSIVE), 1);
}

static void waiting_ends_when_it_is_cancelled(void **state)
{
	PL_CLOSE int a = open_lock(*state, O_RDWR);
	PL_CLOSE int b = open_lock(*state, O_RDWR);
	struct waiter w = {.holder = a};

	assert_int_equal(pl_lock_try(a, PL_LOCK_EXCLUSIVE), 1);
	pl_seam_arm(&(struct pl_seam_plan){.stop = cancel, .userdata = &w});
	assert_int_equal(pl_lock_wait(b, PL_LOCK_EXCLUSIVE, -1, &w.cancel), -EINTR);
	/* Even a free lock is not taken any more. */
	assert_int_equal(pl_unlock(a), 0);
	assert_int_equal(pl_lock_wait(b, PL_LOCK_EXCLUSIVE, -1, &w.cancel), -EINTR);
}

static void waiting_ends_in_time(void **state)
{
	PL_CLOSE int a = open_lock(*state, O_RDWR);
	PL_CLOSE int b = open_lock(*state, O_RDWR);
	int64_t start = pl_clock_monotonic_ms(), passed;

	assert_int_equal(pl_lock_try(a, PL_LOCK_EXCLUSIVE), 1);
	assert_int_equal(pl_lock_wait(b, PL_LOCK_EXCLUSIVE, 0, NULL), 0);
	assert_int_equal(pl_lock_wait(b, PL_LOCK_EXCLUSIVE, 50, NULL), 0);
	passed = pl_clock_monotonic_ms() - start;
	assert_true(passed >= 50);
	assert_true(passed < 10000);
	assert_int_equal(pl_unlock(a), 0);
	assert_int_equal(pl_lock_wait(b, PL_LOCK_EXCLUSIVE, 0, NULL), 1);
}

static void an_error_ends_waiting(void **state)
{
	PL_CLOSE int a = open_lock(*state, O_RDONLY);

	assert_int_equal(pl_lock_wait(a, PL_LOCK_EXCLUSIVE, -1, NULL), -EBADF);
}

/* ---- looking ---- */

static void a_lock_is_of_the_inode_not_of_the_name(void **state)
{
	struct scratch *s = *state;
	PL_CLOSE int a = open_lock(s, O_RDWR);
	PL_CLOSE int b = -EBADF;

	assert_int_equal(pl_lock_try(a, PL_LOCK_EXCLUSIVE), 1);
	assert_int_equal(pl_lock_is_current(a, s->fd, "lock"), 1);
	assert_int_equal(pl_unlink(s->fd, "lock"), 0);
	assert_int_equal(pl_lock_is_current(a, s->fd, "lock"), 0);
	b = open_lock(s, O_RDWR);
	assert_int_equal(pl_lock_try(b, PL_LOCK_EXCLUSIVE), 1); /* both are granted */
	assert_int_equal(pl_lock_is_current(a, s->fd, "lock"), 0);
	assert_int_equal(pl_lock_is_current(b, s->fd, "lock"), 1);
	/* A symlink that leads to the inode is not its name. */
	assert_int_equal(pl_rename(s->fd, "lock", s->fd, "moved"), 0);
	assert_int_equal(pl_symlink("moved", s->fd, "lock"), 0);
	assert_int_equal(pl_lock_is_current(b, s->fd, "lock"), 0);
	assert_int_equal(pl_lock_is_current(b, s->fd, "moved"), 1);
}

static void looking_who_holds_a_lock_takes_none(void **state)
{
	PL_CLOSE int a = open_lock(*state, O_RDWR);
	PL_CLOSE int b = open_lock(*state, O_RDONLY);
	PL_CLOSE int c = open_lock(*state, O_RDWR);

	assert_int_equal(pl_lock_is_held(b, PL_LOCK_EXCLUSIVE), 0);
	assert_int_equal(pl_lock_try(a, PL_LOCK_SHARED), 1);
	assert_int_equal(pl_lock_is_held(b, PL_LOCK_EXCLUSIVE), 1);
	assert_int_equal(pl_lock_is_held(b, PL_LOCK_SHARED), 0);
	assert_int_equal(pl_lock_is_held(a, PL_LOCK_EXCLUSIVE), 0); /* its own does not count */
	assert_int_equal(pl_unlock(a), 0);
	assert_int_equal(pl_lock_try(c, PL_LOCK_EXCLUSIVE), 1);
	assert_int_equal(pl_lock_is_held(b, PL_LOCK_SHARED), 1);
	assert_int_equal(pl_unlock(c), 0);
	assert_int_equal(pl_lock_try(a, PL_LOCK_EXCLUSIVE), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(two_descriptors_of_one_process_exclude_each_other),
		TEST(shared_locks_share_and_keep_the_exclusive_one_out),
		TEST(who_may_only_read_cannot_block),
		TEST(closing_another_descriptor_of_the_file_loses_nothing),
		TEST(a_lock_covers_what_the_file_grows_to),
		TEST(a_lock_dies_with_its_process),
		TEST(waiting_ends_when_the_lock_is_free),
		TEST(waiting_ends_when_it_is_cancelled),
		TEST(waiting_ends_in_time),
		TEST(an_error_ends_waiting),
		TEST(a_lock_is_of_the_inode_not_of_the_name),
		TEST(looking_who_holds_a_lock_takes_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
