/*
 * handle.c - file handles, by which overlayfs remembers the files of its lower layers.
 */
#include <fcntl.h>

#include "sys/seam.h"

int pl_handle_encode(int dirfd, const char *name, struct pl_buffer *b)
{
	_Alignas(struct file_handle) unsigned char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	struct file_handle *handle = (struct file_handle *)room;
	int mount_id, r;

	handle->handle_bytes = MAX_HANDLE_SZ;
	r = PL_RETRY(name_to_handle_at(dirfd, name, handle, &mount_id, 0));
	if (r == -EOVERFLOW) /* no room is enough: there is none */
		return -EOPNOTSUPP;
	if (r < 0)
		return r;
	pl_assert(handle->handle_bytes <= MAX_HANDLE_SZ);
	if (handle->handle_type < 0 || handle->handle_type > UINT8_MAX)
		return -EOPNOTSUPP; /* overlayfs has one byte for it */
	pl_buffer_add_u8(b, (uint8_t)handle->handle_type);
	pl_buffer_add(b, handle->f_handle, handle->handle_bytes);
	return pl_buffer_ok(b) ? 0 : -ENOMEM;
}
