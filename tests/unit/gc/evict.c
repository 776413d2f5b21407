/*
 * Making room: what could go, in which order, and that what is in use does not; and what counts as a use.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <time.h>

#include "gc/generations.h"

#define DROPPED(s, expected)                                               \
	do {                                                               \
		TEXT *dropped_ = names_in((s)->path, "refs/site/dropped"); \
		assert_string_equal(dropped_, expected);                   \
	} while (0)

static void assert_sound(const struct store *s)
{
	TEXT *trouble = trouble_by_check(s->path, 0);
	TEXT *locks = trouble_by_locks(s->path);
	TEXT *tx = names_in(s->path, "tx");

	assert_null(trouble);
	assert_null(locks);
	assert_string_equal(tx, "");
}

static unsigned count_trees(const struct store *s)
{
	TEXT *trees = names_in(s->path, "trees");
	unsigned n = 0;

	for (const char *c = trees; *c; c++)
		n += *c == ' ';
	return n;
}

/* ---- one call ---- */

struct opened {
	struct pl_store *store;
	struct pl_txdir tx;
	struct pl_ref ref;
	struct pleach_error error;
};

static void open_ref(struct opened *o, const char *path, const char *ref)
{
	o->error = (struct pleach_error)PLEACH_ERROR_INIT;
	if (pl_store_open(path, &o->store, &o->error) < 0 ||
	    pl_txdir_begin(o->store, "gc", &o->tx, &o->error) < 0 ||
	    pl_ref_open(o->store, ref, &o->ref, &o->error) < 0)
		abort();
}

static void close_ref(struct opened *o)
{
	pl_ref_close(&o->ref);
	pl_txdir_end(&o->tx);
	pl_store_close(o->store);
}

static int evict(const struct store *s, uint64_t n)
{
	struct opened o;
	int r;

	open_ref(&o, s->path, "site");
	r = pl_evict_run(&o.tx, &o.ref, n, &o.error);
	assert_false(pl_ref_is_locked(&o.ref));
	close_ref(&o);
	return r;
}

/* What could go of `site` and, if there is one, `other`, in order: "1 2 other@1 ". */
static char *listed(const struct store *s, bool has_other)
{
	struct pl_evictable *items = NULL;
	size_t n = 0, capacity = 0;
	struct timespec now;
	char *text = strdup("");

	for (uint64_t ref = 0; ref < (has_other ? 2 : 1); ref++) {
		struct opened o;

		open_ref(&o, s->path, ref ? "other" : "site");
		assert_int_equal(pl_fs_clock(o.tx.fd, &now), 0);
		assert_int_equal(pl_evict_list(&o.ref, ref, &now, &items, &n, &capacity, &o.error),
				 0);
		close_ref(&o);
	}
	pl_retention_order(items, n);
	for (size_t i = 0; i < n; i++) {
		TEXT *before = text;

		text = text_of("%s%s%llu ", before, items[i].ref ? "other@" : "",
			       (unsigned long long)items[i].generation);
	}
	free(items);
	return text;
}

#define LISTED(s, has_other, expected)                  \
	do {                                            \
		TEXT *listed_ = listed(s, has_other);   \
		assert_string_equal(listed_, expected); \
	} while (0)

static void look_at_path(const struct store *s, const char *rev)
{
	char *path = NULL;
	struct outcome o;
	struct pleach_store *store = open_at(s->path, &o);

	o.r = pleach_path(store, rev, &path, &o.error);
	pleach_store_close(store);
	must(&o, "path");
	pleach_free(path);
}

/* ---- what could go ---- */

static void what_was_replaced_longest_ago_goes_first_of_all_refs(void **state)
{
	struct store s = make(*state, without_grace);

	publish_as(&s, "site", 1);
	publish_as(&s, "other", 2);
	publish_as(&s, "other", 3);
	publish_as(&s, "site", 4);
	publish_as(&s, "site", 5);
	publish_as(&s, "other", 6);
	LISTED(&s, true, "other@1 1 2 other@2 ");
}

static void G1_heads_tags_and_what_is_within_its_grace_do_not_go(void **state)
{
	struct pleach_drop_options options = PLEACH_DROP_OPTIONS_INIT;
	struct store s = make(*state, without_grace);
	struct pleach_store *store;
	struct outcome o;

	publish(&s, 6);
	store = open_at(s.path, &o);
	assert_int_equal(pleach_tag_set(store, "site", "v1", "@2", 0, &o.error), 0);
	assert_int_equal(pleach_drop(store, "site@4", &options, NULL, &o.error), 0);
	pleach_store_close(store);
	LISTED(&s, false, "1 3 5 ");
	config(&s, "site", "keep", "all"); /* rules of retention do not count */
	LISTED(&s, false, "1 3 5 ");
	config(&s, "site", "grace", "1h");
	LISTED(&s, false, "");
}

static void what_was_used_goes_last(void **state)
{
	struct store s = make(*state, without_grace);
	TEXT *out = text_of("%s/out", s.y->path);
	struct pleach_store *store;
	struct pleach_pin *pin;
	struct outcome o;

	publish(&s, 5);
	look_at_path(&s, "site@1");
	LISTED(&s, false, "1 2 3 4 "); /* nobody asks, where there is no max-size */
	config(&s, NULL, "max-size", "1G");
	look_at_path(&s, "site@2");
	LISTED(&s, false, "1 3 4 2 ");
	store = open_at(s.path, &o);
	assert_int_equal(pleach_checkout(store, "site@1", out, NULL, NULL, &o.error), 0);
	LISTED(&s, false, "3 4 2 1 ");
	assert_int_equal(pleach_pin_open(store, "site", &pin, &o.error), 0);
	publish(&s, 1);
	LISTED(&s, false, "3 4 2 1 5 ");
	pleach_pin_close(pin);
	pleach_store_close(store);
	LISTED(&s, false, "3 4 2 1 5 ");
}

/* ---- notes of uses ---- */

static int64_t noted(const struct store *s, int64_t set_to)
{
	TEXT *names = names_in(s->path, "cache/used");
	TEXT *path = text_of("%s/.pleach/cache/used/%.26s", s->path, names);
	struct stat st;

	assert_int_equal(strlen(names), 27);
	if (set_to) {
		const struct timespec times[] = {{.tv_sec = set_to}, {.tv_sec = set_to}};

		assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
	}
	assert_int_equal(stat(path, &st), 0);
	return st.st_mtim.tv_sec;
}

static void a_use_is_noted_once_an_hour(void **state)
{
	struct store s = make(*state, without_grace);
	int64_t now = time(NULL), half = now - 1800, two = now - 7200, future = now + 86400;

	config(&s, NULL, "max-size", "1G");
	publish(&s, 2);
	look_at_path(&s, "site@1");
	assert_true(noted(&s, 0) >= now - 1);
	(void)noted(&s, half);
	look_at_path(&s, "site@1");
	assert_int_equal(noted(&s, 0), half);
	(void)noted(&s, two);
	look_at_path(&s, "site@1");
	assert_true(noted(&s, 0) >= now - 1);
	(void)noted(&s, future); /* the clock went back */
	look_at_path(&s, "site@1");
	assert_true(noted(&s, 0) < future);
}

static void a_note_goes_with_its_generation(void **state)
{
	struct store s = make(*state, without_grace);
	TEXT *notes = NULL;

	config(&s, NULL, "max-size", "1G");
	publish(&s, 3);
	look_at_path(&s, "site@1");
	(void)noted(&s, 0);
	assert_int_equal(evict(&s, 1), 1);
	notes = names_in(s.path, "cache/used");
	assert_string_equal(notes, "");
}

/* ---- one that goes ---- */

static void one_goes_with_its_tree_whatever_rules_keep_it(void **state)
{
	struct store s = make(*state, without_grace);

	publish(&s, 4);
	assert_int_equal(evict(&s, 2), 1);
	DROPPED(&s, "2 ");
	assert_int_equal(count_trees(&s), 3);
	assert_sound(&s);
	assert_int_equal(evict(&s, 2), 0);
	assert_sound(&s);
}

static void what_is_in_use_stays(void **state)
{
	struct pleach_tx_options options = PLEACH_TX_OPTIONS_INIT;
	struct store s = make(*state, without_grace);
	TEXT *at = text_of("%s/attached", s.y->path);
	struct pleach_store *store;
	struct pleach_pin *pin;
	struct pleach_tx *tx;
	struct outcome o;

	publish(&s, 1);
	store = open_at(s.path, &o);
	options.workspace = "copy";
	options.parked = 1;
	o.r = pleach_tx_begin(store, "site", &options, &tx, &o.error);
	if (o.r == 0)
		o.r = pleach_tx_close(tx, &o.error);
	must(&o, "begin");
	publish(&s, 4);
	assert_int_equal(pleach_attach(store, "site@2", at, NULL, &o.error), 0);
	assert_int_equal(pleach_pin_open(store, "site@3", &pin, &o.error), 0);
	assert_int_equal(pleach_tag_set(store, "site", "v1", "@4", 0, &o.error), 0);
	for (uint64_t n = 1; n <= 5; n++)
		assert_int_equal(evict(&s, n), 0);
	DROPPED(&s, "");
	pleach_pin_close(pin);
	assert_int_equal(evict(&s, 3), 1);
	pleach_store_close(store);
}

static void G5_of_a_busy_ref_nothing_goes(void **state)
{
	struct store s = make(*state, without_grace);
	struct opened o;

	publish(&s, 3);
	open_ref(&o, s.path, "site");
	assert_int_equal(pl_ref_lock(&o.ref, -1, &o.error), 0);
	assert_int_equal(evict(&s, 1), 0);
	DROPPED(&s, "");
	close_ref(&o);
	assert_int_equal(evict(&s, 1), 1);
}

/* ---- whatever ends it ---- */

static int killed_at_call(const struct store *s, uint64_t k)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		const struct pl_seam_plan plan = {.exit_at = k};
		struct opened o;

		open_ref(&o, s->path, "site");
		pl_seam_arm(&plan);
		_exit(pl_evict_run(&o.tx, &o.ref, 1, &o.error) == 1 ? 0 : 1);
	}
	assert_true(pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void G2_killed_anywhere_it_is_dropped_or_not(void **state)
{
	const struct yard *y = *state;
	struct store s = make(y, without_grace);
	TEXT *template = text_of("%s/template", y->path);
	TEXT *kept = text_of("%s/template/S", y->path);
	uint64_t k;
	int status = 99;

	publish(&s, 3);
	assert_int_equal(mkdir(template, 0755), 0);
	yard_copy(s.path, template);
	for (k = 1; status == 99; k++) {
		TEXT *trouble = NULL, *dropped = NULL;

		yard_remove(s.path);
		yard_copy(kept, y->path);
		status = killed_at_call(&s, k);
		trouble = trouble_by_check(s.path, 0);
		dropped = names_in(s.path, "refs/site/dropped");
		assert_null(trouble);
		assert_true(!dropped[0] || strcmp(dropped, "1 ") == 0);
		assert_int_equal(evict(&s, 1), dropped[0] ? 0 : 1);
		publish_as(&s, "site", 1000);
		assert_sound(&s);
	}
	assert_int_equal(status, 0);
	assert_true(k > 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		yard_test(what_was_replaced_longest_ago_goes_first_of_all_refs),
		yard_test(G1_heads_tags_and_what_is_within_its_grace_do_not_go),
		yard_test(what_was_used_goes_last),
		yard_test(a_use_is_noted_once_an_hour),
		yard_test(a_note_goes_with_its_generation),
		yard_test(one_goes_with_its_tree_whatever_rules_keep_it),
		yard_test(what_is_in_use_stays),
		yard_test(G5_of_a_busy_ref_nothing_goes),
		yard_test(G2_killed_anywhere_it_is_dropped_or_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
