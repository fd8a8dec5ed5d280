// A reader that has probed by TryRLock whether a writer waits, and then asks for a second read lock behind
// that writer. The compiler writes TryRLock out where it is called, as a loop whose exit tests once more
// what it has just tested: a path that came by the one side cannot go on by the other.
//
// expect: proven lock-cycle goroutines=2
// matrix: all
package main

import (
	"fmt"
	"sync"
	"time"
)

type table struct {
	mu   sync.RWMutex
	rows []int
}

func (t *table) write() {
	t.mu.Lock()
	t.rows = append(t.rows, 1)
	t.mu.Unlock()
}

func (t *table) count() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.rows)
}

func (t *table) read() int {
	t.mu.RLock()
	for t.mu.TryRLock() {
		t.mu.RUnlock()
		time.Sleep(time.Millisecond)
	}
	// A writer waits: nobody gets in any more.
	count := t.count()
	t.mu.RUnlock()
	return count
}

func main() {
	t := &table{}
	go func() { fmt.Println(t.read()) }()
	time.Sleep(100 * time.Millisecond)
	go t.write()
	time.Sleep(200 * time.Millisecond)
	fmt.Println("READY")
	for range time.Tick(time.Second) {
		fmt.Println(cap(t.rows))
	}
}
