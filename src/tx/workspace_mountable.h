/*
 * workspace_mountable.h - inner header: can an overlay be mounted here?
 */
#ifndef PL_TX_WORKSPACE_MOUNTABLE_H
#define PL_TX_WORKSPACE_MOUNTABLE_H

#include "tx/workspace.h"

/** 1; 0, and *ret_why (static); or an error. `options` in lines, without the layers. */
int pl_mountable(struct pl_workspace *ws, bool as_user, const char *options, const char **ret_why);
/** What is remembered of it is not so. */
int pl_mountable_forget(struct pl_workspace *ws, bool as_user);

#endif
