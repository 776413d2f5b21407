/*
 * pleach_refs_*(): the refs of a store, and how each is.
 */
#include <fcntl.h>
#include <stdlib.h>

#include "api/inner.h"
#include "tx/attached.h"

struct pleach_refs {
	struct pl_store *store;
	struct pl_strings names;
	size_t at;
	struct pleach_ref_status status; /* of the ref handed out last */
	struct pl_buffer public_path;
	struct pl_strings tags, attached, damaged;
};

int pleach_refs_open(struct pleach_store *store, struct pleach_refs **ret_refs,
		     struct pleach_error *error)
{
	struct pleach_refs *refs = calloc(1, sizeof(*refs));
	int r;

	pl_assert(store && ret_refs);
	if (!refs)
		return pl_fail_memory(error);
	refs->store = store->inner;
	r = pl_ref_list(store->inner, &refs->names, error);
	if (r < 0) {
		free(refs);
		return r;
	}
	*ret_refs = refs;
	return 0;
}

/* ---- parts of a status ---- */

static bool is_told(const struct pl_strings *told, const char *message)
{
	return told->n > 0 && strcmp(told->items[told->n - 1], message) == 0;
}

/* What is damaged is told of, once, and everything else is looked at all the same. `r` is what a part answers, and
 * `cause` its text, which is used up. */
static int tell_damaged(struct pleach_refs *refs, int r, struct pleach_error *cause,
			struct pleach_error *error)
{
	if (r == -EBADMSG && !is_told(&refs->damaged, cause->message) &&
	    pl_strings_add(&refs->damaged, cause->message) < 0)
		return pl_fail_memory(error);
	if (r < 0 && r != -EBADMSG && error)
		*error = *cause;
	pl_error_clear(cause);
	return r == -EBADMSG ? 0 : r;
}

static int find_head(struct pleach_refs *refs, struct pl_ref *ref, struct pl_id *ret_tree,
		     struct pleach_error *error)
{
	struct pleach_ref_status *s = &refs->status;
	struct pl_record record;
	int r = pl_ref_settle(ref, NULL, &s->head, error);

	if (r >= 0 && s->head == 0)
		return pl_fail_not_found(error, "no ref '%s' in this store", ref->name);
	if (r == -EBADMSG) /* there may be one all the same */
		s->head = pl_head_listed(ref);
	if (r >= 0)
		r = pl_generation_read_known(ref, s->head, &record, error);
	if (r < 0)
		return r;
	*ret_tree = record.tree;
	pl_id_hex(&record.tree, s->tree);
	s->time_s = record.time_s;
	s->time_ns = record.time_ns;
	pl_record_done(&record);
	return 0;
}

static int name_public(struct pleach_refs *refs, const char *name, struct pleach_error *error)
{
	pl_buffer_truncate(&refs->public_path, 0);
	pl_buffer_add_format(&refs->public_path, "%s/%s", refs->store->path, name);
	refs->status.public_path = pl_buffer_string(&refs->public_path);
	refs->status.public_state = "unknown";
	return refs->status.public_path ? 0 : pl_fail_memory(error);
}

static int find_public(struct pleach_refs *refs, struct pl_ref *ref, const struct pl_id *head,
		       struct pleach_error *error)
{
	enum pl_public_state state;
	struct pl_id shown;
	unsigned k;
	int r = pl_public_state(ref, &state, error);

	if (r < 0)
		return r;
	switch (state) {
	case PL_PUBLIC_MISSING:
		refs->status.public_state = "missing";
		break;
	case PL_PUBLIC_FOREIGN:
		refs->status.public_state = "foreign";
		break;
	case PL_PUBLIC_OK:
		if (pl_ref_is_masked(ref, NULL) == 1) {
			refs->status.public_state = "ok"; /* the workspace, for who is inside */
			break;
		}
		if (refs->status.tree[0] == '\0')
			break; /* nobody knows what it should show */
		r = pl_public_read(ref, &shown, &k, NULL);
		refs->status.public_state = r == 1 && pl_id_equal(&shown, head) ? "ok" : "behind";
		break;
	}
	return 0;
}

#define IS_PLACED 1u

/* One tree, looked at once however many generations have it. */
static int look_at_tree(struct pleach_refs *refs, struct pl_map *trees, const struct pl_id *tree,
			bool *ret_placed)
{
	uint64_t *known = pl_map_get(trees, tree->bytes), flags = 0;
	PL_CLOSE int treedir = -EBADF;
	unsigned k;
	int r;

	if (known) {
		*ret_placed = (*known & IS_PLACED) != 0;
		return 0;
	}
	treedir = pl_treedir_open(refs->store, tree);
	if (treedir < 0 && treedir != -ENOENT)
		return treedir;
	r = treedir < 0 ? 0 : pl_placing_find(treedir, &k);
	if (r < 0)
		return r;
	flags = r > 0 ? IS_PLACED : 0;
	r = pl_pin_is_held(refs->store, tree);
	if (r < 0)
		return r;
	refs->status.pinned += r > 0;
	*ret_placed = flags != 0;
	r = pl_map_put(trees, tree->bytes, flags);
	return r < 0 ? r : 0;
}

static int count_generations(struct pleach_refs *refs, struct pl_ref *ref,
			     struct pleach_error *error)
{
	struct pl_map trees;
	int r = 0;

	pl_map_init(&trees, sizeof(struct pl_id), refs->store->seed);
	for (uint64_t n = refs->status.head; r >= 0 && n > 0; n--) {
		struct pleach_error cause = PLEACH_ERROR_INIT;
		struct pl_record record;
		bool is_placed = false;

		r = pl_generation_is_dropped(ref, n);
		if (r > 0)
			continue;
		if (r >= 0)
			r = pl_store_check_cancel(refs->store, error);
		if (r < 0)
			break;
		refs->status.generations_kept++;
		r = pl_generation_read_known(ref, n, &record, &cause);
		if (r < 0) {
			r = tell_damaged(refs, r, &cause, error);
			continue;
		}
		r = look_at_tree(refs, &trees, &record.tree, &is_placed);
		pl_record_done(&record);
		if (r < 0)
			pl_fail_sys(error, r, "cannot look at generation %llu of '%s'",
				    (unsigned long long)n, ref->name);
		refs->status.generations_placed += is_placed;
	}
	pl_map_done(&trees);
	return r < 0 ? r : 0;
}

static int list_tags(struct pleach_refs *refs, struct pl_ref *ref, struct pleach_error *error)
{
	struct pl_strings names = {0};
	int r = pl_tag_list(ref, &names, error);

	for (size_t i = 0; r >= 0 && i < names.n; i++) {
		struct pleach_error cause = PLEACH_ERROR_INIT;
		PL_BUFFER line = {0};
		struct pl_tag tag;

		r = pl_tag_read(ref, names.items[i], &tag, &cause);
		if (r < 0) { /* -ENOENT: deleted meanwhile */
			r = tell_damaged(refs, r == -ENOENT ? 0 : r, &cause, error);
			continue;
		}
		pl_buffer_add_format(&line, "%s=%llu", tag.name,
				     (unsigned long long)tag.generation);
		if (!pl_buffer_ok(&line) ||
		    pl_strings_add(&refs->tags, pl_buffer_string(&line)) < 0)
			r = pl_fail_memory(error);
	}
	pl_strings_done(&names);
	return r;
}

/* Of one that is a symlink. */
static enum pl_at_state look_at_symlink(const struct pl_attachment *record)
{
	PL_BUFFER target = {0};
	int r = pl_readlink(AT_FDCWD, record->path, &target);

	if (r == -ENOENT || r == -ENOTDIR)
		return PL_AT_MISSING;
	if (r < 0 || strcmp(pl_buffer_string(&target), record->target) != 0)
		return PL_AT_STRANGE;
	return PL_AT_OK;
}

static int list_attached(struct pleach_refs *refs, struct pl_ref *ref, struct pleach_error *error)
{
	static const char *const states[] = {[PL_AT_OK] = "ok",
					     [PL_AT_BEHIND] = "behind",
					     [PL_AT_MISSING] = "missing",
					     [PL_AT_STRANGE] = "foreign"};
	struct pl_attachment *list;
	size_t n;
	int r;

	/* What a killed command has left, what a reboot has unmounted. What cannot be mended is told. */
	(void)pl_attached_settle(ref, NULL, NULL);
	r = pl_attachment_list(ref, &list, &n, error);
	if (r < 0)
		return r;
	for (size_t i = 0; r >= 0 && i < n; i++) {
		enum pl_at_state state = PL_AT_STRANGE;
		PL_BUFFER line = {0};

		if (strcmp(list[i].mode, "symlink") == 0)
			state = look_at_symlink(&list[i]);
		else if (pl_attached_look(ref, &list[i], &state, NULL) < 0)
			state = PL_AT_STRANGE; /* who may not look there cannot call it ours */

		pl_buffer_add_string(&line, ref->name);
		if (list[i].generation > 0)
			pl_buffer_add_format(&line, "@%llu",
					     (unsigned long long)list[i].generation);
		pl_buffer_add_format(&line, " %s %s ", list[i].mode, states[state]);
		pl_buffer_add_string(&line, list[i].path);
		if (!pl_buffer_ok(&line) ||
		    pl_strings_add(&refs->attached, pl_buffer_string(&line)) < 0)
			r = pl_fail_memory(error);
	}
	pl_attachments_free(list, n);
	return r;
}

/* Transactions that hold the queue or wait. Other users may not see them. */
static int count_queue(struct pleach_refs *refs, struct pl_ref *ref, struct pleach_error *error)
{
	int r = pl_queue_count(ref, &refs->status.queued);

	return r < 0 ? pl_fail_sys(error, r, "cannot read the queue of '%s'", ref->name) : 0;
}

/* ---- listing ---- */

static int fill_in(struct pleach_refs *refs, struct pl_ref *ref, struct pleach_error *error)
{
	struct pleach_error cause = PLEACH_ERROR_INIT;
	struct pl_id head = {{0}};
	int r = tell_damaged(refs, find_head(refs, ref, &head, &cause), &cause, error);

	if (r >= 0)
		r = find_public(refs, ref, &head, error);
	if (r >= 0)
		r = count_generations(refs, ref, error);
	if (r >= 0)
		r = list_tags(refs, ref, error);
	if (r >= 0)
		r = tell_damaged(refs, list_attached(refs, ref, &cause), &cause, error);
	if (r >= 0)
		r = count_queue(refs, ref, error);
	refs->status.tags = pl_strings_list(&refs->tags);
	refs->status.attached = pl_strings_list(&refs->attached);
	return r;
}

static int look_at_ref(struct pleach_refs *refs, const char *name, struct pleach_error *error)
{
	const struct pleach_ref_status empty = PLEACH_REF_STATUS_INIT;
	struct pleach_error cause = PLEACH_ERROR_INIT;
	struct pl_ref ref;
	int r;

	pl_strings_done(&refs->tags);
	pl_strings_done(&refs->attached);
	pl_strings_done(&refs->damaged);
	refs->status = empty;
	refs->status.name = name;
	r = name_public(refs, name, error);
	if (r < 0)
		return r;
	r = pl_ref_open(refs->store, name, &ref, &cause);
	if (r >= 0) {
		r = fill_in(refs, &ref, error);
		pl_ref_close(&ref);
	} else {
		r = tell_damaged(refs, r, &cause, error);
	}
	refs->status.damaged = pl_strings_list(&refs->damaged);
	return r;
}

int pleach_refs_next(struct pleach_refs *refs, struct pleach_ref_status *status,
		     struct pleach_error *error)
{
	pl_assert(refs && status);
	while (refs->at < refs->names.n) {
		const char *name = refs->names.items[refs->at++];
		int r = look_at_ref(refs, name, error);

		if (r ==
		    -ENOENT) { /* dropped meanwhile, or its first publish has not come that far */
			pl_error_clear(error);
			continue;
		}
		if (r < 0)
			return r;
		PL_GIVE(status, refs->status);
		return 1;
	}
	return 0;
}

void pleach_refs_close(struct pleach_refs *refs)
{
	if (!refs)
		return;
	pl_strings_done(&refs->names);
	pl_strings_done(&refs->tags);
	pl_strings_done(&refs->attached);
	pl_strings_done(&refs->damaged);
	pl_buffer_done(&refs->public_path);
	free(refs);
}
