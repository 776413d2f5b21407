/*
 * Pins: a shared lock on trees/<id>/pin keeps the tree placed, the exclusive one lets it be taken away.
 *
 * I1  A pin is believed only after a second look, made with the lock held: the name leads to the locked
 *     inode. Without it:
 *        1. A opens the pin file.    2. B, with the exclusive lock, moves trees/<id>/ away and unlocks.
 *        3. A gets the shared lock, on a file that stands for nothing any more.
 *     (model/trees.pml, control NO_PIN_LOOK)
 * I2  Nobody waits for a pin while holding anything: pins are tried.
 */
#include <fcntl.h>
#include <stdio.h>

#include "ref/ref.h"

#define WAIT_MS	 10000
#define PAUSE_MS 5

static int pin(struct pl_store *store, const struct pl_id *tree, enum pl_lock_kind kind,
	       struct pl_pin *ret_pin, struct pleach_error *error)
{
	struct pl_pin p = {.fd = -EBADF, .treedir_fd = -EBADF, .tree = *tree};
	char hex[PL_ID_HEX + 1], name[PL_ID_HEX + 8];
	int r;

	snprintf(name, sizeof(name), "%s/pin", pl_id_hex(tree, hex));
	p.treedir_fd = pl_treedir_open(store, tree);
	if (p.treedir_fd == -ENOENT)
		return PL_PIN_ABSENT;
	r = p.treedir_fd;
	if (r >= 0) {
		p.fd = pl_open(p.treedir_fd, "pin", kind == PL_LOCK_SHARED ? O_RDONLY : O_RDWR);
		r = p.fd;
	}
	if (r >= 0)
		r = pl_lock_try(p.fd, kind);
	if (r == 0) {
		pl_pin_done(&p);
		return PL_PIN_BUSY;
	}
	if (r > 0 && pl_seam_guards(PL_GUARD_PIN_VERIFY))
		r = pl_lock_is_current(p.fd, store->trees_fd, name); /* I1 */
	if (r == 0 || r == -ENOENT) {
		pl_pin_done(&p);
		return PL_PIN_ABSENT;
	}
	if (r > 0)
		r = pl_placing_find(p.treedir_fd, &p.k);
	if (r < 0) {
		pl_pin_done(&p);
		return pl_fail_sys(error, r, "cannot pin tree %s", hex);
	}
	*ret_pin = p;
	return PL_PIN_TAKEN;
}

int pl_pin_try(struct pl_store *store, const struct pl_id *tree, struct pl_pin *ret_pin,
	       struct pleach_error *error)
{
	return pin(store, tree, PL_LOCK_SHARED, ret_pin, error);
}

int pl_pin_try_exclusive(struct pl_store *store, const struct pl_id *tree, struct pl_pin *ret_pin,
			 struct pleach_error *error)
{
	return pin(store, tree,
		   pl_seam_guards(PL_GUARD_PIN_EXCLUSIVE) ? PL_LOCK_EXCLUSIVE : PL_LOCK_SHARED,
		   ret_pin, error);
}

int pl_pin_wait(struct pl_store *store, const struct pl_id *tree, struct pl_pin *ret_pin,
		struct pleach_error *error)
{
	int64_t end = pl_clock_monotonic_ms() + WAIT_MS;
	char hex[PL_ID_HEX + 1];
	int r;

	while ((r = pl_pin_try(store, tree, ret_pin, error)) == PL_PIN_BUSY) {
		int cancelled = pl_store_check_cancel(store, error);

		if (cancelled < 0)
			return cancelled;
		if (pl_clock_monotonic_ms() > end)
			return pl_fail(error, PLEACH_BUSY, -EBUSY,
				       "tree %s is being taken away, for too long",
				       pl_id_hex(tree, hex));
		pl_sleep_ms(PAUSE_MS);
	}
	return r;
}

void pl_pin_done(struct pl_pin *p)
{
	pl_closep(&p->fd);
	pl_closep(&p->treedir_fd);
}

int pl_pin_is_held(struct pl_store *store, const struct pl_id *tree)
{
	PL_CLOSE int treedir = pl_treedir_open(store, tree);
	PL_CLOSE int fd = treedir < 0 ? treedir : pl_open(treedir, "pin", O_RDONLY);

	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	return pl_lock_is_held(fd, PL_LOCK_EXCLUSIVE);
}
