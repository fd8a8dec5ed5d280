// Waits of every kind, for the moment that fuzz targets change: no package but the runtime, sync and
// time, so that the executable is small.
package main

import (
	"sync"
	"sync/atomic"
	"time"
)

type account struct {
	sync.Mutex
	owner string
	next  *account
}

type cache struct {
	sync.RWMutex
	entries map[string]*account
}

type job interface{ work(done chan<- int) }

type transfer struct{ from, to *account }

func (t *transfer) work(done chan<- int) {
	t.from.Lock()
	defer t.from.Unlock()
	time.Sleep(50 * time.Millisecond)
	t.to.Lock()
	done <- 1
	t.to.Unlock()
}

var (
	shared  = &cache{entries: map[string]*account{}}
	pending atomic.Int64
	once    sync.Once
)

func producer(out chan<- *account, group *sync.WaitGroup) {
	defer group.Done()
	for i := 0; ; i++ {
		a := &account{owner: "o"}
		shared.Lock()
		shared.entries[string(rune('a'+i%26))] = a
		shared.Unlock()
		out <- a
	}
}

func reader(writers int) {
	shared.RLock()
	if writers > 0 {
		shared.RLock()
		shared.RUnlock()
	}
	shared.RUnlock()
}

func main() {
	a, b := &account{owner: "a"}, &account{owner: "b"}
	a.next, b.next = b, a
	done := make(chan int)
	for _, j := range []job{&transfer{a, b}, &transfer{b, a}} {
		go j.work(done)
	}
	var group sync.WaitGroup
	group.Add(2)
	out := make(chan *account, 3)
	for i := 0; i < 2; i++ {
		go producer(out, &group)
	}
	mutex := new(sync.Mutex)
	cond := sync.NewCond(mutex)
	go func() {
		mutex.Lock()
		defer mutex.Unlock()
		for pending.Load() == 0 {
			cond.Wait()
		}
	}()
	go func() {
		select {
		case v := <-done:
			pending.Add(int64(v))
		case x := <-out:
			x.Lock()
		case out <- a:
		}
		never := make(chan struct{})
		func() {
			defer func() { recover() }()
			<-never
		}()
	}()
	go func() {
		forgotten := make(chan int)
		forgotten <- 1
	}()
	go func() {
		time.Sleep(80 * time.Millisecond)
		shared.RLock()
		go func() { shared.Lock(); shared.Unlock() }()
		time.Sleep(80 * time.Millisecond)
		reader(1)
	}()
	go once.Do(func() { group.Wait() })
	go func() {
		time.Sleep(20 * time.Millisecond)
		once.Do(func() {})
	}()
	timer := time.AfterFunc(time.Hour, func() { a.Lock() })
	defer timer.Stop()
	go func() {
		for range time.Tick(time.Hour) {
			pending.Add(1)
		}
	}()
	time.Sleep(90 * time.Millisecond)
	a.Lock()
	select {}
}
