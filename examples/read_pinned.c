/*
 * Reads a file of a published tree, for as long as it likes, whatever is published meanwhile:
 *
 *	cc read_pinned.c -o read_pinned $(pkg-config --cflags --libs pleach)
 *	./read_pinned STORE REF PATH
 *
 * The pin is a lock that is held: the generation stays whole until it is closed, or this process ends.
 * Several files that are read through one pin are all of the same generation.
 */
#include <pleach.h>
#include <stdio.h>

static int copy_out(const char *directory, const char *path)
{
	char name[4096], buffer[65536];
	size_t n;
	FILE *file;
	int failed;

	snprintf(name, sizeof(name), "%s/%s", directory, path);
	file = fopen(name, "rb");
	if (!file) {
		perror(name);
		return 1;
	}
	while ((n = fread(buffer, 1, sizeof(buffer), file)) > 0)
		fwrite(buffer, 1, n, stdout);
	failed = ferror(file) || fflush(stdout) != 0;
	fclose(file);
	return failed;
}

int main(int argc, char **argv)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pleach_revision revision = PLEACH_REVISION_INIT;
	struct pleach_store *store = NULL;
	struct pleach_pin *pin;
	int status;

	if (argc != 4) {
		fprintf(stderr, "usage: read_pinned STORE REF PATH\n");
		return PLEACH_USAGE;
	}
	if (pleach_store_open(argv[1], &store, &error) < 0 ||
	    pleach_pin_open(store, argv[2], &pin, &error) < 0) {
		fprintf(stderr, "read_pinned: %s\n", error.message);
		pleach_store_close(store);
		return error.code;
	}
	pleach_pin_revision(pin, &revision);
	fprintf(stderr, "reading %s@%llu\n", revision.ref, (unsigned long long)revision.generation);
	status = copy_out(pleach_pin_path(pin), argv[3]);
	pleach_pin_close(pin);
	pleach_store_close(store);
	return status;
}
