/*
 * The settings: the table of all keys, values as they were set, and what they come to. Where values
 * are kept (config of the store, config of a ref) is not known here; only how they stand in a text.
 *
 * V1  Values are sorted by key, no key twice, each value valid for its key: pl_values_set() lets no
 *     other in, so that what is resolved later cannot fail to parse.
 */
#include <stdlib.h>

#include "ref/ref.h"

#define ALL	UINT64_MAX /* of `keep` */
#define KEY_MAX 31	   /* bytes; longer ones are none of the table */

/* ---- what is a value ---- */

static int parse_number(const char *value, uint64_t *ret_number)
{
	return pl_parse_u64(value, UINT64_MAX - 1, ret_number);
}

static int validate_number(const char *value)
{
	uint64_t number;

	return parse_number(value, &number);
}

static int parse_keep(const char *value, uint64_t *ret_keep)
{
	if (strcmp(value, "all") != 0)
		return parse_number(value, ret_keep);
	*ret_keep = ALL;
	return 0;
}

static int validate_keep(const char *value)
{
	uint64_t keep;

	return parse_keep(value, &keep);
}

static int validate_duration(const char *value)
{
	uint64_t ms;

	return pl_parse_duration(value, &ms);
}

static int validate_size(const char *value)
{
	uint64_t bytes;

	return pl_parse_size(value, &bytes);
}

/* The index of `value` in `words`, which NULL ends. */
static int parse_word(const char *value, const char *const *words)
{
	for (int i = 0; words[i]; i++) {
		if (strcmp(value, words[i]) == 0)
			return i;
	}
	return -EINVAL;
}

static const char *const recycle_words[] = {"move", "edit", "off", NULL};
static const char *const share_words[] = {"names", "content", NULL};
static const char *const durability_words[] = {"full", "none", NULL};
static const char *const switch_words[] = {"on", "off", NULL};
_Static_assert(PL_RECYCLE_MOVE == 0 && PL_RECYCLE_EDIT == 1 && PL_RECYCLE_OFF == 2, "as the words");
_Static_assert(PL_SHARE_NAMES == 0 && PL_SHARE_CONTENT == 1, "as the words");

static int validate_word(const char *value, const char *const *words)
{
	int r = parse_word(value, words);

	return r < 0 ? r : 0;
}

static int validate_recycle(const char *value)
{
	return validate_word(value, recycle_words);
}

static int validate_share(const char *value)
{
	return validate_word(value, share_words);
}

static int validate_durability(const char *value)
{
	return validate_word(value, durability_words);
}

static int validate_switch(const char *value)
{
	return validate_word(value, switch_words);
}

static int validate_metadata(const char *value)
{
	enum pl_rule rule;

	return pl_rule_parse(value, &rule);
}

/* One of `merge`: GLOB:POLICY. A glob may hold colons; the policy stands behind the last. */
static bool is_merge_rule(const char *rule, size_t length)
{
	static const char *const policies[] = {"fail", "append", "ours", "theirs", "ignore"};
	const char *colon = memrchr(rule, ':', length);
	size_t rest;

	/* Rules are parted by blanks; with commas all but the last would be of a glob that matches nothing. */
	if (!colon || colon == rule || memchr(rule, ',', (size_t)(colon - rule)))
		return false;
	rest = length - (size_t)(colon + 1 - rule);
	for (size_t i = 0; i < PL_ARRAY_LEN(policies); i++) {
		if (strlen(policies[i]) == rest && memcmp(policies[i], colon + 1, rest) == 0)
			return true;
	}
	return false;
}

/* With blanks between, and at least one. */
static int validate_merge(const char *value)
{
	int n = 0;

	for (value += strspn(value, " "); *value; value += strspn(value, " ")) {
		size_t length = strcspn(value, " ");

		if (!is_merge_rule(value, length))
			return -EINVAL;
		value += length;
		n++;
	}
	return n > 0 ? 0 : -EINVAL;
}

/* ---- the table ---- */

const struct pl_setting_key pl_setting_keys[] = {
	{"keep", "all",
	 "generations kept at least, newest first: a number, or all; only with a number does gc "
	 "drop "
	 "those that nothing else keeps",
	 validate_keep},
	{"keep-for", "", "also kept, once keep is a number: generations younger than this",
	 validate_duration},
	{"keep-hourly", "",
	 "also kept, once keep is a number: the newest of each of the last N hours (UTC)",
	 validate_number},
	{"keep-daily", "",
	 "also kept, once keep is a number: the newest of each of the last N days (UTC)",
	 validate_number},
	{"keep-weekly", "",
	 "also kept, once keep is a number: the newest of each of the last N weeks (UTC)",
	 validate_number},
	{"keep-monthly", "",
	 "also kept, once keep is a number: the newest of each of the last N months (UTC)",
	 validate_number},
	{"keep-placed", "2", "newest generations that stay placed", validate_number},
	{"spares", "4", "retired placed trees kept for recycling, at most", validate_number},
	{"grace", "5m", "how long a replaced generation stays whole for unpinned readers",
	 validate_duration},
	{"recycle", "move",
	 "new trees are laid out from retired ones: move (what did not change), edit (only with "
	 "grace=0), off",
	 validate_recycle},
	{"metadata", "exact", "what is kept of files: exact, portable or canonical",
	 validate_metadata},
	{"share", "names",
	 "inodes in placed trees: names (one a name), content (equal files share one; the default "
	 "for portable and canonical)",
	 validate_share},
	{"merge", "", "what becomes of conflicts: GLOB:POLICY, blanks between", validate_merge},
	{"max-size", "",
	 "bytes of the disk that the store may take; gc then drops what was replaced or used "
	 "longest "
	 "ago, whatever keep says, but no heads, tags, or what is pinned or within its grace",
	 validate_size},
	{"durability", "full", "full, or none: a power cut may then cost the store",
	 validate_durability},
	{"auto-gc", "on",
	 "collect after publishing, when it is worth it, for a second at most: on or off",
	 validate_switch},
	{"synced", "",
	 "when the last 'pleach sync' that succeeded began, in seconds since 1970; sync sets it",
	 validate_number},
};
const size_t pl_setting_keys_n = PL_ARRAY_LEN(pl_setting_keys);

static const struct pl_setting_key *find_key(const char *name)
{
	for (size_t i = 0; i < pl_setting_keys_n; i++) {
		if (strcmp(pl_setting_keys[i].name, name) == 0)
			return &pl_setting_keys[i];
	}
	return NULL;
}

/* ---- values ---- */

void pl_values_done(struct pl_values *values)
{
	pl_strings_done(&values->keys);
	pl_strings_done(&values->values);
}

/* Where `key` is; or, and then *ret_found is false, where it belongs. */
static size_t place_of(const struct pl_values *values, const char *key, bool *ret_found)
{
	size_t i = 0;
	int order = 1;

	pl_assert(values->keys.n == values->values.n);
	while (i < values->keys.n && (order = strcmp(values->keys.items[i], key)) < 0)
		i++;
	*ret_found = i < values->keys.n && order == 0;
	return i;
}

const char *pl_values_get(const struct pl_values *values, const char *key)
{
	bool found;
	size_t i = place_of(values, key, &found);

	return found ? values->values.items[i] : NULL;
}

/* Moves the last string to place `at`. */
static void sink_last(struct pl_strings *s, size_t at)
{
	char *last = s->items[s->n - 1];

	pl_assert(at < s->n);
	memmove(s->items + at + 1, s->items + at, (s->n - 1 - at) * sizeof(s->items[0]));
	s->items[at] = last;
}

static void remove_at(struct pl_strings *s, size_t at)
{
	pl_assert(at < s->n);
	free(s->items[at]);
	memmove(s->items + at, s->items + at + 1,
		(s->n - at) * sizeof(s->items[0])); /* and the NULL */
	s->n--;
}

static int insert(struct pl_values *values, size_t at, const char *key, const char *value)
{
	int r = pl_strings_add(&values->keys, key);

	if (r < 0)
		return r;
	r = pl_strings_add(&values->values, value);
	if (r < 0) {
		remove_at(&values->keys, values->keys.n - 1);
		return r;
	}
	sink_last(&values->keys, at);
	sink_last(&values->values, at);
	return 0;
}

static int replace(struct pl_values *values, size_t at, const char *value)
{
	char *copy = strdup(value);

	if (!copy)
		return -ENOMEM;
	pl_assert(values->values.items && at < values->values.n);
	free(values->values.items[at]);
	values->values.items[at] = copy;
	return 0;
}

int pl_values_set(struct pl_values *values, const char *key, const char *value,
		  struct pleach_error *error)
{
	const struct pl_setting_key *known = find_key(key);
	bool found;
	size_t at;
	int r;

	if (!known) {
		r = pl_fail_usage(error, "there is no setting '%s'", key);
		pl_hint(error, "list them with: pleach config");
		return r;
	}
	r = value ? known->validate(value) : 0;
	if (r < 0) {
		r = pl_fail_usage(error, "'%s' is not a value for setting '%s'", value, key);
		pl_hint(error, "%s: %s", key, known->meaning);
		return r;
	}
	at = place_of(values, key, &found);
	if (!value && found) {
		remove_at(&values->keys, at);
		remove_at(&values->values, at);
	}
	if (value)
		r = found ? replace(values, at, value) : insert(values, at, key, value); /* V1 */
	pl_assert(values->keys.n == values->values.n);
	return r < 0 ? pl_fail_memory(error) : 0;
}

/* ---- values in a text ---- */

void pl_values_add_to_text(const struct pl_values *values, struct pl_buffer *b)
{
	for (size_t i = 0; i < values->keys.n; i++) {
		PL_BUFFER line = {0};
		const char *string;

		pl_buffer_add_format(&line, "%s %s", values->keys.items[i],
				     values->values.items[i]);
		string = pl_buffer_string(&line);
		if (string)
			pl_text_add(b, "set", string);
		else
			b->failed = true;
	}
}

/* Not passed over: it may be one that keeps things. */
static int fail_unknown(const char *set, struct pleach_error *error)
{
	return pl_fail_corrupt(error, "setting '%s' is not one that is known here", set);
}

/* One "KEY VALUE", from outside. */
static int read_value(struct pl_values *values, const char *set, struct pleach_error *error)
{
	const char *space = strchr(set, ' ');
	const char *previous = values->keys.n > 0 ? values->keys.items[values->keys.n - 1] : "";
	char key[KEY_MAX + 1] = "";
	size_t length;
	int r;

	if (!space)
		return pl_fail_corrupt(error, "setting '%s' has no value", set);
	length = (size_t)(space - set);
	if (length > KEY_MAX)
		return fail_unknown(set, error);
	memcpy(key, set, length);
	if (strcmp(previous, key) >= 0)
		return pl_fail_corrupt(error, "setting '%s' is out of order", key);
	r = pl_values_set(values, key, space + 1, NULL);
	if (r == -ENOMEM)
		return pl_fail_memory(error);
	return r < 0 ? fail_unknown(set, error) : 0;
}

int pl_values_read_text(struct pl_text *text, struct pl_values *ret_values,
			struct pleach_error *error)
{
	struct pl_values values = {0};
	const char *set;
	int r = 0;

	while (r == 0 && (set = pl_text_next(text, "set")))
		r = read_value(&values, set, error);
	if (r < 0) {
		pl_values_done(&values);
		return r;
	}
	*ret_values = values;
	return 0;
}

/* ---- what they come to ---- */

static const char *effective(const struct pl_values *store, const struct pl_values *ref,
			     const char *key)
{
	const char *value = ref ? pl_values_get(ref, key) : NULL;

	if (!value && store)
		value = pl_values_get(store, key);
	return value;
}

static const char *effective_or_default(const struct pl_values *store, const struct pl_values *ref,
					const char *key)
{
	const char *value = effective(store, ref, key);
	const struct pl_setting_key *known = find_key(key);

	pl_assert(known);
	return value ? value : known->fallback;
}

/* The number that is set; 0 where none is. */
static uint64_t number_of(const struct pl_values *store, const struct pl_values *ref,
			  const char *key, int (*parse)(const char *value, uint64_t *ret))
{
	const char *value = effective(store, ref, key);
	uint64_t number = 0;
	int r = value ? parse(value, &number) : 0;

	pl_assert(r == 0); /* V1 */
	return number;
}

static void resolve_retention(const struct pl_values *store, const struct pl_values *ref,
			      struct pl_settings *s)
{
	int r = parse_keep(effective_or_default(store, ref, "keep"), &s->keep);

	pl_assert(r == 0);
	s->keep_for_ms = number_of(store, ref, "keep-for", pl_parse_duration);
	s->keep_hourly = number_of(store, ref, "keep-hourly", parse_number);
	s->keep_daily = number_of(store, ref, "keep-daily", parse_number);
	s->keep_weekly = number_of(store, ref, "keep-weekly", parse_number);
	s->keep_monthly = number_of(store, ref, "keep-monthly", parse_number);
	s->max_size = store && pl_values_get(store, "max-size")
			      ? number_of(store, NULL, "max-size", pl_parse_size)
			      : UINT64_MAX;
}

/* Each parses, since it was let in (V1), or is a default. */
static void resolve_numbers(const struct pl_values *store, const struct pl_values *ref,
			    struct pl_settings *s)
{
	int r = parse_number(effective_or_default(store, ref, "keep-placed"), &s->keep_placed);

	pl_assert(r == 0);
	r = parse_number(effective_or_default(store, ref, "spares"), &s->spares);
	pl_assert(r == 0);
	r = pl_parse_duration(effective_or_default(store, ref, "grace"), &s->grace_ms);
	pl_assert(r == 0);
}

static void resolve_words(const struct pl_values *store, const struct pl_values *ref,
			  struct pl_settings *s)
{
	const char *share = effective(store, ref, "share");
	int word, r = pl_rule_parse(effective_or_default(store, ref, "metadata"), &s->metadata);

	pl_assert(r == 0);
	word = parse_word(effective_or_default(store, ref, "recycle"), recycle_words);
	pl_assert(word >= 0);
	s->recycle = (enum pl_recycle)word;
	if (share) {
		word = parse_word(share, share_words);
		pl_assert(word >= 0);
		s->share = (enum pl_share)word;
	} else {
		s->share = s->metadata == PL_RULE_EXACT ? PL_SHARE_NAMES : PL_SHARE_CONTENT;
	}
	s->durable = strcmp(effective_or_default(store, ref, "durability"), "full") == 0;
	s->auto_gc = strcmp(effective_or_default(store, ref, "auto-gc"), "on") == 0;
}

int pl_settings_resolve(const struct pl_values *store, const struct pl_values *ref,
			struct pl_settings *ret_settings, struct pleach_error *error)
{
	struct pl_settings s = {0};

	resolve_retention(store, ref, &s);
	resolve_numbers(store, ref, &s);
	resolve_words(store, ref, &s);
	if (s.recycle == PL_RECYCLE_EDIT && s.grace_ms != 0) {
		int r = pl_fail_usage(error, "recycle=edit needs grace=0, but grace is %s",
				      effective_or_default(store, ref, "grace"));

		pl_hint(error, "edit changes what readers without a pin may still look at");
		return r;
	}
	*ret_settings = s;
	return 0;
}
