// As idle-serializer, with the connection in a global: somebody might still close the channel, so that
// nothing is proven; but it is the same cycle.
//
// expect: suspected lock-cycle goroutines=2
package main

import (
	"fmt"
	"sync"
	"time"
)

type connection struct {
	mu        sync.RWMutex
	callbacks chan func()
	done      chan struct{}
}

func (c *connection) serialize() {
	defer close(c.done)
	for callback := range c.callbacks {
		callback()
	}
}

func (c *connection) update() {
	result := make(chan bool)
	c.callbacks <- func() {
		time.Sleep(100 * time.Millisecond)
		c.mu.Lock()
		defer c.mu.Unlock()
		result <- true
	}
	<-result
}

func (c *connection) enterIdle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.callbacks)
	<-c.done
}

func (c *connection) call() {
	c.mu.RLock()
	defer c.mu.RUnlock()
}

var c *connection

func start() {
	c = &connection{callbacks: make(chan func(), 1), done: make(chan struct{})}
	go c.serialize()
	go c.update()
	time.Sleep(50 * time.Millisecond)
	go c.enterIdle()
	time.Sleep(200 * time.Millisecond)
	for i := 0; i < 3; i++ {
		go c.call()
	}
}

func main() {
	start()
	time.Sleep(100 * time.Millisecond)
	fmt.Println("READY")
	for range time.Tick(100 * time.Millisecond) {
		_ = c
	}
}
