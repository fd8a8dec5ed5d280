// Since Go 1.23 the channel of a stopped timer is empty; code written for older versions drains it
// after Stop returned false, and so waits, here with a lock held. Only a Reset would help, and that
// comes behind. Nobody saw the waits begin: a look has to look on for a moment.
//
// expect: suspected root-blocker goroutines=1 in=main.(*discovery).reset
// go: >=1.23
package main

import (
	"fmt"
	"sync"
	"time"
)

type discovery struct {
	mu    sync.Mutex
	timer *time.Timer
	peers int
}

func (d *discovery) reset() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.timer.Stop() {
		<-d.timer.C
	}
	d.timer.Reset(time.Minute)
}

func (d *discovery) loop() {
	for range d.timer.C {
		d.mu.Lock()
		d.peers++
		d.mu.Unlock()
	}
}

func (d *discovery) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.peers
}

var d = &discovery{timer: time.NewTimer(20 * time.Millisecond)}

func main() {
	go d.loop()
	time.Sleep(100 * time.Millisecond)
	go d.reset()
	time.Sleep(100 * time.Millisecond)
	go d.count()
	time.Sleep(100 * time.Millisecond)
	fmt.Println("READY")
	for range time.Tick(100 * time.Millisecond) {
		_ = d.timer
	}
}
