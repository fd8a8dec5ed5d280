// A goroutine receives from a channel that nobody else has; a ticker keeps the process alive.
//
// expect: proven unreachable goroutines=1 in=main.read
package main

import (
	"fmt"
	"time"
)

func read(c chan int) { <-c }

func start() { go read(make(chan int)) }

func main() {
	start()
	time.Sleep(100 * time.Millisecond)
	fmt.Println("READY")
	for range time.NewTicker(100 * time.Millisecond).C {
	}
}
