// Package bench measures gtrace as a user meets it: whole processes, beside
// what the user would run instead. `make bench` prints the figures; nothing
// here asserts one.
package bench
