/*
 * The contract of workspaces: whatever a program does in one, no committed byte changes (G4, W1); what it
 * has come to hold is what a scan says; it can be closed and opened, and it goes without a trace (G6).
 * For every driver, on the file systems that it is for, as root and not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fts.h>
#include <sys/prctl.h>

#include "sys/images.h"
#include "tx/attack.h"
#include "tx/workspaces.h"

/* ---- what the store holds ---- */

static void add_xattrs(FILE *out, const char *path)
{
	char names[4096], value[4096];
	ssize_t n = llistxattr(path, names, sizeof(names));

	for (const char *name = names; n > 0 && name < names + n; name += strlen(name) + 1) {
		ssize_t length = lgetxattr(path, name, value, sizeof(value));

		(void)fprintf(out, " %s=", name);
		for (ssize_t i = 0; i < length; i++)
			(void)fprintf(out, "%02x", (unsigned char)value[i]);
	}
}

static void add_content(FILE *out, const char *path)
{
	char buffer[65536];
	struct pl_hash *hash;
	struct pl_id id;
	char hex[PL_ID_HEX + 1];
	ssize_t n;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || pl_hash_new(&hash) < 0)
		abort();
	while ((n = read(fd, buffer, sizeof(buffer))) > 0)
		pl_hash_add(hash, buffer, (size_t)n);
	pl_hash_end(hash, &id);
	pl_hash_free(hash);
	close(fd);
	(void)fprintf(out, " %s", pl_id_hex(&id, hex));
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
	return strcmp((*a)->fts_name, (*b)->fts_name);
}

/* Everything of all objects, nodes and placed trees but the atime; ctime and link counts too. */
static char *store_text(const struct scratch *s)
{
	char roots[3][4500];
	char *const paths[] = {roots[0], roots[1], roots[2], NULL};
	char *text = NULL, target[4096];
	size_t size;
	FILE *out = open_memstream(&text, &size);
	FTSENT *e;
	FTS *fts;

	for (int i = 0; i < 3; i++)
		(void)snprintf(roots[i], sizeof(roots[i]), "%s/S/.pleach/%s", s->path,
			       ((const char *const[]){"nodes", "objects", "trees"})[i]);
	fts = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, by_name);
	while (out && fts && (e = fts_read(fts))) {
		const struct stat *st = e->fts_statp;
		ssize_t n;

		if (e->fts_info == FTS_DP)
			continue;
		(void)fprintf(out, "%s %llu %o %u %u %lu %lld %lld.%09ld %lld.%09ld", e->fts_path,
			      (unsigned long long)st->st_ino, st->st_mode, st->st_uid, st->st_gid,
			      (unsigned long)st->st_nlink, (long long)st->st_size,
			      (long long)st->st_mtim.tv_sec, st->st_mtim.tv_nsec,
			      (long long)st->st_ctim.tv_sec, st->st_ctim.tv_nsec);
		add_xattrs(out, e->fts_path);
		n = S_ISLNK(st->st_mode) ? readlink(e->fts_path, target, sizeof(target)) : 0;
		(void)fprintf(out, " %.*s", (int)n, target);
		if (S_ISREG(st->st_mode) && e->fts_info == FTS_F)
			add_content(out, e->fts_path);
		(void)putc('\n', out);
	}
	(void)fts_close(fts);
	(void)fclose(out);
	return text;
}

static int same_text(const char *before, const char *after)
{
	while (*before && *before == *after) {
		const char *b = strchr(before, '\n'), *a = strchr(after, '\n');

		if (!a || b - before != a - after ||
		    memcmp(after, before, (size_t)(b - before)) != 0)
			break;
		before = b + 1;
		after = a + 1;
	}
	if (!*before && !*after)
		return 0;
	(void)fprintf(stderr, "# was: %.*s\n# is:  %.*s\n", (int)strcspn(before, "\n"), before,
		      (int)strcspn(after, "\n"), after);
	return 1;
}

/* ---- the tree ---- */

static int make_big_file(int dirfd, const char *name, size_t salt)
{
	char content[ATTACK_SIZE];
	int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	for (size_t i = 0; i < sizeof(content); i++)
		content[i] = (char)('a' + (i / 7 + i / 4096 * 3 + salt) % 26);
	(void)snprintf(content, sizeof(content), "%s", name);
	if (fd < 0 || write(fd, content, sizeof(content)) != (ssize_t)sizeof(content))
		return -1;
	(void)fsetxattr(fd, "user.base", "base", 4, 0);
	return close(fd);
}

static int make_directories(int src)
{
	static const char *const names[] = {"to-move",	 "to-chmod",   "to-mark",
					    "to-empty",	 "to-replace", "to-swap-a",
					    "to-swap-b", "to-stay",    "to-move/sub"};
	char path[64];

	for (size_t i = 0; i < PL_ARRAY_LEN(names); i++) {
		CHECK(mkdirat(src, names[i], 0755) == 0);
		(void)snprintf(path, sizeof(path), "%s/x", names[i]);
		CHECK(make_file(src, path, names[i]) == 0);
	}
	return 0;
}

/* Something for each call and way; names that no list likes; a group where the driver keeps groups. */
static int make_source(const struct scratch *s, bool with_group)
{
	PL_CLOSE int src = -EBADF;
	char name[32];

	CHECK(mkdirat(s->fd, "src", 0755) == 0);
	src = openat(s->fd, "src", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (unsigned way = 0; way < WAYS; way++) {
		(void)snprintf(name, sizeof(name), "d%u", way);
		CHECK(mkdirat(src, name, 0755) == 0);
		for (size_t i = 0; i < N_ATTACKS; i++) {
			if (!(attacks[i].ways & 1u << way))
				continue;
			attack_name(i, way, false, name);
			CHECK(make_big_file(src, name, i) == 0);
			attack_name(i, way, true, name);
			CHECK(make_big_file(src, name, i + 1) == 0);
		}
	}
	CHECK(make_directories(src) == 0);
	CHECK(make_file(src, "empty", "") == 0 && make_file(src, "odd\n\\,: \377", "odd") == 0);
	CHECK(symlinkat("to-stay/x", src, "link") == 0 && mkfifoat(src, "fifo", 0640) == 0);
	CHECK(make_file(src, "suid", "x") == 0 && fchmodat(src, "suid", 04755, 0) == 0);
	if (!with_group)
		return 0;
	CHECK(make_file(src, "group-a", "group") == 0);
	CHECK(linkat(src, "group-a", src, "group-b", 0) == 0);
	return linkat(src, "group-a", src, "d0/group-c", 0);
}

/* ---- the contract ---- */

/* What the workspace shows is taken out by cp(1), and that directory is what the scan must have said. */
static int scan_is_what_is_there(struct work *w)
{
	char copy[4400];
	struct pl_scan_result result, again;
	struct pl_id tree;

	CHECK(scan_it(w, &result) == 0);
	CHECK(!pl_id_equal(&result.tree, &w->ws.base));
	(void)snprintf(copy, sizeof(copy), "%s/copy", w->s->path);
	/* What was volatile can be shown again once it is synced. */
	if (pl_workspace_sync(&w->ws, &w->error) < 0)
		return say(w);
	CHECK(run_inside(w, "--copy", copy) == 0);
	CHECK(scan_directory(w, "copy", &tree) == 0);
	if (!pl_id_equal(&tree, &result.tree))
		(void)fprintf(stderr, "# the scan is not what is there\n");
	CHECK(pl_id_equal(&tree, &result.tree));
	/* Another process, later. */
	{
		const char *name = w->ws.driver->name;

		pl_workspace_close(&w->ws);
		if (pl_workspace_open(&w->ws, name, &w->error) < 0)
			return say(w);
	}
	CHECK(scan_it(w, &again) == 0);
	CHECK(pl_id_equal(&again.tree, &result.tree));
	return 0;
}

static bool is_untouched(struct work *w)
{
	return w->ws.driver->is_untouched && w->ws.driver->is_untouched(&w->ws, w->ws.rule);
}

static int make_and_attack(struct work *w, const char *driver, const struct pl_id *tree)
{
	struct pl_scan_result result;
	PL_FREE char *before = NULL, *after = NULL;
	int r;

	CHECK(work_begin(w, tree) == 0);
	before = store_text(w->s);
	r = make_workspace(&w->ws, driver, &w->passed_over, &w->error);
	if (r == -EOPNOTSUPP) {
		(void)say(w);
		return NOT_TO_BE_HAD;
	}
	if (r < 0)
		return say(w);
	CHECK(strcmp(w->ws.driver->name, driver) == 0);
	CHECK(run_inside(w, "--nothing", "") == 0);
	if (pl_workspace_sync(&w->ws, &w->error) < 0)
		return say(w);
	CHECK(scan_it(w, &result) == 0);
	CHECK(pl_id_equal(&result.tree, tree));
	CHECK(is_untouched(w) == (strstr(driver, "overlay") != NULL)); /* others cannot tell */
	r = run_inside(w, "--attack", "");
	CHECK(!is_untouched(w));
	after = store_text(w->s);
	CHECK(same_text(before, after) == 0); /* G4 */
	CHECK(r == 0);
	CHECK(scan_is_what_is_there(w) == 0);
	CHECK(pl_workspace_remove(&w->ws) == 0);
	CHECK(pl_exists(w->tx.fd, "w") == 0);
	return 0;
}

static int contract(struct scratch *s, const char *driver)
{
	struct work w = {.s = s, .pin = PL_PIN_NONE};
	struct pl_id first, tree;
	char *before, *after;
	bool with_group = strcmp(driver, "user-overlay") != 0;
	int r;

	w.store = open_store(s, "S");
	CHECK(w.store);
	CHECK(make_source(s, with_group) == 0);
	CHECK(publish(w.store, s, "src", &first) == 0);
	CHECK(make_file(s->fd, "src/second", "generation") == 0);
	CHECK(publish(w.store, s, "src", &tree) == 0);
	before = store_text(s);
	r = make_and_attack(&w, driver, &tree);
	work_end(&w);
	after = store_text(s);
	/* The ctime of pins and the like is not asked for: nothing of it has changed at all. */
	if (r == 0)
		r = same_text(before, after);
	free(before);
	free(after);
	CHECK(r != 0 || count_names(w.store->tx_fd, ".") == 0);
	pl_store_close(w.store);
	return r;
}

/* On a file system of its own, in a directory whose name has all that options of mounts choke on. */
struct contract_case {
	const char *kind, *driver;
	bool as_user;
};
static const struct contract_case *current;

static int contract_in_child(struct scratch *s)
{
	/* Who changed his user id may not map ids, unless he says that nothing was secret. */
	CHECK(prctl(PR_SET_DUMPABLE, 1) == 0);
	return contract(s, current->driver);
}

static int contract_on_image(struct scratch *s)
{
	struct scratch inner = {.fd = -1};
	int r = private_mounts(s) < 0 ? NOT_TO_BE_HAD : mount_image(s, current->kind, "fs", NULL);

	if (r != 0)
		return r;
	CHECK(fchmodat(s->fd, ".", 0755, 0) == 0);
	(void)snprintf(inner.path, sizeof(inner.path), "%.3900s/fs/a,b:c\\d =e", s->path);
	CHECK(mkdir(inner.path, 0777) == 0 && chmod(inner.path, 0777) == 0);
	inner.fd = open(inner.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(inner.fd >= 0);
	return current->as_user ? in_child_as_user(contract_in_child, &inner)
				: in_child(contract_in_child, &inner);
}

static void holds_the_contract(void **state, const struct contract_case *c)
{
	int r;

	if (geteuid() != 0)
		SKIP("needs root: loop devices and mounts");
	current = c;
	r = in_child(contract_on_image, *state);
	if (r == NOT_TO_BE_HAD)
		SKIP("the file system or the driver cannot be had here");
	assert_int_equal(r, 0);
}

#define CONTRACT(test, kind, driver, as_user)                                              \
	static void test(void **state)                                                     \
	{                                                                                  \
		holds_the_contract(state, &(struct contract_case){kind, driver, as_user}); \
	}
CONTRACT(overlay_on_ext4_holds_the_contract_G4, "ext4", "overlay", false)
CONTRACT(overlay_on_xfs_holds_the_contract_G4, "xfs", "overlay", false)
CONTRACT(overlay_on_btrfs_holds_the_contract_G4, "btrfs", "overlay", false)
CONTRACT(overlay_on_tmpfs_holds_the_contract_G4, "tmpfs", "overlay", false)
CONTRACT(snapshot_holds_the_contract_G4, "btrfs", "snapshot", false)
CONTRACT(snapshot_of_a_user_holds_the_contract_G4, "btrfs", "snapshot", true)
CONTRACT(reflink_on_xfs_holds_the_contract_G4, "xfs", "reflink", false)
CONTRACT(reflink_on_btrfs_holds_the_contract_G4, "btrfs", "reflink", false)
CONTRACT(reflink_of_a_user_holds_the_contract_G4, "btrfs", "reflink", true)
CONTRACT(user_overlay_on_ext4_holds_the_contract_G4, "ext4", "user-overlay", true)
CONTRACT(user_overlay_on_btrfs_holds_the_contract_G4, "btrfs", "user-overlay", true)
CONTRACT(user_overlay_of_root_holds_the_contract_G4, "xfs", "user-overlay", false)
CONTRACT(copy_on_ext4_holds_the_contract_G4, "ext4", "copy", false)
CONTRACT(copy_on_tmpfs_holds_the_contract_G4, "tmpfs", "copy", false)
CONTRACT(copy_of_a_user_holds_the_contract_G4, "ext4", "copy", true)

/* The control: in a farm of hard links the same program reaches what is committed, and that is seen. */
static int farm(struct scratch *s)
{
	struct pl_store *store = open_store(s, "S");
	const char *const link_all[] = {"cp", "-al", "S/site/", "farm", NULL};
	struct pl_id tree;
	char *before, *after;

	CHECK(store && make_source(s, true) == 0 && publish(store, s, "src", &tree) == 0);
	before = store_text(s);
	CHECK(fchdir(s->fd) == 0 && run_quietly(link_all) == 0);
	(void)attack_all("farm");
	after = store_text(s);
	pl_store_close(store);
	CHECK(pl_erase(s->fd, "farm", NULL) == 0 && pl_erase(s->fd, "S", NULL) == 0);
	return strcmp(before, after) != 0 ? 0 : 1;
}

static void a_farm_of_hard_links_would_break_it(void **state)
{
	assert_int_equal(in_child(farm, *state), 0);
}

static int copy_out(const char *from, const char *to)
{
	execlp("cp", "cp", "-a", from, to, (char *)NULL);
	return 127;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(copy_on_ext4_holds_the_contract_G4),
		TEST(copy_on_tmpfs_holds_the_contract_G4),
		TEST(copy_of_a_user_holds_the_contract_G4),
		TEST(reflink_on_xfs_holds_the_contract_G4),
		TEST(reflink_on_btrfs_holds_the_contract_G4),
		TEST(reflink_of_a_user_holds_the_contract_G4),
		TEST(snapshot_holds_the_contract_G4),
		TEST(snapshot_of_a_user_holds_the_contract_G4),
		TEST(overlay_on_ext4_holds_the_contract_G4),
		TEST(overlay_on_xfs_holds_the_contract_G4),
		TEST(overlay_on_btrfs_holds_the_contract_G4),
		TEST(overlay_on_tmpfs_holds_the_contract_G4),
		TEST(user_overlay_on_ext4_holds_the_contract_G4),
		TEST(user_overlay_on_btrfs_holds_the_contract_G4),
		TEST(user_overlay_of_root_holds_the_contract_G4),
		TEST(a_farm_of_hard_links_would_break_it),
	};

	if (argc == 4 && strcmp(argv[1], "--attack") == 0)
		return attack_all(argv[2]);
	if (argc == 4 && strcmp(argv[1], "--copy") == 0)
		return copy_out(argv[2], argv[3]);
	if (argc == 4 && strcmp(argv[1], "--nothing") == 0)
		return 0;
	return cmocka_run_group_tests_name("tx/workspace", tests, NULL, NULL);
}
