/* G3: transactions that touch different things all land; where two touch one, the rules of the ref decide, and the
 * loser is told what was done on either side and can go on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ref/ref.h"
#include "tx/yard.h"

static const struct pleach_metadata then = {
	.size = sizeof(then), .set = PLEACH_SET_MTIME, .mtime_s = 1600000000};
static const struct pleach_metadata mode = {
	.size = sizeof(mode), .set = PLEACH_SET_MODE, .mode = 0600};

struct two {
	char *path;
	struct pleach_store *store;
	struct pleach_tx *first, *second;
	struct pleach_error error;
};

static struct pleach_tx *begin(struct pleach_store *store, int create)
{
	struct pleach_tx_options options = PLEACH_TX_OPTIONS_INIT;
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pleach_tx *tx = NULL;

	options.workspace = "none";
	options.optimistic = 1;
	options.create = create;
	if (pleach_tx_begin(store, "site", &options, &tx, &error) < 0)
		fail_msg("%s", error.message);
	return tx;
}

static void write_file(struct pleach_tx *tx, const char *path, const char *content)
{
	struct pleach_error error = PLEACH_ERROR_INIT;

	if (pleach_tx_put(tx, path, content, strlen(content), &then, &error) < 0)
		fail_msg("%s", error.message);
}

static void commit(struct pleach_tx *tx)
{
	struct pleach_error error = PLEACH_ERROR_INIT;

	if (pleach_tx_commit(tx, NULL, NULL, &error) != 0)
		fail_msg("%s", error.message);
}

/* A store whose site has `log` and `file`, and two transactions begun on it. */
static void begin_two(const struct yard *y, const char *merge, struct two *t)
{
	struct pleach_tx *tx;

	*t = (struct two){.path = text_of("%s/S", y->path), .error = PLEACH_ERROR_INIT};
	make_store(t->path, NULL);
	assert_int_equal(pleach_store_open(t->path, &t->store, &t->error), 0);
	tx = begin(t->store, 1);
	write_file(tx, "log", "one\n");
	write_file(tx, "file", "content\n");
	commit(tx);
	pleach_tx_close(tx, NULL);
	if (merge)
		assert_int_equal(pleach_config_set(t->store, "site", "merge", merge, &t->error), 0);
	t->first = begin(t->store, 0);
	t->second = begin(t->store, 0);
}

static void end_two(struct two *t)
{
	TEXT *trouble = NULL;

	pleach_tx_close(t->first, NULL);
	pleach_tx_close(t->second, NULL);
	pleach_store_close(t->store);
	trouble = trouble_by_check(t->path, 0);
	if (trouble)
		fail_msg("%s", trouble);
	free(t->path);
}

static void must_be(const struct two *t, const char *name, const char *content)
{
	TEXT *path = text_of("%s/site/%s", t->path, name);
	char found[256] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_true(read(fd, found, sizeof(found) - 1) >= 0);
	close(fd);
	assert_string_equal(found, content);
}

static void G3_different_files_all_land(void **state)
{
	struct two t;

	begin_two(*state, NULL, &t);
	write_file(t.first, "a", "1");
	write_file(t.second, "b", "2");
	commit(t.second);
	commit(t.first);
	must_be(&t, "a", "1");
	must_be(&t, "b", "2");
	must_be(&t, "log", "one\n");
	end_two(&t);
}

/* Others who land whenever the transaction syncs, as long as they get the ref lock for it. */
struct overtaker {
	struct pleach_store *store;
	struct pl_store *inner; /* to look at the lock */
	unsigned n;
	bool is_busy, found_locked;
	uint64_t head_when_locked;
};

static uint64_t head_of_site(struct pl_ref *ref)
{
	struct pl_record record;
	uint64_t head;

	for (head = 1; pl_generation_read(ref, head + 1, &record, NULL) >= 0; head++)
		pl_record_done(&record);
	return head;
}

static void overtake(uint64_t number, enum pl_call call, void *userdata)
{
	struct overtaker *o = userdata;
	TEXT *name = text_of("other%u", o->n);
	struct pl_ref ref;
	bool is_free;

	(void)number;
	if (o->is_busy || call != PL_CALL_SYNC || o->found_locked)
		return;
	o->is_busy = true;
	assert_int_equal(pl_ref_open(o->inner, "site", &ref, NULL), 0);
	is_free = pl_ref_try_lock(&ref, NULL) == 1;
	o->found_locked = !is_free;
	o->head_when_locked = head_of_site(&ref);
	pl_ref_close(&ref);
	if (is_free) {
		struct pleach_tx *tx = begin(o->store, 0);

		write_file(tx, name, "x");
		commit(tx);
		pleach_tx_close(tx, NULL);
		o->n++;
	}
	o->is_busy = false;
}

/* Again and again; then he holds the lock from before he merges, and nobody overtakes him (landing.c, L3). */
static void who_is_overtaken_again_and_again_lands(void **state)
{
	struct overtaker other = {.n = 0};
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct two t;

	begin_two(*state, NULL, &t);
	assert_int_equal(pleach_store_open(t.path, &other.store, &error), 0);
	assert_int_equal(pl_store_open(t.path, &other.inner, &error), 0);
	write_file(t.first, "a", "1");
	pl_seam_arm(&(struct pl_seam_plan){.stop = overtake, .userdata = &other});
	commit(t.first);
	pl_seam_arm(NULL);
	pleach_store_close(other.store);
	pl_store_close(other.inner);
	assert_true(other.n >= 4);
	assert_true(other.found_locked);
	assert_int_equal(other.head_when_locked, 1 + other.n); /* his own is not there yet */
	must_be(&t, "a", "1");
	for (unsigned i = 0; i < other.n; i++) {
		TEXT *name = text_of("other%u", i);

		must_be(&t, name, "x");
	}
	end_two(&t);
}

static void G3_content_and_metadata_of_one_file_merge(void **state)
{
	struct two t;
	struct stat st;
	TEXT *path = NULL;

	begin_two(*state, NULL, &t);
	path = text_of("%s/site/file", t.path);
	write_file(t.first, "file", "other\n");
	assert_int_equal(pleach_tx_set_metadata(t.second, "file", &mode, &t.error), 0);
	commit(t.second);
	commit(t.first);
	must_be(&t, "file", "other\n");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	end_two(&t);
}

static void G3_the_second_of_two_that_conflict_is_told_and_can_go_on(void **state)
{
	struct pleach_conflict conflict = PLEACH_CONFLICT_INIT;
	struct two t;

	begin_two(*state, NULL, &t);
	write_file(t.first, "file", "first\n");
	write_file(t.second, "file", "second\n");
	assert_int_equal(pleach_tx_remove(t.second, "log", &t.error), 0);
	write_file(t.first, "log", "one\ntwo\n");
	commit(t.first);
	assert_int_equal(pleach_tx_commit(t.second, NULL, NULL, &t.error), -ECANCELED);
	assert_int_equal(t.error.code, PLEACH_CONFLICT);
	assert_int_equal(pleach_tx_conflict_next(t.second, &conflict), 1);
	assert_string_equal(conflict.path, "file");
	assert_string_equal(conflict.head, "modified");
	assert_string_equal(conflict.tx, "modified");
	assert_int_equal(pleach_tx_conflict_next(t.second, &conflict), 1);
	assert_string_equal(conflict.path, "log");
	assert_string_equal(conflict.tx, "removed");
	assert_int_equal(pleach_tx_conflict_next(t.second, &conflict), 0);
	must_be(&t, "file", "first\n");
	/* what conflicted is made as the head has it: then it lands */
	write_file(t.second, "file", "first\n");
	write_file(t.second, "log", "one\ntwo\n");
	write_file(t.second, "more", "x");
	commit(t.second);
	must_be(&t, "more", "x");
	end_two(&t);
}

static void append_keeps_both_additions_in_the_order_of_commits(void **state)
{
	struct two t;

	begin_two(*state, "log:append", &t);
	write_file(t.first, "log", "one\nby the first\n");
	write_file(t.second, "log", "one\nby the second\n");
	commit(t.second);
	commit(t.first);
	must_be(&t, "log", "one\nby the second\nby the first\n");
	end_two(&t);
}

static void append_is_a_conflict_where_the_beginning_changed(void **state)
{
	struct two t;

	begin_two(*state, "log:append", &t);
	write_file(t.first, "log", "One\nby the first\n");
	write_file(t.second, "log", "one\nby the second\n");
	commit(t.second);
	assert_int_equal(pleach_tx_commit(t.first, NULL, NULL, &t.error), -ECANCELED);
	must_be(&t, "log", "one\nby the second\n");
	end_two(&t);
}

static void two_logs_that_are_new_are_joined(void **state)
{
	struct two t;

	begin_two(*state, "*.log:append", &t);
	write_file(t.first, "new.log", "first\n");
	write_file(t.second, "new.log", "second\n");
	commit(t.first);
	commit(t.second);
	must_be(&t, "new.log", "first\nsecond\n");
	end_two(&t);
}

static void ours_and_theirs_decide(void **state)
{
	struct two t;

	begin_two(*state, "file:ours log:theirs", &t);
	write_file(t.first, "file", "head\n");
	write_file(t.second, "file", "tx\n");
	write_file(t.first, "log", "head\n");
	write_file(t.second, "log", "tx\n");
	commit(t.first);
	commit(t.second);
	must_be(&t, "file", "head\n");
	must_be(&t, "log", "tx\n");
	end_two(&t);
}

static void what_is_ignored_is_never_committed(void **state)
{
	TEXT *path = NULL;
	struct two t;

	begin_two(*state, "*.lock:ignore", &t);
	path = text_of("%s/site/x.lock", t.path);
	write_file(t.first, "x.lock", "held");
	write_file(t.first, "a", "1");
	commit(t.first);
	must_be(&t, "a", "1");
	assert_int_equal(access(path, F_OK), -1);
	end_two(&t);
}

/* A checkpoint's own changes are no conflict for what comes after it, whatever others did in between. */
static void after_a_checkpoint_others_changes_stay(void **state)
{
	struct two t;

	begin_two(*state, NULL, &t);
	write_file(t.first, "a", "1");
	assert_int_equal(pleach_tx_snapshot(t.first, NULL, NULL, &t.error), 0);
	must_be(&t, "a", "1");
	write_file(t.second, "b", "2");
	commit(t.second);
	write_file(t.first, "a", "3");
	assert_int_equal(pleach_tx_snapshot(t.first, NULL, NULL, &t.error), 0);
	must_be(&t, "a", "3");
	must_be(&t, "b", "2");
	commit(t.first);
	must_be(&t, "b", "2");
	end_two(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		yard_test(G3_different_files_all_land),
		yard_test(who_is_overtaken_again_and_again_lands),
		yard_test(G3_content_and_metadata_of_one_file_merge),
		yard_test(G3_the_second_of_two_that_conflict_is_told_and_can_go_on),
		yard_test(append_keeps_both_additions_in_the_order_of_commits),
		yard_test(append_is_a_conflict_where_the_beginning_changed),
		yard_test(two_logs_that_are_new_are_joined),
		yard_test(ours_and_theirs_decide),
		yard_test(what_is_ignored_is_never_committed),
		yard_test(after_a_checkpoint_others_changes_stay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
