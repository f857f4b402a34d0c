package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

const retryAfter = time.Second // of a refusal that does not say

// work is the requests of one trial.
type work struct {
	job    *job
	client *http.Client
	seen   *watch // nil but in the timeline tier
	bodies [][]byte
	kinds  []string // of failures; empty: none
}

func newWork(j *job, client *http.Client, seen *watch) *work {
	return &work{job: j, client: client, seen: seen, bodies: make([][]byte, j.Spec.N), kinds: make([]string, j.Spec.N)}
}

// run makes the requests; the first clock is read just before the first goroutine is started, the second when the last answer is in.
func (w *work) run() (int64, int64) {
	asked := w.job.Scenario.Workload
	var t0 int64
	switch {
	case asked.Kind == "open":
		t0 = w.arriving(*asked.RatePerS)
	case asked.Concurrency != nil:
		t0 = w.workers(*asked.Concurrency)
	default:
		t0 = w.atOnce()
	}
	return t0, mono()
}

func (w *work) atOnce() int64 {
	var all sync.WaitGroup
	t0 := mono()
	for number := 1; number <= len(w.bodies); number++ {
		all.Add(1)
		created := w.created()
		go func() {
			defer all.Done()
			w.request(number, created, created)
		}()
	}
	all.Wait()
	return t0
}

func (w *work) workers(count int) int64 {
	var all sync.WaitGroup
	var taken atomic.Int64
	t0 := mono()
	for range min(count, len(w.bodies)) {
		all.Add(1)
		go func() {
			defer all.Done()
			for number := int(taken.Add(1)); number <= len(w.bodies); number = int(taken.Add(1)) {
				created := w.created()
				w.request(number, created, created)
			}
		}()
	}
	all.Wait()
	return t0
}

// arriving starts each request when it is due, whether or not the ones before it have ended.
func (w *work) arriving(ratePerS float64) int64 {
	var all sync.WaitGroup
	t0 := mono()
	for number := 1; number <= len(w.bodies); number++ {
		due := t0 + int64(float64(number-1)/ratePerS*1e9)
		for early := due - mono(); early > 0; early = due - mono() {
			time.Sleep(time.Duration(early))
		}
		all.Add(1)
		created := w.created()
		go func() {
			defer all.Done()
			w.request(number, due, created)
		}()
	}
	all.Wait()
	return t0
}

// created is when a goroutine was; the bare tier does not ask.
func (w *work) created() int64 {
	if w.seen == nil {
		return 0
	}
	return mono()
}

// request keeps the body, or the kind of the failure.
func (w *work) request(number int, due, created int64) {
	at := number - 1
	if w.seen == nil {
		w.bodies[at], w.kinds[at] = w.fetch(context.Background(), number, nil)
		return
	}
	life := w.seen.begin(number, due, created)
	w.bodies[at], w.kinds[at] = w.fetch(context.WithValue(context.Background(), lifeKey{}, life), number, life)
	life.end(w.kinds[at])
}

// fetch asks, and asks again after a 429 or a 503 when that said so, as often as the workload allows.
func (w *work) fetch(ctx context.Context, number int, life *life) ([]byte, string) {
	address := w.job.address(number)
	for left := w.job.Scenario.Workload.Retries; ; left-- {
		status, body, after, err := w.once(ctx, address)
		switch {
		case err != nil:
			return nil, kindOf(err)
		case left > 0 && (status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable):
			time.Sleep(pauseOf(after))
			life.again()
			continue
		case status >= 400:
			return nil, fmt.Sprintf("status-%dxx", status/100)
		}
		if w.job.decodes() {
			var content any
			if json.Unmarshal(body, &content) != nil {
				return nil, "decode"
			}
			life.decoded()
		}
		if plant := w.job.Scenario.Workload.Plant.CPUUs; plant > 0 {
			burn(int64(plant * 1000))
		}
		return body, ""
	}
}

// once makes one request and reads its body whole; the third result is the answer's Retry-After field.
func (w *work) once(ctx context.Context, address string) (int, []byte, string, error) {
	request, err := http.NewRequestWithContext(ctx, w.job.Scenario.Workload.Method, address, nil)
	if err != nil {
		return 0, nil, "", err
	}
	if w.job.UserAgent != nil {
		request.Header.Set("User-Agent", *w.job.UserAgent)
	}
	response, err := w.client.Do(request)
	if err != nil {
		return 0, nil, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response.StatusCode, body, response.Header.Get("Retry-After"), err
}

// pauseOf reads a Retry-After field, a number of seconds or a date (RFC 9110, 10.2.3).
func pauseOf(field string) time.Duration {
	if seconds, err := strconv.ParseUint(field, 10, 32); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(field); err == nil {
		return max(0, time.Until(at))
	}
	return retryAfter
}
