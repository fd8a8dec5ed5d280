package main

import (
	"context"
	"sync"
)

func init() {
	kernels["etcd5509"] = etcd5509
	kernels["etcd6708"] = etcd6708
	kernels["etcd6857"] = etcd6857
	kernels["etcd6873"] = etcd6873
	kernels["etcd7443"] = etcd7443
	kernels["etcd7492"] = etcd7492
	kernels["etcd7902"] = etcd7902
	kernels["etcd10492"] = etcd10492
}

// A read lock is kept when the client was closed meanwhile; the closer waits for it.
func etcd5509() {
	type client struct {
		mu     sync.RWMutex
		cancel context.CancelFunc
	}
	c := &client{cancel: nil}
	get := func() {
		c.mu.RLock()
		if c.cancel == nil {
			return // without RUnlock
		}
		c.mu.RUnlock()
	}
	get()
	go func() { c.mu.Lock(); c.mu.Unlock() }()
}

// The same goroutine takes the lock for writing that it holds for reading.
func etcd6708() {
	type cluster struct{ sync.RWMutex }
	c := new(cluster)
	selectMode := func() {
		c.RLock()
		defer c.RUnlock()
	}
	go func() {
		c.Lock()
		defer c.Unlock()
		selectMode()
	}()
}

// Status is asked of a node that has stopped.
func etcd6857() {
	type node struct {
		status     chan chan int
		stop, done chan struct{}
	}
	n := &node{make(chan chan int), make(chan struct{}), make(chan struct{})}
	go func() {
		select {
		case c := <-n.status:
			c <- 1
		case <-n.stop:
			close(n.done)
			return
		}
	}()
	close(n.stop)
	go func() {
		settle()
		c := make(chan int)
		n.status <- c // no case for done
		<-c
	}()
}

// Broadcasts end up waiting for the broadcaster that waits for them.
func etcd6873() {
	type broadcasts struct {
		mu      sync.Mutex
		updates chan int
		done    chan struct{}
	}
	b := &broadcasts{updates: make(chan int, 1), done: make(chan struct{})}
	go func() {
		defer close(b.done)
		for range b.updates {
			settle()
			b.mu.Lock()
			b.mu.Unlock()
		}
	}()
	go func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.updates <- 1
		close(b.updates)
		<-b.done
	}()
}

// The balancer's notification has no taker, and the lock it holds is wanted by the one who would be.
func etcd7443() {
	type balancer struct {
		mu     sync.Mutex
		notify chan int
		down   chan struct{}
	}
	b := &balancer{notify: make(chan int), down: make(chan struct{})}
	go func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.notify <- 1
	}()
	go func() {
		settle()
		b.mu.Lock()
		defer b.mu.Unlock()
		<-b.notify
	}()
	go func() { <-b.down }()
}

// Tokens are added under a lock that the keeper's loop wants before it drains the channel.
func etcd7492() {
	type keeper struct {
		mu   sync.RWMutex
		add  chan string
		stop chan struct{}
	}
	k := &keeper{add: make(chan string), stop: make(chan struct{})}
	go func() {
		for {
			select {
			case <-k.add:
				settle()
				k.mu.Lock()
				k.mu.Unlock()
			case <-k.stop:
				return
			}
		}
	}()
	for i := 0; i < 3; i++ {
		go func() {
			k.mu.RLock()
			defer k.mu.RUnlock()
			k.add <- "token"
			k.add <- "again"
		}()
	}
}

// Rounds: every client waits for the next round, which the last releaser would begin.
func etcd7902() {
	var mu sync.Mutex
	next := make(chan struct{})
	for i := 0; i < 3; i++ {
		go func(i int) {
			if i == 0 {
				mu.Lock() // and never unlocks: its release is behind next
				<-next
				mu.Unlock()
				return
			}
			settle()
			mu.Lock()
			close(next)
			mu.Unlock()
		}(i)
	}
}

// Checkpointing calls back into the lessor, whose lock is held.
func etcd10492() {
	type lessor struct {
		mu         sync.RWMutex
		checkpoint func()
	}
	l := new(lessor)
	l.checkpoint = func() {
		l.mu.Lock()
		defer l.mu.Unlock()
	}
	go func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.checkpoint()
	}()
}
