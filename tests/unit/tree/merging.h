/*
 * merging - runs a merge of trees in memory, with policies from a text, and says what came of it. Header
 * only, for the tests of merge.
 *
 * Policies: "GLOB:POLICY GLOB:POLICY...", the first whose glob (fnmatch) matches the path.
 */
#ifndef MERGING_H
#define MERGING_H

#include <fnmatch.h>

#include "flat.h"

struct merging {
	struct memory_store *store;
	const char *policies; /* NULL: the merge has no policy at all */
	size_t n_appends;
};

static inline enum pl_merge_policy merging_policy(void *self, const char *path, bool is_dir)
{
	static const char *const names[] = {"fail", "append", "ours", "theirs", "ignore"};
	const struct merging *merging = self;
	enum pl_merge_policy found = PL_MERGE_FAIL;
	char *copy = strdup(merging->policies), *save = NULL;

	assert_non_null(copy);
	for (char *word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
		char *colon = strchr(word, ':');

		assert_non_null(colon);
		*colon = '\0';
		if (fnmatch(word, path, 0) != 0)
			continue;
		for (size_t i = 0; i < PL_ARRAY_LEN(names); i++) {
			if (strcmp(names[i], colon + 1) == 0)
				found = (enum pl_merge_policy)i;
		}
		break;
	}
	free(copy);
	(void)is_dir;
	return found;
}

static inline bool merging_has_grown(const struct memory_item *from, const struct memory_item *to)
{
	return to->length >= from->length && memcmp(from->data, to->data, from->length) == 0;
}

static inline int merging_append(void *self, const char *path, const struct pl_entry *base,
				 const struct pl_entry *head, const struct pl_entry *tx,
				 struct pl_entry *ret_entry, struct pleach_error *error)
{
	struct merging *merging = self;
	const struct memory_item *b, *h, *t;
	struct pl_buffer bytes = {0};

	(void)error;
	assert_true(*path != '\0');
	merging->n_appends++;
	memory_store_put(merging->store, "", 0);
	b = memory_store_get(merging->store, &base->hash);
	h = memory_store_get(merging->store, &head->hash);
	t = memory_store_get(merging->store, &tx->hash);
	assert_true(b && h && t);
	if (!merging_has_grown(b, h) || !merging_has_grown(b, t))
		return 0;
	pl_buffer_add(&bytes, h->data, h->length);
	pl_buffer_add(&bytes, t->data + b->length, t->length - b->length);
	*ret_entry = *head;
	ret_entry->size = bytes.length;
	ret_entry->hash = memory_store_put(merging->store, bytes.data, bytes.length);
	if (tx->meta.mtime_s > head->meta.mtime_s)
		ret_entry->meta.mtime_s = tx->meta.mtime_s;
	pl_buffer_done(&bytes);
	return 1;
}

/* What pl_merge_run() answers; conflicts as "PATH HEAD/TX\n" each, in `ret_conflicts` (the caller's). */
static inline int merging_run(struct memory_store *store, const char *policies,
			      const struct pl_id ids[3], struct pl_id *ret_tree,
			      char **ret_conflicts)
{
	struct merging merging = {.store = store, .policies = policies};
	struct pl_merge merge = {
		.source = memory_store_source(store),
		.sink = memory_store_sink(store),
		.base = ids[0],
		.head = ids[1],
		.tx = ids[2],
		.seed = 1,
		.policy = policies ? merging_policy : NULL,
		.append = policies ? merging_append : NULL,
		.self = &merging,
	};
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pl_conflicts conflicts = {0};
	struct pl_buffer text = {0};
	int r = pl_merge_run(&merge, ret_tree, &conflicts, &error);

	if (r < 0)
		print_message("# merging: %s\n", error.message);
	assert_int_equal(r > 0, conflicts.n > 0);
	for (size_t i = 0; i < conflicts.n; i++) {
		const struct pl_conflict *c = &conflicts.items[i];

		pl_buffer_add_format(&text, "%s %s/%s\n", *c->path ? c->path : ".", c->head, c->tx);
		if (i > 0)
			assert_true(pl_path_compare(c[-1].path, c->path) < 0);
	}
	*ret_conflicts = pl_buffer_take_string(&text);
	if (!*ret_conflicts)
		*ret_conflicts = strdup("");
	assert_non_null(*ret_conflicts);
	pl_conflicts_done(&conflicts);
	return r;
}

#endif
