/*
 * errors - whatever call of a command fails, and with whatever errno: it says so, or does it in another way; nothing is
 * half done, held, leaked or wrongly said to be done, and the next one goes on (G2, G6). With every call that passes the
 * seam, and every allocation, failing once, and from then on.
 *
 *	errors --suite                      an evenly spread part of all cases, as a test
 *	errors [--full | --cases N] [--seed N] [--trial NAME] [--case TRIAL/FAULT/K] [--dir DIR]
 */
#include <getopt.h>

#include "errors/matrix.h"

#define SUITE_CASES 9000
#define SUITE_SEED  1

static struct options {
	uint64_t cases, seed;
	bool is_full;
	const char *trial, *dir;
	char *only; /* FAULT/K */
} options = {.cases = SUITE_CASES, .seed = SUITE_SEED};

static unsigned count_workers(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	return n < 1 ? 1 : n > 8 ? 8 : (unsigned)n;
}

struct tally {
	uint64_t tried, cases;
	unsigned number, wrong;
};

static void try_trial(const struct yard *y, const struct trial *trial, const struct choice *choice,
		      struct tally *tally)
{
	struct matrix m;
	uint64_t tried = 0;
	TEXT *hindrance = matrix_begin(&m, y, trial);
	unsigned wrong = hindrance ? 0 : matrix_try(&m, choice, count_workers(), &tried);

	tally->number++;
	if (hindrance && strstr(trial->name, "run-"))
		(void)printf("ok %u - %s # SKIP %s\n", tally->number, trial->name, hindrance);
	else if (hindrance)
		(void)printf("not ok %u - %s: %s\n", tally->number, trial->name, hindrance);
	else
		(void)printf("%sok %u - %s: %llu calls, %llu allocations, %llu of %llu cases\n",
			     wrong ? "not " : "", tally->number, trial->name,
			     (unsigned long long)m.calls, (unsigned long long)m.allocations,
			     (unsigned long long)tried, (unsigned long long)matrix_size(&m));
	tally->tried += tried;
	tally->cases += matrix_size(&m);
	tally->wrong += wrong + (hindrance && !strstr(trial->name, "run-"));
	matrix_end(&m);
}

/* How many cases there are in all is known when each has been run once; for a share a first guess will do. */
#define CASES_GUESSED 107000

static int try_all(const struct yard *y)
{
	struct choice choice = {.share = options.is_full || options.only ? 1 : options.cases,
				.of = options.is_full || options.only ? 1 : CASES_GUESSED,
				.seed = options.seed,
				.only = options.only};
	struct trial trials[TRIALS];
	struct tally tally = {0};
	size_t n = trials_list(trials);

	make_sources(y);
	make_many(y, "many");
	make_many(y, "more");
	put(y->path, "more/d3/5", "another one");
	for (size_t i = 0; i < n; i++)
		if (!options.trial || strcmp(options.trial, trials[i].name) == 0)
			try_trial(y, &trials[i], &choice, &tally);
	(void)printf("1..%u\n", tally.number);
	(void)printf("# seed %llu: %llu of %llu cases tried, %u wrong\n",
		     (unsigned long long)options.seed, (unsigned long long)tally.tried,
		     (unsigned long long)tally.cases, tally.wrong);
	return tally.wrong > 0 || tally.tried == 0;
}

static int usage(void)
{
	(void)fprintf(
		stderr,
		"usage: prove errors [--full | --cases N] [--seed N] [--trial NAME]\n"
		"                    [--case TRIAL/FAULT/K] [--dir DIR]\n"
		"--full: every case; --cases: about so many, evenly spread, which ones by the "
		"seed;\n--dir: stores lie there, and not in memory.\n");
	return 2;
}

static void parse_case(char *text)
{
	char *slash = strchr(text, '/');

	options.trial = text;
	if (slash) {
		*slash = '\0';
		options.only = slash + 1;
	}
}

static int parse(int argc, char **argv)
{
	static const struct option known[] = {
		{"suite", no_argument, NULL, 'S'},	 {"full", no_argument, NULL, 'f'},
		{"cases", required_argument, NULL, 'n'}, {"seed", required_argument, NULL, 's'},
		{"trial", required_argument, NULL, 't'}, {"case", required_argument, NULL, 'c'},
		{"dir", required_argument, NULL, 'd'},	 {0}};
	int c;

	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
		switch (c) {
		case 'S':
			break;
		case 'f':
			options.is_full = true;
			break;
		case 'n':
			options.cases = strtoull(optarg, NULL, 10);
			break;
		case 's':
			options.seed = strtoull(optarg, NULL, 10);
			break;
		case 't':
			options.trial = optarg;
			break;
		case 'c':
			parse_case(optarg);
			break;
		case 'd':
			options.dir = optarg;
			break;
		default:
			return usage();
		}
	}
	return optind < argc || options.cases == 0 ? usage() : 0;
}

int main(int argc, char **argv)
{
	void *state = NULL;
	int r = parse(argc, argv);

	if (r)
		return r;
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	if ((options.dir ? yard_make(&state, options.dir) : yard_setup(&state)) < 0) {
		(void)fprintf(stderr, "no directory for stores can be made\n");
		return 1;
	}
	r = try_all(state);
	(void)yard_teardown(&state);
	return r;
}
