/*
 * driver - runs the functions that libFuzzer runs, where there is no libFuzzer: on each input of a corpus, and on so
 * many that are made of them by chance, the same ones for the same seed.
 *
 *	fuzz-inputs --suite CORPUS
 *	fuzz-inputs [--target NAME] [--seed N] [--executions N] CORPUS
 *	fuzz-inputs --target NAME --input FILE
 *
 * Each target has a process of its own. One that ends, or works at one input for a minute, leaves it in a file.
 */
#include <dirent.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuzz/inputs/mutate.h"
#include "fuzz/inputs/targets.h"

#define SUITE_EXECUTIONS 20000
#define INPUTS		 256
#define SECONDS		 60

static struct options {
	const char *target, *input, *corpus;
	uint64_t seed, executions;
} options = {.seed = 1, .executions = SUITE_EXECUTIONS};

static struct input inputs[INPUTS];
static size_t inputs_n;
static struct input *current; /* shared with who waits */

static int load(int dirfd, const char *name)
{
	struct input *in = &inputs[inputs_n];
	int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, in->data, sizeof(in->data));

	if (fd >= 0)
		(void)close(fd);
	if (n < 0)
		return -1;
	in->size = (size_t)n;
	inputs_n++;
	return 0;
}

static int load_corpus(const char *target)
{
	char path[4096];
	struct dirent **names;
	int n, fd;

	inputs_n = 0;
	(void)snprintf(path, sizeof(path), "%s/%s", options.corpus, target);
	n = scandir(path, &names, NULL, alphasort);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int i = 0; i < n; i++) {
		if (names[i]->d_name[0] != '.' && inputs_n < INPUTS)
			(void)load(fd, names[i]->d_name);
		free(names[i]);
	}
	if (n >= 0)
		free(names);
	if (fd >= 0)
		(void)close(fd);
	return inputs_n > 0 ? 0 : -1;
}

static void execute(const struct input *in)
{
	uint8_t *exact = malloc(in->size > 0 ? in->size : 1); /* so that a step past it is seen */

	if (!exact)
		abort();
	*current = *in;
	memcpy(exact, in->data, in->size);
	(void)alarm(SECONDS);
	(void)LLVMFuzzerTestOneInput(exact, in->size);
	free(exact);
}

/* In the child. */
static void run_all(uint64_t seed)
{
	uint64_t state = seed;

	for (size_t i = 0; i < inputs_n; i++)
		execute(&inputs[i]);
	for (uint64_t i = inputs_n; i < options.executions; i++) {
		struct input in = inputs[chance_below(&state, inputs_n)];

		mutate(&in, &inputs[chance_below(&state, inputs_n)], &state);
		execute(&in);
	}
	targets_end();
}

static void keep_input(const char *target)
{
	char name[128];
	int fd;

	(void)snprintf(name, sizeof(name), "found-%s-%" PRIu64, target, options.seed);
	fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0 || write(fd, current->data, current->size) != (ssize_t)current->size)
		(void)printf("# cannot keep the input\n");
	else
		(void)printf("# the input: %s; again: fuzz inputs --target %s --input %s\n", name,
			     target, name);
	if (fd >= 0)
		(void)close(fd);
}

/* True: nothing was found. */
static bool run_target(const struct target *target, unsigned number)
{
	int status = -1;
	pid_t pid;

	if (targets_choose(target->name) < 0 || load_corpus(target->name) < 0) {
		(void)printf("not ok %u - %s: no inputs in %s\n", number, target->name,
			     options.corpus);
		return false;
	}
	(void)fflush(stdout);
	pid = fork();
	if (pid == 0) {
		run_all(options.seed);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		abort();
	if (status != 0) {
		(void)printf("not ok %u - %s: %s %d\n", number, target->name,
			     WIFSIGNALED(status) ? "signal" : "status",
			     WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
		keep_input(target->name);
		return false;
	}
	(void)printf("ok %u - %s: %zu inputs, %" PRIu64 " executions\n", number, target->name,
		     inputs_n, options.executions);
	return true;
}

static int run_input(void)
{
	if (load(AT_FDCWD, options.input) < 0 || targets_choose(options.target) < 0)
		return 2;
	execute(&inputs[0]);
	targets_end();
	return 0;
}

static int usage(void)
{
	(void)fprintf(stderr, "usage: fuzz inputs [--target NAME] [--seed N] [--executions N]\n"
			      "       fuzz inputs --target NAME --input FILE\ntargets:");
	for (size_t i = 0; i < targets_n; i++)
		(void)fprintf(stderr, " %s", targets[i].name);
	(void)fprintf(stderr, "\n");
	return 2;
}

static int parse(int argc, char **argv)
{
	static const struct option known[] = {{"suite", no_argument, NULL, 'S'},
					      {"target", required_argument, NULL, 't'},
					      {"seed", required_argument, NULL, 's'},
					      {"executions", required_argument, NULL, 'n'},
					      {"input", required_argument, NULL, 'i'},
					      {0}};
	int c;

	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
		if (c == 't')
			options.target = optarg;
		else if (c == 's')
			options.seed = strtoull(optarg, NULL, 10);
		else if (c == 'n')
			options.executions = strtoull(optarg, NULL, 10);
		else if (c == 'i')
			options.input = optarg;
		else if (c != 'S')
			return usage();
	}
	options.corpus = optind < argc ? argv[optind] : NULL;
	return (options.input ? options.target != NULL : options.corpus != NULL) ? 0 : usage();
}

int main(int argc, char **argv)
{
	unsigned number = 0, wrong = 0;
	int r = parse(argc, argv);

	if (r)
		return r;
	current = mmap(NULL, sizeof(*current), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		       -1, 0);
	if (current == MAP_FAILED)
		return 1;
	if (options.input)
		return run_input();
	(void)printf("# seed %" PRIu64 "\n", options.seed);
	for (size_t i = 0; i < targets_n; i++)
		if (!options.target || strcmp(options.target, targets[i].name) == 0)
			wrong += !run_target(&targets[i], ++number);
	(void)printf("1..%u\n", number);
	return wrong > 0 || number == 0;
}
