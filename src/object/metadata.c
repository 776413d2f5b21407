/*
 * metadata.c - metadata as a value: its encoding, the rules that reduce it, and the object id that it
 * is part of. Pure; no file is touched. The encoding of xattrs is xattr.c's.
 *
 * M1  What is encoded keeps every rule of format.md, "Metadata": mode at most 07777, nanoseconds below
 *     one milliard, an owner recorded wholly or not at all, xattrs as X1.
 * M2  What is decoded keeps them too, or is refused: nothing behind pl_meta_decode() looks again.
 */
#include "object/hash.h"
#include "object/xattr.h"

#define NS_PER_S 1000000000u
/* mode, uid, gid, mtime_s, mtime_ns, and the length of the xattrs. */
#define FIXED_LENGTH (2 + 4 + 4 + 8 + 4 + 4)

static bool same_xattrs(const struct pl_meta *a, const struct pl_meta *b)
{
	return a->xattrs_length == b->xattrs_length &&
	       (a->xattrs_length == 0 || memcmp(a->xattrs, b->xattrs, a->xattrs_length) == 0);
}

bool pl_meta_equal_but_mtime(const struct pl_meta *a, const struct pl_meta *b)
{
	return a->mode == b->mode && a->uid == b->uid && a->gid == b->gid && same_xattrs(a, b);
}

bool pl_meta_equal(const struct pl_meta *a, const struct pl_meta *b)
{
	return a->mtime_s == b->mtime_s && a->mtime_ns == b->mtime_ns &&
	       pl_meta_equal_but_mtime(a, b);
}

/* ---- encoding ---- */

static bool is_valid(const struct pl_meta *meta)
{
	return meta->mode <= 07777 && meta->mtime_ns < NS_PER_S &&
	       (meta->uid == PLEACH_NO_OWNER) == (meta->gid == PLEACH_NO_OWNER) &&
	       (meta->xattrs != NULL) == (meta->xattrs_length > 0) &&
	       pl_xattrs_are_valid(meta->xattrs, meta->xattrs_length);
}

static unsigned char *put(unsigned char *to, uint64_t value, unsigned n_bytes)
{
	for (unsigned i = n_bytes; i > 0; i--)
		*to++ = (unsigned char)(value >> (8 * (i - 1)));
	return to;
}

/* All but the xattrs; in an array, since an object id must not fail for want of memory. */
static void encode_fixed(const struct pl_meta *meta, unsigned char ret_bytes[FIXED_LENGTH])
{
	unsigned char *to = ret_bytes;

	pl_assert(is_valid(meta)); /* M1 */
	to = put(to, meta->mode, 2);
	to = put(to, meta->uid, 4);
	to = put(to, meta->gid, 4);
	to = put(to, (uint64_t)meta->mtime_s, 8);
	to = put(to, meta->mtime_ns, 4);
	to = put(to, meta->xattrs_length, 4);
	pl_assert(to == ret_bytes + FIXED_LENGTH);
}

void pl_meta_encode(const struct pl_meta *meta, struct pl_buffer *b)
{
	unsigned char fixed[FIXED_LENGTH];

	encode_fixed(meta, fixed);
	pl_buffer_add(b, fixed, sizeof(fixed));
	pl_buffer_add(b, meta->xattrs, meta->xattrs_length);
}

int pl_meta_decode(struct pl_reader *r, struct pl_meta *ret_meta)
{
	struct pl_meta meta = {0};

	meta.mode = pl_read_u16(r);
	meta.uid = pl_read_u32(r);
	meta.gid = pl_read_u32(r);
	meta.mtime_s = (int64_t)pl_read_u64(r);
	meta.mtime_ns = pl_read_u32(r);
	meta.xattrs_length = pl_read_u32(r);
	if (r->short_read || meta.xattrs_length > PL_XATTRS_MAX)
		return -EBADMSG;
	if (meta.xattrs_length > 0) {
		meta.xattrs = pl_read_bytes(r, meta.xattrs_length);
		if (!meta.xattrs)
			return -EBADMSG;
	}
	if (!is_valid(&meta)) /* M2 */
		return -EBADMSG;
	*ret_meta = meta;
	return 0;
}

/* ---- rules ---- */

static const char *const rule_names[] = {
	[PL_RULE_EXACT] = "exact",
	[PL_RULE_PORTABLE] = "portable",
	[PL_RULE_CANONICAL] = "canonical",
};

int pl_rule_parse(const char *name, enum pl_rule *ret_rule)
{
	for (size_t i = 0; i < PL_ARRAY_LEN(rule_names); i++) {
		if (strcmp(name, rule_names[i]) == 0) {
			*ret_rule = (enum pl_rule)i;
			return 0;
		}
	}
	return -EINVAL;
}

const char *pl_rule_name(enum pl_rule rule)
{
	pl_assert((size_t)rule < PL_ARRAY_LEN(rule_names));
	return rule_names[rule];
}

void pl_meta_reduce(struct pl_meta *meta, char kind, enum pl_rule rule)
{
	bool is_executable = kind == PLEACH_DIR || (kind == PLEACH_FILE && (meta->mode & 0111));

	pl_assert((size_t)rule < PL_ARRAY_LEN(rule_names));
	if (rule == PL_RULE_EXACT)
		return;
	*meta = (struct pl_meta){
		.mode = is_executable ? 0755 : 0644,
		.uid = PLEACH_NO_OWNER,
		.gid = PLEACH_NO_OWNER,
	};
	if (kind == PLEACH_SYMLINK)
		meta->mode = 0777;
	else if (rule == PL_RULE_CANONICAL)
		meta->mode &= 0555;
}

/* ---- object ids ---- */

void pl_object_id(const struct pl_meta *meta, uint64_t size, const struct pl_id *content,
		  struct pl_id *ret_id)
{
	static const char magic[] = "pleach object 1\n";
	unsigned char fixed[FIXED_LENGTH], size_bytes[8];
	struct pl_hash hash;

	encode_fixed(meta, fixed);
	put(size_bytes, size, sizeof(size_bytes));
	pl_hash_begin(&hash);
	pl_hash_add(&hash, magic, strlen(magic));
	pl_hash_add(&hash, fixed, sizeof(fixed));
	pl_hash_add(&hash, meta->xattrs, meta->xattrs_length);
	pl_hash_add(&hash, size_bytes, sizeof(size_bytes));
	pl_hash_add(&hash, content->bytes, sizeof(content->bytes));
	pl_hash_end(&hash, ret_id);
}
