/*
 * memory_store - nodes, blocks and contents in memory, by id: a pl_node_source and a pl_node_sink for
 * tests, and trees from texts and back. Header only, included by one test program each.
 *
 * A text is a line for each thing; its paths are from the root, directories above are made with mode
 * 0755 where no line names them, and order does not matter:
 *
 *	f PATH CONTENT [ATTRIBUTE...]	regular file; the content "-" is no byte at all
 *	d PATH [ATTRIBUTE...]		directory; PATH "." is the root
 *	l PATH TARGET [ATTRIBUTE...]
 *	p PATH | s PATH			FIFO, socket
 *	c PATH MAJOR MINOR | b PATH MAJOR MINOR
 *	g PATH PATH...			a group; it goes to the directory where it belongs
 *
 * Attributes: 0600 (a mode in octal), mtime=SECONDS, owner=UID (the gid as well), x:NAME=VALUE (one
 * xattr; several must be sorted). Default: 0644 for files and the rest, 0755 for directories, 0777 for
 * symlinks, no owner recorded, mtime 0.
 *
 * memory_store_dump() says a tree in the same lines, in the order of the walk and with every
 * directory but the root, whose line stands first ("d . 0755"); attributes only where they are no
 * defaults, but modes always, but of symlinks; groups behind the rest, by their first member.
 */
#ifndef MEMORY_STORE_H
#define MEMORY_STORE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tree/tree.h"

struct memory_item {
	struct pl_id id;
	unsigned char *data;
	size_t length;
};
struct memory_store {
	struct pl_map index; /* id: position in items */
	struct memory_item *items;
	size_t n, capacity;
	size_t n_reads, n_writes; /* calls of source and sink so far */
	size_t fail_read_at;	  /* the read with this number, from 1, fails with -EIO; 0: none */
	size_t fail_write_at;
};

static inline void memory_store_init(struct memory_store *store)
{
	*store = (struct memory_store){0};
	pl_map_init(&store->index, sizeof(struct pl_id), 1);
}

static inline void memory_store_done(struct memory_store *store)
{
	for (size_t i = 0; i < store->n; i++)
		free(store->items[i].data);
	free(store->items);
	pl_map_done(&store->index);
}

/* NULL if there is none. */
static inline struct memory_item *memory_store_get(const struct memory_store *store,
						   const struct pl_id *id)
{
	uint64_t *at = pl_map_get(&store->index, id);

	return at ? &store->items[*at] : NULL;
}

/* Stores bytes, well-formed or not, under their hash. */
static inline struct pl_id memory_store_put(struct memory_store *store, const void *data,
					    size_t length)
{
	struct memory_item *item;
	struct pl_id id;

	pl_hash_of(data, length, &id);
	if (memory_store_get(store, &id))
		return id;
	assert_int_equal(PL_ARRAY_GROW(store->items, store->capacity, store->n), 0);
	item = &store->items[store->n];
	*item = (struct memory_item){.id = id, .data = malloc(length + 1), .length = length};
	assert_non_null(item->data);
	if (length > 0)
		memcpy(item->data, data, length);
	assert_int_equal(pl_map_put(&store->index, &id, store->n++), 0);
	return id;
}

/* From now on `id` is not there. */
static inline void memory_store_forget(struct memory_store *store, const struct pl_id *id)
{
	struct memory_item *item = memory_store_get(store, id);

	assert_non_null(item);
	item->length = SIZE_MAX;
}

static inline int memory_store_read(void *self, const struct pl_id *id, struct pl_buffer *b,
				    struct pleach_error *error)
{
	struct memory_store *store = self;
	const struct memory_item *item = memory_store_get(store, id);
	char hex[PL_ID_HEX + 1];

	store->n_reads++;
	if (store->n_reads == store->fail_read_at)
		return pl_fail_sys(error, -EIO, "node %s", pl_id_hex(id, hex));
	if (!item || item->length == SIZE_MAX)
		return pl_fail_not_found(error, "node %s is missing", pl_id_hex(id, hex));
	pl_buffer_add(b, item->data, item->length);
	return pl_buffer_ok(b) ? 0 : pl_fail_memory(error);
}

static inline int memory_store_write(void *self, const struct pl_id *id, const void *data,
				     size_t length, struct pleach_error *error)
{
	struct memory_store *store = self;
	struct pl_id stored;

	store->n_writes++;
	if (store->n_writes == store->fail_write_at)
		return pl_fail_sys(error, -EIO, "cannot write a node");
	stored = memory_store_put(store, data, length);
	assert_true(pl_id_equal(id, &stored));
	return 0;
}

static inline struct pl_node_source memory_store_source(struct memory_store *store)
{
	return (struct pl_node_source){.read = memory_store_read, .self = store};
}

static inline struct pl_node_sink memory_store_sink(struct memory_store *store)
{
	return (struct pl_node_sink){.write = memory_store_write, .self = store};
}

/* ---- trees from texts ---- */

/* One line, or a directory that no line names. */
struct memory_line {
	char kind;
	const char *path; /* "" is the root; of a group the first member */
	const char *parent;
	size_t depth; /* of a directory: names in its path; else SIZE_MAX */
	struct pl_entry entry;
	struct pl_buffer xattrs;
	char **members; /* of a group, from the root; `parent` is where it belongs */
	size_t n_members;
};
struct memory_text {
	struct memory_line *lines;
	size_t n, capacity;
	struct pl_strings strings; /* what the lines point to */
};

/* A copy that lives as long as the text. */
static inline const char *memory_text_keep(struct memory_text *text, const char *from,
					   size_t length)
{
	char *copy = strndup(from, length);

	assert_non_null(copy);
	assert_int_equal(pl_strings_add(&text->strings, copy), 0);
	free(copy);
	return text->strings.items[text->strings.n - 1];
}

static inline struct memory_line *memory_text_find(struct memory_text *text, const char *path)
{
	for (size_t i = 0; i < text->n; i++) {
		if (text->lines[i].kind != 'g' && strcmp(text->lines[i].path, path) == 0)
			return &text->lines[i];
	}
	return NULL;
}

static inline struct memory_line *memory_text_add(struct memory_text *text, char kind,
						  const char *path)
{
	const char *slash = strrchr(path, '/');
	struct memory_line *line;

	assert_true(*path == '\0' || pl_path_is_valid(path));
	assert_int_equal(PL_ARRAY_GROW(text->lines, text->capacity, text->n), 0);
	line = &text->lines[text->n++];
	*line = (struct memory_line){.kind = kind, .depth = SIZE_MAX};
	line->path = memory_text_keep(text, path, strlen(path));
	line->parent = memory_text_keep(text, path, slash ? (size_t)(slash - path) : 0);
	line->entry = (struct pl_entry){
		.kind = kind,
		.name = line->path + (slash ? slash - path + 1 : 0),
		.meta = {.mode = kind == 'd'   ? 0755
				 : kind == 'l' ? 0777
					       : 0644,
			 .uid = PLEACH_NO_OWNER,
			 .gid = PLEACH_NO_OWNER},
	};
	assert_true(strlen(line->entry.name) <= PL_NAME_MAX);
	line->entry.name_length = (uint8_t)strlen(line->entry.name);
	if (kind == 'd') {
		line->depth = *path != '\0';
		for (const char *s = path; *s; s++)
			line->depth += *s == '/';
	}
	return line;
}

static inline void memory_line_attribute(struct memory_line *line, const char *word)
{
	struct pl_meta *meta = &line->entry.meta;
	const char *value;

	if (strncmp(word, "mtime=", 6) == 0) {
		meta->mtime_s = strtoll(word + 6, NULL, 10);
	} else if (strncmp(word, "owner=", 6) == 0) {
		meta->uid = meta->gid = (uint32_t)strtoul(word + 6, NULL, 10);
	} else if (strncmp(word, "x:", 2) == 0) {
		value = strchr(word, '=');
		assert_non_null(value);
		pl_buffer_add_u8(&line->xattrs, (uint8_t)(value - word - 2));
		pl_buffer_add(&line->xattrs, word + 2, (size_t)(value - word - 2));
		pl_buffer_add_u32(&line->xattrs, (uint32_t)strlen(value + 1));
		pl_buffer_add_string(&line->xattrs, value + 1);
		meta->xattrs = line->xattrs.data;
		meta->xattrs_length = (uint32_t)line->xattrs.length;
	} else {
		meta->mode = (uint16_t)strtoul(word, NULL, 8);
		assert_true(*word == '0' && meta->mode <= 07777);
	}
}

/* The lowest common directory of the members. */
static inline void memory_line_place_group(struct memory_text *text, struct memory_line *line)
{
	const char *first = line->members[0];
	size_t common = 0;

	for (size_t i = 0; first[i]; i++) {
		if (first[i] != '/')
			continue;
		for (size_t m = 1; m < line->n_members; m++) {
			if (strncmp(line->members[m], first, i + 1) != 0)
				goto differs;
		}
		common = i;
	}
differs:
	line->parent = memory_text_keep(text, first, common);
}

/* `words` are those behind kind and path. */
static inline void memory_line_words(struct memory_store *store, struct memory_text *text,
				     struct memory_line *line, char **words, size_t n)
{
	struct pl_entry *entry = &line->entry;
	size_t used = 0;

	if (line->kind == 'f') {
		assert_true(n >= 1);
		entry->size = strcmp(words[0], "-") == 0 ? 0 : strlen(words[0]);
		entry->hash = memory_store_put(store, words[0], entry->size);
		used = 1;
	} else if (line->kind == 'l') {
		assert_true(n >= 1);
		entry->target = memory_text_keep(text, words[0], strlen(words[0]));
		entry->target_length = (uint16_t)strlen(words[0]);
		used = 1;
	} else if (line->kind == 'c' || line->kind == 'b') {
		assert_true(n >= 2);
		entry->major = (uint32_t)strtoul(words[0], NULL, 10);
		entry->minor = (uint32_t)strtoul(words[1], NULL, 10);
		used = 2;
	}
	for (; used < n; used++)
		memory_line_attribute(line, words[used]);
}

static inline void memory_text_line(struct memory_store *store, struct memory_text *text,
				    char *string)
{
	char *words[64] = {0}, *save = NULL;
	struct memory_line *line;
	size_t n = 0;

	for (char *word = strtok_r(string, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
		assert_true(n < PL_ARRAY_LEN(words));
		words[n++] = word;
	}
	assert_true(n >= 2 && strlen(words[0]) == 1 && strchr("fdlpscbg", *words[0]));
	line = memory_text_add(text, *words[0], strcmp(words[1], ".") == 0 ? "" : words[1]);
	if (line->kind == 'g') {
		line->members = calloc(n - 1, sizeof(*line->members));
		assert_non_null(line->members);
		for (size_t i = 1; i < n; i++) {
			line->members[line->n_members] = strdup(words[i]);
			assert_non_null(line->members[line->n_members++]);
		}
		memory_line_place_group(text, line);
	} else {
		memory_line_words(store, text, line, words + 2, n - 2);
	}
}

static inline void memory_text_parse(struct memory_store *store, struct memory_text *text,
				     const char *from)
{
	char *copy = strdup(from), *save = NULL;

	assert_non_null(copy);
	for (char *s = strtok_r(copy, "\n", &save); s; s = strtok_r(NULL, "\n", &save))
		memory_text_line(store, text, s);
	free(copy);
	if (!memory_text_find(text, ""))
		memory_text_add(text, 'd', "");
	/* The list grows while it is gone through: the new ones have parents too. */
	for (size_t i = 0; i < text->n; i++) {
		if (!memory_text_find(text, text->lines[i].parent))
			memory_text_add(text, 'd', text->lines[i].parent);
	}
}

static inline void memory_text_done(struct memory_text *text)
{
	for (size_t i = 0; i < text->n; i++) {
		for (size_t m = 0; m < text->lines[i].n_members; m++)
			free(text->lines[i].members[m]);
		free(text->lines[i].members);
		pl_buffer_done(&text->lines[i].xattrs);
	}
	free(text->lines);
	pl_strings_done(&text->strings);
}

/* Builds the node of one directory, whose subdirectories have been built; fills in its entry. */
static inline void memory_text_build(struct memory_store *store, struct memory_text *text,
				     struct memory_line *directory)
{
	struct pl_node_sink sink = memory_store_sink(store);
	size_t prefix = strlen(directory->path) + (*directory->path != '\0');
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pl_node_builder builder;
	struct pl_groups groups = {0};
	struct pl_buffer bytes = {0};
	int r;

	pl_node_builder_init(&builder);
	for (size_t i = 0; i < text->n; i++) {
		const struct memory_line *line = &text->lines[i];

		if (!*line->path || strcmp(line->parent, directory->path) != 0)
			continue;
		if (line->kind != 'g') {
			assert_int_equal(pl_node_builder_add(&builder, &line->entry), 0);
			continue;
		}
		assert_int_equal(pl_groups_begin(&groups), 0);
		for (size_t m = 0; m < line->n_members; m++)
			assert_int_equal(pl_groups_add(&groups, line->members[m] + prefix), 0);
	}
	r = pl_node_builder_end(&builder, &directory->entry.meta, &groups, &sink, &bytes,
				&directory->entry.hash, &directory->entry.totals, &error);
	if (r < 0)
		print_message("building %s: %s\n", directory->path, error.message);
	assert_int_equal(r, 0);
	memory_store_put(store, bytes.data, bytes.length);
	pl_buffer_done(&bytes);
	pl_groups_done(&groups);
	pl_node_builder_done(&builder);
}

/* Builds the tree that `from` describes and returns its id. */
static inline struct pl_id memory_store_tree(struct memory_store *store, const char *from)
{
	struct memory_text text = {0};
	size_t deepest = 0;
	struct pl_id id;

	memory_text_parse(store, &text, from);
	for (size_t i = 0; i < text.n; i++) {
		if (text.lines[i].kind == 'd' && text.lines[i].depth > deepest)
			deepest = text.lines[i].depth;
	}
	for (size_t depth = deepest + 1; depth > 0; depth--) {
		for (size_t i = 0; i < text.n; i++) {
			if (text.lines[i].kind == 'd' && text.lines[i].depth == depth - 1)
				memory_text_build(store, &text, &text.lines[i]);
		}
	}
	id = memory_text_find(&text, "")->entry.hash;
	memory_text_done(&text);
	return id;
}

/* ---- and back ---- */

static inline void memory_dump_attributes(struct pl_buffer *b, char kind,
					  const struct pl_meta *meta)
{
	const unsigned char *value;
	size_t name_length, length;
	uint32_t offset = 0;
	const char *name;

	if (kind != 'l')
		pl_buffer_add_format(b, " 0%03o", (unsigned)meta->mode);
	if (meta->mtime_s != 0)
		pl_buffer_add_format(b, " mtime=%lld", (long long)meta->mtime_s);
	if (meta->uid != PLEACH_NO_OWNER)
		pl_buffer_add_format(b, " owner=%u", meta->uid);
	while (pl_meta_xattr_next(meta, &offset, &name, &name_length, &value, &length) > 0)
		pl_buffer_add_format(b, " x:%.*s=%.*s", (int)name_length, name, (int)length,
				     (const char *)value);
	pl_buffer_add_u8(b, '\n');
}

static inline void memory_dump_entry(const struct memory_store *store, struct pl_buffer *b,
				     const char *path, const struct pl_entry *entry)
{
	const struct memory_item *content;

	pl_buffer_add_format(b, "%c %s", entry->kind, path);
	if (entry->kind == 'f') {
		content = memory_store_get(store, &entry->hash);
		assert_true(content && content->length == entry->size);
		pl_buffer_add_format(b, " %.*s", entry->size ? (int)entry->size : 1,
				     entry->size ? (const char *)content->data : "-");
	} else if (entry->kind == 'l') {
		pl_buffer_add_format(b, " %.*s", (int)entry->target_length, entry->target);
	} else if (entry->kind == 'c' || entry->kind == 'b') {
		pl_buffer_add_format(b, " %u %u", entry->major, entry->minor);
	}
	memory_dump_attributes(b, entry->kind, &entry->meta);
}

static inline void memory_dump_group(struct pl_buffer *b, const struct pl_cursor *cursor,
				     const char *path)
{
	struct pl_membership_group group;
	struct pl_buffer member = {0};

	if (!pl_membership_find(pl_cursor_membership(cursor), path, &group))
		return;
	pl_membership_member(&group, 0, &member);
	if (strcmp(pl_buffer_string(&member), path) == 0) {
		pl_buffer_add_u8(b, 'g');
		for (size_t i = 0; i < group.n_members; i++) {
			pl_buffer_add_u8(b, ' ');
			pl_membership_member(&group, i, b);
		}
		pl_buffer_add_u8(b, '\n');
	}
	pl_buffer_done(&member);
}

/* The tree as a text, which the caller frees. */
static inline char *memory_store_dump(struct memory_store *store, const struct pl_id *root)
{
	struct pl_node_source source = memory_store_source(store);
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pl_buffer b = {0}, groups = {0};
	struct pl_cursor *cursor = NULL;
	int step;

	assert_int_equal(pl_cursor_new(&source, root, true, 1, &cursor, &error), 0);
	while ((step = pl_cursor_next(cursor, &error)) > 0) {
		const char *path = pl_cursor_path(cursor);

		if (step == PL_STEP_ENTER) {
			pl_buffer_add_format(&b, "d %s", *path ? path : ".");
			memory_dump_attributes(&b, 'd', &pl_cursor_node(cursor)->meta);
		} else if (step == PL_STEP_ENTRY) {
			memory_dump_entry(store, &b, path, pl_cursor_entry(cursor));
			memory_dump_group(&groups, cursor, path);
		}
	}
	if (step < 0)
		print_message("walking: %s\n", error.message);
	assert_int_equal(step, PL_STEP_END);
	pl_cursor_free(cursor);
	if (groups.length > 0)
		pl_buffer_add(&b, groups.data, groups.length);
	pl_buffer_done(&groups);
	assert_true(pl_buffer_ok(&b));
	return pl_buffer_take_string(&b);
}

/* Fails, and shows both, unless the tree's text is `expected`. */
static inline void memory_store_expect(struct memory_store *store, const struct pl_id *root,
				       const char *expected)
{
	char *text = memory_store_dump(store, root);

	assert_string_equal(text, expected);
	free(text);
}

#endif
