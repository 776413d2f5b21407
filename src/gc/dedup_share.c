/*
 * Equal files that come to have the same blocks: the kernel compares them once more, under its own locks, so
 * that no change can come between, and touches neither names nor metadata.
 */
#include "gc/dedup.h"

static uint64_t shareable(const struct dedup_item *item)
{
	return item->look.size < item->look.allocated ? item->look.size : item->look.allocated;
}

static int share_one(struct dedup *d, struct dedup_item *first, struct dedup_item *item)
{
	int r = pl_share_is_shared(first->fd, item->fd, item->look.size);

	if (r != 0)
		return r < 0 ? r : 0;
	r = d->what->dry_run ? 1 : pl_share_content(first->fd, item->fd, item->look.size);
	if (r == 1) {
		d->result->reflinked++;
		d->result->bytes_saved += shareable(item);
	} else if (r == 0) {
		d->result->left_alone++;
	} else if (r != -ENOMEM && r != -EINTR) {
		r = dedup_finding(d, item->names, r, "cannot share its blocks");
	}
	return r < 0 ? r : 0;
}

int dedup_share_items(struct dedup *d, struct dedup_item *items, size_t n)
{
	struct dedup_item *first = NULL;
	int r = 0;

	for (size_t i = 0; r >= 0 && i < n; i++) {
		if (shareable(&items[i]) == 0) /* all hole, or kept in the inode */
			continue;
		r = dedup_item_open(d, &items[i]);
		if (r != 1)
			continue;
		if (!first) {
			first = &items[i];
			continue;
		}
		r = share_one(d, first, &items[i]);
		pl_closep(&items[i].fd);
		if (r >= 0)
			r = dedup_tick(d);
	}
	return r < 0 ? r : 0;
}
