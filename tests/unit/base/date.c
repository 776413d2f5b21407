/* Days, dates and weeks, held against gmtime(3) and strftime(3). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <time.h>

#include "base/base.h"

#define FIRST INT64_C(-719162) /* 0001-01-01 */
#define LAST  INT64_C(2932896) /* 9999-12-31 */

static void every_day_of_the_calendar_is_what_the_c_library_says(void **state)
{
	for (int64_t days = FIRST; days <= LAST; days += 11) {
		time_t t = (time_t)(days * 86400);
		struct pl_date date = pl_date_of_days(days);
		char expected[16], found[32];
		int64_t year;
		unsigned week;
		struct tm tm;

		assert_non_null(gmtime_r(&t, &tm));
		assert_true(date.year == tm.tm_year + 1900 && date.month == tm.tm_mon + 1 &&
			    date.day == tm.tm_mday);
		assert_true(pl_date_days(&date) == days);
		if (tm.tm_year + 1900 < 1000) /* %G is not padded alike everywhere */
			continue;
		assert_true(strftime(expected, sizeof(expected), "%G-%V", &tm) > 0);
		pl_date_iso_week(pl_date_week(days), &year, &week);
		(void)snprintf(found, sizeof(found), "%lld-%02u", (long long)year, week);
		assert_string_equal(found, expected);
	}
}

static void a_week_is_seven_days_from_a_monday(void **state)
{
	assert_int_equal(pl_date_week(0), 0);
	assert_int_equal(pl_date_week(-3), 0); /* Monday */
	assert_int_equal(pl_date_week(3), 0);  /* Sunday */
	assert_int_equal(pl_date_week(4), 1);
	assert_int_equal(pl_date_week(-4), -1);
	for (int64_t days = -2000; days < 2000; days++)
		assert_int_equal(pl_date_week(days + 7), pl_date_week(days) + 1);
}

static void the_turn_of_a_year_is_in_the_week_of_its_thursday(void **state)
{
	static const struct {
		struct pl_date date;
		int64_t year;
		unsigned week;
	} cases[] = {
		{{2026, 1, 1}, 2026, 1},    {{2025, 12, 29}, 2026, 1}, {{2021, 1, 3}, 2020, 53},
		{{2020, 12, 31}, 2020, 53}, {{2024, 12, 30}, 2025, 1}, {{2026, 11, 20}, 2026, 47},
	};

	for (size_t i = 0; i < PL_ARRAY_LEN(cases); i++) {
		int64_t year;
		unsigned week;

		pl_date_iso_week(pl_date_week(pl_date_days(&cases[i].date)), &year, &week);
		assert_int_equal(year, cases[i].year);
		assert_int_equal(week, cases[i].week);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_day_of_the_calendar_is_what_the_c_library_says),
		cmocka_unit_test(a_week_is_seven_days_from_a_monday),
		cmocka_unit_test(the_turn_of_a_year_is_in_the_week_of_its_thursday),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
