/*
 * Pins, and what others do in the middle of one being had: between each two calls that matter the other one runs from
 * its beginning to its end. Each law is guarded by a step that can be left out (tests/controls), or was seen to fail
 * once without it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "controls.h"
#include "gc/gc.h"
#include "tx/yard.h"

/* A store in which tree `a` is site@1, and `b` the head; nothing keeps `a` but its generation. */
struct scene {
	char path[YARD_PATH], a[YARD_PATH], b[YARD_PATH];
	struct pl_store *store;
	struct pl_txdir tx;
	struct pl_id tree; /* a */
};

/* What is done at the first call of a kind; not within itself. */
struct beside {
	struct scene *s;
	enum pl_call call;
	void (*what)(struct scene *s, struct beside *b);
	bool is_done;
	int r;
};

static void publish_a(struct scene *s, const char *ref)
{
	struct outcome o = publish_at(s->path, ref, s->a);

	must(&o, "publish");
}

static void drop_a(struct scene *s)
{
	struct pleach_drop_options options = PLEACH_DROP_OPTIONS_INIT;
	struct outcome o;
	struct pleach_store *store = open_at(s->path, &o);

	options.now = 1;
	o.r = pleach_drop(store, "site@1", &options, NULL, &o.error);
	must(&o, "drop");
	pleach_store_close(store);
}

static void begin(struct scene *s, const struct yard *y)
{
	static const char *const settings[] = {"grace",	 "0", "keep-placed", "1",
					       "spares", "0", NULL};
	struct outcome o;

	(void)snprintf(s->path, sizeof(s->path), "%s/S", y->path);
	(void)snprintf(s->a, sizeof(s->a), "%s/a", y->path);
	(void)snprintf(s->b, sizeof(s->b), "%s/b", y->path);
	make_source(s->a, "a", 0);
	make_source(s->b, "b", 0);
	make_store(s->path, settings);
	o = publish_at(s->path, "site", s->a);
	must(&o, "publish");
	assert_int_equal(pl_id_parse(o.published.tree, &s->tree), 0);
	o = publish_at(s->path, "site", s->b);
	must(&o, "publish");
	assert_int_equal(pl_store_open(s->path, &s->store, NULL), 0);
	assert_int_equal(pl_txdir_begin(s->store, "a test", &s->tx, NULL), 0);
}

static void end(struct scene *s)
{
	TEXT *trouble = NULL;

	pl_txdir_end(&s->tx);
	pl_store_close(s->store);
	trouble = trouble_by_check(s->path, 0);
	if (trouble)
		fail_msg("%s", trouble);
}

/* Dropped, but for the going of its tree, which nobody has then. */
static void mark_dropped(const struct scene *s)
{
	TEXT *mark = text_of("%s/.pleach/refs/site/dropped/1", s->path);
	int fd = open(mark, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	close(fd);
}

static void at_a_call(uint64_t number, enum pl_call call, void *userdata)
{
	struct beside *b = userdata;

	(void)number;
	if (b->is_done || call != b->call)
		return;
	b->is_done = true;
	b->what(b->s, b);
}

static void arm(struct beside *b)
{
	pl_seam_arm(&(struct pl_seam_plan){.stop = at_a_call, .userdata = b});
}

static void disarm(const struct beside *b)
{
	pl_seam_arm(NULL);
	assert_true(b->is_done);
}

/* ---- what goes before the lock is had ---- */

static void it_goes(struct scene *s, struct beside *b)
{
	(void)b;
	drop_a(s);
}

/* 1. A opens the pin, 2. B takes the tree away, 3. A has the lock, of what stands for nothing any more. */
static void G1_a_tree_that_goes_before_the_lock_is_had_is_not_pinned(void **state)
{
	struct scene s;
	struct beside b = {.s = &s, .call = PL_CALL_LOCK, .what = it_goes};
	struct pl_pin pin = PL_PIN_NONE;

	begin(&s, *state);
	arm(&b);
	assert_int_equal(pl_pin_try(s.store, &s.tree, &pin, NULL), PL_PIN_ABSENT);
	disarm(&b);
	end(&s);
}

static void it_goes_and_comes_again(struct scene *s, struct beside *b)
{
	(void)b;
	drop_a(s);
	publish_a(s, "other");
}

/* The same of who wants to take it: what came under its name meanwhile is another one, and somebody's. */
static void G1_a_tree_that_came_again_is_not_taken_by_the_lock_of_the_old_one(void **state)
{
	struct scene s;
	struct beside b = {.s = &s, .call = PL_CALL_LOCK, .what = it_goes_and_comes_again};
	TEXT *other = NULL, *shown = NULL, *source = NULL;

	begin(&s, *state);
	arm(&b);
	assert_int_equal(pl_tree_take(&s.tx, &s.tree, NULL, NULL), 0);
	disarm(&b);
	other = text_of("%s/other", s.path);
	shown = fingerprint(other);
	source = fingerprint(s.a);
	assert_string_equal(shown, source);
	end(&s);
}

static void another_ref_publishes_it(struct scene *s, struct beside *b)
{
	(void)b;
	publish_a(s, "other");
}

/* 1. A finds that nobody needs it, 2. B publishes it, 3. A has the lock. (model/trees.pml, USERS_BEFORE_LOCK) */
static void G5_who_needs_a_tree_is_looked_up_under_the_lock(void **state)
{
	struct scene s;
	struct beside b = {.s = &s, .call = PL_CALL_LOCK, .what = another_ref_publishes_it};
	TEXT *other = NULL, *shown = NULL, *source = NULL;

	begin(&s, *state);
	mark_dropped(&s);
	arm(&b);
	assert_int_equal(pl_tree_take(&s.tx, &s.tree, NULL, NULL), 0);
	disarm(&b);
	other = text_of("%s/other", s.path);
	shown = fingerprint(other);
	source = fingerprint(s.a);
	assert_string_equal(shown, source);
	end(&s);
}

/* ---- while it is being taken away ---- */

static void somebody_pins_it(struct scene *s, struct beside *b)
{
	struct pl_store *store;
	struct pl_pin pin = PL_PIN_NONE;

	assert_int_equal(pl_store_open(s->path, &store, NULL), 0);
	b->r = pl_pin_try(store, &s->tree, &pin, NULL);
	pl_pin_done(&pin);
	pl_store_close(store);
}

/* Nobody gets a pin between the look at who needs it and its going. (model/trees.pml, NO_EXCLUSIVE) */
static void G1_a_tree_that_is_being_taken_away_is_not_pinned(void **state)
{
	struct scene s;
	struct beside b = {.s = &s, .call = PL_CALL_RENAME, .what = somebody_pins_it};

	begin(&s, *state);
	mark_dropped(&s);
	arm(&b);
	assert_int_equal(pl_tree_take(&s.tx, &s.tree, NULL, NULL), 1);
	disarm(&b);
	assert_int_equal(b.r, PL_PIN_BUSY);
	end(&s);
}

/* And who has one keeps it from going. */
static void G1_a_pinned_tree_does_not_go(void **state)
{
	struct scene s;
	struct pl_pin pin = PL_PIN_NONE;

	begin(&s, *state);
	assert_int_equal(pl_pin_try(s.store, &s.tree, &pin, NULL), PL_PIN_TAKEN);
	mark_dropped(&s);
	assert_int_equal(pl_tree_take(&s.tx, &s.tree, NULL, NULL), 0);
	pl_pin_done(&pin);
	assert_int_equal(pl_tree_take(&s.tx, &s.tree, NULL, NULL), 1);
	end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		yard_test(G1_a_tree_that_goes_before_the_lock_is_had_is_not_pinned),
		yard_test(G1_a_tree_that_came_again_is_not_taken_by_the_lock_of_the_old_one),
		yard_test(G5_who_needs_a_tree_is_looked_up_under_the_lock),
		yard_test(G1_a_tree_that_is_being_taken_away_is_not_pinned),
		yard_test(G1_a_pinned_tree_does_not_go),
	};

	controls_by_environment();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
