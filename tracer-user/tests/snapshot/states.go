// Every state a goroutine can rest in, once each, with the addresses of what it waits on.
//
// Prints "address NAME 0x…" for each object, then the runtime's own dump of all goroutines (with
// GOTRACEBACK=system: every frame), then "ready", and rests until its standard input is closed or
// a minute has passed.
package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"
)

var (
	mutex      sync.Mutex
	readHeld   sync.RWMutex
	writeHeld  sync.RWMutex
	group      sync.WaitGroup
	condLock   sync.Mutex
	cond       = sync.NewCond(&condLock)
	once       sync.Once
	empty      = make(chan int)
	full       = make(chan string, 3)
	never      chan bool
	first      = make(chan int)
	second     = make(chan [4]int, 1)
	timer      = time.NewTimer(time.Hour)
	blocked    [2]int
	listener   net.Listener
	deepResult int
)

func lockMutex()     { mutex.Lock(); mutex.Unlock() }
func writeQueue()    { readHeld.Lock(); readHeld.Unlock() }
func readBehind()    { writeHeld.RLock(); writeHeld.RUnlock() }
func waitGroup()     { group.Wait() }
func waitCond()      { condLock.Lock(); cond.Wait(); condLock.Unlock() }
func receive()       { <-empty }
func receiveRange()  { for range empty { } }
func send()          { full <- "x" }
func receiveNil()    { <-never }
func sendNil()       { never <- true }
func selectForever() { select {} }
func sleep()         { time.Sleep(time.Hour) }
func onTimer()       { <-timer.C }
func accept()        { listener.Accept() }
func systemCall()    { var b [1]byte; syscall.Read(blocked[0], b[:]) }
func pinned()        { runtime.LockOSThread(); <-empty }
func holdOnce()      { once.Do(func() { <-empty }) }
func waitOnce()      { once.Do(func() {}) }
func selectTwo() {
	select {
	case v := <-first:
		fmt.Println(v)
	case second <- [4]int{}:
	case full <- "y":
	}
}

//go:noinline
func deep(n int) int {
	var pad [16]int
	if n == 0 {
		<-empty
		return pad[3]
	}
	pad[n%16] = n
	return deep(n-1) + pad[n%16]
}

type worker struct{ name string }

func (w *worker) loop(in <-chan int) {
	defer func() { fmt.Println(w.name) }()
	func() {
		for v := range in {
			fmt.Println(v)
		}
	}()
}

func main() {
	mutex.Lock()
	readHeld.RLock()
	writeHeld.Lock()
	group.Add(2)
	for i := 0; i < 3; i++ {
		full <- ""
	}
	second <- [4]int{}
	var err error
	if listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		panic(err)
	}
	if err := syscall.Pipe(blocked[:]); err != nil {
		panic(err)
	}
	for _, rest := range []func(){lockMutex, lockMutex, writeQueue, readBehind, waitGroup, waitCond,
		waitCond, receive, receiveRange, send, receiveNil, sendNil, selectForever, sleep, onTimer,
		accept, systemCall, pinned, holdOnce, selectTwo} {
		go rest()
	}
	go deep(300)
	go (&worker{"w"}).loop(empty)
	time.Sleep(300 * time.Millisecond)
	go writeQueue() // behind the first one: waits for the inner mutex
	go waitOnce()
	time.Sleep(300 * time.Millisecond)
	for name, address := range map[string]any{"mutex": &mutex, "readHeld": &readHeld,
		"writeHeld": &writeHeld, "group": &group, "cond": cond, "condLock": &condLock, "once": &once} {
		fmt.Printf("address %s %p\n", name, address)
	}
	fmt.Printf("address empty %p\naddress full %p\naddress first %p\naddress second %p\n", empty, full, first, second)
	fmt.Printf("address timer %p\n", timer.C)
	dump := make([]byte, 1<<20)
	dump = dump[:runtime.Stack(dump, true)]
	fmt.Printf("dump\n%s\nready\n", dump)
	go func() { time.Sleep(time.Minute); os.Exit(1) }()
	io.Copy(io.Discard, os.Stdin)
}
