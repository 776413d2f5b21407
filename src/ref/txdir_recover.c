/*
 * The directories below tx/ of all processes: which are in use, dead or parked, and removing the dead
 * ones. Nothing of a dead one is ever finished here: what was past its commit point is finished by
 * whoever takes the ref's lock (public.c).
 *
 * R1  What is held is not looked into, and not touched.
 * R2  A parked one is held by nobody and not dead until its time is over, by the file system's clock.
 *     What cannot be told counts as parked.
 * R3  Names that are not of our making stay (G7).
 * R4  The directory of a checkout lies where its user named it and holds his work: no clock takes that away. It
 *     stays, and the event says where.
 * R5  A parked one is not locked to find that it is parked, not for a moment: whoever goes on with it just then
 *     would be told that it is in use.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "ref/ref.h"

/* What it was for, as far as that can be read. */
static void read_what(int fd, char ret_what[256])
{
	PL_BUFFER b = {0};
	const char *what = "?";

	if (fd >= 0 && pl_read_file(fd, "what", 255, &b) == 0 && pl_buffer_string(&b)[0])
		what = pl_buffer_string(&b);
	(void)snprintf(ret_what, 256, "%s", what);
	for (char *c = ret_what; *c; c++) {
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = '?';
	}
}

enum parking { NOT_PARKED, IS_PARKED, HAS_EXPIRED };

/* An enum parking, or an error. `may_guess`: not to remove by (R2). */
static int look_at_parking(const struct pl_store *store, int fd, bool may_guess)
{
	struct timespec deadline, now;
	int r = pl_txdir_deadline(fd, &deadline);

	if (r == 0)
		return NOT_PARKED;
	if (r > 0)
		r = pl_store_clock(store, may_guess, &now);
	if (r < 0)
		return r;
	return pl_time_is_before(&now, &deadline) ? IS_PARKED : HAS_EXPIRED;
}

/* A ref that was begun for it, and has no generation, shows nothing again. False: not now. */
static bool withdraw_public(struct pl_store *store, const char *id, int fd)
{
	struct pl_tx_note note;
	struct pl_ref ref;
	int r = pl_tx_note_read(fd, id, &note, NULL);

	if (r < 0)
		return true;
	r = note.base > 0 ? -ENOENT : pl_ref_open(store, note.ref, &ref, NULL);
	if (r >= 0) {
		if (strcmp(ref.id, note.ref_id) == 0)
			r = pl_ref_try_lock(&ref, NULL);
		else
			r = -ENOENT;
		if (r > 0)
			pl_public_withdraw(&ref, id);
		pl_ref_unlock(&ref);
		pl_ref_close(&ref);
	}
	pl_tx_note_done(&note);
	return r != 0;
}

/* R4. Where the checkout of a dead one still lies, or NULL; the caller's to free. */
static char *find_checkout(const char *id, int fd)
{
	struct pl_identity identity;
	struct pl_tx_note note;
	char *path = NULL;
	struct stat st;

	if (pl_tx_note_read(fd, id, &note, NULL) < 0)
		return NULL;
	if (note.checkout && pl_lstat(AT_FDCWD, note.checkout, &st) >= 0 &&
	    pl_identity_of_dir(AT_FDCWD, note.checkout, st.st_dev, &identity) == 1 &&
	    pl_identity_equal(&identity, &note.checkout_identity))
		path = strdup(note.checkout);
	pl_tx_note_done(&note);
	return path;
}

/* R5: without the lock, so that only a yes is worth anything, and that until its time is over. */
static bool is_parked(const struct pl_store *store, const char *name)
{
	PL_CLOSE int fd = pl_open_dir(store->tx_fd, name);

	return fd >= 0 && look_at_parking(store, fd, false) == IS_PARKED;
}

/* Removes one if it is dead: 1. 0 if not, if it was empty, or could not be removed. Errors: of locking. */
static int recover_one(struct pl_store *store, const char *name)
{
	struct pl_lockdir dir;
	PL_FREE char *checkout = NULL;
	bool is_begun;
	char what[256];
	int parking, r;

	if (is_parked(store, name))
		return 0;
	r = pl_lockdir_take_in_store(store->tx_fd, name, &dir); /* R1 */
	if (r <= 0)
		return r;
	parking = look_at_parking(store, dir.fd, false);
	if (parking != NOT_PARKED && parking != HAS_EXPIRED) { /* R2 */
		pl_lockdir_close(&dir);
		return 0;
	}
	if (!withdraw_public(store, name, dir.fd)) {
		pl_lockdir_close(&dir);
		return 0;
	}
	/* Without it nothing else is there: its maker may live, and begins again (lockdir.c). */
	is_begun = pl_exists(dir.fd, "what") == 1;
	read_what(dir.fd, what);
	checkout = find_checkout(name, dir.fd);
	r = pl_lockdir_erase(store->tx_fd, name, &dir);
	if (r < 0 || !is_begun)
		return 0; /* the next one tries again; or nobody has lost anything */
	if (parking == HAS_EXPIRED)
		pl_event_add(store, name, "removed \"%s\", whose time was over", what);
	else
		pl_event_add(store, name, "removed what a killed \"%s\" had left", what);
	if (checkout)
		pl_event_add(store, name, "kept: %s, where somebody may have worked on it",
			     checkout);
	return 1;
}

static bool cannot_lock(int r)
{
	return r == -ENOLCK || r == -ENOSYS || r == -EOPNOTSUPP || r == -EINVAL;
}

int pl_txdir_recover(struct pl_store *store, const struct pl_txdir *own, unsigned *ret_n,
		     struct pleach_error *error)
{
	struct pl_listing listing = {0};
	unsigned n = 0;
	int r = 0;

	if (store->tx_fd < 0 || pl_list(store->tx_fd, &listing) < 0) {
		*ret_n = 0;
		return 0;
	}
	for (size_t i = 0; i < listing.n && !cannot_lock(r); i++) {
		const char *name = listing.entries[i].name;

		if (!pl_is_random_name(name) || (own && strcmp(name, own->id) == 0)) /* R3 */
			continue;
		r = recover_one(store, name);
		n += r == 1;
	}
	pl_listing_done(&listing);
	if (cannot_lock(r))
		return pl_fail_sys(error, r, "cannot lock files in '%s/.pleach/tx'", store->path);
	*ret_n = n;
	return 0;
}

/* ---- listing ---- */

/* 1 and what it is; 0: it is gone, or not yet there. */
static int look(struct pl_store *store, const char *name, struct pl_txdir_info *ret_info)
{
	PL_CLOSE int fd = pl_open_dir(store->tx_fd, name);
	PL_CLOSE int lock_fd = -EBADF;
	struct pl_txdir_info info = {.state = PL_TX_OPEN};
	int is_held, parking;

	if (fd < 0)
		return fd == -ENOENT || fd == -ENOTDIR ? 0 : fd;
	lock_fd = pl_open(fd, "lock", 0);
	if (lock_fd < 0)
		return lock_fd == -ENOENT ? 0 : lock_fd;
	is_held = pl_lock_is_held(lock_fd, PL_LOCK_EXCLUSIVE);
	parking = look_at_parking(store, fd, true);
	if (is_held < 0 || parking < 0)
		return is_held < 0 ? is_held : parking;
	if (!is_held)
		info.state = parking == IS_PARKED     ? PL_TX_PARKED
			     : parking == HAS_EXPIRED ? PL_TX_EXPIRED
						      : PL_TX_DEAD;
	memcpy(info.id, name, sizeof(info.id));
	read_what(fd, info.what);
	*ret_info = info;
	return 1;
}

int pl_txdir_list(struct pl_store *store, struct pl_txdir_info **ret_infos, size_t *ret_n,
		  struct pleach_error *error)
{
	struct pl_txdir_info *infos = NULL;
	struct pl_listing listing = {0};
	size_t n = 0, capacity = 0;
	int r;

	if (store->tx_fd < 0)
		return pl_store_must_read(store, error);
	r = pl_list(store->tx_fd, &listing);
	for (size_t i = 0; r >= 0 && i < listing.n; i++) {
		if (!pl_is_random_name(listing.entries[i].name))
			continue;
		r = PL_ARRAY_GROW(infos, capacity, n);
		if (r == 0)
			r = look(store, listing.entries[i].name, &infos[n]);
		n += r == 1;
	}
	pl_listing_done(&listing);
	if (r < 0) {
		free(infos);
		return pl_fail_sys(error, r, "cannot read '%s/.pleach/tx'", store->path);
	}
	*ret_infos = infos;
	*ret_n = n;
	return 0;
}

/* ---- going on with a parked one ---- */

static int fail_unknown(const char *id, struct pleach_error *error)
{
	pl_fail_not_found(error, "no transaction '%s'", id);
	pl_hint(error, "pleach status lists those that are there; an expired one is gone");
	return -ENOENT;
}

/* The one id of tx/ that begins with `id` and is parked, or held. */
static int find_parked(struct pl_store *store, const char *id, char ret_id[25],
		       struct pleach_error *error)
{
	struct pl_txdir_info *infos = NULL;
	size_t n = 0, found = 0;
	int r = pl_txdir_list(store, &infos, &n, error);

	for (size_t i = 0; r >= 0 && i < n; i++) {
		if (strncmp(infos[i].id, id, strlen(id)) != 0 || infos[i].state == PL_TX_DEAD ||
		    infos[i].state == PL_TX_EXPIRED)
			continue;
		memcpy(ret_id, infos[i].id, sizeof(infos[i].id));
		found++;
	}
	if (r >= 0)
		free(infos);
	if (r >= 0 && found == 0)
		return fail_unknown(id, error);
	if (found > 1)
		return pl_fail_usage(error, "'%s' is the beginning of more than one transaction",
				     id);
	return r;
}

int pl_txdir_open_parked(struct pl_store *store, const char *id, struct pl_txdir *ret_tx,
			 struct pleach_error *error)
{
	struct pl_txdir tx = {.store = store, .claims_fd = -EBADF};
	struct pl_lockdir dir;
	int r;

	if (store->tx_fd < 0)
		return pl_store_must_read(store, error);
	if (strlen(id) == 0 || strlen(id) > 24 || !pl_is_hex(id, strlen(id)))
		return fail_unknown(id, error);
	r = find_parked(store, id, tx.id, error);
	if (r < 0)
		return r;
	/* Names that an earlier process was killed in the middle of are not given again: not even one that
	 * ended a moment ago, so that no clock will do. */
	r = pl_random(&tx.serial, sizeof(tx.serial));
	tx.serial &= 0x3fffffff;
	if (r < 0)
		return pl_fail_sys(error, r, "cannot get random bytes");
	tx.sync_fd = pl_open_dir(store->fd, ".");
	if (tx.sync_fd < 0)
		return pl_fail_sys(error, tx.sync_fd, "cannot open '%s/.pleach'", store->path);
	r = pl_lockdir_take(store->tx_fd, tx.id, &dir);
	if (r == 1 && look_at_parking(store, dir.fd, false) != IS_PARKED) {
		pl_lockdir_close(&dir);
		r = -ENOENT;
	}
	if (r != 1)
		pl_close(tx.sync_fd);
	if (r == -ENOENT)
		return fail_unknown(id, error);
	if (r < 0)
		return pl_fail_sys(error, r, "cannot open transaction %s", tx.id);
	if (r == 0) {
		pl_fail(error, PLEACH_BUSY, -EBUSY, "transaction %s is in use", tx.id);
		pl_hint(error, "a workspace has one writer at a time");
		return -EBUSY;
	}
	tx.fd = dir.fd;
	tx.lock_fd = dir.lock_fd;
	*ret_tx = tx;
	return 0;
}
