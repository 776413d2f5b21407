/*
 * Totals as values: what one subtree comes to, and how entries are counted in. No node is read here;
 * node.c sums up a node that was read, build.c one that is being built, and both by these functions,
 * so that they cannot disagree.
 *
 * T1  A sum never wraps: what would is refused, and the totals stay as they were.
 * T2  depth is at most PL_DEPTH_MAX, and of what lies below a directory one less for each level.
 */
#include "tree/inner.h"

#define OVERLAY_TRUSTED "trusted.overlay."
#define OVERLAY_USER	"user.overlay."
#define ODDITIES	(PL_ODD_WHITEOUT | PL_ODD_DEVICE | PL_ODD_OVERLAY)

bool pl_totals_equal(const struct pl_totals *a, const struct pl_totals *b)
{
	return a->entries == b->entries && a->files == b->files && a->bytes == b->bytes &&
	       a->groups == b->groups && a->depth == b->depth && a->xattrs == b->xattrs &&
	       a->oddities == b->oddities;
}

/* The fields bound each other: a group has two members at least that are no directories, and every
 * level is a directory. A number that stands against this would be believed by nobody's sum. */
const char *pl_totals_flaw(const struct pl_totals *t)
{
	uint64_t others;

	if (t->depth > PL_DEPTH_MAX)
		return "too deep";
	if (t->depth > t->entries)
		return "deeper than it has entries";
	others = t->entries - t->depth;
	if (t->files > others)
		return "more files than entries";
	if (t->files == 0 && t->bytes > 0)
		return "bytes without files";
	if (t->groups > others / 2)
		return "more groups than entries for them";
	if (t->xattrs > PL_XATTRS_MAX)
		return "too many extended attributes";
	if (t->oddities & ~ODDITIES)
		return "unknown oddities";
	if ((t->oddities & (PL_ODD_WHITEOUT | PL_ODD_DEVICE)) && t->files >= others)
		return "a device that is no entry";
	if ((t->oddities & PL_ODD_OVERLAY) && t->xattrs == 0)
		return "an extended attribute where there are none";
	return NULL;
}

static bool has_prefix(const char *name, size_t length, const char *prefix)
{
	size_t prefix_length = strlen(prefix);

	return length >= prefix_length && memcmp(name, prefix, prefix_length) == 0;
}

void pl_totals_add_meta(struct pl_totals *totals, const struct pl_meta *meta)
{
	const unsigned char *value;
	size_t name_length, length;
	uint32_t offset = 0;
	const char *name;

	pl_assert(meta->xattrs_length <= PL_XATTRS_MAX);
	pl_assert(meta->xattrs || meta->xattrs_length == 0);
	if (meta->xattrs_length > totals->xattrs)
		totals->xattrs = meta->xattrs_length;
	while (meta->xattrs_length > 0 &&
	       pl_meta_xattr_next(meta, &offset, &name, &name_length, &value, &length) > 0) {
		if (has_prefix(name, name_length, OVERLAY_TRUSTED) ||
		    has_prefix(name, name_length, OVERLAY_USER))
			totals->oddities |= PL_ODD_OVERLAY;
	}
}

static int add_below(struct pl_totals *totals, const struct pl_totals *below)
{
	pl_assert(!pl_totals_flaw(below));
	if (below->depth >= PL_DEPTH_MAX) /* T2 */
		return -EOVERFLOW;
	if (__builtin_add_overflow(totals->entries, below->entries, &totals->entries) ||
	    __builtin_add_overflow(totals->files, below->files, &totals->files) ||
	    __builtin_add_overflow(totals->bytes, below->bytes, &totals->bytes) ||
	    __builtin_add_overflow(totals->groups, below->groups, &totals->groups))
		return -EOVERFLOW; /* T1 */
	if (below->depth + 1 > totals->depth)
		totals->depth = below->depth + 1;
	if (below->xattrs > totals->xattrs)
		totals->xattrs = below->xattrs;
	totals->oddities |= below->oddities;
	return 0;
}

int pl_totals_add(struct pl_totals *totals, const struct pl_entry *entry)
{
	struct pl_totals sum = *totals;
	bool is_device = entry->kind == PLEACH_CHAR || entry->kind == PLEACH_BLOCK;
	int r;

	if (__builtin_add_overflow(sum.entries, 1, &sum.entries))
		return -EOVERFLOW; /* T1 */
	if (entry->kind == PLEACH_DIR) {
		r = add_below(&sum, &entry->totals);
		if (r < 0)
			return r;
	} else {
		pl_totals_add_meta(&sum, &entry->meta);
	}
	if (entry->kind == PLEACH_FILE) {
		sum.files++; /* no more than entries */
		if (__builtin_add_overflow(sum.bytes, entry->size, &sum.bytes))
			return -EOVERFLOW; /* T1 */
	}
	if (is_device && entry->major == 0 && entry->minor == 0)
		sum.oddities |= PL_ODD_WHITEOUT;
	else if (is_device)
		sum.oddities |= PL_ODD_DEVICE;
	pl_assert(sum.files <= sum.entries && sum.depth <= sum.entries);
	pl_assert(sum.depth <= PL_DEPTH_MAX); /* T2 */
	*totals = sum;
	return 0;
}

int pl_totals_add_groups(struct pl_totals *totals, uint64_t n_groups)
{
	uint64_t sum;

	if (__builtin_add_overflow(totals->groups, n_groups, &sum))
		return -EOVERFLOW; /* T1 */
	totals->groups = sum;
	return 0;
}
