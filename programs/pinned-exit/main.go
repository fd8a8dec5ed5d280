// Workers pin their threads and end without unlocking: the runtime ends such threads with them
// (Go 1.10 and later), so that nothing leaks and nothing is to be told.
//
// expect: threads pinned=0
// matrix: all
package main

import (
	"fmt"
	"runtime"
	"sync"
	"time"
)

func main() {
	var wg sync.WaitGroup
	for i := 0; i < 200; i++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			runtime.LockOSThread()
			time.Sleep(time.Millisecond)
		}()
	}
	wg.Wait()
	time.Sleep(500 * time.Millisecond)
	fmt.Println("READY")
	time.Sleep(time.Hour)
}
