package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// job is one trial, as the parent tells it: what is needed here of loopdiag's lab/job.py.
type job struct {
	Scenario  scenario `json:"scenario"`
	Spec      spec     `json:"spec"`
	URL       string   `json:"url"` // of the server, without the path
	Folder    string   `json:"folder"`
	CAFile    *string  `json:"ca_file"`
	Cores     []int    `json:"cores"`
	WarmUp    bool     `json:"warm_up"`
	UserAgent *string  `json:"user_agent"`
}

type spec struct {
	N    int    `json:"n"`
	Tier string `json:"tier"`
}

type scenario struct {
	Target struct {
		Path string `json:"path"`
		TLS  string `json:"tls"`
		HTTP string `json:"http"`
	} `json:"target"`
	Workload struct {
		Kind        string   `json:"kind"`
		Concurrency *int     `json:"concurrency"`
		RatePerS    *float64 `json:"rate_per_s"`
		Method      string   `json:"method"`
		Decode      string   `json:"decode"`
		DecodeWhen  string   `json:"decode_when"`
		TimeoutS    float64  `json:"timeout_s"`
		Retries     int      `json:"retries"`
		Plant       struct {
			CPUUs float64 `json:"cpu_us"`
		} `json:"plant"`
	} `json:"workload"`
	Pool pool `json:"pool"`
}

// pool is the scenario's; nil leaves the library's default, 0 removes the limit.
type pool struct {
	Limit        *int     `json:"limit"`
	LimitPerHost *int     `json:"limit_per_host"`
	Keepalive    *int     `json:"keepalive"`
	KeepaliveS   *float64 `json:"keepalive_s"`
}

func readJob(from *bufio.Reader) (*job, error) {
	line, err := from.ReadBytes('\n')
	if err != nil {
		return nil, fmt.Errorf("no job on stdin: %w", err)
	}
	read := new(job)
	if err := json.Unmarshal(line, read); err != nil {
		return nil, fmt.Errorf("the job cannot be read: %w", err)
	}
	return read, nil
}

// address is that of one request, counted from 1.
func (j *job) address(number int) string {
	return strings.TrimRight(j.URL, "/") + strings.ReplaceAll(j.Scenario.Target.Path, "{i}", strconv.Itoa(number))
}

// decodes says whether each request decodes its body inside the timed part.
func (j *job) decodes() bool {
	return j.Scenario.Workload.Decode == "json" && j.Scenario.Workload.DecodeWhen == "inside"
}
