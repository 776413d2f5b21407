/*
 * pleach_tag*(): names for generations.
 */
#include <stdio.h>
#include <stdlib.h>

#include "api/inner.h"

struct pleach_tags {
	struct pl_ref ref;
	struct pl_strings names;
	size_t at;
	struct pl_tag tag;
};

int pleach_tags_open(struct pleach_store *store, const char *ref, struct pleach_tags **ret_tags,
		     struct pleach_error *error)
{
	struct pleach_tags *tags = calloc(1, sizeof(*tags));
	uint64_t head;
	int r;

	pl_assert(store && ref && ret_tags);
	if (!tags)
		return pl_fail_memory(error);
	r = pl_ref_open(store->inner, ref, &tags->ref, error);
	if (r < 0) {
		free(tags);
		return r;
	}
	r = pl_ref_settle(&tags->ref, NULL, &head, error);
	if (r >= 0 && head == 0)
		r = pl_fail_not_found(error, "no ref '%s' in this store", ref);
	if (r >= 0)
		r = pl_tag_list(&tags->ref, &tags->names, error);
	if (r < 0) {
		pleach_tags_close(tags);
		return r;
	}
	*ret_tags = tags;
	return 0;
}

int pleach_tags_next(struct pleach_tags *tags, struct pleach_tag *tag, struct pleach_error *error)
{
	struct pleach_tag t = PLEACH_TAG_INIT;

	pl_assert(tags && tag);
	while (tags->at < tags->names.n) {
		int r = pl_tag_read(&tags->ref, tags->names.items[tags->at++], &tags->tag, error);

		if (r == -ENOENT) { /* deleted meanwhile */
			pl_error_clear(error);
			continue;
		}
		if (r < 0)
			return r;
		t.name = tags->tag.name;
		t.generation = tags->tag.generation;
		PL_GIVE(tag, t);
		return 1;
	}
	return 0;
}

void pleach_tags_close(struct pleach_tags *tags)
{
	if (!tags)
		return;
	pl_strings_done(&tags->names);
	pl_ref_close(&tags->ref);
	free(tags);
}

/* `rev` must be a generation of `ref`, as a whole. */
static int find_generation(struct pl_store *store, const char *ref, const char *rev,
			   struct pl_rev *ret_rev, struct pleach_error *error)
{
	struct pl_rev found;
	int r;

	if (!pl_ref_name_is_valid(ref))
		return pl_fail_usage(error, "'%s' is no name for a ref", ref);
	r = pl_rev_resolve(store, rev ? rev : ref, ref, &found, error);
	if (r < 0)
		return r;
	if (!found.has_ref || strcmp(found.ref.name, ref) != 0) {
		r = pl_fail_usage(error, "'%s' is no generation of '%s'", rev, ref);
		pl_hint(error, "a tag names a generation of its own ref: @N, or %s@N", ref);
	} else if (found.path) {
		r = pl_fail_usage(error, "'%s': a tag names a whole generation", rev);
	}
	if (r < 0) {
		pl_rev_done(&found);
		return r;
	}
	found.path = NULL;
	*ret_rev = found;
	return 0;
}

int pleach_tag_set(struct pleach_store *store, const char *ref, const char *name, const char *rev,
		   int force, struct pleach_error *error)
{
	char what[PLEACH_REF_MAX + 16];
	struct pl_txdir tx;
	struct pl_rev found = {0};
	unsigned n;
	int r;

	pl_assert(store && ref && name);
	r = pl_store_must_write(store->inner, error);
	if (r < 0)
		return r;
	snprintf(what, sizeof(what), "tag %.100s", ref);
	r = pl_txdir_begin(store->inner, what, &tx, error);
	if (r < 0)
		return r;
	pl_txdir_recover(store->inner, &tx, &n, NULL);
	r = find_generation(store->inner, ref, rev, &found, error);
	if (r >= 0) {
		r = pl_tag_set(&found.ref, &tx, name, found.generation, force != 0, error);
		pl_rev_done(&found);
	}
	pl_txdir_end(&tx);
	return r;
}

int pleach_tag_delete(struct pleach_store *store, const char *ref, const char *name,
		      struct pleach_error *error)
{
	struct pl_ref open;
	uint64_t head;
	int r;

	pl_assert(store && ref && name);
	r = pl_store_must_write(store->inner, error);
	if (r >= 0)
		r = pl_ref_open(store->inner, ref, &open, error);
	if (r < 0)
		return r;
	r = pl_ref_settle(&open, NULL, &head, error);
	if (r >= 0)
		r = pl_tag_delete(&open, name, error);
	pl_ref_close(&open);
	return r;
}
