// Two goroutines both send before they receive.
//
// expect: proven unreachable goroutines=2 in=main.peer
package main

import (
	"fmt"
	"time"
)

func peer(out, in chan string) {
	out <- "hello"
	<-in
}

func start() {
	a, b := make(chan string), make(chan string)
	go peer(a, b)
	go peer(b, a)
}

func main() {
	start()
	time.Sleep(100 * time.Millisecond)
	fmt.Println("READY")
	time.Sleep(time.Hour)
}
