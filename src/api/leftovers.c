/*
 * pleach_leftovers_*(): what is under way, what was left behind, and what was mended of late.
 */
#include <stdlib.h>

#include "api/inner.h"
#include "gc/usage.h"

struct item {
	const char *kind;
	char *id, *what;
};
struct pleach_leftovers {
	struct item *items;
	size_t n, capacity, at;
};

static int add(struct pleach_leftovers *list, const char *kind, const char *id, const char *what)
{
	struct item item = {.kind = kind, .id = strdup(id), .what = strdup(what)};

	if (item.id && item.what && PL_ARRAY_GROW(list->items, list->capacity, list->n) == 0) {
		list->items[list->n++] = item;
		return 0;
	}
	free(item.id);
	free(item.what);
	return -ENOMEM;
}

static const char *kind_of(const struct pl_txdir_info *info)
{
	switch (info->state) {
	case PL_TX_OPEN:
		return "open";
	case PL_TX_DEAD:
		return "dead";
	case PL_TX_PARKED:
		return "parked";
	case PL_TX_EXPIRED:
		return "expired";
	}
	pl_assert(false);
	return "";
}

static int add_transactions(struct pleach_leftovers *list, struct pl_store *store,
			    struct pleach_error *error)
{
	struct pl_txdir_info *infos;
	size_t n;
	int r;

	if (store->tx_fd < 0)
		return 0; /* not for other users to see */
	r = pl_txdir_list(store, &infos, &n, error);
	if (r < 0)
		return r;
	for (size_t i = 0; r >= 0 && i < n; i++)
		r = add(list, kind_of(&infos[i]), infos[i].id, infos[i].what);
	free(infos);
	return r < 0 ? pl_fail_memory(error) : 0;
}

static int add_trash(struct pleach_leftovers *list, struct pl_store *store,
		     struct pleach_error *error)
{
	struct pl_listing listing;
	int r;

	if (store->trash_fd < 0)
		return 0;
	r = pl_list(store->trash_fd, &listing);
	if (r < 0)
		return pl_fail_sys(error, r, "cannot read '%s/.pleach/trash'", store->path);
	for (size_t i = 0; r >= 0 && i < listing.n; i++)
		if (pl_is_random_name(listing.entries[i].name) && /* else a lock */
		    pl_dirent_is(store->trash_fd, &listing.entries[i], S_IFDIR))
			r = add(list, "trash", listing.entries[i].name,
				"taken out, not erased yet");
	pl_listing_done(&listing);
	return r < 0 ? pl_fail_memory(error) : 0;
}

/* What repairs have set aside, and nobody but its owner removes. */
static int add_damaged(struct pleach_leftovers *list, struct pl_store *store,
		       struct pleach_error *error)
{
	PL_CLOSE int fd = pl_open_dir(store->fd, "damaged");
	struct pl_listing listing;
	int r;

	if (fd == -ENOENT || fd == -EACCES)
		return 0; /* there is none, or it is not for other users to see */
	r = fd < 0 ? fd : pl_list(fd, &listing);
	if (r < 0)
		return pl_fail_sys(error, r, "cannot read '%s/.pleach/damaged'", store->path);
	for (size_t i = 0; r >= 0 && i < listing.n; i++)
		r = add(list, "damaged", listing.entries[i].name,
			"set aside by a repair; look, then remove it: rm -r .pleach/damaged");
	pl_listing_done(&listing);
	return r < 0 ? pl_fail_memory(error) : 0;
}

static int add_events(struct pleach_leftovers *list, struct pl_store *store,
		      struct pleach_error *error)
{
	struct pl_strings lines;
	int r = pl_event_list(store, &lines);

	if (r < 0)
		return pl_fail_memory(error);
	for (size_t i = 0; r >= 0 && i < lines.n; i++) {
		char id[25];

		pl_event_take_id(lines.items[i], id);
		r = add(list, "recovered", id, lines.items[i]);
	}
	pl_strings_done(&lines);
	return r < 0 ? pl_fail_memory(error) : 0;
}

int pleach_leftovers_open(struct pleach_store *store, struct pleach_leftovers **ret_list,
			  struct pleach_error *error)
{
	struct pleach_leftovers *list = calloc(1, sizeof(*list));
	int r;

	pl_assert(store && ret_list);
	if (!list)
		return pl_fail_memory(error);
	r = add_transactions(list, store->inner, error);
	if (r >= 0)
		r = add_trash(list, store->inner, error);
	if (r >= 0)
		r = add_damaged(list, store->inner, error);
	if (r >= 0)
		r = add_events(list, store->inner, error);
	if (r < 0) {
		pleach_leftovers_close(list);
		return r;
	}
	*ret_list = list;
	return 0;
}

int pleach_leftovers_next(struct pleach_leftovers *list, struct pleach_leftover *leftover,
			  struct pleach_error *error)
{
	struct pleach_leftover l = PLEACH_LEFTOVER_INIT;
	const struct item *item;

	pl_assert(list && leftover);
	(void)error; /* all of it is here already */
	if (list->at == list->n)
		return 0;
	item = &list->items[list->at++];
	l.kind = item->kind;
	l.id = item->id;
	l.what = item->what;
	PL_GIVE(leftover, l);
	return 1;
}

void pleach_leftovers_close(struct pleach_leftovers *list)
{
	if (!list)
		return;
	for (size_t i = 0; i < list->n; i++) {
		free(list->items[i].id);
		free(list->items[i].what);
	}
	free(list->items);
	free(list);
}

/* Takes what `id` holds of the directory that it is in. -ENOENT: of none. */
static int measure(const struct pl_store *store, const char *id, struct pl_usage_held *held)
{
	PL_CLOSE int damaged = pl_open_dir(store->fd, "damaged");
	const int places[] = {store->tx_fd, store->trash_fd, damaged};

	if (!id[0] || id[0] == '.' || strchr(id, '/'))
		return -ENOENT;
	for (size_t i = 0; i < PL_ARRAY_LEN(places); i++)
		if (places[i] >= 0 && (places[i] == damaged || pl_is_random_name(id)) &&
		    pl_exists(places[i], id) == 1)
			return pl_usage_held(places[i], id, store->seed, held);
	return -ENOENT;
}

int pleach_leftover_size(struct pleach_store *store, const char *id, uint64_t *ret_bytes,
			 struct pleach_error *error)
{
	struct pl_usage_held held = {0};
	int r;

	pl_assert(store && id && ret_bytes);
	r = pl_store_must_read(store->inner, error);
	if (r < 0)
		return r;
	r = measure(store->inner, id, &held);
	if (r == -ENOENT)
		return pl_fail_not_found(error, "there is no transaction %s, and no leftover", id);
	if (r < 0)
		return pl_fail_sys(error, r, "cannot look at transaction %s", id);
	*ret_bytes = held.bytes;
	return held.is_more;
}
