/*
 * Whether a collection is worth it: by what was noted, by the size that is known, by how often it was not through; and
 * that hints which are damaged decide nothing of weight.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gc/generations.h"

#define MIB (UINT64_C(1) << 20)

static struct pl_store *open_inner(const struct store *s)
{
	struct pl_store *store = NULL;

	assert_int_equal(pl_store_open(s->path, &store, NULL), 0);
	return store;
}

static void note(struct pl_store *store, unsigned n, bool is_loose, uint64_t bytes)
{
	for (unsigned i = 0; i < n; i++)
		pl_growth_note(store, &store->settings, is_loose, bytes);
}

static void many_commits_that_may_have_made_garbage_are_worth_it(void **state)
{
	struct store s = make(*state, NULL);
	struct pl_store *store = open_inner(&s);

	assert_false(pl_growth_is_due(store));
	note(store, 15, true, 0);
	note(store, 100, false, 0);
	assert_false(pl_growth_is_due(store));
	note(store, 1, true, 0);
	assert_true(pl_growth_is_due(store));
	pl_growth_begin(store);
	assert_false(pl_growth_is_due(store));
	pl_store_close(store);
}

static void much_that_may_be_garbage_is_worth_it(void **state)
{
	struct store s = make(*state, NULL);
	struct pl_store *store = open_inner(&s);

	note(store, 1, false, 1000 * MIB); /* nothing of it may go */
	assert_false(pl_growth_is_due(store));
	note(store, 1, true, 0);
	assert_true(pl_growth_is_due(store));
	/* An eighth of it, where it is known how large it is, and 16 MiB at least. */
	for (uint64_t size = 1; size <= 1024; size *= 1024) {
		uint64_t enough = size == 1 ? 16 * MIB : 128 * MIB;

		pl_growth_begin(store);
		pl_growth_end(store, size * MIB, true);
		note(store, 1, true, enough - MIB);
		assert_false(pl_growth_is_due(store));
		note(store, 1, false, MIB);
		assert_true(pl_growth_is_due(store));
	}
	pl_store_close(store);
}

static void what_was_not_through_is_tried_again_after_twice_as_much(void **state)
{
	struct store s = make(*state, NULL);
	struct pl_store *store = open_inner(&s);
	unsigned n = 16;

	for (unsigned i = 0; i < 12; i++) {
		pl_growth_begin(store);
		pl_growth_end(store, 0, false);
		n = i < 10 ? 2 * n : n;
		note(store, n - 1, true, 0);
		assert_false(pl_growth_is_due(store));
		note(store, 1, true, 0);
		assert_true(pl_growth_is_due(store));
	}
	pl_growth_begin(store);
	pl_growth_end(store, 0, true);
	note(store, 16, true, 0);
	assert_true(pl_growth_is_due(store));
	pl_store_close(store);
}

static void with_auto_gc_off_nothing_is_worth_it(void **state)
{
	static const char *const off[] = {"auto-gc", "off", "max-size", "8M", NULL};
	struct store s = make(*state, off);
	struct pl_store *store = open_inner(&s);

	note(store, 2000, true, MIB);
	assert_false(pl_growth_is_due(store));
	pl_store_close(store);
}

static void a_store_that_would_be_over_its_max_size_is_told_once_its_size_is_known(void **state)
{
	static const char *const settings[] = {"max-size", "8M", NULL};
	struct store s = make(*state, settings);
	struct pl_store *store = open_inner(&s);
	struct pleach_error error = PLEACH_ERROR_INIT;

	assert_int_equal(pl_growth_check_room(store, 7 * MIB, &error), 0);
	assert_int_equal(pl_growth_check_room(store, 100 * MIB, &error), -ENOSPC); /* it alone */
	pl_growth_end(store, 5 * MIB, true);
	assert_int_equal(pl_growth_check_room(store, 2 * MIB, &error), 0);
	note(store, 1, false, 2 * MIB);
	assert_false(pl_growth_is_due(store));
	assert_int_equal(pl_growth_check_room(store, 2 * MIB, &error), -ENOSPC);
	assert_int_equal(error.code, PLEACH_NO_SPACE);
	assert_true(store->wanted >= 2 * MIB);
	note(store, 1, false, 2 * MIB);
	assert_true(pl_growth_is_due(store));
	assert_int_equal(pl_growth_check_room(store, UINT64_MAX, &error), -ENOSPC);
	pl_store_close(store);
}

/* H2 */
static void what_a_collection_that_measured_nothing_began_with_is_not_forgotten(void **state)
{
	static const char *const settings[] = {"max-size", "8M", NULL};
	struct store s = make(*state, settings);
	struct pl_store *store = open_inner(&s);

	pl_growth_end(store, 2 * MIB, true);
	for (unsigned i = 0; i < 4; i++) {
		note(store, 1, false, MIB - (UINT64_C(64) << 10)); /* with its own: a MiB */
		pl_growth_begin(store);
		if (i % 2) /* its time was over; else it was killed, or failed */
			pl_growth_end(store, 0, false);
	}
	assert_int_equal(pl_growth_check_room(store, MIB, NULL), 0);
	assert_int_equal(pl_growth_check_room(store, 2 * MIB, NULL), -ENOSPC);
	pl_growth_begin(store);
	pl_growth_end(store, 2 * MIB, true);
	assert_int_equal(pl_growth_check_room(store, 5 * MIB, NULL), 0);
	/* Also where it is more than is read. */
	note(store, (1u << 17) + 1, false, MIB);
	pl_growth_begin(store);
	assert_int_equal(pl_growth_check_room(store, MIB, NULL), -ENOSPC);
	pl_store_close(store);
}

/* That it counts twice is no harm: who is refused by it measures. */
static void where_the_size_cannot_be_written_what_was_noted_stays(void **state)
{
	static const char *const settings[] = {"max-size", "8M", NULL};
	struct store s = make(*state, settings);
	struct pl_store *store = open_inner(&s);
	struct pl_seam_plan plan = {.fail_errno = ENOSPC};

	pl_growth_end(store, 2 * MIB, true);
	note(store, 1, false, 4 * MIB);
	for (plan.fail_at = 1; plan.fail_at <= 4; plan.fail_at++) {
		pl_seam_arm(&plan);
		pl_growth_begin(store);
		pl_seam_arm(NULL);
		assert_int_equal(pl_growth_check_room(store, 2 * MIB, NULL), -ENOSPC);
	}
	pl_store_close(store);
}

static void write_hint(const struct store *s, const char *name, const char *text)
{
	TEXT *cache = text_of("%s/.pleach/cache", s->path);

	put(cache, name, text);
}

static void damaged_hints_are_none(void **state)
{
	static const char *const settings[] = {"max-size", "8M", NULL};
	static const char *const damaged[] = {"",
					      "pleach collected 1 ",
					      "pleach collected 1 5\n",
					      "pleach collected 1 5 5 5\n",
					      "pleach collected 2 5 5\n",
					      "pleach collected 1 x y\n",
					      "pleach collected 1 -1 -1\n",
					      "pleach collected 1 99999999999999999999999 1\n"};
	struct store s = make(*state, settings);
	struct pl_store *store = open_inner(&s);

	for (size_t i = 0; i < sizeof(damaged) / sizeof(damaged[0]); i++) {
		write_hint(&s, "collected", damaged[i]);
		(void)pl_growth_is_due(store);
		assert_int_equal(pl_growth_check_room(store, 100, NULL), 0);
	}
	write_hint(&s, "grown", "seven b");
	assert_false(pl_growth_is_due(store));
	pl_store_close(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		yard_test(many_commits_that_may_have_made_garbage_are_worth_it),
		yard_test(much_that_may_be_garbage_is_worth_it),
		yard_test(what_was_not_through_is_tried_again_after_twice_as_much),
		yard_test(with_auto_gc_off_nothing_is_worth_it),
		yard_test(a_store_that_would_be_over_its_max_size_is_told_once_its_size_is_known),
		yard_test(what_a_collection_that_measured_nothing_began_with_is_not_forgotten),
		yard_test(where_the_size_cannot_be_written_what_was_noted_stays),
		yard_test(damaged_hints_are_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
