/*
 * program.h - a random program of file operations, as the fuzzer of transactions runs it twice: on a plain
 * directory and in a workspace. It is made from its seed alone, so that both runs, in whatever process,
 * do the same.
 */
#ifndef PL_FUZZ_PROGRAM_H
#define PL_FUZZ_PROGRAM_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* What a base tree may hold, and a program may do. */
enum {
	WITH_ROOT = 1 << 0,   /* owners, devices, ACLs, trusted.* */
	WITH_GROUPS = 1 << 1, /* hard links in the base */
	WITH_ODD = 1 << 2,    /* 0/0 devices and overlayfs' attributes in the base */
};

#define OPS_MAX			14
#define SETTLED_LINE		99	   /* number of the lines of the log that tell of times */
#define WITHOUT_DIRECTORY_TIMES (1u << 31) /* in a mask: all of them become the same */
#define PATH_ROOM		256
#define N_SHAPES		4

/* ---- base.c: what a program begins with ---- */

/* One thing of a base tree, or one that is said of it. */
struct item {
	char kind; /* d f S(parse) h(ard link) l p s c; x(attr) a(cl) A (default ACL) o(wner) */
	unsigned mode;
	const char *path, *arg;
	unsigned needs; /* WITH_... */
};
/* The items of a shape, ended by a kind of 0. */
const struct item *base_items(unsigned shape);
/* Makes the tree in the directory `dir`. 0, or it was said why. */
int base_build(const char *dir, unsigned shape, unsigned with);
/* An access ACL, or a default one, that names others. */
extern const unsigned char base_acl[44];

/* ---- program.c ---- */

enum op_kind {
	OP_CREATE,
	OP_WRITE,
	OP_APPEND,
	OP_TRUNCATE,
	OP_OTRUNC,
	OP_MMAP,
	OP_UNLINK,
	OP_RENAME,
	OP_LINK,
	OP_SYMLINK,
	OP_MKDIR,
	OP_RMDIR,
	OP_MKNOD,
	OP_CHMOD,
	OP_CHOWN,
	OP_UTIMES,
	OP_SETXATTR,
	OP_REMOVEXATTR,
	OP_SETACL,
	OP_FALLOCATE,
	OP_COPY_RANGE,
	OP_CLONE,
	OP_RMTREE,
	OP_FSYNC,
	OP_UNLINK_WRITE,
	OP_HELD,
	OP_TMPFILE,
	OP_READ,
	OP_LIST,
	OP_STAT,
	OP_LISTXATTR,
	OP_KINDS
};
/* How a path is said: relative to the root, from its directory as the working one, by a descriptor of
 * that, or from below with `..`. */
enum via { VIA_ROOT, VIA_CHDIR, VIA_DIRFD, VIA_ABSOLUTE };
struct op {
	enum op_kind kind;
	enum via via;
	char a[PATH_ROOM], b[PATH_ROOM];
	const char *text; /* name of an attribute, target of a symlink; static */
	uint64_t x, y, z;
};
struct program {
	uint64_t seed;
	unsigned with, shape, n;
	struct op ops[OPS_MAX];
};
/* The program of this seed. */
void program_make(struct program *p, uint64_t seed, unsigned with);
/* One operation as one line, without its end. */
void op_print(FILE *out, const struct op *op);
/* A string with all that is not plain escaped. */
void print_name(FILE *out, const char *s);

/* ---- apply.c ---- */

/*
 * Does the operations of `mask` (bit i: the i-th) in `dir` and writes a line for each to `log`: what came of it.
 * At the end each time that is of now becomes one and the same, so that two trees can be compared, and the log
 * says of which directories; of an ordinary user all becomes readable. 0, or it was said why. The working directory is as before.
 */
int program_apply(const struct program *p, unsigned mask, const char *dir, FILE *log);
/* rm -r, by who may be an ordinary user. */
int remove_all(const char *path);

#endif
