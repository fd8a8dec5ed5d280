package main

import (
	"context"
	"errors"
	"sync"
	"time"
)

// The usual ways to leak, each with channels that nobody else keeps.
func init() {
	kernels["early-return"] = earlyReturn
	kernels["double-send"] = doubleSend
	kernels["timeout"] = timeout
	kernels["n-cast"] = nCast
	kernels["contract-violation"] = contractViolation
	kernels["range-without-close"] = rangeWithoutClose
	kernels["missing-cancel"] = missingCancel
	kernels["select-without-done"] = selectWithoutDone
	kernels["cond-without-broadcast"] = condWithoutBroadcast
	kernels["waitgroup-miscount"] = waitGroupMiscount
	kernels["nil-channel"] = nilChannel
	kernels["stopped-ticker"] = stoppedTicker
	kernels["pipeline-abandoned"] = pipelineAbandoned
	kernels["semaphore-never-released"] = semaphoreNeverReleased
	kernels["panic-skips-send"] = panicSkipsSend
}

func earlyReturn() {
	ch := make(chan error)
	go func() { ch <- errors.New("late") }()
	if err := cancelled().Err(); err != nil {
		return
	}
	<-ch
}

func cancelled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

func doubleSend() {
	ch := make(chan int)
	go func() {
		if settle(); time.Now().Unix() > 0 {
			ch <- 1
		}
		ch <- 2
	}()
	<-ch
}

func timeout() {
	ch := make(chan int)
	go func() {
		time.Sleep(10 * time.Millisecond)
		ch <- 1
	}()
	select {
	case <-ch:
	case <-time.After(time.Millisecond):
	}
}

func nCast() {
	ch := make(chan int)
	for i := 0; i < 8; i++ {
		go func(i int) { ch <- i }(i)
	}
	<-ch
}

type pump struct {
	in   chan int
	quit chan struct{}
}

func (p *pump) run() {
	for {
		select {
		case <-p.in:
		case <-p.quit:
			return
		}
	}
}

func contractViolation() {
	p := &pump{in: make(chan int), quit: make(chan struct{})}
	go p.run()
	p.in <- 1
	// p.quit is never closed.
}

func rangeWithoutClose() {
	jobs := make(chan int, 3)
	for i := 0; i < 4; i++ {
		go func() {
			for range jobs {
			}
		}()
	}
	jobs <- 1
}

func missingCancel() {
	ctx, cancel := context.WithCancel(context.Background())
	_ = cancel
	child, stop := context.WithCancel(ctx)
	_ = stop
	go func() { <-child.Done() }()
}

func selectWithoutDone() {
	a, b := make(chan int), make(chan string)
	go func() {
		for {
			select {
			case <-a:
			case b <- "x":
			}
		}
	}()
}

func condWithoutBroadcast() {
	var mu sync.Mutex
	cond := sync.NewCond(&mu)
	for i := 0; i < 3; i++ {
		go func() {
			mu.Lock()
			cond.Wait()
			mu.Unlock()
		}()
	}
	settle()
	cond.Signal()
}

func waitGroupMiscount() {
	var group sync.WaitGroup
	group.Add(3)
	for i := 0; i < 2; i++ {
		go group.Done()
	}
	go func() { group.Wait() }()
}

func nilChannel() {
	var never chan int
	go func() { never <- 1 }()
	go func() {
		select {
		case <-never:
		}
	}()
}

func stoppedTicker() {
	ticker := time.NewTicker(time.Hour)
	go func() {
		for range ticker.C {
		}
	}()
	ticker.Stop()
}

func pipelineAbandoned() {
	stage := func(in <-chan int) <-chan int {
		out := make(chan int)
		go func() {
			defer close(out)
			for n := range in {
				out <- n + 1
			}
		}()
		return out
	}
	source := make(chan int)
	go func() {
		for i := 0; ; i++ {
			source <- i
		}
	}()
	<-stage(stage(stage(source)))
}

func semaphoreNeverReleased() {
	slots := make(chan struct{}, 2)
	for i := 0; i < 5; i++ {
		go func() { slots <- struct{}{} }()
	}
}

func panicSkipsSend() {
	done := make(chan int)
	go func() {
		defer func() { _ = recover() }()
		panic("before the send")
	}()
	go func() { <-done }()
}
