/*
 * The generations of a ref: the chain of records, the marks beside it, and that the tree of each one
 * that is kept is there and says so.
 *
 * R2  gen/ is listed while commits go on: a number that is missing in the listing is looked for by name.
 * R3  A generation whose tree or user is missing is a fault only if it is still not dropped afterwards:
 *     a drop marks it first.
 */
#include <stdio.h>
#include <stdlib.h>

#include "gc/checking.h"

int pl_checking_fault_at(struct pl_checking *c, const struct pl_ref_check *rc, const char *kind,
			 const char *name, const char *message, struct pleach_error *error)
{
	char path[512];
	int r;

	(void)snprintf(path, sizeof(path), "%s/%.300s", rc->path, name);
	if (c->subject.what == PL_SUBJECT_USER)
		return pl_checking_fault(c, error, kind, path, "%s", message);
	(void)pl_checking_about(c, PL_SUBJECT_RECORD, NULL, 0);
	r = pl_checking_fault(c, error, kind, path, "%s", message);
	(void)pl_checking_about(c, PL_SUBJECT_OTHER, NULL, 0);
	return r;
}

int pl_checking_cannot_at(struct pl_checking *c, const struct pl_ref_check *rc, int r,
			  const char *kind, const char *name, struct pleach_error *error)
{
	char path[512];

	(void)snprintf(path, sizeof(path), "%s/%.300s", rc->path, name);
	(void)pl_checking_about(c, PL_SUBJECT_RECORD, NULL, 0);
	r = pl_checking_cannot(c, r, kind, path, error);
	(void)pl_checking_about(c, PL_SUBJECT_OTHER, NULL, 0);
	return r;
}

/* ---- reading ---- */

int pl_checking_read_record(struct pl_ref_check *rc, uint64_t n, struct pl_record *ret_record,
			    const char **ret_why, struct pleach_error *error)
{
	struct pl_record record = {0};
	PL_BUFFER b = {0};
	char name[24];
	int r;

	(void)snprintf(name, sizeof(name), "%llu", (unsigned long long)n);
	r = pl_read_file(rc->ref.gen_fd, name, PL_TEXT_MAX, &b);
	*ret_why = r == -ENOENT ? "is missing" : "cannot be read";
	if (pl_checking_is_ours(r))
		return pl_fail_sys(error, r, "cannot read '%s/gen/%s'", rc->path, name);
	if (r < 0)
		return 0;
	r = pl_record_decode(b.data, b.length, &record);
	if (r == -ENOMEM)
		return pl_fail_memory(error);
	*ret_why = r == -EPROTONOSUPPORT ? "is of a newer format" : "does not verify";
	if (r < 0)
		return 0;
	if (record.generation == n && strcmp(record.ref, rc->ref.name) == 0 &&
	    (!rc->has_id || strcmp(record.ref_id, rc->ref.id) == 0)) {
		*ret_record = record;
		return 1;
	}
	pl_record_done(&record);
	*ret_why = "is the record of another generation or ref";
	return 0;
}

/* The numbers in gen/, sorted. */
struct numbers {
	uint64_t *all;
	size_t n, capacity;
};

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* The numbers that are names in one of the ref's directories; other names are told. */
static int list_numbers(struct pl_checking *c, struct pl_ref_check *rc, const char *directory,
			struct numbers *numbers, struct pleach_error *error)
{
	PL_CLOSE int fd = pl_open_dir(rc->ref.fd, directory);
	struct pl_listing listing = {0};
	char path[PLEACH_REF_MAX + 64];
	int r = fd < 0 ? fd : pl_list(fd, &listing);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return pl_checking_cannot_at(c, rc, r, "record", directory, error);
	(void)snprintf(path, sizeof(path), "%s/%s", rc->path, directory);
	for (size_t i = 0; r >= 0 && i < listing.n; i++) {
		const char *name = listing.entries[i].name;
		uint64_t n;

		if (pl_checking_is_leftover(name))
			continue;
		if (pl_parse_u64(name, UINT64_MAX - 1, &n) < 0 || n == 0)
			r = pl_checking_stray(c, path, name, error);
		else if (PL_ARRAY_GROW(numbers->all, numbers->capacity, numbers->n) < 0)
			r = pl_fail_memory(error);
		else
			numbers->all[numbers->n++] = n;
	}
	pl_listing_done(&listing);
	if (numbers->n > 1)
		qsort(numbers->all, numbers->n, sizeof(*numbers->all), by_value);
	return r;
}

static int has_number(const struct pl_ref_check *rc, const char *directory, uint64_t n)
{
	char name[40];

	(void)snprintf(name, sizeof(name), "%s/%llu", directory, (unsigned long long)n);
	return pl_exists(rc->ref.fd, name);
}

/* What a record of kind `dropped` must be: the last, not the first, with the tree of the one before. */
static int check_dropped(struct pl_checking *c, struct pl_ref_check *rc,
			 const struct pl_record *record, const char *name,
			 struct pleach_error *error)
{
	struct pl_record before = {0};
	const char *why;
	int r = 0;

	if (record->generation == 1 || has_number(rc, "gen", record->generation + 1) != 0)
		return pl_checking_fault_at(c, rc, "record", name,
					    "drops the ref, and is not its last record", error);
	rc->is_dropped = true;
	r = pl_checking_read_record(rc, record->generation - 1, &before, &why, error);
	if (r <= 0)
		return r; /* told already */
	if (!pl_id_equal(&before.tree, &record->tree))
		r = pl_checking_fault_at(c, rc, "record", name,
					 "has not the tree of the record before it", error);
	pl_record_done(&before);
	return r < 0 ? r : 0;
}

static int check_record(struct pl_checking *c, struct pl_ref_check *rc, uint64_t n,
			struct pleach_error *error)
{
	struct pl_record record = {0};
	char name[40];
	const char *why;
	int r;

	c->generation = n;
	(void)snprintf(name, sizeof(name), "gen/%llu", (unsigned long long)n);
	r = pl_checking_read_record(rc, n, &record, &why, error);
	if (r == 0)
		r = pl_checking_fault_at(c, rc, "record", name, why, error);
	else if (r == 1) {
		c->counts.records++;
		if (strcmp(record.kind, "dropped") == 0)
			r = check_dropped(c, rc, &record, name, error);
		pl_record_done(&record);
	}
	c->generation = 0;
	return r < 0 ? r : pl_checking_step(c, 0, error);
}

/* Records from *next up to before `n`, which the listing had not: R2, or a hole. */
static int check_gap(struct pl_checking *c, struct pl_ref_check *rc, uint64_t *next, uint64_t n,
		     struct pleach_error *error)
{
	char name[40];
	int r = 0;

	while (r >= 0 && *next < n && has_number(rc, "gen", *next) == 1)
		r = check_record(c, rc, (*next)++, error);
	if (r < 0 || *next == n)
		return r;
	(void)snprintf(name, sizeof(name), "gen/%llu", (unsigned long long)*next);
	c->generation = *next;
	r = pl_checking_fault_at(c, rc, "record", name, "is missing, though later ones are there",
				 error);
	c->generation = 0;
	*next = n;
	return r;
}

static int check_chain(struct pl_checking *c, struct pl_ref_check *rc, struct pleach_error *error)
{
	struct numbers numbers = {0};
	uint64_t next = 1;
	int r = list_numbers(c, rc, "gen", &numbers, error);

	for (size_t i = 0; r >= 0 && i < numbers.n; i++) {
		r = check_gap(c, rc, &next, numbers.all[i], error);
		if (r >= 0)
			r = check_record(c, rc, numbers.all[i], error);
		next = numbers.all[i] + 1;
	}
	rc->head = next - 1;
	rc->numbers = numbers.all;
	rc->n_numbers = numbers.n;
	return r;
}

/* ---- marks ---- */

/* shown/ and dropped/: empty files whose names are generations. */
static int check_marks(struct pl_checking *c, struct pl_ref_check *rc, const char *directory,
		       struct pleach_error *error)
{
	PL_CLOSE int fd = pl_open_dir(rc->ref.fd, directory);
	struct numbers numbers = {0};
	char path[PLEACH_REF_MAX + 64];
	int r = list_numbers(c, rc, directory, &numbers, error);

	(void)snprintf(path, sizeof(path), "%s/%s", rc->path, directory);
	for (size_t i = 0; r >= 0 && fd >= 0 && i < numbers.n; i++) {
		uint64_t n = numbers.all[i];
		char name[40];

		(void)snprintf(name, sizeof(name), "%llu", (unsigned long long)n);
		r = pl_checking_empty_file(c, fd, name, "record", path, error);
		(void)snprintf(name, sizeof(name), "%s/%llu", directory, (unsigned long long)n);
		if (r >= 0 && n > rc->head && has_number(rc, "gen", n) == 0)
			r = pl_checking_fault_at(c, rc, "record", name,
						 "there is no such generation", error);
	}
	free(numbers.all);
	return r;
}

/* ---- trees ---- */

static int want(struct pl_checking *c, const struct pl_id *tree, struct pleach_error *error)
{
	int r = c->check->refs ? pl_map_put(&c->is_wanted, tree, 1) : 1;

	if (r == 1)
		return 0;
	if (r < 0 || PL_ARRAY_GROW(c->wanted, c->wanted_capacity, c->n_wanted) < 0)
		return pl_fail_memory(error);
	c->wanted[c->n_wanted++] = *tree;
	return 0;
}

int pl_checking_user(struct pl_checking *c, const struct pl_id *tree, const char *user,
		     struct pleach_error *error)
{
	char hex[PL_ID_HEX + 1], name[PL_ID_HEX + 300];
	int r = want(c, tree, error), there;

	if (r < 0)
		return r;
	(void)snprintf(name, sizeof(name), "%s/users/%.256s", pl_id_hex(tree, hex), user);
	r = pl_exists(c->store->trees_fd, name);
	if (r != 0)
		return r < 0 ? pl_fail_sys(error, r, "cannot look for '%s'", name) : 1;
	there = pl_exists(c->store->trees_fd, hex);
	return there < 0 ? pl_fail_sys(error, there, "cannot look for tree %s", hex)
			 : (there ? 0 : 2);
}

static int note_generation(struct pl_checking *c, uint64_t n, const struct pl_id *tree,
			   struct pleach_error *error)
{
	pl_assert(c->n_refs > 0);
	if (PL_ARRAY_GROW(c->generations, c->generations_capacity, c->n_generations) < 0)
		return pl_fail_memory(error);
	c->generations[c->n_generations++] = (struct pl_checked_generation){
		.tree = *tree, .ref = c->n_refs - 1, .generation = n};
	return 0;
}

/* A generation that is kept has its tree, with its user. */
static int check_kept(struct pl_checking *c, struct pl_ref_check *rc, uint64_t n,
		      struct pleach_error *error)
{
	struct pl_record record = {0};
	char path[256], hex[PL_ID_HEX + 1], user[128];
	struct pl_id tree;
	const char *why;
	int r = has_number(rc, "dropped", n), has_user;

	if (r == 0)
		r = pl_checking_read_record(rc, n, &record, &why, error);
	else
		return r < 0 ? pl_checking_cannot_at(c, rc, r, "record", "dropped", error) : 0;
	if (r <= 0)
		return r; /* told */
	pl_id_hex(&record.tree, hex);
	pl_user_of_generation(&rc->ref, n, user);
	has_user = pl_checking_user(c, &record.tree, user, error);
	tree = record.tree;
	pl_record_done(&record);
	if (has_user >= 0)
		r = note_generation(c, n, &tree, error);
	if (has_user == 1 || has_user < 0 || r < 0)
		return has_user < 0 ? has_user : r < 0 ? r : 0;
	if (has_number(rc, "dropped", n) != 0)
		return 0; /* R3 */
	c->generation = n;
	(void)pl_checking_about(c, PL_SUBJECT_USER, &tree, 0);
	(void)snprintf(path, sizeof(path), "%s/gen/%llu", rc->path, (unsigned long long)n);
	r = has_user == 2
		    ? pl_checking_fault(c, error, "record", path, "its tree %s is missing", hex)
		    : pl_checking_fault(c, error, "record", path,
					"its tree %s does not have it as a user", hex);
	(void)pl_checking_about(c, PL_SUBJECT_OTHER, NULL, 0);
	c->generation = 0;
	return r;
}

static int check_generations(struct pl_checking *c, struct pl_ref_check *rc,
			     struct pleach_error *error)
{
	char name[40];
	int r = 0;

	(void)snprintf(name, sizeof(name), "dropped/%llu", (unsigned long long)rc->head);
	if (rc->head > 0 && has_number(rc, "dropped", rc->head) == 1 &&
	    has_number(rc, "gen", rc->head + 1) == 0)
		r = pl_checking_fault_at(c, rc, "record", name, "is the head", error);
	for (size_t i = 0; r >= 0 && i < rc->n_numbers; i++)
		r = check_kept(c, rc, rc->numbers[i], error);
	return r;
}

int pl_checking_records(struct pl_checking *c, struct pl_ref_check *rc, struct pleach_error *error)
{
	int r = check_chain(c, rc, error);

	if (r >= 0)
		r = check_marks(c, rc, "shown", error);
	if (r >= 0)
		r = check_marks(c, rc, "dropped", error);
	return r >= 0 && rc->has_id && !rc->is_dropped ? check_generations(c, rc, error) : r;
}
