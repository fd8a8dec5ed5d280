// Two goroutines in a deadlock would also use a WaitGroup: Add, then Done. They owe it nothing; what it
// waits for are timers.
//
// expect: proven lock-cycle goroutines=2 in=main.deadlocked
package main

import (
	"fmt"
	"sync"
	"time"
)

var (
	first, second sync.Mutex
	met, jobs     sync.WaitGroup
	done          int
)

func deadlocked(mine, other *sync.Mutex) {
	mine.Lock()
	met.Done()
	met.Wait()
	other.Lock()
	jobs.Add(1)
	work()
	jobs.Done()
	other.Unlock()
	mine.Unlock()
}

//go:noinline
func work() { done++ }

func waitForTimers() {
	for {
		jobs.Add(2)
		time.AfterFunc(5*time.Second, jobs.Done)
		time.AfterFunc(5*time.Second, func() { jobs.Done() })
		jobs.Wait()
	}
}

func main() {
	met.Add(2)
	go deadlocked(&first, &second)
	go deadlocked(&second, &first)
	go waitForTimers()
	time.Sleep(100 * time.Millisecond)
	fmt.Println("READY")
	time.Sleep(time.Hour)
}
