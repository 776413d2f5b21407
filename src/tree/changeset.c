/*
 * Changesets: edits of paths, kept in the order in which they came. What they come to is found when
 * they are settled, by one sort. No tree is known here: whether an edit fits to a base is apply's to
 * see.
 *
 * C1  Of the edits of one path the last counts. A group is no edit of its own: it is given to the put
 *     before it, and without one it is the edit PL_EDIT_KEEP.
 * C2  Edits that came before a removal, a put or a whole tree at a path above them are void: all
 *     below it was meant. Those that came later are not, nor is any by an edit of a directory.
 * C3  Bytes are only added: what a settled edit points to stays where it is until the next edit.
 */
#include "tree/changeset.h"

#include <stdlib.h>

#include "tree/inner.h"

#define NOWHERE SIZE_MAX

/* One call. Offsets lead into `bytes`. */
struct call {
	enum pl_edit_kind kind;
	bool has_meta, has_origin;
	uint64_t group;
	size_t path, origin, body, body_length;
};
struct pl_changeset {
	struct call *calls;
	size_t n, capacity;
	struct pl_buffer bytes;
	struct pl_map links; /* link: group */
	uint64_t n_groups;
};
/* The body of PL_EDIT_TREE. */
struct tree_body {
	struct pl_id node;
	struct pl_totals totals;
};

int pl_changeset_new(uint64_t seed, struct pl_changeset **ret_changes)
{
	struct pl_changeset *changes = calloc(1, sizeof(*changes));

	if (!changes)
		return -ENOMEM;
	pl_map_init(&changes->links, sizeof(uint64_t), seed);
	*ret_changes = changes;
	return 0;
}

void pl_changeset_free(struct pl_changeset *changes)
{
	if (!changes)
		return;
	free(changes->calls);
	pl_buffer_done(&changes->bytes);
	pl_map_done(&changes->links);
	free(changes);
}

bool pl_changeset_is_empty(const struct pl_changeset *changes)
{
	return changes->n == 0;
}

/* ---- adding ---- */

static size_t add_text(struct pl_changeset *changes, const char *text)
{
	size_t offset = changes->bytes.length;

	pl_buffer_add(&changes->bytes, text, strlen(text) + 1);
	return offset;
}

/* `call` has its body, which ends the bytes, and lacks its path. */
static int add_call(struct pl_changeset *changes, struct call *call, const char *path)
{
	if (PL_ARRAY_GROW(changes->calls, changes->capacity, changes->n) < 0)
		return -ENOMEM;
	pl_assert(!pl_buffer_ok(&changes->bytes) ||
		  call->body + call->body_length <= changes->bytes.length);
	call->path = add_text(changes, path);
	if (!pl_buffer_ok(&changes->bytes))
		return -ENOMEM;
	changes->calls[changes->n++] = *call;
	return 0;
}

static const char *last_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static int group_of_link(struct pl_changeset *changes, uint64_t link, uint64_t *ret_group)
{
	const uint64_t *at = pl_map_get(&changes->links, &link);

	if (!at) {
		if (pl_map_put(&changes->links, &link, changes->n_groups + 1) < 0)
			return -ENOMEM;
		*ret_group = ++changes->n_groups;
	} else {
		*ret_group = *at;
	}
	pl_assert(*ret_group > 0 && *ret_group <= changes->n_groups);
	return 0;
}

int pl_changeset_remove(struct pl_changeset *changes, const char *path)
{
	struct call call = {.kind = PL_EDIT_REMOVE};

	return pl_path_is_valid(path) ? add_call(changes, &call, path) : -EINVAL;
}

int pl_changeset_put(struct pl_changeset *changes, const char *path, const struct pl_entry *entry,
		     uint64_t link)
{
	struct call call = {.kind = PL_EDIT_PUT, .body = changes->bytes.length};
	struct pl_entry named = *entry;

	pl_assert(entry->kind != PLEACH_DIR);
	if (!pl_path_is_valid(path))
		return -EINVAL;
	if (link != 0 && group_of_link(changes, link, &call.group) < 0)
		return -ENOMEM;
	named.name = last_name(path);
	named.name_length = (uint8_t)strlen(named.name);
	pl_entry_encode(&named, &changes->bytes);
	call.body_length = changes->bytes.length - call.body;
	return add_call(changes, &call, path);
}

int pl_changeset_dir(struct pl_changeset *changes, const char *path, const char *origin,
		     const struct pl_meta *meta)
{
	struct call call = {.kind = PL_EDIT_DIR,
			    .has_meta = meta,
			    .has_origin = origin,
			    .body = changes->bytes.length};

	pl_assert(origin || meta);
	if ((*path && !pl_path_is_valid(path)) || (origin && *origin && !pl_path_is_valid(origin)))
		return -EINVAL;
	if (meta)
		pl_meta_encode(meta, &changes->bytes);
	call.body_length = changes->bytes.length - call.body;
	if (origin)
		call.origin = add_text(changes, origin);
	return add_call(changes, &call, path);
}

int pl_changeset_tree(struct pl_changeset *changes, const char *path, const struct pl_id *node,
		      const struct pl_totals *totals)
{
	struct call call = {.kind = PL_EDIT_TREE,
			    .body = changes->bytes.length,
			    .body_length = sizeof(struct tree_body)};
	struct tree_body body = {.node = *node, .totals = *totals};

	pl_assert(!pl_totals_flaw(totals));
	if (*path && !pl_path_is_valid(path))
		return -EINVAL;
	pl_buffer_add(&changes->bytes, &body, sizeof(body));
	return add_call(changes, &call, path);
}

int pl_changeset_group(struct pl_changeset *changes, const char *const *paths, size_t n)
{
	struct call call = {.kind = PL_EDIT_KEEP, .group = changes->n_groups + 1};

	pl_assert(n >= 2);
	for (size_t i = 0; i < n; i++) {
		if (!pl_path_is_valid(paths[i]))
			return -EINVAL;
	}
	changes->n_groups++;
	for (size_t i = 0; i < n; i++) {
		int r = add_call(changes, &call, paths[i]);

		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- settling ---- */

static const char *path_of(const struct pl_changeset *changes, size_t call)
{
	return (const char *)changes->bytes.data + changes->calls[call].path;
}

static int compare_calls(const void *a, const void *b, void *context)
{
	size_t x = *(const size_t *)a, y = *(const size_t *)b;
	int c = pl_path_compare(path_of(context, x), path_of(context, y));

	return c != 0 ? c : (x > y) - (x < y);
}

/* Says of an error that was just made what it is about. */
static int about(struct pleach_error *error, const char *path, int r)
{
	pl_error_path(error, path);
	return r;
}

/* Fills in an edit from its call; the path is set. */
static void decode_call(const struct pl_changeset *changes, const struct call *call,
			struct pl_edit *edit)
{
	const unsigned char *body = changes->bytes.data + call->body;
	struct pl_reader r = pl_reader_of(body, call->body_length);
	struct tree_body tree;
	int result = 0;

	*edit = (struct pl_edit){.kind = call->kind, .path = edit->path, .group = call->group};
	switch (call->kind) {
	case PL_EDIT_PUT:
		result = pl_entry_decode(&r, &edit->entry);
		break;
	case PL_EDIT_DIR:
		edit->has_meta = call->has_meta;
		if (call->has_origin)
			edit->origin = (const char *)changes->bytes.data + call->origin;
		if (call->has_meta)
			result = pl_meta_decode(&r, &edit->meta);
		break;
	case PL_EDIT_TREE:
		memcpy(&tree, body, sizeof(tree));
		edit->entry = (struct pl_entry){
			.kind = PLEACH_DIR, .hash = tree.node, .totals = tree.totals};
		break;
	default:
		pl_assert(call->kind == PL_EDIT_REMOVE || call->kind == PL_EDIT_KEEP);
	}
	pl_assert(result == 0); /* our own encoding, of an entry that keeps the rules */
}

/* C1: makes one edit of the calls of one path; those up to `last_void` (1 is the first of all) are not
 * looked at. 1: there is one; 0: all are void. */
static int settle_path(const struct pl_changeset *changes, const size_t *calls, size_t n,
		       size_t last_void, struct pl_edit *ret_edit, struct pleach_error *error)
{
	struct pl_edit edit = {.path = path_of(changes, calls[0])};
	size_t last = n; /* the last that is no group, or the first of all */

	while (last > 0 && calls[last - 1] + 1 > last_void) {
		last--;
		if (changes->calls[calls[last]].kind != PL_EDIT_KEEP)
			break;
	}
	for (size_t i = last; i < n; i++) {
		const struct call *call = &changes->calls[calls[i]];

		if (i == last)
			decode_call(changes, call, &edit);
		else if (edit.kind == PL_EDIT_PUT || edit.kind == PL_EDIT_KEEP)
			edit.group = call->group;
		else
			return about(error, edit.path,
				     pl_fail(error, PLEACH_FAILED, -EINVAL,
					     "'%s' is no file, and cannot be a hard link",
					     edit.path));
	}
	*ret_edit = edit;
	return edit.kind != 0;
}

/* A path whose calls make earlier ones below it void, C2. */
struct voiding {
	const char *path;
	size_t last_void;
};

/* The last call of a path that voids what is below, counted from 1. */
static size_t last_voiding(const struct pl_changeset *changes, const size_t *calls, size_t n)
{
	for (size_t i = n; i > 0; i--) {
		enum pl_edit_kind kind = changes->calls[calls[i - 1]].kind;

		if (kind != PL_EDIT_DIR && kind != PL_EDIT_KEEP)
			return calls[i - 1] + 1;
	}
	return 0;
}

/* Settles each path; the edits are not yet held against each other. `stack` has room for all calls. */
static int settle_paths(const struct pl_changeset *changes, const size_t *order,
			struct voiding *stack, struct pl_edits *edits, struct pleach_error *error)
{
	size_t depth = 0, n;
	int r;

	for (size_t i = 0; i < changes->n; i += n) {
		const char *path = path_of(changes, order[i]);
		size_t last_void, own;

		for (n = 1;
		     i + n < changes->n && strcmp(path_of(changes, order[i + n]), path) == 0;)
			n++;
		while (depth > 0 && !pl_path_is_below(path, stack[depth - 1].path))
			depth--;
		last_void = depth > 0 ? stack[depth - 1].last_void : 0;
		r = settle_path(changes, order + i, n, last_void, &edits->items[edits->n], error);
		if (r < 0)
			return r;
		edits->n += r > 0;
		own = last_voiding(changes, order + i, n);
		if (own > last_void)
			stack[depth++] = (struct voiding){.path = path, .last_void = own};
	}
	return 0;
}

/* May `edit` be below `above`? 1: yes; 0: it is to be left out. */
static int fits_below(const struct pl_edit *edit, const struct pl_edit *above,
		      struct pleach_error *error)
{
	if (above->kind == PL_EDIT_DIR)
		return 1;
	if (above->kind == PL_EDIT_TREE)
		return about(error, edit->path,
			     pl_fail(error, PLEACH_FAILED, -EINVAL,
				     "cannot change '%s': all of '%s' is another tree", edit->path,
				     above->path));
	if (edit->kind == PL_EDIT_REMOVE)
		return 0;
	return about(error, edit->path,
		     pl_fail(error, PLEACH_FAILED, -ENOTDIR,
			     "cannot change '%s': '%s' is no directory", edit->path, above->path));
}

/* Sets `above`, and leaves out what has no effect. `stack` has room for all edits. */
static int nest(struct pl_edits *edits, size_t *stack, struct pleach_error *error)
{
	size_t depth = 0, n = 0;

	for (size_t i = 0; i < edits->n; i++) {
		struct pl_edit *edit = &edits->items[i];
		int r = 1;

		while (depth > 0 &&
		       !pl_path_is_below(edit->path, edits->items[stack[depth - 1]].path))
			depth--;
		edit->above = depth > 0 ? stack[depth - 1] : NOWHERE;
		if (depth > 0)
			r = fits_below(edit, &edits->items[edit->above], error);
		if (r < 0)
			return r;
		if (r == 0)
			continue;
		stack[depth++] = n;
		edits->items[n++] = *edit;
	}
	edits->n = n;
	return 0;
}

/* `order` and `stack` have room for all calls. */
static int settle(const struct pl_changeset *changes, size_t *order, struct voiding *stack,
		  struct pl_edits *edits, struct pleach_error *error)
{
	int r;

	for (size_t i = 0; i < changes->n; i++)
		order[i] = i;
	qsort_r(order, changes->n, sizeof(*order), compare_calls, (void *)changes);
	r = settle_paths(changes, order, stack, edits, error);
	return r < 0 ? r : nest(edits, order, error); /* whose room is free: the order is known */
}

int pl_changeset_settle(const struct pl_changeset *changes, struct pl_edits *ret_edits,
			struct pleach_error *error)
{
	size_t room = changes->n + 1, *order = calloc(room, sizeof(*order));
	struct voiding *stack = calloc(room, sizeof(*stack));
	struct pl_edits edits = {.items = calloc(room, sizeof(*edits.items))};
	int r;

	if (order && stack && edits.items && pl_buffer_ok(&changes->bytes))
		r = settle(changes, order, stack, &edits, error);
	else
		r = pl_fail_memory(error);
	free(order);
	free(stack);
	if (r < 0) {
		pl_edits_done(&edits);
		return r;
	}
	pl_assert(edits.n <= changes->n);
	*ret_edits = edits;
	return 0;
}

void pl_edits_done(struct pl_edits *edits)
{
	free(edits->items);
	*edits = (struct pl_edits){0};
}
