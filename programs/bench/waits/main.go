// A process whose goroutines wait on demand, to measure probes on. Answers, as plain text:
//
//	/pingpong?rounds=N   nanoseconds a round trip of two goroutines over unbuffered channels
//	/mutex?rounds=N      nanoseconds a Lock of four goroutines that contend for one mutex, whose
//	                     holder yields each time, so that now and then another parks
//	/rate?hits=N&ms=N    parks and wakes so many times a second, for so long; how many it made
//	/spawn?n=N&ms=N      makes so many goroutines in that time, each of which waits for a channel
//	/spawned             how many it has made
//	/deadlock            two new goroutines lock each other out: when, in Unix nanoseconds
//	/                    a page, made by a goroutine of its own behind a read lock
package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

func number(r *http.Request, name string) int {
	n, _ := strconv.Atoi(r.URL.Query().Get(name))
	return n
}

// partner answers every value on ping until it is closed.
func partner() (ping, pong chan int) {
	ping, pong = make(chan int), make(chan int)
	go func() {
		for v := range ping {
			pong <- v
		}
	}()
	return ping, pong
}

func pingpong(w http.ResponseWriter, r *http.Request) {
	rounds := number(r, "rounds")
	ping, pong := partner()
	defer close(ping)
	start := time.Now()
	for i := 0; i < rounds; i++ {
		ping <- i
		<-pong
	}
	fmt.Fprintln(w, float64(time.Since(start).Nanoseconds())/float64(rounds))
}

func mutex(w http.ResponseWriter, r *http.Request) {
	rounds := number(r, "rounds")
	const goroutines = 4
	var mu sync.Mutex
	var done sync.WaitGroup
	counter := 0
	start := time.Now()
	for g := 0; g < goroutines; g++ {
		done.Add(1)
		go func() {
			defer done.Done()
			for i := 0; i < rounds/goroutines; i++ {
				mu.Lock()
				for j := 0; j < 200; j++ {
					counter++
				}
				runtime.Gosched()
				mu.Unlock()
			}
		}()
	}
	done.Wait()
	fmt.Fprintln(w, float64(time.Since(start).Nanoseconds())/float64(rounds))
}

// A round trip parks twice and wakes twice.
func rate(w http.ResponseWriter, r *http.Request) {
	hits, length := number(r, "hits"), time.Duration(number(r, "ms"))*time.Millisecond
	ping, pong := partner()
	defer close(ping)
	start, made := time.Now(), 0
	for time.Since(start) < length {
		due := int(float64(hits) * time.Since(start).Seconds())
		for ; made < due && time.Since(start) < length; made += 4 {
			ping <- made
			<-pong
		}
		time.Sleep(2 * time.Millisecond)
	}
	fmt.Fprintln(w, made)
}

var spawned atomic.Int64

func spawn(_ http.ResponseWriter, r *http.Request) {
	n, length := number(r, "n"), time.Duration(number(r, "ms"))*time.Millisecond
	start := time.Now()
	for int(spawned.Load()) < n {
		due := int(float64(n) * time.Since(start).Seconds() / length.Seconds())
		for int(spawned.Load()) < due {
			results := make(chan int)
			for i := 0; i < 100; i++ {
				go func() { results <- 0 }()
			}
			for i := 0; i < 100; i++ {
				<-results
			}
			spawned.Add(100)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

var locks sync.Map

func deadlock(w http.ResponseWriter, r *http.Request) {
	pair := &[2]sync.Mutex{}
	locks.Store(pair, true)
	var both sync.WaitGroup
	both.Add(2)
	cross := func(mine, other *sync.Mutex) {
		mine.Lock()
		defer mine.Unlock()
		both.Done()
		both.Wait()
		other.Lock()
		defer other.Unlock()
	}
	go cross(&pair[0], &pair[1])
	go cross(&pair[1], &pair[0])
	both.Wait()
	fmt.Fprintln(w, time.Now().UnixNano())
}

type cache struct {
	mu    sync.RWMutex
	pages map[string]string
}

func (c *cache) page(path string) string {
	c.mu.RLock()
	page, ok := c.pages[path]
	c.mu.RUnlock()
	if ok {
		return page
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pages[path] = fmt.Sprintf("<p>%s, made at %s</p>\n", path, time.Now())
	return c.pages[path]
}

func main() {
	c := &cache{pages: map[string]string{}}
	http.HandleFunc("/pingpong", pingpong)
	http.HandleFunc("/mutex", mutex)
	http.HandleFunc("/rate", rate)
	http.HandleFunc("/spawn", spawn)
	http.HandleFunc("/spawned", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, spawned.Load())
	})
	http.HandleFunc("/deadlock", deadlock)
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), time.Second)
		defer cancel()
		page := make(chan string, 1)
		go func() { page <- c.page(r.URL.Path) }()
		select {
		case text := <-page:
			fmt.Fprint(w, text)
		case <-ctx.Done():
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	time.AfterFunc(2*time.Hour, func() { os.Exit(1) })
	fmt.Println("READY", listener.Addr())
	http.Serve(listener, nil)
}
