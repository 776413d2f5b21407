/*
 * What a program of a transaction sees: the machine as it is, and behind the ref's usual paths the workspace.
 *
 * Masking by the fixed hop (docs/adr/0001): STORE/<ref> leads through refs/<ref>/public/ to `tree`. A small file
 * system lies over public/, the workspace over `tree` in it; so a publish outside, which replaces the real
 * `tree`, is not seen inside, every symlink that leads through public/ leads to the workspace, and all other
 * names stay what they are.
 *
 * V1  The mask is read-only but for the workspace: what a program makes in public/ would be lost.
 * V2  STORE/<ref> is mounted on itself: inside it can be neither removed nor replaced, which would be seen outside.
 * V3  Locks that keep tx/<id>, the base and the queue are held by the namespace's init too: they end with the
 *     last process that could still write in the workspace.
 * V4  What a mount of ours lies on is not exchanged while it does (attached_exchange.c, E5): 1. a publish finds
 *     the transaction parked, or without a workspace, 2. it goes on, and mounts over what is there, 3. that is
 *     exchanged. So between being held, the workspace noted, and mounting, the ref lock is taken once.
 * V5  A program does not start in a directory whose files are links of the store's, where it would write into what
 *     is committed, while it means the ref.
 * V6  A process that is killed lets its locks go before its mounts: of a parked transaction the overlay of the program
 *     before may still be there for a moment, and a second one over the same upper layer is refused.
 * V7  What is not parked may be mounted `volatile`, and is not mounted again before what that left is settled
 *     (workspace_overlay.c, O3): only who starts a second program pays for it.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "tx/transaction.h"

#define BUSY_PAUSE_MS 10
#define BUSY_MS	      5000

struct view {
	struct pl_tx *tx;
	struct pl_view_step *steps;
	size_t n, capacity;
	struct pl_strings room; /* of the steps' strings */
	bool with_user_namespace;
	char *public_path; /* STORE/<ref> */
	char *hidden;	   /* .../refs/<ref>/public */
	char *tree;	   /* .../refs/<ref>/public/tree */
	struct pl_strings env;
};

static void view_done(struct view *v)
{
	free(v->steps);
	pl_strings_done(&v->room);
	pl_strings_done(&v->env);
	free(v->public_path);
	free(v->hidden);
	free(v->tree);
}

/* ---- steps ---- */

static int add(struct view *v, const struct pl_view_step *step)
{
	if (PL_ARRAY_GROW(v->steps, v->capacity, v->n) < 0)
		return -ENOMEM;
	v->steps[v->n++] = *step;
	return 0;
}

static int add_simple(struct view *v, enum pl_view_what what, const char *target,
		      const char *source, const char *data)
{
	struct pl_view_step step = {.what = what, .target = target, .source = source, .data = data};

	return add(v, &step);
}

static int name_paths(struct view *v)
{
	const struct pl_ref *ref = &v->tx->ref;
	const char *store = v->tx->store->path;

	if (asprintf(&v->public_path, "%s/%s", store, ref->name) < 0)
		v->public_path = NULL;
	if (asprintf(&v->hidden, "%s/.pleach/refs/%s/public", store, ref->name) < 0)
		v->hidden = NULL;
	if (asprintf(&v->tree, "%s/.pleach/refs/%s/public/tree", store, ref->name) < 0)
		v->tree = NULL;
	return v->public_path && v->hidden && v->tree ? 0 : -ENOMEM;
}

/* The mask, the workspace on it (V1), the fixed hop (V2). */
static int mask(struct view *v)
{
	struct pl_workspace *ws = &v->tx->workspace;
	struct pl_view_step shown = {.target = v->tree};
	char *mask_file;
	int r;

	if (asprintf(&mask_file, "%s/" PL_MASK_FILE, v->hidden) < 0)
		return -ENOMEM;
	r = pl_strings_add(&v->room, mask_file);
	free(mask_file);
	if (r >= 0)
		r = add_simple(v, PL_VIEW_TMPFS, v->hidden, NULL, NULL);
	if (r >= 0)
		r = add_simple(v, PL_VIEW_MKDIR, v->tree, NULL, NULL);
	if (r >= 0)
		r = add_simple(v, PL_VIEW_FILE, v->room.items[v->room.n - 1], NULL, v->tx->dir.id);
	if (r >= 0)
		r = ws->driver->view(ws, &v->room, &shown, &v->with_user_namespace);
	if (r >= 0)
		r = add(v, &shown);
	if (r >= 0)
		r = add_simple(v, PL_VIEW_READONLY, v->hidden, NULL, NULL);
	if (r >= 0)
		r = add_simple(v, PL_VIEW_SELF, v->public_path, NULL, NULL);
	return r;
}

/* Under the ref lock, though the list alone would not need it: V4. */
static int list_attachments(struct view *v, struct pl_attachment **ret_list, size_t *ret_n,
			    struct pleach_error *error)
{
	struct pl_ref *ref = &v->tx->ref;
	int r = pl_ref_lock(ref, -1, error);

	if (r < 0)
		return r;
	r = pl_attachment_list(ref, ret_list, ret_n, error);
	pl_ref_unlock(ref);
	return r;
}

/* Attachments that are no symlinks, and follow the head, have the workspace over them. */
static int cover_attachments(struct view *v, struct pleach_error *error)
{
	struct pl_attachment *list;
	size_t n;
	int r = list_attachments(v, &list, &n, error);

	if (r < 0)
		return r;
	for (size_t i = 0; r >= 0 && i < n; i++) {
		if (list[i].generation > 0 || strcmp(list[i].mode, "symlink") == 0 ||
		    pl_exists(AT_FDCWD, list[i].path) != 1)
			continue;
		r = pl_strings_add(&v->room, list[i].path);
		if (r >= 0)
			r = add_simple(v, PL_VIEW_BIND, v->room.items[v->room.n - 1], v->tree,
				       NULL);
	}
	pl_attachments_free(list, n);
	return r < 0 ? pl_fail_memory(error) : 0;
}

/* ---- where it starts ---- */

/* The part of `path` behind `above`, "" for itself; NULL if it does not lie there. */
static const char *below(const char *path, const char *above)
{
	size_t length = strlen(above);

	if (strncmp(path, above, length) != 0 || (path[length] != '/' && path[length] != '\0'))
		return NULL;
	return path[length] == '/' ? path + length + 1 : path + length;
}

/* The part of a real path behind a placed tree of the store; NULL: it lies in none. */
static const char *below_placed(const struct pl_tx *tx, const char *path)
{
	char prefix[PL_ID_HEX + 40];
	const char *rest = below(path, tx->store->path);
	size_t at;

	rest = rest ? below(rest, ".pleach/trees") : NULL;
	if (!rest || strlen(rest) < PL_ID_HEX + 3 || !pl_is_hex(rest, PL_ID_HEX) ||
	    rest[PL_ID_HEX] != '/')
		return NULL;
	at = PL_ID_HEX + 1 + strspn(rest + PL_ID_HEX + 1, "0123456789");
	snprintf(prefix, sizeof(prefix), "%.*s/tree", (int)at, rest);
	return below(rest, prefix);
}

/* Is it the base, or what the public path shows now? A directory of another generation is left alone: whoever
 * stands in one has gone there on purpose. */
static bool is_own_tree(struct pl_tx *tx, const char *path)
{
	const char *rest = below(path, tx->store->path) + sizeof(".pleach/trees/") - 1;
	struct pl_id id, shown;
	char hex[PL_ID_HEX + 1];
	unsigned k;

	memcpy(hex, rest, PL_ID_HEX);
	hex[PL_ID_HEX] = '\0';
	if (pl_id_parse(hex, &id) < 0)
		return false;
	return pl_id_equal(&id, &tx->note.base_tree) ||
	       (pl_public_read(&tx->ref, &shown, &k, NULL) == 1 && pl_id_equal(&id, &shown));
}

/* The part of the working directory that lies in the ref, as the shell names it. */
static const char *below_public(struct view *v, const char *pwd)
{
	struct pl_attachment *list;
	const char *rest = below(pwd, v->public_path);
	size_t n;

	if (rest || pl_attachment_list(&v->tx->ref, &list, &n, NULL) < 0)
		return rest;
	for (size_t i = 0; !rest && i < n; i++)
		if (list[i].generation == 0)
			rest = below(pwd, list[i].path);
	pl_attachments_free(list, n);
	return rest;
}

/* Is a real path in a directory that was once shown at `path`, in the mode exchange, and lies beside it now? */
static bool is_replaced(const char *real, const char *path)
{
	const size_t parent = (size_t)(strrchr(path, '/') - path) + 1;
	const char *name = real + parent;
	size_t length;

	if (strncmp(real, path, parent) != 0)
		return false;
	length = strcspn(name, "/");
	return length > strlen(".pleach-.tree") && strncmp(name, ".pleach-", 8) == 0 &&
	       strncmp(name + length - 5, ".tree", 5) == 0;
}

static int fail_replaced(const char *real, const char *path, struct pleach_error *error)
{
	pl_fail(error, PLEACH_FAILED, -ESTALE,
		"the working directory '%s' is no longer what is attached at '%s'", real, path);
	pl_error_path(error, real);
	pl_hint(error, "cd '%s' and start again", path);
	return -ESTALE;
}

/*
 * The part of a real path behind an attachment that is a directory or a mount, and follows the head: 1, and it is
 * the caller's to free. Files there are the store's own: who is in a directory that was replaced goes to where the
 * shell believes him to be, and if that is nowhere in the ref, nothing is run (V5).
 */
static int below_attached(struct view *v, const char *real, const char *pwd, char **ret_rest,
			  struct pleach_error *error)
{
	struct pl_attachment *list;
	const char *rest = NULL, *replaced = NULL;
	size_t n;
	int r = pl_attachment_list(&v->tx->ref, &list, &n, error);

	if (r < 0)
		return r;
	for (size_t i = 0; !rest && i < n; i++) {
		if (list[i].generation > 0 || strcmp(list[i].mode, "symlink") == 0)
			continue;
		rest = below(real, list[i].path);
		if (!rest && is_replaced(real, list[i].path)) {
			replaced = list[i].path;
			rest = pwd ? below(pwd, replaced) : NULL;
		}
	}
	if (rest)
		r = (*ret_rest = strdup(rest)) ? 1 : pl_fail_memory(error);
	else if (replaced)
		r = fail_replaced(real, replaced, error);
	pl_attachments_free(list, n);
	return r;
}

/* The part of a real path that lies in the ref, or in what stands for it: 1, and it is the caller's to free. `pwd`:
 * how the shell names the path, or NULL. */
static int find_rest(struct view *v, const char *real, const char *pwd, char **ret_rest,
		     struct pleach_error *error)
{
	const char *rest = below_placed(v->tx, real);

	if (rest && !is_own_tree(v->tx, real))
		rest = pwd ? below_public(v, pwd) : NULL;
	if (!rest && v->tx->note.checkout)
		rest = below(real, v->tx->note.checkout);
	if (!rest)
		return below_attached(v, real, pwd, ret_rest, error);
	*ret_rest = strdup(rest);
	return *ret_rest ? 1 : pl_fail_memory(error);
}

/* A path as the working directory of the program; NULL where it stays. The caller's to free. */
static int find_directory(struct view *v, const char *wanted, char **ret_directory,
			  struct pleach_error *error)
{
	PL_CLOSE int fd = pl_open_follow(AT_FDCWD, wanted ? wanted : ".", O_PATH | O_DIRECTORY);
	PL_BUFFER real = {0};
	char *rest = NULL;
	int r = fd < 0 ? fd : pl_real_path(fd, &real);

	*ret_directory = NULL;
	if (r == -ENOMEM)
		return pl_fail_memory(error);
	if (r >= 0)
		r = find_rest(v, pl_buffer_string(&real), wanted ? NULL : pl_environment_get("PWD"),
			      &rest, error);
	else
		r = 0; /* that it has no path, or is not there, is told when it is gone to */
	if (r < 0)
		return r;
	if (rest) {
		if (asprintf(ret_directory, "%s%s%s", v->public_path, *rest ? "/" : "", rest) < 0)
			*ret_directory = NULL;
		free(rest);
	} else if (wanted) {
		*ret_directory = strdup(wanted);
	} else {
		return 0;
	}
	return *ret_directory ? 0 : pl_fail_memory(error);
}

/* ---- environment ---- */

static bool is_ours(const char *setting)
{
	static const char *const names[] = {
		"PLEACH_STORE=", "PLEACH_TX=", "PLEACH_REF=", "PLEACH_PATH=", "PLEACH_BASE="};

	for (size_t i = 0; i < PL_ARRAY_LEN(names); i++)
		if (strncmp(setting, names[i], strlen(names[i])) == 0)
			return true;
	return false;
}

static int add_setting(struct pl_strings *env, const char *name, const char *value)
{
	char *setting;
	int r;

	if (asprintf(&setting, "%s=%s", name, value) < 0)
		return -ENOMEM;
	r = pl_strings_add(env, setting);
	free(setting);
	return r;
}

static int make_environment(struct view *v, const char *const *given, const char *directory)
{
	char base[24];
	int r = 0;

	if (!given)
		given = (const char *const *)pl_environment();
	for (; r >= 0 && *given; given++) {
		/* Where the directory is another, the shell's name for it is wrong. */
		if (is_ours(*given) || (directory && strncmp(*given, "PWD=", 4) == 0))
			continue;
		r = pl_strings_add(&v->env, *given);
	}
	snprintf(base, sizeof(base), "%llu", (unsigned long long)v->tx->note.base);
	if (r >=
	    0) /* absolute, and also where it was named otherwise: the program may go elsewhere */
		r = add_setting(&v->env, "PLEACH_STORE", v->tx->store->path);
	if (r >= 0)
		r = add_setting(&v->env, "PLEACH_TX", v->tx->dir.id);
	if (r >= 0)
		r = add_setting(&v->env, "PLEACH_REF", v->tx->ref.name);
	if (r >= 0)
		r = add_setting(&v->env, "PLEACH_PATH", v->public_path);
	if (r >= 0)
		r = add_setting(&v->env, "PLEACH_BASE", base);
	if (r >= 0 && directory)
		r = add_setting(&v->env, "PWD", directory);
	return r;
}

/* ---- starting ---- */

static int fail_watch(int r, struct pleach_error *error)
{
	pl_fail_sys(error, r, "cannot watch what the program reads (fanotify)");
	pl_hint(error, "leave out --serializable: then only what it writes can conflict");
	return r;
}

static int fail_chdir(int r, const char *directory, struct pleach_error *error)
{
	pl_fail_sys(error, r, "cannot start the program in the working directory '%s'", directory);
	pl_error_path(error, directory);
	pl_hint(error,
		"cd to a directory that the transaction has, or to one outside, and start again");
	return r;
}

static int fail_start(const struct view *v, int r, int step, const char *directory,
		      struct pleach_error *error)
{
	const char *why = NULL;

	if (step == (int)v->n)
		return fail_watch(r, error);
	if (step > (int)v->n)
		return fail_chdir(r, directory, error);
	/* What was remembered of this machine holds no more: the next transaction looks again. */
	pl_workspace_forget(&v->tx->workspace);

	if (step < 0) {
		if (pl_user_namespace_probe(&why) == 0 && why && v->with_user_namespace) {
			pl_fail(error, PLEACH_FAILED, r,
				"cannot run a program in a transaction: %s", why);
			pl_hint(error, "run as root, or work in a directory of your own: pleach "
				       "begin --checkout DIR");
			return r;
		}
		return pl_fail_sys(error, r, "cannot make namespaces for the program in '%s'",
				   v->tx->ref.name);
	}
	return pl_fail_sys(error, r, "cannot show the workspace at '%s'", v->steps[step].target);
}

static int start(struct view *v, char *const argv[], const char *directory, const int stdio[3],
		 struct pl_child **ret_child, struct pleach_error *error)
{
	struct pl_tx *tx = v->tx;
	int kept[3], step = -1, r;
	PL_CLOSE int reads = -EBADF;
	struct pl_view view = {.steps = v->steps,
			       .n_steps = v->n,
			       .with_user_namespace = v->with_user_namespace || !pl_may_mount(),
			       .reads_fd = -EBADF,
			       .kept = kept};

	kept[view.n_kept++] = tx->dir.lock_fd; /* V3 */
	if (tx->pin.fd >= 0)
		kept[view.n_kept++] = tx->pin.fd;
	if (tx->ticket.fd >= 0)
		kept[view.n_kept++] = tx->ticket.fd;
	if (tx->note.is_serializable) {
		reads = pl_reads_open(tx);
		if (reads < 0)
			return pl_fail_sys(error, reads, "cannot note what is read");
		view.watched = v->tree;
		view.reads_fd = reads;
	}
	v->with_user_namespace = view.with_user_namespace;
	for (unsigned ms = 0;; ms += BUSY_PAUSE_MS) {
		r = pl_child_start(&view, argv, v->env.items, directory, stdio, ret_child, &step);
		if (r != -EBUSY || step < 0 || ms >= BUSY_MS) /* V6 */
			break;
		pl_sleep_ms(BUSY_PAUSE_MS);
	}
	return r < 0 ? fail_start(v, r, step, directory, error) : 0;
}

/* P3 of what is parked, V7 of what is not. */
static int ready_workspace(struct pl_tx *tx, struct pleach_error *error)
{
	if (tx->is_parked)
		return pl_tx_note_running(tx, error);
	return tx->has_run ? pl_workspace_sync(&tx->workspace, error) : 0;
}

int pl_tx_spawn(struct pl_tx *tx, char *const argv[], const struct pleach_spawn_options *options,
		struct pl_child **ret_child, struct pleach_error *error)
{
	struct view v = {.tx = tx};
	char *directory = NULL;
	int r;

	r = pl_tx_must_be_whole(tx, error);
	if (r < 0)
		return r;
	if (tx->is_running)
		return pl_fail(error, PLEACH_BUSY, -EBUSY,
			       "a program runs in transaction %s already", tx->dir.id);
	if (tx->edits)
		return pl_fail(error, PLEACH_FAILED, -EOPNOTSUPP,
			       "a transaction without a workspace runs no programs");
	pl_tx_await_gone(tx); /* T6 */
	r = name_paths(&v);
	if (r >= 0)
		r = mask(&v);
	if (r < 0)
		pl_fail_sys(error, r, "cannot prepare the view of transaction %s", tx->dir.id);
	if (r >= 0)
		r = find_directory(&v, options->directory, &directory, error);
	if (r >= 0 && make_environment(&v, options->env, directory) < 0)
		r = pl_fail_memory(error);
	if (r >= 0)
		r = cover_attachments(&v, error);
	if (r >= 0)
		r = ready_workspace(tx, error);
	tx->has_run |= r >= 0; /* if it is not, what was mounted for it may have left its mark */
	if (r >= 0)
		r = start(&v, argv, directory, options->stdio, ret_child, error);
	free(directory);
	view_done(&v);
	if (r >= 0)
		tx->is_running = true;
	return r < 0 ? r : 0;
}
