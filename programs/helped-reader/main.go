// Healthy: a goroutine that has read-locked an RWMutex wants to write, and waits for itself; but another one
// leads it out each time, by giving its read lock back for it and taking it again when it has written.
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

var (
	mu      sync.RWMutex
	waiting atomic.Bool
	written atomic.Int64
	again   = make(chan struct{})
)

func upgrade() {
	for {
		mu.RLock()
		waiting.Store(true)
		mu.Lock()
		written.Add(1)
		mu.Unlock()
		<-again
		mu.RUnlock()
	}
}

func help() {
	for {
		time.Sleep(20 * time.Millisecond)
		if !waiting.Swap(false) {
			continue
		}
		time.Sleep(300 * time.Millisecond)
		mu.RUnlock()
		mu.RLock()
		again <- struct{}{}
	}
}

func main() {
	go upgrade()
	go help()
	time.Sleep(100 * time.Millisecond)
	fmt.Println("READY")
	for range time.Tick(time.Second) {
		fmt.Println(written.Load())
	}
}
