/* Which store is found, who may do what in it, and what a config must be to be believed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ref/stores.h"

static void mkdirs(const struct scratch *s, const char *path)
{
	struct pl_walk walk;

	assert_int_equal(pl_walk_init_take(&walk, pl_dup(s->fd)), 0);
	assert_int_equal(pl_walk_goto(&walk, path, true, 0755), 0);
	pl_walk_done(&walk);
}

/* Opens the store that is found from this directory; its path within the scratch directory, "-": none,
 * "!": an error. In a child, since the working directory belongs to the process. */
static const char *found_from(const struct scratch *s, const char *directory)
{
	static char answer[5000];
	char real[4096];
	int ends[2], status;
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe(ends), 0);
	pid = fork();
	if (pid == 0) {
		struct pleach_error error = PLEACH_ERROR_INIT;
		struct pl_store *store = NULL;
		const char *text = "!";
		int r = chdir(scratch_path(s, directory));

		if (r == 0)
			r = pl_store_open(NULL, &store, &error);
		if (r == 0)
			text = store->path;
		else if (r == -ENOENT && error.code == PLEACH_NOT_FOUND &&
			 strstr(error.hint, "pleach init DIR"))
			text = "-";
		_exit(write(ends[1], text, strlen(text)) < 0);
	}
	close(ends[1]);
	n = read(ends[0], answer, sizeof(answer) - 1);
	close(ends[0]);
	assert_true(n > 0 && waitpid(pid, &status, 0) == pid);
	answer[n] = '\0';
	assert_non_null(realpath(s->path, real));
	if (strncmp(answer, real, strlen(real)) == 0 && answer[strlen(real)] == '/')
		return answer + strlen(real) + 1;
	return answer;
}

static void make_store(const struct scratch *s, const char *directory)
{
	assert_int_equal(pl_store_init(scratch_path(s, directory),
				       &(struct pleach_init_options){.force = 1}, NULL),
			 0);
}

static void the_nearest_store_at_or_above_the_working_directory_is_found(void **state)
{
	struct scratch *s = *state;

	mkdirs(s, "a/b/c");
	assert_string_equal(found_from(s, "a/b/c"), "-");
	make_store(s, "a");
	assert_string_equal(found_from(s, "a"), "a");
	assert_string_equal(found_from(s, "a/b/c"), "a");
	assert_string_equal(found_from(s, "a/.pleach"), "a");
	assert_string_equal(found_from(s, "a/.pleach/objects"), "a");
	make_store(s, "a/b");
	assert_string_equal(found_from(s, "a/b/c"), "a/b");
	assert_string_equal(found_from(s, "a"), "a");
}

static void stores_below_a_stores_own_directories_are_passed_over(void **state)
{
	struct scratch *s = *state;

	make_store(s, "a");
	mkdirs(s, "a/.pleach/trees/x/1/tree/site/deep");
	make_store(s, "a/.pleach/trees/x/1/tree/site");
	assert_string_equal(found_from(s, "a/.pleach/trees/x/1/tree/site/deep"), "a");
	assert_string_equal(found_from(s, "a/.pleach/trees/x/1/tree/site"), "a");
	mkdirs(s, "a/.pleach/tx/t/tree");
	make_store(s, "a/.pleach/tx/t/tree");
	assert_string_equal(found_from(s, "a/.pleach/tx/t/tree"), "a");
	/* Content within content, twice. */
	mkdirs(s, "a/.pleach/tx/t/tree/.pleach/trees/y/1/tree/in");
	make_store(s, "a/.pleach/tx/t/tree/.pleach/trees/y/1/tree");
	assert_string_equal(found_from(s, "a/.pleach/tx/t/tree/.pleach/trees/y/1/tree/in"), "a");
	/* Through a public path, which is a symlink. */
	assert_int_equal(symlinkat(".pleach/trees/x/1/tree", s->fd, "a/pub"), 0);
	assert_string_equal(found_from(s, "a/pub/site/deep"), "a");
	/* A directory of that name elsewhere says nothing. */
	mkdirs(s, "a/trees/x");
	make_store(s, "a/trees/x");
	assert_string_equal(found_from(s, "a/trees/x"), "a/trees/x");
}

static void a_file_or_symlink_of_the_name_is_no_store(void **state)
{
	struct scratch *s = *state;

	make_store(s, "a");
	mkdirs(s, "a/b");
	mkdirs(s, "a/c");
	assert_int_equal(make_file(s->fd, "a/b/.pleach", "x"), 0);
	assert_int_equal(symlinkat("../.pleach", s->fd, "a/c/.pleach"), 0);
	assert_string_equal(found_from(s, "a/b"), "a");
	assert_string_equal(found_from(s, "a/c"), "a");
	assert_true(pl_store_open(scratch_path(s, "a/b"), &(struct pl_store *){NULL}, NULL) < 0);
	assert_true(pl_store_open(scratch_path(s, "a/c"), &(struct pl_store *){NULL}, NULL) < 0);
}

static void a_store_is_found_from_deeper_than_a_path_can_say(void **state)
{
	struct scratch *s = *state;
	char name[201];
	int status;
	pid_t pid;

	make_store(s, "a");
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	pid = fork();
	if (pid == 0) {
		struct pl_store *store;

		if (chdir(scratch_path(s, "a")) < 0)
			_exit(1);
		for (int i = 0; i < 40; i++) {
			if (mkdir(name, 0755) < 0 || chdir(name) < 0)
				_exit(2);
		}
		_exit(pl_store_open(NULL, &store, NULL) == 0 ? 0 : 3);
	}
	assert_true(waitpid(pid, &status, 0) == pid);
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_int_equal(pl_erase(s->fd, "a", NULL), 0);
}

static void a_missing_store_is_told_with_what_to_do(void **state)
{
	struct scratch *s = *state;
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pl_store *store = NULL;

	mkdirs(s, "a");
	for (int i = 0; i < 2; i++) {
		const char *dir = scratch_path(s, i == 0 ? "a" : "missing");

		assert_int_equal(pl_store_open(dir, &store, &error), -ENOENT);
		assert_int_equal(error.code, PLEACH_NOT_FOUND);
		assert_non_null(strstr(error.message, dir));
		assert_non_null(strstr(error.hint, "make one with: pleach init "));
		assert_non_null(strstr(error.hint, dir));
		assert_null(store);
	}
	assert_int_equal(pl_store_open("", &store, &error), -ENOENT);
}

static void the_path_is_absolute_whatever_was_given(void **state)
{
	struct scratch *s = *state;
	STORE *store = NULL;
	char real[4096];

	make_store(s, "a");
	mkdirs(s, "a/b");
	assert_int_equal(symlinkat("a", s->fd, "l"), 0);
	assert_non_null(realpath(scratch_path(s, "a"), real));
	assert_int_equal(pl_store_open(scratch_path(s, "l/../a/b/.."), &store, NULL), 0);
	assert_string_equal(store->path, real);
	assert_true(store->root_fd >= 0 && store->fd >= 0 && store->objects_fd >= 0);
	assert_true(store->nodes_fd >= 0 && store->trees_fd >= 0 && store->refs_fd >= 0);
	assert_true(store->tx_fd >= 0 && store->trash_fd >= 0 && store->cache_fd >= 0);
	assert_int_equal(pl_store_must_write(store, NULL), 0);
	assert_int_equal(pl_store_must_read(store, NULL), 0);
}

/* ---- config ---- */

static void replace_config(const struct scratch *s, const void *data, size_t length)
{
	(void)unlinkat(s->fd, "a/.pleach/config", 0);
	assert_int_equal(pl_write_file(s->fd, "a/.pleach/config", 0644, data, length, false), 0);
}

static int open_a(const struct scratch *s, struct pleach_error *error)
{
	struct pl_store *store = NULL;
	int r = pl_store_open(scratch_path(s, "a"), &store, error);

	pl_store_close(store);
	return r;
}

static void a_newer_format_is_told_with_both_versions(void **state)
{
	static const char newer[] = "pleach-store 23\nall different\n";
	struct scratch *s = *state;
	struct pleach_error error = PLEACH_ERROR_INIT;

	make_store(s, "a");
	replace_config(s, newer, strlen(newer));
	assert_int_equal(open_a(s, &error), -EPROTONOSUPPORT);
	assert_int_equal(error.code, PLEACH_FAILED);
	assert_non_null(strstr(error.message, "version 23"));
	assert_non_null(strstr(error.message, "version 1"));
	assert_int_equal(pl_store_init(scratch_path(s, "a"), NULL, &error), -EPROTONOSUPPORT);
}

static void each_damaged_byte_of_the_config_is_found(void **state)
{
	struct scratch *s = *state;
	PL_BUFFER config = {0};

	make_store(s, "a");
	assert_int_equal(pl_read_file(s->fd, "a/.pleach/config", PL_TEXT_MAX, &config), 0);
	for (size_t i = 0; i < config.length; i++) {
		struct pleach_error error = PLEACH_ERROR_INIT;
		int r;

		config.data[i] ^= 1;
		replace_config(s, config.data, config.length);
		config.data[i] ^= 1;
		r = open_a(s, &error);
		if (r != -EPROTONOSUPPORT || i != strlen("pleach-store "))
			assert_int_equal(r, -EBADMSG);
		assert_int_equal(error.code, r == -EBADMSG ? PLEACH_CORRUPT : PLEACH_FAILED);
	}
	replace_config(s, config.data, config.length);
	assert_int_equal(open_a(s, NULL), 0);
}

static void a_config_that_verifies_but_breaks_a_rule_is_refused(void **state)
{
	static const struct {
		const char *body;
		int r;
	} cases[] = {
		{"hash sha256\nuid 0\n", 0},
		{"hash sha256\nuid 4294967294\nset keep 3\nset share content\n", 0},
		{"hash sha256\nuid 4294967295\n", -EBADMSG},
		{"hash sha256\nuid x\n", -EBADMSG},
		{"hash sha256\n", -EBADMSG},
		{"uid 0\nhash sha256\n", -EBADMSG},
		{"hash sha512\nuid 0\n", -EPROTONOSUPPORT},
		{"hash sha256\nuid 0\nset share content\nset keep 3\n", -EBADMSG},
		{"hash sha256\nuid 0\nset keep 3\nset keep 3\n", -EBADMSG},
		{"hash sha256\nuid 0\nset colour red\n", -EBADMSG},
		{"hash sha256\nuid 0\nset recycle edit\n", -EBADMSG},
		{"hash sha256\nuid 0\nmore x\n", -EBADMSG},
	};
	struct scratch *s = *state;

	make_store(s, "a");
	for (size_t i = 0; i < PL_ARRAY_LEN(cases); i++) {
		PL_BUFFER b = {0};
		int r;

		pl_buffer_add_format(&b, "pleach-store 1\n%s", cases[i].body);
		pl_text_end(&b);
		replace_config(s, b.data, b.length);
		r = open_a(s, NULL);
		if (r != cases[i].r)
			fail_msg("%s gave %d", cases[i].body, r);
	}
}

static void a_config_that_is_no_file_of_ours_is_corrupt(void **state)
{
	struct scratch *s = *state;
	PL_CLOSE int fd = -EBADF;

	make_store(s, "a");
	assert_int_equal(unlinkat(s->fd, "a/.pleach/config", 0), 0);
	assert_int_equal(open_a(s, NULL), -EBADMSG);
	assert_int_equal(mkfifoat(s->fd, "a/.pleach/config", 0644), 0);
	assert_int_equal(open_a(s, NULL), -EBADMSG);
	assert_int_equal(unlinkat(s->fd, "a/.pleach/config", 0), 0);
	assert_int_equal(symlinkat("reserve", s->fd, "a/.pleach/config"), 0);
	assert_int_equal(open_a(s, NULL), -EBADMSG);
	assert_int_equal(unlinkat(s->fd, "a/.pleach/config", 0), 0);
	fd = pl_create(s->fd, "a/.pleach/config", 0644);
	assert_int_equal(open_a(s, NULL), -EBADMSG);
	assert_int_equal(pl_truncate(fd, UINT64_C(1) << 40), 0);
	assert_int_equal(open_a(s, NULL), -EBADMSG);
}

static void missing_parts_are_corrupt_but_the_cache_comes_back(void **state)
{
	static const char *const parts[] = {"objects", "nodes", "trees", "refs", "tx", "trash"};
	struct scratch *s = *state;
	STORE *store = NULL;

	for (size_t i = 0; i < PL_ARRAY_LEN(parts); i++) {
		struct pleach_error error = PLEACH_ERROR_INIT;
		char path[64];

		make_store(s, "a");
		(void)snprintf(path, sizeof(path), "a/.pleach/%s", parts[i]);
		assert_int_equal(unlinkat(s->fd, path, AT_REMOVEDIR), 0);
		assert_int_equal(open_a(s, &error), -EBADMSG);
		assert_non_null(strstr(error.message, parts[i]));
		assert_int_equal(symlinkat("..", s->fd, path), 0);
		assert_int_equal(open_a(s, &error), -EBADMSG);
		assert_int_equal(pl_erase(s->fd, "a", NULL), 0);
	}
	make_store(s, "a");
	assert_int_equal(pl_erase(s->fd, "a/.pleach/cache", NULL), 0);
	assert_int_equal(pl_store_open(scratch_path(s, "a"), &store, NULL), 0);
	assert_true(store->cache_fd >= 0);
	assert_int_equal(mode_of(s->fd, "a/.pleach/cache"), 0700);
}

/* ---- other users ---- */

static int look_as_a_stranger(struct scratch *s)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	STORE *store = NULL;
	char expected[80];

	CHECK(setgroups(0, NULL) == 0 && setresgid(65534, 65534, 65534) == 0);
	CHECK(setresuid(65534, 65534, 65534) == 0);
	CHECK(pl_store_open(scratch_path(s, "a"), &store, &error) == 0);
	CHECK(!store->is_owner && store->uid == 0);
	CHECK(store->objects_fd == -EBADF && store->nodes_fd == -EBADF);
	CHECK(store->tx_fd == -EBADF && store->trash_fd == -EBADF && store->cache_fd == -EBADF);
	CHECK(store->refs_fd >= 0 && store->trees_fd >= 0);
	CHECK(pl_exists(store->trees_fd, "x") == 1); /* followed, not listed */
	CHECK(pl_store_must_write(store, &error) == -EACCES);
	(void)snprintf(expected, sizeof(expected), "only its owner may change this store: uid 0");
	CHECK(strcmp(error.message, expected) == 0 && error.code == PLEACH_FAILED);
	CHECK(pl_store_must_read(store, &error) == -EACCES);
	CHECK(strcmp(error.message, "only its owner may look into this store") == 0);
	CHECK(pl_store_write_config(store, &error) == -EACCES);
	return 0;
}

static void a_stranger_may_follow_names_and_nothing_else(void **state)
{
	struct scratch *s = *state;

	if (geteuid() != 0)
		SKIP("skip: needs root");
	assert_int_equal(chmod(s->path, 0755), 0);
	make_store(s, "a");
	mkdirs(s, "a/.pleach/trees/x");
	assert_int_equal(in_child(look_as_a_stranger, s), 0);
}

static int make_a(struct scratch *s)
{
	CHECK(pl_store_init(scratch_path(s, "a"), NULL, NULL) == 0);
	return 0;
}

static void root_may_read_but_not_write_a_store_of_another(void **state)
{
	struct scratch *s = *state;
	struct pleach_error error = PLEACH_ERROR_INIT;
	STORE *store = NULL;

	if (geteuid() != 0)
		SKIP("skip: needs root");
	assert_int_equal(in_child_as_user(make_a, s), 0);
	assert_int_equal(pl_store_open(scratch_path(s, "a"), &store, &error), 0);
	assert_true(!store->is_owner && store->uid == 65534);
	assert_int_equal(pl_store_must_read(store, &error), 0);
	assert_int_equal(pl_store_must_write(store, &error), -EACCES);
	assert_non_null(strstr(error.message, "uid 65534"));
	assert_int_equal(pl_store_init(scratch_path(s, "a"), NULL, &error), 1);
}

static int open_read_only(struct scratch *s)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	const char *path = scratch_path(s, "a");
	STORE *store = NULL;

	CHECK(pl_erase(s->fd, "a/.pleach/cache", NULL) == 0);
	if (private_mounts(s) < 0)
		return 77;
	CHECK(mount(path, path, NULL, MS_BIND, NULL) == 0);
	CHECK(mount(NULL, path, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL) == 0);
	CHECK(pl_store_open(path, &store, &error) == 0);
	CHECK(store->is_owner && !store->is_writable && store->cache_fd == -EBADF);
	CHECK(pl_store_must_read(store, &error) == 0);
	CHECK(pl_store_must_write(store, &error) == -EROFS);
	CHECK(strstr(error.message, "read-only"));
	return 0;
}

static void a_store_on_a_read_only_mount_can_be_read(void **state)
{
	struct scratch *s = *state;
	int r;

	if (geteuid() != 0)
		SKIP("skip: needs root");
	make_store(s, "a");
	r = in_child(open_read_only, s);
	if (r == 77)
		SKIP("skip: no mounts here");
	assert_int_equal(r, 0);
}

/* ---- config, written ---- */

static void a_config_is_written_and_read_back(void **state)
{
	struct scratch *s = *state;
	STORE *store = open_store(s, "a");
	STORE *again = NULL;

	assert_int_equal(pl_values_set(&store->values, "grace", "10s", NULL), 0);
	umask(077);
	pl_seam_arm(&(struct pl_seam_plan){0});
	assert_int_equal(pl_store_write_config(store, NULL), 0);
	assert_true(pl_seam_count_of(PL_CALL_SYNC) == 2); /* the file, then its name */
	pl_seam_arm(NULL);
	umask(022);
	assert_int_equal(pl_values_set(&store->values, "durability", "none", NULL), 0);
	assert_int_equal(pl_store_write_config(store, NULL), 0);
	assert_true(store->settings.grace_ms == 10000 && !store->settings.durable);
	assert_int_equal(pl_store_open(scratch_path(s, "a"), &again, NULL), 0);
	assert_true(again->settings.grace_ms == 10000 && !again->settings.durable);
	assert_int_equal(mode_of(s->fd, "a/.pleach/config"), 0644);
	assert_int_equal(count_names(s->fd, "a/.pleach/tx"), 0);
	assert_int_equal(count_names(s->fd, "a/.pleach"), 9);
}

static void what_does_not_resolve_is_not_written(void **state)
{
	struct scratch *s = *state;
	STORE *store = open_store(s, "a");
	struct pleach_error error = PLEACH_ERROR_INIT;

	assert_int_equal(pl_values_set(&store->values, "recycle", "edit", NULL), 0);
	assert_int_equal(pl_store_write_config(store, &error), -EINVAL);
	assert_int_equal(error.code, PLEACH_USAGE);
	assert_int_equal(store->settings.recycle, PL_RECYCLE_MOVE);
	assert_int_equal(open_a(s, NULL), 0);
}

static int set_grace(struct scratch *s)
{
	STORE *store = NULL;

	CHECK(pl_store_open(scratch_path(s, "a"), &store, NULL) == 0);
	CHECK(pl_values_set(&store->values, "grace", "77s", NULL) == 0);
	CHECK(pl_store_write_config(store, NULL) == 0);
	return 0;
}

static void config_killed_at_every_call_is_the_old_or_the_new_one(void **state)
{
	struct scratch *s = *state;
	int status = 99, n_new = 0;
	uint64_t n;

	for (n = 1; n < 100 && status == 99; n++) {
		STORE *store = NULL;
		unsigned recovered;

		make_store(s, "a");
		status = killed_at(n, set_grace, s);
		assert_true(status == 99 || status == 0);
		assert_int_equal(pl_store_open(scratch_path(s, "a"), &store, NULL), 0);
		assert_true(store->settings.grace_ms == 77000 ||
			    store->settings.grace_ms == 300000);
		n_new += store->settings.grace_ms == 77000;
		assert_int_equal(pl_txdir_recover(store, NULL, &recovered, NULL), 0);
		assert_int_equal(count_names(s->fd, "a/.pleach/tx"), 0);
		assert_int_equal(pl_erase(s->fd, "a", NULL), 0);
	}
	assert_true(n > 8 && n < 100 && n_new >= 2 && n_new < (int)n - 4);
}

static void config_failed_at_every_call_is_told(void **state)
{
	struct scratch *s = *state;
	STORE *store = open_store(s, "a");
	uint64_t n;
	int r = -1;

	assert_int_equal(pl_values_set(&store->values, "grace", "77s", NULL), 0);
	for (n = 1; n < 100; n++) {
		uint64_t calls;

		pl_seam_arm(&(struct pl_seam_plan){.fail_at = n, .fail_errno = ENOSPC});
		r = pl_store_write_config(store, NULL);
		calls = pl_seam_count();
		pl_seam_arm(NULL);
		if (calls < n)
			break;
		assert_true(r == 0 || r == -ENOSPC);
		assert_int_equal(open_a(s, NULL), 0);
	}
	assert_true(r == 0 && n > 8 && n < 100);
}

/* ---- while a call runs ---- */

static void a_cancelled_store_says_so(void **state)
{
	struct pl_store store = {0};
	struct pleach_error error = PLEACH_ERROR_INIT;

	assert_int_equal(pl_store_check_cancel(&store, &error), 0);
	store.cancelled = 1;
	assert_int_equal(pl_store_check_cancel(&store, &error), -EINTR);
	assert_int_equal(error.code, PLEACH_INTERRUPTED);
}

static void count_progress(const struct pleach_progress *progress, void *userdata)
{
	assert_string_equal(progress->phase, "scan");
	assert_true(progress->done_bytes == progress->done * 2);
	++*(uint64_t *)userdata;
}

static void progress_is_told_now_and_then(void **state)
{
	uint64_t n = 0;
	struct pl_store store = {.progress = count_progress, .progress_userdata = &n};

	for (uint64_t i = 1; i <= 100000; i++)
		pl_store_progress(&store, "scan", i, 100000, 2 * i);
	assert_true(n >= 100 && n < 1000);
	n = 0;
	pl_store_progress(&store, "scan", 0, 7, 0);
	pl_store_progress(&store, "scan", 7, 7, 14);
	assert_true(n == 2);
	store.progress = NULL;
	pl_store_progress(&store, "scan", 0, 0, 0);
}

static void syncing_is_left_out_where_the_store_is_not_durable(void **state)
{
	struct scratch *s = *state;
	STORE *store = open_store(s, "a");

	pl_seam_arm(&(struct pl_seam_plan){0});
	assert_int_equal(pl_store_sync(store, store->fd), 0);
	assert_true(pl_seam_count_of(PL_CALL_SYNC) == 1);
	store->settings.durable = false;
	assert_int_equal(pl_store_sync(store, store->fd), 0);
	assert_true(pl_seam_count_of(PL_CALL_SYNC) == 1);
	pl_seam_arm(NULL);
}

static void no_descriptor_is_left_open(void **state)
{
	struct scratch *s = *state;
	int before = count_fds();

	make_store(s, "a");
	assert_int_equal(open_a(s, NULL), 0);
	replace_config(s, "x", 1);
	assert_int_equal(open_a(s, NULL), -EBADMSG);
	assert_int_equal(count_fds(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_nearest_store_at_or_above_the_working_directory_is_found),
		TEST(stores_below_a_stores_own_directories_are_passed_over),
		TEST(a_file_or_symlink_of_the_name_is_no_store),
		TEST(a_store_is_found_from_deeper_than_a_path_can_say),
		TEST(a_missing_store_is_told_with_what_to_do),
		TEST(the_path_is_absolute_whatever_was_given),
		TEST(a_newer_format_is_told_with_both_versions),
		TEST(each_damaged_byte_of_the_config_is_found),
		TEST(a_config_that_verifies_but_breaks_a_rule_is_refused),
		TEST(a_config_that_is_no_file_of_ours_is_corrupt),
		TEST(missing_parts_are_corrupt_but_the_cache_comes_back),
		TEST(a_stranger_may_follow_names_and_nothing_else),
		TEST(root_may_read_but_not_write_a_store_of_another),
		TEST(a_store_on_a_read_only_mount_can_be_read),
		TEST(a_config_is_written_and_read_back),
		TEST(what_does_not_resolve_is_not_written),
		TEST(config_killed_at_every_call_is_the_old_or_the_new_one),
		TEST(config_failed_at_every_call_is_told),
		TEST(a_cancelled_store_says_so),
		TEST(progress_is_told_now_and_then),
		TEST(syncing_is_left_out_where_the_store_is_not_durable),
		TEST(no_descriptor_is_left_open),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
