// Cycles on locks that are looked up in a map by keys that are narrower than a word, or of many words.
// The past does not tell everywhere which lock was taken by such a key: on Go 1.22 to 1.25, and in
// position-independent executables, these cycles are only suspected.
//
// expect: proven lock-cycle goroutines=2 in=main.largeKeys
// expect: proven lock-cycle goroutines=2 in=main.byPort
// go: >=1.26
package main

import (
	"fmt"
	"sync"
	"time"
)

// meeting lets its goroutines go on once all have come.
type meeting struct{ sync.WaitGroup }

func (m *meeting) here() {
	m.Done()
	m.Wait()
}

var digests = map[[18]uint64]*sync.Mutex{{1}: {}, {2}: {}}

func largeKeys(mine, other uint64, both *meeting) {
	digests[[18]uint64{mine}].Lock()
	both.here()
	digests[[18]uint64{other}].Lock()
	digests[[18]uint64{other}].Unlock()
	digests[[18]uint64{mine}].Unlock()
}

type listener struct {
	connections int
	mu          sync.Mutex
}

var ports = map[uint32]*listener{80: {}, 443: {}}

func byPort(mine, other uint32, both *meeting) {
	ports[mine].mu.Lock()
	both.here()
	ports[other].mu.Lock()
	ports[other].connections++
	ports[other].mu.Unlock()
	ports[mine].mu.Unlock()
}

func meet(n int) *meeting {
	m := &meeting{}
	m.Add(n)
	return m
}

func main() {
	both := meet(2)
	go largeKeys(1, 2, both)
	go largeKeys(2, 1, both)
	both = meet(2)
	go byPort(80, 443, both)
	go byPort(443, 80, both)
	time.Sleep(100 * time.Millisecond)
	fmt.Println("READY")
	time.Sleep(time.Hour)
}
