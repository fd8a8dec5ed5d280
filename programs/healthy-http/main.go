// An HTTP server under load, with a mutex-protected cache, contexts with deadlines and a background
// refresh.
//
// expect: healthy
// matrix: all
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

type cache struct {
	mu    sync.RWMutex
	items map[string]time.Time
}

func (c *cache) get(key string) time.Time {
	c.mu.RLock()
	at, ok := c.items[key]
	c.mu.RUnlock()
	if ok {
		return at
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.items[key] = time.Now()
	return c.items[key]
}

func main() {
	c := &cache{items: map[string]time.Time{}}
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 50*time.Millisecond)
		defer cancel()
		done := make(chan time.Time, 1)
		go func() { done <- c.get(r.URL.Path) }()
		select {
		case at := <-done:
			fmt.Fprintln(w, at)
		case <-ctx.Done():
		}
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go http.Serve(listener, nil)
	for i := 0; i < 8; i++ {
		go func(i int) {
			for n := 0; ; n++ {
				response, err := http.Get(fmt.Sprintf("http://%s/%d", listener.Addr(), (n*8+i)%100))
				if err == nil {
					io.Copy(io.Discard, response.Body)
					response.Body.Close()
				}
			}
		}(i)
	}
	time.Sleep(300 * time.Millisecond)
	fmt.Println("READY")
	for range time.NewTicker(10 * time.Millisecond).C {
		c.mu.Lock()
		for key := range c.items {
			delete(c.items, key)
			break
		}
		c.mu.Unlock()
	}
}
