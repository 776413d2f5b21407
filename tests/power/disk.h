/*
 * disk.h - a disk that remembers in which order it was written: a file of a FUSE file system of ours, under a
 * loop device. While it records, each write, flush and discard is appended to a log. While it replays, its
 * content is put together from that log, state by state, and what a mount writes to it is thrown away
 * again.
 *
 *	disk_open --format, fill--> base --disk_record--> recording --disk_stop--> log
 *	log --disk_show--> a state, mounted and unmounted --disk_show--> the next ... --disk_close-->
 *
 * D1  Whatever ends this process, the machine does not wait for it: the server is a process of its own that
 *     dies with its parent, and with it the connection, so that every request fails.
 * D2  The server alone answers the kernel, one request after the other: a write that was answered stands in
 *     the log before any flush that was asked for later.
 * D3  Who opened the loop device is nobody between two states: with its last opener the kernel forgets what
 *     it has read from it.
 *
 * Everything is in blocks of 4 KiB, which the loop device has for sectors too. As root, in a mount namespace of
 * one's own.
 */
#ifndef PL_TEST_DISK_H
#define PL_TEST_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define DISK_BLOCK ((size_t)4096)

enum disk_event {
	DISK_WRITE = 1, /* `block` becomes the arena's block `data` */
	DISK_FLUSH,
	DISK_MARK /* `data`: what the caller noted */
};

struct disk_entry {
	uint32_t event;
	uint32_t request; /* of WRITE: blocks of one request have one number */
	uint32_t block, data;
};

/* What server and owner share. */
struct disk_shared {
	_Atomic uint32_t log_length, arena_used, requests, n_dirty;
	_Atomic uint32_t kept; /* of the arena: what the log or the base needs */
	_Atomic bool is_recording;
	_Atomic bool is_full;	    /* log or arena; what was recorded is of no use */
	_Atomic bool has_forgotten; /* more were written than `dirty` holds */
	_Atomic uint64_t n_reads, n_writes;
	uint32_t n_changes;
};

struct disk_change {
	uint32_t block, data;
};

struct disk {
	uint32_t n_blocks;
	struct disk_shared *shared;
	struct disk_entry *log;
	unsigned char *arena;	     /* blocks; number 0 is all zero */
	uint32_t *content;	     /* of each block: where in the arena */
	uint32_t *base;		     /* the content when the recording began */
	uint32_t *dirty;	     /* blocks that a mount has written since the last disk_show */
	struct disk_change *changes; /* for disk_show */
	pid_t server;
	int command_fd; /* to the server */
	int loop;	/* number */
	char file[256], loop_path[32];
};

/* Makes the disk, all zero, with the server and the loop device. `folder` is on no disk of this kind. -errno. */
int disk_open(const char *folder, size_t size_bytes, struct disk *ret_disk);
/* Detaches everything, as far as it is there. */
void disk_close(struct disk *disk);

void disk_record(struct disk *disk);
void disk_stop(struct disk *disk);
void disk_mark(struct disk *disk, uint32_t what);

/* Changes the content of these blocks, while nobody has the loop device open, after a recording. All others that were
 * written since are forgotten: they must be among these. -errno. */
int disk_show(struct disk *disk, const struct disk_change *changes, uint32_t n);
const unsigned char *disk_block(const struct disk *disk, uint32_t data);

#endif
