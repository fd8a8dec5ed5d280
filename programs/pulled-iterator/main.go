// An iterator holds a read lock while it is not being pulled; the goroutine that pulls it wants to
// lock. The one who pulls is named.
//
// expect: suspected lock-cycle goroutines=2
// go: >=1.23

//go:build go1.23

package main

import (
	"fmt"
	"iter"
	"sync"
	"time"
)

type table struct {
	mu   sync.RWMutex
	rows map[int]string
}

func (t *table) all() iter.Seq[int] {
	return func(yield func(int) bool) {
		t.mu.RLock()
		defer t.mu.RUnlock()
		for key := range t.rows {
			if !yield(key) {
				return
			}
		}
	}
}

func (t *table) set(key int, value string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rows[key] = value
}

func merge(t *table) {
	next, stop := iter.Pull(t.all())
	defer stop()
	for {
		key, ok := next()
		if !ok {
			return
		}
		t.set(key, "seen")
	}
}

func main() {
	t := &table{rows: map[int]string{1: "one", 2: "two"}}
	go merge(t)
	time.Sleep(200 * time.Millisecond)
	fmt.Println("READY")
	for range time.Tick(100 * time.Millisecond) {
		_ = t
	}
}
