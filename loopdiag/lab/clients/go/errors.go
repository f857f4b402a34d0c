package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
)

// kindOf names the kind of a failed request in the words of loopdiag's clients: descriptors, tls, timeout, connect, reset, or the
// innermost error's type. What the operating system said goes before the library's wrapping.
func kindOf(err error) string {
	switch {
	case isAny(err, syscall.EMFILE, syscall.ENFILE):
		return "descriptors"
	case untrusted(err):
		return "tls"
	case timedOut(err):
		return "timeout"
	case isAny(err, syscall.ECONNREFUSED, syscall.EHOSTUNREACH, syscall.ENETUNREACH) || unnamed(err):
		return "connect"
	case isAny(err, syscall.ECONNRESET, syscall.EPIPE, syscall.ECONNABORTED, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed) || broken(err):
		return "reset"
	}
	for errors.Unwrap(err) != nil {
		err = errors.Unwrap(err)
	}
	return strings.TrimPrefix(fmt.Sprintf("%T", err), "*")
}

func isAny(err error, kinds ...error) bool {
	for _, kind := range kinds {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

func untrusted(err error) bool {
	var verification *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	var hostname x509.HostnameError
	var record tls.RecordHeaderError
	var alert tls.AlertError
	return errors.As(err, &verification) || errors.As(err, &authority) || errors.As(err, &hostname) || errors.As(err, &record) || errors.As(err, &alert)
}

func timedOut(err error) bool {
	var network net.Error
	return isAny(err, context.DeadlineExceeded, os.ErrDeadlineExceeded) || (errors.As(err, &network) && network.Timeout())
}

func unnamed(err error) bool {
	var name *net.DNSError
	return errors.As(err, &name)
}

// broken: net/http has no exported errors for a connection that ended under a request.
func broken(err error) bool {
	text := err.Error()
	for _, part := range []string{"server closed idle connection", "transport connection broken", "server sent GOAWAY", "stream error", "malformed HTTP"} {
		if strings.Contains(text, part) {
			return true
		}
	}
	return false
}
