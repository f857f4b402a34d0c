package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

// report is loopdiag's WorkerReport.
type report struct {
	T0Ns          int64             `json:"t0_ns"`
	T1Ns          int64             `json:"t1_ns"`
	TotalS        float64           `json:"total_s"`
	SetupS        float64           `json:"setup_s"`
	CPUS          float64           `json:"cpu_s"`
	RunQueueS     *float64          `json:"run_queue_s"`
	RSSPeakKiB    int               `json:"rss_peak_kib"`
	GCCollections int64             `json:"gc_collections"`
	Errors        map[string]int    `json:"errors"`
	Succeeded     int               `json:"succeeded"`
	BodyBytes     int               `json:"body_bytes"`
	DecodeS       *float64          `json:"decode_s"`
	Versions      map[string]string `json:"versions"`
	NotObserved   map[string]string `json:"not_observed"`
	Warnings      []string          `json:"warnings"`
}

func (w *work) report(t0, t1, setup int64, before, after meter) *report {
	made := &report{
		T0Ns: t0, T1Ns: t1, TotalS: seconds(t1 - t0), SetupS: seconds(setup), CPUS: seconds(after.cpu - before.cpu),
		RSSPeakKiB: peakKiB(), GCCollections: after.collections - before.collections,
		Errors: map[string]int{}, Versions: map[string]string{"go": strings.TrimPrefix(runtime.Version(), "go")},
		NotObserved: map[string]string{"run_queue_s": "Go moves its goroutines between threads"},
		Warnings:    []string{},
	}
	for at, kind := range w.kinds {
		if kind != "" {
			made.Errors[kind]++
		} else {
			made.Succeeded++
			made.BodyBytes += len(w.bodies[at])
		}
	}
	if tier := w.job.Spec.Tier; tier == "profile" || tier == "calls" {
		made.NotObserved[tier] = "the profilers watch Python only, and this client is Go"
	}
	asked := w.job.Scenario.Workload
	if asked.Decode == "json" && asked.DecodeWhen == "after" && w.job.Spec.Tier == "timeline" {
		w.decodeAll(made)
	}
	return made
}

// decodeAll decodes every body that came, outside the timed part.
func (w *work) decodeAll(made *report) {
	began := mono()
	for at, body := range w.bodies {
		var content any
		if w.kinds[at] == "" && json.Unmarshal(body, &content) != nil {
			made.Errors["decode"]++
		}
	}
	took := seconds(mono() - began)
	made.DecodeS = &took
}

// write leaves the report at once or not at all.
func (r *report) write(folder string) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	draft := filepath.Join(folder, "worker.tmp")
	if err := os.WriteFile(draft, text, 0o600); err != nil {
		return err
	}
	return os.Rename(draft, filepath.Join(folder, "worker.json"))
}

// meter is what the system and the collector counted so far.
type meter struct{ cpu, collections int64 }

func readMeter() meter {
	var usage syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	var collector debug.GCStats
	debug.ReadGCStats(&collector)
	return meter{usage.Utime.Nano() + usage.Stime.Nano(), collector.NumGC}
}

func seconds(ns int64) float64 { return float64(ns) / 1e9 }

var epoch, epochNs = zero()

// mono is CLOCK_MONOTONIC in nanoseconds, the clock of every process here.
func mono() int64 { return epochNs + int64(time.Since(epoch)) }

// zero ties Go's clock, which counts from where it likes, to CLOCK_MONOTONIC: by the tightest of some pairs of readings.
func zero() (time.Time, int64) {
	const clockMonotonic = 1
	start, best, offset := time.Now(), time.Hour, int64(0)
	for range 50 {
		var now syscall.Timespec
		before := time.Since(start)
		syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, clockMonotonic, uintptr(unsafe.Pointer(&now)), 0)
		after := time.Since(start)
		if width := after - before; width < best {
			best, offset = width, now.Nano()-int64(before+width/2)
		}
	}
	return start, offset
}

// burn computes for so many nanoseconds of one thread's CPU, whatever else the machine does.
func burn(costNs int64) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for end := threadCPU() + costNs; threadCPU() < end; {
	}
}

func threadCPU() int64 {
	const clockThreadCPU = 3
	var now syscall.Timespec
	syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, clockThreadCPU, uintptr(unsafe.Pointer(&now)), 0)
	return now.Nano()
}

// peakKiB is the most memory this program held.
func peakKiB() int {
	text, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(text)) {
		if rest, found := strings.CutPrefix(line, "VmHWM:"); found {
			if most, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB"))); err == nil {
				return most
			}
		}
	}
	var usage syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return int(usage.Maxrss)
}
