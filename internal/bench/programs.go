package main

import (
	"context"
	"fmt"

	"stint.dev/stint/internal/bench/host"
)

// bench holds what all measurements need.
type bench struct {
	scale
	*host.Host
	rounds int
	url    string // of the server
	away   string // an address where nobody answers
	server *host.Service
}

func newBench(ctx context.Context, rounds int, size scale) (*bench, error) {
	if rounds < 1 {
		return nil, fmt.Errorf("-rounds %d: measure at least once", rounds)
	}
	h, err := host.New(ctx)
	if err != nil {
		return nil, err
	}
	b := &bench{Host: h, scale: size, rounds: rounds}
	if err := b.prepare(); err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

// prepare starts the server of the agents that are measured.
func (b *bench) prepare() error {
	nobody, err := host.FreeAddress()
	if err != nil {
		return err
	}
	if b.server, err = b.Stint(b.Embedded("data")); err != nil {
		return err
	}
	b.url, b.away = b.server.URL(), "http://"+nobody
	return nil
}

func (b *bench) close() {
	if b.server != nil {
		_ = b.server.Stop() // the figures are what counts
	}
	b.Close()
}

// agent is the command line of the agent around a job.
func (b *bench) agent(url string, args ...string) []string {
	return append([]string{b.Program("stint-agent"), "run", "--server", url, "--quiet"}, args...)
}

func (b *bench) wrapper(url string, args ...string) []string {
	return append([]string{b.Program("wrapper"), url}, args...)
}
