/*
 * pleach_config_*(): settings, of a store and of its refs.
 *
 * C1  All changes of settings go one after the other, under an exclusive lock on cache/settings-lock: each
 *     reads what is there, changes one key, and puts a whole text in its place. The lock is a held
 *     descriptor, so a dead writer leaves none; the file may be deleted at any time, since it is
 *     looked at again once it is locked.
 * C2  No change is written that leaves the store, or any ref, with settings that do not go together:
 *     nobody could open it any more.
 */
#include <fcntl.h>
#include <stdlib.h>

#include "api/inner.h"

#define LOCK_NAME      "settings-lock"
#define TIMEOUT_MS     60000
#define MAX_SIZE_LEAST (UINT64_C(4) << 20) /* an empty store has a reserve, and some directories */
#define TRIES	       100

/* ---- listing ---- */

struct pleach_config {
	struct pl_store *store;
	struct pl_ref ref;
	bool has_ref;
	size_t at;
};

int pleach_config_open(struct pleach_store *store, const char *ref,
		       struct pleach_config **ret_config, struct pleach_error *error)
{
	struct pleach_config *config = calloc(1, sizeof(*config));
	int r;

	pl_assert(store && ret_config);
	if (!config)
		return pl_fail_memory(error);
	config->store = store->inner;
	if (ref) {
		r = pl_ref_open(store->inner, ref, &config->ref, error);
		if (r < 0) {
			free(config);
			return r;
		}
		config->has_ref = true;
	}
	*ret_config = config;
	return 0;
}

/* Of a key that is not set. The default of `share` depends on the metadata rule. */
static const char *default_of(const struct pleach_config *config, const struct pl_setting_key *key)
{
	const struct pl_settings *settings =
		config->has_ref ? &config->ref.settings : &config->store->settings;

	if (strcmp(key->name, "share") == 0)
		return settings->share == PL_SHARE_CONTENT ? "content" : "names";
	return key->fallback;
}

int pleach_config_next(struct pleach_config *config, struct pleach_setting *setting,
		       struct pleach_error *error)
{
	struct pleach_setting s = PLEACH_SETTING_INIT;
	const struct pl_setting_key *key;

	pl_assert(config && setting);
	(void)error; /* all of it was read already */
	if (config->at >= pl_setting_keys_n)
		return 0;
	key = &pl_setting_keys[config->at++];
	s.key = key->name;
	s.meaning = key->meaning;
	s.where = "ref";
	if (config->has_ref)
		s.value = pl_values_get(&config->ref.values, key->name);
	if (!s.value) {
		s.where = "store";
		s.value = pl_values_get(&config->store->values, key->name);
	}
	if (!s.value) {
		s.where = "default";
		s.value = default_of(config, key);
	}
	PL_GIVE(setting, s);
	return 1;
}

void pleach_config_close(struct pleach_config *config)
{
	if (!config)
		return;
	if (config->has_ref)
		pl_ref_close(&config->ref);
	free(config);
}

/* ---- setting ---- */

/* C1. The descriptor is the lock. */
static int lock_settings(struct pl_store *store, int *ret_fd, struct pleach_error *error)
{
	int r = 0;

	for (unsigned i = 0; i < TRIES; i++) {
		PL_CLOSE int fd = pl_open_or_create(store->cache_fd, LOCK_NAME, O_RDWR, 0600);

		if (fd < 0)
			return pl_fail_sys(error, fd, "cannot lock the settings of '%s'",
					   store->path);
		r = pl_lock_wait(fd, PL_LOCK_EXCLUSIVE, TIMEOUT_MS, &store->cancelled);
		if (r == 0)
			return pl_fail(error, PLEACH_BUSY, -EBUSY,
				       "the settings of '%s' are being changed by another command",
				       store->path);
		if (r > 0)
			r = pl_lock_is_current(fd, store->cache_fd, LOCK_NAME);
		if (r < 0 && r != -ENOENT)
			return pl_fail_sys(error, r, "cannot lock the settings of '%s'",
					   store->path);
		if (r > 0) {
			*ret_fd = pl_take_fd(&fd);
			return 0;
		}
	}
	return pl_fail(error, PLEACH_BUSY, -EBUSY, "the cache of '%s' is deleted again and again",
		       store->path);
}

/* C2: would every ref still have settings that go together? `self`: the values of the store. */
static int check_ref(void *self, struct pl_ref *ref, struct pleach_error *error)
{
	struct pl_settings settings;
	int r = pl_settings_resolve(self, &ref->values, &settings, error);

	if (r < 0)
		pl_error_prefix(error, "ref '%s'", ref->name);
	return r;
}

/* The values as they are on disk now: the handle may have been opened long ago. */
static int reread(struct pl_store *store, struct pl_store **ret_fresh, struct pleach_error *error)
{
	struct pl_store *fresh;
	struct stat a, b;
	int r = pl_store_open(store->path, &fresh, error);

	if (r < 0)
		return r;
	r = pl_fstat(store->fd, &a);
	if (r >= 0)
		r = pl_fstat(fresh->fd, &b);
	if (r < 0 || !pl_same_inode(&a, &b)) {
		pl_store_close(fresh);
		return pl_fail_not_found(error, "the store that was opened is not in '%s' any more",
					 store->path);
	}
	*ret_fresh = fresh;
	return 0;
}

static int copy_values(const struct pl_values *from, struct pl_values *ret_values)
{
	struct pl_values copy = {0};

	for (size_t i = 0; i < from->keys.n; i++) {
		int r = pl_values_set(&copy, from->keys.items[i], from->values.items[i], NULL);

		if (r < 0) {
			pl_values_done(&copy);
			return r;
		}
	}
	*ret_values = copy;
	return 0;
}

/* Under the lock. On success the handle knows the new values. */
static int set_in_store(struct pl_store *store, struct pl_store *fresh, const char *key,
			const char *value, struct pleach_error *error)
{
	struct pl_values changed;
	struct pl_values old;
	int r = copy_values(&fresh->values, &changed);

	if (r < 0)
		return pl_fail_memory(error);
	r = pl_values_set(&changed, key, value, error);
	if (r >= 0)
		r = pl_ref_each(fresh, check_ref, &changed, error);
	if (r < 0) {
		pl_values_done(&changed);
		return r;
	}
	pl_values_done(&fresh->values);
	fresh->values = changed;
	r = pl_store_write_config(fresh, error);
	if (r < 0)
		return r;
	old = store->values;
	store->values = fresh->values;
	fresh->values = old;
	store->settings = fresh->settings;
	return 0;
}

static int set_in_ref(struct pl_store *fresh, const char *name, const char *key, const char *value,
		      struct pleach_error *error)
{
	struct pl_settings settings;
	struct pl_ref ref;
	int r = pl_ref_open(fresh, name, &ref, error);

	if (r < 0)
		return r;
	r = pl_ref_lock(&ref, TIMEOUT_MS, error);
	if (r >= 0)
		r = pl_values_set(&ref.values, key, value, error);
	if (r >= 0)
		r = pl_settings_resolve(&fresh->values, &ref.values, &settings, error); /* C2 */
	if (r >= 0)
		r = pl_ref_write_config(&ref, error);
	pl_ref_close(&ref);
	return r;
}

/* What is a value, and can be none here. Records that have it stay readable: it is refused when it is set. */
static int check_max_size(const char *ref, const char *value, struct pleach_error *error)
{
	uint64_t bytes;
	int r = 0;

	if (ref) {
		r = pl_fail_usage(error, "max-size is of the whole store, not of a ref");
		pl_hint(error,
			"set it without --ref; what a ref keeps is said by keep and its kin");
	} else if (pl_parse_size(value, &bytes) == 0 && bytes < MAX_SIZE_LEAST) {
		r = pl_fail_usage(error, "max-size=%s is less than an empty store takes", value);
		pl_hint(error, "4M at least; pleach du says what this store takes");
	}
	return r;
}

int pleach_config_set(struct pleach_store *store, const char *ref, const char *key,
		      const char *value, struct pleach_error *error)
{
	PL_CLOSE int lock = -EBADF;
	struct pl_store *fresh = NULL;
	int r;

	pl_assert(store && key);
	r = pl_store_must_write(store->inner, error);
	if (r >= 0 && value && strcmp(key, "max-size") == 0)
		r = check_max_size(ref, value, error);
	if (r >= 0)
		r = lock_settings(store->inner, &lock, error);
	if (r >= 0)
		r = reread(store->inner, &fresh, error);
	if (r < 0)
		return r;
	pl_assert(fresh);
	r = ref ? set_in_ref(fresh, ref, key, value, error)
		: set_in_store(store->inner, fresh, key, value, error);
	pl_store_close(fresh);
	return r;
}
