// Healthy: each worker has its lock unlocked by a goroutine that it starts while it waits for the other
// lock, and locked again by another one afterwards. That is no cycle, although each has taken its lock
// and unlocks it later: what a goroutine has started since may have given back what it took.
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

var m1, m2 sync.Mutex

var covers = map[string]sync.Locker{"a": &m1, "b": &m2}

func take(done chan int) {
	m1.Lock()
	m2.Lock()
	done <- 1
}

func cover() {
	for {
		done := make(chan int)
		go take(done)
		<-done
		time.Sleep(2 * time.Second)
		for _, l := range covers {
			l.Unlock()
		}
		time.Sleep(30 * time.Millisecond)
	}
}

func give_0() {
	var wg sync.WaitGroup
	wg.Add(1)
	go func() {
		m1.Unlock()
		wg.Done()
	}()
	wg.Wait()
}

func take_0() {
	var wg sync.WaitGroup
	wg.Add(1)
	go func() {
		m1.Lock()
		wg.Done()
	}()
	wg.Wait()
}

func give_1() {
	var wg sync.WaitGroup
	wg.Add(1)
	go func() {
		m2.Unlock()
		wg.Done()
	}()
	wg.Wait()
}

func take_1() {
	var wg sync.WaitGroup
	wg.Add(1)
	go func() {
		m2.Lock()
		wg.Done()
	}()
	wg.Wait()
}

func work_0() {
	m1.Lock()
	give_0()
	nap()
	m2.Lock()
	step()
	m2.Unlock()
	take_0()
	m1.Unlock()
}

func work_1() {
	m2.Lock()
	give_1()
	nap()
	m1.Lock()
	step()
	m1.Unlock()
	take_1()
	m2.Unlock()
}

func main() {
	fmt.Println("READY")
	go cover()
	go func() {
		for {
			work_0()
		}
	}()
	for {
		work_1()
	}
}

var progress atomic.Int64

func step() { progress.Add(1) }

func init() {
	go func() {
		for {
			time.Sleep(time.Second)
			println("progress", progress.Load())
		}
	}()
}

func nap() { time.Sleep(20 * time.Millisecond) }
