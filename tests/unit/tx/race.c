/*
 * G1, G3: many processes at one ref. Bounded by counts, not by times.
 *
 * A tree here is ten files that all hold one number: its publisher's. Whoever sees two numbers in one
 * tree has seen a mixture.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "controls.h"
#include <stdatomic.h>

#include "tx/yard.h"

#define PUBLISHERS 8
#define FILES	   10
#define NUMBER_MAX 4096

/* What the processes of a test share. */
struct shared {
	atomic_uint running; /* of those that others wait for */
	atomic_uint wrong;
	atomic_uint published, conflicts, looks;
	atomic_uint generation_of[NUMBER_MAX]; /* of each number that was published */
};

static unsigned each(void)
{
	return getenv("PLEACH_CRASH_FULL") ? 60 : 12;
}

static struct shared *share(void)
{
	void *at = mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED)
		abort();
	return at;
}

static void wrong(struct shared *shared, const char *what, const char *how)
{
	if (atomic_fetch_add(&shared->wrong, 1) < 5)
		(void)fprintf(stderr, "# %s: %s\n", what, how);
}

/* ---- trees that hold a number ---- */

static void name_of(unsigned i, char name[16])
{
	(void)snprintf(name, 16, "%sf%u", i < FILES / 2 ? "" : "d/", i);
}

static void write_number(const char *source, unsigned number)
{
	TEXT *text = text_of("%u", number);
	char name[16];

	for (unsigned i = 0; i < FILES; i++) {
		name_of(i, name);
		put(source, name, text);
	}
	settle_dir(source, "d");
	settle_dir(source, ".");
}

static char *make_number_source(const struct yard *y, unsigned who)
{
	char *source = text_of("%s/source%u", y->path, who);

	if (mkdir(source, 0755) < 0)
		abort();
	make_dir(source, "d");
	return source;
}

/* The number in a file, -1 with errno. */
static long read_number(int dirfd, const char *name)
{
	int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC);
	char text[16] = "";
	ssize_t n;

	if (fd < 0)
		return -1;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	return n > 0 ? strtol(text, NULL, 10) : -2;
}

/* The number of the tree at `path`; -1: it has gone, -2: a mixture, or not whole. */
static long look(const char *path)
{
	int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	long number = -1;
	char name[16];

	if (dir < 0)
		return -1;
	for (unsigned i = 0; i < FILES; i++) {
		long found;

		name_of(i, name);
		found = read_number(dir, name);
		if (i == 0)
			number = found;
		if (found < 0 || found != number) {
			number = -2;
			break;
		}
	}
	close(dir);
	return number;
}

/* ---- processes ---- */

struct player {
	const struct yard *y;
	struct shared *shared;
	const char *store;
	unsigned who;
};

static pid_t start(const struct player *player, void (*play)(const struct player *player))
{
	pid_t pid = fork();

	if (pid == 0) {
		play(player);
		_exit(0);
	}
	if (pid < 0)
		abort();
	return pid;
}

static void join(struct shared *shared, pid_t pid)
{
	int status = -1;

	if (waitpid(pid, &status, 0) != pid || status != 0)
		wrong(shared, "a process", "ended badly");
}

static void note_published(const struct player *p, unsigned number, const struct outcome *o)
{
	if (o->r != 0 || o->published.unchanged) {
		wrong(p->shared, "publish",
		      o->r ? o->error.message : "it says that nothing changed");
		return;
	}
	atomic_fetch_add(&p->shared->published, 1);
	atomic_store(&p->shared->generation_of[number], (unsigned)o->published.generation);
}

static void play_publisher(const struct player *p)
{
	TEXT *source = make_number_source(p->y, p->who);
	struct outcome o;
	struct pleach_store *store = open_at(p->store, &o);

	must(&o, "open");
	for (unsigned i = 0; i < each(); i++) {
		unsigned number = 1 + p->who * each() + i;

		write_number(source, number);
		o = do_publish(store, "site", source, -1);
		note_published(p, number, &o);
	}
	pleach_store_close(store);
	atomic_fetch_sub(&p->shared->running, 1);
}

/* Publishes only upon the head that it has seen; begins again if it is another. */
static void play_careful_publisher(const struct player *p)
{
	TEXT *source = make_number_source(p->y, p->who);
	struct pleach_revision head = PLEACH_REVISION_INIT;
	struct outcome o;
	struct pleach_store *store = open_at(p->store, &o);

	must(&o, "open");
	for (unsigned i = 0; i < each();) {
		unsigned number = 1 + p->who * each() + i;

		o.r = pleach_resolve(store, "site", &head, &o.error);
		must(&o, "resolve");
		write_number(source, number);
		o = do_publish(store, "site", source, (int64_t)head.generation);
		if (o.r == -ECANCELED && o.error.code == PLEACH_CONFLICT) {
			atomic_fetch_add(&p->shared->conflicts, 1);
			continue;
		}
		note_published(p, number, &o);
		if (o.r == 0 && o.published.generation != head.generation + 1)
			wrong(p->shared, "if_head", "another generation came in between");
		i++;
	}
	pleach_store_close(store);
	atomic_fetch_sub(&p->shared->running, 1);
}

static void play_reader(const struct player *p)
{
	TEXT *site = text_of("%s/site", p->store);

	while (atomic_load(&p->shared->running) > 0 || atomic_load(&p->shared->looks) < 100) {
		long number = look(site);

		if (number < 0)
			wrong(p->shared, "a reader", number == -1 ? "saw a gap" : "saw a mixture");
		atomic_fetch_add(&p->shared->looks, 1);
	}
}

/* ---- what must be so afterwards ---- */

static void assert_each_number_once(const struct player *p, unsigned first, unsigned n)
{
	TEXT *names = names_in(p->store, "refs/site/gen");
	struct outcome o;
	struct pleach_store *store = open_at(p->store, &o);
	unsigned generations = 0;

	for (const char *c = names; *c; c++)
		generations += *c == ' ';
	assert_int_equal(generations, first + n - 1);
	for (unsigned number = 1; number <= n; number++) {
		unsigned generation = atomic_load(&p->shared->generation_of[number]);
		TEXT *rev = text_of("site@%u:d/f7", generation);
		struct pleach_file *file;
		char text[16] = "";

		assert_in_range(generation, first, first + n - 1);
		if (pleach_file_open(store, rev, &file, &o.error) < 0 ||
		    pleach_file_read(file, text, sizeof(text) - 1, &o.error) < 0)
			fail_msg("%s: %s", rev, o.error.message);
		pleach_file_close(file);
		assert_int_equal(strtol(text, NULL, 10),
				 number); /* so no two have one generation */
	}
	pleach_store_close(store);
}

static void assert_well(const struct player *p)
{
	TEXT *trouble = trouble_by_check(p->store, 0);
	TEXT *locks = trouble_by_locks(p->store);
	TEXT *tx = names_in(p->store, "tx");

	if (trouble || locks)
		fail_msg("%s", trouble ? trouble : locks);
	assert_string_equal(tx, "");
	assert_int_equal(atomic_load(&p->shared->wrong), 0);
}

/* Generation 1 holds the number 0, for readers to begin with. */
static void begin(const struct player *p, const char *const *settings)
{
	TEXT *source = make_number_source(p->y, 999);
	struct outcome o;

	make_store(p->store, settings);
	write_number(source, 0);
	o = publish_at(p->store, "site", source);
	must(&o, "publish");
}

static void run_publishers(const struct yard *y, void (*play)(const struct player *player))
{
	TEXT *store = text_of("%s/S", y->path);
	struct player p = {.y = y, .shared = share(), .store = store};
	pid_t publishers[PUBLISHERS], readers[2];

	begin(&p, NULL);
	atomic_store(&p.shared->running, PUBLISHERS);
	for (p.who = 0; p.who < PUBLISHERS; p.who++)
		publishers[p.who] = start(&p, play);
	for (unsigned i = 0; i < 2; i++)
		readers[i] = start(&p, play_reader);
	for (unsigned i = 0; i < PUBLISHERS; i++)
		join(p.shared, publishers[i]);
	for (unsigned i = 0; i < 2; i++)
		join(p.shared, readers[i]);
	print_message("# %u generations, %u conflicts, %u looks\n",
		      atomic_load(&p.shared->published), atomic_load(&p.shared->conflicts),
		      atomic_load(&p.shared->looks));
	assert_well(&p);
	assert_int_equal(atomic_load(&p.shared->published), PUBLISHERS * each());
	assert_each_number_once(&p, 2, PUBLISHERS * each());
	(void)munmap(p.shared, sizeof(*p.shared));
}

static void G3_of_eight_publishers_at_once_no_generation_is_lost(void **state)
{
	run_publishers(*state, play_publisher);
}

static void G3_with_if_head_a_publisher_lands_on_what_it_saw_or_is_told(void **state)
{
	run_publishers(*state, play_careful_publisher);
}

/* All of them begin the very first generation of a ref: one makes the ref, and none is lost. */
static void G3_eight_first_publishes_at_once_all_become_generations(void **state)
{
	const struct yard *y = *state;
	TEXT *store = text_of("%s/S", y->path);
	struct player p = {.y = y, .shared = share(), .store = store};
	pid_t publishers[PUBLISHERS];

	make_store(store, NULL);
	atomic_store(&p.shared->running, PUBLISHERS);
	for (p.who = 0; p.who < PUBLISHERS; p.who++)
		publishers[p.who] = start(&p, play_publisher);
	for (unsigned i = 0; i < PUBLISHERS; i++)
		join(p.shared, publishers[i]);
	assert_well(&p);
	assert_each_number_once(&p, 1, PUBLISHERS * each());
	(void)munmap(p.shared, sizeof(*p.shared));
}

/* ---- everything beside everything ---- */

static bool is_expected(int r)
{
	return r >= 0 || r == -EBUSY || r == -ENOENT || r == -EEXIST;
}

static void play_rollback(const struct player *p)
{
	struct pleach_publish_options options = PLEACH_PUBLISH_OPTIONS_INIT;
	struct outcome o;
	struct pleach_store *store = open_at(p->store, &o);

	while (atomic_load(&p->shared->running) > 0) {
		int r = pleach_rollback(store, "site", "@-2", &options, NULL, &o.error);

		if (r != 0 && r != -ENOENT)
			wrong(p->shared, "rollback", o.error.message);
	}
	pleach_store_close(store);
}

/* Drops and tags what is a few generations old. */
static void play_dropper(const struct player *p)
{
	struct pleach_drop_options options = PLEACH_DROP_OPTIONS_INIT;
	struct pleach_revision head = PLEACH_REVISION_INIT;
	struct outcome o;
	struct pleach_store *store = open_at(p->store, &o);

	options.now = 1;
	for (unsigned i = 0; atomic_load(&p->shared->running) > 0; i++) {
		TEXT *rev = NULL;
		TEXT *tag = text_of("t%u", i);
		int r;

		(void)pleach_resolve(store, "site", &head, &o.error);
		rev = text_of("site@%llu",
			      (unsigned long long)(head.generation > 3 ? head.generation - 3 : 1));
		r = i % 3 == 0 ? pleach_tag_set(store, "site", tag, rev, 0, &o.error)
			       : pleach_drop(store, rev, &options, NULL, &o.error);
		if (!is_expected(r))
			wrong(p->shared, i % 3 == 0 ? "tag" : "drop", o.error.message);
	}
	pleach_store_close(store);
}

/* Whoever pins keeps his tree, whatever the grace is (G1). */
static void play_pinner(const struct player *p)
{
	struct outcome o;
	struct pleach_store *store = open_at(p->store, &o);

	while (atomic_load(&p->shared->running) > 0) {
		struct pleach_pin *pin;
		int r = pleach_pin_open(store, "site", &pin, &o.error);

		if (r < 0 && r != -EBUSY)
			wrong(p->shared, "pin", o.error.message);
		if (r < 0)
			continue;
		for (unsigned i = 0; i < 20; i++)
			if (look(pleach_pin_path(pin)) < 0)
				wrong(p->shared, "a pinned tree", pleach_pin_path(pin));
		pleach_pin_close(pin);
		atomic_fetch_add(&p->shared->looks, 1);
	}
	pleach_store_close(store);
}

/* What is under way is no fault. */
static void play_checker(const struct player *p)
{
	while (atomic_load(&p->shared->running) > 0) {
		TEXT *trouble = trouble_by_check(p->store, 0);

		if (trouble)
			wrong(p->shared, "check beside the others", trouble);
	}
}

static void play_other_ref(const struct player *p)
{
	TEXT *source = make_number_source(p->y, p->who);
	struct pleach_drop_options options = PLEACH_DROP_OPTIONS_INIT;
	struct outcome o;
	struct pleach_store *store = open_at(p->store, &o);

	options.now = 1;
	for (unsigned i = 0; atomic_load(&p->shared->running) > 0; i++) {
		/* Numbers that `site` has as well: the same trees. */
		write_number(source, 1 + i % (4 * each()));
		o = do_publish(store, "other", source, -1);
		if (o.r != 0)
			wrong(p->shared, "publish of another ref", o.error.message);
		if (i % 3 == 2) {
			o.r = pleach_drop(store, "other", &options, NULL, &o.error);
			if (o.r < 0 && o.r != -EBUSY) /* who checks pins, and so do commits */
				wrong(p->shared, "drop of a ref", o.error.message);
		}
	}
	pleach_store_close(store);
}

static void G1_G3_G5_everything_beside_everything_harms_nothing(void **state)
{
	static const char *const settings[] = {"grace",	 "0", "keep-placed", "1",
					       "spares", "0", NULL};
	static void (*const others[])(const struct player *) = {
		play_rollback, play_dropper, play_pinner, play_checker, play_other_ref,
	};
	const struct yard *y = *state;
	TEXT *store = text_of("%s/S", y->path);
	struct player p = {.y = y, .shared = share(), .store = store};
	pid_t publishers[4], pids[PL_ARRAY_LEN(others)];

	begin(&p, settings);
	atomic_store(&p.shared->running, PL_ARRAY_LEN(publishers));
	for (p.who = 0; p.who < PL_ARRAY_LEN(publishers); p.who++)
		publishers[p.who] = start(&p, play_publisher);
	for (unsigned i = 0; i < PL_ARRAY_LEN(others); i++, p.who++)
		pids[i] = start(&p, others[i]);
	for (unsigned i = 0; i < PL_ARRAY_LEN(publishers); i++)
		join(p.shared, publishers[i]);
	for (unsigned i = 0; i < PL_ARRAY_LEN(others); i++)
		join(p.shared, pids[i]);
	print_message("# %u pins held meanwhile\n", atomic_load(&p.shared->looks));
	assert_int_equal(atomic_load(&p.shared->published), PL_ARRAY_LEN(publishers) * each());
	assert_well(&p);
	(void)munmap(p.shared, sizeof(*p.shared));
}

/* ---- controls ---- */

static void a_mixture_and_a_gap_are_seen(void **state)
{
	const struct yard *y = *state;
	TEXT *source = make_number_source(y, 0);
	TEXT *file = text_of("%s/d/f9", source);

	write_number(source, 7);
	assert_int_equal(look(source), 7);
	put(source, "d/f9", "8");
	assert_int_equal(look(source), -2);
	assert_int_equal(unlink(file), 0);
	assert_int_equal(look(source), -2);
	assert_int_equal(look(file), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		yard_test(a_mixture_and_a_gap_are_seen),
		yard_test(G3_of_eight_publishers_at_once_no_generation_is_lost),
		yard_test(G3_with_if_head_a_publisher_lands_on_what_it_saw_or_is_told),
		yard_test(G3_eight_first_publishes_at_once_all_become_generations),
		yard_test(G1_G3_G5_everything_beside_everything_harms_nothing),
	};

	controls_by_environment();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
