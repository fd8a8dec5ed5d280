// A server that leaks one goroutine per request, and a client that keeps asking.
//
// expect: growth in=main.handle
// expect: proven unreachable goroutines=+ in=main.slow
package main

import (
	"fmt"
	"time"
)

func slow(result chan int) {
	time.Sleep(time.Millisecond)
	result <- 1
}

func handle() {
	result := make(chan int)
	go slow(result)
	select {
	case <-result:
	case <-time.After(100 * time.Microsecond):
	}
}

func main() {
	fmt.Println("READY")
	for {
		handle()
		time.Sleep(20 * time.Millisecond)
	}
}
