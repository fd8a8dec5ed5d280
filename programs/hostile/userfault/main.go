// A program whose memory does not answer: pages that only it could serve (userfaultfd(2)), and does
// not, where its runtime's own structures seem to be. Whoever reads them waits as long as it likes.
//
//	userfault treap [SECONDS]    in the tree of those who wait for semaphores
//	userfault allgs [SECONDS]    as the list of all goroutines
//
// After SECONDS, if they are given, the pages are served, as zeroes.
package main

import (
	"fmt"
	"log"
	"os"
	"runtime/debug"
	"strconv"
	"syscall"
	"time"
	"unsafe"

	"gostuck.example/programs/hostile/own"
)

// linux/userfaultfd.h, and the number of the system call on amd64.
const (
	sysUserfaultfd = 323
	uffdAPI        = 0xaa
	ioctlAPI       = 0xc018aa3f
	ioctlRegister  = 0xc020aa00
	ioctlZeropage  = 0xc020aa04
	modeMissing    = 1
)

const pages = 16 * 4096

func ioctl(fd, request uintptr, argument unsafe.Pointer) {
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, fd, request, uintptr(argument)); errno != 0 {
		log.Fatalf("ioctl %#x: %v", request, errno)
	}
}

// silent is memory that does not answer, and what makes it answer.
func silent() (uintptr, func()) {
	fd, _, errno := syscall.Syscall(sysUserfaultfd, syscall.O_CLOEXEC, 0, 0)
	if errno != 0 {
		log.Fatal("userfaultfd: ", errno)
	}
	api := [3]uint64{uffdAPI, 0, 0}
	ioctl(fd, ioctlAPI, unsafe.Pointer(&api))
	memory := own.Map(pages)
	register := [4]uint64{uint64(memory), pages, modeMissing, 0}
	ioctl(fd, ioctlRegister, unsafe.Pointer(&register))
	return memory, func() {
		zeroes := [4]uint64{uint64(memory), pages, 0, 0}
		ioctl(fd, ioctlZeropage, unsafe.Pointer(&zeroes))
	}
}

func main() {
	// The runtime must not come across what was changed.
	debug.SetGCPercent(-1)
	runtime := own.Open()
	memory, answer := silent()
	never := make(chan int)
	go func() { <-never }()
	time.Sleep(10 * time.Millisecond)
	if len(os.Args) > 2 {
		seconds, err := strconv.Atoi(os.Args[2])
		if err != nil {
			log.Fatal(err)
		}
		go func() {
			time.Sleep(time.Duration(seconds) * time.Second)
			answer()
		}()
		time.Sleep(10 * time.Millisecond)
	}
	switch os.Args[1] {
	case "treap":
		runtime.SetTreap(memory + 256)
	case "allgs":
		*own.Word(runtime.Variable("runtime.allgs")) = memory
	default:
		log.Fatal("treap or allgs")
	}
	fmt.Println("READY")
	// Not idle, so that it is glanced and looked at again.
	for {
		time.Sleep(10 * time.Millisecond)
	}
}
