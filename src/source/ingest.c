/*
 * Reading one file of a source: its metadata and content, as one consistent reading.
 *
 * I1  What is stored is what was there between two looks that agree: before it is opened (lstat) and
 *     after the last byte (fstat), on the inode, its mode, owner, size, mtime and ctime. Else it is read
 *     again, between two looks through one descriptor, TRIES times, then refused.
 *     Two looks within one tick of the clock agree whatever happened between them, so a file that
 *     changed in the tick in which it is read is read again in a later one, unless nobody is there who
 *     could change it (is_quiet).
 * I2  The content that is hashed is the content that is written: both are the same bytes in memory.
 * I3  A file that cannot be restored by this user is refused before it is written.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/sysmacros.h>

#include "source/source.h"

#define TRIES	 5
#define GRAIN_NS 10000000   /* no coarser than the clock that stamps files (HZ=100) */
#define SMALL	 (1u << 20) /* files up to this size are read whole before anything is written */
#define CHUNK	 (256u << 10)

int pl_ingest_init(struct pl_ingest *ingest, struct pl_stage *stage, enum pl_rule rule,
		   const char *label)
{
	*ingest = (struct pl_ingest){
		.stage = stage, .rule = rule, .label = label, .uid = pl_uid(), .gid = pl_gid()};
	return pl_hash_new(&ingest->hash);
}

void pl_ingest_done(struct pl_ingest *ingest)
{
	pl_buffer_done(&ingest->xattrs);
	pl_buffer_done(&ingest->target);
	pl_buffer_done(&ingest->content);
	pl_buffer_done(&ingest->shown);
	pl_hash_free(ingest->hash);
	*ingest = (struct pl_ingest){0};
}

/* A path as its user can find it: behind the source that it is in. */
static const char *shown(struct pl_ingest *ingest, const char *path)
{
	size_t length = strlen(ingest->label);

	pl_buffer_truncate(&ingest->shown, 0);
	pl_buffer_add(&ingest->shown, ingest->label, length);
	if (length > 0 && ingest->label[length - 1] != '/')
		pl_buffer_add_u8(&ingest->shown, '/');
	pl_buffer_add_string(&ingest->shown, path);
	return pl_buffer_ok(&ingest->shown) ? pl_buffer_string(&ingest->shown) : path;
}

/* "cannot read" or the like, and what of it failed; `where` stands behind the path. */
static int fail_at(struct pl_ingest *ingest, int r, const char *what, const char *path,
		   const char *where, struct pleach_error *error)
{
	pl_fail_sys(error, r, "%s '%s'%s", what, shown(ingest, path), where);
	pl_error_path(error, path);
	return r;
}

static int refuse(struct pl_ingest *ingest, const char *path, const char *why,
		  struct pleach_error *error)
{
	pl_fail(error, PLEACH_FAILED, -EPERM, "'%s' could not be restored exactly: %s",
		shown(ingest, path), why);
	pl_error_path(error, path);
	pl_hint(error,
		"run as root, or publish with --metadata=portable, which keeps no owners, times "
		"and attributes");
	return -EPERM;
}

/* Root's is everything; and nobody is asked again and again who he is. */
static bool is_own(const struct pl_ingest *ingest, const struct pl_meta *meta, char kind)
{
	return ingest->uid == 0 ||
	       ((meta->uid == PLEACH_NO_OWNER || meta->uid == ingest->uid) &&
		(meta->gid == PLEACH_NO_OWNER || meta->gid == ingest->gid) &&
		meta->xattrs_length == 0 && kind != PLEACH_CHAR && kind != PLEACH_BLOCK);
}

static int may_restore(struct pl_ingest *ingest, const struct pl_meta *meta, char kind,
		       const char *path, struct pleach_error *error)
{
	const char *why = NULL;

	if (ingest->stage->mode == PL_STAGE_NOWHERE || is_own(ingest, meta, kind))
		return 0;
	if (pl_meta_may_restore(meta, kind, &why) < 0)
		return refuse(ingest, path, why ? why : "not permitted", error);
	return 0;
}

/* What was read of the metadata, with the attributes' own names and as the rule says. */
static int shape(struct pl_ingest *ingest, char kind, struct pl_meta *meta)
{
	int r = 0;

	if (ingest->rename_xattr)
		r = pl_meta_rename_xattrs(meta, &ingest->xattrs, ingest->rename_xattr,
					  ingest->rename_self);
	pl_meta_reduce(meta, kind, ingest->rule);
	return r;
}

static bool same_reading(const struct stat *a, const struct stat *b)
{
	return pl_same_inode(a, b) && a->st_mode == b->st_mode && a->st_uid == b->st_uid &&
	       a->st_gid == b->st_gid && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
	       a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* Did the file change so shortly before `now` that a further change may not show in its times? */
static bool is_unsettled(const struct stat *st, const struct timespec *now)
{
	int64_t age_ns = (int64_t)(now->tv_sec - st->st_ctim.tv_sec) * 1000000000 +
			 (now->tv_nsec - st->st_ctim.tv_nsec);

	/* A time further in the future was set by another clock; the next change gets ours. */
	return age_ns < GRAIN_NS && age_ns > -GRAIN_NS;
}

/* 0, or -EAGAIN if the file has changed since `before`, or may have (I1). */
static int unchanged_since(const struct pl_ingest *ingest, int fd, const struct stat *before)
{
	struct stat after;
	int r = pl_fstat(fd, &after);

	if (r < 0)
		return r;
	if (same_reading(before, &after) &&
	    (ingest->is_quiet || !is_unsettled(before, &ingest->started)))
		return 0;
	pl_sleep_ms(GRAIN_NS / 1000000 + 1);
	return -EAGAIN;
}

static int fail_write(struct pl_ingest *ingest, int r, const char *path, struct pleach_error *error)
{
	return fail_at(ingest, r, "cannot write", path, " into the store", error);
}

/* Gives the staged file its metadata and keeps it. */
static int finish_file(struct pl_ingest *ingest, const struct pl_stage_file *file, const char *path,
		       const struct pl_entry *e, struct pleach_error *error)
{
	const char *why = NULL;
	struct pl_id object;
	int r = pl_meta_restore_fresh(file->fd, &e->meta, &file->fresh, &why);

	if (r == -EPERM || r == -E2BIG)
		return refuse(ingest, path, why ? why : "not permitted", error);
	if (r < 0)
		return fail_at(ingest, r, "cannot set the metadata of", path, " in the store",
			       error);
	pl_entry_object(e, &object);
	r = pl_stage_file_keep(ingest->stage, file, &object);
	if (r < 0)
		return fail_write(ingest, r, path, error);
	return r > 0 ? PL_INGESTED_NEW : PL_INGESTED;
}

int pl_ingest_store(struct pl_ingest *ingest, struct pl_stage_dir *dir, const char *path,
		    const struct pl_entry *entry, const void *content, struct pleach_error *error)
{
	struct pl_stage_file file = {.fd = -EBADF};
	struct pl_id object;
	int r;

	pl_entry_object(entry, &object);
	r = pl_stage_look(ingest->stage, &object, error);
	if (r != 0)
		return r < 0 ? r : PL_INGESTED;
	r = pl_stage_file_make(ingest->stage, dir, ingest->worker, path, entry->meta.mode, &file);
	if (r >= 0)
		r = pl_write_full(file.fd, content, entry->size);
	if (r < 0)
		r = fail_write(ingest, r, path, error);
	else
		r = finish_file(ingest, &file, path, entry, error);
	pl_closep(&file.fd);
	return r;
}

/* Small files are read whole: what the store has is then never written. */
static int read_small(struct pl_ingest *ingest, int fd, const struct stat *st, const char *path,
		      struct pl_entry *e, struct pleach_error *error)
{
	struct pl_buffer *content = &ingest->content;
	unsigned char *to = pl_buffer_reserve(content, e->size);
	ssize_t n;
	int r;

	if (!to)
		return pl_fail_memory(error);
	n = pl_read_full(fd, to, e->size);
	if (n < 0)
		return fail_at(ingest, (int)n, "cannot read", path, "", error);
	if ((uint64_t)n != e->size)
		return -EAGAIN;
	r = unchanged_since(ingest, fd, st); /* one that has grown, too */
	if (r < 0)
		return r;
	pl_hash_of(to, e->size, &e->hash);
	if (ingest->stage->mode == PL_STAGE_NOWHERE)
		return PL_INGESTED;
	content->length += e->size;
	return PL_INGESTED_CONTENT;
}

/* Copies data segment by segment, so that holes stay holes, hashing what is read. */
static int copy_hashed(struct pl_ingest *ingest, int from, int to, uint64_t size)
{
	unsigned char *chunk = pl_buffer_reserve(&ingest->content, CHUNK);
	uint64_t done = 0;

	if (!chunk)
		return -ENOMEM;

	while (done < size) {
		size_t want = size - done < CHUNK ? (size_t)(size - done) : CHUNK;
		/* In a small file it costs more to look for holes than to read them. */
		ssize_t n = size <= CHUNK ? pl_pread_full(from, chunk, want, done)
					  : pl_pread_sparse(from, chunk, want, done);
		int r = 0;

		if (n < 0)
			return (int)n;
		if ((size_t)n != want || pl_store_is_cancelled(ingest->stage->store))
			return (size_t)n != want ? -EAGAIN : -EINTR;
		pl_hash_add(ingest->hash, chunk, want); /* I2 */
		if (to >= 0)
			r = pl_pwrite_full(to, chunk, want, done);
		if (r < 0)
			return r;
		done += want;
	}
	return 0;
}

/* A block of zeros in a sparse file stays a hole. */
static bool is_sparse(const struct stat *st)
{
	return (uint64_t)st->st_blocks * 512 < (uint64_t)st->st_size;
}

/*
 * A sparse file is cloned segment by segment first, and hashed from the copy, which nobody else can
 * write: so what is hashed is what is stored (I2).
 */
static int copy_sparse(struct pl_ingest *ingest, int from, int to, uint64_t size)
{
	int r = pl_copy_content(from, to, size);

	return r < 0 ? r : copy_hashed(ingest, to, -EBADF, size);
}

static int copy_large(struct pl_ingest *ingest, int from, int to, const struct stat *st,
		      struct pl_entry *e)
{
	int r;

	if (to >= 0 && is_sparse(st))
		r = copy_sparse(ingest, from, to, e->size);
	else
		r = copy_hashed(ingest, from, to, e->size);
	pl_hash_end(ingest->hash, &e->hash);
	return r < 0 ? r : unchanged_since(ingest, from, st);
}

/* A large one is written before its id is known; what the store has is removed again. */
static int read_large(struct pl_ingest *ingest, struct pl_stage_dir *dir, int fd,
		      const struct stat *st, const char *path, struct pl_entry *e,
		      struct pleach_error *error)
{
	bool store = ingest->stage->mode != PL_STAGE_NOWHERE;
	struct pl_stage_file file = {.fd = -EBADF};
	struct pl_id object;
	int r = 0, discarded = 0;

	if (store)
		r = pl_stage_file_make(ingest->stage, dir, ingest->worker, path, 0600, &file);
	if (r < 0)
		return fail_write(ingest, r, path, error);
	r = copy_large(ingest, fd, file.fd, st, e);
	if (r < 0 && r != -EAGAIN)
		fail_at(ingest, r, "cannot copy", path, " into the store", error);
	if (r >= 0 && store) {
		pl_entry_object(e, &object);
		r = pl_stage_has_object(ingest->stage, &object, error);
	}
	if (r == 0 && store)
		r = finish_file(ingest, &file, path, e, error);
	else if (store)
		discarded = pl_stage_file_discard(ingest->stage, &file);
	pl_closep(&file.fd);
	if (r >= 0 && discarded < 0)
		return fail_at(ingest, discarded, "cannot remove a copy of", path, "", error);
	return r < 0 ? r : r == PL_INGESTED_NEW ? r : PL_INGESTED;
}

static int read_content(struct pl_ingest *ingest, struct pl_stage_dir *dir, int fd,
			const struct stat *st, const char *path, struct pl_entry *e,
			struct pleach_error *error)
{
	e->size = (uint64_t)st->st_size;
	if (e->size == 0) {
		e->hash = pl_hash_empty;
		return unchanged_since(ingest, fd, st);
	}
	if (e->size <= SMALL && !is_sparse(st))
		return read_small(ingest, fd, st, path, e, error);
	return read_large(ingest, dir, fd, st, path, e, error);
}

/* One reading of a regular file. -EAGAIN: it changed meanwhile, or since `st`; `looks`: then that is had
 * from the open file first. */
static int read_file_once(struct pl_ingest *ingest, struct pl_stage_dir *dir, int dirfd,
			  const char *name, const char *path, bool looks, struct stat *st,
			  struct pl_entry *e, struct pleach_error *error)
{
	/* O_NONBLOCK: it may have become a FIFO since it was looked at. */
	PL_CLOSE int fd = pl_open(dirfd, name, O_RDONLY | O_NONBLOCK);
	int r = fd;

	if (fd == -ENOENT)
		return PL_INGESTED_GONE;
	if (fd == -ELOOP)
		return -EAGAIN;
	pl_clock_coarse(&ingest->started);
	if (fd >= 0 && looks)
		r = pl_fstat(fd, st);
	if (r >= 0 && !S_ISREG(st->st_mode))
		return -EAGAIN;
	if (r >= 0)
		r = pl_meta_read(fd, st, ingest->rule, &ingest->xattrs, &e->meta);
	if (r >= 0)
		r = shape(ingest, PLEACH_FILE, &e->meta);
	if (r == -EAGAIN)
		return r;
	if (r < 0)
		return fail_at(ingest, r, "cannot read", path, "", error);
	r = may_restore(ingest, &e->meta, PLEACH_FILE, path, error); /* I3 */
	return r < 0 ? r : read_content(ingest, dir, fd, st, path, e, error);
}

/* Everything else: no content, metadata by name. */
static int read_other_once(struct pl_ingest *ingest, int dirfd, const char *name, const char *path,
			   struct stat *st, struct pl_entry *e, struct pleach_error *error)
{
	int r;

	if (e->kind == PLEACH_SYMLINK) {
		pl_buffer_truncate(&ingest->target, 0);
		r = pl_readlink(dirfd, name, &ingest->target);
		if (r == -EINVAL)
			return -EAGAIN;
		if (r == -ENOENT)
			return PL_INGESTED_GONE;
		if (r < 0)
			return fail_at(ingest, r, "cannot read the link", path, "", error);
		if (ingest->target.length == 0 || ingest->target.length > PL_TARGET_MAX)
			return pl_fail(error, PLEACH_FAILED, -ENAMETOOLONG,
				       "the target of the link '%s' is too long",
				       shown(ingest, path));
		e->target = (const char *)ingest->target.data;
		e->target_length = (uint16_t)ingest->target.length;
	}
	e->major = major(st->st_rdev);
	e->minor = minor(st->st_rdev);
	r = pl_meta_read_at(dirfd, name, st, ingest->rule, &ingest->xattrs, &e->meta);
	if (r >= 0)
		r = shape(ingest, e->kind, &e->meta);
	if (r == -ENOENT)
		return PL_INGESTED_GONE;
	if (r == -EAGAIN)
		return r;
	if (r < 0)
		return fail_at(ingest, r, "cannot read the metadata of", path, "", error);
	return may_restore(ingest, &e->meta, e->kind, path, error); /* I3 */
}

int pl_ingest_read(struct pl_ingest *ingest, struct pl_stage_dir *dir, int dirfd, const char *name,
		   const char *path, struct stat *st, struct pl_entry *ret_entry,
		   struct pleach_error *error)
{
	struct pl_entry e;
	int r = -EAGAIN;

	pl_assert(strlen(name) <= PL_NAME_MAX);
	for (unsigned i = 0; i < TRIES && r == -EAGAIN; i++) {
		e = (struct pl_entry){.kind = pl_kind_of(st->st_mode),
				      .name = name,
				      .name_length = (uint8_t)strlen(name)};
		if (e.kind == 0 || e.kind == PLEACH_DIR)
			return pl_fail(error, PLEACH_FAILED, -EAGAIN,
				       "'%s' has become a directory while it was read",
				       shown(ingest, path));
		if (e.kind == PLEACH_FILE)
			r = read_file_once(ingest, dir, dirfd, name, path, i > 0, st, &e, error);
		else
			r = read_other_once(ingest, dirfd, name, path, st, &e, error);
		if (r == -EAGAIN && pl_lstat(dirfd, name, st) == -ENOENT)
			return PL_INGESTED_GONE;
	}
	if (r == -EAGAIN) {
		pl_fail(error, PLEACH_FAILED, r, "'%s' kept changing while it was read",
			shown(ingest, path));
		pl_error_path(error, path);
		pl_hint(error, "stop what writes it, or leave it out with --exclude");
	}
	if (r >= 0)
		*ret_entry = e;
	return r;
}

int pl_ingest_entry(struct pl_ingest *ingest, struct pl_stage_dir *dir, int dirfd, const char *name,
		    const char *path, struct stat *st, struct pl_entry *ret_entry,
		    struct pleach_error *error)
{
	struct pl_id object;
	int r;

	pl_buffer_truncate(&ingest->content, 0);
	r = pl_ingest_read(ingest, dir, dirfd, name, path, st, ret_entry, error);
	if (r == PL_INGESTED_GONE)
		return 1;
	if (r == PL_INGESTED_CONTENT || r == PL_INGESTED_NEW)
		pl_entry_object(ret_entry, &object);
	if (r == PL_INGESTED_CONTENT) {
		r = pl_stage_claim_objects(ingest->stage, &object, 1, error);
		if (r >= 0)
			r = pl_ingest_store(ingest, dir, path, ret_entry, ingest->content.data,
					    error);
	}
	if (r == PL_INGESTED_NEW) {
		r = pl_stage_note(ingest->stage, path, &object, ret_entry->size);
		if (r < 0)
			fail_write(ingest, r, path, error);
	}
	return r < 0 ? r : 0;
}

int pl_ingest_directory(struct pl_ingest *ingest, int fd, const char *path, const struct stat *st,
			struct pl_meta *ret_meta, struct pleach_error *error)
{
	struct pl_meta meta;
	int r = pl_meta_read(fd, st, ingest->rule, &ingest->xattrs, &meta);

	if (r >= 0)
		r = shape(ingest, PLEACH_DIR, &meta);
	if (r < 0)
		return fail_at(ingest, r, "cannot read the metadata of", path, "", error);
	r = may_restore(ingest, &meta, PLEACH_DIR, path, error); /* I3 */
	if (r == 0)
		*ret_meta = meta;
	return r;
}
