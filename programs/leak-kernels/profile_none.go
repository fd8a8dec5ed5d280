//go:build !go1.27

package main

func writeProfile(string) { panic("goroutineleak needs Go 1.27") }
