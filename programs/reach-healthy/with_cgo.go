//go:build cgo

package main

/*
#include <unistd.h>
extern void goCallback(void *);
static void callBack(void *handle) { goCallback(handle); }
static void sleepLong(void) { sleep(3600); }
*/
import "C"

import (
	"runtime/cgo"
	"time"
	"unsafe"
)

// The only reference is in a Go frame below C frames: of a callback that sleeps, of a call that
// C does not return from, and in a handle.
func viaC() {
	a, b, c := make(chan int), make(chan int), make(chan int)
	waitOn(a)
	waitOn(b)
	waitOn(c)
	go func(ch chan int) {
		C.callBack(unsafe.Pointer(&[]byte{0}[0]))
		ch <- 1
	}(a)
	go func(ch chan int) {
		C.sleepLong()
		ch <- 1
	}(b)
	handle = cgo.NewHandle(c)
}

var handle cgo.Handle

//export goCallback
func goCallback(unsafe.Pointer) { time.Sleep(time.Hour) }
