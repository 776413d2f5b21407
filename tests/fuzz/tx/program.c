/*
 * Making a program from a seed, and saying what it is. A rough model of the tree goes along, so that most
 * operations find something to work on; what they really find is the file system's affair.
 */
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "program.h"

#define MODEL_MAX 96

struct model {
	struct known {
		char path[PATH_ROOM];
		char kind; /* d, f, or o for all others; 0: gone */
	} known[MODEL_MAX];
	unsigned n;
	char vacant
		[PATH_ROOM]; /* the path of what went last: something else often takes its place */
	char focus[PATH_ROOM]; /* a directory that was just moved, or made: work goes on there */
	uint64_t state;
};

/* ---- chance ---- */

static uint64_t next(struct model *m) /* splitmix64, by Sebastiano Vigna */
{
	uint64_t z = m->state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static unsigned below(struct model *m, unsigned n)
{
	return (unsigned)(next(m) % n);
}

static bool one_in(struct model *m, unsigned n)
{
	return below(m, n) == 0;
}

#define ONE_OF(m, array) ((array)[below(m, sizeof(array) / sizeof((array)[0]))])

/* ---- the model ---- */

static void add(struct model *m, const char *path, char kind)
{
	for (unsigned i = 0; i < m->n; i++)
		if (strcmp(m->known[i].path, path) == 0) {
			m->known[i].kind = kind;
			return;
		}
	if (m->n == MODEL_MAX)
		return;
	(void)snprintf(m->known[m->n].path, PATH_ROOM, "%s", path);
	m->known[m->n++].kind = kind;
}

static bool is_at_or_below(const char *path, const char *above)
{
	size_t length = strlen(above);

	return strncmp(path, above, length) == 0 && (path[length] == '\0' || path[length] == '/');
}

static void forget(struct model *m, const char *path)
{
	for (unsigned i = 0; i < m->n; i++)
		if (is_at_or_below(m->known[i].path, path))
			m->known[i].kind = 0;
	(void)snprintf(m->vacant, PATH_ROOM, "%s", path);
}

static void move(struct model *m, const char *from, const char *to)
{
	unsigned n = m->n;

	if (is_at_or_below(to, from))
		return;
	forget(m, to);
	(void)snprintf(m->vacant, PATH_ROOM, "%s", from);
	for (unsigned i = 0; i < n; i++) {
		struct known k = m->known[i];
		char path[2 * PATH_ROOM];

		if (!k.kind || !is_at_or_below(k.path, from))
			continue;
		m->known[i].kind = 0;
		if (snprintf(path, sizeof(path), "%s%s", to, k.path + strlen(from)) < PATH_ROOM)
			add(m, path, k.kind);
	}
}

static void begin(struct model *m, const struct program *p)
{
	for (const struct item *i = base_items(p->shape); i->kind; i++) {
		char kind = i->kind == 'd' ? 'd' : strchr("fSh", i->kind) ? 'f' : 'o';

		if (strchr("dfShlpsc", i->kind) && (i->needs & p->with) == i->needs)
			add(m, i->path, kind);
	}
}

/* ---- choosing ---- */

/* Something that is there, of one of these kinds; else anything. */
static void pick(struct model *m, const char *kinds, char ret_path[PATH_ROOM])
{
	const struct known *fit[MODEL_MAX];
	bool is_focused = m->focus[0] && !one_in(m, 3);
	unsigned n = 0;

	if (one_in(m, 12))
		kinds = "dfo";
	for (unsigned round = 0; n == 0 && round < 2; round++, is_focused = false)
		for (unsigned i = 0; i < m->n; i++)
			if (m->known[i].kind && strchr(kinds, m->known[i].kind) &&
			    (!is_focused || is_at_or_below(m->known[i].path, m->focus)))
				fit[n++] = &m->known[i];
	(void)snprintf(ret_path, PATH_ROOM, "%s", n ? fit[below(m, n)]->path : "gone");
}

/* A path in a directory that is there, often one where nothing is. */
static void pick_new(struct model *m, char ret_path[PATH_ROOM])
{
	static const char *const names[] = {"n1", "n2", "n3", "f1",   "d1", "a",
					    "f",  "n1", "n2", "\t\\", "g1", "\303\251"};
	char dir[PATH_ROOM] = "";

	if (m->vacant[0] && one_in(m, 3)) {
		(void)snprintf(ret_path, PATH_ROOM, "%s", m->vacant);
		return;
	}
	if (one_in(m, 6)) {
		pick(m, "dfo", ret_path);
		return;
	}
	if (!one_in(m, 4))
		pick(m, "d", dir);
	if (snprintf(ret_path, PATH_ROOM, "%s%s%s", dir, dir[0] ? "/" : "", ONE_OF(m, names)) >=
	    PATH_ROOM - 16)
		(void)snprintf(ret_path, PATH_ROOM, "n1");
}

static const char *pick_xattr(struct model *m, unsigned with)
{
	static const char *const of_user[] = {"user.a", "user.b", "user.n", "user.overlay",
					      "user.long.name.of.an.attribute"};
	static const char *const of_root[] = {"user.a",
					      "user.n",
					      "user.overlay.opaque",
					      "trusted.t",
					      "trusted.n",
					      "trusted.overlay.opaque",
					      "trusted.overlay.n",
					      "trusted.overlay.overlay.redirect",
					      "trusted.overlay.overlay",
					      "user.overlay.whiteout"};

	return with & WITH_ROOT ? ONE_OF(m, of_root) : ONE_OF(m, of_user);
}

static unsigned pick_mode(struct model *m)
{
	static const unsigned modes[] = {0644, 0600, 0755, 0444,  0,	 04755,
					 0700, 0111, 0777, 02770, 01777, 02644};

	return ONE_OF(m, modes);
}

static uint64_t pick_offset(struct model *m)
{
	static const unsigned offsets[] = {0,	 0,    1,     3,      100,   4095,
					   4096, 5000, 65536, 100000, 262144};

	return ONE_OF(m, offsets);
}

static uint64_t pick_length(struct model *m)
{
	static const unsigned lengths[] = {1, 2, 7, 100, 4096, 4097, 8192, 30000};

	return ONE_OF(m, lengths);
}

/* ---- operations ---- */

static void fill_names(struct op *op, struct model *m, unsigned with)
{
	static const unsigned types[] = {S_IFIFO, S_IFSOCK, S_IFCHR, S_IFCHR, S_IFBLK, S_IFREG};
	static const char *const targets[] = {
		"f1", "d1", "missing", "d1/d2", "n1", "a/a/f", "/nonexistent/pleach"};
	const char *of = "dfo";

	switch (op->kind) {
	case OP_CREATE:
	case OP_MKDIR:
		pick_new(m, op->a);
		op->x = pick_mode(m) | (op->kind == OP_MKDIR ? 0700 : 0600);
		op->y = one_in(m, 3) ? 0 : pick_length(m);
		op->z = one_in(m, 2); /* O_EXCL */
		add(m, op->a, op->kind == OP_MKDIR ? 'd' : 'f');
		if (op->kind == OP_MKDIR && one_in(m, 2))
			(void)snprintf(m->focus, PATH_ROOM, "%s", op->a);
		return;
	case OP_MKNOD:
		pick_new(m, op->a);
		op->x = with & WITH_ROOT ? ONE_OF(m, types) : types[below(m, 2)];
		op->x |= pick_mode(m);
		op->y = one_in(m, 6) ? 0 : 3 + 2 * below(m, 2); /* 0/0, 1/3 or 1/5; never opened */
		add(m, op->a, 'o');
		return;
	case OP_SYMLINK:
		pick_new(m, op->a);
		op->text = ONE_OF(m, targets);
		add(m, op->a, 'o');
		return;
	case OP_LINK:
		pick(m, "fo", op->a);
		pick_new(m, op->b);
		add(m, op->b, 'f');
		return;
	case OP_UNLINK:
		of = "fo";
		break;
	case OP_RMDIR:
	case OP_RMTREE:
		of = "d";
		break;
	default:
		abort();
	}
	pick(m, of, op->a);
	if (op->kind != OP_RMDIR || one_in(m, 4))
		forget(m, op->a);
}

static void fill_rename(struct op *op, struct model *m)
{
	bool is_dir = one_in(m, 2);

	pick(m, is_dir ? "d" : "fo", op->a);
	if (one_in(m, 3))
		pick(m, is_dir ? "d" : "fo", op->b);
	else
		pick_new(m, op->b);
	op->x = one_in(m, 5) ? 1 + below(m, 2) : 0; /* RENAME_NOREPLACE, RENAME_EXCHANGE */
	if (op->x == 0) {
		move(m, op->a, op->b);
		if (is_dir)
			(void)snprintf(m->focus, PATH_ROOM, "%s", op->b);
	}
}

static void fill_metadata(struct op *op, struct model *m, unsigned with)
{
	static const uint64_t ids[] = {0, 1000, 65534, 1000, UINT32_MAX};
	static const int64_t times[] = {1000000000, 0, -1, 1600000000, 1234567890, 4102444800};

	pick(m, "dfo", op->a);
	if (one_in(m, 12))
		(void)snprintf(op->a, PATH_ROOM, ".");
	op->x = pick_mode(m);
	switch (op->kind) {
	case OP_CHOWN:
		op->x = ONE_OF(m, ids);
		op->y = ONE_OF(m, ids);
		break;
	case OP_UTIMES:
		op->x = (uint64_t)ONE_OF(m, times);
		op->y = below(m, 3) * 499999999;
		op->z = one_in(m, 5); /* now */
		break;
	case OP_SETXATTR:
	case OP_REMOVEXATTR:
		op->text = pick_xattr(m, with);
		op->x = one_in(m, 6) ? 1 + below(m, 2) : 0; /* XATTR_CREATE, XATTR_REPLACE */
		op->y = one_in(m, 6) ? 700 : below(m, 20);
		break;
	case OP_SETACL:
		op->x = below(m, 4); /* access, default; set, remove */
		break;
	default:
		break;
	}
}

static void fill_content(struct op *op, struct model *m)
{
	static const int modes[] = {0,
				    FALLOC_FL_KEEP_SIZE,
				    FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				    FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				    FALLOC_FL_ZERO_RANGE,
				    FALLOC_FL_COLLAPSE_RANGE,
				    FALLOC_FL_INSERT_RANGE};

	pick(m, "f", op->a);
	op->x = pick_offset(m);
	op->y = pick_length(m);
	op->z = next(m);
	switch (op->kind) {
	case OP_OTRUNC:
		op->y = one_in(m, 3) ? 0 : op->y;
		break;
	case OP_FALLOCATE:
		op->z = (uint64_t)ONE_OF(m, modes);
		break;
	case OP_COPY_RANGE:
	case OP_CLONE:
		pick(m, "f", op->b);
		break;
	case OP_TMPFILE:
		pick_new(m, op->a);
		add(m, op->a, 'f');
		break;
	case OP_LIST:
		pick(m, "d", op->a);
		break;
	case OP_STAT:
	case OP_LISTXATTR:
		pick(m, "dfo", op->a);
		break;
	case OP_UNLINK_WRITE:
		forget(m, op->a);
		break;
	default:
		break;
	}
}

static void fill(struct op *op, struct model *m, unsigned with)
{
	switch (op->kind) {
	case OP_CREATE:
	case OP_MKDIR:
	case OP_MKNOD:
	case OP_SYMLINK:
	case OP_LINK:
	case OP_UNLINK:
	case OP_RMDIR:
	case OP_RMTREE:
		fill_names(op, m, with);
		break;
	case OP_RENAME:
		fill_rename(op, m);
		break;
	case OP_CHMOD:
	case OP_CHOWN:
	case OP_UTIMES:
	case OP_SETXATTR:
	case OP_REMOVEXATTR:
	case OP_SETACL:
		fill_metadata(op, m, with);
		break;
	default:
		fill_content(op, m);
	}
}

/* How often each kind is wanted. */
static const unsigned char weights[OP_KINDS] = {
	[OP_CREATE] = 7,       [OP_WRITE] = 6,	     [OP_APPEND] = 3,	 [OP_TRUNCATE] = 2,
	[OP_OTRUNC] = 2,       [OP_MMAP] = 2,	     [OP_UNLINK] = 7,	 [OP_RENAME] = 18,
	[OP_LINK] = 7,	       [OP_SYMLINK] = 2,     [OP_MKDIR] = 5,	 [OP_RMDIR] = 3,
	[OP_MKNOD] = 2,	       [OP_CHMOD] = 3,	     [OP_CHOWN] = 3,	 [OP_UTIMES] = 3,
	[OP_SETXATTR] = 5,     [OP_REMOVEXATTR] = 2, [OP_SETACL] = 2,	 [OP_FALLOCATE] = 3,
	[OP_COPY_RANGE] = 2,   [OP_CLONE] = 1,	     [OP_RMTREE] = 3,	 [OP_FSYNC] = 1,
	[OP_UNLINK_WRITE] = 2, [OP_HELD] = 2,	     [OP_TMPFILE] = 1,	 [OP_READ] = 2,
	[OP_LIST] = 2,	       [OP_STAT] = 2,	     [OP_LISTXATTR] = 2,
};

static enum op_kind pick_kind(struct model *m, unsigned with)
{
	for (;;) {
		unsigned kind = below(m, OP_KINDS), of_root = 1u << OP_CHOWN | 1u << OP_SETACL;

		if (below(m, 18) < weights[kind] && (with & WITH_ROOT || !(of_root >> kind & 1)))
			return (enum op_kind)kind;
	}
}

void program_make(struct program *p, uint64_t seed, unsigned with)
{
	struct model *m = calloc(1, sizeof(*m));

	if (!m)
		abort();
	memset(p, 0, sizeof(*p));
	m->state = seed * 2 + 1;
	p->seed = seed;
	p->with = with;
	p->shape = below(m, N_SHAPES);
	p->n = 1 + below(m, OPS_MAX);
	begin(m, p);
	for (unsigned i = 0; i < p->n; i++) {
		struct op *op = &p->ops[i];

		op->kind = pick_kind(m, with);
		op->via = one_in(m, 3) ? (enum via)below(m, 4) : VIA_ROOT;
		fill(op, m, with);
		if (one_in(m, 6))
			m->focus[0] = '\0';
	}
	free(m);
}

/* ---- saying it ---- */

void print_name(FILE *out, const char *s)
{
	(void)putc('\'', out);
	for (; *s; s++)
		if (*s < ' ' || *s > '~' || *s == '\\' || *s == '\'')
			(void)fprintf(out, "\\x%02x", (unsigned char)*s);
		else
			(void)putc(*s, out);
	(void)putc('\'', out);
}

void op_print(FILE *out, const struct op *op)
{
	static const char *const kinds[OP_KINDS] = {
		"create",	"write",     "append",	   "truncate", "O_TRUNC",  "mmap",
		"unlink",	"rename",    "link",	   "symlink",  "mkdir",	   "rmdir",
		"mknod",	"chmod",     "chown",	   "utimens",  "setxattr", "removexattr",
		"acl",		"fallocate", "copy_range", "clone",    "rm -r",	   "fsync",
		"unlink+write", "held open", "O_TMPFILE",  "read",     "list",	   "stat",
		"listxattr"};
	static const char *const vias[] = {"", " (chdir)", " (dirfd)", " (absolute)"};

	(void)fprintf(out, "%s%s ", kinds[op->kind], vias[op->via]);
	print_name(out, op->a);
	if (op->b[0]) {
		(void)putc(' ', out);
		print_name(out, op->b);
	}
	if (op->text)
		(void)fprintf(out, " %s", op->text);
	if (op->kind == OP_CREATE || op->kind == OP_MKDIR || op->kind == OP_MKNOD ||
	    op->kind == OP_CHMOD)
		(void)fprintf(out, " %o", (unsigned)op->x);
	else
		(void)fprintf(out, " %lld", (long long)op->x);
	(void)fprintf(out, " %lld", (long long)op->y);
	if (op->kind == OP_FALLOCATE || op->kind == OP_UTIMES || op->kind == OP_CREATE)
		(void)fprintf(out, " %lld", (long long)op->z);
}
