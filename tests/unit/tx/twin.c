/*
 * G3, G5: a concurrent twin at every call. A command is stopped before each of its mutating calls in
 * turn, another one runs there from its beginning to its end, and then the first goes on.
 *
 * Where the first holds the ref's lock, or a tree exclusively, the other would wait for it: these calls
 * are passed over, since nothing can come in between there. Afterwards: what each of the two said is
 * so, no generation has a hole, check is silent, nothing is left.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tx/yard.h"

#define WORKERS 4

/* What a command came to, as far as it can be verified afterwards. */
struct result {
	int r;
	uint64_t generation;
	char ref[16], tree[PLEACH_HEX_MAX + 1];
	char message[256];
};
struct command {
	const char *name;
	void (*run)(const struct yard *y, const char *store, struct result *result);
};

/* ---- commands ---- */

static void note(struct result *result, const struct outcome *o)
{
	result->r = o->r;
	result->generation = o->published.generation;
	(void)snprintf(result->ref, sizeof(result->ref), "site");
	(void)snprintf(result->tree, sizeof(result->tree), "%s", o->published.tree);
	(void)snprintf(result->message, sizeof(result->message), "%.255s", o->error.message);
}

static void publish(const struct yard *y, const char *store, const char *name,
		    struct result *result)
{
	TEXT *source = text_of("%s/%s", y->path, name);
	struct outcome o = publish_at(store, "site", source);

	note(result, &o);
}

static void run_publish_b(const struct yard *y, const char *store, struct result *result)
{
	publish(y, store, "b", result);
}

static void run_publish_c(const struct yard *y, const char *store, struct result *result)
{
	publish(y, store, "c", result);
}

/* The tree of site@1, for another ref. */
static void run_publish_other(const struct yard *y, const char *store, struct result *result)
{
	TEXT *source = text_of("%s/a", y->path);
	struct outcome o = publish_at(store, "other", source);

	note(result, &o);
	(void)snprintf(result->ref, sizeof(result->ref), "other");
}

/* The same, from the revision itself. */
static void run_publish_revision(const struct yard *y, const char *store, struct result *result)
{
	struct pleach_publish_options options = PLEACH_PUBLISH_OPTIONS_INIT;
	struct pleach_source source = {.kind = PLEACH_SOURCE_REV, .spec = "site@1"};
	struct outcome o;
	struct pleach_store *opened = open_at(store, &o);

	(void)y;
	if (opened)
		o.r = pleach_publish(opened, "other", &source, 1, &options, &o.published, &o.error);
	pleach_store_close(opened);
	note(result, &o);
	(void)snprintf(result->ref, sizeof(result->ref), "other");
}

static void run_rollback(const struct yard *y, const char *store, struct result *result)
{
	struct pleach_publish_options options = PLEACH_PUBLISH_OPTIONS_INIT;
	struct outcome o;
	struct pleach_store *opened = open_at(store, &o);

	(void)y;
	if (opened)
		o.r = pleach_rollback(opened, "site", "@1", &options, &o.published, &o.error);
	pleach_store_close(opened);
	note(result, &o);
}

static void drop(const char *store, const char *rev, struct result *result)
{
	struct pleach_drop_options options = PLEACH_DROP_OPTIONS_INIT;
	struct outcome o;
	struct pleach_store *opened = open_at(store, &o);

	options.now = 1;
	if (opened)
		o.r = pleach_drop(opened, rev, &options, NULL, &o.error);
	pleach_store_close(opened);
	note(result, &o);
}

static void run_drop_generation(const struct yard *y, const char *store, struct result *result)
{
	(void)y;
	drop(store, "site@1", result);
}

static void run_drop_ref(const struct yard *y, const char *store, struct result *result)
{
	(void)y;
	drop(store, "site", result);
}

static void run_tag(const struct yard *y, const char *store, struct result *result)
{
	struct outcome o;
	struct pleach_store *opened = open_at(store, &o);

	(void)y;
	if (opened)
		o.r = pleach_tag_set(opened, "site", "v1", "@1", 0, &o.error);
	pleach_store_close(opened);
	note(result, &o);
}

static void run_check(const struct yard *y, const char *store, struct result *result)
{
	TEXT *trouble = trouble_by_check(store, 0);

	(void)y;
	*result = (struct result){.r = trouble ? -EBADMSG : 0};
	(void)snprintf(result->message, sizeof(result->message), "%s", trouble ? trouble : "");
}

static const struct command publish_b = {"publish b", run_publish_b},
			    publish_c = {"publish c", run_publish_c},
			    publish_other = {"publish of another ref", run_publish_other},
			    publish_revision = {"publish of site@1", run_publish_revision},
			    rollback_1 = {"rollback", run_rollback},
			    drop_1 = {"drop site@1", run_drop_generation},
			    drop_all = {"drop site", run_drop_ref}, tag_1 = {"tag site@1", run_tag},
			    check = {"check", run_check};

/* ---- stopping ---- */

struct stop {
	uint64_t at;
	const struct yard *y;
	const char *store;
	const struct command *other;
	struct result *result;
	bool has_run;
};

/* Is there a lock that the other one would wait for? */
static bool would_wait(const char *store)
{
	TEXT *pattern = text_of("%s/.pleach", store);
	char *const roots[] = {pattern, NULL};
	FTS *fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	bool waits = false;
	FTSENT *e;

	while (!waits && (e = fts_read(fts))) {
		struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
		int fd;

		if (e->fts_level > 3 || strcmp(e->fts_name, "tx") == 0)
			(void)fts_set(fts, e, FTS_SKIP);
		if (strcmp(e->fts_name, "lock") != 0 && strcmp(e->fts_name, "pin") != 0)
			continue;
		fd = open(e->fts_accpath, O_RDWR | O_CLOEXEC);
		waits = fd >= 0 && fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
		close(fd);
	}
	(void)fts_close(fts);
	return waits;
}

static void stop_here(uint64_t number, enum pl_call call, void *userdata)
{
	struct stop *stop = userdata;
	int status = -1;
	pid_t pid;

	(void)call;
	if (number != stop->at || would_wait(stop->store))
		return;
	pid = fork();
	if (pid == 0) {
		pl_seam_arm(NULL);
		stop->other->run(stop->y, stop->store, stop->result);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
		abort();
	stop->has_run = true;
}

/* ---- a pair of commands ---- */

struct pair {
	const struct yard *y;
	const struct command *first, *other;
	const int *allowed; /* errors that either may end with; 0 ends them */
};

static bool is_allowed(const struct pair *p, int r)
{
	if (r >= 0)
		return true;
	for (const int *a = p->allowed; *a; a++)
		if (*a == r)
			return true;
	return false;
}

/* A generation that a command says it has made (or found to be so) has that tree. */
static char *trouble_by_result(const struct pair *p, const char *store,
			       const struct command *command, const struct result *result)
{
	struct pleach_revision revision = PLEACH_REVISION_INIT;
	TEXT *rev = text_of("%s@%llu", result->ref, (unsigned long long)result->generation);
	struct pleach_store *opened;
	struct outcome o;

	if (!is_allowed(p, result->r))
		return text_of("%s: %s", command->name, result->message);
	if (result->r != 0 || result->generation == 0)
		return NULL;
	opened = open_at(store, &o);
	o.r = pleach_resolve(opened, rev, &revision, &o.error);
	pleach_store_close(opened);
	if (o.r == -ENOENT) /* the ref was dropped, or the generation */
		return p->first == &drop_all || p->other == &drop_all || p->other == &drop_1
			       ? NULL
			       : text_of("%s made %s, and it is not there", command->name, rev);
	if (o.r != 0 || strcmp(revision.tree, result->tree) != 0)
		return p->first == &drop_all || p->other == &drop_all
			       ? NULL
			       : /* another ref of this name */
			       text_of("%s: %s is not its tree", command->name, rev);
	return NULL;
}

static char *trouble_afterwards(const struct pair *p, const char *store)
{
	TEXT *source = text_of("%s/a", p->y->path);
	struct outcome o = publish_at(store, "site", source);
	TEXT *tx = names_in(store, "tx");
	char *trouble;

	if (o.r != 0)
		return text_of("the next publish fails: %s", o.error.message);
	if (tx[0])
		return text_of("left in tx/: %s", tx);
	trouble = trouble_by_check(store, 0);
	return trouble ? trouble : trouble_by_locks(store);
}

static struct result *shared_results(void)
{
	void *at = mmap(NULL, 2 * sizeof(struct result), PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED)
		abort();
	return at;
}

/* Stops at call k: 1 if there was one, with the trouble that came of it. */
static int try_at(const struct pair *p, const char *store, uint64_t k, struct result *results,
		  unsigned *ran, char **ret_trouble)
{
	struct stop stop = {
		.at = k, .y = p->y, .store = store, .other = p->other, .result = &results[1]};
	struct pl_seam_plan plan = {.stop = stop_here, .userdata = &stop};

	results[0] = results[1] = (struct result){0};
	pl_seam_arm(&plan);
	p->first->run(p->y, store, &results[0]);
	pl_seam_arm(NULL);
	if (pl_seam_count() < k)
		return 0;
	*ran += stop.has_run;
	*ret_trouble = trouble_by_result(p, store, p->first, &results[0]);
	if (!*ret_trouble)
		*ret_trouble = trouble_by_result(p, store, p->other, &results[1]);
	if (!*ret_trouble)
		*ret_trouble = trouble_afterwards(p, store);
	return 1;
}

/* Every WORKERS-th call. The exit status is 0 if all went well. */
static int work(const struct pair *p, unsigned worker, struct result *results, unsigned *ran)
{
	TEXT *dir = text_of("%s/w%u", p->y->path, worker);
	TEXT *store = text_of("%s/S", dir);
	TEXT *template = text_of("%s/template/S", p->y->path);
	int wrong = 0, more = 1;

	if (mkdir(dir, 0755) < 0)
		abort();
	for (uint64_t k = worker + 1; more; k += WORKERS) {
		TEXT *trouble = NULL;

		yard_copy(template, dir);
		more = try_at(p, store, k, results, ran, &trouble);
		if (trouble && wrong++ < 3)
			(void)fprintf(stderr, "# %s at call %llu of %s: %s\n", p->other->name,
				      (unsigned long long)k, p->first->name, trouble);
		yard_remove(store);
	}
	yard_remove(dir);
	return wrong > 0;
}

static void try_pair(const struct yard *y, const struct command *first, const struct command *other,
		     const int *allowed)
{
	const struct pair p = {y, first, other, allowed};
	struct result *results[WORKERS];
	pid_t pids[WORKERS];
	unsigned wrong = 0, ran = 0;

	for (unsigned i = 0; i < WORKERS; i++) {
		results[i] = shared_results();
		pids[i] = fork();
		if (pids[i] == 0) {
			int status = work(&p, i, results[i], &ran);

			results[i][0].generation = ran; /* of no more use */
			_exit(status);
		}
		assert_true(pids[i] > 0);
	}
	for (unsigned i = 0; i < WORKERS; i++) {
		int status = -1;

		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		wrong += status != 0;
		ran += (unsigned)results[i][0].generation;
		(void)munmap(results[i], 2 * sizeof(struct result));
	}
	print_message("# %s within %s: at %u calls\n", other->name, first->name, ran);
	if (wrong > 0)
		fail_msg("%s within %s: see above", other->name, first->name);
	assert_true(ran > 0);
}

/* ---- the pairs ---- */

/* A store with the generations a and b, little of it placed. */
static void begin(const struct yard *y)
{
	static const char *const settings[] = {"grace",	 "0", "keep-placed", "1",
					       "spares", "0", NULL};
	TEXT *dir = text_of("%s/template", y->path);
	TEXT *store = text_of("%s/template/S", y->path);
	TEXT *reserve = text_of("%s/.pleach/reserve", store);
	TEXT *inodes = text_of("%s/.pleach/cache/reserve", store);
	struct result result;

	for (const char *name = "abcd"; *name; name++) {
		TEXT *what = text_of("%c", *name);
		TEXT *source = text_of("%s/%c", y->path, *name);

		make_source(source, what, 0);
	}
	if (mkdir(dir, 0755) < 0)
		abort();
	make_store(store, settings);
	assert_int_equal(unlink(reserve), 0); /* a MiB less to copy */
	yard_remove(inodes);
	publish(y, store, "a", &result);
	assert_int_equal(result.r, 0);
	publish(y, store, "d", &result);
	assert_int_equal(result.r, 0);
}

static const int none[] = {0};
static const int in_use[] = {-EBUSY, -ENOENT, 0};
static const int gone[] = {-ESTALE, -ENOENT, -EBUSY, 0};

static void G3_the_same_publish_within_a_publish_is_one_generation(void **state)
{
	begin(*state);
	try_pair(*state, &publish_b, &publish_b, none);
}

static void G3_another_publish_within_a_publish_is_not_lost(void **state)
{
	begin(*state);
	try_pair(*state, &publish_b, &publish_c, none);
}

static void G3_a_rollback_within_a_publish_is_not_lost(void **state)
{
	begin(*state);
	try_pair(*state, &publish_b, &rollback_1, none);
}

static void G3_a_publish_within_a_rollback_is_not_lost(void **state)
{
	begin(*state);
	try_pair(*state, &rollback_1, &publish_b, none);
}

static void G3_the_same_rollback_within_a_rollback_is_one_generation(void **state)
{
	begin(*state);
	try_pair(*state, &rollback_1, &rollback_1, none);
}

static void G5_a_drop_within_a_rollback_to_it_harms_nothing(void **state)
{
	begin(*state);
	try_pair(*state, &rollback_1, &drop_1, in_use);
}

static void G5_a_drop_within_a_publish_of_the_revision_harms_nothing(void **state)
{
	begin(*state);
	try_pair(*state, &publish_revision, &drop_1, in_use);
}

static void G5_a_publish_within_a_drop_harms_nothing(void **state)
{
	begin(*state);
	try_pair(*state, &drop_1, &publish_b, in_use);
}

static void G5_a_tag_within_a_drop_keeps_its_generation_or_is_refused(void **state)
{
	begin(*state);
	try_pair(*state, &drop_1, &tag_1, in_use);
}

static void G5_a_publish_within_a_tag_harms_nothing(void **state)
{
	begin(*state);
	try_pair(*state, &tag_1, &publish_b, in_use);
}

static void G5_a_drop_of_the_ref_within_a_publish_harms_nothing(void **state)
{
	begin(*state);
	try_pair(*state, &publish_b, &drop_all, gone);
}

static void G5_a_publish_within_a_drop_of_the_ref_harms_nothing(void **state)
{
	begin(*state);
	try_pair(*state, &drop_all, &publish_b, gone);
}

static void G5_what_another_ref_publishes_is_not_dropped(void **state)
{
	begin(*state);
	try_pair(*state, &drop_1, &publish_other, in_use);
	try_pair(*state, &drop_all, &publish_other, in_use);
}

static void G5_a_drop_takes_nothing_from_a_publish_of_another_ref(void **state)
{
	begin(*state);
	try_pair(*state, &publish_other, &drop_1, in_use);
	try_pair(*state, &publish_other, &drop_all, in_use);
}

static void a_check_within_a_publish_is_silent(void **state)
{
	begin(*state);
	try_pair(*state, &publish_b, &check, none);
}

static void a_check_within_a_drop_is_silent(void **state)
{
	begin(*state);
	try_pair(*state, &drop_1, &check, none);
	try_pair(*state, &drop_all, &check, none);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		yard_test(G3_the_same_publish_within_a_publish_is_one_generation),
		yard_test(G3_another_publish_within_a_publish_is_not_lost),
		yard_test(G3_a_rollback_within_a_publish_is_not_lost),
		yard_test(G3_a_publish_within_a_rollback_is_not_lost),
		yard_test(G3_the_same_rollback_within_a_rollback_is_one_generation),
		yard_test(G5_a_drop_within_a_rollback_to_it_harms_nothing),
		yard_test(G5_a_drop_within_a_publish_of_the_revision_harms_nothing),
		yard_test(G5_a_publish_within_a_drop_harms_nothing),
		yard_test(G5_a_tag_within_a_drop_keeps_its_generation_or_is_refused),
		yard_test(G5_a_publish_within_a_tag_harms_nothing),
		yard_test(G5_a_drop_of_the_ref_within_a_publish_harms_nothing),
		yard_test(G5_a_publish_within_a_drop_of_the_ref_harms_nothing),
		yard_test(G5_what_another_ref_publishes_is_not_dropped),
		yard_test(G5_a_drop_takes_nothing_from_a_publish_of_another_ref),
		yard_test(a_check_within_a_publish_is_silent),
		yard_test(a_check_within_a_drop_is_silent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
