/* Drops: which locks are held while a tree loses its user, and that none is after. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gc/generations.h"

struct world {
	struct pl_store *store;
	struct pl_txdir tx;
	struct pl_ref ref;
};

static struct world enter(const struct store *s)
{
	struct world w;

	assert_int_equal(pl_store_open(s->path, &w.store, NULL), 0);
	assert_int_equal(pl_txdir_begin(w.store, "test", &w.tx, NULL), 0);
	assert_int_equal(pl_ref_open(w.store, "site", &w.ref, NULL), 0);
	return w;
}

static void leave(struct world *w)
{
	pl_ref_close(&w->ref);
	pl_txdir_end(&w->tx);
	pl_store_close(w->store);
}

/* ---- the user ---- */

struct look {
	struct world *w;
	struct pl_id tree;
	char user[128];
	bool was_seen, was_busy; /* when it was there the last time that something was unlinked */
};

static bool has_user(const struct look *look)
{
	PL_CLOSE int treedir = pl_treedir_open(look->w->store, &look->tree);
	PL_CLOSE int users = treedir < 0 ? treedir : pl_open_dir(treedir, "users");

	return users >= 0 && pl_exists(users, look->user) == 1;
}

/* Right before each unlink: could a publish on another ref get the tree, and note its user, just now? */
static void try_to_pin(uint64_t number, enum pl_call call, void *userdata)
{
	struct look *look = userdata;
	struct pl_pin pin = PL_PIN_NONE;

	(void)number;
	if (call != PL_CALL_UNLINK || !has_user(look))
		return;
	look->was_seen = true;
	look->was_busy = pl_pin_try(look->w->store, &look->tree, &pin, NULL) == PL_PIN_BUSY;
	pl_pin_done(&pin);
}

static void a_user_goes_while_nobody_can_come_by(void **state)
{
	const struct pleach_drop_options options = {.size = sizeof(options), .now = 1};
	struct pleach_drop_result result = PLEACH_DROP_RESULT_INIT;
	struct store s = make(*state, (const char *const[]){"grace", "1h", NULL});
	struct pl_record record;
	struct world w;
	struct look look = {.w = &w};

	publish(&s, 2);
	w = enter(&s);
	assert_int_equal(pl_generation_read(&w.ref, 1, &record, NULL), 0);
	look.tree = record.tree;
	pl_record_done(&record);
	pl_user_of_generation(&w.ref, 1, look.user);
	assert_true(has_user(&look));
	pl_seam_arm(&(struct pl_seam_plan){.stop = try_to_pin, .userdata = &look});
	assert_int_equal(pl_drop_generation(&w.tx, &w.ref, 1, &options, &result, NULL), 1);
	pl_seam_arm(NULL);
	assert_true(look.was_seen && look.was_busy);
	assert_false(has_user(&look));
	leave(&w);
}

/* ---- the ref lock ---- */

static void whatever_comes_of_it_the_ref_is_let_go(void **state)
{
	struct pleach_drop_options options = PLEACH_DROP_OPTIONS_INIT;
	struct pleach_drop_result result = PLEACH_DROP_RESULT_INIT;
	struct store s = make(*state, without_grace);
	struct world w;

	publish(&s, 3);
	w = enter(&s);
	assert_int_equal(pl_drop_generation(&w.tx, &w.ref, 9, &options, &result, NULL), -ENOENT);
	assert_false(pl_ref_is_locked(&w.ref));
	assert_int_equal(pl_drop_generation(&w.tx, &w.ref, 3, &options, &result, NULL), -EBUSY);
	assert_false(pl_ref_is_locked(&w.ref));
	assert_int_equal(pl_drop_generation(&w.tx, &w.ref, 1, &options, &result, NULL), 1);
	assert_false(pl_ref_is_locked(&w.ref));
	assert_int_equal(pl_drop_generation(&w.tx, &w.ref, 1, &options, &result, NULL), -ENOENT);
	assert_false(pl_ref_is_locked(&w.ref));
	options.dry_run = 1;
	assert_int_equal(pl_drop_ref(&w.tx, &w.ref, &options, &result, NULL), 0);
	assert_false(pl_ref_is_locked(&w.ref));
	assert_int_equal(pl_tag_set(&w.ref, &w.tx, "v1", 2, false, NULL), 0);
	assert_int_equal(pl_drop_ref(&w.tx, &w.ref, &options, &result, NULL), -EBUSY);
	assert_false(pl_ref_is_locked(&w.ref));
	leave(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		yard_test(a_user_goes_while_nobody_can_come_by),
		yard_test(whatever_comes_of_it_the_ref_is_let_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
