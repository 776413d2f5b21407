/*
 * seam.c - where faults are injected. The only state of the library that is not behind a handle,
 * and all zero unless a test has armed it.
 *
 * Any thread may pass the seam at any time; each field is an atomic of its own. Arming while other
 * threads pass it is safe but blurs which of their calls still count.
 */
#include <stdatomic.h>
#include <unistd.h>

#include "sys/seam.h"

static struct {
	atomic_bool armed;
	atomic_uint_least64_t exit_at, fail_at;
	atomic_bool fail_on;
	atomic_int fail_errno;
	atomic_uint_least32_t calls;
	_Atomic(void (*)(uint64_t number, enum pl_call call, void *userdata)) stop;
	_Atomic(void *) userdata;
	atomic_uint_least64_t count, count_of[PL_CALL_N];
	atomic_uint_least32_t disabled;	 /* bits of enum pl_capability */
	atomic_uint_least32_t unguarded; /* bits of enum pl_guard */
} seam;

void pl_seam_arm(const struct pl_seam_plan *plan)
{
	atomic_store(&seam.armed, false);
	if (!plan) /* what was counted can still be read */
		return;
	pl_assert(plan->fail_errno >= 0);
	pl_assert(plan->fail_at == 0 || plan->fail_errno > 0);
	atomic_store(&seam.exit_at, plan->exit_at);
	atomic_store(&seam.fail_at, plan->fail_at);
	atomic_store(&seam.fail_on, plan->fail_on);
	atomic_store(&seam.fail_errno, plan->fail_errno);
	atomic_store(&seam.calls, plan->calls);
	atomic_store(&seam.stop, plan->stop);
	atomic_store(&seam.userdata, plan->userdata);
	atomic_store(&seam.count, 0);
	for (size_t i = 0; i < PL_CALL_N; i++)
		atomic_store(&seam.count_of[i], 0);
	atomic_store(&seam.armed, true);
}

uint64_t pl_seam_count(void)
{
	return atomic_load(&seam.count);
}

uint64_t pl_seam_count_of(enum pl_call call)
{
	pl_assert(call < PL_CALL_N);
	return atomic_load(&seam.count_of[call]);
}

void pl_seam_disable(uint32_t capabilities)
{
	atomic_store(&seam.disabled, capabilities);
}

bool pl_seam_has(enum pl_capability capability)
{
	return !(atomic_load_explicit(&seam.disabled, memory_order_relaxed) & (uint32_t)capability);
}

void pl_seam_unguard(uint32_t guards)
{
	atomic_store(&seam.unguarded, guards);
}

bool pl_seam_guards(enum pl_guard guard)
{
	return !(atomic_load_explicit(&seam.unguarded, memory_order_relaxed) & (uint32_t)guard);
}

void pl_seam_point(enum pl_point point)
{
	void (*stop)(uint64_t number, enum pl_call call, void *userdata);

	if (!atomic_load(&seam.armed))
		return;
	stop = atomic_load(&seam.stop);
	if (stop)
		stop(0, (enum pl_call)(PL_CALL_N + point), atomic_load(&seam.userdata));
}

static int pass_armed(enum pl_call call)
{
	uint32_t calls = atomic_load(&seam.calls);
	void (*stop)(uint64_t number, enum pl_call call, void *userdata);
	uint64_t number, fail_at;

	atomic_fetch_add(&seam.count_of[call], 1);
	if (calls != 0 && !(calls & (UINT32_C(1) << call)))
		return 0;
	number = atomic_fetch_add(&seam.count, 1) + 1;
	stop = atomic_load(&seam.stop);
	if (stop)
		stop(number, call, atomic_load(&seam.userdata));
	if (number == atomic_load(&seam.exit_at))
		_exit(99);
	fail_at = atomic_load(&seam.fail_at);
	if (fail_at != 0 && (number == fail_at || (number > fail_at && atomic_load(&seam.fail_on))))
		return -atomic_load(&seam.fail_errno);
	return 0;
}

int pl_seam(enum pl_call call)
{
	pl_assert(call < PL_CALL_N);
	if (!atomic_load_explicit(&seam.armed, memory_order_relaxed))
		return 0;
	/* Loaded again, to see the whole plan and not only that there is one. */
	return atomic_load_explicit(&seam.armed, memory_order_acquire) ? pass_armed(call) : 0;
}

int pl_seam_pass(enum pl_call call)
{
	int r;

	for (int i = 0; i < PL_SEAM_INTERRUPTIONS; i++) {
		r = pl_seam(call);
		if (r != -EINTR)
			return r;
	}
	return -EINTR;
}
