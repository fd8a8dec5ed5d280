// Leaks goroutines in every usual way and then idles. Each leaking function is named leak…, each
// healthy one ok…: a goroutine must be proven unreachable if and only if a function of its stack,
// or the one that created it, is called leak….
//
// With -profile FILE (Go 1.27) it writes the ids that the runtime's own goroutineleak profile names.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
	"time"
)

type result struct {
	err error
	n   int
}

// The caller returns early and nobody receives.
func leakEarlyReturn() {
	ch := make(chan result)
	go func() { ch <- result{n: 1} }()
	if time.Now().IsZero() {
		<-ch
	}
}

// Two results are sent, one is received.
func leakDoubleSend() {
	ch := make(chan result)
	go func() {
		ch <- result{n: 1}
		ch <- result{n: 2}
	}()
	<-ch
}

// The timeout wins, the late sender waits for ever.
func leakTimeout() {
	ch := make(chan result)
	go func() {
		time.Sleep(20 * time.Millisecond)
		ch <- result{n: 1}
	}()
	select {
	case <-ch:
	case <-time.After(time.Millisecond):
	}
}

// The first of many answers is taken.
func leakNCast() {
	ch := make(chan int)
	for i := 0; i < 5; i++ {
		i := i
		go func() { ch <- i }()
	}
	<-ch
}

// Stop is never called.
type worker struct {
	jobs chan int
	done chan struct{}
}

func leakContractViolation() {
	w := &worker{jobs: make(chan int), done: make(chan struct{})}
	go func() {
		for {
			select {
			case <-w.jobs:
			case <-w.done:
				return
			}
		}
	}()
	w.jobs <- 1
}

// Nobody closes what is ranged over.
func leakRange() {
	ch := make(chan int, 4)
	go func() {
		for range ch {
		}
	}()
	ch <- 1
}

func leakNil() {
	var nilCh chan int
	go func() { <-nilCh }()
	go func() { nilCh <- 1 }()
	go func() { select {} }()
}

func leakWaitGroup() {
	wg := new(sync.WaitGroup)
	wg.Add(2)
	go wg.Done()
	go func() { wg.Wait() }()
}

func leakCond() {
	c := sync.NewCond(new(sync.Mutex))
	go func() {
		c.L.Lock()
		c.Wait()
	}()
}

// Each waits for what only the other could send.
func leakPair() {
	a, b := make(chan int), make(chan int)
	go func() { <-a; b <- 1 }()
	go func() { <-b; a <- 1 }()
}

// A chain: everyone waits for the one before, the first for nobody.
func leakChain() {
	first := make(chan int)
	in := first
	for i := 0; i < 20; i++ {
		out := make(chan int)
		go func(in, out chan int) { out <- <-in }(in, out)
		in = out
	}
}

func leakContext() {
	ctx, cancel := context.WithCancel(context.Background())
	_ = cancel
	go func() { <-ctx.Done() }()
}

func leakBuffered() {
	ch := make(chan []byte, 1)
	ch <- make([]byte, 1<<16)
	go func() {
		held := make([]byte, 1<<20)
		ch <- held
		runtime.KeepAlive(held)
	}()
}

func leakStoppedTimer() {
	t := time.NewTimer(time.Hour)
	t.Stop()
	go func() { <-t.C }()
}

//go:noinline
func leaks() {
	leakEarlyReturn()
	leakDoubleSend()
	leakTimeout()
	leakNCast()
	leakContractViolation()
	leakRange()
	leakNil()
	leakWaitGroup()
	leakCond()
	leakPair()
	leakChain()
	leakContext()
	leakBuffered()
	leakStoppedTimer()
}

var okGlobal = make(chan int)

// Stack garbage of the calls above must not count: overwrite it.
//
//go:noinline
func scrub(n int) byte {
	var pad [4096]byte
	pad[n%len(pad)] = byte(n)
	if n == 0 {
		return pad[0]
	}
	return pad[n%len(pad)] + scrub(n-1)
}

func main() {
	profile := flag.String("profile", "", "write the goroutineleak profile here and exit")
	times := flag.Int("times", 1, "how often to leak everything")
	life := flag.Duration("life", 2*time.Minute, "how long to live")
	busy := flag.Bool("busy", false, "allocate and compute meanwhile")
	ballast := flag.Int("ballast", 0, "MiB of memory without pointers to hold meanwhile")
	flag.Parse()
	for i := 0; i < *times; i++ {
		leaks()
	}
	go func() { <-okGlobal }()
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	time.Sleep(100 * time.Millisecond)
	scrub(8)
	held := make([]byte, *ballast<<20)
	for i := 0; i < len(held); i += 4096 {
		held[i] = 1
	}
	if *busy {
		go churn()
	}
	fmt.Println("ready")
	if *profile != "" {
		writeProfile(*profile)
	}
	select {
	case <-stop:
	case <-time.After(*life):
	}
	runtime.KeepAlive(held)
}

var sink []byte

func churn() {
	type node struct {
		next *node
		data []byte
	}
	var head *node
	for i := 0; ; i++ {
		head = &node{next: head, data: make([]byte, 64+i%1024)}
		if i%10000 == 0 {
			head = nil
		}
		sink = make([]byte, i%4096)
	}
}
