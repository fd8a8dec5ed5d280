// A program that runs from a file system that does not answer: this serves one file by FUSE, starts it
// from there, and from then on leaves requests of one kind, and the kernel with whoever made them,
// without an answer.
//
//	fuse read PROGRAM ARGUMENT...       nobody can read it
//	fuse open PROGRAM ARGUMENT...       nobody can open it
//	fuse getattr PROGRAM ARGUMENT...    nobody can ask for its attributes
//
// The mount is in a mount namespace of its own, and goes when this ends.
package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
)

// linux/fuse.h
const (
	opLookup  = 1
	opForget  = 2
	opGetattr = 3
	opOpen    = 14
	opRead    = 15
	opStatfs  = 17
	opRelease = 18
	opFlush   = 25
	opInit    = 26
	opBatch   = 42
	opIntr    = 36

	root = 1
	file = 2
)

var (
	silent  atomic.Uint32
	content []byte
	device  int
)

func reply(unique uint64, errno int32, body []byte) {
	out := make([]byte, 16, 16+len(body))
	binary.LittleEndian.PutUint32(out, uint32(16+len(body)))
	binary.LittleEndian.PutUint32(out[4:], uint32(-errno))
	binary.LittleEndian.PutUint64(out[8:], unique)
	_, _ = syscall.Write(device, append(out, body...))
}

// attributes is struct fuse_attr.
func attributes(node uint64) []byte {
	out := make([]byte, 88)
	mode, size := uint32(syscall.S_IFDIR|0o755), uint64(0)
	if node == file {
		mode, size = syscall.S_IFREG|0o755, uint64(len(content))
	}
	binary.LittleEndian.PutUint64(out, node)
	binary.LittleEndian.PutUint64(out[8:], size)
	binary.LittleEndian.PutUint64(out[16:], (size+511)/512)
	binary.LittleEndian.PutUint32(out[60:], mode)
	binary.LittleEndian.PutUint32(out[64:], 1)
	binary.LittleEndian.PutUint32(out[80:], 4096)
	return out
}

// part is what of the file lies there.
func part(offset, size uint64) []byte {
	end := uint64(len(content))
	if offset >= end {
		return nil
	}
	if size < end-offset {
		end = offset + size
	}
	return content[offset:end]
}

func serve() {
	buffer := make([]byte, 1<<20)
	for {
		n, err := syscall.Read(device, buffer)
		if err == syscall.EINTR || err == syscall.ENOENT {
			continue
		}
		if err != nil {
			log.Fatal("reading requests: ", err)
		}
		answer(buffer[:n])
	}
}

func answer(request []byte) {
	op := binary.LittleEndian.Uint32(request[4:])
	unique := binary.LittleEndian.Uint64(request[8:])
	node := binary.LittleEndian.Uint64(request[16:])
	body := request[40:]
	if op == silent.Load() {
		return
	}
	switch op {
	case opInit:
		out := make([]byte, 64)
		binary.LittleEndian.PutUint32(out, 7)
		binary.LittleEndian.PutUint32(out[4:], 31)
		binary.LittleEndian.PutUint32(out[8:], 1<<16)
		binary.LittleEndian.PutUint32(out[20:], 1<<16)
		reply(unique, 0, out)
	case opLookup:
		if strings.TrimRight(string(body), "\x00") != "program" {
			reply(unique, int32(syscall.ENOENT), nil)
			return
		}
		// Names and attributes are asked for again each time.
		entry := make([]byte, 40)
		binary.LittleEndian.PutUint64(entry, file)
		reply(unique, 0, append(entry, attributes(file)...))
	case opGetattr:
		reply(unique, 0, append(make([]byte, 16), attributes(node)...))
	case opOpen:
		reply(unique, 0, make([]byte, 16))
	case opRead:
		offset := binary.LittleEndian.Uint64(body[8:])
		size := uint64(binary.LittleEndian.Uint32(body[16:]))
		reply(unique, 0, part(offset, size))
	case opStatfs:
		reply(unique, 0, make([]byte, 80))
	case opRelease, opFlush:
		reply(unique, 0, nil)
	case opForget, opBatch, opIntr:
	default:
		reply(unique, int32(syscall.ENOSYS), nil)
	}
}

// inNamespace starts this program once more, in a mount namespace of its own.
func inNamespace() {
	again := exec.Command("/proc/self/exe", os.Args[1:]...)
	again.Env = append(os.Environ(), "GOSTUCK_FUSE=1")
	again.Stdout, again.Stderr = os.Stdout, os.Stderr
	again.SysProcAttr = &syscall.SysProcAttr{
		Unshareflags: syscall.CLONE_NEWNS,
		Pdeathsig:    syscall.SIGKILL,
	}
	if err := again.Run(); err != nil {
		log.Fatal(err)
	}
}

func mount() string {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		log.Fatal("private mounts: ", err)
	}
	directory, err := os.MkdirTemp("", "gostuck-fuse")
	if err != nil {
		log.Fatal(err)
	}
	device, err = syscall.Open("/dev/fuse", syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		log.Fatal("/dev/fuse: ", err)
	}
	options := fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", device)
	if err := syscall.Mount("hostile", directory, "fuse", 0, options); err != nil {
		log.Fatal("mount: ", err)
	}
	return directory
}

func main() {
	if os.Getenv("GOSTUCK_FUSE") == "" {
		inNamespace()
		return
	}
	kinds := map[string]uint32{"read": opRead, "open": opOpen, "getattr": opGetattr}
	kind, ok := kinds[os.Args[1]]
	if !ok {
		log.Fatal("read, open or getattr")
	}
	var err error
	if content, err = os.ReadFile(os.Args[2]); err != nil {
		log.Fatal(err)
	}
	directory := mount()
	go serve()
	program := exec.Command(directory+"/program", os.Args[3:]...)
	program.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	output, err := program.StdoutPipe()
	if err != nil {
		log.Fatal(err)
	}
	if err := program.Start(); err != nil {
		log.Fatal(err)
	}
	lines := bufio.NewReader(output)
	if _, err := lines.ReadString('\n'); err != nil {
		log.Fatal("the program said nothing: ", err)
	}
	silent.Store(kind)
	fmt.Println("READY", program.Process.Pid)
	_, _ = io.Copy(io.Discard, lines)
	_ = program.Wait()
}
