/*
 * Texts of refs: ids, records, tags, settings; and locks that are lost. Each is there once, so it is made again only
 * where something proves what it said:
 *
 *	id	the records, which say it and verify
 *	record	--from STORE, if both stores have that generation in common (X1)
 *	tag	its user in a tree, and the generation that has this tree (X2)
 *	config	--from STORE
 *	lock	is empty
 *
 * X1  A copy of a store may have gone another way since. Its generation n is ours if the tree that it names has ours as
 *     a user, made before it was committed; or if the record behind it is the same in both, byte for byte.
 * X2  A user may outlive its tag, or stay where a tag was. So it tells what the tag was only if a single tree has it;
 *     and where several generations have this tree --from STORE tells which, or nobody.
 * X3  Under the ref lock; what is damaged is set aside before (M2).
 */
#include <stdio.h>
#include <stdlib.h>

#include "gc/repairing.h"

#define LOCK_MS 10000

/* What the finding is about, in the directory of its ref. */
static const char *name_in_ref(const struct pl_finding *f)
{
	const size_t length = strlen(".pleach/refs/") + strlen(f->ref) + 1;

	return strlen(f->path) > length ? f->path + length : "";
}

/* With a text from outside or from here: whole, durable, and read again where it was made (M1). */
static int make_text(struct pl_repairing *m, mode_t mode, const void *data, size_t length,
		     char ret_name[32])
{
	PL_BUFFER b = {0};
	int r;

	pl_txdir_name(m->tx, "text", ret_name);
	r = pl_write_file(m->tx->fd, ret_name, 0600, data, length, true);
	if (r >= 0)
		r = pl_chmod_at(m->tx->fd, ret_name, mode);
	if (r >= 0)
		r = pl_read_file(m->tx->fd, ret_name, PL_TEXT_MAX, &b);
	if (r >= 0 && (b.length != length || (length > 0 && memcmp(b.data, data, length) != 0)))
		r = -EIO;
	return r < 0 ? r : pl_fsync_at(m->tx->fd, ret_name);
}

/* X3. `how` tells of it. */
static int put_text(struct pl_repairing *m, struct pl_finding *f, struct pl_ref *ref,
		    const struct pl_buffer *b, const char *label, const char *how,
		    struct pleach_error *error)
{
	struct pleach_error cause = PLEACH_ERROR_INIT;
	char made[32];
	int r = make_text(m, 0644, b->data, b->length, made);

	if (r < 0)
		return pl_repairing_fail(r, f, error);
	if (pl_ref_lock(ref, LOCK_MS, &cause) < 0)
		return pl_repairing_unmended(m, f, error, "%s", cause.message);
	r = pl_aside_replace(m, m->tx->fd, made, ref->fd, name_in_ref(f), f->path, label);
	pl_ref_unlock(ref);
	return r < 0 ? pl_repairing_fail(r, f, error) : pl_repairing_mended(m, f, error, "%s", how);
}

/* ---- ids ---- */

/* 1 and what all records say that verify; 0: none does, or they differ. */
static int find_id(const struct pl_ref *ref, char ret_id[25])
{
	struct pl_listing listing = {0};
	bool is_found = false;
	int r = pl_list(ref->gen_fd, &listing);

	for (size_t i = 0; r >= 0 && i < listing.n; i++) {
		PL_BUFFER b = {0};
		struct pl_record record;

		if (pl_read_file(ref->gen_fd, listing.entries[i].name, PL_RECORD_MAX, &b) < 0)
			continue;
		r = pl_record_decode(b.data, b.length, &record);
		if (r == -ENOMEM)
			break;
		if (r < 0 || strcmp(record.ref, ref->name) != 0) {
			if (r >= 0)
				pl_record_done(&record);
			r = 0;
			continue;
		}
		if (is_found && strcmp(record.ref_id, ret_id) != 0)
			r = -EBADMSG;
		memcpy(ret_id, record.ref_id, sizeof(record.ref_id));
		is_found = true;
		pl_record_done(&record);
	}
	pl_listing_done(&listing);
	return r == -EBADMSG ? 0 : r < 0 ? r : is_found;
}

static int mend_id(struct pl_repairing *m, struct pl_finding *f, struct pl_ref *ref,
		   struct pleach_error *error)
{
	PL_BUFFER b = {0};
	char id[25];
	int r = find_id(ref, id);

	if (r < 0)
		return pl_repairing_fail(r, f, error);
	if (r == 0)
		return pl_repairing_unmended(m, f, error, "its records do not tell what it was");
	pl_buffer_add_format(&b, "%s\n", id);
	if (!pl_buffer_ok(&b))
		return pl_fail_memory(error);
	return put_text(m, f, ref, &b, "id", "made anew, as its records have it", error);
}

/* ---- records ---- */

static bool is_record(const struct pl_buffer *b, const struct pl_ref *ref, uint64_t n,
		      struct pl_id *ret_tree)
{
	struct pl_record record;
	bool is;

	if (pl_record_decode(b->data, b->length, &record) < 0)
		return false;
	is = record.generation == n && strcmp(record.ref, ref->name) == 0 &&
	     strcmp(record.ref_id, ref->id) == 0;
	*ret_tree = record.tree;
	pl_record_done(&record);
	return is;
}

/* Is `user` in users/ of the tree? */
static bool has_user(struct pl_repairing *m, const struct pl_id *tree, const char *user)
{
	char hex[PL_ID_HEX + 1], name[PL_ID_HEX + 300];

	(void)snprintf(name, sizeof(name), "%s/users/%.256s", pl_id_hex(tree, hex), user);
	return pl_exists(m->store->trees_fd, name) == 1;
}

static bool have_same(const struct pl_ref *a, const struct pl_ref *b, uint64_t n)
{
	PL_BUFFER x = {0};
	PL_BUFFER y = {0};
	struct pl_id tree;
	char name[24];

	(void)snprintf(name, sizeof(name), "%llu", (unsigned long long)n);
	return pl_read_file(a->gen_fd, name, PL_RECORD_MAX, &x) >= 0 &&
	       pl_read_file(b->gen_fd, name, PL_RECORD_MAX, &y) >= 0 && x.length == y.length &&
	       memcmp(x.data, y.data, x.length) == 0 && is_record(&x, a, n, &tree);
}

/* X1 */
static bool is_ours(struct pl_repairing *m, const struct pl_ref *ref, const struct pl_ref *other,
		    uint64_t n, const struct pl_id *tree)
{
	char user[128];

	pl_user_of_generation(ref, n, user);
	return has_user(m, tree, user) || have_same(ref, other, n + 1);
}

static int mend_record(struct pl_repairing *m, struct pl_finding *f, struct pl_ref *ref,
		       struct pl_ref *other, struct pleach_error *error)
{
	PL_BUFFER b = {0};
	struct pl_id tree;
	char name[24];

	if (!other)
		return pl_repairing_unmended(
			m, f, error, "there is no other record of it; --from a copy of this store");
	(void)snprintf(name, sizeof(name), "%llu", (unsigned long long)f->generation);
	if (pl_read_file(other->gen_fd, name, PL_RECORD_MAX, &b) < 0 ||
	    !is_record(&b, ref, f->generation, &tree))
		return pl_repairing_unmended(m, f, error, "'%s' does not have it",
					     m->options->from);
	if (!is_ours(m, ref, other, f->generation, &tree))
		return pl_repairing_unmended(
			m, f, error, "nothing proves that generation %s of '%s' is this one", name,
			m->options->from);
	return put_text(m, f, ref, &b, "record", "taken from another store", error);
}

/* ---- settings ---- */

static int mend_config(struct pl_repairing *m, struct pl_finding *f, struct pl_ref *ref,
		       struct pl_ref *other, struct pleach_error *error)
{
	struct pl_values values;
	PL_BUFFER b = {0};

	if (!other || pl_read_file(other->fd, "config", PL_TEXT_MAX, &b) < 0 ||
	    pl_values_decode(b.data, b.length, &values) < 0)
		return pl_repairing_unmended(
			m, f, error,
			"nothing else tells its settings; --from a copy of this store, or move it "
			"away and set them again: pleach config --ref %s KEY=VALUE",
			ref->name);
	pl_values_done(&values);
	return put_text(m, f, ref, &b, "config", "taken from another store", error);
}

/* ---- tags ---- */

struct tagged {
	char user[256];
	struct pl_id tree;
	unsigned n_trees, n_generations;
	uint64_t generation; /* the newest of these */
};

/* X2 */
static int find_tree(struct pl_repairing *m, struct tagged *t)
{
	struct pl_listing listing = {0};
	int r = pl_list(m->store->trees_fd, &listing);

	for (size_t i = 0; r >= 0 && i < listing.n; i++) {
		struct pl_id tree;

		if (!pl_tree_is_entry(m->store, &listing.entries[i], &tree) ||
		    !has_user(m, &tree, t->user))
			continue;
		t->tree = tree;
		t->n_trees++;
	}
	pl_listing_done(&listing);
	return r < 0 ? r : 0;
}

/* Of the tree. -EBADMSG: one that may be such cannot be read. */
static int find_generations(struct pl_ref *ref, struct tagged *t, struct pleach_error *cause)
{
	uint64_t head = 0;
	int r = pl_head_number(ref, &head, cause);

	for (uint64_t n = 1; r >= 0 && n <= head; n++) {
		struct pl_record record;

		if (pl_generation_is_dropped(ref, n) > 0)
			continue;
		r = pl_generation_read_known(ref, n, &record, cause);
		if (r < 0)
			break;
		if (pl_id_equal(&record.tree, &t->tree)) {
			t->generation = n;
			t->n_generations++;
		}
		pl_record_done(&record);
	}
	return r < 0 ? r : 0;
}

/* 1: t->generation is it; 0: nobody can tell, for `cause`. */
static int find_tagged(struct pl_repairing *m, struct pl_ref *ref, struct pl_ref *other,
		       const char *name, struct tagged *t, struct pleach_error *cause)
{
	struct pl_tag tag;
	int r;

	pl_user_of_tag(ref, name, t->user);
	r = find_tree(m, t);
	if (r < 0)
		return pl_fail_sys(cause, r, "cannot list the trees");
	if (t->n_trees != 1) {
		pl_fail_corrupt(cause, "%s",
				t->n_trees == 0 ? "no tree has it as a user"
						: "several trees have it as a user");
		return 0;
	}
	r = find_generations(ref, t, cause);
	if (r < 0)
		return r == -EBADMSG ? 0 : r;
	if (t->n_generations > 1 && other && pl_tag_read(other, name, &tag, NULL) >= 0 &&
	    pl_id_equal(&tag.tree, &t->tree)) {
		t->generation = tag.generation;
		t->n_generations = 1;
	}
	if (t->n_generations == 1)
		return 1;
	pl_fail_corrupt(cause,
			"%u generations have the tree that it named; set it again: "
			"pleach tag --force %s %s @N",
			t->n_generations, ref->name, name);
	return 0;
}

/* M2: it keeps its name until the new one takes it, unless it is no file. */
static int set_tag_aside(struct pl_repairing *m, const struct pl_finding *f, struct pl_ref *ref,
			 const char *name)
{
	PL_CLOSE int tags = pl_open_dir(ref->fd, "tags");
	struct stat st;
	int r = tags < 0 ? tags : pl_lstat(tags, name, &st);

	if (r >= 0 && S_ISREG(st.st_mode))
		r = pl_aside_link(m, tags, name, f->path, "tag");
	else if (r >= 0)
		r = pl_aside_move(m, tags, name, f->path, "tag");
	return r == -ENOENT ? 0 : r;
}

static int mend_tag(struct pl_repairing *m, struct pl_finding *f, struct pl_ref *ref,
		    struct pl_ref *other, struct pleach_error *error)
{
	struct pleach_error cause = PLEACH_ERROR_INIT;
	const char *name = name_in_ref(f) + strlen("tags/");
	struct tagged t = {.n_trees = 0};
	int r = pl_ref_name_is_valid(name) ? find_tagged(m, ref, other, name, &t, &cause) : 0;

	if (r == 0)
		return pl_repairing_unmended(m, f, error, "%s", cause.message);
	if (r > 0)
		r = set_tag_aside(m, f, ref, name);
	if (r < 0)
		return pl_repairing_fail(r, f, error);
	r = pl_tag_set(ref, m->tx, name, t.generation, true, &cause);
	if (r == -ENOENT || r == -EBADMSG || r == -EBUSY || r == -ESTALE)
		return pl_repairing_unmended(m, f, error, "%s", cause.message);
	if (r < 0 && error)
		*error = cause;
	return r < 0 ? r
		     : pl_repairing_mended(m, f, error, "made anew: its tree is that of @%llu",
					   (unsigned long long)t.generation);
}

/* ---- locks ---- */

static int mend_lock(struct pl_repairing *m, struct pl_finding *f, struct pl_ref *ref,
		     struct pleach_error *error)
{
	char made[32];
	int r = make_text(m, 0600, "", 0, made);

	if (r >= 0 && pl_exists(ref->fd, "lock") == 1) /* no file, or it has come since */
		r = pl_aside_move(m, ref->fd, "lock", f->path, "lock");
	if (r >= 0)
		r = pl_rename_new(m->tx->fd, made, ref->fd, "lock");
	if (r >= 0)
		r = pl_store_sync(m->store, ref->fd);
	if (r == -EEXIST)
		return 0;
	return r < 0 ? pl_repairing_fail(r, f, error)
		     : pl_repairing_mended(m, f, error, "made anew");
}

/* ---- all ---- */

/* The ref, of which anything may be damaged. 0; what is missing is told by another finding. */
static int open_bare(struct pl_repairing *m, const char *name, struct pl_ref *ret_ref)
{
	struct pl_ref ref = {.store = m->store, .fd = -EBADF, .gen_fd = -EBADF, .lock_fd = -EBADF};
	int r = ref.fd = pl_open_dir(m->store->refs_fd, name);

	(void)snprintf(ref.name, sizeof(ref.name), "%s", name);
	if (r >= 0)
		r = ref.gen_fd = pl_open_dir(ref.fd, "gen");
	if (r >= 0 && pl_ref_read_id(&ref) < 0)
		ref.id[0] = '\0';
	if (r < 0)
		pl_ref_close(&ref);
	else
		*ret_ref = ref;
	return r < 0 ? r : 0;
}

static int mend_of(struct pl_repairing *m, struct pl_finding *f, struct pl_ref *ref,
		   struct pl_ref *other, struct pleach_error *error)
{
	const char *name = name_in_ref(f);

	if (strcmp(name, "lock") == 0)
		return mend_lock(m, f, ref, error);
	if (strcmp(name, "id") == 0)
		return mend_id(m, f, ref, error);
	if (ref->id[0] == '\0')
		return pl_repairing_unmended(m, f, error, "its ref has no id any more");
	if (strcmp(name, "config") == 0)
		return mend_config(m, f, ref, other, error);
	if (strncmp(name, "tags/", 5) == 0)
		return mend_tag(m, f, ref, other, error);
	if (strncmp(name, "gen/", 4) == 0 && f->generation > 0)
		return mend_record(m, f, ref, other, error);
	return pl_repairing_unmended(m, f, error, "nothing in the store tells what is right");
}

static int mend_text(struct pl_repairing *m, struct pl_finding *f, struct pleach_error *error)
{
	struct pl_ref ref, other;
	int r = open_bare(m, f->ref, &ref), has_other;

	if (r < 0)
		return r == -ENOENT
			       ? 0
			       : pl_repairing_unmended(m, f, error, "its ref cannot be opened");
	has_other = pl_outside_ref(m, &ref, &other);
	r = mend_of(m, f, &ref, has_other ? &other : NULL, error);
	if (has_other)
		pl_ref_close(&other);
	pl_ref_close(&ref);
	return r;
}

int pl_repair_texts(struct pl_repairing *m, struct pleach_error *error)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < m->found->n; i++) {
		struct pl_finding *f = &m->found->items[i];

		if (f->is_fault && f->subject.what == PL_SUBJECT_RECORD && f->ref[0] != '\0')
			r = mend_text(m, f, error);
	}
	return r;
}
