// Healthy: two workers lock each other out, and a third goroutine takes the lock of the one away from it
// for a moment and locks it again for it, so that both can go on. It finds that lock in a sync.Map, in an
// atomic pointer, in a channel: its code does not say which lock it gives back.
//
// expect: healthy
// matrix: all
package main

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// pair is two locks that two workers take in opposite orders.
type pair struct {
	first, second sync.Mutex
	rounds        atomic.Int64
}

func (p *pair) forth() {
	for {
		p.first.Lock()
		time.Sleep(20 * time.Millisecond)
		p.second.Lock()
		p.rounds.Add(1)
		p.second.Unlock()
		p.first.Unlock()
	}
}

func (p *pair) back() {
	for {
		p.second.Lock()
		time.Sleep(20 * time.Millisecond)
		p.first.Lock()
		p.first.Unlock()
		time.Sleep(100 * time.Millisecond)
		p.second.Unlock()
	}
}

// run starts the workers of a pair and the goroutine that helps them when they stand still.
func run(p *pair, help func()) {
	go p.forth()
	go p.back()
	go func() {
		last := int64(-1)
		for {
			time.Sleep(2 * time.Second)
			now := p.rounds.Load()
			if now == last {
				help()
			}
			last = now
		}
	}()
}

var inMap sync.Map

func fromMap() *sync.Mutex {
	lock, _ := inMap.Load("first")
	return lock.(*sync.Mutex)
}

func helpFromMap() {
	fromMap().Unlock()
	time.Sleep(10 * time.Millisecond)
	fromMap().Lock()
}

var inPointer atomic.Value

func helpFromPointer() {
	inPointer.Load().(*sync.Mutex).Unlock()
	time.Sleep(10 * time.Millisecond)
	inPointer.Load().(*sync.Mutex).Lock()
}

var inChannel = make(chan *sync.Mutex, 1)

func helpFromChannel() {
	lock := <-inChannel
	lock.Unlock()
	time.Sleep(10 * time.Millisecond)
	lock.Lock()
	inChannel <- lock
}

func main() {
	var pairs [3]pair
	inMap.Store("first", &pairs[0].first)
	inPointer.Store(&pairs[1].first)
	inChannel <- &pairs[2].first
	run(&pairs[0], helpFromMap)
	run(&pairs[1], helpFromPointer)
	run(&pairs[2], helpFromChannel)
	fmt.Println("READY")
	for {
		time.Sleep(time.Second)
		println("progress", pairs[0].rounds.Load(), pairs[1].rounds.Load(), pairs[2].rounds.Load())
	}
}
