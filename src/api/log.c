/*
 * pleach_log_*(): the generations of a ref.
 *
 * G1  With paths a generation is listed if one of them differs from the generation before it that is
 *     still kept. One that was dropped has no tree any more that could be compared: it is not listed
 *     then.
 */
#include <stdlib.h>

#include "api/inner.h"

/* A tag and the generation that it names. */
struct tag {
	uint64_t generation;
	size_t name; /* in `names` */
};
struct pleach_log {
	struct pl_store *store;
	struct pl_ref ref;
	uint64_t next, head; /* next 0: no more */
	bool is_reverse;
	struct pl_strings paths;
	struct pl_strings names;
	struct tag *tags;
	size_t n_tags, capacity;
	struct pl_record record;
	struct pl_strings record_tags;
	struct pleach_error damaged; /* the first tag that cannot be read; code PLEACH_OK: none */
};

/* ---- opening ---- */

static int read_tags(struct pleach_log *log, struct pleach_error *error)
{
	int r = pl_tag_list(&log->ref, &log->names, error);

	for (size_t i = 0; r >= 0 && i < log->names.n; i++) {
		struct pleach_error cause = PLEACH_ERROR_INIT;
		struct pl_tag tag;

		r = pl_tag_read(&log->ref, log->names.items[i], &tag, &cause);
		if (r == -EBADMSG && log->damaged.code == PLEACH_OK)
			log->damaged = cause;
		if (r == -ENOENT || r == -EBADMSG) { /* deleted meanwhile; told at the end */
			r = 0;
			continue;
		}
		if (r < 0) {
			if (error)
				*error = cause;
			break;
		}
		if (PL_ARRAY_GROW(log->tags, log->capacity, log->n_tags) < 0)
			return pl_fail_memory(error);
		log->tags[log->n_tags++] = (struct tag){.generation = tag.generation, .name = i};
	}
	return r;
}

static int open_ref(struct pleach_log *log, const char *name, struct pleach_error *error)
{
	int r = pl_ref_open(log->store, name, &log->ref, error);

	if (r < 0)
		return r;
	r = pl_ref_settle(&log->ref, NULL, &log->head, error);
	if (r == -EBADMSG && (log->head = pl_head_listed(&log->ref)) > 0) {
		pl_error_clear(error); /* told when it is its turn */
		r = 0;
	}
	if (r >= 0 && log->head == 0)
		return pl_fail_not_found(error, "no ref '%s' in this store", name);
	if (r >= 0)
		r = read_tags(log, error);
	log->next = log->is_reverse ? 1 : log->head;
	return r;
}

int pleach_log_open(struct pleach_store *store, const char *ref,
		    const struct pleach_log_options *options, struct pleach_log **ret_log,
		    struct pleach_error *error)
{
	struct pleach_log_options o = PLEACH_LOG_OPTIONS_INIT;
	struct pleach_log *log = calloc(1, sizeof(*log));
	int r = 0;

	pl_assert(store && ref && ret_log);
	PL_OPTIONS(o, options);
	if (!log)
		return pl_fail_memory(error);
	log->store = store->inner;
	log->damaged = (struct pleach_error)PLEACH_ERROR_INIT;
	log->ref = (struct pl_ref){.fd = -EBADF, .gen_fd = -EBADF, .lock_fd = -EBADF};
	log->is_reverse = o.reverse != 0;
	if (o.paths && o.paths[0])
		r = pl_store_must_read(log->store, error);
	if (r >= 0)
		r = pl_limits_copy(o.paths, &log->paths, error);
	if (r >= 0)
		r = open_ref(log, ref, error);
	if (r < 0) {
		pleach_log_close(log);
		return r;
	}
	*ret_log = log;
	return 0;
}

/* ---- did one of the paths change? ---- */

/* 1: something below the directory differs, other than mtimes of directories. */
static int directories_differ(struct pleach_log *log, const struct pl_id *before,
			      const struct pl_id *after, struct pleach_error *error)
{
	struct pl_node_source nodes = pl_store_nodes(log->store);
	struct pl_difference difference;
	struct pl_diff *diff;
	int r;

	if (pl_id_equal(before, after))
		return 0;
	r = pl_diff_new(&nodes, before, after, log->store->seed, &diff, error);
	if (r < 0)
		return r;
	r = pl_diff_next(diff, &difference, error);
	pl_diff_free(diff);
	return r;
}

/* 1 and what is there, 0: nothing; `tree` NULL: of no tree. */
static int look_up(struct pleach_log *log, const struct pl_id *tree, const char *path,
		   struct pl_found *ret_found, struct pleach_error *error)
{
	struct pl_node_source nodes = pl_store_nodes(log->store);
	int r;

	if (!tree)
		return 0;
	r = pl_lookup(&nodes, tree, path, ret_found, error);
	if (r == -ENOENT) {
		pl_error_clear(error);
		return 0;
	}
	return r < 0 ? r : 1;
}

static int links_differ(struct pleach_log *log, const struct pl_id *before,
			const struct pl_id *after, const char *path, struct pleach_error *error)
{
	struct pl_node_source nodes = pl_store_nodes(log->store);
	uint64_t a, b;
	int r = pl_lookup_links(&nodes, before, path, &a, error);

	if (r >= 0)
		r = pl_lookup_links(&nodes, after, path, &b, error);
	return r < 0 ? r : a != b;
}

static int path_differs(struct pleach_log *log, const struct pl_id *before,
			const struct pl_id *after, const char *path, struct pleach_error *error)
{
	struct pl_found a = {0}, b = {0};
	int in_before = look_up(log, before, path, &a, error), in_after = 0, r;

	if (in_before >= 0)
		in_after = look_up(log, after, path, &b, error);
	if (in_before < 0 || in_after < 0)
		r = in_before < 0 ? in_before : in_after;
	else if (!in_before || !in_after)
		r = in_before != in_after;
	else if (a.is_dir && b.is_dir)
		r = directories_differ(log, &a.directory, &b.directory, error);
	else if (a.is_dir || b.is_dir || !pl_entry_equal(&a.entry, &b.entry))
		r = 1;
	else
		r = links_differ(log, before, after, path, error);
	pl_found_done(&a);
	pl_found_done(&b);
	return r;
}

/* The tree of the newest generation below n that is kept: 1, or 0: there is none. */
static int find_kept_before(struct pleach_log *log, uint64_t n, struct pl_id *ret_tree,
			    struct pleach_error *error)
{
	while (--n > 0) {
		struct pl_record record;
		int r = pl_generation_is_dropped(&log->ref, n);

		if (r > 0)
			continue;
		if (r < 0)
			return pl_fail_sys(error, r, "cannot look at ref '%s'", log->ref.name);
		r = pl_generation_read(&log->ref, n, &record, error);
		if (r < 0)
			return r;
		*ret_tree = record.tree;
		pl_record_done(&record);
		return 1;
	}
	return 0;
}

/* 1: it is to be listed. (G1) */
static int is_wanted(struct pleach_log *log, bool is_dropped, struct pleach_error *error)
{
	struct pl_id before;
	int r, has_before;

	if (log->paths.n == 0)
		return 1;
	r = pl_store_check_cancel(log->store, error);
	if (r < 0 || is_dropped)
		return r;
	has_before = find_kept_before(log, log->record.generation, &before, error);
	if (has_before < 0)
		return has_before;
	for (size_t i = 0; r == 0 && i < log->paths.n; i++)
		r = path_differs(log, has_before ? &before : NULL, &log->record.tree,
				 log->paths.items[i], error);
	return r;
}

/* ---- listing ---- */

static int find_tags(struct pleach_log *log, struct pleach_error *error)
{
	pl_strings_done(&log->record_tags);
	for (size_t i = 0; i < log->n_tags; i++) {
		const struct tag *tag = &log->tags[i];

		if (tag->generation == log->record.generation &&
		    pl_strings_add(&log->record_tags, log->names.items[tag->name]) < 0)
			return pl_fail_memory(error);
	}
	return 0;
}

static void give(struct pleach_log *log, bool is_dropped, struct pleach_generation *generation)
{
	const struct pl_record *record = &log->record;
	struct pleach_generation g = PLEACH_GENERATION_INIT;

	g.number = record->generation;
	g.parent = record->parent;
	pl_id_hex(&record->tree, g.tree);
	g.time_s = record->time_s;
	g.time_ns = record->time_ns;
	g.kind = record->kind;
	g.uid = (uint32_t)record->uid;
	g.user = record->user;
	g.host = record->host;
	g.message = record->message ? record->message : "";
	g.meta = pl_strings_list(&record->meta);
	g.added = record->added;
	g.modified = record->modified;
	g.removed = record->removed;
	g.bytes_new = record->bytes_new;
	g.tags = pl_strings_list(&log->record_tags);
	g.is_dropped = is_dropped;
	PL_GIVE(generation, g);
}

int pleach_log_next(struct pleach_log *log, struct pleach_generation *generation,
		    struct pleach_error *error)
{
	pl_assert(log && generation);
	while (log->next > 0) {
		uint64_t n = log->next;
		int r, is_dropped;

		pl_record_done(&log->record);
		log->record = (struct pl_record){0};
		log->next = !log->is_reverse ? n - 1 : n < log->head ? n + 1 : 0;
		r = pl_generation_read_known(&log->ref, n, &log->record, error);
		if (r < 0)
			return r;
		is_dropped = pl_generation_is_dropped(&log->ref, n);
		if (is_dropped < 0)
			return pl_fail_sys(error, is_dropped, "cannot look at ref '%s'",
					   log->ref.name);
		r = is_wanted(log, is_dropped > 0, error);
		if (r == 0)
			continue;
		if (r > 0)
			r = find_tags(log, error);
		if (r < 0)
			return r;
		give(log, is_dropped > 0, generation);
		return 1;
	}
	if (log->damaged.code != PLEACH_OK) {
		if (error)
			*error = log->damaged;
		log->damaged = (struct pleach_error)PLEACH_ERROR_INIT;
		return -EBADMSG;
	}
	return 0;
}

void pleach_log_close(struct pleach_log *log)
{
	if (!log)
		return;
	pl_record_done(&log->record);
	pl_strings_done(&log->record_tags);
	pl_strings_done(&log->paths);
	pl_strings_done(&log->names);
	free(log->tags);
	if (log->ref.fd >= 0)
		pl_ref_close(&log->ref);
	free(log);
}
