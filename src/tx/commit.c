/*
 * The commit: steps 4 to 10 of the protocol (DESIGN.md, "Commit"; model/ref.pml, trees.pml, durable.pml).
 *
 *   staged --place_tree--> placed in tx --sync, pl_stage_name--> objects named --put_tree--> in trees/
 *     --sync--> durable --pl_ref_lock, expect_head--> head known --link_record--> COMMITTED
 *     --pl_public_show--> shown --finish--> done
 *
 * I1  A shared lock on the tree's pin is held from before trees/<id>/ has its name until it is shown.
 *     (model/trees.pml, controls NO_PIN, PIN_AFTER_NAME)
 * I2  Everything that the record reaches is durable before the record is (I7: or with it).
 * I3  The record gets its name with link(2): a number is given once. (model/ref.pml, NO_EXCL)
 * I4  Behind link_record() the way is only forward: nothing that fails there undoes, and the answer is
 *     "published", however it ends.
 * I5  Under the ref lock nothing is done whose cost follows the tree, but a diff with a moved head.
 * I6  No user is taken off a tree here. It may be another's: 1. two commits of one tree for the same
 *     number give it one user, 2. the first is recorded, 3. the second finds the number taken. A user
 *     that is nobody's is found gone by whoever has the pin exclusively (gc/retire.c). (model/trees.pml, control
 *     TAKE_OFF_USER)
 * I7  Where the journal keeps the order of names, the sync of gen/ behind the record stands for the second
 *     round: whatever it reaches was named before it. Data are not ordered, so the record's was in the first
 *     round; and attachments, which may be elsewhere, have the second one. (adr/0007; model/durable.pml,
 *     control ONE_ROUND)
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "tx/attached.h"

/* What a commit knows on its way. */
struct committing {
	struct pl_commit *c;
	struct pl_store *store;
	struct pl_pin pin; /* on the new tree (I1) */
	struct pl_spare spare;
	unsigned k;
	uint64_t parent; /* the head that the record is written for */
	struct pl_id parent_tree;
	struct pl_diff_counts counts;
	char user[128]; /* name of ours in users/ */
	struct pl_journal journal;
	bool is_recorded;	     /* the record is written, and was in a round of sync */
	struct pl_attached attached; /* the ref's directories and mounts, made ready */
};

static struct pl_node_source nodes_of(struct committing *m)
{
	return m->c->stage ? pl_stage_nodes(m->c->stage) : pl_store_nodes(m->store);
}

/* ---- the record ---- */

static int count_changes(struct committing *m, struct pleach_error *error)
{
	struct pl_node_source nodes = nodes_of(m);

	return pl_diff_count(&nodes, m->parent > 0 ? &m->parent_tree : NULL, &m->c->tree,
			     m->store->seed, &m->counts, error);
}

static int encode_record(struct committing *m, struct pl_buffer *b, struct pleach_error *error)
{
	struct pl_commit *c = m->c;
	struct pl_record record = {.generation = m->parent + 1,
				   .parent = m->parent,
				   .tree = c->tree,
				   .added = m->counts.added,
				   .modified = m->counts.modified,
				   .removed = m->counts.removed,
				   .bytes_new = c->bytes_new};
	int r = 0;

	snprintf(record.ref, sizeof(record.ref), "%s", c->ref->name);
	snprintf(record.ref_id, sizeof(record.ref_id), "%s", c->ref->id);
	snprintf(record.kind, sizeof(record.kind), "%s", c->kind);
	pl_record_stamp(&record);
	if (c->message && !(record.message = strdup(c->message)))
		r = -ENOMEM;
	for (size_t i = 0; r >= 0 && c->meta && c->meta[i]; i++)
		r = pl_strings_add(&record.meta, c->meta[i]);
	if (r >= 0)
		r = pl_record_encode(&record, b);
	pl_record_done(&record);
	if (r == -E2BIG)
		return pl_fail_usage(error,
				     "message and meta of a generation are too long together");
	return r < 0 ? pl_fail_memory(error) : 0;
}

/* `sync`: no round of sync comes after it. */
static int write_record(struct committing *m, bool sync, struct pleach_error *error)
{
	PL_BUFFER b = {0};
	int r = encode_record(m, &b, error);

	if (r < 0)
		return r;
	r = pl_unlink(m->c->tx->fd, "record"); /* one for a head that has moved */
	if (r >= 0 || r == -ENOENT)
		r = pl_write_file(m->c->tx->fd, "record", 0644, b.data, b.length,
				  sync && m->store->settings.durable);
	if (r >= 0)
		r = pl_chmod_at(m->c->tx->fd, "record", 0644);
	return r < 0 ? pl_fail_sys(error, r, "cannot write the record of a generation of '%s'",
				   m->c->ref->name)
		     : 0;
}

/* ---- 4: placing ---- */

static int open_base(struct committing *m, struct pl_layout *layout, int *ret_wrapper, int *ret_fd)
{
	struct pl_pin *base = m->c->base_pin;
	char name[16];

	if (!base || base->fd < 0 || base->k == 0)
		return 0;
	snprintf(name, sizeof(name), "%u", base->k);
	*ret_wrapper = pl_open_dir(base->treedir_fd, name);
	*ret_fd = pl_placing_open(base->treedir_fd, base->k);
	if (*ret_wrapper < 0 || *ret_fd < 0)
		return 0; /* it is a help, no need */
	layout->base = base->tree;
	layout->base_wrapper_fd = *ret_wrapper;
	layout->base_fd = *ret_fd;
	return 0;
}

/* A retired tree to lay out from. It is a help, no need: where there is none, or anything is wrong with
 * it, the tree is laid out in full. */
static void open_spare(struct committing *m, struct pl_layout *layout, int *ret_wrapper)
{
	struct pleach_error ignored = PLEACH_ERROR_INIT;

	if (m->c->ref->settings.recycle == PL_RECYCLE_OFF ||
	    pl_spare_take(m->c->tx, m->c->ref, &m->spare, &ignored) != 1)
		return;
	*ret_wrapper = pl_open_dir(m->c->tx->fd, m->spare.name);
	layout->may_edit = m->spare.is_alone;
	layout->spare = m->spare.pin.tree;
	layout->spare_wrapper_fd = *ret_wrapper;
}

/* The wrapper 1 in tx/t, made where no stage has made it (or an earlier commit has used that). */
static int open_wrapper(struct committing *m, int *ret_fd)
{
	PL_CLOSE int t = -EBADF;
	int r = pl_mkdir(m->c->tx->fd, "t", 0700);

	if (r < 0 && r != -EEXIST)
		return r;
	t = pl_open_dir(m->c->tx->fd, "t");
	if (t < 0)
		return t;
	r = pl_mkdir(t, "1", 0755);
	if (r < 0 && r != -EEXIST)
		return r;
	*ret_fd = pl_open_dir(t, "1");
	return *ret_fd < 0 ? *ret_fd : pl_chmod(*ret_fd, 0755);
}

/* Lays the tree out in tx/t/1/tree. */
static int place_tree(struct committing *m, struct pleach_error *error)
{
	struct pl_node_source nodes = nodes_of(m);
	PL_CLOSE int wrapper = -EBADF, base_wrapper = -EBADF, base_fd = -EBADF;
	PL_CLOSE int spare_wrapper = -EBADF;
	struct pl_layout layout = {.tx = m->c->tx,
				   .nodes = &nodes,
				   .tree = m->c->tree,
				   .share = m->c->ref->settings.share,
				   .base_fd = -EBADF,
				   .base_wrapper_fd = -EBADF,
				   .spare_wrapper_fd = -EBADF,
				   .total_entries = m->c->total_entries,
				   .jobs = m->c->stage ? m->c->stage->jobs : 0,
				   .wants_exact_filter = m->c->stage == NULL,
				   .staged_objects_fd =
					   m->c->stage ? m->c->stage->objects_fd : -EBADF};
	int r = open_wrapper(m, &wrapper);

	if (r < 0)
		return pl_fail_sys(error, r, "cannot make room for the tree in %s/.pleach/tx/%s",
				   m->store->path, m->c->tx->id);
	open_base(m, &layout, &base_wrapper, &base_fd);
	open_spare(m, &layout, &spare_wrapper);
	layout.wrapper_fd = wrapper;
	return pl_layout_run(&layout, NULL, error);
}

/* ---- 4: trees/<id>/ ---- */

static int sync_trees(struct committing *m)
{
	return pl_txdir_must_fsync(m->c->tx) ? pl_fsync(m->store->trees_fd) : 0;
}

static int is_there(int r)
{
	return r == -EEXIST ? 0 : r;
}

static int lock_pin(struct committing *m)
{
	int r = pl_lock_try(m->pin.fd, PL_LOCK_SHARED);

	return r == 0 ? -EBUSY : r;
}

/* What trees/<id>/ consists of besides the placing, in tx/t; and the pin, locked (I1). */
static int furnish_tree(struct committing *m, struct pleach_error *error)
{
	PL_CLOSE int t = pl_open_dir(m->c->tx->fd, "t");
	PL_CLOSE int users = -EBADF;
	int r = t;

	if (r >= 0)
		r = is_there(pl_mkdir(t, "users", 0700)); /* from a turn that came too late */
	if (r >= 0)
		r = is_there(pl_write_file(t, "pin", 0644, "", 0, pl_txdir_must_fsync(m->c->tx)));
	if (r >= 0)
		r = pl_chmod_at(t, "pin", 0644); /* whatever the umask is: readers pin */
	if (r >= 0)
		r = pl_chmod(t, 0711);
	if (r >= 0)
		r = users = pl_open_dir(t, "users");
	if (r >= 0)
		r = is_there(pl_write_file(users, m->user, 0600, "", 0, false));
	if (r >= 0 && m->spare.other[0])
		r = is_there(pl_write_file(users, m->spare.other, 0600, "", 0, false));
	if (r >= 0 && pl_txdir_must_fsync(m->c->tx)) {
		r = pl_fsync(users);
		if (r >= 0)
			r = pl_fsync(t);
	}
	if (r >= 0)
		r = m->pin.fd = pl_open(t, "pin", O_RDONLY);
	if (r >= 0 && pl_seam_guards(PL_GUARD_PIN_FIRST))
		r = lock_pin(m);
	return r < 0 ? pl_fail_sys(error, r, "cannot finish the tree in %s/.pleach/tx/%s",
				   m->store->path, m->c->tx->id)
		     : 0;
}

/* The whole of tx/t gets its name. 1: it has it; 0: such a tree is there already. */
static int put_new_tree(struct committing *m, struct pleach_error *error)
{
	char hex[PL_ID_HEX + 1];
	int r;

	if (m->pin.fd < 0) {
		r = furnish_tree(m, error);
		if (r < 0)
			return r;
	}
	pl_seam_point(PL_POINT_TREE_MADE);
	r = pl_rename_new(m->c->tx->fd, "t", m->store->trees_fd, pl_id_hex(&m->c->tree, hex));
	if (r == -EEXIST || r == -ENOTEMPTY) {
		pl_pin_done(&m->pin);
		return 0;
	}
	if (r >= 0)
		pl_seam_point(PL_POINT_TREE_NAMED);
	if (r >= 0 && !pl_seam_guards(PL_GUARD_PIN_FIRST))
		r = lock_pin(m);
	if (r >= 0)
		r = sync_trees(m);
	if (r >= 0)
		r = m->pin.treedir_fd = pl_treedir_open(m->store, &m->c->tree);
	if (r < 0)
		return pl_fail_sys(error, r, "cannot put tree %s into the store", hex);
	m->pin.tree = m->c->tree;
	m->pin.k = m->k = 1;
	return 1;
}

/* The wrapper in tx/t joins a tree that is there and not placed (any more). */
static int put_placing(struct committing *m, struct pleach_error *error)
{
	int r = 0;

	if (m->spare.other[0])
		r = pl_user_add(m->store, m->pin.treedir_fd, m->spare.other, error);
	if (r < 0)
		return r;
	r = pl_placing_put(m->c->tx->fd, "t/1", m->pin.treedir_fd, &m->k);
	if (r >= 0 && pl_txdir_must_fsync(m->c->tx))
		r = pl_fsync(m->pin.treedir_fd);
	if (r < 0)
		return pl_fail_sys(error, r, "cannot place the tree in %s/.pleach/trees",
				   m->store->path);
	m->pin.k = m->k;
	return 0;
}

/* 1: pinned and placed, with our user. 0: there is no such tree. 2: there is one, not placed. */
static int join_tree(struct committing *m, struct pleach_error *error)
{
	int r = pl_pin_wait(m->store, &m->c->tree, &m->pin, error);

	if (r != PL_PIN_TAKEN)
		return r;
	r = pl_user_add(m->store, m->pin.treedir_fd, m->user, error);
	if (r < 0)
		return r;
	/* Whoever put it there may not have come to sync its names yet (I2). */
	if (pl_txdir_must_fsync(m->c->tx)) {
		r = pl_fsync(m->pin.treedir_fd);
		if (r >= 0)
			r = sync_trees(m);
		if (r < 0)
			return pl_fail_sys(error, r, "cannot sync a tree in %s/.pleach/trees",
					   m->store->path);
	}
	m->k = m->pin.k;
	return m->k > 0 ? 1 : 2;
}

/* A round with the record in it; the first one is: data before its names, and the record's with it. */
static int sync_with_record(struct committing *m, struct pleach_error *error)
{
	int r = write_record(m, pl_txdir_must_fsync(m->c->tx), error);

	if (r >= 0)
		r = pl_txdir_sync(m->c->tx, error);
	m->is_recorded = r >= 0;
	return r;
}

/* The second round, where the sync of the record does not stand for it (I7). */
static int sync_names(struct committing *m, struct pleach_error *error)
{
	if (!m->is_recorded)
		return sync_with_record(m, error);
	return m->journal.is_ordered && m->attached.n_records == 0 ? 0
								   : pl_txdir_sync(m->c->tx, error);
}

/*
 * Steps 3 to 5 from the staged nodes and objects on: a tree that is there is used as it is; else it is
 * laid out, objects and nodes get their names, it gets its own.
 */
static int put_tree(struct committing *m, struct pleach_error *error)
{
	bool is_laid_out = false, is_named = m->c->stage == NULL;
	int r;

	for (unsigned i = 0; i < 16; i++) {
		r = join_tree(m, error);
		if (r < 0 || r == 1)
			return r < 0 ? r : 0;
		if (!is_laid_out) {
			r = place_tree(m, error);
			if (r < 0)
				return r;
			is_laid_out = true;
		}
		if (!is_named) {
			r = sync_with_record(m, error);
			if (r >= 0)
				r = pl_stage_name(m->c->stage, error);
			if (r < 0)
				return r;
			is_named = true;
		}
		if (m->pin.fd >= 0)
			return put_placing(m, error);
		r = put_new_tree(m, error);
		if (r != 0)
			return r < 0 ? r : 0;
	}
	return pl_fail(error, PLEACH_BUSY, -EBUSY, "the tree is taken away again and again");
}

/* ---- 6: the head ---- */

int pl_commit_check_head(const char *ref, int64_t if_head, uint64_t head,
			 struct pleach_error *error)
{
	if (if_head < 0 || (uint64_t)if_head == head)
		return 0;
	pl_fail(error, PLEACH_CONFLICT, -ECANCELED, "'%s' is at generation %llu, not %lld", ref,
		(unsigned long long)head, (long long)if_head);
	pl_hint(error, "look at what came in between: pleach log %s", ref);
	return -ECANCELED;
}

/* The generation that is to be made follows this head. */
static int take_parent(struct committing *m, uint64_t head, struct pleach_error *error)
{
	struct pl_record record;
	int r = pl_commit_check_head(m->c->ref->name, m->c->if_head, head, error);

	if (r >= 0)
		r = pl_generation_read(m->c->ref, head, &record, error);
	if (r < 0)
		return r;
	m->parent = head;
	m->parent_tree = record.tree;
	pl_record_done(&record);
	return 0;
}

/* The head has moved: the record is made for it, and the tree gets a user of the new number. (I6) */
static int follow_head(struct committing *m, uint64_t head, struct pleach_error *error)
{
	int r = take_parent(m, head, error);

	if (r < 0)
		return r;
	pl_user_of_generation(m->c->ref, head + 1, m->user);
	r = pl_user_add(m->store, m->pin.treedir_fd, m->user, error);
	if (r >= 0)
		r = count_changes(m, error);
	return r < 0 ? r : write_record(m, true, error);
}

/* Is the tree what the head has already, but for the mtimes of directories? */
static bool is_same_as_head(const struct committing *m)
{
	return m->parent > 0 &&
	       (pl_id_equal(&m->parent_tree, &m->c->tree) ||
		(m->counts.added == 0 && m->counts.modified == 0 && m->counts.removed == 0));
}

/* ---- 7 and 8: the commit point ---- */

/* 1: committed. 0: another generation has the number. */
static int link_record(struct committing *m, struct pleach_error *error)
{
	char name[24], hex[PL_ID_HEX + 8];
	int r;

	pl_id_hex(&m->c->tree, hex);
	memcpy(hex + PL_ID_HEX, "/pin", 5);
	r = pl_lock_is_current(m->pin.fd, m->store->trees_fd, hex); /* 7 */
	if (r == 0)
		return pl_fail(error, PLEACH_FAILED, -ESTALE, "tree %s went away", hex);
	if (r < 0)
		return pl_fail_sys(error, r, "cannot look at the tree that is to be published");
	snprintf(name, sizeof(name), "%llu", (unsigned long long)m->parent + 1);
	r = pl_link(m->c->tx->fd, "record", m->c->ref->gen_fd, name); /* 8, I3 */
	if (r == -EEXIST)
		return 0;
	return r < 0 ? pl_fail_sys(error, r, "cannot record generation %s of '%s'", name,
				   m->c->ref->name)
		     : 1;
}

/* Under the ref lock: 6 to 8. 0: the head has this tree already. */
static int commit_locked(struct committing *m, struct pleach_error *error)
{
	uint64_t head;
	int r;

	/* Bounded, though only a lost lock makes a second turn. */
	for (unsigned i = 0; i < 1000; i++) {
		r = pl_ref_settle(m->c->ref, m->c->tx, &head, error);
		if (r >= 0 && head != m->parent)
			r = follow_head(m, head, error);
		if (r < 0)
			return r;
		if (is_same_as_head(m))
			return 0;
		r = link_record(m, error);
		if (r != 0)
			return r;
	}
	return pl_fail(error, PLEACH_BUSY, -EBUSY, "'%s' is published by others again and again",
		       m->c->ref->name);
}

/* ---- 9: shown ---- */

static int show_public(void *self, struct pleach_error *error)
{
	struct committing *m = self;

	return pl_public_show(m->c->ref, m->c->tx, m->parent + 1, &m->c->tree, m->k, error);
}

/* The public path, then what is attached, whatever became of the public path. What is recorded has taken the last inode,
 * maybe: two more are needed, and nothing can be taken back any more. */
static int show_all(struct committing *m, struct pleach_error *error)
{
	struct pleach_error other = PLEACH_ERROR_INIT;
	int r = pl_store_with_reserve(m->store, show_public, m, error);
	int r_attached = pl_attached_show(&m->attached, m->c->tx, m->parent + 1, &m->pin, &other);

	if (r == 0 && r_attached == PLEACH_PARTIAL && error)
		*error = other;
	return r != 0 ? r : r_attached;
}

/* Past the commit point (I4). */
static int show(struct committing *m, struct pleach_error *error)
{
	struct pl_ref *ref = m->c->ref;
	unsigned long long n = m->parent + 1;
	int r = m->store->settings.durable ? pl_journal_sync(ref->gen_fd, &m->journal) : 0;

	if (r < 0) {
		pl_fail_sys(error, r, "published '%s' as generation %llu, durability unknown",
			    ref->name, n);
		if (error)
			error->code = PLEACH_FAILED; /* it is published: no "no space" */
		pl_hint(error,
			"the disk reports errors: look at the kernel's log, then check the store");
		return r;
	}
	pl_placed_hint_add(m->store, ref->id, &m->c->tree);
	r = show_all(m, error);
	if (r == PLEACH_PARTIAL)
		return r;
	if (r == 1) {
		pl_fail(error, PLEACH_PARTIAL, -EEXIST,
			"generation %llu of '%s' is recorded, not shown: '%s/%s' is not ours", n,
			ref->name, m->store->path, ref->name);
		pl_hint(error, "move it away; the next publish then shows it");
		return PLEACH_PARTIAL;
	}
	if (r < 0) {
		pl_error_prefix(error, "published '%s' as generation %llu, but not shown yet",
				ref->name, n);
		if (error && error->code == PLEACH_NO_SPACE)
			error->code = PLEACH_FAILED; /* it is published: nobody shall try again */
		pl_hint(error, "the next command on this ref shows it");
		return r;
	}
	return 0;
}

/* ---- the whole ---- */

static void fill_unchanged(uint64_t head, const struct pl_id *tree,
			   struct pleach_publish_result *result)
{
	result->generation = result->parent = head;
	pl_id_hex(tree, result->tree);
	result->added = result->modified = result->removed = result->bytes_new = 0;
	result->unchanged = true;
}

static void fill_result(const struct committing *m, bool unchanged,
			struct pleach_publish_result *result)
{
	if (unchanged) {
		fill_unchanged(m->parent, &m->parent_tree, result);
		return;
	}
	result->generation = m->parent + 1;
	result->parent = m->parent;
	pl_id_hex(&m->c->tree, result->tree);
	result->added = m->counts.added;
	result->modified = m->counts.modified;
	result->removed = m->counts.removed;
	result->bytes_new = m->c->bytes_new;
	result->unchanged = false;
}

/* 1: the public path leads to a tree. 0: to nothing. What is there and cannot be looked at is there. */
static int leads_somewhere(struct pl_ref *ref, struct pleach_error *error)
{
	struct stat st;
	int r = pl_stat(ref->fd, "public/tree", &st);

	if (r >= 0 || r == -EACCES)
		return 1;
	if (r == -ENOENT || r == -ENOTDIR || r == -ELOOP)
		return 0;
	return pl_fail_sys(error, r, "cannot look at the public path '%s/%s'", ref->store->path,
			   ref->name);
}

/*
 * Nothing is well where the placed tree is gone. It may be gone because another generation has been shown
 * meanwhile, or a repair has: so the head is looked at again, and then the path. As confirm_head().
 */
static int must_be_shown(struct pl_ref *ref, struct pl_txdir *tx, uint64_t head, uint64_t *ret_head,
			 struct pleach_error *error)
{
	int r = leads_somewhere(ref, error);

	if (r != 0)
		return r;
	r = pl_ref_settle(ref, tx, ret_head, error);
	if (r < 0 || *ret_head != head)
		return r < 0 ? r : 0;
	r = leads_somewhere(ref, error);
	if (r != 0)
		return r;
	pl_fail_corrupt(error, "the public path '%s/%s', of '%s@%llu', leads to nothing",
			ref->store->path, ref->name, ref->name, (unsigned long long)head);
	pl_hint(error, "pleach check --repair places it again");
	return -EBADMSG;
}

/* Is `head`, in which there is nothing to change, the head, and shown? 1, or 0: *ret_head is the head. */
static int confirm_head(struct pl_ref *ref, struct pl_txdir *tx, uint64_t head, uint64_t *ret_head,
			struct pleach_error *error)
{
	int r = pl_ref_settle(ref, tx, ret_head, error);

	if (r < 0 || *ret_head != head)
		return r < 0 ? r : 0;
	if (!pl_ref_is_locked(ref))
		r = pl_public_restore(ref, error);
	return r < 0 ? r : must_be_shown(ref, tx, head, ret_head, error);
}

/* Is there nothing to do? Then that must be so for the head as it is now. 1: unchanged. */
static int compare_with_head(struct committing *m, struct pleach_error *error)
{
	for (;;) {
		uint64_t head;
		int r = count_changes(m, error);

		if (r < 0 || !is_same_as_head(m))
			return r < 0 ? r : 0;
		r = confirm_head(m->c->ref, m->c->tx, m->parent, &head, error);
		if (r != 0)
			return r;
		r = take_parent(m, head, error);
		if (r < 0)
			return r;
	}
}

static int content_of(struct committing *m, const struct pl_id *tree, uint64_t *ret_bytes,
		      struct pleach_error *error)
{
	struct pl_node_source nodes = nodes_of(m);
	struct pl_totals totals;
	int r = pl_tree_totals(&nodes, tree, &totals, error);

	if (r >= 0)
		*ret_bytes = totals.bytes;
	return r < 0 ? r : 0;
}

/* Where nothing else can go, the head may: when this has taken its place, and its grace is over. */
static int check_room(struct committing *m, struct pleach_error *error)
{
	uint64_t bytes, replaced;
	int r = pl_growth_check_room(m->store, m->c->bytes_new, error);

	if (r != -ENOSPC || !m->store->is_measured || m->parent == 0)
		return r;
	pl_error_clear(error);
	r = content_of(m, &m->parent_tree, &replaced, error);
	if (r >= 0)
		r = content_of(m, &m->c->tree, &bytes, error);
	if (r >= 0)
		r = pl_drop_is_kept(m->c->ref, m->parent, error);
	return r < 0 ? r : pl_growth_check_replacing(m->store, bytes, r == 0 ? replaced : 0, error);
}

/* Steps 3 to 5, under no lock. 1: the head has this tree already. */
static int prepare(struct committing *m, struct pleach_error *error)
{
	int r = compare_with_head(m, error);

	if (r != 0)
		return r;
	pl_journal_probe(m->c->ref->gen_fd, &m->journal);
	pl_user_of_generation(m->c->ref, m->parent + 1, m->user);
	r = check_room(m, error);
	if (r >= 0)
		r = put_tree(m, error); /* 3, 4 */
	if (r >= 0 && !pl_seam_guards(PL_GUARD_PIN_NEW))
		(void)pl_unlock(m->pin.fd);
	if (r >= 0)
		r = pl_attached_prepare(m->c->tx, m->c->ref, &m->pin, m->c->own_tx, &m->attached,
					error);
	return r < 0 ? r : sync_names(m, error); /* 5, I2 */
}

/* Steps 6 to 9, under the ref lock. */
static int commit(struct committing *m, bool *ret_committed, struct pleach_error *error)
{
	int r = m->c->is_locked ? 0 : pl_ref_lock(m->c->ref, -1, error);

	if (r < 0)
		return r;
	r = commit_locked(m, error);
	*ret_committed = r == 1;
	if (r == 1)
		r = show(m, error);
	if (!m->c->is_locked)
		pl_ref_unlock(m->c->ref); /* 10 */
	return r;
}

void pl_commit_tidy(struct pl_ref *ref, struct pl_txdir *tx, bool is_done, bool committed)
{
	struct pleach_error ignored = PLEACH_ERROR_INIT;
	unsigned n;

	pl_assert(!pl_ref_is_locked(ref));
	/* What could not be made ready for this very tree, what was left by others, what is over. */
	if (is_done)
		(void)pl_attached_settle(ref, tx, NULL);
	if (committed) {
		pl_retire_run(tx, ref, &n, &ignored);
		pl_retire_run(tx, NULL, &n, &ignored); /* of refs that were dropped */
	}
}

/* Outside all locks, but for those of a caller who holds one: he tidies up when he has let it go. */
static void clean_up(struct committing *m, bool committed, bool is_done)
{
	struct pleach_error ignored = PLEACH_ERROR_INIT;
	bool put = m->pin.treedir_fd >= 0;

	pl_attached_done(&m->attached);
	pl_pin_done(&m->pin); /* I6 */
	if (m->c->base_pin)
		pl_pin_done(m->c->base_pin);
	pl_spare_done(m->c->tx, &m->spare);
	if (put && !committed)
		pl_tree_take(m->c->tx, &m->c->tree, NULL, &ignored);
	if (committed)
		pl_growth_note(m->store, &m->c->ref->settings,
			       pl_retention_may_drop(&m->c->ref->settings), m->c->bytes_new);
	if (!m->c->is_locked)
		pl_commit_tidy(m->c->ref, m->c->tx, is_done, committed);
}

int pl_commit_run(struct pl_commit *c, struct pleach_publish_result *ret_result,
		  struct pleach_error *error)
{
	struct committing m = {.c = c,
			       .store = c->tx->store,
			       .pin = PL_PIN_NONE,
			       .spare = PL_SPARE_NONE,
			       .parent = c->base,
			       .parent_tree = c->base_tree};
	bool committed = false;
	int r = pl_commit_check_head(c->ref->name, c->if_head, c->base, error);

	if (r >= 0)
		r = prepare(&m, error);
	if (r == 0)
		r = commit(&m, &committed, error);
	if (r >= 0)
		fill_result(&m, !committed, ret_result);
	clean_up(&m, committed, r >= 0);
	return r < 0 || committed ? r : 0; /* unchanged is success */
}

int pl_commit_nothing(struct pl_ref *ref, struct pl_txdir *tx, uint64_t head,
		      const struct pl_id *tree, struct pleach_publish_result *ret_result,
		      struct pleach_error *error)
{
	uint64_t now;
	int r = confirm_head(ref, tx, head, &now, error);

	if (r == 1)
		fill_unchanged(head, tree, ret_result);
	return r;
}
