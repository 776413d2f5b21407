/* The laws of mode, owner and mtime. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "aborts.h"
#include "sys/scratch.h"

static struct stat lstat_of(struct scratch *s, const char *name)
{
	struct stat st;

	assert_int_equal(pl_lstat(s->fd, name, &st), 0);
	return st;
}

static int open_file(struct scratch *s)
{
	int fd = pl_create(s->fd, "file", 0600);

	assert_true(fd >= 0);
	return fd;
}

static void a_mode_is_set_as_it_is_whatever_the_umask(void **state)
{
	struct scratch *s = *state;
	PL_CLOSE int fd = open_file(s);

	assert_int_equal(pl_chmod(fd, 04777), 0);
	assert_int_equal(lstat_of(s, "file").st_mode, S_IFREG | 04777);
	assert_int_equal(pl_chmod_at(s->fd, "file", 0), 0);
	assert_int_equal(lstat_of(s, "file").st_mode, S_IFREG);
	assert_int_equal(pl_mknod(s->fd, "fifo", S_IFIFO | 0600, 0), 0);
	assert_int_equal(pl_chmod_at(s->fd, "fifo", 0666), 0);
	assert_int_equal(lstat_of(s, "fifo").st_mode, S_IFIFO | 0666);
}

static void what_a_symlink_leads_to_keeps_mode_owner_and_time(void **state)
{
	struct scratch *s = *state;
	PL_CLOSE int fd = open_file(s);
	struct stat before, after;

	assert_int_equal(pl_symlink("file", s->fd, "symlink"), 0);
	assert_int_equal(pl_utimens(fd, 1000, 1), 0);
	before = lstat_of(s, "file");
	assert_int_equal(pl_chmod_at(s->fd, "symlink", 0777), -EOPNOTSUPP);
	assert_int_equal(pl_utimens_at(s->fd, "symlink", 2000, 2), 0);
	assert_int_equal(pl_chown_at(s->fd, "symlink", geteuid(), getegid()), 0);
	after = lstat_of(s, "file");
	assert_memory_equal(&before, &after, sizeof(before));
	assert_int_equal(lstat_of(s, "symlink").st_mtim.tv_sec, 2000);
	assert_int_equal(lstat_of(s, "symlink").st_mtim.tv_nsec, 2);
}

static void an_mtime_is_kept_to_the_nanosecond_before_1970_too(void **state)
{
	static const struct {
		int64_t s;
		uint32_t ns;
	} times[] = {{0, 0}, {1234567890, 123456789}, {-1, 999999999}, {5000000000, 1}};
	struct scratch *s = *state;
	PL_CLOSE int fd = open_file(s);

	for (size_t i = 0; i < PL_ARRAY_LEN(times); i++) {
		struct stat st;

		assert_int_equal(pl_utimens(fd, times[i].s, times[i].ns), 0);
		st = lstat_of(s, "file");
		assert_true(st.st_mtim.tv_sec == times[i].s);
		assert_true(st.st_mtim.tv_nsec == times[i].ns);
	}
}

static void an_mtime_leaves_the_atime(void **state)
{
	const struct timespec times[2] = {{.tv_sec = 77}, {.tv_sec = 78}};
	struct scratch *s = *state;
	PL_CLOSE int fd = open_file(s);

	assert_int_equal(futimens(fd, times), 0);
	assert_int_equal(pl_utimens(fd, 100, 0), 0);
	assert_int_equal(pl_utimens_at(s->fd, "file", 200, 0), 0);
	assert_int_equal(lstat_of(s, "file").st_atim.tv_sec, 77);
	assert_int_equal(lstat_of(s, "file").st_mtim.tv_sec, 200);
}

static void set_a_strange_time(void)
{
	(void)pl_utimens(1, 0, UTIME_NOW);
}

static void a_number_with_a_meaning_is_no_time(void **state)
{
	assert_true(aborts(set_a_strange_time));
}

static void an_owner_is_set_by_root(void **state)
{
	struct scratch *s = *state;
	PL_CLOSE int fd = open_file(s);

	if (geteuid() != 0)
		SKIP("needs root: giving a file away");
	assert_int_equal(pl_symlink("file", s->fd, "symlink"), 0);
	assert_int_equal(pl_chown(fd, 1234, 5678), 0);
	assert_int_equal(lstat_of(s, "file").st_uid, 1234);
	assert_int_equal(lstat_of(s, "file").st_gid, 5678);
	assert_int_equal(pl_chown_at(s->fd, "symlink", 4321, 8765), 0);
	assert_int_equal(lstat_of(s, "symlink").st_uid, 4321);
	assert_int_equal(lstat_of(s, "file").st_uid, 1234);
}

static int give_away(struct scratch *s)
{
	PL_CLOSE int fd = pl_create(s->fd, "file", 0600);

	CHECK(fd >= 0);
	CHECK(pl_chown(fd, 0, (gid_t)-1) == -EPERM);
	CHECK(pl_chown_at(s->fd, "file", 0, (gid_t)-1) == -EPERM);
	return 0;
}

static void an_owner_is_not_set_by_others(void **state)
{
	assert_int_equal(in_child_as_user(give_away, *state), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_mode_is_set_as_it_is_whatever_the_umask),
		TEST(what_a_symlink_leads_to_keeps_mode_owner_and_time),
		TEST(an_mtime_is_kept_to_the_nanosecond_before_1970_too),
		TEST(an_mtime_leaves_the_atime),
		TEST(a_number_with_a_meaning_is_no_time),
		TEST(an_owner_is_set_by_root),
		TEST(an_owner_is_not_set_by_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
