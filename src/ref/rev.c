/*
 * Revisions: `ref`, `ref@N`, `ref@-K`, `ref@TAG`, `tree:HEX`, each with an optional `:path`.
 */
#include <stdio.h>

#include "ref/ref.h"

#define HEX_MIN 8

static int fail_form(const char *rev, struct pleach_error *error)
{
	pl_fail_usage(error, "'%s' is no revision", rev);
	pl_hint(error,
		"a revision is REF, REF@N, REF@-K (K before the head), REF@TAG or tree:HEX, and "
		"may end in :PATH");
	return -EINVAL;
}

/* tree:HEX, by a unique prefix of at least HEX_MIN digits. */
static int find_tree(struct pl_store *store, const char *hex, struct pl_id *ret_tree,
		     struct pleach_error *error)
{
	struct pl_listing listing = {0};
	unsigned found = 0;
	int r;

	if (pl_id_parse(hex, ret_tree) == 0) {
		char whole[PL_ID_HEX + 1];

		r = pl_exists(store->trees_fd, pl_id_hex(ret_tree, whole));
		if (r < 0)
			return pl_fail_sys(error, r, "cannot look for tree %s", hex);
		return r > 0 ? 0 : pl_fail_not_found(error, "no tree %s in this store", hex);
	}
	if (strlen(hex) < HEX_MIN || strlen(hex) > PL_ID_HEX || !pl_is_hex(hex, strlen(hex)))
		return pl_fail_usage(error, "'tree:%s': at least %d hexadecimal digits, lower case",
				     hex, HEX_MIN);
	if (!store->is_owner && pl_store_must_read(store, error) < 0) {
		pl_hint(error, "name it by REF@N, or by all %d digits", PL_ID_HEX);
		return -EACCES;
	}
	r = pl_list(store->trees_fd, &listing);
	for (size_t i = 0; r >= 0 && i < listing.n; i++)
		if (strncmp(listing.entries[i].name, hex, strlen(hex)) == 0 &&
		    pl_tree_is_entry(store, &listing.entries[i], ret_tree))
			found++;
	pl_listing_done(&listing);
	if (r < 0)
		return pl_fail_sys(error, r, "cannot look for tree %s", hex);
	if (found == 1)
		return 0;
	return pl_fail_not_found(error,
				 found ? "tree:%s is not unique" : "no tree %s in this store", hex);
}

/* What is behind the @ as a number: 1 and the number, 0 if it is a tag. */
static int parse_number(const char *at, uint64_t head, uint64_t *ret_n)
{
	uint64_t k;

	if (at[0] == '-' && pl_parse_u64(at + 1, UINT64_MAX / 4, &k) == 0) {
		*ret_n = k < head ? head - k : 0;
		return 1;
	}
	return pl_parse_u64(at, UINT64_MAX / 4, ret_n) == 0;
}

static int find_generation(struct pl_rev *rev, const char *at, struct pleach_error *error)
{
	struct pl_tag tag;
	uint64_t n = rev->head;
	int r;

	if (at && !parse_number(at, rev->head, &n)) {
		if (!pl_ref_name_is_valid(at))
			return pl_fail_usage(error, "'%s' is neither a number nor a tag", at);
		r = pl_tag_read(&rev->ref, at, &tag, error);
		if (r < 0)
			return r;
		n = tag.generation;
	}
	if (n == 0 && at && at[0] == '-')
		return pl_fail_not_found(error,
					 "'%s' has no generation %s before its head, which is %llu",
					 rev->ref.name, at + 1, (unsigned long long)rev->head);
	if (n == 0 || n > rev->head)
		return pl_fail_not_found(error, "'%s' has no generation %s: the head is %llu",
					 rev->ref.name, at ? at : "yet",
					 (unsigned long long)rev->head);
	rev->generation = n;
	return 0;
}

static int read_tree(struct pl_rev *rev, struct pleach_error *error)
{
	struct pl_record record;
	int r = pl_generation_is_dropped(&rev->ref, rev->generation);

	if (r > 0)
		return pl_fail_not_found(error, "generation %llu of '%s' was dropped",
					 (unsigned long long)rev->generation, rev->ref.name);
	if (r < 0)
		return pl_fail_sys(error, r, "cannot look at ref '%s'", rev->ref.name);
	r = pl_generation_read(&rev->ref, rev->generation, &record, error);
	if (r < 0)
		return r;
	rev->tree = record.tree;
	pl_record_done(&record);
	return 0;
}

static int resolve_ref(struct pl_store *store, const char *name, const char *at, struct pl_rev *rev,
		       struct pleach_error *error)
{
	int r = pl_ref_open(store, name, &rev->ref, error);

	if (r < 0)
		return r;
	rev->has_ref = true;
	r = pl_ref_settle(&rev->ref, NULL, &rev->head, error);
	if (r >= 0 && rev->head == 0)
		return pl_fail_not_found(error, "no ref '%s' in this store", name);
	if (r >= 0)
		r = find_generation(rev, at, error);
	return r < 0 ? r : read_tree(rev, error);
}

int pl_rev_resolve(struct pl_store *store, const char *spec, const char *in_ref,
		   struct pl_rev *ret_rev, struct pleach_error *error)
{
	struct pl_rev rev = {.ref = {.fd = -EBADF, .gen_fd = -EBADF, .lock_fd = -EBADF}};
	bool is_tree = strncmp(spec, "tree:", 5) == 0;
	const char *colon = strchr(is_tree ? spec + 5 : spec, ':'), *at;
	PL_BUFFER name = {0};
	int r;

	if (in_ref && spec[0] == '@')
		pl_buffer_add_string(&name, in_ref);
	pl_buffer_add(&name, spec, colon ? (size_t)(colon - spec) : strlen(spec));
	if (!pl_buffer_ok(&name))
		return pl_fail_memory(error);
	rev.path = colon ? colon + 1 : NULL;
	if (name.length == 0)
		return fail_form(spec, error);
	if (is_tree) {
		r = find_tree(store, pl_buffer_string(&name) + 5, &rev.tree, error);
	} else {
		char *sign = strchr((char *)name.data, '@');

		at = sign ? sign + 1 : NULL;
		if (sign)
			*sign = '\0';
		if (!pl_ref_name_is_valid((char *)name.data) || (at && at[0] == '\0'))
			return fail_form(spec, error);
		r = resolve_ref(store, (char *)name.data, at, &rev, error);
	}
	if (r < 0) {
		pl_rev_done(&rev);
		return r;
	}
	*ret_rev = rev;
	return 0;
}

void pl_rev_done(struct pl_rev *rev)
{
	if (rev->has_ref)
		pl_ref_close(&rev->ref);
	rev->has_ref = false;
}
