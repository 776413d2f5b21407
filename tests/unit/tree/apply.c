/*
 * The laws of apply: what edits make of a tree, what becomes of hard-link groups, what is read and
 * written for it, and that a damaged base is refused.
 */
#include "edited.h"
#include "forge.h"

#include "tree/inner.h"

#define ROUNDS 2500
#define DEEP   5000

/* ---- edits as texts ---- */

/*
 * A line for each edit, its paths as in memory_store.h:
 *
 *	- PATH			removed
 *	f, l, p, s, c, b ...	put, as in memory_store.h; "link=N" at the end: one inode with others
 *	d PATH [ATTRIBUTE...]	a directory that begins empty
 *	o PATH ORIGIN		a directory with an origin ("." is the root) and its metadata
 *	m PATH ORIGIN [ATTRIBUTE...]	one with metadata of its own
 *	t PATH			the whole tree that `whole` is
 *	g PATH PATH...		one inode
 */
static void edit_put(struct memory_store *store, struct pl_changeset *changes, const char *line,
		     struct pl_id *whole)
{
	char *copy = strdup(line), *at, *origin = NULL;
	struct memory_text text = {0};
	struct memory_line *parsed;
	char kind = *line;
	uint64_t link = 0;

	assert_non_null(copy);
	at = strstr(copy, " link=");
	if (at) {
		link = strtoull(at + 6, NULL, 10);
		*at = '\0';
	}
	if (kind == 'o' || kind == 'm') {
		char *space = strchr(copy + 2, ' '), *end;

		assert_non_null(space);
		end = space + 1 + strcspn(space + 1, " ");
		origin = strndup(space + 1, (size_t)(end - space - 1));
		memmove(space, end, strlen(end) + 1);
		if (strcmp(origin, ".") == 0)
			*origin = '\0';
	}
	if (strchr("-omt", kind))
		*copy = 'd';
	memory_text_line(store, &text, copy);
	parsed = &text.lines[0];
	if (kind == '-') {
		assert_int_equal(pl_changeset_remove(changes, parsed->path), 0);
	} else if (kind == 't') {
		struct pl_entry entry = flat_entry(store, "x", whole);

		assert_int_equal(pl_changeset_tree(changes, parsed->path, whole, &entry.totals), 0);
	} else if (kind == 'g') {
		assert_int_equal(pl_changeset_group(changes, (const char *const *)parsed->members,
						    parsed->n_members),
				 0);
	} else if (parsed->kind == 'd') {
		assert_int_equal(pl_changeset_dir(changes, parsed->path, origin,
						  kind == 'o' ? NULL : &parsed->entry.meta),
				 0);
	} else {
		assert_int_equal(pl_changeset_put(changes, parsed->path, &parsed->entry, link), 0);
	}
	memory_text_done(&text);
	free(origin);
	free(copy);
}

static struct pl_changeset *edits_of(struct memory_store *store, const char *edits,
				     struct pl_id *whole)
{
	char *copy = strdup(edits), *save = NULL;
	struct pl_changeset *changes;

	assert_non_null(copy);
	assert_int_equal(pl_changeset_new(1, &changes), 0);
	for (char *s = strtok_r(copy, "\n", &save); s; s = strtok_r(NULL, "\n", &save))
		edit_put(store, changes, s, whole);
	free(copy);
	return changes;
}

static int apply(struct memory_store *store, const struct pl_id *base, const char *edits,
		 struct pl_id *whole, struct pl_id *ret_tree, struct pl_totals *ret_totals,
		 struct pleach_error *error)
{
	struct pl_changeset *changes = edits_of(store, edits, whole);
	struct pl_node_source source = memory_store_source(store);
	struct pl_node_sink sink = memory_store_sink(store);
	int r;

	store->n_reads = store->n_writes = 0;
	r = pl_apply(&source, &sink, base, changes, 1, ret_tree, ret_totals, error);
	pl_changeset_free(changes);
	return r;
}

/* The edited tree is the one that `expected` describes, by id, and so are its totals. */
static void expect_whole(const char *base, const char *edits, const char *whole,
			 const char *expected)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pl_id from, tree, wanted, put;
	struct memory_store store;
	struct pl_totals totals;
	struct pl_entry entry;
	char *got, *text;

	memory_store_init(&store);
	from = memory_store_tree(&store, base);
	put = memory_store_tree(&store, whole);
	if (apply(&store, &from, edits, &put, &tree, &totals, &error) < 0)
		fail_msg("%s", error.message);
	wanted = memory_store_tree(&store, expected);
	got = memory_store_dump(&store, &tree);
	text = memory_store_dump(&store, &wanted);
	assert_string_equal(got, text);
	assert_true(pl_id_equal(&tree, &wanted));
	entry = flat_entry(&store, "x", &wanted);
	assert_true(pl_totals_equal(&totals, &entry.totals));
	free(got);
	free(text);
	memory_store_done(&store);
}

static void expect(const char *base, const char *edits, const char *expected)
{
	expect_whole(base, edits, "d .", expected);
}

static void refuse(const char *base, const char *edits, int err, const char *path)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct memory_store store;
	struct pl_totals totals;
	struct pl_id from, tree, whole;

	memory_store_init(&store);
	from = memory_store_tree(&store, base);
	whole = memory_store_tree(&store, "f a x\nf b/c x");
	assert_int_equal(apply(&store, &from, edits, &whole, &tree, &totals, &error), -err);
	assert_int_equal(error.err, err);
	assert_int_equal(error.code, PLEACH_FAILED);
	assert_string_equal(error.path, path);
	assert_non_null(strstr(error.message, path));
	memory_store_done(&store);
}

/* ---- paths ---- */

#define BASE                                                                                   \
	"d . 0700 mtime=3\nf a x\nd d 0711 mtime=2\nf d/a x\nf d/b y\nd d/e 0750\nf d/e/c z\n" \
	"l l a\nd z\nf z/1 x\n"

static void no_edits_give_the_base(void **state)
{
	expect(BASE, "", BASE);
	expect("d .", "", "d .");
	expect("f a x\nf d/b x\ng a d/b\nf d/e/f y\nf d/e/g y\ng d/e/f d/e/g", "",
	       "f a x\nf d/b x\ng a d/b\nf d/e/f y\nf d/e/g y\ng d/e/f d/e/g");
}

static void edits_that_change_nothing_give_the_base(void **state)
{
	expect(BASE,
	       "f a x\nl l a\no d d\nm d/e d/e 0750\nf d/e/c z\n- d/x\n- a/b\n- x/y/z\no . .\n"
	       "m z z",
	       BASE);
	expect("f a x\nf d/b x\ng a d/b", "f a x link=1\nf d/b x link=1",
	       "f a x\nf d/b x\ng a d/b");
	expect("f a x\nf d/b x\ng a d/b", "g a d/b", "f a x\nf d/b x\ng a d/b");
	expect("f a x\nf d/b x\ng a d/b", "o d d\no . .\n- c", "f a x\nf d/b x\ng a d/b");
}

static void paths_are_put_and_removed(void **state)
{
	expect("f a x\nf c x", "f b y 0600\np c mtime=5\n- a", "f b y 0600\np c mtime=5");
	expect("f d/a x\nf e/a x", "f d/b x\nf e/f/g x\nd e/f 0700\n- e/a",
	       "f d/a x\nf d/b x\nd e/f 0700\nf e/f/g x");
	expect("f a x", "- a", "d .");
	expect("f d/a x", "- d/a", "d d");
	expect("d .", "f a x\nc b 0 0\nl c t\ns s\nb x 1 2", "f a x\nc b 0 0\nl c t\ns s\nb x 1 2");
	/* In the order of names, which is not that of paths as strings. */
	expect("f a/x x\nf a! x\nf a0 x", "f a/y y\nf a! y\nf a- y\nf a0 y\nf a y",
	       "f a y\nf a! y\nf a- y\nf a0 y");
	expect("f a/x x\nf a! x\nf a0 x", "f a/y y\nf a! y\nf a- y\nf a0 y",
	       "f a/x x\nf a/y y\nf a! y\nf a- y\nf a0 y");
}

static void a_put_over_a_directory_takes_all_below_away(void **state)
{
	expect("f d/e/a x\nf d/b x\nf c x\ng d/b c", "f d y", "f d y\nf c x");
	expect("f d/e/a x", "- d", "d .");
}

static void a_directory_takes_the_place_of_something_else(void **state)
{
	expect("f a x", "d a 0700\nf a/b y", "d a 0700\nf a/b y");
	expect("f a x\nf b x\ng a b", "d a 0700", "d a 0700\nf b x");
	refuse("f a x", "o a a", ENOTDIR, "a");
}

static void an_opaque_directory_begins_empty(void **state)
{
	expect("d d 0700\nf d/a x\nf d/e/b x\nf c x\ng d/a c", "d d 0711\nf d/f y",
	       "d d 0711\nf d/f y\nf c x");
	expect(BASE, "d . 0755\nf a y", "f a y");
	/* What was in it comes back by an edit of its own. */
	expect("d d 0700\nf d/a x\nf d/e/b x", "d d 0711\no d/e d/e", "d d 0711\nf d/e/b x");
}

static void metadata_of_directories_changes_alone(void **state)
{
	expect("d . 0700\nd d\nf d/a x\nf b x\ng d/a b", "m . . 0711 mtime=4\nm d d 0500 owner=3",
	       "d . 0711 mtime=4\nd d 0500 owner=3\nf d/a x\nf b x\ng d/a b");
}

static void edits_apply_in_directories_that_no_edit_names(void **state)
{
	expect("d a 0700\nd a/b 0711\nf a/b/c x\nf a/b/d x", "f a/b/d y",
	       "d a 0700\nd a/b 0711\nf a/b/c x\nf a/b/d y");
}

static void a_whole_tree_is_put(void **state)
{
	expect_whole("f a x\nf d/b x\nf c x\ng a d/b c", "t d\nf e y",
		     "d . 0700\nf b z\nf e/f z\ng b e/f",
		     "f a x\nf c x\ng a c\nd d 0700\nf d/b z\nf d/e/f z\ng d/b d/e/f\nf e y");
	expect_whole("f a x", "t .", "d . 0700\nf b z", "d . 0700\nf b z");
}

/* ---- moves ---- */

static void a_moved_directory_brings_all_below_it(void **state)
{
	expect("d a 0700\nf a/b x\nf a/c/d x", "o x a\n- a", "d x 0700\nf x/b x\nf x/c/d x");
	expect("d a 0700\nf a/b x\nf a/c/d x", "m x/y a 0711\nd x\n- a",
	       "d x/y 0711\nf x/y/b x\nf x/y/c/d x");
	expect("d a 0700\nf a/b x", "o x a\n- a\nf x/b y\nf x/c y\nd x/d",
	       "d x 0700\nf x/b y\nf x/c y\nd x/d");
	/* Something new where it was. */
	expect("d a 0700\nf a/b x", "o x a\nf a y", "f a y\nd x 0700\nf x/b x");
	expect("d a 0700\nf a/b x", "o x a\nd a 0711\nf a/c y",
	       "d a 0711\nf a/c y\nd x 0700\nf x/b x");
	/* Into a new one that has its old name. */
	expect("d a 0700\nf a/b x", "d a 0711\no a/a a", "d a 0711\nd a/a 0700\nf a/a/b x");
}

static void moves_may_be_nested(void **state)
{
	expect("f a/b/c x\nf a/d x", "o x a\no y a/b\n- a\n- x/b", "f x/d x\nf y/c x");
	expect("f a/b/c x\nf a/d x", "o x a\no x/y a/b\n- a\n- x/b", "f x/d x\nf x/y/c x");
	/* The inner one comes above the outer one. */
	expect("f a/b/c x\nf a/d x", "o b a/b\no b/a a\n- a\n- b/a/b", "f b/c x\nf b/a/d x");
	/* Out of a directory that is gone. */
	expect("f a/b/c x\nf a/d x", "o x a/b\n- a", "f x/c x");
	/* With edits of both. */
	expect("f a/b/c x\nf a/d x", "o x a\no y a/b\n- a\n- x/b\nf y/e y\nf x/d z",
	       "f x/d z\nf y/c x\nf y/e y");
}

static void moves_may_be_swaps(void **state)
{
	expect("d a 0700\nf a/1 x\nd b 0711\nf b/2 y", "o a b\no b a",
	       "d b 0700\nf b/1 x\nd a 0711\nf a/2 y");
	expect("f a/1 x\nf b/2 y\nf c/3 z", "o a b\no b c\no c a\nf a/2 q",
	       "f a/2 q\nf b/3 z\nf c/1 x");
	expect("f a/b/1 x\nf a/2 y", "o a a/b\no a/b a\n- a/b/b", "f a/1 x\nf a/b/2 y");
}

static void the_root_may_move(void **state)
{
	expect("d . 0700\nf a x\nf d/b x", "d . 0711\no r .",
	       "d . 0711\nd r 0700\nf r/a x\nf r/d/b x");
	expect("d . 0700\nf a x\nd d 0711\nf d/b x", "o . d", "d . 0711\nf b x");
	expect("d . 0700\nf a x\nd d 0711\nf d/b x", "o . d\no r .\n- r/d",
	       "d . 0711\nf b x\nd r 0700\nf r/a x");
}

static void nothing_is_at_two_places(void **state)
{
	refuse("f a/b x", "o x a", EINVAL, "x");
	refuse("f a/b x", "o x a\no y a\n- a", EINVAL, "y");
	refuse("f a/b/c x", "o x a/b", EINVAL, "x");
	refuse("f a/b/c x", "o x a\no y a/b\n- a", EINVAL, "y");
	refuse("f a/b x", "o a/x a", EINVAL, "a/x");
	refuse("f a/b x", "o x .", EINVAL, "x");
}

static void an_origin_is_a_directory_of_the_base(void **state)
{
	refuse("f a/b x", "o x a/b\n- a", ENOTDIR, "x");
	refuse("f a/b x", "o x y\n- y", ENOTDIR, "x");
	refuse("f a/b x", "o x a/b/c\n- a", ENOTDIR, "x");
	refuse("f a/b x", "o x x", ENOTDIR, "x");
}

static void an_edit_below_what_is_no_directory_is_refused(void **state)
{
	refuse("f a x", "f a/b y", ENOTDIR, "a/b");
	refuse("f a x", "f b/c y", ENOTDIR, "b/c");
	refuse("f a x", "- a/b\nf a/b/c y", ENOTDIR, "a/b/c");
	refuse("f a x", "- a/1\nf a/b y", ENOTDIR, "a/b");
	refuse("f a/b x", "- a\nf a/b y", ENOTDIR, "a/b");
	refuse("f a/b x", "t a\nf a/b y", EINVAL, "a/b");
	refuse("f a x", "d b\nf b/c/d y", ENOTDIR, "b/c/d");
}

/* ---- groups ---- */

static void names_that_no_edit_reaches_stay_a_group(void **state)
{
	expect("f a x\nf b x\nf d/c x\ng a b d/c", "f b y", "f a x\nf b y\nf d/c x\ng a d/c");
	expect("f a x\nf b x\ng a b", "f b y", "f a x\nf b y");
	expect("f a x\nf b x\ng a b", "- a", "f b x");
	expect("f a x\nf b x\ng a b", "- a\n- b", "d .");
	expect("f a x\nf d/b x\nf d/c x\ng a d/b d/c", "d d", "f a x\nd d");
}

static void what_is_left_of_a_group_goes_down_to_where_it_belongs(void **state)
{
	/* Into a directory before the edit, which nothing else touches. */
	expect("f a/b/x x\nf a/b/y x\nf c x\ng a/b/x a/b/y c", "- c",
	       "f a/b/x x\nf a/b/y x\ng a/b/x a/b/y");
	/* Behind it, with a group of its own. */
	expect("f d/e/x x\nf d/e/y x\nf d/e/1 z\nf d/e/2 z\ng d/e/1 d/e/2\nf c x\n"
	       "g c d/e/x d/e/y",
	       "f c y",
	       "f d/e/x x\nf d/e/y x\nf d/e/1 z\nf d/e/2 z\ng d/e/1 d/e/2\nf c y\n"
	       "g d/e/x d/e/y");
	/* Half-way. */
	expect("f d/e/x x\nf d/f/y x\nf c x\ng c d/e/x d/f/y", "- c",
	       "f d/e/x x\nf d/f/y x\ng d/e/x d/f/y");
	/* Two of them into one. */
	expect("f d/1 x\nf d/2 x\nf d/3 y\nf d/4 y\nf e x\nf f y\ng d/1 d/2 e\ng d/3 d/4 f",
	       "- e\n- f", "f d/1 x\nf d/2 x\nf d/3 y\nf d/4 y\ng d/1 d/2\ng d/3 d/4");
}

static void groups_follow_moved_directories(void **state)
{
	expect("f a/x x\nf b x\ng a/x b", "o c/d a\nd c\n- a", "f c/d/x x\nf b x\ng c/d/x b");
	/* Within one: its own group goes with it, unread. */
	expect("f a/x x\nf a/y x\ng a/x a/y", "o b a\n- a", "f b/x x\nf b/y x\ng b/x b/y");
	/* Apart: from a directory to one above. */
	expect("f a/x x\nf a/d/y x\ng a/x a/d/y", "o d a/d\n- a/d", "f a/x x\nf d/y x\ng a/x d/y");
	expect("f a/b/f x\nf a/c/g x\ng a/b/f a/c/g", "o y a/b\no z a/c\n- a",
	       "f y/f x\nf z/g x\ng y/f z/g");
	expect("f a/b/f x\nf a/c/g x\ng a/b/f a/c/g", "o y a/b\n- a", "f y/f x");
	/* Together: from a directory to one below. */
	expect("f a/x x\nf b/y x\ng a/x b/y", "d n\no n/a a\no n/b b\n- a\n- b",
	       "f n/a/x x\nf n/b/y x\ng n/a/x n/b/y");
	expect("f a/x x\nf b/y x\ng a/x b/y", "o b/a a\n- a", "f b/a/x x\nf b/y x\ng b/a/x b/y");
	/* Swapped, and with an edit below the new place. */
	expect("f a/x x\nf b/y x\nf c x\ng a/x b/y c", "o a b\no b a\nf a/y y",
	       "f b/x x\nf a/y y\nf c x\ng b/x c");
	/* Nested. */
	expect("f a/b/x x\nf a/y x\nf a/b/z x\ng a/b/x a/y a/b/z",
	       "o p a\no q a/b\n- a\n- p/b\nf q/z y", "f q/x x\nf p/y x\ng q/x p/y\nf q/z y");
	/* The root. */
	expect("f a x\nf d/b x\ng a d/b", "d . 0700\no r .",
	       "d . 0700\nf r/a x\nf r/d/b x\n"
	       "g r/a r/d/b");
	expect("f a x\nf d/b x\nf d/c x\ng a d/b d/c", "o . d", "f b x\nf c x\ng b c");
}

static void names_that_are_put_with_one_link_are_a_group(void **state)
{
	expect("f a x", "f d/b y link=1\nd d\nf d/c y link=1\nf e y link=2\nf f y link=2\nf g y",
	       "f a x\nf d/b y\nf d/c y\ng d/b d/c\nf e y\nf f y\ng e f\nf g y");
	expect("f d/a x\nf e/b x", "f d/a y link=5\nf e/b y link=5\nf e/c y link=5",
	       "f d/a y\nf e/b y\nf e/c y\ng d/a e/b e/c");
	expect("f a x", "f b y link=1", "f a x\nf b y");
	/* Not with those that were linked before. */
	expect("f a x\nf b x\nf c x\ng a b c", "f a x link=1", "f a x\nf b x\nf c x\ng b c");
	/* With a symlink, a FIFO, a device. */
	expect("d .",
	       "l a t link=1\nl b t link=1\np c link=2\np d link=2\nc e 1 3 link=3\n"
	       "c f 1 3 link=3",
	       "l a t\nl b t\ng a b\np c\np d\ng c d\nc e 1 3\nc f 1 3\ng e f");
}

static void names_of_the_base_are_made_a_group(void **state)
{
	expect("f a x\nf d/b x", "g a d/b", "f a x\nf d/b x\ng a d/b");
	/* They leave theirs, also where it is kept by a directory that nothing else touches. */
	expect("f a x\nf d/e/1 x\nf d/e/2 x\nf d/e/3 x\ng d/e/1 d/e/2 d/e/3", "g a d/e/2",
	       "f a x\nf d/e/1 x\nf d/e/2 x\nf d/e/3 x\ng a d/e/2\ng d/e/1 d/e/3");
	/* In directories that were moved, and with what is put. */
	expect("f a/1 x\nf b x", "o c a\n- a\nf d x\ng c/1 b d",
	       "f c/1 x\nf b x\nf d x\ng c/1 b d");
	refuse("f a x\nf b x", "g a c", EINVAL, "c");
	refuse("f a x\nf b/c x", "g a b", EINVAL, "b");
}

static void names_of_a_group_must_be_equal(void **state)
{
	refuse("d .", "f a x link=1\nf b y link=1", EINVAL, "b");
	refuse("d .", "f a x link=1\nf b x 0600 link=1", EINVAL, "b");
	refuse("f a x\nf b x mtime=1", "g a b", EINVAL, "b");
	refuse("f a x\nf b x\np c", "g a b c", EINVAL, "c");
	refuse("f a x\nf b x", "f a z\ng a b", EINVAL, "b");
}

/* ---- against lists ---- */

static int check_random(uint64_t seed)
{
	struct edited *edited = calloc(1, sizeof(*edited));
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pl_id base, tree = {0}, wanted;
	struct pl_totals totals = {0};
	struct pl_changeset *changes;
	struct pl_node_source source;
	struct pl_node_sink sink;
	struct memory_store store;
	struct pl_entry entry;
	struct flat result;
	uint64_t random = seed;
	char *got, *text;
	int r;

	assert_non_null(edited);
	memory_store_init(&store);
	source = memory_store_source(&store);
	sink = memory_store_sink(&store);
	edited_begin(edited, 2 + flat_random(&random, 60), &random);
	base = flat_tree(&store, &edited->base);
	edited_edit(edited, flat_random(&random, 16), &random);
	edited_result(edited, &result);
	changes = edited_changeset(edited, &store, &random);
	r = pl_apply(&source, &sink, &base, changes, seed, &tree, &totals, &error);
	if (r < 0) {
	} else {
		wanted = flat_tree(&store, &result);
		got = memory_store_dump(&store, &tree);
		text = memory_store_dump(&store, &wanted);
		entry = flat_entry(&store, "x", &wanted);
		r = flat_same(got, text) || !pl_id_equal(&tree, &wanted) ||
		    !pl_totals_equal(&totals, &entry.totals);
		free(got);
		free(text);
	}
	pl_changeset_free(changes);
	memory_store_done(&store);
	free(edited);
	return r;
}

static void edited_random_trees_are_those_of_their_lists(void **state)
{
	flat_run("apply", ROUNDS, check_random);
}

/* ---- what is read and written ---- */

static void expect_cost(const char *base, const char *edits, size_t n_reads, size_t n_writes)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pl_id from, tree, whole;
	struct memory_store store;
	struct pl_totals totals;

	memory_store_init(&store);
	from = memory_store_tree(&store, base);
	whole = memory_store_tree(&store, "f a x");
	if (apply(&store, &from, edits, &whole, &tree, &totals, &error) < 0)
		fail_msg("%s", error.message);
	assert_int_equal(store.n_reads, n_reads);
	assert_int_equal(store.n_writes, n_writes);
	memory_store_done(&store);
}

#define WIDE "f a/1/x x\nf a/2/x x\nf b/1/x x\nf b/2/3/x x\nf c/1/x x\nf e x\n"

static void only_edited_directories_and_those_above_are_read(void **state)
{
	expect_cost(WIDE, "", 1, 0);
	expect_cost(WIDE, "f e y", 1, 1);
	expect_cost(WIDE, "f e x", 1, 0);
	expect_cost(WIDE, "f b/2/3/x y", 4, 4);
	expect_cost(WIDE, "f b/2/3/x x\n- b/2/y", 4, 0);
	expect_cost(WIDE, "- b/2/3/x\nf a/y y", 5, 5);
	expect_cost(WIDE, "- b\nd c\nf a y\nt d", 1, 2);
	/* A directory that has moved is not read, but where it was. */
	expect_cost(WIDE, "o d a\n- a", 1, 1);
	expect_cost(WIDE, "o d b/2\n- b", 2, 1);
	expect_cost(WIDE, "m d b/2 0700\n- b", 3, 2);
}

#define LINKED                                                              \
	"f a/b/1 x\nf a/b/2 x\nf a/3 x\nf c/1 x\nf c/2 x\nf d/1 x\nf e x\n" \
	"g a/b/1 a/b/2 a/3\ng c/1 c/2\ng d/1 e\n"

static void groups_are_read_along_the_edits_only(void **state)
{
	/* The root and its block; it is written with its block. */
	expect_cost(LINKED, "f f y", 2, 2);
	expect_cost(LINKED, "f d/2 y", 3, 3); /* nothing says that d has groups */
	/* c and its block too; c is read twice, for its groups and for its entries. */
	expect_cost(LINKED, "f c/3 y", 5, 4);
	/* The group of a goes to a/b, which has to be read for it. */
	expect_cost(LINKED, "- a/3", 6, 5);
	expect_cost(LINKED, "f a/b/3 x", 6, 5);
	/* Metadata alone leaves groups where they are. */
	expect_cost(LINKED, "m c c 0700", 4, 4);
}

static void five_thousand_levels_are_edited(void **state)
{
	char *deep = flat_deep_path(DEEP, ""), *name = flat_deep_path(DEEP, "a");
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pl_entry put = {.kind = 'p', .meta = {.mode = 0644, .uid = 1, .gid = 1}};
	struct pl_node_source source;
	struct pl_node_sink sink;
	struct pl_changeset *changes;
	struct memory_store store;
	struct pl_id base, tree, wanted;
	struct pl_totals totals;

	memory_store_init(&store);
	source = memory_store_source(&store);
	sink = memory_store_sink(&store);
	base = memory_store_tree(&store, "f a x\nf b x\nf c x\ng a b c\nf e/f x\nf e/g x");
	base = flat_deepen(&store, base, DEEP);
	assert_int_equal(pl_changeset_new(1, &changes), 0);
	assert_int_equal(pl_changeset_put(changes, name, &put, 0), 0);
	/* An edit at every level. */
	for (size_t i = 0; i < DEEP; i++) {
		deep[2 * i + 1] = '\0';
		assert_int_equal(pl_changeset_dir(changes, deep, deep, NULL), 0);
		deep[2 * i + 1] = i + 1 < DEEP ? '/' : '\0';
	}
	assert_int_equal(pl_apply(&source, &sink, &base, changes, 1, &tree, &totals, &error), 0);
	wanted = memory_store_tree(&store, "p a owner=1\nf b x\nf c x\ng b c\nf e/f x\nf e/g x");
	wanted = flat_deepen(&store, wanted, DEEP);
	assert_true(pl_id_equal(&tree, &wanted));
	assert_int_equal(totals.depth, DEEP + 1);
	pl_changeset_free(changes);
	/* The deepest to the top, and all others gone; then back. */
	assert_int_equal(pl_changeset_new(1, &changes), 0);
	assert_int_equal(pl_changeset_dir(changes, "top", deep, NULL), 0);
	assert_int_equal(pl_changeset_remove(changes, "d"), 0);
	assert_int_equal(pl_apply(&source, &sink, &base, changes, 1, &tree, &totals, &error), 0);
	wanted = memory_store_tree(&store, "f top/a x\nf top/b x\nf top/c x\n"
					   "g top/a top/b top/c\nf top/e/f x\nf top/e/g x");
	assert_true(pl_id_equal(&tree, &wanted));
	pl_changeset_free(changes);
	memory_store_done(&store);
	free(deep);
	free(name);
}

static void a_new_tree_is_one_empty_directory(void **state)
{
	struct pl_meta meta = {.mode = 0711, .uid = 3, .gid = 3, .mtime_s = 5};
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct memory_store store;
	struct pl_node_sink sink;
	struct pl_id tree, wanted;

	memory_store_init(&store);
	sink = memory_store_sink(&store);
	assert_int_equal(pl_tree_make_empty(&sink, &meta, &tree, &error), 0);
	assert_non_null(memory_store_get(&store, &tree));
	wanted = memory_store_tree(&store, "d . 0711 owner=3 mtime=5");
	assert_true(pl_id_equal(&tree, &wanted));
	memory_store_done(&store);
}

/* ---- what fails ---- */

static void each_read_and_write_that_fails_is_told_and_nothing_is_left(void **state)
{
	static const char base[] = "f a/b/x x\nf a/b/y x\nf c x\ng a/b/x a/b/y c\nf d/e y\n"
				   "f d/f y\ng d/e d/f\nf m/n/o z\nf m/n/p z\ng m/n/o m/n/p";
	static const char edits[] = "f c y\nf d/g z\no q/r m/n\nd q\n- m\nf q/r/s z link=1\n"
				    "f q/t z link=1\nd a/u";
	size_t n_failed[2] = {0};
	struct memory_store store;
	struct pl_id from;

	memory_store_init(&store);
	from = memory_store_tree(&store, base);
	for (int is_write = 0; is_write <= 1; is_write++) {
		int r = -1;

		while (r < 0) {
			struct pleach_error error = PLEACH_ERROR_INIT;
			struct pl_id tree, untouched;
			struct pl_totals totals;

			memset(&tree, 7, sizeof(tree));
			untouched = tree;
			store.fail_read_at = is_write ? 0 : n_failed[0] + 1;
			store.fail_write_at = is_write ? n_failed[1] + 1 : 0;
			r = apply(&store, &from, edits, NULL, &tree, &totals, &error);
			if (r == 0)
				break;
			n_failed[is_write]++;
			assert_int_equal(r, -EIO);
			assert_true(error.err == EIO && *error.message);
			assert_true(pl_id_equal(&tree, &untouched));
		}
	}
	/* The root, its block, d, its block, m, n, its block; then a, a/b, d, n. */
	assert_int_equal(n_failed[0], 11);
	/* a/b, a/u, a, d, q/r, q, the root; blocks of a/b, d, q/r, q. */
	assert_int_equal(n_failed[1], 11);
	memory_store_done(&store);
}

static void a_missing_base_or_part_of_it_is_not_found(void **state)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct memory_store store;
	struct pl_totals totals;
	struct pl_id base = {{1}}, tree, part;

	memory_store_init(&store);
	assert_int_equal(apply(&store, &base, "", NULL, &tree, &totals, &error), -ENOENT);
	assert_int_equal(error.code, PLEACH_NOT_FOUND);
	base = memory_store_tree(&store, "f d/a x\nf e y");
	part = memory_store_tree(&store, "f a x");
	memory_store_forget(&store, &part);
	assert_int_equal(apply(&store, &base, "f d/b x", NULL, &tree, &totals, &error), -ENOENT);
	assert_int_equal(apply(&store, &base, "f e x", NULL, &tree, &totals, &error), 0);
	memory_store_done(&store);
}

static void what_is_too_deep_for_a_tree_is_refused(void **state)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pl_entry entry = {
		.kind = 'd',
		.name = "d",
		.name_length = 1,
		.totals = {.entries = PL_DEPTH_MAX, .depth = PL_DEPTH_MAX - 1},
	};
	struct memory_store store;
	struct pl_totals totals;
	struct pl_id base, tree;

	memory_store_init(&store);
	base = flat_node(&store, &entry, 1, NULL);
	assert_int_equal(apply(&store, &base, "o e d\n- d", NULL, &tree, &totals, &error), 0);
	assert_int_equal(totals.depth, PL_DEPTH_MAX);
	assert_int_equal(apply(&store, &base, "d e\no e/f d\n- d", NULL, &tree, &totals, &error),
			 -EOVERFLOW);
	assert_string_equal(error.path, "e");
	memory_store_done(&store);
}

/* ---- a base that lies ---- */

/* A root with the block `groups` (texts as in forge.h; "" for none), the file "a", and the directories
 * "d" and "e", which are both `below` and say so with `totals`. */
static struct pl_id forge_base(struct memory_store *store, const char *groups, uint32_t n_groups,
			       const struct pl_id *below, const struct pl_totals *totals)
{
	struct pl_buffer b = {0};
	struct pl_id block;

	if (n_groups > 0) {
		forge_block(&b, groups, n_groups);
		block = forge_store(store, &b);
	}
	forge_head(&b, &block, n_groups > 0, 3);
	forge_file(&b, "a", 1);
	forge_directory(&b, "d", below, totals);
	forge_directory(&b, "e", below, totals);
	return forge_store(store, &b);
}

/* "x" and "y" of one byte, in a group if `is_linked`. */
static struct pl_id forge_below(struct memory_store *store, bool is_linked)
{
	struct pl_buffer b = {0};
	struct pl_id block;

	if (is_linked) {
		forge_block(&b, "x y", 1);
		block = forge_store(store, &b);
	}
	forge_head(&b, &block, is_linked, 2);
	forge_file(&b, "x", 1);
	forge_file(&b, "y", 1);
	return forge_store(store, &b);
}

/* 0, or the base is refused with just these words. */
static int apply_forged(struct memory_store *store, const struct pl_id *base, const char *edits,
			const char *words)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pl_totals totals;
	struct pl_id tree;
	int r = apply(store, base, edits, NULL, &tree, &totals, &error);

	if (r < 0) {
		assert_int_equal(error.code, PLEACH_CORRUPT);
		if (!strstr(error.message, words))
			fail_msg("'%s' is not in '%s'", words, error.message);
	}
	return r;
}

static void totals_that_are_wrong_are_refused_where_they_are_read(void **state)
{
	static const struct pl_totals right = {.entries = 2, .files = 2, .bytes = 2, .groups = 1};
	static const char *const into[] = {"f d/z x", "m d d 0700", "- d/x", "o f d\n- d\nf f/z x",
					   "m f d 0700\n- d"};
	struct memory_store store;

	memory_store_init(&store);
	for (int what = 0; what < 6; what++) {
		struct pl_id below = forge_below(&store, true), base;
		struct pl_totals totals = right;

		if (what == 1)
			totals.entries = 3;
		if (what == 2)
			totals.files = 1;
		if (what == 3)
			totals.bytes = 3;
		if (what == 4)
			totals.groups = 0;
		if (what == 5)
			totals.xattrs = 1;
		base = forge_base(&store, "", 0, &below, &totals);
		for (size_t i = 0; i < PL_ARRAY_LEN(into); i++)
			assert_int_equal(apply_forged(&store, &base, into[i], "its totals"),
					 what > 0 ? -EBADMSG : 0);
		/* What is not read is believed. */
		assert_int_equal(apply_forged(&store, &base, "f b x\no f d\n- d", ""), 0);
	}
	memory_store_done(&store);
}

/* What is denied by the totals alone is not lost, either. */
static void groups_that_totals_deny_are_refused_on_the_way_to_an_origin(void **state)
{
	struct pl_totals totals = {.entries = 2, .files = 2, .bytes = 2};
	struct memory_store store;
	struct pl_buffer b = {0};
	struct pl_id id, block;

	memory_store_init(&store);
	id = forge_below(&store, false);
	forge_block(&b, "p/x q/x", 1);
	block = forge_store(&store, &b);
	forge_head(&b, &block, 1, 2);
	forge_directory(&b, "p", &id, &totals);
	forge_directory(&b, "q", &id, &totals);
	id = forge_store(&store, &b);
	totals = (struct pl_totals){.entries = 6, .files = 4, .bytes = 4, .depth = 1};
	id = forge_base(&store, "", 0, &id, &totals);
	assert_int_equal(apply_forged(&store, &id, "o p d/p\no q d/q\n- d", "its totals"),
			 -EBADMSG);
	memory_store_done(&store);
}

static void a_path_in_two_groups_is_refused_where_they_meet(void **state)
{
	struct pl_totals totals = {.entries = 4, .files = 4, .bytes = 4, .groups = 1};
	struct memory_store store;
	struct pl_id below, base;

	memory_store_init(&store);
	below = memory_store_tree(&store, "f x 1\nf y 1\nf p 2\nf z 2\ng x y");
	for (int i = 0; i < 2; i++) {
		base = forge_base(&store, i ? "a d/p d/x" : "a d/x d/z", 1, &below, &totals);
		/* What is left of the group of the root goes to d, which has one of its own. */
		assert_int_equal(apply_forged(&store, &base, "- a", "two hard-link groups"),
				 -EBADMSG);
		/* Both are looked at. */
		assert_int_equal(apply_forged(&store, &base, "- d/x", "two hard-link groups"),
				 -EBADMSG);
		assert_int_equal(apply_forged(&store, &base, "- d/0", "two hard-link groups"),
				 -EBADMSG);
	}
	memory_store_done(&store);
}

static void groups_of_names_that_are_not_there_break_nothing(void **state)
{
	static const char *const edits[] = {"- a",	  "- d",	  "- d\n- e",
					    "o f d\n- d", "- d/x\n- d/y", "d d\nd e",
					    "g a d/x",	  "- a\n- d/x",	  "f a/b x",
					    "d a",	  "o e d\no d e", "d .\no r .",
					    "o . d",	  "t d",	  "- e/x\n- e/y\n- d"};
	static const char *const groups[] = {"a d",	      "d e",	   "a/b/c d/x",
					     "a d/1 d/2/3",   "d/x/y e/x", "d/q/r/s e/q",
					     "a n/1/2 n/3/4", "a d/x e"};
	struct pl_totals totals = {.entries = 2, .files = 2, .bytes = 2};
	struct memory_store store;
	struct pl_id below;
	size_t n_refused = 0;

	memory_store_init(&store);
	below = forge_below(&store, false);
	for (size_t g = 0; g < PL_ARRAY_LEN(groups); g++) {
		struct pl_id base = forge_base(&store, groups[g], 1, &below, &totals);

		for (size_t i = 0; i < PL_ARRAY_LEN(edits); i++) {
			struct pleach_error error = PLEACH_ERROR_INIT;
			struct pl_id tree;
			int r = apply(&store, &base, edits[i], &below, &tree, &totals, &error);

			totals = (struct pl_totals){.entries = 2, .files = 2, .bytes = 2};
			if (r < 0 && error.code != PLEACH_CORRUPT)
				assert_string_equal(edits[i], "f a/b x"); /* below a file */
			if (r == -EBADMSG) /* not for what was meant to be right in it */
				assert_non_null(strstr(error.message, "hard-link group"));
			n_refused += r == -EBADMSG;
		}
	}
	assert_true(n_refused > 0);
	memory_store_done(&store);
}

static void more_groups_than_names_are_refused(void **state)
{
	struct pl_totals totals = {.entries = 2, .files = 2, .bytes = 2};
	struct memory_store store;
	struct pl_id below, base;

	memory_store_init(&store);
	below = forge_below(&store, false);
	base = forge_base(&store, "d/1 e/1|d/2 e/2|d/3 e/3", 3, &below, &totals);
	assert_int_equal(apply_forged(&store, &base, "- d/x\n- d/y\n- e/x\n- e/y",
				      "names that are not there"),
			 -EBADMSG);
	memory_store_done(&store);
}

/* Appends a group of names in and below a directory, there or not, and two files beside them, so that
 * the directory can have one more group. */
static void add_group_of_anything(struct pl_buffer *text, const char *directory, uint64_t *random)
{
	static const char *const names[] = {"a", "a!", "a-b", "a0", "b", "\xff"};
	const char *slash = *directory ? "/" : "";
	size_t first = flat_random(random, 5);

	pl_buffer_add_format(text, "f %s%szz0 x\nf %s%szz1 x\ng", directory, slash, directory,
			     slash);
	for (size_t i = 0; i < 2; i++) {
		pl_buffer_add_format(text, " %s%s%s", directory, slash, names[first + i]);
		for (size_t k = flat_random(random, 4); k > 0; k--)
			pl_buffer_add_format(text, "/%s",
					     names[flat_random(random, PL_ARRAY_LEN(names))]);
	}
	pl_buffer_add_u8(text, '\n');
}

/* The list's tree with other groups than the list has; one in a directory, since in one the format
 * itself keeps them apart. */
static struct pl_id tree_with_groups_of_anything(struct memory_store *store,
						 const struct flat *flat, uint64_t *random)
{
	size_t n = 1 + flat_random(random, 4), left = flat->n;
	PL_BUFFER text = {0};

	for (size_t i = 0; i < flat->n; i++)
		flat_text_thing(&text, &flat->things[i]);
	for (size_t i = 0; i < flat->n; i++, left--) {
		if (flat->things[i].kind != 'd' || flat_random(random, left) >= n)
			continue;
		add_group_of_anything(&text, flat->things[i].path, random);
		n -= n > 1;
	}
	return memory_store_tree(store, pl_buffer_string(&text));
}

static int check_groups_of_anything(uint64_t seed)
{
	struct edited *edited = calloc(1, sizeof(*edited));
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pl_totals totals = {0};
	struct pl_changeset *changes;
	struct pl_node_source source;
	struct pl_node_sink sink;
	struct memory_store store;
	struct pl_id base, tree;
	uint64_t random = seed;
	int r;

	assert_non_null(edited);
	memory_store_init(&store);
	source = memory_store_source(&store);
	sink = memory_store_sink(&store);
	edited_begin(edited, 2 + flat_random(&random, 40), &random);
	base = tree_with_groups_of_anything(&store, &edited->base, &random);
	edited_edit(edited, 1 + flat_random(&random, 10), &random);
	changes = edited_changeset(edited, &store, &random);
	r = pl_apply(&source, &sink, &base, changes, seed, &tree, &totals, &error);
	if (r < 0 && r != -EBADMSG)

		pl_changeset_free(changes);
	memory_store_done(&store);
	free(edited);
	return r == 0 || r == -EBADMSG ? 0 : 1;
}

static void groups_of_anything_break_nothing(void **state)
{
	flat_run("apply to groups of anything", ROUNDS, check_groups_of_anything);
}

/* Whatever bytes of a base are wrong: it is refused, or what was wrong was not needed. */
static int check_damaged(uint64_t seed)
{
	struct edited *edited = calloc(1, sizeof(*edited));
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pl_id base, tree = {0};
	struct pl_totals totals = {0};
	struct pl_changeset *changes;
	struct pl_node_source source;
	struct pl_node_sink sink;
	struct memory_store store;
	uint64_t random = seed;
	int r;

	assert_non_null(edited);
	memory_store_init(&store);
	source = memory_store_source(&store);
	sink = memory_store_sink(&store);
	edited_begin(edited, 10 + flat_random(&random, 60), &random);
	base = flat_tree(&store, &edited->base);
	edited_edit(edited, 1 + flat_random(&random, 10), &random);
	changes = edited_changeset(edited, &store, &random);
	for (int i = 0; i < 5; i++) {
		struct memory_item *item = &store.items[flat_random(&random, store.n)];

		if (item->length > 0)
			item->data[flat_random(&random, item->length)] ^=
				(unsigned char)(1 << flat_random(&random, 8));
	}
	r = pl_apply(&source, &sink, &base, changes, seed, &tree, &totals, &error);
	pl_changeset_free(changes);
	memory_store_done(&store);
	free(edited);
	/* By chance the damage is another valid tree, to which the edits do not fit, or no such node. */
	return r == 0 || r == -EBADMSG || r == -ENOENT || error.code == PLEACH_FAILED ? 0 : 1;
}

static void damaged_random_trees_break_nothing(void **state)
{
	flat_run("apply to what is damaged", ROUNDS, check_damaged);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_edits_give_the_base),
		cmocka_unit_test(edits_that_change_nothing_give_the_base),
		cmocka_unit_test(paths_are_put_and_removed),
		cmocka_unit_test(a_put_over_a_directory_takes_all_below_away),
		cmocka_unit_test(a_directory_takes_the_place_of_something_else),
		cmocka_unit_test(an_opaque_directory_begins_empty),
		cmocka_unit_test(metadata_of_directories_changes_alone),
		cmocka_unit_test(edits_apply_in_directories_that_no_edit_names),
		cmocka_unit_test(a_whole_tree_is_put),
		cmocka_unit_test(a_moved_directory_brings_all_below_it),
		cmocka_unit_test(moves_may_be_nested),
		cmocka_unit_test(moves_may_be_swaps),
		cmocka_unit_test(the_root_may_move),
		cmocka_unit_test(nothing_is_at_two_places),
		cmocka_unit_test(an_origin_is_a_directory_of_the_base),
		cmocka_unit_test(an_edit_below_what_is_no_directory_is_refused),
		cmocka_unit_test(names_that_no_edit_reaches_stay_a_group),
		cmocka_unit_test(what_is_left_of_a_group_goes_down_to_where_it_belongs),
		cmocka_unit_test(groups_follow_moved_directories),
		cmocka_unit_test(names_that_are_put_with_one_link_are_a_group),
		cmocka_unit_test(names_of_the_base_are_made_a_group),
		cmocka_unit_test(names_of_a_group_must_be_equal),
		cmocka_unit_test(edited_random_trees_are_those_of_their_lists),
		cmocka_unit_test(only_edited_directories_and_those_above_are_read),
		cmocka_unit_test(groups_are_read_along_the_edits_only),
		cmocka_unit_test(five_thousand_levels_are_edited),
		cmocka_unit_test(a_new_tree_is_one_empty_directory),
		cmocka_unit_test(each_read_and_write_that_fails_is_told_and_nothing_is_left),
		cmocka_unit_test(a_missing_base_or_part_of_it_is_not_found),
		cmocka_unit_test(what_is_too_deep_for_a_tree_is_refused),
		cmocka_unit_test(totals_that_are_wrong_are_refused_where_they_are_read),
		cmocka_unit_test(groups_that_totals_deny_are_refused_on_the_way_to_an_origin),
		cmocka_unit_test(a_path_in_two_groups_is_refused_where_they_meet),
		cmocka_unit_test(groups_of_names_that_are_not_there_break_nothing),
		cmocka_unit_test(more_groups_than_names_are_refused),
		cmocka_unit_test(groups_of_anything_break_nothing),
		cmocka_unit_test(damaged_random_trees_break_nothing),
	};

	return cmocka_run_group_tests_name("tree/apply", tests, NULL, NULL);
}
