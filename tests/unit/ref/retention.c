/*
 * What is kept, by tables of dates, and over random histories by a second, naive implementation that
 * knows hours, days, weeks and months as strftime(3) writes them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "ref/ref.h"

#define MAX_ITEMS 40
#define ALL	  UINT64_MAX

/* ---- tables ---- */

static int64_t at(const char *text)
{
	struct tm tm = {0};

	assert_int_equal(sscanf(text, "%d-%d-%dT%d:%d:%d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
				&tm.tm_hour, &tm.tm_min, &tm.tm_sec),
			 6);
	tm.tm_year -= 1900;
	tm.tm_mon--;
	return timegm(&tm);
}

/* Generations 1, 2 ... of these times; the last is the head. */
static size_t history(struct pl_retained *items, const char *const *times)
{
	size_t n = 0;

	for (; times[n]; n++) {
		assert_true(n < MAX_ITEMS);
		items[n] = (struct pl_retained){.generation = n + 1, .time_s = at(times[n])};
	}
	return n;
}

static void decide(struct pl_retained *items, size_t n, const struct pl_settings *settings,
		   const char *now_text)
{
	struct timespec now = {.tv_sec = at(now_text)};

	assert_int_equal(pl_retention_decide(items, n, n, settings, &now), 0);
}

/* The numbers of what is kept. */
static const char *kept(const struct pl_retained *items, size_t n)
{
	static char text[8 * MAX_ITEMS];
	size_t length = 0;

	text[0] = '\0';
	for (size_t i = 0; i < n; i++)
		if (items[i].rules)
			length += (size_t)snprintf(text + length, sizeof(text) - length, "%s%llu",
						   length ? " " : "",
						   (unsigned long long)items[i].generation);
	return text;
}

#define KEPT(now, numbers, ...)                                     \
	do {                                                        \
		const struct pl_settings settings_ = {__VA_ARGS__}; \
		decide(items, n, &settings_, now);                  \
		assert_string_equal(kept(items, n), numbers);       \
	} while (0)

static const char *const november[] = {
	"2026-10-31T23:59:59", "2026-11-01T00:00:00", /* 1, 2 */
	"2026-11-15T08:00:00", "2026-11-15T23:59:59", /* 3, 4: a Sunday */
	"2026-11-16T00:00:00", "2026-11-19T10:10:00", /* 5, 6: a Monday */
	"2026-11-20T09:00:00", "2026-11-20T09:59:59", /* 7, 8 */
	"2026-11-20T10:00:00", NULL,		      /* 9 */
};
#define NOON "2026-11-20T12:00:00"

static void the_newest_are_kept_by_number(void **state)
{
	struct pl_retained items[MAX_ITEMS];
	size_t n = history(items, november);

	KEPT(NOON, "9", .keep = 0);
	KEPT(NOON, "9", .keep = 1);
	KEPT(NOON, "7 8 9", .keep = 3);
	KEPT(NOON, "1 2 3 4 5 6 7 8 9", .keep = 9);
	KEPT(NOON, "1 2 3 4 5 6 7 8 9", .keep = 1000);
	KEPT(NOON, "1 2 3 4 5 6 7 8 9", .keep = ALL);
}

static void all_stay_while_keep_is_not_set_whatever_else_is(void **state)
{
	struct pl_retained items[MAX_ITEMS];
	size_t n = history(items, november);
	struct pl_values values = {0};
	struct pl_settings settings;

	assert_int_equal(pl_values_set(&values, "keep-daily", "1", NULL), 0);
	assert_int_equal(pl_settings_resolve(&values, NULL, &settings, NULL), 0);
	pl_values_done(&values);
	assert_int_equal(settings.keep_daily, 1);
	assert_false(pl_retention_may_drop(&settings));
	decide(items, n, &settings, NOON);
	assert_string_equal(kept(items, n), "1 2 3 4 5 6 7 8 9");
}

static void the_newest_of_each_of_the_last_is_kept(void **state)
{
	struct pl_retained items[MAX_ITEMS];
	size_t n = history(items, november);

	KEPT(NOON, "9", .keep_hourly = 1);
	KEPT(NOON, "8 9", .keep_hourly = 2);
	KEPT(NOON, "6 8 9", .keep_hourly = 3);
	KEPT(NOON, "9", .keep_daily = 1);
	KEPT(NOON, "6 9", .keep_daily = 2);
	KEPT(NOON, "4 5 6 9", .keep_daily = 4);
	KEPT(NOON, "2 4 5 6 9", .keep_daily = 5);
	KEPT(NOON, "9", .keep_weekly = 1);
	KEPT(NOON, "4 9", .keep_weekly = 2);
	KEPT(NOON, "2 4 9", .keep_weekly = 3); /* both of one week, that of the 26th of October */
	KEPT(NOON, "2 4 9", .keep_weekly = 1000);
	KEPT(NOON, "9", .keep_monthly = 1);
	KEPT(NOON, "1 9", .keep_monthly = 2);
	KEPT(NOON, "1 9", .keep_monthly = 12);
}

static void what_is_younger_is_kept(void **state)
{
	struct pl_retained items[MAX_ITEMS];
	size_t n = history(items, november);

	KEPT(NOON, "9", .keep_for_ms = 1);
	KEPT(NOON, "9", .keep_for_ms = 7201 * 1000); /* just as old is not younger */
	KEPT(NOON, "8 9", .keep_for_ms = 7201 * 1000 + 1);
	KEPT(NOON, "6 7 8 9", .keep_for_ms = 36 * 3600 * 1000);
	KEPT(NOON, "1 2 3 4 5 6 7 8 9", .keep_for_ms = INT64_MAX);
	KEPT("9999-12-31T23:59:59", "1 2 3 4 5 6 7 8 9", .keep_for_ms = INT64_MAX);
}

static void rules_add_up(void **state)
{
	struct pl_retained items[MAX_ITEMS];
	size_t n = history(items, november);

	items[2].tags = "v1";
	KEPT(NOON, "1 3 6 8 9", .keep = 2, .keep_daily = 2, .keep_monthly = 2);
}

static void a_day_without_a_generation_does_not_count(void **state)
{
	struct pl_retained items[MAX_ITEMS];
	size_t n = history(items, november);

	KEPT("2036-01-01T00:00:00", "6 9", .keep_daily = 2);
	KEPT("2036-01-01T00:00:00", "1 9", .keep_monthly = 2);
}

static void what_was_dropped_counts_for_nothing(void **state)
{
	struct pl_retained items[MAX_ITEMS];
	size_t n = history(items, november);

	items[7].is_dropped = items[5].is_dropped = true;
	items[6].tags = "v1";
	items[4].tags = "v2";
	items[4].is_dropped = true; /* a tag may outlive it */
	KEPT(NOON, "7 9", .keep = 1);
	KEPT(NOON, "4 7 9", .keep = 3);
	KEPT(NOON, "4 7 9", .keep_daily = 2);
}

static void a_generation_of_the_future_takes_nobodys_place(void **state)
{
	static const char *const times[] = {"2026-11-18T10:00:00",
					    "2026-11-19T10:00:00",
					    "2099-01-01T00:00:00",
					    "2026-11-20T09:00:00",
					    "2098-01-01T00:00:00",
					    "2026-11-20T10:00:00",
					    NULL};
	struct pl_retained items[MAX_ITEMS];
	size_t n = history(items, times);

	KEPT(NOON, "2 3 5 6", .keep_daily = 2);
	KEPT(NOON, "3 5 6", .keep_monthly = 1);
	KEPT(NOON, "3 4 5 6", .keep_for_ms = 12 * 3600 * 1000);
	/* It is now that was wrong: */
	KEPT("1970-01-01T00:00:00", "1 2 3 5 6", .keep_daily = 1);
}

static void where_the_clock_went_back_the_number_tells_what_is_newer(void **state)
{
	static const char *const times[] = {"2026-11-20T11:00:00", "2026-11-20T09:00:00",
					    "2026-11-19T09:00:00", "2026-11-19T08:00:00", NULL};
	struct pl_retained items[MAX_ITEMS];
	size_t n = history(items, times);

	KEPT(NOON, "2 4", .keep_daily = 2);
	KEPT(NOON, "2 4", .keep_daily = 1); /* 4 is the head */
	KEPT(NOON, "3 4", .keep = 2);
}

/* ---- words ---- */

static void each_rule_is_told(void **state)
{
	struct pl_settings settings = {.keep = 1,
				       .keep_for_ms = UINT64_C(30) * 86400 * 1000,
				       .keep_hourly = 1,
				       .keep_daily = 7,
				       .keep_weekly = 2,
				       .keep_monthly = 3};
	struct pl_retained items[MAX_ITEMS];
	size_t n = history(items, november);
	PL_BUFFER b = {0};

	items[8].tags = "v1, stable";
	items[4].is_dropped = true;
	decide(items, n, &settings, NOON);
	pl_retention_explain(&items[8], &settings, &b);
	assert_string_equal(pl_buffer_string(&b),
			    "head, tag v1, stable, keep=1, keep-for=30d, keep-hourly=1: newest of "
			    "2026-11-20T10h, keep-daily=7: newest of 2026-11-20, keep-weekly=2: "
			    "newest of 2026-W47, keep-monthly=3: newest of 2026-11");
	pl_buffer_truncate(&b, 0);
	settings.keep_for_ms = 0;
	decide(items, n, &settings, NOON);
	pl_retention_explain(&items[6], &settings, &b);
	pl_buffer_add_string(&b, "; ");
	pl_retention_explain(&items[4], &settings, &b);
	pl_buffer_add_string(&b, "; ");
	settings.keep = ALL;
	decide(items, n, &settings, NOON);
	pl_retention_explain(&items[6], &settings, &b);
	assert_string_equal(pl_buffer_string(&b), "no rule keeps it; dropped; keep=all");
}

/* ---- random histories ---- */

static uint64_t seed;

static uint64_t pick(uint64_t below)
{
	seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (seed >> 33) % below;
}

static const char *const formats[] = {[PL_RETAIN_HOURLY] = "%Y-%m-%dT%H",
				      [PL_RETAIN_DAILY] = "%Y-%m-%d",
				      [PL_RETAIN_WEEKLY] = "%G-%V",
				      [PL_RETAIN_MONTHLY] = "%Y-%m"};

static void period(char ret[32], int64_t s, int rule)
{
	time_t t = (time_t)s;
	struct tm tm;

	assert_non_null(gmtime_r(&t, &tm));
	assert_true(strftime(ret, 32, formats[rule], &tm) > 0);
}

/* By its definition: nobody alive is newer in the same period, and fewer than `count` periods up to now
 * that have a generation are later than this one. */
static bool is_newest_of_one(const struct pl_retained *items, size_t n, size_t i, int rule,
			     uint64_t count, int64_t now)
{
	char own[32], current[32], met[MAX_ITEMS][32];
	size_t n_met = 0;

	period(own, items[i].time_s, rule);
	period(current, now, rule);
	for (size_t k = 0; k < n; k++) {
		bool is_new = true;

		if (items[k].is_dropped)
			continue;
		period(met[n_met], items[k].time_s, rule);
		if (k > i && strcmp(met[n_met], own) == 0)
			return false;
		if (strcmp(met[n_met], own) <= 0 || strcmp(met[n_met], current) > 0)
			continue;
		for (size_t j = 0; j < n_met; j++)
			is_new = is_new && strcmp(met[j], met[n_met]) != 0;
		n_met += is_new;
	}
	return strcmp(own, current) > 0 ? count > 0 : n_met < count;
}

static bool is_among_newest(const struct pl_retained *items, size_t n, size_t i, uint64_t count)
{
	uint64_t newer = 0;

	for (size_t k = i + 1; k < n; k++)
		newer += !items[k].is_dropped;
	return newer < count;
}

static unsigned naive(const struct pl_retained *items, size_t n, size_t i,
		      const struct pl_settings *s, const struct timespec *now)
{
	const uint64_t counts[] = {[PL_RETAIN_HOURLY] = s->keep_hourly,
				   [PL_RETAIN_DAILY] = s->keep_daily,
				   [PL_RETAIN_WEEKLY] = s->keep_weekly,
				   [PL_RETAIN_MONTHLY] = s->keep_monthly};
	long double age = (long double)(now->tv_sec - items[i].time_s) * 1000 +
			  (long double)(now->tv_nsec - (long)items[i].time_ns) / 1000000;
	unsigned rules = 0;

	if (items[i].is_dropped)
		return 0;
	rules |= (unsigned)(i == n - 1) << PL_RETAIN_HEAD;
	rules |= (unsigned)(items[i].tags != NULL) << PL_RETAIN_TAG;
	rules |= (unsigned)is_among_newest(items, n, i, s->keep) << PL_RETAIN_KEEP;
	rules |= (unsigned)(s->keep_for_ms > 0 && age < (long double)s->keep_for_ms)
		 << PL_RETAIN_FOR;
	for (int rule = PL_RETAIN_HOURLY; rule < PL_RETAIN_N; rule++)
		rules |= (unsigned)is_newest_of_one(items, n, i, rule, counts[rule], now->tv_sec)
			 << rule;
	return rules;
}

/* Over hours, weeks or years around now, mostly in order; sometimes all before 1970. */
static size_t random_history(struct pl_retained *items, struct timespec *ret_now)
{
	static const int64_t spans[] = {3600 * 4, 86400 * 3, 86400 * 40, 86400 * 800};
	int64_t base = pick(8) == 0 ? -2000000000 : 1700000000 + (int64_t)pick(100000000);
	int64_t span = spans[pick(PL_ARRAY_LEN(spans))], t = base;
	size_t n = 1 + pick(MAX_ITEMS - 1);

	for (size_t i = 0; i < n; i++) {
		t += (int64_t)pick((uint64_t)span / n * 2 + 1);
		if (pick(8) == 0)
			t = base + (int64_t)pick((uint64_t)span);
		items[i] = (struct pl_retained){.generation = (i + 1) * 3,
						.time_s = pick(12) ? t : t - t % 86400,
						.time_ns = (uint32_t)pick(1000000000),
						.is_dropped = i + 1 < n && pick(5) == 0,
						.tags = pick(9) ? NULL : "v"};
	}
	ret_now->tv_sec = base + (int64_t)pick((uint64_t)span * 2);
	ret_now->tv_nsec = (long)pick(1000000000);
	return n;
}

static struct pl_settings random_settings(void)
{
	struct pl_settings s = {0};

	s.keep = pick(3) ? pick(6) : 0;
	s.keep_for_ms = pick(2) ? pick(UINT64_C(86400) * 1000 * 30) : 0;
	s.keep_hourly = pick(2) ? pick(6) : 0;
	s.keep_daily = pick(2) ? pick(6) : 0;
	s.keep_weekly = pick(2) ? pick(6) : 0;
	s.keep_monthly = pick(2) ? pick(6) : 0;
	return s;
}

#define HISTORIES 4000

static void begin_random(void)
{
	const char *given = getenv("PLEACH_SEED");

	seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
	print_message("# PLEACH_SEED=%llu\n", (unsigned long long)seed);
}

static void each_rule_keeps_what_its_definition_says(void **state)
{
	begin_random();
	for (unsigned k = 0; k < HISTORIES; k++) {
		struct pl_retained items[MAX_ITEMS];
		struct pl_settings settings = random_settings();
		struct timespec now;
		size_t n = random_history(items, &now);

		assert_int_equal(pl_retention_decide(items, n, n * 3, &settings, &now), 0);
		for (size_t i = 0; i < n; i++)
			assert_int_equal(items[i].rules, naive(items, n, i, &settings, &now));
	}
}

static void a_rule_more_never_drops_more(void **state)
{
	begin_random();
	for (unsigned k = 0; k < HISTORIES; k++) {
		struct pl_retained items[MAX_ITEMS], more[MAX_ITEMS];
		struct pl_settings settings = random_settings();
		uint64_t *const fields[] = {&settings.keep,	   &settings.keep_for_ms,
					    &settings.keep_hourly, &settings.keep_daily,
					    &settings.keep_weekly, &settings.keep_monthly};
		struct timespec now;
		size_t n = random_history(items, &now);

		memcpy(more, items, sizeof(more));
		assert_int_equal(pl_retention_decide(items, n, n * 3, &settings, &now), 0);
		*fields[pick(PL_ARRAY_LEN(fields))] += 1 + pick(20);
		assert_int_equal(pl_retention_decide(more, n, n * 3, &settings, &now), 0);
		for (size_t i = 0; i < n; i++)
			assert_int_equal(items[i].rules & ~more[i].rules, 0);
	}
}

/* R5, and the same where what was dropped is not listed at all. */
static void what_was_kept_is_kept_again(void **state)
{
	begin_random();
	for (unsigned k = 0; k < HISTORIES; k++) {
		struct pl_retained items[MAX_ITEMS], again[MAX_ITEMS], left[MAX_ITEMS];
		struct pl_settings settings = random_settings();
		struct timespec now;
		size_t n = random_history(items, &now), n_left = 0;

		assert_int_equal(pl_retention_decide(items, n, n * 3, &settings, &now), 0);
		for (size_t i = 0; i < n; i++) {
			again[i] = items[i];
			again[i].is_dropped = items[i].rules == 0;
			if (items[i].rules)
				left[n_left++] = items[i];
		}
		assert_int_equal(pl_retention_decide(again, n, n * 3, &settings, &now), 0);
		assert_int_equal(pl_retention_decide(left, n_left, n * 3, &settings, &now), 0);
		for (size_t i = 0; i < n; i++)
			assert_int_equal(again[i].rules, items[i].rules);
		for (size_t i = 0; i < n_left; i++)
			assert_true(left[i].rules != 0);
	}
}

/* ---- making room ---- */

static void what_was_used_longest_ago_goes_first(void **state)
{
	struct pl_evictable items[] = {
		{.generation = 9, .ref = 0, .used = {5, 1}},
		{.generation = 2, .ref = 1, .used = {5, 0}},
		{.generation = 3, .ref = 0, .used = {9, 0}},
		{.generation = 4, .ref = 1, .used = {1, 9}},
		{.generation = 2, .ref = 0, .used = {5, 0}},
		{.generation = 7, .ref = 2, .used = {-4, 0}},
	};
	static const uint64_t expected[][2] = {{7, 2}, {4, 1}, {2, 0}, {2, 1}, {9, 0}, {3, 0}};

	pl_retention_order(items, PL_ARRAY_LEN(items));
	pl_retention_order(NULL, 0);
	for (size_t i = 0; i < PL_ARRAY_LEN(items); i++) {
		assert_int_equal(items[i].generation, expected[i][0]);
		assert_int_equal(items[i].ref, expected[i][1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_newest_are_kept_by_number),
		cmocka_unit_test(all_stay_while_keep_is_not_set_whatever_else_is),
		cmocka_unit_test(the_newest_of_each_of_the_last_is_kept),
		cmocka_unit_test(what_is_younger_is_kept),
		cmocka_unit_test(rules_add_up),
		cmocka_unit_test(a_day_without_a_generation_does_not_count),
		cmocka_unit_test(what_was_dropped_counts_for_nothing),
		cmocka_unit_test(a_generation_of_the_future_takes_nobodys_place),
		cmocka_unit_test(where_the_clock_went_back_the_number_tells_what_is_newer),
		cmocka_unit_test(each_rule_is_told),
		cmocka_unit_test(each_rule_keeps_what_its_definition_says),
		cmocka_unit_test(a_rule_more_never_drops_more),
		cmocka_unit_test(what_was_kept_is_kept_again),
		cmocka_unit_test(what_was_used_longest_ago_goes_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
