// An idle worker pool: eight workers wait for jobs that come seldom.
//
// expect: healthy
package main

import (
	"fmt"
	"time"
)

func main() {
	jobs := make(chan func())
	for i := 0; i < 8; i++ {
		go func() {
			for job := range jobs {
				job()
			}
		}()
	}
	fmt.Println("READY")
	for {
		time.Sleep(time.Second)
		jobs <- func() {}
	}
}
