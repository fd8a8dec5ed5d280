// Two goroutines hold each other's locks. One of them took its lock by a function that may return an error
// instead, a package-level variable that nothing ever writes: whoever goes on without an error has the
// lock. (Before Go 1.21, and without optimisation, such variables are written when the program starts,
// and of stripped programs it cannot be told where a variable ends.)
//
// expect: proven lock-cycle goroutines=2
// matrix: all
// build: plain
// go: >=1.21
package main

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

var errClosed = errors.New("closed")

type store struct {
	mu     sync.Mutex
	log    sync.Mutex
	closed bool
	n      int
}

//go:noinline
func (s *store) acquire() error {
	if s.closed {
		return errClosed
	}
	s.mu.Lock()
	return nil
}

func (s *store) add() error {
	for {
		if err := s.acquire(); err != nil {
			time.Sleep(time.Millisecond)
			continue
		}
		s.n++
		time.Sleep(100 * time.Millisecond)
		s.log.Lock()
		s.n++
		s.log.Unlock()
		s.mu.Unlock()
		return nil
	}
}

func (s *store) flush() {
	s.log.Lock()
	time.Sleep(100 * time.Millisecond)
	s.mu.Lock()
	s.n = 0
	s.mu.Unlock()
	s.log.Unlock()
}

func main() {
	s := &store{}
	go s.add()
	go s.flush()
	time.Sleep(300 * time.Millisecond)
	fmt.Println("READY")
	for range time.Tick(time.Second) {
		fmt.Println(errClosed, s.closed)
	}
}
