/*
 * A transaction, as far as a workspace needs one: a tree that is published and pinned, a tx directory, a
 * program that runs in the workspace, and what scans say. Include after cmocka.h. Functions here are for
 * children: 0, or 1 and it was said why.
 */
#ifndef PL_TEST_WORKSPACES_H
#define PL_TEST_WORKSPACES_H

#include "ref/stores.h"
#include "sys/images.h"
#include "tx/workspace.h"

static inline int publish(struct pl_store *store, const struct scratch *s, const char *name,
			  struct pl_id *ret_tree)
{
	struct pleach_source source = {PLEACH_SOURCE_DIR, scratch_path(s, name), NULL};
	struct pleach_publish_options options = PLEACH_PUBLISH_OPTIONS_INIT;
	struct pleach_publish_result result = PLEACH_PUBLISH_RESULT_INIT;
	struct pleach_error error = PLEACH_ERROR_INIT;
	int r = pl_publish_run(store, "site", &source, 1, &options, &result, &error);

	if (r != 0)
		(void)fprintf(stderr, "# %s\n", error.message);
	return r != 0 ? r : pl_id_parse(result.tree, ret_tree);
}

struct work {
	struct scratch *s;
	struct pl_store *store;
	struct pl_txdir tx;
	struct pl_pin pin;
	struct pl_workspace ws;
	struct pl_stage stage;
	struct pl_strings room, passed_over;
	struct pleach_error error;
};

static inline int say(const struct work *w)
{
	(void)fprintf(stderr, "# %s\n", w->error.message);
	return 1;
}

static inline int make_workspace(struct pl_workspace *ws, const char *name,
				 struct pl_strings *passed_over, struct pleach_error *error)
{
	int r = pl_workspace_choose(ws, name, passed_over, error);

	return r < 0 ? r : pl_workspace_make(ws, error);
}

/* Everything but the workspace itself. */
static inline int work_begin(struct work *w, const struct pl_id *tree)
{
	struct pl_node_source nodes = pl_store_nodes(w->store);
	struct pl_node root;
	PL_BUFFER path = {0};

	w->error = (struct pleach_error)PLEACH_ERROR_INIT;
	CHECK(pl_txdir_begin(w->store, "test", &w->tx, &w->error) == 0);
	CHECK(pl_pin_wait(w->store, tree, &w->pin, &w->error) == PL_PIN_TAKEN && w->pin.k > 0);
	w->ws = (struct pl_workspace){.store = w->store, .tx = &w->tx, .base = *tree, .fd = -EBADF};
	w->ws.name = "site";
	w->ws.share = w->store->settings.share;
	w->ws.rule = w->store->settings.metadata;
	w->ws.lower_fd = pl_placing_open(w->pin.treedir_fd, w->pin.k);
	CHECK(w->ws.lower_fd >= 0 && pl_real_path(w->ws.lower_fd, &path) == 0);
	w->ws.lower_path = pl_buffer_take_string(&path);
	CHECK(pl_node_read(&nodes, tree, &root, &w->error) == 0);
	CHECK(pl_node_totals(&nodes, &root, &w->ws.totals, &w->error) == 0);
	pl_node_done(&root);
	return 0;
}

static inline void work_end(struct work *w)
{
	pl_workspace_close(&w->ws);
	pl_closep(&w->ws.lower_fd);
	free(w->ws.lower_path);
	pl_pin_done(&w->pin);
	pl_strings_done(&w->room);
	pl_strings_done(&w->passed_over);
	pl_txdir_end(&w->tx);
}

/* Runs this program in a view of the workspace: `what` there, with `more` as its argument. */
static inline int run_inside(struct work *w, const char *what, const char *more)
{
	char self[4096] = "", target[4400];
	char *argv[] = {self, (char *)what, target, (char *)more, NULL};
	struct pl_view_step step = {.target = target};
	struct pl_view view = {.steps = &step, .n_steps = 1, .reads_fd = -EBADF};
	struct pl_child_event event = {0};
	struct pl_child *child = NULL;
	extern char **environ;
	int r, at = -9;

	CHECK(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
	(void)snprintf(target, sizeof(target), "%s/target", w->s->path);
	(void)mkdirat(w->s->fd, "target", 0755);
	CHECK(w->ws.driver->view(&w->ws, &w->room, &step, &view.with_user_namespace) == 0);
	r = pl_child_start(&view, argv, environ, NULL, (const int[3]){-EBADF, -EBADF, -EBADF},
			   &child, &at);
	if (r < 0) {
		(void)fprintf(stderr, "# cannot start (step %d): %s: %s\n", at, strerror(-r),
			      step.data ? step.data : step.source);
		return 1;
	}
	do
		r = pl_child_next(child, &event);
	while (r == -EINTR || (r >= 0 && event.what == PL_CHILD_STOPPED));
	pl_child_close(child);
	CHECK(r >= 0 && event.what == PL_CHILD_EXITED);
	return event.value;
}

/* A scan of the workspace, as a commit makes it. */
static inline int scan_it(struct work *w, struct pl_scan_result *ret_result)
{
	int r = pl_stage_begin(w->store, &w->tx, PL_STAGE_POOL, &w->stage, &w->error);

	CHECK(r == 0);
	r = w->ws.driver->scan(&w->ws, &w->stage, w->ws.rule, ret_result, &w->error);
	pl_stage_end(&w->stage);
	for (const char *const *name = (const char *const[]){"n", "o", "t", NULL}; *name; name++)
		CHECK(pl_erase(w->tx.fd, *name, NULL) == 0);
	return r < 0 ? say(w) : 0;
}

/* What an ordinary scan says of an ordinary directory. */
static inline int scan_directory(struct work *w, const char *name, struct pl_id *ret_tree)
{
	PL_CLOSE int fd = pl_open_dir(w->s->fd, name);
	struct pl_scan scan = {.store = w->store,
			       .stage = &w->stage,
			       .fd = fd,
			       .label = name,
			       .prefix = "",
			       .rule = w->ws.rule};
	struct pl_scan_result result;
	int r;

	CHECK(fd >= 0);
	CHECK(pl_stage_begin(w->store, NULL, PL_STAGE_NOWHERE, &w->stage, &w->error) == 0);
	r = pl_scan_run(&scan, &result, &w->error);
	pl_stage_end(&w->stage);
	if (r < 0)
		return say(w);
	*ret_tree = result.tree;
	return 0;
}

#endif
