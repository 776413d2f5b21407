/* Which group is a path in: levels, numbers (M3), and that no path is in two groups (M2). */
#include "tree/forge.h"
#include "tree/inner.h"

static struct memory_store store;
static struct pl_node_source source;
static struct pl_membership *m;
static struct pleach_error error;

static int setup(void **state)
{
	memory_store_init(&store);
	source = memory_store_source(&store);
	error = (struct pleach_error)PLEACH_ERROR_INIT;
	return pl_membership_new(&source, 1, &m, &error);
}

static int teardown(void **state)
{
	pl_membership_free(m);
	memory_store_done(&store);
	return 0;
}

/* Pushes a directory with these groups (as forge_block() has them), or with none. */
static int push(const char *path, const char *groups, uint32_t n_groups)
{
	struct pl_buffer b = {0};
	struct pl_node node;
	struct pl_id id;
	int r;

	if (groups) {
		forge_block(&b, groups, n_groups);
		id = forge_store(&store, &b);
	}
	forge_head(&b, &id, groups != NULL, 0);
	id = forge_store(&store, &b);
	node = forge_read(&store, &id);
	r = pl_membership_push(m, path, &node, &error);
	pl_node_done(&node); /* nothing of it is needed any more */
	return r;
}

/* The members of the path's group, with spaces between; "" if it is in none. */
static void expect_members(const char *path, const char *expected)
{
	struct pl_membership_group group;
	struct pl_buffer b = {0};

	if (pl_membership_find(m, path, &group)) {
		for (size_t i = 0; i < group.n_members; i++) {
			if (i > 0)
				pl_buffer_add_u8(&b, ' ');
			pl_membership_member(&group, i, &b);
		}
	}
	assert_string_equal(pl_buffer_string(&b), expected);
	pl_buffer_done(&b);
}

static uint64_t number_of(const char *path)
{
	struct pl_membership_group group;

	assert_true(pl_membership_find(m, path, &group));
	return group.number;
}

static void members_of_all_levels_are_found_by_their_path_from_the_root(void **state)
{
	assert_int_equal(push("", "a/x b|c d/e", 2), 0);
	assert_int_equal(push("d", NULL, 0), 0);
	assert_int_equal(push("d/f", "1 g/2|3 4 5", 2), 0);
	expect_members("a/x", "a/x b");
	expect_members("b", "a/x b");
	expect_members("d/e", "c d/e");
	expect_members("d/f/g/2", "d/f/1 d/f/g/2");
	expect_members("d/f/4", "d/f/3 d/f/4 d/f/5");
	expect_members("a", "");
	expect_members("1", "");
	expect_members("d/f", "");
	expect_members("d/f1", "");
	expect_members("d/f.1", "");
	expect_members("d/e/", "");
}

/* What of groups of directories above lies below `path`, with the number of members of its group. */
static void expect_below(const char *path, const char *expected)
{
	struct pl_membership_below below = {0};
	struct pl_membership_group group, found;
	struct pl_buffer b = {0}, member = {0};
	int r;

	while ((r = pl_membership_next_below(m, path, &below, &group, &member)) == 1) {
		assert_true(pl_membership_find(m, pl_buffer_string(&member), &found));
		assert_int_equal(found.number, group.number);
		assert_int_equal(found.n_members, group.n_members);
		pl_buffer_add_format(&b, "%s%s", b.length > 0 ? " " : "",
				     pl_buffer_string(&member));
	}
	assert_int_equal(r, 0);
	assert_string_equal(pl_buffer_string(&b), expected);
	pl_buffer_done(&b);
	pl_buffer_done(&member);
}

static void names_below_a_directory_are_those_of_groups_above_it(void **state)
{
	expect_below("a", "");
	assert_int_equal(push("", "a.d/1 a/b/c/d|a/b.c q|a/b/x z|a/c w", 4), 0);
	expect_below("a", "a/b.c a/b/c/d a/b/x a/c");
	expect_below("a.d", "a.d/1");
	expect_below("z", ""); /* itself is not below it */
	expect_below("b", "");
	assert_int_equal(push("a", "b/1 e|b/p f", 2), 0);
	/* Of its own groups none is above it. */
	expect_below("a", "a/b.c a/b/c/d a/b/x a/c");
	expect_below("a/b", "a/b/c/d a/b/x a/b/1 a/b/p");
	assert_int_equal(push("a/b", "i j", 1), 0);
	expect_below("a/b", "a/b/c/d a/b/x a/b/1 a/b/p");
	expect_below("a/b/c", "a/b/c/d");
	pl_membership_pop(m);
	pl_membership_pop(m);
	expect_below("a/b", "a/b/c/d a/b/x");
}

static void members_share_a_number_and_groups_do_not(void **state)
{
	assert_int_equal(push("", "a b|c d|e/f g", 3), 0);
	assert_int_equal(push("e", "h i", 1), 0);
	assert_int_equal(number_of("a"), number_of("b"));
	assert_int_equal(number_of("e/f"), number_of("g"));
	assert_int_equal(number_of("e/h"), number_of("e/i"));
	assert_int_not_equal(number_of("a"), number_of("c"));
	assert_int_not_equal(number_of("c"), number_of("g"));
	assert_int_not_equal(number_of("g"), number_of("e/h"));
	assert_int_not_equal(number_of("a"), number_of("e/h"));
}

static void popped_level_is_forgotten_and_its_numbers_never_come_again(void **state)
{
	uint64_t numbers[3];

	assert_int_equal(push("", "a b", 1), 0);
	for (size_t i = 0; i < PL_ARRAY_LEN(numbers); i++) {
		assert_int_equal(push("d", "1 2", 1), 0);
		numbers[i] = number_of("d/1");
		assert_int_not_equal(numbers[i], number_of("a"));
		assert_true(i == 0 || numbers[i] > numbers[i - 1]);
		pl_membership_pop(m);
		expect_members("d/1", "");
		expect_members("a", "a b");
	}
}

static void membership_without_groups_is_empty_and_reads_nothing(void **state)
{
	assert_true(pl_membership_is_empty(m));
	assert_int_equal(push("", NULL, 0), 0);
	assert_int_equal(push("a", NULL, 0), 0);
	assert_int_equal(store.n_reads, 2); /* those of push() itself */
	assert_true(pl_membership_is_empty(m));
	assert_int_equal(pl_membership_own_groups(m), 0);
	expect_members("a", "");
	assert_int_equal(push("a/b", "1 2", 1), 0);
	assert_false(pl_membership_is_empty(m));
	assert_int_equal(pl_membership_own_groups(m), 1);
	assert_int_equal(push("a/b/c", NULL, 0), 0);
	assert_int_equal(pl_membership_own_groups(m), 0);
	pl_membership_pop(m);
	assert_int_equal(pl_membership_own_groups(m), 1);
	pl_membership_pop(m);
	assert_true(pl_membership_is_empty(m));
	pl_membership_pop(m);
	pl_membership_pop(m);
}

static void path_in_groups_of_two_levels_is_refused(void **state)
{
	assert_int_equal(push("", "a/b/1 c|d e", 2), 0);
	assert_int_equal(push("a", NULL, 0), 0);
	assert_int_equal(push("a/b", "0 1", 1), -EBADMSG);
	assert_int_equal(error.code, PLEACH_CORRUPT);
	assert_string_equal(error.message, "a/b/1 is in two hard-link groups");
	/* It is as it was. */
	expect_members("a/b/1", "a/b/1 c");
	expect_members("a/b/0", "");
	assert_int_equal(push("a/b", "0 2", 1), 0);
	expect_members("a/b/2", "a/b/0 a/b/2");
	pl_membership_pop(m);
	pl_membership_pop(m);
	pl_membership_pop(m);
	assert_true(pl_membership_is_empty(m));
}

static void blocks_that_are_refused_leave_it_as_it_was(void **state)
{
	assert_int_equal(push("", "a b", 1), 0);
	assert_int_equal(push("c", "b a", 1), -EBADMSG);
	expect_members("a", "a b");
	pl_membership_pop(m);
	assert_true(pl_membership_is_empty(m));
}

static void many_groups_are_all_found(void **state)
{
	struct pl_buffer text = {0};
	char path[32];

	for (unsigned i = 0; i < 1500; i++)
		pl_buffer_add_format(&text, "%sa%05u z%05u", i > 0 ? "|" : "", i, i);
	assert_int_equal(push("", pl_buffer_string(&text), 1500), 0);
	for (unsigned i = 0; i < 1500; i++) {
		snprintf(path, sizeof(path), "a%05u", i);
		assert_int_equal(number_of(path), i);
		*path = 'z';
		assert_int_equal(number_of(path), i);
	}
	pl_buffer_done(&text);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(members_of_all_levels_are_found_by_their_path_from_the_root),
		CASE(names_below_a_directory_are_those_of_groups_above_it),
		CASE(members_share_a_number_and_groups_do_not),
		CASE(popped_level_is_forgotten_and_its_numbers_never_come_again),
		CASE(membership_without_groups_is_empty_and_reads_nothing),
		CASE(path_in_groups_of_two_levels_is_refused),
		CASE(blocks_that_are_refused_leave_it_as_it_was),
		CASE(many_groups_are_all_found),
	};

	return cmocka_run_group_tests_name("tree/membership", tests, NULL, NULL);
}
