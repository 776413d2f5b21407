/*
 * What attachments show that are directories of their own (exchange) or mounts:
 * refs/<ref>/showing/<hex of H(path)>. It tells which directories outside the store are ours, and of
 * which generation, so that whoever comes after a killed command can tell what that had done. What is
 * done at the path is tx/attached*.c's.
 *
 * S1  Written under the ref lock alone, by rename: a reader sees one text or another, whole.
 * S2  One directory is at the path at most, one on its way there. Names of ours are plain names with the
 *     prefix of unfinished things, so that a text that lies leads to nothing else (G10).
 */
#include <stdlib.h>

#include "ref/ref.h"

#define KIND   "pleach-showing"
#define FIELDS 8

static const char *const roles[] = {
	[PL_SHOWN_NOW] = "now", [PL_SHOWN_NEXT] = "next", [PL_SHOWN_OLD] = "old"};

void pl_showing_done(struct pl_showing *showing)
{
	free(showing->path);
	free(showing->items);
	*showing = (struct pl_showing){0};
}

struct pl_shown *pl_showing_find(struct pl_showing *showing, enum pl_shown_role role)
{
	for (size_t i = 0; i < showing->n; i++)
		if (showing->items[i].role == role)
			return &showing->items[i];
	return NULL;
}

int pl_showing_add(struct pl_showing *showing, const struct pl_shown *item)
{
	pl_assert(item->role == PL_SHOWN_OLD || !pl_showing_find(showing, item->role)); /* S2 */
	if (showing->n >= PL_SHOWN_MAX)
		return -E2BIG;
	if (PL_ARRAY_GROW(showing->items, showing->capacity, showing->n) < 0)
		return -ENOMEM;
	showing->items[showing->n++] = *item;
	return 0;
}

void pl_showing_remove(struct pl_showing *showing, size_t i)
{
	pl_assert(i < showing->n);
	showing->n--;
	memmove(&showing->items[i], &showing->items[i + 1],
		(showing->n - i) * sizeof(showing->items[0]));
}

static void name_of(const char *path, char ret_name[PL_ID_HEX + 1])
{
	struct pl_id id;

	pl_hash_of(path, strlen(path), &id);
	pl_id_hex(&id, ret_name);
}

/* ---- text ---- */

static void add_items(const struct pl_showing *showing, enum pl_shown_role role,
		      struct pl_buffer *b)
{
	for (size_t i = 0; i < showing->n; i++) {
		const struct pl_shown *s = &showing->items[i];
		char hex[PL_ID_HEX + 1];
		PL_BUFFER value = {0};

		if (s->role != role)
			continue;
		pl_buffer_add_format(&value, "%llu sha256:%s %u %s %llu %llu %u %llu",
				     (unsigned long long)s->generation, pl_id_hex(&s->tree, hex),
				     s->k, s->name, (unsigned long long)s->identity.ino,
				     (unsigned long long)s->identity.birth_s, s->identity.birth_ns,
				     (unsigned long long)s->since_s);
		if (!pl_buffer_ok(&value))
			b->failed = true;
		else
			pl_text_add(b, roles[role], pl_buffer_string(&value));
	}
}

static void encode(const struct pl_showing *showing, struct pl_buffer *b)
{
	pl_text_add(b, KIND, "1");
	pl_text_add(b, "ref-id", showing->ref_id);
	pl_text_add(b, "path", showing->path);
	pl_text_add(b, "mode", showing->mode);
	pl_text_add_number(b, "made", showing->has_made);
	for (size_t i = 0; i < PL_ARRAY_LEN(roles); i++)
		add_items(showing, (enum pl_shown_role)i, b);
	pl_text_end(b);
}

/* S2. */
static bool is_name(const char *name)
{
	size_t length = strlen(name);

	return strcmp(name, "-") == 0 ||
	       (length < sizeof(((struct pl_shown *)0)->name) &&
		strncmp(name, ".pleach-", 8) == 0 && pl_name_is_valid(name, length));
}

/* In place: the blanks become ends. */
static int parse_item(char *value, enum pl_shown_role role, struct pl_shown *ret_item)
{
	struct pl_shown s = {.role = role};
	const char *field[FIELDS] = {value};
	uint64_t k = 0, birth_ns = 0;
	size_t n = 1;

	for (char *c = value; *c; c++) {
		if (*c != ' ')
			continue;
		*c = '\0';
		if (n < FIELDS)
			field[n] = c + 1;
		n++;
	}
	if (n != FIELDS || strncmp(field[1], "sha256:", 7) != 0 ||
	    pl_id_parse(field[1] + 7, &s.tree) < 0 || !is_name(field[3]) ||
	    pl_parse_u64(field[0], UINT64_MAX, &s.generation) < 0 ||
	    pl_parse_u64(field[2], UINT32_MAX - 1, &k) < 0 ||
	    pl_parse_u64(field[4], UINT64_MAX, &s.identity.ino) < 0 ||
	    pl_parse_u64(field[5], UINT64_MAX, &s.identity.birth_s) < 0 ||
	    pl_parse_u64(field[6], 999999999, &birth_ns) < 0 ||
	    pl_parse_u64(field[7], INT64_MAX, &s.since_s) < 0 || s.generation == 0)
		return -EBADMSG;
	s.k = (unsigned)k;
	s.identity.birth_ns = (uint32_t)birth_ns;
	memcpy(s.name, field[3], strlen(field[3]) + 1);
	*ret_item = s;
	return 0;
}

static int get_items(struct pl_text *text, enum pl_shown_role role, struct pl_showing *showing)
{
	const char *value;
	size_t n = 0;

	while ((value = pl_text_next(text, roles[role]))) {
		char *copy = strdup(value);
		struct pl_shown item;
		int r = copy ? parse_item(copy, role, &item) : -ENOMEM;

		free(copy);
		if (r == 0 && role != PL_SHOWN_OLD && n++ > 0)
			r = -EBADMSG; /* S2 */
		if (r == 0)
			r = pl_showing_add(showing, &item);
		if (r < 0)
			return r == -E2BIG ? -EBADMSG : r;
	}
	return 0;
}

static int get_fields(struct pl_text *text, const struct pl_ref *ref, struct pl_showing *showing)
{
	const char *mode;
	uint64_t made;
	int r = 0, r_close;

	if (strcmp(pl_text_get(text, "ref-id"), ref->id) != 0)
		text->failed = true;
	memcpy(showing->ref_id, ref->id, sizeof(showing->ref_id));
	showing->path = strdup(pl_text_get(text, "path"));
	if (!showing->path)
		return -ENOMEM;
	mode = pl_text_get(text, "mode");
	if (strcmp(mode, "exchange") != 0 && strcmp(mode, "mount") != 0)
		text->failed = true;
	else
		memcpy(showing->mode, mode, strlen(mode) + 1);
	made = pl_text_get_number(text, "made");
	if (made > 1)
		text->failed = true;
	showing->has_made = made == 1;
	for (size_t i = 0; r == 0 && i < PL_ARRAY_LEN(roles); i++)
		r = get_items(text, (enum pl_shown_role)i, showing);
	r_close = pl_text_close(text);
	return r < 0 ? r : r_close;
}

static int decode(const struct pl_ref *ref, const char *name, const struct pl_buffer *b,
		  struct pl_showing *ret_showing)
{
	struct pl_showing showing = {0};
	char expected[PL_ID_HEX + 1];
	struct pl_text text;
	int r = pl_text_open(&text, b->data, b->length, KIND, 1);

	if (r < 0)
		return r;
	r = get_fields(&text, ref, &showing);
	pl_text_done(&text);
	if (r == 0) {
		name_of(showing.path, expected);
		if (showing.path[0] != '/' || strcmp(expected, name) != 0)
			r = -EBADMSG;
	}
	if (r < 0) {
		pl_showing_done(&showing);
		return r;
	}
	*ret_showing = showing;
	return 0;
}

/* ---- reading ---- */

static int fail_open(const struct pl_ref *ref, int r, struct pleach_error *error)
{
	return pl_fail_sys(error, r, "cannot open what is shown of '%s'", ref->name);
}

int pl_showing_read_named(struct pl_ref *ref, const char *hash, struct pl_showing *ret_showing,
			  struct pleach_error *error)
{
	PL_CLOSE int fd = pl_open_dir(ref->fd, "showing");
	PL_BUFFER b = {0};
	int r = fd;

	if (fd >= 0)
		r = pl_read_file(fd, hash, PL_TEXT_MAX, &b);
	if (r == -ENOENT)
		return r;
	if (fd < 0)
		return fail_open(ref, fd, error);
	if (r == 0)
		r = decode(ref, hash, &b, ret_showing);
	else if (r == -EFBIG || r == -EISDIR || r == -EINVAL || r == -ELOOP)
		r = -EBADMSG;
	if (r == -ENOMEM)
		return pl_fail_memory(error);
	if (r == -EBADMSG)
		return pl_fail_corrupt(error, "showing/%s of '%s' is damaged", hash, ref->name);
	if (r == -EPROTONOSUPPORT)
		return pl_fail(error, PLEACH_FAILED, r, "showing/%s of '%s' is of a newer format",
			       hash, ref->name);
	return r < 0 ? pl_fail_sys(error, r, "cannot read showing/%s of '%s'", hash, ref->name) : 0;
}

int pl_showing_read(struct pl_ref *ref, const char *path, struct pl_showing *ret_showing,
		    struct pleach_error *error)
{
	char name[PL_ID_HEX + 1];

	name_of(path, name);
	return pl_showing_read_named(ref, name, ret_showing, error);
}

int pl_showing_list(struct pl_ref *ref, struct pl_strings *ret_hashes, struct pleach_error *error)
{
	PL_CLOSE int fd = pl_open_dir(ref->fd, "showing");
	struct pl_listing listing = {0};
	struct pl_strings hashes = {0};
	int r = fd;

	if (fd >= 0)
		r = pl_list(fd, &listing);
	if (r < 0 && r != -ENOENT)
		return fail_open(ref, r, error);
	r = 0;
	for (size_t i = 0; r == 0 && i < listing.n; i++) {
		const char *name = listing.entries[i].name;

		if (strlen(name) == PL_ID_HEX && pl_is_hex(name, PL_ID_HEX))
			r = pl_strings_add(&hashes, name);
	}
	pl_listing_done(&listing);
	if (r < 0) {
		pl_strings_done(&hashes);
		return pl_fail_memory(error);
	}
	*ret_hashes = hashes;
	return 0;
}

/* ---- writing ---- */

static int make_directory(const struct pl_ref *ref)
{
	int fd = pl_open_dir(ref->fd, "showing"), r;

	if (fd != -ENOENT)
		return fd;
	r = pl_mkdir(ref->fd, "showing", 0755);
	if (r == 0 || r == -EEXIST)
		r = pl_chmod_at(ref->fd, "showing", 0755);
	if (r == 0)
		r = pl_store_sync(ref->store, ref->fd);
	return r < 0 ? r : pl_open_dir(ref->fd, "showing");
}

int pl_showing_write(struct pl_ref *ref, struct pl_txdir *tx, const struct pl_showing *showing,
		     bool sync, struct pleach_error *error)
{
	PL_CLOSE int fd = make_directory(ref);
	char name[PL_ID_HEX + 1], temporary[32];
	PL_BUFFER b = {0};
	int r;

	pl_assert(pl_ref_is_locked(ref)); /* S1 */
	pl_assert(showing->path[0] == '/' && strcmp(showing->ref_id, ref->id) == 0);
	if (fd < 0)
		return fail_open(ref, fd, error);
	encode(showing, &b);
	if (!pl_buffer_ok(&b))
		return pl_fail_memory(error);
	r = b.length > PL_TEXT_MAX ? -ENAMETOOLONG : 0;
	pl_txdir_name(tx, "showing", temporary);
	name_of(showing->path, name);
	if (r == 0)
		r = pl_text_write(tx->fd, temporary, 0644, &b, ref->store->settings.durable);
	if (r == 0)
		r = pl_rename(tx->fd, temporary, fd, name);
	if (r == 0 && sync)
		r = pl_store_sync(ref->store, fd);
	return r < 0 ? pl_fail_sys(error, r, "cannot record what '%s' shows at '%s'", ref->name,
				   showing->path)
		     : 0;
}

int pl_showing_forget(struct pl_ref *ref, const char *path, struct pleach_error *error)
{
	PL_CLOSE int fd = pl_open_dir(ref->fd, "showing");
	char name[PL_ID_HEX + 1];
	int r = fd;

	pl_assert(pl_ref_is_locked(ref)); /* S1 */
	name_of(path, name);
	if (fd >= 0)
		r = pl_unlink(fd, name);
	if (r == -ENOENT)
		return 0;
	if (r == 0)
		r = pl_store_sync(ref->store, fd);
	return r < 0 ? pl_fail_sys(error, r, "cannot forget what was shown at '%s'", path) : 0;
}
