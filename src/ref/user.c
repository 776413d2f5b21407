/*
 * Users: back references from a tree to what keeps it. Each is a name in trees/<id>/users/, made before
 * its owner relies on the tree, and looked up again whenever somebody wants to take the tree away.
 *
 * I1  A user counts until it was found gone. What cannot be read or understood counts in full.
 * I2  A placed tree is needed by: the head and the newest keep-placed generations of a ref, what its
 *     public symlink names, a generation whose grace is not over, an attachment, a parked transaction,
 *     a holder whose time is not over.
 * I3  Grace counts from when the public path had moved on: from the ctime of shown/<m>, m the first one
 *     after n that was shown. (model/ref.pml, control GRACE_FROM_RECORD)
 * I4  A head that was read before is as good as the present one for the generations up to it: the older the
 *     head, the more they need. For one behind it the head is read again. So a lookup may keep it, and its ref
 *     with the settings: who changes those beside it does so after it.
 */
#include <fcntl.h>
#include <stdio.h>

#include "ref/ref.h"

#define HOLDER_OVER_S 600 /* no holder is that long in the making */

int pl_user_add(struct pl_store *store, int treedir_fd, const char *name,
		struct pleach_error *error)
{
	PL_CLOSE int users = pl_open_dir(treedir_fd, "users");
	int r = users;

	if (r >= 0)
		r = pl_write_file(users, name, 0600, "", 0, false);
	if (r == -EEXIST)
		r = 0;
	if (r >= 0)
		r = pl_store_sync(store, users);
	return r < 0 ? pl_fail_sys(error, r, "cannot note user %s of a tree in %s/.pleach/trees",
				   name, store->path)
		     : 0;
}

int pl_user_remove(struct pl_store *store, int treedir_fd, const char *name)
{
	PL_CLOSE int users = pl_open_dir(treedir_fd, "users");
	int r = users < 0 ? users : pl_unlink(users, name);

	(void)store; /* not synced: one that comes back is looked up, and found gone */
	return r == -ENOENT ? 0 : r;
}

void pl_user_of_generation(const struct pl_ref *ref, uint64_t n, char ret_name[128])
{
	snprintf(ret_name, 128, "g.%s.%llu", ref->id, (unsigned long long)n);
}

bool pl_user_split(const char *name, struct pl_user *ret_user)
{
	struct pl_user user = {.kind = name[0]};

	if (name[0] == '\0' || !strchr("gtahx", name[0]) || name[1] != '.')
		return false;
	user.rest = name + 2;
	if (strchr("gta", name[0])) {
		const size_t length = sizeof(user.ref_id) - 1;

		if (strlen(user.rest) <= length || !pl_is_hex(user.rest, length) ||
		    user.rest[length] != '.')
			return false;
		memcpy(user.ref_id, user.rest, length);
		user.rest += length + 1;
	}
	if (user.rest[0] == '\0')
		return false;
	*ret_user = user;
	return true;
}

int pl_users_list(int treedir_fd, struct pl_listing *ret_listing)
{
	PL_CLOSE int users = pl_open_dir(treedir_fd, "users");

	return users < 0 ? users : pl_list(users, ret_listing);
}

bool pl_user_is_generation_of(const struct pl_ref *ref, const char *name)
{
	struct pl_user user;

	return pl_user_split(name, &user) && user.kind == 'g' && strcmp(user.ref_id, ref->id) == 0;
}

void pl_user_of_tag(const struct pl_ref *ref, const char *tag, char ret_name[256])
{
	snprintf(ret_name, 256, "t.%s.%s", ref->id, tag);
}

void pl_user_of_attachment(const char *ref_id, const char *path, char ret_name[128])
{
	char hex[PL_ID_HEX + 1];
	struct pl_id id;

	pl_hash_of(path, strlen(path), &id);
	snprintf(ret_name, 128, "a.%s.%s", ref_id, pl_id_hex(&id, hex));
}

void pl_user_of_tx(const char *tx_id, char ret_name[32])
{
	snprintf(ret_name, 32, "x.%s", tx_id);
}

/*
 * Holders of a tree that stays the head would pile up, one for each `path`: nobody gets its pin
 * exclusively with nothing needing it. So the next one takes away those that are long over, by their
 * deadline and by their ctime: one that is just being made has no deadline yet, but a young ctime.
 */
static void sweep_holders(int users_fd, const struct timespec *now)
{
	struct pl_listing listing = {0};

	if (pl_list(users_fd, &listing) < 0)
		return;
	for (size_t i = 0; i < listing.n; i++) {
		const char *name = listing.entries[i].name;
		struct stat st;

		if (strncmp(name, "h.", 2) == 0 && pl_lstat(users_fd, name, &st) == 0 &&
		    st.st_mtim.tv_sec < now->tv_sec - HOLDER_OVER_S &&
		    st.st_ctim.tv_sec < now->tv_sec - HOLDER_OVER_S)
			(void)pl_unlink(users_fd, name);
	}
	pl_listing_done(&listing);
}

int pl_user_add_holder(struct pl_store *store, int treedir_fd, const struct timespec *deadline,
		       struct pleach_error *error)
{
	PL_CLOSE int users = pl_open_dir(treedir_fd, "users");
	char name[32] = "h.";
	int r = users < 0 ? users : pl_random_name(name + 2);
	PL_CLOSE int fd = -EBADF;
	struct stat st;

	(void)store; /* a holder that a power cut takes away has no reader left either */
	if (r >= 0) {
		fd = pl_create(users, name, 0600);
		r = fd < 0 ? fd : pl_fstat(fd, &st);
		if (r >= 0)
			r = pl_utimens(fd, deadline->tv_sec, (uint32_t)deadline->tv_nsec);
	}
	if (r >= 0)
		sweep_holders(users, &st.st_ctim); /* the file system's clock */
	return r < 0 ? pl_fail_sys(error, r, "cannot note a holder of a tree") : 0;
}

/* ---- what a user needs ---- */

static void add_ms(struct timespec *t, uint64_t ms)
{
	t->tv_sec += (time_t)(ms / 1000);
	t->tv_nsec += (long)(ms % 1000) * 1000000;
	if (t->tv_nsec >= 1000000000) {
		t->tv_nsec -= 1000000000;
		t->tv_sec++;
	}
}

/* 1 and when the public path had moved on from generation n; 0: it has not yet. */
static int find_replaced(struct pl_ref *ref, uint64_t n, uint64_t head, struct timespec *ret_when)
{
	PL_CLOSE int shown = pl_open_dir(ref->fd, "shown");

	if (shown < 0)
		return shown;
	for (uint64_t m = n + 1; m <= head; m++) {
		struct stat st;
		char name[24];
		int r;

		snprintf(name, sizeof(name), "%llu", (unsigned long long)m);
		r = pl_lstat(shown, name, &st);
		if (r == -ENOENT)
			continue;
		if (r < 0)
			return r;
		*ret_when = st.st_ctim;
		return 1;
	}
	return 0;
}

int pl_generation_in_grace(struct pl_ref *ref, uint64_t n, uint64_t head,
			   const struct timespec *now, struct timespec *ret_replaced)
{
	struct timespec end;
	int r = find_replaced(ref, n, head, &end);

	if (r <= 0)
		return r < 0 ? r : 1;
	if (ret_replaced)
		*ret_replaced = end;
	add_ms(&end, ref->settings.grace_ms);
	return pl_time_is_before(now, &end);
}

/* 1: public/tree names this tree, or cannot be seen from inside of a transaction on the ref. (I1) */
static int is_shown(struct pl_ref *ref, const struct pl_id *tree)
{
	struct pl_id shown;
	unsigned k;
	int r = pl_ref_is_masked(ref, NULL);

	if (r != 0)
		return r;
	r = pl_public_read(ref, &shown, &k, NULL);
	return r <= 0 ? r : pl_id_equal(&shown, tree);
}

/* Of a generation that exists and has this tree. (I2) */
static int need_of_kept(struct pl_ref *ref, const struct pl_id *tree, uint64_t n, uint64_t head,
			const struct timespec *now)
{
	int dropped = pl_generation_is_dropped(ref, n);
	int r;

	if (dropped < 0)
		return dropped;
	if (!dropped && (n == head || head - n < ref->settings.keep_placed))
		return PL_NEED_PLACED;
	r = is_shown(ref, tree);
	if (r == 0)
		r = n == head ? 1 : pl_generation_in_grace(ref, n, head, now, NULL) /* I3 */;
	if (r != 0)
		return r < 0 ? r : PL_NEED_PLACED;
	return dropped ? PL_NEED_NOTHING : PL_NEED_TREE;
}

/* Of a commit that died, or holds the pin. But a record that is there, behind one that is missing, is a damaged
 * ref's, and its trees must not go with that; nor what is shown, whose record may be lost. (I1, I2) */
static int need_of_no_record(struct pl_user_lookup *lookup, const struct pl_id *tree, uint64_t n,
			     struct pleach_error *error)
{
	int r = pl_generation_exists(&lookup->ref, n);

	if (r < 0)
		return pl_fail_sys(error, r, "cannot look at ref '%s'", lookup->ref.name);
	if (r == 0)
		return is_shown(&lookup->ref, tree) == 0 ? PL_NEED_NOTHING : PL_NEED_PLACED;
	r = pl_head_number(&lookup->ref, &lookup->head, error); /* it may have come since */
	if (r < 0)
		return r;
	return n <= lookup->head ? PL_NEED_PLACED
				 : pl_head_fail_hole(&lookup->ref, lookup->head, error);
}

static int need_of_generation(struct pl_user_lookup *lookup, const struct pl_id *tree, uint64_t n,
			      struct pleach_error *error)
{
	struct pl_record record;
	bool is_its;
	int r = 0;

	if (n > lookup->head) /* I4 */
		r = pl_head_number(&lookup->ref, &lookup->head, error);
	if (r < 0)
		return r;
	if (n > lookup->head)
		return need_of_no_record(lookup, tree, n, error);
	r = pl_generation_read(&lookup->ref, n, &record, error);
	if (r == -ENOENT && pl_ref_is_current(&lookup->ref) == 0) {
		pl_error_clear(error); /* the ref was dropped since it was opened */
		return PL_NEED_NOTHING;
	}
	if (r < 0)
		return r;
	is_its = pl_id_equal(&record.tree, tree);
	pl_record_done(&record);
	r = is_its ? need_of_kept(&lookup->ref, tree, n, lookup->head, &lookup->now)
		   : PL_NEED_NOTHING;
	return r == -ENOENT && pl_ref_is_current(&lookup->ref) == 0 ? PL_NEED_NOTHING : r;
}

static int need_of_tag(struct pl_ref *ref, const struct pl_id *tree, const char *tag,
		       struct pleach_error *error)
{
	struct pl_tag t;
	int r;

	if (!pl_ref_name_is_valid(tag))
		return PL_NEED_PLACED;
	r = pl_tag_read(ref, tag, &t, error);
	if (r == -ENOENT)
		return PL_NEED_NOTHING;
	if (r < 0)
		return r;
	return pl_id_equal(&t.tree, tree) ? PL_NEED_TREE : PL_NEED_NOTHING;
}

/* What stands, or stood, at the path of an attachment that is a directory or a mount. A directory is a
 * placing of its own: it needs the tree alone, to be compared with it before it is erased. */
static int need_of_showing(struct pl_ref *ref, const struct pl_id *tree, const char *hash,
			   struct pleach_error *error)
{
	struct pl_showing showing;
	int r = pl_showing_read_named(ref, hash, &showing, error);
	int need = PL_NEED_NOTHING;

	if (r < 0)
		return r == -ENOENT ? PL_NEED_NOTHING : r;
	for (size_t i = 0; i < showing.n; i++)
		if (pl_id_equal(&showing.items[i].tree, tree))
			need = strcmp(showing.mode, "mount") == 0 ? PL_NEED_PLACED : PL_NEED_TREE;
	pl_showing_done(&showing);
	return need;
}

static int need_of_attachment(struct pl_ref *ref, const struct pl_id *tree, const char *hash,
			      struct pleach_error *error)
{
	struct pl_attachment record;
	bool is_its;
	int r = strlen(hash) == PL_ID_HEX && pl_is_hex(hash, PL_ID_HEX)
			? pl_attachment_read_named(ref, hash, &record, error)
			: -EBADMSG;

	if (r < 0 && r != -ENOENT)
		return PL_NEED_PLACED; /* I1 */
	if (r >= 0) {
		is_its = record.generation > 0 && pl_id_equal(&record.tree, tree);
		pl_attachment_done(&record);
		if (is_its)
			return PL_NEED_PLACED;
	}
	r = need_of_showing(ref, tree, hash, error);
	return r < 0 ? PL_NEED_PLACED : r;
}

/* The ref is lookup->ref. */
static int need_in_ref(struct pl_user_lookup *lookup, const struct pl_id *tree,
		       const struct pl_user *user, uint64_t *ret_generation,
		       struct pleach_error *error)
{
	uint64_t n;

	if (user->kind == 't')
		return need_of_tag(&lookup->ref, tree, user->rest, error);
	if (user->kind == 'a')
		return need_of_attachment(&lookup->ref, tree, user->rest, NULL);
	if (pl_parse_u64(user->rest, UINT64_MAX / 4, &n) < 0 || n == 0)
		return PL_NEED_PLACED; /* I1 */
	if (lookup->own && strcmp(lookup->own->id, lookup->ref.id) == 0)
		*ret_generation = n;
	return need_of_generation(lookup, tree, n, error);
}

/* Opens the ref with this id, if it is not the one before. 1, or 0: there is none. */
static int look_into(struct pl_user_lookup *lookup, const char *ref_id, struct pleach_error *error)
{
	int r;

	if (lookup->ref.fd >= 0 && strcmp(lookup->ref.id, ref_id) == 0)
		return 1;
	pl_user_lookup_done(lookup);
	r = pl_ref_find_id(lookup->store, ref_id, lookup->own, &lookup->ref, error);
	if (r != 1)
		lookup->ref.fd = -EBADF;
	return r;
}

void pl_user_lookup_done(struct pl_user_lookup *lookup)
{
	if (lookup->ref.fd >= 0)
		pl_ref_close(&lookup->ref);
	lookup->ref.fd = -EBADF;
	lookup->head = 0;
}

static int need_of_holder(struct pl_store *store, const struct pl_id *tree, const char *name,
			  const struct timespec *now)
{
	PL_CLOSE int treedir = pl_treedir_open(store, tree);
	PL_CLOSE int users = treedir < 0 ? treedir : pl_open_dir(treedir, "users");
	struct stat st;
	int r = users < 0 ? users : pl_lstat(users, name, &st);

	if (r < 0)
		return r == -ENOENT ? PL_NEED_NOTHING : r;
	return pl_time_is_before(now, &st.st_mtim) ? PL_NEED_PLACED : PL_NEED_NOTHING;
}

int pl_user_need(struct pl_user_lookup *lookup, const struct pl_id *tree, const char *name,
		 uint64_t *ret_generation, struct pleach_error *error)
{
	struct pl_user user;
	int r;

	*ret_generation = 0;
	if (!pl_user_split(name, &user))
		return PL_NEED_PLACED; /* I1 */
	if (user.kind == 'h')
		return need_of_holder(lookup->store, tree, name, &lookup->now);
	if (user.kind == 'x') {
		r = pl_exists(lookup->store->tx_fd, user.rest);
		return r < 0 ? r : r > 0 ? PL_NEED_PLACED : PL_NEED_NOTHING;
	}
	r = look_into(lookup, user.ref_id, error);
	if (r <= 0)
		return r < 0 ? r : PL_NEED_NOTHING; /* the ref was dropped */
	r = need_in_ref(lookup, tree, &user, ret_generation, error);
	if (r < 0 && (!error || error->code == PLEACH_OK))
		pl_fail_sys(error, r, "cannot look up the user %s of a tree", name);
	return r;
}

int pl_users_need(struct pl_user_lookup *lookup, const struct pl_id *tree, int treedir_fd,
		  uint64_t *ret_generation, struct pleach_error *error)
{
	struct pl_listing listing = {0};
	uint64_t newest = 0;
	char hex[PL_ID_HEX + 1];
	int need = PL_NEED_NOTHING;
	int r = pl_users_list(treedir_fd, &listing);

	if (r < 0)
		return pl_fail_sys(error, r, "cannot list the users of tree %s",
				   pl_id_hex(tree, hex));
	for (size_t i = 0; r >= 0 && i < listing.n; i++) {
		uint64_t n;

		r = pl_user_need(lookup, tree, listing.entries[i].name, &n, error);
		if (r > need)
			need = r;
		if (n > newest)
			newest = n;
	}
	pl_listing_done(&listing);
	if (r < 0)
		return r;
	*ret_generation = newest;
	return need;
}
