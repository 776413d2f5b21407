/* The laws of the seam: what passes it, in which number, and what a plan makes of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>

#include "aborts.h"
#include "sys/scratch.h"
#include "sys/seam.h"

static const struct pl_seam_plan just_count = {0};

/* One call of each kind and more; the scratch directory is as prepare() left it. */
struct operation {
	const char *name;
	int (*make)(struct scratch *s);
	enum pl_call call;
};

static int fd_of(struct scratch *s, const char *name)
{
	return openat(s->fd, name, O_RDWR | O_CLOEXEC);
}

/* Makes a call with a descriptor of "file". */
#define WITH_FILE(name, expression)           \
	static int name(struct scratch *s)    \
	{                                     \
		int r, fd = fd_of(s, "file"); \
                                              \
		r = (expression);             \
		close(fd);                    \
		return r;                     \
	}
#define WITH_NAMES(name, expression)       \
	static int name(struct scratch *s) \
	{                                  \
		return (expression);       \
	}
#define OPENING(name, expression)          \
	static int name(struct scratch *s) \
	{                                  \
		int fd = (expression);     \
                                           \
		if (fd < 0)                \
			return fd;         \
		pl_close(fd);              \
		return 0;                  \
	}

OPENING(create, pl_create(s->fd, "new", 0600))
OPENING(open_or_create, pl_open_or_create(s->fd, "file", O_RDWR, 0600))
OPENING(open_truncating, pl_open(s->fd, "file", O_RDWR | O_TRUNC))
WITH_FILE(write_full, pl_write_full(fd, "abcdef", 6))
WITH_FILE(pwrite_full, pl_pwrite_full(fd, "abcdef", 6, 3))
WITH_NAMES(link_name, pl_link(s->fd, "file", s->fd, "second"))
WITH_FILE(link_fd, pl_link_fd(fd, s->fd, "second"))
WITH_NAMES(make_symlink, pl_symlink("file", s->fd, "symlink"))
WITH_NAMES(rename_name, pl_rename(s->fd, "file", s->fd, "renamed"))
WITH_NAMES(rename_new, pl_rename_new(s->fd, "file", s->fd, "renamed"))
WITH_NAMES(unlink_name, pl_unlink(s->fd, "file"))
WITH_NAMES(remove_dir, pl_rmdir(s->fd, "dir"))
WITH_NAMES(make_dir, pl_mkdir(s->fd, "second-dir", 0755))
WITH_NAMES(make_fifo, pl_mknod(s->fd, "fifo", S_IFIFO | 0600, 0))
WITH_FILE(change_mode, pl_chmod(fd, 0600))
WITH_NAMES(change_mode_at, pl_chmod_at(s->fd, "file", 0600))
WITH_FILE(change_owner, pl_chown(fd, geteuid(), getegid()))
WITH_NAMES(change_owner_at, pl_chown_at(s->fd, "file", geteuid(), getegid()))
WITH_FILE(change_time, pl_utimens(fd, 1, 2))
WITH_NAMES(change_time_at, pl_utimens_at(s->fd, "file", 1, 2))
WITH_FILE(sync_file, pl_fsync(fd))
WITH_FILE(sync_all, pl_syncfs(fd))
WITH_NAMES(sync_at, pl_fsync_at(s->fd, "dir"))
WITH_FILE(truncate_file, pl_truncate(fd, 100))

static int lock_file(struct scratch *s)
{
	int fd = fd_of(s, "file"), r = pl_lock_try(fd, PL_LOCK_EXCLUSIVE);

	close(fd);
	return r == 1 ? 0 : r;
}

static const struct operation operations[] = {
	{"create", create, PL_CALL_OPEN},
	{"open_or_create", open_or_create, PL_CALL_OPEN},
	{"open_truncating", open_truncating, PL_CALL_OPEN},
	{"write_full", write_full, PL_CALL_WRITE},
	{"pwrite_full", pwrite_full, PL_CALL_WRITE},
	{"link", link_name, PL_CALL_LINK},
	{"link_fd", link_fd, PL_CALL_LINK},
	{"symlink", make_symlink, PL_CALL_SYMLINK},
	{"rename", rename_name, PL_CALL_RENAME},
	{"rename_new", rename_new, PL_CALL_RENAME},
	{"unlink", unlink_name, PL_CALL_UNLINK},
	{"rmdir", remove_dir, PL_CALL_UNLINK},
	{"mkdir", make_dir, PL_CALL_MKDIR},
	{"mknod", make_fifo, PL_CALL_MKNOD},
	{"chmod", change_mode, PL_CALL_META},
	{"chmod_at", change_mode_at, PL_CALL_META},
	{"chown", change_owner, PL_CALL_META},
	{"chown_at", change_owner_at, PL_CALL_META},
	{"utimens", change_time, PL_CALL_META},
	{"utimens_at", change_time_at, PL_CALL_META},
	{"fsync", sync_file, PL_CALL_SYNC},
	{"syncfs", sync_all, PL_CALL_SYNC},
	{"fsync_at", sync_at, PL_CALL_SYNC},
	{"truncate", truncate_file, PL_CALL_TRUNCATE},
	{"lock", lock_file, PL_CALL_LOCK},
};

/* Undoes what any of the operations did. */
static void prepare(struct scratch *s)
{
	static const char *const names[] = {"file", "new", "second", "symlink", "renamed", "fifo"};

	pl_seam_arm(NULL);
	for (size_t i = 0; i < PL_ARRAY_LEN(names); i++)
		(void)unlinkat(s->fd, names[i], 0);
	(void)unlinkat(s->fd, "second-dir", AT_REMOVEDIR);
	(void)unlinkat(s->fd, "dir", AT_REMOVEDIR);
	assert_int_equal(make_file(s->fd, "file", "text"), 0);
	assert_int_equal(mkdirat(s->fd, "dir", 0755), 0);
}

static void every_call_that_changes_something_passes_once_under_its_kind(void **state)
{
	for (size_t i = 0; i < PL_ARRAY_LEN(operations); i++) {
		const struct operation *o = &operations[i];

		prepare(*state);
		pl_seam_arm(&just_count);
		assert_int_equal(o->make(*state), 0);
		if (pl_seam_count() != 1 || pl_seam_count_of(o->call) != 1)
			fail_msg("%s: %u calls", o->name, (unsigned)pl_seam_count());
	}
}

static void every_call_fails_with_what_was_injected_and_nothing_has_happened(void **state)
{
	for (size_t i = 0; i < PL_ARRAY_LEN(operations); i++) {
		const struct operation *o = &operations[i];

		prepare(*state);
		fail_call(o->call, 1, EDQUOT);
		if (o->make(*state) != -EDQUOT)
			fail_msg("%s: another answer", o->name);
		/* Unless it was done all the same, it can be done now. */
		if (o->make(*state) != 0)
			fail_msg("%s: not undone", o->name);
	}
}

static void an_interruption_is_seen_by_no_caller(void **state)
{
	for (size_t i = 0; i < PL_ARRAY_LEN(operations); i++) {
		const struct operation *o = &operations[i];

		prepare(*state);
		fail_call(o->call, 1, EINTR);
		if (o->make(*state) != 0)
			fail_msg("%s: interrupted", o->name);
		if (pl_seam_count() != 2)
			fail_msg("%s: %u calls", o->name, (unsigned)pl_seam_count());
	}
}

static void interruptions_without_end_end(void **state)
{
	for (size_t i = 0; i < PL_ARRAY_LEN(operations); i++) {
		const struct operation *o = &operations[i];

		prepare(*state);
		pl_seam_arm(
			&(struct pl_seam_plan){.fail_at = 1, .fail_on = true, .fail_errno = EINTR});
		if (o->make(*state) != -EINTR)
			fail_msg("%s: another answer", o->name);
		assert_in_range(pl_seam_count(), PL_SEAM_INTERRUPTIONS, PL_SEAM_INTERRUPTIONS + 10);
	}
}

static void reading_passes_nothing(void **state)
{
	struct scratch *s = *state;
	struct pl_listing listing;
	struct stat st;
	char byte;
	int fd;

	prepare(s);
	pl_seam_arm(&(struct pl_seam_plan){.fail_at = 1, .fail_on = true, .fail_errno = EIO});
	fd = pl_open(s->fd, "file", O_RDONLY);
	assert_true(fd >= 0);
	assert_int_equal(pl_read_full(fd, &byte, 1), 1);
	assert_int_equal(pl_fstat(fd, &st), 0);
	assert_int_equal(pl_lstat(s->fd, "dir", &st), 0);
	assert_int_equal(pl_list(s->fd, &listing), 0);
	pl_listing_done(&listing);
	assert_int_equal(pl_lock_is_held(fd, PL_LOCK_EXCLUSIVE), 0);
	pl_close(fd);
	assert_int_equal(pl_seam_count(), 0);
}

static void nothing_is_counted_unless_armed_and_counts_stay_to_be_read(void **state)
{
	struct scratch *s = *state;

	pl_seam_arm(&just_count);
	assert_int_equal(pl_mkdir(s->fd, "a", 0755), 0);
	pl_seam_arm(NULL);
	assert_int_equal(pl_mkdir(s->fd, "b", 0755), 0);
	assert_int_equal(pl_seam_count(), 1);
	pl_seam_arm(&just_count);
	assert_int_equal(pl_seam_count(), 0);
	assert_int_equal(pl_seam_count_of(PL_CALL_MKDIR), 0);
}

static int make_three_and_exit_at_two(struct scratch *s)
{
	pl_seam_arm(&(struct pl_seam_plan){.exit_at = 2});
	(void)pl_mkdir(s->fd, "a", 0755);
	(void)pl_mkdir(s->fd, "b", 0755);
	(void)pl_mkdir(s->fd, "c", 0755);
	return 0;
}

static void exit_at_k_makes_k_minus_one_calls(void **state)
{
	struct scratch *s = *state;

	assert_int_equal(in_child(make_three_and_exit_at_two, s), 99);
	assert_int_equal(pl_exists(s->fd, "a"), 1);
	assert_int_equal(pl_exists(s->fd, "b"), 0);
	assert_int_equal(pl_exists(s->fd, "c"), 0);
}

static void fail_at_fails_one_and_fail_on_all_later_ones(void **state)
{
	struct scratch *s = *state;
	struct pl_seam_plan plan = {.fail_at = 2, .fail_errno = EROFS};

	pl_seam_arm(&plan);
	assert_int_equal(pl_mkdir(s->fd, "a", 0755), 0);
	assert_int_equal(pl_mkdir(s->fd, "b", 0755), -EROFS);
	assert_int_equal(pl_mkdir(s->fd, "b", 0755), 0);
	plan.fail_on = true;
	pl_seam_arm(&plan);
	assert_int_equal(pl_rmdir(s->fd, "a"), 0);
	assert_int_equal(pl_rmdir(s->fd, "b"), -EROFS);
	assert_int_equal(pl_rmdir(s->fd, "b"), -EROFS);
}

static void the_mask_chooses_what_has_a_number(void **state)
{
	struct scratch *s = *state;

	fail_call(PL_CALL_UNLINK, 1, EIO);
	assert_int_equal(pl_mkdir(s->fd, "a", 0755), 0);
	assert_int_equal(pl_seam_count(), 0);
	assert_int_equal(pl_seam_count_of(PL_CALL_MKDIR), 1);
	assert_int_equal(pl_rmdir(s->fd, "a"), -EIO);
	assert_int_equal(pl_seam_count(), 1);
}

static void note_call(uint64_t number, enum pl_call call, void *userdata)
{
	uint64_t *sum = userdata;

	*sum = *sum * 1000 + number * 100 + (uint64_t)call;
}

static void stop_is_called_at_every_call_with_its_number_and_kind(void **state)
{
	struct scratch *s = *state;
	uint64_t sum = 0;

	pl_seam_arm(&(struct pl_seam_plan){.stop = note_call, .userdata = &sum});
	assert_int_equal(pl_mkdir(s->fd, "a", 0755), 0);
	assert_int_equal(pl_rmdir(s->fd, "a"), 0);
	assert_true(sum == UINT64_C(1000) * (100 + PL_CALL_MKDIR) + 200 + PL_CALL_UNLINK);
}

#define THREADS	 4
#define PASSINGS 20000

static void *pass_often(void *unused)
{
	(void)unused;
	for (int i = 0; i < PASSINGS; i++)
		(void)pl_seam(PL_CALL_META);
	return NULL;
}

static void no_call_of_any_thread_is_lost(void **state)
{
	pthread_t threads[THREADS];

	pl_seam_arm(&just_count);
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, pass_often, NULL), 0);
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(pl_seam_count(), THREADS * PASSINGS);
	assert_int_equal(pl_seam_count_of(PL_CALL_META), THREADS * PASSINGS);
}

static void disabling_replaces_what_was_disabled(void **state)
{
	assert_true(pl_seam_has(PL_CAP_SYNCFS));
	pl_seam_disable(PL_CAP_SYNCFS | PL_CAP_XATTR);
	assert_false(pl_seam_has(PL_CAP_SYNCFS));
	assert_false(pl_seam_has(PL_CAP_XATTR));
	assert_true(pl_seam_has(PL_CAP_REFLINK));
	pl_seam_disable(PL_CAP_REFLINK);
	assert_true(pl_seam_has(PL_CAP_SYNCFS));
	assert_false(pl_seam_has(PL_CAP_REFLINK));
}

static void fail_without_an_errno(void)
{
	pl_seam_arm(&(struct pl_seam_plan){.fail_at = 1});
}

static void a_failure_without_an_errno_is_a_bug(void **state)
{
	assert_true(aborts(fail_without_an_errno));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_call_that_changes_something_passes_once_under_its_kind),
		TEST(every_call_fails_with_what_was_injected_and_nothing_has_happened),
		TEST(an_interruption_is_seen_by_no_caller),
		TEST(interruptions_without_end_end),
		TEST(reading_passes_nothing),
		TEST(nothing_is_counted_unless_armed_and_counts_stay_to_be_read),
		TEST(exit_at_k_makes_k_minus_one_calls),
		TEST(fail_at_fails_one_and_fail_on_all_later_ones),
		TEST(the_mask_chooses_what_has_a_number),
		TEST(stop_is_called_at_every_call_with_its_number_and_kind),
		TEST(no_call_of_any_thread_is_lost),
		TEST(disabling_replaces_what_was_disabled),
		TEST(a_failure_without_an_errno_is_a_bug),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
