//go:build go1.27

package main

import (
	"os"
	"runtime/pprof"
)

func writeProfile(path string) {
	file, err := os.Create(path)
	if err != nil {
		panic(err)
	}
	defer file.Close()
	if err := pprof.Lookup("goroutineleak").WriteTo(file, 2); err != nil {
		panic(err)
	}
}
