// Neighbours that are costly to look at, for `cargo xtask bench node`:
//
//	leak N           N goroutines that wait for ever on channels that nobody has any more
//	gateway ADDR N   an HTTP client with N idle connections to ADDR in its pool
//	busy             one goroutine that never waits
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"
)

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func number(text string) int {
	n, err := strconv.Atoi(text)
	fail(err)
	return n
}

//go:noinline
func leak() {
	result := make(chan int)
	go func() { result <- 1 }()
}

// pool leaves n idle connections to address: as many requests at once, each held until all have begun.
func pool(client *http.Client, address string, n int) {
	var begun, done sync.WaitGroup
	begun.Add(n)
	done.Add(n)
	for range make([]struct{}, n) {
		go func() {
			defer done.Done()
			response, err := client.Get("http://" + address + "/")
			begun.Done()
			fail(err)
			begun.Wait()
			_, err = io.Copy(io.Discard, response.Body)
			fail(err)
			fail(response.Body.Close())
		}()
	}
	done.Wait()
}

var client *http.Client

func main() {
	switch os.Args[1] {
	case "leak":
		for range make([]struct{}, number(os.Args[2])) {
			leak()
		}
	case "gateway":
		n := number(os.Args[3])
		client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: n}}
		pool(client, os.Args[2], n)
	case "busy":
		go func() {
			for {
			}
		}()
	}
	fmt.Println("READY")
	time.Sleep(2 * time.Hour)
}
