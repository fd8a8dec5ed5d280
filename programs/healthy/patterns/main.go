// The usual concurrent building blocks at work: singleflight, errgroup, semaphores, pools, queues.
//
// expect: healthy
// matrix: all
package main

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"math/rand"
	"sync"
	"time"
)

func pause(most time.Duration) { time.Sleep(time.Duration(rand.Int63n(int64(most)))) }

// call and group work as golang.org/x/sync/singleflight does.
type call struct {
	wg    sync.WaitGroup
	value int
	dups  int
	chans []chan<- int
}

type group struct {
	mu    sync.Mutex
	calls map[string]*call
}

func (g *group) do(key string, fn func() int) int {
	g.mu.Lock()
	if c, ok := g.calls[key]; ok {
		c.dups++
		g.mu.Unlock()
		c.wg.Wait()
		return c.value
	}
	c := new(call)
	c.wg.Add(1)
	g.calls[key] = c
	g.mu.Unlock()
	g.run(c, key, fn)
	return c.value
}

func (g *group) doChan(key string, fn func() int) <-chan int {
	ch := make(chan int, 1)
	g.mu.Lock()
	if c, ok := g.calls[key]; ok {
		c.dups++
		c.chans = append(c.chans, ch)
		g.mu.Unlock()
		return ch
	}
	c := &call{chans: []chan<- int{ch}}
	c.wg.Add(1)
	g.calls[key] = c
	g.mu.Unlock()
	go g.run(c, key, fn)
	return ch
}

func (g *group) run(c *call, key string, fn func() int) {
	defer func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		c.wg.Done()
		if g.calls[key] == c {
			delete(g.calls, key)
		}
		for _, ch := range c.chans {
			ch <- c.value
		}
	}()
	c.value = fn()
}

func singleflight() {
	g := &group{calls: map[string]*call{}}
	slow := func() int { pause(2 * time.Millisecond); return 1 }
	for i := 0; i < 8; i++ {
		go func(i int) {
			for {
				if i%2 == 0 {
					g.do(fmt.Sprint(rand.Intn(3)), slow)
				} else {
					<-g.doChan(fmt.Sprint(rand.Intn(3)), slow)
				}
				pause(time.Millisecond)
			}
		}(i)
	}
}

// errGroup works as golang.org/x/sync/errgroup does.
type errGroup struct {
	cancel func()
	wg     sync.WaitGroup
	sem    chan struct{}
	once   sync.Once
	err    error
}

func (g *errGroup) start(f func() error) {
	g.sem <- struct{}{}
	g.wg.Add(1)
	go func() {
		defer func() {
			<-g.sem
			g.wg.Done()
		}()
		if err := f(); err != nil {
			g.once.Do(func() {
				g.err = err
				g.cancel()
			})
		}
	}()
}

func errGroups() {
	for i := 0; i < 3; i++ {
		go func() {
			for {
				ctx, cancel := context.WithCancel(context.Background())
				g := &errGroup{cancel: cancel, sem: make(chan struct{}, 2)}
				for n := 0; n < 6; n++ {
					g.start(func() error {
						select {
						case <-ctx.Done():
							return ctx.Err()
						case <-time.After(time.Duration(rand.Intn(500)) * time.Microsecond):
						}
						if rand.Intn(10) == 0 {
							return errors.New("bad luck")
						}
						return nil
					})
				}
				g.wg.Wait()
				cancel()
			}
		}()
	}
}

// weighted works as golang.org/x/sync/semaphore does.
type weighted struct {
	size, cur int64
	mu        sync.Mutex
	waiters   list.List
}

type waiter struct {
	n     int64
	ready chan<- struct{}
}

func (s *weighted) acquire(ctx context.Context, n int64) error {
	s.mu.Lock()
	if s.size-s.cur >= n && s.waiters.Len() == 0 {
		s.cur += n
		s.mu.Unlock()
		return nil
	}
	ready := make(chan struct{})
	elem := s.waiters.PushBack(waiter{n: n, ready: ready})
	s.mu.Unlock()
	select {
	case <-ctx.Done():
		s.mu.Lock()
		select {
		case <-ready:
			s.cur -= n
			s.notify()
		default:
			s.waiters.Remove(elem)
		}
		s.mu.Unlock()
		return ctx.Err()
	case <-ready:
		return nil
	}
}

func (s *weighted) release(n int64) {
	s.mu.Lock()
	s.cur -= n
	s.notify()
	s.mu.Unlock()
}

func (s *weighted) notify() {
	for next := s.waiters.Front(); next != nil; next = s.waiters.Front() {
		w := next.Value.(waiter)
		if s.size-s.cur < w.n {
			return
		}
		s.cur += w.n
		s.waiters.Remove(next)
		close(w.ready)
	}
}

func semaphores() {
	s := &weighted{size: 5}
	for i := 0; i < 8; i++ {
		go func() {
			for {
				ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
				n := 1 + rand.Int63n(4)
				if s.acquire(ctx, n) == nil {
					pause(300 * time.Microsecond)
					s.release(n)
				}
				cancel()
			}
		}()
	}
	places := make(chan struct{}, 3)
	var mu sync.Mutex
	for i := 0; i < 8; i++ {
		go func() {
			for {
				places <- struct{}{}
				mu.Lock()
				pause(100 * time.Microsecond)
				mu.Unlock()
				<-places
			}
		}()
	}
}

// queue is a bounded queue on condition variables.
type queue struct {
	mu                sync.Mutex
	notEmpty, notFull *sync.Cond
	items             []int
}

func (q *queue) put(item int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.items) == 4 {
		q.notFull.Wait()
	}
	q.items = append(q.items, item)
	q.notEmpty.Signal()
}

func (q *queue) take() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.items) == 0 {
		q.notEmpty.Wait()
	}
	item := q.items[0]
	q.items = q.items[1:]
	q.notFull.Broadcast()
	return item
}

func condQueues() {
	q := &queue{}
	q.notEmpty, q.notFull = sync.NewCond(&q.mu), sync.NewCond(&q.mu)
	for i := 0; i < 4; i++ {
		go func(i int) {
			for {
				q.put(i)
				pause(500 * time.Microsecond)
			}
		}(i)
		go func() {
			for {
				q.take()
				pause(500 * time.Microsecond)
			}
		}()
	}
}

func pools() {
	pool := sync.Pool{New: func() any { return make([]byte, 128) }}
	var seen sync.Map
	for i := 0; i < 4; i++ {
		go func(i int) {
			for {
				b := pool.Get().([]byte)
				seen.Store(i, len(b))
				pause(200 * time.Microsecond)
				pool.Put(b)
			}
		}(i)
	}
}

func onces() {
	for i := 0; i < 2; i++ {
		go func() {
			for {
				var once sync.Once
				var done sync.WaitGroup
				done.Add(4)
				for n := 0; n < 4; n++ {
					go func() {
						defer done.Done()
						once.Do(func() { pause(300 * time.Microsecond) })
					}()
				}
				done.Wait()
			}
		}()
	}
}

// A tree of contexts: children end when their parents do.
func contextTrees() {
	var grow func(ctx context.Context, depth int, done *sync.WaitGroup)
	grow = func(ctx context.Context, depth int, done *sync.WaitGroup) {
		defer done.Done()
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		if depth < 3 {
			for i := 0; i < 2; i++ {
				done.Add(1)
				go grow(ctx, depth+1, done)
			}
		}
		<-ctx.Done()
	}
	go func() {
		for {
			ctx, cancel := context.WithTimeout(context.Background(), 3*time.Millisecond)
			var done sync.WaitGroup
			done.Add(1)
			go grow(ctx, 0, &done)
			done.Wait()
			cancel()
		}
	}()
}

// Workers are waited for without any lock that they need.
func waitGroups() {
	var mu sync.Mutex
	total := 0
	go func() {
		for {
			var wg sync.WaitGroup
			for i := 0; i < 5; i++ {
				wg.Add(1)
				go func() {
					defer wg.Done()
					mu.Lock()
					defer mu.Unlock()
					total++
					pause(100 * time.Microsecond)
				}()
			}
			wg.Wait()
		}
	}()
}

// A barrier that is used again and again.
func barrier() {
	const size = 4
	var mu sync.Mutex
	all := sync.NewCond(&mu)
	waiting, round := 0, 0
	for i := 0; i < size; i++ {
		go func() {
			for {
				mu.Lock()
				mine := round
				waiting++
				if waiting == size {
					waiting, round = 0, round+1
					all.Broadcast()
				}
				for mine == round {
					all.Wait()
				}
				mu.Unlock()
				pause(300 * time.Microsecond)
			}
		}()
	}
}

func main() {
	for _, start := range []func(){
		singleflight, errGroups, semaphores, condQueues, pools, onces, contextTrees, waitGroups, barrier,
	} {
		start()
	}
	fmt.Println("READY")
	time.Sleep(time.Hour)
}
