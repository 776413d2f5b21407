/*
 * dir.c - the names in one directory. Trees are walk.c's and erase.c's.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sys/seam.h"

#define READ_SIZE (64 * 1024)

/* What getdents64(2) fills in. */
struct record {
	uint64_t ino;
	int64_t offset;
	uint16_t length;
	unsigned char type;
	char name[];
};

static bool is_dot(const char *name)
{
	return name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

/* The next records into a buffer aligned for them: number of bytes, 0 at the end. */
static int read_records(int fd, void *buffer, size_t size)
{
	return PL_RETRY(syscall(SYS_getdents64, fd, buffer, size));
}

/* Until pl_list() is through with reading, `name` is an offset: the names still move. */
static int add_record(struct pl_listing *listing, const struct record *record)
{
	struct pl_dirent *entry;
	size_t offset = listing->names.length;
	int r = PL_ARRAY_GROW(listing->entries, listing->capacity, listing->n);

	if (r < 0)
		return r;
	pl_buffer_add(&listing->names, record->name, strlen(record->name) + 1);
	if (!pl_buffer_ok(&listing->names))
		return -ENOMEM;
	entry = &listing->entries[listing->n++];
	entry->name = (const char *)(uintptr_t)offset;
	entry->type = record->type;
	entry->ino = record->ino;
	return 0;
}

static int read_all(int fd, char *buffer, struct pl_listing *listing)
{
	int n, r = PL_RETRY(lseek(fd, 0, SEEK_SET));

	if (r < 0)
		return r;
	while ((n = read_records(fd, buffer, READ_SIZE)) > 0) {
		for (int at = 0; at < n;) {
			const struct record *record = (const void *)(buffer + at);

			pl_assert(record->length > 0 && record->length <= n - at);
			if (!is_dot(record->name)) {
				r = add_record(listing, record);
				if (r < 0)
					return r;
			}
			at += record->length;
		}
	}
	return n;
}

static int compare(const void *a, const void *b)
{
	const struct pl_dirent *x = a, *y = b;

	return strcmp(x->name, y->name);
}

/* Sorts, unless the file system has done so. A name that was read twice, because the directory
 * changed meanwhile, is kept once: whoever uses a listing may rely on it. */
static void sort(struct pl_listing *listing)
{
	struct pl_dirent *entries = listing->entries;
	bool is_sorted = true;
	size_t kept = 1;

	for (size_t i = 1; i < listing->n && is_sorted; i++)
		is_sorted = compare(&entries[i - 1], &entries[i]) < 0;
	if (is_sorted)
		return;
	qsort(entries, listing->n, sizeof(*entries), compare);
	for (size_t i = 1; i < listing->n; i++) {
		if (compare(&entries[kept - 1], &entries[i]) != 0)
			entries[kept++] = entries[i];
	}
	listing->n = kept;
}

int pl_list(int fd, struct pl_listing *ret_listing)
{
	struct pl_listing listing = {0};
	char *buffer = malloc(READ_SIZE);
	int r = buffer ? read_all(fd, buffer, &listing) : -ENOMEM;

	free(buffer);
	if (r < 0) {
		pl_listing_done(&listing);
		return r;
	}
	for (size_t i = 0; i < listing.n; i++) {
		size_t offset = (size_t)(uintptr_t)listing.entries[i].name;

		listing.entries[i].name = (const char *)listing.names.data + offset;
	}
	sort(&listing);
	*ret_listing = listing;
	return 0;
}

bool pl_dirent_is(int dirfd, const struct pl_dirent *entry, mode_t kind)
{
	struct stat st;

	if (entry->type != DT_UNKNOWN)
		return (mode_t)DTTOIF(entry->type) == kind;
	return pl_lstat(dirfd, entry->name, &st) < 0 || (st.st_mode & S_IFMT) == kind;
}

int pl_list_inodes(int fd, struct pl_buffer *inodes)
{
	char *buffer = malloc(READ_SIZE);
	int n, r = buffer ? PL_RETRY(lseek(fd, 0, SEEK_SET)) : -ENOMEM;

	while (r >= 0 && (n = r = read_records(fd, buffer, READ_SIZE)) > 0) {
		for (int at = 0; at < n;) {
			const struct record *record = (const void *)(buffer + at);

			if (!is_dot(record->name))
				pl_buffer_add(inodes, &record->ino, sizeof(record->ino));
			at += record->length;
		}
		if (!pl_buffer_ok(inodes))
			r = -ENOMEM;
	}
	free(buffer);
	return r < 0 ? r : 0;
}

void pl_listing_done(struct pl_listing *listing)
{
	free(listing->entries);
	pl_buffer_done(&listing->names);
	*listing = (struct pl_listing){0};
}

const struct pl_dirent *pl_listing_find(const struct pl_listing *listing, const char *name)
{
	const struct pl_dirent wanted = {.name = name};

	if (listing->n == 0)
		return NULL;
	return bsearch(&wanted, listing->entries, listing->n, sizeof(wanted), compare);
}

int pl_dir_is_empty(int fd)
{
	/* "." and ".." need not come first, so a few records are read at once. */
	_Alignas(struct record) char buffer[1024];
	int n, r = PL_RETRY(lseek(fd, 0, SEEK_SET));

	if (r < 0)
		return r;
	while ((n = read_records(fd, buffer, sizeof(buffer))) > 0) {
		for (int at = 0; at < n;) {
			const struct record *record = (const void *)(buffer + at);

			if (!is_dot(record->name))
				return 0;
			at += record->length;
		}
	}
	return n < 0 ? n : 1;
}
