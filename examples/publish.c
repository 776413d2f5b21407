/*
 * Publishes a directory and says what became of it:
 *
 *	cc publish.c -o publish $(pkg-config --cflags --libs pleach)
 *	./publish STORE REF DIRECTORY
 *
 * The store is made if it is not there. Whoever reads STORE/REF meanwhile sees the old tree or the new
 * one, whole.
 */
#include <pleach.h>
#include <stdio.h>

/* Prints an error as the command does, and gives the command's exit status for it. */
static int complain(const struct pleach_error *error)
{
	fprintf(stderr, "publish: %s\n", error->message);
	if (error->hint[0])
		fprintf(stderr, "hint: %s\n", error->hint);
	return error->code;
}

static int publish(struct pleach_store *store, const char *ref, const char *directory)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pleach_publish_options options = PLEACH_PUBLISH_OPTIONS_INIT;
	struct pleach_publish_result result = PLEACH_PUBLISH_RESULT_INIT;
	struct pleach_source source = {PLEACH_SOURCE_DIR, NULL, NULL};

	source.spec = directory;
	options.message = "published by an example";
	if (pleach_publish(store, ref, &source, 1, &options, &result, &error) < 0)
		return complain(&error);
	if (result.unchanged)
		printf("%s@%llu unchanged\n", ref, (unsigned long long)result.generation);
	else
		printf("%s@%llu: %llu added, %llu modified, %llu removed\n", ref,
		       (unsigned long long)result.generation, (unsigned long long)result.added,
		       (unsigned long long)result.modified, (unsigned long long)result.removed);
	return 0;
}

int main(int argc, char **argv)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pleach_store *store;
	int status;

	if (argc != 4) {
		fprintf(stderr, "usage: publish STORE REF DIRECTORY\n");
		return PLEACH_USAGE;
	}
	if (pleach_store_init(argv[1], NULL, &error) < 0 ||
	    pleach_store_open(argv[1], &store, &error) < 0)
		return complain(&error);
	status = publish(store, argv[2], argv[3]);
	pleach_store_close(store);
	return status;
}
