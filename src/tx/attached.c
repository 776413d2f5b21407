/*
 * Attachments that follow the head by more than a symlink, all of a ref, in a commit: made ready before
 * the ref lock, moved on under it. Killed commands are attached_settle.c's, what a mode does is in
 * attached_exchange.c and attached_mount.c. (N1 to N3: attached.h)
 */
#include <fcntl.h>
#include <stdlib.h>

#include "tx/attached.h"

static const struct pl_attached_mode *const modes[] = {&pl_attached_exchange, &pl_attached_mount};

const struct pl_attached_mode *pl_attached_mode_find(const char *name)
{
	for (size_t i = 0; i < PL_ARRAY_LEN(modes); i++)
		if (strcmp(modes[i]->name, name) == 0)
			return modes[i];
	return NULL;
}

/* ---- one ---- */

static int open_parent(struct pl_at *at)
{
	const char *slash = strrchr(at->path, '/');
	PL_BUFFER parent = {0};
	struct stat st = {0};
	int r;

	pl_assert(at->path[0] == '/');
	if (!pl_name_is_valid(slash + 1, strlen(slash + 1)))
		return -EBADMSG;
	memcpy(at->name, slash + 1, strlen(slash + 1) + 1);
	pl_buffer_add(&parent, at->path, slash == at->path ? 1 : (size_t)(slash - at->path));
	if (!pl_buffer_ok(&parent))
		return -ENOMEM;
	r = at->parent_fd =
		pl_open_follow(AT_FDCWD, pl_buffer_string(&parent), O_RDONLY | O_DIRECTORY);
	if (r >= 0)
		r = pl_fstat(at->ref->store->fd, &st);
	at->dev = st.st_dev;
	return r < 0 ? r : 0;
}

int pl_at_read(struct pl_at *at, struct pleach_error *error)
{
	int r;

	pl_showing_done(&at->showing);
	r = pl_showing_read(at->ref, at->path, &at->showing, error);
	if (r != -ENOENT)
		return r;
	memcpy(at->showing.ref_id, at->ref->id, sizeof(at->showing.ref_id));
	memcpy(at->showing.mode, at->mode->name, strlen(at->mode->name) + 1);
	at->showing.path = strdup(at->path);
	return at->showing.path ? 0 : pl_fail_memory(error);
}

int pl_at_open(struct pl_at *at, struct pl_ref *ref, const char *mode, const char *path,
	       struct pleach_error *error)
{
	struct pl_at opened = PL_AT_NONE;
	int r;

	opened.ref = ref;
	opened.path = path;
	opened.mode = pl_attached_mode_find(mode);
	pl_assert(opened.mode);
	r = open_parent(&opened);
	if (r < 0) {
		pl_fail_sys(error, r, "cannot open the directory of '%s'", path);
		pl_error_path(error, path);
	} else {
		r = pl_at_read(&opened, error);
	}
	if (r < 0) {
		pl_at_close(&opened);
		return r;
	}
	*at = opened;
	return 0;
}

void pl_at_close(struct pl_at *at)
{
	pl_beside_end(&at->beside);
	pl_showing_done(&at->showing);
	pl_closep(&at->parent_fd);
}

int pl_at_add_user(struct pl_at *at, struct pl_txdir *tx, const struct pl_pin *pin,
		   struct pleach_error *error)
{
	char user[128];
	int r;

	pl_user_of_attachment(at->ref->id, at->path, user);
	r = pl_user_add(tx->store, pin->treedir_fd, user, error);
	return r < 0 ? r : pl_txdir_sync(tx, error);
}

int pl_at_forget(struct pl_at *at, struct pleach_error *error)
{
	struct pl_attachment record;
	int r;

	pl_assert(pl_ref_is_locked(at->ref));
	if (at->showing.n > 0)
		return 0;
	r = pl_attachment_read(at->ref, at->path, &record, error);
	if (r == -ENOENT)
		return pl_showing_forget(at->ref, at->path, error);
	if (r >= 0)
		pl_attachment_done(&record);
	return r;
}

/* ---- all that follow the head ---- */

int pl_attached_prepare(struct pl_txdir *tx, struct pl_ref *ref, const struct pl_pin *pin,
			const char *own_tx, struct pl_attached *ret, struct pleach_error *error)
{
	struct pl_attached a = {.ref = ref, .own_tx = own_tx};
	int r = pl_attachment_list(ref, &a.records, &a.n_records, error);

	if (r < 0)
		return r;
	a.ats = a.n_records > 0 ? calloc(a.n_records, sizeof(*a.ats)) : NULL;
	if (a.n_records > 0 && !a.ats) {
		pl_attached_done(&a);
		return pl_fail_memory(error);
	}
	for (size_t i = 0; i < a.n_records; i++) {
		const struct pl_attachment *record = &a.records[i];
		const struct pl_at none = PL_AT_NONE;

		a.ats[i] = none;
		if (record->generation > 0 || !pl_attached_mode_find(record->mode))
			continue;
		if (pl_at_open(&a.ats[i], ref, record->mode, record->path, NULL) < 0) {
			a.ats[i] = none;
			continue; /* told by show */
		}
		a.ats[i].own_tx = own_tx;
		/* A failure is no reason not to publish (N2): show tries what can be done without. */
		(void)a.ats[i].mode->prepare(&a.ats[i], tx, pin, NULL);
		r = pl_store_check_cancel(tx->store, error);
		if (r < 0) {
			pl_attached_done(&a);
			return r;
		}
	}
	*ret = a;
	return 0;
}

/* A text for the first that could not. */
static void tell(struct pl_attached *a, uint64_t n, const char *path, int r,
		 const struct pleach_error *cause, struct pleach_error *error)
{
	const char *why = r == PL_AT_FOREIGN ? "what is there is not ours"
			  : r == PL_AT_LATER ? "it could not be made ready"
					     : cause->message;

	pl_fail(error, PLEACH_PARTIAL, r < 0 ? r : -EEXIST,
		"generation %llu of '%s' is recorded, not shown at '%s': %s", (unsigned long long)n,
		a->ref->name, path, why);
	pl_error_path(error, path);
	if (r == PL_AT_FOREIGN)
		pl_hint(error, "move it away; the next publish then shows it");
	else
		pl_hint(error, "pleach status tries again");
}

int pl_attached_show(struct pl_attached *a, struct pl_txdir *tx, uint64_t n,
		     const struct pl_pin *pin, struct pleach_error *error)
{
	bool all = true;

	pl_assert(a->n_records == 0 || pl_ref_is_locked(a->ref));
	for (size_t i = 0; i < a->n_records; i++) {
		const struct pl_attachment *record = &a->records[i];
		struct pleach_error cause = PLEACH_ERROR_INIT;
		struct pl_at *at = &a->ats[i];
		struct pl_attachment now;
		int r;

		if (record->generation > 0 || !pl_attached_mode_find(record->mode))
			continue;
		/* 1. it was listed, 2. it was detached, or attached otherwise, 3. the lock is ours. */
		r = pl_attachment_read(a->ref, record->path, &now, NULL);
		if (r < 0)
			continue;
		r = now.generation > 0 || strcmp(now.mode, record->mode) != 0;
		pl_attachment_done(&now);
		if (r)
			continue;
		if (!at->mode) /* it says why */
			r = pl_at_open(at, a->ref, record->mode, record->path, &cause);
		pl_assert(r < 0 || at->mode);
		at->own_tx = a->own_tx;
		if (r >= 0)
			r = at->mode->show(at, tx, n, pin, &cause);
		if (r == PL_AT_HELD) {
			pl_event_add(a->ref->store, NULL,
				     "left '%s' behind generation %llu of '%s' until the open "
				     "transactions end",
				     record->path, (unsigned long long)n, a->ref->name);
		} else if (r != PL_AT_SHOWN && all) {
			tell(a, n, record->path, r, &cause, error);
			all = false;
		}
	}
	return all ? 0 : PLEACH_PARTIAL;
}

void pl_attached_done(struct pl_attached *a)
{
	for (size_t i = 0; a->ats && i < a->n_records; i++)
		if (a->ats[i].mode)
			pl_at_close(&a->ats[i]);
	free(a->ats);
	pl_attachments_free(a->records, a->n_records);
	*a = (struct pl_attached)PL_ATTACHED_NONE;
}
