// GOMAXPROCS is set far above the CPUs that the cgroup allows.
//
// cgroup: cpus=0.5
// expect: suspected gomaxprocs-over-limit goroutines=0
package main

import (
	"fmt"
	"runtime"
	"time"
)

func main() {
	runtime.GOMAXPROCS(32)
	fmt.Println("READY")
	time.Sleep(time.Hour)
}
