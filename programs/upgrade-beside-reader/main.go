// Two goroutines that have read-locked an RWMutex want to write. Of one of them it cannot be told whether it
// has the read lock: a flag in memory says so. Both wait for ever all the same: the writer needs the other
// one's, too.
//
// expect: proven * goroutines=2
// matrix: all
package main

import (
	"fmt"
	"os"
	"sync"
	"time"
)

type cache struct {
	mu      sync.RWMutex
	squares map[int]int
	shared  bool
}

func (c *cache) get(n int) {
	c.mu.RLock()
	time.Sleep(100 * time.Millisecond)
	c.mu.Lock()
	c.squares[n] = n * n
	c.mu.Unlock()
	c.mu.RUnlock()
}

//go:noinline
func (c *cache) enter() {
	if c.shared {
		c.mu.RLock()
	}
}

//go:noinline
func (c *cache) leave() {
	if c.shared {
		c.mu.RUnlock()
	}
}

func (c *cache) refresh(n int) {
	c.enter()
	time.Sleep(200 * time.Millisecond)
	c.mu.Lock()
	c.squares[n] = n * n
	c.mu.Unlock()
	c.leave()
}

func main() {
	c := &cache{squares: map[int]int{}, shared: len(os.Args) < 2}
	go c.get(1)
	go c.refresh(2)
	time.Sleep(400 * time.Millisecond)
	fmt.Println("READY")
	for range time.Tick(time.Second) {
		fmt.Println(c.shared)
	}
}
