// A method that holds the lock calls a helper that takes it again.
//
// expect: proven self-deadlock goroutines=1 in=main.(*store).Len
// matrix: all
package main

import (
	"fmt"
	"sync"
	"time"
)

type store struct {
	mu    sync.Mutex
	items map[string]int
}

//go:noinline
func (s *store) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.items)
}

func (s *store) Put(key string, value int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Len() < 10 {
		s.items[key] = value
	}
}

var shared = &store{items: map[string]int{}}

func main() {
	go shared.Put("a", 1)
	time.Sleep(200 * time.Millisecond)
	fmt.Println("READY")
	time.Sleep(time.Hour)
}
