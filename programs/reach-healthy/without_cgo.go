//go:build !cgo

package main

func viaC() {}
