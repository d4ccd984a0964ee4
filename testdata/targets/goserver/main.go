// Goserver handles a number of requests and prints one line at the end:
// something written in Go to look into.
//
//	goserver [-w] [REQUESTS [GOROUTINES]]
package main

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
)

// Request is what is handled.
type Request struct {
	ID     int
	Path   string
	Client *Client // nil for every tenth
}

// Client sends requests.
type Client struct {
	Name string
	Port uint16
}

var client = &Client{Name: "gopher", Port: 8080}

//go:noinline
func handle(req *Request, n int) int {
	if req.Client == nil {
		return n
	}
	return n + len(req.Path) + int(req.Client.Port)
}

func main() {
	args := os.Args[1:]
	wait := len(args) > 0 && args[0] == "-w"
	if wait {
		args = args[1:]
	}
	counts := [2]int{100, 2}
	for i := range min(len(args), len(counts)) {
		n, err := strconv.Atoi(args[i])
		if err != nil || n < 1 {
			fmt.Fprintf(os.Stderr, "goserver: %q is no count\n", args[i])
			os.Exit(2)
		}
		counts[i] = n
	}
	if wait {
		fmt.Println("ready", os.Getpid())
		_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
	}
	var sum atomic.Int64
	var group sync.WaitGroup
	for g := range counts[1] {
		group.Go(func() {
			for i := g; i < counts[0]; i += counts[1] {
				req := &Request{ID: i, Path: "/go", Client: client}
				if i%10 == 3 {
					req.Client = nil
				}
				sum.Add(int64(handle(req, i)))
			}
		})
	}
	group.Wait()
	fmt.Printf("%d requests, checksum %d\n", counts[0], sum.Load())
}
