// Many goroutines wait, each for something that exactly one live thing can still reach: a map, a
// closure, a timer, a register, a channel in flight. Nothing may ever be proven here: tests/reach
// looks at it under load, live and held still.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

type holder struct {
	pad [3]int
	ch  chan int
}

// waitOn blocks on ch; its caller keeps no reference.
func waitOn(ch chan int) { go func() { <-ch }() }

// keep holds a value on the stack of a sleeping goroutine only.
func keep[T any](value T, use func(T)) {
	go func() {
		time.Sleep(time.Hour)
		use(value)
	}()
}

func viaMap() {
	m := map[string]chan int{}
	for i := 0; i < 100; i++ {
		m[fmt.Sprint(i)] = make(chan int)
	}
	waitOn(m["7"])
	keep(m, func(m map[string]chan int) { m["7"] <- 1 })
}

func viaInterface() {
	ch := make(chan int)
	waitOn(ch)
	keep(any(ch), func(v any) { v.(chan int) <- 1 })
}

func viaClosure() {
	ch := make(chan int)
	waitOn(ch)
	send := func() { ch <- 1 }
	keep(send, func(f func()) { f() })
}

func viaArray() {
	array := new([1000]chan int)
	for i := range array {
		array[i] = make(chan int)
	}
	waitOn(array[999])
	keep(array, func(a *[1000]chan int) { a[999] <- 1 })
}

func viaHugeObject() {
	huge := make([]*holder, 4<<20)
	last := &holder{ch: make(chan int)}
	huge[len(huge)-3] = last
	waitOn(last.ch)
	keep(huge, func(h []*holder) { h[len(h)-3].ch <- 1 })
}

func viaSyncMap() {
	m := new(sync.Map)
	ch := make(chan int)
	m.Store("key", ch)
	waitOn(ch)
	keep(m, func(m *sync.Map) { v, _ := m.Load("key"); v.(chan int) <- 1 })
}

var pool sync.Pool

func viaPool() {
	ch := make(chan int)
	pool.Put(ch)
	waitOn(ch)
	go func() {
		for {
			v := pool.Get()
			if v == nil {
				v = ch // two collections in a row empty a pool
			}
			pool.Put(v)
			time.Sleep(time.Millisecond)
		}
	}()
}

var atomicHolder atomic.Pointer[holder]

func viaAtomicPointer() {
	h := &holder{ch: make(chan int)}
	atomicHolder.Store(h)
	waitOn(h.ch)
}

func viaUnsafePointer() {
	h := &holder{ch: make(chan int)}
	waitOn(h.ch)
	keep(unsafe.Pointer(&h.pad[1]), func(p unsafe.Pointer) {
		h := (*holder)(unsafe.Add(p, -8))
		h.ch <- 1
	})
}

// When the collector finds the object dead, the finalizer wakes the waiter; a new one follows.
func viaFinalizer() {
	go func() {
		for {
			ch := make(chan int)
			func() {
				h := &holder{ch: ch}
				runtime.SetFinalizer(h, func(h *holder) { h.ch <- 1 })
			}()
			done := make(chan int)
			go func(ch chan int) { <-ch; done <- 1 }(ch)
			ch = nil
			<-done
		}
	}()
}

func viaTimers() {
	ch := make(chan int)
	waitOn(ch)
	time.AfterFunc(time.Hour, func() { ch <- 1 })
	go func() { <-time.After(time.Hour) }()
	go func() { <-time.NewTimer(time.Hour).C }()
	go func() {
		for range time.NewTicker(time.Hour).C {
		}
	}()
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
		defer cancel()
		<-ctx.Done()
	}()
	// A wait that a timer ends again and again.
	go func() {
		for {
			ch := make(chan int)
			time.AfterFunc(3*time.Millisecond, func() { close(ch) })
			<-ch
		}
	}()
}

func viaSignal() {
	ch := make(chan os.Signal, 1)
	signal.Notify(ch, syscall.SIGUSR1)
	go func() { <-ch }()
}

// The only reference is in a register of a loop without calls.
func viaRegister() {
	ch := make(chan int)
	waitOn(ch)
	go spin(ch, 1<<62)
}

//go:noinline
func spin(ch chan int, n uint64) {
	x := uint64(1)
	for i := uint64(0); i < n; i++ {
		x = x*6364136223846793005 + i
	}
	ch <- int(x)
}

// A channel that is handed round and round.
func inFlight(members, buffer int) {
	ch := make(chan int)
	waitOn(ch)
	first := make(chan chan int, buffer)
	in := first
	for i := 0; i < members; i++ {
		out := first
		if i < members-1 {
			out = make(chan chan int, buffer)
		}
		go func(in, out chan chan int) {
			for c := range in {
				out <- c
			}
		}(in, out)
		in = out
	}
	first <- ch
}

type link struct {
	next *link
	ch   chan int
	pad  [20]int
}

// A reference that moves to a new object all the time, the old one becoming garbage.
func viaMovingList() {
	ch := make(chan int)
	waitOn(ch)
	go func(l *link) {
		for {
			n := &link{ch: l.ch}
			l.ch = nil
			for i := 0; i < 10; i++ {
				n = &link{next: n}
			}
			for n.next != nil {
				n = n.next
			}
			l = n
		}
	}(&link{ch: ch})
}

// A reference that moves along inside one large object.
func viaMovingSlot() {
	ch := make(chan int)
	waitOn(ch)
	slots := make([]chan int, 1<<16)
	slots[0] = ch
	ch = nil
	go func() {
		for i := 0; ; i++ {
			from, to := i%len(slots), (i*7919+1)%len(slots)
			slots[from], slots[to] = slots[to], slots[from]
			if from < len(slots)-1 {
				slots[from], slots[from+1] = slots[from+1], slots[from]
			}
		}
	}()
}

// A reference in a frame of a stack that grows and shrinks.
func viaGrowingStack() {
	ch := make(chan int)
	waitOn(ch)
	go func(ch chan int) {
		for i := 0; ; i++ {
			deep(ch, i%2000)
		}
	}(ch)
}

//go:noinline
func deep(ch chan int, n int) int {
	var pad [16]int
	if n == 0 {
		return len(ch)
	}
	pad[n%16] = deep(ch, n-1)
	return pad[n%7] + cap(ch)
}

func viaSystemCall() {
	ch := make(chan int)
	waitOn(ch)
	go func(ch chan int) {
		var fds [2]int
		if err := syscall.Pipe(fds[:]); err != nil {
			panic(err)
		}
		var buffer [1]byte
		syscall.Read(fds[0], buffer[:])
		ch <- 1
	}(ch)
}

func viaWaitGroupAndCond() {
	wg := new(sync.WaitGroup)
	wg.Add(1)
	go wg.Wait()
	keep(wg, func(wg *sync.WaitGroup) { wg.Done() })
	c := sync.NewCond(new(sync.Mutex))
	go func() { c.L.Lock(); c.Wait(); c.L.Unlock() }()
	keep(c, func(c *sync.Cond) { c.Broadcast() })
}

// Reachable through goroutines that are themselves woken one by one.
func viaChainOfWaiters() {
	last := make(chan int)
	waitOn(last)
	next := last
	for i := 0; i < 50; i++ {
		ch := make(chan int)
		go func(in, out chan int) { out <- <-in }(ch, next)
		next = ch
	}
	keep(next, func(ch chan int) { ch <- 1 })
}

// Requests with a channel for the answer, some of them waiting long.
func viaRequests() {
	type request struct{ reply chan int }
	queue := make(chan *request, 100)
	for i := 0; i < 200; i++ {
		go func() {
			for {
				r := &request{reply: make(chan int)}
				queue <- r
				<-r.reply
			}
		}()
	}
	go func() {
		var held []*request
		for r := range queue {
			held = append(held, r)
			if len(held) > 50 {
				i := int(time.Now().UnixNano() % int64(len(held)))
				held[i].reply <- 1
				held[i] = held[len(held)-1]
				held = held[:len(held)-1]
			}
			if len(held)%7 == 0 {
				held = append([]*request(nil), held...)
			}
		}
	}()
}

func main() {
	life := flag.Duration("life", 2*time.Minute, "how long to live")
	load := flag.Bool("load", false, "allocate and collect as fast as possible")
	flag.Parse()
	viaMap()
	viaInterface()
	viaClosure()
	viaArray()
	viaHugeObject()
	viaSyncMap()
	if !*load {
		// Two collections without a Get in between empty a pool.
		debug.SetGCPercent(-1)
		viaPool()
	}
	viaAtomicPointer()
	viaUnsafePointer()
	viaFinalizer()
	viaTimers()
	viaSignal()
	viaSystemCall()
	viaWaitGroupAndCond()
	viaChainOfWaiters()
	viaWeakPointer()
	viaCleanup()
	viaCoroutine()
	viaC()
	if *load {
		viaRegister()
		inFlight(5, 0)
		inFlight(100, 0)
		inFlight(7, 3)
		viaMovingList()
		viaMovingSlot()
		viaGrowingStack()
		viaRequests()
		go churn()
		go func() {
			for {
				runtime.GC()
				time.Sleep(5 * time.Millisecond)
			}
		}()
	}
	fmt.Println("ready")
	time.Sleep(*life)
	runtime.KeepAlive(&pool)
}

var sink []byte

func churn() {
	var head *link
	for i := 0; ; i++ {
		head = &link{next: head}
		if i%10000 == 0 {
			head = nil
		}
		sink = make([]byte, i%4096)
	}
}
