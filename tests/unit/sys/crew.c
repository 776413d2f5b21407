/* The laws of a crew: what comes out is the same, and in the same order, however many work.
 * A run under ThreadSanitizer is a test of its own: docs/testing.md, "Threads". */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "aborts.h"
#include "sys/scratch.h"

#define TASKS 500

static const unsigned all_jobs[] = {1, 2, 3, 8, 0};

struct task {
	unsigned number;
	uint64_t answer;
	struct pl_buffer kept;
};
struct worker {
	uint64_t done;
};
struct gang {
	struct pl_crew *crew;
	unsigned fails[2]; /* numbers of tasks, UINT_MAX: none */
	unsigned expected; /* the next to be delivered */
	unsigned cancelled;
	unsigned most, slots;
	uint64_t sum, shared, done_by_workers;
	bool meets, holds, asks_for_signals; /* what a task does more */
	pthread_t caller;
	pthread_barrier_t barrier;
	atomic_uint begun, elsewhere, at_work;
	atomic_bool is_second_done;
};

static void expect(bool is_so, const char *what)
{
	if (!is_so)
		print_error("# not so: %s\n", what);
	assert_true(is_so);
}

/* Anything may run in a thread: cmocka's assertions only in the caller's. */
static int run(void *self, void *worker_, void *task_)
{
	struct gang *g = self;
	struct worker *worker = worker_;
	struct task *task = task_;
	volatile unsigned spin = (task->number * 7919u) % 3000u;

	atomic_fetch_add(&g->begun, 1);
	worker->done++;
	if (!pthread_equal(pthread_self(), g->caller))
		atomic_fetch_add(&g->elsewhere, 1);
	if (g->meets)
		pthread_barrier_wait(&g->barrier);
	while (spin > 0)
		spin--;
	/* Not the caller: nobody else submits what it would wait for. */
	if (g->holds && task->number == g->fails[0] && !pthread_equal(pthread_self(), g->caller))
		while (!atomic_load(&g->is_second_done))
			sched_yield();
	task->answer = (uint64_t)task->number * task->number;
	pl_crew_enter(g->crew);
	g->shared++;
	pl_crew_leave(g->crew);
	if (g->holds && task->number == g->fails[1])
		atomic_store(&g->is_second_done, true);
	return task->number == g->fails[0] ? -EIO : task->number == g->fails[1] ? -ENOSPC : 0;
}

static int deliver(void *self, void *task_, int r)
{
	struct gang *g = self;
	struct task *task = task_;

	expect(pthread_equal(pthread_self(), g->caller), "delivered in the caller's thread");
	expect(task->number == g->expected++, "delivered in the order of submission");
	if (r == -ECANCELED) {
		g->cancelled++;
		return r;
	}
	expect(r < 0 || task->answer == (uint64_t)task->number * task->number, "run before");
	if (r == 0)
		g->sum += task->answer;
	return r;
}

static void task_done(void *self, void *task_)
{
	struct gang *g = self;
	struct task *task = task_;

	g->slots++;
	pl_buffer_done(&task->kept);
}

static void worker_done(void *self, void *worker_)
{
	struct gang *g = self;
	struct worker *worker = worker_;

	g->done_by_workers += worker->done;
}

static void gather(struct gang *g, unsigned jobs, unsigned slots_each, unsigned alone_until)
{
	const struct pl_crew_work work = {.run = run,
					  .deliver = deliver,
					  .task_done = task_done,
					  .worker_done = worker_done,
					  .self = g,
					  .task_size = sizeof(struct task),
					  .worker_size = sizeof(struct worker),
					  .slots_each = slots_each,
					  .alone_until = alone_until};

	*g = (struct gang){.fails = {UINT_MAX, UINT_MAX}, .caller = pthread_self()};
	assert_int_equal(pl_crew_new(&work, jobs, &g->crew), 0);
}

/* How many were submitted before there was a failure. */
static unsigned submit(struct gang *g, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		void *slot = NULL;
		struct task *task;

		if (pl_crew_task(g->crew, &slot) < 0)
			return i;
		task = slot;
		task->number = i;
		task->kept.length = 0;
		pl_buffer_add(&task->kept, "kept", 4);
		if (i + 1 - g->expected > g->most)
			g->most = i + 1 - g->expected;
		if (pl_crew_submit(g->crew) < 0)
			return i + 1;
	}
	return n;
}

static uint64_t sum_of_squares(uint64_t n)
{
	return (n - 1) * n * (2 * n - 1) / 6;
}

static void disband(struct gang *g)
{
	pl_crew_free(g->crew);
	g->crew = NULL;
}

/* C2 */
static void what_comes_out_is_the_same_in_the_same_order_however_many_work(void **state)
{
	for (size_t i = 0; i < PL_ARRAY_LEN(all_jobs); i++) {
		struct gang g;

		gather(&g, all_jobs[i], 0, 0);
		assert_int_equal(submit(&g, TASKS), TASKS);
		assert_int_equal(pl_crew_finish(g.crew), 0);
		assert_true(pl_crew_is_idle(g.crew));
		assert_int_equal(g.expected, TASKS);
		assert_true(g.sum == sum_of_squares(TASKS));
		assert_int_equal(g.shared, TASKS);
		disband(&g);
		assert_int_equal(g.done_by_workers, TASKS);
	}
}

/* C1 */
static void there_are_never_more_tasks_than_slots(void **state)
{
	static const unsigned slots[] = {1, 2, 5};

	for (size_t i = 0; i < PL_ARRAY_LEN(slots); i++) {
		struct gang g;

		gather(&g, 3, slots[i], 0);
		assert_int_equal(submit(&g, TASKS), TASKS);
		assert_int_equal(pl_crew_finish(g.crew), 0);
		assert_true(g.most <= 3 * slots[i]);
		disband(&g);
		assert_int_equal(g.slots, 3 * slots[i]);
		assert_int_equal(g.expected, TASKS);
	}
}

/* The second one fails first, and is not the one that is told. (C2) */
static void the_failure_is_that_of_the_first_in_order_whoever_fails_first(void **state)
{
	for (size_t i = 0; i < PL_ARRAY_LEN(all_jobs); i++) {
		struct gang g;
		unsigned n;

		gather(&g, all_jobs[i], 4, 0);
		g.fails[0] = 100;
		g.fails[1] = 103;
		g.holds = all_jobs[i] > 1;
		n = submit(&g, TASKS);
		assert_true(n > 100 && n <= 101 + 4 * (all_jobs[i] ? all_jobs[i] : 16));
		assert_int_equal(pl_crew_finish(g.crew), -EIO);
		assert_int_equal(pl_crew_finish(g.crew), -EIO);
		assert_true(g.sum == sum_of_squares(100));
		assert_int_equal(g.cancelled, n - 101);
		assert_int_equal(g.expected, n);
		disband(&g);
	}
}

/* C4 */
static void after_a_failure_nothing_is_begun(void **state)
{
	struct gang g;
	void *task;
	unsigned begun;

	gather(&g, 4, 16, 0);
	g.fails[0] = 0;
	submit(&g, 64);
	assert_int_equal(pl_crew_finish(g.crew), -EIO);
	begun = atomic_load(&g.begun);
	assert_int_equal(pl_crew_task(g.crew, &task), -EIO);
	disband(&g);
	assert_int_equal(atomic_load(&g.begun), begun);
	assert_int_equal(g.done_by_workers, begun);
}

static void what_was_submitted_is_delivered_once_also_when_nobody_waits_for_it(void **state)
{
	for (size_t i = 0; i < PL_ARRAY_LEN(all_jobs); i++) {
		struct gang g;

		gather(&g, all_jobs[i], 64, 0);
		submit(&g, 64);
		disband(&g);
		assert_int_equal(g.expected, 64);
		assert_int_equal(g.done_by_workers, atomic_load(&g.begun));
	}
}

static void a_crew_of_one_does_each_task_when_it_is_submitted_and_has_no_thread(void **state)
{
	struct gang g;

	gather(&g, 1, 0, 0);
	for (unsigned i = 1; i <= 5; i++) {
		void *task;

		assert_int_equal(pl_crew_task(g.crew, &task), 0);
		((struct task *)task)->number = i - 1;
		assert_int_equal(pl_crew_submit(g.crew), 0);
		assert_int_equal(g.expected, i);
	}
	disband(&g);
	assert_int_equal(atomic_load(&g.elsewhere), 0);
	assert_int_equal(g.slots, 1);
}

static void without_threads_the_caller_does_it_all(void **state)
{
	struct gang g;

	pl_seam_disable(PL_CAP_THREADS);
	gather(&g, 8, 0, 0);
	assert_int_equal(submit(&g, TASKS), TASKS);
	assert_int_equal(pl_crew_finish(g.crew), 0);
	assert_true(g.sum == sum_of_squares(TASKS));
	disband(&g);
	assert_int_equal(atomic_load(&g.elsewhere), 0);
}

/* It would never end if one of them were missing. */
static void as_many_work_at_once_as_were_asked_for(void **state)
{
	struct gang g;

	gather(&g, 4, 16, 0);
	g.meets = true;
	pthread_barrier_init(&g.barrier, NULL, 4);
	assert_int_equal(submit(&g, 64), 64);
	assert_int_equal(pl_crew_finish(g.crew), 0);
	disband(&g);
	pthread_barrier_destroy(&g.barrier);
}

static void no_thread_is_started_for_a_few_tasks_unless_asked_for(void **state)
{
	struct gang g;

	gather(&g, 0, 0, 20);
	assert_int_equal(submit(&g, 20), 20);
	assert_int_equal(pl_crew_finish(g.crew), 0);
	disband(&g);
	assert_int_equal(atomic_load(&g.elsewhere), 0);
}

/* ---- signals ---- */

static int run_masked(void *self, void *worker, void *task)
{
	struct gang *g = self;
	sigset_t mask;

	pthread_sigmask(SIG_SETMASK, NULL, &mask);
	if (pthread_equal(pthread_self(), g->caller) == 0 &&
	    (!sigismember(&mask, SIGINT) || !sigismember(&mask, SIGTERM) ||
	     !sigismember(&mask, SIGALRM)))
		return -EINTR;
	pthread_barrier_wait(&g->barrier); /* so that each does one */
	return 0;
}

static int deliver_masked(void *self, void *task, int r)
{
	return r;
}

/* C5 */
static void signals_are_the_callers_alone(void **state)
{
	struct gang g = {.caller = pthread_self()};
	const struct pl_crew_work work = {
		.run = run_masked, .deliver = deliver_masked, .self = &g, .task_size = 1};
	sigset_t before, after;
	void *task;

	pthread_barrier_init(&g.barrier, NULL, 3);
	pthread_sigmask(SIG_SETMASK, NULL, &before);
	assert_int_equal(pl_crew_new(&work, 3, &g.crew), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(pl_crew_task(g.crew, &task), 0);
		assert_int_equal(pl_crew_submit(g.crew), 0);
	}
	assert_int_equal(pl_crew_finish(g.crew), 0);
	pthread_sigmask(SIG_SETMASK, NULL, &after);
	for (int i = 1; i <= SIGRTMAX; i++)
		assert_int_equal(sigismember(&before, i), sigismember(&after, i));
	disband(&g);
	pthread_barrier_destroy(&g.barrier);
}

static void a_crew_that_does_nothing(void)
{
	struct pl_crew *crew;

	pl_crew_new(&(struct pl_crew_work){.task_size = 1}, 1, &crew);
}

static void a_crew_without_work_is_a_bug(void **state)
{
	assert_true(aborts(a_crew_that_does_nothing));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_comes_out_is_the_same_in_the_same_order_however_many_work),
		TEST(there_are_never_more_tasks_than_slots),
		TEST(the_failure_is_that_of_the_first_in_order_whoever_fails_first),
		TEST(after_a_failure_nothing_is_begun),
		TEST(what_was_submitted_is_delivered_once_also_when_nobody_waits_for_it),
		TEST(a_crew_of_one_does_each_task_when_it_is_submitted_and_has_no_thread),
		TEST(without_threads_the_caller_does_it_all),
		TEST(as_many_work_at_once_as_were_asked_for),
		TEST(no_thread_is_started_for_a_few_tasks_unless_asked_for),
		TEST(signals_are_the_callers_alone),
		TEST(a_crew_without_work_is_a_bug),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
