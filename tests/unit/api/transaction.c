/*
 * Transactions as the library has them: checkpoints, conflicts after which one goes on, one writer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/editing.h"

/* By optimistic transactions: others publish meanwhile. */
static void begin_optimistic(struct editing *e)
{
	struct pleach_tx_options options = PLEACH_TX_OPTIONS_INIT;

	options.optimistic = 1;
	options.workspace = e->way;
	OK(e, pleach_tx_begin(e->store, "site", &options, &e->tx, &e->error));
}

static void each_way(void **state, void (*test)(struct editing *e))
{
	editing_both_ways(state, begin_optimistic, test);
}

static void snapshot(struct editing *e, uint64_t expected)
{
	OK(e, pleach_tx_snapshot(e->tx, NULL, &e->result, &e->error));
	assert_int_equal(e->result.generation, expected);
}

/* Somebody else changes one file, in a transaction of his own. */
static void other_puts(struct editing *e, const char *path, const char *text)
{
	struct pleach_tx_options options = PLEACH_TX_OPTIONS_INIT;
	struct editing other = *e;

	options.optimistic = 1;
	options.workspace = "none";
	OK(&other, pleach_tx_begin(other.store, "site", &options, &other.tx, &other.error));
	OK(&other, put_text(&other, path, text));
	tx_commit(&other);
}

static char *text_at(const struct editing *e, const char *path)
{
	TEXT *full = text_of("%s/site/%s", e->store_path, path);
	size_t size;
	char *text = NULL;
	FILE *out = open_memstream(&text, &size);

	add_content(out, full);
	(void)fclose(out);
	return text;
}

static void assert_text(const struct editing *e, const char *path, const char *expected)
{
	TEXT *text = text_at(e, path);

	assert_string_equal(text, expected);
}

static void check_checkpoints(struct editing *e)
{
	OK(e, put_text(e, "one", "1"));
	snapshot(e, 2);
	assert_text(e, "one", "1");
	assert_int_equal(e->result.added, 1);
	snapshot(e, 2);
	assert_true(e->result.unchanged);
	OK(e, put_text(e, "two", "2"));
	OK(e, put_text(e, "one", "1 again"));
	snapshot(e, 3);
	assert_text(e, "two", "2");
	assert_text(e, "one", "1 again");
	OK(e, pleach_tx_remove(e->tx, "one", &e->error));
	OK(e, put_text(e, "not-kept", "x"));
	OK(e, pleach_tx_close(e->tx, &e->error));
	e->tx = NULL;
	assert_text(e, "one", "1 again");
	assert_text(e, "not-kept", "unreadable");
}

static void snapshot_commits_and_goes_on_and_close_aborts_the_rest(void **state)
{
	each_way(state, check_checkpoints);
}

static void check_merging(struct editing *e)
{
	OK(e, put_text(e, "one", "1"));
	snapshot(e, 2);
	other_puts(e, "theirs", "t");
	other_puts(e, "a", "theirs"); /* a file of the base that this one leaves alone */
	OK(e, put_text(e, "two", "2"));
	snapshot(e, 5);
	assert_text(e, "theirs", "t");
	assert_text(e, "a", "theirs");
	assert_text(e, "one", "1");
	other_puts(e, "one", "theirs now"); /* committed here, and not touched since */
	OK(e, put_text(e, "three", "3"));
	OK(e, pleach_tx_commit(e->tx, NULL, &e->result, &e->error));
	assert_int_equal(e->result.generation, 7);
	assert_text(e, "one", "theirs now");
	assert_text(e, "theirs", "t");
	assert_text(e, "two", "2");
	assert_text(e, "three", "3");
}

static void G3_what_others_published_between_checkpoints_is_merged_and_never_undone(void **state)
{
	each_way(state, check_merging);
}

static void check_conflict(struct editing *e)
{
	struct pleach_conflict c = PLEACH_CONFLICT_INIT;

	OK(e, put_text(e, "a", "mine"));
	OK(e, put_text(e, "b", "mine"));
	other_puts(e, "a", "theirs");
	assert_int_equal(pleach_tx_snapshot(e->tx, NULL, &e->result, &e->error), -ECANCELED);
	assert_int_equal(e->error.code, PLEACH_CONFLICT);
	assert_int_equal(pleach_tx_conflict_next(e->tx, &c), 1);
	assert_string_equal(c.path, "a");
	assert_string_equal(c.head, "modified");
	assert_string_equal(c.tx, "modified");
	assert_int_equal(pleach_tx_conflict_next(e->tx, &c), 0);
	assert_int_equal(pleach_tx_commit(e->tx, NULL, &e->result, &e->error), -ECANCELED);
	assert_text(e, "a", "theirs");
	assert_text(e, "b", "unreadable");
	/* It is as it was: what is in the way is taken back, and it lands. */
	OK(e, put_text(e, "a", "theirs"));
	snapshot(e, 3);
	assert_int_equal(pleach_tx_conflict_next(e->tx, &c), 0);
	assert_text(e, "a", "theirs");
	assert_text(e, "b", "mine");
	OK(e, put_text(e, "a", "mine after all"));
	OK(e, pleach_tx_commit(e->tx, NULL, &e->result, &e->error));
	assert_text(e, "a", "mine after all");
}

static void G3_after_a_conflict_the_transaction_is_as_it_was(void **state)
{
	each_way(state, check_conflict);
}

/* With the queue held: a publish needs none. */
static void check_queued(struct editing *e)
{
	struct pleach_tx_options options = PLEACH_TX_OPTIONS_INIT;
	struct pleach_tx *second;

	OK(e, pleach_tx_close(e->tx, &e->error));
	tx_begin(e);
	options.wait_ms = 0;
	options.workspace = "none";
	assert_int_equal(pleach_tx_begin(e->store, "site", &options, &second, &e->error), -EBUSY);
	assert_int_equal(e->error.code, PLEACH_BUSY);
	other_puts(e, "theirs", "t"); /* optimistic ones do not queue */
	OK(e, put_text(e, "one", "1"));
	snapshot(e, 3);
	assert_int_equal(pleach_tx_begin(e->store, "site", &options, &second, &e->error), -EBUSY);
	OK(e, pleach_tx_close(e->tx, &e->error));
	e->tx = NULL;
	OK(e, pleach_tx_begin(e->store, "site", &options, &second, &e->error));
	OK(e, pleach_tx_close(second, &e->error));
}

static void transactions_queue_and_a_checkpoint_keeps_the_place(void **state)
{
	each_way(state, check_queued);
}

static void a_parked_transaction_has_one_writer(void **state)
{
	const struct yard *y = *state;
	struct pleach_tx_options options = PLEACH_TX_OPTIONS_INIT;
	struct pleach_tx_info info = PLEACH_TX_INFO_INIT;
	struct pleach_tx *second;
	struct editing e;
	TEXT *id = NULL;

	editing_open(&e, y, "copy", NULL);
	options.create = 1;
	options.parked = 1;
	options.workspace = "copy";
	OK(&e, pleach_tx_begin(e.store, "site", &options, &e.tx, &e.error));
	pleach_tx_describe(e.tx, &info);
	assert_true(info.is_parked);
	id = strdup(info.id);
	assert_int_equal(pleach_tx_open(e.store, id, &second, &e.error), -EBUSY);
	assert_int_equal(e.error.code, PLEACH_BUSY);
	OK(&e, put_text(&e, "a", "a"));
	OK(&e, pleach_tx_close(e.tx, &e.error));
	OK(&e, pleach_tx_open(e.store, id, &e.tx, &e.error));
	assert_int_equal(pleach_tx_open(e.store, id, &second, &e.error), -EBUSY);
	OK(&e, put_text(&e, "b", "b"));
	snapshot(&e, 1);
	OK(&e, pleach_tx_close(e.tx, &e.error)); /* parked again */
	OK(&e, pleach_tx_open(e.store, id, &e.tx, &e.error));
	OK(&e, put_text(&e, "c", "c"));
	OK(&e, pleach_tx_commit(e.tx, NULL, &e.result, &e.error));
	OK(&e, pleach_tx_close(e.tx, &e.error));
	e.tx = NULL;
	assert_int_equal(pleach_tx_open(e.store, id, &second, &e.error), -ENOENT);
	assert_text(&e, "a", "a");
	assert_text(&e, "b", "b");
	assert_text(&e, "c", "c");
	editing_close(&e);
}

static void while_a_program_runs_nothing_is_edited_or_committed(void **state)
{
	static char *const argv[] = {"sh", "-c", "read line; echo done > program", NULL};
	const struct yard *y = *state;
	struct pleach_spawn_options options = PLEACH_SPAWN_OPTIONS_INIT;
	struct pleach_process_event event = PLEACH_PROCESS_EVENT_INIT;
	struct pleach_process *process, *second;
	TEXT *inside = NULL;
	struct editing e;
	int ends[2], r;

	editing_open(&e, y, "copy", NULL);
	tx_begin(&e);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	inside = text_of("%s/site", e.store_path);
	options.directory = inside;
	options.stdio[0] = ends[0];
	r = pleach_tx_spawn(e.tx, argv, &options, &process, &e.error);
	if (r == -EPERM || r == -EOPNOTSUPP) {
		close(ends[0]);
		close(ends[1]);
		editing_close(&e);
		skip();
	}
	OK(&e, r);
	assert_int_equal(put_text(&e, "a", "a"), -EBUSY);
	assert_int_equal(e.error.code, PLEACH_BUSY);
	assert_int_equal(pleach_tx_commit(e.tx, NULL, NULL, &e.error), -EBUSY);
	assert_int_equal(pleach_tx_snapshot(e.tx, NULL, NULL, &e.error), -EBUSY);
	assert_int_equal(pleach_tx_abort(e.tx, &e.error), -EBUSY);
	assert_int_equal(write(ends[1], "go\n", 3), 3);
	OK(&e, pleach_process_wait(process, &event, &e.error));
	assert_int_equal(event.what, PLEACH_PROCESS_EXITED);
	assert_int_equal(event.value, 0);
	assert_int_equal(pleach_tx_spawn(e.tx, argv, &options, &second, &e.error), -EBUSY);
	assert_int_equal(e.error.code, PLEACH_BUSY);
	pleach_process_close(process);
	close(ends[0]);
	close(ends[1]);
	OK(&e, put_text(&e, "a", "a"));
	OK(&e, pleach_tx_commit(e.tx, NULL, &e.result, &e.error));
	assert_text(&e, "program", "done\n");
	assert_text(&e, "a", "a");
	editing_close(&e);
}

/* The child shares the locks, and would pass for the owner. */
static void check_fork(struct editing *e)
{
	struct pleach_tx_options options = PLEACH_TX_OPTIONS_INIT;
	struct pleach_tx *second;
	int status;
	pid_t pid;

	OK(e, put_text(e, "a", "a"));
	pid = fork();
	if (pid == 0)
		_exit(pleach_tx_close(e->tx, NULL) == 0 ? 0 : 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	options.wait_ms = 0;
	options.workspace = "none";
	assert_int_equal(pleach_tx_begin(e->store, "site", &options, &second, &e->error), -EBUSY);
	OK(e, put_text(e, "b", "b"));
	OK(e, pleach_tx_commit(e->tx, NULL, &e->result, &e->error));
	assert_text(e, "a", "a");
	assert_text(e, "b", "b");
}

static void a_fork_that_closes_it_ends_nothing(void **state)
{
	editing_both_ways(state, tx_begin, check_fork);
}

static void a_transaction_on_no_ref_is_refused(void **state)
{
	struct pleach_tx_options options = PLEACH_TX_OPTIONS_INIT;
	struct pleach_tx *tx;
	struct editing e;

	editing_open(&e, *state, "none", NULL);
	options.workspace = "none";
	assert_int_equal(pleach_tx_begin(e.store, "site", &options, &tx, &e.error), -ENOENT);
	assert_int_equal(e.error.code, PLEACH_NOT_FOUND);
	options.create = 1;
	assert_int_equal(pleach_tx_begin(e.store, "no ref", &options, &tx, &e.error), -EINVAL);
	options.workspace = "nonesuch";
	assert_int_equal(pleach_tx_begin(e.store, "site", &options, &tx, &e.error), -EINVAL);
	options.workspace = "none";
	options.parked = 1;
	assert_int_equal(pleach_tx_begin(e.store, "site", &options, &tx, &e.error), -EINVAL);
	editing_close(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		yard_test(snapshot_commits_and_goes_on_and_close_aborts_the_rest),
		yard_test(G3_what_others_published_between_checkpoints_is_merged_and_never_undone),
		yard_test(G3_after_a_conflict_the_transaction_is_as_it_was),
		yard_test(transactions_queue_and_a_checkpoint_keeps_the_place),
		yard_test(a_parked_transaction_has_one_writer),
		yard_test(while_a_program_runs_nothing_is_edited_or_committed),
		yard_test(a_fork_that_closes_it_ends_nothing),
		yard_test(a_transaction_on_no_ref_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
