/*
 * pleach_pin_*(): a placed tree that is held by a lock.
 */
#include <stdlib.h>

#include "api/inner.h"

struct pleach_pin {
	struct pl_placed placed;
	struct pleach_revision revision;
};

int pleach_pin_open(struct pleach_store *store, const char *rev, struct pleach_pin **ret_pin,
		    struct pleach_error *error)
{
	struct pleach_pin *pin = calloc(1, sizeof(*pin));
	const struct pl_rev *of;
	int r;

	pl_assert(store && rev && ret_pin);
	if (!pin)
		return pl_fail_memory(error);
	r = pl_placed_open(store->inner, rev, false, &pin->placed, error);
	if (r < 0) {
		free(pin);
		return r;
	}
	of = &pin->placed.rev;
	pin->revision.size = sizeof(pin->revision);
	if (of->has_ref)
		memcpy(pin->revision.ref, of->ref.name, sizeof(pin->revision.ref));
	pin->revision.generation = of->generation;
	pl_id_hex(&of->tree, pin->revision.tree);
	pin->revision.is_head = of->has_ref && of->generation == of->head;
	*ret_pin = pin;
	return 0;
}

const char *pleach_pin_path(const struct pleach_pin *pin)
{
	pl_assert(pin);
	return pin->placed.path;
}

void pleach_pin_revision(const struct pleach_pin *pin, struct pleach_revision *ret_revision)
{
	pl_assert(pin);
	PL_GIVE(ret_revision, pin->revision);
}

int pleach_pin_inherit(struct pleach_pin *pin, struct pleach_error *error)
{
	int r;

	pl_assert(pin);
	r = pl_set_inheritable(pin->placed.pin.fd);
	return r < 0 ? pl_fail_sys(error, r, "cannot pass the pin on") : 0;
}

void pleach_pin_close(struct pleach_pin *pin)
{
	if (!pin)
		return;
	if (pin->placed.rev.has_ref && pin->placed.rev.generation > 0)
		pl_use_note(&pin->placed.rev.ref, pin->placed.rev.generation);
	pl_placed_close(&pin->placed);
	free(pin);
}
