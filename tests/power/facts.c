/*
 * facts.c - reads the layout as docs/format.md has it. A ref whose last record says that it was dropped is none,
 * whatever is left of it.
 */
#include <nettle/sha2.h>

#include "tx/yard.h"

#include "power/facts.h"

static void short_hash(const void *data, size_t size, char ret_text[17])
{
	struct sha256_ctx hash;
	uint8_t digest[8];

	sha256_init(&hash);
	sha256_update(&hash, size, data);
	sha256_digest(&hash, sizeof(digest), digest);
	for (size_t i = 0; i < sizeof(digest); i++)
		(void)snprintf(ret_text + 2 * i, 3, "%02x", digest[i]);
}

__attribute__((format(printf, 4, 5))) static void add(struct facts *f, const char *kind,
						      const char *name, const char *format, ...)
{
	struct fact *fact = &f->all[f->n];
	va_list args;

	if (f->n >= FACTS_MAX)
		abort();
	f->n++;
	(void)snprintf(fact->key, sizeof(fact->key), "%s %.60s", kind, name);
	va_start(args, format);
	(void)vsnprintf(fact->value, sizeof(fact->value), format, args);
	va_end(args);
}

const char *facts_value(const struct facts *facts, const char *key)
{
	for (size_t i = 0; i < facts->n; i++)
		if (strcmp(facts->all[i].key, key) == 0)
			return facts->all[i].value;
	return NULL;
}

/* A file's bytes with a NUL behind; NULL if there is none. */
static char *text_in(const char *path)
{
	FILE *in = fopen(path, "re"), *out;
	char *text = NULL;
	size_t size;
	int c;

	if (!in)
		return NULL;
	out = open_memstream(&text, &size);
	if (!out)
		abort();
	while ((c = getc(in)) != EOF)
		(void)putc(c, out);
	(void)fclose(out);
	(void)fclose(in);
	return text;
}

/* Each name in a directory, as scandir sorts them. */
static int list(const char *path, struct dirent ***ret_entries)
{
	int n = scandir(path, ret_entries, NULL, alphasort);

	return n < 0 ? 0 : n;
}

static void unlist(struct dirent **entries, int n)
{
	for (int i = 0; i < n; i++)
		free(entries[i]);
	if (n > 0)
		free(entries);
}

/* As fingerprint(), without times of directories and without which names are one file. */
static void add_plainly(FILE *out, const FTSENT *e, size_t skip, struct seen *seen, size_t *n)
{
	const struct stat *st = e->fts_statp;

	(void)seen;
	(void)n;
	/* What a killed dedup leaves, the next one removes. */
	if (!S_ISREG(st->st_mode) || strstr(e->fts_path + skip, ".pleach-"))
		return;
	(void)fprintf(out, "%s %o %lld.%09ld ", e->fts_path + skip, st->st_mode,
		      (long long)st->st_mtim.tv_sec, st->st_mtim.tv_nsec);
	add_content(out, e->fts_accpath);
	(void)putc('\n', out);
}

static void add_tree(struct facts *f, const char *kind, const char *name, const char *path,
		     bool plainly)
{
	TEXT *tree = plainly ? told_by(path, add_plainly) : fingerprint(path);
	char hash[17];

	short_hash(tree, strlen(tree), hash);
	add(f, kind, name, "%s", hash);
}

/* The records 1, 2, ... of a ref, one behind the other; how many, and whether the last one drops it. */
static char *records_of(const char *ref_dir, unsigned *ret_n, bool *ret_is_dropped)
{
	char *all = text_of("%s", "");

	*ret_n = 0;
	*ret_is_dropped = false;
	for (;;) {
		TEXT *path = text_of("%s/gen/%u", ref_dir, *ret_n + 1);
		TEXT *text = text_in(path);
		char *more;

		if (!text)
			return all;
		++*ret_n;
		*ret_is_dropped = strstr(text, "\nkind dropped\n") != NULL;
		more = text_of("%s%s", all, text);
		free(all);
		all = more;
	}
}

/* What the public path shows; and that this was recorded. */
static void add_public(struct facts *f, const char *store, const char *ref, const char *records)
{
	TEXT *link = text_of("%s/.pleach/refs/%s/public/tree", store, ref);
	TEXT *path = text_of("%s/%s", store, ref);
	char target[512];
	ssize_t n = readlink(link, target, sizeof(target) - 1);
	char *id;

	if (n < 0)
		return;
	target[n] = '\0';
	id = strstr(target, "/trees/");
	if (!id || strlen(id) < 7 + 64) {
		(void)snprintf(f->trouble, sizeof(f->trouble), "'%s' leads to %.200s", ref, target);
		return;
	}
	id[7 + 64] = '\0';
	if (!strstr(records, id + 7))
		(void)snprintf(f->trouble, sizeof(f->trouble),
			       "'%s' shows %.16s, which no generation has", ref, id + 7);
	if (readlink(path, target, sizeof(target)) >= 0)
		add_tree(f, "public", ref, path, false);
}

static void add_names(struct facts *f, const char *kind, const char *ref, const char *ref_dir)
{
	TEXT *path = text_of("%s/%s", ref_dir, kind);
	struct dirent **entries;
	int n = list(path, &entries);

	for (int i = 0; i < n; i++) {
		TEXT *file = text_of("%s/%s", path, entries[i]->d_name);
		TEXT *name = text_of("%s/%.20s", ref, entries[i]->d_name);
		TEXT *text = NULL;
		char hash[17];

		if (entries[i]->d_name[0] == '.')
			continue;
		text = text_in(file);
		short_hash(text ? text : "", text ? strlen(text) : 0, hash);
		add(f, kind, name, "%s", hash);
	}
	unlist(entries, n);
}

static void add_ref(struct facts *f, const char *store, const char *ref)
{
	TEXT *dir = text_of("%s/.pleach/refs/%s", store, ref);
	TEXT *config = text_of("%s/config", dir);
	TEXT *settings = text_in(config);
	bool is_dropped;
	unsigned n;
	TEXT *records = records_of(dir, &n, &is_dropped);
	char hash[17];

	if (settings) {
		short_hash(settings, strlen(settings), hash);
		add(f, "settings", ref, "%s", hash);
	}
	if (n == 0 || is_dropped)
		return;
	short_hash(records, strlen(records), hash);
	add(f, "ref", ref, "%u generations %s", n, hash);
	add_public(f, store, ref, records);
	add_names(f, "dropped", ref, dir);
	add_names(f, "tags", ref, dir);
	add_names(f, "attached", ref, dir);
}

/* Transactions that are parked. What they hold is a fact only while nobody works in them ("~"). */
static void add_parked(struct facts *f, const char *store)
{
	TEXT *path = text_of("%s/.pleach/tx", store);
	struct dirent **entries;
	int n = list(path, &entries);

	for (int i = 0; i < n; i++) {
		TEXT *note = text_of("%s/%s/parked", path, entries[i]->d_name);
		TEXT *text = entries[i]->d_name[0] == '.' ? NULL : text_in(note);
		TEXT *tree = text_of("%s/%s", path, entries[i]->d_name);

		if (!text)
			continue;
		add(f, "parked", entries[i]->d_name, "yes");
		add_tree(f, "~workspace", entries[i]->d_name, tree, false);
	}
	unlist(entries, n);
}

static void add_beside(struct facts *f, const char *dir, const char *name)
{
	TEXT *path = text_of("%s/%s", dir, name);
	char target[512], hash[17];
	ssize_t n = readlink(path, target, sizeof(target));

	if (n >= 0) {
		short_hash(target, (size_t)n, hash);
		add(f, "beside", name, "-> %s", hash);
	} else {
		add_tree(f, "beside", name, path, strncmp(name, "loose", 5) == 0);
	}
}

/* Names in `dir`, but for those of refs, which are symlinks that are told with them, and our noise. */
static void add_all_beside(struct facts *f, const char *dir)
{
	struct dirent **entries;
	int n = list(dir, &entries);

	for (int i = 0; i < n; i++) {
		const char *name = entries[i]->d_name;

		if (name[0] != '.' && strcmp(name, "store") != 0 &&
		    strcmp(name, "lost+found") != 0 && strcmp(name, "noise") != 0 &&
		    strcmp(name, "site") != 0 && strcmp(name, "other") != 0)
			add_beside(f, dir, name);
	}
	unlist(entries, n);
}

void facts_collect(const char *root, struct facts *ret_facts)
{
	TEXT *store = text_of("%s/store", root);
	TEXT *refs = text_of("%s/.pleach/refs", store);
	TEXT *config = text_of("%s/.pleach/config", store);
	TEXT *settings = text_in(config);
	struct dirent **entries;
	char hash[17];
	int n;

	*ret_facts = (struct facts){0};
	if (settings) {
		short_hash(settings, strlen(settings), hash);
		add(ret_facts, "store", "config", "%s", hash);
	}
	n = list(refs, &entries);
	for (int i = 0; i < n; i++)
		if (entries[i]->d_name[0] != '.')
			add_ref(ret_facts, store, entries[i]->d_name);
	unlist(entries, n);
	add_parked(ret_facts, store);
	add_all_beside(ret_facts, root);
	add_all_beside(ret_facts, store);
}
