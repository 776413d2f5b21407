/*
 * pleach_gc(), pleach_why(): collecting what nobody needs, and why the rest stays.
 */
#include "gc/gc.h"
#include "api/inner.h"

struct collection {
	struct pl_store *store;
	const struct pleach_gc_options *options;
	struct pleach_gc_result result;
	struct pl_findings findings;
};

static int run(struct collection *c, struct pleach_error *error)
{
	int r = c->options->dry_run ? pl_store_must_read(c->store, error)
				    : pl_store_must_write(c->store, error);

	if (r < 0)
		return r;
	return pl_gc_collect(c->store, c->options, 0, &c->result, &c->findings, error);
}

/*
 * Root may collect what is another user's, as that user: so what is made is his, and whatever he puts in the way
 * (1. a directory is looked at, 2. he has a symlink there, 3. what is behind that is erased) leads to nothing that
 * he could not reach by himself.
 */
static int run_as_owner(struct collection *c, struct pleach_error *error)
{
	struct pl_store *store = c->store;
	struct pl_guise guise = {0};
	struct stat st;
	bool is_other = !store->is_owner && pl_uid() == 0;
	int r = 0;

	if (is_other) {
		r = pl_fstat(store->fd, &st);
		if (r >= 0)
			r = pl_guise_begin(store->uid, st.st_gid, &guise);
		if (r < 0)
			return pl_fail_sys(error, r, "cannot act as the owner of '%s'",
					   store->path);
		store->is_owner = true;
	}
	r = run(c, error);
	if (is_other)
		store->is_owner = false;
	pl_guise_end(&guise);
	return r;
}

int pleach_gc(struct pleach_store *store, const struct pleach_gc_options *options,
	      struct pleach_gc_result *ret_result, struct pleach_report **ret_report,
	      struct pleach_error *error)
{
	struct pleach_gc_options o = PLEACH_GC_OPTIONS_INIT;
	struct collection c = {
		.store = store->inner, .options = &o, .result = PLEACH_GC_RESULT_INIT};
	int r;

	pl_assert(store);
	PL_OPTIONS(o, options);
	r = run_as_owner(&c, error);
	if (r >= 0 && ret_report)
		r = pl_report_new(&c.findings, ret_report, error);
	pl_findings_done(&c.findings);
	if (r >= 0)
		PL_GIVE(ret_result, c.result);
	return r < 0 ? r : 0;
}

/* ---- why ---- */

/* What stands behind `folder` in a path into the store; NULL: it does not lead there. */
static const char *behind(const char *path, const char *folder)
{
	const char *at = strstr(path, folder);

	return at && (at == path || at[-1] == '/') ? at + strlen(folder) : NULL;
}

/* "ab/cdef…" */
static bool parse_pool_name(const char *name, struct pl_id *ret_id)
{
	char hex[PL_ID_HEX + 1];

	if (strlen(name) != PL_ID_HEX + 1 || name[2] != '/')
		return false;
	memcpy(hex, name, 2);
	memcpy(hex + 2, name + 3, PL_ID_HEX - 1);
	return pl_id_parse(hex, ret_id) == 0;
}

static int why_path(struct pl_store *store, const char *path, struct pl_findings *findings,
		    struct pleach_error *error)
{
	const char *object = behind(path, "objects/"), *node = behind(path, "nodes/");
	const char *tree = behind(path, "trees/");
	char hex[PL_ID_HEX + 1] = "";
	struct pl_id id;

	if (object && parse_pool_name(object, &id))
		return pl_why_file(store, false, &id, findings, error);
	if (node && parse_pool_name(node, &id))
		return pl_why_file(store, true, &id, findings, error);
	if (tree && strcspn(tree, "/") == PL_ID_HEX) {
		memcpy(hex, tree, PL_ID_HEX);
		if (pl_id_parse(hex, &id) == 0)
			return pl_why_tree(store, &id, findings, error);
	}
	pl_fail_usage(error, "'%s' is no path of a tree, an object or a node of the store", path);
	pl_hint(error, "as .pleach/objects/ab/cdef..., .pleach/trees/ID, or a revision");
	return -EINVAL;
}

static int why_revision(struct pl_store *store, const char *spec, struct pl_findings *findings,
			struct pleach_error *error)
{
	struct pl_rev rev;
	int r = pl_rev_resolve(store, spec, NULL, &rev, error);

	if (r < 0)
		return r;
	r = pl_why_tree(store, &rev.tree, findings, error);
	pl_rev_done(&rev);
	return r;
}

int pleach_why(struct pleach_store *store, const char *what, struct pleach_report **ret_report,
	       struct pleach_error *error)
{
	struct pl_findings findings = {0};
	int r;

	pl_assert(store && what && ret_report);
	r = pl_store_must_read(store->inner, error);
	if (r >= 0)
		r = strchr(what, '/') && !strchr(what, ':')
			    ? why_path(store->inner, what, &findings, error)
			    : why_revision(store->inner, what, &findings, error);
	if (r >= 0)
		r = pl_report_new(&findings, ret_report, error);
	pl_findings_done(&findings);
	return r < 0 ? r : 0;
}
