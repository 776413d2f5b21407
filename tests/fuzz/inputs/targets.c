/*
 * targets - see targets.h. Where a format ends with a sum over all before it, the input is tried as it is, and once more
 * with the right sum behind it: else no mutation would come further than the sum.
 */
#include "fuzz/inputs/targets.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "place/place.h"
#include "source/upper.h"

/* ---- where files have to be ---- */

static struct place {
	char path[64];
	int fd;
	struct pl_store *store;
	struct pl_ref ref; /* of the name `site`, with the id of zeros */
} place = {.fd = -1};

static void must(int r, const char *what)
{
	if (r >= 0)
		return;
	(void)fprintf(stderr, "%s: %s\n", what, strerror(-r));
	abort();
}

static void place_end(void)
{
	int parent = open("/dev/shm", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (place.fd < 0)
		return;
	pl_ref_close(&place.ref);
	pl_store_close(place.store);
	(void)close(place.fd);
	(void)pl_erase(parent, strrchr(place.path, '/') + 1, NULL);
	(void)close(parent);
	place.fd = -1;
}

/* A store with a ref, of two generations and a tag. */
static void place_begin(void)
{
	struct pleach_publish_options options = PLEACH_PUBLISH_OPTIONS_INIT;
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pleach_store *store;
	char path[128], source[128];

	if (place.fd >= 0)
		return;
	(void)snprintf(place.path, sizeof(place.path), "/dev/shm/pleach-fuzz-XXXXXX");
	if (!mkdtemp(place.path))
		abort();
	place.fd = open(place.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	(void)snprintf(path, sizeof(path), "%s/S", place.path);
	(void)snprintf(source, sizeof(source), "%s/source", place.path);
	must(mkdirat(place.fd, "source", 0755), "mkdir");
	must(mkdirat(place.fd, "source/d", 0755), "mkdir");
	must(mkdirat(place.fd, "marked", 0755), "mkdir");
	must(pleach_store_init(path, NULL, &error), error.message);
	must(pleach_store_open(path, &store, &error), error.message);
	for (int i = 0; i < 2; i++) {
		struct pleach_source from = {.kind = PLEACH_SOURCE_DIR, .spec = source};

		must(pleach_publish(store, "site", &from, 1, &options, NULL, &error),
		     error.message);
		must(mkdirat(place.fd, "source/more", 0755) < 0 && i == 0 ? -errno : 0, "mkdir");
	}
	must(pleach_tag_set(store, "site", "v1", "@1", 0, &error), error.message);
	pleach_store_close(store);
	must(pl_store_open(path, &place.store, &error), error.message);
	must(pl_ref_open(place.store, "site", &place.ref, &error), error.message);
}

/* The one file of this name, with these bytes. */
static void put(int dirfd, const char *name, const void *data, size_t size)
{
	int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	(void)close(fd);
}

/* ---- nodes and blocks ---- */

/* The input: how long the node is, in two bytes, the node, and then every block that it asks for. */
struct bytes {
	const uint8_t *node, *block;
	size_t node_size, block_size;
	bool is_node_read;
};

static int read_bytes(void *self, const struct pl_id *id, struct pl_buffer *b,
		      struct pleach_error *error)
{
	struct bytes *bytes = self;

	(void)id;
	if (!bytes->is_node_read)
		pl_buffer_add(b, bytes->node, bytes->node_size);
	else
		pl_buffer_add(b, bytes->block, bytes->block_size);
	bytes->is_node_read = true;
	return pl_buffer_ok(b) ? 0 : pl_fail_memory(error);
}

static int keep_no_block(void *self, const struct pl_id *id, const void *data, size_t length,
			 struct pleach_error *error)
{
	(void)self, (void)id, (void)data, (void)length, (void)error;
	return 0;
}

/* One node has one spelling: built again from what was read, it is the same. */
static void build_again(const struct pl_node *node)
{
	const struct pl_node_sink sink = {keep_no_block, NULL};
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pl_groups none = {0};
	struct pl_node_builder builder;
	struct pl_totals totals;
	struct pl_entry entry;
	PL_BUFFER b = {0};
	struct pl_id id;
	size_t cursor = 0;
	int r = 0;

	pl_node_builder_init(&builder);
	while (r == 0 && pl_node_next(node, &cursor, &entry) == 1) {
		struct pl_entry found;
		char name[PL_NAME_MAX + 1];

		pl_entry_name(&entry, name);
		pl_assert(pl_name_is_valid(name, strlen(name)));
		pl_assert(pl_node_find(node, entry.name, entry.name_length, &found) == 1);
		pl_assert(pl_entry_equal(&entry, &found));
		r = pl_node_builder_add(&builder, &entry);
		pl_assert(r == 0 || r == -EOVERFLOW);
	}
	if (r == -EOVERFLOW) {
		pl_assert(node->n_blocks > 0 || pl_node_totals(NULL, node, &totals, &error) < 0);
	} else if (node->n_blocks == 0) {
		must(pl_node_builder_end(&builder, &node->meta, &none, &sink, &b, &id, &totals,
					 &error),
		     error.message);
		pl_assert(b.length == node->bytes.length &&
			  memcmp(b.data, node->bytes.data, b.length) == 0);
	}
	pl_node_builder_done(&builder);
}

static void run_node(const uint8_t *data, size_t size)
{
	size_t length = size < 2 ? 0 : (size_t)data[0] << 8 | data[1];
	struct bytes bytes = {.node = data + (size < 2 ? size : 2)};
	const struct pl_node_source source = {read_bytes, &bytes};
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pl_groups groups = {0};
	struct pl_node node;
	struct pl_id id = {{0}};
	size_t rest = size < 2 ? 0 : size - 2;
	int r;

	bytes.node_size = length > rest ? rest : length;
	bytes.block = bytes.node + bytes.node_size;
	bytes.block_size = rest - bytes.node_size;
	r = pl_node_read(&source, &id, &node, &error);
	pl_assert(r == 0 || error.message[0]);
	if (r < 0)
		return;
	build_again(&node);
	r = pl_groups_read(&source, &node, &groups, &error);
	if (r == 0) {
		for (size_t i = 0; i < groups.n; i++)
			for (size_t j = 0; j < groups.groups[i].n_members; j++)
				pl_assert(pl_path_is_valid(pl_groups_path(&groups, i, j)));
		pl_groups_done(&groups);
	}
	pl_node_done(&node);
}

/* ---- texts ---- */

static void end_text(struct pl_buffer *b)
{
	if (b->length == 0 || b->data[b->length - 1] != '\n')
		pl_buffer_add_u8(b, '\n');
	pl_text_end(b);
}

/* As it is, and with the sum that belongs to it. */
static void with_sum(const uint8_t *data, size_t size, void (*fn)(const void *data, size_t size))
{
	PL_BUFFER b = {0};

	fn(data, size);
	pl_buffer_add(&b, data, size);
	end_text(&b);
	if (pl_buffer_ok(&b))
		fn(b.data, b.length);
}

static void decode_record(const void *data, size_t size)
{
	struct pl_record record;
	PL_BUFFER again = {0};

	if (pl_record_decode(data, size, &record) < 0)
		return;
	must(pl_record_encode(&record, &again), "encode");
	pl_assert(again.length == size && memcmp(again.data, data, size) == 0);
	pl_record_done(&record);
}

static void run_record(const uint8_t *data, size_t size)
{
	with_sum(data, size, decode_record);
}

static void decode_config(const void *data, size_t size)
{
	struct pl_settings settings;
	struct pl_values values;
	PL_BUFFER again = {0};

	if (pl_values_decode(data, size, &values) < 0)
		return;
	(void)pl_settings_resolve(&values, NULL, &settings, NULL);
	pl_buffer_add_string(&again, "pleach-settings 1\n");
	pl_values_add_to_text(&values, &again);
	pl_text_end(&again);
	pl_assert(pl_buffer_ok(&again) && again.length == size &&
		  memcmp(again.data, data, size) == 0);
	pl_values_done(&values);
}

static void run_config(const uint8_t *data, size_t size)
{
	with_sum(data, size, decode_config);
}

static void decode_store_config(const void *data, size_t size)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pl_store *store = NULL;
	char path[128];
	int config, r;

	(void)snprintf(path, sizeof(path), "%s/S", place.path);
	config = openat(place.fd, "S/.pleach", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (renameat(config, "config", config, "config-right") < 0)
		abort();
	put(config, "config", data, size);
	r = pl_store_open(path, &store, &error);
	pl_assert(r >= 0 || error.message[0]);
	pl_store_close(r >= 0 ? store : NULL);
	if (renameat(config, "config-right", config, "config") < 0)
		abort();
	(void)close(config);
}

static void run_store_config(const uint8_t *data, size_t size)
{
	place_begin();
	with_sum(data, size, decode_store_config);
}

/* With each key that a text is asked for, in any order: what is told holds no NUL and no more than there is. */
static void decode_text(const void *data, size_t size)
{
	static const char *const keys[] = {"ref", "ref-id", "tree", "time", "name", "generation"};
	struct pl_text text;
	struct pl_id id;
	uint32_t ns;
	int64_t s;

	if (pl_text_open(&text, data, size, "pleach-tag", 1) < 0)
		return;
	for (unsigned i = 0; i < 64 && !text.failed; i++) {
		const char *value = pl_text_next(&text, keys[i % PL_ARRAY_LEN(keys)]);

		pl_assert(!value || strlen(value) <= size);
	}
	pl_text_get_id(&text, "tree", &id);
	pl_text_get_time(&text, "time", &s, &ns);
	pl_assert(ns < 1000000000);
	(void)pl_text_get_number(&text, "generation");
	(void)pl_text_close(&text);
	pl_text_done(&text);
}

static void run_text(const uint8_t *data, size_t size)
{
	with_sum(data, size, decode_text);
}

/* Where the id of the ref has to stand, the input has 24 zeros. */
static void in_place(const void *data, size_t size, int dirfd, const char *name)
{
	static const char zeros[] = "000000000000000000000000";
	PL_BUFFER b = {0};

	pl_buffer_add(&b, data, size);
	for (size_t i = 0; i + 24 <= b.length; i++)
		if (memcmp(b.data + i, zeros, 24) == 0)
			memcpy(b.data + i, place.ref.id, 24);
	end_text(&b);
	put(dirfd, name, b.data, b.length);
}

static void run_tag(const uint8_t *data, size_t size)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pl_tag tag = {0};
	int tags, r;

	place_begin();
	tags = openat(place.ref.fd, "tags", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	in_place(data, size, tags, "fuzzed");
	(void)close(tags);
	r = pl_tag_read(&place.ref, "fuzzed", &tag, &error);
	pl_assert(r < 0 ? error.message[0] != '\0'
			: tag.generation > 0 && strcmp(tag.name, "fuzzed") == 0);
}

#define HASH "00000000000000000000000000000000000000000000000000000000000000aa"

static void run_attachment(const uint8_t *data, size_t size)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pl_attachment attachment;
	int dir, r;

	place_begin();
	(void)mkdirat(place.ref.fd, "attached", 0755);
	dir = openat(place.ref.fd, "attached", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	in_place(data, size, dir, HASH);
	(void)close(dir);
	r = pl_attachment_read_named(&place.ref, HASH, &attachment, &error);
	if (r == 0)
		pl_attachment_done(&attachment);
}

static void run_showing(const uint8_t *data, size_t size)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pl_showing showing;
	int dir, r;

	place_begin();
	(void)mkdirat(place.ref.fd, "showing", 0755);
	dir = openat(place.ref.fd, "showing", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	in_place(data, size, dir, HASH);
	(void)close(dir);
	r = pl_showing_read_named(&place.ref, HASH, &showing, &error);
	if (r == 0) {
		pl_assert(showing.n <= PL_SHOWN_MAX);
		pl_showing_done(&showing);
	}
}

static void run_note(const uint8_t *data, size_t size)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pl_tx_note note;

	place_begin();
	in_place(data, size, place.fd, "transaction");
	if (pl_tx_note_read(place.fd, "000000000000000000000001", &note, &error) == 0)
		pl_tx_note_done(&note);
}

/* ---- revisions ---- */

static void run_rev(const uint8_t *data, size_t size)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	char *text = strndup((const char *)data, size);
	struct pl_rev rev;
	int r;

	if (!text)
		return;
	place_begin();
	r = pl_rev_resolve(place.store, text, "site", &rev, &error);
	pl_assert(r >= 0 || error.message[0]);
	if (r >= 0) {
		pl_assert(!rev.path || (rev.path > text && rev.path <= text + strlen(text)));
		pl_assert(!rev.has_ref || rev.generation <= rev.head);
		pl_rev_done(&rev);
	}
	free(text);
}

/* ---- the scan cache ---- */

static void run_cache(const uint8_t *data, size_t size)
{
	static const char *const paths[] = {"a", "b", "d", "d/a", "d/b", "e"};
	const struct pl_cache_place at = {.dirfd = place.fd, .name = "scan"};
	struct stat st;
	struct pl_cache *cache;
	struct pl_id sum;
	PL_BUFFER b = {0};

	place_begin();
	pl_hash_of(data, size, &sum);
	pl_buffer_add(&b, data, size);
	pl_buffer_add(&b, sum.bytes, sizeof(sum.bytes));
	put(place.fd, "scan", b.data, b.length);
	if (fstat(place.fd, &st) < 0 ||
	    pl_cache_open(place.store, NULL, place.fd, PL_RULE_EXACT,
			  &(struct pl_cache_place){.dirfd = place.fd, .name = at.name}, &cache) < 0)
		abort();
	for (size_t i = 0; i < PL_ARRAY_LEN(paths); i++) {
		struct pl_entry entry;

		if (pl_cache_find(cache, paths[i], &st, &entry) == 1)
			pl_assert(entry.name_length <= PL_NAME_MAX);
	}
	pl_cache_close(cache);
}

/* ---- marks of overlayfs ---- */

/* Its first byte says which marks there are, and the rest is the value of each. */
static void run_marks(const uint8_t *data, size_t size)
{
	static const char *const names[] = {"opaque", "redirect", "metacopy", "whiteout"};
	struct pl_marks marks = {0};
	const char *flaw = NULL;
	PL_BUFFER handle = {0};
	bool is_user = geteuid() != 0;
	unsigned which = size > 0 ? data[0] : 0;
	char name[64];
	int fd;

	(void)pl_marks_handle(data, size, &handle);
	place_begin();
	fd = openat(place.fd, "marked", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (unsigned i = 0; i < PL_ARRAY_LEN(names); i++) {
		(void)snprintf(name, sizeof(name), "%s.overlay.%s", is_user ? "user" : "trusted",
			       names[i]);
		(void)fremovexattr(fd, name);
		if (which & 1u << i)
			(void)fsetxattr(fd, name, data + 1, size - 1, 0);
	}
	if (pl_marks_read(fd, is_user, &marks, &flaw) == -EBADMSG)
		pl_assert(flaw);
	else if (marks.is_redirected)
		pl_assert(pl_path_is_valid(pl_buffer_string(&marks.redirect)));
	(void)pl_marks_read_file(place.fd, "marked", is_user, &marks);
	pl_marks_done(&marks);
	(void)close(fd);
}

/* ---- small texts of the command line and of settings ---- */

static void run_words(const uint8_t *data, size_t size)
{
	char *text = strndup((const char *)data, size);
	struct pl_globs globs = {0};
	struct pl_id id;
	uint64_t n;

	if (!text)
		return;
	(void)pl_parse_u64(text, UINT64_MAX, &n);
	(void)pl_parse_duration(text, &n);
	(void)pl_parse_size(text, &n);
	if (pl_id_parse(text, &id) == 0) {
		char hex[PL_ID_HEX + 1];

		pl_assert(strcmp(pl_id_hex(&id, hex), text) == 0);
	}
	if (pl_path_is_valid(text))
		(void)pl_path_escapes(text, text);
	(void)pl_ref_name_is_valid(text);
	if (pl_globs_add(&globs, text) == 0)
		(void)pl_globs_match(&globs, "some/path/of-a.file", false);
	pl_globs_done(&globs);
	free(text);
}

/* ---- all of them ---- */

const struct target targets[] = {
	{"attachment", run_attachment},
	{"cache", run_cache},
	{"config", run_config},
	{"marks", run_marks},
	{"node", run_node},
	{"note", run_note},
	{"record", run_record},
	{"rev", run_rev},
	{"showing", run_showing},
	{"store-config", run_store_config},
	{"tag", run_tag},
	{"text", run_text},
	{"words", run_words},
};
const size_t targets_n = PL_ARRAY_LEN(targets);

static const struct target *chosen;

int targets_choose(const char *name)
{
	chosen = NULL;
	for (size_t i = 0; i < targets_n; i++)
		if (strcmp(targets[i].name, name) == 0)
			chosen = &targets[i];
	return chosen ? 0 : -1;
}

void targets_end(void)
{
	place_end();
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const char *name = getenv("PLEACH_FUZZ_TARGET");

	(void)argc, (void)argv;
	if (!name || targets_choose(name) < 0) {
		(void)fprintf(stderr, "no target '%s'\n", name ? name : "");
		exit(2);
	}
	(void)atexit(targets_end);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	chosen->run(data, size);
	return 0;
}
