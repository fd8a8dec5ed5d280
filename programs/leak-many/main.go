// Ten thousand requests time out; each leaves a goroutine behind that holds 4 KiB and can never send.
//
// Now and then one answers in time, when another thread takes it up at once: the number is not asserted.
//
// expect: proven unreachable goroutines=+ in=main.answer
package main

import (
	"fmt"
	"runtime"
	"time"
)

const (
	requests = 10_000
	held     = 4096
)

func answer(result chan<- []byte) {
	body := make([]byte, held)
	result <- body
	runtime.KeepAlive(body)
}

func request() {
	result := make(chan []byte)
	go answer(result)
	select {
	case <-result:
	default: // it took too long
	}
}

func main() {
	for i := 0; i < requests; i++ {
		request()
	}
	time.Sleep(200 * time.Millisecond)
	fmt.Println("READY")
	time.Sleep(2 * time.Minute)
}
