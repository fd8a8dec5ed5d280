// A batcher receives what its timer sent in its select, and drains the timer once more where Stop says
// that it has fired: nothing is left to drain, whatever the version of Go, and Reset comes behind it.
// Only its Close waits with it; nothing holds a lock. By its loop it looks like a worker without work.
//
// expect: suspected stuck-wait goroutines=1 in=main.(*batcher).run
// matrix: all
package main

import (
	"fmt"
	"time"
)

type batcher struct {
	in    chan int
	timer *time.Timer
	batch []int
}

func (b *batcher) run() {
	fired := false
	for {
		select {
		case <-b.timer.C:
			fired = true
			b.batch = b.batch[:0]
		case item := <-b.in:
			b.batch = append(b.batch, item)
			if !b.timer.Stop() && fired {
				<-b.timer.C
			}
			fired = false
			b.timer.Reset(20 * time.Millisecond)
		}
	}
}

var b = &batcher{in: make(chan int), timer: time.NewTimer(20 * time.Millisecond)}

func main() {
	go b.run()
	time.Sleep(100 * time.Millisecond)
	b.in <- 1
	time.Sleep(100 * time.Millisecond)
	fmt.Println("READY")
	for range time.Tick(50 * time.Millisecond) {
	}
}
