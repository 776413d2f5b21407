/*
 * attachments - for tests of attachments that are more than a symlink: commands that change what is at
 * such a path, ended at each of their calls, or with the call failed. Include after cmocka.h.
 *
 * Right afterwards the path shows one whole generation or nothing; then `status` is enough for it to show
 * what it should; check is silent; a publish and detach work, and nothing is left beside the path.
 */
#ifndef PL_TEST_ATTACHMENTS_H
#define PL_TEST_ATTACHMENTS_H

#include "tx/yard.h"

#define KILLED 99

enum what { ATTACH, DETACH, PUBLISH, ROLLBACK };
struct scene {
	const char *name;
	const char *before; /* attached so before: a revision, or NULL */
	enum what what;
	const char *then; /* of ATTACH: the revision */
};

static const struct scene scenes[] = {
	{"attach", NULL, ATTACH, "site"},
	{"to_fixed", "site", ATTACH, "site@1"},
	{"to_head", "site@1", ATTACH, "site"},
	{"publish", "site", PUBLISH, NULL},
	{"publish_beside_fixed", "site@1", PUBLISH, NULL},
	{"rollback", "site", ROLLBACK, NULL},
	{"detach", "site", DETACH, NULL},
};

/* The mode that is tried; what has to be taken away of it before the next turn. */
static const char *attachment_mode;
static void (*attachment_clear)(const char *path);

static const char *const settings[] = {"grace", "0", "keep-placed", "1", "spares", "0", NULL};

struct paths {
	char store[YARD_PATH], master[YARD_PATH], out[YARD_PATH], path[YARD_PATH],
		source[YARD_PATH], stranger[YARD_PATH];
	char *trees[4]; /* fingerprints of generations 1, 2 and what is published as 3 */
};

static inline void format_path(char *path, const struct yard *y, const char *name)
{
	(void)snprintf(path, YARD_PATH, "%s/%s", y->path, name);
}

static inline void publish_new(const struct yard *y, struct paths *p, const char *store, unsigned n,
			       const char *what)
{
	TEXT *source = text_of("%s/%s", y->path, what);
	TEXT *site = text_of("%s/site", store);
	struct outcome o;

	make_source(source, what, 0);
	o = publish_at(store, "site", source);
	must(&o, "publish");
	p->trees[n] = fingerprint(site);
}

static inline void prepare(const struct yard *y, struct paths *p)
{
	TEXT *scratch = text_of("%s/scratch", y->path);

	*p = (struct paths){0};
	format_path(p->store, y, "store");
	format_path(p->master, y, "master");
	format_path(p->out, y, "out");
	format_path(p->path, y, "out/there");
	format_path(p->source, y, "c");
	format_path(p->stranger, y, "out/there/mine");
	make_store(p->store, settings);
	publish_new(y, p, p->store, 1, "a");
	publish_new(y, p, p->store, 2, "b");
	yard_copy(p->store, p->master);
	make_store(scratch, settings);
	publish_new(y, p, scratch, 3, "c");
}

static inline void done(struct paths *p)
{
	for (size_t i = 0; i < PL_ARRAY_LEN(p->trees); i++)
		free(p->trees[i]);
}

static inline int run(const struct paths *p, enum what what, const char *rev,
		      struct pleach_error *error)
{
	struct outcome o = {0};
	struct pleach_store *store = open_at(p->store, &o);
	int r = 0;

	must(&o, "open");
	switch (what) {
	case ATTACH:
		r = pleach_attach(store, rev, p->path, attachment_mode, error);
		break;
	case DETACH:
		r = pleach_detach(store, p->path, error);
		break;
	case PUBLISH:
		o = do_publish(store, "site", p->source, -1);
		r = o.r;
		*error = o.error;
		break;
	case ROLLBACK:
		r = pleach_rollback(store, "site", NULL, NULL, &o.published, error);
		break;
	}
	pleach_store_close(store);
	return r;
}

/* `status`; how the one attachment is, "" if there is none. */
static inline void status(const struct paths *p, char ret_state[32])
{
	struct pleach_ref_status ref = PLEACH_REF_STATUS_INIT;
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pleach_refs *refs;
	struct outcome o;
	struct pleach_store *store = open_at(p->store, &o);

	must(&o, "open");
	assert_int_equal(pleach_refs_open(store, &refs, &error), 0);
	assert_int_equal(pleach_refs_next(refs, &ref, &error), 1);
	ret_state[0] = '\0';
	if (ref.attached && ref.attached[0]) {
		char mode[16];

		assert_int_equal(sscanf(ref.attached[0], "%*s %15s %31s", mode, ret_state), 2);
		assert_string_equal(mode, attachment_mode);
	}
	pleach_refs_close(refs);
	pleach_store_close(store);
}

/* A fresh store and directory, as the scene wants them. */
static inline void begin(const struct paths *p, const struct scene *scene)
{
	struct pleach_error error = PLEACH_ERROR_INIT;

	if (attachment_clear)
		attachment_clear(p->path);
	yard_remove(p->store);
	yard_copy(p->master, p->store);
	yard_remove(p->out);
	assert_int_equal(mkdir(p->out, 0755), 0);
	if (scene->before && run(p, ATTACH, scene->before, &error) != 0)
		fail_msg("%s", error.message);
}

/* Where nothing was attached, or is no more, a directory that waits for its mount may be seen. */
static inline void path_must_be_whole(const struct paths *p, const struct scene *scene)
{
	TEXT *seen = fingerprint(p->path);
	bool may_be_bare = !scene->before || scene->what == DETACH;

	if (may_be_bare && (access(p->path, F_OK) != 0 || count_names(p->path) == 0))
		return;
	for (unsigned i = 1; i <= 3; i++)
		if (strcmp(seen, p->trees[i]) == 0)
			return;
	fail_msg("a mixture: %s", seen);
}

/* What the attachment is of: the path is equal to that. */
static inline void path_must_be_as_recorded(const struct paths *p)
{
	TEXT *site = text_of("%s/site", p->store);
	TEXT *record = text_of("%s/.pleach/refs/site/attached", p->store);
	TEXT *head = fingerprint(site);
	TEXT *seen = fingerprint(p->path);
	char text[4096] = "";
	struct dirent **entries;
	int n = scandir(record, &entries, NULL, alphasort);

	for (int i = 0; i < n; i++) {
		TEXT *name = text_of("%s/%s", record, entries[i]->d_name);
		FILE *f = entries[i]->d_name[0] != '.' ? fopen(name, "re") : NULL;

		if (f) {
			text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
			(void)fclose(f);
		}
		free(entries[i]);
	}
	if (n >= 0)
		free(entries);
	if (!text[0])
		assert_int_equal(access(p->path, F_OK), -1);
	else
		assert_string_equal(seen, strstr(text, "generation 1") ? p->trees[1] : head);
}

static inline void finish(const struct paths *p, const struct scene *scene, uint64_t k)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	TEXT *trouble = NULL;
	char state[32];

	print_message("# %s: ended at call %llu\n", scene->name, (unsigned long long)k);
	path_must_be_whole(p, scene);
	status(p, state);
	if (state[0])
		assert_string_equal(state, "ok");
	path_must_be_as_recorded(p);
	trouble = trouble_by_check(p->store, 0);
	if (trouble)
		fail_msg("%s", trouble);
	assert_int_equal(run(p, PUBLISH, NULL, &error), 0);
	path_must_be_as_recorded(p);
	if (!state[0]) /* what an attach left that did not come to its record, the next one there removes */
		assert_int_equal(run(p, ATTACH, "site", &error), 0);
	assert_int_equal(run(p, DETACH, NULL, &error), 0);
	assert_int_equal(count_names(p->out), 0);
	trouble = names_in(p->store, "refs/site/showing");
	assert_string_equal(trouble, "");
}

static inline uint64_t count_calls(const struct paths *p, const struct scene *scene)
{
	const struct pl_seam_plan plan = {0};
	struct pleach_error error = PLEACH_ERROR_INIT;
	uint64_t n;

	begin(p, scene);
	pl_seam_arm(&plan);
	assert_true(run(p, scene->what, scene->then, &error) >= 0);
	n = pl_seam_count();
	pl_seam_arm(NULL);
	assert_true(n > 3);
	return n;
}

static inline void end_at(const struct paths *p, const struct scene *scene,
			  const struct pl_seam_plan *plan)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	int exited;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		pl_seam_arm(plan);
		(void)run(p, scene->what, scene->then, &error);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &exited, 0), pid);
	assert_true(WIFEXITED(exited) &&
		    (WEXITSTATUS(exited) == KILLED || WEXITSTATUS(exited) == 0));
}

static inline void killed_anywhere(const struct yard *y)
{
	struct paths p;

	prepare(y, &p);
	for (size_t i = 0; i < PL_ARRAY_LEN(scenes); i++) {
		uint64_t n = count_calls(&p, &scenes[i]);

		for (uint64_t k = 1; k <= n; k++) {
			const struct pl_seam_plan plan = {.exit_at = k};

			begin(&p, &scenes[i]);
			end_at(&p, &scenes[i], &plan);
			finish(&p, &scenes[i], k);
		}
	}
	done(&p);
}

static inline void failing_anywhere(const struct yard *y)
{
	struct paths p;

	prepare(y, &p);
	for (size_t i = 0; i < PL_ARRAY_LEN(scenes); i++) {
		uint64_t n = count_calls(&p, &scenes[i]);

		for (uint64_t k = 1; k <= n; k++) {
			const struct pl_seam_plan plan = {.fail_at = k,
							  .fail_errno = k % 2 ? EIO : ENOSPC};
			struct pleach_error error = PLEACH_ERROR_INIT;
			unsigned descriptors;
			int r;

			begin(&p, &scenes[i]);
			descriptors = count_descriptors();
			pl_seam_arm(&plan);
			r = run(&p, scenes[i].what, scenes[i].then, &error);
			pl_seam_arm(NULL);
			assert_int_equal(count_descriptors(), descriptors);
			assert_true(r == 0 || error.message[0]);
			finish(&p, &scenes[i], k);
		}
	}
	done(&p);
}

#endif
