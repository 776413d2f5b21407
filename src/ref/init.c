/*
 * Making a store. It is made whole in DIR/.pleach-<random>/store (beside.c), and that is renamed to
 * DIR/.pleach.
 *
 *	nothing --make directory--> .pleach-<random> (held) --fill--> with a store in it
 *		--rename--> .pleach, and an empty .pleach-<random> --erase--> .pleach
 *
 * Killed anywhere, it leaves a .pleach-<random> that the next init there finds dead and removes.
 *
 * I1  DIR/.pleach gets its name once it is complete and synced; it is never replaced. Of several
 *     processes that make one at once, one wins, and the others find a store.
 * I2  Modes do not depend on the umask, or on what DIR hands down: default ACL and setgid are off.
 * I3  In DIR nothing is removed but what beside.c finds dead (G7).
 * I4  Nothing is ever moved or linked between .pleach and DIR: where .pleach is a subvolume that is EXDEV.
 */
#include <fcntl.h>
#include <stdio.h>

#include "ref/ref.h"

#define DIR_NAME   ".pleach"
#define STORE_NAME "store"

/* What is being made. */
struct making {
	const char *dir; /* as given */
	int dir_fd;
	bool is_new; /* DIR was made by us */
	bool force;
	struct pl_beside beside;
	struct pl_values values;
};

/* ---- the directory ---- */

static int read_options(const struct pleach_init_options *options, struct making *making,
			struct pleach_error *error)
{
	int r = 0;

	if (!options)
		return 0;
	making->force = options->force;
	if (options->hash && strcmp(options->hash, "sha256") != 0)
		return pl_fail_usage(error, "hash '%s' is not known; it must be sha256",
				     options->hash);
	if (options->metadata)
		r = pl_values_set(&making->values, "metadata", options->metadata, error);
	if (r == 0 && options->share)
		r = pl_values_set(&making->values, "share", options->share, error);
	return r;
}

static int open_dir(struct making *making, struct pleach_error *error)
{
	int r = pl_mkdir(AT_FDCWD, making->dir, 0755);

	making->is_new = r == 0;
	if (r < 0 && r != -EEXIST) {
		pl_error_path(error, making->dir);
		return pl_fail_sys(error, r, "cannot make '%s'", making->dir);
	}
	making->dir_fd = pl_open_follow(AT_FDCWD, making->dir, O_RDONLY | O_DIRECTORY);
	if (making->dir_fd >= 0)
		return 0;
	return pl_fail_sys(error, making->dir_fd, "cannot open '%s'", making->dir);
}

/* 1: there is a store; 0: there is none, and one may be made. */
static int look_into(const struct making *making, struct pleach_error *error)
{
	struct pl_listing listing = {0};
	bool has_store = false, has_others = false;
	int r = pl_beside_sweep(making->dir_fd); /* I3 */

	if (r == 0)
		r = pl_list(making->dir_fd, &listing);
	if (r < 0)
		return pl_fail_sys(error, r, "cannot read '%s'", making->dir);
	for (size_t i = 0; i < listing.n; i++) {
		const char *name = listing.entries[i].name;

		if (strcmp(name, DIR_NAME) == 0)
			has_store = true;
		else if (!pl_beside_is_name(name)) /* somebody else is at it just now */
			has_others = true;
	}
	pl_listing_done(&listing);
	if (has_store || !has_others || making->force)
		return has_store;
	r = pl_fail(error, PLEACH_FAILED, -ENOTEMPTY, "'%s' is not empty", making->dir);
	pl_hint(error, "--force makes a store beside what is there");
	return r;
}

/* That it is one, and can be opened. */
static int check_existing(const struct making *making, struct pleach_error *error)
{
	struct pl_store *store;
	int r = pl_store_open(making->dir, &store, error);

	if (r < 0)
		return r;
	/* Who made it may have been killed just before. It may also be read-only, or not ours. */
	(void)pl_fsync(making->dir_fd);
	pl_store_close(store);
	return 1;
}

/* ---- what is in a store ---- */

static int make_part(int fd, const char *name, mode_t mode)
{
	int r = pl_mkdir(fd, name, 0700);

	if (r == 0)
		r = pl_chmod_at(fd, name, mode); /* I2 */
	return r < 0 ? r : pl_fsync_at(fd, name);
}

/* Everything below `.pleach`, each synced; then the directory itself. */
static int fill(int fd, const struct pl_values *values)
{
	static const struct {
		const char *name;
		mode_t mode;
	} parts[] = {
		{"objects", 0700}, {"nodes", 0700}, {"trees", 0711}, {"refs", 0755},
		{"tx", 0700},	   {"trash", 0700}, {"cache", 0700},
	};
	PL_BUFFER config = {0};
	int r = pl_store_encode_config(pl_uid(), values, &config);

	for (size_t i = 0; i < PL_ARRAY_LEN(parts) && r == 0; i++)
		r = make_part(fd, parts[i].name, parts[i].mode);
	if (r == 0)
		r = pl_store_make_reserve(fd);
	if (r == 0)
		r = pl_text_write(fd, "config", 0644, &config, true);
	if (r == 0)
		r = pl_chmod(fd, 0755);
	return r < 0 ? r : pl_fsync(fd);
}

/* ---- making it ---- */

static int probe(const struct making *making, struct pleach_error *error)
{
	int r = pl_fs_has_links(making->beside.dir.fd);

	if (r == 0)
		return pl_fail(error, PLEACH_FAILED, -EOPNOTSUPP,
			       "the file system of '%s' has no hard links", making->dir);
	return r < 0 ? pl_fail_sys(error, r, "cannot make a hard link in '%s'", making->dir) : 0;
}

/*
 * On btrfs a subvolume, so that a snapshot of the store can be had (I4). It is a directory for everything
 * else, but that nothing can be linked or renamed into it or out of it.
 */
static int make_store_dir(int beside_fd)
{
	struct pl_fs fs;
	int r = pl_seam_has(PL_CAP_SUBVOLUME) ? pl_fs_probe(beside_fd, &fs) : -EOPNOTSUPP;

	if (r == 0 && strcmp(fs.name, "btrfs") == 0)
		r = pl_subvolume_create(beside_fd, STORE_NAME);
	else
		r = -EOPNOTSUPP;
	if (r < 0)
		r = pl_mkdir(beside_fd, STORE_NAME, 0700);
	return r < 0 ? r : pl_chmod_at(beside_fd, STORE_NAME, 0700); /* I2 */
}

/* 0: it is there now; 1: another one came first. */
static int make_store(const struct making *making)
{
	int beside_fd = making->beside.dir.fd;
	PL_CLOSE int fd = -EBADF;
	int r = make_store_dir(beside_fd);

	if (r < 0)
		return r;
	fd = pl_open_dir(beside_fd, STORE_NAME);
	if (fd < 0)
		return fd;
	r = fill(fd, &making->values);
	if (r < 0)
		return r;
	r = pl_rename_new(beside_fd, STORE_NAME, making->dir_fd, DIR_NAME); /* I1 */
	if (r == -EEXIST)
		return 1;
	return r < 0 ? r : pl_fsync(making->dir_fd);
}

/* The name of DIR itself, where that is new. */
static int sync_parent(const struct making *making)
{
	return making->is_new ? pl_fsync_at(making->dir_fd, "..") : 0;
}

static int make(struct making *making, struct pleach_error *error)
{
	int r = pl_beside_begin(making->dir_fd, &making->beside);

	if (r < 0)
		return pl_fail_sys(error, r, "cannot make a directory in '%s'", making->dir);
	r = probe(making, error);
	if (r == 0) {
		r = make_store(making);
		if (r == 0)
			r = sync_parent(making);
		if (r < 0)
			r = pl_fail_sys(error, r, "cannot make a store in '%s'", making->dir);
	}
	pl_beside_end(&making->beside);
	return r == 1 ? check_existing(making, error) : r;
}

int pl_store_init(const char *dir, const struct pleach_init_options *options,
		  struct pleach_error *error)
{
	struct making making = {.dir = dir, .dir_fd = -EBADF, .beside = PL_BESIDE_NONE};
	int r = read_options(options, &making, error);

	if (r == 0)
		r = open_dir(&making, error);
	if (r == 0)
		r = look_into(&making, error);
	if (r == 1)
		r = check_existing(&making, error);
	else if (r == 0)
		r = make(&making, error);
	if (r < 0 && making.is_new)
		(void)pl_rmdir(AT_FDCWD, dir); /* fails if anything is in it */
	pl_closep(&making.dir_fd);
	pl_values_done(&making.values);
	return r;
}
