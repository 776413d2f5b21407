/*
 * What merging needs to know that trees alone do not tell: the rules of a ref's setting `merge`, and how a file
 * to which both sides appended is made.
 *
 * M1  Of both additions each is taken whole, the head's first, and only where both sides begin with all that the
 *     base had: compared byte by byte, for a changed file may be longer and hold something else.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "tx/transaction.h"

#define CHUNK (128u << 10)

/* ---- rules ---- */

void pl_merge_rules_done(struct pl_merge_rules *rules)
{
	for (size_t i = 0; i < rules->n; i++)
		pl_globs_done(&rules->rules[i].glob);
	free(rules->rules);
	*rules = (struct pl_merge_rules){0};
}

static bool parse_policy(const char *word, enum pl_merge_policy *ret_policy)
{
	static const char *const words[] = {[PL_MERGE_FAIL] = "fail",
					    [PL_MERGE_APPEND] = "append",
					    [PL_MERGE_OURS] = "ours",
					    [PL_MERGE_THEIRS] = "theirs",
					    [PL_MERGE_IGNORE] = "ignore"};

	for (size_t i = 0; i < PL_ARRAY_LEN(words); i++) {
		if (strcmp(words[i], word) == 0) {
			*ret_policy = (enum pl_merge_policy)i;
			return true;
		}
	}
	return false;
}

/* "GLOB:POLICY" of a setting, whose form was validated when it was set. */
static int add_rule(struct pl_merge_rules *rules, const char *text, size_t length)
{
	PL_BUFFER rule = {0};
	struct pl_merge_rule r = {0};
	char *colon;
	int added;

	pl_buffer_add(&rule, text, length);
	if (!pl_buffer_string(&rule) || PL_ARRAY_GROW(rules->rules, rules->capacity, rules->n) < 0)
		return -ENOMEM;
	colon = strrchr((char *)rule.data, ':');
	if (!colon || !parse_policy(colon + 1, &r.policy))
		return -EINVAL;
	*colon = '\0';
	added = pl_globs_add(&r.glob, (char *)rule.data);
	if (added < 0) {
		pl_globs_done(&r.glob);
		return added;
	}
	rules->has_ignore |= r.policy == PL_MERGE_IGNORE;
	rules->rules[rules->n++] = r;
	return 0;
}

int pl_merge_rules_parse(const char *value, struct pl_merge_rules *ret_rules)
{
	struct pl_merge_rules rules = {0};
	int r = 0;

	for (value += strspn(value, " "); r >= 0 && *value; value += strspn(value, " ")) {
		size_t length = strcspn(value, " ");

		r = add_rule(&rules, value, length);
		value += length;
	}
	if (r < 0) {
		pl_merge_rules_done(&rules);
		return r;
	}
	*ret_rules = rules;
	return 0;
}

enum pl_merge_policy pl_merge_rules_find(const struct pl_merge_rules *rules, const char *path,
					 bool is_dir)
{
	for (size_t i = 0; i < rules->n; i++)
		if (pl_globs_match(&rules->rules[i].glob, path, is_dir))
			return rules->rules[i].policy;
	return PL_MERGE_FAIL;
}

/* ---- appending ---- */

struct merging {
	struct pl_ref *ref;
	struct pl_stage *stage;
	struct pl_merge_rules rules;
	bool is_resolved;
};

/* The object of an entry, named or staged. */
static int open_object(struct pl_stage *stage, const struct pl_entry *entry)
{
	char hex[PL_ID_HEX + 1];
	struct pl_id object;
	int fd;

	pl_entry_object(entry, &object);
	fd = pl_open(stage->objects_fd, pl_id_hex(&object, hex), O_RDONLY);
	return fd == -ENOENT ? pl_store_find(stage->store, 'o', &object) : fd;
}

/* 1: the first `length` bytes of both are equal (M1). */
static int begin_alike(int a, int b, uint64_t length)
{
	PL_BUFFER buffers = {0};
	unsigned char *room = pl_buffer_reserve(&buffers, 2 * CHUNK) ? buffers.data : NULL;

	if (!room)
		return -ENOMEM;
	for (uint64_t at = 0; at < length;) {
		size_t n = length - at < CHUNK ? (size_t)(length - at) : CHUNK;
		ssize_t r = pl_pread_full(a, room, n, at);

		if (r >= 0 && (size_t)r == n)
			r = pl_pread_full(b, room + CHUNK, n, at);
		if (r < 0)
			return (int)r;
		if ((size_t)r != n || memcmp(room, room + CHUNK, n) != 0)
			return 0;
		at += n;
	}
	return 1;
}

static int fail_write(struct merging *m, int r, const char *path, struct pleach_error *error)
{
	pl_fail_sys(error, r, "cannot write '%s/%s' into the store", m->ref->name, path);
	pl_error_path(error, path);
	return r;
}

static void take_later_mtime(struct pl_meta *meta, const struct pl_meta *other)
{
	if (other->mtime_s > meta->mtime_s ||
	    (other->mtime_s == meta->mtime_s && other->mtime_ns > meta->mtime_ns)) {
		meta->mtime_s = other->mtime_s;
		meta->mtime_ns = other->mtime_ns;
	}
}

/* Gives the file that was written its metadata and its place in the stage. */
static int keep(struct merging *m, const char *path, int fd, struct pl_entry *entry,
		struct pleach_error *error)
{
	const char *why = NULL;
	struct pl_id object;
	int r = pl_meta_restore(fd, &entry->meta, PLEACH_FILE, &why);

	if (r < 0) {
		pl_stage_discard(m->stage, path);
		return fail_write(m, r, path, error);
	}
	pl_entry_object(entry, &object);
	r = pl_stage_has_object(m->stage, &object, error);
	if (r == 0) {
		r = pl_stage_keep(m->stage, path, fd, &object, entry->size);
		return r < 0 ? fail_write(m, r, path, error) : 0;
	}
	pl_stage_discard(m->stage, path);
	return r < 0 ? r : 0;
}

static int join(struct merging *m, const char *path, int head, int tx, uint64_t common,
		struct pl_entry *entry, struct pleach_error *error)
{
	PL_CLOSE int fd = -EBADF;
	struct pl_hash *hash = NULL;
	int r = pl_stage_create(m->stage, path, &fd);

	if (r < 0)
		return fail_write(m, r, path, error);
	entry->size = 0;
	r = pl_hash_new(&hash);
	if (r >= 0)
		r = pl_hash_copy(hash, head, 0, fd, &entry->size);
	if (r >= 0)
		r = pl_hash_copy(hash, tx, common, fd, &entry->size);
	if (r >= 0)
		pl_hash_end(hash, &entry->hash);
	pl_hash_free(hash);
	if (r < 0) {
		pl_stage_discard(m->stage, path);
		return fail_write(m, r, path, error);
	}
	return keep(m, path, fd, entry, error);
}

/* 1 where nothing of the base was changed on a side. */
static int only_appended(struct merging *m, const struct pl_entry *base, int side,
			 const struct pl_entry *entry)
{
	PL_CLOSE int fd = -EBADF;

	if (!base || base->size == 0)
		return 1;
	if (entry->size < base->size)
		return 0;
	fd = open_object(m->stage, base);
	return fd < 0 ? fd : begin_alike(fd, side, base->size);
}

static int append(void *self, const char *path, const struct pl_entry *base,
		  const struct pl_entry *head, const struct pl_entry *tx,
		  struct pl_entry *ret_entry, struct pleach_error *error)
{
	struct merging *m = self;
	uint64_t common = base ? base->size : 0;
	PL_CLOSE int head_fd = head->size > 0 ? open_object(m->stage, head) : -EBADF;
	PL_CLOSE int tx_fd = tx->size > 0 ? open_object(m->stage, tx) : -EBADF;
	struct pl_entry entry = *head;
	int r = 1;

	if ((head->size > 0 && head_fd < 0) || (tx->size > 0 && tx_fd < 0))
		return pl_fail_sys(error, head->size > 0 && head_fd < 0 ? head_fd : tx_fd,
				   "cannot read '%s' in the store", path);
	if (common > 0) {
		r = only_appended(m, base, head_fd, head);
		if (r == 1)
			r = only_appended(m, base, tx_fd, tx);
	}
	if (r < 0)
		return pl_fail_sys(error, r, "cannot compare '%s' with what it was", path);
	if (r == 0)
		return 0;
	take_later_mtime(&entry.meta, &tx->meta);
	if (head_fd < 0 || tx->size == common) { /* one of them added nothing */
		*ret_entry = head_fd < 0 ? *tx : *head;
		return 1;
	}
	r = join(m, path, head_fd, tx_fd, common, &entry, error);
	if (r < 0)
		return r;
	*ret_entry = entry;
	return 1;
}

/* ---- objects that merging made ---- */

/* The entry at this path of a tree, if it is a file of this content: 1. It lasts as long as `ret_found`. */
static int find_content(struct merging *m, const struct pl_id *tree, const char *path,
			const struct pl_entry *wanted, struct pl_found *ret_found,
			struct pleach_error *error)
{
	struct pl_node_source nodes = pl_stage_nodes(m->stage);
	int r = pl_lookup(&nodes, tree, path, ret_found, error);

	if (r == -ENOENT || r == -ENOTDIR) {
		pl_error_clear(error);
		return 0;
	}
	if (r < 0)
		return r;
	if (!ret_found->is_dir && ret_found->entry.kind == PLEACH_FILE &&
	    pl_id_equal(&ret_found->entry.hash, &wanted->hash))
		return 1;
	pl_found_done(ret_found);
	return 0;
}

/* The content of `from` again, as `entry` has it: with other metadata it is another object. */
static int copy_object(struct merging *m, const struct pl_entry *from, struct pl_entry *entry,
		       const char *path, struct pleach_error *error)
{
	PL_CLOSE int fd = -EBADF;
	int r = pl_object_copy(m->stage->store, m->stage->objects_fd, from, false,
			       m->stage->objects_fd, "incoming", &fd, error);

	return r < 0 ? r : keep(m, path, fd, entry, error);
}

/* A file whose content came from one side and its metadata from the other has an object that nobody wrote. */
static int complete_object(struct merging *m, const struct pl_id *const sides[2], const char *path,
			   const struct pl_entry *entry, struct pleach_error *error)
{
	struct pl_entry wanted = *entry;
	struct pl_found found;
	struct pl_id object;
	int r;

	if (entry->kind != PLEACH_FILE || entry->size == 0)
		return 0;
	pl_entry_object(entry, &object);
	r = pl_stage_has_object(m->stage, &object, error);
	if (r != 0)
		return r < 0 ? r : 0;
	for (int side = 0; side < 2; side++) {
		r = find_content(m, sides[side], path, entry, &found, error);
		if (r == 0)
			continue;
		if (r > 0) {
			r = copy_object(m, &found.entry, &wanted, path, error);
			pl_found_done(&found);
		}
		return r;
	}
	return pl_fail_corrupt(
		error, "the content of '%s' is in neither tree that it was merged from", path);
}

static int complete_objects(struct merging *m, const struct pl_id *head, const struct pl_id *tx,
			    const struct pl_id *tree, struct pleach_error *error)
{
	const struct pl_id *const sides[2] = {tx, head};
	struct pl_node_source nodes = pl_stage_nodes(m->stage);
	struct pl_difference d;
	struct pl_diff *diff;
	int r = pl_diff_new(&nodes, head, tree, m->ref->store->seed, &diff, error);

	if (r < 0)
		return r;
	while ((r = pl_diff_next(diff, &d, error)) > 0) {
		if (d.after)
			r = complete_object(m, sides, d.path, d.after, error);
		if (r < 0)
			break;
	}
	pl_diff_free(diff);
	return r < 0 ? r : 0;
}

/* ---- the merge ---- */

static enum pl_merge_policy policy(void *self, const char *path, bool is_dir)
{
	const struct merging *m = self;

	/* The root has no name that a pattern could match. */
	enum pl_merge_policy found =
		*path ? pl_merge_rules_find(&m->rules, path, is_dir) : PL_MERGE_FAIL;

	return found == PL_MERGE_FAIL && m->is_resolved ? PL_MERGE_THEIRS : found;
}

int pl_merging_run(struct pl_ref *ref, struct pl_stage *stage, const struct pl_id *base,
		   const struct pl_id *head, const struct pl_id *tx, bool is_resolved,
		   struct pl_id *ret_tree, struct pl_conflicts *ret_conflicts,
		   struct pleach_error *error)
{
	struct merging m = {.ref = ref, .stage = stage, .is_resolved = is_resolved};
	const char *value = pl_values_get(&ref->values, "merge");
	struct pl_merge merge = {.source = pl_stage_nodes(stage),
				 .sink = pl_stage_sink(stage),
				 .base = *base,
				 .head = *head,
				 .tx = *tx,
				 .seed = ref->store->seed,
				 .append = append,
				 .self = &m};
	int r = 0;

	if (!value)
		value = pl_values_get(&ref->store->values, "merge");
	if (value)
		r = pl_merge_rules_parse(value, &m.rules);
	if (r < 0)
		return pl_fail(error, PLEACH_CORRUPT, -EBADMSG,
			       "the setting 'merge' of '%s' is damaged", ref->name);
	if (m.rules.n > 0 || is_resolved)
		merge.policy = policy;
	if (!m.rules.has_ignore && pl_id_equal(base, head))
		*ret_tree = *tx; /* nothing to merge with */
	else
		r = pl_merge_run(&merge, ret_tree, ret_conflicts, error);
	if (r == 0 && !pl_id_equal(ret_tree, tx))
		r = complete_objects(&m, head, tx, ret_tree, error);
	pl_merge_rules_done(&m.rules);
	return r;
}
