// A goroutine computes with a mutex held, and ten wait for it: it has to be seen while it runs.
// Nothing is proven, since it may unlock at any moment.
//
// expect: healthy
package main

import (
	"fmt"
	"sync"
	"time"
)

var (
	mu  sync.Mutex
	sum uint64
)

//go:noinline
func burn(x uint64) uint64 {
	for i := 0; i < 1<<20; i++ {
		x = x*6364136223846793005 + 1442695040888963407
		x ^= x >> 29
	}
	return x
}

func compute(started chan<- struct{}) {
	mu.Lock()
	defer mu.Unlock()
	close(started)
	for end := time.Now().Add(90 * time.Second); time.Now().Before(end); {
		sum = burn(sum)
	}
}

func main() {
	started := make(chan struct{})
	go compute(started)
	<-started
	for i := 0; i < 10; i++ {
		go func() {
			mu.Lock()
			defer mu.Unlock()
			sum++
		}()
	}
	time.AfterFunc(100*time.Second, func() { panic("over") })
	time.Sleep(100 * time.Millisecond)
	fmt.Println("READY")
	time.Sleep(time.Hour)
}
