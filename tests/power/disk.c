/*
 * disk.c - the server of the FUSE file, by the kernel's protocol itself (linux/fuse.h), and its loop device.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <linux/loop.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "power/disk.h"

#define LOG_MAX	   ((uint32_t)1 << 20)	 /* entries */
#define ARENA_MAX  ((uint32_t)224 << 10) /* blocks: 896 MiB */
#define WRITE_MAX  ((uint32_t)1 << 20)
#define BUFFER_MAX (WRITE_MAX + 8192)
#define STORE_MAX  32 /* blocks that are told to the kernel at once */
#define LOOP_TRIES 64

/* ---- content ---- */

static void *shared_memory(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED)
		abort();
	return memory;
}

const unsigned char *disk_block(const struct disk *disk, uint32_t data)
{
	return disk->arena + (size_t)data * DISK_BLOCK;
}

static void append(struct disk *disk, struct disk_entry entry)
{
	uint32_t at = disk->shared->log_length++;

	if (at >= LOG_MAX)
		disk->shared->is_full = true;
	else
		disk->log[at] = entry;
}

/* Block `block` is `data` from now on; NULL: zero. */
static bool set_block(struct disk *disk, uint32_t block, const void *data, uint32_t request)
{
	struct disk_shared *shared = disk->shared;
	uint32_t at = 0;

	if (data) {
		at = disk->content[block];
		/* What stands in no log is written over. */
		if (shared->is_recording || at < shared->kept)
			at = shared->arena_used;
		if (at >= ARENA_MAX) {
			shared->is_full = true;
			return false;
		}
		if (at == shared->arena_used)
			shared->arena_used = at + 1;
		memcpy(disk->arena + (size_t)at * DISK_BLOCK, data, DISK_BLOCK);
	}
	disk->content[block] = at;
	if (shared->is_recording)
		append(disk, (struct disk_entry){DISK_WRITE, request, block, at});
	else if (shared->n_dirty < disk->n_blocks)
		disk->dirty[shared->n_dirty++] = block;
	else
		shared->has_forgotten = true;
	return true;
}

/* ---- the server ---- */

struct server {
	struct disk *disk;
	int fuse, commands;
	unsigned char *in, *out;
};

static void reply(const struct server *s, uint64_t unique, int error, const void *data, size_t size)
{
	struct fuse_out_header *head = (struct fuse_out_header *)s->out;

	*head = (struct fuse_out_header){
		.len = (uint32_t)(sizeof(*head) + size), .error = error, .unique = unique};
	if (size > 0 && data != s->out + sizeof(*head))
		memcpy(s->out + sizeof(*head), data, size);
	/* ENOENT: whoever asked was interrupted. */
	if (write(s->fuse, s->out, head->len) < 0 && errno != ENOENT)
		_exit(1);
}

static struct fuse_attr attributes(const struct disk *disk)
{
	return (struct fuse_attr){.ino = FUSE_ROOT_ID,
				  .size = disk->n_blocks * DISK_BLOCK,
				  .blocks = disk->n_blocks * (DISK_BLOCK / 512),
				  .mode = S_IFREG | 0600,
				  .nlink = 1,
				  .blksize = DISK_BLOCK};
}

static void serve_init(const struct server *s, const struct fuse_in_header *head)
{
	const struct fuse_init_in *in = (const void *)(head + 1);
	struct fuse_init_out out = {.major = FUSE_KERNEL_VERSION,
				    .minor = 31,
				    .max_readahead = in->max_readahead,
				    .flags = FUSE_ASYNC_READ | FUSE_BIG_WRITES | FUSE_MAX_PAGES,
				    .max_background = 64,
				    .congestion_threshold = 48,
				    .max_write = WRITE_MAX,
				    .time_gran = 1,
				    .max_pages = WRITE_MAX / 4096};

	reply(s, head->unique, 0, &out, sizeof(out));
}

static bool is_inside(const struct disk *disk, uint64_t offset, uint64_t size)
{
	return offset % DISK_BLOCK == 0 && size % DISK_BLOCK == 0 &&
	       offset / DISK_BLOCK + size / DISK_BLOCK <= disk->n_blocks;
}

static void serve_read(const struct server *s, const struct fuse_in_header *head)
{
	const struct fuse_read_in *in = (const void *)(head + 1);
	const struct disk *disk = s->disk;
	unsigned char *to = s->out + sizeof(struct fuse_out_header);
	uint64_t end = disk->n_blocks * DISK_BLOCK;
	uint64_t size = in->offset >= end ? 0 : in->size;

	if (size > end - in->offset)
		size = end - in->offset;
	if (!is_inside(disk, in->offset, size) || size > WRITE_MAX) {
		reply(s, head->unique, -EINVAL, NULL, 0);
		return;
	}
	disk->shared->n_reads++;
	for (uint64_t i = 0; i < size / DISK_BLOCK; i++)
		memcpy(to + i * DISK_BLOCK,
		       disk_block(disk, disk->content[in->offset / DISK_BLOCK + i]), DISK_BLOCK);
	reply(s, head->unique, 0, to, size);
}

static void serve_write(const struct server *s, const struct fuse_in_header *head)
{
	const struct fuse_write_in *in = (const void *)(head + 1);
	const unsigned char *data = (const void *)(in + 1);
	struct fuse_write_out out = {.size = in->size};
	uint32_t request = ++s->disk->shared->requests;

	if (!is_inside(s->disk, in->offset, in->size)) {
		reply(s, head->unique, -EINVAL, NULL, 0);
		return;
	}
	s->disk->shared->n_writes++;
	for (uint32_t i = 0; i < in->size / DISK_BLOCK; i++) {
		if (!set_block(s->disk, (uint32_t)(in->offset / DISK_BLOCK) + i,
			       data + i * DISK_BLOCK, request)) {
			reply(s, head->unique, -ENOSPC, NULL, 0);
			return;
		}
	}
	reply(s, head->unique, 0, &out, sizeof(out));
}

/* Discards and zeroes: the one as good as the other. */
static void serve_fallocate(const struct server *s, const struct fuse_in_header *head)
{
	const struct fuse_fallocate_in *in = (const void *)(head + 1);
	uint32_t request = ++s->disk->shared->requests;

	if (!is_inside(s->disk, in->offset, in->length) ||
	    !(in->mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))) {
		reply(s, head->unique, -EOPNOTSUPP, NULL, 0);
		return;
	}
	for (uint64_t i = 0; i < in->length / DISK_BLOCK; i++) {
		uint32_t block = (uint32_t)(in->offset / DISK_BLOCK + i);

		if (s->disk->content[block] != 0)
			(void)set_block(s->disk, block, NULL, request);
	}
	reply(s, head->unique, 0, NULL, 0);
}

static void serve_request(const struct server *s)
{
	const struct fuse_in_header *head = (const void *)s->in;
	struct fuse_attr_out attr = {.attr_valid = 1000000, .attr = attributes(s->disk)};
	struct fuse_open_out open = {.open_flags = FOPEN_KEEP_CACHE};

	switch (head->opcode) {
	case FUSE_INIT:
		serve_init(s, head);
		return;
	case FUSE_GETATTR:
	case FUSE_SETATTR:
		reply(s, head->unique, 0, &attr, sizeof(attr));
		return;
	case FUSE_OPEN:
		reply(s, head->unique, 0, &open, sizeof(open));
		return;
	case FUSE_READ:
		serve_read(s, head);
		return;
	case FUSE_WRITE:
		serve_write(s, head);
		return;
	case FUSE_FALLOCATE:
		serve_fallocate(s, head);
		return;
	case FUSE_FSYNC:
		if (s->disk->shared->is_recording)
			append(s->disk, (struct disk_entry){.event = DISK_FLUSH});
		reply(s, head->unique, 0, NULL, 0);
		return;
	case FUSE_FLUSH:
	case FUSE_RELEASE:
	case FUSE_DESTROY:
		reply(s, head->unique, 0, NULL, 0);
		return;
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT:
		return;
	default:
		reply(s, head->unique, -ENOSYS, NULL, 0);
	}
}

/* Puts the blocks [from, from + n), which now are `data`, into the kernel's cache of the file. */
static void tell_kernel(const struct server *s, uint32_t from, const uint32_t *data, uint32_t n)
{
	struct fuse_out_header *head = (struct fuse_out_header *)s->out;
	struct fuse_notify_store_out *store = (void *)(head + 1);
	unsigned char *to = (void *)(store + 1);

	*head = (struct fuse_out_header){
		.len = (uint32_t)(sizeof(*head) + sizeof(*store) + n * DISK_BLOCK),
		.error = FUSE_NOTIFY_STORE};
	*store = (struct fuse_notify_store_out){.nodeid = FUSE_ROOT_ID,
						.offset = from * DISK_BLOCK,
						.size = (uint32_t)(n * DISK_BLOCK)};
	for (uint32_t i = 0; i < n; i++)
		memcpy(to + i * DISK_BLOCK, disk_block(s->disk, data[i]), DISK_BLOCK);
	if (write(s->fuse, s->out, head->len) < 0)
		_exit(2);
}

static void serve_changes(const struct server *s)
{
	const struct disk_change *c = s->disk->changes;
	uint32_t n = s->disk->shared->n_changes, data[STORE_MAX];

	for (uint32_t i = 0; i < n;) {
		uint32_t from = c[i].block, k = 0;

		while (i < n && k < STORE_MAX && c[i].block == from + k) {
			s->disk->content[from + k] = data[k] = c[i].data;
			k++;
			i++;
		}
		tell_kernel(s, from, data, k);
	}
}

static void serve(struct disk *disk, int fuse, int commands)
{
	struct server s = {disk, fuse, commands, malloc(BUFFER_MAX), malloc(BUFFER_MAX)};
	struct pollfd fds[2] = {{.fd = fuse, .events = POLLIN}, {.fd = commands, .events = POLLIN}};
	char byte;

	if (!s.in || !s.out)
		_exit(3);
	for (;;) {
		if (poll(fds, 2, -1) < 0)
			continue;
		if (fds[0].revents) {
			ssize_t n = read(fuse, s.in, BUFFER_MAX);

			if (n < 0 && errno != EINTR && errno != EAGAIN && errno != ENOENT)
				_exit(errno == ENODEV ? 0 : 4);
			if (n >= (ssize_t)sizeof(struct fuse_in_header))
				serve_request(&s);
		}
		if (fds[1].revents) {
			if (read(commands, &byte, 1) != 1)
				_exit(0);
			serve_changes(&s);
			if (write(commands, &byte, 1) != 1)
				_exit(5);
		}
	}
}

/* ---- putting it up and away ---- */

static int mount_file(struct disk *disk, int fuse)
{
	char options[128];
	int fd = open(disk->file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		return -errno;
	close(fd);
	(void)snprintf(options, sizeof(options),
		       "fd=%d,rootmode=%o,user_id=0,group_id=0,max_read=%u", fuse, S_IFREG | 0600,
		       WRITE_MAX);
	return mount("pleach-power", disk->file, "fuse.pleach-power", MS_NOSUID | MS_NODEV,
		     options) < 0
		       ? -errno
		       : 0;
}

static int start_server(struct disk *disk)
{
	int fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC), pair[2], r;
	pid_t parent = getpid();

	if (fuse < 0)
		return -errno;
	r = mount_file(disk, fuse);
	if (r < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
		close(fuse);
		return r < 0 ? r : -errno;
	}
	disk->server = fork();
	if (disk->server == 0) {
		/* D1 */
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(0);
		(void)signal(SIGINT, SIG_IGN);
		close(pair[0]);
		serve(disk, fuse, pair[1]);
	}
	close(fuse);
	close(pair[1]);
	disk->command_fd = pair[0];
	return disk->server < 0 ? -EAGAIN : 0;
}

static int attach(struct disk *disk)
{
	int file = open(disk->file, O_RDWR | O_CLOEXEC), r = file < 0 ? -errno : -EBUSY;
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);

	for (int i = 0; file >= 0 && control >= 0 && r == -EBUSY && i < LOOP_TRIES; i++) {
		struct loop_config config = {.fd = (uint32_t)file, .block_size = DISK_BLOCK};
		int number = ioctl(control, LOOP_CTL_GET_FREE), fd;

		if (number < 0) {
			r = -errno;
			break;
		}
		(void)snprintf(disk->loop_path, sizeof(disk->loop_path), "/dev/loop%d", number);
		fd = open(disk->loop_path, O_RDWR | O_CLOEXEC);
		r = fd < 0 ? -errno : ioctl(fd, LOOP_CONFIGURE, &config) < 0 ? -errno : 0;
		if (r == 0)
			disk->loop = number;
		if (fd >= 0)
			close(fd);
	}
	if (control < 0)
		r = -errno;
	else
		close(control);
	if (file >= 0)
		close(file);
	return r;
}

int disk_open(const char *folder, size_t size_bytes, struct disk *ret_disk)
{
	struct disk disk = {
		.n_blocks = (uint32_t)(size_bytes / DISK_BLOCK), .command_fd = -1, .loop = -1};
	int r;

	disk.shared = shared_memory(sizeof(*disk.shared));
	disk.log = shared_memory(LOG_MAX * sizeof(*disk.log));
	disk.arena = shared_memory(ARENA_MAX * DISK_BLOCK);
	disk.content = shared_memory(disk.n_blocks * sizeof(*disk.content));
	disk.base = shared_memory(disk.n_blocks * sizeof(*disk.base));
	disk.dirty = shared_memory(disk.n_blocks * sizeof(*disk.dirty));
	disk.changes = shared_memory(disk.n_blocks * sizeof(*disk.changes));
	disk.shared->arena_used = disk.shared->kept = 1;
	(void)snprintf(disk.file, sizeof(disk.file), "%.200s/disk", folder);
	*ret_disk = disk;
	r = start_server(ret_disk);
	if (r == 0)
		r = attach(ret_disk);
	if (r < 0)
		disk_close(ret_disk);
	return r;
}

void disk_close(struct disk *disk)
{
	int fd;

	if (disk->loop >= 0) {
		fd = open(disk->loop_path, O_RDWR | O_CLOEXEC);
		if (fd >= 0) {
			(void)ioctl(fd, LOOP_CLR_FD);
			close(fd);
		}
	}
	(void)umount2(disk->file, MNT_DETACH);
	if (disk->server > 0) {
		(void)kill(disk->server, SIGKILL);
		(void)waitpid(disk->server, NULL, 0);
	}
	if (disk->command_fd >= 0)
		close(disk->command_fd);
	(void)munmap(disk->log, LOG_MAX * sizeof(*disk->log));
	(void)munmap(disk->arena, ARENA_MAX * DISK_BLOCK);
	(void)munmap(disk->content, disk->n_blocks * sizeof(*disk->content));
	(void)munmap(disk->base, disk->n_blocks * sizeof(*disk->base));
	(void)munmap(disk->dirty, disk->n_blocks * sizeof(*disk->dirty));
	(void)munmap(disk->changes, disk->n_blocks * sizeof(*disk->changes));
	(void)munmap(disk->shared, sizeof(*disk->shared));
	*disk = (struct disk){.command_fd = -1, .loop = -1};
}

/* ---- recording and replaying ---- */

void disk_record(struct disk *disk)
{
	disk->shared->kept = disk->shared->arena_used;
	disk->shared->is_recording = true;
	memcpy(disk->base, disk->content, disk->n_blocks * sizeof(*disk->base));
}

void disk_stop(struct disk *disk)
{
	disk->shared->is_recording = false;
	disk->shared->kept = disk->shared->arena_used;
}

void disk_mark(struct disk *disk, uint32_t what)
{
	if (disk->shared->is_recording)
		append(disk, (struct disk_entry){.event = DISK_MARK, .data = what});
}

int disk_show(struct disk *disk, const struct disk_change *changes, uint32_t n)
{
	char byte = 0;

	if (n > 0) {
		if (changes != disk->changes)
			memcpy(disk->changes, changes, n * sizeof(*changes));
		disk->shared->n_changes = n;
		if (send(disk->command_fd, &byte, 1, MSG_NOSIGNAL) != 1 ||
		    recv(disk->command_fd, &byte, 1, 0) != 1)
			return -EIO;
	}
	disk->shared->n_dirty = 0;
	disk->shared->has_forgotten = false;
	disk->shared->arena_used = disk->shared->kept;
	return 0;
}
