// A hub's loop sends to its own channel, from which only the loop receives: it waits for itself. The hub
// is a global, so that anybody could come to receive. Those who broadcast, and the clients who want to
// leave, wait behind it: one finding.
//
// expect: suspected self-deadlock goroutines=1 in=main.(*hub).run
package main

import (
	"fmt"
	"time"
)

type hub struct {
	clients   map[int]bool
	leave     chan int
	broadcast chan string
}

var chat = &hub{clients: map[int]bool{1: true, 2: false}, leave: make(chan int), broadcast: make(chan string)}

func (h *hub) run() {
	for {
		select {
		case message := <-h.broadcast:
			for client, alive := range h.clients {
				if !alive {
					h.leave <- client
				}
				fmt.Print(message)
			}
		case client := <-h.leave:
			delete(h.clients, client)
		}
	}
}

func main() {
	go chat.run()
	for i := 0; i < 20; i++ {
		go func() { chat.broadcast <- "" }()
		go func() { chat.leave <- 3 }()
	}
	time.Sleep(100 * time.Millisecond)
	fmt.Println("READY")
	for range time.Tick(50 * time.Millisecond) {
	}
}
