/* What is at one path, and how many links it has. */
#include "tree/forge.h"

static struct memory_store store;
static struct pl_node_source source;
static struct pl_id root;
static struct pleach_error error;

static int setup(void **state)
{
	memory_store_init(&store);
	source = memory_store_source(&store);
	error = (struct pleach_error)PLEACH_ERROR_INIT;
	root = memory_store_tree(&store, "f a/b/c hello 0600\nf a/d hello 0600\nf a/e x\nf f x\n"
					 "l a/b/l c\nd g\nf a/b/1 y\nf a/b/2 y\nf a/b/3 y\n"
					 "g a/b/c a/d\ng a/e f\ng a/b/1 a/b/2 a/b/3\n");
	return 0;
}

static int teardown(void **state)
{
	memory_store_done(&store);
	return 0;
}

static void root_is_found_by_no_path_and_by_an_empty_one(void **state)
{
	static const char *const paths[] = {NULL, ""};

	for (size_t i = 0; i < PL_ARRAY_LEN(paths); i++) {
		struct pl_found found;
		uint64_t links;

		assert_int_equal(pl_lookup(&source, &root, paths[i], &found, &error), 0);
		assert_true(found.is_root && found.is_dir);
		assert_true(pl_id_equal(&found.directory, &root));
		pl_found_done(&found);
		assert_int_equal(pl_lookup_links(&source, &root, paths[i], &links, &error), 0);
		assert_int_equal(links, 1);
	}
}

static void everything_is_found_by_its_path(void **state)
{
	struct pl_found found;

	assert_int_equal(pl_lookup(&source, &root, "a/b/c", &found, &error), 0);
	assert_false(found.is_root || found.is_dir);
	assert_int_equal(found.entry.kind, 'f');
	assert_int_equal(found.entry.size, 5);
	assert_int_equal(found.entry.meta.mode, 0600);
	assert_int_equal(found.parent.n_entries, 5);
	pl_found_done(&found);
	assert_int_equal(pl_lookup(&source, &root, "a/b", &found, &error), 0);
	assert_true(found.is_dir && !found.is_root);
	assert_true(pl_id_equal(&found.directory, &found.entry.hash));
	assert_int_equal(found.entry.totals.groups, 1);
	pl_found_done(&found);
	assert_int_equal(pl_lookup(&source, &root, "f", &found, &error), 0);
	assert_true(pl_id_equal(&found.parent.id, &root));
	pl_found_done(&found);
	assert_int_equal(pl_lookup(&source, &root, "a/b/l", &found, &error), 0);
	assert_memory_equal(found.entry.target, "c", 1);
	pl_found_done(&found);
}

static void what_is_not_there_is_not_found(void **state)
{
	static const char *const paths[] = {"x", "a/x", "a/b/c/d", "f/x", "a/b/l/x", "g/x", "A"};
	struct pl_found found = {.is_root = true};
	uint64_t links = 42;

	for (size_t i = 0; i < PL_ARRAY_LEN(paths); i++) {
		error = (struct pleach_error)PLEACH_ERROR_INIT;
		assert_int_equal(pl_lookup(&source, &root, paths[i], &found, &error), -ENOENT);
		assert_int_equal(error.code, PLEACH_NOT_FOUND);
		assert_non_null(strstr(error.message, paths[i]));
		assert_string_equal(error.path, paths[i]);
		assert_int_equal(pl_lookup_links(&source, &root, paths[i], &links, &error),
				 -ENOENT);
	}
	assert_true(found.is_root);
	assert_int_equal(links, 42);
}

static void what_is_no_path_is_a_mistake_of_the_caller(void **state)
{
	static const char *const paths[] = {"/", "/a", "a/", "a//b", ".", "a/../f", "./a"};
	struct pl_found found;

	for (size_t i = 0; i < PL_ARRAY_LEN(paths); i++) {
		assert_int_equal(pl_lookup(&source, &root, paths[i], &found, &error), -EINVAL);
		assert_int_equal(error.code, PLEACH_USAGE);
	}
}

static void links_are_the_members_of_the_group(void **state)
{
	static const struct {
		const char *path;
		uint64_t links;
	} expected[] = {{"a/b/c", 2}, {"a/d", 2}, {"a/e", 2}, {"f", 2},	   {"a/b/1", 3},
			{"a/b/3", 3}, {"a", 1},	  {"g", 1},   {"a/b/l", 1}};

	for (size_t i = 0; i < PL_ARRAY_LEN(expected); i++) {
		uint64_t links;

		assert_int_equal(pl_lookup_links(&source, &root, expected[i].path, &links, &error),
				 0);
		assert_int_equal(links, expected[i].links);
	}
}

static void every_read_that_fails_fails_the_lookup(void **state)
{
	struct pl_found found;
	uint64_t links;

	for (size_t i = 1; i <= 3; i++) {
		store.fail_read_at = store.n_reads + i;
		assert_int_equal(pl_lookup(&source, &root, "a/b/c", &found, &error), -EIO);
	}
	for (size_t i = 1; i <= 6; i++) { /* the blocks of all three as well */
		store.fail_read_at = store.n_reads + i;
		assert_int_equal(pl_lookup_links(&source, &root, "a/b/1", &links, &error), -EIO);
	}
	assert_int_equal(pl_lookup(&source, &root, "a/b/c", &found, &error), 0);
	pl_found_done(&found);
}

static void directory_in_a_group_is_refused(void **state)
{
	struct pl_totals none = {0};
	struct pl_buffer b = {0};
	struct pl_id id;
	uint64_t links;

	forge_block(&b, "a d", 1);
	id = forge_store(&store, &b);
	forge_head(&b, &id, 1, 2);
	forge_file(&b, "a", 1);
	forge_directory(&b, "d", &pl_hash_empty, &none);
	id = forge_store(&store, &b);
	assert_int_equal(pl_lookup_links(&source, &id, "d", &links, &error), -EBADMSG);
	assert_int_equal(pl_lookup_links(&source, &id, "a", &links, &error), 0);
	assert_int_equal(links, 2);
}

static void the_group_of_a_path_is_all_its_names_from_the_root(void **state)
{
	static const struct {
		const char *path, *names;
	} expected[] = {{"a/b/c", "a/b/c a/d"},
			{"a/d", "a/b/c a/d"},
			{"f", "a/e f"},
			{"g", "g"},
			{"a/b/l", "a/b/l"},
			{"a", "a"},
			{"", ""},
			{"a/b/2", "a/b/1 a/b/2 a/b/3"}};

	for (size_t i = 0; i < PL_ARRAY_LEN(expected); i++) {
		struct pl_strings paths = {0};
		PL_BUFFER names = {0};

		assert_int_equal(pl_strings_add(&paths, "before"), 0);
		assert_int_equal(pl_lookup_group(&source, &root, expected[i].path, &paths, &error),
				 0);
		assert_string_equal(paths.items[0], "before");
		for (size_t k = 1; k < paths.n; k++)
			pl_buffer_add_format(&names, "%s%s", k > 1 ? " " : "", paths.items[k]);
		assert_string_equal(pl_buffer_string(&names), expected[i].names);
		pl_strings_done(&paths);
	}
}

static void the_group_of_what_is_not_there_is_not_found(void **state)
{
	struct pl_strings paths = {0};

	assert_int_equal(pl_lookup_group(&source, &root, "a/b/x", &paths, &error), -ENOENT);
	assert_int_equal(error.code, PLEACH_NOT_FOUND);
	assert_int_equal(pl_lookup_group(&source, &root, "a//b", &paths, &error), -EINVAL);
	for (size_t i = 1; i <= 6; i++) {
		store.fail_read_at = store.n_reads + i;
		assert_int_equal(pl_lookup_group(&source, &root, "a/b/1", &paths, &error), -EIO);
	}
	assert_int_equal(paths.n, 0);
}

static void path_in_groups_of_two_directories_is_refused(void **state)
{
	struct pl_strings paths = {0};
	struct pl_totals totals = {.entries = 2, .files = 2, .bytes = 2, .groups = 1};
	struct pl_buffer b = {0};
	struct pl_id id, below;
	uint64_t links;

	forge_block(&b, "x y", 1);
	id = forge_store(&store, &b);
	forge_head(&b, &id, 1, 2);
	forge_file(&b, "x", 1);
	forge_file(&b, "y", 1);
	id = forge_store(&store, &b);
	below = id;
	forge_block(&b, "a d/x", 1);
	id = forge_store(&store, &b);
	forge_head(&b, &id, 1, 2);
	forge_file(&b, "a", 1);
	forge_directory(&b, "d", &below, &totals);
	id = forge_store(&store, &b);
	assert_int_equal(pl_lookup_group(&source, &id, "d/x", &paths, &error), -EBADMSG);
	assert_int_equal(error.code, PLEACH_CORRUPT);
	assert_int_equal(pl_lookup_links(&source, &id, "d/x", &links, &error), -EBADMSG);
	assert_int_equal(paths.n, 0);
	assert_int_equal(pl_lookup_group(&source, &id, "d/y", &paths, &error), 0);
	assert_int_equal(paths.n, 2);
	pl_strings_done(&paths);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(root_is_found_by_no_path_and_by_an_empty_one),
		CASE(everything_is_found_by_its_path),
		CASE(what_is_not_there_is_not_found),
		CASE(what_is_no_path_is_a_mistake_of_the_caller),
		CASE(links_are_the_members_of_the_group),
		CASE(every_read_that_fails_fails_the_lookup),
		CASE(directory_in_a_group_is_refused),
		CASE(the_group_of_a_path_is_all_its_names_from_the_root),
		CASE(the_group_of_what_is_not_there_is_not_found),
		CASE(path_in_groups_of_two_directories_is_refused),
	};

	return cmocka_run_group_tests_name("tree/lookup", tests, NULL, NULL);
}
