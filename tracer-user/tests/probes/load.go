// Parks goroutines on command: reads "pingpong N" or "deadlock" from standard input and answers
// "done NANOSECONDS" or "locked". Ends with its input, or after two minutes.
package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"sync"
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

var first, second sync.Mutex

func deadlock() {
	var locked sync.WaitGroup
	locked.Add(2)
	cross := func(mine, other *sync.Mutex) {
		mine.Lock()
		locked.Done()
		locked.Wait()
		other.Lock()
	}
	go cross(&first, &second)
	go cross(&second, &first)
	locked.Wait()
	fmt.Printf("locked %p %p\n", &first, &second)
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
		case line == "deadlock":
			deadlock()
		}
	}
}
