// Parks goroutines on command. Ends with its input, or after two minutes.
//
//	pingpong N     N round trips; answers "done NANOSECONDS"
//	load SECONDS   round trips for so long, in the background; answers "loading"
//	collect N      N garbage collections; answers "collected"
//	crowd N        N goroutines wait for one channel until it is closed; answers "gone"
//	depths N       below stacks of 1 to N calls, a goroutine each waits for one channel until it is
//	               closed, and another for none at all; answers "gone"
//	deadlock       two goroutines lock each other out; answers "locked" and the addresses
//	handshake      one waits for a lock; after a while its holder waits for the first; answers "waiting"
//	exec FILE ARG  becomes another program
package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

func pingpong(rounds int) time.Duration {
	ping, pong := make(chan int), make(chan int)
	go func() {
		for range ping {
			pong <- 0
		}
	}()
	start := time.Now()
	for i := 0; i < rounds; i++ {
		ping <- i
		<-pong
	}
	took := time.Since(start)
	close(ping)
	return took
}

func crowd(n int) {
	gate := make(chan int)
	var here, gone sync.WaitGroup
	here.Add(n)
	gone.Add(n)
	for i := 0; i < n; i++ {
		go func() {
			here.Done()
			<-gate
			gone.Done()
		}()
	}
	here.Wait()
	// On one processor, whoever has said that it is here parks before this goes on.
	runtime.Gosched()
	close(gate)
	gone.Wait()
}

//go:noinline
func descend(depth int, gate chan int) {
	if depth == 0 {
		<-gate
		return
	}
	descend(depth-1, gate)
}

// Frames are small: at some depths the stack suffices for all calls but the last. For who waits for no
// channel that is gopark; else chanrecv has called others before it that take more.
func depths(n int) {
	gate := make(chan int)
	var here, gone int32
	for depth := 0; depth < n; depth++ {
		for _, gate := range []chan int{gate, nil} {
			go func(depth int, gate chan int) {
				// By means that take no stack, which would make the stack grow here already.
				atomic.AddInt32(&here, 1)
				descend(depth, gate)
				atomic.AddInt32(&gone, 1)
			}(depth, gate)
		}
	}
	for atomic.LoadInt32(&here) < int32(2*n) {
		runtime.Gosched()
	}
	// On one processor, whoever has said that it is here parks before this goes on.
	runtime.Gosched()
	close(gate)
	for atomic.LoadInt32(&gone) < int32(n) {
		runtime.Gosched()
	}
}

var first, second sync.Mutex

func deadlock() {
	var locked sync.WaitGroup
	locked.Add(2)
	cross := func(mine, other *sync.Mutex) {
		mine.Lock()
		defer mine.Unlock()
		locked.Done()
		locked.Wait()
		other.Lock()
		defer other.Unlock()
	}
	go cross(&first, &second)
	go cross(&second, &first)
	locked.Wait()
	fmt.Printf("locked %p %p\n", &first, &second)
}

// The one who wants the lock would send. The holder works for a second before it receives, so that the
// wait for the lock is the older one, and the wait for the channel closes the cycle.
func handshake() {
	done, held := make(chan int), make(chan int)
	go func() {
		first.Lock()
		defer first.Unlock()
		close(held)
		time.Sleep(time.Second)
		<-done
	}()
	<-held
	go func() {
		first.Lock()
		defer first.Unlock()
		done <- 0
	}()
	fmt.Println("waiting")
}

func main() {
	time.AfterFunc(2*time.Minute, func() { os.Exit(1) })
	fmt.Println("ready")
	input := bufio.NewScanner(os.Stdin)
	for input.Scan() {
		line := input.Text()
		var rounds int
		switch {
		case strings.HasPrefix(line, "pingpong"):
			fmt.Sscanf(line, "pingpong %d", &rounds)
			fmt.Println("done", pingpong(rounds).Nanoseconds())
		case strings.HasPrefix(line, "load"):
			var seconds int
			fmt.Sscanf(line, "load %d", &seconds)
			go func() {
				for start := time.Now(); time.Since(start) < time.Duration(seconds)*time.Second; {
					pingpong(1000)
				}
			}()
			fmt.Println("loading")
		case strings.HasPrefix(line, "collect"):
			fmt.Sscanf(line, "collect %d", &rounds)
			for i := 0; i < rounds; i++ {
				runtime.GC()
			}
			fmt.Println("collected")
		case strings.HasPrefix(line, "crowd"):
			fmt.Sscanf(line, "crowd %d", &rounds)
			crowd(rounds)
			fmt.Println("gone")
		case strings.HasPrefix(line, "depths"):
			fmt.Sscanf(line, "depths %d", &rounds)
			depths(rounds)
			fmt.Println("gone")
		case strings.HasPrefix(line, "exec"):
			words := strings.Fields(line)[1:]
			fmt.Println(syscall.Exec(words[0], words, nil))
		case line == "handshake":
			handshake()
		case line == "deadlock":
			deadlock()
		}
	}
}
