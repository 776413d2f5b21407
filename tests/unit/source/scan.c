/*
 * Scanning a source: what is read, what the cache spares, how a source that changes is met, and hard
 * links, as the tree shows them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <sys/time.h>

#include "source/fixture.h"
#include "source/source.h"

static int scan_with(struct fixture *f, const struct pl_globs *exclude,
		     struct pl_scan_result *ret_result, struct pleach_error *error)
{
	struct pl_txdir tx;
	struct pl_stage stage;
	struct pl_scan scan = {.store = f->store,
			       .stage = &stage,
			       .fd = f->src,
			       .label = "src",
			       .prefix = "",
			       .exclude = exclude,
			       .use_cache = true};
	int r = pl_txdir_begin(f->store, "test", &tx, error);

	assert_int_equal(r, 0);
	r = pl_stage_begin(f->store, &tx, PL_STAGE_IN_PLACE, &stage, error);
	assert_int_equal(r, 0);
	r = pl_scan_run(&scan, ret_result, error);
	/* Named, so that the next scan finds what this one has stored. */
	if (r == 0)
		assert_int_equal(pl_stage_name(&stage, error), 0);
	pl_stage_end(&stage);
	pl_txdir_end(&tx);
	return r;
}

static struct pl_scan_result scan(struct fixture *f)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pl_scan_result result;
	int r = scan_with(f, NULL, &result, &error);

	if (r != 0)
		fail_msg("%s", error.message);
	return result;
}

static void scan_of_an_unchanged_source_reads_no_file(void **state)
{
	struct fixture *f = *state;
	struct pl_scan_result first, second;

	fixture_put(f, "a", "one");
	fixture_put(f, "b", "two");
	assert_int_equal(mkdirat(f->src, "d", 0755), 0);
	fixture_put(f, "d/c", "three");
	let_it_age(f->s->fd);
	first = scan(f);
	second = scan(f);
	assert_int_equal(first.files_read, 3);
	assert_int_equal(second.files_read, 0);
	assert_int_equal(second.files_cached, 3);
	assert_true(pl_id_equal(&first.tree, &second.tree));
}

static void file_changed_within_the_tick_of_the_scan_is_read_again(void **state)
{
	struct fixture *f = *state;

	/* Same size, and as near in time as it gets: if the cache believed it, a scan would miss it. */
	for (unsigned i = 0; i < 50; i++) {
		struct pl_scan_result before, after;
		char text[8];

		(void)snprintf(text, sizeof(text), "%05u", i);
		fixture_put(f, "a", text);
		before = scan(f);
		(void)snprintf(text, sizeof(text), "%05u", i + 1000);
		fixture_put(f, "a", text);
		after = scan(f);
		assert_false(pl_id_equal(&before.tree, &after.tree));
	}
}

static void mtime_that_was_set_back_hides_no_change(void **state)
{
	struct fixture *f = *state;
	struct pl_scan_result before, after;
	struct stat st;

	fixture_put(f, "a", "one");
	let_it_age(f->s->fd);
	before = scan(f);
	assert_int_equal(fstatat(f->src, "a", &st, 0), 0);
	fixture_put(f, "a", "two");
	assert_int_equal(utimensat(f->src, "a", (struct timespec[2]){st.st_atim, st.st_mtim}, 0),
			 0);
	after = scan(f);
	assert_int_equal(after.files_read, 1);
	assert_false(pl_id_equal(&before.tree, &after.tree));
}

static void file_from_the_future_is_never_believed(void **state)
{
	struct fixture *f = *state;
	struct timespec future[2] = {{.tv_sec = 4000000000}, {.tv_sec = 4000000000}};

	fixture_put(f, "a", "one");
	assert_int_equal(utimensat(f->src, "a", future, 0), 0);
	let_it_age(f->s->fd);
	(void)scan(f);
	assert_int_equal(scan(f).files_read, 1);
}

static void replaced_inode_is_read_again(void **state)
{
	struct fixture *f = *state;
	struct pl_scan_result before, after;
	struct stat st;

	fixture_put(f, "a", "one");
	fixture_put(f, "other", "two");
	assert_int_equal(fstatat(f->src, "a", &st, 0), 0);
	assert_int_equal(
		utimensat(f->src, "other", (struct timespec[2]){st.st_atim, st.st_mtim}, 0), 0);
	let_it_age(f->s->fd);
	before = scan(f);
	assert_int_equal(renameat(f->src, "other", f->src, "a"), 0);
	after = scan(f);
	assert_int_equal(after.files_read, 1);
	assert_false(pl_id_equal(&before.tree, &after.tree));
}

static void damaged_cache_is_passed_over(void **state)
{
	struct fixture *f = *state;
	struct pl_scan_result first;
	struct pl_listing listing;
	PL_CLOSE int cache = openat(f->store->fd, "cache", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	fixture_put(f, "a", "one");
	let_it_age(f->s->fd);
	first = scan(f);
	assert_int_equal(pl_list(cache, &listing), 0);
	for (size_t i = 0; i < listing.n; i++) {
		int fd = strncmp(listing.entries[i].name, "scan-", 5) == 0
				 ? openat(cache, listing.entries[i].name, O_RDWR | O_CLOEXEC)
				 : -1;

		if (fd >= 0) {
			struct pl_scan_result again;

			assert_int_equal(pwrite(fd, "X", 1, 60), 1);
			close(fd);
			again = scan(f);
			assert_int_equal(again.files_read, 1);
			assert_true(pl_id_equal(&again.tree, &first.tree));
		}
	}
	pl_listing_done(&listing);
}

/* What a collection may do to a store that nothing refers to. */
static int erase_objects(struct pl_store *store)
{
	PL_CLOSE int objects = pl_open_dir(store->fd, "objects");
	struct pl_listing listing;
	int r = pl_list(objects, &listing);

	for (size_t i = 0; r >= 0 && i < listing.n; i++)
		r = pl_erase(objects, listing.entries[i].name, NULL);
	pl_listing_done(&listing);
	return r;
}

static void cache_hit_whose_object_is_gone_is_read_again(void **state)
{
	struct fixture *f = *state;

	fixture_put(f, "a", "one");
	let_it_age(f->s->fd);
	(void)scan(f);
	assert_int_equal(scan(f).files_read, 0);
	assert_int_equal(erase_objects(f->store), 0);
	assert_int_equal(scan(f).files_read, 1);
}

/* ---- hard links ---- */

static void names_of_one_inode_are_a_group_wherever_they_lie(void **state)
{
	struct fixture *f = *state;
	struct pl_scan_result result;

	assert_int_equal(mkdirat(f->src, "d", 0755), 0);
	assert_int_equal(mkdirat(f->src, "d/e", 0755), 0);
	fixture_put(f, "d/e/x", "one");
	assert_int_equal(linkat(f->src, "d/e/x", f->src, "d/y", 0), 0);
	fixture_put(f, "p", "two");
	assert_int_equal(linkat(f->src, "p", f->src, "d/q", 0), 0);
	result = scan(f);
	assert_int_equal(result.totals.groups, 2);
	assert_int_equal(result.files_read, 2);
}

static void links_to_the_outside_make_no_group(void **state)
{
	struct fixture *f = *state;
	struct pl_scan_result result;

	fixture_put(f, "a", "one");
	assert_int_equal(linkat(f->src, "a", f->s->fd, "outside", 0), 0);
	result = scan(f);
	assert_int_equal(result.totals.groups, 0);
}

static void group_with_a_name_outside_is_found_by_the_walk_ahead(void **state)
{
	struct fixture *f = *state;
	struct pl_scan_result result;

	assert_int_equal(mkdirat(f->src, "d", 0755), 0);
	fixture_put(f, "d/a", "one");
	assert_int_equal(linkat(f->src, "d/a", f->src, "d/b", 0), 0);
	assert_int_equal(linkat(f->src, "d/a", f->s->fd, "outside", 0), 0);
	result = scan(f);
	assert_int_equal(result.totals.groups, 1);
	/* With a third member further on, the group belongs to the root. */
	assert_int_equal(linkat(f->src, "d/a", f->src, "z", 0), 0);
	result = scan(f);
	assert_int_equal(result.totals.groups, 1);
	assert_int_equal(result.totals.entries, 4);
}

static void excluded_names_are_no_members(void **state)
{
	struct fixture *f = *state;
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pl_scan_result result;
	struct pl_globs globs = {0};

	fixture_put(f, "a", "one");
	assert_int_equal(linkat(f->src, "a", f->src, "b.tmp", 0), 0);
	assert_int_equal(pl_globs_add(&globs, "*.tmp"), 0);
	assert_int_equal(scan_with(f, &globs, &result, &error), 0);
	assert_int_equal(result.totals.entries, 1);
	assert_int_equal(result.totals.groups, 0);
	pl_globs_done(&globs);
}

/* ---- a source that changes ---- */

static volatile int stop_writing;

static void *keep_writing(void *path)
{
	for (unsigned i = 0; !stop_writing; i++) {
		int fd = open(path, O_WRONLY | O_CLOEXEC);

		if (fd >= 0) {
			/* The whole file is one letter, and its size is always the same. */
			static char block[200000];

			memset(block, 'a' + (int)(i % 26), sizeof(block));
			(void)!write(fd, block, sizeof(block));
			close(fd);
		}
	}
	return NULL;
}

static void file_that_never_rests_is_refused_by_path_or_read_whole(void **state)
{
	struct fixture *f = *state;
	char path[4400];
	pthread_t writer;
	unsigned refused = 0;

	fixture_put(f, "busy", "");
	(void)snprintf(path, sizeof(path), "%s/src/busy", f->s->path);
	assert_int_equal(truncate(path, 200000), 0);
	stop_writing = 0;
	assert_int_equal(pthread_create(&writer, NULL, keep_writing, path), 0);
	for (unsigned i = 0; i < 20; i++) {
		struct pleach_error error = PLEACH_ERROR_INIT;
		struct pl_scan_result result;
		int r = scan_with(f, NULL, &result, &error);

		if (r == 0)
			continue;
		assert_int_equal(r, -EAGAIN);
		assert_string_equal(error.path, "busy");
		refused++;
	}
	stop_writing = 1;
	pthread_join(writer, NULL);
	print_message("# refused %u of 20\n", refused);
	assert_true(refused > 0);
}

static void store_in_the_source_is_refused(void **state)
{
	struct fixture *f = *state;
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pl_scan_result result;
	int src = f->src;

	f->src = f->s->fd; /* the scratch directory: S lies in it */
	assert_int_equal(scan_with(f, NULL, &result, &error), -ELOOP);
	assert_non_null(strstr(error.message, "store"));
	f->src = src;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FIXTURE_TEST(scan_of_an_unchanged_source_reads_no_file),
		FIXTURE_TEST(file_changed_within_the_tick_of_the_scan_is_read_again),
		FIXTURE_TEST(mtime_that_was_set_back_hides_no_change),
		FIXTURE_TEST(file_from_the_future_is_never_believed),
		FIXTURE_TEST(replaced_inode_is_read_again),
		FIXTURE_TEST(damaged_cache_is_passed_over),
		FIXTURE_TEST(cache_hit_whose_object_is_gone_is_read_again),
		FIXTURE_TEST(names_of_one_inode_are_a_group_wherever_they_lie),
		FIXTURE_TEST(links_to_the_outside_make_no_group),
		FIXTURE_TEST(group_with_a_name_outside_is_found_by_the_walk_ahead),
		FIXTURE_TEST(excluded_names_are_no_members),
		FIXTURE_TEST(file_that_never_rests_is_refused_by_path_or_read_whole),
		FIXTURE_TEST(store_in_the_source_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
