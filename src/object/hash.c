/*
 * hash.c - SHA-256, by nettle, which uses the processor's instructions for it where there are some.
 * What the bytes mean is no business of this file.
 */
#include "object/hash.h"

#include <nettle/version.h>
#include <stdlib.h>

const struct pl_id pl_hash_empty = {
	{0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4,
	 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b,
	 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55},
};

void pl_hash_begin(struct pl_hash *hash)
{
	sha256_init(&hash->context);
}

int pl_hash_new(struct pl_hash **ret_hash)
{
	struct pl_hash *hash = malloc(sizeof(*hash));

	if (!hash)
		return -ENOMEM;
	pl_hash_begin(hash);
	*ret_hash = hash;
	return 0;
}

void pl_hash_free(struct pl_hash *hash)
{
	free(hash);
}

void pl_hash_add(struct pl_hash *hash, const void *data, size_t length)
{
	pl_assert(data || length == 0);
	if (length > 0)
		sha256_update(&hash->context, length, data);
}

void pl_hash_end(struct pl_hash *hash, struct pl_id *ret_id)
{
	_Static_assert(sizeof(ret_id->bytes) == SHA256_DIGEST_SIZE, "an id is a whole SHA-256");
	/* Either way nettle begins anew behind it. */
#if NETTLE_VERSION_MAJOR >= 4 /* where the length went */
	sha256_digest(&hash->context, ret_id->bytes);
#else
	sha256_digest(&hash->context, sizeof(ret_id->bytes), ret_id->bytes);
#endif
}

struct counting {
	struct pl_hash *hash;
	uint64_t size;
};

static void add_piece(void *self, const void *data, size_t length)
{
	struct counting *counting = self;

	pl_hash_add(counting->hash, data, length);
	counting->size += length;
}

int pl_hash_copy(struct pl_hash *hash, int from_fd, uint64_t at, int to_fd, uint64_t *size)
{
	struct counting counting = {.hash = hash};
	const struct pl_copy_watcher watcher = {.saw = add_piece, .self = &counting};
	int r = pl_copy_rest(from_fd, at, to_fd, &watcher);

	*size += counting.size;
	return r;
}

void pl_hash_of(const void *data, size_t length, struct pl_id *ret_id)
{
	struct pl_hash hash;

	pl_hash_begin(&hash);
	pl_hash_add(&hash, data, length);
	pl_hash_end(&hash, ret_id);
}
