//go:build go1.23

package main

import (
	"iter"
	"time"
)

// The only reference is on the stack of a coroutine that waits for its partner.
func viaCoroutine() {
	ch := make(chan int)
	waitOn(ch)
	next, _ := iter.Pull(func(yield func(int) bool) {
		if yield(0) {
			ch <- 1
		}
	})
	next()
	go func() {
		time.Sleep(time.Hour)
		next()
	}()
}
