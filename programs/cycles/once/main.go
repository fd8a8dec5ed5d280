// Cycles through sync.OnceFunc, OnceValue and OnceValues.
//
// expect: proven * goroutines=1 in=main.itself
// expect: proven lock-cycle goroutines=2 in=main.eachOther
// expect: proven lock-cycle goroutines=2 in=main.valueAndLock
// expect: proven queued goroutines=3 in=main.behind
// go: >=1.21
// matrix: all
package main

import (
	"fmt"
	"sync"
	"time"
)

// In Go 1.24 to 1.26 the holder is not certain (OnceFunc calls a function found in memory), and the
// proof is that nobody else can reach the lock.
//
//go:noinline
func itself() {
	var setUp func()
	setUp = sync.OnceFunc(func() { setUp() })
	go func() { setUp() }()
}

//go:noinline
func eachOther() {
	var a, b func() int
	var both sync.WaitGroup
	both.Add(2)
	a = sync.OnceValue(func() int {
		both.Done()
		both.Wait()
		return b() + 1
	})
	b = sync.OnceValue(func() int {
		both.Done()
		both.Wait()
		return a() + 1
	})
	go func() { a() }()
	go func() { b() }()
}

var (
	mu      sync.Mutex
	address func() (string, error)
)

//go:noinline
func valueAndLock() {
	var both sync.WaitGroup
	both.Add(2)
	address = sync.OnceValues(func() (string, error) {
		both.Done()
		both.Wait()
		mu.Lock()
		defer mu.Unlock()
		return "here", nil
	})
	go func() { _, _ = address() }()
	go func() {
		mu.Lock()
		defer mu.Unlock()
		both.Done()
		both.Wait()
		_, _ = address()
	}()
}

//go:noinline
func behind() {
	_, _ = address()
}

func main() {
	itself()
	eachOther()
	valueAndLock()
	time.Sleep(200 * time.Millisecond)
	for i := 0; i < 3; i++ {
		go behind()
	}
	time.Sleep(200 * time.Millisecond)
	fmt.Println("READY")
	time.Sleep(time.Hour)
}
