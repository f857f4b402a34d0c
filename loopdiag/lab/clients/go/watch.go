package main

import (
	"context"
	"net/http"
	"net/http/httptrace"
	"sync"
)

// The stamps of an attempt and of a connection, in the order of their columns (loopdiag's instruments/schema.py).
const (
	due = iota
	created
	firstRun
	enqueued
	assigned
	resumed
	stream
	sendStart
	sendEnd
	rxKernel
	firstByte
	headers
	rxLast
	lastByte
	body
	decoded
	released
	done
	attemptStamps
)

const (
	dnsStart = iota
	dnsEnd
	lookupStart
	lookupEnd
	tcpStart
	tcpEnd
	tlsStart
	tlsEnd
	made
	closed
	linkStamps
)

const (
	flagReused     = 1
	flagShared     = 1 << 3
	flagRetried    = 1 << 4
	flagRedirected = 1 << 5
	flagError      = 1 << 7
	flagTimedOut   = 1 << 10
	flagHTTP2      = 1 << 11
	numberShift    = 16
	hopShift       = 24
)

// attempt is one row: a request's way through the transport once. Times are nanoseconds of mono; 0: not observed.
type attempt struct {
	t0                               int64
	request, status, flags, assigned uint32
	bytes                            uint32
	link                             *link
	at                               [attemptStamps]int64
}

// watch keeps what was seen. One lock guards all of it: the hooks of net/http run in several goroutines, also after a request has ended.
type watch struct {
	mu       sync.Mutex
	attempts []*attempt
	links    []*link
	sockets  map[any]*link // the connection that httptrace shows → its row
	http2    bool
}

func newWatch(n int) *watch {
	return &watch{attempts: make([]*attempt, 0, n+n/8), sockets: map[any]*link{}}
}

// life is one request of the workload: its attempts, one after the other.
type life struct {
	watch       *watch
	request     uint32
	now         *attempt
	number, hop uint32
	entered     bool // the attempt has reached the transport
}

type lifeKey struct{}

// begin opens a request's first row; its goroutine runs.
func (w *watch) begin(number int, dueNs, createdNs int64) *life {
	w.mu.Lock()
	defer w.mu.Unlock()
	begun := &life{watch: w, request: uint32(number)}
	begun.open()
	begun.now.at[due], begun.now.at[created], begun.now.at[firstRun] = dueNs, createdNs, begun.now.t0
	return begun
}

// open opens the life's next row; the lock is held.
func (l *life) open() {
	l.now = &attempt{t0: mono(), request: l.request, flags: min(l.number, 0xFF)<<numberShift | min(l.hop, 0xFF)<<hopShift}
	l.number++
	l.entered = false
	l.watch.attempts = append(l.watch.attempts, l.now)
}

// again: the program asks once more.
func (l *life) again() {
	if l == nil {
		return
	}
	l.watch.mu.Lock()
	defer l.watch.mu.Unlock()
	l.hop = 0
	l.open()
}

func (l *life) decoded() {
	if l == nil {
		return
	}
	l.watch.mu.Lock()
	defer l.watch.mu.Unlock()
	l.now.at[decoded] = mono()
}

// end closes the life; kind is that of its failure. An answer with a refusing status is an answer.
func (l *life) end(kind string) {
	l.watch.mu.Lock()
	defer l.watch.mu.Unlock()
	switch {
	case kind == "timeout":
		l.now.flags |= flagTimedOut
	case kind != "" && (len(kind) < 7 || kind[:7] != "status-"):
		l.now.flags |= flagError
	}
	l.now.at[done] = mono()
}

// tripper is the transport with a trace around each way through it.
type tripper struct {
	watch *watch
	next  *http.Transport
}

// around puts the watch around a transport, and under it: its connections are dialled by the watch.
func (w *watch) around(transport *http.Transport, http2 bool) http.RoundTripper {
	w.http2 = http2
	w.dialFor(transport)
	return &tripper{w, transport}
}

// CloseIdleConnections is what http.Client.CloseIdleConnections looks for.
func (t *tripper) CloseIdleConnections() { t.next.CloseIdleConnections() }

// RoundTrip is one hop: the client calls it again for each redirect.
func (t *tripper) RoundTrip(request *http.Request) (*http.Response, error) {
	l, _ := request.Context().Value(lifeKey{}).(*life)
	trip := t.watch.enter(l)
	ctx := httptrace.WithClientTrace(context.WithValue(request.Context(), tripKey{}, trip), trip.trace())
	response, err := t.next.RoundTrip(request.WithContext(ctx))
	trip.returned(response)
	if err != nil {
		return response, err
	}
	response.Body = &watchedBody{response.Body, trip}
	return response, nil
}

// enter: a life reaches the transport, for the first time or after a redirect.
func (w *watch) enter(l *life) *trip {
	w.mu.Lock()
	defer w.mu.Unlock()
	if l.entered {
		l.now.flags |= flagRedirected
		l.hop++
		l.open()
	}
	l.entered = true
	return &trip{life: l, now: l.now}
}
