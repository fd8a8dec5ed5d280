package main

import (
	"sync"
	"time"
)

var a, b sync.Mutex

func nameThatATestOverwritesInTheBuiltProgramWithBytesThatNobodyShouldPrint(first, second *sync.Mutex) {
	first.Lock()
	defer first.Unlock()
	time.Sleep(50 * time.Millisecond)
	second.Lock()
	defer second.Unlock()
}
