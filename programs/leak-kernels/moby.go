package main

import (
	"context"
	"sync"
	"time"
)

func init() {
	kernels["moby4395"] = moby4395
	kernels["moby4951"] = moby4951
	kernels["moby7559"] = moby7559
	kernels["moby17176"] = moby17176
	kernels["moby21233"] = moby21233
	kernels["moby25384"] = moby25384
	kernels["moby27782"] = moby27782
	kernels["moby28462"] = moby28462
	kernels["moby29733"] = moby29733
	kernels["moby30408"] = moby30408
	kernels["moby33781"] = moby33781
	kernels["moby36114"] = moby36114
}

// promise.Go with an unbuffered channel: who does not ask for the error leaks.
func moby4395() {
	promise := func(f func() error) chan error {
		ch := make(chan error)
		go func() { ch <- f() }()
		return ch
	}
	promise(func() error { return nil })
}

// Two devices, taken in different orders.
func moby4951() {
	type device struct{ lock sync.Mutex }
	type set struct {
		sync.Mutex
		devices [1]device
	}
	s := new(set)
	go func() { // deleteDevice
		s.Lock()
		defer s.Unlock()
		settle()
		s.devices[0].lock.Lock()
		s.devices[0].lock.Unlock()
	}()
	go func() { // waitRemove
		s.devices[0].lock.Lock()
		defer s.devices[0].lock.Unlock()
		settle()
		s.Lock()
		s.Unlock()
	}()
}

// The proxy's loop goes on without unlocking.
func moby7559() {
	type proxy struct{ lock sync.Mutex }
	p := new(proxy)
	go func() {
		for i := 0; i < 2; i++ {
			p.lock.Lock()
			if i == 0 {
				continue // forgets to unlock
			}
			p.lock.Unlock()
		}
	}()
}

// A return under the lock.
func moby17176() {
	type devices struct {
		sync.Mutex
		deleted int
	}
	d := new(devices)
	cleanup := func() {
		d.Lock()
		if d.deleted == 0 {
			return
		}
		d.Unlock()
	}
	go func() { cleanup(); cleanup() }()
}

// Transfers: the watcher of a progress channel is released twice, the broadcaster waits for it.
func moby21233() {
	type transfer struct {
		mu       sync.Mutex
		progress chan int
		running  chan struct{}
		released chan struct{}
	}
	t := &transfer{progress: make(chan int), running: make(chan struct{}), released: make(chan struct{})}
	go func() { // broadcast
		for p := range t.progress {
			_ = p
			<-t.running
		}
	}()
	go func() {
		t.progress <- 1
		t.progress <- 2
		close(t.progress)
	}()
	go func() { <-t.released }()
}

// WaitGroup.Wait inside the loop that starts the workers.
func moby25384() {
	plugins := []int{1, 2}
	var group sync.WaitGroup
	group.Add(len(plugins))
	go func() {
		for range plugins {
			go group.Done()
			group.Wait()
		}
	}()
}

// A log follower waits for an event that the closed watcher does not send.
func moby27782() {
	type watcher struct {
		events chan int
		errs   chan error
		closed chan struct{}
	}
	w := &watcher{make(chan int), make(chan error), make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-ctx.Done()
		select {
		case <-w.errs:
		case <-w.events:
		}
		close(w.closed)
	}()
	go func() { <-w.closed }()
	cancel()
}

// The health monitor waits for its stop under the lock that the stopping side holds while it sends.
func moby28462() {
	type container struct {
		sync.Mutex
		stop chan struct{}
	}
	c := &container{stop: make(chan struct{})}
	go func() { // monitor
		select {
		case <-c.stop:
		default:
			settle()
			c.Lock()
			c.Unlock()
			<-c.stop
		}
	}()
	go func() { // StateChanged
		c.Lock()
		defer c.Unlock()
		c.stop <- struct{}{}
	}()
}

// A plugin that failed to activate: waiters of the Cond are not told.
func moby29733() {
	type plugin struct {
		wait *sync.Cond
		err  error
	}
	p := &plugin{wait: sync.NewCond(new(sync.Mutex))}
	for i := 0; i < 2; i++ {
		go func() {
			p.wait.L.Lock()
			for p.err == nil {
				p.wait.Wait()
			}
			p.wait.L.Unlock()
		}()
	}
}

// The same, with a manifest that never comes.
func moby30408() {
	var mu sync.Mutex
	ready := sync.NewCond(&mu)
	done := make(chan struct{})
	go func() {
		mu.Lock()
		ready.Wait()
		mu.Unlock()
		close(done)
	}()
	go func() { <-done }()
}

// The probe's result has no taker after the stop.
func moby33781() {
	stop := make(chan struct{})
	go func() {
		for {
			results := make(chan int)
			_, cancel := context.WithCancel(context.Background())
			go func() {
				time.Sleep(4 * time.Millisecond)
				results <- 1
			}()
			select {
			case <-stop:
				cancel()
				return
			case <-results:
				cancel()
			}
		}
	}()
	time.Sleep(time.Millisecond)
	close(stop)
}

// hotAdd under a lock that hotRemove, called by it, takes.
func moby36114() {
	type service struct{ sync.Mutex }
	s := new(service)
	remove := func() { s.Lock(); defer s.Unlock() }
	go func() {
		s.Lock()
		defer s.Unlock()
		remove()
	}()
}
