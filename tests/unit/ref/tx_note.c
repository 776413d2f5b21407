/* What a transaction is comes back as it was written; damage is told; parked ones live until their time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "source/fixture.h"

static struct pl_tx_note sample(void)
{
	struct pl_tx_note note = {.ref = "site",
				  .ref_id = "0123456789abcdef01234567",
				  .base = 7,
				  .base_tree = {{1, 2}},
				  .k = 3,
				  .merged_tree = {{9}},
				  .workspace = "copy",
				  .checkout_identity = {5, 6, 7},
				  .is_serializable = true,
				  .timeout_ms = 1234,
				  .has_landing = true,
				  .landing_head = 8,
				  .landing_tree = {{7}},
				  .landing_of = {{6}}};

	note.path = strdup("/a\nb%/c");
	note.checkout = strdup("/a\nb%/c");
	return note;
}

static void what_is_written_is_read(void **state)
{
	struct fixture *f = *state;
	struct pl_tx_note note = sample(), read = {0};
	struct pl_txdir tx;

	assert_int_equal(pl_txdir_begin(f->store, "test", &tx, NULL), 0);
	assert_int_equal(pl_tx_note_read(tx.fd, tx.id, &read, NULL), -ENOENT);
	assert_int_equal(pl_tx_note_write(&tx, &note, true, NULL), 0);
	assert_int_equal(pl_tx_note_write(&tx, &note, false, NULL), 0);
	assert_int_equal(pl_tx_note_read(tx.fd, tx.id, &read, NULL), 0);
	assert_string_equal(read.ref, note.ref);
	assert_string_equal(read.ref_id, note.ref_id);
	assert_true(read.base == 7 && read.k == 3 && read.timeout_ms == 1234);
	assert_true(pl_id_equal(&read.base_tree, &note.base_tree));
	assert_true(pl_id_equal(&read.merged_tree, &note.merged_tree));
	assert_string_equal(read.workspace, "copy");
	assert_string_equal(read.path, note.path);
	assert_string_equal(read.checkout, note.checkout);
	assert_true(pl_identity_equal(&read.checkout_identity, &note.checkout_identity));
	assert_true(pl_id_equal(&read.landing_of, &note.landing_of));
	assert_true(read.has_landing && read.landing_head == 8);
	assert_true(pl_id_equal(&read.landing_tree, &note.landing_tree));
	assert_true(!read.is_optimistic && read.is_serializable);
	pl_tx_note_done(&read);
	pl_tx_note_done(&note);
	pl_txdir_end(&tx);
}

static void a_damaged_note_is_told(void **state)
{
	struct fixture *f = *state;
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pl_tx_note note = sample(), read;
	struct pl_txdir tx;
	int fd;

	assert_int_equal(pl_txdir_begin(f->store, "test", &tx, NULL), 0);
	assert_int_equal(pl_tx_note_write(&tx, &note, false, NULL), 0);
	fd = openat(tx.fd, "transaction", O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "X", 1, 40), 1);
	close(fd);
	assert_int_equal(pl_tx_note_read(tx.fd, tx.id, &read, &error), -EBADMSG);
	assert_int_equal(error.code, PLEACH_CORRUPT);
	pl_tx_note_done(&note);
	pl_txdir_end(&tx);
}

static void park(struct pl_txdir *tx, int64_t seconds)
{
	struct timespec end;

	assert_int_equal(pl_fs_clock(tx->fd, &end), 0);
	end.tv_sec += seconds;
	assert_int_equal(pl_txdir_park(tx, &end, NULL), 0);
	pl_txdir_leave(tx);
}

static void park_until(struct fixture *f, int64_t seconds, char ret_id[25])
{
	struct pl_txdir tx;

	assert_int_equal(pl_txdir_begin(f->store, "test", &tx, NULL), 0);
	memcpy(ret_id, tx.id, 25);
	park(&tx, seconds);
}

static void parked_it_is_left_alone_and_taken_up_again(void **state)
{
	struct fixture *f = *state;
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pl_txdir tx, again;
	char id[25], prefix[9];
	unsigned n;

	park_until(f, 1000, id);
	assert_int_equal(pl_txdir_recover(f->store, NULL, &n, NULL), 0);
	assert_int_equal(n, 0);
	snprintf(prefix, sizeof(prefix), "%.8s", id);
	assert_int_equal(pl_txdir_open_parked(f->store, prefix, &tx, &error), 0);
	assert_string_equal(tx.id, id);
	assert_int_equal(pl_txdir_open_parked(f->store, id, &again, &error), -EBUSY);
	assert_int_equal(error.code, PLEACH_BUSY);
	pl_txdir_end(&tx);
	assert_int_equal(pl_txdir_open_parked(f->store, id, &again, &error), -ENOENT);
	assert_int_equal(error.code, PLEACH_NOT_FOUND);
}

static void when_its_time_is_over_it_is_gone(void **state)
{
	struct fixture *f = *state;
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pl_txdir tx;
	char id[25];
	unsigned n;

	park_until(f, -1, id);
	assert_int_equal(pl_txdir_open_parked(f->store, id, &tx, &error), -ENOENT);
	assert_int_equal(pl_txdir_recover(f->store, NULL, &n, NULL), 0);
	assert_int_equal(pl_exists(f->store->tx_fd, id), 0);
}

static void one_on_the_ref_is_found(void **state)
{
	struct fixture *f = *state;
	struct pl_tx_note note = sample();
	struct pl_txdir tx;
	struct pl_ref ref;
	char id[25];

	assert_int_equal(pl_txdir_begin(f->store, "test", &tx, NULL), 0);
	assert_int_equal(pl_ref_open_or_create(&tx, "site", &ref, NULL), 0);
	assert_int_equal(pl_tx_note_find(&ref, NULL, false, id, NULL), 0);
	memcpy(note.ref_id, ref.id, sizeof(note.ref_id));
	assert_int_equal(pl_tx_note_write(&tx, &note, false, NULL), 0);
	assert_int_equal(pl_tx_note_find(&ref, NULL, false, id, NULL), 1);
	assert_string_equal(id, tx.id);
	assert_int_equal(pl_tx_note_find(&ref, NULL, true, id, NULL), 1);
	assert_int_equal(pl_tx_note_find(&ref, tx.id, false, id, NULL), 0);
	note.workspace[0] = '\0';
	assert_int_equal(pl_tx_note_write(&tx, &note, false, NULL), 0);
	assert_int_equal(pl_tx_note_find(&ref, NULL, false, id, NULL), 1);
	assert_int_equal(pl_tx_note_find(&ref, NULL, true, id, NULL), 0);
	pl_tx_note_done(&note);
	park(&tx, 1000);
	assert_int_equal(pl_tx_note_find(&ref, NULL, false, id, NULL), 1);
	assert_int_equal(pl_tx_note_find(&ref, NULL, true, id, NULL), 0);
	pl_ref_close(&ref);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FIXTURE_TEST(what_is_written_is_read),
		FIXTURE_TEST(a_damaged_note_is_told),
		FIXTURE_TEST(parked_it_is_left_alone_and_taken_up_again),
		FIXTURE_TEST(when_its_time_is_over_it_is_gone),
		FIXTURE_TEST(one_on_the_ref_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
