// Healthy: readers that go on with what TryRLock has told them, with the lock or without it. A writer
// waits behind them, and gets it once those who have it are through.
//
// expect: healthy
// matrix: all
package main

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

type table struct {
	mu    sync.RWMutex
	other sync.Mutex
	rows  []int
	stale atomic.Int64
}

// peek has the read lock, or has not, when it waits for the other one.
func (t *table) peek() {
	has := t.mu.TryRLock()
	if !has {
		t.stale.Add(1)
	}
	t.other.Lock()
	time.Sleep(time.Millisecond)
	t.other.Unlock()
	if has {
		t.mu.RUnlock()
	}
}

// probe never keeps it.
func (t *table) probe() {
	for t.mu.TryRLock() {
		t.mu.RUnlock()
		time.Sleep(time.Millisecond)
	}
	t.mu.RLock()
	time.Sleep(time.Millisecond)
	t.mu.RUnlock()
}

func (t *table) write() {
	t.other.Lock()
	time.Sleep(3 * time.Millisecond)
	t.other.Unlock()
	t.mu.Lock()
	t.rows = append(t.rows[:0], 1)
	time.Sleep(5 * time.Millisecond)
	t.mu.Unlock()
}

func forever(f func()) {
	for {
		f()
	}
}

func main() {
	t := &table{}
	for i := 0; i < 4; i++ {
		go forever(t.peek)
		go forever(t.probe)
	}
	go forever(t.write)
	time.Sleep(100 * time.Millisecond)
	fmt.Println("READY")
	for range time.Tick(time.Second) {
		fmt.Println(t.stale.Load())
	}
}
