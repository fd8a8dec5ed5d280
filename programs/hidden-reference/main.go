// Healthy: whoever unlocks the mutex, or answers on the channel, keeps the pointer to it in an integer, as its
// code shows. The collector would not follow that, and need not: the waiter's stack keeps the object.
//
// expect: healthy
// matrix: all
package main

import (
	"fmt"
	"sync"
	"time"
	"unsafe"
)

//go:noinline
func hide[T any](p *T) uintptr { return uintptr(unsafe.Pointer(p)) }

func unlocks(hidden uintptr) {
	time.Sleep(3 * time.Second)
	(*sync.Mutex)(unsafe.Pointer(hidden)).Unlock()
}

func lock() {
	for {
		mu := new(sync.Mutex)
		mu.Lock()
		go unlocks(hide(mu))
		mu.Lock()
		mu.Unlock()
	}
}

type question struct {
	answer chan int
	asked  int
}

func answers(hidden uintptr) {
	time.Sleep(3 * time.Second)
	(*question)(unsafe.Pointer(hidden)).answer <- 1
}

func ask() {
	for asked := 1; ; asked++ {
		q := &question{make(chan int), asked}
		go answers(hide(q))
		<-q.answer
	}
}

func main() {
	go lock()
	go ask()
	fmt.Println("READY")
	for {
		time.Sleep(time.Second)
	}
}
