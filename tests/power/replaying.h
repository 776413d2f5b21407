/*
 * replaying.h - inner header of the replay: what it knows of a recording, of the images that it has put together
 * (image.c), and of what was read on them (observe.c).
 */
#ifndef PL_TEST_REPLAYING_H
#define PL_TEST_REPLAYING_H

#include "power/replay.h"
#include "power/walk.h"

#define KEYS_MAX     128
#define REQUESTS_MAX 16384
#define TOUCHED_MAX  ((uint32_t)1 << 20)

/* What was read on some image. */
struct seen_state {
	uint8_t hash[WALK_HASH];
	char *trouble;		    /* by itself, whenever the power was cut; or NULL */
	uint64_t matches[KEYS_MAX]; /* bit k: this fact was so after k commands */
};

struct image {
	uint64_t a, b; /* its hash */
	uint32_t seen; /* index + 1; 0: none */
};

struct cut {
	uint32_t at; /* of the log: what stands before it was written */
	uint32_t n;  /* requests of the epoch before it */
	uint32_t answered, begun;
	uint32_t shown; /* as many commands had begun when a public path had last changed */
};

/* What a child tells. */
struct judgement {
	struct facts facts;
	char trouble[512];
};

struct request {
	uint32_t first, end; /* of the log */
};

struct replay {
	struct disk *disk;
	const struct filesystem *fs;
	const struct place *place;
	const struct record *record;
	const struct replay_options *options;
	struct replay_result *result;
	struct judgement *judgement;
	uint64_t random;
	double end, epoch_end; /* 0: whenever */

	char keys[KEYS_MAX][FACT_KEY];
	size_t n_keys;
	struct seen_state *seen;
	uint32_t n_seen;
	struct image *images; /* open addressing */
	uint32_t images_capacity, n_images;

	uint32_t *durable; /* of each block, up to the last flush */
	struct image durable_hash;
	uint64_t *hashes;	       /* of arena blocks, 0: not yet known */
	uint32_t *stamp, *chosen, now; /* of each block: chosen in pick `now` */
	uint32_t *touched, n_touched;  /* blocks that the disk may have otherwise than `durable` */
	uint32_t *picked, n_picked;    /* blocks with stamp == now */

	struct request requests[REQUESTS_MAX]; /* of the epoch */
	uint32_t n_requests;
};

static inline uint64_t mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

/* ---- image.c ---- */

/* In the hash of an image, `block` changes from `before` to `after`. */
void image_change(struct replay *r, struct image *image, uint32_t block, uint32_t before,
		  uint32_t after);
/* Where it is, or is to be put. */
struct image *image_find(struct replay *r, const struct image *image);
/* This log entry's block is there in the present pick. */
void image_pick(struct replay *r, uint32_t entry);
/* Puts the present pick on the disk. -errno. */
int image_show(struct replay *r);
/* Writes the present pick into a file, if that is wanted and it is the first broken one. */
void image_keep(const struct replay *r);

/* ---- observe.c ---- */

/* All facts of the recording. */
void observe_keys(struct replay *r);
/* Mounts what the disk shows, reads it, judges what is new. Its number in `seen` + 1; 0: the harness failed. */
uint32_t observe_look(struct replay *r);
/* NULL, or what is wrong with this after that cut; the caller frees it. */
char *observe_wrong(const struct replay *r, const struct seen_state *s, const struct cut *cut);

#endif
