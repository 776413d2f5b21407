/* Building nodes: order, names that stand twice, limits, totals, and many entries. */
#include "tree/forge.h"

#include <malloc.h>

static struct memory_store store;
static struct pl_node_source source;
static struct pl_node_sink sink;
static struct pl_node_builder builder;
static struct pleach_error error;

static const struct pl_meta own = {.mode = 0755, .uid = PLEACH_NO_OWNER, .gid = PLEACH_NO_OWNER};

static int setup(void **state)
{
	memory_store_init(&store);
	source = memory_store_source(&store);
	sink = memory_store_sink(&store);
	pl_node_builder_init(&builder);
	error = (struct pleach_error)PLEACH_ERROR_INIT;
	return 0;
}

static int teardown(void **state)
{
	pl_node_builder_done(&builder);
	memory_store_done(&store);
	return 0;
}

static struct pl_entry file(const char *name, uint64_t size)
{
	return (struct pl_entry){
		.kind = 'f',
		.name = name,
		.name_length = (uint8_t)strlen(name),
		.meta = {.mode = 0644, .uid = PLEACH_NO_OWNER, .gid = PLEACH_NO_OWNER},
		.size = size,
		.hash = pl_hash_empty,
	};
}

static void add(const char *name)
{
	struct pl_entry e = file(name, 1);

	assert_int_equal(pl_node_builder_add(&builder, &e), 0);
}

/* Ends the node and stores it. */
static struct pl_id end(struct pl_groups *groups, struct pl_totals *ret_totals)
{
	struct pl_buffer bytes = {0};
	struct pl_id id, stored;

	assert_int_equal(pl_node_builder_end(&builder, &own, groups, &sink, &bytes, &id, ret_totals,
					     &error),
			 0);
	stored = forge_store(&store, &bytes);
	assert_true(pl_id_equal(&id, &stored));
	return id;
}

static void entries_in_any_order_make_one_node(void **state)
{
	static const char *const names[] = {"a", "a.b", "aa", "b", "\xff"};
	static const unsigned orders[][5] = {{0, 1, 2, 3, 4},
					     {4, 3, 2, 1, 0},
					     {2, 0, 1, 4, 3},
					     {0, 1, 2, 4, 3},
					     {1, 0, 2, 3, 4}};
	struct pl_id first = {{0}}, id;
	struct pl_totals totals;

	for (size_t i = 0; i < PL_ARRAY_LEN(orders); i++) {
		for (size_t n = 0; n < PL_ARRAY_LEN(names); n++)
			add(names[orders[i][n]]);
		id = end(NULL, &totals);
		if (i == 0)
			first = id;
		assert_true(pl_id_equal(&id, &first));
	}
}

static void name_that_stands_twice_is_refused_and_named(void **state)
{
	struct pl_totals totals = {.entries = 42};
	struct pl_buffer bytes = {0};
	struct pl_id id;

	for (unsigned i = 0; i < 2; i++) {
		add("a");
		add(i ? "b" : "twice");
		add("twice");
		add(i ? "twice" : "z");
		assert_int_equal(pl_node_builder_end(&builder, &own, NULL, &sink, &bytes, &id,
						     &totals, &error),
				 -EEXIST);
		assert_non_null(strstr(error.message, "twice"));
		assert_int_equal(totals.entries, 42);
		/* It is empty now, and of use again. */
		add("twice");
		end(NULL, &totals);
		assert_int_equal(totals.entries, 1);
		totals.entries = 42;
	}
	pl_buffer_done(&bytes);
}

static void empty_directory_has_a_node(void **state)
{
	struct pl_groups none = {0};
	struct pl_totals totals;
	struct pl_id without = end(NULL, &totals), with = end(&none, &totals);
	struct pl_node node = forge_read(&store, &with);

	assert_true(pl_id_equal(&with, &without));
	assert_int_equal(node.n_entries, 0);
	assert_int_equal(node.n_blocks, 0);
	assert_int_equal(store.n_writes, 0);
	assert_int_equal(totals.entries, 0);
	assert_int_equal(totals.depth, 0);
	pl_node_done(&node);
}

static void entry_that_overflows_is_refused_and_leaves_no_trace(void **state)
{
	struct pl_entry big = file("big", UINT64_MAX), deep = file("deep", 0);
	struct pl_totals totals;
	struct pl_id id, expected;
	struct pl_node node;

	deep.kind = 'd';
	deep.totals = (struct pl_totals){.entries = PL_DEPTH_MAX, .depth = PL_DEPTH_MAX};
	add("a");
	expected = end(NULL, &totals);
	add("a");
	assert_int_equal(pl_node_builder_add(&builder, &big), -EOVERFLOW);
	assert_int_equal(pl_node_builder_add(&builder, &deep), -EOVERFLOW);
	id = end(NULL, &totals);
	assert_true(pl_id_equal(&id, &expected));
	assert_int_equal(totals.bytes, 1);
	deep.totals.depth--;
	deep.totals.entries--;
	assert_int_equal(pl_node_builder_add(&builder, &deep), 0);
	id = end(NULL, &totals);
	assert_int_equal(totals.depth, PL_DEPTH_MAX);
	node = forge_read(&store, &id);
	pl_node_done(&node);
}

/* The limits are reached by setting what has been added: pages that nobody touches cost nothing. */
static void too_many_entries_and_too_many_bytes_are_refused(void **state)
{
	struct pl_entry e = file("a", 1);
	struct pl_totals totals;
	size_t length = PL_NODE_SIZE_MAX - 10;

	builder.n = PL_NODE_ENTRIES_MAX;
	assert_int_equal(pl_node_builder_add(&builder, &e), -EOVERFLOW);
	builder.n = 0;
	assert_non_null(pl_buffer_reserve(&builder.bodies, length + 1000));
	builder.bodies.length = length;
	assert_int_equal(pl_node_builder_add(&builder, &e), -EOVERFLOW);
	assert_int_equal(builder.bodies.length, length);
	assert_int_equal(builder.n, 0);
	builder.bodies.length = 0;
	end(NULL, &totals);
	assert_int_equal(totals.entries, 0);
}

static void totals_of_the_builder_are_those_of_the_node(void **state)
{
	struct pl_id id =
		memory_store_tree(&store, "d . x:user.overlay.redirect=abc\nf a 1\nf b 1\n"
					  "g a b\nf c/d/e xx\nc z 0 0\nb y 1 1\n");
	struct pl_node node = forge_read(&store, &id);
	struct pl_groups groups = {0};
	struct pl_totals built, summed;
	struct pl_buffer bytes = {0};
	struct pl_entry e;
	size_t cursor = 0;

	while (pl_node_next(&node, &cursor, &e) > 0)
		assert_int_equal(pl_node_builder_add(&builder, &e), 0);
	assert_int_equal(pl_groups_read(&source, &node, &groups, &error), 0);
	assert_int_equal(pl_node_builder_end(&builder, &node.meta, &groups, &sink, &bytes, &id,
					     &built, &error),
			 0);
	assert_true(pl_id_equal(&id, &node.id));
	assert_int_equal(pl_node_totals(&source, &node, &summed, &error), 0);
	assert_int_equal(pl_node_check_totals(&source, &node, &built, &error), 0);
	assert_int_equal(summed.groups, 1);
	assert_int_equal(summed.oddities, 7);
	assert_int_equal(summed.xattrs, 1 + 21 + 4 + 3);
	pl_buffer_done(&bytes);
	pl_groups_done(&groups);
	pl_node_done(&node);
}

static void groups_go_to_the_sink_and_their_ids_into_the_node(void **state)
{
	struct pl_groups groups = {0}, read;
	struct pl_totals totals;
	struct pl_node node;
	struct pl_id id;

	assert_int_equal(pl_groups_begin(&groups), 0);
	assert_int_equal(pl_groups_add(&groups, "z"), 0);
	assert_int_equal(pl_groups_add(&groups, "a"), 0);
	add("z");
	add("a");
	id = end(&groups, &totals);
	assert_int_equal(store.n_writes, 1);
	assert_int_equal(totals.groups, 1);
	node = forge_read(&store, &id);
	assert_int_equal(node.n_blocks, 1);
	assert_int_equal(pl_groups_read(&source, &node, &read, &error), 0);
	assert_string_equal(pl_groups_path(&read, 0, 0), "a");
	assert_string_equal(pl_groups_path(&read, 0, 1), "z");
	pl_groups_done(&read);
	pl_groups_done(&groups);
	pl_node_done(&node);
}

static void sink_that_fails_fails_the_end(void **state)
{
	struct pl_groups groups = {0};
	struct pl_buffer bytes = {0};
	struct pl_totals totals;
	struct pl_id id;

	assert_int_equal(pl_groups_begin(&groups), 0);
	assert_int_equal(pl_groups_add(&groups, "a"), 0);
	assert_int_equal(pl_groups_add(&groups, "b"), 0);
	add("a");
	add("b");
	store.fail_write_at = 1;
	assert_int_equal(pl_node_builder_end(&builder, &own, &groups, &sink, &bytes, &id, &totals,
					     &error),
			 -EIO);
	end(NULL, &totals);
	assert_int_equal(totals.entries, 0);
	pl_groups_done(&groups);
	pl_buffer_done(&bytes);
}

static void bytes_are_emptied_first(void **state)
{
	struct pl_buffer bytes = {0};
	struct pl_totals totals;
	struct pl_id id, expected;

	add("a");
	expected = end(NULL, &totals);
	pl_buffer_add_string(&bytes, "something of before");
	add("a");
	assert_int_equal(
		pl_node_builder_end(&builder, &own, NULL, &sink, &bytes, &id, &totals, &error), 0);
	assert_true(pl_id_equal(&id, &expected));
	pl_buffer_done(&bytes);
	/* Memory had run out before: that is over. */
	bytes.failed = true;
	add("a");
	assert_int_equal(
		pl_node_builder_end(&builder, &own, NULL, &sink, &bytes, &id, &totals, &error), 0);
	assert_true(pl_id_equal(&id, &expected));
	pl_buffer_done(&bytes);
}

/* Added in an order that is far from sorted: i * 7919 runs through all of them. */
static void directory_of_200000_entries_is_built_and_read(void **state)
{
	enum { N = 200000 };
	struct pl_totals totals;
	struct pl_node node;
	struct pl_entry e;
	struct pl_id id;
	size_t cursor = 0, n = 0;
	char name[32];

	for (size_t i = 0; i < N; i++) {
		snprintf(name, sizeof(name), "file-%08zu", i * 7919 % N);
		add(name);
	}
	/* Beside the bytes, 24 an entry are the promise, a capacity of the double size included. */
	assert_true(builder.capacity * 8 <= N * 24);
	id = end(NULL, &totals);
	assert_int_equal(totals.entries, N);
	node = forge_read(&store, &id);
	while (pl_node_next(&node, &cursor, &e) > 0) {
		snprintf(name, sizeof(name), "file-%08zu", n++);
		assert_memory_equal(e.name, name, e.name_length);
	}
	assert_int_equal(n, N);
	pl_node_done(&node);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(entries_in_any_order_make_one_node),
		CASE(name_that_stands_twice_is_refused_and_named),
		CASE(empty_directory_has_a_node),
		CASE(entry_that_overflows_is_refused_and_leaves_no_trace),
		CASE(too_many_entries_and_too_many_bytes_are_refused),
		CASE(totals_of_the_builder_are_those_of_the_node),
		CASE(groups_go_to_the_sink_and_their_ids_into_the_node),
		CASE(sink_that_fails_fails_the_end),
		CASE(bytes_are_emptied_first),
		CASE(directory_of_200000_entries_is_built_and_read),
	};

	/* Gibibytes that nobody touches cost nothing, unless each is filled for the sake of tests. */
	mallopt(M_PERTURB, 0);
	return cmocka_run_group_tests_name("tree/build", tests, NULL, NULL);
}
