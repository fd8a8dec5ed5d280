// A WaitGroup is waited for under the lock that its workers need.
//
// expect: proven lock-cycle goroutines=4
package main

import (
	"fmt"
	"sync"
	"time"
)

var (
	mu sync.Mutex
	n  int
)

func worker(wg *sync.WaitGroup) {
	defer wg.Done()
	mu.Lock()
	n++
	mu.Unlock()
}

func coordinate() {
	var wg sync.WaitGroup
	mu.Lock()
	defer mu.Unlock()
	wg.Add(3)
	for i := 0; i < 3; i++ {
		go worker(&wg)
	}
	wg.Wait()
}

func main() {
	go coordinate()
	time.Sleep(200 * time.Millisecond)
	fmt.Println("READY")
	time.Sleep(time.Hour)
}
