// Healthy: somebody waits for a channel of which the only reference is moved from node to node of a large
// heap, once a millisecond, by a goroutine that sleeps in between and closes it in the end. Whoever reads the
// heap meets it seldom, and must know it by the one time that he does.
//
// expect: healthy
// go: >=1.21
// matrix: all
package main

import (
	"fmt"
	"math/rand"
	"time"
)

type node struct {
	ch  chan int
	pad [6]int
}

func move(nodes []*node, end time.Time) {
	at := 0
	for time.Now().Before(end) {
		to := rand.Intn(len(nodes))
		ch := nodes[at].ch
		nodes[at].ch = nil
		nodes[to].ch = ch
		at = to
		time.Sleep(time.Millisecond)
	}
	close(nodes[at].ch)
}

func wait(ch chan int) {
	<-ch
	println("progress 1")
}

func main() {
	nodes := make([]*node, 200_000)
	for i := range nodes {
		nodes[i] = new(node)
	}
	ch := make(chan int)
	nodes[0].ch = ch
	go wait(ch)
	ch = nil
	fmt.Println("READY")
	for {
		move(nodes, time.Now().Add(25*time.Second))
		ch := make(chan int)
		nodes[0].ch = ch
		go wait(ch)
	}
}
