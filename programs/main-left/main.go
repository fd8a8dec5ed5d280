// Main waits for a channel that it gave to a worker, and the worker has returned without closing it:
// no habit, main is left behind.
//
// expect: proven unreachable goroutines=1 in=main.main
package main

import (
	"fmt"
	"net"
	"time"
)

func work(done chan struct{}, fail bool) {
	if fail {
		return
	}
	close(done)
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go listener.Accept()
	time.Sleep(100 * time.Millisecond)
	fmt.Println("READY")
	done := make(chan struct{})
	go work(done, true)
	<-done
}
