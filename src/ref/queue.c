/*
 * The queue of a ref: tickets, refs/<ref>/queue/<number>, each locked by who has it for as long as he waits
 * and works.
 *
 *      none --enter: link--> waiting --nobody below is locked--> granted --leave--> dead
 *
 * Q1  A ticket is locked before it gets its name: one that is seen unlocked is nobody's.
 * Q2  The highest number that was ever given stays in the directory, also when it is dead: so numbers only
 *     grow, and whoever has come first has the lower one. (Otherwise: 1. A finds no ticket, 2. B takes 1, finds
 *     nobody before, and works, 3. B's ticket would have to be above one that A still makes.)
 * Q3  A dead ticket is removed by who holds its lock exclusively, and has a higher one.
 * Q4  A number is looked for and taken under the ref lock. (Otherwise: 1. A finds that 1 is free, 2. B takes it and
 *     dies, 3. C takes 2, removes 1 and works, 4. A takes 1, and finds nobody before. model/queue.pml, control
 *     NUMBER_UNLOCKED)
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>

#include "ref/ref.h"

#define TRIES	100000 /* to get a number: only where the ref lock was lost is the first one not it */
#define LOOK_MS 500    /* progress is told so often */

/* Highest number below `below` that is there; 0: none. */
static int highest_below(int queue_fd, uint64_t below, uint64_t *ret_number)
{
	struct pl_listing listing = {0};
	PL_CLOSE int fd = pl_open_dir(queue_fd, ".");
	uint64_t best = 0, n;
	int r = fd < 0 ? fd : pl_list(fd, &listing);

	for (size_t i = 0; r >= 0 && i < listing.n; i++)
		if (pl_parse_u64(listing.entries[i].name, UINT64_MAX / 2, &n) == 0 && n < below &&
		    n > best)
			best = n;
	pl_listing_done(&listing);
	if (r < 0)
		return r;
	*ret_number = best;
	return 0;
}

static void name_of(uint64_t number, char ret_name[24])
{
	snprintf(ret_name, 24, "%" PRIu64, number);
}

/* Gives the locked file tx/<id>/<unnamed> the next number. (Q1, Q4) */
static int take_number(int queue_fd, struct pl_txdir *tx, const char *unnamed, uint64_t *ret_number)
{
	for (unsigned i = 0; i < TRIES; i++) {
		uint64_t last;
		char name[24];
		int r = highest_below(queue_fd, UINT64_MAX, &last);

		if (r < 0)
			return r;
		name_of(last + 1, name);
		r = pl_link(tx->fd, unnamed, queue_fd, name);
		if (r == 0)
			*ret_number = last + 1;
		if (r != -EEXIST)
			return r;
	}
	return -EBUSY;
}

/* In a tx directory, locked; without a number yet. */
static int make_unnamed(struct pl_txdir *tx, struct pl_ticket *ticket, char ret_unnamed[32])
{
	int r;

	pl_txdir_name(tx, "ticket", ret_unnamed);
	ticket->fd = pl_create(tx->fd, ret_unnamed, 0600);
	if (ticket->fd < 0)
		return ticket->fd;
	r = pl_chmod(ticket->fd, 0600);
	return r < 0 ? r : pl_lock_try(ticket->fd, PL_LOCK_EXCLUSIVE);
}

static int fail_queue(const struct pl_ref *ref, int r, struct pleach_error *error)
{
	if (r == -EINTR)
		return pl_fail(error, PLEACH_INTERRUPTED, r, "interrupted");
	return pl_fail_sys(error, r, "cannot queue up for '%s'", ref->name);
}

static int make_ticket(struct pl_ref *ref, struct pl_txdir *tx, struct pl_ticket *ticket,
		       struct pleach_error *error)
{
	char unnamed[32];
	int r = make_unnamed(tx, ticket, unnamed), r_lock = 0;

	if (r >= 0)
		r_lock = pl_ref_lock(ref, -1, error); /* Q4 */
	if (r >= 0 && r_lock >= 0)
		r = take_number(ticket->queue_fd, tx, unnamed, &ticket->number);
	pl_ref_unlock(ref);
	(void)pl_unlink(tx->fd, unnamed);
	if (r_lock < 0)
		return r_lock;
	return r < 0 ? fail_queue(ref, r, error) : 0;
}

/* Waits a while for the ticket `number`, and removes it when it is dead (Q3). 1: it is gone; 0: not yet. */
static int wait_for(struct pl_store *store, int queue_fd, uint64_t number, int64_t ms)
{
	char name[24];
	PL_CLOSE int fd = -EBADF;
	int r;

	name_of(number, name);
	fd = pl_open(queue_fd, name, O_RDWR);
	if (fd < 0)
		return fd == -ENOENT ? 1 : fd;
	r = pl_lock_wait(fd, PL_LOCK_EXCLUSIVE, ms, &store->cancelled);
	if (r <= 0)
		return r;
	r = pl_lock_is_current(fd, queue_fd, name);
	if (r > 0)
		r = pl_unlink(queue_fd, name);
	return r < 0 && r != -ENOENT ? r : 1;
}

/* Until nobody is before us. 1, or 0: not in time. */
static int wait_turn(struct pl_store *store, const struct pl_ticket *ticket, int64_t wait_ms)
{
	const int64_t start = pl_clock_monotonic_ms();

	for (;;) {
		int64_t waited = pl_clock_monotonic_ms() - start;
		int64_t left = wait_ms < 0 ? LOOK_MS : wait_ms - waited;
		uint64_t before;
		int r = highest_below(ticket->queue_fd, ticket->number, &before);

		if (r < 0 || before == 0)
			return r < 0 ? r : 1;
		r = wait_for(store, ticket->queue_fd, before,
			     left < 0	      ? 0
			     : left < LOOK_MS ? left
					      : LOOK_MS);
		if (r < 0)
			return r;
		if (r == 0 && wait_ms >= 0 && pl_clock_monotonic_ms() - start >= wait_ms)
			return 0;
		if (r == 0)
			pl_store_progress(store, "wait", (uint64_t)waited / 1000, 0, 0);
	}
}

int pl_queue_enter(struct pl_ref *ref, struct pl_txdir *tx, struct pl_ticket *ret_ticket,
		   struct pleach_error *error)
{
	struct pl_ticket ticket = PL_TICKET_NONE;
	int r = ticket.queue_fd = pl_open_dir(ref->fd, "queue");

	if (r < 0)
		return fail_queue(ref, r, error);
	r = make_ticket(ref, tx, &ticket, error);
	if (r >= 0) {
		r = wait_turn(ref->store, &ticket, 0);
		if (r < 0)
			fail_queue(ref, r, error);
	}
	if (r < 0)
		pl_queue_leave(&ticket);
	else
		*ret_ticket = ticket;
	return r;
}

int pl_queue_wait(struct pl_ref *ref, const struct pl_ticket *ticket, int64_t wait_ms,
		  struct pleach_error *error)
{
	int r;

	pl_assert(ticket->fd >= 0);
	r = wait_turn(ref->store, ticket, wait_ms);
	if (r < 0)
		return fail_queue(ref, r, error);
	if (r == 1)
		return 0;
	pl_fail(error, PLEACH_BUSY, -EBUSY, "another transaction on '%s' is at work", ref->name);
	pl_hint(error, "wait for it (--wait), or run beside it (--optimistic)");
	return -EBUSY;
}

void pl_queue_leave(struct pl_ticket *ticket)
{
	uint64_t highest;
	char name[24];

	/* Q2, Q3: what is below the highest goes while it is locked. */
	if (ticket->fd >= 0 && ticket->number > 0 &&
	    highest_below(ticket->queue_fd, UINT64_MAX, &highest) == 0 &&
	    highest > ticket->number) {
		name_of(ticket->number, name);
		if (pl_lock_is_current(ticket->fd, ticket->queue_fd, name) == 1)
			(void)pl_unlink(ticket->queue_fd, name);
	}
	pl_closep(&ticket->fd);
	pl_closep(&ticket->queue_fd);
}

int pl_queue_count(struct pl_ref *ref, uint64_t *ret_n)
{
	PL_CLOSE int queue = pl_open_dir(ref->fd, "queue");
	struct pl_listing listing = {0};
	uint64_t n = 0;
	int r = queue;

	if (queue == -ENOENT || queue == -EACCES) {
		*ret_n = 0;
		return 0;
	}
	if (queue >= 0)
		r = pl_list(queue, &listing);
	for (size_t i = 0; r >= 0 && i < listing.n; i++) {
		PL_CLOSE int fd = pl_open(queue, listing.entries[i].name, O_RDONLY);

		n += fd >= 0 && pl_lock_is_held(fd, PL_LOCK_SHARED) == 1;
	}
	pl_listing_done(&listing);
	if (r < 0)
		return r;
	*ret_n = n;
	return 0;
}
