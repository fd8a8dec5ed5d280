// A program whose runtime's tables are made to cost whoever reads them as much as they can.
//
//	tables stacks N      N goroutines that claim stacks of 1 GiB, of zeroes
//	tables returns N     N goroutines that claim one stack of 256 MiB, of return addresses
//	tables defers N      N goroutines whose list of deferred calls leads back to itself
//	tables treap N       N entries in the tree of those who wait for semaphores
//	tables goroutines N  a list of N goroutines, nearly all of them copies
//	tables unlocks N     one goroutine that has locked N mutexes, and unlocks them by deferred calls;
//	                     nothing was changed here
//	tables holding N     N goroutines that each hold two dozen locks and wait for one more;
//	                     nor here
package main

import (
	"fmt"
	"log"
	"os"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"gostuck.example/programs/hostile/own"
)

// parked starts so many goroutines that wait for ever, and gives the addresses of their structs.
func parked(runtime *own.Runtime, count int) []uintptr {
	never := make(chan int)
	before := len(runtime.Goroutines())
	for i := 0; i < count; i++ {
		go func() { <-never }()
	}
	time.Sleep(500 * time.Millisecond)
	all := runtime.Goroutines()
	// Dead ones may have been used again: the last are new for certain.
	if len(all)-before < count {
		before = len(all) - count
	}
	return all[before:]
}

// claim gives a goroutine another stack, which it is to have used up nearly all of.
func claim(runtime *own.Runtime, g, stack, bytes uintptr) {
	at := g + runtime.Offset("runtime.g", "stack")
	sched := g + runtime.Offset("runtime.g", "sched")
	*own.Word(at + runtime.Offset("runtime.stack", "lo")) = stack
	*own.Word(at + runtime.Offset("runtime.stack", "hi")) = stack + bytes
	*own.Word(sched + runtime.Offset("runtime.gobuf", "sp")) = stack + 4096
}

func stacks(runtime *own.Runtime, count int) {
	const bytes = 1 << 30
	stack := own.Map(bytes)
	for _, g := range parked(runtime, count) {
		claim(runtime, g, stack, bytes)
	}
}

func returns(runtime *own.Runtime, count int) {
	const bytes = 256 << 20
	stack := own.Map(bytes)
	gs := parked(runtime, count)
	pc := *own.Word(gs[0] + runtime.Offset("runtime.g", "sched") + runtime.Offset("runtime.gobuf", "pc"))
	for at := stack; at < stack+bytes; at += 8 {
		*own.Word(at) = pc
	}
	for _, g := range gs {
		claim(runtime, g, stack, bytes)
	}
}

func defers(runtime *own.Runtime, count int) {
	record := own.Map(4096)
	*own.Word(record + runtime.Offset("runtime._defer", "link")) = record
	for _, g := range parked(runtime, count) {
		*own.Word(g + runtime.Offset("runtime.g", "_defer")) = record
	}
}

func treap(runtime *own.Runtime, count int) {
	size := runtime.Size("runtime.sudog")
	first := own.Map(size * uintptr(count+1))
	field := func(name string) uintptr { return runtime.Offset("runtime.sudog", name) }
	g, prev, next, elem := field("g"), field("prev"), field("next"), field("elem")
	main := runtime.Goroutines()[0]
	for i := uintptr(0); i < uintptr(count); i++ {
		at := first + i*size
		*own.Word(at + g) = main
		*own.Word(at + elem) = first + i*8
		// Half a tree: two below each.
		for side, to := range map[uintptr]uintptr{prev: 2*i + 1, next: 2*i + 2} {
			if to < uintptr(count) {
				*own.Word(at + side) = first + to*size
			}
		}
	}
	runtime.SetTreap(first)
}

func goroutines(runtime *own.Runtime, count int) {
	size := (runtime.Size("runtime.g") + 63) &^ 63
	one := parked(runtime, 1)[0]
	copies := own.Map(size * uintptr(count))
	list := own.Map(8 * uintptr(count+1024))
	known := runtime.Goroutines()
	for i, g := range known {
		*own.Word(list + 8*uintptr(i)) = g
	}
	scheduled := runtime.Offset("runtime.g", "sched") + runtime.Offset("runtime.gobuf", "g")
	goid := runtime.Offset("runtime.g", "goid")
	for i := len(known); i < count; i++ {
		at := copies + uintptr(i)*size
		for word := uintptr(0); word < size; word += 8 {
			*own.Word(at + word) = *own.Word(one + word)
		}
		*own.Word(at + scheduled) = at
		*own.Word(at + goid) = uintptr(1000 + i)
		*own.Word(list + 8*uintptr(i)) = at
	}
	header := runtime.Variable("runtime.allgs")
	*own.Word(header + 16) = uintptr(count)
	*own.Word(header) = list
	*own.Word(header + 8) = uintptr(count)
}

func unlocks(count int) {
	locks := make([]sync.Mutex, count)
	var queue sync.Mutex
	locked := make(chan struct{})
	queue.Lock()
	go func() {
		for i := range locks {
			locks[i].Lock()
			defer locks[i].Unlock()
		}
		close(locked)
		queue.Lock()
	}()
	<-locked
	go locks[0].Lock()
	go locks[count-1].Lock()
	time.Sleep(100 * time.Millisecond)
	fmt.Println("READY")
	for {
		time.Sleep(10 * time.Millisecond)
	}
}

// hold takes so many locks, each by a call of its own, and then waits for last.
func hold(count int, last *sync.Mutex) {
	if count == 0 {
		last.Lock()
		return
	}
	var own sync.Mutex
	own.Lock()
	defer own.Unlock()
	hold(count-1, last)
}

func holding(_ *own.Runtime, count int) {
	var last sync.Mutex
	last.Lock()
	for i := 0; i < count; i++ {
		go hold(24, &last)
	}
	time.Sleep(time.Second)
}

func main() {
	// The collector must not come across what was changed.
	debug.SetGCPercent(-1)
	count, err := strconv.Atoi(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	if os.Args[1] == "unlocks" {
		unlocks(count)
	}
	changes := map[string]func(*own.Runtime, int){
		"stacks": stacks, "returns": returns, "defers": defers, "treap": treap,
		"goroutines": goroutines, "holding": holding,
	}
	change, ok := changes[os.Args[1]]
	if !ok {
		log.Fatal("stacks, returns, defers, treap, goroutines, unlocks or holding")
	}
	change(own.Open(), count)
	fmt.Println("READY")
	// Not idle, so that it is looked at again.
	for {
		time.Sleep(10 * time.Millisecond)
	}
}
