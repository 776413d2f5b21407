/*
 * The same in C++11, shorter: that the header, its INIT macros and the library are usable from there.
 *
 *	lifecycle STORE DIRECTORY
 */
#include <pleach.h>

#include <cstdio>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>

namespace
{
struct StoreCloser {
	void operator()(pleach_store *store) const
	{
		pleach_store_close(store);
	}
};
using Store = std::unique_ptr<pleach_store, StoreCloser>;

void must(bool is_so, const char *what)
{
	if (!is_so)
		throw std::runtime_error(what);
}

Store make_store(const char *directory)
{
	pleach_error error = PLEACH_ERROR_INIT;
	pleach_store *store = nullptr;

	if (pleach_store_init(directory, nullptr, &error) < 0 ||
	    pleach_store_open(directory, &store, &error) < 0)
		throw std::runtime_error(error.message);
	return Store(store);
}

uint64_t publish(pleach_store *store, const char *directory)
{
	pleach_error error = PLEACH_ERROR_INIT;
	pleach_source source = {PLEACH_SOURCE_DIR, directory, nullptr};
	pleach_publish_options options = PLEACH_PUBLISH_OPTIONS_INIT;
	pleach_publish_result result = PLEACH_PUBLISH_RESULT_INIT;

	options.message = "from C++";
	if (pleach_publish(store, "site", &source, 1, &options, &result, &error) < 0)
		throw std::runtime_error(error.message);
	return result.generation;
}

uint64_t rollback(pleach_store *store)
{
	pleach_error error = PLEACH_ERROR_INIT;
	pleach_publish_result result = PLEACH_PUBLISH_RESULT_INIT;

	if (pleach_rollback(store, "site", "@1", nullptr, &result, &error) < 0)
		throw std::runtime_error(error.message);
	return result.generation;
}

std::string messages(pleach_store *store)
{
	pleach_error error = PLEACH_ERROR_INIT;
	pleach_generation generation = PLEACH_GENERATION_INIT;
	pleach_log *log = nullptr;
	std::string all;

	must(pleach_log_open(store, "site", nullptr, &log, &error) == 0, error.message);
	while (pleach_log_next(log, &generation, &error) > 0)
		all += std::to_string(generation.number) + ":" + generation.message + ";";
	pleach_log_close(log);
	return all;
}

std::string read_pinned(pleach_store *store, const char *rev, const char *name)
{
	pleach_error error = PLEACH_ERROR_INIT;
	pleach_pin *pin = nullptr;

	must(pleach_pin_open(store, rev, &pin, &error) == 0, error.message);
	std::ifstream file(std::string(pleach_pin_path(pin)) + "/" + name);
	std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
	pleach_pin_close(pin);
	return text;
}
} // namespace

int main(int argc, char **argv)
try {
	must(argc == 3, "usage: lifecycle STORE DIRECTORY");
	Store store = make_store(argv[1]);

	must(publish(store.get(), argv[2]) == 1, "the first generation");
	std::ofstream(std::string(argv[2]) + "/a") << "other";
	must(publish(store.get(), argv[2]) == 2, "the second generation");
	must(rollback(store.get()) == 3, "the third generation");
	must(messages(store.get()) == "3:;2:from C++;1:from C++;", "the log");
	must(read_pinned(store.get(), "site@2", "a") == "other", "what was pinned");
	must(read_pinned(store.get(), "site", "a") == "one", "the head");
	std::printf("%s\n", pleach_version());
	return 0;
} catch (const std::exception &e) {
	std::fprintf(stderr, "lifecycle.cc: %s\n", e.what());
	return 1;
}
