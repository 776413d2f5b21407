/*
 * trees/<id>/: what a tree reaches, why it is kept, and where it is placed.
 *
 * T1  Each is looked at under its pin, shared, so that nobody takes it away meanwhile; one that is gone
 *     by then is nobody's business here (K3, K4): who needs it misses it in check_refs.c.
 */
#include <fcntl.h>
#include <stdio.h>

#include "gc/checking.h"

/* ".pleach/trees/<id>" */
#define TREE_PATH (PL_ID_HEX + 32)

struct tree_check {
	struct pl_checking *c;
	struct pl_pin pin;
	struct pl_id tree;
	char path[TREE_PATH];
};

/* ---- users ---- */

/* Is it one of the forms of a user's name? */
static bool is_user(const char *name)
{
	struct pl_user user;
	uint64_t n;

	if (!pl_user_split(name, &user))
		return false;
	if (user.kind == 'h')
		return pl_is_random_name(user.rest);
	if (user.kind == 'x')
		return true;
	if (user.kind == 'g')
		return pl_parse_u64(user.rest, UINT64_MAX, &n) == 0;
	if (user.kind == 't')
		return pl_ref_name_is_valid(user.rest);
	return strlen(user.rest) == PL_ID_HEX && pl_is_hex(user.rest, PL_ID_HEX);
}

static const struct pl_checked_ref *find_ref(const struct pl_checking *c, const char *user)
{
	for (size_t i = 0; i < c->n_refs; i++)
		if (strncmp(c->refs[i].id, user + 2, 24) == 0)
			return &c->refs[i];
	return NULL;
}

/* Also: does the tree count as share=names (format.md, "Layout")? All refs that its users name say so,
 * and there is one. */
static int check_users(struct tree_check *t, bool *ret_by_names, struct pleach_error *error)
{
	PL_CLOSE int fd = pl_open_dir(t->pin.treedir_fd, "users");
	struct pl_listing listing = {0};
	char path[TREE_PATH + 8];
	unsigned by_names = 0, others = 0;
	int r = fd < 0 ? fd : pl_list(fd, &listing);

	(void)snprintf(path, sizeof(path), "%s/users", t->path);
	if (r < 0)
		r = pl_checking_cannot(t->c, r, "tree", path, error);
	for (size_t i = 0; r >= 0 && i < listing.n; i++) {
		const char *name = listing.entries[i].name;
		const struct pl_checked_ref *ref;

		if (pl_checking_is_leftover(name))
			continue;
		if (!is_user(name)) {
			r = pl_checking_stray(t->c, path, name, error);
			continue;
		}
		ref = strchr("gta", name[0]) ? find_ref(t->c, name) : NULL;
		if (ref && ref->has_settings && ref->share == PL_SHARE_NAMES)
			by_names++;
		else if (ref)
			others++;
		r = pl_checking_empty_file(t->c, fd, name, "tree", path, error);
	}
	pl_listing_done(&listing);
	*ret_by_names = by_names > 0 && others == 0;
	return r;
}

/* ---- placings ---- */

static int check_wrapper(struct tree_check *t, const char *number, unsigned k, bool by_names,
			 struct pleach_error *error)
{
	PL_CLOSE int fd = pl_open_dir(t->pin.treedir_fd, number);
	struct pl_listing listing = {0};
	char path[TREE_PATH + 32];
	bool has_tree = false, has_filter = false;
	int r = fd < 0 ? fd : pl_list(fd, &listing);

	(void)snprintf(path, sizeof(path), "%s/%.20s", t->path, number);
	if (r < 0)
		return pl_checking_cannot(t->c, r, "placed", path, error);
	for (size_t i = 0; r >= 0 && i < listing.n; i++) {
		const char *name = listing.entries[i].name;

		if (strcmp(name, "tree") == 0)
			has_tree = true;
		else if (strcmp(name, "filter") == 0)
			has_filter = true;
		else if (!pl_checking_is_leftover(name))
			r = pl_checking_stray(t->c, path, name, error);
	}
	pl_listing_done(&listing);
	if (r < 0)
		return r;
	(void)pl_checking_about(t->c, PL_SUBJECT_PLACED, &t->tree, k);
	/* Without a filter it was laid out with share=content, or may have been. */
	r = has_tree ? pl_checking_placed(t->c, &t->tree, fd, path, by_names && has_filter, error)
		     : pl_checking_fault(t->c, error, "placed", path, "has no tree in it");
	(void)pl_checking_about(t->c, PL_SUBJECT_TREE, &t->tree, 0);
	return r;
}

static bool is_placing(const char *name, unsigned *ret_k)
{
	uint64_t k;

	if (pl_parse_u64(name, UINT32_MAX - 1, &k) < 0 || k == 0)
		return false;
	*ret_k = (unsigned)k;
	return true;
}

static int check_names(struct tree_check *t, bool by_names, struct pleach_error *error)
{
	struct pl_listing listing = {0};
	unsigned k;
	int r = pl_list(t->pin.treedir_fd, &listing);

	if (r < 0)
		r = pl_checking_cannot(t->c, r, "tree", t->path, error);
	for (size_t i = 0; r >= 0 && i < listing.n; i++) {
		const char *name = listing.entries[i].name;

		if (strcmp(name, "pin") == 0 || strcmp(name, "users") == 0 ||
		    pl_checking_is_leftover(name))
			continue;
		r = is_placing(name, &k) ? check_wrapper(t, name, k, by_names, error)
					 : pl_checking_stray(t->c, t->path, name, error);
	}
	pl_listing_done(&listing);
	return r;
}

/* ---- one tree ---- */

/* 1: pinned; 0: there is no such tree (any more), or it was told why it cannot be pinned. */
static int pin(struct tree_check *t, struct pleach_error *error)
{
	struct pleach_error cause = PLEACH_ERROR_INIT;
	char hex[PL_ID_HEX + 1], name[PL_ID_HEX + 8];
	int r = PL_PIN_ABSENT, there;

	(void)snprintf(name, sizeof(name), "%s/pin", pl_id_hex(&t->tree, hex));
	/* A tree that is taken away and put back again and again ends this, too. */
	for (unsigned i = 0; i < 16; i++) {
		r = pl_pin_wait(t->c->store, &t->tree, &t->pin, &cause);
		if (r == PL_PIN_TAKEN)
			return 1;
		if (r == -EBUSY)
			return pl_checking_add(t->c, error, false, "tree", t->path, "%s",
					       cause.message);
		if (r < 0)
			return pl_checking_cannot(t->c, r, "tree", t->path, error);
		there = pl_exists(t->c->store->trees_fd, hex);
		if (there <= 0)
			return there < 0 ? pl_checking_cannot(t->c, there, "tree", t->path, error)
					 : 0; /* T1 */
		if (pl_exists(t->c->store->trees_fd, name) == 0 &&
		    pl_exists(t->c->store->trees_fd, hex) == 1)
			return pl_checking_fault(t->c, error, "tree", t->path,
						 "its file 'pin' is missing");
	}
	return pl_checking_add(t->c, error, false, "tree", t->path, "could not be pinned");
}

static int check_parts(struct tree_check *t, struct pleach_error *error)
{
	bool by_names = false;
	int r = pl_checking_reach(t->c, &t->tree, error);

	if (r >= 0)
		r = pl_checking_empty_file(t->c, t->pin.treedir_fd, "pin", "tree", t->path, error);
	if (r >= 0)
		r = check_users(t, &by_names, error);
	return r < 0 ? r : check_names(t, by_names, error);
}

static int check_tree(struct pl_checking *c, const struct pl_id *id, struct pleach_error *error)
{
	struct tree_check t = {.c = c, .pin = PL_PIN_NONE, .tree = *id};
	char hex[PL_ID_HEX + 1];
	int r;

	(void)snprintf(t.path, sizeof(t.path), ".pleach/trees/%s", pl_id_hex(id, hex));
	(void)pl_checking_about(c, PL_SUBJECT_TREE, id, 0);
	r = pin(&t, error);
	if (r == 1) {
		c->counts.trees++;
		r = check_parts(&t, error);
		pl_pin_done(&t.pin);
	}
	(void)pl_checking_about(c, PL_SUBJECT_OTHER, NULL, 0);
	return r;
}

static int check_all(struct pl_checking *c, struct pleach_error *error)
{
	struct pl_listing listing = {0};
	int r = pl_list(c->store->trees_fd, &listing);

	if (r < 0)
		r = pl_checking_cannot(c, r, "tree", ".pleach/trees", error);
	for (size_t i = 0; r >= 0 && i < listing.n; i++) {
		const char *name = listing.entries[i].name;
		struct pl_id id;

		if (pl_checking_is_leftover(name))
			continue;
		if (pl_tree_is_entry(c->store, &listing.entries[i], &id))
			r = check_tree(c, &id, error);
		else
			r = pl_checking_stray(c, ".pleach/trees", name, error);
	}
	pl_listing_done(&listing);
	return r;
}

int pl_check_trees(struct pl_checking *c, struct pleach_error *error)
{
	int r = 0;

	pl_assert(!c->ref);
	if (!c->check->refs)
		return check_all(c, error);
	for (size_t i = 0; r >= 0 && i < c->n_wanted; i++)
		r = check_tree(c, &c->wanted[i], error);
	return r;
}
