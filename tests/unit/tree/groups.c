/* Hard-link groups of one directory: order, blocks and where they are split, what must be refused. */
#include "tree/forge.h"

static struct memory_store store;
static struct pl_node_source source;
static struct pl_node_sink sink;
static struct pleach_error error;

static int setup(void **state)
{
	memory_store_init(&store);
	source = memory_store_source(&store);
	sink = memory_store_sink(&store);
	error = (struct pleach_error)PLEACH_ERROR_INIT;
	return 0;
}

static int teardown(void **state)
{
	memory_store_done(&store);
	return 0;
}

/* A node with these blocks and no entry. */
static struct pl_node node_of(const struct pl_id *blocks, uint32_t n_blocks)
{
	struct pl_buffer b = {0};
	struct pl_id id;

	forge_head(&b, blocks, n_blocks, 0);
	id = forge_store(&store, &b);
	return forge_read(&store, &id);
}

/* The same text as forge_block() has. */
static void make_groups(struct pl_groups *groups, const char *text)
{
	char *copy = strdup(text), *save_group = NULL, *save = NULL;

	assert_non_null(copy);
	for (char *group = strtok_r(copy, "|", &save_group); group;
	     group = strtok_r(NULL, "|", &save_group)) {
		assert_int_equal(pl_groups_begin(groups), 0);
		for (char *path = strtok_r(group, " ", &save); path;
		     path = strtok_r(NULL, " ", &save))
			assert_int_equal(pl_groups_add(groups, path), 0);
	}
	free(copy);
}

static char *text_of(const struct pl_groups *groups)
{
	struct pl_buffer b = {0};

	for (size_t g = 0; g < groups->n; g++) {
		if (g > 0)
			pl_buffer_add_u8(&b, '|');
		for (size_t m = 0; m < groups->groups[g].n_members; m++) {
			if (m > 0)
				pl_buffer_add_u8(&b, ' ');
			pl_buffer_add_string(&b, pl_groups_path(groups, g, m));
		}
	}
	return pl_buffer_take_string(&b);
}

static void expect_text(const struct pl_groups *groups, const char *expected)
{
	char *text = text_of(groups);

	assert_string_equal(text, expected);
	free(text);
}

/* Writes the groups and makes a node of them. */
static struct pl_node write_node(const struct pl_groups *groups)
{
	struct pl_buffer ids = {0};
	uint32_t n_blocks;
	struct pl_node node;

	assert_int_equal(pl_groups_write(groups, &sink, &ids, &n_blocks, &error), 0);
	assert_int_equal(ids.length, n_blocks * sizeof(struct pl_id));
	node = node_of((const struct pl_id *)(const void *)ids.data, n_blocks);
	pl_buffer_done(&ids);
	return node;
}

static void expect_node_refused(const struct pl_id *blocks, uint32_t n_blocks, const char *part)
{
	struct pl_node node = node_of(blocks, n_blocks);
	struct pl_groups groups = {.n = 42};

	assert_int_equal(pl_groups_read(&source, &node, &groups, &error), -EBADMSG);
	assert_int_equal(error.code, PLEACH_CORRUPT);
	assert_int_equal(groups.n, 42);
	if (!strstr(error.message, part))
		fail_msg("\"%s\" does not say \"%s\"", error.message, part);
	pl_node_done(&node);
}

static void expect_refused(struct pl_buffer *block, const char *part)
{
	struct pl_id id = forge_store(&store, block);

	expect_node_refused(&id, 1, part);
}

static void expect_text_refused(const char *text, uint32_t n_groups, const char *part)
{
	struct pl_buffer b = {0};

	forge_block(&b, text, n_groups);
	expect_refused(&b, part);
}

static void sorting_sorts_members_and_then_groups(void **state)
{
	struct pl_groups groups = {0};

	make_groups(&groups, "z b|y/1 a/9 c|x a-b|a.b a\xff");
	pl_groups_sort(&groups);
	expect_text(&groups, "a-b x|a.b a\xff|a/9 c y/1|b z");
	pl_groups_sort(&groups);
	expect_text(&groups, "a-b x|a.b a\xff|a/9 c y/1|b z");
	pl_groups_done(&groups);
}

static void groups_that_were_written_are_read(void **state)
{
	static const char text[] = "a b|c/d/e c/d/f g|h/1 i/1";
	struct pl_groups groups = {0}, read;
	struct pl_buffer expected = {0};
	struct pl_node node;

	make_groups(&groups, text);
	node = write_node(&groups);
	assert_int_equal(node.n_blocks, 1);
	forge_block(&expected, text, 3);
	assert_memory_equal(
		memory_store_get(&store, (const struct pl_id *)(const void *)node.blocks)->data,
		expected.data, expected.length);
	assert_int_equal(pl_groups_read(&source, &node, &read, &error), 0);
	expect_text(&read, text);
	pl_buffer_done(&expected);
	pl_groups_done(&groups);
	pl_groups_done(&read);
	pl_node_done(&node);
}

static void no_groups_are_no_blocks(void **state)
{
	struct pl_groups groups = {0}, read = {.n = 42};
	struct pl_node node = write_node(&groups);

	assert_int_equal(node.n_blocks, 0);
	assert_int_equal(store.n_writes, 0);
	assert_int_equal(pl_groups_read(&source, &node, &read, &error), 0);
	assert_int_equal(read.n, 0);
	pl_groups_done(&read);
	pl_node_done(&node);
}

static void find_finds_each_member_and_no_other(void **state)
{
	struct pl_groups groups = {0};

	assert_int_equal(pl_groups_find(&groups, "a"), -1);
	make_groups(&groups, "a b|c/d e");
	assert_int_equal(pl_groups_find(&groups, "a"), 0);
	assert_int_equal(pl_groups_find(&groups, "b"), 0);
	assert_int_equal(pl_groups_find(&groups, "c/d"), 1);
	assert_int_equal(pl_groups_find(&groups, "e"), 1);
	assert_int_equal(pl_groups_find(&groups, "c"), -1);
	assert_int_equal(pl_groups_find(&groups, "d"), -1);
	assert_int_equal(pl_groups_find(&groups, ""), -1);
	pl_groups_done(&groups);
}

static void path_longer_than_a_mebibyte_is_refused(void **state)
{
	struct pl_groups groups = {0};
	char *path = malloc(PL_GROUP_PATH_MAX + 2);

	assert_non_null(path);
	for (size_t i = 0; i <= PL_GROUP_PATH_MAX; i++)
		path[i] = i % 2 ? '/' : 'd';
	path[PL_GROUP_PATH_MAX + 1] = '\0';
	assert_int_equal(pl_groups_begin(&groups), 0);
	assert_int_equal(pl_groups_add(&groups, path), -ENAMETOOLONG);
	assert_int_equal(groups.groups[0].n_members, 0);
	path[PL_GROUP_PATH_MAX - 1] = 'd';
	path[PL_GROUP_PATH_MAX] = '\0';
	assert_int_equal(pl_groups_add(&groups, path), 0);
	pl_groups_done(&groups);
	free(path);
}

/* ---- blocks ---- */

/* Adds a group "NAME-a... NAME-b" that takes `size` bytes in a block. */
static void add_group_of(struct pl_groups *groups, const char *name, size_t size)
{
	size_t fixed = 4 + 4 + 4 + strlen(name) + 2, left = size - fixed;
	struct pl_buffer path = {0};

	assert_true(size > fixed + strlen(name) + 3);
	pl_buffer_add_format(&path, "%s-a", name);
	left -= path.length;
	/* Names of 255 bytes at most: slashes, and none at an end. */
	for (; left > 0; left--)
		pl_buffer_add_u8(&path, left % 200 == 2 ? '/' : 'x');
	assert_int_equal(pl_groups_begin(groups), 0);
	assert_int_equal(pl_groups_add(groups, pl_buffer_string(&path)), 0);
	pl_buffer_truncate(&path, 0);
	pl_buffer_add_format(&path, "%s-b", name);
	assert_int_equal(pl_groups_add(groups, pl_buffer_string(&path)), 0);
	pl_buffer_done(&path);
}

static size_t block_size(const struct pl_node *node, uint32_t i)
{
	struct pl_id id;

	assert_true(i < node->n_blocks);
	memcpy(id.bytes, node->blocks + i * sizeof(id.bytes), sizeof(id.bytes));
	return memory_store_get(&store, &id)->length;
}

static void expect_read_back(const struct pl_node *node, const struct pl_groups *groups)
{
	char *text = text_of(groups);
	struct pl_groups read;

	if (pl_groups_read(&source, node, &read, &error) < 0)
		fail_msg("%s", error.message);
	expect_text(&read, text);
	pl_groups_done(&read);
	free(text);
}

#define HEAD 19 /* of a block: its first line and the number of groups */

static void block_is_full_at_65536_bytes(void **state)
{
	for (size_t more = 0; more < 2; more++) {
		struct pl_groups groups = {0};
		struct pl_node node;

		add_group_of(&groups, "1", 30000);
		add_group_of(&groups, "2", 65536 - HEAD - 30000 + more);
		add_group_of(&groups, "3", 100);
		node = write_node(&groups);
		assert_int_equal(node.n_blocks, 2);
		assert_int_equal(block_size(&node, 0), more ? HEAD + 30000 : 65536);
		expect_read_back(&node, &groups);
		pl_node_done(&node);
		pl_groups_done(&groups);
	}
}

static void group_larger_than_a_block_stands_alone(void **state)
{
	static const size_t sizes[][3] = {
		{100, 200000, 100},
		{200000, 100, 100},
		{200000, 200000, 200000},
		{100, 100, 65536 - HEAD + 1},
	};
	static const uint32_t n_blocks[] = {3, 2, 3, 2};

	for (size_t i = 0; i < PL_ARRAY_LEN(sizes); i++) {
		struct pl_groups groups = {0};
		struct pl_node node;

		add_group_of(&groups, "1", sizes[i][0]);
		add_group_of(&groups, "2", sizes[i][1]);
		add_group_of(&groups, "3", sizes[i][2]);
		node = write_node(&groups);
		assert_int_equal(node.n_blocks, n_blocks[i]);
		expect_read_back(&node, &groups);
		pl_node_done(&node);
		pl_groups_done(&groups);
	}
}

static void many_groups_fill_many_blocks(void **state)
{
	struct pl_groups groups = {0};
	struct pl_node node;
	char path[64];

	for (size_t i = 0; i < 20000; i++) {
		assert_int_equal(pl_groups_begin(&groups), 0);
		for (size_t m = 0; m < 2 + i % 3; m++) {
			snprintf(path, sizeof(path), "%05zu/%zu-%0*d", i * 7919 % 20000, m,
				 (int)(1 + i % 29), 0);
			if (m == 1)
				path[0] = 'x';
			assert_int_equal(pl_groups_add(&groups, path), 0);
		}
	}
	pl_groups_sort(&groups);
	node = write_node(&groups);
	assert_true(node.n_blocks > 10);
	for (uint32_t i = 0; i < node.n_blocks; i++)
		assert_true(block_size(&node, i) <= 65536);
	expect_read_back(&node, &groups);
	pl_node_done(&node);
	pl_groups_done(&groups);
}

static void blocks_that_are_split_otherwise_are_refused(void **state)
{
	struct pl_groups groups = {0};
	struct pl_buffer b = {0};
	struct pl_id ids[2];
	char *text;

	/* Two that would have had room in one. */
	forge_block(&b, "a b", 1);
	ids[0] = forge_store(&store, &b);
	forge_block(&b, "c d", 1);
	ids[1] = forge_store(&store, &b);
	expect_node_refused(ids, 2, "has room");
	/* One that has a group too many. */
	add_group_of(&groups, "1", 30000);
	add_group_of(&groups, "2", 65536 - HEAD - 30000 + 1);
	text = text_of(&groups);
	forge_block(&b, text, 2);
	assert_int_equal(b.length, 65537);
	expect_refused(&b, "larger");
	free(text);
	pl_groups_done(&groups);
	/* The same one twice, and two the wrong way round. */
	ids[1] = ids[0];
	expect_node_refused(ids, 2, "out of order");
	/* None at all. */
	forge_block(&b, "", 0);
	expect_refused(&b, "number of groups");
}

static void room_that_is_left_is_measured_to_the_byte(void **state)
{
	for (size_t more = 0; more < 2; more++) {
		struct pl_groups groups = {0};
		struct pl_buffer b = {0};
		struct pl_id ids[2];
		char *text;

		add_group_of(&groups, "1", 65536 - HEAD - 200 + more);
		text = text_of(&groups);
		forge_block(&b, text, 1);
		ids[0] = forge_store(&store, &b);
		free(text);
		pl_groups_done(&groups);
		add_group_of(&groups, "2", 200);
		text = text_of(&groups);
		forge_block(&b, text, 1);
		ids[1] = forge_store(&store, &b);
		if (more) {
			struct pl_node node = node_of(ids, 2);

			pl_groups_done(&groups);
			assert_int_equal(pl_groups_read(&source, &node, &groups, &error), 0);
			assert_int_equal(groups.n, 2);
			pl_node_done(&node);
		} else {
			expect_node_refused(ids, 2, "has room");
		}
		free(text);
		pl_groups_done(&groups);
	}
}

/* ---- what must be refused ---- */

static void groups_that_break_a_rule_are_refused(void **state)
{
	expect_text_refused("a-name-with-room", 1, "number of members");
	expect_text_refused("b a", 1, "members out of order");
	expect_text_refused("a a", 1, "members out of order");
	expect_text_refused("c d|a b", 2, "out of order");
	expect_text_refused("a b|a c", 2, "out of order");
	expect_text_refused("a b|c b", 2, "members out of order");
	expect_text_refused("a c|b c", 2, "c is in two hard-link groups");
	expect_text_refused("a/x b|a/y b", 2, "b is in two hard-link groups");
	expect_text_refused("a/b a/c", 1, "belongs to a directory below");
	expect_text_refused("a/b a/c a/d/e", 1, "belongs to a directory below");
	expect_text_refused("a b|c d", 1, "bytes behind");
	expect_text_refused("a b", 2, "number of");
	expect_text_refused("a b", UINT32_MAX - 1, "number of groups");
}

static void groups_that_just_belong_here_are_read(void **state)
{
	static const char *const texts[] = {
		"a b", "a b/c", "a/b b/c", "a-b/x a/x", "a.b/x a/x a/y", "a/b a/c d", "a/b ab",
	};

	for (size_t i = 0; i < PL_ARRAY_LEN(texts); i++) {
		struct pl_buffer b = {0};
		struct pl_groups groups;
		struct pl_node node;
		struct pl_id id;

		forge_block(&b, texts[i], 1);
		id = forge_store(&store, &b);
		node = node_of(&id, 1);
		if (pl_groups_read(&source, &node, &groups, &error) < 0)
			fail_msg("%s: %s", texts[i], error.message);
		expect_text(&groups, texts[i]);
		pl_groups_done(&groups);
		pl_node_done(&node);
	}
}

static void paths_that_are_none_are_refused(void **state)
{
	static const struct {
		const char *path;
		size_t length;
	} paths[] = {{"", 0},	  {"/a", 2},	{"a/", 2},   {"a//b", 4}, {".", 1},
		     {"a/..", 4}, {"a/./b", 5}, {"a\0b", 3}, {"../a", 4}};
	static char name[PL_NAME_MAX + 1];
	struct pl_buffer b = {0};

	for (size_t i = 0; i < PL_ARRAY_LEN(paths); i++) {
		forge_block(&b, "", 1);
		pl_buffer_add_u32(&b, 2);
		forge_path_n(&b, paths[i].path, paths[i].length);
		forge_path_n(&b, "zzz", 3);
		expect_refused(&b, "no valid path");
	}
	memset(name, 'n', sizeof(name));
	forge_block(&b, "", 1);
	pl_buffer_add_u32(&b, 2);
	forge_path_n(&b, name, sizeof(name));
	forge_path_n(&b, "zzz", 3);
	expect_refused(&b, "no valid path");
}

static void numbers_without_bytes_for_them_are_refused(void **state)
{
	struct pl_buffer b = {0};

	forge_block(&b, "", 1);
	pl_buffer_add_u32(&b, UINT32_MAX);
	forge_path_n(&b, "a", 1);
	forge_path_n(&b, "b", 1);
	expect_refused(&b, "number of members");
	forge_block(&b, "", 1);
	pl_buffer_add_u32(&b, 2);
	pl_buffer_add_u32(&b, UINT32_MAX);
	pl_buffer_add_string(&b, "aaaaaaaa");
	expect_refused(&b, "no valid path");
	pl_buffer_add_string(&b, "pleach group 2\n");
	pl_buffer_add_u32(&b, 1);
	forge_block(&b, "a b", UINT32_MAX);
	expect_refused(&b, "not a block");
}

static void path_of_more_than_a_mebibyte_is_refused(void **state)
{
	char *path = malloc(PL_GROUP_PATH_MAX + 2);
	struct pl_buffer b = {0};

	assert_non_null(path);
	for (size_t i = 0; i < PL_GROUP_PATH_MAX + 2; i++)
		path[i] = i % 2 ? '/' : 'd';
	forge_block(&b, "", 1);
	pl_buffer_add_u32(&b, 2);
	forge_path_n(&b, path, PL_GROUP_PATH_MAX + 1);
	forge_path_n(&b, "e", 1);
	expect_refused(&b, "no valid path");
	free(path);
}

static void block_cut_at_any_length_is_refused(void **state)
{
	struct pl_buffer whole = {0};

	forge_block(&whole, "a b|c/d/e c/f|h i/1 j", 3);
	for (size_t n = 0; n < whole.length; n++) {
		struct pl_buffer b = {0};

		pl_buffer_add(&b, whole.data, n);
		expect_refused(&b, "block ");
	}
	pl_buffer_done(&whole);
}

static void block_with_any_byte_changed_is_refused_or_canonical(void **state)
{
	struct pl_buffer whole = {0};

	forge_block(&whole, "a b|c/d/e c/f|h i/1 j", 3);
	for (size_t i = 0; i < whole.length * 255; i++) {
		struct pl_groups groups;
		struct pl_buffer b = {0};
		struct pl_id id;
		struct pl_node node, again;
		int r;

		pl_buffer_add(&b, whole.data, whole.length);
		b.data[i / 255] ^= (unsigned char)(1 + i % 255);
		id = forge_store(&store, &b);
		node = node_of(&id, 1);
		r = pl_groups_read(&source, &node, &groups, &error);
		if (r < 0) {
			assert_int_equal(r, -EBADMSG);
		} else {
			again = write_node(&groups);
			assert_true(pl_id_equal(&node.id, &again.id));
			pl_node_done(&again);
			pl_groups_done(&groups);
		}
		pl_node_done(&node);
	}
	pl_buffer_done(&whole);
}

static void errors_of_source_and_sink_are_passed_up(void **state)
{
	struct pl_groups groups = {0};
	struct pl_buffer ids = {0};
	struct pl_node node;
	uint32_t n_blocks;

	add_group_of(&groups, "1", 60000);
	add_group_of(&groups, "2", 60000);
	node = write_node(&groups);
	for (size_t i = 1; i <= 2; i++) {
		struct pl_groups read;

		store.fail_read_at = store.n_reads + i;
		assert_int_equal(pl_groups_read(&source, &node, &read, &error), -EIO);
		store.fail_write_at = store.n_writes + i;
		assert_int_equal(pl_groups_write(&groups, &sink, &ids, &n_blocks, &error), -EIO);
	}
	pl_buffer_done(&ids);
	pl_node_done(&node);
	pl_groups_done(&groups);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(sorting_sorts_members_and_then_groups),
		CASE(groups_that_were_written_are_read),
		CASE(no_groups_are_no_blocks),
		CASE(find_finds_each_member_and_no_other),
		CASE(path_longer_than_a_mebibyte_is_refused),
		CASE(block_is_full_at_65536_bytes),
		CASE(group_larger_than_a_block_stands_alone),
		CASE(many_groups_fill_many_blocks),
		CASE(blocks_that_are_split_otherwise_are_refused),
		CASE(room_that_is_left_is_measured_to_the_byte),
		CASE(groups_that_break_a_rule_are_refused),
		CASE(groups_that_just_belong_here_are_read),
		CASE(paths_that_are_none_are_refused),
		CASE(numbers_without_bytes_for_them_are_refused),
		CASE(path_of_more_than_a_mebibyte_is_refused),
		CASE(block_cut_at_any_length_is_refused),
		CASE(block_with_any_byte_changed_is_refused_or_canonical),
		CASE(errors_of_source_and_sink_are_passed_up),
	};

	return cmocka_run_group_tests_name("tree/groups", tests, NULL, NULL);
}
