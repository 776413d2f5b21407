/*
 * image.c - images by a hash that changes with each block, and their way onto the disk: only what differs from the
 * state before is changed there.
 */
#include <errno.h>

#include "tx/yard.h"

#include "power/replaying.h"

/* ---- images by their hash ---- */

static uint64_t hash_of(struct replay *r, uint32_t data)
{
	uint64_t hash = 0x1234567, word;

	if (r->hashes[data] != 0)
		return r->hashes[data];
	for (size_t i = 0; i < DISK_BLOCK; i += sizeof(word)) {
		memcpy(&word, disk_block(r->disk, data) + i, sizeof(word));
		hash = (hash ^ word) * 0x9fb21c651e98df25u;
		hash ^= hash >> 29;
	}
	return r->hashes[data] = mix(hash) | 1;
}

/* `block` changes from `before` to `after`. */
void image_change(struct replay *r, struct image *image, uint32_t block, uint32_t before,
		  uint32_t after)
{
	uint64_t old = hash_of(r, before), new = hash_of(r, after), salt = mix(block + 1);

	image->a += mix(new ^ salt) - mix(old ^ salt);
	image->b += mix(new + 3 * salt) - mix(old + 3 * salt);
}

static void grow_images(struct replay *r)
{
	struct image *old = r->images;
	uint32_t n = r->images_capacity;

	r->images_capacity = n ? n * 2 : 1 << 14;
	r->images = calloc(r->images_capacity, sizeof(*r->images));
	if (!r->images)
		abort();
	for (uint32_t i = 0; i < n; i++) {
		uint32_t at = (uint32_t)old[i].a & (r->images_capacity - 1);

		if (!old[i].seen)
			continue;
		while (r->images[at].seen)
			at = (at + 1) & (r->images_capacity - 1);
		r->images[at] = old[i];
	}
	free(old);
}

/* Where it is, or is to be put. */
struct image *image_find(struct replay *r, const struct image *image)
{
	uint32_t at;

	if (r->n_images * 2 >= r->images_capacity)
		grow_images(r);
	at = (uint32_t)image->a & (r->images_capacity - 1);
	while (r->images[at].seen && (r->images[at].a != image->a || r->images[at].b != image->b))
		at = (at + 1) & (r->images_capacity - 1);
	return &r->images[at];
}

/* ---- putting a state on the disk ---- */

void image_pick(struct replay *r, uint32_t entry)
{
	uint32_t block = r->disk->log[entry].block;

	if (r->stamp[block] != r->now)
		r->picked[r->n_picked++] = block;
	r->stamp[block] = r->now;
	r->chosen[block] = r->disk->log[entry].data;
}

static int by_block(const void *a, const void *b)
{
	const struct disk_change *x = a, *y = b;

	return x->block < y->block ? -1 : x->block > y->block;
}

static uint32_t wanted(const struct replay *r, uint32_t block)
{
	return r->stamp[block] == r->now ? r->chosen[block] : r->durable[block];
}

static void want(struct replay *r, uint32_t block, uint32_t *n)
{
	struct disk *d = r->disk;
	uint32_t data = wanted(r, block);

	if (d->content[block] != data) {
		d->content[block] = data; /* so that it is asked for once */
		d->changes[(*n)++] = (struct disk_change){block, data};
	}
}

int image_show(struct replay *r)
{
	struct disk *d = r->disk;
	uint32_t n = 0, n_dirty = d->shared->n_dirty;

	for (uint32_t i = 0; d->shared->has_forgotten && i < d->n_blocks; i++)
		want(r, i, &n);
	for (uint32_t i = 0; i < n_dirty; i++)
		want(r, d->dirty[i], &n);
	for (uint32_t i = 0; i < r->n_touched; i++)
		want(r, r->touched[i], &n);
	for (uint32_t i = 0; i < r->n_picked; i++)
		want(r, r->picked[i], &n);
	qsort(d->changes, n, sizeof(*d->changes), by_block);
	r->n_touched = r->n_picked;
	memcpy(r->touched, r->picked, r->n_picked * sizeof(*r->picked));
	return disk_show(d, d->changes, n);
}

void image_keep(const struct replay *r)
{
	TEXT *path = NULL;
	FILE *out;

	if (!r->options->keep || r->result->broken > 0)
		return;
	path = text_of("%s-%s-%s-%llu", r->options->keep, r->fs->name, r->options->scenario->name,
		       (unsigned long long)r->options->seed);
	out = fopen(path, "we");
	for (uint32_t i = 0; out && i < r->disk->n_blocks; i++) {
		(void)fseeko(out, (off_t)(i * DISK_BLOCK), SEEK_SET);
		if (wanted(r, i) != 0 || i + 1 == r->disk->n_blocks)
			(void)fwrite(disk_block(r->disk, wanted(r, i)), DISK_BLOCK, 1, out);
	}
	if (out)
		(void)fclose(out);
}
