/*
 * Objects: every file in objects/ by itself, and those that something needs and that are not there.
 * Also what is known of inodes, so that none is read twice (K5).
 *
 * What is known of an object is one number: its inode, and two bits on top.
 *
 *	          first look                     needed
 *	unknown ------------> verified     missing: 0, told
 *	        ------------> unread       (not permitted: told)
 *	        ------------> bad          (told)
 *
 * O1  A file that has the inode of a verified object, and whose entry has that object's id, is right in
 *     content and metadata: both are in the id, and were read from this inode.
 * O2  An object that is not there when objects/ is listed may be there when it is needed: it is looked
 *     for by name before it is called missing (K3).
 * O3  The objects of the whole pool are read by several threads. What was found is taken in the order of their
 *     names, by one: so a check says the same with any number of them.
 */
#include <fcntl.h>
#include <stdio.h>

#include "gc/checking.h"

#define UNREAD	 (UINT64_C(1) << 62)
#define BAD	 (UINT64_C(1) << 63)
#define INO_MASK (UNREAD - 1)

void pl_checking_pool_path(const char *pool, const struct pl_id *id, char ret_path[PL_POOL_PATH])
{
	char name[PL_FANOUT_NAME];
	int n;

	pl_fanout_name(id, name);
	n = snprintf(ret_path, PL_POOL_PATH, ".pleach/%s/%s", pool, name);
	pl_assert(n > 0 && n < PL_POOL_PATH);
}

/* ---- the names in a pool ---- */

/* One of the 256 directories. */
static int check_fanout(struct pl_checking *c, const char *pool, int pool_fd, const char *digits,
			int (*visit)(struct pl_checking *c, const struct pl_id *id,
				     struct pleach_error *error),
			struct pleach_error *error)
{
	PL_CLOSE int fd = pl_open_dir(pool_fd, digits);
	struct pl_listing listing = {0};
	char path[64];
	int r = fd < 0 ? fd : pl_list(fd, &listing);

	(void)snprintf(path, sizeof(path), ".pleach/%s/%.2s", pool, digits);
	if (r < 0 && r != -ENOENT)
		r = pl_checking_cannot(c, r, "name", path, error);
	else
		r = 0;
	for (size_t i = 0; r >= 0 && i < listing.n; i++) {
		const char *name = listing.entries[i].name;
		char hex[PL_ID_HEX + 1];
		struct pl_id id;
		bool is_id = strlen(name) == PL_ID_HEX - 2;

		if (pl_checking_is_leftover(name))
			continue;
		if (is_id) {
			(void)snprintf(hex, sizeof(hex), "%.2s%s", digits, name);
			/* a directory is nothing that was damaged */
			is_id = pl_id_parse(hex, &id) == 0 &&
				(pl_dirent_is(fd, &listing.entries[i], S_IFREG) ||
				 !pl_dirent_is(fd, &listing.entries[i], S_IFDIR));
		}
		r = is_id ? visit(c, &id, error) : pl_checking_stray(c, path, name, error);
	}
	pl_listing_done(&listing);
	return r;
}

int pl_checking_pool(struct pl_checking *c, const char *pool, int pool_fd,
		     int (*visit)(struct pl_checking *c, const struct pl_id *id,
				  struct pleach_error *error),
		     struct pleach_error *error)
{
	struct pl_listing listing = {0};
	char path[32];
	int r = pl_list(pool_fd, &listing);

	(void)snprintf(path, sizeof(path), ".pleach/%s", pool);
	if (r < 0)
		r = pl_checking_cannot(c, r, "name", path, error);
	for (size_t i = 0; r >= 0 && i < listing.n; i++) {
		const char *name = listing.entries[i].name;

		if (pl_checking_is_leftover(name))
			continue;
		if (strlen(name) == 2 && pl_is_hex(name, 2) &&
		    pl_dirent_is(pool_fd, &listing.entries[i], S_IFDIR))
			r = check_fanout(c, pool, pool_fd, name, visit, error);
		else
			r = pl_checking_stray(c, path, name, error);
	}
	pl_listing_done(&listing);
	return r;
}

/* ---- one object ---- */

static int note(struct pl_checking *c, const struct pl_id *id, uint64_t what,
		struct pleach_error *error)
{
	return pl_map_put(&c->objects, id, what) < 0 ? pl_fail_memory(error) : 0;
}

/* The inode, as far as it can be told apart by its number alone. */
static uint64_t inode_of(struct pl_checking *c, const struct stat *st)
{
	if (c->objects_dev == 0)
		c->objects_dev = st->st_dev;
	return st->st_dev == c->objects_dev && st->st_ino <= INO_MASK ? st->st_ino : 0;
}

static int tell_bad(struct pl_checking *c, const char *path, const char *why,
		    struct pleach_error *error)
{
	if (strcmp(why, "kind") == 0)
		return pl_checking_fault(c, error, "object", path, "is no regular file");
	if (strcmp(why, "size") == 0)
		return pl_checking_fault(c, error, "object", path, "has a size that no object has");
	return pl_checking_fault(c, error, "object", path,
				 "is not what its name says: content or metadata were changed");
}

/* An object that is looked at for the first time: opened, read by any thread, judged in order. */
struct look {
	struct pl_id id;
	int fd, r;
	uint64_t what;
	struct stat st;
	const char *why;
};

/* 1, or 0 if there is no such. */
static int look_open(struct pl_checking *c, const struct pl_id *id, struct look *ret)
{
	struct look l = {.id = *id, .why = "", .fd = pl_store_find(c->store, 'o', id)};
	char name[PL_FANOUT_NAME];

	if (l.fd == -ENOENT)
		return 0;
	l.r = l.fd;
	pl_fanout_name(id, name);
	if (l.fd == -EACCES && pl_lstat(c->store->objects_fd, name, &l.st) >= 0)
		l.what = UNREAD;
	*ret = l;
	return 1;
}

/* By any thread (O3). */
static void look_read(struct look *l)
{
	if (l->fd < 0)
		return;
	l->r = pl_object_verify_alone(l->fd, &l->id, &l->st, &l->why);
	pl_closep(&l->fd);
	l->fd = -EBADF;
}

static int look_judge(struct pl_checking *c, const struct look *l, struct pleach_error *error)
{
	const struct pl_subject before = pl_checking_about(c, PL_SUBJECT_OBJECT, &l->id, 0);
	char path[PL_POOL_PATH];
	uint64_t what = l->what;
	int r = l->r;

	pl_checking_pool_path("objects", &l->id, path);
	if (r >= 0) {
		c->counts.objects++;
	} else if (r == -EBADMSG) {
		what = BAD;
		r = tell_bad(c, path, l->why, error);
	} else {
		what = what ? what : BAD;
		r = pl_checking_cannot(c, r, "object", path, error);
	}
	c->subject = before;
	if (r >= 0)
		r = note(c, &l->id, what | inode_of(c, &l->st), error);
	return r < 0 ? r : pl_checking_step(c, (uint64_t)l->st.st_size, error);
}

/* 1, or 0 if there is no such. */
static int look(struct pl_checking *c, const struct pl_id *id, struct pleach_error *error)
{
	struct look l;
	int r = look_open(c, id, &l);

	if (r <= 0)
		return r;
	look_read(&l);
	r = look_judge(c, &l, error);
	return r < 0 ? r : 1;
}

/* ---- all of them ---- */

struct looking {
	struct pl_checking *c;
	struct pl_crew *crew;
	struct pleach_error *error;
};

static int run(void *self, void *worker, void *task)
{
	(void)self;
	(void)worker;
	look_read(task);
	return 0;
}

static int deliver(void *self, void *task, int r)
{
	struct looking *looking = self;
	struct look *l = task;

	if (r >= 0)
		return look_judge(looking->c, l, looking->error);
	if (l->fd >= 0)
		pl_closep(&l->fd);
	return r;
}

static int visit(struct pl_checking *c, const struct pl_id *id, struct pleach_error *error)
{
	struct looking *looking = c->looking;
	struct look l;
	void *task;
	int r;

	(void)error; /* it is looking->error */
	if (pl_map_get(&c->objects, id) || look_open(c, id, &l) == 0)
		return 0; /* one that went away meanwhile was needed by nobody, or will be missed */
	r = pl_crew_task(looking->crew, &task);
	if (r < 0) {
		if (l.fd >= 0)
			pl_closep(&l.fd);
		return r;
	}
	*(struct look *)task = l;
	return pl_crew_submit(looking->crew);
}

int pl_check_objects(struct pl_checking *c, struct pleach_error *error)
{
	struct looking looking = {.c = c, .error = error};
	const struct pl_crew_work work = {.run = run,
					  .deliver = deliver,
					  .self = &looking,
					  .task_size = sizeof(struct look),
					  .slots_each = 8,
					  .alone_until = 64};
	int r = pl_crew_new(&work, c->check->jobs, &looking.crew), finished;

	if (r < 0)
		return pl_fail_memory(error);
	c->looking = &looking;
	r = pl_checking_pool(c, "objects", c->store->objects_fd, visit, error);
	finished = r < 0 ? 0 : pl_crew_finish(looking.crew);
	pl_crew_free(looking.crew);
	c->looking = NULL;
	return r < 0 ? r : finished;
}

int pl_checking_object(struct pl_checking *c, const struct pl_id *object,
		       const struct pl_node *node, const struct pl_entry *entry,
		       struct pleach_error *error)
{
	char path[PL_POOL_PATH], hex[PL_ID_HEX + 1], name[PL_NAME_MAX + 1];
	struct pl_subject before;
	int r = pl_map_get(&c->objects, object) ? 1 : look(c, object, error); /* O2 */

	if (r != 0)
		return r < 0 ? r : 0;
	pl_checking_pool_path("objects", object, path);
	pl_entry_name(entry, name);
	before = pl_checking_about(c, PL_SUBJECT_OBJECT, object, 0);
	r = pl_checking_fault(c, error, "object", path, "is missing: node %s needs it for '%s'",
			      pl_id_hex(&node->id, hex), name);
	c->subject = before;
	return r < 0 ? r : note(c, object, BAD, error);
}

/* ---- inodes ---- */

bool pl_checking_is_object(const struct pl_checking *c, const struct pl_id *object,
			   const struct stat *st)
{
	const uint64_t *what = pl_map_get(&c->objects, object);

	return what && (*what & INO_MASK) != 0 && (*what & INO_MASK) == st->st_ino &&
	       c->objects_dev == st->st_dev;
}

bool pl_checking_is_verified(const struct pl_checking *c, const struct pl_id *object,
			     const struct stat *st)
{
	const uint64_t *what = pl_map_get(&c->objects, object);
	struct pl_copy_key key = {.dev = st->st_dev, .ino = st->st_ino, .object = *object};

	if (what && !(*what & (UNREAD | BAD)) && pl_checking_is_object(c, object, st)) /* O1 */
		return true;
	return pl_map_get(&c->copies, &key) != NULL;
}

int pl_checking_note_copy(struct pl_checking *c, const struct pl_id *object, const struct stat *st,
			  struct pleach_error *error)
{
	struct pl_copy_key key = {.dev = st->st_dev, .ino = st->st_ino, .object = *object};

	_Static_assert(sizeof(key) == 48, "no padding: it is hashed as it is");
	return pl_map_put(&c->copies, &key, 1) < 0 ? pl_fail_memory(error) : 0;
}

int pl_checking_note_object(struct pl_checking *c, const struct pl_id *object,
			    const struct stat *st, struct pleach_error *error)
{
	return note(c, object, inode_of(c, st), error);
}

bool pl_checking_is_sound(const struct pl_checking *c, const struct pl_id *object)
{
	const uint64_t *what = pl_map_get(&c->objects, object);

	return what && !(*what & (UNREAD | BAD));
}
