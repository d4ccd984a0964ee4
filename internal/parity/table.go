package main

// This file prints: the table, the lists, the CSV.

import (
	"cmp"
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// group is a line of the table.
type group struct {
	name string
	sums
}

// groups sums rows up by name, in alphabetical order.
func groups(rows []row, name func(*row) string) []group {
	at := map[string]*group{}
	var list []*group
	for i := range rows {
		n := name(&rows[i])
		g := at[n]
		if g == nil {
			g = &group{name: n}
			at[n] = g
			list = append(list, g)
		}
		g.add(&rows[i])
	}
	slices.SortFunc(list, func(a, b *group) int { return cmp.Compare(a.name, b.name) })
	out := make([]group, len(list))
	for i, g := range list {
		out[i] = *g
	}
	return out
}

// table prints a line a group.
func table(w io.Writer, title string, list []group) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "agree\t%%\twe reject\twe accept\tunsupported\terror\tleft out\tinsns×\ttime×\t  %s\n", title)
	for _, g := range list {
		fmt.Fprintf(t, "%d\t%.0f\t%d\t%d\t%d\t%d\t%d\t%.2f\t%.2f\t  %s\n", g.Agree, share(g.Agree, g.judged()), g.FalseReject,
			g.FalseAccept, g.Unsupported, g.Failed, g.LeftOut, ratio(g.Insns, g.KernelInsns), ratio(g.US, g.KernelUS), g.name)
	}
	t.Flush()
	fmt.Fprintln(w)
}

// frequent prints what was said most often.
func frequent(w io.Writer, title string, list []count, most int) {
	if len(list) == 0 {
		return
	}
	total := 0
	for _, c := range list {
		total += c.N
	}
	fmt.Fprintf(w, "%s: %d, of %d kinds\n", title, total, len(list))
	for _, c := range list[:min(most, len(list))] {
		fmt.Fprintf(w, "%6d  %s  (%s)\n", c.N, c.What, c.Example)
	}
	fmt.Fprintln(w)
}

// scopes prints what goals are set for.
func scopes(w io.Writer, rows []row) {
	list := groups(rows, func(r *row) string { _, s := familyOf(r.Test); return string(s) })
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "agree\t%\twe reject\twe accept\tunsupported\terror\tleft out\tinsns×\ttime×\tp50\tp90\tas stated: kernel\tgtrace\tof\t  scope")
	for _, g := range list {
		fmt.Fprintf(t, "%d\t%.1f\t%d\t%d\t%d\t%d\t%d\t%.2f\t%.2f\t%.2f\t%.2f\t%d\t%d\t%d\t  %s\n", g.Agree, share(g.Agree, g.judged()), g.FalseReject,
			g.FalseAccept, g.Unsupported, g.Failed, g.LeftOut, ratio(g.Insns, g.KernelInsns), ratio(g.US, g.KernelUS),
			quantile(g.Times, 0.5), quantile(g.Times, 0.9), g.KernelAsStated, g.OursAsStated, g.Stated, g.name)
	}
	t.Flush()
	fmt.Fprintln(w)
}

// report prints everything that a reader wants at once.
func report(w io.Writer, rows []row) {
	table(w, "test", groups(rows, func(r *row) string { return r.Test }))
	table(w, "family", groups(rows, func(r *row) string { n, _ := familyOf(r.Test); return n }))
	scopes(w, rows)
	of := func(outcome string, say func(*row) string) []count {
		return tally(rows, func(r *row) string {
			if r.outcome() != outcome {
				return ""
			}
			return say(r)
		})
	}
	const most = 25
	frequent(w, "Left out, as this host cannot load them", of(leftOut, func(r *row) string { return r.Kernel.Reason }), most)
	frequent(w, "Unsupported", of(unsupported, func(r *row) string { return fold(r.Ours.Message) }), most)
	frequent(w, "We reject, the kernel accepts", of(falseReject, func(r *row) string { return r.Ours.Code + ": " + fold(r.Ours.Message) }), most)
	frequent(w, "Errors", of(failed, func(r *row) string { return fold(r.Ours.Message) }), most)
	frequent(w, "Panics (also where the kernel has no verdict)", tally(rows, func(r *row) string {
		if !r.Ours.Panic {
			return ""
		}
		return r.Ours.Message
	}), most)
	all := group{name: "all"}
	for i := range rows {
		all.add(&rows[i])
	}
	table(w, "programs", []group{all})
	fmt.Fprintf(w, "%d programs, %d with a verdict of the kernel: %.1f%% agree; %d panics\n", all.Programs, all.judged(), share(all.Agree, all.judged()), all.Panics)
	fmt.Fprintf(w, "processed where both accept: %d instructions to the kernel's %d (%.2f×) in %.2f s to %.2f s (%.2f×; by program: median %.2f×, 90%% within %.2f×)\n",
		all.Insns, all.KernelInsns, ratio(all.Insns, all.KernelInsns), float64(all.US)/1e6, float64(all.KernelUS)/1e6, ratio(all.US, all.KernelUS),
		quantile(all.Times, 0.5), quantile(all.Times, 0.9))
	rejected, explained, older, olderRejected := 0, 0, 0, 0
	for i := range rows {
		if rows[i].Ours.Verdict == reject {
			rejected++
		}
		if rows[i].Ours.Explained {
			explained++
		}
		if rows[i].Ours.Older {
			older++
			if rows[i].Kernel.Verdict == reject {
				olderRejected++
			}
		}
	}
	fmt.Fprintf(w, "%d rejections, %d of them explained by more than a message and with the source line\n", rejected, explained)
	if older > 0 {
		fmt.Fprintf(w, "%d of the unsupported need what the target is too old for; of these the kernel rejects %d (no agreement is counted)\n", older, olderRejected)
	}
	fmt.Fprintf(w, "tests state a verdict on %d of them: the kernel agrees on %d (%.1f%%), gtrace on %d (%.1f%%)\n",
		all.Stated, all.KernelAsStated, share(all.KernelAsStated, all.Stated), all.OursAsStated, share(all.OursAsStated, all.Stated))
	reasons(w, rows)
	fmt.Fprintf(w, "\nWe accept, the kernel rejects: %d (must be none)\n", all.FalseAccept)
	list(w, rows, "accept")
}

// reasons prints how our codes compare with the kernel's messages.
func reasons(w io.Writer, rows []row) {
	n := map[string]int{}
	for i := range rows {
		n[rows[i].codes()]++
	}
	both := n[sameCode] + n[otherCode] + n[noClass]
	fmt.Fprintf(w, "our code is of the class of the kernel's message in %d of %d rejections by both (%.1f%%); %d messages are not in the table\n",
		n[sameCode], both, share(n[sameCode], both), n[noClass])
	frequent(w, "Other codes", tally(rows, func(r *row) string {
		if r.codes() != otherCode {
			return ""
		}
		return r.Ours.Code + " for: " + folded(r.Kernel.Message)
	}), 25)
}

// list names the programs of an outcome, or of a comparison of codes, with both sides' words.
func list(w io.Writer, rows []row, what string) {
	for i := range rows {
		r := &rows[i]
		switch {
		case outcomes[what] != "" && r.outcome() == outcomes[what]:
			fmt.Fprintf(w, "%s/%s: kernel: %s %s | gtrace: %s %s\n", r.Test, r.Program, r.Kernel.Verdict, r.Kernel.Message, r.Ours.Verdict, r.Ours.Message)
		case codeLists[what] != "" && r.codes() == codeLists[what]:
			fmt.Fprintf(w, "%s/%s: %s, expected %s | kernel: %s | gtrace: %s\n", r.Test, r.Program, r.Ours.Code,
				strings.Join(codesOf(r.Kernel.Message), " or "), r.Kernel.Message, r.Ours.Message)
		}
	}
}

// writeCSV writes a line a program.
func writeCSV(w io.Writer, rows []row) error {
	c := csv.NewWriter(w)
	c.Write([]string{"test", "program", "family", "outcome", "kernel", "reason", "kernel_message", "kernel_insns", "kernel_us",
		"gtrace", "code", "message", "insns", "us", "build_us", "kernel_codes", "codes", "scope", "stated"})
	for i := range rows {
		r := &rows[i]
		family, scope := familyOf(r.Test)
		c.Write([]string{r.Test, r.Program, family, r.outcome(), r.Kernel.Verdict, r.Kernel.Reason, r.Kernel.Message,
			strconv.Itoa(r.Kernel.Insns), strconv.Itoa(r.Kernel.TimeUS), r.Ours.Verdict, r.Ours.Code, r.Ours.Message,
			strconv.Itoa(r.Ours.Insns), strconv.Itoa(r.Ours.TimeUS), strconv.Itoa(r.Ours.BuildUS),
			strings.Join(codesOf(r.Kernel.Message), " "), r.codes(), string(scope), r.Stated.Verdict})
	}
	c.Flush()
	return c.Error()
}
