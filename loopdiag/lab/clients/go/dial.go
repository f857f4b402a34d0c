package main

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptrace"
)

// link is one connection's row. A dial that one request begins may serve another, or nobody: its times are the connection's.
type link struct {
	watch     *watch
	t0        int64
	row       uint32 // counted from 1
	request   uint32 // that began it
	served    uint32
	addresses uint32
	port      uint32
	at        [linkStamps]int64

	plain bool     // its bytes are seen in the clear: HTTP/1.1
	owner *attempt // whose turn it is
	bytes int64    // read so far
	base  int64    // of them before the owner's turn
	read  int64    // when the last of them came
	freed int64    // when it was last given back
}

// dialFor has the transport's connections dialled by the watch, by the same steps as net/http's own.
func (w *watch) dialFor(transport *http.Transport) {
	dial, secure, limit := transport.DialContext, transport.TLSClientConfig, transport.TLSHandshakeTimeout
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		begun, socket, err := w.connect(ctx, dial, network, address)
		if err != nil {
			return nil, err
		}
		return w.show(begun, socket), nil
	}
	transport.DialTLSContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		begun, socket, err := w.connect(ctx, dial, network, address)
		if err != nil {
			return nil, err
		}
		asked := secure.Clone()
		asked.ServerName, _, _ = net.SplitHostPort(address)
		if w.http2 {
			asked.NextProtos = []string{"h2"}
		}
		shaken := tls.Client(socket, asked)
		ctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		begun.stamp(tlsStart)
		if err := shaken.HandshakeContext(ctx); err != nil {
			socket.Close()
			return nil, err
		}
		begun.stamp(tlsEnd)
		return w.show(begun, shaken), nil
	}
}

// connect opens a row, looks the name up and connects.
func (w *watch) connect(ctx context.Context, dial func(context.Context, string, string) (net.Conn, error), network, address string) (*link, net.Conn, error) {
	begun := w.begins(ctx)
	hooks := &httptrace.ClientTrace{
		DNSStart: func(httptrace.DNSStartInfo) { begun.stamp(dnsStart) },
		DNSDone:  func(httptrace.DNSDoneInfo) { begun.stamp(dnsEnd) },
		ConnectStart: func(string, string) { // may be called for several addresses at once
			w.mu.Lock()
			defer w.mu.Unlock()
			if begun.addresses++; begun.at[tcpStart] == 0 {
				begun.at[tcpStart] = mono()
			}
		},
	}
	socket, err := dial(httptrace.WithClientTrace(ctx, hooks), network, address)
	if err != nil {
		return nil, nil, err
	}
	begun.stamp(tcpEnd)
	if local, ok := socket.LocalAddr().(*net.TCPAddr); ok {
		begun.port = uint32(local.Port)
	}
	return begun, &closing{socket, begun}, nil
}

// begins opens a connection's row for the request whose dial this is.
func (w *watch) begins(ctx context.Context) *link {
	w.mu.Lock()
	defer w.mu.Unlock()
	begun := &link{watch: w, t0: mono(), row: uint32(len(w.links) + 1)}
	if t, ok := ctx.Value(tripKey{}).(*trip); ok {
		begun.request = t.now.request
	}
	w.links = append(w.links, begun)
	return begun
}

// show hands a connection that stands to the transport, so that it is known again when httptrace shows it.
func (w *watch) show(begun *link, socket net.Conn) net.Conn {
	w.mu.Lock()
	defer w.mu.Unlock()
	begun.at[made] = mono()
	if !w.http2 {
		begun.plain = true
		socket = &watched{socket, begun}
	}
	w.sockets[socket] = begun
	return socket
}

func (l *link) stamp(which int) {
	l.watch.mu.Lock()
	defer l.watch.mu.Unlock()
	l.at[which] = mono()
}

// closing sees when a socket is closed.
type closing struct {
	net.Conn
	link *link
}

func (c *closing) Close() error {
	c.link.stamp(closed)
	return c.Conn.Close()
}

// watched sees what one HTTP/1.1 request after the other sends and receives, in the clear.
type watched struct {
	net.Conn
	link *link
}

func (c *watched) Read(into []byte) (int, error) {
	count, err := c.Conn.Read(into)
	if count > 0 {
		l := c.link
		l.watch.mu.Lock()
		l.read = mono()
		l.bytes += int64(count)
		if l.owner != nil && l.owner.at[firstByte] == 0 {
			l.owner.at[firstByte] = l.read
		}
		l.watch.mu.Unlock()
	}
	return count, err
}

func (c *watched) Write(from []byte) (int, error) {
	l := c.link
	l.watch.mu.Lock()
	owner := l.owner
	if owner != nil && owner.at[sendStart] == 0 {
		owner.at[sendStart] = mono()
	}
	l.watch.mu.Unlock()
	count, err := c.Conn.Write(from)
	l.watch.mu.Lock()
	if owner != nil && owner.at[sendEnd] == 0 {
		owner.at[sendEnd] = mono()
		if first := owner.at[firstByte]; first != 0 { // answered before this goroutine ran again
			owner.at[sendEnd] = first
		}
	}
	l.watch.mu.Unlock()
	return count, err
}
