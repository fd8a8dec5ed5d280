// A goroutine that was to take a lock over waits for its message for ever: the lock was never its own.
// Whoever waits for the lock waits for the one that computes under it, and whose stack cannot be read.
//
// expect: proven unreachable goroutines=1 in=main.unlockWhenDone
package main

import (
	"fmt"
	"sync"
	"time"
)

var mu sync.Mutex

//go:noinline
func unlockWhenDone(done chan struct{}) {
	<-done
	mu.Unlock()
}

// start takes the quick way out: it unlocks by itself, and says nothing to its helper.
func start() {
	mu.Lock()
	go unlockWhenDone(make(chan struct{}))
	mu.Unlock()
}

var sum int

func compute() {
	for {
		mu.Lock()
		for begun := time.Now(); time.Since(begun) < 5*time.Second; {
			for i := 0; i < 100_000; i++ {
				sum += i
			}
		}
		mu.Unlock()
		time.Sleep(time.Millisecond)
	}
}

func queue() {
	for {
		mu.Lock()
		mu.Unlock()
		time.Sleep(time.Millisecond)
	}
}

func main() {
	start()
	go compute()
	for i := 0; i < 3; i++ {
		go queue()
	}
	time.Sleep(100 * time.Millisecond)
	fmt.Println("READY")
	time.Sleep(time.Hour)
}
