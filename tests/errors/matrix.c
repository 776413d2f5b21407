/*
 * matrix - see matrix.h. A case has a copy of the store and a process of its own, in which
 *
 *	the command runs, with call k failing; what it holds and says is looked at, and what is seen of the store
 *	it runs again, with nothing failing: by the same handle if k is odd, else by a new one. It must succeed
 *	all is closed, and what was allocated is free
 *
 * and then a collection, or the next publish, has to leave nothing behind. The command is not run again where the new
 * state is there already although it said that it failed.
 */
#include "errors/trouble.h"

#include <sys/wait.h>

#define BOTH(e)             \
	{#e, e, false},     \
	{                   \
#e, e, true \
	}
const struct fault faults[FAULTS] = {
	BOTH(EIO),   BOTH(ENOSPC),     BOTH(EDQUOT),	     BOTH(EMFILE),	  BOTH(ENOMEM),
	BOTH(EROFS), BOTH(ESTALE),     BOTH(EINTR),	     BOTH(EMLINK),	  BOTH(EXDEV),
	BOTH(EPERM), BOTH(EOPNOTSUPP), {"memory", 0, false}, {"memory", 0, true},
};
#define MEMORY_FAULTS 2
#define CHILD_SECONDS 300 /* no command takes so long, on however slow a machine */

/* What the process of a case tells. */
struct report {
	uint64_t calls, allocations;
	int r;
	bool is_new; /* the state is the new one, and the command was not run again */
	char message[512], trouble[8192];
};

static bool note(struct report *report, const char *when, char *trouble)
{
	if (trouble && report->trouble[0] == '\0')
		(void)snprintf(report->trouble, sizeof(report->trouble), "%s: %s (%d: %s)", when,
			       trouble, report->r, report->message);
	free(trouble);
	return report->trouble[0] == '\0';
}

static bool is_state_new(const struct matrix *m, const char *store)
{
	TEXT *state = m->expected.observe ? m->expected.observe(store) : observe(store);

	return strcmp(state, m->expected.new_state) == 0;
}

/* Is the state the new one, if it is said so? */
static bool has_done(const struct matrix *m, const struct fault *fault, int r)
{
	return r == 0 && !(m->trial->may_leave && (fault->err == ESTALE || fault->err == EMLINK));
}

/* What was said, what is held, what is seen. */
static bool look(const struct matrix *m, const char *path, const char *when, unsigned descriptors,
		 const struct fault *fault, const struct pleach_error *error, struct report *report)
{
	unsigned now = count_descriptors();

	(void)snprintf(report->message, sizeof(report->message), "%.511s", error->message);
	if (now != descriptors)
		return note(report, when,
			    text_of("%u descriptors, and there were %u", now, descriptors));
	if (report->r == -EBADMSG && fault->err == 0 && !m->trial->is_damaged)
		return note(report, when, text_of("it says that the store is damaged"));
	if (report->r == 1)
		return note(report, when, text_of("it tells less than there is"));
	return note(report, when, trouble_by_message(report->r, error, fault)) &&
	       note(report, when, trouble_by_locks(path)) &&
	       note(report, when, trouble_by_always(m, path)) &&
	       (report->r == PLEACH_PARTIAL || /* what it could not do is in its report */
		note(report, when,
		     trouble_by_state(&m->expected, path, has_done(m, fault, report->r))));
}

static void run_again(const struct matrix *m, struct pleach_store *store, const char *path,
		      unsigned descriptors, const struct fault *fault, struct report *report)
{
	struct pleach_error error = PLEACH_ERROR_INIT;

	report->r = m->trial->run(m->y, store, &error);
	if (!look(m, path, "again", descriptors, fault, &error, report))
		return;
	if (report->r != 0)
		(void)note(report, "again", text_of("it fails"));
	(void)note(report, "again", trouble_by_leftovers(path));
}

/* The counts of a run in which nothing fails are those of all its calls. */
static void run_failing(const struct matrix *m, struct pleach_store *store,
			const struct fault *fault, uint64_t k, struct pleach_error *error,
			struct report *report)
{
	struct pl_seam_plan plan = {
		.fail_at = fault->err ? k : 0, .fail_on = fault->is_on, .fail_errno = fault->err};

	pl_seam_arm(&plan);
	memory_arm(fault->err ? 0 : k, fault->is_on);
	report->r = m->trial->run(m->y, store, error);
	report->allocations = memory_disarm();
	pl_seam_arm(NULL);
	report->calls = pl_seam_count();
}

static void run_case(const struct matrix *m, const char *path, const struct fault *fault,
		     uint64_t k, struct report *report)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pleach_store *store;
	unsigned descriptors;
	struct outcome o;

	memory_watch();
	store = open_at(path, &o);
	must(&o, "open");
	descriptors = count_descriptors();
	run_failing(m, store, fault, k, &error, report);
	(void)snprintf(report->message, sizeof(report->message), "%.511s", error.message);
	if (m->expected.new_state && look(m, path, "failed", descriptors, fault, &error, report)) {
		report->is_new = !m->expected.is_gradual &&
				 (report->r == PLEACH_PARTIAL || is_state_new(m, path));
		if (!report->is_new && k % 2 == 0) {
			pleach_store_close(store);
			store = open_at(path, &o);
			must(&o, "open again");
		}
		if (!report->is_new)
			run_again(m, store, path, descriptors, fault, report);
	}
	pleach_store_close(store);
	if (memory_left() > 0)
		(void)note(report, "closed", text_of("%zu allocations left", memory_left()));
}

/* Fills in the report. */
static void in_child(const struct matrix *m, const char *path, const struct fault *fault,
		     uint64_t k, struct report *report)
{
	int status = -1;
	pid_t pid;

	*report = (struct report){.r = -1};
	pid = fork();
	if (pid == 0) {
		(void)alarm(CHILD_SECONDS);
		run_case(m, path, fault, k, report);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		abort();
	if (WIFSIGNALED(status))
		(void)note(report, "ended", text_of("by signal %d", WTERMSIG(status)));
	else if (WEXITSTATUS(status) != 0)
		(void)note(report, "ended", text_of("with status %d", WEXITSTATUS(status)));
}

static struct report *shared_report(void)
{
	void *at = mmap(NULL, sizeof(struct report), PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED)
		abort();
	return at;
}

static void try_case(const struct matrix *m, const char *store, const struct fault *fault,
		     uint64_t k, struct report *report)
{
	in_child(m, store, fault, k, report);
	if (report->trouble[0])
		return;
	if (fault->err == EINTR && !fault->is_on && report->r != 0)
		(void)note(report, "failed", text_of("an interrupted call was not made again"));
	if (report->is_new && !m->trial->is_apart)
		(void)note(report, "next", trouble_by_next(m->y, &m->expected, store));
	else
		(void)note(report, "collected", trouble_by_collection(m, store));
}

/* ---- all cases of a trial ---- */

static unsigned step_of(const struct trial *trial)
{
	return trial->step > 0 ? trial->step : 1;
}

uint64_t matrix_size(const struct matrix *m)
{
	return m->calls * (FAULTS - MEMORY_FAULTS) + m->allocations * MEMORY_FAULTS;
}

/* Case i is one of those chosen. Calls come one after the other, and of each all its faults: a share is spread over
 * both. */
static bool is_chosen(const struct choice *c, uint64_t i)
{
	uint64_t at = i * c->share + c->seed % c->of;

	return c->share >= c->of || at / c->of != (at + c->share) / c->of;
}

static const struct fault *case_of(const struct matrix *m, uint64_t i, uint64_t *ret_k)
{
	const uint64_t errnos = FAULTS - MEMORY_FAULTS, by_calls = m->calls * errnos;
	/* The table is gone through from another place for each call, or a share would meet the same few. */
	*ret_k = step_of(m->trial) *
		 (i < by_calls ? i / errnos + 1 : (i - by_calls) / MEMORY_FAULTS + 1);
	return i < by_calls ? &faults[(i + *ret_k * 7) % errnos]
			    : &faults[errnos + (i - by_calls) % MEMORY_FAULTS];
}

static void tell(const struct matrix *m, const struct fault *fault, uint64_t k,
		 const struct report *report)
{
	(void)printf("# --case %s/%s%s/%llu: %s\n", m->trial->name, fault->name,
		     fault->is_on ? "-on" : "", (unsigned long long)k, report->trouble);
}

static bool is_wanted(const struct matrix *m, const struct choice *choice, uint64_t i)
{
	const struct fault *fault;
	uint64_t k;
	TEXT *name = NULL;

	if (!choice->only)
		return is_chosen(choice, i);
	fault = case_of(m, i, &k);
	name = text_of("%s%s/%llu", fault->name, fault->is_on ? "-on" : "", (unsigned long long)k);
	return strcmp(name, choice->only) == 0;
}

/* Every `workers`-th of the chosen cases. */
static unsigned work(const struct matrix *m, const struct choice *choice, unsigned worker,
		     unsigned workers)
{
	TEXT *template = text_of("%s/template", m->y->path);
	TEXT *dir = text_of("%s/w%u", m->y->path, worker);
	TEXT *store = text_of("%s/S", dir);
	struct report *report = shared_report();
	unsigned wrong = 0, number = 0;

	for (uint64_t i = 0; i < matrix_size(m); i++) {
		const struct fault *fault;
		uint64_t k;

		if (!is_wanted(m, choice, i) || number++ % workers != worker)
			continue;
		fault = case_of(m, i, &k);
		yard_copy(template, dir);
		try_case(m, store, fault, k, report);
		if (report->trouble[0] && wrong++ < 500)
			tell(m, fault, k, report);
		yard_remove(dir);
	}
	(void)munmap(report, sizeof(*report));
	(void)fflush(stdout);
	return wrong;
}

unsigned matrix_try(const struct matrix *m, const struct choice *choice, unsigned workers,
		    uint64_t *ret_tried)
{
	pid_t pids[16];
	unsigned wrong = 0;

	pl_assert(workers > 0 && workers <= PL_ARRAY_LEN(pids));
	(void)fflush(stdout);
	*ret_tried = 0;
	for (uint64_t i = 0; i < matrix_size(m); i++)
		*ret_tried += is_wanted(m, choice, i);
	for (unsigned i = 0; i < workers; i++) {
		pids[i] = fork();
		if (pids[i] == 0) {
			unsigned n = work(m, choice, i, workers);

			_exit(n > 100 ? 100 : (int)n);
		}
		if (pids[i] < 0)
			abort();
	}
	for (unsigned i = 0; i < workers; i++) {
		int status = -1;

		if (waitpid(pids[i], &status, 0) != pids[i])
			abort();
		wrong += WIFEXITED(status) ? (unsigned)WEXITSTATUS(status) : 1;
	}
	return wrong;
}

/* ---- a trial when nothing fails ---- */

/* A MiB that nothing here needs, and that each copy would bring along. */
static void remove_reserve(const char *store)
{
	TEXT *path = text_of("%s/.pleach/reserve", store);

	if (unlink(path) < 0)
		abort();
}

static char *copy_of_template(const struct matrix *m)
{
	TEXT *dir = text_of("%s/template", m->y->path);
	TEXT *copy = text_of("%s/done", m->y->path);

	yard_copy(dir, copy);
	return text_of("%s/S", copy);
}

static void expect_old(struct matrix *m, const char *store)
{
	TEXT *site = text_of("%s/site", store);
	TEXT *next = text_of("%s/c", m->y->path);
	struct expected *e = &m->expected;

	e->observe = m->trial->observe;
	e->is_gradual = m->trial->is_gradual;
	e->next_tree = fingerprint(next);
	e->old_state = e->observe ? e->observe(store) : observe(store);
	e->old_tree = fingerprint(site);
	m->always = m->trial->always ? m->trial->always(store) : NULL;
}

static void expect_new(struct matrix *m, const char *store)
{
	TEXT *site = text_of("%s/site", store);
	struct expected *e = &m->expected;
	TEXT *trouble = NULL;

	e->new_state = e->observe ? e->observe(store) : observe(store);
	e->new_tree = fingerprint(site);
	trouble = trouble_by_collection(m, store);
	if (trouble) {
		(void)printf("# %s, nothing failing: %s\n", m->trial->name, trouble);
		abort();
	}
	m->pool = pool_of(store);
}

char *matrix_begin(struct matrix *m, const struct yard *y, const struct trial *trial)
{
	TEXT *dir = text_of("%s/template", y->path);
	TEXT *template = text_of("%s/S", dir);
	TEXT *copy = NULL, *done = text_of("%s/done", y->path);
	struct report *report = shared_report();
	char *hindrance = NULL;

	*m = (struct matrix){.y = y, .trial = trial};
	if (mkdir(dir, 0755) < 0)
		abort();
	trial->prepare(y, template);
	remove_reserve(template);
	copy = copy_of_template(m);
	expect_old(m, copy);
	in_child(m, copy, &faults[0], 0, report);
	m->calls = report->calls / step_of(trial);
	m->allocations = report->allocations / step_of(trial);
	if (report->trouble[0] || report->r != 0)
		hindrance = text_of("%s", report->trouble[0] ? report->trouble : report->message);
	else
		expect_new(m, copy);
	yard_remove(done);
	(void)munmap(report, sizeof(*report));
	return hindrance;
}

void matrix_end(struct matrix *m)
{
	TEXT *dir = text_of("%s/template", m->y->path);

	yard_remove(dir);
	expected_done(&m->expected);
	free(m->pool);
	free(m->always);
}
