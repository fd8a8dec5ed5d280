// One goroutine has leaked; main still has a stale copy of its pointer in a dead slot of its stack, and
// wakes up every 5 ms, so that it runs in the middle of every walk.
//
// expect: proven unreachable goroutines=1 in=main.(*cache).run
// matrix: all
package main

import (
	"fmt"
	"time"
)

type cache struct{ load chan int }

func (c *cache) run() { c.load <- 1 }

func main() {
	go (&cache{make(chan int)}).run()
	fmt.Println("READY")
	for range time.Tick(5 * time.Millisecond) {
	}
}
