/*
 * Saying what two trees differ in. Plainly, and without pl_diff(), which passes over times of directories.
 */
#include <stdlib.h>

#include "program.h"

#include "dump.h"

static void print_xattrs(FILE *out, const struct pl_meta *meta)
{
	const unsigned char *value;
	const char *name;
	size_t name_length, length;
	uint32_t offset = 0;

	while (pl_meta_xattr_next(meta, &offset, &name, &name_length, &value, &length)) {
		(void)fprintf(out, " %.*s=", (int)name_length, name);
		for (size_t i = 0; i < length && i < 64; i++)
			(void)fprintf(out, "%02x", value[i]);
	}
}

static void print_meta(FILE *out, const struct pl_meta *meta)
{
	(void)fprintf(out, " %o %u:%u %lld.%09u", meta->mode, meta->uid, meta->gid,
		      (long long)meta->mtime_s, meta->mtime_ns);
	print_xattrs(out, meta);
}

static void print_group(FILE *out, struct pl_cursor *cursor)
{
	struct pl_membership_group group;

	if (!pl_membership_find(pl_cursor_membership(cursor), pl_cursor_path(cursor), &group))
		return;
	(void)fprintf(out, " one inode:");
	for (size_t i = 0; i < group.n_members; i++) {
		PL_BUFFER path = {0};

		pl_membership_member(&group, i, &path);
		(void)putc(' ', out);
		print_name(out, pl_buffer_string(&path));
	}
}

static void print_step(FILE *out, struct pl_cursor *cursor, int step)
{
	const struct pl_entry *e = step == PL_STEP_ENTRY ? pl_cursor_entry(cursor) : NULL;
	char hex[PL_ID_HEX + 1];

	print_name(out, pl_cursor_path(cursor));
	(void)fprintf(out, " %c", e ? e->kind : 'd');
	print_meta(out, e ? &e->meta : &pl_cursor_node(cursor)->meta);
	if (e && e->kind == PLEACH_FILE)
		(void)fprintf(out, " %llu bytes %.12s", (unsigned long long)e->size,
			      pl_id_hex(&e->hash, hex));
	if (e && e->kind == PLEACH_SYMLINK)
		(void)fprintf(out, " -> %.*s", (int)e->target_length, e->target);
	if (e)
		(void)fprintf(out, " %u:%u", e->major, e->minor);
	if (e)
		print_group(out, cursor);
	(void)putc('\n', out);
}

static char *dump(const struct pl_node_source *nodes, const struct pl_id *tree)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pl_cursor *cursor;
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	int r;

	if (!out)
		abort();
	r = pl_cursor_new(nodes, tree, true, 1, &cursor, &error);
	if (r >= 0) {
		while ((r = pl_cursor_next(cursor, &error)) > 0)
			if (r != PL_STEP_LEAVE)
				print_step(out, cursor, r);
		pl_cursor_free(cursor);
	}
	if (r < 0)
		(void)fprintf(out, "unreadable: %s\n", error.message);
	(void)fclose(out);
	return text;
}

/* Is the line that begins here one of the text's? */
static bool has_line(const char *text, const char *line, size_t length)
{
	for (; *text; text = strchr(text, '\n') + 1)
		if (strncmp(text, line, length) == 0)
			return true;
	return false;
}

static void print_missing(FILE *out, char sign, const char *in, const char *from)
{
	while (*in) {
		size_t length = strcspn(in, "\n") + 1;

		if (!has_line(from, in, length))
			(void)fprintf(out, "# %c %.*s", sign, (int)length, in);
		in += length;
	}
}

void dump_difference(FILE *out, const struct pl_node_source *nodes, const struct pl_id *expected,
		     const struct pl_id *found)
{
	char *before = dump(nodes, expected), *after = dump(nodes, found);

	(void)fprintf(out, "# - on the plain copy, + in the workspace\n");
	print_missing(out, '-', before, after);
	print_missing(out, '+', after, before);
	free(before);
	free(after);
}
