/*
 * Retention: which generations of a ref the settings keep, and the order in which others go to make
 * room. Pure: numbers and times come in, an answer goes out. Who drops what is not kept is gc's.
 *
 * R1  Rules only keep. A generation is kept if any of them does, so a rule more never drops anything.
 *     `keep=all`, the default, keeps all: the others speak once it is a number.
 * R2  What is newer is told by numbers alone; times only tell in which hour, day, week or month a
 *     generation was made. Clocks go back, and then the times of a ref are in no order.
 * R3  Hours and the like in which nothing was made do not count among the last N. So a ref that rests
 *     loses nothing by it, and neither does one whose clock was years ahead for a moment.
 * R4  A generation of the future takes nobody's place: hours and the like that begin after now are kept,
 *     and do not count among the last N.
 * R5  To decide again, after all that was not kept is gone, changes nothing.
 */
#include <stdio.h>
#include <stdlib.h>

#include "ref/ref.h"

#define HOUR_S INT64_C(3600)
#define DAY_S  INT64_C(86400)

/* Rounded down, also before 1970. */
static int64_t floor_of(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

static int64_t clamp(int64_t s)
{
	return s < PL_TIME_MIN ? PL_TIME_MIN : s > PL_TIME_MAX ? PL_TIME_MAX : s;
}

/* ---- hours, days, weeks, months ---- */

/* Which hour, day ... a time is in: consecutive numbers. */
static int64_t period_of(enum pl_retention_rule rule, int64_t s)
{
	int64_t days = floor_of(clamp(s), DAY_S);
	struct pl_date date;

	switch (rule) {
	case PL_RETAIN_HOURLY:
		return floor_of(clamp(s), HOUR_S);
	case PL_RETAIN_DAILY:
		return days;
	case PL_RETAIN_WEEKLY:
		return pl_date_week(days);
	default:
		pl_assert(rule == PL_RETAIN_MONTHLY);
		date = pl_date_of_days(days);
		return date.year * 12 + date.month - 1;
	}
}

static void add_period(enum pl_retention_rule rule, int64_t s, struct pl_buffer *b)
{
	int64_t days = floor_of(clamp(s), DAY_S), year;
	struct pl_date date = pl_date_of_days(days);
	unsigned week;

	if (rule == PL_RETAIN_WEEKLY) {
		pl_date_iso_week(pl_date_week(days), &year, &week);
		pl_buffer_add_format(b, "%04d-W%02u", (int)year, week);
		return;
	}
	pl_buffer_add_format(b, "%04d-%02d", (int)date.year, (int)date.month);
	if (rule != PL_RETAIN_MONTHLY)
		pl_buffer_add_format(b, "-%02d", (int)date.day);
	if (rule == PL_RETAIN_HOURLY)
		pl_buffer_add_format(b, "T%02dh", (int)((clamp(s) - days * DAY_S) / HOUR_S));
}

static uint64_t count_of(const struct pl_settings *settings, enum pl_retention_rule rule)
{
	switch (rule) {
	case PL_RETAIN_HOURLY:
		return settings->keep_hourly;
	case PL_RETAIN_DAILY:
		return settings->keep_daily;
	case PL_RETAIN_WEEKLY:
		return settings->keep_weekly;
	default:
		pl_assert(rule == PL_RETAIN_MONTHLY);
		return settings->keep_monthly;
	}
}

/* ---- deciding ---- */

struct dated {
	int64_t period;
	size_t i; /* in the items: the higher, the newer */
};

static int latest_first(const void *a, const void *b)
{
	const struct dated *x = a, *y = b;

	if (x->period != y->period)
		return x->period < y->period ? 1 : -1;
	return x->i < y->i ? 1 : -1; /* R2 */
}

static void keep(struct pl_retained *item, enum pl_retention_rule rule)
{
	item->rules |= (unsigned char)(1u << rule);
}

/* The newest of each of the last N periods that have one. `room` is for as many as there are items. */
static void keep_periods(struct pl_retained *items, size_t n, enum pl_retention_rule rule,
			 const struct pl_settings *settings, const struct timespec *now,
			 struct dated *room)
{
	int64_t current = period_of(rule, now->tv_sec);
	uint64_t left = count_of(settings, rule);
	size_t n_dated = 0;

	for (size_t i = 0; i < n; i++)
		if (!items[i].is_dropped)
			room[n_dated++] = (struct dated){period_of(rule, items[i].time_s), i};
	if (n_dated > 1)
		qsort(room, n_dated, sizeof(*room), latest_first);
	for (size_t i = 0; i < n_dated && left > 0; i++) {
		if (i > 0 && room[i].period == room[i - 1].period)
			continue;
		keep(&items[room[i].i], rule);
		if (room[i].period <= current) /* R4 */
			left--;
	}
}

/* Is it younger than so many ms? What is of the future is. */
static bool is_younger(const struct pl_retained *item, const struct timespec *now, uint64_t ms)
{
	int64_t s = clamp(now->tv_sec) - clamp(item->time_s);
	int64_t ns = (int64_t)now->tv_nsec - item->time_ns;

	if (ns < 0) {
		ns += 1000000000;
		s--;
	}
	return s < 0 || (uint64_t)s * 1000 + (uint64_t)ns / 1000000 < ms;
}

static void keep_newest(struct pl_retained *items, size_t n, uint64_t left)
{
	for (size_t i = n; i-- > 0 && left > 0;) {
		if (items[i].is_dropped)
			continue;
		keep(&items[i], PL_RETAIN_KEEP);
		left--;
	}
}

static void keep_each(struct pl_retained *items, size_t n, uint64_t head,
		      const struct pl_settings *settings, const struct timespec *now)
{
	for (size_t i = 0; i < n; i++) {
		struct pl_retained *item = &items[i];

		pl_assert(i == 0 || items[i - 1].generation < item->generation);
		item->rules = 0;
		if (item->is_dropped)
			continue;
		if (item->generation == head)
			keep(item, PL_RETAIN_HEAD);
		if (item->tags)
			keep(item, PL_RETAIN_TAG);
		if (settings->keep_for_ms > 0 && is_younger(item, now, settings->keep_for_ms))
			keep(item, PL_RETAIN_FOR);
	}
}

int pl_retention_decide(struct pl_retained *items, size_t n, uint64_t head,
			const struct pl_settings *settings, const struct timespec *now)
{
	struct dated *room = NULL;

	keep_each(items, n, head, settings, now);
	keep_newest(items, n, settings->keep);
	for (int rule = PL_RETAIN_HOURLY; rule < PL_RETAIN_N; rule++) {
		if (n == 0 || count_of(settings, (enum pl_retention_rule)rule) == 0)
			continue;
		if (!room)
			room = reallocarray(NULL, n, sizeof(*room));
		if (!room)
			return -ENOMEM;
		keep_periods(items, n, (enum pl_retention_rule)rule, settings, now, room);
	}
	free(room);
	return 0;
}

/* ---- for people ---- */

static void add_duration(uint64_t ms, struct pl_buffer *b)
{
	static const struct {
		uint64_t ms;
		char letter;
	} units[] = {{UINT64_C(604800000), 'w'},
		     {86400000, 'd'},
		     {3600000, 'h'},
		     {60000, 'm'},
		     {1000, 's'}};
	size_t i = 0;

	while (i + 1 < PL_ARRAY_LEN(units) && ms % units[i].ms != 0)
		i++;
	pl_buffer_add_format(b, "%llu%c", (unsigned long long)(ms / units[i].ms), units[i].letter);
}

static void add_rule(const struct pl_retained *item, enum pl_retention_rule rule,
		     const struct pl_settings *settings, struct pl_buffer *b)
{
	static const char *const names[] = {[PL_RETAIN_HOURLY] = "keep-hourly",
					    [PL_RETAIN_DAILY] = "keep-daily",
					    [PL_RETAIN_WEEKLY] = "keep-weekly",
					    [PL_RETAIN_MONTHLY] = "keep-monthly"};

	switch (rule) {
	case PL_RETAIN_HEAD:
		pl_buffer_add_string(b, "head");
		break;
	case PL_RETAIN_TAG:
		pl_buffer_add_format(b, "tag %s", item->tags ? item->tags : "");
		break;
	case PL_RETAIN_KEEP:
		if (settings->keep == UINT64_MAX)
			pl_buffer_add_string(b, "keep=all");
		else
			pl_buffer_add_format(b, "keep=%llu", (unsigned long long)settings->keep);
		break;
	case PL_RETAIN_FOR:
		pl_buffer_add_string(b, "keep-for=");
		add_duration(settings->keep_for_ms, b);
		break;
	default:
		pl_buffer_add_format(b, "%s=%llu: newest of ", names[rule],
				     (unsigned long long)count_of(settings, rule));
		add_period(rule, item->time_s, b);
	}
}

void pl_retention_explain(const struct pl_retained *item, const struct pl_settings *settings,
			  struct pl_buffer *b)
{
	bool is_first = true;

	if (item->rules == 0)
		pl_buffer_add_string(b, item->is_dropped ? "dropped" : "no rule keeps it");
	for (int rule = 0; rule < PL_RETAIN_N; rule++) {
		if (!(item->rules & (1u << rule)))
			continue;
		if (!is_first)
			pl_buffer_add_string(b, ", ");
		add_rule(item, (enum pl_retention_rule)rule, settings, b);
		is_first = false;
	}
}

/* ---- making room ---- */

static int longest_ago_first(const void *a, const void *b)
{
	const struct pl_evictable *x = a, *y = b;

	if (x->used.tv_sec != y->used.tv_sec)
		return x->used.tv_sec < y->used.tv_sec ? -1 : 1;
	if (x->used.tv_nsec != y->used.tv_nsec)
		return x->used.tv_nsec < y->used.tv_nsec ? -1 : 1;
	if (x->generation != y->generation)
		return x->generation < y->generation ? -1 : 1;
	return x->ref < y->ref ? -1 : x->ref > y->ref;
}

void pl_retention_order(struct pl_evictable *items, size_t n)
{
	if (n > 1)
		qsort(items, n, sizeof(*items), longest_ago_first);
}
