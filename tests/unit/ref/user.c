/* Names of users: what takes them apart knows every form that is made, and no other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ref/stores.h"

#define ID "0123456789abcdef01234567"

static void each_form_that_is_made_is_taken_apart(void **state)
{
	const struct pl_ref ref = {.id = ID};
	char name[256];
	struct pl_user user;

	(void)state;
	pl_user_of_generation(&ref, 12, name);
	assert_true(pl_user_split(name, &user));
	assert_int_equal(user.kind, 'g');
	assert_string_equal(user.ref_id, ID);
	assert_string_equal(user.rest, "12");
	assert_true(pl_user_is_generation_of(&ref, name));

	pl_user_of_tag(&ref, "v1.0", name);
	assert_true(pl_user_split(name, &user));
	assert_int_equal(user.kind, 't');
	assert_string_equal(user.ref_id, ID);
	assert_string_equal(user.rest, "v1.0");
	assert_false(pl_user_is_generation_of(&ref, name));

	pl_user_of_attachment(ID, "/srv/www", name);
	assert_true(pl_user_split(name, &user));
	assert_int_equal(user.kind, 'a');
	assert_string_equal(user.ref_id, ID);
	assert_int_equal(strlen(user.rest), PL_ID_HEX);

	pl_user_of_tx(ID, name);
	assert_true(pl_user_split(name, &user));
	assert_int_equal(user.kind, 'x');
	assert_string_equal(user.ref_id, "");
	assert_string_equal(user.rest, ID);

	assert_true(pl_user_split("h." ID, &user));
	assert_int_equal(user.kind, 'h');
	assert_string_equal(user.rest, ID);
}

static void no_other_form_is(void **state)
{
	static const char *const names[] = {
		"",
		".",
		"g",
		"g.",
		"h.",
		"x.",
		"g-" ID ".1",
		"g." ID,
		"g." ID ".",
		"g." ID "-1",
		"g.0123456789ABCDEF01234567.1",
		"g.0123456789abcdef0123456.1",
		"t.short.v1",
		"q." ID ".1",
		"." ID ".1",
	};
	const struct pl_ref ref = {.id = ID};

	(void)state;
	for (size_t i = 0; i < PL_ARRAY_LEN(names); i++) {
		struct pl_user user = {.kind = '?'};

		assert_false(pl_user_split(names[i], &user));
		assert_int_equal(user.kind, '?');
		assert_false(pl_user_is_generation_of(&ref, names[i]));
	}
	assert_false(pl_user_is_generation_of(&ref, "g.fedcba9876543210fedcba98.1"));
}

/* A name that nobody understands may be of a later version: its tree stays, placed. */
static void what_is_no_name_of_a_user_counts_in_full(void **state)
{
	struct scratch *s = *state;
	STORE *store = open_store(s, "a");
	struct pl_user_lookup lookup = PL_USER_LOOKUP(store, NULL);
	struct pl_id tree = {{0}};
	uint64_t n;

	assert_non_null(store);
	assert_int_equal(pl_user_need(&lookup, &tree, "q." ID ".1", &n, NULL), PL_NEED_PLACED);
	assert_int_equal(pl_user_need(&lookup, &tree, "g.0123456789ABCDEF01234567.1", &n, NULL),
			 PL_NEED_PLACED);
	assert_int_equal(pl_user_need(&lookup, &tree, "g." ID ".1", &n, NULL),
			 PL_NEED_NOTHING); /* there is no such ref */
	pl_user_lookup_done(&lookup);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_form_that_is_made_is_taken_apart),
		cmocka_unit_test(no_other_form_is),
		TEST(what_is_no_name_of_a_user_counts_in_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
