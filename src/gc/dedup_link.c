/*
 * A name of one file made a name of an equal one, the leader, in one step.
 *
 *	1. the leader gets a further name in the private directory
 *	2. that and the name that is to be replaced trade places
 *	3. what came out is looked at, and the leader; one is not what was read, or somebody could still write to
 *	   it: back
 *	4. what came out is unlinked
 *
 * L1  Whatever somebody puts at the name meanwhile is not lost: after 2 it is in our hands, and goes back (in
 *     between, some microseconds, the name shows once more what it showed before). Only where names cannot
 *     trade places (NFS, most of FUSE) the look comes before a plain rename.
 * L2  Ended anywhere, the name leads to the content, and what is in the private directory is a further name of
 *     one of the two files. (Ended between 2 and 3, in the moment of a change as in L1, that change would go
 *     with the directory: two coincidences.)
 * L3  What a name comes to lead to is durable before 2 (dedup_sync()).
 * L4  The number of links that a file can have is known when the first EMLINK came. The file that met it becomes
 *     a leader itself. ENOSPC, EDQUOT (a directory that takes no more) leave a name as it is.
 */
#include <stdio.h>

#include "gc/dedup.h"

#define NAME  "l"
#define TRIES 100

struct leader {
	struct dedup_item *item;
	bool is_synced;
	bool is_looked; /* at a moment ago, and nothing but that since */
};

/* What cannot be told is no reason: then the looks have to do. */
static bool is_written(struct dedup_item *item)
{
	return pl_file_has_writers(item->fd, &item->has_asked) == 1;
}

int dedup_may_lead(struct dedup_item *item)
{
	struct dedup_look now;
	int r = dedup_look(item->fd, &now);

	if (r < 0)
		return r;
	if (!dedup_look_holds(&item->look, &now) || now.nlink == 0)
		return 0;
	item->look = now;
	return !is_written(item);
}

/* What a change of names leaves as it is. */
static bool content_holds(const struct dedup_look *then, const struct dedup_look *now)
{
	struct dedup_look same = *now;

	same.ctime = then->ctime;
	return dedup_look_holds(then, &same);
}

/* The leader's links and its time change with each name that it gets; nothing else may. -ESTALE: some has. */
static int follow(struct dedup_item *leader)
{
	struct dedup_look now;
	int r = dedup_look(leader->fd, &now);

	if (r >= 0 && !content_holds(&leader->look, &now))
		r = -ESTALE;
	if (r >= 0)
		leader->look = now;
	return r;
}

/* Right before, and still closely: 1; 0: it has changed. */
static int unchanged(struct dedup_item *item)
{
	struct dedup_look now;
	int r = dedup_look(item->fd, &now);

	if (r < 0 || !dedup_look_holds(&item->look, &now))
		return r < 0 ? r : 0;
	item->look = now;
	return 1;
}

/* 1: the name leads to `look`; else 0, and *ret_st. */
static int is_of(int dirfd, const char *name, const struct dedup_look *look, struct stat *ret_st)
{
	int r = pl_lstat(dirfd, name, ret_st);

	return r < 0 ? r : ret_st->st_dev == look->dev && ret_st->st_ino == look->ino;
}

/* ---- trading places ---- */

/* L1, where the way back fails: what is in our hands gets a name beside the one that it had. */
static int keep(int private_fd, const struct dedup_spot *spot)
{
	char digits[25], name[PL_NAME_MAX + 1];
	int r = pl_random_name(digits);

	(void)snprintf(name, sizeof(name), "%.*s.%s", PL_NAME_MAX - 25, spot->name, digits);
	return r < 0 ? r : pl_rename_new(private_fd, NAME, spot->dir->fd, name);
}

/* L1: back, until what comes out is the leader's name again. */
static int put_back(int private_fd, const struct dedup_spot *spot, const struct dedup_look *leader)
{
	struct stat st;

	for (int i = 0; i < TRIES; i++) {
		int r = pl_rename_exchange(private_fd, NAME, spot->dir->fd, spot->name);

		if (r ==
		    -ENOENT) /* the name is gone: what was at it may stay away no more than it */
			r = pl_rename_new(private_fd, NAME, spot->dir->fd, spot->name);
		else if (r >= 0)
			r = is_of(private_fd, NAME, leader, &st);
		if (r != 0)
			return r < 0 ? r : 0;
	}
	return -EBUSY;
}

/* Step 3. Less closely than before: a name that moves sets the time of its inode. What is seen is what there is from
 * now on, but for the name in our hands. 1 or 0. */
static int judge(int private_fd, struct dedup_item *leader, struct dedup_item *item)
{
	struct dedup_look now;
	struct stat st;
	int r = is_of(private_fd, NAME, &item->look, &st);

	if (r != 1)
		return r;
	now = dedup_look_of(&st);
	if (!content_holds(&item->look, &now) || is_written(item))
		return 0;
	item->look = now;
	r = follow(leader);
	if (r < 0)
		return r == -ESTALE ? 0 : r;
	return !is_written(leader);
}

/* 1: replaced; 0: not, since something has changed. */
static int exchange(int private_fd, const struct dedup_spot *spot, struct dedup_item *leader,
		    struct dedup_item *item)
{
	int r = pl_rename_exchange(private_fd, NAME, spot->dir->fd, spot->name);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	r = judge(private_fd, leader, item);
	if (r != 1) {
		int back = put_back(private_fd, spot, &leader->look);

		if (back < 0)
			(void)keep(private_fd, spot);
		r = back < 0 ? -EBUSY : r;
	}
	return r;
}

/* The same without L1. */
static int replace(int private_fd, const struct dedup_spot *spot, const struct dedup_item *item)
{
	struct stat st;
	int r = is_of(spot->dir->fd, spot->name, &item->look, &st);

	if (r == 1)
		r = pl_rename(private_fd, NAME, spot->dir->fd, spot->name);
	else if (r == 0 || r == -ENOENT)
		return 0;
	return r < 0 ? r : 1;
}

/* ---- one name ---- */

/* Who writes to the leader is looked for behind, with the name in our hands. 1, or -ESTALE. */
static int ready(struct dedup *d, struct leader *leader, struct dedup_root *root)
{
	int r = 0;

	if (!leader->is_synced)
		r = dedup_sync(d, root, leader->item->fd, &leader->item->look); /* L3 */
	if (r < 0)
		return r;
	leader->is_synced = true;
	if (leader->is_looked && r == 0)
		r = 1;
	else
		r = unchanged(leader->item);
	leader->is_looked = false;
	return r == 0 ? -ESTALE : r;
}

/* With a further name of the leader in our hands: 1: its place is that of the name; 0: left alone. */
static int take_place(int private_fd, struct leader *leader, struct dedup_item *item,
		      const struct dedup_spot *spot)
{
	int r = unchanged(item);

	if (r == 1)
		r = !is_written(item);
	if (r != 1)
		return r;
	dedup_dir_before(spot->dir);
	r = exchange(private_fd, spot, leader->item, item);
	if (r == -EOPNOTSUPP) {
		r = replace(private_fd, spot, item);
		(void)follow(leader->item);
	}
	dedup_dir_after(spot->dir);
	return r;
}

/* 1: it is a name of the leader now; 0: left alone. -EMLINK, -ENOENT, -ESTALE: the leader can have no more
 * names. */
static int link_name(struct dedup *d, struct leader *leader, struct dedup_item *item,
		     const struct dedup_spot *spot)
{
	bool is_first = spot->dir->root->beside.dir.fd < 0;
	int private_fd, r = dedup_beside(d, spot->dir->root, &private_fd);

	leader->is_looked &= !is_first; /* that took its time */
	if (r >= 0)
		r = ready(d, leader, spot->dir->root);
	if (r >= 0)
		r = pl_link_fd(leader->item->fd, private_fd, NAME);
	if (r < 0)
		return r;
	r = take_place(private_fd, leader, item, spot);
	/* Also behind a rename: of two names of one inode it does nothing. */
	if (r != -EBUSY)
		(void)pl_unlink(private_fd, NAME);
	if (r != 1) /* its time is another one; or it is seen when the next name comes */
		(void)follow(leader->item);
	return r;
}

/* Its look is from before its name went. */
static void count(struct dedup *d, struct dedup_item *item)
{
	d->result->linked++;
	item->is_last = item->look.nlink == 1;
	if (item->is_last)
		d->result->bytes_saved += item->look.size < item->look.allocated
						  ? item->look.size
						  : item->look.allocated;
}

/* What has lost its last name goes with its descriptor: a fifth of the whole time, for which nobody has to wait. */
static void let_go(struct dedup *d, struct dedup_item *item)
{
	if (item->fd < 0 || !item->is_last) {
		pl_closep(&item->fd);
		return;
	}
	if (!d->closer && !d->has_no_closer)
		d->has_no_closer = pl_closer_begin(&d->closer) < 0;
	pl_closer_take(d->closer, &item->fd);
}

/* What cannot be done with this name, but may be with others. */
static bool is_of_name(int r)
{
	return r == -EACCES || r == -EPERM || r == -EXDEV || r == -EROFS || r == -ENOSPC ||
	       r == -EDQUOT || r == -EIO || r == -EBUSY || r == -EOPNOTSUPP || r == -EMFILE ||
	       r == -EEXIST; /* what was replaced before could not be taken away */
}

/* 0; -EMLINK, -ENOENT, -ESTALE as above. */
static int link_one(struct dedup *d, struct leader *leader, struct dedup_item *item,
		    const struct dedup_name *name)
{
	struct dedup_spot spot;
	struct stat st;
	int r = dedup_spot_open(d, name, &spot);

	if (r >= 0)
		r = is_of(spot.dir->fd, spot.name, &leader->item->look, &st);
	if (r == 1)
		return 0; /* somebody else's doing */
	if (r == 0 && st.st_ino == item->look.ino && st.st_dev == item->look.dev)
		r = link_name(d, leader, item, &spot);
	else if (r == -ENOENT || r == -ENOTDIR || r == -ELOOP || r == -EXDEV)
		return 0; /* the name is gone */
	if (r == 1)
		count(d, item);
	else if (r == 0)
		d->result->left_alone++;
	if (r < 0 && is_of_name(r))
		r = dedup_finding(d, name, r, "cannot replace it");
	return r < 0 ? r : 0;
}

/* ---- items ---- */

void dedup_choose_leader(struct dedup_item *items, size_t n)
{
	size_t best = 0;
	struct dedup_item item;

	for (size_t i = 1; i < n; i++) {
		const struct dedup_look *a = &items[i].look, *b = &items[best].look;

		if (a->nlink > b->nlink || (a->nlink == b->nlink && a->ino < b->ino))
			best = i;
	}
	item = items[0];
	items[0] = items[best];
	items[best] = item;
}

static void pretend(struct dedup *d, const struct dedup_item *items, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct dedup_look *look = &items[i].look;

		d->result->linked += items[i].n_names;
		if (items[i].n_names >= look->nlink)
			d->result->bytes_saved +=
				look->size < look->allocated ? look->size : look->allocated;
	}
}

/* L4. */
static bool has_room(const struct dedup *d, const struct dedup_item *item)
{
	for (size_t i = 0; i < d->n_roots; i++)
		if (d->roots[i].dev == item->look.dev && d->roots[i].links_max > 0)
			return item->look.nlink < d->roots[i].links_max;
	return true;
}

static void note_full(struct dedup *d, const struct dedup_item *item)
{
	for (size_t i = 0; i < d->n_roots; i++)
		if (d->roots[i].dev == item->look.dev && item->look.nlink > 1)
			d->roots[i].links_max = item->look.nlink;
}

/* All names of one item. 0; 1: the item is the leader from now on. */
static int link_item(struct dedup *d, struct leader *leader, struct dedup_item *item)
{
	int r = dedup_item_open(d, item);

	if (r <= 0)
		return r;
	if (!has_room(d, leader->item))
		return 1;
	for (size_t i = 0; i < item->n_names; i++) {
		r = link_one(d, leader, item, &item->names[i]);
		if (r == -EMLINK)
			note_full(d, leader->item);
		if (r == -EMLINK || r == -ENOENT || r == -ESTALE)
			return 1;
		if (r >= 0)
			r = dedup_tick(d);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Of what the item could be made a leader of: unchanged, written to by nobody. 1 or 0. */
static int lead(struct dedup *d, struct leader *leader, struct dedup_item *item)
{
	int r = dedup_item_open(d, item);

	if (r == 1)
		r = dedup_may_lead(item);
	if (r == 1) {
		if (leader->item && leader->item != item)
			pl_closep(&leader->item->fd);
		*leader = (struct leader){.item = item, .is_looked = true};
	} else if (r == 0 && item->fd >= 0) {
		d->result->left_alone += item->n_names;
	}
	return r;
}

int dedup_link_items(struct dedup *d, struct dedup_item *first, struct dedup_item *items, size_t n)
{
	struct leader leader = {.item = first};
	int r = 0;

	if (!first)
		dedup_choose_leader(items, n);
	if (d->what->dry_run) {
		pretend(d, items + !first, n - !first);
		return 0;
	}
	for (size_t i = 0; r >= 0 && i < n; i++) {
		if (first && first->look.ino == items[i].look.ino)
			continue; /* it is what the index has */
		r = leader.item ? link_item(d, &leader, &items[i]) : 1;
		if (r == 1)
			r = lead(d, &leader, &items[i]);
		if (leader.item != &items[i])
			let_go(d, &items[i]);
	}
	return r < 0 ? r : 0;
}
