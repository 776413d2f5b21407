/*
 * walk.c - directories one after the other, each sorted by name; every file's content once, however many names
 * it has.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <nettle/sha2.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "power/walk.h"

#define NAMES_MAX 4096 /* in one directory */
#define DIRS_MAX  4096
#define FILES_MAX 8192
#define TEXT_MAX  ((size_t)1 << 20) /* of all paths of directories, and of the names of one */
#define READ_MAX  ((size_t)1 << 18)

struct walk {
	struct sha256_ctx hash;
	int root, error;
	uint32_t n_dirs, next_dir, n_files, n_names;
	size_t paths_used, names_used;
	size_t dirs[DIRS_MAX]; /* where its path is */
	ino_t files[FILES_MAX];
	const char *names[NAMES_MAX];
	char paths[TEXT_MAX], texts[TEXT_MAX];
	unsigned char data[READ_MAX];
	char where[256];
};

static void add(struct walk *w, const void *data, size_t size)
{
	sha256_update(&w->hash, size, data);
}

static bool fail_at(struct walk *w, int error, const char *dir, const char *name)
{
	if (w->error == 0) {
		w->error = error;
		(void)snprintf(w->where, sizeof(w->where), "%.150s/%.100s", dir, name);
	}
	return false;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool list(struct walk *w, int fd, const char *dir)
{
	ssize_t n;

	w->n_names = 0;
	w->names_used = 0;
	while ((n = getdents64(fd, w->data, sizeof(w->data))) > 0) {
		for (ssize_t at = 0; at < n;) {
			struct dirent64 *d = (void *)(w->data + at);
			size_t length = strlen(d->d_name) + 1;

			at += d->d_reclen;
			if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
				continue;
			if (w->n_names >= NAMES_MAX || w->names_used + length > TEXT_MAX)
				return fail_at(w, -E2BIG, dir, "");
			memcpy(w->texts + w->names_used, d->d_name, length);
			w->names[w->n_names++] = w->texts + w->names_used;
			w->names_used += length;
		}
	}
	if (n < 0)
		return fail_at(w, -errno, dir, "");
	qsort(w->names, w->n_names, sizeof(w->names[0]), by_name);
	return true;
}

/* The number by which this file was met first; is_new if that is now. */
static uint32_t number_of(struct walk *w, ino_t ino, bool *ret_is_new)
{
	uint32_t i;

	for (i = w->n_files; i > 0; i--)
		if (w->files[i - 1] == ino)
			break;
	*ret_is_new = i == 0;
	if (i > 0)
		return i - 1;
	if (w->n_files < FILES_MAX)
		w->files[w->n_files++] = ino;
	return w->n_files;
}

static bool add_content(struct walk *w, int fd, const char *dir, const char *name)
{
	int file = openat(fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NOATIME);
	ssize_t n;

	if (file < 0)
		return fail_at(w, -errno, dir, name);
	while ((n = read(file, w->data, sizeof(w->data))) > 0)
		add(w, w->data, (size_t)n);
	if (n < 0)
		n = -errno;
	close(file);
	return n < 0 ? fail_at(w, (int)n, dir, name) : true;
}

static bool add_dir(struct walk *w, const char *dir, const char *name)
{
	size_t length = strlen(dir) + 1 + strlen(name) + 1;

	if (w->n_dirs >= DIRS_MAX || w->paths_used + length > TEXT_MAX)
		return fail_at(w, -E2BIG, dir, name);
	w->dirs[w->n_dirs++] = w->paths_used;
	(void)snprintf(w->paths + w->paths_used, length, "%s/%s", dir, name);
	w->paths_used += length;
	return true;
}

static bool add_entry(struct walk *w, int fd, const char *dir, const char *name)
{
	struct stat st;
	char target[4096];
	uint32_t number;
	bool is_new;
	ssize_t n;

	if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return fail_at(w, -errno, dir, name);
	add(w, name, strlen(name) + 1);
	add(w, &st.st_mode, sizeof(st.st_mode));
	add(w, &st.st_uid, sizeof(st.st_uid));
	add(w, &st.st_gid, sizeof(st.st_gid));
	add(w, &st.st_mtim.tv_sec, sizeof(st.st_mtim.tv_sec));
	add(w, &st.st_mtim.tv_nsec, sizeof(st.st_mtim.tv_nsec));
	if (S_ISDIR(st.st_mode))
		return add_dir(w, dir, name);
	add(w, &st.st_size, sizeof(st.st_size));
	if (S_ISLNK(st.st_mode)) {
		n = readlinkat(fd, name, target, sizeof(target));
		if (n < 0)
			return fail_at(w, -errno, dir, name);
		add(w, target, (size_t)n);
	} else if (S_ISREG(st.st_mode)) {
		number = number_of(w, st.st_ino, &is_new);
		add(w, &number, sizeof(number));
		if (is_new && st.st_size > 0)
			return add_content(w, fd, dir, name);
	}
	return true;
}

static bool add_directory(struct walk *w, const char *dir)
{
	int fd = openat(w->root, dir[0] ? dir + 1 : ".",
			O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NOATIME);
	bool good;

	if (fd < 0)
		return fail_at(w, -errno, dir, "");
	add(w, dir, strlen(dir) + 1);
	good = list(w, fd, dir);
	for (uint32_t i = 0; good && i < w->n_names; i++)
		good = add_entry(w, fd, dir, w->names[i]);
	close(fd);
	return good;
}

int walk_hash(const char *root, uint8_t ret_hash[WALK_HASH], char *ret_where)
{
	static struct walk *w; /* large, and needed again and again */
	bool good = true;

	if (!w && !(w = malloc(sizeof(*w))))
		return -ENOMEM;
	sha256_init(&w->hash);
	w->error = 0;
	w->n_files = 0;
	w->n_dirs = 1;
	w->dirs[0] = 0;
	w->paths[0] = '\0';
	w->paths_used = 1;
	w->root = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (w->root < 0)
		return -errno;
	for (uint32_t i = 0; good && i < w->n_dirs; i++)
		good = add_directory(w, w->paths + w->dirs[i]);
	close(w->root);
	sha256_digest(&w->hash, WALK_HASH, ret_hash);
	if (ret_where)
		(void)snprintf(ret_where, 256, "%s", w->where);
	return w->error;
}
