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

static struct pleach_publish_result publish(struct fixture *f)
{
	struct pleach_publish_options options = PLEACH_PUBLISH_OPTIONS_INIT;
	struct pleach_publish_result result = PLEACH_PUBLISH_RESULT_INIT;
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pleach_source source = {.kind = PLEACH_SOURCE_DIR};
	char path[4400];

	(void)snprintf(path, sizeof(path), "%s/src", f->s->path);
	source.spec = path;
	pl_seam_arm(&(struct pl_seam_plan){0});
	if (pl_publish_run(f->store, "site", &source, 1, &options, &result, &error) != 0)
		fail_msg("%s", error.message);
	return result;
}

static void changed_publish_has_four_sync_points(void **state)
{
	struct fixture *f = *state;

	if (!f->store->fs.has_syncfs_barrier)
		SKIP("needs a file system whose syncfs is a barrier");
	fill(f, 3, 5);
	(void)publish(f);
	put(f, "d1", 2, "changed");
	(void)publish(f);
	/* Data; names of objects, nodes and the tree; the record; the symlink. */
	assert_int_equal(pl_seam_count_of(PL_CALL_SYNC), 4);
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
		FIXTURE_TEST(syncs_do_not_grow_with_the_tree),
		FIXTURE_TEST(every_file_is_synced_where_there_is_no_barrier),
		FIXTURE_TEST(nothing_is_synced_without_durability),
		FIXTURE_TEST(unchanged_publish_changes_nothing_whatever_the_tree),
		FIXTURE_TEST(first_publish_of_a_small_file_changes_little),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
