/* A tx directory is its maker's alone, says what it is for, and keeps its claims in step. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ref/stores.h"

static struct pl_txdir begin(struct pl_store *store, const char *what)
{
	struct pl_txdir tx;

	assert_int_equal(pl_txdir_begin(store, what, &tx, NULL), 0);
	return tx;
}

static void it_is_private_locked_and_gone_afterwards(void **state)
{
	STORE *store = open_store(*state, "a");
	struct pl_txdir tx = begin(store, "publish site"), other = begin(store, "gc");
	PL_BUFFER what = {0};
	char id[25];

	memcpy(id, tx.id, sizeof(id));
	assert_true(strlen(id) == 24 && pl_is_hex(id, 24) && strcmp(id, other.id) != 0);
	assert_int_equal(mode_of(store->tx_fd, id), 0700);
	assert_int_equal(mode_of(tx.fd, "lock"), 0600);
	assert_int_equal(pl_read_file(tx.fd, "what", 256, &what), 0);
	assert_string_equal(pl_buffer_string(&what), "publish site");
	assert_int_equal(tx.claims_fd, -EBADF);
	assert_int_equal(pl_exists(tx.fd, "claims"), 0);
	assert_int_equal(make_file(tx.fd, "rubbish", "x"), 0);
	assert_int_equal(pl_mkdir(tx.fd, "tree", 0), 0);
	pl_txdir_end(&tx);
	assert_int_equal(pl_exists(store->tx_fd, id), 0);
	assert_int_equal(pl_exists(store->tx_fd, other.id), 1);
	pl_txdir_end(&other);
	assert_int_equal(count_names(store->tx_fd, "."), 0);
}

static void what_is_one_line_of_bounded_length(void **state)
{
	STORE *store = open_store(*state, "a");
	char longer[1000];
	struct pl_txdir_info *infos;
	struct pl_txdir tx;
	size_t n;

	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	longer[3] = '\n';
	tx = begin(store, longer);
	assert_int_equal(pl_txdir_list(store, &infos, &n, NULL), 0);
	assert_int_equal(n, 1);
	assert_int_equal(strlen(infos[0].what), 255);
	assert_memory_equal(infos[0].what, "xxx?xx", 6);
	free(infos);
	pl_txdir_end(&tx);
}

static void names_inside_are_never_given_twice(void **state)
{
	STORE *store = open_store(*state, "a");
	struct pl_txdir tx = begin(store, "test");
	char a[32], b[32], c[32];

	pl_txdir_name(&tx, "record", a);
	pl_txdir_name(&tx, "record", b);
	pl_txdir_name(&tx, "symlink", c);
	assert_true(strcmp(a, b) != 0 && strncmp(a, "record", 6) == 0);
	assert_int_equal(strncmp(c, "symlink", 7), 0);
	pl_txdir_end(&tx);
}

/* ---- claims ---- */

static void claims_are_entries_of_33_bytes_in_order(void **state)
{
	STORE *store = open_store(*state, "a");
	struct pl_txdir tx = begin(store, "test");
	static const char kinds[] = "ont";
	PL_BUFFER claims = {0};
	struct pl_id ids[3];

	for (size_t i = 0; i < 3; i++) {
		pl_hash_of(&i, sizeof(i), &ids[i]);
		assert_int_equal(pl_txdir_claim(&tx, kinds[i], &ids[i], NULL), 0);
	}
	assert_int_equal(pl_read_file(tx.fd, "claims", 1000, &claims), 0);
	assert_int_equal(claims.length, 99);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(claims.data[33 * i], kinds[i]);
		assert_memory_equal(claims.data + 33 * i + 1, ids[i].bytes, 32);
	}
	assert_int_equal(mode_of(tx.fd, "claims"), 0600);
	pl_txdir_end(&tx);
}

static void claims_that_are_made_at_once_are_one_write(void **state)
{
	STORE *store = open_store(*state, "a");
	struct pl_txdir tx = begin(store, "test");
	static struct pl_id ids[PL_CLAIMS_AT_ONCE];
	PL_BUFFER claims = {0};

	for (size_t i = 0; i < PL_CLAIMS_AT_ONCE; i++)
		pl_hash_of(&i, sizeof(i), &ids[i]);
	pl_seam_arm(&(struct pl_seam_plan){0});
	assert_int_equal(pl_txdir_claim_all(&tx, 'o', ids, PL_CLAIMS_AT_ONCE, NULL), 0);
	assert_int_equal(pl_seam_count_of(PL_CALL_WRITE), 1);
	pl_seam_arm(NULL);
	assert_int_equal(pl_read_file(tx.fd, "claims", 10000, &claims), 0);
	assert_int_equal(claims.length, 33 * PL_CLAIMS_AT_ONCE);
	for (size_t i = 0; i < PL_CLAIMS_AT_ONCE; i++) {
		assert_int_equal(claims.data[33 * i], 'o');
		assert_memory_equal(claims.data + 33 * i + 1, ids[i].bytes, 32);
	}
	pl_txdir_end(&tx);
}

static void after_a_claim_that_failed_none_is_written_any_more(void **state)
{
	STORE *store = open_store(*state, "a");
	struct pl_txdir tx = begin(store, "test");
	struct pleach_error error = PLEACH_ERROR_INIT;
	PL_BUFFER claims = {0};
	struct pl_id id = {{7}};

	assert_int_equal(pl_txdir_claim(&tx, 'o', &id, NULL), 0);
	fail_call(PL_CALL_WRITE, 1, ENOSPC);
	assert_int_equal(pl_txdir_claim(&tx, 'o', &id, &error), -ENOSPC);
	assert_int_equal(error.code, PLEACH_NO_SPACE);
	pl_seam_arm(NULL);
	assert_int_equal(pl_txdir_claim(&tx, 'o', &id, &error), -ENOSPC);
	assert_int_equal(pl_read_file(tx.fd, "claims", 1000, &claims), 0);
	assert_int_equal(claims.length, 33);
	pl_txdir_end(&tx);
}

static void a_claims_file_that_cannot_be_made_fails_the_claim(void **state)
{
	STORE *store = open_store(*state, "a");
	struct pl_txdir tx = begin(store, "test");
	struct pl_id id = {{7}};

	fail_call(PL_CALL_OPEN, 1, EIO);
	assert_int_equal(pl_txdir_claim(&tx, 'o', &id, NULL), -EIO);
	pl_seam_arm(NULL);
	assert_int_equal(pl_txdir_claim(&tx, 'o', &id, NULL), -EIO);
	assert_int_equal(pl_exists(tx.fd, "claims"), 0);
	pl_txdir_end(&tx);
}

static void claims_are_synced_before_the_look_where_others_may_see_late(void **state)
{
	STORE *store = open_store(*state, "a");
	struct pl_txdir tx = begin(store, "test");
	struct pl_id id = {{7}};

	pl_seam_arm(&(struct pl_seam_plan){0});
	store->fs.is_local = true;
	assert_int_equal(pl_txdir_claim(&tx, 'o', &id, NULL), 0);
	assert_true(pl_seam_count_of(PL_CALL_SYNC) == 0);
	store->fs.is_local = false;
	store->settings.durable = false; /* it is not for durability */
	assert_int_equal(pl_txdir_claim(&tx, 'o', &id, NULL), 0);
	assert_int_equal(pl_txdir_claim(&tx, 'o', &id, NULL), 0);
	assert_true(pl_seam_count_of(PL_CALL_SYNC) == 2);
	pl_seam_arm(NULL);
	pl_txdir_end(&tx);
}

static void claims_are_kept_by_another_behind_its_own(void **state)
{
	STORE *store = open_store(*state, "a");
	struct pl_txdir from = begin(store, "commit"), to = begin(store, "test");
	struct pl_id first = {{7}}, second = {{8}}, own = {{9}};
	PL_BUFFER claims = {0};

	assert_int_equal(pl_txdir_keep_claims(&from, &to, NULL), 0); /* there are none */
	assert_int_equal(pl_exists(to.fd, "claims"), 0);
	assert_int_equal(pl_txdir_claim(&from, 'o', &first, NULL), 0);
	assert_int_equal(pl_txdir_claim(&from, 'n', &second, NULL), 0);
	assert_int_equal(pl_write_full(from.claims_fd, "n23", 3),
			 0); /* killed in the middle of it */
	assert_int_equal(pl_txdir_claim(&to, 't', &own, NULL), 0);
	assert_int_equal(pl_txdir_keep_claims(&from, &to, NULL), 0);
	pl_txdir_end(&from);
	assert_int_equal(pl_read_file(to.fd, "claims", 1000, &claims), 0);
	assert_int_equal(claims.length, 99);
	assert_int_equal(claims.data[0], 't');
	assert_int_equal(claims.data[33], 'o');
	assert_memory_equal(claims.data + 34, first.bytes, 32);
	assert_int_equal(claims.data[66], 'n');
	assert_memory_equal(claims.data + 67, second.bytes, 32);
	pl_txdir_end(&to);
}

/* ---- sync ---- */

static void a_round_of_sync_is_one_syncfs_or_the_writers_business(void **state)
{
	STORE *store = open_store(*state, "a");
	struct pl_txdir tx = begin(store, "test");
	static const struct {
		bool durable, has_barrier;
		unsigned syncs;
		bool must_fsync;
	} cases[] = {{true, true, 1, false},
		     {true, false, 0, true},
		     {false, true, 0, false},
		     {false, false, 0, false}};

	for (size_t i = 0; i < PL_ARRAY_LEN(cases); i++) {
		store->settings.durable = cases[i].durable;
		store->fs.has_syncfs_barrier = cases[i].has_barrier;
		pl_seam_arm(&(struct pl_seam_plan){0});
		assert_int_equal(pl_txdir_sync(&tx, NULL), 0);
		assert_true(pl_seam_count_of(PL_CALL_SYNC) == cases[i].syncs);
		pl_seam_arm(NULL);
		assert_int_equal(pl_txdir_must_fsync(&tx), cases[i].must_fsync);
	}
	store->settings.durable = store->fs.has_syncfs_barrier = true;
	fail_call(PL_CALL_SYNC, 1, EIO);
	assert_int_equal(pl_txdir_sync(&tx, NULL), -EIO);
	pl_seam_arm(NULL);
	pl_txdir_end(&tx);
}

/* ---- failures ---- */

static void begin_failed_at_every_call_leaves_nothing(void **state)
{
	STORE *store = open_store(*state, "a");
	int before = count_fds();
	uint64_t n;
	int r = -1;

	for (n = 1; n < 100; n++) {
		struct pleach_error error = PLEACH_ERROR_INIT;
		struct pl_txdir tx;
		uint64_t calls;

		pl_seam_arm(&(struct pl_seam_plan){.fail_at = n, .fail_errno = EDQUOT});
		r = pl_txdir_begin(store, "test", &tx, &error);
		calls = pl_seam_count();
		pl_seam_arm(NULL);
		if (calls < n) {
			pl_txdir_end(&tx);
			break;
		}
		assert_int_equal(r, -EDQUOT);
		assert_int_equal(error.code, PLEACH_NO_SPACE);
		assert_int_equal(count_names(store->tx_fd, "."), 0);
		assert_int_equal(count_fds(), before);
	}
	assert_true(r == 0 && n > 6 && n < 100);
	assert_int_equal(count_fds(), before);
}

struct racer {
	struct pl_store *store;
	uint64_t at;
};

static void recover_beside(uint64_t number, enum pl_call call, void *userdata)
{
	struct racer *racer = userdata;
	unsigned n;

	/* Once: its own calls pass the seam too. */
	if (number == racer->at)
		(void)pl_txdir_recover(racer->store, NULL, &n, NULL);
}

static void begin_beside_a_recovery_at_every_call_gets_one_all_the_same(void **state)
{
	STORE *store = open_store(*state, "a");

	for (uint64_t at = 1; at <= 8; at++) {
		struct racer racer = {.store = store, .at = at};
		struct pl_txdir tx;

		pl_seam_arm(&(struct pl_seam_plan){.stop = recover_beside, .userdata = &racer});
		assert_int_equal(pl_txdir_begin(store, "test", &tx, NULL), 0);
		pl_seam_arm(NULL);
		assert_int_equal(pl_exists(tx.fd, "what"), 1);
		assert_int_equal(pl_lock_is_current(tx.lock_fd, tx.fd, "lock"), 1);
		assert_int_equal(count_names(store->tx_fd, "."), 1);
		pl_txdir_end(&tx);
	}
}

static void without_access_it_is_an_error_not_a_crash(void **state)
{
	STORE *store = open_store(*state, "a");
	struct pl_txdir tx;

	pl_closep(&store->tx_fd);
	pl_closep(&store->nodes_fd);
	assert_int_equal(pl_txdir_begin(store, "test", &tx, NULL), -EACCES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(it_is_private_locked_and_gone_afterwards),
		TEST(what_is_one_line_of_bounded_length),
		TEST(names_inside_are_never_given_twice),
		TEST(claims_are_entries_of_33_bytes_in_order),
		TEST(claims_that_are_made_at_once_are_one_write),
		TEST(after_a_claim_that_failed_none_is_written_any_more),
		TEST(a_claims_file_that_cannot_be_made_fails_the_claim),
		TEST(claims_are_synced_before_the_look_where_others_may_see_late),
		TEST(claims_are_kept_by_another_behind_its_own),
		TEST(a_round_of_sync_is_one_syncfs_or_the_writers_business),
		TEST(begin_failed_at_every_call_leaves_nothing),
		TEST(begin_beside_a_recovery_at_every_call_gets_one_all_the_same),
		TEST(without_access_it_is_an_error_not_a_crash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
