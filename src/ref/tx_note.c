/*
 * What a transaction is, as a text in its directory: tx/<id>/transaction (docs/format.md). It is written when
 * the transaction begins, before its workspace, and again after each checkpoint.
 *
 * N1  Whoever finds one that does not verify leaves its directory alone and says so; it is nobody's to guess.
 */
#include <stdio.h>
#include <stdlib.h>

#include "ref/ref.h"

#define KIND "pleach-transaction"
#define NAME "transaction"

void pl_tx_note_done(struct pl_tx_note *note)
{
	free(note->path);
	free(note->checkout);
	note->path = note->checkout = NULL;
}

static void encode(const struct pl_tx_note *note, struct pl_buffer *b)
{
	pl_text_add(b, KIND, "1");
	pl_text_add(b, "ref", note->ref);
	pl_text_add(b, "ref-id", note->ref_id);
	pl_text_add_number(b, "base", note->base);
	pl_text_add_id(b, "base-tree", &note->base_tree);
	pl_text_add_number(b, "placing", note->k);
	pl_text_add_id(b, "merged-tree", &note->merged_tree);
	pl_text_add(b, "workspace", note->workspace);
	if (note->path)
		pl_text_add(b, "path", note->path);
	if (note->checkout) {
		pl_text_add(b, "checkout", note->checkout);
		pl_text_add_number(b, "checkout-ino", note->checkout_identity.ino);
		pl_text_add_number(b, "checkout-birth-s", note->checkout_identity.birth_s);
		pl_text_add_number(b, "checkout-birth-ns", note->checkout_identity.birth_ns);
	}
	pl_text_add_number(b, "optimistic", note->is_optimistic);
	pl_text_add_number(b, "serializable", note->is_serializable);
	pl_text_add_number(b, "timeout-ms", note->timeout_ms);
	if (note->has_landing) {
		pl_text_add_number(b, "landing-head", note->landing_head);
		pl_text_add_id(b, "landing-tree", &note->landing_tree);
		pl_text_add_id(b, "landing-of", &note->landing_of);
	}
	pl_text_end(b);
}

int pl_tx_note_write(struct pl_txdir *tx, const struct pl_tx_note *note, bool sync,
		     struct pleach_error *error)
{
	char name[32];
	PL_BUFFER b = {0};
	int r;

	encode(note, &b);
	if (!pl_buffer_ok(&b))
		return pl_fail_memory(error);
	pl_txdir_name(tx, "note", name);
	r = pl_text_write(tx->fd, name, 0600, &b, sync && tx->store->settings.durable);
	if (r >= 0)
		r = pl_rename(tx->fd, name, tx->fd, NAME);
	if (r >= 0 && sync)
		r = pl_store_sync(tx->store, tx->fd);
	return r < 0 ? pl_fail_sys(error, r, "cannot note what transaction %s is", tx->id) : 0;
}

/* A string of the text, which must fit. */
static void take(struct pl_text *text, const char *key, char *ret, size_t size)
{
	const char *value = pl_text_get(text, key);

	if (strlen(value) >= size)
		text->failed = true;
	else
		memcpy(ret, value, strlen(value) + 1);
}

static bool take_flag(struct pl_text *text, const char *key)
{
	uint64_t value = pl_text_get_number(text, key);

	if (value > 1)
		text->failed = true;
	return value == 1;
}

/* A string that need not be there; *r is set where memory is out. */
static char *take_optional(struct pl_text *text, const char *key, int *r)
{
	const char *value = pl_text_next(text, key);
	char *copy = value ? strdup(value) : NULL;

	if (value && !copy)
		*r = -ENOMEM;
	return copy;
}

static int decode(struct pl_text *text, struct pl_tx_note *note)
{
	const char *landing;
	uint64_t k;
	int r = 0, r_close;

	take(text, "ref", note->ref, sizeof(note->ref));
	take(text, "ref-id", note->ref_id, sizeof(note->ref_id));
	note->base = pl_text_get_number(text, "base");
	pl_text_get_id(text, "base-tree", &note->base_tree);
	k = pl_text_get_number(text, "placing");
	if (k >= UINT32_MAX)
		text->failed = true;
	note->k = (unsigned)k;
	pl_text_get_id(text, "merged-tree", &note->merged_tree);
	take(text, "workspace", note->workspace, sizeof(note->workspace));
	note->path = take_optional(text, "path", &r);
	note->checkout = take_optional(text, "checkout", &r);
	if (note->checkout) {
		note->checkout_identity.ino = pl_text_get_number(text, "checkout-ino");
		note->checkout_identity.birth_s = pl_text_get_number(text, "checkout-birth-s");
		note->checkout_identity.birth_ns =
			(uint32_t)pl_text_get_number(text, "checkout-birth-ns");
	}
	note->is_optimistic = take_flag(text, "optimistic");
	note->is_serializable = take_flag(text, "serializable");
	note->timeout_ms = pl_text_get_number(text, "timeout-ms");
	landing = pl_text_next(text, "landing-head");
	if (landing) {
		note->has_landing = true;
		if (pl_parse_u64(landing, UINT64_MAX / 4, &note->landing_head) < 0)
			text->failed = true;
		pl_text_get_id(text, "landing-tree", &note->landing_tree);
		pl_text_get_id(text, "landing-of", &note->landing_of);
	}
	if (!pl_ref_name_is_valid(note->ref) || strlen(note->ref_id) != 24)
		text->failed = true;
	r_close = pl_text_close(text);
	return r < 0 ? r : r_close;
}

int pl_tx_note_read(int fd, const char *id, struct pl_tx_note *ret_note, struct pleach_error *error)
{
	struct pl_tx_note note = {0};
	struct pl_text text;
	PL_BUFFER b = {0};
	int r = pl_read_file(fd, NAME, PL_TEXT_MAX, &b);

	if (r == -ENOENT)
		return r;
	if (r == 0)
		r = pl_text_open(&text, b.data, b.length, KIND, 1);
	if (r == 0) {
		r = decode(&text, &note);
		pl_text_done(&text);
	}
	if (r == 0) {
		*ret_note = note;
		return 0;
	}
	pl_tx_note_done(&note);
	if (r == -EBADMSG || r == -EFBIG || r == -EISDIR || r == -EINVAL || r == -ELOOP) /* N1 */
	{
		pl_fail_corrupt(error, "what transaction %s is cannot be read", id);
		pl_hint(error, "pleach abort %s removes it", id);
		return -EBADMSG;
	}
	if (r == -EPROTONOSUPPORT)
		return pl_fail(error, PLEACH_FAILED, r, "transaction %s is of a newer format", id);
	return r == -ENOMEM ? pl_fail_memory(error)
			    : pl_fail_sys(error, r, "cannot read what transaction %s is", id);
}

static bool has_workspace(const struct pl_tx_note *note)
{
	return note->workspace[0] && strcmp(note->workspace, "none") != 0;
}

int pl_tx_note_find(struct pl_ref *ref, const char *but, bool may_run, char ret_tx_id[25],
		    struct pleach_error *error)
{
	struct pl_txdir_info *infos;
	size_t n;
	int r = pl_txdir_list(ref->store, &infos, &n, error);

	if (r < 0)
		return r;
	r = 0;
	for (size_t i = 0; r == 0 && i < n; i++) {
		PL_CLOSE int fd = -EBADF;
		struct pl_tx_note note = {0};

		if (infos[i].state != PL_TX_OPEN && (may_run || infos[i].state != PL_TX_PARKED))
			continue;
		if (but && strcmp(infos[i].id, but) == 0)
			continue;
		fd = pl_open_dir(ref->store->tx_fd, infos[i].id);
		r = fd < 0 ? fd : pl_tx_note_read(fd, infos[i].id, &note, error);
		if (r == -ENOENT) {
			r = 0;
			continue;
		}
		if (r < 0)
			break;
		if (strcmp(note.ref_id, ref->id) == 0 && (!may_run || has_workspace(&note))) {
			memcpy(ret_tx_id, infos[i].id, sizeof(infos[i].id));
			r = 1;
		}
		pl_tx_note_done(&note);
	}
	free(infos);
	return r;
}
