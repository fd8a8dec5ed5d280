// The way to a lock changes while goroutines that will go that way are stuck: what the way leads to
// now is not what they hold. Two goroutines hold each other up; the locks that the global pointers
// lead to by now belong to others, who move.
//
// expect: proven lock-cycle goroutines=2 in=main.crossed
// matrix: all
package main

import (
	"fmt"
	"sync"
	"time"
)

type config struct {
	mu      sync.Mutex
	version int
}

var (
	published = &config{}
	replaced  = &config{}
	left      sync.Mutex
	right     sync.Mutex
	met       sync.WaitGroup
)

// crossed will unlock whatever the global pointer leads to when it goes on, which is never.
func crossed(way **config, mine, other *sync.Mutex) {
	mine.Lock()
	(*way).mu.Lock()
	met.Done()
	met.Wait()
	other.Lock()
	other.Unlock()
	(*way).mu.Unlock()
	mine.Unlock()
}

// mover holds the new lock, and gives it back on one of its ways only.
func mover(c *config, release chan bool) {
	c.mu.Lock()
	for {
		time.Sleep(20 * time.Millisecond)
		select {
		case <-release:
			c.mu.Unlock()
			return
		default:
			c.version++
		}
	}
}

// runner holds the new lock while it computes: its stack cannot be read.
func runner(c *config) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
		c.version++
	}
}

func waiter(c *config) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.version--
}

func main() {
	met.Add(2)
	go crossed(&published, &left, &right)
	go crossed(&replaced, &right, &left)
	time.Sleep(200 * time.Millisecond)
	published, replaced = &config{}, &config{}
	release := make(chan bool)
	go mover(published, release)
	go runner(replaced)
	time.Sleep(100 * time.Millisecond)
	go waiter(published)
	go waiter(replaced)
	time.Sleep(200 * time.Millisecond)
	fmt.Println("READY")
	time.Sleep(time.Hour)
	close(release)
}
