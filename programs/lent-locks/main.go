// Healthy: leases that end by a timer. Whoever has lent its lock waits until it has got it back, or until
// a child has taken it in its place. The timer's function finds the lock in a sync.Map, as a Locker or as a
// function: its code does not say which lock it gives back.
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

const ends = 3 * time.Second

var (
	leases   sync.Map
	progress atomic.Int64
)

func byLocker(name string, mu *sync.Mutex) {
	leases.Store(name, mu)
	time.AfterFunc(ends, func() {
		lock, _ := leases.Load(name)
		lock.(sync.Locker).Unlock()
	})
}

func byFunction(name string, mu *sync.Mutex) {
	leases.Store(name, mu.Unlock)
	time.AfterFunc(ends, func() {
		release, _ := leases.Load(name)
		release.(func())()
	})
}

func again(name string, lend func(string, *sync.Mutex)) {
	mu := new(sync.Mutex)
	for {
		mu.Lock()
		lend(name, mu)
		mu.Lock()
		progress.Add(1)
		mu.Unlock()
		taken := make(chan int)
		go func() {
			mu.Lock()
			close(taken)
		}()
		<-taken
		mu.Unlock()
	}
}

func byChild(name string, lend func(string, *sync.Mutex)) {
	mu := new(sync.Mutex)
	for {
		func() {
			mu.Lock()
			defer mu.Unlock()
			lend(name, mu)
			var child sync.WaitGroup
			child.Add(1)
			go func() {
				defer child.Done()
				mu.Lock()
				progress.Add(1)
			}()
			child.Wait()
		}()
	}
}

func main() {
	go again("a", byLocker)
	go again("b", byFunction)
	go byChild("c", byLocker)
	go byChild("d", byFunction)
	fmt.Println("READY")
	for {
		time.Sleep(time.Second)
		println("progress", progress.Load())
	}
}
