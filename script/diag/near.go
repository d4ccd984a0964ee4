package diag

import "strings"

// Nearest returns the candidate that name was probably meant to be, "" when
// none is near enough.
func Nearest(name string, candidates []string) string {
	limit := max(len(name)/3, 1)
	if len(name) <= 2 {
		limit = 1
	}
	best, dist := "", limit+1
	for _, c := range candidates {
		if c == name || c == "" || len(c) > len(name)+limit || len(name) > len(c)+limit {
			continue
		}
		if d := distance(strings.ToLower(name), strings.ToLower(c), limit); d < dist {
			best, dist = c, d
		}
	}
	if len(name) == 1 && len(best) != 1 {
		return ""
	}
	return best
}

// DidYouMean is the hint for Nearest, "" without one.
func DidYouMean(name string, candidates []string) string {
	if n := Nearest(name, candidates); n != "" {
		return "did you mean `" + n + "`?"
	}
	return ""
}

// distance counts insertions, deletions, substitutions and swaps of
// neighbours that turn a into b; more than limit is not counted exactly.
func distance(a, b string, limit int) int {
	if len(a) > 128 || len(b) > 128 {
		return limit + 1
	}
	var rows [3][130]int
	prev2, prev, cur := rows[0][:], rows[1][:], rows[2][:]
	for j := 0; j <= len(b); j++ {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], prev2[j-2]+1)
			}
		}
		prev2, prev, cur = prev, cur, prev2
	}
	return prev[len(b)]
}
