// A receive from a nil channel never ends.
//
// expect: proven nil-channel goroutines=1 in=main.receive
package main

import (
	"fmt"
	"time"
)

func receive(c chan int) { <-c }

func main() {
	go receive(nil)
	time.Sleep(100 * time.Millisecond)
	fmt.Println("READY")
	time.Sleep(time.Hour)
}
