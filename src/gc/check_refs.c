/*
 * Refs, each as a whole: its id and its settings. Its generations are check_records.c's, what names one
 * check_named.c's, what shows one check_public.c's.
 *
 * R1  What was found of a ref that is dropped meanwhile is forgotten again (K3).
 */
#include <stdio.h>
#include <stdlib.h>

#include "gc/checking.h"

#define ID_LENGTH 24

/* ---- id and settings ---- */

static int read_id(struct pl_checking *c, struct pl_ref_check *rc, struct pleach_error *error)
{
	PL_BUFFER b = {0};
	int r = pl_read_file(rc->ref.fd, "id", 64, &b);

	if (r < 0)
		return pl_checking_cannot_at(c, rc, r, "config", "id", error);
	if (b.length != ID_LENGTH + 1 || b.data[ID_LENGTH] != '\n' ||
	    !pl_is_hex((const char *)b.data, ID_LENGTH))
		return pl_checking_fault_at(c, rc, "config", "id", "is no id of a ref", error);
	memcpy(rc->ref.id, b.data, ID_LENGTH);
	rc->has_id = true;
	return 0;
}

static int read_settings(struct pl_checking *c, struct pl_ref_check *rc,
			 struct pl_checked_ref *checked, struct pleach_error *error)
{
	struct pleach_error cause = PLEACH_ERROR_INIT;
	PL_BUFFER b = {0};
	int r = pl_read_file(rc->ref.fd, "config", PL_TEXT_MAX, &b);

	if (r < 0 && r != -ENOENT)
		return pl_checking_cannot_at(c, rc, r, "config", "config", error);
	if (r >= 0)
		r = pl_values_decode(b.data, b.length, &rc->ref.values);
	if (r == -ENOMEM)
		return pl_fail_memory(error);
	if (r < 0 && r != -ENOENT)
		return pl_checking_fault_at(
			c, rc, "config", "config",
			r == -EPROTONOSUPPORT ? "is of a newer format" : "does not verify", error);
	r = pl_settings_resolve(&c->store->values, &rc->ref.values, &rc->ref.settings, &cause);
	if (r < 0)
		return pl_checking_fault_at(c, rc, "config", "config", cause.message, error);
	checked->has_settings = true;
	checked->share = rc->ref.settings.share;
	return 0;
}

static int check_lock(struct pl_checking *c, struct pl_ref_check *rc, struct pleach_error *error)
{
	struct stat st;
	int r = pl_lstat(rc->ref.fd, "lock", &st);

	if (r == -ENOENT)
		return pl_checking_fault_at(c, rc, "config", "lock",
					    "is missing: nobody can publish", error);
	if (r < 0)
		return pl_checking_cannot_at(c, rc, r, "config", "lock", error);
	return S_ISREG(st.st_mode)
		       ? 0
		       : pl_checking_fault_at(c, rc, "config", "lock", "is no file", error);
}

/* ---- one ref ---- */

static int check_parts(struct pl_checking *c, struct pl_ref_check *rc,
		       struct pl_checked_ref *checked, struct pleach_error *error)
{
	int r = read_id(c, rc, error);

	memcpy(checked->id, rc->ref.id, sizeof(checked->id));
	if (r >= 0)
		r = check_lock(c, rc, error);
	if (r >= 0)
		r = read_settings(c, rc, checked, error);
	rc->ref.gen_fd = pl_open_dir(rc->ref.fd, "gen");
	if (r >= 0 && rc->ref.gen_fd < 0)
		return pl_checking_cannot_at(c, rc, rc->ref.gen_fd, "record", "gen", error);
	if (r >= 0)
		r = pl_checking_records(c, rc, error);
	if (r >= 0 && rc->head > 0 && !rc->is_dropped)
		r = pl_checking_public(c, rc, error);
	if (r >= 0 && rc->has_id)
		r = pl_checking_named(c, rc, error);
	return r;
}

/* Was it dropped since it was opened? */
static bool has_gone(struct pl_checking *c, const struct pl_ref_check *rc)
{
	struct stat opened, named;

	if (pl_fstat(rc->ref.fd, &opened) < 0)
		return false;
	return pl_lstat(c->store->refs_fd, rc->ref.name, &named) == -ENOENT ||
	       !pl_same_inode(&opened, &named);
}

static int check_ref(struct pl_checking *c, const char *name, struct pleach_error *error)
{
	const struct pl_findings before = *c->findings;
	const size_t n_generations = c->n_generations;
	struct pl_ref_check rc = {
		.ref = {.store = c->store, .fd = -EBADF, .gen_fd = -EBADF, .lock_fd = -EBADF}};
	struct pl_checked_ref *checked;
	int r;

	if (PL_ARRAY_GROW(c->refs, c->refs_capacity, c->n_refs) < 0)
		return pl_fail_memory(error);
	checked = &c->refs[c->n_refs++];
	*checked = (struct pl_checked_ref){0};
	(void)snprintf(rc.ref.name, sizeof(rc.ref.name), "%s", name);
	memcpy(checked->name, rc.ref.name, sizeof(checked->name));
	(void)snprintf(rc.path, sizeof(rc.path), ".pleach/refs/%s", rc.ref.name);
	rc.ref.fd = pl_open_dir(c->store->refs_fd, name);
	c->ref = rc.ref.name;
	if (rc.ref.fd >= 0)
		r = check_parts(c, &rc, checked, error);
	else
		r = rc.ref.fd == -ENOENT
			    ? 0
			    : pl_checking_cannot(c, rc.ref.fd, "config", rc.path, error);
	c->ref = NULL;
	if (r >= 0 && rc.ref.fd >= 0 && has_gone(c, &rc)) { /* R1 */
		pl_checking_forget(c->findings, &before);
		c->n_generations = n_generations;
	}
	pl_ref_close(&rc.ref);
	free(rc.numbers);
	return r < 0 ? r : 0;
}

static int check_wanted(struct pl_checking *c, struct pleach_error *error)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && c->check->refs[i]; i++) {
		const char *name = c->check->refs[i];

		if (!pl_ref_name_is_valid(name))
			return pl_fail_usage(error, "'%s' is no name for a ref", name);
		if (pl_exists(c->store->refs_fd, name) == 0 || pl_ref_is_stranger(c->store, name))
			return pl_fail_not_found(error, "no ref '%s' in this store", name);
		r = check_ref(c, name, error);
	}
	return r;
}

int pl_check_refs(struct pl_checking *c, struct pleach_error *error)
{
	struct pl_listing listing = {0};
	int r;

	if (c->check->refs)
		return check_wanted(c, error);
	r = pl_list(c->store->refs_fd, &listing);
	if (r < 0)
		r = pl_checking_cannot(c, r, "name", ".pleach/refs", error);
	for (size_t i = 0; r >= 0 && i < listing.n; i++) {
		const char *name = listing.entries[i].name;

		if (pl_checking_is_leftover(name))
			continue;
		if (pl_ref_name_is_valid(name) && !pl_ref_is_stranger(c->store, name))
			r = check_ref(c, name, error);
		else
			r = pl_checking_stray(c, ".pleach/refs", name, error);
	}
	pl_listing_done(&listing);
	return r;
}
