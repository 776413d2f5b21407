/*
 * Which placed trees are taken away, and which are not (user.c I2, retire.c I1): by keep-placed, spares
 * and grace; never what is pinned, or what another ref, an attachment or a holder needs placed; and
 * whole trees once nobody has them any more.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gc/generations.h"

#define ONE_TO(n) for (unsigned g = 1; g <= (n); g++)

static char *tree_of(const struct store *s, const char *ref, unsigned generation)
{
	struct pleach_revision revision = PLEACH_REVISION_INIT;
	TEXT *rev = text_of("%s@%u", ref, generation);
	struct outcome o;
	struct pleach_store *store = open_at(s->path, &o);

	o.r = pleach_resolve(store, rev, &revision, &o.error);
	pleach_store_close(store);
	must(&o, rev);
	return strdup(revision.tree);
}

static bool has_tree(const struct store *s, const char *tree)
{
	TEXT *path = text_of("%s/.pleach/trees/%s", s->path, tree);

	return access(path, F_OK) == 0;
}

static bool tree_is_placed(const struct store *s, const char *tree)
{
	TEXT *dir = text_of("trees/%s", tree);
	TEXT *names = names_in(s->path, dir);

	return strpbrk(names, "123456789") && names[0] != 'p';
}

/* The generations of `site` whose trees are placed, as "1 2 ". */
static char *placed(const struct store *s, unsigned n)
{
	char *text = strdup("");

	ONE_TO(n)
	{
		TEXT *before = text;
		TEXT *tree = tree_of(s, "site", g);

		text = tree_is_placed(s, tree) ? text_of("%s%u ", before, g) : strdup(before);
	}
	return text;
}

static void assert_placed(const struct store *s, unsigned n, const char *expected)
{
	TEXT *found = placed(s, n);
	TEXT *trouble = trouble_by_check(s->path, 0);

	assert_string_equal(found, expected);
	if (trouble)
		fail_msg("%s", trouble);
}

static int drop(const struct store *s, const char *rev, bool now)
{
	struct pleach_drop_options options = PLEACH_DROP_OPTIONS_INIT;
	struct outcome o;
	struct pleach_store *store = open_at(s->path, &o);

	options.now = now;
	o.r = pleach_drop(store, rev, &options, NULL, &o.error);
	pleach_store_close(store);
	return o.r;
}

/* ---- settings ---- */

static void the_newest_two_stay_placed_by_default(void **state)
{
	struct store s = make(*state, without_grace);

	publish(&s, 5);
	assert_placed(&s, 5, "4 5 ");
}

static void as_many_stay_placed_as_keep_placed_says(void **state)
{
	static const char *const settings[] = {"grace",	      "0", "spares", "0",
					       "keep-placed", "3", NULL};
	struct store s = make(*state, settings);

	publish(&s, 6);
	assert_placed(&s, 6, "4 5 6 ");
	config(&s, "site", "keep-placed", "1");
	publish(&s, 1);
	assert_placed(&s, 7, "7 ");
}

static void spares_are_the_newest_of_the_retired(void **state)
{
	static const char *const settings[] = {"grace",	      "0", "spares", "2",
					       "keep-placed", "4", NULL};
	struct store s = make(*state, settings);

	publish(&s, 4);
	config(&s, "site", "keep-placed", "1");
	publish(&s, 1); /* the newest of them is what it is laid out from */
	assert_placed(&s, 5, "2 4 5 ");
}

static void what_a_publish_is_laid_out_from_is_not_placed_any_more(void **state)
{
	static const char *const settings[] = {"grace",	      "0", "spares", "2",
					       "keep-placed", "1", NULL};
	struct store s = make(*state, settings);

	publish(&s, 2);
	assert_placed(&s, 2, "1 2 ");
	publish(&s, 1);
	assert_placed(&s, 3, "2 3 ");
	publish(&s, 3);
	assert_placed(&s, 6, "5 6 ");
}

static void without_recycling_there_are_no_spares(void **state)
{
	static const char *const settings[] = {"grace", "0",	   "spares", "2", "keep-placed",
					       "1",	"recycle", "off",    NULL};
	struct store s = make(*state, settings);

	publish(&s, 4);
	assert_placed(&s, 4, "4 ");
}

static void G1_within_the_grace_nothing_is_taken(void **state)
{
	static const char *const settings[] = {"grace",	      "1h", "spares", "0",
					       "keep-placed", "1",  NULL};
	struct store s = make(*state, settings);

	publish(&s, 5);
	assert_placed(&s, 5, "1 2 3 4 5 ");
	config(&s, "site", "grace", "0"); /* it was the grace that kept them */
	publish(&s, 1);
	assert_placed(&s, 6, "6 ");
}

/* How many placed trees of `site` go now. */
static unsigned retired(const struct store *s)
{
	struct pl_store *store;
	struct pl_txdir tx;
	struct pl_ref ref;
	unsigned n;

	assert_int_equal(pl_store_open(s->path, &store, NULL), 0);
	assert_int_equal(pl_txdir_begin(store, "a test", &tx, NULL), 0);
	assert_int_equal(pl_ref_open(store, "site", &ref, NULL), 0);
	assert_int_equal(pl_retire_run(&tx, &ref, &n, NULL), 0);
	pl_ref_close(&ref);
	pl_txdir_end(&tx);
	pl_store_close(store);
	return n;
}

/* 1. a generation is recorded, 2. its commit is stopped, for longer than the grace, 3. the path moves, 4. a taker comes.
 * (model/ref.pml, GRACE_FROM_RECORD) */
static void G1_the_grace_begins_when_the_path_has_moved(void **state)
{
	static const char *const settings[] = {"grace",	      "1h", "spares", "0",
					       "keep-placed", "1",  NULL};
	struct store s = make(*state, settings);
	TEXT *shown = text_of("%s/.pleach/refs/site/shown/2", s.path);

	publish(&s, 2);
	config(&s, "site", "grace", "0");
	assert_int_equal(unlink(shown), 0);
	assert_int_equal(retired(&s), 0);
	assert_int_equal(close(open(shown, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644)), 0);
	assert_int_equal(retired(&s), 1);
}

/* ---- who needs them ---- */

static void G1_a_pinned_tree_is_not_taken_until_the_pin_ends(void **state)
{
	struct store s = make(*state, without_grace);
	struct outcome o;
	struct pleach_store *store;
	struct pleach_pin *pin;

	config(&s, NULL, "keep-placed", "1");
	publish(&s, 1);
	store = open_at(s.path, &o);
	assert_int_equal(pleach_pin_open(store, "site", &pin, &o.error), 0);
	publish(&s, 3);
	assert_placed(&s, 4, "1 4 ");
	assert_int_equal(drop(&s, "site@1", true), -EBUSY);
	pleach_pin_close(pin);
	pleach_store_close(store);
	publish(&s, 1);
	assert_placed(&s, 5, "5 ");
}

static void a_tree_that_another_ref_has_is_not_taken(void **state)
{
	struct store s = make(*state, without_grace);
	TEXT *tree = NULL;

	config(&s, NULL, "keep-placed", "1");
	publish_as(&s, "site", 100);
	publish_as(&s, "other", 100);
	tree = tree_of(&s, "site", 1);
	publish(&s, 3);
	assert_true(tree_is_placed(&s, tree)); /* the head of the other */
	assert_int_equal(drop(&s, "site@1", true), 0);
	assert_true(tree_is_placed(&s, tree));
	publish_as(&s, "other", 101);
	publish_as(&s, "other", 102);
	assert_false(tree_is_placed(&s, tree));
	assert_true(has_tree(&s, tree)); /* a generation of the other, if not placed */
	assert_null(trouble_by_check(s.path, 0));
}

static void an_attached_generation_stays_placed_until_it_is_detached(void **state)
{
	struct store s = make(*state, without_grace);
	TEXT *path = text_of("%s/attached", s.y->path);
	TEXT *file = text_of("%s/file", path);
	struct outcome o;
	struct pleach_store *store;

	config(&s, NULL, "keep-placed", "1");
	publish(&s, 3);
	store = open_at(s.path, &o);
	assert_int_equal(pleach_attach(store, "site@2", path, NULL, &o.error), 0);
	publish(&s, 3);
	assert_placed(&s, 6, "2 6 ");
	assert_int_equal(access(file, F_OK), 0);
	assert_int_equal(drop(&s, "site@2", true), -EBUSY);
	assert_int_equal(pleach_detach(store, path, &o.error), 0);
	pleach_store_close(store);
	publish(&s, 1);
	assert_placed(&s, 7, "7 ");
}

static void G1_who_was_given_a_path_keeps_it_for_the_grace(void **state)
{
	static const char *const settings[] = {"grace",	      "1h", "spares", "0",
					       "keep-placed", "1",  NULL};
	struct store s = make(*state, settings);
	struct outcome o;
	struct pleach_store *store;
	char *path = NULL;

	publish(&s, 3);
	store = open_at(s.path, &o);
	assert_int_equal(pleach_path(store, "site@2", &path, &o.error), 0);
	pleach_store_close(store);
	config(&s, "site", "grace", "0");
	publish(&s, 1);
	/* Its own grace was written down when the path was given. */
	assert_placed(&s, 4, "2 4 ");
	assert_int_equal(access(path, F_OK), 0);
	pleach_free(path);
}

static void a_rollback_needs_its_tree_placed_again(void **state)
{
	struct store s = make(*state, without_grace);
	struct pleach_publish_options options = PLEACH_PUBLISH_OPTIONS_INIT;
	struct outcome o;
	struct pleach_store *store;

	config(&s, NULL, "keep-placed", "1");
	publish(&s, 4);
	store = open_at(s.path, &o);
	o.r = pleach_rollback(store, "site", "@2", &options, NULL, &o.error);
	pleach_store_close(store);
	must(&o, "rollback");
	assert_placed(&s, 5, "2 5 "); /* one tree */
}

/* ---- what nobody has ---- */

static void a_dropped_generation_takes_its_tree_along(void **state)
{
	struct store s = make(*state, without_grace);
	TEXT *tree = NULL;

	publish(&s, 4);
	tree = tree_of(&s, "site", 2);
	assert_true(has_tree(&s, tree));
	assert_int_equal(drop(&s, "site@2", false), 0); /* its grace is over */
	assert_false(has_tree(&s, tree));
	assert_null(trouble_by_check(s.path, 0));
	assert_int_equal(drop(&s, "site@4", true), -EBUSY); /* the head */
}

static void a_generation_dropped_within_its_grace_goes_after_it(void **state)
{
	static const char *const settings[] = {"grace",	      "1h", "spares", "0",
					       "keep-placed", "1",  NULL};
	struct store s = make(*state, settings);
	TEXT *tree = NULL;

	publish(&s, 3);
	tree = tree_of(&s, "site", 2);
	assert_int_equal(drop(&s, "site@2", false), 0);
	assert_true(tree_is_placed(&s, tree)); /* readers have it still (G1) */
	assert_null(trouble_by_check(s.path, 0));
	config(&s, "site", "grace", "0");
	publish(&s, 1);
	assert_false(has_tree(&s, tree));
	assert_null(trouble_by_check(s.path, 0));
}

static void dropped_now_does_not_wait_for_the_grace(void **state)
{
	struct store s = make(*state, NULL); /* 5 minutes */
	TEXT *tree = NULL;

	publish(&s, 5);
	tree = tree_of(&s, "site", 2);
	assert_true(tree_is_placed(&s, tree));
	assert_int_equal(drop(&s, "site@2", true), 0);
	assert_false(has_tree(&s, tree));
	assert_null(trouble_by_check(s.path, 0));
}

static void a_tree_that_two_generations_have_goes_with_the_last(void **state)
{
	struct store s = make(*state, without_grace);
	TEXT *tree = NULL;

	publish_as(&s, "site", 100);
	publish_as(&s, "site", 101);
	publish_as(&s, "site", 100);
	publish(&s, 3);
	tree = tree_of(&s, "site", 1);
	assert_int_equal(drop(&s, "site@1", true), 0);
	assert_true(has_tree(&s, tree));
	assert_null(trouble_by_check(s.path, 0));
	assert_int_equal(drop(&s, "site@3", true), 0);
	assert_false(has_tree(&s, tree));
	assert_null(trouble_by_check(s.path, 0));
}

static void a_tagged_tree_stays_though_nobody_needs_it_placed(void **state)
{
	struct store s = make(*state, without_grace);
	TEXT *tree = NULL;
	struct outcome o;
	struct pleach_store *store;

	publish(&s, 2);
	store = open_at(s.path, &o);
	assert_int_equal(pleach_tag_set(store, "site", "kept", "@1", 0, &o.error), 0);
	publish(&s, 3);
	tree = tree_of(&s, "site", 1);
	assert_false(tree_is_placed(&s, tree));
	assert_int_equal(drop(&s, "site@1", true), -EBUSY);
	assert_int_equal(pleach_tag_delete(store, "site", "kept", &o.error), 0);
	pleach_store_close(store);
	assert_int_equal(drop(&s, "site@1", true), 0);
	assert_false(has_tree(&s, tree));
}

static void a_dropped_ref_takes_its_trees_along_but_not_those_of_others(void **state)
{
	struct store s = make(*state, without_grace);
	TEXT *trees = NULL;
	TEXT *tree = NULL;

	publish(&s, 3);
	publish_as(&s, "site", 100);
	publish_as(&s, "other", 100);
	tree = tree_of(&s, "other", 1);
	assert_int_equal(drop(&s, "site", true), 0);
	trees = names_in(s.path, "trees");
	assert_int_equal(strlen(trees), 65); /* one */
	assert_true(tree_is_placed(&s, tree));
	assert_null(trouble_by_check(s.path, 0));
}

static void a_ref_dropped_within_its_grace_leaves_its_trees_to_readers(void **state)
{
	struct store s = make(*state, NULL);
	TEXT *tree = NULL;
	TEXT *trees = NULL;

	publish(&s, 1);
	tree = tree_of(&s, "site", 1);
	assert_int_equal(drop(&s, "site", false), 0);
	assert_true(tree_is_placed(&s, tree));
	assert_null(trouble_by_check(s.path, 0));
	publish_as(&s, "other", 100);
	trees = names_in(s.path, "trees");
	assert_int_equal(strlen(trees), 2 * 65);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		yard_test(the_newest_two_stay_placed_by_default),
		yard_test(as_many_stay_placed_as_keep_placed_says),
		yard_test(spares_are_the_newest_of_the_retired),
		yard_test(what_a_publish_is_laid_out_from_is_not_placed_any_more),
		yard_test(without_recycling_there_are_no_spares),
		yard_test(G1_within_the_grace_nothing_is_taken),
		yard_test(G1_the_grace_begins_when_the_path_has_moved),
		yard_test(G1_a_pinned_tree_is_not_taken_until_the_pin_ends),
		yard_test(a_tree_that_another_ref_has_is_not_taken),
		yard_test(an_attached_generation_stays_placed_until_it_is_detached),
		yard_test(G1_who_was_given_a_path_keeps_it_for_the_grace),
		yard_test(a_rollback_needs_its_tree_placed_again),
		yard_test(a_dropped_generation_takes_its_tree_along),
		yard_test(a_generation_dropped_within_its_grace_goes_after_it),
		yard_test(dropped_now_does_not_wait_for_the_grace),
		yard_test(a_tree_that_two_generations_have_goes_with_the_last),
		yard_test(a_tagged_tree_stays_though_nobody_needs_it_placed),
		yard_test(a_dropped_ref_takes_its_trees_along_but_not_those_of_others),
		yard_test(a_ref_dropped_within_its_grace_leaves_its_trees_to_readers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
