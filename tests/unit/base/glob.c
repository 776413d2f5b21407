/*
 * Patterns mean what they mean to git. The table was made by running `git check-ignore` once, over
 * files that were there; the differential test runs the git that is installed, if one is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "aborts.h"
#include "base/base.h"

/* Patterns, one a line; paths with '|' between. Of paths with '/' at the end there is a directory. */
struct row {
	const char *patterns, *ignored, *kept;
};

/* clang-format off */
static const struct row table[] = {
	/* a pattern without a slash matches the base name at any depth */
	{"foo", "foo/|a/foo|a/b/foo|foo/x", "foobar|barfoo|Foo|a/foobar"},
	/* suffix */
	{"*.o", "x.o|a/x.o|.o|a/o.o/y", "x.oo|o|x.o.c"},
	/* prefix */
	{"x*", "x|xy|a/xy", "yx|a/y"},
	/* a slash in front ties to the root */
	{"/foo", "foo", "a/foo|foo.c"},
	/* a slash in front, with a star */
	{"/*.c", "x.c", "a/x.c"},
	/* a slash within ties to the root too */
	{"a/foo", "a/foo", "b/a/foo|a/b/foo|a/foo2"},
	/* only directories */
	{"foo/", "foo/|a/foo/", "b/foo|bar/"},
	/* only directories: what is below */
	{"foo/", "foo/x|a/foo/y/z", "b/foo"},
	/* only directories, tied */
	{"/foo/", "foo/", "a/foo/"},
	/* only directories, tied by a slash within */
	{"a/foo/", "a/foo/", "b/a/foo/"},
	/* * does not cross a slash */
	{"a/*", "a/x/|a/x/y", "b/a/x|a/"},
	{"a/*/c", "a/b/c", "a/b/b/c|a/c"},
	/* * takes nothing too */
	{"a/*b", "a/b/|a/bb|a/ab|a/b/c", "a/ba"},
	/* stars in a row of one name */
	{"a*b*c", "abc|axbxc|abcbc|x/abc", "abcb|acb|a/bc"},
	/* stars in two names */
	{"/a*b/c*d", "ab/cd|axb/cxd|ab/cdd|abb/cdcd", "axb/cxe|ab/x/cd"},
	/* ? is one byte, not a slash */
	{"a?c", "abc|x/axc", "ac|abbc|a/c"},
	{"/a?c", "abc", "a/c"},
	/* ? is one byte, not a character */
	{"?", "a", "\303\251|ab"},
	{"?\?", "ab|\303\251", "a"},
	/* ** in front */
	{"**/foo", "foo|a/foo|a/b/foo", "afoo|foo2"},
	/* ** in front of two names */
	{"**/foo/bar", "foo/bar|a/foo/bar|a/b/foo/bar", "foo/a/bar|afoo/bar"},
	/* ** at the end */
	{"abc/**", "abc/x/|abc/x/y", "x/abc/x|abc2"},
	/* ** at the end leaves the directory itself */
	{"abc/**", "abc/d/", "abc/"},
	/* ** at the end, only directories */
	{"abc/**/", "abc/d/|abc/d/f", "abc/|abc/e"},
	/* ** between */
	{"a/**/b", "a/b/|a/x/b|a/x/y/b|a/b/b", "a/xb|xa/b|b/a/b|a/x/bb"},
	/* ** between, twice */
	{"a/**/b/**/c", "a/b/c|a/x/b/y/c|a/b/x/b/c|a/x/b/c/y", "a/c|a/x/c/b"},
	/* ** after ** */
	{"a/**/**/b", "a/b|a/x/b|a/x/y/z/b", "ab"},
	/* ** with a star behind */
	{"**/a*b/c", "ab/c|axxb/c|x/ab/c|x/y/azb/c", "ab/x/c|a/b/c"},
	/* ** must go on behind a name that fits at first */
	{"**/a/*b", "a/b/|a/a/b|a/x/a/zb|a/b/c", "a/a/a/c"},
	/* ** tied */
	{"/**/b", "b|a/b|a/x/b", "a/xb"},
	/* ** alone */
	{"**", "a/|a/b|.x", ""},
	/* ** alone, only directories */
	{"**/", "b/|c/d", "a"},
	/* ** tied, alone */
	{"/**", "a/|a/b", ""},
	/* three stars between slashes are ** */
	{"a/***/b", "a/b|a/x/y/b", ""},
	/* stars not alone between slashes are one */
	{"a/**b", "a/b|a/xb", "a/x/b|a/bx"},
	{"a/x**", "a/x|a/xy", "b/a/x"},
	{"/?**/c", "a/c|ab/c", "ab/b/c"},
	/* stars without a slash are one */
	{"a**b", "ab|axb|x/ab", "a/b"},
	/* ** before an escaped slash takes at least one name */
	{"a/**\\/b", "a/x/b|a/x/y/b", "a/b"},
	/* class */
	{"[abc]x", "ax|bx|a/cx", "dx|x|abx"},
	/* range */
	{"[a-c]x", "ax|bx|cx", "dx|-x"},
	/* negated class */
	{"[!a-c]x", "dx|a/zx|-x|!x", "ax|x"},
	/* negated class, other sign */
	{"[^a]x", "bx|^x", "ax"},
	/* ! not in front is itself */
	{"[a!]x", "ax|!x", "bx"},
	/* ] in front is itself */
	{"[]a]x", "]x|ax", "bx"},
	/* ] in front of a negated class */
	{"[!]a]x", "bx", "]x|ax"},
	/* - in front and at the end is itself */
	{"[-a]x\n[b-]y", "-x|ax|-y|by", "bx|cy"},
	/* range behind a range */
	{"[a-c-e]x", "bx|ex|-x", "dx"},
	/* range from ] */
	{"[]-a]x", "]x|^x|_x|ax", "-x|bx"},
	/* range that runs backwards */
	{"[c-a]x", "cx", "ax|bx|-x"},
	/* escape in a class */
	{"[\\]\\-\\\\]x", "]x|-x|\\x", "ax"},
	/* escape at a range's end */
	{"[a-\\c]x", "ax|bx|cx", "dx|\\x"},
	/* star in a class is itself */
	{"[*?]x", "*x|?x", "ax"},
	/* no class matches a slash */
	{"a[/]b", "", "a/b|ab"},
	{"/a[!x]b", "acb", "a/b|axb"},
	/* a slash in a class still ties */
	{"x[/y]", "xy", "a/xy|x/y"},
	/* named classes */
	{"[[:digit:]]x\n[[:upper:][:space:]_]y", "1x|Ay|_y", "ax|ay|1y"},
	/* negated named class */
	{"[![:alpha:]]x", "1x|_x", "ax|Bx"},
	/* [: that is no named class */
	{"[[:]x", "[x|:x", "ax"},
	/* escapes */
	{"\\!a\n\\#b\n\\*c\n\\[d]\n\\\\e\n\\f", "!a|#b|*c|[d]|\\e|f", "xc|d|e"},
	/* comments */
	{"#a\n  #b", "  #b", "#a|a|b|#b"},
	/* empty lines */
	{"\n   \na", "a", "b"},
	/* ! in front takes back */
	{"*.o\n!keep.o", "x.o", "keep.o|a/keep.o"},
	/* the last that matches wins */
	{"!a\na", "a", "b"},
	{"a\n!a\na", "a", "b"},
	/* a file below a directory that is left out stays out */
	{"a/\n!a/x", "a/x|a/y", ""},
	/* all but one */
	{"/*\n!/keep", "other/x|y", "keep/x"},
	/* only directories taken back */
	{"*\n!*/", "a|d/x", "d/"},
	/* ! twice */
	{"!!a\n!b", "", "!a|a|b"},
	/* taking back and tied */
	{"foo\n!/foo", "a/foo", "foo"},
	/* spaces at the end do not count */
	{"a   ", "a", "a   "},
	/* an escaped one does */
	{"a\\ ", "a ", "a"},
	/* an escaped one and more */
	{"a\\   ", "a ", "a|a  "},
	/* spaces within and in front count */
	{" a b", " a b", "a b"},
	/* a tab at the end counts */
	{"a\t", "a\t", "a"},
	/* two slashes at the end match nothing */
	{"foo//", "", "foo/"},
	/* two slashes in front match nothing */
	{"//foo", "", "foo"},
	/* a slash at the end of a tied class */
	{"/[ab]/", "a/|b/x", "c/"},
	/* dots are nothing special */
	{"*", ".a|a/.b", ""},
	{"?a", ".a|aa", ""},
	/* case matters */
	{"[a-z]X", "aX", "ax|AX"},
	/* bytes above 127 */
	{"\377*", "\377a", "a\377"},
	/* bytes above 127 in a range */
	{"[\300-\320]", "\305", "\340|a"},
	/* much to go back for */
	{"*a*a*a*b", "aaaaaaaaaaab", "aaaaaaaaaaaa|abab"},
	{"**/a/**/a/**/b", "a/x/a/y/b", "a/a/a/a/a/a/c|a/b"},
};
/* clang-format on */

/* As a walk does: what lies below something that is left out is not come to. */
static bool is_ignored(const struct pl_globs *globs, const char *path, bool is_dir)
{
	char parent[300];

	for (size_t i = 0; path[i]; i++) {
		pl_assert(i < sizeof(parent) - 1);
		parent[i] = '\0';
		if (path[i] == '/' && pl_globs_match(globs, parent, true))
			return true;
		parent[i] = path[i];
	}
	return pl_globs_match(globs, path, is_dir);
}

static void add_lines(struct pl_globs *globs, const char *lines)
{
	char line[200];

	for (;;) {
		size_t length = strcspn(lines, "\n");

		pl_assert(length < sizeof(line));
		memcpy(line, lines, length);
		line[length] = '\0';
		assert_int_equal(pl_globs_add(globs, line), 0);
		if (!lines[length])
			return;
		lines += length + 1;
	}
}

static void check_paths(const struct row *row, const char *paths, bool expected)
{
	struct pl_globs globs = {0};
	char path[200];

	add_lines(&globs, row->patterns);
	while (*paths) {
		size_t length = strcspn(paths, "|");
		bool is_dir = paths[length - 1] == '/';

		memcpy(path, paths, length);
		path[length - is_dir] = '\0';
		if (is_ignored(&globs, path, is_dir) != expected)
			fail_msg("'%s' is %s by:\n%s", path, expected ? "kept" : "left out",
				 row->patterns);
		paths += length;
		paths += *paths == '|';
	}
	pl_globs_done(&globs);
}

static void the_table_made_by_git_holds(void **state)
{
	for (size_t i = 0; i < PL_ARRAY_LEN(table); i++) {
		check_paths(&table[i], table[i].ignored, true);
		check_paths(&table[i], table[i].kept, false);
	}
}

static void no_patterns_leave_nothing_out(void **state)
{
	struct pl_globs globs = {0};

	assert_false(pl_globs_match(&globs, "a", false));
	pl_globs_done(&globs);
	pl_globs_done(&globs);
}

static void a_parent_that_is_left_out_is_not_looked_at(void **state)
{
	struct pl_globs globs = {0};

	add_lines(&globs, "a/\nb");
	assert_true(pl_globs_match(&globs, "a", true));
	assert_false(pl_globs_match(&globs, "a/x", false));
	assert_false(pl_globs_match(&globs, "b/x", true));
	pl_globs_done(&globs);
}

/* Where git and its own page differ, see src/base/glob.c. */
static void stars_behind_literal_bytes_do_not_cross_a_slash(void **state)
{
	struct pl_globs globs = {0};

	add_lines(&globs, "foo**/bar");
	assert_true(pl_globs_match(&globs, "foo/bar", false));
	assert_true(pl_globs_match(&globs, "foox/bar", false));
	assert_false(pl_globs_match(&globs, "foox/y/bar", false));
	assert_false(pl_globs_match(&globs, "foobar", false));
	pl_globs_done(&globs);
}

static void a_pattern_that_can_match_nothing_is_refused(void **state)
{
	static const char *const bad[] = {
		"!",	    "/",	   "!/",     "a\\",	   "\\",
		"[",	    "[a",	   "[]",     "[!]",	   "[^]",
		"a[b/",	    "[a\\",	   "[a\\]",  "[a-",	   "[[:alpha:]",
		"[[:alpha", "[[:x:]]",	   "[[::]]", "[[:alph:]]", "[[:alphaa:]]",
		"a\\/",	    "[[:ALPHA:]]", "!a\\",
	};

	for (size_t i = 0; i < PL_ARRAY_LEN(bad); i++) {
		struct pl_globs globs = {0};

		if (pl_globs_add(&globs, bad[i]) != -EINVAL)
			fail_msg("'%s' is taken", bad[i]);
		assert_int_equal(globs.patterns.n, 0);
	}
}

static void empty_lines_and_comments_are_no_patterns(void **state)
{
	struct pl_globs globs = {0};

	add_lines(&globs, "\n \n    \n#\n#a\n# [");
	assert_int_equal(globs.patterns.n, 0);
}

static void one_byte_in_a_class_is_as_c_has_it(void **state)
{
	static const struct {
		const char *pattern, *bytes;
	} classes[] = {
		{"[[:digit:]]", "0123456789"},
		{"[[:xdigit:]]", "0123456789abcdefABCDEF"},
		{"[[:blank:]]", " \t"},
		{"[[:space:]]", " \t\n\r"}, /* git's idea: neither \v nor \f */
		{"[[:lower:]]", "abcdefghijklmnopqrstuvwxyz"},
		{"[[:upper:]]", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"},
		{"[[:punct:]]", "!\"#$%&'()*+,-.:;<=>?@[\\]^_`{|}~"},
		{"[[:cntrl:]]", "\1\2\3\4\5\6\a\b\t\n\v\f\r\16\17\20\21\22\23\24\25\26\27\30\31\32"
				"\33\34\35\36\37\177"},
	};

	for (size_t i = 0; i < PL_ARRAY_LEN(classes); i++) {
		struct pl_globs globs = {0};

		assert_int_equal(pl_globs_add(&globs, classes[i].pattern), 0);
		for (int c = 1; c < 256; c++) {
			char path[] = {(char)c, '\0'};

			if (c == '/')
				continue;
			assert_int_equal(pl_globs_match(&globs, path, false),
					 strchr(classes[i].bytes, c) != NULL);
		}
		pl_globs_done(&globs);
	}
}

/* G2: the worst that a stranger can write ends soon; the test's own time limit is the measure. */
static void no_pattern_blows_up(void **state)
{
	static char path[8001];
	char stars[200] = "", deep[200] = "";
	struct pl_globs globs = {0};

	for (size_t i = 0; i < 30; i++) {
		memcpy(stars + 2 * i, "*a", 3);
		memcpy(deep + 5 * i, "**/a/", 6);
	}
	memcpy(stars + 60, "b", 2);
	memcpy(deep + 150, "*a*b", 5);
	add_lines(&globs, stars);
	add_lines(&globs, deep);
	memset(path, 'a', 4000);
	assert_false(pl_globs_match(&globs, path, false));
	for (size_t i = 0; i < 4000; i++)
		memcpy(path + 2 * i, "a/", 2);
	path[7999] = '\0';
	assert_false(pl_globs_match(&globs, path, false));
	path[7998] = 'b';
	assert_false(pl_globs_match(&globs, path, false));
	memcpy(path + 7997, "aab", 4);
	assert_true(pl_globs_match(&globs, path, false));
	pl_globs_done(&globs);
}

static void match_empty(void)
{
	pl_globs_match(&(struct pl_globs){0}, "", false);
}

static void match_absolute(void)
{
	pl_globs_match(&(struct pl_globs){0}, "/a", false);
}

static void match_slash_behind(void)
{
	pl_globs_match(&(struct pl_globs){0}, "a/", true);
}

static void what_is_no_relative_path_is_a_bug(void **state)
{
	assert_true(aborts(match_empty));
	assert_true(aborts(match_absolute));
	assert_true(aborts(match_slash_behind));
}

/* ---- against the git that is installed ------------------------------------------------------ */

#define N_ROUNDS 400
#define SEED	 20240229

static const char *const names[] = {"a", "b", "ab", "ba", "aab", "a b", "-", "[", "\\", ".a", "c"};

static uint64_t next_random(uint64_t *random)
{
	*random = *random * UINT64_C(6364136223846793005) + 1442695040888963407;
	return *random >> 33;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static void remove_tree(const char *dir)
{
	nftw(dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* Runs git in the working directory, its standard input and output from and to files. Returns its
 * exit status, -1 if it was killed. */
static int run_git(const char *const *arguments, const char *input, const char *output)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		int in = open(input, O_RDONLY),
		    out = open(output, O_WRONLY | O_CREAT | O_TRUNC, 0600);

		if (in < 0 || out < 0 || dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0)
			_exit(127);
		setenv("GIT_CONFIG_GLOBAL", "/dev/null", 1);
		setenv("GIT_CONFIG_SYSTEM", "/dev/null", 1);
		setenv("XDG_CONFIG_HOME", "/nonexistent", 1);
		setenv("HOME", "/nonexistent", 1);
		unsetenv("GIT_DIR");
		unsetenv("GIT_WORK_TREE");
		unsetenv("GIT_INDEX_FILE");
		execvp("git", (char *const *)arguments);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

static void write_file(const char *path, const void *data, size_t length)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(data, 1, length, file), length);
	assert_int_equal(fclose(file), 0);
}

/* In the working directory: some names as directories, two levels of them, and files. `paths` gets
 * all, those of directories with '/' at the end. */
static void make_files(struct pl_strings *paths)
{
	PL_BUFFER path = {0};
	size_t n = PL_ARRAY_LEN(names);

	for (size_t i = 0; i < n * n * n; i++) {
		size_t chosen[3] = {i / n / n, i / n % n, i % n};

		for (size_t depth = 0; depth < 3; depth++) {
			/* Every third name is a file, by a rule that depends on where it is. */
			bool is_dir = depth < 2 && (chosen[depth] + depth) % 3 != 2;
			const char *name = names[chosen[depth]], *so_far;

			pl_path_push(&path, name, strlen(name));
			so_far = pl_buffer_string(&path);
			if (access(so_far, F_OK) != 0) {
				if (is_dir)
					assert_int_equal(mkdir(so_far, 0700), 0);
				else
					write_file(so_far, "", 0);
				pl_buffer_add_string(&path, is_dir ? "/" : "");
				assert_int_equal(pl_strings_add(paths, pl_buffer_string(&path)), 0);
				pl_buffer_truncate(&path, path.length - is_dir);
			}
			if (!is_dir)
				break;
		}
		pl_buffer_truncate(&path, 0);
	}
}

/* One to three patterns, one a line, such that glob.c and git should agree on them. */
static void make_patterns(struct pl_buffer *ret_lines, uint64_t *random)
{
	static const char *const pieces[] = {
		"a",	 "a",	  "b",
		"b",	 "ab",	  "c",
		" ",	 "-",	  "*",
		"*",	 "*",	  "?",
		"**",	 "/",	  "/",
		"/",	 "/**/",  "**/",
		"/**",	 "[ab]",  "[!a]",
		"[]-a]", "[a-]",  "[[:alpha:]]",
		"\\[",	 "\\\\",  "\\a",
		".",	 "***",	  "/*",
		"\\ ",	 "[^b-]", "[[:punct:]b]",
	};
	uint64_t n = 1 + next_random(random) % 3;

	pl_buffer_truncate(ret_lines, 0);
	for (uint64_t i = 0; i < n;) {
		char line[100] = "";
		size_t literal, n_pieces = 1 + next_random(random) % 6;
		const char *body;

		if (next_random(random) % 4 == 0)
			memcpy(line, "!", 2);
		for (size_t k = 0; k < n_pieces; k++)
			strncat(line, pieces[next_random(random) % PL_ARRAY_LEN(pieces)], 20);
		body = line + (line[0] == '!');
		body += *body == '/';
		/* The difference told in glob.c: stars behind nothing but literal bytes. */
		literal = strcspn(body, "*?[\\");
		if (literal > 0 && body[literal - 1] != '/' &&
		    strncmp(body + literal, "**", 2) == 0)
			continue;
		pl_buffer_add_format(ret_lines, "%s%s", i ? "\n" : "", line);
		i++;
	}
}

/* Adds those lines that are taken; one that is refused can match nothing, in git neither. */
static void add_valid_lines(struct pl_globs *globs, const char *lines)
{
	char line[100];

	for (;;) {
		size_t length = strcspn(lines, "\n");
		int r;

		memcpy(line, lines, length);
		line[length] = '\0';
		r = pl_globs_add(globs, line);
		assert_true(r == 0 || r == -EINVAL);
		if (!lines[length])
			return;
		lines += length + 1;
	}
}

/* What git says of `patterns`: the paths that it leaves out, each with a NUL behind. */
static void ask_git(const struct pl_buffer *patterns, struct pl_buffer *ret_ignored)
{
	static const char *const check[] = {"git", "check-ignore", "--no-index",
					    "-z",  "--stdin",	   NULL};
	FILE *file;
	int status;
	void *room;

	write_file(".git/info/exclude", patterns->data, patterns->length);
	status = run_git(check, ".git/paths", ".git/answer");
	assert_true(status == 0 || status == 1);
	file = fopen(".git/answer", "r");
	assert_non_null(file);
	pl_buffer_truncate(ret_ignored, 0);
	room = pl_buffer_reserve(ret_ignored, 1 << 20);
	assert_non_null(room);
	ret_ignored->length = fread(room, 1, 1 << 20, file);
	assert_true(ret_ignored->length < 1 << 20);
	assert_int_equal(fclose(file), 0);
}

static void compare_with_git(const struct pl_strings *paths, struct pl_buffer *patterns, int round)
{
	PL_BUFFER ignored = {0};
	struct pl_globs globs = {0};
	struct pl_reader answer;
	char path[100];

	ask_git(patterns, &ignored);
	add_valid_lines(&globs, pl_buffer_string(patterns));
	/* git answers in the order asked. */
	answer = pl_reader_of(ignored.data, ignored.length);
	for (size_t i = 0; i < paths->n; i++) {
		size_t length = strlen(paths->items[i]);
		bool is_dir = paths->items[i][length - 1] == '/', expected;

		length -= is_dir;
		memcpy(path, paths->items[i], length);
		path[length] = '\0';
		expected = answer.length - answer.offset > length &&
			   memcmp(answer.data + answer.offset, path, length + 1) == 0;
		if (expected)
			answer.offset += length + 1;
		if (is_ignored(&globs, path, is_dir) != expected)
			fail_msg("seed %d, round %d: git %s '%s' by:\n%s", SEED, round,
				 expected ? "leaves out" : "keeps", path,
				 pl_buffer_string(patterns));
	}
	assert_int_equal(answer.offset, answer.length);
	pl_globs_done(&globs);
}

static void random_patterns_mean_what_they_mean_to_git(void **state)
{
	static const char *const init[] = {"git", "init", "-q", "--template=", NULL};
	const char *tmp = getenv("TMPDIR");
	struct pl_strings paths = {0};
	PL_BUFFER patterns = {0};
	PL_BUFFER dir = {0};
	PL_BUFFER asked = {0};
	uint64_t random = SEED;
	int home = open(".", O_RDONLY | O_DIRECTORY);

	pl_buffer_add_format(&dir, "%s/pleach-glob-XXXXXX", tmp ? tmp : "/tmp");
	assert_non_null(pl_buffer_string(&dir));
	assert_non_null(mkdtemp((char *)dir.data));
	assert_int_equal(chdir((char *)dir.data), 0);
	if (run_git(init, "/dev/null", "/dev/null") != 0) {
		assert_int_equal(fchdir(home), 0);
		remove_tree((char *)dir.data);
		close(home);
		skip();
	}
	if (access(".git/info", F_OK) != 0)
		assert_int_equal(mkdir(".git/info", 0700), 0);
	make_files(&paths);
	assert_true(paths.n > 400);
	for (size_t i = 0; i < paths.n; i++) {
		size_t length = strlen(paths.items[i]);

		length -= paths.items[i][length - 1] == '/';
		pl_buffer_add(&asked, paths.items[i], length);
		pl_buffer_add_u8(&asked, 0);
	}
	write_file(".git/paths", asked.data, asked.length);
	for (int round = 0; round < N_ROUNDS; round++) {
		make_patterns(&patterns, &random);
		compare_with_git(&paths, &patterns, round);
	}
	pl_strings_done(&paths);
	assert_int_equal(fchdir(home), 0);
	close(home);
	remove_tree((char *)dir.data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_table_made_by_git_holds),
		cmocka_unit_test(no_patterns_leave_nothing_out),
		cmocka_unit_test(a_parent_that_is_left_out_is_not_looked_at),
		cmocka_unit_test(stars_behind_literal_bytes_do_not_cross_a_slash),
		cmocka_unit_test(a_pattern_that_can_match_nothing_is_refused),
		cmocka_unit_test(empty_lines_and_comments_are_no_patterns),
		cmocka_unit_test(one_byte_in_a_class_is_as_c_has_it),
		cmocka_unit_test(no_pattern_blows_up),
		cmocka_unit_test(what_is_no_relative_path_is_a_bug),
		cmocka_unit_test(random_patterns_mean_what_they_mean_to_git),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
