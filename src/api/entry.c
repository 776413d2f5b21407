/*
 * Entries of trees as the public header has them: names that end in NUL, ids in hexadecimal.
 */
#include <stdlib.h>

#include "api/inner.h"

void pl_entry_view_done(struct pl_entry_view *view)
{
	pl_buffer_done(&view->path);
	pl_buffer_done(&view->target);
	pl_buffer_done(&view->names);
	free(view->xattrs);
	*view = (struct pl_entry_view){0};
}

/* The names go one behind the other into a buffer, which moves while it grows: they are found in it
 * when all are there. */
static int set_xattrs(struct pl_entry_view *view, const struct pl_meta *meta)
{
	const unsigned char *value;
	const char *name;
	size_t name_length, length, n = 0;
	uint32_t offset = 0;

	pl_buffer_truncate(&view->names, 0);
	while (pl_meta_xattr_next(meta, &offset, &name, &name_length, &value, &length) > 0) {
		if (PL_ARRAY_GROW(view->xattrs, view->xattrs_capacity, n) < 0)
			return -ENOMEM;
		view->xattrs[n++] = (struct pleach_xattr){.value = value, .length = length};
		pl_buffer_add(&view->names, name, name_length);
		pl_buffer_add_u8(&view->names, 0);
	}
	if (!pl_buffer_ok(&view->names))
		return -ENOMEM;
	name = pl_buffer_string(&view->names);
	for (size_t i = 0; i < n; i++) {
		view->xattrs[i].name = name;
		name += strlen(name) + 1;
	}
	view->entry.xattrs = n > 0 ? view->xattrs : NULL;
	view->entry.n_xattrs = n;
	return 0;
}

static void set_ids(struct pleach_entry *entry, const struct pl_entry *e)
{
	struct pl_id object;

	entry->id[0] = entry->content[0] = '\0';
	if (e->kind == PLEACH_DIR)
		pl_id_hex(&e->hash, entry->id);
	if (e->kind != PLEACH_FILE)
		return;
	pl_id_hex(&e->hash, entry->content);
	if (e->size == 0)
		return; /* an empty file has no object */
	pl_entry_object(e, &object);
	pl_id_hex(&object, entry->id);
}

int pl_entry_view_set(struct pl_entry_view *view, const char *path, const struct pl_entry *e,
		      const struct pl_meta *meta, uint64_t links, struct pleach_error *error)
{
	struct pleach_entry *entry = &view->entry;
	bool is_link = e->kind == PLEACH_SYMLINK;

	pl_buffer_truncate(&view->path, 0);
	pl_buffer_add_string(&view->path, path);
	pl_buffer_truncate(&view->target, 0);
	if (is_link)
		pl_buffer_add(&view->target, e->target, e->target_length);
	if (!pl_buffer_ok(&view->path) || !pl_buffer_ok(&view->target) ||
	    set_xattrs(view, meta) < 0)
		return pl_fail_memory(error);
	entry->size = sizeof(*entry);
	entry->path = pl_buffer_string(&view->path);
	entry->type = (enum pleach_type)e->kind;
	entry->mode = meta->mode;
	entry->uid = meta->uid;
	entry->gid = meta->gid;
	entry->mtime_s = meta->mtime_s;
	entry->mtime_ns = meta->mtime_ns;
	entry->file_size = is_link ? e->target_length : e->kind == PLEACH_FILE ? e->size : 0;
	entry->target = is_link ? pl_buffer_string(&view->target) : NULL;
	entry->rdev_major = e->kind == PLEACH_CHAR || e->kind == PLEACH_BLOCK ? e->major : 0;
	entry->rdev_minor = e->kind == PLEACH_CHAR || e->kind == PLEACH_BLOCK ? e->minor : 0;
	entry->links = links > 0 ? links : 1;
	set_ids(entry, e);
	return 0;
}
