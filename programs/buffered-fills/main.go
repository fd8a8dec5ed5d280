// A buffered channel whose reader gave up: the writer blocks once it is full.
//
// expect: proven unreachable goroutines=1 in=main.write
package main

import (
	"fmt"
	"time"
)

func write(c chan int) {
	for i := 0; ; i++ {
		c <- i
	}
}

func start() {
	c := make(chan int, 8)
	go write(c)
	<-c
}

func main() {
	start()
	time.Sleep(100 * time.Millisecond)
	fmt.Println("READY")
	time.Sleep(time.Hour)
}
