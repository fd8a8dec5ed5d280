// Main locks a mutex twice. The argument names what keeps Go's own detector from noticing.
package main

import (
	"net"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
	"time"
)

var kept any

func main() {
	var mutex sync.Mutex
	mutex.Lock()
	switch os.Args[1] {
	case "timer":
		go time.Sleep(time.Minute)
	case "network":
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			panic(err)
		}
		go listener.Accept()
	case "signal":
		signals := make(chan os.Signal, 1)
		signal.Notify(signals, syscall.SIGUSR1)
		kept = signals
	case "read":
		var pipe [2]int
		if err := syscall.Pipe(pipe[:]); err != nil {
			panic(err)
		}
		go syscall.Read(pipe[0], make([]byte, 1))
	case "busy":
		go func() {
			for {
				runtime.Gosched()
			}
		}()
	}
	os.Stdout.WriteString("ready\n")
	mutex.Lock()
}
