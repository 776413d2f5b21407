/*
 * json.c - writes JSON, one document in memory at a time.
 *
 * Names are bytes: one that is valid UTF-8 is a string, any other is {"base64":"…"}, so that nothing
 * is lost and a reader can tell the two apart. Prose (messages, hints) is always a string.
 * Memory that runs out is noted in the document and told by json_print(), so that the callers need
 * not ask after each member.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli.h"

/* ---- the text ------------------------------------------------------------------------------- */

static void put(struct json *json, const char *text, size_t length)
{
	if (json->has_failed)
		return;
	if (length > json->capacity - json->length) {
		size_t capacity = (json->capacity + length) * 2 + 256;
		char *bigger = realloc(json->text, capacity);

		if (!bigger) {
			json->has_failed = true;
			return;
		}
		json->text = bigger;
		json->capacity = capacity;
	}
	memcpy(json->text + json->length, text, length);
	json->length += length;
}

static void put_text(struct json *json, const char *text)
{
	put(json, text, strlen(text));
}

/* A valid UTF-8 character by the strict rules: shortest form, no surrogates, up to U+10FFFF. */
size_t utf8_length(const char *text)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t length = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;

	if (s[0] == 0 || s[0] > 0xf4)
		return 0;
	for (size_t i = 1; i < length; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
	    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return length;
}

static bool is_utf8(const char *text)
{
	size_t length;

	for (; *text; text += length) {
		length = utf8_length(text);
		if (length == 0)
			return false;
	}
	return true;
}

/* A string literal. What is not UTF-8 becomes U+FFFD. */
static void put_string(struct json *json, const char *text)
{
	put(json, "\"", 1);
	while (*text) {
		size_t length = utf8_length(text);
		unsigned char c = (unsigned char)*text;
		char escape[8];

		if (length == 0) {
			put_text(json, "\xef\xbf\xbd");
			length = 1;
		} else if (c == '"' || c == '\\') {
			escape[0] = '\\';
			escape[1] = *text;
			put(json, escape, 2);
		} else if (c == '\n' || c == '\t') {
			put_text(json, c == '\n' ? "\\n" : "\\t");
		} else if (c < 0x20 || c == 0x7f) {
			snprintf(escape, sizeof(escape), "\\u%04x", c);
			put_text(json, escape);
		} else {
			put(json, text, length);
		}
		text += length;
	}
	put(json, "\"", 1);
}

size_t base64_encode(const unsigned char *data, size_t length, char *ret_text)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char *out = ret_text;

	for (size_t i = 0; i < length; i += 3) {
		size_t left = length - i;
		uint32_t bits = (uint32_t)data[i] << 16 |
				(left > 1 ? (uint32_t)data[i + 1] << 8 : 0) |
				(left > 2 ? data[i + 2] : 0);

		*out++ = digits[bits >> 18];
		*out++ = digits[bits >> 12 & 63];
		*out++ = left > 1 ? digits[bits >> 6 & 63] : '=';
		*out++ = left > 2 ? digits[bits & 63] : '=';
	}
	return (size_t)(out - ret_text);
}

/* A string literal of `mark` and the base64 of `data`. */
static void put_base64(struct json *json, const char *mark, const void *data, size_t length)
{
	const unsigned char *bytes = data;
	char text[4096];

	put(json, "\"", 1);
	put_text(json, mark);
	while (length > 0) {
		size_t n = length < sizeof(text) / 4 * 3 ? length : sizeof(text) / 4 * 3;

		put(json, text, base64_encode(bytes, n, text));
		bytes += n;
		length -= n;
	}
	put(json, "\"", 1);
}

/* ---- members -------------------------------------------------------------------------------- */

/* What stands before a value: a comma unless it is the first, and its key. */
static void begin(struct json *json, const char *key)
{
	if (json->length > 0 && !json->has_failed && !strchr("{[:", json->text[json->length - 1]))
		put(json, ",", 1);
	if (!key)
		return;
	if (is_utf8(key))
		put_string(json, key);
	else /* the name of an attribute; a key must be a string */
		put_base64(json, "base64:", key, strlen(key));
	put(json, ":", 1);
}

void json_object(struct json *json, const char *key)
{
	begin(json, key);
	put(json, "{", 1);
}

void json_object_end(struct json *json)
{
	put(json, "}", 1);
}

void json_array(struct json *json, const char *key)
{
	begin(json, key);
	put(json, "[", 1);
}

void json_array_end(struct json *json)
{
	put(json, "]", 1);
}

void json_null(struct json *json, const char *key)
{
	begin(json, key);
	put_text(json, "null");
}

void json_bool(struct json *json, const char *key, bool value)
{
	begin(json, key);
	put_text(json, value ? "true" : "false");
}

void json_number(struct json *json, const char *key, uint64_t value)
{
	char text[24];

	begin(json, key);
	snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	put_text(json, text);
}

void json_name(struct json *json, const char *key, const char *name)
{
	if (!name) {
		json_null(json, key);
		return;
	}
	begin(json, key);
	if (is_utf8(name)) {
		put_string(json, name);
		return;
	}
	put_text(json, "{\"base64\":");
	put_base64(json, "", name, strlen(name));
	put(json, "}", 1);
}

void json_name_or_null(struct json *json, const char *key, const char *name)
{
	json_name(json, key, name && *name ? name : NULL);
}

void json_prose(struct json *json, const char *key, const char *text)
{
	begin(json, key);
	put_string(json, text);
}

void json_value(struct json *json, const char *key, const struct json *value)
{
	begin(json, key);
	if (value->has_failed)
		json->has_failed = true;
	else
		put(json, value->text, value->length);
}

void json_base64(struct json *json, const char *key, const void *data, size_t length)
{
	begin(json, key);
	put_base64(json, "", data, length);
}

void json_time(struct json *json, const char *key, int64_t seconds, uint32_t ns)
{
	time_t when = (time_t)seconds;
	char text[80];
	struct tm tm;

	begin(json, key);
	if (gmtime_r(&when, &tm))
		snprintf(text, sizeof(text), "\"%04d-%02d-%02dT%02d:%02d:%02d.%09uZ\"",
			 tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min,
			 tm.tm_sec, (unsigned)ns);
	else /* a year that no calendar holds: as date(1) reads it */
		snprintf(text, sizeof(text), "\"@%lld.%09u\"", (long long)seconds, (unsigned)ns);
	put_text(json, text);
}

static const char *code_word(enum pleach_code code)
{
	switch (code) {
	case PLEACH_USAGE:
		return "usage";
	case PLEACH_PARTIAL:
		return "partial";
	case PLEACH_NOT_FOUND:
		return "not-found";
	case PLEACH_BUSY:
		return "busy";
	case PLEACH_CONFLICT:
		return "conflict";
	case PLEACH_CORRUPT:
		return "corrupt";
	case PLEACH_NO_SPACE:
		return "no-space";
	case PLEACH_INTERRUPTED:
		return "interrupted";
	case PLEACH_OK:
	case PLEACH_FAILED:
		break;
	}
	return "failed";
}

void json_error_begin(struct json *json, const char *key, const struct pleach_error *error)
{
	json_object(json, key);
	json_prose(json, "code", code_word(error->code));
	json_prose(json, "message", error->message[0] ? error->message : strerror(error->err));
	if (error->hint[0])
		json_prose(json, "hint", error->hint);
	else
		json_null(json, "hint");
	json_name_or_null(json, "path", error->path);
}

void json_error(struct json *json, const char *key, const struct pleach_error *error)
{
	json_error_begin(json, key, error);
	json_object_end(json);
}

int json_print(struct cli *cli, struct json *json)
{
	if (json->has_failed)
		return cli_no_memory(cli);
	progress_clear();
	fwrite(json->text, 1, json->length, stdout);
	fputc('\n', stdout);
	json->length = 0;
	return output_check(cli);
}

int json_write(struct json *json, int fd)
{
	put(json, "\n", 1);
	if (json->has_failed)
		return -ENOMEM;
	return signals_write(fd, json->text, json->length);
}

void json_free(struct json *json)
{
	free(json->text);
	*json = (struct json){0};
}
