// A server two of whose handlers hold what the other one wants, while N more wait behind them:
// servers KIND N, where KIND is http (each request on a connection of its own), http2 (100 requests on
// each), proxy (requests that one server passes on to another) or sql (transactions of a pool). All
// connections are in memory, so that there may be more of them than files.
package main

import (
	"context"
	"crypto/tls"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strconv"
	"sync"
	"time"
)

type shop struct {
	stock, carts sync.Mutex
	sold         int
}

func (s *shop) reserve() {
	s.stock.Lock()
	defer s.stock.Unlock()
	time.Sleep(100 * time.Millisecond)
	s.carts.Lock()
	defer s.carts.Unlock()
	s.sold++
}

func (s *shop) restock() {
	s.carts.Lock()
	defer s.carts.Unlock()
	time.Sleep(100 * time.Millisecond)
	s.stock.Lock()
	defer s.stock.Unlock()
	s.sold--
}

func (s *shop) list() int {
	s.stock.Lock()
	defer s.stock.Unlock()
	return s.sold
}

func (s *shop) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/reserve", func(http.ResponseWriter, *http.Request) { s.reserve() })
	mux.HandleFunc("/restock", func(http.ResponseWriter, *http.Request) { s.restock() })
	mux.HandleFunc("/list", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, s.list()) })
	return mux
}

// pipes is a listener whose connections are in memory.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) { return <-p, nil }
func (p pipes) Close() error              { return nil }
func (p pipes) Addr() net.Addr            { return &net.UnixAddr{Name: "pipes"} }

func (p pipes) dial(context.Context, string, string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	p <- theirs
	return ours, nil
}

// serve starts a server of handler, and returns what asks it.
func serve(handler http.Handler, settings *tls.Config) *http.Client {
	listener := make(pipes)
	server := &http.Server{Handler: handler, TLSConfig: settings}
	transport := &http.Transport{DialContext: listener.dial}
	if settings == nil {
		go server.Serve(listener)
	} else {
		go server.ServeTLS(listener, "", "")
		transport.TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
		transport.ForceAttemptHTTP2 = true
	}
	return &http.Client{Transport: transport}
}

func get(client *http.Client, url string) {
	if response, err := client.Get(url); err == nil {
		io.Copy(io.Discard, response.Body)
		response.Body.Close()
	}
}

// ask has the two handlers meet that wait for each other, then asks n times more.
func ask(url string, n int, client func(i int) *http.Client) {
	go get(client(0), url+"/reserve")
	go get(client(0), url+"/restock")
	time.Sleep(300 * time.Millisecond)
	for i := 0; i < n; i++ {
		go get(client(i), url+"/list")
		if i%100 == 99 {
			time.Sleep(20 * time.Millisecond)
		}
	}
}

func http2(n int) {
	certified := httptest.NewUnstartedServer(nil)
	certified.StartTLS()
	settings := &tls.Config{Certificates: certified.TLS.Certificates, NextProtos: []string{"h2"}}
	certified.Close()
	handler := (&shop{}).handler()
	clients := make([]*http.Client, n/100+1)
	for i := range clients {
		clients[i] = serve(handler, settings)
	}
	ask("https://shop", n, func(i int) *http.Client { return clients[i/100] })
}

func proxy(n int) {
	behind := serve((&shop{}).handler(), nil)
	forward := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: "behind"})
	forward.Transport = behind.Transport
	front := serve(forward, nil)
	ask("http://shop", n, func(int) *http.Client { return front })
}

type memory struct{}
type nothing struct{}

func (memory) Open(string) (driver.Conn, error)            { return nothing{}, nil }
func (nothing) Prepare(string) (driver.Stmt, error)        { return nothing{}, nil }
func (nothing) Begin() (driver.Tx, error)                  { return nothing{}, nil }
func (nothing) Close() error                               { return nil }
func (nothing) Commit() error                              { return nil }
func (nothing) Rollback() error                            { return nil }
func (nothing) NumInput() int                              { return 0 }
func (nothing) Exec([]driver.Value) (driver.Result, error) { return driver.ResultNoRows, nil }
func (nothing) Query([]driver.Value) (driver.Rows, error)  { return nil, errors.New("no rows") }

func transaction(db *sql.DB, do func()) error {
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if _, err := tx.Exec("update"); err != nil {
		return err
	}
	do()
	return tx.Commit()
}

func pool(n int) {
	sql.Register("memory", memory{})
	db, err := sql.Open("memory", "")
	if err != nil {
		panic(err)
	}
	db.SetMaxOpenConns(n/2 + 2)
	s := &shop{}
	go transaction(db, s.reserve)
	go transaction(db, s.restock)
	time.Sleep(300 * time.Millisecond)
	for i := 0; i < n; i++ {
		go transaction(db, func() { s.list() })
	}
}

func main() {
	n, err := strconv.Atoi(os.Args[2])
	if err != nil {
		panic(err)
	}
	switch os.Args[1] {
	case "http":
		client := serve((&shop{}).handler(), nil)
		ask("http://shop", n, func(int) *http.Client { return client })
	case "http2":
		http2(n)
	case "proxy":
		proxy(n)
	case "sql":
		pool(n)
	}
	time.Sleep(time.Second)
	fmt.Println("READY")
	time.Sleep(time.Hour)
}
