/*
 * What each generation of a store takes of the disk: what it holds, and what would be free without it.
 *
 * U1  Generations are listed before trees, and trees before the pools: what a tree that is listed reaches is in the
 *     pools, unless it is collected meanwhile.
 * U2  A tree counts for what it reaches if anybody needs it, or has it pinned: else the next collection takes it, and
 *     what it alone reaches. What a transaction has claimed is reached.
 * U4  Who cannot be read may need what it is a user of: that counts as needed, and held.
 * U3  While the nodes of a tree are read it is pinned.
 */
#include <stdlib.h>

#include "gc/usage.h"

void pl_usage_done(struct pl_usage *usage)
{
	pl_strings_done(&usage->refs);
	free(usage->generations);
	free(usage->trees);
	free(usage->copies);
	free(usage->tree_copies);
	pl_map_done(&usage->copy_inodes);
	pl_map_done(&usage->other_inodes);
	pl_usage_pool_done(&usage->objects);
	pl_usage_pool_done(&usage->nodes);
	pl_usage_reach_done(usage->reach);
	*usage = (struct pl_usage){0};
}

/* ---- generations and trees ---- */

/* `r` is the answer of something, and `cause` its text: what is damaged is noted, and passed over. */
static int pass_damaged(struct pl_usage *usage, int r, const struct pleach_error *cause,
			struct pleach_error *error)
{
	if (r == -EBADMSG) {
		if (usage->damaged.code == PLEACH_OK)
			usage->damaged = *cause;
		return 0;
	}
	if (r < 0 && error)
		*error = *cause;
	return r;
}

static int add_generation(struct pl_usage *usage, struct pl_ref *ref, uint64_t n, uint64_t head,
			  struct pleach_error *error)
{
	struct pleach_error cause = PLEACH_ERROR_INIT;
	struct pl_record record;
	int r = pl_generation_is_dropped(ref, n);

	if (r != 0)
		return r < 0 ? pl_fail_sys(error, r, "cannot look at ref '%s'", ref->name) : 0;
	r = pl_generation_read_known(ref, n, &record, &cause);
	if (r < 0)
		return pass_damaged(usage, r, &cause, error);
	if (PL_ARRAY_GROW(usage->generations, usage->generations_capacity, usage->n_generations) <
	    0)
		r = pl_fail_memory(error);
	else
		usage->generations[usage->n_generations++] =
			(struct pl_usage_generation){.id = record.tree,
						     .ref = (uint32_t)usage->refs.n,
						     .tree = PL_USAGE_NONE,
						     .number = n,
						     .is_head = n == head};
	pl_record_done(&record);
	return r < 0 ? r : 0;
}

static int add_ref(struct pl_usage *usage, const char *name, struct pleach_error *error)
{
	const size_t n_before = usage->n_generations;
	struct pleach_error cause = PLEACH_ERROR_INIT;
	struct pl_ref ref;
	uint64_t head = 0;
	int r = pl_ref_open(usage->store, name, &ref, &cause);

	if (r < 0)
		return r == -ENOENT ? 0 : pass_damaged(usage, r, &cause, error);
	r = pl_ref_settle(&ref, NULL, &head, &cause);
	if (r == -EBADMSG) /* of the head; the others can be read */
		head = pl_head_listed(&ref);
	r = pass_damaged(usage, r, &cause, error);
	for (uint64_t n = 1; r >= 0 && n <= head; n++) {
		r = add_generation(usage, &ref, n, head, error);
		if (r >= 0)
			r = pl_store_check_cancel(usage->store, error);
	}
	if (r == -ENOENT && pl_ref_is_current(&ref) == 0) { /* dropped meanwhile */
		pl_error_clear(error);
		usage->n_generations = n_before;
		r = 0;
	}
	pl_ref_close(&ref);
	return r < 0 ? r : 0;
}

static int list_generations(struct pl_usage *usage, struct pleach_error *error)
{
	struct pl_strings names = {0};
	int r = pl_ref_list(usage->store, &names, error);

	for (size_t i = 0; r >= 0 && i < names.n; i++) {
		r = add_ref(usage, names.items[i], error);
		if (r >= 0 && pl_strings_add(&usage->refs, names.items[i]) < 0)
			r = pl_fail_memory(error);
	}
	pl_strings_done(&names);
	return r < 0 ? r : 0;
}

static int list_trees(struct pl_usage *usage, struct pleach_error *error)
{
	struct pl_listing listing = {0};
	int r = pl_list(usage->store->trees_fd, &listing);

	for (size_t i = 0; r >= 0 && i < listing.n; i++) {
		struct pl_usage_tree tree = {.own = 0};

		if (!pl_tree_is_entry(usage->store, &listing.entries[i], &tree.id))
			continue;
		r = usage->n_trees < PL_USAGE_NONE
			    ? PL_ARRAY_GROW(usage->trees, usage->trees_capacity, usage->n_trees)
			    : -EOVERFLOW;
		if (r >= 0)
			usage->trees[usage->n_trees++] = tree;
	}
	pl_listing_done(&listing);
	return r < 0 ? pl_fail_sys(error, r, "cannot list '%s/.pleach/trees'", usage->store->path)
		     : 0;
}

static int by_id(const void *key, const void *tree)
{
	return pl_id_compare(key, &((const struct pl_usage_tree *)tree)->id);
}

uint32_t pl_usage_find_tree(const struct pl_usage *usage, const struct pl_id *id)
{
	const struct pl_usage_tree *found =
		usage->n_trees > 0
			? bsearch(id, usage->trees, usage->n_trees, sizeof(*usage->trees), by_id)
			: NULL;

	return found ? (uint32_t)(found - usage->trees) : PL_USAGE_NONE;
}

struct generation_key {
	uint32_t ref;
	uint64_t number;
};

static int by_ref_and_number(const void *key, const void *generation)
{
	const struct generation_key *k = key;
	const struct pl_usage_generation *g = generation;

	if (k->ref != g->ref)
		return k->ref < g->ref ? -1 : 1;
	return k->number < g->number ? -1 : k->number > g->number;
}

const struct pl_usage_generation *pl_usage_find(const struct pl_usage *usage, uint32_t ref,
						uint64_t number)
{
	const struct generation_key key = {ref, number};

	if (usage->n_generations == 0)
		return NULL;
	return bsearch(&key, usage->generations, usage->n_generations, sizeof(*usage->generations),
		       by_ref_and_number);
}

static void join(struct pl_usage *usage)
{
	for (size_t i = 0; i < usage->n_generations; i++) {
		struct pl_usage_generation *generation = &usage->generations[i];

		generation->tree = pl_usage_find_tree(usage, &generation->id);
		if (generation->tree != PL_USAGE_NONE)
			usage->trees[generation->tree].n_generations++;
	}
}

/* ---- who needs a tree ---- */

static int look_at_users(struct pl_usage *usage, struct pl_user_lookup *lookup,
			 struct pl_usage_tree *tree, int treedir, struct pleach_error *error)
{
	PL_CLOSE int users = pl_open_dir(treedir, "users");
	struct pl_listing listing = {0};
	char hex[PL_ID_HEX + 1];
	uint32_t n_generations = 0;
	int r = users < 0 ? users : pl_list(users, &listing);

	if (r == -ENOENT) /* taken away meanwhile */
		return 0;
	if (r < 0)
		return pl_fail_sys(error, r, "cannot look at the users of tree %s",
				   pl_id_hex(&tree->id, hex));
	for (size_t i = 0; r >= 0 && i < listing.n; i++) {
		struct pleach_error cause = PLEACH_ERROR_INIT;
		const char *name = listing.entries[i].name;
		uint64_t n;

		r = pl_user_need(lookup, &tree->id, name, &n, &cause);
		if (r == -EBADMSG) /* U4 */
			tree->is_needed = tree->is_held = true;
		if (r < 0)
			r = pass_damaged(usage, r, &cause, error);
		if (r <= PL_NEED_NOTHING)
			continue;
		tree->is_needed = true;
		n_generations += name[0] == 'g';
		tree->is_held |= name[0] != 'g' && name[0] != 't';
	}
	pl_listing_done(&listing);
	tree->is_held |= n_generations > tree->n_generations; /* one within its grace */
	return r < 0 ? r : 0;
}

static int look_at_tree(struct pl_usage *usage, struct pl_user_lookup *lookup,
			struct pl_usage_tree *tree, struct pleach_error *error)
{
	PL_CLOSE int treedir = pl_treedir_open(lookup->store, &tree->id);
	char hex[PL_ID_HEX + 1];
	unsigned k;
	int r;

	if (treedir < 0)
		return treedir == -ENOENT ? 0
					  : pl_fail_sys(error, treedir, "cannot look at tree %s",
							pl_id_hex(&tree->id, hex));
	r = pl_placing_find(treedir, &k);
	tree->is_placed = r == 1;
	if (r >= 0)
		r = pl_pin_is_held(lookup->store, &tree->id);
	if (r < 0)
		return r == -ENOENT ? 0
				    : pl_fail_sys(error, r, "cannot look at tree %s",
						  pl_id_hex(&tree->id, hex));
	tree->is_needed = tree->is_held = r == 1;
	return look_at_users(usage, lookup, tree, treedir, error);
}

static int look_at_trees(struct pl_usage *usage, struct pleach_error *error)
{
	struct pl_user_lookup lookup = PL_USER_LOOKUP(usage->store, NULL);
	int r = 0;

	pl_clock_coarse(&lookup.now); /* near enough: nothing is taken by it, nor written for it */
	for (size_t i = 0; r >= 0 && i < usage->n_trees; i++) {
		r = look_at_tree(usage, &lookup, &usage->trees[i], error);
		if (r >= 0)
			r = pl_store_check_cancel(usage->store, error);
	}
	pl_user_lookup_done(&lookup);
	return r;
}

/* ---- what is reached ---- */

static void count(void *self, struct pl_usage_item *item, bool is_node)
{
	(void)self;
	(void)is_node;
	item->n_trees++;
}

/* U2, U3 */
static int reach_tree(struct pl_usage *usage, struct pl_usage_tree *tree,
		      struct pleach_error *error)
{
	struct pl_pin pin = PL_PIN_NONE;
	int r = pl_pin_try(usage->store, &tree->id, &pin, error);

	if (r == PL_PIN_BUSY || r == PL_PIN_ABSENT) { /* it is being taken away */
		tree->is_needed = false;
		usage->totals.unread++;
		return 0;
	}
	if (r < 0)
		return r;
	r = pl_usage_reach_add(usage, &tree->id, error);
	pl_pin_done(&pin);
	if (r >= 0 && pl_usage_reach_each(usage, &tree->id, count, NULL) < 0)
		r = pl_fail_memory(error);
	return r;
}

static int add_claim(void *self, char kind, const struct pl_id *id, struct pleach_error *error)
{
	struct pl_usage *usage = self;
	struct pl_usage_pool *pool = kind == 'o' ? &usage->objects : &usage->nodes;
	uint32_t at = kind == 'o' || kind == 'n' ? pl_usage_pool_find(pool, id) : PL_USAGE_NONE;

	(void)error;
	if (at == PL_USAGE_NONE || pool->items[at].stamp == usage->stamp)
		return 0;
	pool->items[at].stamp = usage->stamp;
	pool->items[at].n_trees++;
	return 0;
}

static int reach_all(struct pl_usage *usage, struct pleach_error *error)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < usage->n_trees; i++) {
		pl_store_progress(usage->store, "mark", i, usage->n_trees, 0);
		if (usage->trees[i].is_needed)
			r = reach_tree(usage, &usage->trees[i], error);
	}
	if (r < 0 || usage->store->tx_fd < 0)
		return r;
	usage->stamp++;
	r = pl_txdir_each_claim(usage->store, add_claim, usage, error);
	if (r == -EACCES || r == -EPERM) {
		pl_error_clear(error);
		usage->totals.unread++;
		r = 0;
	}
	return r;
}

/* ---- the whole ---- */

static int read_pools(struct pl_usage *usage, struct pleach_error *error)
{
	struct pl_store *store = usage->store;
	struct stat st;
	int r = pl_fstat(store->fd, &st);

	if (r >= 0) {
		usage->dev = st.st_dev;
		r = pl_usage_pool_read(store, store->objects_fd, &usage->objects);
	}
	if (r >= 0)
		r = pl_usage_pool_read(store, store->nodes_fd, &usage->nodes);
	if (r == -EINTR)
		return pl_store_check_cancel(store, error);
	return r < 0 ? pl_fail_sys(error, r, "cannot read what '%s' holds", store->path) : 0;
}

static struct pl_usage begin(struct pl_store *store)
{
	struct pl_usage usage = {.store = store, .damaged = PLEACH_ERROR_INIT};

	pl_map_init(&usage.copy_inodes, sizeof(uint64_t), store->seed);
	pl_map_init(&usage.other_inodes, 2 * sizeof(uint64_t), store->seed);
	return usage;
}

int pl_usage_measure(struct pl_store *store, struct pl_usage_totals *ret_totals,
		     struct pleach_error *error)
{
	struct pl_usage usage = begin(store);
	int r = list_trees(&usage, error);

	if (r >= 0)
		r = read_pools(&usage, error);
	if (r >= 0)
		r = pl_usage_read_disk(&usage, error);
	if (r >= 0)
		*ret_totals = usage.totals;
	pl_usage_done(&usage);
	return r < 0 ? r : 0;
}

int pl_usage_read(struct pl_store *store, struct pl_usage *ret_usage, struct pleach_error *error)
{
	struct pl_usage usage = begin(store);
	int r = list_generations(&usage, error); /* U1 */

	if (r >= 0)
		r = list_trees(&usage, error);
	if (r >= 0) {
		join(&usage);
		r = look_at_trees(&usage, error);
	}
	if (r >= 0)
		r = read_pools(&usage, error);
	if (r >= 0)
		r = reach_all(&usage, error);
	if (r >= 0)
		r = pl_usage_read_disk(&usage, error);
	if (r < 0)
		pl_usage_done(&usage);
	else
		*ret_usage = usage;
	return r < 0 ? r : 0;
}

/* ---- sums ---- */

static void sum_item(void *self, struct pl_usage_item *item, bool is_node)
{
	struct pl_usage_sum *sum = self;

	if (is_node)
		sum->nodes++;
	else
		sum->objects++;
	sum->bytes += item->bytes;
	sum->disk += item->disk;
	if (item->n_trees == 1)
		sum->alone += item->disk;
}

int pl_usage_sum(struct pl_usage *usage, uint32_t at, struct pl_usage_sum *ret_sum)
{
	const struct pl_usage_tree *tree = &usage->trees[at];
	struct pl_usage_sum sum = {.disk = tree->own, .alone = tree->own};
	int r = pl_usage_reach_each(usage, &tree->id, sum_item, &sum);

	for (size_t i = 0; i < tree->n_copies; i++) {
		const struct pl_usage_copy *copy =
			&usage->copies[usage->tree_copies[tree->first_copy + i]];

		sum.disk += copy->disk;
		if (copy->n_trees == 1)
			sum.alone += copy->disk;
	}
	if (r >= 0)
		*ret_sum = sum;
	return r < 0 ? r : 0;
}

static void release_item(void *self, struct pl_usage_item *item, bool is_node)
{
	uint64_t *freed = self;

	(void)is_node;
	pl_assert(item->n_trees > 0);
	if (--item->n_trees == 0)
		*freed += item->disk;
}

int pl_usage_release(struct pl_usage *usage, uint32_t at, uint64_t *ret_freed)
{
	struct pl_usage_tree *tree = &usage->trees[at];
	uint64_t freed = tree->own;
	int r;

	pl_assert(tree->n_generations > 0);
	*ret_freed = 0;
	if (--tree->n_generations > 0 || tree->is_held || !tree->is_needed)
		return 0;
	tree->is_needed = false;
	r = pl_usage_reach_each(usage, &tree->id, release_item, &freed);
	for (size_t i = 0; r >= 0 && i < tree->n_copies; i++) {
		struct pl_usage_copy *copy =
			&usage->copies[usage->tree_copies[tree->first_copy + i]];

		pl_assert(copy->n_trees > 0);
		if (--copy->n_trees == 0)
			freed += copy->disk;
	}
	*ret_freed = freed;
	return r;
}

static uint64_t unneeded_of(const struct pl_usage_pool *pool)
{
	uint64_t disk = 0;

	for (size_t i = 0; i < pool->n; i++)
		if (pool->items[i].n_trees == 0)
			disk += pool->items[i].disk;
	return disk;
}

uint64_t pl_usage_unneeded(const struct pl_usage *usage)
{
	uint64_t disk = unneeded_of(&usage->objects) + unneeded_of(&usage->nodes);

	for (size_t i = 0; i < usage->n_trees; i++)
		if (!usage->trees[i].is_needed)
			disk += usage->trees[i].own;
	for (size_t i = 0; i < usage->n_copies; i++)
		if (usage->copies[i].n_trees == 0)
			disk += usage->copies[i].disk;
	return disk;
}
