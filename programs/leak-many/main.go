// Ten thousand requests, or as many as its argument says, time out; each leaves a goroutine behind that holds 4 KiB and can never send.
//
// Now and then one answers in time, when another thread takes it up at once: the number is not asserted.
//
// expect: proven unreachable goroutines=+ in=main.answer
package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
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
	count := requests
	if len(os.Args) > 1 {
		count, _ = strconv.Atoi(os.Args[1])
	}
	for i := 0; i < count; i++ {
		request()
	}
	time.Sleep(200 * time.Millisecond)
	fmt.Println("READY")
	time.Sleep(2 * time.Minute)
}
