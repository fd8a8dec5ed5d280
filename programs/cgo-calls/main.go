// Every request calls into C, which blocks: each call takes a thread of its own, without bound.
//
// build: cgo
// expect: thread-growth in=main.request
package main

/*
#include <unistd.h>
static void blocks(void) { sleep(3600); }
*/
import "C"

import (
	"fmt"
	"time"
)

func request() {
	C.blocks()
}

func main() {
	fmt.Println("READY")
	for i := 0; i < 600; i++ {
		go request()
		time.Sleep(100 * time.Millisecond)
	}
	time.Sleep(time.Hour)
}
