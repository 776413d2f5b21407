/*
 * The laws of graft: what a composed tree holds, who wins where two sources bring one path, which
 * hard-link groups are left, and what is read for it.
 */
#include "flat.h"

#define ROUNDS	    10000
#define DEEP	    2000
#define SOURCES_MAX 4

/* A source as a text; labels are "s1", "s2", ... in their order. */
struct text_source {
	const char *prefix, *text;
};

static const char *const labels[] = {"s1", "s2", "s3", "s4"};

static void make_sources(struct memory_store *store, const struct text_source *texts, size_t n,
			 struct pl_graft_source *ret_sources)
{
	assert_true(n <= SOURCES_MAX);
	for (size_t i = 0; i < n; i++) {
		ret_sources[i] = (struct pl_graft_source){
			.prefix = texts[i].prefix,
			.tree = memory_store_tree(store, texts[i].text),
			.label = labels[i],
		};
	}
}

static int graft(struct memory_store *store, const struct pl_graft_source *sources, size_t n,
		 enum pleach_clash clash, struct pl_id *ret_tree, struct pleach_error *error)
{
	struct pl_node_source source = memory_store_source(store);
	struct pl_node_sink sink = memory_store_sink(store);

	store->n_reads = store->n_writes = 0;
	return pl_graft(&source, &sink, sources, n, clash, ret_tree, error);
}

/* 0 and the tree, or the error. */
static int compose(struct memory_store *store, const struct text_source *texts, size_t n,
		   enum pleach_clash clash, struct pl_id *ret_tree, struct pleach_error *error)
{
	struct pl_graft_source sources[SOURCES_MAX];

	make_sources(store, texts, n, sources);
	return graft(store, sources, n, clash, ret_tree, error);
}

/* The composed tree is the one that `expected` describes, by id. */
static void expect_many(const struct text_source *texts, size_t n, enum pleach_clash clash,
			const char *expected)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct memory_store store;
	struct pl_id tree, wanted;
	char *got, *text;

	memory_store_init(&store);
	if (compose(&store, texts, n, clash, &tree, &error) < 0)
		fail_msg("%s", error.message);
	wanted = memory_store_tree(&store, expected);
	got = memory_store_dump(&store, &tree);
	text = memory_store_dump(&store, &wanted);
	assert_string_equal(got, text);
	assert_true(pl_id_equal(&tree, &wanted));
	free(got);
	free(text);
	memory_store_done(&store);
}

static void expect(const char *prefix1, const char *text1, const char *prefix2, const char *text2,
		   enum pleach_clash clash, const char *expected)
{
	const struct text_source texts[] = {{prefix1, text1}, {prefix2, text2}};

	expect_many(texts, 2, clash, expected);
}

static void expect_clash(const char *prefix1, const char *text1, const char *prefix2,
			 const char *text2, const char *path)
{
	const struct text_source texts[] = {{prefix1, text1}, {prefix2, text2}};
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct memory_store store;
	struct pl_id tree;
	char message[200];

	memory_store_init(&store);
	assert_int_equal(compose(&store, texts, 2, PLEACH_CLASH_ERROR, &tree, &error), -EEXIST);
	snprintf(message, sizeof(message), "both s1 and s2 bring '%s'", path);
	assert_string_equal(error.message, message);
	assert_string_equal(error.path, path);
	assert_int_equal(error.code, PLEACH_FAILED);
	assert_int_equal(error.err, EEXIST);
	assert_non_null(strstr(error.hint, "--on-clash=first"));
	assert_non_null(strstr(error.hint, "--on-clash=last"));
	memory_store_done(&store);
}

static void one_source_without_a_prefix_is_the_result(void **state)
{
	const struct text_source text = {"", "d . 0700\nf a x\nf d/b x\nf d/e/c x\ng a d/b"};
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct memory_store store;
	struct pl_id tree;

	memory_store_init(&store);
	assert_int_equal(compose(&store, &text, 1, PLEACH_CLASH_ERROR, &tree, &error), 0);
	assert_int_equal(store.n_reads, 1);
	assert_int_equal(store.n_writes, 0);
	expect_many(&text, 1, PLEACH_CLASH_LAST, text.text);
	memory_store_done(&store);
}

static void directories_above_a_prefix_are_like_the_root_of_the_first_source_below(void **state)
{
	const struct text_source one = {"p/q/r", "d . 0700 mtime=5 owner=7 x:user.k=v\nf a x"};
	const struct text_source two[] = {{"p/q", "d . 0711 mtime=5 owner=7\nf a x"},
					  {"p/r", "d . 0700 mtime=6 owner=8\nf b x"}};

	expect_many(&one, 1, PLEACH_CLASH_ERROR,
		    "d . mtime=5 owner=7\nd p mtime=5 owner=7\nd p/q mtime=5 owner=7\n"
		    "d p/q/r 0700 mtime=5 owner=7 x:user.k=v\nf p/q/r/a x");
	for (int clash = PLEACH_CLASH_ERROR; clash <= PLEACH_CLASH_LAST; clash++)
		expect_many(two, 2, (enum pleach_clash)clash,
			    "d . mtime=5 owner=7\nd p mtime=5 owner=7\n"
			    "d p/q 0711 mtime=5 owner=7\nf p/q/a x\n"
			    "d p/r 0700 mtime=6 owner=8\nf p/r/b x");
}

static void disjoint_sources_lie_side_by_side(void **state)
{
	expect("", "f a x\nf d/b x", "", "f c y\nf e/f y", PLEACH_CLASH_ERROR,
	       "f a x\nf d/b x\nf c y\nf e/f y");
	expect("p", "f a x", "q", "f a y", PLEACH_CLASH_ERROR, "f p/a x\nf q/a y");
	expect("a", "f a x", "a!", "f a y", PLEACH_CLASH_ERROR, "f a/a x\nf a!/a y");
	expect("p", "d .", "q", "d .", PLEACH_CLASH_ERROR, "d p\nd q");
}

static void prefixes_may_be_nested(void **state)
{
	expect("p", "f a x", "p/q", "f b y", PLEACH_CLASH_ERROR, "f p/a x\nf p/q/b y");
	expect("p/q", "f b y", "p", "f a x", PLEACH_CLASH_ERROR, "f p/a x\nf p/q/b y");
	expect("", "f p/q/a x\nf p/c x", "p/q", "f b y", PLEACH_CLASH_ERROR,
	       "f p/q/a x\nf p/c x\nf p/q/b y");
	expect("", "d p 0700\nf p/a x", "p/q/r", "f b y", PLEACH_CLASH_ERROR,
	       "d p 0700\nf p/a x\nf p/q/r/b y");
}

static void directories_that_meet_are_merged_with_metadata_of_the_first_or_last(void **state)
{
#define FIRST  "d . 0700\nd p 0711 mtime=1\nf p/a x"
#define SECOND "d . 0750 mtime=3\nd p 0755 mtime=2\nf p/b y\nf q z"
#define BOTH   "f p/a x\nf p/b y\nf q z\n"
	expect("", FIRST, "", SECOND, PLEACH_CLASH_ERROR, BOTH "d . 0700\nd p 0711 mtime=1");
	expect("", FIRST, "", SECOND, PLEACH_CLASH_FIRST, BOTH "d . 0700\nd p 0711 mtime=1");
	expect("", FIRST, "", SECOND, PLEACH_CLASH_LAST, BOTH "d . 0750 mtime=3\nd p 0755 mtime=2");
	expect("p", "d . 0700\nf a x", "p", "d . 0711\nf b x", PLEACH_CLASH_ERROR,
	       "d p 0700\nf p/a x\nf p/b x");
}

static void what_two_bring_and_is_no_directory_is_a_clash(void **state)
{
	expect_clash("", "f a x", "", "f a y", "a");
	expect_clash("", "f a x", "", "f a x", "a");
	expect_clash("", "f d/a x", "", "f d/a y", "d/a");
	expect_clash("", "f d/a x", "", "l d t", "d");
	expect_clash("", "p d", "", "f d/a x", "d");
	expect_clash("p", "f q x", "p/q", "f a x", "p/q");
	expect_clash("", "f p x", "p/q", "f a x", "p");
	expect_clash("p/q", "f a x", "", "f p x", "p");
	/* The first of them in the order of paths. */
	expect_clash("", "f b x\nf d/a x", "", "f b y\nf d/a y", "b");
	expect_clash("", "f a! x\nf a/z x", "", "f a! y\nf a/z y", "a/z");
}

static void a_clash_names_the_two_that_do_not_go_together(void **state)
{
	const struct text_source texts[] = {
		{"", "f d/a x"}, {"", "f d/b x"}, {"d", "f c x"}, {"", "l d t"}};
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct memory_store store;
	struct pl_id tree;

	memory_store_init(&store);
	assert_int_equal(compose(&store, texts, 4, PLEACH_CLASH_ERROR, &tree, &error), -EEXIST);
	assert_string_equal(error.message, "both s1 and s4 bring 'd'");
	memory_store_done(&store);
}

static void first_and_last_take_the_first_and_the_last(void **state)
{
	expect("", "f a x", "", "f a y", PLEACH_CLASH_FIRST, "f a x");
	expect("", "f a x", "", "f a y", PLEACH_CLASH_LAST, "f a y");
	expect("", "f d/a x\nf d/b x", "", "l d t", PLEACH_CLASH_FIRST, "f d/a x\nf d/b x");
	expect("", "f d/a x\nf d/b x", "", "l d t", PLEACH_CLASH_LAST, "l d t");
	expect("", "f p x", "p/q", "f a y", PLEACH_CLASH_FIRST, "f p x");
	expect("", "f p x", "p/q", "f a y", PLEACH_CLASH_LAST, "f p/q/a y");
	expect("p/q", "f a y", "", "f p x", PLEACH_CLASH_FIRST, "f p/q/a y");
	expect("p/q", "f a y", "", "f p x", PLEACH_CLASH_LAST, "f p x");
}

static void a_winning_directory_is_merged_with_all_others(void **state)
{
	const struct text_source texts[] = {
		{"", "d d 0700\nf d/a x"}, {"", "f d x"}, {"", "d d 0711\nf d/b y"}};

	expect_many(texts, 3, PLEACH_CLASH_FIRST, "d d 0700\nf d/a x\nf d/b y");
	expect_many(texts, 3, PLEACH_CLASH_LAST, "d d 0711\nf d/a x\nf d/b y");
	expect_many(texts, 2, PLEACH_CLASH_LAST, "f d x");
}

static void groups_that_lose_nothing_stay(void **state)
{
	expect("", "f d/a x\nf d/b x\nf c x\ng d/a c", "", "f d/e y\nf d/f y\ng d/e d/f",
	       PLEACH_CLASH_ERROR, "f d/a x\nf d/b x\nf c x\ng d/a c\nf d/e y\nf d/f y\ng d/e d/f");
	expect("p", "f a x\nf d/b x\ng a d/b", "p", "f b x\nf d/c x\ng b d/c", PLEACH_CLASH_LAST,
	       "f p/a x\nf p/d/b x\ng p/a p/d/b\nf p/b x\nf p/d/c x\ng p/b p/d/c");
	expect("p/q", "f a x\nf b x\ng a b", "p/r", "f a x\nf b x\ng a b", PLEACH_CLASH_ERROR,
	       "f p/q/a x\nf p/q/b x\ng p/q/a p/q/b\nf p/r/a x\nf p/r/b x\ng p/r/a p/r/b");
}

static void groups_lose_members_that_lost(void **state)
{
#define THREE "f a x\nf b x\nf c x\ng a b c"
	expect("", THREE, "", "f b y", PLEACH_CLASH_FIRST, THREE);
	expect("", THREE, "", "f b y", PLEACH_CLASH_LAST, "f a x\nf b y\nf c x\ng a c");
	expect("", "f a y", "", THREE, PLEACH_CLASH_FIRST, "f a y\nf b x\nf c x\ng b c");
	expect("", THREE, "", "f a y\nf b y", PLEACH_CLASH_LAST, "f a y\nf b y\nf c x");
	/* Groups of both: of one source's the ones, of the other's the others are left. */
	expect("", THREE, "", "f c y\nf d y\nf e y\ng c d e", PLEACH_CLASH_FIRST,
	       THREE "\nf d y\nf e y\ng d e");
	expect("", THREE, "", "f c y\nf d y\nf e y\ng c d e", PLEACH_CLASH_LAST,
	       "f a x\nf b x\ng a b\nf c y\nf d y\nf e y\ng c d e");
}

static void groups_lose_what_lies_below_a_directory_that_lost(void **state)
{
	expect("", "f a x\nf d/e/b x\nf d/e/c x\nf z x\ng a d/e/b d/e/c z", "", "f d y",
	       PLEACH_CLASH_LAST, "f a x\nf d y\nf z x\ng a z");
	expect("", "f d y", "", "f a x\nf d/e/b x\nf d/e/c x\ng a d/e/b d/e/c", PLEACH_CLASH_FIRST,
	       "f a x\nf d y");
}

static void what_is_left_of_a_group_goes_down_to_where_it_belongs(void **state)
{
	/* Into a directory that comes before the clash, and that nobody else brings. */
	expect("", "f a/b/x x\nf a/b/y x\nf c x\ng a/b/x a/b/y c", "", "f c y", PLEACH_CLASH_LAST,
	       "f a/b/x x\nf a/b/y x\ng a/b/x a/b/y\nf c y");
	/* Into one behind it, with a group of its own. */
	expect("",
	       "f d/e/x x\nf d/e/y x\nf d/e/1 z\nf d/e/2 z\ng d/e/1 d/e/2\nf c x\n"
	       "g c d/e/x d/e/y",
	       "", "f c y", PLEACH_CLASH_LAST,
	       "f d/e/x x\nf d/e/y x\nf d/e/1 z\nf d/e/2 z\ng d/e/1 d/e/2\nf c y\n"
	       "g d/e/x d/e/y");
	/* Half-way, into one that both bring. */
	expect("", "f d/e/x x\nf d/f/y x\nf c x\ng c d/e/x d/f/y", "", "f c y\nf d/f/z y",
	       PLEACH_CLASH_LAST, "f d/e/x x\nf d/f/y x\ng d/e/x d/f/y\nf c y\nf d/f/z y");
	/* Below a prefix. */
	expect("p/q", "f d/x x\nf d/y x\nf c x\ng c d/x d/y", "p", "f q/c y", PLEACH_CLASH_LAST,
	       "f p/q/d/x x\nf p/q/d/y x\ng p/q/d/x p/q/d/y\nf p/q/c y");
	/* Two of them into one. */
	expect("", "f d/1 x\nf d/2 x\nf d/3 y\nf d/4 y\nf e x\nf f y\ng d/1 d/2 e\ng d/3 d/4 f", "",
	       "f e z\nf f z", PLEACH_CLASH_LAST,
	       "f d/1 x\nf d/2 x\nf d/3 y\nf d/4 y\nf e z\nf f z\ng d/1 d/2\ng d/3 d/4");
}

static void one_tree_at_two_places_is_two(void **state)
{
	expect("a", THREE, "b", THREE, PLEACH_CLASH_ERROR,
	       "f a/a x\nf a/b x\nf a/c x\ng a/a a/b a/c\nf b/a x\nf b/b x\nf b/c x\n"
	       "g b/a b/b b/c");
	/* At the same place all of it clashes, and the winner's groups are whole. */
	expect("", THREE, "", THREE, PLEACH_CLASH_FIRST, THREE);
	expect("", THREE, "", THREE, PLEACH_CLASH_LAST, THREE);
	expect("", "d a\nd b/c", "", "d a\nd b/c", PLEACH_CLASH_ERROR, "d a\nd b/c");
}

/* ---- what is read ---- */

static void only_what_overlaps_is_read(void **state)
{
	const struct text_source texts[] = {
		{"", "f a/1/x x\nf a/2/x x\nf b/1/x x\nf c/1/x x\nf c/2/x x"},
		{"", "f b/2/x x\nf d/1/x x"},
	};
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct memory_store store;
	struct pl_id tree;

	memory_store_init(&store);
	assert_int_equal(compose(&store, texts, 2, PLEACH_CLASH_ERROR, &tree, &error), 0);
	assert_int_equal(store.n_reads, 4); /* two roots, two times b */
	assert_int_equal(store.n_writes, 2);
	memory_store_done(&store);
}

static void two_thousand_levels_are_merged(void **state)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	char *prefix = flat_deep_path(DEEP, "");
	struct pl_graft_source sources[2];
	struct memory_store store;
	struct pl_id id, tree, wanted;

	memory_store_init(&store);
	id = memory_store_tree(&store, "f a x\nf b x\ng a b");
	sources[0] = (struct pl_graft_source){"", flat_deepen(&store, id, DEEP), "s1"};
	id = memory_store_tree(&store, "f a y\nf e/c y\nf e/d y\ng a e/c e/d");
	sources[1] = (struct pl_graft_source){prefix, id, "s2"};
	assert_int_equal(graft(&store, sources, 2, PLEACH_CLASH_FIRST, &tree, &error), 0);
	id = memory_store_tree(&store, "f a x\nf b x\ng a b\nf e/c y\nf e/d y\ng e/c e/d");
	wanted = flat_deepen(&store, id, DEEP);
	assert_true(pl_id_equal(&tree, &wanted));
	assert_int_equal(graft(&store, sources, 2, PLEACH_CLASH_ERROR, &tree, &error), -EEXIST);
	/* The deep one alone, at its prefix. */
	assert_int_equal(graft(&store, sources + 1, 1, PLEACH_CLASH_ERROR, &tree, &error), 0);
	wanted = flat_deepen(&store, sources[1].tree, DEEP);
	assert_true(pl_id_equal(&tree, &wanted));
	free(prefix);
	memory_store_done(&store);
}

/* ---- what fails ---- */

static void each_read_and_write_that_fails_is_told_and_nothing_is_left(void **state)
{
	const struct text_source texts[] = {
		{"", "f a/b/x x\nf a/b/y x\nf c x\ng a/b/x a/b/y c\nf d/e y\nf d/f y\ng d/e d/f"},
		{"", "f c y\nf d/g z"},
		{"p/q", "f c y\nf d y\ng c d"},
	};

	struct pl_graft_source sources[SOURCES_MAX];
	struct memory_store store;
	size_t n_failed[2] = {0};

	memory_store_init(&store);
	make_sources(&store, texts, 3, sources);
	for (int is_write = 0; is_write <= 1; is_write++) {
		int r = -1;

		while (r < 0) {
			struct pleach_error error = PLEACH_ERROR_INIT;
			struct pl_id tree, untouched;

			memset(&tree, 7, sizeof(tree));
			untouched = tree;
			store.fail_read_at = is_write ? 0 : n_failed[0] + 1;
			store.fail_write_at = is_write ? n_failed[1] + 1 : 0;
			r = graft(&store, sources, 3, PLEACH_CLASH_LAST, &tree, &error);
			if (r == 0)
				break;
			n_failed[is_write]++;
			assert_int_equal(r, -EIO);
			assert_true(error.err == EIO && *error.message);
			assert_true(pl_id_equal(&tree, &untouched));
		}
	}
	/* Reads of both walks; nodes of the root, a, a/b, d, p, and the blocks of a/b and d. */
	assert_in_range(n_failed[0], 10, 30);
	assert_int_equal(n_failed[1], 7);
	memory_store_done(&store);
}

static void a_source_that_is_missing_is_not_found(void **state)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pl_graft_source sources[2] = {{"", {{0}}, "s1"}, {"p", {{1}}, "s2"}};
	struct memory_store store;
	struct pl_id tree;

	memory_store_init(&store);
	for (size_t first = 0; first < 2; first++) {
		for (size_t n = 1; n <= 2 - first; n++) {
			assert_int_equal(graft(&store, sources + first, n, PLEACH_CLASH_ERROR,
					       &tree, &error),
					 -ENOENT);
			assert_int_equal(error.code, PLEACH_NOT_FOUND);
		}
	}
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
	struct pl_graft_source sources[2] = {{"", {{0}}, "s1"}};
	struct memory_store store;
	struct pl_id tree;

	memory_store_init(&store);
	sources[0].tree = flat_node(&store, &entry, 1, NULL);
	assert_int_equal(graft(&store, sources, 1, PLEACH_CLASH_ERROR, &tree, &error), 0);
	sources[0].prefix = "p";
	assert_int_equal(graft(&store, sources, 1, PLEACH_CLASH_ERROR, &tree, &error), -EOVERFLOW);
	assert_string_equal(error.path, "p");
	memory_store_done(&store);
}

/* ---- against lists ---- */

/* A thing that a source brings, at its path in the result; or what its prefix makes there. */
struct brought {
	struct flat_thing thing;
	size_t source;
	bool is_above; /* made by the prefix: it has metadata of the source's root */
};
struct naive {
	struct brought brought[SOURCES_MAX * (FLAT_MAX + 4)];
	size_t n;
	enum pleach_clash clash;
	struct flat result;
	char clash_at[300]; /* the message, "" if there is no clash */
};

static void bring(struct naive *naive, struct flat *flat, const char *prefix, size_t source)
{
	struct brought b = {.source = source};

	for (size_t i = 0; *prefix && i <= strlen(prefix); i++) {
		if (i > 0 && prefix[i] != '/')
			continue;
		b.thing = flat->things[0];
		b.thing.mode = 0;
		b.is_above = true;
		snprintf(b.thing.path, sizeof(b.thing.path), "%.*s", (int)i, prefix);
		naive->brought[naive->n++] = b;
	}
	for (size_t i = 0; i < flat->n; i++) {
		const char *path = flat->things[i].path;

		b.thing = flat->things[i];
		b.is_above = false;
		assert_true(strlen(prefix) + strlen(path) + 2 < sizeof(b.thing.path));
		snprintf(b.thing.path, sizeof(b.thing.path), "%.20s%s%.70s", prefix,
			 *prefix && *path ? "/" : "", path);
		if (b.thing.group)
			b.thing.group += 10000000 * (unsigned)(source + 1);
		naive->brought[naive->n++] = b;
	}
}

static int compare_brought(const void *a, const void *b)
{
	const struct brought *x = a, *y = b;
	int c = pl_path_compare(x->thing.path, y->thing.path);

	return c != 0 ? c : (int)x->source - (int)y->source;
}

/* Takes out what one source brings at a path and below it. */
static void lose(struct naive *naive, size_t source, const char *path)
{
	char at[FLAT_PATH_MAX];
	size_t kept = 0;

	snprintf(at, sizeof(at), "%s", path);
	for (size_t i = 0; i < naive->n; i++) {
		struct brought *b = &naive->brought[i];

		if (b->source != source || !pl_path_is_below(b->thing.path, at))
			naive->brought[kept++] = *b;
	}
	naive->n = kept;
}

/* Decides about those at the index and what has the same path. Returns how many are left of them. */
static size_t decide(struct naive *naive, size_t at)
{
	struct brought *b = &naive->brought[at];
	struct brought *winner;
	size_t n = 1, left = 0;
	bool is_lost[SOURCES_MAX] = {0};

	while (at + n < naive->n && strcmp(b[n].thing.path, b->thing.path) == 0)
		n++;
	winner = naive->clash == PLEACH_CLASH_LAST ? &b[n - 1] : b;
	for (size_t i = 0; i < n; i++) {
		bool loses = winner->thing.kind == 'd' ? b[i].thing.kind != 'd' : &b[i] != winner;

		is_lost[b[i].source] = loses;
		left += !loses;
		if (loses && naive->clash == PLEACH_CLASH_ERROR && !*naive->clash_at)
			snprintf(naive->clash_at, sizeof(naive->clash_at),
				 "both %s and %s bring '%s'", labels[winner->source],
				 labels[b[i].source], b->thing.path);
	}
	for (size_t s = 0; s < SOURCES_MAX; s++) {
		if (is_lost[s])
			lose(naive, s, naive->brought[at].thing.path);
	}
	return left;
}

static void compose_lists(struct naive *naive)
{
	qsort(naive->brought, naive->n, sizeof(naive->brought[0]), compare_brought);
	for (size_t i = 0, n; i < naive->n; i += n) {
		const struct brought *chosen = NULL;

		n = decide(naive, i);
		assert_true(n > 0);
		for (size_t k = i; k < i + n; k++) {
			const struct brought *b = &naive->brought[k];

			if (!b->is_above && (!chosen || naive->clash == PLEACH_CLASH_LAST))
				chosen = b;
		}
		flat_add(&naive->result, chosen ? &chosen->thing : &naive->brought[i].thing);
	}
	flat_settle_groups(&naive->result);
}

/* Sources that are much like each other, so that they overlap; fewer clashes without a policy. */
static void make_random(struct naive *naive, struct memory_store *store,
			struct pl_graft_source *ret_sources, size_t n, uint64_t *random)
{
	static const char *const prefixes[] = {"", "", "", "", "", "", "a", "a/b", "b/a!/a", "a-b"};
	struct flat flat;

	naive->clash = (enum pleach_clash)flat_random(random, 3);
	/* Large ones meet in nearly all their paths, and small ones in a few. */
	for (size_t i = 0; i < n; i++) {
		bool is_large = naive->clash != PLEACH_CLASH_ERROR && flat_random(random, 2) == 0;

		if (i == 0 || !is_large || flat_random(random, 3) > 0)
			flat_make(&flat, 2 + flat_random(random, is_large ? 90 : 6), random);
		else
			flat_change(&flat, 1 + flat_random(random, 10), random);
		while (flat.n > FLAT_MAX / n - 4)
			flat_remove(&flat, flat.things[flat.n - 1].path);
		flat_settle_groups(&flat);
		ret_sources[i] = (struct pl_graft_source){
			.prefix = prefixes[flat_random(random, PL_ARRAY_LEN(prefixes))],
			.tree = flat_tree(store, &flat),
			.label = labels[i],
		};
		bring(naive, &flat, ret_sources[i].prefix, i);
	}
}

static int check_random(uint64_t seed)
{
	struct pl_graft_source sources[SOURCES_MAX];
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct naive *naive = calloc(1, sizeof(*naive));
	struct memory_store store;
	struct pl_id tree, wanted;
	uint64_t random = seed;
	size_t n = 1 + flat_random(&random, SOURCES_MAX);
	char *got, *text;
	int r;

	assert_non_null(naive);
	memory_store_init(&store);
	make_random(naive, &store, sources, n, &random);
	r = graft(&store, sources, n, naive->clash, &tree, &error);
	compose_lists(naive);
	if (r < 0 || *naive->clash_at) {
		r = flat_same(error.message, naive->clash_at);
	} else {
		wanted = flat_tree(&store, &naive->result);
		got = memory_store_dump(&store, &tree);
		text = memory_store_dump(&store, &wanted);
		r = flat_same(got, text) || !pl_id_equal(&tree, &wanted);
		free(got);
		free(text);
	}
	memory_store_done(&store);
	free(naive);
	return r;
}

static void composed_random_trees_are_those_of_their_lists(void **state)
{
	flat_run("graft", ROUNDS, check_random);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_source_without_a_prefix_is_the_result),
		cmocka_unit_test(
			directories_above_a_prefix_are_like_the_root_of_the_first_source_below),
		cmocka_unit_test(disjoint_sources_lie_side_by_side),
		cmocka_unit_test(prefixes_may_be_nested),
		cmocka_unit_test(
			directories_that_meet_are_merged_with_metadata_of_the_first_or_last),
		cmocka_unit_test(what_two_bring_and_is_no_directory_is_a_clash),
		cmocka_unit_test(a_clash_names_the_two_that_do_not_go_together),
		cmocka_unit_test(first_and_last_take_the_first_and_the_last),
		cmocka_unit_test(a_winning_directory_is_merged_with_all_others),
		cmocka_unit_test(groups_that_lose_nothing_stay),
		cmocka_unit_test(groups_lose_members_that_lost),
		cmocka_unit_test(groups_lose_what_lies_below_a_directory_that_lost),
		cmocka_unit_test(what_is_left_of_a_group_goes_down_to_where_it_belongs),
		cmocka_unit_test(one_tree_at_two_places_is_two),
		cmocka_unit_test(only_what_overlaps_is_read),
		cmocka_unit_test(two_thousand_levels_are_merged),
		cmocka_unit_test(each_read_and_write_that_fails_is_told_and_nothing_is_left),
		cmocka_unit_test(a_source_that_is_missing_is_not_found),
		cmocka_unit_test(what_is_too_deep_for_a_tree_is_refused),
		cmocka_unit_test(composed_random_trees_are_those_of_their_lists),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
