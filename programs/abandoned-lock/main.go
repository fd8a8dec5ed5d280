// A method returns early without unlocking; the lock belongs to a global that live goroutines can
// reach, so that nothing is proven.
//
// expect: suspected abandoned-lock goroutines=2 in=main.(*account).withdraw
package main

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

type account struct {
	mu      sync.Mutex
	balance int
}

func (a *account) withdraw(amount int) error {
	a.mu.Lock()
	if amount > a.balance {
		return errors.New("not enough")
	}
	a.balance -= amount
	a.mu.Unlock()
	return nil
}

var accounts = map[string]*account{"a": {balance: 10}}

func main() {
	done := make(chan error)
	go func() { done <- accounts["a"].withdraw(100) }()
	<-done
	for i := 0; i < 2; i++ {
		go accounts["a"].withdraw(1)
	}
	time.Sleep(100 * time.Millisecond)
	fmt.Println("READY")
	for {
		time.Sleep(time.Second)
		fmt.Println(len(accounts))
	}
}
