// The workers' results are read only after all workers are done, but the channel has no room.
//
// expect: proven * goroutines=4
package main

import (
	"fmt"
	"sync"
	"time"
)

func collect() {
	results := make(chan int)
	var wg sync.WaitGroup
	for i := 0; i < 3; i++ {
		wg.Add(1)
		go func(i int) {
			defer wg.Done()
			results <- i
		}(i)
	}
	wg.Wait()
	close(results)
	for r := range results {
		fmt.Println(r)
	}
}

func main() {
	go collect()
	time.Sleep(200 * time.Millisecond)
	fmt.Println("READY")
	time.Sleep(time.Hour)
}
