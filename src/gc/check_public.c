/*
 * What shows a ref: public/tree must lead to the head's placed tree, and STORE/<ref> to that.
 *
 * A commit links the record first and moves the symlink then, under the ref lock all the time. So what
 * is behind is looked at again (K3):
 *
 *   1. head and symlink are read, and do not agree.
 *   2. Is the lock held? Then somebody is between the two: wait a little, and begin again.
 *   3. It is free: head and symlink are read a second time. If both are what they were in 1, nobody is
 *      at work on them: whoever left them so was killed, and no command has come by since.
 *
 * S1  Inside of a transaction on the ref the workspace stands there, and nothing of this can be seen.
 * S2  A public path that is missing or not ours breaks no promise of the store: it is told as not
 *     verified. Only its owner can have done that.
 */
#include <fcntl.h>
#include <stdio.h>

#include "gc/checking.h"

#define WAIT_MS	 10000
#define PAUSE_MS 5

/* One look at both. */
struct look {
	uint64_t head;
	struct pl_id tree; /* of the head */
	int public;	   /* as pl_public_read(): 1, 0 or -EBADMSG */
	struct pl_id shown;
	unsigned k;
	enum pl_public_state state;
	bool agrees;
};

static bool has_placing(struct pl_checking *c, const struct look *l)
{
	PL_CLOSE int treedir = pl_treedir_open(c->store, &l->shown);
	PL_CLOSE int fd = treedir < 0 ? treedir : pl_placing_open(treedir, l->k);

	/* -EACCES: it is there, and its owner let nobody in. */
	return fd >= 0 || fd == -EACCES || pl_checking_is_ours(fd);
}

/* 1: looked; 0: the record of the head cannot be read, which was told. */
static int look(struct pl_checking *c, struct pl_ref_check *rc, struct look *ret,
		struct pleach_error *error)
{
	struct pleach_error cause = PLEACH_ERROR_INIT;
	struct look l = {.head = rc->head};
	struct pl_record record = {0};
	const char *why;
	char name[40];
	int r;

	for (;; l.head++) {
		(void)snprintf(name, sizeof(name), "gen/%llu", (unsigned long long)l.head + 1);
		if (pl_exists(rc->ref.fd, name) != 1)
			break;
	}
	r = pl_checking_read_record(rc, l.head, &record, &why, error);
	if (r <= 0)
		return r;
	l.tree = record.tree;
	rc->is_dropped = strcmp(record.kind, "dropped") == 0;
	pl_record_done(&record);
	l.public = pl_public_read(&rc->ref, &l.shown, &l.k, &cause);
	if (pl_checking_is_ours(l.public)) {
		if (error)
			*error = cause;
		return l.public;
	}
	r = pl_public_state(&rc->ref, &l.state, error);
	l.agrees = l.public == 1 && pl_id_equal(&l.tree, &l.shown) && has_placing(c, &l);
	*ret = l;
	return r < 0 ? r : 1;
}

static bool is_same(const struct look *a, const struct look *b)
{
	return a->head == b->head && a->public == b->public && a->state == b->state &&
	       pl_id_equal(&a->shown, &b->shown) && a->k == b->k;
}

static bool is_well(const struct look *l)
{
	return l->agrees && l->state == PL_PUBLIC_OK;
}

static int is_locked(const struct pl_ref_check *rc)
{
	PL_CLOSE int fd = pl_open(rc->ref.fd, "lock", O_RDONLY);

	return fd < 0 ? 0 : pl_lock_is_held(fd, PL_LOCK_EXCLUSIVE) == 1;
}

static int tell_tree(struct pl_checking *c, struct pl_ref_check *rc, const struct look *l,
		     struct pleach_error *error)
{
	char path[PLEACH_REF_MAX + 64], hex[PL_ID_HEX + 1];

	c->generation = l->head;
	(void)snprintf(path, sizeof(path), "%s/public/tree", rc->path);
	if (l->public < 0)
		return pl_checking_fault(c, error, "public", path, "is no public symlink");
	if (l->public == 0)
		return pl_checking_fault(c, error, "public", path,
					 "is missing: the head is not shown");
	if (pl_id_equal(&l->tree, &l->shown))
		return pl_checking_fault(c, error, "public", path, "leads to what is not there");
	return pl_checking_fault(c, error, "public", path,
				 "does not lead to tree %s, which is that of the head",
				 pl_id_hex(&l->tree, hex));
}

/* What is shown is behind what looks like the head. */
static int tell_lost(struct pl_checking *c, struct pl_ref_check *rc, const struct look *l,
		     struct pleach_error *error)
{
	char name[40];
	int r;

	(void)snprintf(name, sizeof(name), "gen/%llu", (unsigned long long)l->head + 1);
	c->generation = l->head + 1;
	r = pl_checking_fault_at(c, rc, "record", name,
				 "is missing, and a generation from there on is shown", error);
	c->generation = 0;
	return r;
}

static int tell(struct pl_checking *c, struct pl_ref_check *rc, const struct look *l,
		struct pleach_error *error)
{
	int r;

	if (!l->agrees && pl_public_check_head(&rc->ref, l->head, NULL) == -EBADMSG)
		return tell_lost(c, rc, l, error);
	(void)pl_checking_about(c, PL_SUBJECT_PUBLIC, &l->tree, 0);
	r = l->agrees ? 0 : tell_tree(c, rc, l, error);
	c->generation = 0;
	if (r >= 0 && l->state != PL_PUBLIC_OK)
		r = pl_checking_add(c, error, false, "public", rc->ref.name, "%s", /* S2 */
				    l->state == PL_PUBLIC_MISSING
					    ? "is missing; the next publish makes it"
					    : "is not ours, and does not show the ref");
	(void)pl_checking_about(c, PL_SUBJECT_OTHER, NULL, 0);
	return r;
}

int pl_checking_public(struct pl_checking *c, struct pl_ref_check *rc, struct pleach_error *error)
{
	int64_t end = pl_clock_monotonic_ms() + WAIT_MS;
	struct look first, second;
	int r;

	if (pl_ref_is_masked(&rc->ref, NULL) == 1) /* S1 */
		return pl_checking_add(c, error, false, "public", rc->ref.name,
				       "is not seen from inside of a transaction on it");
	r = look(c, rc, &first, error);
	while (r == 1 && !rc->is_dropped && !is_well(&first)) {
		bool was_locked = is_locked(rc);

		r = look(c, rc, &second, error);
		if (r == 1 && !was_locked && is_same(&first, &second))
			return tell(c, rc, &second, error);
		first = second;
		if (r == 1)
			r = pl_store_check_cancel(c->store, error) < 0 ? -EINTR : 1;
		if (r == 1 && pl_clock_monotonic_ms() > end)
			return pl_checking_add(c, error, false, "public", rc->ref.name,
					       "is being published all the time");
		if (was_locked)
			pl_sleep_ms(PAUSE_MS);
	}
	return r < 0 ? r : 0;
}
