/*
 * Placed trees that are not what their nodes say, and filters beside them.
 *
 *	damaged <k> --laid out anew, verified, named <k + n>--> both are there
 *	  --public paths, attachments moved to the new one--> nobody is shown the damaged one
 *	  --under the exclusive pin: moved--> .pleach/damaged/
 *
 * L1  A tree is laid out only if all that it consists of has verified, from no other placing; and is read
 *     back, all of it, before it gets a name (M1).
 * L2  The damaged one is moved under the exclusive pin alone, and after another look at who is shown it. A
 *     transaction that lies over it keeps it: it would lose its base.
 * L3  A placing that nobody needs is not laid out again.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "gc/repairing.h"

static bool is_bad(const struct pl_repairing *m, const struct pl_id *tree, unsigned k)
{
	for (size_t i = 0; i < m->found->n; i++) {
		const struct pl_finding *f = &m->found->items[i];

		if (f->is_fault && f->subject.what == PL_SUBJECT_PLACED && f->subject.k == k &&
		    pl_id_equal(&f->subject.id, tree))
			return true;
	}
	return false;
}

/* The highest placing that nothing was found of. 1, or 0. A finding may have been left out. */
static int find_good(struct pl_repairing *m, const struct pl_pin *pin, unsigned *ret_k)
{
	struct pl_listing listing = {0};
	uint64_t best = 0, k;
	int r = pl_list(pin->treedir_fd, &listing);

	for (size_t i = 0; r >= 0 && i < listing.n && m->found->left_out == 0; i++)
		if (pl_parse_u64(listing.entries[i].name, UINT32_MAX - 1, &k) == 0 && k > best &&
		    !is_bad(m, &pin->tree, (unsigned)k))
			best = k;
	pl_listing_done(&listing);
	if (r < 0)
		return r;
	*ret_k = (unsigned)best;
	return best > 0;
}

/* ---- laying out ---- */

/* As one of its refs wants it that is strictest: names that are no group have inodes of their own. */
static enum pl_share share_of(struct pl_repairing *m, const struct pl_pin *pin)
{
	PL_CLOSE int users = pl_open_dir(pin->treedir_fd, "users");
	struct pl_listing listing = {0};
	bool has_ref = false, by_names = false;

	if (users < 0 || pl_list(users, &listing) < 0)
		return PL_SHARE_NAMES;
	for (size_t i = 0; i < listing.n; i++) {
		const char *name = listing.entries[i].name;

		if (strlen(name) < 28 || !strchr("gta", name[0]))
			continue;
		for (size_t j = 0; j < m->c->n_refs; j++) {
			if (strncmp(m->c->refs[j].id, name + 2, 24) != 0)
				continue;
			has_ref = true;
			by_names |= !m->c->refs[j].has_settings ||
				    m->c->refs[j].share == PL_SHARE_NAMES;
		}
	}
	pl_listing_done(&listing);
	return has_ref && !by_names ? PL_SHARE_CONTENT : PL_SHARE_NAMES;
}

/* L1: read back. 1, or 0 with the first thing that is wrong in `cause`. */
static int verify(struct pl_repairing *m, const struct pl_id *tree, int wrapper, bool by_names,
		  struct pleach_error *cause, struct pleach_error *error)
{
	struct pl_findings findings = {0}, *const before = m->c->findings;
	const struct pl_check *const check_before = m->c->check;
	struct pl_check check = *check_before;
	int r;

	check.quick = false;
	m->c->check = &check;
	m->c->findings = &findings;
	r = pl_checking_directory(m->c, tree, wrapper, "tree", "a new layout", by_names, error);
	m->c->findings = before;
	m->c->check = check_before;
	if (r >= 0 && findings.faults + findings.unverified > 0) {
		pl_fail_corrupt(cause, "what was laid out does not verify: %s %s",
				findings.n ? findings.items[0].path : "",
				findings.n ? findings.items[0].message : "");
		r = 0;
	} else if (r >= 0) {
		r = 1;
	}
	pl_findings_done(&findings);
	return r;
}

/* In tx/<name>: 1, or 0 with the reason in `cause`. */
static int lay_out(struct pl_repairing *m, const struct pl_pin *pin, const char *name,
		   struct pleach_error *cause, struct pleach_error *error)
{
	PL_CLOSE int wrapper = -EBADF;
	struct pl_layout layout = {.tx = m->tx,
				   .nodes = &m->c->nodes,
				   .tree = pin->tree,
				   .base_fd = -EBADF,
				   .base_wrapper_fd = -EBADF,
				   .spare_wrapper_fd = -EBADF,
				   .staged_objects_fd = -EBADF,
				   .share = share_of(m, pin)};
	int r = pl_mkdir(m->tx->fd, name, 0755);

	if (r >= 0)
		r = wrapper = pl_open_dir(m->tx->fd, name);
	if (r >= 0)
		r = pl_chmod(wrapper, 0755);
	if (r < 0)
		return pl_fail_sys(error, r, "cannot make room for a tree in %s/.pleach/tx/%s",
				   m->store->path, m->tx->id);
	layout.wrapper_fd = wrapper;
	r = pl_layout_run(&layout, NULL, cause);
	if (r == -EBADMSG || r == -EPERM || r == -E2BIG)
		return 0;
	if (r < 0) {
		if (error)
			*error = *cause;
		return r;
	}
	r = verify(m, &pin->tree, wrapper, layout.share == PL_SHARE_NAMES, cause, error);
	return r <= 0 ? r : (r = pl_txdir_sync(m->tx, error)) < 0 ? r : 1;
}

/* 1: pin->k; 0: not to be had, and why in `cause`. */
static int place(struct pl_repairing *m, struct pl_pin *pin, struct pleach_error *cause,
		 struct pleach_error *error)
{
	char name[32];
	int r = pl_repairing_is_sound(m, &pin->tree, error);

	if (r == 0)
		pl_fail_corrupt(cause, "what it is laid out from is damaged itself");
	if (r <= 0)
		return r;
	pl_txdir_name(m->tx, "place", name);
	r = lay_out(m, pin, name, cause, error);
	if (r <= 0)
		return r;
	r = pl_placing_put(m->tx->fd, name, pin->treedir_fd, &pin->k);
	if (r >= 0)
		r = pl_store_sync(m->store, pin->treedir_fd);
	return r < 0 ? pl_fail_sys(error, r, "cannot place a tree in %s/.pleach/trees",
				   m->store->path)
		     : 1;
}

int pl_repairing_place(struct pl_repairing *m, struct pl_pin *pin, struct pleach_error *cause)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	int r = find_good(m, pin, &pin->k);

	if (r == 0)
		r = place(m, pin, cause, &error);
	if (r < 0 && cause)
		*cause = error;
	if (r < 0 && cause && cause->code == PLEACH_OK)
		pl_fail_sys(cause, r, "cannot place a tree in %s/.pleach/trees", m->store->path);
	return r;
}

/* ---- who is shown it ---- */

/* Of one ref: its public path and its attachments lead to pin->k instead of k. 0; 1: not now, for `cause`. */
static int move_ref(struct pl_repairing *m, struct pl_ref *ref, unsigned k,
		    const struct pl_pin *pin, struct pleach_error *cause)
{
	struct pl_record record;
	struct pl_id shown;
	uint64_t head;
	unsigned shown_k;
	bool is_its;
	int r = pl_ref_must_be_unmasked(ref, cause), moved = 0;

	if (r == -EBUSY)
		return 1;
	if (r >= 0)
		r = pl_ref_lock(ref, -1, cause);
	if (r < 0)
		return r;
	r = pl_head_number(ref, &head, cause);
	if (r >= 0 && head > 0 && pl_public_read(ref, &shown, &shown_k, NULL) == 1 &&
	    pl_id_equal(&shown, &pin->tree) && shown_k == k) {
		r = pl_generation_read(ref, head, &record, cause);
		if (r >= 0) {
			is_its = pl_id_equal(&record.tree, &pin->tree) &&
				 strcmp(record.kind, "dropped") != 0;
			pl_record_done(&record);
			if (is_its) /* else it is behind, and public is mended by itself */
				r = pl_public_show(ref, m->tx, head, &pin->tree, pin->k, cause);
			else
				moved = 1;
		}
	}
	if (r >= 0 && m->options->move_attached)
		r = m->options->move_attached(m->options->self, m->tx, ref, k, pin, cause);
	else if (r >= 0)
		r = 0;
	pl_ref_unlock(ref);
	return r != 0 ? r : moved;
}

static int move_refs(struct pl_repairing *m, unsigned k, const struct pl_pin *pin,
		     struct pleach_error *cause)
{
	struct pl_strings names = {0};
	int r = pl_ref_list(m->store, &names, cause);

	for (size_t i = 0; r == 0 && i < names.n; i++) {
		struct pl_ref ref;

		r = pl_ref_open(m->store, names.items[i], &ref, cause);
		if (r <
		    0) { /* dropped, or damaged: then nothing of it leads anywhere that is known */
			r = r == -ENOMEM ? r : 0;
			continue;
		}
		r = move_ref(m, &ref, k, pin, cause);
		pl_ref_close(&ref);
	}
	pl_strings_done(&names);
	return r;
}

/* Has a parked transaction its workspace over it? What cannot be read may have. */
static bool is_base(struct pl_repairing *m, const char *tx_id, const struct pl_id *tree, unsigned k)
{
	PL_CLOSE int fd = pl_open_dir(m->store->tx_fd, tx_id);
	struct pl_tx_note note;
	bool is_its;

	if (fd == -ENOENT)
		return false;
	if (fd < 0 || pl_tx_note_read(fd, tx_id, &note, NULL) < 0)
		return true;
	is_its = note.k == k && pl_id_equal(&note.base_tree, tree);
	pl_tx_note_done(&note);
	return is_its;
}

/* Is it what a ref shows, at its public path or at another? What cannot be read may show it. */
static bool is_shown_by(struct pl_ref *ref, const struct pl_id *tree, unsigned k)
{
	struct pl_attachment *records = NULL;
	struct pl_strings hashes = {0};
	char end[PL_ID_HEX + 40], hex[PL_ID_HEX + 1];
	struct pl_id shown;
	unsigned shown_k;
	size_t n = 0;
	bool is_its = pl_public_read(ref, &shown, &shown_k, NULL) == 1 && shown_k == k &&
		      pl_id_equal(&shown, tree);

	(void)snprintf(end, sizeof(end), "/.pleach/trees/%s/%u/tree", pl_id_hex(tree, hex), k);
	if (pl_attachment_list(ref, &records, &n, NULL) < 0)
		is_its = true;
	for (size_t i = 0; i < n; i++) {
		size_t length = strlen(records[i].target);

		is_its |= length > strlen(end) &&
			  strcmp(records[i].target + length - strlen(end), end) == 0;
	}
	pl_attachments_free(records, n);
	if (pl_showing_list(ref, &hashes, NULL) < 0)
		is_its = true;
	for (size_t i = 0; i < hashes.n && !is_its; i++) {
		struct pl_showing showing;

		if (pl_showing_read_named(ref, hashes.items[i], &showing, NULL) < 0)
			continue;
		for (size_t j = 0; j < showing.n; j++)
			is_its |= showing.items[j].k == k &&
				  pl_id_equal(&showing.items[j].tree, tree);
		pl_showing_done(&showing);
	}
	pl_strings_done(&hashes);
	return is_its;
}

/* Does anybody still see that very placing? 1 and why. Under the exclusive pin (L2). */
static int is_shown(struct pl_repairing *m, const struct pl_pin *pin, unsigned k,
		    struct pleach_error *cause)
{
	PL_CLOSE int users = pl_open_dir(pin->treedir_fd, "users");
	struct pl_listing listing = {0};
	struct pl_strings names = {0};
	int r = users < 0 ? users : pl_list(users, &listing);

	for (size_t i = 0; r == 0 && i < listing.n; i++)
		if (strncmp(listing.entries[i].name, "x.", 2) == 0 &&
		    is_base(m, listing.entries[i].name + 2, &pin->tree, k))
			r = 1;
	pl_listing_done(&listing);
	if (r == 1)
		pl_fail(cause, PLEACH_BUSY, -EBUSY, "a transaction has its workspace over it");
	if (r == 0)
		r = pl_ref_list(m->store, &names, cause);
	for (size_t i = 0; r == 0 && i < names.n; i++) {
		struct pl_ref ref;

		if (pl_ref_open(m->store, names.items[i], &ref, NULL) < 0)
			continue;
		if (is_shown_by(&ref, &pin->tree, k)) {
			pl_fail(cause, PLEACH_BUSY, -EBUSY, "'%s' shows it, or is attached to it",
				ref.name);
			r = 1;
		}
		pl_ref_close(&ref);
	}
	pl_strings_done(&names);
	return r;
}

/* ---- one placing ---- */

static int move_away(struct pl_repairing *m, struct pl_finding *f, unsigned k, const char *how,
		     struct pleach_error *error)
{
	struct pleach_error cause = PLEACH_ERROR_INIT;
	struct pl_pin pin = PL_PIN_NONE;
	char label[PL_ID_HEX + 40], path[PL_ID_HEX + 64], hex[PL_ID_HEX + 1], name[16];
	int r = pl_pin_try_exclusive(m->store, &f->subject.id, &pin, error);

	if (r == PL_PIN_BUSY)
		return pl_repairing_unmended(
			m, f, error,
			"somebody has the tree pinned; repair again when that is "
			"over");
	if (r != PL_PIN_TAKEN)
		return r;
	(void)snprintf(label, sizeof(label), "placed-%s-%u", pl_id_hex(&pin.tree, hex), k);
	(void)snprintf(path, sizeof(path), ".pleach/trees/%s/%u", hex, k);
	(void)snprintf(name, sizeof(name), "%u", k);
	r = is_shown(m, &pin, k, &cause);
	if (r == 0)
		r = pl_aside_move(m, pin.treedir_fd, name, path, label);
	pl_pin_done(&pin);
	if (r == 1)
		return pl_repairing_unmended(m, f, error, "%s", cause.message);
	if (r == -ENOENT)
		return 0;
	return r < 0 ? pl_repairing_fail(r, f, error) : pl_repairing_mended(m, f, error, "%s", how);
}

/* Of a pinned tree. 1: nobody is shown the damaged one any more. */
static int make_dispensable(struct pl_repairing *m, struct pl_finding *f, struct pl_pin *pin,
			    char how[64], struct pleach_error *error)
{
	struct pl_user_lookup lookup = PL_USER_LOOKUP(m->store, NULL);
	struct pleach_error cause = PLEACH_ERROR_INIT;
	unsigned k = f->subject.k;
	uint64_t n;
	int need, r = pl_fs_clock(m->tx->fd, &lookup.now);

	if (r < 0)
		return pl_repairing_fail(r, f, error);
	need = pl_users_need(&lookup, &pin->tree, pin->treedir_fd, &n, &cause);
	pl_user_lookup_done(&lookup);
	if (need >= 0 && need < PL_NEED_PLACED) { /* L3 */
		(void)snprintf(how, 64, "set aside: nobody needs it placed");
		return 1;
	}
	r = pl_repairing_place(m, pin, &cause);
	if (r > 0)
		r = move_refs(m, k, pin, &cause) != 0 ? 0 : 1;
	(void)snprintf(how, 64, "laid out again as %u", pin->k);
	if (r < 0 && error)
		*error = cause;
	if (r == 0)
		return pl_repairing_unmended(m, f, error, "%s", cause.message);
	return r;
}

static int mend_placing(struct pl_repairing *m, struct pl_finding *f, struct pleach_error *error)
{
	struct pl_pin pin = PL_PIN_NONE;
	char how[64];
	int r = pl_pin_wait(m->store, &f->subject.id, &pin, error);

	if (r <= 0)
		return r;
	r = make_dispensable(m, f, &pin, how, error);
	pl_pin_done(&pin);
	return r == 1 ? move_away(m, f, f->subject.k, how, error) : r;
}

/* ---- filters ---- */

static int make_filter(struct pl_repairing *m, const struct pl_id *tree, int dirfd,
		       struct pleach_error *cause)
{
	struct pl_totals totals = {0};
	struct pl_filter filter;
	struct pl_node root;
	int r = pl_node_read(&m->c->nodes, tree, &root, cause);

	if (r < 0)
		return r;
	r = pl_node_totals(&m->c->nodes, &root, &totals, cause);
	pl_node_done(&root);
	if (r < 0)
		return r;
	if (totals.entries > (UINT64_C(1) << 28))
		totals.entries = UINT64_C(1) << 28;
	r = pl_filter_init(&filter, totals.entries + totals.entries / 4 + 1000);
	if (r < 0)
		return r;
	r = pl_filter_add_tree(&filter, &m->c->nodes, tree, m->store->seed, cause);
	if (r >= 0)
		r = pl_filter_write(&filter, dirfd, true);
	pl_filter_done(&filter);
	return r;
}

static int replace_filter(struct pl_repairing *m, struct pl_finding *f, int wrapper,
			  struct pleach_error *cause)
{
	PL_CLOSE int dir = -EBADF;
	char name[32], path[PL_ID_HEX + 64], hex[PL_ID_HEX + 1];
	int r;

	pl_txdir_name(m->tx, "filter", name);
	r = pl_mkdir(m->tx->fd, name, 0700);
	if (r >= 0)
		r = dir = pl_open_dir(m->tx->fd, name);
	if (r >= 0)
		r = make_filter(m, &f->subject.id, dir, cause);
	(void)snprintf(path, sizeof(path), ".pleach/trees/%s/%u/filter",
		       pl_id_hex(&f->subject.id, hex), f->subject.k);
	return r < 0 ? r : pl_aside_replace(m, dir, "filter", wrapper, "filter", path, "filter");
}

static int mend_filter(struct pl_repairing *m, struct pl_finding *f, struct pleach_error *error)
{
	struct pleach_error cause = PLEACH_ERROR_INIT;
	struct pl_pin pin = PL_PIN_NONE;
	PL_CLOSE int wrapper = -EBADF;
	char name[16];
	int r = pl_pin_wait(m->store, &f->subject.id, &pin, error);

	if (r <= 0)
		return r;
	(void)snprintf(name, sizeof(name), "%u", f->subject.k);
	r = wrapper = pl_open_dir(pin.treedir_fd, name);
	if (r >= 0)
		r = replace_filter(m, f, wrapper, &cause);
	pl_pin_done(&pin);
	if (r == -ENOENT)
		return 0;
	if (r == -EBADMSG)
		return pl_repairing_unmended(m, f, error, "%s", cause.message);
	return r < 0 ? pl_repairing_fail(r, f, error)
		     : pl_repairing_mended(m, f, error, "made anew from the tree's nodes");
}

/* ---- all ---- */

/* The first finding about this very thing: the others are mended with it. */
static size_t first_of(const struct pl_repairing *m, size_t i)
{
	const struct pl_finding *f = &m->found->items[i];

	for (size_t j = 0; j < i; j++) {
		const struct pl_finding *other = &m->found->items[j];

		if (other->is_fault && other->subject.what == f->subject.what &&
		    other->subject.k == f->subject.k &&
		    pl_id_equal(&other->subject.id, &f->subject.id))
			return j;
	}
	return i;
}

static int mend_part(struct pl_repairing *m, size_t i, struct pleach_error *error)
{
	struct pl_finding *f = &m->found->items[i];
	size_t first = first_of(m, i);

	if (first != i)
		return pl_repairing_as_with(m, f, &m->found->items[first], error);
	if (f->subject.what == PL_SUBJECT_PLACED)
		return mend_placing(m, f, error);
	if (is_bad(m, &f->subject.id, f->subject.k))
		return pl_repairing_unmended(m, f, error, "the placing itself is damaged");
	return mend_filter(m, f, error);
}

int pl_repair_placed(struct pl_repairing *m, struct pleach_error *error)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < m->found->n; i++) {
		const struct pl_finding *f = &m->found->items[i];

		if (f->is_fault &&
		    (f->subject.what == PL_SUBJECT_PLACED || f->subject.what == PL_SUBJECT_FILTER))
			r = mend_part(m, i, error);
	}
	return r;
}
