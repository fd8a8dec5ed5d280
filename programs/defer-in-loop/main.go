// Unlocks deferred in a loop: they run when the function returns, and its next round waits for the
// lock that the round before took. So a goroutine waits for itself, and two for each other, where one
// reads and another wants to write in between. None of them reaches the end of its loop.
//
// expect: proven self-deadlock goroutines=1 in=main.(*total).sum
// expect: proven lock-cycle goroutines=2
// matrix: all
package main

import (
	"fmt"
	"sync"
	"time"
)

type total struct {
	mu sync.Mutex
	n  int
}

func (t *total) sum(items []int) {
	for _, item := range items {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.n += item
	}
}

type table struct {
	mu   sync.RWMutex
	rows map[int]int
}

func (t *table) read(keys []int) (n int) {
	for _, key := range keys {
		t.mu.RLock()
		defer t.mu.RUnlock()
		n += t.rows[key]
		time.Sleep(100 * time.Millisecond)
	}
	return n
}

func (t *table) write(key, value int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rows[key] = value
}

var (
	totals = &total{}
	rows   = &table{rows: map[int]int{}}
)

func main() {
	go totals.sum([]int{1, 2, 3})
	go rows.read([]int{1, 2, 3})
	time.Sleep(50 * time.Millisecond)
	go rows.write(1, 2)
	time.Sleep(200 * time.Millisecond)
	fmt.Println("READY")
	for range time.Tick(time.Second) {
		fmt.Println(&totals.n, len(rows.rows))
	}
}
