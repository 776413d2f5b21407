/*
 * Retention on real stores: what no setting keeps is dropped, what is held stays and says by whom, a dry
 * run says the same and changes nothing, and whatever ends it, each generation is dropped or not.
 * Times of records are set by writing the records anew, as docs/format.md has them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <time.h>

#include "gc/generations.h"

/* ---- one run ---- */

struct result {
	int r;
	struct pl_retain retain;
	struct pleach_error error;
};

static struct result retain_with(const char *path, const struct pl_retain_options *options)
{
	struct result result = {.error = PLEACH_ERROR_INIT};
	struct pl_store *store;
	struct pl_txdir tx;
	struct pl_ref ref;

	result.r = pl_store_open(path, &store, &result.error);
	if (result.r < 0)
		return result;
	result.r = pl_txdir_begin(store, "gc", &tx, &result.error);
	if (result.r == 0) {
		result.r = pl_ref_open(store, "site", &ref, &result.error);
		if (result.r == 0) {
			result.r = pl_retain_run(&tx, &ref, options, &result.retain, &result.error);
			if (pl_ref_is_locked(&ref))
				abort();
			pl_ref_close(&ref);
		}
		pl_txdir_end(&tx);
	}
	pl_store_close(store);
	return result;
}

/* "1 goes: no rule keeps it; 2 stays: head, keep=1; " */
static char *told(const struct pl_retain *retain)
{
	static const char *const fates[] = {"stays", "held", "goes"};
	char *text = strdup("");

	for (size_t i = 0; i < retain->n; i++) {
		TEXT *before = text;
		PL_BUFFER b = {0};

		pl_retain_explain(retain, &retain->items[i], &b);
		text = text_of("%s%llu %s: %s; ", before,
			       (unsigned long long)retain->items[i].r.generation,
			       fates[retain->items[i].fate], pl_buffer_string(&b));
	}
	return text;
}

static char *told_of(const struct store *s, bool dry_run)
{
	const struct pl_retain_options options = {.dry_run = dry_run, .list = true};
	struct result result = retain_with(s->path, &options);
	char *text = told(&result.retain);

	if (result.r != 0)
		fail_msg("%s", result.error.message);
	pl_retain_done(&result.retain);
	return text;
}

#define TOLD(s, dry, expected)                        \
	do {                                          \
		TEXT *told_ = told_of(s, dry);        \
		assert_string_equal(told_, expected); \
	} while (0)

static int retain(const struct store *s, uint64_t *ret_n)
{
	const struct pl_retain_options options = {0};
	struct result result = retain_with(s->path, &options);

	*ret_n = result.retain.n_dropped;
	pl_retain_done(&result.retain);
	if (result.r < 0 && (result.error.code == PLEACH_OK || !result.error.message[0]))
		fail_msg("failed and did not say why");
	return result.r;
}

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

/* Writes the record of a generation anew, `change`d. */
static void rewrite(const struct store *s, unsigned n, int64_t time_s)
{
	TEXT *path = text_of("%s/.pleach/refs/site/gen/%u", s->path, n);
	struct pl_record record;
	PL_BUFFER old = {0}, new = {0};

	assert_int_equal(pl_read_file(AT_FDCWD, path, PL_RECORD_MAX, &old), 0);
	assert_int_equal(pl_record_decode(old.data, old.length, &record), 0);
	record.time_s = time_s;
	assert_int_equal(pl_record_encode(&record, &new), 0);
	pl_record_done(&record);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(pl_write_file(AT_FDCWD, path, 0644, new.data, new.length, false), 0);
}

static void damage(const struct store *s, const char *name, off_t at)
{
	TEXT *path = text_of("%s/.pleach/%s", s->path, name);
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0 && pwrite(fd, "#", 1, at) == 1);
	close(fd);
}

/* ---- what goes ---- */

static void what_no_rule_keeps_is_dropped_with_its_tree(void **state)
{
	struct store s = make(*state, without_grace);
	uint64_t n;

	publish(&s, 5);
	config(&s, "site", "keep", "2");
	assert_int_equal(retain(&s, &n), 0);
	assert_int_equal(n, 3);
	DROPPED(&s, "1 2 3 ");
	assert_int_equal(count_trees(&s), 2);
	assert_sound(&s);
	assert_int_equal(retain(&s, &n), 0);
	assert_int_equal(n, 0);
	publish(&s, 1);
	assert_int_equal(retain(&s, &n), 0);
	assert_int_equal(n, 1);
	DROPPED(&s, "1 2 3 4 ");
	assert_sound(&s);
}

static void by_default_all_are_kept(void **state)
{
	struct store s = make(*state, without_grace);
	const struct pl_retain_options options = {0};
	struct result result;

	publish(&s, 3);
	config(&s, "site", "keep-daily", "1");
	result = retain_with(s.path, &options);
	assert_int_equal(result.r, 0);
	assert_int_equal(result.retain.n, 0);
	pl_retain_done(&result.retain);
	TOLD(&s, false, "1 stays: keep=all; 2 stays: keep=all; 3 stays: head, keep=all; ");
	DROPPED(&s, "");
}

static void the_head_stays_whatever_is_set(void **state)
{
	struct store s = make(*state, without_grace);

	publish(&s, 3);
	config(&s, "site", "keep", "0");
	TOLD(&s, false, "1 goes: no rule keeps it; 2 goes: no rule keeps it; 3 stays: head; ");
	DROPPED(&s, "1 2 ");
	assert_sound(&s);
}

static void days_are_those_of_the_records(void **state)
{
	struct store s = make(*state, without_grace);
	const int64_t day = 86400, noon = 1700000000 / 86400 * 86400 + 43200;

	publish(&s, 6);
	rewrite(&s, 1, noon - 9 * day);
	rewrite(&s, 2, noon - 2 * day);
	rewrite(&s, 3, noon - 2 * day - 100); /* the clock went back */
	rewrite(&s, 4, noon + 100);
	rewrite(&s, 5, noon);
	rewrite(&s, 6, noon);
	config(&s, "site", "keep", "0");
	config(&s, "site", "keep-daily", "2");
	TOLD(&s, false,
	     "1 goes: no rule keeps it; 2 goes: no rule keeps it; 3 stays: keep-daily=2: newest of "
	     "2023-11-12; 4 goes: no rule keeps it; 5 goes: no rule keeps it; 6 stays: head, "
	     "keep-daily=2: newest of 2023-11-14; ");
	DROPPED(&s, "1 2 4 5 ");
	assert_sound(&s);
}

static void G1_within_its_grace_the_tree_stays(void **state)
{
	static const char *const settings[] = {"grace", "1h", "spares", "0", NULL};
	struct store s = make(*state, settings);
	uint64_t n;

	publish(&s, 4);
	config(&s, "site", "keep", "1");
	assert_int_equal(retain(&s, &n), 0);
	DROPPED(&s, "1 2 3 ");
	assert_int_equal(count_trees(&s), 4);
	assert_sound(&s);
}

static void a_tree_that_another_generation_or_ref_has_stays(void **state)
{
	struct store s = make(*state, without_grace);
	uint64_t n;

	publish_as(&s, "other", 1);
	for (unsigned i = 0; i < 4; i++)
		publish_as(&s, "site", i % 3); /* 1 and 4 are equal; 2 is the other's */
	config(&s, "site", "keep", "1");
	assert_int_equal(retain(&s, &n), 0);
	assert_int_equal(n, 3);
	assert_int_equal(count_trees(&s), 2);
	assert_sound(&s);
}

/* More than are dropped under one hold of the lock. */
static void many_go_in_batches(void **state)
{
	struct store s = make(*state, without_grace);
	uint64_t n;

	publish(&s, PL_RETAIN_BATCH + 8);
	config(&s, "site", "keep", "3");
	assert_int_equal(retain(&s, &n), 0);
	assert_int_equal(n, PL_RETAIN_BATCH + 5);
	assert_int_equal(count_trees(&s), 3);
	assert_sound(&s);
}

/* ---- what stays all the same ---- */

static void what_is_held_stays_and_says_by_whom(void **state)
{
	struct store s = make(*state, without_grace);
	TEXT *at = text_of("%s/attached", s.y->path);
	TEXT *expected = NULL;
	struct pleach_store *store;
	struct pleach_pin *pin;
	struct outcome o;

	publish(&s, 5);
	store = open_at(s.path, &o);
	assert_int_equal(pleach_attach(store, "site@1", at, NULL, &o.error), 0);
	assert_int_equal(pleach_pin_open(store, "site@2", &pin, &o.error), 0);
	assert_int_equal(pleach_tag_set(store, "site", "v1", "@3", 0, &o.error), 0);
	assert_int_equal(pleach_tag_set(store, "site", "a1", "@3", 0, &o.error), 0);
	config(&s, "site", "keep", "1");
	expected = text_of("1 held: no rule keeps it, but it is attached at %s; "
			   "2 held: no rule keeps it, but it is pinned; "
			   "3 stays: tag a1, v1; 4 goes: no rule keeps it; 5 stays: head, keep=1; ",
			   at);
	TOLD(&s, false, expected);
	DROPPED(&s, "4 ");
	assert_sound((pleach_pin_close(pin), &s));
	assert_int_equal(pleach_detach(store, at, &o.error), 0);
	assert_int_equal(pleach_tag_delete(store, "site", "v1", &o.error), 0);
	assert_int_equal(pleach_tag_delete(store, "site", "a1", &o.error), 0);
	pleach_store_close(store);
	TOLD(&s, false,
	     "1 goes: no rule keeps it; 2 goes: no rule keeps it; 3 goes: no rule keeps it; "
	     "5 stays: head, keep=1; ");
	assert_sound(&s);
}

static void the_base_of_a_parked_transaction_stays(void **state)
{
	struct pleach_tx_options options = PLEACH_TX_OPTIONS_INIT;
	struct store s = make(*state, without_grace);
	struct pleach_store *store;
	struct pleach_tx *tx;
	TEXT *text = NULL;
	struct outcome o;

	publish(&s, 1);
	store = open_at(s.path, &o);
	options.workspace = "copy";
	options.parked = 1;
	o.r = pleach_tx_begin(store, "site", &options, &tx, &o.error);
	if (o.r == 0)
		o.r = pleach_tx_close(tx, &o.error);
	must(&o, "begin");
	pleach_store_close(store);
	publish(&s, 2);
	config(&s, "site", "keep", "1");
	text = told_of(&s, false);
	assert_non_null(
		strstr(text, "1 held: no rule keeps it, but it is the base of transaction "));
	DROPPED(&s, "2 ");
}

static void a_dry_run_tells_the_same_and_changes_nothing(void **state)
{
	struct store s = make(*state, without_grace);
	TEXT *before = NULL, *after = NULL, *dry = NULL, *real = NULL;
	const struct pl_retain_options options = {.dry_run = true};
	struct result result;

	publish(&s, 30);
	config(&s, "site", "keep", "2");
	before = names_in(s.path, "cache");
	result = retain_with(s.path, &options);
	assert_int_equal(result.r, 0);
	assert_int_equal(result.retain.n_dropped, 28);
	pl_retain_done(&result.retain);
	dry = told_of(&s, true);
	after = names_in(s.path, "cache");
	assert_string_equal(before, after);
	DROPPED(&s, "");
	assert_int_equal(count_trees(&s), 30);
	real = told_of(&s, false);
	assert_string_equal(dry, real);
	assert_int_equal(count_trees(&s), 2);
}

static void what_would_go_is_known_by_its_user(void **state)
{
	const struct pl_retain_options options = {.dry_run = true};
	struct store s = make(*state, without_grace);
	struct pl_ref ref = {.id = "0123456789abcdef01234567"};
	struct result result;

	publish(&s, 3);
	config(&s, "site", "keep", "2");
	result = retain_with(s.path, &options);
	assert_int_equal(result.r, 0);
	assert_true(pl_retain_takes_user(&result.retain, &ref, "g.0123456789abcdef01234567.1"));
	assert_false(pl_retain_takes_user(&result.retain, &ref, "g.0123456789abcdef01234567.2"));
	assert_false(pl_retain_takes_user(&result.retain, &ref, "g.0123456789abcdef01234567.9"));
	assert_false(pl_retain_takes_user(&result.retain, &ref, "g.1123456789abcdef01234567.1"));
	assert_false(pl_retain_takes_user(&result.retain, &ref, "t.0123456789abcdef01234567.1"));
	pl_retain_done(&result.retain);
}

static void G5_a_ref_that_is_busy_is_left_for_the_next_time(void **state)
{
	const struct pl_retain_options options = {0};
	struct store s = make(*state, without_grace);
	struct result result;
	struct pl_store *store;
	struct pl_ref ref;

	publish(&s, 3);
	config(&s, "site", "keep", "1");
	assert_int_equal(pl_store_open(s.path, &store, NULL), 0);
	assert_int_equal(pl_ref_open(store, "site", &ref, NULL), 0);
	assert_int_equal(pl_ref_lock(&ref, -1, NULL), 0);
	result = retain_with(s.path, &options);
	assert_int_equal(result.r, 0);
	assert_true(result.retain.is_busy);
	assert_int_equal(result.retain.n_dropped, 0);
	pl_retain_done(&result.retain);
	DROPPED(&s, "");
	TOLD(&s, true,
	     "1 goes: no rule keeps it; 2 goes: no rule keeps it; 3 stays: head, keep=1; ");
	pl_ref_close(&ref);
	pl_store_close(store);
	result = retain_with(s.path, &options);
	assert_false(result.retain.is_busy);
	assert_int_equal(result.retain.n_dropped, 2);
	pl_retain_done(&result.retain);
}

/* ---- what cannot be read, and what is remembered ---- */

static void what_cannot_be_read_stops_it(void **state)
{
	struct store s = make(*state, without_grace);
	struct pleach_store *store;
	struct outcome o;
	uint64_t n;

	publish(&s, 4);
	store = open_at(s.path, &o);
	assert_int_equal(pleach_tag_set(store, "site", "v1", "@1", 0, &o.error), 0);
	pleach_store_close(store);
	config(&s, "site", "keep", "1");
	damage(&s, "refs/site/tags/v1", 20);
	assert_int_equal(retain(&s, &n), -EBADMSG);
	DROPPED(&s, "");
}

static void a_record_that_does_not_verify_stops_it(void **state)
{
	struct store s = make(*state, without_grace);
	uint64_t n;

	publish(&s, 4);
	config(&s, "site", "keep", "1");
	damage(&s, "refs/site/gen/2", 20);
	assert_int_equal(retain(&s, &n), -EBADMSG);
	DROPPED(&s, "");
}

#define ENOUGH 20u /* to be worth remembering */

/* A record that is damaged tells who reads it. */
static void records_are_read_once(void **state)
{
	struct store s = make(*state, without_grace);
	TEXT *cache = NULL, *path = NULL;
	uint64_t n;

	publish(&s, ENOUGH);
	config(&s, "site", "keep", "19");
	config(&s, "site", "keep-daily", "3");
	assert_int_equal(retain(&s, &n), 0);
	assert_int_equal(n, 1);
	damage(&s, "refs/site/gen/7", 20);
	assert_int_equal(retain(&s, &n), 0);
	publish(&s, 1);
	assert_int_equal(retain(&s, &n), 0);
	assert_int_equal(n, 1);
	DROPPED(&s, "1 2 ");
	cache = names_in(s.path, "cache");
	path = text_of("%s/.pleach/cache/%.29s", s.path, strstr(cache, "live-"));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(retain(&s, &n), -EBADMSG);
}

static void what_is_remembered_is_not_believed_if_it_is_of_another_history(void **state)
{
	struct store s = make(*state, without_grace);
	uint64_t n;

	publish(&s, ENOUGH);
	config(&s, "site", "keep", "1000");
	assert_int_equal(retain(&s, &n), 0);
	damage(&s, "refs/site/gen/7", 20);
	assert_int_equal(retain(&s, &n), 0);
	rewrite(&s, ENOUGH, 1600000000);
	assert_int_equal(retain(&s, &n), -EBADMSG);
}

static void what_is_remembered_is_verified(void **state)
{
	struct store s = make(*state, without_grace);
	TEXT *cache = NULL, *name = NULL, *path = NULL;
	uint64_t n;

	publish(&s, ENOUGH);
	config(&s, "site", "keep", "1000");
	assert_int_equal(retain(&s, &n), 0);
	cache = names_in(s.path, "cache");
	name = text_of("cache/%.29s", strstr(cache, "live-"));
	damage(&s, name, 55); /* a time */
	damage(&s, "refs/site/gen/7", 20);
	assert_int_equal(retain(&s, &n), -EBADMSG);
	rewrite(&s, ENOUGH, 1600000000);
	path = text_of("%s/.pleach/%s", s.path, name);
	assert_int_equal(truncate(path, 3), 0);
	assert_int_equal(retain(&s, &n), -EBADMSG);
}

/* Dropped by somebody else since it was remembered: nobody's newest any more. */
static void marks_are_always_looked_at(void **state)
{
	struct pleach_drop_options options = PLEACH_DROP_OPTIONS_INIT;
	struct store s = make(*state, without_grace);
	struct pleach_store *store;
	struct outcome o;
	uint64_t n;

	publish(&s, ENOUGH);
	config(&s, "site", "keep", "19");
	assert_int_equal(retain(&s, &n), 0);
	store = open_at(s.path, &o);
	o.r = pleach_drop(store, "site@15", &options, NULL, &o.error);
	must(&o, "drop");
	pleach_store_close(store);
	config(&s, "site", "keep", "10");
	assert_int_equal(retain(&s, &n), 0);
	assert_int_equal(n, 8); /* 2 to 9: 10 is among the ten newest */
	assert_sound(&s);
}

/* ---- side by side ---- */

static void G5_beside_publishers_and_others_like_it_nothing_goes_that_is_kept(void **state)
{
	enum { TIMES = 25, OTHERS = 2 };
	struct store s = make(*state, without_grace);
	TEXT *dropped = NULL;
	pid_t others[OTHERS];
	uint64_t n;

	publish(&s, 3);
	config(&s, "site", "keep", "3");
	for (unsigned i = 0; i < OTHERS; i++) {
		others[i] = fork();
		if (others[i] == 0) {
			int r = 0;

			while (r >= 0 && access(s.path, F_OK) == 0 && s.next++ < 4 * TIMES)
				r = retain(&s, &n);
			_exit(r < 0);
		}
	}
	for (unsigned i = 0; i < TIMES; i++) {
		publish(&s, 1);
		(void)retain(&s, &n);
	}
	for (unsigned i = 0; i < OTHERS; i++) {
		int status = -1;

		assert_int_equal(waitpid(others[i], &status, 0), others[i]);
		assert_int_equal(status, 0);
	}
	assert_int_equal(retain(&s, &n), 0);
	dropped = names_in(s.path, "refs/site/dropped");
	n = 0;
	for (const char *c = dropped; *c; c++)
		n += *c == ' ';
	assert_int_equal(n, TIMES);
	assert_null(strstr(dropped, "26 "));
	assert_int_equal(count_trees(&s), 3);
	assert_sound(&s);
}

/* ---- whatever ends it ---- */

/* Runs it in a process of its own, with a plan. The exit status. */
static int in_child(const char *path, const struct pl_seam_plan *plan, uint64_t *ret_count)
{
	const struct pl_retain_options options = {0};
	uint64_t *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		struct result result;

		pl_seam_arm(plan);
		result = retain_with(path, &options);
		pl_seam_arm(NULL);
		*shared = pl_seam_count();
		pl_retain_done(&result.retain);
		if (result.r < 0 && !result.error.message[0])
			_exit(3);
		_exit(result.r < 0 ? 1 : 0);
	}
	assert_true(pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status));
	*ret_count = *shared;
	(void)munmap(shared, sizeof(*shared));
	return WEXITSTATUS(status);
}

/* Some of 1 to 4 are dropped, never one of those that are kept; everything else is sound; and the next
 * run does the rest. */
static void assert_done_in_part(const struct store *s)
{
	TEXT *dropped = names_in(s->path, "refs/site/dropped");
	TEXT *trouble = trouble_by_check(s->path, 0);
	uint64_t n;

	assert_null(strpbrk(dropped, "56"));
	assert_null(trouble);
	assert_int_equal(retain(s, &n), 0);
	DROPPED(s, "1 2 3 4 ");
	publish_as(s, "site", 1000); /* what was left in tx/ goes */
	assert_sound(s);
}

static void try_at_each_call(const struct yard *y, int fail_errno, int expected_status)
{
	struct store s = make(y, without_grace);
	TEXT *template = text_of("%s/template", y->path);
	TEXT *kept = text_of("%s/template/S", y->path);
	uint64_t count, ignored;

	publish(&s, 6);
	config(&s, "site", "keep", "2");
	assert_int_equal(mkdir(template, 0755), 0);
	yard_copy(s.path, template);
	assert_int_equal(in_child(s.path, &(struct pl_seam_plan){0}, &count), 0);
	assert_true(count > 10);
	print_message("# %llu calls\n", (unsigned long long)count);
	for (uint64_t k = 1; k <= count; k++) {
		struct pl_seam_plan plan = {.fail_errno = fail_errno};
		int status;

		if (fail_errno)
			plan.fail_at = k;
		else
			plan.exit_at = k;
		yard_remove(s.path);
		yard_copy(kept, y->path);
		status = in_child(s.path, &plan, &ignored);
		if (status != expected_status && (!fail_errno || status > 1))
			fail_msg("call %llu: status %d", (unsigned long long)k, status);
		assert_done_in_part(&s);
	}
}

static void G2_killed_anywhere_each_generation_is_dropped_or_not(void **state)
{
	try_at_each_call(*state, 0, 99);
}

static void G2_where_any_call_fails_each_generation_is_dropped_or_not(void **state)
{
	try_at_each_call(*state, EIO, 0);
}

static void a_full_disk_anywhere_is_told_and_mended(void **state)
{
	try_at_each_call(*state, ENOSPC, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		yard_test(what_no_rule_keeps_is_dropped_with_its_tree),
		yard_test(by_default_all_are_kept),
		yard_test(the_head_stays_whatever_is_set),
		yard_test(days_are_those_of_the_records),
		yard_test(G1_within_its_grace_the_tree_stays),
		yard_test(a_tree_that_another_generation_or_ref_has_stays),
		yard_test(many_go_in_batches),
		yard_test(what_is_held_stays_and_says_by_whom),
		yard_test(the_base_of_a_parked_transaction_stays),
		yard_test(a_dry_run_tells_the_same_and_changes_nothing),
		yard_test(what_would_go_is_known_by_its_user),
		yard_test(G5_a_ref_that_is_busy_is_left_for_the_next_time),
		yard_test(what_cannot_be_read_stops_it),
		yard_test(a_record_that_does_not_verify_stops_it),
		yard_test(records_are_read_once),
		yard_test(what_is_remembered_is_not_believed_if_it_is_of_another_history),
		yard_test(what_is_remembered_is_verified),
		yard_test(marks_are_always_looked_at),
		yard_test(G5_beside_publishers_and_others_like_it_nothing_goes_that_is_kept),
		yard_test(G2_killed_anywhere_each_generation_is_dropped_or_not),
		yard_test(G2_where_any_call_fails_each_generation_is_dropped_or_not),
		yard_test(a_full_disk_anywhere_is_told_and_mended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
