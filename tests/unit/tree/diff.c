/* The laws of diff: what is a difference and of which kind, their order, and what is read for it. */
#include "flat.h"

#define ROUNDS 4000
#define DEEP   2000

/* "C PATH", and the numbers of links where one is not 1. */
static void describe(struct pl_buffer *b, const struct pl_difference *d)
{
	pl_buffer_add_format(b, "%c %s", d->change, *d->path ? d->path : ".");
	if (d->before_links > 1 || d->after_links > 1)
		pl_buffer_add_format(b, " %llu>%llu", (unsigned long long)d->before_links,
				     (unsigned long long)d->after_links);
	pl_buffer_add_u8(b, '\n');
	assert_int_equal(d->before == NULL, d->change == 'A');
	assert_int_equal(d->after == NULL, d->change == 'D');
	assert_int_equal(d->before_meta == NULL, d->before == NULL);
	assert_int_equal(d->after_meta == NULL, d->after == NULL);
	assert_int_equal(d->before_links == 0, d->before == NULL);
	assert_int_equal(d->after_links == 0, d->after == NULL);
}

typedef void describe_fn(struct pl_buffer *b, const struct pl_difference *d);

/* The differences as a text, which the caller frees. */
static char *list(struct memory_store *store, const struct pl_id *before, const struct pl_id *after,
		  describe_fn *describe_one)
{
	struct pl_node_source source = memory_store_source(store);
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pl_difference d;
	struct pl_buffer b = {0};
	struct pl_diff *diff;
	char *text;
	int r;

	r = pl_diff_new(&source, before, after, 1, &diff, &error);
	if (r < 0)
		fail_msg("%s", error.message);
	while ((r = pl_diff_next(diff, &d, &error)) > 0)
		describe_one(&b, &d);
	if (r < 0)
		fail_msg("%s", error.message);
	assert_int_equal(pl_diff_next(diff, &d, &error), 0);
	pl_diff_free(diff);
	text = pl_buffer_take_string(&b);
	assert_non_null(text);
	return text;
}

/* NULL: no tree. Looked at both ways round by those who care. */
static void expect(const char *before, const char *after, const char *expected)
{
	struct pl_id ids[2] = {0};
	struct memory_store store;
	char *text;

	memory_store_init(&store);
	if (before)
		ids[0] = memory_store_tree(&store, before);
	if (after)
		ids[1] = memory_store_tree(&store, after);
	text = list(&store, before ? &ids[0] : NULL, after ? &ids[1] : NULL, describe);
	assert_string_equal(text, expected);
	free(text);
	memory_store_done(&store);
}

static void equal_trees_do_not_differ_and_are_not_read(void **state)
{
	struct memory_store store;
	struct pl_id id;
	char *text;

	memory_store_init(&store);
	id = memory_store_tree(&store, "f a x\nf d/b y\nf d/c y\ng d/b d/c");
	text = list(&store, &id, &id, describe);
	assert_string_equal(text, "");
	free(text);
	text = list(&store, NULL, NULL, describe);
	assert_string_equal(text, "");
	free(text);
	assert_int_equal(store.n_reads, 0);
	memory_store_done(&store);
}

static void paths_of_one_tree_alone_are_added_or_removed_each(void **state)
{
	expect("f a x", "f a x\nf b y\nd e\nf d/c/f z\nl g t",
	       "A b\nA d\nA d/c\nA d/c/f\nA e\nA g\n");
	expect("f a x\nf b y\nd e\nf d/c/f z\nl g t", "f a x",
	       "D b\nD d\nD d/c\nD d/c/f\nD e\nD g\n");
	expect("f a x", "f b x", "D a\nA b\n");
	expect("f d/a x", "f e/a x", "D d\nD d/a\nA e\nA e/a\n");
}

static void no_tree_is_an_empty_one_and_its_root_does_not_count(void **state)
{
	expect(NULL, "d . 0700\nf a x\nf b x\ng a b", "A a 0>2\nA b 0>2\n");
	expect("d . 0700\nf a x\nf d/b x", NULL, "D a\nD d\nD d/b\n");
	expect(NULL, "d . 0700", "");
}

static void content_wins_over_metadata(void **state)
{
	expect("f a x", "f a y", "M a\n");
	expect("f a x", "f a xy 0600 mtime=5", "M a\n");
	expect("f a -", "f a x", "M a\n");
	expect("l a x", "l a y", "M a\n");
	expect("l a x", "l a xx", "M a\n");
	expect("c a 1 2", "c a 1 3", "M a\n");
	expect("b a 1 2", "b a 2 2", "M a\n");
}

static void metadata_alone_is_told_apart(void **state)
{
	expect("f a x", "f a x 0600", "P a\n");
	expect("f a x", "f a x mtime=1", "P a\n");
	expect("f a x", "f a x owner=1", "P a\n");
	expect("f a x", "f a x x:user.k=v", "P a\n");
	expect("l a x", "l a x mtime=1", "P a\n");
	expect("p a\ns b\nc c 1 2", "p a 0600\ns b 0600\nc c 1 2 0600", "P a\nP b\nP c\n");
}

static void directories_differ_by_metadata_but_not_by_mtime(void **state)
{
	expect("d a\nf a/b x", "d a 0700\nf a/b x", "P a\n");
	expect("d a\nf a/b x", "d a 0700\nf a/b y", "P a\nM a/b\n");
	expect("d a x:user.k=v", "d a x:user.k=w", "P a\n");
	expect("d a\nf a/b x", "d a mtime=1\nf a/b x", "");
	expect("d a\nf a/b x", "d a mtime=1\nf a/b y", "M a/b\n");
	expect("d . mtime=1\nf a x", "d . mtime=2\nf a x", "");
}

static void the_root_is_a_path_that_is_empty(void **state)
{
	struct pl_node_source source;
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct memory_store store;
	struct pl_difference d;
	struct pl_diff *diff;
	struct pl_id a, b;

	expect("d . 0700\nf a x", "d . 0711\nf a y", "P .\nM a\n");
	memory_store_init(&store);
	source = memory_store_source(&store);
	a = memory_store_tree(&store, "d . 0700\nf a x\nf d/a x");
	b = memory_store_tree(&store, "d . 0711\nf a x");
	assert_int_equal(pl_diff_new(&source, &a, &b, 1, &diff, &error), 0);
	assert_int_equal(pl_diff_next(diff, &d, &error), 1);
	assert_string_equal(d.path, "");
	assert_int_equal(d.before->kind, 'd');
	assert_true(pl_id_equal(&d.before->hash, &a) && pl_id_equal(&d.after->hash, &b));
	assert_int_equal(d.before->totals.entries, 3);
	assert_int_equal(d.after->totals.entries, 1);
	assert_int_equal(d.before_meta->mode, 0700);
	assert_int_equal(d.after_meta->mode, 0711);
	pl_diff_free(diff);
	memory_store_done(&store);
}

static void a_change_of_type_stands_before_what_is_below(void **state)
{
	expect("f a x", "l a x", "T a\n");
	expect("c a 1 2", "b a 1 2", "T a\n");
	expect("f a x\nf a! x", "f a/b/c x\nf a! x", "T a\nA a/b\nA a/b/c\n");
	expect("f a/b/c x\nf a/d x", "f a x", "T a\nD a/b\nD a/b/c\nD a/d\n");
}

static void order_is_that_of_paths_with_the_slash_first(void **state)
{
	expect("d .", "f a/b x\nf a! x\nf a-b/c x\nf a0 x\nf a\xff x\nf ab x",
	       "A a\nA a/b\nA a!\nA a-b\nA a-b/c\nA a0\nA ab\nA a\xff\n");
}

static void groups_that_form_or_dissolve_are_told_for_each_member(void **state)
{
	expect("f a x\nf b x", "f a x\nf b x\ng a b", "L a 1>2\nL b 1>2\n");
	expect("f a x\nf b x\ng a b", "f a x\nf b x", "L a 2>1\nL b 2>1\n");
}

static void groups_that_split_join_or_trade_members_are_told_for_each_member(void **state)
{
#define FOUR "f a x\nf b x\nf c x\nf d x\n"
	expect(FOUR "g a b c d", FOUR "g a b\ng c d", "L a 4>2\nL b 4>2\nL c 4>2\nL d 4>2\n");
	expect(FOUR "g a b\ng c d", FOUR "g a b c d", "L a 2>4\nL b 2>4\nL c 2>4\nL d 2>4\n");
	expect(FOUR "g a b\ng c d", FOUR "g a c\ng b d", "L a 2>2\nL b 2>2\nL c 2>2\nL d 2>2\n");
	expect(FOUR "g a b\ng c d", FOUR "g a b", "L c 2>1\nL d 2>1\n");
}

static void a_member_more_or_less_is_told_by_the_others_too(void **state)
{
	expect("f a x\nf b x\ng a b\nf c x", "f a x\nf b x\ng a b c\nf c x",
	       "L a 2>3\nL b 2>3\nL c 1>3\n");
	expect("f a x\nf b x\ng a b", "f a x\nf b x\nf c x\ng a b c",
	       "L a 2>3\nL b 2>3\nA c 0>3\n");
	expect("f a x\nf b x\nf c x\ng a b c", "f a x\nf b x\ng a b",
	       "L a 3>2\nL b 3>2\nD c 3>0\n");
	expect("f a x\nf b x\ng a b", "f a x", "L a 2>1\nD b 2>0\n");
}

static void other_letters_win_over_a_change_of_group(void **state)
{
	expect("f a x\nf b x\ng a b", "f a y\nf b x", "M a 2>1\nL b 2>1\n");
	expect("f a x\nf b x\ng a b", "f a x 0600\nf b x", "P a 2>1\nL b 2>1\n");
	expect("f a x\nf b x\ng a b", "l a x\nf b x", "T a 2>1\nL b 2>1\n");
	expect("f a x\nf b x\ng a b", "f a y\nf b y\ng a b", "M a 2>2\nM b 2>2\n");
}

static void groups_reach_into_subtrees_that_did_not_change(void **state)
{
	const char *plain = "f d/e/f x\nf d/g x\nf h x\nf d/a/n y\nf z/a x\n";
	char after[200];

	snprintf(after, sizeof(after), "%sg d/e/f h", plain);
	expect(plain, after, "L d/e/f 1>2\nL h 1>2\n");
	expect(after, plain, "L d/e/f 2>1\nL h 2>1\n");
	snprintf(after, sizeof(after), "%sg d/e/f d/g z/a", plain);
	expect(plain, after, "L d/e/f 1>3\nL d/g 1>3\nL z/a 1>3\n");
}

static void groups_may_move_between_directories(void **state)
{
#define NEST "f d/e/a x\nf d/e/b x\nf d/c x\nf f x\n"
	expect(NEST "g d/e/a d/e/b", NEST "g d/c d/e/a d/e/b",
	       "L d/c 1>3\nL d/e/a 2>3\nL d/e/b 2>3\n");
	expect(NEST "g d/c d/e/a d/e/b f", NEST "g d/e/a d/e/b",
	       "L d/c 4>1\nL d/e/a 4>2\nL d/e/b 4>2\nL f 4>1\n");
	expect(NEST "g d/e/a d/e/b\ng d/c f", NEST "g d/e/a f\ng d/c d/e/b",
	       "L d/c 2>2\nL d/e/a 2>2\nL d/e/b 2>2\nL f 2>2\n");
	/* From one level to the next, through a directory that is equal but for its groups. */
	expect(NEST "g d/e/a d/e/b\nf d/e/z x", NEST "g d/e/a d/e/b\nf d/e/z y", "M d/e/z\n");
}

static void groups_that_did_not_change_are_silent_where_others_did(void **state)
{
	expect(FOUR "f e/a x\nf e/b x\ng a b\ng e/a e/b", FOUR "f e/a x\nf e/b x\ng c d\ng e/a e/b",
	       "L a 2>1\nL b 2>1\nL c 1>2\nL d 1>2\n");
	expect(FOUR "f e/a x\ng a e/a", FOUR "f e/a y\ng a b", "L a 2>2\nL b 1>2\nM e/a 2>1\n");
}

static void counts_are_of_three_kinds(void **state)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pl_diff_counts counts;
	struct pl_node_source source;
	struct memory_store store;
	struct pl_id a, b;

	memory_store_init(&store);
	source = memory_store_source(&store);
	a = memory_store_tree(&store, FOUR "g a b\nf m x\nf p x\nf t x\nf gone/1 x");
	b = memory_store_tree(&store, FOUR "f m y\nf p x 0600\nl t x\nf new/1 x\nf new/2 x");
	assert_int_equal(pl_diff_count(&source, &a, &b, 1, &counts, &error), 0);
	assert_int_equal(counts.added, 3);
	assert_int_equal(counts.removed, 2);
	assert_int_equal(counts.modified, 5);
	memory_store_done(&store);
}

/* ---- what is read ---- */

static size_t reads_of(const char *before, const char *after, const char *expected)
{
	struct memory_store store;
	struct pl_id a, b;
	char *text;
	size_t n;

	memory_store_init(&store);
	a = memory_store_tree(&store, before);
	b = memory_store_tree(&store, after);
	store.n_reads = 0;
	text = list(&store, &a, &b, describe);
	n = store.n_reads;
	assert_string_equal(text, expected);
	free(text);
	memory_store_done(&store);
	return n;
}

static void only_nodes_that_differ_are_read(void **state)
{
#define WIDE "f a/1/x x\nf a/2/x x\nf b/1/x x\nf b/2/x x\nf c/1/x x\nf c/2/x x\n"
	assert_int_equal(reads_of(WIDE "f b/1/y x", WIDE "f b/1/y y", "M b/1/y\n"), 6);
	assert_int_equal(reads_of(WIDE "f y x", WIDE "f y y", "M y\n"), 2);
	assert_int_equal(reads_of(WIDE, WIDE "f d/e x", "A d\nA d/e\n"), 3);
	/* Two roots, the one block of the second by both who need it, and the way to b/2/x and c/1. */
	assert_in_range(reads_of(WIDE, WIDE "g b/2/x c/1/x", "L b/2/x 1>2\nL c/1/x 1>2\n"), 7, 8);
	/* Blocks that did not change have no changes, and nobody goes into b for them. */
	assert_int_equal(
		reads_of(WIDE "g b/1/x c/1/x\nf y x", WIDE "g b/1/x c/1/x\nf y y", "M y\n"), 4);
}

static void two_thousand_levels_are_like_one(void **state)
{
	char *path = flat_deep_path(DEEP, "x"), *text;
	struct memory_store store;
	struct pl_id a, b, inner;
	struct pl_buffer expected = {0};

	memory_store_init(&store);
	inner = memory_store_tree(&store, "f x one\nf y one");
	a = flat_deepen(&store, inner, DEEP);
	inner = memory_store_tree(&store, "f x two\nf y one");
	b = flat_deepen(&store, inner, DEEP);
	store.n_reads = 0;
	text = list(&store, &a, &b, describe);
	pl_buffer_add_format(&expected, "M %s\n", path);
	assert_string_equal(text, pl_buffer_string(&expected));
	assert_int_equal(store.n_reads, 2 * (DEEP + 1));
	free(text);
	pl_buffer_done(&expected);
	free(path);
	memory_store_done(&store);
}

static void a_group_is_followed_down_two_thousand_equal_levels(void **state)
{
	char *path = flat_deep_path(DEEP, "x"), *text;
	struct pl_buffer expected = {0};
	struct pl_groups groups = {0};
	struct pl_entry entries[2];
	struct memory_store store;
	struct pl_id a, b, id;

	memory_store_init(&store);
	id = memory_store_tree(&store, "f x -\nf y one");
	id = flat_deepen(&store, id, DEEP - 1);
	entries[0] = flat_entry(&store, "d", &id);
	entries[1] = flat_file("f");
	a = flat_node(&store, entries, 2, NULL);
	assert_int_equal(pl_groups_begin(&groups), 0);
	assert_int_equal(pl_groups_add(&groups, path), 0);
	assert_int_equal(pl_groups_add(&groups, "f"), 0);
	b = flat_node(&store, entries, 2, &groups);
	store.n_reads = 0;
	text = list(&store, &a, &b, describe);
	pl_buffer_add_format(&expected, "L %s 1>2\nL f 1>2\n", path);
	assert_string_equal(text, pl_buffer_string(&expected));
	assert_in_range(store.n_reads, DEEP + 3, DEEP + 4);
	free(text);
	pl_buffer_done(&expected);
	free(path);
	memory_store_done(&store);
}

/* ---- what fails ---- */

static void each_read_that_fails_is_told_and_nothing_is_left(void **state)
{
	struct pl_node_source source;
	struct memory_store store;
	size_t n_failed = 0;
	struct pl_id a, b;
	int r = -1;

	memory_store_init(&store);
	source = memory_store_source(&store);
	a = memory_store_tree(&store, "d . 0700\n" NEST "g d/e/a d/e/b f\nf t x\nf z/y/x x");
	b = memory_store_tree(&store, NEST "g d/c d/e/b\nf t/u/v x\nf z/y/x x\nf z/a x\nf q x");
	while (r < 0) {
		struct pleach_error error = PLEACH_ERROR_INIT;
		struct pl_diff_counts counts = {77, 77, 77};

		store.n_reads = 0;
		store.fail_read_at = n_failed + 1;
		r = pl_diff_count(&source, &a, &b, 1, &counts, &error);
		if (r == 0)
			break;
		n_failed++;
		assert_int_equal(r, -EIO);
		assert_true(error.err == EIO && *error.message);
		assert_int_equal(counts.added, 77);
	}
	assert_in_range(n_failed, 8, 40);
	memory_store_done(&store);
}

static void a_node_that_is_missing_is_not_found(void **state)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pl_diff_counts counts;
	struct pl_node_source source;
	struct memory_store store;
	struct pl_id a, b = {0};

	memory_store_init(&store);
	source = memory_store_source(&store);
	a = memory_store_tree(&store, "f a x");
	assert_int_equal(pl_diff_count(&source, &a, &b, 1, &counts, &error), -ENOENT);
	assert_int_equal(error.code, PLEACH_NOT_FOUND);
	memory_store_done(&store);
}

static void a_directory_that_is_not_what_its_entry_says_is_corrupt(void **state)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pl_diff_counts counts;
	struct pl_node_source source;
	struct memory_store store;
	struct pl_entry entry;
	struct pl_id a, b;

	memory_store_init(&store);
	source = memory_store_source(&store);
	a = memory_store_tree(&store, "f a x");
	entry = flat_entry(&store, "d", &a);
	entry.totals.bytes++;
	b = flat_node(&store, &entry, 1, NULL);
	assert_int_equal(pl_diff_count(&source, &a, &b, 1, &counts, &error), -EBADMSG);
	assert_int_equal(error.code, PLEACH_CORRUPT);
	memory_store_done(&store);
}

/* Members that are not there, or are directories, or are in two groups, as no writer makes them. */
static void groups_of_a_broken_tree_do_no_harm(void **state)
{
	static const char *const broken[][3] = {
		{"d", "f", NULL},	{"d/none", "f", NULL}, {"d/x/y", "f", NULL},
		{"d/e", "d/e/g", "zz"}, {"d/e/g", "f", NULL},
	};

	for (size_t i = 0; i < PL_ARRAY_LEN(broken); i++) {
		struct pleach_error error = PLEACH_ERROR_INIT;
		struct pl_groups groups = {0};
		struct pl_diff_counts counts;
		struct pl_node_source source;
		struct memory_store store;
		struct pl_entry entry;
		struct pl_id a, b;

		memory_store_init(&store);
		source = memory_store_source(&store);
		a = memory_store_tree(&store, "f e/g -\nf e/h -\ng e/g e/h\nf x -\nf y -");
		entry = flat_entry(&store, "d", &a);
		a = flat_node(&store, &entry, 1, NULL);
		assert_int_equal(pl_groups_begin(&groups), 0);
		for (size_t m = 0; m < 3 && broken[i][m]; m++)
			assert_int_equal(pl_groups_add(&groups, broken[i][m]), 0);
		b = flat_node(&store, &entry, 1, &groups);
		assert_in_range(pl_diff_count(&source, &a, &b, 1, &counts, &error) + 1000, 0, 1000);
		assert_in_range(pl_diff_count(&source, &b, &a, 1, &counts, &error) + 1000, 0, 1000);
		memory_store_done(&store);
	}
}

/* ---- against lists ---- */

static void describe_side(struct pl_buffer *b, const struct pl_entry *entry,
			  const struct pl_meta *meta, uint64_t links)
{
	if (!entry)
		pl_buffer_add_string(b, " -");
	else
		pl_buffer_add_format(b, " %c%o,%d,%d,%u", entry->kind, meta->mode,
				     (int)meta->mtime_s, meta->uid != PLEACH_NO_OWNER,
				     (unsigned)links);
}

static void describe_in_full(struct pl_buffer *b, const struct pl_difference *d)
{
	pl_buffer_add_format(b, "%c %s", d->change, d->path);
	describe_side(b, d->before, d->before_meta, d->before_links);
	describe_side(b, d->after, d->after_meta, d->after_links);
	pl_buffer_add_u8(b, '\n');
}

static size_t flat_links(const struct flat *flat, const struct flat_thing *thing)
{
	size_t n = 0;

	for (size_t i = 0; i < flat->n; i++)
		n += flat->things[i].group == thing->group;
	return thing->group ? n : 1;
}

static void describe_thing(struct pl_buffer *b, const struct flat *flat,
			   const struct flat_thing *thing)
{
	if (!thing)
		pl_buffer_add_string(b, " -");
	else
		pl_buffer_add_format(b, " %c%o,%u,%u,%zu", thing->kind,
				     thing->kind == 'l' ? 0777
				     : thing->mode	? 0700
							: 0755,
				     thing->mtime, thing->owner, flat_links(flat, thing));
}

static bool same_group(const struct flat *a, const struct flat_thing *x, const struct flat *b,
		       const struct flat_thing *y)
{
	size_t k = 0;

	if (flat_links(a, x) != flat_links(b, y))
		return false;
	if (!x->group)
		return true;
	for (size_t i = 0; i < a->n; i++) {
		if (a->things[i].group != x->group)
			continue;
		while (b->things[k].group != y->group)
			k++;
		if (strcmp(a->things[i].path, b->things[k++].path) != 0)
			return false;
	}
	return true;
}

static char change_of(const struct flat *a, const struct flat_thing *x, const struct flat *b,
		      const struct flat_thing *y)
{
	bool has_content = x->kind != 'd' && x->kind != 'p' && x->kind != 's';

	if (x->kind != y->kind)
		return 'T';
	if (has_content && x->content != y->content)
		return 'M';
	if ((x->kind != 'l' && x->mode != y->mode) || x->owner != y->owner ||
	    (x->kind != 'd' && x->mtime != y->mtime))
		return 'P';
	return same_group(a, x, b, y) ? 0 : 'L';
}

/* What the differences are, by merging two lists. */
static char *naive(const struct flat *a, const struct flat *b)
{
	bool is_one_alone = a->n == 0 || b->n == 0;
	struct pl_buffer text = {0};
	size_t i = 0, k = 0;

	while (i < a->n || k < b->n) {
		const struct flat_thing *x = i < a->n ? &a->things[i] : NULL;
		const struct flat_thing *y = k < b->n ? &b->things[k] : NULL;
		int c = !x ? 1 : !y ? -1 : pl_path_compare(x->path, y->path);
		char change = c < 0 ? 'D' : 'A';

		i += c <= 0;
		k += c >= 0;
		x = c <= 0 ? x : NULL;
		y = c >= 0 ? y : NULL;
		if (c == 0)
			change = change_of(a, x, b, y);
		if (change == 0 || (is_one_alone && !*(x ? x : y)->path))
			continue;
		pl_buffer_add_format(&text, "%c %s", change, (x ? x : y)->path);
		describe_thing(&text, a, x);
		describe_thing(&text, b, y);
		pl_buffer_add_u8(&text, '\n');
	}
	return pl_buffer_take_string(&text);
}

static int check_random(uint64_t seed)
{
	struct pl_id ids[2] = {0};
	struct memory_store store;
	char *got, *expected;
	uint64_t random = seed;
	struct flat a, b;
	int r;

	memory_store_init(&store);
	flat_make(&a, 2 + flat_random(&random, 80), &random);
	b = a;
	flat_change(&b, flat_random(&random, 3) ? 1 + flat_random(&random, 4) : 30, &random);
	if (flat_random(&random, 20) == 0)
		a.n = 0;
	else
		ids[0] = flat_tree(&store, &a);
	if (flat_random(&random, 20) == 0)
		b.n = 0;
	else
		ids[1] = flat_tree(&store, &b);
	got = list(&store, a.n ? &ids[0] : NULL, b.n ? &ids[1] : NULL, describe_in_full);
	expected = naive(&a, &b);
	r = flat_same(got, expected);
	free(got);
	free(expected);
	memory_store_done(&store);
	return r;
}

static void differences_of_random_trees_are_those_of_their_lists(void **state)
{
	flat_run("diff", ROUNDS, check_random);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equal_trees_do_not_differ_and_are_not_read),
		cmocka_unit_test(paths_of_one_tree_alone_are_added_or_removed_each),
		cmocka_unit_test(no_tree_is_an_empty_one_and_its_root_does_not_count),
		cmocka_unit_test(content_wins_over_metadata),
		cmocka_unit_test(metadata_alone_is_told_apart),
		cmocka_unit_test(directories_differ_by_metadata_but_not_by_mtime),
		cmocka_unit_test(the_root_is_a_path_that_is_empty),
		cmocka_unit_test(a_change_of_type_stands_before_what_is_below),
		cmocka_unit_test(order_is_that_of_paths_with_the_slash_first),
		cmocka_unit_test(groups_that_form_or_dissolve_are_told_for_each_member),
		cmocka_unit_test(groups_that_split_join_or_trade_members_are_told_for_each_member),
		cmocka_unit_test(a_member_more_or_less_is_told_by_the_others_too),
		cmocka_unit_test(other_letters_win_over_a_change_of_group),
		cmocka_unit_test(groups_reach_into_subtrees_that_did_not_change),
		cmocka_unit_test(groups_may_move_between_directories),
		cmocka_unit_test(groups_that_did_not_change_are_silent_where_others_did),
		cmocka_unit_test(counts_are_of_three_kinds),
		cmocka_unit_test(only_nodes_that_differ_are_read),
		cmocka_unit_test(two_thousand_levels_are_like_one),
		cmocka_unit_test(a_group_is_followed_down_two_thousand_equal_levels),
		cmocka_unit_test(each_read_that_fails_is_told_and_nothing_is_left),
		cmocka_unit_test(a_node_that_is_missing_is_not_found),
		cmocka_unit_test(a_directory_that_is_not_what_its_entry_says_is_corrupt),
		cmocka_unit_test(groups_of_a_broken_tree_do_no_harm),
		cmocka_unit_test(differences_of_random_trees_are_those_of_their_lists),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
