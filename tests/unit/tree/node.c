/* Nodes that are read: every rule of docs/format.md, "Nodes", and what must be refused. */
#include "tree/forge.h"

#include <malloc.h>

static struct memory_store store;
static struct pl_node_source source;

static int setup(void **state)
{
	memory_store_init(&store);
	source = memory_store_source(&store);
	return 0;
}

static int teardown(void **state)
{
	memory_store_done(&store);
	return 0;
}

/* One of each kind, with xattrs, owners, times; 'd' is deep and odd. */
static struct pl_id node_of_every_kind(void)
{
	return memory_store_tree(&store, "d . 02755 owner=7 mtime=-3 x:user.of=root\n"
					 "f file some-content 04711 owner=1000 mtime=1234567890\n"
					 "f empty - x:security.a=1 x:user.b=22\n"
					 "f other content\n"
					 "l link ../target/of/it mtime=5\n"
					 "p fifo 0600\n"
					 "s sock 0666\n"
					 "c char 0 0\n"
					 "b block 8 17\n"
					 "d d mtime=9\n"
					 "f d/e/f x x:user.overlay.opaque=y\n"
					 "g d/e/f other\n");
}

/* The node's bytes must be refused, with `part` in the message. */
static void expect_refused(struct pl_buffer *b, const char *part)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pl_id id = forge_store(&store, b);
	char hex[PL_ID_HEX + 1];
	struct pl_node node;

	assert_int_equal(pl_node_read(&source, &id, &node, &error), -EBADMSG);
	assert_int_equal(error.code, PLEACH_CORRUPT);
	assert_non_null(strstr(error.message, pl_id_hex(&id, hex)));
	if (!strstr(error.message, part))
		fail_msg("\"%s\" does not say \"%s\"", error.message, part);
}

/* Builds the node again from what was decoded. */
static void rebuild(const struct pl_node *node, struct pl_buffer *ret_bytes)
{
	struct pl_node_sink sink = memory_store_sink(&store);
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pl_groups groups = {0};
	struct pl_node_builder builder;
	struct pl_totals totals;
	struct pl_entry entry;
	size_t cursor = 0;
	struct pl_id id;

	pl_node_builder_init(&builder);
	while (pl_node_next(node, &cursor, &entry) > 0)
		assert_int_equal(pl_node_builder_add(&builder, &entry), 0);
	assert_int_equal(pl_groups_read(&source, node, &groups, &error), 0);
	assert_int_equal(pl_node_builder_end(&builder, &node->meta, &groups, &sink, ret_bytes, &id,
					     &totals, &error),
			 0);
	pl_groups_done(&groups);
	pl_node_builder_done(&builder);
}

static void node_is_decoded_field_by_field(void **state)
{
	struct pl_id id = node_of_every_kind();
	struct pl_node node = forge_read(&store, &id);
	struct pl_entry e;

	assert_int_equal(node.n_entries, 9);
	assert_int_equal(node.n_blocks, 1);
	assert_int_equal(node.meta.mode, 02755);
	assert_int_equal(node.meta.uid, 7);
	assert_int_equal(node.meta.mtime_s, -3);
	assert_int_equal(node.meta.xattrs_length, 1 + 7 + 4 + 4);
	assert_int_equal(pl_node_find(&node, "file", 4, &e), 1);
	assert_int_equal(e.kind, 'f');
	assert_int_equal(e.size, 12);
	assert_int_equal(e.meta.mode, 04711);
	assert_int_equal(e.meta.gid, 1000);
	assert_int_equal(e.meta.mtime_s, 1234567890);
	assert_int_equal(pl_node_find(&node, "link", 4, &e), 1);
	assert_int_equal(e.target_length, 15);
	assert_memory_equal(e.target, "../target/of/it", 15);
	assert_int_equal(pl_node_find(&node, "block", 5, &e), 1);
	assert_int_equal(e.kind, 'b');
	assert_int_equal(e.major, 8);
	assert_int_equal(e.minor, 17);
	assert_int_equal(pl_node_find(&node, "empty", 5, &e), 1);
	assert_true(pl_id_equal(&e.hash, &pl_hash_empty));
	assert_int_equal(pl_node_find(&node, "d", 1, &e), 1);
	assert_int_equal(e.totals.entries, 2);
	assert_int_equal(e.totals.files, 1);
	assert_int_equal(e.totals.bytes, 1);
	assert_int_equal(e.totals.depth, 1);
	assert_int_equal(e.totals.oddities, PL_ODD_OVERLAY);
	pl_node_done(&node);
}

static void node_built_again_from_its_entries_is_the_same(void **state)
{
	struct pl_id id = node_of_every_kind();
	struct pl_node node = forge_read(&store, &id);
	struct pl_buffer bytes = {0};

	rebuild(&node, &bytes);
	assert_int_equal(bytes.length, node.bytes.length);
	assert_memory_equal(bytes.data, node.bytes.data, bytes.length);
	pl_buffer_done(&bytes);
	pl_node_done(&node);
}

static void node_cut_at_any_length_is_refused(void **state)
{
	struct pl_id id = node_of_every_kind();
	const struct memory_item *item = memory_store_get(&store, &id);
	size_t length = item->length;
	unsigned char *bytes = malloc(length);

	assert_non_null(bytes);
	memcpy(bytes, item->data, length);
	for (size_t n = 0; n < length; n++) {
		struct pl_buffer b = {0};

		pl_buffer_add(&b, bytes, n);
		expect_refused(&b, "node ");
	}
	free(bytes);
}

static void node_with_a_byte_behind_is_refused(void **state)
{
	struct pl_id id = node_of_every_kind();
	const struct memory_item *item = memory_store_get(&store, &id);
	struct pl_buffer b = {0};

	pl_buffer_add(&b, item->data, item->length);
	pl_buffer_add_u8(&b, 0);
	expect_refused(&b, "bytes behind");
}

/* Whatever is taken is canonical: built again it is the same, but for the blocks, which are left out
 * since their ids may be of nothing now. */
static void expect_canonical(struct pl_node *node)
{
	size_t at = (size_t)(node->blocks - node->bytes.data); /* behind n_blocks */
	size_t behind = at + node->n_blocks * sizeof(struct pl_id);
	struct pl_buffer again = {0};

	node->n_blocks = 0;
	rebuild(node, &again);
	assert_int_equal(again.length - at, node->bytes.length - behind);
	assert_memory_equal(again.data, node->bytes.data, at - sizeof(uint32_t));
	assert_memory_equal(again.data + at, node->bytes.data + behind, again.length - at);
	pl_buffer_done(&again);
}

static void expect_refused_or_canonical(const unsigned char *bytes, size_t length)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct memory_store one;
	struct pl_node_source from;
	struct pl_node node;
	struct pl_id id;
	int r;

	memory_store_init(&one);
	from = memory_store_source(&one);
	id = memory_store_put(&one, bytes, length);
	r = pl_node_read(&from, &id, &node, &error);
	if (r < 0) {
		assert_int_equal(r, -EBADMSG);
	} else {
		expect_canonical(&node);
		pl_node_done(&node);
	}
	memory_store_done(&one);
}

static void node_with_any_byte_changed_is_refused_or_canonical(void **state)
{
	struct pl_id id = node_of_every_kind();
	const struct memory_item *item = memory_store_get(&store, &id);
	static const unsigned char flips[] = {0x01, 0x02, 0x10, 0x80, 0xff, 'd' ^ 'f', 'p' ^ 's'};
	size_t length = item->length;
	unsigned char *bytes = malloc(length);

	assert_non_null(bytes);
	memcpy(bytes, item->data, length);
	for (size_t i = 0; i < length; i++) {
		for (size_t f = 0; f < PL_ARRAY_LEN(flips); f++) {
			bytes[i] ^= flips[f];
			expect_refused_or_canonical(bytes, length);
			bytes[i] ^= flips[f];
		}
	}
	free(bytes);
}

static void head_that_breaks_a_rule_is_refused(void **state)
{
	struct pl_buffer b = {0};

	pl_buffer_add_string(&b, "pleach node 2\n");
	forge_meta(&b, 0755);
	pl_buffer_add_u64(&b, 0);
	expect_refused(&b, "not a node");
	pl_buffer_add_string(&b, "pleach node 1\n");
	forge_meta(&b, 010755);
	pl_buffer_add_u64(&b, 0);
	expect_refused(&b, "metadata");
	forge_head(&b, NULL, 0, 1);
	expect_refused(&b, "more entries");
	forge_head(&b, NULL, 0, UINT32_MAX);
	expect_refused(&b, "more entries");
	pl_buffer_add_string(&b, "pleach node 1\n");
	forge_meta(&b, 0755);
	pl_buffer_add_u32(&b, UINT32_MAX);
	pl_buffer_add_u32(&b, 0);
	expect_refused(&b, "more blocks");
}

/* A head, and then bytes that nobody has touched, up to `length`. */
struct huge {
	uint32_t n_entries;
	size_t length;
};

static int read_huge(void *self, const struct pl_id *id, struct pl_buffer *b,
		     struct pleach_error *error)
{
	const struct huge *huge = self;

	forge_head(b, NULL, 0, huge->n_entries);
	assert_non_null(pl_buffer_reserve(b, huge->length - b->length));
	b->length = huge->length;
	return 0;
}

static void expect_huge_refused(uint32_t n_entries, size_t length, const char *part)
{
	struct huge huge = {n_entries, length};
	struct pl_node_source from = {.read = read_huge, .self = &huge};
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pl_node node;

	assert_int_equal(pl_node_read(&from, &pl_hash_empty, &node, &error), -EBADMSG);
	assert_non_null(strstr(error.message, part));
}

static void node_of_more_than_a_gibibyte_is_refused(void **state)
{
	expect_huge_refused(0, (size_t)PL_NODE_SIZE_MAX + 1, "no valid length");
}

/* There is room for one entry more than there may be. */
static void node_of_too_many_entries_is_refused_before_they_are_read(void **state)
{
	expect_huge_refused(PL_NODE_ENTRIES_MAX + 1, (size_t)(PL_NODE_ENTRIES_MAX + 2) * 29,
			    "more entries");
}

static void names_that_are_none_are_refused(void **state)
{
	static const struct {
		const char *name;
		size_t length;
	} names[] = {{"", 0}, {".", 1}, {"..", 2}, {"a/b", 3}, {"a\0b", 3}, {"/", 1}};
	struct pl_buffer b = {0};

	for (size_t i = 0; i < PL_ARRAY_LEN(names); i++) {
		forge_head(&b, NULL, 0, 1);
		forge_name_n(&b, 'p', names[i].name, names[i].length);
		forge_meta(&b, 0644);
		pl_buffer_add_u64(&b, 0); /* so that there is room for an entry of any name */
		expect_refused(&b, "entry 0: no valid name");
	}
}

static void names_out_of_order_are_refused(void **state)
{
	static const char *const pairs[][2] = {
		{"b", "a"}, {"a", "a"}, {"ab", "a"}, {"\xff", "a"}, {"a.b", "a"},
	};
	struct pl_buffer b = {0};

	for (size_t i = 0; i < PL_ARRAY_LEN(pairs); i++) {
		forge_head(&b, NULL, 0, 2);
		forge_fifo(&b, pairs[i][0]);
		forge_fifo(&b, pairs[i][1]);
		expect_refused(&b, "entry 1: out of order");
	}
}

static void entries_that_break_a_rule_are_refused(void **state)
{
	static char target[PL_TARGET_MAX + 1];
	struct pl_buffer b = {0};

	memset(target, 't', sizeof(target));
	forge_head(&b, NULL, 0, 1);
	forge_name(&b, 'x', "a");
	forge_meta(&b, 0644);
	expect_refused(&b, "unknown kind");
	forge_head(&b, NULL, 0, 1);
	forge_name(&b, 'p', "a");
	forge_meta(&b, 010644);
	expect_refused(&b, "metadata");
	forge_head(&b, NULL, 0, 1);
	forge_symlink_n(&b, "a", 0755, "t", 1);
	expect_refused(&b, "another mode");
	forge_head(&b, NULL, 0, 1);
	forge_symlink_n(&b, "a", 0777, "", 0);
	expect_refused(&b, "target");
	forge_head(&b, NULL, 0, 1);
	forge_symlink_n(&b, "a", 0777, target, PL_TARGET_MAX + 1);
	expect_refused(&b, "target");
	forge_head(&b, NULL, 0, 1);
	forge_symlink_n(&b, "a", 0777, "t\0t", 3);
	expect_refused(&b, "NUL");
	forge_head(&b, NULL, 0, 1);
	forge_symlink_n(&b, "a", 0777, target, PL_TARGET_MAX);
	b.length--;
	expect_refused(&b, "cut short");
}

static void longest_target_and_name_are_read(void **state)
{
	static char target[PL_TARGET_MAX], name[PL_NAME_MAX + 1];
	struct pl_buffer b = {0};
	struct pl_node node;
	struct pl_entry e;
	struct pl_id id;
	size_t cursor = 0;

	memset(target, 't', sizeof(target));
	memset(name, '\xfe', PL_NAME_MAX);
	forge_head(&b, NULL, 0, 1);
	forge_symlink_n(&b, name, 0777, target, sizeof(target));
	id = forge_store(&store, &b);
	node = forge_read(&store, &id);
	assert_int_equal(pl_node_next(&node, &cursor, &e), 1);
	assert_int_equal(e.name_length, PL_NAME_MAX);
	assert_int_equal(e.target_length, PL_TARGET_MAX);
	assert_int_equal(pl_node_next(&node, &cursor, &e), 0);
	assert_int_equal(pl_node_next(&node, &cursor, &e), 0);
	pl_node_done(&node);
}

static void totals_that_cannot_be_are_refused(void **state)
{
	static const struct pl_totals impossible[] = {
		{.entries = 1, .files = 2},
		{.entries = 1, .files = 1, .depth = 1},
		{.entries = 1, .bytes = 1},
		{.entries = 1, .depth = 2},
		{.entries = UINT64_MAX, .depth = PL_DEPTH_MAX},
		{.entries = 3, .files = 3, .groups = 2},
		{.xattrs = PL_XATTRS_MAX + 1},
		{.entries = 1, .oddities = 8},
		{.oddities = PL_ODD_DEVICE},
		{.entries = 1, .files = 1, .oddities = PL_ODD_WHITEOUT},
		{.entries = 1, .oddities = PL_ODD_OVERLAY},
	};
	struct pl_buffer b = {0};

	for (size_t i = 0; i < PL_ARRAY_LEN(impossible); i++) {
		forge_head(&b, NULL, 0, 1);
		forge_directory(&b, "d", &pl_hash_empty, &impossible[i]);
		expect_refused(&b, "entry 0: ");
	}
}

static void find_finds_every_name_and_no_other(void **state)
{
	struct pl_id id = memory_store_tree(&store, "f a 1\nf a.b 2\nf aa 3\nf b 4\nf z 5\n");
	struct pl_node node = forge_read(&store, &id);
	static const char *const there[] = {"a", "a.b", "aa", "b", "z"};
	static const char *const not_there[] = {"", "A", "a.", "ab", "a.bc", "zz", "~", "a/b"};
	char name[PL_NAME_MAX + 1];
	struct pl_entry e;

	for (size_t i = 0; i < PL_ARRAY_LEN(there); i++) {
		assert_int_equal(pl_node_find(&node, there[i], strlen(there[i]), &e), 1);
		pl_entry_name(&e, name);
		assert_string_equal(name, there[i]);
	}
	for (size_t i = 0; i < PL_ARRAY_LEN(not_there); i++)
		assert_int_equal(pl_node_find(&node, not_there[i], strlen(not_there[i]), &e), 0);
	pl_node_done(&node);
}

static void entries_are_equal_if_all_but_the_name_is(void **state)
{
	struct pl_id id =
		memory_store_tree(&store, "f a x\nf bb x\nf c x 0600\nf d y\np e\ns f\n"
					  "l g x\nf h x mtime=1\nd i\nd j\nd k owner=1\n");
	struct pl_node node = forge_read(&store, &id);
	struct pl_entry e[11];
	size_t cursor = 0;

	for (size_t i = 0; i < PL_ARRAY_LEN(e); i++)
		assert_int_equal(pl_node_next(&node, &cursor, &e[i]), 1);
	for (size_t i = 0; i < PL_ARRAY_LEN(e); i++) {
		for (size_t j = 0; j < PL_ARRAY_LEN(e); j++) {
			bool equal = i == j || (i + j == 1) || (i >= 8 && j >= 8 && i + j == 17);

			assert_int_equal(pl_entry_equal(&e[i], &e[j]), equal);
		}
	}
	pl_node_done(&node);
}

static void entry_that_is_kept_elsewhere_comes_back(void **state)
{
	struct pl_id id = node_of_every_kind();
	struct pl_node node = forge_read(&store, &id);
	struct pl_entry e, back;
	struct pl_buffer b = {0};
	size_t cursor = 0;

	while (pl_node_next(&node, &cursor, &e) > 0) {
		struct pl_reader r;

		pl_buffer_truncate(&b, 0);
		pl_entry_encode(&e, &b);
		for (size_t length = 0; length < b.length; length++) {
			r = pl_reader_of(b.data, length);
			assert_int_equal(pl_entry_decode(&r, &back), -EBADMSG);
		}
		r = pl_reader_of(b.data, b.length);
		assert_int_equal(pl_entry_decode(&r, &back), 0);
		assert_int_equal(r.offset, b.length);
		assert_int_equal(pl_entry_compare(&e, &back), 0);
		assert_true(pl_entry_equal(&e, &back));
	}
	pl_buffer_done(&b);
	pl_node_done(&node);
}

static void object_of_an_entry_is_that_of_its_fields(void **state)
{
	struct pl_id id = memory_store_tree(&store, "f a content 0600 owner=5 mtime=77\n");
	struct pl_node node = forge_read(&store, &id);
	struct pl_id object, expected, content;
	struct pl_entry e;

	assert_int_equal(pl_node_find(&node, "a", 1, &e), 1);
	pl_hash_of("content", 7, &content);
	pl_object_id(&(struct pl_meta){.mode = 0600, .uid = 5, .gid = 5, .mtime_s = 77}, 7,
		     &content, &expected);
	pl_entry_object(&e, &object);
	assert_true(pl_id_equal(&object, &expected));
	pl_node_done(&node);
}

static void errors_of_the_source_are_passed_up(void **state)
{
	struct pl_id id = memory_store_tree(&store, "f a 1\n");
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pl_node node = {.n_entries = 42};

	assert_int_equal(pl_node_read(&source, &pl_hash_empty, &node, &error), -ENOENT);
	assert_int_equal(error.code, PLEACH_NOT_FOUND);
	store.fail_read_at = store.n_reads + 1;
	assert_int_equal(pl_node_read(&source, &id, &node, &error), -EIO);
	assert_int_equal(pl_node_read(&source, &pl_hash_empty, &node, NULL), -ENOENT);
	assert_int_equal(node.n_entries, 42);
}

static void totals_of_a_node_are_those_its_parent_says(void **state)
{
	struct pl_id id =
		memory_store_tree(&store, "d a/b/c owner=1 x:trusted.overlay.x=1\n"
					  "f a/1 xxx\nf a/2 xxx\ng a/1 a/2\n"
					  "f a/b/3 yyyyy\nc a/b/c/dev 1 2\nc a/b/c/w 0 0\n"
					  "f a/b/c/7 12\nf a/b/8 12\ng a/b/8 a/b/c/7\n");
	struct pl_node root = forge_read(&store, &id), a;
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pl_totals totals, lie;
	struct pl_entry e;

	assert_int_equal(pl_node_find(&root, "a", 1, &e), 1);
	a = forge_read(&store, &e.hash);
	assert_int_equal(pl_node_totals(&source, &a, &totals, &error), 0);
	assert_int_equal(totals.entries, 9);
	assert_int_equal(totals.files, 5);
	assert_int_equal(totals.bytes, 15);
	assert_int_equal(totals.groups, 2);
	assert_int_equal(totals.depth, 2);
	assert_int_equal(totals.xattrs, 1 + 17 + 4 + 1);
	assert_int_equal(totals.oddities, 7);
	assert_int_equal(pl_node_check_totals(&source, &a, &e.totals, &error), 0);
	for (size_t i = 0; i < 7; i++) {
		uint64_t *wide = i == 0	  ? &lie.entries
				 : i == 1 ? &lie.files
				 : i == 2 ? &lie.bytes
					  : &lie.groups;
		uint32_t *narrow = i == 4 ? &lie.depth : i == 5 ? &lie.xattrs : &lie.oddities;

		lie = totals;
		if (i < 4)
			++*wide;
		else
			++*narrow;
		assert_int_equal(pl_node_check_totals(&source, &a, &lie, &error), -EBADMSG);
		assert_non_null(strstr(error.message, "not those its parent says"));
	}
	pl_node_done(&a);
	pl_node_done(&root);
}

static void sums_that_overflow_are_refused(void **state)
{
	static const struct pl_totals huge[] = {
		{.entries = UINT64_MAX},
		{.entries = 1, .files = 1, .bytes = UINT64_MAX},
	};
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pl_totals totals = {.depth = 42};
	struct pl_buffer b = {0};

	for (size_t i = 0; i < PL_ARRAY_LEN(huge); i++) {
		struct pl_node node;
		struct pl_id id;

		forge_head(&b, NULL, 0, 2);
		forge_directory(&b, "d", &pl_hash_empty, &huge[i]);
		forge_file(&b, "f", 1);
		id = forge_store(&store, &b);
		node = forge_read(&store, &id);
		assert_int_equal(pl_node_totals(&source, &node, &totals, &error), -EBADMSG);
		assert_non_null(strstr(error.message, "too large"));
		assert_int_equal(totals.depth, 42);
		pl_node_done(&node);
	}
}

/* Groups in blocks need entries to be of: names that are not there are seen by the sum already. */
static void more_groups_than_entries_are_refused(void **state)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pl_buffer b = {0};
	struct pl_totals totals;
	struct pl_node node;
	struct pl_id id;

	forge_block(&b, "a b", 1);
	id = forge_store(&store, &b);
	forge_head(&b, &id, 1, 1);
	forge_file(&b, "a", 1);
	id = forge_store(&store, &b);
	node = forge_read(&store, &id);
	assert_int_equal(pl_node_totals(&source, &node, &totals, &error), -EBADMSG);
	assert_non_null(strstr(error.message, "groups"));
	pl_node_done(&node);
}

static void blocks_that_are_missing_fail_the_sum(void **state)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pl_buffer b = {0};
	struct pl_totals totals;
	struct pl_node node;
	struct pl_id id;

	forge_head(&b, &pl_hash_empty, 1, 0);
	id = forge_store(&store, &b);
	node = forge_read(&store, &id);
	assert_int_equal(pl_node_totals(&source, &node, &totals, &error), -ENOENT);
	pl_node_done(&node);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(node_is_decoded_field_by_field),
		CASE(node_built_again_from_its_entries_is_the_same),
		CASE(node_cut_at_any_length_is_refused),
		CASE(node_with_a_byte_behind_is_refused),
		CASE(node_with_any_byte_changed_is_refused_or_canonical),
		CASE(head_that_breaks_a_rule_is_refused),
		CASE(node_of_more_than_a_gibibyte_is_refused),
		CASE(node_of_too_many_entries_is_refused_before_they_are_read),
		CASE(names_that_are_none_are_refused),
		CASE(names_out_of_order_are_refused),
		CASE(entries_that_break_a_rule_are_refused),
		CASE(longest_target_and_name_are_read),
		CASE(totals_that_cannot_be_are_refused),
		CASE(find_finds_every_name_and_no_other),
		CASE(entries_are_equal_if_all_but_the_name_is),
		CASE(entry_that_is_kept_elsewhere_comes_back),
		CASE(object_of_an_entry_is_that_of_its_fields),
		CASE(errors_of_the_source_are_passed_up),
		CASE(totals_of_a_node_are_those_its_parent_says),
		CASE(sums_that_overflow_are_refused),
		CASE(more_groups_than_entries_are_refused),
		CASE(blocks_that_are_missing_fail_the_sum),
	};

	/* Gibibytes that nobody touches cost nothing, unless each is filled for the sake of tests. */
	mallopt(M_PERTURB, 0);
	return cmocka_run_group_tests_name("tree/node", tests, NULL, NULL);
}
