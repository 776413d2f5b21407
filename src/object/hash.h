/*
 * hash.h - inner header of object: SHA-256 in place, for what must not fail for want of memory.
 */
#ifndef PL_OBJECT_HASH_H
#define PL_OBJECT_HASH_H

#include <nettle/sha2.h>

#include "object/object.h"

struct pl_hash {
	struct sha256_ctx context;
};
void pl_hash_begin(struct pl_hash *hash);

#endif
