// Two goroutines that have read-locked an RWMutex want to write: the one waits for the readers to
// leave, and is one of them itself; the other waits behind it, as a reader, too.
//
// expect: proven lock-cycle goroutines=2 in=main.(*cache).get
// matrix: all
package main

import (
	"fmt"
	"sync"
	"time"
)

type cache struct {
	mu      sync.RWMutex
	squares map[int]int
}

func (c *cache) get(n int) int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if square, ok := c.squares[n]; ok {
		return square
	}
	time.Sleep(100 * time.Millisecond)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.squares[n] = n * n
	return n * n
}

var squares = &cache{squares: map[int]int{}}

func main() {
	go squares.get(1)
	go squares.get(2)
	time.Sleep(300 * time.Millisecond)
	fmt.Println("READY")
	for range time.Tick(time.Second) {
		fmt.Println(len(squares.squares))
	}
}
