/*
 * workspace_plain.h - inner header: what the drivers of plain directories share.
 */
#ifndef PL_TX_WORKSPACE_PLAIN_H
#define PL_TX_WORKSPACE_PLAIN_H

#include "tx/workspace.h"

/* ---- workspace_plain.c ---- */

/** Sets ws->path to where the directory `fd` is. */
int pl_plain_set_path(struct pl_workspace *ws, int fd, struct pleach_error *error);
/** Notes what lies in the directory that was just made, so that a scan need not read it. */
int pl_plain_note(struct pl_workspace *ws, int root_fd, struct pleach_error *error);
/** As in the table, for a driver whose directory is at ws->path. */
int pl_plain_view(struct pl_workspace *ws, struct pl_strings *room, struct pl_view_step *step,
		  bool *ret_with_user_namespace);
int pl_plain_scan(struct pl_workspace *ws, struct pl_stage *stage, enum pl_rule rule,
		  struct pl_scan_result *ret_result, struct pleach_error *error);
/** Opens ws->path; -ENOENT with its text. */
int pl_plain_open(struct pl_workspace *ws, struct pleach_error *error);

#endif
