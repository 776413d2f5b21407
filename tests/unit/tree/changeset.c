/*
 * The laws of changesets: which edit of a path counts, what an edit does to those below it, and what
 * does not go together. What edits make of a tree is tested with apply.
 */
#include "memory_store.h"

#include "tree/changeset.h"

static struct pl_changeset *changes;
static struct pleach_error error;
static const struct pl_meta plain = {.mode = 0755, .uid = PLEACH_NO_OWNER, .gid = PLEACH_NO_OWNER};

static int setup(void **state)
{
	error = (struct pleach_error)PLEACH_ERROR_INIT;
	return pl_changeset_new(1, &changes);
}

static int teardown(void **state)
{
	pl_changeset_free(changes);
	changes = NULL;
	return 0;
}

static void put(const char *path, const char *target, uint64_t link)
{
	struct pl_entry entry = {.kind = 'l',
				 .meta = plain,
				 .target = target,
				 .target_length = (uint16_t)strlen(target)};

	entry.meta.mode = 0777;
	assert_int_equal(pl_changeset_put(changes, path, &entry, link), 0);
}

static void drop(const char *path)
{
	assert_int_equal(pl_changeset_remove(changes, path), 0);
}

static void dir(const char *path, const char *origin, const struct pl_meta *meta)
{
	assert_int_equal(pl_changeset_dir(changes, path, origin, meta), 0);
}

static void tree(const char *path)
{
	struct pl_totals totals = {.entries = 2, .files = 1, .bytes = 9, .depth = 1};

	assert_int_equal(pl_changeset_tree(changes, path, &pl_hash_empty, &totals), 0);
}

static void group(const char *one, const char *two)
{
	const char *const paths[] = {one, two};

	assert_int_equal(pl_changeset_group(changes, paths, 2), 0);
}

static void add_edit(struct pl_buffer *b, const struct pl_edits *edits, const struct pl_edit *edit)
{
	pl_buffer_add_format(b, "%c %s", "?rpdtk"[edit->kind], edit -> path);
	if (edit->kind == PL_EDIT_PUT)
		pl_buffer_add_format(b, "=%.*s", (int)edit->entry.target_length,
				     edit->entry.target);
	if (edit->origin)
		pl_buffer_add_format(b, "<%s", edit->origin);
	if (edit->has_meta)
		pl_buffer_add_format(b, " %o", (unsigned)edit->meta.mode);
	if (edit->above != SIZE_MAX)
		pl_buffer_add_format(b, " in %s", edits->items[edit->above].path);
	for (const struct pl_edit *other = edits->items; edit->group && other < edit; other++) {
		if (other->group == edit->group)
			pl_buffer_add_format(b, " with %s", other->path);
	}
	pl_buffer_add_u8(b, '\n');
}

/* The settled edits, a line each: kind, path, and what there is to say. */
static void expect(const char *expected)
{
	struct pl_edits edits;
	PL_BUFFER b = {0};

	if (pl_changeset_settle(changes, &edits, &error) < 0)
		fail_msg("%s", error.message);
	for (size_t i = 0; i < edits.n; i++)
		add_edit(&b, &edits, &edits.items[i]);
	assert_string_equal(pl_buffer_string(&b), expected);
	pl_edits_done(&edits);
}

static void refuse(int err, const char *path)
{
	struct pl_edits edits;

	assert_int_equal(pl_changeset_settle(changes, &edits, &error), -err);
	assert_int_equal(error.code, PLEACH_FAILED);
	assert_int_equal(error.err, err);
	assert_string_equal(error.path, path);
	assert_non_null(strstr(error.message, path));
}

static void a_new_one_is_empty_and_settles_to_nothing(void **state)
{
	assert_true(pl_changeset_is_empty(changes));
	expect("");
	drop("a");
	assert_false(pl_changeset_is_empty(changes));
}

static void edits_are_in_the_order_of_a_walk_whatever_order_they_came_in(void **state)
{
	put("a0", "x", 0);
	put("a/z", "x", 0);
	put("a-", "x", 0);
	dir("a", "a", NULL);
	put("\xff", "x", 0);
	drop("A");
	dir("", "", &plain);
	put("a/b/c", "x", 0);
	expect("d < 755\nr A in \nd a<a in \np a/b/c=x in a\np a/z=x in a\np a-=x in \np a0=x in \n"
	       "p \xff=x in \n");
}

static void the_last_edit_of_a_path_counts(void **state)
{
	put("a", "x", 0);
	put("a", "y", 0);
	put("b", "x", 0);
	drop("b");
	drop("c");
	dir("c", "old", &plain);
	dir("d", NULL, &plain);
	dir("d", "d", NULL);
	dir("e", "e", NULL);
	tree("e");
	expect("p a=y\nr b\nd c<old 755\nd d<d\nt e\n");
}

static void everything_is_copied(void **state)
{
	char path[] = "dir/name", target[] = "target", origin[] = "from";
	unsigned char xattrs[] = "\6user.a\0\0\0\1v";
	struct pl_meta meta = plain;
	struct pl_edits edits;

	meta.xattrs = xattrs;
	meta.xattrs_length = sizeof(xattrs) - 1;
	dir("dir", origin, &meta);
	put(path, target, 0);
	memset(path, 'x', 8);
	memset(target, 'x', 6);
	memset(origin, 'x', 4);
	memset(xattrs, 'x', sizeof(xattrs));
	expect("d dir<from 755\np dir/name=target in dir\n");
	assert_int_equal(pl_changeset_settle(changes, &edits, &error), 0);
	assert_int_equal(edits.items[0].meta.xattrs_length, 12);
	assert_memory_equal(edits.items[0].meta.xattrs, "\6user.a\0\0\0\1v", 12);
	assert_memory_equal(edits.items[1].entry.name, "name", 4);
	assert_int_equal(edits.items[1].entry.name_length, 4);
	pl_edits_done(&edits);
}

static void a_whole_tree_is_kept_with_its_totals(void **state)
{
	struct pl_edits edits;

	tree("t");
	assert_int_equal(pl_changeset_settle(changes, &edits, &error), 0);
	assert_true(pl_id_equal(&edits.items[0].entry.hash, &pl_hash_empty));
	assert_int_equal(edits.items[0].entry.totals.bytes, 9);
	assert_int_equal(edits.items[0].entry.kind, PLEACH_DIR);
	pl_edits_done(&edits);
}

static void what_stood_below_a_later_removal_put_or_tree_is_void(void **state)
{
	put("a/x", "x", 0);
	drop("a");
	put("b/x/y", "x", 0);
	put("b", "y", 0);
	put("c/x", "x", 0);
	tree("c");
	put("d/x/y", "x", 0);
	put("d/z", "x", 0);
	drop("d/x");
	put("e/x", "x", 0);
	drop("e");
	dir("e", NULL, &plain);
	put("e/y", "y", 0);
	expect("r a\np b=y\nt c\nr d/x\np d/z=x\nd e 755\np e/y=y in e\n");
}

static void what_stood_below_a_later_edit_of_a_directory_stays(void **state)
{
	put("a/x", "x", 0);
	dir("a", NULL, &plain);
	put("b/x", "x", 0);
	dir("b", "b", NULL);
	expect("d a 755\np a/x=x in a\nd b<b\np b/x=x in b\n");
}

static void a_removal_below_what_is_gone_has_no_effect(void **state)
{
	drop("a");
	drop("a/b/c");
	put("b", "x", 0);
	drop("b/x");
	drop("b/x/y");
	drop("c/x");
	expect("r a\np b=x\nr c/x\n");
}

static void an_edit_below_what_is_no_directory_is_refused(void **state)
{
	drop("a");
	put("a/b/c", "x", 0);
	refuse(ENOTDIR, "a/b/c");
	drop("a");
	expect("r a\n");
	put("b", "x", 0);
	dir("b/c", NULL, &plain);
	refuse(ENOTDIR, "b/c");
}

static void an_edit_below_a_whole_tree_is_refused(void **state)
{
	tree("a");
	drop("a/b");
	refuse(EINVAL, "a/b");
	put("a/b", "x", 0);
	refuse(EINVAL, "a/b");
}

static void names_with_one_link_are_a_group(void **state)
{
	put("a", "x", 7);
	put("b", "x", UINT64_MAX);
	put("c/d", "x", 7);
	put("e", "x", UINT64_MAX);
	put("f", "x", 0);
	put("g", "x", 7);
	put("g", "x", 0);
	expect("p a=x\np b=x\np c/d=x with a\np e=x with b\np f=x\np g=x\n");
}

static void a_group_takes_puts_and_names_without_an_edit(void **state)
{
	put("a", "x", 7);
	put("b", "x", 7);
	put("c", "x", 0);
	group("b", "c");
	group("d", "e/f");
	expect("p a=x\np b=x\np c=x with b\nk d\nk e/f with d\n");
	group("d", "a");
	expect("p a=x\np b=x\np c=x with b\nk d with a\nk e/f\n");
	put("d", "y", 0);
	expect("p a=x\np b=x\np c=x with b\np d=y\nk e/f\n");
}

static void a_group_of_what_is_no_file_is_refused(void **state)
{
	drop("a");
	group("a", "b");
	refuse(EINVAL, "a");
	put("a", "x", 0);
	dir("b", NULL, &plain);
	group("a", "b");
	refuse(EINVAL, "b");
}

static void what_is_no_path_is_refused(void **state)
{
	static const char *const wrong[] = {"/", "a/", "/a", "a//b", ".", "a/..", "../a"};
	struct pl_entry entry = {.kind = 'p', .meta = plain};
	struct pl_totals none = {0};

	for (size_t i = 0; i <= PL_ARRAY_LEN(wrong); i++) {
		const char *path = i < PL_ARRAY_LEN(wrong) ? wrong[i] : "";
		const char *const paths[] = {"a", path};

		assert_int_equal(pl_changeset_remove(changes, path), -EINVAL);
		assert_int_equal(pl_changeset_put(changes, path, &entry, 0), -EINVAL);
		assert_int_equal(pl_changeset_group(changes, paths, 2), -EINVAL);
		if (!*path)
			continue; /* the root is a directory */
		assert_int_equal(pl_changeset_dir(changes, path, NULL, &plain), -EINVAL);
		assert_int_equal(pl_changeset_dir(changes, "a", path, NULL), -EINVAL);
		assert_int_equal(pl_changeset_tree(changes, path, &pl_hash_empty, &none), -EINVAL);
	}
	assert_true(pl_changeset_is_empty(changes));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_new_one_is_empty_and_settles_to_nothing),
		CASE(edits_are_in_the_order_of_a_walk_whatever_order_they_came_in),
		CASE(the_last_edit_of_a_path_counts),
		CASE(everything_is_copied),
		CASE(a_whole_tree_is_kept_with_its_totals),
		CASE(what_stood_below_a_later_removal_put_or_tree_is_void),
		CASE(what_stood_below_a_later_edit_of_a_directory_stays),
		CASE(a_removal_below_what_is_gone_has_no_effect),
		CASE(an_edit_below_what_is_no_directory_is_refused),
		CASE(an_edit_below_a_whole_tree_is_refused),
		CASE(names_with_one_link_are_a_group),
		CASE(a_group_takes_puts_and_names_without_an_edit),
		CASE(a_group_of_what_is_no_file_is_refused),
		CASE(what_is_no_path_is_refused),
	};

	return cmocka_run_group_tests_name("tree/changeset", tests, NULL, NULL);
}
