/*
 * The commit of a transaction that has done nothing: it costs looks alone where the workspace can tell, and says
 * what it says where the workspace is read; and what was done is never passed over. And the last commit, which
 * takes files over instead of copying them, but never one that somebody can still write to.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/xattr.h>

#include "tx/transaction.h"
#include "tx/workspaces.h"

struct case_ {
	const char *driver;
	bool as_user, can_tell;
};
static const struct case_ *current;

static int begin(struct pl_store *store, const struct pleach_tx_options *given,
		 struct pl_tx **ret_tx)
{
	struct pleach_tx_options options = *given;
	struct pleach_error error = PLEACH_ERROR_INIT;
	int r;

	options.workspace = current->driver;
	r = pl_tx_begin(store, "site", &options, ret_tx, &error);
	if (r < 0)
		(void)fprintf(stderr, "# %s\n", error.message);
	return r == -EOPNOTSUPP ? NOT_TO_BE_HAD : r < 0;
}

/* In the view of the transaction, which every driver has. */
static int sh(struct pl_tx *tx, const char *script)
{
	char *argv[] = {(char *)"sh", (char *)"-ec", (char *)script, NULL};
	struct pleach_spawn_options options = PLEACH_SPAWN_OPTIONS_INIT;
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pl_child_event event = {0};
	struct pl_child *child = NULL;
	int r = pl_tx_spawn(tx, argv, &options, &child, &error);

	if (r < 0)
		(void)fprintf(stderr, "# %s\n", error.message);
	CHECK(r == 0);
	do
		r = pl_child_next(child, &event);
	while (r == -EINTR || (r >= 0 && event.what == PL_CHILD_STOPPED));
	pl_child_close(child);
	tx->is_running = false;
	CHECK(r >= 0 && event.what == PL_CHILD_EXITED && event.value == 0);
	return 0;
}

/* `ret_calls`: how many calls of the commit have changed anything. */
static int commit(struct pl_tx *tx, struct pleach_publish_result *ret_result, uint64_t *ret_calls)
{
	struct pleach_commit_options options = PLEACH_COMMIT_OPTIONS_INIT;
	struct pleach_error error = PLEACH_ERROR_INIT;
	int r;

	*ret_result = (struct pleach_publish_result)PLEACH_PUBLISH_RESULT_INIT;
	options.message = "nothing to tell";
	pl_seam_arm(&(struct pl_seam_plan){0});
	r = pl_tx_commit(tx, &options, false, ret_result, &error);
	*ret_calls = pl_seam_count();
	pl_seam_arm(NULL);
	if (r < 0)
		(void)fprintf(stderr, "# %s\n", error.message);
	CHECK(r == 0);
	CHECK(pl_tx_end(tx, &error) == 0);
	return 0;
}

/* One transaction that runs `script`. */
static int run(struct pl_store *store, const char *script, struct pleach_publish_result *ret_result,
	       uint64_t *ret_calls)
{
	const struct pleach_tx_options options = PLEACH_TX_OPTIONS_INIT;
	struct pl_tx *tx;
	int r = begin(store, &options, &tx);

	if (r != 0)
		return r;
	CHECK(sh(tx, script) == 0);
	CHECK(commit(tx, ret_result, ret_calls) == 0);
	CHECK(count_names(store->tx_fd, ".") == 0);
	return 0;
}

static int is_unchanged_at(const struct pleach_publish_result *result, uint64_t generation,
			   const struct pl_id *tree)
{
	char hex[PL_ID_HEX + 1];

	CHECK(result->unchanged && result->generation == generation);
	CHECK(result->parent == generation && strcmp(result->tree, pl_id_hex(tree, hex)) == 0);
	CHECK(result->added == 0 && result->modified == 0 && result->removed == 0);
	CHECK(result->bytes_new == 0);
	return 0;
}

static int publish_two(struct scratch *s, struct pl_store *store, struct pl_id *ret_tree)
{
	CHECK(mkdirat(s->fd, "src", 0755) == 0 && mkdirat(s->fd, "src/d", 0755) == 0);
	CHECK(make_file(s->fd, "src/a", "a") == 0 && make_file(s->fd, "src/d/b", "b") == 0);
	CHECK(publish(store, s, "src", ret_tree) == 0);
	CHECK(make_file(s->fd, "src/c", "c") == 0);
	CHECK(publish(store, s, "src", ret_tree) == 0);
	return 0;
}

/* ---- nothing ---- */

static int nothing(struct scratch *s)
{
	struct pleach_publish_result result;
	struct pl_id tree;
	uint64_t calls;
	STORE *store = open_store(s, "S");
	int r;

	CHECK(store && publish_two(s, store, &tree) == 0);
	r = run(store, "cat \"$PLEACH_PATH/a\" >/dev/null", &result, &calls);
	if (r != 0)
		return r;
	CHECK(is_unchanged_at(&result, 2, &tree) == 0);
	CHECK(current->can_tell == (calls == 0));
	/* Nothing remains of these; but something was done, if only for a while. */
	CHECK(run(store, "cd \"$PLEACH_PATH\"; : >t; rm t", &result, &calls) == 0);
	CHECK(is_unchanged_at(&result, 2, &tree) == 0);
	CHECK(calls > 0);
	CHECK(run(store, "cd \"$PLEACH_PATH\"; chmod 700 d; chmod 755 d", &result, &calls) == 0);
	CHECK(is_unchanged_at(&result, 2, &tree) == 0);
	CHECK(calls > 0);
	return 0;
}

/* ---- something ---- */

static int something(struct scratch *s)
{
	static const struct {
		const char *script;
		unsigned added, modified, removed;
	} all[] = {
		{"chmod 711 .", 0, 1, 0},
		{"setfattr -n user.x -v y .", 0, 1, 0},
		{": >t", 1, 0, 0},
		{"rm t", 0, 0, 1},
		{"rm -r d; mkdir d", 0, 0, 1},
		{"echo more >>a", 0, 1, 0},
		{"chmod 600 d/../c", 0, 1, 0},
	};
	STORE *store = open_store(s, "S");
	struct pleach_publish_result result;
	struct pl_id tree;
	uint64_t calls;

	CHECK(store && publish_two(s, store, &tree) == 0);
	for (size_t i = 0; i < PL_ARRAY_LEN(all); i++) {
		char script[100];
		int r;

		(void)snprintf(script, sizeof(script), "cd \"$PLEACH_PATH\"; %s", all[i].script);
		r = run(store, script, &result, &calls);
		if (r != 0)
			return r;
		if (result.unchanged || result.generation != 3 + i)
			(void)fprintf(stderr, "# script: %s\n", all[i].script);
		CHECK(!result.unchanged && result.generation == 3 + i);
		CHECK(result.added == all[i].added && result.modified == all[i].modified);
		CHECK(result.removed == all[i].removed);
	}
	return 0;
}

/* ---- the head as it is now ---- */

/* 1. a transaction begins, and does nothing, 2. somebody publishes, 3. it is committed: its answer is about that. */
static int moved_head(struct scratch *s)
{
	struct pleach_tx_options options = PLEACH_TX_OPTIONS_INIT;
	struct pleach_publish_result result;
	STORE *store = open_store(s, "S");
	struct pl_id tree;
	struct pl_tx *tx;
	uint64_t calls;
	int r;

	CHECK(store && publish_two(s, store, &tree) == 0);
	options.optimistic = 1;
	r = begin(store, &options, &tx);
	if (r != 0)
		return r;
	CHECK(make_file(s->fd, "src/e", "e") == 0 && publish(store, s, "src", &tree) == 0);
	CHECK(commit(tx, &result, &calls) == 0);
	CHECK(is_unchanged_at(&result, 3, &tree) == 0);
	/* What was missing or behind is made good again, as by any commit that has nothing to do. */
	CHECK(begin(store, &options, &tx) == 0);
	CHECK(unlinkat(s->fd, "S/site", 0) == 0);
	CHECK(unlinkat(store->refs_fd, "site/shown/3", 0) == 0);
	CHECK(commit(tx, &result, &calls) == 0);
	CHECK(is_unchanged_at(&result, 3, &tree) == 0);
	CHECK(pl_exists(s->fd, "S/site") == 1 && pl_exists(store->refs_fd, "site/shown/3") == 1);
	return 0;
}

/* What has been run, `: >t`, is undone without a trace: the upper layer of an overlay is as it was made. */
static int take_back(struct pl_tx *tx)
{
	struct stat st;
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}};

	if (!current->can_tell)
		return sh(tx, "rm \"$PLEACH_PATH/t\"");
	CHECK(fstat(tx->workspace.lower_fd, &st) == 0);
	times[1] = st.st_mtim;
	CHECK(unlinkat(tx->workspace.fd, "upper/t", 0) == 0);
	CHECK(utimensat(tx->workspace.fd, "upper", times, 0) == 0);
	CHECK(tx->workspace.driver->is_untouched(&tx->workspace, tx->workspace.rule));
	return 0;
}

/* A checkpoint goes on from the very tree of the workspace, and what is parked keeps what it notes. */
static int long_ways(struct scratch *s)
{
	struct pleach_tx_options options = PLEACH_TX_OPTIONS_INIT;
	struct pleach_commit_options none = PLEACH_COMMIT_OPTIONS_INIT;
	struct pleach_publish_result result = PLEACH_PUBLISH_RESULT_INIT;
	STORE *store = open_store(s, "S");
	struct pl_id tree;
	struct pl_tx *tx;
	uint64_t calls;
	int r;

	CHECK(store && publish_two(s, store, &tree) == 0);
	r = begin(store, &options, &tx);
	if (r != 0)
		return r;
	CHECK(sh(tx, ": >\"$PLEACH_PATH/t\"") == 0);
	CHECK(pl_tx_commit(tx, &none, true, &result, NULL) == 0 && result.generation == 3);
	CHECK(take_back(tx) == 0); /* as the base, and not as the head */
	CHECK(commit(tx, &result, &calls) == 0);
	CHECK(!result.unchanged && result.generation == 4 && result.removed == 1);
	options.parked = 1;
	CHECK(begin(store, &options, &tx) == 0);
	CHECK(commit(tx, &result, &calls) == 0);
	CHECK(result.unchanged && result.generation == 4 && calls > 0);
	CHECK(count_names(store->tx_fd, ".") == 0);
	return 0;
}

/* ---- who can still reach the workspace ---- */

/* The file that a program in the workspace wrote, as it lies in tx/. */
static int open_written(struct pl_tx *tx, const char *name, int flags)
{
	char path[4400];

	if (tx->workspace.path) {
		(void)snprintf(path, sizeof(path), "%s/%s", tx->workspace.path, name);
		return open(path, flags | O_CLOEXEC);
	}
	(void)snprintf(path, sizeof(path), "upper/%s", name);
	return openat(tx->workspace.fd, path, flags | O_CLOEXEC);
}

static bool has_content(int dirfd, const char *name, const char *text)
{
	PL_BUFFER b = {0};

	return pl_read_file(dirfd, name, 100, &b) >= 0 && b.length == strlen(text) &&
	       memcmp(b.data, text, b.length) == 0;
}

static int commit_and_end(struct pl_tx *tx)
{
	const struct pleach_commit_options options = PLEACH_COMMIT_OPTIONS_INIT;
	struct pleach_publish_result result = PLEACH_PUBLISH_RESULT_INIT;
	struct pleach_error error = PLEACH_ERROR_INIT;

	if (pl_tx_commit(tx, &options, false, &result, &error) < 0)
		(void)fprintf(stderr, "# %s\n", error.message);
	CHECK(!result.unchanged && result.generation == 3);
	CHECK(pl_tx_end(tx, &error) == 0);
	return 0;
}

/* Through a descriptor for reading, and one of a mere place, a file is opened again. */
static int write_again(int fd)
{
	char path[40];
	int again;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
	CHECK(again >= 0 && write(again, "late", 4) == 4);
	close(again);
	return 0;
}

static int begin_and_write(struct scratch *s, struct pl_store *store, struct pl_tx **ret_tx)
{
	const struct pleach_tx_options options = PLEACH_TX_OPTIONS_INIT;
	struct pl_id tree;
	int r;

	CHECK(store && publish_two(s, store, &tree) == 0);
	r = begin(store, &options, ret_tx);
	if (r != 0)
		return r;
	CHECK(sh(*ret_tx,
		 "cd \"$PLEACH_PATH\"; echo more >>a; chmod 640 a; head -c 3000000 /dev/zero >big;"
		 "echo x >>big; echo more >>c; setfattr -n user.k -v v c; echo l >l; ln l k; : >o;"
		 "echo o >o") == 0);
	return 0;
}

/* By descriptors, and by a mapping whose descriptor is closed. */
static int copied_from_writers(struct scratch *s)
{
	STORE *store = open_store(s, "S");
	struct pl_tx *tx;
	char *map, byte;
	int a, big, o, place, r = begin_and_write(s, store, &tx);

	if (r != 0)
		return r;
	a = open_written(tx, "a", O_WRONLY | O_APPEND);
	big = open_written(tx, "big", O_RDWR);
	o = open_written(tx, "o", O_RDONLY);
	place = open_written(tx, "l", O_PATH);
	CHECK(a >= 0 && big >= 0 && o >= 0 && place >= 0);
	map = mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_SHARED, big, 0);
	CHECK(map != MAP_FAILED);
	close(big);
	CHECK(commit_and_end(tx) == 0);
	CHECK(write(a, "late", 4) == 4 && write_again(o) == 0 && write_again(place) == 0);
	*map = 'L';
	CHECK(msync(map, 1, MS_SYNC) == 0);
	CHECK(has_content(s->fd, "S/site/a", "amore\n") && has_content(s->fd, "S/site/o", "o\n") &&
	      has_content(s->fd, "S/site/l", "l\n"));
	big = openat(s->fd, "S/site/big", O_RDONLY | O_CLOEXEC);
	CHECK(big >= 0 && read(big, &byte, 1) == 1 && byte == 0);
	close(big);
	close(a);
	close(o);
	close(place);
	CHECK(munmap(map, 1) == 0);
	return 0;
}

/* ---- one program after the other ---- */

static int in_turn(struct scratch *s)
{
	struct pleach_tx_options options = PLEACH_TX_OPTIONS_INIT;
	struct pleach_commit_options none = PLEACH_COMMIT_OPTIONS_INIT;
	struct pleach_publish_result result = PLEACH_PUBLISH_RESULT_INIT;
	STORE *store = open_store(s, "S");
	struct pl_id tree;
	struct pl_tx *tx;
	uint64_t calls;
	int r;

	CHECK(store && publish_two(s, store, &tree) == 0);
	r = begin(store, &options, &tx);
	if (r != 0)
		return r;
	CHECK(sh(tx, "cd \"$PLEACH_PATH\"; echo 1 >t; rm a") == 0);
	CHECK(sh(tx, "cd \"$PLEACH_PATH\"; grep -q 1 t; test ! -e a; echo 2 >>t; echo 3 >>c") == 0);
	CHECK(pl_tx_commit(tx, &none, true, &result, NULL) == 0 && result.generation == 3);
	CHECK(result.added == 1 && result.modified == 1 && result.removed == 1);
	CHECK(sh(tx, "cd \"$PLEACH_PATH\"; grep -q 2 t; rm t") == 0);
	CHECK(commit(tx, &result, &calls) == 0);
	CHECK(result.generation == 4 && result.removed == 1 && result.modified == 0);
	CHECK(count_names(store->tx_fd, ".") == 0);
	return 0;
}

/* ---- for each kind of workspace ---- */

static int (*what)(struct scratch *s);

static int as_whom(struct scratch *s)
{
	/* Who changed his user id may not map ids, unless he says that nothing was secret. */
	CHECK(prctl(PR_SET_DUMPABLE, 1) == 0);
	return what(s);
}

static int on_image(struct scratch *s)
{
	struct scratch inner = {.fd = -1};
	int r = private_mounts(s) < 0 ? NOT_TO_BE_HAD : mount_image(s, "ext4", "fs", NULL);

	if (r != 0)
		return r;
	(void)snprintf(inner.path, sizeof(inner.path), "%.3900s/fs/in", s->path);
	CHECK(fchmodat(s->fd, ".", 0755, 0) == 0);
	CHECK(mkdir(inner.path, 0777) == 0 && chmod(inner.path, 0777) == 0);
	inner.fd = open(inner.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(inner.fd >= 0);
	return current->as_user ? in_child_as_user(as_whom, &inner) : in_child(as_whom, &inner);
}

static void each_kind(void **state, int (*function)(struct scratch *s))
{
	static const struct case_ cases[] = {
		{"overlay", false, true},
		{"user-overlay", true, true},
		{"copy", false, false},
	};

	if (geteuid() != 0)
		SKIP("needs root: loop devices and mounts");
	what = function;
	for (size_t i = 0; i < PL_ARRAY_LEN(cases); i++) {
		struct scratch *s = *state, own = {.fd = -1};
		int r;

		current = &cases[i];
		(void)snprintf(own.path, sizeof(own.path), "%.4000s/%zu", s->path, i);
		assert_int_equal(mkdir(own.path, 0755), 0);
		assert_int_equal(chmod(s->path, 0755), 0);
		own.fd = open(own.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		r = in_child(on_image, &own);
		close(own.fd);
		print_message("# %s: %d\n", current->driver, r);
		if (r != NOT_TO_BE_HAD)
			assert_int_equal(r, 0);
	}
}

static void nothing_done_is_unchanged_and_costs_looks_alone(void **state)
{
	each_kind(state, nothing);
}

static void something_done_is_never_passed_over(void **state)
{
	each_kind(state, something);
}

static void nothing_done_is_an_answer_about_the_head_as_it_is(void **state)
{
	each_kind(state, moved_head);
}

static void what_was_committed_before_or_parked_is_read(void **state)
{
	each_kind(state, long_ways);
}

static void programs_run_one_after_the_other_and_find_what_those_before_did(void **state)
{
	each_kind(state, in_turn);
}

static void what_somebody_can_still_reach_is_copied(void **state)
{
	each_kind(state, copied_from_writers);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nothing_done_is_unchanged_and_costs_looks_alone),
		TEST(something_done_is_never_passed_over),
		TEST(nothing_done_is_an_answer_about_the_head_as_it_is),
		TEST(what_was_committed_before_or_parked_is_read),
		TEST(programs_run_one_after_the_other_and_find_what_those_before_did),
		TEST(what_somebody_can_still_reach_is_copied),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
