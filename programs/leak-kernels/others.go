package main

import (
	"context"
	"sync"
	"time"
)

func init() {
	kernels["cockroach584"] = cockroach584
	kernels["cockroach1055"] = cockroach1055
	kernels["cockroach1462"] = cockroach1462
	kernels["cockroach2448"] = cockroach2448
	kernels["cockroach3710"] = cockroach3710
	kernels["cockroach9935"] = cockroach9935
	kernels["cockroach13197"] = cockroach13197
	kernels["cockroach24808"] = cockroach24808
	kernels["cockroach35073"] = cockroach35073
	kernels["grpc660"] = grpc660
	kernels["grpc795"] = grpc795
	kernels["grpc862"] = grpc862
	kernels["grpc1275"] = grpc1275
	kernels["grpc1460"] = grpc1460
	kernels["istio16224"] = istio16224
	kernels["istio17860"] = istio17860
	kernels["istio18454"] = istio18454
	kernels["hugo3251"] = hugo3251
	kernels["hugo5379"] = hugo5379
	kernels["serving2137"] = serving2137
	kernels["syncthing4829"] = syncthing4829
	kernels["syncthing5795"] = syncthing5795
}

// A break out of the loop skips the unlock.
func cockroach584() {
	type gossip struct {
		mu     sync.Mutex
		closed bool
	}
	g := &gossip{closed: true}
	bootstrap := func() {
		for {
			g.mu.Lock()
			if g.closed {
				break
			}
			g.mu.Unlock()
		}
	}
	go func() { bootstrap(); g.mu.Lock() }()
}

// The stopper waits for a drain that the workers, who wait for the stopper, would have to make.
func cockroach1055() {
	type stopper struct {
		stopped, drained chan struct{}
		workers          sync.WaitGroup
	}
	for i := 0; i < 3; i++ {
		s := &stopper{stopped: make(chan struct{}), drained: make(chan struct{})}
		s.workers.Add(1)
		go func() {
			defer s.workers.Done()
			<-s.stopped
		}()
		go func() {
			s.workers.Wait()
			close(s.stopped)
		}()
	}
}

// The transport's last message blocks: the stopper has drained its reader.
func cockroach1462() {
	type transport struct {
		servers chan int
		closed  chan struct{}
	}
	t := &transport{servers: make(chan int), closed: make(chan struct{})}
	var group sync.WaitGroup
	group.Add(2)
	go func() {
		defer group.Done()
		for {
			select {
			case <-t.closed:
				return
			case t.servers <- 1:
			}
		}
	}()
	go func() {
		defer group.Done()
		<-t.servers
	}()
	go func() { group.Wait(); close(t.closed) }()
}

// Two event loops each send to the other from their only goroutine.
func cockroach2448() {
	type loop struct{ events chan int }
	a, b := &loop{make(chan int)}, &loop{make(chan int)}
	run := func(from, to *loop) {
		to.events <- 1
		for e := range from.events {
			to.events <- e
		}
	}
	go run(a, b)
	go run(b, a)
}

// A read lock while a writer waits, by way of a callback.
func cockroach3710() {
	type store struct{ sync.RWMutex }
	s := new(store)
	go func() {
		s.RLock()
		defer s.RUnlock()
		time.Sleep(4 * time.Millisecond)
		s.RLock()
		defer s.RUnlock()
	}()
	go func() { settle(); s.Lock(); s.Unlock() }()
}

// The logger's exit takes the lock that its caller holds.
func cockroach9935() {
	type logger struct{ mu sync.Mutex }
	l := new(logger)
	exit := func() { l.mu.Lock(); defer l.mu.Unlock() }
	go func() {
		l.mu.Lock()
		exit()
		l.mu.Unlock()
	}()
}

// A transaction's context watcher is never cancelled.
func cockroach13197() {
	ctx, cancel := context.WithCancel(context.Background())
	type tx struct{ cancel func() }
	t := &tx{cancel}
	go func(ctx context.Context) { <-ctx.Done() }(ctx)
	_ = t // Commit without cancel
}

// The compactor reads the first suggestion and returns; the second suggester blocks.
func cockroach24808() {
	ch := make(chan struct{}, 1)
	go func() {
		ch <- struct{}{}
		ch <- struct{}{}
		ch <- struct{}{}
	}()
	<-ch
}

// Rows are pushed into a channel whose consumer went away with a full buffer.
func cockroach35073() {
	rows := make(chan int, 2)
	go func() {
		for i := 0; ; i++ {
			rows <- i
		}
	}()
	go func() {
		for range rows {
			return
		}
	}()
}

// The benchmark client's results have no taker after the run.
func grpc660() {
	stop := make(chan struct{})
	done := make(chan int)
	go func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			done <- 1
		}
	}()
	<-done
	close(stop)
}

// Stop waits for handlers under the lock that they take to end.
func grpc795() {
	type server struct {
		mu    sync.Mutex
		conns sync.WaitGroup
	}
	s := new(server)
	s.conns.Add(1)
	go func() {
		settle()
		s.mu.Lock()
		defer s.mu.Unlock()
		s.conns.Done()
	}()
	go func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.conns.Wait()
	}()
}

// The address watcher ends with a cancelled dial, the resetter waits for its reply.
func grpc862() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	up := make(chan int)
	go func() {
		select {
		case <-ctx.Done():
		case <-up:
		}
	}()
	settle()
	go func() { up <- 1 }()
}

// The reader of a stream waits for data of a transport that was closed under it.
func grpc1275() {
	type stream struct {
		data chan []byte
		done chan struct{}
	}
	s := &stream{make(chan []byte), make(chan struct{})}
	go func() {
		<-s.data
		close(s.done)
	}()
	go func() {
		select {
		case <-s.done:
		}
	}()
}

// Keepalive waits for an awakening under the lock that the waker takes.
func grpc1460() {
	type transport struct {
		mu      sync.Mutex
		awaken  chan struct{}
		streams int
	}
	t := &transport{awaken: make(chan struct{})}
	go func() { // keepalive
		t.mu.Lock()
		if t.streams < 1 {
			<-t.awaken
		}
		t.mu.Unlock()
	}()
	go func() { // NewStream
		settle()
		t.mu.Lock()
		t.streams++
		t.awaken <- struct{}{}
		t.mu.Unlock()
	}()
}

// A config event handler sends under the lock that the receiver takes first.
func istio16224() {
	var lock sync.Mutex
	notify := make(chan bool)
	go func() {
		lock.Lock()
		defer lock.Unlock()
		notify <- true
	}()
	go func() {
		settle()
		lock.Lock()
		defer lock.Unlock()
		<-notify
	}()
}

// An agent's epoch exits; the status channel is read once only.
func istio17860() {
	type agent struct{ status chan int }
	a := &agent{make(chan int)}
	for epoch := 0; epoch < 3; epoch++ {
		go func(epoch int) { a.status <- epoch }(epoch)
	}
	<-a.status
}

// The worker's timer goroutine waits for a stop that comes by the other channel.
func istio18454() {
	type worker struct {
		stop, stopped chan struct{}
		timer         *time.Timer
	}
	w := &worker{stop: make(chan struct{}), stopped: make(chan struct{})}
	w.timer = time.NewTimer(time.Hour)
	w.timer.Stop()
	go func() {
		select {
		case <-w.stop:
		case <-w.timer.C:
		}
	}()
	close(w.stopped)
}

// The page's lock is taken again while it is initialised under it.
func hugo3251() {
	type remote struct {
		sync.RWMutex
		locks map[string]*sync.Mutex
	}
	r := &remote{locks: map[string]*sync.Mutex{}}
	lock := func(url string) {
		r.RLock()
		defer r.RUnlock()
		settle()
		if r.locks[url] == nil {
			r.Lock() // still a reader
			r.locks[url] = new(sync.Mutex)
			r.Unlock()
		}
	}
	go lock("a")
	go lock("b")
}

// Once inside itself.
func hugo5379() {
	type page struct{ once sync.Once }
	p := new(page)
	var content func()
	content = func() { p.once.Do(func() { content() }) }
	go content()
}

// The breaker's tokens: two requests each keep one and want the other's result.
func serving2137() {
	type breaker struct{ pending, active chan struct{} }
	b := &breaker{make(chan struct{}, 1), make(chan struct{}, 1)}
	type request struct {
		lock     sync.Mutex
		accepted chan bool
	}
	start := func() *request {
		r := &request{accepted: make(chan bool, 1)}
		r.lock.Lock()
		go func() {
			b.pending <- struct{}{}
			b.active <- struct{}{}
			r.lock.Lock()
			<-b.active
			<-b.pending
			r.accepted <- true
		}()
		return r
	}
	first := start()
	settle()
	second := start()
	go func() { second.lock.Unlock(); <-second.accepted; first.lock.Unlock() }()
}

// Closing a mapping takes the service's lock, which the notifier holds while it locks the mapping.
func syncthing4829() {
	type mapping struct{ mu sync.RWMutex }
	m := new(mapping)
	clear := func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		func() { m.mu.RLock(); defer m.mu.RUnlock() }()
	}
	go clear()
}

// The connection's dispatcher waits for itself to be done.
func syncthing5795() {
	type connection struct {
		inbox      chan int
		dispatched chan struct{}
		done       chan struct{}
	}
	c := &connection{make(chan int), make(chan struct{}), make(chan struct{})}
	go func() {
		defer close(c.dispatched)
		select {
		case <-c.inbox:
			<-c.dispatched // Close, called by the dispatcher
		case <-c.done:
		}
	}()
	go func() { c.inbox <- 1 }()
}
