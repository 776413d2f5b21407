/*
 * A directory below tx/ for everything unfinished of one process: made and locked, with what it is
 * for, its claims, its sync point. Directories of dead processes are txdir_recover.c's, the lock is
 * lockdir.c's, what lies inside is its owner's.
 *
 * X1  sync_fd was opened before anything is written: an error of writing back that happens while the
 *     transaction runs is then reported by its syncfs, and by none that came before.
 * X2  Claims are whole entries of 33 bytes, but for the last. After one could not be written nothing
 *     is appended any more, or the later ones would be read out of step.
 */
#include <fcntl.h>
#include <stdio.h>

#include "ref/ref.h"

#define TRIES	   100
#define WHAT_MAX   255
#define CLAIM_SIZE 33 /* kind, id */
#define PARKED	   "parked"

/* A directory of our own, whatever recovery does beside us. */
static int make_dir(struct pl_store *store, char id[25], struct pl_lockdir *ret_dir)
{
	int r = -ESTALE;

	for (int i = 0; i < TRIES && (r == -ESTALE || r == -EEXIST); i++) {
		r = pl_random_name(id);
		if (r == 0)
			r = pl_lockdir_make(store->tx_fd, id, ret_dir);
	}
	return r;
}

/* One line, for status. */
static int write_what(int fd, const char *what)
{
	char line[WHAT_MAX + 1];
	int n = snprintf(line, sizeof(line), "%s", what);

	pl_assert(n >= 0);
	for (char *c = line; *c; c++) {
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = '?';
	}
	return pl_write_file(fd, "what", 0600, line, strlen(line), false);
}

int pl_txdir_begin(struct pl_store *store, const char *what, struct pl_txdir *ret_tx,
		   struct pleach_error *error)
{
	struct pl_txdir tx = {.store = store, .claims_fd = -EBADF};
	struct pl_lockdir dir = PL_LOCKDIR_NONE;
	int r;

	if (store->tx_fd < 0)
		return pl_store_must_read(store, error);
	tx.sync_fd = pl_open_dir(store->fd, "."); /* X1 */
	if (tx.sync_fd < 0)
		return pl_fail_sys(error, tx.sync_fd, "cannot open '%s/.pleach'", store->path);
	r = make_dir(store, tx.id, &dir);
	if (r < 0) {
		pl_close(tx.sync_fd);
		return pl_fail_sys(error, r, "cannot make a directory in '%s/.pleach/tx'",
				   store->path);
	}
	tx.fd = dir.fd;
	tx.lock_fd = dir.lock_fd;
	r = write_what(tx.fd, what);
	if (r < 0) {
		pl_txdir_end(&tx);
		return pl_fail_sys(error, r, "cannot write in '%s/.pleach/tx'", store->path);
	}
	*ret_tx = tx;
	return 0;
}

void pl_txdir_end(struct pl_txdir *tx)
{
	struct pl_lockdir dir = {.fd = tx->fd, .lock_fd = tx->lock_fd};

	pl_assert(tx->store && strlen(tx->id) == 24);
	pl_closep(&tx->claims_fd);
	pl_closep(&tx->sync_fd);
	(void)pl_lockdir_erase(tx->store->tx_fd, tx->id, &dir);
	tx->fd = tx->lock_fd = -EBADF;
	tx->store = NULL;
}

void pl_txdir_leave(struct pl_txdir *tx)
{
	struct pl_lockdir dir = {.fd = tx->fd, .lock_fd = tx->lock_fd};

	pl_assert(tx->store && strlen(tx->id) == 24);
	pl_closep(&tx->claims_fd);
	pl_closep(&tx->sync_fd);
	pl_lockdir_close(&dir);
	tx->fd = tx->lock_fd = -EBADF;
	tx->store = NULL;
}

/* The mark gets its name with its time in it: without, it would be parked for no time at all. */
int pl_txdir_park(struct pl_txdir *tx, const struct timespec *deadline, struct pleach_error *error)
{
	char name[32];
	int r;

	pl_txdir_name(tx, "parking", name);
	r = pl_write_file(tx->fd, name, 0600, "", 0, false);
	if (r >= 0)
		r = pl_utimens_at(tx->fd, name, deadline->tv_sec, (uint32_t)deadline->tv_nsec);
	if (r >= 0)
		r = pl_fsync_at(tx->fd, name);
	if (r >= 0)
		r = pl_rename(tx->fd, name, tx->fd, PARKED);
	if (r >= 0)
		r = pl_store_sync(tx->store, tx->fd);
	if (r >= 0)
		r = pl_store_sync(tx->store, tx->store->tx_fd);
	return r < 0 ? pl_fail_sys(error, r, "cannot park transaction %s", tx->id) : 0;
}

void pl_txdir_unpark(struct pl_txdir *tx)
{
	(void)pl_unlink(tx->fd, PARKED);
}

int pl_txdir_deadline(int fd, struct timespec *ret_deadline)
{
	struct stat st;
	int r = pl_lstat(fd, PARKED, &st);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	*ret_deadline = st.st_mtim;
	return 1;
}

void pl_txdir_name(struct pl_txdir *tx, const char *prefix, char ret_name[32])
{
	int n = snprintf(ret_name, 32, "%s%u", prefix, tx->serial++);

	pl_assert(n > 0 && n < 32);
}

/* Behind the claims of an earlier process, of a transaction that was parked. One that it was killed in the
 * middle of is taken off: it relied on nothing yet. */
static int reopen_claims(struct pl_txdir *tx)
{
	PL_CLOSE int fd = pl_open(tx->fd, "claims", O_WRONLY | O_APPEND);
	struct stat st;
	int r = fd < 0 ? fd : pl_fstat(fd, &st);

	if (r >= 0 && st.st_size % CLAIM_SIZE != 0)
		r = pl_truncate(fd, (uint64_t)(st.st_size - st.st_size % CLAIM_SIZE));
	return r < 0 ? r : pl_take_fd(&fd);
}

/* The descriptor, or an error. */
static int open_claims(struct pl_txdir *tx)
{
	if (tx->claims_fd == -EBADF) {
		tx->claims_fd = pl_create(tx->fd, "claims", 0600);
		if (tx->claims_fd == -EEXIST)
			tx->claims_fd = reopen_claims(tx);
	}
	return tx->claims_fd;
}

/* Where the file stands cannot be told any more. (X2) */
static int give_up_claims(struct pl_txdir *tx, int r, struct pleach_error *error)
{
	if (tx->claims_fd >= 0)
		pl_close(tx->claims_fd);
	tx->claims_fd = r;
	pl_assert(tx->claims_fd != -EBADF);
	return pl_fail_sys(error, r, "cannot write in '%s/.pleach/tx'", tx->store->path);
}

int pl_txdir_claim_all(struct pl_txdir *tx, char kind, const struct pl_id *ids, size_t n,
		       struct pleach_error *error)
{
	unsigned char entries[CLAIM_SIZE * PL_CLAIMS_AT_ONCE];
	int r;

	pl_assert(kind == 'o' || kind == 'n' || kind == 't');
	pl_assert(n > 0 && n <= PL_CLAIMS_AT_ONCE);
	if (!pl_seam_guards(PL_GUARD_CLAIM))
		return 0;
	r = open_claims(tx);
	for (size_t i = 0; i < n; i++) {
		entries[CLAIM_SIZE * i] = (unsigned char)kind;
		memcpy(entries + CLAIM_SIZE * i + 1, ids[i].bytes, sizeof(ids[i].bytes));
	}
	if (r >= 0)
		r = pl_write_full(tx->claims_fd, entries, CLAIM_SIZE * n);
	if (r == 0 && !tx->store->fs.is_local)
		r = pl_fsync(tx->claims_fd);
	return r == 0 ? 0 : give_up_claims(tx, r, error);
}

int pl_txdir_claim(struct pl_txdir *tx, char kind, const struct pl_id *id,
		   struct pleach_error *error)
{
	return pl_txdir_claim_all(tx, kind, id, 1, error);
}

/* ---- claims, read ---- */

static int each_claim_in(int fd, pl_claim_fn fn, void *self, struct pleach_error *error)
{
	unsigned char entries[CLAIM_SIZE * 2048];
	ssize_t n = 0;
	int r = 0;

	while (r >= 0 && (n = pl_read_full(fd, entries, sizeof(entries))) > 0) {
		for (ssize_t i = 0; r >= 0 && i + CLAIM_SIZE <= n; i += CLAIM_SIZE) { /* X2 */
			struct pl_id id;

			memcpy(id.bytes, entries + i + 1, sizeof(id.bytes));
			r = fn(self, (char)entries[i], &id, error);
		}
	}
	return r < 0 ? r : n < 0 ? pl_fail_sys(error, (int)n, "cannot read claims") : 0;
}

static int claim_too(void *self, char kind, const struct pl_id *id, struct pleach_error *error)
{
	return pl_txdir_claim(self, kind, id, error);
}

int pl_txdir_keep_claims(struct pl_txdir *from, struct pl_txdir *to, struct pleach_error *error)
{
	PL_CLOSE int fd = pl_open(from->fd, "claims", O_RDONLY);

	if (fd == -ENOENT)
		return 0;
	if (fd < 0)
		return pl_fail_sys(error, fd, "cannot keep what transaction %s has written",
				   to->id);
	return each_claim_in(fd, claim_too, to, error);
}

int pl_txdir_each_claim(struct pl_store *store, pl_claim_fn fn, void *self,
			struct pleach_error *error)
{
	struct pl_listing listing = {0};
	int r = pl_list(store->tx_fd, &listing);

	if (r < 0)
		pl_fail_sys(error, r, "cannot list '%s/.pleach/tx'", store->path);
	for (size_t i = 0; r >= 0 && i < listing.n; i++) {
		PL_CLOSE int dir = pl_open_dir(store->tx_fd, listing.entries[i].name);
		PL_CLOSE int fd = dir < 0 ? dir : pl_open(dir, "claims", O_RDONLY);

		if (fd >= 0) {
			r = each_claim_in(fd, fn, self, error);
			pl_seam_point(PL_POINT_CLAIMS_READ);
		} else if (fd != -ENOENT && fd != -ENOTDIR) {
			r = pl_fail_sys(error, fd, "cannot read the claims of transaction %s",
					listing.entries[i].name);
		}
	}
	pl_listing_done(&listing);
	return r < 0 ? r : 0;
}

bool pl_txdir_must_fsync(const struct pl_txdir *tx)
{
	return pl_store_must_fsync(tx->store);
}

int pl_txdir_sync(struct pl_txdir *tx, struct pleach_error *error)
{
	int r = pl_store_sync_all(tx->store, tx->sync_fd);

	return r < 0 ? pl_fail_sys(error, r, "cannot sync '%s/.pleach'", tx->store->path) : 0;
}
