// Goroutines pin their threads and never unlock them.
//
// expect: threads pinned=200
package main

import (
	"fmt"
	"runtime"
	"time"
)

func pinned() {
	runtime.LockOSThread()
	time.Sleep(time.Hour)
}

func main() {
	for i := 0; i < 200; i++ {
		go pinned()
	}
	time.Sleep(500 * time.Millisecond)
	fmt.Println("READY")
	time.Sleep(time.Hour)
}
