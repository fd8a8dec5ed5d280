// A bank over HTTP. Two transfers in opposite directions have just locked each other out; the
// server goes on answering, so Go's own deadlock detector stays silent.
//
// expect: proven lock-cycle goroutines=2 in=main.(*account).transfer
package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"time"
)

type account struct {
	mu      sync.Mutex
	name    string
	balance int
}

// transfer locks the two accounts in the order of its arguments: the bug.
func (from *account) transfer(to *account, amount int) {
	from.mu.Lock()
	defer from.mu.Unlock()
	time.Sleep(50 * time.Millisecond) // an audit record is written
	to.mu.Lock()
	defer to.mu.Unlock()
	from.balance -= amount
	to.balance += amount
}

func main() {
	alice, bob := &account{name: "alice", balance: 100}, &account{name: "bob", balance: 100}
	http.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	http.HandleFunc("/transfer", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("from") == "alice" {
			alice.transfer(bob, 10)
		} else {
			bob.transfer(alice, 20)
		}
		fmt.Fprintln(w, "done")
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	go http.Serve(listener, nil)
	url := "http://" + listener.Addr().String()
	for _, from := range []string{"alice", "bob"} {
		go http.Get(url + "/transfer?from=" + from)
	}
	time.Sleep(500 * time.Millisecond)
	fmt.Println("READY", url+"/healthz")
	select {}
}
