// Healthy: goroutines that go on with a lock or without it, as package-level errors say which are written in
// several ways: by name, through a pointer, by reflection, as a part of a larger variable. Who goes on
// without an error may not have the lock.
//
// expect: healthy
package main

import (
	"errors"
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"
	"time"
)

var (
	errPointed   = errors.New("pointed")
	errReflected = errors.New("reflected")
	errAssigned  = errors.New("assigned")
	errIn        = [2]error{errors.New("zero"), errors.New("one")}
	errHeld      = struct {
		n   int
		err error
	}{err: errors.New("held")}
)

// An address in the data of the program.
var pointer = &errPointed

var errs = []func() error{
	func() error { return errPointed },
	func() error { return errReflected },
	func() error { return errAssigned },
	func() error { return errIn[1] },
	func() error { return errHeld.err },
}

type store struct {
	mu, log sync.Mutex
	free    atomic.Bool
	rounds  atomic.Int64
}

// acquire returns without the lock and without an error while the variable is nil.
//
//go:noinline
func (s *store) acquire(which int) (err error) {
	if s.free.Load() {
		switch which {
		case 0:
			return errPointed
		case 1:
			return errReflected
		case 2:
			return errAssigned
		case 3:
			return errIn[1]
		default:
			return errHeld.err
		}
	}
	s.mu.Lock()
	return nil
}

func (s *store) add(which int) {
	for {
		free := s.free.Load()
		if err := s.acquire(which); err != nil {
			time.Sleep(time.Millisecond)
			continue
		}
		s.log.Lock()
		time.Sleep(time.Millisecond)
		s.log.Unlock()
		if !free && s.mu.TryLock() {
			panic("it had the lock")
		}
		if !free {
			s.mu.Unlock()
		}
		s.rounds.Add(1)
	}
}

// flush takes both the other way round, while nobody takes the first.
func (s *store) flush() {
	for {
		s.log.Lock()
		if s.free.Load() {
			s.mu.Lock()
			time.Sleep(time.Millisecond)
			s.mu.Unlock()
		}
		s.log.Unlock()
		time.Sleep(time.Millisecond)
	}
}

func set(errs [5]error) {
	*pointer = errs[0]
	value := reflect.ValueOf(&errReflected).Elem()
	if errs[1] == nil {
		value.Set(reflect.Zero(value.Type()))
	} else {
		value.Set(reflect.ValueOf(errs[1]))
	}
	errAssigned = errs[2]
	for i := range errIn {
		errIn[i] = errs[3]
	}
	held := &errHeld
	held.err = errs[4]
}

func main() {
	before := [5]error{errPointed, errReflected, errAssigned, errIn[1], errHeld.err}
	set([5]error{})
	stores := make([]*store, len(errs))
	for which := range stores {
		stores[which] = &store{}
		stores[which].free.Store(true)
		go stores[which].add(which)
		go stores[which].add(which)
		go stores[which].flush()
	}
	fmt.Println("READY")
	for range time.Tick(100 * time.Millisecond) {
		set(before)
		time.Sleep(5 * time.Millisecond)
		set([5]error{})
		for which := range stores {
			fmt.Println(stores[which].rounds.Load(), errs[which]())
		}
	}
}
