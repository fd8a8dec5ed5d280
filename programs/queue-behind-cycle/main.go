// Fifty goroutines queue behind a cycle of two.
//
// expect: proven lock-cycle goroutines=2 in=main.lockBoth
// expect: proven queued goroutines=50 in=main.useFirst
package main

import (
	"fmt"
	"sync"
	"time"
)

type server struct{ first, second sync.Mutex }

var global = &server{}

func lockBoth(a, b *sync.Mutex) {
	a.Lock()
	time.Sleep(50 * time.Millisecond)
	b.Lock()
	b.Unlock()
	a.Unlock()
}

func useFirst() {
	global.first.Lock()
	defer global.first.Unlock()
}

func main() {
	go lockBoth(&global.first, &global.second)
	go lockBoth(&global.second, &global.first)
	time.Sleep(200 * time.Millisecond)
	for i := 0; i < 50; i++ {
		go useFirst()
	}
	time.Sleep(200 * time.Millisecond)
	fmt.Println("READY")
	time.Sleep(time.Hour)
}
