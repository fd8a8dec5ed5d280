// Ten thousand goroutines that hold locks and wait for others at a hundred different stacks: ten ways
// to hold, times ten ways to wait. For the time table of `cargo xtask bench holders`.
package main

import (
	"flag"
	"fmt"
	"sync"
	"time"
)

type account struct {
	mu      sync.Mutex
	rw      sync.RWMutex
	locker  sync.Locker
	balance int
	closed  bool
	names   []string
}

type bank struct {
	gates [10]sync.Mutex
	table sync.RWMutex
	work  sync.WaitGroup
	calls chan int
}

// place is where a goroutine waits: outermost a way to hold, innermost a way to wait.
type place struct {
	bank *bank
	own  *account
	wait func(*place) int
	seen int
}

//go:noinline
func holdPlain(p *place) {
	p.own.mu.Lock()
	p.own.balance += p.wait(p)
	p.own.mu.Unlock()
}

//go:noinline
func holdDeferred(p *place) {
	p.own.mu.Lock()
	defer p.own.mu.Unlock()
	p.own.balance += p.wait(p)
}

//go:noinline
func holdEarly(p *place) {
	p.own.mu.Lock()
	if n := p.wait(p); n > 10 {
		p.own.mu.Unlock()
		return
	}
	p.own.names = append(p.own.names, fmt.Sprint(p.seen))
	p.own.mu.Unlock()
}

//go:noinline
func holdReader(p *place) {
	p.own.rw.RLock()
	defer p.own.rw.RUnlock()
	p.seen += p.wait(p)
}

//go:noinline
func holdWriter(p *place) {
	p.own.rw.Lock()
	p.seen += p.wait(p)
	p.own.rw.Unlock()
}

//go:noinline
func holdLocker(p *place) {
	p.own.locker.Lock()
	defer p.own.locker.Unlock()
	p.seen += p.wait(p)
}

//go:noinline
func holdClosure(p *place) {
	p.own.mu.Lock()
	defer func() {
		p.own.balance++
		p.own.mu.Unlock()
	}()
	p.seen += p.wait(p)
}

//go:noinline
func holdLoop(p *place) {
	for round := 0; round < 3; round++ {
		p.own.mu.Lock()
		p.seen += p.wait(p)
		for i := range p.own.names {
			p.own.names[i] += "x"
		}
		p.own.mu.Unlock()
	}
}

//go:noinline
func holdTwo(p *place) {
	p.own.mu.Lock()
	p.own.rw.Lock()
	p.seen += p.wait(p)
	p.own.rw.Unlock()
	p.own.mu.Unlock()
}

//go:noinline
func holdNothing(p *place) {
	if p.own.closed {
		return
	}
	p.seen += p.wait(p)
	p.own.names = append(p.own.names, fmt.Sprint(p.seen))
}

//go:noinline
func (b *bank) lock(gate int) { b.gates[gate].Lock() }

//go:noinline
func waitPlain(p *place) int {
	p.bank.gates[0].Lock()
	p.bank.gates[0].Unlock()
	return 1
}

//go:noinline
func waitDeferred(p *place) int {
	p.bank.gates[1].Lock()
	defer p.bank.gates[1].Unlock()
	return len(p.own.names)
}

//go:noinline
func waitHelper(p *place) int {
	p.bank.lock(2)
	p.bank.gates[2].Unlock()
	return 2
}

//go:noinline
func waitReader(p *place) int {
	p.bank.table.RLock()
	defer p.bank.table.RUnlock()
	return 3
}

//go:noinline
func waitWriter(p *place) int {
	p.bank.table.Lock()
	p.seen++
	p.bank.table.Unlock()
	return 4
}

//go:noinline
func waitGroup(p *place) int {
	p.bank.work.Wait()
	return 5
}

//go:noinline
func waitReceive(p *place) int { return <-p.bank.calls }

//go:noinline
func waitSelect(p *place) int {
	select {
	case n := <-p.bank.calls:
		return n
	case <-time.After(time.Hour):
		return 0
	}
}

//go:noinline
func waitSleep(p *place) int {
	time.Sleep(time.Hour)
	return 6
}

//go:noinline
func waitDeep(p *place) int { return deeper(p, 6) }

//go:noinline
func deeper(p *place, depth int) int {
	if depth > 0 {
		return deeper(p, depth-1) + depth
	}
	p.bank.gates[3].Lock()
	defer p.bank.gates[3].Unlock()
	return p.own.balance
}

func main() {
	goroutines := flag.Int("goroutines", 10000, "how many")
	flag.Parse()
	b := &bank{calls: make(chan int)}
	for i := range b.gates {
		b.gates[i].Lock()
	}
	b.table.Lock()
	b.work.Add(1)
	holds := []func(*place){
		holdPlain, holdDeferred, holdEarly, holdReader, holdWriter, holdLocker, holdClosure,
		holdLoop, holdTwo, holdNothing,
	}
	waits := []func(*place) int{
		waitPlain, waitDeferred, waitHelper, waitReader, waitWriter, waitGroup, waitReceive,
		waitSelect, waitSleep, waitDeep,
	}
	for i := 0; i < *goroutines; i++ {
		own := &account{names: make([]string, i%3)}
		own.locker = &own.mu
		go holds[i%10](&place{bank: b, own: own, wait: waits[i/10%10]})
	}
	time.Sleep(500 * time.Millisecond)
	fmt.Println("READY")
	time.Sleep(5 * time.Minute)
	for i := range b.gates {
		b.gates[i].Unlock()
	}
	b.table.Unlock()
	b.work.Done()
}
