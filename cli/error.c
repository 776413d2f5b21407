/*
 * error.c - how the command tells what went wrong: two lines on stderr, a document on stdout.
 *
 * `pleach: WHAT` and `hint: WHAT TO DO`, one line each whatever is in the names they quote: control
 * characters are written as \n or \033. With --json the same goes to stdout, exactly.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

int cli_status(const struct pleach_error *error)
{
	if (error->code == PLEACH_INTERRUPTED && signals_caught())
		return 128 + signals_caught();
	return error->code == PLEACH_OK ? PLEACH_FAILED : (int)error->code;
}

/* Appends `text` with its control characters made visible, as far as it fits. */
static size_t append(char *line, size_t length, size_t room, const char *text)
{
	for (; *text && length + 5 < room; text++) {
		unsigned char c = (unsigned char)*text;

		if (c < 0x20 || c == 0x7f)
			length += escape_byte(c, line + length);
		else
			line[length++] = *text;
	}
	line[length] = 0;
	return length;
}

/* One line on stderr, in one write. */
static void tell(enum color color, const char *label, const char *text)
{
	char line[16384];
	size_t length;

	length = (size_t)snprintf(line, sizeof(line), "%s%s%s ", output_color(stderr, color), label,
				  *output_color(stderr, color) ? output_color(stderr, COLOR_NONE)
							       : "");
	length = append(line, length, sizeof(line) - 1, text);
	line[length++] = '\n';
	progress_clear();
	fwrite(line, 1, length, stderr);
}

void cli_complain(struct cli *cli, const struct pleach_error *error)
{
	if (cli->json && cli->quiet)
		return;
	fflush(stdout); /* on a terminal: results that came before stand before */
	tell(COLOR_RED, "pleach:", error->message[0] ? error->message : strerror(error->err));
	if (error->hint[0])
		tell(COLOR_BOLD, "hint:", error->hint);
}

void cli_complain_of(struct cli *cli, const char *format, ...)
{
	char text[8192];
	va_list arguments;

	if (cli->json && cli->quiet)
		return;
	va_start(arguments, format);
	// NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): as below
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	tell(COLOR_RED, "pleach:", text);
}

int cli_fail(struct cli *cli, const struct pleach_error *error)
{
	struct json json = {0};

	cli_complain(cli, error);
	if (!cli->json)
		return cli_status(error);
	json_object(&json, NULL);
	json_error(&json, "error", error);
	json_object_end(&json);
	if (!json.has_failed) {
		fwrite(json.text, 1, json.length, stdout);
		fputc('\n', stdout);
	}
	json_free(&json);
	return cli_status(error);
}

static void fill(struct pleach_error *error, enum pleach_code code, const char *path,
		 const char *hint, const char *format, va_list arguments)
{
	error->code = code;
	error->err = 0;
	/* clang-tidy sees no va_start where it is given several files at once */
	// NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized)
	vsnprintf(error->message, sizeof(error->message), format, arguments);
	snprintf(error->hint, sizeof(error->hint), "%s", hint ? hint : "");
	snprintf(error->path, sizeof(error->path), "%s", path ? path : "");
}

void cli_error_set(struct pleach_error *error, enum pleach_code code, const char *path,
		   const char *hint, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	fill(error, code, path, hint, format, arguments);
	va_end(arguments);
}

int cli_failf(struct cli *cli, enum pleach_code code, const char *path, const char *hint,
	      const char *format, ...)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	va_list arguments;

	va_start(arguments, format);
	fill(&error, code, path, hint, format, arguments);
	va_end(arguments);
	return cli_fail(cli, &error);
}

int cli_usage(struct cli *cli, const char *hint, const char *format, ...)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	char where[96];
	va_list arguments;
	int status;

	if (!hint) {
		snprintf(where, sizeof(where), "see 'pleach %s%s--help'",
			 cli->command ? cli->command->name : "", cli->command ? " " : "");
		hint = where;
	}
	va_start(arguments, format);
	fill(&error, PLEACH_USAGE, NULL, hint, format, arguments);
	va_end(arguments);
	status = cli_fail(cli, &error);
	return cli->passes_status ? PROGRAM_OWN_FAILURE : status;
}

int cli_no_memory(struct cli *cli)
{
	return cli_failf(cli, PLEACH_FAILED, NULL, NULL, "%s", strerror(ENOMEM));
}

void cli_warn(struct cli *cli, const char *format, ...)
{
	char text[8192];
	va_list arguments;

	if (cli->quiet)
		return;
	va_start(arguments, format);
	// NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): as above
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	fflush(stdout);
	tell(COLOR_YELLOW, "pleach:", text);
}

int cli_complain_all(struct cli *cli, struct json *json, struct pleach_report *report,
		     struct pleach_error *error)
{
	struct pleach_finding finding = PLEACH_FINDING_INIT;
	int r = 0;

	while (report && (r = pleach_report_next(report, &finding, error)) > 0) {
		struct pleach_error line = PLEACH_ERROR_INIT;

		json_object(json, NULL);
		json_name(json, "path", finding.path);
		json_prose(json, "message", finding.message);
		json_object_end(json);
		cli_error_set(&line, PLEACH_PARTIAL, finding.path, NULL, "%s: %s", finding.path,
			      finding.message);
		cli_complain(cli, &line);
	}
	return r;
}
