/*
 * Objects that are missing or damaged. What one must be, its id alone does not say: the entries of nodes
 * that need it do. Its content is looked for, in this order, in
 *
 *	the damaged file itself (whose metadata may be all that was changed)
 *	objects of equal content and other metadata
 *	placed files of that content, in every placing of every tree: private copies
 *	what is outside (repair_from.c)
 *
 * O1  The content is copied, hashed as a copy, given its metadata, and read back as an object, before it
 *     gets the name (M1). So nothing that a stray writer holds open is behind the new name.
 * O2  A damaged object that no node needs is set aside, if it is certain that none does: all nodes are there,
 *     and no transaction has claimed it.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "gc/repair_object.h"

/* ---- making one ---- */

static int fail(const struct pl_wanted *w, int r, struct pleach_error *error)
{
	return pl_repairing_fail(r, w->finding, error);
}

/* The new file is all that it must be, and durable: it gets the name. */
static int name_object(struct pl_mending *o, struct pl_wanted *w, const char *made, int fd,
		       struct pleach_error *error)
{
	struct pl_repairing *m = o->m;
	char path[PL_POOL_PATH], label[PL_ID_HEX + 16], hex[PL_ID_HEX + 1], dir[3];
	PL_CLOSE int pool = -EBADF;
	struct stat st;
	int r;

	pl_checking_pool_path("objects", &w->object, path);
	(void)snprintf(label, sizeof(label), "object-%s", pl_id_hex(&w->object, hex));
	(void)snprintf(dir, sizeof(dir), "%.2s", hex);
	r = pl_txdir_must_fsync(m->tx) ? pl_fsync(fd) : pl_txdir_sync(m->tx, error);
	if (r >= 0)
		r = pl_fstat(fd, &st);
	if (r >= 0)
		r = pl_mkdir(m->store->objects_fd, dir, 0700);
	if (r == -EEXIST)
		r = 0;
	if (r >= 0)
		r = pool = pl_open_dir(m->store->objects_fd, dir);
	if (r >= 0)
		r = pl_aside_replace(m, m->tx->fd, made, pool, hex + 2, path, label);
	if (r >= 0)
		r = pl_store_sync(m->store, m->store->objects_fd);
	return r < 0 ? fail(w, r, error) : pl_checking_note_object(m->c, &w->object, &st, error);
}

/* Metadata, and then all of it is read back (O1). 1, or 0: it is not to be had here, and why. */
static int finish(struct pl_wanted *w, int fd)
{
	const char *why = NULL;
	int r = pl_meta_restore(fd, &w->entry.meta, PLEACH_FILE, &why);

	if (r == -EPERM || r == -E2BIG) {
		w->why_not = why ? why : "its metadata cannot be set by this user";
		return 0;
	}
	if (r >= 0)
		r = pl_object_verify(fd, &w->object, &w->entry.meta, w->entry.size, &w->entry.hash,
				     &why);
	return r == -EBADMSG ? 0 : r < 0 ? r : 1;
}

/* 1: it is named; 0: what was copied was not it. */
static int make(struct pl_mending *o, struct pl_wanted *w, int from, struct pleach_error *error)
{
	struct pl_txdir *tx = o->m->tx;
	PL_CLOSE int fd = -EBADF;
	char name[32];
	int r;

	pl_txdir_name(tx, "object", name);
	fd = pl_create(tx->fd, name, 0600);
	r = fd < 0 ? fd : pl_copy_content(from, fd, w->entry.size);
	if (r >= 0)
		r = finish(w, fd);
	else if (r == -EAGAIN)
		r = 0; /* it became shorter */
	if (r == 0)
		r = pl_unlink(tx->fd, name);
	else if (r == 1)
		return (r = name_object(o, w, name, fd, error)) < 0 ? r : 1;
	return r < 0 ? fail(w, r, error) : 0;
}

/* Could it be? What is not of this size is not read; what cannot be read is no source. */
static int has_content(int fd, const struct pl_entry *entry)
{
	const char *why;
	struct stat st;
	int r = pl_fstat(fd, &st);

	if (r < 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size != entry->size)
		return 0;
	r = pl_content_verify(fd, entry->size, &entry->hash, &why);
	return r == -ENOMEM ? r : r >= 0;
}

int pl_mending_try(struct pl_mending *o, struct pl_wanted *w, int fd, const char *source,
		   struct pleach_error *error)
{
	int r;

	if (w->is_mended || w->why_not || fd < 0)
		return 0;
	r = has_content(fd, &w->entry);
	if (r > 0)
		r = make(o, w, fd, error);
	else if (r < 0)
		r = fail(w, r, error);
	if (r <= 0)
		return r;
	w->is_mended = true;
	o->n_left--;
	return pl_repairing_mended(o->m, w->finding, error, "made anew from %s", source) < 0
		       ? -ENOMEM
		       : 1;
}

/* ---- sources in the store ---- */

static int try_itself(struct pl_mending *o, struct pl_wanted *w, struct pleach_error *error)
{
	PL_CLOSE int fd = pl_pool_open(o->m->store->objects_fd, &w->object);

	return pl_mending_try(o, w, fd, "its own content, which is whole", error);
}

static int try_object(struct pl_mending *o, struct pl_wanted *w, const struct pl_entry *entry,
		      struct pleach_error *error)
{
	char source[PL_POOL_PATH + 32], path[PL_POOL_PATH];
	PL_CLOSE int fd = -EBADF;
	struct pl_id object;

	pl_entry_object(entry, &object);
	if (pl_id_equal(&object, &w->object))
		return 0; /* the damaged one */
	pl_checking_pool_path("objects", &object, path);
	(void)snprintf(source, sizeof(source), "%s, of equal content", path);
	fd = pl_pool_open(o->m->store->objects_fd, &object);
	return pl_mending_try(o, w, fd, source, error);
}

/* The same file in each placing of the tree that is gone through. */
static int try_placed(struct pl_mending *o, struct pl_wanted *w, const char *path,
		      struct pleach_error *error)
{
	char hex[PL_ID_HEX + 1];
	int r = 0;

	pl_id_hex(&o->tree, hex);
	for (size_t i = 0; r == 0 && i < o->n_placings; i++) {
		PL_CLOSE int tree = pl_placing_open(o->treedir_fd, o->placings[i]);
		PL_CLOSE int fd = pl_mending_open(tree, path);
		PL_BUFFER source = {0};

		pl_buffer_add_format(&source, ".pleach/trees/%s/%u/tree/%s", hex, o->placings[i],
				     path);
		if (!pl_buffer_ok(&source))
			return pl_fail_memory(error);
		r = pl_mending_try(o, w, fd, pl_buffer_string(&source), error);
	}
	return r;
}

int pl_mending_open(int dirfd, const char *path)
{
	const char *slash = strrchr(path, '/');
	struct pl_walk walk;
	PL_BUFFER dir = {0};
	int fd = dirfd < 0 ? dirfd : pl_open_dir(dirfd, ".");

	if (fd >= 0)
		fd = pl_walk_init_take(&walk, fd);
	if (fd < 0)
		return fd;
	pl_buffer_add(&dir, path, slash ? (size_t)(slash - path) : 0);
	fd = pl_buffer_ok(&dir) ? pl_walk_goto(&walk, pl_buffer_string(&dir), false, 0) : -ENOMEM;
	if (fd >= 0)
		fd = pl_open(pl_walk_fd(&walk), slash ? slash + 1 : path, O_RDONLY | O_NONBLOCK);
	pl_walk_done(&walk);
	return fd;
}

static int saw_content(void *self, const struct pl_sighting *sighting, struct pleach_error *error)
{
	struct pl_mending *o = self;
	const uint64_t *first = pl_map_get(&o->contents, sighting->id);
	int r = 0;

	for (size_t i = (size_t)*first; r >= 0 && i < o->n; i = o->wanted[i].next) {
		struct pl_wanted *w = &o->wanted[i];

		if (w->is_mended || w->why_not)
			continue;
		r = try_object(o, w, sighting->entry, error);
		if (r == 0)
			r = try_placed(o, w, sighting->path, error);
	}
	return r < 0 ? r : 0;
}

/* ---- what is wanted ---- */

static int list_wanted(struct pl_mending *o, struct pleach_error *error)
{
	struct pl_findings *found = o->m->found;

	for (size_t i = 0; i < found->n; i++) {
		struct pl_finding *f = &found->items[i];

		if (!f->is_fault || f->subject.what != PL_SUBJECT_OBJECT ||
		    pl_map_get(&o->objects, &f->subject.id))
			continue;
		if (PL_ARRAY_GROW(o->wanted, o->capacity, o->n) < 0 ||
		    pl_map_put(&o->objects, &f->subject.id, o->n) < 0)
			return pl_fail_memory(error);
		o->wanted[o->n++] =
			(struct pl_wanted){.object = f->subject.id, .finding = f, .next = SIZE_MAX};
	}
	o->n_left = o->n;
	return 0;
}

/* Somebody needs it: so it is known what it must be. */
static int saw_object(void *self, const struct pl_sighting *sighting, struct pleach_error *error)
{
	struct pl_mending *o = self;
	struct pl_wanted *w = &o->wanted[*pl_map_get(&o->objects, sighting->id)];
	struct pl_reader reader;
	const uint64_t *other;

	if (!w->has_entry) {
		pl_entry_encode(sighting->entry, &w->bytes);
		if (!pl_buffer_ok(&w->bytes))
			return pl_fail_memory(error);
		reader = pl_reader_of(w->bytes.data, w->bytes.length);
		if (pl_entry_decode(&reader, &w->entry) < 0)
			return 0;
		w->has_entry = true;
		other = pl_map_get(&o->contents, &w->entry.hash);
		w->next = other ? (size_t)*other : SIZE_MAX;
		if (pl_map_put(&o->contents, &w->entry.hash, (uint64_t)(w - o->wanted)) < 0)
			return pl_fail_memory(error);
	}
	return pl_strings_add(&w->paths, sighting->path) < 0 ? pl_fail_memory(error) : 0;
}

/* All placings of the tree that is gone through next. */
static int load_placings(struct pl_mending *o, const struct pl_id *tree, struct pleach_error *error)
{
	struct pl_listing listing = {0};
	int r = o->treedir_fd = pl_treedir_open(o->m->store, tree);

	o->tree = *tree;
	o->n_placings = 0;
	if (r >= 0)
		r = pl_list(o->treedir_fd, &listing);
	for (size_t i = 0; r >= 0 && i < listing.n; i++) {
		uint64_t k;

		if (pl_parse_u64(listing.entries[i].name, UINT32_MAX - 1, &k) < 0 || k == 0)
			continue;
		if (PL_ARRAY_GROW(o->placings, o->placings_capacity, o->n_placings) < 0)
			r = -ENOMEM;
		else
			o->placings[o->n_placings++] = (unsigned)k;
	}
	pl_listing_done(&listing);
	return r == -ENOMEM ? pl_fail_memory(error) : 0;
}

static int search_tree(struct pl_mending *o, struct pl_search *search, const struct pl_id *tree,
		       struct pleach_error *error)
{
	int r = load_placings(o, tree, error);

	if (r >= 0)
		r = pl_search_tree(search, tree, error);
	pl_closep(&o->treedir_fd);
	return r < 0 ? r : pl_store_check_cancel(o->m->store, error);
}

int pl_mending_search(struct pl_mending *o, const struct pl_map *objects,
		      const struct pl_map *contents,
		      int (*saw)(void *self, const struct pl_sighting *sighting,
				 struct pleach_error *error),
		      struct pleach_error *error)
{
	struct pl_search search = {.nodes = o->m->c->nodes,
				   .seed = o->m->store->seed,
				   .objects = objects,
				   .contents = contents,
				   .saw = saw,
				   .self = o};
	struct pl_listing listing = {0};
	int r = pl_list(o->m->store->trees_fd, &listing);

	if (r < 0)
		return pl_fail_sys(error, r, "cannot list '%s/.pleach/trees'", o->m->store->path);
	pl_search_begin(&search);
	for (size_t i = 0; r >= 0 && o->n_left > 0 && i < listing.n; i++) {
		struct pl_id tree;

		if (pl_id_parse(listing.entries[i].name, &tree) == 0)
			r = search_tree(o, &search, &tree, error);
	}
	pl_search_done(&search);
	pl_listing_done(&listing);
	return r < 0 ? r : 0;
}

/* ---- those that nobody needs ---- */

static int claimed(void *self, char kind, const struct pl_id *id, struct pleach_error *error)
{
	struct pl_mending *o = self;
	const uint64_t *at = kind == 'o' ? pl_map_get(&o->objects, id) : NULL;

	(void)error;
	if (at)
		o->wanted[*at].is_claimed = true;
	return 0;
}

/* O2. Can all nodes be read? */
static bool knows_all(const struct pl_repairing *m)
{
	if (m->options->check.refs || m->found->left_out > 0)
		return false;
	for (size_t i = 0; i < m->found->n; i++)
		if (m->found->items[i].subject.what == PL_SUBJECT_NODE ||
		    m->found->items[i].subject.what == PL_SUBJECT_USER)
			return false;
	return true;
}

static int set_aside(struct pl_mending *o, struct pl_wanted *w, struct pleach_error *error)
{
	struct pl_repairing *m = o->m;
	char hex[PL_ID_HEX + 1], dir[3], path[PL_POOL_PATH], label[PL_ID_HEX + 16];
	PL_CLOSE int pool = -EBADF;
	int r;

	(void)snprintf(label, sizeof(label), "object-%s", pl_id_hex(&w->object, hex));
	(void)snprintf(dir, sizeof(dir), "%.2s", hex);
	pl_checking_pool_path("objects", &w->object, path);
	r = pool = pl_open_dir(m->store->objects_fd, dir);
	if (r >= 0)
		r = pl_aside_move(m, pool, hex + 2, path, label);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return fail(w, r, error);
	return pl_repairing_mended(m, w->finding, error, "set aside: nobody needs it");
}

static int mend_unneeded(struct pl_mending *o, struct pleach_error *error)
{
	bool is_certain = knows_all(o->m);
	int r = pl_txdir_each_claim(o->m->store, claimed, o, error);

	for (size_t i = 0; r >= 0 && i < o->n; i++) {
		struct pl_wanted *w = &o->wanted[i];

		if (w->has_entry)
			continue;
		if (w->is_claimed)
			r = pl_repairing_unmended(o->m, w->finding, error,
						  "an open or parked transaction relies on it");
		else if (!is_certain)
			r = pl_repairing_unmended(o->m, w->finding, error,
						  "no node is known that says what it must be");
		else
			r = set_aside(o, w, error);
	}
	return r;
}

/* ---- the whole ---- */

static int mend(struct pl_mending *o, struct pleach_error *error)
{
	int r = pl_mending_search(o, &o->objects, NULL, saw_object, error);

	for (size_t i = 0; r >= 0 && i < o->n; i++) {
		if (o->wanted[i].has_entry)
			r = try_itself(o, &o->wanted[i], error);
		else
			o->n_left--;
	}
	if (r >= 0 && o->n_left > 0)
		r = pl_mending_search(o, NULL, &o->contents, saw_content, error);
	if (r >= 0 && o->n_left > 0)
		r = pl_outside_objects(o, error);
	if (r >= 0)
		r = mend_unneeded(o, error);
	for (size_t i = 0; r >= 0 && i < o->n; i++) {
		struct pl_wanted *w = &o->wanted[i];

		if (!w->is_mended && w->has_entry)
			r = pl_repairing_unmended(o->m, w->finding, error, "%s",
						  w->why_not ? w->why_not
						  : o->m->outside
							  ? "its content is nowhere else"
							  : "its content is nowhere else in the "
							    "store");
	}
	return r < 0 ? r : 0;
}

int pl_repair_objects(struct pl_repairing *m, struct pleach_error *error)
{
	struct pl_mending o = {.m = m, .treedir_fd = -EBADF};
	int r;

	pl_map_init(&o.objects, sizeof(struct pl_id), m->store->seed);
	pl_map_init(&o.contents, sizeof(struct pl_id), m->store->seed);
	r = list_wanted(&o, error);
	if (r >= 0 && o.n > 0)
		r = mend(&o, error);
	for (size_t i = 0; i < o.n; i++) {
		pl_buffer_done(&o.wanted[i].bytes);
		pl_strings_done(&o.wanted[i].paths);
	}
	free(o.wanted);
	free(o.placings);
	pl_map_done(&o.objects);
	pl_map_done(&o.contents);
	return r;
}
