package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

const (
	readersMany = 500
	readersRest = 6 * time.Second // until the agent has been notified of a reader
	// readersTick and readersLines make 1,000 lines a second.
	readersTick  = 10 * time.Millisecond
	readersLines = 10
)

// readers is what many who follow one run cost the server more than one does.
func (b *bench) readers() ([]row, error) {
	s, err := b.stint(stored{place: []string{"--data", b.program("readers")}})
	if err != nil {
		return nil, err
	}
	defer func() { _ = s.stop() }() // the figures are what counts
	ctx, cancel := context.WithCancel(b.ctx)
	f := &fleet{host: s.host, ctx: ctx}
	defer func() { cancel(); f.all.Wait() }()
	id := runID(time.Now(), 0)
	f.all.Go((&liveAgent{fleet: f, id: id, every: readersTick, perTick: readersLines}).live)
	if err := f.wait(func() bool { return f.begun.Load() == 1 }); err != nil {
		return nil, err
	}
	f.all.Go(func() { f.read(id) })
	one, err := f.measure(s, readersRest, b.span)
	if err != nil {
		return nil, err
	}
	for range readersMany - 1 {
		f.all.Go(func() { f.read(id) })
	}
	many, err := f.measure(s, readersRest, b.span)
	if err != nil {
		return nil, err
	}
	return []row{
		{what: fmt.Sprintf("one run that prints 1,000 lines a second: CPU of the server for one reader and for %d", readersMany), unit: "cores", yardstick: one.cores, measured: many.cores},
		{what: "… of that for each further reader, beside the agent and the first one", unit: "‰ of a core", measured: 1e3 * (many.cores - one.cores) / (readersMany - 1)},
		{what: fmt.Sprintf("… from the job's write to a reader, 99 of 100 (%d events)", len(many.late)), unit: "s", yardstick: one.late[len(one.late)*99/100], measured: many.late[len(many.late)*99/100], most: 1},
		{what: "… memory of the server", unit: "MB", yardstick: one.peak, measured: many.peak},
	}, nil
}

// read follows a run live and notes how old its lines are.
func (f *fleet) read(id string) {
	req, err := http.NewRequestWithContext(f.ctx, http.MethodGet, fmt.Sprintf("http://%s/api/v1/runs/%s/stream?tail=1", f.host, id), nil)
	if err != nil {
		f.fail(err)
		return
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		f.fail(err)
		return
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(make([]byte, 0, 4<<10), 1<<20)
	for lines.Scan() {
		f.seen(lines.Bytes())
	}
	if f.ctx.Err() == nil {
		f.fail(fmt.Errorf("live stream of run %s ended: %w", id, errors.Join(lines.Err(), errNoFigure)))
	}
}

// seen notes the age of the first line of an output event, which begins with "at" and when it
// was written; the others are younger.
func (f *fleet) seen(event []byte) {
	if !f.measuring.Load() {
		return
	}
	_, text, ok := bytes.Cut(event, []byte(`"text":"at `))
	if !ok {
		return // not output
	}
	now := time.Now().UnixNano()
	number, _, _ := bytes.Cut(text, []byte(" "))
	if ns, err := strconv.ParseInt(string(number), 10, 64); err == nil {
		f.late.add(float64(now-ns) / 1e9)
	}
}
