/*
 * The text of a failure, in the caller's struct. Here alone is decided which code belongs to which
 * errno, how a text that does not fit is cut, and that a message is one printable line. No wording
 * of any failure lives here but strerror's, "out of memory" and what EFBIG and ENOSPC mean.
 *
 * E1  Only fields that lie within the first `size` bytes are touched; a `size` of 0 means all.
 * E2  Message and hint hold no byte below 0x20 and no 0x7f: names come from strangers, and a newline
 *     or an escape sequence in one must not forge a line of output.
 * E3  The text is formatted before the struct is touched: an argument may point into the struct.
 */
#include "base/base.h"

#include <stdarg.h>
#include <stdio.h>

#define FITS(error, field)     \
	((error)->size == 0 || \
	 offsetof(struct pleach_error, field) + sizeof((error)->field) <= (error)->size) /* E1 */

#define MESSAGE_SIZE sizeof(((struct pleach_error *)0)->message)
#define CUT	     "..."
#define CUT_LENGTH   (sizeof(CUT) - 1)

/* One byte more than any field: a text that vsnprintf() had to cut is then too long for its field,
 * and is marked as cut there. */
struct raw_text {
	char bytes[MESSAGE_SIZE + 1];
};

static void format_raw(struct raw_text *raw, const char *format, va_list args)
{
	raw->bytes[0] = '\0';
	if (vsnprintf(raw->bytes, sizeof(raw->bytes), format, args) < 0)
		raw->bytes[0] = '\0';
}

/* How `c` is shown: itself, a C escape or three octal digits. Returns the length. */
static size_t escape_byte(unsigned char c, char ret_shown[4])
{
	if (c >= 0x20 && c != 0x7f) {
		ret_shown[0] = (char)c;
		return 1;
	}
	ret_shown[0] = '\\';
	if (c == '\n' || c == '\t' || c == '\r') {
		ret_shown[1] = c == '\n' ? 'n' : c == '\t' ? 't' : 'r';
		return 2;
	}
	ret_shown[1] = (char)('0' + (c >> 6));
	ret_shown[2] = (char)('0' + ((c >> 3) & 7));
	ret_shown[3] = (char)('0' + (c & 7));
	return 4;
}

/* Appends `from` to the `length` bytes in `to`, made printable (E2). What does not fit into `size`
 * is cut at the end, never within an escape, and CUT says so. Returns the new length. */
static size_t append_printable(char *to, size_t size, size_t length, const char *from)
{
	size_t length_if_cut = length;

	pl_assert(size > CUT_LENGTH && length < size);
	for (; *from; from++) {
		char shown[4];
		size_t n = escape_byte((unsigned char)*from, shown);

		if (length + n >= size) {
			length = length_if_cut;
			if (length + CUT_LENGTH < size) {
				memcpy(to + length, CUT, CUT_LENGTH);
				length += CUT_LENGTH;
			}
			break;
		}
		memcpy(to + length, shown, n);
		length += n;
		if (length + CUT_LENGTH < size)
			length_if_cut = length;
	}
	to[length] = '\0';
	pl_assert(length < size);
	return length;
}

static void set_code(struct pleach_error *error, enum pleach_code code, int err)
{
	if (FITS(error, code))
		error->code = code;
	if (FITS(error, err))
		error->err = err;
	if (FITS(error, hint))
		error->hint[0] = '\0';
	if (FITS(error, path))
		error->path[0] = '\0';
}

static void set_message(struct pleach_error *error, const struct raw_text *raw)
{
	if (FITS(error, message))
		append_printable(error->message, sizeof(error->message), 0, raw->bytes);
}

int pl_fail(struct pleach_error *error, enum pleach_code code, int neg_errno, const char *format,
	    ...)
{
	struct raw_text raw;
	va_list args;

	pl_assert(neg_errno < 0);
	pl_assert(code != PLEACH_OK);
	if (!error)
		return neg_errno;
	va_start(args, format);
	format_raw(&raw, format, args); /* E3 */
	va_end(args);
	set_code(error, code, -neg_errno);
	set_message(error, &raw);
	return neg_errno;
}

static enum pleach_code code_of_errno(int err)
{
	switch (err) {
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
		return PLEACH_NO_SPACE;
	case EINTR:
		return PLEACH_INTERRUPTED;
	default:
		return PLEACH_FAILED;
	}
}

/* Puts ": <strerror>" behind the message; of a message that is too long for both the message's end
 * is cut, since the cause is worth more than the tail of a long path. */
static void append_cause(struct raw_text *raw, int err)
{
	char text[128];
	const char *cause = strerror_r(err, text, sizeof(text));
	size_t cause_length = strlen(cause);
	size_t length = strlen(raw->bytes);
	size_t room = MESSAGE_SIZE - 1 - CUT_LENGTH - 2;

	pl_assert(cause_length < room);
	if (length > room - cause_length) {
		length = room - cause_length;
		memcpy(raw->bytes + length, CUT, CUT_LENGTH);
		length += CUT_LENGTH;
	}
	memcpy(raw->bytes + length, ": ", 2);
	memcpy(raw->bytes + length + 2, cause, cause_length + 1);
}

int pl_fail_sys(struct pleach_error *error, int neg_errno, const char *format, ...)
{
	struct raw_text raw;
	va_list args;

	pl_assert(neg_errno < 0);
	if (!error)
		return neg_errno;
	va_start(args, format);
	format_raw(&raw, format, args);
	va_end(args);
	append_cause(&raw, -neg_errno);
	set_code(error, code_of_errno(-neg_errno), -neg_errno);
	set_message(error, &raw);
	if (neg_errno == -EFBIG)
		pl_hint(error, "a limit of this process (ulimit -f), or of the file system");
	else if (neg_errno == -ENOSPC || neg_errno == -EDQUOT)
		pl_hint(error, "in a store 'pleach drop' and 'pleach gc' make room, even now");
	return neg_errno;
}

int pl_fail_memory(struct pleach_error *error)
{
	return pl_fail(error, PLEACH_FAILED, -ENOMEM, "out of memory");
}

void pl_hint(struct pleach_error *error, const char *format, ...)
{
	struct raw_text raw;
	va_list args;

	if (!error || !FITS(error, hint))
		return;
	va_start(args, format);
	format_raw(&raw, format, args);
	va_end(args);
	append_printable(error->hint, sizeof(error->hint), 0, raw.bytes);
}

void pl_error_path(struct pleach_error *error, const char *path)
{
	size_t length = strlen(path);

	if (!error || !FITS(error, path))
		return;
	if (length < sizeof(error->path)) {
		memmove(error->path, path, length + 1);
		return;
	}
	/* The mark keeps what is left from being taken for another path; it stands for whole names
	 * where the path has any, so it begins at a slash. */
	const char *tail = path + length - (sizeof(error->path) - 1 - CUT_LENGTH);
	const char *slash = strchr(tail, '/');

	if (slash && slash[1])
		tail = slash;
	length = strlen(tail);
	pl_assert(CUT_LENGTH + length < sizeof(error->path));
	memmove(error->path + CUT_LENGTH, tail, length + 1);
	memcpy(error->path, CUT, CUT_LENGTH);
}

void pl_error_prefix(struct pleach_error *error, const char *format, ...)
{
	struct raw_text raw, message;
	va_list args;
	size_t length;

	if (!error || !FITS(error, message))
		return;
	va_start(args, format);
	format_raw(&raw, format, args); /* E3 */
	va_end(args);
	memcpy(message.bytes, error->message, sizeof(error->message));
	message.bytes[sizeof(error->message) - 1] = '\0';
	length = append_printable(error->message, sizeof(error->message), 0, raw.bytes);
	length = append_printable(error->message, sizeof(error->message), length, ": ");
	append_printable(error->message, sizeof(error->message), length, message.bytes);
}

void pl_error_clear(struct pleach_error *error)
{
	if (!error)
		return;
	set_code(error, PLEACH_OK, 0);
	if (FITS(error, message))
		error->message[0] = '\0';
}
