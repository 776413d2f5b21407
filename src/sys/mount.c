/*
 * What mounts and namespaces can be had here, asked by trying, in a process and namespaces of their own.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sys/init.h"
#include "sys/seam.h"

int pl_may_mount(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {{0}};

	if (syscall(SYS_capget, &header, data) < 0)
		return 0;
	return (data[CAP_SYS_ADMIN / 32].effective >> (CAP_SYS_ADMIN % 32)) & 1;
}

/* Runs `step` (NULL: nothing) in new namespaces. 0 or a negative errno; *ret_stage: 0 the namespaces, 1 the ids and
 * mounts as such, 2 the step. */
static int try(bool with_user_namespace, const struct pl_view_step *step, int *ret_stage)
{
	unsigned flags = CLONE_NEWNS | (with_user_namespace ? CLONE_NEWUSER : 0);
	uid_t uid = geteuid();
	gid_t gid = getegid();
	int said[2], result[2] = {0, -EIO}, status;
	pid_t pid;

	*ret_stage = 0;
	if (pipe2(said, O_CLOEXEC) < 0)
		return -errno;
	pid = pl_clone(flags);
	if (pid == 0) {
		result[0] = 1;
		result[1] = with_user_namespace ? pl_view_map_ids(uid, gid) : 0;
		if (result[1] >= 0)
			result[1] = pl_view_detach();
		if (result[1] >= 0 && step) {
			result[0] = 2;
			result[1] = pl_view_do(step);
		}
		(void)!write(said[1], result, sizeof(result));
		_exit(0);
	}
	result[1] = pid < 0 ? -errno : -EIO;
	close(said[1]);
	if (pid > 0) {
		(void)!pl_read_full(said[0], result, sizeof(result));
		while (waitpid(pid, &status, __WALL) < 0 && errno == EINTR)
			;
	}
	close(said[0]);
	*ret_stage = result[0];
	return result[1];
}

/* The number in a file of /proc/sys; `otherwise` where there is no such file. */
static int sysctl_value(const char *path, int otherwise)
{
	PL_BUFFER b = {0};
	uint64_t value;

	if (pl_read_file(AT_FDCWD, path, 4096, &b) < 0 || b.length == 0)
		return otherwise;
	pl_buffer_truncate(&b, b.length - 1); /* the end of the line */
	return pl_parse_u64(pl_buffer_string(&b), 1u << 30, &value) < 0 ? otherwise : (int)value;
}

int pl_user_namespace_probe(const char **ret_why)
{
	int stage, r;

	*ret_why = "user namespaces are switched off";
	if (!pl_seam_has(PL_CAP_USERNS))
		return 0;
	r = try(true, NULL, &stage);
	if (r >= 0)
		return 1;
	if (sysctl_value("/proc/sys/kernel/unprivileged_userns_clone", 1) == 0)
		*ret_why = "the sysctl kernel.unprivileged_userns_clone is 0";
	else if (sysctl_value("/proc/sys/user/max_user_namespaces", 1) == 0)
		*ret_why = "the sysctl user.max_user_namespaces is 0";
	else if (sysctl_value("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", 0) != 0)
		*ret_why = "the sysctl kernel.apparmor_restrict_unprivileged_userns is not 0";
	else if (r == -ENOSPC || r == -EUSERS)
		*ret_why = "there are too many user namespaces (sysctl user.max_user_namespaces)";
	else if (stage == 0)
		*ret_why = "this system does not let this user make namespaces";
	else
		*ret_why = "this system does not let this user make mounts in a namespace";
	return 0;
}

/* Layers in the scratch directory, made and removed again. */
static int make_layers(int scratch_fd)
{
	static const char *const names[] = {"upper", "work", "merged"};
	int r = 0;

	for (size_t i = 0; r >= 0 && i < PL_ARRAY_LEN(names); i++)
		r = pl_mkdir(scratch_fd, names[i], 0700);
	return r;
}

static void remove_layers(int scratch_fd)
{
	(void)pl_erase(scratch_fd, "upper", NULL);
	(void)pl_erase(scratch_fd, "work", NULL);
	(void)pl_erase(scratch_fd, "merged", NULL);
}

static const char *why_not(int r)
{
	switch (r) {
	case -ENODEV:
		return "this kernel has no overlayfs";
	case -EOPNOTSUPP:
		return "an overlay on this file system or of this user lacks what is needed";
	case -EINVAL:
		return "the file system of the store cannot be the upper layer of an overlay";
	default:
		return "an overlay cannot be mounted over this file system";
	}
}

int pl_overlay_probe(int lower_fd, int scratch_fd, bool with_user_namespace, const char *options,
		     const char **ret_why)
{
	PL_BUFFER data = {0}, target = {0}, lower = {0}, scratch = {0};
	struct pl_view_step step = {.what = PL_VIEW_OVERLAY};
	int stage = 0, r;

	*ret_why = "overlays are switched off";
	if (!pl_seam_has(PL_CAP_OVERLAY))
		return 0;
	if (!with_user_namespace && !pl_may_mount()) {
		*ret_why = "only root may mount it";
		return 0;
	}
	if (with_user_namespace && pl_user_namespace_probe(ret_why) == 0)
		return 0;
	/* By path: a descriptor of here leads to a mount of here, and that cannot be a layer there. */
	r = pl_real_path(lower_fd, &lower);
	if (r >= 0)
		r = pl_real_path(scratch_fd, &scratch);
	if (r >= 0)
		r = make_layers(scratch_fd);
	if (r >= 0) {
		pl_buffer_add_format(&data, "lowerdir=%s\n", pl_buffer_string(&lower));
		pl_buffer_add_format(&data, "upperdir=%s/upper\n", pl_buffer_string(&scratch));
		pl_buffer_add_format(&data, "workdir=%s/work\n%s", pl_buffer_string(&scratch),
				     options);
		pl_buffer_add_format(&target, "%s/merged", pl_buffer_string(&scratch));
	}
	step.data = pl_buffer_string(&data);
	step.target = pl_buffer_string(&target);
	if (r >= 0 && !(step.data && step.target))
		r = -ENOMEM;
	if (r >= 0) {
		r = try(with_user_namespace, &step, &stage);
		remove_layers(scratch_fd);
		if (r < 0 && stage == 2) {
			*ret_why = why_not(r);
			return 0;
		}
		if (r < 0 && stage < 2) {
			*ret_why = "this system does not let this user make mounts";
			return 0;
		}
	}
	return r < 0 ? r : 1;
}
