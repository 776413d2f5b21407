/* What dead processes left goes; what is held, parked or not ours stays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ref/stores.h"

static int work(struct scratch *s)
{
	STORE *store = NULL;
	struct pl_txdir tx;
	struct pl_id id = {{1}};

	CHECK(pl_store_open(scratch_path(s, "a"), &store, NULL) == 0);
	CHECK(pl_txdir_begin(store, "publish site", &tx, NULL) == 0);
	CHECK(pl_txdir_claim(&tx, 'o', &id, NULL) == 0);
	CHECK(pl_mkdir(tx.fd, "tree", 0700) == 0);
	CHECK(make_file(tx.fd, "tree/file", "x") == 0);
	CHECK(pl_txdir_sync(&tx, NULL) == 0);
	pl_txdir_end(&tx);
	return 0;
}

static int recover(struct scratch *s)
{
	STORE *store = NULL;
	unsigned n;

	CHECK(pl_store_open(scratch_path(s, "a"), &store, NULL) == 0);
	CHECK(pl_txdir_recover(store, NULL, &n, NULL) == 0);
	return 0;
}

static unsigned recovered(struct pl_store *store, const struct pl_txdir *own)
{
	unsigned n = 99;

	assert_int_equal(pl_txdir_recover(store, own, &n, NULL), 0);
	return n;
}

/* Leaves a dead one with something in it. */
static void leave_dead(struct scratch *s)
{
	assert_int_equal(killed_at(9, work, s), 99);
}

static void killed_at_every_call_it_is_removed_by_the_next(void **state)
{
	struct scratch *s = *state;
	STORE *store = open_store(s, "a");
	int status = 99, counted = 0;
	uint64_t n;

	for (n = 1; n < 100 && status == 99; n++) {
		status = killed_at(n, work, s);
		assert_true(status == 99 || status == 0);
		counted += (int)recovered(store, NULL);
		if (count_names(store->tx_fd, ".") != 0)
			fail_msg("killed at %" PRIu64 ": something is left", n);
	}
	assert_true(n > 12 && n < 100);
	assert_true(counted > 5 && counted < (int)n);
}

static void recovery_killed_at_every_call_is_finished_by_the_next(void **state)
{
	struct scratch *s = *state;
	STORE *store = open_store(s, "a");
	int status = 99;
	uint64_t n;

	for (n = 1; n < 100 && status == 99; n++) {
		leave_dead(s);
		status = killed_at(n, recover, s);
		assert_true(status == 99 || status == 0);
		(void)recovered(store, NULL);
		assert_int_equal(count_names(store->tx_fd, "."), 0);
	}
	assert_true(n > 6 && n < 100);
}

static void recovery_failed_at_every_call_fails_no_command(void **state)
{
	struct scratch *s = *state;
	STORE *store = open_store(s, "a");
	uint64_t n;

	for (n = 1; n < 100; n++) {
		uint64_t calls;
		unsigned count;

		leave_dead(s);
		pl_seam_arm(&(struct pl_seam_plan){.fail_at = n, .fail_errno = EIO});
		assert_int_equal(pl_txdir_recover(store, NULL, &count, NULL), 0);
		calls = pl_seam_count();
		pl_seam_arm(NULL);
		if (calls < n)
			break;
		(void)recovered(store, NULL);
		assert_int_equal(count_names(store->tx_fd, "."), 0);
	}
	assert_true(n > 6 && n < 100);
}

static void where_nothing_can_be_locked_it_is_an_error(void **state)
{
	struct scratch *s = *state;
	STORE *store = open_store(s, "a");
	struct pleach_error error = PLEACH_ERROR_INIT;
	unsigned n;

	leave_dead(s);
	fail_call(PL_CALL_LOCK, 1, ENOLCK);
	assert_int_equal(pl_txdir_recover(store, NULL, &n, &error), -ENOLCK);
	pl_seam_arm(NULL);
	assert_non_null(strstr(error.message, "lock"));
	assert_int_equal(recovered(store, NULL), 1);
}

/* Until an hour from now. */
static void park(struct pl_txdir *tx)
{
	struct timespec end;

	assert_int_equal(pl_fs_clock(tx->fd, &end), 0);
	end.tv_sec += 3600;
	assert_int_equal(pl_txdir_park(tx, &end, NULL), 0);
}

static void held_parked_and_foreign_ones_stay(void **state)
{
	struct scratch *s = *state;
	STORE *store = open_store(s, "a");
	struct pl_txdir held, parked, own;

	assert_int_equal(pl_txdir_begin(store, "held", &held, NULL), 0);
	assert_int_equal(pl_txdir_begin(store, "parked", &parked, NULL), 0);
	assert_int_equal(pl_txdir_begin(store, "own", &own, NULL), 0);
	park(&parked);
	pl_closep(&parked.lock_fd);
	leave_dead(s);
	assert_int_equal(make_file(store->tx_fd, "file", "x"), 0);
	assert_int_equal(pl_mkdir(store->tx_fd, "mine", 0700), 0);
	assert_int_equal(pl_mkdir(store->tx_fd, "0123456789abcdef01234568", 0700), 0);
	assert_int_equal(recovered(store, &own), 1);
	assert_int_equal(count_names(store->tx_fd, "."), 5);
	assert_int_equal(pl_exists(store->tx_fd, "0123456789abcdef01234568"), 0);
	assert_int_equal(pl_exists(store->tx_fd, held.id), 1);
	assert_int_equal(pl_exists(store->tx_fd, own.id), 1);
	assert_int_equal(count_names(store->tx_fd, parked.id), 3);
	pl_txdir_end(&held);
	pl_txdir_end(&own);
	assert_int_equal(unlinkat(parked.fd, "parked", 0), 0);
	assert_int_equal(recovered(store, NULL), 1);
	pl_closep(&parked.fd);
	pl_closep(&parked.sync_fd);
}

static char parked_id[25];

static int park_anew(struct scratch *s)
{
	STORE *store = NULL;
	struct pl_txdir tx;
	struct timespec end;

	CHECK(pl_store_open(scratch_path(s, "a"), &store, NULL) == 0);
	CHECK(pl_txdir_open_parked(store, parked_id, &tx, NULL) == 0);
	CHECK(pl_fs_clock(tx.fd, &end) == 0);
	end.tv_sec += 7200;
	CHECK(pl_txdir_park(&tx, &end, NULL) == 0);
	pl_txdir_leave(&tx);
	return 0;
}

/* The mark has its time in it when it gets its name: else it would be parked for no time. (model/parked.pml, control
 * MARK_BEFORE_TIME) */
static void killed_at_every_call_of_parking_anew_it_stays_parked(void **state)
{
	struct scratch *s = *state;
	STORE *store = open_store(s, "a");
	struct pl_txdir parked;
	int status = 99;
	uint64_t n;

	assert_int_equal(pl_txdir_begin(store, "begin site", &parked, NULL), 0);
	park(&parked);
	memcpy(parked_id, parked.id, sizeof(parked_id));
	pl_txdir_leave(&parked);
	for (n = 1; n < 100 && status == 99; n++) {
		status = killed_at(n, park_anew, s);
		assert_true(status == 99 || status == 0);
		assert_int_equal(recovered(store, NULL), 0);
		assert_int_equal(pl_exists(store->tx_fd, parked_id), 1);
	}
	assert_true(n > 6 && n < 100);
}

/* 1. a transaction is parked, 2. any command looks whether it is dead, 3. its user goes on with it: it is not in use. */
static void a_parked_one_is_not_locked_even_for_a_moment(void **state)
{
	struct scratch *s = *state;
	STORE *store = open_store(s, "a");
	struct pl_txdir parked;

	assert_int_equal(pl_txdir_begin(store, "begin site", &parked, NULL), 0);
	park(&parked);
	pl_closep(&parked.lock_fd);
	pl_seam_arm(&(struct pl_seam_plan){0});
	assert_int_equal(recovered(store, NULL), 0);
	assert_int_equal(pl_seam_count_of(PL_CALL_LOCK), 0);
	pl_seam_arm(NULL);
	pl_closep(&parked.fd);
	pl_closep(&parked.sync_fd);
}

/* On btrfs a file that was synced may be there without the lock file that was made before it. */
static void one_whose_lock_file_a_power_cut_has_taken_goes_G6(void **state)
{
	struct scratch *s = *state;
	STORE *store = open_store(s, "a");

	assert_int_equal(pl_mkdir(store->tx_fd, "0123456789abcdef01234567", 0700), 0);
	assert_int_equal(make_file(store->tx_fd, "0123456789abcdef01234567/x", "x"), 0);
	(void)recovered(store, NULL);
	assert_int_equal(count_names(store->tx_fd, "."), 0);
}

static void what_was_removed_is_an_event(void **state)
{
	struct scratch *s = *state;
	STORE *store = open_store(s, "a");
	struct pl_strings lines;

	leave_dead(s);
	assert_int_equal(recovered(store, NULL), 1);
	assert_int_equal(pl_event_list(store, &lines), 0);
	assert_int_equal(lines.n, 1);
	assert_non_null(strstr(lines.items[0], " removed what a killed \"publish site\" had left"));
	pl_strings_done(&lines);
}

static void the_list_tells_open_dead_and_parked_apart(void **state)
{
	struct scratch *s = *state;
	STORE *store = open_store(s, "a");
	struct pl_txdir open_tx, parked;
	struct pl_txdir_info *infos;
	int seen = 0;
	size_t n;

	assert_int_equal(pl_txdir_list(store, &infos, &n, NULL), 0);
	assert_int_equal(n, 0);
	free(infos);
	assert_int_equal(pl_txdir_begin(store, "run site", &open_tx, NULL), 0);
	assert_int_equal(pl_txdir_begin(store, "begin site", &parked, NULL), 0);
	park(&parked);
	pl_closep(&parked.lock_fd);
	leave_dead(s);
	assert_int_equal(pl_mkdir(store->tx_fd, "0123456789abcdef01234568", 0700), 0);
	assert_int_equal(pl_txdir_list(store, &infos, &n, NULL), 0);
	assert_int_equal(n, 3);
	for (size_t i = 0; i < n; i++) {
		if (strcmp(infos[i].id, open_tx.id) == 0)
			seen |= infos[i].state == PL_TX_OPEN && !strcmp(infos[i].what, "run site");
		else if (strcmp(infos[i].id, parked.id) == 0)
			seen |= (infos[i].state == PL_TX_PARKED) << 1;
		else
			seen |= (infos[i].state == PL_TX_DEAD) << 2;
	}
	assert_int_equal(seen, 7);
	free(infos);
	pl_txdir_end(&open_tx);
	pl_closep(&parked.fd);
	pl_closep(&parked.sync_fd);
}

static void where_nothing_can_be_written_a_parked_one_is_listed_all_the_same(void **state)
{
	static const int errors[] = {EROFS, ENOSPC, EDQUOT, EACCES};
	struct scratch *s = *state;
	STORE *store = open_store(s, "a");
	struct pl_txdir parked;
	struct pl_txdir_info *infos;
	size_t n;

	assert_int_equal(pl_txdir_begin(store, "begin site", &parked, NULL), 0);
	park(&parked);
	pl_closep(&parked.lock_fd);
	for (size_t i = 0; i < PL_ARRAY_LEN(errors); i++) {
		fail_call(PL_CALL_OPEN, 1, errors[i]);
		assert_int_equal(pl_txdir_list(store, &infos, &n, NULL), 0);
		assert_int_equal(pl_seam_count_of(PL_CALL_OPEN), 1);
		pl_seam_arm(NULL);
		assert_int_equal(n, 1);
		assert_int_equal(infos[0].state, PL_TX_PARKED);
		free(infos);
	}
	fail_call(PL_CALL_OPEN, 1, EIO);
	assert_int_equal(pl_txdir_list(store, &infos, &n, NULL), -EIO);
	pl_seam_arm(NULL);
	pl_closep(&parked.fd);
	pl_closep(&parked.sync_fd);
}

/* Makes, fills and ends directories, and recovers between, beside others that do the same. */
static int churn(struct scratch *s)
{
	STORE *store = NULL;

	CHECK(pl_store_open(scratch_path(s, "a"), &store, NULL) == 0);
	for (int i = 0; i < 150; i++) {
		struct pl_txdir tx;
		struct pl_id id = {{(unsigned char)i}};
		unsigned n;

		CHECK(pl_txdir_begin(store, "churn", &tx, NULL) == 0);
		CHECK(pl_txdir_claim(&tx, 'n', &id, NULL) == 0);
		CHECK(pl_txdir_recover(store, &tx, &n, NULL) == 0);
		CHECK(n == 0); /* nobody dies here */
		CHECK(make_file(tx.fd, "file", "x") == 0);
		CHECK(pl_lock_is_current(tx.lock_fd, tx.fd, "lock") == 1);
		CHECK(pl_exists(store->tx_fd, tx.id) == 1);
		pl_txdir_end(&tx);
	}
	return 0;
}

static void nobody_alive_is_taken_for_dead_by_recoveries_beside(void **state)
{
	struct scratch *s = *state;
	STORE *store = open_store(s, "a");
	pid_t pids[4];

	for (size_t i = 0; i < PL_ARRAY_LEN(pids); i++) {
		pids[i] = fork();
		if (pids[i] == 0)
			_exit(churn(s));
	}
	for (size_t i = 0; i < PL_ARRAY_LEN(pids); i++) {
		int status;

		assert_true(waitpid(pids[i], &status, 0) == pids[i]);
		assert_int_equal(status, 0);
	}
	assert_int_equal(count_names(store->tx_fd, "."), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(killed_at_every_call_it_is_removed_by_the_next),
		TEST(recovery_killed_at_every_call_is_finished_by_the_next),
		TEST(recovery_failed_at_every_call_fails_no_command),
		TEST(where_nothing_can_be_locked_it_is_an_error),
		TEST(held_parked_and_foreign_ones_stay),
		TEST(killed_at_every_call_of_parking_anew_it_stays_parked),
		TEST(a_parked_one_is_not_locked_even_for_a_moment),
		TEST(one_whose_lock_file_a_power_cut_has_taken_goes_G6),
		TEST(what_was_removed_is_an_event),
		TEST(the_list_tells_open_dead_and_parked_apart),
		TEST(where_nothing_can_be_written_a_parked_one_is_listed_all_the_same),
		TEST(nobody_alive_is_taken_for_dead_by_recoveries_beside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
