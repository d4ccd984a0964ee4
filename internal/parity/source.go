package main

// This file defines cache: what is unpacked, built and compiled outside of the tree.

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"
)

const (
	sourcePackage = "linux-source-6.12"
	sourceArchive = "/usr/src/" + sourcePackage + ".tar.xz"
	kernelTypes   = "/sys/kernel/btf/vmlinux"
	hidPrograms   = "drivers/hid/bpf/progs"
	hidPrefix     = "hid/" // of the names of tests made of them
)

// cache is the folder that everything is kept in.
//
//	src/            of the package: tools, include, scripts, kernel/bpf
//	build/          bpftool, libbpf and veristat, built from src
//	RELEASE/inc     vmlinux.h of the running kernel, libbpf's headers
//	RELEASE/objects NAME.bpf.o, and NAME.bpf.o.err with the compiler's words
//	RELEASE/verdict the kernel's, by hash of the object
type cache struct {
	dir, release string
	version      string // of the package
}

func openCache() (*cache, error) {
	base, err := os.UserCacheDir() // $XDG_CACHE_HOME
	if err != nil {
		return nil, err
	}
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return nil, fmt.Errorf("uname: %w", err)
	}
	c := &cache{dir: filepath.Join(base, "gtrace-parity"), release: unix.ByteSliceToString(u.Release[:])}
	for _, d := range []string{"build", c.release + "/inc/bpf", c.release + "/inc/hid", c.release + "/objects/hid", c.release + "/verdict"} {
		if err := os.MkdirAll(filepath.Join(c.dir, d), 0o755); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (c *cache) src(path string) string    { return filepath.Join(c.dir, "src", path) }
func (c *cache) build(path string) string  { return filepath.Join(c.dir, "build", path) }
func (c *cache) kernel(path string) string { return filepath.Join(c.dir, c.release, path) }
func (c *cache) selftests() string         { return c.src("tools/testing/selftests/bpf") }

// run runs a tool and keeps what it says for the error.
func run(ctx context.Context, dir, name string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.Bytes(), fmt.Errorf("%s: %w: %s", filepath.Base(name), err, strings.TrimSpace(tail(stderr.String(), 2000)))
	}
	return stdout.Bytes(), nil
}

// once makes file by a command that writes it, unless it is there.
func once(file string, make func(tmp string) error) error {
	if _, err := os.Stat(file); err == nil {
		return nil
	}
	tmp := fmt.Sprintf("%s.%d.tmp", file, os.Getpid()) // others may be at it, too
	if err := make(tmp); err != nil {
		return err
	}
	return os.Rename(tmp, file)
}

// prepare brings the cache to where objects can be compiled.
func (c *cache) prepare(ctx context.Context) error {
	for _, step := range []func(context.Context) error{c.unpack, c.unpackHID, c.stamp, c.tools, c.headers} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (c *cache) unpack(ctx context.Context) error {
	if _, err := os.Stat(c.selftests()); err == nil {
		return nil
	}
	if _, err := os.Stat(sourceArchive); errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%s is not there: apt-get install %s clang-19 llvm-19 gcc make python3 libelf-dev zlib1g-dev", sourceArchive, sourcePackage)
	}
	return once(c.src(""), func(tmp string) error {
		return extract(ctx, tmp, "tools", "include", "scripts", "kernel/bpf")
	})
}

// unpackHID gets the HID programs, which are in another place.
func (c *cache) unpackHID(ctx context.Context) error {
	return once(c.src(hidPrograms), func(tmp string) error {
		if err := extract(ctx, tmp+".all", hidPrograms); err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Dir(tmp), 0o755); err != nil {
			return err
		}
		return os.Rename(filepath.Join(tmp+".all", hidPrograms), tmp)
	})
}

// extract unpacks folders of the package.
func extract(ctx context.Context, to string, folders ...string) error {
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	args := []string{"-xJf", sourceArchive, "-C", to, "--strip-components=1"}
	for _, d := range folders {
		args = append(args, sourcePackage+"/"+d)
	}
	_, err := run(ctx, "", "tar", args...)
	return err
}

// stamp keeps the package's version beside what was made from it.
func (c *cache) stamp(ctx context.Context) error {
	out, err := run(ctx, "", "dpkg-query", "-W", "-f", "${Version}", sourcePackage)
	if err != nil {
		return err
	}
	file := filepath.Join(c.dir, "package")
	if err := once(file, func(tmp string) error { return os.WriteFile(tmp, out, 0o644) }); err != nil {
		return err
	}
	made, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if c.version = string(made); !bytes.Equal(made, out) {
		return fmt.Errorf("%s was made from %s %s, but %s is installed: remove it to measure with that", c.dir, sourcePackage, made, out)
	}
	return nil
}

//go:embed veristat.h
var veristatHeader []byte

// veristatName changes with the header, so that an old cache gets a new veristat.
var veristatName = fmt.Sprintf("veristat-%x", sha256.Sum256(veristatHeader))[:17]

// tools builds bpftool (with libbpf) and veristat.
func (c *cache) tools(ctx context.Context) error {
	boot := c.build("bpftool/bootstrap")
	if _, err := os.Stat(boot + "/bpftool"); err != nil {
		if err := os.MkdirAll(c.build("bpftool"), 0o755); err != nil {
			return err
		}
		_, err := run(ctx, c.src("tools/bpf/bpftool"), "make", "-s", "OUTPUT="+c.build("bpftool")+"/",
			"HOSTCC=gcc", "CLANG=clang-19", "LLVM_STRIP=llvm-strip-19", "LLVM_CONFIG=false", "bootstrap")
		if err != nil {
			return err
		}
	}
	return once(c.build(veristatName), func(tmp string) error {
		header := c.build(veristatName + ".h")
		if err := os.WriteFile(header, veristatHeader, 0o644); err != nil {
			return err
		}
		_, err := run(ctx, "", "gcc", "-O2", "-static", "-I"+c.src("tools/include/uapi"), "-I"+c.src("tools/include"),
			"-I"+c.selftests(), "-I"+boot+"/libbpf/include", "-include", header, c.selftests()+"/veristat.c",
			boot+"/libbpf/libbpf.a", "-lelf", "-lz", "-o", tmp)
		return err
	})
}

// typesHeader writes a kernel's types as C.
func (c *cache) typesHeader(ctx context.Context, types, file string) error {
	return once(file, func(tmp string) error {
		out, err := run(ctx, "", c.build("bpftool/bootstrap/bpftool"), "btf", "dump", "file", types, "format", "c")
		if err != nil {
			return err
		}
		return os.WriteFile(tmp, out, 0o644)
	})
}

// hidTypes writes the kernel's types with those of HID programs, which it may
// lack (CONFIG_HID_BPF), from the package's header.
func (c *cache) hidTypes() error {
	return once(c.kernel("inc/hid/vmlinux.h"), func(tmp string) error {
		have, err := os.ReadFile(c.kernel("inc/vmlinux.h"))
		if err != nil {
			return err
		}
		header, err := os.ReadFile(c.src("include/linux/hid_bpf.h"))
		if err != nil {
			return err
		}
		out := "#pragma once\n#include \"../vmlinux.h\"\n#pragma clang attribute push (__attribute__((preserve_access_index)), apply_to = record)\n"
		for _, name := range []string{"struct hid_bpf_ctx {", "struct hid_bpf_ops {"} {
			_, from, ok := strings.Cut(string(header), "\n"+name)
			body, _, ends := strings.Cut(from, "\n};")
			if ok && ends && !bytes.Contains(have, []byte("\n"+name)) {
				out += name + body + "\n};\n"
			}
		}
		return os.WriteFile(tmp, []byte(out+"#pragma clang attribute pop\n"), 0o644)
	})
}

func (c *cache) headers(ctx context.Context) error {
	if err := c.typesHeader(ctx, kernelTypes, c.kernel("inc/vmlinux.h")); err != nil {
		return err
	}
	if err := c.hidTypes(); err != nil {
		return err
	}
	headers, err := filepath.Glob(c.src("tools/lib/bpf/*.h"))
	if err != nil {
		return err
	}
	for _, h := range headers {
		data, err := os.ReadFile(h)
		if err != nil {
			return err
		}
		if err := os.WriteFile(c.kernel("inc/bpf/"+filepath.Base(h)), data, 0o644); err != nil {
			return err
		}
	}
	return once(c.kernel("inc/bpf/bpf_helper_defs.h"), func(tmp string) error {
		out, err := run(ctx, "", "python3", c.src("scripts/bpf_doc.py"), "--header", "--file", c.src("include/uapi/linux/bpf.h"))
		if err != nil {
			return err
		}
		return os.WriteFile(tmp, out, 0o644)
	})
}

// renamed are fields that newer kernels call otherwise than the selftests do,
// by test; given as macros where the first attempts fail, as they are used in a header.
var renamed = map[string]string{
	"profiler1": "parent=__parent",
	"profiler2": "parent=__parent",
	"profiler3": "parent=__parent",
}

// edited are the same where a macro would rename too much: old and new text by turns.
var edited = map[string][]string{
	"bpf_iter_tcp4":       {"icsk->icsk_timeout", "icsk->icsk_retransmit_timer.expires", "icsk->icsk_keepalive_timer", "icsk->icsk_inet.sk.sk_timer"},
	"bpf_iter_tcp6":       {"icsk->icsk_timeout", "icsk->icsk_retransmit_timer.expires", "icsk->icsk_keepalive_timer", "icsk->icsk_inet.sk.sk_timer"},
	"btf_type_tag_percpu": {"cgrp->rstat_cpu", "cgrp->self.rstat_cpu", "struct cgroup_rstat_cpu", "struct css_rstat_cpu"},
	"find_vma":            {"->d_iname", "->d_shortname.string"},
}

// compile makes an object of a test as the selftests' Makefile does. It is
// tried again without the kfunc prototypes of vmlinux.h, which clash with some
// tests' own, and then with a renamed field.
func (c *cache) compile(ctx context.Context, test string) error {
	object := c.kernel("objects/" + test + ".bpf.o")
	return once(object, func(tmp string) error {
		source, folder := "progs/"+test+".c", c.selftests()
		if name, ok := strings.CutPrefix(test, hidPrefix); ok {
			source, folder = name+".bpf.c", c.src(hidPrograms)
		}
		extra := [][]string{nil, {"-DBPF_NO_KFUNC_PROTOTYPES"}}
		if macro := renamed[test]; macro != "" {
			extra = append(extra, []string{"-D" + macro}, []string{"-DBPF_NO_KFUNC_PROTOTYPES", "-D" + macro})
		}
		if e := edited[test]; e != nil {
			copied, err := c.edit(source, e)
			if err != nil {
				return err
			}
			source, extra = copied, append(extra, []string{"-Iprogs"})
		}
		var first error
		for _, e := range extra {
			args := append(c.flags(test), append(e, "-c", source, "-o", tmp)...)
			_, err := run(ctx, folder, "clang-19", args...)
			if err == nil {
				return weaken(ctx, tmp)
			}
			if first == nil {
				first = err
			}
		}
		if err := os.WriteFile(object+".err", []byte(first.Error()), 0o644); err != nil {
			return err
		}
		return first
	})
}

// weaken makes the kernel functions that an object names weak: one that the
// kernel lacks is then a matter of the programs that call it, not of the file.
func weaken(ctx context.Context, object string) error {
	spec, err := rawTypes(object)
	if err != nil {
		return nil // no types, so no kernel functions
	}
	var args []string
	for t, err := range spec.All() {
		if err != nil {
			return err
		}
		if f, ok := t.(*btf.Func); ok && f.Linkage == btf.ExternFunc {
			args = append(args, "--weaken-symbol="+f.Name)
		}
	}
	if len(args) == 0 {
		return nil
	}
	_, err = run(ctx, "", "llvm-objcopy-19", append(args, object)...)
	return err
}

// edit writes a changed copy of a source into the cache.
func (c *cache) edit(source string, oldnew []string) (string, error) {
	text, err := os.ReadFile(filepath.Join(c.selftests(), source))
	if err != nil {
		return "", err
	}
	copied := c.kernel("objects/" + filepath.Base(source))
	head := fmt.Sprintf("# 1 %q\n", source)
	return copied, os.WriteFile(copied, []byte(head+strings.NewReplacer(oldnew...).Replace(string(text))), 0o644)
}

func (c *cache) flags(test string) []string {
	arch := map[string]string{"amd64": "x86", "arm64": "arm64", "riscv64": "riscv", "s390x": "s390"}[runtime.GOARCH]
	f := []string{"-g", "-O2", "--target=bpf", "-mcpu=v3", "-mlittle-endian", "-Wno-everything", "-D__TARGET_ARCH_" + arch,
		"-I" + c.kernel("inc"), "-I" + c.selftests(), "-I" + c.src("tools/include/uapi"), "-DENABLE_ATOMICS_TESTS"}
	if strings.HasPrefix(test, hidPrefix) {
		f = append([]string{"-I" + c.kernel("inc/hid")}, f...)
	}
	for _, d := range systemIncludes() {
		f = append(f, "-idirafter", d)
	}
	if test == "test_l4lb_noinline" || test == "test_xdp_noinline" {
		f = append(f, "-fno-inline")
	}
	return f
}

func systemIncludes() []string {
	list := []string{"/usr/lib/llvm-19/lib/clang/19/include", "/usr/local/include"}
	multi, _ := filepath.Glob("/usr/include/*-linux-gnu")
	return append(append(list, multi...), "/usr/include")
}

// tests lists the selftests and HID programs whose names match the pattern.
func (c *cache) tests(only string) ([]string, error) {
	var names []string
	for _, place := range []struct{ prefix, folder, suffix string }{
		{"", c.selftests() + "/progs", ".c"},
		{hidPrefix, c.src(hidPrograms), ".bpf.c"},
	} {
		files, err := filepath.Glob(place.folder + "/*" + place.suffix)
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			names = append(names, place.prefix+strings.TrimSuffix(filepath.Base(f), place.suffix))
		}
	}
	var list []string
	for _, name := range names {
		ok, err := filepath.Match(only, name)
		if err != nil {
			return nil, fmt.Errorf("-only %q: %w", only, err)
		}
		if ok || only == "*" {
			list = append(list, name)
		}
	}
	slices.Sort(list)
	return list, nil
}

const compileLimit = time.Minute

// firstError is the first error that a compiler names.
func firstError(s string) string {
	for line := range strings.Lines(s) {
		if strings.Contains(line, "error:") {
			return strings.TrimSpace(line)
		}
	}
	return oneLine(s)
}
