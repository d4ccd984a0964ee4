package object

import (
	"cmp"
	"maps"
	"slices"
)

// sortedKeys makes the order of what is written from a map deterministic.
func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
