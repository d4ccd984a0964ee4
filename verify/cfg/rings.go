package cfg

import "github.com/gtrace-dev/gtrace/verify/fault"

// This file finds the strongly connected parts of each function (R. Tarjan,
// "Depth-First Search and Linear Graph Algorithms", 1972), without recursion.

type tarjan struct {
	g          *Graph
	index, low []int32 // 0: not seen
	count      int32
	rings      int32
	open       []int32 // seen, and not yet in a part
	isOpen     []bool
	path       []visit
}

type visit struct {
	insn int
	next int // of its successors
}

func rings(g *Graph, _ []Start, _ Rules) (int, fault.Fault) {
	n := len(g.Insns)
	order := make([]int32, 2*n)
	t := &tarjan{g: g, index: order[:n], low: order[n:], isOpen: make([]bool, n)}
	for f := range g.Funcs {
		t.from(g.Funcs[f].Start)
	}
	return 0, nil
}

// from numbers what can be reached from a function's start.
func (t *tarjan) from(start int) {
	if t.index[start] != 0 {
		return
	}
	t.push(start)
	for len(t.path) > 0 {
		v := &t.path[len(t.path)-1]
		succ, n := Succ(t.g.Insns, v.insn)
		if v.next < n {
			w := succ[v.next]
			v.next++
			switch {
			case t.index[w] == 0:
				t.push(w)
			case t.isOpen[w]:
				t.low[v.insn] = min(t.low[v.insn], t.index[w])
			}
			continue
		}
		i := v.insn
		t.path = t.path[:len(t.path)-1]
		if len(t.path) > 0 {
			up := t.path[len(t.path)-1].insn
			t.low[up] = min(t.low[up], t.low[i])
		}
		if t.low[i] == t.index[i] {
			t.close(i)
		}
	}
}

func (t *tarjan) push(i int) {
	t.count++
	t.index[i], t.low[i] = t.count, t.count
	t.open = append(t.open, int32(i))
	t.isOpen[i] = true
	t.path = append(t.path, visit{insn: i})
}

// close makes a part of what was seen since root. One instruction alone is a
// part only if it leads to itself.
func (t *tarjan) close(root int) {
	from := len(t.open) - 1
	for int(t.open[from]) != root {
		from--
	}
	part := t.open[from:]
	t.open = t.open[:from]
	for _, i := range part {
		t.isOpen[i] = false
	}
	if len(part) == 1 && !t.g.self(root) {
		return
	}
	t.rings++
	for _, i := range part {
		t.g.Ring[i] = t.rings
	}
}

// self reports whether instruction i may be followed by itself.
func (g *Graph) self(i int) bool {
	if g.Turn[i] == CallsBack {
		return true
	}
	succ, n := Succ(g.Insns, i)
	for _, j := range succ[:n] {
		if j == i {
			return true
		}
	}
	return false
}
