/*
 * closer.c - descriptors that somebody else closes. With the last one of a file that has no name its blocks are
 * freed, and that takes longer than all that was done with it: a second thread has the time.
 *
 * C1  Whoever hands one over never waits: while the thread is at work on what it has, he closes by himself.
 * C2  At the end all are closed.
 */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "sys/sys.h"

#define BATCH 16 /* so many are handed over by one call to wake the thread */

struct pl_closer {
	pthread_t thread;
	int ours[BATCH]; /* not handed over yet */
	size_t n_ours;
	/* Under the lock. */
	pthread_mutex_t lock;
	pthread_cond_t has_come;
	int theirs[BATCH];
	size_t n_theirs; /* 0: the thread has nothing to do */
	bool is_over;
};

static void close_all(const int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		pl_close(fds[i]);
}

static void *work(void *self)
{
	struct pl_closer *c = self;

	pthread_mutex_lock(&c->lock);
	while (c->n_theirs > 0 || !c->is_over) {
		size_t n = c->n_theirs;

		if (n == 0) {
			pthread_cond_wait(&c->has_come, &c->lock);
			continue;
		}
		pthread_mutex_unlock(&c->lock);
		close_all(c->theirs, n); /* nobody changes them before n_theirs is 0 */
		pthread_mutex_lock(&c->lock);
		c->n_theirs = 0;
	}
	pthread_mutex_unlock(&c->lock);
	return NULL;
}

/* Signals are for who has called us. */
static int start(struct pl_closer *c)
{
	sigset_t all, before;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&c->thread, NULL, work, c);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -r;
}

int pl_closer_begin(struct pl_closer **ret_closer)
{
	struct pl_closer *c = calloc(1, sizeof(*c));
	int r = c ? 0 : -ENOMEM;

	if (r < 0)
		return r;
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->has_come, NULL);
	r = start(c);
	if (r < 0) {
		pthread_cond_destroy(&c->has_come);
		pthread_mutex_destroy(&c->lock);
		free(c);
		return r;
	}
	*ret_closer = c;
	return 0;
}

static void hand_over(struct pl_closer *c)
{
	bool is_idle;

	pthread_mutex_lock(&c->lock);
	is_idle = c->n_theirs == 0;
	if (is_idle) {
		memcpy(c->theirs, c->ours, c->n_ours * sizeof(c->ours[0]));
		c->n_theirs = c->n_ours;
		pthread_cond_signal(&c->has_come);
	}
	pthread_mutex_unlock(&c->lock);
	if (!is_idle) /* C1 */
		close_all(c->ours, c->n_ours);
	c->n_ours = 0;
}

void pl_closer_take(struct pl_closer *closer, int *fd)
{
	pl_assert(*fd >= 0);
	if (!closer) {
		pl_closep(fd);
		return;
	}
	closer->ours[closer->n_ours++] = pl_take_fd(fd);
	if (closer->n_ours == BATCH)
		hand_over(closer);
}

void pl_closer_end(struct pl_closer *closer)
{
	if (!closer)
		return;
	close_all(closer->ours, closer->n_ours);
	pthread_mutex_lock(&closer->lock);
	closer->is_over = true;
	pthread_cond_signal(&closer->has_come);
	pthread_mutex_unlock(&closer->lock);
	pthread_join(closer->thread, NULL); /* C2 */
	pthread_cond_destroy(&closer->has_come);
	pthread_mutex_destroy(&closer->lock);
	free(closer);
}
