/*
 * Texts that check themselves: lines of key and value, the last of them a sum (docs/format.md,
 * "Texts"). Which keys a text has is the business of those who write and read it.
 *
 * T1  One text has one spelling: the bytes that must be escaped are, no others are, in lower case;
 *     a line that breaks this is refused even where the sum is right.
 * T2  Nothing of a text is handed out before its sum was verified.
 * T3  A value holds no NUL: it is handed out as a string, and must not be read shorter than it is.
 */
#include <inttypes.h>
#include <stdio.h>

#include "ref/ref.h"

#define SUM_BEGIN	 "sum sha256:"
#define SUM_BEGIN_LENGTH (sizeof(SUM_BEGIN) - 1)
#define SUM_LENGTH	 (SUM_BEGIN_LENGTH + PL_ID_HEX + 1)
#define ALGORITHM	 "sha256:"
#define ALGORITHM_LENGTH (sizeof(ALGORITHM) - 1)

static bool is_escaped(unsigned char c)
{
	return c < 0x20 || c == 0x7f || c == '%';
}

/* ---- times ---- */

#define YEAR_MAX 9999
#define DAY_S	 INT64_C(86400)

static int64_t days_in_month(int64_t year, int64_t month)
{
	static const unsigned char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	pl_assert(month >= 1 && month <= 12);
	return days[month - 1] + (month == 2 && is_leap);
}

void pl_time_text(int64_t s, uint32_t ns, char ret_text[PL_TIME_TEXT])
{
	int64_t days, second;
	struct pl_date c;
	int n;

	pl_assert(ns < 1000000000);
	if (s < PL_TIME_MIN || s > PL_TIME_MAX)
		s = s < PL_TIME_MIN ? PL_TIME_MIN : PL_TIME_MAX;
	days = (s - PL_TIME_MIN) / DAY_S + PL_TIME_MIN / DAY_S; /* rounded down, also before 1970 */
	second = (s - PL_TIME_MIN) % DAY_S;
	c = pl_date_of_days(days);
	pl_assert(c.year >= 1 && c.year <= YEAR_MAX);
	n = snprintf(ret_text, PL_TIME_TEXT, "%04d-%02d-%02dT%02d:%02d:%02d.%09" PRIu32 "Z",
		     (int)c.year, (int)c.month, (int)c.day, (int)(second / 3600),
		     (int)(second / 60 % 60), (int)(second % 60), ns);
	pl_assert(n == PL_TIME_TEXT - 1);
}

/* The digits that stand where `form` has the letter `letter`. */
static int64_t field(const char *text, const char *form, char letter)
{
	int64_t value = 0;

	for (size_t i = 0; form[i]; i++) {
		if (form[i] == letter)
			value = value * 10 + (text[i] - '0');
	}
	return value;
}

static int parse_time(const char *text, int64_t *ret_s, uint32_t *ret_ns)
{
	static const char form[] = "yyyy-MM-ddThh:mm:ss.nnnnnnnnnZ";
	int64_t hour, minute, second;
	struct pl_date c;

	if (strlen(text) != sizeof(form) - 1)
		return -EBADMSG;
	for (size_t i = 0; form[i]; i++) {
		bool is_digit = text[i] >= '0' && text[i] <= '9';
		bool wants_digit = strchr("yMdhmsn", form[i]) != NULL;

		if (wants_digit ? !is_digit : text[i] != form[i])
			return -EBADMSG;
	}
	c.year = field(text, form, 'y');
	c.month = field(text, form, 'M');
	c.day = field(text, form, 'd');
	hour = field(text, form, 'h');
	minute = field(text, form, 'm');
	second = field(text, form, 's');
	if (c.year < 1 || c.month < 1 || c.month > 12 || c.day < 1 ||
	    c.day > days_in_month(c.year, c.month) || hour > 23 || minute > 59 || second > 59)
		return -EBADMSG;
	*ret_s = pl_date_days(&c) * DAY_S + hour * 3600 + minute * 60 + second;
	*ret_ns = (uint32_t)field(text, form, 'n');
	return 0;
}

/* ---- writing ---- */

void pl_text_add(struct pl_buffer *b, const char *key, const char *value)
{
	pl_assert(key[0] && !strpbrk(key, " \n"));
	pl_buffer_add_string(b, key);
	pl_buffer_add_u8(b, ' ');
	while (*value) {
		size_t plain = 0;

		while (value[plain] && !is_escaped((unsigned char)value[plain]))
			plain++;
		pl_buffer_add(b, value, plain);
		value += plain;
		if (*value)
			pl_buffer_add_format(b, "%%%02x", (unsigned char)*value++); /* T1 */
	}
	pl_buffer_add_u8(b, '\n');
}

void pl_text_add_number(struct pl_buffer *b, const char *key, uint64_t value)
{
	char digits[24];

	(void)snprintf(digits, sizeof(digits), "%" PRIu64, value);
	pl_text_add(b, key, digits);
}

void pl_text_add_id(struct pl_buffer *b, const char *key, const struct pl_id *id)
{
	char text[ALGORITHM_LENGTH + PL_ID_HEX + 1] = ALGORITHM;

	pl_id_hex(id, text + ALGORITHM_LENGTH);
	pl_text_add(b, key, text);
}

void pl_text_add_time(struct pl_buffer *b, const char *key, int64_t s, uint32_t ns)
{
	char text[PL_TIME_TEXT];

	pl_time_text(s, ns, text);
	pl_text_add(b, key, text);
}

void pl_text_end(struct pl_buffer *b)
{
	char hex[PL_ID_HEX + 1];
	struct pl_id sum;

	if (!pl_buffer_ok(b))
		return;
	pl_assert(b->length > 0 && b->data[b->length - 1] == '\n');
	pl_hash_of(b->data, b->length, &sum);
	pl_buffer_add_format(b, SUM_BEGIN "%s\n", pl_id_hex(&sum, hex));
}

int pl_text_write(int dirfd, const char *name, mode_t mode, const struct pl_buffer *b, bool sync)
{
	PL_CLOSE int fd = -EBADF;
	int r;

	pl_assert(pl_buffer_ok(b));
	fd = pl_create(dirfd, name, 0600);
	if (fd < 0)
		return fd;
	r = pl_chmod(fd, mode);
	if (r == 0)
		r = pl_write_full(fd, b->data, b->length);
	if (r == 0 && sync)
		r = pl_fsync(fd);
	if (r < 0) /* a name that leads to half a text helps nobody */
		(void)pl_unlink(dirfd, name);
	return r;
}

/* ---- reading ---- */

/* The version in the first line, "kind version\n". */
static int read_version(const char *data, size_t length, const char *kind, uint64_t *ret_version)
{
	size_t kind_length = strlen(kind);
	const char *end = memchr(data, '\n', length);
	char digits[24];
	size_t n;

	if (!end || (size_t)(end - data) < kind_length + 2 ||
	    memcmp(data, kind, kind_length) != 0 || data[kind_length] != ' ')
		return -EBADMSG;
	n = (size_t)(end - data) - kind_length - 1;
	if (n >= sizeof(digits))
		return -EBADMSG;
	memcpy(digits, data + kind_length + 1, n);
	digits[n] = '\0';
	if (strlen(digits) != n)
		return -EBADMSG;
	return pl_parse_u64(digits, UINT64_MAX, ret_version) < 0 ? -EBADMSG : 0;
}

static bool sum_is_right(const char *data, size_t length)
{
	const char *line;
	struct pl_id sum, said;
	char hex[PL_ID_HEX + 1];

	if (length <= SUM_LENGTH)
		return false;
	line = data + length - SUM_LENGTH;
	if (line[-1] != '\n' || memcmp(line, SUM_BEGIN, SUM_BEGIN_LENGTH) != 0 ||
	    line[SUM_LENGTH - 1] != '\n')
		return false;
	memcpy(hex, line + SUM_BEGIN_LENGTH, PL_ID_HEX);
	hex[PL_ID_HEX] = '\0';
	if (pl_id_parse(hex, &said) < 0)
		return false;
	pl_hash_of(data, length - SUM_LENGTH, &sum);
	return pl_id_equal(&sum, &said);
}

int pl_text_open(struct pl_text *text, const void *data, size_t length, const char *kind,
		 unsigned version)
{
	int r;

	*text = (struct pl_text){0};
	if (length == 0 || length > PL_TEXT_MAX)
		return -EBADMSG;
	r = read_version(data, length, kind, &text->version);
	if (r < 0)
		return r;
	/* What follows in a newer text, and how it is verified, is not known here. */
	if (text->version != version)
		return text->version > version ? -EPROTONOSUPPORT : -EBADMSG;
	if (!sum_is_right(data, length))
		return -EBADMSG;
	text->data = data;
	text->length = length - SUM_LENGTH; /* T2 */
	text->offset = (size_t)((const char *)memchr(data, '\n', length) + 1 - text->data);
	pl_assert(text->offset <= text->length);
	return 0;
}

void pl_text_done(struct pl_text *text)
{
	pl_buffer_done(&text->value);
}

static int unhex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* T1, T3. */
static bool unescape(const char *from, size_t length, struct pl_buffer *b)
{
	for (size_t i = 0; i < length; i++) {
		int c = (unsigned char)from[i];

		if (c != '%' && is_escaped((unsigned char)c))
			return false;
		if (c == '%') {
			int high, low;

			if (length - i < 3)
				return false;
			high = unhex(from[i + 1]);
			low = unhex(from[i + 2]);
			if (high < 0 || low < 0)
				return false;
			c = high << 4 | low;
			if (c == 0 || !is_escaped((unsigned char)c))
				return false;
			i += 2;
		}
		pl_buffer_add_u8(b, (uint8_t)c);
	}
	return true;
}

const char *pl_text_next(struct pl_text *text, const char *key)
{
	size_t left, key_length = strlen(key);
	const char *line, *end;

	pl_assert(text->data && text->offset <= text->length);
	line = text->data + text->offset;
	left = text->length - text->offset;
	if (text->failed || left <= key_length || memcmp(line, key, key_length) != 0 ||
	    line[key_length] != ' ')
		return NULL;
	end = memchr(line, '\n', left);
	pl_assert(end); /* sum_is_right() has seen it */
	pl_buffer_truncate(&text->value, 0);
	if (!unescape(line + key_length + 1, (size_t)(end - line) - key_length - 1, &text->value) ||
	    !pl_buffer_ok(&text->value)) {
		text->failed = true;
		return NULL;
	}
	text->offset += (size_t)(end - line) + 1;
	return pl_buffer_string(&text->value);
}

const char *pl_text_get(struct pl_text *text, const char *key)
{
	const char *value = pl_text_next(text, key);

	if (value)
		return value;
	text->failed = true;
	return "";
}

uint64_t pl_text_get_number(struct pl_text *text, const char *key)
{
	uint64_t value = 0;

	if (pl_parse_u64(pl_text_get(text, key), UINT64_MAX, &value) < 0)
		text->failed = true;
	return value;
}

void pl_text_get_id(struct pl_text *text, const char *key, struct pl_id *ret_id)
{
	const char *value = pl_text_get(text, key);

	if (strncmp(value, ALGORITHM, ALGORITHM_LENGTH) != 0 ||
	    pl_id_parse(value + ALGORITHM_LENGTH, ret_id) < 0) {
		text->failed = true;
		*ret_id = (struct pl_id){0};
	}
}

void pl_text_get_time(struct pl_text *text, const char *key, int64_t *ret_s, uint32_t *ret_ns)
{
	*ret_s = 0;
	*ret_ns = 0;
	if (parse_time(pl_text_get(text, key), ret_s, ret_ns) < 0)
		text->failed = true;
}

int pl_text_close(struct pl_text *text)
{
	if (!pl_buffer_ok(&text->value))
		return -ENOMEM;
	return text->failed || text->offset != text->length ? -EBADMSG : 0;
}
