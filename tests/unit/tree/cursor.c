/* The walk: its order, its steps, depth and width, and trees whose nodes do not say the truth. */
#include "tree/forge.h"

static struct memory_store store;
static struct pl_node_source source;
static struct pleach_error error;

static int setup(void **state)
{
	memory_store_init(&store);
	source = memory_store_source(&store);
	error = (struct pleach_error)PLEACH_ERROR_INIT;
	return 0;
}

static int teardown(void **state)
{
	memory_store_done(&store);
	return 0;
}

/* Walks to the end, or to the first error, which is the result. */
static int walk(const struct pl_id *root, bool with_groups, size_t *ret_steps)
{
	struct pl_cursor *cursor;
	int step;

	assert_int_equal(pl_cursor_new(&source, root, with_groups, 1, &cursor, &error), 0);
	for (*ret_steps = 0; (step = pl_cursor_next(cursor, &error)) > 0; ++*ret_steps)
		;
	pl_cursor_free(cursor);
	return step;
}

/* Each step as a letter and a path: '+' ENTER, '.' ENTRY, '-' LEAVE. Goes not into what is named `skip`. */
static void expect_steps(const struct pl_id *root, const char *skip, const char *expected)
{
	struct pl_buffer b = {0};
	struct pl_cursor *cursor;
	int step;

	assert_int_equal(pl_cursor_new(&source, root, true, 1, &cursor, &error), 0);
	while ((step = pl_cursor_next(cursor, &error)) > 0) {
		pl_buffer_add_format(&b, "%c%s ", " .+-"[step], pl_cursor_path(cursor));
		if (step == PL_STEP_ENTER && skip && strcmp(pl_cursor_path(cursor), skip) == 0)
			pl_cursor_skip(cursor);
	}
	assert_int_equal(step, PL_STEP_END);
	assert_int_equal(pl_cursor_next(cursor, &error), PL_STEP_END);
	assert_string_equal(pl_buffer_string(&b), expected);
	pl_cursor_free(cursor);
	pl_buffer_done(&b);
}

static void steps_are_those_of_a_depth_first_walk(void **state)
{
	struct pl_id id = memory_store_tree(&store, "f a/x 1\nd a/y\nf a.b 2\nf b/c/d 3\nl z t\n");

	expect_steps(&id, NULL, "+ +a .a/x +a/y -a/y -a .a.b +b +b/c .b/c/d -b/c -b .z - ");
}

static void empty_tree_is_entered_and_left(void **state)
{
	struct pl_id id = memory_store_tree(&store, "d .\n");

	expect_steps(&id, NULL, "+ - ");
}

static void skipped_directory_is_left_next(void **state)
{
	struct pl_id id = memory_store_tree(&store, "f a/x 1\nf a/y/z 1\nf b/c 3\ng a/x a/y/z\n");

	expect_steps(&id, "a", "+ +a -a +b .b/c -b - ");
	expect_steps(&id, "a/y", "+ +a .a/x +a/y -a/y -a +b .b/c -b - ");
	expect_steps(&id, "", "+ - ");
}

/* Passes by the directory of this name. */
static int pass_named(void *self, const struct pl_entry *entry, struct pleach_error *failed)
{
	const char *name = self;

	assert_int_equal(entry->kind, PLEACH_DIR);
	if (*name == '!')
		return pl_fail_memory(failed);
	return entry->name_length == strlen(name) &&
	       memcmp(entry->name, name, entry->name_length) == 0;
}

static void expect_passing(const struct pl_id *root, char *name, const char *expected)
{
	struct pl_buffer b = {0};
	struct pl_cursor *cursor;
	int step;

	assert_int_equal(pl_cursor_new(&source, root, true, 1, &cursor, &error), 0);
	pl_cursor_pass(cursor, pass_named, name);
	while ((step = pl_cursor_next(cursor, &error)) > 0)
		pl_buffer_add_format(&b, "%c%s ", " .+-"[step], pl_cursor_path(cursor));
	assert_int_equal(step, *name == '!' ? -ENOMEM : PL_STEP_END);
	assert_string_equal(pl_buffer_string(&b), expected);
	pl_cursor_free(cursor);
	pl_buffer_done(&b);
}

static void what_is_passed_by_is_not_read(void **state)
{
	struct pl_id id = memory_store_tree(&store, "f a/y 1\nf b/c 3\nf b/y/z 1\nd y\nd yy\n");
	struct pl_id gone;
	struct pl_found found;
	char y[] = "y", b[] = "b", none[] = "none", fails[] = "!";

	assert_int_equal(pl_lookup(&source, &id, "b/y", &found, &error), 0);
	gone = found.directory;
	pl_found_done(&found);
	expect_passing(&id, none, "+ +a .a/y -a +b .b/c +b/y .b/y/z -b/y -b +y -y +yy -yy - ");
	memory_store_forget(&store, &gone);
	expect_passing(&id, y, "+ +a .a/y -a +b .b/c -b +yy -yy - ");
	expect_passing(&id, b, "+ +a .a/y -a +y -y +yy -yy - ");
	expect_passing(&id, fails, "+ ");
}

static void entry_and_node_are_those_of_the_path(void **state)
{
	struct pl_id id = memory_store_tree(&store, "d a 0700\nd a/b 0711\nf a/b/c 1 0600\n");
	static const struct {
		int step, node_mode, entry; /* entry: kind, 0 for none */
	} expected[] = {
		{PL_STEP_ENTER, 0755, 0},   {PL_STEP_ENTER, 0700, 'd'}, {PL_STEP_ENTER, 0711, 'd'},
		{PL_STEP_ENTRY, 0711, 'f'}, {PL_STEP_LEAVE, 0711, 'd'}, {PL_STEP_LEAVE, 0700, 'd'},
		{PL_STEP_LEAVE, 0755, 0},
	};
	struct pl_cursor *cursor;

	assert_int_equal(pl_cursor_new(&source, &id, false, 1, &cursor, &error), 0);
	for (size_t i = 0; i < PL_ARRAY_LEN(expected); i++) {
		const struct pl_node *node;

		assert_int_equal(pl_cursor_next(cursor, &error), expected[i].step);
		node = pl_cursor_node(cursor);
		assert_int_equal(node->meta.mode, expected[i].node_mode);
		if (!expected[i].entry)
			continue;
		assert_int_equal(pl_cursor_entry(cursor)->kind, expected[i].entry);
		if (expected[i].entry == 'd')
			assert_true(pl_id_equal(&pl_cursor_entry(cursor)->hash, &node->id));
	}
	assert_int_equal(pl_cursor_next(cursor, &error), PL_STEP_END);
	pl_cursor_free(cursor);
}

static int compare_paths(const void *a, const void *b)
{
	return pl_path_compare(*(char *const *)a, *(char *const *)b);
}

/* A tree of names that meet '/' on both sides of it, from a seed. Only files end in "-f", so that none
 * is above another. */
static struct pl_id random_tree(unsigned seed, struct pl_strings *paths)
{
	static const char *const names[] = {"a", "a-b", "a.b", "a0", "aa", "b", "\x01", "a\xff"};
	struct pl_buffer text = {0}, path = {0};
	struct pl_id id;

	for (unsigned i = 0; i < 60; i++) {
		unsigned depth = 1 + (seed = seed * 1103515245 + 12345) / 65536 % 4;
		bool is_new = true;

		pl_buffer_truncate(&path, 0);
		for (unsigned level = 0; level < depth; level++) {
			const char *name;

			seed = seed * 1103515245 + 12345;
			name = names[seed / 65536 % PL_ARRAY_LEN(names)];
			pl_path_push(&path, name, strlen(name));
		}
		pl_buffer_add_string(&path, "-f");
		for (size_t n = 0; n < paths->n; n++)
			is_new = is_new && strcmp(paths->items[n], pl_buffer_string(&path)) != 0;
		if (!is_new)
			continue;
		assert_int_equal(pl_strings_add(paths, pl_buffer_string(&path)), 0);
		pl_buffer_add_format(&text, "f %s x\n", pl_buffer_string(&path));
	}
	id = memory_store_tree(&store, pl_buffer_string(&text));
	pl_buffer_done(&text);
	pl_buffer_done(&path);
	return id;
}

static void order_of_the_walk_is_that_of_whole_paths(void **state)
{
	for (unsigned seed = 1; seed <= 30; seed++) {
		struct pl_strings paths = {0};
		struct pl_id id = random_tree(seed, &paths);
		struct pl_buffer before = {0};
		struct pl_cursor *cursor;
		size_t n = 0;
		int step;

		qsort(paths.items, paths.n, sizeof(paths.items[0]), compare_paths);
		assert_int_equal(pl_cursor_new(&source, &id, false, 1, &cursor, &error), 0);
		while ((step = pl_cursor_next(cursor, &error)) > 0) {
			const char *path = pl_cursor_path(cursor);

			if (step == PL_STEP_LEAVE || !*path)
				continue;
			assert_true(pl_path_compare(pl_buffer_string(&before), path) < 0);
			pl_buffer_truncate(&before, 0);
			pl_buffer_add_string(&before, path);
			if (step == PL_STEP_ENTRY) {
				assert_true(n < paths.n);
				assert_string_equal(paths.items[n++], path);
			}
		}
		assert_int_equal(step, PL_STEP_END);
		assert_int_equal(n, paths.n);
		pl_cursor_free(cursor);
		pl_buffer_done(&before);
		pl_strings_done(&paths);
	}
}

static void groups_are_found_on_the_way(void **state)
{
	static const char text[] = "d . 0755\n"
				   "d a 0755\n"
				   "f a/1 x 0644\n"
				   "f a/2 x 0644\n"
				   "d a/b 0755\n"
				   "f a/b/3 y 0644\n"
				   "f a/b/4 y 0644\n"
				   "f a/b/5 z 0644\n"
				   "f c z 0644\n"
				   "p d 0600\n"
				   "p e 0600\n"
				   "g a/1 a/2\n"
				   "g a/b/3 a/b/4\n"
				   "g a/b/5 c\n"
				   "g d e\n";
	struct pl_id id = memory_store_tree(&store, text);

	memory_store_expect(&store, &id, text);
}

/* ---- depth and width ---- */

/* A chain of directories named "d", with a file in the last. */
static struct pl_id chain(size_t n_levels)
{
	struct pl_node_sink sink = memory_store_sink(&store);
	struct pl_meta meta = {.mode = 0755};
	struct pl_entry entry = {.kind = 'f', .name = "d", .name_length = 1, .meta = meta};
	struct pl_node_builder builder;
	struct pl_buffer bytes = {0};
	struct pl_id id;

	pl_node_builder_init(&builder);
	for (size_t i = 0; i <= n_levels; i++) {
		assert_int_equal(pl_node_builder_add(&builder, &entry), 0);
		assert_int_equal(pl_node_builder_end(&builder, &meta, NULL, &sink, &bytes, &id,
						     &entry.totals, &error),
				 0);
		memory_store_put(&store, bytes.data, bytes.length);
		entry.kind = 'd';
		entry.hash = id;
	}
	pl_buffer_done(&bytes);
	pl_node_builder_done(&builder);
	return id;
}

static void tree_of_2000_levels_is_walked(void **state)
{
	struct pl_id id = chain(2000);
	size_t steps;

	assert_int_equal(walk(&id, true, &steps), PL_STEP_END);
	assert_int_equal(steps, 2 * 2001 + 1);
}

static void deepest_tree_is_walked_and_one_level_more_is_refused(void **state)
{
	struct pl_id id = chain(PL_DEPTH_MAX);
	struct pl_totals too_deep = {.entries = PL_DEPTH_MAX + 1, .depth = PL_DEPTH_MAX};
	struct pl_buffer b = {0};
	size_t steps;

	assert_int_equal(walk(&id, false, &steps), PL_STEP_END);
	assert_int_equal(steps, 2 * (PL_DEPTH_MAX + 1) + 1);
	forge_head(&b, NULL, 0, 1);
	forge_directory(&b, "d", &id, &too_deep);
	id = forge_store(&store, &b);
	assert_int_equal(walk(&id, false, &steps), -EBADMSG);
	assert_non_null(strstr(error.message, "too deep"));
	assert_int_equal(steps, 0);
}

static void directory_of_200000_entries_is_walked(void **state)
{
	struct pl_buffer b = {0};
	struct pl_id id;
	char name[32];
	size_t steps;

	forge_head(&b, NULL, 0, 200000);
	for (unsigned i = 0; i < 200000; i++) {
		snprintf(name, sizeof(name), "%06u", i);
		forge_file(&b, name, i);
	}
	id = forge_store(&store, &b);
	assert_int_equal(walk(&id, true, &steps), PL_STEP_END);
	assert_int_equal(steps, 200002);
}

/* ---- trees that are not what they say ---- */

static void totals_that_are_not_true_are_refused_where_they_stand(void **state)
{
	struct pl_id id = memory_store_tree(&store, "f a/b/f xyz\nf a/g 1\nf a/h 1\ng a/g a/h\n");
	struct pl_node root = forge_read(&store, &id);
	struct pl_entry a;
	struct pl_buffer b = {0};
	size_t steps;

	assert_int_equal(pl_node_find(&root, "a", 1, &a), 1);
	for (size_t i = 0; i < 4; i++) {
		struct pl_totals lie = a.totals;

		lie.bytes += i == 1;
		lie.groups -= i == 2;
		lie.xattrs += i == 3;
		forge_head(&b, NULL, 0, 1);
		forge_directory(&b, "a", &a.hash, &lie);
		id = forge_store(&store, &b);
		for (size_t with_groups = 0; with_groups < 2; with_groups++) {
			error = (struct pleach_error)PLEACH_ERROR_INIT;
			assert_int_equal(walk(&id, with_groups, &steps), i ? -EBADMSG : 0);
			if (i > 0) {
				assert_int_equal(steps, 1);
				assert_string_equal(error.path, "a");
			}
		}
	}
	pl_node_done(&root);
}

static void root_whose_sums_cannot_be_is_refused(void **state)
{
	struct pl_totals huge = {.entries = UINT64_MAX};
	struct pl_buffer b = {0};
	struct pl_id id;
	size_t steps;

	forge_head(&b, NULL, 0, 1);
	forge_directory(&b, "a", &pl_hash_empty, &huge);
	id = forge_store(&store, &b);
	assert_int_equal(walk(&id, false, &steps), -EBADMSG);
	assert_int_equal(steps, 0);
}

static void node_that_is_missing_is_named_with_its_path(void **state)
{
	struct pl_id id = memory_store_tree(&store, "f a/b/f xyz\nf c 1\n");
	struct pl_found found;
	size_t steps;

	assert_int_equal(pl_lookup(&source, &id, "a/b", &found, &error), 0);
	memory_store_forget(&store, &found.directory);
	pl_found_done(&found);
	assert_int_equal(walk(&id, true, &steps), -ENOENT);
	assert_int_equal(error.code, PLEACH_NOT_FOUND);
	assert_string_equal(error.path, "a/b");
	assert_int_equal(steps, 2);
	memory_store_forget(&store, &id);
	assert_int_equal(walk(&id, true, &steps), -ENOENT);
	assert_int_equal(steps, 0);
}

static void every_read_that_fails_ends_the_walk(void **state)
{
	struct pl_id id =
		memory_store_tree(&store, "f a/b/f x\nf a/g x\ng a/b/f a/g\nf c 1\nf d 1\n"
					  "g c d\n");
	size_t n_reads, steps;

	for (size_t with_groups = 0; with_groups < 2; with_groups++) {
		n_reads = store.n_reads;
		store.fail_read_at = 0;
		assert_int_equal(walk(&id, with_groups, &steps), PL_STEP_END);
		n_reads = store.n_reads - n_reads;
		assert_int_equal(n_reads, 5); /* three nodes and two blocks, none of them twice */
		for (size_t i = 1; i <= n_reads; i++) {
			store.fail_read_at = store.n_reads + i;
			assert_int_equal(walk(&id, with_groups, &steps), -EIO);
		}
	}
}

static void walk_can_be_given_up_anywhere(void **state)
{
	struct pl_id id = memory_store_tree(&store, "f a/b/f x\nf a/g x\ng a/b/f a/g\nf c 1\n");
	struct pl_cursor *cursor;

	for (size_t n = 0; n < 12; n++) {
		assert_int_equal(pl_cursor_new(&source, &id, true, 1, &cursor, &error), 0);
		for (size_t i = 0; i < n; i++)
			assert_true(pl_cursor_next(cursor, &error) >= 0);
		pl_cursor_free(cursor);
	}
	pl_cursor_free(NULL);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(steps_are_those_of_a_depth_first_walk),
		CASE(empty_tree_is_entered_and_left),
		CASE(skipped_directory_is_left_next),
		CASE(what_is_passed_by_is_not_read),
		CASE(entry_and_node_are_those_of_the_path),
		CASE(order_of_the_walk_is_that_of_whole_paths),
		CASE(groups_are_found_on_the_way),
		CASE(tree_of_2000_levels_is_walked),
		CASE(deepest_tree_is_walked_and_one_level_more_is_refused),
		CASE(directory_of_200000_entries_is_walked),
		CASE(totals_that_are_not_true_are_refused_where_they_stand),
		CASE(root_whose_sums_cannot_be_is_refused),
		CASE(node_that_is_missing_is_named_with_its_path),
		CASE(every_read_that_fails_ends_the_walk),
		CASE(walk_can_be_given_up_anywhere),
	};

	return cmocka_run_group_tests_name("tree/cursor", tests, NULL, NULL);
}
