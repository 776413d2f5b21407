/*
 * Generation records as texts, there and back. Where records are kept, and which is the head, is
 * head.c's.
 *
 * G1  What is encoded decodes to the same; what decodes is whole: each field within what
 *     docs/format.md allows, the parent the number before.
 */
#include <stdlib.h>

#include "ref/ref.h"

#define KIND "pleach-generation"

static const char *const kinds[] = {"publish", "rollback", "run", "merge", "dropped"};

static bool is_kind(const char *kind)
{
	for (size_t i = 0; i < PL_ARRAY_LEN(kinds); i++) {
		if (strcmp(kind, kinds[i]) == 0)
			return true;
	}
	return false;
}

static bool is_pair(const char *meta)
{
	const char *equals = strchr(meta, '=');

	return equals && equals > meta;
}

void pl_record_done(struct pl_record *record)
{
	free(record->message);
	pl_strings_done(&record->meta);
	record->message = NULL;
}

/* ---- writing ---- */

static void add_fields(const struct pl_record *record, struct pl_buffer *b)
{
	pl_text_add(b, KIND, "1");
	pl_text_add(b, "ref", record->ref);
	pl_text_add(b, "ref-id", record->ref_id);
	pl_text_add_number(b, "generation", record->generation);
	pl_text_add_number(b, "parent", record->parent);
	pl_text_add_id(b, "tree", &record->tree);
	pl_text_add(b, "kind", record->kind);
	pl_text_add_time(b, "time", record->time_s, record->time_ns);
	pl_text_add_number(b, "uid", record->uid);
	pl_text_add(b, "user", record->user);
	pl_text_add(b, "host", record->host);
	pl_text_add_number(b, "added", record->added);
	pl_text_add_number(b, "modified", record->modified);
	pl_text_add_number(b, "removed", record->removed);
	pl_text_add_number(b, "bytes-new", record->bytes_new);
	if (record->message && record->message[0])
		pl_text_add(b, "message", record->message);
	for (size_t i = 0; i < record->meta.n; i++)
		pl_text_add(b, "meta", record->meta.items[i]);
	pl_text_end(b);
}

int pl_record_encode(const struct pl_record *record, struct pl_buffer *b)
{
	PL_BUFFER text = {0};
	size_t meta_length = 0;

	pl_assert(pl_ref_name_is_valid(record->ref) && pl_is_random_name(record->ref_id));
	pl_assert(record->generation > 0 && record->parent == record->generation - 1);
	pl_assert(is_kind(record->kind) && record->uid <= UINT32_MAX);
	if (record->message && strnlen(record->message, PL_MESSAGE_MAX + 1) > PL_MESSAGE_MAX)
		return -E2BIG;
	for (size_t i = 0; i < record->meta.n; i++) {
		if (!is_pair(record->meta.items[i]))
			return -EINVAL;
		meta_length += strlen(record->meta.items[i]); /* so that no large text is built */
		if (meta_length > PL_RECORD_MAX)
			return -E2BIG;
	}
	add_fields(record, &text);
	if (!pl_buffer_ok(&text))
		return -ENOMEM;
	if (text.length > PL_RECORD_MAX)
		return -E2BIG;
	pl_buffer_add(b, text.data, text.length);
	return pl_buffer_ok(b) ? 0 : -ENOMEM;
}

void pl_record_stamp(struct pl_record *record)
{
	struct timespec now;

	pl_clock_wall(&now);
	record->time_s = now.tv_sec;
	record->time_ns = (uint32_t)now.tv_nsec;
	record->uid = pl_uid();
	pl_user_name(pl_uid(), record->user, sizeof(record->user));
	pl_host_name(record->host, sizeof(record->host));
}

/* ---- reading ---- */

/* A value that must fit into an array. */
static void get_string(struct pl_text *text, const char *key, char *ret_string, size_t size)
{
	const char *value = pl_text_get(text, key);
	size_t length = strlen(value);

	if (length >= size) {
		text->failed = true;
		return;
	}
	memcpy(ret_string, value, length + 1);
}

static void get_fields(struct pl_text *text, struct pl_record *record)
{
	get_string(text, "ref", record->ref, sizeof(record->ref));
	get_string(text, "ref-id", record->ref_id, sizeof(record->ref_id));
	record->generation = pl_text_get_number(text, "generation");
	record->parent = pl_text_get_number(text, "parent");
	pl_text_get_id(text, "tree", &record->tree);
	get_string(text, "kind", record->kind, sizeof(record->kind));
	pl_text_get_time(text, "time", &record->time_s, &record->time_ns);
	record->uid = pl_text_get_number(text, "uid");
	get_string(text, "user", record->user, sizeof(record->user));
	get_string(text, "host", record->host, sizeof(record->host));
	record->added = pl_text_get_number(text, "added");
	record->modified = pl_text_get_number(text, "modified");
	record->removed = pl_text_get_number(text, "removed");
	record->bytes_new = pl_text_get_number(text, "bytes-new");
}

/* Message and meta. -ENOMEM, -EBADMSG or 0. */
static int get_texts(struct pl_text *text, struct pl_record *record)
{
	const char *value = pl_text_next(text, "message");
	size_t length;
	int r = 0;

	if (value) {
		length = strlen(value);
		if (length == 0 || length > PL_MESSAGE_MAX)
			return -EBADMSG;
		record->message = strdup(value);
		if (!record->message)
			return -ENOMEM;
	}
	while (r == 0 && (value = pl_text_next(text, "meta")))
		r = is_pair(value) ? pl_strings_add(&record->meta, value) : -EBADMSG;
	return r;
}

/* G1. */
static bool is_whole(const struct pl_record *record)
{
	return pl_ref_name_is_valid(record->ref) && pl_is_random_name(record->ref_id) &&
	       record->generation > 0 && record->parent == record->generation - 1 &&
	       is_kind(record->kind) && record->uid <= UINT32_MAX;
}

int pl_record_decode(const void *data, size_t length, struct pl_record *ret_record)
{
	struct pl_record record = {0};
	struct pl_text text;
	int r = pl_text_open(&text, data, length, KIND, 1), r_close;

	if (r < 0)
		return r;
	get_fields(&text, &record);
	r = get_texts(&text, &record);
	r_close = pl_text_close(&text);
	pl_text_done(&text);
	if (r == 0)
		r = r_close;
	if (r == 0 && !is_whole(&record))
		r = -EBADMSG;
	if (r < 0) {
		pl_record_done(&record);
		return r;
	}
	*ret_record = record;
	return 0;
}
