// Workers serve; main parks in an empty select: a habit, not a fault.
//
// expect: healthy
package main

import (
	"fmt"
	"time"
)

func main() {
	jobs := make(chan int)
	go func() {
		for i := 0; ; i++ {
			jobs <- i
			time.Sleep(time.Millisecond)
		}
	}()
	go func() {
		for range jobs {
		}
	}()
	fmt.Println("READY")
	select {}
}
