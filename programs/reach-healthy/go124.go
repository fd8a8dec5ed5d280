//go:build go1.24

package main

import (
	"runtime"
	"time"
	"weak"
)

// As long as the waiter holds the object, a weak pointer leads to it.
func viaWeakPointer() {
	h := &holder{ch: make(chan int)}
	keep(weak.Make(h), func(w weak.Pointer[holder]) {
		if h := w.Value(); h != nil {
			h.ch <- 1
		}
	})
	go func(h *holder) {
		<-h.ch
		runtime.KeepAlive(h)
	}(h)
}

var cleanedUp *holder

func viaCleanup() {
	ch := make(chan int)
	cleanedUp = new(holder)
	runtime.AddCleanup(cleanedUp, func(ch chan int) { close(ch) }, ch)
	waitOn(ch)
	// And one that the collector sets off again and again.
	go func() {
		for {
			ch := make(chan int)
			func() { runtime.AddCleanup(new(holder), func(ch chan int) { close(ch) }, ch) }()
			done := make(chan int)
			go func(ch chan int) { <-ch; close(done) }(ch)
			ch = nil
			<-done
			time.Sleep(time.Microsecond)
		}
	}()
}
