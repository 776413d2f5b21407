/* The laws of descriptors: which numbers they have, what is read and written through them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/syscall.h>

#include "aborts.h"
#include "sys/scratch.h"
#include "sys/seam.h"

/* Stands before the C library's own, to play a device that takes nothing and says 0. */
static bool writes_take_nothing;

ssize_t pwrite(int fd, const void *data, size_t length, off_t offset)
{
	return writes_take_nothing ? 0 : syscall(SYS_pwrite64, fd, data, length, offset);
}

static char text[10000];

static void fill_text(void)
{
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)('a' + i % 23);
}

static void assert_file_holds(struct scratch *s, const char *name, size_t length)
{
	PL_BUFFER b = {0};

	assert_int_equal(pl_read_file(s->fd, name, 1 << 20, &b), 0);
	assert_int_equal(b.length, length);
	assert_memory_equal(b.data, text, length);
}

/* ---- F1, F2 ---- */

static int open_without_stdio(struct scratch *s)
{
	int fds[6];

	close(0);
	close(1);
	close(2);
	fds[0] = pl_create(s->fd, "new", 0600);
	fds[1] = pl_open(s->fd, "new", O_RDONLY);
	fds[2] = pl_open_dir(s->fd, ".");
	fds[3] = pl_dup(s->fd);
	fds[4] = pl_open_follow(s->fd, "new", O_RDONLY);
	fds[5] = pl_open_or_create(s->fd, "newer", O_RDWR, 0600);
	for (size_t i = 0; i < PL_ARRAY_LEN(fds); i++) {
		if (fds[i] < 3 || !(fcntl(fds[i], F_GETFD) & FD_CLOEXEC))
			return (int)i + 1;
	}
	return fcntl(0, F_GETFD) < 0 && fcntl(1, F_GETFD) < 0 && fcntl(2, F_GETFD) < 0 ? 0 : 50;
}

static void no_descriptor_is_below_three_or_survives_exec(void **state)
{
	assert_int_equal(in_child(open_without_stdio, *state), 0);
}

static void only_set_inheritable_lets_a_descriptor_through_exec(void **state)
{
	struct scratch *s = *state;
	PL_CLOSE int fd = pl_open_dir(s->fd, ".");

	assert_int_equal(pl_set_inheritable(fd), 0);
	assert_int_equal(fcntl(fd, F_GETFD), 0);
}

static void close_bad(void)
{
	pl_close(1000000);
}

static void open_with_creat(void)
{
	(void)pl_open(AT_FDCWD, "/dev/null", O_CREAT | O_RDONLY);
}

static void closing_keeps_errno_and_a_bad_descriptor_is_a_bug(void **state)
{
	struct scratch *s = *state;
	int fd = pl_dup(s->fd), taken;

	taken = pl_take_fd(&fd);
	assert_int_equal(fd, -EBADF);
	pl_closep(&fd); /* nothing */
	errno = ENOTTY;
	assert_int_equal(pl_close(taken), -EBADF);
	assert_int_equal(errno, ENOTTY);
	assert_true(aborts(close_bad));
	assert_true(aborts(open_with_creat));
}

static void a_symlink_is_followed_only_where_the_name_says_so(void **state)
{
	struct scratch *s = *state;
	int fd;

	assert_int_equal(make_file(s->fd, "file", "x"), 0);
	assert_int_equal(pl_mkdir(s->fd, "dir", 0755), 0);
	assert_int_equal(pl_symlink("file", s->fd, "to-file"), 0);
	assert_int_equal(pl_symlink("dir", s->fd, "to-dir"), 0);
	assert_int_equal(pl_symlink("nowhere", s->fd, "dangling"), 0);
	assert_int_equal(pl_open(s->fd, "to-file", O_RDONLY), -ELOOP);
	assert_int_equal(pl_open_or_create(s->fd, "dangling", O_RDWR, 0600), -ELOOP);
	assert_int_equal(pl_create(s->fd, "dangling", 0600), -EEXIST);
	assert_int_equal(pl_open_dir(s->fd, "to-dir"), -ENOTDIR);
	assert_int_equal(pl_exists(s->fd, "nowhere"), 0);
	fd = pl_open_follow(s->fd, "to-dir", O_RDONLY | O_DIRECTORY);
	assert_true(fd >= 0);
	pl_close(fd);
}

static void create_makes_what_was_not_there(void **state)
{
	struct scratch *s = *state;
	PL_CLOSE int fd = pl_create(s->fd, "new", 0640);
	struct stat st;

	assert_true(fd >= 0);
	assert_int_equal(pl_fstat(fd, &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0640);
	assert_int_equal(pl_create(s->fd, "new", 0640), -EEXIST);
}

/* ---- F3 ---- */

static void an_interrupted_write_is_continued_where_it_stopped(void **state)
{
	struct scratch *s = *state;
	PL_CLOSE int fd = pl_create(s->fd, "file", 0600);
	struct stat st;

	fill_text();
	fail_call(PL_CALL_WRITE, 1, EINTR);
	assert_int_equal(pl_write_full(fd, text, 5000), 0);
	assert_int_equal(pl_seam_count(), 2);
	fail_call(PL_CALL_WRITE, 1, EINTR);
	assert_int_equal(pl_pwrite_full(fd, text + 5000, 5000, 5000), 0);
	assert_int_equal(pl_seam_count(), 2);
	assert_file_holds(s, "file", 10000);

	/* One byte has no half: nothing was written, and it is tried again. */
	assert_int_equal(pl_truncate(fd, 0), 0);
	fail_call(PL_CALL_WRITE, 1, EINTR);
	assert_int_equal(pl_pwrite_full(fd, text, 1, 0), 0);
	assert_int_equal(pl_fstat(fd, &st), 0);
	assert_int_equal(st.st_size, 1);
}

static void a_write_that_is_always_interrupted_leaves_a_beginning(void **state)
{
	struct scratch *s = *state;
	PL_CLOSE int fd = pl_create(s->fd, "file", 0600);

	fill_text();
	pl_seam_arm(&(struct pl_seam_plan){.fail_at = 1, .fail_on = true, .fail_errno = EINTR});
	assert_int_equal(pl_write_full(fd, text, 10000), -EINTR);
	pl_seam_arm(NULL);
	assert_file_holds(s, "file", 9999);
}

static void a_write_that_takes_nothing_is_no_space(void **state)
{
	struct scratch *s = *state;
	PL_CLOSE int fd = pl_create(s->fd, "file", 0600);
	int r;

	writes_take_nothing = true;
	r = pl_pwrite_full(fd, "x", 1, 0);
	writes_take_nothing = false;
	assert_int_equal(r, -ENOSPC);
}

static void writing_nothing_makes_no_call(void **state)
{
	struct scratch *s = *state;
	PL_CLOSE int fd = pl_create(s->fd, "file", 0600);

	fail_call(PL_CALL_WRITE, 1, EIO);
	assert_int_equal(pl_write_full(fd, NULL, 0), 0);
	assert_int_equal(pl_seam_count(), 0);
}

static void short_reads_are_put_together_until_the_end(void **state)
{
	char found[sizeof(text)];
	int fds[2], status;
	pid_t pid;

	fill_text();
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		for (size_t i = 0; i < 9000; i += 100) {
			if (pl_write_full(fds[1], text + i, 100) < 0)
				_exit(1);
		}
		_exit(0);
	}
	close(fds[1]);
	assert_int_equal(pl_read_full(fds[0], found, 4000), 4000);
	assert_int_equal(pl_read_full(fds[0], found + 4000, 6000), 5000);
	assert_memory_equal(found, text, 9000);
	close(fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void reading_at_an_offset_ends_at_the_end(void **state)
{
	struct scratch *s = *state;
	PL_CLOSE int fd = pl_create(s->fd, "file", 0600);
	char found[10];

	assert_int_equal(pl_write_full(fd, "0123456789", 10), 0);
	assert_int_equal(pl_pread_full(fd, found, 10, 7), 3);
	assert_memory_equal(found, "789", 3);
	assert_int_equal(pl_pread_full(fd, found, 10, 10), 0);
	assert_int_equal(pl_pread_full(fd, found, 10, INT64_MAX - 10), 0);
}

static void holes_are_zeros_whether_they_are_read_or_not(void **state)
{
	struct scratch *s = *state;
	PL_CLOSE int fd = -EBADF;
	static char wanted[100000], got[100000];
	const uint64_t size = sizeof(wanted) * 3;

	assert_int_equal(make_file(s->fd, "file", ""), 0);
	fd = pl_open(s->fd, "file", O_RDWR);
	assert_int_equal(pl_truncate(fd, size), 0);
	assert_int_equal(pl_pwrite_full(fd, "data", 4, 100000), 0);
	memset(got, 1, sizeof(got));
	assert_int_equal(pl_pread_sparse(fd, got, 50000, 0), 50000);
	assert_memory_equal(got, wanted, 50000);
	memcpy(wanted + 50000, "data", 4);
	memset(got, 1, sizeof(got));
	assert_int_equal(pl_pread_sparse(fd, got, sizeof(got), 50000), sizeof(got));
	assert_memory_equal(got, wanted, sizeof(got));
	memset(wanted, 0, sizeof(wanted));
	memset(got, 1, sizeof(got));
	assert_int_equal(pl_pread_sparse(fd, got, sizeof(got), size - 10), 10);
	assert_memory_equal(got, wanted, 10);
	assert_int_equal(got[10], 1);
	assert_int_equal(pl_pread_sparse(fd, got, sizeof(got), size), 0);
	assert_int_equal(pl_pread_sparse(fd, got, sizeof(got), size + 10), 0);
	assert_int_equal(got[10], 1);
	assert_int_equal(pl_pread_sparse(1000000, got, 1, 0), -EBADF);
}

/* ---- whole files ---- */

static void a_file_is_read_whole_or_not_at_all(void **state)
{
	struct scratch *s = *state;
	PL_BUFFER b = {0};

	fill_text();
	assert_int_equal(pl_write_file(s->fd, "file", 0600, text, 10000, true), 0);
	assert_int_equal(make_file(s->fd, "empty", ""), 0);
	pl_buffer_add_string(&b, "before");
	assert_int_equal(pl_read_file(s->fd, "file", 9999, &b), -EFBIG);
	assert_int_equal(pl_read_file(s->fd, "missing", 9999, &b), -ENOENT);
	assert_string_equal(pl_buffer_string(&b), "before");
	assert_int_equal(pl_read_file(s->fd, "file", 10000, &b), 0);
	assert_int_equal(b.length, 10006);
	assert_memory_equal(b.data, "before", 6);
	assert_memory_equal(b.data + 6, text, 10000);
	assert_int_equal(b.data[10006], 0);
	assert_int_equal(pl_read_file(s->fd, "empty", 0, &b), 0);
	assert_int_equal(b.length, 10006);
}

static void a_file_that_does_not_tell_its_length_is_read_whole(void **state)
{
	PL_BUFFER b = {0};

	assert_int_equal(pl_read_file(AT_FDCWD, "/proc/self/smaps", 16 << 20, &b), 0);
	assert_true(b.length > 4096);
	pl_buffer_truncate(&b, 0);
	assert_int_equal(pl_read_file(AT_FDCWD, "/proc/self/smaps", 4097, &b), -EFBIG);
	assert_int_equal(b.length, 0);
}

static void what_is_no_regular_file_is_refused_without_waiting(void **state)
{
	struct scratch *s = *state;
	PL_BUFFER b = {0};

	assert_int_equal(pl_mknod(s->fd, "fifo", S_IFIFO | 0600, 0), 0);
	assert_int_equal(pl_symlink("file", s->fd, "symlink"), 0);
	assert_int_equal(make_file(s->fd, "file", "x"), 0);
	assert_int_equal(pl_read_file(s->fd, "fifo", 100, &b), -EINVAL);
	assert_int_equal(pl_read_file(s->fd, ".", 100, &b), -EISDIR);
	assert_int_equal(pl_read_file(s->fd, "symlink", 100, &b), -ELOOP);
	assert_int_equal(b.length, 0);
}

static void a_file_is_written_whole_or_its_name_is_taken_away(void **state)
{
	struct scratch *s = *state;

	fill_text();
	fail_call(PL_CALL_WRITE, 1, ENOSPC);
	assert_int_equal(pl_write_file(s->fd, "file", 0600, text, 100, true), -ENOSPC);
	assert_int_equal(pl_exists(s->fd, "file"), 0);
	fail_call(PL_CALL_SYNC, 1, EIO);
	assert_int_equal(pl_write_file(s->fd, "file", 0600, text, 100, true), -EIO);
	assert_int_equal(pl_exists(s->fd, "file"), 0);
	pl_seam_arm(NULL);
	assert_int_equal(pl_write_file(s->fd, "file", 0600, text, 100, false), 0);
	assert_int_equal(pl_write_file(s->fd, "file", 0600, "other", 5, false), -EEXIST);
	assert_file_holds(s, "file", 100);
}

static void a_file_is_synced_only_if_asked(void **state)
{
	struct scratch *s = *state;

	pl_seam_arm(&(struct pl_seam_plan){0});
	assert_int_equal(pl_write_file(s->fd, "a", 0600, "x", 1, false), 0);
	assert_int_equal(pl_seam_count_of(PL_CALL_SYNC), 0);
	assert_int_equal(pl_write_file(s->fd, "b", 0600, "x", 1, true), 0);
	assert_int_equal(pl_seam_count_of(PL_CALL_SYNC), 1);
	assert_int_equal(pl_fsync_at(s->fd, "a"), 0);
	assert_int_equal(pl_fsync_at(s->fd, "."), 0);
	assert_int_equal(pl_fsync_at(s->fd, "c"), -ENOENT);
	assert_int_equal(pl_seam_count_of(PL_CALL_SYNC), 3);
}

static void what_is_nameless_can_be_written_and_read(void **state)
{
	struct scratch *s = *state;
	char text[8] = "";
	int fd;

	setenv("TMPDIR", s->path, 1);
	fd = pl_create_nameless();
	unsetenv("TMPDIR");
	assert_true(fd >= 0);
	assert_int_equal(pl_pwrite_full(fd, "text", 4, 100), 0);
	assert_int_equal(pl_pread_full(fd, text, 8, 100), 4);
	assert_string_equal(text, "text");
	assert_int_equal(pl_dir_is_empty(s->fd), 1);
	close(fd);
	setenv("TMPDIR", "/nonexistent", 1);
	fd = pl_create_nameless();
	unsetenv("TMPDIR");
	assert_true(fd >= 0);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_nameless_can_be_written_and_read),
		TEST(no_descriptor_is_below_three_or_survives_exec),
		TEST(only_set_inheritable_lets_a_descriptor_through_exec),
		TEST(closing_keeps_errno_and_a_bad_descriptor_is_a_bug),
		TEST(a_symlink_is_followed_only_where_the_name_says_so),
		TEST(create_makes_what_was_not_there),
		TEST(an_interrupted_write_is_continued_where_it_stopped),
		TEST(a_write_that_is_always_interrupted_leaves_a_beginning),
		TEST(a_write_that_takes_nothing_is_no_space),
		TEST(writing_nothing_makes_no_call),
		TEST(short_reads_are_put_together_until_the_end),
		TEST(reading_at_an_offset_ends_at_the_end),
		TEST(holes_are_zeros_whether_they_are_read_or_not),
		TEST(a_file_is_read_whole_or_not_at_all),
		TEST(a_file_that_does_not_tell_its_length_is_read_whole),
		TEST(what_is_no_regular_file_is_refused_without_waiting),
		TEST(a_file_is_written_whole_or_its_name_is_taken_away),
		TEST(a_file_is_synced_only_if_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
