/*
 * Upper layers made by hand: what overlayfs allows and the kernel's own mounts do not show, what
 * somebody may have put there from outside, what cannot be stored, and what it costs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "source/layers.h"

static const char base_script[] =
	"mkdir -p d/e/f g; printf a > a; printf b > b; printf x > d/x; printf y > d/e/y\n"
	"printf l > l1; ln l1 d/l2; ln -s a sym\n";

static int begin(struct layers *l, struct scratch *s, bool is_user)
{
	*l = (struct layers){.is_user = is_user};
	CHECK(layers_begin(l, s, base_script) == 0);
	return 0;
}

/* The upper layer is what `script` makes, with up/ and work/ beside. */
static int shape(struct layers *l, const char *script)
{
	CHECK(layers_fresh(l) == 0);
	CHECK(run_script(l->s->fd, script) == 0);
	return 0;
}

static int mark(struct layers *l, const char *path, const char *name, const char *value)
{
	char xattr[100];

	(void)snprintf(xattr, sizeof(xattr), "%s.overlay.%s", l->is_user ? "user" : "trusted",
		       name);
	CHECK(pl_xattr_set_at(l->s->fd, path, xattr, value, strlen(value)) == 0);
	return 0;
}

/* Reading it is refused, about `path`. */
static int is_refused(struct layers *l, int r, const char *path)
{
	struct reading x;

	CHECK(reading_begin(l, PL_RULE_EXACT, &x) == 0);
	if (x.r != r || strcmp(x.error.path, path) != 0)
		(void)fprintf(stderr, "# %d, path '%s': %s\n", x.r, x.error.path, x.error.message);
	CHECK(x.r == r);
	CHECK(strcmp(x.error.path, path) == 0);
	CHECK(strstr(x.error.message, path) != NULL && x.error.code != 0);
	reading_end(&x);
	return 0;
}

/* It is read, and gives what a scan of `wanted` gives. */
static int gives(struct layers *l, const char *wanted, struct pl_scan_result *ret_result)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pl_scan_result seen;
	struct pl_stage nowhere;
	int fd = pl_open_dir(l->s->fd, wanted);

	CHECK(fd >= 0);
	CHECK(pl_stage_begin(l->store, NULL, PL_STAGE_NOWHERE, &nowhere, &error) == 0);
	CHECK(scan_into(l->store, &nowhere, fd, &seen) == 0);
	close(fd);
	CHECK(reading_gives(l, &nowhere, &seen, ret_result) == 0);
	pl_stage_end(&nowhere);
	return 0;
}

#define CHILD_TEST(name, child)                                     \
	static int child##_settled(struct scratch *s)               \
	{                                                           \
		int r = private_mounts(s) < 0 ? 1 : find_ground(s); \
		return r != 0 ? r : child(s);                       \
	}                                                           \
	static void name(void **state)                              \
	{                                                           \
		if (geteuid() != 0)                                 \
			SKIP("making marks needs root");            \
		IN_CHILD(in_child(child##_settled, *state));        \
	}

/* ---- what it says ---- */

static int says_nothing(struct scratch *s)
{
	struct reading x;
	struct layers l;

	CHECK(begin(&l, s, true) == 0);
	CHECK(layers_fresh(&l) == 0);
	CHECK(reading_begin(&l, PL_RULE_EXACT, &x) == 0);
	CHECK(x.r == 0 && pl_id_equal(&x.result.tree, &l.base));
	CHECK(same_totals(&x.result.totals, &l.totals));
	CHECK(x.stage.files_new == 0 && x.result.files_read == 0);
	reading_end(&x);
	layers_end(&l);
	return 0;
}

static void empty_upper_layer_gives_the_base(void **state)
{
	IN_CHILD(in_child_as_user(says_nothing, *state));
}

/* The merged tree is the base, changed by the second script. */
#define LIKE(l, made, wanted)                                                              \
	do {                                                                               \
		CHECK(run_script((l)->s->fd, "rm -rf like; cp -a placed/tree like") == 0); \
		CHECK(shape((l), (made)) == 0);                                            \
		CHECK(run_script((l)->s->fd, (wanted)) == 0);                              \
	} while (0)
#define SAME_TIMES                                                                                \
	"for d in . d d/e g; do test ! -d up/$d || test ! -d like/$d || touch -r up/$d like/$d; " \
	"done"

static int whiteouts(struct scratch *s)
{
	struct pl_scan_result result;
	struct layers l;

	CHECK(begin(&l, s, false) == 0);
	/* Hard links of one whiteout, one of them where nothing is hidden, one on a directory. */
	LIKE(&l,
	     "mknod up/a c 0 0; ln up/a up/sym; ln up/a up/none; ln up/a up/g; mkdir -p up/d; "
	     "ln up/a up/d/e",
	     "rm -r like/a like/sym like/g like/d/e; " SAME_TIMES);
	CHECK(gives(&l, "like", &result) == 0);
	CHECK(result.files_read == 0);
	/* Files that are whiteouts, in a directory that says so; beside one that is a file. */
	LIKE(&l, "mkdir -p up/d/e; : > up/d/x; : > up/d/l2; : > up/d/e/y; : > up/d/new",
	     "rm like/d/x like/d/l2; : > like/d/new; : > like/d/e/y; touch -r up/d/new like/d/new; "
	     "touch -r up/d/e/y like/d/e/y; " SAME_TIMES);
	CHECK(mark(&l, "up/d", "opaque", "x") == 0);
	CHECK(mark(&l, "up/d/x", "whiteout", "y") == 0);
	CHECK(mark(&l, "up/d/l2", "whiteout", "") == 0);
	CHECK(mark(&l, "up/d/e/y", "whiteout", "y") == 0);
	CHECK(gives(&l, "like", NULL) == 0);
	/* In an opaque directory a whiteout hides nothing. */
	LIKE(&l, "mkdir -p up/d; mknod up/d/x c 0 0; echo n > up/d/n",
	     "rm -r like/d; mkdir like/d; cp -a up/d/n like/d; " SAME_TIMES);
	CHECK(mark(&l, "up/d", "opaque", "y") == 0);
	CHECK(gives(&l, "like", NULL) == 0);
	layers_end(&l);
	return 0;
}
CHILD_TEST(whiteouts_of_all_kinds_hide_what_is_below, whiteouts)

static int own_marks(struct scratch *s)
{
	static const char *const marks[] = {"origin", "impure",	  "nlink",  "uuid",
					    "upper",  "protattr", "verity", "unheard-of"};
	struct layers l;

	CHECK(begin(&l, s, false) == 0);
	LIKE(&l, "mkdir up/d; echo new > up/a; ln -s t up/sym",
	     "cp -a up/a like; rm like/sym; cp -a up/sym like; " SAME_TIMES);
	for (unsigned i = 0; i < PL_ARRAY_LEN(marks); i++) {
		CHECK(mark(&l, "up/a", marks[i], "\1i") == 0);
		CHECK(mark(&l, "up/d", marks[i], "") == 0);
		CHECK(mark(&l, "up", marks[i], "y") == 0);
		CHECK(mark(&l, "up/sym", marks[i], "U+1") == 0);
	}
	CHECK(gives(&l, "like", NULL) == 0);
	layers_end(&l);
	return 0;
}
CHILD_TEST(marks_of_overlayfs_are_never_published, own_marks)

static int redirects(struct scratch *s)
{
	struct layers l;

	CHECK(begin(&l, s, false) == 0);
	/* Two swapped, and one within the other's place. */
	LIKE(&l, "mkdir up/d up/g",
	     "mv like/d like/t; mv like/g like/d; mv like/t like/g; touch -r up/d like/d; "
	     "touch -r up/g like/g; touch -r up like");
	CHECK(mark(&l, "up/d", "redirect", "g") == 0);
	CHECK(mark(&l, "up/g", "redirect", "/d") == 0);
	CHECK(gives(&l, "like", NULL) == 0);
	/* A directory inside what was below it: d is the old d/e, in it the old d. */
	LIKE(&l, "mkdir -p up/d/e; mknod up/d/e/e c 0 0",
	     "mv like/d/e like/t; mv like/d like/t/e; mv like/t like/d; touch -r up/d like/d; "
	     "touch -r up/d/e like/d/e; touch -r up like");
	CHECK(mark(&l, "up/d", "redirect", "/d/e") == 0);
	CHECK(mark(&l, "up/d/e", "redirect", "/d") == 0);
	CHECK(gives(&l, "like", NULL) == 0);
	layers_end(&l);
	return 0;
}
CHILD_TEST(redirects_may_cross_and_nest, redirects)

static int modes(struct scratch *s)
{
	struct pl_scan_result result;
	struct reading x;
	struct layers l;

	CHECK(begin(&l, s, true) == 0);
	CHECK(shape(&l, "ln -s ../b up/out; ln -s /etc up/absolute; mkdir up/d; "
			"ln -s ../../c up/d/out; ln -s ../a up/d/in") == 0);
	CHECK(reading_begin(&l, PL_RULE_EXACT, &x) == 0);
	CHECK(x.r == 0);
	result = x.result;
	reading_end(&x);
	CHECK(result.escaping == 2);
	CHECK(strcmp(result.first_escaping, "d/out") == 0);
	layers_end(&l);
	return 0;
}

static void escaping_links_of_the_upper_layer_are_counted(void **state)
{
	IN_CHILD(in_child_as_user(modes, *state));
}

static int rules(struct scratch *s)
{
	struct pl_node_source nodes;
	struct pl_found found;
	struct reading x;
	struct layers l;

	CHECK(begin(&l, s, true) == 0);
	for (int rule = PL_RULE_PORTABLE; rule <= PL_RULE_CANONICAL; rule++) {
		CHECK(shape(&l, "mkdir up/n; echo new > up/n/a; chmod 711 up/n/a; "
				"chmod 2700 up/n") == 0);
		CHECK(mark(&l, "up/n", "opaque", "y") == 0);
		CHECK(pl_xattr_set_at(s->fd, "up/n/a", "user.x", "v", 1) == 0);
		CHECK(reading_begin(&l, (enum pl_rule)rule, &x) == 0);
		CHECK(x.r == 0);
		nodes = pl_stage_nodes(&x.stage);
		CHECK(pl_lookup(&nodes, &x.result.tree, "n/a", &found, &x.error) == 0);
		CHECK(found.entry.meta.mode == (rule == PL_RULE_PORTABLE ? 0755 : 0555));
		CHECK(found.entry.meta.uid == PLEACH_NO_OWNER);
		CHECK(found.entry.meta.mtime_s == 0 && found.entry.meta.xattrs_length == 0);
		CHECK(found.parent.meta.mode == (rule == PL_RULE_PORTABLE ? 0755 : 0555));
		CHECK(found.parent.meta.uid == PLEACH_NO_OWNER);
		pl_found_done(&found);
		reading_end(&x);
	}
	layers_end(&l);
	return 0;
}

static void metadata_is_reduced_as_the_rule_says(void **state)
{
	IN_CHILD(in_child_as_user(rules, *state));
}

/* Deeper than any path that a system call takes. */
static int deep(struct scratch *s)
{
	struct pl_scan_result result;
	struct layers l = {.is_user = true};
	int fd;

	CHECK(layers_begin(&l, s, ":") == 0 && layers_fresh(&l) == 0);
	fd = pl_open_dir(s->fd, "up");
	for (unsigned i = 0; i < 1000; i++) {
		int below;

		CHECK(fd >= 0 && mkdirat(fd, "directory", 0755) == 0);
		CHECK(make_file(fd, "file", "x") == 0 && symlinkat("../..", fd, "link") == 0);
		below = pl_open_dir(fd, "directory");
		close(fd);
		fd = below;
	}
	close(fd);
	CHECK(gives(&l, "up", &result) == 0);
	CHECK(result.totals.depth >= 1000 && result.escaping == 2);
	layers_end(&l);
	return 0;
}

static void depth_has_no_limit_but_that_of_trees(void **state)
{
	IN_CHILD(in_child_as_user(deep, *state));
}

/* ---- what somebody put there ---- */

static int hostile_redirects(struct scratch *s)
{
	static const struct hostile {
		const char *redirect, *about;
	} list[] = {
		{"nowhere", "n"}, {"/nowhere", "n"}, {"/d/nowhere/e", "n"},
		{"..", "n"},	  {"/../d", "n"},    {"/d/../d", "n"},
		{"d/e", "n"},	  {"/", "n"},	     {"", "n"},
		{"/a", "n"},	  {"a", "n"},	     {"/a/b", "n"},
		{"/sym", "n"},	  {"sym", "n"},	     {"/d//e", "n"},
		{"/d/e/", "n"},	  {"/d", "d"}, /* which is still there */
		{"d", "d"},	  {"/d/e", "d/e"},
	};
	char absurd[800]; /* more would not fit into every file system */
	struct layers l;

	CHECK(begin(&l, s, false) == 0);
	for (unsigned i = 0; i < PL_ARRAY_LEN(list); i++) {
		CHECK(shape(&l, "mkdir up/n") == 0);
		CHECK(mark(&l, "up/n", "redirect", list[i].redirect) == 0);
		CHECK(is_refused(&l, -EBADMSG, list[i].about) == 0);
	}
	memset(absurd, 'n', sizeof(absurd));
	absurd[sizeof(absurd) - 1] = '\0';
	for (unsigned i = 0; i < 3; i++) {
		CHECK(shape(&l, "mkdir up/n") == 0);
		CHECK(mark(&l, "up/n", "redirect", absurd) == 0);
		CHECK(is_refused(&l, -EBADMSG, "n") == 0);
		absurd[0] = '/';
		for (unsigned k = 100; i == 1 && k < sizeof(absurd) - 1; k += 100)
			absurd[k] = '/';
	}
	layers_end(&l);
	return 0;
}
CHILD_TEST(redirect_to_no_directory_of_the_base_is_refused, hostile_redirects)

static int hostile_pairs(struct scratch *s)
{
	struct layers l;

	CHECK(begin(&l, s, false) == 0);
	/* Two for one. */
	CHECK(shape(&l, "mkdir up/n up/m; mknod up/d c 0 0") == 0);
	CHECK(mark(&l, "up/m", "redirect", "/d") == 0);
	CHECK(mark(&l, "up/n", "redirect", "d") == 0);
	CHECK(is_refused(&l, -EBADMSG, "n") == 0);
	/* One of them where it was. */
	CHECK(shape(&l, "mkdir up/n up/d") == 0);
	CHECK(mark(&l, "up/n", "redirect", "d") == 0);
	CHECK(is_refused(&l, -EBADMSG, "n") == 0);
	/* In a circle: d in itself, without end. */
	CHECK(shape(&l, "mkdir -p up/d/e") == 0);
	CHECK(mark(&l, "up/d", "redirect", "/d/e") == 0);
	CHECK(mark(&l, "up/d/e", "redirect", "/d") == 0);
	CHECK(is_refused(&l, -EBADMSG, "d/e/e") == 0);
	CHECK(shape(&l, "mkdir -p up/d/e") == 0);
	CHECK(mark(&l, "up/d/e", "redirect", "/d") == 0);
	CHECK(is_refused(&l, -EBADMSG, "d/e") == 0);
	/* Beside, where the base has nothing beside. */
	CHECK(shape(&l, "mkdir -p up/n/d; mknod up/d c 0 0") == 0);
	CHECK(mark(&l, "up/n", "opaque", "y") == 0);
	CHECK(mark(&l, "up/n/d", "redirect", "d") == 0);
	CHECK(is_refused(&l, -EBADMSG, "n/d") == 0);
	/* Marks that exclude each other, or say nothing that is known. */
	CHECK(shape(&l, "mkdir up/n; mknod up/d c 0 0") == 0);
	CHECK(mark(&l, "up/n", "redirect", "d") == 0);
	CHECK(mark(&l, "up/n", "opaque", "y") == 0);
	CHECK(is_refused(&l, -EBADMSG, "n") == 0);
	CHECK(shape(&l, "mkdir up/n") == 0);
	CHECK(mark(&l, "up/n", "opaque", "no") == 0);
	CHECK(is_refused(&l, -EBADMSG, "n") == 0);
	/* The root. */
	CHECK(shape(&l, ":") == 0);
	CHECK(mark(&l, "up", "opaque", "y") == 0);
	CHECK(is_refused(&l, -EBADMSG, "") == 0);
	CHECK(shape(&l, ":") == 0);
	CHECK(mark(&l, "up", "redirect", "/d") == 0);
	CHECK(is_refused(&l, -EBADMSG, "") == 0);
	layers_end(&l);
	return 0;
}
CHILD_TEST(marks_that_contradict_each_other_are_refused, hostile_pairs)

static int no_redirects_for_users(struct scratch *s)
{
	struct layers l;

	CHECK(begin(&l, s, true) == 0);
	CHECK(shape(&l, "mkdir up/n") == 0);
	CHECK(mark(&l, "up/n", "redirect", "d") == 0);
	CHECK(is_refused(&l, -EBADMSG, "n") == 0);
	layers_end(&l);
	return 0;
}

static void redirect_in_the_upper_layer_of_a_user_is_refused(void **state)
{
	IN_CHILD(in_child_as_user(no_redirects_for_users, *state));
}

static int no_content(struct scratch *s)
{
	struct layers l;

	CHECK(begin(&l, s, true) == 0);
	CHECK(shape(&l, "mkdir up/d; truncate -s 1 up/d/x") == 0);
	CHECK(mark(&l, "up/d/x", "metacopy", "") == 0);
	CHECK(is_refused(&l, -EBADMSG, "d/x") == 0);
	layers_end(&l);
	return 0;
}

static void file_without_its_content_is_refused(void **state)
{
	IN_CHILD(in_child_as_user(no_content, *state));
}

/* The name that the index has for a file of the base. */
static int index_name(struct layers *l, const char *path, char ret_name[256])
{
	unsigned char frame[200] = {0, 0xfb};
	const char *slash = strrchr(path, '/');
	PL_BUFFER handle = {0};
	PL_BUFFER dir = {0};
	int fd;

	pl_buffer_add_string(&dir, ".");
	pl_buffer_add(&dir, "/", slash ? 1 : 0);
	pl_buffer_add(&dir, path, slash ? (size_t)(slash - path) : 0);
	fd = pl_open_dir(l->lower, pl_buffer_string(&dir));
	CHECK(fd >= 0);
	CHECK(pl_handle_encode(fd, slash ? slash + 1 : path, &handle) == 0);
	close(fd);
	CHECK(handle.length > 1 && handle.length < 100);
	frame[2] = (unsigned char)(20 + handle.length);
	frame[4] = handle.data[0];
	memcpy(frame + 21, handle.data + 1, handle.length - 1);
	pl_hex(frame, frame[2], ret_name);
	return 0;
}

static int with_index(struct layers *l, const char *script)
{
	CHECK(shape(l, "mkdir work/index") == 0);
	CHECK(run_script(l->s->fd, script) == 0);
	l->has_index = true;
	return 0;
}

static int indexed(struct scratch *s)
{
	char l1[256], a[256], script[2000];
	struct layers l;

	CHECK(begin(&l, s, false) == 0);
	CHECK(index_name(&l, "d/l2", l1) == 0 && index_name(&l, "a", a) == 0);
	/* A group whose names were not copied up is what the index has. */
	CHECK(run_script(s->fd, "rm -rf like; cp -a placed/tree like") == 0);
	(void)snprintf(script, sizeof(script),
		       "echo new > work/index/%s; : > 'work/index/#7'; mkdir 'work/index/#8'; "
		       "mknod work/index/%s c 0 0; cat work/index/%s > like/l1; "
		       "touch -r work/index/%s like/l1; touch -r up like",
		       l1, a, l1, l1);
	CHECK(with_index(&l, script) == 0);
	CHECK(gives(&l, "like", NULL) == 0);
	/* What no file of the base has made matters to nobody. */
	CHECK(run_script(s->fd, "rm -rf like; cp -a placed/tree like") == 0);
	CHECK(with_index(&l,
			 "echo x > work/index/00fb1d000100000000000000000000000000000000ffffffff"
			 "ffffffff; touch -r up like") == 0);
	CHECK(gives(&l, "like", NULL) == 0);
	layers_end(&l);
	return 0;
}
CHILD_TEST(index_alone_changes_all_names_of_a_group, indexed)

static int index_refused(struct layers *l, const char *script)
{
	struct reading x;

	CHECK(with_index(l, script) == 0);
	CHECK(reading_begin(l, PL_RULE_EXACT, &x) == 0);
	if (x.r != -EBADMSG)
		(void)fprintf(stderr, "# %s: %d %s\n", script, x.r, x.error.message);
	CHECK(x.r == -EBADMSG);
	CHECK(strstr(x.error.message, "index"));
	reading_end(&x);
	return 0;
}

static int hostile_index(struct scratch *s)
{
	static const char *const names[] = {
		"touch work/index/x",
		"touch work/index/00fb",
		"touch work/index/00fb1d0001",
		"touch work/index/00fb1c0001000000000000000000000000000000005583a700ec05dd20",
		"touch work/index/00FB1D0001000000000000000000000000000000005583a700ec05dd20",
		"touch work/index/00fb1d0401000000000000000000000000000000005583a700ec05dd20",
		"mkdir work/index/00fb1d0001000000000000000000000000000000005583a700ec05dd20",
		/* One inode for two files, one file for two inodes. */
		"touch work/index/00fb1d0001000000000000000000000000000000005583a700ec05dd20; cd "
		"work/index; ln 00* 00fb1d0001000000000000000000000000000000005583a700ec05dd21",
		"touch work/index/00fb1d0001000000000000000000000000000000005583a700ec05dd20 "
		"work/index/00fb1d0001000000000000000000000000000000015583a700ec05dd20",
	};
	char l1[256], script[600];
	struct layers l;

	CHECK(begin(&l, s, false) == 0);
	for (unsigned i = 0; i < PL_ARRAY_LEN(names); i++)
		CHECK(index_refused(&l, names[i]) == 0);
	CHECK(index_name(&l, "l1", l1) == 0);
	(void)snprintf(script, sizeof(script), "truncate -s 1 work/index/%s", l1);
	CHECK(with_index(&l, script) == 0);
	(void)snprintf(script, sizeof(script), "work/index/%s", l1);
	CHECK(mark(&l, script, "metacopy", "") == 0);
	CHECK(is_refused(&l, -EBADMSG, "d/l2") == 0);
	layers_end(&l);
	return 0;
}
CHILD_TEST(index_that_overlayfs_did_not_write_is_refused, hostile_index)

/* ---- what cannot be stored ---- */

static int mounted_over(struct scratch *s)
{
	struct stat st, other;
	struct layers l;

	CHECK(begin(&l, s, true) == 0);
	CHECK(shape(&l, "mkdir -p up/d/e t; : > up/d/file") == 0);
	CHECK(mount("none", scratch_path(s, "up/d/e"), "tmpfs", 0, "size=64k") == 0);
	CHECK(fstatat(s->fd, "up/d/e", &st, 0) == 0 && fstatat(s->fd, "up/d", &other, 0) == 0);
	CHECK(st.st_dev != other.st_dev);
	CHECK(is_refused(&l, -EXDEV, "d/e") == 0);
	CHECK(umount(scratch_path(s, "up/d/e")) == 0);
	CHECK(mount("none", scratch_path(s, "t"), "tmpfs", 0, "size=64k") == 0);
	CHECK(fstatat(s->fd, "t", &st, 0) == 0 && st.st_dev != other.st_dev);
	CHECK(run_script(s->fd, ": > t/file") == 0);
	CHECK(mount(scratch_path(s, "t/file"), scratch_path(s, "up/d/file"), NULL, MS_BIND, NULL) ==
	      0);
	CHECK(is_refused(&l, -EXDEV, "d/file") == 0);
	CHECK(umount(scratch_path(s, "up/d/file")) == 0 && umount(scratch_path(s, "t")) == 0);
	layers_end(&l);
	return 0;
}
CHILD_TEST(another_file_system_on_the_upper_layer_is_refused, mounted_over)

static int of_another_user(struct scratch *s)
{
	const uid_t nobody = 65534;
	struct layers l;

	CHECK(fchown(s->fd, nobody, (gid_t)nobody) == 0);
	CHECK(mkdirat(s->fd, "theirs", 0755) == 0);
	CHECK(run_script(s->fd, "mkdir theirs/d; : > theirs/file; chown 65534:65534 theirs; "
				"mknod theirs/null c 1 3; chmod 666 theirs/null") == 0);
	CHECK(setgroups(0, NULL) == 0 && setresgid(nobody, nobody, nobody) == 0 &&
	      setresuid(nobody, nobody, nobody) == 0);
	CHECK(begin(&l, s, true) == 0);
	for (unsigned i = 0; i < 3; i++) {
		static const char *const names[] = {"d", "file", "null"};
		char script[100];

		(void)snprintf(script, sizeof(script), "mv theirs/%s up/mine-not", names[i]);
		CHECK(i == 0 || shape(&l, script) == 0);
		if (i == 0) {
			/* A directory of another user cannot be moved by this one, but its parent can. */
			CHECK(shape(&l, ":") == 0);
			CHECK(run_script(s->fd, "rmdir up; mv theirs up") == 0);
			CHECK(run_script(s->fd, "mkdir theirs; mv up/file up/null theirs") == 0);
			CHECK(is_refused(&l, -EPERM, "d") == 0);
			continue;
		}
		CHECK(is_refused(&l, -EPERM, "mine-not") == 0);
	}
	layers_end(&l);
	return 0;
}
CHILD_TEST(what_this_user_cannot_restore_is_refused_by_path, of_another_user)

/* ---- what it costs ---- */

/* Takes the node of directory `path` of the base out of the store, so that reading it would fail. */
static int hide_node(struct layers *l, const char *path)
{
	struct pl_node_source nodes = pl_store_nodes(l->store);
	struct pleach_error error = PLEACH_ERROR_INIT;
	char name[PL_FANOUT_NAME];
	struct pl_found found;

	CHECK(pl_lookup(&nodes, &l->base, path, &found, &error) == 0 && found.is_dir);
	pl_fanout_name(&found.directory, name);
	CHECK(unlinkat(l->store->nodes_fd, name, 0) == 0);
	pl_found_done(&found);
	return 0;
}

static int costs(struct scratch *s)
{
	struct layers l = {.is_user = true};
	char path[20];
	struct reading x;

	CHECK(layers_begin(&l, s,
			   "for i in 1 2 3 4 5 6 7 8 9; do mkdir -p d$i/e; echo $i > d$i/e/f; "
			   "done; mkdir -p d1/e2; echo x > d1/e2/x; echo l > d1/l; "
			   "ln d1/l d1/l2") == 0);
	CHECK(shape(&l, "mkdir -p up/d1/e up/d5; echo new > up/d1/e/new; touch -d @5 up/d5") == 0);
	for (unsigned i = 2; i <= 9; i++) {
		(void)snprintf(path, sizeof(path), "d%u/e", i);
		CHECK(hide_node(&l, path) == 0);
		(void)snprintf(path, sizeof(path), "d%u", i);
		CHECK(i == 5 || hide_node(&l, path) == 0);
	}
	CHECK(hide_node(&l, "d1/e2") == 0);
	CHECK(reading_begin(&l, PL_RULE_EXACT, &x) == 0);
	if (x.r < 0)
		(void)fprintf(stderr, "# %s\n", x.error.message);
	CHECK(x.r == 0 && x.result.files_read == 1);
	CHECK(x.result.totals.entries == l.totals.entries + 1);
	reading_end(&x);
	layers_end(&l);
	return 0;
}

static void nodes_of_the_base_are_read_where_the_upper_layer_is_and_nowhere_else(void **state)
{
	IN_CHILD(in_child_as_user(costs, *state));
}

static int group_costs(struct scratch *s)
{
	char name[256], single[256], script[2000];
	struct layers l = {0};
	struct reading x;

	CHECK(layers_begin(&l, s,
			   "mkdir -p a/b c/d e g; echo 1 > a/b/1; ln a/b/1 a/2; echo c > c/d/c; "
			   "echo e > e/e; echo s > a/s; echo g > g/1; ln g/1 g/2") == 0);
	CHECK(index_name(&l, "a/2", name) == 0 && index_name(&l, "a/s", single) == 0);
	(void)snprintf(script, sizeof(script), "echo new > work/index/%s", name);
	CHECK(with_index(&l, script) == 0);
	CHECK(hide_node(&l, "c/d") == 0 && hide_node(&l, "c") == 0 && hide_node(&l, "e") == 0);
	CHECK(reading_begin(&l, PL_RULE_EXACT, &x) == 0);
	if (x.r < 0)
		(void)fprintf(stderr, "# %s\n", x.error.message);
	CHECK(x.r == 0 && x.result.files_read == 1 && !pl_id_equal(&x.result.tree, &l.base));
	reading_end(&x);
	/* Names in the upper layer tell which they are, be it by a whiteout: nothing is searched. */
	CHECK(hide_node(&l, "g") == 0);
	(void)snprintf(script, sizeof(script),
		       "echo new > work/index/%s; mkdir -p up/a; ln work/index/%s up/a/2; "
		       "echo t > work/index/%s; ln work/index/%s up/moved; mknod up/a/s c 0 0",
		       name, name, single, single);
	CHECK(with_index(&l, script) == 0);
	CHECK(reading_begin(&l, PL_RULE_EXACT, &x) == 0);
	if (x.r < 0)
		(void)fprintf(stderr, "# %s\n", x.error.message);
	CHECK(x.r == 0 && x.result.files_read == 2);
	reading_end(&x);
	layers_end(&l);
	return 0;
}
CHILD_TEST(groups_are_searched_only_where_there_are_any_and_if_it_must_be, group_costs)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(empty_upper_layer_gives_the_base),
		TEST(whiteouts_of_all_kinds_hide_what_is_below),
		TEST(marks_of_overlayfs_are_never_published),
		TEST(redirects_may_cross_and_nest),
		TEST(escaping_links_of_the_upper_layer_are_counted),
		TEST(metadata_is_reduced_as_the_rule_says),
		TEST(depth_has_no_limit_but_that_of_trees),
		TEST(redirect_to_no_directory_of_the_base_is_refused),
		TEST(marks_that_contradict_each_other_are_refused),
		TEST(redirect_in_the_upper_layer_of_a_user_is_refused),
		TEST(file_without_its_content_is_refused),
		TEST(index_alone_changes_all_names_of_a_group),
		TEST(index_that_overlayfs_did_not_write_is_refused),
		TEST(another_file_system_on_the_upper_layer_is_refused),
		TEST(what_this_user_cannot_restore_is_refused_by_path),
		TEST(nodes_of_the_base_are_read_where_the_upper_layer_is_and_nowhere_else),
		TEST(groups_are_searched_only_where_there_are_any_and_if_it_must_be),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
