/*
 * Put in front of veristat.c, so that a program is loaded as its test means it.
 * The environment says how:
 *
 *	PARITY_FLAGS         "NAME=FLAGS NAME=FLAGS": load flags of programs
 *	PARITY_BTF           file of the types that CO-RE relocations look in
 *	PARITY_UNPRIVILEGED  drop every capability first; maps that then cannot be made are left out
 */
#define _GNU_SOURCE
#include <linux/bpf.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <bpf/libbpf.h>

static int parity_for_all(enum bpf_map_type type)
{
	switch (type) {
	case BPF_MAP_TYPE_HASH:
	case BPF_MAP_TYPE_PERCPU_HASH:
	case BPF_MAP_TYPE_HASH_OF_MAPS:
	case BPF_MAP_TYPE_ARRAY:
	case BPF_MAP_TYPE_PERCPU_ARRAY:
	case BPF_MAP_TYPE_ARRAY_OF_MAPS:
	case BPF_MAP_TYPE_PROG_ARRAY:
	case BPF_MAP_TYPE_PERF_EVENT_ARRAY:
	case BPF_MAP_TYPE_CGROUP_ARRAY:
	case BPF_MAP_TYPE_CGROUP_STORAGE:
	case BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE:
	case BPF_MAP_TYPE_RINGBUF:
	case BPF_MAP_TYPE_USER_RINGBUF:
		return 1;
	default:
		return 0;
	}
}

static void parity_maps(struct bpf_object *obj, int unprivileged, int struct_ops)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, obj) {
		enum bpf_map_type type = bpf_map__type(map);

		/* veristat gives them one entry, which the kernel refuses */
		if (type == BPF_MAP_TYPE_CGRP_STORAGE || type == BPF_MAP_TYPE_CGROUP_STORAGE ||
		    type == BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE)
			bpf_map__set_max_entries(map, 0);
		if (unprivileged && !parity_for_all(type))
			bpf_map__set_autocreate(map, 0);
		/* of no use to other programs, and the kernel may lack the type */
		if (type == BPF_MAP_TYPE_STRUCT_OPS && !struct_ops)
			bpf_map__set_autocreate(map, 0);
	}
}

static void parity_flags(struct bpf_program *prog, const char *flags)
{
	size_t n = strlen(bpf_program__name(prog));

	for (; flags && *flags; flags = strchr(flags, ' ')) {
		flags += *flags == ' ';
		if (!strncmp(flags, bpf_program__name(prog), n) && flags[n] == '=')
			bpf_program__set_flags(prog, bpf_program__flags(prog) | strtoul(flags + n + 1, NULL, 0));
	}
}

static int parity_load(struct bpf_object *obj)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = {};
	int unprivileged = getenv("PARITY_UNPRIVILEGED") != NULL, struct_ops = 0;
	struct bpf_program *prog;

	if (unprivileged && syscall(SYS_capset, &head, none)) {
		perror("capset");
		exit(1);
	}
	bpf_object__for_each_program(prog, obj) {
		if (!bpf_program__autoload(prog))
			continue;
		parity_flags(prog, getenv("PARITY_FLAGS"));
		struct_ops |= bpf_program__type(prog) == BPF_PROG_TYPE_STRUCT_OPS;
	}
	parity_maps(obj, unprivileged, struct_ops);
	return bpf_object__load(obj);
}

static struct bpf_object *parity_open(const char *path, const struct bpf_object_open_opts *opts)
{
	struct bpf_object_open_opts o = *opts;

	o.btf_custom_path = getenv("PARITY_BTF");
	return bpf_object__open_file(path, &o);
}

#define bpf_object__load parity_load
#define bpf_object__open_file parity_open
