/*
 * pleach_dedup(): equal files of any directory tree share their storage.
 */
#include "api/inner.h"
#include "gc/gc.h"

static int read_how(const char *how, enum pl_dedup_how *ret_how, struct pleach_error *error)
{
	if (!how)
		*ret_how = PL_DEDUP_AUTO;
	else if (strcmp(how, "link") == 0)
		*ret_how = PL_DEDUP_LINK;
	else if (strcmp(how, "reflink") == 0)
		*ret_how = PL_DEDUP_REFLINK;
	else
		return pl_fail_usage(error, "'%s' is neither link nor reflink", how);
	return 0;
}

static int read_index(const struct pleach_dedup_options *o, struct pl_dedup *dedup,
		      struct pleach_error *error)
{
	dedup->index = o->index;
	if (o->layout && strcmp(o->layout, "hex") != 0 && strcmp(o->layout, "nix") != 0)
		return pl_fail_usage(error, "'%s' is no layout of an index", o->layout);
	if (o->layout && !o->index)
		return pl_fail_usage(error, "a layout is that of an index, and none was given");
	if (o->layout && strcmp(o->layout, "nix") == 0)
		dedup->layout = PL_DEDUP_NIX;
	if (o->index && dedup->how == PL_DEDUP_REFLINK)
		return pl_fail_usage(error, "an index is for links, not for reflinks");
	if (o->index)
		dedup->how = PL_DEDUP_LINK;
	return 0;
}

static int read_match(const char *match, uint32_t *ret_match, struct pleach_error *error)
{
	static const struct {
		const char *name;
		uint32_t bit;
	} fields[] = {
		{"content", 0},
		{"mode", PL_DEDUP_MATCH_MODE},
		{"owner", PL_DEDUP_MATCH_OWNER},
		{"mtime", PL_DEDUP_MATCH_MTIME},
		{"xattrs", PL_DEDUP_MATCH_XATTRS},
	};

	*ret_match = 0;
	while (*match) {
		size_t length = strcspn(match, ","), i = 0;

		while (i < PL_ARRAY_LEN(fields) && (strlen(fields[i].name) != length ||
						    memcmp(fields[i].name, match, length) != 0))
			i++;
		if (i == PL_ARRAY_LEN(fields)) {
			pl_fail_usage(error, "'%.*s' is nothing that could be matched", (int)length,
				      match);
			pl_hint(error, "content, mode, owner, mtime, xattrs");
			return -EINVAL;
		}
		*ret_match |= fields[i].bit;
		match += length + (match[length] == ',');
	}
	return 0;
}

int pleach_dedup(const char *const *paths, const struct pleach_dedup_options *options,
		 struct pleach_dedup_result *ret_result, struct pleach_report **ret_report,
		 struct pleach_error *error)
{
	struct pleach_dedup_options o = PLEACH_DEDUP_OPTIONS_INIT;
	struct pleach_dedup_result result = PLEACH_DEDUP_RESULT_INIT;
	struct pl_findings findings = {0};
	struct pl_dedup dedup = {.paths = paths};
	int r, r_report = 0;

	pl_assert(paths && paths[0]);
	PL_OPTIONS(o, options);
	while (paths[dedup.n_paths])
		dedup.n_paths++;
	r = read_how(o.how, &dedup.how, error);
	if (r >= 0 && o.match)
		r = read_match(o.match, &dedup.match, error);
	if (r >= 0)
		r = read_index(&o, &dedup, error);
	if (r < 0)
		return r;
	dedup.has_match = o.match != NULL;
	dedup.dry_run = o.dry_run != 0;
	dedup.cancel = o.cancel;
	dedup.progress = o.progress;
	dedup.progress_userdata = o.progress_userdata;
	r = pl_dedup_run(&dedup, &result, &findings, error);
	if (r >= 0 && ret_report)
		r_report = pl_report_new(&findings, ret_report, error);
	pl_findings_done(&findings);
	if (r_report < 0)
		return r_report;
	PL_GIVE(ret_result, result);
	return r;
}
