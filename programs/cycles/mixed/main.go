// Cycles through more than locks: Once, WaitGroup, channels, condition variables; and queues behind.
//
// expect: proven lock-cycle goroutines=4 in=main.waitGroupUnderLock
// expect: proven lock-cycle goroutines=3 in=main.doneAfterLock
// expect: proven self-deadlock goroutines=1 in=main.onceInItself
// expect: proven lock-cycle goroutines=2 in=main.twoOnces
// expect: proven lock-cycle goroutines=2 in=main.onceAndLock
// expect: proven lock-cycle goroutines=2 in=main.behindFifty
// expect: proven queued goroutines=50 in=main.behind
// expect: proven * goroutines=2 in=main.lockAndChannel
// expect: proven * goroutines=2 in=main.unbufferedUnderLock
// expect: proven * goroutines=4 in=main.lockChannelWaitGroup
// expect: proven * goroutines=2 in=main.condAndLock
// expect: proven * goroutines=4 in=main.semaphore
// matrix: all
package main

import (
	"fmt"
	"sync"
	"time"
)

// meeting lets its goroutines go on once all have come.
type meeting struct{ sync.WaitGroup }

func meet(n int) *meeting {
	m := &meeting{}
	m.Add(n)
	return m
}

func (m *meeting) here() {
	m.Done()
	m.Wait()
}

var jobs struct {
	mu   sync.Mutex
	done int
}

// The workers need the lock under which they are waited for.
//
//go:noinline
func waitGroupUnderLock() {
	work := func(wg *sync.WaitGroup) {
		defer wg.Done()
		jobs.mu.Lock()
		defer jobs.mu.Unlock()
		jobs.done++
	}
	go func() {
		jobs.mu.Lock()
		defer jobs.mu.Unlock()
		var wg sync.WaitGroup
		wg.Add(3)
		for i := 0; i < 3; i++ {
			go work(&wg)
		}
		wg.Wait()
	}()
}

//go:noinline
func doneAfterLock() {
	var mu sync.RWMutex
	wg := &sync.WaitGroup{}
	wg.Add(2)
	mu.Lock()
	for i := 0; i < 2; i++ {
		go func() {
			mu.RLock()
			mu.RUnlock()
			wg.Done()
		}()
	}
	go func() {
		wg.Wait()
		mu.Unlock()
	}()
}

//go:noinline
func onceInItself() {
	var once sync.Once
	var initialise func()
	initialise = func() { once.Do(initialise) }
	go once.Do(initialise)
}

//go:noinline
func twoOnces() {
	var a, b sync.Once
	both := meet(2)
	go a.Do(func() {
		both.here()
		b.Do(func() {})
	})
	go b.Do(func() {
		both.here()
		a.Do(func() {})
	})
}

var (
	config     sync.Mutex
	loadConfig sync.Once
)

//go:noinline
func onceAndLock() {
	both := meet(2)
	go loadConfig.Do(func() {
		both.here()
		config.Lock()
		config.Unlock()
	})
	go func() {
		config.Lock()
		defer config.Unlock()
		both.here()
		loadConfig.Do(func() {})
	}()
}

//go:noinline
func behindFifty() {
	var a, b sync.Mutex
	both := meet(2)
	cross := func(mine, other *sync.Mutex) {
		mine.Lock()
		defer mine.Unlock()
		both.here()
		other.Lock()
		defer other.Unlock()
	}
	go cross(&a, &b)
	go cross(&b, &a)
	time.Sleep(100 * time.Millisecond)
	for i := 0; i < 50; i++ {
		go behind(&a)
	}
}

//go:noinline
func behind(mu *sync.Mutex) {
	mu.Lock()
	mu.Unlock()
}

// One waits, under the lock, for a result that the other can send only with the lock.
//
//go:noinline
func lockAndChannel() {
	mu := &sync.Mutex{}
	results := make(chan int)
	asked := make(chan bool)
	go func() {
		mu.Lock()
		defer mu.Unlock()
		asked <- true
		<-results
	}()
	go func() {
		<-asked
		mu.Lock()
		defer mu.Unlock()
		results <- 1
	}()
}

//go:noinline
func unbufferedUnderLock() {
	mu := &sync.Mutex{}
	events := make(chan int)
	go func() {
		mu.Lock()
		events <- 1
		events <- 2
		mu.Unlock()
	}()
	go func() {
		for range events {
			mu.Lock()
			mu.Unlock()
		}
	}()
}

// The collector holds the lock and waits for the workers; they wait for it to take their results.
//
//go:noinline
func lockChannelWaitGroup() {
	mu := &sync.Mutex{}
	results := make(chan int)
	wg := &sync.WaitGroup{}
	wg.Add(2)
	for i := 0; i < 2; i++ {
		go func() {
			defer wg.Done()
			results <- 1
		}()
	}
	begun := make(chan bool)
	go func() {
		mu.Lock()
		defer mu.Unlock()
		close(begun)
		wg.Wait()
	}()
	go func() {
		<-begun
		mu.Lock()
		defer mu.Unlock()
		for range results {
		}
	}()
}

// Whoever would signal the condition needs the lock that the waiter keeps.
//
//go:noinline
func condAndLock() {
	outer := &sync.Mutex{}
	inner := sync.NewCond(&sync.Mutex{})
	ready := make(chan bool)
	go func() {
		outer.Lock()
		defer outer.Unlock()
		inner.L.Lock()
		close(ready)
		inner.Wait()
		inner.L.Unlock()
	}()
	go func() {
		<-ready
		outer.Lock()
		inner.Signal()
		outer.Unlock()
	}()
}

// All places are taken by goroutines that wait for the lock; its holder waits for a place.
//
//go:noinline
func semaphore() {
	mu := &sync.Mutex{}
	places := make(chan bool, 3)
	full := meet(4)
	for i := 0; i < 3; i++ {
		go func() {
			places <- true
			defer func() { <-places }()
			full.here()
			mu.Lock()
			defer mu.Unlock()
		}()
	}
	go func() {
		mu.Lock()
		defer mu.Unlock()
		full.here()
		places <- true
		defer func() { <-places }()
	}()
}

func main() {
	waitGroupUnderLock()
	doneAfterLock()
	onceInItself()
	twoOnces()
	onceAndLock()
	behindFifty()
	lockAndChannel()
	unbufferedUnderLock()
	lockChannelWaitGroup()
	condAndLock()
	semaphore()
	time.Sleep(300 * time.Millisecond)
	fmt.Println("READY")
	time.Sleep(time.Hour)
}
