/*
 * Tags: names for generations of a ref, refs/<ref>/tags/<name>. Why a tag keeps its tree is user.c's.
 *
 * T1  A tag that is there has its user with its tree: the user is made, and durable, before the tag, and
 *     taken away after it. A user without its tag is nothing: it is found gone when it is looked up.
 * T2  Tags change under the ref lock alone.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "ref/ref.h"

#define KIND "pleach-tag"

/* What `pleach REF@NAME` would take for a number. */
static bool is_like_number(const char *name)
{
	return name[strspn(name, "0123456789")] == '\0';
}

static int open_tags(const struct pl_ref *ref)
{
	return pl_open_dir(ref->fd, "tags");
}

/* The same, made where it is missing. */
static int make_tags(const struct pl_ref *ref)
{
	int fd = open_tags(ref), r;

	if (fd != -ENOENT)
		return fd;
	r = pl_mkdir(ref->fd, "tags", 0755);
	if (r == 0 || r == -EEXIST)
		r = pl_chmod_at(ref->fd, "tags", 0755);
	if (r == 0)
		r = pl_store_sync(ref->store, ref->fd);
	return r < 0 ? r : open_tags(ref);
}

/* ---- reading ---- */

static int decode(const struct pl_ref *ref, const char *name, const struct pl_buffer *b,
		  struct pl_tag *ret_tag)
{
	struct pl_tag tag = {0};
	struct pl_text text;
	int64_t time_s;
	uint32_t time_ns;
	int r = pl_text_open(&text, b->data, b->length, KIND, 1);

	if (r < 0)
		return r;
	pl_assert(strlen(name) < sizeof(tag.name));
	memcpy(tag.name, name, strlen(name) + 1);
	if (strcmp(pl_text_get(&text, "ref-id"), ref->id) != 0 ||
	    strcmp(pl_text_get(&text, "name"), name) != 0)
		text.failed = true;
	tag.generation = pl_text_get_number(&text, "generation");
	pl_text_get_id(&text, "tree", &tag.tree);
	pl_text_get_time(&text, "time", &time_s, &time_ns);
	r = pl_text_close(&text);
	pl_text_done(&text);
	if (r == 0 && tag.generation == 0)
		r = -EBADMSG;
	if (r == 0)
		*ret_tag = tag;
	return r;
}

static int fail_no_tag(const struct pl_ref *ref, const char *name, struct pleach_error *error)
{
	return pl_fail_not_found(error, "'%s' has no tag '%s'", ref->name, name);
}

static int fail_damaged(const struct pl_ref *ref, const char *name, struct pleach_error *error)
{
	char path[PLEACH_REF_MAX + 8];

	(void)snprintf(path, sizeof(path), "tags/%s", name);
	pl_fail_corrupt(error, "tag '%s' of '%s' is damaged", name, ref->name);
	pl_ref_hint_damaged(error, ref->name, path);
	return -EBADMSG;
}

/* As pl_tag_read(), in tags/ that is open. */
static int read_tag(const struct pl_ref *ref, int tags_fd, const char *name, struct pl_tag *ret_tag,
		    struct pleach_error *error)
{
	PL_BUFFER b = {0};
	int r = pl_read_file(tags_fd, name, PL_TEXT_MAX, &b);

	if (r == -ENOENT)
		return fail_no_tag(ref, name, error);
	if (r == 0)
		r = decode(ref, name, &b, ret_tag);
	else if (r == -EFBIG || r == -EISDIR || r == -EINVAL || r == -ELOOP)
		r = -EBADMSG;
	if (r == -ENOMEM)
		return pl_fail_memory(error);
	if (r == -EBADMSG)
		return fail_damaged(ref, name, error);
	if (r == -EPROTONOSUPPORT)
		return pl_fail(error, PLEACH_FAILED, r, "tag '%s' of '%s' is of a newer format",
			       name, ref->name);
	return r < 0 ? pl_fail_sys(error, r, "cannot read tag '%s' of '%s'", name, ref->name) : 0;
}

int pl_tag_read(struct pl_ref *ref, const char *name, struct pl_tag *ret_tag,
		struct pleach_error *error)
{
	PL_CLOSE int fd = -EBADF;

	if (!pl_ref_name_is_valid(name))
		return fail_no_tag(ref, name, error);
	fd = open_tags(ref);
	if (fd == -ENOENT)
		return fail_no_tag(ref, name, error);
	if (fd < 0)
		return pl_fail_sys(error, fd, "cannot open the tags of '%s'", ref->name);
	return read_tag(ref, fd, name, ret_tag, error);
}

int pl_tag_list(struct pl_ref *ref, struct pl_strings *ret_names, struct pleach_error *error)
{
	struct pl_strings names = {0};
	struct pl_listing listing = {0};
	PL_CLOSE int fd = open_tags(ref);
	int r;

	if (fd == -ENOENT) {
		*ret_names = names;
		return 0;
	}
	r = fd < 0 ? fd : pl_list(fd, &listing);
	for (size_t i = 0; r == 0 && i < listing.n; i++) {
		if (pl_ref_name_is_valid(listing.entries[i].name))
			r = pl_strings_add(&names, listing.entries[i].name);
	}
	pl_listing_done(&listing);
	if (r < 0) {
		pl_strings_done(&names);
		return pl_fail_sys(error, r, "cannot read the tags of '%s'", ref->name);
	}
	*ret_names = names;
	return 0;
}

/* ---- setting ---- */

static void encode(const struct pl_ref *ref, const struct pl_tag *tag, struct pl_buffer *b)
{
	struct timespec now;

	pl_clock_wall(&now);
	pl_text_add(b, KIND, "1");
	pl_text_add(b, "ref-id", ref->id);
	pl_text_add(b, "name", tag->name);
	pl_text_add_number(b, "generation", tag->generation);
	pl_text_add_id(b, "tree", &tag->tree);
	pl_text_add_time(b, "time", now.tv_sec, (uint32_t)now.tv_nsec);
	pl_text_end(b);
}

/* The tree of generation `tag->generation`, which must be one that is kept. */
static int look_up_tree(struct pl_ref *ref, struct pl_tag *tag, struct pleach_error *error)
{
	struct pl_record record = {0};
	int r = pl_generation_read(ref, tag->generation, &record, error);

	if (r < 0)
		return r;
	tag->tree = record.tree;
	pl_record_done(&record);
	r = pl_generation_is_dropped(ref, tag->generation);
	if (r < 0)
		return pl_fail_sys(error, r, "cannot look at generation %" PRIu64 " of '%s'",
				   tag->generation, ref->name);
	if (r > 0)
		return pl_fail_not_found(error, "generation %" PRIu64 " of '%s' was dropped",
					 tag->generation, ref->name);
	return 0;
}

/* 1: it says so already; 0: it is to be written, and *ret_old is what it says now, if has_old. */
static int compare_with_old(const struct pl_ref *ref, int tags_fd, const struct pl_tag *tag,
			    bool force, struct pl_tag *ret_old, bool *ret_has_old,
			    struct pleach_error *error)
{
	int r = read_tag(ref, tags_fd, tag->name, ret_old, error);

	*ret_has_old = r == 0;
	if (r == -ENOENT || (r == -EBADMSG && force)) {
		pl_error_clear(error);
		return 0;
	}
	if (r < 0)
		return r;
	if (ret_old->generation == tag->generation)
		return 1;
	if (force)
		return 0;
	r = pl_fail(error, PLEACH_FAILED, -EEXIST, "tag '%s' of '%s' names generation %" PRIu64,
		    tag->name, ref->name, ret_old->generation);
	pl_hint(error, "--force moves it");
	return r;
}

/* T1: the tree's user, made under a pin that is held until the tag is there: meanwhile the tree is not
 * taken away, nor the user, which until then would be found to be nobody's. */
static int add_user(const struct pl_ref *ref, const struct pl_tag *tag, struct pl_pin *ret_pin,
		    struct pleach_error *error)
{
	char user[256];
	int r = pl_pin_wait(ref->store, &tag->tree, ret_pin, error);

	if (r < 0)
		return r;
	if (r == PL_PIN_ABSENT)
		return pl_fail_corrupt(error,
				       "the tree of generation %" PRIu64 " of '%s' is missing",
				       tag->generation, ref->name);
	pl_user_of_tag(ref, tag->name, user);
	return pl_user_add(ref->store, ret_pin->treedir_fd, user, error);
}

/* Best effort: a user that stays without its tag is found gone. */
static void remove_user(const struct pl_ref *ref, const struct pl_tag *tag)
{
	PL_CLOSE int fd = pl_treedir_open(ref->store, &tag->tree);
	char user[256];

	if (fd < 0)
		return;
	pl_user_of_tag(ref, tag->name, user);
	(void)pl_user_remove(ref->store, fd, user);
}

/* Gives the tag its name: the text is whole and durable before. */
static int put_in_place(const struct pl_ref *ref, int tags_fd, struct pl_txdir *tx,
			const struct pl_tag *tag, bool replace, struct pleach_error *error)
{
	PL_BUFFER b = {0};
	char temporary[32];
	int r;

	encode(ref, tag, &b);
	if (!pl_buffer_ok(&b))
		return pl_fail_memory(error);
	pl_txdir_name(tx, "tag", temporary);
	r = pl_text_write(tx->fd, temporary, 0644, &b, pl_txdir_must_fsync(tx));
	if (r < 0)
		return pl_fail_sys(error, r, "cannot write tag '%s' of '%s'", tag->name, ref->name);
	r = pl_txdir_sync(tx, error); /* of the user, too */
	if (r < 0)
		return r;
	if (replace)
		r = pl_rename(tx->fd, temporary, tags_fd, tag->name);
	else
		r = pl_link(tx->fd, temporary, tags_fd, tag->name);
	if (r == 0)
		r = pl_store_sync(ref->store, tags_fd);
	return r < 0 ? pl_fail_sys(error, r, "cannot write tag '%s' of '%s'", tag->name, ref->name)
		     : 0;
}

/* Under the ref lock (T2). */
static int set_locked(struct pl_ref *ref, struct pl_txdir *tx, struct pl_tag *tag, bool force,
		      struct pleach_error *error)
{
	PL_CLOSE int tags_fd = make_tags(ref);
	struct pl_pin pin = PL_PIN_NONE;
	struct pl_tag old = {0};
	bool has_old = false;
	int r;

	pl_assert(pl_ref_is_locked(ref));
	if (tags_fd < 0)
		return pl_fail_sys(error, tags_fd, "cannot open the tags of '%s'", ref->name);
	r = look_up_tree(ref, tag, error);
	if (r == 0)
		r = compare_with_old(ref, tags_fd, tag, force, &old, &has_old, error);
	if (r == 1) { /* who set it may have been killed before this */
		r = pl_store_sync(ref->store, tags_fd);
		return r < 0 ? pl_fail_sys(error, r, "cannot sync the tags of '%s'", ref->name) : 1;
	}
	if (r == 0)
		r = add_user(ref, tag, &pin, error);
	if (r == 0)
		r = put_in_place(ref, tags_fd, tx, tag, force, error);
	pl_pin_done(&pin);
	if (r == 0 && has_old && !pl_id_equal(&old.tree, &tag->tree))
		remove_user(ref, &old);
	return r;
}

int pl_tag_set(struct pl_ref *ref, struct pl_txdir *tx, const char *name, uint64_t n, bool force,
	       struct pleach_error *error)
{
	struct pl_tag tag = {.generation = n};
	bool was_locked = pl_ref_is_locked(ref);
	int r = pl_store_must_write(ref->store, error);

	if (r < 0)
		return r;
	if (!pl_ref_name_is_valid(name))
		return pl_fail_usage(error, "'%s' is not a name for a tag", name);
	if (is_like_number(name))
		return pl_fail_usage(
			error, "'%s' is not a name for a tag: it looks like a generation", name);
	memcpy(tag.name, name, strlen(name) + 1);
	r = was_locked ? 0 : pl_ref_lock(ref, -1, error);
	if (r < 0)
		return r;
	r = set_locked(ref, tx, &tag, force, error);
	if (!was_locked)
		pl_ref_unlock(ref);
	return r;
}

/* ---- deleting ---- */

static int delete_locked(struct pl_ref *ref, const char *name, struct pleach_error *error)
{
	PL_CLOSE int tags_fd = open_tags(ref);
	struct pl_tag tag;
	bool is_read;
	int r;

	pl_assert(pl_ref_is_locked(ref));
	if (tags_fd == -ENOENT)
		return fail_no_tag(ref, name, error);
	if (tags_fd < 0)
		return pl_fail_sys(error, tags_fd, "cannot open the tags of '%s'", ref->name);
	r = read_tag(ref, tags_fd, name, &tag, error);
	if (r < 0 && r != -EBADMSG) /* a damaged one can go; its user is then found gone */
		return r;
	is_read = r == 0;
	pl_error_clear(error);
	r = pl_unlink(tags_fd, name);
	if (r == 0)
		r = pl_store_sync(ref->store, tags_fd);
	if (r < 0)
		return pl_fail_sys(error, r, "cannot delete tag '%s' of '%s'", name, ref->name);
	if (is_read)
		remove_user(ref, &tag);
	return 0;
}

int pl_tag_delete(struct pl_ref *ref, const char *name, struct pleach_error *error)
{
	bool was_locked = pl_ref_is_locked(ref);
	int r = pl_store_must_write(ref->store, error);

	if (r < 0)
		return r;
	if (!pl_ref_name_is_valid(name))
		return fail_no_tag(ref, name, error);
	r = was_locked ? 0 : pl_ref_lock(ref, -1, error);
	if (r < 0)
		return r;
	r = delete_locked(ref, name, error);
	if (!was_locked)
		pl_ref_unlock(ref);
	return r;
}
