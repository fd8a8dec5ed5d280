// A tight loop at GOMAXPROCS=1. Since Go 1.14 sysmon preempts it after 10 ms, so that the others
// get their turn: slow, but nobody starves and nothing is to be told.
//
// expect: quiet
package main

import (
	"fmt"
	"runtime"
	"time"
)

var counter uint64

func spin() {
	for {
		counter++
	}
}

func main() {
	runtime.GOMAXPROCS(1)
	done := make(chan uint64)
	go func() {
		for range done {
		}
	}()
	go spin()
	time.AfterFunc(90*time.Second, func() { panic("over") })
	fmt.Println("READY")
	for {
		time.Sleep(10 * time.Millisecond)
		done <- 1
	}
}
