// A reader takes the read lock a second time while a writer waits in between: the writer waits for
// the reader, the reader queues behind the writer.
//
// expect: proven lock-cycle goroutines=2
// matrix: all
package main

import (
	"fmt"
	"sync"
	"time"
)

var mu sync.RWMutex

func get() int {
	mu.RLock()
	defer mu.RUnlock()
	return 1
}

func reader() {
	mu.RLock()
	defer mu.RUnlock()
	time.Sleep(100 * time.Millisecond)
	_ = get()
}

func writer() {
	time.Sleep(50 * time.Millisecond)
	mu.Lock()
	defer mu.Unlock()
}

func main() {
	go reader()
	go writer()
	time.Sleep(300 * time.Millisecond)
	fmt.Println("READY")
	time.Sleep(time.Hour)
}
