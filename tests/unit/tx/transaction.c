/*
 * The beginning of a transaction: what it writes down and when, so that a drop sees it, or it sees the drop (T3);
 * and that nothing stays of one that is killed (T1, G6).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>

#include "tx/transaction.h"
#include "tx/workspaces.h"

static const char *driver;
static struct pl_id tree;

static int begin(struct pl_store *store, struct pl_tx **ret_tx)
{
	struct pleach_tx_options options = PLEACH_TX_OPTIONS_INIT;
	struct pleach_error error = PLEACH_ERROR_INIT;
	int r;

	options.workspace = driver;
	r = pl_tx_begin(store, "site", &options, ret_tx, &error);
	if (r < 0)
		(void)fprintf(stderr, "# %s\n", error.message);
	return r == -EOPNOTSUPP ? NOT_TO_BE_HAD : r < 0;
}

static int publish_one(struct scratch *s, struct pl_store **ret_store)
{
	*ret_store = open_store(s, "S");
	CHECK(*ret_store && mkdirat(s->fd, "src", 0755) == 0);
	CHECK(make_file(s->fd, "src/a", "a") == 0 && publish(*ret_store, s, "src", &tree) == 0);
	return 0;
}

/* ---- the note ---- */

static int begin_and_look(struct scratch *s)
{
	const bool is_plain = strcmp(driver, "copy") == 0;
	struct pl_tx_note note;
	STORE *store = NULL;
	struct pl_tx *tx;
	int r;

	CHECK(publish_one(s, &store) == 0);
	r = begin(store, &tx); /* what can be had is remembered from here on */
	if (r != 0)
		return r;
	CHECK(pl_tx_end(tx, NULL) == 0);
	pl_seam_arm(&(struct pl_seam_plan){0});
	CHECK(begin(store, &tx) == 0);
	/* Where a plain directory lies is known, and noted, when it is there. */
	CHECK(is_plain || pl_seam_count_of(PL_CALL_RENAME) == 1);
	pl_seam_arm(NULL);
	CHECK(pl_tx_note_read(tx->dir.fd, tx->dir.id, &note, NULL) == 0);
	CHECK(note.base == 1 && pl_id_equal(&note.base_tree, &tree) && note.k == tx->pin.k);
	CHECK(pl_id_equal(&note.merged_tree, &tree) && strcmp(note.workspace, driver) == 0);
	CHECK(is_plain == (note.path != NULL));
	CHECK(strcmp(note.ref, "site") == 0 && strcmp(note.ref_id, tx->ref.id) == 0);
	pl_tx_note_done(&note);
	CHECK(pl_tx_end(tx, NULL) == 0);
	CHECK(count_names(store->tx_fd, ".") == 0);
	return 0;
}

static void with_each(void **state, int (*function)(struct scratch *s))
{
	static const char *const drivers[] = {"copy", "overlay"};

	for (size_t i = 0; i < PL_ARRAY_LEN(drivers); i++) {
		struct scratch *s = *state, own = {.fd = -1};
		int r;

		driver = drivers[i];
		(void)snprintf(own.path, sizeof(own.path), "%.4000s/%zu", s->path, i);
		assert_int_equal(mkdir(own.path, 0755), 0);
		own.fd = open(own.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		r = in_child(function, &own);
		close(own.fd);
		if (r == NOT_TO_BE_HAD)
			print_message("# no %s can be had here\n", driver);
		else
			assert_int_equal(r, 0);
	}
}

static void a_note_is_written_once_where_all_is_known(void **state)
{
	with_each(state, begin_and_look);
}

/* ---- waiting ---- */

/* Until a transaction but that of `tx` is noted. */
static int await_another(struct pl_tx *tx, char ret_id[25])
{
	for (unsigned i = 0; i < 3000; i++) {
		int r = pl_tx_note_find(&tx->ref, tx->dir.id, false, ret_id, NULL);

		if (r != 0)
			return r == 1 ? 0 : 1;
		(void)poll(NULL, 0, 10);
	}
	return 1;
}

static int wait_in_queue(struct scratch *s)
{
	struct pl_tx *first, *second;
	STORE *store = NULL;
	char id[25], other[25];
	int status = -1;
	pid_t pid;

	CHECK(publish_one(s, &store) == 0);
	CHECK(begin(store, &first) == 0);
	CHECK(pl_tx_note_find(&first->ref, first->dir.id, false, id, NULL) == 0);
	pid = fork();
	if (pid == 0) {
		STORE *own = NULL;

		/* What is inherited would keep the first one's locks. */
		(void)close_range(3, ~0U, 0);
		if (pl_store_open(scratch_path(s, "S"), &own, NULL) < 0 || begin(own, &second) != 0)
			_exit(2);
		_exit(second->note.base == 1 && pl_tx_end(second, NULL) == 0 ? 0 : 3);
	}
	CHECK(pid > 0);
	CHECK(await_another(first, id) == 0);
	/* It has no workspace yet: what that would keep from being exchanged, it does not. */
	CHECK(pl_tx_note_find(&first->ref, first->dir.id, true, other, NULL) == 0);
	CHECK(pl_tx_end(first, NULL) == 0);
	CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
	CHECK(count_names(store->tx_fd, ".") == 0);
	return 0;
}

static void who_waits_can_be_seen_T3(void **state)
{
	driver = "copy";
	assert_int_equal(in_child(wait_in_queue, *state), 0);
}

/* ---- killed ---- */

static int begin_and_end(struct scratch *s)
{
	STORE *store = NULL;
	struct pl_tx *tx;

	CHECK(pl_store_open(scratch_path(s, "S"), &store, NULL) == 0);
	CHECK(begin(store, &tx) == 0);
	CHECK(pl_tx_end(tx, NULL) == 0);
	return 0;
}

static int kill_everywhere(struct scratch *s)
{
	STORE *store = NULL;
	struct pl_tx *tx;
	int r;

	CHECK(publish_one(s, &store) == 0);
	r = begin(store, &tx);
	if (r != 0)
		return r;
	CHECK(pl_tx_end(tx, NULL) == 0);
	r = 99;
	for (uint64_t n = 1; r == 99; n++) {
		unsigned recovered;

		CHECK(n < 1000);
		r = killed_at(n, begin_and_end, s);
		CHECK(pl_txdir_recover(store, NULL, &recovered, NULL) == 0);
		CHECK(count_names(store->tx_fd, ".") == 0);
		CHECK(pl_exists(s->fd, "S/site/a") == 1);
	}
	CHECK(r == 0);
	return begin_and_end(s); /* at once: nobody is before it */
}

static void killed_anywhere_it_leaves_nothing_G6(void **state)
{
	with_each(state, kill_everywhere);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_note_is_written_once_where_all_is_known),
		TEST(who_waits_can_be_seen_T3),
		TEST(killed_anywhere_it_leaves_nothing_G6),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
