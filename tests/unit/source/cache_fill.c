/*
 * A cache that is filled from the tree that a directory was made of: the first scan then reads what has
 * changed, all of it, and nothing else (G9).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/mman.h>

#include "source/fixture.h"
#include "source/source.h"

/* Scans src; with a base, by the cache kept in the scratch directory. */
static struct pl_scan_result scan(struct fixture *f, const struct pl_id *base, enum pl_rule rule)
{
	const struct pl_cache_place place = {.dirfd = f->s->fd, .name = "note"};
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pl_scan_result result;
	struct pl_txdir tx;
	struct pl_stage stage;
	struct pl_scan scan = {.store = f->store,
			       .stage = &stage,
			       .fd = f->src,
			       .label = "src",
			       .prefix = "",
			       .rule = rule,
			       .base = base,
			       .cache = &place,
			       .use_cache = base != NULL};

	assert_int_equal(pl_txdir_begin(f->store, "test", &tx, &error), 0);
	assert_int_equal(pl_stage_begin(f->store, &tx, PL_STAGE_POOL, &stage, &error), 0);
	if (pl_scan_run(&scan, &result, &error) != 0)
		fail_msg("%s", error.message);
	assert_int_equal(pl_stage_name(&stage, &error), 0);
	pl_stage_end(&stage);
	pl_txdir_end(&tx);
	return result;
}

static void fill(struct fixture *f, const struct pl_id *base, enum pl_rule rule)
{
	const struct pl_cache_place place = {.dirfd = f->s->fd, .name = "note"};
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pl_txdir tx;

	assert_int_equal(pl_txdir_begin(f->store, "test", &tx, &error), 0);
	if (pl_cache_fill(f->store, &tx, f->src, base, rule, &place, &error) != 0)
		fail_msg("%s", error.message);
	pl_txdir_end(&tx);
}

/* Names in an order in which bytes and paths disagree, a group, and what is no file. */
static struct pl_id fill_source(struct fixture *f)
{
	assert_int_equal(mkdirat(f->src, "d", 0755), 0);
	assert_int_equal(mkdirat(f->src, "d/e", 0755), 0);
	fixture_put(f, "a", "one");
	fixture_put(f, "d/e/x", "two");
	fixture_put(f, "d.x", "three");
	fixture_put(f, "d/z", "four");
	fixture_put(f, "empty", "");
	assert_int_equal(linkat(f->src, "d/z", f->src, "group", 0), 0);
	assert_int_equal(symlinkat("a", f->src, "link"), 0);
	return scan(f, NULL, PL_RULE_EXACT).tree;
}

static void nothing_is_read_where_nothing_has_changed_G9(void **state)
{
	struct fixture *f = *state;
	struct pl_id tree = fill_source(f);
	struct pl_scan_result result;

	let_it_age(f->s->fd);
	fill(f, &tree, PL_RULE_EXACT);
	result = scan(f, &tree, PL_RULE_EXACT);
	assert_int_equal(result.files_read, 0);
	assert_int_equal(result.files_cached, 6);
	assert_true(pl_id_equal(&result.tree, &tree));
	/* The store's own cache is not touched by one that has a place. */
	assert_int_equal(count_names(f->store->cache_fd, "."), 1); /* the reserve */
}

static void only_what_has_changed_is_read_G9(void **state)
{
	struct fixture *f = *state;
	struct pl_id tree = fill_source(f);
	struct pl_scan_result result, plain;
	struct stat st;

	let_it_age(f->s->fd);
	fill(f, &tree, PL_RULE_EXACT);
	assert_int_equal(fstatat(f->src, "a", &st, 0), 0);
	fixture_put(f, "a", "ONE");
	assert_int_equal(utimensat(f->src, "a", (struct timespec[2]){st.st_atim, st.st_mtim}, 0),
			 0);
	fixture_put(f, "new", "five");
	assert_int_equal(fchmodat(f->src, "d/e/x", 0600, 0), 0);
	result = scan(f, &tree, PL_RULE_EXACT);
	assert_int_equal(result.files_read, 3);
	plain = scan(f, NULL, PL_RULE_EXACT);
	assert_true(pl_id_equal(&result.tree, &plain.tree));
	assert_false(pl_id_equal(&result.tree, &tree));
}

/* As near in time as it gets, and as like as it gets: the cache must not hide it. */
static void a_change_within_the_tick_of_the_filling_is_seen(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < 50; i++) {
		struct pl_scan_result result, plain;
		struct pl_id tree;
		struct stat st;
		char text[8];
		int fd;

		(void)snprintf(text, sizeof(text), "%05u", i);
		fixture_put(f, "a", text);
		tree = scan(f, NULL, PL_RULE_EXACT).tree;
		assert_int_equal(fstatat(f->src, "a", &st, 0), 0);
		fill(f, &tree, PL_RULE_EXACT);
		fd = openat(f->src, "a", O_WRONLY | O_CLOEXEC);
		assert_int_equal(pwrite(fd, "X", 1, 0), 1);
		assert_int_equal(futimens(fd, (struct timespec[2]){st.st_atim, st.st_mtim}), 0);
		close(fd);
		result = scan(f, &tree, PL_RULE_EXACT);
		plain = scan(f, NULL, PL_RULE_EXACT);
		assert_true(pl_id_equal(&result.tree, &plain.tree));
		assert_false(pl_id_equal(&result.tree, &tree));
	}
}

static void what_is_not_as_the_tree_has_it_is_read(void **state)
{
	struct fixture *f = *state;
	struct pl_id tree = fill_source(f);
	struct pl_scan_result result, plain;

	fixture_put(f, "a", "longer");
	assert_int_equal(unlinkat(f->src, "d.x", 0), 0);
	assert_int_equal(unlinkat(f->src, "d/e/x", 0), 0);
	assert_int_equal(unlinkat(f->src, "d/e", AT_REMOVEDIR), 0);
	fixture_put(f, "d/e", "a file now");
	let_it_age(f->s->fd);
	fill(f, &tree, PL_RULE_EXACT);
	result = scan(f, &tree, PL_RULE_EXACT);
	assert_int_equal(result.files_read, 2);
	plain = scan(f, NULL, PL_RULE_EXACT);
	assert_true(pl_id_equal(&result.tree, &plain.tree));
}

/* A cache of one rule is of no use to another, and entries without an owner none to `exact`. */
static void by_another_rule_all_is_read(void **state)
{
	struct fixture *f = *state;
	struct pl_id exact = fill_source(f), portable;
	struct pl_scan_result result;

	portable = scan(f, NULL, PL_RULE_PORTABLE).tree;
	let_it_age(f->s->fd);
	fill(f, &exact, PL_RULE_PORTABLE);
	result = scan(f, &portable, PL_RULE_PORTABLE);
	assert_int_equal(result.files_read, 0);
	assert_true(pl_id_equal(&result.tree, &portable));
	result = scan(f, &exact, PL_RULE_EXACT);
	assert_int_equal(result.files_read, 6);
	fill(f, &portable, PL_RULE_EXACT);
	result = scan(f, &exact, PL_RULE_EXACT);
	assert_int_equal(result.files_read, 6);
	assert_true(pl_id_equal(&result.tree, &exact));
}

/* Where pl_cache_is_sound() says so, a write through a mapping gives a new ctime. */
static void a_write_through_a_mapping_is_seen(void **state)
{
	struct fixture *f = *state;
	struct pl_id tree = fill_source(f);
	struct pl_scan_result result;
	volatile char *map;
	int fd;

	if (!pl_cache_is_sound(f->src))
		SKIP("the temporary directory is no place for a cache");
	let_it_age(f->s->fd);
	fd = openat(f->src, "a", O_RDWR | O_CLOEXEC);
	map = mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	assert_true(map != MAP_FAILED);
	assert_true(map[0] == 'o'); /* mapped by reading, as some file systems then see no write */
	fill(f, &tree, PL_RULE_EXACT);
	map[0] = 'X';
	assert_int_equal(munmap((void *)map, 1), 0);
	result = scan(f, &tree, PL_RULE_EXACT);
	assert_int_equal(result.files_read, 1);
	assert_false(pl_id_equal(&result.tree, &tree));
}

/* And where times do not tell, it says so. */
static void memory_is_no_place_for_a_cache(void **state)
{
	int fd = open("/dev/shm", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct pl_fs fs;

	(void)state;
	if (fd < 0 || pl_fs_probe(fd, &fs) < 0 || strcmp(fs.name, "tmpfs") != 0)
		SKIP("no tmpfs");
	assert_false(pl_cache_is_sound(fd));
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FIXTURE_TEST(nothing_is_read_where_nothing_has_changed_G9),
		FIXTURE_TEST(only_what_has_changed_is_read_G9),
		FIXTURE_TEST(a_change_within_the_tick_of_the_filling_is_seen),
		FIXTURE_TEST(what_is_not_as_the_tree_has_it_is_read),
		FIXTURE_TEST(by_another_rule_all_is_read),
		FIXTURE_TEST(a_write_through_a_mapping_is_seen),
		FIXTURE_TEST(memory_is_no_place_for_a_cache),
	};

	return cmocka_run_group_tests_name("source/cache_fill", tests, NULL, NULL);
}
