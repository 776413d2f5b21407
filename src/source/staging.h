/*
 * staging - what naming.c, which gives names to what was staged, needs of stage.c, which stages it.
 */
#ifndef PL_SOURCE_STAGING_H
#define PL_SOURCE_STAGING_H

#include "source/source.h"

/** Moves the walk of the tree to the directory of `path`; where the last name of it begins. (IN_PLACE) */
int pl_stage_goto(struct pl_stage *stage, const char *path, const char **ret_name);
/** What is still in memory of the spool is written. */
int pl_stage_spool_flush(struct pl_stage *stage);

#endif
