// Locks used in every legal way, some of them nasty: handed over while locked, used as signals,
// released on some paths only, taken by TryLock, swapped under their users, released by panics.
//
// expect: healthy
// matrix: all
package main

import (
	"fmt"
	"math/rand"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

func pause(most time.Duration) { time.Sleep(time.Duration(rand.Int63n(int64(most)))) }

// A locked mutex travels through a channel; whoever receives it unlocks it.
func handOver() {
	var mu sync.Mutex
	pass := make(chan *sync.Mutex)
	for i := 0; i < 3; i++ {
		go func() {
			for {
				mu.Lock()
				pass <- &mu
			}
		}()
	}
	go func() {
		for locked := range pass {
			pause(time.Millisecond)
			locked.Unlock()
		}
	}()
}

// Either released here or handed over to whoever finishes the work.
func sometimesHandedOver() {
	var mu sync.Mutex
	finish := make(chan bool)
	go func() {
		for {
			<-finish
			pause(time.Millisecond)
			mu.Unlock()
		}
	}()
	for i := 0; i < 4; i++ {
		go func() {
			for {
				mu.Lock()
				pause(200 * time.Microsecond)
				if rand.Intn(2) == 0 {
					mu.Unlock()
				} else {
					finish <- true
				}
			}
		}()
	}
}

// Two mutexes as binary semaphores: each side unlocks what the other locks.
func pingPong() {
	var ping, pong sync.Mutex
	pong.Lock()
	turn := func(mine, other *sync.Mutex) {
		for {
			mine.Lock()
			pause(300 * time.Microsecond)
			other.Unlock()
		}
	}
	go turn(&ping, &pong)
	go turn(&pong, &ping)
}

// A ring of mutexes as semaphores with one token: everybody but one waits, in a perfect circle.
func ring() {
	const size = 6
	var seats [size]sync.Mutex
	for i := 1; i < size; i++ {
		seats[i].Lock()
	}
	for i := 0; i < size; i++ {
		go func(i int) {
			for {
				seats[i].Lock()
				pause(200 * time.Microsecond)
				seats[(i+1)%size].Unlock()
			}
		}(i)
	}
}

// A ring whose token is sometimes kept by one who is no member of it.
func ringWithOutsider() {
	const size = 3
	var seats [size]sync.Mutex
	for i := 0; i < size; i++ {
		seats[i].Lock()
		go func(i int) {
			for {
				seats[i].Lock()
				seats[(i+1)%size].Unlock()
			}
		}(i)
	}
	stopped := make(chan bool)
	go func() {
		// Releases on one path only: nothing says for certain that it is the holder.
		for {
			pause(2 * time.Millisecond)
			if rand.Intn(3) > 0 {
				seats[0].Unlock()
				pause(time.Millisecond)
				seats[0].Lock()
			} else if rand.Intn(1000) == 2000 {
				close(stopped)
			}
		}
	}()
}

// A ring of two whose token is with a timer at first: everybody waits, in a perfect circle, and no
// goroutine is there yet that will change it.
func ringWithTimer() {
	const rounds = 20
	for {
		var here, there sync.Mutex
		here.Lock()
		there.Lock()
		var both sync.WaitGroup
		both.Add(2)
		turn := func(mine, other *sync.Mutex) {
			defer both.Done()
			for i := 0; i < rounds; i++ {
				mine.Lock()
				other.Unlock()
			}
		}
		go turn(&here, &there)
		go turn(&there, &here)
		time.AfterFunc(2*time.Second, here.Unlock)
		both.Wait()
	}
}

// The lock is behind a pointer that is replaced under another lock.
type config struct {
	mu     sync.Mutex
	values map[string]int
}

func swapped() {
	var lock sync.RWMutex
	current := &config{values: map[string]int{}}
	for i := 0; i < 4; i++ {
		go func() {
			for {
				lock.RLock()
				current.mu.Lock()
				pause(100 * time.Microsecond)
				current.values["reads"]++
				current.mu.Unlock()
				lock.RUnlock()
			}
		}()
	}
	go func() {
		for {
			pause(3 * time.Millisecond)
			lock.Lock()
			current = &config{values: map[string]int{}}
			lock.Unlock()
		}
	}()
}

// The way to a lock changes while it is held: whoever holds it goes by its own copy of the pointer,
// and others by the new one.
type slot struct {
	mu   sync.Mutex
	next *slot
}

func rotating() {
	a, b := &slot{}, &slot{}
	a.next, b.next = b, a
	var active atomic.Value
	active.Store(a)
	for i := 0; i < 4; i++ {
		go func() {
			for {
				s := active.Load().(*slot)
				s.mu.Lock()
				active.Store(s.next)
				pause(200 * time.Microsecond)
				s.mu.Unlock()
			}
		}()
	}
}

func oneOrder() {
	var locks [8]sync.Mutex
	var nested func(from int)
	nested = func(from int) {
		if from >= len(locks) {
			return
		}
		locks[from].Lock()
		defer locks[from].Unlock()
		if rand.Intn(8) == 0 {
			pause(300 * time.Microsecond)
		}
		nested(from + 1 + rand.Intn(2))
	}
	for i := 0; i < 8; i++ {
		go func() {
			for {
				nested(rand.Intn(4))
				pause(300 * time.Microsecond)
			}
		}()
	}
}

// Both orders, but the second lock only if it is free.
func tryBothOrders() {
	var a, b sync.Mutex
	both := func(x, y *sync.Mutex) {
		for {
			x.Lock()
			if y.TryLock() {
				pause(100 * time.Microsecond)
				y.Unlock()
			}
			x.Unlock()
			pause(100 * time.Microsecond)
		}
	}
	go both(&a, &b)
	go both(&b, &a)
	go func() {
		for {
			for !a.TryLock() {
				runtime.Gosched()
			}
			a.Unlock()
			pause(time.Millisecond)
		}
	}()
}

func notOnThisPath() {
	var rw sync.RWMutex
	var mu sync.Mutex
	count := 0
	for i := 0; i < 4; i++ {
		go func(i int) {
			for {
				rw.RLock()
				if count%5 == i {
					rw.RUnlock()
					pause(100 * time.Microsecond)
					continue
				}
				mu.Lock()
				count++
				if count%3 == 0 {
					mu.Unlock()
					rw.RUnlock()
					pause(200 * time.Microsecond)
					continue
				}
				pause(50 * time.Microsecond)
				mu.Unlock()
				rw.RUnlock()
				rw.Lock()
				count++
				rw.Unlock()
			}
		}(i)
	}
}

func panicking() {
	var mu sync.Mutex
	work := func() {
		defer func() { _ = recover() }()
		mu.Lock()
		defer mu.Unlock()
		pause(100 * time.Microsecond)
		if rand.Intn(2) == 0 {
			panic("out of luck")
		}
	}
	exit := func() {
		mu.Lock()
		defer mu.Unlock()
		defer pause(100 * time.Microsecond)
		runtime.Goexit()
	}
	for i := 0; i < 3; i++ {
		go func() {
			for {
				work()
				go exit()
				pause(300 * time.Microsecond)
			}
		}()
	}
}

func readersAndWriters() {
	var rw sync.RWMutex
	table := map[int]int{}
	for i := 0; i < 12; i++ {
		go func(i int) {
			for {
				if i%4 == 0 {
					rw.Lock()
					table[i]++
					pause(50 * time.Microsecond)
					rw.Unlock()
				} else {
					rw.RLock()
					_ = table[i]
					pause(100 * time.Microsecond)
					rw.RUnlock()
				}
				pause(200 * time.Microsecond)
			}
		}(i)
	}
}

func striped() {
	var stripes [16]struct {
		sync.Mutex
		counts map[int]int
	}
	for i := range stripes {
		stripes[i].counts = map[int]int{}
	}
	for i := 0; i < 8; i++ {
		go func() {
			for {
				key := rand.Intn(1000)
				s := &stripes[key%len(stripes)]
				s.Lock()
				s.counts[key]++
				s.Unlock()
				if key%100 == 0 {
					// All of them, in order.
					for i := range stripes {
						stripes[i].Lock()
					}
					pause(50 * time.Microsecond)
					for i := range stripes {
						stripes[i].Unlock()
					}
				}
				pause(100 * time.Microsecond)
			}
		}()
	}
}

func spinning() {
	var mu sync.Mutex
	var turn int32
	for i := int32(0); i < 3; i++ {
		go func(i int32) {
			for {
				for spins := 0; atomic.LoadInt32(&turn) != i; spins++ {
					runtime.Gosched()
					if spins > 20 {
						pause(100 * time.Microsecond)
					}
				}
				mu.Lock()
				pause(50 * time.Microsecond)
				atomic.StoreInt32(&turn, (i+1)%3)
				mu.Unlock()
			}
		}(i)
	}
}

func main() {
	for _, start := range []func(){
		handOver, sometimesHandedOver, pingPong, ring, ringWithOutsider, swapped, rotating, oneOrder,
		tryBothOrders, notOnThisPath, panicking, readersAndWriters, striped, spinning,
	} {
		start()
	}
	go ringWithTimer()
	fmt.Println("READY")
	time.Sleep(time.Hour)
}
