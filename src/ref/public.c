/*
 * The public path: STORE/<ref>, a symlink made once, leads through refs/<ref>/public/tree, which each
 * commit replaces by rename. And its recovery: whoever finds it behind the head moves it on.
 *
 *       record linked (commit point)
 *     behind ------------------------> shown          pl_public_show(), by the committer
 *        \____________________________/               pl_ref_settle(), by whoever comes next
 *
 * I1  public/tree is replaced under the ref lock alone, and never goes back to an older generation.
 * I2  It names only generations whose record is durable: the committer has synced gen/ before, and who
 *     finishes for a dead committer syncs it again, after a change, so that a sync that failed then is
 *     not believed now. (model/durable.pml, control RESOLVER_NOSYNC)
 * I3  STORE/<ref> is made with symlink(2) alone, which never replaces (G7).
 * I4  It never goes back from a generation whose record was lost: then its tree has a user that is behind what looks
 *     like the head, and is that of no generation. The user alone is what a killed commit leaves, of a tree that was
 *     published before.
 */
#include <fcntl.h>
#include <stdio.h>

#include "ref/ref.h"

#define TARGET_PREFIX "../../../trees/"

static void hop_target(const struct pl_ref *ref, char ret_target[160])
{
	snprintf(ret_target, 160, ".pleach/refs/%s/public/tree", ref->name);
}

int pl_public_state_at(struct pl_ref *ref, int dirfd, const char *name,
		       enum pl_public_state *ret_state, struct pleach_error *error)
{
	char expected[160];
	PL_BUFFER target = {0};
	int r = pl_readlink(dirfd, name, &target);

	if (r < 0 && r != -ENOENT && r != -EINVAL)
		return pl_fail_sys(error, r, "cannot look at the public path '%s/%s'",
				   ref->store->path, ref->name);
	hop_target(ref, expected);
	if (r == -ENOENT)
		*ret_state = PL_PUBLIC_MISSING;
	else if (r >= 0 && target.length == strlen(expected) &&
		 memcmp(target.data, expected, target.length) == 0)
		*ret_state = PL_PUBLIC_OK;
	else
		*ret_state = PL_PUBLIC_FOREIGN;
	return 0;
}

int pl_public_state(struct pl_ref *ref, enum pl_public_state *ret_state, struct pleach_error *error)
{
	return pl_public_state_at(ref, ref->store->root_fd, ref->name, ret_state, error);
}

static int fail_foreign(struct pl_ref *ref, struct pleach_error *error)
{
	pl_fail(error, PLEACH_FAILED, -EEXIST, "cannot publish '%s': '%s/%s' is not ours",
		ref->name, ref->store->path, ref->name);
	pl_error_path(error, ref->name);
	pl_hint(error,
		"something else has this name; move it away, or choose another name for the ref");
	return -EEXIST;
}

int pl_public_must_be_ours(struct pl_ref *ref, struct pleach_error *error)
{
	enum pl_public_state state = PL_PUBLIC_FOREIGN;
	int r = pl_ref_must_be_unmasked(ref, error);

	if (r >= 0)
		r = pl_public_state(ref, &state, error);
	if (r < 0)
		return r;
	return state == PL_PUBLIC_FOREIGN ? fail_foreign(ref, error) : 0;
}

int pl_public_read(struct pl_ref *ref, struct pl_id *ret_tree, unsigned *ret_k,
		   struct pleach_error *error)
{
	PL_BUFFER b = {0};
	char hex[PL_ID_HEX + 1], number[16];
	const char *rest;
	uint64_t k;
	int r = pl_readlink(ref->fd, "public/tree", &b);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return pl_fail_sys(error, r, "cannot read the public symlink of '%s'", ref->name);
	rest = pl_buffer_string(&b) + strlen(TARGET_PREFIX);
	if (b.length < strlen(TARGET_PREFIX) + PL_ID_HEX + strlen("/1/tree") ||
	    b.length > strlen(TARGET_PREFIX) + PL_ID_HEX + sizeof(number) ||
	    strncmp(pl_buffer_string(&b), TARGET_PREFIX, strlen(TARGET_PREFIX)) != 0 ||
	    strcmp(rest + strlen(rest) - 5, "/tree") != 0 || rest[PL_ID_HEX] != '/')
		goto bad;
	memcpy(hex, rest, PL_ID_HEX);
	hex[PL_ID_HEX] = '\0';
	memset(number, 0, sizeof(number));
	memcpy(number, rest + PL_ID_HEX + 1, strlen(rest) - PL_ID_HEX - 1 - 5);
	if (pl_id_parse(hex, ret_tree) < 0 || pl_parse_u64(number, UINT32_MAX - 1, &k) < 0)
		goto bad;
	*ret_k = (unsigned)k;
	return 1;
bad:
	return pl_fail_corrupt(error, "the public symlink of '%s' is damaged", ref->name);
}

/* ---- moving it ---- */

static int replace_symlink(struct pl_ref *ref, struct pl_txdir *tx, const struct pl_id *tree,
			   unsigned k)
{
	PL_CLOSE int public = pl_open_dir(ref->fd, "public");
	char target[160], name[32], hex[PL_ID_HEX + 1];
	PL_BUFFER now = {0};
	int r = public;

	if (r < 0)
		return r;
	snprintf(target, sizeof(target), TARGET_PREFIX "%s/%u/tree", pl_id_hex(tree, hex), k);
	r = pl_readlink(public, "tree", &now);
	if (r >= 0 && now.length == strlen(target) && memcmp(now.data, target, now.length) == 0)
		return pl_store_sync(ref->store, public);
	if (r < 0 && r != -ENOENT)
		return r;
	pl_txdir_name(tx, "link", name);
	r = pl_symlink(target, tx->fd, name);
	if (r >= 0)
		r = pl_rename(tx->fd, name, public, "tree");
	return r < 0 ? r : pl_store_sync(ref->store, public);
}

static int mark_shown(struct pl_ref *ref, uint64_t n)
{
	PL_CLOSE int shown = pl_open_dir(ref->fd, "shown");
	char name[24];
	int r;

	if (shown < 0)
		return shown;
	snprintf(name, sizeof(name), "%llu", (unsigned long long)n);
	r = pl_write_file(shown, name, 0644, "", 0, false);
	return r == -EEXIST ? 0 : r; /* not synced: one that is lost is made again, later */
}

/* 1: there is something foreign. */
static int make_hop(struct pl_ref *ref, struct pleach_error *error)
{
	enum pl_public_state state = PL_PUBLIC_FOREIGN;
	char target[160];
	int r = pl_public_state(ref, &state, error);

	if (r < 0 || state == PL_PUBLIC_OK)
		return r;
	if (state == PL_PUBLIC_FOREIGN)
		return 1;
	hop_target(ref, target);
	r = pl_symlink(target, ref->store->root_fd, ref->name); /* I3 */
	if (r == -EEXIST)
		return 1;
	if (r >= 0)
		r = pl_store_sync(ref->store, ref->store->root_fd);
	return r < 0 ? pl_fail_sys(error, r, "cannot make the public path '%s/%s'",
				   ref->store->path, ref->name)
		     : 0;
}

/*
 * Under the ref lock where something is made. Without it: 1. A finds its head unchanged, 2. B drops the
 * ref, its path and all, 3. A makes the path again, which leads nowhere and is nobody's.
 */
int pl_public_restore(struct pl_ref *ref, struct pleach_error *error)
{
	enum pl_public_state state = PL_PUBLIC_FOREIGN;
	int r = pl_public_state(ref, &state, error);

	pl_assert(!pl_ref_is_locked(ref));
	if (r < 0 || state == PL_PUBLIC_OK)
		return r;
	r = pl_ref_lock(ref, -1, error);
	if (r < 0)
		return r;
	r = make_hop(ref, error);
	pl_ref_unlock(ref);
	return r == 1 ? fail_foreign(ref, error) : r;
}

void pl_public_withdraw(struct pl_ref *ref, const char *tx_id)
{
	enum pl_public_state state = PL_PUBLIC_FOREIGN;
	uint64_t head = 1;
	char other[25];

	pl_assert(pl_ref_is_locked(ref));
	if (pl_head_number(ref, &head, NULL) == 0 && head == 0 &&
	    pl_tx_note_find(ref, tx_id, false, other, NULL) == 0 &&
	    pl_public_state(ref, &state, NULL) == 0 && state == PL_PUBLIC_OK)
		(void)pl_unlink(ref->store->root_fd, ref->name);
}

/* shown/ comes last: while it is missing, whoever comes by does all of it again. 1: foreign. */
static int show_one(struct pl_ref *ref, struct pl_txdir *tx, uint64_t n, const struct pl_id *tree,
		    unsigned k, struct pleach_error *error)
{
	int r = replace_symlink(ref, tx, tree, k), hop = 0;

	if (r >= 0) {
		hop = make_hop(ref, error);
		if (hop < 0)
			return hop;
		r = mark_shown(ref, n); /* also where the hop is foreign: attachments have moved */
	}
	if (r < 0)
		return pl_fail_sys(error, r, "cannot show generation %llu of '%s'",
				   (unsigned long long)n, ref->name);
	return hop;
}

/* The tree of generation n and where it is placed. -EBADMSG: it is not placed. */
static int find_placing(struct pl_ref *ref, uint64_t n, struct pl_id *ret_tree, unsigned *ret_k,
			struct pleach_error *error)
{
	PL_CLOSE int treedir = -EBADF;
	struct pl_record record;
	int r = pl_generation_read(ref, n, &record, error);

	if (r < 0)
		return r;
	*ret_tree = record.tree;
	pl_record_done(&record);
	treedir = pl_treedir_open(ref->store, ret_tree);
	r = treedir < 0 ? treedir : pl_placing_find(treedir, ret_k);
	if (r == 0 || r == -ENOENT)
		return pl_fail_corrupt(error, "generation %llu of '%s' is the head and not placed",
				       (unsigned long long)n, ref->name);
	return r < 0 ? pl_fail_sys(error, r, "cannot look for generation %llu of '%s'",
				   (unsigned long long)n, ref->name)
		     : 0;
}

int pl_public_show(struct pl_ref *ref, struct pl_txdir *tx, uint64_t n, const struct pl_id *tree,
		   unsigned k, struct pleach_error *error)
{
	struct pl_id t = *tree;
	uint64_t head = n;
	int r;

	pl_assert(pl_ref_is_locked(ref) && k > 0); /* I1 */
	do {
		n = head;
		r = show_one(ref, tx, n, &t, k, error);
		if (r != 0)
			return r;
		/* The lock may have been lost (a lease that ran out on a network file system): what
		 * another has committed meanwhile is shown, and not what we left behind.
		 * (model/ref.pml, control NO_RECHECK9) */
		r = pl_head_number(ref, &head, error);
		if (r >= 0 && head > n)
			r = find_placing(ref, head, &t, &k, error);
	} while (r >= 0 && head > n);
	return r;
}

/* ---- recovery ---- */

static int is_behind(struct pl_ref *ref, uint64_t head, bool *ret_dropped,
		     struct pleach_error *error)
{
	struct pl_record record;
	struct pl_id shown;
	unsigned k;
	char name[40];
	int r = pl_generation_read(ref, head, &record, error);
	bool is_same;

	if (r < 0)
		return r;
	*ret_dropped = strcmp(record.kind, "dropped") == 0;
	r = pl_public_read(ref, &shown, &k, NULL);
	is_same = r == 1 && pl_id_equal(&shown, &record.tree);
	pl_record_done(&record);
	if (*ret_dropped || !is_same)
		return 1;
	snprintf(name, sizeof(name), "shown/%llu", (unsigned long long)head);
	r = pl_exists(ref->fd, name);
	return r < 0 ? pl_fail_sys(error, r, "cannot look at ref '%s'", ref->name) : r == 0;
}

/* A name is made and unlinked in gen/, so that there is something to sync, and it is synced (I2); with all that
 * the record reaches, where its committer relied on the journal for that (tx/commit.c, I7).
 * Always the same one, a leftover by its form: killed here, the next one takes it away. */
static int sync_again(struct pl_ref *ref, struct pleach_error *error)
{
	struct pl_journal journal;
	int r;

	pl_assert(pl_ref_is_locked(ref));
	r = pl_write_file(ref->gen_fd, ".sync", 0600, "", 0, false);
	if (r >= 0 || r == -EEXIST)
		r = pl_unlink(ref->gen_fd, ".sync");
	if (r >= 0 && ref->store->settings.durable) {
		pl_journal_probe(ref->gen_fd, &journal);
		r = pl_journal_sync(ref->gen_fd, &journal);
	}
	return r < 0 ? pl_fail_sys(error, r, "cannot sync the generations of '%s'", ref->name) : 0;
}

/* Has the tree a user that is a generation of the ref behind `head`? What cannot be read has none. */
static bool has_later_user(const struct pl_ref *ref, const struct pl_id *tree, uint64_t head)
{
	PL_CLOSE int treedir = pl_treedir_open(ref->store, tree);
	struct pl_listing listing = {0};
	bool has = false;

	if (treedir >= 0)
		(void)pl_users_list(treedir, &listing);
	for (size_t i = 0; i < listing.n && !has; i++) {
		const char *name = listing.entries[i].name;
		struct pl_user user;
		uint64_t n;

		has = pl_user_is_generation_of(ref, name) && pl_user_split(name, &user) &&
		      pl_parse_u64(user.rest, UINT64_MAX / 4, &n) == 0 && n > head;
	}
	pl_listing_done(&listing);
	return has;
}

/* 1: it is the tree of a generation up to `head`. */
static int is_known(struct pl_ref *ref, const struct pl_id *tree, uint64_t head,
		    struct pleach_error *error)
{
	bool is_its = false;

	for (uint64_t n = head; n > 0 && !is_its; n--) {
		struct pl_record record;
		int r = pl_generation_read_known(ref, n, &record, error);

		if (r < 0)
			return r;
		is_its = pl_id_equal(&record.tree, tree);
		pl_record_done(&record);
	}
	return is_its;
}

int pl_public_check_head(struct pl_ref *ref, uint64_t head, struct pleach_error *error)
{
	struct pl_id shown;
	unsigned k;
	int r = pl_public_read(ref, &shown, &k, NULL);

	if (r != 1 || !has_later_user(ref, &shown, head))
		return 0;
	r = is_known(ref, &shown, head, error);
	if (r != 0 || pl_generation_exists(ref, head + 1) == 1 || pl_ref_is_current(ref) == 0)
		return r < 0 ? r : 0; /* or it has come since; or the ref goes, name by name */
	return pl_head_fail_hole(ref, head, error);
}

static int settle_locked(struct pl_ref *ref, struct pl_txdir *tx, struct pleach_error *error)
{
	struct pl_id tree;
	uint64_t head;
	unsigned k = 0;
	bool dropped = false;
	int r = pl_head_number(ref, &head, error);

	if (r >= 0)
		r = is_behind(ref, head, &dropped, error);
	if (r <= 0)
		return r; /* whoever had the lock has done it */
	r = dropped ? 0 : pl_public_check_head(ref, head, error); /* I4 */
	if (r >= 0)
		r = sync_again(ref, error);
	if (r < 0)
		return r;
	if (dropped) {
		pl_event_add(ref->store, NULL, "finished the drop of '%s'", ref->name);
		return pl_ref_remove(ref, tx, true, error);
	}
	r = find_placing(ref, head, &tree, &k, error);
	if (r >= 0)
		r = pl_public_show(ref, tx, head, &tree, k, error);
	if (r >= 0)
		pl_event_add(ref->store, NULL,
			     "moved the public path of '%s' on to generation %llu", ref->name,
			     (unsigned long long)head);
	return r < 0 ? r : 0;
}

static int settle(struct pl_ref *ref, struct pl_txdir *tx, struct pleach_error *error)
{
	struct pl_txdir own;
	int r;

	if (pl_ref_is_locked(ref))
		return settle_locked(ref, tx, error);
	if (!tx) {
		r = pl_txdir_begin(ref->store, "recovery", &own, error);
		if (r < 0)
			return r;
	}
	r = pl_ref_try_lock(ref, error);
	if (r > 0) {
		r = settle_locked(ref, tx ? tx : &own, error);
		pl_ref_unlock(ref);
	}
	if (!tx)
		pl_txdir_end(&own);
	return r < 0 ? r : 0;
}

/* Moves the public path on if it is behind. What cannot be mended now is resolved by the record. */
static int find_head(struct pl_ref *ref, struct pl_txdir *tx, uint64_t *ret_head, bool *ret_dropped,
		     struct pleach_error *error)
{
	struct pleach_error ignored = PLEACH_ERROR_INIT;
	int r = pl_head_number(ref, ret_head, error);

	if (r < 0 || *ret_head == 0)
		return r;
	r = pl_ref_is_masked(ref, NULL); /* inside of a transaction nothing can be seen of it */
	if (r != 0)
		return r < 0 ? pl_fail_sys(error, r, "cannot look at ref '%s'", ref->name) : 0;
	r = is_behind(ref, *ret_head, ret_dropped, error);
	if (r > 0 && ref->store->is_owner && ref->store->is_writable &&
	    pl_seam_guards(PL_GUARD_SETTLE)) {
		r = settle(ref, tx, &ignored);
		if (r < 0 && tx && !*ret_dropped)
			return pl_fail(error, ignored.code, r, "%s", ignored.message);
		r = 0;
	}
	return r < 0 ? r : pl_head_number(ref, ret_head, error);
}

int pl_ref_settle(struct pl_ref *ref, struct pl_txdir *tx, uint64_t *ret_head,
		  struct pleach_error *error)
{
	bool dropped = false;
	uint64_t head = 0;
	int r = find_head(ref, tx, &head, &dropped, error), current;

	/* 1. it is opened, 2. it is dropped, its name goes, and then its records, one by one, 3. any of
	 * those that are left looks like the head, or there is none. What was read is whole if the name
	 * still leads here afterwards. */
	current = dropped ? 0 : pl_ref_is_current(ref);
	if (current == 0)
		return pl_fail_not_found(error, "ref '%s' was dropped", ref->name);
	if (r >= 0 && current < 0)
		r = pl_fail_sys(error, current, "cannot look at ref '%s'", ref->name);
	if (r < 0)
		return r;
	*ret_head = head;
	return 0;
}
