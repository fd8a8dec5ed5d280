// A target that ends, or becomes another program, while it is looked at. Used by tests/robustness.
package main

import (
	"fmt"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// crowd waits with so many others for a channel that a timer would close.
func crowd(count int) {
	var started sync.WaitGroup
	done := make(chan struct{})
	for i := 0; i < count; i++ {
		started.Add(1)
		go func() {
			started.Done()
			<-done
		}()
	}
	started.Wait()
	fmt.Println("READY")
	time.Sleep(2 * time.Minute)
	close(done)
}

func main() {
	number, _ := strconv.Atoi(os.Args[2])
	switch os.Args[1] {
	case "crowd":
		crowd(number)
	case "brief":
		fmt.Println("READY")
		time.Sleep(time.Duration(number) * time.Millisecond)
	case "exec":
		fmt.Println("READY")
		time.Sleep(time.Duration(number) * time.Millisecond)
		syscall.Exec("/proc/self/exe", []string{"again", "crowd", "10"}, os.Environ())
	}
}
