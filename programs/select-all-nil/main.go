// A select whose channels are all nil: for the runtime a select like any other, and it never ends.
//
// expect: proven nil-channel goroutines=1 in=main.merge
// matrix: all
package main

import (
	"fmt"
	"time"
)

func merge(a, b <-chan int) {
	select {
	case <-a:
	case <-b:
	}
}

func main() {
	go merge(nil, nil)
	time.Sleep(100 * time.Millisecond)
	fmt.Println("READY")
	time.Sleep(time.Hour)
}
