// Tickers, condition variables, long sleeps, contexts with deadlines, timers, a WaitGroup that fills
// and drains, semaphores made of channels, a channel that is used both ways, a timer that is stopped
// most of the time.
//
// expect: healthy
package main

import (
	"context"
	"fmt"
	"sync"
	"time"
)

func consume(mu *sync.Mutex, cond *sync.Cond, queue *[]int) {
	for {
		mu.Lock()
		for len(*queue) == 0 {
			cond.Wait()
		}
		*queue = (*queue)[1:]
		mu.Unlock()
	}
}

func main() {
	var mu sync.Mutex
	cond := sync.NewCond(&mu)
	var queue []int
	for i := 0; i < 4; i++ {
		go consume(&mu, cond, &queue)
	}
	go func() {
		for i := 0; ; i++ {
			mu.Lock()
			queue = append(queue, i)
			mu.Unlock()
			cond.Signal()
			time.Sleep(5 * time.Millisecond)
		}
	}()
	go func() {
		for {
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
			<-ctx.Done()
			cancel()
		}
	}()
	go func() {
		for {
			done := make(chan struct{})
			time.AfterFunc(10*time.Millisecond, func() { close(done) })
			<-done
		}
	}()
	// One channel for both ways: each sends what the other receives.
	both := make(chan int)
	go func() {
		for {
			time.Sleep(20 * time.Millisecond)
			both <- <-both
		}
	}()
	go func() {
		for {
			both <- 1
			<-both
		}
	}()
	// A timer that is set only when there is something to wait for.
	flush := time.NewTimer(time.Hour)
	flush.Stop()
	items := make(chan int)
	go func() {
		for {
			select {
			case <-items:
				flush.Reset(5 * time.Millisecond)
			case <-flush.C:
			}
		}
	}()
	go func() {
		for {
			items <- 1
			time.Sleep(30 * time.Millisecond)
		}
	}()
	slots := make(chan struct{}, 2)
	go func() {
		for {
			var wg sync.WaitGroup
			for i := 0; i < 6; i++ {
				wg.Add(1)
				go func() {
					defer wg.Done()
					slots <- struct{}{}
					time.Sleep(time.Millisecond)
					<-slots
				}()
			}
			wg.Wait()
		}
	}()
	go time.Sleep(time.Hour)
	fmt.Println("READY")
	for range time.Tick(10 * time.Millisecond) {
	}
}
