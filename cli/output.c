/*
 * output.c - how results look on stdout: names, ids, sizes, times, colours.
 *
 * To a pipe everything is written as it is, in full and in plain numbers. To a terminal names are
 * quoted as coreutils' `ls` quotes them (shell-escape style: what is shown can be pasted into a
 * shell), ids are cut and sizes humanised. Nothing here depends on the locale but the time zone.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"

bool output_is_terminal(FILE *stream)
{
	static int known[3]; /* 0: not asked yet, 1: no, 2: yes */
	int fd = fileno(stream);

	if (fd < 0 || fd > 2)
		return false;
	if (!known[fd])
		known[fd] = isatty(fd) ? 2 : 1;
	return known[fd] == 2;
}

const char *output_color(FILE *stream, enum color color)
{
	static const char *const sequences[] = {"\033[0m", "\033[31m", "\033[32m", "\033[33m",
						"\033[1m"};
	const char *unwanted = getenv("NO_COLOR"), *term = getenv("TERM");

	if (!output_is_terminal(stream) || (unwanted && *unwanted) || !term ||
	    strcmp(term, "dumb") == 0)
		return "";
	return sequences[color];
}

/* ---- names ---------------------------------------------------------------------------------- */

/* Bytes of the next character if it can be shown; 0: it is written as an escape. */
static size_t printable(const char *text)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t length = utf8_length(text);

	if (length == 1)
		return s[0] >= 0x20 && s[0] != 0x7f;
	if (length == 2 && s[0] == 0xc2 && s[1] < 0xa0)
		return 0; /* C1 controls */
	return length;
}

enum quoting { QUOTE_NONE, QUOTE_DOUBLE, QUOTE_SINGLE };

/* The least that makes one word of a shell of `name`. */
static enum quoting quoting(const char *name)
{
	bool has_quote = false, has_other = false, has_special = false;
	size_t length;

	if (!*name || *name == '#' || *name == '~' || ((*name == '{' || *name == '}') && !name[1]))
		return QUOTE_SINGLE;
	for (const char *s = name; *s; s += length) {
		length = printable(s);
		if (length == 0)
			return QUOTE_SINGLE;
		if (*s == '\'')
			has_quote = true;
		else if (strchr("!\"$\\`", *s))
			has_special = true;
		else if (strchr(" &()*;<=>?[^|", *s))
			has_other = true;
	}
	if (has_quote)
		return has_special ? QUOTE_SINGLE : QUOTE_DOUBLE;
	return has_other || has_special ? QUOTE_SINGLE : QUOTE_NONE;
}

size_t escape_byte(unsigned char c, char ret_text[ESCAPE_MAX])
{
	static const char named[] = "abtnvfr"; /* 7 to 13 */

	ret_text[0] = '\\';
	if (c >= 7 && c <= 13) {
		ret_text[1] = named[c - 7];
		return 2;
	}
	ret_text[1] = (char)('0' + (c >> 6));
	ret_text[2] = (char)('0' + (c >> 3 & 7));
	ret_text[3] = (char)('0' + (c & 7));
	return 4;
}

static void quote_single(const char *name, char *out)
{
	bool is_escaping = false;

	*out++ = '\'';
	while (*name) {
		size_t length = printable(name);

		if (length == 0) {
			if (!is_escaping) {
				memcpy(out, "'$'", 3);
				out += 3;
			}
			is_escaping = true;
			out += escape_byte((unsigned char)*name++, out);
			continue;
		}
		if (is_escaping) {
			memcpy(out, "''", 2);
			out += 2;
			is_escaping = false;
		}
		if (*name == '\'') {
			memcpy(out, "'\\''", 4);
			out += 4;
		} else {
			memcpy(out, name, length);
			out += length;
		}
		name += length;
	}
	*out++ = '\'';
	*out = 0;
}

char *output_quote(const char *name)
{
	size_t length = strlen(name);
	/* at most 7 bytes ('$'\ooo) for the first of a run of escapes, and 2 after it */
	char *text = malloc(length * 9 + 3);

	if (!text)
		return NULL;
	switch (quoting(name)) {
	case QUOTE_NONE:
		memcpy(text, name, length + 1);
		break;
	case QUOTE_DOUBLE:
		snprintf(text, length + 3, "\"%s\"", name);
		break;
	case QUOTE_SINGLE:
		quote_single(name, text);
		break;
	}
	return text;
}

void output_name(const char *name, bool is_raw)
{
	char *text;

	if (is_raw || !output_is_terminal(stdout)) {
		fputs(name, stdout);
		return;
	}
	text = output_quote(name);
	fputs(text ? text : "?", stdout);
	free(text);
}

void output_text(const char *text)
{
	size_t length;

	if (!output_is_terminal(stdout)) {
		fwrite(text, 1, strcspn(text, "\n"), stdout);
		return;
	}
	for (; *text && *text != '\n'; text += length) {
		length = printable(text);
		if (length > 0)
			fwrite(text, 1, length, stdout);
		else
			fputc(*text == '\t' ? ' ' : '?', stdout);
		length += length == 0;
	}
}

/* ---- ids, sizes, times ---------------------------------------------------------------------- */

void output_id(const char *id)
{
	if (output_is_terminal(stdout))
		printf("%.12s", id);
	else
		fputs(id, stdout);
}

void output_time(int64_t seconds)
{
	time_t when = (time_t)seconds;
	char text[80];
	struct tm tm;

	if (localtime_r(&when, &tm) && strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S %z", &tm))
		fputs(text, stdout);
	else
		printf("@%lld", (long long)seconds);
}

const char *size_human(uint64_t bytes, char ret_text[SIZE_TEXT_MAX])
{
	static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
	size_t unit = 0;
	uint64_t step = 1;

	while (unit + 1 < sizeof(units) / sizeof(units[0]) && bytes / step >= 1000) {
		step *= 1000;
		unit++;
	}
	if (unit == 0 || bytes / step >= 10)
		snprintf(ret_text, SIZE_TEXT_MAX, "%llu %s", (unsigned long long)(bytes / step),
			 units[unit]);
	else
		snprintf(ret_text, SIZE_TEXT_MAX, "%llu.%llu %s",
			 (unsigned long long)(bytes / step),
			 (unsigned long long)(bytes % step / (step / 10)), units[unit]);
	return ret_text;
}

const char *size_text(uint64_t bytes, char ret_text[SIZE_TEXT_MAX])
{
	if (output_is_terminal(stdout))
		return size_human(bytes, ret_text);
	snprintf(ret_text, SIZE_TEXT_MAX, "%llu", (unsigned long long)bytes);
	return ret_text;
}

/* ---- the stream ----------------------------------------------------------------------------- */

static int failed(struct cli *cli, int err)
{
	static int told; /* once: what could not be written is tried again at the end */
	struct pleach_error error = PLEACH_ERROR_INIT;
	enum pleach_code code = PLEACH_FAILED;

	if (told)
		return told;
	if (err == ENOSPC || err == EDQUOT || err == EFBIG)
		code = PLEACH_NO_SPACE;
	else if (err == EINTR && signals_caught())
		code = PLEACH_INTERRUPTED;
	cli_error_set(&error, code, NULL, NULL, "cannot write the output: %s", strerror(err));
	error.err = err;
	cli_complain(cli, &error);
	told = cli_status(&error);
	return told;
}

int output_check(struct cli *cli)
{
	return ferror(stdout) ? failed(cli, errno) : 0;
}

int output_end(struct cli *cli, bool is_raw)
{
	fputc(is_raw ? 0 : '\n', stdout);
	return output_check(cli);
}

int output_finish(struct cli *cli, int status)
{
	int flushed = fflush(stdout) != 0 ? failed(cli, errno) : output_check(cli);

	return flushed ? flushed : status;
}
