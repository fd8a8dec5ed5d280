// Cycles on locks that are looked up in a map whenever they are needed, to be unlocked too. Who unlocks only
// what the map still has does not own the lock for certain: somebody may take it out of the map and unlock
// it in his place, as with leases that expire (programs/stolen-locks).
//
// expect: proven lock-cycle goroutines=2 in=main.byName
// expect: proven lock-cycle goroutines=2 in=main.byNumber
// expect: proven lock-cycle goroutines=2 in=main.byPair
// expect: proven lock-cycle goroutines=2 in=main.byPointer
// expect: proven lock-cycle goroutines=2 in=main.(*pages)
// expect: suspected lock-cycle goroutines=2 in=main.guardedByName
// expect: proven lock-cycle goroutines=2 in=main.deferred
// matrix: all
package main

import (
	"fmt"
	"sync"
	"time"
)

// meeting lets its goroutines go on once all have come.
type meeting struct{ sync.WaitGroup }

func meet(n int) *meeting {
	m := &meeting{}
	m.Add(n)
	return m
}

func (m *meeting) here() {
	m.Done()
	m.Wait()
}

var names = map[string]*sync.Mutex{"a": {}, "b": {}, "c": {}}

func byName(mine, other string, both *meeting) {
	names[mine].Lock()
	both.here()
	names[other].Lock()
	names[other].Unlock()
	names[mine].Unlock()
}

// Many entries: more than one bucket, group and table.
var numbers = map[int]*sync.RWMutex{}

func byNumber(mine, other int, both *meeting) {
	numbers[mine].Lock()
	both.here()
	numbers[other].RLock()
	numbers[other].RUnlock()
	numbers[mine].Unlock()
}

type pair struct{ row, column int }

var cells = map[pair]*sync.Mutex{}

func byPair(mine, other pair, both *meeting) {
	cells[mine].Lock()
	both.here()
	cells[other].Lock()
	cells[other].Unlock()
	cells[mine].Unlock()
}

type client struct{ name string }

var alice, bob = &client{"alice"}, &client{"bob"}

var clients = map[*client]sync.Locker{alice: &sync.Mutex{}, bob: &sync.Mutex{}}

func byPointer(mine, other *client, both *meeting) {
	clients[mine].Lock()
	both.here()
	clients[other].Lock()
	clients[other].Unlock()
	clients[mine].Unlock()
}

// page is too large to lie in the map itself, and so is its key.
type page struct {
	head [20]uint64
	mu   *sync.Mutex
}

type pages struct{ m map[string]page }

func (p *pages) swap(mine, other string, both *meeting) {
	p.m[mine].mu.Lock()
	both.here()
	p.m[other].mu.Lock()
	p.m[other].mu.Unlock()
	p.m[mine].mu.Unlock()
}

// locks makes a lock for each name, under a lock of its own.
type locks struct {
	sync.RWMutex
	m map[string]*sync.Mutex
}

var urls = &locks{m: map[string]*sync.Mutex{}}

func (l *locks) lock(url string) {
	l.Lock()
	if _, ok := l.m[url]; !ok {
		l.m[url] = &sync.Mutex{}
	}
	mu := l.m[url]
	l.Unlock()
	mu.Lock()
}

func (l *locks) unlock(url string) {
	l.RLock()
	defer l.RUnlock()
	if mu, ok := l.m[url]; ok {
		mu.Unlock()
	}
}

func guardedByName(mine, other string, both *meeting) {
	urls.lock(mine)
	defer urls.unlock(mine)
	both.here()
	urls.lock(other)
	defer urls.unlock(other)
}

func deferred(mine, other string, both *meeting) {
	names[mine].Lock()
	defer func() { names[mine].Unlock() }()
	both.here()
	names[other].Lock()
	defer func() { names[other].Unlock() }()
}

func main() {
	for i := 0; i < 300; i++ {
		numbers[i] = &sync.RWMutex{}
		cells[pair{i, -i}] = &sync.Mutex{}
	}
	names["d"], names["e"] = &sync.Mutex{}, &sync.Mutex{}
	both := meet(2)
	go byName("a", "b", both)
	go byName("b", "a", both)
	both = meet(2)
	go byNumber(7, 222, both)
	go byNumber(222, 7, both)
	both = meet(2)
	go byPair(pair{3, -3}, pair{4, -4}, both)
	go byPair(pair{4, -4}, pair{3, -3}, both)
	both = meet(2)
	go byPointer(alice, bob, both)
	go byPointer(bob, alice, both)
	both = meet(2)
	p := &pages{m: map[string]page{"x": {mu: &sync.Mutex{}}, "y": {mu: &sync.Mutex{}}}}
	go p.swap("x", "y", both)
	go p.swap("y", "x", both)
	both = meet(2)
	go guardedByName("x", "y", both)
	go guardedByName("y", "x", both)
	both = meet(2)
	go deferred("d", "e", both)
	go deferred("e", "d", both)
	time.Sleep(100 * time.Millisecond)
	fmt.Println("READY")
	time.Sleep(time.Hour)
}
