/*
 * Hard-link groups of a source, as a scan meets their names one by one.
 *
 * A group belongs to the lowest common directory of its members, and that is known only when all of
 * them were met. An inode tells how many names it has anywhere (st_nlink); once as many were met, the
 * group is complete. Names outside of the source never come: then, and only if it matters, a walk ahead
 * counts the names inside (pl_links_expect), and from then on `expected` is exact.
 *
 * I1  A complete group is handed out once, when its lowest common directory is left.
 * I2  Members are all names with one device and inode; their entry is that of the first one met, so
 *     that the entries of a group are equal even if the source changes meanwhile.
 */
#include <stdlib.h>

#include "source/source.h"

struct key {
	uint64_t dev, ino;
};
struct member {
	size_t path; /* offset in paths */
	size_t next; /* index + 1, 0: the last */
};
struct link {
	struct key key;
	uint64_t expected, met;
	size_t first, last;  /* members, index + 1 */
	size_t body, length; /* encoded entry in bodies; length 0: not known yet */
	size_t common;	     /* length of the lowest common directory's path so far */
	bool is_done;	     /* handed out */
};
struct pl_links {
	struct pl_map map; /* key -> index of links */
	struct link *links;
	size_t n, capacity;
	struct member *members;
	size_t n_members, members_capacity;
	struct pl_buffer paths, bodies;
	size_t *open; /* links with two names and more that were not handed out */
	size_t n_open, open_capacity;
	bool is_exact;
	struct pl_map ahead; /* key -> names, from the walk ahead */
	struct pl_entry entry;
};

int pl_links_new(uint64_t seed, struct pl_links **ret_links)
{
	struct pl_links *links = calloc(1, sizeof(*links));

	if (!links)
		return -ENOMEM;
	pl_map_init(&links->map, sizeof(struct key), seed);
	pl_map_init(&links->ahead, sizeof(struct key), seed);
	*ret_links = links;
	return 0;
}

void pl_links_free(struct pl_links *links)
{
	if (!links)
		return;
	pl_map_done(&links->map);
	pl_map_done(&links->ahead);
	free(links->links);
	free(links->members);
	free(links->open);
	pl_buffer_done(&links->paths);
	pl_buffer_done(&links->bodies);
	free(links);
}

static struct key key_of(const struct stat *st)
{
	return (struct key){.dev = st->st_dev, .ino = st->st_ino};
}

static const char *path_of(const struct pl_links *links, size_t member)
{
	return (const char *)links->paths.data + links->members[member - 1].path;
}

/* Length of the directory part of a path. */
static size_t directory_length(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? (size_t)(slash - path) : 0;
}

/* Length of the deepest directory that has both: `common` is one above or equal of the first's. */
static size_t common_length(const char *a, size_t common, const char *b)
{
	size_t dir = directory_length(b), n = 0, last = 0;

	while (n < common && n < dir && a[n] == b[n]) {
		n++;
		if ((n == common || a[n] == '/') && (n == dir || b[n] == '/'))
			last = n;
	}
	return last;
}

static int add_member(struct pl_links *links, struct link *link, const char *path)
{
	if (PL_ARRAY_GROW(links->members, links->members_capacity, links->n_members) < 0)
		return -ENOMEM;
	links->members[links->n_members++] = (struct member){.path = links->paths.length};
	pl_buffer_add(&links->paths, path, strlen(path) + 1);
	if (!pl_buffer_ok(&links->paths))
		return -ENOMEM;
	if (link->last)
		links->members[link->last - 1].next = links->n_members;
	else
		link->first = links->n_members;
	link->last = links->n_members;
	link->met++;
	return 0;
}

static uint64_t expected_of(struct pl_links *links, const struct stat *st)
{
	struct key key = key_of(st);
	uint64_t *ahead = links->is_exact ? pl_map_get(&links->ahead, &key) : NULL;

	return ahead ? *ahead : st->st_nlink;
}

static int meet_first(struct pl_links *links, const struct stat *st, const char *path,
		      size_t *ret_link)
{
	struct key key = key_of(st);
	struct link *link;

	if (PL_ARRAY_GROW(links->links, links->capacity, links->n) < 0)
		return -ENOMEM;
	link = &links->links[links->n];
	*link = (struct link){
		.key = key, .expected = expected_of(links, st), .common = directory_length(path)};
	if (pl_map_put(&links->map, &key, links->n) < 0)
		return -ENOMEM;
	*ret_link = links->n++;
	return add_member(links, link, path);
}

int pl_links_meet(struct pl_links *links, const struct stat *st, const char *path, size_t *ret_link)
{
	struct key key = key_of(st);
	uint64_t *at = pl_map_get(&links->map, &key);
	struct link *link;
	int r;

	if (!at)
		return meet_first(links, st, path, ret_link);
	link = &links->links[*at];
	if (link->met == 1) {
		if (PL_ARRAY_GROW(links->open, links->open_capacity, links->n_open) < 0)
			return -ENOMEM;
		links->open[links->n_open++] = (size_t)*at;
	}
	link->common = common_length(path_of(links, link->first), link->common, path);
	r = add_member(links, link, path);
	*ret_link = (size_t)*at;
	return r < 0 ? r : 1;
}

const struct pl_entry *pl_links_entry(struct pl_links *links, size_t number)
{
	const struct link *link = &links->links[number];
	struct pl_reader reader;
	int r;

	pl_assert(number < links->n);
	if (link->length == 0)
		return NULL;
	reader = pl_reader_of(links->bodies.data + link->body, link->length);
	r = pl_entry_decode(&reader, &links->entry);
	pl_assert(r == 0); /* our own encoding */
	return &links->entry;
}

int pl_links_set_entry(struct pl_links *links, size_t number, const struct pl_entry *entry)
{
	struct link *link = &links->links[number];

	pl_assert(number < links->n);
	if (link->length > 0)
		return 0;
	link->body = links->bodies.length;
	pl_entry_encode(entry, &links->bodies);
	link->length = links->bodies.length - link->body;
	return pl_buffer_ok(&links->bodies) ? 0 : -ENOMEM;
}

int pl_links_expect(struct pl_links *links, const struct stat *st)
{
	struct key key = key_of(st);
	uint64_t *at = pl_map_get(&links->ahead, &key);

	if (!at)
		return pl_map_put(&links->ahead, &key, 1);
	(*at)++;
	return 0;
}

void pl_links_expected_all(struct pl_links *links)
{
	links->is_exact = true;
	for (size_t i = 0; i < links->n; i++) {
		struct link *link = &links->links[i];
		uint64_t *ahead = pl_map_get(&links->ahead, &link->key);

		link->expected = ahead ? *ahead : link->met;
	}
}

/* Puts a complete group into ret_groups, with paths relative to the directory of length `base`. */
static int hand_out(struct pl_links *links, struct link *link, struct pl_groups *ret_groups)
{
	size_t skip = link->common > 0 ? link->common + 1 : 0;
	int r = pl_groups_begin(ret_groups);

	for (size_t m = link->first; r >= 0 && m != 0; m = links->members[m - 1].next)
		r = pl_groups_add(ret_groups, path_of(links, m) + skip);
	link->is_done = true; /* I1 */
	return r;
}

int pl_links_leave(struct pl_links *links, const char *path, struct pl_groups *ret_groups)
{
	size_t length = strlen(path), kept = 0;
	int r = 0;

	for (size_t i = 0; i < links->n_open && !links->is_exact; i++) {
		const struct link *link = &links->links[links->open[i]];

		if (link->common == length && link->met < link->expected &&
		    pl_path_is_below(path_of(links, link->first), path))
			return 1;
	}
	for (size_t i = 0; i < links->n_open; i++) {
		struct link *link = &links->links[links->open[i]];
		bool is_here = link->common == length && link->met >= link->expected &&
			       pl_path_is_below(path_of(links, link->first), path);

		if (r >= 0 && is_here)
			r = hand_out(links, link, ret_groups);
		if (!link->is_done)
			links->open[kept++] = links->open[i];
	}
	links->n_open = kept;
	return r;
}

int pl_links_left_over(struct pl_links *links, const char **ret_path)
{
	if (links->n_open == 0)
		return 0;
	*ret_path = path_of(links, links->links[links->open[0]].first);
	return 1;
}
