/*
 * Nodes and group blocks that are missing or damaged. A node is what a directory says of itself: so the
 * placed directory that it stands for is read, as a publish reads its source, and what comes out of that
 * is kept where its hash is an id that is wanted.
 *
 * N1  Under which metadata rule and in which way of sharing a tree was made is not asked: each is tried,
 *     and the ids decide (M1).
 * N2  With a node that is found come those below it that are missing too: a check sees no further than the
 *     topmost one.
 * N3  A node that verifies by its hash, and says what cannot be, was written so. It is not to be mended.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "gc/repair_node.h"
#include "gc/search.h"
#include "source/source.h"

/* ---- naming one ---- */

static int name_node(struct pl_repairing *m, const struct pl_id *id, const void *data,
		     size_t length)
{
	char path[PL_POOL_PATH], label[PL_ID_HEX + 16], hex[PL_ID_HEX + 1], dir[3], name[32];
	PL_CLOSE int pool = -EBADF;
	int r;

	pl_checking_pool_path("nodes", id, path);
	(void)snprintf(label, sizeof(label), "node-%s", pl_id_hex(id, hex));
	(void)snprintf(dir, sizeof(dir), "%.2s", hex);
	pl_txdir_name(m->tx, "node", name);
	r = pl_write_file(m->tx->fd, name, 0400, data, length, m->store->settings.durable);
	if (r >= 0)
		r = pl_mkdir(m->store->nodes_fd, dir, 0700);
	if (r == -EEXIST)
		r = 0;
	if (r >= 0)
		r = pool = pl_open_dir(m->store->nodes_fd, dir);
	if (r >= 0)
		r = pl_aside_replace(m, m->tx->fd, name, pool, hex + 2, path, label);
	return r < 0 ? r : pl_store_sync(m->store, m->store->nodes_fd);
}

/* ---- wanted ---- */

static struct pl_finding *find_wanted(struct pl_nodes_wanted *w, const struct pl_id *id)
{
	const uint64_t *at = pl_map_get(&w->ids, id);

	return at && *at > 0 ? &w->m->found->items[*at - 1] : NULL;
}

static bool is_missing(struct pl_nodes_wanted *w, const struct pl_id *id)
{
	return find_wanted(w, id) || pl_pool_has(w->m->store->nodes_fd, id) == 0;
}

static int push(struct pl_nodes_wanted *w, const struct pl_id *id)
{
	if (PL_ARRAY_GROW(w->pile, w->pile_capacity, w->n_pile) < 0)
		return -ENOMEM;
	w->pile[w->n_pile++] = *id;
	return 0;
}

/* N2. What a node that was just found names. A block names nothing. */
static int push_below(struct pl_nodes_wanted *w, const struct pl_node_source *source,
		      const struct pl_id *id)
{
	struct pl_entry entry;
	struct pl_node node;
	size_t cursor = 0;
	int r = 0;

	if (pl_node_read(source, id, &node, NULL) < 0)
		return 0;
	for (uint32_t i = 0; r >= 0 && i < node.n_blocks; i++) {
		struct pl_id block;

		memcpy(block.bytes, node.blocks + i * sizeof(block.bytes), sizeof(block.bytes));
		if (is_missing(w, &block))
			r = push(w, &block);
	}
	while (r >= 0 && pl_node_next(&node, &cursor, &entry))
		if (entry.kind == PLEACH_DIR && is_missing(w, &entry.hash))
			r = push(w, &entry.hash);
	pl_node_done(&node);
	return r;
}

/* The finding that wants a node: its own, or that of a whole tree, whose root it is. */
static bool wants(struct pl_nodes_wanted *w, const struct pl_finding *f)
{
	return f->is_fault &&
	       (f->subject.what == PL_SUBJECT_NODE || f->subject.what == PL_SUBJECT_USER) &&
	       find_wanted(w, &f->subject.id) == f;
}

/* 1: it has it, it is named, and what it names is on the pile. 0: it has not. */
static int take(struct pl_nodes_wanted *w, const struct pl_node_source *source,
		const struct pl_id *id, const char *where, struct pleach_error *error)
{
	struct pl_finding *f = find_wanted(w, id);
	struct pl_id found;
	PL_BUFFER b = {0};
	char hex[PL_ID_HEX + 1];
	int r = source->read(source->self, id, &b, NULL);

	if (r < 0)
		return r == -ENOMEM ? pl_fail_memory(error) : 0;
	pl_hash_of(b.data, b.length, &found);
	if (!pl_id_equal(&found, id)) /* M1, whoever says that it is */
		return 0;
	r = name_node(w->m, id, b.data, b.length);
	if (r < 0)
		return pl_fail_sys(error, r, "cannot mend node %s", pl_id_hex(id, hex));
	if (pl_map_put(&w->ids, id, 0) < 0 || push_below(w, source, id) < 0)
		return pl_fail_memory(error);
	if (f) {
		w->n_left--;
		r = pl_repairing_mended(w->m, f, error, "%s from %s",
					f->subject.what == PL_SUBJECT_NODE
						? "made anew"
						: "the node of its root was made anew",
					where);
	}
	return r < 0 ? r : 1;
}

int pl_nodes_take(struct pl_nodes_wanted *w, const struct pl_node_source *source, const char *where,
		  struct pleach_error *error)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < w->m->found->n; i++) {
		struct pl_finding *f = &w->m->found->items[i];

		if (!wants(w, f))
			continue;
		r = take(w, source, &f->subject.id, where, error);
		while (r >= 0 && w->n_pile > 0) {
			struct pl_id id = w->pile[--w->n_pile];

			r = take(w, source, &id, where, error);
		}
	}
	return r < 0 ? r : 0;
}

/* ---- placed directories ---- */

/* What one way of reading a directory gives. */
static int scan_as(struct pl_nodes_wanted *w, int fd, const char *where, enum pl_rule rule,
		   bool ignores_links, struct pleach_error *error)
{
	struct pleach_error cause = PLEACH_ERROR_INIT;
	struct pl_store *store = w->m->store;
	struct pl_scan_result result;
	struct pl_node_source nodes;
	struct pl_stage stage;
	struct pl_scan scan = {.store = store,
			       .stage = &stage,
			       .fd = fd,
			       .label = where,
			       .prefix = "",
			       .rule = rule,
			       .is_quiet = true,
			       .ignores_links = ignores_links};
	int r = pl_stage_begin(store, NULL, PL_STAGE_NOWHERE, &stage, error);

	if (r < 0)
		return r;
	r = pl_scan_run(&scan, &result, &cause);
	nodes = pl_stage_nodes(&stage);
	/* Also of one that ended early: what it has, it has. */
	if (r != -ENOMEM && r != -EINTR)
		r = pl_nodes_take(w, &nodes, where, error);
	else if (error)
		*error = cause;
	pl_stage_end(&stage);
	return r;
}

int pl_nodes_scan(struct pl_nodes_wanted *w, int fd, const char *where, struct pleach_error *error)
{
	static const enum pl_rule rules[] = {PL_RULE_EXACT, PL_RULE_PORTABLE, PL_RULE_CANONICAL};
	size_t before = w->n_left;
	int r = 0;

	for (size_t i = 0; r >= 0 && w->n_left > 0 && i < 2 * PL_ARRAY_LEN(rules); i++) { /* N1 */
		r = scan_as(w, fd, where, rules[i / 2], i % 2 == 1, error);
		if (w->n_left < before && i % 2 == 1)
			break; /* that was its rule */
	}
	return r;
}

static int scan_placing(struct pl_nodes_wanted *w, unsigned k, const char *path,
			struct pleach_error *error)
{
	char hex[PL_ID_HEX + 1];
	PL_CLOSE int tree = pl_placing_open(w->treedir_fd, k);
	PL_CLOSE int fd = -EBADF;
	struct pl_walk walk;
	PL_BUFFER where = {0};
	int r = tree < 0 ? tree : pl_walk_init_take(&walk, pl_take_fd(&tree));

	if (r < 0)
		return 0;
	if (pl_walk_goto(&walk, path, false, 0) >= 0)
		fd = pl_open_dir(pl_walk_fd(&walk), ".");
	pl_walk_done(&walk);
	if (fd < 0)
		return 0;
	pl_buffer_add_format(&where, ".pleach/trees/%s/%u/tree%s%s", pl_id_hex(&w->tree, hex), k,
			     *path ? "/" : "", path);
	return pl_buffer_ok(&where) ? pl_nodes_scan(w, fd, pl_buffer_string(&where), error)
				    : pl_fail_memory(error);
}

/* A directory that should be this node, in a tree that is gone through. */
static int saw(void *self, const struct pl_sighting *sighting, struct pleach_error *error)
{
	struct pl_nodes_wanted *w = self;
	struct pl_listing listing = {0};
	int r;

	if (w->treedir_fd < 0 || !find_wanted(w, sighting->id))
		return 0;
	r = pl_list(w->treedir_fd, &listing);
	for (size_t i = 0; r >= 0 && i < listing.n && find_wanted(w, sighting->id); i++) {
		uint64_t k;

		if (pl_parse_u64(listing.entries[i].name, UINT32_MAX - 1, &k) == 0 && k > 0)
			r = scan_placing(w, (unsigned)k, sighting->path, error);
	}
	pl_listing_done(&listing);
	if (r == -ENOMEM && error->code == PLEACH_OK)
		return pl_fail_memory(error);
	return r == -ENOMEM || r == -EINTR || (r < 0 && error->code != PLEACH_OK) ? r : 0;
}

static int search(struct pl_nodes_wanted *w, struct pleach_error *error)
{
	struct pl_search search = {.nodes = w->m->c->nodes,
				   .seed = w->m->store->seed,
				   .wanted_nodes = &w->ids,
				   .saw = saw,
				   .self = w};
	struct pl_listing listing = {0};
	int r = pl_list(w->m->store->trees_fd, &listing);

	if (r < 0)
		return pl_fail_sys(error, r, "cannot list '%s/.pleach/trees'", w->m->store->path);
	pl_search_begin(&search);
	for (size_t i = 0; r >= 0 && w->n_left > 0 && i < listing.n; i++) {
		if (pl_id_parse(listing.entries[i].name, &w->tree) < 0)
			continue;
		w->treedir_fd = pl_treedir_open(w->m->store, &w->tree);
		r = pl_search_tree(&search, &w->tree, error);
		pl_closep(&w->treedir_fd);
		if (r >= 0)
			r = pl_store_check_cancel(w->m->store, error);
	}
	pl_search_done(&search);
	pl_listing_done(&listing);
	return r;
}

/* ---- the whole ---- */

/* N3. */
static bool verifies(struct pl_repairing *m, const struct pl_id *id)
{
	PL_BUFFER b = {0};

	return m->c->nodes.read(m->c->nodes.self, id, &b, NULL) >= 0;
}

static int list_wanted(struct pl_nodes_wanted *w, struct pleach_error *error)
{
	struct pl_findings *found = w->m->found;
	int r = 0;

	pl_node_memory_forget(&w->m->store->memory);
	for (size_t i = 0; r >= 0 && i < found->n; i++) {
		struct pl_finding *f = &found->items[i];

		bool is_node = f->subject.what == PL_SUBJECT_NODE;

		if (!f->is_fault || (!is_node && f->subject.what != PL_SUBJECT_USER) ||
		    pl_map_get(&w->ids, &f->subject.id))
			continue;
		if (verifies(w->m, &f->subject.id)) {
			r = !is_node ? 0
				     : pl_repairing_unmended(w->m, f, error, "it was written so");
		} else {
			r = pl_map_put(&w->ids, &f->subject.id, i + 1) < 0 ? pl_fail_memory(error)
									   : 0;
			w->n_left++;
		}
	}
	return r;
}

/* A damaged node that is not needed, or one that is nowhere else. */
static int tell_rest(struct pl_nodes_wanted *w, struct pleach_error *error)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < w->m->found->n; i++) {
		struct pl_finding *f = &w->m->found->items[i];

		if (wants(w, f) && f->subject.what == PL_SUBJECT_NODE)
			r = pl_repairing_unmended(
				w->m, f, error,
				"no directory is placed any more that it is the node of");
	}
	return r;
}

int pl_repair_nodes(struct pl_repairing *m, struct pleach_error *error)
{
	struct pl_nodes_wanted w = {.m = m, .treedir_fd = -EBADF};
	int r;

	pl_map_init(&w.ids, sizeof(struct pl_id), m->store->seed);
	r = list_wanted(&w, error);
	if (r >= 0 && w.n_left > 0)
		r = pl_outside_nodes(&w, false, error);
	if (r >= 0 && w.n_left > 0)
		r = search(&w, error);
	if (r >= 0 && w.n_left > 0)
		r = pl_outside_nodes(&w, true, error);
	if (r >= 0)
		r = tell_rest(&w, error);
	free(w.pile);
	pl_map_done(&w.ids);
	/* What was remembered as missing or damaged is not. */
	pl_node_memory_forget(&m->store->memory);
	return r < 0 ? r : 0;
}
