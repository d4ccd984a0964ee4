// Programs that are rejected, one for each class of mistake that is explained.
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef int s32;
typedef unsigned long long u64;
typedef long long s64;

#define SEC(n) __attribute__((section(n), used))
#define __uint(name, val) int (*name)[val]
#define __type(name, val) typeof(val) *name

static void *(*bpf_map_lookup_elem)(void *, const void *) = (void *)1;
static long (*bpf_map_update_elem)(void *, const void *, const void *, u64) = (void *)2;
static long (*bpf_probe_read_kernel)(void *, u32, const void *) = (void *)113;
static void *(*bpf_ringbuf_reserve)(void *, u64, u64) = (void *)131;
static void (*bpf_ringbuf_submit)(void *, u64) = (void *)132;
static long (*bpf_skb_load_bytes)(const void *, u32, void *, u32) = (void *)26;
static long (*bpf_spin_lock)(void *) = (void *)93;
static u64 (*bpf_ktime_get_ns)(void) = (void *)5;

char LICENSE[] SEC("license") = "GPL";

struct key { u8 kind; u32 id; };
struct counter { u64 n; u64 slots[8]; };
struct bpf_spin_lock { u32 val; };
struct locked { struct bpf_spin_lock lock; u32 n; };
struct event { u64 when; };

struct { __uint(type, 1); __uint(max_entries, 64); __type(key, struct key); __type(value, struct counter); } counters SEC(".maps");
struct { __uint(type, 2); __uint(max_entries, 1); __type(key, u32); __type(value, struct locked); } locks SEC(".maps");
struct { __uint(type, 27); __uint(max_entries, 4096); } events SEC(".maps");

struct __sk_buff { u32 len, pkt_type, mark, queue_mapping, protocol, vlan_present, vlan_tci, vlan_proto, priority, ingress_ifindex, ifindex, tc_index, cb[5], hash, tc_classid, data, data_end; };

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct task_struct___none { int no_such_member; };
#pragma clang attribute pop

SEC("raw_tp/sched_switch") int null_not_tested(u64 *ctx)
{
	struct key key = {};
	struct counter *c = bpf_map_lookup_elem(&counters, &key);
	c->n++;
	return 0;
}

SEC("raw_tp/sched_switch") int number_as_pointer(u64 *ctx)
{
	u64 *task = (u64 *)ctx[1];
	return task[2] != 0;
}

SEC("tc") int packet_bounds(struct __sk_buff *skb)
{
	u8 *data = (u8 *)(u64)skb->data, *end = (u8 *)(u64)skb->data_end;
	if (data + 12 > end)
		return 0;
	return *(u16 *)(data + 12);
}

SEC("raw_tp/sched_switch") int index_checked_in_32_bits(u64 *ctx)
{
	struct key key = {};
	struct counter *c = bpf_map_lookup_elem(&counters, &key);
	u64 i = ctx[0];
	if (!c)
		return 0;
	u32 low;
	asm volatile("%0 = %1" : "=r"(low) : "r"((u32)i));
	if (low > 7)
		return 0;
	return c->slots[i];
}

SEC("raw_tp/sched_switch") int negative_size(u64 *ctx)
{
	char buf[16];
	int n = ctx[0];
	if (n > 16)
		return 0;
	bpf_probe_read_kernel(buf, n, (void *)ctx[1]);
	return 0;
}

SEC("socket") int uninitialised_key(struct __sk_buff *skb)
{
	struct key key;
	key.kind = 1;
	key.id = 2;
	return bpf_map_lookup_elem(&counters, &key) != 0;
}

SEC("raw_tp/sched_switch") int unreadable_register(u64 *ctx)
{
	u64 v;
	asm volatile("r3 = 1; call 5; %0 = r3" : "=r"(v) : : "r0", "r1", "r2", "r3", "r4", "r5");
	return v;
}

SEC("raw_tp/sched_switch") int leaked_reference(u64 *ctx)
{
	struct event *e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e)
		return 0;
	e->when = bpf_ktime_get_ns();
	if (ctx[0] == 5)
		return 0;
	bpf_ringbuf_submit(e, 0);
	return 0;
}

SEC("raw_tp/sched_switch") int wrong_argument(u64 *ctx)
{
	u64 when = bpf_ktime_get_ns();
	bpf_ringbuf_submit((void *)when, 0);
	return 0;
}

SEC("socket") int context_field(struct __sk_buff *skb)
{
	return skb->data;
}

SEC("raw_tp/sched_switch") int forbidden_helper(u64 *ctx)
{
	char b[4];
	return bpf_skb_load_bytes(ctx, 0, b, 4);
}

SEC("raw_tp/sched_switch") int too_complex(u64 *ctx)
{
	u64 sum = 0;
	for (u64 i = 0; i < ctx[0]; i++) {
		asm volatile("" : "+r"(i));
		sum += i;
	}
	return sum != 0;
}

SEC("cgroup_skb/ingress") int return_range(struct __sk_buff *skb)
{
	return skb->len;
}

SEC("tc") int lock_held(struct __sk_buff *skb)
{
	u32 zero = 0;
	struct locked *l = bpf_map_lookup_elem(&locks, &zero);
	if (!l)
		return 0;
	bpf_spin_lock(&l->lock);
	l->n++;
	return 0;
}

SEC("tp_btf/sched_switch") int missing_member(u64 *ctx)
{
	struct task_struct___none *t = (void *)ctx[1];
	return t->no_such_member;
}
