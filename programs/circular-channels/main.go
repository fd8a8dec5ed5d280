// Three goroutines, each waiting for the one before it.
//
// expect: proven unreachable goroutines=3 in=main.stage
package main

import (
	"fmt"
	"time"
)

func stage(in <-chan int, out chan<- int) {
	out <- <-in
}

func start() {
	a, b, c := make(chan int), make(chan int), make(chan int)
	go stage(a, b)
	go stage(b, c)
	go stage(c, a)
}

func main() {
	start()
	time.Sleep(100 * time.Millisecond)
	fmt.Println("READY")
	time.Sleep(time.Hour)
}
