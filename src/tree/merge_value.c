/*
 * merge_value - see merge_value.h.
 *
 * V1  A field that both sides changed alike counts for neither.
 * V2  A file is one value: both sides may change it only if one of them changed the content and they
 *     touched different fields. A directory is a value for each field.
 * V3  What is made keeps the rules of format.md, or it is a conflict: two sets of xattrs that each
 *     fit may not fit together.
 */
#include "tree/merge_value.h"

#include <stdlib.h>

enum { CONTENT = 1, MODE = 2, OWNER = 4, MTIME = 8, XATTRS = 16 };

/* Fields that just one side changed, and those that both did, differently. */
struct touched {
	unsigned head, tx, both;
};

/* ---- keeping ---- */

struct pl_kept_entry *pl_keep_entry(const struct pl_entry *entry)
{
	PL_BUFFER bytes = {0};
	struct pl_kept_entry *kept;
	struct pl_reader reader;
	int r;

	pl_entry_encode(entry, &bytes);
	if (!pl_buffer_ok(&bytes))
		return NULL;
	kept = malloc(sizeof(*kept) + bytes.length);
	if (!kept)
		return NULL;
	memcpy(kept->bytes, bytes.data, bytes.length);
	reader = pl_reader_of(kept->bytes, bytes.length);
	r = pl_entry_decode(&reader, &kept->entry);
	pl_assert(r == 0 && reader.offset == bytes.length);
	return kept;
}

struct pl_kept_meta *pl_keep_meta(const struct pl_meta *meta)
{
	struct pl_kept_meta *kept = malloc(sizeof(*kept) + meta->xattrs_length);

	if (!kept)
		return NULL;
	kept->meta = *meta;
	if (meta->xattrs_length > 0) {
		memcpy(kept->xattrs, meta->xattrs, meta->xattrs_length);
		kept->meta.xattrs = kept->xattrs;
	}
	return kept;
}

/* ---- comparing ---- */

bool pl_merge_same(const struct pl_entry *a, const struct pl_entry *b)
{
	return a && b ? pl_entry_equal(a, b) : a == b;
}

static bool same_mtime(const struct pl_meta *a, const struct pl_meta *b)
{
	return a->mtime_s == b->mtime_s && a->mtime_ns == b->mtime_ns;
}

static bool same_owner(const struct pl_meta *a, const struct pl_meta *b)
{
	return a->uid == b->uid && a->gid == b->gid;
}

void pl_merge_later_mtime(struct pl_meta *meta, const struct pl_meta *other)
{
	if (other->mtime_s < meta->mtime_s ||
	    (other->mtime_s == meta->mtime_s && other->mtime_ns <= meta->mtime_ns))
		return;
	meta->mtime_s = other->mtime_s;
	meta->mtime_ns = other->mtime_ns;
}

/* Notes a field down; true if what tx has of it is to be taken. */
static bool touch(struct touched *touched, unsigned field, bool head_is_base, bool tx_is_base,
		  bool is_alike)
{
	if (is_alike) /* V1 */
		return false;
	if (head_is_base)
		touched->tx |= field;
	else if (tx_is_base)
		touched->head |= field;
	else
		touched->both |= field;
	return head_is_base;
}

/* ---- xattrs ---- */

struct attribute {
	bool is_there;
	const char *name;
	size_t name_length;
	const unsigned char *value;
	size_t length;
	uint32_t offset;
};

static void advance(const struct pl_meta *meta, struct attribute *a)
{
	a->is_there = meta->xattrs_length > 0 &&
		      pl_meta_xattr_next(meta, &a->offset, &a->name, &a->name_length, &a->value,
					 &a->length) > 0;
}

static int compare_names(const struct attribute *a, const struct attribute *b)
{
	size_t n = a->name_length < b->name_length ? a->name_length : b->name_length;
	int c = memcmp(a->name, b->name, n);

	return c != 0 ? c : (a->name_length > b->name_length) - (a->name_length < b->name_length);
}

static bool same_value(const struct attribute *a, const struct attribute *b)
{
	return a && b ? a->length == b->length && memcmp(a->value, b->value, a->length) == 0
		      : a == b;
}

static void add_attribute(struct pl_buffer *b, const struct attribute *a)
{
	pl_buffer_add_u8(b, (uint8_t)a->name_length);
	pl_buffer_add(b, a->name, a->name_length);
	pl_buffer_add_u32(b, (uint32_t)a->length);
	pl_buffer_add(b, a->value, a->length);
}

/* Base, head and tx at once, name by name. */
static void merge_xattrs(const struct pl_meta *const metas[3], struct touched *touched,
			 struct pl_buffer *ret_xattrs)
{
	struct attribute next[3] = {0};

	for (int s = 0; s < 3; s++)
		advance(metas[s], &next[s]);
	for (;;) {
		const struct attribute *first = NULL, *at[3] = {0}, *taken;
		struct attribute now[3];

		for (int s = 0; s < 3; s++) {
			if (next[s].is_there && (!first || compare_names(&next[s], first) < 0))
				first = &next[s];
		}
		if (!first)
			return;
		memcpy(now, next, sizeof(now));
		first = &now[first - next];
		for (int s = 0; s < 3; s++) {
			if (!now[s].is_there || compare_names(&now[s], first) != 0)
				continue;
			at[s] = &now[s];
			advance(metas[s], &next[s]);
		}
		taken = touch(touched, XATTRS, same_value(at[0], at[1]), same_value(at[0], at[2]),
			      same_value(at[1], at[2]))
				? at[2]
				: at[1];
		if (taken)
			add_attribute(ret_xattrs, taken);
	}
}

/* ---- metadata ---- */

/* `ret_meta` points into `xattrs`. Where both changed a field it has head's; of mtimes the later. */
static void merge_metas(const struct pl_meta *base, const struct pl_meta *head,
			const struct pl_meta *tx, struct touched *touched, struct pl_buffer *xattrs,
			struct pl_meta *ret_meta)
{
	const struct pl_meta *const metas[3] = {base, head, tx};
	struct pl_meta meta = *head;

	if (touch(touched, MODE, head->mode == base->mode, tx->mode == base->mode,
		  head->mode == tx->mode))
		meta.mode = tx->mode;
	if (touch(touched, OWNER, same_owner(head, base), same_owner(tx, base),
		  same_owner(head, tx))) {
		meta.uid = tx->uid;
		meta.gid = tx->gid;
	}
	if (touch(touched, MTIME, same_mtime(head, base), same_mtime(tx, base),
		  same_mtime(head, tx))) {
		meta.mtime_s = tx->mtime_s;
		meta.mtime_ns = tx->mtime_ns;
	} else if (!same_mtime(tx, base)) {
		pl_merge_later_mtime(&meta, tx);
	}
	merge_xattrs(metas, touched, xattrs);
	meta.xattrs_length = (uint32_t)xattrs->length;
	meta.xattrs = xattrs->length > 0 ? xattrs->data : NULL;
	if (xattrs->length > PL_XATTRS_MAX) { /* V3; no more than three times that, so it fits */
		touched->both |= XATTRS;
		meta.xattrs_length = 0;
		meta.xattrs = NULL;
	}
	*ret_meta = meta;
}

int pl_merge_decide_meta(const struct pl_meta *base, const struct pl_meta *head,
			 const struct pl_meta *tx, struct pl_kept_meta **ret_made)
{
	PL_BUFFER xattrs = {0};
	struct touched touched = {0};
	struct pl_meta meta = *head;
	bool is_conflict;

	if (base) {
		merge_metas(base, head, tx, &touched, &xattrs, &meta);
		is_conflict = (touched.both & ~(unsigned)MTIME) != 0;
	} else {
		is_conflict = !pl_meta_equal_but_mtime(head, tx);
		pl_merge_later_mtime(&meta, tx);
	}
	if (!pl_buffer_ok(&xattrs))
		return -ENOMEM;
	if (is_conflict)
		return PL_VERDICT_CONFLICT;
	if (pl_meta_equal(&meta, head))
		return PL_VERDICT_HEAD;
	if (pl_meta_equal(&meta, tx))
		return PL_VERDICT_TX;
	*ret_made = pl_keep_meta(&meta);
	return *ret_made ? PL_VERDICT_MADE : -ENOMEM;
}

/* ---- entries ---- */

/* There was nothing, or something of another kind: only mtimes may differ. */
static int decide_new(const struct pl_entry *head, const struct pl_entry *tx)
{
	struct pl_meta later = head->meta;

	if (head->kind != tx->kind || !pl_entry_content_equal(head, tx) ||
	    !pl_meta_equal_but_mtime(&head->meta, &tx->meta))
		return PL_VERDICT_CONFLICT;
	pl_merge_later_mtime(&later, &tx->meta);
	return same_mtime(&later, &head->meta) ? PL_VERDICT_HEAD : PL_VERDICT_TX;
}

static int decide_fields(const struct pl_entry *base, const struct pl_entry *head,
			 const struct pl_entry *tx, struct pl_kept_entry **ret_made)
{
	PL_BUFFER xattrs = {0};
	struct touched touched = {0};
	struct pl_entry made = *head;

	if (touch(&touched, CONTENT, pl_entry_content_equal(head, base),
		  pl_entry_content_equal(tx, base), pl_entry_content_equal(head, tx)))
		made = *tx;
	merge_metas(&base->meta, &head->meta, &tx->meta, &touched, &xattrs, &made.meta);
	if (!pl_buffer_ok(&xattrs))
		return -ENOMEM;
	if (touched.both)
		return PL_VERDICT_CONFLICT;
	if (!touched.tx)
		return PL_VERDICT_HEAD; /* V1 */
	if (!touched.head)
		return PL_VERDICT_TX;
	if (!((touched.head | touched.tx) & CONTENT)) /* V2 */
		return PL_VERDICT_CONFLICT;
	*ret_made = pl_keep_entry(&made);
	return *ret_made ? PL_VERDICT_MADE : -ENOMEM;
}

int pl_merge_decide(const struct pl_entry *base, const struct pl_entry *head,
		    const struct pl_entry *tx, struct pl_kept_entry **ret_made)
{
	pl_assert(!head || head->kind != PLEACH_DIR);
	pl_assert(!tx || tx->kind != PLEACH_DIR);
	if (pl_merge_same(base, tx) || pl_merge_same(head, tx))
		return PL_VERDICT_HEAD;
	if (pl_merge_same(base, head))
		return PL_VERDICT_TX;
	if (!head || !tx)
		return PL_VERDICT_CONFLICT;
	if (!base || base->kind == PLEACH_DIR ||
	    (base->kind != head->kind && head->kind == tx->kind))
		return decide_new(head, tx);
	if (base->kind != head->kind || base->kind != tx->kind)
		return PL_VERDICT_CONFLICT;
	return decide_fields(base, head, tx, ret_made);
}

bool pl_merge_may_append(const struct pl_entry *base, const struct pl_entry *head,
			 const struct pl_entry *tx)
{
	if (!head || !tx || head->kind != PLEACH_FILE || tx->kind != PLEACH_FILE)
		return false;
	/* The result has head's metadata: what tx did to them must not be lost. */
	if (!base)
		return pl_meta_equal_but_mtime(&head->meta, &tx->meta);
	return base->kind == PLEACH_FILE && !pl_entry_content_equal(base, head) &&
	       !pl_entry_content_equal(base, tx) &&
	       (pl_meta_equal_but_mtime(&base->meta, &tx->meta) ||
		pl_meta_equal_but_mtime(&head->meta, &tx->meta));
}
