/*
 * What finds no room makes some, where the rules allow it, and is done again: a full cache is an ordinary case.
 *
 * Why here, and not where the disk was found to be full: a commit that fails has put back all of it, holds no lock and
 * no pin, and can be made again as it was.
 */
#include "api/inner.h"
#include "gc/gc.h"

#define TRIES	   8
#define ROOM_LEAST (UINT64_C(16) << 20)

static bool is_full(int r, const struct pleach_error *error)
{
	return (r == -ENOSPC || r == -EDQUOT) && error->code == PLEACH_NO_SPACE;
}

/*
 * Is it known that bytes are missing, of the store or of the disk? Not of a quota, nor where inodes are scarcer than
 * bytes: now that all of it was put back, a smaller part of them is free.
 */
static bool lacks_bytes(const struct pl_store *store, int r)
{
	return store->wanted > 0 || (r != -EDQUOT && pl_fs_lacks_inodes(store->fd) != 1);
}

/*
 * How much is to be free. What was known to be missing; or, of a disk that was full, more than is free now that all of it
 * was put back, since that was too little: twice as much, and with each try again.
 */
static uint64_t room_for(struct pl_store *store)
{
	uint64_t free_bytes = 0;

	if (store->wanted > 0)
		return store->wanted;
	if (pl_fs_free_bytes(store->fd, &free_bytes) < 0 || free_bytes > UINT64_MAX / 4)
		return ROOM_LEAST;
	return 2 * free_bytes > ROOM_LEAST ? 2 * free_bytes : ROOM_LEAST;
}

/* 1: something is free now that was not, or another one sees to it; 0: nothing can go. */
static int collect(struct pl_store *store, uint64_t room, unsigned part)
{
	struct pleach_gc_options options = PLEACH_GC_OPTIONS_INIT;
	struct pleach_gc_result result = PLEACH_GC_RESULT_INIT;
	int r;

	options.room = room;
	r = pl_gc_collect(store, &options, part, &result, NULL, NULL);
	if (r < 0)
		return r == -EBUSY;
	return result.generations + result.trees + result.objects + result.nodes > 0;
}

/*
 * Where it is not known what is missing, an equal part of what may go goes with each try: with the last one all. Not
 * with the first, if there was garbage. (With the others there always is: the last try's.)
 */
static int make_room(struct pl_store *store, int why, unsigned tries)
{
	if (lacks_bytes(store, why))
		return collect(store, room_for(store), 0);
	if (tries == TRIES && collect(store, 0, 0) == 1)
		return 1;
	return collect(store, 0, tries);
}

int pl_with_room(struct pl_store *store, int (*work)(void *self, struct pleach_error *error),
		 void *self, struct pleach_error *error)
{
	struct pleach_error own = PLEACH_ERROR_INIT;
	struct pleach_error *told = error ? error : &own;
	bool may_go_on = true;
	int r;

	store->wanted = 0;
	store->is_measured = false;
	r = work(self, told);
	for (unsigned i = 0; i < TRIES && may_go_on && is_full(r, told); i++) {
		/* What could never fit takes nothing of others with it. */
		may_go_on = store->wanted <= store->settings.max_size &&
			    make_room(store, r, TRIES - i) == 1;
		/* What is known of its size may have been too much: that is measured now. */
		if (!may_go_on && store->wanted == 0)
			break;
		/* And what goes in any store that is over does not wait for this. */
		if (!may_go_on && store->wanted <= store->settings.max_size)
			store->is_measured = collect(store, 0, 0) >= 0;
		pl_error_clear(told);
		store->wanted = 0;
		r = work(self, told);
	}
	if (is_full(r, told))
		pl_hint(told,
			store->wanted > 0
				? "nothing more can go (pleach gc says what stays): raise "
				  "max-size, or drop what is not needed"
				: "nothing more can go: make room on the disk; pleach du says "
				  "what takes it");
	return r;
}
