/* Names by the million: in order, in runs, and read back from the spool. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "gc/dedup.h"

static void sorting_is_by_key_inode_and_where(void **state)
{
	(void)state;
	for (size_t n = 0; n < 300; n++) {
		struct dedup_name *items = calloc(n + 1, sizeof(*items));

		for (size_t i = 0; i < n; i++)
			items[i] = (struct dedup_name){.key = dedup_mix(n, i) % 5,
						       .ino = dedup_mix(i, n) % 3,
						       .where = dedup_mix(7, i)};
		dedup_names_sort(items, n);
		for (size_t i = 1; i < n; i++) {
			const struct dedup_name *a = &items[i - 1], *b = &items[i];

			assert_true(
				a->key < b->key ||
				(a->key == b->key &&
				 (a->ino < b->ino || (a->ino == b->ino && a->where < b->where))));
		}
		free(items);
	}
}

static void runs_of_one_inode_are_dropped_and_others_come_as_they_were_found(void **state)
{
	static const struct dedup_name found[] = {
		{9, 1, 10}, {5, 2, 20}, {7, 3, 30}, {9, 4, 40}, {7, 5, 50},
		{5, 2, 60}, {3, 6, 70}, {9, 1, 80}, {7, 3, 90},
	};
	static const uint64_t wheres[] = {10, 80, 40, 30, 90, 50};
	struct dedup_names names = DEDUP_NAMES_NONE;

	(void)state;
	names.items = malloc(sizeof(found));
	assert_non_null(names.items);
	memcpy(names.items, found, sizeof(found));
	names.n = names.capacity = PL_ARRAY_LEN(found);
	dedup_names_settle(&names, false);
	assert_int_equal(names.n, PL_ARRAY_LEN(wheres));
	for (size_t i = 0; i < names.n; i++)
		assert_int_equal(names.items[i].where, wheres[i]);
	assert_int_equal(dedup_names_run(names.items, names.n, 0), 3);
	assert_int_equal(dedup_names_inode(names.items, names.n, 0), 2);
	assert_int_equal(dedup_names_run(names.items, names.n, 3), 3);
	dedup_names_done(&names);
}

static void the_spool_gives_back_what_was_put_in_also_from_its_file(void **state)
{
	enum { N = 300000 };
	struct dedup_names names = DEDUP_NAMES_NONE;
	uint64_t *wheres = calloc(N, sizeof(*wheres));
	char text[128], got[128];
	size_t n;

	(void)state;
	assert_non_null(wheres);
	for (int i = 0; i < N; i++) {
		(void)snprintf(text, sizeof(text), "%d is a name that is not very short\n", i);
		assert_int_equal(dedup_spool_add(&names, text, strlen(text) + 1, &wheres[i]), 0);
		assert_true(wheres[i] > 0);
	}
	assert_true(names.fd >= 0 && names.tail.length > 0); /* both were used */
	for (int i = 0; i < N; i++) {
		(void)snprintf(text, sizeof(text), "%d is a name that is not very short\n", i);
		assert_int_equal(dedup_spool_read(&names, wheres[i], got, sizeof(got), &n), 0);
		assert_true(n > strlen(text));
		assert_string_equal(got, text);
	}
	free(wheres);
	dedup_names_done(&names);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sorting_is_by_key_inode_and_where),
		cmocka_unit_test(runs_of_one_inode_are_dropped_and_others_come_as_they_were_found),
		cmocka_unit_test(the_spool_gives_back_what_was_put_in_also_from_its_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
