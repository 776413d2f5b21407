/*
 * Publishing: from sources to a tree, and the commit of it.
 *
 * One directory is scanned straight into where it will be placed. Several sources, or a part of a
 * revision, are each made a tree of its own and then grafted. Either way the result is one tree, and
 * pl_commit_run() does the rest.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "tx/tx.h"

#define TRIES 4

struct publishing {
	struct pl_store *store;
	struct pl_txdir *tx; /* NULL in a dry run */
	const char *name;
	struct pl_ref opened;
	struct pl_ref *ref; /* NULL in a dry run for a ref that is not there */
	const struct pleach_publish_options *options;
	struct pl_globs exclude;
	enum pl_rule rule;
	struct pl_stage stage;
	struct pl_pin base_pin;
	struct pl_pin *source_pins; /* of revisions that are sources, n_sources */
	size_t n_sources;
	uint64_t base;
	struct pl_id base_tree;
	struct pl_id tree;
	uint64_t total_entries;
	struct pleach_publish_result *result;
};

/* ---- sources ---- */

/* Is the store, or a directory above it, the directory `fd`? Or `fd` in the store? */
static int must_be_apart(struct publishing *p, int fd, const char *label,
			 struct pleach_error *error)
{
	int inside = pl_is_above(p->store->root_fd, fd);

	if (inside < 0)
		return pl_fail_sys(error, inside, "cannot look at '%s'", label);
	if (inside == 0)
		return 0;
	pl_fail(error, PLEACH_FAILED, -ELOOP, "'%s' lies in the store", label);
	pl_hint(error, "name what is in the store by its revision, as REF@N:PATH");
	return -ELOOP;
}

static int scan_directory(struct publishing *p, const struct pleach_source *source, bool is_whole,
			  struct pl_id *ret_tree, struct pleach_error *error)
{
	struct pl_scan scan = {.store = p->store,
			       .stage = &p->stage,
			       .label = source->spec,
			       .prefix = source->prefix ? source->prefix : "",
			       .rule = p->rule,
			       .exclude = &p->exclude,
			       .use_cache = true};
	struct pl_scan_result result;
	PL_CLOSE int fd = pl_open_follow(AT_FDCWD, source->spec, O_RDONLY | O_DIRECTORY);
	int r;

	if (fd < 0) {
		pl_fail_sys(error, fd, "cannot publish '%s'", source->spec);
		pl_error_path(error, source->spec);
		if (fd == -ENOTDIR)
			pl_hint(error,
				"a source is a directory or a revision; archives are not read yet");
		return fd;
	}
	r = must_be_apart(p, fd, source->spec, error);
	if (r < 0)
		return r;
	scan.fd = fd;
	scan.base = is_whole && p->base > 0 ? &p->base_tree : NULL;
	r = pl_scan_run(&scan, &result, error);
	if (r < 0)
		return r;
	*ret_tree = result.tree;
	p->total_entries += result.totals.entries;
	if (p->result->escaping == 0)
		memcpy(p->result->first_escaping, result.first_escaping,
		       sizeof(result.first_escaping));
	p->result->escaping += result.escaping;
	return 0;
}

/*
 * The tree of a revision, or of the directory in it. The whole is pinned, to the end, before any node of
 * it is read: else 1. a node is found, 2. the generation is dropped, and a collector, which knows of no
 * claim, erases the node, 3. the node is claimed. (model/gc.pml, control CLAIM_AFTER_LOOK)
 */
static int find_revision(struct publishing *p, const char *spec, struct pl_pin *ret_pin,
			 struct pl_id *ret_tree, struct pleach_error *error)
{
	struct pl_node_source nodes = pl_store_nodes(p->store);
	struct pl_found found = {0};
	struct pl_rev rev;
	int r = pl_rev_resolve(p->store, spec, NULL, &rev, error);

	if (r < 0)
		return r;
	r = pl_pin_wait(p->store, &rev.tree, ret_pin, error);
	if (r == PL_PIN_ABSENT)
		r = pl_fail_not_found(error, "cannot publish '%s': its tree was dropped", spec);
	if (r >= 0)
		r = pl_lookup(&nodes, &rev.tree, rev.path, &found, error);
	if (r >= 0) {
		if (found.is_dir)
			*ret_tree = found.directory;
		else
			r = pl_fail(error, PLEACH_FAILED, -ENOTDIR,
				    "cannot publish '%s': it is no directory", spec);
		pl_found_done(&found);
	}
	pl_rev_done(&rev);
	return r;
}

/* Claims a node and its group blocks. */
static int claim_node(struct publishing *p, const struct pl_node *node, struct pleach_error *error)
{
	int r = pl_txdir_claim(p->tx, 'n', &node->id, error);

	for (uint32_t i = 0; r >= 0 && i < node->n_blocks; i++) {
		struct pl_id block;

		memcpy(block.bytes, node->blocks + sizeof(block.bytes) * (size_t)i,
		       sizeof(block.bytes));
		r = pl_txdir_claim(p->tx, 'n', &block, error);
	}
	return r;
}

static int claim_entry(struct publishing *p, const struct pl_entry *entry,
		       struct pleach_error *error)
{
	struct pl_id object;

	p->total_entries++;
	if (entry->kind != PLEACH_FILE || entry->size == 0)
		return 0;
	pl_entry_object(entry, &object);
	return pl_stage_has_object(&p->stage, &object, error);
}

/* Claims all of a tree that is used again (DESIGN, step 3): every node and object that it names. */
static int claim_tree(struct publishing *p, const struct pl_id *tree, struct pleach_error *error)
{
	struct pl_node_source nodes = pl_stage_nodes(&p->stage);
	struct pl_cursor *cursor;
	int r = pl_cursor_new(&nodes, tree, false, p->store->seed, &cursor, error);

	if (r < 0)
		return r;
	while ((r = pl_cursor_next(cursor, error)) > 0) {
		if (r == PL_STEP_ENTER)
			r = claim_node(p, pl_cursor_node(cursor), error);
		else if (r == PL_STEP_ENTRY)
			r = claim_entry(p, pl_cursor_entry(cursor), error);
		if (r < 0)
			break;
	}
	pl_cursor_free(cursor);
	return r;
}

static int compose(struct publishing *p, const struct pleach_source *sources, size_t n,
		   struct pleach_error *error)
{
	struct pl_node_source nodes = pl_stage_nodes(&p->stage);
	struct pl_node_sink sink = pl_stage_sink(&p->stage);
	struct pl_graft_source *grafts = calloc(n, sizeof(*grafts));
	int r = 0;

	if (!grafts)
		return pl_fail_memory(error);
	for (size_t i = 0; r >= 0 && i < n; i++) {
		grafts[i].prefix = sources[i].prefix ? sources[i].prefix : "";
		grafts[i].label = sources[i].spec;
		if (sources[i].kind == PLEACH_SOURCE_DIR)
			r = scan_directory(p, &sources[i], false, &grafts[i].tree, error);
		else
			r = find_revision(p, sources[i].spec, &p->source_pins[i], &grafts[i].tree,
					  error);
		if (r >= 0 && sources[i].kind == PLEACH_SOURCE_REV && p->tx)
			r = claim_tree(p, &grafts[i].tree, error);
	}
	if (r >= 0)
		r = pl_graft(&nodes, &sink, grafts, n, p->options->on_clash, &p->tree, error);
	free(grafts);
	return r;
}

static int check_sources(const struct pleach_source *sources, size_t n, struct pleach_error *error)
{
	if (n == 0)
		return pl_fail_usage(error, "nothing to publish: name at least one source");
	for (size_t i = 0; i < n; i++) {
		const char *prefix = sources[i].prefix;

		if (prefix && prefix[0] != '\0' && !pl_path_is_valid(prefix)) {
			pl_fail_usage(error, "'%s' is no place in a tree", prefix);
			pl_hint(error,
				"a prefix is a relative path without '.', '..' and empty names");
			return -EINVAL;
		}
	}
	return 0;
}

/* ---- options ---- */

static int read_options(struct publishing *p, struct pleach_error *error)
{
	const struct pleach_publish_options *o = p->options;

	p->rule = p->ref ? p->ref->settings.metadata : p->store->settings.metadata;
	if (o->metadata && pl_rule_parse(o->metadata, &p->rule) < 0)
		return pl_fail_usage(error,
				     "'%s' is no metadata rule: exact, portable or canonical",
				     o->metadata);
	for (size_t i = 0; o->exclude && o->exclude[i]; i++) {
		int r = pl_globs_add(&p->exclude, o->exclude[i]);

		if (r == -EINVAL)
			return pl_fail_usage(error, "'%s' is no pattern", o->exclude[i]);
		if (r < 0)
			return pl_fail_memory(error);
	}
	for (size_t i = 0; o->meta && o->meta[i]; i++)
		if (!strchr(o->meta[i], '=') || o->meta[i][0] == '=')
			return pl_fail_usage(error, "'%s' is not of the form KEY=VALUE",
					     o->meta[i]);
	return 0;
}

/*
 * The head, and its tree pinned: what did not change is taken from there. Between the two the ref can
 * be dropped, or the head move on and its generation be dropped: then it is looked up again.
 */
static int find_base(struct publishing *p, struct pleach_error *error)
{
	for (unsigned i = 0; i < TRIES; i++) {
		int r = pl_head_pin(p->ref, p->tx, &p->base, &p->base_tree, &p->base_pin, error);

		if (r != PL_PIN_ABSENT)
			return r < 0 ? r : 0;
	}
	return pl_fail_corrupt(error, "the tree of the head of '%s' is missing", p->ref->name);
}

/* ---- the whole ---- */

static int make_source_pins(struct publishing *p, size_t n, struct pleach_error *error)
{
	p->source_pins = calloc(n, sizeof(*p->source_pins));
	if (!p->source_pins)
		return pl_fail_memory(error);
	for (size_t i = 0; i < n; i++)
		p->source_pins[i] = (struct pl_pin)PL_PIN_NONE;
	p->n_sources = n;
	return 0;
}

static void release_pins(struct publishing *p)
{
	for (size_t i = 0; i < p->n_sources; i++)
		pl_pin_done(&p->source_pins[i]);
	free(p->source_pins);
	pl_pin_done(&p->base_pin);
}

static int make_tree(struct publishing *p, const struct pleach_source *sources, size_t n,
		     struct pleach_error *error)
{
	bool is_whole = n == 1 && sources[0].kind == PLEACH_SOURCE_DIR &&
			(!sources[0].prefix || sources[0].prefix[0] == '\0');
	/* With share=content equal files of one scan must be one object before any is placed; and a tree that is
	 * edited is in its place already. */
	bool in_place = is_whole && p->ref && p->ref->settings.share == PL_SHARE_NAMES &&
			!(p->base > 0 && p->ref->settings.recycle == PL_RECYCLE_EDIT);
	enum pl_stage_mode mode = !p->tx     ? PL_STAGE_NOWHERE
				  : in_place ? PL_STAGE_IN_PLACE
					     : PL_STAGE_POOL;
	int r = pl_stage_begin(p->store, p->tx, mode, &p->stage, error);

	if (r < 0)
		return r;
	p->stage.jobs = p->options->jobs;
	return is_whole ? scan_directory(p, &sources[0], true, &p->tree, error)
			: compose(p, sources, n, error);
}

static int commit(struct publishing *p, struct pleach_error *error)
{
	struct pl_commit c = {.tx = p->tx,
			      .ref = p->ref,
			      .stage = &p->stage,
			      .tree = p->tree,
			      .base_pin = &p->base_pin,
			      .base = p->base,
			      .base_tree = p->base_tree,
			      .kind = "publish",
			      .message = p->options->message,
			      .meta = p->options->meta,
			      .if_head = p->options->if_head,
			      .bytes_new = p->stage.bytes_new,
			      .total_entries = p->total_entries};

	return pl_commit_run(&c, p->result, error);
}

/* What would change: against the head, nothing written. */
static int compare(struct publishing *p, struct pleach_error *error)
{
	struct pl_node_source nodes = pl_stage_nodes(&p->stage);
	struct pl_diff_counts counts;
	int r = pl_diff_count(&nodes, p->base > 0 ? &p->base_tree : NULL, &p->tree, p->store->seed,
			      &counts, error);

	if (r < 0)
		return r;
	p->result->unchanged = p->base > 0 && counts.added + counts.modified + counts.removed == 0;
	p->result->generation = p->result->unchanged ? p->base : p->base + 1;
	p->result->parent = p->base;
	pl_id_hex(p->result->unchanged ? &p->base_tree : &p->tree, p->result->tree);
	p->result->added = counts.added;
	p->result->modified = counts.modified;
	p->result->removed = counts.removed;
	return 0;
}

static int publish(struct publishing *p, const struct pleach_source *sources, size_t n,
		   struct pleach_error *error)
{
	int r = read_options(p, error);

	if (r >= 0)
		r = make_source_pins(p, n, error);
	if (r >= 0 && p->ref)
		r = find_base(p, error);
	if (r >= 0) /* early; and again at the end */
		r = pl_commit_check_head(p->name, p->options->if_head, p->base, error);
	if (r >= 0 && p->ref)
		r = pl_public_must_be_ours(p->ref, error);
	if (r >= 0)
		r = make_tree(p, sources, n, error);
	if (r >= 0)
		r = p->tx ? commit(p, error) : compare(p, error);
	pl_stage_end(&p->stage);
	release_pins(p);
	pl_globs_done(&p->exclude);
	return r;
}

static int publish_dry(struct publishing *p, const struct pleach_source *sources, size_t n,
		       struct pleach_error *error)
{
	int r = pl_ref_open(p->store, p->name, &p->opened, error);

	if (r == -ENOENT) {
		pl_error_clear(error);
		return publish(p, sources, n, error);
	}
	if (r < 0)
		return r;
	p->ref = &p->opened;
	r = publish(p, sources, n, error);
	pl_ref_close(&p->opened);
	return r;
}

int pl_publish_run(struct pl_store *store, const char *name, const struct pleach_source *sources,
		   size_t n_sources, const struct pleach_publish_options *options,
		   struct pleach_publish_result *ret_result, struct pleach_error *error)
{
	struct publishing p = {.store = store,
			       .name = name,
			       .options = options,
			       .base_pin = PL_PIN_NONE,
			       .result = ret_result};
	char what[PLEACH_REF_MAX + 16];
	struct pl_txdir tx;
	unsigned n;
	int r = check_sources(sources, n_sources, error);

	p.stage = (struct pl_stage){.mode = PL_STAGE_POOL,
				    .nodes_fd = -EBADF,
				    .objects_fd = -EBADF,
				    .tree_fd = -EBADF,
				    .wrapper_fd = -EBADF,
				    .spool_fd = -EBADF};
	if (r < 0)
		return r;
	if (options->dry_run) {
		r = pl_store_must_read(store, error);
		return r < 0 ? r : publish_dry(&p, sources, n_sources, error);
	}
	r = pl_store_must_write(store, error);
	if (r < 0)
		return r;
	snprintf(what, sizeof(what), "publish %.100s", name);
	r = pl_txdir_begin(store, what, &tx, error);
	if (r < 0)
		return r;
	pl_txdir_recover(store, &tx, &n, NULL);
	r = pl_ref_open_or_create(&tx, name, &p.opened, error);
	if (r >= 0) {
		p.tx = &tx;
		p.ref = &p.opened;
		r = publish(&p, sources, n_sources, error);
		pl_ref_close(&p.opened);
	}
	pl_txdir_end(&tx);
	return r;
}
