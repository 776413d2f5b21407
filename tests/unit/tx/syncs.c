/*
 * What a publish costs in syncs and in calls that change something (G9): numbers, and that they do not
 * grow with the tree.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "source/fixture.h"
#include "sys/images.h"
#include "tx/tx.h"

static void put(struct fixture *f, const char *directory, unsigned number, const char *text)
{
	char name[64];

	(void)snprintf(name, sizeof(name), "%s/%u", directory, number);
	fixture_put(f, name, text);
}

/* Files of different contents, `n` in each of `n_directories`. */
static void fill(struct fixture *f, unsigned n_directories, unsigned n)
{
	for (unsigned d = 0; d < n_directories; d++) {
		char name[32];

		(void)snprintf(name, sizeof(name), "d%u", d);
		assert_int_equal(mkdirat(f->src, name, 0755), 0);
		for (unsigned i = 0; i < n; i++) {
			char text[32];

			(void)snprintf(text, sizeof(text), "%u %u", d, i);
			put(f, name, i, text);
		}
	}
}

static int try_publish(struct fixture *f, struct pleach_publish_result *ret_result)
{
	struct pleach_publish_options options = PLEACH_PUBLISH_OPTIONS_INIT;
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pleach_source source = {.kind = PLEACH_SOURCE_DIR};
	char path[4400];
	int r;

	(void)snprintf(path, sizeof(path), "%s/src", f->s->path);
	source.spec = path;
	pl_seam_arm(&(struct pl_seam_plan){0});
	r = pl_publish_run(f->store, "site", &source, 1, &options, ret_result, &error);
	if (r != 0)
		print_message("# %s\n", error.message);
	return r;
}

static struct pleach_publish_result publish(struct fixture *f)
{
	struct pleach_publish_result result = PLEACH_PUBLISH_RESULT_INIT;

	assert_int_equal(try_publish(f, &result), 0);
	return result;
}

static void changed_publish_has_four_sync_points(void **state)
{
	struct fixture *f = *state;

	if (!f->store->fs.has_syncfs_barrier)
		SKIP("needs a file system whose syncfs is a barrier");
	pl_seam_disable(PL_CAP_JOURNAL);
	fill(f, 3, 5);
	(void)publish(f);
	put(f, "d1", 2, "changed");
	(void)publish(f);
	/* Data; names of objects, nodes and the tree; the record; the symlink. */
	assert_int_equal(pl_seam_count_of(PL_CALL_SYNC), 4);
}

/* In a child, with a store and a source on a new file system. */
static int publish_and_go_back(struct scratch *s, const char *kind)
{
	struct pleach_publish_options options = PLEACH_PUBLISH_OPTIONS_INIT;
	struct pleach_publish_result result = PLEACH_PUBLISH_RESULT_INIT;
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct scratch fs;
	struct fixture f = {.s = &fs};
	int r = scratch_on_image(s, kind, &fs);

	if (r != 0)
		return r;
	f.store = open_store(&fs, "S");
	CHECK(f.store && mkdirat(fs.fd, "src", 0755) == 0);
	f.src = openat(fs.fd, "src", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(f.src >= 0 && make_file(f.src, "file", "one") == 0);
	CHECK(try_publish(&f, &result) == 0);
	CHECK(make_file(f.src, "other", "two") == 0);
	CHECK(try_publish(&f, &result) == 0);
	/* Data; the record, and all names before it; the symlink. */
	CHECK(pl_seam_count_of(PL_CALL_SYNC) == 3);
	pl_seam_arm(&(struct pl_seam_plan){0});
	CHECK(pl_rollback_run(f.store, "site", "@1", &options, &result, &error) == 0);
	/* No round came before its record, which is data: the new user's name, a round, the record, the symlink. */
	CHECK(pl_seam_count_of(PL_CALL_SYNC) == 4);
	pl_seam_arm(NULL);
	pl_store_close(f.store);
	close(f.src);
	close(fs.fd);
	return 0;
}

static int on_ext4(struct scratch *s)
{
	return publish_and_go_back(s, "ext4");
}

static int on_xfs(struct scratch *s)
{
	return publish_and_go_back(s, "xfs");
}

static void expect_saved(struct fixture *f, int (*run)(struct scratch *s))
{
	int r;

	if (geteuid() != 0)
		SKIP("needs root: mounts");
	r = in_child(run, f->s);
	if (r == NOT_TO_BE_HAD)
		SKIP("there is no such file system here");
	assert_int_equal(r, 0);
}

static void the_journal_of_ext4_saves_the_second_round(void **state)
{
	expect_saved(*state, on_ext4);
}

static void and_so_does_that_of_xfs(void **state)
{
	expect_saved(*state, on_xfs);
}

static void syncs_do_not_grow_with_the_tree(void **state)
{
	struct fixture *f = *state;
	uint64_t small;

	if (!f->store->fs.has_syncfs_barrier)
		SKIP("needs a file system whose syncfs is a barrier");
	fill(f, 2, 3);
	(void)publish(f);
	put(f, "d0", 0, "x");
	(void)publish(f);
	small = pl_seam_count_of(PL_CALL_SYNC);
	for (unsigned i = 100; i < 600; i++)
		put(f, "d1", i, "more");
	(void)publish(f);
	assert_int_equal(pl_seam_count_of(PL_CALL_SYNC), small);
}

static void every_file_is_synced_where_there_is_no_barrier(void **state)
{
	struct fixture *f = *state;

	if (f->store->fs.is_volatile)
		SKIP("nothing is durable here");
	pl_store_close(f->store);
	pl_seam_disable(PL_CAP_SYNCFS);
	f->store = open_store(f->s, "S");
	assert_non_null(f->store);
	fill(f, 2, 10);
	(void)publish(f);
	/* 20 files, 3 directories and as many nodes, and the names of all of them. */
	assert_true(pl_seam_count_of(PL_CALL_SYNC) >= 20 + 3 + 3);
}

static void nothing_is_synced_without_durability(void **state)
{
	struct fixture *f = *state;
	struct pleach_error error = PLEACH_ERROR_INIT;

	assert_int_equal(pl_values_set(&f->store->values, "durability", "none", &error), 0);
	assert_int_equal(pl_settings_resolve(&f->store->values, NULL, &f->store->settings, &error),
			 0);
	fill(f, 2, 3);
	(void)publish(f);
	assert_int_equal(pl_seam_count_of(PL_CALL_SYNC), 0);
}

static void unchanged_publish_changes_nothing_whatever_the_tree(void **state)
{
	struct fixture *f = *state;
	uint64_t small;

	fill(f, 2, 3);
	(void)publish(f);
	(void)publish(f);
	assert_true(publish(f).unchanged);
	small = pl_seam_count();
	for (unsigned i = 100; i < 400; i++)
		put(f, "d1", i, "more");
	(void)publish(f);
	(void)publish(f);
	assert_true(publish(f).unchanged);
	assert_int_equal(pl_seam_count(), small);
	assert_true(small < 40);
	print_message("# %u calls that change something\n", (unsigned)small);
}

static void first_publish_of_a_small_file_changes_little(void **state)
{
	struct fixture *f = *state;
	uint64_t after;

	fill(f, 1, 100);
	(void)publish(f);
	for (unsigned i = 1000; i < 1600; i++) {
		char text[16];

		(void)snprintf(text, sizeof(text), "%u", i);
		put(f, "d0", i, text);
	}
	(void)publish(f);
	after = pl_seam_count();
	/* Made, written, mode, mtime, claimed, named; up to 256 directories of objects/, by what hashes there are;
	 * and what the hundred that are there already, and the commit as such, cost. */
	print_message("# %u calls for 600 new files\n", (unsigned)after);
	assert_true(after < 600 * 6 + 256 + 100 + 300);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FIXTURE_TEST(changed_publish_has_four_sync_points),
		FIXTURE_TEST(the_journal_of_ext4_saves_the_second_round),
		FIXTURE_TEST(and_so_does_that_of_xfs),
		FIXTURE_TEST(syncs_do_not_grow_with_the_tree),
		FIXTURE_TEST(every_file_is_synced_where_there_is_no_barrier),
		FIXTURE_TEST(nothing_is_synced_without_durability),
		FIXTURE_TEST(unchanged_publish_changes_nothing_whatever_the_tree),
		FIXTURE_TEST(first_publish_of_a_small_file_changes_little),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
