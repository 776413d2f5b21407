/* Events are lines with a time, bounded, and never anybody's failure. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ref/stores.h"

static struct pl_strings lines_of(struct pl_store *store)
{
	struct pl_strings lines;

	assert_int_equal(pl_event_list(store, &lines), 0);
	return lines;
}

static void an_event_is_one_line_with_the_time_in_front(void **state)
{
	STORE *store = open_store(*state, "a");
	struct pl_strings lines = lines_of(store);

	assert_int_equal(lines.n, 0);
	pl_event_add(store, NULL, "first %d", 1);
	pl_event_add(store, NULL, "%s", "two\nlines\x1b[0m");
	lines = lines_of(store);
	assert_int_equal(lines.n, 2);
	assert_string_equal(lines.items[0] + 30, " first 1");
	assert_true(lines.items[0][4] == '-' && lines.items[0][29] == 'Z');
	assert_string_equal(lines.items[1] + 30, " two?lines?[0m");
	pl_strings_done(&lines);
}

static void an_event_tells_of_which_transaction_it_is(void **state)
{
	static const char id[] = "0123456789abcdef01234567";
	STORE *store = open_store(*state, "a");
	struct pl_strings lines;
	char of[25];

	pl_event_add(store, id, "of one");
	pl_event_add(store, NULL, "of none");
	pl_event_add(store, NULL, "0123456789abcdef01234567");
	pl_event_add(store, NULL, "%s", "");
	lines = lines_of(store);
	assert_int_equal(lines.n, 4);
	pl_event_take_id(lines.items[0], of);
	assert_string_equal(of, id);
	assert_string_equal(lines.items[0] + 30, " of one");
	for (size_t i = 1; i < lines.n; i++) {
		pl_event_take_id(lines.items[i], of);
		assert_string_equal(of, "");
	}
	assert_string_equal(lines.items[1] + 30, " of none");
	assert_string_equal(lines.items[2] + 30, " 0123456789abcdef01234567");
	pl_strings_done(&lines);
}

static void a_long_event_is_cut(void **state)
{
	STORE *store = open_store(*state, "a");
	PL_FREE char *text = malloc(100000);
	struct pl_strings lines;

	memset(text, 'x', 99999);
	text[99999] = '\0';
	pl_event_add(store, NULL, "%s", text);
	pl_event_add(store, NULL, "next");
	lines = lines_of(store);
	assert_int_equal(lines.n, 2);
	assert_true(strlen(lines.items[0]) > 900 && strlen(lines.items[0]) < 1024);
	pl_strings_done(&lines);
}

static void the_older_half_goes_when_there_are_too_many(void **state)
{
	STORE *store = open_store(*state, "a");
	struct pl_strings lines;
	struct stat st;
	char expected[64];

	for (int i = 0; i < 5000; i++) {
		pl_event_add(store, NULL, "event number %d", i);
		assert_int_equal(pl_lstat(store->cache_fd, "events", &st), 0);
		assert_true(st.st_size <= 65536);
	}
	lines = lines_of(store);
	assert_true(lines.n > 500 && lines.n < 2000);
	for (size_t i = 0; i < lines.n; i++) {
		(void)snprintf(expected, sizeof(expected), " event number %d",
			       (int)(5000 - lines.n + i));
		assert_string_equal(lines.items[i] + 30, expected);
	}
	pl_strings_done(&lines);
	assert_int_equal(count_names(store->cache_fd, "."), 2); /* and the reserve */
}

static int add_many(struct scratch *s)
{
	STORE *store = NULL;

	CHECK(pl_store_open(scratch_path(s, "a"), &store, NULL) == 0);
	for (int i = 0; i < 2000; i++)
		pl_event_add(store, NULL, "a line that is whole");
	return 0;
}

static void killed_at_every_call_no_half_line_is_in_the_way(void **state)
{
	struct scratch *s = *state;
	STORE *store = open_store(s, "a");
	uint64_t n;

	/* About call 1900 the older half goes for the first time. */
	for (n = 1800; n < 2200; n += 7) {
		struct pl_strings lines;

		assert_int_equal(killed_at(n, add_many, s), 99);
		pl_event_add(store, NULL, "a line that is whole");
		lines = lines_of(store);
		assert_true(lines.n > 0);
		for (size_t i = 0; i < lines.n; i++)
			assert_string_equal(lines.items[i] + 30, " a line that is whole");
		pl_strings_done(&lines);
	}
}

static void whatever_is_in_the_way_fails_nobody(void **state)
{
	STORE *store = open_store(*state, "a");
	struct pl_strings lines;
	PL_CLOSE int fd = -EBADF;

	assert_int_equal(pl_mkdir(store->cache_fd, "events", 0700), 0);
	pl_event_add(store, NULL, "x");
	lines = lines_of(store);
	assert_int_equal(lines.n, 0);
	assert_int_equal(pl_rmdir(store->cache_fd, "events"), 0);
	assert_int_equal(mkfifoat(store->cache_fd, "events", 0600), 0);
	pl_event_add(store, NULL, "x"); /* does not wait for a reader */
	assert_int_equal(pl_unlink(store->cache_fd, "events"), 0);
	assert_int_equal(symlinkat("elsewhere", store->cache_fd, "events"), 0);
	pl_event_add(store, NULL, "x");
	assert_int_equal(pl_exists(store->cache_fd, "elsewhere"), 0);
	assert_int_equal(pl_unlink(store->cache_fd, "events"), 0);
	fd = pl_create(store->cache_fd, "events", 0600);
	assert_int_equal(pl_truncate(fd, UINT64_C(1) << 40), 0);
	lines = lines_of(store);
	assert_int_equal(lines.n, 0);
	pl_event_add(store, NULL, "x");
	pl_event_add(store, NULL, "y");
	lines = lines_of(store);
	assert_int_equal(lines.n, 1);
	pl_strings_done(&lines);
	pl_closep(&store->cache_fd);
	pl_event_add(store, NULL, "x");
	lines = lines_of(store);
	assert_int_equal(lines.n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_event_is_one_line_with_the_time_in_front),
		TEST(an_event_tells_of_which_transaction_it_is),
		TEST(a_long_event_is_cut),
		TEST(the_older_half_goes_when_there_are_too_many),
		TEST(killed_at_every_call_no_half_line_is_in_the_way),
		TEST(whatever_is_in_the_way_fails_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
