// Every shape of code that holds a lock while it waits. Each goroutine takes its locks, says so on
// standard output (`HOLDS shape goroutine address kind`), and waits for ever in the middle; another
// goroutine then queues for each lock. What is printed is the truth that the analysis must find.
package main

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"time"
	"unsafe"
)

var (
	gate  sync.Mutex        // held by main for ever
	never = make(chan bool) // nobody sends
	other = make(chan bool) // nobody receives
	table sync.Mutex        // serialises printing
	ready sync.WaitGroup
)

func goid() int {
	buf := make([]byte, 64)
	buf = bytes.TrimPrefix(buf[:runtime.Stack(buf, false)], []byte("goroutine "))
	id, _ := strconv.Atoi(string(buf[:bytes.IndexByte(buf, ' ')]))
	return id
}

//go:noinline
func holds(shape string, kind string, locks ...unsafe.Pointer) {
	table.Lock()
	for _, lock := range locks {
		fmt.Printf("HOLDS %s %d %#x %s\n", shape, goid(), uintptr(lock), kind)
	}
	table.Unlock()
}

// park waits for ever in one of three ways.
//
//go:noinline
func park(how int) {
	ready.Done()
	switch how % 3 {
	case 0:
		gate.Lock()
		gate.Unlock()
	case 1:
		<-never
	case 2:
		time.Sleep(time.Hour)
	}
}

func m(mu *sync.Mutex) unsafe.Pointer    { return unsafe.Pointer(mu) }
func w(rw *sync.RWMutex) unsafe.Pointer { return unsafe.Pointer(rw) }

type inner struct{ mu sync.Mutex }
type store struct {
	name string
	in   *inner
	mu   sync.Mutex
	rw   sync.RWMutex
	arr  [4]sync.Mutex
	l    sync.Locker
	any  map[string]*sync.Mutex
	sync.Mutex
}

var globals [8]struct {
	s  *store
	mu sync.Mutex
}

type guarded[T any] struct {
	mu    sync.Mutex
	value T
}

func (g *guarded[T]) with(f func(*T)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f(&g.value)
}

func (g *guarded[T]) withPlain(f func(*T)) {
	g.mu.Lock()
	f(&g.value)
	g.mu.Unlock()
}

func (s *store) lock()   { s.mu.Lock() }
func (s *store) unlock() { s.mu.Unlock() }

//go:noinline
func (s *store) acquire() { s.mu.Lock() }

//go:noinline
func (s *store) release() { s.mu.Unlock() }

func (s *store) locked() func() {
	s.mu.Lock()
	return s.mu.Unlock
}

func (s *store) lockedClosure() func() {
	s.mu.Lock()
	return func() { s.name = ""; s.mu.Unlock() }
}

func plain(s *store, how int) {
	s.mu.Lock()
	holds("plain", "mutex", m(&s.mu))
	park(how)
	s.mu.Unlock()
}

func deferred(s *store, how int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	holds("deferred", "mutex", m(&s.mu))
	park(how)
}

func early(s *store, how int) {
	s.mu.Lock()
	holds("early", "mutex", m(&s.mu))
	park(how)
	if s.name == "x" {
		s.mu.Unlock()
		return
	}
	s.name = "y"
	s.mu.Unlock()
}

func nested(s *store, how int) {
	s.mu.Lock()
	s.in.mu.Lock()
	s.arr[2].Lock()
	holds("nested", "mutex", m(&s.mu), m(&s.in.mu), m(&s.arr[2]))
	park(how)
	s.arr[2].Unlock()
	s.in.mu.Unlock()
	s.mu.Unlock()
}

func outer(s *store, how int) {
	s.mu.Lock()
	middle(s, how)
	s.mu.Unlock()
}

//go:noinline
func middle(s *store, how int) {
	s.Lock()
	defer s.Unlock()
	holds("frames", "mutex", m(&s.mu), m(&s.Mutex))
	park(how)
}

func viaHelpers(s *store, how int) {
	s.acquire()
	holds("helpers", "mutex", m(&s.mu))
	park(how)
	s.release()
}

func viaInlinedHelpers(s *store, how int) {
	s.lock()
	defer s.unlock()
	holds("inlined-helpers", "mutex", m(&s.mu))
	park(how)
}

func methodValue(s *store, how int) {
	unlock := s.locked()
	defer unlock()
	holds("method-value", "mutex", m(&s.mu))
	park(how)
}

func methodValuePlain(s *store, how int) {
	unlock := s.locked()
	holds("method-value-plain", "mutex", m(&s.mu))
	park(how)
	unlock()
}

func closureReturned(s *store, how int) {
	defer s.lockedClosure()()
	holds("closure-returned", "mutex", m(&s.mu))
	park(how)
}

func closureDefer(s *store, how int) {
	s.mu.Lock()
	s.rw.Lock()
	defer func() {
		s.rw.Unlock()
		s.mu.Unlock()
	}()
	holds("closure-defer", "mutex", m(&s.mu))
	holds("closure-defer", "write", w(&s.rw))
	park(how)
}

func locker(s *store, how int) {
	var l sync.Locker = &s.mu
	if how > 100 {
		l = &s.rw
	}
	l.Lock()
	holds("locker", "mutex", m(&s.mu))
	park(how)
	l.Unlock()
}

func lockerField(s *store, how int) {
	s.l = &s.mu
	s.l.Lock()
	defer s.l.Unlock()
	holds("locker-field", "mutex", m(&s.mu))
	park(how)
}

func rlocker(s *store, how int) {
	l := s.rw.RLocker()
	l.Lock()
	holds("rlocker", "read", w(&s.rw))
	park(how)
	l.Unlock()
}

func reader(s *store, how int) {
	s.rw.RLock()
	holds("reader", "read", w(&s.rw))
	park(how)
	s.rw.RUnlock()
}

func readerDeferred(s *store, how int) {
	s.rw.RLock()
	defer s.rw.RUnlock()
	holds("reader-deferred", "read", w(&s.rw))
	park(how)
}

func writer(s *store, how int) {
	s.rw.Lock()
	holds("writer", "write", w(&s.rw))
	park(how)
	s.rw.Unlock()
}

func writerDeferred(s *store, how int) {
	s.rw.Lock()
	defer s.rw.Unlock()
	holds("writer-deferred", "write", w(&s.rw))
	park(how)
}

func loopDefers(s *store, how int) {
	for i := range s.arr {
		s.arr[i].Lock()
		defer s.arr[i].Unlock()
	}
	holds("loop-defers", "mutex", m(&s.arr[0]), m(&s.arr[1]), m(&s.arr[2]), m(&s.arr[3]))
	park(how)
}

func loopUnlocks(s *store, how int) {
	for i := range s.arr {
		s.arr[i].Lock()
	}
	holds("loop-unlocks", "mutex", m(&s.arr[0]), m(&s.arr[1]), m(&s.arr[2]), m(&s.arr[3]))
	park(how)
	for i := range s.arr {
		s.arr[i].Unlock()
	}
}

func slice(s *store, how int) {
	locks := []*sync.Mutex{&s.mu, &s.in.mu}
	for _, l := range locks {
		l.Lock()
	}
	holds("slice", "mutex", m(&s.mu), m(&s.in.mu))
	park(how)
	for _, l := range locks {
		l.Unlock()
	}
}

func manyDefers(s *store, how int) {
	defer fmt.Sprint(1)
	defer fmt.Sprint(2)
	defer fmt.Sprint(3)
	defer fmt.Sprint(4)
	defer fmt.Sprint(5)
	defer fmt.Sprint(6)
	defer fmt.Sprint(7)
	defer fmt.Sprint(8)
	s.mu.Lock()
	defer s.mu.Unlock()
	holds("many-defers", "mutex", m(&s.mu))
	park(how)
}

func conditionalDefer(s *store, how int) {
	if how >= 0 {
		s.mu.Lock()
		defer s.mu.Unlock()
	}
	holds("conditional-defer", "mutex", m(&s.mu))
	park(how)
}

func flagged(s *store, how int) {
	locked := false
	if how >= 0 {
		s.mu.Lock()
		locked = true
	}
	holds("flagged", "mutex", m(&s.mu))
	park(how)
	if locked {
		s.mu.Unlock()
	}
}

func generic(s *store, how int) {
	g := &guarded[string]{}
	g.with(func(v *string) {
		queue(m(&g.mu))
		holds("generic", "mutex", m(&g.mu))
		park(how)
	})
}

func genericPlain(s *store, how int) {
	g := &guarded[int]{}
	g.withPlain(func(v *int) {
		queue(m(&g.mu))
		holds("generic-plain", "mutex", m(&g.mu))
		park(how)
	})
}

func once(s *store, how int) {
	o := &sync.Once{}
	mu := func() *sync.Mutex { return (*sync.Mutex)(unsafe.Pointer(uintptr(unsafe.Pointer(o)) + onceMutex)) }()
	o.Do(func() {
		queue(m(mu))
		holds("once", "mutex", m(mu))
		park(how)
	})
}

// Offset of Once.m: after done, an atomic.Uint32 (and from Go 1.24 on, a noCopy of no size).
const onceMutex = unsafe.Sizeof(sync.Once{}) - unsafe.Sizeof(sync.Mutex{})

func global(s *store, how int) {
	globals[how%8].mu.Lock()
	holds("global", "mutex", m(&globals[how%8].mu))
	queue(m(&globals[how%8].mu))
	park(how)
	globals[how%8].mu.Unlock()
}

func globalPointer(s *store, how int) {
	i := how % 8
	globals[i].s.mu.Lock()
	holds("global-pointer", "mutex", m(&globals[i].s.mu))
	queue(m(&globals[i].s.mu))
	park(how)
	globals[i].s.mu.Unlock()
}

func pointerField(s *store, how int) {
	s.in.mu.Lock()
	holds("pointer-field", "mutex", m(&s.in.mu))
	park(how)
	s.in.mu.Unlock()
}

func mapped(s *store, how int) {
	mu := s.any["a"]
	mu.Lock()
	defer mu.Unlock()
	queue(m(mu))
	holds("map", "mutex", m(mu))
	park(how)
}

func stackLock(s *store, how int) {
	mu := &sync.Mutex{}
	mu.Lock()
	go func() { mu.Lock(); mu.Unlock() }()
	holds("local", "mutex", m(mu))
	park(how)
	mu.Unlock()
}

func tryLock(s *store, how int) {
	for !s.mu.TryLock() {
		runtime.Gosched()
	}
	defer s.mu.Unlock()
	holds("trylock", "mutex", m(&s.mu))
	park(how)
}

func printing(s *store, how int) {
	s.mu.Lock()
	holds("printing", "mutex", m(&s.mu))
	park(how)
	fmt.Fprintln(os.Stderr, "after", s.name)
	s.mu.Unlock()
}

func inLoop(s *store, how int) {
	for {
		s.mu.Lock()
		holds("in-loop", "mutex", m(&s.mu))
		park(how)
		s.mu.Unlock()
	}
}

func switched(s *store, how int) {
	s.mu.Lock()
	holds("switch", "mutex", m(&s.mu))
	park(how)
	switch len(s.name) {
	case 0:
		s.name = "zero"
	case 1, 2, 3:
		s.name = "few"
	case 4:
		s.name = "four"
	case 5:
		s.name = "five"
	case 6:
		s.name = "six"
	case 7:
		s.name = "seven"
	case 8:
		s.name = "eight"
	case 9:
		s.name = "nine"
	default:
		s.name = "many"
	}
	s.mu.Unlock()
}

func recovered(s *store, how int) {
	defer func() {
		if r := recover(); r != nil {
			fmt.Fprintln(os.Stderr, r)
		}
		s.mu.Unlock()
	}()
	s.mu.Lock()
	holds("recovered", "mutex", m(&s.mu))
	park(how)
}

func panicking(s *store, how int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() {
		holds("panicking", "mutex", m(&s.mu))
		park(how)
		recover()
	}()
	panic("unwinding")
}

func goexiting(s *store, how int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() {
		holds("goexiting", "mutex", m(&s.mu))
		park(how)
	}()
	runtime.Goexit()
}

func inDefer(s *store, how int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() {
		holds("in-defer", "mutex", m(&s.mu))
		park(how)
	}()
}

func inLoopDefer(s *store, how int) {
	for i := 0; i < 1; i++ {
		s.mu.Lock()
		defer s.mu.Unlock()
		defer func() {
			holds("in-loop-defer", "mutex", m(&s.mu))
			park(how)
		}()
	}
}

func condHeld(s *store, how int) {
	s.mu.Lock()
	s.rw.Lock()
	holds("cond-other", "write", w(&s.rw))
	ready.Done()
	sync.NewCond(&s.mu).Wait() // holds rw, not mu
	s.mu.Unlock()
	s.rw.Unlock()
}

func argument(s *store, how int) {
	s.mu.Lock()
	takes(&s.mu, how)
}

//go:noinline
func takes(mu *sync.Mutex, how int) {
	defer mu.Unlock()
	holds("argument", "mutex", m(mu))
	park(how)
}

func selecting(s *store, how int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	holds("select", "mutex", m(&s.mu))
	ready.Done()
	select {
	case v := <-never:
		s.name = strconv.FormatBool(v)
	case other <- true:
	}
}

var queued sync.Map

// queue makes another goroutine wait for the mutex, once.
func queue(lock unsafe.Pointer) {
	if _, seen := queued.LoadOrStore(lock, true); !seen {
		go func() {
			mu := (*sync.Mutex)(lock)
			mu.Lock()
			mu.Unlock()
		}()
	}
}

func main() {
	for i := range globals {
		globals[i].s = &store{}
	}
	shapes := []func(*store, int){
		plain, deferred, early, nested, outer, viaHelpers, viaInlinedHelpers, methodValue,
		methodValuePlain, closureReturned, closureDefer, locker, lockerField, rlocker, reader,
		readerDeferred, writer, writerDeferred, loopDefers, loopUnlocks, slice, manyDefers,
		conditionalDefer, flagged, generic, genericPlain, once, global, globalPointer, pointerField,
		mapped, stackLock, tryLock, printing, inLoop, switched, recovered, panicking, goexiting,
		inDefer, inLoopDefer, condHeld, argument, selecting,
	}
	gate.Lock()
	for i, shape := range shapes {
		for how := 0; how < 3; how++ {
			if (i == 27 || i == 28) && how > 2 {
				continue
			}
			s := &store{in: &inner{}, any: map[string]*sync.Mutex{"a": {}}}
			ready.Add(1)
			go shape(s, how)
			ready.Wait()
			for _, mu := range []*sync.Mutex{&s.mu, &s.in.mu, &s.Mutex, &s.arr[0], &s.arr[1], &s.arr[2], &s.arr[3]} {
				if !mu.TryLock() {
					queue(m(mu))
				} else {
					mu.Unlock()
				}
			}
			go func() { s.rw.Lock(); s.rw.Unlock() }()
		}
	}
	time.Sleep(300 * time.Millisecond)
	fmt.Println("READY")
	time.Sleep(time.Minute)
}
