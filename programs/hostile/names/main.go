// Two goroutines take two mutexes in opposite order, in a function and a file with long names: a test
// overwrites these names in the built program with line breaks, escape sequences and marks of direction,
// as anybody may who builds a program.
package main

import (
	"fmt"
	"time"
)

func main() {
	go nameThatATestOverwritesInTheBuiltProgramWithBytesThatNobodyShouldPrint(&a, &b)
	go nameThatATestOverwritesInTheBuiltProgramWithBytesThatNobodyShouldPrint(&b, &a)
	time.Sleep(300 * time.Millisecond)
	fmt.Println("READY")
	time.Sleep(time.Hour)
}
