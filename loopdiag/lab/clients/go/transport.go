package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"
)

// manner is what tells the arms of Go apart.
type manner struct {
	pooled bool
	procs  int
}

const (
	pooledLimit = 100     // connections of the pooled arm: what the Python clients have
	unlimited   = 1 << 30 // where 0 means "the default" to net/http
)

// open makes a client as a program would: http.DefaultTransport's settings, but for the pool, the authority that is trusted, and the
// environment's proxies. seen is nil but in the timeline tier.
func open(j *job, how manner, seen *watch) (*http.Client, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = nil
	transport.Protocols = protocols(j)
	roots, err := authority(j.CAFile)
	if err != nil {
		return nil, err
	}
	transport.TLSClientConfig = &tls.Config{RootCAs: roots}
	limit(transport, j.Scenario.Pool, how.pooled)
	client := &http.Client{Transport: transport, Timeout: time.Duration(j.Scenario.Workload.TimeoutS * float64(time.Second))}
	if seen != nil {
		client.Transport = seen.around(transport, j.Scenario.Target.HTTP == "2")
	}
	return client, nil
}

// protocols are the scenario's: nothing is negotiated that it does not ask for.
func protocols(j *job) *http.Protocols {
	asked := new(http.Protocols)
	two := j.Scenario.Target.HTTP == "2"
	asked.SetHTTP1(!two)
	asked.SetHTTP2(two)
	asked.SetUnencryptedHTTP2(two)
	return asked
}

// authority is the only one trusted; nil: the system's.
func authority(file *string) (*x509.CertPool, error) {
	if file == nil {
		return nil, nil
	}
	text, err := os.ReadFile(*file)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s: %w", *file, errors.New("no certificate in it"))
	}
	return roots, nil
}

// limit translates the scenario's pool; what it leaves out stays net/http's default: no limit, and two idle connections a host.
func limit(transport *http.Transport, asked pool, pooled bool) {
	most, bounded := smallest(asked.Limit, asked.LimitPerHost)
	if pooled {
		if asked.Limit == nil && (most == 0 || most > pooledLimit) {
			most = pooledLimit
		}
		transport.MaxIdleConns, transport.MaxIdleConnsPerHost = 0, most
		if most == 0 {
			transport.MaxIdleConnsPerHost = unlimited
		}
		bounded = true
	}
	if bounded {
		transport.MaxConnsPerHost = most
	}
	if idle := asked.Keepalive; idle != nil {
		transport.MaxIdleConns, transport.MaxIdleConnsPerHost = *idle, *idle
		if *idle == 0 {
			transport.MaxIdleConnsPerHost = unlimited
		}
	}
	if seconds := asked.KeepaliveS; seconds != nil {
		transport.IdleConnTimeout = time.Duration(*seconds * float64(time.Second))
	}
}

// smallest of the bounds that are given and bind; 0 where none binds. The second result: whether any was given.
func smallest(bounds ...*int) (int, bool) {
	least, given := 0, false
	for _, bound := range bounds {
		if bound == nil {
			continue
		}
		given = true
		if *bound > 0 && (least == 0 || *bound < least) {
			least = *bound
		}
	}
	return least, given
}
