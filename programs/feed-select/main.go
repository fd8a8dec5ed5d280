// A feed sends to its subscriber, with a lock held, in a select whose other case nobody serves; the
// subscriber wants the lock. The other case does not make the subscriber forgotten.
//
// expect: suspected lock-cycle goroutines=2
package main

import (
	"fmt"
	"sync"
	"time"
)

type pool struct {
	mu     sync.RWMutex
	feed   chan int
	remove chan string
}

func (p *pool) add(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case p.feed <- n:
	case <-p.remove:
	}
}

func (p *pool) pending() int {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return len(p.feed)
}

func (p *pool) mine() {
	for range p.feed {
		time.Sleep(50 * time.Millisecond)
		p.pending()
	}
}

var p = &pool{feed: make(chan int), remove: make(chan string)}

func main() {
	go p.mine()
	for i := 0; i < 4; i++ {
		go p.add(i)
	}
	time.Sleep(300 * time.Millisecond)
	fmt.Println("READY")
	for range time.Tick(100 * time.Millisecond) {
		_ = len(p.feed)
	}
}
