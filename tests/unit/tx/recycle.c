/*
 * Recycling: a tree that is laid out from a spare is what one laid out in full is (G8), whatever came
 * before; its cost follows the directories that changed (G9); whoever is still in the old tree sees it
 * empty out (G1); what is needed is not recycled; and what is wrong with a spare is no error.
 *
 * Chains of publishes are random: PLEACH_SEED=N runs just that one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <grp.h>

#include "tx/yard.h"

#define STEPS	  25
#define NAMES_MAX 200

/* ---- a source that changes at random ---- */

struct model {
	char path[YARD_PATH], src[YARD_PATH];
	uint64_t random;
	unsigned snapshots;
	char *dirs[NAMES_MAX], *files[NAMES_MAX];
	size_t n_dirs, n_files;
};

static unsigned draw(struct model *m, size_t below)
{
	m->random = m->random * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)((m->random >> 33) % below);
}

/* What a directory's mode is follows from its name, so that one that does not change keeps it. */
static mode_t mode_of(const char *name)
{
	static const mode_t modes[] = {0755, 0555, 0500, 0750, 01777, 0775};

	return modes[(unsigned char)name[strlen(name) - 1] % PL_ARRAY_LEN(modes)];
}

static void set_modes(struct model *m, bool open)
{
	for (size_t i = m->n_dirs; i > 0; i--)
		(void)chmod(m->dirs[i - 1], open ? 0755 : mode_of(m->dirs[i - 1]));
}

static void forget(struct model *m)
{
	for (size_t i = 0; i < m->n_dirs; i++)
		free(m->dirs[i]);
	for (size_t i = 0; i < m->n_files; i++)
		free(m->files[i]);
	m->n_dirs = m->n_files = 0;
}

/* Directories but the root, a parent before what is in it, and all else. */
static void look(struct model *m)
{
	char *const roots[] = {m->src, NULL};
	FTS *fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, by_name);
	FTSENT *e;

	forget(m);
	while (fts && (e = fts_read(fts)) && m->n_dirs < NAMES_MAX && m->n_files < NAMES_MAX) {
		if (e->fts_info == FTS_D && e->fts_level > 0)
			m->dirs[m->n_dirs++] = strdup(e->fts_path);
		else if (e->fts_info != FTS_D && e->fts_info != FTS_DP)
			m->files[m->n_files++] = strdup(e->fts_path);
	}
	(void)fts_close(fts);
}

static const char *some_dir(struct model *m)
{
	size_t i = draw(m, m->n_dirs + 1);

	return i == m->n_dirs ? m->src : m->dirs[i];
}

static char *some_name(struct model *m)
{
	return text_of("%s/%c", some_dir(m), 'a' + (int)draw(m, 12));
}

/* Few contents, with times that follow from them: equal files are equal objects. */
static void write_some(struct model *m, const char *path)
{
	TEXT *content = text_of("%u", draw(m, 9)); /* at times with a second digit */
	struct stat st;

	if (lstat(path, &st) == 0 && !S_ISREG(st.st_mode))
		return;
	put("", path, draw(m, 8) == 0 ? "" : content);
}

static void change(struct model *m)
{
	TEXT *name = some_name(m);
	TEXT *other = some_name(m);
	char *file = m->n_files > 0 ? m->files[draw(m, m->n_files)] : NULL;
	char *dir = m->n_dirs > 0 ? m->dirs[draw(m, m->n_dirs)] : NULL;

	switch (draw(m, 14)) {
	case 0:
	case 1:
		write_some(m, name);
		break;
	case 2:
		if (file)
			write_some(m, file);
		break;
	case 3:
		if (m->n_dirs < 25)
			(void)mkdir(name, 0755);
		break;
	case 4:
		if (file)
			(void)unlink(file);
		break;
	case 5: /* a group across directories, or a larger one */
	case 6:
	case 7:
		if (file)
			(void)link(file, name);
		break;
	case 8: /* a file moves */
		if (file)
			(void)rename(file, name);
		break;
	case 9: /* a directory moves */
		if (dir)
			(void)rename(dir, name);
		break;
	case 10: /* a file becomes a directory, or the other way round */
		if (file && unlink(file) == 0)
			(void)mkdir(file, 0755);
		else if (dir && rmdir(dir) == 0)
			write_some(m, dir);
		break;
	case 11:
		(void)symlink("x/y", name);
		break;
	case 12:
		(void)mkfifo(name, 0600);
		break;
	default: /* two names change places */
		if (file && rename(file, other) == 0)
			write_some(m, file);
	}
}

static void change_some(struct model *m)
{
	unsigned n = 1 + draw(m, 4);

	look(m);
	set_modes(m, true);
	for (unsigned i = 0; i < n; i++) {
		change(m);
		look(m);
	}
	set_modes(m, false);
}

/* As it was some time ago, times and all. */
static void change_back(struct model *m)
{
	TEXT *snapshot = text_of("%s/snapshot%u", m->path, draw(m, m->snapshots));

	yard_remove(m->src);
	yard_copy(snapshot, m->src);
}

static void note_snapshot(struct model *m)
{
	TEXT *snapshot = text_of("%s/snapshot%u", m->path, m->snapshots++);

	yard_copy(m->src, snapshot);
}

static void begin_model(struct model *m, const char *path, uint64_t seed)
{
	*m = (struct model){.random = seed * 2654435761u + 1};
	(void)snprintf(m->path, sizeof(m->path), "%s", path);
	(void)snprintf(m->src, sizeof(m->src), "%s/src", path);
	if (mkdir(m->src, 0755) < 0)
		abort();
	for (unsigned i = 0; i < 60; i++) {
		look(m);
		change(m);
	}
	look(m);
	set_modes(m, false);
}

/* ---- chains ---- */

/* Each name by itself: which of them are one inode is not compared. */
static char *flat_fingerprint(const char *path, const char *copy)
{
	TEXT *from = text_of("%s/", path);
	const char *const argv[] = {"cp", "-r", "--preserve=mode,timestamps", "-T", from,
				    copy, NULL};
	char *text;

	yard_run(argv);
	text = fingerprint(copy);
	yard_remove(copy);
	return text;
}

static char *trouble_by_tree(struct model *m, const char *store, bool is_content)
{
	TEXT *site = text_of("%s/site", store);
	TEXT *copy = text_of("%s/copy", m->path);
	TEXT *expected = is_content ? flat_fingerprint(m->src, copy) : fingerprint(m->src);
	TEXT *found = is_content ? flat_fingerprint(site, copy) : fingerprint(site);

	if (strcmp(expected, found) != 0)
		return text_of("expected\n%s\nfound\n%s", expected, found);
	return trouble_by_check(store, 0);
}

static char *trouble_by_rollback(struct model *m, const char *path, unsigned head)
{
	struct pleach_publish_options options = PLEACH_PUBLISH_OPTIONS_INIT;
	struct outcome o;
	struct pleach_store *store = open_at(path, &o);
	TEXT *rev = text_of("@%u", 1 + draw(m, head));
	char *trouble = NULL;

	o.r = pleach_rollback(store, "site", rev, &options, &o.published, &o.error);
	if (o.r < 0)
		trouble = text_of("rollback: %s", o.error.message);
	pleach_store_close(store);
	return trouble ? trouble : trouble_by_check(path, 0);
}

static char *trouble_in_step(struct model *m, const char *store, bool is_content, unsigned *head)
{
	struct outcome o;

	if (draw(m, 6) == 0 && *head > 0) {
		char *trouble = trouble_by_rollback(m, store, *head);

		(*head)++;
		if (trouble)
			return trouble;
	}
	if (draw(m, 5) == 0 && m->snapshots > 0)
		change_back(m);
	else
		change_some(m);
	if (draw(m, 3) == 0)
		note_snapshot(m);
	o = publish_at(store, "site", m->src);
	if (o.r < 0)
		return text_of("publish: %s", o.error.message);
	*head = (unsigned)o.published.generation;
	return trouble_by_tree(m, store, is_content);
}

/* A chain of publishes, back and forth. Prints what is wrong, and answers whether something was. */
static bool chain_is_wrong(const char *path, uint64_t seed, bool is_content, const char *recycle)
{
	const char *settings[] = {"grace",	 "0",
				  "spares",	 seed % 3 ? "4" : "1",
				  "share",	 is_content ? "content" : "names",
				  "keep-placed", seed % 2 ? "1" : "2",
				  "recycle",	 recycle,
				  NULL};
	TEXT *store = text_of("%s/S", path);
	TEXT *trouble = NULL;
	struct model m;
	unsigned head = 0;

	begin_model(&m, path, seed);
	make_store(store, settings);
	for (unsigned i = 0; i < STEPS && !trouble; i++)
		trouble = trouble_in_step(&m, store, is_content, &head);
	if (trouble)
		(void)fprintf(stderr, "# PLEACH_SEED=%llu: %s\n", (unsigned long long)seed,
			      trouble);
	forget(&m);
	return trouble != NULL;
}

static void try_chains(const struct yard *y, unsigned n, bool is_content, const char *recycle)
{
	const char *only = getenv("PLEACH_SEED");

	for (unsigned i = 0; i < n; i++) {
		TEXT *path = text_of("%s/%u", y->path, i);
		uint64_t seed = only ? strtoull(only, NULL, 10) : i + 1;

		assert_int_equal(mkdir(path, 0755), 0);
		assert_false(chain_is_wrong(path, seed, is_content, recycle));
		yard_remove(path);
		if (only)
			break;
	}
}

static void G8_whatever_the_chain_a_recycled_tree_is_as_its_source(void **state)
{
	try_chains(*state, 8, false, "move");
}

static void G8_whatever_the_chain_a_recycled_tree_of_shared_content_is_as_its_source(void **state)
{
	try_chains(*state, 4, true, "move");
}

static void G8_whatever_the_chain_an_edited_tree_is_as_its_source(void **state)
{
	try_chains(*state, 8, false, "edit");
}

static void G8_whatever_the_chain_an_edited_tree_of_shared_content_is_as_its_source(void **state)
{
	try_chains(*state, 4, true, "edit");
}

/* What the function finds wrong, as a user who may not do everything. */
static void as_user(struct yard *y, bool (*is_wrong)(const struct yard *y))
{
	int status = -1;
	pid_t pid;

	if (geteuid() != 0) {
		assert_false(is_wrong(y));
		return;
	}
	assert_int_equal(chown(y->path, 65534, 65534), 0);
	pid = fork();
	if (pid == 0)
		_exit(setgroups(0, NULL) < 0 || setresgid(65534, 65534, 65534) < 0 ||
		      setresuid(65534, 65534, 65534) < 0 || is_wrong(y));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static bool users_chains_are_wrong(const struct yard *y)
{
	for (unsigned i = 0; i < 4; i++) {
		TEXT *path = text_of("%s/%u", y->path, i);

		if (mkdir(path, 0755) < 0 ||
		    chain_is_wrong(path, 100 + i, i == 3, i % 2 ? "edit" : "move"))
			return true;
	}
	return false;
}

static void G8_an_ordinary_users_recycled_tree_is_as_its_source(void **state)
{
	as_user(*state, users_chains_are_wrong);
}

/* ---- a small tree, step by step ---- */

static const char *const one_spare[] = {"grace", "0", "keep-placed", "1", "spares", "4", NULL};
static const char *const one_to_edit[] = {"grace", "0",	      "keep-placed", "1", "spares",
					  "4",	   "recycle", "edit",	     NULL};

struct small {
	char path[YARD_PATH], src[YARD_PATH], store[YARD_PATH];
};

static struct small make_small(const struct yard *y, const char *const *settings)
{
	struct small s;

	(void)snprintf(s.path, sizeof(s.path), "%s", y->path);
	(void)snprintf(s.src, sizeof(s.src), "%s/src", y->path);
	(void)snprintf(s.store, sizeof(s.store), "%s/S", y->path);
	if (mkdir(s.src, 0755) < 0)
		abort();
	make_store(s.store, settings);
	return s;
}

static void write_file(const struct small *s, const char *name, const char *content)
{
	put(s->src, name, content);
}

static void publish_small(const struct small *s)
{
	struct outcome o = publish_at(s->store, "site", s->src);

	must(&o, "publish");
}

/* With what it costs counted. */
static void publish_counted(const struct small *s)
{
	struct outcome o;
	struct pleach_store *store = open_at(s->store, &o);

	pl_seam_arm(&(struct pl_seam_plan){0});
	o = do_publish(store, "site", s->src, -1);
	pl_seam_arm(NULL);
	pleach_store_close(store);
	must(&o, "publish");
}

static void assert_as_source(const struct small *s)
{
	TEXT *site = text_of("%s/site", s->store);
	TEXT *expected = fingerprint(s->src);
	TEXT *found = fingerprint(site);
	TEXT *trouble = trouble_by_check(s->store, 0);

	assert_string_equal(found, expected);
	if (trouble)
		fail_msg("%s", trouble);
}

static ino_t inode_of(const struct small *s, const char *name)
{
	TEXT *path = text_of("%s/site/%s", s->store, name);
	struct stat st;

	return lstat(path, &st) < 0 ? 0 : st.st_ino;
}

/* Directories d0 to dN with files each, and a file in the root that changes. */
static void fill(const struct small *s, unsigned n_dirs, unsigned n_files)
{
	write_file(s, "root", "0");
	for (unsigned d = 0; d < n_dirs; d++) {
		TEXT *dir = text_of("d%u", d);

		make_dir(s->src, dir);
		for (unsigned i = 0; i < n_files; i++) {
			TEXT *name = text_of("d%u/%u", d, i);
			TEXT *content = text_of("%u %u", d, i);

			write_file(s, name, content);
		}
	}
}

static uint64_t links_of_a_change(const struct yard *y, const char *name,
				  const char *const *settings, unsigned n_dirs, unsigned n_files)
{
	TEXT *path = text_of("%s/%s", y->path, name);
	struct yard inner;
	struct small s;

	(void)snprintf(inner.path, sizeof(inner.path), "%s", path);
	assert_int_equal(mkdir(path, 0755), 0);
	s = make_small(&inner, settings);
	fill(&s, n_dirs, n_files);
	publish_small(&s);
	for (unsigned i = 1; i <= 3; i++) {
		TEXT *content = text_of("changed %u", i);

		write_file(&s, "d1/3", content);
		publish_counted(&s);
	}
	assert_as_source(&s);
	return pl_seam_count_of(PL_CALL_LINK);
}

static void G9_links_follow_the_directories_that_changed(void **state)
{
	uint64_t small = links_of_a_change(*state, "small", one_spare, 5, 10);
	uint64_t large = links_of_a_change(*state, "large", one_spare, 60, 10);

	print_message("# %u links\n", (unsigned)small);
	/* An object and two nodes: each takes a second try where it is the first of its directory. */
	assert_in_range(large, small - 3, small + 3);
	/* Nine files of d1 and one of the root; an object, nodes, the record, shown. */
	assert_true(small <= 9 + 1 + 1 + 2 + 4);
}

static void G9_where_trees_are_edited_links_follow_the_entries_that_changed(void **state)
{
	uint64_t small = links_of_a_change(*state, "small", one_to_edit, 5, 10);
	uint64_t large = links_of_a_change(*state, "large", one_to_edit, 5, 200);

	print_message("# %u links\n", (unsigned)small);
	assert_in_range(large, small - 3, small + 3);
	/* The file; an object, nodes, the record, shown. */
	assert_true(small <= 1 + 1 + 2 + 4);
}

static void an_edited_directory_stays_and_only_what_changed_in_it_is_new(void **state)
{
	struct small s = make_small(*state, one_to_edit);
	TEXT *gone = text_of("%s/d1/0", s.src);
	TEXT *turned = text_of("%s/d0/turned", s.src);
	ino_t root, d1, file, kept;

	fill(&s, 2, 3);
	write_file(&s, "d0/turned", "a file");
	publish_small(&s);
	root = inode_of(&s, ".");
	d1 = inode_of(&s, "d1");
	file = inode_of(&s, "d1/1");
	kept = inode_of(&s, "d1/2");
	write_file(&s, "d1/1", "x");
	publish_small(&s);
	assert_int_not_equal(inode_of(&s, "."), root);
	write_file(&s, "d1/1", "y");
	write_file(&s, "d1/new", "new");
	assert_int_equal(unlink(gone), 0);
	assert_int_equal(unlink(turned), 0);
	make_dir(s.src, "d0/turned");
	write_file(&s, "d0/turned/f", "f");
	publish_small(&s); /* from the first */
	assert_int_equal(inode_of(&s, "."), root);
	assert_int_equal(inode_of(&s, "d1"), d1);
	assert_int_equal(inode_of(&s, "d1/2"), kept);
	assert_int_not_equal(inode_of(&s, "d1/1"), file);
	assert_as_source(&s);
}

/* Readers of another ref, which has another setting, may still be in it. */
static void G1_what_was_ever_another_refs_too_is_not_edited(void **state)
{
	struct pleach_drop_options options = PLEACH_DROP_OPTIONS_INIT;
	struct small s = make_small(*state, one_to_edit);
	struct outcome o;
	struct pleach_store *store;
	ino_t root;

	fill(&s, 2, 3);
	publish_small(&s);
	root = inode_of(&s, ".");
	store = open_at(s.store, &o);
	o = do_publish(store, "other", s.src, -1);
	must(&o, "publish");
	options.now = 1;
	assert_int_equal(pleach_drop(store, "other", &options, NULL, &o.error), 0);
	pleach_store_close(store);
	write_file(&s, "d1/1", "x");
	publish_small(&s);
	write_file(&s, "d1/1", "y");
	publish_small(&s);
	assert_int_not_equal(inode_of(&s, "."), root);
	assert_as_source(&s);
}

/* The grace of a generation that is dropped at once is over, its readers are there all the same. */
static void G1_what_another_ref_has_dropped_at_once_is_not_edited(void **state)
{
	struct pleach_drop_options options = PLEACH_DROP_OPTIONS_INIT;
	struct small s = make_small(*state, one_to_edit);
	struct outcome o;
	struct pleach_store *store;
	ino_t root;

	fill(&s, 2, 3);
	publish_small(&s);
	root = inode_of(&s, ".");
	store = open_at(s.store, &o);
	o = do_publish(store, "other", s.src, -1);
	must(&o, "publish");
	write_file(&s, "root", "1");
	o = do_publish(store, "other", s.src, -1);
	must(&o, "publish");
	options.now = 1;
	assert_int_equal(pleach_drop(store, "other@1", &options, NULL, &o.error), 0);
	pleach_store_close(store);
	write_file(&s, "d1/1", "x");
	publish_small(&s);
	write_file(&s, "d1/1", "y");
	publish_small(&s);
	assert_int_not_equal(inode_of(&s, "."), root);
	assert_as_source(&s);
}

/* Nor a directory that came out of such a tree by being moved: 1. both refs have it, 2. the one moves its directory
 * to a tree of its own, 3. and edits that. */
static void G1_a_directory_that_was_ever_another_refs_too_is_not_edited(void **state)
{
	struct small s = make_small(*state, one_to_edit);
	struct outcome o;
	struct pleach_store *store;
	TEXT *other = text_of("%s/other/d1", s.store);
	struct stat st, found;
	int d1;

	fill(&s, 2, 3);
	publish_small(&s);
	store = open_at(s.store, &o);
	o = do_publish(store, "other", s.src, -1);
	must(&o, "publish");
	assert_int_equal(pleach_config_set(store, "other", "recycle", "move", &o.error), 0);
	assert_int_equal(pleach_config_set(store, "other", "keep-placed", "1", &o.error), 0);
	/* A reader of the other ref, without a pin. */
	d1 = open(other, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(d1 >= 0);
	assert_int_equal(fstat(d1, &st), 0);
	write_file(&s, "root", "1");
	publish_small(&s);
	o = do_publish(store, "other", s.src, -1);
	must(&o, "publish");
	pleach_store_close(store);
	/* Of the first, which was both refs'. */
	write_file(&s, "root", "2");
	publish_small(&s);
	write_file(&s, "root", "3");
	publish_small(&s);
	for (unsigned i = 4; i < 12; i++) {
		TEXT *content = text_of("%u", i);

		write_file(&s, "d1/new", content);
		publish_small(&s);
	}
	assert_int_equal(faccessat(d1, "new", F_OK, 0), -1);
	assert_true(fstatat(d1, "1", &found, 0) < 0 || found.st_size == 3);
	close(d1);
	assert_as_source(&s);
}

static void an_unchanged_directory_is_moved_and_a_changed_one_is_new(void **state)
{
	struct small s = make_small(*state, one_spare);
	ino_t moved, other, file, root;

	fill(&s, 2, 3);
	publish_small(&s);
	moved = inode_of(&s, "d0");
	other = inode_of(&s, "d1");
	file = inode_of(&s, "d1/2");
	root = inode_of(&s, ".");
	write_file(&s, "d1/1", "x");
	publish_small(&s);
	write_file(&s, "d1/1", "y");
	publish_small(&s); /* from the first */
	assert_int_equal(inode_of(&s, "d0"), moved);
	assert_int_not_equal(inode_of(&s, "d1"), other);
	assert_int_equal(inode_of(&s, "d1/2"), file);
	assert_int_not_equal(inode_of(&s, "."), root);
	assert_as_source(&s);
}

/* Neither it, nor what it lies in. */
static bool moves_what_may_not_be_written(const struct yard *y)
{
	struct small s = make_small(y, one_spare);
	TEXT *outer = text_of("%s/outer", s.src);
	TEXT *inner = text_of("%s/outer/inner", s.src);
	TEXT *site = text_of("%s/site", s.store);
	TEXT *expected = NULL, *found = NULL, *trouble = NULL;
	ino_t before;

	make_dir(s.src, "outer");
	make_dir(s.src, "outer/inner");
	write_file(&s, "outer/inner/f", "f");
	write_file(&s, "outer/changes", "0");
	if (chmod(inner, 0555) < 0 || chmod(outer, 0555) < 0)
		return true;
	publish_small(&s);
	before = inode_of(&s, "outer/inner");
	for (unsigned i = 1; i <= 2; i++) {
		TEXT *content = text_of("%u", i);

		if (chmod(outer, 0755) < 0)
			return true;
		write_file(&s, "outer/changes", content);
		if (chmod(outer, 0555) < 0)
			return true;
		publish_small(&s);
	}
	expected = fingerprint(s.src);
	found = fingerprint(site);
	trouble = trouble_by_check(s.store, 0);
	return trouble || strcmp(expected, found) != 0 || inode_of(&s, "outer/inner") != before;
}

static void an_ordinary_users_directory_of_mode_0555_is_moved(void **state)
{
	TEXT *outer = text_of("%s/src/outer", ((struct yard *)*state)->path);

	as_user(*state, moves_what_may_not_be_written);
	(void)chmod(outer, 0755);
}

/* Deeper than descriptors are kept open. */
static void a_change_deep_down_moves_what_lies_beside_the_way(void **state)
{
	struct small s = make_small(*state, one_spare);
	TEXT *way = strdup("d");
	TEXT *beside = NULL;
	ino_t before[2];

	make_dir(s.src, way);
	for (unsigned i = 0; i < 70; i++) {
		TEXT *dir = text_of("%s/beside", way);
		TEXT *file = text_of("%s/beside/f", way);
		char *deeper = text_of("%s/d", way);

		make_dir(s.src, dir);
		write_file(&s, file, deeper);
		make_dir(s.src, deeper);
		free(way);
		way = deeper;
	}
	make_dir(s.src, "z");
	write_file(&s, "z/f", "z");
	beside = text_of("%.*s/beside", (int)strlen(way) - 2, way);
	publish_small(&s);
	before[0] = inode_of(&s, beside);
	before[1] = inode_of(&s, "z");
	for (unsigned i = 0; i < 2; i++) {
		TEXT *file = text_of("%s/f", way);
		TEXT *content = text_of("%u", i);

		write_file(&s, file, content);
		publish_counted(&s);
	}
	assert_int_equal(inode_of(&s, beside), before[0]);
	assert_int_equal(inode_of(&s, "z"), before[1]);
	assert_true(pl_seam_count_of(PL_CALL_LINK) < 80 * 3); /* objects and nodes */
	assert_as_source(&s);
}

/* A large file is written while it is read, and taken away when the store has it: the directory that was
 * made for it does not stand in the way. */
static void a_directory_that_the_scan_made_for_nothing_is_moved(void **state)
{
	struct small s = make_small(*state, one_spare);
	TEXT *path = text_of("%s/big/f", s.src);
	ino_t before;

	fill(&s, 1, 1);
	make_dir(s.src, "big");
	write_file(&s, "big/f", "");
	assert_int_equal(truncate(path, 3 << 20), 0);
	publish_small(&s);
	before = inode_of(&s, "big");
	for (unsigned i = 1; i <= 2; i++) {
		TEXT *content = text_of("%u", i);

		write_file(&s, "root", content);
		assert_int_equal(chmod(path, 0644), 0); /* another ctime: it is read again */
		publish_small(&s);
	}
	assert_int_equal(inode_of(&s, "big"), before);
	assert_as_source(&s);
}

static void without_recycling_nothing_is_moved(void **state)
{
	static const char *const settings[] = {"grace",	  "0",	 "keep-placed", "1",
					       "recycle", "off", NULL};
	struct small s = make_small(*state, settings);
	ino_t before;

	fill(&s, 2, 3);
	publish_small(&s);
	before = inode_of(&s, "d0");
	for (unsigned i = 0; i < 2; i++) {
		TEXT *content = text_of("x%u", i);

		write_file(&s, "d1/1", content);
		publish_small(&s);
		assert_int_not_equal(inode_of(&s, "d0"), before);
	}
}

/* ---- groups ---- */

static void a_group_that_is_the_same_hinders_nobody(void **state)
{
	struct small s = make_small(*state, one_spare);
	ino_t moved, file;

	fill(&s, 3, 3);
	make_dir(s.src, "d0/deep");
	make_link(s.src, "d1/1", "d0/deep/linked");
	make_link(s.src, "d1/1", "d2/linked");
	publish_small(&s);
	moved = inode_of(&s, "d0");
	file = inode_of(&s, "d1/1");
	for (unsigned i = 0; i < 2; i++) {
		TEXT *content = text_of("x%u", i);

		write_file(&s, "d1/2", content); /* beside a member of the group */
		publish_small(&s);
		assert_as_source(&s);
	}
	assert_int_equal(inode_of(&s, "d0"), moved);
	assert_int_equal(inode_of(&s, "d1/1"), file);
	assert_int_equal(inode_of(&s, "d0/deep/linked"), file);
}

/* One node, and yet not the same: a name elsewhere came to a group, or left it. */
static void a_directory_whose_group_changed_elsewhere_is_made_new(void **state)
{
	struct small s = make_small(*state, one_spare);
	TEXT *outside = text_of("%s/outside", s.src);

	fill(&s, 2, 3);
	make_link(s.src, "d0/1", "outside");
	publish_small(&s);
	write_file(&s, "d1/1", "x");
	publish_small(&s);
	/* Equal to what it was, and an inode of its own. */
	assert_int_equal(unlink(outside), 0);
	write_file(&s, "outside", "0 1");
	publish_small(&s);
	assert_as_source(&s);
	assert_int_not_equal(inode_of(&s, "outside"), inode_of(&s, "d0/1"));
	/* And back: one inode again. */
	assert_int_equal(unlink(outside), 0);
	make_link(s.src, "d0/1", "outside");
	publish_small(&s);
	assert_as_source(&s);
	assert_int_equal(inode_of(&s, "outside"), inode_of(&s, "d0/1"));
}

/* ---- inodes and filters ---- */

static void run_in(const struct small *s, const char *command)
{
	TEXT *line = text_of("cd '%s' && %s", s->store, command);
	const char *const argv[] = {"sh", "-c", line, NULL};

	yard_run(argv);
}

/* The head's placing is laid out again, from the objects: its filter knows of nothing else. */
static void place_head_afresh(const struct small *s)
{
	struct outcome o;
	struct pleach_store *store;
	char *path = NULL;

	run_in(s, "rm -r \"$(dirname \"$(readlink -f site)\")\"");
	store = open_at(s->store, &o);
	assert_int_equal(pleach_path(store, "site", &path, &o.error), 0);
	pleach_store_close(store);
	pleach_free(path);
	/* Where it is shown. */
	run_in(s, "test -e site || mv \"$(dirname \"$(readlink -m site)\")/../\"* .");
}

static void small_with_an_object_of_old(struct small *s, const struct yard *y)
{
	*s = make_small(y, one_spare);
	make_dir(s->src, "x");
	make_dir(s->src, "y");
	write_file(s, "x/f", "O");
	write_file(s, "y/h", "h");
	settle_dir(s->src, "x");
	publish_small(s);
	write_file(s, "x/f", "P");
	settle_dir(s->src, "x");
	publish_small(s);
	place_head_afresh(s);
}

/* x is moved with the object's inode, and a new name has the same object: the base's filter does not
 * know it, the spare's does. */
static void G8_a_new_name_takes_no_inode_that_was_moved_in(void **state)
{
	struct small s;

	small_with_an_object_of_old(&s, *state);
	write_file(&s, "x/f", "O");
	settle_dir(s.src, "x");
	write_file(&s, "y/g", "O");
	publish_small(&s);
	assert_int_not_equal(inode_of(&s, "x/f"), inode_of(&s, "y/g"));
	assert_as_source(&s);
}

static struct pleach_pin *pin_of(struct pleach_store *store, const char *rev)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pleach_pin *pin;

	if (pleach_pin_open(store, rev, &pin, &error) < 0)
		fail_msg("%s", error.message);
	return pin;
}

/* The same, with a name that the base has: its inode is the object's, too. */
static void G8_a_name_takes_no_inode_of_the_base_that_was_moved_in(void **state)
{
	struct small s;
	struct outcome o;
	struct pleach_store *store;
	struct pleach_pin *pin;

	small_with_an_object_of_old(&s, *state);
	store = open_at(s.store, &o);
	pin = pin_of(store, "site@1");
	write_file(&s, "y/g", "O");
	publish_small(&s); /* not from the first, which is pinned */
	pleach_pin_close(pin);
	pin = pin_of(store, "site@2");
	write_file(&s, "x/f", "O");
	settle_dir(s.src, "x");
	publish_small(&s); /* from the first */
	pleach_pin_close(pin);
	pleach_store_close(store);
	assert_int_not_equal(inode_of(&s, "x/f"), inode_of(&s, "y/g"));
	assert_as_source(&s);
}

/* What the base has is not in the spare, and a name before it is new: nor does that take its inode. */
static void G8_a_new_name_takes_no_inode_that_the_base_has(void **state)
{
	struct small s = make_small(*state, one_spare);

	fill(&s, 2, 2);
	publish_small(&s);
	write_file(&s, "d1/new", "O");
	publish_small(&s);
	write_file(&s, "a", "O");
	publish_small(&s);
	assert_int_not_equal(inode_of(&s, "a"), inode_of(&s, "d1/new"));
	assert_as_source(&s);
}

static void a_spare_of_shared_content_gives_nothing_to_a_tree_of_names(void **state)
{
	static const char *const settings[] = {"grace", "0",	   "keep-placed", "1",
					       "share", "content", NULL};
	struct small s = make_small(*state, settings);
	struct outcome o;
	struct pleach_store *store;

	make_dir(s.src, "d");
	write_file(&s, "d/a", "same");
	write_file(&s, "d/b", "same");
	publish_small(&s);
	assert_int_equal(inode_of(&s, "d/a"), inode_of(&s, "d/b"));
	write_file(&s, "c", "1");
	publish_small(&s);
	store = open_at(s.store, &o);
	assert_int_equal(pleach_config_set(store, NULL, "share", "names", &o.error), 0);
	pleach_store_close(store);
	write_file(&s, "c", "2");
	publish_small(&s);
	assert_int_not_equal(inode_of(&s, "d/a"), inode_of(&s, "d/b"));
}

/* ---- what is wrong with a spare ---- */

/* Two generations, the first is the spare; then something happens to it, and the third is published. */
static void try_the_spare_that(const struct small *made, const char *happened, bool comes_along)
{
	struct small s = *made;
	TEXT *site = text_of("%s/site", s.store);
	TEXT *expected = NULL, *found = NULL, *trouble = NULL;

	fill(&s, 3, 3);
	make_dir(s.src, "d0/deep");
	write_file(&s, "d0/deep/f", "deep");
	make_link(s.src, "d0/1", "d1/linked");
	publish_small(&s);
	write_file(&s, "root", "1");
	run_in(&s, "readlink -f site >../spare");
	publish_small(&s);
	run_in(&s, happened);
	write_file(&s, "root", "2");
	publish_small(&s);
	expected = fingerprint(s.src);
	found = fingerprint(site);
	trouble = trouble_by_check(s.store, 0);
	if (comes_along) {
		assert_string_not_equal(found, expected);
		assert_non_null(trouble);
		return;
	}
	assert_string_equal(found, expected);
	if (trouble)
		fail_msg("%s", trouble);
}

static void with_such_a_spare_that(const struct yard *y, const char *name,
				   const char *const *settings, const char *happened,
				   bool comes_along)
{
	TEXT *path = text_of("%s/%s", y->path, name);
	struct yard inner;
	struct small s;

	(void)snprintf(inner.path, sizeof(inner.path), "%s", path);
	assert_int_equal(mkdir(path, 0755), 0);
	s = make_small(&inner, settings);
	try_the_spare_that(&s, happened, comes_along);
}

static void with_a_spare_that(const struct yard *y, const char *happened, bool comes_along)
{
	with_such_a_spare_that(y, "move", one_spare, happened, comes_along);
	with_such_a_spare_that(y, "edit", one_to_edit, happened, comes_along);
}

static void G4_a_stray_name_in_a_spare_does_not_come_along(void **state)
{
	with_a_spare_that(*state, "echo stray >\"$(cat ../spare)/d0/stray\"", false);
}

static void G4_a_stray_directory_in_a_spare_does_not_come_along(void **state)
{
	with_a_spare_that(*state, "mkdir \"$(cat ../spare)/d2/stray\" \"$(cat ../spare)/stray\"",
			  false);
}

static void a_spare_without_a_directory_is_no_error(void **state)
{
	with_a_spare_that(*state, "rm -r \"$(cat ../spare)/d0\"", false);
}

static void a_spare_with_a_symlink_for_a_directory_is_no_error(void **state)
{
	with_a_spare_that(*state,
			  "mv \"$(cat ../spare)/d0\" ../elsewhere && "
			  "ln -s ../../../../../../elsewhere \"$(cat ../spare)/d0\"",
			  false);
}

static void a_spare_whose_group_was_torn_is_not_moved(void **state)
{
	with_a_spare_that(
		*state,
		"cd \"$(cat ../spare)/d0\" && touch -r . ../../../t && cp -p 1 ../../../c && "
		"mv ../../../c 1 && touch -r ../../../t . && rm ../../../t",
		false);
}

static void a_spare_without_a_root_is_no_error(void **state)
{
	with_a_spare_that(*state, "rm -r \"$(cat ../spare)\"", false);
}

static void a_spare_without_a_filter_is_no_error(void **state)
{
	with_a_spare_that(*state, "rm \"$(dirname \"$(cat ../spare)\")/filter\"", false);
}

static void a_spare_with_a_damaged_filter_is_no_error(void **state)
{
	with_a_spare_that(*state,
			  "printf X | dd of=\"$(dirname \"$(cat ../spare)\")/filter\" bs=1 seek=40 "
			  "conv=notrunc status=none",
			  false);
}

static void a_spare_with_a_file_for_a_tree_is_no_error(void **state)
{
	with_a_spare_that(*state, "rm -r \"$(cat ../spare)\" && echo >\"$(cat ../spare)\"", false);
}

static void a_spare_whose_node_is_missing_is_no_error(void **state)
{
	struct small s = make_small(*state, one_spare);
	ino_t before;

	fill(&s, 3, 3);
	publish_small(&s);
	before = inode_of(&s, "d0");
	run_in(&s, "basename \"$(readlink -f site | sed 's:/[0-9]*/tree$::')\" | "
		   "sed 's:^..:&/:' >../node");
	write_file(&s, "root", "1");
	publish_small(&s);
	run_in(&s, "mv .pleach/nodes/\"$(cat ../node)\" ../away");
	write_file(&s, "root", "2");
	publish_small(&s);
	run_in(&s, "mv ../away .pleach/nodes/\"$(cat ../node)\"");
	assert_int_not_equal(inode_of(&s, "d0"), before);
	assert_as_source(&s);
}

/* The limit: below a directory that is moved nothing is looked at. */
static void G4_a_stray_deep_in_a_moved_directory_is_found_by_check(void **state)
{
	with_a_spare_that(*state, "echo stray >\"$(cat ../spare)/d0/deep/stray\"", true);
}

/* Any rename of a recycling publish that fails with an errno of doubt costs nothing but the help. */
static void a_directory_that_cannot_be_moved_is_made_new(void **state)
{
	static const int errors[] = {EXDEV, EBUSY, EACCES};
	const struct yard *y = *state;
	unsigned fine = 0, n = 0;

	for (unsigned i = 0; i < PL_ARRAY_LEN(errors) * 8; i++) {
		struct pl_seam_plan plan = {.fail_at = 1 + i % 8,
					    .fail_errno = errors[i / 8],
					    .calls = 1u << PL_CALL_RENAME};
		TEXT *path = text_of("%s/%u", y->path, i);
		struct pleach_store *store;
		struct yard inner;
		struct small s;
		struct outcome o;

		(void)snprintf(inner.path, sizeof(inner.path), "%s", path);
		assert_int_equal(mkdir(path, 0755), 0);
		s = make_small(&inner, one_spare);
		fill(&s, 4, 2);
		publish_small(&s);
		write_file(&s, "root", "1");
		publish_small(&s);
		write_file(&s, "root", "2");
		store = open_at(s.store, &o);
		pl_seam_arm(&plan);
		o = do_publish(store, "site", s.src, -1);
		pl_seam_arm(NULL);
		pleach_store_close(store);
		n++;
		fine += o.r == 0;
		if (o.r == 0)
			assert_as_source(&s);
		yard_remove(path);
	}
	/* The wrapper of the spare and four directories, at least. */
	assert_true(fine >= PL_ARRAY_LEN(errors) * 5);
	print_message("# %u of %u\n", fine, n);
}

/* ---- G1 ---- */

struct holder {
	int root, changed, moved;
	char *trouble;
	unsigned looks;
};

/* Of the names that were there, with what was in them, or of nothing. */
static void look_at(struct holder *h, int dir, const char *what, const char *first)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *listing = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	while (listing && (e = readdir(listing))) {
		char text[64] = "";
		int file;

		if (e->d_name[0] == '.' || e->d_type == DT_DIR)
			continue;
		if (strcmp(e->d_name, "new") == 0 && !h->trouble)
			h->trouble = text_of("%s shows a name of another generation", what);
		file = openat(dir, e->d_name, O_RDONLY | O_CLOEXEC);
		if (file < 0)
			continue; /* gone meanwhile */
		if (read(file, text, sizeof(text) - 1) >= 0 && strcmp(e->d_name, "0") == 0 &&
		    strcmp(text, first) != 0 && !h->trouble)
			h->trouble = text_of("%s shows '%s'", what, text);
		close(file);
	}
	if (listing)
		(void)closedir(listing);
}

static void look_again(uint64_t number, enum pl_call call, void *userdata)
{
	struct holder *h = userdata;

	(void)number;
	(void)call;
	h->looks++;
	look_at(h, h->root, "the root", "");
	look_at(h, h->changed, "a changed directory", "1 0");
	look_at(h, h->moved, "a moved directory", "0 0");
}

static int open_in_site(const struct small *s, const char *name)
{
	TEXT *path = text_of("%s/site/%s", s->store, name);
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static void G1_who_is_in_the_old_tree_sees_it_empty_out_and_nothing_of_another(void **state)
{
	struct small s = make_small(*state, one_spare);
	struct holder h = {0};
	struct pl_seam_plan plan = {.stop = look_again, .userdata = &h};
	struct pleach_store *store;
	struct outcome o;

	fill(&s, 3, 3);
	publish_small(&s);
	h.root = open_in_site(&s, ".");
	h.changed = open_in_site(&s, "d1");
	h.moved = open_in_site(&s, "d0");
	write_file(&s, "root", "1");
	publish_small(&s);
	write_file(&s, "new", "new");
	write_file(&s, "d1/new", "new");
	write_file(&s, "d1/0", "another");
	store = open_at(s.store, &o);
	pl_seam_arm(&plan);
	o = do_publish(store, "site", s.src, -1); /* from the first */
	pl_seam_arm(NULL);
	must(&o, "publish");
	look_again(0, PL_CALL_OPEN, &h);
	if (h.trouble)
		fail_msg("%s", h.trouble);
	assert_true(h.looks > 50);
	/* Erased, or moved to where it is the same. */
	assert_int_equal(pl_dir_is_empty(h.root), -ENOENT);
	assert_int_equal(pl_dir_is_empty(h.changed), -ENOENT);
	assert_int_equal(pl_dir_is_empty(h.moved), 0);
	pleach_store_close(store);
	close(h.root);
	close(h.changed);
	close(h.moved);
}

/* ---- who needs it ---- */

/* What a path leads to is not taken apart by three more publishes. */
static void assert_kept(const struct small *s, const char *path)
{
	TEXT *before = fingerprint(path);
	TEXT *after = NULL;

	for (unsigned i = 0; i < 3; i++) {
		TEXT *content = text_of("later %u", i);

		write_file(s, "root", content);
		publish_small(s);
	}
	after = fingerprint(path);
	assert_string_equal(after, before);
	assert_string_not_equal(before, "");
	assert_as_source(s);
}

static struct small small_with_two(const struct yard *y, char **ret_first)
{
	struct small s = make_small(y, one_spare);
	TEXT *site = text_of("%s/site", s.store);

	fill(&s, 3, 3);
	publish_small(&s);
	*ret_first = realpath(site, NULL);
	write_file(&s, "root", "1");
	return s;
}

static void a_pinned_tree_is_no_spare(void **state)
{
	TEXT *first = NULL;
	struct small s = small_with_two(*state, &first);
	struct outcome o;
	struct pleach_store *store = open_at(s.store, &o);
	struct pleach_pin *pin = pin_of(store, "site@1");

	assert_kept(&s, first);
	pleach_pin_close(pin);
	pleach_store_close(store);
}

static void an_attached_tree_is_no_spare(void **state)
{
	TEXT *first = NULL;
	struct small s = small_with_two(*state, &first);
	TEXT *path = text_of("%s/attached", s.path);
	struct outcome o;
	struct pleach_store *store = open_at(s.store, &o);

	assert_int_equal(pleach_attach(store, "site@1", path, NULL, &o.error), 0);
	assert_kept(&s, path);
	pleach_store_close(store);
}

static void the_head_of_another_ref_is_no_spare(void **state)
{
	TEXT *first = NULL;
	struct small s = small_with_two(*state, &first);
	TEXT *other = text_of("%s/other", s.store);
	struct pleach_publish_options options = PLEACH_PUBLISH_OPTIONS_INIT;
	struct pleach_source from = {.kind = PLEACH_SOURCE_REV, .spec = "site@1"};
	struct outcome o;
	struct pleach_store *store = open_at(s.store, &o);

	o.r = pleach_publish(store, "other", &from, 1, &options, NULL, &o.error);
	must(&o, "publish");
	pleach_store_close(store);
	assert_kept(&s, other);
}

static void within_its_grace_a_tree_is_no_spare(void **state)
{
	TEXT *first = NULL;
	struct small s = small_with_two(*state, &first);
	struct outcome o;
	struct pleach_store *store = open_at(s.store, &o);

	assert_int_equal(pleach_config_set(store, "site", "grace", "1h", &o.error), 0);
	pleach_store_close(store);
	assert_kept(&s, first);
}

/* It needs the tree, not that it is placed. */
static void a_tagged_tree_is_recycled_and_can_be_placed_again(void **state)
{
	TEXT *first = NULL;
	struct small s = small_with_two(*state, &first);
	struct pleach_publish_options options = PLEACH_PUBLISH_OPTIONS_INIT;
	TEXT *site = text_of("%s/site", s.store);
	TEXT *before = fingerprint(site);
	TEXT *after = NULL;
	struct outcome o;
	struct pleach_store *store = open_at(s.store, &o);

	assert_int_equal(pleach_tag_set(store, "site", "kept", "@1", 0, &o.error), 0);
	publish_small(&s);
	write_file(&s, "root", "2");
	publish_small(&s);
	assert_int_equal(access(first, F_OK), -1);
	o.r = pleach_rollback(store, "site", "@kept", &options, NULL, &o.error);
	must(&o, "rollback");
	pleach_store_close(store);
	after = fingerprint(site);
	assert_string_equal(after, before);
	assert_null(trouble_by_check(s.store, 0));
}

static void a_dropped_generations_tree_goes_with_its_placing(void **state)
{
	TEXT *first = NULL;
	struct small s = small_with_two(*state, &first);
	struct pleach_drop_options options = PLEACH_DROP_OPTIONS_INIT;
	struct outcome o;
	struct pleach_store *store = open_at(s.store, &o);
	TEXT *trees = NULL;

	assert_int_equal(pleach_config_set(store, "site", "grace", "1h", &o.error), 0);
	publish_small(&s);
	assert_int_equal(pleach_drop(store, "site@1", &options, NULL, &o.error), 0);
	assert_int_equal(access(first, F_OK), 0);
	assert_int_equal(pleach_config_set(store, "site", "grace", "0", &o.error), 0);
	pleach_store_close(store);
	write_file(&s, "root", "2");
	publish_small(&s);
	trees = names_in(s.store, "trees");
	assert_int_equal(strlen(trees), 2 * 65);
	assert_as_source(&s);
}

/* ---- calls that fail ---- */

/* What is taken to be edited, and then cannot be, is none of the new tree. */
static void G2_whatever_fails_in_an_edit_the_tree_is_as_its_source(void **state)
{
	static const int errors[] = {EIO, EPERM, ENOSPC};
	struct small s = make_small(*state, one_to_edit), spoilt;
	TEXT *shut = text_of("%s/shut", s.src);
	uint64_t k = 1;
	bool is_through = false;

	fill(&s, 2, 3);
	make_dir(s.src, "shut");
	make_dir(s.src, "shut/inner");
	for (unsigned i = 1; i <= 3; i++) {
		TEXT *content = text_of("%u", i);

		assert_int_equal(chmod(shut, 0755), 0);
		write_file(&s, "shut/f", content);
		write_file(&s, "shut/inner/f", content);
		write_file(&s, "d1/1", content);
		assert_int_equal(chmod(shut, 0555), 0);
		if (i < 3)
			publish_small(&s);
	}
	spoilt = s;
	(void)snprintf(spoilt.store, sizeof(spoilt.store), "%s/spoilt", s.path);
	for (; !is_through; k++) {
		for (size_t i = 0; i < PL_ARRAY_LEN(errors); i++) {
			struct outcome o;
			struct pleach_store *store;

			yard_copy(s.store, spoilt.store);
			store = open_at(spoilt.store, &o);
			pl_seam_arm(&(struct pl_seam_plan){.fail_at = k, .fail_errno = errors[i]});
			o = do_publish(store, "site", s.src, -1);
			is_through = pl_seam_count() < k;
			pl_seam_arm(NULL);
			pleach_store_close(store);
			if (o.r < 0)
				publish_small(&spoilt);
			assert_as_source(&spoilt);
			yard_remove(spoilt.store);
		}
	}
	print_message("# %u calls\n", (unsigned)k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		yard_test(G8_whatever_the_chain_a_recycled_tree_is_as_its_source),
		yard_test(G8_whatever_the_chain_a_recycled_tree_of_shared_content_is_as_its_source),
		yard_test(G8_whatever_the_chain_an_edited_tree_is_as_its_source),
		yard_test(G8_whatever_the_chain_an_edited_tree_of_shared_content_is_as_its_source),
		yard_test(G8_an_ordinary_users_recycled_tree_is_as_its_source),
		yard_test(G9_links_follow_the_directories_that_changed),
		yard_test(G9_where_trees_are_edited_links_follow_the_entries_that_changed),
		yard_test(an_edited_directory_stays_and_only_what_changed_in_it_is_new),
		yard_test(G1_what_was_ever_another_refs_too_is_not_edited),
		yard_test(G1_what_another_ref_has_dropped_at_once_is_not_edited),
		yard_test(G1_a_directory_that_was_ever_another_refs_too_is_not_edited),
		yard_test(G2_whatever_fails_in_an_edit_the_tree_is_as_its_source),
		yard_test(an_unchanged_directory_is_moved_and_a_changed_one_is_new),
		yard_test(an_ordinary_users_directory_of_mode_0555_is_moved),
		yard_test(a_change_deep_down_moves_what_lies_beside_the_way),
		yard_test(a_directory_that_the_scan_made_for_nothing_is_moved),
		yard_test(without_recycling_nothing_is_moved),
		yard_test(a_group_that_is_the_same_hinders_nobody),
		yard_test(a_directory_whose_group_changed_elsewhere_is_made_new),
		yard_test(G8_a_new_name_takes_no_inode_that_was_moved_in),
		yard_test(G8_a_name_takes_no_inode_of_the_base_that_was_moved_in),
		yard_test(G8_a_new_name_takes_no_inode_that_the_base_has),
		yard_test(a_spare_of_shared_content_gives_nothing_to_a_tree_of_names),
		yard_test(G4_a_stray_name_in_a_spare_does_not_come_along),
		yard_test(G4_a_stray_directory_in_a_spare_does_not_come_along),
		yard_test(G4_a_stray_deep_in_a_moved_directory_is_found_by_check),
		yard_test(a_spare_without_a_directory_is_no_error),
		yard_test(a_spare_with_a_symlink_for_a_directory_is_no_error),
		yard_test(a_spare_whose_group_was_torn_is_not_moved),
		yard_test(a_spare_without_a_root_is_no_error),
		yard_test(a_spare_without_a_filter_is_no_error),
		yard_test(a_spare_with_a_damaged_filter_is_no_error),
		yard_test(a_spare_with_a_file_for_a_tree_is_no_error),
		yard_test(a_spare_whose_node_is_missing_is_no_error),
		yard_test(a_directory_that_cannot_be_moved_is_made_new),
		yard_test(G1_who_is_in_the_old_tree_sees_it_empty_out_and_nothing_of_another),
		yard_test(a_pinned_tree_is_no_spare),
		yard_test(an_attached_tree_is_no_spare),
		yard_test(the_head_of_another_ref_is_no_spare),
		yard_test(within_its_grace_a_tree_is_no_spare),
		yard_test(a_tagged_tree_is_recycled_and_can_be_placed_again),
		yard_test(a_dropped_generations_tree_goes_with_its_placing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
