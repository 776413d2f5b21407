/*
 * Which workspace is taken, and why others are not (W2); what making, noting, syncing and opening one comes
 * to. What holds for all of them is in workspace.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/prctl.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "tx/workspaces.h"

/* A small tree and its work, published. */
static int begin(struct work *w, struct scratch *s, struct pl_id *ret_tree)
{
	*w = (struct work){.s = s, .pin = PL_PIN_NONE};
	w->store = open_store(s, "S");
	CHECK(w->store);
	CHECK(publish(w->store, s, "src", ret_tree) == 0);
	return work_begin(w, ret_tree);
}

static int make_source(struct scratch *s)
{
	CHECK(mkdirat(s->fd, "src", 0755) == 0 && mkdirat(s->fd, "src/d", 0755) == 0);
	CHECK(make_file(s->fd, "src/a", "one") == 0 && make_file(s->fd, "src/b", "two") == 0);
	CHECK(make_file(s->fd, "src/d/c", "three") == 0);
	return 0;
}

static void end(struct work *w)
{
	work_end(w);
	pl_store_close(w->store);
}

static const char *reason_of(const struct work *w, const char *driver)
{
	size_t n = strlen(driver);

	for (size_t i = 0; i < w->passed_over.n; i++)
		if (strncmp(w->passed_over.items[i], driver, n) == 0 &&
		    strncmp(w->passed_over.items[i] + n, ": ", 2) == 0)
			return w->passed_over.items[i] + n + 2;
	return "";
}

/* ---- choosing ---- */

/* On btrfs all can be had; as each is switched off, the next one is taken, and all before say why. */
static int next_is_taken(struct scratch *s)
{
	static const struct {
		uint32_t off;
		const char *driver;
		size_t passed_over;
	} cases[] = {
		{0, "overlay", 0},
		{PL_CAP_OVERLAY, "snapshot", 1},
		{PL_CAP_OVERLAY | PL_CAP_SUBVOLUME, "reflink", 2},
		{PL_CAP_OVERLAY | PL_CAP_SUBVOLUME | PL_CAP_REFLINK, "copy", 4},
	};

	CHECK(make_source(s) == 0);
	for (size_t i = 0; i < PL_ARRAY_LEN(cases); i++) {
		struct work w;
		struct pl_id tree;

		CHECK(begin(&w, s, &tree) == 0);
		pl_seam_disable(cases[i].off);
		if (make_workspace(&w.ws, NULL, &w.passed_over, &w.error) < 0)
			return say(&w);
		pl_seam_disable(0);
		CHECK(strcmp(w.ws.driver->name, cases[i].driver) == 0);
		CHECK(w.passed_over.n == cases[i].passed_over);
		CHECK(i < 1 || *reason_of(&w, "overlay"));
		CHECK(i < 2 || *reason_of(&w, "snapshot"));
		CHECK(i < 3 || (*reason_of(&w, "reflink") && *reason_of(&w, "user-overlay")));
		CHECK(pl_workspace_remove(&w.ws) == 0 && pl_exists(w.tx.fd, "w") == 0);
		end(&w);
	}
	return 0;
}

static int on_btrfs(struct scratch *s)
{
	struct scratch fs;
	int r = scratch_on_image(s, "btrfs", &fs);

	return r != 0 ? r : next_is_taken(&fs);
}

static void of_all_that_can_be_had_the_first_is_taken_W2(void **state)
{
	int r = geteuid() == 0 ? in_child(on_btrfs, *state) : NOT_TO_BE_HAD;

	if (r == NOT_TO_BE_HAD)
		SKIP("needs root, mkfs.btrfs and a loop device");
	assert_int_equal(r, 0);
}

/* A file of `bytes`, which is all holes, and `files` empty ones. */
static int enlarge(struct scratch *s, unsigned bytes, unsigned files)
{
	char name[32];

	for (unsigned i = 0; i < files; i++) {
		(void)snprintf(name, sizeof(name), "src/d/%u", i);
		CHECK(make_file(s->fd, name, "") == 0);
	}
	CHECK(make_file(s->fd, "src/large", "") == 0);
	return truncate(scratch_path(s, "src/large"), bytes);
}

/* A copy would have to read it. */
static int unreadable_is_no_copy(struct scratch *s)
{
	struct pleach_tx_options options = PLEACH_TX_OPTIONS_INIT;
	struct pleach_publish_result result = PLEACH_PUBLISH_RESULT_INIT;
	struct pleach_metadata metadata = PLEACH_METADATA_INIT;
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pleach_tx_info info = PLEACH_TX_INFO_INIT;
	struct pleach_commit_options commit = PLEACH_COMMIT_OPTIONS_INIT;
	struct pleach_store *store;
	struct pleach_tx *tx;

	CHECK(pleach_store_open(scratch_path(s, "S"), &store, &error) == 0);
	options.workspace = "none";
	metadata.set = PLEACH_SET_MODE;
	CHECK(pleach_tx_begin(store, "site", &options, &tx, &error) == 0);
	CHECK(pleach_tx_set_metadata(tx, "d/c", &metadata, &error) == 0);
	CHECK(pleach_tx_commit(tx, &commit, &result, &error) == 0);
	CHECK(pleach_tx_close(tx, &error) == 0);
	options.workspace = NULL;
	CHECK(pleach_tx_begin(store, "site", &options, &tx, &error) == 0);
	pleach_tx_describe(tx, &info);
	CHECK(strcmp(info.workspace, "user-overlay") == 0);
	CHECK(pleach_tx_close(tx, &error) == 0);
	pleach_store_close(store);
	return 0;
}

static int small_is_copied(struct scratch *s)
{
	static const struct {
		unsigned bytes, files;
		const char *driver;
	} cases[] = {
		{0, 0, "copy"},
		{256 * 1024 - 11, 59, "copy"}, /* beside one, two, three, and five names */
		{256 * 1024 - 10, 0, "user-overlay"},
		{0, 60, "user-overlay"},
	};

	CHECK(prctl(PR_SET_DUMPABLE, 1) == 0);
	for (size_t i = 0; i < PL_ARRAY_LEN(cases); i++) {
		struct work w;
		struct pl_id tree;
		int r;

		CHECK(pl_erase(s->fd, "src", NULL) == 0 && make_source(s) == 0);
		CHECK(enlarge(s, cases[i].bytes, cases[i].files) == 0);
		CHECK(begin(&w, s, &tree) == 0);
		r = make_workspace(&w.ws, "user-overlay", NULL, &w.error); /* forced */
		if (r < 0)
			return r == -EOPNOTSUPP ? NOT_TO_BE_HAD : say(&w);
		CHECK(pl_workspace_remove(&w.ws) == 0);
		CHECK(make_workspace(&w.ws, NULL, &w.passed_over, &w.error) == 0);
		CHECK(strcmp(w.ws.driver->name, cases[i].driver) == 0);
		CHECK(strcmp(reason_of(&w, "user-overlay"), strcmp(cases[i].driver, "copy") == 0
								    ? "a small tree is copied"
								    : "") == 0);
		end(&w);
		CHECK(i > 0 || unreadable_is_no_copy(s) == 0);
	}
	return 0;
}

static int small_is_copied_on_ext4(struct scratch *s)
{
	struct scratch inner = {.fd = -1};

	if (private_mounts(s) < 0 || mount_image(s, "ext4", "fs", NULL) != 0)
		return NOT_TO_BE_HAD;
	CHECK(fchmodat(s->fd, ".", 0755, 0) == 0);
	(void)snprintf(inner.path, sizeof(inner.path), "%.3900s/fs/of-user", s->path);
	CHECK(mkdir(inner.path, 0777) == 0 && chmod(inner.path, 0777) == 0);
	inner.fd = open(inner.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(inner.fd >= 0);
	return in_child_as_user(small_is_copied, &inner);
}

static void a_user_s_small_tree_is_copied_unless_he_says_otherwise_W4(void **state)
{
	int r = geteuid() == 0 ? in_child(small_is_copied_on_ext4, *state) : NOT_TO_BE_HAD;

	if (r == NOT_TO_BE_HAD)
		SKIP("needs root, mkfs.ext4, a loop device and user namespaces");
	assert_int_equal(r, 0);
}

/* What a tree or a ref needs, and what it then says of an overlay. */
static int odd(struct scratch *s, unsigned which)
{
	/* More than a quarter, and less than all, of a block of 1 KiB, which so small an ext4 has. */
	char value[600] = "";

	CHECK(make_source(s) == 0);
	switch (which) {
	case 0:
		return mknodat(s->fd, "src/whiteout", S_IFCHR | 0600, makedev(0, 0));
	case 1:
		return setxattr(scratch_path(s, "src/a"), "trusted.overlay.opaque", "y", 1, 0);
	case 2:
		return setxattr(scratch_path(s, "src/d"), "user.much", value, 600, 0);
	case 3: { /* an owner that is not this user */
		return fchownat(s->fd, "src/a", 1, 0, 0);
	}
	case 4:
		return fchownat(s->fd, "src/d/c", 0, 1, 0);
	case 5:
		return linkat(s->fd, "src/a", s->fd, "src/d/link", 0);
	default:
		return mknodat(s->fd, "src/null", S_IFCHR | 0600, makedev(1, 3));
	}
}

static const struct {
	const char *driver, *reason;
} lacks[] = {
	{"overlay", "device 0/0"},   {"overlay", "attributes that mean"},
	{"overlay", "no room"},	     {"user-overlay", "another user"},
	{"user-overlay", "a group"}, {"user-overlay", "hard links"},
	{"user-overlay", "devices"},
};
static unsigned case_now;

static int refuses(struct scratch *s)
{
	struct scratch fs;
	struct work w;
	struct pl_id tree;
	int r = scratch_on_image(s, "ext4", &fs);

	if (r != 0)
		return r;
	CHECK(odd(&fs, case_now) == 0);
	CHECK(begin(&w, &fs, &tree) == 0);
	CHECK(make_workspace(&w.ws, lacks[case_now].driver, NULL, &w.error) == -EOPNOTSUPP);
	if (!strstr(w.error.message, lacks[case_now].reason))
		return say(&w);
	CHECK(w.error.code == PLEACH_FAILED && pl_exists(w.tx.fd, "w") == 0);
	/* Without a name another one is taken, which lacks nothing. */
	CHECK(make_workspace(&w.ws, NULL, &w.passed_over, &w.error) == 0);
	CHECK(strcmp(w.ws.driver->name, lacks[case_now].driver) != 0);
	CHECK(case_now > 2 || strstr(reason_of(&w, "overlay"), lacks[case_now].reason));
	end(&w);
	return 0;
}

static void what_a_tree_needs_is_never_weakened_W2(void **state)
{
	for (case_now = 0; case_now < PL_ARRAY_LEN(lacks); case_now++) {
		struct scratch inner, *s = *state;
		int r;

		(void)snprintf(inner.path, sizeof(inner.path), "%.4000s/%u", s->path, case_now);
		assert_int_equal(mkdir(inner.path, 0755), 0);
		inner.fd = open(inner.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		r = geteuid() == 0 ? in_child(refuses, &inner) : NOT_TO_BE_HAD;
		close(inner.fd);
		if (r == NOT_TO_BE_HAD)
			SKIP("needs root, mkfs.ext4 and a loop device");
		if (r != 0)
			fail_msg("case %u", case_now);
	}
}

/* A mount is tried once, and then it is known, as long as nothing is different. */
static int tried_once(struct scratch *s)
{
	static const uint64_t directories = 3; /* w, upper, work */
	struct work w;
	struct pl_id tree;
	uint64_t made[5];

	CHECK(make_source(s) == 0 && begin(&w, s, &tree) == 0);
	for (int i = 0; i < 5; i++) {
		w.ws.is_parked = i == 2; /* other options */
		pl_seam_arm(&(struct pl_seam_plan){0});
		if (make_workspace(&w.ws, "overlay", NULL, &w.error) < 0)
			return i == 0 ? NOT_TO_BE_HAD : say(&w);
		made[i] = pl_seam_count_of(PL_CALL_MKDIR);
		pl_seam_arm(NULL);
		if (i == 3)
			pl_workspace_forget(&w.ws);
		CHECK(pl_workspace_remove(&w.ws) == 0);
	}
	CHECK(made[0] > directories && made[1] == directories);
	CHECK(made[2] > directories && made[3] > directories && made[4] > directories);
	end(&w);
	return 0;
}

static void a_mount_is_tried_once_for_all_that_is_the_same_M1(void **state)
{
	int r = in_child(tried_once, *state);

	if (r == NOT_TO_BE_HAD)
		SKIP("no overlay can be had in the temporary directory");
	assert_int_equal(r, 0);
}

/* ---- in the scratch directory, by the copy ---- */

static void equal_files_that_share_inodes_are_no_overlay_O1(void **state)
{
	struct work w;
	struct pl_id tree;

	assert_int_equal(make_source(*state), 0);
	assert_int_equal(begin(&w, *state, &tree), 0);
	w.ws.share = PL_SHARE_CONTENT;
	assert_int_equal(make_workspace(&w.ws, "overlay", NULL, &w.error), -EOPNOTSUPP);
	assert_non_null(strstr(w.error.message, "share"));
	assert_int_equal(make_workspace(&w.ws, "snapshot", NULL, &w.error), -EOPNOTSUPP);
	assert_non_null(strstr(w.error.message, "share"));
	end(&w);
}

static void an_unknown_name_is_a_usage_error(void **state)
{
	struct work w;
	struct pl_id tree;

	assert_int_equal(make_source(*state), 0);
	assert_int_equal(begin(&w, *state, &tree), 0);
	assert_int_equal(make_workspace(&w.ws, "farm", NULL, &w.error), -EINVAL);
	assert_int_equal(w.error.code, PLEACH_USAGE);
	assert_non_null(strstr(w.error.hint, "user-overlay"));
	assert_int_equal(pl_exists(w.tx.fd, "w"), 0);
	end(&w);
}

/* Contents cost what has changed, as soon as the clock has moved on. */
static void a_scan_of_a_copy_reads_what_has_changed_G9(void **state)
{
	struct scratch *s = *state;
	struct pl_scan_result result;
	struct work w;
	struct pl_id tree;

	assert_int_equal(make_source(s), 0);
	assert_int_equal(begin(&w, s, &tree), 0);
	assert_int_equal(make_workspace(&w.ws, "copy", NULL, &w.error), 0);
	if (!pl_cache_is_sound(w.ws.fd)) {
		end(&w);
		SKIP("the temporary directory is no place for a cache");
	}
	let_it_age(w.ws.fd);
	assert_int_equal(scan_it(&w, &result), 0); /* of what was made within a tick of the note */
	assert_true(pl_id_equal(&result.tree, &tree));
	assert_int_equal(scan_it(&w, &result), 0);
	assert_int_equal(result.files_read, 0);
	assert_int_equal(make_file(w.ws.fd, "tree/new", "four"), 0);
	let_it_age(w.ws.fd);
	assert_int_equal(scan_it(&w, &result), 0);
	assert_int_equal(result.files_read, 1);
	assert_false(pl_id_equal(&result.tree, &tree));
	end(&w);
}

static void a_checkout_is_where_the_user_said_and_stays_G7(void **state)
{
	struct scratch *s = *state;
	struct pl_scan_result result;
	struct work w;
	struct pl_id tree, there;

	assert_int_equal(make_source(s), 0);
	assert_int_equal(begin(&w, s, &tree), 0);
	w.ws.is_parked = true;
	w.ws.checkout = (char *)scratch_path(s, "out");
	assert_int_equal(make_workspace(&w.ws, "overlay", NULL, &w.error), -EOPNOTSUPP);
	assert_int_equal(make_workspace(&w.ws, NULL, &w.passed_over, &w.error), 0);
	assert_string_equal(w.ws.driver->name, "copy");
	assert_int_equal(w.passed_over.n, 4);
	assert_int_equal(scan_it(&w, &result), 0);
	assert_true(pl_id_equal(&result.tree, &tree));
	assert_int_equal(make_file(s->fd, "out/new", "four"), 0);
	assert_int_equal(pl_workspace_sync(&w.ws, &w.error), 0);
	pl_workspace_close(&w.ws);
	assert_int_equal(pl_workspace_open(&w.ws, "copy", &w.error), 0);
	assert_int_equal(scan_it(&w, &result), 0);
	assert_int_equal(scan_directory(&w, "out", &there), 0);
	assert_true(pl_id_equal(&result.tree, &there));
	assert_int_equal(pl_workspace_remove(&w.ws), 0);
	assert_int_equal(pl_exists(s->fd, "out/new"), 1);
	/* What is in the way is an error, and stays. */
	assert_int_equal(make_workspace(&w.ws, "copy", NULL, &w.error), -ENOTEMPTY);
	assert_int_equal(pl_exists(s->fd, "out/new"), 1);
	end(&w);
}

static void one_that_is_gone_is_told_by_path(void **state)
{
	struct scratch *s = *state;
	struct pl_scan_result result;
	struct work w;
	struct pl_id tree;

	assert_int_equal(make_source(s), 0);
	assert_int_equal(begin(&w, s, &tree), 0);
	w.ws.checkout = (char *)scratch_path(s, "out");
	assert_int_equal(make_workspace(&w.ws, "copy", NULL, &w.error), 0);
	assert_int_equal(renameat(s->fd, "out", s->fd, "elsewhere"), 0);
	assert_int_equal(pl_stage_begin(w.store, &w.tx, PL_STAGE_POOL, &w.stage, &w.error), 0);
	assert_int_equal(w.ws.driver->scan(&w.ws, &w.stage, w.ws.rule, &result, &w.error), -ENOENT);
	assert_non_null(strstr(w.error.path, "out"));
	pl_stage_end(&w.stage);
	end(&w);
}

/* Without a barrier for the whole: each file and directory, once. */
static void each_is_synced_where_there_is_no_barrier(void **state)
{
	struct scratch *s = *state;
	struct work w;
	struct pl_id tree;

	assert_int_equal(make_source(s), 0);
	assert_int_equal(begin(&w, s, &tree), 0);
	w.ws.is_parked = true;
	assert_int_equal(make_workspace(&w.ws, "copy", NULL, &w.error), 0);
	pl_seam_disable(PL_CAP_SYNCFS);
	pl_seam_arm(&(struct pl_seam_plan){0});
	assert_int_equal(pl_workspace_sync(&w.ws, &w.error), 0);
	/* a, b, d/c; tree, tree/d, w; and the note of what is in it, where there is one. */
	if (!w.store->fs.is_volatile)
		assert_in_range(pl_seam_count_of(PL_CALL_SYNC), 6, 7);
	fail_call(PL_CALL_SYNC, 2, EIO);
	if (!w.store->fs.is_volatile)
		assert_int_equal(pl_workspace_sync(&w.ws, &w.error), -EIO);
	pl_seam_arm(NULL);
	pl_seam_disable(0);
	end(&w);
}

/* The placing that a parked overlay lies over is another one now. */
static int another_placing(struct scratch *s)
{
	struct work w;
	struct pl_id tree;
	int r;

	CHECK(make_source(s) == 0);
	CHECK(begin(&w, s, &tree) == 0);
	w.ws.is_parked = true;
	r = make_workspace(&w.ws, "overlay", NULL, &w.error);
	if (r < 0)
		return r == -EOPNOTSUPP ? NOT_TO_BE_HAD : say(&w);
	pl_workspace_close(&w.ws);
	CHECK(pl_workspace_open(&w.ws, "overlay", &w.error) == 0);
	pl_workspace_close(&w.ws);
	close(w.ws.lower_fd);
	w.ws.lower_fd = openat(s->fd, "src", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(pl_workspace_open(&w.ws, "overlay", &w.error) == -ESTALE);
	CHECK(strstr(w.error.message, "placed anew") && w.error.hint[0]);
	end(&w);
	return 0;
}

static void an_overlay_over_another_placing_is_refused_O4(void **state)
{
	int r = in_child(another_placing, *state);

	if (r == NOT_TO_BE_HAD)
		SKIP("no overlay can be had in the temporary directory");
	assert_int_equal(r, 0);
}

/* ---- killed ---- */

static int make_one(struct scratch *s)
{
	struct work w;
	struct pl_id tree;
	uint64_t n = s->fd >= 0 ? case_now : 0;

	if (begin(&w, s, &tree) != 0)
		return 1;
	pl_seam_arm(&(struct pl_seam_plan){.exit_at = n});
	if (make_workspace(&w.ws, "copy", NULL, &w.error) < 0)
		return 1;
	pl_seam_arm(NULL);
	end(&w);
	return 0;
}

static void killed_while_it_is_made_nothing_is_left_G6(void **state)
{
	struct scratch *s = *state;
	int status = 99;

	assert_int_equal(make_source(s), 0);
	for (case_now = 1; case_now < 300 && status == 99; case_now++) {
		struct pleach_error error = PLEACH_ERROR_INIT;
		STORE *store = NULL;
		unsigned recovered;

		status = in_child(make_one, s);
		assert_true(status == 99 || status == 0);
		store = open_store(s, "S");
		assert_non_null(store);
		assert_int_equal(pl_txdir_recover(store, NULL, &recovered, &error), 0);
		assert_int_equal(recovered, status == 99);
		assert_int_equal(count_names(store->tx_fd, "."), 0);
	}
	assert_int_equal(status, 0);
	assert_in_range(case_now, 20, 299);
}

static void failed_at_every_call_it_is_an_error_or_a_workspace(void **state)
{
	struct scratch *s = *state;
	struct pl_scan_result result;
	struct work w;
	struct pl_id tree;

	assert_int_equal(make_source(s), 0);
	for (uint64_t n = 1; n < 300; n++) {
		uint64_t calls;
		int r, fds;

		assert_int_equal(begin(&w, s, &tree), 0);
		fds = count_fds();
		pl_seam_arm(&(struct pl_seam_plan){.fail_at = n, .fail_errno = ENOSPC});
		r = make_workspace(&w.ws, "copy", NULL, &w.error);
		calls = pl_seam_count();
		pl_seam_arm(NULL);
		if (r < 0) {
			assert_int_equal(r, -ENOSPC);
			assert_int_equal(w.error.code, PLEACH_NO_SPACE);
			assert_int_equal(count_fds(), fds);
		} else {
			assert_int_equal(scan_it(&w, &result), 0);
			assert_true(pl_id_equal(&result.tree, &tree));
		}
		end(&w);
		if (calls < n) {
			assert_int_equal(r, 0);
			assert_in_range(n, 20, 299);
			return;
		}
	}
	fail_msg("it never came to an end");
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(of_all_that_can_be_had_the_first_is_taken_W2),
		TEST(a_user_s_small_tree_is_copied_unless_he_says_otherwise_W4),
		TEST(what_a_tree_needs_is_never_weakened_W2),
		TEST(a_mount_is_tried_once_for_all_that_is_the_same_M1),
		TEST(equal_files_that_share_inodes_are_no_overlay_O1),
		TEST(an_unknown_name_is_a_usage_error),
		TEST(a_scan_of_a_copy_reads_what_has_changed_G9),
		TEST(a_checkout_is_where_the_user_said_and_stays_G7),
		TEST(one_that_is_gone_is_told_by_path),
		TEST(each_is_synced_where_there_is_no_barrier),
		TEST(an_overlay_over_another_placing_is_refused_O4),
		TEST(killed_while_it_is_made_nothing_is_left_G6),
		TEST(failed_at_every_call_it_is_an_error_or_a_workspace),
	};

	(void)argc;
	(void)argv;
	return cmocka_run_group_tests_name("tx/workspace_choice", tests, NULL, NULL);
}
