// A goroutine that the runtime's own goroutineleak profile has found leaked, and marked. A weak pointer
// leads to its channel, so that nothing else tells whether somebody may still send on it.
//
// expect: proven unreachable goroutines=1 in=main.receive
// go: >=1.27
// matrix: all
package main

import (
	"fmt"
	"io"
	"runtime/pprof"
	"time"
	"weak"
)

type box struct{ c chan int }

//go:noinline
func receive(b *box) {
	<-b.c
	b.c = nil
}

//go:noinline
func leak() weak.Pointer[box] {
	b := &box{make(chan int)}
	go receive(b)
	return weak.Make(b)
}

var handle weak.Pointer[box]

func main() {
	handle = leak()
	time.Sleep(50 * time.Millisecond)
	pprof.Lookup("goroutineleak").WriteTo(io.Discard, 0)
	fmt.Println("READY")
	time.Sleep(time.Hour)
	fmt.Println(handle)
}
