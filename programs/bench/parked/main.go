// A process to look at: `parked N [meter|mutex]` parks N goroutines in a select, under stacks of eight
// depths, and with `meter` keeps one goroutine counting, so that whoever reads the process can be told
// what that cost it. With `mutex` all of them wait for one mutex instead, which main holds.
//
// GET /meter answers {"operations": N, "longest_gap_ns": N} since the last call.
package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	_ "net/http/pprof"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

var (
	operations atomic.Int64
	longestGap atomic.Int64
	stop       = make(chan struct{})
	jobs       = make(chan int)
	mutex      sync.Mutex
)

// count works without ever waiting; the longest time between two of its turns is the pause it saw.
func count() {
	last := time.Now()
	for {
		now := time.Now()
		if gap := int64(now.Sub(last)); gap > longestGap.Load() {
			longestGap.Store(gap)
		}
		last = now
		operations.Add(1)
	}
}

func wait(depth int) {
	if depth > 0 {
		wait(depth - 1)
		return
	}
	select {
	case <-stop:
	case <-jobs:
	}
}

func queue() {
	mutex.Lock()
	defer mutex.Unlock()
	operations.Add(1)
}

func parse(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	return n
}

func main() {
	mode := ""
	if len(os.Args) > 2 {
		mode = os.Args[2]
	}
	mutex.Lock()
	for i := range make([]struct{}, parse(os.Args[1])) {
		if mode == "mutex" {
			go queue()
		} else {
			go wait(i % 8)
		}
	}
	if mode == "meter" {
		go count()
	}
	http.HandleFunc("/meter", func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(map[string]int64{
			"operations":     operations.Swap(0),
			"longest_gap_ns": longestGap.Swap(0),
		})
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("READY", listener.Addr())
	http.Serve(listener, nil)
	mutex.Unlock()
}
