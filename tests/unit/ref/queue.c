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

int main(void)
{
	const struct CMUnitTest tests[] = {
		FIXTURE_TEST(the_second_waits_for_the_first),
		FIXTURE_TEST(numbers_only_grow),
		FIXTURE_TEST(who_dies_makes_room),
		FIXTURE_TEST(many_are_served_one_at_a_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
