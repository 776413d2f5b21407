/*
 * Which way edits are made for a transaction, and what the two ways have in common.
 */
#include <stdio.h>

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

int pl_edit_fail(int r, const char *what, const char *path, struct pleach_error *error)
{
	pl_fail_sys(error, r, "cannot %s '%s'", what, path);
	if (r == -ENOENT && error)
		error->code = PLEACH_NOT_FOUND;
	pl_error_path(error, path);
	return r;
}

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

/* An attribute as metadata keeps it: sorted, each name once. */
static int add_xattrs(const struct pleach_metadata *m, struct pl_buffer *room)
{
	const struct pleach_xattr *last = NULL;

	/* Smallest first: they are few, and an array of the caller's is not to be sorted. */
	for (size_t done = 0; done < m->n_xattrs; done++) {
		const struct pleach_xattr *best = NULL;

		for (size_t i = 0; i < m->n_xattrs; i++) {
			const struct pleach_xattr *x = &m->xattrs[i];

			if ((!last || strcmp(x->name, last->name) > 0) &&
			    (!best || strcmp(x->name, best->name) < 0))
				best = x;
		}
		if (!best)
			return -EINVAL; /* one name twice */
		if (strlen(best->name) == 0 || strlen(best->name) > 255 ||
		    best->length > PL_XATTR_VALUE_MAX)
			return -EINVAL;
		pl_buffer_add_u8(room, (uint8_t)strlen(best->name));
		pl_buffer_add_string(room, best->name);
		pl_buffer_add_u32(room, (uint32_t)best->length);
		pl_buffer_add(room, best->value, best->length);
		last = best;
	}
	if (!pl_buffer_ok(room))
		return -ENOMEM;
	return room->length > PL_XATTRS_MAX ? -E2BIG : 0;
}

int pl_edit_change_meta(struct pl_meta *meta, const struct pleach_metadata *m,
			struct pl_buffer *room)
{
	int r;

	if ((m->set & PLEACH_SET_MODE && m->mode > 07777) ||
	    (m->set & PLEACH_SET_MTIME && m->mtime_ns >= 1000000000) ||
	    (m->set & PLEACH_SET_OWNER && (m->uid == PLEACH_NO_OWNER || m->gid == PLEACH_NO_OWNER)))
		return -EINVAL;
	if (m->set & PLEACH_SET_MODE)
		meta->mode = (uint16_t)m->mode;
	if (m->set & PLEACH_SET_OWNER) {
		meta->uid = m->uid;
		meta->gid = m->gid;
	}
	if (m->set & PLEACH_SET_MTIME) {
		meta->mtime_s = m->mtime_s;
		meta->mtime_ns = m->mtime_ns;
	}
	if (!(m->set & PLEACH_SET_XATTRS))
		return 0;
	r = add_xattrs(m, room);
	if (r < 0)
		return r;
	meta->xattrs = room->length > 0 ? room->data : NULL;
	meta->xattrs_length = (uint32_t)room->length;
	return 0;
}
