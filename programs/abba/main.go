// Two goroutines take two package-level mutexes in opposite order.
//
// expect: proven lock-cycle goroutines=2 in=main.lockBoth
// matrix: all
package main

import (
	"fmt"
	"sync"
	"time"
)

var a, b sync.Mutex

func lockBoth(first, second *sync.Mutex) {
	first.Lock()
	defer first.Unlock()
	time.Sleep(50 * time.Millisecond)
	second.Lock()
	defer second.Unlock()
}

func main() {
	go lockBoth(&a, &b)
	go lockBoth(&b, &a)
	time.Sleep(300 * time.Millisecond)
	fmt.Println("READY")
	time.Sleep(time.Hour)
}
