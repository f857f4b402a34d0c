package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

const (
	tickShift   = 7 // stamps are the clock in ticks of 128 ns, cut to 32 bits
	headerBytes = 1024
)

// Columns of the tables, as in loopdiag's instruments/schema.py: all "<u4" but the first, "<u8".
var (
	attemptColumns = strings.Fields("t0 request connection status flags assignments wire_bytes due created first_run enqueued assigned resumed stream " +
		"send_start send_end rx_kernel first_byte headers rx_last last_byte body decoded released done")
	linkColumns = strings.Fields("t0 request requests flags dns_start dns_end lookup_start lookup_end tcp_start tcp_end tls_start tls_end made closed " +
		"address_attempts tls_cpu_ns tls_steps rtt_us retransmits local_port record_cpu_ns")
)

// Why some columns are empty.
var unseen = map[string]string{
	"attempts.rx_kernel":        "net/http reads its sockets itself",
	"attempts.rx_last":          "net/http reads its sockets itself",
	"attempts.stream":           "httptrace does not show when HTTP/2 gives a request its stream",
	"connections.tls_cpu_ns":    "Go does not count the CPU of a goroutine",
	"connections.rtt_us":        "not asked for",
	"connections.retransmits":   "not asked for",
	"connections.record_cpu_ns": "Go does not count the CPU of a goroutine",
}

// write leaves the tables, and what stands for the instruments' account of themselves.
func (w *watch) write(j *job) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := save(j.Folder, "attempts", attemptColumns, len(w.attempts), func(row int, put func(...uint32)) uint64 {
		return w.attempts[row].put(put)
	}); err != nil {
		return err
	}
	if err := save(j.Folder, "connections", linkColumns, len(w.links), func(row int, put func(...uint32)) uint64 {
		return w.links[row].put(put)
	}); err != nil {
		return err
	}
	missing := map[string]string{}
	for name, why := range unseen {
		missing[name] = why
	}
	if w.http2 {
		missing["attempts.wire_bytes"] = "an HTTP/2 connection carries many answers at once"
	}
	account := map[string]any{
		"installed":    map[string]string{"httptrace": strings.TrimPrefix(runtime.Version(), "go")},
		"not_observed": missing,
	}
	text, err := json.Marshal(account)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(j.Folder, "instruments.json"), text, 0o600)
}

func (a *attempt) put(put func(...uint32)) uint64 {
	row := uint32(0)
	if a.link != nil {
		row = a.link.row
	}
	put(a.request, row, a.status, a.flags, a.assigned, a.bytes)
	for _, at := range a.at {
		put(ticks(at))
	}
	return uint64(a.t0)
}

func (l *link) put(put func(...uint32)) uint64 {
	put(l.request, l.served, 0)
	for _, at := range l.at {
		put(ticks(at))
	}
	put(l.addresses, 0, 0, 0, 0, l.port, 0)
	return uint64(l.t0)
}

func ticks(at int64) uint32 { return uint32(at >> tickShift) }

// save writes a one-dimensional structured .npy file (format 1.0); its row 0 is the sink of loopdiag's own tables, and empty.
func save(folder, name string, columns []string, rows int, fill func(row int, put func(...uint32)) uint64) error {
	kinds := make([]string, len(columns))
	for at, column := range columns {
		kinds[at] = fmt.Sprintf("('%s', '<u%d')", column, 4+4*btoi(at == 0))
	}
	text := fmt.Sprintf("{'descr': [%s], 'fortran_order': False, 'shape': (%d,)}", strings.Join(kinds, ", "), rows+1)
	width := 4 * (len(columns) + 1)
	out := make([]byte, 0, headerBytes+(rows+1)*width)
	out = append(out, "\x93NUMPY\x01\x00"...)
	out = binary.LittleEndian.AppendUint16(out, headerBytes-10)
	out = append(out, text+strings.Repeat(" ", headerBytes-11-len(text))+"\n"...)
	out = append(out, make([]byte, width)...)
	for row := range rows {
		start := len(out)
		out = append(out, make([]byte, 8)...)
		t0 := fill(row, func(words ...uint32) {
			for _, word := range words {
				out = binary.LittleEndian.AppendUint32(out, word)
			}
		})
		binary.LittleEndian.PutUint64(out[start:], t0)
	}
	return os.WriteFile(filepath.Join(folder, name+".npy"), out, 0o600)
}

func btoi(holds bool) int {
	if holds {
		return 1
	}
	return 0
}
