// Healthy: a goroutine takes two locks through one atomic.Pointer, which leads to the other lock by the time
// that it waits for that. It has never had the lock that it waits for: a timer gives that back.
//
// expect: healthy
// go: >=1.19
// matrix: all
package main

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

var (
	byName  sync.Map
	current atomic.Pointer[sync.Mutex]
)

func giveBack() {
	lock, _ := byName.Load("second")
	lock.(sync.Locker).Unlock()
}

func both(first, second *sync.Mutex) {
	current.Store(first)
	current.Load().Lock()
	current.Store(second)
	current.Load().Lock()
	current.Load().Unlock()
	current.Store(first)
	current.Load().Unlock()
}

func main() {
	first, second := new(sync.Mutex), new(sync.Mutex)
	byName.Store("second", second)
	fmt.Println("READY")
	for round := 1; ; round++ {
		second.Lock()
		time.AfterFunc(3*time.Second, giveBack)
		both(first, second)
		println("progress", round)
	}
}
