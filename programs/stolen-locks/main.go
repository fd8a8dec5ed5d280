// Locks that are given back for their owner, who leaves them alone then by a flag: leases that expire, by a
// list, a sync.OnceFunc, a function that arrives later, a recovered panic, and a map. While the flag is not
// set, the owner seems to give his lock back on every path; that nobody else does is not known.
//
// Each pair locks the other out for some seconds, again and again, and goes on.
//
// expect: healthy
// go: >=1.21
// matrix: all
package main

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

const expires = 3 * time.Second

// crossed locks both in one order, and has the first given back after a while, or does it himself.
func crossed(first, second *sync.Mutex, lend func(release func()), giveBack func(release func())) {
	for {
		first.Lock()
		lend(first.Unlock)
		time.Sleep(100 * time.Millisecond)
		second.Lock()
		second.Unlock()
		giveBack(first.Unlock)
	}
}

func other(first, second *sync.Mutex) {
	for {
		second.Lock()
		time.Sleep(100 * time.Millisecond)
		first.Lock()
		first.Unlock()
		second.Unlock()
		time.Sleep(10 * time.Millisecond)
	}
}

// byFlag: a lease in a list, which a reaper goes through.
type lease struct {
	release func()
	expires time.Time
}

var (
	leases   []lease
	leasesMu sync.Mutex
	reaped   atomic.Bool
)

func reaper() {
	for {
		time.Sleep(50 * time.Millisecond)
		leasesMu.Lock()
		for len(leases) > 0 && time.Now().After(leases[0].expires) {
			reaped.Store(true)
			leases[0].release()
			leases = leases[1:]
		}
		leasesMu.Unlock()
	}
}

func byFlag() {
	var first, second sync.Mutex
	go other(&first, &second)
	crossed(&first, &second, func(release func()) {
		leasesMu.Lock()
		leases = append(leases, lease{release, time.Now().Add(expires)})
		leasesMu.Unlock()
	}, func(release func()) {
		if !reaped.Swap(false) {
			leasesMu.Lock()
			leases = nil
			leasesMu.Unlock()
			release()
		}
	})
}

// byOnce: whoever comes first gives it back.
func byOnce() {
	var first, second sync.Mutex
	go other(&first, &second)
	for {
		first.Lock()
		release := sync.OnceFunc(first.Unlock)
		go func() {
			time.Sleep(expires)
			release()
		}()
		time.Sleep(100 * time.Millisecond)
		second.Lock()
		second.Unlock()
		release()
	}
}

var functions = make(chan func())

func releaser() {
	for f := range functions {
		f()
	}
}

// byChannel: what gives it back arrives later.
func byChannel() {
	var first, second sync.Mutex
	var stolen atomic.Bool
	go releaser()
	go other(&first, &second)
	crossed(&first, &second, func(release func()) {
		go func() {
			time.Sleep(expires)
			stolen.Store(true)
			functions <- release
		}()
	}, func(release func()) {
		if !stolen.Swap(false) {
			release()
		}
	})
}

// byPanic: a handler gives it back.
func byPanic() {
	var first, second sync.Mutex
	var stolen atomic.Bool
	go other(&first, &second)
	crossed(&first, &second, func(release func()) {
		go func() {
			time.Sleep(expires)
			defer func() {
				if recover() != nil {
					stolen.Store(true)
					release()
				}
			}()
			panic("expired")
		}()
	}, func(release func()) {
		if !stolen.Swap(false) {
			release()
		}
	})
}

var (
	table   = map[string]*sync.Mutex{}
	tableMu sync.Mutex
)

// take takes the lock out of the table, if it is still there.
func take(name string) *sync.Mutex {
	tableMu.Lock()
	defer tableMu.Unlock()
	lock := table[name]
	delete(table, name)
	return lock
}

// byMap: whoever takes the lock out of the table gives it back.
func byMap() {
	var first, second sync.Mutex
	go other(&first, &second)
	for {
		first.Lock()
		tableMu.Lock()
		table["lease"] = &first
		tableMu.Unlock()
		go func() {
			time.Sleep(expires)
			if lock := take("lease"); lock != nil {
				lock.Unlock()
			}
		}()
		time.Sleep(100 * time.Millisecond)
		second.Lock()
		second.Unlock()
		if lock := take("lease"); lock != nil {
			lock.Unlock()
		}
	}
}

func main() {
	go reaper()
	go byFlag()
	go byOnce()
	go byChannel()
	go byPanic()
	go byMap()
	time.Sleep(400 * time.Millisecond)
	fmt.Println("READY")
	select {}
}
