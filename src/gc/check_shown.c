/*
 * What attachments show that are directories of their own or mounts: a directory must be equal to its
 * tree, a mount be of its placing.
 *
 * W1  What is missing, not ours or behind breaks no promise of the store: it is told as not verified, as
 *     with the public path. A directory of ours that is not its tree is a fault.
 *     From inside of a transaction on the ref the workspace is seen there, and nothing can be said.
 * W2  Publishes go on meanwhile (K3). A directory is looked through by descriptors; if it was swapped or
 *     is being swapped, what was found in it is forgotten, and it is looked at again.
 */
#include <fcntl.h>

#include "gc/checking.h"

#define WAIT_MS	 10000
#define PAUSE_MS 5

struct shown_check {
	struct pl_checking *c;
	struct pl_ref *ref;
	const struct pl_attachment *record;
	int parent_fd;
	const char *name;
	dev_t dev; /* of the store */
};

static int tell(struct shown_check *s, const char *message, struct pleach_error *error)
{
	return pl_checking_add(s->c, error, false, "attached", s->record->path, "%s", message);
}

/* The tree that it shall show: 1; 0: that cannot be said, and was told. */
static int find_wanted(struct shown_check *s, struct pl_id *ret_tree)
{
	struct pl_record record;
	uint64_t head;
	int r;

	*ret_tree = s->record->tree;
	if (s->record->generation > 0)
		return 1;
	r = pl_head_number(s->ref, &head, NULL);
	if (r >= 0)
		r = pl_generation_read(s->ref, head, &record, NULL);
	if (r < 0)
		return 0;
	*ret_tree = record.tree;
	pl_record_done(&record);
	return 1;
}

static bool has_identity(const struct shown_check *s, const struct pl_shown *now)
{
	struct pl_identity id;

	return pl_identity_of_dir(s->parent_fd, s->name, s->dev, &id) == 1 &&
	       pl_identity_equal(&id, &now->identity);
}

/* 1: done. 0: it was swapped meanwhile (W2). */
static int check_directory(struct shown_check *s, const struct pl_shown *now,
			   struct pleach_error *error)
{
	const struct pl_findings before = *s->c->findings;
	const struct pl_subject about = pl_checking_about(s->c, PL_SUBJECT_ATTACHED, &now->tree, 0);
	int r = pl_checking_directory(s->c, &now->tree, s->parent_fd, s->name, s->record->path,
				      s->ref->settings.share == PL_SHARE_NAMES, error);

	s->c->subject = about;
	if (r < 0 || has_identity(s, now))
		return r < 0 ? r : 1;
	pl_checking_forget(s->c->findings, &before);
	return 0;
}

/* Is the root of what is mounted there the placed tree? */
static bool is_mounted(const struct shown_check *s, const struct pl_shown *now)
{
	PL_CLOSE int treedir = pl_treedir_open(s->c->store, &now->tree);
	PL_CLOSE int placed = treedir < 0 ? treedir : pl_placing_open(treedir, now->k);
	struct stat here, there;

	return placed >= 0 && pl_fstat(placed, &there) == 0 &&
	       pl_lstat(s->parent_fd, s->name, &here) == 0 && pl_same_inode(&here, &there);
}

/* 1: done. 0: it is not well, or on its way: told if it is the last look. */
static int check_showing(struct shown_check *s, struct pl_showing *showing, bool is_last,
			 struct pleach_error *error)
{
	struct pl_shown *now = pl_showing_find(showing, PL_SHOWN_NOW);
	bool is_mount = strcmp(showing->mode, "mount") == 0;
	struct pl_id wanted;

	if (!find_wanted(s, &wanted))
		return 1; /* the record was told */
	if (!now || !(is_mount ? is_mounted(s, now) : has_identity(s, now))) {
		if (!is_last)
			return 0;
		return tell(s,
			    is_mount ? "is not mounted here; pleach status, as root, does it"
			    : pl_exists(s->parent_fd, s->name) == 0
				    ? "is missing; pleach status makes it"
				    : "is not ours, and does not show the ref",
			    error);
	}
	if (!pl_id_equal(&now->tree, &wanted))
		return is_last ? tell(s, "is behind; pleach status moves it on", error) : 0;
	return is_mount ? 1 : check_directory(s, now, error);
}

static int check_once(struct shown_check *s, bool is_last, struct pleach_error *error)
{
	struct pleach_error cause = PLEACH_ERROR_INIT;
	struct pl_showing showing = {0};
	int r = pl_showing_read(s->ref, s->record->path, &showing, &cause);

	if (r == -ENOENT)
		return is_last ? tell(s, "is not shown; pleach status makes it", error) : 0;
	if (r == -EBADMSG || r == -EPROTONOSUPPORT)
		return pl_checking_fault(s->c, error, "attached", s->record->path, "%s",
					 cause.message);
	if (r < 0)
		return tell(s, cause.message, error);
	r = check_showing(s, &showing, is_last, error);
	pl_showing_done(&showing);
	return r;
}

static bool is_locked(const struct pl_ref *ref)
{
	PL_CLOSE int fd = pl_open(ref->fd, "lock", O_RDONLY);

	return fd >= 0 && pl_lock_is_held(fd, PL_LOCK_EXCLUSIVE) == 1;
}

static int check_attachment(struct shown_check *s, struct pleach_error *error)
{
	const char *slash = strrchr(s->record->path, '/');
	PL_BUFFER parent = {0};
	PL_CLOSE int fd = -EBADF;
	int64_t end = pl_clock_monotonic_ms() + WAIT_MS;
	bool was_locked = true;
	int r = 0;

	pl_buffer_add(&parent, s->record->path,
		      slash == s->record->path ? 1 : (size_t)(slash - s->record->path));
	if (!pl_buffer_ok(&parent))
		return pl_fail_memory(error);
	s->name = slash + 1;
	s->parent_fd = fd =
		pl_open_follow(AT_FDCWD, pl_buffer_string(&parent), O_PATH | O_DIRECTORY);
	if (fd < 0)
		return tell(s, "lies in a directory that cannot be opened", error);
	(void)pl_checking_about(s->c, PL_SUBJECT_ATTACHED, NULL, 0);
	/* Not well, and nobody was at work on it just before, nor is he now: so it was left (W2). */
	while (r == 0) {
		bool is_last = !was_locked || pl_clock_monotonic_ms() > end;

		was_locked = is_locked(s->ref);
		r = check_once(s, is_last, error);
		if (is_last)
			break;
		if (r == 0)
			r = pl_store_check_cancel(s->c->store, error);
		if (r == 0 && was_locked)
			pl_sleep_ms(PAUSE_MS);
	}
	(void)pl_checking_about(s->c, PL_SUBJECT_OTHER, NULL, 0);
	return r < 0 ? r : 0;
}

static int check_ref(struct pl_checking *c, struct pl_ref *ref, dev_t dev,
		     struct pleach_error *error)
{
	struct pl_attachment *records = NULL;
	bool is_masked = pl_ref_is_masked(ref, NULL) == 1;
	size_t n = 0;
	int r = pl_attachment_list(ref, &records, &n, NULL);

	if (r < 0)
		return 0; /* it was told by check_named.c */
	c->ref = ref->name;
	for (size_t i = 0; r >= 0 && i < n; i++) {
		struct shown_check s = {.c = c, .ref = ref, .record = &records[i], .dev = dev};

		if (strcmp(records[i].mode, "symlink") == 0)
			continue;
		if (is_masked) /* W1 */
			r = tell(&s, "is not seen from inside of a transaction on it", error);
		else
			r = check_attachment(&s, error);
	}
	c->ref = NULL;
	pl_attachments_free(records, n);
	return r;
}

static int check_name(struct pl_checking *c, const char *name, dev_t dev,
		      struct pleach_error *error)
{
	struct pl_ref ref;
	int r;

	if (pl_ref_open(c->store, name, &ref, NULL) < 0)
		return 0; /* dropped, or it was told by check_refs.c */
	r = check_ref(c, &ref, dev, error);
	pl_ref_close(&ref);
	return r;
}

int pl_check_shown(struct pl_checking *c, struct pleach_error *error)
{
	struct pl_strings names = {0};
	struct stat st;
	int r = pl_fstat(c->store->fd, &st);

	if (r < 0)
		return pl_fail_sys(error, r, "cannot look at '%s'", c->store->path);
	if (c->check->refs) {
		for (size_t i = 0; r >= 0 && c->check->refs[i]; i++)
			r = check_name(c, c->check->refs[i], st.st_dev, error);
		return r;
	}
	if (pl_ref_list(c->store, &names, NULL) < 0)
		return 0; /* it was told */
	for (size_t i = 0; r >= 0 && i < names.n; i++)
		r = check_name(c, names.items[i], st.st_dev, error);
	pl_strings_done(&names);
	return r;
}
