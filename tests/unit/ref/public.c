/*
 * Settling a ref: what is the head, and what if the ref goes away meanwhile.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "source/fixture.h"
#include "tx/tx.h"

static void publish(struct fixture *f, unsigned number)
{
	struct pleach_publish_options options = PLEACH_PUBLISH_OPTIONS_INIT;
	struct pleach_publish_result result = PLEACH_PUBLISH_RESULT_INIT;
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pleach_source source = {.kind = PLEACH_SOURCE_DIR};
	char path[4400], name[16];

	(void)snprintf(name, sizeof(name), "%u", number);
	assert_int_equal(mkdirat(f->src, name, 0755), 0);
	(void)snprintf(path, sizeof(path), "%s/src", f->s->path);
	source.spec = path;
	if (pl_publish_run(f->store, "site", &source, 1, &options, &result, &error) != 0)
		fail_msg("%s", error.message);
}

static void head_is_the_newest_generation(void **state)
{
	struct fixture *f = *state;
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pl_ref ref;
	uint64_t head = 99;

	publish(f, 1);
	publish(f, 2);
	assert_int_equal(pl_ref_open(f->store, "site", &ref, &error), 0);
	assert_int_equal(pl_ref_settle(&ref, NULL, &head, &error), 0);
	assert_int_equal(head, 2);
	pl_ref_close(&ref);
}

/* As a drop does it: the name goes first, then the records, in any order. `left`: how many are. */
static void drop_down_to(struct fixture *f, unsigned left)
{
	char name[32];

	assert_int_equal(renameat(f->store->refs_fd, "site", f->store->tx_fd, "dropped"), 0);
	for (unsigned n = left + 1; n <= 3; n++) {
		(void)snprintf(name, sizeof(name), "dropped/gen/%u", n);
		assert_int_equal(unlinkat(f->store->tx_fd, name, 0), 0);
	}
}

static void ref_that_is_being_erased_is_gone_however_many_records_are_left(void **state)
{
	struct fixture *f = *state;

	for (unsigned left = 0; left <= 3; left++) {
		struct pleach_error error = PLEACH_ERROR_INIT;
		struct pl_ref ref;
		uint64_t head = 99;

		for (unsigned n = 1; n <= 3; n++)
			publish(f, left * 10 + n);
		assert_int_equal(pl_ref_open(f->store, "site", &ref, &error), 0);
		drop_down_to(f, left);
		assert_int_equal(pl_ref_settle(&ref, NULL, &head, &error), -ENOENT);
		assert_int_equal(error.code, PLEACH_NOT_FOUND);
		assert_int_equal(head, 99);
		pl_ref_close(&ref);
		assert_int_equal(pl_erase(f->store->tx_fd, "dropped", NULL), 0);
		assert_int_equal(unlinkat(f->store->root_fd, "site", 0), 0);
	}
}

static void ref_that_was_made_and_not_yet_published_has_no_head(void **state)
{
	struct fixture *f = *state;
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pl_txdir tx;
	struct pl_ref ref;
	uint64_t head = 99;

	assert_int_equal(pl_txdir_begin(f->store, "test", &tx, &error), 0);
	assert_int_equal(pl_ref_open_or_create(&tx, "site", &ref, &error), 0);
	assert_int_equal(pl_ref_settle(&ref, &tx, &head, &error), 0);
	assert_int_equal(head, 0);
	pl_ref_close(&ref);
	pl_txdir_end(&tx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FIXTURE_TEST(head_is_the_newest_generation),
		FIXTURE_TEST(ref_that_is_being_erased_is_gone_however_many_records_are_left),
		FIXTURE_TEST(ref_that_was_made_and_not_yet_published_has_no_head),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
