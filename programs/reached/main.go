// Goroutines that wait for channels which are reached in one way each: by a field of a package variable,
// a slice, an interface, the frame of a goroutine that sleeps. For `gostuck explain`, by tests of its own.
package main

import (
	"fmt"
	"time"
)

type subscriber struct {
	name string
	ch   chan int
}

type hub struct {
	subs  []*subscriber
	named interface{}
	large [100]*subscriber
}

type server struct {
	name string
	hub  *hub
}

var state server

//go:noinline
func bySlice(s *subscriber) { fmt.Println(<-s.ch) }

//go:noinline
func byInterface(s *subscriber) { fmt.Println(<-s.ch) }

//go:noinline
func byArray(s *subscriber) { fmt.Println(<-s.ch) }

//go:noinline
func byFrame(s *subscriber) { fmt.Println(<-s.ch) }

//go:noinline
func sendLater(s *subscriber) {
	time.Sleep(time.Hour)
	s.ch <- 1
}

func subscribe() *subscriber { return &subscriber{ch: make(chan int)} }

func main() {
	h := new(hub)
	for i := 0; i < 3; i++ {
		h.subs = append(h.subs, subscribe())
	}
	named := subscribe()
	h.named = named
	h.large[7] = subscribe()
	state.hub = h
	go bySlice(h.subs[2])
	go byInterface(named)
	go byArray(h.large[7])
	later := subscribe()
	go byFrame(later)
	go sendLater(later)
	time.Sleep(50 * time.Millisecond)
	fmt.Println("READY")
	time.Sleep(time.Hour)
	fmt.Println(state.name, state.hub)
}
