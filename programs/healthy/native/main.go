// Locks held across calls of C, and taken in calls from C back into Go.
//
// expect: healthy
// build: cgo
package main

/*
#include <time.h>

static void nap(long ns) {
	struct timespec t = {0, ns};
	nanosleep(&t, 0);
}

void goCallback(void);

static void call_back(void) { goCallback(); }
*/
import "C"

import (
	"fmt"
	"sync"
	"time"
)

var (
	outer, inner sync.Mutex
	calls        int
)

//export goCallback
func goCallback() {
	inner.Lock()
	calls++
	time.Sleep(50 * time.Microsecond)
	inner.Unlock()
}

func main() {
	for i := 0; i < 4; i++ {
		go func() {
			for {
				outer.Lock()
				C.nap(200000)
				outer.Unlock()
				time.Sleep(200 * time.Microsecond)
			}
		}()
		go func() {
			for {
				outer.Lock()
				C.call_back()
				outer.Unlock()
				inner.Lock()
				C.nap(50000)
				inner.Unlock()
				time.Sleep(200 * time.Microsecond)
			}
		}()
	}
	fmt.Println("READY")
	time.Sleep(time.Hour)
}
