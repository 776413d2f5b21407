/*
 * The laws of merging, rule by rule (CLI.md, "Merging"): what comes of three trees that are told in
 * texts, what is read for it, and what of hostile ones.
 */
#include "forge.h"
#include "merging.h"

#define DEEP 2000

/* Merges, and fails unless it gives the tree `expected`, or with NULL the conflicts. */
static void try(const char *policies, const char *const texts[3], const char *expected,
		const char *conflicts)
{
	struct pl_id ids[3], wanted = {0}, got;
	struct memory_store store;
	char *text, *a, *b;
	int r;

	memory_store_init(&store);
	for (int i = 0; i < 3; i++)
		ids[i] = memory_store_tree(&store, texts[i]);
	if (expected)
		wanted = memory_store_tree(&store, expected);
	r = merging_run(&store, policies, ids, &got, &text);
	assert_true(r >= 0);
	assert_string_equal(text, expected ? "" : conflicts);
	free(text);
	if (expected) {
		a = memory_store_dump(&store, &got);
		b = memory_store_dump(&store, &wanted);
		assert_string_equal(a, b);
		free(a);
		free(b);
		assert_true(pl_id_equal(&got, &wanted));
	}
	memory_store_done(&store);
}

/* "a X/Y\n" to "a Y/X\n". */
static char *swap_words(const char *conflicts)
{
	struct pl_buffer b = {0};

	while (*conflicts) {
		const char *end = strchr(conflicts, '\n'), *space = end, *slash = end;

		while (*slash != '/')
			slash--;
		for (space = slash; *space != ' ';)
			space--;
		pl_buffer_add(&b, conflicts, (size_t)(space + 1 - conflicts));
		pl_buffer_add(&b, slash + 1, (size_t)(end - slash - 1));
		pl_buffer_add_u8(&b, '/');
		pl_buffer_add(&b, space + 1, (size_t)(slash - space - 1));
		pl_buffer_add_u8(&b, '\n');
		conflicts = end + 1;
	}
	return pl_buffer_take_string(&b);
}

/* Without policies the sides are equal: all is tried both ways round, also under a policy that fails. */
static void expect(const char *base, const char *head, const char *tx, const char *expected,
		   const char *conflicts)
{
	const char *const texts[3] = {base, head, tx}, *const swapped[3] = {base, tx, head};
	char *other = expected ? NULL : swap_words(conflicts);

	try(NULL, texts, expected, conflicts);
	try("*:fail", texts, expected, conflicts);
	try(NULL, swapped, expected, other);
	try("*:fail", swapped, expected, other);
	free(other);
}
static void lands(const char *base, const char *head, const char *tx, const char *expected)
{
	expect(base, head, tx, expected, NULL);
}
static void conflicts(const char *base, const char *head, const char *tx, const char *paths)
{
	expect(base, head, tx, NULL, paths);
}
static void with_policy(const char *policies, const char *base, const char *head, const char *tx,
			const char *expected, const char *paths)
{
	const char *const texts[3] = {base, head, tx};

	try(policies, texts, expected, paths);
}

/* ---- files ---- */

static void G3_changes_of_different_paths_land(void **state)
{
	lands("f a 1\nf b 1", "f a 2\nf b 1", "f a 1\nf b 2", "f a 2\nf b 2");
	lands("f d/a 1\nf d/b 1", "f d/a 2\nf d/b 1", "f d/a 1\nf d/b 2", "f d/a 2\nf d/b 2");
	lands("f d/a 1\nf d/b 1", "f d/b 1", "f d/a 1", "d d");
	lands("f d/a 1", "f d/a 1\nf d/h 1", "f d/a 1\nf d/t 1", "f d/a 1\nf d/h 1\nf d/t 1");
	lands("f a 1\nf e/x 1", "f e/x 1\nf h/i/j 1", "f a 1\nf t/u 1", "f h/i/j 1\nf t/u 1");
	lands("f a 1\nd d", "l a to\nd d", "f a 1\np d", "l a to\np d");
	lands("d .\nf a 1", "d . 0700\nf a 1", "d .\nf a 2", "d . 0700\nf a 2");
}

static void what_one_side_left_alone_is_the_others(void **state)
{
	lands("f a 1", "f a 1", "f a 2 0600 mtime=3", "f a 2 0600 mtime=3");
	lands("f a 1", "f a 1", "d .", "d .");
	lands("f a 1", "f a 1", "f a/b 1", "f a/b 1");
	lands("f a/b 1", "f a/b 1", "l a x", "l a x");
	lands("d .", "d .", "f x/y/z 1\nf x/y/w 1\ng x/y/z x/y/w",
	      "f x/y/z 1\nf x/y/w 1\ng x/y/z x/y/w");
}

static void changed_alike_is_no_conflict(void **state)
{
	lands("f a 1\nf k 1", "f a 2\nf k 1\nf h 1", "f a 2\nf k 1", "f a 2\nf k 1\nf h 1");
	lands("f a 1\nf k 1", "f k 1\nf h 1", "f k 1\nf t 1", "f k 1\nf h 1\nf t 1");
	lands("d .", "f n 1\nf h 1", "f n 1\nf t 1", "f n 1\nf h 1\nf t 1");
	lands("f a 1", "f a/b 1\nf h 1", "f a/b 1\nf t 1", "f a/b 1\nf h 1\nf t 1");
	lands("f a/b 1", "l a x\nf h 1", "l a x\nf t 1", "l a x\nf h 1\nf t 1");
	/* A field that both changed alike counts for neither side. */
	lands("f a 1", "f a 1 0600", "f a 1 0600 owner=3", "f a 1 0600 owner=3");
	lands("f a 1", "f a 2", "f a 2 0600", "f a 2 0600");
}

static void content_of_one_side_and_metadata_of_the_other_merge(void **state)
{
	lands("f a 1", "f a 2", "f a 1 0600", "f a 2 0600");
	lands("f a 1 mtime=1", "f a 2 mtime=9", "f a 1 0600 mtime=1", "f a 2 0600 mtime=9");
	lands("f a 1 mtime=1", "f a 2 mtime=9", "f a 1 owner=7 mtime=1 x:user.k=v",
	      "f a 2 mtime=9 owner=7 x:user.k=v");
	lands("f a 1", "f a 2", "f a 1 mtime=5", "f a 2 mtime=5");
	lands("f a 1 x:user.a=1 x:user.b=1", "f a 2 x:user.a=1 x:user.b=2",
	      "f a 1 0700 x:user.b=1 x:user.c=3", "f a 2 0700 x:user.b=2 x:user.c=3");
	lands("f a 1 x:user.a=1", "f a 2 x:user.a=1 x:user.z=1", "f a 1 x:user.b=1",
	      "f a 2 x:user.b=1 x:user.z=1");
	lands("l a 1", "l a 2", "l a 1 owner=4", "l a 2 owner=4");
	lands("c a 1 2", "c a 1 3", "c a 1 2 0600", "c a 1 3 0600");
}

static void a_file_changed_differently_is_a_conflict(void **state)
{
	conflicts("f a 1", "f a 2", "f a 3", "a modified/modified\n");
	conflicts("l a 1", "l a 2", "l a 3", "a modified/modified\n");
	conflicts("b a 1 2", "b a 1 3", "b a 1 4", "a modified/modified\n");
	conflicts("f a 1", "f a 2 0600", "f a 1 0640", "a modified/metadata\n");
	conflicts("f a 1 mtime=1", "f a 2 mtime=2", "f a 1 mtime=3", "a modified/metadata\n");
	conflicts("f a 1 mtime=1", "f a 1 mtime=2", "f a 1 mtime=3", "a metadata/metadata\n");
	conflicts("f a 1 mtime=1", "f a 2 mtime=2", "f a 2 mtime=3", "a modified/modified\n");
	conflicts("f a 1", "f a 2 x:user.k=1", "f a 1 x:user.k=2", "a modified/metadata\n");
	conflicts("f a 1 x:user.k=0", "f a 2", "f a 1 x:user.k=2", "a modified/metadata\n");
	conflicts("f a 1", "f a 1 owner=1", "f a 2 owner=2", "a metadata/modified\n");
	conflicts("f d/e/a 1\nf b 1", "f d/e/a 2\nf b 2", "f d/e/a 3\nf b 3",
		  "b modified/modified\nd/e/a modified/modified\n");
}

static void metadata_of_a_file_is_one_value_without_content(void **state)
{
	conflicts("f a 1", "f a 1 0600", "f a 1 owner=3", "a metadata/metadata\n");
	conflicts("f a 1", "f a 1 x:user.a=1", "f a 1 x:user.b=1", "a metadata/metadata\n");
	conflicts("p a", "p a 0600", "p a owner=3", "a metadata/metadata\n");
}

static void both_add_a_path(void **state)
{
	lands("f k 1", "f k 1\nf a 1 mtime=5\nf h 1", "f k 1\nf a 1 mtime=7\nf t 1",
	      "f k 1\nf a 1 mtime=7\nf h 1\nf t 1");
	lands("d .", "l a 1 mtime=5", "l a 1 mtime=7", "l a 1 mtime=7");
	conflicts("d .", "f a 1", "f a 2", "a added/added\n");
	conflicts("d .", "f a 1", "f a 1 0600", "a added/added\n");
	conflicts("d .", "f a 1", "l a 1", "a added/added\n");
	conflicts("d .", "f a 1", "f a/x 1", "a added/added\n");
	lands("d .", "f d/h 1\nf d/e/h 1", "f d/t 1\nf d/e/t 1",
	      "f d/h 1\nf d/e/h 1\nf d/t 1\nf d/e/t 1");
	conflicts("d .", "f d/h 1\nf d/x 1", "f d/t 1\nf d/x 2", "d/x added/added\n");
	conflicts("d .", "d d\nf d/h 1", "d d 0700\nf d/t 1", "d added/added\n");
	lands("d .", "d d mtime=3\nf d/h 1", "d d mtime=2\nf d/t 1",
	      "d d mtime=3\nf d/h 1\nf d/t 1");
	lands("f d 1", "f d/h 1", "f d/t 1", "f d/h 1\nf d/t 1");
	lands("f d 1", "l d 1 mtime=5", "l d 1 mtime=6", "l d 1 mtime=6");
}

static void removed_against_changed_is_a_conflict(void **state)
{
	conflicts("f a 1", "d .", "f a 2", "a removed/modified\n");
	conflicts("f a 1", "d .", "f a 1 0600", "a removed/metadata\n");
	conflicts("f a 1", "d .", "l a 1", "a removed/type\n");
	conflicts("f a 1", "d .", "f a/b 1", "a removed/type\n");
}

static void types_that_change_differently_are_a_conflict(void **state)
{
	conflicts("f a 1", "l a 1", "f a 2", "a type/modified\n");
	conflicts("f a 1", "l a 1", "f a 1 0600", "a type/metadata\n");
	conflicts("f a 1", "l a 1", "p a", "a type/type\n");
	conflicts("f a 1", "f a/b 1", "f a 2", "a type/modified\n");
	conflicts("f a 1", "f a/b 1", "l a 2", "a type/type\n");
	conflicts("f a/b 1", "f a 1", "l a 2", "a type/type\n");
	conflicts("f a/b 1", "d .", "l a 2", "a removed/type\n");
	conflicts("f a/b 1", "l a 2", "f a/b 2", "a/b removed/modified\n");
}

/* ---- directories ---- */

static void a_directory_removed_against_a_change_inside_is_a_conflict(void **state)
{
	conflicts("f d/a 1\nf d/b 1", "d .", "f d/a 2\nf d/b 1", "d/a removed/modified\n");
	conflicts("f d/a 1", "d .", "f d/a 1\nf d/n 1", "d/n removed/added\n");
	conflicts("f d/a 1", "d .", "f d/a 1\nf d/n/m 1", "d/n removed/added\n");
	conflicts("f d/e/f/a 1\nf d/b 1", "f k 1", "f d/e/f/a 1 0600\nf d/b 2",
		  "d/b removed/modified\nd/e/f/a removed/metadata\n");
	conflicts("f d/a 1", "d .", "d d 0700\nf d/a 1", "d removed/metadata\n");
	conflicts("f d/e/a 1", "d .", "d d/e 0700\nf d/e/a 1", "d/e removed/metadata\n");
	conflicts("f d/a 1\nf d/b 1", "d .", "f d/a/x 1\nf d/b 1", "d/a removed/type\n");
	conflicts("f d/a/x 1\nf d/b 1", "d .", "f d/a 1\nf d/b 1", "d/a removed/type\n");
}

static void a_directory_removed_against_less_inside_is_gone(void **state)
{
	lands("f d/a 1\nf d/b 1", "d .", "f d/b 1", "d .");
	lands("f d/e/a 1\nf d/b 1", "d .", "f d/b 1", "d .");
	lands("f d/a 1\nf d/b 1", "l d x", "f d/b 1", "l d x");
	lands("d d mtime=1\nf d/a 1\nf d/b 1", "d .", "d d mtime=2\nf d/b 1", "d .");
	lands("f d/e/a 1", "d .", "d d mtime=3\nf d/e/a 1", "d .");
}

static void metadata_of_directories_merge_field_by_field(void **state)
{
	lands("d d\nf k 1", "d d 0700\nf k 1", "d d owner=3\nf k 1", "d d 0700 owner=3\nf k 1");
	lands("d d x:user.a=1", "d d x:user.a=2", "d d x:user.a=1 x:user.b=1",
	      "d d x:user.a=2 x:user.b=1");
	lands("d d x:user.a=1", "d d", "d d 0700 x:user.a=1 x:user.b=1", "d d 0700 x:user.b=1");
	lands("d . ", "d . 0700\nf h 1", "d . owner=3\nf t 1", "d . 0700 owner=3\nf h 1\nf t 1");
	conflicts("d d", "d d 0700", "d d 0711", "d metadata/metadata\n");
	conflicts("d d", "d d owner=1", "d d owner=2", "d metadata/metadata\n");
	conflicts("d d", "d d x:user.a=1", "d d x:user.a=2", "d metadata/metadata\n");
	conflicts("d . ", "d . 0700", "d . 0711", ". metadata/metadata\n");
	conflicts("d d", "d d 0700\nf d/a 1", "d d 0711\nf d/a 2",
		  "d metadata/metadata\nd/a added/added\n");
}

static void mtimes_of_directories_never_conflict_and_the_later_wins(void **state)
{
	lands("d d mtime=1\nf d/a 1", "d d mtime=5\nf d/a 2", "d d mtime=9\nf d/a 1\nf d/b 1",
	      "d d mtime=9\nf d/a 2\nf d/b 1");
	lands("d . mtime=1\nf a 1", "d . mtime=5\nf a 2", "d . mtime=3\nf a 1\nf b 1",
	      "d . mtime=5\nf a 2\nf b 1");
	lands("d d mtime=9\nf d/a 1\nf d/b 1", "d d mtime=5\nf d/a 2\nf d/b 1",
	      "d d mtime=9\nf d/a 1\nf d/b 2", "d d mtime=5\nf d/a 2\nf d/b 2");
}

static void a_rename_is_a_removal_and_an_addition(void **state)
{
	lands("f a 1\nf b 1", "f c 1\nf b 1", "f a 1\nf b 2", "f c 1\nf b 2");
	lands("f a 1", "f h 1", "f t 1", "f h 1\nf t 1");
	conflicts("f a 1", "f c 1", "f a 2", "a removed/modified\n");
	lands("f d/a 1\nf k 1", "f e/a 1\nf k 1", "f d/a 1\nf k 2", "f e/a 1\nf k 2");
	conflicts("f d/a 1", "f e/a 1", "f d/a 2", "d/a removed/modified\n");
}

/* ---- hard links ---- */

static void groups_that_one_side_changed_are_taken(void **state)
{
	lands("f a 1\nf b 1\nf k 1", "f a 1\nf b 1\nf k 2", "f a 1\nf b 1\nf k 1\ng a b",
	      "f a 1\nf b 1\nf k 2\ng a b");
	lands("f a 1\nf b 1\nf k 1\ng a b", "f a 1\nf b 1\nf k 2\ng a b", "f a 1\nf b 1\nf k 1",
	      "f a 1\nf b 1\nf k 2");
	lands("f a 1\nf b 1\nf k 1\ng a b", "f a 1\nf b 1\nf k 2\ng a b", "f b 1\nf k 1",
	      "f b 1\nf k 2");
	lands("f a 1\nf k 1", "f a 1\nf k 2", "f a 1\nf k 1\nf d/n 1\ng a d/n",
	      "f a 1\nf k 2\nf d/n 1\ng a d/n");
	lands("f a 1\nf b 1\nf c 1\nf k 1\ng a b c", "f a 1\nf b 1\nf c 1\nf k 2\ng a b c",
	      "f a 2\nf b 1\nf c 1\nf k 1\ng b c", "f a 2\nf b 1\nf c 1\nf k 2\ng b c");
}

static void a_change_of_a_group_is_one_change(void **state)
{
	lands("f a 1\nf b 1\nf k 1\ng a b", "f a 1\nf b 1\nf k 2\ng a b",
	      "f a 2\nf b 2\nf k 1\ng a b", "f a 2\nf b 2\nf k 2\ng a b");
	lands("f d/a 1\nf e/b 1\nf d/k 1\ng d/a e/b", "f d/a 1\nf e/b 1\nf d/k 2\ng d/a e/b",
	      "f d/a 2\nf e/b 2\nf d/k 1\ng d/a e/b", "f d/a 2\nf e/b 2\nf d/k 2\ng d/a e/b");
	lands("f d/a 1\nf e/b 1\ng d/a e/b", "f d/a 1 0600\nf e/b 1 0600\ng d/a e/b",
	      "f d/a 2\nf e/b 2\ng d/a e/b", "f d/a 2 0600\nf e/b 2 0600\ng d/a e/b");
	conflicts("f d/a 1\nf e/b 1\ng d/a e/b", "f d/a 3\nf e/b 3\ng d/a e/b",
		  "f d/a 2\nf e/b 2\ng d/a e/b", "d/a modified/modified\ne/b modified/modified\n");
	lands("d .", "f a 1 mtime=1\nf d/b 1 mtime=1\ng a d/b",
	      "f a 1 mtime=2\nf d/b 1 mtime=2\ng a d/b", "f a 1 mtime=2\nf d/b 1 mtime=2\ng a d/b");
}

static void content_on_one_side_and_names_on_the_other_conflict_on_all_names(void **state)
{
	conflicts("f a 1\nf b 1", "f a 2\nf b 1", "f a 1\nf b 1\ng a b",
		  "a modified/links\nb unchanged/links\n");
	conflicts("f a 1", "f a 2", "f a 1\nf d/n 1\ng a d/n",
		  "a modified/links\nd/n unchanged/added\n");
	conflicts("f a 1\nf d/b 1\nf c 1\ng a d/b c", "f a 2\nf d/b 2\nf c 2\ng a d/b c",
		  "f a 1\nf d/b 1\ng a d/b",
		  "a modified/links\nc modified/removed\nd/b modified/links\n");
	conflicts("f a 1\nf b 1\ng a b", "f a 2\nf b 2\ng a b", "f a 1\nf b 1",
		  "a modified/links\nb modified/links\n");
	conflicts("f a 1\nf b 1\ng a b", "f a 1 0600\nf b 1 0600\ng a b", "f a 1\nf b 1",
		  "a metadata/links\nb metadata/links\n");
}

static void G3_names_of_one_file_that_come_and_go_on_both_sides_land(void **state)
{
	lands("f a 1", "f a 1\nf h 1\ng a h", "f a 1\nf t 1\ng a t",
	      "f a 1\nf h 1\nf t 1\ng a h t");
	lands("f a 1\nf b 1\nf c 1\ng a b c", "f b 1\nf c 1\ng b c", "f a 1\nf c 1\ng a c",
	      "f c 1");
	lands("f a 1\nf b 1\ng a b", "f a 1", "f b 1", "d .");
	lands("f a 1\nf b 1\ng a b", "f h 1\nf b 1\ng h b", "f a 1\nf b 1\nf d/t 1\ng a b d/t",
	      "f h 1\nf b 1\nf d/t 1\ng h b d/t");
	lands("f a 1", "d .", "f a 1\nf t 1\ng a t", "f t 1");
	lands("f a 1\nf b 1\ng a b", "f b 1\nf h 1\nf i 1\ng h i", "f a 1\nf b 1\nf t 1\ng a b t",
	      "f b 1\nf t 1\nf h 1\nf i 1\ng b t\ng h i");
	/* Also where the directory goes. */
	lands("f d/a 1\nf e/b 1\ng d/a e/b", "f e/b 1", "f d/a 1\nf e/b 1\nf t 1\ng d/a e/b t",
	      "f e/b 1\nf t 1\ng e/b t");
}

static void groups_that_both_sides_made_differently_conflict(void **state)
{
#define THREE "f a 1\nf b 1\nf c 1\n"
	conflicts(THREE, THREE "g a b", THREE "g b c",
		  "a links/unchanged\nb links/links\nc unchanged/links\n");
	conflicts(THREE "g a b c", THREE "g a b", THREE "g b c",
		  "a links/links\nb links/links\nc links/links\n");
	conflicts("f a 1\nf b 1\ng a b", "f a 1\nf b 1", "f a 1\nf b 1\nf t 1\ng a b t",
		  "a links/links\nb links/links\nt unchanged/added\n");
	conflicts("f a 1\nf b 1", "f a 1\nf b 1\nf n 1\ng a n", "f a 1\nf b 1\nf n 1\ng b n",
		  "a links/unchanged\nb unchanged/links\nn added/added\n");
	conflicts("f a 1", "f a 1\nf n 1\ng a n", "f a 1\nf n 1",
		  "a links/unchanged\nn added/added\n");
}

static void groups_that_both_sides_changed_alike_are_no_conflict(void **state)
{
	lands("f a 1\nf b 1\nf k 1", "f a 1\nf b 1\nf k 2\ng a b",
	      "f a 1\nf b 1\nf k 1\nf t 1\ng a b", "f a 1\nf b 1\nf k 2\nf t 1\ng a b");
	lands("f a 1\nf b 1\nf c 1\ng a b c", "f a 1\nf b 1\ng a b", "f a 2\nf b 2\ng a b",
	      "f a 2\nf b 2\ng a b");
	/* One side's name is new on both, but only one changed what it is: they would not be equal. */
	conflicts("f a 1 mtime=5", "f a 1 mtime=5\nf n 1 mtime=5\ng a n",
		  "f a 1 mtime=2\nf n 1 mtime=2\ng a n", "a links/metadata\nn added/added\n");
}

static void a_name_in_a_directory_that_the_other_side_removed_conflicts(void **state)
{
	conflicts("f a 1\nf d/x 1", "f a 1", "f a 1\nf d/x 1\nf d/n 1\ng a d/n",
		  "a unchanged/links\nd/n removed/added\n");
	conflicts("f a 1\nf d/x 1", "f a 1", "f a 1\nf d/x 1\ng a d/x",
		  "a unchanged/links\nd/x removed/links\n");
}

static void a_group_across_the_border_of_a_directory_that_is_taken_stays(void **state)
{
	lands("f d/a 1\nf e/b 1\nf d/k 1\ng d/a e/b", "f d/a 1\nf e/b 1\nf d/k 1\nf h 1\ng d/a e/b",
	      "f d/a 1\nf e/b 1\nf d/k 2\nf d/n/m 1\ng d/a e/b",
	      "f d/a 1\nf e/b 1\nf d/k 2\nf d/n/m 1\nf h 1\ng d/a e/b");
	lands("f e/b 1", "f e/b 1\nf h 1", "f e/b 1\nf d/x/a 1\nf d/y 1\ng d/x/a e/b",
	      "f e/b 1\nf d/x/a 1\nf d/y 1\nf h 1\ng d/x/a e/b");
	lands("f d/e/a 1\nf d/e/k 1\nf b 1\ng d/e/a b",
	      "f d/e/a 1\nf d/e/k 1\nf b 1\nf h 1\ng d/e/a b",
	      "f c/e/a 1\nf c/e/k 1\nf b 1\ng c/e/a b",
	      "f c/e/a 1\nf c/e/k 1\nf b 1\nf h 1\ng c/e/a b");
}

/* ---- policies ---- */

static void ours_and_theirs_decide_a_path(void **state)
{
	with_policy("a:ours", "f a 1\nf b 1", "f a 2\nf b 1", "f a 3\nf b 2", "f a 2\nf b 2", NULL);
	with_policy("a:theirs", "f a 1\nf b 1", "f a 2\nf b 2", "f a 3\nf b 1", "f a 3\nf b 2",
		    NULL);
	with_policy("a:ours", "f a 1", "d .", "f a 3", "d .", NULL);
	with_policy("a:ours", "f a 1", "f a 3", "d .", "f a 3", NULL);
	with_policy("a:theirs", "f a 1", "d .", "f a 3", "f a 3", NULL);
	with_policy("a:theirs", "f a 1", "f a 3", "d .", "d .", NULL);
	with_policy("a:theirs", "f a 1", "f a 2", "f a/b/c 1", "f a/b/c 1", NULL);
	with_policy("a:ours", "f a 1", "f a 2", "f a/b/c 1", "f a 2", NULL);
	with_policy("a:theirs", "d .", "f a/b/c 1", "l a x", "l a x", NULL);
	with_policy("a:ours", "f a 1\nf b 1", "f a 2\nf b 2", "f a 3\nf b 3", NULL,
		    "b modified/modified\n");
	/* They decide conflicts, and nothing else. */
	with_policy("a:ours", "f a 1\nf b 1", "f a 1\nf b 2", "f a 3\nf b 1", "f a 3\nf b 2", NULL);
	with_policy("a:theirs", "f a 1\nf b 1", "f a 2\nf b 1", "f a 1\nf b 2", "f a 2\nf b 2",
		    NULL);
	with_policy("d:ours", "d d", "d d 0700\nf d/h 1", "d d 0711 mtime=4\nf d/t 1",
		    "d d 0700 mtime=4\nf d/h 1\nf d/t 1", NULL);
	with_policy("d:theirs", "d d", "d d 0700 mtime=4\nf d/h 1", "d d 0711\nf d/t 1",
		    "d d 0711 mtime=4\nf d/h 1\nf d/t 1", NULL);
}

static void a_removed_directory_is_decided_on_as_a_whole(void **state)
{
#define DIR3 "f d/a 1\nf d/b 1\nf d/e/c 1\n"
	with_policy("d:ours", DIR3, "f d/a 2\nf d/b 1\nf d/e/c 1", "f k 1",
		    "f d/a 2\nf d/b 1\nf d/e/c 1\nf k 1", NULL);
	with_policy("d:theirs", DIR3, "f d/a 2\nf d/b 1\nf d/e/c 1", "f k 1", "f k 1", NULL);
	with_policy("d:ours", DIR3, "f k 1", "f d/a 2\nf d/b 1\nf d/e/c 1", "f k 1", NULL);
	with_policy("d:theirs", DIR3, "f k 1", "d d 0711\nf d/a 2\nf d/b 1\nf d/e/c 1\nf d/n/m 1",
		    "d d 0711\nf d/a 2\nf d/b 1\nf d/e/c 1\nf d/n/m 1\nf k 1", NULL);
	with_policy("d:theirs", DIR3, "l d x", "f d/a 2\nf d/b 1\nf d/e/c 1",
		    "f d/a 2\nf d/b 1\nf d/e/c 1", NULL);
	with_policy("d:ours", DIR3, "f d/a 2\nf d/b 1\nf d/e/c 1", "l d x",
		    "f d/a 2\nf d/b 1\nf d/e/c 1", NULL);
	/* Without a conflict it is gone. */
	with_policy("d:theirs", DIR3 "f k 1", "f k 2", DIR3 "f k 1\nf t 1", "f k 2\nf t 1", NULL);
	with_policy("d:ours", DIR3 "f k 1", DIR3 "f k 2", "f k 1", "f k 2", NULL);
}

static void a_path_in_a_removed_directory_may_be_decided_on_alone(void **state)
{
	with_policy("d/a:ours", DIR3, "f d/a 2\nf d/b 1\nf d/e/c 1", "f k 1", "f d/a 2\nf k 1",
		    NULL);
	with_policy("d/a:theirs", DIR3, "f d/a 2\nf d/b 1\nf d/e/c 1", "f k 1", "f k 1", NULL);
	with_policy("d/a:theirs", DIR3, "f k 1", "f d/a 2\nf d/b 1\nf d/e/c 1", "f d/a 2\nf k 1",
		    NULL);
	with_policy("d/e:theirs", DIR3, "f k 1", "f d/a 1\nf d/b 1\nf d/e/c 2", "f d/e/c 2\nf k 1",
		    NULL);
	with_policy("d/a:ours", DIR3, "f k 1", "f d/a 2\nf d/b 1\nf d/e/c 1", "f k 1", NULL);
	with_policy("d/a:ours", DIR3, "f d/a 2\nf d/b 2\nf d/e/c 1", "f k 1", NULL,
		    "d/b modified/removed\n");
	/* It cannot be below what is no directory. */
	with_policy("d/a:ours", DIR3, "f d/a 2\nf d/b 1\nf d/e/c 1", "l d x", NULL,
		    "d modified/type\n");
	with_policy("d/a:theirs", DIR3, "l d x", "f d/a 2\nf d/b 1\nf d/e/c 1", NULL,
		    "d type/modified\n");
}

static void append_joins_what_both_sides_added(void **state)
{
	with_policy("log:append", "f log 1", "f log 12 mtime=5", "f log 13 mtime=4",
		    "f log 123 mtime=5", NULL);
	with_policy("log:append", "f log 1", "f log 12 0600 mtime=5", "f log 13 mtime=7",
		    "f log 123 0600 mtime=7", NULL);
	with_policy("log:append", "f log -", "f log 2", "f log 3", "f log 23", NULL);
	with_policy("log:append", "d .", "f log 2", "f log 3", "f log 23", NULL);
	with_policy("d/*:append", "f d/log 1\nf d/e/x 1", "f d/log 12\nf d/e/x 1",
		    "f d/log 13\nf d/e/x 13", "f d/log 123\nf d/e/x 13", NULL);
	/* Not only appended, or more than appended, or not both content. */
	with_policy("log:append", "f log 12", "f log 123", "f log 13", NULL,
		    "log modified/modified\n");
	with_policy("log:append", "f log 1", "f log 12", "f log 13 0600", NULL,
		    "log modified/modified\n");
	with_policy("log:append", "f log 1", "d .", "f log 13", NULL, "log removed/modified\n");
	with_policy("log:append", "l log 1", "l log 12", "l log 13", NULL,
		    "log modified/modified\n");
	with_policy("log:append", "d .", "f log 2 0600", "f log 3", NULL, "log added/added\n");
	with_policy("log:append", "f log/x 1", "f log 2", "f log 3", NULL, "log type/type\n");
	with_policy("*:append", "f a 1\nf b 1\ng a b", "f a 12\nf b 12\ng a b",
		    "f a 13\nf b 13\ng a b", "f a 123\nf b 123\ng a b", NULL);
}

static void what_is_ignored_stays_as_head_has_it(void **state)
{
	with_policy("i*:ignore", "f i 1\nf k 1", "f i 1\nf k 1", "f i 2\nf k 2", "f i 1\nf k 2",
		    NULL);
	with_policy("i*:ignore", "f i 1", "f i 2", "f i 3", "f i 2", NULL);
	with_policy("i*:ignore", "f i 1\nf k 1", "f i 1\nf k 1", "f k 1", "f i 1\nf k 1", NULL);
	with_policy("i*:ignore", "d .", "d .", "f i/j 1\nf i/k 1\nf t 1", "f t 1", NULL);
	with_policy("i:ignore", "f i/j 1", "f i/j 2", "f i/j 3\nf i/k 1\nf t 1", "f i/j 2\nf t 1",
		    NULL);
	with_policy("i:ignore", "f i/j 1", "f i/j 2", "l i x", "f i/j 2", NULL);
	with_policy("i:ignore", "d i", "d i", "d i 0700\nf i/j 1", "d i", NULL);
	with_policy("*.o:ignore", "f d/a 1\nf d/a.o 1", "f d/a 1\nf d/a.o 1",
		    "f d/a 2\nf d/a.o 2\nf d/b.o 1", "f d/a 2\nf d/a.o 1", NULL);
	with_policy("*.o:ignore", "f d/a 1", "f d/a 1", "f d/a 1\nf n/a 1\nf n/e/a.o 1\nf n/e/a 1",
		    "f d/a 1\nf n/a 1\nf n/e/a 1", NULL);
	/* With a directory that goes. */
	with_policy("*.o:ignore", "f d/a 1\nf d/e/a.o 1", "f d/a 1\nf d/e/a.o 1", "f k 1",
		    "f d/e/a.o 1\nf k 1", NULL);
	with_policy("*.o:ignore", "f d/a 1\nf d/a.o 1", "f d/a 1\nf d/a.o 2", "f k 1",
		    "f d/a.o 2\nf k 1", NULL);
	with_policy("*.o:ignore", "f d/a 1", "f d/a 1\nf d/n.o 2", "f k 1", "f d/n.o 2\nf k 1",
		    NULL);
	with_policy("*.o:ignore", "f d/a 1\nf d/a.o 1", "f k 1", "f d/a 1\nf d/a.o 2", "f k 1",
		    NULL);
	with_policy("*.o:ignore", "f d/a.o 1", "f d/a.o 1", "l d x", "l d x", NULL);
	with_policy("*.o:ignore", "f d/a.o 1", "f d/a.o 2", "l d x", NULL,
		    "d/a.o modified/removed\n");
}

static void policies_of_names_of_a_group_must_agree(void **state)
{
	const char *base = "f a 1\nf b 1\ng a b", *head = "f a 2\nf b 2\ng a b",
		   *tx = "f a 3\nf b 3\ng a b";

	with_policy("*:ours", base, head, tx, head, NULL);
	with_policy("*:theirs", base, head, tx, tx, NULL);
	with_policy("a:theirs b:ours", base, head, tx, NULL,
		    "a modified/modified\nb modified/modified\n");
	with_policy("a:theirs", base, head, tx, NULL, "a modified/modified\nb modified/modified\n");
	with_policy("*:theirs", base, head, "f a 1\nf b 1", "f a 1\nf b 1", NULL);
	with_policy("*:ours", base, head, "f a 1\nf b 1", head, NULL);
	with_policy("a:theirs b:ours", base, head, "f a 1\nf b 1", NULL,
		    "a modified/links\nb modified/links\n");
	/* One of them is ignored, and cannot be what the other is. */
	with_policy("a:ignore", base, base, tx, NULL, "b unchanged/modified\n");
	with_policy("a:ignore", base, base, "f b 1", base, NULL);
	with_policy("a:ignore", base, base, "f a 1\nf b 3", "f a 1\nf b 3", NULL);
	with_policy("a:ignore", "f b 1", "f b 1", base, "f b 1", NULL);
	/* A directory decides, and what is outside has to be of one mind with it. */
	with_policy("d:theirs b:theirs", "f d/a 1\nf b 1\ng d/a b", "f d/a 2\nf b 2\ng d/a b",
		    "f b 1", "f b 1", NULL);
	with_policy("d:theirs", "f d/a 1\nf b 1\ng d/a b", "f d/a 2\nf b 2\ng d/a b", "f b 1", NULL,
		    "b modified/links\nd/a modified/removed\n");
}

/* ---- what is read, and written ---- */

struct counted {
	size_t n_reads, n_writes;
};

static struct counted count(const char *policies, const char *base, const char *head,
			    const char *tx)
{
	const char *const texts[3] = {base, head, tx};
	struct memory_store store;
	struct pl_id ids[3], got;
	struct counted counted;
	char *text;

	memory_store_init(&store);
	for (int i = 0; i < 3; i++)
		ids[i] = memory_store_tree(&store, texts[i]);
	store.n_reads = store.n_writes = 0;
	assert_true(merging_run(&store, policies, ids, &got, &text) >= 0);
	free(text);
	counted = (struct counted){store.n_reads, store.n_writes};
	memory_store_done(&store);
	return counted;
}

#define WIDE "f a/1/x x\nf a/2/x x\nf b/1/x x\nf b/2/x x\nf c/1/x x\nf c/2/x x\n"

static void what_is_known_without_a_look_is_not_read(void **state)
{
	assert_int_equal(count(NULL, WIDE, WIDE, WIDE "f d x").n_reads, 0);
	assert_int_equal(count(NULL, WIDE, WIDE "f d x", WIDE).n_reads, 0);
	assert_int_equal(count(NULL, WIDE, WIDE "f d x", WIDE "f d x").n_reads, 0);
	assert_int_equal(count("*:ignore", WIDE, WIDE "f d x", WIDE).n_reads, 0);
}

static void only_directories_that_both_sides_changed_are_read(void **state)
{
	/* Three roots, and head's once more to make the new one of it. */
	assert_int_equal(count(NULL, WIDE, WIDE "f a/1/y y", WIDE "f b/1/y y").n_reads, 4);
	assert_int_equal(count(NULL, WIDE, WIDE "f a/1/y y", WIDE "f d/e/f/y y").n_reads, 4);
	assert_int_equal(count(NULL, WIDE "f z/y/x x", WIDE "f a/1/y y\nf z/y/x x", WIDE).n_reads,
			 4);
	/* Root and a, each thrice and once more. */
	assert_int_equal(count(NULL, WIDE, WIDE "f a/1/y y", WIDE "f a/2/y y").n_reads, 8);
	assert_int_equal(count(NULL, WIDE, WIDE "f a/1/y y", WIDE "f a/1/z y").n_reads, 12);
	/* With policies, what tx changed: the first three roots, a, a/1 (once each for base and head), and
	 * for the new tree head's again. */
	assert_int_equal(count("x:ignore", WIDE, WIDE "f c/1/y y", WIDE "f a/1/y y").n_reads, 10);
	assert_int_equal(count("x:ignore", WIDE, WIDE, WIDE "f a/1/y y").n_reads, 9);
}

static void nothing_is_written_for_a_conflict(void **state)
{
	assert_int_equal(
		count(NULL, WIDE "f z x", WIDE "f a/y y\nf z 1", WIDE "f b/y y\nf z 2").n_writes,
		0);
	assert_int_equal(count(NULL, WIDE, WIDE "f a/y y", WIDE "f b/y y").n_writes, 1);
}

/* A group elsewhere sends nobody into a directory. */
static void groups_are_followed_only_where_names_changed_or_are_taken(void **state)
{
#define GROUPED WIDE "g a/1/x c/1/x\n"
	struct counted plain = count(NULL, WIDE, WIDE "f h x", WIDE "f b/1/y y");
	struct counted grouped = count(NULL, GROUPED, GROUPED "f h x", GROUPED "f b/1/y y");

	/* The blocks of the roots are what is more: by each membership, by the walk, and by apply. */
	assert_in_range(grouped.n_reads, plain.n_reads + 4, plain.n_reads + 6);
}

/* ---- laws for all trees ---- */

static struct pl_id merge_ids(struct memory_store *store, const char *policies, struct pl_id base,
			      struct pl_id head, struct pl_id tx)
{
	const struct pl_id ids[3] = {base, head, tx};
	struct pl_id got = {0};
	char *text;
	int r = merging_run(store, policies, ids, &got, &text);

	if (r != 0)
		print_message("%s", text);
	assert_int_equal(r, 0);
	free(text);
	return got;
}

static void one_side_alone_is_the_result_whatever_the_trees(void **state)
{
	for (uint64_t seed = 1; seed <= 300; seed++) {
		struct memory_store store;
		uint64_t random = seed;
		struct pl_id ids[2], got;
		struct flat a, b;

		memory_store_init(&store);
		flat_make(&a, 2 + flat_random(&random, 60), &random);
		b = a;
		flat_change(&b, 1 + flat_random(&random, 12), &random);
		ids[0] = flat_tree(&store, &a);
		ids[1] = flat_tree(&store, &b);
		/* "none" matches nothing, but makes the walk go everywhere. */
		for (int p = 0; p < 2; p++) {
			const char *policies = p ? "none:ignore" : NULL;

			got = merge_ids(&store, policies, ids[0], ids[0], ids[1]);
			if (!pl_id_equal(&got, &ids[1]))
				fail_msg("taking tx, seed %u", (unsigned)seed);
			got = merge_ids(&store, policies, ids[0], ids[1], ids[0]);
			assert_true(pl_id_equal(&got, &ids[1]));
			got = merge_ids(&store, policies, ids[0], ids[1], ids[1]);
			assert_true(pl_id_equal(&got, &ids[1]));
		}
		got = merge_ids(&store, "*:ignore", ids[0], ids[0], ids[1]);
		assert_true(pl_id_equal(&got, &ids[0]));
		memory_store_done(&store);
	}
}

/* ---- depth, failures, hostile trees ---- */

static void two_thousand_levels_are_like_one(void **state)
{
	static const char *const inner[] = {"f x 1\nf y 1", "f x 2\nf y 1", "f x 1\nf y 2",
					    "f x 2\nf y 2", "f x 3\nf y 1"};
	struct pl_buffer expected = {0};
	char *text, *path = flat_deep_path(DEEP, "x");
	struct memory_store store;
	struct pl_id ids[5], got;

	memory_store_init(&store);
	for (int i = 0; i < 5; i++)
		ids[i] = flat_deepen(&store, memory_store_tree(&store, inner[i]), DEEP);
	got = merge_ids(&store, NULL, ids[0], ids[1], ids[2]);
	assert_true(pl_id_equal(&got, &ids[3]));
	ids[2] = ids[4];
	assert_int_equal(merging_run(&store, NULL, ids, &got, &text), 1);
	pl_buffer_add_format(&expected, "%s modified/modified\n", path);
	assert_string_equal(text, pl_buffer_string(&expected));
	pl_buffer_done(&expected);
	free(text);
	free(path);
	memory_store_done(&store);
}

static int run_failing(struct memory_store *store, const struct pl_id ids[3], bool with_policy)
{
	struct merging merging = {.store = store, .policies = "*:append"};
	struct pl_merge merge = {
		.source = memory_store_source(store),
		.sink = memory_store_sink(store),
		.base = ids[0],
		.head = ids[1],
		.tx = ids[2],
		.seed = 1,
		.policy = with_policy ? merging_policy : NULL,
		.append = merging_append,
		.self = &merging,
	};
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pl_conflicts conflicts = {0};
	struct pl_id got;
	int r = pl_merge_run(&merge, &got, &conflicts, &error);

	if (r < 0)
		assert_true(*error.message && conflicts.n == 0);
	if (r == -EBADMSG)
		assert_int_equal(error.code, PLEACH_CORRUPT);
	pl_conflicts_done(&conflicts);
	return r;
}

static void each_read_and_write_that_fails_is_told_and_nothing_is_left(void **state)
{
	struct memory_store store;
	struct pl_id ids[3];
	size_t n_failed = 0;

	memory_store_init(&store);
	ids[0] = memory_store_tree(&store, "f d/e/a 1\nf d/e/b 1\nf f 1\ng d/e/a d/e/b f\nf z/y 1");
	ids[1] = memory_store_tree(&store,
				   "f d/e/a 1\nf d/e/b 1\nf f 1\nf h/i 1\ng d/e/a d/e/b f h/i");
	ids[2] = memory_store_tree(&store, "f d/e/b 1\nf f 1\ng d/e/b f\nf z/y 1\nf d/e/k/l 1");
	assert_int_equal(run_failing(&store, ids, true), 0);
	for (int writes = 0; writes < 2; writes++) {
		for (size_t n = 1;; n++, n_failed++) {
			int r;

			store.n_reads = store.n_writes = 0;
			*(writes ? &store.fail_write_at : &store.fail_read_at) = n;
			r = run_failing(&store, ids, true);
			if (r == 0)
				break;
			assert_int_equal(r, -EIO);
		}
		store.fail_read_at = store.fail_write_at = 0;
	}
	assert_in_range(n_failed, 20, 200);
	memory_store_done(&store);
}

static void a_directory_that_is_not_what_its_entry_says_is_corrupt(void **state)
{
	for (int side = 0; side < 3; side++) {
		static const char *const texts[] = {"f a 1\nf b 1", "f a 2\nf b 1", "f a 1\nf b 2"};
		struct memory_store store;
		struct pl_id ids[3];

		memory_store_init(&store);
		for (int i = 0; i < 3; i++) {
			struct pl_id id = memory_store_tree(&store, texts[i]);
			struct pl_entry entry = flat_entry(&store, "d", &id);

			entry.totals.bytes += i == side;
			ids[i] = flat_node(&store, &entry, 1, NULL);
		}
		assert_int_equal(run_failing(&store, ids, side & 1), -EBADMSG);
		memory_store_done(&store);
	}
}

static void bytes_that_are_no_node_are_corrupt(void **state)
{
	for (int side = 0; side < 3; side++) {
		struct memory_store store;
		struct pl_id ids[3];

		memory_store_init(&store);
		ids[0] = memory_store_tree(&store, "f a 1");
		ids[1] = memory_store_tree(&store, "f a 2");
		ids[2] = memory_store_tree(&store, "f b 1");
		ids[side] = memory_store_put(&store, "nonsense", 8);
		assert_int_equal(run_failing(&store, ids, false), -EBADMSG);
		memory_store_done(&store);
	}
}

/* Members that are not there, or are directories, or are not equal, as no writer makes them. */
static void groups_of_a_broken_tree_are_corrupt_or_do_no_harm(void **state)
{
	static const char *const broken[][3] = {
		{"d", "f", NULL},	{"d/none", "f", NULL}, {"d/x/y", "f", NULL},
		{"d/e", "d/e/g", "zz"}, {"d/e/g", "f", NULL},  {"d/e/q", "f", NULL},
	};

	for (size_t i = 0; i < PL_ARRAY_LEN(broken) * 3; i++) {
		const char *const *members = broken[i / 3];
		struct memory_store store;
		struct pl_id ids[3], inner;
		struct pl_entry entries[2];
		int r;

		memory_store_init(&store);
		inner = memory_store_tree(&store, "f e/g -\nf e/h -\nf e/q 1\ng e/g e/h\nf x -");
		entries[0] = flat_entry(&store, "d", &inner);
		entries[1] = flat_file("f");
		for (size_t k = 0; k < 3; k++) {
			struct pl_groups groups = {0};

			if (k == i % 3) {
				assert_int_equal(pl_groups_begin(&groups), 0);
				for (size_t m = 0; m < 3 && members[m]; m++)
					assert_int_equal(pl_groups_add(&groups, members[m]), 0);
			}
			entries[1].meta.mode = k == 2 ? 0600 : 0644;
			entries[1].meta.mtime_s = k == 1;
			ids[k] = flat_node(&store, entries, 2, k == i % 3 ? &groups : NULL);
		}
		for (int with_policy = 0; with_policy < 2; with_policy++) {
			r = run_failing(&store, ids, with_policy);
			assert_true(r == -EBADMSG || r == 0 || r == 1);
		}
		memory_store_done(&store);
	}
}

static void names_of_one_group_that_are_not_equal_are_corrupt(void **state)
{
	struct memory_store store;
	struct pl_id ids[3];

	memory_store_init(&store);
	ids[0] = memory_store_tree(&store, "f a 1\nf b 1");
	ids[1] = memory_store_tree(&store, "f a 1\nf b 1\nf c 1");
	ids[2] = memory_store_tree(&store, "f a 1\nf b 2\ng a b");
	assert_int_equal(run_failing(&store, ids, false), -EBADMSG);
	memory_store_done(&store);
}

/* Sets that fit each for itself, and not together. */
static void xattrs_that_do_not_fit_together_conflict(void **state)
{
	struct memory_store store;
	struct pl_entry entry = {.kind = 'f', .name = "a", .name_length = 1, .hash = pl_hash_empty};
	struct pl_buffer sets[3] = {0};
	struct pl_id ids[3], got;
	char *text;

	memory_store_init(&store);
	for (int s = 0; s < 3; s++) {
		for (int i = 0; i < (s ? 12 : 0); i++) {
			char name[16];
			void *value;

			snprintf(name, sizeof(name), "user.%d%02d", s, i);
			pl_buffer_add_u8(&sets[s], (uint8_t)strlen(name));
			pl_buffer_add_string(&sets[s], name);
			pl_buffer_add_u32(&sets[s], 60000);
			value = pl_buffer_reserve(&sets[s], 60000);
			assert_non_null(value);
			memset(value, 'x', 60000);
			sets[s].length += 60000;
		}
		entry.meta = (struct pl_meta){.mode = 0644, .uid = 1, .gid = 1};
		entry.meta.xattrs = sets[s].length ? sets[s].data : NULL;
		entry.meta.xattrs_length = (uint32_t)sets[s].length;
		if (s == 2) {
			entry.size = 1;
			entry.hash = memory_store_put(&store, "1", 1);
		}
		ids[s] = flat_node(&store, &entry, 1, NULL);
	}
	assert_int_equal(merging_run(&store, NULL, ids, &got, &text), 1);
	assert_string_equal(text, "a metadata/modified\n");
	free(text);
	for (int s = 0; s < 3; s++)
		pl_buffer_done(&sets[s]);
	memory_store_done(&store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test(name)
		T(G3_changes_of_different_paths_land),
		T(what_one_side_left_alone_is_the_others),
		T(changed_alike_is_no_conflict),
		T(content_of_one_side_and_metadata_of_the_other_merge),
		T(a_file_changed_differently_is_a_conflict),
		T(metadata_of_a_file_is_one_value_without_content),
		T(both_add_a_path),
		T(removed_against_changed_is_a_conflict),
		T(types_that_change_differently_are_a_conflict),
		T(a_directory_removed_against_a_change_inside_is_a_conflict),
		T(a_directory_removed_against_less_inside_is_gone),
		T(metadata_of_directories_merge_field_by_field),
		T(mtimes_of_directories_never_conflict_and_the_later_wins),
		T(a_rename_is_a_removal_and_an_addition),
		T(groups_that_one_side_changed_are_taken),
		T(a_change_of_a_group_is_one_change),
		T(content_on_one_side_and_names_on_the_other_conflict_on_all_names),
		T(G3_names_of_one_file_that_come_and_go_on_both_sides_land),
		T(groups_that_both_sides_made_differently_conflict),
		T(groups_that_both_sides_changed_alike_are_no_conflict),
		T(a_name_in_a_directory_that_the_other_side_removed_conflicts),
		T(a_group_across_the_border_of_a_directory_that_is_taken_stays),
		T(ours_and_theirs_decide_a_path),
		T(a_removed_directory_is_decided_on_as_a_whole),
		T(a_path_in_a_removed_directory_may_be_decided_on_alone),
		T(append_joins_what_both_sides_added),
		T(what_is_ignored_stays_as_head_has_it),
		T(policies_of_names_of_a_group_must_agree),
		T(what_is_known_without_a_look_is_not_read),
		T(only_directories_that_both_sides_changed_are_read),
		T(nothing_is_written_for_a_conflict),
		T(groups_are_followed_only_where_names_changed_or_are_taken),
		T(one_side_alone_is_the_result_whatever_the_trees),
		T(two_thousand_levels_are_like_one),
		T(each_read_and_write_that_fails_is_told_and_nothing_is_left),
		T(a_directory_that_is_not_what_its_entry_says_is_corrupt),
		T(bytes_that_are_no_node_are_corrupt),
		T(groups_of_a_broken_tree_are_corrupt_or_do_no_harm),
		T(names_of_one_group_that_are_not_equal_are_corrupt),
		T(xattrs_that_do_not_fit_together_conflict),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
