// Cycles of two goroutines, each of which releases its lock in another of the ways that Go has.
//
// expect: proven lock-cycle goroutines=2 in=main.openCoded
// expect: proven lock-cycle goroutines=2 in=main.deferredInLoop
// expect: proven lock-cycle goroutines=2 in=main.tooManyDefers
// expect: proven lock-cycle goroutines=2 in=main.deferredWhenTaken
// expect: proven lock-cycle goroutines=2 in=main.deferredClosure
// expect: proven lock-cycle goroutines=2 in=main.deferredArguments
// expect: proven lock-cycle goroutines=2 in=main.deferredInterface
// expect: proven lock-cycle goroutines=2 in=main.methodValues
// expect: proven lock-cycle goroutines=2 in=main.takenByHelper
// expect: proven lock-cycle goroutines=2 in=main.returnsRelease
// expect: proven lock-cycle goroutines=2 in=main.functionField
// expect: proven lock-cycle goroutines=2 in=main.errorPaths
// expect: proven lock-cycle goroutines=2 in=main.inLoops
// expect: proven lock-cycle goroutines=2 in=main.recovering
// expect: proven lock-cycle goroutines=2 in=main.unwinding
// expect: proven lock-cycle goroutines=2 in=main.exiting
// expect: proven lock-cycle goroutines=2 in=main.tried
// expect: proven lock-cycle goroutines=2 in=main.scoped
// expect: proven lock-cycle goroutines=2 in=main.inDeferred
// expect: proven lock-cycle goroutines=2 in=main.allAtOnce
// matrix: all
package main

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"
)

// meeting lets its goroutines go on once all have come.
type meeting struct{ sync.WaitGroup }

func (m *meeting) here() {
	m.Done()
	m.Wait()
}

// across runs both halves of a cycle.
func across(half func(mine, other *sync.Mutex, both *meeting)) {
	a, b, both := &sync.Mutex{}, &sync.Mutex{}, &meeting{}
	both.Add(2)
	go half(a, b, both)
	go half(b, a, both)
}

func openCoded(mine, other *sync.Mutex, both *meeting) {
	mine.Lock()
	defer mine.Unlock()
	both.here()
	other.Lock()
	defer other.Unlock()
}

func deferredInLoop(mine, other *sync.Mutex, both *meeting) {
	for i, mu := range []*sync.Mutex{mine, other} {
		if i == 1 {
			both.here()
		}
		mu.Lock()
		defer mu.Unlock()
	}
}

func tooManyDefers(mine, other *sync.Mutex, both *meeting) {
	defer fmt.Sprint(1)
	defer fmt.Sprint(2)
	defer fmt.Sprint(3)
	defer fmt.Sprint(4)
	defer fmt.Sprint(5)
	defer fmt.Sprint(6)
	defer fmt.Sprint(7)
	defer fmt.Sprint(8)
	mine.Lock()
	defer mine.Unlock()
	both.here()
	other.Lock()
	defer other.Unlock()
}

//go:noinline
func deferredWhenTaken(mine, other *sync.Mutex, both *meeting) {
	if mine != nil {
		mine.Lock()
		defer mine.Unlock()
	}
	both.here()
	if other != nil {
		other.Lock()
		defer other.Unlock()
	}
}

func deferredClosure(mine, other *sync.Mutex, both *meeting) {
	taken := 0
	defer func() {
		if taken > 1 {
			other.Unlock()
		}
		mine.Unlock()
	}()
	mine.Lock()
	taken++
	both.here()
	other.Lock()
	taken++
}

//go:noinline
func unlock(mu *sync.Mutex, why string) {
	if why == "" {
		fmt.Print(why)
	}
	mu.Unlock()
}

func deferredArguments(mine, other *sync.Mutex, both *meeting) {
	mine.Lock()
	defer unlock(mine, "done")
	both.here()
	other.Lock()
	defer unlock(other, "done")
}

func deferredInterface(mine, other *sync.Mutex, both *meeting) {
	var l sync.Locker = mine
	l.Lock()
	defer l.Unlock()
	both.here()
	l = other
	l.Lock()
	defer l.Unlock()
}

func methodValues(mine, other *sync.Mutex, both *meeting) {
	lock, release := mine.Lock, mine.Unlock
	lock()
	both.here()
	other.Lock()
	other.Unlock()
	release()
}

type protected struct {
	mu    *sync.Mutex
	count int
}

//go:noinline
func (p *protected) begin() *protected {
	p.mu.Lock()
	p.count++
	return p
}

//go:noinline
func (p *protected) end() {
	p.count--
	p.mu.Unlock()
}

func takenByHelper(mine, other *sync.Mutex, both *meeting) {
	p := (&protected{mu: mine}).begin()
	both.here()
	q := (&protected{mu: other}).begin()
	q.end()
	p.end()
}

//go:noinline
func locked(mu *sync.Mutex) (release func()) {
	mu.Lock()
	began := time.Now()
	return func() {
		mu.Unlock()
		_ = time.Since(began)
	}
}

func returnsRelease(mine, other *sync.Mutex, both *meeting) {
	release := locked(mine)
	defer release()
	both.here()
	defer locked(other)()
}

type transaction struct {
	commit func()
	rows   []int
}

func functionField(mine, other *sync.Mutex, both *meeting) {
	mine.Lock()
	t := &transaction{commit: func() { mine.Unlock() }}
	both.here()
	other.Lock()
	t.rows = append(t.rows, 1)
	other.Unlock()
	t.commit()
}

var errEmpty = errors.New("empty")

//go:noinline
func check(rows int) error {
	if rows == 0 {
		return errEmpty
	}
	return nil
}

//go:noinline
func errorPaths(mine, other *sync.Mutex, both *meeting) error {
	mine.Lock()
	both.here()
	other.Lock()
	if err := check(0); err != nil {
		other.Unlock()
		mine.Unlock()
		return fmt.Errorf("first: %w", err)
	}
	other.Unlock()
	if err := check(1); err != nil {
		mine.Unlock()
		return fmt.Errorf("second: %w", err)
	}
	mine.Unlock()
	return nil
}

func inLoops(mine, other *sync.Mutex, both *meeting) {
	for round := 0; ; round++ {
		mine.Lock()
		if round == 0 {
			both.here()
		}
		other.Lock()
		other.Unlock()
		mine.Unlock()
	}
}

func recovering(mine, other *sync.Mutex, both *meeting) {
	defer func() {
		if r := recover(); r != nil {
			fmt.Println(r)
		}
	}()
	mine.Lock()
	defer mine.Unlock()
	both.here()
	other.Lock()
	defer other.Unlock()
	panic("not reached")
}

func unwinding(mine, other *sync.Mutex, both *meeting) {
	defer func() { _ = recover() }()
	mine.Lock()
	defer mine.Unlock()
	defer func() {
		both.here()
		other.Lock()
		other.Unlock()
	}()
	panic("under way")
}

func exiting(mine, other *sync.Mutex, both *meeting) {
	mine.Lock()
	defer mine.Unlock()
	defer func() {
		both.here()
		other.Lock()
		other.Unlock()
	}()
	runtime.Goexit()
}

func tried(mine, other *sync.Mutex, both *meeting) {
	for !mine.TryLock() {
		runtime.Gosched()
	}
	both.here()
	other.Lock()
	other.Unlock()
	mine.Unlock()
}

//go:noinline
func with(mu *sync.Mutex, do func() error) error {
	mu.Lock()
	defer mu.Unlock()
	return do()
}

func scoped(mine, other *sync.Mutex, both *meeting) {
	_ = with(mine, func() error {
		both.here()
		return with(other, func() error { return nil })
	})
}

func inDeferred(mine, other *sync.Mutex, both *meeting) {
	defer func() {
		mine.Lock()
		defer mine.Unlock()
		both.here()
		other.Lock()
		defer other.Unlock()
	}()
}

func allAtOnce(mine, other *sync.Mutex, both *meeting) {
	locks := []*sync.Mutex{mine, other}
	release := func() {
		for i := len(locks) - 1; i >= 0; i-- {
			locks[i].Unlock()
		}
	}
	defer release()
	for i, mu := range locks {
		if i == 1 {
			both.here()
		}
		mu.Lock()
	}
}

func main() {
	for _, half := range []func(mine, other *sync.Mutex, both *meeting){
		openCoded, deferredInLoop, tooManyDefers, deferredWhenTaken, deferredClosure,
		deferredArguments, deferredInterface, methodValues, takenByHelper, returnsRelease,
		functionField, inLoops, recovering, unwinding, exiting, tried, scoped, inDeferred, allAtOnce,
	} {
		across(half)
	}
	across(func(mine, other *sync.Mutex, both *meeting) { _ = errorPaths(mine, other, both) })
	time.Sleep(300 * time.Millisecond)
	fmt.Println("READY")
	time.Sleep(time.Hour)
}
