// Package own finds and changes what the runtime of this very program keeps: where its variables lie,
// by its own symbol table, and where fields are in its structs, by its own debug information.
package own

import (
	"debug/dwarf"
	"debug/elf"
	"log"
	"syscall"
	"unsafe"
)

// Runtime is the runtime of this program, which must be neither stripped nor position independent.
type Runtime struct {
	symbols map[string]uintptr
	dwarf   *dwarf.Data
}

// Open reads the program's own executable.
func Open() *Runtime {
	file, err := elf.Open("/proc/self/exe")
	if err != nil {
		log.Fatal(err)
	}
	defer file.Close()
	symbols, err := file.Symbols()
	if err != nil {
		log.Fatal(err)
	}
	data, err := file.DWARF()
	if err != nil {
		log.Fatal(err)
	}
	runtime := &Runtime{symbols: map[string]uintptr{}, dwarf: data}
	for _, symbol := range symbols {
		runtime.symbols[symbol.Name] = uintptr(symbol.Value)
	}
	return runtime
}

// Variable is the address of a variable of the runtime.
func (r *Runtime) Variable(name string) uintptr {
	at, ok := r.symbols[name]
	if !ok {
		log.Fatalf("no symbol %s", name)
	}
	return at
}

// Size is how many bytes a struct takes.
func (r *Runtime) Size(name string) uintptr {
	return uintptr(r.structure(name).ByteSize)
}

// Offset is where a field lies in a struct.
func (r *Runtime) Offset(name, field string) uintptr {
	for _, one := range r.structure(name).Field {
		if one.Name == field {
			return uintptr(one.ByteOffset)
		}
	}
	log.Fatalf("no field %s.%s", name, field)
	return 0
}

func (r *Runtime) structure(name string) *dwarf.StructType {
	reader := r.dwarf.Reader()
	for {
		entry, err := reader.Next()
		if err != nil || entry == nil {
			log.Fatalf("no struct %s: %v", name, err)
		}
		if entry.Tag == dwarf.TagStructType && entry.Val(dwarf.AttrName) == name {
			found, err := r.dwarf.Type(entry.Offset)
			if err != nil {
				log.Fatal(err)
			}
			return found.(*dwarf.StructType)
		}
	}
}

// Word is the machine word at an address.
func Word(at uintptr) *uintptr {
	return (*uintptr)(*(*unsafe.Pointer)(unsafe.Pointer(&at)))
}

// Map is memory outside the heap, of zeroes, that takes nothing until it is written to.
func Map(bytes uintptr) uintptr {
	const flags = syscall.MAP_PRIVATE | syscall.MAP_ANONYMOUS | syscall.MAP_NORESERVE
	at, _, errno := syscall.Syscall6(syscall.SYS_MMAP, 0, bytes,
		syscall.PROT_READ|syscall.PROT_WRITE, flags, ^uintptr(0), 0)
	if errno != 0 {
		log.Fatal("mmap: ", errno)
	}
	return at
}

// Goroutines are the addresses of the g structs of the goroutines that exist.
func (r *Runtime) Goroutines() []uintptr {
	header := r.Variable("runtime.allgs")
	array, length := *Word(header), *Word(header + 8)
	var all []uintptr
	for i := uintptr(0); i < length; i++ {
		all = append(all, *Word(array + 8*i))
	}
	return all
}

// SetTreap makes sudog the root of the tree of those who wait for semaphores, at a place of the table
// that nobody uses as a rule (runtime/sema.go: 251 roots, each in a cache line of its own).
func (r *Runtime) SetTreap(sudog uintptr) {
	const cacheLine = 64
	root := r.Variable("runtime.semtable") + 7*cacheLine
	*Word(root + r.Offset("runtime.semaRoot", "treap")) = sudog
}
