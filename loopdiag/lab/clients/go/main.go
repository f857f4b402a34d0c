// The child side of a trial whose client is Go's net/http: does one job and ends.
//
// The talk is that of loopdiag's Python worker, a line each: parent → job (JSON) on stdin; worker → "ready"; parent → "go"; worker →
// "done" right after the timed part; then the worker leaves worker.json in the job's folder, and in the timeline tier its tables.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"syscall"
)

const prSetPdeathsig = 1

func init() { // runs on the main thread, which lives as long as the process
	parent := os.Getppid()
	syscall.RawSyscall(syscall.SYS_PRCTL, prSetPdeathsig, uintptr(syscall.SIGKILL), 0)
	if os.Getppid() != parent {
		os.Exit(1) // the parent died before the line above
	}
}

func main() {
	var how manner
	flag.BoolVar(&how.pooled, "pooled", false, "keep as many connections as there may be, 100 unless the scenario says otherwise")
	flag.IntVar(&how.procs, "procs", 1, "GOMAXPROCS")
	flag.Parse()
	if err := trial(how); err != nil {
		fmt.Fprintln(os.Stderr, "loopdiag's Go worker:", err)
		os.Exit(1)
	}
}

// trial does the job that stands on stdin.
func trial(how manner) error {
	stdin := bufio.NewReader(os.Stdin)
	job, err := readJob(stdin)
	if err != nil {
		return err
	}
	var warnings []string
	if len(job.Cores) > 0 && len(job.Cores) < how.procs { // else the parent has pinned this process
		warnings = append(warnings, fmt.Sprintf("GOMAXPROCS %d: it ran on every core, the target's too", how.procs))
	}
	runtime.GOMAXPROCS(how.procs)
	began := mono()
	client, err := open(job, how, nil)
	if err != nil {
		return err
	}
	setup := mono() - began
	if job.WarmUp { // on a throw-away client, so that what is loaded on first use is there; the timed part will tell of failures
		newWork(job, client, nil).fetch(context.Background(), 1, nil)
		client.CloseIdleConnections()
	}
	var seen *watch
	if job.Spec.Tier == "timeline" {
		seen = newWatch(job.Spec.N)
	}
	if client, err = open(job, how, seen); err != nil {
		return err
	}
	work := newWork(job, client, seen)
	say("ready\n")
	if line, _ := stdin.ReadString('\n'); line != "go\n" {
		return errors.New("the parent is gone")
	}
	before := readMeter()
	t0, t1 := work.run()
	after := readMeter()
	say("done\n")
	client.CloseIdleConnections()
	made := work.report(t0, t1, setup, before, after)
	made.Warnings = append(made.Warnings, warnings...)
	if seen != nil {
		if err := seen.write(job); err != nil {
			return err
		}
	}
	return made.write(job.Folder)
}

func say(line string) { os.Stdout.WriteString(line) }
