/* The laws of names: nothing is replaced that should not be; outcomes are asked, not believed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <sys/prctl.h>
#include <cmocka.h>

#include "sys/scratch.h"

static void assert_content(struct scratch *s, const char *name, const char *text)
{
	PL_BUFFER b = {0};

	assert_int_equal(pl_read_file(s->fd, name, 1000, &b), 0);
	assert_string_equal(pl_buffer_string(&b), text);
}

/* Has the next call of a kind answered with an errno although it was made, as NFS does: it is made
 * just before, at the seam. */
struct lie {
	struct scratch *s;
	void (*make)(struct scratch *s);
};

static void make_before(uint64_t number, enum pl_call call, void *userdata)
{
	struct lie *lie = userdata;

	if (number == 1)
		lie->make(lie->s);
}

static void lie_about(struct lie *lie, int with_errno)
{
	pl_seam_arm(&(struct pl_seam_plan){
		.fail_at = 1, .fail_errno = with_errno, .stop = make_before, .userdata = lie});
}

static void make_link(struct scratch *s)
{
	assert_int_equal(linkat(s->fd, "file", s->fd, "second", 0), 0);
}

static void make_symlink(struct scratch *s)
{
	assert_int_equal(symlinkat("target", s->fd, "symlink"), 0);
}

static void make_rename(struct scratch *s)
{
	assert_int_equal(renameat(s->fd, "file", s->fd, "renamed"), 0);
}

static void make_dir(struct scratch *s)
{
	assert_int_equal(mkdirat(s->fd, "dir", 0755), 0);
}

/* ---- link ---- */

static void a_link_that_was_made_is_success_whatever_was_answered(void **state)
{
	static const int answers[] = {EEXIST, ENOENT, EIO, ESTALE, ETIMEDOUT};
	struct scratch *s = *state;
	struct lie lie = {s, make_link};
	PL_CLOSE int fd = -EBADF;

	assert_int_equal(make_file(s->fd, "file", "x"), 0);
	fd = pl_open(s->fd, "file", O_RDONLY);
	for (size_t i = 0; i < PL_ARRAY_LEN(answers); i++) {
		lie_about(&lie, answers[i]);
		assert_int_equal(pl_link(s->fd, "file", s->fd, "second"), 0);
		assert_int_equal(unlinkat(s->fd, "second", 0), 0);
		lie_about(&lie, answers[i]);
		assert_int_equal(pl_link_fd(fd, s->fd, "second"), 0);
		assert_int_equal(unlinkat(s->fd, "second", 0), 0);
	}
}

static void a_link_that_was_not_made_is_an_error(void **state)
{
	struct scratch *s = *state;
	PL_CLOSE int fd = -EBADF;

	assert_int_equal(make_file(s->fd, "file", "x"), 0);
	assert_int_equal(make_file(s->fd, "other", "x"), 0);
	fd = pl_open(s->fd, "file", O_RDONLY);
	assert_int_equal(pl_link(s->fd, "file", s->fd, "other"), -EEXIST);
	assert_int_equal(pl_link_fd(fd, s->fd, "other"), -EEXIST);
	assert_int_equal(pl_link(s->fd, "missing", s->fd, "other"), -ENOENT);
	fail_call(PL_CALL_LINK, 1, EIO);
	assert_int_equal(pl_link(s->fd, "file", s->fd, "second"), -EIO);
	assert_int_equal(pl_exists(s->fd, "second"), 0);
}

static void linking_twice_is_linking_once(void **state)
{
	struct scratch *s = *state;
	struct stat st;

	assert_int_equal(make_file(s->fd, "file", "x"), 0);
	assert_int_equal(pl_link(s->fd, "file", s->fd, "second"), 0);
	assert_int_equal(pl_link(s->fd, "file", s->fd, "second"), 0);
	assert_int_equal(pl_lstat(s->fd, "file", &st), 0);
	assert_int_equal(st.st_nlink, 2);
}

static void a_link_to_a_symlink_is_to_itself(void **state)
{
	struct scratch *s = *state;
	struct stat a, b;

	assert_int_equal(pl_symlink("/", s->fd, "symlink"), 0);
	assert_int_equal(pl_link(s->fd, "symlink", s->fd, "second"), 0);
	assert_int_equal(pl_lstat(s->fd, "symlink", &a), 0);
	assert_int_equal(pl_lstat(s->fd, "second", &b), 0);
	assert_true(pl_same_inode(&a, &b));
}

static void an_inode_gets_a_name_through_its_descriptor(void **state)
{
	struct scratch *s = *state;
	PL_CLOSE int fd = pl_create(s->fd, "file", 0600);

	assert_int_equal(pl_link_fd(fd, s->fd, "second"), 0);
	assert_int_equal(pl_lock_is_current(fd, s->fd, "second"), 1);
	assert_int_equal(pl_unlink(s->fd, "file"), 0);
	assert_int_equal(pl_unlink(s->fd, "second"), 0);
	assert_int_equal(pl_link_fd(fd, s->fd, "third"), -ENOENT); /* no name is left */
}

/* Without the capability, and with a descriptor that was opened as somebody else, the short way is closed. */
static int link_as_nobody(struct scratch *s, int fd)
{
	CHECK(setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0);
	CHECK(prctl(PR_SET_DUMPABLE, 1) == 0); /* /proc/self is ours again */
	CHECK(linkat(fd, "", s->fd, "second", AT_EMPTY_PATH) < 0 && errno == ENOENT);
	CHECK(pl_link_fd(fd, s->fd, "second") == 0);
	CHECK(pl_lock_is_current(fd, s->fd, "second") == 1);
	return 0;
}

static void an_inode_gets_a_name_also_without_the_short_way(void **state)
{
	struct scratch *s = *state;
	PL_CLOSE int fd = pl_create(s->fd, "file", 0600);
	int status;
	pid_t pid;

	if (geteuid() != 0)
		SKIP("only root can become somebody else");
	assert_int_equal(fchown(fd, 65534, 65534), 0);
	assert_int_equal(fchmod(s->fd, 0777), 0);
	pid = fork();
	if (pid == 0)
		_exit(link_as_nobody(s, fd));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* ---- symlink, mkdir ---- */

static void a_symlink_with_this_target_is_success_another_is_not(void **state)
{
	struct scratch *s = *state;
	struct lie lie = {s, make_symlink};

	lie_about(&lie, EEXIST);
	assert_int_equal(pl_symlink("target", s->fd, "symlink"), 0);
	pl_seam_arm(NULL);
	assert_int_equal(pl_symlink("target", s->fd, "symlink"), 0);
	assert_int_equal(pl_symlink("targe", s->fd, "symlink"), -EEXIST);
	assert_int_equal(pl_symlink("target2", s->fd, "symlink"), -EEXIST);
	assert_int_equal(make_file(s->fd, "file", "target"), 0);
	assert_int_equal(pl_symlink("target", s->fd, "file"), -EEXIST);
	fail_call(PL_CALL_SYMLINK, 1, EIO);
	assert_int_equal(pl_symlink("target", s->fd, "second"), -EIO);
}

static void a_directory_that_is_there_may_be_anybodys(void **state)
{
	struct scratch *s = *state;
	struct lie lie = {s, make_dir};

	lie_about(&lie, EEXIST);
	assert_int_equal(pl_mkdir(s->fd, "dir", 0755), -EEXIST);
}

static void a_target_of_any_length_is_read(void **state)
{
	static const size_t lengths[] = {1, 255, 256, 257, 511, 512, 4095};
	struct scratch *s = *state;
	char target[4096];

	memset(target, 'x', sizeof(target));
	for (size_t i = 0; i < PL_ARRAY_LEN(lengths); i++) {
		PL_BUFFER b = {0};

		target[lengths[i]] = '\0';
		assert_int_equal(pl_symlink(target, s->fd, "symlink"), 0);
		pl_buffer_add_string(&b, "->");
		assert_int_equal(pl_readlink(s->fd, "symlink", &b), 0);
		assert_int_equal(b.length, lengths[i] + 2);
		assert_string_equal(pl_buffer_string(&b) + 2, target);
		assert_int_equal(pl_unlink(s->fd, "symlink"), 0);
		target[lengths[i]] = 'x';
	}
}

/* ---- rename ---- */

static void a_rename_that_was_made_is_success_but_for_enoent(void **state)
{
	static const int answers[] = {EEXIST, EIO, ESTALE, ETIMEDOUT, EACCES};
	struct scratch *s = *state;
	struct lie lie = {s, make_rename};

	for (size_t i = 0; i < PL_ARRAY_LEN(answers); i++) {
		assert_int_equal(make_file(s->fd, "file", "x"), 0);
		lie_about(&lie, answers[i]);
		assert_int_equal(pl_rename(s->fd, "file", s->fd, "renamed"), 0);
		assert_int_equal(make_file(s->fd, "file", "x"), 0);
		lie_about(&lie, answers[i]);
		assert_int_equal(pl_rename_new(s->fd, "file", s->fd, "renamed"), 0);
	}
	/* Nobody can tell it from a source that never was. */
	assert_int_equal(make_file(s->fd, "file", "x"), 0);
	lie_about(&lie, ENOENT);
	assert_int_equal(pl_rename(s->fd, "file", s->fd, "renamed"), -ENOENT);
	pl_seam_arm(NULL);
	assert_int_equal(pl_rename(s->fd, "missing", s->fd, "renamed"), -ENOENT);
}

static void a_rename_that_was_not_made_is_an_error(void **state)
{
	struct scratch *s = *state;

	assert_int_equal(make_file(s->fd, "file", "new"), 0);
	assert_int_equal(make_file(s->fd, "renamed", "old"), 0);
	fail_call(PL_CALL_RENAME, 1, EIO);
	assert_int_equal(pl_rename(s->fd, "file", s->fd, "renamed"), -EIO);
	assert_content(s, "renamed", "old");
	assert_int_equal(pl_rename(s->fd, "file", s->fd, "renamed"), 0);
	assert_content(s, "renamed", "new");
	assert_int_equal(pl_exists(s->fd, "file"), 0);
	/* Source and target both missing is no success, whatever is answered. */
	fail_call(PL_CALL_RENAME, 1, EIO);
	assert_int_equal(pl_rename(s->fd, "file", s->fd, "nothing"), -EIO);
}

static void a_rename_answered_once_costs_no_second_call(void **state)
{
	struct scratch *s = *state;

	assert_int_equal(make_file(s->fd, "file", "new"), 0);
	pl_seam_arm(&(struct pl_seam_plan){0});
	assert_int_equal(pl_rename(s->fd, "file", s->fd, "renamed"), 0);
	assert_int_equal(pl_rename_new(s->fd, "renamed", s->fd, "file"), 0);
	assert_int_equal(pl_seam_count(), 2);
}

/* In both ways: by RENAME_NOREPLACE and without. */
static void assert_never_replaced(struct scratch *s)
{
	static const char *const targets[] = {"file", "dir", "empty-dir", "symlink", "dangling"};
	struct stat before, after;

	for (size_t i = 0; i < PL_ARRAY_LEN(targets); i++) {
		assert_int_equal(pl_lstat(s->fd, targets[i], &before), 0);
		assert_int_equal(pl_rename_new(s->fd, "new", s->fd, targets[i]), -EEXIST);
		assert_int_equal(pl_rename_new(s->fd, "new-dir", s->fd, targets[i]), -EEXIST);
		assert_int_equal(pl_lstat(s->fd, targets[i], &after), 0);
		assert_true(pl_same_inode(&before, &after));
	}
	assert_content(s, "new", "new");
	assert_content(s, "new-dir/inside", "inside");
	assert_int_equal(pl_rename_new(s->fd, "new", s->fd, "new2"), 0);
	assert_int_equal(pl_rename_new(s->fd, "new-dir", s->fd, "new-dir2"), 0);
	assert_int_equal(pl_rename_new(s->fd, "new-symlink", s->fd, "new-symlink2"), 0);
	assert_int_equal(pl_rename_new(s->fd, "new", s->fd, "new2"), -ENOENT);
	assert_int_equal(pl_exists(s->fd, "new-dir"), 0);
	assert_content(s, "new2", "new");
	assert_content(s, "new-dir2/inside", "inside");
}

static void prepare_for_rename(struct scratch *s)
{
	assert_int_equal(make_file(s->fd, "file", "old"), 0);
	assert_int_equal(pl_mkdir(s->fd, "dir", 0755), 0);
	assert_int_equal(make_file(s->fd, "dir/inside", "old"), 0);
	assert_int_equal(pl_mkdir(s->fd, "empty-dir", 0755), 0);
	assert_int_equal(pl_symlink("file", s->fd, "symlink"), 0);
	assert_int_equal(pl_symlink("nowhere", s->fd, "dangling"), 0);
	assert_int_equal(make_file(s->fd, "new", "new"), 0);
	assert_int_equal(pl_symlink("new", s->fd, "new-symlink"), 0);
	assert_int_equal(pl_mkdir(s->fd, "new-dir", 0755), 0);
	assert_int_equal(make_file(s->fd, "new-dir/inside", "inside"), 0);
}

static void rename_new_replaces_nothing(void **state)
{
	prepare_for_rename(*state);
	assert_never_replaced(*state);
}

static void rename_new_replaces_nothing_where_noreplace_is_unknown(void **state)
{
	prepare_for_rename(*state);
	pl_seam_disable(PL_CAP_NOREPLACE);
	assert_never_replaced(*state);
}

static void rename_new_goes_the_plain_way_when_noreplace_is_refused(void **state)
{
	static const int answers[] = {EINVAL, ENOSYS};
	struct scratch *s = *state;

	for (size_t i = 0; i < PL_ARRAY_LEN(answers); i++) {
		assert_int_equal(make_file(s->fd, "file", "x"), 0);
		fail_call(PL_CALL_RENAME, 1, answers[i]);
		assert_int_equal(pl_rename_new(s->fd, "file", s->fd, "renamed"), 0);
		assert_int_equal(pl_seam_count_of(PL_CALL_LINK), 1);
		assert_int_equal(pl_unlink(s->fd, "renamed"), 0);
	}
}

static void put_file(struct scratch *s)
{
	assert_int_equal(mkdirat(s->fd, "target", 0755), 0);
	assert_int_equal(mkdirat(s->fd, "target/full", 0755), 0);
}

/* 1. we look, nothing is there; 2. another makes a full directory there; 3. we rename. */
static void a_directory_that_comes_in_between_is_not_replaced_if_full(void **state)
{
	struct scratch *s = *state;
	struct lie other = {s, put_file};

	assert_int_equal(pl_mkdir(s->fd, "source", 0755), 0);
	pl_seam_disable(PL_CAP_NOREPLACE);
	pl_seam_arm(&(struct pl_seam_plan){.stop = make_before, .userdata = &other});
	assert_int_equal(pl_rename_new(s->fd, "source", s->fd, "target"), -EEXIST);
	assert_int_equal(pl_exists(s->fd, "target/full"), 1);
	assert_int_equal(pl_exists(s->fd, "source"), 1);
}

/* ---- the rest ---- */

static void only_an_empty_directory_is_removed(void **state)
{
	struct scratch *s = *state;

	assert_int_equal(pl_mkdir(s->fd, "dir", 0755), 0);
	assert_int_equal(make_file(s->fd, "dir/file", "x"), 0);
	assert_int_equal(pl_rmdir(s->fd, "dir"), -ENOTEMPTY);
	fail_call(PL_CALL_UNLINK, 1, EEXIST); /* as some file systems say it */
	assert_int_equal(pl_rmdir(s->fd, "dir"), -ENOTEMPTY);
	assert_int_equal(pl_unlink(s->fd, "dir"), -EISDIR);
	assert_int_equal(pl_unlink(s->fd, "dir/file"), 0);
	assert_int_equal(pl_rmdir(s->fd, "dir"), 0);
	assert_int_equal(pl_unlink(s->fd, "dir"), -ENOENT);
}

static void what_a_name_leads_to_is_not_followed(void **state)
{
	struct scratch *s = *state;
	struct stat st;

	assert_int_equal(pl_symlink("nowhere", s->fd, "dangling"), 0);
	assert_int_equal(pl_symlink(".", s->fd, "here"), 0);
	assert_int_equal(make_file(s->fd, "file", "x"), 0);
	assert_int_equal(pl_exists(s->fd, "dangling"), 1);
	assert_int_equal(pl_exists(s->fd, "nowhere"), 0);
	assert_int_equal(pl_exists(s->fd, "file/below"), 0);
	assert_int_equal(pl_lstat(s->fd, "here", &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_int_equal(pl_stat(s->fd, "here", &st), 0);
	assert_true(S_ISDIR(st.st_mode));
	assert_int_equal(pl_stat(s->fd, "dangling", &st), -ENOENT);
}

static void fifos_and_sockets_are_made_by_everybody(void **state)
{
	struct scratch *s = *state;
	struct stat st;

	assert_int_equal(pl_mknod(s->fd, "fifo", S_IFIFO | 0640, 0), 0);
	assert_int_equal(pl_lstat(s->fd, "fifo", &st), 0);
	assert_int_equal(st.st_mode, S_IFIFO | 0640);
	assert_int_equal(pl_mknod(s->fd, "socket", S_IFSOCK | 0600, 0), 0);
	assert_int_equal(pl_mknod(s->fd, "fifo", S_IFIFO | 0640, 0), -EEXIST);
}

static void two_names_trade_places_in_one_call(void **state)
{
	struct scratch *s = *state;

	assert_int_equal(pl_mkdir(s->fd, "dir", 0700), 0);
	assert_int_equal(make_file(s->fd, "dir/file", "in dir"), 0);
	assert_int_equal(make_file(s->fd, "other", "other"), 0);
	assert_int_equal(pl_rename_exchange(s->fd, "dir", s->fd, "other"), 0);
	assert_content(s, "other/file", "in dir");
	assert_content(s, "dir", "other");
	assert_int_equal(pl_rename_exchange(s->fd, "dir", s->fd, "nothing"), -ENOENT);
	assert_content(s, "dir", "other");
	pl_seam_disable(PL_CAP_EXCHANGE);
	assert_int_equal(pl_rename_exchange(s->fd, "dir", s->fd, "other"), -EOPNOTSUPP);
	assert_content(s, "dir", "other");
}

static void an_identity_is_of_this_directory_wherever_it_is_moved(void **state)
{
	struct scratch *s = *state;
	struct pl_identity first, second;
	struct stat st;

	assert_int_equal(pl_fstat(s->fd, &st), 0);
	assert_int_equal(pl_mkdir(s->fd, "a", 0700), 0);
	assert_int_equal(pl_identity_of_dir(s->fd, "a", st.st_dev, &first), 1);
	assert_int_equal(pl_rename(s->fd, "a", s->fd, "b"), 0);
	assert_int_equal(pl_chmod_at(s->fd, "b", 0500), 0);
	assert_int_equal(pl_identity_of_dir(s->fd, "b", st.st_dev, &second), 1);
	assert_true(pl_identity_equal(&first, &second));
	/* The number may be given again; the moment of birth is not. */
	assert_int_equal(pl_rmdir(s->fd, "b"), 0);
	assert_int_equal(pl_mkdir(s->fd, "b", 0700), 0);
	assert_int_equal(pl_identity_of_dir(s->fd, "b", st.st_dev, &second), 1);
	assert_false(pl_identity_equal(&first, &second));
	assert_int_equal(pl_identity_of_dir(s->fd, "b", st.st_dev + 1, &second), 0);
	assert_int_equal(pl_symlink("b", s->fd, "link"), 0);
	assert_int_equal(pl_identity_of_dir(s->fd, "link", st.st_dev, &second), 0);
	assert_int_equal(pl_identity_of_dir(s->fd, "nothing", st.st_dev, &second), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_link_that_was_made_is_success_whatever_was_answered),
		TEST(a_link_that_was_not_made_is_an_error),
		TEST(linking_twice_is_linking_once),
		TEST(a_link_to_a_symlink_is_to_itself),
		TEST(an_inode_gets_a_name_through_its_descriptor),
		TEST(an_inode_gets_a_name_also_without_the_short_way),
		TEST(a_symlink_with_this_target_is_success_another_is_not),
		TEST(a_directory_that_is_there_may_be_anybodys),
		TEST(a_target_of_any_length_is_read),
		TEST(a_rename_that_was_made_is_success_but_for_enoent),
		TEST(a_rename_that_was_not_made_is_an_error),
		TEST(a_rename_answered_once_costs_no_second_call),
		TEST(rename_new_replaces_nothing),
		TEST(rename_new_replaces_nothing_where_noreplace_is_unknown),
		TEST(rename_new_goes_the_plain_way_when_noreplace_is_refused),
		TEST(a_directory_that_comes_in_between_is_not_replaced_if_full),
		TEST(only_an_empty_directory_is_removed),
		TEST(two_names_trade_places_in_one_call),
		TEST(an_identity_is_of_this_directory_wherever_it_is_moved),
		TEST(what_a_name_leads_to_is_not_followed),
		TEST(fifos_and_sockets_are_made_by_everybody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
