/*
 * Making room in a store that is over its max-size: whenever it is killed, nothing is lost that should stay, and the
 * next collection makes it fit (G5, G6).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gc/generations.h"

#define LIMIT (UINT64_C(4) << 20)

static void publish_large(const struct store *s, const char *ref, char letter)
{
	TEXT *source = text_of("%s/source", s->y->path);
	char *text = malloc(1000001);
	struct outcome o;

	assert_non_null(text);
	memset(text, letter, 1000000);
	text[1000000] = '\0';
	(void)mkdir(source, 0755);
	put(source, "file", text);
	settle_dir(source, ".");
	free(text);
	o = publish_at(s->path, ref, source);
	must(&o, "publish");
}

static struct pleach_gc_result collect(const struct store *s)
{
	struct pleach_gc_result result = PLEACH_GC_RESULT_INIT;
	struct outcome o;
	struct pleach_store *store = open_at(s->path, &o);

	o.r = pleach_gc(store, NULL, &result, NULL, &o.error);
	pleach_store_close(store);
	must(&o, "gc");
	return result;
}

static int killed_at_call(const struct store *s, uint64_t k)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		const struct pl_seam_plan plan = {.exit_at = k};
		struct outcome o;
		struct pleach_store *store = open_at(s->path, &o);

		pl_seam_arm(&plan);
		_exit(pleach_gc(store, NULL, NULL, NULL, &o.error) == 0 ? 0 : 1);
	}
	assert_true(pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* Generations 1 to 5 of a MB each, of which 2 is tagged: 1 and 3 must go, and no more. */
static struct store make_full(const struct yard *y)
{
	struct store s = make(y, without_grace);
	struct outcome o;
	struct pleach_store *store;

	for (char letter = 'a'; letter <= 'e'; letter++)
		publish_large(&s, "site", letter);
	store = open_at(s.path, &o);
	assert_int_equal(pleach_tag_set(store, "site", "v1", "@2", 0, &o.error), 0);
	pleach_store_close(store);
	config(&s, NULL, "keep-placed", "1");
	config(&s, NULL, "max-size", "4M");
	return s;
}

static void G6_killed_anywhere_the_next_collection_makes_the_room(void **state)
{
	const struct yard *y = *state;
	struct store s = make_full(y);
	TEXT *template = text_of("%s/template", y->path);
	TEXT *kept = text_of("%s/template/S", y->path);
	uint64_t k;
	int status = 99;

	assert_int_equal(mkdir(template, 0755), 0);
	yard_copy(s.path, template);
	for (k = 1; status == 99; k++) {
		TEXT *trouble = NULL, *dropped = NULL, *left = NULL, *trash = NULL;
		struct pleach_gc_result result;

		yard_remove(s.path);
		yard_copy(kept, y->path);
		status = killed_at_call(&s, k);
		trouble = trouble_by_check(s.path, 0);
		assert_null(trouble);
		result = collect(&s);
		assert_int_equal(result.over, 0);
		assert_true(result.store_size <= LIMIT && result.store_size > LIMIT / 2);
		dropped = names_in(s.path, "refs/site/dropped");
		assert_string_equal(dropped, "1 3 ");
		left = names_in(s.path, "tx");
		assert_string_equal(left, "");
		trash = names_in(s.path, "trash");
		assert_string_equal(trash, "batch collector ");
		trouble = trouble_by_check(s.path, 0);
		assert_null(trouble);
	}
	assert_int_equal(status, 0);
	print_message("# %u moments\n", (unsigned)k);
}

static void room_that_is_asked_for_is_made_below_the_limit(void **state)
{
	struct store s = make_full(*state);
	struct pleach_gc_options options = PLEACH_GC_OPTIONS_INIT;
	struct pleach_gc_result result = PLEACH_GC_RESULT_INIT;
	struct outcome o;
	struct pleach_store *store = open_at(s.path, &o);

	options.room = 800000;
	assert_int_equal(pleach_gc(store, &options, &result, NULL, &o.error), 0);
	assert_int_equal(result.generations, 3);
	assert_true(result.store_size <= LIMIT - 800000);
	assert_int_equal(result.over, 0);
	/* More than there can be: what has to stay is more than nothing. */
	options.room = UINT64_MAX;
	assert_int_equal(pleach_gc(store, &options, &result, NULL, &o.error), 0);
	assert_int_equal(result.generations, 0);
	assert_int_equal(result.over, result.store_size);
	pleach_store_close(store);
}

static void a_store_that_fits_is_measured_and_left_alone(void **state)
{
	struct store s = make_full(*state);
	TEXT *dropped = NULL;
	struct pleach_gc_result result;

	config(&s, NULL, "max-size", "1G");
	result = collect(&s);
	assert_int_equal(result.generations, 0);
	assert_true(result.store_size > 5000000);
	dropped = names_in(s.path, "refs/site/dropped");
	assert_string_equal(dropped, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		yard_test(G6_killed_anywhere_the_next_collection_makes_the_room),
		yard_test(room_that_is_asked_for_is_made_below_the_limit),
		yard_test(a_store_that_fits_is_measured_and_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
