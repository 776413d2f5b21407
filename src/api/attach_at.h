/*
 * attach_at - inner header of api: attaching by a directory or a mount (attach_at.c), for attach.c.
 */
#ifndef PL_API_ATTACH_AT_H
#define PL_API_ATTACH_AT_H

#include "api/spot.h"

/** `rev` is resolved, of a ref; `mode` no symlink. The path has no record of another ref or mode. As
 * pleach_attach(). */
int pl_attach_at(struct pl_txdir *tx, const struct pl_spot *spot, struct pl_rev *rev, bool is_fixed,
		 const char *mode, struct pleach_error *error);
/** What has this record; 0, or 1: what is at the path is not ours, or was changed by others, and stays. */
int pl_detach_at(struct pl_ref *ref, const struct pl_attachment *record,
		 struct pleach_error *error);

#endif
