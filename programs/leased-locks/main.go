// Locks are taken by one goroutine and given back by another, which gets the way to do so through a
// channel and takes its time, or by a timer. Slow, and healthy: nobody in particular was seen to
// unlock them later, and no wait lasts.
//
// expect: quiet
package main

import (
	"fmt"
	"sync"
	"time"
)

type account struct {
	mu  sync.Mutex
	sum int
}

type transaction struct {
	account *account
	amount  int
	release func()
}

func (a *account) begin(amount int) transaction {
	a.mu.Lock()
	return transaction{account: a, amount: amount, release: a.mu.Unlock}
}

func commit(queue <-chan transaction) {
	for t := range queue {
		time.Sleep(100 * time.Millisecond)
		t.account.sum += t.amount
		t.release()
	}
}

func transfer(queue chan<- transaction, from, to *account) {
	for {
		queue <- from.begin(-1)
		queue <- to.begin(1)
	}
}

func lease(a *account) {
	for {
		a.mu.Lock()
		time.AfterFunc(300*time.Millisecond, a.mu.Unlock)
		time.Sleep(50 * time.Millisecond)
	}
}

func main() {
	a, b, c := &account{}, &account{}, &account{}
	queue := make(chan transaction, 8)
	go commit(queue)
	for i := 0; i < 2; i++ {
		go transfer(queue, a, b)
		go transfer(queue, b, a)
	}
	go lease(c)
	fmt.Println("READY")
	for range time.Tick(time.Second) {
	}
}
