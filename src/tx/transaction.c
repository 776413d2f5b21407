/*
 * The life of a transaction: queue, base, pin, workspace, in this order; then programs and edits work in it
 * (view.c, edits.c), and it is committed (landing.c), parked, or given up.
 *
 * T1  Everything of it is in tx/<id>/, held by a lock: killed, it is dead, and removed by the next command
 *     (ref/txdir_recover.c). The directory of a checkout is the user's to look at, and stays then.
 * T2  The base is resolved and pinned after the queue was granted. While the handle lives its placing is held
 *     by the pin; while it is parked by the user x.<id>, made before the pin is let go.
 * T3  The note is made under the ref lock, so that a drop of the ref sees it, or it sees the drop.
 * T4  What is parked was made durable before its mark says that it is parked.
 * T5  What is taken away is dead before: killed half-way, it is not taken for a parked one.
 * T6  A program that runs in a parked one makes it suspect until it is parked again: if the machine goes down
 *     meanwhile, what the workspace holds is not believed.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "tx/attached.h"
#include "tx/transaction.h"

#define TRIES 16
#define RUNNING \
	"running" /* in tx/<id>, of a parked one: the boot in which a program was started in it */

/* ---- the base ---- */

/* A tree that no generation has is nobody's but ours: its node is claimed, and named in the store at once, so
 * that it is read like any other. */
static int keep_node(void *self, const struct pl_id *id, const void *data, size_t length,
		     struct pleach_error *error)
{
	struct pl_tx *tx = self;
	char name[32];
	int r = pl_txdir_claim(&tx->dir, 'n', id, error);

	if (r < 0)
		return r;
	pl_txdir_name(&tx->dir, "node", name);
	r = pl_write_file(tx->dir.fd, name, 0400, data, length, tx->store->settings.durable);
	if (r >= 0)
		r = pl_pool_link(tx->store->nodes_fd, id, tx->dir.fd, name);
	return r < 0 ? pl_fail_sys(error, r, "cannot write a node into the store") : 0;
}

/* An empty directory, for who has no generation to begin from, and the tree that it is. */
static int make_empty_base(struct pl_tx *tx, struct pleach_error *error)
{
	const struct pl_node_sink sink = {.write = keep_node, .self = tx};
	PL_CLOSE int fd = -EBADF;
	PL_BUFFER xattrs = {0};
	struct pl_meta meta;
	struct stat st;
	int r = pl_mkdir(tx->dir.fd, "empty", 0755);

	if (r >= 0)
		r = pl_chmod_at(tx->dir.fd, "empty", 0755);
	if (r >= 0)
		r = fd = pl_open_dir(tx->dir.fd, "empty");
	if (r >= 0)
		r = pl_fstat(fd, &st);
	if (r >= 0)
		r = pl_meta_read(fd, &st, tx->ref.settings.metadata, &xattrs, &meta);
	if (r < 0)
		return pl_fail_sys(error, r, "cannot make a directory in the store");
	pl_meta_reduce(&meta, PLEACH_DIR, tx->ref.settings.metadata);
	return pl_tree_make_empty(&sink, &meta, &tx->note.base_tree, error);
}

/* T2. The head's tree is placed as long as the ref is whole. */
static int find_base(struct pl_tx *tx, struct pleach_error *error)
{
	int r = PL_PIN_ABSENT;

	for (unsigned i = 0; i < TRIES && r == PL_PIN_ABSENT; i++) {
		r = pl_head_pin(&tx->ref, &tx->dir, &tx->note.base, &tx->note.base_tree, &tx->pin,
				error);
		if (r == PL_PIN_TAKEN && tx->note.base > 0 && tx->pin.k == 0) {
			pl_pin_done(&tx->pin); /* it was the head a moment ago */
			r = PL_PIN_ABSENT;
		}
	}
	if (r == PL_PIN_ABSENT)
		return pl_fail_corrupt(error, "the tree of the head of '%s' is missing",
				       tx->ref.name);
	if (r < 0)
		return r;
	tx->note.k = tx->pin.k;
	if (tx->note.base == 0)
		r = make_empty_base(tx, error);
	tx->note.merged_tree = tx->note.base_tree;
	return r < 0 ? r : 0;
}

static int base_totals(struct pl_tx *tx, struct pl_totals *ret_totals, struct pleach_error *error)
{
	struct pl_node_source nodes = pl_store_nodes(tx->store);
	struct pl_node node;
	int r;

	*ret_totals = (struct pl_totals){0};
	if (tx->note.base == 0)
		return 0;
	r = pl_node_read(&nodes, &tx->note.base_tree, &node, error);
	if (r < 0)
		return r;
	r = pl_node_totals(&nodes, &node, ret_totals, error);
	pl_node_done(&node);
	return r;
}

/* ---- the workspace ---- */

static int open_lower(struct pl_tx *tx, struct pleach_error *error)
{
	struct pl_workspace *ws = &tx->workspace;
	PL_BUFFER path = {0};
	int r = ws->lower_fd = tx->note.base == 0 ? pl_open_dir(tx->dir.fd, "empty")
						  : pl_placing_open(tx->pin.treedir_fd, tx->note.k);

	if (r >= 0)
		r = pl_real_path(ws->lower_fd, &path);
	if (r < 0)
		return pl_fail_sys(error, r, "cannot open the base of transaction %s", tx->dir.id);
	ws->lower_path = pl_buffer_take_string(&path);
	return ws->lower_path ? 0 : pl_fail_memory(error);
}

/* Not what the ref says now: it may have been another ref that placed the tree, or another setting then. Only
 * with share=names a filter is written (docs/format.md). */
static int find_share(struct pl_tx *tx, enum pl_share *ret_share, struct pleach_error *error)
{
	char name[32];
	int r = 1;

	snprintf(name, sizeof(name), "%u/filter", tx->note.k);
	if (tx->note.base > 0)
		r = pl_exists(tx->pin.treedir_fd, name);
	if (r < 0)
		return pl_fail_sys(error, r, "cannot look at the base of transaction %s",
				   tx->dir.id);
	*ret_share = r > 0 ? PL_SHARE_NAMES : PL_SHARE_CONTENT;
	return 0;
}

static int fill_in_workspace(struct pl_tx *tx, struct pleach_error *error)
{
	struct pl_workspace *ws = &tx->workspace;
	int r = base_totals(tx, &ws->totals, error);

	if (r >= 0)
		r = find_share(tx, &ws->share, error);
	if (r < 0)
		return r;
	ws->store = tx->store;
	ws->base = tx->note.base_tree;
	ws->rule = tx->ref.settings.metadata;
	ws->is_parked = tx->is_parked;
	if (tx->note.checkout && !(ws->checkout = strdup(tx->note.checkout)))
		return pl_fail_memory(error);
	return open_lower(tx, error);
}

/* Which directory a checkout is, so that no other one is ever taken for it. *ret_parent: where it lies. */
static int identify_checkout(const char *path, int *ret_parent, struct pl_identity *ret_identity)
{
	const char *slash = strrchr(path, '/');
	PL_CLOSE int parent = -EBADF;
	PL_BUFFER dir = {0};
	struct stat st;
	int r;

	pl_buffer_add(&dir, path, slash == path ? 1 : (size_t)(slash - path));
	if (!pl_buffer_ok(&dir))
		return -ENOMEM;
	parent = pl_open_follow(AT_FDCWD, pl_buffer_string(&dir), O_RDONLY | O_DIRECTORY);
	r = parent < 0 ? parent : pl_fstat(parent, &st);
	if (r >= 0)
		r = pl_identity_of_dir(parent, slash + 1, st.st_dev, ret_identity);
	if (r == 1)
		*ret_parent = pl_take_fd(&parent);
	return r;
}

static int note_checkout(struct pl_tx *tx, struct pleach_error *error)
{
	PL_CLOSE int parent = -EBADF;
	int r = identify_checkout(tx->workspace.path, &parent, &tx->note.checkout_identity);

	if (r <= 0)
		return pl_fail_sys(error, r < 0 ? r : -ENOTDIR, "cannot open '%s'",
				   tx->workspace.path);
	free(tx->note.checkout);
	tx->note.checkout = strdup(tx->workspace.path);
	return tx->note.checkout ? 0 : pl_fail_memory(error);
}

static int make_workspace(struct pl_tx *tx, const char *name, struct pleach_error *error)
{
	int r = fill_in_workspace(tx, error);

	if (r < 0)
		return r;
	if (name && strcmp(name, "none") == 0) {
		snprintf(tx->note.workspace, sizeof(tx->note.workspace), "none");
		return pl_tx_edits_new(tx, &tx->edits, error);
	}
	if (tx->note.checkout && !name)
		name = "copy";
	r = pl_workspace_make(&tx->workspace, name, &tx->passed_over, error);
	if (r >= 0) {
		snprintf(tx->note.workspace, sizeof(tx->note.workspace), "%s",
			 tx->workspace.driver->name);
		if (tx->workspace.path && !(tx->note.path = strdup(tx->workspace.path)))
			r = pl_fail_memory(error);
	}
	if (r >= 0 && tx->note.checkout)
		r = note_checkout(tx, error);
	return r < 0 ? r : 0;
}

/* ---- beginning ---- */

/* T3 */
static int make_note(struct pl_tx *tx, struct pleach_error *error)
{
	int r = pl_ref_lock(&tx->ref, -1, error);

	if (r < 0)
		return r;
	r = pl_tx_note_write(&tx->dir, &tx->note, false, error);
	pl_ref_unlock(&tx->ref);
	return r;
}

static int check_options(struct pl_store *store, const struct pleach_tx_options *o,
			 struct pleach_error *error)
{
	bool is_none = o->workspace && strcmp(o->workspace, "none") == 0;

	if (o->checkout && o->workspace && strcmp(o->workspace, "copy") != 0 &&
	    strcmp(o->workspace, "reflink") != 0)
		return pl_fail_usage(error, "a checkout is a copy, not '%s'", o->workspace);
	if (o->timeout_ms == 0)
		return pl_fail_usage(error, "a parked transaction must live for some time");
	if (is_none && o->parked)
		return pl_fail_usage(error, "a transaction without a workspace cannot be parked");
	if (o->serializable && !pl_may_mount()) {
		pl_fail(error, PLEACH_FAILED, -EPERM,
			"what is read can only be watched by root (fanotify)");
		pl_hint(error, "without --serializable what is written is guarded all the same");
		return -EPERM;
	}
	return pl_store_must_write(store, error);
}

static int begin(struct pl_tx *tx, const struct pleach_tx_options *o, struct pleach_error *error)
{
	int r = pl_ref_must_be_unmasked(&tx->ref, error);

	if (r >= 0)
		r = make_note(tx, error);
	if (r >= 0 && !tx->note.is_optimistic)
		r = pl_queue_enter(&tx->ref, &tx->dir, o->wait_ms, &tx->ticket, error);
	if (r >= 0)
		r = find_base(tx, error); /* T2 */
	if (r >= 0 && tx->note.base == 0 && !o->create)
		return pl_fail_not_found(error, "no ref '%s' in this store", tx->ref.name);
	if (r >= 0)
		r = pl_public_must_be_ours(&tx->ref, error);
	if (r >= 0 && tx->note.base == 0) /* inside it must be there from the start */
		r = pl_public_restore(&tx->ref, error);
	if (r >= 0)
		r = make_workspace(tx, o->workspace, error);
	if (r >= 0)
		r = pl_tx_note_write(&tx->dir, &tx->note, tx->is_parked, error);
	if (r >= 0 && tx->is_parked)
		r = pl_tx_park(tx, error);
	return r < 0 ? r : 0;
}

static struct pl_tx *new_tx(struct pl_store *store)
{
	struct pl_tx *tx = calloc(1, sizeof(*tx));

	if (!tx)
		return NULL;
	tx->store = store;
	tx->ref = (struct pl_ref){.fd = -EBADF, .gen_fd = -EBADF, .lock_fd = -EBADF};
	tx->ticket = (struct pl_ticket)PL_TICKET_NONE;
	tx->pin = (struct pl_pin)PL_PIN_NONE;
	tx->workspace.fd = tx->workspace.lower_fd = -EBADF;
	tx->workspace.tx = &tx->dir;
	return tx;
}

static int take_options(struct pl_tx *tx, const struct pleach_tx_options *o,
			struct pleach_error *error)
{
	tx->is_parked = o->parked;
	tx->note.is_optimistic = o->optimistic || o->parked;
	tx->note.is_serializable = o->serializable;
	tx->note.timeout_ms = (uint64_t)(o->timeout_ms < 0 ? PL_TX_LIFE_MS : o->timeout_ms);
	memcpy(tx->note.ref, tx->ref.name, sizeof(tx->note.ref));
	memcpy(tx->note.ref_id, tx->ref.id, sizeof(tx->note.ref_id));
	if (o->checkout && !(tx->note.checkout = strdup(o->checkout)))
		return pl_fail_memory(error);
	return 0;
}

int pl_tx_begin(struct pl_store *store, const char *ref, const struct pleach_tx_options *options,
		struct pl_tx **ret_tx, struct pleach_error *error)
{
	char what[PLEACH_REF_MAX + 24];
	struct pl_tx *tx;
	unsigned n;
	int r = check_options(store, options, error);

	if (r < 0)
		return r;
	tx = new_tx(store);
	if (!tx)
		return pl_fail_memory(error);
	snprintf(what, sizeof(what), "transaction %.100s", ref);
	r = pl_txdir_begin(store, what, &tx->dir, error);
	if (r < 0) {
		free(tx);
		return r;
	}
	pl_txdir_recover(store, &tx->dir, &n, NULL);
	r = options->create ? pl_ref_open_or_create(&tx->dir, ref, &tx->ref, error)
			    : pl_ref_open(store, ref, &tx->ref, error);
	if (r >= 0)
		r = take_options(tx, options, error);
	if (r >= 0)
		r = begin(tx, options, error);
	if (r < 0) {
		tx->is_parked = false;
		(void)pl_tx_end(tx, NULL);
		return r;
	}
	*ret_tx = tx;
	return 0;
}

/* ---- parked ---- */

static int add_user(struct pl_tx *tx, struct pleach_error *error)
{
	char user[32];

	if (tx->note.base == 0)
		return 0;
	pl_user_of_tx(tx->dir.id, user);
	return pl_user_add(tx->store, tx->pin.treedir_fd, user, error);
}

/* T6 */
int pl_tx_note_running(struct pl_tx *tx, struct pleach_error *error)
{
	PL_BUFFER boot = {0};
	int r = pl_boot_id(&boot);

	if (r >= 0)
		r = pl_write_file(tx->dir.fd, RUNNING, 0600, boot.data, boot.length,
				  tx->store->settings.durable);
	if (r >= 0)
		r = pl_store_sync(tx->store, tx->dir.fd);
	if (r == -EEXIST)
		r = 0; /* of one that was killed in this boot */
	return r < 0 ? pl_fail_sys(error, r, "cannot note that a program runs in transaction %s",
				   tx->dir.id)
		     : 0;
}

static int must_not_have_gone_down(struct pl_tx *tx, struct pleach_error *error)
{
	PL_BUFFER then = {0}, now = {0};
	int r = pl_read_file(tx->dir.fd, RUNNING, 64, &then);

	if (r == -ENOENT)
		return 0;
	if (r >= 0)
		r = pl_boot_id(&now);
	if (r < 0)
		return pl_fail_sys(error, r, "cannot look at transaction %s", tx->dir.id);
	if (then.length == now.length && memcmp(then.data, now.data, then.length) == 0)
		return 0;
	pl_fail(error, PLEACH_FAILED, -ESTALE,
		"the machine went down while a program ran in transaction %s", tx->dir.id);
	pl_hint(error, "what it holds may be anything: pleach abort %s, and begin again",
		tx->dir.id);
	return -ESTALE;
}

int pl_tx_park(struct pl_tx *tx, struct pleach_error *error)
{
	struct timespec deadline;
	int r = 0;

	pl_assert(!tx->is_running && !tx->is_done);
	if (tx->edits)
		return pl_fail(error, PLEACH_FAILED, -EOPNOTSUPP,
			       "a transaction without a workspace cannot be parked");
	tx->note.is_optimistic = true; /* the queue is not held from here on */
	r = add_user(tx, error);
	if (r >= 0)
		r = pl_workspace_sync(&tx->workspace, error); /* T4 */
	if (r >= 0)
		(void)pl_unlink(tx->dir.fd, RUNNING); /* T6; made durable with the mark */
	if (r >= 0)
		r = pl_tx_note_write(&tx->dir, &tx->note, true, error);
	if (r >= 0) {
		r = pl_fs_clock(tx->dir.fd, &deadline);
		if (r < 0)
			pl_fail_sys(error, r, "cannot read the store's clock");
	}
	if (r < 0)
		return r;
	deadline.tv_sec += (time_t)(tx->note.timeout_ms / 1000);
	deadline.tv_nsec += (long)(tx->note.timeout_ms % 1000) * 1000000;
	if (deadline.tv_nsec >= 1000000000) {
		deadline.tv_nsec -= 1000000000;
		deadline.tv_sec++;
	}
	r = pl_txdir_park(&tx->dir, &deadline, error);
	if (r >= 0)
		tx->is_parked = true;
	return r;
}

/* The base was held placed by its user, which counts until the transaction is gone. */
static int pin_base(struct pl_tx *tx, struct pleach_error *error)
{
	char hex[PL_ID_HEX + 1];
	int r;

	if (tx->note.base == 0)
		return 0;
	r = pl_pin_wait(tx->store, &tx->note.base_tree, &tx->pin, error);
	if (r == PL_PIN_ABSENT)
		return pl_fail_corrupt(error, "tree %s, which transaction %s began with, is gone",
				       pl_id_hex(&tx->note.base_tree, hex), tx->dir.id);
	return r < 0 ? r : 0;
}

/* What lies at the path now may be anything: only what was made is the workspace. */
static int must_be_the_checkout(struct pl_tx *tx, struct pleach_error *error)
{
	const char *path = tx->note.checkout;
	PL_CLOSE int parent = -EBADF;
	struct pl_identity identity;
	int r = identify_checkout(path, &parent, &identity);

	if (r == 1 && pl_identity_equal(&identity, &tx->note.checkout_identity))
		return 0;
	if (r < 0 && r != -ENOENT && r != -ENOTDIR)
		return pl_fail_sys(error, r, "cannot open '%s'", path);
	pl_fail(error, PLEACH_FAILED, -ESTALE, "'%s' is not the directory that transaction %s made",
		path, tx->dir.id);
	pl_error_path(error, path);
	pl_hint(error, "move that one back to its place, or give it up: pleach abort %s",
		tx->dir.id);
	return -ESTALE;
}

static int resume(struct pl_tx *tx, struct pleach_error *error)
{
	int r = pl_tx_note_read(tx->dir.fd, tx->dir.id, &tx->note, error);

	if (r == -ENOENT)
		return pl_fail_corrupt(error, "what transaction %s is, is not written down",
				       tx->dir.id);
	if (r < 0)
		return r;
	r = pl_ref_open(tx->store, tx->note.ref, &tx->ref, error);
	if (r >= 0 && strcmp(tx->ref.id, tx->note.ref_id) != 0)
		r = pl_fail_not_found(error,
				      "the ref '%s' that transaction %s was begun on was dropped",
				      tx->note.ref, tx->dir.id);
	if (r >= 0)
		r = must_not_have_gone_down(tx, error);
	if (r >= 0)
		r = pin_base(tx, error);
	if (r >= 0)
		r = fill_in_workspace(tx, error);
	if (r >= 0 && tx->note.checkout)
		r = must_be_the_checkout(tx, error);
	if (r >= 0)
		r = pl_workspace_open(&tx->workspace, tx->note.workspace, error);
	return r < 0 ? r : 0;
}

int pl_tx_must_be_whole(struct pl_tx *tx, struct pleach_error *error)
{
	int r = tx->why_broken.err > 0 ? -tx->why_broken.err : -EIO;

	if (!tx->is_broken)
		return 0;
	/* Made anew: a caller's struct may be of an older, shorter header. */
	pl_fail(error, tx->why_broken.code, r, "%s", tx->why_broken.message);
	pl_error_path(error, tx->why_broken.path);
	pl_hint(error, "%s", tx->why_broken.hint);
	return r;
}

static void free_tx(struct pl_tx *tx)
{
	pl_workspace_close(&tx->workspace);
	pl_closep(&tx->workspace.lower_fd);
	free(tx->workspace.lower_path);
	free(tx->workspace.checkout);
	pl_tx_edits_free(tx->edits);
	pl_strings_done(&tx->passed_over);
	pl_conflicts_done(&tx->conflicts);
	pl_pin_done(&tx->pin);
	pl_queue_leave(&tx->ticket);
	pl_ref_close(&tx->ref);
	pl_tx_note_done(&tx->note);
	free(tx);
}

int pl_tx_resume(struct pl_store *store, const char *id, struct pl_tx **ret_tx,
		 struct pleach_error *error)
{
	struct pl_tx *tx;
	unsigned n;
	int r = pl_store_must_write(store, error);

	if (r < 0)
		return r;
	tx = new_tx(store);
	if (!tx)
		return pl_fail_memory(error);
	pl_txdir_recover(store, NULL, &n, NULL); /* expired ones are gone */
	r = pl_txdir_open_parked(store, id, &tx->dir, error);
	if (r < 0) {
		free(tx);
		return r;
	}
	tx->is_parked = true;
	/* Whatever is wrong with it, it can be given up. */
	tx->why_broken.size = sizeof(tx->why_broken);
	tx->is_broken = resume(tx, &tx->why_broken) < 0;
	*ret_tx = tx;
	return 0;
}

/* ---- ending ---- */

/* The directory of the checkout goes if it is still the one that was made. */
static int remove_checkout(struct pl_tx *tx, struct pleach_error *error)
{
	const char *path = tx->note.checkout;
	PL_CLOSE int parent = -EBADF;
	struct pl_identity identity;
	int r;

	if (!path || tx->note.checkout_identity.ino == 0)
		return 0;
	r = identify_checkout(path, &parent, &identity);
	if (r == -ENOENT || r == -ENOTDIR || r == 0 ||
	    (r == 1 && !pl_identity_equal(&identity, &tx->note.checkout_identity)))
		return 0; /* G7 */
	if (r >= 0)
		r = pl_erase(parent, strrchr(path, '/') + 1, NULL);
	return r < 0 ? pl_fail_sys(error, r, "cannot remove the checkout '%s'", path) : 0;
}

/* A ref that was begun for this one, and has no generation, shows nothing again, unless others need it. */
static void withdraw_public(struct pl_tx *tx)
{
	if (tx->note.base > 0 || tx->ref.fd < 0 || pl_ref_lock(&tx->ref, -1, NULL) < 0)
		return;
	pl_public_withdraw(&tx->ref, tx->dir.id);
	pl_ref_unlock(&tx->ref);
}

static void remove_user(struct pl_tx *tx)
{
	char user[32];

	pl_user_of_tx(tx->dir.id, user);
	if (tx->pin.treedir_fd >= 0)
		(void)pl_user_remove(tx->store, tx->pin.treedir_fd, user);
}

int pl_tx_abort(struct pl_tx *tx, struct pleach_error *error)
{
	int r = 0;

	pl_assert(!tx->is_running);
	if (tx->is_done)
		return 0;
	r = remove_checkout(tx, error);
	withdraw_public(tx);
	tx->is_done = true;
	tx->is_parked = false;
	return r;
}

int pl_tx_end(struct pl_tx *tx, struct pleach_error *error)
{
	int r = 0;

	if (tx->is_parked && !tx->is_done) {
		if (!tx->is_broken)
			r = pl_tx_park(tx, error);
		pl_txdir_leave(&tx->dir);
	} else {
		if (!tx->is_done)
			r = pl_tx_abort(tx, error);
		pl_txdir_unpark(&tx->dir); /* T5 */
		remove_user(tx);
		(void)pl_workspace_remove(&tx->workspace); /* what stays, recovery removes */
		pl_pin_done(&tx->pin);
		pl_queue_leave(&tx->ticket); /* the next one need not wait for the erasing */
		pl_txdir_end(&tx->dir);
	}
	if (tx->ref.fd >= 0) /* what was held for it (attached_exchange.c, E5) */
		(void)pl_attached_settle(&tx->ref, NULL, NULL);
	free_tx(tx);
	return r;
}
