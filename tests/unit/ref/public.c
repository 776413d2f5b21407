/*
 * Settling a ref: what is the head, what if the ref goes away meanwhile, and that the public path never goes back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "source/fixture.h"
#include "tx/tx.h"

static void publish_into(struct fixture *f, struct pl_store *store, unsigned number)
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
	if (pl_publish_run(store, "site", &source, 1, &options, &result, &error) != 0)
		fail_msg("%s", error.message);
}

static void publish(struct fixture *f, unsigned number)
{
	publish_into(f, f->store, number);
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

/* ---- the path never goes back ---- */

/* What is done at the first call of a kind, by another handle. */
struct beside {
	struct fixture *f;
	struct pl_store *store;
	enum pl_call call;
	void (*what)(struct beside *b);
	bool is_done;
	int r;
};

static void at_a_call(uint64_t number, enum pl_call call, void *userdata)
{
	struct beside *b = userdata;

	(void)number;
	if (b->is_done || call != b->call)
		return;
	b->is_done = true;
	b->what(b);
}

static void read_public(struct fixture *f, struct pl_buffer *b)
{
	assert_int_equal(pl_readlink(f->store->refs_fd, "site/public/tree", b), 0);
}

static void try_the_lock(struct beside *b)
{
	struct pl_ref ref;

	assert_int_equal(pl_ref_open(b->store, "site", &ref, NULL), 0);
	b->r = pl_ref_try_lock(&ref, NULL);
	pl_ref_unlock(&ref);
	pl_ref_close(&ref);
}

/* 1. a commit is killed when it is recorded, 2. A finds the path behind, 3. B publishes, 4. A moves the path to what he
 * has found. B has to wait for A. (model/ref.pml, RESOLVER_UNLOCKED) */
static void G1_who_moves_the_path_on_has_the_lock(void **state)
{
	struct fixture *f = *state;
	struct beside b = {.f = f, .call = PL_CALL_RENAME, .what = try_the_lock, .r = -1};
	PL_BUFFER old = {0}, new = {0}, now = {0};
	struct pl_ref ref;
	uint64_t head;

	publish(f, 1);
	read_public(f, &old);
	publish(f, 2);
	read_public(f, &new);
	assert_int_equal(pl_store_open(f->store->path, &b.store, NULL), 0);
	/* As if the second had been killed. */
	assert_int_equal(unlinkat(f->store->refs_fd, "site/shown/2", 0), 0);
	assert_int_equal(unlinkat(f->store->refs_fd, "site/public/tree", 0), 0);
	assert_int_equal(symlinkat(pl_buffer_string(&old), f->store->refs_fd, "site/public/tree"),
			 0);
	assert_int_equal(pl_ref_open(f->store, "site", &ref, NULL), 0);
	pl_seam_arm(&(struct pl_seam_plan){.stop = at_a_call, .userdata = &b});
	assert_int_equal(pl_ref_settle(&ref, NULL, &head, NULL), 0);
	pl_seam_arm(NULL);
	assert_true(b.is_done);
	assert_int_equal(b.r, 0);
	read_public(f, &now);
	assert_string_equal(pl_buffer_string(&now), pl_buffer_string(&new));
	pl_ref_close(&ref);
	pl_store_close(b.store);
}

/* Another one comes by a lock file that is not the one that is held. */
static void publish_by_another_lock(struct beside *b)
{
	int fd = openat(b->f->store->tx_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(renameat(b->f->store->tx_fd, "lock", b->f->store->refs_fd, "site/lock"),
			 0);
	publish_into(b->f, b->store, 3);
}

/* 1. A has recorded 2 and loses the lock, 2. B records 3, and shows it, 3. A shows 2, and finds that it is not the
 * head. (model/ref.pml, NO_RECHECK9) */
static void G1_who_lost_the_lock_does_not_leave_the_path_behind(void **state)
{
	struct fixture *f = *state;
	struct beside b = {.f = f, .call = PL_CALL_SYMLINK, .what = publish_by_another_lock};
	struct pl_record record;
	struct pl_id shown;
	struct pl_ref ref;
	unsigned k;

	publish(f, 1);
	assert_int_equal(pl_store_open(f->store->path, &b.store, NULL), 0);
	pl_seam_arm(&(struct pl_seam_plan){.stop = at_a_call, .userdata = &b});
	publish(f, 2);
	pl_seam_arm(NULL);
	assert_true(b.is_done);
	assert_int_equal(pl_ref_open(f->store, "site", &ref, NULL), 0);
	assert_int_equal(pl_generation_read(&ref, 3, &record, NULL), 0);
	assert_int_equal(pl_public_read(&ref, &shown, &k, NULL), 1);
	assert_true(pl_id_equal(&shown, &record.tree));
	pl_record_done(&record);
	pl_ref_close(&ref);
	pl_store_close(b.store);
}

/* The same, at the first link that is made while the lock is held: that of the record. */
static void publish_if_it_is_locked(struct beside *b)
{
	PL_CLOSE int fd = openat(b->f->store->refs_fd, "site/lock", O_RDWR | O_CLOEXEC);

	b->is_done = fd >= 0 && pl_lock_is_held(fd, PL_LOCK_EXCLUSIVE) == 1;
	if (b->is_done)
		publish_by_another_lock(b);
}

/* 1. A has the lock, and loses it, 2. B records 2, 3. A links its record: there is one. (model/ref.pml, NO_EXCL) */
static void G3_who_lost_the_lock_gives_no_number_again(void **state)
{
	struct fixture *f = *state;
	struct beside b = {.f = f, .call = PL_CALL_LINK, .what = publish_if_it_is_locked};
	struct pl_record records[2];
	struct pl_ref ref;
	uint64_t head;

	publish(f, 1);
	assert_int_equal(pl_store_open(f->store->path, &b.store, NULL), 0);
	pl_seam_arm(&(struct pl_seam_plan){.stop = at_a_call, .userdata = &b});
	publish(f, 2);
	pl_seam_arm(NULL);
	assert_true(b.is_done);
	assert_int_equal(pl_ref_open(f->store, "site", &ref, NULL), 0);
	assert_int_equal(pl_ref_settle(&ref, NULL, &head, NULL), 0);
	assert_int_equal(head, 3);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(pl_generation_read(&ref, 2 + i, &records[i], NULL), 0);
	assert_false(pl_id_equal(&records[0].tree, &records[1].tree));
	for (unsigned i = 0; i < 2; i++)
		pl_record_done(&records[i]);
	pl_ref_close(&ref);
	pl_store_close(b.store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FIXTURE_TEST(head_is_the_newest_generation),
		FIXTURE_TEST(ref_that_is_being_erased_is_gone_however_many_records_are_left),
		FIXTURE_TEST(ref_that_was_made_and_not_yet_published_has_no_head),
		FIXTURE_TEST(G1_who_moves_the_path_on_has_the_lock),
		FIXTURE_TEST(G3_who_lost_the_lock_gives_no_number_again),
		FIXTURE_TEST(G1_who_lost_the_lock_does_not_leave_the_path_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
