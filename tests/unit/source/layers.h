/*
 * The layers of an overlay for one test, all in a scratch directory: `src` becomes the base tree and is
 * placed at `placed/tree`; `up` and `work` are the upper layer's; `m` is where the overlay is mounted.
 * Header only. Include after cmocka.h.
 *
 * Everything runs in children, since mounts are made in private namespaces and users are changed; so
 * CHECK() it is, and functions return 0.
 */
#ifndef PL_TEST_LAYERS_H
#define PL_TEST_LAYERS_H

#include <sys/prctl.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "ref/stores.h"
#include "source/source.h"

#define NOT_HERE 77 /* what a child exits with that cannot do what it is for */

struct layers {
	struct scratch *s;
	struct pl_store *store;
	struct pl_id base;
	struct pl_totals totals;
	int lower, merged;
	bool is_user;
	bool has_index;
};

static inline int run_script(int dirfd, const char *script)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		if (fchdir(dirfd) == 0)
			execlp("sh", "sh", "-ec", script, (char *)NULL);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

static inline int scan_into(struct pl_store *store, struct pl_stage *stage, int fd,
			    struct pl_scan_result *ret_result)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pl_scan scan = {.store = store, .stage = stage, .fd = fd, .label = "", .prefix = ""};
	int r = pl_scan_run(&scan, ret_result, &error);

	if (r < 0)
		(void)fprintf(stderr, "# scan: %s\n", error.message);
	return r;
}

/* `placed/tree` from the tree that was staged; and its totals. */
static inline int place_base(struct layers *l, struct pl_txdir *tx, struct pl_stage *stage)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pl_node_source nodes = pl_stage_nodes(stage);
	struct pl_layout layout = {.tx = tx,
				   .nodes = &nodes,
				   .tree = l->base,
				   .share = PL_SHARE_NAMES,
				   .base_fd = -EBADF,
				   .base_wrapper_fd = -EBADF,
				   .staged_objects_fd = stage->objects_fd};
	int r;

	CHECK(mkdirat(l->s->fd, "placed", 0755) == 0);
	layout.wrapper_fd = pl_open_dir(l->s->fd, "placed");
	CHECK(layout.wrapper_fd >= 0);
	r = pl_layout_run(&layout, NULL, &error);
	if (r < 0)
		(void)fprintf(stderr, "# layout: %s\n", error.message);
	CHECK(r == 0);
	l->lower = pl_open_dir(layout.wrapper_fd, "tree");
	close(layout.wrapper_fd);
	CHECK(l->lower >= 0);
	return 0;
}

/* The base is what `script` makes of an empty directory. */
static inline int layers_begin(struct layers *l, struct scratch *s, const char *script)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pl_scan_result result;
	struct pl_txdir tx;
	struct pl_stage stage;
	int src;

	l->s = s;
	l->merged = -EBADF;
	CHECK(mkdirat(s->fd, "src", 0755) == 0 && mkdirat(s->fd, "m", 0755) == 0);
	src = pl_open_dir(s->fd, "src");
	CHECK(src >= 0 && run_script(src, script) == 0);
	l->store = open_store(s, "S");
	CHECK(l->store);
	CHECK(pl_txdir_begin(l->store, "base", &tx, &error) == 0);
	CHECK(pl_stage_begin(l->store, &tx, PL_STAGE_POOL, &stage, &error) == 0);
	CHECK(scan_into(l->store, &stage, src, &result) == 0);
	close(src);
	l->base = result.tree;
	l->totals = result.totals;
	CHECK(pl_stage_name(&stage, &error) == 0);
	CHECK(place_base(l, &tx, &stage) == 0);
	pl_stage_end(&stage);
	pl_txdir_end(&tx);
	return 0;
}

static inline void layers_end(struct layers *l)
{
	close(l->lower);
	pl_store_close(l->store);
}

/* `up` and `work`, new and empty; the root as it is in the base. */
static inline int layers_fresh(struct layers *l)
{
	struct pl_node_source nodes = pl_store_nodes(l->store);
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pl_node root;
	const char *why;
	int up;

	CHECK(run_script(l->s->fd, "chmod -R u+rwx up work 2>/dev/null || :; rm -rf up work; "
				   "mkdir up work") == 0);
	up = pl_open_dir(l->s->fd, "up");
	CHECK(up >= 0);
	CHECK(pl_node_read(&nodes, &l->base, &root, &error) == 0);
	CHECK(pl_meta_restore(up, &root.meta, PLEACH_DIR, &why) == 0);
	pl_node_done(&root);
	close(up);
	return 0;
}

/* Mounts the overlay. NOT_HERE: that cannot be done here. */
static inline int layers_mount(struct layers *l)
{
	char options[16384];
	struct stat below, st;
	int n = snprintf(options, sizeof(options), "%slowerdir=%s,upperdir=%s,workdir=%s",
			 l->is_user ? "userxattr,"
				    : "index=on,redirect_dir=on,metacopy=off,xino=off,volatile,",
			 scratch_path(l->s, "placed/tree"), scratch_path(l->s, "up"),
			 scratch_path(l->s, "work"));

	CHECK(n > 0 && (size_t)n < sizeof(options));
	CHECK(fstatat(l->s->fd, "m", &below, 0) == 0);
	if (mount("overlay", scratch_path(l->s, "m"), "overlay", 0, options) < 0) {
		(void)fprintf(stderr, "# no overlay here: %s\n", strerror(errno));
		return NOT_HERE;
	}
	l->merged = pl_open_dir(l->s->fd, "m");
	CHECK(l->merged >= 0);
	CHECK(fstat(l->merged, &st) == 0 && st.st_dev != below.st_dev);
	l->has_index = !l->is_user;
	return 0;
}

static inline int layers_unmount(struct layers *l)
{
	close(l->merged);
	l->merged = -EBADF;
	CHECK(umount(scratch_path(l->s, "m")) == 0);
	return 0;
}

/* One reading of the upper layer: keeps what it staged until it is ended. The law of all of them: what is found
 * untouched is read as the base. */
struct reading {
	struct pl_txdir tx;
	struct pl_stage stage;
	struct pl_scan_result result;
	struct pleach_error error;
	bool is_untouched;
	int r; /* of pl_upper_run() */
};

static inline int reading_begin(struct layers *l, enum pl_rule rule, struct reading *x)
{
	struct pl_upper upper = {.store = l->store,
				 .stage = &x->stage,
				 .index_fd = -EBADF,
				 .lower_fd = l->lower,
				 .base = l->base,
				 .rule = rule,
				 .is_user = l->is_user,
				 .label = "up"};

	*x = (struct reading){.error = PLEACH_ERROR_INIT};
	upper.upper_fd = pl_open_dir(l->s->fd, "up");
	CHECK(upper.upper_fd >= 0);
	if (l->has_index)
		upper.index_fd =
			open(scratch_path(l->s, "work/index"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(!l->has_index || upper.index_fd >= 0);
	CHECK(pl_txdir_begin(l->store, "upper", &x->tx, &x->error) == 0);
	CHECK(pl_stage_begin(l->store, &x->tx, PL_STAGE_POOL, &x->stage, &x->error) == 0);
	x->is_untouched = pl_upper_is_untouched(&upper);
	x->r = pl_upper_run(&upper, &x->result, &x->error);
	CHECK(!x->is_untouched || (x->r == 0 && pl_id_equal(&x->result.tree, &l->base)));
	close(upper.upper_fd);
	if (upper.index_fd >= 0)
		close(upper.index_fd);
	return 0;
}

static inline void reading_end(struct reading *x)
{
	pl_stage_end(&x->stage);
	pl_txdir_end(&x->tx);
}

/* Nodes of two stages of one store. */
static inline int read_either(void *self, const struct pl_id *id, struct pl_buffer *b,
			      struct pleach_error *error)
{
	struct pl_stage **stages = self;
	struct pl_node_source one = pl_stage_nodes(stages[0]), other = pl_stage_nodes(stages[1]);
	size_t before = b->length;
	int r = one.read(one.self, id, b, error);

	if (r >= 0)
		return r;
	pl_buffer_truncate(b, before);
	pl_error_clear(error);
	return other.read(other.self, id, b, error);
}

static inline void print_differences(struct pl_stage *a, const struct pl_id *wanted,
				     struct pl_stage *b, const struct pl_id *found)
{
	struct pl_stage *stages[2] = {a, b};
	struct pl_node_source nodes = {.read = read_either, .self = stages};
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pl_difference d;
	struct pl_diff *diff;

	if (pl_diff_new(&nodes, wanted, found, 1, &diff, &error) < 0) {
		(void)fprintf(stderr, "# no diff: %s\n", error.message);
		return;
	}
	(void)fprintf(stderr, "# seen in the overlay -> read from its upper layer:\n");
	while (pl_diff_next(diff, &d, &error) == 1)
		(void)fprintf(stderr, "#   %c %s (%d links, %d links)\n", d.change, d.path,
			      (int)d.before_links, (int)d.after_links);
	pl_diff_free(diff);
}

static inline bool same_totals(const struct pl_totals *a, const struct pl_totals *b)
{
	return a->entries == b->entries && a->files == b->files && a->bytes == b->bytes &&
	       a->groups == b->groups && a->depth == b->depth && a->xattrs == b->xattrs &&
	       a->oddities == b->oddities;
}

/* The upper layer is read, and gives what was seen. `ret_result` may be NULL. */
static inline int reading_gives(struct layers *l, struct pl_stage *seen_in,
				const struct pl_scan_result *seen,
				struct pl_scan_result *ret_result)
{
	struct reading x;

	CHECK(reading_begin(l, PL_RULE_EXACT, &x) == 0);
	if (x.r < 0)
		(void)fprintf(stderr, "# %s\n", x.error.message);
	CHECK(x.r == 0);
	if (!pl_id_equal(&seen->tree, &x.result.tree))
		print_differences(seen_in, &seen->tree, &x.stage, &x.result.tree);
	CHECK(pl_id_equal(&seen->tree, &x.result.tree));
	CHECK(same_totals(&seen->totals, &x.result.totals));
	if (ret_result)
		*ret_result = x.result;
	reading_end(&x);
	return 0;
}

/* The law: what pl_upper_run() makes of the upper layer is what was seen in the overlay, which is
 * mounted, and not any more after this. `ret_result` may be NULL. */
static inline int check_law(struct layers *l, struct pl_scan_result *ret_result)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pl_scan_result seen;
	struct pl_stage nowhere;

	/* Without an index two names of one inode have different numbers, until they are looked up anew:
	 * what links a command made is told by the upper layer alone. */
	if (l->is_user) {
		CHECK(layers_unmount(l) == 0);
		CHECK(layers_mount(l) == 0);
	}
	CHECK(pl_stage_begin(l->store, NULL, PL_STAGE_NOWHERE, &nowhere, &error) == 0);
	CHECK(scan_into(l->store, &nowhere, l->merged, &seen) == 0);
	CHECK(layers_unmount(l) == 0);
	CHECK(reading_gives(l, &nowhere, &seen, ret_result) == 0);
	pl_stage_end(&nowhere);
	return 0;
}

/* In a child that is a user without privileges, in a user namespace of his own with his own id. */
static inline int own_namespace(void)
{
	char map[64];
	unsigned uid = geteuid(), gid = getegid();
	int fd;

	/* Who has changed his uid may not write his own maps, until this. */
	if (prctl(PR_SET_DUMPABLE, 1) < 0 || unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		return -1;
	fd = open("/proc/self/setgroups", O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "deny", 4) != 4)
		return -1;
	close(fd);
	for (unsigned i = 0; i < 2; i++) {
		int n = snprintf(map, sizeof(map), "%u %u 1", i ? gid : uid, i ? gid : uid);

		fd = open(i ? "/proc/self/gid_map" : "/proc/self/uid_map", O_WRONLY | O_CLOEXEC);
		if (fd < 0 || write(fd, map, (size_t)n) != n)
			return -1;
		close(fd);
	}
	return 0;
}

/* In a private namespace: the scratch directory is one that an overlay can have its layers in, a tmpfs if
 * what it lies on is none. 0, or NOT_HERE. */
static inline int find_ground(struct scratch *s)
{
	char options[3 * 4400];
	struct stat below, st;
	int r;

	(void)snprintf(options, sizeof(options), "userxattr,lowerdir=%s,upperdir=%s,workdir=%s",
		       scratch_path(s, "try/l"), scratch_path(s, "try/u"),
		       scratch_path(s, "try/w"));
	CHECK(run_script(s->fd, "mkdir -p try/l try/u try/w try/m") == 0);
	r = mount("overlay", scratch_path(s, "try/m"), "overlay", 0, options);
	if (r == 0)
		CHECK(umount(scratch_path(s, "try/m")) == 0);
	CHECK(run_script(s->fd, "chmod -R u+rwx try; rm -rf try") == 0);
	if (r == 0)
		return 0;
	CHECK(fstat(s->fd, &below) == 0);
	if (mount("none", s->path, "tmpfs", 0, "size=128m,mode=0755") < 0)
		return NOT_HERE;
	close(s->fd);
	s->fd = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(s->fd >= 0 && fstat(s->fd, &st) == 0 && st.st_dev != below.st_dev);
	return fchdir(s->fd) == 0 ? 0 : 1;
}

/* Runs it as a test: a child that says NOT_HERE is a skip. */
#define IN_CHILD(child)                            \
	do {                                       \
		int status_ = (child);             \
		if (status_ == NOT_HERE)           \
			SKIP("not possible here"); \
		assert_int_equal(status_, 0);      \
	} while (0)

#endif
