/* First come, first served; who dies makes room; numbers only grow. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "source/fixture.h"

struct waiter {
	struct pl_txdir tx;
	struct pl_ref ref;
	struct pl_ticket ticket;
};

static int come(struct pl_store *store, struct waiter *w, int64_t wait_ms)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	int r;

	w->ticket = (struct pl_ticket)PL_TICKET_NONE;
	CHECK(pl_txdir_begin(store, "test", &w->tx, &error) == 0);
	CHECK(pl_ref_open_or_create(&w->tx, "site", &w->ref, &error) == 0);
	r = pl_queue_enter(&w->ref, &w->tx, &w->ticket, &error);
	return r < 0 ? r : r == 1 ? 0 : pl_queue_wait(&w->ref, &w->ticket, wait_ms, &error);
}

static void go(struct waiter *w)
{
	pl_queue_leave(&w->ticket);
	pl_ref_close(&w->ref);
	pl_txdir_end(&w->tx);
}

static void the_second_waits_for_the_first(void **state)
{
	struct fixture *f = *state;
	struct waiter a, b;
	uint64_t n;

	assert_int_equal(come(f->store, &a, 0), 0);
	assert_int_equal(come(f->store, &b, 0), -EBUSY);
	go(&b);
	assert_int_equal(pl_queue_count(&a.ref, &n), 0);
	assert_int_equal(n, 1);
	go(&a);
	assert_int_equal(come(f->store, &b, 0), 0);
	go(&b);
}

static void numbers_only_grow(void **state)
{
	struct fixture *f = *state;
	uint64_t last = 0;

	for (int i = 0; i < 5; i++) {
		struct waiter w;

		assert_int_equal(come(f->store, &w, 0), 0);
		assert_true(w.ticket.number > last);
		last = w.ticket.number;
		/* nothing but the ticket in use and, at most, a dead one below */
		assert_true(count_names(w.ref.fd, "queue") == 1);
		go(&w);
	}
}

/* In a child: waits, and says with the answer's status how it ended. What it inherited of `before` would keep
 * that one's locks. */
static pid_t come_in_child(struct scratch *s, struct waiter *before, int tell)
{
	pid_t pid = fork();

	if (pid == 0) {
		STORE *store = NULL;
		struct waiter w;

		close(before->ticket.fd);
		if (pl_store_open(scratch_path(s, "S"), &store, NULL) < 0)
			_exit(3);
		if (come(store, &w, 20000) < 0)
			_exit(4);
		if (write(tell, "x", 1) != 1)
			_exit(5);
		_exit(0); /* without leaving: as if killed */
	}
	return pid;
}

static void who_dies_makes_room(void **state)
{
	struct fixture *f = *state;
	struct waiter a;
	int told[2], status;
	pid_t pid;
	char c;

	assert_int_equal(come(f->store, &a, 0), 0);
	assert_int_equal(pipe(told), 0);
	pid = come_in_child(f->s, &a, told[1]);
	assert_true(pid > 0);
	close(told[1]);
	go(&a);
	assert_int_equal(read(told[0], &c, 1), 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(come(f->store, &a, 0), 0);
	go(&a);
	close(told[0]);
}

/* Eight children; each appends to a file that only one at a time may be in. */
static void many_are_served_one_at_a_time(void **state)
{
	struct fixture *f = *state;
	pid_t pids[8];
	int ok = 0;

	for (size_t i = 0; i < PL_ARRAY_LEN(pids); i++) {
		pids[i] = fork();
		if (pids[i] != 0)
			continue;
		for (int turn = 0; turn < 5; turn++) {
			STORE *store = NULL;
			struct waiter w;

			if (pl_store_open(scratch_path(f->s, "S"), &store, NULL) < 0 ||
			    come(store, &w, 60000) < 0)
				_exit(1);
			if (pl_mkdir(f->s->fd, "inside", 0700) < 0)
				_exit(2); /* somebody else is in there */
			if (pl_rmdir(f->s->fd, "inside") < 0)
				_exit(3);
			go(&w);
		}
		_exit(0);
	}
	for (size_t i = 0; i < PL_ARRAY_LEN(pids); i++) {
		int status = -1;

		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		ok += status == 0;
	}
	assert_int_equal(ok, PL_ARRAY_LEN(pids));
}

/* Others who come while one is between looking for a number and taking it. */
struct between {
	struct pl_store *store;
	struct waiter dead, working;
	bool is_done, is_working;
};

static void come_between(uint64_t number, enum pl_call call, void *userdata)
{
	struct between *b = userdata;
	struct pl_ref ref;

	(void)number;
	(void)call;
	if (b->is_done)
		return;
	b->is_done = true;
	CHECK(pl_ref_open(b->store, "site", &ref, NULL) == 0);
	b->is_working = pl_ref_try_lock(&ref, NULL) == 1; /* else nobody can come now */
	pl_ref_unlock(&ref);
	pl_ref_close(&ref);
	if (!b->is_working)
		return;
	CHECK(come(b->store, &b->dead, 0) == 0);
	pl_closep(&b->dead.ticket.fd); /* as if killed */
	CHECK(come(b->store, &b->working, 0) == 0);
}

/* 1. A looks, and finds that 1 is free, 2. B takes 1 and dies, 3. C takes 2, removes 1 and works, 4. A takes 1: nobody
 * is before him. (model/queue.pml, control NUMBER_UNLOCKED) */
static void a_number_that_others_had_meanwhile_lets_nobody_work_beside_them(void **state)
{
	struct fixture *f = *state;
	struct between b = {.store = f->store};
	struct waiter a;
	int r;

	assert_int_equal(come(f->store, &a, 0), 0); /* makes the ref, without a ticket that stays */
	go(&a);
	assert_int_equal(unlinkat(f->s->fd, "S/.pleach/refs/site/queue/1", 0), 0);
	pl_seam_arm(&(struct pl_seam_plan){
		.calls = 1U << PL_CALL_LINK, .stop = come_between, .userdata = &b});
	r = come(f->store, &a, 0);
	pl_seam_arm(NULL);
	assert_true(b.is_done);
	assert_int_equal(r, b.is_working ? -EBUSY : 0);
	go(&a);
	if (b.is_working) {
		go(&b.working);
		go(&b.dead);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FIXTURE_TEST(the_second_waits_for_the_first),
		FIXTURE_TEST(numbers_only_grow),
		FIXTURE_TEST(who_dies_makes_room),
		FIXTURE_TEST(a_number_that_others_had_meanwhile_lets_nobody_work_beside_them),
		FIXTURE_TEST(many_are_served_one_at_a_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
