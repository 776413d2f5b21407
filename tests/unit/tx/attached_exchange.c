/*
 * G1, G2, G6, G7 for attachments by exchange (attachments.h). What somebody puts at the path in between, at
 * whatever call, is there at the end, also if the command was killed right after.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "controls.h"
#include "gc/repairs.h"
#include "tx/attachments.h"

static void an_exchange_killed_anywhere_is_finished_by_the_next_command(void **state)
{
	killed_anywhere(*state);
}

static void an_exchange_whose_call_fails_is_mended_by_the_next_command(void **state)
{
	failing_anywhere(*state);
}

/* ---- strangers ---- */

struct stranger {
	const struct paths *paths;
	uint64_t at;
};

/* Somebody moves ours away and makes a directory of his own there. */
static void put_stranger(uint64_t number, enum pl_call call, void *userdata)
{
	const struct stranger *s = userdata;
	TEXT *aside = text_of("%s/aside", s->paths->out);
	int fd;

	(void)call;
	if (number != s->at)
		return;
	if (rename(s->paths->path, aside) < 0 && errno != ENOENT)
		abort();
	if (mkdir(s->paths->path, 0755) < 0)
		abort();
	fd = open(s->paths->stranger, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0 || write(fd, "mine", 4) != 4)
		abort();
	close(fd);
}

static void stranger_must_be_there(const struct paths *p, const struct scene *scene, uint64_t k)
{
	char state[32];

	print_message("# %s: a stranger at call %llu\n", scene->name, (unsigned long long)k);
	status(p, state);
	assert_int_equal(access(p->stranger, F_OK), 0);
	if (state[0])
		assert_string_equal(state, "foreign");
}

static void what_a_stranger_puts_at_the_path_is_not_touched(void **state)
{
	struct paths p;

	prepare(*state, &p);
	for (size_t i = 0; i < PL_ARRAY_LEN(scenes); i++) {
		uint64_t n = count_calls(&p, &scenes[i]);

		for (uint64_t k = 1; k < n; k++) {
			struct stranger stranger = {.paths = &p, .at = k};
			struct pl_seam_plan plan = {.stop = put_stranger, .userdata = &stranger};

			begin(&p, &scenes[i]);
			end_at(&p, &scenes[i], &plan);
			stranger_must_be_there(&p, &scenes[i], k);
			/* And killed at the next call, behind the exchange that has brought it out, say. */
			plan.exit_at = k + 1;
			begin(&p, &scenes[i]);
			end_at(&p, &scenes[i], &plan);
			stranger_must_be_there(&p, &scenes[i], k);
		}
	}
	done(&p);
}

/* ---- repairs ---- */

static void add_stray(const struct paths *p)
{
	put(p->path, "stray", "SCRIBBLE");
}

static void replace_file(const struct paths *p)
{
	TEXT *file = text_of("%s/a", p->path);

	if (unlink(file) < 0)
		abort();
	put(p->path, "a", "SCRIBBLE");
}

static void take_away(const struct paths *p)
{
	yard_remove(p->path);
}

static const struct {
	const char *name;
	void (*damage)(const struct paths *p);
	unsigned n_aside; /* so many directories lie beside the path in the end, for good */
} damages[] = {{"stray", add_stray, 1}, {"replaced", replace_file, 1}, {"gone", take_away, 0}};

static int repair_until(const struct paths *p, uint64_t k)
{
	int exited = -1;
	pid_t pid = fork();

	if (pid == 0) {
		ANSWER a = {0};

		pl_seam_arm(&(struct pl_seam_plan){.exit_at = k});
		a = repair(p->store);
		_exit(a.r == 0 ? 0 : 1);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &exited, 0), pid);
	assert_true(WIFEXITED(exited));
	return WEXITSTATUS(exited);
}

/* The damage stays, under a name, whatever comes next; and nothing else does. */
static void must_be_renewed(const struct paths *p, size_t i, uint64_t k)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	TEXT *trouble = NULL;
	char state[32];

	print_message("# %s: ended at call %llu\n", damages[i].name, (unsigned long long)k);
	assert_int_equal(count_content(p->out, "SCRIBBLE"), damages[i].n_aside);
	if (k % 2)
		status(p, state);
	{
		ANSWER a = repair(p->store);

		if (a.r != 0)
			fail_msg("the next one answers %d: %s", a.r, a.text);
	}
	path_must_be_as_recorded(p);
	trouble = trouble_by_check(p->store, 0);
	if (trouble)
		fail_msg("%s", trouble);
	assert_int_equal(run(p, PUBLISH, NULL, &error), 0);
	path_must_be_as_recorded(p);
	status(p, state);
	assert_string_equal(state, "ok");
	assert_int_equal(run(p, DETACH, NULL, &error), 0);
	assert_int_equal(count_content(p->out, "SCRIBBLE"), damages[i].n_aside);
	assert_int_equal(count_names(p->out), damages[i].n_aside);
	{
		TEXT *tx = names_in(p->store, "tx");
		TEXT *showing = names_in(p->store, "refs/site/showing");

		assert_string_equal(tx, "");
		assert_string_equal(showing, "");
	}
}

static void a_renewal_killed_anywhere_is_finished_by_the_next_repair(void **state)
{
	const struct scene scene = {"repair", "site", PUBLISH, NULL};
	struct paths p;
	unsigned n = 0;

	prepare(*state, &p);
	for (size_t i = 0; i < PL_ARRAY_LEN(damages); i++) {
		int exited = KILLED;

		for (uint64_t k = 1; exited == KILLED; k++, n++) {
			begin(&p, &scene);
			damages[i].damage(&p);
			exited = repair_until(&p, k);
			assert_true(exited == KILLED || exited == 0);
			must_be_renewed(&p, i, k);
		}
	}
	print_message("# %u points\n", n);
	assert_true(n > 60);
	done(&p);
}

/* ---- power cuts ---- */

/* Does the text still say that the exchange is to come? */
static bool is_announced(const struct paths *p)
{
	TEXT *line = text_of("grep -q '^next ' '%s'/.pleach/refs/site/showing/*", p->store);

	return system(line) == 0; /* NOLINT(cert-env33-c) */
}

struct counted {
	unsigned syncs, renames;
};

static void count_syncs(uint64_t number, enum pl_call call, void *userdata)
{
	struct counted *c = userdata;

	(void)number;
	c->renames += call == PL_CALL_RENAME;
	c->syncs += call == PL_CALL_SYNC && c->renames == 0;
}

/* 1. it is exchanged and killed, 2. the next one finds the other OLD, writes that down, and erases it, 3. the power
 * fails, and takes the exchange back: so the names are synced before the text is. (model/exchange.pml) */
static void what_a_killed_swap_has_left_is_durable_before_the_text_says_so(void **state)
{
	const struct scene *scene = &scenes[3];
	struct paths p;
	unsigned found = 0;
	uint64_t n;

	prepare(*state, &p);
	n = count_calls(&p, scene);
	for (uint64_t k = 1; k <= n; k++) {
		const struct pl_seam_plan plan = {.exit_at = k};
		struct counted counted = {0};
		TEXT *seen = NULL;
		char now[32];

		begin(&p, scene);
		end_at(&p, scene, &plan);
		seen = fingerprint(p.path);
		if (strcmp(seen, p.trees[3]) != 0 || !is_announced(&p))
			continue;
		found++;
		pl_seam_arm(&(struct pl_seam_plan){.stop = count_syncs, .userdata = &counted});
		status(&p, now);
		pl_seam_arm(NULL);
		assert_string_equal(now, "ok");
		assert_true(counted.renames > 0);
		assert_int_equal(counted.syncs, 2); /* of the names, and of the text */
	}
	assert_true(found > 0);
	done(&p);
}

static void where_names_cannot_be_exchanged_it_is_refused_with_the_reason(void **state)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct paths p;

	prepare(*state, &p);
	begin(&p, &scenes[0]);
	pl_seam_disable(PL_CAP_EXCHANGE);
	assert_int_equal(run(&p, ATTACH, "site", &error), -EOPNOTSUPP);
	assert_non_null(strstr(error.message, "RENAME_EXCHANGE"));
	assert_int_equal(count_names(p.out), 0);
	pl_seam_disable(0);
	assert_int_equal(run(&p, ATTACH, "site", &error), 0);
	done(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		yard_test(an_exchange_killed_anywhere_is_finished_by_the_next_command),
		yard_test(an_exchange_whose_call_fails_is_mended_by_the_next_command),
		yard_test(a_renewal_killed_anywhere_is_finished_by_the_next_repair),
		yard_test(what_a_stranger_puts_at_the_path_is_not_touched),
		yard_test(what_a_killed_swap_has_left_is_durable_before_the_text_says_so),
		yard_test(where_names_cannot_be_exchanged_it_is_refused_with_the_reason),
	};

	controls_by_environment();
	attachment_mode = "exchange";
	return cmocka_run_group_tests(tests, NULL, NULL);
}
