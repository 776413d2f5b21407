/*
 * What cannot be kept in memory: the contents of new files, in tx/<id>/e/, named like objects, with their
 * metadata; and what only the file system can tell, whether metadata can be restored.
 *
 * K1  A file of e/ is complete, metadata and all, before an entry names it, and is never written to again: other
 *     metadata make another file. So a commit gives it its name as an object, and may do so again.
 * K2  Metadata that are asked for are tried out in e/, on something of that kind: what cannot be restored
 *     exactly is refused by the edit, and not by the commit.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/sysmacros.h>

#include "tx/edits.h"

/* ---- metadata ---- */

/* "new7": a name of e/ that was not there before. */
static void new_name(struct pl_tx_edits *edits, char ret_name[32])
{
	snprintf(ret_name, 32, "new%llu", (unsigned long long)edits->serial++);
}

static mode_t type_of(char kind)
{
	switch (kind) {
	case PLEACH_CHAR:
		return S_IFCHR;
	case PLEACH_BLOCK:
		return S_IFBLK;
	case PLEACH_FIFO:
		return S_IFIFO;
	default:
		pl_assert(kind == PLEACH_SOCKET);
		return S_IFSOCK;
	}
}

/* Something of the entry's kind in e/. */
static int make_any(struct pl_tx_edits *edits, const char *name, const struct pl_entry *entry)
{
	if (entry->kind == PLEACH_DIR)
		return pl_mkdir(edits->fd, name, 0700);
	if (entry->kind == PLEACH_SYMLINK)
		return pl_symlink("target", edits->fd, name);
	return pl_mknod(edits->fd, name, type_of(entry->kind) | 0600,
			makedev(entry->major, entry->minor));
}

static int try_restore(struct pl_tx_edits *edits, const char *name, const struct pl_entry *entry,
		       const char **ret_why)
{
	PL_CLOSE int fd = -EBADF;

	if (entry->kind != PLEACH_DIR)
		return pl_meta_restore_at(edits->fd, name, &entry->meta, entry->kind, ret_why);
	fd = pl_open_dir(edits->fd, name);
	return fd < 0 ? fd : pl_meta_restore(fd, &entry->meta, PLEACH_DIR, ret_why);
}

/* K2, for what is no file: of those each gets the metadata when its content is kept. */
int pl_edit_try_metadata(struct pl_tx_edits *edits, const struct pl_entry *entry, const char *path,
			 struct pleach_error *error)
{
	const char *why = NULL;
	char name[32];
	int r = pl_meta_may_restore(&entry->meta, entry->kind, &why);

	if (r >= 0) {
		new_name(edits, name);
		r = make_any(edits, name, entry);
	}
	if (r >= 0) {
		r = try_restore(edits, name, entry, &why);
		if (entry->kind == PLEACH_DIR)
			(void)pl_rmdir(edits->fd, name);
		else
			(void)pl_unlink(edits->fd, name);
	}
	return r < 0 ? pl_edit_fail_meta(r, why, path, error) : 0;
}

/* ---- contents ---- */

static const char *content_name(const struct pl_entry *entry, char hex[PL_ID_HEX + 1])
{
	struct pl_id object;

	pl_entry_object(entry, &object);
	return pl_id_hex(&object, hex);
}

/* The file `name` of e/ is the content of the entry: it gets the metadata (K2), and its name (K1). */
static int keep_content(struct pl_tx_edits *edits, const char *name, int fd,
			const struct pl_entry *entry, const char *path, struct pleach_error *error)
{
	char hex[PL_ID_HEX + 1];
	const char *why = NULL;
	int r = pl_meta_may_restore(&entry->meta, PLEACH_FILE, &why);

	if (r >= 0)
		r = pl_meta_restore(fd, &entry->meta, PLEACH_FILE, &why);
	if (r < 0)
		pl_edit_fail_meta(r, why, path, error);
	if (r >= 0 && entry->size > 0) {
		r = pl_rename(edits->fd, name, edits->fd, content_name(entry, hex));
		if (r < 0)
			pl_edit_fail(r, "keep", path, error);
	}
	if (r < 0 || entry->size == 0) /* an empty file has no object */
		(void)pl_unlink(edits->fd, name);
	return r;
}

static int copy_call(const struct pl_edit_call *call, int to, struct pl_hash *hash,
		     uint64_t *ret_size)
{
	if (call->content_fd >= 0)
		return pl_hash_copy(hash, call->content_fd, PL_COPY_HERE, to, ret_size);
	*ret_size = call->length;
	pl_hash_add(hash, call->data, call->length);
	return pl_write_full(to, call->data, call->length);
}

/* Takes in the content of a call, for an entry whose metadata are complete. */
int pl_edit_take_content(struct pl_tx_edits *edits, const struct pl_edit_call *call,
			 struct pl_entry *entry, struct pleach_error *error)
{
	PL_CLOSE int fd = -EBADF;
	struct pl_hash *hash = NULL;
	char name[32];
	int r;

	new_name(edits, name);
	fd = pl_create(edits->fd, name, 0600);
	r = fd < 0 ? fd : pl_hash_new(&hash);
	if (r >= 0)
		r = copy_call(call, fd, hash, &entry->size);
	if (r >= 0)
		pl_hash_end(hash, &entry->hash);
	pl_hash_free(hash);
	if (r < 0) {
		if (fd >= 0)
			(void)pl_unlink(edits->fd, name);
		return pl_edit_fail(r, "take in", call->path, error);
	}
	return keep_content(edits, name, fd, entry, call->path, error);
}

/* The content of `old` again, with the metadata of `entry`. */
int pl_edit_copy_content(struct pl_tx_edits *edits, const struct pl_entry *old,
			 const struct pl_entry *entry, const char *path, struct pleach_error *error)
{
	PL_CLOSE int fd = -EBADF;
	char name[32];
	int r;

	new_name(edits, name);
	r = pl_object_copy(edits->tx->store, edits->fd, old, false, edits->fd, name, &fd, error);
	return r < 0 ? r : keep_content(edits, name, fd, entry, path, error);
}

/* ---- for a commit ---- */

/* A content of e/ that a name has now; what was replaced again since stays out. */
static int stage_content(struct pl_tx_edits *edits, struct pl_stage *stage,
			 const struct pl_edit_node *node, struct pleach_error *error)
{
	char hex[PL_ID_HEX + 1];
	struct pl_reader reader = pl_reader_of(node->entry.data, node->entry.length);
	struct pl_entry entry;
	struct pl_id object;
	int r;

	if (node->kind != PLEACH_FILE)
		return 0;
	r = pl_entry_decode(&reader, &entry);
	pl_assert(r == 0); /* it was encoded by us */
	if (entry.size == 0)
		return 0;
	pl_entry_object(&entry, &object);
	r = pl_exists(edits->fd, pl_id_hex(&object, hex));
	if (r < 0)
		return pl_fail_sys(error, r, "cannot look for object %s", hex);
	if (r == 0)
		return 0; /* the base's */
	r = pl_stage_has_object(stage, &object, error);
	if (r != 0)
		return r;
	r = pl_stage_adopt(stage, edits->fd, hex, &object);
	if (r >= 0)
		r = pl_stage_note(stage, hex, &object, entry.size);
	return r < 0 ? pl_fail_sys(error, r, "cannot take a file into %s/.pleach/tx/%s",
				   stage->store->path, stage->tx->id)
		     : 0;
}

int pl_edit_stage_contents(struct pl_tx_edits *edits, struct pl_stage *stage,
			   struct pleach_error *error)
{
	struct pl_edit_node *node = &edits->tree.root;
	int r = 0;

	for (; r >= 0 && node; node = pl_edit_tree_step(node))
		r = stage_content(edits, stage, node, error);
	return r < 0 ? r : 0;
}
