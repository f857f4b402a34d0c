package main

import (
	"io"
	"net/http"
	"net/http/httptrace"
)

// trip is one call of RoundTrip. Its hooks may run after it has returned, when the life is further; so it keeps its own attempt.
type trip struct {
	life *life
	now  *attempt
}

type tripKey struct{}

func (t *trip) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GetConn:              func(string) { t.wanted() },
		GotConn:              t.got,
		PutIdleConn:          func(error) { t.putBack() },
		WroteHeaderField:     func(string, []string) { t.writing() },
		WroteRequest:         func(httptrace.WroteRequestInfo) { t.wrote() },
		GotFirstResponseByte: t.answered,
	}
}

// wanted: a connection is asked for; once more, where the one before broke and the transport tries again by itself.
func (t *trip) wanted() {
	t.life.watch.mu.Lock()
	defer t.life.watch.mu.Unlock()
	if t.now.at[resumed] != 0 {
		t.now.flags |= flagError | flagRetried
		l := t.life
		l.open()
		l.entered = true
		t.now = l.now
	}
	if t.now.at[enqueued] == 0 {
		t.now.at[enqueued] = mono()
	}
}

// got: the request has a connection. When it was decided that it gets this one, the transport does not tell; it follows from what
// the connection did until then: it was dialled for this request, or came about, or was given back.
func (t *trip) got(shown httptrace.GotConnInfo) {
	w := t.life.watch
	w.mu.Lock()
	defer w.mu.Unlock()
	now, a := mono(), t.now
	if a.at[enqueued] == 0 {
		a.at[enqueued] = now
	}
	a.at[resumed] = now
	used := w.sockets[shown.Conn]
	if used == nil {
		return
	}
	a.link = used
	a.assigned++
	if used.served > 0 { // what httptrace calls reused may be a connection that was dialled ahead and served nobody yet
		a.flags |= flagReused
	}
	since := a.at[enqueued]
	switch {
	case used.served == 0 && used.request == a.request && used.t0 >= since:
		since = used.t0
	case w.http2 && used.at[made] > since:
		a.flags |= flagShared
	case !w.http2:
		since = max(since, used.at[made], used.freed)
	}
	a.at[assigned] = min(since, now)
	used.served++
	if last := used.owner; last != nil { // the transport hands a connection on before it says that it was put back
		last.arrived()
	}
	used.owner, used.base = a, used.bytes
	if w.http2 {
		a.flags |= flagHTTP2
	}
}

// putBack: the answer is complete, and its connection free, or closed. HTTP/2 does not say so.
func (t *trip) putBack() {
	w := t.life.watch
	w.mu.Lock()
	defer w.mu.Unlock()
	a := t.now
	if a.link == nil || a.at[released] != 0 {
		return
	}
	a.at[released] = mono()
	a.link.freed = a.at[released]
	a.arrived()
}

// arrived notes the connection's account of an answer that is whole, while it is still this attempt's; the lock is held.
func (a *attempt) arrived() {
	if used := a.link; used != nil && used.plain && a.at[firstByte] != 0 && a.at[lastByte] == 0 {
		a.at[lastByte] = max(used.read, a.at[firstByte])
		a.bytes = uint32(used.bytes - used.base)
	}
}

// The next three are for HTTP/2, whose connections cannot be watched: many requests are on them at once.

func (t *trip) writing() {
	t.stamp(sendStart)
}

func (t *trip) wrote() {
	t.stamp(sendEnd)
}

func (t *trip) answered() {
	t.stamp(firstByte)
}

func (t *trip) stamp(which int) {
	w := t.life.watch
	if !w.http2 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if t.now.at[which] == 0 {
		t.now.at[which] = mono()
	}
}

// returned: the transport gave an answer's head, or failed.
func (t *trip) returned(response *http.Response) {
	if response == nil {
		return
	}
	t.life.watch.mu.Lock()
	defer t.life.watch.mu.Unlock()
	t.now.status = uint32(response.StatusCode)
	t.now.at[headers] = mono()
}

// watchedBody sees the end of a body as the program does.
type watchedBody struct {
	io.ReadCloser
	trip *trip
}

func (b *watchedBody) Read(into []byte) (int, error) {
	count, err := b.ReadCloser.Read(into)
	if err == io.EOF {
		b.trip.ended()
	}
	return count, err
}

// ended: the program has read the body whole.
func (t *trip) ended() {
	w := t.life.watch
	w.mu.Lock()
	defer w.mu.Unlock()
	a := t.now
	if a.at[body] != 0 {
		return
	}
	now := mono()
	if a.link != nil && a.link.owner == a {
		a.arrived()
	}
	if w.http2 {
		a.at[lastByte] = now
	}
	if w.http2 && a.at[released] == 0 {
		a.at[released] = now
	}
	a.at[body] = now
}
