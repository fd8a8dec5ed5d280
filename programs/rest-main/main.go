// Main keeps the program running by receiving from a channel that it makes on the spot: a habit like
// `select {}`, shown and never alarmed. Its servant is idle.
//
// expect: quiet
// matrix: all
package main

import (
	"fmt"
	"net"
	"time"
)

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			connection.Close()
		}
	}()
	time.Sleep(100 * time.Millisecond)
	fmt.Println("READY")
	done := make(chan struct{})
	<-done
}
