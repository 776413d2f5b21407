/*
 * What shows a ref: public/tree, shown/<n>, STORE/<ref>, as step 9 of a commit makes them; and what is
 * attached elsewhere, by the layers above.
 *
 * P1  STORE/<ref> is made where it is missing. What is not ours stays (G7).
 * P2  public/ and shown/ are ours: what stands in their place is set aside.
 * P3  Where only a damaged placing is to be had, that is shown: it is what the head is, and its faults are told.
 * P4  What shows a generation whose record is lost stays: nothing else tells what that was.
 */
#include <fcntl.h>
#include <stdio.h>

#include "gc/repairing.h"

/* A directory of the ref. */
static int make_dir(struct pl_repairing *m, struct pl_ref *ref, const char *name, const char *path)
{
	struct stat st;
	int r = pl_lstat(ref->fd, name, &st);

	if (r >= 0 && S_ISDIR(st.st_mode))
		return 0;
	if (r >= 0)
		r = pl_aside_move(m, ref->fd, name, path, name);
	if (r < 0 && r != -ENOENT)
		return r;
	r = pl_mkdir(ref->fd, name, 0755);
	if (r >= 0)
		r = pl_chmod_at(ref->fd, name, 0755);
	return r < 0 ? r : pl_store_sync(m->store, ref->fd);
}

/* What is no symlink of ours at public/tree. */
static int clear_tree(struct pl_repairing *m, struct pl_ref *ref, const char *path)
{
	PL_CLOSE int public = pl_open_dir(ref->fd, "public");
	struct stat st;
	int r = public < 0 ? public : pl_lstat(public, "tree", &st);

	if (r == -ENOENT || (r >= 0 && S_ISLNK(st.st_mode)))
		return 0;
	return r < 0 ? r : pl_aside_move(m, public, "tree", path, "public-tree");
}

/* Under the ref lock. 0, or 1: something foreign is at the public path. */
static int show(struct pl_repairing *m, struct pl_ref *ref, const struct pl_pin *pin, uint64_t n,
		const char *path, struct pleach_error *error)
{
	int r = make_dir(m, ref, "public", path);

	if (r >= 0)
		r = make_dir(m, ref, "shown", path);
	if (r >= 0)
		r = clear_tree(m, ref, path);
	if (r < 0)
		return pl_fail_sys(error, r, "cannot mend the public path of '%s'", ref->name);
	return pl_public_show(ref, m->tx, n, &pin->tree, pin->k, error);
}

/* 0: shown; 1: not, for `cause`. */
static int show_head(struct pl_repairing *m, struct pl_ref *ref, const char *path,
		     struct pleach_error *cause)
{
	struct pl_pin pin = PL_PIN_NONE;
	struct pl_record record;
	struct pl_id tree;
	uint64_t head;
	unsigned k;
	int r = pl_head_number(ref, &head, cause);

	if (r >= 0)
		r = head == 0 ? -ENOENT : pl_public_check_head(ref, head, cause); /* P4 */
	if (r >= 0)
		r = pl_generation_read(ref, head, &record, cause);
	if (r < 0)
		return 1;
	tree = record.tree;
	pl_record_done(&record);
	r = pl_pin_wait(m->store, &tree, &pin, cause);
	if (r == PL_PIN_ABSENT) {
		pl_fail_corrupt(cause, "the tree of the head is missing");
		return 1;
	}
	k = pin.k;
	if (r > 0)
		r = pl_repairing_place(m, &pin, cause);
	if (r == 0 && k > 0) { /* P3 */
		pin.k = k;
		r = 1;
	}
	if (r == 1)
		r = show(m, ref, &pin, head, path, cause);
	else if (r == 0)
		r = 1;
	pl_pin_done(&pin);
	return r;
}

static int mend_public(struct pl_repairing *m, struct pl_finding *f, struct pleach_error *error)
{
	struct pleach_error cause = PLEACH_ERROR_INIT;
	enum pl_public_state state = PL_PUBLIC_OK;
	struct pl_ref ref;
	char path[PLEACH_REF_MAX + 40];
	int r = pl_ref_open(m->store, f->ref, &ref, &cause);

	if (r < 0)
		return r == -ENOENT ? 0 : pl_repairing_unmended(m, f, error, "%s", cause.message);
	(void)snprintf(path, sizeof(path), ".pleach/refs/%s/public", ref.name);
	r = pl_ref_must_be_unmasked(&ref, &cause);
	if (r >= 0 && !f->is_fault)
		r = pl_public_state(&ref, &state, &cause);
	if (r >= 0 && state == PL_PUBLIC_FOREIGN) { /* P1 */
		pl_ref_close(&ref);
		return pl_repairing_unmended(m, f, error,
					     "something else has this name; move it away");
	}
	if (r >= 0)
		r = pl_ref_lock(&ref, -1, &cause);
	if (r >= 0) {
		r = show_head(m, &ref, path, &cause);
		pl_ref_unlock(&ref);
	}
	pl_ref_close(&ref);
	if (r == 1 || r == -EBUSY || r == -EBADMSG)
		return pl_repairing_unmended(m, f, error, "%s",
					     cause.message[0] ? cause.message
							      : "something else has this name");
	if (r < 0 && error)
		*error = cause;
	return r < 0 ? r : pl_repairing_mended(m, f, error, "shows the head again");
}

/* The attachment that the finding is about, or lies in. 1 and *ret; 0: there is none any more. */
static int find_attachment(struct pl_ref *ref, const char *path, struct pl_attachment *ret,
			   struct pleach_error *cause)
{
	struct pl_attachment *records = NULL;
	size_t n = 0;
	int r = pl_attachment_list(ref, &records, &n, cause);
	bool is_found = false;

	for (size_t i = 0; r >= 0 && i < n && !is_found; i++) {
		is_found = pl_path_is_below(path, records[i].path);
		if (is_found) {
			*ret = records[i];
			records[i] = (struct pl_attachment){0};
		}
	}
	pl_attachments_free(records, n);
	return r < 0 ? r : is_found;
}

/* The tree that it should show, pinned, in a placing that is well. 1; 0: not to be had, for `cause`. */
static int pin_its_tree(struct pl_repairing *m, struct pl_ref *ref,
			const struct pl_attachment *record, struct pl_pin *pin,
			struct pleach_error *cause)
{
	struct pl_id tree = record->tree;
	struct pl_record head;
	uint64_t n;
	int r = 0;

	if (record->generation == 0) {
		r = pl_head_number(ref, &n, cause);
		if (r >= 0)
			r = pl_generation_read(ref, n, &head, cause);
		if (r < 0)
			return r == -ENOMEM ? r : 0;
		tree = head.tree;
		pl_record_done(&head);
	}
	r = pl_pin_wait(m->store, &tree, pin, cause);
	if (r == PL_PIN_ABSENT)
		pl_fail_corrupt(cause, "its tree is missing");
	return r <= 0 ? r : pl_repairing_place(m, pin, cause);
}

static int renew(struct pl_repairing *m, struct pl_finding *f, struct pl_ref *ref,
		 const struct pl_attachment *record, struct pleach_error *error)
{
	struct pleach_error cause = PLEACH_ERROR_INIT;
	struct pl_pin pin = PL_PIN_NONE;
	int r = pin_its_tree(m, ref, record, &pin, &cause);

	if (r > 0)
		r = m->options->renew_attached(m->options->self, m->tx, ref, record, f->is_fault,
					       &pin, &cause) == 0
			    ? 1
			    : 0;
	pl_pin_done(&pin);
	if (r == 0)
		return pl_repairing_unmended(m, f, error, "%s", cause.message);
	if (r < 0) {
		if (error)
			*error = cause;
		return r;
	}
	return pl_repairing_mended(m, f, error,
				   f->is_fault ? "laid out again; the damaged one lies beside it"
					       : "shows what it should");
}

static int mend_attached(struct pl_repairing *m, struct pl_finding *f, struct pleach_error *error)
{
	struct pleach_error cause = PLEACH_ERROR_INIT;
	struct pl_attachment record = {0};
	struct pl_ref ref;
	int r;

	if (!m->options->renew_attached || f->ref[0] == '\0')
		return 0;
	r = pl_ref_open(m->store, f->ref, &ref, &cause);
	if (r < 0)
		return r == -ENOMEM ? pl_fail_memory(error) : 0;
	r = find_attachment(&ref, f->path, &record, &cause);
	if (r == 1)
		r = strcmp(record.mode, "symlink") == 0 ? 0 : renew(m, f, &ref, &record, error);
	else if (r < 0 && r != -ENOMEM)
		r = pl_repairing_unmended(m, f, error, "%s", cause.message);
	pl_attachment_done(&record);
	pl_ref_close(&ref);
	return r;
}

/* How much of the path of such a finding is where it is attached. */
static size_t attached_length(const struct pl_finding *f)
{
	size_t at = f->subject.in_tree;

	if (at == 0)
		return strlen(f->path);
	return f->path[at] == '\0' ? at : at - 1; /* its root, or something in it, behind a slash */
}

/* Of several findings about one the first is enough: of a ref's public path, of one directory and what is in it. (Made
 * anew twice it would be the sound one that is set aside as damaged, for good.) */
static size_t first_of(const struct pl_repairing *m, size_t i)
{
	const struct pl_finding *f = &m->found->items[i];

	for (size_t j = 0; j < i; j++) {
		const struct pl_finding *other = &m->found->items[j];

		if (other->subject.what != f->subject.what || strcmp(other->ref, f->ref) != 0)
			continue;
		if (f->subject.what != PL_SUBJECT_ATTACHED ||
		    (attached_length(other) == attached_length(f) &&
		     strncmp(other->path, f->path, attached_length(f)) == 0))
			return j;
	}
	return i;
}

static int mend_one(struct pl_repairing *m, size_t i, struct pleach_error *error)
{
	struct pl_finding *f = &m->found->items[i];
	size_t first = first_of(m, i);

	if (first != i)
		return pl_repairing_as_with(m, f, &m->found->items[first], error);
	return f->subject.what == PL_SUBJECT_PUBLIC ? mend_public(m, f, error)
						    : mend_attached(m, f, error);
}

int pl_repair_public(struct pl_repairing *m, struct pleach_error *error)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < m->found->n; i++) {
		const enum pl_subject_what what = m->found->items[i].subject.what;

		if (what == PL_SUBJECT_PUBLIC || what == PL_SUBJECT_ATTACHED)
			r = mend_one(m, i, error);
	}
	return r;
}
