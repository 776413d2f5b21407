/*
 * Refs: their directories, their locks.
 *
 * A ref's directory is made whole in tx/ and renamed; from then on nothing in it is replaced but
 * public/tree, config and tags, each by rename. Only `drop` takes it away, under its lock.
 *
 * I1  After the ref lock is taken, refs/<name>/lock still leads to the locked inode; else the ref was
 *     dropped (and maybe made anew) meanwhile, and the caller begins again.
 */
#include <fcntl.h>
#include <stdio.h>

#include "ref/ref.h"

#define ID_LENGTH 24

int pl_ref_read_id(struct pl_ref *ref)
{
	PL_BUFFER b = {0};
	int r = pl_read_file(ref->fd, "id", 64, &b);

	if (r < 0)
		return r;
	if (b.length != ID_LENGTH + 1 || b.data[ID_LENGTH] != '\n' ||
	    !pl_is_hex((const char *)b.data, ID_LENGTH))
		return -EBADMSG;
	memcpy(ref->id, b.data, ID_LENGTH);
	ref->id[ID_LENGTH] = '\0';
	return 0;
}

void pl_ref_hint_damaged(struct pleach_error *error, const char *ref, const char *name)
{
	char path[PLEACH_REF_MAX + 320];

	(void)snprintf(path, sizeof(path), ".pleach/refs/%s/%.256s", ref, name);
	pl_error_path(error, path);
	pl_hint(error,
		"it is %s; pleach check tells what that hurts, pleach check --repair mends it "
		"where "
		"it can, --from a copy of the store",
		path);
}

/* Settings of the ref: config may be missing. */
static int read_config(struct pl_ref *ref, struct pleach_error *error)
{
	PL_BUFFER b = {0};
	int r = pl_read_file(ref->fd, "config", PL_TEXT_MAX, &b);

	if (r < 0 && r != -ENOENT)
		return pl_fail_sys(error, r, "cannot read the settings of '%s'", ref->name);
	if (r >= 0)
		r = pl_values_decode(b.data, b.length, &ref->values);
	if (r < 0 && r != -ENOENT) {
		pl_fail_corrupt(error, "the settings of '%s' do not verify", ref->name);
		pl_ref_hint_damaged(error, ref->name, "config");
		return -EBADMSG;
	}
	return pl_settings_resolve(&ref->store->values, &ref->values, &ref->settings, error);
}

static int fail_damaged(const char *name, int r, struct pleach_error *error)
{
	if (r == -EBADMSG || r == -ENOENT) {
		pl_fail_corrupt(error, "ref '%s' is damaged: its id cannot be read", name);
		pl_ref_hint_damaged(error, name, "id");
		return -EBADMSG;
	}
	return pl_fail_sys(error, r, "cannot open ref '%s'", name);
}

int pl_ref_is_current(const struct pl_ref *ref)
{
	/* Opened, not only looked at: over NFS that asks the server. */
	PL_CLOSE int now = pl_open_dir(ref->store->refs_fd, ref->name);
	struct stat here, there;
	int r = now;

	if (r >= 0)
		r = pl_fstat(now, &there);
	if (r >= 0)
		r = pl_fstat(ref->fd, &here);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	return pl_same_inode(&here, &there);
}

/* 0; 1: what is there is no ref; -ENOENT, without a text: there is nothing, or it goes just now. */
static int ref_open(struct pl_store *store, const char *name, struct pl_ref *ret_ref,
		    struct pleach_error *error)
{
	struct pl_ref ref = {.store = store, .fd = -EBADF, .gen_fd = -EBADF, .lock_fd = -EBADF};
	int r;

	pl_assert(strlen(name) <= PLEACH_REF_MAX);
	memcpy(ref.name, name, strlen(name) + 1);
	ref.fd = pl_open_dir(store->refs_fd, name);
	if (ref.fd == -ENOENT)
		return -ENOENT; /* the caller says so, or makes it */
	if (ref.fd == -ENOTDIR && pl_ref_is_stranger(store, name))
		return 1;
	if (ref.fd == -ENOTDIR)
		return fail_damaged(name, -EBADMSG, error);
	if (ref.fd < 0)
		return pl_fail_sys(error, ref.fd, "cannot open ref '%s'", name);
	r = pl_ref_read_id(&ref);
	if (r >= 0)
		ref.gen_fd = pl_open_dir(ref.fd, "gen");
	if (r >= 0 && ref.gen_fd < 0)
		r = ref.gen_fd;
	/* 1. it is opened, 2. it is dropped, moved away and erased, 3. its id is not there. */
	if (r == -ENOENT && pl_ref_is_current(&ref) == 0) {
		pl_ref_close(&ref);
		return -ENOENT;
	}
	if (r == -ENOENT && pl_ref_is_stranger(store, name)) {
		pl_ref_close(&ref);
		return 1;
	}
	if (r < 0)
		r = fail_damaged(name, r, error);
	else
		r = read_config(&ref, error);
	if (r < 0) {
		pl_ref_close(&ref);
		return r == -ENOENT ? -EBADMSG : r;
	}
	*ret_ref = ref;
	return 0;
}

static int check_name(const char *name, struct pleach_error *error)
{
	if (pl_ref_name_is_valid(name))
		return 0;
	pl_fail_usage(error, "'%s' is no name for a ref", name);
	pl_hint(error,
		"a name begins with a letter or digit, goes on with letters, digits, '.', '_' or "
		"'-', has at most 100 bytes, does not end in '.lock' and is not 'tree'");
	return -EINVAL;
}

int pl_ref_open(struct pl_store *store, const char *name, struct pl_ref *ret_ref,
		struct pleach_error *error)
{
	int r = check_name(name, error);

	if (r < 0)
		return r;
	r = ref_open(store, name, ret_ref, error);
	if (r != -ENOENT && r != 1)
		return r;
	pl_fail_not_found(error, "no ref '%s' in this store", name);
	if (r == 1)
		pl_hint(error,
			"what lies at '.pleach/refs/%s' is no ref; pleach check --repair sets it "
			"aside",
			name);
	return -ENOENT;
}

/* One file or directory of a new ref. */
static int make_part(int fd, const char *name, mode_t mode, bool is_dir)
{
	PL_CLOSE int part = -EBADF;
	int r;

	if (!is_dir)
		return pl_write_file(fd, name, mode, "", 0, false);
	r = pl_mkdir(fd, name, mode);
	if (r < 0)
		return r;
	part = pl_open_dir(fd, name);
	return part < 0 ? part : pl_chmod(part, mode);
}

static int make_ref(struct pl_txdir *tx, int fd)
{
	static const struct {
		const char *name;
		mode_t mode;
		bool is_dir;
	} parts[] = {{"public", 0755, true}, {"gen", 0755, true},      {"shown", 0755, true},
		     {"tags", 0755, true},   {"attached", 0755, true}, {"dropped", 0755, true},
		     {"queue", 0700, true},  {"lock", 0600, false}};
	char id[ID_LENGTH + 2];
	int r = pl_random_name(id);

	if (r < 0)
		return r;
	id[ID_LENGTH] = '\n';
	/* Before the ref has its name, whatever the way of syncing: the round of sync comes later. */
	r = pl_write_file(fd, "id", 0644, id, ID_LENGTH + 1, tx->store->settings.durable);
	for (size_t i = 0; r >= 0 && i < PL_ARRAY_LEN(parts); i++)
		r = make_part(fd, parts[i].name, parts[i].mode, parts[i].is_dir);
	if (r >= 0)
		r = pl_chmod(fd, 0755);
	return r < 0 ? r : pl_store_sync(tx->store, fd);
}

/* 0 also where another one was faster: both are refs, and the name leads to one of them. */
static int create_ref(struct pl_txdir *tx, const char *name)
{
	char unfinished[32];
	PL_CLOSE int fd = -EBADF;
	int r;

	pl_txdir_name(tx, "ref", unfinished);
	r = pl_mkdir(tx->fd, unfinished, 0755);
	if (r < 0)
		return r;
	fd = pl_open_dir(tx->fd, unfinished);
	r = fd < 0 ? fd : make_ref(tx, fd);
	if (r >= 0)
		r = pl_rename_new(tx->fd, unfinished, tx->store->refs_fd, name);
	if (r == -EEXIST)
		return 0;
	return r < 0 ? r : pl_store_sync(tx->store, tx->store->refs_fd);
}

static int fail_stranger(const struct pl_store *store, const char *name, struct pleach_error *error)
{
	pl_fail(error, PLEACH_FAILED, -EEXIST,
		"cannot make ref '%s': '%s/.pleach/refs/%s' is not ours", name, store->path, name);
	pl_hint(error, "pleach check --repair sets it aside");
	return -EEXIST;
}

int pl_ref_open_or_create(struct pl_txdir *tx, const char *name, struct pl_ref *ret_ref,
			  struct pleach_error *error)
{
	int r = check_name(name, error);

	if (r < 0)
		return r;
	/* Bounded: a ref that is dropped between the two calls is made again. */
	for (unsigned i = 0; i < 16; i++) {
		r = ref_open(tx->store, name, ret_ref, error);
		if (r == 1)
			return fail_stranger(tx->store, name, error);
		if (r != -ENOENT)
			return r;
		r = create_ref(tx, name);
		if (r < 0)
			return pl_fail_sys(error, r, "cannot make ref '%s'", name);
	}
	return pl_fail(error, PLEACH_BUSY, -EBUSY, "ref '%s' is dropped again and again", name);
}

void pl_ref_close(struct pl_ref *ref)
{
	pl_closep(&ref->fd);
	pl_closep(&ref->gen_fd);
	pl_closep(&ref->lock_fd);
	pl_values_done(&ref->values);
	*ref = (struct pl_ref){.fd = -EBADF, .gen_fd = -EBADF, .lock_fd = -EBADF};
}

static bool is_file_of_stranger(const struct pl_store *store, const struct pl_dirent *entry)
{
	return !pl_dirent_is(store->refs_fd, entry, S_IFDIR) &&
	       pl_ref_is_stranger(store, entry->name);
}

int pl_ref_list(struct pl_store *store, struct pl_strings *ret_names, struct pleach_error *error)
{
	struct pl_listing listing = {0};
	struct pl_strings names = {0};
	int r = pl_list(store->refs_fd, &listing);

	for (size_t i = 0; r >= 0 && i < listing.n; i++)
		if (pl_ref_name_is_valid(listing.entries[i].name) &&
		    !is_file_of_stranger(store, &listing.entries[i]))
			r = pl_strings_add(&names, listing.entries[i].name);
	pl_listing_done(&listing);
	if (r < 0) {
		pl_strings_done(&names);
		return pl_fail_sys(error, r, "cannot list the refs of %s", store->path);
	}
	*ret_names = names;
	return 0;
}

int pl_ref_each(struct pl_store *store, pl_ref_fn fn, void *self, struct pleach_error *error)
{
	struct pl_strings names = {0};
	int r = pl_ref_list(store, &names, error);

	for (size_t i = 0; r >= 0 && i < names.n; i++) {
		struct pl_ref ref;

		r = pl_ref_open(store, names.items[i], &ref, error);
		if (r == -ENOENT) {
			pl_error_clear(error);
			r = 0;
			continue;
		}
		if (r < 0)
			break;
		r = fn(self, &ref, error);
		pl_ref_close(&ref);
		if (r >= 0)
			r = pl_store_check_cancel(store, error);
	}
	pl_strings_done(&names);
	return r < 0 ? r : 0;
}

/* A ref that cannot be opened: may it be the one with this id? */
static bool may_have_id(struct pl_store *store, const char *name, const char *ref_id)
{
	struct pl_ref ref = {.fd = pl_open_dir(store->refs_fd, name)};
	bool may = ref.fd < 0 || pl_ref_read_id(&ref) < 0 || strcmp(ref.id, ref_id) == 0;

	pl_closep(&ref.fd);
	return may;
}

/* 1: it is the ref of that name, and open. 0: it is another, or there is none. */
static int open_if_id(struct pl_store *store, const char *name, const char *ref_id,
		      struct pl_ref *ret_ref, struct pleach_error *error)
{
	struct pl_ref ref;
	int r = ref_open(store, name, &ref, error);

	if (r == -EBADMSG && !may_have_id(store, name, ref_id)) {
		pl_error_clear(error);
		return 0;
	}
	if (r != 0)
		return r == -ENOENT || r == 1 ? 0 : r;
	if (strcmp(ref.id, ref_id) == 0) {
		*ret_ref = ref;
		return 1;
	}
	pl_ref_close(&ref);
	return 0;
}

int pl_ref_find_id(struct pl_store *store, const char *ref_id, const struct pl_ref *likely,
		   struct pl_ref *ret_ref, struct pleach_error *error)
{
	struct pleach_error cause = PLEACH_ERROR_INIT;
	struct pl_strings names = {0};
	bool is_any_damaged = false;
	int r = 0;

	if (likely && strcmp(likely->id, ref_id) == 0)
		r = open_if_id(store, likely->name, ref_id, ret_ref, error);
	if (r == 0)
		r = pl_ref_list(store, &names, error);
	for (size_t i = 0; r == 0 && i < names.n; i++) {
		r = open_if_id(store, names.items[i], ref_id, ret_ref, &cause);
		if (r == -EBADMSG) { /* it may be that one, if no other is */
			is_any_damaged = true;
			r = 0;
		}
	}
	pl_strings_done(&names);
	if (r == 0 && is_any_damaged)
		r = -EBADMSG;
	if (r < 0 && cause.code != PLEACH_OK && error)
		*error = cause;
	return r;
}

/* ---- the lock ---- */

static int fail_dropped(const struct pl_ref *ref, struct pleach_error *error)
{
	return pl_fail(error, PLEACH_NOT_FOUND, -ESTALE, "ref '%s' was dropped meanwhile",
		       ref->name);
}

static int lock_ref(struct pl_ref *ref, int64_t timeout_ms, struct pleach_error *error)
{
	PL_CLOSE int fd = pl_open(ref->fd, "lock", O_RDWR);
	int r;

	pl_assert(ref->lock_fd < 0);
	if (fd == -ENOENT && pl_ref_is_current(ref) == 0)
		return fail_dropped(ref, error);
	if (fd < 0)
		return pl_fail_sys(error, fd, "cannot open the lock of ref '%s'", ref->name);
	r = pl_lock_wait(fd, PL_LOCK_EXCLUSIVE, timeout_ms, &ref->store->cancelled);
	if (r <= 0)
		return r < 0 ? pl_fail_sys(error, r, "cannot lock ref '%s'", ref->name) : 0;
	r = pl_ref_is_current(ref); /* I1 */
	if (r == 0)
		return fail_dropped(ref, error);
	if (r < 0)
		return pl_fail_sys(error, r, "cannot look at ref '%s'", ref->name);
	ref->lock_fd = pl_take_fd(&fd);
	return 1;
}

int pl_ref_lock(struct pl_ref *ref, int64_t timeout_ms, struct pleach_error *error)
{
	int r = lock_ref(ref, timeout_ms, error);

	if (r == 0) {
		pl_fail(error, PLEACH_BUSY, -EBUSY, "ref '%s' is busy", ref->name);
		pl_hint(error, "another command is just publishing it; try again");
		return -EBUSY;
	}
	return r < 0 ? r : 0;
}

int pl_ref_try_lock(struct pl_ref *ref, struct pleach_error *error)
{
	return lock_ref(ref, 0, error);
}

void pl_ref_unlock(struct pl_ref *ref)
{
	pl_closep(&ref->lock_fd);
}

bool pl_ref_is_locked(const struct pl_ref *ref)
{
	return ref->lock_fd >= 0;
}
