/* A store is made whole or not at all, and what a killed init left, the next one removes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ref/stores.h"
#include "sys/images.h"

#define MAX_CALLS 2000

/* Not an assertion, so that children can use it. 0: all is as it should be. */
static int check_store(const struct scratch *s, const char *dir)
{
	static const struct {
		const char *name;
		mode_t mode;
	} expected[] = {
		{"cache", 0700},   {"config", 0644}, {"nodes", 0700},
		{"objects", 0700}, {"refs", 0755},   {"reserve", 0600},
		{"trash", 0700},   {"trees", 0711},  {"tx", 0700},
	};
	PL_CLOSE int fd = pl_open_dir(s->fd, dir), store_fd = -EBADF;
	struct pl_listing listing;
	struct stat st;
	STORE *store = NULL;

	CHECK(fd >= 0);
	store_fd = pl_open_dir(fd, ".pleach");
	CHECK(store_fd >= 0);
	CHECK(mode_of(fd, ".pleach") == 0755);
	CHECK(pl_list(store_fd, &listing) == 0);
	CHECK(listing.n == PL_ARRAY_LEN(expected));
	for (size_t i = 0; i < listing.n; i++) {
		CHECK(strcmp(listing.entries[i].name, expected[i].name) == 0);
		CHECK(mode_of(store_fd, expected[i].name) == expected[i].mode);
	}
	pl_listing_done(&listing);
	CHECK(pl_lstat(store_fd, "reserve", &st) == 0);
	CHECK(st.st_size == 1 << 20 && st.st_blocks >= 2048);
	CHECK(pl_store_open(scratch_path(s, dir), &store, NULL) == 0);
	CHECK(store->uid == geteuid() && store->is_owner && store->is_writable);
	return 0;
}

static int init(const struct scratch *s, const char *dir, struct pleach_error *error)
{
	return pl_store_init(scratch_path(s, dir), NULL, error);
}

static void a_new_directory_becomes_a_store(void **state)
{
	struct scratch *s = *state;

	umask(027);
	assert_int_equal(init(s, "d", NULL), 0);
	umask(022);
	assert_int_equal(check_store(s, "d"), 0);
	assert_int_equal(mode_of(s->fd, "d"), 0750);
	assert_int_equal(count_names(s->fd, "d"), 1);
}

static void an_empty_directory_becomes_a_store(void **state)
{
	struct scratch *s = *state;

	assert_int_equal(mkdirat(s->fd, "d", 0700), 0);
	assert_int_equal(init(s, "d", NULL), 0);
	assert_int_equal(check_store(s, "d"), 0);
	assert_int_equal(mode_of(s->fd, "d"), 0700);
}

static void a_symlink_to_a_directory_will_do(void **state)
{
	struct scratch *s = *state;

	assert_int_equal(mkdirat(s->fd, "d", 0700), 0);
	assert_int_equal(symlinkat("d", s->fd, "l"), 0);
	assert_int_equal(init(s, "l", NULL), 0);
	assert_int_equal(check_store(s, "d"), 0);
}

static void an_existing_store_is_left_as_it_is(void **state)
{
	struct scratch *s = *state;
	struct stat before, after;

	assert_int_equal(init(s, "d", NULL), 0);
	assert_int_equal(make_file(s->fd, "d/.pleach/config.keep", "x"), 0);
	assert_int_equal(pl_lstat(s->fd, "d/.pleach/config", &before), 0);
	assert_int_equal(init(s, "d", NULL), 1);
	assert_int_equal(
		pl_store_init(scratch_path(s, "d"),
			      &(struct pleach_init_options){.metadata = "portable", .force = 1},
			      NULL),
		1);
	assert_int_equal(pl_lstat(s->fd, "d/.pleach/config", &after), 0);
	assert_true(pl_same_inode(&before, &after));
	assert_int_equal(pl_exists(s->fd, "d/.pleach/config.keep"), 1);
	assert_int_equal(count_names(s->fd, "d"), 1);
}

static void a_directory_that_holds_other_things_needs_force_and_keeps_them(void **state)
{
	struct scratch *s = *state;
	struct pleach_error error = PLEACH_ERROR_INIT;

	assert_int_equal(mkdirat(s->fd, "d", 0700), 0);
	assert_int_equal(make_file(s->fd, "d/mine", "x"), 0);
	assert_int_equal(init(s, "d", &error), -ENOTEMPTY);
	assert_int_equal(error.code, PLEACH_FAILED);
	assert_non_null(strstr(error.hint, "--force"));
	assert_int_equal(count_names(s->fd, "d"), 1);
	assert_int_equal(pl_store_init(scratch_path(s, "d"),
				       &(struct pleach_init_options){.force = 1}, NULL),
			 0);
	assert_int_equal(check_store(s, "d"), 0);
	assert_int_equal(count_names(s->fd, "d"), 2);
	assert_int_equal(pl_exists(s->fd, "d/mine"), 1);
}

static void something_else_under_the_name_is_never_touched(void **state)
{
	struct scratch *s = *state;
	struct pleach_error error = PLEACH_ERROR_INIT;
	const struct pleach_init_options force = {.force = 1};

	assert_int_equal(mkdirat(s->fd, "d", 0700), 0);
	assert_int_equal(make_file(s->fd, "d/.pleach", "x"), 0);
	assert_true(pl_store_init(scratch_path(s, "d"), &force, &error) < 0);
	assert_int_equal(unlinkat(s->fd, "d/.pleach", 0), 0);
	assert_int_equal(symlinkat("nowhere", s->fd, "d/.pleach"), 0);
	assert_true(pl_store_init(scratch_path(s, "d"), &force, &error) < 0);
	assert_int_equal(unlinkat(s->fd, "d/.pleach", 0), 0);
	assert_int_equal(mkdirat(s->fd, "d/.pleach", 0700), 0);
	assert_int_equal(pl_store_init(scratch_path(s, "d"), &force, &error), -EBADMSG);
	assert_int_equal(count_names(s->fd, "d/.pleach"), 0);
	assert_int_equal(count_names(s->fd, "d"), 1);
}

static void names_that_only_look_like_ours_stay(void **state)
{
	struct scratch *s = *state;
	const struct pleach_init_options force = {.force = 1};

	assert_int_equal(mkdirat(s->fd, "d", 0700), 0);
	assert_int_equal(mkdirat(s->fd, "d/.pleach-backup", 0700), 0);
	assert_int_equal(mkdirat(s->fd, "d/.pleach-0123456789abcdef0123456", 0700), 0);
	assert_int_equal(make_file(s->fd, "d/.pleach-0123456789abcdef01234567", "x"), 0);
	assert_int_equal(mkdirat(s->fd, "d/.pleach-0123456789abcdef01234568", 0700), 0);
	assert_int_equal(make_file(s->fd, "d/.pleach-0123456789abcdef01234568/x", "x"), 0);
	assert_int_equal(pl_store_init(scratch_path(s, "d"), &force, NULL), 0);
	assert_int_equal(count_names(s->fd, "d"), 5);
}

static void options_become_settings_of_the_store(void **state)
{
	struct scratch *s = *state;
	STORE *store = NULL;

	assert_int_equal(pl_store_init(scratch_path(s, "d"),
				       &(struct pleach_init_options){.metadata = "canonical",
								     .share = "names",
								     .hash = "sha256"},
				       NULL),
			 0);
	assert_int_equal(pl_store_open(scratch_path(s, "d"), &store, NULL), 0);
	assert_int_equal(store->values.keys.n, 2);
	assert_string_equal(pl_values_get(&store->values, "metadata"), "canonical");
	assert_int_equal(store->settings.metadata, PL_RULE_CANONICAL);
	assert_int_equal(store->settings.share, PL_SHARE_NAMES);
}

static void unknown_options_are_usage_errors_and_make_nothing(void **state)
{
	struct scratch *s = *state;
	static const struct pleach_init_options bad[] = {
		{.metadata = "some"}, {.share = "all"}, {.hash = "md5"}};

	for (size_t i = 0; i < PL_ARRAY_LEN(bad); i++) {
		struct pleach_error error = PLEACH_ERROR_INIT;

		assert_int_equal(pl_store_init(scratch_path(s, "d"), &bad[i], &error), -EINVAL);
		assert_int_equal(error.code, PLEACH_USAGE);
		assert_int_equal(pl_exists(s->fd, "d"), 0);
	}
}

static void a_parent_that_is_missing_is_told(void **state)
{
	struct scratch *s = *state;
	struct pleach_error error = PLEACH_ERROR_INIT;

	assert_int_equal(init(s, "no/d", &error), -ENOENT);
	assert_int_equal(error.code, PLEACH_FAILED);
	assert_non_null(strstr(error.message, "no/d"));
	assert_int_equal(make_file(s->fd, "f", "x"), 0);
	assert_int_equal(init(s, "f", &error), -ENOTDIR);
}

static int init_in_odd_surroundings(struct scratch *s)
{
	CHECK(mkdirat(s->fd, "d", 0755) == 0);
	CHECK(fchmodat(s->fd, "d", 02777, 0) == 0);
	if (geteuid() == 0) {
		CHECK(fchownat(s->fd, "d", 0, 12345, 0) == 0);
		CHECK(fchmodat(s->fd, "d", 02777, 0) == 0);
	}
	umask(0777);
	CHECK(init(s, "d", NULL) == 0);
	umask(022);
	CHECK(mode_of(s->fd, "d") == 02777);
	return check_store(s, "d");
}

static void modes_do_not_depend_on_umask_or_setgid(void **state)
{
	assert_int_equal(in_child(init_in_odd_surroundings, *state), 0);
}

static void modes_do_not_depend_on_umask_for_a_user(void **state)
{
	assert_int_equal(in_child_as_user(init_in_odd_surroundings, *state), 0);
}

/* user::rwx user:65533:rwx group::rwx mask::rwx other::rwx */
static const unsigned char default_acl[] = {2,	 0,   0,   0,	1,   0,	  7,   0,   255, 255, 255,
					    255, 2,   0,   7,	0,   253, 255, 0,   0,	 4,   0,
					    7,	 0,   255, 255, 255, 255, 16,  0,   7,	 0,   255,
					    255, 255, 255, 32,	0,   7,	  0,   255, 255, 255, 255};

static void default_acls_are_not_inherited(void **state)
{
	static const char *const parts[] = {"d/.pleach", "d/.pleach/objects", "d/.pleach/trees",
					    "d/.pleach/config", "d/.pleach/reserve"};
	struct scratch *s = *state;
	PL_CLOSE int fd = -EBADF;
	int r;

	assert_int_equal(mkdirat(s->fd, "d", 0755), 0);
	fd = pl_open_dir(s->fd, "d");
	r = pl_xattr_set(fd, "system.posix_acl_default", default_acl, sizeof(default_acl));
	if (r == -EOPNOTSUPP)
		SKIP("skip: no ACLs on this file system");
	assert_int_equal(r, 0);
	assert_int_equal(init(s, "d", NULL), 0);
	assert_int_equal(check_store(s, "d"), 0);
	for (size_t i = 0; i < PL_ARRAY_LEN(parts); i++) {
		PL_BUFFER value = {0};

		assert_int_equal(pl_xattr_get_at(s->fd, parts[i], "system.posix_acl_default",
						 &value),
				 -ENODATA);
		assert_int_equal(pl_xattr_get_at(s->fd, parts[i], "system.posix_acl_access",
						 &value),
				 -ENODATA);
	}
}

/* ---- killed, failed, raced ---- */

static int init_d(struct scratch *s)
{
	return init(s, "d", NULL) < 0 ? 1 : 0;
}

static void init_killed_at_every_call_is_made_good_by_the_next(void **state)
{
	struct scratch *s = *state;
	int status = 99, made = 0;
	uint64_t n;

	for (n = 1; n < MAX_CALLS && status == 99; n++) {
		int r;

		status = killed_at(n, init_d, s);
		assert_true(status == 99 || status == 0);
		r = init(s, "d", NULL);
		if (r != 0 && r != 1)
			fail_msg("killed at %" PRIu64 ": %d", n, r);
		made += r == 1;
		assert_int_equal(check_store(s, "d"), 0);
		if (count_names(s->fd, "d") != 1)
			fail_msg("killed at %" PRIu64 ": something is left", n);
		assert_int_equal(pl_erase(s->fd, "d", NULL), 0);
	}
	assert_true(n > 40 && n < MAX_CALLS);
	/* Renamed, but not yet synced or cleaned up, several times; but not before. */
	assert_true(made >= 3 && made < 12);
}

static void init_failed_at_every_call_leaves_nothing(void **state)
{
	struct scratch *s = *state;
	uint64_t n;
	int r = -1;

	for (n = 1; n < MAX_CALLS; n++) {
		struct pleach_error error = PLEACH_ERROR_INIT;
		uint64_t calls;

		pl_seam_arm(&(struct pl_seam_plan){.fail_at = n, .fail_errno = ENOSPC});
		r = init(s, "d", &error);
		calls = pl_seam_count();
		pl_seam_arm(NULL);
		if (calls < n)
			break;
		if (r < 0) {
			assert_int_equal(r, -ENOSPC);
			assert_int_equal(error.code, PLEACH_NO_SPACE);
			assert_true(error.message[0]);
		}
		/* After the rename the store is there, whatever is said of its sync. */
		if (r < 0 && pl_exists(s->fd, "d/.pleach") == 0 && pl_exists(s->fd, "d") != 0)
			fail_msg("failed at %" PRIu64 ": something is left", n);
		assert_true(init(s, "d", NULL) >= 0);
		assert_int_equal(check_store(s, "d"), 0);
		assert_int_equal(count_names(s->fd, "d"), 1);
		assert_int_equal(pl_erase(s->fd, "d", NULL), 0);
	}
	assert_int_equal(r, 0);
	assert_true(n > 40 && n < MAX_CALLS);
}

static void of_many_at_once_one_makes_it_and_all_find_it(void **state)
{
	struct scratch *s = *state;

	for (int round = 0; round < 5; round++) {
		pid_t pids[6];
		int made = 0;

		for (size_t i = 0; i < PL_ARRAY_LEN(pids); i++) {
			pids[i] = fork();
			if (pids[i] == 0) {
				int r = init(s, "d", NULL);

				_exit(r < 0 || check_store(s, "d") != 0 ? 2 : r);
			}
		}
		for (size_t i = 0; i < PL_ARRAY_LEN(pids); i++) {
			int status;

			assert_true(waitpid(pids[i], &status, 0) == pids[i]);
			assert_true(WIFEXITED(status) && WEXITSTATUS(status) < 2);
			made += WEXITSTATUS(status) == 0;
		}
		assert_int_equal(made, 1);
		assert_int_equal(count_names(s->fd, "d"), 1);
		assert_int_equal(pl_erase(s->fd, "d", NULL), 0);
	}
}

static void one_that_is_being_made_is_left_alone(void **state)
{
	static const char name[] = ".pleach-0123456789abcdef01234567";
	struct scratch *s = *state;
	PL_CLOSE int fd = -EBADF;
	struct pl_lockdir other;

	assert_int_equal(mkdirat(s->fd, "d", 0755), 0);
	fd = pl_open_dir(s->fd, "d");
	assert_int_equal(pl_lockdir_make(fd, name, &other), 0);
	assert_int_equal(init(s, "d", NULL), 0); /* and it is no reason to say "not empty" */
	assert_int_equal(count_names(s->fd, "d"), 2);
	pl_lockdir_close(&other);
	assert_int_equal(init(s, "d", NULL), 1);
	assert_int_equal(count_names(s->fd, "d"), 1);
}

static int link_fails(struct scratch *s)
{
	struct pleach_error error = PLEACH_ERROR_INIT;

	pl_seam_arm(&(struct pl_seam_plan){
		.fail_at = 1, .fail_errno = EPERM, .calls = UINT32_C(1) << PL_CALL_LINK});
	CHECK(init(s, "d", &error) == -EOPNOTSUPP);
	pl_seam_arm(NULL);
	CHECK(strstr(error.message, "hard links"));
	CHECK(pl_exists(s->fd, "d") == 0);
	return 0;
}

static void a_file_system_without_hard_links_is_refused(void **state)
{
	assert_int_equal(link_fails(*state), 0);
}

static void no_descriptor_is_left_open(void **state)
{
	struct scratch *s = *state;
	int before = count_fds();

	assert_int_equal(init(s, "d", NULL), 0);
	assert_int_equal(init(s, "d", NULL), 1);
	assert_int_equal(count_fds(), before);
}

/* ---- btrfs ---- */

static int is_subvolume(const struct scratch *s, const char *name)
{
	PL_CLOSE int fd = pl_open_dir(s->fd, name);

	return fd < 0 ? fd : pl_subvolume_is(fd);
}

/* As root or not: the store is a subvolume, whatever DIR was, and killed anywhere nothing is left. */
static int init_on_btrfs(struct scratch *s)
{
	int status = 99;

	CHECK(init(s, "d", NULL) == 0);
	CHECK(check_store(s, "d") == 0 && is_subvolume(s, "d/.pleach") == 1);
	CHECK(count_names(s->fd, "d") == 1);
	CHECK(mkdirat(s->fd, "empty", 0755) == 0 && init(s, "empty", NULL) == 0);
	CHECK(check_store(s, "empty") == 0 && is_subvolume(s, "empty/.pleach") == 1);
	pl_seam_disable(PL_CAP_SUBVOLUME);
	CHECK(init(s, "plain", NULL) == 0);
	CHECK(check_store(s, "plain") == 0 && is_subvolume(s, "plain/.pleach") == 0);
	pl_seam_disable(0);
	CHECK(pl_erase(s->fd, "d", NULL) == 0);
	for (uint64_t n = 1; n < MAX_CALLS && status == 99; n++) {
		status = killed_at(n, init_d, s);
		CHECK(status == 99 || status == 0);
		CHECK(init(s, "d", NULL) >= 0);
		CHECK(check_store(s, "d") == 0);
		CHECK(count_names(s->fd, "d") == 1);
		CHECK(pl_erase(s->fd, "d", NULL) == 0);
	}
	CHECK(status == 0);
	return 0;
}

static int on_btrfs(struct scratch *s)
{
	struct scratch fs, user;
	int r = scratch_on_image(s, "btrfs", &fs);

	if (r != 0)
		return r;
	r = in_child(init_on_btrfs, &fs);
	CHECK(r == 0);
	CHECK(mkdirat(fs.fd, "user", 0755) == 0 && fchmodat(s->fd, ".", 0755, 0) == 0);
	user = fs;
	(void)snprintf(user.path, sizeof(user.path), "%.4000s/user", fs.path);
	user.fd = open(user.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return in_child_as_user(init_on_btrfs, &user);
}

static void on_btrfs_a_store_is_a_subvolume_and_killed_leaves_none_G6(void **state)
{
	int r = geteuid() == 0 ? in_child(on_btrfs, *state) : NOT_TO_BE_HAD;

	if (r == NOT_TO_BE_HAD)
		SKIP("needs root, mkfs.btrfs and a loop device");
	assert_int_equal(r, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_new_directory_becomes_a_store),
		TEST(an_empty_directory_becomes_a_store),
		TEST(a_symlink_to_a_directory_will_do),
		TEST(an_existing_store_is_left_as_it_is),
		TEST(a_directory_that_holds_other_things_needs_force_and_keeps_them),
		TEST(something_else_under_the_name_is_never_touched),
		TEST(names_that_only_look_like_ours_stay),
		TEST(options_become_settings_of_the_store),
		TEST(unknown_options_are_usage_errors_and_make_nothing),
		TEST(a_parent_that_is_missing_is_told),
		TEST(modes_do_not_depend_on_umask_or_setgid),
		TEST(modes_do_not_depend_on_umask_for_a_user),
		TEST(default_acls_are_not_inherited),
		TEST(init_killed_at_every_call_is_made_good_by_the_next),
		TEST(init_failed_at_every_call_leaves_nothing),
		TEST(of_many_at_once_one_makes_it_and_all_find_it),
		TEST(one_that_is_being_made_is_left_alone),
		TEST(a_file_system_without_hard_links_is_refused),
		TEST(no_descriptor_is_left_open),
		TEST(on_btrfs_a_store_is_a_subvolume_and_killed_leaves_none_G6),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
