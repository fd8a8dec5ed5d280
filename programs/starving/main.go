// The same tight loop without asynchronous preemption: nobody else runs again.
//
// env: GODEBUG=asyncpreemptoff=1
// expect: starvation in=main.worker
package main

import (
	"fmt"
	"runtime"
	"time"
)

var counter uint64

func worker(jobs chan int) {
	for range jobs {
	}
}

func main() {
	runtime.GOMAXPROCS(1)
	jobs := make(chan int, 8)
	for i := 0; i < 4; i++ {
		go worker(jobs)
	}
	time.Sleep(50 * time.Millisecond)
	fmt.Println("READY")
	for i := 0; i < 4; i++ {
		jobs <- i
	}
	for {
		counter++
	}
}
