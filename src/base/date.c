/*
 * Dates: days since 1970-01-01 to years, months and days of the Gregorian calendar, and back, for the
 * years 1 to 9999; and the weeks of ISO 8601. No zone is known here: a day is a number.
 *
 * The algorithm is that of H. Hinnant ("chrono-compatible low-level date algorithms"): years begin in
 * March, eras have 400 of them.
 */
#include "base/base.h"

int64_t pl_date_days(const struct pl_date *date)
{
	int64_t year = date->year - (date->month <= 2);
	int64_t era = year / 400, year_of_era = year % 400;
	int64_t day_of_year =
		(153 * (date->month + (date->month > 2 ? -3 : 9)) + 2) / 5 + date->day - 1;

	pl_assert(date->year >= 1 && date->month >= 1 && date->month <= 12);
	return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 +
	       day_of_year - 719468;
}

struct pl_date pl_date_of_days(int64_t days)
{
	int64_t day = days + 719468, era = day / 146097, day_of_era = day % 146097;
	int64_t year_of_era =
		(day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	int64_t day_of_year =
		day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	int64_t month = (5 * day_of_year + 2) / 153; /* 0 is March */
	struct pl_date date = {.day = day_of_year - (153 * month + 2) / 5 + 1};

	pl_assert(day >= 0);
	date.month = month < 10 ? month + 3 : month - 9;
	date.year = year_of_era + era * 400 + (date.month <= 2);
	return date;
}

/* Weeks begin on Mondays; the 1st of January 1970 was a Thursday. */
int64_t pl_date_week(int64_t days)
{
	int64_t from_monday = days + 3;

	return from_monday >= 0 ? from_monday / 7 : -((6 - from_monday) / 7);
}

/* A week is of the year that its Thursday is in. */
void pl_date_iso_week(int64_t week, int64_t *ret_year, unsigned *ret_week)
{
	int64_t thursday = week * 7;
	struct pl_date first = {.year = pl_date_of_days(thursday).year, .month = 1, .day = 1};

	*ret_year = first.year;
	*ret_week = (unsigned)((thursday - pl_date_days(&first)) / 7) + 1;
}
