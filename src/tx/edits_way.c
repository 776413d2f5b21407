/*
 * Which way edits are made for a transaction, and what the two ways have in common.
 */
#include "object/xattr.h"
#include "tx/edits.h"

int pl_edit_ops_of(struct pl_tx *tx, const struct pl_edit_ops **ret_ops, struct pleach_error *error)
{
	if (tx->edits || tx->workspace.path) {
		*ret_ops = tx->edits ? &pl_edit_in_memory : &pl_edit_in_directory;
		return 0;
	}
	pl_fail(error, PLEACH_FAILED, -EOPNOTSUPP, "the workspace '%s' is seen by programs alone",
		tx->note.workspace);
	pl_hint(error, "begin with the workspace \"none\" for edits by the library");
	return -EOPNOTSUPP;
}

/* ---- errors ---- */

int pl_edit_fail(int r, const char *what, const char *path, struct pleach_error *error)
{
	pl_fail_sys(error, r, "cannot %s '%s'", what, path);
	if (r == -ENOENT && error)
		error->code = PLEACH_NOT_FOUND;
	pl_error_path(error, path);
	return r;
}

int pl_edit_fail_meta(int r, const char *why, const char *path, struct pleach_error *error)
{
	if (r == -ENOMEM)
		return pl_fail_memory(error);
	if (!why || (r != -EPERM && r != -E2BIG))
		return pl_edit_fail(r, "set the metadata of", path, error);
	pl_fail(error, PLEACH_FAILED, r, "'%s' could not be restored exactly: %s", path, why);
	pl_error_path(error, path);
	return r;
}

/* ---- metadata ---- */

void pl_edit_default(struct pl_meta *meta, char kind)
{
	struct timespec now;

	pl_clock_wall(&now);
	*meta = (struct pl_meta){.mode = kind == PLEACH_SYMLINK ? 0777
					 : kind == PLEACH_DIR	? 0755
								: 0644,
				 .uid = pl_uid(),
				 .gid = pl_gid(),
				 .mtime_s = now.tv_sec,
				 .mtime_ns = (uint32_t)now.tv_nsec};
}

/* The first by name behind `last`; NULL: there is none. */
static const struct pleach_xattr *next_xattr(const struct pleach_metadata *m,
					     const struct pleach_xattr *last)
{
	const struct pleach_xattr *best = NULL;

	for (size_t i = 0; i < m->n_xattrs; i++) {
		const struct pleach_xattr *x = &m->xattrs[i];

		if (!x->name || (last && strcmp(x->name, last->name) <= 0))
			continue;
		if (!best || strcmp(x->name, best->name) < 0)
			best = x;
	}
	return best;
}

static int add_xattr(const struct pleach_xattr *x, struct pl_buffer *room)
{
	if (!pl_xattr_is_kept(x->name, strlen(x->name)) || (!x->value && x->length > 0))
		return -EINVAL;
	if (x->length > PL_XATTR_VALUE_MAX || room->length > PL_XATTRS_MAX)
		return -E2BIG;
	pl_xattrs_add_head(room, x->name, x->length);
	pl_buffer_add(room, x->value, x->length);
	return 0;
}

/* As metadata keep them: sorted, each name once. They are few, so that none is sorted but each looked for. */
static int add_xattrs(const struct pleach_metadata *m, struct pl_buffer *room)
{
	const struct pleach_xattr *last = NULL;

	if (m->n_xattrs > 0 && !m->xattrs)
		return -EINVAL;
	for (size_t done = 0; done < m->n_xattrs; done++) {
		int r;

		last = next_xattr(m, last);
		r = last ? add_xattr(last, room) : -EINVAL; /* a name twice, or none */
		if (r < 0)
			return r;
	}
	if (!pl_buffer_ok(room))
		return -ENOMEM;
	return room->length > PL_XATTRS_MAX ? -E2BIG : 0;
}

static bool is_valid(const struct pleach_metadata *m)
{
	const unsigned all =
		PLEACH_SET_MODE | PLEACH_SET_OWNER | PLEACH_SET_MTIME | PLEACH_SET_XATTRS;

	return !(m->set & ~all) && !(m->set & PLEACH_SET_MODE && m->mode > 07777) &&
	       !(m->set & PLEACH_SET_MTIME && m->mtime_ns >= 1000000000) &&
	       !(m->set & PLEACH_SET_OWNER &&
		 (m->uid == PLEACH_NO_OWNER || m->gid == PLEACH_NO_OWNER));
}

int pl_edit_change_meta(struct pl_meta *meta, char kind, const struct pleach_metadata *m,
			struct pl_buffer *room)
{
	int r = is_valid(m) ? 0 : -EINVAL;

	if (r >= 0 && m->set & PLEACH_SET_XATTRS)
		r = add_xattrs(m, room);
	if (r < 0)
		return r;
	if (m->set & PLEACH_SET_MODE && kind != PLEACH_SYMLINK) /* which has none of its own */
		meta->mode = (uint16_t)m->mode;
	if (m->set & PLEACH_SET_OWNER) {
		meta->uid = m->uid;
		meta->gid = m->gid;
	}
	if (m->set & PLEACH_SET_MTIME) {
		meta->mtime_s = m->mtime_s;
		meta->mtime_ns = m->mtime_ns;
	}
	if (m->set & PLEACH_SET_XATTRS) {
		meta->xattrs = room->length > 0 ? room->data : NULL;
		meta->xattrs_length = (uint32_t)room->length;
	}
	return 0;
}
