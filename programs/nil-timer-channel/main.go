// A timer of time.AfterFunc has no channel: draining it waits on nil, here with a lock held that
// others want. One cause, told first, with its queue inside.
//
// expect: proven nil-channel goroutines=1 in=main.(*heartbeat).beat
// expect: proven queued goroutines=3 in=main.(*heartbeat).count
package main

import (
	"fmt"
	"sync"
	"time"
)

type heartbeat struct {
	mu    sync.RWMutex
	timer *time.Timer
	beats int
}

func (h *heartbeat) beat() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.timer.Stop() {
		<-h.timer.C
	}
	h.beats++
}

func (h *heartbeat) count() int {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.beats
}

func main() {
	h := &heartbeat{timer: time.AfterFunc(time.Millisecond, func() {})}
	time.Sleep(50 * time.Millisecond)
	go h.beat()
	time.Sleep(50 * time.Millisecond)
	for i := 0; i < 3; i++ {
		go h.count()
	}
	time.Sleep(100 * time.Millisecond)
	fmt.Println("READY")
	for range time.Tick(100 * time.Millisecond) {
		_ = h
	}
}
