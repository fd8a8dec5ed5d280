// An idle server, in which nearly everybody has waited for long and nobody is stuck: worker pools,
// a queue with a condition variable, an event loop, idle keep-alive connections, goroutines that
// wait for a signal, for a context or for a server to end, and one that closes a channel when a pool
// has ended.
//
// expect: quiet
// matrix: all
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"time"
)

type queue struct {
	mu       sync.Mutex
	nonEmpty *sync.Cond
	items    []int
}

func (q *queue) pop() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.items) == 0 {
		q.nonEmpty.Wait()
	}
	item := q.items[0]
	q.items = q.items[1:]
	return item
}

func (q *queue) push(item int) {
	q.mu.Lock()
	q.items = append(q.items, item)
	q.mu.Unlock()
	q.nonEmpty.Signal()
}

type hub struct {
	join    chan chan string
	publish chan string
	members []chan string
}

func (h *hub) run(ctx context.Context) {
	for {
		select {
		case member := <-h.join:
			h.members = append(h.members, member)
		case text := <-h.publish:
			for _, member := range h.members {
				select {
				case member <- text:
				default:
				}
			}
		case <-ctx.Done():
			return
		}
	}
}

func pool(jobs chan func()) <-chan int {
	results := make(chan int)
	var wg sync.WaitGroup
	for i := 0; i < 4; i++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for job := range jobs {
				job()
				results <- 1
			}
		}()
	}
	go func() {
		wg.Wait()
		close(results)
	}()
	return results
}

func fetch(url string) {
	client := &http.Client{Transport: &http.Transport{}}
	if response, err := client.Get(url); err == nil {
		io.Copy(io.Discard, response.Body)
		response.Body.Close()
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	jobs := make(chan func())
	results := pool(jobs)
	go func() {
		for range results {
		}
	}()
	q := &queue{}
	q.nonEmpty = sync.NewCond(&q.mu)
	for i := 0; i < 3; i++ {
		go func() {
			for {
				q.pop()
			}
		}()
	}
	h := &hub{join: make(chan chan string), publish: make(chan string)}
	go h.run(ctx)
	for i := 0; i < 3; i++ {
		member := make(chan string, 4)
		h.join <- member
		go func() {
			for range member {
			}
		}()
	}
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, os.Interrupt)
	go func() {
		<-hangup
		stop()
	}()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		jobs <- func() {}
		q.push(1)
		h.publish <- r.URL.Path
	})}
	served := make(chan error, 1)
	go func() {
		served <- server.Serve(listener)
	}()
	go func() {
		if err := <-served; err != http.ErrServerClosed {
			fmt.Println(err)
		}
	}()
	go func() {
		<-ctx.Done()
		server.Close()
	}()
	for i := 0; i < 5; i++ {
		fetch("http://" + listener.Addr().String())
	}
	time.Sleep(100 * time.Millisecond)
	fmt.Println("READY")
	<-ctx.Done()
}
