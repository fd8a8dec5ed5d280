// Blocking bugs of well-known Go projects, each cut down to its kernel from the published
// description of the bug (the project and the number of its issue or change are its name), and the
// usual leak patterns. All run at once, or those named as arguments.
//
// On SIGUSR1 the runtime's own goroutineleak profile (Go 1.27) goes to the file of -profile, so that
// the two can be compared goroutine by goroutine in one process: tests/reach.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"sort"
	"syscall"
	"time"
)

var kernels = map[string]func(){}

// settle is long enough for a goroutine that was just started to block.
func settle() { time.Sleep(2 * time.Millisecond) }

func main() {
	profile := flag.String("profile", "", "where SIGUSR1 writes the goroutineleak profile")
	times := flag.Int("times", 1, "how often to run each")
	life := flag.Duration("life", 2*time.Minute, "how long to live")
	list := flag.Bool("list", false, "name the kernels and exit")
	flag.Parse()
	names := flag.Args()
	if len(names) == 0 {
		for name := range kernels {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	if *list {
		for _, name := range names {
			fmt.Println(name)
		}
		return
	}
	// The goroutine of os/signal stays in a system call, and from outside its stack is read word by
	// word: made first, it does not get the stack of a kernel's goroutine that has ended, with what
	// that left there.
	wanted := make(chan os.Signal, 1)
	signal.Notify(wanted, syscall.SIGUSR1)
	settle()
	for i := 0; i < *times; i++ {
		for _, name := range names {
			go kernels[name]()
		}
	}
	time.Sleep(200 * time.Millisecond)
	runtime.GC()
	fmt.Println("ready")
	end := time.After(*life)
	for {
		select {
		case <-wanted:
			if *profile != "" {
				writeProfile(*profile)
				fmt.Println("profiled")
			}
		case <-end:
			return
		}
	}
}
