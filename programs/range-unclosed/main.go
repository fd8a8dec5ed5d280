// A consumer ranges over a channel that its producer forgets to close.
//
// expect: proven unreachable goroutines=1 in=main.consume
package main

import (
	"fmt"
	"time"
)

func consume(jobs <-chan int) {
	for job := range jobs {
		_ = job
	}
}

func produce() {
	jobs := make(chan int)
	go consume(jobs)
	for i := 0; i < 10; i++ {
		jobs <- i
	}
}

func main() {
	produce()
	time.Sleep(100 * time.Millisecond)
	fmt.Println("READY")
	time.Sleep(time.Hour)
}
