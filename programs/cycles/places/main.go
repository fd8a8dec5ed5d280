// Cycles of two to five goroutines on locks in every place where locks live.
//
// expect: proven lock-cycle goroutines=2 in=main.packageVariables
// expect: proven lock-cycle goroutines=3 in=main.fieldsBehindGlobal
// expect: proven lock-cycle goroutines=5 in=main.arrayElements
// expect: proven lock-cycle goroutines=4 in=main.sliceElements
// expect: proven lock-cycle goroutines=2 in=main.mapValues
// expect: proven lock-cycle goroutines=2 in=main.(*registry)
// expect: proven lock-cycle goroutines=2 in=main.interfaces
// expect: proven lock-cycle goroutines=2 in=main.(*guarded[
// expect: proven lock-cycle goroutines=3 in=main.captured
// expect: proven lock-cycle goroutines=2 in=main.embedded
// expect: proven lock-cycle goroutines=2 in=main.throughFrames
// expect: proven lock-cycle goroutines=2 in=main.pointerChain
// expect: proven lock-cycle goroutines=2 in=main.onStacks
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

var first, second sync.Mutex

//go:noinline
func packageVariables() {
	both := meet(2)
	go func() {
		first.Lock()
		both.here()
		second.Lock()
		second.Unlock()
		first.Unlock()
	}()
	go func() {
		second.Lock()
		both.here()
		first.Lock()
		first.Unlock()
		second.Unlock()
	}()
}

type table struct {
	name string
	mu   sync.Mutex
	rows int
}

type store struct {
	users, orders, stock *table
	sync.RWMutex
}

var shop = &store{users: &table{name: "users"}, orders: &table{name: "orders"}, stock: &table{name: "stock"}}

//go:noinline
func fieldsBehindGlobal() {
	all := meet(3)
	go func() {
		shop.users.mu.Lock()
		all.here()
		shop.orders.mu.Lock()
		shop.orders.rows++
		shop.orders.mu.Unlock()
		shop.users.mu.Unlock()
	}()
	go func() {
		shop.orders.mu.Lock()
		defer shop.orders.mu.Unlock()
		all.here()
		shop.stock.mu.Lock()
		defer shop.stock.mu.Unlock()
		shop.stock.rows--
	}()
	go func() {
		stock := shop.stock
		stock.mu.Lock()
		all.here()
		shop.users.mu.Lock()
		shop.users.rows++
		shop.users.mu.Unlock()
		stock.mu.Unlock()
	}()
}

var forks [5]sync.Mutex

//go:noinline
func arrayElements() {
	all := meet(len(forks))
	for i := range forks {
		go func(i int) {
			forks[i].Lock()
			all.here()
			forks[(i+1)%len(forks)].Lock()
			forks[(i+1)%len(forks)].Unlock()
			forks[i].Unlock()
		}(i)
	}
}

var stripes = make([]struct {
	sync.Mutex
	entries map[int]int
}, 16)

//go:noinline
func sliceElements() {
	all := meet(4)
	for i := 0; i < 4; i++ {
		go func(i int) {
			own, next := &stripes[3*i], (i+1)%4*3
			own.Lock()
			defer own.Unlock()
			all.here()
			stripes[next].Lock()
			stripes[next].entries[i] = next
			stripes[next].Unlock()
		}(i)
	}
}

var byName = map[string]*sync.Mutex{"a": {}, "b": {}, "c": {}}

//go:noinline
func mapValues() {
	both := meet(2)
	go func() {
		a := byName["a"]
		a.Lock()
		both.here()
		byName["b"].Lock()
		byName["b"].Unlock()
		a.Unlock()
	}()
	go func() {
		byName["b"].Lock()
		defer byName["b"].Unlock()
		both.here()
		byName["a"].Lock()
		defer byName["a"].Unlock()
	}()
}

type session struct {
	mu   sync.Mutex
	peer string
}

type registry struct {
	mu       sync.RWMutex
	sessions map[string]*session
}

func (r *registry) get(name string) *session {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.sessions[name]
}

func (r *registry) send(name string, both *meeting) {
	from := r.get(name)
	from.mu.Lock()
	defer from.mu.Unlock()
	both.here()
	to := r.get(from.peer)
	to.mu.Lock()
	to.peer = name
	to.mu.Unlock()
}

func mapOfStructs() {
	r := &registry{sessions: map[string]*session{"x": {peer: "y"}, "y": {peer: "x"}}}
	both := meet(2)
	go r.send("x", both)
	go r.send("y", both)
}

type account struct {
	lock    sync.Locker
	balance int
}

//go:noinline
func interfaces() {
	accounts := []*account{{lock: &sync.Mutex{}}, {lock: &sync.RWMutex{}}}
	both := meet(2)
	transfer := func(from, to *account) {
		from.lock.Lock()
		defer from.lock.Unlock()
		both.here()
		to.lock.Lock()
		from.balance--
		to.balance++
		to.lock.Unlock()
	}
	go transfer(accounts[0], accounts[1])
	go transfer(accounts[1], accounts[0])
}

type guarded[T any] struct {
	mu    sync.Mutex
	value T
}

//go:noinline
func (g *guarded[T]) update(change func(*T)) {
	g.mu.Lock()
	change(&g.value)
	g.mu.Unlock()
}

func generics() {
	numbers, words := &guarded[int]{}, &guarded[string]{}
	both := meet(2)
	go numbers.update(func(n *int) {
		both.here()
		words.update(func(w *string) { *w = fmt.Sprint(*n) })
	})
	go words.update(func(w *string) {
		both.here()
		numbers.update(func(n *int) { *n = len(*w) })
	})
}

//go:noinline
func captured() {
	var a, b, c sync.Mutex
	all := meet(3)
	step := func(mine, next *sync.Mutex) func() {
		return func() {
			mine.Lock()
			all.here()
			func() {
				next.Lock()
				defer next.Unlock()
			}()
			mine.Unlock()
		}
	}
	go step(&a, &b)()
	go step(&b, &c)()
	go step(&c, &a)()
}

type base struct {
	id int
	sync.Mutex
}
type left struct{ base }
type right struct {
	name string
	*base
}

//go:noinline
func embedded() {
	l, r := &left{}, &right{base: &base{}}
	both := meet(2)
	go func() {
		l.Lock()
		both.here()
		r.Lock()
		r.id = l.id
		r.Unlock()
		l.Unlock()
	}()
	go func() {
		r.Lock()
		defer r.Unlock()
		both.here()
		l.Lock()
		defer l.Unlock()
		l.id = r.id
	}()
}

type page struct {
	mu    sync.Mutex
	bytes [64]byte
}

//go:noinline
func throughFrames(mine, other *page, both *meeting) int {
	mine.mu.Lock()
	written := load(other, both, 1)
	mine.bytes[0] = byte(written)
	mine.mu.Unlock()
	return written
}

//go:noinline
func load(p *page, both *meeting, depth int) int {
	if depth < 5 {
		return load(p, both, depth+1) + depth
	}
	both.here()
	return copyTo(p)
}

//go:noinline
func copyTo(p *page) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return copy(p.bytes[1:], p.bytes[:])
}

func frames() {
	a, b := &page{}, &page{}
	both := meet(2)
	go throughFrames(a, b, both)
	go throughFrames(b, a, both)
}

type node struct {
	mu   sync.Mutex
	next *node
}

//go:noinline
func pointerChain() {
	a, b := &node{}, &node{}
	a.next, b.next = b, a
	both := meet(2)
	walk := func(n *node) {
		n.next.mu.Lock()
		both.here()
		n.next.next.mu.Lock()
		n.next.next.mu.Unlock()
		n.next.mu.Unlock()
	}
	go walk(a)
	go walk(b)
}

//go:noinline
func onStacks() {
	var locks struct {
		pad  [3]int
		a, b sync.Mutex
	}
	both := meet(2)
	go func() {
		locks.a.Lock()
		both.here()
		locks.b.Lock()
		locks.b.Unlock()
		locks.a.Unlock()
	}()
	go func() {
		locks.b.Lock()
		both.here()
		locks.a.Lock()
		locks.a.Unlock()
		locks.b.Unlock()
	}()
}

func main() {
	packageVariables()
	fieldsBehindGlobal()
	arrayElements()
	sliceElements()
	mapValues()
	mapOfStructs()
	interfaces()
	generics()
	captured()
	embedded()
	frames()
	pointerChain()
	onStacks()
	time.Sleep(300 * time.Millisecond)
	fmt.Println("READY")
	time.Sleep(time.Hour)
}
