/*
 * crew.c - a few threads that work on a bounded row of tasks, whose results come out in the order in which
 * they went in.
 *
 *	FREE --pl_crew_submit--> QUEUED --take--> TAKEN --finish--> DONE --deliver_head--> FREE
 *
 * The tasks stand in a ring of slots: those before `delivered` are over, those before `taken` were begun,
 * those before `submitted` are there. The caller's thread is one of the crew: where it would wait, it does a
 * task itself. So no thread at all is the same code, and so is what happens when none can be had.
 *
 * Invariants:
 *  C1  delivered <= taken <= submitted <= delivered + n_slots.
 *  C2  Tasks are begun in the order of submission, and delivered in it, by the caller's thread, each just
 *      once: so results, and the first error, do not depend on who was quicker.
 *  C3  A slot is one thread's at a time: the caller's while FREE and DONE, whose took it while TAKEN.
 *  C4  Once a failure was delivered no task is begun. What was begun before is waited for.
 *  C5  No signal is delivered to a thread of the crew.
 */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "sys/sys.h"

#define SLOTS_EACH 16 /* slots for each of the crew, where nothing else is asked for */
#define ENOUGH	   16 /* threads, where no number is asked for: disks and directories are shared */

enum slot_state { SLOT_FREE, SLOT_QUEUED, SLOT_TAKEN, SLOT_DONE };
struct slot {
	enum slot_state state;
	int result;
};
struct pl_crew {
	struct pl_crew_work work;
	unsigned jobs;
	bool is_explicit; /* so many were asked for: they start at once */

	/* The caller's alone. */
	uint64_t submitted, delivered;
	int first_error;

	pthread_mutex_t lock; /* of what follows, and of the slots' states */
	pthread_cond_t queued, done;
	uint64_t queued_until; /* `submitted`, as the threads see it */
	uint64_t taken;
	unsigned n_idle;
	bool is_waiting; /* the caller, for the task at `delivered` */
	bool is_over;	 /* C4, or the end */

	pthread_mutex_t shared; /* pl_crew_enter() */
	struct slot *slots;
	unsigned char *tasks, *workers;
	unsigned n_slots;
	pthread_t *threads;
	unsigned n_threads; /* that were started */
	bool has_started;
};

/* Every thread gets to know which worker it is. */
struct start {
	struct pl_crew *crew;
	void *worker;
};

static void *task_at(const struct pl_crew *crew, uint64_t number)
{
	return crew->tasks + number % crew->n_slots * crew->work.task_size;
}

static struct slot *slot_at(const struct pl_crew *crew, uint64_t number)
{
	return &crew->slots[number % crew->n_slots];
}

static void *worker_at(const struct pl_crew *crew, unsigned i)
{
	return crew->workers + i * crew->work.worker_size;
}

/* ---- doing tasks ---- */

/* The lock is held. */
static bool may_take(const struct pl_crew *crew)
{
	return crew->taken < crew->queued_until && !crew->is_over;
}

/* The lock is held, and is let go of while the task is done. */
static void take(struct pl_crew *crew, void *worker)
{
	uint64_t number = crew->taken++;
	struct slot *slot = slot_at(crew, number);
	int r;

	pl_assert(slot->state == SLOT_QUEUED); /* C2 */
	slot->state = SLOT_TAKEN;
	pthread_mutex_unlock(&crew->lock);
	r = crew->work.run(crew->work.self, worker, task_at(crew, number));
	pthread_mutex_lock(&crew->lock);
	slot->result = r;
	slot->state = SLOT_DONE;
	/* Only the first in the row is ever waited for. */
	if (crew->is_waiting)
		pthread_cond_signal(&crew->done);
}

static void *thread_main(void *start_take)
{
	struct start start = *(struct start *)start_take;
	struct pl_crew *crew = start.crew;

	free(start_take);
	pthread_mutex_lock(&crew->lock);
	while (!crew->is_over) {
		if (may_take(crew)) {
			take(crew, start.worker);
			continue;
		}
		crew->n_idle++;
		pthread_cond_wait(&crew->queued, &crew->lock);
		crew->n_idle--;
	}
	pthread_mutex_unlock(&crew->lock);
	return NULL;
}

/* One more, or none: the crew does with those that it has. */
static bool start_thread(struct pl_crew *crew)
{
	struct start *start = malloc(sizeof(*start));

	if (!start)
		return false;
	*start = (struct start){.crew = crew, .worker = worker_at(crew, crew->n_threads + 1)};
	if (!pl_seam_has(PL_CAP_THREADS) ||
	    pthread_create(&crew->threads[crew->n_threads], NULL, thread_main, start) != 0) {
		free(start);
		return false;
	}
	crew->n_threads++;
	return true;
}

static void start_threads(struct pl_crew *crew)
{
	sigset_t all, before;

	crew->has_started = true;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before); /* C5: they inherit it */
	while (crew->n_threads + 1 < crew->jobs && start_thread(crew))
		;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* ---- delivering ---- */

/* The first in the row is DONE, or was never begun. */
static void deliver_head(struct pl_crew *crew, int r)
{
	int delivered = crew->work.deliver(crew->work.self, task_at(crew, crew->delivered),
					   crew->first_error < 0 ? -ECANCELED : r);

	if (delivered < 0 && crew->first_error == 0)
		crew->first_error = delivered;
	slot_at(crew, crew->delivered)->state = SLOT_FREE;
	crew->delivered++;
}

/* Delivers the first in the row, having waited for it, or done it, or another one meanwhile. */
static void settle_head(struct pl_crew *crew)
{
	const struct slot *slot = slot_at(crew, crew->delivered);
	int r;

	pl_assert(crew->delivered < crew->submitted);
	pthread_mutex_lock(&crew->lock);
	while (slot->state != SLOT_DONE) {
		if (may_take(crew)) {
			take(crew, worker_at(crew, 0));
			continue;
		}
		if (slot->state == SLOT_QUEUED) /* C4 */
			break;
		crew->is_waiting = true;
		pthread_cond_wait(&crew->done, &crew->lock);
		crew->is_waiting = false;
	}
	r = slot->state == SLOT_DONE ? slot->result : -ECANCELED;
	pthread_mutex_unlock(&crew->lock);
	deliver_head(crew, r);
	if (crew->first_error < 0) {
		pthread_mutex_lock(&crew->lock);
		crew->is_over = true; /* C4 */
		pthread_mutex_unlock(&crew->lock);
	}
}

/* ---- from outside ---- */

static int make_rooms(struct pl_crew *crew)
{
	crew->slots = calloc(crew->n_slots, sizeof(*crew->slots));
	crew->tasks = calloc(crew->n_slots, crew->work.task_size);
	crew->workers = calloc(crew->jobs, crew->work.worker_size ? crew->work.worker_size : 1);
	crew->threads = calloc(crew->jobs, sizeof(*crew->threads));
	return crew->slots && crew->tasks && crew->workers && crew->threads ? 0 : -ENOMEM;
}

static void give_up(struct pl_crew *crew)
{
	free(crew->slots);
	free(crew->tasks);
	free(crew->workers);
	free(crew->threads);
	free(crew);
}

static unsigned at_most(unsigned n, unsigned most)
{
	return n < most ? n : most;
}

int pl_crew_new(const struct pl_crew_work *work, unsigned jobs, struct pl_crew **ret_crew)
{
	struct pl_crew *crew = calloc(1, sizeof(*crew));

	if (!crew)
		return -ENOMEM;
	pl_assert(work->run && work->deliver && work->task_size > 0);
	crew->work = *work;
	crew->is_explicit = jobs > 0;
	crew->jobs = jobs > 0 ? at_most(jobs, PL_CREW_MAX) : at_most(pl_cpu_count(), ENOUGH);
	crew->n_slots = crew->jobs * (work->slots_each > 0 ? work->slots_each : SLOTS_EACH);
	if (crew->jobs == 1)
		crew->n_slots = 1; /* no more are ever used */
	if (make_rooms(crew) < 0) {
		give_up(crew);
		return -ENOMEM;
	}
	pthread_mutex_init(&crew->lock, NULL);
	pthread_mutex_init(&crew->shared, NULL);
	pthread_cond_init(&crew->queued, NULL);
	pthread_cond_init(&crew->done, NULL);
	*ret_crew = crew;
	return 0;
}

int pl_crew_task(struct pl_crew *crew, void **ret_task)
{
	pl_assert(crew->submitted <= crew->delivered + crew->n_slots); /* C1 */
	if (crew->submitted == crew->delivered + crew->n_slots)
		settle_head(crew);
	if (crew->first_error < 0)
		return crew->first_error;
	*ret_task = task_at(crew, crew->submitted);
	return 0;
}

int pl_crew_submit(struct pl_crew *crew)
{
	struct slot *slot = slot_at(crew, crew->submitted);
	bool wakes;

	pl_assert(slot->state == SLOT_FREE && crew->first_error == 0);
	if (!crew->has_started && (crew->is_explicit || crew->submitted >= crew->work.alone_until))
		start_threads(crew);
	pthread_mutex_lock(&crew->lock);
	slot->state = SLOT_QUEUED;
	crew->queued_until = ++crew->submitted;
	wakes = crew->n_idle > 0;
	if (wakes)
		pthread_cond_signal(&crew->queued);
	pthread_mutex_unlock(&crew->lock);
	if (crew->n_threads == 0) /* at once, as if there were no row at all */
		settle_head(crew);
	return crew->first_error;
}

int pl_crew_finish(struct pl_crew *crew)
{
	while (crew->delivered < crew->submitted)
		settle_head(crew);
	return crew->first_error;
}

bool pl_crew_is_idle(const struct pl_crew *crew)
{
	return crew->delivered == crew->submitted;
}

void pl_crew_free(struct pl_crew *crew)
{
	if (!crew)
		return;
	pthread_mutex_lock(&crew->lock);
	crew->is_over = true;
	pthread_cond_broadcast(&crew->queued);
	pthread_mutex_unlock(&crew->lock);
	if (crew->first_error == 0)
		crew->first_error = -ECANCELED;
	pl_crew_finish(crew);
	for (unsigned i = 0; i < crew->n_threads; i++)
		pthread_join(crew->threads[i], NULL);
	for (unsigned i = 0; crew->work.worker_done && i < crew->jobs; i++)
		crew->work.worker_done(crew->work.self, worker_at(crew, i));
	for (unsigned i = 0; crew->work.task_done && i < crew->n_slots; i++)
		crew->work.task_done(crew->work.self, task_at(crew, i));
	pthread_cond_destroy(&crew->queued);
	pthread_cond_destroy(&crew->done);
	pthread_mutex_destroy(&crew->lock);
	pthread_mutex_destroy(&crew->shared);
	give_up(crew);
}

void pl_crew_enter(struct pl_crew *crew)
{
	if (crew)
		pthread_mutex_lock(&crew->shared);
}

void pl_crew_leave(struct pl_crew *crew)
{
	if (crew)
		pthread_mutex_unlock(&crew->shared);
}
