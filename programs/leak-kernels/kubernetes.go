package main

import (
	"sync"
	"time"
)

func init() {
	kernels["kubernetes1321"] = kubernetes1321
	kernels["kubernetes5316"] = kubernetes5316
	kernels["kubernetes6632"] = kubernetes6632
	kernels["kubernetes10182"] = kubernetes10182
	kernels["kubernetes11298"] = kubernetes11298
	kernels["kubernetes25331"] = kubernetes25331
	kernels["kubernetes26980"] = kubernetes26980
	kernels["kubernetes30872"] = kubernetes30872
	kernels["kubernetes38669"] = kubernetes38669
	kernels["kubernetes58107"] = kubernetes58107
	kernels["kubernetes70277"] = kubernetes70277
}

// A watcher is stopped while the distributor, holding the lock that stopping needs, sends to it.
func kubernetes1321() {
	type muxWatcher struct{ result chan int }
	var lock sync.Mutex
	watcher := &muxWatcher{result: make(chan int)}
	go func() {
		lock.Lock()
		defer lock.Unlock()
		watcher.result <- 1
	}()
	go func() {
		settle()
		lock.Lock()
		defer lock.Unlock()
		close(watcher.result)
	}()
}

// The request finishes late: the timeout was taken, nobody receives result or error.
func kubernetes5316() {
	finish := func(timeout time.Duration) {
		result, failed := make(chan int), make(chan error)
		go func() {
			time.Sleep(5 * time.Millisecond)
			if time.Now().Nanosecond()%2 == 0 {
				result <- 1
			} else {
				failed <- nil
			}
		}()
		select {
		case <-result:
		case <-failed:
		case <-time.After(timeout):
		}
	}
	finish(time.Millisecond)
}

// The idle-aware framer sends on the reset channel while holding the lock that the monitor wants.
func kubernetes6632() {
	type framer struct {
		resetChan chan bool
		writeLock sync.Mutex
	}
	f := &framer{resetChan: make(chan bool)}
	go func() { // monitor
		settle()
		f.writeLock.Lock()
		close(f.resetChan)
		f.writeLock.Unlock()
	}()
	go func() { // WriteFrame
		f.writeLock.Lock()
		defer f.writeLock.Unlock()
		f.resetChan <- true
	}()
}

// The status manager deletes under its lock, which the sender on the channel holds.
func kubernetes10182() {
	type manager struct {
		lock    sync.RWMutex
		updates chan bool
	}
	m := &manager{updates: make(chan bool)}
	set := func() {
		m.lock.Lock()
		defer m.lock.Unlock()
		m.updates <- true
	}
	go func() { // sync loop
		<-m.updates
		settle()
		m.lock.RLock()
		m.lock.RUnlock()
		<-m.updates
	}()
	go set()
	go func() { time.Sleep(time.Millisecond); set() }()
}

// A signal is lost between the check of a condition and the wait.
func kubernetes11298() {
	var lock sync.Mutex
	cond := sync.NewCond(&lock)
	stop := make(chan struct{})
	go func() {
		cond.Broadcast() // nobody waits yet
	}()
	go func() {
		settle()
		lock.Lock()
		cond.Wait()
		lock.Unlock()
		close(stop)
	}()
	go func() { <-stop }()
}

// The watch's receiver ended by its context; the error has no taker.
func kubernetes25331() {
	type watchChan struct {
		result, errs chan int
		done         chan struct{}
	}
	w := &watchChan{make(chan int), make(chan int), make(chan struct{})}
	go func() { w.errs <- 1 }()
	go func() {
		select {
		case w.result <- 1:
		}
	}()
	close(w.done)
}

// The processor listener pops into a channel that its runner has left.
func kubernetes26980() {
	var lock sync.RWMutex
	cond := sync.NewCond(&lock)
	next := make(chan int)
	stop := make(chan struct{})
	go func() {
		lock.Lock()
		defer lock.Unlock()
		for {
			select {
			case <-stop:
				return
			case next <- 1:
			}
			cond.Wait()
		}
	}()
	<-next
	go func() { settle(); lock.Lock(); lock.Unlock() }()
}

// Three locks and a broadcaster, taken in different orders.
func kubernetes30872() {
	type informer struct{ cluster, federation, queue sync.Mutex }
	f := new(informer)
	order := func(a, b *sync.Mutex) {
		a.Lock()
		defer a.Unlock()
		settle()
		b.Lock()
		b.Unlock()
	}
	go order(&f.cluster, &f.federation)
	go order(&f.federation, &f.queue)
	go order(&f.queue, &f.cluster)
}

// The cache's dispatcher blocks on a full watcher while the watcher's end waits for the cache.
func kubernetes38669() {
	events := make(chan int)
	stopped := make(chan struct{})
	go func() {
		for i := 0; ; i++ {
			select {
			case events <- i:
			case <-stopped:
				return
			}
		}
	}()
	go func() {
		<-events
		// returns at its first event without telling
	}()
}

// RWMutex: a pending writer comes between two read locks of one goroutine.
func kubernetes58107() {
	type queue struct {
		lock sync.RWMutex
		work chan int
	}
	q := &queue{work: make(chan int)}
	go func() {
		q.lock.RLock()
		defer q.lock.RUnlock()
		time.Sleep(4 * time.Millisecond)
		q.lock.RLock()
		defer q.lock.RUnlock()
	}()
	go func() {
		settle()
		q.lock.Lock()
		q.lock.Unlock()
		q.work <- 1
	}()
}

// The poller's tick has no taker once the condition has been met.
func kubernetes70277() {
	poller := func() <-chan struct{} {
		ch := make(chan struct{})
		go func() {
			defer close(ch)
			ticker := time.NewTicker(time.Millisecond)
			defer ticker.Stop()
			for {
				<-ticker.C
				ch <- struct{}{}
			}
		}()
		return ch
	}
	<-poller()
}
