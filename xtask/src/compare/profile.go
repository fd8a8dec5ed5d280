// Added to a program under test by an overlay: on SIGUSR1 the runtime's goroutineleak profile goes to
// the file that GOROUTINELEAK names.
package main

import (
	"os"
	"os/signal"
	"runtime/pprof"
	"syscall"
)

func init() {
	wanted := make(chan os.Signal, 1)
	signal.Notify(wanted, syscall.SIGUSR1)
	go func() {
		for range wanted {
			name := os.Getenv("GOROUTINELEAK")
			file, err := os.Create(name + ".new")
			if err != nil {
				panic(err)
			}
			if err := pprof.Lookup("goroutineleak").WriteTo(file, 2); err != nil {
				panic(err)
			}
			file.Close()
			os.Rename(name+".new", name)
		}
	}()
}
