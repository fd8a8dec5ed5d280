// main locks a mutex twice while an HTTP server waits for connections: silent, since a goroutine is
// in the network poller.
//
// expect: proven self-deadlock goroutines=1 in=main.main
package main

import (
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

var mu sync.Mutex

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go http.Serve(listener, nil)
	time.Sleep(100 * time.Millisecond)
	mu.Lock()
	fmt.Println("READY")
	mu.Lock()
	mu.Unlock()
	mu.Unlock()
}
