/*
 * The settings of a ref as a file: refs/<ref>/config, which may be missing.
 */
#include "ref/ref.h"

#define UNFINISHED ".config"

int pl_values_decode(const void *data, size_t length, struct pl_values *ret_values)
{
	struct pl_values values = {0};
	struct pl_text text;
	int r = pl_text_open(&text, data, length, "pleach-settings", 1);

	if (r < 0)
		return r;
	r = pl_values_read_text(&text, &values, NULL);
	if (r >= 0)
		r = pl_text_close(&text);
	pl_text_done(&text);
	if (r < 0) {
		pl_values_done(&values);
		return r == -ENOMEM ? r : -EBADMSG;
	}
	*ret_values = values;
	return 0;
}

int pl_ref_write_config(struct pl_ref *ref, struct pleach_error *error)
{
	struct pl_store *store = ref->store;
	PL_BUFFER b = {0};
	int r;

	pl_buffer_add_string(&b, "pleach-settings 1\n");
	for (size_t i = 0; i < ref->values.keys.n; i++) {
		PL_BUFFER value = {0};

		pl_buffer_add_format(&value, "%s %s", ref->values.keys.items[i],
				     ref->values.values.items[i]);
		pl_text_add(&b, "set", pl_buffer_string(&value));
	}
	pl_text_end(&b);
	if (!pl_buffer_ok(&b))
		return pl_fail_memory(error);
	/* Always the same name: settings are changed one after the other, and one that was killed leaves
	 * it for the next. */
	r = pl_unlink(ref->fd, UNFINISHED);
	if (r >= 0 || r == -ENOENT)
		r = pl_write_file(ref->fd, UNFINISHED, 0644, b.data, b.length,
				  store->settings.durable);
	if (r >= 0)
		r = pl_rename(ref->fd, UNFINISHED, ref->fd, "config");
	if (r < 0) {
		pl_unlink(ref->fd, UNFINISHED);
		return pl_fail_sys(error, r, "cannot write the settings of '%s'", ref->name);
	}
	r = pl_store_sync(store, ref->fd);
	return r < 0 ? pl_fail_sys(error, r, "cannot sync the settings of '%s'", ref->name) : 0;
}
