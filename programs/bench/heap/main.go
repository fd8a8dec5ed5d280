// heap SIZE-MIB GOROUTINES: a live heap of trees, maps, slices and strings of about that size,
// that many goroutines waiting on channels of it, a few leaked ones, and one that counts without
// ever waiting, whose longest time between two turns is the pause that the program felt.
// /meter tells and resets; /debug/pprof/goroutineleak is the runtime's own search for leaks.
package main

import (
	"fmt"
	"net"
	"net/http"
	_ "net/http/pprof"
	"os"
	"runtime"
	"strconv"
	"sync/atomic"
	"time"
)

type node struct {
	left, right *node
	key         uint64
	name        string
	values      []any
}

func tree(depth int, key uint64) *node {
	n := &node{key: key, name: strconv.FormatUint(key, 36)}
	if depth > 0 {
		n.left, n.right = tree(depth-1, 2*key), tree(depth-1, 2*key+1)
	} else {
		n.values = []any{key, n.name, &n.key}
	}
	return n
}

var (
	trees  []*node
	tables []map[uint64]*node
	texts  [][]byte
	waits  []chan int
)

func fill(bytes uint64) {
	var now runtime.MemStats
	for i := uint64(0); ; i++ {
		runtime.ReadMemStats(&now)
		if now.HeapAlloc >= bytes {
			return
		}
		trees = append(trees, tree(12, i<<20|1))
		table := map[uint64]*node{}
		for k := uint64(0); k < 5000; k++ {
			table[k] = trees[len(trees)-1]
		}
		tables = append(tables, table)
		texts = append(texts, make([]byte, 128<<10))
	}
}

//go:noinline
func leak() {
	ch := make(chan int)
	go func() { ch <- 1 }()
}

func main() {
	mebibytes, _ := strconv.ParseUint(os.Args[1], 10, 64)
	goroutines, _ := strconv.Atoi(os.Args[2])
	for i := 0; i < goroutines; i++ {
		ch := make(chan int)
		waits = append(waits, ch)
		go func() { <-ch }()
	}
	fill(mebibytes << 20)
	for i := 0; i < 100; i++ {
		leak()
	}
	var operations, longest atomic.Uint64
	go func() {
		last := time.Now()
		for {
			now := time.Now()
			if gap := uint64(now.Sub(last)); gap > longest.Load() {
				longest.Store(gap)
			}
			last = now
			operations.Add(1)
		}
	}()
	http.HandleFunc("/meter", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"operations":%d,"longest_gap_ns":%d}`, operations.Swap(0), longest.Swap(0))
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	runtime.GC()
	fmt.Println("READY", listener.Addr())
	go func() { time.Sleep(10 * time.Minute); os.Exit(0) }()
	panic(http.Serve(listener, nil))
}
