/*
 * repairs - stores that something has happened to, for tests of mending them. Header only. Include
 * after cmocka.h.
 */
#ifndef PL_TEST_REPAIRS_H
#define PL_TEST_REPAIRS_H

#include "tx/yard.h"

/* What a check or a repair has to say. */
struct answer {
	int r;
	char *text; /* a line each: "mended|fault|unverified KIND PATH: MESSAGE [HURTS...]" */
	struct pleach_check_counts counts;
	struct pleach_error error;
};

static inline void answer_done(struct answer *a)
{
	free(a->text);
}
#define ANSWER __attribute__((cleanup(answer_done))) struct answer

static inline void tell_finding(FILE *out, const struct pleach_finding *f)
{
	(void)fprintf(out, "%s %s %s: %s",
		      f->is_mended  ? "mended"
		      : f->is_fault ? "fault"
				    : "unverified",
		      f->kind, f->path, f->message);
	for (size_t i = 0; i < f->n_hurts; i++)
		(void)fprintf(out, " [%s@%llu:%s]", f->hurts[i].ref,
			      (unsigned long long)f->hurts[i].generation, f->hurts[i].path);
	(void)putc('\n', out);
}

static inline struct answer ask(struct pleach_store *store,
				const struct pleach_check_options *options)
{
	struct answer a = {.counts = PLEACH_CHECK_COUNTS_INIT, .error = PLEACH_ERROR_INIT};
	struct pleach_finding f = PLEACH_FINDING_INIT;
	struct pleach_report *report = NULL;
	size_t size;
	FILE *out = open_memstream(&a.text, &size);

	if (!out)
		abort();
	a.r = pleach_check(store, options, &a.counts, &report, &a.error);
	while (report && pleach_report_next(report, &f, NULL) == 1)
		tell_finding(out, &f);
	pleach_report_close(report);
	(void)fclose(out);
	return a;
}

static inline struct answer repair_with(const char *path, const char *from, int quick)
{
	struct pleach_check_options options = PLEACH_CHECK_OPTIONS_INIT;
	struct outcome o;
	struct pleach_store *store = open_at(path, &o);
	struct answer a;

	must(&o, "open");
	options.repair = 1;
	options.from = from;
	options.quick = quick;
	a = ask(store, &options);
	pleach_store_close(store);
	return a;
}

static inline struct answer repair(const char *path)
{
	return repair_with(path, NULL, 0);
}

/* ---- where things are ---- */

__attribute__((format(printf, 2, 3))) static inline char *inner(const char *store,
								const char *format, ...)
{
	TEXT *rest = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&rest, format, args) < 0)
		abort();
	va_end(args);
	return text_of("%s/.pleach/%s", store, rest);
}

static inline char *tree_of(const char *store, const char *rev)
{
	struct pleach_revision revision = PLEACH_REVISION_INIT;
	struct outcome o;
	struct pleach_store *opened = open_at(store, &o);

	o.r = pleach_resolve(opened, rev, &revision, &o.error);
	pleach_store_close(opened);
	must(&o, rev);
	return strdup(revision.tree);
}

/* The object of the file that `rev` names. */
static inline char *object_of(const char *store, const char *rev)
{
	struct pleach_entry entry = PLEACH_ENTRY_INIT;
	struct pleach_ls *ls;
	struct outcome o;
	struct pleach_store *opened = open_at(store, &o);
	char *path;

	if (pleach_ls_open(opened, rev, 0, &ls, &o.error) != 0 ||
	    pleach_ls_next(ls, &entry, &o.error) != 1)
		abort();
	path = inner(store, "objects/%.2s/%s", entry.id, entry.id + 2);
	pleach_ls_close(ls);
	pleach_store_close(opened);
	return path;
}

static inline char *node_of(const char *store, const char *id)
{
	return inner(store, "nodes/%.2s/%s", id, id + 2);
}

/* ---- breaking ---- */

/* Other bytes in place, of the same number. */
static inline void scribble(const char *path)
{
	struct stat st;
	int fd;

	if (chmod(path, 0644) < 0)
		abort();
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0 || st.st_size == 0 ||
	    pwrite(fd, "SCRIBBLE", st.st_size < 8 ? (size_t)st.st_size : 8, 0) < 0)
		abort();
	close(fd);
}

static inline void remove_all(const char *path)
{
	yard_remove(path);
}

/* How many files below `path` begin with this. */
static inline unsigned count_content(const char *path, const char *begin)
{
	char copy[YARD_PATH];
	char *const roots[] = {copy, NULL};
	FTS *fts;
	unsigned n = 0;
	FTSENT *e;

	(void)snprintf(copy, sizeof(copy), "%s", path);
	fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	while ((e = fts_read(fts))) {
		char b[16] = "";
		int fd;

		if (e->fts_info != FTS_F)
			continue;
		fd = open(e->fts_accpath, O_RDONLY | O_CLOEXEC);
		if (fd >= 0 && read(fd, b, sizeof(b) - 1) > 0 &&
		    strncmp(b, begin, strlen(begin)) == 0)
			n++;
		if (fd >= 0)
			close(fd);
	}
	(void)fts_close(fts);
	return n;
}

#endif
