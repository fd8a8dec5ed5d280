// Heavy contention in one order, nested, with sleeps under the lock, hand-over of a locked mutex to
// another goroutine, TryLock loops, and unlocks on paths not taken.
//
// expect: healthy
// matrix: all
package main

import (
	"fmt"
	"math/rand"
	"sync"
	"time"
)

var (
	locks [4]sync.Mutex
	rw    sync.RWMutex
	hand  sync.Mutex
)

func nested(from int) {
	if from == len(locks) {
		return
	}
	locks[from].Lock()
	defer locks[from].Unlock()
	if rand.Intn(50) == 0 {
		time.Sleep(time.Millisecond)
	}
	nested(from + 1)
}

func handOver(pass chan struct{}) {
	for {
		hand.Lock()
		pass <- struct{}{}
	}
}

func takeOver(pass chan struct{}) {
	for range pass {
		time.Sleep(100 * time.Microsecond)
		hand.Unlock()
	}
}

func try() {
	for {
		if locks[3].TryLock() {
			locks[3].Unlock()
		}
		time.Sleep(50 * time.Microsecond)
	}
}

func sometimes(flag bool) {
	rw.RLock()
	if flag {
		rw.RUnlock()
		time.Sleep(10 * time.Microsecond)
		return
	}
	time.Sleep(20 * time.Microsecond)
	rw.RUnlock()
	rw.Lock()
	rw.Unlock()
}

func main() {
	for i := 0; i < 16; i++ {
		go func() {
			for {
				nested(rand.Intn(3))
			}
		}()
	}
	pass := make(chan struct{})
	for i := 0; i < 3; i++ {
		go handOver(pass)
	}
	go takeOver(pass)
	go try()
	for i := 0; i < 8; i++ {
		go func() {
			for {
				sometimes(rand.Intn(2) == 0)
			}
		}()
	}
	fmt.Println("READY")
	time.Sleep(time.Hour)
}
