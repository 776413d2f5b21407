/*
 * Journals that keep the order of names: what was made, linked and renamed before, in whatever directory,
 * is durable once a later sync of any one directory is. ext4 and xfs do (proven by power cuts,
 * docs/durability.md); btrfs logs a directory for itself, and others are not known.
 *
 * J1  ext4 with fast commits is not asked to: a sync of it is followed by a commit of the whole journal.
 *     That the feature is on is nowhere to be read but in what it has done; a sync of ours that went that way,
 *     or could not, has been counted.
 * J2  What cannot be told is no. An overlay is no: the one below may be anything.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include "sys/seam.h"

#define EXT4_MAGIC 0xef53 /* ext2 too, which has no journal */
#define XFS_MAGIC  0x58465342

#define PROC_MAX 65536

/* "/proc/fs/ext4/<disk>/<name>", the disk as the kernel calls it. */
static int proc_name(int fd, const char *name, char ret_path[PL_JOURNAL_PATH_MAX])
{
	PL_BUFFER disk = {0};
	const char *slash;
	char link[64];
	struct stat st;
	int r = pl_fstat(fd, &st), n;

	if (r < 0)
		return r;
	(void)snprintf(link, sizeof(link), "/sys/dev/block/%u:%u", major(st.st_dev),
		       minor(st.st_dev));
	r = pl_readlink(AT_FDCWD, link, &disk);
	if (r < 0)
		return r;
	slash = strrchr(pl_buffer_string(&disk), '/');
	n = snprintf(ret_path, PL_JOURNAL_PATH_MAX, "/proc/fs/ext4/%s/%s",
		     slash ? slash + 1 : pl_buffer_string(&disk), name);
	return n < PL_JOURNAL_PATH_MAX ? 0 : -ENAMETOOLONG;
}

/* Only one with a journal says how it orders data. */
static bool has_ext4_journal(int fd)
{
	char path[PL_JOURNAL_PATH_MAX];
	PL_BUFFER options = {0};

	return proc_name(fd, "options", path) == 0 &&
	       pl_read_file(AT_FDCWD, path, PROC_MAX, &options) == 0 &&
	       strstr(pl_buffer_string(&options), "\ndata=") != NULL;
}

void pl_journal_probe(int fd, struct pl_journal *ret_journal)
{
	struct statfs sfs;

	*ret_journal = (struct pl_journal){.is_ordered = false};
	if (!pl_seam_has(PL_CAP_JOURNAL) || PL_RETRY(fstatfs(fd, &sfs)) < 0)
		return;
	if ((uint32_t)sfs.f_type == XFS_MAGIC)
		ret_journal->is_ordered = true;
	else if ((uint32_t)sfs.f_type == EXT4_MAGIC)
		ret_journal->is_ordered = has_ext4_journal(fd) &&
					  proc_name(fd, "fc_info", ret_journal->fast_commits) == 0;
}

/* Has there been one, or an attempt at one? After a sync of ours: is the feature on? (J1) */
static bool has_fast_commits(const struct pl_journal *journal)
{
	static const char none[] = "fc stats:\n0 commits\n0 ineligible\n";
	PL_BUFFER text = {0};
	int r;

	if (journal->fast_commits[0] == '\0')
		return false;
	r = pl_read_file(AT_FDCWD, journal->fast_commits, PROC_MAX, &text);
	if (r < 0)
		return r != -ENOENT; /* a kernel from before there were any */
	return strncmp(pl_buffer_string(&text), none, strlen(none)) != 0;
}

int pl_journal_sync(int dirfd, const struct pl_journal *journal)
{
	int r = pl_fsync(dirfd);

	if (r >= 0 && journal->is_ordered && has_fast_commits(journal))
		r = pl_syncfs(dirfd);
	return r;
}
