/*
 * Where the directories of the base are now, and what of the base shows at all.
 *
 * V1  Something of the base shows where its directory is now, unless the upper layer has its name there.
 * V2  A directory that the upper layer says where it is, is there, whatever became of those above it.
 * V3  The keys are SHA-256 of paths: equal keys are equal paths.
 */
#include "source/upper.h"

void pl_moves_init(struct pl_moves *moves, uint64_t seed)
{
	*moves = (struct pl_moves){0};
	pl_map_init(&moves->directories, sizeof(struct pl_id), seed);
	pl_map_init(&moves->names, sizeof(struct pl_id), seed);
}

void pl_moves_done(struct pl_moves *moves)
{
	pl_map_done(&moves->directories);
	pl_map_done(&moves->names);
	pl_buffer_done(&moves->paths);
}

int pl_moves_cover(struct pl_moves *moves, const char *path)
{
	struct pl_id key;
	int r;

	pl_hash_of(path, strlen(path), &key);
	r = pl_map_put(&moves->names, &key, 0);
	return r < 0 ? r : 0;
}

int pl_moves_directory(struct pl_moves *moves, const char *origin, const char *path)
{
	struct pl_id key;
	int r;

	pl_hash_of(origin, strlen(origin), &key);
	if (pl_map_get(&moves->directories, &key))
		return 1;
	r = pl_map_put(&moves->directories, &key, moves->paths.length);
	pl_buffer_add(&moves->paths, path, strlen(path) + 1);
	return r < 0 || !pl_buffer_ok(&moves->paths) ? -ENOMEM : 0;
}

/* Is the directory that is the first `length` bytes of `path` somewhere of its own? (V2) */
static bool find_directory(const struct pl_moves *moves, const char *path, size_t length,
			   struct pl_buffer *now)
{
	const uint64_t *at;
	struct pl_id key;

	pl_hash_of(path, length, &key);
	at = pl_map_get(&moves->directories, &key);
	if (!at)
		return false;
	pl_buffer_truncate(now, 0);
	pl_buffer_add_string(now, (const char *)moves->paths.data + *at);
	return true;
}

int pl_moves_find(const struct pl_moves *moves, const char *path, struct pl_buffer *ret_path)
{
	size_t at = 0;
	bool shows = true;

	pl_assert(ret_path->length == 0);
	while (path[at] != '\0') {
		size_t length = strcspn(path + at, "/");
		bool is_last = path[at + length] == '\0';
		struct pl_id key;

		if (!is_last && find_directory(moves, path, at + length, ret_path)) {
			shows = true;
		} else if (shows) {
			pl_path_push(ret_path, path + at, length);
			pl_hash_of(ret_path->data, ret_path->length, &key);
			shows = !pl_map_get(&moves->names, &key); /* V1 */
		}
		at += length + !is_last;
	}
	return pl_buffer_ok(ret_path) ? shows : -ENOMEM;
}
