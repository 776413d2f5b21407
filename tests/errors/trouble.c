/* trouble - see trouble.h. */
#include "errors/trouble.h"

/* UTF-8, printable. */
static bool is_text(const char *s)
{
	while (*s) {
		unsigned char c = (unsigned char)*s++;
		unsigned more = c < 0x80 ? 0 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;

		if (c < 0x20 || c == 0x7f || (c >= 0x80 && c < 0xc2) || c > 0xf4)
			return false;
		for (; more > 0; more--)
			if (((unsigned char)*s++ & 0xc0) != 0x80)
				return false;
	}
	return true;
}

/* The hexadecimal digits of an id, of a tree, an object, or a transaction. */
static bool names_id(const char *s)
{
	for (; *s; s++)
		if (strspn(s, "0123456789abcdef") >= 24)
			return true;
	return false;
}

/* A path, a name in quotes, or an id. */
static bool names_something(const struct pleach_error *error)
{
	return error->path[0] || strchr(error->message, '/') || strchr(error->message, '\'') ||
	       names_id(error->message);
}

/* What is not about any place. */
static bool is_nowhere(const char *message)
{
	size_t n = strlen(message);

	return strcmp(message, "out of memory") == 0 || strcmp(message, "interrupted") == 0 ||
	       (n > 12 && strcmp(message + n - 12, "faults found") == 0) || /* a report has them */
	       strcmp(message, "1 fault found") == 0;
}

static enum pleach_code code_of(const struct fault *fault, const char *message)
{
	if (strncmp(message, "published '", 11) == 0 &&
	    (fault->err != EINTR || strstr(message, "durability unknown")))
		return PLEACH_FAILED; /* nobody shall try again */
	switch (fault->err) {
	case ENOSPC:
	case EDQUOT:
		return PLEACH_NO_SPACE;
	case EINTR:
		return PLEACH_INTERRUPTED;
	default:
		return PLEACH_FAILED;
	}
}

char *trouble_by_message(int r, const struct pleach_error *error, const struct fault *fault)
{
	if (r >= 0)
		return NULL;
	if (error->code == PLEACH_OK || error->message[0] == '\0' || error->err == 0)
		return text_of("failed and did not say why: %d '%s'", r, error->message);
	if (!is_text(error->message) || !is_text(error->hint) || strstr(error->message, "(null)"))
		return text_of("garbage: '%s', '%s'", error->message, error->hint);
	if (fault->err && error->err == fault->err && error->code != code_of(fault, error->message))
		return text_of("code %d: %s", (int)error->code, error->message);
	if (!names_something(error) && !is_nowhere(error->message))
		return text_of("says not where: %s", error->message);
	return NULL;
}

static char *collect(const char *store)
{
	struct pleach_gc_result result = PLEACH_GC_RESULT_INIT;
	struct outcome o;
	struct pleach_store *opened = open_at(store, &o);

	if (opened)
		o.r = pleach_gc(opened, NULL, &result, NULL, &o.error);
	pleach_store_close(opened);
	if (o.r != 0 || !result.is_complete)
		return text_of("gc answers %d: %s", o.r, o.error.message);
	return NULL;
}

char *trouble_by_collection(const struct matrix *m, const char *store)
{
	TEXT *trouble = collect(store);
	TEXT *tx = names_in(store, "tx");
	TEXT *trash = names_in(store, "trash");
	TEXT *pool = pool_of(store);
	TEXT *found = trouble ? NULL : trouble_by_check(store, 0);

	if (trouble || found)
		return text_of("%s", trouble ? trouble : found);
	if (tx[0] ||
	    (trash[0] && strcmp(trash, "batch collector ") != 0 && strcmp(trash, "batch ") != 0))
		return text_of("gc leaves in tx/: %s, in trash/: %s", tx, trash);
	if (m->pool && strcmp(pool, m->pool) != 0)
		return text_of("gc leaves\n%snot\n%s", pool, m->pool);
	return trouble_by_locks(store);
}

char *trouble_by_leftovers(const char *store)
{
	TEXT *dir = text_of("%.*s", (int)(strlen(store) - 2), store);
	char *const roots[] = {dir, NULL};
	FTS *fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	char *trouble = NULL;
	FTSENT *e;

	while (!trouble && (e = fts_read(fts))) {
		if (strncmp(e->fts_name, ".pleach-", 8) == 0)
			trouble = text_of("left: %s", e->fts_path);
		if (strcmp(e->fts_name, ".pleach") == 0)
			(void)fts_set(fts, e, FTS_SKIP);
	}
	(void)fts_close(fts);
	return trouble;
}

char *trouble_by_always(const struct matrix *m, const char *store)
{
	TEXT *now = m->trial->always ? m->trial->always(store) : NULL;

	return now && m->always && strcmp(now, m->always) != 0 ? text_of("now it is\n%s", now)
							       : NULL;
}
