// queue KIND COUNT: so many goroutines wait for one and the same object. Used by tests/robustness.
package main

import (
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

var (
	mutex   sync.Mutex
	rw      sync.RWMutex
	group   sync.WaitGroup
	cond    = sync.NewCond(&sync.Mutex{})
	in, out = make(chan int), make(chan int)
	stop    = make(chan struct{})
	nothing = func() {}
	kinds   = map[string]struct{ before, wait, after func() }{
		"mutex":   {mutex.Lock, func() { mutex.Lock(); mutex.Unlock() }, mutex.Unlock},
		"rlock":   {rw.Lock, func() { rw.RLock(); rw.RUnlock() }, rw.Unlock},
		"lock":    {rw.RLock, func() { rw.Lock(); rw.Unlock() }, rw.RUnlock},
		"group":   {func() { group.Add(1) }, group.Wait, group.Done},
		"cond":    {nothing, func() { cond.L.Lock(); cond.Wait(); cond.L.Unlock() }, cond.Broadcast},
		"receive": {nothing, func() { <-stop }, func() { close(stop) }},
		"send":    {nothing, func() { out <- 1 }, func() { <-out }},
		"select": {nothing, func() {
			select {
			case <-in:
			case out <- 1:
			case <-stop:
			}
		}, func() { close(stop) }},
	}
)

func main() {
	kind := kinds[os.Args[1]]
	count, _ := strconv.ParseInt(os.Args[2], 10, 64)
	var started atomic.Int64
	kind.before()
	for i := int64(0); i < count; i++ {
		go func() {
			started.Add(1)
			kind.wait()
		}()
	}
	for started.Load() < count {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(300 * time.Millisecond)
	fmt.Println("READY")
	time.Sleep(5 * time.Minute)
	kind.after()
}
