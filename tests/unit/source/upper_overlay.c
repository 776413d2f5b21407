/*
 * The law of upper layers, against the kernel: what is read from the upper layer of an overlay is, to the
 * byte of the tree's id, what a scan of the mounted overlay saw. Scripts for what is known to be hard,
 * and random ones.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "source/layers.h"

/* A base with all kinds of things, hard links within and across directories, and names that are odd. */
static const char base_script[] =
	"printf one > a; printf two > b; : > empty; printf '#!' > x; chmod 4711 x\n"
	"mkdir -p d/e/f g h/i k; printf deep > d/e/f/file; printf mid > d/e/mid; printf h > h/i/h\n"
	"printf linked > l1; ln l1 d/l2; ln l1 g/l3\n"
	"printf pair > d/p1; ln d/p1 d/e/p2; : > g/e1; ln g/e1 h/e2\n"
	"ln -s a sym; ln -s ../../outside d/sym; ln sym h/sym2; mkfifo fifo\n"
	"printf odd > \"$(printf 'k/new\\nline')\"; printf odd > \"$(printf 'k/\\377')\"\n"
	"printf k > k/k; touch -d @1000000000.123456789 a d k/k h; chmod 1777 k\n";

/* In a child: mounts are its own, and overlays can be made. 0, or what it is to return. */
static int settle(struct scratch *s, bool is_user)
{
	if (is_user && own_namespace() < 0)
		return NOT_HERE;
	CHECK(private_mounts(s) == 0);
	return find_ground(s);
}

/* ---- one child for many scripts: the base is made once ---- */

static int run_scripts(struct scratch *s, bool is_user, const char *const *scripts)
{
	struct layers l = {.is_user = is_user};

	CHECK(layers_begin(&l, s, base_script) == 0);
	for (; *scripts; scripts++) {
		int r;

		CHECK(layers_fresh(&l) == 0);
		r = layers_mount(&l);
		if (r != 0)
			return r;
		r = run_script(l.merged, *scripts);
		if (r == 0)
			r = check_law(&l, NULL);
		else
			(void)fprintf(stderr, "# the script ended with %d\n", r);
		if (r != 0)
			(void)fprintf(stderr, "# script: %s\n", *scripts);
		CHECK(r == 0);
	}
	layers_end(&l);
	return 0;
}

static const char *const plain_scripts[] = {
	":",
	"echo more >> a",
	"echo more >> d/e/f/file",
	"rm a; rm -r d",
	"rm a; mkdir a; echo in > a/in",
	"rm -r d; echo file > d",
	"rm -r d; mkdir d; echo new > d/new",
	"rm -r d/e; mkdir -p d/e/f; echo new > d/e/f/file",
	"mkdir -p n/n/n; echo n > n/n/n/n; ln -s ../../.. n/n/up",
	"mkdir t; echo 1 > t/1; ln t/1 t/2; ln t/1 u; echo 2 >> u",
	"mkfifo t; mv fifo g; ln -s nowhere sym3; mv sym d/symmoved",
	"chmod 700 d; chmod 2750 d/e; chmod 600 a; touch -d @5 b; touch -d @7 d/e/f; touch -h -d "
	"@9 sym",
	"chmod 700 d; chmod 755 d", /* copied up, and nothing is changed but times */
	"touch a b x empty; touch -d @1000000000.123456789 a",
	"chmod 700 .; touch -d @3 .",
	"mv a a2; mv b a; mv a2 b",
	"mv a d/a; mv d/e/f/file f; echo x > a",
	"rm l1; rm d/p1; rm g/e1",
	"rm a b x empty l1 fifo sym; rm -r d g h k",
	"rm -f k/*; touch k/k",
	"for i in 1 2 3 4 5 6 7 8 9; do echo $i > t$i; rm t$i; done; rm a b x",
	"truncate -s 3M sparse; printf end >> sparse; truncate -s 100000 a",
	NULL,
};

/* What needs redirects and an index. */
static const char *const root_scripts[] = {
	/* groups */
	"echo more >> l1",
	"echo more >> d/l2; rm g/l3",
	"echo more >> l1; rm l1",
	"echo more >> l1; mv l1 l4; ln l4 l5",
	"echo more >> l1; rm l1 d/l2 g/l3",
	"ln d/l2 new; echo more >> new; rm d/l2",
	"ln a a2; echo more >> a2; ln a2 h/a3; rm a",
	"chmod 600 d/e/p2",
	"echo new > l1.new; mv l1.new l1",
	"mv l1 b; echo more >> d/l2",
	"mv d/p1 d/p3; mv d/e/p2 d/p1; mv d/p3 d/e/p2; echo more >> d/p1",
	"echo more >> g/e1",
	"touch -h -d @77 h/sym2",
	"echo more >> d/p1; rm d/p1; echo more >> l1; rm -r d",
	"echo more >> d/p1; mv d/e z; rm -r d",
	"echo more >> d/e/p2; rm -r d/e",
	"echo more >> d/e/p2; mv d/e/p2 d/e/f; rm -r d/e",
	"mkdir q; mv l1 q; mv d/l2 q; echo more >> g/l3; mv g q",
	/* directories that move */
	"mv d d2",
	"mv d d2; mkdir d; echo x > d/x",
	"mv d d2; echo more >> d2/e/f/file; echo more >> l1; echo more >> d2/e/p2",
	"mv d g; mv g/d/e .; rm -r g/d; mkdir g/d",
	"mv d/e/f d/e/f2; mv d/e d/e2; mv d d2; echo x >> d2/e2/f2/file",
	"mv d/e z; mv z/f d; mv d z",
	"mkdir n; mv d n; mkdir n/m; mv n/d/e n/m; mv n/m .; rm -r n",
	"mv d t; mkdir d; mv t d/y",
	"mv d/e t; rm -r d; mv t d",
	"mv d d2; mv d2 d",
	"mv d d2; rm -r d2; mkdir d2",
	"mv d d2; rm -r d2; mv h d2",
	"mv d d2; mv d2/e d2/e3; rm -r d2/e3; mkdir d2/e3; echo t > d2/e3/t",
	"mv d t; mv h d; mv t h",
	"rm d/l2; mv d d2; echo more >> l1",
	"mv k k2; rm -f k2/k; echo odd >> \"$(printf 'k2/\\377')\"",
	"mv d d2; chmod 700 d2/e; touch -d @4 d2",
	/* devices, owners, attributes */
	"mknod c c 1 3; mknod b2 b 7 99; chown 12:34 a; chown -h 5:6 sym; chown 7:8 d",
	NULL,
};

static int plain_as_root(struct scratch *s)
{
	int r = settle(s, false);

	return r != 0 ? r : run_scripts(s, false, plain_scripts);
}

static void upper_layer_reads_as_the_overlay_showed(void **state)
{
	if (geteuid() != 0)
		SKIP("mounting needs root");
	IN_CHILD(in_child(plain_as_root, *state));
}

static int root_as_root(struct scratch *s)
{
	int r = settle(s, false);

	return r != 0 ? r : run_scripts(s, false, root_scripts);
}

static void groups_and_moved_directories_read_as_the_overlay_showed(void **state)
{
	if (geteuid() != 0)
		SKIP("mounting needs root");
	IN_CHILD(in_child(root_as_root, *state));
}

static int plain_as_user(struct scratch *s)
{
	int r = settle(s, true);

	return r != 0 ? r : run_scripts(s, true, plain_scripts);
}

static void upper_layer_of_a_user_namespace_reads_as_the_overlay_showed(void **state)
{
	IN_CHILD(in_child_as_user(plain_as_user, *state));
}

/* ---- attributes ---- */

static int set(int dirfd, const char *name, const char *xattr, const char *value)
{
	return pl_xattr_set_at(dirfd, name, xattr, value, strlen(value));
}

static int attributes(struct scratch *s, bool is_user)
{
	const char *own = is_user ? "user.overlay" : "trusted.overlay";
	struct layers l = {.is_user = is_user};
	char name[100];
	int r;

	CHECK(layers_begin(&l, s, base_script) == 0);
	CHECK(layers_fresh(&l) == 0);
	r = layers_mount(&l);
	if (r != 0)
		return r;
	for (unsigned i = 0; i < 6; i++) {
		static const char *const marks[] = {".opaque",	 ".redirect",	   ".foo",
						    ".metacopy", ".overlay.twice", ".whiteout"};

		(void)snprintf(name, sizeof(name), "%s%s", own, marks[i]);
		CHECK(set(l.merged, "d", name, "y") == 0);
		CHECK(set(l.merged, "a", name, "y") == 0);
		CHECK(set(l.merged, ".", name, "y") == 0);
	}
	/* Between the two in order once the word is taken out. */
	(void)snprintf(name, sizeof(name), "%s.overlap", own);
	CHECK(set(l.merged, "a", name, "z") == 0);
	CHECK(set(l.merged, "a", "user.plain", "v") == 0);
	CHECK(set(l.merged, "d/e", "user.overlay.x", "other") == 0);
	CHECK(check_law(&l, NULL) == 0);
	layers_end(&l);
	return 0;
}

static int attributes_as_root(struct scratch *s)
{
	int r = settle(s, false);

	return r != 0 ? r : attributes(s, false);
}

static int attributes_as_user(struct scratch *s)
{
	int r = settle(s, true);

	return r != 0 ? r : attributes(s, true);
}

static void attributes_of_a_user_named_like_marks_are_the_files_own(void **state)
{
	IN_CHILD(in_child_as_user(attributes_as_user, *state));
}

static void attributes_named_like_marks_are_the_files_own(void **state)
{
	if (geteuid() != 0)
		SKIP("mounting needs root");
	IN_CHILD(in_child(attributes_as_root, *state));
}

/* ---- what was written and changed nothing ---- */

static int unchanged_is_the_base(struct scratch *s)
{
	static const char *const scripts[] = {
		"chmod 700 x; chmod 4711 x",
		"t=$(stat -c %y d/l2); echo >> d/l2; truncate -s 6 d/l2; touch -d \"$t\" d/l2",
		"t=$(stat -c %y d); chmod 700 d; chmod 755 d; touch -d \"$t\" d",
		"chown 5 d/e/p2; chown 0 d/e/p2",
		NULL,
	};
	struct pl_scan_result result;
	struct layers l = {0};
	int r = settle(s, false);

	if (r != 0)
		return r;
	CHECK(layers_begin(&l, s, base_script) == 0);
	for (unsigned i = 0; scripts[i]; i++) {
		CHECK(layers_fresh(&l) == 0);
		r = layers_mount(&l);
		if (r != 0)
			return r;
		CHECK(run_script(l.merged, scripts[i]) == 0);
		CHECK(check_law(&l, &result) == 0);
		CHECK(pl_id_equal(&result.tree, &l.base));
	}
	layers_end(&l);
	return 0;
}

static void what_was_copied_up_and_is_as_it_was_gives_the_base(void **state)
{
	if (geteuid() != 0)
		SKIP("mounting needs root");
	IN_CHILD(in_child(unchanged_is_the_base, *state));
}

/* ---- what nobody was at ---- */

/* Each leaves its trace in the root of the upper layer, if only in its mtime. */
static const char *const touches[] = {
	"chmod 711 .",
	"touch -d @3 .",
	"setfattr -n user.x -v y .",
	": > t; rm t",
	"mkdir t; rmdir t",
	"mv a t; mv t a",
	"rm a",
	"rm -r g; mkdir g",
	"touch d/e/f/file",
	"chmod 700 d/e; chmod 755 d/e",
	"echo more >> l1; rm l1",
	NULL,
};

static int is_untouched_after(struct layers *l, const char *script, bool *ret_is)
{
	struct reading x;
	int r;

	CHECK(layers_fresh(l) == 0);
	r = layers_mount(l);
	if (r != 0)
		return r;
	CHECK(run_script(l->merged, script) == 0);
	CHECK(layers_unmount(l) == 0);
	CHECK(reading_begin(l, PL_RULE_EXACT, &x) == 0);
	*ret_is = x.is_untouched;
	reading_end(&x);
	return 0;
}

static int untouched(struct scratch *s, bool is_user)
{
	struct layers l = {.is_user = is_user};
	bool is = false;
	int r = settle(s, is_user);

	if (r != 0)
		return r;
	CHECK(layers_begin(&l, s, base_script) == 0);
	r = is_untouched_after(&l, "cat a d/e/mid >/dev/null; ls -lR >/dev/null; chmod 755 .", &is);
	if (r != 0)
		return r;
	CHECK(is);
	for (size_t i = 0; touches[i]; i++) {
		CHECK(is_untouched_after(&l, touches[i], &is) == 0);
		if (is)
			(void)fprintf(stderr, "# script: %s\n", touches[i]);
		CHECK(!is);
	}
	layers_end(&l);
	return 0;
}

static int untouched_as_root(struct scratch *s)
{
	return untouched(s, false);
}

static int untouched_as_user(struct scratch *s)
{
	return untouched(s, true);
}

static void untouched_is_what_nobody_was_at(void **state)
{
	if (geteuid() != 0)
		SKIP("mounting needs root");
	IN_CHILD(in_child(untouched_as_root, *state));
}

static void untouched_is_what_no_user_was_at(void **state)
{
	IN_CHILD(in_child_as_user(untouched_as_user, *state));
}

/* ---- random ---- */

struct rng {
	uint64_t x;
};

static unsigned roll(struct rng *rng, unsigned n)
{
	rng->x ^= rng->x << 13;
	rng->x ^= rng->x >> 7;
	rng->x ^= rng->x << 17;
	return (unsigned)((rng->x >> 11) % n);
}

/* A path of one to four names of few: often one that is there. */
static void roll_path(struct rng *rng, char ret_path[64])
{
	static const char *const names[] = {"a", "b", "d", "e", "f", "g", "l1", "p"};
	unsigned n = 1 + roll(rng, 4);

	ret_path[0] = '\0';
	for (unsigned i = 0; i < n; i++) {
		if (i > 0)
			strcat(ret_path, "/");
		strcat(ret_path, names[roll(rng, PL_ARRAY_LEN(names))]);
	}
}

static void write_at(int dirfd, const char *path, int flags, struct rng *rng)
{
	int fd = openat(dirfd, path, flags | O_WRONLY | O_NONBLOCK | O_CLOEXEC, 0644);
	char text[16];
	int n = snprintf(text, sizeof(text), "%u", roll(rng, 100000));

	if (fd < 0)
		return;
	if (write(fd, text, (size_t)n) != n)
		abort();
	close(fd);
}

/* One operation; most fail, as they may. */
static void operate(int dirfd, struct rng *rng)
{
	char p[64], q[64];
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = roll(rng, 1000)}};

	roll_path(rng, p);
	roll_path(rng, q);
	switch (roll(rng, 16)) {
	case 0:
	case 1:
		write_at(dirfd, p, O_CREAT | O_APPEND, rng);
		break;
	case 2:
		write_at(dirfd, p, O_TRUNC, rng);
		break;
	case 3:
		(void)unlinkat(dirfd, p, 0);
		break;
	case 4:
		(void)unlinkat(dirfd, p, AT_REMOVEDIR);
		break;
	case 5:
		(void)pl_erase(dirfd, p, NULL);
		break;
	case 6:
	case 7:
		(void)mkdirat(dirfd, p, 0755);
		break;
	case 8:
	case 9:
	case 10:
		(void)renameat(dirfd, p, dirfd, q);
		break;
	case 11:
		(void)renameat2(dirfd, p, dirfd, q, RENAME_EXCHANGE);
		break;
	case 12:
	case 13:
		(void)linkat(dirfd, p, dirfd, q, 0);
		break;
	case 14:
		(void)fchmodat(dirfd, p, 0600 + roll(rng, 64), AT_SYMLINK_NOFOLLOW);
		(void)fchmodat(dirfd, q, 0700, 0);
		(void)utimensat(dirfd, q, times, AT_SYMLINK_NOFOLLOW);
		break;
	default:
		(void)symlinkat("target", dirfd, p);
		(void)pl_xattr_set_at(dirfd, q, "user.x", q, strlen(q));
	}
}

static const char random_base[] =
	"for d in d d/e d/e/f e g g/a g/a/b f; do mkdir $d; printf $d > $d/l1; printf p$d > $d/p; "
	"done\n"
	"printf a > a; printf b > b; printf l > l1; printf x > d/x; ln d/x d/e/b; ln d/x g/a/b/a\n"
	"ln l1 g/b; ln l1 d/e/f/a; ln l1 e/a; ln g/l1 g/a/e; : > d/b; ln d/b f/b; : > e/b\n"
	"ln -s x g/a/f; ln g/a/f f/f\n";

static int run_random(struct scratch *s, bool is_user, uint64_t first_seed, unsigned n_seeds,
		      unsigned n_operations)
{
	struct layers l = {.is_user = is_user};

	CHECK(layers_begin(&l, s, random_base) == 0);
	for (uint64_t seed = first_seed; seed < first_seed + n_seeds; seed++) {
		struct rng rng = {.x = seed * 0x9e3779b97f4a7c15u + 1};
		int r;

		CHECK(layers_fresh(&l) == 0);
		r = layers_mount(&l);
		if (r != 0)
			return r;
		for (unsigned i = 0; i < n_operations; i++)
			operate(l.merged, &rng);
		r = check_law(&l, NULL);
		if (r != 0)
			(void)fprintf(stderr,
				      "# seed %" PRIu64 ": PLEACH_SEED=%" PRIu64
				      " PLEACH_SEEDS=1 runs it alone\n",
				      seed, seed);
		CHECK(r == 0);
	}
	layers_end(&l);
	return 0;
}

static uint64_t number_of(const char *variable, uint64_t otherwise)
{
	const char *text = getenv(variable);
	uint64_t value = otherwise;

	if (text)
		(void)pl_parse_u64(text, UINT32_MAX, &value);
	return value;
}

static int random_as_root(struct scratch *s)
{
	int r = settle(s, false);

	if (r != 0)
		return r;
	return run_random(s, false, number_of("PLEACH_SEED", 1),
			  (unsigned)number_of("PLEACH_SEEDS", 40), 60);
}

static int random_as_user(struct scratch *s)
{
	int r = settle(s, true);

	if (r != 0)
		return r;
	/* Names of the base's groups split, there and here alike. */
	return run_random(s, true, number_of("PLEACH_SEED", 1),
			  (unsigned)number_of("PLEACH_SEEDS", 20), 60);
}

static void random_operations_read_as_the_overlay_showed(void **state)
{
	if (geteuid() != 0)
		SKIP("mounting needs root");
	print_message("# seeds from %u\n", (unsigned)number_of("PLEACH_SEED", 1));
	IN_CHILD(in_child(random_as_root, *state));
}

static void random_operations_of_a_user_read_as_the_overlay_showed(void **state)
{
	print_message("# seeds from %u\n", (unsigned)number_of("PLEACH_SEED", 1));
	IN_CHILD(in_child_as_user(random_as_user, *state));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(upper_layer_reads_as_the_overlay_showed),
		TEST(groups_and_moved_directories_read_as_the_overlay_showed),
		TEST(upper_layer_of_a_user_namespace_reads_as_the_overlay_showed),
		TEST(attributes_of_a_user_named_like_marks_are_the_files_own),
		TEST(attributes_named_like_marks_are_the_files_own),
		TEST(what_was_copied_up_and_is_as_it_was_gives_the_base),
		TEST(untouched_is_what_nobody_was_at),
		TEST(untouched_is_what_no_user_was_at),
		TEST(random_operations_read_as_the_overlay_showed),
		TEST(random_operations_of_a_user_read_as_the_overlay_showed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
