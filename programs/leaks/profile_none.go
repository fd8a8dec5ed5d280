//go:build !go1.27

package main

func writeProfile(string) { panic("the goroutineleak profile needs Go 1.27") }
