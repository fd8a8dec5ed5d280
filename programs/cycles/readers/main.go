// Cycles through RWMutexes: readers and writers, upgrades, locks taken twice.
//
// expect: proven lock-cycle goroutines=2 in=main.writers
// expect: proven lock-cycle goroutines=2 in=main.readersAndWriters
// expect: proven lock-cycle goroutines=2 in=main.mutexAndReader
// expect: proven lock-cycle goroutines=2 in=main.recursiveRead
// expect: proven lock-cycle goroutines=2 in=main.twoUpgrades
// expect: proven lock-cycle goroutines=3 in=main.threeReaders
// expect: proven lock-cycle goroutines=2 in=main.rlocker
// expect: proven self-deadlock goroutines=1 in=main.upgrade
// expect: proven self-deadlock goroutines=1 in=main.lockTwice
// expect: proven self-deadlock goroutines=1 in=main.writeTwice
// expect: proven self-deadlock goroutines=1 in=main.readUnderWrite
// expect: proven self-deadlock goroutines=1 in=main.(*cache)
// expect: proven queued goroutines=4 in=main.readersBehind
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

//go:noinline
func writers() {
	var a, b sync.RWMutex
	both := meet(2)
	swap := func(mine, other *sync.RWMutex) {
		mine.Lock()
		defer mine.Unlock()
		both.here()
		other.Lock()
		defer other.Unlock()
	}
	go swap(&a, &b)
	go swap(&b, &a)
}

var users, groups sync.RWMutex

//go:noinline
func readersAndWriters() {
	both := meet(2)
	go func() {
		users.RLock()
		both.here()
		groups.Lock()
		groups.Unlock()
		users.RUnlock()
	}()
	go func() {
		groups.RLock()
		defer groups.RUnlock()
		both.here()
		users.Lock()
		defer users.Unlock()
	}()
}

//go:noinline
func mutexAndReader() {
	var mu sync.Mutex
	var rw sync.RWMutex
	both := meet(2)
	go func() {
		mu.Lock()
		defer mu.Unlock()
		both.here()
		rw.RLock()
		rw.RUnlock()
	}()
	go func() {
		rw.Lock()
		both.here()
		mu.Lock()
		mu.Unlock()
		rw.Unlock()
	}()
}

// A reader reads again while a writer queues.
//
//go:noinline
func recursiveRead() {
	var rw sync.RWMutex
	go func() {
		rw.RLock()
		defer rw.RUnlock()
		time.Sleep(100 * time.Millisecond)
		rw.RLock()
		defer rw.RUnlock()
	}()
	time.Sleep(30 * time.Millisecond)
	go func() {
		rw.Lock()
		rw.Unlock()
	}()
}

// Two readers both want to write: each waits for the other to stop reading.
//
//go:noinline
func twoUpgrades() {
	var rw sync.RWMutex
	both := meet(2)
	raise := func() {
		rw.RLock()
		defer rw.RUnlock()
		both.here()
		rw.Lock()
		defer rw.Unlock()
	}
	go raise()
	go raise()
}

//go:noinline
func threeReaders() {
	locks := make([]sync.RWMutex, 3)
	all := meet(3)
	for i := range locks {
		go func(i int) {
			locks[i].RLock()
			all.here()
			locks[(i+1)%3].Lock()
			locks[(i+1)%3].Unlock()
			locks[i].RUnlock()
		}(i)
	}
}

//go:noinline
func rlocker() {
	var a, b sync.RWMutex
	both := meet(2)
	cross := func(mine sync.Locker, other *sync.RWMutex) {
		mine.Lock()
		both.here()
		other.Lock()
		other.Unlock()
		mine.Unlock()
	}
	go cross(a.RLocker(), &b)
	go cross(b.RLocker(), &a)
}

//go:noinline
func upgrade() {
	var rw sync.RWMutex
	go func() {
		rw.RLock()
		rw.Lock()
		rw.Unlock()
		rw.RUnlock()
	}()
}

//go:noinline
func lockTwice() {
	var mu sync.Mutex
	go func() {
		mu.Lock()
		defer mu.Unlock()
		mu.Lock()
		defer mu.Unlock()
	}()
}

//go:noinline
func writeTwice() {
	var rw sync.RWMutex
	go func() {
		rw.Lock()
		defer rw.Unlock()
		rw.Lock()
		rw.Unlock()
	}()
}

//go:noinline
func readUnderWrite() {
	var rw sync.RWMutex
	go func() {
		rw.Lock()
		rw.RLock()
		rw.RUnlock()
		rw.Unlock()
	}()
}

type cache struct {
	mu      sync.RWMutex
	entries map[string]int
}

func (c *cache) get(key string) int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if n, found := c.entries[key]; found {
		return n
	}
	c.fill(key)
	return c.entries[key]
}

//go:noinline
func (c *cache) fill(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.entries[key]++
}

//go:noinline
func readersBehind(rw *sync.RWMutex) {
	rw.RLock()
	rw.RUnlock()
}

func main() {
	writers()
	readersAndWriters()
	mutexAndReader()
	recursiveRead()
	twoUpgrades()
	threeReaders()
	rlocker()
	upgrade()
	lockTwice()
	writeTwice()
	readUnderWrite()
	go (&cache{entries: map[string]int{}}).get("x")
	time.Sleep(200 * time.Millisecond)
	for i := 0; i < 4; i++ {
		go readersBehind(&users)
	}
	time.Sleep(200 * time.Millisecond)
	fmt.Println("READY")
	time.Sleep(time.Hour)
}
