/*
 * flat - trees as plain lists of paths, made at random, so that what the library computes from nodes
 * can be held against what is computed from lists by the simplest means. Header only, for the tests of
 * diff and graft.
 *
 * Names are few and of bytes around '/', so that trees overlap and the order of paths is not that of
 * their bytes. A list is always in the order of pl_path_compare(), the root ("") first.
 *
 * Every case has a seed. PLEACH_SEED=N in the environment runs just that one.
 */
#ifndef FLAT_H
#define FLAT_H

#include "memory_store.h"

#define FLAT_MAX      100
#define FLAT_PATH_MAX 96

struct flat_thing {
	char path[FLAT_PATH_MAX];
	char kind;
	unsigned content, mode, mtime, owner;
	unsigned group; /* those with the same number are one; 0: none */
};
struct flat {
	struct flat_thing things[FLAT_MAX];
	size_t n; /* 0: there is not even a root */
};

static inline uint64_t flat_random(uint64_t *random, uint64_t below)
{
	*random = *random * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (*random >> 33) % below;
}

static inline int flat_compare(const void *a, const void *b)
{
	return pl_path_compare(((const struct flat_thing *)a)->path,
			       ((const struct flat_thing *)b)->path);
}

static inline struct flat_thing *flat_find(struct flat *flat, const char *path)
{
	for (size_t i = 0; i < flat->n; i++) {
		if (strcmp(flat->things[i].path, path) == 0)
			return &flat->things[i];
	}
	return NULL;
}

static inline void flat_add(struct flat *flat, const struct flat_thing *thing)
{
	assert_true(flat->n < FLAT_MAX);
	flat->things[flat->n++] = *thing;
	qsort(flat->things, flat->n, sizeof(*thing), flat_compare);
}

/* Takes out what is at the path and below it. */
static inline void flat_remove(struct flat *flat, const char *path)
{
	size_t kept = 0;

	for (size_t i = 0; i < flat->n; i++) {
		if (!pl_path_is_below(flat->things[i].path, path))
			flat->things[kept++] = flat->things[i];
	}
	flat->n = kept;
}

/* Members of a group are equal to its first; who is alone is in none. */
static inline void flat_settle_groups(struct flat *flat)
{
	for (size_t i = 0; i < flat->n; i++) {
		struct flat_thing *first = &flat->things[i];
		size_t n = 1;

		if (first->kind == 'd')
			first->group = 0;
		if (first->group == 0)
			continue;
		for (size_t k = 0; k < flat->n; k++) {
			struct flat_thing *other = &flat->things[k];

			if (k == i || other->group != first->group || other->kind == 'd')
				continue;
			n++;
			if (k < i)
				continue; /* made equal when it was the first */
			other->kind = first->kind;
			other->content = first->content;
			other->mode = first->mode;
			other->mtime = first->mtime;
			other->owner = first->owner;
		}
		if (n == 1)
			first->group = 0;
	}
}

static inline void flat_touch(struct flat_thing *thing, uint64_t *random)
{
	static const char kinds[] = "ffffflpscb";

	switch (flat_random(random, 6)) {
	case 0:
		thing->mode = (unsigned)flat_random(random, 2);
		break;
	case 1:
		thing->mtime = (unsigned)flat_random(random, 2);
		break;
	case 2:
		thing->owner = (unsigned)flat_random(random, 2);
		break;
	case 3:
		if (thing->kind != 'd')
			thing->kind = kinds[flat_random(random, sizeof(kinds) - 1)];
		break;
	case 4:
		thing->group = (unsigned)flat_random(random, 4);
		break;
	default:
		thing->content = (unsigned)flat_random(random, 3);
		break;
	}
}

static inline const struct flat_thing *flat_any_directory(const struct flat *flat, uint64_t *random)
{
	size_t at = flat_random(random, flat->n);

	while (flat->things[at].kind != 'd')
		at--;
	return &flat->things[at];
}

/* A new thing in some directory, unless the name is taken. */
static inline void flat_grow(struct flat *flat, uint64_t *random)
{
	static const char *const names[] = {"a", "a!", "a-b", "a0", "b", "\xff"};
	const struct flat_thing *parent = flat_any_directory(flat, random);
	const char *name = names[flat_random(random, PL_ARRAY_LEN(names))];
	struct flat_thing thing = {.kind = flat_random(random, 5) < 2 ? 'd' : 'f'};
	size_t length = strlen(parent->path);

	if (length + 8 > FLAT_PATH_MAX || flat->n == FLAT_MAX)
		return;
	snprintf(thing.path, sizeof(thing.path), "%s%s%s", parent->path, length > 0 ? "/" : "",
		 name);
	if (flat_find(flat, thing.path))
		return;
	if (flat_random(random, 3) == 0)
		flat_touch(&thing, random);
	if (flat_random(random, 2) == 0)
		thing.group = (unsigned)flat_random(random, 4);
	flat_add(flat, &thing);
}

static inline void flat_make(struct flat *flat, size_t tries, uint64_t *random)
{
	*flat = (struct flat){.n = 1};
	flat->things[0].kind = 'd';
	flat_touch(&flat->things[0], random);
	for (size_t i = 0; i < tries; i++)
		flat_grow(flat, random);
	flat_settle_groups(flat);
}

/* Changes groups and nothing else: a thing leaves its group, and may go to one of things like it. */
static inline void flat_regroup(struct flat *flat, uint64_t *random)
{
	struct flat_thing *thing = &flat->things[flat_random(random, flat->n)];
	size_t at = flat_random(random, flat->n);

	thing->group = 0;
	for (size_t i = 0; i < flat->n && flat_random(random, 4) > 0; i++) {
		struct flat_thing *other = &flat->things[(at + i) % flat->n];

		if (other == thing || other->kind == 'd' || other->kind != thing->kind ||
		    other->content != thing->content || other->mode != thing->mode ||
		    other->mtime != thing->mtime || other->owner != thing->owner)
			continue;
		if (other->group == 0)
			other->group = 1000 + (unsigned)flat_random(random, 1000000);
		thing->group = other->group;
		return;
	}
}

/* Something else that is much the same. */
static inline void flat_change(struct flat *flat, size_t times, uint64_t *random)
{
	for (size_t i = 0; i < times; i++) {
		size_t at = flat_random(random, flat->n);
		struct flat_thing thing = flat->things[at];

		switch (flat_random(random, 8)) {
		case 0:
			flat_grow(flat, random);
			break;
		case 1:
			if (at != 0)
				flat_remove(flat, thing.path);
			break;
		case 2:
			/* A directory instead of something else, or the other way round. */
			if (at == 0 || flat_random(random, 3) > 0)
				break;
			flat_remove(flat, thing.path);
			thing.kind = thing.kind == 'd' ? 'f' : 'd';
			flat_add(flat, &thing);
			break;
		case 3:
			flat_touch(&flat->things[at], random);
			break;
		case 4:
			flat_grow(flat, random);
			break;
		default:
			flat_regroup(flat, random);
			break;
		}
	}
	flat_settle_groups(flat);
}

/* ---- into the store ---- */

static inline void flat_text_thing(struct pl_buffer *b, const struct flat_thing *thing)
{
	pl_buffer_add_format(b, "%c %s", thing->kind, *thing->path ? thing->path : ".");
	if (thing->kind == 'f' && thing->content == 0)
		pl_buffer_add_string(b, " -");
	else if (thing->kind == 'f' || thing->kind == 'l')
		pl_buffer_add_format(b, " content%u", thing->content);
	else if (thing->kind == 'c' || thing->kind == 'b')
		pl_buffer_add_format(b, " %u 7", thing->content);
	if (thing->kind != 'l')
		pl_buffer_add_string(b, thing->mode ? " 0700" : " 0755");
	if (thing->mtime)
		pl_buffer_add_format(b, " mtime=%u", thing->mtime);
	if (thing->owner)
		pl_buffer_add_format(b, " owner=%u", thing->owner);
	pl_buffer_add_u8(b, '\n');
}

static inline void flat_text_groups(struct pl_buffer *b, const struct flat *flat)
{
	for (size_t i = 0; i < flat->n; i++) {
		const struct flat_thing *first = &flat->things[i];
		bool is_first = first->group != 0;

		for (size_t k = 0; k < i; k++)
			is_first = is_first && flat->things[k].group != first->group;
		if (!is_first)
			continue;
		pl_buffer_add_string(b, "g");
		for (size_t k = i; k < flat->n; k++) {
			if (flat->things[k].group == first->group)
				pl_buffer_add_format(b, " %s", flat->things[k].path);
		}
		pl_buffer_add_u8(b, '\n');
	}
}

/* As memory_store_tree() takes it; the caller frees it. */
static inline char *flat_text(const struct flat *flat)
{
	struct pl_buffer b = {0};
	char *text;

	for (size_t i = 0; i < flat->n; i++)
		flat_text_thing(&b, &flat->things[i]);
	flat_text_groups(&b, flat);
	text = pl_buffer_take_string(&b);
	assert_non_null(text);
	return text;
}

static inline struct pl_id flat_tree(struct memory_store *store, const struct flat *flat)
{
	char *text = flat_text(flat);
	struct pl_id id = memory_store_tree(store, text);

	free(text);
	return id;
}

/* ---- running cases ---- */

/* Runs `check` for the seeds from 1 to `n`, or for the one in the environment; 0: it passed. */
static inline void flat_run(const char *what, size_t n, int (*check)(uint64_t seed))
{
	const char *given = getenv("PLEACH_SEED");
	uint64_t first = 1;

	if (given) {
		assert_int_equal(pl_parse_u64(given, UINT64_MAX, &first), 0);
		n = 1;
	}
	print_message("# %s: seeds %llu to %llu\n", what, (unsigned long long)first,
		      (unsigned long long)(first + n - 1));
	for (size_t i = 0; i < n; i++) {
		if (check(first + i) != 0)
			fail_msg("%s: PLEACH_SEED=%llu runs just this case", what,
				 (unsigned long long)(first + i));
	}
}

/* 0 if the texts are equal, else both are shown. */
static inline int flat_same(const char *got, const char *expected)
{
	if (strcmp(got, expected) == 0)
		return 0;
	print_message("got:\n%s\nexpected:\n%s\n", got, expected);
	return 1;
}

/* ---- deep trees ---- */

/* The entry of a directory, by its node. */
static inline struct pl_entry flat_entry(struct memory_store *store, const char *name,
					 const struct pl_id *id)
{
	struct pl_entry entry = {.kind = 'd', .name = name, .hash = *id};
	struct pl_node_source source = memory_store_source(store);
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pl_node node;

	entry.name_length = (uint8_t)strlen(name);
	assert_int_equal(pl_node_read(&source, id, &node, &error), 0);
	assert_int_equal(pl_node_totals(&source, &node, &entry.totals, &error), 0);
	pl_node_done(&node);
	return entry;
}

/* The entry of an empty file, for directories that are made by hand. */
static inline struct pl_entry flat_file(const char *name)
{
	return (struct pl_entry){
		.kind = 'f',
		.name = name,
		.name_length = (uint8_t)strlen(name),
		.meta = {.mode = 0644, .uid = PLEACH_NO_OWNER, .gid = PLEACH_NO_OWNER},
		.hash = pl_hash_empty,
	};
}

/* A directory of these entries and groups; the groups are used up. */
static inline struct pl_id flat_node(struct memory_store *store, const struct pl_entry *entries,
				     size_t n, struct pl_groups *groups)
{
	struct pl_meta meta = {.mode = 0755, .uid = PLEACH_NO_OWNER, .gid = PLEACH_NO_OWNER};
	struct pl_node_sink sink = memory_store_sink(store);
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pl_groups none = {0};
	struct pl_node_builder builder;
	struct pl_buffer bytes = {0};
	struct pl_totals totals;
	struct pl_id id;

	pl_node_builder_init(&builder);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(pl_node_builder_add(&builder, &entries[i]), 0);
	assert_int_equal(pl_node_builder_end(&builder, &meta, groups ? groups : &none, &sink,
					     &bytes, &id, &totals, &error),
			 0);
	memory_store_put(store, bytes.data, bytes.length);
	pl_node_builder_done(&builder);
	pl_buffer_done(&bytes);
	if (groups)
		pl_groups_done(groups);
	return id;
}

/* The tree `id` below `depth` directories named "d". */
static inline struct pl_id flat_deepen(struct memory_store *store, struct pl_id id, size_t depth)
{
	for (size_t i = 0; i < depth; i++) {
		struct pl_entry entry = flat_entry(store, "d", &id);

		id = flat_node(store, &entry, 1, NULL);
	}
	return id;
}

/* "d/d/.../name", which the caller frees. */
static inline char *flat_deep_path(size_t depth, const char *name)
{
	struct pl_buffer b = {0};
	char *path;

	for (size_t i = 0; i < depth; i++)
		pl_path_push(&b, "d", 1);
	if (*name)
		pl_path_push(&b, name, strlen(name));
	path = pl_buffer_take_string(&b);
	assert_non_null(path);
	return path;
}

#endif
