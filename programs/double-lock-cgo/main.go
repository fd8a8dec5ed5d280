// main locks a mutex twice in a program that links C: the extra thread kept for callbacks keeps
// Go's detector silent for ever.
//
// expect: proven self-deadlock goroutines=1 in=main.main
// build: cgo
package main

// static int one(void) { return 1; }
import "C"

import (
	"fmt"
	"sync"
)

var mu sync.Mutex

func main() {
	_ = C.one()
	mu.Lock()
	fmt.Println("READY")
	mu.Lock()
	mu.Unlock()
	mu.Unlock()
}
