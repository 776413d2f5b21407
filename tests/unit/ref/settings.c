/* The table is what CLI.md says, values are validated when they are set, a ref stands over its store. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ref/ref.h"

static struct pl_values values_of(const char *const *pairs)
{
	struct pl_values values = {0};

	for (; *pairs; pairs += 2)
		assert_int_equal(pl_values_set(&values, pairs[0], pairs[1], NULL), 0);
	return values;
}
#define VALUES(...) values_of((const char *const[]){__VA_ARGS__, NULL})

static struct pl_settings resolved(struct pl_values store, struct pl_values ref)
{
	struct pl_settings settings;

	assert_int_equal(pl_settings_resolve(&store, &ref, &settings, NULL), 0);
	pl_values_done(&store);
	pl_values_done(&ref);
	return settings;
}

static void the_table_has_these_keys_and_defaults(void **state)
{
	static const char *const expected[][2] = {
		{"keep", "all"},      {"keep-for", ""},	     {"keep-hourly", ""},
		{"keep-daily", ""},   {"keep-weekly", ""},   {"keep-monthly", ""},
		{"keep-placed", "2"}, {"spares", "4"},	     {"grace", "5m"},
		{"recycle", "move"},  {"metadata", "exact"}, {"share", "names"},
		{"merge", ""},	      {"max-size", ""},	     {"durability", "full"},
		{"auto-gc", "on"},    {"synced", ""},
	};

	assert_int_equal(pl_setting_keys_n, PL_ARRAY_LEN(expected));
	for (size_t i = 0; i < pl_setting_keys_n; i++) {
		const struct pl_setting_key *key = &pl_setting_keys[i];

		assert_string_equal(key->name, expected[i][0]);
		assert_string_equal(key->fallback, expected[i][1]);
		assert_true(strlen(key->meaning) > 10 && !strchr(key->meaning, '\n'));
		assert_int_equal(key->fallback[0] ? key->validate(key->fallback) : 0, 0);
		assert_int_equal(key->validate(""), -EINVAL);
	}
}

static void each_key_takes_its_values_and_no_others(void **state)
{
	static const struct {
		const char *key;
		const char *good[5], *bad[6];
	} cases[] = {
		{"keep",
		 {"all", "0", "1", "18446744073709551614"},
		 {"ALL", "-1", "1.5", "18446744073709551615", "01"}},
		{"keep-for", {"30d", "90s", "0"}, {"30", "d", "1y", "all"}},
		{"keep-hourly", {"0", "24"}, {"24h", "-1", "all"}},
		{"keep-daily", {"7"}, {"7d"}},
		{"keep-weekly", {"4"}, {"4w"}},
		{"keep-monthly", {"12"}, {"x"}},
		{"keep-placed", {"0", "2"}, {"two", "all"}},
		{"spares", {"0", "4"}, {"-4"}},
		{"grace", {"0", "5m", "90s"}, {"5", "5 m", "-5m"}},
		{"recycle", {"move", "edit", "off"}, {"on", "Move", "none"}},
		{"metadata", {"exact", "portable", "canonical"}, {"all", "Exact"}},
		{"share", {"names", "content"}, {"name", "inodes"}},
		{"merge",
		 {"*.log:append", "a:b:ours *:fail", "x:theirs  y:ignore"},
		 {"*.log", ":append", "*.log:", "*.log:both", " ", "a:ours b"}},
		{"max-size", {"10G", "512K", "1000"}, {"10GB", "G", "-1"}},
		{"durability", {"full", "none"}, {"off", "half"}},
		{"auto-gc", {"on", "off"}, {"true", "yes", "1"}},
		{"synced", {"0", "1795730000"}, {"now", "-1", "1.5"}},
	};

	assert_int_equal(PL_ARRAY_LEN(cases), pl_setting_keys_n);
	for (size_t i = 0; i < PL_ARRAY_LEN(cases); i++) {
		struct pl_values values = {0};

		for (size_t k = 0; k < 5 && cases[i].good[k]; k++) {
			if (pl_values_set(&values, cases[i].key, cases[i].good[k], NULL) != 0)
				fail_msg("%s=%s was refused", cases[i].key, cases[i].good[k]);
			assert_string_equal(pl_values_get(&values, cases[i].key), cases[i].good[k]);
		}
		for (size_t k = 0; k < 6 && cases[i].bad[k]; k++) {
			struct pleach_error error = PLEACH_ERROR_INIT;

			if (pl_values_set(&values, cases[i].key, cases[i].bad[k], &error) !=
				    -EINVAL ||
			    error.code != PLEACH_USAGE)
				fail_msg("%s=%s was not refused", cases[i].key, cases[i].bad[k]);
			assert_non_null(strstr(error.message, cases[i].key));
		}
		assert_int_equal(values.keys.n, 1);
		pl_values_done(&values);
	}
}

static void values_are_sorted_replaced_and_removed(void **state)
{
	struct pl_values values = {0};
	struct pleach_error error = PLEACH_ERROR_INIT;

	assert_null(pl_values_get(&values, "keep"));
	assert_int_equal(pl_values_set(&values, "share", "names", NULL), 0);
	assert_int_equal(pl_values_set(&values, "grace", "0", NULL), 0);
	assert_int_equal(pl_values_set(&values, "keep", "3", NULL), 0);
	assert_int_equal(pl_values_set(&values, "keep", "4", NULL), 0);
	assert_int_equal(values.keys.n, 3);
	assert_string_equal(values.keys.items[0], "grace");
	assert_string_equal(values.keys.items[1], "keep");
	assert_string_equal(values.keys.items[2], "share");
	assert_null(values.keys.items[3]);
	assert_string_equal(pl_values_get(&values, "keep"), "4");
	assert_int_equal(pl_values_set(&values, "grace", NULL, NULL), 0);
	assert_int_equal(pl_values_set(&values, "grace", NULL, NULL), 0);
	assert_null(pl_values_get(&values, "grace"));
	assert_string_equal(pl_values_get(&values, "share"), "names");
	assert_int_equal(values.keys.n, 2);
	assert_int_equal(pl_values_set(&values, "colour", "red", &error), -EINVAL);
	assert_int_equal(error.code, PLEACH_USAGE);
	assert_non_null(strstr(error.message, "colour"));
	assert_int_equal(pl_values_set(&values, "colour", NULL, NULL), -EINVAL);
	pl_values_done(&values);
	assert_int_equal(values.keys.n, 0);
}

static void nothing_set_comes_to_the_defaults(void **state)
{
	struct pl_settings s;

	assert_int_equal(pl_settings_resolve(NULL, NULL, &s, NULL), 0);
	assert_true(s.keep == UINT64_MAX && s.keep_placed == 2 && s.spares == 4);
	assert_true(s.grace_ms == 300000 && s.recycle == PL_RECYCLE_MOVE);
	assert_true(s.metadata == PL_RULE_EXACT && s.share == PL_SHARE_NAMES);
	assert_true(s.durable && s.auto_gc);
	assert_true(s.keep_for_ms == 0 && s.keep_hourly == 0 && s.keep_daily == 0 &&
		    s.keep_weekly == 0 && s.keep_monthly == 0 && s.max_size == UINT64_MAX);
}

static void retention_comes_to_numbers_each_key_for_itself(void **state)
{
	struct pl_settings s =
		resolved(VALUES("keep", "3", "keep-for", "4w", "keep-daily", "7", "keep-weekly",
				"5", "max-size", "2G"),
			 VALUES("keep-for", "90s", "keep-hourly", "24", "keep-weekly", "0",
				"keep-monthly", "12", "max-size", "1K"));

	assert_true(s.keep == 3 && s.keep_for_ms == 90000 && s.keep_hourly == 24);
	assert_true(s.keep_daily == 7 && s.keep_weekly == 0 && s.keep_monthly == 12);
	assert_true(s.max_size == UINT64_C(2) << 30); /* of the store, whatever a ref says */
}

static void a_ref_stands_over_its_store_over_the_defaults(void **state)
{
	struct pl_settings s =
		resolved(VALUES("keep", "7", "spares", "1", "durability", "none", "auto-gc", "off"),
			 VALUES("keep", "all", "grace", "10s", "keep-placed", "9"));

	assert_true(s.keep == UINT64_MAX && s.spares == 1 && s.keep_placed == 9);
	assert_true(s.grace_ms == 10000 && !s.durable && !s.auto_gc);
	s = resolved(VALUES("keep", "7"), (struct pl_values){0});
	assert_true(s.keep == 7);
}

static void sharing_follows_the_metadata_rule_where_it_is_not_set(void **state)
{
	struct pl_values none = {0};

	assert_int_equal(resolved(none, VALUES("metadata", "portable")).share, PL_SHARE_CONTENT);
	assert_int_equal(resolved(VALUES("metadata", "canonical"), none).share, PL_SHARE_CONTENT);
	assert_int_equal(
		resolved(VALUES("metadata", "canonical"), VALUES("metadata", "exact")).share,
		PL_SHARE_NAMES);
	assert_int_equal(resolved(VALUES("share", "names"), VALUES("metadata", "portable")).share,
			 PL_SHARE_NAMES);
	assert_int_equal(resolved(VALUES("metadata", "portable"), VALUES("share", "names")).share,
			 PL_SHARE_NAMES);
	assert_int_equal(resolved(none, VALUES("share", "content")).share, PL_SHARE_CONTENT);
}

static void editing_in_place_needs_no_grace(void **state)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pl_values edit = VALUES("recycle", "edit"), grace = VALUES("grace", "0");
	struct pl_settings s = {.keep = 42};

	assert_int_equal(pl_settings_resolve(NULL, &edit, &s, &error), -EINVAL);
	assert_int_equal(error.code, PLEACH_USAGE);
	assert_non_null(strstr(error.message, "recycle=edit"));
	assert_non_null(strstr(error.message, "grace"));
	assert_true(s.keep == 42);
	assert_int_equal(pl_settings_resolve(&grace, &edit, &s, &error), 0);
	assert_int_equal(s.recycle, PL_RECYCLE_EDIT);
	assert_int_equal(pl_settings_resolve(&edit, &grace, &s, &error), 0);
	pl_values_done(&edit);
	pl_values_done(&grace);
}

static int read_back(const char *body, struct pl_values *ret_values, struct pleach_error *error)
{
	PL_BUFFER b = {0};
	struct pl_text text;
	int r;

	pl_buffer_add_format(&b, "pleach-settings 1\n%s", body);
	pl_text_end(&b);
	assert_int_equal(pl_text_open(&text, b.data, b.length, "pleach-settings", 1), 0);
	r = pl_values_read_text(&text, ret_values, error);
	if (r == 0)
		r = pl_text_close(&text);
	pl_text_done(&text);
	return r;
}

static void values_survive_a_text(void **state)
{
	struct pl_values values = VALUES("merge", "a%b:ours", "keep", "3", "grace", "0"), back;
	PL_BUFFER b = {0};

	pl_values_add_to_text(&values, &b);
	assert_string_equal(pl_buffer_string(&b),
			    "set grace 0\nset keep 3\nset merge a%25b:ours\n");
	assert_int_equal(read_back(pl_buffer_string(&b), &back, NULL), 0);
	assert_int_equal(back.keys.n, 3);
	assert_string_equal(pl_values_get(&back, "merge"), "a%b:ours");
	pl_values_done(&back);
	pl_values_done(&values);
}

static void texts_with_other_settings_are_corrupt(void **state)
{
	static const char *const bad[] = {
		"set keep 3\nset grace 0\n",
		"set keep 3\nset keep 3\n",
		"set keep\n",
		"set keep \n",
		"set colour red\n",
		"set keep x\n",
		"set  keep 3\n",
	};

	for (size_t i = 0; i < PL_ARRAY_LEN(bad); i++) {
		struct pleach_error error = PLEACH_ERROR_INIT;
		struct pl_values values = {0};

		if (read_back(bad[i], &values, &error) != -EBADMSG || error.code != PLEACH_CORRUPT)
			fail_msg("'%s' was not refused", bad[i]);
		assert_int_equal(values.keys.n, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_table_has_these_keys_and_defaults),
		cmocka_unit_test(each_key_takes_its_values_and_no_others),
		cmocka_unit_test(values_are_sorted_replaced_and_removed),
		cmocka_unit_test(nothing_set_comes_to_the_defaults),
		cmocka_unit_test(retention_comes_to_numbers_each_key_for_itself),
		cmocka_unit_test(a_ref_stands_over_its_store_over_the_defaults),
		cmocka_unit_test(sharing_follows_the_metadata_rule_where_it_is_not_set),
		cmocka_unit_test(editing_in_place_needs_no_grace),
		cmocka_unit_test(values_survive_a_text),
		cmocka_unit_test(texts_with_other_settings_are_corrupt),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
