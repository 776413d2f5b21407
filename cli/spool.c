/*
 * spool.c - the standard files of a program that may have to be run again.
 *
 * What it prints comes through two pipes into one file, in pieces with the stream that they belong to, so that
 * it can be printed in the order in which it came, or forgotten. What it reads must come again for the next
 * run: a regular file is read from the same place; of a pipe or a socket all that was passed on is kept in a
 * file, and given again before more is read; a terminal or another device is the program's as it is.
 *
 * S1  Only what the program has room for is read ahead of it.
 * S2  Both files have no name: whatever ends us, nothing is left.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"

#define PIECE 65536

/* One of the two streams that it prints to. */
struct stream {
	int read_fd, write_fd; /* -1: closed */
};

struct spool {
	struct stream out[2]; /* 0: stdout, 1: stderr */
	bool is_one;	      /* both go to one place: to one pipe, so that the order is exact */
	FILE *printed;
	enum { INPUT_PASSED, INPUT_REWOUND, INPUT_KEPT } input;
	off_t start; /* INPUT_REWOUND: where it stood */
	int fed[2];  /* INPUT_KEPT: the pipe that the program reads */
	int kept;    /* what it was given; `kept_length` of it, this run's up to `given` */
	FILE *kept_file;
	off_t kept_length, given;
	bool has_ended; /* there is no more input */
	char *buffer;	/* PIECE bytes */
};

static int cannot(struct pleach_error *error, const char *what, int err)
{
	bool is_full = err == ENOSPC || err == EDQUOT || err == EFBIG;

	cli_error_set(error, is_full ? PLEACH_NO_SPACE : PLEACH_FAILED, NULL,
		      is_full ? "what a run of --retry prints and reads is kept in " P_tmpdir
			      : NULL,
		      "cannot %s: %s", what, strerror(err));
	error->err = err;
	return -err;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* ---- open, close ---------------------------------------------------------------------------- */

/* S2. A file without a name in TMPDIR, which tmpfile(3) does not look at. NULL, and errno. */
static FILE *file_open(void)
{
	const char *dir = getenv("TMPDIR");
	char *path = NULL;
	FILE *file = NULL;
	int fd;

	if (!dir || !*dir)
		dir = "/tmp";
	fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC | O_EXCL, 0600);
	if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == ENOENT)) {
		/* A file system, or a kernel, that has none of these. */
		if (asprintf(&path, "%s/pleach-XXXXXX", dir) < 0)
			return NULL;
		fd = mkostemp(path, O_CLOEXEC);
		if (fd >= 0)
			(void)unlink(path);
		free(path);
	}
	if (fd >= 0)
		file = fdopen(fd, "w+");
	if (fd >= 0 && !file)
		close(fd);
	return file;
}

static int input_open(struct spool *spool, struct pleach_error *error)
{
	struct stat st;

	if (fstat(STDIN_FILENO, &st) < 0)
		return 0;
	if (S_ISREG(st.st_mode)) {
		spool->start = lseek(STDIN_FILENO, 0, SEEK_CUR);
		spool->input = spool->start < 0 ? INPUT_PASSED : INPUT_REWOUND;
	}
	if (!S_ISFIFO(st.st_mode) && !S_ISSOCK(st.st_mode))
		return 0;
	spool->kept_file = file_open();
	if (!spool->kept_file)
		return cannot(error, "keep the input", errno);
	spool->kept = fileno(spool->kept_file);
	spool->input = INPUT_KEPT;
	return 0;
}

/* Do stdout and stderr go to one place? */
static bool is_one_place(void)
{
	struct stat out, err;

	return fstat(STDOUT_FILENO, &out) == 0 && fstat(STDERR_FILENO, &err) == 0 &&
	       out.st_dev == err.st_dev && out.st_ino == err.st_ino;
}

int spool_open(struct spool **ret_spool, struct pleach_error *error)
{
	struct spool *spool = calloc(1, sizeof(*spool));
	int r;

	if (!spool)
		return cannot(error, "hold the output back", ENOMEM);
	for (int i = 0; i < 2; i++) {
		spool->out[i] = (struct stream){-1, -1};
		spool->fed[i] = -1;
	}
	spool->is_one = is_one_place();
	spool->buffer = malloc(PIECE);
	spool->printed = spool->buffer ? file_open() : NULL;
	r = spool->printed ? input_open(spool, error)
			   : cannot(error, "hold the output back", errno);
	if (r < 0) {
		spool_close(spool);
		return r;
	}
	*ret_spool = spool;
	return 0;
}

static void pipes_close(struct spool *spool)
{
	for (int i = 0; i < 2; i++) {
		close_fd(&spool->out[i].read_fd);
		close_fd(&spool->out[i].write_fd);
		close_fd(&spool->fed[i]);
	}
}

void spool_close(struct spool *spool)
{
	if (!spool)
		return;
	pipes_close(spool);
	if (spool->printed)
		fclose(spool->printed);
	if (spool->kept_file)
		fclose(spool->kept_file);
	free(spool->buffer);
	free(spool);
}

/* ---- one run -------------------------------------------------------------------------------- */

/* The end that is ours never waits; the other one is the program's, and may. */
static int pipe_open(int ret_fds[2], int ours, struct pleach_error *error)
{
	if (pipe2(ret_fds, O_CLOEXEC) < 0)
		return cannot(error, "make a pipe", errno);
	if (fcntl(ret_fds[ours], F_SETFL, O_NONBLOCK) < 0)
		return cannot(error, "make a pipe", errno);
	return 0;
}

static int input_begin(struct spool *spool, int *ret_fd, struct pleach_error *error)
{
	int r = 0;

	if (spool->input == INPUT_REWOUND && lseek(STDIN_FILENO, spool->start, SEEK_SET) < 0)
		return cannot(error, "read the input again", errno);
	if (spool->input != INPUT_KEPT)
		return 0;
	spool->given = 0;
	r = pipe_open(spool->fed, 1, error);
	*ret_fd = spool->fed[0];
	return r;
}

int spool_begin(struct spool *spool, int ret_stdio[3], struct pleach_error *error)
{
	int r = 0;

	pipes_close(spool);
	rewind(spool->printed);
	if (ftruncate(fileno(spool->printed), 0) < 0)
		return cannot(error, "hold the output back", errno);
	for (int i = 0; r >= 0 && i < (spool->is_one ? 1 : 2); i++) {
		int fds[2] = {-1, -1};

		r = pipe_open(fds, 0, error);
		spool->out[i] = (struct stream){fds[0], fds[1]};
		ret_stdio[1 + i] = fds[1];
	}
	if (spool->is_one)
		ret_stdio[2] = ret_stdio[1];
	return r < 0 ? r : input_begin(spool, &ret_stdio[0], error);
}

void spool_started(struct spool *spool)
{
	close_fd(&spool->out[0].write_fd);
	close_fd(&spool->out[1].write_fd);
	close_fd(&spool->fed[0]);
}

/* Is there something kept that this run has not been given yet? */
static bool has_kept(const struct spool *spool)
{
	return spool->given < spool->kept_length;
}

size_t spool_poll(struct spool *spool, struct pollfd *items)
{
	size_t n = 0;

	for (int i = 0; i < 2; i++)
		if (spool->out[i].read_fd >= 0)
			items[n++] = (struct pollfd){spool->out[i].read_fd, POLLIN, 0};
	if (spool->fed[1] < 0)
		return n;
	if (has_kept(spool)) /* S1 */
		items[n++] = (struct pollfd){spool->fed[1], POLLOUT, 0};
	else
		items[n++] = (struct pollfd){STDIN_FILENO, POLLIN, 0};
	return n;
}

/* ---- output --------------------------------------------------------------------------------- */

static bool write_piece(struct spool *spool, unsigned char stream, uint32_t length)
{
	return fwrite(&stream, 1, 1, spool->printed) == 1 &&
	       fwrite(&length, sizeof(length), 1, spool->printed) == 1 &&
	       fwrite(spool->buffer, 1, length, spool->printed) == length;
}

static int take_output(struct spool *spool, int i, struct pleach_error *error)
{
	struct stream *stream = &spool->out[i];
	ssize_t n;

	while (stream->read_fd >= 0 && (n = read(stream->read_fd, spool->buffer, PIECE)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n < 0)
			break;
		if (!write_piece(spool, (unsigned char)i, (uint32_t)n))
			return cannot(error, "hold the output back", errno);
	}
	close_fd(&stream->read_fd);
	return 0;
}

int spool_print(struct cli *cli, struct spool *spool)
{
	unsigned char stream;
	uint32_t length;
	int status = 0;

	rewind(spool->printed);
	while (status == 0 && fread(&stream, 1, 1, spool->printed) == 1 &&
	       fread(&length, sizeof(length), 1, spool->printed) == 1 && length <= PIECE &&
	       fread(spool->buffer, 1, length, spool->printed) == length) {
		fwrite(spool->buffer, 1, length, stream ? stderr : stdout);
		if (!stream)
			status = output_finish(cli, 0); /* before what comes on the other stream */
	}
	if (status == 0 && ferror(spool->printed))
		status = cli_failf(cli, PLEACH_FAILED, NULL, NULL,
				   "cannot read what was held back: %s", strerror(errno));
	return status;
}

/* ---- input ---------------------------------------------------------------------------------- */

/* Reads more of the input behind what is kept. It may be a pipe that waits: only once poll(2) has said so. */
static int keep_more(struct spool *spool, struct pleach_error *error)
{
	struct pollfd item = {STDIN_FILENO, POLLIN, 0};
	ssize_t n, done = 0;

	if (poll(&item, 1, 0) <= 0)
		return 0;
	n = read(STDIN_FILENO, spool->buffer, PIECE);
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return 0;
	if (n <= 0)
		spool->has_ended = true; /* an input that cannot be read has no more to give */
	while (done < n) {
		ssize_t written = pwrite(spool->kept, spool->buffer + done, (size_t)(n - done),
					 spool->kept_length);

		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return cannot(error, "keep the input", errno);
		done += written;
		spool->kept_length += written;
	}
	return 0;
}

/* Gives the program what it has room for. One that reads no more (EPIPE) gets no more. */
static int feed(struct spool *spool, struct pleach_error *error)
{
	while (spool->fed[1] >= 0 && has_kept(spool)) {
		ssize_t n = pread(spool->kept, spool->buffer, PIECE, spool->given);

		if (n <= 0)
			return cannot(error, "read the input again", n < 0 ? errno : EIO);
		n = write(spool->fed[1], spool->buffer, (size_t)n);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n < 0)
			close_fd(&spool->fed[1]);
		else
			spool->given += n;
	}
	return 0;
}

static int move_input(struct spool *spool, struct pleach_error *error)
{
	int r = feed(spool, error);

	if (r >= 0 && spool->fed[1] >= 0 && !has_kept(spool) && !spool->has_ended)
		r = keep_more(spool, error);
	if (r >= 0)
		r = feed(spool, error);
	if (r >= 0 && spool->has_ended && !has_kept(spool))
		close_fd(&spool->fed[1]);
	return r;
}

int spool_move(struct spool *spool, struct pleach_error *error)
{
	int r = take_output(spool, 0, error);

	if (r >= 0)
		r = take_output(spool, 1, error);
	if (r >= 0 && spool->fed[1] >= 0)
		r = move_input(spool, error);
	return r;
}

int spool_finish(struct spool *spool, struct pleach_error *error)
{
	close_fd(&spool->fed[1]); /* no more is read for a program that is not there */
	return spool_move(spool, error);
}
