/*
 * G2: whatever ends a command, wherever: its ref is at the old generation or at the new one, whole.
 *
 * A scenario is a store and one command on it. Its mutating calls are counted once; then, for every
 * k up to that count, on a fresh copy of the store each:
 *
 *	killed    the process ends in the place of call k
 *	EIO ...   call k fails with this: the command succeeds, or says what is wrong
 *
 * Afterwards, always: an outsider sees the old tree or the new one; so does the next command, and never
 * the old one where the new one was seen; a publish succeeds; check is silent; nothing is left in tx/.
 * In the process where a call failed no descriptor and no lock is left.
 *
 * In memory files are synced one by one; with one sync for all of them, which not every file system
 * has, less is tried, on the disk. PLEACH_CRASH_FULL=1: all on the disk, larger trees, both ways to
 * sync. PLEACH_CRASH_CASE="SCENARIO/FAULT/K" runs just one, as a failure prints it.
 *
 * With several threads call k is now this, now that one, and there may be a few more or fewer of them. So
 * the scenarios that ask for threads try every step-th k, and may come to their end before it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "controls.h"
#include "tx/aftermath.h"
#include "tx/scenarios.h"

#define WORKERS 4
#define KILLED	99

/* ---- faults ---- */

static const struct fault {
	const char *name;
	int err; /* 0: killed */
	uint32_t calls;
} faults[] = {
	{"killed", 0, 0},
	{"EIO", EIO, 0},
	{"ENOSPC", ENOSPC, 0},
	{"EINTR", EINTR, 0},
	{"EMLINK", EMLINK, 1u << PL_CALL_LINK},
};

static struct pl_seam_plan plan_of(const struct fault *fault, uint64_t k)
{
	struct pl_seam_plan plan = {.calls = fault->calls};

	if (fault->err == 0)
		plan.exit_at = k;
	else
		plan.fail_at = k;
	plan.fail_errno = fault->err;
	return plan;
}

/* ---- one command, in a process of its own ---- */

struct report {
	uint64_t count; /* calls it made */
	int r;
	char message[512], trouble[2048];
};

static void note_trouble(struct report *report, const char *text)
{
	(void)snprintf(report->trouble, sizeof(report->trouble), "%s", text);
}

/* In the child. */
static void run_command(const struct yard *y, const struct scenario *scenario, const char *path,
			const struct pl_seam_plan *plan, struct report *report)
{
	unsigned before, after;
	struct outcome o;
	struct pleach_store *store = open_at(path, &o);

	must(&o, "open");
	before = count_descriptors();
	pl_seam_arm(plan);
	report->r = scenario->run(y, store, &o.error);
	pl_seam_arm(NULL);
	report->count = pl_seam_count();
	after = count_descriptors();
	(void)snprintf(report->message, sizeof(report->message), "%.511s", o.error.message);
	if (report->r < 0 && (o.error.message[0] == '\0' || o.error.code == PLEACH_OK))
		note_trouble(report, "failed and did not say why");
	if (after != before)
		note_trouble(report, after > before ? "a descriptor is left"
						    : "a descriptor too many was closed");
	if (report->trouble[0] == '\0') {
		TEXT *held = trouble_by_locks(path);

		if (held)
			note_trouble(report, held);
	}
	pleach_store_close(store);
}

/* The exit status: 0 or KILLED. Anything else is trouble. */
static int in_child(const struct yard *y, const struct scenario *scenario, const char *path,
		    const struct pl_seam_plan *plan, struct report *report)
{
	int status = -1;
	pid_t pid;

	*report = (struct report){.r = -1};
	pid = fork();
	if (pid == 0) {
		run_command(y, scenario, path, plan, report);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		abort();
	if (WIFSIGNALED(status))
		return 1000 + WTERMSIG(status);
	return WEXITSTATUS(status);
}

static char *trouble_by_case(const struct yard *y, const struct scenario *scenario,
			     const struct expected *e, const char *store, const struct fault *fault,
			     uint64_t k, struct report *report)
{
	struct pl_seam_plan plan = plan_of(fault, k);
	int status = in_child(y, scenario, store, &plan, report);
	char *trouble;

	if (status != (fault->err ? 0 : KILLED) && !(scenario->step > 0 && status == 0))
		return text_of("the command ended with status %d", status);
	if (report->trouble[0])
		return text_of("%s", report->trouble);
	if (fault->err == EINTR && report->r != 0)
		return text_of("an interrupted call was not made again: %s", report->message);
	trouble = trouble_by_state(e, store, fault->err && report->r == 0);
	return trouble ? trouble : trouble_by_next(y, e, store);
}

/* ---- all cases of a scenario ---- */

struct plan {
	const struct yard *y;
	const struct scenario *scenario;
	struct expected expected;
	size_t n_faults; /* how many of the faults are tried */
	uint64_t counts[PL_ARRAY_LEN(faults)];
};

static bool is_wanted(const struct plan *p, const struct fault *fault, uint64_t k)
{
	const char *only = getenv("PLEACH_CRASH_CASE");
	TEXT *name = text_of("%s/%s/%llu", p->scenario->name, fault->name, (unsigned long long)k);

	return !only || strcmp(only, name) == 0;
}

/* Every WORKERS-th case, in a process of its own. Returns how many went wrong. */
static int work(const struct plan *p, unsigned worker, struct report *report)
{
	TEXT *dir = text_of("%s/w%u", p->y->path, worker);
	TEXT *store = text_of("%s/S", dir);
	TEXT *template = text_of("%s/template/S", p->y->path);
	unsigned number = 0;
	int wrong = 0;

	if (mkdir(dir, 0755) < 0)
		abort();
	for (size_t f = 0; f < p->n_faults; f++) {
		for (uint64_t k = 1; k <= p->counts[f]; k++) {
			TEXT *trouble = NULL;

			if (p->scenario->step > 0 && k % p->scenario->step != f)
				continue;
			if (number++ % WORKERS != worker || !is_wanted(p, &faults[f], k))
				continue;
			yard_copy(template, dir);
			trouble = trouble_by_case(p->y, p->scenario, &p->expected, store,
						  &faults[f], k, report);
			if (trouble && wrong++ < 5)
				(void)fprintf(stderr, "# PLEACH_CRASH_CASE=%s/%s/%llu: %s\n",
					      p->scenario->name, faults[f].name,
					      (unsigned long long)k, trouble);
			yard_remove(store);
		}
	}
	yard_remove(dir);
	return wrong;
}

static struct report *shared_report(void)
{
	void *at = mmap(NULL, sizeof(struct report), PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED)
		abort();
	return at;
}

/* A MiB that nothing here needs, and that each copy would bring to the disk. */
static void remove_reserve(const char *store)
{
	TEXT *path = text_of("%s/.pleach/reserve", store);
	TEXT *inodes = text_of("%s/.pleach/cache/reserve", store);

	assert_int_equal(unlink(path), 0);
	yard_remove(inodes);
}

/* The template, and what the command makes of it when nothing goes wrong. */
static void expect(struct plan *p, struct report *report)
{
	TEXT *dir = text_of("%s/template", p->y->path);
	TEXT *template = text_of("%s/template/S", p->y->path);
	TEXT *copy = text_of("%s/done", p->y->path);
	TEXT *site = text_of("%s/site", copy);
	TEXT *next = text_of("%s/c", p->y->path);

	assert_int_equal(mkdir(dir, 0755), 0);
	p->scenario->prepare(p->y, template);
	remove_reserve(template);
	p->expected.next_tree = fingerprint(next);
	for (size_t f = 0; f < PL_ARRAY_LEN(faults); f++) {
		const struct pl_seam_plan plan = {.calls = faults[f].calls};

		yard_copy(template, copy);
		if (f == 0) {
			p->expected.old_state = observe(copy);
			p->expected.old_tree = fingerprint(site);
		}
		assert_int_equal(in_child(p->y, p->scenario, copy, &plan, report), 0);
		assert_string_equal(report->trouble, "");
		if (report->r != 0)
			fail_msg("%s: %s", p->scenario->name, report->message);
		p->counts[f] = report->count;
		if (f == 0) {
			p->expected.new_state = observe(copy);
			p->expected.new_tree = fingerprint(site);
		}
		yard_remove(copy);
	}
	assert_string_not_equal(p->expected.old_state, p->expected.new_state);
}

static void try_all(const struct yard *y, const struct scenario *scenario, size_t n_faults)
{
	struct plan p = {.y = y, .scenario = scenario, .n_faults = n_faults};
	struct report *reports[WORKERS];
	pid_t workers[WORKERS];
	unsigned wrong = 0;

	for (unsigned i = 0; i < WORKERS; i++)
		reports[i] = shared_report();
	expect(&p, reports[0]);
	print_message("# %s: %llu kill points, %llu links\n", scenario->name,
		      (unsigned long long)p.counts[0],
		      (unsigned long long)p.counts[PL_ARRAY_LEN(faults) - 1]);
	for (unsigned i = 0; i < WORKERS; i++) {
		workers[i] = fork();
		if (workers[i] == 0)
			_exit(work(&p, i, reports[i]) > 0);
		assert_true(workers[i] > 0);
	}
	for (unsigned i = 0; i < WORKERS; i++) {
		int status = -1;

		assert_int_equal(waitpid(workers[i], &status, 0), workers[i]);
		wrong += status != 0;
		(void)munmap(reports[i], sizeof(struct report));
	}
	expected_done(&p.expected);
	if (wrong > 0)
		fail_msg("%s: see above", scenario->name);
}

static void run_scenario(const struct yard *y, const char *name)
{
	TEXT *template = text_of("%s/template", y->path);

	make_sources(y);
	try_all(y, find_scenario(name), PL_ARRAY_LEN(faults));
	if (!is_full())
		return;
	yard_remove(template);
	pl_seam_disable(PL_CAP_SYNCFS);
	print_message("# with an fsync for each file:\n");
	try_all(y, find_scenario(name), PL_ARRAY_LEN(faults));
}

/* The way to sync is that of the disk, whatever it is. */
static void G2_publish_on_the_disk_ended_anywhere_leaves_the_old_or_the_new(void **state)
{
	make_sources(*state);
	try_all(*state, find_scenario("second"), 2);
}

static void G2_first_publish_ended_anywhere_leaves_nothing_or_all(void **state)
{
	run_scenario(*state, "first");
}

static void G2_second_publish_ended_anywhere_leaves_the_old_or_the_new(void **state)
{
	run_scenario(*state, "second");
}

static void G2_publish_by_threads_ended_anywhere_leaves_the_old_or_the_new(void **state)
{
	make_many(*state, "many");
	run_scenario(*state, "by-three");
}

static void G8_a_tree_that_threads_placed_is_its_source(void **state)
{
	const struct yard *y = *state;
	TEXT *path = text_of("%s/threads", y->path);
	TEXT *site = text_of("%s/site", path);
	TEXT *more = text_of("%s/more", y->path);
	TEXT *changed = text_of("%s/d3/5", more);
	TEXT *wanted = NULL, *found = NULL, *trouble = NULL;
	struct outcome o;
	struct pleach_store *store;

	make_many(y, "many");
	make_many(y, "more");
	assert_int_equal(truncate(changed, 2), 0);
	settle_dir(more, "d4"); /* so that its time is not that of its making */
	make_store(path, NULL);
	publish_source(y, path, "many");
	store = open_at(path, &o);
	must(&o, "open");
	assert_int_equal(publish_many(y, store, "more", 3, &o.error), 0);
	pleach_store_close(store);
	wanted = fingerprint(more);
	found = fingerprint(site);
	assert_string_equal(found, wanted);
	trouble = trouble_by_check(path, 0);
	if (trouble)
		fail_msg("%s", trouble);
}

static void G2_placing_by_threads_ended_anywhere_leaves_the_old_or_the_new(void **state)
{
	const struct yard *y = *state;
	TEXT *changed = text_of("%s/more/d3/5", y->path);

	make_many(y, "many");
	make_many(y, "more");
	assert_int_equal(truncate(changed, 2), 0);
	run_scenario(y, "linked-by-three");
}

static void G2_recycling_publish_ended_anywhere_leaves_the_old_or_the_new(void **state)
{
	run_scenario(*state, "recycled");
}

static void G2_editing_publish_ended_anywhere_leaves_the_old_or_the_new(void **state)
{
	run_scenario(*state, "edited");
}

static void G2_composed_publish_ended_anywhere_leaves_the_old_or_the_new(void **state)
{
	run_scenario(*state, "composed");
}

static void G2_rollback_ended_anywhere_leaves_the_old_or_the_new(void **state)
{
	run_scenario(*state, "rollback");
}

static void G2_rollback_to_a_placed_tree_ended_anywhere_leaves_the_old_or_the_new(void **state)
{
	run_scenario(*state, "rollback-placed");
}

static void G2_tag_ended_anywhere_is_set_or_not(void **state)
{
	run_scenario(*state, "tag");
}

static void G2_drop_of_a_generation_ended_anywhere_is_done_or_not(void **state)
{
	run_scenario(*state, "drop-generation");
}

static void G2_drop_of_a_ref_ended_anywhere_is_done_or_not(void **state)
{
	run_scenario(*state, "drop-ref");
}

/* ---- negative controls: what is broken on purpose is found ---- */

static struct expected expect_b_after_a(const struct yard *y)
{
	TEXT *a = text_of("%s/a", y->path);
	TEXT *b = text_of("%s/b", y->path);
	TEXT *c = text_of("%s/c", y->path);

	return (struct expected){
		.old_tree = fingerprint(a),
		.new_tree = fingerprint(b),
		.old_state = strdup("old"),
		.new_state = strdup("new"),
		.next_tree = fingerprint(c),
	};
}

static void G2_transaction_by_edits_ended_anywhere_leaves_the_old_or_the_new(void **state)
{
	run_scenario(*state, "edits");
}

static void G2_transaction_in_a_copy_ended_anywhere_leaves_the_old_or_the_new(void **state)
{
	run_scenario(*state, "copy");
}

static void G2_abort_and_publish_ended_anywhere_leave_the_old_or_the_new(void **state)
{
	run_scenario(*state, "abort");
}

static void G2_first_transaction_ended_anywhere_leaves_nothing_or_all(void **state)
{
	run_scenario(*state, "create");
}

/* Somebody else puts a file there. */
static void put_beside(const char *path, const char *name)
{
	struct pleach_tx_options options = PLEACH_TX_OPTIONS_INIT;
	struct pleach_tx *tx;
	struct outcome o;
	struct pleach_store *store = open_at(path, &o);

	options.workspace = "none";
	o.r = pleach_tx_begin(store, "site", &options, &tx, &o.error);
	must(&o, "begin");
	o.r = pleach_tx_put(tx, name, "x", 1, &then, &o.error);
	if (o.r >= 0)
		o.r = pleach_tx_commit(tx, NULL, NULL, &o.error);
	must(&o, "commit");
	o.r = pleach_tx_close(tx, &o.error);
	must(&o, "close");
	pleach_store_close(store);
}

/* In a child that ends at call `k` of it. True: it was through before. */
static bool commit_parked_until(const struct yard *y, const char *path, uint64_t k)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		struct outcome o;
		struct pleach_store *store = open_at(path, &o);

		pl_seam_arm(&(struct pl_seam_plan){.exit_at = k});
		_exit(run_parked(y, store, &o.error) < 0 ? 1 : 0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status) ||
	    (WEXITSTATUS(status) != 0 && WEXITSTATUS(status) != 99))
		abort();
	return WEXITSTATUS(status) == 0;
}

static bool has_parked(struct pleach_store *store)
{
	struct pleach_tx_status status = PLEACH_TX_STATUS_INIT;
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pleach_txs *txs;
	int r = pleach_txs_open(store, &txs, &error);

	assert_int_equal(r, 0);
	r = pleach_txs_next(txs, &status, &error);
	pleach_txs_close(txs);
	return r == 1;
}

static int count_generations(const char *path)
{
	TEXT *names = names_in(path, "refs/site/gen");
	int n = 0;

	for (const char *c = names; *c; c++)
		n += *c == ' ';
	return n;
}

/* 1. it notes that it is about to be generation 3, and is killed, 2. another becomes generation 3, 3. it is committed
 * again: the number alone would say that it has landed. (model/landing.pml, control ANY_TREE) */
static void G3_ended_anywhere_and_overtaken_a_parked_transaction_lands_once(void **state)
{
	static const char *const files[] = {"one", "two", "three"};
	const struct yard *y = *state;
	TEXT *template = text_of("%s/template", y->path);
	TEXT *store = text_of("%s/S", y->path);
	bool is_through = false;

	make_sources(y);
	prepare_parked(y, template);
	for (uint64_t k = 1; !is_through; k++) {
		struct outcome o;
		struct pleach_store *opened;

		print_message("# ended at call %llu\n", (unsigned long long)k);
		yard_remove(store);
		yard_copy(template, store);
		is_through = commit_parked_until(y, store, k);
		put_beside(store, "three");
		opened = open_at(store, &o);
		if (has_parked(opened)) {
			o.r = run_parked(y, opened, &o.error);
			must(&o, "commit again");
		}
		pleach_store_close(opened);
		assert_int_equal(count_generations(store), 4);
		for (size_t i = 0; i < PL_ARRAY_LEN(files); i++) {
			TEXT *file = text_of("%s/site/%s", store, files[i]);

			assert_int_equal(access(file, F_OK), 0);
		}
	}
}

/* The parked one, if it is there still: its file is changed, and it is committed. False: it is gone. */
static bool work_on_parked(const char *path)
{
	struct pleach_tx_status status = PLEACH_TX_STATUS_INIT;
	struct pleach_tx *tx = NULL;
	struct pleach_txs *txs;
	struct outcome o;
	struct pleach_store *store = open_at(path, &o);

	assert_int_equal(pleach_txs_open(store, &txs, &o.error), 0);
	if (pleach_txs_next(txs, &status, &o.error) == 1) {
		o.r = pleach_tx_open(store, status.info.id, &tx, &o.error);
		must(&o, "open");
	}
	pleach_txs_close(txs);
	if (tx) {
		o.r = pleach_tx_put(tx, "two", "22", 2, &then, &o.error);
		if (o.r >= 0)
			o.r = pleach_tx_commit(tx, NULL, NULL, &o.error);
		must(&o, "commit");
		assert_int_equal(pleach_tx_close(tx, &o.error), 0);
	}
	pleach_store_close(store);
	return tx != NULL;
}

/* 1. it lands, and is killed, 2. its user goes on working in it, 3. it is committed again: merged from its base, it would
 * conflict with itself. (model/landing.pml, control NO_MERGED_FROM) */
static void G3_ended_anywhere_and_worked_on_a_parked_transaction_lands(void **state)
{
	const struct yard *y = *state;
	TEXT *template = text_of("%s/template", y->path);
	TEXT *store = text_of("%s/S", y->path);
	TEXT *file = text_of("%s/site/two", store);
	bool is_through = false;

	make_sources(y);
	prepare_parked(y, template);
	for (uint64_t k = 1; !is_through; k++) {
		struct stat st;
		bool is_changed;

		print_message("# ended at call %llu\n", (unsigned long long)k);
		yard_remove(store);
		yard_copy(template, store);
		is_through = commit_parked_until(y, store, k);
		is_changed = work_on_parked(store);
		assert_int_equal(stat(file, &st), 0);
		assert_int_equal(st.st_size, is_changed ? 2 : 1);
	}
}

static void G2_merge_of_a_parked_transaction_ended_anywhere_is_done_or_not(void **state)
{
	run_scenario(*state, "parked");
}

static void a_damaged_file_is_found(void **state)
{
	const struct yard *y = *state;
	TEXT *store = text_of("%s/S", y->path);
	TEXT *file = text_of("%s/site/d/equal1", store);
	struct expected e;
	char *trouble;
	int fd;

	make_sources(y);
	prepare_two(y, store);
	e = expect_b_after_a(y);
	fd = open(file, O_WRONLY | O_CLOEXEC);
	assert_int_equal(write(fd, "E", 1), 1);
	close(fd);
	trouble = trouble_by_state(&e, store, false);
	assert_non_null(trouble);
	assert_non_null(strstr(trouble, "neither the old tree nor the new one"));
	free(trouble);
	trouble = trouble_by_next(y, &e, store);
	assert_non_null(trouble);
	free(trouble);
	expected_done(&e);
}

static void a_public_symlink_that_was_set_back_is_found(void **state)
{
	const struct yard *y = *state;
	TEXT *store = text_of("%s/S", y->path);
	TEXT *link = text_of("%s/.pleach/refs/site/public/tree", store);
	char target[256] = "";
	char *trouble;

	make_sources(y);
	make_store(store, NULL);
	publish_source(y, store, "a");
	assert_true(readlink(link, target, sizeof(target) - 1) > 0);
	publish_source(y, store, "b");
	assert_null(trouble_by_check(store, 0));
	assert_int_equal(unlink(link), 0);
	assert_int_equal(symlink(target, link), 0);
	trouble = trouble_by_check(store, 0);
	assert_non_null(trouble);
	assert_non_null(strstr(trouble, "public"));
	free(trouble);
}

static void a_state_between_old_and_new_is_found(void **state)
{
	const struct yard *y = *state;
	TEXT *store = text_of("%s/S", y->path);
	struct expected e;
	char *trouble;

	make_sources(y);
	prepare_two(y, store);
	e = expect_b_after_a(y);
	trouble = trouble_by_state(&e, store, false); /* of a state that is nobody's */
	assert_non_null(trouble);
	assert_non_null(strstr(trouble, "neither old nor new"));
	free(trouble);
	free(e.old_state);
	free(e.old_tree);
	e.old_state = observe(store);
	e.old_tree = strdup(e.new_tree);
	assert_null(trouble_by_state(&e, store, false));
	trouble = trouble_by_state(&e, store, true);
	assert_non_null(trouble);
	free(trouble);
	expected_done(&e);
}

static void a_held_lock_and_a_leftover_are_found(void **state)
{
	const struct yard *y = *state;
	TEXT *store = text_of("%s/S", y->path);
	TEXT *lock = text_of("%s/.pleach/refs/site/lock", store);
	TEXT *left = text_of("%s/.pleach/tx/0123456789abcdef01234567", store);
	TEXT *in_it = text_of("%s/lock", left);
	struct expected e;
	char *trouble;
	int fd;

	make_sources(y);
	prepare_two(y, store);
	e = expect_b_after_a(y);
	assert_null(trouble_by_locks(store));
	fd = open(lock, O_RDWR | O_CLOEXEC);
	assert_int_equal(pl_lock_try(fd, PL_LOCK_EXCLUSIVE), 1);
	trouble = trouble_by_locks(store);
	assert_non_null(trouble);
	free(trouble);
	close(fd);
	/* Held by somebody: nobody removes it. */
	assert_int_equal(mkdir(left, 0700), 0);
	fd = open(in_it, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(pl_lock_try(fd, PL_LOCK_EXCLUSIVE), 1);
	trouble = trouble_by_next(y, &e, store);
	assert_non_null(trouble);
	assert_non_null(strstr(trouble, "left in tx/"));
	free(trouble);
	close(fd);
	expected_done(&e);
}

static int setup(void **state)
{
	return is_full() ? yard_setup_on_disk(state) : yard_setup(state);
}

#define crash_test(f) cmocka_unit_test_setup_teardown(f, setup, yard_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		yard_test(a_damaged_file_is_found),
		yard_test(a_public_symlink_that_was_set_back_is_found),
		yard_test(a_state_between_old_and_new_is_found),
		yard_test(a_held_lock_and_a_leftover_are_found),
		yard_disk_test(G2_publish_on_the_disk_ended_anywhere_leaves_the_old_or_the_new),
		crash_test(G2_first_publish_ended_anywhere_leaves_nothing_or_all),
		crash_test(G2_second_publish_ended_anywhere_leaves_the_old_or_the_new),
		crash_test(G2_publish_by_threads_ended_anywhere_leaves_the_old_or_the_new),
		yard_test(G8_a_tree_that_threads_placed_is_its_source),
		crash_test(G2_placing_by_threads_ended_anywhere_leaves_the_old_or_the_new),
		crash_test(G2_recycling_publish_ended_anywhere_leaves_the_old_or_the_new),
		crash_test(G2_editing_publish_ended_anywhere_leaves_the_old_or_the_new),
		crash_test(G2_composed_publish_ended_anywhere_leaves_the_old_or_the_new),
		crash_test(G2_rollback_ended_anywhere_leaves_the_old_or_the_new),
		crash_test(G2_rollback_to_a_placed_tree_ended_anywhere_leaves_the_old_or_the_new),
		crash_test(G2_tag_ended_anywhere_is_set_or_not),
		crash_test(G2_drop_of_a_generation_ended_anywhere_is_done_or_not),
		crash_test(G2_drop_of_a_ref_ended_anywhere_is_done_or_not),
		crash_test(G2_transaction_by_edits_ended_anywhere_leaves_the_old_or_the_new),
		crash_test(G2_transaction_in_a_copy_ended_anywhere_leaves_the_old_or_the_new),
		crash_test(G2_abort_and_publish_ended_anywhere_leave_the_old_or_the_new),
		crash_test(G2_first_transaction_ended_anywhere_leaves_nothing_or_all),
		crash_test(G3_ended_anywhere_and_worked_on_a_parked_transaction_lands),
		crash_test(G3_ended_anywhere_and_overtaken_a_parked_transaction_lands_once),
		crash_test(G2_merge_of_a_parked_transaction_ended_anywhere_is_done_or_not),
	};

	controls_by_environment();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
