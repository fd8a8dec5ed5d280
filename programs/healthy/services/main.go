// Locks held across I/O, system calls and sleep, in programs as they are: an HTTP server with its
// clients, a connection pool, a cache in front of a slow store, a logger.
//
// expect: healthy
// matrix: all
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"
	"time"
)

func pause(most time.Duration) { time.Sleep(time.Duration(rand.Int63n(int64(most)))) }

type server struct {
	mu       sync.RWMutex
	sessions map[string]*session
	log      *log.Logger
}

type session struct {
	mu   sync.Mutex
	hits int
}

func (s *server) session(name string) *session {
	s.mu.RLock()
	found := s.sessions[name]
	s.mu.RUnlock()
	if found != nil {
		return found
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if found := s.sessions[name]; found != nil {
		return found
	}
	found = &session{}
	s.sessions[name] = found
	return found
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	session := s.session(r.URL.Query().Get("name"))
	session.mu.Lock()
	defer session.mu.Unlock()
	session.hits++
	if session.hits%7 == 0 {
		pause(2 * time.Millisecond)
	}
	s.log.Println(session.hits)
	fmt.Fprintln(w, session.hits)
}

func web() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	handler := &server{sessions: map[string]*session{}, log: log.New(io.Discard, "", 0)}
	go http.Serve(listener, handler)
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxConnsPerHost: 4}}
	for i := 0; i < 6; i++ {
		go func() {
			for {
				url := fmt.Sprintf("http://%s/?name=%d", listener.Addr(), rand.Intn(3))
				if answer, err := client.Get(url); err == nil {
					io.Copy(io.Discard, answer.Body)
					answer.Body.Close()
				}
				pause(10 * time.Millisecond)
			}
		}()
	}
}

// pool works as database/sql's does: a lock, free connections, and requests that wait for one.
type pool struct {
	mu       sync.Mutex
	free     []*conn
	requests map[int]chan *conn
	next     int
	open     int
}

type conn struct {
	mu sync.Mutex
	in bool
}

var errTimeout = errors.New("no connection in time")

func (p *pool) get(ctx context.Context) (*conn, error) {
	p.mu.Lock()
	if n := len(p.free); n > 0 {
		c := p.free[n-1]
		p.free = p.free[:n-1]
		p.mu.Unlock()
		return c, nil
	}
	if p.open >= 3 {
		request := make(chan *conn, 1)
		key := p.next
		p.next++
		p.requests[key] = request
		p.mu.Unlock()
		select {
		case c := <-request:
			return c, nil
		case <-ctx.Done():
			p.mu.Lock()
			delete(p.requests, key)
			p.mu.Unlock()
			select {
			case c := <-request:
				p.put(c)
			default:
			}
			return nil, errTimeout
		}
	}
	p.open++
	p.mu.Unlock()
	return &conn{}, nil
}

func (p *pool) put(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for key, request := range p.requests {
		delete(p.requests, key)
		request <- c
		return
	}
	p.free = append(p.free, c)
}

func (c *conn) query() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.in = !c.in
	pause(500 * time.Microsecond)
}

func database() {
	p := &pool{requests: map[int]chan *conn{}}
	for i := 0; i < 8; i++ {
		go func() {
			for {
				ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
				if c, err := p.get(ctx); err == nil {
					c.query()
					p.put(c)
				}
				cancel()
			}
		}()
	}
}

// The lock is held across a read from a pipe, a system call, a file.
func acrossIO() {
	var mu sync.Mutex
	r, w, err := os.Pipe()
	if err != nil {
		return
	}
	go func() {
		for {
			pause(time.Millisecond)
			w.Write([]byte{1})
		}
	}()
	for i := 0; i < 3; i++ {
		go func() {
			one := make([]byte, 1)
			for {
				mu.Lock()
				r.Read(one)
				mu.Unlock()
			}
		}()
	}
	var slow sync.Mutex
	for i := 0; i < 3; i++ {
		go func() {
			for {
				slow.Lock()
				nap := syscall.Timespec{Nsec: 300000}
				syscall.Nanosleep(&nap, nil)
				slow.Unlock()
				slow.Lock()
				os.ReadFile("/proc/self/stat")
				slow.Unlock()
				pause(time.Millisecond)
			}
		}()
	}
}

// cached fills itself under the lock of the entry, not of the table.
func cached() {
	type entry struct {
		once  sync.Once
		value int
	}
	var mu sync.Mutex
	entries := map[int]*entry{}
	for i := 0; i < 6; i++ {
		go func() {
			for {
				key := rand.Intn(20)
				mu.Lock()
				e := entries[key]
				if e == nil || rand.Intn(10) == 0 {
					e = &entry{}
					entries[key] = e
				}
				mu.Unlock()
				e.once.Do(func() {
					pause(time.Millisecond)
					e.value = key
				})
				pause(300 * time.Microsecond)
			}
		}()
	}
}

// Subscribers come and go while events are sent under the lock.
func broadcast() {
	var mu sync.RWMutex
	subscribers := map[chan int]bool{}
	go func() {
		for n := 0; ; n++ {
			mu.RLock()
			for ch := range subscribers {
				select {
				case ch <- n:
				default:
				}
			}
			mu.RUnlock()
			pause(300 * time.Microsecond)
		}
	}()
	for i := 0; i < 5; i++ {
		go func() {
			for {
				ch := make(chan int, 2)
				mu.Lock()
				subscribers[ch] = true
				mu.Unlock()
				for n := 0; n < 5; n++ {
					<-ch
				}
				mu.Lock()
				delete(subscribers, ch)
				mu.Unlock()
			}
		}()
	}
}

func main() {
	web()
	database()
	acrossIO()
	cached()
	broadcast()
	fmt.Println("READY")
	time.Sleep(time.Hour)
}
