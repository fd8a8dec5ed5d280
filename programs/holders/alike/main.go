// Goroutines that stand at the same frames and yet hold different locks: which, how many, or whether
// any, depends on what lies in their frames and on the heap. Each takes its locks, says so on standard
// output (`HOLDS shape goroutine address kind`), and waits for ever in the middle; another goroutine
// then queues for each lock. What is printed is the truth that the analysis must find for each of
// them, although it follows only one of those that take the same course.
package main

import (
	"bytes"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"time"
	"unsafe"
)

const each = 24 // goroutines per shape

var (
	gate  sync.Mutex // held by main for ever
	table sync.Mutex // serialises printing
	ready sync.WaitGroup
)

func goid() int {
	buf := make([]byte, 64)
	buf = bytes.TrimPrefix(buf[:runtime.Stack(buf, false)], []byte("goroutine "))
	id, _ := strconv.Atoi(string(buf[:bytes.IndexByte(buf, ' ')]))
	return id
}

//go:noinline
func holds(shape string, locks ...*sync.Mutex) {
	table.Lock()
	for _, lock := range locks {
		fmt.Printf("HOLDS %s %d %#x mutex\n", shape, goid(), uintptr(unsafe.Pointer(lock)))
	}
	table.Unlock()
}

//go:noinline
func park() {
	ready.Done()
	gate.Lock()
	gate.Unlock()
}

type node struct {
	mu   sync.Mutex
	next *node
	data [3]int
}

type work struct {
	number int
	locks  []*node
	first  *node
	second *node
	list   *node
	named  map[int]*node
	locker sync.Locker
	even   bool
}

// own: the lock is the goroutine's own, everything else is the same.
func own(w *work) {
	w.first.mu.Lock()
	holds("own", &w.first.mu)
	park()
	w.first.mu.Unlock()
}

// indexed: which element of a slice, by a number in the frame.
func indexed(w *work) {
	n := w.number % len(w.locks)
	w.locks[n].mu.Lock()
	holds("indexed", &w.locks[n].mu)
	park()
	w.locks[n].mu.Unlock()
}

// flagged: one of two, by a flag in the frame.
func flagged(w *work) {
	even := w.even
	w.first.mu.Lock()
	w.second.mu.Lock()
	if even {
		w.first.mu.Unlock()
		holds("flagged", &w.second.mu)
	} else {
		w.second.mu.Unlock()
		holds("flagged", &w.first.mu)
	}
	park()
	if even {
		w.second.mu.Unlock()
	} else {
		w.first.mu.Unlock()
	}
}

// aliased: two pointers that are the same for some of them. The continuation takes and releases one
// and releases the other: if both are the same lock, it is taken again before.
//
//go:noinline
func aliased(w *work, a, b *node) {
	b.mu.Lock()
	holds("aliased", &b.mu)
	park()
	if a != b {
		a.mu.Lock()
		a.data[0]++
		a.mu.Unlock()
	}
	b.mu.Unlock()
}

// written: a pointer in the frame is overwritten through another that is the same for some of them.
//
//go:noinline
func written(w *work) {
	var slots [2]*node
	slots[0], slots[1] = w.first, w.first
	into := &slots[w.number%2]
	w.first.mu.Lock()
	w.second.mu.Lock()
	holds("written", &w.first.mu, &w.second.mu)
	park()
	*into = w.second
	slots[0].mu.Unlock()
	slots[1].mu.Unlock()
}

// walked: the last of a list whose length differs.
func walked(w *work) {
	last := w.list
	for last.next != nil {
		last = last.next
	}
	last.mu.Lock()
	holds("walked", &last.mu)
	park()
	last.mu.Unlock()
}

// several: a number of locks that differs, released by deferred calls in a loop.
func several(w *work) {
	var held []*sync.Mutex
	for i := 0; i <= w.number%3; i++ {
		mu := &w.locks[i].mu
		mu.Lock()
		defer mu.Unlock()
		held = append(held, mu)
	}
	holds("several", held...)
	park()
}

// maybeDeferred: a deferred call that only some have to run.
func maybeDeferred(w *work) {
	w.first.mu.Lock()
	if w.even {
		w.second.mu.Lock()
		defer w.second.mu.Unlock()
		holds("maybeDeferred", &w.first.mu, &w.second.mu)
	} else {
		holds("maybeDeferred", &w.first.mu)
	}
	park()
	w.first.mu.Unlock()
}

// captured: a closure that captured the lock.
func captured(w *work) {
	n := w.first
	unlock := func() { n.mu.Unlock() }
	n.mu.Lock()
	holds("captured", &n.mu)
	park()
	unlock()
}

// byInterface: of different types behind one interface.
func byInterface(w *work) {
	w.locker.Lock()
	if n, ok := w.locker.(*guard); ok {
		holds("byInterface", &n.mu)
	} else {
		holds("byInterface", w.locker.(*sync.Mutex))
	}
	park()
	w.locker.Unlock()
}

type guard struct {
	count int
	mu    sync.Mutex
}

func (g *guard) Lock()   { g.mu.Lock(); g.count++ }
func (g *guard) Unlock() { g.count--; g.mu.Unlock() }

// mapped: found by a key again when it is released.
func mapped(w *work) {
	key := w.number % 5
	w.named[key].mu.Lock()
	holds("mapped", &w.named[key].mu)
	park()
	w.named[key].mu.Unlock()
}

// deep: released where a recursion of different depth ends, above the wait.
func deep(w *work) {
	depth := w.number % 3
	w.first.mu.Lock()
	holds("deep", &w.first.mu)
	park()
	descend(w, depth)
}

//go:noinline
func descend(w *work, left int) {
	if left > 0 {
		descend(w, left-1)
		return
	}
	w.first.mu.Unlock()
}

// chosen: by arithmetic on a number in the frame.
func chosen(w *work) {
	locks := [4]*node{w.first, w.second, w.locks[0], w.locks[1]}
	n := (w.number*7 + 3) >> 1 & 3
	locks[n].mu.Lock()
	holds("chosen", &locks[n].mu)
	park()
	locks[n].mu.Unlock()
}

func nodes(n int) []*node {
	all := make([]*node, n)
	for i := range all {
		all[i] = &node{}
	}
	return all
}

func list(n int) *node {
	var head *node
	for ; n >= 0; n-- {
		head = &node{next: head}
	}
	return head
}

func main() {
	gate.Lock()
	shapes := []func(*work){
		own, indexed, flagged, func(w *work) {
			if w.even {
				aliased(w, w.first, w.first)
			} else {
				aliased(w, w.first, w.second)
			}
		}, written, walked, several, maybeDeferred, captured, byInterface, mapped, deep, chosen,
	}
	for _, shape := range shapes {
		for i := 0; i < each; i++ {
			w := &work{
				number: i, locks: nodes(4), first: &node{}, second: &node{}, list: list(i % 4),
				named: map[int]*node{}, even: i%2 == 0,
			}
			if i%2 == 0 {
				w.locker = &sync.Mutex{}
			} else {
				w.locker = &guard{}
			}
			for key := 0; key < 5; key++ {
				w.named[key] = &node{}
			}
			ready.Add(1)
			go shape(w)
			ready.Wait()
			all := append([]*node{w.first, w.second}, w.locks...)
			for n := w.list; n != nil; n = n.next {
				all = append(all, n)
			}
			for _, n := range w.named {
				all = append(all, n)
			}
			queue(&w.first.mu)
			for _, n := range all[1:] {
				queue(&n.mu)
			}
			switch l := w.locker.(type) {
			case *sync.Mutex:
				queue(l)
			case *guard:
				queue(&l.mu)
			}
		}
	}
	time.Sleep(300 * time.Millisecond)
	fmt.Println("READY")
	time.Sleep(time.Minute)
}

// queue makes a goroutine wait for the mutex if it is locked.
func queue(mu *sync.Mutex) {
	if mu.TryLock() {
		mu.Unlock()
		return
	}
	go func() {
		mu.Lock()
		mu.Unlock()
	}()
}
