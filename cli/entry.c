/*
 * entry.c - how one entry of a tree looks: as a JSON object, and in the columns of `ls -l`.
 */
#include <string.h>
#include <time.h>

#include "cli.h"

/* ---- JSON ----------------------------------------------------------------------------------- */

static const char *type_word(enum pleach_type type)
{
	switch (type) {
	case PLEACH_FILE:
		return "file";
	case PLEACH_DIR:
		return "dir";
	case PLEACH_SYMLINK:
		return "symlink";
	case PLEACH_FIFO:
		return "fifo";
	case PLEACH_SOCKET:
		return "socket";
	case PLEACH_CHAR:
		return "char";
	case PLEACH_BLOCK:
		return "block";
	}
	return "unknown";
}

static bool is_device(const struct pleach_entry *entry)
{
	return entry->type == PLEACH_CHAR || entry->type == PLEACH_BLOCK;
}

static void owner(struct json *json, const char *key, uint32_t id)
{
	if (id == PLEACH_NO_OWNER)
		json_null(json, key);
	else
		json_number(json, key, id);
}

void entry_json(struct json *json, const char *key, const struct pleach_entry *entry)
{
	char mode[16];

	if (!entry) {
		json_null(json, key);
		return;
	}
	snprintf(mode, sizeof(mode), "%04o", (unsigned)entry->mode);
	json_object(json, key);
	json_name(json, "path", entry->path);
	json_prose(json, "type", type_word(entry->type));
	json_prose(json, "mode", mode);
	owner(json, "uid", entry->uid);
	owner(json, "gid", entry->gid);
	json_number(json, "size", entry->file_size);
	json_time(json, "mtime", entry->mtime_s, entry->mtime_ns);
	json_name(json, "target", entry->target);
	if (is_device(entry)) {
		json_object(json, "rdev");
		json_number(json, "major", entry->rdev_major);
		json_number(json, "minor", entry->rdev_minor);
		json_object_end(json);
	} else {
		json_null(json, "rdev");
	}
	json_number(json, "links", entry->links);
	json_object(json, "xattrs");
	for (size_t i = 0; i < entry->n_xattrs; i++)
		json_base64(json, entry->xattrs[i].name, entry->xattrs[i].value,
			    entry->xattrs[i].length);
	json_object_end(json);
	json_name_or_null(json, "object", entry->id);
	json_object_end(json);
}

/* ---- ls -l ---------------------------------------------------------------------------------- */

/* "-rwsr-xr-t" */
static void mode_text(const struct pleach_entry *entry, char ret_text[11])
{
	static const char letters[] = "rwxrwxrwx";
	uint32_t mode = entry->mode;

	ret_text[0] = entry->type == PLEACH_FILE ? '-' : (char)entry->type;
	for (int i = 0; i < 9; i++)
		ret_text[1 + i] = mode >> (8 - i) & 1 ? letters[i] : '-';
	if (mode & 04000)
		ret_text[3] = mode & 0100 ? 's' : 'S';
	if (mode & 02000)
		ret_text[6] = mode & 0010 ? 's' : 'S';
	if (mode & 01000)
		ret_text[9] = mode & 0001 ? 't' : 'T';
	ret_text[10] = 0;
}

static bool has_acl(const struct pleach_entry *entry)
{
	for (size_t i = 0; i < entry->n_xattrs; i++)
		if (strncmp(entry->xattrs[i].name, "system.posix_acl_", 17) == 0)
			return true;
	return false;
}

static void owner_text(uint32_t id)
{
	if (id == PLEACH_NO_OWNER)
		printf(" %5s", "-");
	else
		printf(" %5u", (unsigned)id);
}

void entry_columns(const struct pleach_entry *entry)
{
	time_t when = (time_t)entry->mtime_s;
	char mode[11], size[SIZE_TEXT_MAX], text[80];
	struct tm tm;

	mode_text(entry, mode);
	printf("%s%s %2llu", mode, has_acl(entry) ? "+" : "", (unsigned long long)entry->links);
	owner_text(entry->uid);
	owner_text(entry->gid);
	if (is_device(entry)) {
		snprintf(size, sizeof(size), "%u, %u", (unsigned)entry->rdev_major,
			 (unsigned)entry->rdev_minor);
		printf(" %8s", size);
	} else {
		printf(" %8s", size_text(entry->file_size, size));
	}
	if (!localtime_r(&when, &tm) || !strftime(text, sizeof(text), "%Y-%m-%d %H:%M", &tm))
		snprintf(text, sizeof(text), "@%lld", (long long)entry->mtime_s);
	printf(" %s ", text);
}

void entry_tail(const struct pleach_entry *entry, bool is_raw)
{
	if (!entry->target)
		return;
	fputs(" -> ", stdout);
	output_name(entry->target, is_raw);
}
