/*
 * cat.c - `pleach cat`: the content of a file, verified while it is read.
 *
 * What has been written before damage is found cannot be taken back; the exit status tells (13). With
 * --json the content is one document, {"path","base64","size"}, whose "error" tells the same.
 */
#include "cli.h"

#define CHUNK 49152 /* a multiple of 3: base64 goes on without a seam */

/* Fills `buffer` as far as the file goes. Returns the bytes, or a negative errno. */
static ssize_t read_chunk(struct pleach_file *file, unsigned char *buffer,
			  struct pleach_error *error)
{
	size_t have = 0;
	ssize_t n = 1;

	while (have < CHUNK && n > 0) {
		n = pleach_file_read(file, buffer + have, CHUNK - have, error);
		if (n > 0)
			have += (size_t)n;
	}
	return n < 0 ? n : (ssize_t)have;
}

static int copy(struct cli *cli, struct pleach_file *file)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	unsigned char buffer[CHUNK];
	ssize_t n;
	int status = 0;

	while (status == 0 && (n = pleach_file_read(file, buffer, sizeof(buffer), &error)) != 0) {
		if (n < 0)
			return cli_fail(cli, &error);
		fwrite(buffer, 1, (size_t)n, stdout);
		status = output_check(cli);
	}
	return status;
}

static int copy_json(struct cli *cli, struct pleach_file *file)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct json head = {0}, tail = {0};
	unsigned char buffer[CHUNK];
	char text[CHUNK / 3 * 4];
	uint64_t size = 0;
	ssize_t n = 0;
	int status = 0;

	json_object(&head, NULL);
	json_name(&head, "rev", cli->args[0]);
	if (head.has_failed)
		return cli_no_memory(cli);
	fwrite(head.text, 1, head.length, stdout);
	json_free(&head);
	fputs(",\"base64\":\"", stdout);
	while (status == 0 && (n = read_chunk(file, buffer, &error)) > 0) {
		size_t length = base64_encode(buffer, (size_t)n, text);

		fwrite(text, 1, length, stdout);
		size += (uint64_t)n;
		status = output_check(cli);
	}
	fputs("\",", stdout);
	json_number(&tail, "size", size);
	if (n < 0) {
		json_error(&tail, "error", &error);
		cli_complain(cli, &error);
		status = cli_status(&error);
	}
	json_object_end(&tail);
	if (json_print(cli, &tail) != 0 && status == 0)
		status = PLEACH_FAILED;
	json_free(&tail);
	return status;
}

static int run(struct cli *cli, const void *values)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pleach_file *file;
	int status = cli_open(cli);

	(void)values;
	if (status != 0)
		return status;
	if (pleach_file_open(cli->store, cli->args[0], &file, &error) < 0)
		return cli_fail(cli, &error);
	status = cli->json ? copy_json(cli, file) : copy(cli, file);
	pleach_file_close(file);
	return status;
}

const struct command command_cat = {
	.name = "cat",
	.group = GROUP_LOOK,
	.summary = "the content of a file",
	.operands = "REV:path",
	.details =
		"The content is verified while it is read; damage ends it with exit status 13.\n",
	.least = 1,
	.most = 1,
	.run = run,
};
