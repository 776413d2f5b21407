/*
 * Deleting on purpose: one generation, or a ref with its history.
 *
 * I1  Refused, with the name of who has it, while anybody does: head, tags, pins, attachments.
 * I2  The commit point of dropping a generation is the name dropped/<n>; that of dropping a ref is a
 *     last record of kind `dropped`. Behind it whoever comes by goes on (pl_ref_settle()).
 * I3  Numbers are never given again: the record stays.
 * I4  What is lost beyond repair can be dropped, as the only way out of it: a tree that is missing frees nothing, and
 *     one whose directories cannot be read goes, its bytes not known.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "gc/gc.h"

static void name_of(uint64_t n, char ret_name[24])
{
	snprintf(ret_name, 24, "%llu", (unsigned long long)n);
}

/* ---- who has it ---- */

/* Who has it, as what follows "it is", and what one could do. Those who look for one say 1 if there is. */
struct holder {
	struct pl_buffer by;
	const char *hint;
};
static void holder_donep(struct holder *holder)
{
	pl_buffer_done(&holder->by);
}
#define HOLDER PL_CLEANUP(holder_donep) struct holder

static int refuse(struct pleach_error *error, const char *what, struct holder *holder)
{
	if (!pl_buffer_ok(&holder->by))
		return pl_fail_memory(error);
	pl_fail(error, PLEACH_BUSY, -EBUSY, "cannot drop %s: it is %s", what,
		pl_buffer_string(&holder->by));
	pl_hint(error, "%s", holder->hint);
	return -EBUSY;
}

/* The tags of a generation (0: any of the ref). */
static int find_tags(struct pl_ref *ref, uint64_t n, struct holder *holder,
		     struct pleach_error *error)
{
	struct pl_strings tags = {0};
	bool found = false;
	int r = pl_tag_list(ref, &tags, error);

	for (size_t i = 0; r >= 0 && i < tags.n; i++) {
		struct pl_tag tag;

		r = pl_tag_read(ref, tags.items[i], &tag, error);
		if (r < 0 || (n > 0 && tag.generation != n))
			continue;
		pl_buffer_add_format(&holder->by, "%s%s", found ? ", " : "tagged ", tag.name);
		found = true;
	}
	pl_strings_done(&tags);
	holder->hint = "delete the tags first (pleach tag --delete REF NAME), or use --force";
	return r < 0 ? r : found;
}

/* Those of a generation that was dropped all the same. */
static int delete_tags(struct pl_ref *ref, uint64_t n, struct pleach_error *error)
{
	struct pl_strings tags = {0};
	int r = pl_tag_list(ref, &tags, error);

	for (size_t i = 0; r >= 0 && i < tags.n; i++) {
		struct pl_tag tag;

		r = pl_tag_read(ref, tags.items[i], &tag, error);
		if (r >= 0 && tag.generation == n)
			r = pl_tag_delete(ref, tag.name, error);
	}
	pl_strings_done(&tags);
	return r < 0 ? r : 0;
}

static int find_attachments(struct pl_ref *ref, uint64_t n, struct holder *holder,
			    struct pleach_error *error)
{
	struct pl_attachment *list = NULL;
	size_t n_list = 0, at = 0;
	int r = pl_attachment_list(ref, &list, &n_list, error);

	while (r >= 0 && at < n_list && n > 0 && list[at].generation != n)
		at++;
	if (r >= 0 && at < n_list)
		pl_buffer_add_format(&holder->by, "attached at %s", list[at].path);
	r = r < 0 ? r : at < n_list;
	pl_attachments_free(list, n_list);
	holder->hint = "detach it first: pleach detach PATH";
	return r;
}

static int find_pin(struct pl_store *store, const struct pl_id *tree, struct holder *holder,
		    struct pleach_error *error)
{
	int r = pl_pin_is_held(store, tree);

	if (r > 0) {
		PL_CLOSE int treedir = pl_treedir_open(store, tree);
		struct stat st;

		pl_buffer_add_string(&holder->by, "pinned");
		if (treedir >= 0 && pl_lstat(treedir, "pin", &st) >= 0)
			pl_file_holders(&st, &holder->by);
	}
	holder->hint = "wait until the pin is released";
	return r < 0 ? pl_fail_sys(error, r, "cannot look at the pins of a tree") : r;
}

/* ---- what it frees ---- */

static int add_bytes(struct pl_store *store, const struct pl_id *tree, uint64_t *bytes,
		     struct pleach_error *error)
{
	struct pl_node_source nodes = pl_store_nodes(store);
	struct pl_totals totals;
	int r = pl_tree_totals(&nodes, tree, &totals, error);

	if (r >= 0)
		*bytes += totals.bytes;
	return r;
}

static int count_tree(struct pl_store *store, const struct pl_id *tree,
		      struct pleach_drop_result *result, struct pleach_error *error)
{
	int r = add_bytes(store, tree, &result->bytes, error);

	if (r == -EBADMSG) { /* I4 */
		pl_error_clear(error);
		r = 0;
	}
	if (r >= 0)
		result->trees++;
	return r;
}

/* Is `name` a user that goes with what is dropped: this generation, or, with n 0, any of the ref's? */
static bool goes_too(const struct pl_ref *ref, uint64_t n, const char *name)
{
	struct pl_user its;
	char user[128];

	if (n == 0)
		return pl_user_split(name, &its) && strchr("gt", its.kind) &&
		       strcmp(its.ref_id, ref->id) == 0;
	pl_user_of_generation(ref, n, user);
	return strcmp(name, user) == 0;
}

/* Will the tree be without a user then? One that is missing has none, and there is nothing to free. (I4) */
static int is_freed(struct pl_ref *ref, uint64_t n, const struct pl_id *tree,
		    struct pleach_error *error)
{
	struct pl_store *store = ref->store;
	PL_CLOSE int treedir = pl_treedir_open(store, tree);
	struct pl_user_lookup lookup = PL_USER_LOOKUP(store, NULL);
	struct pl_listing listing = {0};
	char hex[PL_ID_HEX + 1];
	int r = treedir, need = PL_NEED_NOTHING;

	if (treedir == -ENOENT)
		return 0;
	if (r >= 0)
		r = pl_users_list(treedir, &listing);
	if (r >= 0)
		r = pl_fs_clock(store->cache_fd, &lookup.now);
	if (r < 0)
		pl_fail_sys(error, r, "cannot list the users of tree %s", pl_id_hex(tree, hex));
	for (size_t i = 0; r >= 0 && i < listing.n; i++) {
		uint64_t number;

		if (goes_too(ref, n, listing.entries[i].name))
			continue;
		r = pl_user_need(&lookup, tree, listing.entries[i].name, &number, error);
		if (r == -EBADMSG) { /* who cannot be read may need it */
			pl_error_clear(error);
			r = PL_NEED_PLACED;
		}
		need = r > need ? r : need;
	}
	pl_user_lookup_done(&lookup);
	pl_listing_done(&listing);
	return r < 0 ? r : need == PL_NEED_NOTHING;
}

/* ---- a generation ---- */

/* Has anybody else had the tree? What cannot be told is a yes. */
static bool has_others(const struct pl_ref *ref, int treedir_fd)
{
	struct pl_listing listing = {0};
	bool has = pl_users_list(treedir_fd, &listing) < 0;

	for (size_t i = 0; i < listing.n; i++)
		has |= listing.entries[i].name[0] == 'g' &&
		       !pl_user_is_generation_of(ref, listing.entries[i].name);
	pl_listing_done(&listing);
	return has;
}

/*
 * Without --now the generation stays a user until its grace is over: whoever retires it then finds that it was
 * dropped. With others it stays so in any case (retire.c, I4). Under the exclusive lock, else 1. nobody else has the
 * tree, 2. a publish on another ref finds it there, and notes its user, 3. ours goes, and nothing tells any more that
 * somebody can be in it without a pin. Who is busy with it is such a one.
 */
static int forget_generation(struct pl_txdir *tx, struct pl_ref *ref, uint64_t n,
			     const struct pl_id *tree, struct pleach_error *error)
{
	struct pl_pin pin = PL_PIN_NONE;
	char user[128];
	int r = pl_pin_try_exclusive(tx->store, tree, &pin, error);

	if (r != PL_PIN_TAKEN)
		return r < 0 ? r : 0;
	pl_user_of_generation(ref, n, user);
	if (!has_others(ref, pin.treedir_fd))
		pl_user_remove(tx->store, pin.treedir_fd, user);
	pl_pin_done(&pin);
	return 0;
}

/* What is dropped is dropped. A tree that somebody may have who cannot be read stays until that is mended, for a
 * collection. */
static int take_tree(struct pl_txdir *tx, const struct pl_id *tree, struct pleach_error *error)
{
	struct pleach_error cause = PLEACH_ERROR_INIT;
	int r = pl_tree_take(tx, tree, NULL, &cause);

	if (r < 0 && r != -EBADMSG && error)
		*error = cause;
	return r == -EBADMSG ? 0 : r;
}

int pl_drop_release(struct pl_txdir *tx, struct pl_ref *ref, uint64_t n, const struct pl_id *tree,
		    bool now, struct pleach_error *error)
{
	int r = 0;

	pl_use_forget(ref, n);
	if (now)
		r = forget_generation(tx, ref, n, tree, error);
	return r < 0 ? r : take_tree(tx, tree, error);
}

static int find_holder(struct pl_ref *ref, uint64_t n, uint64_t head, const struct pl_id *tree,
		       bool but_tags, struct holder *holder, struct pleach_error *error)
{
	int r;

	if (n == head) {
		pl_buffer_add_string(&holder->by, "the head");
		holder->hint = "publish something else first, or drop the ref";
		return 1;
	}
	r = find_attachments(ref, n, holder, error);
	if (r == 0)
		r = find_pin(ref->store, tree, holder, error);
	return r != 0 || but_tags ? r : find_tags(ref, n, holder, error);
}

int pl_drop_find_holder(struct pl_ref *ref, uint64_t n, uint64_t head, const struct pl_id *tree,
			struct pl_buffer *by, struct pleach_error *error)
{
	HOLDER holder = {0};
	int r = find_holder(ref, n, head, tree, false, &holder, error);

	if (r > 0) {
		pl_buffer_add(by, holder.by.data, holder.by.length);
		if (!pl_buffer_ok(&holder.by))
			by->failed = true;
	}
	return r;
}

int pl_drop_is_kept(struct pl_ref *ref, uint64_t n, struct pleach_error *error)
{
	HOLDER holder = {0};
	int r = find_attachments(ref, n, &holder, error);

	return r != 0 ? r : find_tags(ref, n, &holder, error);
}

static int check_generation(struct pl_ref *ref, uint64_t n, uint64_t head, const struct pl_id *tree,
			    const struct pleach_drop_options *options, struct pleach_error *error)
{
	char what[PLEACH_REF_MAX + 40];
	HOLDER holder = {0};
	int r = find_holder(ref, n, head, tree, options->force, &holder, error);

	snprintf(what, sizeof(what), "generation %llu of '%s'", (unsigned long long)n, ref->name);
	return r > 0 ? refuse(error, what, &holder) : r;
}

int pl_drop_mark(struct pl_ref *ref, const uint64_t *numbers, size_t n, struct pleach_error *error)
{
	PL_CLOSE int dropped = pl_open_dir(ref->fd, "dropped");
	int r = dropped, synced = 0;
	size_t at = 0;
	char name[24];

	pl_assert(pl_ref_is_locked(ref) && n > 0);
	while (r >= 0 && at < n) {
		name_of(numbers[at], name);
		r = pl_write_file(dropped, name, 0644, "", 0, false); /* I2 */
		if (r == -EEXIST)
			r = 0;
		if (r >= 0)
			at++;
	}
	if (dropped >= 0 && at > 0) /* what is marked may be taken away by others from now on */
		synced = pl_store_sync(ref->store, dropped);
	r = r < 0 ? r : synced;
	if (r >= 0)
		return 0;
	name_of(numbers[at < n ? at : 0], name);
	return pl_fail_sys(error, r, "cannot drop generation %s of '%s'", name, ref->name);
}

/* Another one may have dropped it since it was found. */
static int must_be_there(struct pl_ref *ref, uint64_t n, struct pleach_error *error)
{
	int r = pl_generation_is_dropped(ref, n);

	if (r > 0)
		return pl_fail_not_found(error, "generation %llu of '%s' was dropped",
					 (unsigned long long)n, ref->name);
	return r < 0 ? pl_fail_sys(error, r, "cannot look at ref '%s'", ref->name) : 0;
}

/* Under the ref lock, as far as the commit point. Its tree is *ret_tree. */
static int drop_locked(struct pl_txdir *tx, struct pl_ref *ref, uint64_t n,
		       const struct pleach_drop_options *options, struct pl_id *ret_tree,
		       struct pleach_drop_result *result, struct pleach_error *error)
{
	struct pl_record record;
	uint64_t head;
	int r = pl_ref_settle(ref, tx, &head, error);

	if (r >= 0)
		r = must_be_there(ref, n, error);
	if (r >= 0)
		r = pl_generation_read(ref, n, &record, error);
	if (r < 0)
		return r;
	*ret_tree = record.tree;
	pl_record_done(&record);
	r = check_generation(ref, n, head, ret_tree, options, error); /* I1 */
	if (r >= 0)
		r = is_freed(ref, n, ret_tree, error);
	if (r > 0)
		r = count_tree(tx->store, ret_tree, result, error);
	if (r >= 0 && !options->dry_run)
		r = pl_drop_mark(ref, &n, 1, error);
	if (r >= 0 && !options->dry_run && options->force)
		r = delete_tags(ref, n, error);
	return r;
}

int pl_drop_generation(struct pl_txdir *tx, struct pl_ref *ref, uint64_t n,
		       const struct pleach_drop_options *options,
		       struct pleach_drop_result *ret_result, struct pleach_error *error)
{
	struct pleach_drop_result result = {.size = ret_result->size, .generations = 1};
	struct pl_id tree;
	int r = pl_ref_lock(ref, -1, error);

	if (r < 0)
		return r;
	r = drop_locked(tx, ref, n, options, &tree, &result, error);
	pl_ref_unlock(ref);
	if (r < 0)
		return r;
	*ret_result = result;
	return options->dry_run ? 0 : pl_drop_release(tx, ref, n, &tree, options->now, error);
}

/* ---- a ref ---- */

/* One tree of the ref: not pinned; counted if it goes. */
static int check_tree(struct pl_ref *ref, const struct pl_id *tree, const char *what,
		      struct pleach_drop_result *result, struct pleach_error *error)
{
	HOLDER holder = {0};
	int r = find_pin(ref->store, tree, &holder, error);

	if (r != 0)
		return r < 0 ? r : refuse(error, what, &holder);
	r = is_freed(ref, 0, tree, error);
	return r > 0 ? count_tree(ref->store, tree, result, error) : r;
}

/* Everything of the ref that must not be in use. Counts what goes. */
static int check_ref(struct pl_ref *ref, uint64_t head, const struct pleach_drop_options *options,
		     struct pleach_drop_result *result, struct pleach_error *error)
{
	char what[PLEACH_REF_MAX + 8];
	HOLDER holder = {0};
	struct pl_map counted;
	int r;

	snprintf(what, sizeof(what), "'%s'", ref->name);
	pl_map_init(&counted, sizeof(struct pl_id), ref->store->seed);
	r = find_attachments(ref, 0, &holder, error);
	if (r > 0)
		r = refuse(error, what, &holder);
	for (uint64_t n = 1; r >= 0 && n <= head; n++) {
		struct pl_record record;

		if (pl_generation_is_dropped(ref, n) > 0)
			continue;
		r = pl_generation_read(ref, n, &record, error);
		if (r < 0)
			break;
		result->generations++;
		r = pl_map_put(&counted, &record.tree, n);
		if (r == 0) /* not yet met */
			r = check_tree(ref, &record.tree, what, result, error);
		pl_record_done(&record);
	}
	pl_map_done(&counted);
	if (r < 0 || options->force)
		return r;
	r = find_tags(ref, 0, &holder, error);
	return r > 0 ? refuse(error, what, &holder) : r;
}

static int link_last_record(struct pl_txdir *tx, struct pl_ref *ref, uint64_t head,
			    struct pleach_error *error)
{
	struct pl_record record;
	PL_BUFFER b = {0};
	char name[24];
	int r = pl_generation_read(ref, head, &record, error);

	if (r < 0)
		return r;
	record.parent = head;
	record.generation = head + 1;
	snprintf(record.kind, sizeof(record.kind), "dropped");
	record.added = record.modified = record.removed = record.bytes_new = 0;
	pl_record_stamp(&record);
	r = pl_record_encode(&record, &b);
	pl_record_done(&record);
	if (r >= 0)
		r = pl_write_file(tx->fd, "record", 0644, b.data, b.length,
				  tx->store->settings.durable);
	if (r >= 0)
		r = pl_chmod_at(tx->fd, "record", 0644); /* whatever the umask is */
	name_of(head + 1, name);
	if (r >= 0)
		r = pl_link(tx->fd, "record", ref->gen_fd, name); /* I2 */
	if (r >= 0)
		r = pl_store_sync(tx->store, ref->gen_fd);
	return r < 0 ? pl_fail_sys(error, r, "cannot drop '%s'", ref->name) : 0;
}

/* The ids of all trees of the ref, before it is gone. */
static int list_trees(struct pl_ref *ref, uint64_t head, struct pl_strings *ret_ids,
		      struct pleach_error *error)
{
	int r = 0;

	for (uint64_t n = 1; r >= 0 && n <= head; n++) {
		struct pl_record record;
		char hex[PL_ID_HEX + 1];

		r = pl_generation_read(ref, n, &record, error);
		if (r < 0)
			return r;
		r = pl_strings_add(ret_ids, pl_id_hex(&record.tree, hex));
		pl_record_done(&record);
	}
	return r < 0 ? pl_fail_memory(error) : 0;
}

/* The commit point, and what follows it, under the ref lock. */
static int remove_locked(struct pl_txdir *tx, struct pl_ref *ref, uint64_t head, bool now,
			 struct pl_strings *ret_ids, struct pleach_error *error)
{
	int r;

	if (head == 0)
		return pl_ref_remove(ref, tx, false, error);
	r = list_trees(ref, head, ret_ids, error);
	if (r >= 0)
		r = link_last_record(tx, ref, head, error);
	if (r >= 0)
		r = pl_ref_remove(ref, tx, !now, error);
	return r;
}

/* The trees of this ref: its users are gone now. */
static int take_all(struct pl_txdir *tx, const struct pl_strings *ids, struct pleach_error *error)
{
	struct pl_id tree;
	int r = 0;

	for (size_t i = 0; r >= 0 && i < ids->n; i++)
		if (pl_id_parse(ids->items[i], &tree) == 0)
			r = take_tree(tx, &tree, error);
	return r < 0 ? r : 0;
}

/* Its public/ must not be moved while a transaction's view lies on it, nor its base go. A transaction that
 * begins makes its note under the ref lock. */
static int must_have_no_tx(struct pl_ref *ref, struct pleach_error *error)
{
	char id[25];
	int r = pl_ref_must_be_unmasked(ref, error);

	if (r >= 0)
		r = pl_tx_note_find(ref, NULL, false, id, error);
	if (r <= 0)
		return r;
	pl_fail(error, PLEACH_BUSY, -EBUSY, "cannot drop '%s': transaction %s on it is open",
		ref->name, id);
	pl_hint(error, "it ends by pleach commit or pleach abort, or with its command");
	return -EBUSY;
}

int pl_drop_ref(struct pl_txdir *tx, struct pl_ref *ref, const struct pleach_drop_options *options,
		struct pleach_drop_result *ret_result, struct pleach_error *error)
{
	struct pleach_drop_result result = {.size = ret_result->size};
	struct pl_strings ids = {0};
	uint64_t head;
	int r = pl_ref_lock(ref, -1, error);

	if (r < 0)
		return r;
	r = pl_ref_settle(ref, tx, &head, error);
	if (r >= 0)
		r = must_have_no_tx(ref, error);
	if (r >= 0)
		r = check_ref(ref, head, options, &result, error); /* I1 */
	if (r >= 0)
		*ret_result = result;
	if (r >= 0 && !options->dry_run)
		r = remove_locked(tx, ref, head, options->now, &ids, error);
	pl_ref_unlock(ref);
	if (r >= 0)
		r = take_all(tx, &ids, error);
	pl_strings_done(&ids);
	return r < 0 ? r : 0;
}
