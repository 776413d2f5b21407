/*
 * Settings ended at each call of setting them, and set by many at once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tx/yard.h"

struct paths {
	char store[YARD_PATH], master[YARD_PATH];
};

static void prepare(const struct yard *y, struct paths *p)
{
	TEXT *source = text_of("%s/source", y->path);
	struct outcome o;

	(void)snprintf(p->store, YARD_PATH, "%s/store", y->path);
	(void)snprintf(p->master, YARD_PATH, "%s/master", y->path);
	make_store(p->store, NULL);
	make_source(source, "a", 0);
	o = publish_at(p->store, "site", source);
	must(&o, "publish");
	yard_copy(p->store, p->master);
}

static char *setting(const char *store_path, const char *ref, const char *key)
{
	struct pleach_setting s = PLEACH_SETTING_INIT;
	struct pleach_config *config;
	struct outcome o;
	struct pleach_store *store = open_at(store_path, &o);
	char *value = NULL;

	must(&o, "open");
	assert_int_equal(pleach_config_open(store, ref, &config, NULL), 0);
	while (pleach_config_next(config, &s, NULL) == 1)
		if (strcmp(s.key, key) == 0)
			value = text_of("%s", s.value);
	pleach_config_close(config);
	pleach_store_close(store);
	return value;
}

static uint64_t calls; /* of the set made last */

static int set(const char *store_path, const char *ref, const char *value,
	       const struct pl_seam_plan *plan)
{
	struct outcome o;
	struct pleach_store *store = open_at(store_path, &o);
	int r;

	must(&o, "open");
	pl_seam_arm(plan);
	r = pleach_config_set(store, ref, "grace", value, &o.error);
	calls = pl_seam_count();
	pl_seam_arm(NULL);
	pleach_store_close(store);
	return r;
}

static void set_ended_at(const struct paths *p, const char *ref, uint64_t k, bool is_killed)
{
	const struct pl_seam_plan killing = {.exit_at = k};
	const struct pl_seam_plan failing = {.fail_at = k, .fail_errno = EIO};
	TEXT *value = NULL;
	TEXT *trouble = NULL;

	yard_remove(p->store);
	yard_copy(p->master, p->store);
	if (is_killed) {
		int status;
		pid_t pid = fork();

		if (pid == 0) {
			(void)set(p->store, ref, "1h", &killing);
			_exit(0);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
	} else {
		(void)set(p->store, ref, "1h", &failing);
	}
	value = setting(p->store, ref, "grace");
	if (strcmp(value, "1h") != 0)
		assert_string_equal(value, "5m");
	assert_int_equal(set(p->store, ref, "2h", NULL), 0);
	freep(&value);
	value = setting(p->store, ref, "grace");
	assert_string_equal(value, "2h");
	trouble = trouble_by_check(p->store, 0);
	if (trouble)
		fail_msg("%s", trouble);
}

static void setting_ended_anywhere_is_the_old_or_the_new_value(void **state)
{
	const struct pl_seam_plan counting = {0};
	const char *const refs[] = {NULL, "site"};
	struct paths p;

	prepare(*state, &p);
	for (size_t i = 0; i < PL_ARRAY_LEN(refs); i++) {
		uint64_t n;

		assert_int_equal(set(p.store, refs[i], "3h", &counting), 0);
		n = calls;
		assert_true(n > 3);
		for (uint64_t k = 1; k <= n; k++) {
			set_ended_at(&p, refs[i], k, true);
			set_ended_at(&p, refs[i], k, false);
		}
	}
}

/* ---- many at once ---- */

static const char *const keys[] = {"keep",	  "keep-for",	  "keep-hourly", "keep-daily",
				   "keep-weekly", "keep-monthly", "keep-placed", "spares"};

static const char *value_of(size_t i, unsigned round)
{
	static const char *const numbers[] = {"7", "8"};
	static const char *const durations[] = {"7d", "8d"};

	return strcmp(keys[i], "keep-for") == 0 ? durations[round % 2] : numbers[round % 2];
}

/* Opens the store, and sets its key once all the others have opened theirs. */
_Noreturn static void set_one(const struct paths *p, size_t i, unsigned round, int ready, int go)
{
	struct outcome o;
	struct pleach_store *store = open_at(p->store, &o);
	char c = 0;

	if (!store || write(ready, &c, 1) != 1 || read(go, &c, 1) != 0)
		_exit(2);
	_exit(pleach_config_set(store, NULL, keys[i], value_of(i, round), NULL) != 0);
}

static void set_all_at_once(const struct paths *p, unsigned round)
{
	pid_t pids[PL_ARRAY_LEN(keys)];
	int ready[2], go[2];

	assert_int_equal(pipe(ready), 0);
	assert_int_equal(pipe(go), 0);
	for (size_t i = 0; i < PL_ARRAY_LEN(keys); i++) {
		pids[i] = fork();
		if (pids[i] == 0) {
			close(go[1]);
			set_one(p, i, round, ready[1], go[0]);
		}
	}
	for (size_t i = 0; i < PL_ARRAY_LEN(keys); i++) {
		char c;

		assert_int_equal(read(ready[0], &c, 1), 1);
	}
	close(go[1]);
	for (size_t i = 0; i < PL_ARRAY_LEN(keys); i++) {
		int status;

		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_int_equal(status, 0);
	}
	close(go[0]);
	close(ready[0]);
	close(ready[1]);
}

/* G3 for settings: each of many processes sets a key of its own, and none is lost. */
static void settings_set_at_once_are_all_kept(void **state)
{
	struct paths p;

	prepare(*state, &p);
	for (unsigned round = 0; round < 20; round++) {
		set_all_at_once(&p, round);
		for (size_t i = 0; i < PL_ARRAY_LEN(keys); i++) {
			TEXT *value = setting(p.store, NULL, keys[i]);

			assert_string_equal(value, value_of(i, round));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		yard_test(setting_ended_anywhere_is_the_old_or_the_new_value),
		yard_test(settings_set_at_once_are_all_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
