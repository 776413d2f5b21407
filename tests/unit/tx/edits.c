/*
 * G2: whatever ends a transaction of edits, wherever: its ref is at the old generation or at the new one, whole;
 * and what was parked has each edit or has it not.
 *
 * A transaction is made in a process of its own, which is killed in the place of its k-th mutating call, for
 * every k, on a fresh copy of a store each. PLEACH_EDITS_KILL=K runs just one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/editing.h"

#define KILLED	99
#define N_EDITS 9

static const char *const settings[] = {"grace", "0", "keep-placed", "1", "spares", "0", NULL};

/* ---- in the child: no assertions of cmocka ---- */

static void need(int r, const struct pleach_error *error)
{
	if (r >= 0)
		return;
	(void)fprintf(stderr, "# %d %s\n", r, error->message);
	_exit(1);
}

/* Of the i-th edit. */
static int edit(struct pleach_tx *tx, unsigned i, struct pleach_error *error)
{
	struct pleach_metadata m = with_mtime(1600000000), mode = with_mode(0600);

	switch (i) {
	case 0:
		return pleach_tx_put(tx, "new", "new", 3, &m, error);
	case 1:
		return pleach_tx_put(tx, "a", "again", 5, &m, error);
	case 2:
		return pleach_tx_mkdir(tx, "n", NULL, error);
	case 3:
		return pleach_tx_rename(tx, "d", "n/d", error);
	case 4:
		return pleach_tx_set_metadata(tx, "twin", &mode, error);
	case 5:
		return pleach_tx_symlink(tx, "link", "elsewhere", &m, error);
	case 6:
		return pleach_tx_link(tx, "new", "n/new", error);
	case 7:
		return pleach_tx_remove(tx, "same", error);
	default:
		return pleach_tx_put(tx, "n/d/e/last", "", 0, &m, error);
	}
}

static void edit_and_commit(struct pleach_store *store, const char *way, bool with_snapshot)
{
	struct pleach_tx_options options = PLEACH_TX_OPTIONS_INIT;
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pleach_tx *tx;

	options.workspace = way;
	need(pleach_tx_begin(store, "site", &options, &tx, &error), &error);
	for (unsigned i = 0; i < N_EDITS; i++) {
		need(edit(tx, i, &error), &error);
		if (with_snapshot && i == N_EDITS / 2)
			need(pleach_tx_snapshot(tx, NULL, NULL, &error), &error);
	}
	need(pleach_tx_commit(tx, NULL, NULL, &error), &error);
	need(pleach_tx_close(tx, &error), &error);
}

static void edit_parked(struct pleach_store *store, const char *id, unsigned n)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pleach_tx *tx;

	need(pleach_tx_open(store, id, &tx, &error), &error);
	for (unsigned i = 0; i < n; i++)
		need(edit(tx, i, &error), &error);
	need(pleach_tx_close(tx, &error), &error);
}

struct job {
	const char *way;
	bool with_snapshot;
	char id[32]; /* of a parked one, else "" */
	unsigned n_edits;
};

/* The exit status; *ret_count: calls that it made, if it came through. */
static int in_child(const char *path, const struct job *job, uint64_t kill_at, uint64_t *ret_count)
{
	const struct pl_seam_plan plan = {.exit_at = kill_at};
	int status = -1, ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		abort();
	pid = fork();
	if (pid == 0) {
		struct outcome o;
		struct pleach_store *store = open_at(path, &o);
		uint64_t count;

		need(o.r, &o.error);
		pl_seam_arm(&plan);
		if (job->id[0])
			edit_parked(store, job->id, job->n_edits);
		else
			edit_and_commit(store, job->way, job->with_snapshot);
		count = pl_seam_count();
		pl_seam_arm(NULL);
		pleach_store_close(store);
		_exit(write(ends[1], &count, sizeof(count)) == sizeof(count) ? 0 : 1);
	}
	close(ends[1]);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		abort();
	*ret_count = 0;
	(void)!read(ends[0], ret_count, sizeof(*ret_count));
	close(ends[0]);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000;
}

/* ---- what is seen afterwards ---- */

static char *head_of(const char *store)
{
	TEXT *site = text_of("%s/site", store);

	return shape(site);
}

/* Shapes that a ref may have. */
struct expected {
	char *shapes[N_EDITS + 1];
	size_t n;
};

static void expected_done(struct expected *e)
{
	for (size_t i = 0; i < e->n; i++)
		free(e->shapes[i]);
}

static void assert_expected(const struct expected *e, char *found, uint64_t k)
{
	bool is_any = false;

	for (size_t i = 0; i < e->n; i++)
		is_any = is_any || strcmp(found, e->shapes[i]) == 0;
	if (!is_any)
		fail_msg("PLEACH_EDITS_KILL=%llu: it is none of what it may be, but\n%s",
			 (unsigned long long)k, found);
	free(found);
}

/* The next command succeeds, nothing is left, and check is silent. */
static void assert_next(const struct yard *y, const char *store, uint64_t k)
{
	TEXT *next = text_of("%s/next", y->path);
	struct outcome o = publish_at(store, "site", next);
	TEXT *tx = names_in(store, "tx");
	char *trouble = trouble_by_check(store, 0);

	if (o.r != 0)
		fail_msg("PLEACH_EDITS_KILL=%llu: the next publish: %s", (unsigned long long)k,
			 o.error.message);
	if (tx[0] || trouble)
		fail_msg("PLEACH_EDITS_KILL=%llu: left in tx/: %s; %s", (unsigned long long)k, tx,
			 trouble ? trouble : "");
}

static void prepare(const struct yard *y, const char *store)
{
	TEXT *source = text_of("%s/source", y->path);
	TEXT *next = text_of("%s/next", y->path);
	TEXT *reserve = text_of("%s/.pleach/reserve", store);
	struct outcome o;

	make_source(source, "old", 0);
	make_source(next, "next", 0);
	make_store(store, settings);
	o = publish_at(store, "site", source);
	must(&o, "publish");
	assert_int_equal(unlink(reserve), 0); /* a MiB that nothing here needs */
}

static bool is_wanted(uint64_t k)
{
	const char *only = getenv("PLEACH_EDITS_KILL");

	return !only || strtoull(only, NULL, 10) == k;
}

/* What the ref is after each of the job's commits, found by a clean run. */
static void expect(const char *store, const struct job *job, struct expected *e)
{
	struct outcome o;
	uint64_t count;

	e->shapes[e->n++] = head_of(store);
	assert_int_equal(in_child(store, job, 0, &count), 0);
	if (job->with_snapshot) {
		struct pleach_pin *pin;
		struct pleach_store *opened = open_at(store, &o);

		must(&o, "open");
		o.r = pleach_pin_open(opened, "site@2", &pin, &o.error);
		must(&o, "pin");
		e->shapes[e->n++] = shape(pleach_pin_path(pin));
		pleach_pin_close(pin);
		pleach_store_close(opened);
	}
	e->shapes[e->n++] = head_of(store);
	assert_string_not_equal(e->shapes[0], e->shapes[e->n - 1]);
}

static void kill_everywhere(const struct yard *y, const struct job *job)
{
	TEXT *template = text_of("%s/template", y->path);
	TEXT *store = text_of("%s/store", y->path);
	struct expected e = {.n = 0};
	uint64_t k, count;
	int status = KILLED;

	prepare(y, template);
	yard_copy(template, store);
	expect(store, job, &e);
	yard_remove(store);
	for (k = 1; status == KILLED; k++) {
		assert_true(k < 5000);
		if (!is_wanted(k) && k < 1000)
			continue;
		yard_copy(template, store);
		status = in_child(store, job, k, &count);
		assert_true(status == KILLED || status == 0);
		assert_expected(&e, head_of(store), k);
		assert_next(y, store, k);
		yard_remove(store);
	}
	print_message("# %llu kill points\n", (unsigned long long)k - 2);
	assert_true(k > 100);
	expected_done(&e);
}

static void G2_edits_in_memory_killed_anywhere_leave_the_old_or_the_new(void **state)
{
	kill_everywhere(*state, &(struct job){.way = "none"});
}

static void G2_a_checkpoint_killed_anywhere_leaves_one_of_the_generations(void **state)
{
	kill_everywhere(*state, &(struct job){.way = "none", .with_snapshot = true});
}

static void G2_edits_in_a_copy_killed_anywhere_leave_the_old_or_the_new(void **state)
{
	kill_everywhere(*state, &(struct job){.way = "copy"});
}

/* ---- parked ---- */

static void begin_parked(const char *path, char ret_id[32], char **ret_workspace)
{
	struct pleach_tx_options options = PLEACH_TX_OPTIONS_INIT;
	struct pleach_tx_info info = PLEACH_TX_INFO_INIT;
	struct pleach_tx *tx;
	struct outcome o;
	struct pleach_store *store = open_at(path, &o);

	must(&o, "open");
	options.parked = 1;
	options.workspace = "copy";
	o.r = pleach_tx_begin(store, "site", &options, &tx, &o.error);
	must(&o, "begin");
	pleach_tx_describe(tx, &info);
	(void)snprintf(ret_id, 32, "%s", info.id);
	*ret_workspace = strdup(pleach_tx_path(tx));
	o.r = pleach_tx_close(tx, &o.error);
	must(&o, "close");
	pleach_store_close(store);
}

/* What is in the workspace is committed by the next who opens it. */
static void assert_commits(const char *path, const char *id, const char *seen, uint64_t k)
{
	struct pleach_tx *tx;
	struct outcome o;
	struct pleach_store *store = open_at(path, &o);
	TEXT *head = NULL;

	must(&o, "open");
	o.r = pleach_tx_open(store, id, &tx, &o.error);
	must(&o, "open the transaction");
	o.r = pleach_tx_commit(tx, NULL, NULL, &o.error);
	must(&o, "commit");
	o.r = pleach_tx_close(tx, &o.error);
	must(&o, "close");
	pleach_store_close(store);
	head = head_of(path);
	if (strcmp(head, seen) != 0)
		fail_msg("PLEACH_EDITS_KILL=%llu: committed was\n%s\nand not\n%s",
			 (unsigned long long)k, head, seen);
}

static void G2_of_edits_of_a_parked_transaction_each_is_done_or_not_wherever_killed(void **state)
{
	const struct yard *y = *state;
	TEXT *store = text_of("%s/store", y->path);
	TEXT *spare = text_of("%s/spare", y->path); /* its paths are those of `store` */
	TEXT *workspace = NULL;
	struct job job = {.way = "copy"};
	struct expected e = {.n = 0};
	uint64_t k, count;
	int status = KILLED;

	prepare(y, store);
	begin_parked(store, job.id, &workspace);
	yard_copy(store, spare);
	for (job.n_edits = 0; job.n_edits <= N_EDITS; job.n_edits++) {
		yard_remove(store);
		yard_copy(spare, store);
		assert_int_equal(in_child(store, &job, 0, &count), 0);
		e.shapes[e.n++] = shape(workspace);
	}
	job.n_edits = N_EDITS;
	for (k = 1; status == KILLED; k++) {
		TEXT *seen = NULL;

		assert_true(k < 5000);
		if (!is_wanted(k) && k < 1000)
			continue;
		yard_remove(store);
		yard_copy(spare, store);
		status = in_child(store, &job, k, &count);
		assert_true(status == KILLED || status == 0);
		seen = shape(workspace);
		assert_expected(&e, strdup(seen), k);
		assert_commits(store, job.id, seen, k);
		assert_next(y, store, k);
	}
	print_message("# %llu kill points\n", (unsigned long long)k - 2);
	assert_true(k > 50);
	expected_done(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		yard_test(G2_edits_in_memory_killed_anywhere_leave_the_old_or_the_new),
		yard_test(G2_a_checkpoint_killed_anywhere_leaves_one_of_the_generations),
		yard_test(G2_edits_in_a_copy_killed_anywhere_leave_the_old_or_the_new),
		yard_test(G2_of_edits_of_a_parked_transaction_each_is_done_or_not_wherever_killed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
