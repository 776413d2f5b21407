/*
 * Nodes out of what a scan has met, which comes in the order of the walk: a directory, its names, and
 * that it is complete.
 *
 * B1  Memory: the entries of the directories from the root to where it is.
 * B2  The names of the cache are added in the order of the walk.
 */
#include <stdlib.h>

#include "source/scanning.h"

static int fail_many(const struct pl_assembly *a, const char *path, struct pleach_error *error)
{
	return pl_fail(error, PLEACH_FAILED, -EOVERFLOW, "'%s/%s' has too many entries",
		       a->scan->label, path);
}

int pl_assembly_enter(struct pl_assembly *a, const void *meta, size_t length,
		      const struct pl_id *base, struct pleach_error *error)
{
	struct pl_assembled *dir;
	struct pl_reader reader;
	int r;

	if (PL_ARRAY_GROW(a->dirs, a->capacity, a->n) < 0)
		return pl_fail_memory(error);
	dir = &a->dirs[a->n++];
	*dir = (struct pl_assembled){.has_base = base != NULL};
	pl_node_builder_init(&dir->builder);
	if (base)
		dir->base = *base;
	pl_buffer_add(&dir->xattrs, meta, length);
	if (!pl_buffer_ok(&dir->xattrs))
		return pl_fail_memory(error);
	reader = pl_reader_of(dir->xattrs.data, length);
	r = pl_meta_decode(&reader, &dir->meta);
	pl_assert(r == 0); /* our own encoding */
	return 0;
}

void pl_scan_note_escape(struct pl_scan_result *result, const char *path,
			 const struct pl_entry *entry)
{
	char target[PL_TARGET_MAX + 1];
	size_t n = strlen(path);

	pl_assert(entry->kind == PLEACH_SYMLINK);
	memcpy(target, entry->target, entry->target_length);
	target[entry->target_length] = '\0';
	if (!pl_path_escapes(path, target) || result->escaping++ > 0)
		return;
	if (n >= sizeof(result->first_escaping))
		n = sizeof(result->first_escaping) - 1;
	memcpy(result->first_escaping, path, n);
	result->first_escaping[n] = '\0';
}

static void note_escape(struct pl_assembly *a, const char *path, const struct pl_entry *entry)
{
	const char *prefix = a->scan->prefix;
	PL_BUFFER whole = {0};

	pl_buffer_add_format(&whole, "%s%s%s", prefix, prefix[0] ? "/" : "", path);
	if (pl_buffer_ok(&whole))
		pl_scan_note_escape(a->result, pl_buffer_string(&whole), entry);
}

int pl_assembly_entry(struct pl_assembly *a, const char *path, const struct stat *st, size_t link,
		      const struct pl_entry *entry, struct pleach_error *error)
{
	pl_assert(a->n > 0);
	if (link > 0 && pl_links_set_entry(a->links, link - 1, entry) < 0)
		return pl_fail_memory(error);
	if (entry->kind == PLEACH_SYMLINK)
		note_escape(a, path, entry);
	if (pl_node_builder_add(&a->dirs[a->n - 1].builder, entry) < 0)
		return fail_many(a, path, error);
	if (a->cache && pl_cache_add(a->cache, path, st, entry) < 0) /* B2 */
		return pl_fail_memory(error); /* no room on disk ends the cache, no more */
	return 0;
}

/* The groups of the directory that is being left; may have to walk ahead once. */
static int collect_groups(struct pl_assembly *a, const char *path, struct pl_groups *groups,
			  struct pleach_error *error)
{
	int r = pl_links_leave(a->links, path, groups);

	if (r == 1) {
		r = pl_links_walk_ahead(a->links, a->scan->store, a->scan->fd, a->scan->exclude);
		if (r < 0)
			return pl_fail_sys(error, r, "cannot look for hard links in '%s'",
					   a->scan->label);
		r = pl_links_leave(a->links, path, groups);
	}
	if (r < 0)
		return pl_fail_memory(error);
	pl_assert(r == 0);
	return 0;
}

static void dir_done(struct pl_assembled *dir)
{
	pl_buffer_done(&dir->xattrs);
	pl_node_builder_done(&dir->builder);
}

/* Makes the node of the directory that is complete. */
static int make_node(struct pl_assembly *a, const char *path, struct pl_entry *e,
		     struct pleach_error *error)
{
	struct pl_assembled *dir = &a->dirs[a->n - 1];
	struct pl_groups groups = {0};
	int r = collect_groups(a, path, &groups, error);

	if (r >= 0) {
		pl_groups_sort(&groups);
		r = pl_node_builder_end(&dir->builder, &dir->meta, &groups, &a->sink, &a->node,
					&e->hash, &e->totals, error);
	}
	pl_groups_done(&groups);
	if (r >= 0 && !(dir->has_base && pl_id_equal(&dir->base, &e->hash)))
		r = a->sink.write(a->sink.self, &e->hash, a->node.data, a->node.length, error);
	return r;
}

int pl_assembly_leave(struct pl_assembly *a, const char *path, struct pleach_error *error)
{
	struct pl_entry e = {.kind = PLEACH_DIR};
	const char *slash = strrchr(path, '/');
	int r;

	pl_assert(a->n > 0);
	r = make_node(a, path, &e, error);
	if (r < 0)
		return r;
	dir_done(&a->dirs[--a->n]);
	if (a->n == 0) {
		a->result->tree = e.hash;
		a->result->totals = e.totals;
		return 0;
	}
	e.name = slash ? slash + 1 : path;
	e.name_length = (uint8_t)strlen(e.name);
	if (pl_node_builder_add(&a->dirs[a->n - 1].builder, &e) < 0)
		return fail_many(a, path, error);
	return 0;
}

void pl_assembly_done(struct pl_assembly *a)
{
	while (a->n > 0)
		dir_done(&a->dirs[--a->n]);
	free(a->dirs);
	pl_buffer_done(&a->node);
}
