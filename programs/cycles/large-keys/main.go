// A cycle on locks that are looked up in a map by keys of many words. Which lock was taken by such a key the
// past does not tell on Go 1.22 to 1.25: there the cycle is only suspected.
//
// expect: proven lock-cycle goroutines=2 in=main.largeKeys
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

func main() {
	both := &meeting{}
	both.Add(2)
	go largeKeys(1, 2, both)
	go largeKeys(2, 1, both)
	time.Sleep(100 * time.Millisecond)
	fmt.Println("READY")
	time.Sleep(time.Hour)
}
