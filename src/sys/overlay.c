/*
 * An overlay as a step of a view. As view.c, of which it is a part, it makes async-signal-safe calls alone.
 *
 * W1  Paths of layers are opened here and given to the kernel by descriptor: overlayfs splits and unescapes what
 *     it is given as text, and takes 255 bytes of it. The descriptors stay open until the overlay is made, since
 *     kernels before 6.5 look at the text only then.
 * W2  The kernel drops options without a word: index=on in a user namespace, or where the upper layer has no file
 *     handles. What was really mounted is looked at; an overlay that lacks what was asked for is refused.
 * W3  It gets no identity of its own: since 6.6 the kernel would write one into an attribute of the upper layer's
 *     root, which has no room left for it in an inode of ext4 and takes a block. statfs(2) answers as below. A
 *     kernel that does not know the option has nothing to be asked for, but some say so only when it is made.
 */
#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

#include "sys/init.h"

#define OPTION_MAX  256
#define OPTIONS_MAX 2048 /* as shown in mountinfo; layers are short there (W1) */

static const char *const layer_keys[] = {"lowerdir", "upperdir", "workdir"};

struct overlay {
	int fs;				      /* of fsopen(2) */
	int layers[PL_ARRAY_LEN(layer_keys)]; /* open until it is made */
};

/* ---- options ---- */

static bool is_key(const char *option, const char *key)
{
	size_t n = strlen(key);

	return strncmp(option, key, n) == 0 && option[n] == '=';
}

static int copy(char *to, size_t size, const char *from, size_t length)
{
	if (length >= size)
		return -ENAMETOOLONG;
	memcpy(to, from, length);
	to[length] = '\0';
	return 0;
}

/* W1 */
static int set_layer(struct overlay *o, size_t which, const char *value, size_t length)
{
	char path[4096], link[sizeof("/proc/self/fd/") + PL_DECIMAL_MAX] = "/proc/self/fd/";
	int r = copy(path, sizeof(path), value, length);

	if (r < 0)
		return r;
	if (o->layers[which] >= 0)
		return -EINVAL;
	o->layers[which] = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (o->layers[which] < 0)
		return -errno;
	pl_decimal((unsigned long)o->layers[which], link + strlen(link));
	return fsconfig(o->fs, FSCONFIG_SET_STRING, layer_keys[which], link, 0) < 0 ? -errno : 0;
}

/* One "key=value" or "key". */
static int set_option(struct overlay *o, const char *option, size_t length)
{
	char key[OPTION_MAX], *value;
	int r;

	for (size_t i = 0; i < PL_ARRAY_LEN(layer_keys); i++) {
		size_t n = strlen(layer_keys[i]) + 1;

		if (is_key(option, layer_keys[i]))
			return set_layer(o, i, option + n, length - n);
	}
	r = copy(key, sizeof(key), option, length);
	if (r < 0)
		return r;
	value = strchr(key, '=');
	if (!value)
		return fsconfig(o->fs, FSCONFIG_SET_FLAG, key, NULL, 0) < 0 ? -errno : 0;
	*value++ = '\0';
	return fsconfig(o->fs, FSCONFIG_SET_STRING, key, value, 0) < 0 ? -errno : 0;
}

static int set_options(struct overlay *o, const char *options)
{
	int r = 0;

	while (r >= 0 && *options) {
		size_t length = strcspn(options, "\n");

		if (length > 0)
			r = set_option(o, options, length);
		options += length + (options[length] == '\n');
	}
	return r;
}

/* ---- what was mounted (W2) ---- */

/* Where one is in a line of mountinfo: "ID ... [optional fields] - TYPE SOURCE OPTIONS". */
struct line {
	uint64_t id;
	unsigned field, dash; /* the field that is "-"; 0: not yet */
	bool is_dash;	      /* so far this field is "-" */
};

static void next_field(struct line *line)
{
	if (line->is_dash)
		line->dash = line->field;
	line->field++;
	line->is_dash = false;
}

/* Takes one character. Returns whether it is one of the options. */
static bool take(struct line *line, char c, char before)
{
	if (c == ' ') {
		next_field(line);
		return false;
	}
	if (line->field == 0)
		line->id = line->id * 10 + (uint64_t)(c - '0');
	line->is_dash = c == '-' && before == ' ' && line->dash == 0;
	return line->dash > 0 && line->field == line->dash + 3;
}

/* The options of the mount with this id: 0, -ENOENT, -E2BIG. */
static int read_options(uint64_t id, char ret_options[OPTIONS_MAX])
{
	int fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC), r = fd < 0 ? -errno : -ENOENT;
	struct line line = {0};
	char data[1024], before = '\n';
	size_t length = 0;
	ssize_t n = 0;

	while (r == -ENOENT && (n = read(fd, data, sizeof(data))) > 0) {
		for (ssize_t i = 0; i < n && r == -ENOENT; before = data[i++]) {
			if (data[i] == '\n') {
				r = line.id == id ? 0 : -ENOENT;
				line = (struct line){0};
			} else if (take(&line, data[i], before) && line.id == id) {
				if (length < OPTIONS_MAX - 1)
					ret_options[length++] = data[i];
				else
					r = -E2BIG;
			}
		}
	}
	if (n < 0 && r == -ENOENT)
		r = -errno;
	if (fd >= 0)
		close(fd);
	ret_options[length] = '\0';
	return r;
}

/* What an option is where it is not shown: that of the module. */
static const char *default_of(const char *key, size_t length)
{
	char path[OPTION_MAX] = "/sys/module/overlay/parameters/", value = 'N';
	size_t n = strlen(path);
	int fd;

	if (copy(path + n, sizeof(path) - n, key, length) < 0)
		return "off";
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		if (read(fd, &value, 1) != 1)
			value = 'N';
		close(fd);
	}
	return value == 'Y' ? "on" : "off";
}

/* Is `option`, "key=on" or "key=off", what is in `shown`? */
static bool is_in_force(const char *option, size_t length, const char *shown)
{
	const char *value = memchr(option, '=', length);
	size_t key = value ? (size_t)(value - option) + 1 : 0;

	for (; value && *shown; shown += strcspn(shown, ","), shown += *shown == ',')
		if (strncmp(shown, option, key) == 0)
			return strcspn(shown, ",") == length && strncmp(shown, option, length) == 0;
	if (!value)
		return true; /* a flag that the kernel does not know it refuses */
	shown = default_of(option, key - 1);
	return strlen(shown) == length - key && strncmp(shown, option + key, length - key) == 0;
}

static int check_options(const char *target, const char *options)
{
	char shown[OPTIONS_MAX];
	struct statx st;
	int r;

	if (statx(AT_FDCWD, target, AT_SYMLINK_NOFOLLOW, STATX_MNT_ID, &st) < 0)
		return -errno;
	if (!(st.stx_mask & STATX_MNT_ID))
		return -EOPNOTSUPP;
	r = read_options(st.stx_mnt_id, shown);
	while (r >= 0 && *options) {
		size_t length = strcspn(options, "\n");
		bool is_layer = false;

		for (size_t i = 0; i < PL_ARRAY_LEN(layer_keys); i++)
			is_layer = is_layer || is_key(options, layer_keys[i]);
		if (length > 0 && !is_layer && !is_in_force(options, length, shown))
			r = -EOPNOTSUPP;
		options += length + (options[length] == '\n');
	}
	return r;
}

/* ---- mounting ---- */

static int mount_it(const struct overlay *o, const char *target)
{
	int mounted, r;

	if (fsconfig(o->fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	mounted = fsmount(o->fs, FSMOUNT_CLOEXEC, 0);
	if (mounted < 0)
		return -errno;
	r = move_mount(mounted, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH) < 0 ? -errno : 0;
	close(mounted);
	return r;
}

static int make(const char *target, const char *options, bool has_uuid_option)
{
	struct overlay o = {.fs = fsopen("overlay", FSOPEN_CLOEXEC), .layers = {-1, -1, -1}};
	int r;

	if (o.fs < 0)
		return -errno;
	if (has_uuid_option) /* W3 */
		(void)fsconfig(o.fs, FSCONFIG_SET_STRING, "uuid", "null", 0);
	r = set_options(&o, options);
	if (r >= 0)
		r = mount_it(&o, target);
	for (size_t i = 0; i < PL_ARRAY_LEN(layer_keys); i++)
		if (o.layers[i] >= 0)
			close(o.layers[i]);
	close(o.fs);
	return r;
}

int pl_view_overlay(const char *target, const char *options)
{
	int r = make(target, options, true);

	if (r == -EINVAL)
		r = make(target, options, false);
	return r < 0 ? r : check_options(target, options);
}
