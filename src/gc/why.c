/*
 * Why something stays: who has a tree (its users, looked up as a collector does, and pins), and which trees name an
 * object or a node.
 */
#include <stdio.h>

#include "gc/gc.h"

struct why {
	struct pl_store *store;
	struct pl_findings *findings;
	struct pleach_error *error;
};

static int add(struct why *w, const char *kind, const char *ref, uint64_t generation,
	       const char *path, const char *message)
{
	size_t n = w->findings->n;

	if (pl_findings_add(w->findings, false, kind, path, "%s", message) < 0)
		return pl_fail_memory(w->error);
	pl_findings_set_ref(w->findings, n, ref, generation);
	return 0;
}

/* ---- users of a tree ---- */

static int explain_generation(struct why *w, struct pl_ref *ref, const char *number,
			      const char *path, int need)
{
	char message[PLEACH_REF_MAX + 96];
	uint64_t n, head = 0;
	int r = pl_parse_u64(number, UINT64_MAX / 4, &n) < 0 ? -EINVAL : 0;

	if (r >= 0)
		r = pl_head_number(ref, &head, w->error);
	if (r < 0)
		return r;
	snprintf(message, sizeof(message), "%sgeneration %llu of '%s'%s",
		 n == head ? "the head: " : "", (unsigned long long)n, ref->name,
		 need == PL_NEED_PLACED ? ", placed" : "");
	return add(w, "generation", ref->name, n, path, message);
}

static int explain_attachment(struct why *w, struct pl_ref *ref, const char *hash, const char *path)
{
	struct pl_attachment attachment;
	PL_BUFFER message = {0};
	int r = pl_attachment_read_named(ref, hash, &attachment, w->error);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	pl_buffer_add_format(&message, "attached at %s", attachment.path);
	r = pl_buffer_ok(&message) ? add(w, "attached", ref->name, attachment.generation, path,
					 pl_buffer_string(&message))
				   : pl_fail_memory(w->error);
	pl_attachment_done(&attachment);
	return r;
}

/* A user of a ref that is open. */
static int explain_in_ref(struct why *w, struct pl_ref *ref, const struct pl_user *user,
			  const char *path, int need)
{
	char message[PLEACH_REF_MAX + 280];

	if (user->kind == 'g')
		return explain_generation(w, ref, user->rest, path, need);
	if (user->kind == 'a')
		return explain_attachment(w, ref, user->rest, path);
	snprintf(message, sizeof(message), "tag '%s' of '%s'", user->rest, ref->name);
	return add(w, "tag", ref->name, 0, path, message);
}

static int explain_user(struct why *w, struct pl_user_lookup *lookup, const struct pl_id *tree,
			const char *name, const char *path)
{
	char message[160];
	struct pl_user user;
	uint64_t n;
	int need = pl_user_need(lookup, tree, name, &n, w->error);

	if (need <= PL_NEED_NOTHING)
		return need;
	if (!pl_user_split(name, &user)) {
		snprintf(message, sizeof(message), "'%.100s', which this version does not know",
			 name);
		return add(w, "user", "", 0, path, message);
	}
	if (user.kind == 'x') {
		snprintf(message, sizeof(message), "the base of transaction %.32s", user.rest);
		return add(w, "transaction", "", 0, path, message);
	}
	if (user.kind == 'h')
		return add(w, "holder", "", 0, path,
			   "'pleach path' gave its path a short time ago");
	return explain_in_ref(w, &lookup->ref, &user, path, need);
}

static int explain_pin(struct why *w, const struct pl_id *tree, int treedir, const char *path)
{
	PL_BUFFER message = {0};
	struct stat st;
	int r = pl_pin_is_held(w->store, tree);

	if (r <= 0)
		return r < 0 ? pl_fail_sys(w->error, r, "cannot look at the pins of a tree") : 0;
	pl_buffer_add_string(&message, "pinned");
	if (pl_lstat(treedir, "pin", &st) >= 0)
		pl_file_holders(&st, &message);
	return pl_buffer_ok(&message) ? add(w, "pin", "", 0, path, pl_buffer_string(&message))
				      : pl_fail_memory(w->error);
}

static int explain_tree(struct why *w, const struct pl_id *tree)
{
	PL_CLOSE int treedir = pl_treedir_open(w->store, tree);
	struct pl_listing listing = {0};
	struct pl_user_lookup lookup = PL_USER_LOOKUP(w->store, NULL);
	char hex[PL_ID_HEX + 1], path[PL_ID_HEX + 16];
	int r = treedir;

	if (treedir == -ENOENT)
		return 0;
	snprintf(path, sizeof(path), ".pleach/trees/%s", pl_id_hex(tree, hex));
	if (r >= 0)
		r = pl_users_list(treedir, &listing);
	if (r < 0)
		return pl_fail_sys(w->error, r, "cannot list the users of tree %s", hex);
	pl_clock_wall(&lookup.now); /* near enough, for an answer to people */
	for (size_t i = 0; r >= 0 && i < listing.n; i++)
		r = explain_user(w, &lookup, tree, listing.entries[i].name, path);
	pl_user_lookup_done(&lookup);
	pl_listing_done(&listing);
	return r < 0 ? r : explain_pin(w, tree, treedir, path);
}

/* ---- trees that name something ---- */

struct search {
	struct pl_id wanted;
	bool is_node;
	struct pl_map walked; /* nodes without it */
};

static int pass_walked(void *self, const struct pl_entry *entry, struct pleach_error *error)
{
	struct search *s = self;

	(void)error;
	return !(s->is_node && pl_id_equal(&entry->hash, &s->wanted)) &&
	       pl_map_get(&s->walked, &entry->hash) != NULL;
}

static bool has_block(const struct pl_node *node, const struct pl_id *id)
{
	for (uint32_t i = 0; i < node->n_blocks; i++)
		if (memcmp(node->blocks + i * sizeof(id->bytes), id->bytes, sizeof(id->bytes)) == 0)
			return true;
	return false;
}

static bool is_wanted(const struct search *s, struct pl_cursor *cursor, int step)
{
	const struct pl_node *node = pl_cursor_node(cursor);
	struct pl_id object;

	if (s->is_node)
		return step == PL_STEP_ENTER &&
		       (pl_id_equal(&node->id, &s->wanted) || has_block(node, &s->wanted));
	if (step != PL_STEP_ENTRY || pl_cursor_entry(cursor)->kind != PLEACH_FILE ||
	    pl_cursor_entry(cursor)->size == 0)
		return false;
	pl_entry_object(pl_cursor_entry(cursor), &object);
	return pl_id_equal(&object, &s->wanted);
}

/* 1: the tree names it; then where is told, and who has the tree. */
static int search_tree(struct why *w, struct search *s, const struct pl_id *tree)
{
	struct pl_node_source nodes = pl_store_nodes(w->store);
	PL_BUFFER message = {0};
	struct pl_cursor *cursor;
	char hex[PL_ID_HEX + 1];
	int r = pl_cursor_new(&nodes, tree, false, w->store->seed, &cursor, w->error);

	if (r < 0)
		return r;
	pl_cursor_pass(cursor, pass_walked, s);
	while ((r = pl_cursor_next(cursor, w->error)) > 0 && !is_wanted(s, cursor, r)) {
		if (r == PL_STEP_LEAVE &&
		    pl_map_put(&s->walked, &pl_cursor_node(cursor)->id, 1) < 0)
			r = pl_fail_memory(w->error);
		if (r >= 0)
			r = pl_store_check_cancel(w->store, w->error);
		if (r < 0)
			break;
	}
	if (r > 0) {
		pl_buffer_add_format(&message, "tree:%.12s has it, as '%s'", pl_id_hex(tree, hex),
				     *pl_cursor_path(cursor) ? pl_cursor_path(cursor) : ".");
		r = pl_buffer_ok(&message) ? add(w, "tree", "", 0, "", pl_buffer_string(&message))
					   : pl_fail_memory(w->error);
		if (r >= 0)
			r = explain_tree(w, tree);
	}
	pl_cursor_free(cursor);
	return r;
}

static int search_trees(struct why *w, struct search *s)
{
	struct pl_listing listing = {0};
	int r = pl_list(w->store->trees_fd, &listing);

	if (r < 0)
		pl_fail_sys(w->error, r, "cannot list '%s/.pleach/trees'", w->store->path);
	pl_map_init(&s->walked, sizeof(struct pl_id), w->store->seed);
	for (size_t i = 0; r >= 0 && i < listing.n; i++) {
		struct pl_id tree;

		if (pl_tree_is_entry(w->store, &listing.entries[i], &tree))
			r = search_tree(w, s, &tree);
	}
	pl_map_done(&s->walked);
	pl_listing_done(&listing);
	return r < 0 ? r : 0;
}

static int claimed(void *self, char kind, const struct pl_id *id, struct pleach_error *error)
{
	const struct search *s = self;

	(void)error;
	return kind == (s->is_node ? 'n' : 'o') && pl_id_equal(id, &s->wanted) ? -EEXIST : 0;
}

int pl_why_tree(struct pl_store *store, const struct pl_id *tree, struct pl_findings *findings,
		struct pleach_error *error)
{
	struct why w = {.store = store, .findings = findings, .error = error};

	return explain_tree(&w, tree);
}

int pl_why_file(struct pl_store *store, bool is_node, const struct pl_id *id,
		struct pl_findings *findings, struct pleach_error *error)
{
	struct why w = {.store = store, .findings = findings, .error = error};
	struct search s = {.wanted = *id, .is_node = is_node};
	int r = search_trees(&w, &s);

	if (r < 0)
		return r;
	r = pl_txdir_each_claim(store, claimed, &s, error);
	if (r == -EEXIST)
		return add(&w, "transaction", "", 0, "",
			   "an open or parked transaction relies on it");
	return r;
}
