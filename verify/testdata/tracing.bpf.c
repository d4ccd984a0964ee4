// Small tracing programs, one per thing that clang's output needs of the verifier.
typedef unsigned char u8;
typedef unsigned int u32;
typedef int s32;
typedef unsigned long long u64;

#define SEC(n) __attribute__((section(n), used))
#define __uint(name, val) int (*name)[val]
#define __type(name, val) typeof(val) *name
#define __ksym __attribute__((section(".ksyms")))

static void *(*bpf_map_lookup_elem)(void *, const void *) = (void *)1;
static long (*bpf_map_update_elem)(void *, const void *, const void *, u64) = (void *)2;
static u64 (*bpf_ktime_get_ns)(void) = (void *)5;
static u64 (*bpf_get_current_pid_tgid)(void) = (void *)14;
static long (*bpf_get_current_comm)(void *, u32) = (void *)16;
static long (*bpf_probe_read_user_str)(void *, u32, const void *) = (void *)114;
static long (*bpf_probe_read_kernel)(void *, u32, const void *) = (void *)113;
static void *(*bpf_ringbuf_reserve)(void *, u64, u64) = (void *)131;
static void (*bpf_ringbuf_submit)(void *, u64) = (void *)132;

char LICENSE[] SEC("license") = "GPL";

struct { __uint(type, 1); __uint(max_entries, 64); __type(key, u32); __type(value, u64); } counts SEC(".maps");
struct { __uint(type, 6); __uint(max_entries, 1); __type(key, u32); __type(value, u64[8]); } percpu SEC(".maps");
struct { __uint(type, 27); __uint(max_entries, 4096); } ring SEC(".maps");

const volatile u32 only = 0;
u64 total;

struct event { u64 when; u32 pid, len; char comm[16]; char text[64]; };

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct mm_struct { unsigned long total_vm; };
struct task_struct { int pid; int tgid; struct task_struct *real_parent; struct mm_struct *mm; char comm[16]; };
#pragma clang attribute pop

struct pt_regs { unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di; };

SEC("raw_tp/sched_switch") int count(u64 *ctx)
{
	u32 pid = bpf_get_current_pid_tgid();
	u64 one = 1, *v;

	if (only && pid != only)
		return 0;
	v = bpf_map_lookup_elem(&counts, &pid);
	if (v)
		__sync_fetch_and_add(v, 1);
	else
		bpf_map_update_elem(&counts, &pid, &one, 0);
	total++;
	return 0;
}

SEC("kprobe/do_unlinkat") int record(struct pt_regs *ctx)
{
	struct event *e = bpf_ringbuf_reserve(&ring, sizeof(*e), 0);
	long n;

	if (!e)
		return 0;
	e->when = bpf_ktime_get_ns();
	e->pid = bpf_get_current_pid_tgid() >> 32;
	bpf_get_current_comm(e->comm, sizeof(e->comm));
	n = bpf_probe_read_user_str(e->text, sizeof(e->text), (void *)ctx->si);
	e->len = n > 0 ? n : 0;
	bpf_ringbuf_submit(e, 0);
	return 0;
}

SEC("tp_btf/sched_process_exit") int chain(u64 *ctx)
{
	struct task_struct *t = (void *)ctx[0];
	u32 key = 0;
	u64 *v = bpf_map_lookup_elem(&percpu, &key);

	if (!v)
		return 0;
	v[0] += t->real_parent->real_parent->tgid;
	v[1] += t->mm->total_vm;
	for (int i = 0; i < 16; i++)
		v[2 + (i & 3)] += t->comm[i];
	return 0;
}

static __attribute__((noinline)) u32 bucket(u64 v)
{
	u32 b = 0;

	for (int i = 0; i < 64; i++) {
		if (!v)
			break;
		v >>= 1;
		b++;
	}
	return b;
}

SEC("raw_tp/sys_enter") int histogram(u64 *ctx)
{
	u32 key = 0, b = bucket(ctx[1]);
	u64 *v = bpf_map_lookup_elem(&percpu, &key);

	if (v)
		v[b & 7]++;
	return 0;
}

SEC("kprobe/vfs_read") int scan(struct pt_regs *ctx)
{
	char buf[64] = {};
	u32 n = ctx->dx & 63, sum = 0;

	bpf_probe_read_kernel(buf, n, (void *)ctx->si);
	for (u32 i = 0; i < n && i < sizeof(buf); i++) {
		if (buf[i] == '\n')
			sum |= 1;
		else if (buf[i] == '/')
			sum |= 2;
		else if (buf[i] > 'm')
			sum += 4;
	}
	total += sum;
	return 0;
}
