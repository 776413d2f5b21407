/*
 * walk.h - everything that can be read of a mounted file system, as one hash: names, kinds, modes, owners,
 * mtimes, contents, targets, and which names are one file. What has one hash need be judged only once.
 */
#ifndef PL_TEST_WALK_H
#define PL_TEST_WALK_H

#include <stdint.h>

#define WALK_HASH 32

/* 0, or -errno of what could not be read, with its path in `ret_where` (of 256 bytes). */
int walk_hash(const char *root, uint8_t ret_hash[WALK_HASH], char *ret_where);

#endif
